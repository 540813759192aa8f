//! `TestRoom`: a room with sockets, storage and a clock in memory. The only file among the tests
//! of the room that knows the core's API.
//!
//! It does the outputs as the shell does and checks on the way what has to hold of each: frames
//! go to sockets that are there, `welcome` comes first, an offset is taken once.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use serde_json::{Value, json, value::RawValue};
use snug_core::{
    Admission, Config, ConnectionId, Epoch, Input, Offset, Output, Room, RoomName, Stored,
    Timestamp, UserId,
    command::{PageRequest, PageStart},
    config::RoomRules,
    door::{Options, Position},
    io::{KeptSocket, StorageFault, StoredMessage},
    keys::StoredKey,
    limits::{HIBERNATION_IDLE_MS, KEYS_MAX},
    presence::Absence,
    retention::{Floor, TRIM_ROWS_MAX},
    token::ClaimedLimits,
};

pub const ROOM: &str = "team:7:general";
pub const EPOCH: &str = "e1";
/// The clock when a test starts.
pub const START_MS: u64 = 1_800_000_000_000;

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

/// A room, its sockets, its storage and its clock.
pub struct TestRoom {
    room: Room,
    life: Life,
    rules: Rc<RoomRules>,
    now: Timestamp,
    last_input: Timestamp,
    connected: u64,
    sockets: BTreeMap<ConnectionId, Socket>,
    store: Store,
    transcript: Vec<String>,
    ignores_closes: bool,
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
pub struct Visitor(Admission);

impl Visitor {
    /// A user with the default capabilities and no wishes, whose frames hold lines.
    pub fn named(user: &str) -> Self {
        Self(Admission {
            user: UserId::parse(user).unwrap(),
            info: None,
            can: snug_core::Capabilities::default_grant(),
            expires: Timestamp(START_MS + 3_600_000),
            limits: ClaimedLimits::default(),
            options: Options {
                lines: true,
                echo: true,
                presence: true,
                resume: None,
                last: None,
            },
        })
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
        let store = Store::default();
        Self {
            room: Room::restore(room_name(), rules.clone(), store.stored(), [], now),
            life,
            rules,
            now,
            last_input: now,
            connected: 0,
            sockets: BTreeMap::new(),
            store,
            transcript: Vec::new(),
            ignores_closes: false,
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
        let Visitor(admission) = visitor;
        self.wake();
        self.room
            .admits(&admission.user)
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

    // Time and fate.

    /// Lets time pass, and wakes the room whenever it asked for it.
    #[track_caller]
    pub fn pass_ms(&mut self, ms: u64) {
        let end = self.now.plus_ms(ms);
        while let Some((due, _)) = self.room.poll_timeout().filter(|(due, _)| *due <= end) {
            self.now = self.now.max(due);
            self.time_out();
            let next = self.room.poll_timeout();
            assert!(
                next.is_none_or(|(due, _)| due > self.now),
                "woken for nothing: {next:?}"
            );
        }
        self.now = end;
    }

    /// Wakes the room, whether it asked for it or not.
    #[track_caller]
    pub fn time_out(&mut self) {
        let answered = self
            .open_sockets()
            .filter_map(|(id, socket)| Some((*id, socket.answered?)))
            .collect();
        self.feed(Input::Timeout { answered });
    }

    /// Whether the room wants to be woken at all.
    pub fn waits_for_time(&self) -> bool {
        self.room.poll_timeout().is_some()
    }

    /// The clock is set back, as clocks sometimes are.
    pub fn clock_jumps_back_ms(&mut self, ms: u64) {
        self.now = Timestamp(self.now.0 - ms);
        self.last_input = self.last_input.min(self.now);
    }

    /// Storage fails the next thing it is asked.
    pub fn storage_fails_once(&mut self) {
        self.store.fails = true;
    }

    /// Drops the room and restores it from storage and attachments, in no particular order.
    #[track_caller]
    pub fn restore(&mut self) {
        let sockets: Vec<_> = self
            .sockets
            .iter()
            .filter(|(_, socket)| socket.is_open || socket.is_ending)
            .map(|(id, socket)| KeptSocket {
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
            assert_eq!(
                self.store.append(StoredMessage {
                    offset,
                    time,
                    bytes_before,
                    json,
                    key: None,
                }),
                Ok(())
            );
        }
        self.restore();
    }

    /// Storage loses a message, and all before it.
    pub fn loses_stored(&mut self, offset: u64) {
        self.store.messages.retain(|one, _| one.0 > offset);
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

    pub fn stored_count(&self) -> usize {
        self.store.messages.len()
    }

    /// The size of all stored messages.
    pub fn stored_bytes(&self) -> usize {
        self.store
            .messages
            .values()
            .map(|message| message.json.len())
            .sum()
    }

    // Hearing.

    /// Wants the next thing heard to have these fields, and gives all of it.
    #[track_caller]
    pub fn hears(&mut self, client: Client, wanted: Value) -> Value {
        let next = self.socket(client).unheard.pop_front();
        match next {
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

    /// Wants nothing (more) to have been heard.
    #[track_caller]
    pub fn hears_nothing(&mut self, client: Client) {
        if let Some(heard) = self.socket(client).unheard.pop_front() {
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
        self.socket(client).unheard.drain(..).collect()
    }

    /// The last frame, as it was sent.
    #[track_caller]
    pub fn last_frame(&mut self, client: Client) -> String {
        let frames = &self.socket(client).frames;
        frames.last().expect("a frame").to_string()
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
    unheard: VecDeque<Value>,
    frames: Vec<Rc<str>>,
}

#[derive(Default)]
struct Store {
    messages: BTreeMap<Offset, StoredMessage>,
    absences: BTreeMap<UserId, Absence>,
    fails: bool,
}

impl Store {
    fn newest(&self) -> Offset {
        self.messages.keys().last().copied().unwrap_or_default()
    }

    fn stored(&self) -> Stored {
        let newest = self.messages.values().last();
        Stored {
            epoch: Epoch::new(EPOCH),
            newest: self.newest(),
            newest_time: newest.map(|message| message.time).unwrap_or_default(),
            bytes: self.bytes(),
            absences: self.absences.values().cloned().collect(),
        }
    }

    fn bytes(&self) -> u64 {
        let newest = self.messages.values().last();
        newest.map_or(0, |message| {
            message.bytes_before + message.json.len() as u64
        })
    }

    fn trim(&mut self, floor: Floor, lowest_key: Offset) {
        let newest = self.newest();
        let below = |one: &StoredMessage| one.offset < newest && !is_kept(one, floor);
        let removed: Vec<_> = self
            .messages
            .values()
            .filter(|one| below(one) && (one.key.is_none() || one.offset < lowest_key))
            .map(|one| one.offset)
            .take(TRIM_ROWS_MAX as usize)
            .collect();
        self.messages.retain(|offset, _| !removed.contains(offset));
        for message in self.messages.values_mut().filter(|one| below(one)) {
            message.json = "".into();
        }
    }

    fn keys(&mut self) -> Result<Vec<StoredKey>, StorageFault> {
        if std::mem::take(&mut self.fails) {
            return Err(StorageFault);
        }
        let keyed = self
            .messages
            .values()
            .filter_map(|message| message.key.clone());
        let mut newest: Vec<_> = keyed.rev().take(KEYS_MAX).collect();
        newest.reverse();
        Ok(newest)
    }

    fn append(&mut self, message: StoredMessage) -> Result<(), StorageFault> {
        if std::mem::take(&mut self.fails) {
            return Err(StorageFault);
        }
        assert_eq!(
            message.offset,
            self.newest().next(),
            "an offset twice or skipped"
        );
        self.messages.insert(message.offset, message);
        Ok(())
    }

    fn read(&mut self, request: PageRequest, floor: Floor) -> Result<Vec<Rc<str>>, StorageFault> {
        if std::mem::take(&mut self.fails) {
            return Err(StorageFault);
        }
        let stored: Box<dyn Iterator<Item = _>> = match request.from {
            PageStart::After(offset) => Box::new(self.messages.range(offset.next()..)),
            PageStart::Before(offset) => Box::new(self.messages.range(..offset).rev()),
        };
        let (mut page, mut bytes) = (Vec::new(), 0);
        let kept = stored.filter(|(_, one)| !one.json.is_empty() && is_kept(one, floor));
        for (_, message) in kept.take(request.limit as usize + 1) {
            bytes += message.json.len();
            page.push(message.json.clone());
            if bytes > request.bytes_max && page.len() > 1 {
                break;
            }
        }
        if matches!(request.from, PageStart::Before(_)) {
            page.reverse();
        }
        Ok(page)
    }
}

fn is_kept(message: &StoredMessage, floor: Floor) -> bool {
    floor.keeps(message.offset, message.time, message.bytes_before)
}

impl TestRoom {
    #[track_caller]
    fn feed(&mut self, input: Input) {
        self.wake();
        self.room.handle_input(input, self.now);
        self.do_outputs();
        if self.life == Life::RestoredAfterEveryInput {
            self.restore();
        }
    }

    #[track_caller]
    fn wake(&mut self) {
        let idle_ms = self.now.ms_since(self.last_input);
        if self.life == Life::HibernatingWhenIdle && idle_ms >= HIBERNATION_IDLE_MS {
            self.restore();
        }
        self.last_input = self.now;
    }

    #[track_caller]
    fn do_outputs(&mut self) {
        let mut closed = Vec::new();
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
                Output::Append(message) => {
                    let outcome = self.store.append(message);
                    self.room.handle_input(Input::Appended(outcome), self.now);
                }
                Output::Trim { floor, lowest_key } => self.store.trim(floor, lowest_key),
                Output::ReadKeys => {
                    let keys = self.store.keys();
                    self.room.handle_input(Input::Keys(keys), self.now);
                }
                Output::ReadPage { request, floor } => {
                    let page = self.store.read(request, floor);
                    self.room.handle_input(Input::Page(page), self.now);
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
                Output::KeepAbsence(absence) => {
                    self.store.absences.insert(absence.user.clone(), absence);
                }
                Output::ForgetAbsence(user) => {
                    let kept = self.store.absences.remove(&user);
                    assert!(kept.is_some(), "{user:?} was not absent");
                }
            }
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
            socket.unheard.extend(objects.iter().cloned());
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

/// The rules where the operator sets nothing but a secret.
pub fn default_rules() -> RoomRules {
    let secret = |name: &str| (name == "JWT_SECRET").then(|| "s".repeat(32));
    let config = Config::read(&secret);
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    (*config.room).clone()
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
