//! Faults between gateways and rooms: each ends in `left` and the client's resume, and nothing is lost in
//! silence.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use serde_json::{Value, json};
use snug_core::{
    ConnectionId, GatewayName, RoomName, UserId,
    limits::{ATTACHMENT_BYTES_MAX, UNREAD_MAX},
};

use super::world::{Fate, MemoryStore, World, claims};

/// The rooms and gateways of the simulation.
const ROOMS: [&str; 3] = ["a", "b", "c"];
const GATEWAYS: [&str; 2] = ["g1", "g2"];
const USERS: [&str; 4] = ["ann", "ben", "cho", "dan"];

/// The worlds that each run simulates; `SNUG_SEEDS` sets another number.
const SEEDS: u64 = 150;
/// The actions of one world.
const ACTIONS: usize = 120;

/// The client's knowledge of one room.
#[derive(Debug, Default)]
struct View {
    is_joined: bool,
    awaits_welcome: bool,
    epoch: String,
    /// The offset of the last message; `None` before the first welcome.
    offset: Option<u64>,
    members: BTreeSet<String>,
    /// True if its place in the room is a badge.
    is_badge: bool,
    /// The last badge.
    badge: Option<Value>,
}

/// A client that keeps its position in each room, and comes back after a loss.
#[derive(Debug)]
struct Client {
    user: &'static str,
    connection: Option<ConnectionId>,
    gateway: &'static str,
    views: BTreeMap<&'static str, View>,
    /// The rooms that it wants to be in.
    wants: BTreeSet<&'static str>,
    /// The rooms where it wants only a badge.
    badges: BTreeSet<&'static str>,
    published: u64,
}

/// Messages that were acknowledged: room, offset and data.
type Acked = BTreeSet<(String, u64, String)>;

struct Simulation {
    world: World,
    random: fastrand::Rng,
    clients: Vec<Client>,
    acked: Acked,
    /// The data of publishes by command id.
    sent: BTreeMap<String, String>,
    faults: Rc<RefCell<Faults>>,
}

