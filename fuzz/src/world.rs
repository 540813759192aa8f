//! A room with sockets, storage and a clock in memory. It performs the room's outputs and checks
//! the invariants that hold for any inputs.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

#[path = "../../crates/snug-core/tests/room/store.rs"]
mod store;

use serde_json::{Value, json};
use snug_core::{
    Admission, ApiRequest, ApiRequestId, ApiResponse, Config, ConnectionId, Input, Offset, Output,
    Refusal, Room, RoomName, RoomSnapshot, TaskId, Timestamp, UserId,
    auth::{
        JoinOptions, Position,
        token::{ClaimedLimits, Claims},
    },
    backend::{
        api::{ApiOperation, Caller},
        publish_hook::HookRequest,
        webhook::{Delivery, EventKinds, Lines},
    },
    config::{PublishFallback, RoomRules},
    limits::{
        HOOK_MESSAGES_MAX, PENDING_MESSAGES_MAX, QUEUE_BYTES_MAX, ROOM_QUEUE_BYTES_MAX,
        WINDOW_MS_MAX,
    },
    protocol::command::CommandId,
    room::io::{DeliveryOutcome, RestoredSocket},
    storage::changed::Aspect,
};

use store::MemoryStore;

const START: Timestamp = Timestamp(1_800_000_000_000);
/// Lifetime of a token.
const TOKEN_MS: u64 = 3_600_000;
/// More outputs than any one input may cause.
const OUTPUTS_MAX: usize = 20_000;
const WAKES_MAX: usize = 50;
/// The longest wait of a presence change, in flush windows.
const PRESENCE_WINDOWS: u64 = 100;

/// The capabilities, each with a bit of its own.
const CAPABILITIES: [&str; 10] = [
    "receive",
    "publish",
    "signal",
    "presence",
    "history",
    "moderate",
    "edit",
    "delete",
    "edit_any",
    "delete_any",
];
/// `edit` and `delete`.
pub const CHANGES_OWN: u16 = 0b11 << 6;
/// The default capabilities.
pub const DEFAULT_GRANT: u16 = 31 | CHANGES_OWN;
/// All capabilities.
pub const ALL: u16 = (1 << CAPABILITIES.len()) - 1;

/// A user that joins, with the options of the join.
#[derive(Clone, Copy)]
pub struct TestUser {
    pub user: u8,
    pub lines: bool,
    pub echo: bool,
    pub presence: bool,
    /// A bit each: see [`CAPABILITIES`].
    pub capabilities: u16,
    pub resume: Option<(&'static str, u64)>,
    pub last: Option<u64>,
    /// True if the token sets limits of its own.
    pub has_limits: bool,
}

impl TestUser {
    pub fn new(user: u8) -> Self {
        Self {
            user,
            lines: true,
            echo: true,
            presence: true,
            capabilities: DEFAULT_GRANT,
            resume: None,
            last: None,
            has_limits: false,
        }
    }

