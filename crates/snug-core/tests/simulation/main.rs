//! Random lives of a room, beside a model of it that is naive enough to be right.
//!
//! Users come with several tabs, say goodbye or drop, publish, signal, show states, fall silent,
//! fall behind and send nonsense; storage fails; the room gathers for a while or never does, is
//! dropped and restored, and crashes with all that it has gathered. After every step what each
//! client heard has to be what was said and stored, in order and each once, and whenever the room
//! is quiet each client's view, pieced together from what it heard, has to be the model's.
//!
//! A failure prints its seed: `SNUG_SEED=7 cargo test -p snug-core --test simulation` replays
//! seed 7, and `SNUG_SEEDS=100000` runs that many.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[allow(dead_code)]
#[path = "../room/driver.rs"]
mod driver;
mod model;
mod view;

use std::collections::BTreeMap;

use fastrand::Rng;
use serde_json::{Value, json};
use snug_core::limits::{QUEUE_BYTES_MAX, WINDOW_MS_MAX};

use driver::{Client, Life, SETTLES_MS, TestRoom, Visitor, default_rules};
use model::Model;
use view::{Asked, View, Wishes, timeless};

/// A few seconds of a debug build.
const SEEDS: u64 = 80;
const STEPS: u32 = 150;
const TABS_MAX: usize = 10;
const USERS: [&str; 5] = ["ann", "bob", "cho", "__proto__", "用户"];
/// Each is one error, and none more than that.
const NONSENSE: [&str; 7] = [
    "",
    "{",
    "[]",
    r#"{"type":"dance"}"#,
    r#"{"type":"publish"}"#,
    r#"{"type":"signal","data":1,"to":[7]}"#,
    r#"{"type":"state","data":[]}"#,
];

#[test]
fn every_client_sees_what_the_model_says() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seeds = match number("SNUG_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("SNUG_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let _told = TellSeed(seed);
        let mut simulation = Simulation::new(seed);
        for _ in 0..STEPS {
            simulation.step();
            simulation.check();
        }
        simulation.everybody_goes();
    }
}

/// Says which seed it was, where it ends in a panic.
struct TellSeed(u64);

impl Drop for TellSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed={}", self.0);
        }
    }
}

struct Simulation {
    random: Rng,
    room: TestRoom,
    model: Model,
    views: BTreeMap<Client, View>,
    /// Those who are gone, and where they would resume.
    gone: Vec<(String, u64)>,
    window_ms_max: u64,
    said: u32,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut rules = default_rules();
        // Rates have tests of their own; a model of them would be as long as they are.
        (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
        rules.message_bytes_max = 2_000;
        rules.presence_grace_ms = [0, 5_000, 200_000][random.usize(..3)];
        rules.window_ms_max = [0, 1, WINDOW_MS_MAX][random.usize(..3)];
        let lives = [
            Life::Awake,
            Life::HibernatingWhenIdle,
            Life::RestoredAfterEveryInput,
        ];
        let life = lives[random.usize(..3)];
        Self {
            random,
            model: Model::new(&rules),
            window_ms_max: rules.window_ms_max,
            room: TestRoom::new(life, rules),
            views: BTreeMap::new(),
            gone: Vec::new(),
            said: 0,
        }
    }

    fn step(&mut self) {
        let Some(client) = self.somebody() else {
            return self.joins();
        };
        match self.random.u32(..100) {
            0..15 => self.joins(),
            15..24 => self.goes(client),
            24..25 => self.falls_behind(client),
            25..64 => self.sends_some(client),
            64..65 => self.sends_much(client),
            65..69 => self.publishes_in_vain(client),
            69..75 => self.asks(client),
            75..80 => self.sends_nonsense(client),
            80..87 => self.moments_pass(),
            87..95 => self.time_passes(),
            95..98 => self.is_restored(),
            98..99 => self.crashes(),
            _ => self.wakes_early(),
        }
    }

    fn joins(&mut self) {
        if self.model.tabs.len() >= TABS_MAX {
            return;
        }
        let newest = self.model.messages.len() as u64;
        // Somebody who is back, or anybody, who perhaps knows some position.
        let (user, position) = match self.random.u32(..3) {
            0 if !self.gone.is_empty() => {
                let which = self.random.usize(..self.gone.len());
                let (user, position) = self.gone.swap_remove(which);
                (user, Some(position))
            }
            1 => (self.some_user(), Some(self.random.u64(..newest + 2))),
            _ => (self.some_user(), None),
        };
        let mut visitor = Visitor::named(&user);
        let (echo, lines, hears_presence) = (
            self.random.bool(),
            self.random.bool(),
            self.random.u32(..5) > 0,
        );
        if !echo {
            visitor = visitor.without_echo();
        }
        if !lines {
            visitor = visitor.plain();
        }
        if !hears_presence {
            visitor = visitor.without_presence();
        }
        if let Some(offset) = position {
            visitor = visitor.resuming_after(offset);
        }
        let client = self.room.admit(visitor);
        // A position of the future is none to recover from.
        let recovered = position.map(|offset| offset <= newest);
        let replay = position.filter(|_| recovered == Some(true));
        let replay = replay.unwrap_or(newest) as usize;
        self.model
            .join(client, &user, echo, replay, self.room.now_ms());
        let wishes = Wishes {
            echo,
            hears_presence,
            may_hear_twice: self.window_ms_max > 0,
            resumes_after: position,
            recovered,
            offset: newest,
        };
        self.views
            .insert(client, View::new(client, &user, lines, wishes));
    }

