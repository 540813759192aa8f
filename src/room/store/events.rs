//! Webhook events in the room's storage.

use snug_core::{
    Epoch, Timestamp, UserId,
    backend::webhook::{
        Delivery, EventRow, EventState, Lines, OldestRow, OutgoingEvent, StoredEvents, dead_page,
    },
    limits::DEAD_EVENTS_MAX,
    room::io::EventWrite,
};
use wasm_bindgen::JsValue;
use worker::{Result, SqlStorageValue};

use super::{Store, columns, corrupt, integer, number, text};
use crate::platform;

impl Store {
    /// Loads the state of the room's webhook events.
    pub(super) fn load_events(&self, source: &str) -> Result<StoredEvents> {
        let state = self.meta("events")?;
        let newest = self.rows(
            "SELECT seq + count - 1, bytes_before + octet_length(lines) FROM events
            ORDER BY seq DESC LIMIT 1",
            [],
        )?;
        let (newest, bytes) = match newest.into_iter().next() {
            Some(row) => {
                let [seq, bytes] = columns(row)?;
                (integer(seq)?, integer(bytes)?)
            }
            None => (0, 0),
        };
        let notified = self.rows("SELECT user FROM notified_members", [])?;
        Ok(StoredEvents {
            source: source.into(),
            state: state
                .map(|state| serde_json::from_str(&state))
                .transpose()?
                .unwrap_or_default(),
            newest,
            bytes,
            oldest: self.oldest_events()?,
            notified: notified.into_iter().map(read_user).collect::<Result<_>>()?,
        })
    }

    /// Returns the oldest row of events.
    fn oldest_events(&self) -> Result<Option<OldestRow>> {
        let oldest = self.rows(
            "SELECT time, bytes_before FROM events ORDER BY seq LIMIT 1",
            [],
        )?;
        let oldest = oldest.into_iter().next().map(|row| {
            let [time, bytes_before] = columns(row)?;
            Ok(OldestRow {
                time: Timestamp(integer(time)?),
                bytes_before: integer(bytes_before)?,
            })
        });
        oldest.transpose()
    }

    /// Stores events as one row.
    pub(super) fn append_events(&self, row: &EventRow, lines: JsValue) -> Result<()> {
        let epoch = match &row.lines {
            Lines::Events(_) => JsValue::NULL,
            Lines::Messages { epoch, .. } => JsValue::from_str(epoch.as_str()),
        };
        self.run(
            "INSERT INTO events (seq, count, time, bytes_before, epoch, lines)
            VALUES (?, ?, ?, ?, ?, ?)",
            [
                number(row.first),
                number(row.count),
                number(row.time.0),
                number(row.bytes_before),
                epoch,
                lines,
            ],
        )
    }

    /// Stores events, the delivery state, and changes of the notified members.
    pub fn store_events(&self, write: &EventWrite) -> Result<()> {
        platform::transaction(&self.storage, || {
            if let Some(row) = &write.row {
                self.append_events(row, JsValue::from_str(row.lines.text()))?;
            }
            if let Some(state) = &write.state {
                self.set_meta("events", &serde_json::to_string(state)?)?;
            }
            for user in &write.departed {
                let user = JsValue::from_str(user.as_str());
                self.run("DELETE FROM notified_members WHERE user = ?", [user])?;
            }
            for user in &write.notified {
                let user = JsValue::from_str(user.as_str());
                self.run(
                    "INSERT OR REPLACE INTO notified_members (user) VALUES (?)",
                    [user],
                )?;
            }
            Ok(())
        })
    }

    /// Fills a delivery with the events that are due.
    pub fn fill_delivery(&self, delivery: &mut Delivery) -> Result<()> {
        let cursor = self.sql.exec_raw(
            "SELECT seq, count, time, bytes_before, epoch, lines FROM events
            WHERE seq >= coalesce((SELECT max(seq) FROM events WHERE seq <= ?), 0)
            ORDER BY seq",
            vec![number(delivery.start())],
        )?;
        for row in cursor.raw() {
            if !delivery.take(&read_events(row?)?) {
                break;
            }
        }
        Ok(())
    }

    /// Deletes rows whose events are all settled, and returns the oldest row that is left. Stores
    /// the events that were given up, and deletes all but the newest [`DEAD_EVENTS_MAX`] of these.
    pub fn settle_events(
        &self,
        state: &EventState,
        dead: &[OutgoingEvent],
    ) -> Result<Option<OldestRow>> {
        platform::transaction(&self.storage, || {
            self.set_meta("events", &serde_json::to_string(state)?)?;
            for event in dead {
                self.run(
                    "INSERT OR REPLACE INTO dead_events (seq, json) VALUES (?, ?)",
                    [number(event.seq), JsValue::from_str(&event.json)],
                )?;
            }
            if !dead.is_empty() {
                self.run(
                    "DELETE FROM dead_events WHERE seq <= (
                        SELECT seq FROM dead_events ORDER BY seq DESC LIMIT 1 OFFSET ?
                    )",
                    [number(DEAD_EVENTS_MAX)],
                )?;
            }
            self.run(
                "DELETE FROM events WHERE seq <= ? AND seq + count - 1 <= ?",
                [number(state.settled), number(state.settled)],
            )
        })?;
        self.oldest_events()
    }

    /// Returns a page of the dead events after one of them, and whether there are more.
    pub fn dead_events(&self, after: u64, limit: u32) -> Result<(Vec<String>, bool)> {
        let cursor = self.sql.exec_raw(
            "SELECT json FROM dead_events WHERE seq > ? ORDER BY seq",
            vec![number(after)],
        )?;
        let events = cursor.raw().map(|row| {
            let [json] = columns(row?)?;
            text(json)
        });
        dead_page(events, limit)
    }
}

fn read_user(row: Vec<SqlStorageValue>) -> Result<UserId> {
    let [user] = columns(row)?;
    UserId::parse(&text(user)?).ok_or_else(|| corrupt("user"))
}

fn read_events(row: Vec<SqlStorageValue>) -> Result<EventRow> {
    let [first, count, time, bytes_before, epoch, lines] = columns(row)?;
    let lines = text(lines)?.into();
    Ok(EventRow {
        first: integer(first)?,
        count: integer(count)?,
        time: Timestamp(integer(time)?),
        bytes_before: integer(bytes_before)?,
        lines: match epoch {
            SqlStorageValue::Null => Lines::Events(lines),
            epoch => Lines::Messages {
                epoch: Epoch::new(&text(epoch)?),
                pushes: lines,
            },
        },
    })
}
