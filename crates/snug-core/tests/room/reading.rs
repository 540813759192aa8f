//! Reading: users' positions, what they have not read, and receipts.

use serde_json::{Value, json};
use snug_core::{
    backend::api::ApiOperation,
    config::RoomRules,
    limits::{TAIL_MESSAGES_MAX, UNREAD_MAX},
};

use crate::driver::{Client, TestRoom, TestUser, gathering_scenario, scenario, scenario_with};

#[test]
fn a_position_rises_and_is_kept() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        for data in 1..=3 {
            room.publishes(ann, data);
        }
        room.skips_received();
        for (offset, read) in [(2, 2), (1, 2), (2, 2), (3, 3), (0, 3)] {
            room.pass_ms(1_000);
            room.skips_received();
            room.sends(bob, json!({ "type": "read", "id": 1, "offset": offset }));
            let ack = room.receives(bob, json!({ "type": "ack" }));
            assert_eq!(ack, json!({ "type": "ack", "id": 1, "read": read }));
        }
        room.leaves(bob);
        assert_eq!(unread(room, "bob"), (3, 0, 0));
    });
}

#[test]
fn a_position_in_the_future_is_refused() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, 1);
        room.skips_received();
        room.sends(ann, json!({ "type": "read", "id": 1, "offset": 2 }));
        room.receives(
            ann,
            json!({ "type": "error", "id": 1, "code": "bad_command" }),
        );
        room.sends(ann, json!({ "type": "read", "id": 1, "offset": 1 }));
        room.receives(ann, json!({ "type": "ack", "id": 1, "read": 1 }));
    });
}

#[test]
fn the_messages_of_others_are_unread() {
    scenario(|room| {
        let ann = room.join("ann");
        assert_eq!(unread(room, "bob"), (0, 0, 0));
        for data in 1..=3 {
            room.publishes(ann, data);
        }
        assert_eq!(unread(room, "bob"), (0, 3, 0));
        assert_eq!(unread(room, "ann"), (0, 0, 0));
        room.sends(
            ann,
            json!({ "type": "publish", "data": 4, "mentions": ["bob"] }),
        );
        assert_eq!(unread(room, "bob"), (0, 4, 1));
        assert_eq!(unread(room, "cho"), (0, 4, 0));
        // Changes, reactions and replies' numbers are no messages.
        room.sends(ann, json!({ "type": "edit", "of": 1, "data": 5 }));
        room.sends(ann, json!({ "type": "react", "of": 1, "name": "a" }));
        room.sends(ann, json!({ "type": "publish", "data": 6, "re": 1 }));
        assert_eq!(unread(room, "bob"), (0, 5, 1));
        room.sends(ann, json!({ "type": "delete", "of": 4 }));
        assert_eq!(unread(room, "bob"), (0, 4, 0));
        let bob = room.join("bob");
        room.sends(bob, json!({ "type": "read", "offset": 2 }));
        room.publishes(bob, "mine");
        room.leaves(bob);
        assert_eq!(unread(room, "bob"), (2, 2, 0));
    });
}

#[test]
fn so_many_messages_are_counted_as_unread() {
    let fast = |rules: &mut RoomRules| (rules.rate.per_second, rules.rate.burst) = (10_000, 10_000);
    scenario_with(fast, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        for data in 0..UNREAD_MAX - 1 {
            room.publishes(ann, data);
        }
        assert_eq!(unread(room, "cho"), (0, UNREAD_MAX - 1, 0));
        room.publishes(ann, "one more");
        assert_eq!(unread(room, "cho"), (0, UNREAD_MAX, 0));
        room.publishes(ann, "and one more");
        assert_eq!(unread(room, "cho"), (0, UNREAD_MAX, 0));
        // Among the newest messages only.
        for data in 0..TAIL_MESSAGES_MAX - 10 {
            room.publishes(bob, data);
        }
        assert_eq!(unread(room, "bob"), (0, 10, 0));
    });
}

