//! A room with sockets, storage and a clock in memory. It does the room's outputs as they come and
//! checks of each what has to hold whatever the room was told.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use serde_json::Value;
use snug_core::{
    Admission, Capabilities, Config, ConnectionId, Epoch, Input, Offset, Output, Room, RoomName,
    Stored, Timestamp, UserId,
    command::{PageRequest, PageStart},
    config::RoomRules,
    door::{Options, Position},
    io::{KeptSocket, StorageFault, StoredMessage},
    keys::StoredKey,
    limits::KEYS_MAX,
    presence::Absence,
    retention::{Floor, TRIM_ROWS_MAX},
    token::ClaimedLimits,
};

const START: Timestamp = Timestamp(1_800_000_000_000);
/// More than any one input may lead to.
const OUTPUTS_MAX: usize = 20_000;
const WAKES_MAX: usize = 50;

/// Who comes, and with which wishes.
#[derive(Clone, Copy)]
pub struct Visitor {
    pub user: u8,
    pub lines: bool,
    pub echo: bool,
    pub presence: bool,
    /// A bit each: receive, publish, signal, presence, history.
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

    fn admission(self) -> Admission {
        let names = ["receive", "publish", "signal", "presence", "history"];
        let can: Vec<_> = (names.iter().enumerate())
            .filter(|(bit, _)| self.capabilities >> bit & 1 == 1)
            .map(|(_, name)| *name)
            .collect();
        let can: Capabilities = serde_json::from_value(can.into()).unwrap();
        Admission {
            user: UserId::parse(&format!("u{}", self.user)).unwrap(),
            info: None,
            can,
            expires: START.plus_ms(3_600_000),
            limits: ClaimedLimits {
                messages_per_second: self.is_bounded.then_some(1),
                message_bytes: self.is_bounded.then_some(64),
            },
            options: Options {
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
    rows: BTreeMap<Offset, StoredMessage>,
    /// All that were ever stored.
    appended: u64,
    absences: BTreeMap<UserId, Absence>,
    faults: usize,
    /// An attachment was lost: members may be gone that nobody saw leave.
    is_torn: bool,
}

impl World {
    /// A world with the default rules, or with bounds that are soon met.
    pub fn new(is_tight: bool) -> Self {
        let secret = |name: &str| (name == "JWT_SECRET").then(|| "s".repeat(32));
        let config = Config::read(&secret).unwrap_or_else(|error| panic!("{error}"));
        let mut rules = (*config.room).clone();
        if is_tight {
            rules.connections_max = 6;
            rules.connections_per_user_max = 2;
            rules.message_bytes_max = 256;
            rules.retention.messages_max = 3;
            rules.retention.seconds_max = 60;
        }
        let rules = Rc::new(rules);
        let stored = Stored {
            epoch: Epoch::new("e1"),
            newest: Offset(0),
            newest_time: Timestamp(0),
            bytes: 0,
            absences: Vec::new(),
        };
        Self {
            room: Room::restore(name(), rules.clone(), stored, [], START),
            rules,
            now: START,
            sockets: BTreeMap::new(),
            ids: Vec::new(),
            rows: BTreeMap::new(),
            appended: 0,
            absences: BTreeMap::new(),
            faults: 0,
            is_torn: false,
        }
    }

    /// Which it is, in the order of coming; `None` where the room is full.
    pub fn connect(&mut self, visitor: Visitor) -> Option<usize> {
        let admission = visitor.admission();
        self.room.admits(&admission.user).ok()?;
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
        let due = self.room.poll_timeout().map(|(due, _)| due);
        self.now = due.map_or(self.now, |due| self.now.max(due));
        for _ in 0..WAKES_MAX {
            if self
                .room
                .poll_timeout()
                .is_none_or(|(due, _)| due > self.now)
            {
                return;
            }
            self.time_out();
        }
        panic!("woken again and again");
    }

    pub fn time_out(&mut self) {
        let answered = (self.sockets.iter())
            .filter(|(_, socket)| socket.is_open)
            .filter_map(|(id, socket)| Some((*id, socket.answered?)))
            .collect();
        self.feed(Input::Timeout { answered });
    }

    /// Storage fails this often from here on.
    pub fn storage_fails(&mut self, times: usize) {
        self.faults = times;
    }

    pub fn storage_works(&mut self) {
        self.faults = 0;
    }

    /// Drops the room and restores it from storage and attachments.
    pub fn restore(&mut self) {
        let sockets: Vec<_> = (self.sockets.iter())
            .filter(|(_, socket)| socket.is_open || socket.is_ending)
            .map(|(id, socket)| KeptSocket {
                connection: *id,
                attachment: socket.attachment.clone(),
                answered: socket.answered,
            })
            .rev()
            .collect();
        let newest = self.rows.values().last();
        let stored = Stored {
            epoch: Epoch::new("e1"),
            newest: newest.map_or(Offset(0), |row| row.offset),
            newest_time: newest.map_or(Timestamp(0), |row| row.time),
            bytes: newest.map_or(0, |row| row.bytes_before + row.json.len() as u64),
            absences: self.absences.values().cloned().collect(),
        };
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
        self.feed(match kind & 7 {
            0 => Input::Appended(Ok(())),
            1 => Input::Appended(Err(StorageFault)),
            2 => Input::Keys(Ok(Vec::new())),
            3 => Input::Keys(Err(StorageFault)),
            4 => Input::Page(Ok(vec!["{}".into()])),
            5 => Input::Page(Err(StorageFault)),
            _ => Input::Page(Ok(Vec::new())),
        });
    }

    pub fn newest(&self) -> u64 {
        self.appended
    }

    /// The replies that it was sent.
    pub fn replies(&self, which: usize) -> usize {
        self.sockets[&self.ids[which]].replies
    }

    pub fn acks(&self, which: usize) -> usize {
        self.sockets[&self.ids[which]].acks
    }

    fn feed(&mut self, input: Input) {
        self.room.handle_input(input, self.now);
        self.do_outputs();
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
            Output::Append(message) => {
                let outcome = self.append(message);
                self.room.handle_input(Input::Appended(outcome), self.now);
            }
            Output::Trim { floor, lowest_key } => self.trim(floor, lowest_key),
            Output::ReadKeys => {
                let keys = self.fail_or(Self::keys);
                self.room.handle_input(Input::Keys(keys), self.now);
            }
            Output::ReadPage { request, floor } => {
                let page = self.fail_or(|world| world.page(request, floor));
                self.room.handle_input(Input::Page(page), self.now);
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
            Output::KeepAbsence(absence) => {
                self.absences.insert(absence.user.clone(), absence);
            }
            Output::ForgetAbsence(user) => {
                assert!(self.absences.remove(&user).is_some(), "was not absent");
            }
        }
    }

    fn fail_or<T>(&mut self, answer: impl Fn(&Self) -> T) -> Result<T, StorageFault> {
        if self.faults > 0 {
            self.faults -= 1;
            return Err(StorageFault);
        }
        Ok(answer(self))
    }

    fn append(&mut self, message: StoredMessage) -> Result<(), StorageFault> {
        self.fail_or(|_| ())?;
        assert_eq!(message.offset.0, self.appended + 1, "an offset skipped");
        if let Some(before) = self.rows.values().last() {
            assert!(message.time >= before.time, "a message before its time");
            let bytes = before.bytes_before + before.json.len() as u64;
            assert_eq!(message.bytes_before, bytes);
        }
        self.appended += 1;
        self.rows.insert(message.offset, message);
        Ok(())
    }

    fn keys(&self) -> Vec<StoredKey> {
        let keyed = self.rows.values().filter_map(|row| row.key.clone());
        let mut newest: Vec<_> = keyed.rev().take(KEYS_MAX).collect();
        newest.reverse();
        newest
    }

    fn page(&self, request: PageRequest, floor: Floor) -> Vec<Rc<str>> {
        let stored: Box<dyn Iterator<Item = _>> = match request.from {
            PageStart::After(offset) => Box::new(self.rows.range(offset.next()..)),
            PageStart::Before(offset) => Box::new(self.rows.range(..offset).rev()),
        };
        let (mut page, mut bytes) = (Vec::new(), 0);
        let kept = stored.filter(|(_, row)| !row.json.is_empty() && is_kept(row, floor));
        for (_, row) in kept.take(request.limit as usize + 1) {
            bytes += row.json.len();
            page.push(row.json.clone());
            if bytes > request.bytes_max && page.len() > 1 {
                break;
            }
        }
        if matches!(request.from, PageStart::Before(_)) {
            page.reverse();
        }
        page
    }

    fn trim(&mut self, floor: Floor, lowest_key: Offset) {
        let newest = Offset(self.appended);
        let below = |row: &StoredMessage| row.offset < newest && !is_kept(row, floor);
        let removed: Vec<_> = (self.rows.values())
            .filter(|row| below(row) && (row.key.is_none() || row.offset < lowest_key))
            .map(|row| row.offset)
            .take(TRIM_ROWS_MAX as usize)
            .collect();
        self.rows.retain(|offset, _| !removed.contains(offset));
        for row in self.rows.values_mut().filter(|row| below(row)) {
            row.json = "".into();
        }
    }

    fn deliver(&mut self, to: &[ConnectionId], text: &str) {
        let distinct: BTreeSet<_> = to.iter().collect();
        assert_eq!(distinct.len(), to.len(), "sent twice: {text}");
        let objects: Vec<Value> = (text.split('\n'))
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
            .collect();
        let (appended, is_torn) = (self.appended, self.is_torn);
        for id in to {
            let socket = self.sockets.get_mut(id).expect("a socket");
            assert!(socket.is_open, "sent to a closed socket: {text}");
            let has_lines = socket.visitor.is_some_and(|visitor| visitor.lines);
            assert!(objects.len() == 1 || has_lines, "several objects: {text}");
            for object in &objects {
                socket.hear(object, appended, is_torn);
            }
        }
    }
}

impl Socket {
    fn hear(&mut self, object: &Value, appended: u64, is_torn: bool) {
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
                assert_eq!(object["offset"], appended);
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
                self.hear_presence(object, &users, is_torn);
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
        is_torn: bool,
    ) {
        let Some(members) = self.members.as_mut().filter(|_| !is_torn) else {
            return;
        };
        for user in users(&object["leaves"]) {
            assert!(members.remove(&user), "{user} left and was not here");
        }
        for user in users(&object["joins"]) {
            assert!(members.insert(user), "came and was here: {object}");
        }
        for user in users(&object["updates"]) {
            assert!(members.contains(&user), "{user} is not here");
        }
        assert_eq!(object["count"], members.len(), "{object}");
    }
}

fn is_kept(row: &StoredMessage, floor: Floor) -> bool {
    floor.keeps(row.offset, row.time, row.bytes_before)
}

fn name() -> RoomName {
    RoomName::parse("team:7:general").unwrap()
}
