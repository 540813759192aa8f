//! A client that was away and one that was there have the same picture of the room's messages, and so has one
//! that reads the history: for random messages, replies, changes, reactions, absences, crashes, storage faults and retention.
//!
//! A failure prints its seed. `SNUG_SEED=7 cargo test -p snug-core --test room convergence` replays seed 7, and
//! `SNUG_SEEDS=100000` runs that many seeds.

use std::env;

use fastrand::Rng;
use serde_json::{Value, json};
use snug_core::config::RoomRules;

use crate::{
    driver::{Client, Life, TestRoom, TestUser, default_rules},
    picture::{Picture, applies, shown},
};

const SEEDS: u64 = 60;
const STEPS: usize = 120;
const USERS: [&str; 3] = ["ann", "bob", "cho"];
const LIVES: [Life; 3] = [
    Life::Awake,
    Life::HibernatingWhenIdle,
    Life::RestoredAfterEveryInput,
];

/// A client's user, who is there or away.
struct Viewer {
    user: &'static str,
    client: Option<Client>,
    picture: Picture,
    /// The offset of the last message or change.
    offset: u64,
}

#[test]
fn all_clients_end_with_the_same_picture() {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number("SNUG_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("SNUG_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        for life in LIVES {
            let result = std::panic::catch_unwind(|| run(seed, life));
            assert!(result.is_ok(), "seed={seed}");
        }
    }
}

fn run(seed: u64, life: Life) {
    let mut random = Rng::with_seed(seed);
    let mut rules = default_rules();
    (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
    rules.idle_timeout_ms = 24 * 60 * 60 * 1_000;
    rules.retention.messages_max = *random.choice(&[20, 1_000]).unwrap();
    gather(&mut random, life, &mut rules);
    let mut room = TestRoom::new(life, rules);
    let mut viewers = USERS.map(|user| Viewer {
        user,
        client: None,
        picture: Picture::new(),
        offset: 0,
    });
    for viewer in &mut viewers {
        comes_back(&mut room, viewer);
    }
    for step in 0..STEPS {
        next_step(&mut room, &mut random, &mut viewers, step);
        for viewer in &mut viewers {
            reads(&mut room, viewer);
        }
    }
    room.flushes_if_gathering();
    for viewer in &mut viewers {
        comes_back(&mut room, viewer);
    }
    let [ann, others @ ..] = &mut viewers;
    let (expected, _) = history(&mut room, ann.client.unwrap());
    // Clients keep what the room does not any more.
    let lowest = expected.keys().next().copied().unwrap_or(u64::MAX);
    let kept = |viewer: &Viewer| {
        let kept = viewer.picture.range(lowest..);
        kept.map(|(offset, one)| (*offset, one.clone()))
            .collect::<Picture>()
    };
    assert_eq!(kept(ann), expected);
    for viewer in others {
        assert_eq!(kept(viewer), expected, "{}", viewer.user);
    }
}

/// Lets some rooms gather what arrives within a few milliseconds.
fn gather(random: &mut Rng, life: Life, rules: &mut RoomRules) {
    // What waits for a flush would be lost if the room was restored after every input.
    if matches!(life, Life::Awake) && random.bool() {
        rules.window_ms_max = 10;
    }
}

fn next_step(room: &mut TestRoom, random: &mut Rng, viewers: &mut [Viewer; 3], step: usize) {
    let newest = room.newest();
    let viewer = &mut viewers[random.usize(..USERS.len())];
    let of = random.u64(newest.saturating_sub(12)..=newest + 1);
    let command = match random.u8(..20) {
        0..=4 => {
            let mut publish =
                json!({ "type": "publish", "data": format!("{step}"), "key": format!("{step}") });
            if random.u8(..3) == 0 {
                publish["re"] = json!(of);
            }
            publish
        }
        5 | 6 => {
            let kind = if random.u8(..3) == 0 {
                "unreact"
            } else {
                "react"
            };
            json!({ "type": kind, "of": of, "name": random.choice(["👍", "a"]).unwrap() })
        }
        7..=9 => json!({ "type": "edit", "of": of, "data": { "text": format!("{step}") } }),
        10..=13 => json!({ "type": "append", "of": of, "text": format!("+{step}") }),
        14 => json!({ "type": "delete", "of": of }),
        15 => {
            if let Some(client) = viewer.client.take() {
                room.drops(client);
            }
            return;
        }
        16 => return comes_back(room, viewer),
        17 => return room.pass_ms(random.u64(..20_000)),
        18 if random.u8(..4) == 0 => {
            room.flushes_if_gathering();
            reads(room, viewer);
            room.crashes();
            for viewer in viewers {
                // What was sent has been received.
                viewer.client = None;
            }
            return;
        }
        18 => return room.flushes_if_gathering(),
        _ => return room.storage_fails_once(),
    };
    if let Some(client) = viewer.client.filter(|client| room.is_open(*client)) {
        room.sends(client, command);
    }
}

/// Takes what a viewer has received into its picture.
fn reads(room: &mut TestRoom, viewer: &mut Viewer) {
    let Some(client) = viewer.client else {
        return;
    };
    for push in room.received(client) {
        takes(viewer, &push);
    }
    if !room.is_open(client) {
        viewer.client = None;
    }
}

/// Takes one push into a viewer's picture.
fn takes(viewer: &mut Viewer, push: &Value) {
    let offset = push["offset"].as_u64().unwrap_or_default();
    let is_entry = matches!(
        push["type"].as_str(),
        Some("message" | "change" | "reactions")
    );
    if !is_entry || offset <= viewer.offset {
        return;
    }
    let next = viewer.offset + 1;
    assert_eq!(offset, next, "{} has a gap: {push}", viewer.user);
    viewer.offset = offset;
    applies(&mut viewer.picture, push);
}

/// Joins again, and resumes; or reads everything again if that is not possible.
fn comes_back(room: &mut TestRoom, viewer: &mut Viewer) {
    reads(room, viewer);
    if viewer.client.is_some() {
        return;
    }
    let user = TestUser::named(viewer.user).resuming_after(viewer.offset);
    let client = room.admit(user);
    let welcome = room.receives(client, json!({ "type": "welcome" }));
    viewer.client = Some(client);
    if welcome["recovered"] == false {
        viewer.offset = welcome["offset"].as_u64().unwrap();
        let (picture, pushes) = history(room, client);
        viewer.picture = picture;
        for push in pushes {
            takes(viewer, &push);
        }
    }
    reads(room, viewer);
}

/// Reads all retained messages. Also returns what the client receives meanwhile.
fn history(room: &mut TestRoom, client: Client) -> (Picture, Vec<Value>) {
    let (mut picture, mut pushes, mut after) = (Picture::new(), room.received(client), 0);
    loop {
        room.sends(
            client,
            json!({ "type": "history", "after": after, "limit": 7 }),
        );
        room.flushes_if_gathering();
        let received = room.received(client).into_iter();
        let (pages, others): (Vec<_>, Vec<_>) = received.partition(|one| one["type"] == "history");
        pushes.extend(others);
        let Some(page) = pages.first() else {
            // The storage has failed.
            continue;
        };
        for entry in page["messages"].as_array().unwrap() {
            after = entry["offset"].as_u64().unwrap();
            if entry.get("of").is_none() {
                picture.insert(after, shown(entry));
            }
        }
        if page["more"] == false {
            return (picture, pushes);
        }
    }
}
