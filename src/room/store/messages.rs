//! Messages in the room's database.

use js_sys::JsString;
use snug_core::{
    Offset, Timestamp,
    limits::KEYS_MAX,
    protocol::page::PageStart,
    storage::{
        batch::{Batch, Page},
        idempotency::{KeyFloor, StoredKey},
        retention::{Floor, OldestMessages, REACTION_ROWS_MAX, TRIM_ROWS_MAX},
    },
};
use wasm_bindgen::JsValue;
use worker::{Result, SqlStorageValue};

use crate::object::database::{Database, columns, corrupt, integer, number, text};

impl Database {
    /// Returns the newest message's offset and time, and the bytes of all messages of the epoch.
    pub(super) fn newest_messages(&self) -> Result<(Offset, Timestamp, u64)> {
        let newest = self.rows(
            "SELECT offset + count - 1, time, bytes_before + octet_length(json) FROM messages
            ORDER BY offset DESC LIMIT 1",
            [],
        )?;
        match newest.into_iter().next() {
            Some(row) => {
                let [offset, time, bytes] = columns(row)?;
                let time = Timestamp(integer(time)?);
                Ok((Offset(integer(offset)?), time, integer(bytes)?))
            }
            None => Ok(Default::default()),
        }
    }

    /// Stores a batch as one row. Fails if its first offset is taken, which means that another object has
    /// become this room.
    pub(super) fn append(&self, batch: &Batch, json: &JsString) -> Result<()> {
        let keys = match batch.keys.as_slice() {
            [] => JsValue::NULL,
            keys => JsValue::from_str(&serde_json::to_string(keys)?),
        };
        self.run(
            "INSERT INTO messages (offset, count, time, bytes_before, json, keys) VALUES (?, ?, ?, ?, ?, ?)",
            [
                number(batch.first.0),
                number(batch.count),
                number(batch.time.0),
                number(batch.bytes_before),
                json.into(),
                keys,
            ],
        )
    }

    /// Reads the remembered idempotency keys, oldest first.
    pub(super) fn keys(&self, floor: KeyFloor) -> Result<Vec<StoredKey>> {
        let cursor = self.sql.exec_raw(
            "SELECT offset + count - 1, time, keys FROM messages ORDER BY offset DESC",
            Vec::new(),
        )?;
        let mut newest = Vec::new();
        for row in cursor.raw() {
            let [last, time, keys] = columns(row?)?;
            let is_remembered = floor.keeps(Offset(integer(last)?), Timestamp(integer(time)?));
            if !is_remembered || newest.len() >= KEYS_MAX {
                break;
            }
            if let SqlStorageValue::String(keys) = keys {
                let keys: Vec<StoredKey> = serde_json::from_str(&keys)?;
                newest.extend(keys.into_iter().rev());
            }
        }
        newest.reverse();
        Ok(newest)
    }

