//! Changes of messages: edits, appends and deletions.

use serde_json::{Value, json};
use snug_core::{
    backend::{
        api::{ApiOperation, RequestedAction},
        webhook::EventKinds,
    },
    config::{PublishFallback, RoomRules},
};

use crate::driver::{
    Client, EPOCH, START_MS, TestRoom, TestUser, gathering_scenario, gathering_scenario_with,
    hibernating_scenario_with, scenario, scenario_with,
};

#[test]
fn an_edit_is_stored_and_sent_and_shown_in_place() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, "old");
        room.skips_received();
        room.sends(
            ann,
            json!({ "type": "edit", "id": 1, "of": 1, "data": "new" }),
        );
        room.receives(
            ann,
            json!({ "type": "ack", "id": 1, "offset": 2, "time": START_MS, "version": 2 }),
        );
        let change = json!({
            "type": "change", "offset": 2, "time": START_MS, "of": 1, "version": 2, "action": "edit",
            "user": "ann", "connection": ann.id(), "data": "new"
        });
        assert_eq!(room.receives(ann, json!({})), change);
        assert_eq!(room.receives(bob, json!({})), change);
        assert_eq!(
            page(room, bob),
            [
                json!({
                    "offset": 1, "time": START_MS, "user": "ann", "connection": ann.id(),
                    "data": "new", "version": 2, "changed": START_MS
                }),
                without_type(change),
            ]
        );
        assert!(!stored_text(room).contains("old"));
    });
}

#[test]
fn whoever_was_away_is_brought_to_the_same_state() {
    scenario(|room| {
        let ann = room.join("ann");
        for data in ["a", "b", "c"] {
            room.publishes(ann, data);
        }
        room.sends(ann, json!({ "type": "edit", "of": 1, "data": "a2" }));
        room.sends(ann, json!({ "type": "edit", "of": 1, "data": "a3" }));
        room.sends(ann, json!({ "type": "append", "of": 2, "text": "+" }));
        room.sends(ann, json!({ "type": "append", "of": 2, "text": "+" }));
        room.sends(ann, json!({ "type": "edit", "of": 3, "data": "c2" }));
        room.sends(ann, json!({ "type": "delete", "of": 3, "reason": "spam" }));
        let bob = room.admit(TestUser::named("bob").resuming_after(3));
        room.receives(
            bob,
            json!({ "type": "welcome", "offset": 9, "recovered": true }),
        );
        for replayed in [
            json!({ "type": "change", "offset": 4, "of": 1 }),
            json!({ "offset": 5, "of": 1, "version": 3, "action": "edit", "data": "a3" }),
            json!({ "type": "change", "offset": 6, "of": 2 }),
            json!({ "offset": 7, "of": 2, "version": 3, "action": "edit", "data": "b++" }),
            json!({ "type": "change", "offset": 8, "of": 3 }),
            json!({ "offset": 9, "of": 3, "version": 3, "action": "delete", "reason": "spam" }),
        ] {
            let received = room.receives(bob, replayed.clone());
            let is_bare = replayed.get("type").is_some();
            assert!(!is_bare || received == replayed, "{received}");
        }
        let cho = room.admit(TestUser::named("cho").resuming_after(0));
        room.receives(cho, json!({ "type": "welcome", "recovered": true }));
        room.receives(
            cho,
            json!({ "type": "message", "data": "a3", "version": 3 }),
        );
        room.receives(
            cho,
            json!({ "type": "message", "data": "b++", "version": 3 }),
        );
        let deleted = room.receives(cho, json!({ "type": "message", "deleted": true }));
        assert_eq!(
            deleted,
            json!({
                "type": "message", "offset": 3, "time": START_MS, "user": "ann", "deleted": true,
                "version": 3, "changed": START_MS
            })
        );
        let text = stored_text(room);
        assert!(!text.contains("c2") && !text.contains("\"c\""), "{text}");
    });
}

