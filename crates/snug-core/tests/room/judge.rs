//! Messages that the back end judges before they are stored.

use serde_json::{Value, json};
use snug_core::{
    Refusal,
    backend::api::ApiOperation,
    config::{PublishFallback, RoomRules},
    limits::{
        FRAME_BYTES_MAX, HOOK_BYTES_MAX, HOOK_MESSAGES_MAX, PENDING_BYTES_MAX, PENDING_MESSAGES_MAX,
    },
};

use crate::driver::{
    Client, TestRoom, Visitor, busy_scenario_with, default_rules, gathering_scenario_with,
    scenario_with,
};

fn judged(rules: &mut RoomRules) {
    rules.judged = Some(PublishFallback::Refuse);
}

fn unbounded(rules: &mut RoomRules) {
    judged(rules);
    (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
}

fn allowing(rules: &mut RoomRules) {
    rules.judged = Some(PublishFallback::Allow);
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
fn what_is_allowed_is_stored_and_sent_as_if_nobody_had_been_asked() {
    scenario_with(judged, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.sends(
            ann,
            json!({ "type": "publish", "id": 1, "event": "chat", "data": { "a": 1 } }),
        );
        room.hears_nothing(ann);
        room.hears_nothing(bob);
        assert_eq!(room.stored_count(), 0);
        let asked = json!([
            { "user": "ann", "connection": ann.id(), "event": "chat", "data": { "a": 1 } }
        ]);
        assert_eq!(room.is_to_judge(), asked);
        room.pass_ms(300);
        room.allows_all();
        let ack = room.hears(ann, json!({ "type": "ack", "id": 1, "offset": 1 }));
        assert_eq!(ack["time"], room.now_ms());
        for client in [ann, bob] {
            let message = room.hears_message(client, json!({ "a": 1 }));
            assert_eq!(
                (&message["user"], &message["event"]),
                (&json!("ann"), &json!("chat"))
            );
            assert_eq!(message["connection"], ann.id());
        }
        assert!(room.has_nothing_to_judge());
    });
}

#[test]
fn nobody_is_asked_where_no_back_end_is_set() {
    scenario_with(
        |_| {},
        |room| {
            let ann = room.join("ann");
            room.says(ann, 1);
            assert!(room.has_nothing_to_judge());
            assert_eq!(room.stored_count(), 1);
        },
    );
}

#[test]
fn what_is_changed_is_stored_as_it_was_changed() {
    scenario_with(judged, |room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.sends_lines(ann, &[publish(1, "damn"), publish(2, "nothing")]);
        room.judges(&[
            json!({ "allow": true, "data": "d…" }),
            json!({ "allow": true, "data": null }),
        ]);
        room.hears(ann, json!({ "type": "ack", "id": 1, "offset": 1 }));
        room.hears_message(ann, "d…");
        room.hears(ann, json!({ "type": "ack", "id": 2, "offset": 2 }));
        room.hears_message(ann, Value::Null);
        room.sends(ann, json!({ "type": "history" }));
        let page = room.hears(ann, json!({ "type": "history" }));
        assert_eq!(page["messages"][0]["data"], "d…");
        assert_eq!(page["messages"][1]["data"], Value::Null);
    });
}

#[test]
fn a_change_over_lines_stays_one_line() {
    scenario_with(judged, |room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.says(ann, 1);
        room.judges_by(200, "{\"decisions\":[{\"allow\":true,\"data\":[1,\r\n2]}]}");
        room.hears_message(ann, json!([1, 2]));
    });
}

#[test]
fn a_change_may_be_as_long_as_what_its_member_may_say() {
    scenario_with(judged, |room| {
        let ann = room.admit(Visitor::named("ann").with_message_bytes(100));
        room.skips_to_now();
        let change = |bytes: usize| json!([{ "allow": true, "data": "x".repeat(bytes - 2) }]);
        room.sends(ann, publish(1, 1));
        room.judges(change(100).as_array().unwrap());
        room.hears(ann, json!({ "type": "ack", "id": 1 }));
        room.skips_to_now();
        room.sends(ann, publish(2, 1));
        room.judges(change(101).as_array().unwrap());
        room.hears(ann, json!({ "id": 2, "code": "internal" }));
    });
}

