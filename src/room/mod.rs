//! The Durable Object of one room. Each runtime event becomes an [`Input`], each [`Output`] an effect.

mod store;
mod tasks;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use futures::channel::oneshot;
use snug_core::{
    Admission, ApiRequest, ApiRequestId, ApiResponse, ConnectionId, GatewayName, Input, Output,
    Refusal, Reply, RoomName, Timestamp,
    auth::{SUBPROTOCOL, room_guard::RoomUse},
    link::{
        call::{Answer, Call, Content},
        event::ToRoom,
    },
    log::Requester,
    protocol::push::{PING, PONG},
    room::Wake,
};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use worker::{
    Env, Error, Response, ResponseBuilder, Result, State, WebSocket, WebSocketPair, console_error,
    wasm_bindgen_futures::{future_to_promise, spawn_local},
    web_sys,
    worker_sys::DurableObjectState,
};

use self::store::Store;
use crate::{
    api::{read_body, text},
    body, config,
    log::{self, Spawn},
    object::{
        self, Due, Host, Shell,
        sockets::{self, Frame, Sockets},
    },
    object_stub::{API_PATH, CALL_PATH, JOIN_PATH},
    platform,
    problem::Problem,
    requests::{RequestToObject, upgrade_response},
    room_guard::ROOM_USE_HEADER,
};

/// The Durable Object class of rooms.
#[wasm_bindgen]
pub struct Room {
    object: Rc<Object>,
}

/// Runs a task in the object, which does not hibernate in the meantime.
const SPAWN: Spawn<'_> = &|task| spawn_local(task);

/// The state of the object. Timers and pending requests share it.
struct Object {
    shell: Shell<Machine>,
    env: Env,
    /// The number of API requests since the object started.
    api_requests: Cell<u64>,
    /// The answer to the call of a gateway.
    answer: Cell<Option<Answer>>,
    /// API requests without a response yet.
    pending: RefCell<BTreeMap<ApiRequestId, oneshot::Sender<std::result::Result<Reply, Refusal>>>>,
}

/// The room with its storage.
type Machine = snug_core::Room<Store>;