/// The network's faults.
struct Faults {
    random: fastrand::Rng,
    /// One of so many calls has a fault; none if 0.
    one_of: u8,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut world = World::new(|rules| {
            rules.rate.per_second = 1_000_000;
            rules.rate.burst = 1_000_000;
            rules.connections_per_user_max = 1_000;
        });
        let faults = Rc::new(RefCell::new(Faults {
            random: random.fork(),
            one_of: *random.choice(&[0, 4, 15, 50]).unwrap_or(&0),
        }));
        let shared = faults.clone();
        world.fate = Box::new(move || shared.borrow_mut().next());
        let clients = USERS.iter().cycle().take(6).map(|user| Client {
            user,
            connection: None,
            gateway: GATEWAYS[0],
            views: BTreeMap::new(),
            wants: BTreeSet::new(),
            badges: BTreeSet::new(),
            published: 0,
        });
        Self {
            world,
            random,
            clients: clients.collect(),
            acked: Acked::new(),
            sent: BTreeMap::new(),
            faults,
        }
    }

    fn act(&mut self) {
        let at = self.random.usize(..self.clients.len());
        let room = ROOMS[self.random.usize(..ROOMS.len())];
        match self.random.u8(..36) {
            32..=34 => {
                let badges = &mut self.clients[at].badges;
                if !badges.remove(room) {
                    badges.insert(room);
                }
                self.come_back(at);
            }
            35 => {
                let view = self.clients[at].views.get(room);
                let offset = view.and_then(|view| view.offset).unwrap_or_default();
                let read = json!({ "type": "read", "room": room, "id": "read", "offset": offset });
                self.send(at, room, read);
            }
            0..=3 => {
                self.clients[at].wants.insert(room);
                self.come_back(at);
            }
            4..=15 => self.publish(at, room),
            16..=17 => self.send(
                at,
                room,
                json!({ "type": "state", "room": room, "data": {} }),
            ),
            18 => {
                let views = &self.clients[at].views;
                if views.get(room).is_some_and(|view| view.is_joined) {
                    self.clients[at].wants.remove(room);
                    self.send(
                        at,
                        room,
                        json!({ "type": "leave", "room": room, "id": "leave" }),
                    );
                }
            }
            19 => self.disconnect(at, true),
            20 => self.disconnect(at, false),
            21..=23 => self.world.settles(),
            24..=26 => {
                for _ in 0..self.random.u8(..6) {
                    self.world.next_packet();
                }
            }
            27 => {
                let ms = *self
                    .random
                    .choice(&[10, 1_000, 7_000, 70_000])
                    .unwrap_or(&10);
                self.world.pass_ms(ms);
            }
            28 => {
                let room = RoomName::parse(room).expect("a name");
                self.world.loses_room(&room);
            }
            29 => {
                let gateway = GatewayName::new(GATEWAYS[self.random.usize(..GATEWAYS.len())]);
                self.world.loses_gateway(&gateway, self.random.bool());
            }
            _ => self.sleep(),
        }
        self.read_all();
    }

    /// Lets all objects sleep, and wakes some of them.
    fn sleep(&mut self) {
        self.world.pass_ms(10_000);
        self.read_all();
        for room in ROOMS {
            if self.random.bool() {
                self.world
                    .loses_room(&RoomName::parse(room).expect("a name"));
            }
        }
        for gateway in GATEWAYS {
            if self.random.bool() {
                self.world.loses_gateway(&GatewayName::new(gateway), false);
            }
        }
    }

    fn publish(&mut self, at: usize, room: &'static str) {
        let client = &mut self.clients[at];
        client.published += 1;
        let id = format!("{at}-{}", client.published);
        let data = format!("message {id}");
        self.sent.insert(id.clone(), data.clone());
        let publish = json!({ "type": "publish", "room": room, "id": id, "data": data });
        self.send(at, room, publish);
    }

    fn send(&mut self, at: usize, room: &'static str, command: Value) {
        let client = &self.clients[at];
        let is_joined = client.views.get(room).is_some_and(|view| view.is_joined);
        if let Some(connection) = client.connection.filter(|_| is_joined) {
            self.world.sends(connection, command);
        }
    }

    fn disconnect(&mut self, at: usize, clean: bool) {
        if let Some(connection) = self.clients[at].connection.take() {
            self.world.disconnects(connection, clean);
            self.clients[at].views.values_mut().for_each(View::lose);
        }
    }

    /// Connects a client if necessary, and joins the rooms that it wants to be in.
    fn come_back(&mut self, at: usize) {
        let client = &mut self.clients[at];
        if client.connection.is_none() {
            client.gateway = GATEWAYS[self.random.usize(..GATEWAYS.len())];
            client.connection = Some(self.world.connects(client.gateway, client.user));
        }
        let connection = client.connection.expect("a connection");
        for room in client.wants.clone() {
            let view = client.views.entry(room).or_default();
            let wants_badge = client.badges.contains(room);
            let is_there = view.is_joined && view.is_badge == wants_badge;
            if is_there || view.awaits_welcome {
                continue;
            }
            view.awaits_welcome = true;
            let mut join = json!({ "type": "join", "id": "join", "room": room });
            if wants_badge {
                join["mode"] = "badge".into();
            }
            if let Some(offset) = view.offset {
                join["epoch"] = view.epoch.clone().into();
                join["offset"] = offset.into();
            }
            self.world.sends(connection, join);
        }
    }

    /// Lets all clients read what they have received, and notice lost connections.
    fn read_all(&mut self) {
        for at in 0..self.clients.len() {
            let Some(connection) = self.clients[at].connection else {
                continue;
            };
            for line in self.world.received(connection) {
                self.read(at, &line);
            }
            if !self.world.clients[&connection].is_open {
                self.clients[at].connection = None;
                self.clients[at].views.values_mut().for_each(View::lose);
            }
        }
    }

    fn read(&mut self, at: usize, line: &Value) {
        let client = &mut self.clients[at];
        let Some(room) = line["room"].as_str() else {
            assert_eq!(line["type"], "hello", "{line}");
            return;
        };
        let view = client.views.iter_mut().find(|(name, _)| **name == room);
        let (_, view) = view.expect("a room that was joined");
        match line["type"].as_str().expect("a type") {
            "welcome" => {
                assert!(view.awaits_welcome, "a welcome that was not asked for");
                view.awaits_welcome = false;
                view.is_joined = true;
                let newest = line["offset"].as_u64().expect("an offset");
                // Only a badge has no list of members here.
                view.is_badge = line.get("members").is_none();
                view.badge = None;
                if view.is_badge {
                    return;
                }
                let recovered = line["recovered"] == true;
                if !recovered {
                    view.offset = Some(newest);
                }
                assert!(view.offset <= Some(newest), "the room is behind its client");
                view.epoch = line["epoch"].as_str().expect("an epoch").into();
                let members = line["members"].as_array().expect("members").iter();
                view.members = members.map(|one| name_of(&one["user"])).collect();
            }
            "message" => {
                let is_full = view.is_joined && !view.is_badge;
                assert!(is_full, "a message without a welcome: {line}");
                let next = view.offset.expect("a position") + 1;
                assert_eq!(line["offset"], next, "a message is missing or repeated");
                view.offset = Some(next);
            }
            "presence" => {
                let is_full = view.is_joined && !view.is_badge;
                assert!(is_full, "presence without a welcome: {line}");
                let joins = line["joins"].as_array().expect("joins").iter();
                view.members.extend(joins.map(|one| name_of(&one["user"])));
                // A push that waited when the client joined may repeat what its welcome says.
                for user in line["leaves"].as_array().expect("leaves") {
                    view.members.remove(&name_of(user));
                }
            }
            "badge" => {
                assert!(
                    view.is_joined && view.is_badge,
                    "a badge without a welcome: {line}"
                );
                view.badge = Some(line.clone());
            }
            "read" => assert!(!view.is_badge, "a position for a badge: {line}"),
            "ack" if line["id"] == "leave" => view.lose(),
            "ack" if line["id"] == "read" => {}
            "ack" => {
                if let (Some(id), Some(offset)) = (line["id"].as_str(), line["offset"].as_u64()) {
                    let acked = (room.to_owned(), offset, self.sent[id].clone());
                    self.acked.insert(acked);
                }
            }
            "left" => {
                assert_eq!(
                    (&line["code"], &line["reconnect"]),
                    (&json!(4005), &json!(true))
                );
                view.lose();
            }
            "error" => {
                // A badge has no presence state.
                let expected = ["not_joined", "internal", "bad_command"];
                assert!(
                    expected.contains(&line["code"].as_str().expect("a code")),
                    "{line}"
                );
                if line["id"] == "join" {
                    view.awaits_welcome = false;
                }
            }
            other => panic!("unexpected {other}: {line}"),
        }
    }

    /// Ends all faults, and lets all clients come back.
    fn calm_down(&mut self) {
        self.faults.borrow_mut().one_of = 0;
        for _ in 0..4 {
            self.world.pass_ms(70_000);
            self.read_all();
            for at in 0..self.clients.len() {
                if self.clients[at].connection.is_some() {
                    self.come_back(at);
                }
            }
            self.world.settles();
            self.read_all();
        }
    }

    fn check(&mut self) {
        for room in ROOMS {
            let mut users = BTreeSet::new();
            for client in &self.clients {
                let is_joined = client.views.get(room).is_some_and(|view| view.is_joined);
                let wants = client.connection.is_some() && client.wants.contains(room);
                assert_eq!(is_joined, wants, "{} in {room}", client.user);
                if is_joined {
                    let is_badge = client.views[room].is_badge;
                    assert_eq!(
                        is_badge,
                        client.badges.contains(room),
                        "{} in {room}",
                        client.user
                    );
                    if !is_badge {
                        users.insert(client.user.to_owned());
                    }
                }
            }
            let members: BTreeSet<_> = self.world.members(room).into_iter().collect();
            assert_eq!(members, users, "the members of {room}");
            let name = RoomName::parse(room).expect("a name");
            let Some(stored) = self.world.rooms.get(&name) else {
                continue;
            };
            let store = stored.store();
            for client in &self.clients {
                let Some(view) = client.views.get(room).filter(|view| view.is_joined) else {
                    continue;
                };
                if view.is_badge {
                    let badge = view.badge.as_ref().expect("a badge");
                    let (offset, unread) = newest_and_unread(store, client.user);
                    assert_eq!(
                        (&badge["offset"], &badge["unread"]),
                        (&json!(offset), &json!(unread)),
                        "{} in {room}",
                        client.user
                    );
                    continue;
                }
                assert_eq!(view.members, users, "what {} sees in {room}", client.user);
                assert_eq!(
                    view.offset,
                    Some(store.newest().0),
                    "{} in {room}",
                    client.user
                );
            }
            let rows = store.rows.values().flat_map(|row| row.json.split('\n'));
            let messages: Vec<Value> = rows
                .filter(|line| !line.is_empty())
                .map(|line| serde_json::from_str(line).expect("JSON"))
                .collect();
            for (_, offset, data) in self.acked.iter().filter(|(name, ..)| name == room) {
                let found = messages.iter().find(|one| one["offset"] == *offset);
                let found = found.map(|one| &one["data"]);
                assert_eq!(found, Some(&json!(data)), "an acked message is lost");
                let same = messages.iter().filter(|one| one["data"] == json!(data));
                assert_eq!(same.count(), 1, "a message is stored twice: {data}");
            }
            assert!(!store.stored().is_amid_calls, "the note of {room} stays");
        }
        for gateway in self.world.gateways.values() {
            assert!(
                !gateway.store().is_amid_calls,
                "the note of a gateway stays"
            );
            let links = gateway.store().links.values();
            assert!(
                links.clone().all(|link| !link.is_ending),
                "{:?}",
                gateway.store().links
            );
            let room_links = self
                .world
                .rooms
                .values()
                .flat_map(|room| room.store().links.keys());
            let room_links: BTreeSet<_> = room_links.collect();
            assert!(links.into_iter().all(|link| room_links.contains(&link.id)));
        }
        let members = self
            .world
            .rooms
            .values()
            .map(|room| room.store().members.len());
        let subscriptions = self.world.gateways.values();
        let subscriptions = subscriptions.map(|one| one.store().subscriptions.len());
        assert_eq!(
            members.sum::<usize>(),
            subscriptions.sum::<usize>(),
            "rows of members"
        );
    }
}