#[test]
fn what_is_refused_costs_its_member_nothing_but_the_message() {
    scenario_with(judged, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        for (verdict, message) in [
            (refuse("no links, please"), "no links, please"),
            (json!({ "allow": false }), "the message was refused"),
            (refuse(""), "the message was refused"),
        ] {
            for _ in 0..10 {
                room.sends(ann, publish("a", "spam"));
                room.judges(std::slice::from_ref(&verdict));
                let error = json!({
                    "type": "error",
                    "id": "a",
                    "code": "refused",
                    "message": message,
                    "retryable": false,
                });
                assert_eq!(room.hears(ann, error.clone()), error);
                room.hears_nothing(bob);
            }
        }
        assert_eq!(room.stored_count(), 0);
        assert!(room.is_open(ann));
    });
}

#[test]
fn messages_stay_in_order_whoever_they_are_of_and_whatever_becomes_of_them() {
    scenario_with(judged, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.sends(ann, publish(1, "a1"));
        room.sends(bob, publish(1, "b1"));
        room.sends_lines(ann, &[publish(2, "a2"), publish(3, "a3")]);
        room.sends(bob, publish(2, "b2"));
        assert_eq!(room.is_to_judge_data(), ["a1"]);
        room.allows_all();
        assert_eq!(room.is_to_judge_data(), ["b1", "a2", "a3", "b2"]);
        room.judges(&[
            json!({ "allow": true, "data": "B1" }),
            refuse("no"),
            allow(),
            allow(),
        ]);
        assert!(room.has_nothing_to_judge());
        room.hears(ann, json!({ "type": "ack", "id": 1, "offset": 1 }));
        room.hears_message(ann, "a1");
        room.hears_message(ann, "B1");
        room.hears(ann, json!({ "id": 2, "code": "refused" }));
        room.hears(ann, json!({ "type": "ack", "id": 3, "offset": 3 }));
        room.hears_message(ann, "a3");
        room.hears_message(ann, "b2");
        for data in ["a1", "B1", "a3", "b2"] {
            let next = room.heard_message(bob);
            assert_eq!(next, data);
        }
    });
}

#[test]
fn without_a_verdict_it_is_as_the_operator_wants() {
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
        scenario_with(judged, |room| {
            let ann = room.join("ann");
            room.skips_to_now();
            room.sends_lines(ann, &[publish(1, "a"), publish(2, "b")]);
            room.judges_by(status, body);
            for id in [1, 2] {
                let error = room.hears(
                    ann,
                    json!({ "type": "error", "id": id, "code": "internal", "retryable": true }),
                );
                assert_eq!(error["retry_after_ms"], 1000);
            }
            room.hears_nothing(ann);
            assert_eq!(room.stored_count(), 0);
        });
        scenario_with(allowing, |room| {
            let ann = room.join("ann");
            room.skips_to_now();
            room.sends_lines(ann, &[publish(1, "a"), publish(2, "b")]);
            room.judges_by(status, body);
            room.hears(ann, json!({ "type": "ack", "id": 1, "offset": 1 }));
            room.hears_message(ann, "a");
            room.hears(ann, json!({ "type": "ack", "id": 2, "offset": 2 }));
            room.hears_message(ann, "b");
        });
    }
}

#[test]
fn what_waited_while_the_back_end_did_not_answer_is_asked_about_at_once() {
    scenario_with(judged, |room| {
        let ann = room.join("ann");
        room.sends(ann, publish(1, 1));
        for data in 2..=7 {
            room.says(ann, data);
        }
        room.skips_to_now();
        room.is_told_of_verdicts(None);
        room.hears(ann, json!({ "id": 1, "code": "internal" }));
        assert_eq!(room.is_to_judge_data(), [2, 3, 4, 5, 6, 7]);
        room.allows_all();
    });
}

