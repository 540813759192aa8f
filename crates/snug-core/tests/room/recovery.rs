//! Recovery: missed messages are replayed completely, or `recovered` is false.

use serde_json::{Value, json};
use snug_core::limits::{
    LAST_MESSAGES_MAX, RECOVERY_BYTES_MAX, RECOVERY_MESSAGES_MAX, REPLAY_FRAME_BYTES,
};

use crate::driver::{Client, TestRoom, TestUser, scenario};

const MIB: u64 = 1024 * 1024;

#[test]
fn missed_messages_follow_the_welcome_in_order() {
    scenario(|room| {
        let ann = room.join("ann");
        for data in 1..=5 {
            room.publishes(ann, data);
        }
        let bob = room.admit(TestUser::named("bob").resuming_after(2));
        room.receives(
            bob,
            json!({ "type": "welcome", "recovered": true, "offset": 5 }),
        );
        for offset in 3..=5 {
            let data: Value = offset.into();
            room.receives(
                bob,
                json!({ "type": "message", "offset": offset, "user": "ann", "data": data }),
            );
        }
        room.receives_nothing(bob);
        room.publishes(ann, "live");
        room.receives(
            bob,
            json!({ "type": "message", "offset": 6, "data": "live" }),
        );
    });
}

#[test]
fn nothing_is_replayed_while_the_rooms_clients_leave_too_much_unread() {
    scenario(|room| {
        let slow: Vec<_> = (0..10)
            .map(|number| room.join(&format!("slow{number}")))
            .collect();
        room.stores_messages([json!("missed")]);
        let mut queued: Vec<_> = slow.iter().map(|one| (*one, 6 * MIB)).collect();
        room.falls_behind(&queued);
        let bob = room.admit(TestUser::named("bob").resuming_after(0));
        room.receives(bob, json!({ "type": "welcome", "recovered": true }));
        room.receives_message(bob, "missed");
        queued[0].1 += 1;
        room.falls_behind(&queued);
        is_not_recovered(room, TestUser::named("cho").resuming_after(0));
        let dan = room.admit(TestUser::named("dan").with_last(1));
        room.receives(dan, json!({ "type": "welcome", "recovered": null }));
        room.receives_nothing(dan);
        room.sends(dan, json!({ "type": "history", "id": 1 }));
        let busy = json!({ "type": "error", "id": 1, "code": "rate_limited", "retryable": true, "retry_after_ms": 250 });
        room.receives(dan, busy);
        // A client that is up to date needs no replay.
        let eve = room.admit(TestUser::named("eve").resuming_after(1));
        room.receives(eve, json!({ "type": "welcome", "recovered": true }));
    });
}

#[test]
fn a_client_that_missed_nothing_has_recovered() {
    scenario(|room| {
        let first = room.admit(TestUser::named("ann").resuming_after(0));
        room.receives(
            first,
            json!({ "type": "welcome", "recovered": true, "offset": 0 }),
        );
        room.publishes(first, "hello");
        let second = room.admit(TestUser::named("bob").resuming_after(1));
        room.receives(
            second,
            json!({ "type": "welcome", "recovered": true, "offset": 1 }),
        );
        room.receives_nothing(second);
    });
}

#[test]
fn a_client_can_resume_from_the_position_in_welcome() {
    scenario(|room| {
        let ann = room.join("ann");
        let bob = room.join("bob");
        let welcome = room.receives(bob, json!({ "type": "welcome" }));
        room.drops(bob);
        room.publishes(ann, "missed");
        let position = welcome["offset"].as_u64().unwrap();
        let epoch = welcome["epoch"].as_str().unwrap();
        let back = room.admit(TestUser::named("bob").resuming_in(epoch, position));
        room.receives(back, json!({ "type": "welcome", "recovered": true }));
        room.receives_message(back, "missed");
    });
}

#[test]
fn a_position_in_the_future_or_of_another_epoch_is_not_recovered() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hello");
        for test_user in [
            TestUser::named("bob").resuming_after(2),
            TestUser::named("bob").resuming_after(1 << 50),
            TestUser::named("bob").resuming_in("another", 0),
            TestUser::named("bob").resuming_in("another", 1),
        ] {
            is_not_recovered(room, test_user);
        }
    });
}

#[test]
fn a_position_whose_next_message_is_gone_is_not_recovered() {
    scenario(|room| {
        room.stores_messages((1..=5).map(Value::from));
        room.loses_rows_up_to(2);
        is_not_recovered(room, TestUser::named("bob").resuming_after(0));
        is_not_recovered(room, TestUser::named("bob").resuming_after(1));
        let bob = room.admit(TestUser::named("bob").resuming_after(2));
        room.receives(bob, json!({ "type": "welcome", "recovered": true }));
        assert_eq!(offsets(room, bob), [3, 4, 5]);
    });
}

