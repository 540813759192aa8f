//! The publish hook: the application decides about messages before they are stored.

use serde_json::{Value, json};
use snug_core::{
    Refusal,
    backend::api::ApiOperation,
    config::{PublishFallback, RoomRules},
    limits::{
        FRAME_BYTES_MAX, HOOK_BYTES_MAX, HOOK_MESSAGES_MAX, PENDING_BYTES_MAX,
        PENDING_MESSAGES_MAX, PENDING_OVERHEAD_BYTES,
    },
};

use crate::driver::{
    Client, TestRoom, TestUser, default_rules, gathering_scenario_with, hibernating_scenario_with,
    scenario_with,
};

fn with_hook(rules: &mut RoomRules) {
    rules.publish_fallback = Some(PublishFallback::Refuse);
}

fn with_hook_and_no_rate_limit(rules: &mut RoomRules) {
    with_hook(rules);
    (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
}

fn with_hook_and_allow_fallback(rules: &mut RoomRules) {
    rules.publish_fallback = Some(PublishFallback::Allow);
}

fn publish(id: impl Into<Value>, data: impl Into<Value>) -> Value {
    json!({ "type": "publish", "id": id.into(), "data": data.into() })
}

fn allow() -> Value {
    json!({ "allow": true })
}

fn refuse(reason: &str) -> Value {
    json!({ "allow": false, "reason": reason })
}

#[test]
fn an_allowed_message_is_stored_and_sent_unchanged() {
    scenario_with(with_hook, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.sends(
            ann,
            json!({ "type": "publish", "id": 1, "event": "chat", "data": { "a": 1 } }),
        );
        room.receives_nothing(ann);
        room.receives_nothing(bob);
        assert_eq!(room.stored_count(), 0);
        let request = json!([
            { "user": "ann", "connection": ann.id(), "event": "chat", "data": { "a": 1 } }
        ]);
        assert_eq!(room.hook_messages(), request);
        room.pass_ms(300);
        room.hook_allows_all();
        let ack = room.receives(ann, json!({ "type": "ack", "id": 1, "offset": 1 }));
        assert_eq!(ack["time"], room.now_ms());
        for client in [ann, bob] {
            let message = room.receives_message(client, json!({ "a": 1 }));
            assert_eq!(
                (&message["user"], &message["event"]),
                (&json!("ann"), &json!("chat"))
            );
            assert_eq!(message["connection"], ann.id());
        }
        assert!(room.has_no_hook_request());
    });
}

#[test]
fn without_a_hook_messages_are_stored_directly() {
    scenario_with(
        |_| {},
        |room| {
            let ann = room.join("ann");
            room.publishes(ann, 1);
            assert!(room.has_no_hook_request());
            assert_eq!(room.stored_count(), 1);
        },
    );
}

#[test]
fn replaced_data_is_stored_and_sent() {
    scenario_with(with_hook, |room| {
        let ann = room.join("ann");
        room.skips_received();
        room.sends_lines(ann, &[publish(1, "damn"), publish(2, "nothing")]);
        room.hook_decides(&[
            json!({ "allow": true, "data": "d…" }),
            json!({ "allow": true, "data": null }),
        ]);
        room.receives(ann, json!({ "type": "ack", "id": 1, "offset": 1 }));
        room.receives_message(ann, "d…");
        room.receives(ann, json!({ "type": "ack", "id": 2, "offset": 2 }));
        room.receives_message(ann, Value::Null);
        room.sends(ann, json!({ "type": "history" }));
        let page = room.receives(ann, json!({ "type": "history" }));
        assert_eq!(page["messages"][0]["data"], "d…");
        assert_eq!(page["messages"][1]["data"], Value::Null);
    });
}

#[test]
fn replaced_data_with_line_breaks_stays_one_line() {
    scenario_with(with_hook, |room| {
        let ann = room.join("ann");
        room.skips_received();
        room.publishes(ann, 1);
        room.hook_responds(200, "{\"decisions\":[{\"allow\":true,\"data\":[1,\r\n2]}]}");
        room.receives_message(ann, json!([1, 2]));
    });
}

