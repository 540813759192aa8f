//! Changed messages in the room's database.

use std::collections::BTreeSet;

use snug_core::{
    Epoch, Offset, UserId,
    backend::webhook::{dead_without_content, without_contents},
    protocol::page::PageStart,
    storage::{
        batch::Wanted,
        changed::{Aspect, ChangeWrite, ChangedMessage, ChangedRows, UserReaction},
    },
};
use wasm_bindgen::JsValue;
use worker::{Result, SqlStorageValue};

use crate::object::database::{Database, columns, corrupt, integer, number, text};

impl Database {
    /// Returns true if there are changed messages.
    pub(super) fn has_changed_messages(&self) -> Result<bool> {
        let one = self.rows("SELECT 1 FROM changed_messages LIMIT 1", [])?;
        Ok(!one.is_empty())
    }

    /// Returns true if anything is left of messages besides their rows.
    pub(super) fn has_remains(&self) -> Result<bool> {
        let one = self.rows(
            "SELECT 1 FROM changed_messages UNION ALL SELECT 1 FROM reactions UNION ALL SELECT 1 FROM replies LIMIT 1",
            [],
        )?;
        Ok(!one.is_empty())
    }

    /// Reads the changed messages that a page needs.
    pub(super) fn changed_messages(&self, wanted: &Wanted) -> Result<Vec<ChangedMessage>> {
        let mut rows = self.rows(
            "SELECT message, aspect, last, change FROM changed_messages WHERE message BETWEEN ? AND ?",
            [number(wanted.from.0), number(wanted.to.0)],
        )?;
        if !wanted.others.is_empty() {
            let others: Vec<u64> = wanted.others.iter().map(|of| of.0).collect();
            let others = JsValue::from_str(&serde_json::to_string(&others)?);
            rows.extend(self.rows(
                "SELECT message, aspect, last, change FROM json_each(?)
                JOIN changed_messages ON message = value",
                [others],
            )?);
        }
        rows.into_iter().map(read_changed).collect()
    }

    /// Stores an aspect as it is now, with what belongs to it, within a transaction.
    pub(super) fn write_change(&self, change: &ChangeWrite) -> Result<()> {
        let ChangedMessage {
            message,
            aspect,
            last,
            change: text,
        } = &change.now;
        self.run(
            "INSERT OR REPLACE INTO changed_messages (message, aspect, last, change) VALUES (?, ?, ?, ?)",
            [
                number(message.0),
                JsValue::from_str(aspect.name()),
                number(last.0),
                JsValue::from_str(text),
            ],
        )?;
        match &change.along {
            ChangedRows::Content {
                row_before,
                row,
                is_deletion,
            } => {
                if row_before != row {
                    self.replace_in_row(*message, row_before, row)?;
                }
                if !is_deletion {
                    return Ok(());
                }
                self.end_reactions(*message)
            }
            ChangedRows::Replies(added) => added.iter().try_for_each(|reply| {
                self.run(
                    "INSERT INTO replies (root, reply) VALUES (?, ?)",
                    [number(message.0), number(reply.0)],
                )
            }),
            ChangedRows::Reactions(toggled) => {
                (toggled.iter()).try_for_each(|one| self.write_reaction(*message, one))
            }
        }
    }

    fn write_reaction(&self, message: Offset, reaction: &UserReaction) -> Result<()> {
        let query = match reaction.is_on {
            true => "INSERT OR IGNORE INTO reactions (message, user, name) VALUES (?, ?, ?)",
            false => "DELETE FROM reactions WHERE message = ? AND user = ? AND name = ?",
        };
        self.run(
            query,
            [
                number(message.0),
                JsValue::from_str(reaction.user.as_str()),
                JsValue::from_str(&reaction.name),
            ],
        )
    }

    fn end_reactions(&self, message: Offset) -> Result<()> {
        let message = number(message.0);
        self.run("DELETE FROM reactions WHERE message = ?", [message.clone()])?;
        self.run(
            "DELETE FROM changed_messages WHERE message = ? AND aspect = ?",
            [message, JsValue::from_str(Aspect::Reactions.name())],
        )
    }

    /// Reads the offsets of some replies to a message.
    pub(super) fn replies_to(
        &self,
        root: Offset,
        from: PageStart,
        limit: u32,
    ) -> Result<Vec<Offset>> {
        let (query, offset) = match from {
            PageStart::After(offset) => (
                "SELECT reply FROM replies WHERE root = ? AND reply > ? ORDER BY reply LIMIT ?",
                offset,
            ),
            PageStart::Before(offset) => (
                "SELECT reply FROM replies WHERE root = ? AND reply < ? ORDER BY reply DESC LIMIT ?",
                offset,
            ),
        };
        let rows = self.rows(query, [root.0, offset.0, u64::from(limit)].map(number))?;
        let replies = rows.into_iter().map(|row| {
            let [reply] = columns(row)?;
            integer(reply).map(Offset)
        });
        replies.collect()
    }

    /// Reads the names of a user's reactions to a message.
    pub(super) fn reactions_of(&self, user: &UserId, message: Offset) -> Result<Vec<String>> {
        let names = self.rows(
            "SELECT name FROM reactions WHERE message = ? AND user = ?",
            [number(message.0), JsValue::from_str(user.as_str())],
        )?;
        let names = names.into_iter().map(|row| {
            let [name] = columns(row)?;
            text(name)
        });
        names.collect()
    }

