//! `TestRoom`: a room with sockets, storage and a clock in memory. The only file among the tests
//! of the room that knows the core's API.
//!
//! It does the outputs as the shell does and checks on the way what has to hold of each: frames
//! go to sockets that are there, `welcome` comes first, an offset is taken once, and what waits
//! to be sent waits for no longer than it may.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

#[path = "store.rs"]
mod store;

use serde_json::{Value, json, value::RawValue};
use snug_core::{
    Admission, ApiRequest, ApiRequestId, ApiResponse, Config, ConnectionId, Input, Offset, Output,
    Refusal, Room, RoomName, Timestamp, UserId,
    auth::{
        JoinOptions, Position,
        token::{ClaimedLimits, Claims},
    },
    backend::{
        api::ApiOperation,
        publish_hook::{Decision, HookRequest},
        webhook::{Delivery, EventRow, Lines},
    },
    config::RoomRules,
    limits::{HIBERNATION_IDLE_MS, WINDOW_MS_MAX},
    protocol::command::CommandId,
    room::{
        Wake,
        bans::Ban,
        io::{DeliveryOutcome, RestoredSocket},
    },
    storage::batch::Batch,
};

use store::MemoryStore;

pub const ROOM: &str = "team:7:general";
/// The room's first epoch.
pub const EPOCH: &str = "e1";

/// The clock when a test starts.
pub const START_MS: u64 = 1_800_000_000_000;

/// For how long a token holds where a test does not say.
const YEAR_MS: u64 = 365 * 24 * 3_600_000;

/// How many times as long as a message a change in presence may wait, where nothing else does.
const PRESENCE_WINDOWS: u64 = 100;
/// By then a room that gathers is quiet again.
pub const SETTLES_MS: u64 = 3 * PRESENCE_WINDOWS * WINDOW_MS_MAX;

/// When the room is dropped and restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Never.
    Awake,
    /// Whenever the platform would: before an input that comes after an idle while.
    HibernatingWhenIdle,
    /// After every single input.
    RestoredAfterEveryInput,
}

/// Runs a script against a room that stays awake, one that hibernates and one that is restored
/// after every input, and wants the same of all: every frame, write and close, in order.
#[track_caller]
pub fn scenario(script: impl Fn(&mut TestRoom)) {
    scenario_with(|_| {}, script);
}

/// The same, with other rules than the default ones.
#[track_caller]
pub fn scenario_with(rules: impl Fn(&mut RoomRules), script: impl Fn(&mut TestRoom)) {
    let expected = play(Life::Awake, &rules, &script);
    for life in [Life::HibernatingWhenIdle, Life::RestoredAfterEveryInput] {
        assert_same(&expected, &play(life, &rules, &script), life);
    }
}

/// The same, for scripts in which a rate is exceeded: that is over before a room hibernates and
/// is not kept, so a restore in the middle of it does show.
#[track_caller]
pub fn busy_scenario_with(rules: impl Fn(&mut RoomRules), script: impl Fn(&mut TestRoom)) {
    let expected = play(Life::Awake, &rules, &script);
    let life = Life::HibernatingWhenIdle;
    assert_same(&expected, &play(life, &rules, &script), life);
}

/// The same, in a room that gathers while it is busy. How busy it was is not kept, so that a room
/// that is restored in the middle of it sends sooner; by the time it hibernates, that is over.
#[track_caller]
pub fn gathering_scenario(script: impl Fn(&mut TestRoom)) {
    gathering_scenario_with(|_| {}, script);
}

/// The same, with other rules than the default ones.
#[track_caller]
pub fn gathering_scenario_with(rules: impl Fn(&mut RoomRules), script: impl Fn(&mut TestRoom)) {
    let gathering = |changed: &mut RoomRules| {
        changed.window_ms_max = WINDOW_MS_MAX;
        rules(changed);
    };
    busy_scenario_with(gathering, script);
}

/// A room, its sockets, its storage and its clock.
pub struct TestRoom {
    room: Room,
    life: Life,
    rules: Rc<RoomRules>,
    now: Timestamp,
    last_input: Timestamp,
    /// When the timer that runs for the room ends.
    flush_at: Option<Timestamp>,
    connected: u64,
    sockets: BTreeMap<ConnectionId, Socket>,
    store: MemoryStore,
    /// What storage was asked to take, since this was last asked.
    rows: Vec<Stored>,
    transcript: Vec<String>,
    ignores_closes: bool,
    alarms: usize,
    /// New tokens of whose check nobody has told the room.
    unchecked: Vec<(ConnectionId, Option<CommandId>)>,
    /// What was sent to the back end and not answered.
    deliveries: Vec<Delivery>,
    /// All events that were sent, as often as they were, since this was last asked.
    notified: Vec<Value>,
    /// What the back end was asked, and has not answered.
    question: Option<Rc<HookRequest>>,
    allows_at_once: bool,
    calls: u64,
    answers: BTreeMap<ApiRequestId, Result<ApiResponse, Refusal>>,
}

