//! The room's webhook events, from the record of each until the back end has accepted it.

use std::rc::Rc;

use serde_json::value::RawValue;

use super::{
    places::Places,
    sending::{InFlight, Sending, Settled},
    unwritten::Unwritten,
};
use crate::{
    backend::webhook::{
        Delivery, Event, EventKind, EventKinds, EventState, Lines, OutgoingEvent, StoredEvents,
    },
    ids::{Epoch, TaskId, Timestamp, UserId},
    limits::{DELIVERY_EVENTS_MAX, DELIVERY_LOST_MS, DELIVERY_WINDOW_MS, EVENT_MS_MAX, VACATED_MS},
    room::{io::DeliveryOutcome, outbox::Texts},
    storage::{
        batch::Batch,
        changed::{ChangeWrite, deleted_messages},
        entry::is_change,
        store::{EventWrite, StorageFault, Store},
    },
};

/// The room's webhook events, and the progress of their delivery.
///
/// An event is recorded while the room handles an input, stored at the end of the turn, read when the
/// alarm rings, sent, and deleted once the back end has accepted it.
#[derive(Debug)]
pub(in crate::room) struct WebhookQueue {
    kinds: EventKinds,
    state: EventState,
    /// Events that are not stored yet.
    unwritten: Unwritten,
    /// Events that are stored.
    places: Places,
    sending: Sending,
    /// True if the storage has failed during this input. The next one tries again.
    has_failed: bool,
}

/// A step that the queue has taken.
#[derive(Debug)]
pub(in crate::room) enum Progress {
    /// There was nothing to do.
    None,
    /// The storage has changed, or was asked in vain.
    Stored,
    /// A delivery is to be sent.
    Send { task: TaskId, delivery: Delivery },
}

impl WebhookQueue {
    /// Restores the state from storage.
    pub(in crate::room) fn restore(
        kinds: EventKinds,
        mut stored: StoredEvents,
        now: Timestamp,
    ) -> Self {
        let first = stored.oldest.map(|row| row.first);
        let state = stored.state.take();
        let mut state = state.unwrap_or_else(|| EventState::before(first, now));
        let unwritten = Unwritten {
            is_state_changed: state.keep_dead_from(now),
            ..Unwritten::default()
        };
        Self {
            kinds,
            places: Places::restore(stored, &state),
            state,
            unwritten,
            sending: Sending::default(),
            has_failed: false,
        }
    }

    // What the room asks.

    /// Returns the number of events that wait for delivery.
    pub(in crate::room) fn pending(&self) -> u64 {
        self.places.pending(&self.state)
    }

    /// Returns the number of dead events.
    pub(in crate::room) fn dead(&self) -> u64 {
        self.state.dead
    }

    /// Returns the time until which dead events are kept; `None` if there are none.
    pub(in crate::room) fn dead_until(&self) -> Option<Timestamp> {
        (self.state.dead > 0).then_some(self.state.dead_until)
    }

    /// Returns true if there are events, or will be.
    pub(in crate::room) fn holds_anything(&self) -> bool {
        let is_occupied = self.state.is_occupied && self.reports_occupancy();
        self.pending() > 0
            || self.dead() > 0
            || is_occupied
            || matches!(self.sending, Sending::InFlight(_) | Sending::Settling(_))
            || !self.unwritten.lines.is_empty()
    }

    /// Returns true if joins or leaves are sent.
    pub(in crate::room) fn reports_members(&self) -> bool {
        self.kinds.has(EventKind::MemberJoined) || self.kinds.has(EventKind::MemberLeft)
    }

    /// Returns true if `room.occupied` or `room.vacated` is sent.
    pub(in crate::room) fn reports_occupancy(&self) -> bool {
        self.kinds.has(EventKind::RoomOccupied) || self.kinds.has(EventKind::RoomVacated)
    }

    /// Returns true if mentions are sent.
    pub(in crate::room) fn reports_mentions(&self) -> bool {
        self.kinds.has(EventKind::MemberMentioned)
    }

