//! A simple model of a room: users, their tabs, and a list of messages.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};
use snug_core::config::RoomRules;

use crate::driver::{AppendedRow, Client};

/// The capabilities of a token.
pub type Can = BTreeSet<&'static str>;

/// The claims of a token that matter to the model.
#[derive(Clone)]
pub struct Token {
    pub can: Can,
    pub expires_ms: u64,
}

/// The states of each user, by connection.
pub type Members = BTreeMap<String, BTreeMap<String, Value>>;

pub struct Model {
    pub tabs: BTreeMap<Client, Tab>,
    /// The stored messages; the first has the offset 1.
    pub messages: Vec<Value>,
    /// Published messages that are neither stored nor rejected, and have no offset yet.
    waiting: Vec<Value>,
    /// The data of messages that were rejected, or lost in a crash.
    lost: BTreeSet<String>,
    /// The signals to all members since the room was last quiet.
    recent_signals: Vec<Value>,
    /// The data that was published with a key, by user and key.
    keys: BTreeMap<(String, String), Value>,
    pub grace_ms: u64,
    pub idle_ms: u64,
    /// Users within the grace period, and the time at which it ends.
    away: BTreeMap<String, u64>,
    /// Banned users, and the time at which the ban ends.
    pub bans: BTreeMap<String, u64>,
    leeway_ms: u64,
}

pub struct Tab {
    /// Messages and signals that it has yet to receive.
    pub expected: VecDeque<Expected>,
    pub last_active_ms: u64,
    /// The time at which its token and the leeway have expired.
    pub ends_ms: u64,
    user: String,
    can: Can,
    echo: bool,
    state: Option<Value>,
    errors_ms: Vec<u64>,
}

/// A message without its offset and time, or a signal, that a tab has yet to receive.
pub struct Expected {
    pub object: Value,
    /// True if it may have been sent before the tab joined or got `receive`.
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
            bans: BTreeMap::new(),
            leeway_ms: rules.leeway_ms,
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

    pub fn tabs_of(&self, user: &str) -> Vec<Client> {
        let is_own = |tab: &Tab| tab.user == user;
        let own = self.tabs.iter().filter(|(_, tab)| is_own(tab));
        own.map(|(client, _)| *client).collect()
    }

    pub fn may(&self, client: Client, what: &str) -> bool {
        self.tabs[&client].can.contains(what)
    }

    /// Adds a tab, which has to receive the stored messages after `replay` and the pending ones.
    pub fn join(
        &mut self,
        client: Client,
        user: &str,
        token: &Token,
        echo: bool,
        replay: usize,
        now_ms: u64,
    ) {
        self.away.remove(user);
        let missed = self.messages[replay..].iter();
        let mut tab = Tab {
            expected: missed.map(|one| Expected::surely(unplaced(one))).collect(),
            last_active_ms: now_ms,
            ends_ms: token.expires_ms + self.leeway_ms,
            user: user.into(),
            can: token.can.clone(),
            echo,
            state: None,
            errors_ms: Vec::new(),
        };
        if tab.can.contains("receive") {
            let messages = self.waiting.iter().cloned().map(Expected::surely);
            let signals = self.recent_signals.iter().cloned().map(Expected::perhaps);
            tab.expected.extend(in_order(messages.chain(signals)));
        }
        self.tabs.insert(client, tab);
    }

    /// Replaces the token of a tab.
    pub fn refresh(&mut self, client: Client, token: &Token) {
        let tab = self.tabs.get_mut(&client).unwrap();
        tab.ends_ms = token.expires_ms + self.leeway_ms;
        let before = std::mem::replace(&mut tab.can, token.can.clone());
        if !tab.can.contains("presence") {
            tab.state = None;
        }
        if tab.can.contains("receive") == before.contains("receive") {
            return;
        }
        // A pending message may be sent to a tab that had `receive` when it was published, or has it now.
        let mut waiting: Vec<_> = tab.expected.drain(..).map(|one| one.object).collect();
        if tab.can.contains("receive") {
            let numbers_used = self.waiting.iter().chain(&self.recent_signals);
            let is_own = |one: &Value| one["connection"] == client.id();
            let is_wanted = |one: &Value| !is_own(one) || (tab.echo && one["type"] == "message");
            waiting.extend(numbers_used.filter(|one| is_wanted(one)).cloned());
        }
        let mut waiting = in_order(waiting.into_iter().map(Expected::perhaps));
        waiting.dedup_by(|next, one| next.object == one.object);
        tab.expected = waiting.into();
    }

    /// Ends a user's grace period.
    pub fn evict_absent(&mut self, user: &str) {
        self.away.remove(user);
    }

    pub fn is_banned(&self, user: &str, now_ms: u64) -> bool {
        self.bans.get(user).is_some_and(|ends_ms| *ends_ms > now_ms)
    }

    /// Returns the time at which the next token expires.
    pub fn next_end_ms(&self) -> Option<u64> {
        self.tabs.values().map(|tab| tab.ends_ms).min()
    }