/// A row of messages that storage took, or did not.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    pub first: u64,
    pub count: usize,
    pub is_stored: bool,
}

/// The other end of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client(ConnectionId);

impl Client {
    /// The connection's name on the wire.
    pub fn id(self) -> String {
        self.0.to_string()
    }
}

/// Who comes, and with which wishes.
#[derive(Clone)]
pub struct Visitor(Admission, String);

impl Visitor {
    /// A user with the default capabilities and no wishes, whose frames hold lines.
    pub fn named(user: &str) -> Self {
        Self(
            Admission {
                user: UserId::parse(user).unwrap(),
                info: None,
                can: snug_core::Capabilities::default_grant(),
                expires: Timestamp(START_MS).plus_ms(YEAR_MS),
                limits: ClaimedLimits::default(),
                options: JoinOptions {
                    lines: true,
                    echo: true,
                    presence: true,
                    resume: None,
                    last: None,
                },
            },
            ROOM.into(),
        )
    }

    /// Without a subprotocol: one object a frame.
    pub fn plain(mut self) -> Self {
        self.0.options.lines = false;
        self
    }

    pub fn without_echo(mut self) -> Self {
        self.0.options.echo = false;
        self
    }

    pub fn without_presence(mut self) -> Self {
        self.0.options.presence = false;
        self
    }

    pub fn resuming_after(self, offset: u64) -> Self {
        self.resuming_in(EPOCH, offset)
    }

    /// Resumes after this offset of that epoch.
    pub fn resuming_in(mut self, epoch: &str, offset: u64) -> Self {
        self.0.options.resume = Some(Position {
            epoch: epoch.into(),
            offset: Offset(offset),
        });
        self
    }

    pub fn wanting_last(mut self, messages: u64) -> Self {
        self.0.options.last = Some(messages);
        self
    }

    pub fn who_can(mut self, capabilities: &[&str]) -> Self {
        self.0.can = serde_json::from_value(json!(capabilities)).unwrap();
        self
    }

    pub fn with_info(mut self, info: Value) -> Self {
        self.0.info = Some(RawValue::from_string(info.to_string()).unwrap().into());
        self
    }

    /// Whose token is for this room alone, or for another.
    pub fn of_room(mut self, room: &str) -> Self {
        self.1 = room.into();
        self
    }

    /// What the visitor's token says.
    pub fn claims(self) -> Claims {
        let Self(admission, room) = self;
        let grants = BTreeMap::from([(room, admission.can)]);
        Claims {
            user: admission.user,
            expires: admission.expires,
            grants: serde_json::from_value(json!(grants)).unwrap(),
            info: admission.info,
            limits: admission.limits,
        }
    }

    /// Whose token ends in so many milliseconds from the start.
    pub fn until_ms(mut self, ms: u64) -> Self {
        self.0.expires = Timestamp(START_MS).plus_ms(ms);
        self
    }

    pub fn with_messages_per_second(mut self, most: u32) -> Self {
        self.0.limits.messages_per_second = Some(most.into());
        self
    }

    pub fn with_message_bytes(mut self, most: usize) -> Self {
        self.0.limits.message_bytes = Some(most as u64);
        self
    }
}

impl TestRoom {
    pub fn new(life: Life, rules: RoomRules) -> Self {
        let (rules, now) = (Rc::new(rules), Timestamp(START_MS));
        let store = MemoryStore::default();
        Self {
            room: Room::restore(room_name(), rules.clone(), store.stored(), [], now),
            life,
            rules,
            now,
            last_input: now,
            flush_at: None,
            connected: 0,
            sockets: BTreeMap::new(),
            store,
            rows: Vec::new(),
            transcript: Vec::new(),
            ignores_closes: false,
            alarms: 0,
            unchecked: Vec::new(),
            deliveries: Vec::new(),
            notified: Vec::new(),
            question: None,
            allows_at_once: false,
            calls: 0,
            answers: BTreeMap::new(),
        }
    }

    // Coming and going.

    #[track_caller]
    pub fn join(&mut self, user: &str) -> Client {
        self.admit(Visitor::named(user))
    }

    #[track_caller]
    pub fn admit(&mut self, visitor: Visitor) -> Client {
        self.try_admit(visitor).expect("the room has room")
    }

    /// Comes in, or is told the code of the refusal.
    #[track_caller]
    pub fn try_admit(&mut self, visitor: Visitor) -> Result<Client, &'static str> {
        let Visitor(admission, _) = visitor;
        self.wake();
        self.room
            .check_capacity(&admission.user, self.now)
            .map_err(|refusal| refusal.code())?;
        self.connected += 1;
        // Spread out, so that no order follows from the order of coming.
        let connection = ConnectionId(self.connected.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        self.feed(Input::Connect {
            connection,
            admission,
        });
        Ok(Client(connection))
    }

