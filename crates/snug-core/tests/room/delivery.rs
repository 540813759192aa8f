//! What a busy room gathers, and how it leaves: one row for the messages, few frames for each
//! connection, in order.

use std::rc::Rc;

use serde_json::{Value, json};
use snug_core::limits::{
    FLUSH_BYTES, FLUSH_LINES, MERGE_BYTES_MAX, STATE_BYTES_MAX, WINDOW_MS_MAX,
};

use crate::driver::{TestRoom, Visitor, gathering_scenario, gathering_scenario_with, scenario};

#[test]
fn a_message_to_a_quiet_room_is_sent_at_once() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        for number in 0..3 {
            room.settles();
            room.says(ann, number);
            room.hears_message(bob, number);
        }
    });
}

#[test]
fn messages_to_a_busy_room_wait_and_come_together() {
    gathering_scenario(|room| {
        let [ann, bob, cho] = ["ann", "bob", "cho"].map(|user| room.join(user));
        room.gets_busy(ann);
        room.sends(ann, publish(1, "one"));
        room.sends(bob, publish(2, "two"));
        room.says(ann, "three");
        for client in [ann, bob, cho] {
            room.hears_nothing(client);
        }
        assert_eq!(room.stored_rows(), [1]);
        room.flushes();
        assert_eq!(room.stored_rows(), [1, 3]);
        let (one, two, three) = (message(2, "one"), message(3, "two"), message(4, "three"));
        room.hears_frame(cho, &[one.clone(), two.clone(), three.clone()]);
        // To each its acks, before its own echoes.
        room.hears_frame(ann, &[ack(1, 2), one.clone(), two.clone(), three.clone()]);
        room.hears_frame(bob, &[one, ack(2, 3), two, three]);
        for client in [ann, bob, cho] {
            room.hears_nothing(client);
        }
    });
}

#[test]
fn what_comes_after_a_flush_waits_for_the_next() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        for round in 0..4 {
            room.says(ann, round);
            room.hears_nothing(bob);
            assert!(room.gathers_for_ms() <= WINDOW_MS_MAX);
            room.flushes_once();
            room.hears_message(bob, round);
        }
        assert_eq!(room.stored_rows(), [1; 5]);
    });
}

#[test]
fn plain_sockets_get_one_object_a_frame() {
    gathering_scenario(|room| {
        let ann = room.admit(Visitor::named("ann").plain());
        let bob = room.admit(Visitor::named("bob").plain());
        room.gets_busy(ann);
        room.sends(ann, publish(1, "one"));
        room.says(bob, "two");
        room.flushes();
        for part in [ack(1, 2), message(2, "one"), message(3, "two")] {
            room.hears_frame(ann, &[part]);
        }
        for part in [message(2, "one"), message(3, "two")] {
            room.hears_frame(bob, &[part]);
        }
        room.hears_nothing(bob);
    });
}

#[test]
fn all_who_get_the_same_share_one_text() {
    gathering_scenario(|room| {
        let [ann, bob, cho] = ["ann", "bob", "cho"].map(|user| room.join(user));
        let plain = ["dan", "eve"].map(|user| room.admit(Visitor::named(user).plain()));
        let are_one = |room: &mut TestRoom, one, other| {
            Rc::ptr_eq(&room.last_frame(one), &room.last_frame(other))
        };
        room.gets_busy(ann);
        assert!(are_one(room, bob, cho));
        assert!(
            are_one(room, bob, plain[0]),
            "a single one is the same for all"
        );
        room.says(ann, 1);
        room.says(bob, 2);
        room.flushes();
        assert!(are_one(room, bob, cho) && are_one(room, ann, cho));
        assert!(are_one(room, plain[0], plain[1]));
    });
}