#[test]
fn a_key_that_is_known_needs_no_verdict() {
    scenario_with(judged, |room| {
        let ann = room.join("ann");
        room.skips_to_now();
        let command = json!({ "type": "publish", "id": 1, "key": "k", "data": 1 });
        room.sends(ann, command.clone());
        room.allows_all();
        room.hears(ann, json!({ "type": "ack", "offset": 1 }));
        room.hears_message(ann, 1);
        room.sends(ann, command);
        assert!(room.has_nothing_to_judge());
        room.hears(
            ann,
            json!({ "type": "ack", "offset": 1, "duplicate": true }),
        );
        room.hears_nothing(ann);
    });
}

#[test]
fn the_replies_to_a_members_messages_keep_their_order() {
    scenario_with(judged, |room| {
        let ann = room.join("ann");
        let keyed = |id: u64| json!({ "type": "publish", "id": id, "key": "k", "data": 1 });
        room.sends(ann, keyed(1));
        room.allows_all();
        room.skips_to_now();
        room.sends_lines(ann, &[keyed(2), publish(3, 3), keyed(4)]);
        room.hears(ann, json!({ "type": "ack", "id": 2, "duplicate": true }));
        room.hears_nothing(ann);
        room.allows_all();
        room.hears(ann, json!({ "type": "ack", "id": 3 }));
        room.hears_message(ann, 3);
        room.hears(ann, json!({ "type": "ack", "id": 4, "duplicate": true }));
        room.hears_nothing(ann);
    });
}

#[test]
fn a_key_that_was_stored_meanwhile_stores_nothing_more() {
    scenario_with(judged, |room| {
        let (ann, tab) = (room.join("ann"), room.join("ann"));
        room.skips_to_now();
        let command = json!({ "type": "publish", "id": 1, "key": "k", "data": 1 });
        room.sends(ann, command.clone());
        room.sends_lines(tab, &[command.clone(), command]);
        room.allows_all();
        // Whatever is said of them now: they are there.
        room.judges(&[refuse("too late"), allow()]);
        room.hears(ann, json!({ "type": "ack", "offset": 1 }));
        room.hears_message(ann, 1);
        room.hears_message(tab, 1);
        for _ in 0..2 {
            room.hears(
                tab,
                json!({ "type": "ack", "offset": 1, "duplicate": true }),
            );
        }
        room.hears_nothing(ann);
        assert_eq!(room.stored_count(), 1);
    });
}

#[test]
fn what_the_back_end_publishes_itself_is_not_judged_and_waits_for_nothing() {
    scenario_with(judged, |room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.sends(
            ann,
            json!({ "type": "publish", "id": 1, "key": "k", "data": "ann's" }),
        );
        let server = Visitor::named("server").who_can(&["serve"]);
        let body = r#"{"data":"its own","key":"k","user":"ann"}"#;
        let (status, _) = room.call(&server, ApiOperation::Publish, body);
        assert_eq!(status, 201);
        room.hears_message(ann, "its own");
        room.allows_all();
        room.hears(
            ann,
            json!({ "type": "ack", "offset": 1, "duplicate": true }),
        );
        room.hears_nothing(ann);
    });
}

