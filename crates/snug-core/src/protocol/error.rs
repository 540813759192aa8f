//! What a connection is told when something is refused: error codes (the connection stays) and
//! close codes (it ends).

use serde::Serialize;

/// Why a command was refused. The connection stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not JSON, or nested too deep.
    BadJson,
    /// JSON, but not of the command's form.
    BadCommand,
    /// A `type` that this version does not know.
    UnknownCommand,
    /// The token does not grant it.
    Forbidden,
    /// A new token that does not hold, or is another user's.
    TokenInvalid,
    /// A new token that has ended already.
    TokenExpired,
    /// Over a size limit.
    TooLarge,
    /// The back end does not want the message to be stored.
    Refused,
    /// Too many commands; `retry_after_ms` says when to come again.
    RateLimited,
    /// Our fault: nothing was done, and trying again may help.
    Internal,
}

impl ErrorCode {
    /// Whether the same command may succeed later.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::RateLimited | Self::Internal)
    }

    /// Whether it counts towards the errors that close a connection. Going too fast has a
    /// bound of its own, our own faults are not the client's, and whether a message will be refused
    /// a client cannot know.
    pub fn counts(self) -> bool {
        !self.is_retryable() && self != Self::Refused
    }
}

/// Why a connection is closed by the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// A binary frame (RFC 6455, section 7.4.1).
    UnsupportedData,
    /// A frame or command over its limit (RFC 6455, section 7.4.1).
    MessageTooBig,
    /// Its token has ended.
    TokenExpired,
    /// Its client reads more slowly than the room sends.
    TooSlow,
    /// Silent for longer than `IDLE_TIMEOUT_MS`.
    PingTimeout,
    /// What the room kept about the connection cannot be read.
    StateLost,
    /// A moderator wants the user to go.
    Kicked,
    /// A moderator wants the user to stay away.
    Banned,
    /// A new token grants nothing in the room any more.
    TokenRevoked,
    /// The back end has erased the room.
    RoomClosed,
    /// The 20th error within a minute, or a flood that does not heed `rate_limited`.
    TooManyErrors,
}

impl CloseCode {
    /// The number on the wire: 40xx and the RFC's own mean come back, 41xx do not.
    pub fn number(self) -> u16 {
        match self {
            Self::UnsupportedData => 1003,
            Self::MessageTooBig => 1009,
            Self::TokenExpired => 4001,
            Self::TooSlow => 4002,
            Self::PingTimeout => 4003,
            Self::StateLost => 4004,
            Self::Kicked => 4100,
            Self::Banned => 4101,
            Self::TokenRevoked => 4102,
            Self::TooManyErrors => 4103,
            Self::RoomClosed => 4104,
        }
    }

    /// The stable name, sent as the close frame's reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnsupportedData => "unsupported_data",
            Self::MessageTooBig => "message_too_big",
            Self::TokenExpired => "token_expired",
            Self::TooSlow => "too_slow",
            Self::PingTimeout => "ping_timeout",
            Self::StateLost => "state_lost",
            Self::Kicked => "kicked",
            Self::Banned => "banned",
            Self::TokenRevoked => "token_revoked",
            Self::TooManyErrors => "too_many_errors",
            Self::RoomClosed => "room_closed",
        }
    }

    /// Whether the client should connect again.
    pub fn should_reconnect(self) -> bool {
        self.number() < 4100
    }

    /// Whether the member's leave need not wait for a return: it has been gone for long, or is
    /// told not to come back.
    pub fn is_final(self) -> bool {
        matches!(self, Self::PingTimeout) || !self.should_reconnect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_are_the_wires_and_say_whether_to_try_again() {
        use ErrorCode::{
            BadCommand, BadJson, Forbidden, Internal, RateLimited, Refused, TokenExpired,
            TokenInvalid, TooLarge, UnknownCommand,
        };
        for (code, name, is_retryable) in [
            (BadJson, "bad_json", false),
            (BadCommand, "bad_command", false),
            (UnknownCommand, "unknown_command", false),
            (Forbidden, "forbidden", false),
            (TokenInvalid, "token_invalid", false),
            (TokenExpired, "token_expired", false),
            (TooLarge, "too_large", false),
            (Refused, "refused", false),
            (RateLimited, "rate_limited", true),
            (Internal, "internal", true),
        ] {
            assert_eq!(serde_json::to_value(code).unwrap(), name);
            assert_eq!(code.is_retryable(), is_retryable, "{name}");
            assert_eq!(code.counts(), !is_retryable && code != Refused, "{name}");
        }
    }

    #[test]
    fn close_codes_are_the_wires_and_say_whether_to_come_back() {
        use CloseCode::{
            Banned, Kicked, MessageTooBig, PingTimeout, RoomClosed, StateLost, TokenExpired,
            TokenRevoked, TooManyErrors, TooSlow, UnsupportedData,
        };
        for (code, number, reason, should_reconnect, is_final) in [
            (UnsupportedData, 1003, "unsupported_data", true, false),
            (MessageTooBig, 1009, "message_too_big", true, false),
            (TokenExpired, 4001, "token_expired", true, false),
            (TooSlow, 4002, "too_slow", true, false),
            (PingTimeout, 4003, "ping_timeout", true, true),
            (StateLost, 4004, "state_lost", true, false),
            (Kicked, 4100, "kicked", false, true),
            (Banned, 4101, "banned", false, true),
            (TokenRevoked, 4102, "token_revoked", false, true),
            (TooManyErrors, 4103, "too_many_errors", false, true),
            (RoomClosed, 4104, "room_closed", false, true),
        ] {
            assert_eq!((code.number(), code.reason()), (number, reason));
            assert_eq!(code.should_reconnect(), should_reconnect, "{reason}");
            assert_eq!(code.is_final(), is_final, "{reason}");
            // A close frame holds 125 bytes, 2 of them the code (RFC 6455, section 5.5).
            assert!(reason.len() <= 123);
        }
    }
}
