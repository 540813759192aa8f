//! Requests to the HTTP API.
//!
//! The Worker turns an HTTP request into an [`ApiRequest`] and passes it to the room's object along
//! with the body. [`crate::Room`] handles it like a command.

mod change;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    auth::{
        parse_integer,
        token::{ClaimedLimits, Claims, numeric_date},
    },
    capability::{Capabilities, Capability},
    config::RoomRules,
    ids::{Offset, Origin, RoomName, Timestamp, UserId},
    limits::{
        API_MESSAGES_MAX, API_ROOMS_MAX, BAN_SECONDS_MAX, EVENT_BYTES_MAX, FRAME_BYTES_MAX,
        KEY_BYTES_MAX, PAGE_MESSAGES_DEFAULT, PAGE_MESSAGES_MAX, PUBLISH_TIME_MIN,
        REASON_BYTES_MAX, UNKNOWN_NAME_CHARS_MAX,
    },
    protocol::{
        command::{BAN_TOO_LONG, EVENT_TOO_LONG, KEY_OUT_OF_BOUNDS, REASON_TOO_LONG},
        json,
        page::{LIMIT_OUT_OF_BOUNDS, PageRequest},
        refusal::Refusal,
    },
    reply::{HistoryPage, MemberList, Reply, RoomStatus, WebhookCounts},
};

pub use self::change::{ChangeRequest, RequestedAction, read_change_body};

/// Identifies an API request while it waits for its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiRequestId(pub u64);

/// An API request whose token grants the operation. Like [`crate::Admission`], it has to be readable
/// by the version of Snug before and after this one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiRequest {
    /// The caller.
    pub caller: Caller,
    /// The operation.
    pub operation: ApiOperation,
}

/// The caller of an API request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Caller {
    /// The token's user.
    pub user: UserId,
    /// The capabilities granted in the room.
    pub can: Capabilities,
    /// The time at which the token was issued, or 0 if it does not say so.
    #[serde(default)]
    pub issued: Timestamp,
    /// The limits set by the token.
    #[serde(default)]
    pub limits: ClaimedLimits,
    /// The origin of the page, for the log.
    #[serde(default)]
    pub origin: Option<Origin>,
}

/// An operation on a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiOperation {
    /// Store the messages in the body as one batch, and send them to all.
    Publish,
    /// Change a message, as the body says.
    Change(ChangeRequest),
    /// A page of stored messages.
    Messages(PageRequest),
    /// List the members.
    Members,
    /// Close a user's connections.
    Kick {
        /// The user.
        user: UserId,
        /// The reason sent to the user.
        reason: Option<String>,
        /// As in [`crate::protocol::command::Command::Kick`].
        ban_seconds: Option<u64>,
        /// If given, ends the user's tokens that were issued before this time, in place of a ban. A
        /// version that does not know it bans the user, which also keeps those tokens out.
        #[serde(default)]
        issued_before: Option<Timestamp>,
    },
    /// Return the room's status.
    Describe,
    /// Close all connections, and erase everything stored.
    Erase,
    /// List dead events.
    DeadEvents {
        /// The `seq` after which the page starts.
        after: u64,
        /// The most events.
        limit: u32,
    },
}

impl ApiRequest {
    /// Admits the request if the claims grant the operation in the room.
    ///
    /// # Errors
    ///
    /// `room_forbidden` if they do not.
    pub fn admit(
        claims: Claims,
        room: &RoomName,
        operation: ApiOperation,
        origin: Option<Origin>,
    ) -> Result<Self, Refusal> {
        let can = claims.grants.for_room(room).ok_or(Refusal::RoomForbidden)?;
        let needed = operation.needs();
        if !can.has(needed) {
            return Err(Refusal::NotGranted(needed));
        }
        let caller = Caller {
            user: claims.user,
            can,
            issued: claims.issued,
            limits: claims.limits,
            origin,
        };
        Ok(Self { caller, operation })
    }
}

