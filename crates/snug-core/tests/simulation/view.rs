//! The view of one client, built only from what it received, as a client library would.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use crate::{
    driver::Client,
    model::{
        Can, Expected, Members, Model, Place, Token, number_of,
        positions::{Positions, Reading},
    },
    picture::{Picture, applies},
};

pub struct View {
    /// True if it may send several commands in a frame.
    pub lines: bool,
    pub user: String,
    client: Client,
    settings: JoinSettings,
    /// Its capabilities, from `welcome` or the last refresh.
    can: Can,
    /// The members; `None` if it lacks `presence`, or has not requested them since it got that again.
    members: Option<Members>,
    /// True if it knew the members when the room was last quiet.
    is_settled: bool,
    /// The member count of the last presence push.
    count: usize,
    /// Its own presence state.
    state: Option<Value>,
    /// The positions of users, as far as it knows them.
    positions: Positions,
    /// The members whose positions it does not know.
    unknown: BTreeSet<String>,
    /// The received messages, changes and signals that were not compared yet.
    received: VecDeque<Value>,
    /// The messages that it shows; `None` if it does not receive its own.
    picture: Option<Picture>,
    /// The messages in the picture that were not compared yet.
    touched: BTreeSet<u64>,
    /// The newest offset that it received, or its position when it joined.
    newest: u64,
    newest_time: u64,
    /// True if it must have received every message and change up to that offset.
    has_no_gap: bool,
    closing: Option<Value>,
    pending: BTreeMap<u64, PendingCommand>,
    last_sent_id: u64,
    last_replied_id: u64,
}

/// The options of its join, and the expected contents of `welcome`.
pub struct JoinSettings {
    pub echo: bool,
    pub receives_presence: bool,
    pub token: Token,
    /// True if a presence change may be sent twice, which batching can cause.
    pub may_repeat: bool,
    pub resumes_after: Option<u64>,
    pub recovered: Option<bool>,
    /// The messages that it showed when it was there last.
    pub picture: Option<Picture>,
    pub epoch: String,
    /// The newest stored offset when it joined.
    pub offset: u64,
    /// The position of its user then, and the number of new messages.
    pub reading: Reading,
    /// The positions of the members then.
    pub positions: Positions,
}

/// A command without a reply, and the expected reply.
pub enum PendingCommand {
    Publish {
        data: Value,
        /// True if the user has published with the same key before.
        is_duplicate: bool,
    },
    /// A change, with its number.
    Change {
        number: u32,
        /// True if the user has made a change with the same key before, which has that number.
        is_duplicate: bool,
    },
    /// A reaction, with the place of the reactions after it.
    React {
        at: Place,
        /// True if it changes nothing.
        is_duplicate: bool,
    },
    Signal,
    State(Value),
    /// A position, after which this one holds.
    Read {
        read: u64,
    },
    /// The expected members, the number of tabs of each, and how far they have read.
    Members(Members, BTreeMap<String, usize>, Positions),
    /// The expected page, and whether there is more.
    History(Vec<Value>, bool),
    Kick {
        closed: usize,
    },
    /// A refresh whose token check is pending.
    Refresh,
    /// A refresh whose token was accepted.
    Refreshed(Token),
    /// A command that is rejected with this code.
    Rejected(&'static str),
}

/// A user who has lost the connection, with everything that the client remembers for the next one.
pub struct Away {
    pub user: String,
    pub epoch: String,
    pub position: u64,
    pub picture: Option<Picture>,
}

impl View {
    pub fn new(client: Client, user: &str, lines: bool, settings: JoinSettings) -> Self {
        let picture = settings.picture.clone().unwrap_or_default();
        Self {
            lines,
            user: user.into(),
            client,
            can: Can::new(),
            members: None,
            is_settled: false,
            count: 0,
            state: None,
            positions: Positions::new(),
            unknown: BTreeSet::new(),
            received: VecDeque::new(),
            touched: picture.keys().copied().collect(),
            picture: settings.echo.then_some(picture),
            newest: 0,
            newest_time: 0,
            has_no_gap: true,
            closing: None,
            pending: BTreeMap::new(),
            last_sent_id: 0,
            last_replied_id: 0,
            settings,
        }
    }

    /// Returns the user with its position.
    pub fn away(self) -> Away {
        Away {
            user: self.user,
            epoch: self.settings.epoch,
            position: self.newest,
            picture: self.picture,
        }
    }