    /// Returns the claims of the user's token.
    fn claims(self, now: Timestamp) -> Claims {
        let can: Vec<_> = (CAPABILITIES.iter().enumerate())
            .filter(|(bit, _)| self.capabilities >> bit & 1 == 1)
            .map(|(_, name)| *name)
            .collect();
        Claims {
            user: UserId::parse(&format!("u{}", self.user)).unwrap(),
            info: None,
            grants: serde_json::from_value(json!({ "*": can })).unwrap(),
            expires: now.plus_ms(TOKEN_MS),
            issued: now,
            limits: ClaimedLimits {
                messages_per_second: self.has_limits.then_some(1),
                message_bytes: self.has_limits.then_some(64),
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
            issued: claims.issued,
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
                ..JoinOptions::default()
            },
            origin: None,
        }
    }
}

#[derive(Default)]
struct Socket {
    attachment: String,
    test_user: Option<TestUser>,
    is_welcomed: bool,
    is_open: bool,
    /// True from the room's close until the disconnect is reported.
    is_closing: bool,
    answered: Option<Timestamp>,
    newest: Option<u64>,
    /// The versions of the messages that it has received, by offset.
    versions: BTreeMap<u64, u64>,
    /// The members, according to the pushes; `None` if the client does not receive presence.
    members: Option<BTreeSet<String>>,
    replies: usize,
    acks: usize,
}

pub struct World {
    room: Room<MemoryStore>,
    rules: Rc<RoomRules>,
    now: Timestamp,
    sockets: BTreeMap<ConnectionId, Socket>,
    /// Connections in the order in which they joined.
    ids: Vec<ConnectionId>,
    /// Pending token checks.
    token_checks: Vec<(ConnectionId, Option<CommandId>)>,
    /// Pending webhook deliveries.
    deliveries: Vec<(TaskId, Delivery)>,
    /// The newest event that the back end has accepted.
    accepted: u64,
    /// Pending publish hook requests.
    hook_requests: Vec<(TaskId, HookRequest)>,
    /// The number of restorations.
    restorations: u64,
    api_requests: u64,
    /// API requests without a response.
    waiting: BTreeSet<ApiRequestId>,
    /// True if a timeout was due before the current input: one push may hold the effects of both.
    is_late: bool,
    /// True if the room is to be restored.
    restarts: bool,
    /// True if an attachment was lost: members may have left without a push.
    has_lost_attachment: bool,
}

/// The settings of a world. By default, all are off.
#[derive(Clone, Copy, Default)]
pub struct Kind {
    /// Uses small limits.
    pub is_tight: bool,
    /// Uses flush windows.
    pub gathers: bool,
    /// Sends all webhook events.
    pub has_webhooks: bool,
    /// Uses a publish hook with this fallback.
    pub publish_hook: Option<PublishFallback>,
}

impl World {
    pub fn new(kind: Kind) -> Self {
        let secret = |name: &str| (name == "JWT_SECRET").then(|| "s".repeat(32).into());
        let config = Config::read(&secret, &|_| None).unwrap_or_else(|error| panic!("{error}"));
        let mut rules = (*config.room).clone();
        rules.publish_fallback = kind.publish_hook;
        rules.window_ms_max = if kind.gathers { WINDOW_MS_MAX } else { 0 };
        if kind.is_tight {
            rules.connections_max = 6;
            rules.connections_per_user_max = 2;
            rules.message_bytes_max = 256;
            rules.retention.messages_max = 3;
            rules.retention.seconds_max = 60;
        }
        if kind.has_webhooks {
            rules.events = EventKinds::parse("*").expect("kinds");
        }
        let rules = Rc::new(rules);
        let store = MemoryStore::new();
        let stored = store.stored();
        Self {
            room: Room::restore(name(), rules.clone(), store, stored, [], START),
            rules,
            now: START,
            sockets: BTreeMap::new(),
            ids: Vec::new(),
            token_checks: Vec::new(),
            deliveries: Vec::new(),
            accepted: 0,
            hook_requests: Vec::new(),
            restorations: 0,
            api_requests: 0,
            waiting: BTreeSet::new(),
            is_late: false,
            restarts: false,
            has_lost_attachment: false,
        }
    }

