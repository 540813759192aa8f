//! Compares a room with a simple model of it, in random simulations.
//!
//! Users join with several tabs, leave or lose their connection, publish, edit, append to and delete
//! their own messages and those of others, reply and react to messages, mention each other, record how far they have read, send signals and states, stop sending pings, read too slowly, send malformed frames and use capabilities that they lack.
//! Their tokens expire (sometimes with a late alarm), and they send new tokens with more or fewer
//! capabilities. They kick and ban each other. Storage fails. The room has a flush window or none,
//! is dropped and restored, and crashes with a full outbox. Some rooms have a publish hook, which
//! allows every message at once, some retain few messages, and some are erased.
//!
//! After every step, each client must have received the right messages and changes, once and in order.
//! Whenever the room is quiet, each client's view, built only from what it received, now and before it was
//! away, must equal the model. What was deleted must be in no row and in no webhook event.
//!
//! A failure prints its seed. `SNUG_SEED=7 cargo test -p snug-core --test simulation` replays seed 7,
//! and `SNUG_SEEDS=100000` runs that many seeds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod backend;
mod coverage;
#[allow(dead_code)]
#[path = "../room/driver.rs"]
mod driver;
mod model;
#[path = "../room/picture.rs"]
mod picture;
mod reacting;
mod reading;
mod replying;
mod view;

use std::collections::{BTreeMap, VecDeque};

use fastrand::Rng;
use serde_json::{Value, json};
use snug_core::{
    Refusal,
    backend::{api::ApiOperation, webhook::EventKinds},
    config::PublishFallback,
    limits::{QUEUE_BYTES_MAX, WINDOW_MS_MAX},
    room::io::DeliveryOutcome,
};

use backend::Backend;
use coverage::Coverage;
use driver::{Client, Life, SETTLES_MS, START_MS, TestRoom, TestUser, default_rules};
use model::{Can, Model, Token, content};
use view::{Away, JoinSettings, PendingCommand, View, timeless};

/// The default number of seeds, which takes a debug build a few seconds.
const SEEDS: u64 = 50;
/// So many seeds that even rare steps are taken.
const MANY_SEEDS: u64 = 500;
const STEPS: u32 = 150;
const TABS_MAX: usize = 10;
const YEAR_MS: u64 = 365 * 24 * 3_600_000;
/// So many that a message can get more different reactions than it may have.
const USERS: [&str; 6] = ["ann", "bob", "cho", "dan", "__proto__", "用户"];
const CAPABILITIES: [&str; 12] = [
    "receive",
    "publish",
    "signal",
    "presence",
    "history",
    "moderate",
    "edit",
    "edit_any",
    "delete",
    "delete_any",
    "react",
    "receipts",
];
/// The capabilities without which a command is rejected, whatever it is about.
const DENIABLE: [&str; 7] = [
    "publish", "signal", "presence", "history", "moderate", "react", "receive",
];
/// The number of checks between two of everything that is stored and shown.
const CHECKS_BETWEEN_WHOLE: u32 = 16;
/// Frames that are sent after the token has expired.
const TOO_LATE: [&str; 11] = [
    r#"{"type":"publish","id":0,"data":"too late"}"#,
    r#"{"type":"edit","id":0,"of":1,"data":"too late"}"#,
    r#"{"type":"append","id":0,"of":1,"text":"too late"}"#,
    r#"{"type":"delete","id":0,"of":1}"#,
    r#"{"type":"react","id":0,"of":1,"name":"too late"}"#,
    r#"{"type":"read","id":0,"offset":1}"#,
    r#"{"type":"signal","id":0,"data":"too late"}"#,
    r#"{"type":"state","id":0,"data":{"too":"late"}}"#,
    r#"{"type":"kick","id":0,"user":"ann","ban_seconds":60}"#,
    r#"{"type":"refresh","id":0,"token":"…"}"#,
    "{",
];
/// Frames that cause exactly one error each.
const NONSENSE: [&str; 12] = [
    "",
    "{",
    "[]",
    r#"{"type":"dance"}"#,
    r#"{"type":"publish"}"#,
    r#"{"type":"edit","of":1}"#,
    r#"{"type":"append","of":1,"text":1}"#,
    r#"{"type":"react","of":1,"name":""}"#,
    r#"{"type":"read"}"#,
    r#"{"type":"publish","data":1,"mentions":[7]}"#,
    r#"{"type":"signal","data":1,"to":[7]}"#,
    r#"{"type":"state","data":[]}"#,
];

#[test]
fn every_client_receives_what_the_model_expects() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seeds = match number("SNUG_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("SNUG_SEEDS").unwrap_or(SEEDS),
    };
    let count = seeds.clone().count() as u64;
    let mut coverage = Coverage::default();
    for seed in seeds {
        let _guard = PrintSeedOnPanic(seed);
        let mut simulation = Simulation::new(seed);
        for _ in 0..STEPS {
            simulation.step();
            simulation.check();
        }
        simulation.everyone_leaves();
        coverage.add(simulation.coverage);
    }
    if count >= SEEDS {
        coverage.assert_has(&[&reacting::CASES[..], &replying::CASES, &reading::CASES].concat());
    }
    if count >= MANY_SEEDS {
        coverage.assert_has(&[&replying::RARE_CASES[..], &reading::RARE_CASES].concat());
    }
}

