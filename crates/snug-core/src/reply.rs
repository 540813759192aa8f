//! The results of commands and API requests, in the words of no protocol.
//!
//! The room returns them, and its edges encode them: [`crate::protocol::push`] for sockets,
//! [`crate::backend::response`] for HTTP.

use std::rc::Rc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    ids::{Epoch, Offset, RoomName, Timestamp},
    protocol::push::Stored,
    storage::entry::StoredEntry,
};

/// The result of a command or an API request that succeeded.
#[derive(Clone, Debug)]
pub enum Reply {
    /// There is nothing to report.
    Done,
    /// Messages are stored, in this order.
    Published {
        /// The epoch of the offsets.
        epoch: Epoch,
        /// The messages' positions.
        messages: Vec<Stored>,
    },
    /// A message is changed.
    Changed {
        /// The epoch of the offsets.
        epoch: Epoch,
        /// The change's position, with the message's version.
        change: Stored,
    },
    /// Messages of a user are deleted.
    Deleted {
        /// The epoch of the offsets; `None` if the room has never been used.
        epoch: Option<Epoch>,
        /// The number of messages.
        deleted: usize,
        /// The offset before which there may be more; `None` if there are none.
        cursor: Option<Offset>,
    },
    /// A user's position is stored.
    Read {
        /// The offset up to which the user has read.
        read: Offset,
    },
    /// A page of stored messages.
    History(HistoryPage),
    /// A list of members.
    Members(MemberList),
    /// Connections are closed.
    Closed {
        /// The number of connections.
        closed: usize,
    },
    /// A connection has a new token.
    Refreshed {
        /// The time at which it expires.
        expires: Timestamp,
    },
    /// The state of the room.
    Status(RoomStatus),
    /// A page of dead events.
    DeadEvents {
        /// The events, each a JSON object.
        events: Vec<String>,
        /// True if there are more.
        more: bool,
    },
}

/// Stored messages, in offset order.
#[derive(Clone, Debug)]
pub struct HistoryPage {
    /// The epoch of the offsets; `None` if the room has never been used.
    pub epoch: Option<Epoch>,
    /// The messages.
    pub messages: Vec<StoredEntry>,
    /// True if there are more messages in the requested direction.
    pub more: bool,
    /// The offset from which to go on, if that is not the one of the last message: see
    /// [`crate::backend::api::ApiOperation::MessagesOf`].
    pub cursor: Option<Offset>,
}

/// The members of a room, by user id.
#[derive(Clone, Debug, Serialize)]
pub struct MemberList {
    /// The members, up to the limit; each is a [`crate::protocol::push::Member`].
    pub members: Vec<Rc<RawValue>>,
    /// The number of all members.
    pub count: usize,
    /// True if not all members are listed.
    pub truncated: bool,
}

/// The state of a room.
#[derive(Clone, Debug, Serialize)]
pub struct RoomStatus {
    /// The room's name.
    pub room: RoomName,
    /// The epoch of the offsets; `None` if the room has never been used.
    pub epoch: Option<Epoch>,
    /// The offset of the newest stored message.
    pub offset: Offset,
    /// The number of open connections.
    pub connections: usize,
    /// The number of members.
    pub members: usize,
    /// The number of retained messages.
    pub messages: u64,
    /// The bytes of storage that the room uses.
    pub storage_bytes: u64,
    /// The numbers of undelivered webhook events.
    pub webhooks: WebhookCounts,
}

/// The numbers of undelivered webhook events.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct WebhookCounts {
    /// The number of events that wait for delivery.
    pub pending: u64,
    /// The number of dead events.
    pub dead: u64,
}

/// The reason why a command or an API request that is valid and granted failed; each with a description
/// for a developer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A limit of the room is reached.
    TooLarge(&'static str),
    /// The room has no such message, or none any more.
    NotFound,
    /// The caller may not change the message, which is another user's.
    Forbidden,
    /// The message has this version, which is not the expected one.
    Conflict {
        /// The version.
        version: u64,
    },
    /// The change cannot be made to what the message contains.
    Unsuitable(&'static str),
    /// An internal error: nothing was done.
    Internal(&'static str),
}

impl Reply {
    /// Returns the bytes of what the reply lists; 0 if it is not a list.
    pub fn listed_bytes(&self) -> usize {
        match self {
            Self::History(page) => page.messages.iter().map(StoredEntry::listed_bytes).sum(),
            Self::Members(list) => list.members.iter().map(|one| one.get().len()).sum(),
            Self::DeadEvents { events, .. } => events.iter().map(String::len).sum(),
            Self::Done
            | Self::Published { .. }
            | Self::Changed { .. }
            | Self::Deleted { .. }
            | Self::Read { .. }
            | Self::Closed { .. }
            | Self::Refreshed { .. }
            | Self::Status(_) => 0,
        }
    }
}

impl MemberList {
    /// Creates the list of some members of a room that has `count`.
    pub fn new(members: Vec<Rc<RawValue>>, count: usize) -> Self {
        Self {
            truncated: members.len() < count,
            members,
            count,
        }
    }
}

impl HistoryPage {
    /// Writes the messages as a JSON array of objects without their type.
    ///
    /// They are copied as they were stored: a page is not parsed.
    pub fn write_messages(&self, json: &mut String) {
        json.push('[');
        for (index, message) in self.messages.iter().enumerate() {
            json.push_str(if index == 0 { "{" } else { ",{" });
            json.push_str(message.fields());
        }
        json.push(']');
    }
}
