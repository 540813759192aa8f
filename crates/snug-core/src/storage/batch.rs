//! Batches of messages that one flush stores, and pages of history.

use std::{collections::BTreeMap, rc::Rc};

use crate::{
    ids::{Offset, Timestamp, UserId},
    protocol::page::{PageRequest, PageStart},
    storage::{
        changed::{ChangedMessage, MessageChanges},
        entry::StoredEntry,
        idempotency::StoredKey,
        retention::Floor,
        search::Search,
    },
};

/// The entries of one flush, messages and changes, stored as one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The offset of the first entry.
    pub first: Offset,
    /// The number of entries; 1 or more.
    pub count: u64,
    /// The time of the last entry.
    pub time: Timestamp,
    /// The stored bytes of all earlier batches of the epoch, and of what this one's changes store elsewhere.
    pub bytes_before: u64,
    /// The texts of the entries, one per line; empty if none are retained.
    pub json: Rc<str>,
    /// The entries' idempotency keys.
    pub keys: Vec<StoredKey>,
}

impl Batch {
    /// Returns the offset of the last entry.
    pub fn last(&self) -> Offset {
        Offset(self.first.0.saturating_add(self.count.saturating_sub(1)))
    }

    /// Returns the stored bytes up to and including this batch.
    pub fn bytes_after(&self) -> u64 {
        let bytes = u64::try_from(self.json.len()).unwrap_or_default();
        self.bytes_before.saturating_add(bytes)
    }

    /// Returns the entries above the floor with their offsets, in order.
    fn retained(&self, floor: Floor) -> Vec<(Offset, &str)> {
        if self.json.is_empty() {
            return Vec::new();
        }
        let (mut offset, mut bytes_before) = (self.first, self.bytes_before);
        let mut retained = Vec::new();
        for line in self.json.split('\n') {
            if floor.keeps(offset, self.time, bytes_before) {
                retained.push((offset, line));
            }
            offset = offset.next();
            let bytes = u64::try_from(line.len()).unwrap_or_default();
            bytes_before = bytes_before.saturating_add(bytes).saturating_add(1);
        }
        retained
    }
}

/// A page of stored entries that is being read.
#[derive(Clone, Debug)]
pub struct Page {
    request: PageRequest,
    floor: Floor,
    /// If given, the page has only the messages of one user.
    search: Option<Search>,
    /// The last entry that was read, whether it belongs to the page or not.
    reached: Option<Offset>,
    /// The entries in the order in which they were read, with their offsets.
    entries: Vec<(Offset, StoredEntry)>,
    bytes: usize,
    more: bool,
}

impl Page {
    /// Creates an empty page for entries above the floor.
    pub fn new(request: PageRequest, floor: Floor) -> Self {
        Self {
            request,
            floor,
            search: None,
            reached: None,
            entries: Vec::new(),
            bytes: 0,
            more: false,
        }
    }

    /// Creates an empty page for the messages of one user above the floor. It ends before it is full if it has read
    /// as many entries as a search may.
    pub(crate) fn of(user: UserId, request: PageRequest, floor: Floor) -> Self {
        Self {
            search: Some(Search::new(user)),
            ..Self::new(request, floor)
        }
    }

    /// Returns where to read from. `After`: the batch with this offset and later ones, oldest first.
    /// `Before`: the batches that start below this offset, newest first.
    pub fn start(&self) -> PageStart {
        match self.request.from {
            PageStart::After(offset) => PageStart::After(offset.next().max(self.floor.offset)),
            before @ PageStart::Before(_) => before,
        }
    }

    /// Returns the most entries.
    pub fn limit(&self) -> u32 {
        self.request.limit
    }

    /// Returns the floor. Rows entirely below it need not be read.
    pub fn floor(&self) -> Floor {
        self.floor
    }

    /// Adds the entries of the next batch that belong to the page. Returns true if the page needs more.
    pub fn take(&mut self, batch: &Batch) -> bool {
        let retained = batch.retained(self.floor);
        match self.request.from {
            PageStart::After(after) => {
                let matching = retained.into_iter().filter(|(offset, _)| *offset > after);
                self.take_all(matching)
            }
            PageStart::Before(before) => {
                let matching = retained.into_iter().rev();
                let floor = self.floor;
                let has_more_rows = batch.first >= floor.offset
                    && batch.time >= floor.time
                    && batch.bytes_before >= floor.bytes_before;
                self.take_all(matching.filter(|(offset, _)| *offset < before)) && has_more_rows
            }
        }
    }

