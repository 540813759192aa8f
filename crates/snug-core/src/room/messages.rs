//! The room's stored messages: their positions, their idempotency keys, and which are retained.

use std::collections::BTreeMap;

use crate::{
    auth::Position,
    ids::{Epoch, Offset, Timestamp, UserId},
    limits::{PAGE_BYTES_MAX, RECOVERY_BYTES_MAX, RECOVERY_MESSAGES_MAX},
    protocol::{
        page::{PageRequest, PageStart},
        push::Stored,
    },
    storage::{
        batch::{Batch, Page, Wanted},
        changed::{ChangeWrite, ChangedRows, MessageChanges},
        entry::StoredEntry,
        idempotency::{KeyFloor, Keys, StoredKey},
        retention::{Floor, OldestMessages, Retention, TRIM_PAUSE_MS, TRIM_RETRY_MS},
        store::{EventWrite, RoomSnapshot, StorageFault, Store},
    },
};

/// The stored messages of a room. What it knows of them agrees with the storage after each call.
#[derive(Debug)]
pub(super) struct Messages {
    retention: Retention,
    epoch: Epoch,
    newest: Offset,
    newest_time: Timestamp,
    /// Bytes of all messages of the epoch, including trimmed ones.
    bytes: u64,
    /// The oldest stored messages.
    oldest: Option<OldestMessages>,
    /// Time of the next trim of aged messages; `None` if no messages are stored.
    trim_at: Option<Timestamp>,
    /// The idempotency keys; `None` until the first use loads them.
    keys: Option<Keys>,
    /// True if any message has been changed, trimmed or not.
    has_changed: bool,
    /// The messages whose content the last flush has changed, without their other aspects: a message to which text
    /// is appended again and again need not be read each time.
    recent: BTreeMap<Offset, Found>,
}

/// A stored message.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Its text in its row.
    pub(super) row: StoredEntry,
    /// Its changes since it was published.
    pub(super) changes: MessageChanges,
}

impl Messages {
    /// Restores what a room knows of its messages.
    pub(super) fn restore(stored: &RoomSnapshot, retention: Retention) -> Self {
        let mut messages = Self {
            retention,
            epoch: stored.epoch.clone(),
            newest: stored.newest,
            newest_time: stored.newest_time,
            bytes: stored.bytes,
            oldest: None,
            trim_at: None,
            keys: None,
            has_changed: stored.has_changed,
            recent: BTreeMap::new(),
        };
        messages.set_oldest(stored.oldest);
        messages
    }

    /// Returns the epoch of the offsets.
    pub(super) fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Returns the offset of the newest message; 0 if there is none.
    pub(super) fn newest(&self) -> Offset {
        self.newest
    }

    /// Returns the time of the newest message; 0 if there is none.
    pub(super) fn newest_time(&self) -> Timestamp {
        self.newest_time
    }

    /// Returns the bytes of all messages of the epoch, including trimmed ones.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns true if the storage holds messages.
    pub(super) fn has_any(&self) -> bool {
        self.oldest.is_some()
    }

    /// Returns true if messages are retained at all.
    pub(super) fn are_retained(&self) -> bool {
        self.retention.keeps_any()
    }

    /// Returns the lower bound of retained messages.
    pub(super) fn floor(&self, now: Timestamp) -> Floor {
        self.retention.floor(self.newest, self.bytes, now)
    }

    /// Stores messages, with their webhook events. Returns true if a trim is due.
    ///
    /// # Errors
    ///
    /// Fails if the storage does. Then the keys have to be read again, because they may include those of
    /// messages that are not stored.
    pub(super) fn append(
        &mut self,
        store: &mut impl Store,
        batch: &Batch,
        changes: &[ChangeWrite],
        events: Option<&EventWrite>,
    ) -> Result<bool, StorageFault> {
        if let Err(fault) = store.append(batch, changes, events) {
            self.keys = None;
            return Err(fault);
        }
        let before = std::mem::replace(&mut self.newest, batch.last());
        (self.newest_time, self.bytes) = (batch.time, batch.bytes_after());
        self.has_changed |= !changes.is_empty();
        self.recent = changes.iter().filter_map(recently_changed).collect();
        if self.trim_at.is_none() && self.retention.keeps_any() {
            let (offset, time) = (batch.first, batch.time);
            self.set_oldest(Some(OldestMessages { offset, time }));
        }
        Ok(Retention::is_trim_due(before, self.newest))
    }

