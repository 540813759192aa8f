//! A simple model of a room: users, their tabs, and a list of messages and of their changes.

pub mod positions;
pub mod reactions;
pub mod threads;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};
use snug_core::config::RoomRules;

use self::positions::Positions;
use crate::{
    driver::{AppendedRow, Client},
    picture::{data_after, text_of},
};

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
    /// The stored messages and changes as they were sent; the first has the offset 1.
    entries: Vec<Value>,
    /// The stored messages as they are now, by offset.
    messages: BTreeMap<u64, Message>,
    /// Messages and changes that are neither stored nor rejected, and have no offset yet.
    waiting: Vec<Sent>,
    /// The offsets of the stored messages and changes, by number. Appends can share one.
    offsets: BTreeMap<u32, u64>,
    /// The messages and changes that were rejected, or lost in a crash.
    lost: BTreeSet<u32>,
    /// The contents that changes have replaced, which no row may hold.
    replaced: BTreeSet<u32>,
    /// The contents of deleted messages, which nothing may hold.
    deleted: BTreeSet<u32>,
    /// The signals to all members since the room was last quiet.
    recent_signals: Vec<Sent>,
    /// The data that was published with a key, by user and key.
    keys: BTreeMap<(String, String), Value>,
    /// The changes that were made with a key, by user and key.
    change_keys: BTreeMap<(String, String), u32>,
    /// The position of each user who has read anything.
    positions: Positions,
    /// The number of messages and changes that are retained.
    messages_max: u64,
    message_bytes_max: usize,
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

/// The place of an entry among the others.
#[derive(Clone, Copy)]
pub enum Place {
    /// That of the entry with this number, which may still wait.
    Of(u32),
    /// This offset.
    At(u64),
}

/// A message, an entry about one, or a signal, as the others receive it, without its offset and time.
#[derive(Clone)]
pub struct Sent {
    /// A number that increases in the order of sending, and is in the content.
    number: u32,
    pub object: Value,
}

/// A stored message as it is now.
struct Message {
    version: u64,
    /// The content; `None` if it is deleted.
    data: Option<Value>,
    /// The offset of the last change; 0 if there is none.
    last: u64,
    /// The numbers of all its contents.
    numbers: Vec<u32>,
    /// The reactions to it, as members receive them.
    reactions: Value,
    /// The offset of the last reactions; 0 if there are none.
    last_reactions: u64,
    /// The number of replies to it that are not deleted.
    replies: u64,
    /// The offset of the last reply; 0 if there is none.
    last_reply: u64,
    /// The offset of the last change of the number of replies; 0 if there is none.
    last_replies: u64,
}

/// A message, a change or a signal that a tab has yet to receive.
pub struct Expected {
    number: u32,
    pub object: Value,
    /// True if it may have been sent before the tab joined or got `receive`.
    pub is_optional: bool,
}