#[test]
fn replaced_data_has_the_size_limit_of_the_member() {
    scenario_with(with_hook, |room| {
        let ann = room.admit(TestUser::named("ann").with_message_bytes(100));
        room.skips_received();
        let change = |bytes: usize| json!([{ "allow": true, "data": "x".repeat(bytes - 2) }]);
        room.sends(ann, publish(1, 1));
        room.hook_decides(change(100).as_array().unwrap());
        room.receives(ann, json!({ "type": "ack", "id": 1 }));
        room.skips_received();
        room.sends(ann, publish(2, 1));
        room.hook_decides(change(101).as_array().unwrap());
        room.receives(ann, json!({ "id": 2, "code": "internal" }));
    });
}

#[test]
fn refused_messages_do_not_count_as_client_errors() {
    scenario_with(with_hook, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        for (decision, message) in [
            (refuse("no links, please"), "no links, please"),
            (json!({ "allow": false }), "the message was refused"),
            (refuse(""), "the message was refused"),
        ] {
            for _ in 0..10 {
                room.sends(ann, publish("a", "spam"));
                room.hook_decides(std::slice::from_ref(&decision));
                let error = json!({
                    "type": "error",
                    "id": "a",
                    "code": "refused",
                    "message": message,
                    "retryable": false,
                });
                assert_eq!(room.receives(ann, error.clone()), error);
                room.receives_nothing(bob);
            }
        }
        assert_eq!(room.stored_count(), 0);
        assert!(room.is_open(ann));
    });
}

#[test]
fn messages_stay_in_order_across_connections_and_decisions() {
    scenario_with(with_hook, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.sends(ann, publish(1, "a1"));
        room.sends(bob, publish(1, "b1"));
        room.sends_lines(ann, &[publish(2, "a2"), publish(3, "a3")]);
        room.sends(bob, publish(2, "b2"));
        assert_eq!(room.hook_data(), ["a1"]);
        room.hook_allows_all();
        assert_eq!(room.hook_data(), ["b1", "a2", "a3", "b2"]);
        room.hook_decides(&[
            json!({ "allow": true, "data": "B1" }),
            refuse("no"),
            allow(),
            allow(),
        ]);
        assert!(room.has_no_hook_request());
        room.receives(ann, json!({ "type": "ack", "id": 1, "offset": 1 }));
        room.receives_message(ann, "a1");
        room.receives_message(ann, "B1");
        room.receives(ann, json!({ "id": 2, "code": "refused" }));
        room.receives(ann, json!({ "type": "ack", "id": 3, "offset": 3 }));
        room.receives_message(ann, "a3");
        room.receives_message(ann, "b2");
        for data in ["a1", "B1", "a3", "b2"] {
            let next = room.next_message(bob);
            assert_eq!(next, data);
        }
    });
}

