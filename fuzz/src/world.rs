//! A room with sockets, storage and a clock in memory. It does the room's outputs as they come and
//! checks of each what has to hold whatever the room was told.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

#[path = "../../crates/snug-core/tests/room/store.rs"]
mod store;

use serde_json::{Value, json};
use snug_core::{
    Admission, ApiRequest, ApiRequestId, Config, ConnectionId, Epoch, Input, Offset, Output,
    Refusal, Room, RoomName, Timestamp, UserId,
    auth::{
        JoinOptions, Position,
        token::{ClaimedLimits, Claims},
    },
    backend::{
        api::{ApiOperation, Caller},
        publish_hook::HookRequest,
        webhook::{Delivery, EventKinds},
    },
    config::{PublishFallback, RoomRules},
    limits::{
        HOOK_MESSAGES_MAX, PENDING_MESSAGES_MAX, QUEUE_BYTES_MAX, ROOM_QUEUE_BYTES_MAX,
        WINDOW_MS_MAX,
    },
    protocol::command::{CommandId, PageRequest, PageStart},
    room::io::{DeliveryOutcome, RestoredSocket, StorageFault},
    storage::{batch::Page, retention::Floor},
};

use store::MemoryStore;

const START: Timestamp = Timestamp(1_800_000_000_000);
/// For how long a token holds.
const TOKEN_MS: u64 = 3_600_000;
/// More than any one input may lead to.
const OUTPUTS_MAX: usize = 20_000;
const WAKES_MAX: usize = 50;
/// How many times as long as a message a change in presence may wait, where nothing else does.
const PRESENCE_WINDOWS: u64 = 100;

/// Who comes, and with which wishes.
#[derive(Clone, Copy)]
pub struct Visitor {
    pub user: u8,
    pub lines: bool,
    pub echo: bool,
    pub presence: bool,
    /// A bit each: receive, publish, signal, presence, history, moderate.
    pub capabilities: u8,
    pub resume: Option<(&'static str, u64)>,
    pub last: Option<u64>,
    /// Whether the token holds bounds of its own.
    pub is_bounded: bool,
}

impl Visitor {
    pub fn new(user: u8) -> Self {
        Self {
            user,
            lines: true,
            echo: true,
            presence: true,
            capabilities: 31,
            resume: None,
            last: None,
            is_bounded: false,
        }
    }

    /// What its token says.
    fn claims(self, now: Timestamp) -> Claims {
        let names = [
            "receive", "publish", "signal", "presence", "history", "moderate",
        ];
        let can: Vec<_> = (names.iter().enumerate())
            .filter(|(bit, _)| self.capabilities >> bit & 1 == 1)
            .map(|(_, name)| *name)
            .collect();
        Claims {
            user: UserId::parse(&format!("u{}", self.user)).unwrap(),
            info: None,
            grants: serde_json::from_value(json!({ "*": can })).unwrap(),
            expires: now.plus_ms(TOKEN_MS),
            limits: ClaimedLimits {
                messages_per_second: self.is_bounded.then_some(1),
                message_bytes: self.is_bounded.then_some(64),
            },
        }
    }