impl ApiRequest {
    /// Validates the body as the room will do later.
    ///
    /// # Errors
    ///
    /// `bad_request` or `too_large`.
    pub fn check(&self, body: &str, rules: &RoomRules) -> Result<(), Refusal> {
        match self.operation {
            ApiOperation::Publish => {
                read_messages(body, self.caller.message_bytes_max(rules)).map(drop)
            }
            ApiOperation::Change(ref request) => {
                read_change_body(request, body, self.caller.message_bytes_max(rules)).map(drop)
            }
            _ => Ok(()),
        }
    }
}

impl Caller {
    pub(crate) fn message_bytes_max(&self, rules: &RoomRules) -> usize {
        self.limits.message_bytes_max(rules.message_bytes_max)
    }
}

impl ApiOperation {
    /// Returns the required capability.
    pub fn needs(&self) -> Capability {
        match self {
            Self::Publish
            | Self::Change(_)
            | Self::Describe
            | Self::Erase
            | Self::DeadEvents { .. } => Capability::Serve,
            Self::Messages(_) => Capability::History,
            Self::Members => Capability::Presence,
            Self::Kick { .. } => Capability::Moderate,
        }
    }

    /// Returns true if the request has a body.
    pub fn has_body(&self) -> bool {
        match self {
            Self::Publish => true,
            Self::Change(request) => !matches!(request.action, RequestedAction::Delete { .. }),
            _ => false,
        }
    }

    /// Returns the operation if its query has no options.
    ///
    /// # Errors
    ///
    /// `bad_request` if it has any.
    pub fn without_options(self, query: &str) -> Result<Self, Refusal> {
        check_no_options(query).map(|()| self)
    }

