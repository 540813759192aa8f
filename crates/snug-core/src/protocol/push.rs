//! Replies, which repeat a command's `id`, and pushes from the room. Names are those on the wire.

mod entry;
mod presence;
mod welcome;

use std::rc::Rc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    ids::{ConnectionId, Epoch, Offset, Reference, RoomName, Timestamp, UserId},
    protocol::command::CommandId,
    reply::{HistoryPage, MemberList, Reply},
};

pub use entry::{Change, Message, Reactions, Replies, ReplyCount};
pub use presence::{Member, PresenceChange, StateChange};
pub use welcome::{ConnectionLimits, Hello, ReadState, Welcome, WelcomeToConnection};

/// One object sent to a client.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Push<'a> {
    /// The first push on a connection to a gateway.
    Hello(Hello<'a>),
    /// The first push of a room.
    Welcome(Welcome<'a>),
    /// A stored message.
    Message(Message<'a>),
    /// A change of a stored message.
    Change(Change<'a>),
    /// The number of replies to a stored message, which is a change of it.
    #[serde(rename = "change")]
    Replies(Replies),
    /// The reactions to a stored message.
    Reactions(Reactions<'a>),
    /// A user has read on.
    Read {
        /// The user.
        user: &'a UserId,
        /// The offset of the last message or change that the user has read.
        offset: Offset,
    },
    /// The number of new messages, for a subscription that receives nothing else.
    Badge(Badge<'a>),
    /// A signal, which is not stored.
    Signal {
        /// The sender.
        user: &'a UserId,
        /// The sender's connection.
        connection: ConnectionId,
        /// The event name.
        #[serde(skip_serializing_if = "Option::is_none")]
        event: Option<&'a str>,
        /// The content.
        data: &'a RawValue,
    },
    /// Joins, leaves and changed states.
    Presence(PresenceChange<'a>),
    /// A command was rejected.
    Error {
        /// The command's id, if it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a CommandId>,
        /// The code, on which clients branch: an [`crate::ErrorCode`], or that of a refused join.
        code: &'a str,
        /// The description for a developer.
        message: &'a str,
        /// True if the same command may succeed later.
        retryable: bool,
        /// The time to wait before a retry, if known.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
        /// The message's version, if it is not the expected one.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
    },
    /// The room is about to close the connection.
    Closing {
        /// The close frame's code.
        code: u16,
        /// The close frame's reason, or a moderator's.
        reason: &'a str,
        /// True if the client should reconnect.
        reconnect: bool,
        /// The reference of the log line.
        #[serde(rename = "ref")]
        reference: Reference,
    },
    /// A subscription of a session has ended, and the connection has not.
    Left {
        /// The reason's number, among the codes of close frames.
        code: u16,
        /// The reason, or a moderator's.
        reason: &'a str,
        /// True if the client should join again.
        reconnect: bool,
        /// The time to wait before that, if the client should wait.
        #[serde(skip_serializing_if = "Option::is_none")]
        delay_ms: Option<u64>,
        /// The reference of the log line, if there is one.
        #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
        reference: Option<Reference>,
    },
    /// A command succeeded.
    Ack {
        /// The command's id.
        id: &'a CommandId,
        /// The command's result, if it has one.
        #[serde(flatten)]
        outcome: Option<Outcome>,
    },
    /// The list of members.
    Members {
        /// The command's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a CommandId>,
        /// The list.
        #[serde(flatten)]
        list: &'a MemberList,
    },
    /// The reply to a ping.
    Pong {
        /// The command's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a CommandId>,
    },
}

/// The exact text of the ping that the runtime answers without waking the room.
pub const PING: &str = r#"{"type":"ping"}"#;
/// The runtime's reply to [`PING`].
pub const PONG: &str = r#"{"type":"pong"}"#;

/// See [`Push::Badge`].
#[derive(Debug, Serialize)]
pub struct Badge<'a> {
    /// The offset of the newest message or change.
    pub offset: Offset,
    /// The number of messages that the user has not read, as in [`ReadState`].
    pub unread: usize,
    /// The number of those that mention the user.
    pub mentions: usize,
    /// The newest message as it is now; `None` if the room has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<&'a RawValue>,
}

/// The result of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// A message was published or changed.
    Stored(Stored),
    /// The connection has a new token.
    Refreshed {
        /// The time at which the new token expires.
        expires: Timestamp,
    },
    /// The user's position is stored.
    Read {
        /// The offset up to which the user has read.
        read: Offset,
    },
    /// A user's connections were closed.
    Kicked {
        /// The number of closed connections.
        closed: usize,
    },
}

/// The place of a stored message or change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Its offset.
    pub offset: Offset,
    /// The time at which it was stored.
    pub time: Timestamp,
    /// The version of the message that was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// True if it had been stored before under the same idempotency key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

impl Stored {
    /// Creates the result for a newly stored message.
    pub fn new(offset: Offset, time: Timestamp) -> Self {
        Self {
            offset,
            time,
            version: None,
            duplicate: false,
        }
    }

    /// Marks the message as stored before.
    pub fn again(self) -> Self {
        Self {
            duplicate: true,
            ..self
        }
    }
}

/// Returns the reply to a command as one line of JSON; `None` if it is an `ack` of a command without an
/// id.
pub fn reply_line(id: Option<&CommandId>, reply: &Reply) -> Option<Rc<str>> {
    let outcome = match reply {
        Reply::Members(list) => return Some(Push::Members { id, list }.to_line()),
        Reply::History(page) => return Some(history_line(id, page)),
        Reply::Published { messages, .. } => messages.first().copied().map(Outcome::Stored),
        Reply::Changed { change, .. } => Some(Outcome::Stored(*change)),
        Reply::Read { read } => Some(Outcome::Read { read: *read }),
        Reply::Closed { closed } => Some(Outcome::Kicked { closed: *closed }),
        Reply::Refreshed { expires } => Some(Outcome::Refreshed { expires: *expires }),
        // No command has the last three.
        Reply::Done | Reply::Deleted { .. } | Reply::Status(_) | Reply::DeadEvents { .. } => None,
    };
    id.map(|id| Push::Ack { id, outcome }.to_line())
}

/// Returns a page of stored messages as one line of JSON.
fn history_line(id: Option<&CommandId>, page: &HistoryPage) -> Rc<str> {
    #[derive(Serialize)]
    #[serde(tag = "type", rename = "history")]
    struct Head<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a CommandId>,
        epoch: Option<&'a Epoch>,
    }
    let epoch = page.epoch.as_ref();
    // Cannot fail: see `Push::to_line`.
    let mut line = serde_json::to_string(&Head { id, epoch }).unwrap_or_default();
    line.pop();
    line.push_str(r#","messages":"#);
    page.write_messages(&mut line);
    line.push_str(if page.more {
        r#","more":true}"#
    } else {
        r#","more":false}"#
    });
    line.into()
}

/// Returns a line with the room that it concerns, after its `type`.
pub fn with_room(line: &str, room: &RoomName) -> Rc<str> {
    // Names of types need no escapes, and those of rooms neither.
    let rest = line.strip_prefix(TYPE_TAG).unwrap_or_default();
    let kind = rest
        .find('"')
        .and_then(|end| rest.get(..end))
        .unwrap_or_default();
    let after = rest.get(kind.len().saturating_add(1)..).unwrap_or_default();
    let room = room.as_str();
    format!(r#"{TYPE_TAG}{kind}","room":"{room}"{after}"#).into()
}

/// The start of every line.
const TYPE_TAG: &str = r#"{"type":""#;

impl Push<'_> {
    /// Returns the object as one line of JSON.
    pub fn to_line(&self) -> Rc<str> {
        // Cannot fail to serialize: keys are strings, and raw values are JSON.
        serde_json::to_string(self).map_or_else(|_| "{}".into(), Into::into)
    }
}
