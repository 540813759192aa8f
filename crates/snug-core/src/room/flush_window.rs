//! When a room sends what it has gathered: at once while it is quiet, together while it is busy.

use crate::ids::Timestamp;

/// What a frame to one socket costs, in µs: about the same in any language and for any length up
/// to some KiB, since it is the runtime's and the kernel's work.
const FRAME_US: u64 = 40;

/// How long a room that has gathered is expected to go on. Long, since in a runtime that is busy
/// with other rooms the answers to what it sent take their time.
const WARM_MS: u64 = 1000;

/// The part of its time that a room spends on telling of presence alone: a tenth at most.
const PRESENCE_SHARE: u64 = 10;

/// The same where only the number of members is told, which is in less of a hurry.
const COUNT_SHARE: u64 = 50;

/// How much longer than a message a change in presence may wait, where a tenth is not longer still.
const PRESENCE_WINDOWS: u64 = 100;

/// The pace of what a room sends.
///
/// A flush keeps the runtime busy for as long as its frames take to leave, and what comes in
/// meanwhile would only wait behind them. So a flush opens a window, and until its end is
/// reported what comes in is gathered. A runtime that cannot keep up, whether with this room or
/// with others beside it, reports late, and so more is gathered just when there is need.
///
/// A room that has gathered stays warm for a while: the answers to what it sent come together, and
/// the first of them opens another window rather than leave alone. A window that ends amid them,
/// with not half as many as the last time, goes on, within the most that is allowed.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlushWindow {
    window_ms: u64,
    window_ms_max: u64,
    /// While the room gathers, when that should end.
    open_until: Option<Timestamp>,
    /// How long what waits has waited for more.
    waited_ms: u64,
    /// How many lines for everybody the last flush held, where it held several.
    expected: usize,
    /// Set once the room has come to rest.
    warm_until: Option<Timestamp>,
}

impl FlushWindow {
    /// When the window should end; `None` where none is open.
    pub fn open_until(&self) -> Option<Timestamp> {
        self.open_until
    }

    /// Whether what waits, with so many lines for everybody, may leave. Opens a window where it is
    /// too early.
    pub fn may_flush(&mut self, lines: usize, now: Timestamp) -> bool {
        let is_warm = self.warm_until.is_some_and(|until| now < until);
        if self.open_until.is_none() && is_warm && lines > 0 {
            self.open_until = Some(now.plus_ms(self.window_ms));
        }
        self.open_until.is_none()
    }

    /// Notes a flush of so many frames, with so many lines for everybody. A `window_ms_max` of 0
    /// never gathers.
    pub fn flushed(&mut self, frames: usize, lines: usize, now: Timestamp, window_ms_max: u64) {
        let window_ms = cost_ms(frames).min(window_ms_max);
        *self = Self {
            window_ms,
            window_ms_max,
            open_until: (window_ms > 0).then(|| now.plus_ms(window_ms)),
            expected: if lines > 1 && window_ms > 0 { lines } else { 0 },
            ..Self::default()
        };
    }

    /// Ends the window, so that what waits may leave; or goes on with it where more is expected.
    pub fn on_elapsed(&mut self, lines: usize, now: Timestamp) {
        let is_amid = lines > 0 && lines < self.expected.div_ceil(2);
        self.waited_ms = self.waited_ms.saturating_add(self.window_ms);
        let left_ms = self.window_ms_max.saturating_sub(self.waited_ms);
        if is_amid && left_ms > 0 {
            self.open_until = Some(now.plus_ms(left_ms.min(self.window_ms)));
        } else {
            self.open_until = None;
            self.warm_until = self.warm_until.map(|_| Timestamp::default());
        }
    }

    /// Notes that nothing waits.
    pub fn on_idle(&mut self, now: Timestamp) {
        if self.open_until.is_none() && self.expected > 0 && self.warm_until.is_none() {
            self.warm_until = Some(now.plus_ms(WARM_MS));
            self.waited_ms = 0;
        }
    }
}

/// The pace of what a room tells of presence, where nothing else is said: the more sockets, the
/// longer it gathers, since a thousand members who come are not worth a thousand frames to each
/// of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct PresenceWindow {
    from: Timestamp,
}

