//! Coming back: what was missed is replayed, whole or honestly not.

use serde_json::{Value, json};
use snug_core::limits::{
    LAST_MESSAGES_MAX, RECOVERY_BYTES_MAX, RECOVERY_MESSAGES_MAX, REPLAY_FRAME_BYTES,
};

use crate::driver::{Client, TestRoom, Visitor, scenario};

#[test]
fn all_that_was_missed_follows_the_welcome_in_order() {
    scenario(|room| {
        let ann = room.join("ann");
        for data in 1..=5 {
            room.says(ann, data);
        }
        let bob = room.admit(Visitor::named("bob").resuming_after(2));
        room.hears(
            bob,
            json!({ "type": "welcome", "recovered": true, "offset": 5 }),
        );
        for offset in 3..=5 {
            let data: Value = offset.into();
            room.hears(
                bob,
                json!({ "type": "message", "offset": offset, "user": "ann", "data": data }),
            );
        }
        room.hears_nothing(bob);
        room.says(ann, "live");
        room.hears(
            bob,
            json!({ "type": "message", "offset": 6, "data": "live" }),
        );
    });
}

#[test]
fn whoever_missed_nothing_has_recovered() {
    scenario(|room| {
        let first = room.admit(Visitor::named("ann").resuming_after(0));
        room.hears(
            first,
            json!({ "type": "welcome", "recovered": true, "offset": 0 }),
        );
        room.says(first, "hello");
        let second = room.admit(Visitor::named("bob").resuming_after(1));
        room.hears(
            second,
            json!({ "type": "welcome", "recovered": true, "offset": 1 }),
        );
        room.hears_nothing(second);
    });
}

#[test]
fn a_welcome_is_enough_to_resume_from() {
    scenario(|room| {
        let ann = room.join("ann");
        let bob = room.join("bob");
        let welcome = room.hears(bob, json!({ "type": "welcome" }));
        room.drops(bob);
        room.says(ann, "missed");
        let position = welcome["offset"].as_u64().unwrap();
        let epoch = welcome["epoch"].as_str().unwrap();
        let back = room.admit(Visitor::named("bob").resuming_in(epoch, position));
        room.hears(back, json!({ "type": "welcome", "recovered": true }));
        room.hears_message(back, "missed");
    });
}

#[test]
fn a_position_of_the_future_or_of_another_epoch_is_not_recovered() {
    scenario(|room| {
        let ann = room.join("ann");
        room.says(ann, "hello");
        for visitor in [
            Visitor::named("bob").resuming_after(2),
            Visitor::named("bob").resuming_after(1 << 50),
            Visitor::named("bob").resuming_in("another", 0),
            Visitor::named("bob").resuming_in("another", 1),
        ] {
            is_not_recovered(room, visitor);
        }
    });
}

#[test]
fn a_position_whose_next_message_is_gone_is_not_recovered() {
    scenario(|room| {
        room.has_stored((1..=5).map(Value::from));
        room.loses_stored(2);
        is_not_recovered(room, Visitor::named("bob").resuming_after(0));
        is_not_recovered(room, Visitor::named("bob").resuming_after(1));
        let bob = room.admit(Visitor::named("bob").resuming_after(2));
        room.hears(bob, json!({ "type": "welcome", "recovered": true }));
        assert_eq!(offsets(room, bob), [3, 4, 5]);
    });
}

#[test]
fn recovery_ends_at_its_number_of_messages() {
    scenario(|room| {
        let most = u64::from(RECOVERY_MESSAGES_MAX);
        room.has_stored((0..=most).map(Value::from));
        is_not_recovered(room, Visitor::named("bob").resuming_after(0));
        let bob = room.admit(Visitor::named("bob").resuming_after(1));
        room.hears(bob, json!({ "type": "welcome", "recovered": true }));
        assert_eq!(offsets(room, bob), (2..=most + 1).collect::<Vec<_>>());
    });
}

#[test]
fn recovery_ends_at_its_bytes() {
    scenario(|room| {
        let large = Value::from("x".repeat(RECOVERY_BYTES_MAX / 2));
        room.has_stored([large.clone(), large, "small".into()]);
        is_not_recovered(room, Visitor::named("bob").resuming_after(0));
        let bob = room.admit(Visitor::named("bob").resuming_after(1));
        room.hears(bob, json!({ "type": "welcome", "recovered": true }));
        assert_eq!(offsets(room, bob), [2, 3]);
    });
}

