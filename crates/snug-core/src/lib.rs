//! The rules of a Snug room, and nothing else: no I/O, no clock, no randomness.
//!
//! - The [`door`] turns a request into an [`Admission`] or a [`Refusal`]; [`token`] and
//!   [`capability`] say what its token is worth.
//! - A [`Room`] turns each [`Input`] into [`Output`]s. Its state is what the [`connection`]s'
//!   attachments and storage hold, so that it can be dropped and restored between any two inputs.
//! - [`command`] and [`push`] are the wire, [`limits`] its bounds, [`config`] the operator's.
//!
//! Time arrives as an argument. Whoever embeds this does the outputs, in order.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod auth;
pub mod backend;
pub mod capability;
pub mod config;
pub mod ids;
pub mod limits;
pub mod protocol;
pub mod rate;
pub mod room;
pub mod secret;
pub mod service_url;
pub mod storage;

pub use auth::Admission;
pub use backend::api::{ApiRequest, ApiRequestId, ApiResponse};
pub use capability::{Capabilities, Capability};
pub use config::Config;
pub use ids::{ConnectionId, Epoch, Offset, RoomName, Timestamp, UserId};
pub use protocol::{
    error::{CloseCode, ErrorCode},
    refusal::Refusal,
};
pub use room::{
    Room,
    io::{Input, Output, RoomSnapshot},
};
