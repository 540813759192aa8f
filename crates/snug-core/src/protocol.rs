//! The wire format `snug.v1`: commands in, pushes and replies out, refusals, and the raw JSON
//! between them.

pub mod change;
pub mod command;
pub mod error;
pub(crate) mod frame;
pub(crate) mod json;
pub mod page;
pub mod push;
pub mod reaction;
pub mod refusal;
pub mod wire;
