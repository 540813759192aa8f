//! Messages and signals: recipients and order.

use serde_json::json;

use snug_core::config::RoomRules;

use crate::driver::{START_MS, TestUser, scenario, scenario_with};

#[test]
fn a_message_reaches_everyone_including_its_sender() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.publishes(ann, "hi 🎈");
        for receiver in [ann, bob] {
            let message = room.receives_message(receiver, "hi 🎈");
            assert_eq!(
                message,
                json!({
                    "type": "message",
                    "offset": 1,
                    "time": START_MS,
                    "user": "ann",
                    "connection": ann.id(),
                    "data": "hi 🎈"
                })
            );
            room.receives_nothing(receiver);
        }
    });
}

#[test]
fn a_message_has_its_authors_profile_of_that_time() {
    scenario(|room| {
        let named = |name: &str| TestUser::named("ann").with_info(json!({ "name": name }));
        let ann = room.admit(named("Ann"));
        room.skips_received();
        room.publishes(ann, 1);
        room.refreshes(ann, named("Anna"));
        room.publishes(ann, 2);
        room.leaves(ann);
        let bob = room.admit(TestUser::named("bob").with_last(2));
        room.receives(bob, json!({ "type": "welcome" }));
        for (data, name) in [(1, "Ann"), (2, "Anna")] {
            let message = room.receives_message(bob, data);
            assert_eq!(message["info"], json!({ "name": name }));
        }
    });
}

#[test]
fn messages_have_no_profile_if_the_operator_leaves_it_out() {
    let without = |rules: &mut RoomRules| rules.messages_have_info = false;
    scenario_with(without, |room| {
        let ann = room.admit(TestUser::named("ann").with_info(json!({ "name": "Ann" })));
        room.skips_received();
        room.publishes(ann, 1);
        assert!(room.receives_message(ann, 1).get("info").is_none());
    });
}

#[test]
fn the_ack_precedes_the_senders_own_echo() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        room.pass_ms(7);
        room.sends(ann, json!({ "type": "publish", "id": "m1", "data": 1 }));
        let ack = room.receives(ann, json!({ "type": "ack" }));
        let expected = json!({ "type": "ack", "id": "m1", "offset": 1, "time": START_MS + 7 });
        assert_eq!(ack, expected);
        room.receives(ann, json!({ "type": "message", "offset": 1 }));
        room.receives_nothing(ann);
    });
}

#[test]
fn a_command_without_an_id_gets_no_ack() {
    scenario(|room| {
        let ann = room.admit(TestUser::named("ann").without_echo());
        room.skips_received();
        room.publishes(ann, 1);
        room.sends(ann, json!({ "type": "signal", "data": 1 }));
        room.sends(ann, json!({ "type": "state", "data": {} }));
        room.receives_nothing(ann);
    });
}

#[test]
fn without_echo_a_connection_does_not_receive_its_own_messages() {
    scenario(|room| {
        let ann = room.admit(TestUser::named("ann").without_echo());
        let (other_tab, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.sends(ann, json!({ "type": "publish", "id": 1, "data": "mine" }));
        room.publishes(other_tab, "from my other tab");
        room.publishes(bob, "from bob");
        room.receives(ann, json!({ "type": "ack", "offset": 1 }));
        room.receives_message(ann, "from my other tab");
        room.receives_message(ann, "from bob");
        room.receives_nothing(ann);
        room.receives_message(other_tab, "mine");
        room.receives_message(bob, "mine");
    });
}

#[test]
fn all_receive_the_same_messages_in_the_same_order() {
    scenario(|room| {
        let members = ["ann", "bob", "cho"].map(|user| room.join(user));
        room.skips_received();
        for round in 0..5 {
            for member in members {
                room.publishes(member, round);
            }
        }
        let received = members.map(|member| room.received(member));
        assert_eq!(received[0].len(), 15);
        for (at, message) in received[0].iter().enumerate() {
            assert_eq!(message["offset"], at + 1);
        }
        assert_eq!(received[0], received[1]);
        assert_eq!(received[1], received[2]);
    });
}

#[test]
fn a_message_carries_its_event_name_and_may_have_null_data() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        room.sends(
            ann,
            json!({ "type": "publish", "event": "笔", "data": null }),
        );
        let message = room.receives(ann, json!({ "event": "笔", "data": null }));
        assert!(message.get("data").is_some());
    });
}

#[test]
fn data_arrives_exactly_as_it_was_sent() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        let data = r#"{"b":12345678901234567890123.10,"a":"\u00e9\/"}"#;
        room.sends_text(ann, &format!(r#"{{"type":"publish","data":{data}}}"#));
        let frame = room.last_frame(bob);
        assert!(frame.ends_with(&format!(r#""data":{data}}}"#)), "{frame}");
    });
}

#[test]
fn message_times_never_decrease_even_if_the_clock_does() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        room.pass_ms(5_000);
        room.publishes(ann, 1);
        room.clock_jumps_back_ms(3_000);
        room.publishes(ann, 2);
        room.pass_ms(4_000);
        room.publishes(ann, 3);
        room.receives(ann, json!({ "offset": 1, "time": START_MS + 5_000 }));
        room.receives(ann, json!({ "offset": 2, "time": START_MS + 5_000 }));
        room.receives(ann, json!({ "offset": 3, "time": START_MS + 6_000 }));
    });
}

