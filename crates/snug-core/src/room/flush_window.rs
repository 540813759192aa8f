//! The timing of flushes: a quiet room sends at once, a busy room gathers lines first.

use crate::ids::Timestamp;

/// Cost of a frame to one socket, in µs. It is about the same in any language and for any length
/// up to a few KiB, because the runtime and the kernel do most of the work.
const FRAME_US: u64 = 40;

/// Time for which a room stays warm after it has gathered. It is long because replies take a
/// while in a runtime that is busy with other rooms.
const WARM_MS: u64 = 1000;

/// Pushes of presence alone take at most one part in this many of the room's time.
const PRESENCE_SHARE: u64 = 10;

/// The same for pushes that hold only the number of members, which are less urgent.
const COUNT_SHARE: u64 = 50;

/// The longest wait of a presence change in flush windows, unless [`PRESENCE_SHARE`] requires a
/// longer one.
const PRESENCE_WINDOWS: u64 = 100;

/// The time until the next flush.
///
/// A flush keeps the runtime busy until its frames have left, and lines that arrive meanwhile
/// would only queue behind them. So a flush opens a window, and the room gathers lines until the
/// end of the window is reported. A runtime that is behind, with this room or with others,
/// reports the end late, and so the room gathers more exactly when it has to.
///
/// A room that has gathered stays warm for a while: replies to what it sent arrive together, and
/// the first of them opens another window. If that window ends with less than half as many lines
/// as the last flush had, it is extended, up to the maximum.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlushWindow {
    window_ms: u64,
    window_ms_max: u64,
    /// The end of the open window.
    open_until: Option<Timestamp>,
    /// Time for which the waiting lines have waited.
    waited_ms: u64,
    /// Number of shared lines in the last flush, if there were several; else 0.
    expected: usize,
    /// The end of the warm time, which starts when nothing waits any more.
    warm_until: Option<Timestamp>,
}

impl FlushWindow {
    /// Returns the end of the window; `None` if no window is open.
    pub fn open_until(&self) -> Option<Timestamp> {
        self.open_until
    }

    /// Requests to send the waiting lines, `lines` of them shared. Returns true if they may be sent now;
    /// otherwise they wait for the end of the window, which this opens if the room is warm.
    pub fn request_flush(&mut self, lines: usize, now: Timestamp) -> bool {
        let is_warm = self.warm_until.is_some_and(|until| now < until);
        if self.open_until.is_none() && is_warm && lines > 0 {
            self.open_until = Some(now.plus_ms(self.window_ms));
        }
        self.open_until.is_none()
    }

    /// Records a flush of `frames` frames with `lines` shared lines, and opens a window for their
    /// cost. With a `window_ms_max` of 0, no window is opened.
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

    /// Ends the window, or extends it if more lines are expected.
    pub fn on_elapsed(&mut self, lines: usize, now: Timestamp) {
        let expects_more = lines > 0 && lines < self.expected.div_ceil(2);
        self.waited_ms = self.waited_ms.saturating_add(self.window_ms);
        let left_ms = self.window_ms_max.saturating_sub(self.waited_ms);
        if expects_more && left_ms > 0 {
            self.open_until = Some(now.plus_ms(left_ms.min(self.window_ms)));
        } else {
            self.open_until = None;
            self.warm_until = self.warm_until.map(|_| Timestamp::default());
        }
    }

    /// Records that no lines wait.
    pub fn on_idle(&mut self, now: Timestamp) {
        if self.open_until.is_none() && self.expected > 0 && self.warm_until.is_none() {
            self.warm_until = Some(now.plus_ms(WARM_MS));
            self.waited_ms = 0;
        }
    }
}

/// The time until the next flush of presence alone. The more sockets, the longer the room gathers:
/// a thousand joins should not cost a thousand frames to each member.
#[derive(Clone, Copy, Debug, Default)]
pub struct PresenceWindow {
    from: Timestamp,
}

