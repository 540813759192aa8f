//! Flushes of a busy room: one row for the messages, and few frames for each connection, in order.

use std::rc::Rc;

use serde_json::{Value, json};
use snug_core::limits::{
    FLUSH_BYTES, FLUSH_LINES, MERGE_BYTES_MAX, STATE_BYTES_MAX, WINDOW_MS_MAX,
};

use crate::driver::{TestRoom, TestUser, gathering_scenario, gathering_scenario_with, scenario};

#[test]
fn a_message_in_a_quiet_room_is_sent_immediately() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        for number in 0..3 {
            room.settles();
            room.publishes(ann, number);
            room.receives_message(bob, number);
        }
    });
}

#[test]
fn messages_in_a_busy_room_are_sent_together() {
    gathering_scenario(|room| {
        let [ann, bob, cho] = ["ann", "bob", "cho"].map(|user| room.join(user));
        room.gets_busy(ann);
        room.sends(ann, publish(1, "one"));
        room.sends(bob, publish(2, "two"));
        room.publishes(ann, "three");
        for client in [ann, bob, cho] {
            room.receives_nothing(client);
        }
        assert_eq!(room.stored_rows(), [1]);
        room.flushes();
        assert_eq!(room.stored_rows(), [1, 3]);
        let (one, two, three) = (message(2, "one"), message(3, "two"), message(4, "three"));
        room.receives_frame(cho, &[one.clone(), two.clone(), three.clone()]);
        // Each client receives its acks before its own echoes.
        room.receives_frame(ann, &[ack(1, 2), one.clone(), two.clone(), three.clone()]);
        room.receives_frame(bob, &[one, ack(2, 3), two, three]);
        for client in [ann, bob, cho] {
            room.receives_nothing(client);
        }
    });
}

#[test]
fn a_message_after_a_flush_waits_for_the_next_one() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        for round in 0..4 {
            room.publishes(ann, round);
            room.receives_nothing(bob);
            assert!(room.gathering_ms() <= WINDOW_MS_MAX);
            room.flushes_once();
            room.receives_message(bob, round);
        }
        assert_eq!(room.stored_rows(), [1; 5]);
    });
}

#[test]
fn only_a_flush_of_several_frames_or_with_messages_opens_a_window() {
    gathering_scenario(|room| {
        let [ann, _, _] = ["ann", "bob", "cho"].map(|user| room.join(user));
        room.settles();
        room.sends(ann, json!({ "type": "signal", "data": 1, "to": ["bob"] }));
        assert!(!room.is_gathering(), "one frame");
        room.sends(
            ann,
            json!({ "type": "signal", "data": 1, "to": ["bob", "cho"] }),
        );
        assert!(room.is_gathering(), "two frames");
        room.settles();
        room.publishes(ann, 1);
        assert!(room.is_gathering(), "a message");
    });
}

#[test]
fn plain_sockets_get_one_object_per_frame() {
    gathering_scenario(|room| {
        let ann = room.admit(TestUser::named("ann").plain());
        let bob = room.admit(TestUser::named("bob").plain());
        room.gets_busy(ann);
        room.sends(ann, publish(1, "one"));
        room.publishes(bob, "two");
        room.flushes();
        for part in [ack(1, 2), message(2, "one"), message(3, "two")] {
            room.receives_frame(ann, &[part]);
        }
        for part in [message(2, "one"), message(3, "two")] {
            room.receives_frame(bob, &[part]);
        }
        room.receives_nothing(bob);
    });
}

#[test]
fn connections_with_the_same_lines_share_one_text() {
    gathering_scenario(|room| {
        let [ann, bob, cho] = ["ann", "bob", "cho"].map(|user| room.join(user));
        let plain = ["dan", "eve"].map(|user| room.admit(TestUser::named(user).plain()));
        let are_one = |room: &mut TestRoom, one, other| {
            Rc::ptr_eq(&room.last_frame(one), &room.last_frame(other))
        };
        room.gets_busy(ann);
        assert!(are_one(room, bob, cho));
        assert!(
            are_one(room, bob, plain[0]),
            "a single one is the same for all"
        );
        room.publishes(ann, 1);
        room.publishes(bob, 2);
        room.flushes();
        assert!(are_one(room, bob, cho) && are_one(room, ann, cho));
        assert!(are_one(room, plain[0], plain[1]));
    });
}

