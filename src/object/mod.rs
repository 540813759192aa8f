//! A Durable Object that runs a state machine of the core. It knows sockets, timers and the alarm, and
//! nothing of what the machine is about.
//!
//! Nothing is awaited between an input and its last output, so each event is one turn: the runtime
//! commits its writes together and holds its frames back until they are committed.

pub mod database;
pub mod sockets;
pub mod text_cache;
mod timers;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use snug_core::{ConnectionId, Timestamp, clock::ClockWatch};
use worker::{Error, Result, State, WebSocket, console_error};

use self::sockets::Sockets;
use crate::{object_stub::CLOCK_STOPPED, platform, requests::RequestToObject};

/// A state machine of the core.
pub trait Machine {
    type Input;
    type Output;

    /// Processes one input.
    fn handle_input(&mut self, input: Self::Input, now: Timestamp);

    /// Returns the next output; `None` if the input is fully processed.
    fn poll_output(&mut self) -> Option<Self::Output>;

    /// Returns the time at which something becomes due; `None` if nothing will.
    fn poll_timeout(&self) -> Option<Due>;

    /// Returns the milliseconds until [`Self::flush`] is due; `None` if nothing waits for a flush.
    fn poll_flush(&self) -> Option<u64>;

    /// Sets the bytes that the runtime queues for all sockets.
    fn set_unread_bytes(&mut self, bytes: u64);

    /// Returns the input for the end of the wait of [`Self::poll_flush`].
    fn flush() -> Self::Input;

    /// Returns true if a socket may be dead by now.
    fn is_sweep_due(&self, now: Timestamp) -> bool;

    /// Returns the input for the alarm. `answered` is the time of each connection's last answered ping, if a
    /// sweep is due.
    fn timeout(answered: Option<BTreeMap<ConnectionId, Timestamp>>) -> Self::Input;

    /// Returns the input for the end of a connection, which is clean if the client closed it on purpose.
    fn disconnect(connection: ConnectionId, is_clean: bool) -> Self::Input;

    /// Returns the input for the bytes that the runtime queues, by connection, when they are many.
    fn slow_consumers(queued: BTreeMap<ConnectionId, u64>) -> Self::Input;
}

/// A time for the alarm.
#[derive(Clone, Copy)]
pub struct Due {
    pub at: Timestamp,
    /// True if the alarm must not ring earlier.
    pub is_exact: bool,
}

/// The machine and its sockets, in memory while the object does not hibernate.
pub struct Awake<M> {
    pub machine: M,
    pub sockets: Sockets,
    /// True if the machine is to be restored from storage with the next event.
    pub restarts: bool,
}

/// The part of an object that all kinds of objects have.
pub struct Shell<M> {
    pub state: State,
    /// The time that the alarm is set for, if any.
    alarm: Rc<Cell<Option<Timestamp>>>,
    /// True while the alarm is being handled.
    is_ringing: Cell<bool>,
    /// The time at which the next timer flushes.
    flushes_at: Cell<Option<Timestamp>>,
    /// True if a timer runs that will read the queues of all sockets.
    checks_queues: Cell<bool>,
    /// The object's clock, compared with that of the Worker and of other objects.
    clock: Cell<ClockWatch>,
    /// `None` until the first event after the object started.
    awake: RefCell<Option<Awake<M>>>,
}

/// The delay before a failed alarm is retried.
const ALARM_RETRY_MS: u64 = 60_000;

impl<M> Shell<M> {
    /// Creates the part when the runtime starts or wakes the object.
    pub fn new(state: State) -> Self {
        let alarm = Rc::new(Cell::new(None));
        let (slot, storage) = (alarm.clone(), state.storage());
        let _loaded = state.block_concurrency_while(async move {
            // If it cannot be read, the alarm is only set once more than necessary.
            let at = storage.get_alarm().await.unwrap_or_default();
            slot.set(at.and_then(|ms| u64::try_from(ms).ok()).map(Timestamp));
            Ok(())
        });
        Self {
            state,
            alarm,
            is_ringing: Cell::new(false),
            flushes_at: Cell::new(None),
            checks_queues: Cell::new(false),
            clock: Cell::default(),
            awake: RefCell::new(None),
        }
    }

    /// Returns true if the machine is in memory.
    pub fn is_awake(&self) -> bool {
        self.awake.borrow().is_some()
    }

    /// Returns the time for which the alarm is set: the current time if it is ringing, `None` if there is
    /// none.
    pub fn alarm(&self) -> Option<Timestamp> {
        let is_ringing = self.is_ringing.get();
        is_ringing.then(platform::now).or(self.alarm.get())
    }

    /// Records that the alarm was deleted with the rest of the storage.
    pub fn forget_alarm(&self) {
        self.alarm.set(None);
    }
}

