//! What a room keeps, and for how long.

use std::cell::Cell;

use serde_json::{Value, json};
use snug_core::storage::retention::TRIM_ROWS_MAX;

use crate::driver::{Client, TestRoom, Visitor, busy_scenario_with, scenario_with};

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
fn what_has_aged_is_removed_in_a_room_where_nothing_is_said() {
    let rules = |rules: &mut snug_core::config::RoomRules| {
        rules.retention.seconds_max = 60;
        rules.rate.per_second = 1_000;
    };
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        let key = json!({ "type": "publish", "key": "k", "data": "keyed" });
        room.sends(ann, key.clone());
        for data in 2..=600 {
            room.says(ann, data);
            room.pass_ms(10);
        }
        room.leaves(ann);
        room.pass_ms(60_000);
        assert!(room.stored_bytes() > 0);
        room.pass_ms(6_000 + 10_000);
        assert_eq!(room.stored_bytes(), 0);
        // One has the key, and one the place.
        assert_eq!(room.stored_count(), 2);
        let bob = room.join("ann");
        room.sends(bob, key);
        room.says(bob, "next");
        assert_eq!(kept(room, bob), [601]);
    });
}

#[test]
fn a_room_is_woken_to_remove_what_has_aged_only_so_often() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.seconds_max = 60;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        let before = room.alarms();
        for _ in 0..1_200 {
            room.pings_runtime(ann);
            room.says(ann, 1);
            room.pass_ms(100);
        }
        // Ten a minute, and the sweeps of silent sockets.
        assert!(room.alarms() - before <= 2 * 10 + 4, "{}", room.alarms());
    });
}

#[test]
fn removing_that_fails_is_tried_again() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.seconds_max = 60;
    busy_scenario_with(rules, |room| {
        let ann = room.join("ann");
        room.says(ann, 1);
        room.leaves(ann);
        room.storage_fails_once();
        room.pass_ms(66_000);
        room.pass_ms(59_999);
        assert!(room.stored_bytes() > 0);
        room.pass_ms(1);
        assert_eq!(room.stored_bytes(), 0);
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

#[test]
fn what_is_kept_may_begin_in_the_middle_of_a_row() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.messages_max = 3;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        says_together(room, ann, 3);
        assert_eq!(kept(room, ann), [1, 2, 3]);
        says_together(room, ann, 2);
        assert_eq!(kept(room, ann), [3, 4, 5]);
        room.says(ann, "x");
        assert_eq!(kept(room, ann), [4, 5, 6]);
        assert_eq!(room.stored_rows(), [3, 2, 1]);
        // Whoever resumes there, or asks for less or more of it, meets the same bound.
        for (offset, recovered) in [(3, true), (2, false), (4, true), (5, true)] {
            let bob = room.admit(Visitor::named("bob").resuming_after(offset));
            room.hears(bob, json!({ "type": "welcome", "recovered": recovered }));
            let missed = if recovered { 6 - offset } else { 0 };
            assert_eq!(room.heard(bob).len() as u64, missed);
        }
        let bob = room.admit(Visitor::named("bob").wanting_last(9));
        room.hears(bob, json!({ "type": "welcome" }));
        assert_eq!(room.heard(bob).len(), 3);
        for (page, wanted, more) in [
            (json!({ "after": 4, "limit": 1 }), vec![5], true),
            (json!({ "after": 0, "limit": 2 }), vec![4, 5], true),
            (json!({ "before": 6, "limit": 1 }), vec![5], true),
            (json!({ "before": 6, "limit": 2 }), vec![4, 5], false),
            (json!({ "before": 4, "limit": 2 }), vec![], false),
        ] {
            room.skips_to_now();
            let mut command = page;
            command["type"] = json!("history");
            room.sends(ann, command);
            let messages: Vec<_> = wanted.iter().map(|n| json!({ "offset": n })).collect();
            room.hears(ann, json!({ "messages": messages, "more": more }));
        }
    });
}

#[test]
fn the_most_bytes_may_end_in_the_middle_of_a_row_and_one_less_a_message_later() {
    // Four messages of one length, and the line breaks between them.
    let bytes = |room: &mut TestRoom| {
        let ann = room.join("ann");
        says_together(room, ann, 4);
        (ann, (room.stored_bytes() - 3) / 4)
    };
    let length = Cell::new(0);
    scenario_with(|_| {}, |room| length.set(bytes(room).1));
    let last_two = 2 * length.get() as u64 + 1;
    for (most, wanted) in [(last_two, &[3, 4][..]), (last_two - 1, &[4])] {
        let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.bytes_max = most;
        scenario_with(rules, |room| {
            let (ann, _) = bytes(room);
            assert_eq!(kept(room, ann), wanted, "{most} bytes");
        });
    }
}

#[test]
fn a_row_ages_as_one_by_its_last_message() {
    let rules = |rules: &mut snug_core::config::RoomRules| {
        rules.retention.seconds_max = 60;
        rules.window_ms_max = 10;
    };
    busy_scenario_with(rules, |room| {
        let ann = room.join("ann");
        // So many that the room is busy for more than a millisecond.
        let crowd: Vec<_> = (0..100).map(|n| room.join(&format!("u{n}"))).collect();
        room.gets_busy(ann);
        room.says(ann, "x");
        room.pass_ms(1);
        room.says(ann, "x");
        let last_ms = room.now_ms();
        room.settles();
        assert_eq!(room.stored_rows(), [1, 2]);
        room.pass_ms(last_ms + 60_000 - room.now_ms());
        assert_eq!(kept(room, ann), [2, 3]);
        room.settles();
        room.pass_ms(1);
        assert_eq!(kept(room, ann), [0; 0]);
        assert!(room.is_open(crowd[0]));
    });
}