#[test]
fn a_flush_sends_each_connection_only_its_own_lines() {
    gathering_scenario(|room| {
        let ann = room.admit(TestUser::named("ann").without_echo());
        let bob = room.join("bob");
        let cho = room.admit(TestUser::named("cho").plain());
        let without_presence = room.admit(TestUser::named("dan").without_presence());
        let without_receive = room.admit(TestUser::named("eve").with_capabilities(&["presence"]));
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
        room.receives_frame(
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
        room.receives_frame(
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
            room.receives_frame(cho, &[part]);
        }
        room.receives_frame(without_presence, &[m, signal("s"), n]);
        room.receives_frame(without_receive, &[shown]);
        for client in [ann, bob, cho, without_presence, without_receive] {
            room.receives_nothing(client);
        }
    });
}

#[test]
fn replies_come_in_the_order_of_their_commands() {
    gathering_scenario(|room| {
        let (ann, bob) = (
            room.admit(TestUser::named("ann").without_echo()),
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
        let received = room.received(ann);
        let ids: Vec<_> = received.iter().map(|reply| reply["id"].clone()).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6]);
    });
}

#[test]
fn messages_of_one_frame_in_a_quiet_room_are_one_row_and_one_frame() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.settles();
        let commands: Vec<_> = (1..=50).map(|id| publish(id, "x")).collect();
        room.sends_lines(ann, &commands);
        assert_eq!(room.stored_rows(), [50]);
        let messages: Vec<_> = (1..=50).map(|offset| message(offset, "x")).collect();
        room.receives_frame(bob, &messages);
        let replies = (1..=50).flat_map(|id| [ack(id, id), message(id, "x")]);
        room.receives_frame(ann, &replies.collect::<Vec<_>>());
    });
}

#[test]
fn the_outbox_flushes_at_its_line_limit() {
    gathering_scenario_with(any_rate, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        let signal = json!({ "type": "signal", "data": 1 });
        room.gets_busy(ann);
        for _ in 1..FLUSH_LINES {
            room.sends(ann, signal.clone());
        }
        room.receives_nothing(bob);
        room.sends(ann, signal.clone());
        room.receives_frame(bob, &vec![signal; FLUSH_LINES]);
        // The commands of one frame count alike: a message and its ack are two lines.
        room.gets_busy(ann);
        let many = vec![publish(1, "x"); FLUSH_LINES];
        room.sends_lines(ann, &many);
        let half = FLUSH_LINES as u64 / 2;
        assert_eq!(room.stored_rows(), [1, 1, half, half]);
    });
}

#[test]
fn the_outbox_flushes_at_its_byte_limit() {
    for kind in ["publish", "signal"] {
        gathering_scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.gets_busy(ann);
            let say = |room: &mut TestRoom, bytes: usize| {
                room.sends(ann, json!({ "type": kind, "data": "x".repeat(bytes) }));
            };
            // The length of a push without data; offsets have one digit.
            say(room, 0);
            room.flushes();
            let about = room.frame_lengths(bob).pop().unwrap();
            room.gets_busy(ann);
            say(room, 1_000);
            say(room, FLUSH_BYTES - 1_000 - 2 * about - 1);
            room.receives_nothing(bob);
            room.gets_busy(ann);
            say(room, 1_000);
            say(room, FLUSH_BYTES - 1_000 - 2 * about);
            assert_eq!(room.received(bob).len(), 2);
        });
    }
}

#[test]
fn pending_states_count_toward_the_byte_limit() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        let filling = "x".repeat(STATE_BYTES_MAX - r#"{"s":""}"#.len());
        let state = json!({ "type": "state", "data": { "s": filling } });
        room.gets_busy(ann);
        for _ in 1..FLUSH_BYTES / STATE_BYTES_MAX {
            room.sends(ann, state.clone());
        }
        room.receives_nothing(bob);
        room.sends(ann, state);
        room.receives(bob, json!({ "updates": [{ "connection": ann.id() }] }));
        room.receives_nothing(bob);
    });
}

#[test]
fn history_includes_pending_messages_of_all_connections() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        room.sends(bob, publish(1, "x"));
        room.sends(ann, json!({ "type": "ping", "id": 2 }));
        room.sends(ann, json!({ "type": "history", "id": 3, "limit": 1 }));
        // The history command flushed the outbox.
        room.receives_frame(bob, &[ack(1, 2), message(2, "x")]);
        let pong = json!({ "type": "pong", "id": 2 });
        room.receives_frame(ann, &[message(2, "x"), pong]);
        room.flushes();
        let page = json!({ "type": "history", "id": 3, "messages": [{ "data": "x" }] });
        room.receives_frame(ann, &[page]);
    });
}

