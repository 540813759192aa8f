//! The draft: messages and changes that the next flush stores as one row.

use std::{collections::BTreeMap, rc::Rc};

use super::pending::{
    PendingAction, PendingChange, PendingEntry, PendingReactions, PendingReplies,
};
use crate::{
    ids::{ConnectionId, Offset, Timestamp, UserId},
    protocol::push::Stored,
    room::reading::Said,
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
    entries: Vec<PendingEntry>,
    /// The events about mentions in the messages.
    mentions: Vec<String>,
    /// The messages, as far as they matter to those who have not read them.
    said: Vec<Said>,
}

/// A draft that a flush has taken.
#[derive(Debug)]
pub(in crate::room) struct Taken {
    /// The row to store.
    pub(in crate::room) batch: Batch,
    /// The messages that the changes replace.
    pub(in crate::room) writes: Vec<ChangeWrite>,
    pub(in crate::room) texts: Texts,
    /// The messages, if the room counts those that users have not read.
    pub(in crate::room) said: Vec<Said>,
}

/// The texts that a flush sends.
#[derive(Clone, Debug)]
pub(in crate::room) struct Texts {
    /// The messages, one per line.
    pub(in crate::room) body: Rc<str>,
    /// The entries about messages.
    pub(in crate::room) changes: Vec<ChangeText>,
    /// The events about mentions, which are not sent to members.
    pub(in crate::room) mentions: Vec<String>,
}

/// The text of an entry about a message.
#[derive(Clone, Debug)]
pub(in crate::room) struct ChangeText {
    pub(in crate::room) line: Rc<str>,
    /// True if it is a change of the content, which the application is notified of.
    pub(in crate::room) is_of_content: bool,
}

impl ChangeText {
    fn of(entry: &PendingEntry) -> Self {
        Self {
            line: entry.line(),
            is_of_content: matches!(entry, PendingEntry::Change(_)),
        }
    }
}

impl Default for Texts {
    fn default() -> Self {
        Self {
            body: "".into(),
            changes: Vec::new(),
            mentions: Vec::new(),
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
            entries: Vec::new(),
            mentions: Vec::new(),
            said: Vec::new(),
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
        self.entries.iter().rev().find_map(|entry| match entry {
            PendingEntry::Change(change) if change.of == message => Some(change),
            _ => None,
        })
    }

    /// Returns the reactions to a message.
    pub(in crate::room) fn reactions_to(&self, message: Offset) -> Option<&PendingReactions> {
        self.entries.iter().find_map(|entry| match entry {
            PendingEntry::Reactions(reactions) if reactions.of == message => Some(reactions),
            _ => None,
        })
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
        for entry in &mut self.entries {
            if let PendingEntry::Change(change) = entry
                && change.user == *user
                && change.connection == connection
            {
                change.is_closed = true;
            }
        }
    }

    /// Records a message for those who have not read it.
    pub(super) fn push_said(&mut self, said: Said) {
        self.said.push(said);
    }

    /// Adds the event about a mention.
    pub(super) fn push_mention(&mut self, line: String) {
        self.mentions.push(line);
    }

    /// Adds an entry about a message, and returns its index.
    pub(super) fn push_entry(&mut self, entry: PendingEntry, key: Option<StoredKey>) -> usize {
        let row = self.row.get_or_insert_with(|| self.body.clone());
        push_line(row, &StoredEntry::bare_change(entry.offset(), entry.of()));
        self.count = self.count.saturating_add(1);
        self.time = entry.time();
        self.keys.extend(key);
        let index = self.entries.len();
        self.entries.push(entry);
        index
    }

    /// Replaces the reactions to a message that are not stored yet.
    pub(super) fn replace_reactions(&mut self, now: PendingReactions) {
        for entry in &mut self.entries {
            if let PendingEntry::Reactions(reactions) = entry
                && reactions.of == now.of
            {
                *reactions = now;
                return;
            }
        }
    }

    /// Returns the replies to a message.
    pub(super) fn replies_to(&mut self, message: Offset) -> Option<&mut PendingReplies> {
        self.entries.iter_mut().find_map(|entry| match entry {
            PendingEntry::Replies(replies) if replies.of == message => Some(replies),
            _ => None,
        })
    }

    /// Appends more text with the last change of a message, which is an append already.
    pub(super) fn append_more(&mut self, of: Offset, more: &str, key: Option<StoredKey>) {
        let changes = self
            .entries
            .iter_mut()
            .rev()
            .filter_map(|entry| match entry {
                PendingEntry::Change(change) if change.of == of => Some(change),
                _ => None,
            });
        if let Some(PendingChange {
            action: PendingAction::Append { text, whole },
            ..
        }) = changes.into_iter().next()
        {
            text.push_str(more);
            whole.append(more);
        }
        self.keys.extend(key);
    }

    /// Returns what to store and to send.
    pub(super) fn take(self, bytes_before: u64) -> Taken {
        let body: Rc<str> = self.body.into();
        let bytes = self.entries.iter().map(PendingEntry::bytes).sum::<usize>();
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let batch = Batch {
            first: self.first,
            count: self.count,
            time: self.time,
            bytes_before: bytes_before.saturating_add(bytes),
            json: self.row.map_or_else(|| body.clone(), Into::into),
            keys: self.keys,
        };
        let changes = self.entries.iter().map(ChangeText::of).collect();
        let mut others = Vec::new();
        let mut contents = BTreeMap::new();
        for entry in self.entries {
            match entry {
                PendingEntry::Change(_) => drop(contents.insert(entry.of(), entry)),
                PendingEntry::Reactions(_) | PendingEntry::Replies(_) => others.push(entry),
            }
        }
        // A deletion ends the reactions.
        let writes = others.into_iter().chain(contents.into_values());
        Taken {
            batch,
            said: self.said,
            writes: writes.map(PendingEntry::into_write).collect(),
            texts: Texts {
                body,
                changes,
                mentions: self.mentions,
            },
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