    /// Deletes some of the rows below the floor, and returns the oldest row that still holds messages.
    /// Keeps the newest row, because it defines the next offset, and rows whose keys are still needed, and
    /// deletes only their messages. The caller passes the offset of the `oldest` row with messages.
    pub(super) fn trim(
        &self,
        floor: Floor,
        oldest: Offset,
        keys: KeyFloor,
    ) -> Result<Option<OldestMessages>> {
        let ends = self.rows(
            "SELECT coalesce((SELECT max(offset) FROM messages), 0), coalesce((
                SELECT offset FROM messages
                WHERE offset >= ? AND offset + count > ? AND time >= ? AND bytes_before + octet_length(json) > ?
                ORDER BY offset LIMIT 1
            ), (SELECT offset + count FROM messages ORDER BY offset DESC LIMIT 1), 0)",
            [
                number(oldest.0),
                number(floor.offset.0),
                number(floor.time.0),
                number(floor.bytes_before),
            ],
        )?;
        let ends = ends.into_iter().next().ok_or_else(|| corrupt("row"))?;
        let [newest, lowest_kept] = columns(ends)?;
        let (newest, lowest_kept) = (integer(newest)?, integer(lowest_kept)?);
        let remembered = self.rows(
            "SELECT offset FROM messages
            WHERE offset < ? AND keys IS NOT NULL AND (offset + count > ? OR time >= ?)
            ORDER BY offset LIMIT 1",
            [lowest_kept, keys.offset.0, keys.time.0].map(number),
        )?;
        let remembered = remembered.into_iter().next().map(|row| {
            let [offset] = columns(row)?;
            integer(offset)
        });
        let lowest_row = remembered.transpose()?.unwrap_or(lowest_kept).min(newest);
        self.run(
            "DELETE FROM messages WHERE offset IN (
                SELECT offset FROM messages WHERE offset < ?
                UNION ALL
                SELECT offset FROM messages WHERE offset >= ? AND offset < ? AND keys IS NULL
                LIMIT ?
            )",
            [
                lowest_row,
                oldest.0.max(lowest_row),
                lowest_kept.min(newest),
                TRIM_ROWS_MAX,
            ]
            .map(number),
        )?;
        self.run(
            "UPDATE messages SET bytes_before = bytes_before + octet_length(json), json = ''
            WHERE offset IN (
                SELECT offset FROM messages
                WHERE offset >= ? AND offset < ? AND (keys IS NOT NULL OR offset = ?) AND json <> ''
                ORDER BY offset LIMIT ?
            )",
            [oldest.0.max(lowest_row), lowest_kept, newest, TRIM_ROWS_MAX].map(number),
        )?;
        // A client that was away still needs the last change of a message, if that is retained.
        self.run(
            "DELETE FROM changed_messages WHERE (message, aspect) IN (
                SELECT message, aspect FROM changed_messages WHERE message < ? AND last < ?
                ORDER BY message LIMIT ?
            )",
            [lowest_kept, lowest_kept, TRIM_ROWS_MAX].map(number),
        )?;
        self.run(
            "DELETE FROM reactions WHERE (message, user, name) IN (
                SELECT message, user, name FROM reactions WHERE message < ? ORDER BY message LIMIT ?
            )",
            [lowest_kept, REACTION_ROWS_MAX].map(number),
        )?;
        self.run(
            "DELETE FROM replies WHERE (root, reply) IN (
                SELECT root, reply FROM replies WHERE root < ? ORDER BY root LIMIT ?
            )",
            [lowest_kept, TRIM_ROWS_MAX].map(number),
        )?;
        self.oldest_messages(oldest)
    }

    /// Returns the oldest row from an offset on that holds messages; or the newest row, if there is anything else left
    /// of messages.
    pub(super) fn oldest_messages(&self, from: Offset) -> Result<Option<OldestMessages>> {
        let mut oldest = self.rows(
            "SELECT offset, time FROM messages WHERE offset >= ? AND json <> '' ORDER BY offset LIMIT 1",
            [number(from.0)],
        )?;
        if oldest.is_empty() && self.has_remains()? {
            oldest = self.rows(
                "SELECT offset, time FROM messages ORDER BY offset DESC LIMIT 1",
                [],
            )?;
        }
        let oldest = oldest.into_iter().next().map(|row| {
            let [offset, time] = columns(row)?;
            Ok(OldestMessages {
                offset: Offset(integer(offset)?),
                time: Timestamp(integer(time)?),
            })
        });
        oldest.transpose()
    }

    /// Fills a page.
    pub(super) fn fill_page(&self, page: &mut Page) -> Result<()> {
        let (query, offset) = match page.start() {
            PageStart::After(offset) => (
                "SELECT offset, count, time, bytes_before, json FROM messages
                WHERE offset >= coalesce((SELECT max(offset) FROM messages WHERE offset <= ?), 0)
                AND time >= ? AND bytes_before + octet_length(json) > ? AND json <> ''
                ORDER BY offset",
                offset,
            ),
            PageStart::Before(offset) => (
                "SELECT offset, count, time, bytes_before, json FROM messages
                WHERE offset < ? AND time >= ? AND bytes_before + octet_length(json) > ? AND json <> ''
                ORDER BY offset DESC",
                offset,
            ),
        };
        let floor = page.floor();
        let bindings = [offset.0, floor.time.0, floor.bytes_before].map(number);
        let cursor = self.sql.exec_raw(query, Vec::from(bindings))?;
        for row in cursor.raw() {
            if !page.take(&read_batch(row?)?) {
                break;
            }
        }
        Ok(())
    }
}

fn read_batch(row: Vec<SqlStorageValue>) -> Result<Batch> {
    let [first, count, time, bytes_before, json] = columns(row)?;
    Ok(Batch {
        first: Offset(integer(first)?),
        count: integer(count)?,
        time: Timestamp(integer(time)?),
        bytes_before: integer(bytes_before)?,
        json: text(json)?.into(),
        keys: Vec::new(),
    })
}
