//! Refusals: HTTP error responses to join and API requests (RFC 9457).

use serde::Serialize;

use crate::{capability::Capability, ids::Reference, reply::Failure};

/// The reason why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The room's name is invalid.
    BadRoom,
    /// A query option, header or body is invalid; the text describes the fault.
    BadRequest(&'static str),
    /// Like `BadRequest`, but the text quotes parts of the request that are not secret.
    InvalidInput(String),
    /// The request has no token.
    TokenMissing,
    /// The request has no token, and its cookies do not identify a signed-in user.
    NotSignedIn,
    /// The token is invalid; the text describes the failed check.
    TokenInvalid(&'static str),
    /// A claim of the token is invalid; the text names it and describes the fault.
    ClaimInvalid(String),
    /// `exp` has passed.
    TokenExpired,
    /// The user's tokens that were issued before a moment have been ended.
    TokenEnded,
    /// `nbf` is in the future.
    TokenNotYetValid,
    /// The token grants nothing in this room.
    RoomForbidden,
    /// The token does not grant this capability in the room.
    NotGranted(Capability),
    /// The user is banned from the room.
    Banned {
        /// Seconds until the ban ends.
        seconds: u64,
    },
    /// The page's origin is not allowed; the text says what to do.
    OriginForbidden(String),
    /// The path does not exist.
    NotFound,
    /// The path does not support the method; these are allowed.
    MethodNotAllowed(Vec<&'static str>),
    /// The room has no such message, or none any more.
    MessageNotFound,
    /// The message has this version, which `If-Match` does not name.
    VersionConflict {
        /// The version.
        version: u64,
    },
    /// No text can be appended to the message; the text says why.
    NotAppendable(&'static str),
    /// A body or a message exceeds its size limit; the text names it.
    TooLarge(&'static str),
    /// The join request is valid, but is not a WebSocket upgrade.
    UpgradeRequired,
    /// The user has reached the limit of connections to the room.
    TooManyConnections,
    /// The caller exceeds the rate limit.
    RateLimited {
        /// Seconds until the next request is allowed; 1 or more.
        seconds: u64,
    },
    /// The room has reached its limit of connections.
    RoomFull,
    /// The room or the isolate has more requests than it can handle.
    Overloaded,
    /// A setting is invalid; the text names it, never its value.
    Misconfigured(String),
    /// A health check failed, because a setting is invalid; the text names it, never its value.
    Unhealthy(String),
    /// The identity provider's keys or the application's response for a cookie session are
    /// unavailable.
    AuthUnavailable,
    /// The application's response for a cookie session cannot be used; the text says why.
    SessionUnusable(String),
    /// An internal error.
    Internal,
}

/// The `retry-after` of a full room and other temporary refusals, in seconds.
const RETRY_AFTER_SECONDS: &str = "10";
/// The same for a `join` command.
const RETRY_AFTER_MS: u64 = 10_000;
/// The time after which a `join` command that failed may be sent again.
const RETRY_INTERNAL_MS: u64 = 1_000;

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::TooLarge(message) => Self::TooLarge(message),
            Failure::NotFound => Self::MessageNotFound,
            // Its callers may change every message.
            Failure::Forbidden => Self::NotGranted(Capability::Serve),
            Failure::Conflict { version } => Self::VersionConflict { version },
            Failure::Unsuitable(message) => Self::NotAppendable(message),
            Failure::Internal(_) => Self::Internal,
        }
    }
}

impl Refusal {
    /// Returns the refusal of a request that exceeds a rate for some milliseconds.
    pub fn rate_limited(ms: u64) -> Self {
        Self::RateLimited {
            seconds: ms.div_ceil(1000),
        }
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::BadRoom | Self::BadRequest(_) | Self::InvalidInput(_) => 400,
            Self::TokenMissing
            | Self::NotSignedIn
            | Self::TokenInvalid(_)
            | Self::ClaimInvalid(_)
            | Self::TokenExpired
            | Self::TokenEnded
            | Self::TokenNotYetValid => 401,
            Self::RoomForbidden
            | Self::NotGranted(_)
            | Self::Banned { .. }
            | Self::OriginForbidden(_) => 403,
            Self::NotFound | Self::MessageNotFound => 404,
            Self::MethodNotAllowed(_) => 405,
            Self::NotAppendable(_) => 409,
            Self::VersionConflict { .. } => 412,
            Self::TooLarge(_) => 413,
            Self::UpgradeRequired => 426,
            Self::TooManyConnections | Self::RateLimited { .. } => 429,
            Self::Misconfigured(_) | Self::Internal => 500,
            Self::RoomFull
            | Self::Overloaded
            | Self::AuthUnavailable
            | Self::SessionUnusable(_)
            | Self::Unhealthy(_) => 503,
        }
    }

    /// Returns the stable code, on which clients branch.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadRoom => "bad_room",
            Self::BadRequest(_) | Self::InvalidInput(_) => "bad_request",
            Self::TokenMissing | Self::NotSignedIn => "token_missing",
            Self::TokenInvalid(_) | Self::ClaimInvalid(_) => "token_invalid",
            Self::TokenExpired | Self::TokenEnded => "token_expired",
            Self::TokenNotYetValid => "token_not_yet_valid",
            Self::RoomForbidden | Self::NotGranted(_) => "room_forbidden",
            Self::Banned { .. } => "banned",
            Self::OriginForbidden(_) => "origin_forbidden",
            Self::NotFound | Self::MessageNotFound => "not_found",
            Self::NotAppendable(_) => "not_appendable",
            Self::VersionConflict { .. } => "conflict",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::TooLarge(_) => "too_large",
            Self::UpgradeRequired => "upgrade_required",
            Self::TooManyConnections => "too_many_connections",
            Self::RateLimited { .. } => "rate_limited",
            Self::RoomFull => "room_full",
            Self::Overloaded => "overloaded",
            Self::Misconfigured(_) | Self::Unhealthy(_) => "misconfigured",
            Self::AuthUnavailable | Self::SessionUnusable(_) => "auth_unavailable",
            Self::Internal => "internal",
        }
    }

    /// Returns the status's phrase in RFC 9110.
    fn title(&self) -> &'static str {
        match self.status() {
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            409 => "Conflict",
            412 => "Precondition Failed",
            413 => "Content Too Large",
            426 => "Upgrade Required",
            429 => "Too Many Requests",
            503 => "Service Unavailable",
            _ => "Internal Server Error",
        }
    }

    /// Returns what is wrong and what to do, for a person.
    pub fn detail(&self) -> &str {
        match self {
            Self::BadRoom => {
                "A room name must be 1 to 128 characters of A-Z a-z 0-9 _ - . : @ ~, but not '.' or '..'"
            }
            Self::BadRequest(detail)
            | Self::TokenInvalid(detail)
            | Self::NotAppendable(detail)
            | Self::TooLarge(detail) => detail,
            Self::TokenMissing => {
                "Send a token: as 'Authorization: Bearer <jwt>' or, to join a room, as the WebSocket subprotocol 'bearer.<jwt>' along with 'snug.v1'"
            }
            Self::NotSignedIn => "Not signed in: sign in to the application, or send a token",
            Self::TokenExpired => "The token has expired: send a new one",
            Self::TokenEnded => {
                "The application has ended the user's earlier tokens: send a new one"
            }
            Self::TokenNotYetValid => "The token is not valid yet",
            Self::RoomForbidden => "The token grants nothing in this room",
            Self::NotGranted(needed) => not_granted(*needed),
            Self::Banned { .. } => "The user is banned from this room; see 'Retry-After'",
            Self::NotFound => "This path does not exist",
            Self::MessageNotFound => "The room has no message with this offset, or none any more",
            Self::VersionConflict { .. } => {
                "The message has another version than 'If-Match' names: see 'version'"
            }
            Self::MethodNotAllowed(_) => "This path does not support this method; see 'Allow'",
            Self::UpgradeRequired => {
                "The token and the room are valid: connect with a WebSocket ('Upgrade: websocket')"
            }
            Self::TooManyConnections => {
                "This user has reached the limit of connections to the room"
            }
            Self::RateLimited { .. } => "Too many requests: slow down",
            Self::RoomFull => "The room has reached its limit of connections",
            Self::Overloaded => "Too many requests at once: try again later",
            Self::ClaimInvalid(detail)
            | Self::SessionUnusable(detail)
            | Self::InvalidInput(detail)
            | Self::Misconfigured(detail)
            | Self::Unhealthy(detail)
            | Self::OriginForbidden(detail) => detail,
            Self::AuthUnavailable => "Authentication is temporarily unavailable: try again",
            Self::Internal => "Internal error; trying again may help",
        }
    }

    /// Returns the time after which the same request may succeed; `None` if it will not.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::RateLimited { seconds } => Some(seconds.saturating_mul(1000)),
            Self::TooManyConnections
            | Self::RoomFull
            | Self::Overloaded
            | Self::AuthUnavailable
            | Self::SessionUnusable(_) => Some(RETRY_AFTER_MS),
            Self::Internal => Some(RETRY_INTERNAL_MS),
            _ => None,
        }
    }

    /// Returns the detail for the log; `None` if it quotes names that the client made up, because they
    /// may be anything.
    pub fn loggable_detail(&self) -> Option<&str> {
        (!matches!(self, Self::InvalidInput(_))).then(|| self.detail())
    }

    /// Returns the response header that the status needs, besides the content type.
    pub fn header(&self) -> Option<(&'static str, String)> {
        let (name, value) = match self {
            Self::MethodNotAllowed(allowed) => return Some(("allow", allowed.join(", "))),
            Self::Banned { seconds } | Self::RateLimited { seconds } => {
                return Some(("retry-after", seconds.to_string()));
            }
            _ => match self.status() {
                401 => ("www-authenticate", "Bearer"),
                // Required by RFC 9110, section 15.5.22, although workerd removes it.
                426 => ("upgrade", "websocket"),
                429 | 503 => ("retry-after", RETRY_AFTER_SECONDS),
                _ => return None,
            },
        };
        Some((name, value.to_owned()))
    }

    /// Returns the `application/problem+json` body. The log line has the same reference.
    pub fn body(&self, reference: Reference) -> Problem<'_> {
        Problem {
            kind: "about:blank",
            title: self.title(),
            status: self.status(),
            detail: self.detail(),
            code: self.code(),
            version: match self {
                Self::VersionConflict { version } => Some(*version),
                _ => None,
            },
            reference,
        }
    }
}