    /// Records a command, and returns its id.
    pub fn expect_reply(&mut self, pending: PendingCommand) -> u64 {
        self.last_sent_id += 1;
        self.pending.insert(self.last_sent_id, pending);
        self.last_sent_id
    }

    /// Replaces the expected reply of the latest command.
    pub fn expect_for_latest(&mut self, pending: PendingCommand) {
        self.pending.insert(self.last_sent_id, pending);
    }

    /// Replaces the expected reply of a command.
    pub fn expect_for(&mut self, id: u64, pending: PendingCommand) {
        self.pending.insert(id, pending);
    }

    pub fn receives(&mut self, object: &Value, model: &Model) {
        match object["type"].as_str().unwrap() {
            "welcome" => self.read_welcome(object),
            "presence" => self.read_diff(object),
            "message" | "change" | "reactions" => self.receives_entry(object, model),
            "signal" => self.received.push_back(object.clone()),
            "read" => self.receives_position(object, model),
            "closing" => self.closing = Some(object.clone()),
            // Errors of malformed frames have no id.
            "error" if object.get("id").is_none() => {}
            _ => self.read_reply(object, model),
        }
    }

    /// Compares the view with the model. If the room is quiet, it must be equal.
    pub fn check(&mut self, members: &Members, expected: &mut VecDeque<Expected>, is_quiet: bool) {
        let name = self.client.id();
        assert_eq!(self.closing, None, "{name} is open");
        for received in self.received.drain(..) {
            let is_passed_over = |next: &Expected| next.is_optional && next.object != received;
            while expected.front().is_some_and(is_passed_over) {
                expected.pop_front();
            }
            let expected_next = expected.pop_front().map(|next| next.object);
            assert_eq!(Some(received), expected_next, "{name}");
        }
        if !is_quiet {
            return;
        }
        expected.retain(|next| !next.is_optional);
        let unread = expected.front().map(|next| &next.object);
        assert_eq!(unread, None, "{name} has not received it");
        self.assert_replied();
        self.is_settled = self.members.is_some();
        if self.receives_presence() {
            assert_eq!(self.members.as_ref(), Some(members), "{name}");
            assert_eq!(self.count, members.len(), "{name}");
        }
    }

    /// Compares what it shows of the messages that were changed since the last comparison, or of all.
    pub fn check_picture(&mut self, model: &Model, all: bool) {
        let mut touched = std::mem::take(&mut self.touched);
        let Some(picture) = &self.picture else {
            return;
        };
        if all {
            touched = picture.keys().copied().collect();
        }
        if !self.can.contains("receive") || !self.has_no_gap {
            return;
        }
        for message in touched {
            if let Some(shown) = picture.get(&message) {
                let name = self.client.id();
                let expected = model.picture_of(message);
                assert_eq!(*shown, expected, "{name} shows {message} otherwise");
            }
        }
    }

    /// Asserts that `closing` was received, and that every command had a reply.
    pub fn record_close(&self, code: u16) {
        let closing = self.closing.as_ref().expect("the notice of a close");
        let sent_events = (&closing["code"], &closing["reconnect"]);
        assert_eq!(
            sent_events,
            (&json!(code), &json!(code < 4100)),
            "{closing}"
        );
        self.assert_replied();
    }

    fn assert_replied(&self) {
        let is_checked = |pending: &PendingCommand| !matches!(pending, PendingCommand::Refresh);
        let without_reply = self.pending.values().filter(|pending| is_checked(pending));
        assert_eq!(without_reply.count(), 0, "a command without a reply");
    }

    fn receives_presence(&self) -> bool {
        self.settings.receives_presence && self.can.contains("presence")
    }

    fn read_welcome(&mut self, welcome: &Value) {
        let JoinSettings {
            offset,
            recovered,
            token,
            ..
        } = &self.settings;
        let (offset, recovered) = (*offset, *recovered);
        let can = welcome["can"].as_array().unwrap();
        let can: BTreeSet<_> = can.iter().map(|one| one.as_str().unwrap()).collect();
        assert_eq!(can, token.can);
        assert_eq!(welcome["expires"], token.expires_ms);
        self.can = token.can.clone();
        assert_eq!(welcome["offset"], offset);
        assert_eq!(welcome["recovered"], json!(recovered));
        assert_eq!(welcome["epoch"], self.settings.epoch);
        let is_resumed = recovered == Some(true);
        let position = self.settings.resumes_after.filter(|_| is_resumed);
        self.newest = position.unwrap_or(offset);
        let sees_members = self.can.contains("presence");
        assert_eq!(welcome.get("members").is_some(), sees_members, "{welcome}");
        self.members = sees_members.then(|| listed(welcome));
        self.read_positions_in(welcome);
        self.count = welcome["count"].as_u64().unwrap() as usize;
    }