/// A message to publish.
struct Publication {
    data: Value,
    key: Option<String>,
    /// The message to which it is a reply.
    re: Option<u64>,
    mentions: Vec<&'static str>,
}

impl Publication {
    /// Creates a message without anything but its content.
    fn of(data: Value) -> Self {
        Self {
            data,
            key: None,
            re: None,
            mentions: Vec::new(),
        }
    }
}

/// Prints the seed if the test panics.
struct PrintSeedOnPanic(u64);

impl Drop for PrintSeedOnPanic {
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
    /// Users whose connection has ended.
    gone: Vec<Away>,
    /// Connections that the room has just closed, with the close code.
    closed: Vec<(Client, View, u16)>,
    /// Pending token checks: the connection and the id of its refresh command.
    unchecked: VecDeque<(Client, u64)>,
    is_alarm_late: bool,
    window_ms_max: u64,
    numbers_used: u32,
    checks: u32,
    coverage: Coverage,
    is_hooked: bool,
    /// The message to which all users react.
    popular: Option<u64>,
    /// The receiver of the webhooks, if any.
    backend: Option<Backend>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut rules = default_rules();
        // Rates have separate tests; a model of them would repeat their implementation.
        (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
        rules.message_bytes_max = 2_000;
        rules.presence_grace_ms = [0, 5_000, 200_000][random.usize(..3)];
        rules.leeway_ms = [0, 5_000][random.usize(..2)];
        rules.window_ms_max = [0, 5, WINDOW_MS_MAX][random.usize(..3)];
        let lives = [
            Life::Awake,
            Life::HibernatingWhenIdle,
            Life::RestoredAfterEveryInput,
        ];
        let life = lives[random.usize(..3)];
        rules.publish_fallback = (random.u32(..3) == 0).then_some(PublishFallback::Refuse);
        if random.u32(..2) == 0 {
            rules.retention.messages_max = [40, 100][random.usize(..2)];
        }
        let has_webhooks = random.u32(..3) == 0;
        if has_webhooks {
            rules.events = EventKinds::parse("*").unwrap();
        }
        let model = Model::new(&rules);
        let mut room = TestRoom::new(life, rules.clone());
        room.hook_allows_at_once();
        Self {
            is_alarm_late: random.u32(..4) == 0,
            random,
            model,
            window_ms_max: rules.window_ms_max,
            room,
            views: BTreeMap::new(),
            gone: Vec::new(),
            closed: Vec::new(),
            unchecked: VecDeque::new(),
            numbers_used: 0,
            checks: 0,
            coverage: Coverage::default(),
            popular: None,
            is_hooked: rules.publish_fallback.is_some(),
            backend: has_webhooks.then(Backend::default),
        }
    }

    fn step(&mut self) {
        let Some(client) = self.some_client() else {
            return self.joins();
        };
        if self.backend.is_some() && self.random.u32(..4) == 0 {
            return self.back_end_responds();
        }
        match self.random.u32(..136) {
            0..15 => self.joins(),
            15..24 => self.leaves(client),
            24..25 => self.falls_behind(client),
            25..64 => self.sends_some(client),
            64..65 => self.sends_much(client),
            65..69 => self.publishes_during_fault(client),
            69..75 => self.queries(client),
            75..80 => self.sends_nonsense(client),
            80..87 => self.milliseconds_pass(),
            87..95 => self.time_passes(),
            95..98 => self.is_restored(),
            // After a crash, a room with webhooks waits for missing members, which the model does not do.
            98..99 if self.backend.is_none() => self.crashes(),
            99..100 => self.wakes_early(),
            100..104 => self.kicks(client),
            104..109 => self.sends_a_token(client),
            109..114 => self.a_token_is_checked(),
            114..116 => self.exceeds_capabilities(client),
            116..118 => self.a_deadline_passes(),
            118..122 => self.sends_bad_change(client),
            122..124 => self.changes_during_fault(client),
            // An erased room starts its webhook events anew.
            124 if self.backend.is_none() && self.random.u32(..4) == 0 => self.is_erased(),
            126..128 => self.sends_bad_reaction(client),
            128..129 => self.reacts_during_fault(client),
            129..130 => self.all_react_much(),
            130..132 => self.sends_bad_reply(client),
            132..133 => self.replies_during_fault(client),
            133..135 => self.sends_bad_position(client),
            135..136 => self.reads_during_fault(client),
            _ => self.alarm_is_late(),
        }
    }

    fn joins(&mut self) {
        let newest = self.model.newest();
        // A user who reconnects, or any user, with a position or without.
        match self.random.u32(..3) {
            0 if !self.gone.is_empty() => {
                let which = self.random.usize(..self.gone.len());
                let away = self.gone.swap_remove(which);
                self.joins_as(&away.user.clone(), Some(away));
            }
            1 => {
                let user = self.some_user();
                let away = Away {
                    user: user.clone(),
                    epoch: self.room.epoch(),
                    position: self.random.u64(..newest + 2),
                    picture: None,
                };
                self.joins_as(&user, Some(away));
            }
            _ => {
                let user = self.some_user();
                self.joins_as(&user, None);
            }
        }
    }

