//! The state of the room's webhook events: recorded, stored, in flight, settled.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::{replace, take},
    rc::Rc,
};

use super::shares::Shares;

use crate::{
    backend::webhook::{
        Delivery, Event, EventKind, EventKinds, EventRow, EventState, Lines, OldestRow,
        OutgoingEvent, StoredEvents,
    },
    ids::{Epoch, TaskId, Timestamp, UserId},
    limits::{
        DELIVERY_EVENTS_MAX, DELIVERY_WINDOW_MS, EVENTS_BYTES_MAX, EVENTS_BYTES_UNCOUNTED,
        EVENTS_ROW_BYTES_MAX,
    },
    storage::store::EventWrite,
};

/// The room's webhook events, and the progress of their delivery.
#[derive(Debug)]
pub(in crate::room) struct WebhookQueue {
    pub(super) kinds: EventKinds,
    pub(super) source: Rc<str>,
    pub(super) state: EventState,
    /// The sequence number of the newest event, stored or lost.
    pub(super) newest: u64,
    /// Bytes of all rows so far.
    pub(super) bytes: u64,
    /// The oldest stored row.
    pub(super) oldest: Option<OldestRow>,
    /// Events that are not stored yet.
    pub(super) unwritten: Unwritten,
    /// The delivery whose result is outstanding.
    pub(super) in_flight: Option<InFlight>,
    /// True if the next delivery is due.
    pub(super) is_due: bool,
    /// Set if settled rows can be deleted.
    pub(super) settled: Option<Settled>,
    /// The shares of users in a long queue.
    pub(super) shares: Shares,
}

/// The changes to store when settled rows are deleted.
#[derive(Clone, Debug, Default)]
pub(in crate::room) struct Settled {
    /// The events that were given up.
    pub(super) dead: Vec<OutgoingEvent>,
    /// The users whose shares have changed.
    pub(super) users: BTreeSet<UserId>,
}

/// Events and changes of an input that are not stored yet.
#[derive(Debug, Default)]
pub(in crate::room) struct Unwritten {
    pub(super) lines: Vec<String>,
    pub(super) is_state_changed: bool,
    pub(super) forgets_dead: bool,
    pub(super) notified: Vec<UserId>,
    pub(super) departed: Vec<UserId>,
}

impl Unwritten {
    /// Takes the events that fit one row. The last row takes the other changes with it.
    pub(super) fn take_row(&mut self) -> Self {
        let mut bytes = 0_usize;
        let fits = |line: &&String| {
            bytes = bytes.saturating_add(line.len()).saturating_add(1);
            bytes <= EVENTS_ROW_BYTES_MAX
        };
        let fitting = self.lines.iter().take_while(fits).count().max(1);
        if fitting >= self.lines.len() {
            return take(self);
        }
        let rest = self.lines.split_off(fitting);
        Self {
            lines: replace(&mut self.lines, rest),
            ..Self::default()
        }
    }

    /// Puts back events that could not be stored.
    pub(super) fn put_back(&mut self, first: Self) {
        self.lines.splice(..0, first.lines);
        self.is_state_changed |= first.is_state_changed;
        self.forgets_dead |= first.forgets_dead;
        self.notified.splice(..0, first.notified);
        self.departed.splice(..0, first.departed);
    }
}

/// A delivery that was sent and whose result is outstanding.
#[derive(Debug)]
pub(in crate::room) struct InFlight {
    pub(super) task: TaskId,
    pub(super) delivery: Delivery,
    /// The time at which the delivery counts as lost.
    pub(super) until: Timestamp,
}

impl WebhookQueue {
    /// Restores the state from storage.
    pub(in crate::room) fn restore(
        kinds: EventKinds,
        stored: StoredEvents,
        now: Timestamp,
    ) -> Self {
        let oldest = stored.oldest;
        let state = stored
            .state
            .unwrap_or_else(|| EventState::before(oldest.map(|row| row.first), now));
        let mut queue = Self {
            kinds,
            source: stored.source,
            newest: (stored.newest).max(state.settled).max(state.newest_lost),
            state,
            bytes: stored.bytes,
            oldest,
            unwritten: Unwritten::default(),
            in_flight: None,
            is_due: false,
            settled: None,
            shares: stored.shares.into_iter().collect(),
        };
        if queue.state.keep_dead_from(now) {
            queue.unwritten.is_state_changed = true;
        }
        queue
    }

    /// Returns the number of events that wait for delivery.
    pub(in crate::room) fn pending(&self) -> u64 {
        let unsettled = self.newest.saturating_sub(self.state.settled);
        unsettled.saturating_sub(self.state.lost)
    }

    /// Returns the number of dead events.
    pub(in crate::room) fn dead(&self) -> u64 {
        self.state.dead
    }

    /// Returns the time until which dead events are kept; `None` if there are none.
    pub(in crate::room) fn dead_until(&self) -> Option<Timestamp> {
        (self.state.dead > 0).then_some(self.state.dead_until)
    }

    /// Deletes the dead events.
    pub(in crate::room) fn forget_dead(&mut self) {
        self.state.dead = 0;
        self.unwritten.is_state_changed = true;
        self.unwritten.forgets_dead = true;
    }

    /// Returns true if there are events, or will be.
    pub(in crate::room) fn holds_anything(&self) -> bool {
        let is_occupied = self.state.is_occupied && self.reports_occupancy();
        self.pending() > 0
            || self.dead() > 0
            || is_occupied
            || self.in_flight.is_some()
            || self.settled.is_some()
            || !self.unwritten.lines.is_empty()
    }

