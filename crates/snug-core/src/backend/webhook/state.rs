//! Delivery state of a room's webhook events.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Timestamp, UserId},
    limits::{DEAD_EVENTS_MS, RETRY_AFTER_MS_MAX, RETRY_MS_MAX, RETRY_MS_MIN},
};

/// The delivery state, stored as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventState {
    /// True if `room.occupied` was recorded without a later `room.vacated`.
    pub is_occupied: bool,
    /// The time at which `room.vacated` is due, unless a member joins before.
    pub vacates_at: Option<Timestamp>,
    /// The `seq` of the newest event that was delivered or given up.
    pub settled: u64,
    /// The number of failed attempts of the next delivery.
    pub failures: u32,
    /// The `seq` of the failed delivery's last event, so that a retry contains the same events; 0 if
    /// it has not failed.
    pub tried: u64,
    /// The earliest time of the next attempt.
    pub next_at: Timestamp,
    /// The number of dead events.
    pub dead: u64,
    /// The time until which they are kept.
    pub dead_until: Timestamp,
    /// The `seq` of the newest event that found no place in the queue; 0 if none did.
    pub newest_lost: u64,
    /// The number of such events after `settled`.
    pub lost: u64,
    /// The `seq` of the first event that counts toward its user's share; 0 while none counts.
    pub shares_from: u64,
}

impl EventState {
    /// Returns the state before the first event, whose `seq` is `first` if it is stored.
    ///
    /// The numbers start at the time, in milliseconds. A room that is removed forgets them, and a receiver
    /// would take smaller ones for events that it has processed.
    pub fn before(first: Option<u64>, now: Timestamp) -> Self {
        Self {
            settled: first.map_or(now.0, |first| first.saturating_sub(1)),
            ..Self::default()
        }
    }

    /// Counts events that have become dead.
    pub fn add_dead(&mut self, count: u64, now: Timestamp) {
        self.dead = self.dead.saturating_add(count);
        self.dead_until = now.plus_ms(DEAD_EVENTS_MS);
    }

    /// Keeps dead events from now on if an earlier version of Snug, which kept them forever, has counted
    /// them. Returns true if so.
    pub fn keep_dead_from(&mut self, now: Timestamp) -> bool {
        let has_no_end = self.dead > 0 && self.dead_until == Timestamp::default();
        if has_no_end {
            self.add_dead(0, now);
        }
        has_no_end
    }

    /// Delays the next attempt of a failed delivery. The pause doubles with each failure. `chance`, a
    /// random number, shortens it by up to half, so that rooms do not all retry at once.
    pub fn put_off(&mut self, retry_after_ms: Option<u64>, chance: u64, now: Timestamp) {
        let doublings = self.failures.min(RETRY_MS_MAX.ilog2());
        let pause_ms = RETRY_MS_MIN.saturating_mul(1 << doublings);
        let pause_ms = pause_ms.min(RETRY_MS_MAX);
        let less_ms = chance.checked_rem(pause_ms.div_ceil(2)).unwrap_or_default();
        let requested_ms = retry_after_ms.unwrap_or_default().min(RETRY_AFTER_MS_MAX);
        self.next_at = now.plus_ms(pause_ms.saturating_sub(less_ms).max(requested_ms));
        self.failures = self.failures.saturating_add(1);
    }

    /// Marks the events up to `last` as settled, so that the next delivery can start. `count` is their
    /// number without those that were lost.
    pub fn settle(&mut self, last: u64, count: u64) {
        let lost = last.saturating_sub(self.settled).saturating_sub(count);
        self.lost = self.lost.saturating_sub(lost);
        self.settled = last;
        self.failures = 0;
        self.tried = 0;
        self.next_at = Timestamp::default();
    }
}

/// The webhook state that is read from storage.
#[derive(Clone, Debug, Default)]
pub struct StoredEvents {
    /// The prefix of the ids of the room's events.
    pub source: Rc<str>,
    /// The delivery state; `None` if none is stored.
    pub state: Option<EventState>,
    /// The `seq` of the newest event; 0 if none is stored.
    pub newest: u64,
    /// The bytes of all rows so far, on the scale of the rows' `bytes_before`.
    pub bytes: u64,
    /// The oldest stored row.
    pub oldest: Option<OldestRow>,
    /// The notified members.
    pub notified: Vec<UserId>,
    /// The users' shares of the queue, if [`EventState::shares_from`] is set.
    pub shares: Vec<(UserId, u64)>,
}

/// The oldest stored row of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldestRow {
    /// The `seq` of its first event.
    pub first: u64,
    /// The time at which it was stored.
    pub time: Timestamp,
    /// The bytes of all earlier rows.
    pub bytes_before: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn pause(failures: u32, retry_after_ms: Option<u64>, chance: u64) -> u64 {
        let mut state = EventState {
            failures,
            ..EventState::default()
        };
        state.put_off(retry_after_ms, chance, NOW);
        assert_eq!(state.failures, failures.saturating_add(1));
        state.next_at.ms_since(NOW)
    }

    #[test]
    fn pauses_double_up_to_their_maximum() {
        let pauses =
            [0, 1, 2, 9, 10, 11, 63, 64, u32::MAX].map(|failures| pause(failures, None, 0));
        let most = RETRY_MS_MAX;
        let expected = [1_000, 2_000, 4_000, 512_000, most, most, most, most, most];
        assert_eq!(pauses, expected);
    }

    #[test]
    fn chance_shortens_a_pause_by_less_than_half() {
        for chance in [0, 1, 499, 500, 12_345, u64::MAX] {
            let pause = pause(0, None, chance);
            assert!((501..=1_000).contains(&pause), "{pause}");
        }
        assert_eq!(pause(0, None, 499), 501);
    }

    #[test]
    fn honors_a_longer_retry_after_up_to_its_maximum() {
        assert_eq!(pause(0, Some(500), 0), 1_000);
        assert_eq!(pause(0, Some(60_000), 0), 60_000);
        assert_eq!(pause(0, Some(RETRY_AFTER_MS_MAX), 0), RETRY_AFTER_MS_MAX);
        assert_eq!(pause(0, Some(u64::MAX), 0), RETRY_AFTER_MS_MAX);
    }

    #[test]
    fn reads_the_state_of_an_older_version() {
        let state: EventState = serde_json::from_str(r#"{"settled":7,"other":1}"#).unwrap();
        assert_eq!((state.settled, state.failures), (7, 0));
    }
}