    /// Returns the users whose grace period or ban ends after `now_ms`, and when.
    pub fn ends_after_ms(&self, now_ms: u64) -> Vec<(String, u64)> {
        let ends = self.away.iter().chain(&self.bans);
        let ends = ends.map(|(user, ends_ms)| (user.clone(), *ends_ms));
        ends.filter(|(_, ends_ms)| *ends_ms > now_ms).collect()
    }

    /// Returns true if nothing is due.
    pub fn is_idle(&self) -> bool {
        self.tabs.is_empty() && self.away.is_empty() && self.bans.is_empty()
    }

    /// Removes a tab. Its user enters the grace period unless the tab left `for_good`.
    pub fn go(&mut self, client: Client, for_good: bool, now_ms: u64) {
        let tab = self.tabs.remove(&client).unwrap();
        if self.tabs_of(&tab.user).is_empty() && !for_good && self.grace_ms > 0 {
            self.away.insert(tab.user, now_ms + self.grace_ms);
        }
    }

    /// Removes all tabs, and loses all pending messages.
    pub fn crash(&mut self) {
        self.tabs.clear();
        self.lose(self.waiting.len());
        self.recent_signals.clear();
    }

    /// Records that the room is quiet, so everything has been sent.
    pub fn become_quiet(&mut self) {
        assert!(self.waiting.is_empty(), "a message waits in a quiet room");
        self.recent_signals.clear();
    }

    pub fn pass_to_ms(&mut self, now_ms: u64) {
        for users in [&mut self.away, &mut self.bans] {
            users.retain(|_, until_ms| *until_ms > now_ms);
        }
    }

    pub fn publish(&mut self, from: Client, data: &Value) {
        let user = &self.tabs[&from].user;
        let message =
            json!({ "type": "message", "user": user, "connection": from.id(), "data": data });
        for (client, tab) in &mut self.tabs {
            if tab.can.contains("receive") && (tab.echo || *client != from) {
                tab.expect(&message);
            }
        }
        self.waiting.push(message);
    }

    /// Moves the oldest pending messages to the stored or the lost ones.
    pub fn store(&mut self, row: AppendedRow) {
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
                tab.expected.retain(|one| one.object["data"] != *data);
            }
        }
    }

    pub fn is_lost(&self, data: &Value) -> bool {
        self.lost.contains(&data.to_string())
    }

    /// Returns the stored message with this offset.
    pub fn message_at(&self, offset: &Value) -> Option<&Value> {
        self.messages
            .get((offset.as_u64()? as usize).checked_sub(1)?)
    }

    pub fn published_under(&self, from: Client, key: &str) -> Option<&Value> {
        let user = self.tabs[&from].user.clone();
        self.keys.get(&(user, key.into()))
    }

    /// Returns the key with which a user published this data.
    pub fn key_of(&self, user: &str, data: &Value) -> Option<&str> {
        let mut keys = self.keys.iter();
        let ((_, key), _) = keys.find(|((author, _), under)| author == user && *under == data)?;
        Some(key)
    }

    /// Records the data that a user published with a key.
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
            if tab.can.contains("receive") && is_named && *client != from {
                tab.expect(&signal);
            }
        }
        if to.is_none() {
            self.recent_signals.push(signal);
        }
    }

    pub fn show_state(&mut self, client: Client, state: &Value) {
        self.tabs.get_mut(&client).unwrap().state = Some(state.clone());
    }

    pub fn record_activity(&mut self, client: Client, now_ms: u64) {
        self.tabs.get_mut(&client).unwrap().last_active_ms = now_ms;
    }

    /// Counts an error, and returns true if it is the 20th within a minute.
    pub fn err(&mut self, client: Client, now_ms: u64) -> bool {
        let errors_ms = &mut self.tabs.get_mut(&client).unwrap().errors_ms;
        errors_ms.push(now_ms);
        let recent = errors_ms.iter().filter(|at_ms| **at_ms + 60_000 > now_ms);
        recent.count() >= 20
    }

    /// Returns the longest idle time of an open socket: the timeout, a quarter of it because the time of
    /// the last frame is stored at most that often, and a tenth of it between two checks.
    pub fn longest_silence_ms(&self) -> u64 {
        self.idle_ms + self.idle_ms / 4 + self.idle_ms / 10
    }
}

impl Tab {
    fn expect(&mut self, object: &Value) {
        self.expected.push_back(Expected::surely(object.clone()));
    }
}

impl Expected {
    fn surely(object: Value) -> Self {
        let is_optional = false;
        Self {
            object,
            is_optional,
        }
    }

    fn perhaps(object: Value) -> Self {
        let is_optional = true;
        Self {
            object,
            is_optional,
        }
    }
}

/// Sorts by the numbers in the data, which increase in the order of publishing.
fn in_order(waiting: impl Iterator<Item = Expected>) -> Vec<Expected> {
    let mut waiting: Vec<_> = waiting.collect();
    waiting.sort_by_key(|one| number_of(&one.object["data"]));
    waiting
}

/// Returns a message without its offset.
fn unplaced(message: &Value) -> Value {
    let mut message = message.clone();
    message.as_object_mut().unwrap().remove("offset");
    message
}

/// Returns the number at the beginning of the data, which is unique.
fn number_of(data: &Value) -> u64 {
    let numbers_used = data.as_str().unwrap();
    numbers_used.split(' ').next().unwrap().parse().unwrap()
}
