//! Changes of messages and reactions to them that the next flush stores.

use std::{collections::BTreeMap, rc::Rc};

use serde_json::value::RawValue;

use crate::{
    ids::{ConnectionId, Offset, Timestamp, UserId},
    protocol::{
        change::ActionKind,
        push::{Change, Push, Reactions, Replies, ReplyCount},
        reaction::Summary,
    },
    storage::{
        changed::{Appendable, Aspect, ChangeWrite, ChangedMessage, ChangedRows, UserReaction},
        entry::StoredEntry,
    },
};

/// An entry about a message that is not stored yet.
#[derive(Debug)]
pub(in crate::room) enum PendingEntry {
    Change(PendingChange),
    Reactions(PendingReactions),
    Replies(PendingReplies),
}

/// A change that is not stored yet.
#[derive(Debug)]
pub(in crate::room) struct PendingChange {
    /// The message.
    pub(in crate::room) of: Offset,
    /// The change's own place.
    pub(in crate::room) offset: Offset,
    pub(in crate::room) time: Timestamp,
    /// The message's version after it.
    pub(in crate::room) version: u64,
    pub(in crate::room) user: UserId,
    pub(in crate::room) connection: Option<ConnectionId>,
    pub(in crate::room) action: PendingAction,
    /// The message's text in its row before the flush.
    pub(in crate::room) row_before: Rc<str>,
    /// The same after the flush.
    pub(in crate::room) row: StoredEntry,
    /// True if its author has published a message since, which later text must not overtake.
    pub(in crate::room) is_closed: bool,
}

/// The action of a pending change.
#[derive(Debug)]
pub(in crate::room) enum PendingAction {
    Edit(Box<RawValue>),
    Append {
        /// The appended text.
        text: String,
        /// The whole content after it.
        whole: Appendable,
    },
    Delete {
        reason: Option<String>,
    },
}

/// Reactions to a message that are not stored yet: all of a flush are one entry.
#[derive(Clone, Debug)]
pub(in crate::room) struct PendingReactions {
    /// The message.
    pub(in crate::room) of: Offset,
    /// Their own place.
    pub(in crate::room) offset: Offset,
    pub(in crate::room) time: Timestamp,
    /// All reactions to the message after them.
    pub(in crate::room) summary: Summary,
    /// The reactions that users have put on the message, or taken back, by user and name.
    pub(in crate::room) toggled: BTreeMap<(UserId, String), bool>,
}

/// Replies to a message that are not stored yet: all of a flush are one entry.
#[derive(Debug)]
pub(in crate::room) struct PendingReplies {
    /// The message.
    pub(in crate::room) of: Offset,
    /// Their own place.
    pub(in crate::room) offset: Offset,
    pub(in crate::room) time: Timestamp,
    /// All replies to the message after them.
    pub(in crate::room) count: ReplyCount,
    /// The replies that are new.
    pub(in crate::room) added: Vec<Offset>,
}

impl PendingEntry {
    pub(in crate::room) fn of(&self) -> Offset {
        match self {
            Self::Change(change) => change.of,
            Self::Reactions(reactions) => reactions.of,
            Self::Replies(replies) => replies.of,
        }
    }

    pub(in crate::room) fn offset(&self) -> Offset {
        match self {
            Self::Change(change) => change.offset,
            Self::Reactions(reactions) => reactions.offset,
            Self::Replies(replies) => replies.offset,
        }
    }

    pub(in crate::room) fn time(&self) -> Timestamp {
        match self {
            Self::Change(change) => change.time,
            Self::Reactions(reactions) => reactions.time,
            Self::Replies(replies) => replies.time,
        }
    }

    /// Returns the bytes by which the stored message grows.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Change(change) => change.bytes(),
            Self::Reactions(reactions) => reactions.bytes(),
            Self::Replies(_) => 0,
        }
    }

    /// Returns about the bytes of the entry as it is sent.
    pub(super) fn sent_bytes(&self) -> usize {
        match self {
            Self::Change(change) => change.bytes(),
            Self::Reactions(reactions) => reactions.line().len(),
            Self::Replies(replies) => replies.line().len(),
        }
    }

    /// Returns the entry as the members receive it now.
    pub(super) fn line(&self) -> Rc<str> {
        match self {
            Self::Change(change) => change.line(),
            Self::Reactions(reactions) => reactions.line(),
            Self::Replies(replies) => replies.line(),
        }
    }

    pub(super) fn into_write(self) -> ChangeWrite {
        match self {
            Self::Change(change) => change.into_write(),
            Self::Reactions(reactions) => reactions.into_write(),
            Self::Replies(replies) => replies.into_write(),
        }
    }
}