#[test]
fn history_within_a_frame_includes_the_messages_before_it() {
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
        let received = room.received(ann);
        let expected = [
            ack(1, 2),
            message(2, "one"),
            page(2, "one"),
            page(3, "one"),
            ack(4, 3),
            message(3, "two"),
            page(5, "two"),
        ];
        assert_eq!(received.len(), expected.len());
        room.receives_nothing(ann);
        for (received, expected) in received.iter().zip(expected) {
            assert_eq!(
                (&received["type"], &received["id"]),
                (&expected["type"], &expected["id"])
            );
            let data = |object: &Value| object["messages"][0]["data"].clone();
            assert_eq!(data(received), data(&expected));
        }
    });
}

#[test]
fn a_key_repeated_before_the_flush_stores_once() {
    gathering_scenario(|room| {
        let (ann, tab, bob) = (room.join("ann"), room.join("ann"), room.join("bob"));
        room.gets_busy(bob);
        for (client, id) in [(ann, 1), (tab, 2), (bob, 3), (ann, 4)] {
            room.sends(client, keyed(id, "k"));
        }
        // A duplicate without an id gets no reply.
        room.sends(tab, json!({ "type": "publish", "key": "k", "data": 0 }));
        room.flushes();
        assert_eq!(room.stored_rows(), [1, 2]);
        let (anns, bobs) = (message(2, 1), message(3, 3));
        let (again, again_too) = (duplicate(2, 2), duplicate(4, 2));
        room.receives_frame(ann, &[ack(1, 2), anns.clone(), bobs.clone(), again_too]);
        room.receives_frame(tab, &[anns.clone(), again, bobs.clone()]);
        room.receives_frame(bob, &[anns, ack(3, 3), bobs]);
        room.sends(tab, keyed(5, "k"));
        room.receives(tab, duplicate(5, 2));
    });
}

#[test]
fn a_repeated_key_that_is_not_stored_is_rejected_twice_and_stays_free() {
    gathering_scenario(|room| {
        let (ann, tab) = (room.join("ann"), room.join("ann"));
        room.sends(ann, keyed(0, "old"));
        room.gets_busy(ann);
        room.sends(ann, keyed(1, "k"));
        room.sends(tab, keyed(2, "k"));
        // A message that was stored before is a duplicate even if the flush fails.
        room.sends(tab, keyed(3, "old"));
        room.storage_fails_once();
        room.flushes();
        room.receives(ann, refusal(1));
        room.receives_nothing(ann);
        room.receives(tab, duplicate(3, 1));
        room.receives(tab, refusal(2));
        room.receives_nothing(tab);
        room.settles();
        room.sends(tab, keyed(4, "k"));
        room.receives(tab, ack(4, 3));
        room.receives_message(ann, 4);
        assert_eq!(room.stored_rows(), [1, 1, 1]);
    });
}

#[test]
fn unreadable_keys_reject_only_the_message_that_needs_them() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        room.sends(ann, publish(1, "x"));
        room.storage_fails_once();
        room.sends(bob, keyed(2, "k"));
        room.sends(bob, keyed(3, "k"));
        room.flushes();
        room.receives_frame(ann, &[ack(1, 2), message(2, "x"), message(3, 3)]);
        room.receives_frame(
            bob,
            &[message(2, "x"), refusal(2), ack(3, 3), message(3, 3)],
        );
    });
}

#[test]
fn a_storage_fault_rejects_all_pending_messages_and_nothing_else() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        room.sends(ann, publish(1, "lost"));
        room.publishes(bob, "lost too");
        room.sends(bob, json!({ "type": "signal", "id": 2, "data": "s" }));
        let cho = room.join("cho");
        room.sends(bob, publish(3, "lost as well"));
        room.storage_fails_once();
        room.flushes();
        let join = json!({ "type": "presence", "joins": [{ "user": "cho" }] });
        let signal = json!({ "type": "signal", "data": "s" });
        room.receives(ann, signal.clone());
        room.receives(ann, join.clone());
        room.receives(ann, refusal(1));
        room.receives(bob, json!({ "type": "ack", "id": 2 }));
        room.receives(bob, join);
        let unnamed = room.receives(bob, json!({ "type": "error", "code": "internal" }));
        assert!(unnamed.get("id").is_none());
        room.receives(bob, refusal(3));
        room.receives(cho, json!({ "type": "welcome", "offset": 1 }));
        room.receives(cho, signal);
        for client in [ann, bob, cho] {
            room.receives_nothing(client);
        }
        assert_eq!(room.stored_rows(), [1]);
        // The offsets that were not stored are used next.
        room.settles();
        room.sends(ann, publish(4, "kept"));
        room.receives(ann, ack(4, 2));
        room.receives(bob, message(2, "kept"));
    });
}