    /// Reads some users with a reaction to a message.
    pub(super) fn users_with(
        &self,
        name: &str,
        message: Offset,
        limit: usize,
    ) -> Result<Vec<UserId>> {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        let users = self.rows(
            "SELECT user FROM reactions WHERE message = ? AND name = ? LIMIT ?",
            [number(message.0), JsValue::from_str(name), number(limit)],
        )?;
        let users = users.into_iter().map(|row| {
            let [user] = columns(row)?;
            UserId::parse(&text(user)?).ok_or_else(|| corrupt("user"))
        });
        users.collect()
    }

    /// Takes replaced content out of a message's row.
    fn replace_in_row(&self, message: Offset, before: &str, after: &str) -> Result<()> {
        let shrunk = before.len().saturating_sub(after.len());
        self.run(
            "UPDATE messages SET json = replace(json, ?, ?), bytes_before = bytes_before + ?
            WHERE offset = (SELECT max(offset) FROM messages WHERE offset <= ?)",
            [
                JsValue::from_str(before),
                JsValue::from_str(after),
                number(u64::try_from(shrunk).unwrap_or_default()),
                number(message.0),
            ],
        )
    }

    /// Takes the contents of deleted messages out of the events that wait, and out of dead ones, within a transaction.
    pub(super) fn forget_contents_of(&self, deleted: &BTreeSet<Offset>) -> Result<()> {
        if deleted.is_empty() {
            return Ok(());
        }
        let epoch = self.meta("epoch")?.ok_or_else(|| corrupt("epoch"))?;
        let (of_epoch, epoch) = (JsValue::from_str(&epoch), Epoch::new(&epoch));
        let parts = JsValue::from_str(&serde_json::to_string(&parts_of(deleted))?);
        let without = |lines: &str| without_contents(lines, deleted);
        let waiting = self.seqs_of(
            "SELECT seq, lines FROM events WHERE epoch = ?
            AND EXISTS (SELECT 1 FROM json_each(?) WHERE instr(events.lines, value) > 0)",
            vec![of_epoch, parts.clone()],
            without,
        )?;
        for seq in waiting {
            let row = self.rows("SELECT lines FROM events WHERE seq = ?", [number(seq)])?;
            if let Some(stripped) = stripped(row, without)? {
                // The bytes of later rows stay as they are. What takes the place of a short text is longer.
                self.run(
                    "UPDATE events SET lines = ?1,
                    bytes_before = max(bytes_before + octet_length(lines) - octet_length(?1), 0)
                    WHERE seq = ?2",
                    [JsValue::from_str(&stripped), number(seq)],
                )?;
            }
        }
        let without = |json: &str| dead_without_content(json, deleted, &epoch);
        let dead = self.seqs_of(
            "SELECT seq, json FROM dead_events
            WHERE EXISTS (SELECT 1 FROM json_each(?) WHERE instr(dead_events.json, value) > 0)",
            vec![parts],
            without,
        )?;
        for seq in dead {
            let row = self.rows("SELECT json FROM dead_events WHERE seq = ?", [number(seq)])?;
            if let Some(stripped) = stripped(row, without)? {
                self.run(
                    "UPDATE dead_events SET json = ? WHERE seq = ?",
                    [JsValue::from_str(&stripped), number(seq)],
                )?;
            }
        }
        Ok(())
    }

    /// Returns the numbers of the events whose text has contents to take out. The texts may be long, so only one is in
    /// memory at a time.
    fn seqs_of(
        &self,
        query: &str,
        bindings: Vec<JsValue>,
        without: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<u64>> {
        let cursor = self.sql.exec_raw(query, bindings)?;
        let mut seqs = Vec::new();
        for row in cursor.raw() {
            let [seq, lines] = columns(row?)?;
            if without(&text(lines)?).is_some() {
                seqs.push(integer(seq)?);
            }
        }
        Ok(seqs)
    }
}

/// The most deleted messages that the database looks for in the events. Each is a search through all of them, so for
/// more, it is faster to read them all once.
const SOUGHT_MAX: usize = 4;

/// Returns texts. Each event about the messages contains one of them.
fn parts_of(deleted: &BTreeSet<Offset>) -> Vec<String> {
    if deleted.len() > SOUGHT_MAX {
        // Every text contains it.
        return vec![String::new()];
    }
    let parts =
        |message: &Offset| ["offset", "of"].map(|name| format!(r#""{name}":{},"#, message.0));
    deleted.iter().flat_map(parts).collect()
}

/// Returns the text of a row without the deleted contents; `None` if it contains none of them.
fn stripped(
    row: Vec<Vec<SqlStorageValue>>,
    without: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>> {
    let [row]: [_; 1] = row.try_into().map_err(|_| corrupt("row"))?;
    let [lines] = columns(row)?;
    Ok(without(&text(lines)?))
}

fn read_changed(row: Vec<SqlStorageValue>) -> Result<ChangedMessage> {
    let [message, aspect, last, change] = columns(row)?;
    Ok(ChangedMessage {
        message: Offset(integer(message)?),
        aspect: Aspect::named(&text(aspect)?).ok_or_else(|| corrupt("aspect"))?,
        last: Offset(integer(last)?),
        change: text(change)?.into(),
    })
}
