//! The gateway's storage: the core's port to it, on SQLite.

use snug_core::{
    ConnectionId, LinkId, RoomName, StorageFault,
    gateway::store::{GatewaySnapshot, StoredSubscription},
    link::links::StoredLink,
};
use wasm_bindgen::JsValue;
use worker::{Result, SqlStorageValue, Storage};

use crate::{
    object::database::{Database, columns, corrupt, integer, logged, number, text},
    platform,
};

/// The migrations of the schema, one for each version. Only append to this list.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE links (id TEXT PRIMARY KEY, room TEXT NOT NULL, is_ending INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE subscriptions (member TEXT NOT NULL, room TEXT NOT NULL, joins INTEGER NOT NULL, messages INTEGER NOT NULL, presence INTEGER NOT NULL, has_own_token INTEGER NOT NULL, PRIMARY KEY (member, room)) WITHOUT ROWID;
    "];

/// The key of the note that something is under way to rooms.
const AMID_CALLS: &str = "amid_calls";

/// The storage of the gateway.
pub struct Store(Database);

type Outcome<T> = std::result::Result<T, StorageFault>;

impl Store {
    /// Opens the storage and migrates its schema.
    pub fn open(storage: Storage) -> Result<Self> {
        Ok(Self(Database::open(storage, MIGRATIONS, |_| Ok(()))?))
    }

    /// Loads the snapshot from which the gateway is restored.
    pub fn load(&self) -> Result<GatewaySnapshot> {
        let links = self.0.rows("SELECT id, room, is_ending FROM links", [])?;
        let subscriptions = self.0.rows(
            "SELECT member, room, joins, messages, presence, has_own_token FROM subscriptions",
            [],
        )?;
        Ok(GatewaySnapshot {
            links: links.into_iter().map(read_link).collect::<Result<_>>()?,
            subscriptions: (subscriptions.into_iter())
                .map(read_subscription)
                .collect::<Result<_>>()?,
            is_amid_calls: self.0.meta(AMID_CALLS)?.is_some(),
            first_link: platform::random()?,
        })
    }
}

impl snug_core::gateway::store::Store for Store {
    fn store_link(&mut self, link: &StoredLink<RoomName>) -> Outcome<()> {
        let bindings = [
            JsValue::from_str(&link.id.to_string()),
            JsValue::from_str(link.peer.as_str()),
            number(link.is_ending.into()),
        ];
        let query = "INSERT OR REPLACE INTO links (id, room, is_ending) VALUES (?, ?, ?)";
        logged("link", self.0.run(query, bindings))
    }

    fn delete_link(&mut self, link: LinkId) {
        let bindings = [JsValue::from_str(&link.to_string())];
        let deleted = self.0.run("DELETE FROM links WHERE id = ?", bindings);
        let _logged = logged("link", deleted);
    }

    fn store_subscription(&mut self, one: &StoredSubscription) -> Outcome<()> {
        let bindings = [
            JsValue::from_str(&one.member.to_string()),
            JsValue::from_str(one.room.as_str()),
            number(one.joins.into()),
            number(one.messages.into()),
            number(one.presence.into()),
            number(one.has_own_token.into()),
        ];
        let query = "INSERT OR REPLACE INTO subscriptions (member, room, joins, messages, presence, has_own_token) VALUES (?, ?, ?, ?, ?, ?)";
        logged("subscription", self.0.run(query, bindings))
    }

    fn delete_subscription(&mut self, member: ConnectionId, room: &RoomName) {
        let bindings = [
            JsValue::from_str(&member.to_string()),
            JsValue::from_str(room.as_str()),
        ];
        let query = "DELETE FROM subscriptions WHERE member = ? AND room = ?";
        let _logged = logged("subscription", self.0.run(query, bindings));
    }

    fn note_calls(&mut self, is_amid_calls: bool) {
        let noted = match is_amid_calls {
            true => self.0.set_meta(AMID_CALLS, ""),
            false => self.0.delete_meta(AMID_CALLS),
        };
        let _logged = logged("calls", noted);
    }
}

fn read_link(row: Vec<SqlStorageValue>) -> Result<StoredLink<RoomName>> {
    let [id, room, is_ending] = columns(row)?;
    Ok(StoredLink {
        id: LinkId::parse(&text(id)?).ok_or_else(|| corrupt("link"))?,
        peer: RoomName::parse(&text(room)?).ok_or_else(|| corrupt("room"))?,
        is_ending: integer(is_ending)? != 0,
    })
}

fn read_subscription(row: Vec<SqlStorageValue>) -> Result<StoredSubscription> {
    let [member, room, joins, messages, presence, has_own_token] = columns(row)?;
    Ok(StoredSubscription {
        member: ConnectionId::parse(&text(member)?).ok_or_else(|| corrupt("member"))?,
        room: RoomName::parse(&text(room)?).ok_or_else(|| corrupt("room"))?,
        joins: u32::try_from(integer(joins)?).map_err(|_| corrupt("number"))?,
        messages: integer(messages)? != 0,
        presence: integer(presence)? != 0,
        has_own_token: integer(has_own_token)? != 0,
    })
}
