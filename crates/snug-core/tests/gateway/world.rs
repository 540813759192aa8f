//! A world of rooms and gateways in memory, the network between them, and the clients of the gateways.
//!
//! What passes between objects is encoded and decoded as between the Worker's objects. The network keeps the
//! order of the calls from one object to another, and can lose a call, lose its answer, or repeat it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

#[allow(dead_code)]
#[path = "../room/store.rs"]
mod store;

use serde_json::{Value, json};
use snug_core::{
    CloseCode, Config, ConnectionId, GatewayName, LinkId, Refusal, Room, RoomName, StorageFault,
    TaskId, Timestamp, UserId,
    auth::token::{ClaimedLimits, Claims},
    backend::publish_hook::{Decision, HookRequest},
    config::{GatewayRules, RoomRules},
    gateway::{
        Gateway, io as gateway_io,
        io::{SessionAdmission, TokenCheck},
        store::{GatewaySnapshot, StoredSubscription},
    },
    link::{
        call::{Answer, Call},
        event::{ToGateway, ToRoom},
        links::{CallId, OutgoingCall, StoredLink},
    },
    protocol::command::CommandId,
    room::io::{self as room_io, RestoredSocket},
};

pub use store::MemoryStore;

pub const START_MS: u64 = 1_800_000_000_000;
const YEAR_MS: u64 = 365 * 24 * 3_600_000;

/// The network's treatment of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Arrives,
    /// It never arrives, and the caller learns so.
    IsLost,
    /// It arrives, but its answer does not.
    LosesItsAnswer,
    /// It arrives twice. The second answer is dropped.
    ArrivesTwice,
}

/// A gateway's storage in memory.
#[derive(Clone, Debug, Default)]
pub struct GatewayStore {
    pub links: BTreeMap<LinkId, StoredLink<RoomName>>,
    pub subscriptions: BTreeMap<(ConnectionId, RoomName), StoredSubscription>,
    pub is_amid_calls: bool,
}

impl snug_core::gateway::store::Store for GatewayStore {
    fn store_link(&mut self, link: &StoredLink<RoomName>) -> Result<(), StorageFault> {
        self.links.insert(link.id, link.clone());
        Ok(())
    }

    fn delete_link(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    fn store_subscription(&mut self, one: &StoredSubscription) -> Result<(), StorageFault> {
        let key = (one.member, one.room.clone());
        self.subscriptions.insert(key, one.clone());
        Ok(())
    }

    fn delete_subscription(&mut self, member: ConnectionId, room: &RoomName) {
        self.subscriptions.remove(&(member, room.clone()));
    }

    fn note_calls(&mut self, is_amid_calls: bool) {
        assert_ne!(self.is_amid_calls, is_amid_calls, "noted already");
        self.is_amid_calls = is_amid_calls;
    }
}

/// A call or an answer under way.
#[derive(Debug)]
enum Packet {
    ToRoom {
        from: GatewayName,
        to: RoomName,
        id: CallId,
        text: String,
    },
    ToGateway {
        from: RoomName,
        to: GatewayName,
        id: CallId,
        text: String,
    },
    AnswerToRoom {
        to: RoomName,
        id: CallId,
        answer: Option<Answer>,
    },
    AnswerToGateway {
        to: GatewayName,
        id: CallId,
        answer: Option<Answer>,
    },
}

/// A client's connection to a gateway.
#[derive(Debug)]
pub struct Client {
    pub gateway: GatewayName,
    pub attachment: String,
    pub is_open: bool,
    pub closed: Option<u16>,
    /// The pushes that were received and not read yet.
    pub unread: VecDeque<Value>,
}

pub struct World {
    pub now: Timestamp,
    pub rooms: BTreeMap<RoomName, Room<MemoryStore>>,
    pub gateways: BTreeMap<GatewayName, Gateway<GatewayStore>>,
    pub clients: BTreeMap<ConnectionId, Client>,
    pub room_rules: Rc<RoomRules>,
    network: VecDeque<Packet>,
    /// The times at which the timers of rooms and of gateways fire.
    room_timers: BTreeMap<RoomName, Timestamp>,
    gateway_timers: BTreeMap<GatewayName, Timestamp>,
    /// Decides about each call.
    pub fate: Box<dyn FnMut() -> Fate>,
    /// The tokens that are being checked.
    pub checks: Vec<(GatewayName, ConnectionId, TokenCheck)>,
    /// The requests to the publish hook without a response.
    pub hook_requests: Vec<(RoomName, TaskId, HookRequest)>,
    /// The tokens that rooms check.
    pub room_checks: Vec<(RoomName, ConnectionId, Option<CommandId>)>,
    connected: u64,
    restored: u64,
    /// The number of calls between objects.
    pub calls: usize,
}

impl World {
    pub fn new(change: impl Fn(&mut RoomRules)) -> Self {
        let secret = |name: &str| (name == "JWT_SECRET").then(|| "s".repeat(32).into());
        let config = Config::read(&secret, &|_| None).unwrap_or_else(|error| panic!("{error}"));
        let mut rules = (*config.room).clone();
        change(&mut rules);
        Self {
            now: Timestamp(START_MS),
            rooms: BTreeMap::new(),
            gateways: BTreeMap::new(),
            clients: BTreeMap::new(),
            room_rules: Rc::new(rules),
            network: VecDeque::new(),
            room_timers: BTreeMap::new(),
            gateway_timers: BTreeMap::new(),
            fate: Box::new(|| Fate::Arrives),
            checks: Vec::new(),
            hook_requests: Vec::new(),
            room_checks: Vec::new(),
            connected: 0,
            restored: 0,
            calls: 0,
        }
    }