    /// Says goodbye.
    #[track_caller]
    pub fn leaves(&mut self, client: Client) {
        self.disconnects(client, true);
    }

    /// Is gone without a word.
    #[track_caller]
    pub fn drops(&mut self, client: Client) {
        self.disconnects(client, false);
    }

    /// The runtime reports a connection as gone, perhaps not for the first time.
    #[track_caller]
    pub fn disconnects(&mut self, client: Client, clean: bool) {
        // A room that wakes for this finds the socket among the others still.
        self.wake();
        if let Some(socket) = self.sockets.get_mut(&client.0) {
            (socket.is_open, socket.is_ending) = (false, false);
        }
        self.feed(Input::Disconnect {
            connection: client.0,
            clean,
        });
    }

    // The back end.

    /// What it is asked to judge.
    #[track_caller]
    pub fn is_to_judge(&self) -> Value {
        let question = self.question.as_ref().expect("a question");
        let body: Value = serde_json::from_str(&question.body("now")).expect("JSON");
        assert_eq!(
            (&body["type"], &body["timestamp"]),
            (&json!("room.publish"), &json!("now"))
        );
        assert_eq!(body["data"]["room"], ROOM);
        body["data"]["messages"].clone()
    }

    /// What the messages say that it is asked to judge.
    #[track_caller]
    pub fn is_to_judge_data(&self) -> Vec<Value> {
        let messages = self.is_to_judge();
        let messages = messages.as_array().unwrap().iter();
        messages.map(|message| message["data"].clone()).collect()
    }

    pub fn has_nothing_to_judge(&self) -> bool {
        self.question.is_none()
    }

    /// It answers with these verdicts.
    #[track_caller]
    pub fn judges(&mut self, verdicts: &[Value]) {
        let body = json!({ "decisions": verdicts }).to_string();
        self.judges_by(200, &body);
    }

    /// It lets all of them through.
    #[track_caller]
    pub fn allows_all(&mut self) {
        let count = self.is_to_judge_data().len();
        self.judges(&vec![json!({ "allow": true }); count]);
    }

    /// From here on it lets everything through as soon as it is asked.
    pub fn allows_at_once(&mut self) {
        self.allows_at_once = true;
    }

    /// It answers with this.
    #[track_caller]
    pub fn judges_by(&mut self, status: u16, body: &str) {
        let question = self.question.as_ref().expect("a question");
        let verdicts = question.read_answer(status, body.as_bytes());
        self.is_told_of_verdicts(verdicts.ok());
    }

    /// It answers, or does not.
    #[track_caller]
    pub fn is_told_of_verdicts(&mut self, verdicts: Option<Vec<Decision>>) {
        let question = self.question.take().expect("a question");
        self.answers_question(question, verdicts);
    }

    /// It answers a question that it was asked some time.
    #[track_caller]
    pub fn answers_question(&mut self, question: Rc<HookRequest>, verdicts: Option<Vec<Decision>>) {
        self.feed(Input::HookDecided {
            question,
            decisions: verdicts,
        });
    }

    /// The question that it does not answer, for now.
    #[track_caller]
    pub fn sets_question_aside(&mut self) -> Rc<HookRequest> {
        self.question.take().expect("a question")
    }

    /// Asks for something by a token of the visitor's.
    #[track_caller]
    pub fn is_asked(&mut self, visitor: &Visitor, ask: ApiOperation, body: &str) -> ApiRequestId {
        self.wake();
        let id = ApiRequestId(self.calls);
        self.calls += 1;
        let claims = visitor.clone().claims();
        let call = ApiRequest::admit(claims, &room_name(), ask).expect("granted");
        let body = body.into();
        self.feed(Input::ApiRequest { id, call, body });
        id
    }

    /// The answer to a call: its status and its body, or the refusal and its code.
    #[track_caller]
    pub fn answers(&mut self, id: ApiRequestId) -> (u16, Value) {
        match self.answers.remove(&id).expect("an answer") {
            Ok(answer) => (answer.status, serde_json::from_str(&answer.body).unwrap()),
            Err(refusal) => (refusal.status(), refusal.code().into()),
        }
    }

    pub fn has_answered(&self, id: ApiRequestId) -> bool {
        self.answers.contains_key(&id)
    }

    /// Asks, and takes the answer.
    #[track_caller]
    pub fn call(&mut self, visitor: &Visitor, ask: ApiOperation, body: &str) -> (u16, Value) {
        let id = self.is_asked(visitor, ask, body);
        self.answers(id)
    }

    // What the back end is told.

