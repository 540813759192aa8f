//! Presence diffs in a busy room: changes are batched, and keep a sensible order with messages.

use serde_json::{Value, json};
use snug_core::limits::MEMBERS_LISTED_MAX;

use crate::driver::{Client, TestRoom, TestUser, gathering_scenario};

const GRACE_MS: u64 = 5_000;

#[test]
fn many_simultaneous_joins_are_one_push() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        let crowd: Vec<_> = (0..MEMBERS_LISTED_MAX - 1)
            .map(|number| format!("user{number:03}"))
            .collect();
        for user in &crowd {
            let member = room.join(user);
            room.receives(member, json!({ "type": "welcome" }));
        }
        room.settles_unread();
        let received = room.received(ann);
        assert_eq!(received.len(), 1, "{received:?}");
        let joins = received[0]["joins"].as_array().unwrap();
        let users: Vec<_> = joins.iter().map(|member| member["user"].clone()).collect();
        assert_eq!(users, crowd);
        assert_eq!(received[0]["count"], MEMBERS_LISTED_MAX);
    });
}

#[test]
fn many_joins_over_time_are_few_pushes() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.settles();
        for number in 0..300 {
            room.admit(TestUser::named(&format!("u{number}")).without_presence());
            room.pass_ms(number % 2);
        }
        room.settles_unread();
        let received = room.received(ann);
        assert!(received.len() < 100, "{} pushes", received.len());
        let last = received.last().unwrap();
        assert_eq!(
            (&last["count"], &last["truncated"]),
            (&json!(301), &json!(true))
        );
    });
}

#[test]
fn batched_joins_are_also_sent_to_the_newcomers() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        let (bob, cho) = (room.join("bob"), room.join("cho"));
        let members = json!([{ "user": "ann" }, { "user": "bob" }]);
        room.receives(bob, json!({ "type": "welcome", "members": members }));
        room.receives(cho, json!({ "type": "welcome", "count": 3 }));
        room.flushes();
        for client in [ann, bob, cho] {
            let joins = json!([{ "user": "bob" }, { "user": "cho" }]);
            room.receives_frame(
                client,
                &[json!({ "type": "presence", "joins": joins, "leaves": [], "count": 3 })],
            );
            room.receives_nothing(client);
        }
    });
}

#[test]
fn a_connection_is_not_notified_of_its_own_change() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        let cho = room.join("cho");
        shows(room, cho, json!({ "n": 1 }));
        room.flushes();
        room.receives(cho, json!({ "type": "welcome" }));
        room.receives_nothing(cho);
        // The join includes the newcomer's state at the time of the flush.
        let joins = json!([{ "user": "cho", "state": { cho.id(): { "n": 1 } } }]);
        for client in [ann, bob] {
            room.receives(client, json!({ "joins": joins }));
            room.receives_nothing(client);
        }
    });
}

#[test]
fn a_join_and_a_leave_of_a_user_are_two_pushes() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        let bob = room.join("bob");
        room.leaves(bob);
        let bob = room.join("bob");
        room.leaves(bob);
        room.flushes();
        let joins = json!({ "joins": [{ "user": "bob" }], "leaves": [], "count": 2 });
        let leaves = json!({ "joins": [], "leaves": ["bob"], "count": 1 });
        room.receives_frame(ann, &[joins.clone(), leaves.clone(), joins, leaves]);
    });
}

#[test]
fn a_leave_and_a_new_join_of_a_user_are_two_pushes() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        room.leaves(bob);
        let bob = room.join("bob");
        room.flushes();
        let leaves = json!({ "joins": [], "leaves": ["bob"], "count": 1 });
        let joins = json!({ "joins": [{ "user": "bob" }], "leaves": [], "count": 2 });
        let changes = [leaves, joins];
        room.receives_frame(ann, &changes);
        // A client that receives its own leave also receives its new join.
        room.receives(bob, json!({ "type": "welcome", "count": 2 }));
        room.receives_frame(bob, &changes);
    });
}

#[test]
fn a_newcomer_that_receives_earlier_diffs_also_receives_its_own_join() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        room.join("bob");
        room.publishes(ann, "x");
        let cho = room.join("cho");
        room.flushes();
        room.receives(cho, json!({ "type": "welcome", "count": 3 }));
        room.receives(cho, json!({ "joins": [{ "user": "bob" }], "count": 2 }));
        room.receives(cho, json!({ "type": "message" }));
        room.receives(cho, json!({ "joins": [{ "user": "cho" }], "count": 3 }));
    });
}

