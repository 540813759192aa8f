//! The rules of a Snug room as pure code: no I/O, no clock, no randomness.
//!
//! - [`auth`] turns a join request into an [`Admission`] or a [`Refusal`]: it verifies the token,
//!   and [`capability`] evaluates what the token grants.
//! - A [`Room`] turns each [`Input`] into [`Output`]s, and keeps what has to last in a [`Store`]. Its
//!   state can be rebuilt from the connections' attachments and from storage, so the room can be
//!   dropped and restored between any two inputs.
//! - [`protocol`] is the wire format, [`limits`] holds every fixed limit, and [`config`] reads the
//!   operator's settings.
//!
//! The caller passes the time as an argument, and must apply the outputs in order.
#![deny(missing_docs)]
#![forbid(unsafe_code)]

// The tests of the core's parts share files with those of the whole crate.
#[cfg(test)]
extern crate self as snug_core;

pub mod application;
pub mod auth;
pub mod backend;
pub mod capability;
pub mod clock;
pub mod config;
pub mod fan_out;
pub mod gateway;
pub mod ids;
pub mod limits;
pub mod link;
pub mod log;
mod names;
pub mod protocol;
pub mod rate;
pub mod reply;
pub mod room;
pub mod secret;
pub mod service_url;
pub mod session;
pub mod storage;
#[cfg(test)]
mod testing;

pub use auth::Admission;
pub use backend::{
    api::{ApiRequest, ApiRequestId},
    response::ApiResponse,
};
pub use capability::{Capabilities, Capability};
pub use config::Config;
pub use ids::{
    ConnectionId, Epoch, GatewayName, LinkId, Offset, Origin, Reference, RoomName, TaskId,
    Timestamp, UserId,
};
pub use protocol::{
    error::{CloseCode, ErrorCode},
    refusal::Refusal,
};
pub use reply::Reply;
pub use room::{
    Room,
    io::{Input, Output},
};
pub use storage::store::{RoomSnapshot, StorageFault, Store};