#[test]
fn without_valid_decisions_the_fallback_applies() {
    let answers = [
        (500, r#"{"decisions":[{"allow":true},{"allow":true}]}"#),
        (200, "nonsense"),
        (200, r#"{"decisions":[{"allow":true}]}"#),
        (
            200,
            r#"{"decisions":[{"allow":false},{"allow":false},{"allow":false}]}"#,
        ),
        (200, r#"{"decisions":[{"allow":false},{"allow":7}]}"#),
    ];
    for (status, body) in answers {
        scenario_with(with_hook, |room| {
            let ann = room.join("ann");
            room.skips_received();
            room.sends_lines(ann, &[publish(1, "a"), publish(2, "b")]);
            room.hook_responds(status, body);
            for id in [1, 2] {
                let error = room.receives(
                    ann,
                    json!({ "type": "error", "id": id, "code": "internal", "retryable": true }),
                );
                assert_eq!(error["retry_after_ms"], 1000);
            }
            room.receives_nothing(ann);
            assert_eq!(room.stored_count(), 0);
        });
        scenario_with(with_hook_and_allow_fallback, |room| {
            let ann = room.join("ann");
            room.skips_received();
            room.sends_lines(ann, &[publish(1, "a"), publish(2, "b")]);
            room.hook_responds(status, body);
            room.receives(ann, json!({ "type": "ack", "id": 1, "offset": 1 }));
            room.receives_message(ann, "a");
            room.receives(ann, json!({ "type": "ack", "id": 2, "offset": 2 }));
            room.receives_message(ann, "b");
        });
    }
}

#[test]
fn messages_that_waited_for_a_failed_call_are_in_the_next_request() {
    scenario_with(with_hook, |room| {
        let ann = room.join("ann");
        room.sends(ann, publish(1, 1));
        for data in 2..=7 {
            room.publishes(ann, data);
        }
        room.skips_received();
        room.hook_call_ends(None);
        room.receives(ann, json!({ "id": 1, "code": "internal" }));
        assert_eq!(room.hook_data(), [2, 3, 4, 5, 6, 7]);
        room.hook_allows_all();
        for data in 2..=7 {
            room.receives_message(ann, data);
        }
    });
}

#[test]
fn a_known_key_needs_no_decision() {
    scenario_with(with_hook, |room| {
        let ann = room.join("ann");
        room.skips_received();
        let command = json!({ "type": "publish", "id": 1, "key": "k", "data": 1 });
        room.sends(ann, command.clone());
        room.hook_allows_all();
        room.receives(ann, json!({ "type": "ack", "offset": 1 }));
        room.receives_message(ann, 1);
        room.sends(ann, command);
        assert!(room.has_no_hook_request());
        room.receives(
            ann,
            json!({ "type": "ack", "offset": 1, "duplicate": true }),
        );
        room.receives_nothing(ann);
    });
}

#[test]
fn replies_to_a_members_messages_keep_their_order() {
    scenario_with(with_hook, |room| {
        let ann = room.join("ann");
        let keyed = |id: u64| json!({ "type": "publish", "id": id, "key": "k", "data": 1 });
        room.sends(ann, keyed(1));
        room.hook_allows_all();
        room.skips_received();
        room.sends_lines(ann, &[keyed(2), publish(3, 3), keyed(4)]);
        room.receives(ann, json!({ "type": "ack", "id": 2, "duplicate": true }));
        room.receives_nothing(ann);
        room.hook_allows_all();
        room.receives(ann, json!({ "type": "ack", "id": 3 }));
        room.receives_message(ann, 3);
        room.receives(ann, json!({ "type": "ack", "id": 4, "duplicate": true }));
        room.receives_nothing(ann);
    });
}

#[test]
fn a_key_that_was_stored_during_the_call_is_a_duplicate() {
    scenario_with(with_hook, |room| {
        let (ann, tab) = (room.join("ann"), room.join("ann"));
        room.skips_received();
        let command = json!({ "type": "publish", "id": 1, "key": "k", "data": 1 });
        room.sends(ann, command.clone());
        room.sends_lines(tab, &[command.clone(), command]);
        room.hook_allows_all();
        // The decisions no longer matter, because the message is stored.
        room.hook_decides(&[refuse("too late"), allow()]);
        room.receives(ann, json!({ "type": "ack", "offset": 1 }));
        room.receives_message(ann, 1);
        room.receives_message(tab, 1);
        for _ in 0..2 {
            room.receives(
                tab,
                json!({ "type": "ack", "offset": 1, "duplicate": true }),
            );
        }
        room.receives_nothing(ann);
        assert_eq!(room.stored_count(), 1);
    });
}

#[test]
fn messages_of_the_back_end_bypass_the_hook() {
    scenario_with(with_hook, |room| {
        let ann = room.join("ann");
        room.skips_received();
        room.sends(
            ann,
            json!({ "type": "publish", "id": 1, "key": "k", "data": "ann's" }),
        );
        let server = TestUser::named("server").with_capabilities(&["serve"]);
        let body = r#"{"data":"its own","key":"k","user":"ann"}"#;
        let (status, _) = room.calls_api(&server, ApiOperation::Publish, body);
        assert_eq!(status, 201);
        room.receives_message(ann, "its own");
        room.hook_allows_all();
        room.receives(
            ann,
            json!({ "type": "ack", "offset": 1, "duplicate": true }),
        );
        room.receives_nothing(ann);
    });
}

#[test]
fn later_commands_of_a_connection_wait_and_other_connections_do_not() {
    scenario_with(with_hook, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        let ping = |id: u64| json!({ "type": "ping", "id": id });
        let signal = json!({ "type": "signal", "data": "typing" });
        room.sends_lines(
            ann,
            &[publish(1, "a1"), ping(2), signal.clone(), publish(3, "a2")],
        );
        room.sends(ann, json!({ "type": "members", "id": 4 }));
        room.sends_text(ann, "{");
        room.sends(bob, signal.clone());
        room.receives(ann, json!({ "type": "signal", "user": "bob" }));
        room.sends(bob, ping(7));
        room.receives(bob, json!({ "type": "pong", "id": 7 }));
        room.receives_nothing(ann);
        room.receives_nothing(bob);
        assert_eq!(room.hook_data(), ["a1"]);
        room.hook_allows_all();
        room.receives(ann, json!({ "type": "ack", "id": 1 }));
        room.receives_message(ann, "a1");
        room.receives(ann, json!({ "type": "pong", "id": 2 }));
        room.receives_nothing(ann);
        room.receives_message(bob, "a1");
        room.receives(bob, json!({ "type": "signal", "user": "ann" }));
        assert_eq!(room.hook_data(), ["a2"]);
        room.hook_decides(&[refuse("no")]);
        room.receives(ann, json!({ "id": 3, "code": "refused" }));
        room.receives(ann, json!({ "type": "members", "id": 4 }));
        room.receives(ann, json!({ "code": "bad_json" }));
        room.receives_nothing(ann);
    });
}

#[test]
fn later_frames_of_a_plain_connection_wait_too() {
    scenario_with(with_hook, |room| {
        let ann = room.admit(TestUser::named("ann").plain());
        room.skips_received();
        room.sends(ann, publish(1, "a1"));
        room.sends_text(ann, "{\"type\":\"ping\",\n\"id\":2}");
        room.sends(ann, publish(3, "a2"));
        room.hook_allows_all();
        room.receives(ann, json!({ "type": "ack", "id": 1 }));
        room.receives_message(ann, "a1");
        room.receives(ann, json!({ "type": "pong", "id": 2 }));
        assert_eq!(room.hook_data(), ["a2"]);
        room.hook_allows_all();
        room.receives(ann, json!({ "type": "ack", "id": 3 }));
    });
}

#[test]
fn waiting_commands_count_toward_the_rate_once() {
    let slow = |rules: &mut RoomRules| {
        with_hook(rules);
        (rules.rate.per_second, rules.rate.burst) = (1, 3);
    };
    hibernating_scenario_with(slow, |room| {
        let ann = room.join("ann");
        room.skips_received();
        let ping = |id: u64| json!({ "type": "ping", "id": id });
        room.sends_lines(ann, &[publish(1, 1), publish(2, 2), ping(3), ping(4)]);
        room.hook_allows_all();
        room.receives(ann, json!({ "type": "ack", "id": 1 }));
        room.receives_message(ann, 1);
        room.receives(ann, json!({ "type": "ack", "id": 2 }));
        room.receives_message(ann, 2);
        room.receives(ann, json!({ "type": "pong", "id": 3 }));
        room.receives(ann, json!({ "id": 4, "code": "rate_limited" }));
    });
}

#[test]
fn a_forbidden_publish_does_not_call_the_hook() {
    scenario_with(with_hook, |room| {
        let ann = room.admit(TestUser::named("ann").with_capabilities(&["receive"]));
        room.skips_received();
        room.sends(ann, publish(1, 1));
        room.receives(ann, json!({ "id": 1, "code": "forbidden" }));
        assert!(room.has_no_hook_request());
    });
}

#[test]
fn echo_and_missing_ids_work_as_without_a_hook() {
    scenario_with(with_hook, |room| {
        let ann = room.admit(TestUser::named("ann").without_echo());
        let bob = room.join("bob");
        room.skips_received();
        room.publishes(ann, "quiet");
        room.hook_allows_all();
        room.receives_nothing(ann);
        room.receives_message(bob, "quiet");
        room.publishes(ann, "spam");
        room.hook_decides(&[refuse("no")]);
        let error = room.receives(ann, json!({ "code": "refused" }));
        assert_eq!(error.get("id"), None);
    });
}

#[test]
fn a_pending_message_is_stored_after_its_member_has_left() {
    for clean in [true, false] {
        scenario_with(with_hook, |room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.sends_lines(ann, &[publish(1, "a1"), json!({ "type": "ping", "id": 2 })]);
            room.sends(ann, publish(3, "a2"));
            room.sends(bob, publish(1, "b1"));
            room.disconnects(ann, clean);
            room.skips_received();
            room.hook_allows_all();
            room.receives_message(bob, "a1");
            // Commands that waited behind it are dropped with the connection.
            assert_eq!(room.hook_data(), ["b1"]);
            room.hook_decides(&[refuse("no")]);
            room.receives(bob, json!({ "id": 1, "code": "refused" }));
            room.receives_nothing(bob);
        });
    }
}

#[test]
fn a_pending_message_is_stored_after_its_token_has_expired() {
    scenario_with(with_hook, |room| {
        let ann = room.admit(TestUser::named("ann").expiring_after_ms(1_000));
        let bob = room.join("bob");
        room.publishes(ann, "in time");
        room.pass_ms(1_000 + default_rules().leeway_ms);
        assert!(!room.is_open(ann));
        room.skips_received();
        room.hook_allows_all();
        room.receives_message(bob, "in time");
    });
}

#[test]
fn waiting_messages_of_a_kicked_user_are_dropped() {
    scenario_with(with_hook, |room| {
        let (ann, bob, cho) = (room.join("ann"), room.join("bob"), room.join("ann"));
        let moderator = room.admit(TestUser::named("moe").with_capabilities(&["moderate"]));
        room.publishes(ann, "in the request");
        room.publishes(bob, "b1");
        room.publishes(ann, "waits");
        room.sends(ann, json!({ "type": "ping", "id": 1 }));
        room.publishes(cho, "of a connection that is gone");
        room.leaves(cho);
        room.publishes(bob, "b2");
        room.sends(moderator, json!({ "type": "kick", "user": "ann" }));
        room.skips_received();
        assert_eq!(room.hook_data(), ["in the request"]);
        room.hook_allows_all();
        assert_eq!(room.hook_data(), ["b1", "b2"]);
        room.hook_allows_all();
        room.receives_message(bob, "b1");
        room.receives_message(bob, "b2");
        assert_eq!(room.stored_rows().iter().sum::<u64>(), 2);
    });
}

#[test]
fn a_dropped_message_does_not_shift_the_other_decisions() {
    scenario_with(with_hook, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        let moderator = room.admit(TestUser::named("moe").with_capabilities(&["moderate"]));
        room.publishes(bob, "first");
        room.publishes(ann, "ann's");
        room.publishes(bob, "refused");
        room.publishes(bob, "stored");
        room.hook_allows_all();
        room.sends(
            moderator,
            json!({ "type": "kick", "user": "ann", "ban_seconds": 60 }),
        );
        room.skips_received();
        room.hook_decides(&[allow(), refuse("no"), allow()]);
        room.receives(bob, json!({ "code": "refused" }));
        room.receives_message(bob, "stored");
        room.receives_nothing(bob);
    });
}