#[test]
fn a_reconnect_within_a_flush_window_sends_no_leave() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        room.drops(bob);
        let bob = room.join("bob");
        room.receives_nothing(ann);
        shows(room, bob, json!({ "n": 1 }));
        room.drops(bob);
        room.join("bob");
        room.flushes();
        let gone = json!([{ "user": "bob", "connection": bob.id(), "state": null }]);
        room.receives(ann, json!({ "joins": [], "leaves": [], "updates": gone }));
        room.pass_ms(GRACE_MS * 2);
        room.receives_nothing(ann);
    });
}

#[test]
fn only_the_last_of_several_states_is_sent() {
    gathering_scenario(|room| {
        let [ann, bob, cho] = ["ann", "bob", "cho"].map(|user| room.join(user));
        room.gets_busy(cho);
        for number in 1..=3 {
            shows(room, ann, json!({ "n": number }));
        }
        room.flushes();
        let update = |client: Client, user: &str, number: u32| json!({ "user": user, "connection": client.id(), "state": { "n": number } });
        for client in [bob, cho] {
            room.receives_frame(client, &[json!({ "updates": [update(ann, "ann", 3)] })]);
        }
        room.receives_nothing(ann);
        // If several states change, each client also receives its own.
        shows(room, bob, json!({ "n": 4 }));
        shows(room, ann, json!({ "n": 5 }));
        room.flushes();
        let both = json!({ "updates": [update(ann, "ann", 5), update(bob, "bob", 4)] });
        for client in [ann, bob, cho] {
            room.receives_frame(client, std::slice::from_ref(&both));
            room.receives_nothing(client);
        }
    });
}

#[test]
fn a_join_precedes_the_users_messages_and_a_leave_follows_them() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        let bob = room.join("bob");
        shows(room, bob, json!({ "n": 1 }));
        room.publishes(bob, "hello");
        room.leaves(bob);
        room.publishes(ann, "gone");
        room.flushes();
        room.receives_frame(
            ann,
            &[
                json!({ "type": "presence", "joins": [{ "user": "bob" }], "count": 2 }),
                json!({ "type": "message", "data": "hello" }),
                json!({ "type": "presence", "leaves": ["bob"], "updates": [], "count": 1 }),
                json!({ "type": "message", "data": "gone" }),
            ],
        );
        room.receives_nothing(ann);
    });
}

#[test]
fn a_leave_after_the_grace_period_follows_pending_messages() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.settles();
        room.drops(bob);
        room.pass_ms(GRACE_MS - 1);
        room.publishes(ann, "busy");
        room.pass_ms(0);
        room.publishes(ann, "waits");
        room.pass_ms(30);
        room.receives_message(ann, "busy");
        room.receives_message(ann, "waits");
        room.receives(ann, json!({ "leaves": ["bob"], "count": 1 }));
        room.receives_nothing(ann);
    });
}

#[test]
fn the_first_member_receives_no_presence_push() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.pass_ms(100);
        room.receives(ann, json!({ "type": "welcome" }));
        room.receives_nothing(ann);
    });
}

#[test]
fn in_a_large_room_only_the_member_count_is_sent() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        // With ann and bob, the room will have as many members as are listed.
        let crowd: Vec<_> = (2..MEMBERS_LISTED_MAX)
            .map(|number| room.admit(TestUser::named(&format!("u{number}")).without_presence()))
            .collect();
        room.settles();
        let bob = room.join("bob");
        let names = json!({ "joins": [{ "user": "bob" }], "count": MEMBERS_LISTED_MAX });
        let diff = room.receives(ann, names);
        assert!(diff.get("truncated").is_none());

        room.settles();
        let cho = room.join("cho");
        let number = |count: usize| json!({ "type": "presence", "joins": [], "leaves": [], "updates": [], "count": count, "truncated": true });
        assert_eq!(room.received(ann), [number(MEMBERS_LISTED_MAX + 1)]);
        room.settles();
        shows(room, bob, json!({ "n": 1 }));
        room.settles_unread();
        room.receives_nothing(ann);
        let dan = room.join("dan");
        assert_eq!(room.received(ann), [number(MEMBERS_LISTED_MAX + 2)]);
        room.settles();
        room.leaves(cho);
        assert_eq!(room.received(ann), [number(MEMBERS_LISTED_MAX + 1)]);

        // At the limit, the diff lists names again.
        room.settles();
        room.leaves(dan);
        let names = json!({ "joins": [], "leaves": ["dan"], "count": MEMBERS_LISTED_MAX });
        let diff = room.receives(ann, names);
        assert!(diff.get("truncated").is_none());
        room.settles();
        shows(room, bob, json!({ "n": 2 }));
        room.receives(
            ann,
            json!({ "updates": [{ "user": "bob", "state": { "n": 2 } }] }),
        );
        assert!(crowd.iter().all(|one| room.is_open(*one)));
    });
}

fn shows(room: &mut TestRoom, client: Client, state: Value) {
    room.sends(client, json!({ "type": "state", "data": state }));
}
