//! The events that a link carries, in each direction.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::{
    auth::Admission, fan_out::Audience, ids::ConnectionId, protocol::command::CommandId,
    secret::Secret,
};

/// An event of a link. At most one text belongs to it, which travels beside it as written.
pub trait Event: Serialize + for<'de> Deserialize<'de> {
    /// Returns its text, which has no line breaks.
    fn text(&self) -> Option<&str>;

    /// Sets its text, which [`Self::text`] returned at the other end.
    fn set_text(&mut self, text: &str);
}

/// An event from a gateway to a room.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToRoom {
    /// A session joins the room, or joins it again with other options. The room answers each with one
    /// [`ToGateway::Left`] in the end.
    Join {
        /// The session's connection.
        member: ConnectionId,
        /// The id of the `join` command.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<CommandId>,
        /// The user, its capabilities and the options of the join.
        admission: Box<Admission>,
        /// True if `join` had a token of its own, so that the welcome repeats what the token determines.
        #[serde(default)]
        has_own_token: bool,
        /// True if the join may create the room.
        #[serde(default)]
        may_create: bool,
    },
    /// A command for the room.
    Command {
        /// The sender.
        member: ConnectionId,
        /// The command.
        #[serde(skip)]
        text: Secret,
    },
    /// A session has a new token.
    Refresh {
        /// The session's connection.
        member: ConnectionId,
        /// The token's claims for the room; `None` if it grants nothing there.
        admission: Option<Box<Admission>>,
    },
    /// A session has ended.
    Leave {
        /// The session's connection.
        member: ConnectionId,
        /// True if no grace period is needed.
        is_clean: bool,
    },
}

/// An event from a room to a gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToGateway {
    /// A session receives these pushes of the room from now on.
    Receives {
        /// The session's connection.
        member: ConnectionId,
        /// True if it receives messages.
        messages: bool,
        /// True if it receives presence pushes.
        presence: bool,
        /// True if it has just got a new token of its own.
        #[serde(default)]
        has_own_token: bool,
    },
    /// A line to send.
    Line {
        /// The recipients.
        to: Audience,
        /// The line.
        #[serde(skip)]
        text: Rc<str>,
    },
    /// A subscription has ended: it follows each [`ToRoom::Join`].
    Left {
        /// The session's connection.
        member: ConnectionId,
    },
}

impl Event for ToRoom {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Command { text, .. } => Some(&text.0),
            _ => None,
        }
    }

    fn set_text(&mut self, new: &str) {
        if let Self::Command { text, .. } = self {
            *text = Secret(new.to_owned());
        }
    }
}

impl Event for ToGateway {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Line { text, .. } => Some(text),
            _ => None,
        }
    }

    fn set_text(&mut self, new: &str) {
        if let Self::Line { text, .. } = self {
            *text = new.into();
        }
    }
}

impl ToRoom {
    /// Returns true if it may create the room.
    pub fn may_create(&self) -> bool {
        matches!(
            self,
            Self::Join {
                may_create: true,
                ..
            }
        )
    }

    /// Returns the session that it concerns.
    pub fn member(&self) -> ConnectionId {
        let (Self::Join { member, .. }
        | Self::Command { member, .. }
        | Self::Refresh { member, .. }
        | Self::Leave { member, .. }) = self;
        *member
    }
}
