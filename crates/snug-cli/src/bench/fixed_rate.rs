//! Publishes messages at a fixed rate, however fast the server delivers them.

use std::{
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::unbounded_channel;

use super::swarm::Swarm;

/// Publishes to the first room at a fixed rate for some time. The room's senders take turns.
pub async fn publish(swarm: &Swarm, senders: usize, per_second: u32, time: Duration) {
    let (tick, mut ticks) = unbounded_channel();
    let start = swarm.counters().now();
    // Tokio's timers have a resolution of one millisecond, so a thread keeps the time.
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
        swarm.publish(0, turn as usize % senders, due);
    }
}