    fn take_all<'a>(&mut self, entries: impl Iterator<Item = (Offset, &'a str)>) -> bool {
        for (offset, text) in entries {
            let is_over = self.search.as_ref().is_some_and(Search::is_over);
            let is_wanted = is_over || self.search.as_mut().is_none_or(|search| search.finds(text));
            let is_full = self.entries.len() >= self.request.limit as usize;
            if is_over || is_wanted && (is_full || !self.fits(text)) {
                self.more = true;
                return false;
            }
            self.reached = Some(offset);
            if is_wanted {
                self.bytes = self.bytes.saturating_add(text.len());
                self.entries.push((offset, StoredEntry::new(text.into())));
            }
        }
        true
    }

    /// Returns true if the page takes this entry, too. The first one may have any length.
    fn fits(&self, text: &str) -> bool {
        let bytes = self.bytes.saturating_add(text.len());
        bytes <= self.request.bytes_max || self.entries.is_empty()
    }

    /// Returns the offset of the entry that was read first.
    pub fn first(&self) -> Option<Offset> {
        self.entries.first().map(|(offset, _)| *offset)
    }

    /// Returns the entries with their offsets, in the order in which they were read.
    pub(crate) fn entries(&self) -> &[(Offset, StoredEntry)] {
        &self.entries
    }

    /// Returns the offset from which to go on in the requested direction; `None` if there is nothing more.
    pub(crate) fn cursor(&self) -> Option<Offset> {
        self.reached.filter(|_| self.more)
    }

    /// Returns which changed messages belong to the page; `None` if it is empty.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        if self.search.is_some() {
            // Others' messages are between them.
            let (first, others) = self.entries.split_first()?;
            return Some(Wanted {
                from: first.0,
                to: first.0,
                others: others.iter().map(|(offset, _)| *offset).collect(),
            });
        }
        let (first, last) = (self.entries.first()?.0, self.entries.last()?.0);
        let (from, to) = (first.min(last), first.max(last));
        let changes = self.entries.iter().filter(|(_, entry)| entry.is_change());
        let of = changes.filter_map(|(_, entry)| entry.read()?.of);
        let mut others: Vec<_> = of.filter(|of| !(from..=to).contains(of)).collect();
        others.sort_unstable();
        others.dedup();
        Some(Wanted { from, to, others })
    }

    /// Shows each message as it is now. Of the changes of an aspect, only the last keeps its content.
    ///
    /// The page ends earlier if it would become too long.
    pub(crate) fn show(&mut self, changed: Vec<ChangedMessage>) {
        let mut messages = BTreeMap::<_, MessageChanges>::new();
        let mut by_last = BTreeMap::new();
        for one in changed {
            by_last.insert(one.last, one.change.clone());
            messages.entry(one.message).or_default().set(one);
        }
        let stored = std::mem::take(&mut self.entries);
        self.bytes = 0;
        // What does not fit any more is read again.
        let mut reached = None;
        for (offset, entry) in stored {
            let shown = match (messages.get(&offset), by_last.get(&offset)) {
                (Some(changes), _) => changes.apply_to(&entry),
                (None, Some(change)) => StoredEntry::new(change.clone()),
                (None, None) => entry,
            };
            if !self.fits(shown.push()) {
                (self.more, self.reached) = (true, reached);
                return;
            }
            self.bytes = self.bytes.saturating_add(shown.push().len());
            self.entries.push((offset, shown));
            reached = Some(offset);
        }
    }

    /// Returns the entries in offset order, and whether there are more in the requested direction.
    pub fn finish(mut self) -> (Vec<StoredEntry>, bool) {
        if matches!(self.request.from, PageStart::Before(_)) {
            self.entries.reverse();
        }
        let entries = self.entries.into_iter().map(|(_, entry)| entry);
        (entries.collect(), self.more)
    }
}

