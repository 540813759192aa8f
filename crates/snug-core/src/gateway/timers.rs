//! Timeouts of a gateway: tokens, idle sockets, news of ended links for rooms, and its own survival.

use std::collections::BTreeMap;

use super::{Gateway, store::Store};
use crate::{
    ids::{ConnectionId, Timestamp},
    limits::LINK_BEAT_MS,
    protocol::error::CloseCode,
};

impl<S: Store> Gateway<S> {
    /// Returns the time of the next [`super::io::Input::Timeout`]; `None` if nothing will become due.
    ///
    /// While it has links, a gateway wakes every [`LINK_BEAT_MS`]. If it has lost its sockets in the
    /// meantime, it notifies their rooms then.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let has_links = self.links.opened().next().is_some();
        let beat = has_links.then_some(self.beat_at);
        let token_end = self.token_ends.first().map(|(at, _)| *at);
        let times = [beat, token_end, self.sweep_at, self.links.next_due()];
        times.into_iter().flatten().min()
    }

    /// Returns true if a socket may be dead by now.
    pub fn is_sweep_due(&self, now: Timestamp) -> bool {
        self.sweep_at.is_some_and(|at| at <= now)
    }

    /// Handles everything that is due.
    pub(super) fn on_timeout(&mut self, answered: Option<&BTreeMap<ConnectionId, Timestamp>>) {
        if self.beat_at <= self.now {
            self.beat_at = self.now.plus_ms(LINK_BEAT_MS);
        }
        if let Some(answered) = answered {
            self.sweep(answered);
        }
    }

    /// Closes connections that have exceeded the idle timeout.
    fn sweep(&mut self, answered: &BTreeMap<ConnectionId, Timestamp>) {
        let (mut next, mut idle) = (None, Vec::new());
        for (id, session) in &self.sessions {
            let answered = answered.get(id).copied();
            let at = session.socket.idle_deadline(&self.rules.room, answered);
            if at <= self.now {
                idle.push(*id);
            } else {
                next = Some(next.map_or(at, |next: Timestamp| next.min(at)));
            }
        }
        // Sockets that become idle one after another share sweeps.
        let pause_ms = self.rules.room.idle_timeout_ms / SWEEPS_PER_IDLE_TIMEOUT;
        self.sweep_at = next.map(|at| at.max(self.now.plus_ms(pause_ms)));
        for id in idle {
            self.close(id, CloseCode::PingTimeout);
        }
    }

    /// Closes the connections with an expired token. This runs before every input, so a late alarm does
    /// no harm.
    pub(super) fn close_expired(&mut self) {
        while let Some((at, id)) = self.token_ends.first().copied()
            && at <= self.clock
        {
            self.token_ends.pop_first();
            self.close(id, CloseCode::TokenExpired);
        }
    }
}

/// Largest number of sweeps in an idle timeout.
const SWEEPS_PER_IDLE_TIMEOUT: u64 = 10;
