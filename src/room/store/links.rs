//! Links to gateways in the room's database, and the members behind them.

use snug_core::{
    ConnectionId, GatewayName, LinkId, link::links::StoredLink, storage::store::StoredMember,
};
use wasm_bindgen::JsValue;
use worker::{Result, SqlStorageValue};

use crate::object::database::{Database, columns, corrupt, integer, number, text};

/// The key of the note that something is under way to gateways.
const AMID_CALLS: &str = "amid_calls";

impl Database {
    pub(super) fn links(&self) -> Result<Vec<StoredLink<GatewayName>>> {
        let rows = self.rows("SELECT id, gateway, is_ending FROM links", [])?;
        rows.into_iter().map(read_link).collect()
    }

    pub(super) fn members(&self) -> Result<Vec<StoredMember>> {
        let rows = self.rows("SELECT id, link, record FROM members", [])?;
        rows.into_iter().map(read_member).collect()
    }

    /// Returns true if something was under way to gateways.
    pub(super) fn is_amid_calls(&self) -> Result<bool> {
        Ok(self.meta(AMID_CALLS)?.is_some())
    }

    /// Stores a link. It replaces the link's previous state.
    pub(super) fn store_link(&self, link: &StoredLink<GatewayName>) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO links (id, gateway, is_ending) VALUES (?, ?, ?)",
            [
                JsValue::from_str(&link.id.to_string()),
                JsValue::from_str(link.peer.as_str()),
                number(link.is_ending.into()),
            ],
        )
    }

    /// Deletes a link.
    pub(super) fn delete_link(&self, link: LinkId) -> Result<()> {
        self.run(
            "DELETE FROM links WHERE id = ?",
            [JsValue::from_str(&link.to_string())],
        )
    }

    /// Stores a member behind a link. It replaces the member's previous state.
    pub(super) fn store_member(&self, member: &StoredMember) -> Result<()> {
        self.run(
            "INSERT OR REPLACE INTO members (id, link, record) VALUES (?, ?, ?)",
            [
                JsValue::from_str(&member.id.to_string()),
                JsValue::from_str(&member.link.to_string()),
                JsValue::from_str(&member.record),
            ],
        )
    }

    /// Deletes a member behind a link.
    pub(super) fn delete_member(&self, id: ConnectionId) -> Result<()> {
        self.run(
            "DELETE FROM members WHERE id = ?",
            [JsValue::from_str(&id.to_string())],
        )
    }

    /// Notes that something is under way to gateways, or that nothing is any more.
    pub(super) fn note_calls(&self, is_amid_calls: bool) -> Result<()> {
        if is_amid_calls {
            return self.set_meta(AMID_CALLS, "");
        }
        self.delete_meta(AMID_CALLS)
    }
}

fn read_link(row: Vec<SqlStorageValue>) -> Result<StoredLink<GatewayName>> {
    let [id, gateway, is_ending] = columns(row)?;
    Ok(StoredLink {
        id: LinkId::parse(&text(id)?).ok_or_else(|| corrupt("link"))?,
        peer: GatewayName::new(&text(gateway)?),
        is_ending: integer(is_ending)? != 0,
    })
}

fn read_member(row: Vec<SqlStorageValue>) -> Result<StoredMember> {
    let [id, link, record] = columns(row)?;
    Ok(StoredMember {
        id: ConnectionId::parse(&text(id)?).ok_or_else(|| corrupt("member"))?,
        link: LinkId::parse(&text(link)?).ok_or_else(|| corrupt("link"))?,
        record: text(record)?,
    })
}