    /// Deletes some of the messages below the floor.
    pub(super) fn trim(&mut self, store: &mut impl Store, now: Timestamp) {
        self.recent.clear();
        let oldest = self.oldest.map(|oldest| oldest.offset);
        let oldest = oldest.unwrap_or(self.newest.next());
        let keys = KeyFloor::new(self.newest, now);
        let pause_ms = match store.trim(self.floor(now), oldest, keys) {
            Ok(oldest) => {
                self.set_oldest(oldest);
                TRIM_PAUSE_MS
            }
            Err(StorageFault) => TRIM_RETRY_MS,
        };
        let next = now.plus_ms(pause_ms);
        self.trim_at = self.trim_at.map(|at| at.max(next));
    }

    /// Returns the time of the next trim of aged messages; `None` if no messages are stored.
    pub(super) fn trim_at(&self) -> Option<Timestamp> {
        self.trim_at
    }

    /// Records the oldest stored messages, and schedules the next trim by their time.
    fn set_oldest(&mut self, oldest: Option<OldestMessages>) {
        self.oldest = oldest;
        self.trim_at = oldest.map(|oldest| self.retention.trim_at(oldest.time));
    }

    /// Starts an epoch without messages: the storage was erased.
    pub(super) fn start_epoch(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        (self.newest, self.bytes) = (Offset::default(), 0);
        self.newest_time = Timestamp::default();
        self.set_oldest(None);
        self.keys = Some(Keys::default());
        self.has_changed = false;
        self.recent.clear();
    }

    // Idempotency keys.

    /// Reads the keys from storage on their first use, because most rooms that wake do not need them.
    ///
    /// # Errors
    ///
    /// Fails if the storage does.
    pub(super) fn load_keys(
        &mut self,
        store: &mut impl Store,
        floor: KeyFloor,
    ) -> Result<(), StorageFault> {
        if self.keys.is_none() {
            let stored = store.keys(floor)?;
            let keys = self.keys.insert(Keys::default());
            stored.into_iter().for_each(|key| keys.add(key, floor));
        }
        Ok(())
    }

    /// Returns the position of a message that the user has stored, or is about to store, under the key.
    pub(super) fn find_key(&self, user: &UserId, key: &str, floor: KeyFloor) -> Option<Stored> {
        self.keys.as_ref()?.find(user, key, floor)
    }

    /// Remembers the key of a message that is about to be stored.
    pub(super) fn remember_key(&mut self, key: StoredKey, floor: KeyFloor) {
        if let Some(keys) = &mut self.keys {
            keys.add(key, floor);
        }
    }

    // Pages.

    /// Reads a page.
    ///
    /// # Errors
    ///
    /// Fails if the storage does.
    pub(super) fn read_page(
        &self,
        store: &mut impl Store,
        request: PageRequest,
        now: Timestamp,
    ) -> Result<Page, StorageFault> {
        self.fill(store, Page::new(request, self.floor(now)))
    }

    /// Reads a page of one user's messages.
    ///
    /// # Errors
    ///
    /// Fails if the storage does.
    pub(super) fn read_page_of(
        &self,
        store: &mut impl Store,
        user: &UserId,
        request: PageRequest,
        now: Timestamp,
    ) -> Result<Page, StorageFault> {
        self.fill(store, Page::of(user.clone(), request, self.floor(now)))
    }

    fn fill(&self, store: &mut impl Store, mut page: Page) -> Result<Page, StorageFault> {
        store.fill_page(&mut page)?;
        if self.has_changed
            && let Some(wanted) = page.wanted()
        {
            page.show(store.changed_messages(&wanted)?);
        }
        Ok(page)
    }

    /// Finds messages of one user, deleted or not: a page that has them as they stand in their rows.
    ///
    /// # Errors
    ///
    /// Fails if the storage does.
    pub(super) fn search(
        &self,
        store: &mut impl Store,
        user: &UserId,
        request: PageRequest,
        now: Timestamp,
    ) -> Result<Page, StorageFault> {
        let mut page = Page::of(user.clone(), request, self.floor(now));
        store.fill_page(&mut page)?;
        Ok(page)
    }

    /// Returns a message with the changes of its content. `None` if the offset is that of an entry about a message, or
    /// of nothing that is retained.
    ///
    /// # Errors
    ///
    /// Fails if the storage does.
    pub(super) fn find(
        &self,
        store: &mut impl Store,
        message: Offset,
        now: Timestamp,
    ) -> Result<Option<Found>, StorageFault> {
        let floor = self.floor(now);
        let is_retained = |row: &StoredEntry| {
            let time = row.read().and_then(|fields| fields.time);
            message >= floor.offset && time >= Some(floor.time)
        };
        match self.recent.get(&message) {
            Some(found) if is_retained(&found.row) => Ok(Some(found.clone())),
            _ => self.find_stored(store, message, now),
        }
    }