#[test]
fn a_members_other_commands_wait_behind_its_messages_and_nobody_elses_do() {
    scenario_with(judged, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        let ping = |id: u64| json!({ "type": "ping", "id": id });
        let signal = json!({ "type": "signal", "data": "typing" });
        room.sends_lines(
            ann,
            &[publish(1, "a1"), ping(2), signal.clone(), publish(3, "a2")],
        );
        room.sends(ann, json!({ "type": "members", "id": 4 }));
        room.sends_text(ann, "{");
        room.sends(bob, signal.clone());
        room.hears(ann, json!({ "type": "signal", "user": "bob" }));
        room.sends(bob, ping(7));
        room.hears(bob, json!({ "type": "pong", "id": 7 }));
        room.hears_nothing(ann);
        room.hears_nothing(bob);
        assert_eq!(room.is_to_judge_data(), ["a1"]);
        room.allows_all();
        room.hears(ann, json!({ "type": "ack", "id": 1 }));
        room.hears_message(ann, "a1");
        room.hears(ann, json!({ "type": "pong", "id": 2 }));
        room.hears_nothing(ann);
        room.hears_message(bob, "a1");
        room.hears(bob, json!({ "type": "signal", "user": "ann" }));
        assert_eq!(room.is_to_judge_data(), ["a2"]);
        room.judges(&[refuse("no")]);
        room.hears(ann, json!({ "id": 3, "code": "refused" }));
        room.hears(ann, json!({ "type": "members", "id": 4 }));
        room.hears(ann, json!({ "code": "bad_json" }));
        room.hears_nothing(ann);
    });
}

#[test]
fn a_plain_client_waits_alike() {
    scenario_with(judged, |room| {
        let ann = room.admit(Visitor::named("ann").plain());
        room.skips_to_now();
        room.sends(ann, publish(1, "a1"));
        room.sends_text(ann, "{\"type\":\"ping\",\n\"id\":2}");
        room.sends(ann, publish(3, "a2"));
        room.allows_all();
        room.hears(ann, json!({ "type": "ack", "id": 1 }));
        room.hears_message(ann, "a1");
        room.hears(ann, json!({ "type": "pong", "id": 2 }));
        assert_eq!(room.is_to_judge_data(), ["a2"]);
        room.allows_all();
        room.hears(ann, json!({ "type": "ack", "id": 3 }));
    });
}

#[test]
fn what_waits_counts_towards_the_rate_once() {
    let slow = |rules: &mut RoomRules| {
        judged(rules);
        (rules.rate.per_second, rules.rate.burst) = (1, 3);
    };
    busy_scenario_with(slow, |room| {
        let ann = room.join("ann");
        room.skips_to_now();
        let ping = |id: u64| json!({ "type": "ping", "id": id });
        room.sends_lines(ann, &[publish(1, 1), publish(2, 2), ping(3), ping(4)]);
        room.allows_all();
        room.hears(ann, json!({ "type": "ack", "id": 1 }));
        room.hears_message(ann, 1);
        room.hears(ann, json!({ "type": "ack", "id": 2 }));
        room.hears_message(ann, 2);
        room.hears(ann, json!({ "type": "pong", "id": 3 }));
        room.hears(ann, json!({ "id": 4, "code": "rate_limited" }));
    });
}

#[test]
fn who_may_not_publish_is_told_so_and_nobody_is_asked() {
    scenario_with(judged, |room| {
        let ann = room.admit(Visitor::named("ann").who_can(&["receive"]));
        room.skips_to_now();
        room.sends(ann, publish(1, 1));
        room.hears(ann, json!({ "id": 1, "code": "forbidden" }));
        assert!(room.has_nothing_to_judge());
    });
}

#[test]
fn without_echo_and_without_an_id_it_is_as_ever() {
    scenario_with(judged, |room| {
        let ann = room.admit(Visitor::named("ann").without_echo());
        let bob = room.join("bob");
        room.skips_to_now();
        room.says(ann, "quiet");
        room.allows_all();
        room.hears_nothing(ann);
        room.hears_message(bob, "quiet");
        room.says(ann, "spam");
        room.judges(&[refuse("no")]);
        let error = room.hears(ann, json!({ "code": "refused" }));
        assert_eq!(error.get("id"), None);
    });
}

