//! The reasons why a gateway rejects commands.

use std::borrow::Cow;

use crate::protocol::{error::ErrorCode, refusal::Refusal};

/// The reason why a command was rejected.
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) message: Cow<'static, str>,
    pub(super) retry_after_ms: Option<u64>,
    /// True if it counts towards the limit that closes a connection.
    pub(super) counts: bool,
}

const TOO_MANY_ROOMS: &str = "the connection is in the maximum number of rooms: leave one first";

impl Fault {
    pub(super) fn new(code: ErrorCode, message: &'static str) -> Self {
        Self {
            code: code.name(),
            message: message.into(),
            retry_after_ms: None,
            counts: code.counts(),
        }
    }

    /// A fault that is not the client's, or that it cannot foresee.
    fn refused(code: &'static str, message: &'static str) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_ms: None,
            counts: false,
        }
    }

    /// The fault of a join beyond the maximum.
    pub(super) fn too_many_rooms() -> Self {
        Self::refused("too_many_rooms", TOO_MANY_ROOMS)
    }

    pub(super) fn later(code: &'static str, message: &'static str, retry_after_ms: u64) -> Self {
        Self {
            retry_after_ms: Some(retry_after_ms),
            ..Self::refused(code, message)
        }
    }
}

impl From<&Refusal> for Fault {
    fn from(refusal: &Refusal) -> Self {
        Self {
            code: refusal.code(),
            message: refusal.detail().to_owned().into(),
            retry_after_ms: refusal.retry_after_ms(),
            counts: refusal.status() == 401,
        }
    }
}