#[test]
fn appends_of_one_flush_are_one_change_and_one_row() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, json!({ "text": "", "by": "model" }));
        room.flushes();
        room.gets_busy(ann);
        room.skips_received();
        let before = room.stored_count();
        let append =
            |id: u64, text: &str| json!({ "type": "append", "id": id, "of": 1, "text": text });
        room.sends(ann, append(1, "He"));
        room.sends(ann, append(2, "llo"));
        room.sends(
            ann,
            json!({ "type": "edit", "id": 3, "of": 1, "data": { "text": "Oh" } }),
        );
        room.sends(ann, append(4, ","));
        room.sends(ann, append(5, " \"you\""));
        room.flushes();
        let offset = |room: &mut TestRoom, id: u64| {
            room.receives(ann, json!({ "type": "ack", "id": id }))["offset"].clone()
        };
        let (first, second) = (
            offset(room, 1),
            room.receives(ann, json!({ "action": "append" })),
        );
        assert_eq!(offset(room, 2), first);
        assert_eq!(
            (&second["text"], &second["version"]),
            (&json!("Hello"), &json!(2))
        );
        room.receives(bob, json!({ "action": "append", "text": "Hello" }));
        room.receives(bob, json!({ "action": "edit", "version": 3 }));
        room.receives(
            bob,
            json!({ "action": "append", "text": ", \"you\"", "version": 4 }),
        );
        room.receives_nothing(bob);
        assert_eq!(room.stored_count(), before + 1);
        let entries = page(room, bob);
        assert_eq!(entries[0]["data"], json!({ "text": "Oh, \"you\"" }));
        assert_eq!(entries[0]["version"], 4);
    });
}

#[test]
fn a_room_with_many_appends_gathers_as_long_as_with_messages() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, "a");
        room.flushes();
        room.gets_busy(ann);
        let append = json!({ "type": "append", "of": 1, "text": "b" });
        for _ in 0..4 {
            room.sends(ann, append.clone());
        }
        room.flushes();
        // The last flush held several texts, so more are expected, even after its window.
        room.pass_ms(100);
        room.skips_received();
        room.sends(ann, append.clone());
        room.receives_nothing(bob);
        room.flushes();
        room.receives(bob, json!({ "type": "change", "text": "b" }));
    });
}

#[test]
fn an_append_does_not_overtake_a_message_of_its_connection() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, "a");
        room.flushes();
        room.gets_busy(ann);
        room.skips_received();
        let append = |text: &str| json!({ "type": "append", "of": 1, "text": text });
        room.sends(ann, append("b"));
        room.publishes(bob, "between");
        room.sends(ann, append("c"));
        room.publishes(ann, "after");
        room.sends(ann, append("d"));
        room.flushes();
        room.receives(bob, json!({ "type": "change", "text": "bc" }));
        room.receives_message(bob, "between");
        room.receives_message(bob, "after");
        room.receives(bob, json!({ "type": "change", "text": "d" }));
    });
}

#[test]
fn only_what_can_be_changed_is_changed() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, json!([1]));
        room.publishes(ann, "text");
        let change = |of: u64, more: Value| {
            let mut command = json!({ "type": "edit", "id": "e", "of": of, "data": 1 });
            merge(&mut command, more);
            command
        };
        let append = json!({ "type": "append", "text": "x" });
        for (client, command, code) in [
            (ann, change(0, json!({})), "not_found"),
            (ann, change(3, json!({})), "not_found"),
            (ann, change(9_007_199_254_740_991, json!({})), "not_found"),
            (bob, change(1, json!({})), "forbidden"),
            (bob, change(1, json!({ "type": "delete" })), "forbidden"),
            (bob, change(2, append.clone()), "forbidden"),
            (ann, change(1, append.clone()), "bad_command"),
            (ann, change(1, json!({ "if_version": 2 })), "conflict"),
            (ann, change(1, json!({ "if_version": 0 })), "conflict"),
        ] {
            assert_eq!(refused(room, client, &command)["code"], code, "{command}");
        }
        assert_eq!(
            accepted(room, ann, &change(1, json!({ "if_version": 1 })))["version"],
            2
        );
        let conflict = refused(room, ann, &change(1, json!({ "if_version": 1 })));
        assert_eq!(
            (&conflict["version"], &conflict["retryable"]),
            (&json!(2), &json!(false))
        );
        // Of a change, and of what is deleted.
        assert_eq!(
            refused(room, ann, &change(3, json!({})))["code"],
            "not_found"
        );
        accepted(room, ann, &change(1, json!({ "type": "delete" })));
        for kind in ["edit", "append", "delete"] {
            let again = change(1, json!({ "type": kind, "text": "x" }));
            assert_eq!(refused(room, ann, &again)["code"], "not_found", "{again}");
        }
        for (name, can) in [("mod", "edit_any"), ("mod2", "delete_any")] {
            let user = TestUser::named(name).with_capabilities(&["receive", "history", can]);
            let moderator = room.admit(user);
            let (edit, delete) = (change(2, json!({})), change(2, json!({ "type": "delete" })));
            let (may, may_not) = if can == "edit_any" {
                (edit, delete)
            } else {
                (delete, edit)
            };
            assert_eq!(refused(room, moderator, &may_not)["code"], "forbidden");
            accepted(room, moderator, &may);
        }
    });
}