    // Clients.

    /// Connects a user to a gateway, with a token for all rooms.
    pub fn connects(&mut self, gateway: &str, user: &str) -> ConnectionId {
        self.connects_with(gateway, claims(user, json!(["*"])))
    }

    pub fn connects_with(&mut self, gateway: &str, claims: Claims) -> ConnectionId {
        let name = GatewayName::new(gateway);
        if !self.gateways.contains_key(&name) {
            self.restore_gateway(&name, GatewayStore::default());
        }
        self.connected += 1;
        let id = ConnectionId(self.connected.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let client = Client {
            gateway: name.clone(),
            attachment: String::new(),
            is_open: true,
            closed: None,
            unread: VecDeque::new(),
        };
        self.clients.insert(id, client);
        let admission = SessionAdmission {
            user: claims.user,
            info: claims.info,
            grants: claims.grants,
            expires: claims.expires,
            issued: claims.issued,
            limits: claims.limits,
            lines: true,
            origin: None,
        };
        let input = gateway_io::Input::Connect {
            connection: id,
            admission,
        };
        self.feed_gateway(&name, input);
        id
    }

    pub fn sends(&mut self, client: ConnectionId, command: Value) {
        self.sends_text(client, &command.to_string());
    }

    pub fn sends_text(&mut self, client: ConnectionId, text: &str) {
        let gateway = self.clients[&client].gateway.clone();
        let input = gateway_io::Input::Receive {
            from: client,
            text: text.into(),
        };
        self.feed_gateway(&gateway, input);
    }

    /// Ends a client's connection.
    pub fn disconnects(&mut self, client: ConnectionId, clean: bool) {
        let Some(one) = self.clients.get_mut(&client) else {
            return;
        };
        one.is_open = false;
        let gateway = one.gateway.clone();
        let input = gateway_io::Input::Disconnect {
            connection: client,
            clean,
        };
        self.feed_gateway(&gateway, input);
    }

    /// Ends the oldest check of a token.
    pub fn token_is_checked(&mut self, outcome: Result<Claims, Refusal>) {
        let (gateway, connection, check) = self.checks.remove(0);
        let input = gateway_io::Input::TokenChecked {
            connection,
            check,
            outcome,
        };
        self.feed_gateway(&gateway, input);
    }

    /// The publish hook allows the messages of the oldest request.
    pub fn hook_allows(&mut self) {
        let (room, task, request) = self.hook_requests.remove(0);
        let body: Value = serde_json::from_str(&request.body("now")).expect("JSON");
        let messages = body["data"]["messages"].as_array().expect("messages").len();
        let decisions = Some(vec![Decision::Allow; messages]);
        self.feed_room(&room, room_io::Input::HookDecided { task, decisions });
    }

    /// Ends the oldest check of a token by a room.
    pub fn room_checks_token(&mut self, outcome: Result<Claims, Refusal>) {
        let (room, connection, id) = self.room_checks.remove(0);
        let input = room_io::Input::TokenChecked {
            connection,
            id,
            outcome,
        };
        self.feed_room(&room, input);
    }

    // Objects.

    pub fn feed_gateway(&mut self, name: &GatewayName, input: gateway_io::Input) {
        if !self.gateways.contains_key(name) {
            self.restore_gateway(name, GatewayStore::default());
        }
        let now = self.now;
        if let Some(gateway) = self.gateways.get_mut(name) {
            gateway.handle_input(input, now);
        }
        self.apply_gateway(name);
    }

    pub fn feed_room(&mut self, name: &RoomName, input: room_io::Input) {
        if !self.rooms.contains_key(name) {
            self.restore_room(name, MemoryStore::new());
        }
        let now = self.now;
        if let Some(room) = self.rooms.get_mut(name) {
            room.handle_input(input, now);
        }
        self.apply_room(name);
    }

    fn restore_gateway(&mut self, name: &GatewayName, store: GatewayStore) {
        self.restored += 1;
        let stored = GatewaySnapshot {
            links: store.links.values().cloned().collect(),
            subscriptions: store.subscriptions.values().cloned().collect(),
            is_amid_calls: store.is_amid_calls,
            first_link: self.restored.wrapping_mul(0xd1b5_4a32_d192_ed03),
        };
        let rules = GatewayRules {
            room: self.room_rules.clone(),
            connections_max: 4_000,
        };
        let own = self.clients.iter();
        let sockets: Vec<_> = own
            .filter(|(_, client)| client.gateway == *name && client.is_open)
            .map(|(id, client)| RestoredSocket {
                connection: *id,
                attachment: client.attachment.clone(),
                answered: None,
            })
            .collect();
        let gateway = Gateway::restore(Rc::new(rules), store, stored, sockets, self.now);
        self.gateways.insert(name.clone(), gateway);
        self.apply_gateway(name);
    }

    fn restore_room(&mut self, name: &RoomName, store: MemoryStore) {
        let stored = store.stored();
        let rules = self.room_rules.clone();
        let room = Room::restore(name.clone(), rules, store, stored, [], self.now);
        self.rooms.insert(name.clone(), room);
        self.apply_room(name);
    }

    /// Loses everything that a room has in memory.
    pub fn loses_room(&mut self, name: &RoomName) {
        if let Some(mut room) = self.rooms.remove(name) {
            let store = std::mem::take(room.store_mut());
            self.restore_room(name, store);
        }
    }

    /// Loses everything that a gateway has in memory, and its sockets if it crashes.
    pub fn loses_gateway(&mut self, name: &GatewayName, crashes: bool) {
        if let Some(mut gateway) = self.gateways.remove(name) {
            let store = std::mem::take(gateway.store_mut());
            if crashes {
                for client in self.clients.values_mut().filter(|one| one.gateway == *name) {
                    client.is_open = false;
                }
            }
            self.restore_gateway(name, store);
        }
    }

    fn apply_gateway(&mut self, name: &GatewayName) -> Option<Answer> {
        use gateway_io::Output;
        let mut answered = None;
        while let Some(output) = self.gateways.get_mut(name)?.poll_output() {
            match output {
                Output::Attach {
                    connection,
                    attachment,
                } => {
                    if let Some(client) = self.clients.get_mut(&connection) {
                        client.attachment = attachment;
                    }
                }
                Output::Send { to, text } => self.deliver(&to, &text),
                Output::Close {
                    connection, code, ..
                } => self.close(connection, code),
                Output::CheckToken {
                    connection, check, ..
                } => self.checks.push((name.clone(), connection, check)),
                Output::AnswerCall(answer) => answered = Some(answer),
                Output::CallRoom(call) => {
                    let (id, to) = (call.id(), call.to.clone());
                    let text = encode(name.clone(), call);
                    self.network.push_back(Packet::ToRoom {
                        from: name.clone(),
                        to,
                        id,
                        text,
                    });
                }
                Output::Log(_) => {}
            }
        }
        let wait_ms = self.gateways.get(name)?.poll_flush();
        set_timer(&mut self.gateway_timers, name, wait_ms, self.now);
        answered
    }

    fn apply_room(&mut self, name: &RoomName) -> Option<Answer> {
        use room_io::Output;
        let mut answered = None;
        while let Some(output) = self.rooms.get_mut(name)?.poll_output() {
            match output {
                Output::AnswerCall(answer) => answered = Some(answer),
                Output::CallGateway(call) => {
                    let (id, to) = (call.id(), call.to.clone());
                    let text = encode(name.clone(), call);
                    self.network.push_back(Packet::ToGateway {
                        from: name.clone(),
                        to,
                        id,
                        text,
                    });
                }
                Output::Log(_) => {}
                Output::CallPublishHook { task, request } => {
                    self.hook_requests.push((name.clone(), task, request));
                }
                Output::CheckToken { connection, id, .. } => {
                    self.room_checks.push((name.clone(), connection, id));
                }
                other => panic!("a room without sockets: {other:?}"),
            }
        }
        let wait_ms = self.rooms.get(name)?.poll_flush();
        set_timer(&mut self.room_timers, name, wait_ms, self.now);
        answered
    }

    fn close(&mut self, connection: ConnectionId, code: CloseCode) {
        let Some(client) = self.clients.get_mut(&connection) else {
            return;
        };
        (client.is_open, client.closed) = (false, Some(code.number()));
        self.disconnects(connection, true);
    }

    fn deliver(&mut self, to: &[ConnectionId], text: &str) {
        let distinct: BTreeSet<_> = to.iter().collect();
        assert_eq!(distinct.len(), to.len(), "sent twice: {text}");
        for id in to {
            let Some(client) = self.clients.get_mut(id).filter(|one| one.is_open) else {
                continue;
            };
            for line in text.split('\n') {
                let value = serde_json::from_str(line);
                client.unread.push_back(value.expect("lines are JSON"));
            }
        }
    }

    // The network and time.

    /// Lets the next packet arrive; returns false if none is under way.
    pub fn next_packet(&mut self) -> bool {
        let Some(packet) = self.network.pop_front() else {
            return false;
        };
        match packet {
            Packet::ToRoom { from, to, id, text } => {
                self.calls += 1;
                let fate = (self.fate)();
                let mut answer = None;
                for _ in 0..times(fate) {
                    let call = Call::<GatewayName, ToRoom>::decode(&text).expect("a call");
                    let first = self.call_room(&to, call);
                    answer = answer.or(first);
                }
                let answer = answer.filter(|_| fate != Fate::LosesItsAnswer);
                let to = from;
                self.network
                    .push_back(Packet::AnswerToGateway { to, id, answer });
            }
            Packet::ToGateway { from, to, id, text } => {
                self.calls += 1;
                let fate = (self.fate)();
                let mut answer = None;
                for _ in 0..times(fate) {
                    let call = Call::<RoomName, ToGateway>::decode(&text).expect("a call");
                    let first = self.call_gateway(&to, call);
                    answer = answer.or(first);
                }
                let answer = answer.filter(|_| fate != Fate::LosesItsAnswer);
                let to = from;
                self.network
                    .push_back(Packet::AnswerToRoom { to, id, answer });
            }
            Packet::AnswerToRoom { to, id, answer } => {
                self.feed_room(&to, room_io::Input::CallSettled { call: id, answer });
            }
            Packet::AnswerToGateway { to, id, answer } => {
                let input = gateway_io::Input::CallSettled {
                    call: id,
                    answer,
                    found: None,
                };
                self.feed_gateway(&to, input);
            }
        }
        true
    }

    fn call_room(&mut self, name: &RoomName, call: Call<GatewayName, ToRoom>) -> Option<Answer> {
        if !self.rooms.contains_key(name) {
            self.restore_room(name, MemoryStore::new());
        }
        let now = self.now;
        self.rooms
            .get_mut(name)?
            .handle_input(room_io::Input::Call(call), now);
        self.apply_room(name)
    }

    fn call_gateway(
        &mut self,
        name: &GatewayName,
        call: Call<RoomName, ToGateway>,
    ) -> Option<Answer> {
        if !self.gateways.contains_key(name) {
            self.restore_gateway(name, GatewayStore::default());
        }
        let now = self.now;
        self.gateways
            .get_mut(name)?
            .handle_input(gateway_io::Input::Call(call), now);
        self.apply_gateway(name)
    }

    /// Lets everything arrive that is under way, and flush windows end.
    pub fn settles(&mut self) {
        for _ in 0..10_000 {
            if !self.next_packet() && !self.flush_next() {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    /// Ends the flush windows of rooms, which are short; returns false if none is open.
    fn flush_next(&mut self) -> bool {
        let soon = self.now.plus_ms(1_000);
        let next = self.room_timers.iter().map(|(name, at)| (*at, name));
        let Some((at, name)) = next.min().filter(|(at, _)| *at <= soon) else {
            return false;
        };
        let name = name.clone();
        self.now = self.now.max(at);
        self.feed_room(&name, room_io::Input::Flush);
        true
    }

    /// Lets time pass. Timers and alarms fire on time.
    pub fn pass_ms(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        self.settles();
        while let Some((at, timer)) = self.next_timer().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            match timer {
                Timer::RoomFlush(name) => self.feed_room(&name, room_io::Input::Flush),
                Timer::RoomAlarm(name) => {
                    self.feed_room(&name, room_io::Input::Timeout { answered: None });
                }
                Timer::GatewayFlush(name) => self.feed_gateway(&name, gateway_io::Input::Flush),
                Timer::GatewayAlarm(name) => {
                    // All clients ping in time.
                    let now = self.now;
                    let answered = self.clients.keys().map(|id| (*id, now)).collect();
                    let answered = Some(answered);
                    self.feed_gateway(&name, gateway_io::Input::Timeout { answered });
                }
            }
            self.settles();
        }
        self.now = self.now.max(end);
    }

    fn next_timer(&self) -> Option<(Timestamp, Timer)> {
        let rooms = self.rooms.iter().flat_map(|(name, room)| {
            let flush = self.room_timers.get(name).copied();
            let flush = flush.map(|at| (at, Timer::RoomFlush(name.clone())));
            let alarm = room.poll_timeout();
            let alarm = alarm.map(|(at, _)| (at, Timer::RoomAlarm(name.clone())));
            [flush, alarm].into_iter().flatten()
        });
        let gateways = self.gateways.iter().flat_map(|(name, gateway)| {
            let flush = self.gateway_timers.get(name).copied();
            let flush = flush.map(|at| (at, Timer::GatewayFlush(name.clone())));
            let alarm = gateway.poll_timeout();
            let alarm = alarm.map(|at| (at, Timer::GatewayAlarm(name.clone())));
            [flush, alarm].into_iter().flatten()
        });
        rooms.chain(gateways).min_by_key(|(at, _)| *at)
    }

    // What clients see.

    /// Returns everything that a client has received and not read yet.
    pub fn received(&mut self, client: ConnectionId) -> Vec<Value> {
        let client = self.clients.get_mut(&client).expect("a client");
        client.unread.drain(..).collect()
    }

    /// Asserts what a client receives next: each with these fields, and nothing else.
    #[track_caller]
    pub fn receives(&mut self, client: ConnectionId, expected: &[Value]) {
        self.settles();
        let received = self.received(client);
        let holds = |(got, wanted): (&Value, &Value)| {
            let wanted = wanted.as_object().expect("an object");
            wanted
                .iter()
                .all(|(name, value)| got.get(name) == Some(value))
        };
        let is_same = received.len() == expected.len();
        let all = is_same && received.iter().zip(expected).all(holds);
        assert!(all, "expected {expected:#?}\nbut received {received:#?}");
    }

    /// Returns the users that a room lists.
    pub fn members(&self, room: &str) -> Vec<String> {
        let name = RoomName::parse(room).expect("a name");
        let room = self.rooms.get(&name);
        room.map(|room| room.member_ids().map(|user| user.as_str().into()).collect())
            .unwrap_or_default()
    }
}

enum Timer {
    RoomFlush(RoomName),
    RoomAlarm(RoomName),
    GatewayFlush(GatewayName),
    GatewayAlarm(GatewayName),
}

fn set_timer<N: Clone + Ord>(
    timers: &mut BTreeMap<N, Timestamp>,
    name: &N,
    wait_ms: Option<u64>,
    now: Timestamp,
) {
    match wait_ms {
        Some(ms) => timers.insert(name.clone(), now.plus_ms(ms)),
        None => timers.remove(name),
    };
}

fn times(fate: Fate) -> usize {
    match fate {
        Fate::IsLost => 0,
        Fate::ArrivesTwice => 2,
        Fate::Arrives | Fate::LosesItsAnswer => 1,
    }
}

fn encode<P, Q, E>(from: P, call: OutgoingCall<Q, E>) -> String
where
    P: Clone + serde::Serialize + for<'de> serde::Deserialize<'de>,
    E: snug_core::link::event::Event + Clone,
{
    let call = Call {
        from,
        link: call.link,
        content: call.content,
    };
    call.encode()
}

/// Returns the claims of a token for a year.
pub fn claims(user: &str, rooms: Value) -> Claims {
    Claims {
        user: UserId::parse(user).expect("a user id"),
        expires: Timestamp(START_MS).plus_ms(YEAR_MS),
        issued: Timestamp(START_MS),
        grants: serde_json::from_value(rooms).expect("grants"),
        info: None,
        limits: ClaimedLimits::default(),
    }
}