#[test]
fn what_was_published_is_stored_though_its_member_has_gone() {
    for says_goodbye in [true, false] {
        scenario_with(judged, |room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.sends_lines(ann, &[publish(1, "a1"), json!({ "type": "ping", "id": 2 })]);
            room.sends(ann, publish(3, "a2"));
            room.sends(bob, publish(1, "b1"));
            room.disconnects(ann, says_goodbye);
            room.skips_to_now();
            room.allows_all();
            room.hears_message(bob, "a1");
            // What waited behind it is gone with the connection.
            assert_eq!(room.is_to_judge_data(), ["b1"]);
            room.judges(&[refuse("no")]);
            room.hears(bob, json!({ "id": 1, "code": "refused" }));
            room.hears_nothing(bob);
        });
    }
}

#[test]
fn what_was_published_is_stored_though_its_token_has_ended() {
    scenario_with(judged, |room| {
        let ann = room.admit(Visitor::named("ann").until_ms(1_000));
        let bob = room.join("bob");
        room.says(ann, "in time");
        room.pass_ms(1_000 + default_rules().leeway_ms);
        assert!(!room.is_open(ann));
        room.skips_to_now();
        room.allows_all();
        room.hears_message(bob, "in time");
    });
}

#[test]
fn what_waits_of_somebody_who_is_kicked_is_dropped() {
    scenario_with(judged, |room| {
        let (ann, bob, cho) = (room.join("ann"), room.join("bob"), room.join("ann"));
        let moderator = room.admit(Visitor::named("moe").who_can(&["moderate"]));
        room.says(ann, "asked about");
        room.says(bob, "b1");
        room.says(ann, "waits");
        room.sends(ann, json!({ "type": "ping", "id": 1 }));
        room.says(cho, "of a connection that is gone");
        room.leaves(cho);
        room.says(bob, "b2");
        room.sends(moderator, json!({ "type": "kick", "user": "ann" }));
        room.skips_to_now();
        assert_eq!(room.is_to_judge_data(), ["asked about"]);
        room.allows_all();
        assert_eq!(room.is_to_judge_data(), ["b1", "b2"]);
        room.allows_all();
        room.hears_message(bob, "b1");
        room.hears_message(bob, "b2");
        assert_eq!(room.stored_rows().iter().sum::<u64>(), 2);
    });
}

#[test]
fn one_of_several_that_is_dropped_leaves_the_others_their_verdicts() {
    scenario_with(judged, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        let moderator = room.admit(Visitor::named("moe").who_can(&["moderate"]));
        room.says(bob, "first");
        room.says(ann, "ann's");
        room.says(bob, "refused");
        room.says(bob, "stored");
        room.allows_all();
        room.sends(
            moderator,
            json!({ "type": "kick", "user": "ann", "ban_seconds": 60 }),
        );
        room.skips_to_now();
        room.judges(&[allow(), refuse("no"), allow()]);
        room.hears(bob, json!({ "code": "refused" }));
        room.hears_message(bob, "stored");
        room.hears_nothing(bob);
    });
}

#[test]
fn what_waits_of_a_connection_whose_token_grants_nothing_any_more_is_dropped() {
    scenario_with(judged, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.starts_to_refresh(ann);
        room.says(ann, "late");
        let claims = Visitor::named("ann").of_room("elsewhere").claims();
        room.is_told_of_the_token(Ok(claims));
        assert!(!room.is_open(ann));
        room.skips_to_now();
        room.allows_all();
        room.hears_nothing(bob);
    });
}

#[test]
fn a_new_token_counts_from_behind_the_messages_before_it() {
    let no_rules = judged;
    busy_scenario_with(no_rules, |room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.says(ann, 1);
        room.starts_to_refresh(ann);
        room.allows_all();
        room.hears_message(ann, 1);
        room.is_told_of_the_token(Err(Refusal::TokenExpired));
        room.hears(ann, json!({ "code": "token_expired" }));
    });
}

