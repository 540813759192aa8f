//! What the back end is told of: written to storage with what it tells of, sent when the alarm
//! rings, in order, and sent again until it is taken or a day has passed.

mod queue;

use std::{collections::BTreeSet, mem::take};

use serde_json::value::RawValue;

pub(super) use self::queue::{Unwritten, WebhookQueue};

use self::queue::InFlight;
use super::{PendingQuery, Room};
use crate::{
    backend::{
        api::{ApiRequestId, ApiResponse},
        webhook::{Delivery, Event, EventKind, Lines, OldestRow},
    },
    ids::{Timestamp, UserId},
    limits::{DELIVERY_LOST_MS, EVENT_MS_MAX, VACATED_MS},
    protocol::refusal::Refusal,
    room::{
        io::{DeliveryOutcome, EventWrite, Output, StorageFault},
        presence::Absence,
    },
};

impl Room {
    /// Notes that a user has come who was not here.
    pub(super) fn record_join(&mut self, user: &UserId, info: Option<&RawValue>) {
        self.record_occupancy();
        let (now, events) = (self.now, &mut self.events);
        if events.reports_members() {
            events.unwritten.notified.push(user.clone());
            events.unwritten.departed.retain(|one| one != user);
            events.note(&Event {
                kind: EventKind::MemberJoined,
                time: now,
                user: Some(user),
                info,
            });
        }
    }

    /// Notes that a user has gone.
    pub(super) fn record_leave(&mut self, user: &UserId) {
        let (now, is_empty, events) = (self.now, self.presence.count() == 0, &mut self.events);
        if events.reports_members() {
            events.unwritten.departed.push(user.clone());
            events.unwritten.notified.retain(|one| one != user);
            events.note(&Event {
                kind: EventKind::MemberLeft,
                time: now,
                user: Some(user),
                info: None,
            });
        }
        if events.reports_occupancy() && is_empty {
            self.record_emptiness();
        }
    }

    /// Notes that somebody is here.
    fn record_occupancy(&mut self) {
        let (now, events) = (self.now, &mut self.events);
        if events.reports_occupancy() {
            if events.state.vacates_at.take().is_some() {
                events.unwritten.is_state_changed = true;
            }
            if !events.state.is_occupied {
                events.state.is_occupied = true;
                events.unwritten.is_state_changed = true;
                events.record_room_event(EventKind::RoomOccupied, now);
            }
        }
    }

    /// A page that is loaded again leaves the room empty for a moment.
    fn record_emptiness(&mut self) {
        let vacates_at = self.now.plus_ms(VACATED_MS);
        let events = &mut self.events;
        if events.state.is_occupied && events.state.vacates_at.is_none() {
            events.state.vacates_at = Some(vacates_at);
            events.unwritten.is_state_changed = true;
        }
    }

    /// Brings what the back end was told of who is here in line with who is.
    pub(super) fn reconcile_members(&mut self, notified: Vec<UserId>) {
        if self.events.reports_members() {
            let notified = notified.into_iter().collect();
            self.reconcile_missing(&notified);
            self.reconcile_unannounced(&notified);
        }
        if self.events.reports_occupancy() {
            if self.presence.count() == 0 {
                self.record_emptiness();
            } else {
                self.record_occupancy();
            }
        }
    }

    /// Looks for members that the back end knows to be here and that are not: all sockets are lost
    /// with a crash, and nobody tells of it. They may be back, as others that drop.
    fn reconcile_missing(&mut self, notified: &BTreeSet<UserId>) {
        for user in notified {
            if self.presence.since(user).is_none() {
                let absence = Absence {
                    user: user.clone(),
                    since: self.now,
                    info: None,
                    until: self.now.plus_ms(self.rules.presence_grace_ms),
                };
                self.presence.start_grace(absence.clone());
                self.outputs.push_back(Output::StoreAbsence(absence));
            }
        }
    }