impl Model {
    pub fn new(rules: &RoomRules) -> Self {
        Self {
            tabs: BTreeMap::new(),
            entries: Vec::new(),
            messages: BTreeMap::new(),
            waiting: Vec::new(),
            offsets: BTreeMap::new(),
            lost: BTreeSet::new(),
            replaced: BTreeSet::new(),
            deleted: BTreeSet::new(),
            recent_signals: Vec::new(),
            keys: BTreeMap::new(),
            change_keys: BTreeMap::new(),
            positions: Positions::new(),
            messages_max: rules.retention.messages_max,
            message_bytes_max: rules.message_bytes_max,
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
        replay: u64,
        now_ms: u64,
    ) {
        self.away.remove(user);
        let missed = (replay + 1..=self.newest()).map(|offset| Sent {
            number: 0,
            object: unplaced(&self.shown(offset)),
        });
        let mut tab = Tab {
            expected: missed.map(Expected::surely).collect(),
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
        let mut waiting: Vec<_> = tab.expected.drain(..).map(Sent::from).collect();
        if tab.can.contains("receive") {
            let numbers_used = self.waiting.iter().chain(&self.recent_signals);
            let is_own = |one: &Sent| one.object["connection"] == client.id();
            let is_signal = |one: &Sent| one.object["type"] == "signal";
            let is_wanted = |one: &Sent| !is_own(one) || (tab.echo && !is_signal(one));
            waiting.extend(numbers_used.filter(|one| is_wanted(one)).cloned());
        }
        let mut waiting = in_order(waiting.into_iter().map(Expected::perhaps));
        waiting.dedup_by(|next, one| next.number == one.number);
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
        self.lose_waiting();
        self.recent_signals.clear();
    }

    /// Forgets everything that is stored. No tab is left.
    pub fn erase(&mut self) {
        assert!(self.tabs.is_empty() && self.waiting.is_empty());
        let contents = self.messages.values().flat_map(|one| &one.numbers);
        self.replaced.extend(contents);
        self.entries.clear();
        self.messages.clear();
        self.keys.clear();
        self.change_keys.clear();
        self.positions.clear();
        self.away.clear();
        self.bans.clear();
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

    /// Publishes a message: a reply if it has a `root`, which the number after it counts.
    pub fn publish(
        &mut self,
        from: Client,
        data: &Value,
        root: Option<u64>,
        mentions: &[&str],
        count: u32,
    ) {
        let user = &self.tabs[&from].user;
        let mut message =
            json!({ "type": "message", "user": user, "connection": from.id(), "data": data });
        let number = number_of(data);
        if let Some(root) = root {
            message["re"] = json!(root);
        }
        let mut mentioned = Vec::new();
        for user in mentions {
            if !mentioned.contains(user) {
                mentioned.push(*user);
            }
        }
        if !mentioned.is_empty() {
            message["mentions"] = json!(mentioned);
        }
        self.wait(self.except(from), number, message);
        if let Some(root) = root {
            self.count_reply(count, root, number);
        }
    }

    /// Makes a change that [`Self::check_change`] allows. If it deletes a reply, `count` is the number of the
    /// entry that counts it.
    pub fn change(&mut self, from: Client, number: u32, count: u32, command: &Value) {
        let user = &self.tabs[&from].user;
        let mut change = json!({
            "type": "change", "of": command["of"], "action": command["type"], "user": user,
            "connection": from.id()
        });
        for field in ["data", "text", "reason"] {
            if let Some(value) = command.get(field) {
                change[field] = value.clone();
            }
        }
        self.wait(self.except(from), number, change);
        if command["type"] == "delete" {
            self.uncount_reply(count, command["of"].as_u64().unwrap());
        }
    }

    /// Returns the tab itself if it does not receive its own messages.
    fn except(&self, from: Client) -> Option<Client> {
        (!self.tabs[&from].echo).then_some(from)
    }

    /// Adds an entry that the next row will hold.
    fn wait(&mut self, except: Option<Client>, number: u32, object: Value) {
        let sent = Sent { number, object };
        for (client, tab) in &mut self.tabs {
            if tab.can.contains("receive") && Some(*client) != except {
                tab.expect(&sent);
            }
        }
        self.waiting.push(sent);
    }

    /// Returns the code of the error that a change causes; `None` if it is made.
    pub fn check_change(&self, from: Client, command: &Value) -> Option<&'static str> {
        let tab = &self.tabs[&from];
        let of = command["of"].as_u64().unwrap();
        let action = command["type"].as_str().unwrap();
        let (author, data) = match self.message_now(of) {
            Some(found) if of >= self.floor() => found,
            _ => return Some("not_found"),
        };
        let (own, any) = match action {
            "delete" => ("delete", "delete_any"),
            _ => ("edit", "edit_any"),
        };
        let is_own = author == tab.user;
        let may_change = tab.can.contains(any) || (is_own && tab.can.contains(own));
        if !may_change {
            return Some("forbidden");
        }
        let Some(mut data) = data else {
            return Some("not_found");
        };
        let if_version = command.get("if_version").and_then(Value::as_u64);
        if if_version.is_some_and(|version| Some(version) != self.version_of(of)) {
            return Some("conflict");
        }
        if action == "append" && text_of(&mut data).is_none() {
            return Some("bad_command");
        }
        let is_too_large =
            || data_after(&data, &as_change(command)).to_string().len() > self.message_bytes_max;
        (action == "append" && is_too_large()).then_some("too_large")
    }

    /// Returns true if it is known what the offset is that of, and whether that is still retained, when the
    /// room gets a command. What waits may be stored before that, and some of the appends as one.
    pub fn is_certain(&self, of: u64) -> bool {
        let most = self.waiting.len() as u64;
        let is_retained_anyway = of >= self.floor_at(self.newest() + most);
        match of.checked_sub(self.newest() + 1) {
            None => is_retained_anyway || of < self.floor(),
            Some(ahead) => {
                let is_message = |one: &Sent| one.object["type"] == "message";
                let is_known = self.waiting.iter().all(is_message) && is_retained_anyway;
                is_known || ahead >= most
            }
        }
    }

    /// Returns a message's author, and its content with the changes that wait; `None` if there is no such
    /// message.
    fn message_now(&self, of: u64) -> Option<(&str, Option<Value>)> {
        let first = self.first_text(of)?;
        let mut data = match self.messages.get(&of) {
            Some(message) => message.data.clone(),
            None => Some(first["data"].clone()),
        };
        for change in self.waiting.iter().filter(|one| one.changes(of)) {
            let change = &change.object;
            data = data.filter(|_| change["action"] != "delete");
            data = data.map(|data| data_after(&data, change));
        }
        Some((first["user"].as_str().unwrap(), data))
    }

    /// Returns a message as it was published; `None` if there is none.
    fn first_text(&self, of: u64) -> Option<&Value> {
        if self.messages.contains_key(&of) {
            return Some(&self.entries[of as usize - 1]);
        }
        let ahead = of.checked_sub(self.newest() + 1)?;
        Some(&self.waiting.get(ahead as usize)?.object)
    }

    /// Returns true if a message is retained and not deleted. Its offset must be certain.
    pub fn is_there(&self, of: u64) -> bool {
        let now = self.message_now(of);
        of >= self.floor() && now.is_some_and(|(_, data)| data.is_some())
    }

    /// Returns a message's version, if it is known although messages and changes wait.
    pub fn version_of(&self, of: u64) -> Option<u64> {
        let is_changing = self.waiting.iter().any(|one| one.changes(of));
        let stored = self.messages.get(&of).map_or(1, |message| message.version);
        (!is_changing).then_some(stored)
    }

    /// Returns the offset of the newest stored message or change.
    pub fn newest(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Returns the offsets of the stored messages.
    pub fn message_offsets(&self) -> impl DoubleEndedIterator<Item = u64> {
        self.messages.keys().copied()
    }

    /// Returns the lowest offset that is retained.
    pub fn floor(&self) -> u64 {
        self.floor_at(self.newest())
    }

    fn floor_at(&self, newest: u64) -> u64 {
        newest.saturating_sub(self.messages_max) + 1
    }

    /// Returns true if a client can recover what followed this offset.
    pub fn can_recover(&self, after: u64) -> bool {
        after == self.newest() || (self.floor() - 1..=self.newest()).contains(&after)
    }

    /// Returns a page of the history, and whether there is more.
    pub fn page(&self, after: u64, limit: usize) -> (Vec<Value>, bool) {
        let offsets = after.max(self.floor() - 1) + 1..=self.newest();
        let more = offsets.clone().count() > limit;
        (
            offsets.take(limit).map(|one| self.shown(one)).collect(),
            more,
        )
    }

    /// Returns what a client that was away receives at an offset: a message as it is now, or an entry
    /// about one with the whole of what it is about, if it is the last of its kind.
    pub fn shown(&self, offset: u64) -> Value {
        let entry = &self.entries[offset as usize - 1];
        match entry["of"].as_u64() {
            Some(of) => self.messages[&of].shown_change(entry),
            None => self.messages[&offset].shown(entry),
        }
    }

    /// Returns what a client shows of a message.
    pub fn picture_of(&self, message: u64) -> Value {
        let re = &self.entries[message as usize - 1]["re"];
        let message = &self.messages[&message];
        let shown = json!({
            "data": message.data, "version": message.version, "reactions": message.reactions,
            "re": re, "replies": message.replies
        });
        crate::picture::shown(&shown)
    }

    /// Returns the offset of the first entry after another one that the back end is notified of.
    pub fn reported_after(&self, offset: u64) -> Option<u64> {
        let mut offsets = offset + 1..=self.newest();
        offsets.find(|one| {
            let entry = &self.entries[*one as usize - 1];
            entry["type"] != "reactions" && entry["action"] != "replies"
        })
    }

    /// Returns true if the message is deleted, or the one that was changed.
    pub fn is_deleted(&self, offset: &Value) -> bool {
        let of = self.entry_at(offset).and_then(|entry| entry["of"].as_u64());
        let of = of.or(offset.as_u64()).unwrap();
        (self.messages.get(&of)).is_some_and(|message| message.data.is_none())
    }

    /// Asserts that no row and no event has a content that it may not have any more.
    pub fn assert_forgotten(&self, rows: &str, events: &str) {
        for number in numbers_in(rows) {
            assert!(!self.replaced.contains(&number), "{number} is in {rows}");
        }
        for number in numbers_in(events) {
            assert!(!self.deleted.contains(&number), "{number} is in {events}");
        }
    }

    /// Moves the oldest pending messages and changes to the stored or the lost ones.
    pub fn store(&mut self, row: &AppendedRow) {
        assert_eq!(row.first, self.newest() + 1);
        // Each with the numbers of all that went with it.
        let mut entries: Vec<(Sent, Vec<u32>)> = Vec::new();
        let mut taken = 0;
        for next in &self.waiting {
            let is_full = entries.len() == row.count;
            let is_in_row = || self.is_in_row(row, taken);
            match entry_before(&entries, next) {
                Some(index) if !is_full || is_in_row() => {
                    let (entry, numbers) = &mut entries[index];
                    entry.go_with(next);
                    numbers.push(next.number);
                }
                _ if is_full => break,
                _ => entries.push((next.clone(), vec![next.number])),
            }
            taken += 1;
        }
        assert_eq!(entries.len(), row.count, "the row has more than was sent");
        let taken: Vec<_> = self.waiting.drain(..taken).collect();
        if !row.is_stored {
            return self.lose(&taken);
        }
        for ((_, numbers), offset) in entries.iter().zip(row.first..) {
            let offsets = numbers.iter().map(|number| (*number, offset));
            self.offsets.extend(offsets);
        }
        let mut as_sent = BTreeMap::new();
        for (mut entry, numbers) in entries {
            let offset = self.newest() + 1;
            self.apply(&mut entry.object, offset, &numbers);
            as_sent.extend(numbers.iter().map(|number| (*number, None)));
            as_sent.insert(entry.number, Some(entry.object.clone()));
            entry.object["offset"] = json!(offset);
            self.entries.push(entry.object);
        }
        if taken.iter().all(|one| one.object["type"] == "message") {
            return;
        }
        for tab in self.tabs.values_mut() {
            tab.expected
                .retain_mut(|one| match as_sent.get(&one.number) {
                    Some(Some(entry)) => {
                        one.object.clone_from(entry);
                        true
                    }
                    // It went with another append.
                    Some(None) => false,
                    None => true,
                });
        }
    }

    /// Returns true if a waiting entry went with another one into this row, which has all that is in it.
    fn is_in_row(&self, row: &AppendedRow, index: usize) -> bool {
        let next = &self.waiting[index];
        if next.object["action"] == "replies" {
            // It follows the reply, or its deletion, which is in the row.
            return true;
        }
        if next.object["type"] != "reactions" {
            return row.changed.contains(&content(next.number));
        }
        // They may have changed again, and their last state is in the row.
        let later = &self.waiting[index..];
        let later = later.iter().map(|one| &one.object);
        let mut later =
            later.filter(|one| one["type"] == "reactions" && one["of"] == next.object["of"]);
        let changes = serde_json::Deserializer::from_str(&row.changed).into_iter::<Value>();
        let changes: Vec<_> = changes.map(Result::unwrap).collect();
        let is_same = |one: &Value, other: &Value, field: &str| one[field] == other[field];
        later.any(|one| {
            let fields = ["type", "of", "summary"];
            let is_now = |change: &Value| fields.iter().all(|field| is_same(change, one, field));
            changes.iter().any(is_now)
        })
    }

    /// Applies what was stored to its message, and gives a change its version.
    fn apply(&mut self, entry: &mut Value, offset: u64, numbers: &[u32]) {
        let Some(of) = entry["of"].as_u64() else {
            let message = Message {
                version: 1,
                data: Some(entry["data"].clone()),
                last: 0,
                numbers: numbers.into(),
                reactions: json!({}),
                last_reactions: 0,
                replies: 0,
                last_reply: 0,
                last_replies: 0,
            };
            self.messages.insert(offset, message);
            return;
        };
        let message = self.messages.get_mut(&of).unwrap();
        if entry["type"] == "reactions" {
            message.reactions = entry["summary"].clone();
            message.last_reactions = offset;
            return;
        }
        if let Some(counted) = entry.get("counted") {
            let added = counted["added"].as_array().unwrap();
            message.replies += added.len() as u64;
            message.replies -= counted["removed"].as_u64().unwrap();
            if let Some(last) = added.last().and_then(Value::as_u64) {
                message.last_reply = self.offsets[&(last as u32)];
            }
            message.last_replies = offset;
            let fields = entry.as_object_mut().unwrap();
            fields.remove("counted");
            fields.insert("replies".into(), json!(message.replies));
            fields.insert("last_reply".into(), json!(message.last_reply));
            return;
        }
        message.version += 1;
        message.last = offset;
        entry["version"] = json!(message.version);
        let data = message.data.take().unwrap();
        if entry["action"] != "append" {
            self.replaced.extend(&message.numbers);
        }
        message.numbers.extend(numbers);
        if entry["action"] == "delete" {
            self.deleted.extend(&message.numbers);
            (message.reactions, message.last_reactions) = (json!({}), 0);
        } else {
            message.data = Some(data_after(&data, entry));
        }
    }

    fn lose(&mut self, lost: &[Sent]) {
        for one in lost {
            self.lost.insert(one.number);
            let data = &one.object["data"];
            self.keys.retain(|_, under_key| under_key != data);
            self.change_keys.retain(|_, change| *change != one.number);
            for tab in self.tabs.values_mut() {
                tab.expected
                    .retain(|expected| expected.number != one.number);
            }
        }
    }

    /// Forgets what waits, which had no effect.
    pub fn lose_waiting(&mut self) {
        let lost = std::mem::take(&mut self.waiting);
        self.lose(&lost);
    }

    pub fn is_lost(&self, number: u32) -> bool {
        self.lost.contains(&number)
    }

    /// Returns true if anything waits to be stored.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns the stored message or change with this offset.
    pub fn entry_at(&self, offset: &Value) -> Option<&Value> {
        self.entries
            .get((offset.as_u64()? as usize).checked_sub(1)?)
    }

    /// Returns the offset of a stored message or change.
    pub fn offset_of(&self, number: u32) -> u64 {
        self.offsets[&number]
    }

    /// Returns the offset of a stored entry; `None` if it was lost.
    pub fn offset_at(&self, place: Place) -> Option<u64> {
        match place {
            Place::Of(number) if self.is_lost(number) => None,
            Place::Of(number) => Some(self.offset_of(number)),
            Place::At(offset) => Some(offset),
        }
    }

    pub fn changed_under(&self, from: Client, key: &str) -> Option<u32> {
        let user = self.tabs[&from].user.clone();
        self.change_keys.get(&(user, key.into())).copied()
    }

    /// Records the change that a user made with a key.
    pub fn change_under(&mut self, from: Client, key: &str, number: u32) {
        let user = self.tabs[&from].user.clone();
        self.change_keys.insert((user, key.into()), number);
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
        let signal = Sent {
            number: number_of(data),
            object: signal,
        };
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

impl Sent {
    /// Returns true if it changes the content of a message.
    fn changes(&self, of: u64) -> bool {
        changes_content(&self.object) && self.object["of"] == of
    }

    /// Adds an entry that goes with it into one row.
    fn go_with(&mut self, next: &Self) {
        if next.object["type"] == "reactions" {
            self.object["summary"] = next.object["summary"].clone();
            return;
        }
        if let Some(counted) = next.object.get("counted") {
            return threads::go_with(&mut self.object["counted"], counted);
        }
        let text = self.object["text"].as_str().unwrap();
        let more = next.object["text"].as_str().unwrap();
        self.object["text"] = json!(format!("{text}{more}"));
    }
}

impl Message {
    /// Returns the message as it is now; `entry` is what was published.
    fn shown(&self, entry: &Value) -> Value {
        let mut shown = entry.clone();
        let fields = shown.as_object_mut().unwrap();
        if self.version > 1 {
            fields.insert("version".into(), json!(self.version));
        }
        match &self.data {
            Some(data) => fields["data"] = data.clone(),
            None => {
                let lost = ["connection", "data", "mentions"];
                fields.retain(|name, _| !lost.contains(&&**name));
                fields.insert("deleted".into(), json!(true));
            }
        }
        if self.reactions != json!({}) {
            fields.insert("reactions".into(), self.reactions.clone());
        }
        if self.replies > 0 {
            fields.insert("replies".into(), json!(self.replies));
            fields.insert("last_reply".into(), json!(self.last_reply));
        }
        shown
    }

    /// Returns an entry about the message as a client receives it that was away.
    fn shown_change(&self, entry: &Value) -> Value {
        let mut shown = entry.clone();
        let fields = shown.as_object_mut().unwrap();
        let last = match entry["type"].as_str() {
            Some("reactions") => self.last_reactions,
            _ if entry["action"] == "replies" => self.last_replies,
            _ => self.last,
        };
        if entry["offset"] != last {
            fields.retain(|name, _| ["type", "offset", "of"].contains(&&**name));
            fields["type"] = json!("change");
        } else if fields.remove("text").is_some() {
            fields.insert("action".into(), json!("edit"));
            fields.insert("data".into(), self.data.clone().unwrap());
        }
        shown
    }
}

impl Tab {
    fn expect(&mut self, sent: &Sent) {
        self.expected.push_back(Expected::surely(sent.clone()));
    }
}

impl Expected {
    fn surely(sent: Sent) -> Self {
        let Sent { number, object } = sent;
        Self {
            number,
            object,
            is_optional: false,
        }
    }

    fn perhaps(sent: Sent) -> Self {
        Self {
            is_optional: true,
            ..Self::surely(sent)
        }
    }
}

impl From<Expected> for Sent {
    fn from(Expected { number, object, .. }: Expected) -> Self {
        Self { number, object }
    }
}

/// Sorts by the numbers, which increase in the order of sending.
fn in_order(waiting: impl Iterator<Item = Expected>) -> Vec<Expected> {
    let mut waiting: Vec<_> = waiting.collect();
    waiting.sort_by_key(|one| one.number);
    waiting
}

/// Returns the index of the entry with which the room makes another one, if both are in one row.
fn entry_before(entries: &[(Sent, Vec<u32>)], next: &Sent) -> Option<usize> {
    let next = &next.object;
    let is_same = |one: &Value, field: &str| one[field] == next[field];
    let mut objects = entries.iter().map(|(entry, _)| &entry.object);
    match next["type"].as_str()? {
        "reactions" => objects.position(|one| is_same(one, "type") && is_same(one, "of")),
        "change" if next["action"] == "replies" => {
            objects.position(|one| is_same(one, "action") && is_same(one, "of"))
        }
        "change" => {
            let index = objects.rposition(|one| changes_content(one) && is_same(one, "of"))?;
            let is_own = |one: &Value| is_same(one, "user") && is_same(one, "connection");
            let (append, _) = &entries[index];
            let is_append = |one: &Value| one["action"] == "append";
            let mut later = entries[index..].iter().map(|(entry, _)| &entry.object);
            let has_published = later.any(|one| one["type"] == "message" && is_own(one));
            let goes_with = is_append(next) && is_append(&append.object) && is_own(&append.object);
            (goes_with && !has_published).then_some(index)
        }
        _ => None,
    }
}

/// Returns true if an entry is a change of a message's content.
fn changes_content(entry: &Value) -> bool {
    entry["type"] == "change" && entry["action"] != "replies"
}

/// Returns the change that a command makes.
fn as_change(command: &Value) -> Value {
    let mut change = command.clone();
    change["action"] = command["type"].clone();
    change
}

/// Returns an entry without its offset.
fn unplaced(entry: &Value) -> Value {
    let mut entry = entry.clone();
    entry.as_object_mut().unwrap().remove("offset");
    entry
}

/// Returns a text that nothing else contains.
pub fn content(number: u32) -> String {
    format!("~{number}~")
}

/// Returns the number of the first content in the data.
pub fn number_of(data: &Value) -> u32 {
    numbers_in(&data.to_string()).next().unwrap()
}

/// Returns the numbers of all contents in a text.
fn numbers_in(text: &str) -> impl Iterator<Item = u32> {
    let between = text.split('~').skip(1).step_by(2);
    between.map(|number| number.parse().unwrap())
}