    /// Reads a request for a page of history from a query.
    ///
    /// # Errors
    ///
    /// `bad_request` if an option is invalid or unknown.
    pub fn messages(query: &str) -> Result<Self, Refusal> {
        let (mut after, mut before, mut limit) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "after" => after = Some(parse_integer(&value, "'after' must be a whole number")?),
                "before" => {
                    before = Some(parse_integer(&value, "'before' must be a whole number")?)
                }
                "limit" => limit = Some(parse_integer(&value, "'limit' must be a whole number")?),
                _ => return Err(unknown_option(&name, "'after', 'before' and 'limit'")),
            }
        }
        let limit = limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
        let page = PageRequest::read(after.map(Offset), before.map(Offset), limit);
        page.map(Self::Messages).map_err(Refusal::BadRequest)
    }

    /// Reads a request to edit a message, or to append to it. `if_match` is the header of that name.
    ///
    /// # Errors
    ///
    /// `bad_request` if the offset, the header or the query is invalid; `not_found` if no message can have the
    /// offset.
    pub fn change(
        message: &str,
        action: RequestedAction,
        if_match: Option<&str>,
        query: &str,
    ) -> Result<Self, Refusal> {
        check_no_options(query)?;
        Self::change_of(message, action, if_match)
    }

    /// Reads a request to delete a message.
    ///
    /// # Errors
    ///
    /// As [`Self::change`].
    pub fn delete(message: &str, if_match: Option<&str>, query: &str) -> Result<Self, Refusal> {
        let (mut reason, mut user, mut key) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "reason" if value.len() > REASON_BYTES_MAX => {
                    return Err(Refusal::BadRequest(REASON_TOO_LONG));
                }
                "reason" => reason = Some(value.into_owned()),
                "user" => {
                    let parsed = UserId::parse(&value);
                    user = Some(parsed.ok_or(Refusal::BadRequest(BAD_AUTHOR))?);
                }
                "key" if !(1..=KEY_BYTES_MAX).contains(&value.len()) => {
                    return Err(Refusal::BadRequest(KEY_OUT_OF_BOUNDS));
                }
                "key" => key = Some(value.into_owned()),
                _ => return Err(unknown_option(&name, "'key', 'reason' and 'user'")),
            }
        }
        let action = RequestedAction::Delete { reason, user, key };
        Self::change_of(message, action, if_match)
    }

    fn change_of(
        message: &str,
        action: RequestedAction,
        if_match: Option<&str>,
    ) -> Result<Self, Refusal> {
        let message = parse_integer(message, "The message's offset must be a whole number")?;
        let version = |text: &str| {
            let quoted = text.trim().strip_prefix('"');
            let number = quoted.and_then(|rest| rest.strip_suffix('"'));
            number.unwrap_or(text.trim()).parse().ok()
        };
        let if_version = if_match
            .map(|text| version(text).ok_or(Refusal::BadRequest(BAD_IF_MATCH)))
            .transpose()?;
        Ok(Self::Change(ChangeRequest {
            message: Offset(message),
            action,
            if_version,
        }))
    }

    /// Reads a request for a page of dead events from a query.
    ///
    /// # Errors
    ///
    /// `bad_request` if an option is invalid or unknown.
    pub fn dead_events(query: &str) -> Result<Self, Refusal> {
        let (mut after, mut limit) = (0, u64::from(PAGE_MESSAGES_DEFAULT));
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "after" => after = parse_integer(&value, "'after' must be a whole number")?,
                "limit" => limit = parse_integer(&value, LIMIT_OUT_OF_BOUNDS)?,
                _ => return Err(unknown_option(&name, "'after' and 'limit'")),
            }
        }
        let limit = u32::try_from(limit).ok();
        let limit = limit.filter(|limit| (1..=PAGE_MESSAGES_MAX).contains(limit));
        let limit = limit.ok_or(Refusal::BadRequest(LIMIT_OUT_OF_BOUNDS))?;
        Ok(Self::DeadEvents { after, limit })
    }

    /// Reads the options of a kick from a query.
    ///
    /// # Errors
    ///
    /// `bad_request` if an option is invalid or unknown.
    pub fn kick(user: UserId, query: &str) -> Result<Self, Refusal> {
        let (mut reason, mut ban_seconds, mut issued_before) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "reason" if value.len() > REASON_BYTES_MAX => {
                    return Err(Refusal::BadRequest(REASON_TOO_LONG));
                }
                "reason" => reason = Some(value.into_owned()),
                "ban_seconds" => {
                    let seconds = parse_integer(&value, "'ban_seconds' must be a whole number")?;
                    if seconds > BAN_SECONDS_MAX {
                        return Err(Refusal::BadRequest(BAN_TOO_LONG));
                    }
                    ban_seconds = Some(seconds);
                }
                "issued_before" => issued_before = Some(read_time(&name, &value)?),
                _ => {
                    let known = "'ban_seconds', 'issued_before' and 'reason'";
                    return Err(unknown_option(&name, known));
                }
            }
        }
        if issued_before.is_some() {
            if ban_seconds.unwrap_or(0) == 0 {
                return Err(ISSUED_BEFORE_ALONE);
            }
            // The clients of the closed connections read `token_expired` as the reason.
            if reason.is_some() {
                return Err(ISSUED_BEFORE_WITH_REASON);
            }
        }
        Ok(Self::Kick {
            user,
            reason,
            ban_seconds,
            issued_before,
        })
    }

    /// Returns the reply of a room that has never been used, so that a read does not create the room;
    /// `None` for operations that create it.
    pub fn reply_if_unused(&self, room: &RoomName) -> Option<Reply> {
        match self {
            Self::Publish => None,
            Self::Change(_) => None,
            Self::Kick { ban_seconds, .. } if ban_seconds.is_some_and(|ban| ban > 0) => None,
            Self::Kick { .. } | Self::Erase => Some(Reply::Closed { closed: 0 }),
            Self::Messages(_) => Some(Reply::History(HistoryPage {
                epoch: None,
                messages: Vec::new(),
                more: false,
            })),
            Self::Members => Some(Reply::Members(MemberList::new(Vec::new(), 0))),
            Self::Describe => Some(Reply::Status(RoomStatus {
                room: room.clone(),
                epoch: None,
                offset: Offset::default(),
                connections: 0,
                members: 0,
                messages: 0,
                storage_bytes: 0,
                webhooks: WebhookCounts::default(),
            })),
            Self::DeadEvents { .. } => Some(Reply::DeadEvents {
                events: Vec::new(),
                more: false,
            }),
        }
    }
}

const BAD_AUTHOR: &str = "'user' must be a user id of 1 to 128 bytes";
const BAD_IF_MATCH: &str = "'If-Match' must be a message's version";

