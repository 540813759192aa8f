//! Storage in memory, for the room's driver and the fuzz targets.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use snug_core::{
    ConnectionId, Epoch, GatewayName, LinkId, Offset, RoomSnapshot, StorageFault, Store, TaskId,
    Timestamp, UserId,
    backend::webhook::{
        Delivery, EventRow, EventState, Lines, OldestRow, OutgoingEvent, StoredEvents, dead_page,
        dead_without_content, without_contents,
    },
    limits::{
        DEAD_EVENTS_BYTES_MAX, DEAD_EVENTS_MAX, EVENTS_ROW_BYTES_MAX, KEYS_MAX, TAIL_MESSAGES_MAX,
    },
    link::links::StoredLink,
    protocol::page::PageStart,
    room::{bans::Ban, ended_tokens::EndedTokens, presence::Absence},
    storage::{
        batch::{Batch, Page, Wanted},
        changed::{Aspect, ChangeWrite, ChangedMessage, ChangedRows, deleted_messages},
        idempotency::{KeyFloor, StoredKey},
        retention::{Floor, OldestMessages, REACTION_ROWS_MAX, TRIM_ROWS_MAX},
        store::{EventWrite, StoredMember},
    },
};

/// A room's storage in memory, which asserts that the room uses it correctly.
#[derive(Default)]
pub struct MemoryStore {
    pub rows: BTreeMap<Offset, Batch>,
    pub changed: BTreeMap<(Offset, &'static str), ChangedMessage>,
    pub reactions: BTreeSet<(Offset, UserId, String)>,
    pub replies: BTreeSet<(Offset, Offset)>,
    pub reads: BTreeMap<UserId, Offset>,
    absences: BTreeMap<UserId, Absence>,
    pub bans: BTreeMap<UserId, Ban>,
    pub ended_tokens: BTreeMap<UserId, EndedTokens>,
    pub events: BTreeMap<u64, EventRow>,
    pub dead_events: BTreeMap<u64, OutgoingEvent>,
    /// `None` in a new room, whose first event gets the time as its `seq`.
    pub event_state: Option<EventState>,
    event_shares: BTreeMap<UserId, u64>,
    notified: BTreeSet<UserId>,
    pub links: BTreeMap<LinkId, StoredLink<GatewayName>>,
    pub members: BTreeMap<ConnectionId, StoredMember>,
    is_amid_calls: bool,
    /// The highest offset so far, erased or not.
    pub highest: Offset,
    /// The epoch, if it is not named after the number of erasures.
    pub given_epoch: Option<Epoch>,
    /// The number of times that it was erased.
    erasures: usize,
    /// The calls, other than those that a restored room makes at other times; `None` if they are not
    /// recorded.
    pub log: Option<Vec<String>>,
    /// The rows that the room appended with their changes, and whether that succeeded.
    pub appended: Vec<(Batch, Vec<ChangeWrite>, bool)>,
    /// The time for which the alarm is set.
    pub alarm: Option<Timestamp>,
    /// The number of operations that succeed before some fail.
    pub spared: usize,
    /// The number of operations that still fail.
    pub faults: usize,
}

impl MemoryStore {
    /// Stores messages as one row.
    pub fn append_row(&mut self, batch: Batch) {
        let next = self.newest().next();
        assert_eq!(batch.first, next, "an offset is repeated or skipped");
        assert!(batch.bytes_before >= self.bytes());
        let before = self.stored().newest_time;
        assert!(batch.time >= before, "the time decreased");
        let lines = batch.json.split('\n').count() as u64;
        assert!(batch.json.is_empty() || lines == batch.count, "{batch:?}");
        self.highest = self.highest.max(batch.last());
        self.rows.insert(batch.first, batch);
    }

    pub fn newest(&self) -> Offset {
        self.rows
            .values()
            .last()
            .map(Batch::last)
            .unwrap_or_default()
    }