fn not_granted(needed: Capability) -> &'static str {
    match needed {
        Capability::Receive => "The token does not grant 'receive' in this room",
        Capability::Publish => "The token does not grant 'publish' in this room",
        Capability::Signal => "The token does not grant 'signal' in this room",
        Capability::Presence => "The token does not grant 'presence' in this room",
        Capability::History => "The token does not grant 'history' in this room",
        Capability::Edit => "The token does not grant 'edit' in this room",
        Capability::Delete => "The token does not grant 'delete' in this room",
        Capability::React => "The token does not grant 'react' in this room",
        Capability::Receipts => "The token does not grant 'receipts' in this room",
        Capability::EditAny => "The token does not grant 'edit_any' in this room",
        Capability::DeleteAny => "The token does not grant 'delete_any' in this room",
        Capability::Moderate => "The token does not grant 'moderate' in this room",
        Capability::Serve => "The token does not grant 'serve' in this room",
    }
}

/// A problem object (RFC 9457), extended by `code`, on which clients branch, and `ref`, by which the
/// operator finds the log line.
#[derive(Debug, Serialize)]
pub struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(rename = "ref")]
    reference: Reference,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_status_code_and_header() {
        let bearer = Some("www-authenticate: Bearer");
        let later = Some("retry-after: 10");
        for (refusal, status, code, header) in [
            (Refusal::BadRoom, 400, "bad_room", None),
            (Refusal::MessageNotFound, 404, "not_found", None),
            (Refusal::NotAppendable("why"), 409, "not_appendable", None),
            (
                Refusal::VersionConflict { version: 2 },
                412,
                "conflict",
                None,
            ),
            (Refusal::BadRequest("why"), 400, "bad_request", None),
            (
                Refusal::InvalidInput("why".into()),
                400,
                "bad_request",
                None,
            ),
            (Refusal::TokenMissing, 401, "token_missing", bearer),
            (Refusal::TokenInvalid("why"), 401, "token_invalid", bearer),
            (
                Refusal::ClaimInvalid("why".into()),
                401,
                "token_invalid",
                bearer,
            ),
            (
                Refusal::SessionUnusable("why".into()),
                503,
                "auth_unavailable",
                later,
            ),
            (Refusal::TokenExpired, 401, "token_expired", bearer),
            (Refusal::TokenEnded, 401, "token_expired", bearer),
            (
                Refusal::TokenNotYetValid,
                401,
                "token_not_yet_valid",
                bearer,
            ),
            (Refusal::NotSignedIn, 401, "token_missing", bearer),
            (
                Refusal::Banned { seconds: 60 },
                403,
                "banned",
                Some("retry-after: 60"),
            ),
            (Refusal::RoomForbidden, 403, "room_forbidden", None),
            (
                Refusal::NotGranted(Capability::Serve),
                403,
                "room_forbidden",
                None,
            ),
            (
                Refusal::OriginForbidden("why".into()),
                403,
                "origin_forbidden",
                None,
            ),
            (Refusal::NotFound, 404, "not_found", None),
            (
                Refusal::MethodNotAllowed(vec!["GET", "HEAD"]),
                405,
                "method_not_allowed",
                Some("allow: GET, HEAD"),
            ),
            (Refusal::TooLarge("why"), 413, "too_large", None),
            (
                Refusal::RateLimited { seconds: 3 },
                429,
                "rate_limited",
                Some("retry-after: 3"),
            ),
            (
                Refusal::UpgradeRequired,
                426,
                "upgrade_required",
                Some("upgrade: websocket"),
            ),
            (
                Refusal::TooManyConnections,
                429,
                "too_many_connections",
                later,
            ),
            (
                Refusal::Misconfigured("why".into()),
                500,
                "misconfigured",
                None,
            ),
            (Refusal::Internal, 500, "internal", None),
            (Refusal::RoomFull, 503, "room_full", later),
            (Refusal::Overloaded, 503, "overloaded", later),
            (Refusal::AuthUnavailable, 503, "auth_unavailable", later),
            (
                Refusal::Unhealthy("why".into()),
                503,
                "misconfigured",
                later,
            ),
        ] {
            assert_eq!((refusal.status(), refusal.code()), (status, code));
            let written = refusal
                .header()
                .map(|(name, value)| format!("{name}: {value}"));
            assert_eq!(written.as_deref(), header, "{code}");
        }
    }

    #[test]
    fn the_body_is_a_problem_with_a_detail() {
        let body = Refusal::BadRequest("'echo' must be 0 or 1").body(Reference::new(0));
        assert_eq!(
            serde_json::to_value(body).unwrap(),
            serde_json::json!({
                "type": "about:blank",
                "title": "Bad Request",
                "status": 400,
                "detail": "'echo' must be 0 or 1",
                "code": "bad_request",
                "ref": "00000000"
            })
        );
    }
}
