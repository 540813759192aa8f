//! What an application's back end asks of a room over HTTP, and what it is answered.
//!
//! The Worker's door makes a [`ApiRequest`] of a request and hands it to the room's object with the
//! request's body; [`crate::Room`] does it as it does a command.

use std::{borrow::Cow, rc::Rc};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    auth::{
        parse_integer,
        token::{ClaimedLimits, Claims},
    },
    capability::{Capabilities, Capability},
    config::RoomRules,
    ids::{Epoch, Offset, RoomName, UserId},
    limits::{
        API_MESSAGES_MAX, API_ROOMS_MAX, BAN_SECONDS_MAX, EVENT_BYTES_MAX, FRAME_BYTES_MAX,
        KEY_BYTES_MAX, PAGE_MESSAGES_DEFAULT, PAGE_MESSAGES_MAX, REASON_BYTES_MAX,
    },
    protocol::{
        command::{
            BAN_TOO_LONG, EVENT_TOO_LONG, KEY_OUT_OF_BOUNDS, LIMIT_OUT_OF_BOUNDS, PageRequest,
            REASON_TOO_LONG,
        },
        json,
        push::Stored,
        refusal::Refusal,
    },
};

/// One call, for as long as it waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiRequestId(pub u64);

/// A request whose token grants what it asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApiRequest {
    /// Who asks.
    pub caller: Caller,
    /// For what.
    pub ask: ApiOperation,
}

/// Who asks over HTTP.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Caller {
    /// The token's user.
    pub user: UserId,
    /// What the token grants in the room.
    pub can: Capabilities,
    /// The token's own bounds.
    pub limits: ClaimedLimits,
}

/// What is asked of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ApiOperation {
    /// Store the messages of the body and send them to all, as one.
    Publish,
    /// A page of stored messages.
    Messages(PageRequest),
    /// Who is here.
    Members,
    /// Close a user's connections.
    Kick {
        /// Who has to go.
        user: UserId,
        /// What the user is told.
        reason: Option<String>,
        /// As in [`crate::protocol::command::Command::Kick`].
        ban_seconds: Option<u64>,
    },
    /// The room in numbers.
    Describe,
    /// Close everybody, and erase what is stored.
    Erase,
    /// Events for the back end that were given up.
    DeadEvents {
        /// Those that come after this one.
        after: u64,
        /// At most so many.
        limit: u32,
    },
}

/// What was asked, done: a status and a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Rc<str>,
}

impl ApiRequest {
    /// Looks at what the claims grant in the room.
    ///
    /// # Errors
    ///
    /// `room_forbidden`.
    pub fn admit(claims: Claims, room: &RoomName, ask: ApiOperation) -> Result<Self, Refusal> {
        let can = claims.grants.for_room(room).ok_or(Refusal::RoomForbidden)?;
        let needed = ask.needs();
        if !can.has(needed) {
            return Err(Refusal::NotGranted(needed));
        }
        let caller = Caller {
            user: claims.user,
            can,
            limits: claims.limits,
        };
        Ok(Self { caller, ask })
    }
}

impl ApiRequest {
    /// Looks at the body as the room will.
    ///
    /// # Errors
    ///
    /// `bad_request`, `too_large`.
    pub fn check(&self, body: &str, rules: &RoomRules) -> Result<(), Refusal> {
        match self.ask {
            ApiOperation::Publish => {
                read_messages(body, self.caller.message_bytes_max(rules)).map(drop)
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
    /// The capability that it takes.
    pub fn needs(&self) -> Capability {
        match self {
            Self::Publish | Self::Describe | Self::Erase | Self::DeadEvents { .. } => {
                Capability::Serve
            }
            Self::Messages(_) => Capability::History,
            Self::Members => Capability::Presence,
            Self::Kick { .. } => Capability::Moderate,
        }
    }

    /// The page of history that a query asks for. Unknown options are ignored.
    ///
    /// # Errors
    ///
    /// `bad_request`.
    pub fn messages(query: &str) -> Result<Self, Refusal> {
        let (mut after, mut before, mut limit) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "after" => after = Some(parse_integer(&value, "'after' must be a whole number")?),
                "before" => {
                    before = Some(parse_integer(&value, "'before' must be a whole number")?)
                }
                "limit" => limit = Some(parse_integer(&value, "'limit' must be a whole number")?),
                _ => {}
            }
        }
        let limit = limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
        let page = PageRequest::read(after.map(Offset), before.map(Offset), limit);
        page.map(Self::Messages).map_err(Refusal::BadRequest)
    }

    /// The page of given-up events that a query asks for.
    ///
    /// # Errors
    ///
    /// `bad_request`.
    pub fn dead_events(query: &str) -> Result<Self, Refusal> {
        let (mut after, mut limit) = (0, u64::from(PAGE_MESSAGES_DEFAULT));
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "after" => after = parse_integer(&value, "'after' must be a whole number")?,
                "limit" => limit = parse_integer(&value, LIMIT_OUT_OF_BOUNDS)?,
                _ => {}
            }
        }
        let limit = u32::try_from(limit).ok();
        let limit = limit.filter(|limit| (1..=PAGE_MESSAGES_MAX).contains(limit));
        let limit = limit.ok_or(Refusal::BadRequest(LIMIT_OUT_OF_BOUNDS))?;
        Ok(Self::DeadEvents { after, limit })
    }

    /// The kick of a user, as a query has it.
    ///
    /// # Errors
    ///
    /// `bad_request`.
    pub fn kick(user: UserId, query: &str) -> Result<Self, Refusal> {
        let (mut reason, mut ban_seconds) = (None, None);
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
                _ => {}
            }
        }
        Ok(Self::Kick {
            user,
            reason,
            ban_seconds,
        })
    }

    /// The answer where nobody has ever used the room, so that a question does not make one;
    /// `None` for what does.
    pub fn response_if_unused(&self, room: &RoomName) -> Option<ApiResponse> {
        match self {
            Self::Publish => None,
            Self::Kick { ban_seconds, .. } if ban_seconds.is_some_and(|ban| ban > 0) => None,
            Self::Kick { .. } | Self::Erase => Some(ApiResponse::closed(0)),
            Self::Messages(_) => Some(ApiResponse::page(None, &[], false)),
            Self::Members => Some(ApiResponse::members(&[], 0)),
            Self::Describe => Some(ApiResponse::ok(&RoomStatus::unknown(room))),
            Self::DeadEvents { .. } => Some(ApiResponse::dead(&[], false)),
        }
    }
}