    pub fn stored(&self) -> RoomSnapshot {
        let newest = self.rows.values().last();
        RoomSnapshot {
            epoch: self.epoch(),
            newest: self.newest(),
            newest_time: newest.map(|row| row.time).unwrap_or_default(),
            bytes: self.bytes(),
            oldest: self.oldest_messages(),
            has_changed: !self.changed.is_empty(),
            has_reads: !self.reads.is_empty(),
            absences: self.absences.values().cloned().collect(),
            bans: self.bans.values().cloned().collect(),
            ended_tokens: self.ended_tokens.values().cloned().collect(),
            events: self.stored_events(),
            links: self.links.values().cloned().collect(),
            members: self.members.values().cloned().collect(),
            is_amid_calls: self.is_amid_calls,
            first_task: TaskId(0),
            alarm: self.alarm,
        }
    }

    /// Returns the epoch: `e1` until the first erase.
    pub fn epoch(&self) -> Epoch {
        let numbered = || Epoch::new(&format!("e{}", self.erasures + 1));
        self.given_epoch.clone().unwrap_or_else(numbered)
    }

    /// Creates an empty store in which events are numbered from 1.
    pub fn new() -> Self {
        Self {
            event_state: Some(EventState::default()),
            ..Self::default()
        }
    }

    /// Deletes everything. The next room has another epoch.
    pub fn remove(&mut self) {
        *self = Self {
            erasures: self.erasures + 1,
            log: self.log.take(),
            highest: self.highest,
            appended: std::mem::take(&mut self.appended),
            ..Self::default()
        };
    }

    fn stored_events(&self) -> StoredEvents {
        let newest = self.events.values().last();
        StoredEvents {
            source: "room".into(),
            state: self.event_state.clone(),
            newest: newest.map_or(0, EventRow::last),
            bytes: newest.map_or(0, EventRow::bytes_after),
            oldest: self.oldest_events(),
            notified: self.notified.iter().cloned().collect(),
            shares: if (self.event_state.as_ref()).is_some_and(|state| state.shares_from > 0) {
                self.event_shares.clone().into_iter().collect()
            } else {
                Vec::new()
            },
        }
    }

    fn oldest_events(&self) -> Option<OldestRow> {
        self.events.values().next().map(|row| OldestRow {
            first: row.first,
            time: row.time,
            bytes_before: row.bytes_before,
        })
    }

    pub fn append_events(&mut self, row: EventRow) {
        let newest = self.events.values().last().map_or(0, EventRow::last);
        if let Some(state) = &self.event_state {
            let next = newest.max(state.settled).max(state.newest_lost) + 1;
            assert_eq!(row.first, next, "a seq is repeated or skipped");
        }
        let lines = row.lines.text().split('\n').count() as u64;
        assert_eq!(lines, row.count, "{row:?}");
        let is_long = row.lines.text().len() > EVENTS_ROW_BYTES_MAX;
        let are_messages = matches!(row.lines, Lines::Messages { .. });
        assert!(
            are_messages || lines == 1 || !is_long,
            "the row is too long"
        );
        self.events.insert(row.first, row);
    }

    fn write_events(&mut self, write: &EventWrite) {
        let write = write.clone();
        if let Some(row) = write.row {
            self.append_events(row);
        }
        if let Some(state) = write.state {
            self.event_state = Some(state);
        }
        self.notified.retain(|user| !write.departed.contains(user));
        self.notified.extend(write.notified);
        if write.starts_counting {
            self.event_shares.clear();
        }
        self.event_shares.extend(write.shares);
        if write.forgets_dead {
            self.dead_events.clear();
        }
        self.store_dead(&write.lost);
    }