    /// The back end gets what was sent to it last: the events, in order.
    #[track_caller]
    pub fn is_told(&mut self) -> Vec<Value> {
        let delivery = self.deliveries.last().expect("a delivery");
        let events = delivery.events().iter();
        events
            .map(|event| serde_json::from_str(&event.json).unwrap())
            .collect()
    }

    /// All events that were sent since this was last asked, in the order of sending.
    pub fn take_told(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.notified)
    }

    pub fn tells_nothing(&self) -> bool {
        self.deliveries.is_empty()
    }

    /// The back end answers.
    #[track_caller]
    pub fn back_end_answers(&mut self, outcome: DeliveryOutcome) {
        let delivery = self.deliveries.pop().expect("a delivery");
        let (_, last) = delivery.range().expect("events");
        self.feed(Input::Delivered {
            last,
            outcome,
            chance: 0,
        });
    }

    /// The back end answers for what was sent to it first, however late that is.
    #[track_caller]
    pub fn back_end_answers_late(&mut self, outcome: DeliveryOutcome) {
        self.deliveries.rotate_left(1);
        self.back_end_answers(outcome);
    }

    /// What waits to be told, as storage has it.
    pub fn stored_events(&self) -> Vec<&str> {
        let rows = self.store.events.values();
        rows.flat_map(|row| row.lines.text().split('\n')).collect()
    }

    /// Storage holds an event more, and so many bytes between it and those before.
    pub fn is_stored_with_events_of(&mut self, bytes: u64) {
        let stored = self.store.stored().events;
        self.store.append_events(EventRow {
            first: stored.newest + 1,
            count: 1,
            time: self.now,
            bytes_before: stored.bytes + bytes,
            lines: Lines::Events("".into()),
        });
        self.restore();
    }

    // Sending.

    /// Publishes, without asking for an ack.
    #[track_caller]
    pub fn says(&mut self, client: Client, data: impl Into<Value>) {
        self.sends(client, json!({ "type": "publish", "data": data.into() }));
    }

    /// Sends one command in a frame of its own.
    #[track_caller]
    pub fn sends(&mut self, client: Client, command: Value) {
        self.sends_text(client, &command.to_string());
    }

    /// Sends several commands in one frame.
    #[track_caller]
    pub fn sends_lines(&mut self, client: Client, commands: &[Value]) {
        let lines: Vec<_> = commands.iter().map(Value::to_string).collect();
        self.sends_text(client, &lines.join("\n"));
    }

    #[track_caller]
    pub fn sends_text(&mut self, client: Client, frame: &str) {
        self.feed(Input::Receive {
            from: client.0,
            text: frame.into(),
        });
    }

    #[track_caller]
    pub fn sends_bytes(&mut self, client: Client) {
        self.feed(Input::ReceiveBinary { from: client.0 });
    }

    /// The runtime answers a ping by itself; the room does not hear of it.
    #[track_caller]
    pub fn pings_runtime(&mut self, client: Client) {
        let now = self.now;
        self.socket(client).answered = Some(now);
    }

    /// Sends a new token, which says what this visitor's would.
    #[track_caller]
    pub fn refreshes(&mut self, client: Client, visitor: Visitor) {
        self.starts_to_refresh(client);
        self.is_told_of_the_token(Ok(visitor.claims()));
    }

    /// Sends a new token, which is yet to be checked.
    #[track_caller]
    pub fn starts_to_refresh(&mut self, client: Client) {
        self.sends(
            client,
            json!({ "type": "refresh", "id": "r", "token": "…" }),
        );
    }

    /// The oldest token that is yet to be checked has been.
    #[track_caller]
    pub fn is_told_of_the_token(&mut self, outcome: Result<Claims, Refusal>) {
        assert!(!self.unchecked.is_empty(), "no token is to be checked");
        let (connection, id) = self.unchecked.remove(0);
        self.feed(Input::TokenChecked {
            connection,
            id,
            outcome,
        });
    }

    // Time and fate.

    /// Lets time pass, and wakes the room whenever it asked for it.
    #[track_caller]
    pub fn pass_ms(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        loop {
            let flush = self.flush_at.filter(|due| *due <= end);
            let timeout = self.room.poll_timeout().map(|(due, _)| due);
            let timeout = timeout.filter(|due| *due <= end);
            match (flush, timeout) {
                (Some(due), timeout) if timeout.is_none_or(|timeout| due <= timeout) => {
                    self.now = self.now.max(due);
                    self.feed(Input::Flush);
                }
                (_, Some(due)) => {
                    self.now = self.now.max(due);
                    self.on_timeout();
                    let next = self.room.poll_timeout();
                    assert!(
                        next.is_none_or(|(due, _)| due > self.now),
                        "woken for nothing: {next:?}"
                    );
                }
                (_, None) => break,
            }
        }
        self.now = end;
    }

    /// Lets time pass, and the alarm that should ring in it has not rung yet.
    pub fn alarm_is_late_by_ms(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }

    /// Whether what comes in waits to be sent.
    pub fn gathers(&self) -> bool {
        self.flush_at.is_some()
    }

    /// How long what comes in waits.
    #[track_caller]
    pub fn gathers_for_ms(&self) -> u64 {
        let due = self.flush_at.expect("a room that gathers");
        due.ms_since(self.now)
    }

    /// Lets just so much time pass that the room may send.
    #[track_caller]
    pub fn flushes_once(&mut self) {
        self.pass_ms(self.gathers_for_ms());
    }

    /// Lets just so much time pass that nothing is left to be sent.
    #[track_caller]
    pub fn flushes(&mut self) {
        assert!(self.gathers(), "nothing waits");
        while self.gathers() {
            self.flushes_once();
        }
    }

    /// Lets time pass until the room is quiet.
    #[track_caller]
    pub fn settles_aloud(&mut self) {
        self.pass_ms(SETTLES_MS);
        assert!(!self.gathers(), "it is not quiet");
    }

    /// The same, and passes over what has been heard.
    #[track_caller]
    pub fn settles(&mut self) {
        self.settles_aloud();
        self.skips_to_now();
    }

    /// The same, and then has somebody say something, so that what comes next waits.
    #[track_caller]
    pub fn gets_busy(&mut self, client: Client) {
        self.settles();
        self.says(client, "busy");
        assert!(self.gathers(), "it is not busy");
        self.skips_to_now();
    }

    /// So many bytes wait for each of these.
    #[track_caller]
    pub fn falls_behind(&mut self, queued: &[(Client, u64)]) {
        let queued = queued.iter().map(|(client, bytes)| (client.0, *bytes));
        let queued = queued.collect();
        self.feed(Input::SlowConsumers { queued });
    }

    /// Wakes the room, whether it asked for it or not.
    #[track_caller]
    pub fn on_timeout(&mut self) {
        self.alarms += 1;
        let answered = self
            .open_sockets()
            .filter_map(|(id, socket)| Some((*id, socket.answered?)))
            .collect();
        self.feed(Input::Timeout { answered });
    }

    /// How many bans storage holds.
    pub fn stored_bans(&self) -> usize {
        self.store.bans.len()
    }

    /// Starts again from a storage with so many bans in it.
    pub fn is_stored_with_bans(&mut self, bans: usize) {
        for number in 0..bans {
            let user = UserId::parse(&format!("banned {number}")).unwrap();
            let until = self.now.plus_ms(3_600_000);
            self.store.bans.insert(user.clone(), Ban { user, until });
        }
        self.restore();
    }

    /// How often the room was woken by time.
    pub fn alarms(&self) -> usize {
        self.alarms
    }

    /// Whether the room wants to be woken, other than to remove what has aged.
    pub fn waits_for_time(&self) -> bool {
        let wake = self.room.poll_timeout();
        wake.is_some_and(|(_, why)| why != Wake::Trim)
    }

    /// The clock is set back, as clocks sometimes are. Timers run on.
    pub fn clock_jumps_back_ms(&mut self, ms: u64) {
        self.flush_at = self.flush_at.map(|at| Timestamp(at.0 - ms));
        self.now = Timestamp(self.now.0 - ms);
        self.last_input = self.last_input.min(self.now);
    }

    /// Storage fails the next thing it is asked.
    pub fn storage_fails_once(&mut self) {
        self.store.faults = 1;
    }

    /// Drops the room and restores it from storage and attachments, in no particular order. The
    /// platform does not while a timer runs, so not while the room gathers, nor while the back end
    /// is asked.
    #[track_caller]
    pub fn restore(&mut self) {
        assert!(!self.gathers(), "dropped while it gathers");
        assert!(self.question.is_none(), "dropped while messages are judged");
        self.restart();
    }

    #[track_caller]
    fn restart(&mut self) {
        let sockets: Vec<_> = self
            .sockets
            .iter()
            .filter(|(_, socket)| socket.is_open || socket.is_ending)
            .map(|(id, socket)| RestoredSocket {
                connection: *id,
                attachment: socket.attachment.clone(),
                answered: socket.answered,
            })
            .rev()
            .collect();
        self.room = Room::restore(
            room_name(),
            self.rules.clone(),
            self.store.stored(),
            sockets,
            self.now,
        );
        self.do_outputs();
        self.flush_at = self.room.poll_flush().map(|ms| self.now.plus_ms(ms));
    }

    /// All that is in memory is lost at once: what waits to be sent, and every socket.
    #[track_caller]
    pub fn crashes(&mut self) {
        for socket in self.sockets.values_mut() {
            (socket.is_open, socket.is_ending) = (false, false);
        }
        self.question = None;
        self.restart();
    }

    /// From here on clients do not answer a close, so that the runtime has nothing to report.
    pub fn ignores_closes(&mut self) {
        self.ignores_closes = true;
    }

    /// What is kept with the socket.
    #[track_caller]
    pub fn attachment(&mut self, client: Client) -> &mut String {
        &mut self.socket(client).attachment
    }

    /// Stores messages without sending them to anybody, as before the test began.
    #[track_caller]
    pub fn has_stored(&mut self, messages: impl IntoIterator<Item = Value>) {
        for data in messages {
            let offset = self.store.newest().next();
            let json = format!(
                r#"{{"type":"message","offset":{},"time":{},"user":"old","data":{data}}}"#,
                offset.0, self.now.0
            );
            let json = json.into();
            let (time, bytes_before) = (self.now, self.store.bytes());
            let batch = Batch {
                first: offset,
                count: 1,
                time,
                bytes_before,
                json,
                keys: Vec::new(),
            };
            assert_eq!(self.store.append(batch, None), Ok(()));
        }
        self.restore();
    }

    /// Storage loses a row, and all before it.
    pub fn loses_stored(&mut self, offset: u64) {
        self.store.rows.retain(|first, _| first.0 > offset);
    }

    /// The lengths of all frames that were sent to it.
    pub fn frame_lengths(&mut self, client: Client) -> Vec<usize> {
        self.socket(client)
            .frames
            .iter()
            .map(|frame| frame.len())
            .collect()
    }

    pub fn now_ms(&self) -> u64 {
        self.now.0
    }

    /// How many messages each row holds, without those that lost their text.
    pub fn stored_rows(&self) -> Vec<u64> {
        let rows = self.store.rows.values();
        let rows = rows.filter(|row| !row.json.is_empty());
        rows.map(|row| row.count).collect()
    }

    /// What storage was asked to take since this was last asked.
    pub fn rows(&mut self) -> Vec<Stored> {
        std::mem::take(&mut self.rows)
    }

    /// How many rows are stored.
    pub fn stored_count(&self) -> usize {
        self.store.rows.len()
    }

    /// The size of all stored messages.
    pub fn stored_bytes(&self) -> usize {
        self.store.rows.values().map(|row| row.json.len()).sum()
    }

    // Hearing.

    /// Wants the next thing heard to have these fields, and gives all of it.
    #[track_caller]
    pub fn hears(&mut self, client: Client, wanted: Value) -> Value {
        let next = self.socket(client).unheard.pop_front();
        match next.map(|(_, heard)| heard) {
            Some(heard) if holds(&heard, &wanted) => heard,
            other => {
                let next = other.map_or("nothing".into(), |heard| heard.to_string());
                panic!("wanted {wanted}\nbut heard {next}\n{}", self.story(client))
            }
        }
    }

    /// Wants the next thing heard to be this message.
    #[track_caller]
    pub fn hears_message(&mut self, client: Client, data: impl Into<Value>) -> Value {
        self.hears(client, json!({ "type": "message", "data": data.into() }))
    }

    /// Wants the next things heard to be these, and to have come in one frame of their own.
    #[track_caller]
    pub fn hears_frame(&mut self, client: Client, wanted: &[Value]) {
        let unheard = &mut self.socket(client).unheard;
        let next = unheard.front().map(|(frame, _)| *frame);
        let length = unheard.iter().filter(|(frame, _)| Some(*frame) == next);
        let heard: Vec<_> = unheard.drain(..length.count()).collect();
        let heard: Value = heard.into_iter().map(|(_, object)| object).collect();
        let wanted = Value::from(wanted);
        assert!(
            holds(&heard, &wanted),
            "wanted a frame of {wanted}\nbut heard {heard}\n{}",
            self.story(client)
        );
    }

    /// Wants nothing (more) to have been heard.
    #[track_caller]
    pub fn hears_nothing(&mut self, client: Client) {
        if let Some((_, heard)) = self.socket(client).unheard.pop_front() {
            panic!("wanted nothing\nbut heard {heard}\n{}", self.story(client));
        }
    }

    /// Wants the next thing heard to be the notice of a close, then the close.
    #[track_caller]
    pub fn hears_close(&mut self, client: Client, code: u16, reason: &str) {
        let reconnect = code < 4100;
        self.hears(
            client,
            json!({ "type": "closing", "code": code, "reason": reason, "reconnect": reconnect }),
        );
        self.hears_nothing(client);
        let closed = self.socket(client).closed;
        assert_eq!(closed, Some(code), "{}", self.story(client));
    }

    /// Everything not yet heard.
    #[track_caller]
    pub fn heard(&mut self, client: Client) -> Vec<Value> {
        let unheard = self.socket(client).unheard.drain(..);
        unheard.map(|(_, heard)| heard).collect()
    }

    /// The last frame, as it was sent.
    #[track_caller]
    pub fn last_frame(&mut self, client: Client) -> Rc<str> {
        let frames = &self.socket(client).frames;
        frames.last().expect("a frame").clone()
    }

    /// Passes over what everybody has heard so far.
    pub fn skips_to_now(&mut self) {
        for socket in self.sockets.values_mut() {
            socket.unheard.clear();
        }
    }

    pub fn is_open(&self, client: Client) -> bool {
        self.sockets
            .get(&client.0)
            .is_some_and(|socket| socket.is_open)
    }
}

