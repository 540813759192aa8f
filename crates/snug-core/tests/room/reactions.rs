//! Reactions to messages.

use serde_json::{Value, json};
use snug_core::limits::{REACTION_USERS_MAX, REACTIONS_MAX, USER_REACTIONS_MAX};

use crate::driver::{Client, START_MS, TestRoom, TestUser, gathering_scenario, scenario};

#[test]
fn a_reaction_is_stored_and_sent_as_a_summary() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, "hi");
        room.skips_received();
        room.sends(bob, react(1, "👍"));
        let acked = json!({ "type": "ack", "id": "👍", "offset": 2, "time": START_MS });
        assert_eq!(room.receives(bob, json!({ "type": "ack" })), acked);
        let reactions = json!({
            "type": "reactions", "offset": 2, "of": 1,
            "summary": { "👍": { "count": 1, "users": ["bob"] } }
        });
        assert_eq!(room.receives(ann, json!({})), reactions);
        assert_eq!(room.receives(bob, json!({})), reactions);
        room.sends(ann, react(1, "👍"));
        room.sends(ann, react(1, "🎉"));
        let summary = json!({
            "👍": { "count": 2, "users": ["bob", "ann"] },
            "🎉": { "count": 1, "users": ["ann"] },
        });
        assert_eq!(
            shown(room, ann),
            json!([
                {
                    "offset": 1, "time": START_MS, "user": "ann", "connection": ann.id(),
                    "data": "hi", "reactions": summary
                },
                { "offset": 2, "of": 1 },
                { "offset": 3, "of": 1 },
                { "offset": 4, "of": 1, "summary": summary },
            ])
        );
    });
}

#[test]
fn a_reaction_that_is_taken_back_is_gone() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        room.sends(ann, react(1, "a"));
        room.sends(ann, unreact(1, "a"));
        room.skips_received();
        let bob = room.admit(TestUser::named("bob").resuming_after(1));
        room.receives(bob, json!({ "type": "welcome", "recovered": true }));
        let superseded = json!({ "type": "change", "offset": 2, "of": 1 });
        assert_eq!(room.receives(bob, json!({})), superseded);
        let gone = json!({ "type": "reactions", "offset": 3, "of": 1, "summary": {} });
        assert_eq!(room.receives(bob, json!({})), gone);
        assert!(shown(room, bob)[0].get("reactions").is_none());
        assert_eq!(room.stored_reactions(), 0);
    });
}

#[test]
fn the_same_reaction_again_changes_nothing() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, "hi");
        room.skips_received();
        room.sends(ann, unreact(1, "a"));
        room.receives(
            ann,
            json!({ "type": "ack", "offset": 1, "duplicate": true }),
        );
        room.sends(ann, react(1, "a"));
        room.receives(ann, json!({ "type": "ack", "offset": 2 }));
        room.skips_received();
        room.sends(ann, react(1, "a"));
        room.receives(
            ann,
            json!({ "type": "ack", "offset": 2, "duplicate": true }),
        );
        room.receives_nothing(bob);
        assert_eq!(room.newest(), 2);
    });
}

#[test]
fn reactions_of_one_flush_are_one_entry() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, "hi");
        room.flushes();
        room.gets_busy(ann);
        room.skips_received();
        let (newest, rows) = (room.newest(), room.stored_count());
        room.sends(ann, react(1, "a"));
        room.sends(bob, react(1, "a"));
        room.sends(bob, react(1, "b"));
        room.sends(bob, unreact(1, "a"));
        room.sends(ann, react(1, "a"));
        room.flushes();
        for (id, is_again) in [("a", false), ("a", true)] {
            let ack = room.receives(
                ann,
                json!({ "type": "ack", "id": id, "offset": newest + 1 }),
            );
            assert_eq!(ack.get("duplicate").is_some(), is_again);
            if !is_again {
                room.receives(ann, json!({ "type": "reactions" }));
            }
        }
        room.receives(bob, json!({ "type": "reactions" }));
        for id in ["a", "b", "-a"] {
            room.receives(
                bob,
                json!({ "type": "ack", "id": id, "offset": newest + 1 }),
            );
        }
        room.receives_nothing(bob);
        assert_eq!((room.newest(), room.stored_count()), (newest + 1, rows + 1));
        let summary = json!({
            "a": { "count": 1, "users": ["ann"] },
            "b": { "count": 1, "users": ["bob"] },
        });
        let entries = shown(room, ann);
        assert_eq!(entries[0]["reactions"], summary);
        assert_eq!(room.stored_reactions(), 2);
    });
}

#[test]
fn a_deletion_ends_the_reactions() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        room.sends(ann, react(1, "a"));
        room.sends(ann, json!({ "type": "delete", "of": 1 }));
        room.skips_received();
        room.sends(ann, react(1, "b"));
        room.receives(
            ann,
            json!({ "type": "error", "id": "b", "code": "not_found" }),
        );
        room.sends(ann, unreact(1, "a"));
        room.receives(
            ann,
            json!({ "type": "error", "id": "-a", "code": "not_found" }),
        );
        let entries = shown(room, ann);
        assert_eq!(entries[0]["deleted"], true);
        assert!(entries[0].get("reactions").is_none());
        assert_eq!(entries[1], json!({ "offset": 2, "of": 1 }));
        assert_eq!(room.stored_reactions(), 0);
    });
}

