//! Changes of messages that the next flush stores.

use std::rc::Rc;

use serde_json::value::RawValue;

use crate::{
    ids::{ConnectionId, Offset, Timestamp, UserId},
    protocol::{
        change::ActionKind,
        push::{Change, Push},
    },
    storage::{
        changed::{Appendable, ChangeWrite, ChangedMessage},
        entry::StoredEntry,
    },
};

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

impl PendingChange {
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
    pub(super) fn line(&self) -> Rc<str> {
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

    pub(super) fn into_write(self) -> ChangeWrite {
        let is_deletion = self.kind() == ActionKind::Delete;
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
                last,
                change,
            },
            row_before: self.row_before,
            row: self.row.push().clone(),
            is_deletion,
        }
    }
}