    fn reports_messages(&self) -> bool {
        let kinds = [
            EventKind::MessagePublished,
            EventKind::MessageChanged,
            EventKind::MemberMentioned,
        ];
        kinds.into_iter().any(|kind| self.kinds.has(kind))
    }

    /// Returns true if messages have to be stored first, because events are delivered in order.
    pub(in crate::room) fn follows_messages(&self) -> bool {
        let has_events = !self.unwritten.lines.is_empty();
        self.reports_messages() && has_events && !self.has_failed
    }

    /// Returns the time at which `room.vacated` is due.
    pub(in crate::room) fn vacates_at(&self) -> Option<Timestamp> {
        self.state.vacates_at.filter(|_| self.reports_occupancy())
    }

    /// Returns the time of the next delivery, or the time at which the pending one counts as lost.
    pub(in crate::room) fn sends_at(&self, now: Timestamp) -> Option<Timestamp> {
        if let Sending::InFlight(in_flight) = &self.sending {
            return Some(in_flight.until);
        }
        let has_events = self.pending() > 0 && !self.kinds.is_empty();
        let oldest = self.places.oldest_time().filter(|_| has_events)?;
        let is_full = self.pending() >= u64::try_from(DELIVERY_EVENTS_MAX).unwrap_or_default();
        let due = if is_full {
            now
        } else {
            oldest.plus_ms(DELIVERY_WINDOW_MS)
        };
        Some(due.max(self.state.next_at))
    }

    // What is recorded.

    /// Records that a user has become a member.
    pub(in crate::room) fn record_join(
        &mut self,
        user: &UserId,
        info: Option<&RawValue>,
        time: Timestamp,
    ) {
        self.record_occupied(time);
        if self.reports_members() {
            self.unwritten.notify(user);
            self.record(&Event {
                kind: EventKind::MemberJoined,
                time,
                user: Some(user),
                info,
            });
        }
    }

    /// Records that a member has left.
    pub(in crate::room) fn record_leave(&mut self, user: &UserId, is_empty: bool, time: Timestamp) {
        if self.reports_members() {
            self.unwritten.depart(user);
            self.record(&Event {
                kind: EventKind::MemberLeft,
                time,
                user: Some(user),
                info: None,
            });
        }
        if is_empty {
            self.schedule_vacated(time);
        }
    }

    /// Records that the room has members.
    pub(in crate::room) fn record_occupied(&mut self, time: Timestamp) {
        if !self.reports_occupancy() {
            return;
        }
        if self.state.vacates_at.take().is_some() {
            self.unwritten.is_state_changed = true;
        }
        if !self.state.is_occupied {
            self.state.is_occupied = true;
            self.unwritten.is_state_changed = true;
            self.record_room_event(EventKind::RoomOccupied, time);
        }
    }

    /// Schedules `room.vacated`. It is delayed because reloading a page leaves the room empty for a
    /// moment.
    pub(in crate::room) fn schedule_vacated(&mut self, now: Timestamp) {
        let is_scheduled = self.state.vacates_at.is_some();
        if self.reports_occupancy() && self.state.is_occupied && !is_scheduled {
            self.state.vacates_at = Some(now.plus_ms(VACATED_MS));
            self.unwritten.is_state_changed = true;
        }
    }

    /// Deletes the dead events.
    pub(in crate::room) fn forget_dead(&mut self) {
        self.state.dead = 0;
        self.unwritten.is_state_changed = true;
        self.unwritten.forgets_dead = true;
    }

    /// Records an event, if the back end subscribes to its kind.
    fn record(&mut self, event: &Event<'_>) {
        if self.kinds.has(event.kind) {
            self.unwritten.lines.push(event.to_line());
        }
    }

    /// Records an event about the room itself.
    fn record_room_event(&mut self, kind: EventKind, time: Timestamp) {
        self.record(&Event {
            kind,
            time,
            user: None,
            info: None,
        });
    }

