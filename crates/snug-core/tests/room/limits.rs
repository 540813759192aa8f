//! Every limit at n and at one more.

use serde_json::{Value, json};
use snug_core::limits::{
    ERRORS_MAX, FRAME_BYTES_MAX, MEMBERS_LISTED_MAX, PAGE_BYTES_MAX, REPLY_BYTES_PER_COMMAND,
};

use crate::driver::{Client, TestRoom, Visitor, busy_scenario_with, scenario, scenario_with};

const BURST: usize = 100;

#[test]
fn a_command_of_the_most_bytes_and_one_more() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.sends_text(ann, &publish_of_bytes(65_536));
        room.hears(bob, json!({ "type": "message", "offset": 1 }));
        assert!(room.is_open(ann));
        room.skips_to_now();
        room.sends_text(ann, &publish_of_bytes(65_537));
        hears_too_large(room, ann);
        room.hears_nothing(bob);
    });
}

#[test]
fn a_tokens_own_limit_of_bytes_and_one_more() {
    scenario(|room| {
        let ann = room.admit(Visitor::named("ann").with_message_bytes(100));
        room.skips_to_now();
        room.sends_text(ann, &publish_of_bytes(100));
        room.hears(ann, json!({ "type": "message" }));
        room.sends_text(ann, &publish_of_bytes(101));
        hears_too_large(room, ann);
    });
}

#[test]
fn a_frame_may_be_longer_than_a_command_as_long_as_each_command_fits() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_to_now();
        let most = publish_of_bytes(65_536);
        room.sends_text(ann, &format!("{most}\n{most}\n{most}\n"));
        assert_eq!(room.heard(ann).len(), 3);
        assert!(room.is_open(ann));
        room.sends_text(ann, &format!("{most}\n{}", publish_of_bytes(65_537)));
        room.hears(ann, json!({ "type": "message", "offset": 4 }));
        hears_too_large(room, ann);
    });
}

#[test]
fn a_frame_of_the_most_bytes_and_one_more() {
    scenario_with(
        |rules| rules.message_bytes_max = FRAME_BYTES_MAX,
        |room| {
            let ann = room.join("ann");
            room.skips_to_now();
            room.sends_text(ann, &publish_of_bytes(FRAME_BYTES_MAX));
            room.hears(ann, json!({ "type": "message", "offset": 1 }));
            // Every line of it fits, but not the frame.
            let line = publish_of_bytes(FRAME_BYTES_MAX / 2);
            room.sends_text(ann, &format!("{line}\n{line}"));
            hears_too_large(room, ann);
            assert_eq!(room.stored_count(), 1);
        },
    );
}

#[test]
fn too_large_costs_the_connection_and_its_user_may_be_back() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.sends_text(ann, &publish_of_bytes(70_000));
        room.join("ann");
        room.pass_ms(10_000);
        room.hears_nothing(bob);
    });
}

#[test]
fn a_burst_and_one_more() {
    busy_scenario_with(
        |_| {},
        |room| {
            let ann = room.admit(Visitor::named("ann").without_echo());
            room.skips_to_now();
            for _ in 0..BURST {
                room.says(ann, 1);
            }
            room.hears_nothing(ann);
            room.sends(ann, json!({ "type": "publish", "id": 7, "data": 1 }));
            let refused = json!({
                "type": "error", "id": 7, "code": "rate_limited", "retryable": true,
                "retry_after_ms": 20
            });
            room.hears(ann, refused);
            assert_eq!(room.stored_count(), BURST);
            room.pass_ms(19);
            room.says(ann, 1);
            room.hears(ann, json!({ "code": "rate_limited", "retry_after_ms": 1 }));
            room.pass_ms(1);
            room.says(ann, 1);
            room.hears_nothing(ann);
            assert_eq!(room.stored_count(), BURST + 1);
        },
    );
}

#[test]
fn a_rate_is_each_connections_own_and_counts_every_command() {
    busy_scenario_with(
        |rules| rules.rate.burst = 4,
        |room| {
            let (ann, other_tab) = (room.join("ann"), room.join("ann"));
            room.skips_to_now();
            room.sends(ann, json!({ "type": "ping" }));
            room.sends(ann, json!({ "type": "dance" }));
            room.sends_text(ann, "nonsense");
            room.sends(ann, json!({ "type": "members" }));
            room.skips_to_now();
            room.sends(ann, json!({ "type": "ping" }));
            room.hears(ann, json!({ "type": "error", "code": "rate_limited" }));
            room.sends(other_tab, json!({ "type": "ping" }));
            room.hears(other_tab, json!({ "type": "pong" }));
        },
    );
}

#[test]
fn a_slow_rate_is_kept_over_hibernation() {
    busy_scenario_with(
        |rules| (rules.rate.per_second, rules.rate.burst) = (1, 20),
        |room| {
            let ann = room.admit(Visitor::named("ann").without_echo());
            room.skips_to_now();
            for _ in 0..20 {
                room.says(ann, 1);
            }
            room.pass_ms(10_000);
            for _ in 0..10 {
                room.says(ann, 1);
            }
            room.hears_nothing(ann);
            room.says(ann, 1);
            room.hears(
                ann,
                json!({ "code": "rate_limited", "retry_after_ms": 1000 }),
            );
        },
    );
}

