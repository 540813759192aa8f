//! The first push on a connection, and the welcome to a room.

use std::rc::Rc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    capability::Capabilities,
    ids::{ConnectionId, Epoch, Offset, RoomName, Timestamp, UserId},
    protocol::command::CommandId,
};

/// See [`Push::Hello`](super::Push::Hello).
#[derive(Debug, Serialize)]
pub struct Hello<'a> {
    /// The protocol's name and version.
    pub protocol: &'static str,
    /// The connection's id.
    pub connection: ConnectionId,
    /// The connection's user.
    pub user: &'a UserId,
    /// The time at which the token expires.
    pub expires: Timestamp,
    /// The interval in which the client should ping.
    pub ping_ms: u64,
    /// The rooms that the connection can be in.
    pub rooms_max: usize,
    /// The limits of the client's commands.
    pub limits: ConnectionLimits,
}

/// See [`Push::Welcome`](super::Push::Welcome).
#[derive(Debug, Serialize)]
pub struct Welcome<'a> {
    /// The `join` command's id, on a connection with several rooms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a CommandId>,
    /// The fields about the connection, if it has only this room; else `hello` has them.
    #[serde(flatten)]
    pub connection: Option<WelcomeToConnection<'a>>,
    /// The connection's capabilities.
    pub can: Capabilities,
    /// The epoch of the offsets.
    pub epoch: &'a Epoch,
    /// The offset of the newest stored message.
    pub offset: Offset,
    /// True if all missed messages follow; `None` if the client did not resume.
    pub recovered: Option<bool>,
    /// The user's position, if the connection may read the messages.
    #[serde(flatten)]
    pub read: Option<ReadState>,
    /// The number of all members.
    pub count: usize,
    /// The members, up to the limit, if the connection may see them; each is a [`Member`](super::Member).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Rc<RawValue>>>,
    /// True if not all members are listed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// The time at which the token expires, unless it is that of `hello`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The interval in which the client should ping, unless `hello` has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ping_ms: Option<u64>,
    /// The limits of the client's commands, unless they are those of `hello`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ConnectionLimits>,
}

/// See [`Welcome::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ReadState {
    /// The offset of the last message or change that the user has read; 0 if there is none.
    pub read: Offset,
    /// The number of later messages of others, up to [`crate::limits::UNREAD_MAX`].
    pub unread: usize,
    /// The number of those that mention the user.
    pub mentions: usize,
}

/// See [`Welcome::connection`].
#[derive(Debug, Serialize)]
pub struct WelcomeToConnection<'a> {
    /// The protocol's name and version.
    pub protocol: &'static str,
    /// The room.
    pub room: &'a RoomName,
    /// The connection's id.
    pub connection: ConnectionId,
    /// The connection's user.
    pub user: &'a UserId,
}

/// The limits of one connection's commands: the operator's, tightened by the token's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionLimits {
    /// Bytes of one command.
    pub message_bytes: usize,
    /// Commands per second, on average.
    pub messages_per_second: u32,
}