    fn receives_entry(&mut self, entry: &Value, model: &Model) {
        // A change that has been superseded has no time.
        if let Some(time) = entry["time"].as_u64() {
            assert!(time >= self.newest_time, "time went back: {entry}");
            self.newest_time = time;
        }
        if let Some(picture) = &mut self.picture {
            let message = entry["of"].as_u64().or(entry["offset"].as_u64());
            self.touched.insert(message.unwrap());
            applies(picture, entry);
        }
        let mut message = timeless(entry);
        let key = message.as_object_mut().unwrap().remove("key");
        let is_live = message["offset"].as_u64() > Some(self.settings.offset);
        let is_message = message["type"] == "message";
        let is_own_copy = is_message && message["user"] == self.user && is_live;
        let published = is_own_copy
            .then(|| model.key_of(&self.user, &message["data"]))
            .flatten();
        // A connection that joined while the message was being stored receives the others' copy.
        let may_lack_key = message["connection"] != self.client.id();
        if key.is_some() || !may_lack_key {
            assert_eq!(key, published.map(Value::from), "the key of {message}");
        }
        let stored = model.entry_at(&message["offset"]).expect("a stored entry");
        assert_eq!(message["of"], stored["of"], "not what is stored");
        let is_superseded = message["type"] == "change" && message.get("action").is_none();
        let is_same = message["type"] == stored["type"];
        assert!(is_same || is_superseded, "not what is stored: {message}");
        let offset = message["offset"].as_u64().unwrap();
        assert!(offset > self.newest, "received twice: {message}");
        let is_next = offset == self.newest + 1;
        // A pending message may arrive before the reply that grants `receive`.
        let may_miss = !self.settings.echo || !self.has_no_gap || !self.can.contains("receive");
        assert!(is_next || may_miss, "a gap before {message}");
        (self.newest, self.has_no_gap) = (offset, true);
        message.as_object_mut().unwrap().remove("offset");
        self.received.push_back(message);
    }

    fn read_diff(&mut self, change: &Value) {
        let grants_presence = |pending: &PendingCommand| match pending {
            PendingCommand::Refreshed(token) => {
                self.settings.receives_presence && token.can.contains("presence")
            }
            _ => false,
        };
        let may_receive = self.receives_presence() || self.pending.values().any(grants_presence);
        assert!(may_receive, "presence without the capability: {change}");
        let may_repeat = self.settings.may_repeat && !self.is_settled;
        let list = |name: &str| change[name].as_array().unwrap().clone();
        let (joins, leaves, updates) = (list("joins"), list("leaves"), list("updates"));
        assert!(
            joins.len() + leaves.len() + updates.len() > 0,
            "nothing changed"
        );
        self.count = change["count"].as_u64().unwrap() as usize;
        let Some(members) = &mut self.members else {
            return;
        };
        for member in &joins {
            let (user, states) = member_of(member);
            if user != self.user {
                self.positions.remove(&user);
                self.unknown.insert(user.clone());
            }
            let before = members.insert(user, states);
            assert!(before.is_none() || may_repeat, "joined twice: {change}");
        }
        for user in &leaves {
            let before = members.remove(user.as_str().unwrap());
            assert!(before.is_some() || may_repeat, "left twice: {change}");
        }
        for update in &updates {
            let user = update["user"].as_str().unwrap();
            let connection = update["connection"].as_str().unwrap();
            let Some(states) = members.get_mut(user) else {
                assert!(
                    may_repeat,
                    "a state of a user who is not a member: {change}"
                );
                continue;
            };
            if update["state"].is_null() {
                states.remove(connection);
            } else {
                states.insert(connection.into(), update["state"].clone());
            }
        }
        assert!(self.count == members.len() || may_repeat, "{change}");
        self.keep_own_state();
    }

    /// Keeps its own state, which pushes do not include.
    fn keep_own_state(&mut self) {
        let members = self.members.as_mut();
        if let Some(states) = members.and_then(|members| members.get_mut(&self.user)) {
            states.extend(self.state.clone().map(|state| (self.client.id(), state)));
        }
    }

