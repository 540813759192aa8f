//! The draft: messages and changes that the next flush stores as one row.

use std::{collections::BTreeMap, rc::Rc};

use super::pending::{PendingAction, PendingChange};
use crate::{
    ids::{ConnectionId, Offset, Timestamp, UserId},
    protocol::push::Stored,
    storage::{batch::Batch, changed::ChangeWrite, entry::StoredEntry, idempotency::StoredKey},
};

/// Messages and changes that are not stored yet.
#[derive(Debug)]
pub(in crate::room) struct Draft {
    first: Offset,
    count: u64,
    pub(in crate::room) time: Timestamp,
    /// The messages as they are sent, one per line.
    pub(super) body: String,
    /// The texts to store, one per line, once there is a change among them; until then, they are the body.
    row: Option<String>,
    keys: Vec<StoredKey>,
    changes: Vec<PendingChange>,
}

/// A draft that a flush has taken.
#[derive(Debug)]
pub(in crate::room) struct Taken {
    /// The row to store.
    pub(in crate::room) batch: Batch,
    /// The messages that the changes replace.
    pub(in crate::room) writes: Vec<ChangeWrite>,
    pub(in crate::room) texts: Texts,
}

/// The texts that a flush sends.
#[derive(Clone, Debug)]
pub(in crate::room) struct Texts {
    /// The messages, one per line.
    pub(in crate::room) body: Rc<str>,
    /// The changes.
    pub(in crate::room) changes: Vec<Rc<str>>,
}

impl Default for Texts {
    fn default() -> Self {
        Self {
            body: "".into(),
            changes: Vec::new(),
        }
    }
}

impl Texts {
    /// Returns true if there are none.
    pub(in crate::room) fn is_empty(&self) -> bool {
        self.body.is_empty() && self.changes.is_empty()
    }
}

impl Draft {
    /// Creates an empty draft that begins here.
    pub(super) fn at(stored: Stored) -> Self {
        Self {
            first: stored.offset,
            count: 0,
            time: stored.time,
            body: String::new(),
            row: None,
            keys: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// Returns the offset of the first entry.
    pub(in crate::room) fn first(&self) -> Offset {
        self.first
    }

    /// Returns the offset after the last entry.
    pub(in crate::room) fn next(&self) -> Offset {
        Offset(self.first.0.saturating_add(self.count))
    }

    /// Returns the offset of the last entry.
    pub(in crate::room) fn last(&self) -> Offset {
        Offset(self.next().0.saturating_sub(1))
    }

    /// Returns the last change of a message.
    pub(in crate::room) fn change_of(&self, message: Offset) -> Option<&PendingChange> {
        self.changes.iter().rev().find(|one| one.of == message)
    }

    /// Adds a message, and returns its range in the body.
    pub(super) fn push_message(
        &mut self,
        at: Stored,
        line: &str,
        key: Option<StoredKey>,
    ) -> std::ops::Range<usize> {
        let start = push_line(&mut self.body, line);
        if let Some(row) = &mut self.row {
            push_line(row, line);
        }
        self.count = self.count.saturating_add(1);
        self.time = at.time;
        self.keys.extend(key);
        start..self.body.len()
    }

    /// Records that an author has published a message: text that it appends from now on comes after that.
    pub(super) fn close_changes_of(&mut self, user: &UserId, connection: Option<ConnectionId>) {
        let by_author =
            |one: &&mut PendingChange| one.user == *user && one.connection == connection;
        for change in self.changes.iter_mut().filter(by_author) {
            change.is_closed = true;
        }
    }

    /// Adds a change, and returns its index.
    pub(super) fn push_change(&mut self, change: PendingChange, key: Option<StoredKey>) -> usize {
        let row = self.row.get_or_insert_with(|| self.body.clone());
        push_line(row, &StoredEntry::bare_change(change.offset, change.of));
        self.count = self.count.saturating_add(1);
        self.time = change.time;
        self.keys.extend(key);
        let index = self.changes.len();
        self.changes.push(change);
        index
    }

    /// Appends more text with the last change of a message, which is an append already.
    pub(super) fn append_more(&mut self, of: Offset, more: &str, key: Option<StoredKey>) {
        let last = self.changes.iter_mut().rev().find(|one| one.of == of);
        if let Some(PendingChange {
            action: PendingAction::Append { text, whole },
            ..
        }) = last
        {
            text.push_str(more);
            whole.append(more);
        }
        self.keys.extend(key);
    }

    /// Returns what to store and to send.
    pub(super) fn take(self, bytes_before: u64) -> Taken {
        let body: Rc<str> = self.body.into();
        let bytes = self.changes.iter().map(PendingChange::bytes).sum::<usize>();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let batch = Batch {
            first: self.first,
            count: self.count,
            time: self.time,
            bytes_before: bytes_before.saturating_add(bytes),
            json: self.row.map_or_else(|| body.clone(), Into::into),
            keys: self.keys,
        };
        let changes = self.changes.iter().map(PendingChange::line).collect();
        let last: BTreeMap<_, _> = self.changes.into_iter().map(|one| (one.of, one)).collect();
        Taken {
            batch,
            writes: last.into_values().map(PendingChange::into_write).collect(),
            texts: Texts { body, changes },
        }
    }
}

/// Adds a line, and returns its start.
fn push_line(lines: &mut String, line: &str) -> usize {
    if !lines.is_empty() {
        lines.push('\n');
    }
    let start = lines.len();
    lines.push_str(line);
    start
}
