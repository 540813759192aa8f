//! Retention of messages, and trimming.

use std::cell::Cell;

use serde_json::{Value, json};
use snug_core::{limits::KEY_MS_MIN, storage::retention::TRIM_ROWS_MAX};

use crate::driver::{Client, TestRoom, TestUser, hibernating_scenario_with, scenario_with};

#[test]
fn retention_by_count_keeps_the_newest_messages() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.messages_max = 3;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        for data in 1..=3 {
            room.publishes(ann, data);
        }
        assert_eq!(kept(room, ann), [1, 2, 3]);
        room.publishes(ann, 4);
        assert_eq!(kept(room, ann), [2, 3, 4]);
    });
}

#[test]
fn retention_by_age_drops_older_messages() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.seconds_max = 60;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        room.publishes(ann, 1);
        room.pass_ms(1);
        room.publishes(ann, 2);
        room.pass_ms(59_999);
        assert_eq!(kept(room, ann), [1, 2]);
        room.pass_ms(1);
        assert_eq!(kept(room, ann), [2]);
        room.pass_ms(1);
        assert_eq!(kept(room, ann), [0; 0]);
    });
}

#[test]
fn retention_by_size_drops_the_oldest_messages() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.bytes_max = 2_500;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        for _ in 0..4 {
            // Counted in bytes and not in characters.
            room.publishes(ann, "é".repeat(500));
        }
        assert_eq!(kept(room, ann), [3, 4]);
        room.publishes(ann, "x".repeat(10_000));
        assert_eq!(kept(room, ann), [0; 0]);
        room.publishes(ann, "small");
        assert_eq!(kept(room, ann), [6]);
    });
}

#[test]
fn a_room_that_retains_nothing_still_assigns_offsets() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.messages_max = 0;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        let bob = room.join("bob");
        room.skips_received();
        for offset in 1..=3 {
            room.publishes(ann, "said");
            room.receives(
                bob,
                json!({ "type": "message", "offset": offset, "data": "said" }),
            );
        }
        assert_eq!(kept(room, ann), [0; 0]);
        assert_eq!(room.stored_bytes(), 0);
        let back = room.admit(TestUser::named("bob").resuming_after(3));
        room.receives(
            back,
            json!({ "type": "welcome", "recovered": true, "offset": 3 }),
        );
        let late = room.admit(TestUser::named("bob").resuming_after(2));
        room.receives(late, json!({ "type": "welcome", "recovered": false }));
        room.receives_nothing(late);
    });
}

#[test]
fn a_position_below_the_floor_is_not_recovered() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.messages_max = 3;
    scenario_with(rules, |room| {
        room.stores_messages((1..=10).map(Value::from));
        for (offset, recovered) in [(6, false), (7, true), (10, true)] {
            let bob = room.admit(TestUser::named("bob").resuming_after(offset));
            room.receives(bob, json!({ "type": "welcome", "recovered": recovered }));
            let missed = if recovered { 10 - offset } else { 0 };
            assert_eq!(room.received(bob).len() as u64, missed);
        }
    });
}

#[test]
fn offsets_continue_after_everything_was_trimmed() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.seconds_max = 1;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        for offset in 1..=130 {
            room.publishes(ann, offset);
            room.pass_ms(2_000);
        }
        assert_eq!(kept(room, ann), [0; 0]);
        room.restore();
        let bob = room.join("bob");
        room.receives(bob, json!({ "type": "welcome", "offset": 130 }));
        room.publishes(bob, "next");
        assert_eq!(kept(room, ann), [131]);
    });
}

#[test]
fn aged_messages_are_trimmed_in_an_inactive_room() {
    let rules = |rules: &mut snug_core::config::RoomRules| {
        rules.retention.seconds_max = 60;
        rules.rate.per_second = 1_000;
    };
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        let key = json!({ "type": "publish", "key": "k", "data": "keyed" });
        room.sends(ann, key.clone());
        for data in 2..=600 {
            room.publishes(ann, data);
            room.pass_ms(10);
        }
        room.leaves(ann);
        room.pass_ms(60_000);
        assert!(room.stored_bytes() > 0);
        room.pass_ms(6_000 + 10_000);
        assert_eq!(room.stored_bytes(), 0);
        // One row holds the key, the other the newest offset.
        assert_eq!(room.stored_count(), 2);
        let bob = room.join("ann");
        room.sends(bob, key);
        room.publishes(bob, "next");
        assert_eq!(kept(room, bob), [601]);
    });
}

