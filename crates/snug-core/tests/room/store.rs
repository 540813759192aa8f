//! Storage in memory, as the room's driver and the fuzz targets use it.

use std::collections::{BTreeMap, BTreeSet};

use snug_core::{
    Epoch, Offset, Stored, Timestamp, UserId,
    bans::Ban,
    batch::{Batch, Page},
    command::PageStart,
    io::StorageFault,
    keys::StoredKey,
    limits::KEYS_MAX,
    presence::Absence,
    retention::{Floor, TRIM_ROWS_MAX},
};

/// A room's storage, in memory. What a store has to hold to is asserted.
#[derive(Default)]
pub struct MemoryStore {
    pub rows: BTreeMap<Offset, Batch>,
    absences: BTreeMap<UserId, Absence>,
    pub bans: BTreeMap<UserId, Ban>,
    /// How often it was erased.
    erasures: usize,
    /// How many more times it fails.
    pub faults: usize,
}

impl MemoryStore {
    pub fn newest(&self) -> Offset {
        self.rows
            .values()
            .last()
            .map(Batch::last)
            .unwrap_or_default()
    }

    pub fn stored(&self) -> Stored {
        let newest = self.rows.values().last();
        Stored {
            epoch: self.epoch(),
            newest: self.newest(),
            newest_time: newest.map(|row| row.time).unwrap_or_default(),
            bytes: self.bytes(),
            oldest_time: self.oldest_time(),
            absences: self.absences.values().cloned().collect(),
            bans: self.bans.values().cloned().collect(),
        }
    }

    /// `e1`, until it is erased.
    pub fn epoch(&self) -> Epoch {
        Epoch::new(&format!("e{}", self.erasures + 1))
    }

    pub fn erase(&mut self) -> Result<Epoch, StorageFault> {
        self.work()?;
        self.rows.clear();
        self.absences.clear();
        self.bans.clear();
        self.erasures += 1;
        Ok(self.epoch())
    }

    pub fn measure(&mut self, page: Page) -> Result<(Page, u64), StorageFault> {
        let page = self.fill(page)?;
        Ok((page, self.bytes()))
    }

    pub fn bytes(&self) -> u64 {
        self.rows.values().last().map_or(0, Batch::bytes_after)
    }

    fn oldest_time(&self) -> Option<Timestamp> {
        let mut rows = self.rows.values();
        rows.find(|row| !row.json.is_empty()).map(|row| row.time)
    }

    pub fn trim(
        &mut self,
        floor: Floor,
        lowest_key: Offset,
    ) -> Result<Option<Timestamp>, StorageFault> {
        self.work()?;
        let newest = self.rows.keys().last().copied();
        let is_needed = |row: &Batch| {
            let has_key = !row.keys.is_empty() && row.last() >= lowest_key;
            has_key || Some(row.first) == newest
        };
        let below = self.rows.values().filter(|row| !is_kept(row, floor));
        let (needed, removed): (Vec<_>, Vec<_>) = below.partition(|row| is_needed(row));
        let some = |rows: Vec<&Batch>| -> BTreeSet<_> {
            let rows = rows.iter().map(|row| row.first);
            rows.take(TRIM_ROWS_MAX as usize).collect()
        };
        let (needed, removed) = (some(needed), some(removed));
        self.rows.retain(|first, _| !removed.contains(first));
        for row in self.rows.values_mut() {
            if needed.contains(&row.first) {
                row.bytes_before = row.bytes_after();
                row.json = "".into();
            }
        }
        Ok(self.oldest_time())
    }

    pub fn keys(&mut self) -> Result<Vec<StoredKey>, StorageFault> {
        self.work()?;
        let keys = self.rows.values().flat_map(|row| row.keys.clone());
        let keys: Vec<_> = keys.collect();
        Ok(keys[keys.len().saturating_sub(KEYS_MAX)..].to_vec())
    }

    pub fn append(&mut self, batch: Batch) -> Result<(), StorageFault> {
        self.work()?;
        let next = self.newest().next();
        assert_eq!(batch.first, next, "an offset twice or skipped");
        assert_eq!(batch.bytes_before, self.bytes());
        let before = self.stored().newest_time;
        assert!(batch.time >= before, "before its time");
        let lines = batch.json.split('\n').count() as u64;
        assert!(batch.json.is_empty() || lines == batch.count, "{batch:?}");
        self.rows.insert(batch.first, batch);
        Ok(())
    }

    pub fn fill(&mut self, mut page: Page) -> Result<Page, StorageFault> {
        self.work()?;
        let mut rows: Box<dyn Iterator<Item = &Batch>> = match page.start() {
            PageStart::After(offset) => {
                Box::new(self.rows.values().filter(move |row| row.last() >= offset))
            }
            PageStart::Before(offset) => {
                Box::new(self.rows.range(..offset).rev().map(|(_, row)| row))
            }
        };
        while rows.next().is_some_and(|row| page.take(row)) {}
        drop(rows);
        Ok(page)
    }

    pub fn keep_absence(&mut self, absence: Absence) {
        self.absences.insert(absence.user.clone(), absence);
    }

    pub fn forget_absence(&mut self, user: &UserId) {
        // An erased room has forgotten them already.
        let was_absent = self.absences.remove(user).is_some();
        assert!(was_absent || self.erasures > 0, "was not absent");
    }

    pub fn keep_ban(&mut self, ban: Ban) -> Result<(), StorageFault> {
        self.work()?;
        self.bans.insert(ban.user.clone(), ban);
        Ok(())
    }

    pub fn forget_ban(&mut self, user: &UserId) {
        assert!(self.bans.remove(user).is_some(), "was not banned");
    }

    fn work(&mut self) -> Result<(), StorageFault> {
        match self.faults.checked_sub(1) {
            Some(fewer) => {
                self.faults = fewer;
                Err(StorageFault)
            }
            None => Ok(()),
        }
    }
}

fn is_kept(row: &Batch, floor: Floor) -> bool {
    let bytes_before = row.bytes_after().saturating_sub(1);
    floor.keeps(row.last(), row.time, bytes_before)
}
