//! Threads: replies to messages.

use serde_json::{Value, json};
use snug_core::{backend::api::ApiOperation, config::RoomRules, limits::SAFE_INTEGER_MAX};

use crate::driver::{
    Client, START_MS, TestRoom, TestUser, gathering_scenario, scenario, scenario_with,
};

#[test]
fn a_reply_is_a_message_that_counts_for_its_root() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, "hi");
        room.skips_received();
        room.sends(bob, reply(1, "ho"));
        room.receives(bob, json!({ "type": "ack", "id": "ho", "offset": 2 }));
        let message = json!({
            "type": "message", "offset": 2, "time": START_MS, "user": "bob",
            "connection": bob.id(), "re": 1, "data": "ho"
        });
        let counted = json!({
            "type": "change", "offset": 3, "time": START_MS, "of": 1, "action": "replies",
            "replies": 1, "last_reply": 2
        });
        for client in [ann, bob] {
            assert_eq!(room.receives(client, json!({})), message);
            assert_eq!(room.receives(client, json!({})), counted);
        }
        room.sends(ann, reply(1, "hu"));
        let entries = page(room, ann, json!({}));
        assert_eq!(
            (&entries[0]["replies"], &entries[0]["last_reply"]),
            (&json!(2), &json!(4))
        );
        assert_eq!(entries[2], json!({ "offset": 3, "of": 1 }));
        assert_eq!(entries[4]["replies"], 2);
    });
}

#[test]
fn a_reply_to_a_reply_belongs_to_the_same_thread() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        room.sends(ann, reply(1, "a"));
        room.sends(ann, reply(2, "b"));
        let entries = page(room, ann, json!({}));
        assert_eq!(entries[0]["replies"], 2);
        assert!(entries[1].get("replies").is_none());
        assert_eq!(entries[3]["re"], 1);
        assert_eq!(texts(room, ann, json!({ "re": 1 })), "a b");
        assert_eq!(texts(room, ann, json!({ "re": 2 })), "");
    });
}

#[test]
fn a_thread_is_read_in_pages_from_either_end() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "root");
        for text in ["a", "b", "c", "d"] {
            room.publishes(ann, "between");
            room.sends(ann, reply(1, text));
        }
        let newest = texts(room, ann, json!({ "re": 1, "limit": 3 }));
        assert_eq!(newest, "b c d …");
        let oldest = texts(room, ann, json!({ "re": 1, "limit": 2, "after": 0 }));
        assert_eq!(oldest, "a b …");
        // The offsets of the replies are 3, 6, 9 and 12.
        let rest = texts(room, ann, json!({ "re": 1, "after": 6 }));
        assert_eq!(rest, "c d");
        let before = texts(room, ann, json!({ "re": 1, "before": 6 }));
        assert_eq!(before, "a");
    });
}

#[test]
fn replies_of_one_flush_are_counted_once() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, "hi");
        room.flushes();
        room.gets_busy(ann);
        room.skips_received();
        let (newest, rows) = (room.newest(), room.stored_count());
        for (client, text) in [(ann, "a"), (bob, "b"), (ann, "c")] {
            room.sends(client, reply(1, text));
        }
        room.flushes();
        assert_eq!((room.newest(), room.stored_count()), (newest + 4, rows + 1));
        room.skips_received();
        assert_eq!(page(room, ann, json!({}))[0]["replies"], 3);
    });
}

#[test]
fn each_reply_is_counted_even_if_something_cannot_be_read() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        room.sends(ann, reply(1, "a"));
        for spared in 0..6 {
            for command in [
                reply(1, "b"),
                json!({ "type": "delete", "of": room.newest() - 1 }),
            ] {
                room.storage_fails_after(spared);
                room.sends(ann, command);
                room.storage_works();
                let thread = page(room, ann, json!({ "re": 1, "after": 0, "limit": 100 }));
                let left = thread.iter().filter(|one| one.get("data").is_some());
                let root = &page(room, ann, json!({ "after": 0, "limit": 1 }))[0];
                assert_eq!(root["replies"].as_u64(), Some(left.count() as u64));
            }
        }
    });
}