/// A room in numbers.
#[derive(Clone, Debug, Serialize)]
pub struct RoomStatus<'a> {
    /// Its name.
    pub room: &'a RoomName,
    /// What offsets count in; `None` where nobody has used the room yet.
    pub epoch: Option<&'a Epoch>,
    /// The newest stored message.
    pub offset: Offset,
    /// Open sockets.
    pub connections: usize,
    /// Users that are here.
    pub members: usize,
    /// Stored messages that are kept.
    pub messages: u64,
    /// What the room takes of its storage, in bytes.
    pub storage_bytes: u64,
    /// Events for the back end.
    pub webhooks: WebhookCounts,
}

/// Events for the back end that it does not have.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct WebhookCounts {
    /// Those that wait to be delivered.
    pub pending: u64,
    /// Those that were given up.
    pub dead: u64,
}

impl<'a> RoomStatus<'a> {
    fn unknown(room: &'a RoomName) -> Self {
        Self {
            room,
            epoch: None,
            offset: Offset::default(),
            connections: 0,
            members: 0,
            messages: 0,
            storage_bytes: 0,
            webhooks: WebhookCounts::default(),
        }
    }
}

impl ApiResponse {
    /// 200 with an object.
    pub fn ok(body: &impl Serialize) -> Self {
        Self::of(200, body)
    }

    fn of(status: u16, body: &impl Serialize) -> Self {
        // Nothing in here can fail to serialise: keys are strings, and raw values are JSON.
        let body = serde_json::to_string(body).map_or_else(|_| "{}".into(), Into::into);
        Self { status, body }
    }

    /// Messages were stored.
    pub fn published(epoch: &Epoch, messages: &[Stored]) -> Self {
        #[derive(Serialize)]
        struct Published<'a> {
            epoch: &'a Epoch,
            messages: &'a [Stored],
        }
        Self::of(201, &Published { epoch, messages })
    }

    /// A page of stored messages.
    pub fn page(epoch: Option<&Epoch>, messages: &[&RawValue], more: bool) -> Self {
        #[derive(Serialize)]
        struct Page<'a> {
            epoch: Option<&'a Epoch>,
            messages: &'a [&'a RawValue],
            more: bool,
        }
        Self::ok(&Page {
            epoch,
            messages,
            more,
        })
    }

    /// Who is here, of so many.
    pub fn members(members: &[&RawValue], count: usize) -> Self {
        #[derive(Serialize)]
        struct Members<'a> {
            members: &'a [&'a RawValue],
            count: usize,
            truncated: bool,
        }
        Self::ok(&Members {
            members,
            count,
            truncated: members.len() < count,
        })
    }

    /// Events that were given up, as they would have been sent.
    pub fn dead(events: &[String], more: bool) -> Self {
        let body = format!(r#"{{"events":[{}],"more":{more}}}"#, events.join(","));
        Self {
            status: 200,
            body: body.into(),
        }
    }

    /// So many connections were closed.
    pub fn closed(closed: usize) -> Self {
        #[derive(Serialize)]
        struct Closed {
            closed: usize,
        }
        Self::ok(&Closed { closed })
    }
}

