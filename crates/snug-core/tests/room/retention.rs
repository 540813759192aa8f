//! What a room keeps, and for how long.

use serde_json::{Value, json};
use snug_core::retention::TRIM_ROWS_MAX;

use crate::driver::{Client, TestRoom, Visitor, scenario_with};

#[test]
fn no_more_messages_are_kept_than_the_operator_wants() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.messages_max = 3;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        for data in 1..=3 {
            room.says(ann, data);
        }
        assert_eq!(kept(room, ann), [1, 2, 3]);
        room.says(ann, 4);
        assert_eq!(kept(room, ann), [2, 3, 4]);
    });
}

#[test]
fn no_message_is_kept_for_longer_than_the_operator_wants() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.seconds_max = 60;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        room.says(ann, 1);
        room.pass_ms(1);
        room.says(ann, 2);
        room.pass_ms(59_999);
        assert_eq!(kept(room, ann), [1, 2]);
        room.pass_ms(1);
        assert_eq!(kept(room, ann), [2]);
        room.pass_ms(1);
        assert_eq!(kept(room, ann), [0; 0]);
    });
}

#[test]
fn no_more_bytes_are_kept_than_the_operator_wants() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.bytes_max = 2_500;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        for _ in 0..4 {
            room.says(ann, "x".repeat(1_000));
        }
        assert_eq!(kept(room, ann), [3, 4]);
        room.says(ann, "x".repeat(10_000));
        assert_eq!(kept(room, ann), [0; 0]);
        room.says(ann, "small");
        assert_eq!(kept(room, ann), [6]);
    });
}

#[test]
fn a_room_that_keeps_nothing_still_orders() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.messages_max = 0;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        let bob = room.join("bob");
        room.skips_to_now();
        for offset in 1..=3 {
            room.says(ann, "said");
            room.hears(
                bob,
                json!({ "type": "message", "offset": offset, "data": "said" }),
            );
        }
        assert_eq!(kept(room, ann), [0; 0]);
        assert_eq!(room.stored_bytes(), 0);
        let back = room.admit(Visitor::named("bob").resuming_after(3));
        room.hears(
            back,
            json!({ "type": "welcome", "recovered": true, "offset": 3 }),
        );
        let late = room.admit(Visitor::named("bob").resuming_after(2));
        room.hears(late, json!({ "type": "welcome", "recovered": false }));
        room.hears_nothing(late);
    });
}

#[test]
fn a_position_below_what_is_kept_is_not_recovered() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.messages_max = 3;
    scenario_with(rules, |room| {
        room.has_stored((1..=10).map(Value::from));
        for (offset, recovered) in [(6, false), (7, true), (10, true)] {
            let bob = room.admit(Visitor::named("bob").resuming_after(offset));
            room.hears(bob, json!({ "type": "welcome", "recovered": recovered }));
            let missed = if recovered { 10 - offset } else { 0 };
            assert_eq!(room.heard(bob).len() as u64, missed);
        }
    });
}

#[test]
fn offsets_go_on_where_everything_is_gone() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.seconds_max = 1;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        for offset in 1..=130 {
            room.says(ann, offset);
            room.pass_ms(2_000);
        }
        assert_eq!(kept(room, ann), [0; 0]);
        room.restore();
        let bob = room.join("bob");
        room.hears(bob, json!({ "type": "welcome", "offset": 130 }));
        room.says(bob, "next");
        assert_eq!(kept(room, ann), [131]);
    });
}

#[test]
fn rows_are_removed_some_at_a_time_until_few_are_left() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.messages_max = 10;
    scenario_with(rules, |room| {
        room.has_stored((1..=1_000).map(Value::from));
        let ann = room.join("ann");
        let mut rows = room.stored_count();
        for data in 0..400 {
            room.says(ann, data);
            room.pass_ms(100);
            let before = std::mem::replace(&mut rows, room.stored_count());
            assert!(before.saturating_sub(rows) < TRIM_ROWS_MAX as usize);
        }
        assert!(rows <= 10 + 64, "{rows}");
    });
}

/// The offsets that history still has.
#[track_caller]
fn kept(room: &mut TestRoom, client: Client) -> Vec<u64> {
    room.skips_to_now();
    room.sends(client, json!({ "type": "history", "id": 1, "limit": 100 }));
    let page = room.hears(client, json!({ "type": "history", "more": false }));
    let messages = page["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|message| message["offset"].as_u64().unwrap())
        .collect()
}