    fn admission(self, now: Timestamp) -> Admission {
        let claims = self.claims(now);
        let can = claims.grants.for_room(&name()).unwrap_or_default();
        Admission {
            user: claims.user,
            info: claims.info,
            can,
            expires: claims.expires,
            limits: claims.limits,
            options: JoinOptions {
                lines: self.lines,
                echo: self.echo,
                presence: self.presence,
                resume: self.resume.map(|(epoch, offset)| Position {
                    epoch: epoch.into(),
                    offset: Offset(offset),
                }),
                last: self.last,
            },
        }
    }
}

#[derive(Default)]
struct Socket {
    attachment: String,
    visitor: Option<Visitor>,
    is_welcome: bool,
    is_open: bool,
    /// Closed from here, and not reported to be gone.
    is_ending: bool,
    answered: Option<Timestamp>,
    newest: Option<u64>,
    /// Who is here, as far as it was told; `None` where it is not told.
    members: Option<BTreeSet<String>>,
    replies: usize,
    acks: usize,
}

pub struct World {
    room: Room,
    rules: Rc<RoomRules>,
    now: Timestamp,
    sockets: BTreeMap<ConnectionId, Socket>,
    /// In the order of coming.
    ids: Vec<ConnectionId>,
    store: MemoryStore,
    /// New tokens of whose check nobody has told the room.
    unchecked: Vec<(ConnectionId, Option<CommandId>)>,
    /// What was sent to the back end and not answered.
    deliveries: Vec<Delivery>,
    /// The highest offset of those that were erased.
    highest: u64,
    /// The newest event that the back end has.
    taken: u64,
    /// What the back end was asked, and has not answered.
    questions: Vec<Rc<HookRequest>>,
    calls: u64,
    /// Calls that have no answer yet.
    waiting: BTreeSet<ApiRequestId>,
    /// Something was due before what happens now: both are told together.
    is_late: bool,
    /// An attachment was lost: members may be gone that nobody saw leave.
    is_torn: bool,
}

/// What may be strange about a world. The default is that nothing is.
#[derive(Clone, Copy, Default)]
pub struct Kind {
    /// Its bounds are soon met.
    pub is_tight: bool,
    /// It gathers while it is busy.
    pub gathers: bool,
    /// It tells the back end of everything.
    pub tells: bool,
    /// The back end judges messages, and this becomes of them where it does not answer.
    pub judged: Option<PublishFallback>,
}

impl World {
    pub fn new(kind: Kind) -> Self {
        let secret = |name: &str| (name == "JWT_SECRET").then(|| "s".repeat(32));
        let config = Config::read(&secret).unwrap_or_else(|error| panic!("{error}"));
        let mut rules = (*config.room).clone();
        rules.judged = kind.judged;
        rules.window_ms_max = if kind.gathers { WINDOW_MS_MAX } else { 0 };
        if kind.is_tight {
            rules.connections_max = 6;
            rules.connections_per_user_max = 2;
            rules.message_bytes_max = 256;
            rules.retention.messages_max = 3;
            rules.retention.seconds_max = 60;
        }
        if kind.tells {
            rules.events = EventKinds::parse("*").expect("kinds");
        }
        let rules = Rc::new(rules);
        let store = MemoryStore::default();
        Self {
            room: Room::restore(name(), rules.clone(), store.stored(), [], START),
            rules,
            now: START,
            sockets: BTreeMap::new(),
            ids: Vec::new(),
            store,
            unchecked: Vec::new(),
            deliveries: Vec::new(),
            highest: 0,
            taken: 0,
            questions: Vec::new(),
            calls: 0,
            waiting: BTreeSet::new(),
            is_late: false,
            is_torn: false,
        }
    }

