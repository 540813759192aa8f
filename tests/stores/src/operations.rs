//! Random operations on two stores, and the comparison of their results.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    rc::Rc,
};

use serde_json::value::RawValue;
use snug_core::{
    ConnectionId, Epoch, GatewayName, LinkId, Offset, RoomSnapshot, StorageFault, Store as _,
    TaskId, Timestamp, UserId,
    backend::webhook::{Delivery, EventRow, EventState, Lines, OutgoingEvent},
    link::links::StoredLink,
    protocol::{
        page::{PageRequest, PageStart},
        push::Stored,
    },
    room::{bans::Ban, ended_tokens::EndedTokens, presence::Absence},
    storage::{
        batch::{Batch, Page, Wanted},
        changed::{Aspect, ChangeWrite, ChangedMessage, ChangedRows, UserReaction},
        entry::{StoredEntry, is_change},
        idempotency::{KeyFloor, StoredKey},
        retention::Floor,
        store::{EventWrite, StoredMember},
    },
};

use worker::State;

use crate::{memory::MemoryStore, store::Store};

/// The time of the first operation.
const START_MS: u64 = 1_800_000_000_000;

/// The prefix of event ids.
const SOURCE: &str = "room";

/// Two stores that get the same calls.
pub struct Operations<'a> {
    state: &'a State,
    random: Random,
    sqlite: Store,
    memory: MemoryStore,
    now: Timestamp,
    /// The number of calls of each kind.
    calls: BTreeMap<&'static str, usize>,
}

type Outcome = Result<(), String>;

impl<'a> Operations<'a> {
    /// Opens the object's storage, which has to be new.
    pub fn new(seed: u64, state: &'a State) -> worker::Result<Self> {
        let sqlite = Store::open(state.storage())?;
        let mut memory = MemoryStore::default();
        memory.given_epoch = Some(sqlite.load(SOURCE, None)?.epoch);
        Ok(Self {
            state,
            random: Random(seed | 1),
            sqlite,
            memory,
            now: Timestamp(START_MS),
            calls: BTreeMap::new(),
        })
    }

    /// Returns the number of calls of each kind.
    pub fn summary(&self) -> String {
        format!("{:?}", self.calls)
    }

    /// Makes one call to both stores, and compares the results and what the stores hold.
    pub fn run_next(&mut self) -> Outcome {
        self.now = self.now.plus_ms(self.random.up_to(40_000));
        match self.random.up_to(23) {
            0..=4 => self.append()?,
            5..=6 => self.fill_page()?,
            7 => self.read_keys()?,
            8..=9 => self.trim()?,
            10 => self.store_events()?,
            11 => self.settle_events()?,
            12 => self.read_events()?,
            13 => self.change_absence()?,
            14 => self.change_ban()?,
            15 => self.change_ended_tokens()?,
            16 => self.read_dead()?,
            17 => self.change_link()?,
            18 => self.change_member()?,
            19 => self.read_changed()?,
            20 => self.read_reactions()?,
            21 => self.read_replies()?,
            22 => self.change_position()?,
            _ if self.random.one_in(4) => self.erase()?,
            _ => self.reopen()?,
        }
        let (sqlite, memory) = (self.sqlite_snapshot()?, self.memory_snapshot());
        compare("snapshot", &sqlite, &memory)
    }

    fn count(&mut self, call: &'static str) {
        *self.calls.entry(call).or_default() += 1;
    }

    fn sqlite_snapshot(&self) -> Result<RoomSnapshot, String> {
        let loaded = self.sqlite.load(SOURCE, None);
        // Each store draws its own tasks.
        let first_task = TaskId(0);
        loaded
            .map(|snapshot| RoomSnapshot {
                first_task,
                ..snapshot
            })
            .map_err(|error| format!("load: {error}"))
    }

    fn memory_snapshot(&self) -> RoomSnapshot {
        RoomSnapshot {
            alarm: None,
            ..self.memory.stored()
        }
    }