#[test]
fn nothing_waits_in_a_room_that_is_erased() {
    scenario_with(judged, |room| {
        let (ann, gone) = (room.join("ann"), room.join("bob"));
        room.says(gone, "asked about");
        room.leaves(gone);
        room.says(ann, "waits");
        let server = Visitor::named("server").who_can(&["serve"]);
        assert_eq!(room.call(&server, ApiOperation::Erase, "").0, 200);
        room.allows_all();
        assert!(room.has_nothing_to_judge());
        assert_eq!(room.stored_count(), 0);
    });
}

#[test]
fn an_answer_to_another_question_is_none() {
    busy_scenario_with(judged, |room| {
        let ann = room.join("ann");
        room.says(ann, "old");
        let old = room.sets_question_aside();
        let verdicts = old
            .read_answer(200, br#"{"decisions":[{"allow":true}]}"#)
            .ok();
        room.crashes();
        let bob = room.join("bob");
        room.says(bob, "new");
        room.skips_to_now();
        let new = room.sets_question_aside();
        room.answers_question(old, verdicts);
        room.hears_nothing(bob);
        room.answers_question(new.clone(), None);
        room.hears(bob, json!({ "code": "internal" }));
        // Nor is a second one to the same.
        let verdicts = new
            .read_answer(200, br#"{"decisions":[{"allow":true}]}"#)
            .ok();
        room.answers_question(new, verdicts);
        room.hears_nothing(bob);
    });
}

#[test]
fn a_crash_loses_what_was_not_stored_and_said_so_to_nobody() {
    scenario_with(judged, |room| {
        let ann = room.join("ann");
        room.skips_to_now();
        let command = json!({ "type": "publish", "id": 1, "key": "k", "data": 1 });
        room.sends(ann, command.clone());
        room.hears_nothing(ann);
        room.crashes();
        assert_eq!(room.stored_count(), 0);
        let back = room.join("ann");
        room.skips_to_now();
        room.sends(back, command);
        room.allows_all();
        room.hears(back, json!({ "type": "ack", "id": 1, "offset": 1 }));
    });
}

#[test]
fn when_storage_fails_nothing_goes_on_waiting() {
    scenario_with(judged, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.says(ann, "first");
        let ping = json!({ "type": "ping", "id": 2 });
        room.sends_lines(bob, &[publish(1, "b1"), ping, publish(3, "b2")]);
        room.skips_to_now();
        room.storage_fails_once();
        room.allows_all();
        room.hears(ann, json!({ "code": "internal" }));
        room.hears(bob, json!({ "id": 1, "code": "internal" }));
        room.hears(bob, json!({ "type": "pong", "id": 2 }));
        room.hears(bob, json!({ "id": 3, "code": "internal" }));
        assert!(room.has_nothing_to_judge());
        assert_eq!(room.stored_count(), 0);
        room.says(ann, "again");
        room.allows_all();
        room.hears_message(ann, "again");
    });
}

#[test]
fn a_busy_room_gathers_what_was_judged_as_it_gathers_the_rest() {
    gathering_scenario_with(judged, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.settles();
        room.says(ann, "busy");
        room.allows_all();
        assert!(room.gathers());
        room.skips_to_now();
        room.sends(bob, publish(1, "b1"));
        room.allows_all();
        room.hears_nothing(bob);
        room.flushes();
        room.hears(bob, json!({ "type": "ack", "id": 1 }));
        room.hears_message(bob, "b1");
    });
}

#[test]
fn history_sees_a_message_once_it_is_stored() {
    scenario_with(judged, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.says(ann, 1);
        room.sends(bob, json!({ "type": "history" }));
        room.hears(bob, json!({ "type": "history", "messages": [] }));
        room.sends(ann, json!({ "type": "history" }));
        room.hears_nothing(ann);
        room.allows_all();
        room.hears_message(ann, 1);
        room.hears(
            ann,
            json!({ "type": "history", "messages": [{ "data": 1 }] }),
        );
    });
}