#[test]
fn after_a_storage_fault_every_command_has_a_reply() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.settles();
        room.storage_fails_once();
        let history = json!({ "type": "history", "id": 2, "limit": 1 });
        room.sends_lines(ann, &[publish(1, "x"), history, publish(3, "y")]);
        // The room is dropped after a fault, so a command that still waited would get no reply.
        let received = room.received(ann);
        assert!(received.iter().any(|one| one["id"] == 3), "{received:?}");
    });
}

#[test]
fn a_client_that_joins_before_a_flush_gets_each_message_once() {
    let test_user = || TestUser::named("bob");
    let resuming = json!({ "type": "welcome", "offset": 2, "recovered": true });
    let anew = json!({ "type": "welcome", "offset": 2, "recovered": null });
    let too_late = json!({ "type": "welcome", "offset": 2, "recovered": false });
    let joins = [
        (test_user(), &anew, vec![]),
        (test_user().resuming_after(0), &resuming, vec![1, 2]),
        (test_user().resuming_after(1), &resuming, vec![2]),
        (test_user().resuming_after(2), &resuming, vec![]),
        // The pending message has no offset yet.
        (test_user().resuming_after(3), &too_late, vec![]),
        (test_user().with_last(1), &anew, vec![2]),
        (test_user().with_last(9), &anew, vec![1, 2]),
    ];
    for (test_user, welcome, replayed) in joins {
        gathering_scenario(|room| {
            let ann = room.join("ann");
            room.gets_busy(ann);
            room.gets_busy(ann);
            room.publishes(ann, "waits");
            room.publishes(ann, "waits too");
            let bob = room.admit(test_user.clone());
            room.receives(bob, welcome.clone());
            for offset in &replayed {
                room.receives(bob, message(*offset, "busy"));
            }
            room.receives_nothing(bob);
            room.flushes();
            let waited = [message(3, "waits"), message(4, "waits too")];
            room.receives_frame(bob, &waited);
            room.receives_nothing(bob);
            room.receives_frame(
                ann,
                &[&waited[..], &[json!({ "joins": [{ "user": "bob" }] })]].concat(),
            );
        });
    }
}

#[test]
fn a_pending_message_is_sent_after_its_publisher_has_left() {
    for clean in [true, false] {
        gathering_scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.gets_busy(bob);
            room.sends(ann, publish(1, "goodbye"));
            room.disconnects(ann, clean);
            room.disconnects(ann, !clean);
            room.flushes();
            let said = json!({ "type": "message", "user": "ann", "data": "goodbye" });
            room.receives(bob, said);
            assert_eq!(room.stored_rows(), [1, 1]);
        });
    }
}

#[test]
fn a_storage_fault_after_the_publisher_has_left_sends_nothing() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(bob);
        room.sends(ann, publish(1, "goodbye"));
        room.drops(ann);
        room.storage_fails_once();
        room.flushes();
        room.receives_nothing(bob);
    });
}

#[test]
fn a_closed_connection_first_receives_its_replies() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(bob);
        room.sends(ann, publish(1, "x"));
        room.sends(ann, json!({ "type": "ping", "id": 2 }));
        room.sends_binary(ann);
        // The close does not wait for the flush window.
        let pong = json!({ "type": "pong", "id": 2 });
        let closing = json!({ "type": "closing", "code": 1003 });
        room.receives_frame(ann, &[ack(1, 2), pong, closing]);
        assert!(!room.is_open(ann));
        room.receives_message(bob, "x");
    });
}

#[test]
fn the_error_that_closes_follows_earlier_acks() {
    for plain in [false, true] {
        gathering_scenario(|room| {
            let test_user = TestUser::named("ann").without_echo();
            let ann = room.admit(if plain { test_user.plain() } else { test_user });
            let bob = room.join("bob");
            room.gets_busy(bob);
            room.sends(ann, publish(1, "x"));
            for id in 2..22 {
                room.sends(ann, json!({ "type": "dance", "id": id }));
            }
            room.receives(ann, ack(1, 2));
            for id in 2..22 {
                room.receives(ann, json!({ "type": "error", "id": id }));
            }
            room.receives_close(ann, 4103, "too_many_errors");
            room.receives_message(bob, "x");
            room.receives(bob, json!({ "leaves": ["ann"] }));
        });
    }
}

