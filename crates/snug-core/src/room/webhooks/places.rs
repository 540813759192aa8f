//! The rows of events in storage, and which new events find a place among them.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::shares::Shares;
use crate::{
    backend::webhook::{EventRow, EventState, Lines, OldestRow, OutgoingEvent, StoredEvents},
    ids::{Timestamp, UserId},
    limits::{EVENTS_BYTES_MAX, EVENTS_BYTES_UNCOUNTED},
    storage::store::EventWrite,
};

/// The rows that wait in storage.
///
/// A short queue accepts every event. A long one accepts an event only while its user's share is smaller
/// than the free space, so that no user can fill the queue alone.
#[derive(Debug)]
pub(super) struct Places {
    /// The prefix of event ids.
    source: Rc<str>,
    /// The sequence number of the newest event, stored or lost.
    newest: u64,
    /// Bytes of all rows so far.
    bytes: u64,
    /// The oldest stored row.
    oldest: Option<OldestRow>,
    /// The shares of users in a long queue.
    shares: Shares,
}

impl Places {
    /// Restores what is stored.
    pub(super) fn restore(stored: StoredEvents, state: &EventState) -> Self {
        Self {
            source: stored.source,
            newest: (stored.newest).max(state.settled).max(state.newest_lost),
            bytes: stored.bytes,
            oldest: stored.oldest,
            shares: stored.shares.into_iter().collect(),
        }
    }

    /// Returns the prefix of event ids.
    pub(super) fn source(&self) -> &Rc<str> {
        &self.source
    }

    /// Returns the number of events that wait for delivery.
    pub(super) fn pending(&self, state: &EventState) -> u64 {
        let unsettled = self.newest.saturating_sub(state.settled);
        unsettled.saturating_sub(state.lost)
    }

    /// Returns the time of the oldest row; `None` if there are no rows.
    pub(super) fn oldest_time(&self) -> Option<Timestamp> {
        self.oldest.map(|row| row.time)
    }

    /// Returns the bytes of all rows that wait.
    fn waiting_bytes(&self) -> u64 {
        let before = self.oldest.map_or(self.bytes, |oldest| oldest.bytes_before);
        self.bytes.saturating_sub(before)
    }

    /// Returns what to store for new events. Those that find no place in the queue get a `seq`, too, and
    /// are dead.
    pub(super) fn enqueue(
        &self,
        state: &EventState,
        lines: Lines,
        count: u64,
        time: Timestamp,
    ) -> EventWrite {
        let row = EventRow {
            first: self.newest.saturating_add(1),
            count,
            time,
            bytes_before: self.bytes,
            lines,
        };
        let waiting = self.waiting_bytes();
        let counts =
            state.shares_from > 0 || waiting.saturating_add(row.bytes()) > EVENTS_BYTES_UNCOUNTED;
        if counts {
            self.enqueue_counted(state.clone(), row, EVENTS_BYTES_MAX.saturating_sub(waiting))
        } else {
            EventWrite {
                row: Some(row),
                ..EventWrite::default()
            }
        }
    }

    /// Adds events to a long queue, which has `free` bytes left: each if its user's share stays
    /// smaller than what is free.
    fn enqueue_counted(&self, mut state: EventState, row: EventRow, mut free: u64) -> EventWrite {
        let (first, last) = (row.first, row.last());
        let mut shares = BTreeMap::new();
        let mut lost = Vec::new();
        for event in row.events(&self.source, first) {
            let share = event.user.as_ref().map_or(0, |user| {
                let known = shares.get(user).copied();
                known.unwrap_or_else(|| self.shares.of(user))
            });
            let share = share.saturating_add(event.bytes);
            if share > free {
                lost.push(event);
                continue;
            }
            free = free.saturating_sub(event.bytes);
            if let Some(user) = event.user {
                shares.insert(user, share);
            }
        }
        let lost_count = u64::try_from(lost.len()).unwrap_or_default();
        let starts_counting = state.shares_from == 0;
        if starts_counting {
            state.shares_from = first;
        }
        if lost_count > 0 {
            state.add_dead(lost_count, row.time);
            state.lost = state.lost.saturating_add(lost_count);
            state.newest_lost = last;
        }
        EventWrite {
            row: without(row, &lost),
            state: (starts_counting || lost_count > 0).then_some(state),
            lost,
            starts_counting,
            shares: shares.into_iter().collect(),
            ..EventWrite::default()
        }
    }

    /// Records that events are stored.
    pub(super) fn written(
        &mut self,
        state: &EventState,
        row: Option<EventRow>,
        shares: Vec<(UserId, u64)>,
    ) {
        self.newest = self.newest.max(state.newest_lost);
        for (user, share) in shares {
            self.shares.set(user, share);
        }
        if let Some(row) = row {
            self.newest = self.newest.max(row.last());
            self.bytes = row.bytes_after();
            self.oldest.get_or_insert(OldestRow {
                first: row.first,
                time: row.time,
                bytes_before: row.bytes_before,
            });
        }
    }