#[test]
fn a_question_holds_so_many_messages_and_not_one_more() {
    scenario_with(unbounded, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.says(ann, "first");
        for number in 1..=HOOK_MESSAGES_MAX + 1 {
            room.says(if number % 2 == 0 { ann } else { bob }, number);
        }
        room.allows_all();
        let asked = room.is_to_judge_data();
        assert!((1..=HOOK_MESSAGES_MAX).eq(asked.iter().map(|one| one.as_u64().unwrap() as usize)));
        room.allows_all();
        assert_eq!(room.is_to_judge_data(), [HOOK_MESSAGES_MAX + 1]);
        room.allows_all();
    });
}

#[test]
fn a_question_is_so_long_and_not_longer_but_for_one_message() {
    let long = |rules: &mut RoomRules| {
        unbounded(rules);
        rules.message_bytes_max = FRAME_BYTES_MAX;
    };
    scenario_with(long, |room| {
        let clients: Vec<_> = (0..4).map(|n| room.join(&format!("u{n}"))).collect();
        room.says(clients[0], "first");
        for client in &clients[1..] {
            room.says(*client, "x".repeat(HOOK_BYTES_MAX / 2 - 1_000));
        }
        room.allows_all();
        assert_eq!(room.is_to_judge_data().len(), 2);
        assert!(room.is_to_judge().to_string().len() <= HOOK_BYTES_MAX);
        room.allows_all();
        assert_eq!(room.is_to_judge_data().len(), 1);
        room.allows_all();
        let envelope = publish(1, "").to_string().len();
        let most = "x".repeat(FRAME_BYTES_MAX - envelope);
        room.skips_to_now();
        room.sends(clients[0], publish(1, most));
        room.allows_all();
        room.hears(clients[0], json!({ "type": "ack" }));
    });
}

#[test]
fn so_many_messages_of_a_connection_wait_and_more_behind_them() {
    scenario_with(unbounded, |room| {
        let ann = room.join("ann");
        room.skips_to_now();
        let commands: Vec<_> = (0..HOOK_MESSAGES_MAX + 2).map(|n| publish(n, n)).collect();
        room.sends_lines(ann, &commands);
        assert_eq!(room.is_to_judge_data().len(), HOOK_MESSAGES_MAX);
        room.allows_all();
        assert_eq!(
            room.is_to_judge_data(),
            [HOOK_MESSAGES_MAX, HOOK_MESSAGES_MAX + 1]
        );
        room.allows_all();
        assert_eq!(stored(room), HOOK_MESSAGES_MAX + 2);
    });
}

#[test]
fn so_many_messages_of_a_room_wait_and_not_one_more() {
    scenario_with(unbounded, |room| {
        let ann = room.join("ann");
        for connection in 0..4 {
            let client = room.join(&format!("u{connection}"));
            let most = PENDING_MESSAGES_MAX / 4;
            let commands: Vec<_> = (0..most).map(|n| publish(n, n)).collect();
            // The last of all is missing.
            let count = if connection == 3 { most - 1 } else { most };
            room.sends_lines(client, &commands[..count]);
        }
        room.skips_to_now();
        let ping = json!({ "type": "ping", "id": 4 });
        room.sends_lines(ann, &[publish(1, 1), publish(2, 2), publish(3, 3), ping]);
        // What is behind one that is refused is refused with it, lest it overtake.
        for id in [2, 3, 4] {
            let error = room.hears(
                ann,
                json!({ "type": "error", "id": id, "code": "rate_limited", "retryable": true }),
            );
            assert_eq!(error["retry_after_ms"], 1000);
        }
        room.hears_nothing(ann);
        while !room.has_nothing_to_judge() {
            room.allows_all();
        }
        assert_eq!(stored(room), PENDING_MESSAGES_MAX);
        room.skips_to_now();
        room.sends(ann, publish(2, 2));
        room.allows_all();
        room.hears(ann, json!({ "type": "ack", "id": 2 }));
    });
}

