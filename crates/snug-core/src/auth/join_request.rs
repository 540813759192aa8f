//! Checks a join request before the WebSocket upgrade; results in an [`Admission`] or a [`Refusal`].
//!
//! [`JoinRequest::read`] checks the request's form and origin, [`crate::auth::token::Verification`] the
//! token, and [`JoinRequest::admit`] what the token grants in the room.

use std::rc::Rc;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    application::Application,
    auth::{
        origins::AllowedOrigins,
        token::{ClaimedLimits, Claims, TokenRules},
    },
    capability::{Capabilities, Grants},
    gateway::io::SessionAdmission,
    ids::{Offset, Origin, RoomName, Timestamp, UserId},
    limits::{EPOCH_BYTES_MAX, QUERY_BYTES_MAX, SAFE_INTEGER_MAX},
    protocol::refusal::Refusal,
    secret::Secret,
};

/// The WebSocket subprotocol. A client that offers it may receive several objects in one frame,
/// one per line.
pub const SUBPROTOCOL: &str = "snug.v1";

/// The operator's rules for join requests.
pub struct AdmissionRules {
    /// The rules for tokens.
    pub tokens: TokenRules,
    /// The application that identifies the user of a request without a token by its cookies.
    pub application: Option<Application>,
    /// The origins whose pages may connect.
    pub origins: AllowedOrigins,
    /// True if a token may be in the query (`?token=`).
    pub token_in_query: bool,
}

/// The parts of a join request that are checked, as received.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestParts<'a> {
    /// The path segment with the room's name, percent-encoded; empty if the path names none.
    pub room: &'a str,
    /// The query, without the `?`.
    pub query: &'a str,
    /// The scheme of the request's URL: `https`, or `http` on a developer's machine.
    pub scheme: &'a str,
    /// The host of the request's URL, with its port if it has one.
    pub host: &'a str,
    /// The `Origin` header.
    pub origin: Option<&'a str>,
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The `Sec-WebSocket-Protocol` header.
    pub protocols: Option<&'a str>,
}

/// A join request whose form and origin have been checked.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// The requested room.
    pub room: RoomName,
    /// The credential that identifies the user.
    pub credential: Credential,
    /// The origin of the page.
    pub origin: Option<Origin>,
    options: JoinOptions,
}

/// A request to open a connection for many rooms. Its form and origin are already checked.
#[derive(Clone, Debug)]
pub struct ConnectRequest {
    /// The credential that identifies the user.
    pub credential: Credential,
    /// The origin of the page.
    pub origin: Option<Origin>,
    lines: bool,
}

/// The credential of a join request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A token, from the first place that contains one.
    Token(Secret),
    /// A cookie session, which the application resolves to a user.
    Session(Application),
}

/// The options of a connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinOptions {
    /// True if the client offered `snug.v1`, so a frame may contain several objects.
    pub lines: bool,
    /// True if the connection receives its own messages.
    pub echo: bool,
    /// True if the connection receives presence pushes.
    pub presence: bool,
    /// The position to resume from.
    pub resume: Option<Position>,
    /// The number of newest messages to replay on a first join.
    pub last: Option<u64>,
    /// The extent of what is received. Only a session's joins can choose it.
    #[serde(default, skip_serializing_if = "Mode::is_full")]
    pub mode: Mode,
}

/// The extent of what a subscription receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything, and its user is a member.
    #[default]
    Full,
    /// The number of new messages and the newest one. Its user is not a member.
    Badge,
}

impl Mode {
    /// Returns true if it is the default.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full)
    }
}

impl Default for JoinOptions {
    fn default() -> Self {
        Self {
            lines: false,
            echo: true,
            presence: true,
            resume: None,
            last: None,
            mode: Mode::Full,
        }
    }
}

/// A client's position in the room's stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The epoch of the offset.
    pub epoch: String,
    /// The last offset that the client received.
    pub offset: Offset,
}