    fn store_dead(&mut self, dead: &[OutgoingEvent]) {
        let dead = dead.iter().map(|event| (event.seq, event.clone()));
        self.dead_events.extend(dead);
        let size = |event: &OutgoingEvent| {
            (event.json.len() as u64).max(DEAD_EVENTS_BYTES_MAX / DEAD_EVENTS_MAX)
        };
        let mut shares = BTreeMap::<_, u64>::new();
        let newest_first = self.dead_events.values().rev();
        let mut by_share: Vec<_> = newest_first
            .map(|event| {
                let share = shares.entry(event.user.clone()).or_default();
                *share += size(event);
                (*share, Reverse(event.seq), size(event))
            })
            .collect();
        by_share.sort();
        let mut total = 0;
        for (_, Reverse(seq), size) in by_share {
            total += size;
            if total > DEAD_EVENTS_BYTES_MAX {
                self.dead_events.remove(&seq);
            }
        }
    }

    /// Replaces a message's text in its row, and keeps what has become of it.
    fn write_change(&mut self, change: &ChangeWrite) {
        let message = change.now.message;
        let aspect = change.now.aspect.name();
        self.changed.insert((message, aspect), change.now.clone());
        match &change.along {
            ChangedRows::Content {
                row_before, row, ..
            } => {
                self.replace_in_row(message, row_before, row);
            }
            ChangedRows::Replies(_) => {}
            ChangedRows::Reactions(toggled) => {
                for one in toggled {
                    let key = (message, one.user.clone(), one.name.clone());
                    match one.is_on {
                        true => self.reactions.insert(key),
                        false => self.reactions.remove(&key),
                    };
                }
            }
        }
        if let ChangedRows::Replies(added) = &change.along {
            let added = added.iter().map(|reply| (message, *reply));
            self.replies.extend(added);
        }
        if change.is_deletion() {
            self.reactions.retain(|(of, ..)| *of != message);
            self.changed.remove(&(message, Aspect::Reactions.name()));
        }
    }

    fn replace_in_row(&mut self, message: Offset, before: &str, after: &str) {
        let row = self.rows.range_mut(..=message).next_back();
        let (_, row) = row.expect("the message is in a row");
        assert!(row.json.split('\n').any(|line| *line == *before));
        let replaced = row.json.replacen(before, after, 1);
        let shrunk = row.json.len() - replaced.len();
        (row.json, row.bytes_before) = (replaced.into(), row.bytes_before + shrunk as u64);
    }

    fn forget_contents_of(&mut self, deleted: &BTreeSet<Offset>) {
        let now = self.epoch();
        for row in self.events.values_mut() {
            if let Lines::Messages { epoch, pushes } = &row.lines
                && *epoch == now
                && let Some(stripped) = without_contents(pushes, deleted)
            {
                // The bytes of later rows stay as they are.
                row.bytes_before = row.bytes_after().saturating_sub(stripped.len() as u64);
                row.lines = row.lines.clone().with_text(stripped.into());
            }
        }
        for event in self.dead_events.values_mut() {
            if let Some(stripped) = dead_without_content(&event.json, deleted, &now) {
                event.json = stripped;
            }
        }
    }

    fn oldest_messages(&self) -> Option<OldestMessages> {
        let mut rows = self.rows.values();
        let oldest = rows.find(|row| !row.json.is_empty());
        let has_remains =
            !self.changed.is_empty() || !self.reactions.is_empty() || !self.replies.is_empty();
        let newest = self.rows.values().last().filter(|_| has_remains);
        oldest.or(newest).map(|row| OldestMessages {
            offset: row.first,
            time: row.time,
        })
    }

    /// Writes a call to the log.
    fn record(&mut self, call: fmt::Arguments<'_>) {
        if let Some(log) = &mut self.log {
            log.push(call.to_string());
        }
    }