impl PresenceWindow {
    /// When presence may be told.
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// Ends the wait.
    pub fn on_elapsed(&mut self) {
        self.from = Timestamp::default();
    }

    /// Notes that it was told, in a flush of so many frames, or just the number of members.
    pub fn on_presence_sent(
        &mut self,
        frames: usize,
        only_count: bool,
        now: Timestamp,
        window_ms_max: u64,
    ) {
        let share = if only_count {
            COUNT_SHARE
        } else {
            PRESENCE_SHARE
        };
        let cost_ms = cost_ms(frames);
        let wait_ms_max = window_ms_max
            .saturating_mul(PRESENCE_WINDOWS)
            .max(cost_ms.saturating_mul(PRESENCE_SHARE));
        let wait_ms = cost_ms.saturating_mul(share).min(wait_ms_max);
        self.from = if window_ms_max > 0 {
            now.plus_ms(wait_ms)
        } else {
            now
        };
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
        let mut window = FlushWindow::default();
        assert!(window.may_flush(1, Timestamp(0)) && window.may_flush(1, NOW));
        assert!(PresenceWindow::default().from() <= NOW);
    }

    #[test]
    fn a_room_whose_windows_are_0_never_gathers() {
        for frames in SIZES {
            let (mut window, mut presence) = (FlushWindow::default(), PresenceWindow::default());
            for lines in [1, 100] {
                window.flushed(frames, lines, NOW, 0);
                assert!(window.may_flush(1, NOW), "{frames} frames");
                window.on_idle(NOW);
                assert!(window.may_flush(1, NOW), "{frames} frames, and warm");
            }
            presence.on_presence_sent(frames, true, NOW, 0);
            assert!(presence.from() <= NOW, "{frames} frames");
        }
    }

    #[test]
    fn a_window_is_no_longer_than_its_most_and_over_once_it_is_passed() {
        for frames in SIZES {
            let mut window = FlushWindow::default();
            window.flushed(frames, 2, NOW, 10);
            let until = window.open_until();
            assert!(until.is_none_or(|until| until <= NOW.plus_ms(10)));
            window.on_elapsed(1, NOW);
            assert_eq!(window.open_until(), None);
            assert!(window.may_flush(1, NOW));
        }
    }

    #[test]
    fn what_waits_for_a_large_room_waits_in_a_window() {
        let mut window = FlushWindow::default();
        window.flushed(1_000, 1, NOW, 10);
        assert!(!window.may_flush(1, NOW));
        assert_eq!(window.open_until(), Some(NOW.plus_ms(10)));
    }

    /// A room that has gathered four lines in windows of 3 ms, and has come to rest.
    fn warm() -> FlushWindow {
        let mut window = FlushWindow::default();
        window.flushed(75, 4, NOW, 10);
        window.on_elapsed(0, NOW);
        window.on_idle(NOW);
        window
    }

    #[test]
    fn a_warm_room_waits_for_half_as_many_lines_as_the_last_time() {
        let mut window = warm();
        assert!(!window.may_flush(1, NOW));
        window.on_elapsed(1, NOW);
        assert!(!window.may_flush(2, NOW));
        window.on_elapsed(2, NOW);
        assert!(window.may_flush(2, NOW));
    }

    #[test]
    fn a_window_that_ends_amid_the_answers_goes_on() {
        let mut window = FlushWindow::default();
        window.flushed(75, 4, NOW, 10);
        window.on_elapsed(1, NOW);
        assert!(!window.may_flush(1, NOW));
        window.on_elapsed(3, NOW);
        assert!(window.may_flush(3, NOW));
    }

    #[test]
    fn a_warm_room_waits_no_longer_than_the_most_whatever_the_clock_says() {
        let mut window = warm();
        let mut windows = 0;
        while !window.may_flush(1, NOW) {
            window.on_elapsed(1, NOW);
            windows += 1;
        }
        assert_eq!(windows, 4);
    }

    #[test]
    fn a_room_cools_down() {
        let mut window = warm();
        assert!(window.may_flush(1, NOW.plus_ms(WARM_MS)));
        window.on_idle(NOW.plus_ms(WARM_MS));
        assert!(window.may_flush(1, NOW.plus_ms(WARM_MS)));
    }

    #[test]
    fn a_reply_alone_waits_for_nothing() {
        assert!(warm().may_flush(0, NOW));
    }
}