#[test]
fn trimming_by_age_seldom_wakes_the_room() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.seconds_max = 60;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        let before = room.alarms();
        for _ in 0..1_200 {
            room.pings_runtime(ann);
            room.publishes(ann, 1);
            room.pass_ms(100);
        }
        // Ten a minute for trimming, and some to check for idle sockets.
        assert!(room.alarms() - before <= 2 * 10 + 4, "{}", room.alarms());
    });
}

#[test]
fn a_failed_trim_is_retried() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.seconds_max = 60;
    hibernating_scenario_with(rules, |room| {
        let ann = room.join("ann");
        room.publishes(ann, 1);
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
fn rows_are_trimmed_in_small_steps() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.messages_max = 10;
    scenario_with(rules, |room| {
        room.stores_messages((1..=1_000).map(Value::from));
        let ann = room.join("ann");
        let mut rows = room.stored_count();
        for data in 0..400 {
            room.publishes(ann, data);
            room.pass_ms(100);
            let before = std::mem::replace(&mut rows, room.stored_count());
            assert!(before.saturating_sub(rows) < TRIM_ROWS_MAX as usize);
        }
        assert!(rows <= 10 + 64, "{rows}");
    });
}

#[test]
fn the_floor_may_be_within_a_row() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.messages_max = 3;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        publishes_together(room, ann, 3);
        assert_eq!(kept(room, ann), [1, 2, 3]);
        publishes_together(room, ann, 2);
        assert_eq!(kept(room, ann), [3, 4, 5]);
        room.publishes(ann, "x");
        assert_eq!(kept(room, ann), [4, 5, 6]);
        assert_eq!(room.stored_rows(), [3, 2, 1]);
        // Recovery, `last` and history all stop at the same floor.
        for (offset, recovered) in [(3, true), (2, false), (4, true), (5, true)] {
            let bob = room.admit(TestUser::named("bob").resuming_after(offset));
            room.receives(bob, json!({ "type": "welcome", "recovered": recovered }));
            let missed = if recovered { 6 - offset } else { 0 };
            assert_eq!(room.received(bob).len() as u64, missed);
        }
        let bob = room.admit(TestUser::named("bob").with_last(9));
        room.receives(bob, json!({ "type": "welcome" }));
        assert_eq!(room.received(bob).len(), 3);
        for (page, expected, more) in [
            (json!({ "after": 4, "limit": 1 }), vec![5], true),
            (json!({ "after": 0, "limit": 2 }), vec![4, 5], true),
            (json!({ "before": 6, "limit": 1 }), vec![5], true),
            (json!({ "before": 6, "limit": 2 }), vec![4, 5], false),
            (json!({ "before": 4, "limit": 2 }), vec![], false),
        ] {
            room.skips_received();
            let mut command = page;
            command["type"] = json!("history");
            room.sends(ann, command);
            let messages: Vec<_> = expected.iter().map(|n| json!({ "offset": n })).collect();
            room.receives(ann, json!({ "messages": messages, "more": more }));
        }
    });
}

#[test]
fn the_byte_limit_may_be_within_a_row() {
    // Four messages of equal length, separated by line breaks.
    let bytes = |room: &mut TestRoom| {
        let ann = room.join("ann");
        publishes_together(room, ann, 4);
        (ann, (room.stored_bytes() - 3) / 4)
    };
    let length = Cell::new(0);
    scenario_with(|_| {}, |room| length.set(bytes(room).1));
    let last_two = 2 * length.get() as u64 + 1;
    for (most, expected) in [(last_two, &[3, 4][..]), (last_two - 1, &[4])] {
        let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.bytes_max = most;
        scenario_with(rules, |room| {
            let (ann, _) = bytes(room);
            assert_eq!(kept(room, ann), expected, "{most} bytes");
        });
    }
}