type Awake = object::Awake<Machine>;

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
        let object = Rc::new(Object {
            shell: Shell::new(state),
            env,
            api_requests: Cell::new(0),
            answer: Cell::default(),
            pending: RefCell::default(),
        });
        Self { object }
    }

    /// Handles a request of the Worker: an admitted join request, or an API request, whose response
    /// may have to wait.
    pub fn fetch(&self, request: web_sys::Request) -> std::result::Result<JsValue, JsValue> {
        let mut requester = Requester::default();
        let parts = RequestToObject::read(&request)?;
        self.object.check_clock(&parts)?;
        let was_unused = self.object.is_unused()?;
        if parts.path == CALL_PATH {
            let object = self.object.clone();
            return Ok(future_to_promise(async move {
                let response = object.receive_call(&request, was_unused).await?;
                Ok(object.respond(response.into(), was_unused)?)
            })
            .into());
        }
        // A Worker of the version before sends no path, but only API requests with this header.
        let is_api = match parts.path.as_str() {
            JOIN_PATH => false,
            API_PATH => true,
            _ => parts.api_request.is_some(),
        };
        if !is_api {
            let admitted = self.object.admit(&parts, was_unused, &mut requester);
            let response = admitted.or_else(|problem| self.object.refuse(problem, requester))?;
            return Ok(self.object.respond(response, was_unused)?);
        }
        let object = self.object.clone();
        Ok(future_to_promise(async move {
            let handled = object.handle_api_request(&request, &parts, &mut requester);
            let handled = handled.await.map(web_sys::Response::from);
            let response = handled.or_else(|problem| object.refuse(problem, requester))?;
            Ok(object.respond(response, was_unused)?)
        })
        .into())
    }

    /// Handles the alarm.
    pub fn alarm(&self) -> std::result::Result<(), JsValue> {
        Ok(self.object.ring()?)
    }

    /// Handles a frame.
    #[wasm_bindgen(js_name = webSocketMessage)]
    pub fn web_socket_message(
        &self,
        socket: web_sys::WebSocket,
        message: &JsValue,
    ) -> std::result::Result<(), JsValue> {
        let socket = WebSocket::from(socket);
        let Some(from) = sockets::id_of(self.object.state(), &socket) else {
            return Ok(());
        };
        let input = match sockets::read_frame(message) {
            Frame::Text(text) => Input::Receive { from, text },
            Frame::TooLong => Input::ReceiveTooLong { from },
            Frame::Binary => Input::ReceiveBinary { from },
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
        let is_clean = sockets::is_clean(was_clean, code);
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
        request: &RequestToObject,
        is_unused: bool,
        requester: &mut Requester,
    ) -> std::result::Result<web_sys::Response, Problem> {
        let admission = request.admission.as_deref().unwrap_or_default();
        let admission: Admission = serde_json::from_str(admission).map_err(Error::from)?;
        (requester.user, requester.origin) =
            (Some(admission.user.clone()), admission.origin.clone());
        let is_probe = !request.is_upgrade;
        if is_unused {
            if is_probe {
                return Err(Refusal::UpgradeRequired.into());
            }
            check_creation(request)?;
        }
        self.sweep_if_due()?;
        self.with_awake(|awake| {
            let own = awake.machine.sockets_of(&admission.user);
            let unread_bytes = awake.sockets.unread_bytes_of(own);
            let now = platform::now();
            awake.machine.admit(&admission, unread_bytes, now)
        })??;
        if is_probe {
            return Err(Refusal::UpgradeRequired.into());
        }
        let WebSocketPair { client, server } = WebSocketPair::new()?;
        let connection = ConnectionId(platform::random()?);
        let lines = admission.options.lines;
        self.with_awake(|awake| awake.sockets.accept(self.state(), connection, &server))??;
        let joined = self.turn(|_| Input::Connect {
            connection,
            admission,
        });
        // An accepted socket without a connection would stay, and never be answered.
        joined.inspect_err(|_| sockets::close_unavailable(&server))?;
        let protocol = lines.then_some(SUBPROTOCOL);
        Ok(upgrade_response(client.as_ref(), protocol)?)
    }

    /// Handles an API request and returns its response.
    async fn handle_api_request(
        self: &Rc<Self>,
        request: &web_sys::Request,
        parts: &RequestToObject,
        requester: &mut Requester,
    ) -> std::result::Result<Response, Problem> {
        let api_request = parts.api_request.as_deref().unwrap_or_default();
        let api_request: ApiRequest = serde_json::from_str(api_request).map_err(Error::from)?;
        let caller = &api_request.caller;
        (requester.user, requester.origin) = (Some(caller.user.clone()), caller.origin.clone());
        let body = text(&read_body(request).await?)?;
        if self.is_unused()? {
            if let Some(reply) = api_request.operation.reply_if_unused(&self.name()?) {
                return Ok(to_http(&reply)?);
            }
            // An invalid request must not create a room.
            api_request.check(&body, &config::load(&self.env)?.room)?;
            check_creation(parts)?;
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

    /// Handles a call of a gateway.
    async fn receive_call(
        self: &Rc<Self>,
        request: &web_sys::Request,
        is_unused: bool,
    ) -> Result<Response> {
        let call = Call::decode(&body::text(request).await?);
        let answer = match call {
            // It is of a version that is not known.
            None => Answer::Unknown,
            Some(call) if is_unused && !may_create(&call) => Answer::Refused,
            Some(call) => {
                self.sweep_if_due()?;
                self.turn(|_| Input::Call(call))?;
                self.answer.take().unwrap_or(Answer::Unknown)
            }
        };
        Ok(ResponseBuilder::new().fixed(answer.encode().into_bytes()))
    }

    /// Logs a problem, and returns it as the response.
    fn refuse(&self, problem: Problem, requester: Requester) -> Result<web_sys::Response> {
        let requester = Requester {
            room: self.name().ok(),
            ..requester
        };
        Ok(problem.into_response(&requester, SPAWN)?.into())
    }

    /// Reports to the Worker if the room was not in use.
    fn respond(&self, response: web_sys::Response, was_unused: bool) -> Result<JsValue> {
        if was_unused {
            let found = match self.is_unused()? {
                true => RoomUse::Unused,
                false => RoomUse::Created,
            };
            response.headers().set(ROOM_USE_HEADER, found.name())?;
        }
        Ok(response.into())
    }

    /// Returns true if the room is not in use: was never used, or was removed. A request about such a room must not create it.
    fn is_unused(&self) -> Result<bool> {
        Ok(!self.shell.is_awake() && Store::is_new(self.state().storage())?)
    }

    fn state(&self) -> &State {
        &self.shell.state
    }

    fn name(&self) -> Result<RoomName> {
        let name = self
            .state()
            .id()
            .name()
            .as_deref()
            .and_then(RoomName::parse);
        name.ok_or_else(|| Error::RustError("the object's name is not a valid room name".into()))
    }

    /// Returns the prefix of the room's event ids: enough of the object's id to be unique.
    fn source(&self) -> String {
        self.state().id().to_string().chars().take(16).collect()
    }
}

impl object::Machine for Machine {
    type Input = Input;
    type Output = Output;

    fn handle_input(&mut self, input: Input, now: Timestamp) {
        Self::handle_input(self, input, now);
    }

    fn poll_output(&mut self) -> Option<Output> {
        Self::poll_output(self)
    }

    /// The time of the removal is exact, because a restored room knows it only from the alarm.
    fn poll_timeout(&self) -> Option<Due> {
        Self::poll_timeout(self).map(|(at, wake)| Due {
            at,
            is_exact: wake == Wake::Removal,
        })
    }

    fn poll_flush(&self) -> Option<u64> {
        Self::poll_flush(self)
    }

    fn set_unread_bytes(&mut self, bytes: u64) {
        Self::set_unread_bytes(self, bytes);
    }

    fn flush() -> Input {
        Input::Flush
    }

    fn is_sweep_due(&self, now: Timestamp) -> bool {
        Self::is_sweep_due(self, now)
    }

    fn timeout(answered: Option<BTreeMap<ConnectionId, Timestamp>>) -> Input {
        Input::Timeout { answered }
    }

    fn disconnect(connection: ConnectionId, clean: bool) -> Input {
        Input::Disconnect { connection, clean }
    }

    fn slow_consumers(queued: BTreeMap<ConnectionId, u64>) -> Input {
        Input::SlowConsumers { queued }
    }
}

impl Host for Object {
    type Machine = Machine;

    fn shell(&self) -> &Shell<Machine> {
        &self.shell
    }

    fn wake(&self) -> Result<Awake> {
        let name = self.name()?;
        let config =
            config::load(&self.env).map_err(|refusal| Error::RustError(refusal.code().into()))?;
        let store = Store::open(self.state().storage())?;
        let (sockets, kept) = Sockets::restore(self.state())?;
        let stored = store.load(&self.source(), self.shell.alarm())?;
        let machine = Machine::restore(
            name,
            config.room.clone(),
            store,
            stored,
            kept,
            platform::now(),
        );
        Ok(Awake {
            machine,
            sockets,
            restarts: false,
        })
    }

    fn apply(self: &Rc<Self>, awake: &mut Awake, output: Output) {
        let Awake {
            machine, sockets, ..
        } = awake;
        match output {
            Output::Send { to, text } => {
                let encoded = machine.store_mut().texts.encode(&text);
                sockets.send(&to, encoded, text.len());
            }
            Output::Attach {
                connection,
                attachment,
            } => object::log_fault("attach", sockets.attach(connection, &attachment)),
            Output::Close {
                connection,
                code,
                attachment,
            } => object::log_fault("close", sockets.close(connection, code, &attachment)),
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
            Output::AnswerCall(answer) => self.answer.set(Some(answer)),
            Output::CallGateway(call) => self.call_gateway(call),
            Output::Log(line) => log::write(line, SPAWN),
            Output::Restart => awake.restarts = true,
            Output::Remove => {
                object::log_fault("remove", machine.store().remove());
                self.shell.forget_alarm();
                awake.restarts = true;
            }
        }
    }

    fn on_applied(&self, awake: &mut Awake) {
        awake.machine.store_mut().texts.clear();
    }

    fn on_dropped(&self) {
        self.pending.borrow_mut().clear();
    }
}

/// Checks that a request may create a room.
///
/// # Errors
///
/// `rate_limited` if its user has created too many.
fn check_creation(request: &RequestToObject) -> std::result::Result<(), Problem> {
    match request.must_not_create {
        true => Err(Refusal::RateLimited { seconds: 1 }.into()),
        false => Ok(()),
    }
}

/// Returns true if a call of a gateway may create the room.
fn may_create(call: &Call<GatewayName, ToRoom>) -> bool {
    match &call.content {
        Content::Batch(batch) => batch.events.iter().any(ToRoom::may_create),
        Content::End | Content::Unreadable => false,
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
