//! Presence in a busy room: what changes together is told together, and in an order that makes
//! sense with what was said.

use serde_json::{Value, json};
use snug_core::limits::MEMBERS_LISTED_MAX;

use crate::driver::{Client, TestRoom, Visitor, gathering_scenario};

const GRACE_MS: u64 = 5_000;

#[test]
fn a_crowd_that_comes_at_once_is_a_few_pushes() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        let crowd: Vec<_> = (0..MEMBERS_LISTED_MAX - 1)
            .map(|number| format!("user{number:03}"))
            .collect();
        for user in &crowd {
            let member = room.join(user);
            room.hears(member, json!({ "type": "welcome" }));
        }
        room.settles_aloud();
        let heard = room.heard(ann);
        assert_eq!(heard.len(), 1, "{heard:?}");
        let joins = heard[0]["joins"].as_array().unwrap();
        let notified: Vec<_> = joins.iter().map(|member| member["user"].clone()).collect();
        assert_eq!(notified, crowd);
        assert_eq!(heard[0]["count"], MEMBERS_LISTED_MAX);
    });
}

#[test]
fn a_crowd_that_comes_bit_by_bit_is_a_few_pushes_too() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.settles();
        for number in 0..300 {
            room.admit(Visitor::named(&format!("u{number}")).without_presence());
            room.pass_ms(number % 2);
        }
        room.settles_aloud();
        let heard = room.heard(ann);
        assert!(heard.len() < 100, "{} pushes", heard.len());
        let last = heard.last().unwrap();
        assert_eq!(
            (&last["count"], &last["truncated"]),
            (&json!(301), &json!(true))
        );
    });
}

#[test]
fn joins_that_were_gathered_are_told_to_the_newcomers_too() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        let (bob, cho) = (room.join("bob"), room.join("cho"));
        let members = json!([{ "user": "ann" }, { "user": "bob" }]);
        room.hears(bob, json!({ "type": "welcome", "members": members }));
        room.hears(cho, json!({ "type": "welcome", "count": 3 }));
        room.flushes();
        for client in [ann, bob, cho] {
            let joins = json!([{ "user": "bob" }, { "user": "cho" }]);
            room.hears_frame(
                client,
                &[json!({ "type": "presence", "joins": joins, "leaves": [], "count": 3 })],
            );
            room.hears_nothing(client);
        }
    });
}

#[test]
fn whoever_changed_something_alone_is_not_told() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        let cho = room.join("cho");
        shows(room, cho, json!({ "n": 1 }));
        room.flushes();
        room.hears(cho, json!({ "type": "welcome" }));
        room.hears_nothing(cho);
        // The join tells the state that the newcomer has by now.
        let joins = json!([{ "user": "cho", "state": { cho.id(): { "n": 1 } } }]);
        for client in [ann, bob] {
            room.hears(client, json!({ "joins": joins }));
            room.hears_nothing(client);
        }
    });
}

#[test]
fn a_user_who_comes_and_goes_is_told_in_two_pushes() {
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
        room.hears_frame(ann, &[joins.clone(), leaves.clone(), joins, leaves]);
    });
}

#[test]
fn a_user_who_goes_and_comes_is_told_in_two_pushes() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        room.leaves(bob);
        let bob = room.join("bob");
        room.flushes();
        let leaves = json!({ "joins": [], "leaves": ["bob"], "count": 1 });
        let joins = json!({ "joins": [{ "user": "bob" }], "leaves": [], "count": 2 });
        let changes = [leaves, joins];
        room.hears_frame(ann, &changes);
        // Whoever is told of its own leave is told that it is back.
        room.hears(bob, json!({ "type": "welcome", "count": 2 }));
        room.hears_frame(bob, &changes);
    });
}

#[test]
fn whoever_is_told_what_was_before_it_came_is_told_that_it_came() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        room.join("bob");
        room.says(ann, "x");
        let cho = room.join("cho");
        room.flushes();
        room.hears(cho, json!({ "type": "welcome", "count": 3 }));
        room.hears(cho, json!({ "joins": [{ "user": "bob" }], "count": 2 }));
        room.hears(cho, json!({ "type": "message" }));
        room.hears(cho, json!({ "joins": [{ "user": "cho" }], "count": 3 }));
    });
}

#[test]
fn whoever_drops_and_is_back_within_a_window_never_left() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(ann);
        room.drops(bob);
        let bob = room.join("bob");
        room.hears_nothing(ann);
        shows(room, bob, json!({ "n": 1 }));
        room.drops(bob);
        room.join("bob");
        room.flushes();
        let gone = json!([{ "user": "bob", "connection": bob.id(), "state": null }]);
        room.hears(ann, json!({ "joins": [], "leaves": [], "updates": gone }));
        room.pass_ms(GRACE_MS * 2);
        room.hears_nothing(ann);
    });
}