#[test]
fn waiting_messages_are_dropped_if_a_new_token_grants_nothing() {
    scenario_with(with_hook, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.starts_refresh(ann);
        room.publishes(ann, "late");
        let claims = TestUser::named("ann").for_room("elsewhere").claims();
        room.token_is_checked(Ok(claims));
        assert!(!room.is_open(ann));
        room.skips_received();
        room.hook_allows_all();
        room.receives_nothing(bob);
    });
}

#[test]
fn a_refresh_waits_behind_earlier_messages() {
    hibernating_scenario_with(with_hook, |room| {
        let ann = room.join("ann");
        room.skips_received();
        room.publishes(ann, 1);
        room.starts_refresh(ann);
        room.hook_allows_all();
        room.receives_message(ann, 1);
        room.token_is_checked(Err(Refusal::TokenExpired));
        room.receives(ann, json!({ "code": "token_expired" }));
    });
}

#[test]
fn erasing_a_room_drops_waiting_messages() {
    scenario_with(with_hook, |room| {
        let (ann, gone) = (room.join("ann"), room.join("bob"));
        room.publishes(gone, "in the request");
        room.leaves(gone);
        room.publishes(ann, "waits");
        let server = TestUser::named("server").with_capabilities(&["serve"]);
        assert_eq!(room.calls_api(&server, ApiOperation::Erase, "").0, 200);
        room.hook_allows_all();
        assert!(room.has_no_hook_request());
        assert_eq!(room.stored_count(), 0);
    });
}

