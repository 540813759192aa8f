//! The room's storage: the core's port to it, on SQLite.

mod changed;
mod events;
mod links;
mod messages;
mod schema;
mod snapshot;
mod users;

use snug_core::{
    ConnectionId, Epoch, GatewayName, LinkId, Offset, RoomSnapshot, StorageFault, Timestamp,
    UserId,
    backend::webhook::{Delivery, EventState, OldestRow, OutgoingEvent},
    link::links::StoredLink,
    protocol::page::PageStart,
    room::{bans::Ban, ended_tokens::EndedTokens, presence::Absence},
    storage::{
        batch::{Batch, Page, Wanted},
        changed::{ChangeWrite, ChangedMessage, deleted_messages},
        idempotency::{KeyFloor, StoredKey},
        retention::{Floor, OldestMessages},
        store::{EventWrite, StoredMember},
    },
};
use worker::{Result, Storage};

use self::schema::MIGRATIONS;
use crate::{
    object::{
        database::{Database, logged},
        text_cache::JsTextCache,
    },
    platform,
};

type Outcome<T> = std::result::Result<T, StorageFault>;

/// The storage of the room.
pub struct Store {
    database: Database,
    /// Texts as JavaScript strings: what is stored is then sent.
    pub texts: JsTextCache,
}

impl Store {
    /// Returns true if the storage has no tables yet.
    pub fn is_new(storage: Storage) -> Result<bool> {
        Database::of(storage).has_no_tables()
    }

    /// Opens the storage and migrates its schema.
    pub fn open(storage: Storage) -> Result<Self> {
        Ok(Self {
            database: Database::open(storage, &MIGRATIONS, |database| {
                database.set_meta("epoch", &fresh_epoch()?)
            })?,
            texts: JsTextCache::default(),
        })
    }

    /// Loads the snapshot from which a room is restored. `source` is the prefix of its event ids, `alarm`
    /// the time for which its alarm is set.
    pub fn load(&self, source: &str, alarm: Option<Timestamp>) -> Result<RoomSnapshot> {
        self.database.load(source, alarm)
    }

    /// Deletes everything, with the alarm.
    pub fn remove(&self) -> Result<()> {
        self.database.remove()
    }
}

impl snug_core::Store for Store {
    fn append(
        &mut self,
        batch: &Batch,
        changes: &[ChangeWrite],
        events: Option<&EventWrite>,
    ) -> Outcome<()> {
        let Self { database, texts } = self;
        if changes.is_empty() && events.is_none() {
            return logged("append", database.append(batch, texts.keep(&batch.json)));
        }
        let json = texts.keep(&batch.json).clone();
        // If messages are retained, this is the same text, which is encoded only once.
        let row = events.and_then(|write| write.row.as_ref());
        let lines = row.map(|row| texts.keep(row.lines.text()));
        let appended = platform::transaction(&database.storage, || {
            database.append(batch, &json)?;
            if let Some(write) = events {
                database.write_events(write, lines)?;
            }
            (changes.iter()).try_for_each(|change| database.write_change(change))?;
            database.forget_contents_of(&deleted_messages(changes))
        });
        logged("append", appended)
    }

    fn changed_messages(&mut self, wanted: &Wanted) -> Outcome<Vec<ChangedMessage>> {
        logged("changes", self.database.changed_messages(wanted))
    }

    fn replies_to(&mut self, root: Offset, from: PageStart, limit: u32) -> Outcome<Vec<Offset>> {
        logged("replies", self.database.replies_to(root, from, limit))
    }

    fn reactions_of(&mut self, user: &UserId, message: Offset) -> Outcome<Vec<String>> {
        logged("reactions", self.database.reactions_of(user, message))
    }

    fn users_with(&mut self, name: &str, message: Offset, limit: usize) -> Outcome<Vec<UserId>> {
        logged("reactions", self.database.users_with(name, message, limit))
    }

    fn fill_page(&mut self, page: &mut Page) -> Outcome<()> {
        logged("page", self.database.fill_page(page))
    }

    fn keys(&mut self, floor: KeyFloor) -> Outcome<Vec<StoredKey>> {
        logged("keys", self.database.keys(floor))
    }

    fn trim(
        &mut self,
        floor: Floor,
        oldest: Offset,
        keys: KeyFloor,
    ) -> Outcome<Option<OldestMessages>> {
        logged("trim", self.database.trim(floor, oldest, keys))
    }

    fn read_positions(&mut self, users: &[UserId]) -> Outcome<Vec<(UserId, Offset)>> {
        logged("reads", self.database.read_positions(users))
    }

    fn store_read(&mut self, user: &UserId, offset: Offset) -> Outcome<()> {
        logged("read", self.database.store_read(user, offset))
    }

    fn bytes(&self) -> u64 {
        self.database.bytes()
    }

    fn erase(&mut self) -> Outcome<Epoch> {
        let erased = fresh_epoch().and_then(|epoch| self.database.erase(&epoch));
        logged("erase", erased)
    }

    fn store_events(&mut self, write: &EventWrite) -> Outcome<()> {
        logged("events", self.database.store_events(write))
    }

    fn fill_delivery(&mut self, delivery: &mut Delivery) -> Outcome<()> {
        logged("events", self.database.fill_delivery(delivery))
    }

    fn settle_events(
        &mut self,
        state: &EventState,
        dead: &[OutgoingEvent],
        shares: &[(UserId, u64)],
    ) -> Outcome<Option<OldestRow>> {
        logged("events", self.database.settle_events(state, dead, shares))
    }

    fn dead_events(&mut self, after: u64, limit: u32) -> Outcome<(Vec<String>, bool)> {
        logged("events", self.database.dead_events(after, limit))
    }

    fn store_absence(&mut self, absence: &Absence) {
        let _logged = logged("absence", self.database.store_absence(absence));
    }

    fn delete_absence(&mut self, user: &UserId) {
        let _logged = logged("absence", self.database.delete_absence(user));
    }

    fn store_ban(&mut self, ban: &Ban) -> Outcome<()> {
        logged("ban", self.database.store_ban(ban))
    }

    fn delete_ban(&mut self, user: &UserId) {
        let _logged = logged("ban", self.database.delete_ban(user));
    }

    fn store_ended_tokens(&mut self, ended: &EndedTokens) -> Outcome<()> {
        logged("ended tokens", self.database.store_ended_tokens(ended))
    }

    fn delete_ended_tokens(&mut self, user: &UserId) {
        let _logged = logged("ended tokens", self.database.delete_ended_tokens(user));
    }

    fn store_link(&mut self, link: &StoredLink<GatewayName>) -> Outcome<()> {
        logged("link", self.database.store_link(link))
    }

    fn delete_link(&mut self, link: LinkId) {
        let _logged = logged("link", self.database.delete_link(link));
    }

    fn store_member(&mut self, member: &StoredMember) -> Outcome<()> {
        logged("member", self.database.store_member(member))
    }

    fn delete_member(&mut self, id: ConnectionId) {
        let _logged = logged("member", self.database.delete_member(id));
    }

    fn note_calls(&mut self, is_amid_calls: bool) {
        let _logged = logged("calls", self.database.note_calls(is_amid_calls));
    }
}

fn fresh_epoch() -> Result<String> {
    Ok(format!("{:016x}", platform::random()?))
}