    /// Looks for members that the back end knows nothing of: they came when storage failed, or when
    /// it was not told of members.
    fn reconcile_unannounced(&mut self, notified: &BTreeSet<UserId>) {
        let departed = self
            .presence
            .users()
            .filter(|user| !notified.contains(*user));
        for user in departed.cloned().collect::<Vec<_>>() {
            let info = self.presence.info(&user, &self.connections);
            self.record_join(&user, info.as_deref());
        }
    }

    /// What time brings: the room has been empty for a while, or something is to be sent.
    pub(super) fn on_webhook_timeout(&mut self) {
        let now = self.now;
        if self.events.vacates_at().is_some_and(|at| at <= now) {
            self.events.state.vacates_at = None;
            self.events.state.is_occupied = false;
            self.events.unwritten.is_state_changed = true;
            self.events.record_room_event(EventKind::RoomVacated, now);
        }
        if self.events.sends_at(now).is_some_and(|at| at <= now) {
            if let Some(in_flight) = self.events.in_flight.take() {
                self.failed(&in_flight.delivery, None, 0);
            } else {
                self.events.is_due = true;
            }
        }
    }

    /// Takes the next step towards what the back end knows; `false` where there is none to take now.
    pub(super) fn advance_webhooks(&mut self) -> bool {
        self.flush_before_events()
            || self.write_events()
            || self.settle_events()
            || self.read_events()
    }

    /// Stores what was said before what is to be written, as the back end is told of both in order.
    fn flush_before_events(&mut self) -> bool {
        let is_before = self.events.kinds.has(EventKind::MessagePublished)
            && !self.events.unwritten.lines.is_empty()
            && self.outbox.draft().is_some();
        if is_before {
            self.flush();
        }
        is_before
    }

    /// Writes down what has happened, as much as one row holds; `false` where nothing has.
    fn write_events(&mut self) -> bool {
        let now = self.now;
        let events = &mut self.events;
        let mut unwritten = events.unwritten.take_row();
        let row = if unwritten.lines.is_empty() {
            None
        } else {
            let (count, text) = (unwritten.lines.len(), unwritten.lines.join("\n"));
            events.row(Lines::Events(text.into()), count, now)
        };
        // The row may have been one too many.
        unwritten.is_state_changed |= take(&mut events.unwritten.is_state_changed);
        let write = EventWrite {
            row,
            state: unwritten.is_state_changed.then(|| events.state.clone()),
            notified: unwritten.notified.clone(),
            departed: unwritten.departed.clone(),
        };
        if write.is_empty() {
            return false;
        }
        self.pending_query = Some(PendingQuery::WriteEvents {
            row: write.row.clone(),
            unwritten,
        });
        self.outputs.push_back(Output::StoreEvents(write));
        true
    }

    /// They are written, or wait for the next input.
    pub(super) fn events_stored(&mut self, outcome: Result<(), StorageFault>) {
        match self.pending_query.take() {
            Some(PendingQuery::WriteEvents { row, unwritten }) => match outcome {
                Ok(()) => {
                    if let Some(row) = row {
                        self.events.written(&row);
                    }
                }
                Err(StorageFault) => {
                    self.storage_failed = true;
                    self.events.unwritten.put_back(unwritten);
                }
            },
            other => self.pending_query = other,
        }
    }

    /// Reads what is to be sent; `false` where it is not time to.
    fn read_events(&mut self) -> bool {
        if !take(&mut self.events.is_due) {
            return false;
        }
        let events = &self.events;
        let mut delivery = Delivery::new(events.source.clone(), events.state.settled);
        if events.state.tried > events.state.settled {
            // Receivers may know by its id that they have had it.
            delivery = delivery.up_to(events.state.tried);
        }
        self.pending_query = Some(PendingQuery::ReadEvents);
        self.outputs.push_back(Output::ReadEvents(delivery));
        true
    }

