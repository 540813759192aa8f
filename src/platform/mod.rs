//! Calls to the platform: time, randomness, and what worker-rs lacks or panics in if it throws.
//!
//! Each binding says what worker-rs 0.8.7 lacks, so that it can be deleted one day.

mod cache;
mod clock;
mod object;
mod random;
mod sockets;
mod storage;
mod url;

pub use self::{
    cache::{cache, cached},
    clock::{iso, now, run_in_ms, wait_ms, within_ms},
    object::abort,
    random::random,
    sockets::{
        accept, attach, attachment, auto_responded_at, queued_bytes, send, set_auto_response,
        sockets, tag,
    },
    storage::{delete_alarm, delete_all, set_alarm, transaction},
    url::origin_of,
};
