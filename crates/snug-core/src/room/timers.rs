//! What time brings: members who are not back, sockets that are silent, tokens and bans that end,
//! and messages that have aged. One alarm serves them all.

use std::collections::BTreeMap;

use super::Room;
use crate::{
    ids::{ConnectionId, Timestamp},
    protocol::error::CloseCode,
    room::io::Output,
};

/// Why time is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A member's grace passes.
    Grace,
    /// Sockets may have fallen silent.
    Sweep,
    /// A connection's token ends.
    Expiry,
    /// A ban ends.
    BanEnd,
    /// Stored messages have aged.
    Trim,
    /// The room has been empty for a while.
    Vacated,
    /// The back end is to be told something.
    Delivery,
}

/// Sweeps are asked for at most this many times in an idle timeout, however many sockets fall
/// silent one after another: each looks at every socket.
const SWEEPS_PER_IDLE_TIMEOUT: u64 = 10;

impl Room {
    /// When to come back with [`crate::Input::Timeout`], and why. `None` while nothing is due: an empty
    /// room needs no time.
    pub fn poll_timeout(&self) -> Option<(Timestamp, Wake)> {
        let grace = self.presence.next_due().map(|at| (at, Wake::Grace));
        let sweep = self.sweep_at.map(|at| (at, Wake::Sweep));
        let expiry = self.expiries.first().map(|(at, _)| (*at, Wake::Expiry));
        let ban = self.bans.next_due().map(|at| (at, Wake::BanEnd));
        let trim = self.trim_at.map(|at| (at, Wake::Trim));
        let vacated = self.events.vacates_at().map(|at| (at, Wake::Vacated));
        let delivery = self.events.sends_at(self.now);
        let delivery = delivery.map(|at| (at, Wake::Delivery));
        [grace, sweep, expiry, ban, trim, vacated, delivery]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    pub(super) fn on_timeout(&mut self, answered: &BTreeMap<ConnectionId, Timestamp>) {
        while let Some(user) = self.presence.pop_expired(self.now) {
            self.outputs.push_back(Output::DeleteAbsence(user.clone()));
            self.record_leave(&user);
            self.presence_diff.leave(user);
        }
        while let Some(user) = self.bans.pop_expired(self.clock) {
            self.outputs.push_back(Output::DeleteBan(user));
        }
        self.on_webhook_timeout();
        let mut next = None;
        let mut silent = Vec::new();
        for connection in self.connections.values() {
            let at = connection.idle_deadline(&self.rules, answered.get(&connection.id).copied());
            if at <= self.now {
                silent.push(connection.id);
            } else {
                next = Some(next.map_or(at, |next: Timestamp| next.min(at)));
            }
        }
        for id in silent {
            self.close(id, CloseCode::PingTimeout);
        }
        self.sweep_at = next.map(|at| self.sweep_for(at));
        if self.trim_at.is_some_and(|at| at <= self.now) {
            self.ask_trim();
        }
    }

    /// When to sweep for a socket that has been silent for too long at `idle_deadline`.
    ///
    /// The steps are the clock's own and not the last sweep's, so that a room that was restored
    /// meanwhile sweeps at the same moments.
    pub(super) fn sweep_for(&self, idle_deadline: Timestamp) -> Timestamp {
        let step_ms = self.rules.idle_timeout_ms / SWEEPS_PER_IDLE_TIMEOUT;
        let soonest = idle_deadline.max(self.now.plus_ms(1));
        let on_step = soonest.0.checked_next_multiple_of(step_ms);
        on_step.map_or(soonest, Timestamp)
    }

    /// Closes those whose token has ended. Before anything else that happens, so that nothing
    /// depends on how late the alarm for it is.
    pub(super) fn close_expired(&mut self) {
        let clock = self.clock;
        while self.expiries.first().is_some_and(|(at, _)| *at <= clock) {
            if let Some((_, id)) = self.expiries.pop_first() {
                self.close(id, CloseCode::TokenExpired);
            }
        }
    }
}
