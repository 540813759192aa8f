//! Publishes messages at a fixed rate, however fast the server delivers them.

use std::{
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc::unbounded_channel;

use super::swarm::{Layout, Swarm};

/// Publishes at a fixed rate for some time. The rooms take turns, and so do the senders of each.
pub async fn publish(swarm: &Swarm, per_second: u32, time: Duration) {
    let Layout { rooms, senders, .. } = *swarm.layout();
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
        let (round, room) = (turn as usize / rooms, turn as usize % rooms);
        swarm.publish(room, round % senders, due);
    }
}
