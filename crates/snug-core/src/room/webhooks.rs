//! Webhook events: what the room reports to the back end, in the order in which it happened.
//!
//! The room stores each event with the change that it reports. The alarm sends the events in order, and
//! retries until the back end accepts them or a day has passed.

mod places;
mod queue;
mod sending;
mod shares;
mod unwritten;

use std::collections::BTreeSet;

use serde_json::value::RawValue;

pub(super) use self::queue::WebhookQueue;

use self::queue::Progress;
use super::Room;
use crate::{
    backend::api::ApiRequestId,
    ids::UserId,
    protocol::refusal::Refusal,
    reply::Reply,
    room::{io::Output, presence::Absence},
    storage::store::{StorageFault, Store},
};

impl<S: Store> Room<S> {
    /// Records that a user has become a member.
    pub(super) fn record_join(&mut self, user: &UserId, info: Option<&RawValue>) {
        self.events.record_join(user, info, self.now);
    }

    /// Records that a user is no longer a member.
    pub(super) fn record_leave(&mut self, user: &UserId) {
        self.reading.forget(user);
        let is_empty = self.roster.presence().count() == 0;
        self.events.record_leave(user, is_empty, self.now);
    }

    /// Takes the next step in storing or sending events; returns false if there is none now.
    pub(super) fn advance_webhooks(&mut self) -> bool {
        if self.events.follows_messages() && self.outbox.draft().is_some() {
            self.flush();
            return true;
        }
        let (store, next_task) = (&mut self.store, &mut self.next_task);
        match self.events.advance(store, next_task, self.now) {
            Progress::None => return false,
            Progress::Stored => {}
            Progress::Send { task, delivery } => {
                self.outputs.push_back(Output::Deliver { task, delivery });
            }
        }
        true
    }

    /// Compares the notified members with the current ones, and records what the back end missed.
    pub(super) fn reconcile_members(&mut self, notified: Vec<UserId>) {
        if self.events.reports_members() {
            let notified = notified.into_iter().collect();
            self.reconcile_missing(&notified);
            self.reconcile_unannounced(&notified);
        }
        if self.events.reports_occupancy() {
            if self.roster.presence().count() == 0 {
                self.events.schedule_vacated(self.now);
            } else {
                self.events.record_occupied(self.now);
            }
        }
    }

    /// Starts the grace period of notified members without connections: a crash loses all sockets
    /// without an event.
    fn reconcile_missing(&mut self, notified: &BTreeSet<UserId>) {
        for user in notified {
            if self.roster.presence().since(user).is_none() {
                let absence = Absence {
                    user: user.clone(),
                    since: self.now,
                    info: None,
                    until: self.now.plus_ms(self.rules.presence_grace_ms),
                };
                self.store.store_absence(&absence);
                self.roster.start_grace(absence);
            }
        }
    }

    /// Records the join of members that the back end was not notified of: they joined during a
    /// storage fault, or while the webhook for members was off.
    fn reconcile_unannounced(&mut self, notified: &BTreeSet<UserId>) {
        let unannounced = self
            .roster
            .presence()
            .users()
            .filter(|user| !notified.contains(*user));
        for user in unannounced.cloned().collect::<Vec<_>>() {
            let info = self.roster.info(&user);
            self.record_join(&user, info.as_deref());
        }
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