#[test]
fn one_flush_brings_each_just_what_is_its_own() {
    gathering_scenario(|room| {
        let ann = room.admit(Visitor::named("ann").without_echo());
        let bob = room.join("bob");
        let cho = room.admit(Visitor::named("cho").plain());
        let unwatching = room.admit(Visitor::named("dan").without_presence());
        let deaf = room.admit(Visitor::named("eve").who_can(&["presence"]));
        room.gets_busy(bob);
        room.sends(ann, publish(1, "m"));
        room.sends(bob, json!({ "type": "signal", "id": 2, "data": "s" }));
        let to = ["ann", "bob", "eve"];
        room.sends(
            bob,
            json!({ "type": "signal", "id": 3, "data": "t", "to": to }),
        );
        room.sends(ann, json!({ "type": "state", "id": 4, "data": { "n": 1 } }));
        room.sends(ann, json!({ "type": "dance", "id": 5 }));
        room.sends(cho, json!({ "type": "ping", "id": 6 }));
        room.sends(bob, publish(7, "n"));
        room.flushes();

        let done = |id: u32| json!({ "type": "ack", "id": id });
        let signal = |data: &str| json!({ "type": "signal", "user": "bob", "data": data });
        let (m, n) = (message(2, "m"), message(3, "n"));
        let shown = json!({ "type": "presence", "joins": [], "leaves": [], "updates": [
            { "user": "ann", "connection": ann.id(), "state": { "n": 1 } }
        ] });
        let error = json!({ "type": "error", "id": 5 });
        room.hears_frame(
            ann,
            &[
                ack(1, 2),
                signal("s"),
                signal("t"),
                done(4),
                error,
                n.clone(),
            ],
        );
        room.hears_frame(
            bob,
            &[
                m.clone(),
                done(2),
                done(3),
                shown.clone(),
                ack(7, 3),
                n.clone(),
            ],
        );
        let pong = json!({ "type": "pong", "id": 6 });
        for part in [m.clone(), signal("s"), pong, shown.clone(), n.clone()] {
            room.hears_frame(cho, &[part]);
        }
        room.hears_frame(unwatching, &[m, signal("s"), n]);
        room.hears_frame(deaf, &[shown]);
        for client in [ann, bob, cho, unwatching, deaf] {
            room.hears_nothing(client);
        }
    });
}

#[test]
fn replies_come_in_the_order_of_their_commands() {
    gathering_scenario(|room| {
        let (ann, bob) = (
            room.admit(Visitor::named("ann").without_echo()),
            room.join("bob"),
        );
        room.gets_busy(bob);
        room.sends(ann, publish(1, "x"));
        room.sends(ann, json!({ "type": "ping", "id": 2 }));
        room.sends(ann, json!({ "type": "members", "id": 3 }));
        room.sends(ann, json!({ "type": "publish", "id": 4 }));
        room.sends(ann, json!({ "type": "signal", "id": 5, "data": 1 }));
        room.sends(ann, publish(6, "y"));
        room.flushes();
        let heard = room.heard(ann);
        let ids: Vec<_> = heard.iter().map(|reply| reply["id"].clone()).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
    });
}

#[test]
fn what_one_frame_publishes_to_a_quiet_room_is_one_row_and_one_frame() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.settles();
        let commands: Vec<_> = (1..=50).map(|id| publish(id, "x")).collect();
        room.sends_lines(ann, &commands);
        assert_eq!(room.stored_rows(), [50]);
        let messages: Vec<_> = (1..=50).map(|offset| message(offset, "x")).collect();
        room.hears_frame(bob, &messages);
        let replies = (1..=50).flat_map(|id| [ack(id, id), message(id, "x")]);
        room.hears_frame(ann, &replies.collect::<Vec<_>>());
    });
}

#[test]
fn no_more_lines_are_gathered_than_the_most() {
    gathering_scenario_with(any_rate, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        let signal = json!({ "type": "signal", "data": 1 });
        room.gets_busy(ann);
        for _ in 1..FLUSH_LINES {
            room.sends(ann, signal.clone());
        }
        room.hears_nothing(bob);
        room.sends(ann, signal.clone());
        room.hears_frame(bob, &vec![signal; FLUSH_LINES]);
        // One frame's commands count as others do: a message and its ack are two lines.
        room.gets_busy(ann);
        let many = vec![publish(1, "x"); FLUSH_LINES];
        room.sends_lines(ann, &many);
        let half = FLUSH_LINES as u64 / 2;
        assert_eq!(room.stored_rows(), [1, 1, half, half]);
    });
}