    fn read_reply(&mut self, reply: &Value, model: &Model) {
        let id = reply["id"].as_u64().unwrap();
        let pending = self
            .pending
            .remove(&id)
            .expect("an answer to a hook_request");
        let kind = reply["type"].as_str().unwrap();
        // Replies to later commands may precede the result of a token check.
        if kind != "error" && !matches!(pending, PendingCommand::Refreshed(_)) {
            assert!(id > self.last_replied_id, "out of order: {reply}");
            self.last_replied_id = id;
        }
        match pending {
            PendingCommand::Publish { data, .. } if kind == "error" => {
                assert_eq!(reply["code"], "internal");
                let is_lost = model.is_lost(number_of(&data));
                assert!(is_lost, "rejected, but stored: {data}");
            }
            PendingCommand::Publish { data, is_duplicate } => {
                assert_eq!(kind, "ack");
                let stored = model.entry_at(&reply["offset"]).expect("a stored one");
                assert_eq!(stored["data"], data, "{reply}");
                assert_eq!(reply["duplicate"] == true, is_duplicate, "{reply}");
                let is_before_echo = reply["offset"].as_u64().unwrap() > self.newest;
                assert!(
                    is_duplicate || is_before_echo,
                    "the ack follows the echo: {reply}"
                );
            }
            PendingCommand::Change { number, .. } if kind == "error" => {
                assert_eq!(reply["code"], "internal", "{reply}");
                assert!(model.is_lost(number), "rejected, but stored: {number}");
            }
            PendingCommand::Change {
                number,
                is_duplicate,
            } => {
                assert_eq!(kind, "ack");
                assert_eq!(reply["offset"], model.offset_of(number), "{reply}");
                assert_eq!(reply["duplicate"] == true, is_duplicate, "{reply}");
                let stored = model.entry_at(&reply["offset"]).expect("a stored one");
                let version = (!is_duplicate).then(|| &stored["version"]);
                assert_eq!(reply.get("version"), version, "{reply}");
            }
            PendingCommand::React { at, .. } if kind == "error" => {
                assert_eq!(reply["code"], "internal", "{reply}");
                assert_eq!(model.offset_at(at), None, "rejected, but stored: {reply}");
            }
            PendingCommand::React { at, is_duplicate } => {
                assert_eq!(kind, "ack");
                assert_eq!(reply["offset"].as_u64(), model.offset_at(at), "{reply}");
                assert_eq!(reply["duplicate"] == true, is_duplicate, "{reply}");
            }
            PendingCommand::Signal => assert_eq!(reply, &json!({ "type": "ack", "id": id })),
            PendingCommand::State(state) => {
                assert_eq!(reply, &json!({ "type": "ack", "id": id }));
                self.state = Some(state);
                self.keep_own_state();
            }
            PendingCommand::Read { read } => {
                assert_eq!(reply, &json!({ "type": "ack", "id": id, "read": read }));
                self.raises_position(&self.user.clone(), read);
            }
            PendingCommand::Members(members, tabs, positions) => {
                assert_eq!(listed(reply), members);
                self.learns_positions(reply, &positions);
                if self.members.is_none() {
                    (self.count, self.members) = (members.len(), Some(members));
                }
                for member in reply["members"].as_array().unwrap() {
                    let tabs = tabs.get(member["user"].as_str().unwrap()).unwrap();
                    assert_eq!(member["connections"], *tabs, "{member}");
                }
            }
            PendingCommand::History(expected, more) => {
                let page = reply["messages"].as_array().unwrap();
                let as_pushed: Vec<_> = page.iter().map(as_pushed).collect();
                assert_eq!((as_pushed, &reply["more"]), (expected, &json!(more)));
            }
            PendingCommand::Kick { closed } => {
                assert_eq!(reply, &json!({ "type": "ack", "id": id, "closed": closed }));
            }
            PendingCommand::Refresh => panic!("a reply before the token check: {reply}"),
            PendingCommand::Refreshed(token) => {
                let expires = token.expires_ms;
                assert_eq!(
                    reply,
                    &json!({ "type": "ack", "id": id, "expires": expires })
                );
                self.apply_token(token.can);
            }
            PendingCommand::Rejected(code) => {
                assert_eq!((kind, &reply["code"]), ("error", &json!(code)))
            }
        }
    }