#[test]
fn messages_that_wait_while_another_user_joins_are_unread() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        // A frame to one connection alone does not wait.
        room.join("cho");
        for data in 1..=20 {
            room.publishes(ann, data);
        }
        assert!(room.is_gathering());
        // The first one who has anything to read.
        room.join("bob");
        room.flushes_if_gathering();
        room.skips_received();
        assert_eq!(unread(room, "dan"), (0, 20, 0));
    });
}

#[test]
fn what_is_not_retained_is_not_unread() {
    let few = |rules: &mut RoomRules| rules.retention.messages_max = 2;
    scenario_with(few, |room| {
        let ann = room.join("ann");
        assert_eq!(unread(room, "bob"), (0, 0, 0));
        for data in 1..=5 {
            room.publishes(ann, data);
            assert_eq!(unread(room, "bob").1, data.min(2));
        }
    });
    let none = |rules: &mut RoomRules| rules.retention.messages_max = 0;
    scenario_with(none, |room| {
        let ann = room.join("ann");
        room.publishes(ann, 1);
        assert_eq!(unread(room, "bob"), (0, 0, 0));
    });
}

#[test]
fn whoever_may_not_read_the_messages_has_no_position() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, 1);
        let user = TestUser::named("bob").with_capabilities(&["receive"]);
        let bob = room.admit(user);
        let welcome = room.receives(bob, json!({ "type": "welcome" }));
        assert!(welcome.get("read").is_none() && welcome.get("unread").is_none());
        let sender = room.admit(TestUser::named("cho").with_capabilities(&["publish"]));
        room.receives(sender, json!({ "type": "welcome" }));
        room.sends(sender, json!({ "type": "read", "offset": 1 }));
        room.receives(sender, json!({ "type": "error", "code": "forbidden" }));
    });
}

#[test]
fn receipts_show_how_far_the_members_have_read() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, 1);
        room.sends(bob, json!({ "type": "read", "offset": 1 }));
        let can = &["receive", "presence", "receipts"];
        let moe = room.admit(TestUser::named("moe").with_capabilities(can));
        let welcome = room.receives(moe, json!({ "type": "welcome" }));
        let reads = |list: &Value| -> Vec<Value> {
            let members = list["members"].as_array().unwrap().iter();
            members.map(|one| one["read"].clone()).collect()
        };
        assert_eq!(reads(&welcome), [Value::Null, json!(1), Value::Null]);
        room.pass_ms(1_000);
        room.skips_received();
        room.sends(ann, json!({ "type": "read", "offset": 1 }));
        let read = json!({ "type": "read", "user": "ann", "offset": 1 });
        assert_eq!(room.receives(moe, json!({})), read);
        // The user's own connections get it, too; others do not.
        room.receives(ann, read);
        room.receives_nothing(bob);
        room.sends(moe, json!({ "type": "members", "id": 1 }));
        let list = room.receives(moe, json!({ "type": "members" }));
        assert_eq!(reads(&list), [json!(1), json!(1), Value::Null]);
        room.sends(bob, json!({ "type": "members", "id": 1 }));
        let list = room.receives(bob, json!({ "type": "members" }));
        assert_eq!(reads(&list), [Value::Null, Value::Null, Value::Null]);
        let server = TestUser::named("shop").with_capabilities(&["presence", "receipts"]);
        let (_, list) = room.calls_api(&server, ApiOperation::Members, "");
        assert_eq!(reads(&list), [json!(1), json!(1), Value::Null]);
    });
}

