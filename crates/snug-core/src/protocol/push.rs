//! What the room sends: replies, which echo a command's `id`, and pushes. The names are the wire's.

use std::{collections::BTreeMap, rc::Rc};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    capability::Capabilities,
    ids::{ConnectionId, Epoch, Offset, RoomName, Timestamp, UserId},
    protocol::{command::CommandId, error::ErrorCode},
};

/// One object to a client.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Push<'a> {
    /// The first thing a connection hears.
    Welcome(Welcome<'a>),
    /// A stored message.
    Message(Message<'a>),
    /// Something said and not stored.
    Signal {
        /// Who said it.
        user: &'a UserId,
        /// From which connection.
        connection: ConnectionId,
        /// Its kind.
        #[serde(skip_serializing_if = "Option::is_none")]
        event: Option<&'a str>,
        /// What was said.
        data: &'a RawValue,
    },
    /// Who came, who went, and whose state changed.
    Presence(PresenceChange<'a>),
    /// A command was refused.
    Error {
        /// The command's id, where it had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a CommandId>,
        /// What clients branch on.
        code: ErrorCode,
        /// The same for a developer.
        message: &'a str,
        /// Whether the same command may succeed later.
        retryable: bool,
        /// How much later, where that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// The room is about to close the connection.
    Closing {
        /// The close frame's code.
        code: u16,
        /// The close frame's reason, or a moderator's.
        reason: &'a str,
        /// Whether to connect again.
        reconnect: bool,
    },
    /// A command was done.
    Ack {
        /// The command's id.
        id: &'a CommandId,
        /// What came of it, where that is more than that it was done.
        #[serde(flatten)]
        outcome: Option<Outcome>,
    },
    /// Who is here.
    Members {
        /// The command's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a CommandId>,
        /// The first of them, each a [`Member`].
        members: Vec<&'a RawValue>,
        /// How many there are.
        count: usize,
        /// Whether there are more than are listed.
        truncated: bool,
    },
    /// A page of stored messages.
    History {
        /// The command's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a CommandId>,
        /// What the offsets count in.
        epoch: &'a Epoch,
        /// The messages, in offset order.
        messages: Vec<&'a RawValue>,
        /// Whether there are more in the direction that was asked.
        more: bool,
    },
    /// The answer to a ping.
    Pong {
        /// The command's id.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a CommandId>,
    },
}

/// The exact text of a ping that the runtime answers without waking the room.
pub const PING: &str = r#"{"type":"ping"}"#;
/// What it answers.
pub const PONG: &str = r#"{"type":"pong"}"#;

/// See [`Push::Welcome`].
#[derive(Debug, Serialize)]
pub struct Welcome<'a> {
    /// The protocol's name and version.
    pub protocol: &'static str,
    /// The room.
    pub room: &'a RoomName,
    /// This connection.
    pub connection: ConnectionId,
    /// The user that the token named.
    pub user: &'a UserId,
    /// What this connection may do.
    pub can: Capabilities,
    /// What offsets count in.
    pub epoch: &'a Epoch,
    /// The newest stored message.
    pub offset: Offset,
    /// Whether all that was missed follows; `None` where nothing was asked.
    pub recovered: Option<bool>,
    /// How many members there are.
    pub count: usize,
    /// The first of them, for those who may see them: each a [`Member`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<&'a RawValue>>,
    /// Set where there are more than are listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// When the token ends.
    pub expires: Timestamp,
    /// How often to ping.
    pub ping_ms: u64,
    /// What this connection may send.
    pub limits: ConnectionLimits,
}

/// What one connection may send: the operator's bounds, tightened by its token's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionLimits {
    /// Bytes of one command.
    pub message_bytes: usize,
    /// Commands each second, over time.
    pub messages_per_second: u32,
}

/// See [`Push::Message`].
#[derive(Debug, Serialize)]
pub struct Message<'a> {
    /// Its place.
    pub offset: Offset,
    /// When it was stored.
    pub time: Timestamp,
    /// Who published it.
    pub user: &'a UserId,
    /// From which connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
    /// Its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<&'a str>,
    /// What it says.
    pub data: &'a RawValue,
}

/// What came of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// A message was published.
    Stored(Stored),
    /// The connection goes on with a new token.
    Refreshed {
        /// When that ends.
        expires: Timestamp,
    },
    /// A user's connections were closed.
    Kicked {
        /// How many.
        closed: usize,
    },
}

/// Where and when a message was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Its place.
    pub offset: Offset,
    /// When.
    pub time: Timestamp,
    /// Whether it was there already, under the same key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

impl Stored {
    /// A message that was stored just there.
    pub fn new(offset: Offset, time: Timestamp) -> Self {
        Self {
            offset,
            time,
            duplicate: false,
        }
    }

    /// The same, where it was there already.
    pub fn again(self) -> Self {
        Self {
            duplicate: true,
            ..self
        }
    }
}

/// See [`Push::Presence`].
#[derive(Debug, Default, Serialize)]
pub struct PresenceChange<'a> {
    /// Members who came, each a [`Member`].
    pub joins: Vec<&'a RawValue>,
    /// Users who went.
    pub leaves: Vec<&'a UserId>,
    /// Connections whose state changed.
    pub updates: Vec<StateChange<'a>>,
    /// How many members there are now.
    pub count: usize,
    /// Set where there are more than are listed, and only their number is told.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// A connection's new state; `None` where the connection is gone and its user is not.
#[derive(Debug, Serialize)]
pub struct StateChange<'a> {
    /// Whose.
    pub user: &'a UserId,
    /// Which connection's.
    pub connection: ConnectionId,
    /// The state.
    pub state: Option<&'a RawValue>,
}

/// A user with at least one connection, or away for less than the grace.
#[derive(Debug, Serialize)]
pub struct Member<'a> {
    /// Who.
    pub user: &'a UserId,
    /// The public profile; `{}` where the token has none.
    pub info: &'a RawValue,
    /// When the user came.
    pub since: Timestamp,
    /// How many connections the user has.
    pub connections: usize,
    /// What each of them shows.
    pub state: BTreeMap<ConnectionId, &'a RawValue>,
}

impl Member<'_> {
    /// The object as JSON.
    pub fn to_json(&self) -> Box<RawValue> {
        // As below: nothing in here can fail to serialise.
        serde_json::value::to_raw_value(self).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }

    /// How much of it the application's own JSON is.
    pub fn payload_bytes(&self) -> usize {
        let states = self
            .state
            .values()
            .map(|state| state.get().len())
            .sum::<usize>();
        states.saturating_add(self.info.get().len())
    }
}

impl Push<'_> {
    /// The object as one line of JSON.
    pub fn to_line(&self) -> Rc<str> {
        // Nothing in here can fail to serialise: keys are strings, and raw values are JSON.
        serde_json::to_string(self).map_or_else(|_| "{}".into(), Into::into)
    }
}