#[test]
fn the_result_of_an_earlier_call_is_ignored() {
    hibernating_scenario_with(with_hook, |room| {
        let ann = room.join("ann");
        room.publishes(ann, "old");
        let old = room.take_hook_request();
        let decisions = old
            .1
            .read_response(200, br#"{"decisions":[{"allow":true}]}"#)
            .ok();
        room.crashes();
        let bob = room.join("bob");
        room.publishes(bob, "new");
        room.skips_received();
        let new = room.take_hook_request();
        room.hook_call_ends_for(old, decisions);
        room.receives_nothing(bob);
        room.hook_call_ends_for(new.clone(), None);
        room.receives(bob, json!({ "code": "internal" }));
        // A second result of the same call is ignored, too.
        let decisions = new
            .1
            .read_response(200, br#"{"decisions":[{"allow":true}]}"#)
            .ok();
        room.hook_call_ends_for(new, decisions);
        room.receives_nothing(bob);
    });
}

#[test]
fn a_crash_loses_undecided_messages_without_an_ack() {
    scenario_with(with_hook, |room| {
        let ann = room.join("ann");
        room.skips_received();
        let command = json!({ "type": "publish", "id": 1, "key": "k", "data": 1 });
        room.sends(ann, command.clone());
        room.receives_nothing(ann);
        room.crashes();
        assert_eq!(room.stored_count(), 0);
        let back = room.join("ann");
        room.skips_received();
        room.sends(back, command);
        room.hook_allows_all();
        room.receives(back, json!({ "type": "ack", "id": 1, "offset": 1 }));
    });
}

#[test]
fn a_storage_fault_rejects_all_waiting_messages() {
    scenario_with(with_hook, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, "first");
        let ping = json!({ "type": "ping", "id": 2 });
        room.sends_lines(bob, &[publish(1, "b1"), ping, publish(3, "b2")]);
        room.skips_received();
        room.storage_fails_once();
        room.hook_allows_all();
        room.receives(ann, json!({ "code": "internal" }));
        room.receives(bob, json!({ "id": 1, "code": "internal" }));
        room.receives(bob, json!({ "type": "pong", "id": 2 }));
        room.receives(bob, json!({ "id": 3, "code": "internal" }));
        assert!(room.has_no_hook_request());
        assert_eq!(room.stored_count(), 0);
        room.publishes(ann, "again");
        room.hook_allows_all();
        room.receives_message(ann, "again");
    });
}