struct Socket {
    attachment: String,
    has_lines: bool,
    is_open: bool,
    /// Closed from here, and not reported to be gone.
    is_ending: bool,
    closed: Option<u16>,
    answered: Option<Timestamp>,
    /// What it was sent and has not looked at, each with the number of its frame.
    unheard: VecDeque<(usize, Value)>,
    frames: Vec<Rc<str>>,
}

impl TestRoom {
    #[track_caller]
    fn feed(&mut self, input: Input) {
        self.wake();
        self.room.handle_input(input, self.now);
        self.do_outputs();
        while let Some(question) = self.question.take_if(|_| self.allows_at_once) {
            let count = question.body("").matches(r#"{"user":"#).count();
            let verdicts = Some(vec![Decision::Allow; count]);
            let input = Input::HookDecided {
                question,
                decisions: verdicts,
            };
            self.room.handle_input(input, self.now);
            self.do_outputs();
        }
        let flush_ms = self.room.poll_flush();
        self.flush_at = flush_ms.map(|ms| self.now.plus_ms(ms));
        if let Some(ms) = flush_ms {
            let most_ms = PRESENCE_WINDOWS * self.rules.window_ms_max;
            assert!((1..=most_ms).contains(&ms), "gathers for {ms} ms");
        } else if self.life == Life::RestoredAfterEveryInput && !self.is_waited_for() {
            self.restore();
        }
    }

    /// Whether the object is kept awake by something that is on its way to the back end.
    fn is_waited_for(&self) -> bool {
        !self.deliveries.is_empty() || self.question.is_some()
    }

    #[track_caller]
    fn wake(&mut self) {
        let idle_ms = self.now.ms_since(self.last_input);
        // What is on its way keeps the object awake.
        let may_hibernate = !self.is_waited_for() && idle_ms >= HIBERNATION_IDLE_MS;
        if self.life == Life::HibernatingWhenIdle && may_hibernate {
            self.restore();
        }
        self.last_input = self.now;
    }

    #[track_caller]
    fn do_outputs(&mut self) {
        let mut closed = Vec::new();
        let mut is_stale = false;
        while let Some(output) = self.room.poll_output() {
            self.note(&output);
            match output {
                Output::Attach {
                    connection,
                    attachment,
                } => match self.sockets.get_mut(&connection) {
                    Some(socket) => socket.attachment = attachment,
                    None => {
                        self.sockets.insert(connection, Socket::new(attachment));
                    }
                },
                Output::Append { batch, events } => {
                    let (first, count) = (batch.first.0, batch.count as usize);
                    let outcome = self.store.append(batch, events);
                    is_stale |= outcome.is_err();
                    self.rows.push(Stored {
                        first,
                        count,
                        is_stored: outcome.is_ok(),
                    });
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
                Output::Deliver(delivery) => {
                    let events = delivery.events().iter();
                    let events = events.map(|event| serde_json::from_str::<Value>(&event.json));
                    self.notified
                        .extend(events.map(|event| event.expect("JSON")));
                    self.deliveries.push(delivery);
                }
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
                    let twice = self.answers.insert(id, answer);
                    assert!(twice.is_none(), "answered twice: {twice:?}");
                }
                Output::CheckToken { connection, id, .. } => self.unchecked.push((connection, id)),
                Output::CallPublishHook(question) => {
                    let before = self.question.replace(question);
                    assert!(before.is_none(), "asked while it is asked: {before:?}");
                }
                Output::Send { to, text } => self.deliver(&to, &text),
                Output::Close {
                    connection,
                    code,
                    attachment,
                } => {
                    let socket = self.sockets.get_mut(&connection).expect("a socket");
                    socket.attachment = attachment;
                    socket.is_open = false;
                    socket.closed = Some(code.number());
                    closed.push(connection);
                }
                Output::StoreAbsence(absence) => {
                    self.store.store_absence(absence);
                }
                Output::DeleteAbsence(user) => {
                    self.store.delete_absence(&user);
                }
                Output::StoreBan(ban) => {
                    let outcome = self.store.store_ban(ban);
                    self.room.handle_input(Input::BanStored(outcome), self.now);
                }
                Output::DeleteBan(user) => self.store.delete_ban(&user),
            }
        }
        if is_stale {
            // What is in memory cannot be relied on.
            self.restart();
        }
        if self.ignores_closes {
            for id in closed {
                self.socket(Client(id)).is_ending = true;
            }
            return;
        }
        // The runtime reports the closes that the room asked for, too.
        for connection in closed {
            let clean = true;
            self.room
                .handle_input(Input::Disconnect { connection, clean }, self.now);
            let after = self.room.poll_output();
            assert!(after.is_none(), "a closed connection went twice: {after:?}");
        }
    }

    #[track_caller]
    fn deliver(&mut self, to: &[ConnectionId], text: &Rc<str>) {
        let distinct: BTreeSet<_> = to.iter().collect();
        assert_eq!(distinct.len(), to.len(), "sent twice: {text}");
        let objects: Vec<Value> = text
            .split('\n')
            .map(|line| serde_json::from_str(line).expect("lines are JSON"))
            .collect();
        let newest = self.store.newest().0;
        let is_stored = |object: &Value| object["offset"].as_u64().is_none_or(|it| it <= newest);
        assert!(objects.iter().all(is_stored), "not stored: {text}");
        for id in to {
            let socket = self.sockets.get_mut(id).expect("an accepted socket");
            assert!(socket.is_open, "sent to a closed socket: {text}");
            assert!(
                objects.len() == 1 || socket.has_lines,
                "several objects in a plain frame: {text}"
            );
            let is_welcome = objects[0]["type"] == "welcome";
            assert_eq!(
                is_welcome,
                socket.frames.is_empty(),
                "welcome first, and once"
            );
            let frame = socket.frames.len();
            let objects = objects.iter().cloned();
            socket.unheard.extend(objects.map(|object| (frame, object)));
            socket.frames.push(text.clone());
        }
    }

    /// Writes down what can be seen from outside. Attachments cannot.
    fn note(&mut self, output: &Output) {
        // Nor can it be seen that keys are read after each wake.
        let hidden = matches!(
            output,
            Output::Attach { .. } | Output::ReadKeys | Output::Trim { .. }
        );
        if !hidden {
            self.transcript.push(format!("{output:?}"));
        }
    }

    #[track_caller]
    fn socket(&mut self, client: Client) -> &mut Socket {
        self.sockets.get_mut(&client.0).expect("an accepted socket")
    }

    fn open_sockets(&self) -> impl DoubleEndedIterator<Item = (&ConnectionId, &Socket)> {
        self.sockets.iter().filter(|(_, socket)| socket.is_open)
    }

    fn story(&self, client: Client) -> String {
        let socket = &self.sockets[&client.0];
        let frames = socket.frames.iter().map(|frame| format!("  {frame}\n"));
        format!(
            "room: {:?}; all that {} was sent:\n{}",
            self.life,
            client.id(),
            frames.collect::<String>()
        )
    }
}

impl Socket {
    fn new(attachment: String) -> Self {
        let kept: Value = serde_json::from_str(&attachment).expect("attachments are JSON");
        Self {
            attachment,
            has_lines: kept["lines"] == true,
            is_open: true,
            is_ending: false,
            closed: None,
            answered: None,
            unheard: VecDeque::new(),
            frames: Vec::new(),
        }
    }
}

/// The rules where the operator sets nothing but a secret, in a room that never gathers: what it
/// says to one input is said before the next.
pub fn default_rules() -> RoomRules {
    let secret = |name: &str| (name == "JWT_SECRET").then(|| "s".repeat(32));
    let config = Config::read(&secret);
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    let mut rules = (*config.room).clone();
    rules.window_ms_max = 0;
    rules
}

fn room_name() -> RoomName {
    RoomName::parse(ROOM).unwrap()
}

#[track_caller]
fn play(
    life: Life,
    rules: &impl Fn(&mut RoomRules),
    script: &impl Fn(&mut TestRoom),
) -> Vec<String> {
    let mut changed = default_rules();
    rules(&mut changed);
    let mut room = TestRoom::new(life, changed);
    script(&mut room);
    room.transcript
}

#[track_caller]
fn assert_same(expected: &[String], actual: &[String], life: Life) {
    let first_difference = expected.iter().zip(actual).position(|(a, b)| a != b);
    let at = first_difference.unwrap_or(expected.len().min(actual.len()));
    let (wanted, got) = (expected.get(at), actual.get(at));
    assert_eq!(wanted, got, "{life:?} differs from Awake at output {at}");
}

/// Whether `heard` has all that `wanted` has; it may have more fields, but not more elements.
fn holds(heard: &Value, wanted: &Value) -> bool {
    match (heard, wanted) {
        (Value::Object(heard), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, value)| heard.get(name).is_some_and(|it| holds(it, value))),
        (Value::Array(heard), Value::Array(wanted)) => {
            heard.len() == wanted.len() && heard.iter().zip(wanted).all(|(a, b)| holds(a, b))
        }
        _ => heard == wanted,
    }
}