#[test]
fn a_token_that_lost_the_capability_changes_nothing() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, 1);
        room.refreshes(
            ann,
            TestUser::named("ann").with_capabilities(&["receive", "publish"]),
        );
        for kind in ["edit", "append", "delete"] {
            let command = json!({ "type": kind, "id": 1, "of": 1, "data": 2, "text": "x" });
            assert_eq!(refused(room, ann, &command)["code"], "forbidden", "{kind}");
        }
    });
}

#[test]
fn an_append_is_limited_by_the_whole_message() {
    scenario(|room| {
        let ann = room.admit(TestUser::named("ann").with_message_bytes(100));
        room.publishes(ann, "x".repeat(60));
        // 62 bytes are stored, with the quotes.
        let append =
            |bytes: usize| json!({ "type": "append", "id": 1, "of": 1, "text": "x".repeat(bytes) });
        assert_eq!(refused(room, ann, &append(39))["code"], "too_large");
        accepted(room, ann, &append(38));
        assert_eq!(refused(room, ann, &append(1))["code"], "too_large");
        accepted(room, ann, &append(0));
    });
}

#[test]
fn a_message_below_the_floor_cannot_be_changed() {
    let rules = |rules: &mut RoomRules| rules.retention.messages_max = 2;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        for data in 1..=3 {
            room.publishes(ann, data);
        }
        let edit = |of: u64| json!({ "type": "edit", "id": 1, "of": of, "data": "new" });
        assert_eq!(refused(room, ann, &edit(1))["code"], "not_found");
        accepted(room, ann, &edit(2));
        // The change itself has taken a place.
        assert_eq!(refused(room, ann, &edit(2))["code"], "not_found");
    });
    let none = |rules: &mut RoomRules| rules.retention.messages_max = 0;
    scenario_with(none, |room| {
        let ann = room.join("ann");
        room.publishes(ann, 1);
        let edit = json!({ "type": "edit", "id": 1, "of": 1, "data": 2 });
        assert_eq!(refused(room, ann, &edit)["code"], "not_found");
    });
}

#[test]
fn the_last_change_of_a_trimmed_message_is_replayed() {
    let rules = |rules: &mut RoomRules| {
        rules.retention.messages_max = 100;
        (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
    };
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        for data in 1..=90 {
            room.publishes(ann, data);
        }
        room.sends(ann, json!({ "type": "edit", "of": 1, "data": "new" }));
        room.sends(ann, json!({ "type": "delete", "of": 2 }));
        for data in 93..=150 {
            room.publishes(ann, data);
        }
        // Bob has seen both messages, which the room does not retain any more, but not their changes.
        let bob = room.admit(TestUser::named("bob").resuming_after(90));
        room.receives(bob, json!({ "type": "welcome", "recovered": true }));
        room.receives(
            bob,
            json!({ "type": "change", "of": 1, "action": "edit", "data": "new" }),
        );
        room.receives(
            bob,
            json!({ "type": "change", "of": 2, "action": "delete" }),
        );
        for data in 151..=300 {
            room.publishes(ann, data);
        }
        assert_eq!(room.changed_count(), 0);
    });
}

