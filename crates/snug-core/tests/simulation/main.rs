//! Random lives of a room, beside a model of it that is naive enough to be right.
//!
//! Users come with several tabs, say goodbye or drop, publish, signal, show states, fall silent
//! and send nonsense; storage fails; the room is dropped and restored. After every step each
//! client's view, pieced together from what it heard, has to be the model's.
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

use driver::{Client, Life, TestRoom, Visitor, default_rules};
use model::Model;
use view::{Asked, View};

/// About two seconds of a debug build.
const SEEDS: u64 = 150;
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
        let lives = [
            Life::Awake,
            Life::HibernatingWhenIdle,
            Life::RestoredAfterEveryInput,
        ];
        let life = lives[random.usize(..3)];
        Self {
            random,
            model: Model::new(&rules),
            room: TestRoom::new(life, rules),
            views: BTreeMap::new(),
            said: 0,
        }
    }

    fn step(&mut self) {
        let Some(client) = self.somebody() else {
            return self.joins();
        };
        match self.random.u32(..100) {
            0..15 => self.joins(),
            15..25 => self.goes(client),
            25..65 => self.sends_some(client),
            65..69 => self.publishes_in_vain(client),
            69..75 => self.asks(client),
            75..81 => self.sends_nonsense(client),
            81..96 => self.time_passes(),
            96..99 => self.room.restore(),
            _ => self.wakes_early(),
        }
    }

    fn joins(&mut self) {
        if self.model.tabs.len() >= TABS_MAX {
            return;
        }
        let user = *self.random.choice(USERS.iter()).unwrap();
        let mut visitor = Visitor::named(user);
        let (echo, lines, presence) = (
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
        if !presence {
            visitor = visitor.without_presence();
        }
        let newest = self.model.messages.len();
        let position = self.random.bool().then(|| self.random.usize(..newest + 2));
        if let Some(offset) = position {
            visitor = visitor.resuming_after(offset as u64);
        }
        let client = self.room.admit(visitor);
        self.model.join(client, user, echo, self.room.now_ms());
        // A position of the future is none to recover from.
        let missed = position.map(|offset| self.model.messages.get(offset..));
        if let Some(Some(missed)) = missed {
            let tab = self.model.tabs.get_mut(&client).unwrap();
            tab.to_hear.extend(missed.iter().cloned());
        }
        let recovered = missed.map(|missed| missed.is_some());
        let view = View::new(client, user, lines, presence, recovered);
        self.views.insert(client, view);
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
        if let Some(key) = &key {
            if let Some(offset) = self.model.published_under(client, key) {
                let id = self.ask(client, Asked::Duplicate(offset));
                return json!({ "type": "publish", "id": id, "data": data, "key": key });
            }
            self.model.publish_under(client, key);
        }
        self.model.publish(client, &data);
        let id = self.ask(client, Asked::Publish(self.model.messages.len()));
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

    fn publishes_in_vain(&mut self, client: Client) {
        self.room.storage_fails_once();
        let id = self.ask(client, Asked::InVain);
        let lost = json!({ "type": "publish", "id": id, "data": "lost" });
        self.room.sends(client, lost);
        self.model.hear_from(client, self.room.now_ms());
    }

    fn asks(&mut self, client: Client) {
        let command = if self.random.bool() {
            json!({ "type": "members", "id": self.ask(client, Asked::Members) })
        } else {
            let after = self.random.usize(..=self.model.messages.len());
            let limit = self.random.usize(1..=20);
            let id = self.ask(client, Asked::History { after, limit });
            json!({ "type": "history", "id": id, "after": after, "limit": limit })
        };
        self.room.sends(client, command);
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
        let last = self.room.join("last");
        let newest = self.model.messages.len();
        let welcome = json!({ "type": "welcome", "count": 1, "offset": newest });
        self.room.hears(last, welcome);
    }

    /// Lets every client hear what it was sent, and compares.
    fn check(&mut self) {
        let members = self.model.members();
        for (client, view) in &mut self.views {
            for heard in self.room.heard(*client) {
                view.hears(&heard, &self.model);
            }
            view.check(
                &members,
                &mut self.model.tabs.get_mut(client).unwrap().to_hear,
            );
        }
    }

    fn is_gone(&mut self, client: Client, clean: bool) {
        self.model.go(client, clean, self.room.now_ms());
        self.views.remove(&client);
    }

    fn ask(&mut self, client: Client, asked: Asked) -> u64 {
        self.views.get_mut(&client).unwrap().ask(asked)
    }

    fn something(&mut self) -> Value {
        self.said += 1;
        json!(self.said)
    }

    fn clients(&self) -> Vec<Client> {
        self.views.keys().copied().collect()
    }

    fn somebody(&mut self) -> Option<Client> {
        let clients = self.clients();
        self.random.choice(clients)
    }
}
