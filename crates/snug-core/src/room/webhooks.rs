//! Webhook events. The room stores each event with the change that it reports. The alarm sends
//! the events in order, and retries until the back end accepts them or a day has passed.

mod queue;
mod shares;

use std::{collections::BTreeSet, mem::take};

use serde_json::value::RawValue;

pub(super) use self::queue::WebhookQueue;

use self::queue::InFlight;
use super::Room;
use crate::{
    backend::{
        api::ApiRequestId,
        webhook::{Delivery, Event, EventKind, Lines},
    },
    ids::{TaskId, Timestamp, UserId},
    limits::{DELIVERY_LOST_MS, EVENT_MS_MAX, VACATED_MS},
    protocol::refusal::Refusal,
    reply::Reply,
    room::{
        io::{DeliveryOutcome, Output},
        presence::Absence,
    },
    storage::store::{EventWrite, StorageFault, Store},
};

impl<S: Store> Room<S> {
    /// Records that a user has become a member.
    pub(super) fn record_join(&mut self, user: &UserId, info: Option<&RawValue>) {
        self.record_occupancy();
        let (now, events) = (self.now, &mut self.events);
        if events.reports_members() {
            events.unwritten.notified.push(user.clone());
            events.unwritten.departed.retain(|one| one != user);
            events.record(&Event {
                kind: EventKind::MemberJoined,
                time: now,
                user: Some(user),
                info,
            });
        }
    }

    /// Records that a member has left.
    pub(super) fn record_leave(&mut self, user: &UserId) {
        let (now, is_empty, events) = (self.now, self.presence.count() == 0, &mut self.events);
        if events.reports_members() {
            events.unwritten.departed.push(user.clone());
            events.unwritten.notified.retain(|one| one != user);
            events.record(&Event {
                kind: EventKind::MemberLeft,
                time: now,
                user: Some(user),
                info: None,
            });
        }
        if events.reports_occupancy() && is_empty {
            self.schedule_vacated();
        }
    }

    /// Records that the room has members.
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

    /// Schedules `room.vacated`. It is delayed because reloading a page leaves the room empty for a
    /// moment.
    fn schedule_vacated(&mut self) {
        let vacates_at = self.now.plus_ms(VACATED_MS);
        let events = &mut self.events;
        if events.state.is_occupied && events.state.vacates_at.is_none() {
            events.state.vacates_at = Some(vacates_at);
            events.unwritten.is_state_changed = true;
        }
    }

    /// Compares the notified members with the current ones, and records what the back end missed.
    pub(super) fn reconcile_members(&mut self, notified: Vec<UserId>) {
        if self.events.reports_members() {
            let notified = notified.into_iter().collect();
            self.reconcile_missing(&notified);
            self.reconcile_unannounced(&notified);
        }
        if self.events.reports_occupancy() {
            if self.presence.count() == 0 {
                self.schedule_vacated();
            } else {
                self.record_occupancy();
            }
        }
    }

    /// Starts the grace period of notified members without connections: a crash loses all sockets
    /// without an event.
    fn reconcile_missing(&mut self, notified: &BTreeSet<UserId>) {
        for user in notified {
            if self.presence.since(user).is_none() {
                let absence = Absence {
                    user: user.clone(),
                    since: self.now,
                    info: None,
                    until: self.now.plus_ms(self.rules.presence_grace_ms),
                };
                self.store.store_absence(&absence);
                self.presence.start_grace(absence);
            }
        }
    }

    /// Records the join of members that the back end was not notified of: they joined during a
    /// storage fault, or while the webhook for members was off.
    fn reconcile_unannounced(&mut self, notified: &BTreeSet<UserId>) {
        let unannounced = self
            .presence
            .users()
            .filter(|user| !notified.contains(*user));
        for user in unannounced.cloned().collect::<Vec<_>>() {
            let info = self.presence.info(&user, &self.connections);
            self.record_join(&user, info.as_deref());
        }
    }

    /// Records `room.vacated`, forgets dead events and starts the next delivery, if that is due.
    pub(super) fn on_webhook_timeout(&mut self) {
        let now = self.now;
        if self.events.vacates_at().is_some_and(|at| at <= now) {
            self.events.state.vacates_at = None;
            self.events.state.is_occupied = false;
            self.events.unwritten.is_state_changed = true;
            self.events.record_room_event(EventKind::RoomVacated, now);
        }
        if self.events.dead_until().is_some_and(|at| at <= now) {
            self.events.forget_dead();
        }
        if self.events.sends_at(now).is_some_and(|at| at <= now) {
            if let Some(in_flight) = self.events.in_flight.take() {
                self.failed(&in_flight.delivery, None, 0);
            } else {
                self.events.is_due = true;
            }
        }
    }

    /// Takes the next step in storing or sending events; returns false if there is none now.
    pub(super) fn advance_webhooks(&mut self) -> bool {
        self.flush_before_events()
            || self.write_events()
            || self.settle_events()
            || self.send_events()
    }