    /// Joins, if there is a free tab. Otherwise fires a late alarm.
    fn joins_as(&mut self, user: &str, away: Option<Away>) {
        if self.model.tabs.len() >= TABS_MAX {
            return self.passes_ms(0);
        }
        let token = self.some_token();
        let mut test_user = test_user(user, &token);
        let (echo, lines, receives_presence) = (
            self.random.bool(),
            self.random.bool(),
            self.random.u32(..5) > 0,
        );
        if !echo {
            test_user = test_user.without_echo();
        }
        if !lines {
            test_user = test_user.plain();
        }
        if !receives_presence {
            test_user = test_user.without_presence();
        }
        if let Some(away) = &away {
            test_user = test_user.resuming_in(&away.epoch, away.position);
        }
        self.record_rows();
        let sweeps = self.room.sweeps;
        let admitted = self.room.try_admit(test_user);
        if self.room.sweeps > sweeps {
            // The join has made the room look for idle connections, and do what else was due.
            self.record_idle_closes();
            self.model.pass_to_ms(self.room.now_ms());
        }
        if self.model.is_banned(user, self.room.now_ms()) {
            assert_eq!(admitted, Err("banned"), "{user}");
            return self.passes_ms(0);
        }
        let client = admitted.expect("the room has room");
        let (newest, epoch) = (self.model.newest(), self.room.epoch());
        let may_recover = token.can.contains("receive") && token.can.contains("history");
        // A position in the future cannot be recovered, and neither can one of another epoch.
        let recovers = |away: &Away| {
            may_recover && away.epoch == epoch && self.model.can_recover(away.position)
        };
        let recovered = away.as_ref().map(recovers);
        let position = away.as_ref().map(|away| away.position);
        let replay = position.filter(|_| recovered == Some(true));
        let replay = replay.unwrap_or(newest);
        let picture = away.filter(|_| recovered == Some(true));
        let picture = picture.and_then(|away| away.picture);
        let now_ms = self.room.now_ms();
        let reading = self.model.reading_of(user);
        if may_recover && reading.unread > 0 {
            self.coverage.count("joins with something new");
        }
        if may_recover && reading.mentions > 0 {
            self.coverage.count("joins with a new mention");
        }
        self.model.join(client, user, &token, echo, replay, now_ms);
        let settings = JoinSettings {
            echo,
            receives_presence,
            token,
            may_repeat: self.window_ms_max > 0 || self.is_alarm_late,
            resumes_after: position,
            recovered,
            picture,
            epoch,
            offset: newest,
            reading,
            positions: self.model.positions_of_members(),
        };
        self.views
            .insert(client, View::new(client, user, lines, settings));
    }

    /// Returns a token with all or some capabilities and a random expiry.
    fn some_token(&mut self) -> Token {
        let is_full = self.random.u32(..3) > 0;
        let mut can: Can = CAPABILITIES.into();
        can.retain(|_| is_full || self.random.u32(..3) > 0);
        if can.is_empty() {
            can.insert("publish");
        }
        let most_ms = [1_000, 20_000, 300_000, YEAR_MS, YEAR_MS, YEAR_MS][self.random.usize(..6)];
        let expires_ms = self.room.now_ms() + 100 + self.random.u64(..most_ms);
        Token { can, expires_ms }
    }

    fn leaves(&mut self, client: Client) {
        let clean = self.random.bool();
        self.room.disconnects(client, clean);
        self.record_leave(client, clean);
        if self.random.bool() {
            // The runtime may report the end again; only the first report counts.
            self.room.disconnects(client, !clean);
        }
    }

    fn falls_behind(&mut self, client: Client) {
        self.room.falls_behind(&[(client, QUEUE_BYTES_MAX + 1)]);
        self.record_close(client, 4002);
    }

    fn sends_some(&mut self, client: Client) {
        let mut kinds = vec!["publish", "publish", "signal", "presence"];
        kinds.retain(|kind| self.model.may(client, kind));
        let may_change = |kind: &&str| self.model.may(client, kind);
        if ["edit", "edit_any", "delete", "delete_any"]
            .iter()
            .any(may_change)
        {
            kinds.extend(["change"; 3]);
        }
        if self.model.may(client, "react") {
            kinds.extend(["react"; 2]);
        }
        if self.model.may(client, "receive") {
            kinds.push("read");
        }
        if kinds.is_empty() {
            return self.exceeds_capabilities(client);
        }
        let most = if self.random.bool() { 1 } else { 5 };
        let (mut commands, mut reactions) = (Vec::new(), 0);
        for _ in 0..self.random.u32(1..=most) {
            commands.push(match kinds[self.random.usize(..kinds.len())] {
                "publish" => self.publishes(client),
                // The room must find the message as it is after the earlier commands, which the hook delays.
                "change" if self.is_hooked && !commands.is_empty() => break,
                "change" => match self.changes(client) {
                    Some(change) if self.is_hooked => return self.sends_all(client, vec![change]),
                    Some(change) => change,
                    None => break,
                },
                // With three, the model could not see how many of them went into one row.
                "react" if reactions == 2 => break,
                "react" => match self.reacts(client) {
                    Some(reaction) => {
                        reactions += 1;
                        reaction
                    }
                    None => break,
                },
                "read" => match self.reads(client) {
                    Some(read) => read,
                    None => break,
                },
                "signal" => self.signals(client),
                _ => self.shows_state(client),
            });
        }
        if commands.is_empty() {
            // An empty frame is an error.
            return self.passes_ms(0);
        }
        self.sends_all(client, commands);
    }

