//! Storage: the port to the storage, batches of messages, idempotency keys, and how long both are
//! retained.

pub mod batch;
pub mod idempotency;
pub mod message;
pub mod retention;
pub mod store;
