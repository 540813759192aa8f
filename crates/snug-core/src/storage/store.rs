//! The port to a room's storage.

use crate::{
    backend::webhook::{Delivery, EventRow, EventState, OldestRow, OutgoingEvent, StoredEvents},
    ids::{ConnectionId, Epoch, GatewayName, LinkId, Offset, TaskId, Timestamp, UserId},
    link::links::StoredLink,
    protocol::page::PageStart,
    room::{bans::Ban, ended_tokens::EndedTokens, presence::Absence},
    storage::{
        batch::{Batch, Page, Wanted},
        changed::{ChangeWrite, ChangedMessage},
        idempotency::{KeyFloor, StoredKey},
        retention::{Floor, OldestMessages},
    },
};

/// The storage of one room.
///
/// A call returns once the storage has done what was asked, without an `await`: a Durable Object's SQLite
/// is synchronous, and commits everything that an event has written at the end of its turn.
///
/// # Errors
///
/// A call fails if the storage does, and then nothing of it is stored. An error carries no reason, because
/// the room only needs to know that there was one: the implementation logs it.
pub trait Store {
    /// Stores messages and changes as one row, in one transaction with what the changes replace, and with
    /// their webhook events. Also fails if an offset is taken, because another object has become this room.
    ///
    /// A deletion also ends the reactions to the message, and takes its content out of the events that wait, and
    /// out of dead ones: see [`crate::backend::webhook::without_contents`].
    fn append(
        &mut self,
        batch: &Batch,
        changes: &[ChangeWrite],
        events: Option<&EventWrite>,
    ) -> Result<(), StorageFault>;

    /// Reads the changed messages that a page needs.
    fn changed_messages(&mut self, wanted: &Wanted) -> Result<Vec<ChangedMessage>, StorageFault>;

    /// Reads the offsets of up to `limit` replies to a message, in the order in which a page with this start reads
    /// them.
    fn replies_to(
        &mut self,
        root: Offset,
        from: PageStart,
        limit: u32,
    ) -> Result<Vec<Offset>, StorageFault>;

    /// Reads the names of a user's reactions to a message.
    fn reactions_of(&mut self, user: &UserId, message: Offset)
    -> Result<Vec<String>, StorageFault>;

    /// Reads up to `limit` users with a reaction to a message.
    fn users_with(
        &mut self,
        name: &str,
        message: Offset,
        limit: usize,
    ) -> Result<Vec<UserId>, StorageFault>;

    /// Fills a page, batch by batch from [`Page::start`] on, until [`Page::take`] returns that it is
    /// complete.
    fn fill_page(&mut self, page: &mut Page) -> Result<(), StorageFault>;

    /// Reads the idempotency keys, oldest first: those of the newest rows, down to the first row that is
    /// not above the bound, or to [`crate::limits::KEYS_MAX`] keys.
    fn keys(&mut self, floor: KeyFloor) -> Result<Vec<StoredKey>, StorageFault>;

    /// Deletes some of the oldest rows that are entirely below the floor, and returns the oldest row that
    /// still holds messages; or the newest row, if only remains of messages are left to delete. From the newest
    /// row, which determines the next offset, and from rows with keys, since the oldest remembered one, deletes
    /// only the messages. Also deletes some of the remains of messages that stood in such rows: their changes, if
    /// the last ones stood there, too, reactions and replies.
    ///
    /// `oldest` is the offset of the oldest row that holds messages: earlier rows need not be read for them.
    fn trim(
        &mut self,
        floor: Floor,
        oldest: Offset,
        keys: KeyFloor,
    ) -> Result<Option<OldestMessages>, StorageFault>;

    /// Reads how far some users have read. Those who never have are left out.
    fn read_positions(&mut self, users: &[UserId]) -> Result<Vec<(UserId, Offset)>, StorageFault>;

    /// Stores how far a user has read.
    fn store_read(&mut self, user: &UserId, offset: Offset) -> Result<(), StorageFault>;

    /// Returns the size of the storage in bytes.
    fn bytes(&self) -> u64;

    /// Erases messages, users' positions, absences, bans, ended tokens and dead events, and starts the epoch that it returns.
    fn erase(&mut self) -> Result<Epoch, StorageFault>;

    /// Stores all of this in one transaction.
    fn store_events(&mut self, write: &EventWrite) -> Result<(), StorageFault>;

    /// Fills a delivery, row by row from [`Delivery::start`] on, until [`Delivery::take`] returns that it
    /// is complete.
    fn fill_delivery(&mut self, delivery: &mut Delivery) -> Result<(), StorageFault>;

