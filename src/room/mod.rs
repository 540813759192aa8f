//! The Durable Object of one room. Each runtime event becomes an [`Input`], each [`Output`] an effect.
//!
//! Nothing is awaited between an input and its last output, so each event is one turn: the runtime
//! commits its writes together and holds its frames back until they are committed.

mod sockets;
mod store;
mod tasks;
mod text_cache;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use futures::channel::oneshot;
use js_sys::JsString;
use snug_core::{
    Admission, ApiRequest, ApiRequestId, ApiResponse, ConnectionId, Input, Output, Refusal, Reply,
    RoomName, Timestamp,
    auth::{SUBPROTOCOL, room_guard::RoomUse},
    clock::ClockWatch,
    limits::{FRAME_BYTES_MAX, QUEUE_CHECK_MS},
    log::Requester,
    protocol::push::{PING, PONG},
    room::Wake,
};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::{
    Env, Error, Request, Response, ResponseBuilder, Result, State, WebSocket, WebSocketPair,
    console_error,
    wasm_bindgen_futures::{future_to_promise, spawn_local},
    web_sys,
    worker_sys::DurableObjectState,
};

use self::{sockets::Sockets, store::Store};
use crate::{
    api::{API_REQUEST_HEADER, read_body, text},
    config,
    join::{ADMISSION_HEADER, is_upgrade},
    log::{self, Spawn},
    platform,
    problem::Problem,
    room_guard::{NO_NEW_ROOM_HEADER, ROOM_USE_HEADER},
    room_stub::{CLOCK_STOPPED, TIME_HEADER},
};

/// The Durable Object class of rooms.
#[wasm_bindgen]
pub struct Room {
    object: Rc<Object>,
}

/// Runs a task in the object, which does not hibernate in the meantime.
const SPAWN: Spawn<'_> = &|task| spawn_local(task);

/// The UTF-16 units of the longest frame.
const FRAME_UNITS_MAX: u32 = FRAME_BYTES_MAX as u32;

/// Delay before an alarm whose turn failed is run again.
const ALARM_RETRY_MS: u64 = 60_000;

/// The state of the object. Timers and pending requests share it.
struct Object {
    state: State,
    env: Env,
    /// The time that the alarm is set for, if any.
    alarm: Rc<Cell<Option<Timestamp>>>,
    /// True while the alarm is being handled.
    is_ringing: Cell<bool>,
    /// The time at which the next timer flushes.
    flushes_at: Cell<Option<Timestamp>>,
    /// True if a timer runs that will read the queues of all sockets.
    checks_queues: Cell<bool>,
    /// The object's clock, compared with the Worker's.
    clock: Cell<ClockWatch>,
    /// The number of API requests since the object started.
    api_requests: Cell<u64>,
    /// API requests without a response yet.
    pending: RefCell<BTreeMap<ApiRequestId, oneshot::Sender<std::result::Result<Reply, Refusal>>>>,
    /// `None` until the first event after the object started.
    awake: RefCell<Option<Awake>>,
}

/// The room and its resources, in memory while the object does not hibernate.
struct Awake {
    room: snug_core::Room<Store>,
    sockets: Sockets,
    /// True if the room is to be restored from storage with the next event.
    restarts: bool,
}

/// The object's event handlers. They are exported by hand instead of by worker-rs's macro: they
/// await nothing, and a promise for each would double the cost of a small event.
#[wasm_bindgen]
impl Room {
    /// Constructs the object when the runtime starts or wakes it.
    #[wasm_bindgen(constructor)]
    pub fn new(state: DurableObjectState, env: Env) -> Self {
        let state = State::from(state);
        if let Err(error) = platform::set_auto_response(&state, PING, PONG) {
            console_error!("auto-response: {error}");
        }
        let alarm = Rc::new(Cell::new(None));
        let (slot, storage) = (alarm.clone(), state.storage());
        let _loaded = state.block_concurrency_while(async move {
            // If it cannot be read, the alarm is only set once more than necessary.
            let at = storage.get_alarm().await.unwrap_or_default();
            slot.set(at.and_then(|ms| u64::try_from(ms).ok()).map(Timestamp));
            Ok(())
        });
        let object = Rc::new(Object {
            state,
            env,
            alarm,
            is_ringing: Cell::new(false),
            flushes_at: Cell::new(None),
            checks_queues: Cell::new(false),
            clock: Cell::default(),
            api_requests: Cell::new(0),
            pending: RefCell::default(),
            awake: RefCell::new(None),
        });
        Self { object }
    }