#[test]
fn a_whole_burst_of_refusals_in_a_row_is_a_flood() {
    busy_scenario_with(
        |_| {},
        |room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            for _ in 0..BURST + BURST - 1 {
                room.says(ann, 1);
            }
            assert!(room.is_open(ann));
            room.skips_to_now();
            room.says(ann, 1);
            room.hears(ann, json!({ "code": "rate_limited" }));
            room.hears_close(ann, 4103, "too_many_errors");
            room.hears(bob, json!({ "leaves": ["ann"] }));
        },
    );
}

#[test]
fn whoever_slows_down_before_it_is_a_flood_stays() {
    busy_scenario_with(
        |_| {},
        |room| {
            let ann = room.admit(Visitor::named("ann").without_echo());
            for _ in 0..5 {
                for _ in 0..BURST + BURST - 1 {
                    room.says(ann, 1);
                }
                room.pass_ms(2_000);
            }
            assert!(room.is_open(ann));
        },
    );
}

#[test]
fn a_small_burst_still_leaves_room_for_twenty_refusals() {
    busy_scenario_with(
        |rules| rules.rate.burst = 1,
        |room| {
            let ann = room.join("ann");
            for _ in 0..20 {
                room.says(ann, 1);
            }
            assert!(room.is_open(ann));
            room.says(ann, 1);
            assert!(!room.is_open(ann));
        },
    );
}

#[test]
fn as_many_connections_of_a_user_as_may_be_and_one_more() {
    scenario_with(
        |rules| rules.connections_per_user_max = 3,
        |room| {
            let tabs = [(); 3].map(|()| room.join("ann"));
            room.join("bob");
            let one_more = room.try_admit(Visitor::named("ann"));
            assert_eq!(one_more, Err("too_many_connections"));
            room.drops(tabs[0]);
            assert!(room.try_admit(Visitor::named("ann")).is_ok());
        },
    );
}

#[test]
fn as_many_connections_of_a_room_as_may_be_and_one_more() {
    scenario_with(
        |rules| rules.connections_max = 3,
        |room| {
            let ann = room.join("ann");
            room.join("ann");
            room.join("bob");
            assert_eq!(room.try_admit(Visitor::named("cho")), Err("room_full"));
            assert_eq!(room.try_admit(Visitor::named("ann")), Err("room_full"));
            room.drops(ann);
            assert!(room.try_admit(Visitor::named("cho")).is_ok());
            assert_eq!(room.try_admit(Visitor::named("dan")), Err("room_full"));
        },
    );
}

#[test]
fn as_many_members_as_are_listed_and_one_more() {
    scenario(|room| {
        let watcher = Visitor::named("u000").without_presence();
        let watcher = room.admit(watcher);
        for n in 1..MEMBERS_LISTED_MAX - 1 {
            room.admit(Visitor::named(&format!("u{n:03}")).without_presence());
        }
        let last = room.join("u199");
        let all = room.hears(last, json!({ "type": "welcome", "count": 200 }));
        assert_eq!(all["members"].as_array().unwrap().len(), 200);
        assert_eq!(all.get("truncated"), None);
        assert_eq!(listed(room, watcher), (200, 200, false));
        let one_more = room.join("u200");
        let most = room.hears(one_more, json!({ "type": "welcome", "count": 201 }));
        assert_eq!(most["members"].as_array().unwrap().len(), 200);
        assert_eq!(most["truncated"], true);
        assert_eq!(listed(room, watcher), (200, 201, true));
    });
}

#[test]
fn a_list_of_large_members_ends_early_and_says_so() {
    scenario(|room| {
        let large = json!({ "a": "x".repeat(1_000) });
        for n in 0..90 {
            let visitor = Visitor::named(&format!("u{n:03}")).without_presence();
            let client = room.admit(visitor.with_info(large.clone()));
            let state = json!({ "a": "x".repeat(2_000) });
            room.sends(client, json!({ "type": "state", "data": state }));
        }
        let last = room.join("u090");
        let welcome = room.hears(last, json!({ "type": "welcome", "count": 91 }));
        assert_eq!(welcome["truncated"], true);
        let in_welcome = welcome["members"].as_array().unwrap().len();
        assert!((80..90).contains(&in_welcome), "{in_welcome}");
        assert_eq!(listed(room, last), (in_welcome, 91, true));
    });
}

#[test]
fn the_twentieth_error_closes() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        for n in 1..ERRORS_MAX {
            room.sends(ann, json!({ "type": "dance", "id": n }));
            room.hears(ann, json!({ "id": n, "code": "unknown_command" }));
        }
        assert!(room.is_open(ann));
        room.hears_nothing(bob);
        room.sends(ann, json!({ "type": "dance", "id": 20 }));
        room.hears(ann, json!({ "id": 20, "code": "unknown_command" }));
        room.hears_close(ann, 4103, "too_many_errors");
        // It will not be back, so nothing waits for it.
        room.hears(bob, json!({ "leaves": ["ann"] }));
    });
}