    /// Records `room.vacated`, forgets dead events, and makes the next delivery due, if it is time.
    pub(in crate::room) fn on_timeout(&mut self, now: Timestamp) {
        if self.vacates_at().is_some_and(|at| at <= now) {
            self.state.vacates_at = None;
            self.state.is_occupied = false;
            self.unwritten.is_state_changed = true;
            self.record_room_event(EventKind::RoomVacated, now);
        }
        if self.dead_until().is_some_and(|at| at <= now) {
            self.forget_dead();
        }
        if self.sends_at(now).is_some_and(|at| at <= now) {
            if let Some(lost) = self.sending.take_lost() {
                self.fail(&lost, None, 0, now);
            } else if matches!(self.sending, Sending::Idle) {
                self.sending = Sending::Due;
            }
        }
    }

    // What is stored and sent.

    /// Returns what to store about messages and changes that are about to be stored.
    pub(in crate::room) fn enqueue_entries(
        &self,
        epoch: &Epoch,
        batch: &Batch,
        texts: &Texts,
        time: Timestamp,
    ) -> Option<EventWrite> {
        let only_messages = texts.changes.is_empty() && texts.mentions.is_empty();
        let (pushes, count) = match only_messages {
            true if !self.reports_published() => return None,
            true => (texts.body.clone(), batch.count),
            false => self.reported(batch, texts),
        };
        if count == 0 {
            return None;
        }
        let lines = Lines::Messages {
            epoch: epoch.clone(),
            pushes,
        };
        Some(self.places.enqueue(&self.state, lines, count, time))
    }

    fn reports_published(&self) -> bool {
        self.kinds.has(EventKind::MessagePublished)
    }

    /// Returns the entries that are reported, one per line, as they are sent; and their number.
    fn reported(&self, batch: &Batch, texts: &Texts) -> (Rc<str>, u64) {
        let mut changes = texts.changes.iter();
        let entries = batch
            .json
            .split('\n')
            .filter_map(|line| match is_change(line) {
                true => {
                    let change = changes.next().filter(|change| change.is_of_content)?;
                    (self.kinds.has(EventKind::MessageChanged)).then_some(&*change.line)
                }
                false => self.reports_published().then_some(line),
            });
        let lines: Vec<&str> = entries
            .chain(texts.mentions.iter().map(String::as_str))
            .collect();
        let count = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        (lines.join("\n").into(), count)
    }

    /// Takes the contents of deleted messages out of events that are being sent: those that are given up are
    /// stored as they were sent.
    pub(in crate::room) fn forget_contents_of(&mut self, writes: &[ChangeWrite], epoch: &Epoch) {
        let deleted = deleted_messages(writes);
        if !deleted.is_empty() {
            self.sending.forget_contents_of(&deleted, epoch);
        }
    }

    /// Records that events are stored.
    pub(in crate::room) fn written(&mut self, write: EventWrite) {
        if let Some(state) = write.state {
            self.state = state;
        }
        self.places.written(&self.state, write.row, write.shares);
    }

    /// Takes the next step in storing or sending events.
    pub(in crate::room) fn advance(
        &mut self,
        store: &mut impl Store,
        next_task: &mut TaskId,
        now: Timestamp,
    ) -> Progress {
        if self.has_failed {
            return Progress::None;
        }
        if self.write(store, now) || self.delete_settled(store) {
            return Progress::Stored;
        }
        self.send(store, next_task, now)
    }

    /// Ends the turn: what has failed is tried again with the next input.
    pub(in crate::room) fn end_turn(&mut self) {
        self.has_failed = false;
    }

    /// Stores recorded events, as many as fit one row; returns false if there are none.
    fn write(&mut self, store: &mut impl Store, now: Timestamp) -> bool {
        let unwritten = self.unwritten.take_row();
        let mut write = if unwritten.lines.is_empty() {
            EventWrite::default()
        } else {
            let count = u64::try_from(unwritten.lines.len()).unwrap_or(u64::MAX);
            let lines = Lines::Events(unwritten.lines.join("\n").into());
            self.places.enqueue(&self.state, lines, count, now)
        };
        if write.state.is_none() && unwritten.is_state_changed {
            write.state = Some(self.state.clone());
        }
        write.notified.clone_from(&unwritten.notified);
        write.departed.clone_from(&unwritten.departed);
        write.forgets_dead = unwritten.forgets_dead;
        if write.is_empty() {
            return false;
        }
        match store.store_events(&write) {
            Ok(()) => self.written(write),
            Err(StorageFault) => {
                self.has_failed = true;
                self.unwritten.put_back(unwritten);
            }
        }
        true
    }