const ISSUED_BEFORE_ALONE: Refusal = Refusal::BadRequest(
    "'issued_before' needs 'ban_seconds', 1 or more: the longest life of a token",
);
const ISSUED_BEFORE_WITH_REASON: Refusal =
    Refusal::BadRequest("'reason' cannot be combined with 'issued_before'");

/// Reads a time in seconds, as `iat` in a token.
fn read_time(name: &str, value: &str) -> Result<Timestamp, Refusal> {
    let seconds = match serde_json::from_str(value) {
        Ok(raw) => numeric_date::read(name, raw),
        Err(_) => Err(format!("{}; it is not", numeric_date::expected(name))),
    };
    let seconds = seconds.map_err(Refusal::InvalidInput)?;
    Ok(numeric_date::to_nearest_ms(seconds))
}

/// Checks that a query has no options.
///
/// # Errors
///
/// `bad_request` if it has any.
pub fn check_no_options(query: &str) -> Result<(), Refusal> {
    match form_urlencoded::parse(query.as_bytes()).next() {
        Some((name, _)) => Err(unknown_option(&name, "none")),
        None => Ok(()),
    }
}

fn unknown_option(name: &str, known: &str) -> Refusal {
    let name = shortened(name);
    Refusal::InvalidInput(format!(
        "The query option '{name}' is unknown; this request has {known}"
    ))
}

fn unknown_field(name: &str, known: &str) -> Refusal {
    let name = shortened(name);
    Refusal::InvalidInput(format!("The field '{name}' is unknown; {known}"))
}

/// Returns a name from a request, short enough for an error.
fn shortened(name: &str) -> String {
    name.chars().take(UNKNOWN_NAME_CHARS_MAX).collect()
}

/// A message that a back end publishes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMessage<'a> {
    /// The content.
    #[serde(borrow, default, deserialize_with = "json::some_raw")]
    pub data: Option<&'a RawValue>,
    /// The event name.
    #[serde(borrow)]
    pub event: Option<Cow<'a, str>>,
    /// The idempotency key.
    #[serde(borrow)]
    pub key: Option<Cow<'a, str>>,
    /// The author; the token's user if absent.
    pub user: Option<UserId>,
    /// The time that the message gets; the time of the request if absent.
    #[serde(default, deserialize_with = "json::optional_whole")]
    pub time: Option<Timestamp>,
}

/// The refusal of a body longer than [`FRAME_BYTES_MAX`].
pub const BODY_TOO_LONG: Refusal = Refusal::TooLarge("The body must not exceed 1 MiB");
const MESSAGE_TOO_LONG: Refusal =
    Refusal::TooLarge("A message exceeds MESSAGE_BYTES_MAX or the token's 'message_bytes'");
const NOT_JSON: Refusal = Refusal::BadRequest("The body is not JSON");
const INVALID_MESSAGES: Refusal =
    Refusal::BadRequest("The body must be a message, or an array of 1 to 100 messages");
const INVALID_MESSAGE: Refusal = Refusal::BadRequest(
    "A message must be an object with 'data' and, optionally, 'event', 'key' and 'user' as strings and 'time' as a whole number",
);
const TIME_TOO_EARLY: Refusal = Refusal::BadRequest(
    "'time' must be in milliseconds since 1970, not in seconds, and not before 1973",
);
const UNREADABLE: Refusal = Refusal::BadRequest(
    "A message is nested more than 64 levels deep, or contains a number beyond a double or an unpaired surrogate",
);

/// Reads a body that is a message or an array of messages, each at most `message_bytes_max` long.
///
/// # Errors
///
/// `bad_request` or `too_large`.
pub fn read_messages(body: &str, message_bytes_max: usize) -> Result<Vec<NewMessage<'_>>, Refusal> {
    if body.len() > FRAME_BYTES_MAX {
        return Err(BODY_TOO_LONG);
    }
    let body = json::without_bom(body);
    let whole: &RawValue = serde_json::from_str(body).map_err(|_| NOT_JSON)?;
    let raw: Vec<&RawValue> = if whole.get().starts_with('[') {
        serde_json::from_str(whole.get()).map_err(|_| INVALID_MESSAGES)?
    } else {
        vec![whole]
    };
    if !(1..=API_MESSAGES_MAX).contains(&raw.len()) {
        return Err(INVALID_MESSAGES);
    }
    raw.into_iter()
        .map(|raw| NewMessage::read(raw, message_bytes_max))
        .collect()
}

