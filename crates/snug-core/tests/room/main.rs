//! What a room does, told through one driver.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod broadcast;
mod calls;
mod changes;
mod connect;
mod delivery;
#[allow(dead_code)]
mod driver;
mod events;
mod expiry;
mod hibernation;
mod history;
mod hostile_input;
mod judge;
mod keys;
mod kick;
mod limits;
mod presence;
mod recovery;
mod refresh;
mod retention;
mod silence;
mod slow;
mod state;