    /// Takes settled events from the shares of their users. Returns the users whose shares have changed.
    pub(super) fn release(
        &mut self,
        state: &EventState,
        events: &[OutgoingEvent],
    ) -> BTreeSet<UserId> {
        let mut users = BTreeSet::new();
        let counts =
            |event: &&OutgoingEvent| state.shares_from > 0 && event.seq >= state.shares_from;
        for event in events.iter().filter(counts) {
            if let Some(user) = &event.user {
                self.shares.subtract(user, event.bytes);
                users.insert(user.clone());
            }
        }
        users
    }

    /// Returns the shares of these users.
    pub(super) fn shares_of(&self, users: &BTreeSet<UserId>) -> Vec<(UserId, u64)> {
        let shares = users
            .iter()
            .map(|user| (user.clone(), self.shares.of(user)));
        shares.collect()
    }

    /// Records which rows are left in storage. Returns true if the queue is short again, so that shares
    /// no longer count.
    pub(super) fn removed(&mut self, state: &EventState, oldest: Option<OldestRow>) -> bool {
        self.oldest = oldest;
        if oldest.is_none() {
            // A restored room starts at 0 as well.
            self.bytes = 0;
        }
        let is_short = state.shares_from > 0 && self.waiting_bytes() <= EVENTS_BYTES_UNCOUNTED;
        if is_short {
            self.shares = Shares::default();
        }
        is_short
    }
}

/// Returns a row without its lost events; `None` if all are lost.
fn without(row: EventRow, lost: &[OutgoingEvent]) -> Option<EventRow> {
    let lost: BTreeSet<_> = lost.iter().map(|event| event.seq).collect();
    if lost.is_empty() {
        return Some(row);
    }
    let lines = (row.first..).zip(row.lines.text().split('\n'));
    let kept: Vec<_> = lines
        .map(|(seq, line)| if lost.contains(&seq) { "" } else { line })
        .collect();
    let is_empty = kept.iter().all(|line| line.is_empty());
    let text = kept.join("\n").into();
    let lines = row.lines.with_text(text);
    (!is_empty).then_some(EventRow { lines, ..row })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(5);

    fn places() -> Places {
        Places::restore(StoredEvents::default(), &EventState::default())
    }

    /// A line of an event of a user, padded to so many bytes.
    fn line(user: &str, bytes: u64) -> String {
        let start = format!(r#"{{"user":"{user}","x":""#);
        let padding = bytes.saturating_sub(start.len() as u64).saturating_sub(2);
        format!(r#"{start}{}"}}"#, "x".repeat(padding as usize))
    }

    fn store(places: &mut Places, state: &mut EventState, lines: &[String]) -> EventWrite {
        let text = Lines::Events(lines.join("\n").into());
        let write = places.enqueue(state, text, lines.len() as u64, NOW);
        if let Some(changed) = write.state.clone() {
            *state = changed;
        }
        places.written(state, write.row.clone(), write.shares.clone());
        write
    }

    #[test]
    fn rows_follow_each_other() {
        let (mut places, mut state) = (places(), EventState::default());
        let first = store(&mut places, &mut state, &[line("ann", 40), line("bob", 40)]);
        let second = store(&mut places, &mut state, &[line("ann", 50)]);
        let rows = [first, second].map(|write| write.row.unwrap());
        assert_eq!(rows.each_ref().map(|row| row.first), [1, 3]);
        assert_eq!(rows.each_ref().map(|row| row.bytes_before), [0, 81]);
        assert_eq!((places.pending(&state), places.waiting_bytes()), (3, 131));
        assert_eq!(places.oldest_time(), Some(NOW));
        assert!(!places.removed(&state, None));
        assert_eq!((places.waiting_bytes(), places.oldest_time()), (0, None));
    }

    #[test]
    fn a_user_who_fills_a_long_queue_loses_events_and_others_do_not() {
        let (mut places, mut state) = (places(), EventState::default());
        let long = line("ann", EVENTS_BYTES_UNCOUNTED);
        assert!(!store(&mut places, &mut state, &[long]).starts_counting);
        let half = EVENTS_BYTES_MAX.saturating_sub(EVENTS_BYTES_UNCOUNTED) / 2;
        let write = store(&mut places, &mut state, &[line("ann", half)]);
        assert!(write.starts_counting && write.lost.is_empty());
        let lines = [line("ann", 100), line("bob", 100)];
        let write = store(&mut places, &mut state, &lines);
        let lost: Vec<_> = write.lost.iter().map(|event| event.seq).collect();
        assert_eq!((lost, state.lost, state.newest_lost), (vec![3], 1, 4));
        let row = write.row.unwrap();
        assert_eq!((row.first, row.count), (3, 2));
        assert!(row.lines.text().starts_with('\n'), "its seq stays reserved");
        // Ann's events are delivered, so that she finds a place again.
        let delivered = row.events("room", 0).collect::<Vec<_>>();
        let released = places.release(&state, &delivered);
        let bob = released.iter().next().cloned().unwrap();
        assert_eq!((bob.as_str(), released.len()), ("bob", 1));
        assert_eq!(places.shares_of(&released), [(bob, 0)]);
        assert!(places.removed(&state, None), "the queue is short again");
        state.shares_from = 0;
        let write = store(&mut places, &mut state, &[line("ann", 100)]);
        assert!(write.lost.is_empty() && write.shares.is_empty());
    }
}