impl PresenceWindow {
    /// Returns the time from which presence may be sent.
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// Ends the wait.
    pub fn on_elapsed(&mut self) {
        self.from = Timestamp::default();
    }

    /// Records that presence was sent in a flush of `frames` frames; `only_count` is true if it
    /// held only the number of members.
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
    fn a_room_that_has_not_sent_anything_sends_at_once() {
        let mut window = FlushWindow::default();
        assert!(window.request_flush(1, Timestamp(0)) && window.request_flush(1, NOW));
        assert!(PresenceWindow::default().from() <= NOW);
    }

    #[test]
    fn a_room_with_a_maximum_window_of_0_never_gathers() {
        for frames in SIZES {
            let (mut window, mut presence) = (FlushWindow::default(), PresenceWindow::default());
            for lines in [1, 100] {
                window.flushed(frames, lines, NOW, 0);
                assert!(window.request_flush(1, NOW), "{frames} frames");
                window.on_idle(NOW);
                assert!(window.request_flush(1, NOW), "{frames} frames, and warm");
            }
            presence.on_presence_sent(frames, true, NOW, 0);
            assert!(presence.from() <= NOW, "{frames} frames");
        }
    }

    #[test]
    fn a_window_is_at_most_the_maximum_and_closes_once_it_has_elapsed() {
        for frames in SIZES {
            let mut window = FlushWindow::default();
            window.flushed(frames, 2, NOW, 10);
            let until = window.open_until();
            assert!(until.is_none_or(|until| until <= NOW.plus_ms(10)));
            window.on_elapsed(1, NOW);
            assert_eq!(window.open_until(), None);
            assert!(window.request_flush(1, NOW));
        }
    }

    #[test]
    fn a_flush_to_many_sockets_opens_a_window() {
        let mut window = FlushWindow::default();
        window.flushed(1_000, 1, NOW, 10);
        assert!(!window.request_flush(1, NOW));
        assert_eq!(window.open_until(), Some(NOW.plus_ms(10)));
    }

    /// A room that has gathered four lines in windows of 3 ms, and in which nothing waits.
    fn warm() -> FlushWindow {
        let mut window = FlushWindow::default();
        window.flushed(75, 4, NOW, 10);
        window.on_elapsed(0, NOW);
        window.on_idle(NOW);
        window
    }

    #[test]
    fn a_warm_room_waits_for_half_as_many_lines_as_its_last_flush_had() {
        let mut window = warm();
        assert!(!window.request_flush(1, NOW));
        window.on_elapsed(1, NOW);
        assert!(!window.request_flush(2, NOW));
        window.on_elapsed(2, NOW);
        assert!(window.request_flush(2, NOW));
    }

    #[test]
    fn a_window_that_ends_with_few_lines_is_extended() {
        let mut window = FlushWindow::default();
        window.flushed(75, 4, NOW, 10);
        window.on_elapsed(1, NOW);
        assert!(!window.request_flush(1, NOW));
        window.on_elapsed(3, NOW);
        assert!(window.request_flush(3, NOW));
    }

    #[test]
    fn a_warm_room_waits_at_most_the_maximum_even_if_the_clock_stands_still() {
        let mut window = warm();
        let mut windows = 0;
        while !window.request_flush(1, NOW) {
            window.on_elapsed(1, NOW);
            windows += 1;
        }
        assert_eq!(windows, 4);
    }

    #[test]
    fn a_room_is_warm_for_a_limited_time() {
        let mut window = warm();
        assert!(window.request_flush(1, NOW.plus_ms(WARM_MS)));
        window.on_idle(NOW.plus_ms(WARM_MS));
        assert!(window.request_flush(1, NOW.plus_ms(WARM_MS)));
    }

    #[test]
    fn a_reply_to_one_connection_does_not_wait_in_a_warm_room() {
        assert!(warm().request_flush(0, NOW));
    }
}
