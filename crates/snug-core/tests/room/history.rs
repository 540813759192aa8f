//! Pages of stored messages.

use serde_json::{Value, json};
use snug_core::{config::RoomRules, limits::PAGE_BYTES_MAX};

use crate::driver::{Client, EPOCH, START_MS, TestRoom, scenario, scenario_with};

#[test]
fn a_page_has_the_messages_as_they_were_sent() {
    scenario(|room| {
        let ann = room.join("ann");
        room.sends(
            ann,
            json!({ "type": "publish", "event": "e", "data": "你好" }),
        );
        room.skips_received();
        room.sends(ann, json!({ "type": "history", "id": "h" }));
        let page = room.receives(ann, json!({ "type": "history" }));
        assert_eq!(
            page,
            json!({
                "type": "history",
                "id": "h",
                "epoch": EPOCH,
                "messages": [{
                    "offset": 1,
                    "time": START_MS,
                    "user": "ann",
                    "connection": ann.id(),
                    "event": "e",
                    "data": "你好"
                }],
                "more": false
            })
        );
    });
}

#[test]
fn an_empty_room_has_an_empty_page() {
    scenario(|room| {
        let ann = room.join("ann");
        for query in [json!({}), json!({ "after": 0 }), json!({ "before": 0 })] {
            assert_eq!(page(room, ann, query), (vec![], false));
        }
    });
}

#[test]
fn pages_start_at_the_requested_offset() {
    scenario(|room| {
        let ann = room.join("ann");
        room.stores_messages((1..=10).map(Value::from));
        for (query, offsets, more) in [
            (json!({}), 1..=10, false),
            (json!({ "limit": 3 }), 8..=10, true),
            (json!({ "limit": 10 }), 1..=10, false),
            (json!({ "limit": 9 }), 2..=10, true),
            (json!({ "after": 0, "limit": 3 }), 1..=3, true),
            (json!({ "after": 7, "limit": 3 }), 8..=10, false),
            (json!({ "after": 6, "limit": 3 }), 7..=9, true),
            (json!({ "after": 9 }), 10..=10, false),
            (json!({ "before": 4, "limit": 3 }), 1..=3, false),
            (json!({ "before": 5, "limit": 3 }), 2..=4, true),
            (json!({ "before": 99, "limit": 1 }), 10..=10, true),
            (
                json!({ "before": 9_007_199_254_740_991_u64, "limit": 1 }),
                10..=10,
                true,
            ),
            (json!({ "before": 2 }), 1..=1, false),
        ] {
            let expected = (offsets.collect(), more);
            assert_eq!(page(room, ann, query.clone()), expected, "{query}");
        }
        for nothing in [
            json!({ "after": 10 }),
            json!({ "after": 99 }),
            json!({ "before": 1 }),
        ] {
            assert_eq!(
                page(room, ann, nothing.clone()),
                (vec![], false),
                "{nothing}"
            );
        }
    });
}

#[test]
fn a_page_has_fifty_messages_by_default_and_a_hundred_at_most() {
    scenario(|room| {
        let ann = room.join("ann");
        room.stores_messages((1..=101).map(Value::from));
        assert_eq!(page(room, ann, json!({})), ((52..=101).collect(), true));
        let most = json!({ "limit": 100 });
        assert_eq!(page(room, ann, most), ((2..=101).collect(), true));
        let all = json!({ "limit": 100, "after": 1 });
        assert_eq!(page(room, ann, all), ((2..=101).collect(), false));
        room.sends(ann, json!({ "type": "history", "id": 1, "limit": 101 }));
        room.receives(
            ann,
            json!({ "type": "error", "id": 1, "code": "bad_command" }),
        );
    });
}

#[test]
fn a_page_ends_early_at_its_byte_limit() {
    // Two messages that together fill a page to the byte, between two small ones.
    let half = PAGE_BYTES_MAX / 2;
    let sized = |bytes: usize| Value::from("x".repeat(bytes - empty_message_bytes()));
    for (excess, offsets_after, offsets_before) in [(0, 2..=3, 2..=3), (1, 2..=2, 3..=3)] {
        scenario_with(unhurried, |room| {
            let ann = room.join("ann");
            room.stores_messages([json!(1), sized(half), sized(half + excess), json!(4)]);
            let after = json!({ "after": 1 });
            assert_eq!(
                page(room, ann, after),
                (offsets_after.clone().collect(), true)
            );
            let before = json!({ "before": 4 });
            assert_eq!(
                page(room, ann, before),
                (offsets_before.clone().collect(), true)
            );
        });
    }
}

#[test]
fn a_page_has_one_message_even_if_it_exceeds_the_byte_limit() {
    scenario_with(unhurried, |room| {
        let ann = room.join("ann");
        room.stores_messages([json!(1), "x".repeat(PAGE_BYTES_MAX).into(), json!(3)]);
        assert_eq!(page(room, ann, json!({ "after": 1 })), (vec![2], true));
        assert_eq!(page(room, ann, json!({ "before": 3 })), (vec![2], true));
    });
}

#[test]
fn every_message_can_be_reached_page_by_page() {
    scenario(|room| {
        let ann = room.join("ann");
        room.stores_messages((1..=25).map(Value::from));
        let mut forward = Vec::new();
        loop {
            let after = forward.last().copied().unwrap_or(0);
            let (offsets, more) = page(room, ann, json!({ "after": after, "limit": 7 }));
            forward.extend(offsets);
            if !more {
                break;
            }
        }
        assert_eq!(forward, (1..=25).collect::<Vec<_>>());
        let mut backward: Vec<u64> = Vec::new();
        loop {
            let before = backward.first().copied().unwrap_or(26);
            let (mut offsets, more) = page(room, ann, json!({ "before": before, "limit": 7 }));
            offsets.append(&mut backward);
            backward = offsets;
            if !more {
                break;
            }
        }
        assert_eq!(backward, forward);
    });
}

#[test]
fn history_without_an_id_gets_a_reply_without_an_id() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        room.sends(ann, json!({ "type": "history" }));
        let page = room.receives(ann, json!({ "type": "history", "messages": [] }));
        assert_eq!(page.get("id"), None);
    });
}

#[test]
fn a_failed_history_read_is_an_error_and_can_be_retried() {
    scenario(|room| {
        let ann = room.join("ann");
        room.stores_messages([json!(1)]);
        room.skips_received();
        room.storage_fails_once();
        room.sends(ann, json!({ "type": "history", "id": 1 }));
        room.receives(
            ann,
            json!({ "type": "error", "id": 1, "code": "internal", "retryable": true }),
        );
        assert_eq!(page(room, ann, json!({})), (vec![1], false));
    });
}

/// Requests a page, and returns its offsets and whether there are more.
#[track_caller]
fn page(room: &mut TestRoom, client: Client, query: Value) -> (Vec<u64>, bool) {
    room.skips_received();
    let mut command = query;
    command["type"] = json!("history");
    command["id"] = json!(1);
    room.sends(client, command);
    let page = room.receives(client, json!({ "type": "history", "id": 1 }));
    room.receives_nothing(client);
    let messages = page["messages"].as_array().unwrap();
    let offsets = messages.iter().map(|one| one["offset"].as_u64().unwrap());
    (offsets.collect(), page["more"].as_bool().unwrap())
}

/// Returns the length of a stored message without data, in the driver's form.
fn empty_message_bytes() -> usize {
    format!(r#"{{"type":"message","offset":2,"time":{START_MS},"user":"old","data":""}}"#).len()
}

/// Removes the rate limit, because long pages count toward it.
fn unhurried(rules: &mut RoomRules) {
    (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000);
}