#[test]
fn allowed_messages_wait_for_the_flush_window() {
    gathering_scenario_with(with_hook, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.settles();
        room.publishes(ann, "busy");
        room.hook_allows_all();
        assert!(room.is_gathering());
        room.skips_received();
        room.sends(bob, publish(1, "b1"));
        room.hook_allows_all();
        room.receives_nothing(bob);
        room.flushes();
        room.receives(bob, json!({ "type": "ack", "id": 1 }));
        room.receives_message(bob, "b1");
    });
}

#[test]
fn history_includes_a_message_once_it_is_stored() {
    scenario_with(with_hook, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.publishes(ann, 1);
        room.sends(bob, json!({ "type": "history" }));
        room.receives(bob, json!({ "type": "history", "messages": [] }));
        room.sends(ann, json!({ "type": "history" }));
        room.receives_nothing(ann);
        room.hook_allows_all();
        room.receives_message(ann, 1);
        room.receives(
            ann,
            json!({ "type": "history", "messages": [{ "data": 1 }] }),
        );
    });
}

#[test]
fn a_hook_request_is_limited_in_messages() {
    scenario_with(with_hook_and_no_rate_limit, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, "first");
        for number in 1..=HOOK_MESSAGES_MAX + 1 {
            room.publishes(if number % 2 == 0 { ann } else { bob }, number);
        }
        room.hook_allows_all();
        let request = room.hook_data();
        assert!(
            (1..=HOOK_MESSAGES_MAX).eq(request.iter().map(|one| one.as_u64().unwrap() as usize))
        );
        room.hook_allows_all();
        assert_eq!(room.hook_data(), [HOOK_MESSAGES_MAX + 1]);
        room.hook_allows_all();
    });
}

