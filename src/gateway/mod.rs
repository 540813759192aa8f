//! The Durable Object of one gateway. Each runtime event becomes an [`Input`], each [`Output`] an effect.

mod store;
mod tasks;

use std::{cell::Cell, collections::BTreeMap, rc::Rc};

use snug_core::{
    ConnectionId, GatewayName, Refusal, Timestamp,
    auth::SUBPROTOCOL,
    gateway::{
        Gateway as GatewayMachine,
        io::{Input, Output, SessionAdmission},
    },
    link::call::{Answer, Call},
    log::Requester,
    protocol::push::{PING, PONG},
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
    body, config,
    connect::FULL_HEADER,
    log::{self, Spawn},
    object::{
        self, Due, Host, Shell,
        sockets::{self, Frame, Sockets},
        text_cache::JsTextCache,
    },
    object_stub::CALL_PATH,
    platform,
    problem::Problem,
    requests::{RequestToObject, upgrade_response},
};

/// The Durable Object class of gateways.
#[wasm_bindgen]
pub struct Gateway {
    object: Rc<Object>,
}

/// Runs a task in the object, which does not hibernate in the meantime.
const SPAWN: Spawn<'_> = &|task| spawn_local(task);

/// The state of the object. Timers and calls under way share it.
struct Object {
    shell: Shell<Machine>,
    env: Env,
    /// The answer to the call of a room.
    answer: Cell<Option<Answer>>,
}

/// The gateway with its storage.
type Machine = GatewayMachine<Store>;

type Awake = object::Awake<Machine>;

/// The object's event handlers, exported by hand like those of a room.
#[wasm_bindgen]
impl Gateway {
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
            answer: Cell::default(),
        });
        Self { object }
    }

    /// Handles a request of the Worker for a session, or a call of a room.
    pub fn fetch(&self, request: web_sys::Request) -> std::result::Result<JsValue, JsValue> {
        let parts = RequestToObject::read(&request)?;
        self.object.check_clock(&parts)?;
        if parts.path == CALL_PATH {
            let object = self.object.clone();
            return Ok(future_to_promise(async move {
                let response: web_sys::Response = object.receive_call(&request).await?.into();
                Ok(response.into())
            })
            .into());
        }
        let mut requester = Requester::default();
        match self.object.accept(&parts, &mut requester) {
            Ok(response) => Ok(response.into()),
            Err(problem) => {
                let response = problem.into_response(&requester, SPAWN)?;
                Ok(web_sys::Response::from(response).into())
            }
        }
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
        // If the gateway cannot wake, the client would wait forever.
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
    /// Starts a session, unless the gateway is full or the user has too many.
    fn accept(
        self: &Rc<Self>,
        request: &RequestToObject,
        requester: &mut Requester,
    ) -> std::result::Result<web_sys::Response, Problem> {
        let admission = request.session.as_deref().unwrap_or_default();
        let admission: SessionAdmission = serde_json::from_str(admission).map_err(Error::from)?;
        (requester.user, requester.origin) =
            (Some(admission.user.clone()), admission.origin.clone());
        self.sweep_if_due()?;
        if self.with_awake(|awake| awake.machine.is_full())? {
            let full = ResponseBuilder::new().with_status(503);
            return Ok(full.with_header(FULL_HEADER, "1")?.empty().into());
        }
        self.with_awake(|awake| {
            let own = awake.machine.sockets_of(&admission.user);
            let unread_bytes = awake.sockets.unread_bytes_of(own);
            awake.machine.admit(&admission, unread_bytes)
        })??;
        if !request.is_upgrade {
            return Err(Refusal::UpgradeRequired.into());
        }
        let WebSocketPair { client, server } = WebSocketPair::new()?;
        let connection = ConnectionId(platform::random()?);
        let lines = admission.lines;
        self.with_awake(|awake| awake.sockets.accept(self.state(), connection, &server))??;
        let connected = self.turn(|_| Input::Connect {
            connection,
            admission,
        });
        // An accepted socket without a session would stay, and never be answered.
        connected.inspect_err(|_| sockets::close_unavailable(&server))?;
        let protocol = lines.then_some(SUBPROTOCOL);
        Ok(upgrade_response(client.as_ref(), protocol)?)
    }

    /// Handles a call of a room.
    async fn receive_call(self: &Rc<Self>, request: &web_sys::Request) -> Result<Response> {
        let answer = match Call::decode(&body::text(request).await?) {
            // It is of a version that is not known.
            None => Answer::Unknown,
            Some(call) => {
                self.turn(|_| Input::Call(call))?;
                self.answer.take().unwrap_or(Answer::Unknown)
            }
        };
        Ok(ResponseBuilder::new().fixed(answer.encode().into_bytes()))
    }

    fn state(&self) -> &State {
        &self.shell.state
    }

    fn name(&self) -> Result<GatewayName> {
        let name = self.state().id().name();
        let name = name.ok_or_else(|| Error::RustError("the gateway has no name".into()))?;
        Ok(GatewayName::new(&name))
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

    fn poll_timeout(&self) -> Option<Due> {
        let is_exact = false;
        Self::poll_timeout(self).map(|at| Due { at, is_exact })
    }

    fn poll_flush(&self) -> Option<u64> {
        Self::poll_flush(self)
    }

    fn set_unread_bytes(&mut self, _bytes: u64) {}

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
        let config =
            config::load(&self.env).map_err(|refusal| Error::RustError(refusal.code().into()))?;
        let store = Store::open(self.state().storage())?;
        let (sockets, kept) = Sockets::restore(self.state())?;
        let stored = store.load()?;
        let rules = config.gateway.clone();
        let machine = Machine::restore(rules, store, stored, kept, platform::now());
        Ok(Awake {
            machine,
            sockets,
            restarts: false,
        })
    }

    fn apply(self: &Rc<Self>, awake: &mut Awake, output: Output) {
        let sockets = &mut awake.sockets;
        match output {
            Output::Send { to, text } => {
                let mut texts = JsTextCache::default();
                sockets.send(&to, texts.encode(&text), text.len());
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
            Output::CheckToken {
                connection,
                check,
                token,
            } => self.check_token(connection, check, token),
            Output::AnswerCall(answer) => self.answer.set(Some(answer)),
            Output::CallRoom(call) => self.call_room(call),
            Output::Log(line) => log::write(line, SPAWN),
        }
    }

    fn on_applied(&self, _awake: &mut Awake) {}

    fn on_dropped(&self) {}
}