    fn append(&mut self) -> Outcome {
        self.count("append");
        let first = self.memory.newest().next();
        let count = match self.random.one_in(6) {
            true => 1 + self.random.up_to(15),
            false => 1 + self.random.up_to(3),
        };
        let offsets: Vec<_> = (first.0..first.0 + count).map(Offset).collect();
        let before = self.memory.stored();
        // The clock of a room may have been set back, and API requests may give earlier times.
        let time = match self.random.one_in(5) {
            true => before.newest_time,
            false => before.newest_time.max(self.now),
        };
        let line = |offset: &Offset| {
            let text = "ä\u{1f600}\"x".repeat(self.random.up_to(40) as usize);
            let data = serde_json::Value::from(text);
            let (offset, time) = (offset.0, time.0);
            format!(
                r#"{{"type":"message","offset":{offset},"time":{time},"user":"ann","data":{data}}}"#
            )
        };
        let mut lines: Vec<_> = offsets.iter().map(line).collect();
        let changes = self.some_changes(&offsets, time);
        let mut reported = lines.clone();
        // The changes take the places of the first messages.
        for (index, change) in changes.iter().enumerate() {
            lines[index] = StoredEntry::bare_change(offsets[index], change.now.message);
            reported[index] = change.now.change.to_string();
        }
        let text: Rc<str> = lines.join("\n").into();
        let keys = offsets.iter().filter(|_| self.random.one_in(6));
        let keys: Vec<_> = keys
            .map(|offset| StoredKey {
                user: user(offset.0 % 3),
                key: format!("key \"{}\"", offset.0).into(),
                stored: Stored::new(*offset, time),
            })
            .collect();
        let is_retained = !self.random.one_in(10);
        let batch = Batch {
            first,
            count,
            time,
            bytes_before: before.bytes,
            json: if is_retained { text } else { "".into() },
            keys,
        };
        let events = self.random.one_in(2).then(|| {
            let epoch = match self.random.one_in(6) {
                true => Epoch::new("an earlier epoch"),
                false => self.memory.epoch(),
            };
            let pushes = reported.join("\n").into();
            self.event_write(Lines::Messages { epoch, pushes }, count)
        });
        let sqlite = self.sqlite.append(&batch, &changes, events.as_ref());
        self.sqlite.texts.clear();
        let memory = self.memory.append(&batch, &changes, events.as_ref());
        compare("append", &sqlite, &memory)
    }

    /// Returns changes of random messages, each of another one.
    fn some_changes(&mut self, offsets: &[Offset], time: Timestamp) -> Vec<ChangeWrite> {
        let rows = self.memory.rows.values();
        let lines = rows.flat_map(|row| row.json.split('\n').map(str::to_owned));
        let mut messages: Vec<_> = lines
            .filter(|line| !line.is_empty() && !is_change(line))
            .collect();
        let only_deletions = self.random.one_in(3);
        let mut changes = Vec::new();
        for offset in offsets {
            let is_last = self.random.one_in(if only_deletions { 8 } else { 2 });
            if messages.is_empty() || is_last {
                break;
            }
            let one = self.random.next() % messages.len() as u64;
            let message = messages.swap_remove(one as usize);
            changes.extend(self.some_change(message, *offset, time, only_deletions));
        }
        changes
    }