    /// Joins. Returns the connection's index; `None` if the room refuses the join.
    pub fn connect(&mut self, test_user: TestUser) -> Option<usize> {
        let admission = test_user.admission(self.now);
        self.room.admit(&admission, 0, self.now).ok()?;
        let index = self.ids.len();
        let id = ConnectionId((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        self.ids.push(id);
        let socket = Socket {
            test_user: Some(test_user),
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
        assert!(socket.is_welcomed, "no welcome");
        assert!(!socket.attachment.is_empty(), "no attachment");
        Some(index)
    }

    fn id(&self, which: usize) -> Option<ConnectionId> {
        let last = self.ids.len().checked_sub(1)?;
        // Selects one of the 16 newest connections.
        self.ids.get(last.saturating_sub(15) + which % 16).copied()
    }

    pub fn disconnect(&mut self, which: usize, clean: bool) {
        let Some(connection) = self.id(which) else {
            return;
        };
        if let Some(socket) = self.sockets.get_mut(&connection) {
            (socket.is_open, socket.is_closing) = (false, false);
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

    /// Receives a frame that is longer than a frame may be.
    pub fn receive_too_long(&mut self, which: usize) {
        if let Some(from) = self.id(which) {
            self.feed(Input::ReceiveTooLong { from });
        }
    }

    /// Sends an API request.
    pub fn send_api_request(&mut self, operation: ApiOperation, body: String) {
        let id = ApiRequestId(self.api_requests);
        self.api_requests += 1;
        self.waiting.insert(id);
        let caller = Caller {
            user: UserId::parse("server").unwrap(),
            can: serde_json::from_value(json!([operation.needs(), "serve"])).unwrap(),
            issued: self.now,
            limits: ClaimedLimits::default(),
            origin: None,
        };
        let request = ApiRequest { caller, operation };
        self.feed(Input::ApiRequest { id, request, body });
    }

    /// Ends the oldest delivery: the back end accepts it, rejects it, or asks for a delay.
    pub fn end_delivery(&mut self, kind: u8) {
        if self.deliveries.is_empty() {
            return;
        }
        let (task, delivery) = self.deliveries.remove(0);
        let events = delivery.events();
        assert!(!events.is_empty(), "an empty delivery");
        for (event, seq) in events.iter().zip(events[0].seq..) {
            assert_eq!(event.seq, seq, "an event was skipped");
            serde_json::from_str::<Value>(&event.json).expect("JSON");
        }
        let last = events[events.len() - 1].seq;
        let outcome = match kind & 3 {
            0 | 1 => {
                let dead = self.room.store_mut().dead_events.keys().last().copied();
                let settled = self.accepted.max(dead.unwrap_or_default());
                assert!(events[0].seq <= settled + 1, "an event was never sent");
                self.accepted = self.accepted.max(last);
                DeliveryOutcome::Accepted
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
            task,
            outcome,
            chance,
        });
    }

    /// Lets the runtime answer a ping.
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

    /// Advances the clock to the next timeout, and wakes the room until nothing is due.
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
        panic!("a timeout stays due");
    }

    /// Advances the clock to the end of the flush window, and reports it.
    pub fn flush(&mut self) {
        let ms = self.room.poll_flush().unwrap_or_default();
        self.now = self.now.plus_ms(ms);
        self.feed(Input::Flush);
        assert_ne!(self.room.poll_flush(), Some(0), "a flush is still due");
    }

    /// Flushes until nothing waits.
    fn settle(&mut self) {
        for _ in 0..WAKES_MAX {
            if self.room.poll_flush().is_none() {
                return;
            }
            self.flush();
        }
        panic!("lines still wait");
    }

    /// Reports this many queued bytes for one connection, or for each.
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
        assert!(left == 0 || is_in_bounds, "{left} slow consumers are open");
    }

    /// Checks that the room still serves a new connection.
    pub fn finish(&mut self) {
        self.storage_works();
        self.allow_all();
        self.settle();
        // A user of its own, whose rate is unused.
        if let Some(last) = self.connect(TestUser::new(8)) {
            self.feed(Input::Receive {
                from: self.ids[last],
                text: r#"{"type":"publish","id":"after","data":1}"#.into(),
            });
            self.allow_all();
            self.settle();
            assert_eq!(self.acks(last), 1, "a new connection is not served");
        }
        assert!(self.waiting.is_empty(), "an API request has no response");
        self.check_changed();
    }

    pub fn on_timeout(&mut self) {
        let answered = (self.sockets.iter())
            .filter(|(_, socket)| socket.is_open)
            .filter_map(|(id, socket)| Some((*id, socket.answered?)))
            .collect();
        let answered = self.room.is_sweep_due(self.now).then_some(answered);
        self.room.store_mut().alarm = Some(self.now);
        self.feed(Input::Timeout { answered });
    }

    /// Ends the oldest token check: the token grants other capabilities or none, is another user's,
    /// or has expired.
    pub fn end_token_check(&mut self, kind: u8) {
        if self.token_checks.is_empty() {
            return;
        }
        let (connection, id) = self.token_checks.remove(0);
        let socket = self.sockets.get_mut(&connection).expect("a socket");
        let mut test_user = socket.test_user.expect("a user");
        let outcome = match kind & 15 {
            15 => Err(Refusal::TokenExpired),
            14 => {
                test_user.user += 1;
                Ok(test_user.claims(self.now))
            }
            granted => {
                let granted = u16::from(granted);
                test_user.capabilities = granted << 1 | granted & 1;
                if granted & 1 != 0 {
                    test_user.capabilities |= CHANGES_OWN;
                }
                if test_user.capabilities != 0 {
                    socket.test_user = Some(test_user);
                    // The client may have missed pushes, which it has to request itself.
                    (socket.newest, socket.members) = (None, None);
                    socket.versions.clear();
                }
                Ok(test_user.claims(self.now))
            }
        };
        self.feed(Input::TokenChecked {
            connection,
            id,
            outcome,
        });
    }

    /// Ends the oldest publish hook request: with decisions of this kind, or with a failure.
    pub fn end_hook_request(&mut self, kind: u8) {
        if self.hook_requests.is_empty() {
            return;
        }
        let (task, request) = self.hook_requests.remove(0);
        let body: Value = serde_json::from_str(&request.body("now")).expect("JSON");
        let count = body["data"]["messages"].as_array().expect("messages").len();
        assert!(
            (1..=HOOK_MESSAGES_MAX).contains(&count),
            "a hook request with {count} messages"
        );
        let decision = |index: usize| match (usize::from(kind) + index) & 3 {
            _ if kind == 0 => json!({ "allow": true }),
            0 | 1 => json!({ "allow": true }),
            2 => json!({ "allow": true, "data": { "was": index } }),
            _ => json!({ "allow": false, "reason": "no" }),
        };
        let surplus = usize::from(kind == 14);
        let decisions: Vec<_> = (0..count + surplus).map(decision).collect();
        let status = if kind == 15 { 500 } else { 200 };
        let response = json!({ "decisions": decisions }).to_string();
        let decisions = request.read_response(status, response.as_bytes()).ok();
        self.feed(Input::HookDecided { task, decisions });
    }

    /// Lets the publish hook allow all messages that wait.
    fn allow_all(&mut self) {
        for _ in 0..=PENDING_MESSAGES_MAX {
            if self.hook_requests.is_empty() {
                return;
            }
            self.end_hook_request(0);
        }
        panic!("hook requests without an end");
    }

    /// Makes this many of the next storage requests fail.
    pub fn storage_fails(&mut self, times: usize) {
        self.room.store_mut().faults = times;
    }

    pub fn storage_works(&mut self) {
        self.room.store_mut().faults = 0;
    }

    /// Loses everything in memory: waiting lines, and every socket.
    pub fn crash(&mut self) {
        for socket in self.sockets.values_mut() {
            (socket.is_open, socket.is_closing) = (false, false);
        }
        self.restart();
    }

    /// Hibernates: drops the room, and restores it from storage and attachments. The platform does
    /// not do so while lines or messages wait, so they are processed first.
    pub fn restore(&mut self) {
        self.allow_all();
        self.settle();
        self.restart();
    }

    fn restart(&mut self) {
        let sockets: Vec<_> = (self.sockets.iter())
            .filter(|(_, socket)| socket.is_open || socket.is_closing)
            .map(|(id, socket)| RestoredSocket {
                connection: *id,
                attachment: socket.attachment.clone(),
                answered: socket.answered,
            })
            .rev()
            .collect();
        // The platform reports the loss to the callers.
        self.waiting.clear();
        let store = std::mem::take(self.room.store_mut());
        self.restorations += 1;
        let stored = RoomSnapshot {
            first_task: TaskId(1_000_000 * self.restorations),
            ..store.stored()
        };
        let rules = self.rules.clone();
        self.room = Room::restore(name(), rules, store, stored, sockets, self.now);
        self.do_outputs();
    }

    pub fn lose_attachment(&mut self, which: usize) {
        let id = self.id(which);
        let socket = id.and_then(|id| self.sockets.get_mut(&id));
        // Only open sockets: the attachment is all that marks a closed one as closing.
        if let Some(socket) = socket.filter(|socket| socket.is_open) {
            socket.attachment.clear();
            self.has_lost_attachment = true;
        }
    }

    pub fn newest(&self) -> u64 {
        self.room.store().newest().0
    }

    /// Checks that a changed message's content is only with its last change, and that of a deleted message
    /// nowhere.
    pub fn check_changed(&mut self) {
        let store = self.room.store_mut();
        let epoch = store.epoch();
        let lines = store.rows.values().flat_map(|row| {
            let lines = row.json.split('\n').filter(|line| !line.is_empty());
            (row.first.0..).zip(lines)
        });
        let lines: BTreeMap<u64, Value> = lines.map(|(at, line)| (at, json(line))).collect();
        for (offset, line) in &lines {
            assert_eq!(line["offset"], *offset);
            if line["type"] == "change" {
                assert_eq!(
                    line.as_object().map(|fields| fields.len()),
                    Some(3),
                    "{line}"
                );
            }
        }
        let mut deleted = BTreeSet::new();
        for changed in store.changed.values() {
            let (message, change) = (changed.message, json(&changed.change));
            assert_eq!(
                (&change["of"], &change["offset"]),
                (&message.0.into(), &changed.last.0.into())
            );
            if changed.aspect != Aspect::Content {
                continue;
            }
            let is_deleted = change["action"] == "delete";
            assert_eq!(change.get("data").is_none(), is_deleted, "{change}");
            let row = lines.get(&message.0);
            assert!(row.is_none_or(|row| row.get("data").is_none()), "{row:?}");
            let last = lines.get(&changed.last.0);
            assert!(last.is_none_or(|last| last["of"] == message.0), "{last:?}");
            deleted.extend(is_deleted.then_some(message.0));
        }
        let is_of_deleted = |entry: &Value| {
            let of = entry["of"].as_u64().or(entry["offset"].as_u64());
            of.is_some_and(|of| deleted.contains(&of))
        };
        let is_empty = |entry: &Value| entry.get("data").is_none() && entry.get("text").is_none();
        for row in store.events.values() {
            if let Lines::Messages { epoch: of, pushes } = &row.lines
                && *of == epoch
            {
                for line in pushes.split('\n').filter(|line| !line.is_empty()) {
                    let entry = json(line);
                    assert!(!is_of_deleted(&entry) || is_empty(&entry), "{entry}");
                }
            }
        }
        for event in store.dead_events.values() {
            let event = json(&event.json);
            let entry = event.get("message").or(event.get("change"));
            if let Some(entry) = entry.filter(|_| event["epoch"] == epoch.as_str()) {
                assert!(!is_of_deleted(entry) || is_empty(entry), "{event}");
            }
        }
    }

    /// Returns the number of replies that a connection received.
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
        self.room.store_mut().alarm = self.room.poll_timeout().map(|(due, _)| due);
        if std::mem::take(&mut self.restarts) {
            self.restart();
        }
        let most_ms = PRESENCE_WINDOWS * self.rules.window_ms_max;
        let flush_ms = self.room.poll_flush();
        assert!(
            flush_ms.is_none_or(|ms| ms <= most_ms),
            "the flush window is too long"
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
            Output::Restart => self.restarts = true,
            Output::Remove => {
                self.room.store_mut().remove();
                self.room.store_mut().event_state = MemoryStore::new().event_state;
                self.accepted = 0;
                self.restarts = true;
            }
            Output::Deliver { task, delivery } => self.deliveries.push((task, delivery)),
            Output::Respond { id, result } => {
                assert!(self.waiting.remove(&id), "an unexpected response");
                if let Ok(reply) = result {
                    let body = ApiResponse::from(&reply).body;
                    let body: Value = serde_json::from_str(&body).expect("JSON");
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
                (socket.is_open, socket.is_closing) = (false, true);
                socket.attachment = attachment;
            }
            Output::CheckToken { connection, id, .. } => self.token_checks.push((connection, id)),
            Output::CallPublishHook { task, request } => self.hook_requests.push((task, request)),
            Output::AnswerCall(_) | Output::CallGateway(_) => panic!("there is no gateway"),
            Output::Log(_) => {}
        }
    }

    fn deliver(&mut self, to: &[ConnectionId], text: &str) {
        let distinct: BTreeSet<_> = to.iter().collect();
        assert_eq!(distinct.len(), to.len(), "sent twice: {text}");
        let objects: Vec<Value> = (text.split('\n'))
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect();
        let newest = self.newest();
        // Replies to earlier commands may arrive after an erasure.
        let appended = self.room.store().highest.0;
        let is_exact = !self.has_lost_attachment && !self.is_late && self.rules.window_ms_max == 0;
        for id in to {
            let socket = self.sockets.get_mut(id).expect("a socket");
            assert!(socket.is_open, "sent to a closed socket: {text}");
            let has_lines = socket.test_user.is_some_and(|test_user| test_user.lines);
            assert!(
                objects.len() == 1 || has_lines,
                "several objects in a frame without lines: {text}"
            );
            for object in &objects {
                socket.receive(object, newest, appended, is_exact);
            }
        }
    }
}

impl Socket {
    /// Checks one object that the connection receives.
    fn receive(&mut self, object: &Value, newest: u64, appended: u64, is_exact: bool) {
        let kind = object["type"].as_str().expect("a type");
        let is_first = !self.is_welcomed;
        assert_eq!(kind == "welcome", is_first, "welcome first, once");
        let test_user = self.test_user.expect("a user");
        let can = |bit: u16| test_user.capabilities >> bit & 1 == 1;
        let users = |list: &Value| -> Vec<String> {
            let user = |one: &Value| one["user"].as_str().or(one.as_str()).unwrap().into();
            list.as_array().unwrap().iter().map(user).collect()
        };
        match kind {
            "welcome" => {
                self.is_welcomed = true;
                assert_eq!(object["offset"], newest);
                self.newest = match (test_user.resume, test_user.last) {
                    (Some((_, after)), _) if object["recovered"] == true => Some(after),
                    (None, None) => Some(newest),
                    _ => None,
                };
                assert_eq!(object["members"].is_array(), can(3));
                if can(3) && test_user.presence && object.get("truncated").is_none() {
                    let members: BTreeSet<_> = users(&object["members"]).into_iter().collect();
                    assert_eq!(object["count"], members.len());
                    self.members = Some(members);
                }
            }
            "message" | "change" => {
                assert!(can(0), "a message without 'receive'");
                let offset = object["offset"].as_u64().unwrap();
                assert!(offset <= appended, "sent before it was stored");
                if let Some(newest) = self.newest {
                    assert!(offset > newest, "a message twice");
                    let is_next = offset == newest + 1;
                    assert!(is_next || !test_user.echo, "a gap before {offset}");
                }
                self.newest = Some(offset);
                self.receive_version(object, offset);
            }
            "signal" => assert!(can(0), "a signal without 'receive'"),
            "presence" => {
                assert!(can(3) && test_user.presence, "an unwanted presence push");
                self.receive_presence(object, &users, is_exact);
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

    /// Checks that a message's version never falls.
    fn receive_version(&mut self, entry: &Value, offset: u64) {
        let Some(of) = entry["of"].as_u64() else {
            let version = entry["version"].as_u64();
            self.versions.insert(offset, version.unwrap_or(1));
            return;
        };
        assert!(of < offset, "a change before its message: {entry}");
        // A change that has been superseded has none.
        let Some(version) = entry["version"].as_u64() else {
            return;
        };
        if let Some(known) = self.versions.get_mut(&of) {
            assert!(version >= *known, "an older version: {entry}");
            *known = version;
        }
    }

    fn receive_presence(
        &mut self,
        object: &Value,
        users: &impl Fn(&Value) -> Vec<String>,
        is_exact: bool,
    ) {
        let Some(members) = self.members.as_mut() else {
            return;
        };
        // A push with several changes may repeat some that the client has already seen.
        for user in users(&object["leaves"]) {
            let was_here = members.remove(&user);
            assert!(was_here || !is_exact, "{user} left without being a member");
        }
        for user in users(&object["joins"]) {
            let is_new = members.insert(user);
            assert!(is_new || !is_exact, "a member joined again: {object}");
        }
        for user in users(&object["updates"]) {
            assert!(
                members.contains(&user) || !is_exact,
                "{user} is not a member"
            );
        }
        assert!(object["count"] == members.len() || !is_exact, "{object}");
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn name() -> RoomName {
    RoomName::parse("team:7:general").unwrap()
}
