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

pub mod address;
pub mod bans;
pub mod batch;
pub mod call;
pub mod capability;
pub mod command;
pub mod config;
pub mod connection;
pub mod door;
pub mod error;
pub mod ids;
pub mod io;
mod json;
pub mod judgement;
pub mod keys;
pub mod limits;
mod pace;
pub mod presence;
pub mod push;
pub mod rate;
pub mod refusal;
pub mod retention;
pub mod room;
pub mod secret;
pub mod session;
pub mod token;
pub mod webhook;

pub use call::{Answer, Call, CallId};
pub use capability::{Capabilities, Capability};
pub use config::Config;
pub use door::Admission;
pub use error::{CloseCode, ErrorCode};
pub use ids::{ConnectionId, Epoch, Offset, RoomName, Timestamp, UserId};
pub use io::{Input, Output, Stored};
pub use refusal::Refusal;
pub use room::Room;