#[test]
fn no_more_bytes_are_gathered_than_the_most() {
    for kind in ["publish", "signal"] {
        gathering_scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.gets_busy(ann);
            let say = |room: &mut TestRoom, bytes: usize| {
                room.sends(ann, json!({ "type": kind, "data": "x".repeat(bytes) }));
            };
            // All that is about the data; offsets have one digit.
            say(room, 0);
            room.flushes();
            let about = room.frame_lengths(bob).pop().unwrap();
            room.gets_busy(ann);
            say(room, 1_000);
            say(room, FLUSH_BYTES - 1_000 - 2 * about - 1);
            room.hears_nothing(bob);
            room.gets_busy(ann);
            say(room, 1_000);
            say(room, FLUSH_BYTES - 1_000 - 2 * about);
            assert_eq!(room.heard(bob).len(), 2);
        });
    }
}

#[test]
fn no_more_bytes_of_states_are_gathered_than_the_most() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        let filling = "x".repeat(STATE_BYTES_MAX - r#"{"s":""}"#.len());
        let state = json!({ "type": "state", "data": { "s": filling } });
        room.gets_busy(ann);
        for _ in 1..FLUSH_BYTES / STATE_BYTES_MAX {
            room.sends(ann, state.clone());
        }
        room.hears_nothing(bob);
        room.sends(ann, state);
        room.hears(bob, json!({ "updates": [{ "connection": ann.id() }] }));
        room.hears_nothing(bob);
    });
}

#[test]
fn history_has_what_was_published_before_it_by_whomever() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        room.sends(bob, publish(1, "x"));
        room.sends(ann, json!({ "type": "ping", "id": 2 }));
        room.sends(ann, json!({ "type": "history", "id": 3, "limit": 1 }));
        // What waited has left with the message.
        room.hears_frame(bob, &[ack(1, 2), message(2, "x")]);
        let pong = json!({ "type": "pong", "id": 2 });
        room.hears_frame(ann, &[message(2, "x"), pong]);
        room.flushes();
        let page = json!({ "type": "history", "id": 3, "messages": [{ "data": "x" }] });
        room.hears_frame(ann, &[page]);
    });
}

#[test]
fn history_in_the_middle_of_a_frame_has_what_stands_before_it() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        let history = |id: u32| json!({ "type": "history", "id": id, "limit": 1 });
        let page = |id: u32, data: &str| json!({ "type": "history", "id": id, "messages": [{ "data": data }] });
        room.gets_busy(ann);
        room.sends_lines(
            ann,
            &[
                publish(1, "one"),
                history(2),
                history(3),
                publish(4, "two"),
                history(5),
            ],
        );
        room.flushes();
        assert_eq!(room.stored_rows(), [1, 1, 1]);
        let heard = room.heard(ann);
        let wanted = [
            ack(1, 2),
            message(2, "one"),
            page(2, "one"),
            page(3, "one"),
            ack(4, 3),
            message(3, "two"),
            page(5, "two"),
        ];
        assert_eq!(heard.len(), wanted.len());
        room.hears_nothing(ann);
        for (heard, wanted) in heard.iter().zip(wanted) {
            assert_eq!(
                (&heard["type"], &heard["id"]),
                (&wanted["type"], &wanted["id"])
            );
            let data = |object: &Value| object["messages"][0]["data"].clone();
            assert_eq!(data(heard), data(&wanted));
        }
    });
}

#[test]
fn a_key_repeated_while_the_first_waits_stores_once() {
    gathering_scenario(|room| {
        let (ann, tab, bob) = (room.join("ann"), room.join("ann"), room.join("bob"));
        room.gets_busy(bob);
        for (client, id) in [(ann, 1), (tab, 2), (bob, 3), (ann, 4)] {
            room.sends(client, keyed(id, "k"));
        }
        // One without an id is not answered.
        room.sends(tab, json!({ "type": "publish", "key": "k", "data": 0 }));
        room.flushes();
        assert_eq!(room.stored_rows(), [1, 2]);
        let (anns, bobs) = (message(2, 1), message(3, 3));
        let (again, again_too) = (duplicate(2, 2), duplicate(4, 2));
        room.hears_frame(ann, &[ack(1, 2), anns.clone(), bobs.clone(), again_too]);
        room.hears_frame(tab, &[anns.clone(), again, bobs.clone()]);
        room.hears_frame(bob, &[anns, ack(3, 3), bobs]);
        room.sends(tab, keyed(5, "k"));
        room.hears(tab, duplicate(5, 2));
    });
}