    fn goes(&mut self, client: Client) {
        let clean = self.random.bool();
        self.room.disconnects(client, clean);
        self.is_gone(client, clean);
        if self.random.bool() {
            // The runtime reports it once more; the first report stands.
            self.room.disconnects(client, !clean);
        }
    }

    fn falls_behind(&mut self, client: Client) {
        self.room.falls_behind(&[(client, QUEUE_BYTES_MAX + 1)]);
        self.is_gone(client, false);
    }

    fn sends_some(&mut self, client: Client) {
        let most = if self.random.bool() { 1 } else { 5 };
        let mut commands = Vec::new();
        for _ in 0..self.random.u32(1..=most) {
            commands.push(match self.random.u32(..4) {
                0 | 1 => self.publishes(client),
                2 => self.signals(client),
                _ => self.shows_state(client),
            });
        }
        self.sends_all(client, commands);
    }

    /// More than a room gathers.
    fn sends_much(&mut self, client: Client) {
        let kilobyte = "x".repeat(1_000);
        let commands = (0..70).map(|_| {
            let data = json!(format!("{} {kilobyte}", self.number()));
            self.publishes_that(client, data, None)
        });
        let commands = commands.collect();
        self.sends_all(client, commands);
    }

    fn sends_all(&mut self, client: Client, commands: Vec<Value>) {
        if self.views[&client].lines {
            self.room.sends_lines(client, &commands);
        } else {
            for command in commands {
                self.room.sends(client, command);
            }
        }
        self.model.hear_from(client, self.room.now_ms());
    }

    fn publishes(&mut self, client: Client) -> Value {
        let data = self.something();
        let key = self.random.bool().then(|| self.random.u32(..8).to_string());
        self.publishes_that(client, data, key)
    }

    fn publishes_that(&mut self, client: Client, data: Value, key: Option<String>) -> Value {
        let under_key = key
            .as_deref()
            .and_then(|key| self.model.published_under(client, key));
        let (first, is_duplicate) = match under_key {
            Some(first) => (first.clone(), true),
            None => (data.clone(), false),
        };
        if !is_duplicate {
            self.model.publish(client, &data);
            if let Some(key) = &key {
                self.model.publish_under(client, key, &data);
            }
        }
        let asked = Asked::Publish {
            data: first,
            is_duplicate,
        };
        let id = self.ask(client, asked);
        match key {
            Some(key) => json!({ "type": "publish", "id": id, "data": data, "key": key }),
            None => json!({ "type": "publish", "id": id, "data": data }),
        }
    }

    fn signals(&mut self, client: Client) -> Value {
        let data = self.something();
        let mut command = json!({ "type": "signal", "data": data });
        let mut to = None;
        if self.random.bool() {
            let users = [(); 3].map(|()| *self.random.choice(USERS.iter()).unwrap());
            command["to"] = json!(users);
            to = Some(users);
        }
        self.model
            .signal(client, &data, to.as_ref().map(|to| &to[..]));
        command["id"] = json!(self.ask(client, Asked::Signal));
        command
    }

    fn shows_state(&mut self, client: Client) -> Value {
        let state = json!({ "is": self.something() });
        self.model.show_state(client, &state);
        let id = self.ask(client, Asked::State(state.clone()));
        json!({ "type": "state", "id": id, "data": state })
    }

    /// Storage fails, and with it all that waits.
    fn publishes_in_vain(&mut self, client: Client) {
        let data = self.something();
        let publish = self.publishes_that(client, data, None);
        self.room.storage_fails_once();
        self.room.sends(client, publish);
        self.model.hear_from(client, self.room.now_ms());
        if self.room.gathers() {
            self.passes_ms(self.window_ms_max);
        }
    }

    fn asks(&mut self, client: Client) {
        if self.random.bool() {
            let members = self.model.members();
            let users = members.keys();
            let tabs = users.map(|user| (user.clone(), self.model.tabs_of(user)));
            let tabs = tabs.collect();
            let id = self.ask(client, Asked::Members(members, tabs));
            let command = json!({ "type": "members", "id": id });
            self.room.sends(client, command);
        } else {
            let after = self.random.usize(..=self.model.messages.len());
            let limit = self.random.usize(1..=20);
            let history = |newest| Asked::History {
                after,
                limit,
                newest,
            };
            let id = self.ask(client, history(after));
            let command = json!({ "type": "history", "id": id, "after": after, "limit": limit });
            self.room.sends(client, command);
            // What was published before it is stored by now.
            self.notes_rows();
            let newest = self.model.messages.len();
            self.views.get_mut(&client).unwrap().asked(history(newest));
        }
        self.model.hear_from(client, self.room.now_ms());
    }

