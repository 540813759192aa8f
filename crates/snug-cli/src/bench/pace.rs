//! Messages by the clock.

use std::{
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::unbounded_channel;

use super::crowd::Crowd;

/// Has the speakers of the first room publish in turn, so many times a second, for some time.
pub async fn publish(crowd: &Crowd, speakers: usize, per_second: u32, time: Duration) {
    let (tick, mut ticks) = unbounded_channel();
    let start = crowd.tally().now();
    // A thread of its own, since tokio's timers are a millisecond apart.
    thread::spawn(move || {
        let (began, pause) = (Instant::now(), Duration::from_secs(1) / per_second);
        for turn in 0.. {
            let due = pause * turn;
            if due >= time {
                break;
            }
            thread::sleep(due.saturating_sub(began.elapsed()));
            if tick.send((turn, due)).is_err() {
                break;
            }
        }
        thread::sleep(time.saturating_sub(began.elapsed()));
    });
    while let Some((turn, due)) = ticks.recv().await {
        let due = start + u64::try_from(due.as_nanos()).unwrap_or(u64::MAX);
        crowd.publish(0, turn as usize % speakers, due);
    }
}
