//! The door: from a request to an [`Admission`], or to a [`Refusal`] before any upgrade.
//!
//! [`JoinRequest::read`] looks at the request's form and origin, [`crate::auth::token::verify`] at the token, and
//! [`JoinRequest::admit`] at what the token grants in the room.

use std::rc::Rc;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    auth::token::{ClaimedLimits, Claims, TokenRules},
    capability::Capabilities,
    ids::{Offset, RoomName, Timestamp, UserId},
    limits::{EPOCH_BYTES_MAX, SAFE_INTEGER_MAX},
    protocol::refusal::Refusal,
    secret::Secret,
    service_url::ServiceUrl,
};

/// The subprotocol that frames several objects, one a line.
pub const SUBPROTOCOL: &str = "snug.v1";

/// What the operator asks of those who come.
pub struct AdmissionRules {
    /// Which tokens hold.
    pub tokens: TokenRules,
    /// The application that knows who comes without a token.
    pub application: Option<ServiceUrl>,
    /// Which pages may connect.
    pub origins: AllowedOrigins,
    /// Whether `?token=` is looked at.
    pub token_in_query: bool,
}

/// The parts of a request that the door looks at, as they came.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestParts<'a> {
    /// The path's segment that names the room, percent-encoded.
    pub room: &'a str,
    /// What follows `?`.
    pub query: &'a str,
    /// The scheme by which it was asked: `https`, or `http` on a developer's machine.
    pub scheme: &'a str,
    /// The host, with its port where it has one, that was asked.
    pub host: &'a str,
    /// The `Origin` header.
    pub origin: Option<&'a str>,
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The `Sec-WebSocket-Protocol` header.
    pub protocols: Option<&'a str>,
}

/// A request whose form and origin are fine.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// The room asked for.
    pub room: RoomName,
    /// What shows who asks.
    pub credential: Credential,
    options: JoinOptions,
}

/// What shows who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A token, from the first place that had one.
    Token(Secret),
    /// Cookies, of which the application at this address knows whose they are.
    Session(ServiceUrl),
}

/// What a connection asked for beside the room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinOptions {
    /// Whether `snug.v1` was offered: frames may hold several objects.
    pub lines: bool,
    /// Whether its own messages are sent to it too.
    pub echo: bool,
    /// Whether presence is pushed to it.
    pub presence: bool,
    /// Where to resume.
    pub resume: Option<Position>,
    /// How many of the newest messages to replay on a first join.
    pub last: Option<u64>,
}

/// A place in the room's stream that a client names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The epoch it counts in.
    pub epoch: String,
    /// The last offset it has seen.
    pub offset: Offset,
}

/// Who may connect, as what, with which wishes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Admission {
    /// The user.
    pub user: UserId,
    /// Its public profile, a JSON object.
    pub info: Option<Rc<RawValue>>,
    /// What it may do.
    pub can: Capabilities,
    /// When its token ends.
    pub expires: Timestamp,
    /// The token's own bounds.
    pub limits: ClaimedLimits,
    /// What it asked for.
    pub options: JoinOptions,
}

impl JoinRequest {
    /// Looks at the request's form, then at its origin, then for a token.
    ///
    /// # Errors
    ///
    /// `bad_room`, `bad_request`, `origin_forbidden`, `token_missing`.
    pub fn read(request: &RequestParts<'_>, rules: &AdmissionRules) -> Result<Self, Refusal> {
        let room = parse_room_name(request.room)?;
        rules.origins.check(request.origin, request.host)?;
        let offer = Offer::read(request.protocols);
        if offer.is_foreign {
            return Err(Refusal::BadRequest(
                "Offer the WebSocket subprotocol 'snug.v1', or none",
            ));
        }
        let (options, query_token) = read_query(request.query)?;
        let token = request
            .authorization
            .and_then(bearer)
            .or(offer.token)
            .map(str::to_owned)
            .or_else(|| query_token.filter(|_| rules.token_in_query));
        let credential = match (token, &rules.application) {
            (Some(token), _) => Credential::Token(Secret(token)),
            (None, Some(application)) => {
                // Browsers send cookies whatever page asks, so that its origin is what counts.
                let own = format!("{}://{}", request.scheme, request.host);
                let is_ours = |origin| rules.origins.allow_cookies(origin, &own);
                if !request.origin.is_none_or(is_ours) {
                    return Err(Refusal::OriginForbidden);
                }
                Credential::Session(application.clone())
            }
            (None, None) => return Err(Refusal::TokenMissing),
        };
        Ok(Self {
            room,
            credential,
            options: JoinOptions {
                lines: offer.lines,
                ..options
            },
        })
    }

    /// Looks at what the token grants in the room.
    ///
    /// # Errors
    ///
    /// `room_forbidden`.
    pub fn admit(self, claims: Claims) -> Result<Admission, Refusal> {
        let can = claims
            .grants
            .for_room(&self.room)
            .ok_or(Refusal::RoomForbidden)?;
        Ok(Admission {
            user: claims.user,
            info: claims.info,
            can,
            expires: claims.expires,
            limits: claims.limits,
            options: self.options,
        })
    }
}

/// Reads the path's segment that names a room.
///
/// # Errors
///
/// `bad_room`.
pub fn parse_room_name(segment: &str) -> Result<RoomName, Refusal> {
    let name = percent_decode_str(segment).decode_utf8();
    let name = name.ok().and_then(|name| RoomName::parse(&name));
    name.ok_or(Refusal::BadRoom)
}