    /// Fails if that is due.
    fn fail_if_due(&mut self) -> Result<(), StorageFault> {
        if let Some(fewer) = self.spared.checked_sub(1) {
            self.spared = fewer;
            return Ok(());
        }
        match self.faults.checked_sub(1) {
            Some(fewer) => {
                self.faults = fewer;
                Err(StorageFault)
            }
            None => Ok(()),
        }
    }
}

impl Store for MemoryStore {
    fn append(
        &mut self,
        batch: &Batch,
        changes: &[ChangeWrite],
        events: Option<&EventWrite>,
    ) -> Result<(), StorageFault> {
        self.record(format_args!("append {batch:?} {changes:?} {events:?}"));
        let outcome = self.fail_if_due();
        let row = (batch.clone(), changes.to_vec(), outcome.is_ok());
        self.appended.push(row);
        outcome?;
        if let Some(write) = events {
            self.write_events(write);
        }
        self.append_row(batch.clone());
        changes.iter().for_each(|change| self.write_change(change));
        self.forget_contents_of(&deleted_messages(changes));
        Ok(())
    }

    fn changed_messages(&mut self, wanted: &Wanted) -> Result<Vec<ChangedMessage>, StorageFault> {
        self.fail_if_due()?;
        let is_within = |one: &&ChangedMessage| (wanted.from..=wanted.to).contains(&one.message);
        let is_other = |one: &&ChangedMessage| wanted.others.contains(&one.message);
        let within = self.changed.values().filter(is_within);
        let others = self.changed.values().filter(is_other);
        Ok(within.chain(others).cloned().collect())
    }

    fn replies_to(
        &mut self,
        root: Offset,
        from: PageStart,
        limit: u32,
    ) -> Result<Vec<Offset>, StorageFault> {
        self.fail_if_due()?;
        let replies = self.replies.iter().filter(|(of, _)| *of == root);
        let replies = replies.map(|(_, reply)| *reply);
        let limit = limit as usize;
        Ok(match from {
            PageStart::After(after) => replies.filter(|one| *one > after).take(limit).collect(),
            PageStart::Before(before) => {
                let replies = replies.filter(|one| *one < before);
                replies.rev().take(limit).collect()
            }
        })
    }

    fn reactions_of(
        &mut self,
        user: &UserId,
        message: Offset,
    ) -> Result<Vec<String>, StorageFault> {
        self.fail_if_due()?;
        let of_user = |(of, one, _): &&(Offset, UserId, String)| *of == message && one == user;
        let names = self.reactions.iter().filter(of_user);
        Ok(names.map(|(_, _, name)| name.clone()).collect())
    }

    fn users_with(
        &mut self,
        name: &str,
        message: Offset,
        limit: usize,
    ) -> Result<Vec<UserId>, StorageFault> {
        self.fail_if_due()?;
        let with = |(of, _, one): &&(Offset, UserId, String)| *of == message && one == name;
        let users = self.reactions.iter().filter(with).map(|(_, user, _)| user);
        Ok(users.take(limit).cloned().collect())
    }

    fn fill_page(&mut self, page: &mut Page) -> Result<(), StorageFault> {
        // A restored room reads a message again that it has just changed, and the newest messages when it counts
        // those that a user has not read.
        let is_tail = page.limit() as usize == TAIL_MESSAGES_MAX;
        if page.limit() > 1 && !is_tail {
            self.record(format_args!("page {page:?}"));
        }
        if !is_tail {
            self.fail_if_due()?;
        }
        let mut rows: Box<dyn Iterator<Item = &Batch>> = match page.start() {
            PageStart::After(offset) => {
                Box::new(self.rows.values().filter(move |row| row.last() >= offset))
            }
            PageStart::Before(offset) => {
                Box::new(self.rows.range(..offset).rev().map(|(_, row)| row))
            }
        };
        while rows.next().is_some_and(|row| page.take(row)) {}
        Ok(())
    }

    fn keys(&mut self, floor: KeyFloor) -> Result<Vec<StoredKey>, StorageFault> {
        // A restored room reads them again.
        self.fail_if_due()?;
        let mut newest = Vec::new();
        for row in self.rows.values().rev() {
            if !floor.keeps(row.last(), row.time) || newest.len() >= KEYS_MAX {
                break;
            }
            newest.extend(row.keys.iter().rev().cloned());
        }
        newest.reverse();
        Ok(newest)
    }

