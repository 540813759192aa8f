//! Timeouts: grace periods, idle sockets, tokens, bans, retention and webhooks. One alarm serves
//! all of them.

use std::collections::BTreeMap;

use super::Room;
use crate::{
    ids::{ConnectionId, Timestamp},
    protocol::error::CloseCode,
    storage::store::Store,
};

/// The reason for a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A member's grace period ends.
    Grace,
    /// Sockets may have exceeded the idle timeout.
    Sweep,
    /// A connection's token expires.
    Expiry,
    /// A ban ends.
    BanEnd,
    /// All of a user's ended tokens have expired.
    EndedTokensEnd,
    /// Stored messages exceed the retention time.
    Trim,
    /// `room.vacated` is due.
    Vacated,
    /// A webhook delivery is due, or counts as lost.
    Delivery,
    /// Dead events are no longer kept.
    DeadEventsEnd,
    /// A gateway has to learn that a link has ended.
    LinkEnd,
    /// A room that holds nothing is removed.
    Removal,
}

impl<S: Store> Room<S> {
    /// Returns the time of the next [`crate::Input::Timeout`], and its reason; `None` if nothing
    /// will become due.
    pub fn poll_timeout(&self) -> Option<(Timestamp, Wake)> {
        let grace = self
            .roster
            .presence()
            .next_due()
            .map(|at| (at, Wake::Grace));
        let sweep = self.next_sweep().map(|at| (at, Wake::Sweep));
        let expiry = self.roster.next_token_end().map(|at| (at, Wake::Expiry));
        let ban = self.bans.next_due().map(|at| (at, Wake::BanEnd));
        let ended_tokens = self.ended_tokens.next_due();
        let ended_tokens = ended_tokens.map(|at| (at, Wake::EndedTokensEnd));
        let trim = self.messages.trim_at().map(|at| (at, Wake::Trim));
        let vacated = self.events.vacates_at().map(|at| (at, Wake::Vacated));
        let delivery = self.events.sends_at(self.now);
        let delivery = delivery.map(|at| (at, Wake::Delivery));
        let dead_events = self.events.dead_until().map(|at| (at, Wake::DeadEventsEnd));
        let removal = self.removed_at().map(|at| (at, Wake::Removal));
        [
            grace,
            sweep,
            expiry,
            ban,
            ended_tokens,
            trim,
            vacated,
            delivery,
            dead_events,
            self.linked.next_due(),
            removal,
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    /// Handles everything that is due.
    pub(super) fn on_timeout(&mut self, answered: Option<&BTreeMap<ConnectionId, Timestamp>>) {
        while let Some(user) = self.roster.pop_absent(self.now) {
            self.store.delete_absence(&user);
            self.record_leave(&user);
            self.presence_diff.leave(user);
        }
        self.remove_ended_bans();
        self.remove_past_ended_tokens();
        self.events.on_timeout(self.now);
        if let Some(answered) = answered {
            self.close_idle(answered);
        }
        if self.messages.trim_at().is_some_and(|at| at <= self.now) {
            // A change that waits needs the row of its message.
            self.store_draft();
            self.messages.trim(&mut self.store, self.now);
        }
        self.remove_if_due();
    }

    /// Closes connections that have exceeded the idle timeout.
    fn close_idle(&mut self, answered: &BTreeMap<ConnectionId, Timestamp>) {
        for id in self.roster.sweep(answered, &self.rules, self.now) {
            self.close(id, CloseCode::PingTimeout);
        }
    }

    /// Closes the connections with an expired token. This runs before every input, so a late alarm does
    /// no harm.
    pub(super) fn close_expired(&mut self) {
        while let Some(id) = self.roster.pop_ended_token(self.clock) {
            self.close(id, CloseCode::TokenExpired);
        }
    }
}