#[test]
fn a_hook_request_is_limited_in_bytes_except_for_a_single_message() {
    let long = |rules: &mut RoomRules| {
        with_hook_and_no_rate_limit(rules);
        rules.message_bytes_max = FRAME_BYTES_MAX;
    };
    scenario_with(long, |room| {
        let clients: Vec<_> = (0..4).map(|n| room.join(&format!("u{n}"))).collect();
        room.publishes(clients[0], "first");
        for client in &clients[1..] {
            room.publishes(*client, "x".repeat(HOOK_BYTES_MAX / 2 - 1_000));
        }
        room.hook_allows_all();
        assert_eq!(room.hook_data().len(), 2);
        assert!(room.hook_messages().to_string().len() <= HOOK_BYTES_MAX);
        room.hook_allows_all();
        assert_eq!(room.hook_data().len(), 1);
        room.hook_allows_all();
        let envelope = publish(1, "").to_string().len();
        let most = "x".repeat(FRAME_BYTES_MAX - envelope);
        room.skips_received();
        room.sends(clients[0], publish(1, most));
        room.hook_allows_all();
        room.receives(clients[0], json!({ "type": "ack" }));
    });
}

#[test]
fn a_hook_request_holds_as_many_bytes_as_its_limit_and_no_more() {
    let long = |rules: &mut RoomRules| {
        with_hook_and_no_rate_limit(rules);
        rules.message_bytes_max = FRAME_BYTES_MAX;
    };
    scenario_with(long, |room| {
        let [ann, bob, cho] = ["a", "b", "c"].map(|user| room.join(user));
        // Each user id may be escaped to six bytes, and the data has quotes.
        let half = HOOK_BYTES_MAX / 2 - PENDING_OVERHEAD_BYTES - 6 - 2;
        for (more, together) in [(0, 2), (1, 1)] {
            room.publishes(ann, "first");
            room.publishes(bob, "x".repeat(half));
            room.publishes(cho, "x".repeat(half + more));
            room.hook_allows_all();
            assert_eq!(room.hook_data().len(), together);
            while !room.has_no_hook_request() {
                room.hook_allows_all();
            }
        }
    });
}

#[test]
fn a_connection_can_queue_more_messages_than_one_request_has() {
    scenario_with(with_hook_and_no_rate_limit, |room| {
        let ann = room.join("ann");
        room.skips_received();
        let commands: Vec<_> = (0..HOOK_MESSAGES_MAX + 2).map(|n| publish(n, n)).collect();
        room.sends_lines(ann, &commands);
        assert_eq!(room.hook_data().len(), HOOK_MESSAGES_MAX);
        room.hook_allows_all();
        assert_eq!(room.hook_data(), [HOOK_MESSAGES_MAX, HOOK_MESSAGES_MAX + 1]);
        room.hook_allows_all();
        assert_eq!(stored(room), HOOK_MESSAGES_MAX + 2);
    });
}

#[test]
fn the_waiting_messages_of_a_room_are_limited() {
    scenario_with(with_hook_and_no_rate_limit, |room| {
        let ann = room.join("ann");
        for connection in 0..4 {
            let client = room.join(&format!("u{connection}"));
            let most = PENDING_MESSAGES_MAX / 4;
            let commands: Vec<_> = (0..most).map(|n| publish(n, n)).collect();
            // Leave room for exactly one more message.
            let count = if connection == 3 { most - 1 } else { most };
            room.sends_lines(client, &commands[..count]);
        }
        room.skips_received();
        let ping = json!({ "type": "ping", "id": 4 });
        room.sends_lines(ann, &[publish(1, 1), publish(2, 2), publish(3, 3), ping]);
        // Commands behind a rejected one are rejected as well, to keep the order.
        for id in [2, 3, 4] {
            let error = room.receives(
                ann,
                json!({ "type": "error", "id": id, "code": "rate_limited", "retryable": true }),
            );
            assert_eq!(error["retry_after_ms"], 1000);
        }
        room.receives_nothing(ann);
        while !room.has_no_hook_request() {
            room.hook_allows_all();
        }
        assert_eq!(stored(room), PENDING_MESSAGES_MAX);
        room.skips_received();
        room.sends(ann, publish(2, 2));
        room.hook_allows_all();
        room.receives(ann, json!({ "type": "ack", "id": 2 }));
    });
}