    /// Sends more than the outbox may hold.
    fn sends_much(&mut self, client: Client) {
        if !self.model.may(client, "publish") {
            return self.exceeds_capabilities(client);
        }
        let kilobyte = "x".repeat(1_000);
        let commands = (0..70).map(|_| {
            let data = json!(format!("{} {kilobyte}", content(self.number())));
            self.publish_command(client, Publication::of(data))
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
        self.model.record_activity(client, self.room.now_ms());
    }

    fn publishes(&mut self, client: Client) -> Value {
        let data = self.some_data();
        let key = self.random.bool().then(|| self.random.u32(..8).to_string());
        let is_reply = self.random.u32(..3) == 0;
        let re = is_reply.then(|| self.some_thread()).flatten();
        let mentions = self.some_mentions();
        let publication = Publication {
            data,
            key,
            re,
            mentions,
        };
        self.publish_command(client, publication)
    }

    /// Returns the command that publishes a message, which must not be a reply to what is not there.
    fn publish_command(&mut self, client: Client, publication: Publication) -> Value {
        let Publication {
            data,
            key,
            re,
            mentions,
        } = publication;
        let under_key = key
            .as_deref()
            .and_then(|key| self.model.published_under(client, key));
        let (first, is_duplicate) = match under_key {
            Some(first) => (first.clone(), true),
            None => (data.clone(), false),
        };
        if !is_duplicate {
            let root = re.and_then(|re| self.model.root_of(re));
            if root.is_some() {
                let case = ["replies", "replies to a reply"][usize::from(root != re)];
                self.coverage.count(case);
            }
            let count = self.number();
            self.model.publish(client, &data, root, &mentions, count);
            if let Some(key) = &key {
                self.model.publish_under(client, key, &data);
            }
        }
        let pending = PendingCommand::Publish {
            data: first,
            is_duplicate,
        };
        let id = self.expect_reply(client, pending);
        let mut command = json!({ "type": "publish", "id": id, "data": data });
        if let Some(key) = key {
            command["key"] = json!(key);
        }
        if let Some(re) = re {
            command["re"] = json!(re);
        }
        if !mentions.is_empty() {
            command["mentions"] = json!(mentions);
        }
        command
    }

    /// Makes a change, if one is found that can be made now.
    fn changes(&mut self, client: Client) -> Option<Value> {
        let key = (self.random.u32(..4) == 0).then(|| self.random.u32(..4).to_string());
        for _ in 0..3 {
            let (mut change, number) = self.some_change();
            let key = key.as_ref().map(|key| format!("c{key}"));
            let under_key = key
                .as_deref()
                .and_then(|key| self.model.changed_under(client, key));
            let is_certain = self.model.is_certain_thread(change["of"].as_u64().unwrap());
            if under_key.is_none()
                && (!is_certain || self.model.check_change(client, &change).is_some())
            {
                continue;
            }
            if under_key.is_none() {
                self.makes_change(client, number, &change);
            }
            if let Some(key) = key {
                change["key"] = json!(key);
                if under_key.is_none() {
                    self.model.change_under(client, &key, number);
                }
            }
            let pending = PendingCommand::Change {
                number: under_key.unwrap_or(number),
                is_duplicate: under_key.is_some(),
            };
            change["id"] = json!(self.expect_reply(client, pending));
            return Some(change);
        }
        None
    }

    /// Makes a change in the model.
    fn makes_change(&mut self, client: Client, number: u32, change: &Value) {
        self.count_deletion(change);
        let count = self.number();
        self.model.change(client, number, count, change);
    }

    /// Returns a random change, mostly of a recent message, and its number.
    fn some_change(&mut self) -> (Value, u32) {
        let number = self.number();
        let of = self.some_target();
        let content = content(number);
        let mut change = match self.random.u32(..10) {
            0..4 => json!({ "type": "edit", "of": of, "data": self.data_with(&content) }),
            4 => {
                let long = "y".repeat(self.random.usize(..900));
                json!({ "type": "append", "of": of, "text": format!("{long}{content}") })
            }
            5..9 => json!({ "type": "append", "of": of, "text": format!(" \"{content}\"\n") }),
            _ if self.random.bool() => json!({ "type": "delete", "of": of }),
            _ => json!({ "type": "delete", "of": of, "reason": "spam" }),
        };
        if let (0, Some(version)) = (self.random.u32(..4), self.model.version_of(of)) {
            change["if_version"] = json!(version + u64::from(self.random.u32(..4) == 0));
        }
        (change, number)
    }

    /// Returns the offset of a recent message, mostly, or of a reply without its thread.
    fn some_target(&mut self) -> u64 {
        let recent: Vec<_> = self.model.message_offsets().rev().take(12).collect();
        let orphan = self.random.choice(self.model.orphans());
        match (self.random.u32(..8), orphan) {
            (0, _) => self.random.u64(..=self.model.newest() + 9),
            (1..4, Some(orphan)) => orphan,
            _ => self.random.choice(recent).unwrap_or(1),
        }
    }

    /// Sends a change that is rejected: of a message that is not stored, deleted or another user's, for
    /// another version, or one that does not fit.
    fn sends_bad_change(&mut self, client: Client) {
        for _ in 0..8 {
            let (mut change, _) = self.some_change();
            if !self.model.is_certain_thread(change["of"].as_u64().unwrap()) {
                continue;
            }
            let Some(code) = self.model.check_change(client, &change) else {
                continue;
            };
            change["id"] = json!(self.expect_reply(client, PendingCommand::Rejected(code)));
            self.sends(client, change);
            // A client cannot know of these in advance.
            if !["not_found", "conflict"].contains(&code) {
                self.error_closes(client);
            }
            return;
        }
    }

    /// Makes a change while storage fails, so that the message cannot be read or the change not stored.
    fn changes_during_fault(&mut self, client: Client) {
        self.gets_quiet();
        self.check();
        // With webhooks, the model cannot predict which write fails.
        if self.backend.is_some() || !self.views.contains_key(&client) {
            return;
        }
        let (mut change, number) = self.some_change();
        if self.model.check_change(client, &change).is_some() {
            return;
        }
        self.makes_change(client, number, &change);
        let pending = PendingCommand::Change {
            number,
            is_duplicate: false,
        };
        change["id"] = json!(self.expect_reply(client, pending));
        self.sends_during_fault(client, change);
    }

    /// Sends a command to a quiet room while the storage fails once: at the next operation or a later one.
    fn sends_during_fault(&mut self, client: Client, command: Value) {
        let spared = self.random.usize(..4);
        self.room.storage_fails_after(spared);
        self.sends(client, command);
        self.record_rows();
        if self.model.is_waiting() && !self.room.is_gathering() {
            self.model.lose_waiting();
        }
        if self.room.is_gathering() {
            self.passes_ms(self.window_ms_max);
        }
        self.room.storage_works();
    }

    /// The back end erases the room, with what waits to be stored.
    fn is_erased(&mut self) {
        self.passes_ms(0);
        let back_end = TestUser::named("back end").with_capabilities(&["serve"]);
        let connections = self.clients();
        let response = self.room.calls_api(&back_end, ApiOperation::Erase, "");
        assert_eq!(response, (200, json!({ "closed": connections.len() })));
        for client in connections {
            self.record_close(client, 4104);
        }
        self.record_rows();
        self.read_last_words();
        self.model.erase();
        self.passes_ms(0);
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
        command["id"] = json!(self.expect_reply(client, PendingCommand::Signal));
        command
    }

    fn shows_state(&mut self, client: Client) -> Value {
        let state = json!({ "is": self.something() });
        self.model.show_state(client, &state);
        let id = self.expect_reply(client, PendingCommand::State(state.clone()));
        json!({ "type": "state", "id": id, "data": state })
    }

    /// The back end responds to the latest delivery, if any.
    fn back_end_responds(&mut self) {
        if self.room.has_no_delivery() {
            return self.milliseconds_pass();
        }
        let outcomes = [
            DeliveryOutcome::Accepted,
            DeliveryOutcome::Accepted,
            DeliveryOutcome::Failed {
                retry_after_ms: None,
            },
            DeliveryOutcome::Failed {
                retry_after_ms: Some(9_000),
            },
        ];
        self.room
            .back_end_responds(outcomes[self.random.usize(..4)]);
    }

    /// Publishes while storage fails, which rejects all pending messages.
    fn publishes_during_fault(&mut self, client: Client) {
        // With webhooks, the model cannot predict which write fails.
        if self.backend.is_some() {
            return self.sends_some(client);
        }
        if !self.model.may(client, "publish") {
            return self.exceeds_capabilities(client);
        }
        let data = self.something();
        let publish = self.publish_command(client, Publication::of(data));
        self.room.storage_fails_once();
        self.room.sends(client, publish);
        self.model.record_activity(client, self.room.now_ms());
        if self.room.is_gathering() {
            self.passes_ms(self.window_ms_max);
        }
    }

    fn queries(&mut self, client: Client) {
        match self.random.bool() {
            true if self.model.may(client, "presence") => self.requests_members(client),
            false if self.model.may(client, "history") => match self.random.u32(..2) {
                0 => self.requests_thread(client),
                _ => self.requests_history(client),
            },
            _ => self.exceeds_capabilities(client),
        }
    }

    fn requests_members(&mut self, client: Client) {
        let members = self.model.members();
        let users = members.keys();
        let tabs = users.map(|user| (user.clone(), self.model.tabs_of(user).len()));
        let tabs = tabs.collect();
        let positions = self.model.positions_of_members();
        let expected = PendingCommand::Members(members, tabs, positions);
        let id = self.expect_reply(client, expected);
        self.sends(client, json!({ "type": "members", "id": id }));
    }

    fn requests_history(&mut self, client: Client) {
        let after = self.random.u64(..=self.model.newest());
        let limit = self.random.usize(1..=20);
        let id = self.expect_reply(client, PendingCommand::History(Vec::new(), false));
        let command = json!({ "type": "history", "id": id, "after": after, "limit": limit });
        self.sends(client, command);
        // The history command has flushed earlier messages.
        self.record_rows();
        let (page, more) = self.model.page(after, limit);
        self.views
            .get_mut(&client)
            .unwrap()
            .expect_for_latest(PendingCommand::History(page, more));
    }

    fn sends(&mut self, client: Client, command: Value) {
        self.model.record_activity(client, self.room.now_ms());
        self.room.sends(client, command);
    }

    fn exceeds_capabilities(&mut self, client: Client) {
        let mut denied: Vec<_> = DENIABLE.into();
        denied.retain(|one| !self.model.may(client, one));
        if denied.is_empty() {
            return;
        }
        let times = if self.random.u32(..10) == 0 { 25 } else { 1 };
        for _ in 0..times {
            let mut command = match denied[self.random.usize(..denied.len())] {
                "publish" => json!({ "type": "publish", "data": 1 }),
                "signal" => json!({ "type": "signal", "data": 1 }),
                "presence" if self.random.bool() => json!({ "type": "state", "data": {} }),
                "presence" => json!({ "type": "members" }),
                "history" => json!({ "type": "history" }),
                "receive" => {
                    self.coverage.count("reads without the capability");
                    json!({ "type": "read", "offset": 0 })
                }
                "react" => {
                    self.coverage.count("reacts without the capability");
                    json!({ "type": "react", "of": 1, "name": "a" })
                }
                _ => json!({ "type": "kick", "user": self.some_user(), "ban_seconds": 9 }),
            };
            command["id"] = json!(self.expect_reply(client, PendingCommand::Rejected("forbidden")));
            self.sends(client, command);
            if self.error_closes(client) {
                return;
            }
        }
    }

    /// Counts an error, and returns true if the room closed the client for it.
    fn error_closes(&mut self, client: Client) -> bool {
        let is_last = self.model.err(client, self.room.now_ms());
        if is_last {
            self.record_close(client, 4103);
        }
        is_last
    }

    fn kicks(&mut self, client: Client) {
        if !self.model.may(client, "moderate") {
            return self.exceeds_capabilities(client);
        }
        let user = self.some_user();
        let most_seconds = [5, 100, 10_000][self.random.usize(..3)];
        let ban_seconds = match self.random.u32(..4) {
            0 => Some(0),
            1 | 2 => Some(self.random.u64(1..most_seconds)),
            _ => None,
        };
        let mut command = json!({ "type": "kick", "user": user });
        if let Some(seconds) = ban_seconds {
            command["ban_seconds"] = json!(seconds);
        }
        let bans = ban_seconds.is_some_and(|seconds| seconds > 0);
        // If messages are pending, their write could fail instead of the ban's.
        if bans && !self.room.is_gathering() && self.random.u32(..3) == 0 {
            command["id"] = json!(self.expect_reply(client, PendingCommand::Rejected("internal")));
            self.room.storage_fails_once();
            return self.sends(client, command);
        }
        let kicked = self.model.tabs_of(&user);
        let closed = kicked.len();
        command["id"] = json!(self.expect_reply(client, PendingCommand::Kick { closed }));
        self.sends(client, command);
        match ban_seconds {
            Some(0) => drop(self.model.bans.remove(&user)),
            Some(seconds) => {
                let ends_ms = self.room.now_ms() + seconds * 1_000;
                self.model.bans.insert(user.clone(), ends_ms);
            }
            None => {}
        }
        for client in kicked {
            self.record_close(client, if bans { 4101 } else { 4100 });
        }
        self.model.evict_absent(&user);
        if closed > 0 {
            // A kick flushes the outbox at once.
            self.check_when(true);
        }
    }

    fn sends_a_token(&mut self, client: Client) {
        // Send only one at a time; a second one has separate tests.
        if self.unchecked.iter().any(|(one, _)| *one == client) {
            return;
        }
        let id = self.expect_reply(client, PendingCommand::Refresh);
        self.sends(client, json!({ "type": "refresh", "id": id, "token": "…" }));
        self.unchecked.push_back((client, id));
    }

    fn a_token_is_checked(&mut self) {
        let Some((client, id)) = self.unchecked.pop_front() else {
            return;
        };
        let token = self.some_token();
        let view = self.views.get_mut(&client);
        let user = view.as_ref().map_or("ann", |view| &view.user);
        let (outcome, code) = match self.random.u32(..10) {
            0 => (Ok(test_user("another", &token)), "token_invalid"),
            1 => (Ok(test_user(user, &token).for_room("another")), "forbidden"),
            2 => (Err(Refusal::TokenExpired), "token_expired"),
            3 => (Err(Refusal::AuthUnavailable), "internal"),
            _ => (Ok(test_user(user, &token)), "none"),
        };
        self.room.token_is_checked(outcome.map(TestUser::claims));
        let Some(view) = view else {
            // The connection has ended, so the result is not sent.
            return;
        };
        if code == "none" {
            view.expect_for(id, PendingCommand::Refreshed(token.clone()));
            return self.token_is_accepted(client, &token);
        }
        view.expect_for(id, PendingCommand::Rejected(code));
        let record_close = code != "internal" && self.error_closes(client);
        if code == "forbidden" && !record_close {
            self.record_close(client, 4102);
        }
    }

    fn token_is_accepted(&mut self, client: Client, token: &Token) {
        let could_see = self.model.may(client, "presence");
        self.model.refresh(client, token);
        if !could_see && self.model.may(client, "presence") {
            self.requests_members(client);
        }
    }

    fn sends_nonsense(&mut self, client: Client) {
        let now_ms = self.room.now_ms();
        match self.random.u32(..20) {
            0 => {
                self.room.sends_binary(client);
                self.record_close(client, 1003);
            }
            1 => {
                self.room.sends_text(client, &"x".repeat(2_001));
                if !self.error_closes(client) {
                    self.record_close(client, 1009);
                }
            }
            kind => {
                let times = if kind == 2 { 25 } else { 1 };
                for _ in 0..times {
                    let nonsense = self.random.choice(NONSENSE.iter()).unwrap();
                    self.room.sends_text(client, nonsense);
                    self.model.record_activity(client, now_ms);
                    if self.error_closes(client) {
                        return;
                    }
                }
            }
        }
    }

    /// Lets a few milliseconds pass, which may be enough for a flush or not.
    fn milliseconds_pass(&mut self) {
        let ms = self.random.u64(..3);
        self.passes_ms(ms);
    }

    fn is_restored(&mut self) {
        // The platform does not drop a room while a flush timer runs.
        self.gets_quiet();
        self.room.restore();
    }

    fn gets_quiet(&mut self) {
        while self.room.is_gathering() {
            self.passes_ms(SETTLES_MS);
        }
    }

    /// Crashes the room: all sockets and pending messages are lost.
    fn crashes(&mut self) {
        self.room.crashes();
        self.model.crash();
        for (_, view) in std::mem::take(&mut self.views) {
            self.gone.push(view.away());
        }
    }

    fn time_passes(&mut self) {
        self.most_clients_ping();
        let most_ms = [100, 6_000, 20_000, 80_000][self.random.usize(..4)];
        let ms = self.random.u64(..most_ms);
        self.passes_ms(ms);
    }

    fn most_clients_ping(&mut self) {
        for client in self.clients() {
            // The other clients send no pings for now.
            if self.random.u32(..10) > 0 {
                self.room.pings_runtime(client);
                self.model.record_activity(client, self.room.now_ms());
            }
        }
    }

    /// Joins right before and right after the end of a grace period or ban.
    fn a_deadline_passes(&mut self) {
        let ends = self.model.ends_after_ms(self.room.now_ms());
        let Some((user, ends_ms)) = self.random.choice(ends) else {
            return;
        };
        self.most_clients_ping();
        self.passes_ms(ends_ms - 1 - self.room.now_ms());
        self.check();
        if self.random.bool() {
            self.joins_as(&user, None);
        }
        if self.is_alarm_late && !self.room.is_gathering() {
            self.room.alarm_is_late_by_ms(1);
            self.end_tokens();
        } else {
            self.passes_ms(1);
        }
        self.joins_as(&user, None);
    }

    /// Lets something other than the late alarm wake the room. A flush timer is never late.
    fn alarm_is_late(&mut self) {
        if !self.is_alarm_late {
            return self.time_passes();
        }
        let gathers = self.room.is_gathering();
        let most_ms = if gathers {
            self.room.gathering_ms()
        } else {
            8_000
        };
        self.room.alarm_is_late_by_ms(self.random.u64(..most_ms));
        if let (Some(client), 0) = (self.some_client(), self.random.u32(..5)) {
            // A leave closes no other connection, and counts even after the token has expired.
            self.leaves(client);
            return self.passes_to_ms(self.room.now_ms());
        }
        let ended = self.end_tokens();
        match (self.random.choice(ended), self.some_client()) {
            (Some(client), _) if self.random.bool() => self.sends_too_late(client),
            (_, Some(client)) if self.random.bool() => self.sends_some(client),
            (_, Some(client)) if self.random.bool() => self.kicks(client),
            _ if self.random.bool() && !self.unchecked.is_empty() => self.a_token_is_checked(),
            _ => self.joins(),
        }
    }

    fn sends_too_late(&mut self, client: Client) {
        if self.random.u32(..6) == 0 {
            return self.room.sends_binary(client);
        }
        let frame = self.random.choice(TOO_LATE.iter()).unwrap();
        self.room.sends_text(client, frame);
    }

    fn wakes_early(&mut self) {
        self.room.on_timeout();
        self.passes_ms(0);
    }

    fn passes_ms(&mut self, ms: u64) {
        let until_ms = self.room.now_ms() + ms;
        let due = |ends_ms: &u64| *ends_ms <= until_ms;
        while let Some(ends_ms) = self.model.next_end_ms().filter(due) {
            // A connection must close exactly when its token expires.
            self.passes_to_ms(ends_ms - 1);
            self.passes_to_ms(ends_ms);
        }
        self.passes_to_ms(until_ms);
    }

    fn passes_to_ms(&mut self, now_ms: u64) {
        self.room.pass_ms(now_ms - self.room.now_ms());
        for client in self.end_tokens() {
            assert!(!self.room.is_open(client), "its token has ended");
        }
        self.record_idle_closes();
        self.model.pass_to_ms(now_ms);
    }

    fn record_idle_closes(&mut self) {
        let now_ms = self.room.now_ms();
        for client in self.clients() {
            let silent_ms = now_ms - self.model.tabs[&client].last_active_ms;
            if !self.room.is_open(client) {
                assert!(
                    silent_ms >= self.model.idle_ms,
                    "closed after {silent_ms} ms"
                );
                self.record_close(client, 4003);
            } else {
                assert!(silent_ms <= self.model.longest_silence_ms(), "{silent_ms}");
            }
        }
    }

    /// Marks connections with an expired token as closed, and returns them.
    fn end_tokens(&mut self) -> Vec<Client> {
        let now_ms = self.room.now_ms();
        let mut ended = self.clients();
        ended.retain(|client| self.model.tabs[client].ends_ms <= now_ms);
        for client in &ended {
            self.record_close(*client, 4001);
        }
        ended
    }

    fn everyone_leaves(&mut self) {
        self.passes_ms(self.model.longest_silence_ms() + 1);
        self.passes_ms(self.model.grace_ms);
        assert!(self.model.tabs.is_empty() && self.model.members().is_empty());
        let last_ms = self.model.bans.values().max().copied();
        self.passes_ms(last_ms.map_or(0, |ends_ms| ends_ms - self.room.now_ms()));
        assert!(self.model.is_idle() && self.room.stored_bans() == 0);
        self.check();
        self.deliver_remaining_events();
        self.check_forgotten();
        // A new client recovers everything that is retained, once and in order, and nothing else.
        let position = self.model.floor() - 1;
        let last = TestUser::named("last").resuming_in(&self.room.epoch(), position);
        let last = self.room.admit(last);
        let mut received = self.room.received(last).into_iter();
        let welcome = received.next().unwrap();
        assert_eq!(welcome["count"], 1);
        assert_eq!(welcome["offset"], self.model.newest());
        let stored: Vec<_> = received.map(|entry| timeless(&entry)).collect();
        let retained = self.model.floor()..=self.model.newest();
        let retained: Vec<_> = retained.map(|offset| self.model.shown(offset)).collect();
        assert_eq!(stored, retained);
    }

    /// Delivers all remaining events, and asserts that the back end has received every event.
    fn deliver_remaining_events(&mut self) {
        let Some(mut backend) = self.backend.take() else {
            return;
        };
        while !self.room.has_no_delivery() || self.room.has_alarm() {
            while !self.room.has_no_delivery() {
                self.room.back_end_responds(DeliveryOutcome::Accepted);
            }
            self.room.pass_ms(60_000);
            backend.receives(self.room.take_sent_events(), &self.model);
        }
        backend.assert_complete(&self.model);
    }

    /// Passes received objects to every view, and compares the views with the model.
    fn check(&mut self) {
        self.check_when(!self.room.is_gathering());
    }

    fn check_when(&mut self, is_quiet: bool) {
        self.record_rows();
        self.read_last_words();
        self.checks += 1;
        let is_whole = self.checks.is_multiple_of(CHECKS_BETWEEN_WHOLE);
        if is_whole {
            self.check_forgotten();
        }
        let members = self.model.members();
        for (client, view) in &mut self.views {
            for received in self.room.received(*client) {
                view.receives(&received, &self.model);
            }
            let tab = self.model.tabs.get_mut(client).unwrap();
            view.check(&members, &mut tab.expected, is_quiet);
            if is_quiet {
                view.check_picture(&self.model, is_whole);
            }
            if !self.room.is_gathering() {
                view.check_positions(&self.model);
            }
        }
        if is_quiet {
            self.model.become_quiet();
        }
        match &mut self.backend {
            Some(backend) => backend.receives(self.room.take_sent_events(), &self.model),
            None => assert!(!self.model.is_idle() || !self.room.has_alarm()),
        }
    }

    /// Passes what closed connections have received to their views.
    fn read_last_words(&mut self) {
        for (client, mut view, code) in std::mem::take(&mut self.closed) {
            for received in self.room.received(client) {
                view.receives(&received, &self.model);
            }
            assert!(!self.room.is_open(client), "{} is open", client.id());
            view.record_close(code);
            self.gone.push(view.away());
        }
    }

    /// Asserts that the storage holds no content that it has to forget.
    fn check_forgotten(&mut self) {
        let events = [self.room.stored_events(), self.room.dead_events()].concat();
        let rows = self.room.stored_messages();
        self.model.assert_forgotten(&rows, &events.concat());
    }

    /// Passes appended rows to the model.
    fn record_rows(&mut self) {
        for row in self.room.take_rows() {
            let changes = !row.changed.is_empty();
            self.model.store(&row);
            if changes && row.changed.contains(r#""action":"delete""#) {
                self.check_forgotten();
            }
        }
    }

    fn record_leave(&mut self, client: Client, clean: bool) {
        self.model.go(client, clean, self.room.now_ms());
        let view = self.views.remove(&client).unwrap();
        self.gone.push(view.away());
    }

    /// Records that the room has closed a connection.
    fn record_close(&mut self, client: Client, code: u16) {
        let for_good = code == 4003 || code >= 4100;
        self.model.go(client, for_good, self.room.now_ms());
        let view = self.views.remove(&client).unwrap();
        self.closed.push((client, view, code));
    }

    fn expect_reply(&mut self, client: Client, pending: PendingCommand) -> u64 {
        self.views.get_mut(&client).unwrap().expect_reply(pending)
    }

    /// Returns data for a message, mostly such that text can be appended to it.
    fn some_data(&mut self) -> Value {
        let content = content(self.number());
        self.data_with(&content)
    }

    fn data_with(&mut self, content: &str) -> Value {
        match self.random.u32(..6) {
            0 => json!([content]),
            1 | 2 => json!({ "by": 1, "text": content }),
            _ => json!(content),
        }
    }

    fn something(&mut self) -> Value {
        json!(content(self.number()))
    }

    fn number(&mut self) -> u32 {
        self.numbers_used += 1;
        self.numbers_used
    }

    fn some_user(&mut self) -> String {
        (*self.random.choice(USERS.iter()).unwrap()).into()
    }

    fn clients(&self) -> Vec<Client> {
        self.views.keys().copied().collect()
    }

    fn some_client(&mut self) -> Option<Client> {
        let clients = self.clients();
        self.random.choice(clients)
    }
}

fn test_user(user: &str, token: &Token) -> TestUser {
    let can: Vec<_> = token.can.iter().copied().collect();
    let test_user = TestUser::named(user).with_capabilities(&can);
    test_user.expiring_after_ms(token.expires_ms - START_MS)
}
