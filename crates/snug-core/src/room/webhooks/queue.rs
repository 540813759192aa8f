//! The room's events, from what has happened to what was delivered.

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

/// What the back end is told, and how far it has been.
#[derive(Debug)]
pub(in crate::room) struct WebhookQueue {
    pub(super) kinds: EventKinds,
    pub(super) source: Rc<str>,
    pub(super) state: EventState,
    /// The newest event that is stored.
    pub(super) newest: u64,
    /// The bytes of all rows so far.
    pub(super) bytes: u64,
    /// The first row that is stored.
    pub(super) oldest: Option<OldestRow>,
    /// What is yet to be written.
    pub(super) unwritten: Unwritten,
    /// What is on its way.
    pub(super) in_flight: Option<InFlight>,
    /// Whether it is time to send.
    pub(super) is_due: bool,
    /// Set where rows may be removed: with the events of them that were given up.
    pub(super) settled: Option<Vec<OutgoingEvent>>,
}

/// What has happened during an input, until it is written.
#[derive(Debug, Default)]
pub(in crate::room) struct Unwritten {
    pub(super) lines: Vec<String>,
    pub(super) is_state_changed: bool,
    pub(super) notified: Vec<UserId>,
    pub(super) departed: Vec<UserId>,
}

impl Unwritten {
    /// Takes as much as one row holds. Who is known to be here is written with the last.
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

    /// Takes back what was taken and could not be written.
    pub(super) fn put_back(&mut self, first: Self) {
        self.lines.splice(..0, first.lines);
        self.is_state_changed |= first.is_state_changed;
        self.notified.splice(..0, first.notified);
        self.departed.splice(..0, first.departed);
    }
}

/// WebhookQueue that were sent and that the back end has not answered for.
#[derive(Debug)]
pub(in crate::room) struct InFlight {
    pub(super) delivery: Delivery,
    /// When it is taken for lost.
    pub(super) until: Timestamp,
}

impl WebhookQueue {
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

    /// How many wait to be delivered.
    pub(in crate::room) fn pending(&self) -> u64 {
        self.newest.saturating_sub(self.state.settled)
    }

    /// How many were given up.
    pub(in crate::room) fn dead(&self) -> u64 {
        self.state.dead
    }

    /// Whether it is told who is here.
    pub(super) fn reports_members(&self) -> bool {
        self.kinds.has(EventKind::MemberJoined) || self.kinds.has(EventKind::MemberLeft)
    }

    /// Whether it is told whether anybody is.
    pub(super) fn reports_occupancy(&self) -> bool {
        self.kinds.has(EventKind::RoomOccupied) || self.kinds.has(EventKind::RoomVacated)
    }

    pub(super) fn note(&mut self, event: &Event<'_>) {
        if self.kinds.has(event.kind) {
            self.unwritten.lines.push(event.to_line());
        }
    }

    pub(super) fn record_room_event(&mut self, kind: EventKind, time: Timestamp) {
        self.note(&Event {
            kind,
            time,
            user: None,
            info: None,
        });
    }

    /// When the room is told to be empty.
    pub(in crate::room) fn vacates_at(&self) -> Option<Timestamp> {
        self.state.vacates_at.filter(|_| self.reports_occupancy())
    }

    /// When to send, or to look after what was sent.
    pub(in crate::room) fn sends_at(&self, now: Timestamp) -> Option<Timestamp> {
        if let Some(in_flight) = &self.in_flight {
            return Some(in_flight.until);
        }
        let is_any = self.pending() > 0 && self.kinds != EventKinds::default();
        let oldest = self.oldest.filter(|_| is_any)?;
        let is_full = self.pending() >= u64::try_from(DELIVERY_EVENTS_MAX).unwrap_or_default();
        let wanted = if is_full {
            now
        } else {
            oldest.time.plus_ms(DELIVERY_WINDOW_MS)
        };
        Some(wanted.max(self.state.next_at))
    }

    /// Takes a row in, or counts its events as given up where too much waits already.
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

    /// Notes that a row is stored.
    pub(in crate::room) fn written(&mut self, row: &EventRow) {
        self.newest = row.last();
        self.bytes = row.bytes_after();
        self.oldest.get_or_insert(OldestRow {
            time: row.time,
            bytes_before: row.bytes_before,
        });
    }

    /// The row that tells of messages which are about to be stored.
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
