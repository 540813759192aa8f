//! How far the back end has been told, and when it is told more.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Timestamp, UserId},
    limits::{RETRY_AFTER_MS_MAX, RETRY_MS_MAX, RETRY_MS_MIN},
};

/// What has been told, and what not. Kept in storage as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventState {
    /// Whether it was told that somebody is here, and not yet that nobody is.
    pub is_occupied: bool,
    /// When it will be told that nobody is, unless somebody is back.
    pub vacates_at: Option<Timestamp>,
    /// The newest event that was delivered or given up.
    pub settled: u64,
    /// How often the next delivery has failed.
    pub failures: u32,
    /// Its last event, so that it is sent again as it was; 0 where it has not failed.
    pub tried: u64,
    /// Before then it is not tried again.
    pub next_at: Timestamp,
    /// Events that were given up.
    pub dead: u64,
}

impl EventState {
    /// Puts off the next delivery, which has failed. The pause doubles with each failure; `chance`
    /// takes up to half of it off, so that rooms that failed together do not come back together.
    pub fn put_off(&mut self, retry_after_ms: Option<u64>, chance: u64, now: Timestamp) {
        let doublings = self.failures.min(RETRY_MS_MAX.ilog2());
        let pause_ms = RETRY_MS_MIN.saturating_mul(1 << doublings);
        let pause_ms = pause_ms.min(RETRY_MS_MAX);
        let less_ms = chance.checked_rem(pause_ms.div_ceil(2)).unwrap_or_default();
        let asked_ms = retry_after_ms.unwrap_or_default().min(RETRY_AFTER_MS_MAX);
        self.next_at = now.plus_ms(pause_ms.saturating_sub(less_ms).max(asked_ms));
        self.failures = self.failures.saturating_add(1);
    }

    /// Notes that events up to this one are settled, and that nothing keeps the next from being sent.
    pub fn settle(&mut self, last: u64) {
        self.settled = last;
        self.failures = 0;
        self.tried = 0;
        self.next_at = Timestamp::default();
    }
}

/// What storage knows of a room's events.
#[derive(Clone, Debug, Default)]
pub struct StoredEvents {
    /// What the ids of the room's events begin with, the room's own.
    pub source: Rc<str>,
    /// How far the back end has been told.
    pub state: EventState,
    /// The newest event's place; 0 where none is stored.
    pub newest: u64,
    /// The bytes of all rows so far, as they count from the first of those that are stored.
    pub bytes: u64,
    /// The first row that is stored.
    pub oldest: Option<OldestRow>,
    /// Members that the back end knows to be here.
    pub notified: Vec<UserId>,
}

/// The first row of events that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OldestRow {
    /// When it was written.
    pub time: Timestamp,
    /// The bytes of all rows before it.
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
    fn pauses_grow_to_their_most() {
        let pauses =
            [0, 1, 2, 9, 10, 11, 63, 64, u32::MAX].map(|failures| pause(failures, None, 0));
        let most = RETRY_MS_MAX;
        let expected = [1_000, 2_000, 4_000, 512_000, most, most, most, most, most];
        assert_eq!(pauses, expected);
    }

    #[test]
    fn chance_takes_less_than_half_off() {
        for chance in [0, 1, 499, 500, 12_345, u64::MAX] {
            let pause = pause(0, None, chance);
            assert!((501..=1_000).contains(&pause), "{pause}");
        }
        assert_eq!(pause(0, None, 499), 501);
    }

    #[test]
    fn the_back_end_may_ask_for_longer_but_not_for_ever() {
        assert_eq!(pause(0, Some(500), 0), 1_000);
        assert_eq!(pause(0, Some(60_000), 0), 60_000);
        assert_eq!(pause(0, Some(RETRY_AFTER_MS_MAX), 0), RETRY_AFTER_MS_MAX);
        assert_eq!(pause(0, Some(u64::MAX), 0), RETRY_AFTER_MS_MAX);
    }

    #[test]
    fn what_an_older_version_kept_is_read() {
        let state: EventState = serde_json::from_str(r#"{"settled":7,"other":1}"#).unwrap();
        assert_eq!((state.settled, state.failures), (7, 0));
    }
}
