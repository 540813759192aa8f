//! The alarm and the timers that a machine asks for.

use std::rc::Rc;

use snug_core::{Timestamp, limits::QUEUE_CHECK_MS};
use worker::console_error;

use super::{Awake, Due, Host, Machine, Shell};
use crate::platform;

/// Sets the alarm, and starts the timers that the machine needs.
pub fn arm<H: Host>(host: &Rc<H>, awake: &Awake<H::Machine>, now: Timestamp) {
    arm_alarm(host.shell(), awake);
    arm_flush(host, awake, now);
    arm_queue_check(host, awake);
}

/// Reads the queues of all sockets.
pub fn slow_consumers<M: Machine>(awake: &mut Awake<M>) -> M::Input {
    M::slow_consumers(awake.sockets.read_queues())
}

/// Sets the alarm if something is due before it, and deletes it if nothing is due.
fn arm_alarm<M: Machine>(shell: &Shell<M>, awake: &Awake<M>) {
    let storage = || shell.state.storage();
    let (due, set) = (awake.machine.poll_timeout(), shell.alarm.get());
    let armed = match due {
        Some(Due { at, is_exact: true }) if set != Some(at) => platform::set_alarm(&storage(), at),
        Some(Due { at, .. }) if set.is_none_or(|set| at < set) => {
            platform::set_alarm(&storage(), at)
        }
        None if set.is_some() => platform::delete_alarm(&storage()),
        _ => return,
    };
    match armed {
        Ok(()) => shell.alarm.set(due.map(|due| due.at)),
        Err(error) => console_error!("alarm: {error}"),
    }
}

/// Starts a timer that reads the queues of all sockets, if together they are long.
fn arm_queue_check<H: Host>(host: &Rc<H>, awake: &Awake<H::Machine>) {
    if !awake.sockets.is_check_due() || host.shell().checks_queues.replace(true) {
        return;
    }
    let host = Rc::downgrade(host);
    platform::run_in_ms(QUEUE_CHECK_MS, move || {
        let Some(host) = host.upgrade() else {
            return;
        };
        host.shell().checks_queues.set(false);
        if let Err(error) = host.turn(slow_consumers) {
            console_error!("queues: {error}");
        }
    });
}

/// Starts a timer for the machine's next flush, unless an earlier one runs.
fn arm_flush<H: Host>(host: &Rc<H>, awake: &Awake<H::Machine>, now: Timestamp) {
    let Some(wait_ms) = awake.machine.poll_flush() else {
        return;
    };
    let due = now.plus_ms(wait_ms);
    let flushes_at = &host.shell().flushes_at;
    if flushes_at.get().is_some_and(|at| at <= due) {
        return;
    }
    flushes_at.set(Some(due));
    // Weak, because the timer of an object that was reset never fires and would leak the object.
    let host = Rc::downgrade(host);
    platform::run_in_ms(wait_ms, move || {
        let host = host.upgrade();
        // Ignore a timer that a newer one has replaced.
        let is_latest = |one: &Rc<H>| one.shell().flushes_at.get() == Some(due);
        let Some(host) = host.filter(is_latest) else {
            return;
        };
        host.shell().flushes_at.set(None);
        if let Err(error) = host.turn(|_| H::Machine::flush()) {
            console_error!("flush: {error}");
        }
    });
}
