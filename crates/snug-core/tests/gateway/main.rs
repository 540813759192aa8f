//! Tests of gateways with rooms: many rooms on one connection.
//!
//! `rooms` and `badges` have what clients see while nothing fails, and `faults` a simulation in which everything does. A failure
//! of the simulation prints its seed: `SNUG_SEED=7 cargo test -p snug-core --test gateway` replays seed 7, and
//! `SNUG_SEEDS=100000` runs that many seeds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod badges;
mod faults;
mod rooms;
mod world;
