//! Users in the room's database: their absences, bans, ended tokens and positions.

use std::rc::Rc;

use serde_json::value::RawValue;
use snug_core::{
    Offset, Timestamp, UserId,
    room::{bans::Ban, ended_tokens::EndedTokens, presence::Absence},
};
use wasm_bindgen::JsValue;
use worker::{Result, SqlStorageValue};

use crate::object::database::{Database, columns, corrupt, integer, number, text};

impl Database {
    pub(super) fn absences(&self) -> Result<Vec<Absence>> {
        let rows = self.rows("SELECT user, since, info, until FROM absences", [])?;
        rows.into_iter().map(read_absence).collect()
    }

    pub(super) fn bans(&self) -> Result<Vec<Ban>> {
        let rows = self.rows("SELECT user, until FROM bans", [])?;
        rows.into_iter().map(read_ban).collect()
    }

    pub(super) fn ended_tokens(&self) -> Result<Vec<EndedTokens>> {
        let rows = self.rows("SELECT user, issued_before, until FROM ended_tokens", [])?;
        rows.into_iter().map(read_ended_tokens).collect()
    }

    /// Returns true if there are positions.
    pub(super) fn has_reads(&self) -> Result<bool> {
        let one = self.rows("SELECT 1 FROM reads LIMIT 1", [])?;
        Ok(!one.is_empty())
    }

    /// Reads how far some users have read.
    pub(super) fn read_positions(&self, users: &[UserId]) -> Result<Vec<(UserId, Offset)>> {
        let users = JsValue::from_str(&serde_json::to_string(users)?);
        let rows = self.rows(
            "SELECT user, offset FROM json_each(?) JOIN reads ON user = value",
            [users],
        )?;
        let positions = rows.into_iter().map(|row| {
            let [user, offset] = columns(row)?;
            let user = UserId::parse(&text(user)?).ok_or_else(|| corrupt("user"))?;
            Ok((user, Offset(integer(offset)?)))
        });
        positions.collect()
    }

    /// Stores how far a user has read.
    pub(super) fn store_read(&self, user: &UserId, offset: Offset) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO reads (user, offset) VALUES (?, ?)",
            [JsValue::from_str(user.as_str()), number(offset.0)],
        )
    }

    /// Stores an absence: a member who is within the grace period.
    pub(super) fn store_absence(&self, absence: &Absence) -> Result<()> {
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
    pub(super) fn delete_absence(&self, user: &UserId) -> Result<()> {
        self.run(
            "DELETE FROM absences WHERE user = ?",
            [JsValue::from_str(user.as_str())],
        )
    }

    /// Stores a ban. It replaces an earlier ban of the user.
    pub(super) fn store_ban(&self, ban: &Ban) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO bans (user, until) VALUES (?, ?)",
            [JsValue::from_str(ban.user.as_str()), number(ban.until.0)],
        )
    }

    /// Deletes a user's ban.
    pub(super) fn delete_ban(&self, user: &UserId) -> Result<()> {
        self.run(
            "DELETE FROM bans WHERE user = ?",
            [JsValue::from_str(user.as_str())],
        )
    }

    /// Stores the end of a user's tokens. It replaces an earlier one.
    pub(super) fn store_ended_tokens(&self, ended: &EndedTokens) -> Result<()> {
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
    pub(super) fn delete_ended_tokens(&self, user: &UserId) -> Result<()> {
        self.run(
            "DELETE FROM ended_tokens WHERE user = ?",
            [JsValue::from_str(user.as_str())],
        )
    }
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