    fn trim(
        &mut self,
        floor: Floor,
        oldest: Offset,
        keys: KeyFloor,
    ) -> Result<Option<OldestMessages>, StorageFault> {
        self.fail_if_due()?;
        let earlier = self.rows.range(..oldest).map(|(_, row)| row);
        assert!(earlier.into_iter().all(|row| row.json.is_empty()));
        let newest = self.rows.keys().last().copied().unwrap_or_default();
        let mut rows = self.rows.values();
        let kept = rows.find(|row| row.first >= oldest && is_kept(row, floor));
        let lowest_kept = kept.map_or(self.newest().next(), |row| row.first);
        let mut below = self.rows.range(..lowest_kept).map(|(_, row)| row);
        let remembered = below.find(|row| !row.keys.is_empty() && keys.keeps(row.last(), row.time));
        let lowest_row = remembered.map_or(lowest_kept, |row| row.first).min(newest);
        let some = TRIM_ROWS_MAX as usize;
        let start = oldest.max(lowest_row);
        let is_keyless = |(first, row): &(&Offset, &Batch)| {
            (start..lowest_kept).contains(first) && **first < newest && row.keys.is_empty()
        };
        let removed: Vec<_> = (self.rows.range(..lowest_row))
            .chain(self.rows.iter().filter(is_keyless))
            .map(|(first, _)| *first)
            .take(some)
            .collect();
        self.rows.retain(|first, _| !removed.contains(first));
        let emptied = self.rows.range_mut(start.min(lowest_kept)..lowest_kept);
        let emptied = emptied.filter(|(first, row)| {
            (!row.keys.is_empty() || **first == newest) && !row.json.is_empty()
        });
        for (_, row) in emptied.take(some) {
            row.bytes_before = row.bytes_after();
            row.json = "".into();
        }
        let trimmed = self.changed.range(..(lowest_kept, ""));
        // A client that was away still needs the last change.
        let trimmed = trimmed.filter(|(_, one)| one.last < lowest_kept);
        let trimmed: Vec<_> = trimmed.map(|(of, _)| *of).take(some).collect();
        self.changed.retain(|of, _| !trimmed.contains(of));
        let reactions = self.reactions.iter().filter(|(of, ..)| *of < lowest_kept);
        let trimmed: Vec<_> = reactions
            .take(REACTION_ROWS_MAX as usize)
            .cloned()
            .collect();
        self.reactions.retain(|one| !trimmed.contains(one));
        let replies = self.replies.iter().filter(|(root, _)| *root < lowest_kept);
        let trimmed: Vec<_> = replies.take(some).copied().collect();
        self.replies.retain(|one| !trimmed.contains(one));
        Ok(self.oldest_messages())
    }

    fn read_positions(&mut self, users: &[UserId]) -> Result<Vec<(UserId, Offset)>, StorageFault> {
        // A restored room reads them again.
        let of = |user: &UserId| Some((user.clone(), *self.reads.get(user)?));
        Ok(users.iter().filter_map(of).collect())
    }

    fn store_read(&mut self, user: &UserId, offset: Offset) -> Result<(), StorageFault> {
        self.record(format_args!("store read {user:?} {offset:?}"));
        self.fail_if_due()?;
        let before = self.reads.insert(user.clone(), offset);
        assert!(before < Some(offset), "the position did not rise");
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.rows.values().last().map_or(0, Batch::bytes_after)
    }

    fn erase(&mut self) -> Result<Epoch, StorageFault> {
        self.record(format_args!("erase"));
        self.fail_if_due()?;
        self.rows.clear();
        self.changed.clear();
        self.reactions.clear();
        self.replies.clear();
        self.reads.clear();
        self.absences.clear();
        self.bans.clear();
        self.ended_tokens.clear();
        self.dead_events.clear();
        self.erasures += 1;
        Ok(self.epoch())
    }

