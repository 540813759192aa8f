//! The room's SQLite database.

use snug_core::{Epoch, Offset, RoomSnapshot, TaskId, Timestamp};
use wasm_bindgen::JsValue;
use worker::{Error, Result, SqlStorage, SqlStorageValue, Storage};

use super::schema::MIGRATIONS;
use crate::platform;

/// The database, with its schema up to date.
pub struct Database {
    pub(super) storage: Storage,
    pub(super) sql: SqlStorage,
}

impl Database {
    pub(super) fn of(storage: Storage) -> Self {
        let sql = storage.sql();
        Self { storage, sql }
    }

    /// Returns true if the storage has no tables yet.
    pub(super) fn has_no_tables(&self) -> Result<bool> {
        let tables = self.rows("SELECT name FROM sqlite_schema WHERE name = 'meta'", [])?;
        Ok(tables.is_empty())
    }

    /// Opens the storage and migrates its schema. A new storage starts with the epoch `fresh`.
    pub fn open(storage: Storage, fresh: impl FnOnce() -> Result<String>) -> Result<Self> {
        let database = Self::of(storage);
        if database.has_no_tables()? {
            database.run(
                "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
                [],
            )?;
        }
        let version = match database.meta("schema")? {
            Some(version) => version.parse().map_err(|_| corrupt("schema"))?,
            None => 0,
        };
        if version == MIGRATIONS.len() {
            return Ok(database);
        }
        let missing = MIGRATIONS.get(version..).ok_or_else(|| {
            Error::RustError("storage was written by a later version of Snug".into())
        })?;
        let mut epoch = if version == 0 { Some(fresh()?) } else { None };
        platform::transaction(&database.storage, || {
            for migration in missing {
                database.run(migration, [])?;
            }
            if let Some(epoch) = epoch.take() {
                database.set_meta("epoch", &epoch)?;
            }
            database.set_meta("schema", &MIGRATIONS.len().to_string())
        })?;
        Ok(database)
    }

    /// Loads the snapshot from which a room is restored. `source` is the prefix of its event ids, `alarm`
    /// the time for which its alarm is set.
    pub fn load(&self, source: &str, alarm: Option<Timestamp>) -> Result<RoomSnapshot> {
        let epoch = self.meta("epoch")?.ok_or_else(|| corrupt("epoch"))?;
        let (newest, newest_time, bytes) = self.newest_messages()?;
        Ok(RoomSnapshot {
            epoch: Epoch::new(&epoch),
            newest,
            newest_time,
            bytes,
            oldest: self.oldest_messages(Offset::default())?,
            absences: self.absences()?,
            bans: self.bans()?,
            ended_tokens: self.ended_tokens()?,
            events: self.load_events(source)?,
            first_task: TaskId(platform::random()?),
            alarm,
        })
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

    pub(super) fn meta(&self, key: &str) -> Result<Option<String>> {
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

    pub(super) fn set_meta(&self, key: &str, value: &str) -> Result<()> {
        let bindings = [JsValue::from_str(key), JsValue::from_str(value)];
        self.run(
            "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
            bindings,
        )
    }

    pub(super) fn run<const N: usize>(&self, query: &str, bindings: [JsValue; N]) -> Result<()> {
        self.sql.exec_raw(query, Vec::from(bindings)).map(|_| ())
    }

    pub(super) fn rows<const N: usize>(
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

/// Converts to a JavaScript number, which is exact up to 2^53 - 1.
pub(super) fn number(value: u64) -> JsValue {
    JsValue::from_f64(value as f64)
}

pub(super) fn columns<const N: usize>(row: Vec<SqlStorageValue>) -> Result<[SqlStorageValue; N]> {
    row.try_into().map_err(|_| corrupt("row"))
}

pub(super) fn integer(value: SqlStorageValue) -> Result<u64> {
    match value {
        SqlStorageValue::Integer(number) => u64::try_from(number).map_err(|_| corrupt("number")),
        _ => Err(corrupt("number")),
    }
}

pub(super) fn text(value: SqlStorageValue) -> Result<String> {
    match value {
        SqlStorageValue::String(text) => Ok(text),
        _ => Err(corrupt("text")),
    }
}

pub(super) fn corrupt(what: &str) -> Error {
    Error::RustError(format!("storage holds an unreadable {what}"))
}
