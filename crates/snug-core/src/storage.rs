//! Storage: the port to the storage, batches of messages, what has become of changed ones, idempotency keys,
//! and how long all of it is retained.

pub mod batch;
pub mod changed;
pub mod entry;
pub mod idempotency;
pub mod retention;
mod search;
pub mod store;