impl Faults {
    fn next(&mut self) -> Fate {
        if self.one_of == 0 || self.random.u8(..self.one_of) != 0 {
            return Fate::Arrives;
        }
        let faults = [Fate::IsLost, Fate::LosesItsAnswer, Fate::ArrivesTwice];
        *self.random.choice(&faults).unwrap_or(&Fate::Arrives)
    }
}

impl View {
    /// Notes that the room has to be joined again.
    fn lose(&mut self) {
        (self.is_joined, self.awaits_welcome) = (false, false);
    }
}

/// Returns the newest offset of a room, and the number of its messages that a user has not read.
fn newest_and_unread(store: &MemoryStore, user: &str) -> (u64, usize) {
    let read = UserId::parse(user).and_then(|user| store.reads.get(&user).copied());
    let read = read.unwrap_or_default();
    let lines = store.rows.values().flat_map(|row| row.json.split('\n'));
    let unread = lines.filter(|line| {
        let message: Value = serde_json::from_str(line).expect("JSON");
        message["user"] != user && message["offset"].as_u64() > Some(read.0)
    });
    (store.newest().0, unread.count().min(UNREAD_MAX))
}

fn name_of(user: &Value) -> String {
    user.as_str().expect("a user").to_owned()
}

fn simulate(seed: u64) {
    let mut simulation = Simulation::new(seed);
    for _ in 0..ACTIONS {
        simulation.act();
    }
    simulation.calm_down();
    simulation.check();
}