#[test]
fn a_quiet_room_deletes_all_its_changed_messages_in_time() {
    let rules = |rules: &mut RoomRules| {
        (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
        rules.retention.seconds_max = 3_600;
        rules.idle_timeout_ms = 24 * 3_600_000;
    };
    // A restored room trims again without the pause between two trims.
    hibernating_scenario_with(rules, |room| {
        let ann = room.join("ann");
        let frame = |command: &dyn Fn(u64) -> Value| (1..=300).map(command).collect::<Vec<_>>();
        room.sends_lines(
            ann,
            &frame(&|data| json!({ "type": "publish", "data": data })),
        );
        room.sends_lines(
            ann,
            &frame(&|of| json!({ "type": "edit", "of": of, "data": "new" })),
        );
        // Few rows, but more changed messages than are deleted at a time.
        assert!(room.stored_count() < 10 && room.changed_count() == 300);
        room.pass_ms(2 * 3_600_000);
        assert!(room.is_open(ann));
        assert_eq!(room.changed_count(), 0);
    });
}

#[test]
fn a_change_that_waits_is_stored_before_its_message_is_trimmed() {
    let rules = |rules: &mut RoomRules| rules.retention.seconds_max = 60;
    gathering_scenario_with(rules, |room| {
        let ann = room.join("ann");
        // So many that the room gathers for more than a millisecond.
        for user in 0..100 {
            room.join(&format!("user {user}"));
        }
        room.settles();
        room.publishes(ann, "oldest");
        room.pass_ms(5_999);
        room.publishes(ann, "old");
        room.pass_ms(57_000);
        room.gets_busy(ann);
        // The message is 60 seconds old, and the trim a millisecond away.
        room.sends(
            ann,
            json!({ "type": "edit", "id": 1, "of": 2, "data": "new" }),
        );
        assert!(room.gathering_ms() > 1);
        room.pass_ms(1);
        room.receives(ann, json!({ "type": "ack", "offset": 4, "version": 2 }));
        let bob = room.admit(TestUser::named("bob").resuming_after(3));
        room.receives(bob, json!({ "type": "welcome", "recovered": true }));
        room.receives(
            bob,
            json!({ "type": "change", "of": 2, "action": "edit", "data": "new" }),
        );
        assert!(!stored_text(room).contains("old"));
    });
}

#[test]
fn what_has_become_of_trimmed_messages_is_deleted() {
    let rules = |rules: &mut RoomRules| {
        rules.retention.messages_max = 10;
        (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
    };
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        for _ in 0..300 {
            room.publishes(ann, "text");
            let offset = room.newest();
            room.sends(ann, json!({ "type": "append", "of": offset, "text": "!" }));
        }
        assert!(room.changed_count() < 10 + 64, "{}", room.changed_count());
    });
}

#[test]
fn a_repeated_key_changes_once() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "a");
        let append = json!({ "type": "append", "id": 1, "of": 1, "text": "b", "key": "k" });
        let first = accepted(room, ann, &append);
        let again = accepted(room, ann, &append);
        assert_eq!(
            (&again["offset"], &again["duplicate"]),
            (&first["offset"], &json!(true))
        );
        assert_eq!(page(room, ann)[0]["data"], "ab");
    });
}

#[test]
fn a_change_that_was_not_stored_has_no_effect() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "a");
        room.skips_received();
        let append = |text: &str| json!({ "type": "append", "id": 1, "of": 1, "text": text });
        room.storage_fails_once();
        room.sends(ann, append("b"));
        room.receives(
            ann,
            json!({ "type": "error", "code": "internal", "retryable": true }),
        );
        room.skips_received();
        assert_eq!(accepted(room, ann, &append("c"))["version"], 2);
        assert_eq!(page(room, ann)[0]["data"], "ac");
    });
}