    /// Sends them.
    pub(super) fn events_read(&mut self, outcome: Result<Delivery, StorageFault>) {
        match self.pending_query.take() {
            Some(PendingQuery::ReadEvents) => match outcome {
                Ok(delivery) if delivery.range().is_some() => {
                    self.events.in_flight = Some(InFlight {
                        delivery: delivery.clone(),
                        until: self.now.plus_ms(DELIVERY_LOST_MS),
                    });
                    self.outputs.push_back(Output::Deliver(delivery));
                }
                // Storage holds less than was thought, which is nothing to come back for.
                Ok(_) => self.events.newest = self.events.state.settled,
                Err(StorageFault) => self.events.state.put_off(None, 0, self.now),
            },
            other => self.pending_query = other,
        }
    }

    /// The back end has taken them, or has not.
    pub(super) fn delivered(&mut self, last: u64, outcome: DeliveryOutcome, chance: u64) {
        let is_it =
            |in_flight: &mut InFlight| in_flight.delivery.range().is_some_and(|it| it.1 == last);
        let Some(InFlight { delivery, .. }) = self.events.in_flight.take_if(is_it) else {
            return;
        };
        match outcome {
            DeliveryOutcome::Taken => {
                self.events.state.settle(last);
                self.events.settled = Some(Vec::new());
            }
            DeliveryOutcome::Failed { retry_after_ms } => {
                self.failed(&delivery, retry_after_ms, chance);
            }
        }
    }

    /// Tries again later, and gives up what has been tried for long enough.
    fn failed(&mut self, delivery: &Delivery, retry_after_ms: Option<u64>, chance: u64) {
        let now = self.now;
        let is_old = |time: Timestamp| now.ms_since(time) >= EVENT_MS_MAX;
        let events = delivery.events().iter();
        let dead: Vec<_> = events.take_while(|one| is_old(one.time)).cloned().collect();
        let state = &mut self.events.state;
        if let Some(last) = dead.last() {
            let count = u64::try_from(dead.len()).unwrap_or_default();
            state.dead = state.dead.saturating_add(count);
            // What comes next has been waiting as well.
            state.settle(last.seq);
        } else if let Some((_, last)) = delivery.range() {
            state.tried = last;
        }
        state.put_off(retry_after_ms, chance, now);
        if dead.is_empty() {
            self.events.unwritten.is_state_changed = true;
        } else {
            self.events.settled = Some(dead);
        }
    }

    /// Removes from storage what is settled; `false` where nothing is.
    fn settle_events(&mut self) -> bool {
        let Some(dead) = self.events.settled.take() else {
            return false;
        };
        self.outputs.push_back(Output::SettleEvents {
            state: self.events.state.clone(),
            dead: dead.clone(),
        });
        self.pending_query = Some(PendingQuery::SettleEvents { dead });
        true
    }

    pub(super) fn events_settled(&mut self, outcome: Result<Option<OldestRow>, StorageFault>) {
        match self.pending_query.take() {
            Some(PendingQuery::SettleEvents { dead }) => match outcome {
                Ok(oldest) => {
                    self.events.oldest = oldest;
                    if oldest.is_none() {
                        // As a room that is restored counts.
                        self.events.bytes = 0;
                    }
                }
                // With the next input. After a start it would be sent once more, which the back end can tell.
                Err(StorageFault) => {
                    self.storage_failed = true;
                    self.events.settled = Some(dead);
                }
            },
            other => self.pending_query = other,
        }
    }

    /// Tells of events that were given up.
    pub(super) fn dead_read(&mut self, outcome: Result<(Vec<String>, bool), StorageFault>) {
        match self.pending_query.take() {
            Some(PendingQuery::ReadDead(id)) => self.send_dead_events(id, outcome),
            other => self.pending_query = other,
        }
    }

    fn send_dead_events(
        &mut self,
        id: ApiRequestId,
        outcome: Result<(Vec<String>, bool), StorageFault>,
    ) {
        match outcome {
            Ok((events, more)) => self.respond_with_charge(id, ApiResponse::dead(&events, more)),
            Err(StorageFault) => self.answer(id, Err(Refusal::Internal)),
        }
    }

    /// Forgets what was given up, with all else that is erased.
    pub(super) fn forget_dead(&mut self) {
        self.events.state.dead = 0;
        self.events.unwritten.is_state_changed = true;
    }
}