#[test]
fn the_back_end_replies_to_what_waits() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "root");
        room.flushes_if_gathering();
        room.gets_busy(ann);
        room.sends(ann, reply(1, "a"));
        let waits = room.newest() + 1;
        // The second one stores what waits, after the first one has found its root.
        let body = json!([{ "data": "b", "re": 1 }, { "data": "c", "re": waits }]);
        let server = TestUser::named("shop").with_capabilities(&["serve"]);
        room.starts_api_request(&server, ApiOperation::Publish, &body.to_string());
        room.flushes_if_gathering();
        assert_eq!(page(room, ann, json!({ "after": 0 }))[0]["replies"], 3);
        assert_eq!(texts(room, ann, json!({ "re": 1 })), "a b c");
    });
}

#[test]
fn replies_that_are_changed_or_deleted_keep_their_place() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        for text in ["a", "b"] {
            room.sends(ann, reply(1, text));
        }
        room.sends(ann, json!({ "type": "edit", "of": 2, "data": "a2" }));
        room.sends(ann, json!({ "type": "delete", "of": 4 }));
        room.sends(ann, json!({ "type": "react", "of": 2, "name": "x" }));
        let thread = page(room, ann, json!({ "re": 1 }));
        assert_eq!(
            (&thread[0]["data"], &thread[0]["re"]),
            (&json!("a2"), &json!(1))
        );
        assert_eq!(thread[0]["reactions"]["x"]["count"], 1);
        assert_eq!(
            (&thread[1]["deleted"], &thread[1]["re"]),
            (&json!(true), &json!(1))
        );
        let root = page(room, ann, json!({}))[0].clone();
        assert_eq!(
            (&root["replies"], &root["last_reply"]),
            (&json!(1), &json!(4))
        );
        room.sends(ann, json!({ "type": "delete", "of": 2 }));
        let root = page(room, ann, json!({}))[0].clone();
        assert!(root.get("replies").is_none() && root.get("last_reply").is_none());
    });
}

#[test]
fn only_what_is_there_can_be_replied_to() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        room.sends(ann, reply(1, "a"));
        room.publishes(ann, "gone");
        room.sends(ann, json!({ "type": "delete", "of": 4 }));
        let newest = room.newest();
        for of in [0, 3, 4, newest, newest + 1, 9_007_199_254_740_991] {
            room.skips_received();
            room.sends(ann, reply(of, "x"));
            room.receives(
                ann,
                json!({ "type": "error", "id": "x", "code": "not_found" }),
            );
        }
        // A thread ends with its root.
        room.sends(ann, json!({ "type": "delete", "of": 1 }));
        room.skips_received();
        room.sends(ann, reply(2, "x"));
        room.receives(
            ann,
            json!({ "type": "error", "id": "x", "code": "not_found" }),
        );
        assert_eq!(texts(room, ann, json!({ "re": 1 })), "a");
    });
}

#[test]
fn a_repeated_reply_counts_once() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        let reply = json!({ "type": "publish", "id": 1, "re": 1, "data": "a", "key": "k" });
        room.sends(ann, reply.clone());
        room.sends(ann, json!({ "type": "delete", "of": 1 }));
        room.skips_received();
        room.sends(ann, reply);
        room.receives(
            ann,
            json!({ "type": "ack", "offset": 2, "duplicate": true }),
        );
    });
}