#[test]
fn a_sender_without_echo_does_not_get_its_own_changes() {
    scenario(|room| {
        let ann = room.admit(TestUser::named("ann").without_echo());
        let bob = room.join("bob");
        room.publishes(ann, "a");
        room.skips_received();
        room.sends(ann, json!({ "type": "edit", "of": 1, "data": "b" }));
        room.receives_nothing(ann);
        room.receives(bob, json!({ "type": "change", "data": "b" }));
    });
}

#[test]
fn the_publish_hook_decides_about_edits_and_appends() {
    let rules = |rules: &mut RoomRules| rules.publish_fallback = Some(PublishFallback::Refuse);
    scenario_with(rules, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, "a");
        room.hook_allows_all();
        room.skips_received();
        room.sends_lines(
            ann,
            &[
                json!({ "type": "edit", "id": 1, "of": 1, "data": "bad" }),
                json!({ "type": "append", "id": 2, "of": 1, "text": "!" }),
                json!({ "type": "edit", "id": 3, "of": 1, "data": "worse" }),
            ],
        );
        let proposed = |action: &str, data: &str| json!({ "user": "ann", "connection": ann.id(), "of": 1, "action": action, "data": data });
        let expected = json!([
            proposed("edit", "bad"),
            proposed("append", "!"),
            proposed("edit", "worse")
        ]);
        assert_eq!(room.hook_messages(), expected);
        room.hook_decides(&[
            json!({ "allow": true, "data": "good" }),
            json!({ "allow": true, "data": "?" }),
            json!({ "allow": false, "reason": "no" }),
        ]);
        room.receives(ann, json!({ "type": "ack", "id": 1, "version": 2 }));
        room.receives(ann, json!({ "type": "change", "data": "good" }));
        room.receives(ann, json!({ "type": "ack", "id": 2, "version": 3 }));
        room.receives(ann, json!({ "type": "change", "text": "?" }));
        room.receives(
            ann,
            json!({ "type": "error", "id": 3, "code": "refused", "message": "no" }),
        );
        // A deletion does not go through the hook.
        room.skips_received();
        room.sends(ann, json!({ "type": "delete", "id": 4, "of": 1 }));
        room.receives(ann, json!({ "type": "ack", "id": 4 }));
        // Who may not change a message does not trouble the application.
        room.publishes(ann, "mine");
        room.hook_allows_all();
        room.skips_received();
        room.sends(
            bob,
            json!({ "type": "edit", "id": 5, "of": 5, "data": "x" }),
        );
        room.receives(
            bob,
            json!({ "type": "error", "id": 5, "code": "forbidden" }),
        );
        assert!(room.has_no_hook_request());
    });
}

#[test]
fn a_message_that_is_deleted_while_an_edit_awaits_its_decision_stays_deleted() {
    let rules = |rules: &mut RoomRules| rules.publish_fallback = Some(PublishFallback::Refuse);
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        let user = TestUser::named("mod").with_capabilities(&["receive", "delete_any"]);
        let moderator = room.admit(user);
        room.publishes(ann, "a");
        room.hook_allows_all();
        room.sends(
            ann,
            json!({ "type": "edit", "id": 1, "of": 1, "data": "b" }),
        );
        room.skips_received();
        room.sends(moderator, json!({ "type": "delete", "of": 1 }));
        room.receives(
            ann,
            json!({ "type": "change", "action": "delete", "user": "mod" }),
        );
        room.hook_allows_all();
        room.receives(
            ann,
            json!({ "type": "error", "id": 1, "code": "not_found" }),
        );
        assert!(!stored_text(room).contains("\"b\""));
    });
}