    /// Returns true if joins or leaves are sent.
    pub(super) fn reports_members(&self) -> bool {
        self.kinds.has(EventKind::MemberJoined) || self.kinds.has(EventKind::MemberLeft)
    }

    /// Returns true if `room.occupied` or `room.vacated` is sent.
    pub(super) fn reports_occupancy(&self) -> bool {
        self.kinds.has(EventKind::RoomOccupied) || self.kinds.has(EventKind::RoomVacated)
    }

    /// Records an event, if the back end subscribes to its kind.
    pub(super) fn record(&mut self, event: &Event<'_>) {
        if self.kinds.has(event.kind) {
            self.unwritten.lines.push(event.to_line());
        }
    }

    /// Records an event about the room itself.
    pub(super) fn record_room_event(&mut self, kind: EventKind, time: Timestamp) {
        self.record(&Event {
            kind,
            time,
            user: None,
            info: None,
        });
    }

    /// Returns the time at which `room.vacated` is due.
    pub(in crate::room) fn vacates_at(&self) -> Option<Timestamp> {
        self.state.vacates_at.filter(|_| self.reports_occupancy())
    }

    /// Returns the time of the next delivery, or the time at which the pending one counts as lost.
    pub(in crate::room) fn sends_at(&self, now: Timestamp) -> Option<Timestamp> {
        if let Some(in_flight) = &self.in_flight {
            return Some(in_flight.until);
        }
        let has_events = self.pending() > 0 && self.kinds != EventKinds::default();
        let oldest = self.oldest.filter(|_| has_events)?;
        let is_full = self.pending() >= u64::try_from(DELIVERY_EVENTS_MAX).unwrap_or_default();
        let due = if is_full {
            now
        } else {
            oldest.time.plus_ms(DELIVERY_WINDOW_MS)
        };
        Some(due.max(self.state.next_at))
    }

    /// Returns what to store for new events. Those that find no place in the queue get a `seq`, too, and
    /// are dead.
    pub(super) fn enqueue(&self, lines: Lines, count: usize, time: Timestamp) -> EventWrite {
        let row = EventRow {
            first: self.newest.saturating_add(1),
            count: u64::try_from(count).unwrap_or_default(),
            time,
            bytes_before: self.bytes,
            lines,
        };
        let waiting = self.waiting_bytes();
        let counts = self.state.shares_from > 0
            || waiting.saturating_add(row.bytes()) > EVENTS_BYTES_UNCOUNTED;
        if counts {
            self.enqueue_counted(row, EVENTS_BYTES_MAX.saturating_sub(waiting))
        } else {
            EventWrite {
                row: Some(row),
                ..EventWrite::default()
            }
        }
    }

    /// Adds events to a long queue, which has `free` bytes left: each if its user's share stays
    /// smaller than what is free.
    fn enqueue_counted(&self, row: EventRow, mut free: u64) -> EventWrite {
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
        let mut state = self.state.clone();
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

    /// Returns the bytes of all rows that wait.
    pub(super) fn waiting_bytes(&self) -> u64 {
        let before = self.oldest.map_or(self.bytes, |oldest| oldest.bytes_before);
        self.bytes.saturating_sub(before)
    }

    /// Records that events are stored.
    pub(in crate::room) fn written(&mut self, write: EventWrite) {
        if let Some(state) = write.state {
            self.newest = self.newest.max(state.newest_lost);
            self.state = state;
        }
        for (user, share) in write.shares {
            self.shares.set(user, share);
        }
        if let Some(row) = write.row {
            self.newest = self.newest.max(row.last());
            self.bytes = row.bytes_after();
            self.oldest.get_or_insert(OldestRow {
                first: row.first,
                time: row.time,
                bytes_before: row.bytes_before,
            });
        }
    }

    /// Marks the events up to `last` as settled: those of a delivery that were accepted or given up.
    pub(super) fn settle(&mut self, last: u64, events: &[OutgoingEvent]) {
        let count = u64::try_from(events.len()).unwrap_or_default();
        self.state.settle(last, count);
        let settled = self.settled.get_or_insert_default();
        let is_counted = |event: &&OutgoingEvent| {
            self.state.shares_from > 0 && event.seq >= self.state.shares_from
        };
        for event in events.iter().filter(is_counted) {
            if let Some(user) = &event.user {
                self.shares.subtract(user, event.bytes);
                settled.users.insert(user.clone());
            }
        }
    }

    /// Records which rows are left in storage. If the queue is short again, shares no longer count.
    pub(super) fn removed(&mut self, oldest: Option<OldestRow>) {
        self.oldest = oldest;
        if oldest.is_none() {
            // A restored room starts at 0 as well.
            self.bytes = 0;
        }
        if self.state.shares_from > 0 && self.waiting_bytes() <= EVENTS_BYTES_UNCOUNTED {
            self.state.shares_from = 0;
            self.unwritten.is_state_changed = true;
            self.shares = Shares::default();
        }
    }

    /// Returns what to store about messages that are about to be stored.
    pub(in crate::room) fn enqueue_messages(
        &self,
        epoch: &Epoch,
        body: &Rc<str>,
        count: u64,
        time: Timestamp,
    ) -> Option<EventWrite> {
        if !self.kinds.has(EventKind::MessagePublished) {
            return None;
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let lines = Lines::Messages {
            epoch: epoch.clone(),
            pushes: body.clone(),
        };
        Some(self.enqueue(lines, count, time))
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