#[test]
fn a_repeated_key_that_is_not_stored_is_refused_twice_and_free() {
    gathering_scenario(|room| {
        let (ann, tab) = (room.join("ann"), room.join("ann"));
        room.sends(ann, keyed(0, "old"));
        room.gets_busy(ann);
        room.sends(ann, keyed(1, "k"));
        room.sends(tab, keyed(2, "k"));
        // What was stored before is, whatever becomes of the others.
        room.sends(tab, keyed(3, "old"));
        room.storage_fails_once();
        room.flushes();
        room.hears(ann, refusal(1));
        room.hears_nothing(ann);
        room.hears(tab, duplicate(3, 1));
        room.hears(tab, refusal(2));
        room.hears_nothing(tab);
        room.settles();
        room.sends(tab, keyed(4, "k"));
        room.hears(tab, ack(4, 3));
        room.hears_message(ann, 4);
        assert_eq!(room.stored_rows(), [1, 1, 1]);
    });
}

#[test]
fn keys_that_cannot_be_read_cost_nothing_but_their_publish() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        room.sends(ann, publish(1, "x"));
        room.storage_fails_once();
        room.sends(bob, keyed(2, "k"));
        room.sends(bob, keyed(3, "k"));
        room.flushes();
        room.hears_frame(ann, &[ack(1, 2), message(2, "x"), message(3, 3)]);
        room.hears_frame(
            bob,
            &[message(2, "x"), refusal(2), ack(3, 3), message(3, 3)],
        );
    });
}

#[test]
fn a_fault_refuses_every_message_that_waits_and_nothing_else() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        room.sends(ann, publish(1, "lost"));
        room.says(bob, "lost too");
        room.sends(bob, json!({ "type": "signal", "id": 2, "data": "s" }));
        let cho = room.join("cho");
        room.sends(bob, publish(3, "lost as well"));
        room.storage_fails_once();
        room.flushes();
        let join = json!({ "type": "presence", "joins": [{ "user": "cho" }] });
        let signal = json!({ "type": "signal", "data": "s" });
        room.hears(ann, signal.clone());
        room.hears(ann, join.clone());
        room.hears(ann, refusal(1));
        room.hears(bob, json!({ "type": "ack", "id": 2 }));
        room.hears(bob, join);
        let unnamed = room.hears(bob, json!({ "type": "error", "code": "internal" }));
        assert!(unnamed.get("id").is_none());
        room.hears(bob, refusal(3));
        room.hears(cho, json!({ "type": "welcome", "offset": 1 }));
        room.hears(cho, signal);
        for client in [ann, bob, cho] {
            room.hears_nothing(client);
        }
        assert_eq!(room.stored_rows(), [1]);
        // The places that were not taken are the next ones.
        room.settles();
        room.sends(ann, publish(4, "kept"));
        room.hears(ann, ack(4, 2));
        room.hears(bob, message(2, "kept"));
    });
}

#[test]
fn after_a_fault_nothing_is_left_waiting() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.settles();
        room.storage_fails_once();
        let history = json!({ "type": "history", "id": 2, "limit": 1 });
        room.sends_lines(ann, &[publish(1, "x"), history, publish(3, "y")]);
        // What is in memory cannot be relied on after a fault: the room is dropped, and what
        // waited would be lost without a word.
        let heard = room.heard(ann);
        assert!(heard.iter().any(|one| one["id"] == 3), "{heard:?}");
    });
}