/// An object. Its timers share it.
pub trait Host: Sized + 'static {
    type Machine: Machine;

    fn shell(&self) -> &Shell<Self::Machine>;

    /// Restores the machine from the object's storage and its sockets' attachments.
    fn wake(&self) -> Result<Awake<Self::Machine>>;

    /// Applies one output.
    fn apply(
        self: &Rc<Self>,
        awake: &mut Awake<Self::Machine>,
        output: <Self::Machine as Machine>::Output,
    );

    /// Called once all outputs of an input are applied.
    fn on_applied(&self, awake: &mut Awake<Self::Machine>);

    /// Called once the machine has been dropped, to be restored with the next event.
    fn on_dropped(&self);

    /// Runs one turn: handles one input and applies all outputs that follow from it.
    fn turn(
        self: &Rc<Self>,
        input: impl FnOnce(&mut Awake<Self::Machine>) -> <Self::Machine as Machine>::Input,
    ) -> Result<()> {
        self.with_awake(|awake| {
            let now = platform::now();
            let mut next = Some(input(awake));
            let unread_bytes = awake.sockets.unread_bytes();
            awake.machine.set_unread_bytes(unread_bytes);
            while let Some(input) = next {
                awake.machine.handle_input(input, now);
                self.drain(awake);
                let is_too_slow = awake.sockets.is_too_slow();
                next = is_too_slow.then(|| timers::slow_consumers(awake));
            }
            timers::arm(self, awake, now);
        })
    }

    /// Applies all outputs.
    fn drain(self: &Rc<Self>, awake: &mut Awake<Self::Machine>) {
        while let Some(output) = awake.machine.poll_output() {
            self.apply(awake, output);
        }
        self.on_applied(awake);
    }

    /// Wakes the machine if necessary, and does what its restoration asks for: a refused join or a probe
    /// may be the only event for a long time.
    fn with_awake<T>(
        self: &Rc<Self>,
        body: impl FnOnce(&mut Awake<Self::Machine>) -> T,
    ) -> Result<T> {
        let mut awake = (self.shell().awake)
            .try_borrow_mut()
            .map_err(|_| Error::RustError("turns overlap".into()))?;
        if awake.is_none() {
            let now = platform::now();
            let mut woken = self.wake()?;
            self.drain(&mut woken);
            timers::arm(self, &woken, now);
            *awake = Some(woken);
        }
        let done = awake
            .as_mut()
            .map(body)
            .ok_or_else(|| Error::RustError("not awake".into()))?;
        if awake.as_ref().is_some_and(|awake| awake.restarts) {
            *awake = None;
            self.on_dropped();
        }
        Ok(done)
    }

    /// Returns the input for the alarm. Only a look for dead sockets needs to ask each for its last ping.
    fn timeout(&self, awake: &Awake<Self::Machine>) -> <Self::Machine as Machine>::Input {
        let is_sweep = awake.machine.is_sweep_due(platform::now());
        let answered = is_sweep.then(|| awake.sockets.answered(&self.shell().state));
        Self::Machine::timeout(answered)
    }

    /// Closes dead sockets if there may be any, so that the next request neither counts nor lists them.
    fn sweep_if_due(self: &Rc<Self>) -> Result<()> {
        if self.with_awake(|awake| awake.machine.is_sweep_due(platform::now()))? {
            self.turn(|awake| self.timeout(awake))?;
        }
        Ok(())
    }

    /// Disconnects a socket, on the first event that reports its end.
    fn on_socket_gone(self: &Rc<Self>, socket: &WebSocket, is_clean: bool) -> Result<()> {
        let Some(connection) = sockets::id_of(&self.shell().state, socket) else {
            return Ok(());
        };
        self.turn(|awake| {
            awake.sockets.remove(connection);
            Self::Machine::disconnect(connection, is_clean)
        })?;
        sockets::clear_attachment(socket);
        Ok(())
    }

    /// Ends the object if its clock has stopped, because then its timers have, too.
    fn check_clock(&self, request: &RequestToObject) -> Result<()> {
        let time = request.time.as_deref();
        let Some(worker) = time.and_then(|time| time.parse().ok()).map(Timestamp) else {
            return Ok(());
        };
        let mut watch = self.shell().clock.get();
        let has_stopped = watch.has_stopped(platform::now(), worker);
        self.shell().clock.set(watch);
        if has_stopped {
            console_error!("{CLOCK_STOPPED}: all clients have to reconnect");
            platform::abort(&self.shell().state, CLOCK_STOPPED)?;
        }
        Ok(())
    }

    /// Runs the turn of an alarm.
    fn ring(self: &Rc<Self>) -> Result<()> {
        let shell = self.shell();
        shell.alarm.set(None);
        shell.is_ringing.set(true);
        let turned = self.turn(|awake| self.timeout(awake));
        shell.is_ringing.set(false);
        // The runtime retries a failed alarm a few times, then gives up. If the machine cannot wake for
        // now, for example because of an invalid setting, it would never have an alarm again.
        turned.or_else(|error| {
            console_error!("alarm: {error}");
            let later = platform::now().plus_ms(ALARM_RETRY_MS);
            shell.alarm.set(Some(later));
            platform::set_alarm(&shell.state.storage(), later)
        })
    }
}

/// Logs an error that the machine does not need to know of.
pub fn log_fault(place: &str, outcome: Result<()>) {
    if let Err(error) = outcome {
        console_error!("{place}: {error}");
    }
}
