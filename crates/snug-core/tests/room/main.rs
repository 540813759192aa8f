//! What a room does, told through one driver.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod broadcast;
mod connect;
mod driver;
mod hibernation;
mod history;
mod hostile_input;
mod keys;
mod limits;
mod presence;
mod recovery;
mod retention;
mod silence;
mod state;
