//! The view of one client, built only from what it received, as a client library would.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use crate::{
    driver::Client,
    model::{Can, Expected, Members, Model, Token},
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
    messages_and_signals: VecDeque<Value>,
    /// The newest offset that it received, or its position when it joined.
    newest: u64,
    newest_time: u64,
    /// True if it must have received every message up to that offset.
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
    /// The newest stored offset when it joined.
    pub offset: u64,
}

/// A command without a reply, and the expected reply.
pub enum PendingCommand {
    Publish {
        data: Value,
        /// True if the user has published with the same key before.
        is_duplicate: bool,
    },
    Signal,
    State(Value),
    /// The expected members, and the number of tabs of each.
    Members(Members, BTreeMap<String, usize>),
    History {
        after: usize,
        limit: usize,
        /// The number of messages that were stored at the time.
        newest: usize,
    },
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

impl View {
    pub fn new(client: Client, user: &str, lines: bool, settings: JoinSettings) -> Self {
        Self {
            lines,
            user: user.into(),
            client,
            can: Can::new(),
            members: None,
            is_settled: false,
            count: 0,
            state: None,
            messages_and_signals: VecDeque::new(),
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

    /// Returns the offset to resume after.
    pub fn position(&self) -> u64 {
        self.newest
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
            "message" => self.receives_message(object, model),
            "signal" => self.messages_and_signals.push_back(object.clone()),
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
        for received in self.messages_and_signals.drain(..) {
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
        let is_resumed = recovered == Some(true);
        let position = self.settings.resumes_after.filter(|_| is_resumed);
        self.newest = position.unwrap_or(offset);
        let sees_members = self.can.contains("presence");
        assert_eq!(welcome.get("members").is_some(), sees_members, "{welcome}");
        self.members = sees_members.then(|| listed(welcome));
        self.count = welcome["count"].as_u64().unwrap() as usize;
    }

    fn receives_message(&mut self, message: &Value, model: &Model) {
        let time = message["time"].as_u64().unwrap();
        assert!(time >= self.newest_time, "time went back: {message}");
        self.newest_time = time;
        let mut message = timeless(message);
        let key = message.as_object_mut().unwrap().remove("key");
        let is_live = message["offset"].as_u64() > Some(self.settings.offset);
        let is_own_copy = message["user"] == self.user && is_live;
        let published = is_own_copy
            .then(|| model.key_of(&self.user, &message["data"]))
            .flatten();
        // A connection that joined while the message was being stored receives the others' copy.
        let may_lack_key = message["connection"] != self.client.id();
        if key.is_some() || !may_lack_key {
            assert_eq!(key, published.map(Value::from), "the key of {message}");
        }
        assert_eq!(
            Some(&message),
            model.message_at(&message["offset"]),
            "no such message is stored"
        );
        let offset = message["offset"].as_u64().unwrap();
        assert!(offset > self.newest, "received twice: {message}");
        let is_next = offset == self.newest + 1;
        // A pending message may arrive before the reply that grants `receive`.
        let may_miss = !self.settings.echo || !self.has_no_gap || !self.can.contains("receive");
        assert!(is_next || may_miss, "a gap before {message}");
        (self.newest, self.has_no_gap) = (offset, true);
        message.as_object_mut().unwrap().remove("offset");
        self.messages_and_signals.push_back(message);
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
                assert!(model.is_lost(&data), "rejected, but stored: {data}");
            }
            PendingCommand::Publish { data, is_duplicate } => {
                assert_eq!(kind, "ack");
                let stored = model.message_at(&reply["offset"]).expect("a stored one");
                assert_eq!(stored["data"], data, "{reply}");
                assert_eq!(reply["duplicate"] == true, is_duplicate, "{reply}");
                let is_before_echo = reply["offset"].as_u64().unwrap() > self.newest;
                assert!(
                    is_duplicate || is_before_echo,
                    "the ack follows the echo: {reply}"
                );
            }
            PendingCommand::Signal => assert_eq!(reply, &json!({ "type": "ack", "id": id })),
            PendingCommand::State(state) => {
                assert_eq!(reply, &json!({ "type": "ack", "id": id }));
                self.state = Some(state);
                self.keep_own_state();
            }
            PendingCommand::Members(members, tabs) => {
                assert_eq!(listed(reply), members);
                if self.members.is_none() {
                    (self.count, self.members) = (members.len(), Some(members));
                }
                for member in reply["members"].as_array().unwrap() {
                    let tabs = tabs.get(member["user"].as_str().unwrap()).unwrap();
                    assert_eq!(member["connections"], *tabs, "{member}");
                }
            }
            PendingCommand::History {
                after,
                limit,
                newest,
            } => {
                let page = reply["messages"].as_array().unwrap();
                let expected_next = &model.messages[after..newest];
                let more = expected_next.len() > limit;
                let expected_next: Vec<_> = expected_next.iter().take(limit).cloned().collect();
                let as_pushed: Vec<_> = page
                    .iter()
                    .map(|message| {
                        let mut message = timeless(message);
                        message["type"] = json!("message");
                        message
                    })
                    .collect();
                assert_eq!((as_pushed, &reply["more"]), (expected_next, &json!(more)));
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
        self.has_no_gap &= self.can.contains("receive");
        self.can = can;
        if !self.can.contains("presence") {
            (self.members, self.state) = (None, None);
            self.is_settled = false;
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

/// Returns a message without its time, which the model does not predict.
pub fn timeless(message: &Value) -> Value {
    let mut message = message.clone();
    message.as_object_mut().unwrap().remove("time");
    message
}