#[test]
fn recovery_is_limited_in_messages() {
    scenario(|room| {
        let most = u64::from(RECOVERY_MESSAGES_MAX);
        room.stores_messages((0..=most).map(Value::from));
        is_not_recovered(room, TestUser::named("bob").resuming_after(0));
        let bob = room.admit(TestUser::named("bob").resuming_after(1));
        room.receives(bob, json!({ "type": "welcome", "recovered": true }));
        assert_eq!(offsets(room, bob), (2..=most + 1).collect::<Vec<_>>());
    });
}

#[test]
fn recovery_is_limited_in_bytes() {
    scenario(|room| {
        let large = Value::from("x".repeat(RECOVERY_BYTES_MAX / 2));
        room.stores_messages([large.clone(), large, "small".into()]);
        is_not_recovered(room, TestUser::named("bob").resuming_after(0));
        let bob = room.admit(TestUser::named("bob").resuming_after(1));
        room.receives(bob, json!({ "type": "welcome", "recovered": true }));
        assert_eq!(offsets(room, bob), [2, 3]);
    });
}

#[test]
fn a_storage_fault_prevents_recovery() {
    scenario(|room| {
        room.stores_messages([1.into()]);
        room.storage_fails_once();
        is_not_recovered(room, TestUser::named("bob").resuming_after(0));
        let bob = room.admit(TestUser::named("bob").resuming_after(0));
        room.receives(bob, json!({ "type": "welcome", "recovered": true }));
        room.receives_message(bob, 1);
    });
}

#[test]
fn recovery_needs_receive_and_history() {
    scenario(|room| {
        room.stores_messages([1.into()]);
        for can in [&["receive"][..], &["history"], &["publish"]] {
            is_not_recovered(
                room,
                TestUser::named("bob")
                    .with_capabilities(can)
                    .resuming_after(0),
            );
            let bob = room.admit(TestUser::named("bob").with_capabilities(can).with_last(1));
            room.receives(bob, json!({ "type": "welcome", "recovered": null }));
            room.receives_nothing(bob);
        }
    });
}

#[test]
fn a_first_join_may_request_the_newest_messages() {
    scenario(|room| {
        room.stores_messages((1..=150).map(Value::from));
        for (last, expected) in [
            (0, 0),
            (1, 1),
            (3, 3),
            (100, 100),
            (101, 100),
            (1 << 50, 100),
        ] {
            let bob = room.admit(TestUser::named("bob").with_last(last));
            room.receives(bob, json!({ "type": "welcome", "recovered": null }));
            let newest: Vec<_> = (151 - expected..=150).collect();
            assert_eq!(offsets(room, bob), newest, "last={last}");
        }
        assert_eq!(LAST_MESSAGES_MAX, 100);
    });
}

#[test]
fn a_resuming_client_does_not_get_the_last_messages() {
    scenario(|room| {
        room.stores_messages((1..=5).map(Value::from));
        let bob = room.admit(TestUser::named("bob").resuming_after(4).with_last(3));
        room.receives(bob, json!({ "type": "welcome", "recovered": true }));
        assert_eq!(offsets(room, bob), [5]);
        is_not_recovered(room, TestUser::named("bob").resuming_after(9).with_last(3));
    });
}

#[test]
fn a_replay_takes_few_frames_and_plain_frames_have_one_message() {
    scenario(|room| {
        let data = "x".repeat(1000);
        room.stores_messages((0..200).map(|_| Value::from(data.as_str())));
        let lines = room.admit(TestUser::named("ann").resuming_after(0));
        let frames = room.frame_lengths(lines);
        assert!(frames.len() < 10, "{frames:?}");
        assert!(
            frames
                .iter()
                .all(|length| *length < REPLAY_FRAME_BYTES + 2000),
            "{frames:?}"
        );
        let plain = room.admit(TestUser::named("bob").plain().resuming_after(0));
        assert_eq!(room.frame_lengths(plain).len(), 201);
    });
}

#[test]
fn a_resuming_client_is_sent_to_the_others_as_a_join() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hello");
        room.skips_received();
        let bob = room.admit(TestUser::named("bob").resuming_after(0));
        room.receives(ann, json!({ "type": "presence", "count": 2 }));
        room.receives(
            bob,
            json!({ "type": "welcome", "recovered": true, "count": 2 }),
        );
        room.receives_message(bob, "hello");
        room.receives_nothing(bob);
    });
}

#[track_caller]
fn is_not_recovered(room: &mut TestRoom, test_user: TestUser) {
    let client = room.admit(test_user);
    room.receives(client, json!({ "type": "welcome", "recovered": false }));
    room.receives_nothing(client);
    room.leaves(client);
}

/// Returns the offsets of the received messages, and asserts that nothing else was received.
fn offsets(room: &mut TestRoom, client: Client) -> Vec<u64> {
    let received = room.received(client);
    assert!(
        received.iter().all(|one| one["type"] == "message"),
        "{received:?}"
    );
    received
        .iter()
        .map(|message| message["offset"].as_u64().unwrap())
        .collect()
}