    /// Which it is, in the order of coming; `None` where the room is full.
    pub fn connect(&mut self, visitor: Visitor) -> Option<usize> {
        let admission = visitor.admission(self.now);
        self.room.check_capacity(&admission.user, self.now).ok()?;
        let index = self.ids.len();
        let id = ConnectionId((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        self.ids.push(id);
        let socket = Socket {
            visitor: Some(visitor),
            is_open: true,
            ..Socket::default()
        };
        self.sockets.insert(id, socket);
        let connection = id;
        self.feed(Input::Connect {
            connection,
            admission,
        });
        let socket = &self.sockets[&id];
        assert!(socket.is_welcome, "no welcome");
        assert!(!socket.attachment.is_empty(), "no attachment");
        Some(index)
    }

    fn id(&self, which: usize) -> Option<ConnectionId> {
        let last = self.ids.len().checked_sub(1)?;
        // The newest ones, of many.
        self.ids.get(last.saturating_sub(15) + which % 16).copied()
    }

    pub fn disconnect(&mut self, which: usize, clean: bool) {
        let Some(connection) = self.id(which) else {
            return;
        };
        if let Some(socket) = self.sockets.get_mut(&connection) {
            (socket.is_open, socket.is_ending) = (false, false);
        }
        self.feed(Input::Disconnect { connection, clean });
    }

    pub fn receive(&mut self, which: usize, text: &str) {
        if let Some(from) = self.id(which) {
            let text = text.into();
            self.feed(Input::Receive { from, text });
        }
    }

    pub fn receive_binary(&mut self, which: usize) {
        if let Some(from) = self.id(which) {
            self.feed(Input::ReceiveBinary { from });
        }
    }

    /// The back end asks for something.
    pub fn call(&mut self, ask: ApiOperation, body: String) {
        let id = ApiRequestId(self.calls);
        self.calls += 1;
        self.waiting.insert(id);
        let caller = Caller {
            user: UserId::parse("server").unwrap(),
            can: serde_json::from_value(json!([ask.needs(), "serve"])).unwrap(),
            limits: ClaimedLimits::default(),
        };
        let call = ApiRequest { caller, ask };
        self.feed(Input::ApiRequest { id, call, body });
    }

    /// The back end answers for the oldest delivery: it has it, has not, or wants to be left alone.
    pub fn back_end_answers(&mut self, kind: u8) {
        if self.deliveries.is_empty() {
            return;
        }
        let delivery = self.deliveries.remove(0);
        let events = delivery.events();
        assert!(!events.is_empty(), "notified of nothing");
        for (event, seq) in events.iter().zip(events[0].seq..) {
            assert_eq!(event.seq, seq, "an event was skipped");
            serde_json::from_str::<Value>(&event.json).expect("JSON");
        }
        let last = events[events.len() - 1].seq;
        let outcome = match kind & 3 {
            0 | 1 => {
                let dead = self.store.dead_events.keys().last().copied();
                let settled = self.taken.max(dead.unwrap_or_default());
                assert!(events[0].seq <= settled + 1, "an event was never notified");
                self.taken = self.taken.max(last);
                DeliveryOutcome::Taken
            }
            2 => DeliveryOutcome::Failed {
                retry_after_ms: None,
            },
            _ => DeliveryOutcome::Failed {
                retry_after_ms: Some(7_000),
            },
        };
        let chance = kind.into();
        self.feed(Input::Delivered {
            last,
            outcome,
            chance,
        });
    }

    pub fn ping_runtime(&mut self, which: usize) {
        let now = self.now;
        let id = self.id(which);
        if let Some(socket) = id.and_then(|id| self.sockets.get_mut(&id)) {
            socket.answered = Some(now);
        }
    }

    pub fn pass_ms(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }

    pub fn jump_back_ms(&mut self, ms: u64) {
        self.now = Timestamp(self.now.0.saturating_sub(ms));
    }

    /// Wakes the room as often as it asks to be, until nothing is due.
    pub fn wake_when_due(&mut self) {
        let flush_ms = self.room.poll_flush();
        let flush = flush_ms.map(|ms| self.now.plus_ms(ms));
        let timeout = self.room.poll_timeout().map(|(due, _)| due);
        if flush.is_some_and(|flush| timeout.is_none_or(|timeout| flush <= timeout)) {
            return self.flush();
        }
        self.now = timeout.map_or(self.now, |due| self.now.max(due));
        for _ in 0..WAKES_MAX {
            if self
                .room
                .poll_timeout()
                .is_none_or(|(due, _)| due > self.now)
            {
                return;
            }
            self.on_timeout();
        }
        panic!("woken again and again");
    }

    /// Lets the room send what it has gathered.
    pub fn flush(&mut self) {
        let ms = self.room.poll_flush().unwrap_or_default();
        self.now = self.now.plus_ms(ms);
        self.feed(Input::Flush);
        assert_ne!(self.room.poll_flush(), Some(0), "flushed in vain");
    }

    /// Lets the room send until nothing is left to be sent.
    fn settle(&mut self) {
        for _ in 0..WAKES_MAX {
            if self.room.poll_flush().is_none() {
                return;
            }
            self.flush();
        }
        panic!("never quiet");
    }

    /// So many bytes wait for one connection, or for each.
    pub fn fall_behind(&mut self, which: Option<usize>, bytes: u64) {
        let ids = match which {
            Some(which) => self.id(which).into_iter().collect(),
            None => self.ids.clone(),
        };
        let is_open = |id: &ConnectionId| self.sockets[id].is_open;
        let queued: BTreeMap<_, _> = ids
            .into_iter()
            .filter(is_open)
            .map(|id| (id, bytes))
            .collect();
        self.feed(Input::SlowConsumers {
            queued: queued.clone(),
        });
        let left = queued.keys().filter(|id| self.sockets[*id].is_open).count();
        let is_in_bounds = bytes <= QUEUE_BYTES_MAX && left as u64 * bytes <= ROOM_QUEUE_BYTES_MAX;
        assert!(left == 0 || is_in_bounds, "{left} are behind");
    }

    /// Sees that a newcomer is served, whatever has happened.
    pub fn finish(&mut self) {
        self.storage_works();
        self.judge_all();
        self.settle();
        if let Some(last) = self.connect(Visitor::new(7)) {
            self.feed(Input::Receive {
                from: self.ids[last],
                text: r#"{"type":"publish","id":"after","data":1}"#.into(),
            });
            self.judge_all();
            self.settle();
            assert_eq!(self.acks(last), 1, "a newcomer is not served");
        }
        assert!(self.waiting.is_empty(), "a call has no answer");
    }

    pub fn on_timeout(&mut self) {
        let answered = (self.sockets.iter())
            .filter(|(_, socket)| socket.is_open)
            .filter_map(|(id, socket)| Some((*id, socket.answered?)))
            .collect();
        self.feed(Input::Timeout { answered });
    }

    /// The oldest new token has been checked: it grants other things, grants nothing, is another
    /// user's, or does not hold.
    pub fn tell_of_token(&mut self, kind: u8) {
        if self.unchecked.is_empty() {
            return;
        }
        let (connection, id) = self.unchecked.remove(0);
        let socket = self.sockets.get_mut(&connection).expect("a socket");
        let mut visitor = socket.visitor.expect("a visitor");
        let outcome = match kind & 15 {
            15 => Err(Refusal::TokenExpired),
            14 => {
                visitor.user += 1;
                Ok(visitor.claims(self.now))
            }
            granted => {
                visitor.capabilities = granted << 1 | granted & 1;
                if visitor.capabilities != 0 {
                    socket.visitor = Some(visitor);
                    // What it has missed is its own affair.
                    (socket.newest, socket.members) = (None, None);
                }
                Ok(visitor.claims(self.now))
            }
        };
        self.feed(Input::TokenChecked {
            connection,
            id,
            outcome,
        });
    }

    /// The back end answers its oldest question: with verdicts of this kind, or it does not.
    pub fn judge(&mut self, kind: u8) {
        if self.questions.is_empty() {
            return;
        }
        let question = self.questions.remove(0);
        let body: Value = serde_json::from_str(&question.body("now")).expect("JSON");
        let count = body["data"]["messages"].as_array().expect("messages").len();
        assert!(
            (1..=HOOK_MESSAGES_MAX).contains(&count),
            "asks about {count}"
        );
        let verdict = |index: usize| match (usize::from(kind) + index) & 3 {
            _ if kind == 0 => json!({ "allow": true }),
            0 | 1 => json!({ "allow": true }),
            2 => json!({ "allow": true, "data": { "was": index } }),
            _ => json!({ "allow": false, "reason": "no" }),
        };
        let wrong = usize::from(kind == 14);
        let verdicts: Vec<_> = (0..count + wrong).map(verdict).collect();
        let status = if kind == 15 { 500 } else { 200 };
        let answer = json!({ "decisions": verdicts }).to_string();
        let verdicts = question.read_answer(status, answer.as_bytes()).ok();
        self.feed(Input::HookDecided {
            question,
            decisions: verdicts,
        });
    }

    /// Lets the back end allow all that waits.
    fn judge_all(&mut self) {
        for _ in 0..=PENDING_MESSAGES_MAX {
            if self.questions.is_empty() {
                return;
            }
            self.judge(0);
        }
        panic!("asked without an end");
    }

    /// Storage fails this often from here on.
    pub fn storage_fails(&mut self, times: usize) {
        self.store.faults = times;
    }

    pub fn storage_works(&mut self) {
        self.store.faults = 0;
    }

    /// All that is in memory is lost at once: what waits to be sent, and every socket.
    pub fn crash(&mut self) {
        for socket in self.sockets.values_mut() {
            (socket.is_open, socket.is_ending) = (false, false);
        }
        self.restart();
    }

    /// Drops the room, which the platform does not while it gathers or waits for verdicts, and
    /// restores it from storage and attachments.
    pub fn restore(&mut self) {
        self.judge_all();
        self.settle();
        self.restart();
    }

    fn restart(&mut self) {
        let sockets: Vec<_> = (self.sockets.iter())
            .filter(|(_, socket)| socket.is_open || socket.is_ending)
            .map(|(id, socket)| RestoredSocket {
                connection: *id,
                attachment: socket.attachment.clone(),
                answered: socket.answered,
            })
            .rev()
            .collect();
        // Who asked is told by the platform that it was lost.
        self.waiting.clear();
        let stored = self.store.stored();
        self.room = Room::restore(name(), self.rules.clone(), stored, sockets, self.now);
        self.do_outputs();
    }

    pub fn lose_attachment(&mut self, which: usize) {
        let id = self.id(which);
        let socket = id.and_then(|id| self.sockets.get_mut(&id));
        // Of one that is closed already, nothing else says that it is.
        if let Some(socket) = socket.filter(|socket| socket.is_open) {
            socket.attachment.clear();
            self.is_torn = true;
        }
    }

    /// An answer to what was not asked.
    pub fn stray_answer(&mut self, kind: u8) {
        self.feed(match kind & 15 {
            0 => Input::Appended(Ok(())),
            1 => Input::Appended(Err(StorageFault)),
            2 => Input::Keys(Ok(Vec::new())),
            3 => Input::Keys(Err(StorageFault)),
            4 => Input::Page(Ok(stray_page())),
            5 => Input::Page(Err(StorageFault)),
            6 => Input::BanStored(Ok(())),
            7 => Input::BanStored(Err(StorageFault)),
            8 => Input::Trimmed(Ok(Some(self.now))),
            9 => Input::Trimmed(Err(StorageFault)),
            10 => Input::Measured(Err(StorageFault)),
            11 => Input::Erased(Ok(Epoch::new("e9"))),
            12 => Input::Erased(Err(StorageFault)),
            13 => Input::EventsStored(Ok(())),
            14 => Input::EventsSettled(Ok(None)),
            _ => Input::Flush,
        });
    }

    pub fn newest(&self) -> u64 {
        self.store.newest().0
    }

    /// The replies that it was sent.
    pub fn replies(&self, which: usize) -> usize {
        self.sockets[&self.ids[which]].replies
    }

    pub fn acks(&self, which: usize) -> usize {
        self.sockets[&self.ids[which]].acks
    }

    fn feed(&mut self, input: Input) {
        let due = self.room.poll_timeout();
        self.is_late = due.is_some_and(|(due, _)| due <= self.now);
        self.room.handle_input(input, self.now);
        self.do_outputs();
        let most_ms = PRESENCE_WINDOWS * self.rules.window_ms_max;
        let flush_ms = self.room.poll_flush();
        assert!(
            flush_ms.is_none_or(|ms| ms <= most_ms),
            "gathers for too long"
        );
    }

    fn do_outputs(&mut self) {
        for _ in 0..OUTPUTS_MAX {
            let Some(output) = self.room.poll_output() else {
                return;
            };
            self.do_output(output);
        }
        panic!("outputs without an end");
    }

    fn do_output(&mut self, output: Output) {
        match output {
            Output::Attach {
                connection,
                attachment,
            } => {
                let socket = self.sockets.get_mut(&connection).unwrap();
                assert!(socket.is_open, "attached to a closed socket");
                socket.attachment = attachment;
            }
            Output::Append { batch, events } => {
                let outcome = self.store.append(batch, events);
                self.room.handle_input(Input::Appended(outcome), self.now);
            }
            Output::Trim { floor, lowest_key } => {
                let outcome = self.store.trim(floor, lowest_key);
                self.room.handle_input(Input::Trimmed(outcome), self.now);
            }
            Output::ReadKeys => {
                let keys = self.store.keys();
                self.room.handle_input(Input::Keys(keys), self.now);
            }
            Output::ReadPage(page) => {
                let page = self.store.fill(page);
                self.room.handle_input(Input::Page(page), self.now);
            }
            Output::Measure(page) => {
                let measured = self.store.measure(page);
                self.room.handle_input(Input::Measured(measured), self.now);
            }
            Output::Erase => {
                // What was asked before is answered after it.
                self.highest = self.highest.max(self.newest());
                let erased = self.store.erase();
                self.room.handle_input(Input::Erased(erased), self.now);
            }
            Output::StoreEvents(write) => {
                let kept = self.store.store_events(write);
                self.room.handle_input(Input::EventsStored(kept), self.now);
            }
            Output::ReadEvents(delivery) => {
                let read = self.store.fill_delivery(delivery);
                self.room.handle_input(Input::EventsRead(read), self.now);
            }
            Output::Deliver(delivery) => self.deliveries.push(delivery),
            Output::SettleEvents { state, dead } => {
                let settled = self.store.settle_events(state, dead);
                self.room
                    .handle_input(Input::EventsSettled(settled), self.now);
            }
            Output::ReadDead { after, limit } => {
                let dead = self.store.read_dead(after, limit);
                self.room.handle_input(Input::DeadRead(dead), self.now);
            }
            Output::ApiResponse { id, answer } => {
                assert!(self.waiting.remove(&id), "answered twice, or never asked");
                if let Ok(answer) = answer {
                    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
                    assert!(body.is_object(), "{body}");
                }
            }
            Output::Send { to, text } => self.deliver(&to, &text),
            Output::Close {
                connection,
                attachment,
                ..
            } => {
                let socket = self.sockets.get_mut(&connection).unwrap();
                assert!(socket.is_open, "closed twice");
                (socket.is_open, socket.is_ending) = (false, true);
                socket.attachment = attachment;
            }
            Output::CheckToken { connection, id, .. } => self.unchecked.push((connection, id)),
            Output::CallPublishHook(question) => self.questions.push(question),
            Output::StoreAbsence(absence) => {
                self.store.store_absence(absence);
            }
            Output::DeleteAbsence(user) => self.store.delete_absence(&user),
            Output::StoreBan(ban) => {
                let outcome = self.store.store_ban(ban);
                self.room.handle_input(Input::BanStored(outcome), self.now);
            }
            Output::DeleteBan(user) => self.store.delete_ban(&user),
        }
    }

    fn deliver(&mut self, to: &[ConnectionId], text: &str) {
        let distinct: BTreeSet<_> = to.iter().collect();
        assert_eq!(distinct.len(), to.len(), "sent twice: {text}");
        let objects: Vec<Value> = (text.split('\n'))
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect();
        let newest = self.newest();
        let appended = self.highest.max(newest);
        let is_exact = !self.is_torn && !self.is_late && self.rules.window_ms_max == 0;
        for id in to {
            let socket = self.sockets.get_mut(id).expect("a socket");
            assert!(socket.is_open, "sent to a closed socket: {text}");
            let has_lines = socket.visitor.is_some_and(|visitor| visitor.lines);
            assert!(objects.len() == 1 || has_lines, "several objects: {text}");
            for object in &objects {
                socket.hear(object, newest, appended, is_exact);
            }
        }
    }
}

impl Socket {
    fn hear(&mut self, object: &Value, newest: u64, appended: u64, is_exact: bool) {
        let kind = object["type"].as_str().expect("a type");
        assert_eq!(kind == "welcome", !self.is_welcome, "welcome first, once");
        let visitor = self.visitor.expect("a visitor");
        let can = |bit: u8| visitor.capabilities >> bit & 1 == 1;
        let users = |list: &Value| -> Vec<String> {
            let user = |one: &Value| one["user"].as_str().or(one.as_str()).unwrap().into();
            list.as_array().unwrap().iter().map(user).collect()
        };
        match kind {
            "welcome" => {
                self.is_welcome = true;
                assert_eq!(object["offset"], newest);
                self.newest = match (visitor.resume, visitor.last) {
                    (Some((_, after)), _) if object["recovered"] == true => Some(after),
                    (None, None) => Some(newest),
                    _ => None,
                };
                assert_eq!(object["members"].is_array(), can(3));
                if can(3) && visitor.presence && object.get("truncated").is_none() {
                    let members: BTreeSet<_> = users(&object["members"]).into_iter().collect();
                    assert_eq!(object["count"], members.len());
                    self.members = Some(members);
                }
            }
            "message" => {
                assert!(can(0), "a message for who may not receive");
                let offset = object["offset"].as_u64().unwrap();
                assert!(offset <= appended, "announced before it was stored");
                if let Some(newest) = self.newest {
                    assert!(offset > newest, "a message twice");
                    let is_next = offset == newest + 1;
                    assert!(is_next || !visitor.echo, "a gap before {offset}");
                }
                self.newest = Some(offset);
            }
            "signal" => assert!(can(0), "a signal for who may not receive"),
            "presence" => {
                assert!(can(3) && visitor.presence, "presence was not wanted");
                self.hear_presence(object, &users, is_exact);
            }
            "closing" => {}
            "ack" | "error" | "members" | "history" | "pong" => {
                self.replies += 1;
                self.acks += usize::from(kind == "ack");
                if let Some(offset) = object["offset"].as_u64() {
                    assert!((1..=appended).contains(&offset), "an ack without a row");
                }
                if kind == "history" {
                    let offset = |one: &Value| one["offset"].as_u64().unwrap();
                    let list = object["messages"].as_array().unwrap();
                    let offsets: Vec<_> = list.iter().map(offset).collect();
                    assert!(offsets.is_sorted_by(|a, b| a + 1 == *b), "{offsets:?}");
                    assert!(offsets.iter().all(|one| *one <= appended));
                }
            }
            other => panic!("unknown: {other}"),
        }
    }

    fn hear_presence(
        &mut self,
        object: &Value,
        users: &impl Fn(&Value) -> Vec<String>,
        is_exact: bool,
    ) {
        let Some(members) = self.members.as_mut() else {
            return;
        };
        // What is told of several changes at once may be told twice, and to newcomers too.
        for user in users(&object["leaves"]) {
            let was_here = members.remove(&user);
            assert!(was_here || !is_exact, "{user} left and was not here");
        }
        for user in users(&object["joins"]) {
            let is_new = members.insert(user);
            assert!(is_new || !is_exact, "came and was here: {object}");
        }
        for user in users(&object["updates"]) {
            assert!(members.contains(&user) || !is_exact, "{user} is not here");
        }
        assert!(object["count"] == members.len() || !is_exact, "{object}");
    }
}

/// A page that nobody asked for.
fn stray_page() -> Page {
    let request = PageRequest {
        from: PageStart::After(Offset(0)),
        limit: 1,
        bytes_max: 1,
    };
    let floor = Floor {
        offset: Offset(1),
        time: Timestamp(0),
        bytes_before: 0,
    };
    Page::new(request, floor)
}

fn name() -> RoomName {
    RoomName::parse("team:7:general").unwrap()
}
