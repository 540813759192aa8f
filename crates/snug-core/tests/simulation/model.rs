//! What a room should be, in the plainest terms: users, their tabs, and a list of messages.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};
use snug_core::config::RoomRules;

use crate::driver::{Client, Stored};

/// Users, and what each of their tabs shows.
pub type Members = BTreeMap<String, BTreeMap<String, Value>>;

pub struct Model {
    pub tabs: BTreeMap<Client, Tab>,
    /// What is stored: the first one's offset is 1.
    pub messages: Vec<Value>,
    /// What was published and is neither stored nor refused; it has no offset yet.
    waiting: Vec<Value>,
    /// The data of messages that were refused, or lost in a crash.
    lost: BTreeSet<String>,
    /// The signals to all since the room was last quiet.
    recent_signals: Vec<Value>,
    /// The data that each user has published under a key.
    keys: BTreeMap<(String, String), Value>,
    pub grace_ms: u64,
    pub idle_ms: u64,
    /// Users without a tab, and when they have left.
    away: BTreeMap<String, u64>,
}

pub struct Tab {
    /// Messages and signals that are on their way to it.
    pub to_hear: VecDeque<ToHear>,
    pub heard_from_ms: u64,
    user: String,
    echo: bool,
    state: Option<Value>,
    errors_ms: Vec<u64>,
}

/// A message without its offset and time, or a signal.
pub struct ToHear {
    pub object: Value,
    /// A signal that was perhaps gone before the tab came.
    pub is_optional: bool,
}

impl Model {
    pub fn new(rules: &RoomRules) -> Self {
        Self {
            tabs: BTreeMap::new(),
            messages: Vec::new(),
            waiting: Vec::new(),
            lost: BTreeSet::new(),
            recent_signals: Vec::new(),
            keys: BTreeMap::new(),
            grace_ms: rules.presence_grace_ms,
            idle_ms: rules.idle_timeout_ms,
            away: BTreeMap::new(),
        }
    }

    pub fn members(&self) -> Members {
        let mut members: Members = BTreeMap::new();
        for user in self.away.keys() {
            members.entry(user.clone()).or_default();
        }
        for (client, tab) in &self.tabs {
            let states = members.entry(tab.user.clone()).or_default();
            states.extend(tab.state.clone().map(|state| (client.id(), state)));
        }
        members
    }

    pub fn tabs_of(&self, user: &str) -> usize {
        self.tabs.values().filter(|tab| tab.user == user).count()
    }

    /// A tab comes. It is to hear the stored messages from `replay` on, and what waits.
    pub fn join(&mut self, client: Client, user: &str, echo: bool, replay: usize, now_ms: u64) {
        self.away.remove(user);
        let missed = self.messages[replay..].iter().map(unplaced);
        let waiting = missed.chain(self.waiting.iter().cloned());
        let signals = self.recent_signals.iter().cloned();
        let to_hear = |object, is_optional| ToHear {
            object,
            is_optional,
        };
        let mut tab = Tab {
            to_hear: waiting.map(|message| to_hear(message, false)).collect(),
            heard_from_ms: now_ms,
            user: user.into(),
            echo,
            state: None,
            errors_ms: Vec::new(),
        };
        // Data are numbered as they are said, and so tell the order among those that wait.
        tab.to_hear
            .extend(signals.map(|signal| to_hear(signal, true)));
        let fixed = self.messages.len() - replay;
        tab.to_hear.make_contiguous()[fixed..].sort_by_key(|one| number_of(&one.object["data"]));
        self.tabs.insert(client, tab);
    }

    /// A tab is gone, for good or perhaps to be back.
    pub fn go(&mut self, client: Client, for_good: bool, now_ms: u64) {
        let tab = self.tabs.remove(&client).unwrap();
        if self.tabs_of(&tab.user) == 0 && !for_good && self.grace_ms > 0 {
            self.away.insert(tab.user, now_ms + self.grace_ms);
        }
    }

    /// All tabs are gone without anybody to tell, and what was not stored is lost.
    pub fn crash(&mut self) {
        self.tabs.clear();
        self.lose(self.waiting.len());
        self.recent_signals.clear();
    }