#[test]
fn rows_are_removed_whole_and_the_newest_never() {
    let rules = |rules: &mut snug_core::config::RoomRules| {
        (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
        rules.retention.messages_max = 4;
    };
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        for _ in 0..21 {
            says_together(room, ann, 3);
        }
        assert_eq!(room.stored_count(), 21);
        // The 64th is the one that removes: all but the row with the oldest kept message in it.
        says_together(room, ann, 3);
        assert_eq!(room.stored_rows(), [3, 3]);
        assert_eq!(kept(room, ann), [63, 64, 65, 66]);
    });
    let none_fits = |rules: &mut snug_core::config::RoomRules| {
        (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
        rules.retention.bytes_max = 10;
    };
    scenario_with(none_fits, |room| {
        let ann = room.join("ann");
        says_together(room, ann, 60);
        says_together(room, ann, 5);
        assert_eq!(room.stored_rows(), [5]);
        assert_eq!(kept(room, ann), [0; 0]);
        room.restore();
        says_together(room, ann, 5);
        let bob = room.join("bob");
        room.hears(bob, json!({ "type": "welcome", "offset": 70 }));
    });
}

#[test]
fn keys_outlive_the_text_of_their_row() {
    let rules = |rules: &mut snug_core::config::RoomRules| {
        (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
        rules.retention.messages_max = 2;
    };
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        let keyed =
            |id: u32| json!({ "type": "publish", "id": id, "key": id.to_string(), "data": id });
        room.sends_lines(
            ann,
            &[keyed(1), keyed(2), json!({ "type": "publish", "data": 3 })],
        );
        says_together(room, ann, 60);
        says_together(room, ann, 2);
        // The row with the keys is there, and holds nothing else.
        assert_eq!((room.stored_count(), room.stored_rows()), (2, vec![2]));
        room.restore();
        room.skips_to_now();
        room.sends_lines(ann, &[keyed(1), keyed(2), keyed(3)]);
        room.hears(
            ann,
            json!({ "type": "ack", "id": 1, "offset": 1, "duplicate": true }),
        );
        room.hears(
            ann,
            json!({ "type": "ack", "id": 2, "offset": 2, "duplicate": true }),
        );
        room.hears(ann, json!({ "type": "ack", "id": 3, "offset": 66 }));
    });
}

#[test]
fn a_row_is_kept_for_one_remembered_key_among_forgotten_ones() {
    let rules = |rules: &mut snug_core::config::RoomRules| {
        (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
        rules.retention.messages_max = 1;
    };
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        let keyed = |n: u64| json!({ "type": "publish", "id": n, "key": n.to_string(), "data": n });
        // 1,200 keys in rows of three, of which 201 to 1,200 are remembered.
        for row in 0..400 {
            let three: Vec<_> = (1..=3).map(|n| keyed(3 * row + n)).collect();
            room.sends_lines(ann, &three);
        }
        // The row of 199 to 201 and all after it are there, and perhaps some to be removed.
        let rows = room.stored_count();
        assert!((334..334 + 64).contains(&rows), "{rows}");
        room.restore();
        room.skips_to_now();
        room.sends(ann, keyed(201));
        room.hears(ann, json!({ "id": 201, "offset": 201, "duplicate": true }));
        room.sends(ann, keyed(200));
        room.hears(ann, json!({ "id": 200, "offset": 1_201 }));
    });
}

#[test]
fn rows_that_keep_no_text_still_count() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.messages_max = 0;
    scenario_with(rules, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        for round in 0..3 {
            let keyed = json!({ "type": "publish", "id": 1, "key": round.to_string(), "data": 0 });
            room.sends_lines(ann, &vec![keyed; 2]);
            says_together(room, ann, 3);
            let offsets: Vec<_> = room
                .heard(bob)
                .iter()
                .map(|one| one["offset"].clone())
                .collect();
            assert_eq!(offsets, [1, 2, 3, 4].map(|n| n + 4 * round));
        }
        assert_eq!((room.stored_count(), room.stored_bytes()), (6, 0));
        room.restore();
        assert_eq!(kept(room, ann), [0; 0]);
        let back = room.admit(Visitor::named("bob").resuming_after(12));
        room.hears(
            back,
            json!({ "type": "welcome", "offset": 12, "recovered": true }),
        );
        let late = room.admit(Visitor::named("bob").resuming_after(11));
        room.hears(late, json!({ "type": "welcome", "recovered": false }));
    });
}

/// Publishes so many messages in one frame, which is one row.
#[track_caller]
fn says_together(room: &mut TestRoom, client: Client, messages: usize) {
    let message = json!({ "type": "publish", "data": "x" });
    room.sends_lines(client, &vec![message; messages]);
}

/// The offsets that history still has.
#[track_caller]
fn kept(room: &mut TestRoom, client: Client) -> Vec<u64> {
    room.skips_to_now();
    room.sends(client, json!({ "type": "history", "id": 1, "limit": 100 }));
    if room.gathers() {
        room.flushes();
    }
    let page = room.hears(client, json!({ "type": "history", "more": false }));
    let messages = page["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|message| message["offset"].as_u64().unwrap())
        .collect()
}