    /// Deletes the rows whose events are all settled, and returns the oldest row that is left. Stores the
    /// progress of deliveries, events that are given up, and the users' shares of the queue that have
    /// changed.
    fn settle_events(
        &mut self,
        state: &EventState,
        dead: &[OutgoingEvent],
        shares: &[(UserId, u64)],
    ) -> Result<Option<OldestRow>, StorageFault>;

    /// Reads up to `limit` dead events after a sequence number. Returns them, and true if there are more.
    fn dead_events(&mut self, after: u64, limit: u32) -> Result<(Vec<String>, bool), StorageFault>;

    /// Stores the start of a member's grace period. If that fails, the room goes on: after a restart, the
    /// member has left.
    fn store_absence(&mut self, absence: &Absence);

    /// Deletes the absence of a member that is back or has left.
    fn delete_absence(&mut self, user: &UserId);

    /// Stores a ban, replacing the user's previous one.
    fn store_ban(&mut self, ban: &Ban) -> Result<(), StorageFault>;

    /// Deletes a ban that has ended.
    fn delete_ban(&mut self, user: &UserId);

    /// Stores the end of a user's tokens, replacing the user's previous entry.
    fn store_ended_tokens(&mut self, ended: &EndedTokens) -> Result<(), StorageFault>;

    /// Deletes the entry about a user's ended tokens, which have all expired.
    fn delete_ended_tokens(&mut self, user: &UserId);

    /// Stores a link, replacing its previous state.
    fn store_link(&mut self, link: &StoredLink<GatewayName>) -> Result<(), StorageFault>;

    /// Deletes a link.
    fn delete_link(&mut self, link: LinkId);

    /// Stores a member behind a link, replacing its previous state.
    fn store_member(&mut self, member: &StoredMember) -> Result<(), StorageFault>;

    /// Deletes a member behind a link.
    fn delete_member(&mut self, id: ConnectionId);

    /// Stores whether something is under way to gateways. If that fails, a crash amid calls is not noticed.
    fn note_calls(&mut self, is_amid_calls: bool);
}

/// A call to the storage failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageFault;

/// Webhook events to store, with the changes of state that belong to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventWrite {
    /// The events.
    pub row: Option<EventRow>,
    /// New events that found no place in the queue, and are dead.
    pub lost: Vec<OutgoingEvent>,
    /// The progress of deliveries, if it changed.
    pub state: Option<EventState>,
    /// Users to add to the notified members.
    pub notified: Vec<UserId>,
    /// Users to remove from the notified members.
    pub departed: Vec<UserId>,
    /// True if all dead events have to be deleted first.
    pub forgets_dead: bool,
    /// True if the stored shares are old ones, which have to be deleted first.
    pub starts_counting: bool,
    /// The users' shares of the queue that have changed.
    pub shares: Vec<(UserId, u64)>,
}

impl EventWrite {
    /// Returns true if there is nothing to store.
    pub fn is_empty(&self) -> bool {
        let has_members = !self.notified.is_empty() || !self.departed.is_empty();
        let has_dead = self.forgets_dead || !self.lost.is_empty();
        self.row.is_none() && self.state.is_none() && !has_members && !has_dead
    }
}

/// A member behind a link, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMember {
    /// Its connection.
    pub id: ConnectionId,
    /// Its link.
    pub link: LinkId,
    /// The text that the attachment of a socket would hold.
    pub record: String,
}

/// The stored state of a room.
#[derive(Clone, Debug)]
pub struct RoomSnapshot {
    /// The epoch of the offsets.
    pub epoch: Epoch,
    /// The newest message's offset; 0 if there is none.
    pub newest: Offset,
    /// The newest message's time.
    pub newest_time: Timestamp,
    /// Bytes of all messages of the epoch, as they were stored.
    pub bytes: u64,
    /// The oldest row that holds messages.
    pub oldest: Option<OldestMessages>,
    /// True if there are changed messages.
    pub has_changed: bool,
    /// True if a user has read anything.
    pub has_reads: bool,
    /// Members within the grace period.
    pub absences: Vec<Absence>,
    /// Banned users.
    pub bans: Vec<Ban>,
    /// Users whose tokens have been ended.
    pub ended_tokens: Vec<EndedTokens>,
    /// Webhook events, and the progress of their delivery.
    pub events: StoredEvents,
    /// The links to gateways.
    pub links: Vec<StoredLink<GatewayName>>,
    /// The members behind them.
    pub members: Vec<StoredMember>,
    /// True if something was under way to gateways: see [`Store::note_calls`].
    pub is_amid_calls: bool,
    /// The id of the room's first task: a random one.
    pub first_task: TaskId,
    /// The time for which the alarm is set: the current time if it is ringing, `None` if there is none.
    pub alarm: Option<Timestamp>,
}