#[test]
fn the_back_end_changes_anybodys_messages() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, json!({ "text": "a" }));
        room.skips_received();
        let change = |action, if_match| ApiOperation::change("1", action, if_match, "").unwrap();
        let edit = change(RequestedAction::Edit, Some("\"1\""));
        let (status, edited) = room.calls_api(
            &server(),
            edit.clone(),
            r#"{"data":{"text":"b"},"user":"bot"}"#,
        );
        assert_eq!(
            (status, &edited),
            (
                200,
                &json!({ "epoch": EPOCH, "offset": 2, "time": START_MS, "version": 2 })
            )
        );
        let pushed = room.receives(
            ann,
            json!({ "type": "change", "user": "bot", "action": "edit" }),
        );
        assert_eq!(pushed.get("connection"), None);
        assert_eq!(
            room.calls_api(&server(), edit, r#"{"data":1}"#),
            (412, "conflict".into())
        );
        let append = change(RequestedAction::Append, None);
        room.publishes(ann, 7);
        let of_number = ApiOperation::change("3", RequestedAction::Append, None, "").unwrap();
        let refused = room.calls_api(&server(), of_number, r#"{"text":"c"}"#);
        assert_eq!(refused, (409, "not_appendable".into()));
        for _ in 0..2 {
            let (status, _) =
                room.calls_api(&server(), append.clone(), r#"{"text":"c","key":"k"}"#);
            assert_eq!(status, 200);
        }
        assert_eq!(page(room, ann)[0]["data"], json!({ "text": "bc" }));
        let query = "reason=rude&user=mod&key=k2";
        let delete = ApiOperation::delete("1", None, query).unwrap();
        for _ in 0..2 {
            assert_eq!(room.calls_api(&server(), delete.clone(), "").0, 200);
        }
        let again = ApiOperation::delete("1", None, "").unwrap();
        let refused = room.calls_api(&server(), again, "");
        assert_eq!(refused, (404, "not_found".into()));
        let entries = page(room, ann);
        assert_eq!(entries[0]["deleted"], true);
        assert_eq!(entries.last().unwrap()["reason"], "rude");
    });
}

#[test]
fn bad_requests_to_change_a_message_have_a_clear_error() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "a");
        let edit = ApiOperation::change("1", RequestedAction::Edit, None, "").unwrap();
        let append = ApiOperation::change("1", RequestedAction::Append, None, "").unwrap();
        for (operation, body) in [
            (&edit, ""),
            (&edit, "[]"),
            (&edit, "{}"),
            (&edit, r#"{"text":"a"}"#),
            (&edit, r#"{"data":1,"text":"a"}"#),
            (&edit, r#"{"data":1,"key":""}"#),
            (&edit, r#"{"data":1,"event":"e"}"#),
            (&append, r#"{"data":"a"}"#),
            (&append, r#"{"text":1}"#),
        ] {
            let answer = room.calls_api(&server(), operation.clone(), body);
            assert_eq!(answer, (400, "bad_request".into()), "{body}");
        }
        for (offset, if_match, query) in [
            ("x", None, ""),
            ("-1", None, ""),
            ("1", Some("W/1"), ""),
            ("1", Some(""), ""),
            ("1", None, "user=ann"),
        ] {
            let operation = ApiOperation::change(offset, RequestedAction::Edit, if_match, query);
            assert!(operation.is_err(), "{offset} {if_match:?} {query}");
        }
        assert!(ApiOperation::delete("1", None, "user=").is_err());
        assert!(ApiOperation::delete("1", None, "why=x").is_err());
        assert!(ApiOperation::delete("1", None, "key=").is_err());
    });
}

#[test]
fn changes_are_reported_and_a_deleted_text_is_in_no_event() {
    let rules = |rules: &mut RoomRules| {
        rules.events = EventKinds::parse("message.published,message.changed").unwrap();
    };
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        room.publishes(ann, "secret 1");
        room.publishes(ann, "kept");
        room.sends(ann, json!({ "type": "edit", "of": 1, "data": "secret 2" }));
        room.sends(
            ann,
            json!({ "type": "append", "of": 1, "text": "secret 3" }),
        );
        room.sends(ann, json!({ "type": "delete", "of": 1, "reason": "rude" }));
        let stored = room.stored_events().join("\n");
        assert!(
            !stored.contains("secret") && stored.contains("kept"),
            "{stored}"
        );
        room.pass_ms(5_000);
        let events = room.last_delivery();
        let kinds: Vec<_> = events
            .iter()
            .map(|event| event["type"].as_str().unwrap())
            .collect();
        let (published, changed) = ("message.published", "message.changed");
        assert_eq!(kinds, [published, published, changed, changed, changed]);
        assert_eq!(events[0]["message"]["deleted"], true);
        let deletion = json!({
            "offset": 5, "time": START_MS, "of": 1, "version": 4, "action": "delete",
            "user": "ann", "connection": ann.id(), "reason": "rude"
        });
        assert_eq!(events[4]["change"], deletion);
    });
}

#[test]
fn changes_alone_can_be_reported() {
    let rules =
        |rules: &mut RoomRules| rules.events = EventKinds::parse("message.changed").unwrap();
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        room.publishes(ann, "a");
        room.sends(ann, json!({ "type": "edit", "of": 1, "data": "b" }));
        room.publishes(ann, "c");
        room.pass_ms(5_000);
        let events = room.last_delivery();
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["change"]["data"], "b");
        assert_eq!(events[0]["epoch"], EPOCH);
    });
}

