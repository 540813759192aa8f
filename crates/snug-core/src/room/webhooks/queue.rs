//! The state of the room's webhook events: recorded, stored, in flight, settled.

use std::{
    mem::{replace, take},
    rc::Rc,
};

use crate::{
    backend::webhook::{
        Delivery, Event, EventKind, EventKinds, EventRow, EventState, Lines, OldestRow,
        OutgoingEvent, StoredEvents,
    },
    ids::{Epoch, Timestamp, UserId},
    limits::{DELIVERY_EVENTS_MAX, DELIVERY_WINDOW_MS, EVENTS_BYTES_MAX, EVENTS_ROW_BYTES_MAX},
};

/// The room's webhook events, and the progress of their delivery.
#[derive(Debug)]
pub(in crate::room) struct WebhookQueue {
    pub(super) kinds: EventKinds,
    pub(super) source: Rc<str>,
    pub(super) state: EventState,
    /// The sequence number of the newest stored event.
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
    /// Set if settled rows can be deleted; holds those of their events that were given up.
    pub(super) settled: Option<Vec<OutgoingEvent>>,
}

/// Events and changes of an input that are not stored yet.
#[derive(Debug, Default)]
pub(in crate::room) struct Unwritten {
    pub(super) lines: Vec<String>,
    pub(super) is_state_changed: bool,
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
        self.notified.splice(..0, first.notified);
        self.departed.splice(..0, first.departed);
    }
}

/// A delivery that was sent and whose result is outstanding.
#[derive(Debug)]
pub(in crate::room) struct InFlight {
    pub(super) delivery: Delivery,
    /// The time at which the delivery counts as lost.
    pub(super) until: Timestamp,
}

impl WebhookQueue {
    /// Restores the state from storage.
    pub(in crate::room) fn restore(kinds: EventKinds, stored: StoredEvents) -> Self {
        Self {
            kinds,
            source: stored.source,
            newest: stored.newest.max(stored.state.settled),
            state: stored.state,
            bytes: stored.bytes,
            oldest: stored.oldest,
            unwritten: Unwritten::default(),
            in_flight: None,
            is_due: false,
            settled: None,
        }
    }

    /// Returns the number of events that wait for delivery.
    pub(in crate::room) fn pending(&self) -> u64 {
        self.newest.saturating_sub(self.state.settled)
    }

    /// Returns the number of dead events.
    pub(in crate::room) fn dead(&self) -> u64 {
        self.state.dead
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

    /// Builds a row of events. If the queue is full, counts them as dead and returns `None`.
    pub(super) fn row(&mut self, lines: Lines, count: usize, time: Timestamp) -> Option<EventRow> {
        let count = u64::try_from(count).unwrap_or_default();
        let row = EventRow {
            first: self.newest.saturating_add(1),
            count,
            time,
            bytes_before: self.bytes,
            lines,
        };
        let floor = self.oldest.map_or(self.bytes, |oldest| oldest.bytes_before);
        if row.bytes_after().saturating_sub(floor) > EVENTS_BYTES_MAX {
            self.state.dead = self.state.dead.saturating_add(count);
            self.unwritten.is_state_changed = true;
            return None;
        }
        Some(row)
    }

    /// Records that a row is stored.
    pub(in crate::room) fn written(&mut self, row: &EventRow) {
        self.newest = row.last();
        self.bytes = row.bytes_after();
        self.oldest.get_or_insert(OldestRow {
            time: row.time,
            bytes_before: row.bytes_before,
        });
    }

    /// Builds the row of events for messages that are about to be stored.
    pub(in crate::room) fn row_of_messages(
        &mut self,
        epoch: &Epoch,
        body: &Rc<str>,
        count: u64,
        time: Timestamp,
    ) -> Option<EventRow> {
        if !self.kinds.has(EventKind::MessagePublished) {
            return None;
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let lines = Lines::Messages {
            epoch: epoch.clone(),
            pushes: body.clone(),
        };
        self.row(lines, count, time)
    }
}