    /// Handles a request of the Worker: an admitted join request, or an API request, whose response
    /// may have to wait.
    pub fn fetch(&self, request: web_sys::Request) -> std::result::Result<JsValue, JsValue> {
        let request = Request::from(request);
        let mut requester = Requester::default();
        self.object.check_clock(&request)?;
        let was_unused = self.object.is_unused()?;
        if !request.headers().has(API_REQUEST_HEADER)? {
            let admitted = self.object.admit(&request, was_unused, &mut requester);
            let response = admitted.or_else(|problem| self.object.refuse(problem, requester))?;
            return Ok(self.object.respond(response, was_unused)?);
        }
        let object = self.object.clone();
        Ok(future_to_promise(async move {
            let handled = object.handle_api_request(&request, &mut requester).await;
            let response = handled.or_else(|problem| object.refuse(problem, requester))?;
            Ok(object.respond(response, was_unused)?)
        })
        .into())
    }

    /// Handles the alarm.
    pub fn alarm(&self) -> std::result::Result<(), JsValue> {
        self.object.alarm.set(None);
        self.object.is_ringing.set(true);
        let turned = self.object.turn(|awake| self.object.timeout(awake));
        self.object.is_ringing.set(false);
        // The runtime retries a failed alarm a few times, then gives up. If the room cannot wake for
        // now, for example because of an invalid setting, it would never have an alarm again.
        turned.or_else(|error| {
            console_error!("alarm: {error}");
            let later = platform::now().plus_ms(ALARM_RETRY_MS);
            self.object.alarm.set(Some(later));
            Ok(platform::set_alarm(&self.object.state.storage(), later)?)
        })
    }

    /// Handles a frame.
    #[wasm_bindgen(js_name = webSocketMessage)]
    pub fn web_socket_message(
        &self,
        socket: web_sys::WebSocket,
        message: &JsValue,
    ) -> std::result::Result<(), JsValue> {
        let socket = WebSocket::from(socket);
        let Some(from) = sockets::id_of(&self.object.state, &socket) else {
            return Ok(());
        };
        let input = match message.dyn_ref::<JsString>() {
            // Looked at here, because the memory of Wasm never shrinks. A UTF-16 unit is at least a byte.
            Some(text) if text.length() > FRAME_UNITS_MAX => Input::ReceiveTooLong { from },
            Some(text) => Input::Receive {
                from,
                text: text.into(),
            },
            None => Input::ReceiveBinary { from },
        };
        // If the room cannot wake, the client would wait forever.
        let turned = self.object.turn(|_| input);
        Ok(turned.inspect_err(|_| sockets::close_unavailable(&socket))?)
    }

    /// Handles a close by the client.
    #[wasm_bindgen(js_name = webSocketClose)]
    pub fn web_socket_close(
        &self,
        socket: web_sys::WebSocket,
        code: u16,
        reason: &str,
        was_clean: bool,
    ) -> std::result::Result<(), JsValue> {
        let socket = WebSocket::from(socket);
        let is_clean = was_clean && matches!(code, 1000 | 1001 | 1005);
        let gone = self.object.on_socket_gone(&socket, is_clean);
        sockets::answer_close(&socket, code, reason);
        Ok(gone?)
    }

    /// Handles a lost connection.
    #[wasm_bindgen(js_name = webSocketError)]
    pub fn web_socket_error(&self, socket: web_sys::WebSocket) -> std::result::Result<(), JsValue> {
        Ok(self
            .object
            .on_socket_gone(&WebSocket::from(socket), false)?)
    }
}