impl PendingReactions {
    fn bytes(&self) -> usize {
        let stored = self
            .toggled
            .keys()
            .map(|(user, name)| user.as_str().len().saturating_add(name.len()));
        stored.sum()
    }

    fn line(&self) -> Rc<str> {
        let reactions = Reactions {
            offset: self.offset,
            of: self.of,
            summary: &self.summary,
        };
        Push::Reactions(reactions).to_line()
    }

    fn into_write(self) -> ChangeWrite {
        let now = ChangedMessage {
            message: self.of,
            aspect: Aspect::Reactions,
            last: self.offset,
            change: self.line(),
        };
        let toggled = self.toggled.into_iter();
        let toggled = toggled.map(|((user, name), is_on)| UserReaction { user, name, is_on });
        ChangeWrite {
            now,
            along: ChangedRows::Reactions(toggled.collect()),
        }
    }
}

impl PendingReplies {
    fn line(&self) -> Rc<str> {
        Push::Replies(Replies {
            offset: self.offset,
            time: self.time,
            of: self.of,
            action: Replies::ACTION,
            count: self.count,
        })
        .to_line()
    }

    fn into_write(self) -> ChangeWrite {
        let now = ChangedMessage {
            message: self.of,
            aspect: Aspect::Replies,
            last: self.offset,
            change: self.line(),
        };
        ChangeWrite {
            now,
            along: ChangedRows::Replies(self.added),
        }
    }
}

impl PendingChange {
    pub(in crate::room) fn is_deletion(&self) -> bool {
        self.kind() == ActionKind::Delete
    }

    pub(in crate::room) fn kind(&self) -> ActionKind {
        match self.action {
            PendingAction::Edit(_) => ActionKind::Edit,
            PendingAction::Append { .. } => ActionKind::Append,
            PendingAction::Delete { .. } => ActionKind::Delete,
        }
    }

    /// Returns the bytes by which the stored message grows.
    pub(super) fn bytes(&self) -> usize {
        match &self.action {
            PendingAction::Edit(data) => data.get().len(),
            PendingAction::Append { text, .. } => text.len(),
            PendingAction::Delete { .. } => 0,
        }
    }

    fn push(&self) -> Change<'_> {
        Change {
            offset: self.offset,
            time: self.time,
            of: self.of,
            version: self.version,
            action: self.kind(),
            user: &self.user,
            connection: self.connection,
            reason: None,
            text: None,
            data: None,
        }
    }

    /// Returns the change as the members receive it now.
    fn line(&self) -> Rc<str> {
        let push = self.push();
        let push = match &self.action {
            PendingAction::Edit(data) => Change {
                data: Some(data),
                ..push
            },
            PendingAction::Append { text, .. } => Change {
                text: Some(text),
                ..push
            },
            PendingAction::Delete { reason } => Change {
                reason: reason.as_deref(),
                ..push
            },
        };
        Push::Change(push).to_line()
    }

    fn into_write(self) -> ChangeWrite {
        let is_deletion = self.is_deletion();
        let (message, last) = (self.of, self.offset);
        let change = match &self.action {
            PendingAction::Append { whole, .. } => {
                // A client that was away needs the whole text.
                let data = whole.clone().into_data();
                let action = ActionKind::Edit;
                let push = Change {
                    action,
                    data: Some(&data),
                    ..self.push()
                };
                Push::Change(push).to_line()
            }
            _ => self.line(),
        };
        ChangeWrite {
            now: ChangedMessage {
                message,
                aspect: Aspect::Content,
                last,
                change,
            },
            along: ChangedRows::Content {
                row_before: self.row_before,
                row: self.row.push().clone(),
                is_deletion,
            },
        }
    }
}
