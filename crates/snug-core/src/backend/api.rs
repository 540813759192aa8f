//! Requests to the HTTP API.
//!
//! The Worker turns an HTTP request into an [`ApiRequest`] and passes it to the room's object along
//! with the body. [`crate::Room`] handles it like a command.

mod change;
mod publish;

use serde::{Deserialize, Serialize};

use crate::{
    auth::{
        parse_integer,
        token::{ClaimedLimits, Claims, numeric_date},
    },
    capability::{Capabilities, Capability},
    config::RoomRules,
    ids::{Offset, Origin, RoomName, Timestamp, UserId},
    limits::{
        BAN_SECONDS_MAX, PAGE_MESSAGES_DEFAULT, PAGE_MESSAGES_MAX, REASON_BYTES_MAX,
        UNKNOWN_NAME_CHARS_MAX, USER_DELETIONS_MAX,
    },
    protocol::{
        command::{BAN_TOO_LONG, REASON_TOO_LONG},
        page::{LIMIT_OUT_OF_BOUNDS, PageRequest, ThreadRequest},
        refusal::Refusal,
    },
    reply::{HistoryPage, MemberList, Reply, RoomStatus, WebhookCounts},
};

pub use self::{
    change::{ChangeRequest, RequestedAction, read_change_body},
    publish::{MultiRoomPublish, NewMessage, read_messages},
};

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
    /// A page of the replies to a message.
    Thread(ThreadRequest),
    /// A page of the messages of one user.
    MessagesOf {
        /// The user.
        user: UserId,
        /// The page.
        page: PageRequest,
    },
    /// Delete some messages of one user.
    DeleteMessagesOf {
        /// The user.
        user: UserId,
        /// The messages, some of which may be deleted already.
        page: PageRequest,
        /// The reason, for the members.
        reason: Option<String>,
    },
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
            | Self::MessagesOf { .. }
            | Self::DeleteMessagesOf { .. }
            | Self::Describe
            | Self::Erase
            | Self::DeadEvents { .. } => Capability::Serve,
            Self::Messages(_) | Self::Thread(_) => Capability::History,
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
        let (mut re, mut user) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "after" => after = Some(parse_integer(&value, "'after' must be a whole number")?),
                "before" => {
                    before = Some(parse_integer(&value, "'before' must be a whole number")?)
                }
                "limit" => limit = Some(parse_integer(&value, "'limit' must be a whole number")?),
                "re" => re = Some(parse_integer(&value, "'re' must be a whole number")?),
                "user" => user = Some(read_user(&value)?),
                _ => {
                    let known = "'after', 'before', 'limit', 're' and 'user'";
                    return Err(unknown_option(&name, known));
                }
            }
        }
        let limit = limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
        let page = PageRequest::read(after.map(Offset), before.map(Offset), limit);
        let page = page.map_err(Refusal::BadRequest)?;
        match (re.map(Offset), user) {
            (Some(_), Some(_)) => Err(Refusal::BadRequest(
                "'re' and 'user' cannot be used together",
            )),
            (Some(root), None) => {
                let thread = ThreadRequest::read(root, page);
                thread.map(Self::Thread).map_err(Refusal::BadRequest)
            }
            (None, Some(user)) => Ok(Self::MessagesOf { user, page }),
            (None, None) => Ok(Self::Messages(page)),
        }
    }

    /// Reads a request to delete messages of one user from a query.
    ///
    /// # Errors
    ///
    /// `bad_request` if an option is invalid or unknown, or if there is no user.
    pub fn delete_messages(query: &str) -> Result<Self, Refusal> {
        let (mut user, mut before, mut reason) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "user" => user = Some(read_user(&value)?),
                "before" => {
                    before = Some(parse_integer(&value, "'before' must be a whole number")?)
                }
                "reason" if value.len() > REASON_BYTES_MAX => {
                    return Err(Refusal::BadRequest(REASON_TOO_LONG));
                }
                "reason" => reason = Some(value.into_owned()),
                _ => return Err(unknown_option(&name, "'before', 'reason' and 'user'")),
            }
        }
        let user = user.ok_or(Refusal::BadRequest(
            "'user' is missing: the user whose messages to delete",
        ))?;
        let page = PageRequest::read(None, before.map(Offset), Some(USER_DELETIONS_MAX));
        let page = page.map_err(Refusal::BadRequest)?;
        Ok(Self::DeleteMessagesOf { user, page, reason })
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
            Self::Messages(_) | Self::Thread(_) | Self::MessagesOf { .. } => {
                Some(Reply::History(HistoryPage {
                    epoch: None,
                    messages: Vec::new(),
                    more: false,
                    cursor: None,
                }))
            }
            Self::DeleteMessagesOf { .. } => Some(Reply::Deleted {
                epoch: None,
                deleted: 0,
                cursor: None,
            }),
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

const ISSUED_BEFORE_ALONE: Refusal = Refusal::BadRequest(
    "'issued_before' needs 'ban_seconds', 1 or more: the longest life of a token",
);
const ISSUED_BEFORE_WITH_REASON: Refusal =
    Refusal::BadRequest("'reason' cannot be combined with 'issued_before'");

/// Reads a user id.
fn read_user(value: &str) -> Result<UserId, Refusal> {
    let user = UserId::parse(value);
    user.ok_or(Refusal::BadRequest(
        "'user' must be a user id of 1 to 128 bytes",
    ))
}

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

/// The refusal of a body longer than [`crate::limits::FRAME_BYTES_MAX`].
pub const BODY_TOO_LONG: Refusal = Refusal::TooLarge("The body must not exceed 1 MiB");
const MESSAGE_TOO_LONG: Refusal =
    Refusal::TooLarge("A message exceeds MESSAGE_BYTES_MAX or the token's 'message_bytes'");
const NOT_JSON: Refusal = Refusal::BadRequest("The body is not JSON");
const UNREADABLE: Refusal = Refusal::BadRequest(
    "A message is nested more than 64 levels deep, or contains a number beyond a double or an unpaired surrogate",
);