    /// Stores earlier messages before later events, because events are delivered in order.
    fn flush_before_events(&mut self) -> bool {
        let has_earlier_messages = self.events.kinds.has(EventKind::MessagePublished)
            && !self.events.unwritten.lines.is_empty()
            && self.outbox.draft().is_some();
        if has_earlier_messages {
            self.flush();
        }
        has_earlier_messages
    }

    /// Stores recorded events, as many as fit one row; returns false if there are none.
    fn write_events(&mut self) -> bool {
        let now = self.now;
        let events = &mut self.events;
        let unwritten = events.unwritten.take_row();
        let mut write = if unwritten.lines.is_empty() {
            EventWrite::default()
        } else {
            let (count, text) = (unwritten.lines.len(), unwritten.lines.join("\n"));
            events.enqueue(Lines::Events(text.into()), count, now)
        };
        if write.state.is_none() && unwritten.is_state_changed {
            write.state = Some(events.state.clone());
        }
        write.notified.clone_from(&unwritten.notified);
        write.departed.clone_from(&unwritten.departed);
        write.forgets_dead = unwritten.forgets_dead;
        if write.is_empty() {
            return false;
        }
        match self.store.store_events(&write) {
            Ok(()) => self.events.written(write),
            // They wait for the next input.
            Err(StorageFault) => {
                self.webhooks_failed = true;
                self.events.unwritten.put_back(unwritten);
            }
        }
        true
    }

    /// Reads and sends the events of the next delivery; returns false if none is due.
    fn send_events(&mut self) -> bool {
        if !take(&mut self.events.is_due) {
            return false;
        }
        let events = &self.events;
        let mut delivery = Delivery::new(events.source.clone(), events.state.settled);
        if events.state.tried > events.state.settled {
            // A retry must hold the same events, because receivers recognize it by its id.
            delivery = delivery.up_to(events.state.tried);
        }
        match self.store.fill_delivery(&mut delivery) {
            Ok(()) if delivery.range().is_some() => {
                let task = self.next_task.take();
                self.events.in_flight = Some(InFlight {
                    task,
                    delivery: delivery.clone(),
                    until: self.now.plus_ms(DELIVERY_LOST_MS),
                });
                self.outputs.push_back(Output::Deliver { task, delivery });
            }
            // All that waited were lost.
            Ok(()) => self.events.settle(delivery.last(), &[]),
            Err(StorageFault) => self.events.state.put_off(None, 0, self.now),
        }
        true
    }

    /// Handles the result of a delivery.
    pub(super) fn delivered(&mut self, task: TaskId, outcome: DeliveryOutcome, chance: u64) {
        let in_flight = self.events.in_flight.take_if(|latest| latest.task == task);
        let Some(InFlight { delivery, .. }) = in_flight else {
            return;
        };
        match outcome {
            DeliveryOutcome::Accepted => self.events.settle(delivery.last(), delivery.events()),
            DeliveryOutcome::Failed { retry_after_ms } => {
                self.failed(&delivery, retry_after_ms, chance);
            }
        }
    }

    /// Schedules a retry, and gives up events that have been retried for a day.
    fn failed(&mut self, delivery: &Delivery, retry_after_ms: Option<u64>, chance: u64) {
        let now = self.now;
        let is_old = |time: Timestamp| now.ms_since(time) >= EVENT_MS_MAX;
        let events = delivery.events().iter();
        let dead: Vec<_> = events.take_while(|one| is_old(one.time)).cloned().collect();
        let events = &mut self.events;
        if let Some(last) = dead.last() {
            let count = u64::try_from(dead.len()).unwrap_or_default();
            events.state.add_dead(count, now);
            // The events after them are sent with the next attempt.
            events.settle(last.seq, &dead);
            events.settled.get_or_insert_default().dead.extend(dead);
        } else {
            events.state.tried = delivery.last();
            events.unwritten.is_state_changed = true;
        }
        events.state.put_off(retry_after_ms, chance, now);
    }

    /// Deletes settled events from storage; returns false if there are none.
    fn settle_events(&mut self) -> bool {
        let events = &mut self.events;
        let Some(settled) = events.settled.take() else {
            return false;
        };
        let users = settled.users.iter();
        let shares: Vec<_> = users
            .map(|user| (user.clone(), events.shares.of(user)))
            .collect();
        match self
            .store
            .settle_events(&events.state, &settled.dead, &shares)
        {
            Ok(oldest) => events.removed(oldest),
            // The next input tries again. If the room is restored before, the events are sent again
            // with the same id, so that the back end can recognize them.
            Err(StorageFault) => {
                self.webhooks_failed = true;
                events.settled = Some(settled);
            }
        }
        true
    }

    /// Responds with dead events.
    pub(super) fn send_dead_events(&mut self, id: ApiRequestId, after: u64, limit: u32) {
        self.store_draft();
        match self.store.dead_events(after, limit) {
            Ok((events, more)) => self.respond(id, Ok(Reply::DeadEvents { events, more })),
            Err(StorageFault) => self.respond(id, Err(Refusal::Internal)),
        }
    }
}