#[test]
fn of_several_states_only_the_last_is_told() {
    gathering_scenario(|room| {
        let [ann, bob, cho] = ["ann", "bob", "cho"].map(|user| room.join(user));
        room.gets_busy(cho);
        for number in 1..=3 {
            shows(room, ann, json!({ "n": number }));
        }
        room.flushes();
        let update = |client: Client, user: &str, number: u32| json!({ "user": user, "connection": client.id(), "state": { "n": number } });
        for client in [bob, cho] {
            room.hears_frame(client, &[json!({ "updates": [update(ann, "ann", 3)] })]);
        }
        room.hears_nothing(ann);
        // Where several change theirs, each is told its own among the others'.
        shows(room, bob, json!({ "n": 4 }));
        shows(room, ann, json!({ "n": 5 }));
        room.flushes();
        let both = json!({ "updates": [update(ann, "ann", 5), update(bob, "bob", 4)] });
        for client in [ann, bob, cho] {
            room.hears_frame(client, std::slice::from_ref(&both));
            room.hears_nothing(client);
        }
    });
}

#[test]
fn a_join_comes_before_the_joiners_message_and_a_leave_after_the_last() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        let bob = room.join("bob");
        shows(room, bob, json!({ "n": 1 }));
        room.says(bob, "hello");
        room.leaves(bob);
        room.says(ann, "gone");
        room.flushes();
        room.hears_frame(
            ann,
            &[
                json!({ "type": "presence", "joins": [{ "user": "bob" }], "count": 2 }),
                json!({ "type": "message", "data": "hello" }),
                json!({ "type": "presence", "leaves": ["bob"], "updates": [], "count": 1 }),
                json!({ "type": "message", "data": "gone" }),
            ],
        );
        room.hears_nothing(ann);
    });
}

#[test]
fn a_leave_when_the_grace_has_passed_comes_after_what_waits() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.settles();
        room.drops(bob);
        room.pass_ms(GRACE_MS - 1);
        room.says(ann, "busy");
        room.pass_ms(0);
        room.says(ann, "waits");
        room.pass_ms(30);
        room.hears_message(ann, "busy");
        room.hears_message(ann, "waits");
        room.hears(ann, json!({ "leaves": ["bob"], "count": 1 }));
        room.hears_nothing(ann);
    });
}

#[test]
fn the_first_member_to_come_alone_tells_nobody() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.pass_ms(100);
        room.hears(ann, json!({ "type": "welcome" }));
        room.hears_nothing(ann);
    });
}

#[test]
fn in_a_crowd_only_the_number_is_told() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        // Ann is one, and bob will be another.
        let crowd: Vec<_> = (2..MEMBERS_LISTED_MAX)
            .map(|number| room.admit(Visitor::named(&format!("u{number}")).without_presence()))
            .collect();
        room.settles();
        let bob = room.join("bob");
        let names = json!({ "joins": [{ "user": "bob" }], "count": MEMBERS_LISTED_MAX });
        let notified = room.hears(ann, names);
        assert!(notified.get("truncated").is_none());

        room.settles();
        let cho = room.join("cho");
        let number = |count: usize| json!({ "type": "presence", "joins": [], "leaves": [], "updates": [], "count": count, "truncated": true });
        assert_eq!(room.heard(ann), [number(MEMBERS_LISTED_MAX + 1)]);
        room.settles();
        shows(room, bob, json!({ "n": 1 }));
        room.settles_aloud();
        room.hears_nothing(ann);
        let dan = room.join("dan");
        assert_eq!(room.heard(ann), [number(MEMBERS_LISTED_MAX + 2)]);
        room.settles();
        room.leaves(cho);
        assert_eq!(room.heard(ann), [number(MEMBERS_LISTED_MAX + 1)]);

        // At the most again, there are names again.
        room.settles();
        room.leaves(dan);
        let names = json!({ "joins": [], "leaves": ["dan"], "count": MEMBERS_LISTED_MAX });
        let notified = room.hears(ann, names);
        assert!(notified.get("truncated").is_none());
        room.settles();
        shows(room, bob, json!({ "n": 2 }));
        room.hears(
            ann,
            json!({ "updates": [{ "user": "bob", "state": { "n": 2 } }] }),
        );
        assert!(crowd.iter().all(|one| room.is_open(*one)));
    });
}

fn shows(room: &mut TestRoom, client: Client, state: Value) {
    room.sends(client, json!({ "type": "state", "data": state }));
}