/// The changed messages that a page needs: those from one offset to another, and some that changes in the page
/// name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The lowest offset.
    pub from: Offset,
    /// The highest offset.
    pub to: Offset,
    /// Offsets outside.
    pub others: Vec<Offset>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Floor = Floor {
        offset: Offset(1),
        time: Timestamp(0),
        bytes_before: 0,
    };

    /// Ten messages in rows of three, two, one and four: `"1"` to `"10"`.
    fn rows() -> Vec<Batch> {
        let mut bytes_before = 0;
        [
            (1, 3, "1\n2\n3"),
            (4, 2, "4\n5"),
            (6, 1, "6"),
            (7, 4, "7\n8\n9\n10"),
        ]
        .into_iter()
        .map(|(first, count, lines)| {
            let batch = Batch {
                first: Offset(first),
                count,
                time: Timestamp(first),
                bytes_before,
                json: lines.into(),
                keys: Vec::new(),
            };
            bytes_before = batch.bytes_after();
            batch
        })
        .collect()
    }

    /// Reads a page as the Worker's storage does.
    fn read(from: PageStart, limit: u32, bytes_max: usize, floor: Floor) -> (String, bool) {
        let request = PageRequest {
            from,
            limit,
            bytes_max,
        };
        let mut page = Page::new(request, floor);
        let rows = rows();
        match page.start() {
            PageStart::After(offset) => {
                let mut rows = rows.iter().filter(|row| row.last() >= offset);
                while rows.next().is_some_and(|row| page.take(row)) {}
            }
            PageStart::Before(offset) => {
                let mut rows = rows.iter().rev().filter(|row| row.first < offset);
                while rows.next().is_some_and(|row| page.take(row)) {}
            }
        }
        let (messages, more) = page.finish();
        let texts: Vec<&str> = messages.iter().map(|message| &**message.push()).collect();
        (texts.join(" "), more)
    }

    fn after(offset: u64, limit: u32) -> (String, bool) {
        read(PageStart::After(Offset(offset)), limit, 1000, ALL)
    }

    fn before(offset: u64, limit: u32) -> (String, bool) {
        read(PageStart::Before(Offset(offset)), limit, 1000, ALL)
    }

    fn page(messages: &str, more: bool) -> (String, bool) {
        (messages.into(), more)
    }

    #[test]
    fn pages_can_start_and_end_within_a_row() {
        assert_eq!(after(0, 2), page("1 2", true));
        assert_eq!(after(1, 3), page("2 3 4", true));
        assert_eq!(after(4, 6), page("5 6 7 8 9 10", false));
        assert_eq!(after(9, 1), page("10", false));
        assert_eq!(after(10, 1), page("", false));
        assert_eq!(before(11, 2), page("9 10", true));
        assert_eq!(before(9, 4), page("5 6 7 8", true));
        assert_eq!(before(3, 2), page("1 2", false));
        assert_eq!(before(1, 2), page("", false));
        let newest = read(PageStart::Before(Offset::END), 3, 1000, ALL);
        assert_eq!(newest, page("8 9 10", true));
    }

    #[test]
    fn a_page_ends_at_its_byte_limit_but_has_at_least_one_message() {
        let bytes = |most| read(PageStart::After(Offset(0)), 100, most, ALL);
        assert_eq!(bytes(3), page("1 2 3", true));
        assert_eq!(bytes(0), page("1", true));
        let backwards = read(PageStart::Before(Offset(11)), 100, 3, ALL);
        assert_eq!(backwards, page("9 10", true));
    }

    #[test]
    fn pages_contain_no_messages_below_the_floor() {
        let by_offset = Floor {
            offset: Offset(5),
            ..ALL
        };
        let by_time = Floor {
            time: Timestamp(4),
            ..ALL
        };
        // Before "8" are rows of 5, 3 and 1 bytes, and "7\n".
        let by_bytes = Floor {
            bytes_before: 11,
            ..ALL
        };
        let all = |floor| {
            let forward = read(PageStart::After(Offset(0)), 100, 1000, floor);
            let backward = read(PageStart::Before(Offset::END), 100, 1000, floor);
            assert_eq!(forward, backward);
            forward.0
        };
        assert_eq!(all(by_offset), "5 6 7 8 9 10");
        assert_eq!(all(by_time), "4 5 6 7 8 9 10");
        assert_eq!(all(by_bytes), "8 9 10");
    }

    #[test]
    fn a_row_without_text_has_no_messages() {
        let row = Batch {
            json: "".into(),
            ..rows().remove(0)
        };
        assert_eq!(row.last(), Offset(3));
        assert!(row.retained(ALL).is_empty());
    }
}