    /// Returns a random change of a message, which stands in its row like this.
    fn some_change(
        &mut self,
        row_before: String,
        offset: Offset,
        time: Timestamp,
        is_deletion: bool,
    ) -> Option<ChangeWrite> {
        let fields: serde_json::Value = serde_json::from_str(&row_before).ok()?;
        let (of, user) = (fields["offset"].as_u64()?, &fields["user"]);
        match self.random.up_to(3) {
            _ if is_deletion => {}
            0 => return Some(self.some_reactions(Offset(of), offset)),
            1 => return Some(Self::some_replies(Offset(of), offset)),
            _ => {}
        }
        let is_deletion = is_deletion || self.random.one_in(3);
        let row = match is_deletion {
            true => format!(r#"{{"type":"message","offset":{of},"user":{user}}}"#),
            false => match row_before.split_once(r#","data":"#) {
                Some((head, _)) => format!("{head}}}"),
                None => row_before.clone(),
            },
        };
        let version = self.random.up_to(9);
        let change = format!(
            r#"{{"type":"change","offset":{},"time":{},"of":{of},"version":{version},"data":"ü"}}"#,
            offset.0, time.0,
        );
        Some(ChangeWrite {
            now: ChangedMessage {
                message: Offset(of),
                aspect: Aspect::Content,
                last: offset,
                change: change.into(),
            },
            along: ChangedRows::Content {
                row_before: row_before.into(),
                row: row.into(),
                is_deletion,
            },
        })
    }

    /// Returns reactions of random users to a message.
    fn some_reactions(&mut self, message: Offset, last: Offset) -> ChangeWrite {
        let toggled = (0..=self.random.up_to(3)).map(|_| UserReaction {
            user: user(self.random.up_to(2)),
            name: self.some_name(),
            is_on: !self.random.one_in(3),
        });
        let along = ChangedRows::Reactions(toggled.collect());
        let change = format!(
            r#"{{"type":"reactions","offset":{},"of":{},"summary":{{}}}}"#,
            last.0, message.0
        );
        ChangeWrite {
            now: ChangedMessage {
                message,
                aspect: Aspect::Reactions,
                last,
                change: change.into(),
            },
            along,
        }
    }

    fn some_name(&mut self) -> String {
        ["\u{1f44d}", "a", "\"%"][self.random.up_to(2) as usize].into()
    }

    /// Reads a user's reactions to a random message, and the users with one.
    fn read_reactions(&mut self) -> Outcome {
        self.count("reactions");
        let message = Offset(self.random.up_to(self.memory.newest().0));
        let (name, of_user) = (self.some_name(), user(self.random.up_to(2)));
        let sorted = |names: Result<Vec<String>, StorageFault>| names.map(BTreeSet::from_iter);
        compare(
            "reactions_of",
            &sorted(self.sqlite.reactions_of(&of_user, message)),
            &sorted(self.memory.reactions_of(&of_user, message)),
        )?;
        let limit = self.random.up_to(3) as usize;
        compare(
            "users_with",
            &self.sqlite.users_with(&name, message, limit),
            &self.memory.users_with(&name, message, limit),
        )
    }

    /// Raises a random user's position, and reads those of all.
    fn change_position(&mut self) -> Outcome {
        self.count("reads");
        let reader = self.user();
        let before = self.memory.reads.get(&reader).copied().unwrap_or_default();
        let offset = Offset(before.0 + 1 + self.random.up_to(5));
        compare(
            "store_read",
            &self.sqlite.store_read(&reader, offset),
            &self.memory.store_read(&reader, offset),
        )?;
        let users: Vec<_> = (0..4).map(user).collect();
        compare(
            "read_positions",
            &self.sqlite.read_positions(&users),
            &self.memory.read_positions(&users),
        )
    }

    /// Reads the replies to a random message.
    fn read_replies(&mut self) -> Outcome {
        self.count("replies_to");
        let newest = self.memory.newest().0;
        let (root, offset) = (self.random.up_to(newest), self.random.up_to(newest));
        let from = match self.random.one_in(2) {
            true => PageStart::After(Offset(offset)),
            false => PageStart::Before(Offset(offset)),
        };
        let limit = 1 + self.random.up_to(3) as u32;
        compare(
            "replies_to",
            &self.sqlite.replies_to(Offset(root), from, limit),
            &self.memory.replies_to(Offset(root), from, limit),
        )
    }

    /// Reads the changed messages from one random offset to another, and some others.
    fn read_changed(&mut self) -> Outcome {
        self.count("changed_messages");
        let newest = self.memory.newest().0;
        let from = self.random.up_to(newest);
        let to = from + self.random.up_to(newest - from);
        let others = (0..self.random.up_to(4)).map(|_| self.random.up_to(newest));
        let mut others: Vec<_> = others.filter(|of| !(from..=to).contains(of)).collect();
        others.sort_unstable();
        others.dedup();
        let wanted = Wanted {
            from: Offset(from),
            to: Offset(to),
            others: others.into_iter().map(Offset).collect(),
        };
        let sqlite = self.sqlite.changed_messages(&wanted);
        compare(
            "changed_messages",
            &sqlite,
            &self.memory.changed_messages(&wanted),
        )
    }

    /// Returns a write of a row of events, with random changes of the state.
    fn event_write(&mut self, lines: Lines, count: u64) -> EventWrite {
        let stored = self.memory.stored().events;
        let state = stored.state.clone().unwrap_or_default();
        let first = (stored.newest).max(state.settled).max(state.newest_lost) + 1;
        let row = EventRow {
            first,
            count,
            time: self.now,
            bytes_before: if stored.oldest.is_some() {
                stored.bytes
            } else {
                0
            },
            lines,
        };
        let loses = self.random.one_in(6);
        let lost: Vec<_> = row.events(SOURCE, first).filter(|_| loses).collect();
        let last = row.last();
        let starts_counting = self.random.one_in(8);
        let changes_state = loses || starts_counting || self.random.one_in(4);
        EventWrite {
            row: (!loses).then_some(row),
            lost,
            state: changes_state.then(|| EventState {
                newest_lost: if loses { last } else { state.newest_lost },
                shares_from: if starts_counting {
                    first
                } else {
                    state.shares_from
                },
                dead: state.dead + u64::from(loses),
                ..state
            }),
            notified: self.users(),
            departed: self.users(),
            forgets_dead: self.random.one_in(20),
            starts_counting,
            shares: self.shares(),
        }
    }

    fn store_events(&mut self) -> Outcome {
        self.count("store_events");
        let count = 1 + self.random.up_to(30);
        let long = self.random.up_to(300) as usize;
        let line = |number| {
            let (time, user) = (self.now.0, number % 4);
            let info = "i".repeat(long);
            format!(
                r#"{{"type":"member.joined","time":{time},"user":"user {user}","info":"{info}"}}"#
            )
        };
        let lines: Vec<_> = (0..count).map(line).collect();
        let write = self.event_write(Lines::Events(lines.join("\n").into()), count);
        let sqlite = self.sqlite.store_events(&write);
        compare("store_events", &sqlite, &self.memory.store_events(&write))
    }

    fn fill_page(&mut self) -> Outcome {
        self.count("fill_page");
        let floor = self.floor();
        let offset = Offset(self.random.up_to(self.memory.newest().0 + 2));
        let from = match self.random.up_to(3) {
            0 => PageStart::Before(Offset::END),
            1 => PageStart::Before(offset),
            _ => PageStart::After(offset),
        };
        let request = PageRequest {
            from,
            limit: 1 + self.random.up_to(30) as u32,
            bytes_max: 100 + self.random.up_to(10_000) as usize,
        };
        let mut pages = [Page::new(request, floor), Page::new(request, floor)];
        let [one, other] = &mut pages;
        let outcomes = (self.sqlite.fill_page(one), self.memory.fill_page(other));
        compare("fill_page", &outcomes.0, &outcomes.1)?;
        let [one, other] = pages.map(|page| (page.first(), page.finish()));
        compare("page", &one, &other)
    }

    fn read_keys(&mut self) -> Outcome {
        self.count("keys");
        let floor = self.key_floor();
        compare("keys", &self.sqlite.keys(floor), &self.memory.keys(floor))
    }

    fn trim(&mut self) -> Outcome {
        self.count("trim");
        let (floor, keys) = (self.floor(), self.key_floor());
        let stored = self.memory.stored();
        let oldest = stored
            .oldest
            .map_or(stored.newest.next(), |oldest| oldest.offset);
        let sqlite = self.sqlite.trim(floor, oldest, keys);
        compare("trim", &sqlite, &self.memory.trim(floor, oldest, keys))
    }

    fn settle_events(&mut self) -> Outcome {
        self.count("settle_events");
        let stored = self.memory.stored().events;
        let state = stored.state.unwrap_or_default();
        let ahead = stored.newest.saturating_sub(state.settled);
        let settled = state.settled + self.random.up_to(ahead);
        let given_up = (state.settled + 1..=settled).filter(|_| self.random.one_in(3));
        let given_up: Vec<_> = given_up.collect();
        let dead = given_up.into_iter().map(|seq| self.dead_event(seq));
        let dead: Vec<_> = dead.collect();
        let state = EventState {
            settled,
            dead: state.dead + dead.len() as u64,
            ..state
        };
        let shares = self.shares();
        let sqlite = self.sqlite.settle_events(&state, &dead, &shares);
        let memory = self.memory.settle_events(&state, &dead, &shares);
        compare("settle_events", &sqlite, &memory)?;
        // The new dead events may have displaced others.
        let kept: Vec<_> = self.memory.dead_events.keys().copied().collect();
        for seq in kept.into_iter().filter(|_| !dead.is_empty()) {
            let sqlite = self.sqlite.dead_events(seq - 1, 1);
            if sqlite != self.memory.dead_events(seq - 1, 1) {
                return Err(format!("dead_events: SQLite has another event than {seq}"));
            }
        }
        Ok(())
    }

    /// Returns a dead event, sometimes so long that few fit.
    fn dead_event(&mut self, seq: u64) -> OutgoingEvent {
        let bytes = match self.random.one_in(3) {
            true => 1_900_000,
            false => self.random.up_to(500) as usize,
        };
        OutgoingEvent {
            seq,
            time: self.now,
            user: (!self.random.one_in(5)).then(|| user(seq % 4)),
            bytes: 1,
            json: format!(r#"{{"seq":{seq},"data":"{}"}}"#, "d".repeat(bytes)),
        }
    }

    fn read_events(&mut self) -> Outcome {
        self.count("fill_delivery");
        let stored = self.memory.stored().events;
        let state = stored.state.unwrap_or_default();
        let mut delivery = Delivery::new(SOURCE.into(), state.settled);
        if self.random.one_in(3) {
            delivery = delivery.up_to(state.settled + 1 + self.random.up_to(20));
        }
        let mut other = delivery.clone();
        let sqlite = self.sqlite.fill_delivery(&mut delivery);
        compare(
            "fill_delivery",
            &sqlite,
            &self.memory.fill_delivery(&mut other),
        )?;
        compare("delivery", &delivery, &other)
    }

    fn read_dead(&mut self) -> Outcome {
        self.count("dead_events");
        let newest = self.memory.stored().events.newest;
        let (after, limit) = (self.random.up_to(newest), 1 + self.random.up_to(50) as u32);
        let sqlite = self.sqlite.dead_events(after, limit);
        compare(
            "dead_events",
            &sqlite,
            &self.memory.dead_events(after, limit),
        )
    }

    fn change_absence(&mut self) -> Outcome {
        let user = self.user();
        let is_absent = self
            .memory
            .stored()
            .absences
            .iter()
            .any(|one| one.user == user);
        if is_absent && self.random.one_in(2) {
            self.count("delete_absence");
            self.sqlite.delete_absence(&user);
            self.memory.delete_absence(&user);
            return Ok(());
        }
        self.count("store_absence");
        let info = r#"{"name":"Ännchen\n","n":1.50}"#.to_owned();
        let info = self.random.one_in(2).then(|| RawValue::from_string(info));
        let absence = Absence {
            user,
            since: Timestamp(self.now.0 - self.random.up_to(1_000)),
            info: info.and_then(Result::ok).map(Rc::from),
            until: self.now.plus_ms(self.random.up_to(1_000)),
        };
        self.sqlite.store_absence(&absence);
        self.memory.store_absence(&absence);
        Ok(())
    }

    fn change_ban(&mut self) -> Outcome {
        let user = self.user();
        if self.memory.bans.contains_key(&user) && self.random.one_in(2) {
            self.count("delete_ban");
            self.sqlite.delete_ban(&user);
            self.memory.delete_ban(&user);
            return Ok(());
        }
        self.count("store_ban");
        let until = self.now.plus_ms(self.random.up_to(1_000_000));
        let ban = Ban { user, until };
        compare(
            "store_ban",
            &self.sqlite.store_ban(&ban),
            &self.memory.store_ban(&ban),
        )
    }

    fn change_ended_tokens(&mut self) -> Outcome {
        let user = self.user();
        if self.memory.ended_tokens.contains_key(&user) && self.random.one_in(2) {
            self.count("delete_ended_tokens");
            self.sqlite.delete_ended_tokens(&user);
            self.memory.delete_ended_tokens(&user);
            return Ok(());
        }
        self.count("store_ended_tokens");
        let ended = EndedTokens {
            user,
            issued_before: self.now,
            until: self.now.plus_ms(self.random.up_to(1_000_000)),
        };
        let sqlite = self.sqlite.store_ended_tokens(&ended);
        compare(
            "store_ended_tokens",
            &sqlite,
            &self.memory.store_ended_tokens(&ended),
        )
    }

    fn change_link(&mut self) -> Outcome {
        if self.random.one_in(5) {
            self.count("note_calls");
            let is_amid_calls = !self.memory.stored().is_amid_calls;
            self.sqlite.note_calls(is_amid_calls);
            self.memory.note_calls(is_amid_calls);
            return Ok(());
        }
        let id = LinkId(u64::MAX - self.random.up_to(3));
        let has_members = self.memory.members.values().any(|member| member.link == id);
        if self.memory.links.contains_key(&id) && !has_members && self.random.one_in(2) {
            self.count("delete_link");
            self.sqlite.delete_link(id);
            self.memory.delete_link(id);
            return Ok(());
        }
        self.count("store_link");
        let link = StoredLink {
            id,
            peer: GatewayName::new("weur \"4\""),
            is_ending: self.random.one_in(2),
        };
        let sqlite = self.sqlite.store_link(&link);
        compare("store_link", &sqlite, &self.memory.store_link(&link))
    }

    fn change_member(&mut self) -> Outcome {
        let id = ConnectionId(u64::MAX / 2 + self.random.up_to(5));
        if self.memory.members.contains_key(&id) && self.random.one_in(2) {
            self.count("delete_member");
            self.sqlite.delete_member(id);
            self.memory.delete_member(id);
            return Ok(());
        }
        let Some(link) = self.memory.links.keys().next().copied() else {
            return Ok(());
        };
        self.count("store_member");
        let member = StoredMember {
            id,
            link,
            record: format!(r#"{{"user":"çelik \u0000","n":{}}}"#, self.random.next()),
        };
        let sqlite = self.sqlite.store_member(&member);
        compare("store_member", &sqlite, &self.memory.store_member(&member))
    }

    fn erase(&mut self) -> Outcome {
        self.count("erase");
        let sqlite = self.sqlite.erase();
        self.memory.given_epoch = sqlite.clone().ok();
        compare("erase", &sqlite, &self.memory.erase())
    }

    /// Opens the database again, as a room that wakes does.
    fn reopen(&mut self) -> Outcome {
        self.count("open");
        let opened = Store::open(self.state.storage());
        self.sqlite = opened.map_err(|error| format!("open: {error}"))?;
        Ok(())
    }

    /// Returns the bound of a random retention.
    fn floor(&mut self) -> Floor {
        let stored = self.memory.stored();
        let kept = self.random.up_to(30);
        Floor {
            offset: Offset(stored.newest.0.saturating_sub(kept)).next(),
            time: Timestamp(self.now.0 - self.random.up_to(1_000_000)),
            bytes_before: stored.bytes.saturating_sub(self.random.up_to(20_000)),
        }
    }

    fn key_floor(&mut self) -> KeyFloor {
        let kept = self.random.up_to(40);
        KeyFloor {
            offset: Offset(self.memory.newest().0.saturating_sub(kept)),
            time: Timestamp(self.now.0 - self.random.up_to(500_000)),
        }
    }

    /// Returns a reply to a message.
    fn some_replies(message: Offset, last: Offset) -> ChangeWrite {
        let (offset, of) = (last.0, message.0);
        let change = format!(
            r#"{{"type":"change","offset":{offset},"of":{of},"action":"replies","replies":1,"last_reply":{offset}}}"#
        );
        ChangeWrite {
            now: ChangedMessage {
                message,
                aspect: Aspect::Replies,
                last,
                change: change.into(),
            },
            along: ChangedRows::Replies(vec![last]),
        }
    }

    fn user(&mut self) -> UserId {
        user(self.random.up_to(5))
    }

    fn users(&mut self) -> Vec<UserId> {
        let count = self.random.up_to(2);
        (0..count).map(|_| self.user()).collect()
    }

    fn shares(&mut self) -> Vec<(UserId, u64)> {
        let users = self.users();
        users
            .into_iter()
            .map(|user| (user, self.random.up_to(1_000_000)))
            .collect()
    }
}

fn user(number: u64) -> UserId {
    let name = ["ann", "Bob", "çelik", "\u{1f600}", "a'b\"c", "user 5"][number as usize % 6];
    UserId::parse(name).expect("a valid user")
}

fn compare<T: Debug>(call: &str, sqlite: &T, memory: &T) -> Outcome {
    let (sqlite, memory) = (format!("{sqlite:?}"), format!("{memory:?}"));
    match sqlite == memory {
        true => Ok(()),
        false => Err(format!(
            "{call}: SQLite has\n{sqlite}\nmemory has\n{memory}"
        )),
    }
}

/// A xorshift generator, so that a seed repeats its operations.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number from 0 to `most`.
    fn up_to(&mut self, most: u64) -> u64 {
        (self.next() >> 16) % (most + 1)
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.up_to(times - 1) == 0
    }
}
