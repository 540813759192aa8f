//! Error codes, after which a connection stays open, and close codes, which end it.

use crate::names::named_enum;

named_enum! {
    /// The reason why a command was rejected. The connection stays open.
    pub enum ErrorCode {
        /// The text is not JSON, or is nested too deeply.
        BadJson = "bad_json",
        /// The JSON is not a valid command.
        BadCommand = "bad_command",
        /// The `type` is unknown to this version.
        UnknownCommand = "unknown_command",
        /// The connection has not joined the room.
        NotJoined = "not_joined",
        /// The token does not grant the required capability.
        Forbidden = "forbidden",
        /// The new token is invalid, or belongs to another user.
        TokenInvalid = "token_invalid",
        /// The new token has expired.
        TokenExpired = "token_expired",
        /// A size limit is exceeded.
        TooLarge = "too_large",
        /// The room has no such message, or none any more.
        NotFound = "not_found",
        /// The message's version is not the expected one, but `version`.
        Conflict = "conflict",
        /// The publish hook refused the message.
        Refused = "refused",
        /// The rate limit is exceeded; `retry_after_ms` is the time to wait.
        RateLimited = "rate_limited",
        /// An internal error. The command had no effect and may be retried.
        Internal = "internal",
    }
}

impl ErrorCode {
    /// Returns true if the same command may succeed later.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::RateLimited | Self::Internal)
    }

    /// Returns true if the error counts towards the limit that closes a connection. Rate-limited
    /// commands have their own limit, internal errors are not the client's fault, and a client
    /// cannot know in advance whether the publish hook refuses a message, whether it has just lost a room, or
    /// whether a message has just been changed or deleted.
    pub fn counts(self) -> bool {
        !self.is_retryable()
            && !matches!(
                self,
                Self::Refused | Self::NotJoined | Self::NotFound | Self::Conflict
            )
    }
}

/// The reason why the room closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseCode {
    /// The client sent a binary frame (RFC 6455, section 7.4.1).
    UnsupportedData,
    /// A frame or command exceeds its size limit (RFC 6455, section 7.4.1).
    MessageTooBig,
    /// The token has expired.
    TokenExpired,
    /// The client is a slow consumer: it reads more slowly than the room sends.
    TooSlow,
    /// The client sent nothing for `IDLE_TIMEOUT_MS`.
    PingTimeout,
    /// The connection's stored state cannot be read.
    StateLost,
    /// The link between the connection's gateway and the room has ended.
    Interrupted,
    /// The user was kicked.
    Kicked,
    /// The user was banned.
    Banned,
    /// The new token grants nothing in the room.
    TokenRevoked,
    /// The back end erased the room.
    RoomClosed,
    /// The client caused 20 errors within a minute, or ignored `rate_limited` for too long.
    TooManyErrors,
}

impl CloseCode {
    /// Returns the number on the wire. Clients reconnect after 40xx and the RFC's codes, not after 41xx.
    pub fn number(self) -> u16 {
        match self {
            Self::UnsupportedData => 1003,
            Self::MessageTooBig => 1009,
            Self::TokenExpired => 4001,
            Self::TooSlow => 4002,
            Self::PingTimeout => 4003,
            Self::StateLost => 4004,
            Self::Interrupted => 4005,
            Self::Kicked => 4100,
            Self::Banned => 4101,
            Self::TokenRevoked => 4102,
            Self::TooManyErrors => 4103,
            Self::RoomClosed => 4104,
        }
    }

    /// Returns the stable name, sent as the close frame's reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnsupportedData => "unsupported_data",
            Self::MessageTooBig => "message_too_big",
            Self::TokenExpired => "token_expired",
            Self::TooSlow => "too_slow",
            Self::PingTimeout => "ping_timeout",
            Self::StateLost => "state_lost",
            Self::Interrupted => "interrupted",
            Self::Kicked => "kicked",
            Self::Banned => "banned",
            Self::TokenRevoked => "token_revoked",
            Self::TooManyErrors => "too_many_errors",
            Self::RoomClosed => "room_closed",
        }
    }

    /// Returns true if the client should reconnect.
    pub fn should_reconnect(self) -> bool {
        self.number() < 4100
    }

    /// Returns true if the member leaves without a grace period: the connection exceeded the idle
    /// timeout, or the client must not reconnect.
    pub fn is_final(self) -> bool {
        matches!(self, Self::PingTimeout) || !self.should_reconnect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_have_their_wire_names_and_retryability() {
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
    fn close_codes_have_their_numbers_names_and_reconnect_rules() {
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
            // A close frame has at most 125 bytes, 2 of them for the code (RFC 6455, section 5.5).
            assert!(reason.len() <= 123);
        }
    }
}