/// Reads the path's segment that names a user.
///
/// # Errors
///
/// `bad_request`.
pub fn parse_user_id(segment: &str) -> Result<UserId, Refusal> {
    let id = percent_decode_str(segment).decode_utf8();
    let id = id.ok().and_then(|id| UserId::parse(&id));
    id.ok_or(Refusal::BadRequest(
        "A user's id has 1 to 128 bytes of UTF-8 without control characters",
    ))
}

/// The token of a request that has it in its `Authorization` header or not at all.
///
/// # Errors
///
/// `token_missing`.
pub fn bearer_token(authorization: Option<&str>) -> Result<Secret, Refusal> {
    let token = authorization.and_then(bearer);
    let token = token.map(|token| Secret(token.to_owned()));
    token.ok_or(Refusal::TokenMissing)
}

/// The token of an `Authorization: Bearer` header; `None` for another scheme.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
}

/// The subprotocols offered.
#[derive(Default)]
struct Offer<'a> {
    lines: bool,
    token: Option<&'a str>,
    /// Something was offered, and `snug.v1` was not in it: a browser would drop the connection.
    is_foreign: bool,
}

impl<'a> Offer<'a> {
    fn read(protocols: Option<&'a str>) -> Self {
        let offered = || {
            protocols
                .into_iter()
                .flat_map(|list| list.split(','))
                .map(str::trim)
        };
        let lines = offered().any(|name| name == SUBPROTOCOL);
        Self {
            lines,
            token: offered().find_map(|name| name.strip_prefix("bearer.")),
            is_foreign: !lines && offered().any(|name| !name.is_empty()),
        }
    }
}

/// Reads the query's options, and the token where it has one. Unknown options are ignored.
fn read_query(query: &str) -> Result<(JoinOptions, Option<String>), Refusal> {
    let mut options = JoinOptions {
        lines: false,
        echo: true,
        presence: true,
        resume: None,
        last: None,
    };
    let (mut epoch, mut offset, mut token) = (None, None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "echo" => options.echo = flag(&value, "'echo' must be 0 or 1")?,
            "presence" => options.presence = flag(&value, "'presence' must be 0 or 1")?,
            "last" => options.last = Some(parse_integer(&value, "'last' must be a whole number")?),
            "offset" => {
                offset = Some(Offset(parse_integer(
                    &value,
                    "'offset' must be a whole number",
                )?))
            }
            "epoch" if (1..=EPOCH_BYTES_MAX).contains(&value.len()) => {
                epoch = Some(value.into_owned())
            }
            "epoch" => return Err(Refusal::BadRequest("'epoch' must have 1 to 64 bytes")),
            "token" => token = Some(value.into_owned()),
            _ => {}
        }
    }
    options.resume = match (epoch, offset) {
        (Some(epoch), Some(offset)) => Some(Position { epoch, offset }),
        (None, None) => None,
        _ => return Err(Refusal::BadRequest("'epoch' and 'offset' go together")),
    };
    Ok((options, token))
}

fn flag(value: &str, wanted: &'static str) -> Result<bool, Refusal> {
    match value {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(Refusal::BadRequest(wanted)),
    }
}

pub(crate) fn parse_integer(value: &str, wanted: &'static str) -> Result<u64, Refusal> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|number| digits && *number <= SAFE_INTEGER_MAX)
        .ok_or(Refusal::BadRequest(wanted))
}

/// The pages that may connect: those of the host itself, and those listed.
///
/// Browsers send `Origin` with every WebSocket and do not hold WebSockets to CORS, so this is
/// what keeps another site's page from using a visitor's cookies or tokens (RFC 6455, 10.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    any: bool,
    listed: Vec<String>,
}

impl AllowedOrigins {
    /// Reads `*`, or origins separated by commas; `None` where one is not an origin.
    pub fn parse(list: &str) -> Option<Self> {
        if list.trim() == "*" {
            return Some(Self {
                any: true,
                listed: Vec::new(),
            });
        }
        let listed: Vec<_> = list
            .split(',')
            .map(|one| one.trim().to_ascii_lowercase())
            .collect();
        listed
            .iter()
            .all(|one| is_origin(one))
            .then_some(Self { any: false, listed })
    }

    /// Looks at the `Origin` header of a request to this host. One without is not a browser's, and
    /// may come.
    ///
    /// # Errors
    ///
    /// `origin_forbidden`.
    pub fn check(&self, origin: Option<&str>, host: &str) -> Result<(), Refusal> {
        let may_come = origin.is_none_or(|origin| self.allow(origin, host));
        may_come.then_some(()).ok_or(Refusal::OriginForbidden)
    }

    /// Whether a page of this origin may connect to this host. `null` never may: any page can
    /// have that origin by way of a sandboxed frame.
    pub fn allow(&self, origin: &str, host: &str) -> bool {
        let Some((_, authority)) = origin.split_once("://") else {
            return false;
        };
        self.any || authority.eq_ignore_ascii_case(host) || self.lists(origin)
    }

    /// Whether it may with its visitor's cookies. As in CORS, `*` does not extend to them; and the
    /// own origin counts as a whole, or whoever can answer for its host without encryption could
    /// use them.
    pub fn allow_cookies(&self, origin: &str, own: &str) -> bool {
        origin.eq_ignore_ascii_case(own) || self.lists(origin)
    }

    fn lists(&self, origin: &str) -> bool {
        self.listed.contains(&origin.to_ascii_lowercase())
    }
}

/// Whether the text is a scheme, a host and perhaps a port, as browsers write an origin.
fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, host)| {
        !scheme.is_empty()
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !host.is_empty()
            && !host.contains(['/', '?', '#', '*', '@', ' '])
    })
}

#[cfg(test)]
mod tests;