    fn sends_nonsense(&mut self, client: Client) {
        let now_ms = self.room.now_ms();
        match self.random.u32(..20) {
            0 => {
                self.room.sends_bytes(client);
                self.is_gone(client, false);
            }
            1 => {
                self.room.sends_text(client, &"x".repeat(2_001));
                let clean = self.model.err(client, now_ms);
                self.is_gone(client, clean);
            }
            kind => {
                let times = if kind == 2 { 25 } else { 1 };
                for _ in 0..times {
                    let nonsense = self.random.choice(NONSENSE.iter()).unwrap();
                    self.room.sends_text(client, nonsense);
                    self.model.hear_from(client, now_ms);
                    if self.model.err(client, now_ms) {
                        return self.is_gone(client, true);
                    }
                }
            }
        }
    }

    /// Some of what waits is sent, or all, or nothing.
    fn moments_pass(&mut self) {
        let ms = self.random.u64(..3);
        self.passes_ms(ms);
    }

    fn is_restored(&mut self) {
        // The platform does not drop a room while it gathers.
        self.gets_quiet();
        self.room.restore();
    }

    fn gets_quiet(&mut self) {
        if self.room.gathers() {
            self.passes_ms(SETTLES_MS);
        }
        assert!(!self.room.gathers());
    }

    /// All that is in memory is gone: every socket, and what nobody has heard of.
    fn crashes(&mut self) {
        self.room.crashes();
        self.model.crash();
        for (_, view) in std::mem::take(&mut self.views) {
            self.gone.push((view.user.clone(), view.position()));
        }
    }

    fn time_passes(&mut self) {
        for client in self.clients() {
            // The others have fallen silent, for now.
            if self.random.u32(..10) > 0 {
                self.room.pings_runtime(client);
                self.model.hear_from(client, self.room.now_ms());
            }
        }
        let most_ms = [100, 6_000, 20_000, 80_000][self.random.usize(..4)];
        let ms = self.random.u64(..most_ms);
        self.passes_ms(ms);
    }

    fn wakes_early(&mut self) {
        self.room.time_out();
        self.passes_ms(0);
    }

    fn passes_ms(&mut self, ms: u64) {
        self.room.pass_ms(ms);
        let now_ms = self.room.now_ms();
        for client in self.clients() {
            let silent_ms = now_ms - self.model.tabs[&client].heard_from_ms;
            if !self.room.is_open(client) {
                assert!(silent_ms >= self.model.idle_ms, "{silent_ms} is not silent");
                self.is_gone(client, true);
            } else {
                assert!(silent_ms <= self.model.longest_silence_ms(), "{silent_ms}");
            }
        }
        self.model.pass_to_ms(now_ms);
    }

    fn everybody_goes(&mut self) {
        self.passes_ms(self.model.longest_silence_ms() + 1);
        self.passes_ms(self.model.grace_ms);
        assert!(self.model.tabs.is_empty() && self.model.members().is_empty());
        assert!(!self.room.waits_for_time());
        self.check();
        // Whoever comes now finds all that was stored, once and in order, and nothing else.
        let last = self.room.admit(Visitor::named("last").resuming_after(0));
        let mut heard = self.room.heard(last).into_iter();
        let welcome = heard.next().unwrap();
        assert_eq!(welcome["count"], 1);
        assert_eq!(welcome["offset"], self.model.messages.len());
        let stored: Vec<_> = heard.map(|message| timeless(&message)).collect();
        assert_eq!(stored, self.model.messages);
    }

    /// Lets every client hear what it was sent, and compares.
    fn check(&mut self) {
        self.notes_rows();
        let is_quiet = !self.room.gathers();
        let members = self.model.members();
        for (client, view) in &mut self.views {
            for heard in self.room.heard(*client) {
                view.hears(&heard, &self.model);
            }
            let tab = self.model.tabs.get_mut(client).unwrap();
            view.check(&members, &mut tab.to_hear, is_quiet);
        }
        if is_quiet {
            self.model.rest();
        }
    }

    /// Learns what storage has taken, and what it has not.
    fn notes_rows(&mut self) {
        for row in self.room.rows() {
            self.model.store(row);
        }
    }

    fn is_gone(&mut self, client: Client, clean: bool) {
        self.model.go(client, clean, self.room.now_ms());
        let view = self.views.remove(&client).unwrap();
        self.gone.push((view.user.clone(), view.position()));
    }

    fn ask(&mut self, client: Client, asked: Asked) -> u64 {
        self.views.get_mut(&client).unwrap().ask(asked)
    }

    fn something(&mut self) -> Value {
        json!(self.number().to_string())
    }

    fn number(&mut self) -> u32 {
        self.said += 1;
        self.said
    }

    fn some_user(&mut self) -> String {
        (*self.random.choice(USERS.iter()).unwrap()).into()
    }

    fn clients(&self) -> Vec<Client> {
        self.views.keys().copied().collect()
    }

    fn somebody(&mut self) -> Option<Client> {
        let clients = self.clients();
        self.random.choice(clients)
    }
}
