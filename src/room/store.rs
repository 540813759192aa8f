//! The room's SQLite storage.

mod events;

use std::rc::Rc;

use js_sys::JsString;
use serde_json::value::RawValue;
use snug_core::{
    Epoch, Offset, RoomSnapshot, Timestamp, UserId,
    limits::KEYS_MAX,
    protocol::command::PageStart,
    room::{bans::Ban, ended_tokens::EndedTokens, io::EventWrite, presence::Absence},
    storage::{
        batch::{Batch, Page},
        idempotency::{KeyFloor, StoredKey},
        retention::{Floor, OldestMessages, TRIM_ROWS_MAX},
    },
};
use wasm_bindgen::JsValue;
use worker::{Error, Result, SqlStorage, SqlStorageValue, Storage};

use crate::platform;

/// The migrations of the schema, one for each version. Only append to this list.
const MIGRATIONS: [&str; 9] = [
    "
    CREATE TABLE messages (offset INTEGER PRIMARY KEY, time INTEGER NOT NULL, json TEXT NOT NULL);
    CREATE TABLE absences (user TEXT PRIMARY KEY, since INTEGER NOT NULL, info TEXT, until INTEGER NOT NULL) WITHOUT ROWID;
    ",
    "
    ALTER TABLE messages ADD COLUMN bytes_before INTEGER NOT NULL DEFAULT 0;
    UPDATE messages SET bytes_before = running.bytes FROM (
        SELECT offset, coalesce(sum(octet_length(json)) OVER (
            ORDER BY offset ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ), 0) AS bytes FROM messages
    ) AS running WHERE running.offset = messages.offset;
    ",
    "
    ALTER TABLE messages ADD COLUMN user TEXT;
    ALTER TABLE messages ADD COLUMN key TEXT;
    ",
    "
    ALTER TABLE messages ADD COLUMN count INTEGER NOT NULL DEFAULT 1;
    ALTER TABLE messages ADD COLUMN keys TEXT;
    UPDATE messages SET keys = json_array(json_array(offset, time, user, key)) WHERE key IS NOT NULL;
    ALTER TABLE messages DROP COLUMN user;
    ALTER TABLE messages DROP COLUMN key;
    ",
    "
    CREATE TABLE bans (user TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
    ",
    "
    CREATE TABLE events (seq INTEGER PRIMARY KEY, count INTEGER NOT NULL, time INTEGER NOT NULL, bytes_before INTEGER NOT NULL, epoch TEXT, lines TEXT NOT NULL);
    CREATE TABLE dead_events (seq INTEGER PRIMARY KEY, json TEXT NOT NULL);
    CREATE TABLE told (user TEXT PRIMARY KEY) WITHOUT ROWID;
    ",
    "ALTER TABLE told RENAME TO notified_members",
    "
    CREATE TABLE ended_tokens (user TEXT PRIMARY KEY, issued_before INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
    ",
    "
    CREATE TABLE event_shares (user TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
    ALTER TABLE dead_events RENAME TO old_dead_events;
    CREATE TABLE dead_events (seq INTEGER PRIMARY KEY, user TEXT, json TEXT NOT NULL);
    INSERT INTO dead_events SELECT seq, coalesce(json ->> '$.user', json ->> '$.message.user'), json FROM old_dead_events;
    DROP TABLE old_dead_events;
    ",
];

/// The room's database.
pub struct Store {
    storage: Storage,
    sql: SqlStorage,
}

impl Store {
    fn of(storage: Storage) -> Self {
        let sql = storage.sql();
        Self { storage, sql }
    }

    /// Returns true if the storage has no tables yet.
    pub fn is_new(storage: Storage) -> Result<bool> {
        Self::of(storage).has_no_tables()
    }

    fn has_no_tables(&self) -> Result<bool> {
        let tables = self.rows("SELECT name FROM sqlite_schema WHERE name = 'meta'", [])?;
        Ok(tables.is_empty())
    }

    /// Opens the storage and migrates its schema. A new storage starts with the epoch `fresh`.
    pub fn open(storage: Storage, fresh: impl FnOnce() -> Result<String>) -> Result<Self> {
        let store = Self::of(storage);
        if store.has_no_tables()? {
            store.run(
                "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
                [],
            )?;
        }
        let version = match store.meta("schema")? {
            Some(version) => version.parse().map_err(|_| corrupt("schema"))?,
            None => 0,
        };
        if version == MIGRATIONS.len() {
            return Ok(store);
        }
        let missing = MIGRATIONS.get(version..).ok_or_else(|| {
            Error::RustError("storage was written by a later version of Snug".into())
        })?;
        let mut epoch = if version == 0 { Some(fresh()?) } else { None };
        platform::transaction(&store.storage, || {
            for migration in missing {
                store.run(migration, [])?;
            }
            if let Some(epoch) = epoch.take() {
                store.set_meta("epoch", &epoch)?;
            }
            store.set_meta("schema", &MIGRATIONS.len().to_string())
        })?;
        Ok(store)
    }

    /// Loads the snapshot from which a room is restored. `source` is the prefix of its event ids, `alarm` the
    /// time for which its alarm is set.
    pub fn load(&self, source: &str, alarm: Option<Timestamp>) -> Result<RoomSnapshot> {
        let epoch = self.meta("epoch")?.ok_or_else(|| corrupt("epoch"))?;
        let newest = self.rows(
            "SELECT offset + count - 1, time, bytes_before + octet_length(json) FROM messages
            ORDER BY offset DESC LIMIT 1",
            [],
        )?;
        let (newest, newest_time, bytes) = match newest.into_iter().next() {
            Some(row) => {
                let [offset, time, bytes] = columns(row)?;
                let time = Timestamp(integer(time)?);
                (Offset(integer(offset)?), time, integer(bytes)?)
            }
            None => Default::default(),
        };
        let absences = self.rows("SELECT user, since, info, until FROM absences", [])?;
        let bans = self.rows("SELECT user, until FROM bans", [])?;
        let ended_tokens = self.rows("SELECT user, issued_before, until FROM ended_tokens", [])?;
        Ok(RoomSnapshot {
            epoch: Epoch::new(&epoch),
            newest,
            newest_time,
            bytes,
            oldest: self.oldest_messages(Offset::default())?,
            absences: absences
                .into_iter()
                .map(read_absence)
                .collect::<Result<_>>()?,
            bans: bans.into_iter().map(read_ban).collect::<Result<_>>()?,
            ended_tokens: ended_tokens
                .into_iter()
                .map(read_ended_tokens)
                .collect::<Result<_>>()?,
            events: self.load_events(source)?,
            alarm,
        })
    }

    /// Stores a batch as one row, together with its webhook events. Fails if its first offset is
    /// taken, which means that another object has become this room.
    pub fn append(
        &self,
        batch: &Batch,
        json: &JsString,
        events: Option<(&EventWrite, Option<&JsString>)>,
    ) -> Result<()> {
        let Some((write, lines)) = events else {
            return self.append_batch(batch, json);
        };
        platform::transaction(&self.storage, || {
            self.append_batch(batch, json)?;
            self.write_events(write, lines)
        })
    }

    fn append_batch(&self, batch: &Batch, json: &JsString) -> Result<()> {
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
    pub fn keys(&self, floor: KeyFloor) -> Result<Vec<StoredKey>> {
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
    pub fn trim(
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
            ), (SELECT max(offset) + 1 FROM messages), 0)",
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
        self.oldest_messages(oldest)
    }

    /// Returns the oldest row from an offset on that holds messages.
    fn oldest_messages(&self, from: Offset) -> Result<Option<OldestMessages>> {
        let oldest = self.rows(
            "SELECT offset, time FROM messages WHERE offset >= ? AND json <> '' ORDER BY offset LIMIT 1",
            [number(from.0)],
        )?;
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
    pub fn fill(&self, page: &mut Page) -> Result<()> {
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

    /// Returns the size of the database in bytes.
    pub fn bytes(&self) -> u64 {
        self.sql.database_size() as u64
    }

    /// Erases messages, absences, bans, ended tokens and dead events, and begins a new epoch.
    pub fn erase(&self, epoch: &str) -> Result<Epoch> {
        platform::transaction(&self.storage, || {
            for table in [
                "messages",
                "absences",
                "bans",
                "ended_tokens",
                "dead_events",
            ] {
                self.run(&format!("DELETE FROM {table}"), [])?;
            }
            self.set_meta("epoch", epoch)
        })?;
        Ok(Epoch::new(epoch))
    }

    /// Deletes everything, with the alarm.
    pub fn remove(&self) -> Result<()> {
        platform::delete_all(&self.storage)
    }

    /// Stores an absence: a member who is within the grace period.
    pub fn store_absence(&self, absence: &Absence) -> Result<()> {
        let info = absence
            .info
            .as_ref()
            .map_or(JsValue::NULL, |info| JsValue::from_str(info.get()));
        self.run(
            "INSERT OR REPLACE INTO absences (user, since, info, until) VALUES (?, ?, ?, ?)",
            [
                JsValue::from_str(absence.user.as_str()),
                number(absence.since.0),
                info,
                number(absence.until.0),
            ],
        )
    }

    /// Deletes a user's absence.
    pub fn delete_absence(&self, user: &UserId) -> Result<()> {
        self.run(
            "DELETE FROM absences WHERE user = ?",
            [JsValue::from_str(user.as_str())],
        )
    }

    /// Stores a ban. It replaces an earlier ban of the user.
    pub fn store_ban(&self, ban: &Ban) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO bans (user, until) VALUES (?, ?)",
            [JsValue::from_str(ban.user.as_str()), number(ban.until.0)],
        )
    }

    /// Deletes a user's ban.
    pub fn delete_ban(&self, user: &UserId) -> Result<()> {
        self.run(
            "DELETE FROM bans WHERE user = ?",
            [JsValue::from_str(user.as_str())],
        )
    }

    /// Stores the end of a user's tokens. It replaces an earlier one.
    pub fn store_ended_tokens(&self, ended: &EndedTokens) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO ended_tokens (user, issued_before, until) VALUES (?, ?, ?)",
            [
                JsValue::from_str(ended.user.as_str()),
                number(ended.issued_before.0),
                number(ended.until.0),
            ],
        )
    }

    /// Deletes the end of a user's tokens.
    pub fn delete_ended_tokens(&self, user: &UserId) -> Result<()> {
        self.run(
            "DELETE FROM ended_tokens WHERE user = ?",
            [JsValue::from_str(user.as_str())],
        )
    }

    fn meta(&self, key: &str) -> Result<Option<String>> {
        let rows = self.rows(
            "SELECT value FROM meta WHERE key = ?",
            [JsValue::from_str(key)],
        )?;
        rows.into_iter()
            .next()
            .map(|row| {
                let [value] = columns(row)?;
                text(value)
            })
            .transpose()
    }

    fn set_meta(&self, key: &str, value: &str) -> Result<()> {
        let bindings = [JsValue::from_str(key), JsValue::from_str(value)];
        self.run(
            "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
            bindings,
        )
    }

    fn run<const N: usize>(&self, query: &str, bindings: [JsValue; N]) -> Result<()> {
        self.sql.exec_raw(query, Vec::from(bindings)).map(|_| ())
    }

    fn rows<const N: usize>(
        &self,
        query: &str,
        bindings: [JsValue; N],
    ) -> Result<Vec<Vec<SqlStorageValue>>> {
        self.sql
            .exec_raw(query, Vec::from(bindings))?
            .raw()
            .collect()
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

fn read_absence(row: Vec<SqlStorageValue>) -> Result<Absence> {
    let [user, since, info, until] = columns(row)?;
    let info = match info {
        SqlStorageValue::Null => None,
        info => Some(Rc::from(RawValue::from_string(text(info)?)?)),
    };
    Ok(Absence {
        user: UserId::parse(&text(user)?).ok_or_else(|| corrupt("user"))?,
        since: Timestamp(integer(since)?),
        info,
        until: Timestamp(integer(until)?),
    })
}

fn read_ban(row: Vec<SqlStorageValue>) -> Result<Ban> {
    let [user, until] = columns(row)?;
    Ok(Ban {
        user: UserId::parse(&text(user)?).ok_or_else(|| corrupt("user"))?,
        until: Timestamp(integer(until)?),
    })
}

fn read_ended_tokens(row: Vec<SqlStorageValue>) -> Result<EndedTokens> {
    let [user, issued_before, until] = columns(row)?;
    Ok(EndedTokens {
        user: UserId::parse(&text(user)?).ok_or_else(|| corrupt("user"))?,
        issued_before: Timestamp(integer(issued_before)?),
        until: Timestamp(integer(until)?),
    })
}

/// Converts to a JavaScript number, which is exact up to 2^53 - 1.
fn number(value: u64) -> JsValue {
    JsValue::from_f64(value as f64)
}

fn columns<const N: usize>(row: Vec<SqlStorageValue>) -> Result<[SqlStorageValue; N]> {
    row.try_into().map_err(|_| corrupt("row"))
}

fn integer(value: SqlStorageValue) -> Result<u64> {
    match value {
        SqlStorageValue::Integer(number) => u64::try_from(number).map_err(|_| corrupt("number")),
        _ => Err(corrupt("number")),
    }
}

fn text(value: SqlStorageValue) -> Result<String> {
    match value {
        SqlStorageValue::String(text) => Ok(text),
        _ => Err(corrupt("text")),
    }
}

fn corrupt(what: &str) -> Error {
    Error::RustError(format!("storage holds an unreadable {what}"))
}