#[test]
fn a_connection_closed_during_a_storage_fault_receives_the_error() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(bob);
        room.sends(ann, publish(1, "x"));
        room.storage_fails_once();
        room.sends_binary(ann);
        let mut received = room.received(ann);
        received.sort_by_key(|object| object["type"] == "closing");
        assert_eq!(received.len(), 2);
        assert_eq!(
            (&received[0]["id"], &received[0]["code"]),
            (&json!(1), &json!("internal"))
        );
        room.receives_nothing(bob);
    });
}

#[test]
fn a_reply_shares_a_frame_with_messages_unless_they_are_long() {
    for (extra, is_together) in [(0, true), (1, false)] {
        scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.publishes(ann, "");
            let about = room.frame_lengths(bob).pop().unwrap();
            room.skips_received();
            let data = "x".repeat(MERGE_BYTES_MAX - about + extra);
            room.sends(ann, publish(1, &*data));
            assert_eq!(room.last_frame(bob).len(), MERGE_BYTES_MAX + extra);
            if is_together {
                room.receives_frame(ann, &[ack(1, 2), message(2, &*data)]);
            } else {
                room.receives_frame(ann, &[ack(1, 2)]);
                room.receives_frame(ann, &[message(2, &*data)]);
                assert!(Rc::ptr_eq(&room.last_frame(ann), &room.last_frame(bob)));
            }
            room.receives_nothing(ann);
        });
    }
}

#[test]
fn a_long_flush_keeps_the_order() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        let long = "x".repeat(MERGE_BYTES_MAX);
        room.publishes(ann, &*long);
        let signal = json!({ "type": "signal", "to": ["bob"], "data": "look above" });
        room.sends(ann, signal);
        room.sends(bob, json!({ "type": "ping", "id": 1 }));
        room.flushes();
        let received = room.received(bob);
        let kinds: Vec<_> = received.iter().map(|one| one["type"].clone()).collect();
        assert_eq!(kinds, ["message", "signal", "pong"]);
    });
}

#[test]
fn a_connection_that_gets_fewer_lines_gets_one_frame_of_any_length() {
    gathering_scenario(|room| {
        let ann = room.admit(TestUser::named("ann").without_echo());
        let bob = room.join("bob");
        room.gets_busy(bob);
        let data = "x".repeat(MERGE_BYTES_MAX);
        room.sends(ann, publish(1, "mine"));
        room.publishes(bob, &*data);
        room.flushes();
        room.receives_frame(ann, &[ack(1, 2), message(3, &*data)]);
        room.receives_frame(bob, &[message(2, "mine"), message(3, &*data)]);
    });
}

#[test]
fn setting_the_clock_back_delays_no_flush() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        room.clock_jumps_back_ms(60_000);
        for number in 1..=3 {
            room.publishes(ann, number);
            room.pass_ms(WINDOW_MS_MAX);
            room.receives_message(bob, number);
        }
        let cho = room.join("cho");
        room.leaves(cho);
        room.pass_ms(1_000);
        room.receives(bob, json!({ "joins": [{ "user": "cho" }] }));
        room.receives(bob, json!({ "leaves": ["cho"] }));
    });
}

#[test]
fn a_crash_loses_only_messages_that_no_client_has_seen() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        room.sends(ann, keyed(1, "k"));
        room.crashes();
        room.receives_nothing(ann);
        room.receives_nothing(bob);
        let ann = room.admit(TestUser::named("ann").resuming_after(1));
        room.receives(
            ann,
            json!({ "type": "welcome", "offset": 1, "recovered": true }),
        );
        room.receives_nothing(ann);
        room.sends(ann, keyed(2, "k"));
        room.pass_ms(10);
        room.receives(ann, ack(2, 2));
        room.receives(ann, message(2, 2));
    });
}

fn any_rate(rules: &mut snug_core::config::RoomRules) {
    (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
}

fn publish(id: u64, data: impl Into<Value>) -> Value {
    json!({ "type": "publish", "id": id, "data": data.into() })
}

/// Returns a command that publishes its id as data, with a key.
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
