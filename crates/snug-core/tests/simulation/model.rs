//! What a room should be, in the plainest terms: users, their tabs, and a list of messages.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};
use snug_core::config::RoomRules;

use crate::driver::Client;

/// Users, and what each of their tabs shows.
pub type Members = BTreeMap<String, BTreeMap<String, Value>>;

pub struct Model {
    pub tabs: BTreeMap<Client, Tab>,
    pub messages: Vec<Value>,
    /// The offset that each user has stored under a key.
    keys: BTreeMap<(String, String), usize>,
    pub grace_ms: u64,
    pub idle_ms: u64,
    /// Users without a tab, and when they have left.
    away: BTreeMap<String, u64>,
}

pub struct Tab {
    /// Messages and signals that are on their way to it.
    pub to_hear: VecDeque<Value>,
    pub heard_from_ms: u64,
    user: String,
    echo: bool,
    state: Option<Value>,
    errors_ms: Vec<u64>,
}

impl Model {
    pub fn new(rules: &RoomRules) -> Self {
        Self {
            tabs: BTreeMap::new(),
            messages: Vec::new(),
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

    pub fn join(&mut self, client: Client, user: &str, echo: bool, now_ms: u64) {
        self.away.remove(user);
        let tab = Tab {
            to_hear: VecDeque::new(),
            heard_from_ms: now_ms,
            user: user.into(),
            echo,
            state: None,
            errors_ms: Vec::new(),
        };
        self.tabs.insert(client, tab);
    }

    /// A tab is gone, for good or perhaps to be back.
    pub fn go(&mut self, client: Client, for_good: bool, now_ms: u64) {
        let tab = self.tabs.remove(&client).unwrap();
        if self.tabs_of(&tab.user) == 0 && !for_good && self.grace_ms > 0 {
            self.away.insert(tab.user, now_ms + self.grace_ms);
        }
    }

    pub fn pass_to_ms(&mut self, now_ms: u64) {
        self.away.retain(|_, until_ms| *until_ms > now_ms);
    }

    pub fn publish(&mut self, from: Client, data: &Value) {
        let offset = self.messages.len() + 1;
        let user = &self.tabs[&from].user;
        let message = json!({
            "type": "message", "offset": offset, "user": user, "connection": from.id(), "data": data
        });
        for (client, tab) in &mut self.tabs {
            if tab.echo || *client != from {
                tab.to_hear.push_back(message.clone());
            }
        }
        self.messages.push(message);
    }

    pub fn published_under(&self, from: Client, key: &str) -> Option<usize> {
        let user = self.tabs[&from].user.clone();
        self.keys.get(&(user, key.into())).copied()
    }

    /// The next message is published under this key.
    pub fn publish_under(&mut self, from: Client, key: &str) {
        let user = self.tabs[&from].user.clone();
        self.keys
            .insert((user, key.into()), self.messages.len() + 1);
    }

    pub fn signal(&mut self, from: Client, data: &Value, to: Option<&[&str]>) {
        let user = &self.tabs[&from].user;
        let signal =
            json!({ "type": "signal", "user": user, "connection": from.id(), "data": data });
        for (client, tab) in &mut self.tabs {
            let is_named = to.is_none_or(|to| to.contains(&&*tab.user));
            if is_named && *client != from {
                tab.to_hear.push_back(signal.clone());
            }
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