    /// The room is quiet: all that was said has been sent.
    pub fn rest(&mut self) {
        assert!(self.waiting.is_empty(), "waits in a quiet room");
        self.recent_signals.clear();
    }

    pub fn pass_to_ms(&mut self, now_ms: u64) {
        self.away.retain(|_, until_ms| *until_ms > now_ms);
    }

    pub fn publish(&mut self, from: Client, data: &Value) {
        let user = &self.tabs[&from].user;
        let message =
            json!({ "type": "message", "user": user, "connection": from.id(), "data": data });
        for (client, tab) in &mut self.tabs {
            if tab.echo || *client != from {
                tab.is_to_hear(&message);
            }
        }
        self.waiting.push(message);
    }

    /// Storage was asked to take what was published first.
    pub fn store(&mut self, row: Stored) {
        assert_eq!(row.first, self.messages.len() as u64 + 1);
        if !row.is_stored {
            return self.lose(row.count);
        }
        for mut message in self.waiting.drain(..row.count) {
            message["offset"] = json!(self.messages.len() + 1);
            self.messages.push(message);
        }
    }

    fn lose(&mut self, count: usize) {
        for message in self.waiting.drain(..count) {
            let data = &message["data"];
            self.lost.insert(data.to_string());
            self.keys.retain(|_, under_key| under_key != data);
            for tab in self.tabs.values_mut() {
                tab.to_hear.retain(|one| one.object["data"] != *data);
            }
        }
    }

    pub fn is_lost(&self, data: &Value) -> bool {
        self.lost.contains(&data.to_string())
    }

    /// The message at this place, as it is stored.
    pub fn message_at(&self, offset: &Value) -> Option<&Value> {
        self.messages
            .get((offset.as_u64()? as usize).checked_sub(1)?)
    }

    pub fn published_under(&self, from: Client, key: &str) -> Option<&Value> {
        let user = self.tabs[&from].user.clone();
        self.keys.get(&(user, key.into()))
    }

    /// This is published under this key.
    pub fn publish_under(&mut self, from: Client, key: &str, data: &Value) {
        let user = self.tabs[&from].user.clone();
        self.keys.insert((user, key.into()), data.clone());
    }

    pub fn signal(&mut self, from: Client, data: &Value, to: Option<&[&str]>) {
        let user = &self.tabs[&from].user;
        let signal =
            json!({ "type": "signal", "user": user, "connection": from.id(), "data": data });
        for (client, tab) in &mut self.tabs {
            let is_named = to.is_none_or(|to| to.contains(&&*tab.user));
            if is_named && *client != from {
                tab.is_to_hear(&signal);
            }
        }
        if to.is_none() {
            self.recent_signals.push(signal);
        }
    }

    pub fn show_state(&mut self, client: Client, state: &Value) {
        self.tabs.get_mut(&client).unwrap().state = Some(state.clone());
    }

    pub fn hear_from(&mut self, client: Client, now_ms: u64) {
        self.tabs.get_mut(&client).unwrap().heard_from_ms = now_ms;
    }

    /// Counts an error: whether it was the 20th within a minute.
    pub fn err(&mut self, client: Client, now_ms: u64) -> bool {
        let errors_ms = &mut self.tabs.get_mut(&client).unwrap().errors_ms;
        errors_ms.push(now_ms);
        let recent = errors_ms.iter().filter(|at_ms| **at_ms + 60_000 > now_ms);
        recent.count() >= 20
    }

    /// The timeout, the quarter of it in which the last frame need not be noted, and the tenth
    /// between two sweeps.
    pub fn longest_silence_ms(&self) -> u64 {
        self.idle_ms + self.idle_ms / 4 + self.idle_ms / 10
    }
}

impl Tab {
    fn is_to_hear(&mut self, object: &Value) {
        self.to_hear.push_back(ToHear {
            object: object.clone(),
            is_optional: false,
        });
    }
}

/// A message without its offset.
fn unplaced(message: &Value) -> Value {
    let mut message = message.clone();
    message.as_object_mut().unwrap().remove("offset");
    message
}

/// Everything that is said has a number of its own, perhaps among much else.
fn number_of(data: &Value) -> u64 {
    let said = data.as_str().unwrap();
    said.split(' ').next().unwrap().parse().unwrap()
}