#[test]
fn a_storage_fault_is_no_recovery() {
    scenario(|room| {
        room.has_stored([1.into()]);
        room.storage_fails_once();
        is_not_recovered(room, Visitor::named("bob").resuming_after(0));
        let bob = room.admit(Visitor::named("bob").resuming_after(0));
        room.hears(bob, json!({ "type": "welcome", "recovered": true }));
        room.hears_message(bob, 1);
    });
}

#[test]
fn whoever_may_not_read_what_was_said_recovers_nothing() {
    scenario(|room| {
        room.has_stored([1.into()]);
        for can in [&["receive"][..], &["history"], &["publish"]] {
            is_not_recovered(room, Visitor::named("bob").who_can(can).resuming_after(0));
            let bob = room.admit(Visitor::named("bob").who_can(can).wanting_last(1));
            room.hears(bob, json!({ "type": "welcome", "recovered": null }));
            room.hears_nothing(bob);
        }
    });
}

#[test]
fn a_first_join_may_ask_for_the_newest() {
    scenario(|room| {
        room.has_stored((1..=150).map(Value::from));
        for (last, wanted) in [
            (0, 0),
            (1, 1),
            (3, 3),
            (100, 100),
            (101, 100),
            (1 << 50, 100),
        ] {
            let bob = room.admit(Visitor::named("bob").wanting_last(last));
            room.hears(bob, json!({ "type": "welcome", "recovered": null }));
            let newest: Vec<_> = (151 - wanted..=150).collect();
            assert_eq!(offsets(room, bob), newest, "last={last}");
        }
        assert_eq!(LAST_MESSAGES_MAX, 100);
    });
}

#[test]
fn whoever_resumes_is_not_on_a_first_join() {
    scenario(|room| {
        room.has_stored((1..=5).map(Value::from));
        let bob = room.admit(Visitor::named("bob").resuming_after(4).wanting_last(3));
        room.hears(bob, json!({ "type": "welcome", "recovered": true }));
        assert_eq!(offsets(room, bob), [5]);
        is_not_recovered(
            room,
            Visitor::named("bob").resuming_after(9).wanting_last(3),
        );
    });
}

#[test]
fn a_replay_takes_few_frames_and_plain_ones_hold_one_message() {
    scenario(|room| {
        let data = "x".repeat(1000);
        room.has_stored((0..200).map(|_| Value::from(data.as_str())));
        let lines = room.admit(Visitor::named("ann").resuming_after(0));
        let frames = room.frame_lengths(lines);
        assert!(frames.len() < 10, "{frames:?}");
        assert!(
            frames
                .iter()
                .all(|length| *length < REPLAY_FRAME_BYTES + 2000),
            "{frames:?}"
        );
        let plain = room.admit(Visitor::named("bob").plain().resuming_after(0));
        assert_eq!(room.frame_lengths(plain).len(), 201);
    });
}

#[test]
fn joining_is_told_to_the_others_also_while_resuming() {
    scenario(|room| {
        let ann = room.join("ann");
        room.says(ann, "hello");
        room.skips_to_now();
        let bob = room.admit(Visitor::named("bob").resuming_after(0));
        room.hears(ann, json!({ "type": "presence", "count": 2 }));
        room.hears(
            bob,
            json!({ "type": "welcome", "recovered": true, "count": 2 }),
        );
        room.hears_message(bob, "hello");
        room.hears_nothing(bob);
    });
}

#[track_caller]
fn is_not_recovered(room: &mut TestRoom, visitor: Visitor) {
    let client = room.admit(visitor);
    room.hears(client, json!({ "type": "welcome", "recovered": false }));
    room.hears_nothing(client);
    room.leaves(client);
}

/// The offsets of the messages not yet heard; nothing else may be among them.
fn offsets(room: &mut TestRoom, client: Client) -> Vec<u64> {
    let heard = room.heard(client);
    assert!(
        heard.iter().all(|one| one["type"] == "message"),
        "{heard:?}"
    );
    heard
        .iter()
        .map(|message| message["offset"].as_u64().unwrap())
        .collect()
}