#[test]
fn a_row_ages_as_one_by_its_last_message() {
    let rules = |rules: &mut snug_core::config::RoomRules| {
        rules.retention.seconds_max = 60;
        rules.window_ms_max = 10;
    };
    hibernating_scenario_with(rules, |room| {
        let ann = room.join("ann");
        // Enough members that the flush window is longer than a millisecond.
        let crowd: Vec<_> = (0..100).map(|n| room.join(&format!("u{n}"))).collect();
        room.gets_busy(ann);
        room.publishes(ann, "x");
        room.pass_ms(1);
        room.publishes(ann, "x");
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
fn rows_are_trimmed_whole_and_the_newest_row_stays() {
    let rules = |rules: &mut snug_core::config::RoomRules| {
        (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
        rules.retention.messages_max = 4;
    };
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        for _ in 0..21 {
            publishes_together(room, ann, 3);
        }
        assert_eq!(room.stored_count(), 21);
        // The 64th message triggers the trim. The row of the oldest retained message stays.
        publishes_together(room, ann, 3);
        assert_eq!(room.stored_rows(), [3, 3]);
        assert_eq!(kept(room, ann), [63, 64, 65, 66]);
    });
    let none_fits = |rules: &mut snug_core::config::RoomRules| {
        (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
        rules.retention.bytes_max = 10;
    };
    scenario_with(none_fits, |room| {
        let ann = room.join("ann");
        publishes_together(room, ann, 60);
        publishes_together(room, ann, 5);
        assert_eq!(room.stored_rows(), [5]);
        assert_eq!(kept(room, ann), [0; 0]);
        room.restore();
        publishes_together(room, ann, 5);
        let bob = room.join("bob");
        room.receives(bob, json!({ "type": "welcome", "offset": 70 }));
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
        publishes_together(room, ann, 60);
        publishes_together(room, ann, 2);
        // The row with the keys still exists, without messages.
        assert_eq!((room.stored_count(), room.stored_rows()), (2, vec![2]));
        room.restore();
        room.skips_received();
        room.sends_lines(ann, &[keyed(1), keyed(2), keyed(3)]);
        room.receives(
            ann,
            json!({ "type": "ack", "id": 1, "offset": 1, "duplicate": true }),
        );
        room.receives(
            ann,
            json!({ "type": "ack", "id": 2, "offset": 2, "duplicate": true }),
        );
        room.receives(ann, json!({ "type": "ack", "id": 3, "offset": 66 }));
    });
}

#[test]
fn a_row_stays_for_one_remembered_key_among_forgotten_ones() {
    let rules = |rules: &mut snug_core::config::RoomRules| {
        (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
        rules.retention.messages_max = 1;
        rules.idle_timeout_ms = 60 * 60 * 1_000;
    };
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        let keyed = |n: u64| json!({ "type": "publish", "id": n, "key": n.to_string(), "data": n });
        // 1,200 keys in rows of three. Once two minutes have passed, keys 201 to 1,200 are remembered.
        for row in 0..400 {
            let three: Vec<_> = (1..=3).map(|n| keyed(3 * row + n)).collect();
            room.sends_lines(ann, &three);
            if row == 200 {
                room.pass_ms(KEY_MS_MIN + 1);
            }
        }
        // The row of 199 to 201 and all later rows remain, and perhaps some that are not trimmed yet.
        let rows = room.stored_count();
        assert!((334..334 + 64).contains(&rows), "{rows}");
        room.restore();
        room.skips_received();
        room.sends(ann, keyed(201));
        room.receives(ann, json!({ "id": 201, "offset": 201, "duplicate": true }));
        room.sends(ann, keyed(200));
        room.receives(ann, json!({ "id": 200, "offset": 1_201 }));
    });
}

#[test]
fn rows_without_text_still_define_the_next_offset() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.messages_max = 0;
    scenario_with(rules, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        for round in 0..3 {
            let keyed = json!({ "type": "publish", "id": 1, "key": round.to_string(), "data": 0 });
            room.sends_lines(ann, &vec![keyed; 2]);
            publishes_together(room, ann, 3);
            let offsets: Vec<_> = room
                .received(bob)
                .iter()
                .map(|one| one["offset"].clone())
                .collect();
            assert_eq!(offsets, [1, 2, 3, 4].map(|n| n + 4 * round));
        }
        assert_eq!((room.stored_count(), room.stored_bytes()), (6, 0));
        room.restore();
        assert_eq!(kept(room, ann), [0; 0]);
        let back = room.admit(TestUser::named("bob").resuming_after(12));
        room.receives(
            back,
            json!({ "type": "welcome", "offset": 12, "recovered": true }),
        );
        let late = room.admit(TestUser::named("bob").resuming_after(11));
        room.receives(late, json!({ "type": "welcome", "recovered": false }));
    });
}

/// Publishes several messages in one frame, so that they are one row.
#[track_caller]
fn publishes_together(room: &mut TestRoom, client: Client, messages: usize) {
    let message = json!({ "type": "publish", "data": "x" });
    room.sends_lines(client, &vec![message; messages]);
}

/// Returns the offsets that history still has.
#[track_caller]
fn kept(room: &mut TestRoom, client: Client) -> Vec<u64> {
    room.skips_received();
    room.sends(client, json!({ "type": "history", "id": 1, "limit": 100 }));
    if room.is_gathering() {
        room.flushes();
    }
    let page = room.receives(client, json!({ "type": "history", "more": false }));
    let messages = page["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|message| message["offset"].as_u64().unwrap())
        .collect()
}