#[test]
fn so_many_bytes_of_a_connection_wait_and_not_more() {
    let long = |rules: &mut RoomRules| {
        unbounded(rules);
        rules.message_bytes_max = FRAME_BYTES_MAX;
    };
    scenario_with(long, |room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.sends(ann, publish(1, "x".repeat(HOOK_BYTES_MAX / 2)));
        let ping = |id, bytes| json!({ "type": "ping", "id": id, "x": "x".repeat(bytes) });
        room.sends(ann, ping(2, HOOK_BYTES_MAX / 4));
        room.sends(ann, ping(3, HOOK_BYTES_MAX / 4));
        room.hears(ann, json!({ "id": 3, "code": "rate_limited" }));
        room.sends(ann, ping(4, HOOK_BYTES_MAX / 4 - 5_000));
        room.hears_nothing(ann);
        room.allows_all();
        room.hears(ann, json!({ "type": "ack", "id": 1 }));
        room.hears(ann, json!({ "type": "message" }));
        room.hears(ann, json!({ "type": "pong", "id": 2 }));
        room.hears(ann, json!({ "type": "pong", "id": 4 }));
        room.sends(ann, ping(5, HOOK_BYTES_MAX / 4));
        room.hears(ann, json!({ "type": "pong", "id": 5 }));
    });
}

#[test]
fn so_many_bytes_of_a_room_wait_and_not_more() {
    busy_scenario_with(unbounded, |room| {
        let full = PENDING_BYTES_MAX / HOOK_BYTES_MAX;
        let clients: Vec<_> = (0..=full).map(|n| room.join(&format!("u{n}"))).collect();
        room.skips_to_now();
        let ping = json!({ "type": "ping", "id": 1 });
        for client in &clients {
            room.sends_lines(*client, &[publish(1, 1), ping.clone()]);
        }
        // What waits behind something is not looked at.
        let most = "x".repeat(HOOK_BYTES_MAX - 2_000);
        for client in &clients[..full] {
            room.sends_text(*client, &most);
            room.hears_nothing(*client);
        }
        let last = clients[full];
        room.sends_text(last, &most);
        room.hears(last, json!({ "code": "rate_limited" }));
        // What waited of somebody who has gone makes room.
        room.leaves(clients[0]);
        room.skips_to_now();
        room.sends_text(last, &most);
        room.hears_nothing(last);
        for client in &clients[1..] {
            room.leaves(*client);
        }
        room.allows_all();
        room.allows_all();
        assert_eq!(stored(room), full + 1);
        let newcomer = room.join("ann");
        room.skips_to_now();
        room.sends(newcomer, publish(1, "x"));
        room.allows_all();
        room.hears(newcomer, json!({ "type": "ack" }));
    });
}

#[test]
fn who_does_not_heed_that_too_much_waits_is_closed() {
    let judged_and_slow = |rules: &mut RoomRules| {
        judged(rules);
        rules.rate.burst = 30;
    };
    busy_scenario_with(judged_and_slow, |room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.says(ann, "x".repeat(60_000));
        let long = json!({ "type": "ping", "x": "x".repeat(60_000) });
        for _ in 0..16 {
            room.sends(ann, long.clone());
        }
        room.hears_nothing(ann);
        for _ in 0..29 {
            room.sends(ann, long.clone());
            room.hears(ann, json!({ "code": "rate_limited" }));
        }
        room.sends(ann, long);
        room.hears(ann, json!({ "code": "rate_limited" }));
        room.hears_close(ann, 4103, "too_many_errors");
        room.allows_all();
        assert_eq!(room.stored_count(), 0);
    });
}

fn stored(room: &TestRoom) -> usize {
    room.stored_rows().iter().sum::<u64>() as usize
}

impl TestRoom {
    /// What the next message says that it hears, whatever else it hears before.
    #[track_caller]
    fn heard_message(&mut self, client: Client) -> Value {
        loop {
            let next = self.hears(client, json!({}));
            if next["type"] == "message" {
                return next["data"].clone();
            }
        }
    }
}