impl Object {
    /// Lets an admitted client join the room, unless the room refuses it.
    fn admit(
        self: &Rc<Self>,
        request: &Request,
        is_unused: bool,
        requester: &mut Requester,
    ) -> std::result::Result<Response, Problem> {
        let admission = request.headers().get(ADMISSION_HEADER)?.unwrap_or_default();
        let admission: Admission = serde_json::from_str(&admission).map_err(Error::from)?;
        (requester.user, requester.origin) =
            (Some(admission.user.clone()), admission.origin.clone());
        let is_probe = !is_upgrade(request);
        if is_unused {
            if is_probe {
                return Err(Refusal::UpgradeRequired.into());
            }
            check_creation(request)?;
        }
        self.sweep_if_due()?;
        self.with_awake(|awake| {
            let own = awake.room.sockets_of(&admission.user);
            let unread_bytes = awake.sockets.unread_bytes_of(own);
            let now = platform::now();
            awake.room.admit(&admission, unread_bytes, now)
        })??;
        if is_probe {
            return Err(Refusal::UpgradeRequired.into());
        }
        let WebSocketPair { client, server } = WebSocketPair::new()?;
        let connection = ConnectionId(platform::random()?);
        let lines = admission.options.lines;
        self.with_awake(|awake| awake.sockets.accept(&self.state, connection, &server))??;
        let joined = self.turn(|_| Input::Connect {
            connection,
            admission,
        });
        // An accepted socket without a connection would stay, and never be answered.
        joined.inspect_err(|_| sockets::close_unavailable(&server))?;
        let mut response = ResponseBuilder::new()
            .with_status(101)
            .with_websocket(client);
        if lines {
            response = response.with_header("sec-websocket-protocol", SUBPROTOCOL)?;
        }
        Ok(response.empty())
    }

    /// Handles an API request and returns its response.
    async fn handle_api_request(
        self: &Rc<Self>,
        request: &Request,
        requester: &mut Requester,
    ) -> std::result::Result<Response, Problem> {
        let api_request = request
            .headers()
            .get(API_REQUEST_HEADER)?
            .unwrap_or_default();
        let api_request: ApiRequest = serde_json::from_str(&api_request).map_err(Error::from)?;
        let caller = &api_request.caller;
        (requester.user, requester.origin) = (Some(caller.user.clone()), caller.origin.clone());
        let body = text(&read_body(request).await?)?;
        if self.is_unused()? {
            if let Some(reply) = api_request.operation.reply_if_unused(&self.name()?) {
                return Ok(to_http(&reply)?);
            }
            // An invalid request must not create a room.
            api_request.check(&body, &config::load(&self.env)?.room)?;
            check_creation(request)?;
        }
        self.sweep_if_due()?;
        let id = ApiRequestId(self.api_requests.get());
        self.api_requests.set(id.0.wrapping_add(1));
        let (sender, receiver) = oneshot::channel();
        self.pending.borrow_mut().insert(id, sender);
        let turned = self.turn(|_| Input::ApiRequest {
            id,
            request: api_request,
            body,
        });
        turned.inspect_err(|_| drop(self.pending.borrow_mut().remove(&id)))?;
        // The sender is dropped if the room had to be restored in the meantime.
        let reply = receiver.await.map_err(|_| Refusal::Internal)??;
        Ok(to_http(&reply)?)
    }

    /// Logs a problem, and returns it as the response.
    fn refuse(&self, problem: Problem, requester: Requester) -> Result<Response> {
        let requester = Requester {
            room: self.name().ok(),
            ..requester
        };
        problem.into_response(&requester, SPAWN)
    }

    /// Ends the object if its clock has stopped, because then its timers have, too.
    fn check_clock(&self, request: &Request) -> Result<()> {
        let worker = request.headers().get(TIME_HEADER)?;
        let Some(worker) = worker.and_then(|time| time.parse().ok()).map(Timestamp) else {
            return Ok(());
        };
        let mut watch = self.clock.get();
        let has_stopped = watch.has_stopped(platform::now(), worker);
        self.clock.set(watch);
        if has_stopped {
            console_error!("{CLOCK_STOPPED}: all clients have to reconnect");
            platform::abort(&self.state, CLOCK_STOPPED)?;
        }
        Ok(())
    }

    /// Reports to the Worker if the room was not in use.
    fn respond(&self, mut response: Response, was_unused: bool) -> Result<JsValue> {
        if was_unused {
            let found = match self.is_unused()? {
                true => RoomUse::Unused,
                false => RoomUse::Created,
            };
            response.headers_mut().set(ROOM_USE_HEADER, found.name())?;
        }
        let response: web_sys::Response = response.into();
        Ok(response.into())
    }

    /// Returns true if the room is not in use: was never used, or was removed. A request about such a room must not create it.
    fn is_unused(&self) -> Result<bool> {
        Ok(self.awake.borrow().is_none() && Store::is_new(self.state.storage())?)
    }

    /// Closes dead sockets if there may be any, so that the next request neither counts nor lists them.
    fn sweep_if_due(self: &Rc<Self>) -> Result<()> {
        if self.with_awake(|awake| awake.room.is_sweep_due(platform::now()))? {
            self.turn(|awake| self.timeout(awake))?;
        }
        Ok(())
    }

