//! The store of the room's tests, for the tests of the room's parts.

#[allow(dead_code, clippy::arithmetic_side_effects)]
#[path = "../tests/room/store.rs"]
pub(crate) mod store;
