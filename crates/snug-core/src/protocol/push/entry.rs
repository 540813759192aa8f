//! Entries of a room: its messages, and the changes of their content, replies and reactions.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    ids::{ConnectionId, Offset, Timestamp, UserId},
    protocol::{change::ActionKind, reaction::Summary},
};

/// See [`Push::Message`](super::Push::Message).
#[derive(Debug, Serialize)]
pub struct Message<'a> {
    /// The message's offset.
    pub offset: Offset,
    /// The time at which it was stored.
    pub time: Timestamp,
    /// The author.
    pub user: &'a UserId,
    /// The author's connection; `None` if published over the HTTP API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
    /// The author's public profile at that time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<&'a RawValue>,
    /// The event name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<&'a str>,
    /// The first message of its thread, if it is a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub re: Option<Offset>,
    /// The users whom it mentions.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub mentions: &'a [UserId],
    /// The idempotency key of its publish, in the author's own copies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
    /// The content.
    pub data: &'a RawValue,
}

/// See [`Push::Change`](super::Push::Change).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Change<'a> {
    /// The change's own offset.
    pub offset: Offset,
    /// The time at which it was stored.
    pub time: Timestamp,
    /// The offset of the message.
    pub of: Offset,
    /// The message's version after it. A message begins at version 1.
    pub version: u64,
    /// The action.
    pub action: ActionKind,
    /// The user who did it.
    pub user: &'a UserId,
    /// That user's connection; `None` if it was done over the HTTP API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
    /// The reason of a deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// The text to append.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<&'a str>,
    /// The new content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
}

/// See [`Push::Replies`](super::Push::Replies).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Replies {
    /// The change's own offset.
    pub offset: Offset,
    /// The time at which it was stored.
    pub time: Timestamp,
    /// The offset of the message.
    pub of: Offset,
    /// [`Self::ACTION`].
    pub action: &'static str,
    /// The number of replies now.
    #[serde(flatten)]
    pub count: ReplyCount,
}

impl Replies {
    /// The action of the change.
    pub const ACTION: &'static str = "replies";
}

/// The number of replies to a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyCount {
    /// The number of replies that are not deleted.
    pub replies: u64,
    /// The offset of the newest reply, deleted or not.
    pub last_reply: Offset,
}

/// See [`Push::Reactions`](super::Push::Reactions).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Reactions<'a> {
    /// Their own offset.
    pub offset: Offset,
    /// The offset of the message.
    pub of: Offset,
    /// All reactions to it.
    pub summary: &'a Summary,
}