    /// Returns the input for the alarm. Only a look for dead sockets needs to ask each for its last ping.
    fn timeout(&self, awake: &Awake) -> Input {
        let is_sweep = awake.room.is_sweep_due(platform::now());
        Input::Timeout {
            answered: is_sweep.then(|| awake.sockets.answered(&self.state)),
        }
    }

    /// Disconnects a socket, on the first event that reports its end.
    fn on_socket_gone(self: &Rc<Self>, socket: &WebSocket, clean: bool) -> Result<()> {
        let Some(connection) = sockets::id_of(&self.state, socket) else {
            return Ok(());
        };
        self.turn(|awake| {
            awake.sockets.remove(connection);
            Input::Disconnect { connection, clean }
        })?;
        sockets::clear_attachment(socket);
        Ok(())
    }

    /// Runs one turn: handles one input and applies all outputs that follow from it.
    fn turn(self: &Rc<Self>, input: impl FnOnce(&mut Awake) -> Input) -> Result<()> {
        self.with_awake(|awake| {
            let now = platform::now();
            let input = input(awake);
            let mut next = Some(input);
            awake.room.set_unread_bytes(awake.sockets.unread_bytes());
            while let Some(input) = next {
                awake.room.handle_input(input, now);
                self.drain(awake);
                next = awake.sockets.is_too_slow().then(|| slow_consumers(awake));
            }
            self.arm_all(awake, now);
        })
    }

    /// Applies all outputs.
    fn drain(self: &Rc<Self>, awake: &mut Awake) {
        while let Some(output) = awake.room.poll_output() {
            self.apply(awake, output);
        }
        awake.room.store_mut().texts.clear();
    }

    /// Sets the alarm, and starts the timers that the room needs.
    fn arm_all(self: &Rc<Self>, awake: &Awake, now: Timestamp) {
        self.arm(awake);
        self.arm_flush(awake, now);
        self.arm_queue_check(awake);
    }

    /// Wakes the room if necessary, and does what its restoration asks for: a refused join or a probe
    /// may be the only event for a long time.
    fn with_awake<T>(self: &Rc<Self>, body: impl FnOnce(&mut Awake) -> T) -> Result<T> {
        let mut awake = self
            .awake
            .try_borrow_mut()
            .map_err(|_| Error::RustError("turns overlap".into()))?;
        if awake.is_none() {
            let now = platform::now();
            let mut woken = self.wake()?;
            self.drain(&mut woken);
            self.arm_all(&woken, now);
            *awake = Some(woken);
        }
        let done = awake
            .as_mut()
            .map(body)
            .ok_or_else(|| Error::RustError("not awake".into()))?;
        if awake.as_ref().is_some_and(|awake| awake.restarts) {
            *awake = None;
            self.pending.borrow_mut().clear();
        }
        Ok(done)
    }

    fn name(&self) -> Result<RoomName> {
        let name = self.state.id().name().as_deref().and_then(RoomName::parse);
        name.ok_or_else(|| Error::RustError("the object's name is not a valid room name".into()))
    }

    /// Returns the prefix of the room's event ids: enough of the object's id to be unique.
    fn source(&self) -> String {
        self.state.id().to_string().chars().take(16).collect()
    }

    /// Restores the room from its storage and its sockets' attachments.
    fn wake(&self) -> Result<Awake> {
        let name = self.name()?;
        let config =
            config::load(&self.env).map_err(|refusal| Error::RustError(refusal.code().into()))?;
        let store = Store::open(self.state.storage())?;
        let (sockets, kept) = Sockets::restore(&self.state)?;
        let is_ringing = self.is_ringing.get();
        let alarm = is_ringing.then(platform::now).or(self.alarm.get());
        let stored = store.load(&self.source(), alarm)?;
        let room = snug_core::Room::restore(
            name,
            config.room.clone(),
            store,
            stored,
            kept,
            platform::now(),
        );
        Ok(Awake {
            room,
            sockets,
            restarts: false,
        })
    }