#[test]
fn positions_are_sent_at_most_once_a_second() {
    gathering_scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        let can = &["receive", "receipts"];
        let moe = room.admit(TestUser::named("moe").with_capabilities(can));
        for data in 1..=3 {
            room.publishes(ann, data);
        }
        room.flushes_if_gathering();
        room.pass_ms(1_000);
        room.skips_received();
        let reads = |room: &mut TestRoom, client, offset: u64| {
            room.sends(
                client,
                json!({ "type": "read", "id": offset, "offset": offset }),
            );
            // A reply may wait for a flush of messages.
            if room.is_gathering() && room.gathering_ms() < 100 {
                room.flushes_once();
            }
            room.receives(client, json!({ "type": "ack", "id": offset }));
        };
        reads(room, ann, 1);
        room.receives(moe, json!({ "type": "read", "user": "ann", "offset": 1 }));
        room.skips_received();
        reads(room, ann, 2);
        reads(room, bob, 2);
        reads(room, ann, 3);
        room.receives_nothing(moe);
        assert!((900..=1_000).contains(&room.gathering_ms()));
        room.flushes_once();
        room.receives(moe, json!({ "type": "read", "user": "ann", "offset": 3 }));
        room.receives(moe, json!({ "type": "read", "user": "bob", "offset": 2 }));
        room.receives_nothing(moe);
    });
}

#[test]
fn positions_and_messages_that_are_due_together_are_sent_together() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        let moe = room.admit(TestUser::named("moe").with_capabilities(&["receive", "receipts"]));
        room.publishes(ann, 1);
        room.publishes(ann, 2);
        room.settles();
        room.sends(ann, json!({ "type": "read", "offset": 1 }));
        room.pass_ms(500);
        room.sends(ann, json!({ "type": "read", "offset": 2 }));
        room.pass_ms(499);
        // The flush opens a window of a millisecond.
        room.publishes(ann, 3);
        room.publishes(ann, 4);
        room.skips_received();
        assert_eq!(room.gathering_ms(), 1);
        room.flushes_once();
        room.receives_message(moe, 4);
        room.receives(moe, json!({ "type": "read", "user": "ann", "offset": 2 }));
        room.receives_nothing(moe);
    });
}

#[test]
fn positions_are_sent_even_if_the_room_is_restored_after_a_fault() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        let moe = room.admit(TestUser::named("moe").with_capabilities(&["receive", "receipts"]));
        room.publishes(ann, 1);
        room.publishes(ann, 2);
        room.settles();
        room.sends(ann, json!({ "type": "read", "offset": 1 }));
        room.sends(ann, json!({ "type": "read", "offset": 2 }));
        room.skips_received();
        room.storage_fails_once();
        room.publishes(ann, 3);
        room.pass_ms(20);
        room.receives(moe, json!({ "type": "read", "user": "ann", "offset": 2 }));
        room.receives_nothing(moe);
    });
}

#[test]
fn an_erased_room_has_no_positions() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, 1);
        room.sends(ann, json!({ "type": "read", "offset": 1 }));
        let server = TestUser::named("shop").with_capabilities(&["serve"]);
        room.calls_api(&server, ApiOperation::Erase, "");
        assert_eq!(unread(room, "ann"), (0, 0, 0));
    });
}

#[test]
fn a_position_that_cannot_be_stored_is_an_error() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, 1);
        room.skips_received();
        room.storage_fails_once();
        room.sends(ann, json!({ "type": "read", "id": 1, "offset": 1 }));
        let error = json!({ "type": "error", "id": 1, "code": "internal", "retryable": true });
        room.receives(ann, error);
        room.sends(ann, json!({ "type": "read", "id": 1, "offset": 1 }));
        room.receives(ann, json!({ "type": "ack", "read": 1 }));
    });
}

/// Returns the position, the unread messages and the mentions that a user is welcomed with.
fn unread(room: &mut TestRoom, user: &str) -> (u64, usize, usize) {
    let client: Client = room.join(user);
    let welcome = room.receives(client, json!({ "type": "welcome" }));
    room.leaves(client);
    let number = |name: &str| welcome[name].as_u64().unwrap();
    (
        number("read"),
        number("unread") as usize,
        number("mentions") as usize,
    )
}
