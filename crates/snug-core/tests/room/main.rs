//! Behavior tests of a room, all through one driver.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod api;
mod broadcast;
mod changes;
mod connect;
mod convergence;
mod delivery;
#[allow(dead_code)]
mod driver;
mod ended_tokens;
mod expiry;
mod hibernation;
mod history;
mod hostile_input;
mod idempotency;
mod idle_timeout;
mod kick;
mod limits;
mod log;
mod mentions;
mod picture;
mod presence;
mod presence_diffs;
mod publish_hook;
mod publish_times;
mod reactions;
mod reading;
mod recovery;
mod refresh;
mod removal;
mod retention;
mod slow_consumers;
mod state;
mod threads;
mod user_messages;
mod webhooks;