/// A message that a back end wants to be stored.
#[derive(Debug, Deserialize)]
pub struct NewMessage<'a> {
    /// What it says.
    #[serde(borrow, default, deserialize_with = "json::some_raw")]
    pub data: Option<&'a RawValue>,
    /// Its kind.
    #[serde(borrow)]
    pub event: Option<Cow<'a, str>>,
    /// What makes it the same message as one before of the same user.
    #[serde(borrow)]
    pub key: Option<Cow<'a, str>>,
    /// As whose it is published; the token's user where it does not say.
    pub user: Option<UserId>,
}

/// What is told of a body that is longer than [`FRAME_BYTES_MAX`].
pub const BODY_TOO_LONG: Refusal = Refusal::TooLarge("The body must not be over 1 MiB");
const NOT_JSON: Refusal = Refusal::BadRequest("The body is not JSON");
const NO_MESSAGES: Refusal =
    Refusal::BadRequest("The body must be a message, or an array of 1 to 100 messages");
const NO_MESSAGE: Refusal = Refusal::BadRequest(
    "A message is an object with 'data', and perhaps 'event', 'key' and 'user' as texts",
);
const UNREADABLE: Refusal = Refusal::BadRequest(
    "A message is nested more than 64 deep, or has a number beyond a double or half a surrogate pair",
);

/// Reads a body that is a message, or an array of messages, each at most so many bytes long.
///
/// # Errors
///
/// `bad_request`, `too_large`.
pub fn read_messages(body: &str, message_bytes_max: usize) -> Result<Vec<NewMessage<'_>>, Refusal> {
    if body.len() > FRAME_BYTES_MAX {
        return Err(BODY_TOO_LONG);
    }
    let whole: &RawValue = serde_json::from_str(body).map_err(|_| NOT_JSON)?;
    let raw: Vec<&RawValue> = if whole.get().starts_with('[') {
        serde_json::from_str(whole.get()).map_err(|_| NO_MESSAGES)?
    } else {
        vec![whole]
    };
    if !(1..=API_MESSAGES_MAX).contains(&raw.len()) {
        return Err(NO_MESSAGES);
    }
    raw.into_iter()
        .map(|raw| NewMessage::read(raw, message_bytes_max))
        .collect()
}

impl<'a> NewMessage<'a> {
    fn read(raw: &'a RawValue, bytes_max: usize) -> Result<Self, Refusal> {
        let text = raw.get();
        if text.len() > bytes_max {
            return Err(Refusal::TooLarge(
                "A message is longer than MESSAGE_BYTES_MAX, or than its token lets it be",
            ));
        }
        if !json::is_object(raw) {
            return Err(NO_MESSAGE);
        }
        if !json::is_readable(text) {
            return Err(UNREADABLE);
        }
        let message: Self = serde_json::from_str(text).map_err(|_| NO_MESSAGE)?;
        let is_long = |event: &Cow<'_, str>| event.len() > EVENT_BYTES_MAX;
        if message.event.as_ref().is_some_and(is_long) {
            return Err(Refusal::BadRequest(EVENT_TOO_LONG));
        }
        let is_key = |key: &Cow<'_, str>| (1..=KEY_BYTES_MAX).contains(&key.len());
        if !message.key.as_ref().is_none_or(is_key) {
            return Err(Refusal::BadRequest(KEY_OUT_OF_BOUNDS));
        }
        message.data.ok_or(NO_MESSAGE)?;
        Ok(message)
    }
}

/// The body of a request that publishes in several rooms.
#[derive(Debug)]
pub struct MultiRoomPublish<'a> {
    /// The rooms, as they were named.
    pub rooms: Vec<Cow<'a, str>>,
    /// The messages, for [`read_messages`].
    pub messages: &'a str,
}

impl<'a> MultiRoomPublish<'a> {
    /// Reads the body, and looks at the messages.
    ///
    /// # Errors
    ///
    /// `bad_request`, `too_large`.
    pub fn read(body: &'a str, message_bytes_max: usize) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow)]
            rooms: Vec<Cow<'a, str>>,
            #[serde(borrow)]
            messages: &'a RawValue,
        }
        const NO_BROADCAST: Refusal = Refusal::BadRequest(
            "The body must be an object with 'rooms', 1 to 100 different names, and 'messages'",
        );
        let whole: &RawValue = serde_json::from_str(body).map_err(|_| NOT_JSON)?;
        if !json::is_object(whole) {
            return Err(NO_BROADCAST);
        }
        let Fields { rooms, messages } = serde_json::from_str(body).map_err(|_| NO_BROADCAST)?;
        let distinct: std::collections::BTreeSet<_> = rooms.iter().collect();
        if !(1..=API_ROOMS_MAX).contains(&rooms.len()) || distinct.len() < rooms.len() {
            return Err(NO_BROADCAST);
        }
        let messages = messages.get();
        read_messages(messages, message_bytes_max)?;
        Ok(Self { rooms, messages })
    }
}