#[test]
fn an_erased_room_forgets_the_changes() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "a");
        room.sends(ann, json!({ "type": "edit", "of": 1, "data": "b" }));
        room.calls_api(&server(), ApiOperation::Erase, "");
        let ann = room.join("ann");
        room.publishes(ann, "c");
        assert_eq!(
            page(room, ann),
            [json!({
                "offset": 1, "time": START_MS, "user": "ann", "connection": ann.id(), "data": "c"
            })]
        );
        assert_eq!(room.changed_count(), 0);
    });
}

#[test]
fn a_page_of_long_edits_ends_at_its_byte_limit() {
    let rules = |rules: &mut RoomRules| {
        rules.retention.bytes_max = 1 << 30;
        (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
    };
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        for data in 1..=20 {
            room.publishes(ann, data);
        }
        for of in 1..=20 {
            let data = "x".repeat(60_000);
            room.sends(ann, json!({ "type": "edit", "of": of, "data": data }));
        }
        room.skips_received();
        let (mut after, mut seen) = (0, Vec::new());
        loop {
            room.sends(ann, json!({ "type": "history", "after": after }));
            let page = room.receives(ann, json!({ "type": "history" }));
            assert!(page.to_string().len() < 1_100_000);
            let entries = page["messages"].as_array().unwrap();
            seen.extend(
                entries
                    .iter()
                    .map(|entry| entry["offset"].as_u64().unwrap()),
            );
            after = *seen.last().unwrap();
            if page["more"] == false {
                break;
            }
            room.pass_ms(10_000);
        }
        assert_eq!(seen, (1..=40).collect::<Vec<_>>());
    });
}

fn server() -> TestUser {
    TestUser::named("server").with_capabilities(&["serve", "history"])
}

/// Returns the entries of the newest page.
fn page(room: &mut TestRoom, client: Client) -> Vec<Value> {
    room.skips_received();
    room.sends(client, json!({ "type": "history" }));
    let page = room.receives(client, json!({ "type": "history" }));
    page["messages"].as_array().unwrap().clone()
}

#[track_caller]
fn accepted(room: &mut TestRoom, client: Client, command: &Value) -> Value {
    room.skips_received();
    room.sends(client, command.clone());
    room.receives(client, json!({ "type": "ack", "id": command["id"] }))
}

#[track_caller]
fn refused(room: &mut TestRoom, client: Client, command: &Value) -> Value {
    room.skips_received();
    room.sends(client, command.clone());
    let error = room.receives(client, json!({ "type": "error", "id": command["id"] }));
    // So that errors do not close the connection.
    room.pass_ms(10_000);
    error
}

/// Returns everything that the storage holds of messages.
fn stored_text(room: &TestRoom) -> String {
    room.stored_messages()
}

fn without_type(mut push: Value) -> Value {
    push.as_object_mut().unwrap().remove("type");
    push
}

fn merge(object: &mut Value, more: Value) {
    let more = more.as_object().unwrap().clone();
    object.as_object_mut().unwrap().extend(more);
}