/// An accepted join request: the user, the user's rights, and the connection's options.
///
/// The Worker sends it to the room's object, which may run the version of Snug before or after the
/// Worker's. A new field therefore needs a default, and a field is still written for one version after
/// it has become unnecessary.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Admission {
    /// The user.
    pub user: UserId,
    /// The user's public profile, a JSON object.
    #[serde(default)]
    pub info: Option<Rc<RawValue>>,
    /// The capabilities granted in the room.
    pub can: Capabilities,
    /// The time at which the token expires.
    pub expires: Timestamp,
    /// The time at which the token was issued, or 0 if it does not say so. The latest possible time for
    /// a cookie session.
    #[serde(default)]
    pub issued: Timestamp,
    /// The limits set by the token.
    #[serde(default)]
    pub limits: ClaimedLimits,
    /// The connection's options.
    pub options: JoinOptions,
    /// The origin of the page, for the log.
    #[serde(default)]
    pub origin: Option<Origin>,
}

impl Admission {
    /// Returns the capabilities, and the rest as claims that grant nothing by themselves.
    pub(crate) fn into_claims(self) -> (Capabilities, Claims) {
        let claims = Claims {
            user: self.user,
            expires: self.expires,
            issued: self.issued,
            grants: Grants::default(),
            info: self.info,
            limits: self.limits,
        };
        (self.can, claims)
    }
}

impl ConnectRequest {
    /// Checks the request's form and origin, and finds its credential. Options of rooms are ignored.
    ///
    /// # Errors
    ///
    /// `bad_request`, `origin_forbidden`, or `token_missing` if there is no credential.
    pub fn read(request: &RequestParts<'_>, rules: &AdmissionRules) -> Result<Self, Refusal> {
        let ignored = |_: &str| Ok(JoinOptions::default());
        let (connect, _) = Self::read_with(ignored, request, rules)?;
        Ok(connect)
    }

    /// Accepts the user, whatever the claims grant: each join is checked.
    pub fn admit(self, claims: Claims) -> SessionAdmission {
        SessionAdmission {
            user: claims.user,
            info: claims.info,
            grants: claims.grants,
            expires: claims.expires,
            issued: claims.issued,
            limits: claims.limits,
            lines: self.lines,
            origin: self.origin,
        }
    }

    fn read_with(
        read_options: impl FnOnce(&str) -> Result<JoinOptions, Refusal>,
        request: &RequestParts<'_>,
        rules: &AdmissionRules,
    ) -> Result<(Self, JoinOptions), Refusal> {
        rules.origins.check(request.origin, request.host)?;
        let offer = Offer::read(request.protocols);
        if offer.is_foreign {
            return Err(Refusal::BadRequest(
                "Offer the WebSocket subprotocol 'snug.v1', or none",
            ));
        }
        check_query(request.query)?;
        let options = read_options(request.query)?;
        let token = request
            .authorization
            .and_then(bearer)
            .or(offer.token)
            .map(str::to_owned)
            .or_else(|| query_token(request.query).filter(|_| rules.token_in_query));
        let credential = match (token, &rules.application) {
            (Some(token), _) => Credential::Token(Secret(token)),
            (None, Some(application)) => {
                // Browsers send cookies with requests from any page, so the origin must be checked.
                let own = format!("{}://{}", request.scheme, request.host);
                rules.origins.check_cookies(request.origin, &own)?;
                Credential::Session(application.clone())
            }
            (None, None) => return Err(Refusal::TokenMissing),
        };
        let connect = Self {
            credential,
            origin: request.origin.map(Origin::new),
            lines: offer.lines,
        };
        let lines = offer.lines;
        Ok((connect, JoinOptions { lines, ..options }))
    }
}

impl JoinRequest {
    /// Checks the request's form and origin, and finds its credential.
    ///
    /// # Errors
    ///
    /// `bad_room`, `bad_request`, `origin_forbidden`, or `token_missing` if there is no credential.
    pub fn read(request: &RequestParts<'_>, rules: &AdmissionRules) -> Result<Self, Refusal> {
        let room = parse_room_name(request.room)?;
        let (connect, options) = ConnectRequest::read_with(read_options, request, rules)?;
        Ok(Self {
            room,
            credential: connect.credential,
            origin: connect.origin,
            options,
        })
    }