    fn store_events(&mut self, write: &EventWrite) -> Result<(), StorageFault> {
        self.record(format_args!("events {write:?}"));
        self.fail_if_due()?;
        self.write_events(write);
        Ok(())
    }

    fn fill_delivery(&mut self, delivery: &mut Delivery) -> Result<(), StorageFault> {
        self.record(format_args!("delivery {delivery:?}"));
        self.fail_if_due()?;
        let start = delivery.start();
        let mut rows = self.events.values().filter(|row| row.last() >= start);
        while rows.next().is_some_and(|row| delivery.take(row)) {}
        Ok(())
    }

    fn settle_events(
        &mut self,
        state: &EventState,
        dead: &[OutgoingEvent],
        shares: &[(UserId, u64)],
    ) -> Result<Option<OldestRow>, StorageFault> {
        self.record(format_args!("settle {state:?} {dead:?} {shares:?}"));
        self.fail_if_due()?;
        self.events.retain(|_, row| row.last() > state.settled);
        self.event_state = Some(state.clone());
        self.event_shares.extend(shares.iter().cloned());
        self.store_dead(dead);
        Ok(self.oldest_events())
    }

    fn dead_events(&mut self, after: u64, limit: u32) -> Result<(Vec<String>, bool), StorageFault> {
        self.record(format_args!("dead events {after} {limit}"));
        self.fail_if_due()?;
        let events = self.dead_events.range(after + 1..);
        dead_page(events.map(|(_, event)| Ok(event.json.clone())), limit)
    }

    fn store_absence(&mut self, absence: &Absence) {
        self.record(format_args!("store {absence:?}"));
        self.absences.insert(absence.user.clone(), absence.clone());
    }

    fn delete_absence(&mut self, user: &UserId) {
        self.record(format_args!("delete absence of {user:?}"));
        // Erasing a room has deleted its absences already.
        let was_absent = self.absences.remove(user).is_some();
        assert!(was_absent || self.erasures > 0, "the user was not absent");
    }

    fn store_ban(&mut self, ban: &Ban) -> Result<(), StorageFault> {
        self.record(format_args!("store {ban:?}"));
        self.fail_if_due()?;
        self.bans.insert(ban.user.clone(), ban.clone());
        Ok(())
    }

    fn delete_ban(&mut self, user: &UserId) {
        self.record(format_args!("delete ban of {user:?}"));
        assert!(self.bans.remove(user).is_some(), "the user was not banned");
    }

    fn store_ended_tokens(&mut self, ended: &EndedTokens) -> Result<(), StorageFault> {
        self.record(format_args!("store {ended:?}"));
        self.fail_if_due()?;
        self.ended_tokens.insert(ended.user.clone(), ended.clone());
        Ok(())
    }

    fn delete_ended_tokens(&mut self, user: &UserId) {
        self.record(format_args!("delete ended tokens of {user:?}"));
        let removed = self.ended_tokens.remove(user);
        assert!(removed.is_some(), "the user had no ended tokens");
    }

    fn store_link(&mut self, link: &StoredLink<GatewayName>) -> Result<(), StorageFault> {
        self.fail_if_due()?;
        self.links.insert(link.id, link.clone());
        Ok(())
    }

    fn delete_link(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    fn store_member(&mut self, member: &StoredMember) -> Result<(), StorageFault> {
        self.fail_if_due()?;
        assert!(
            self.links.contains_key(&member.link),
            "the link is not stored"
        );
        self.members.insert(member.id, member.clone());
        Ok(())
    }

    fn delete_member(&mut self, id: ConnectionId) {
        self.members.remove(&id);
    }

    fn note_calls(&mut self, is_amid_calls: bool) {
        assert_ne!(self.is_amid_calls, is_amid_calls, "noted already");
        self.is_amid_calls = is_amid_calls;
    }
}

fn is_kept(row: &Batch, floor: Floor) -> bool {
    let bytes_before = row.bytes_after().saturating_sub(1);
    floor.keeps(row.last(), row.time, bytes_before)
}
