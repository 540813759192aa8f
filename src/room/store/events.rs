//! Webhook events in the room's database.

use js_sys::JsString;
use snug_core::{
    Epoch, Timestamp, UserId,
    backend::webhook::{
        Delivery, EventRow, EventState, Lines, OldestRow, OutgoingEvent, StoredEvents, dead_page,
    },
    limits::{DEAD_EVENTS_BYTES_MAX, DEAD_EVENTS_MAX},
    storage::store::EventWrite,
};
use wasm_bindgen::JsValue;
use worker::{Result, SqlStorageValue};

use crate::object::database::{Database, columns, corrupt, integer, number, text};
use crate::platform;

impl Database {
    /// Loads the state of the room's webhook events.
    pub(super) fn load_events(&self, source: &str) -> Result<StoredEvents> {
        let state = self.meta("events")?;
        let state: Option<EventState> = state
            .map(|state| serde_json::from_str(&state))
            .transpose()?;
        let shares = if state.as_ref().is_some_and(|state| state.shares_from > 0) {
            self.rows("SELECT user, bytes FROM event_shares", [])?
        } else {
            Vec::new()
        };
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
            state,
            newest,
            bytes,
            oldest: self.oldest_events()?,
            notified: notified.into_iter().map(read_user).collect::<Result<_>>()?,
            shares: shares.into_iter().map(read_share).collect::<Result<_>>()?,
        })
    }

    /// Returns the oldest row of events.
    fn oldest_events(&self) -> Result<Option<OldestRow>> {
        let oldest = self.rows(
            "SELECT seq, time, bytes_before FROM events ORDER BY seq LIMIT 1",
            [],
        )?;
        let oldest = oldest.into_iter().next().map(|row| {
            let [first, time, bytes_before] = columns(row)?;
            Ok(OldestRow {
                first: integer(first)?,
                time: Timestamp(integer(time)?),
                bytes_before: integer(bytes_before)?,
            })
        });
        oldest.transpose()
    }

    /// Stores events, the delivery state, and changes of the notified members.
    pub(super) fn store_events(&self, write: &EventWrite) -> Result<()> {
        let lines = write.row.as_ref().map(|row| row.lines.text().as_ref());
        let lines: Option<JsString> = lines.map(JsString::from);
        platform::transaction(&self.storage, || self.write_events(write, lines.as_ref()))
    }

    /// Stores events within a transaction. `lines` are those of the row.
    pub(super) fn write_events(&self, write: &EventWrite, lines: Option<&JsString>) -> Result<()> {
        if let (Some(row), Some(lines)) = (&write.row, lines) {
            self.append_events(row, lines.into())?;
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
        if write.starts_counting {
            self.run("DELETE FROM event_shares", [])?;
        }
        self.store_shares(&write.shares)?;
        if write.forgets_dead {
            self.run("DELETE FROM dead_events", [])?;
        }
        self.store_dead(&write.lost)
    }

    /// Stores events as one row.
    fn append_events(&self, row: &EventRow, lines: JsValue) -> Result<()> {
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

    fn store_shares(&self, shares: &[(UserId, u64)]) -> Result<()> {
        for (user, bytes) in shares {
            self.run(
                "INSERT OR REPLACE INTO event_shares (user, bytes) VALUES (?, ?)",
                [JsValue::from_str(user.as_str()), number(*bytes)],
            )?;
        }
        Ok(())
    }

    /// Stores events that were given up. If there are too many, deletes the oldest ones of the users with
    /// the most.
    fn store_dead(&self, dead: &[OutgoingEvent]) -> Result<()> {
        for event in dead {
            let user = event.user.as_ref().map(UserId::as_str);
            self.run(
                "INSERT OR REPLACE INTO dead_events (seq, user, json) VALUES (?, ?, ?)",
                [
                    number(event.seq),
                    user.map_or(JsValue::NULL, JsValue::from_str),
                    JsValue::from_str(&event.json),
                ],
            )?;
        }
        if dead.is_empty() {
            return Ok(());
        }
        self.run(
            "DELETE FROM dead_events WHERE seq IN (
                SELECT seq FROM (
                    SELECT seq, sum(size) OVER (ORDER BY share, seq DESC) AS total FROM (
                        SELECT seq, size, sum(size) OVER (PARTITION BY user ORDER BY seq DESC) AS share
                        FROM (SELECT seq, user, max(octet_length(json), ?) AS size FROM dead_events)
                    )
                ) WHERE total > ?
            )",
            [DEAD_EVENTS_BYTES_MAX / DEAD_EVENTS_MAX, DEAD_EVENTS_BYTES_MAX].map(number),
        )
    }

    /// Fills a delivery with the events that are due.
    pub(super) fn fill_delivery(&self, delivery: &mut Delivery) -> Result<()> {
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
    /// the events that were given up, and the changed shares.
    pub(super) fn settle_events(
        &self,
        state: &EventState,
        dead: &[OutgoingEvent],
        shares: &[(UserId, u64)],
    ) -> Result<Option<OldestRow>> {
        platform::transaction(&self.storage, || {
            self.set_meta("events", &serde_json::to_string(state)?)?;
            self.store_dead(dead)?;
            self.store_shares(shares)?;
            self.run(
                "DELETE FROM events WHERE seq <= ? AND seq + count - 1 <= ?",
                [number(state.settled), number(state.settled)],
            )
        })?;
        self.oldest_events()
    }

    /// Returns a page of the dead events after one of them, and whether there are more.
    pub(super) fn dead_events(&self, after: u64, limit: u32) -> Result<(Vec<String>, bool)> {
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

fn read_share(row: Vec<SqlStorageValue>) -> Result<(UserId, u64)> {
    let [user, bytes] = columns(row)?;
    let user = UserId::parse(&text(user)?).ok_or_else(|| corrupt("user"))?;
    Ok((user, integer(bytes)?))
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
