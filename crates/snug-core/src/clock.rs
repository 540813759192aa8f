//! Notices that the clock of a room's object has stopped.
//!
//! If a machine's clock is set back, workerd stops the clock of each object in memory, with its timers,
//! until the machine's clock has caught up: see docs/upstream/clock-set-back.md. The Worker's clock goes on.

use crate::{ids::Timestamp, limits::CLOCK_STOPPED_MS};

/// Compares an object's clock with the Worker's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockWatch {
    /// The object's time, and the Worker's when the object's was first seen.
    seen: Option<(Timestamp, Timestamp)>,
}

impl ClockWatch {
    /// Takes both times of a request. Returns true if the object's has not moved for
    /// [`CLOCK_STOPPED_MS`] of the Worker's.
    ///
    /// A difference between the clocks does not matter: they may belong to different machines.
    pub fn has_stopped(&mut self, own: Timestamp, worker: Timestamp) -> bool {
        match self.seen {
            Some((seen, since)) if seen == own && since <= worker => {
                worker.ms_since(since) >= CLOCK_STOPPED_MS
            }
            _ => {
                self.seen = Some((own, worker));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn has_stopped(watch: &mut ClockWatch, own: u64, worker: u64) -> bool {
        watch.has_stopped(NOW.plus_ms(own), NOW.plus_ms(worker))
    }

    #[test]
    fn a_clock_that_does_not_move_has_stopped() {
        let mut watch = ClockWatch::default();
        assert!(!has_stopped(&mut watch, 0, 0));
        assert!(!has_stopped(&mut watch, 0, CLOCK_STOPPED_MS - 1));
        assert!(has_stopped(&mut watch, 0, CLOCK_STOPPED_MS));
    }

    #[test]
    fn a_clock_that_differs_or_is_slow_has_not_stopped() {
        let mut watch = ClockWatch::default();
        for number in 0..10 {
            assert!(!has_stopped(
                &mut watch,
                number,
                CLOCK_STOPPED_MS.saturating_mul(number)
            ));
        }
        for number in 0..10 {
            let worker = CLOCK_STOPPED_MS.saturating_mul(number + 1_800);
            assert!(!has_stopped(&mut watch, 1_000 + number, worker));
        }
    }

    #[test]
    fn a_clock_that_was_set_back_counts_from_there() {
        let mut watch = ClockWatch::default();
        assert!(!has_stopped(&mut watch, 3_600_000, 3_600_000));
        assert!(!has_stopped(&mut watch, 3_600_000, 0));
        assert!(!has_stopped(&mut watch, 3_600_000, CLOCK_STOPPED_MS - 1));
        assert!(has_stopped(&mut watch, 3_600_000, CLOCK_STOPPED_MS));
    }
}