#[test]
fn commands_of_one_frame_are_handled_in_order() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.sends_lines(
            ann,
            &[
                json!({ "type": "publish", "id": 1, "data": "one" }),
                json!({ "type": "dance", "id": 2 }),
                json!({ "type": "history", "id": 3 }),
                json!({ "type": "publish", "id": 4, "data": "two" }),
            ],
        );
        room.receives(ann, json!({ "type": "ack", "id": 1, "offset": 1 }));
        room.receives_message(ann, "one");
        room.receives(ann, json!({ "type": "error", "id": 2 }));
        room.receives(
            ann,
            json!({ "type": "history", "id": 3, "messages": [{ "data": "one" }] }),
        );
        room.receives(ann, json!({ "type": "ack", "id": 4, "offset": 2 }));
        room.receives_message(ann, "two");
        room.receives_nothing(ann);
        room.receives_message(bob, "one");
        room.receives_message(bob, "two");
        room.receives_nothing(bob);
    });
}

#[test]
fn a_frame_may_end_with_a_line_break() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        room.sends_text(ann, "{\"type\":\"publish\",\"data\":1}\n");
        room.receives_message(ann, 1);
        room.receives_nothing(ann);
    });
}

#[test]
fn a_signal_is_sent_to_all_but_the_sending_connection() {
    scenario(|room| {
        let (ann, other_tab, bob) = (room.join("ann"), room.join("ann"), room.join("bob"));
        room.skips_received();
        let typing = json!({ "type": "signal", "id": 9, "event": "typing", "data": true });
        room.sends(ann, typing);
        let ack = room.receives(ann, json!({ "id": 9 }));
        assert_eq!(ack, json!({ "type": "ack", "id": 9 }));
        room.receives_nothing(ann);
        for receiver in [other_tab, bob] {
            let signal = room.receives(receiver, json!({ "type": "signal" }));
            assert_eq!(
                signal,
                json!({
                    "type": "signal",
                    "user": "ann",
                    "connection": ann.id(),
                    "event": "typing",
                    "data": true
                })
            );
            room.receives_nothing(receiver);
        }
    });
}

#[test]
fn a_signal_to_users_reaches_each_of_their_connections_once() {
    scenario(|room| {
        let (ann, bob, bob_too) = (room.join("ann"), room.join("bob"), room.join("bob"));
        let (own_tab, cho) = (room.join("ann"), room.join("cho"));
        room.skips_received();
        let to = ["bob", "nobody", "ann", "bob"];
        room.sends(ann, json!({ "type": "signal", "data": 1, "to": to }));
        for receiver in [bob, bob_too, own_tab] {
            room.receives(receiver, json!({ "type": "signal", "data": 1 }));
            room.receives_nothing(receiver);
        }
        room.receives_nothing(ann);
        room.receives_nothing(cho);
    });
}

#[test]
fn a_signal_to_an_empty_list_is_acked_and_sent_to_nobody() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.sends(
            ann,
            json!({ "type": "signal", "id": 1, "data": 1, "to": [] }),
        );
        room.receives(ann, json!({ "type": "ack", "id": 1 }));
        room.receives_nothing(bob);
    });
}

#[test]
fn signals_are_never_stored() {
    scenario(|room| {
        let ann = room.join("ann");
        room.sends(ann, json!({ "type": "signal", "data": 1 }));
        room.skips_received();
        room.publishes(ann, "first");
        room.receives(ann, json!({ "type": "message", "offset": 1 }));
        room.sends(ann, json!({ "type": "history", "id": 1 }));
        room.receives(ann, json!({ "messages": [{ "data": "first" }] }));
        assert_eq!(room.stored_count(), 1);
    });
}

#[test]
fn a_message_that_cannot_be_stored_is_not_sent() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.storage_fails_once();
        room.sends(ann, json!({ "type": "publish", "id": 1, "data": "lost" }));
        room.receives(
            ann,
            json!({ "type": "error", "id": 1, "code": "internal", "retryable": true }),
        );
        room.receives_nothing(ann);
        room.receives_nothing(bob);
        room.sends(ann, json!({ "type": "publish", "id": 2, "data": "kept" }));
        room.receives(ann, json!({ "type": "ack", "id": 2, "offset": 1 }));
        room.receives_message(bob, "kept");
    });
}

#[test]
fn a_storage_fault_rejects_all_messages_of_one_frame_but_not_the_next() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.storage_fails_once();
        let publish = |id: u32| json!({ "type": "publish", "id": id, "data": id });
        room.sends_lines(ann, &[publish(1), publish(2)]);
        // The messages of a frame are stored together or not at all.
        room.receives(ann, json!({ "type": "error", "id": 1, "code": "internal" }));
        room.receives(ann, json!({ "type": "error", "id": 2, "code": "internal" }));
        room.receives_nothing(bob);
        room.sends_lines(ann, &[publish(3), publish(4)]);
        room.receives(ann, json!({ "type": "ack", "id": 3, "offset": 1 }));
        room.receives_message(ann, 3);
        room.receives(ann, json!({ "type": "ack", "id": 4, "offset": 2 }));
        room.receives_message(bob, 3);
        room.receives_message(bob, 4);
    });
}