/// A panic that names the seed.
struct SeedOnPanic(u64);

impl Drop for SeedOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat with SNUG_SEED={}", self.0);
        }
    }
}

#[test]
fn every_promise_holds_over_a_network_that_loses_and_repeats_calls() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (first, seeds) = match number("SNUG_SEED") {
        Some(seed) => (seed, 1),
        None => (fastrand::u64(..), number("SNUG_SEEDS").unwrap_or(SEEDS)),
    };
    for seed in (0..seeds).map(|more| first.wrapping_add(more)) {
        let _named = SeedOnPanic(seed);
        simulate(seed);
    }
}

#[test]
fn a_call_that_fails_ends_the_link_and_the_client_resumes() {
    for fate in [Fate::IsLost, Fate::LosesItsAnswer] {
        let mut world = World::new(|rules| rules.window_ms_max = 0);
        let ann = world.connects("g1", "ann");
        world.sends(ann, json!({ "type": "join", "room": "a" }));
        world.settles();
        world.received(ann);
        let mut fates = vec![fate];
        world.fate = Box::new(move || fates.pop().unwrap_or(Fate::Arrives));
        world.sends(
            ann,
            json!({ "type": "publish", "id": 1, "room": "a", "data": 1, "key": "k" }),
        );
        world.settles();
        let received = world.received(ann);
        let left = received.last().expect("a line");
        assert_eq!(
            (&left["type"], &left["code"]),
            (&json!("left"), &json!(4005)),
            "{fate:?}"
        );
        assert!(left["delay_ms"].is_number());
        let join = json!({ "type": "join", "id": 2, "room": "a", "epoch": "e1", "offset": 0 });
        world.sends(ann, join);
        world.sends(
            ann,
            json!({ "type": "publish", "id": 3, "room": "a", "data": 1, "key": "k" }),
        );
        world.settles();
        let received = world.received(ann);
        assert_eq!(received[0]["recovered"], true);
        let messages = received.iter().filter(|one| one["type"] == "message");
        assert_eq!(messages.count(), 1, "{fate:?}: {received:?}");
    }
}