#[test]
fn the_waiting_bytes_of_a_connection_are_limited() {
    let long = |rules: &mut RoomRules| {
        with_hook_and_no_rate_limit(rules);
        rules.message_bytes_max = FRAME_BYTES_MAX;
    };
    scenario_with(long, |room| {
        let ann = room.join("ann");
        room.skips_received();
        room.sends(ann, publish(1, "x".repeat(HOOK_BYTES_MAX / 2)));
        let ping = |id, bytes| json!({ "type": "ping", "id": id, "x": "x".repeat(bytes) });
        room.sends(ann, ping(2, HOOK_BYTES_MAX / 4));
        room.sends(ann, ping(3, HOOK_BYTES_MAX / 4));
        room.receives(ann, json!({ "id": 3, "code": "rate_limited" }));
        room.sends(ann, ping(4, HOOK_BYTES_MAX / 4 - 5_000));
        room.receives_nothing(ann);
        room.hook_allows_all();
        room.receives(ann, json!({ "type": "ack", "id": 1 }));
        room.receives(ann, json!({ "type": "message" }));
        room.receives(ann, json!({ "type": "pong", "id": 2 }));
        room.receives(ann, json!({ "type": "pong", "id": 4 }));
        room.sends(ann, ping(5, HOOK_BYTES_MAX / 4));
        room.receives(ann, json!({ "type": "pong", "id": 5 }));
    });
}

#[test]
fn the_waiting_bytes_of_a_room_are_limited() {
    hibernating_scenario_with(with_hook_and_no_rate_limit, |room| {
        let full = PENDING_BYTES_MAX / HOOK_BYTES_MAX;
        let clients: Vec<_> = (0..=full).map(|n| room.join(&format!("u{n}"))).collect();
        room.skips_received();
        let ping = json!({ "type": "ping", "id": 1 });
        for client in &clients {
            room.sends_lines(*client, &[publish(1, 1), ping.clone()]);
        }
        // Waiting frames are not parsed.
        let most = "x".repeat(HOOK_BYTES_MAX - 2_000);
        for client in &clients[..full] {
            room.sends_text(*client, &most);
            room.receives_nothing(*client);
        }
        let last = clients[full];
        room.sends_text(last, &most);
        room.receives(last, json!({ "code": "rate_limited" }));
        // The bytes of a connection that has ended are free again.
        room.leaves(clients[0]);
        room.skips_received();
        room.sends_text(last, &most);
        room.receives_nothing(last);
        for client in &clients[1..] {
            room.leaves(*client);
        }
        room.hook_allows_all();
        room.hook_allows_all();
        assert_eq!(stored(room), full + 1);
        let newcomer = room.join("ann");
        room.skips_received();
        room.sends(newcomer, publish(1, "x"));
        room.hook_allows_all();
        room.receives(newcomer, json!({ "type": "ack" }));
    });
}

#[test]
fn a_connection_that_keeps_exceeding_its_queue_is_closed() {
    let with_hook_and_small_burst = |rules: &mut RoomRules| {
        with_hook(rules);
        rules.rate.burst = 30;
    };
    hibernating_scenario_with(with_hook_and_small_burst, |room| {
        let ann = room.join("ann");
        room.skips_received();
        room.publishes(ann, "x".repeat(60_000));
        let long = json!({ "type": "ping", "x": "x".repeat(60_000) });
        for _ in 0..16 {
            room.sends(ann, long.clone());
        }
        room.receives_nothing(ann);
        for _ in 0..29 {
            room.sends(ann, long.clone());
            room.receives(ann, json!({ "code": "rate_limited" }));
        }
        room.sends(ann, long);
        room.receives(ann, json!({ "code": "rate_limited" }));
        room.receives_close(ann, 4103, "too_many_errors");
        room.hook_allows_all();
        assert_eq!(room.stored_count(), 0);
    });
}

fn stored(room: &TestRoom) -> usize {
    room.stored_rows().iter().sum::<u64>() as usize
}

impl TestRoom {
    /// Returns the data of the next received message, and skips everything before it.
    #[track_caller]
    fn next_message(&mut self, client: Client) -> Value {
        loop {
            let next = self.receives(client, json!({}));
            if next["type"] == "message" {
                return next["data"].clone();
            }
        }
    }
}
