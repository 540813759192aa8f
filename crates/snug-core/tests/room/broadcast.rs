//! Messages and signals: who hears what, in which order.

use serde_json::json;

use crate::driver::{START_MS, Visitor, scenario};

#[test]
fn everybody_hears_a_message_its_sender_too() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.says(ann, "hi 🎈");
        for hearer in [ann, bob] {
            let message = room.hears_message(hearer, "hi 🎈");
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
            room.hears_nothing(hearer);
        }
    });
}

#[test]
fn ack_with_the_offset_precedes_the_senders_own_echo() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.pass_ms(7);
        room.sends(ann, json!({ "type": "publish", "id": "m1", "data": 1 }));
        let ack = room.hears(ann, json!({ "type": "ack" }));
        let wanted = json!({ "type": "ack", "id": "m1", "offset": 1, "time": START_MS + 7 });
        assert_eq!(ack, wanted);
        room.hears(ann, json!({ "type": "message", "offset": 1 }));
        room.hears_nothing(ann);
    });
}

#[test]
fn a_command_without_an_id_gets_no_ack() {
    scenario(|room| {
        let ann = room.admit(Visitor::named("ann").without_echo());
        room.skips_to_now();
        room.says(ann, 1);
        room.sends(ann, json!({ "type": "signal", "data": 1 }));
        room.sends(ann, json!({ "type": "state", "data": {} }));
        room.hears_nothing(ann);
    });
}

#[test]
fn without_echo_only_ones_own_messages_are_missing() {
    scenario(|room| {
        let ann = room.admit(Visitor::named("ann").without_echo());
        let (other_tab, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.sends(ann, json!({ "type": "publish", "id": 1, "data": "mine" }));
        room.says(other_tab, "from my other tab");
        room.says(bob, "from bob");
        room.hears(ann, json!({ "type": "ack", "offset": 1 }));
        room.hears_message(ann, "from my other tab");
        room.hears_message(ann, "from bob");
        room.hears_nothing(ann);
        room.hears_message(other_tab, "mine");
        room.hears_message(bob, "mine");
    });
}

#[test]
fn all_hear_the_same_messages_in_the_same_order() {
    scenario(|room| {
        let members = ["ann", "bob", "cho"].map(|user| room.join(user));
        room.skips_to_now();
        for round in 0..5 {
            for member in members {
                room.says(member, round);
            }
        }
        let heard = members.map(|member| room.heard(member));
        assert_eq!(heard[0].len(), 15);
        for (at, message) in heard[0].iter().enumerate() {
            assert_eq!(message["offset"], at + 1);
        }
        assert_eq!(heard[0], heard[1]);
        assert_eq!(heard[1], heard[2]);
    });
}

#[test]
fn a_message_has_its_event_and_null_is_data() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.sends(
            ann,
            json!({ "type": "publish", "event": "笔", "data": null }),
        );
        let message = room.hears(ann, json!({ "event": "笔", "data": null }));
        assert!(message.get("data").is_some());
    });
}

#[test]
fn payloads_arrive_as_they_were_written() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        let data = r#"{"b":12345678901234567890123.10,"a":"\u00e9\/"}"#;
        room.sends_text(ann, &format!(r#"{{"type":"publish","data":{data}}}"#));
        let frame = room.last_frame(bob);
        assert!(frame.ends_with(&format!(r#""data":{data}}}"#)), "{frame}");
    });
}

#[test]
fn time_never_decreases_even_where_the_clock_does() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.pass_ms(5_000);
        room.says(ann, 1);
        room.clock_jumps_back_ms(3_000);
        room.says(ann, 2);
        room.pass_ms(4_000);
        room.says(ann, 3);
        room.hears(ann, json!({ "offset": 1, "time": START_MS + 5_000 }));
        room.hears(ann, json!({ "offset": 2, "time": START_MS + 5_000 }));
        room.hears(ann, json!({ "offset": 3, "time": START_MS + 6_000 }));
    });
}

#[test]
fn several_commands_in_one_frame_are_done_in_order() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.sends_lines(
            ann,
            &[
                json!({ "type": "publish", "id": 1, "data": "one" }),
                json!({ "type": "dance", "id": 2 }),
                json!({ "type": "history", "id": 3 }),
                json!({ "type": "publish", "id": 4, "data": "two" }),
            ],
        );
        room.hears(ann, json!({ "type": "ack", "id": 1, "offset": 1 }));
        room.hears_message(ann, "one");
        room.hears(ann, json!({ "type": "error", "id": 2 }));
        room.hears(
            ann,
            json!({ "type": "history", "id": 3, "messages": [{ "data": "one" }] }),
        );
        room.hears(ann, json!({ "type": "ack", "id": 4, "offset": 2 }));
        room.hears_message(ann, "two");
        room.hears_nothing(ann);
        room.hears_message(bob, "one");
        room.hears_message(bob, "two");
        room.hears_nothing(bob);
    });
}