    fn apply_token(&mut self, can: Can) {
        if !self.can.contains("receive") || !can.contains("receive") {
            // It may have missed changes of the messages that it shows.
            self.picture.iter_mut().for_each(Picture::clear);
        }
        self.has_no_gap &= self.can.contains("receive");
        let had_receipts = self.can.contains("receipts");
        self.can = can;
        if !had_receipts {
            let members = self.members.iter().flat_map(|members| members.keys());
            let others = members.filter(|user| **user != self.user);
            self.unknown.extend(others.cloned());
        }
        self.forgets_positions();
        if !self.can.contains("presence") {
            (self.members, self.state) = (None, None);
            self.is_settled = false;
        }
    }
}

impl View {
    /// Reads how far its user and the members have read.
    fn read_positions_in(&mut self, welcome: &Value) {
        let number = |name: &str| welcome[name].as_u64().unwrap();
        if self.can.contains("receive") && self.can.contains("history") {
            let reading = Reading {
                read: number("read"),
                unread: number("unread") as usize,
                mentions: number("mentions") as usize,
            };
            assert_eq!(reading, self.settings.reading, "{welcome}");
            self.positions.insert(self.user.clone(), reading.read);
        } else {
            for field in ["read", "unread", "mentions"] {
                assert_eq!(welcome.get(field), None, "{field} without the capability");
            }
            self.unknown.insert(self.user.clone());
        }
        if self.members.is_some() {
            let positions = self.settings.positions.clone();
            self.learns_positions(welcome, &positions);
        }
        self.forgets_positions();
    }

    /// Reads how far the listed members have read, which it sees if it has receipts.
    fn learns_positions(&mut self, list: &Value, expected: &Positions) {
        let members = list["members"].as_array().unwrap().iter();
        let shown = members.filter_map(|member| {
            let user = member["user"].as_str().unwrap();
            Some((user.to_owned(), member.get("read")?.as_u64().unwrap()))
        });
        let shown: Positions = shown.collect();
        if self.can.contains("receipts") {
            assert_eq!(shown, *expected, "{list}");
            self.unknown.clear();
            self.positions = shown;
        } else {
            assert!(shown.is_empty(), "positions without receipts: {list}");
        }
    }

    /// Forgets the positions of others if it does not see them any more, or not yet.
    fn forgets_positions(&mut self) {
        if !self.can.contains("receipts") {
            self.positions.retain(|user, _| *user == self.user);
        }
    }

    fn receives_position(&mut self, push: &Value, model: &Model) {
        let (user, read) = (
            push["user"].as_str().unwrap(),
            push["offset"].as_u64().unwrap(),
        );
        let may_see = user == self.user || self.can.contains("receipts");
        assert!(may_see, "a position without receipts: {push}");
        assert!(read <= model.position_of(user), "a position ahead: {push}");
        self.raises_position(user, read);
    }

    fn raises_position(&mut self, user: &str, read: u64) {
        let known = self.positions.insert(user.into(), read);
        assert!(known <= Some(read), "the position of {user} fell to {read}");
        self.unknown.remove(user);
    }

    /// Compares the positions that it knows with the model, in a room in which no new position waits.
    pub fn check_positions(&self, model: &Model) {
        let name = self.client.id();
        let is_known = |user: &String| !self.unknown.contains(user);
        let shown = |user: &String| self.positions.get(user).copied().unwrap_or_default();
        if is_known(&self.user) {
            assert_eq!(shown(&self.user), model.position_of(&self.user), "{name}");
        }
        let sees_all = self.receives_presence() && self.can.contains("receipts");
        let members = self.members.as_ref().filter(|_| sees_all);
        for user in members.iter().flat_map(|members| members.keys()) {
            if is_known(user) {
                assert_eq!(shown(user), model.position_of(user), "{user} for {name}");
            }
        }
    }
}

fn listed(object: &Value) -> Members {
    let members = object["members"].as_array().unwrap();
    let members: Members = members.iter().map(member_of).collect();
    assert_eq!(object["count"], members.len(), "{object}");
    members
}

fn member_of(member: &Value) -> (String, BTreeMap<String, Value>) {
    let states = member["state"].as_object().unwrap();
    (
        member["user"].as_str().unwrap().into(),
        states
            .iter()
            .map(|(connection, state)| (connection.clone(), state.clone()))
            .collect(),
    )
}

/// Returns a message or a change without its times, which the model does not predict.
pub fn timeless(entry: &Value) -> Value {
    let mut entry = entry.clone();
    let fields = entry.as_object_mut().unwrap();
    fields.remove("time");
    fields.remove("changed");
    entry
}

/// Returns an entry of a page without its times, and with its type.
pub fn as_pushed(listed: &Value) -> Value {
    let mut entry = timeless(listed);
    let kind = match (entry.get("of"), entry.get("summary")) {
        (None, _) => "message",
        (Some(_), None) => "change",
        (Some(_), Some(_)) => "reactions",
    };
    entry["type"] = json!(kind);
    entry
}
