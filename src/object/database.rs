//! An object's SQLite database.

use snug_core::StorageFault;
use wasm_bindgen::JsValue;
use worker::{Error, Result, SqlStorage, SqlStorageValue, Storage, console_error};

use crate::platform;

/// The database, with its schema up to date.
pub struct Database {
    pub storage: Storage,
    pub sql: SqlStorage,
}

impl Database {
    pub fn of(storage: Storage) -> Self {
        let sql = storage.sql();
        Self { storage, sql }
    }

    /// Returns true if the storage has no tables yet.
    pub fn has_no_tables(&self) -> Result<bool> {
        let tables = self.rows("SELECT name FROM sqlite_schema WHERE name = 'meta'", [])?;
        Ok(tables.is_empty())
    }

    /// Opens the storage and migrates its schema; there is one migration for each version. `begin` fills a
    /// new storage.
    pub fn open(
        storage: Storage,
        migrations: &[&str],
        begin: impl Fn(&Self) -> Result<()>,
    ) -> Result<Self> {
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
        if version == migrations.len() {
            return Ok(database);
        }
        let missing = migrations.get(version..).ok_or_else(|| {
            Error::RustError("storage was written by a later version of Snug".into())
        })?;
        platform::transaction(&database.storage, || {
            for migration in missing {
                database.run(migration, [])?;
            }
            if version == 0 {
                begin(&database)?;
            }
            database.set_meta("schema", &migrations.len().to_string())
        })?;
        Ok(database)
    }

    /// Returns the size of the database in bytes.
    pub fn bytes(&self) -> u64 {
        self.sql.database_size() as u64
    }

    /// Deletes everything, with the alarm.
    pub fn remove(&self) -> Result<()> {
        platform::delete_all(&self.storage)
    }

    pub fn meta(&self, key: &str) -> Result<Option<String>> {
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

    pub fn set_meta(&self, key: &str, value: &str) -> Result<()> {
        let bindings = [JsValue::from_str(key), JsValue::from_str(value)];
        self.run(
            "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)",
            bindings,
        )
    }

    pub fn delete_meta(&self, key: &str) -> Result<()> {
        self.run("DELETE FROM meta WHERE key = ?", [JsValue::from_str(key)])
    }

    pub fn run<const N: usize>(&self, query: &str, bindings: [JsValue; N]) -> Result<()> {
        self.sql.exec_raw(query, Vec::from(bindings)).map(|_| ())
    }

    pub fn rows<const N: usize>(
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
pub fn number(value: u64) -> JsValue {
    JsValue::from_f64(value as f64)
}

pub fn columns<const N: usize>(row: Vec<SqlStorageValue>) -> Result<[SqlStorageValue; N]> {
    row.try_into().map_err(|_| corrupt("row"))
}

pub fn integer(value: SqlStorageValue) -> Result<u64> {
    match value {
        SqlStorageValue::Integer(number) => u64::try_from(number).map_err(|_| corrupt("number")),
        _ => Err(corrupt("number")),
    }
}

pub fn text(value: SqlStorageValue) -> Result<String> {
    match value {
        SqlStorageValue::String(text) => Ok(text),
        _ => Err(corrupt("text")),
    }
}

pub fn corrupt(what: &str) -> Error {
    Error::RustError(format!("storage holds an unreadable {what}"))
}

/// Logs a storage error and hides it from the core, which only needs to know that one occurred.
pub fn logged<T>(place: &str, outcome: Result<T>) -> std::result::Result<T, StorageFault> {
    outcome.map_err(|error| {
        console_error!("{place}: {error}");
        StorageFault
    })
}