#[test]
fn a_frame_may_end_with_a_line_break() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.sends_text(ann, "{\"type\":\"publish\",\"data\":1}\n");
        room.hears_message(ann, 1);
        room.hears_nothing(ann);
    });
}

#[test]
fn a_signal_goes_to_all_but_the_sending_connection() {
    scenario(|room| {
        let (ann, other_tab, bob) = (room.join("ann"), room.join("ann"), room.join("bob"));
        room.skips_to_now();
        let typing = json!({ "type": "signal", "id": 9, "event": "typing", "data": true });
        room.sends(ann, typing);
        let ack = room.hears(ann, json!({ "id": 9 }));
        assert_eq!(ack, json!({ "type": "ack", "id": 9 }));
        room.hears_nothing(ann);
        for hearer in [other_tab, bob] {
            let signal = room.hears(hearer, json!({ "type": "signal" }));
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
            room.hears_nothing(hearer);
        }
    });
}

#[test]
fn a_signal_to_some_goes_to_each_of_their_connections_once() {
    scenario(|room| {
        let (ann, bob, bob_too) = (room.join("ann"), room.join("bob"), room.join("bob"));
        let (own_tab, cho) = (room.join("ann"), room.join("cho"));
        room.skips_to_now();
        let to = ["bob", "nobody", "ann", "bob"];
        room.sends(ann, json!({ "type": "signal", "data": 1, "to": to }));
        for hearer in [bob, bob_too, own_tab] {
            room.hears(hearer, json!({ "type": "signal", "data": 1 }));
            room.hears_nothing(hearer);
        }
        room.hears_nothing(ann);
        room.hears_nothing(cho);
    });
}

#[test]
fn a_signal_to_nobody_is_acked_and_goes_nowhere() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.sends(
            ann,
            json!({ "type": "signal", "id": 1, "data": 1, "to": [] }),
        );
        room.hears(ann, json!({ "type": "ack", "id": 1 }));
        room.hears_nothing(bob);
    });
}

#[test]
fn signals_are_never_stored() {
    scenario(|room| {
        let ann = room.join("ann");
        room.sends(ann, json!({ "type": "signal", "data": 1 }));
        room.skips_to_now();
        room.says(ann, "first");
        room.hears(ann, json!({ "type": "message", "offset": 1 }));
        room.sends(ann, json!({ "type": "history", "id": 1 }));
        room.hears(ann, json!({ "messages": [{ "data": "first" }] }));
        assert_eq!(room.stored_count(), 1);
    });
}

#[test]
fn what_could_not_be_stored_is_announced_to_nobody() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.storage_fails_once();
        room.sends(ann, json!({ "type": "publish", "id": 1, "data": "lost" }));
        room.hears(
            ann,
            json!({ "type": "error", "id": 1, "code": "internal", "retryable": true }),
        );
        room.hears_nothing(ann);
        room.hears_nothing(bob);
        room.sends(ann, json!({ "type": "publish", "id": 2, "data": "kept" }));
        room.hears(ann, json!({ "type": "ack", "id": 2, "offset": 1 }));
        room.hears_message(bob, "kept");
    });
}

#[test]
fn a_fault_refuses_all_that_one_frame_publishes_and_nothing_of_the_next() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.storage_fails_once();
        let publish = |id: u32| json!({ "type": "publish", "id": id, "data": id });
        room.sends_lines(ann, &[publish(1), publish(2)]);
        // They are stored together, or not at all.
        room.hears(ann, json!({ "type": "error", "id": 1, "code": "internal" }));
        room.hears(ann, json!({ "type": "error", "id": 2, "code": "internal" }));
        room.hears_nothing(bob);
        room.sends_lines(ann, &[publish(3), publish(4)]);
        room.hears(ann, json!({ "type": "ack", "id": 3, "offset": 1 }));
        room.hears_message(ann, 3);
        room.hears(ann, json!({ "type": "ack", "id": 4, "offset": 2 }));
        room.hears_message(bob, 3);
        room.hears_message(bob, 4);
    });
}
