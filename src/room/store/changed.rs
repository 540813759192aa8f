//! Changed messages in the room's database.

use std::collections::BTreeSet;

use snug_core::{
    Epoch, Offset,
    backend::webhook::{dead_without_content, without_contents},
    storage::{
        batch::Wanted,
        changed::{ChangeWrite, ChangedMessage},
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

    /// Reads the changed messages that a page needs.
    pub(super) fn changed_messages(&self, wanted: &Wanted) -> Result<Vec<ChangedMessage>> {
        let mut rows = self.rows(
            "SELECT message, last, change FROM changed_messages WHERE message BETWEEN ? AND ?",
            [number(wanted.from.0), number(wanted.to.0)],
        )?;
        if !wanted.others.is_empty() {
            let others: Vec<u64> = wanted.others.iter().map(|of| of.0).collect();
            let others = JsValue::from_str(&serde_json::to_string(&others)?);
            rows.extend(self.rows(
                "SELECT message, last, change FROM json_each(?)
                JOIN changed_messages ON message = value",
                [others],
            )?);
        }
        rows.into_iter().map(read_changed).collect()
    }

    /// Takes the content that a change replaces out of the message's row, and stores what the message is now,
    /// within a transaction.
    pub(super) fn write_change(&self, change: &ChangeWrite) -> Result<()> {
        let message = number(change.now.message.0);
        if change.row_before != change.row {
            let (before, after) = (
                JsValue::from_str(&change.row_before),
                JsValue::from_str(&change.row),
            );
            let shrunk = change.row_before.len().saturating_sub(change.row.len());
            let shrunk = number(u64::try_from(shrunk).unwrap_or_default());
            self.run(
                "UPDATE messages SET json = replace(json, ?, ?), bytes_before = bytes_before + ?
                WHERE offset = (SELECT max(offset) FROM messages WHERE offset <= ?)",
                [before, after, shrunk, message.clone()],
            )?;
        }
        self.run(
            "INSERT OR REPLACE INTO changed_messages (message, last, change) VALUES (?, ?, ?)",
            [
                message,
                number(change.now.last.0),
                JsValue::from_str(&change.now.change),
            ],
        )?;
        Ok(())
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
    let [message, last, change] = columns(row)?;
    Ok(ChangedMessage {
        message: Offset(integer(message)?),
        last: Offset(integer(last)?),
        change: text(change)?.into(),
    })
}