impl<'a> NewMessage<'a> {
    fn read(raw: &'a RawValue, bytes_max: usize) -> Result<Self, Refusal> {
        let text = raw.get();
        if text.len() > bytes_max {
            return Err(MESSAGE_TOO_LONG);
        }
        if !json::is_object(raw) {
            return Err(INVALID_MESSAGE);
        }
        if !json::is_readable(text) {
            return Err(UNREADABLE);
        }
        let message: Self = serde_json::from_str(text).map_err(|_| Self::invalid(text))?;
        let is_long = |event: &Cow<'_, str>| event.len() > EVENT_BYTES_MAX;
        if message.event.as_ref().is_some_and(is_long) {
            return Err(Refusal::BadRequest(EVENT_TOO_LONG));
        }
        let is_key = |key: &Cow<'_, str>| (1..=KEY_BYTES_MAX).contains(&key.len());
        if !message.key.as_ref().is_none_or(is_key) {
            return Err(Refusal::BadRequest(KEY_OUT_OF_BOUNDS));
        }
        message.data.ok_or(INVALID_MESSAGE)?;
        if message.time.is_some_and(|time| time < PUBLISH_TIME_MIN) {
            return Err(TIME_TOO_EARLY);
        }
        Ok(message)
    }

    fn invalid(text: &str) -> Refusal {
        let unknown = json::unknown_field(text, &["data", "event", "key", "user", "time"]);
        unknown.map_or(INVALID_MESSAGE, |name| {
            let known = "a message has 'data', 'event', 'key', 'user' and 'time'";
            unknown_field(&name, known)
        })
    }
}

/// The body of a request that publishes to several rooms.
#[derive(Debug)]
pub struct MultiRoomPublish<'a> {
    /// The rooms' names, not yet validated.
    pub rooms: Vec<Cow<'a, str>>,
    /// The messages, for [`read_messages`].
    pub messages: &'a str,
}

impl<'a> MultiRoomPublish<'a> {
    /// Reads the body and validates the messages.
    ///
    /// # Errors
    ///
    /// `bad_request` or `too_large`.
    pub fn read(body: &'a str, message_bytes_max: usize) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields<'a> {
            #[serde(borrow)]
            rooms: Vec<Cow<'a, str>>,
            #[serde(borrow)]
            messages: &'a RawValue,
        }
        const INVALID_BODY: Refusal = Refusal::BadRequest(
            "The body must be an object with 'rooms', 1 to 100 different names, and 'messages'",
        );
        let body = json::without_bom(body);
        let whole: &RawValue = serde_json::from_str(body).map_err(|_| NOT_JSON)?;
        if !json::is_object(whole) {
            return Err(INVALID_BODY);
        }
        let Fields { rooms, messages } = serde_json::from_str(body).map_err(|_| {
            let unknown = json::unknown_field(body, &["rooms", "messages"]);
            unknown.map_or(INVALID_BODY, |name| {
                unknown_field(&name, "the body has 'rooms' and 'messages'")
            })
        })?;
        let distinct: std::collections::BTreeSet<_> = rooms.iter().collect();
        if !(1..=API_ROOMS_MAX).contains(&rooms.len()) || distinct.len() < rooms.len() {
            return Err(INVALID_BODY);
        }
        let messages = messages.get();
        read_messages(messages, message_bytes_max)?;
        Ok(Self { rooms, messages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_time_however_it_is_written_and_skips_a_byte_order_mark() {
        for time in ["1800000000000", "1800000000000.0", "1.8e12"] {
            let body = format!("\u{feff}{{\"data\":1,\"time\":{time}}}");
            let messages = read_messages(&body, 100).unwrap();
            let times: Vec<_> = messages.iter().map(|message| message.time).collect();
            assert_eq!(times, [Some(Timestamp(1_800_000_000_000))], "{time}");
        }
        assert!(read_messages(r#"{"data":1,"time":1800000000000.5}"#, 100).is_err());
    }
}