    /// Returns a message with all that has become of it, as [`Self::find`] does.
    ///
    /// # Errors
    ///
    /// Fails if the storage does.
    pub(super) fn find_stored(
        &self,
        store: &mut impl Store,
        message: Offset,
        now: Timestamp,
    ) -> Result<Option<Found>, StorageFault> {
        let Some(row) = self.find_row(store, message, now)? else {
            return Ok(None);
        };
        self.with_changes(store, message, row).map(Some)
    }

    /// Adds to a message all that has become of it.
    ///
    /// # Errors
    ///
    /// Fails if the storage does.
    pub(super) fn with_changes(
        &self,
        store: &mut impl Store,
        message: Offset,
        row: StoredEntry,
    ) -> Result<Found, StorageFault> {
        if !self.has_changed {
            let changes = MessageChanges::default();
            return Ok(Found { row, changes });
        }
        let wanted = Wanted {
            from: message,
            to: message,
            others: Vec::new(),
        };
        let changes = store.changed_messages(&wanted)?.into_iter().collect();
        Ok(Found { row, changes })
    }

    /// Returns a message's text in its row, as [`Self::find`] does.
    ///
    /// # Errors
    ///
    /// Fails if the storage does.
    pub(super) fn find_row(
        &self,
        store: &mut impl Store,
        message: Offset,
        now: Timestamp,
    ) -> Result<Option<StoredEntry>, StorageFault> {
        let Some(before) = message.0.checked_sub(1).filter(|_| message <= self.newest) else {
            return Ok(None);
        };
        let request = PageRequest {
            from: PageStart::After(Offset(before)),
            limit: 1,
            bytes_max: PAGE_BYTES_MAX,
        };
        let mut page = Page::new(request, self.floor(now));
        store.fill_page(&mut page)?;
        let is_found = page.first() == Some(message);
        let (entries, _) = page.finish();
        let row = entries.into_iter().next();
        Ok(row.filter(|row| is_found && !row.is_change()))
    }

    /// Returns the number of retained messages.
    ///
    /// # Errors
    ///
    /// Fails if the storage does.
    pub(super) fn count(
        &self,
        store: &mut impl Store,
        now: Timestamp,
    ) -> Result<u64, StorageFault> {
        let oldest = PageRequest {
            from: PageStart::After(Offset::default()),
            limit: 1,
            bytes_max: PAGE_BYTES_MAX,
        };
        let page = self.read_page(store, oldest, now)?;
        let after_newest = self.newest.next();
        let oldest = page.first().unwrap_or(after_newest);
        Ok(after_newest.0.saturating_sub(oldest.0))
    }

    /// Returns the page that brings a client at this position up to date; `None` if the position is of
    /// another epoch, beyond the newest message, or too far back.
    pub(super) fn missed_after(&self, position: &Position) -> Option<PageRequest> {
        let missed = self.newest.0.checked_sub(position.offset.0)?;
        let is_same_epoch = position.epoch == self.epoch.as_str();
        (is_same_epoch && missed <= RECOVERY_MESSAGES_MAX.into()).then_some(PageRequest {
            from: PageStart::After(position.offset),
            limit: RECOVERY_MESSAGES_MAX,
            bytes_max: RECOVERY_BYTES_MAX,
        })
    }

    /// Returns true if there is nothing to read from here on.
    pub(super) fn are_all_before(&self, from: PageStart) -> bool {
        from == PageStart::After(self.newest)
    }

    /// Returns true if there are exactly so many messages from here on.
    pub(super) fn are_all_after(&self, from: PageStart, count: usize) -> bool {
        match from {
            PageStart::After(offset) => {
                self.newest.0.checked_sub(offset.0) == u64::try_from(count).ok()
            }
            PageStart::Before(_) => false,
        }
    }
}

/// Returns a message whose content has just been changed.
fn recently_changed(write: &ChangeWrite) -> Option<(Offset, Found)> {
    let ChangedRows::Content { row, .. } = &write.along else {
        return None;
    };
    let found = Found {
        row: StoredEntry::new(row.clone()),
        changes: [write.now.clone()].into_iter().collect(),
    };
    Some((write.now.message, found))
}

#[cfg(test)]
mod tests;