#[test]
fn a_session_can_join_again_before_the_room_hears_of_the_lost_link() {
    let mut world = World::new(|rules| rules.window_ms_max = 0);
    let ann = world.connects("g1", "ann");
    world.sends(ann, json!({ "type": "join", "room": "a" }));
    world.settles();
    // The command is lost, and so is the news that the link has ended.
    let mut fates = vec![Fate::IsLost, Fate::IsLost];
    world.fate = Box::new(move || fates.pop().unwrap_or(Fate::Arrives));
    world.sends(ann, json!({ "type": "ping", "room": "a" }));
    world.settles();
    world.received(ann);
    world.sends(ann, json!({ "type": "join", "id": 1, "room": "a" }));
    world.receives(ann, &[json!({ "type": "welcome", "id": 1, "count": 1 })]);
    world.pass_ms(10_000);
    assert_eq!(world.members("a"), ["ann"]);
    world.sends(
        ann,
        json!({ "type": "publish", "id": 2, "room": "a", "data": 1 }),
    );
    world.settles();
    assert_eq!(world.received(ann).len(), 2);
}

#[test]
fn a_session_that_is_lost_while_its_gateway_sleeps_leaves_its_rooms() {
    let mut world = World::new(|_| {});
    let [ann, ben] = ["ann", "ben"].map(|user| world.connects("g1", user));
    for client in [ann, ben] {
        world.sends(client, json!({ "type": "join", "room": "a" }));
    }
    world.pass_ms(10_000);
    world.received(ben);
    if let Some(client) = world.clients.get_mut(&ann) {
        client.is_open = false;
    }
    world.loses_gateway(&GatewayName::new("g1"), false);
    world.pass_ms(5_000);
    assert_eq!(world.members("a"), ["ben"]);
    world.receives(
        ben,
        &[json!({ "type": "presence", "leaves": ["ann"], "count": 1 })],
    );
}

