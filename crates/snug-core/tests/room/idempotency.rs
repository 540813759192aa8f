//! Idempotency keys: a message that is sent again is stored only once.

use serde_json::{Value, json};
use snug_core::{
    config::RoomRules,
    limits::{KEY_MESSAGES_MIN, KEY_MS_MIN},
};

use crate::driver::{Client, Life, TestRoom, default_rules, scenario, scenario_with};

#[test]
fn a_repeated_key_stores_once_and_returns_the_first_offset() {
    scenario(|room| {
        let ann = room.join("ann");
        let bob = room.join("bob");
        room.skips_received();
        let first = publishes(room, ann, "k", "hello");
        assert_eq!(first["offset"], 1);
        assert_eq!(first.get("duplicate"), None);
        room.receives_message(bob, "hello");
        room.pass_ms(1_000);
        let again = publishes(room, ann, "k", "hello, again");
        let expected = json!({ "type": "ack", "id": "k", "offset": 1, "time": first["time"], "duplicate": true });
        assert_eq!(again, expected);
        room.receives_nothing(bob);
        assert_eq!(room.stored_count(), 1);
    });
}

#[test]
fn a_key_applies_to_all_connections_of_its_user_only() {
    scenario(|room| {
        let ann = room.join("ann");
        let tab = room.join("ann");
        let bob = room.join("bob");
        room.skips_received();
        assert_eq!(publishes(room, ann, "k", 1)["offset"], 1);
        room.skips_received();
        assert_eq!(publishes(room, tab, "k", 1)["duplicate"], true);
        assert_eq!(publishes(room, bob, "k", 1)["offset"], 2);
        assert_eq!(publishes(room, bob, "k", 1)["duplicate"], true);
    });
}

#[test]
fn a_duplicate_without_an_id_gets_no_reply() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        publishes(room, ann, "k", 1);
        room.sends(ann, json!({ "type": "publish", "data": 1, "key": "k" }));
        room.receives_nothing(ann);
    });
}

#[test]
fn a_key_is_remembered_for_two_minutes_and_among_the_newest_thousand_messages() {
    scenario_with(quick, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        publishes_quietly(room, ann, "k");
        publishes_many(room, bob, KEY_MESSAGES_MIN - 1);
        room.pass_ms(KEY_MS_MIN + 1);
        assert_eq!(publishes(room, ann, "k", 0)["duplicate"], true);
        publishes_many(room, bob, 1);
        assert_eq!(publishes(room, ann, "k", 0).get("duplicate"), None);
        publishes_many(room, bob, KEY_MESSAGES_MIN);
        room.pass_ms(KEY_MS_MIN);
        assert_eq!(publishes(room, ann, "k", 0)["duplicate"], true);
        room.pass_ms(1);
        assert_eq!(publishes(room, ann, "k", 0).get("duplicate"), None);
    });
}

#[test]
fn keys_outlive_the_retention_of_their_messages() {
    for retained in [0, 2] {
        let rules = |rules: &mut RoomRules| {
            rules.retention.messages_max = retained;
            quick(rules);
        };
        scenario_with(rules, |room| {
            let ann = room.join("ann");
            publishes_many(room, ann, 300);
            // Without a key to remember, the rows are deleted.
            assert!(room.stored_count() < 3 + 64, "{}", room.stored_count());
            publishes_quietly(room, ann, "early");
            publishes_many(room, ann, KEY_MESSAGES_MIN);
            room.restore();
            room.skips_received();
            assert_eq!(publishes(room, ann, "early", 0)["duplicate"], true);
            room.pass_ms(KEY_MS_MIN + 1);
            for _ in 0..5 {
                publishes_many(room, ann, 64);
            }
            assert!(room.stored_count() < 3 + 64, "{}", room.stored_count());
        });
    }
}

#[test]
fn a_key_whose_message_was_not_stored_is_free() {
    // In the first run, reading the keys fails; in the second, storing the message.
    for life in [Life::RestoredAfterEveryInput, Life::Awake] {
        let room = &mut TestRoom::new(life, default_rules());
        let ann = room.join("ann");
        room.skips_received();
        publishes(room, ann, "before", 1);
        room.storage_fails_once();
        assert_eq!(publishes(room, ann, "k", 1)["code"], "internal");
        assert_eq!(publishes(room, ann, "k", 1)["offset"], 2);
    }
}

#[test]
fn several_keys_in_one_frame_are_distinguished() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        let command =
            |id: u64, key: &str| json!({ "type": "publish", "id": id, "data": id, "key": key });
        room.sends_lines(ann, &[command(1, "a"), command(2, "b"), command(3, "a")]);
        room.receives(ann, json!({ "type": "ack", "id": 1, "offset": 1 }));
        room.receives_message(ann, 1);
        room.receives(ann, json!({ "type": "ack", "id": 2, "offset": 2 }));
        room.receives_message(ann, 2);
        room.receives(
            ann,
            json!({ "type": "ack", "id": 3, "offset": 1, "duplicate": true }),
        );
        room.receives_nothing(ann);
    });
}

/// Permits any rate, and clients that do not ping.
fn quick(rules: &mut RoomRules) {
    (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
    rules.idle_timeout_ms = 60 * 60 * 1_000;
}

/// Publishes messages without a key.
#[track_caller]
fn publishes_many(room: &mut TestRoom, client: Client, count: u64) {
    for number in 0..count {
        room.publishes(client, number);
    }
    room.skips_received();
}

/// Publishes with a key that is also the command's id, and returns the reply.
#[track_caller]
fn publishes(room: &mut TestRoom, client: Client, key: &str, data: impl Into<Value>) -> Value {
    let data: Value = data.into();
    room.sends(
        client,
        json!({ "type": "publish", "id": key, "key": key, "data": data }),
    );
    let reply = room.receives(client, json!({ "id": key }));
    if reply["type"] == "ack" && reply.get("duplicate").is_none() {
        room.receives_message(client, data);
    }
    reply
}

#[track_caller]
fn publishes_quietly(room: &mut TestRoom, client: Client, key: &str) {
    room.sends(
        client,
        json!({ "type": "publish", "key": key, "data": key }),
    );
    room.skips_received();
}
