//! The times at which the room looks for dead sockets: those that have exceeded the idle timeout.
//!
//! The runtime answers pings without waking the room, so the room finds a dead socket only by
//! looking, and each look (a sweep) wakes it. While the room is in use, it sweeps as soon as a socket
//! may be dead. When it has been quiet for a while, sweeps become rarer.

use std::collections::BTreeSet;

use super::Room;
use crate::{
    ids::{ConnectionId, Timestamp},
    limits::{QUIET_MS, SWEEP_MS_MAX},
    room::connection::Connection,
    storage::store::Store,
};

/// Largest number of sweeps in an idle timeout while the room is in use. Each sweep checks every
/// socket, so sockets that become idle one after another share sweeps.
const SWEEPS_PER_IDLE_TIMEOUT: u64 = 10;

/// The state that determines the time of the next sweep.
///
/// All of it can be restored from attachments and storage, so that a restored room sweeps at the same
/// times as one that stayed awake.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    /// A time before which no socket exceeds the idle timeout; `None` if there are no sockets.
    due: Option<Timestamp>,
    /// The time at which each connection was last active, earliest first.
    activity: BTreeSet<(Timestamp, ConnectionId)>,
}

impl Sweeps {
    /// Adds a connection with this idle deadline.
    pub(super) fn add(&mut self, connection: &Connection, idle_deadline: Timestamp) {
        self.activity
            .insert((connection.subscription.active, connection.session.id));
        let due = self.due.unwrap_or(idle_deadline);
        self.due = Some(due.min(idle_deadline));
    }

    /// Replaces the time at which a connection was last active.
    pub(super) fn record_activity(&mut self, connection: &Connection, before: Timestamp) {
        self.activity.remove(&(before, connection.session.id));
        self.activity
            .insert((connection.subscription.active, connection.session.id));
    }

    /// Removes a connection.
    pub(super) fn remove(&mut self, connection: &Connection) {
        self.activity
            .remove(&(connection.subscription.active, connection.session.id));
        if self.activity.is_empty() {
            self.due = None;
        }
    }

    /// Records a sweep, which found `due` as the earliest idle deadline.
    pub(super) fn swept(&mut self, due: Option<Timestamp>) {
        self.due = due;
    }
}

impl<S: Store> Room<S> {
    /// Returns true if a socket may be dead by now.
    ///
    /// [`crate::Input::Timeout`] then finds it. The Worker asks before a join and before a request of
    /// the HTTP API, so that neither counts or lists a dead connection.
    pub fn is_sweep_due(&self, now: Timestamp) -> bool {
        self.roster.sweeps().due.is_some_and(|due| due <= now)
    }

    /// Returns the time of the next sweep.
    pub(super) fn next_sweep(&self) -> Option<Timestamp> {
        let last_active = self.roster.sweeps().activity.last().map(|(at, _)| *at);
        let due = self.roster.sweeps().due?.max(self.now.plus_ms(1));
        let step_ms = self.rules.idle_timeout_ms / SWEEPS_PER_IDLE_TIMEOUT;
        // Messages may also come over the HTTP API.
        let last_active = last_active
            .unwrap_or_default()
            .max(self.messages.newest_time());
        Some(sweep_for(due, last_active, step_ms))
    }
}

/// Returns the time of the first sweep at or after `due`, in a room that was last in use at
/// `last_active`.
///
/// Sweeps are at fixed times rather than a fixed time after the last one, so that a restored room
/// sweeps at the same times: first at multiples of `step_ms`, then each time after a pause as long as
/// the room has been quiet, up to [`SWEEP_MS_MAX`].
fn sweep_for(due: Timestamp, last_active: Timestamp, step_ms: u64) -> Timestamp {
    let quiet_from = next_multiple(last_active.plus_ms(QUIET_MS), step_ms);
    if due <= quiet_from {
        return next_multiple(due, step_ms);
    }
    let pause_ms_max = step_ms.max(SWEEP_MS_MAX);
    let mut sweep = quiet_from;
    loop {
        let pause_ms = sweep.ms_since(last_active).max(step_ms);
        if pause_ms >= pause_ms_max {
            let left_ms = next_multiple(Timestamp(due.ms_since(sweep)), pause_ms_max);
            return sweep.plus_ms(left_ms.0);
        }
        sweep = sweep.plus_ms(pause_ms);
        if sweep >= due {
            return sweep;
        }
    }
}

fn next_multiple(time: Timestamp, step_ms: u64) -> Timestamp {
    time.0
        .checked_next_multiple_of(step_ms)
        .map_or(time, Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: u64 = 60_000;
    const STEP_MS: u64 = 9_000;
    const LAST_ACTIVE: Timestamp = Timestamp(200_000 * STEP_MS);

    #[test]
    fn a_room_in_use_sweeps_within_a_step() {
        for ms in [1, STEP_MS, 90_001, 4 * MINUTE_MS] {
            let due = LAST_ACTIVE.plus_ms(ms);
            let delay_ms = sweep_for(due, LAST_ACTIVE, STEP_MS).ms_since(due);
            assert!(delay_ms < STEP_MS, "{ms}: {delay_ms}");
        }
    }

    #[test]
    fn a_quiet_room_pauses_as_long_as_it_has_been_quiet() {
        let mut due = LAST_ACTIVE.plus_ms(4 * MINUTE_MS + 50_000);
        let mut sweeps = Vec::new();
        while sweeps.len() < 6 {
            let sweep = sweep_for(due, LAST_ACTIVE, STEP_MS);
            sweeps.push(sweep.ms_since(LAST_ACTIVE) / MINUTE_MS);
            due = sweep.plus_ms(1);
        }
        assert_eq!(sweeps, [4, 5, 10, 20, 40, 60]);
    }

    #[test]
    fn every_deadline_until_a_sweep_has_that_sweep() {
        let sweep = sweep_for(LAST_ACTIVE.plus_ms(25 * MINUTE_MS), LAST_ACTIVE, STEP_MS);
        for minutes in [21, 30, 40] {
            let due = LAST_ACTIVE.plus_ms(minutes * MINUTE_MS);
            assert_eq!(sweep_for(due, LAST_ACTIVE, STEP_MS), sweep, "{minutes}");
        }
    }

    #[test]
    fn any_idle_timeout_and_any_time_has_a_sweep() {
        let far = Timestamp(u64::MAX);
        for step_ms in [20, STEP_MS, 8_640_000] {
            for due in [Timestamp(0), LAST_ACTIVE, far] {
                for last_active in [Timestamp(0), LAST_ACTIVE, far] {
                    let sweep = sweep_for(due, last_active, step_ms);
                    assert!(sweep >= due, "{step_ms} {due:?} {last_active:?}");
                }
            }
        }
    }
}