#[test]
fn a_gateway_that_crashes_leaves_no_member_for_longer_than_a_minute_and_the_grace() {
    let mut world = World::new(|_| {});
    let ann = world.connects("g1", "ann");
    world.sends(ann, json!({ "type": "join", "room": "a" }));
    world.pass_ms(20_000);
    assert_eq!(world.members("a"), ["ann"]);
    world.loses_gateway(&GatewayName::new("g1"), true);
    world.pass_ms(60_000 + 5_000);
    assert!(world.members("a").is_empty());
}

#[test]
fn a_join_is_stored_once_its_room_has_answered() {
    let mut world = World::new(|rules| rules.window_ms_max = 0);
    let g1 = GatewayName::new("g1");
    let ann = world.connects("g1", "ann");
    let rows = |world: &World| world.gateways[&g1].store().subscriptions.len();
    world.sends(ann, json!({ "type": "join", "room": "a" }));
    assert_eq!(rows(&world), 0);
    assert!(world.clients[&ann].attachment.contains(r#""room":"a""#));
    world.settles();
    assert_eq!(rows(&world), 1);
    // The attachment may still list the room, but not once the session has left it.
    world.sends(ann, json!({ "type": "leave", "room": "a" }));
    world.settles();
    assert_eq!(rows(&world), 0);
    assert!(!world.clients[&ann].attachment.contains("joining"));
}

#[test]
fn a_session_learns_of_a_join_that_was_lost_with_its_gateway() {
    let mut world = World::new(|rules| rules.window_ms_max = 0);
    let ann = world.connects("g1", "ann");
    world.sends(ann, json!({ "type": "join", "room": "a" }));
    world.received(ann);
    world.loses_gateway(&GatewayName::new("g1"), false);
    world.settles();
    let left = json!({ "type": "left", "room": "a", "code": 4005 });
    world.receives(ann, &[left]);
    assert!(!world.clients[&ann].attachment.contains("joining"));
    world.pass_ms(10_000);
    assert!(world.members("a").is_empty());
    world.sends(ann, json!({ "type": "join", "room": "a" }));
    world.receives(ann, &[json!({ "type": "welcome", "count": 1 })]);
}

#[test]
fn joins_that_do_not_fit_the_attachment_are_stored_at_once() {
    let mut world = World::new(|rules| rules.window_ms_max = 0);
    let patterns = (0..770).map(|number| format!("pattern {number:08}"));
    let rooms: Vec<_> = patterns.chain(["*".into()]).collect();
    let ann = world.connects_with("g1", claims("ann", json!(rooms)));
    for number in 0..60 {
        let room = format!("{number:064}");
        world.sends(ann, json!({ "type": "join", "room": room }));
    }
    let gateway = world.gateways.values().next().unwrap();
    let rows = gateway.store().subscriptions.len();
    assert!(rows > 0 && rows < 60, "{rows}");
    assert!(world.clients[&ann].attachment.len() <= ATTACHMENT_BYTES_MAX);
    world.settles();
    let gateway = world.gateways.values().next().unwrap();
    assert_eq!(gateway.store().subscriptions.len(), 60);
}