    /// Admits the user if the claims grant anything in the room.
    ///
    /// # Errors
    ///
    /// `room_forbidden` if they grant nothing.
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
            issued: claims.issued,
            limits: claims.limits,
            options: self.options,
            origin: self.origin,
        })
    }
}

/// Parses a room's name from a percent-encoded path segment.
///
/// # Errors
///
/// `bad_room` if it is not a valid name.
pub fn parse_room_name(segment: &str) -> Result<RoomName, Refusal> {
    let name = percent_decode_str(segment).decode_utf8();
    let name = name.ok().and_then(|name| RoomName::parse(&name));
    name.ok_or(Refusal::BadRoom)
}

/// Parses a user id from a percent-encoded path segment.
///
/// # Errors
///
/// `bad_request` if it is not a valid id.
pub fn parse_user_id(segment: &str) -> Result<UserId, Refusal> {
    let id = percent_decode_str(segment).decode_utf8();
    let id = id.ok().and_then(|id| UserId::parse(&id));
    id.ok_or(Refusal::BadRequest(
        "A user id must be 1 to 128 bytes of UTF-8 without control characters",
    ))
}

/// Returns the token of an `Authorization: Bearer` header.
///
/// # Errors
///
/// `token_missing` if the header is missing or has another scheme.
pub fn bearer_token(authorization: Option<&str>) -> Result<Secret, Refusal> {
    let token = authorization.and_then(bearer);
    let token = token.map(|token| Secret(token.to_owned()));
    token.ok_or(Refusal::TokenMissing)
}

/// Returns the token of an `Authorization: Bearer` header; `None` if the scheme is another.
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| rest.trim())
}

/// The subprotocols that the client offers.
#[derive(Default)]
struct Offer<'a> {
    lines: bool,
    token: Option<&'a str>,
    /// True if the client offers subprotocols without `snug.v1`. Since the server would select
    /// none, a browser would drop the connection.
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

/// Checks the length of a query, because it is parsed before the token is checked.
///
/// # Errors
///
/// `bad_request` if it is longer than [`QUERY_BYTES_MAX`].
pub fn check_query(query: &str) -> Result<(), Refusal> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(Refusal::BadRequest("The query must not exceed 16 KiB"));
    }
    Ok(())
}

/// Returns the token in the query.
fn query_token(query: &str) -> Option<String> {
    let options = form_urlencoded::parse(query.as_bytes());
    let tokens = options.filter(|(name, _)| name == "token");
    tokens.last().map(|(_, token)| token.into_owned())
}

/// Reads the options in the query. Unknown ones are ignored.
fn read_options(query: &str) -> Result<JoinOptions, Refusal> {
    let mut options = JoinOptions::default();
    let (mut epoch, mut offset) = (None, None);
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
            _ => {}
        }
    }
    options.resume = match (epoch, offset) {
        (Some(epoch), Some(offset)) => Some(Position { epoch, offset }),
        (None, None) => None,
        _ => {
            return Err(Refusal::BadRequest(
                "'epoch' and 'offset' must be given together",
            ));
        }
    };
    Ok(options)
}

fn flag(value: &str, error: &'static str) -> Result<bool, Refusal> {
    match value {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err(Refusal::BadRequest(error)),
    }
}

/// Parses an integer from 0 to 2^53 - 1; `error` is the refusal's text.
pub(crate) fn parse_integer(value: &str, error: &'static str) -> Result<u64, Refusal> {
    let is_digits = value.bytes().all(|byte| byte.is_ascii_digit());
    value
        .parse()
        .ok()
        .filter(|number| is_digits && *number <= SAFE_INTEGER_MAX)
        .ok_or(Refusal::BadRequest(error))
}

#[cfg(test)]
mod tests;
