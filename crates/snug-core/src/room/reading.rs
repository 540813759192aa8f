//! Reading: the position of each user among the messages, and the number of those that are new.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Room;
use crate::{
    Capability,
    fan_out::Audience,
    ids::{ConnectionId, Offset, Timestamp, UserId},
    limits::{PAGE_BYTES_MAX, READS_MS, TAIL_MESSAGES_MAX, UNREAD_MAX},
    protocol::{
        command::CommandId,
        error::ErrorCode,
        page::{PageRequest, PageStart},
        push::{Push, ReadState},
    },
    reply::{MemberList, Reply},
    room::{badges::Stale, messages::Messages},
    storage::{
        changed::ChangeWrite,
        retention::Floor,
        store::{StorageFault, Store},
    },
};

const AHEAD: &str = "'offset' must not be above that of the room's newest message";
const NOT_STORED: &str = "the position could not be stored";

/// Positions of users, as far as the room knows them without asking the storage.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// True if the storage has any position.
    has_any: bool,
    /// The positions of some members.
    positions: BTreeMap<UserId, Offset>,
    /// The newest messages; `None` until the first use loads them.
    tail: Option<Tail>,
    /// True if the tail was loaded while a draft was waiting, whose messages it does not have.
    lacks_draft: bool,
    /// The users whose new positions were not sent yet.
    unsent: BTreeSet<UserId>,
    /// The users whose badges are out of date.
    badges: Stale,
    /// The time from which positions and badges may be sent.
    from: Timestamp,
}

/// The newest messages, oldest first: at most [`TAIL_MESSAGES_MAX`].
#[derive(Debug, Default)]
struct Tail(VecDeque<Said>);

/// The part of a message that decides for whom it counts as unread.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Said {
    pub(super) offset: Offset,
    pub(super) time: Timestamp,
    pub(super) user: UserId,
    #[serde(default)]
    pub(super) mentions: Vec<UserId>,
    #[serde(default)]
    pub(super) deleted: bool,
}

impl Reading {
    /// Creates the state of a room that wakes.
    pub(super) fn restore(has_any: bool) -> Self {
        Self {
            has_any,
            ..Self::default()
        }
    }

    /// Returns true if new messages have to be recorded.
    pub(super) fn follows_messages(&self) -> bool {
        self.tail.is_some()
    }

    /// Records messages that have been stored, and deletions.
    pub(super) fn record(&mut self, said: Vec<Said>, writes: &[ChangeWrite]) {
        if std::mem::take(&mut self.lacks_draft) {
            self.tail = None;
        }
        let Some(tail) = &mut self.tail else {
            return;
        };
        for write in writes.iter().filter(|write| write.is_deletion()) {
            let message = write.now.message;
            let deleted = tail.0.iter_mut().find(|one| one.offset == message);
            if let Some(deleted) = deleted {
                deleted.deleted = true;
            }
        }
        tail.0.extend(said);
        let excess = tail.0.len().saturating_sub(TAIL_MESSAGES_MAX);
        tail.0.drain(..excess);
    }

    /// Removes the position of a user who has left from memory. Storage keeps it.
    pub(super) fn forget(&mut self, user: &UserId) {
        self.positions.remove(user);
        self.unsent.remove(user);
    }

    /// Records that each badge may have changed.
    pub(super) fn outdate_badges(&mut self) {
        self.badges = Stale::All;
    }

    /// Returns the time at which new positions and badges are sent; `None` if there are none.
    pub(super) fn sends_at(&self) -> Option<Timestamp> {
        (!self.unsent.is_empty() || !self.badges.is_none()).then_some(self.from)
    }
}

impl Tail {
    /// Reads the newest messages.
    fn load(
        messages: &Messages,
        store: &mut impl Store,
        now: Timestamp,
    ) -> Result<Self, StorageFault> {
        let mut tail = VecDeque::new();
        let mut before = Offset::END;
        while tail.len() < TAIL_MESSAGES_MAX {
            let request = PageRequest {
                from: PageStart::Before(before),
                limit: TAIL_MESSAGES_MAX as u32,
                bytes_max: PAGE_BYTES_MAX,
            };
            let (entries, more) = messages.read_page(store, request, now)?.finish();
            let Some(first) = entries.first().and_then(|entry| entry.read()) else {
                break;
            };
            before = first.offset;
            let said = entries.iter().rev().filter(|entry| !entry.is_change());
            let said = said.filter_map(|entry| serde_json::from_str::<Said>(entry.push()).ok());
            said.for_each(|one| tail.push_front(one));
            if !more {
                break;
            }
        }
        let excess = tail.len().saturating_sub(TAIL_MESSAGES_MAX);
        tail.drain(..excess);
        Ok(Self(tail))
    }

    /// Counts the messages of others after an offset.
    fn count(&self, user: &UserId, read: Offset, floor: Floor) -> (usize, usize) {
        let is_unread = |one: &&Said| {
            let is_retained = one.offset >= floor.offset && one.time >= floor.time;
            is_retained && !one.deleted && one.user != *user
        };
        let newest = self.0.iter().rev().take_while(|one| one.offset > read);
        let (mut unread, mut mentions) = (0_usize, 0_usize);
        for one in newest.filter(is_unread).take(UNREAD_MAX) {
            unread = unread.saturating_add(1);
            mentions = mentions.saturating_add(one.mentions.contains(user).into());
        }
        (unread, mentions)
    }
}

