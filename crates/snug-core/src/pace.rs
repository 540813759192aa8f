//! When a room sends what it has gathered: at once while it is quiet, together while it is busy.

use crate::ids::Timestamp;

/// What a frame to one socket costs, in µs: about the same in any language and for any length up
/// to some KiB, since it is the runtime's and the kernel's work.
const FRAME_US: u64 = 40;

/// How many times as long as its last flush took a room that was busy is expected to go on.
const WARM_FLUSHES: u64 = 4;

/// The longest that it is.
const WARM_MS_MAX: u64 = 1000;

/// The part of its time that a room spends on telling of presence alone: a tenth at most.
const PRESENCE_SHARE: u64 = 10;

/// How much longer than a message a change in presence may wait.
const PRESENCE_WINDOWS: u64 = 100;

/// The pace of what a room sends.
///
/// A flush keeps the runtime busy for as long as its frames take to leave, and what comes in
/// meanwhile would only wait behind them. So a flush opens a window, and until its end is
/// reported what comes in is gathered. A runtime that cannot keep up, whether with this room or
/// with others beside it, reports late, and so more is gathered just when there is need.
///
/// A room that has gathered stays warm for a while: the answers to what it sent come together,
/// and the first of them opens another window rather than be sent alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    flushed_at: Timestamp,
    window_ms: u64,
    /// While the room gathers, when that should end.
    open_until: Option<Timestamp>,
    /// Whether the last flush had gathered anything.
    is_busy: bool,
    warm_until: Timestamp,
}

impl Pace {
    /// When the window should end; `None` where none is open.
    pub fn open_until(&self) -> Option<Timestamp> {
        self.open_until
    }

    /// Whether what waits may leave. Opens a window where it is too early.
    pub fn admits(&mut self, now: Timestamp) -> bool {
        if self.open_until.is_none() && now < self.warm_until {
            self.open_until = Some(now.plus_ms(self.window_ms));
        }
        self.open_until.is_none()
    }

    /// Notes a flush of so many frames, that held so many lines for everybody. A `window_ms_max`
    /// of 0 never gathers.
    pub fn flushed(&mut self, frames: usize, lines: usize, now: Timestamp, window_ms_max: u64) {
        self.flushed_at = now;
        self.window_ms = cost_ms(frames).min(window_ms_max);
        self.open_until = (self.window_ms > 0).then(|| now.plus_ms(self.window_ms));
        self.is_busy = lines > 1;
    }

    /// Ends the window. What waits may leave.
    pub fn pass(&mut self) {
        self.open_until = None;
        self.warm_until = Timestamp::default();
    }

    /// Notes that nothing waits.
    pub fn rest(&mut self, now: Timestamp) {
        if self.open_until.is_none() && std::mem::take(&mut self.is_busy) {
            let took_ms = now.ms_since(self.flushed_at);
            let warm_ms = took_ms.saturating_mul(WARM_FLUSHES).min(WARM_MS_MAX);
            self.warm_until = now.plus_ms(warm_ms);
        }
    }
}

/// The pace of what a room tells of presence, where nothing else is said: the more sockets, the
/// longer it gathers, since a thousand members who come are not worth a thousand frames to each
/// of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct PresencePace {
    from: Timestamp,
}

impl PresencePace {
    /// When presence may be told.
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// Ends the wait.
    pub fn pass(&mut self) {
        self.from = Timestamp::default();
    }

    /// Notes that it was told, in a flush of so many frames.
    pub fn told(&mut self, frames: usize, now: Timestamp, window_ms_max: u64) {
        let wait_ms = cost_ms(frames).saturating_mul(PRESENCE_SHARE);
        let wait_ms_max = window_ms_max.saturating_mul(PRESENCE_WINDOWS);
        self.from = now.plus_ms(wait_ms.min(wait_ms_max));
    }
}

fn cost_ms(frames: usize) -> u64 {
    let frames = u64::try_from(frames).unwrap_or(u64::MAX);
    frames.saturating_mul(FRAME_US).div_ceil(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const SIZES: [usize; 5] = [0, 1, 100, 30_000, usize::MAX];

    #[test]
    fn a_room_that_has_sent_nothing_sends_at_once() {
        let mut pace = Pace::default();
        assert!(pace.admits(Timestamp(0)) && pace.admits(NOW));
        assert!(PresencePace::default().from() <= NOW);
    }

    #[test]
    fn a_room_whose_windows_are_0_never_gathers() {
        for frames in SIZES {
            let (mut pace, mut presence) = (Pace::default(), PresencePace::default());
            for lines in [1, 100] {
                pace.flushed(frames, lines, NOW, 0);
                assert!(pace.admits(NOW), "{frames} frames");
                pace.rest(NOW);
                assert!(pace.admits(NOW), "{frames} frames, and warm");
            }
            presence.told(frames, NOW, 0);
            assert!(presence.from() <= NOW, "{frames} frames");
        }
    }

    #[test]
    fn a_window_is_no_longer_than_its_most_and_over_once_it_is_passed() {
        for frames in SIZES {
            let mut pace = Pace::default();
            pace.flushed(frames, 2, NOW, 10);
            let until = pace.open_until();
            assert!(until.is_none_or(|until| until <= NOW.plus_ms(10)));
            pace.pass();
            assert_eq!(pace.open_until(), None);
            assert!(pace.admits(NOW));
        }
    }

    #[test]
    fn what_waits_for_a_large_room_waits_in_a_window() {
        let mut pace = Pace::default();
        pace.flushed(1_000, 1, NOW, 10);
        assert!(!pace.admits(NOW));
        assert_eq!(pace.open_until(), Some(NOW.plus_ms(10)));
    }
}