#[test]
fn errors_count_for_a_minute() {
    scenario(|room| {
        let ann = room.join("ann");
        errs(room, ann, 1);
        room.pass_ms(30_000);
        errs(room, ann, ERRORS_MAX - 2);
        room.pass_ms(29_999);
        assert!(room.is_open(ann));
        // The first is a minute old and counts no more.
        room.pass_ms(1);
        errs(room, ann, 1);
        assert!(room.is_open(ann));
        errs(room, ann, 1);
        assert!(!room.is_open(ann));
    });
}

#[test]
fn an_error_of_just_under_a_minute_ago_counts() {
    scenario(|room| {
        let ann = room.join("ann");
        errs(room, ann, ERRORS_MAX - 1);
        room.pass_ms(59_999);
        errs(room, ann, 1);
        assert!(!room.is_open(ann));
    });
}

#[test]
fn being_refused_for_speed_or_by_storage_is_not_an_error_of_the_client() {
    busy_scenario_with(
        |rules| rules.rate.burst = 40,
        |room| {
            let ann = room.join("ann");
            for _ in 0..30 {
                room.storage_fails_once();
                room.says(ann, 1);
            }
            for _ in 0..40 {
                room.says(ann, 1);
            }
            assert!(room.is_open(ann));
        },
    );
}

fn errs(room: &mut TestRoom, client: Client, times: usize) {
    for _ in 0..times {
        room.sends(client, json!({ "type": "dance" }));
    }
}

#[track_caller]
fn hears_too_large(room: &mut TestRoom, client: Client) {
    room.hears(
        client,
        json!({ "type": "error", "code": "too_large", "retryable": false }),
    );
    room.hears_close(client, 1009, "message_too_big");
}

/// A publish command of exactly so many bytes.
fn publish_of_bytes(bytes: usize) -> String {
    let empty = r#"{"type":"publish","data":""}"#.len();
    let data = Value::from("x".repeat(bytes - empty));
    let command = format!(r#"{{"type":"publish","data":{data}}}"#);
    assert_eq!(command.len(), bytes);
    command
}

/// How many members are listed, how many there are, and whether that is told.
fn listed(room: &mut TestRoom, client: Client) -> (usize, u64, bool) {
    room.skips_to_now();
    room.sends(client, json!({ "type": "members", "id": 1 }));
    let reply = room.hears(client, json!({ "type": "members" }));
    (
        reply["members"].as_array().unwrap().len(),
        reply["count"].as_u64().unwrap(),
        reply["truncated"].as_bool().unwrap(),
    )
}

#[test]
fn a_connection_that_does_not_answer_its_close_keeps_its_place() {
    scenario_with(
        |rules| (rules.connections_per_user_max, rules.connections_max) = (2, 3),
        |room| {
            room.join("bob");
            room.ignores_closes();
            let tabs = [(); 2].map(|()| room.join("ann"));
            for tab in tabs {
                room.sends_bytes(tab);
                assert!(!room.is_open(tab));
            }
            let refused = room.try_admit(Visitor::named("ann"));
            assert_eq!(refused, Err("too_many_connections"));
            assert_eq!(room.try_admit(Visitor::named("cho")), Err("room_full"));
            room.drops(tabs[0]);
            assert!(room.try_admit(Visitor::named("ann")).is_ok());
        },
    );
}

#[test]
fn a_long_reply_counts_as_the_commands_that_it_is_as_long_as() {
    let (per_second, burst) = (10, 20);
    busy_scenario_with(
        |rules| (rules.rate.per_second, rules.rate.burst) = (per_second, burst),
        |room| {
            let ann = room.join("ann");
            // A page of 16 units and a bit: with the command itself, 17 of the 20.
            let text = "x".repeat(16 * REPLY_BYTES_PER_COMMAND);
            room.has_stored([json!(text)]);
            room.skips_to_now();
            let history = json!({ "type": "history", "id": 1 });
            room.sends(ann, history.clone());
            room.hears(ann, json!({ "type": "history" }));
            room.sends(ann, history.clone());
            room.hears(ann, json!({ "type": "history" }));
            // 34 are out of a bucket of 20: 15 have to come back before the next.
            room.sends(ann, history.clone());
            room.hears(
                ann,
                json!({ "code": "rate_limited", "retry_after_ms": 1500 }),
            );
            room.pass_ms(1500);
            room.sends(ann, history);
            room.hears(ann, json!({ "type": "history" }));
        },
    );
}

#[test]
fn a_frame_of_questions_is_not_answered_at_any_length() {
    busy_scenario_with(
        |_| {},
        |room| {
            let ann = room.join("ann");
            room.has_stored((0..40).map(|_| Value::from("x".repeat(60_000))));
            room.skips_to_now();
            room.sends_lines(ann, &vec![json!({ "type": "history" }); 99]);
            let sent: usize = room.frame_lengths(ann).iter().sum();
            assert!(sent < 2 * PAGE_BYTES_MAX + 100_000, "{sent}");
        },
    );
}