impl<S: Store> Room<S> {
    /// Records how far a member has read.
    pub(super) fn read(&mut self, from: ConnectionId, id: Option<CommandId>, offset: Offset) {
        let Some(connection) = self.roster.get(from) else {
            return;
        };
        let user = connection.subscription.user.clone();
        if offset > self.messages.newest() {
            self.store_draft();
        }
        if offset > self.messages.newest() {
            return self.refuse(from, id.as_ref(), ErrorCode::BadCommand, AHEAD);
        }
        match self.raise_position(&user, offset) {
            Ok(read) => {
                self.reply_with(from, id.as_ref(), &Reply::Read { read });
                self.send_reading_if_due();
            }
            Err(StorageFault) => self.refuse(from, id.as_ref(), ErrorCode::Internal, NOT_STORED),
        }
    }

    /// Stores a position if it is above the user's earlier one. Returns the position now.
    fn raise_position(&mut self, user: &UserId, offset: Offset) -> Result<Offset, StorageFault> {
        let before = self.position_of(user)?;
        if offset <= before {
            return Ok(before);
        }
        self.store.store_read(user, offset)?;
        self.reading.has_any = true;
        self.reading.positions.insert(user.clone(), offset);
        self.reading.unsent.insert(user.clone());
        if self.roster.unlisted().contains_key(user) {
            self.reading.badges.add(user);
        }
        Ok(offset)
    }

    fn position_of(&mut self, user: &UserId) -> Result<Offset, StorageFault> {
        self.load_positions(std::slice::from_ref(user))?;
        Ok(self
            .reading
            .positions
            .get(user)
            .copied()
            .unwrap_or_default())
    }

    /// Reads those positions from storage that are not known yet.
    pub(super) fn load_positions(&mut self, users: &[UserId]) -> Result<(), StorageFault> {
        if !self.reading.has_any {
            return Ok(());
        }
        let unknown = users
            .iter()
            .filter(|user| !self.reading.positions.contains_key(user));
        let unknown: Vec<_> = unknown.cloned().collect();
        if !unknown.is_empty() {
            let stored = self.store.read_positions(&unknown)?;
            let none = unknown.into_iter().map(|user| (user, Offset::default()));
            self.reading.positions.extend(none);
            self.reading.positions.extend(stored);
        }
        Ok(())
    }

    /// Returns how far a member has read and how much is new, if it may read the messages.
    pub(super) fn read_state(&mut self, id: ConnectionId) -> Option<ReadState> {
        let subscription = &self.roster.get(id)?.subscription;
        let user = (subscription.can.may_read()).then(|| subscription.user.clone())?;
        self.unread_of(&user)
    }

    /// Returns how far a user has read and how much is new; `None` if the storage fails.
    pub(super) fn unread_of(&mut self, user: &UserId) -> Option<ReadState> {
        let read = self.position_of(user).ok()?;
        let floor = self.messages.floor(self.now);
        let (unread, mentions) = match read < self.messages.newest() {
            true => self.load_tail()?.count(user, read, floor),
            false => (0, 0),
        };
        Some(ReadState {
            read,
            unread,
            mentions,
        })
    }

    /// Returns the newest messages; `None` if the storage fails.
    fn load_tail(&mut self) -> Option<&Tail> {
        if self.reading.tail.is_none() {
            let tail = Tail::load(&self.messages, &mut self.store, self.now).ok()?;
            self.reading.tail = Some(tail);
            self.reading.lacks_draft = self.outbox.draft().is_some();
        }
        self.reading.tail.as_ref()
    }

    /// Returns the offset of the newest message; `None` if there is none, or if the storage fails.
    pub(super) fn newest_in_tail(&mut self) -> Option<Offset> {
        self.load_tail()?.0.back().map(|one| one.offset)
    }

    /// Sends the new positions and badges if it is time.
    pub(super) fn send_reading_if_due(&mut self) {
        if self.reading.sends_at().is_some_and(|at| at <= self.now) {
            self.send_reading();
        }
    }

    /// Sends the new positions and badges.
    pub(super) fn send_reading(&mut self) {
        self.reading.from = self.now.plus_ms(READS_MS);
        self.send_reads();
        let stale = std::mem::take(&mut self.reading.badges);
        self.send_badges(&stale);
    }

    /// Sends the new positions to those who may see them, and to the users' own connections.
    fn send_reads(&mut self) {
        let connections = self.roster.connections().iter();
        let observers = connections.filter(|(_, one)| {
            one.subscription.is_listed() && one.subscription.can.has(Capability::Receipts)
        });
        let observers: Vec<_> = observers.map(|(id, _)| *id).collect();
        for user in std::mem::take(&mut self.reading.unsent) {
            let Some(offset) = self.reading.positions.get(&user).copied() else {
                continue;
            };
            let own = self.roster.presence().connections_of(&user);
            let to: BTreeSet<_> = observers.iter().copied().chain(own).collect();
            let text = Push::Read {
                user: &user,
                offset,
            }
            .to_line();
            self.outbox.push_line(Audience::these(to), text);
        }
    }

    /// Adds to each listed member how far it has read.
    pub(super) fn with_positions(&mut self, mut list: MemberList) -> MemberList {
        let users: Vec<_> = self
            .member_ids()
            .take(list.members.len())
            .cloned()
            .collect();
        if self.load_positions(&users).is_err() {
            return list;
        }
        for (member, user) in list.members.iter_mut().zip(&users) {
            let Some(read) = self.reading.positions.get(user).filter(|read| read.0 > 0) else {
                continue;
            };
            let fields = member.get().strip_suffix('}').unwrap_or_default();
            let text = format!(r#"{fields},"read":{}}}"#, read.0);
            if let Ok(text) = RawValue::from_string(text) {
                *member = text.into();
            }
        }
        list
    }
}