#[test]
fn whoever_joins_while_messages_wait_gets_each_once() {
    let visitor = || Visitor::named("bob");
    let resuming = json!({ "type": "welcome", "offset": 2, "recovered": true });
    let anew = json!({ "type": "welcome", "offset": 2, "recovered": null });
    let too_late = json!({ "type": "welcome", "offset": 2, "recovered": false });
    let joins = [
        (visitor(), &anew, vec![]),
        (visitor().resuming_after(0), &resuming, vec![1, 2]),
        (visitor().resuming_after(1), &resuming, vec![2]),
        (visitor().resuming_after(2), &resuming, vec![]),
        // Nobody has heard of the one that waits.
        (visitor().resuming_after(3), &too_late, vec![]),
        (visitor().wanting_last(1), &anew, vec![2]),
        (visitor().wanting_last(9), &anew, vec![1, 2]),
    ];
    for (visitor, welcome, replayed) in joins {
        gathering_scenario(|room| {
            let ann = room.join("ann");
            room.gets_busy(ann);
            room.gets_busy(ann);
            room.says(ann, "waits");
            room.says(ann, "waits too");
            let bob = room.admit(visitor.clone());
            room.hears(bob, welcome.clone());
            for offset in &replayed {
                room.hears(bob, message(*offset, "busy"));
            }
            room.hears_nothing(bob);
            room.flushes();
            let waited = [message(3, "waits"), message(4, "waits too")];
            room.hears_frame(bob, &waited);
            room.hears_nothing(bob);
            room.hears_frame(
                ann,
                &[&waited[..], &[json!({ "joins": [{ "user": "bob" }] })]].concat(),
            );
        });
    }
}

#[test]
fn a_message_outlives_its_publisher() {
    for clean in [true, false] {
        gathering_scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.gets_busy(bob);
            room.sends(ann, publish(1, "goodbye"));
            room.disconnects(ann, clean);
            room.disconnects(ann, !clean);
            room.flushes();
            let said = json!({ "type": "message", "user": "ann", "data": "goodbye" });
            room.hears(bob, said);
            assert_eq!(room.stored_rows(), [1, 1]);
        });
    }
}

#[test]
fn a_storage_that_refuses_a_publisher_who_is_gone_tells_nobody() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(bob);
        room.sends(ann, publish(1, "goodbye"));
        room.drops(ann);
        room.storage_fails_once();
        room.flushes();
        room.hears_nothing(bob);
    });
}

#[test]
fn whoever_is_closed_hears_what_it_asked_first() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(bob);
        room.sends(ann, publish(1, "x"));
        room.sends(ann, json!({ "type": "ping", "id": 2 }));
        room.sends_bytes(ann);
        // It is not let wait for its close.
        let pong = json!({ "type": "pong", "id": 2 });
        let closing = json!({ "type": "closing", "code": 1003 });
        room.hears_frame(ann, &[ack(1, 2), pong, closing]);
        assert!(!room.is_open(ann));
        room.hears_message(bob, "x");
    });
}

#[test]
fn an_error_too_many_closes_after_the_acks_before_it() {
    for plain in [false, true] {
        gathering_scenario(|room| {
            let visitor = Visitor::named("ann").without_echo();
            let ann = room.admit(if plain { visitor.plain() } else { visitor });
            let bob = room.join("bob");
            room.gets_busy(bob);
            room.sends(ann, publish(1, "x"));
            for id in 2..22 {
                room.sends(ann, json!({ "type": "dance", "id": id }));
            }
            room.hears(ann, ack(1, 2));
            for id in 2..22 {
                room.hears(ann, json!({ "type": "error", "id": id }));
            }
            room.hears_close(ann, 4103, "too_many_errors");
            room.hears_message(bob, "x");
            room.hears(bob, json!({ "leaves": ["ann"] }));
        });
    }
}

#[test]
fn whoever_is_closed_while_storage_fails_hears_that_too() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(bob);
        room.sends(ann, publish(1, "x"));
        room.storage_fails_once();
        room.sends_bytes(ann);
        let mut heard = room.heard(ann);
        heard.sort_by_key(|object| object["type"] == "closing");
        assert_eq!(heard.len(), 2);
        assert_eq!(
            (&heard[0]["id"], &heard[0]["code"]),
            (&json!(1), &json!("internal"))
        );
        room.hears_nothing(bob);
    });
}