    /// Deletes settled events from storage; returns false if there are none.
    fn delete_settled(&mut self, store: &mut impl Store) -> bool {
        let Sending::Settling(settled) = &self.sending else {
            return false;
        };
        let shares = self.places.shares_of(&settled.users);
        match store.settle_events(&self.state, &settled.dead, &shares) {
            Ok(oldest) => {
                self.sending = Sending::Idle;
                if self.places.removed(&self.state, oldest) {
                    self.state.shares_from = 0;
                    self.unwritten.is_state_changed = true;
                }
            }
            // If the room is restored before the next attempt, the events are sent again with the same
            // id, so that the back end can recognize them.
            Err(StorageFault) => self.has_failed = true,
        }
        true
    }

    /// Reads and sends the events of the next delivery, if it is due.
    fn send(&mut self, store: &mut impl Store, next_task: &mut TaskId, now: Timestamp) -> Progress {
        if !matches!(self.sending, Sending::Due) {
            return Progress::None;
        }
        self.sending = Sending::Idle;
        let mut delivery = Delivery::new(self.places.source().clone(), self.state.settled);
        if self.state.tried > self.state.settled {
            // A retry must hold the same events, because receivers recognize it by its id.
            delivery = delivery.up_to(self.state.tried);
        }
        match store.fill_delivery(&mut delivery) {
            Ok(()) if delivery.range().is_some() => {
                let task = next_task.take();
                self.sending = Sending::InFlight(InFlight {
                    task,
                    delivery: delivery.clone(),
                    until: now.plus_ms(DELIVERY_LOST_MS),
                });
                Progress::Send { task, delivery }
            }
            // All that waited were lost.
            Ok(()) => {
                let settled = self.settle(delivery.last(), &[]);
                self.sending = Sending::Settling(settled);
                Progress::Stored
            }
            Err(StorageFault) => {
                self.state.put_off(None, 0, now);
                Progress::Stored
            }
        }
    }

    /// Handles the result of a delivery. Ignores that of any other than the latest.
    pub(in crate::room) fn delivered(
        &mut self,
        task: TaskId,
        outcome: DeliveryOutcome,
        chance: u64,
        now: Timestamp,
    ) {
        let Some(delivery) = self.sending.take_in_flight(task) else {
            return;
        };
        match outcome {
            DeliveryOutcome::Accepted => {
                let settled = self.settle(delivery.last(), delivery.events());
                self.sending = Sending::Settling(settled);
            }
            DeliveryOutcome::Failed { retry_after_ms } => {
                self.fail(&delivery, retry_after_ms, chance, now);
            }
        }
    }

    /// Schedules a retry, and gives up events that have been retried for a day.
    fn fail(
        &mut self,
        delivery: &Delivery,
        retry_after_ms: Option<u64>,
        chance: u64,
        now: Timestamp,
    ) {
        let is_old = |time: Timestamp| now.ms_since(time) >= EVENT_MS_MAX;
        let events = delivery.events().iter();
        let dead: Vec<_> = events.take_while(|one| is_old(one.time)).cloned().collect();
        if let Some(last) = dead.last().map(|event| event.seq) {
            let count = u64::try_from(dead.len()).unwrap_or_default();
            self.state.add_dead(count, now);
            // The events after them are sent with the next attempt.
            let settled = self.settle(last, &dead);
            self.sending = Sending::Settling(Settled { dead, ..settled });
        } else {
            self.state.tried = delivery.last();
            self.unwritten.is_state_changed = true;
        }
        self.state.put_off(retry_after_ms, chance, now);
    }

    /// Marks the events up to `last` as settled: those of a delivery that were accepted or given up.
    fn settle(&mut self, last: u64, events: &[OutgoingEvent]) -> Settled {
        let count = u64::try_from(events.len()).unwrap_or_default();
        self.state.settle(last, count);
        Settled {
            users: self.places.release(&self.state, events),
            ..Settled::default()
        }
    }
}