#[test]
fn reactions_and_edits_do_not_disturb_each_other() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "old");
        room.flushes();
        room.gets_busy(ann);
        room.sends(ann, react(1, "a"));
        room.sends(ann, json!({ "type": "edit", "of": 1, "data": "new" }));
        room.sends(ann, react(1, "b"));
        room.flushes();
        room.sends(ann, json!({ "type": "append", "of": 1, "text": "er" }));
        room.sends(ann, unreact(1, "a"));
        room.flushes();
        let message = shown(room, ann)[0].clone();
        assert_eq!(
            (&message["data"], &message["version"]),
            (&json!("newer"), &json!(3))
        );
        assert_eq!(
            message["reactions"],
            json!({ "b": { "count": 1, "users": ["ann"] } })
        );
    });
}

#[test]
fn only_messages_that_are_there_can_be_reacted_to() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        room.sends(ann, react(1, "a"));
        room.skips_received();
        for of in [0, 2, 3, 9_007_199_254_740_991] {
            room.sends(ann, react(of, "a"));
            room.receives(
                ann,
                json!({ "type": "error", "id": "a", "code": "not_found" }),
            );
        }
        let reader = room.admit(TestUser::named("bob").with_capabilities(&["receive"]));
        room.receives(reader, json!({ "type": "welcome" }));
        room.sends(reader, react(1, "a"));
        room.receives(reader, json!({ "type": "error", "code": "forbidden" }));
    });
}

#[test]
fn a_user_has_a_limited_number_of_reactions_on_a_message() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        room.publishes(ann, "ho");
        for number in 0..USER_REACTIONS_MAX {
            room.sends(ann, react(1, &number.to_string()));
        }
        room.skips_received();
        room.sends(ann, react(1, "more"));
        room.receives(
            ann,
            json!({ "type": "error", "id": "more", "code": "too_large" }),
        );
        room.sends(ann, react(2, "more"));
        room.receives(ann, json!({ "type": "ack", "id": "more" }));
        room.sends(ann, unreact(1, "0"));
        room.skips_received();
        room.sends(ann, react(1, "more"));
        room.receives(ann, json!({ "type": "ack", "id": "more" }));
    });
}

#[test]
fn a_message_has_a_limited_number_of_different_reactions() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        for number in 0..REACTIONS_MAX {
            let user = format!("u{}", number / USER_REACTIONS_MAX);
            let client = room.join(&user);
            room.sends(client, react(1, &number.to_string()));
            room.leaves(client);
        }
        room.skips_received();
        room.sends(ann, react(1, "more"));
        room.receives(
            ann,
            json!({ "type": "error", "id": "more", "code": "too_large" }),
        );
        room.sends(ann, react(1, "0"));
        let ack = room.receives(ann, json!({ "type": "ack", "id": "0" }));
        assert!(ack.get("duplicate").is_none());
        let summary = shown(room, ann)[0]["reactions"].clone();
        assert_eq!(summary.as_object().unwrap().len(), REACTIONS_MAX);
    });
}

#[test]
fn a_summary_counts_all_users_and_lists_some() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        for number in 0..REACTION_USERS_MAX + 2 {
            let client = room.join(&format!("u{number:02}"));
            room.sends(client, react(1, "a"));
            room.leaves(client);
        }
        let tally = |room: &mut TestRoom| {
            let tally = shown(room, ann)[0]["reactions"]["a"].clone();
            (
                tally["count"].as_u64().unwrap() as usize,
                tally["users"].as_array().unwrap().clone(),
            )
        };
        let (count, users) = tally(room);
        assert_eq!(
            (count, users.len()),
            (REACTION_USERS_MAX + 2, REACTION_USERS_MAX)
        );
        // A listed user is replaced by one that was not.
        let first = room.join("u00");
        room.sends(first, unreact(1, "a"));
        let (count, users) = tally(room);
        assert_eq!(
            (count, users.len()),
            (REACTION_USERS_MAX + 1, REACTION_USERS_MAX)
        );
        assert!(!users.contains(&json!("u00")));
        let unlisted = format!("u{:02}", REACTION_USERS_MAX);
        assert_eq!(users.last(), Some(&json!(unlisted)));
    });
}

#[test]
fn reactions_end_with_their_message() {
    let few = |rules: &mut snug_core::config::RoomRules| rules.retention.messages_max = 10;
    crate::driver::scenario_with(few, |room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        room.sends(ann, react(1, "a"));
        assert_eq!(room.stored_reactions(), 1);
        for data in 0..200 {
            room.pass_ms(1_000);
            room.publishes(ann, data);
        }
        assert_eq!(room.stored_reactions(), 0);
    });
}

/// Returns all retained entries.
fn shown(room: &mut TestRoom, client: Client) -> Value {
    room.flushes_if_gathering();
    room.skips_received();
    room.sends(
        client,
        json!({ "type": "history", "after": 0, "limit": 100 }),
    );
    room.flushes_if_gathering();
    room.receives(client, json!({ "type": "history" }))["messages"].clone()
}

fn react(of: u64, name: &str) -> Value {
    json!({ "type": "react", "id": name, "of": of, "name": name })
}

fn unreact(of: u64, name: &str) -> Value {
    json!({ "type": "unreact", "id": format!("-{name}"), "of": of, "name": name })
}