    /// Applies one output.
    fn apply(self: &Rc<Self>, awake: &mut Awake, output: Output) {
        let Awake { room, sockets, .. } = awake;
        match output {
            Output::Send { to, text } => {
                let encoded = room.store_mut().texts.encode(&text);
                sockets.send(&to, encoded, text.len());
            }
            Output::Attach {
                connection,
                attachment,
            } => log_fault("attach", sockets.attach(connection, &attachment)),
            Output::Close {
                connection,
                code,
                attachment,
            } => log_fault("close", sockets.close(connection, code, &attachment)),
            Output::Respond { id, result } => {
                if let Some(sender) = self.pending.borrow_mut().remove(&id) {
                    // Sending fails if the caller has disconnected.
                    let _unsent = sender.send(result);
                }
            }
            Output::CheckToken {
                connection,
                id,
                token,
            } => self.check_token(connection, id, token),
            Output::CallPublishHook { task, request } => self.call_publish_hook(task, request),
            Output::Deliver { task, delivery } => self.deliver(task, delivery),
            Output::Log(line) => log::write(line, SPAWN),
            Output::Restart => awake.restarts = true,
            Output::Remove => {
                log_fault("remove", room.store().remove());
                self.alarm.set(None);
                awake.restarts = true;
            }
        }
    }

    /// Sets the alarm if something is due before it, and deletes it if nothing is due. For the removal of
    /// the room, sets it exactly, because a restored room knows the time of its removal only from the alarm.
    fn arm(&self, awake: &Awake) {
        let storage = self.state.storage();
        let (due, set) = (awake.room.poll_timeout(), self.alarm.get());
        let armed = match due {
            Some((at, Wake::Removal)) if set != Some(at) => platform::set_alarm(&storage, at),
            Some((at, _)) if set.is_none_or(|set| at < set) => platform::set_alarm(&storage, at),
            None if set.is_some() => platform::delete_alarm(&storage),
            _ => return,
        };
        match armed {
            Ok(()) => self.alarm.set(due.map(|(at, _)| at)),
            Err(error) => console_error!("alarm: {error}"),
        }
    }

    /// Starts a timer that reads the queues of all sockets, if together they are long.
    fn arm_queue_check(self: &Rc<Self>, awake: &Awake) {
        if !awake.sockets.is_check_due() || self.checks_queues.replace(true) {
            return;
        }
        let object = Rc::downgrade(self);
        platform::run_in_ms(QUEUE_CHECK_MS, move || {
            let Some(object) = object.upgrade() else {
                return;
            };
            object.checks_queues.set(false);
            if let Err(error) = object.turn(slow_consumers) {
                console_error!("queues: {error}");
            }
        });
    }

    /// Starts a timer for the room's next flush, unless an earlier one runs.
    fn arm_flush(self: &Rc<Self>, awake: &Awake, now: Timestamp) {
        let Some(wait_ms) = awake.room.poll_flush() else {
            return;
        };
        let due = now.plus_ms(wait_ms);
        if self.flushes_at.get().is_some_and(|at| at <= due) {
            return;
        }
        self.flushes_at.set(Some(due));
        // Weak, because the timer of an object that was reset never fires and would leak the object.
        let object = Rc::downgrade(self);
        platform::run_in_ms(wait_ms, move || {
            let object = object.upgrade();
            // Ignore a timer that a newer one has replaced.
            let Some(object) = object.filter(|one| one.flushes_at.get() == Some(due)) else {
                return;
            };
            object.flushes_at.set(None);
            if let Err(error) = object.turn(|_| Input::Flush) {
                console_error!("flush: {error}");
            }
        });
    }
}

/// Checks that a request may create a room.
///
/// # Errors
///
/// `rate_limited` if its user has created too many.
fn check_creation(request: &Request) -> std::result::Result<(), Problem> {
    match request.headers().has(NO_NEW_ROOM_HEADER)? {
        true => Err(Refusal::RateLimited { seconds: 1 }.into()),
        false => Ok(()),
    }
}

/// Reads the queues of all sockets.
fn slow_consumers(awake: &mut Awake) -> Input {
    Input::SlowConsumers {
        queued: awake.sockets.read_queues(),
    }
}

fn to_http(reply: &Reply) -> Result<Response> {
    let response = ApiResponse::from(reply);
    Ok(ResponseBuilder::new()
        .with_status(response.status)
        .with_header("content-type", "application/json")?
        .with_header("cache-control", "no-store")?
        .fixed(response.body.as_bytes().to_vec()))
}

/// Logs an error that the room does not need to know of.
fn log_fault(place: &str, outcome: Result<()>) {
    if let Err(error) = outcome {
        console_error!("{place}: {error}");
    }
}