#[test]
fn the_back_end_replies_and_reads_threads() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        let body = |re: u64| json!([{ "data": "a", "re": re }, { "data": "b" }]).to_string();
        let server = TestUser::named("shop").with_capabilities(&["serve", "history"]);
        let (status, problem) = room.calls_api(&server, ApiOperation::Publish, &body(7));
        assert_eq!((status, problem), (404, json!("not_found")));
        let largest = SAFE_INTEGER_MAX;
        let status = |room: &mut TestRoom, re: u64| {
            room.calls_api(&server, ApiOperation::Publish, &body(re)).0
        };
        assert_eq!(
            (status(room, largest), status(room, largest + 1)),
            (404, 400)
        );
        for (re, is_valid) in [(largest, true), (largest + 1, false)] {
            let query = format!("re={re}");
            assert_eq!(ApiOperation::messages(&query).is_ok(), is_valid);
        }
        assert_eq!(room.newest(), 1);
        assert_eq!(
            room.calls_api(&server, ApiOperation::Publish, &body(1)).0,
            201
        );
        let thread = ApiOperation::messages("re=1&limit=5").unwrap();
        let (_, page) = room.calls_api(&server, thread, "");
        assert_eq!(page["messages"].as_array().unwrap().len(), 1);
        assert_eq!(page["messages"][0]["re"], 1);
        let entries = history(room, ann, json!({}))["messages"].clone();
        assert_eq!(entries[0]["replies"], 1);
    });
}

#[test]
fn replies_end_with_their_root() {
    let few = |rules: &mut RoomRules| rules.retention.messages_max = 10;
    scenario_with(few, |room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        room.sends(ann, reply(1, "a"));
        assert_eq!(room.stored_replies(), 1);
        for data in 0..200 {
            room.pass_ms(1_000);
            room.publishes(ann, data);
        }
        assert_eq!(room.stored_replies(), 0);
        assert_eq!(texts(room, ann, json!({ "re": 1 })), "");
    });
}

#[test]
fn a_thread_cannot_be_read_once_its_root_is_not_retained() {
    let few = |rules: &mut RoomRules| rules.retention.messages_max = 10;
    scenario_with(few, |room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        for text in ["a", "b", "c"] {
            room.sends(ann, reply(1, text));
        }
        for data in 0..3 {
            assert_eq!(texts(room, ann, json!({ "re": 1 })), "a b c");
            room.publishes(ann, data);
        }
        // The last one is still retained.
        room.publishes(ann, "more");
        assert_eq!(room.stored_replies(), 3);
        for options in [
            json!({ "re": 1 }),
            json!({ "re": 1, "after": 0, "limit": 1 }),
        ] {
            assert_eq!(texts(room, ann, options), "");
        }
    });
}

#[test]
fn whoever_was_away_learns_the_number_of_replies() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hi");
        for text in ["a", "b"] {
            room.sends(ann, reply(1, text));
        }
        let bob = room.admit(TestUser::named("bob").resuming_after(1));
        room.receives(bob, json!({ "type": "welcome", "recovered": true }));
        room.receives(bob, json!({ "type": "message", "data": "a", "re": 1 }));
        let superseded = json!({ "type": "change", "offset": 3, "of": 1 });
        assert_eq!(room.receives(bob, json!({})), superseded);
        room.receives(bob, json!({ "type": "message", "data": "b" }));
        room.receives(
            bob,
            json!({ "type": "change", "action": "replies", "replies": 2 }),
        );
    });
}

fn reply(re: u64, text: &str) -> Value {
    json!({ "type": "publish", "id": text, "re": re, "data": text })
}

fn page(room: &mut TestRoom, client: Client, options: Value) -> Vec<Value> {
    history(room, client, options)["messages"]
        .as_array()
        .unwrap()
        .clone()
}

/// Returns the texts of a page, and an ellipsis if there are more.
fn texts(room: &mut TestRoom, client: Client, options: Value) -> String {
    let page = history(room, client, options);
    let texts = page["messages"].as_array().unwrap().iter();
    let more = (page["more"] == true).then_some("…");
    let texts = texts.map(|one| one["data"].as_str().unwrap());
    texts.chain(more).collect::<Vec<_>>().join(" ")
}

fn history(room: &mut TestRoom, client: Client, options: Value) -> Value {
    room.flushes_if_gathering();
    room.skips_received();
    let mut command = json!({ "type": "history" });
    command
        .as_object_mut()
        .unwrap()
        .extend(options.as_object().unwrap().clone());
    room.sends(client, command);
    room.flushes_if_gathering();
    room.receives(client, json!({ "type": "history" }))
}