#[test]
fn a_reply_goes_with_what_all_get_unless_that_is_long() {
    for (extra, is_together) in [(0, true), (1, false)] {
        scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.says(ann, "");
            let about = room.frame_lengths(bob).pop().unwrap();
            room.skips_to_now();
            let data = "x".repeat(MERGE_BYTES_MAX - about + extra);
            room.sends(ann, publish(1, &*data));
            assert_eq!(room.last_frame(bob).len(), MERGE_BYTES_MAX + extra);
            if is_together {
                room.hears_frame(ann, &[ack(1, 2), message(2, &*data)]);
            } else {
                room.hears_frame(ann, &[ack(1, 2)]);
                room.hears_frame(ann, &[message(2, &*data)]);
                assert!(Rc::ptr_eq(&room.last_frame(ann), &room.last_frame(bob)));
            }
            room.hears_nothing(ann);
        });
    }
}

#[test]
fn a_long_flush_keeps_the_order_too() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        let long = "x".repeat(MERGE_BYTES_MAX);
        room.says(ann, &*long);
        let signal = json!({ "type": "signal", "to": ["bob"], "data": "look above" });
        room.sends(ann, signal);
        room.sends(bob, json!({ "type": "ping", "id": 1 }));
        room.flushes();
        let heard = room.heard(bob);
        let kinds: Vec<_> = heard.iter().map(|one| one["type"].clone()).collect();
        assert_eq!(kinds, ["message", "signal", "pong"]);
    });
}

#[test]
fn whoever_gets_less_than_all_gets_it_in_one_frame_however_long() {
    gathering_scenario(|room| {
        let ann = room.admit(Visitor::named("ann").without_echo());
        let bob = room.join("bob");
        room.gets_busy(bob);
        let data = "x".repeat(MERGE_BYTES_MAX);
        room.sends(ann, publish(1, "mine"));
        room.says(bob, &*data);
        room.flushes();
        room.hears_frame(ann, &[ack(1, 2), message(3, &*data)]);
        room.hears_frame(bob, &[message(2, "mine"), message(3, &*data)]);
    });
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_waiting() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        room.clock_jumps_back_ms(60_000);
        for number in 1..=3 {
            room.says(ann, number);
            room.pass_ms(WINDOW_MS_MAX);
            room.hears_message(bob, number);
        }
        let cho = room.join("cho");
        room.leaves(cho);
        room.pass_ms(1_000);
        room.hears(bob, json!({ "joins": [{ "user": "cho" }] }));
        room.hears(bob, json!({ "leaves": ["cho"] }));
    });
}

#[test]
fn a_crash_loses_what_waits_and_nobody_has_heard_of_it() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        room.sends(ann, keyed(1, "k"));
        room.crashes();
        room.hears_nothing(ann);
        room.hears_nothing(bob);
        let ann = room.admit(Visitor::named("ann").resuming_after(1));
        room.hears(
            ann,
            json!({ "type": "welcome", "offset": 1, "recovered": true }),
        );
        room.hears_nothing(ann);
        room.sends(ann, keyed(2, "k"));
        room.pass_ms(10);
        room.hears(ann, ack(2, 2));
        room.hears(ann, message(2, 2));
    });
}

fn any_rate(rules: &mut snug_core::config::RoomRules) {
    (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
}

fn publish(id: u64, data: impl Into<Value>) -> Value {
    json!({ "type": "publish", "id": id, "data": data.into() })
}

/// Publishes its own id under a key.
fn keyed(id: u64, key: &str) -> Value {
    json!({ "type": "publish", "id": id, "key": key, "data": id })
}

fn ack(id: u64, offset: u64) -> Value {
    json!({ "type": "ack", "id": id, "offset": offset })
}

fn duplicate(id: u64, offset: u64) -> Value {
    json!({ "type": "ack", "id": id, "offset": offset, "duplicate": true })
}

fn refusal(id: u64) -> Value {
    json!({ "type": "error", "id": id, "code": "internal", "retryable": true })
}

fn message(offset: u64, data: impl Into<Value>) -> Value {
    json!({ "type": "message", "offset": offset, "data": data.into() })
}
