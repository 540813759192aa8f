//! Changed messages in the room's database.

use snug_core::{
    Epoch, Offset,
    backend::webhook::{dead_without_content, without_content},
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
        match change.is_deletion {
            true => self.forget_content_of(change.now.message),
            false => Ok(()),
        }
    }

    /// Takes the content of a deleted message out of the events that wait, and out of dead ones.
    fn forget_content_of(&self, message: Offset) -> Result<()> {
        let epoch = self.meta("epoch")?.ok_or_else(|| corrupt("epoch"))?;
        let epoch = Epoch::new(&epoch);
        let place = |name| JsValue::from_str(&format!(r#""{name}":{},"#, message.0));
        let waiting = self.rows(
            "SELECT seq, lines FROM events
            WHERE epoch = ? AND (instr(lines, ?) > 0 OR instr(lines, ?) > 0)",
            [
                JsValue::from_str(epoch.as_str()),
                place("offset"),
                place("of"),
            ],
        )?;
        for row in waiting {
            let [seq, lines] = columns(row)?;
            let lines = text(lines)?;
            if let Some(stripped) = without_content(&lines, message) {
                // The bytes of later rows stay as they are.
                self.run(
                    "UPDATE events SET lines = ?1, bytes_before = bytes_before + octet_length(lines) - octet_length(?1)
                    WHERE seq = ?2",
                    [JsValue::from_str(&stripped), number(integer(seq)?)],
                )?;
            }
        }
        let dead = self.rows(
            "SELECT seq, json FROM dead_events WHERE instr(json, ?) > 0 OR instr(json, ?) > 0",
            [place("offset"), place("of")],
        )?;
        for row in dead {
            let [seq, json] = columns(row)?;
            if let Some(stripped) = dead_without_content(&text(json)?, message, &epoch) {
                self.run(
                    "UPDATE dead_events SET json = ? WHERE seq = ?",
                    [JsValue::from_str(&stripped), number(integer(seq)?)],
                )?;
            }
        }
        Ok(())
    }
}

fn read_changed(row: Vec<SqlStorageValue>) -> Result<ChangedMessage> {
    let [message, last, change] = columns(row)?;
    Ok(ChangedMessage {
        message: Offset(integer(message)?),
        last: Offset(integer(last)?),
        change: text(change)?.into(),
    })
}
