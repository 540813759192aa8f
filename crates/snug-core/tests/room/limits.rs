//! Every limit, at n and at n + 1.

use serde_json::{Value, json};
use snug_core::{
    backend::api::ApiOperation,
    limits::{
        ERRORS_MAX, FRAME_BYTES_MAX, MEMBERS_LISTED_MAX, PAGE_BYTES_MAX, REPLAY_BYTES_PER_JOIN,
        REPLY_BYTES_PER_COMMAND,
    },
};

use crate::driver::{
    Client, TestRoom, TestUser, hibernating_scenario_with, scenario, scenario_with,
};

const BURST: usize = 100;

#[test]
fn a_command_one_byte_over_the_limit_is_rejected() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.sends_text(ann, &publish_of_bytes(65_536));
        room.receives(bob, json!({ "type": "message", "offset": 1 }));
        assert!(room.is_open(ann));
        room.skips_received();
        room.sends_text(ann, &publish_of_bytes(65_537));
        receives_too_large(room, ann);
        room.receives_nothing(bob);
    });
}

#[test]
fn a_command_one_byte_over_the_tokens_limit_is_rejected() {
    scenario(|room| {
        let ann = room.admit(TestUser::named("ann").with_message_bytes(100));
        room.skips_received();
        room.sends_text(ann, &publish_of_bytes(100));
        room.receives(ann, json!({ "type": "message" }));
        room.sends_text(ann, &publish_of_bytes(101));
        receives_too_large(room, ann);
    });
}

#[test]
fn a_frame_may_exceed_the_command_limit_if_each_command_fits() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        let most = publish_of_bytes(65_536);
        room.sends_text(ann, &format!("{most}\n{most}\n{most}\n"));
        assert_eq!(room.received(ann).len(), 3);
        assert!(room.is_open(ann));
        room.sends_text(ann, &format!("{most}\n{}", publish_of_bytes(65_537)));
        room.receives(ann, json!({ "type": "message", "offset": 4 }));
        receives_too_large(room, ann);
    });
}

#[test]
fn a_frame_one_byte_over_the_limit_is_rejected() {
    scenario_with(
        |rules| rules.message_bytes_max = FRAME_BYTES_MAX,
        |room| {
            let ann = room.join("ann");
            room.skips_received();
            room.sends_text(ann, &publish_of_bytes(FRAME_BYTES_MAX));
            room.receives(ann, json!({ "type": "message", "offset": 1 }));
            // Each line fits, but the frame does not.
            let line = publish_of_bytes(FRAME_BYTES_MAX / 2);
            room.sends_text(ann, &format!("{line}\n{line}"));
            receives_too_large(room, ann);
            assert_eq!(room.stored_count(), 1);
            let bob = room.join("bob");
            room.skips_received();
            room.sends_too_long(bob);
            receives_too_large(room, bob);
        },
    );
}

#[test]
fn a_field_one_over_its_limit_is_rejected() {
    let signal = |field: &str, value: Value| {
        let mut command = json!({ "type": "signal", "data": 1 });
        command[field] = value;
        command
    };
    let history = |field: &str, value: u64| json!({ "type": "history", field: value });
    let crabs = "🦀".repeat(15);
    let safe_integer_max = (1_u64 << 53) - 1;
    let fields = [
        (
            signal("event", json!("e".repeat(64))),
            signal("event", json!("e".repeat(65))),
        ),
        (
            // Counted in bytes and not in characters.
            signal("event", json!(format!("{crabs}eeee"))),
            signal("event", json!(format!("{crabs}eeeee"))),
        ),
        (
            signal("to", json!(vec!["bob"; 32])),
            signal("to", json!(vec!["bob"; 33])),
        ),
        (
            signal("to", json!(["u".repeat(128)])),
            signal("to", json!(["u".repeat(129)])),
        ),
        (history("limit", 100), history("limit", 101)),
        (
            history("after", safe_integer_max),
            history("after", safe_integer_max + 1),
        ),
    ];
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        for (mut most, mut more) in fields.clone() {
            (most["id"], more["id"]) = (json!("most"), json!("more"));
            room.sends(ann, most.clone());
            let reply = room.receives(ann, json!({ "id": "most" }));
            assert_ne!(reply["type"], "error", "{most}");
            room.sends(ann, more);
            let error = json!({ "id": "more", "code": "bad_command", "retryable": false });
            room.receives(ann, error);
        }
    });
}

#[test]
fn an_id_is_up_to_64_bytes_of_text_or_a_safe_integer() {
    let safe_integer_max = (1_u64 << 53) - 1;
    let crabs = "🦀".repeat(16);
    let valid = [
        json!(""),
        json!("i".repeat(64)),
        json!(crabs),
        json!(0),
        json!(safe_integer_max),
    ];
    let invalid = [
        json!("i".repeat(65)),
        json!(format!("{crabs}!")),
        json!(-1),
        json!(1.5),
        json!(safe_integer_max + 1),
        json!(true),
        json!([]),
        json!({}),
    ];
    scenario(|room| {
        let ann = room.admit(TestUser::named("ann").without_echo());
        room.skips_received();
        let publish = |id: &Value| json!({ "type": "publish", "id": id, "data": 1 });
        for id in &valid {
            room.sends(ann, publish(id));
            room.receives(ann, json!({ "type": "ack", "id": id }));
        }
        for id in &invalid {
            room.sends(ann, publish(id));
            let error = room.receives(ann, json!({ "type": "error", "code": "bad_command" }));
            assert_eq!(error.get("id"), None, "{id}");
        }
        room.receives_nothing(ann);
        assert_eq!(room.stored_count(), valid.len());
    });
}

#[test]
fn a_user_may_reconnect_after_a_command_that_was_too_large() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.sends_text(ann, &publish_of_bytes(70_000));
        room.join("ann");
        room.pass_ms(10_000);
        room.receives_nothing(bob);
    });
}

#[test]
fn a_command_beyond_the_burst_is_rate_limited() {
    hibernating_scenario_with(
        |_| {},
        |room| {
            let ann = room.admit(TestUser::named("ann").without_echo());
            room.skips_received();
            for _ in 0..BURST {
                room.publishes(ann, 1);
            }
            room.receives_nothing(ann);
            room.sends(ann, json!({ "type": "publish", "id": 7, "data": 1 }));
            let refused = json!({
                "type": "error", "id": 7, "code": "rate_limited", "retryable": true,
                "retry_after_ms": 20
            });
            room.receives(ann, refused);
            assert_eq!(room.stored_count(), BURST);
            room.pass_ms(19);
            room.publishes(ann, 1);
            room.receives(ann, json!({ "code": "rate_limited", "retry_after_ms": 1 }));
            room.pass_ms(1);
            room.publishes(ann, 1);
            room.receives_nothing(ann);
            assert_eq!(room.stored_count(), BURST + 1);
        },
    );
}

#[test]
fn every_command_counts() {
    hibernating_scenario_with(
        |rules| rules.rate.burst = 4,
        |room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.skips_received();
            room.sends(ann, json!({ "type": "ping" }));
            room.sends(ann, json!({ "type": "dance" }));
            room.sends_text(ann, "nonsense");
            room.sends(ann, json!({ "type": "members" }));
            room.skips_received();
            room.sends(ann, json!({ "type": "ping" }));
            room.receives(ann, json!({ "type": "error", "code": "rate_limited" }));
            room.sends(bob, json!({ "type": "ping" }));
            room.receives(bob, json!({ "type": "pong" }));
        },
    );
}

#[test]
fn all_connections_and_requests_of_a_user_share_a_rate() {
    hibernating_scenario_with(
        |rules| rules.rate.burst = 4,
        |room| {
            let ping = json!({ "type": "ping" });
            let (ann, other_tab) = (room.join("ann"), room.join("ann"));
            room.skips_received();
            room.sends(ann, ping.clone());
            room.sends(other_tab, ping.clone());
            room.skips_received();
            let reader = TestUser::named("ann").with_capabilities(&["history"]);
            let page = || ApiOperation::messages("").unwrap();
            assert_eq!(room.calls_api(&reader, page(), "").0, 200);
            // Nor does the rate start again with a new connection.
            room.leaves(ann);
            room.leaves(other_tab);
            let ann = room.join("ann");
            room.skips_received();
            room.sends(ann, ping.clone());
            room.receives(ann, json!({ "type": "pong" }));
            room.sends(ann, ping.clone());
            room.receives(ann, json!({ "code": "rate_limited", "retry_after_ms": 20 }));
            assert_eq!(room.calls_api(&reader, page(), "").0, 429);
            // What a user with `serve` does for the application is another matter.
            let server = TestUser::named("ann").with_capabilities(&["serve"]);
            assert_eq!(room.calls_api(&server, ApiOperation::Describe, "").0, 200);
            let bob = room.join("bob");
            room.skips_received();
            room.sends(bob, ping);
            room.receives(bob, json!({ "type": "pong" }));
        },
    );
}

#[test]
fn a_user_joins_twice_as_often_as_there_may_be_connections_and_then_slowly() {
    hibernating_scenario_with(
        |rules| rules.connections_per_user_max = 11,
        |room| {
            let joins = |room: &mut TestRoom| {
                let client = room.try_admit(TestUser::named("ann"))?;
                room.leaves(client);
                Ok(())
            };
            for _ in 0..22 {
                assert_eq!(joins(room), Ok(()));
            }
            assert_eq!(joins(room), Err("rate_limited"));
            room.join("bob");
            room.pass_ms(199);
            assert_eq!(joins(room), Err("rate_limited"));
            room.pass_ms(1);
            assert_eq!(joins(room), Ok(()));
            assert_eq!(joins(room), Err("rate_limited"));
        },
    );
}

#[test]
fn a_user_can_join_after_the_clock_was_set_back() {
    scenario(|room| {
        room.join("ann");
        room.clock_jumps_back_ms(3_600_000);
        room.join("ann");
    });
}

#[test]
fn replayed_messages_count_as_joins() {
    hibernating_scenario_with(
        |rules| rules.connections_per_user_max = 20,
        |room| {
            // Each replay counts as three joins more.
            let text = "x".repeat(3 * REPLAY_BYTES_PER_JOIN / 50);
            room.stores_messages(vec![json!(text); 50]);
            for last in [false, true] {
                let name = if last { "ann" } else { "bob" };
                for _ in 0..10 {
                    let user = TestUser::named(name);
                    let client = room.admit(match last {
                        true => user.with_last(50),
                        false => user.resuming_after(0),
                    });
                    room.leaves(client);
                }
                let refused = room.try_admit(TestUser::named(name));
                assert_eq!(refused, Err("rate_limited"));
            }
        },
    );
}

#[test]
fn a_slow_rate_survives_hibernation() {
    hibernating_scenario_with(
        |rules| (rules.rate.per_second, rules.rate.burst) = (1, 20),
        |room| {
            let ann = room.admit(TestUser::named("ann").without_echo());
            room.skips_received();
            for _ in 0..20 {
                room.publishes(ann, 1);
            }
            room.pass_ms(10_000);
            for _ in 0..10 {
                room.publishes(ann, 1);
            }
            room.receives_nothing(ann);
            room.publishes(ann, 1);
            room.receives(
                ann,
                json!({ "code": "rate_limited", "retry_after_ms": 1000 }),
            );
        },
    );
}

#[test]
fn a_room_replays_256_mib_at_once_and_then_64_mib_a_second() {
    hibernating_scenario_with(
        |_| {},
        |room| {
            // 4 MB, almost as much as one join may recover.
            let text = "x".repeat(40_000);
            room.stores_messages(vec![json!(text); 100]);
            let joins = |room: &mut TestRoom, name: String| {
                let client = room.try_admit(TestUser::named(&name).resuming_after(0))?;
                room.leaves(client);
                Ok(())
            };
            let all = (0..).map(|number| joins(room, format!("user {number}")));
            let accepted = all.take_while(Result::is_ok).count();
            // Each message takes some bytes more than its text.
            assert!((66..=69).contains(&accepted), "{accepted}");
            assert_eq!(joins(room, "ann".into()), Err("overloaded"));
            // Nothing is replayed to this client.
            room.join("bob");
            room.pass_ms(1_000);
            let all = (0..).map(|number| joins(room, format!("later {number}")));
            let accepted = all.take_while(Result::is_ok).count();
            assert!((15..=18).contains(&accepted), "{accepted}");
        },
    );
}

#[test]
fn a_whole_burst_of_rate_limited_commands_closes_the_connection() {
    hibernating_scenario_with(
        |_| {},
        |room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            for _ in 0..BURST + BURST - 1 {
                room.publishes(ann, 1);
            }
            assert!(room.is_open(ann));
            room.skips_received();
            room.publishes(ann, 1);
            room.receives(ann, json!({ "code": "rate_limited" }));
            room.receives_close(ann, 4103, "too_many_errors");
            room.receives(bob, json!({ "leaves": ["ann"] }));
        },
    );
}

#[test]
fn a_client_that_slows_down_in_time_stays_connected() {
    hibernating_scenario_with(
        |_| {},
        |room| {
            let ann = room.admit(TestUser::named("ann").without_echo());
            for _ in 0..5 {
                for _ in 0..BURST + BURST - 1 {
                    room.publishes(ann, 1);
                }
                room.pass_ms(2_000);
            }
            assert!(room.is_open(ann));
        },
    );
}

#[test]
fn a_small_burst_still_tolerates_twenty_rate_limited_commands() {
    hibernating_scenario_with(
        |rules| rules.rate.burst = 1,
        |room| {
            let ann = room.join("ann");
            for _ in 0..20 {
                room.publishes(ann, 1);
            }
            assert!(room.is_open(ann));
            room.publishes(ann, 1);
            assert!(!room.is_open(ann));
        },
    );
}

#[test]
fn a_connection_beyond_the_users_limit_is_refused() {
    scenario_with(
        |rules| rules.connections_per_user_max = 3,
        |room| {
            let tabs = [(); 3].map(|()| room.join("ann"));
            room.join("bob");
            room.skips_received();
            let one_more = room.try_admit(TestUser::named("ann"));
            assert_eq!(one_more, Err("too_many_connections"));
            room.receives_nothing(tabs[0]);
            room.drops(tabs[0]);
            assert!(room.try_admit(TestUser::named("ann")).is_ok());
        },
    );
}

#[test]
fn a_connection_beyond_the_rooms_limit_is_refused() {
    scenario_with(
        |rules| rules.connections_max = 3,
        |room| {
            let ann = room.join("ann");
            room.join("ann");
            room.join("bob");
            assert_eq!(room.try_admit(TestUser::named("cho")), Err("room_full"));
            assert_eq!(room.try_admit(TestUser::named("ann")), Err("room_full"));
            room.drops(ann);
            assert!(room.try_admit(TestUser::named("cho")).is_ok());
            assert_eq!(room.try_admit(TestUser::named("dan")), Err("room_full"));
        },
    );
}

#[test]
fn members_beyond_the_list_limit_are_counted_but_not_listed() {
    scenario(|room| {
        let watcher = TestUser::named("u000").without_presence();
        let watcher = room.admit(watcher);
        for n in 1..MEMBERS_LISTED_MAX - 1 {
            room.admit(TestUser::named(&format!("u{n:03}")).without_presence());
        }
        let last = room.join("u199");
        let all = room.receives(last, json!({ "type": "welcome", "count": 200 }));
        assert_eq!(all["members"].as_array().unwrap().len(), 200);
        assert_eq!(all.get("truncated"), None);
        assert_eq!(listed(room, watcher), (200, 200, false));
        let one_more = room.join("u200");
        let most = room.receives(one_more, json!({ "type": "welcome", "count": 201 }));
        assert_eq!(most["members"].as_array().unwrap().len(), 200);
        assert_eq!(most["truncated"], true);
        assert_eq!(listed(room, watcher), (200, 201, true));
    });
}

#[test]
fn a_list_of_large_members_is_truncated_and_marked() {
    scenario(|room| {
        let large = json!({ "a": "x".repeat(1_000) });
        for n in 0..90 {
            let test_user = TestUser::named(&format!("u{n:03}")).without_presence();
            let client = room.admit(test_user.with_info(large.clone()));
            let state = json!({ "a": "x".repeat(2_000) });
            room.sends(client, json!({ "type": "state", "data": state }));
        }
        let last = room.join("u090");
        let welcome = room.receives(last, json!({ "type": "welcome", "count": 91 }));
        assert_eq!(welcome["truncated"], true);
        let in_welcome = welcome["members"].as_array().unwrap().len();
        assert!((80..90).contains(&in_welcome), "{in_welcome}");
        assert_eq!(listed(room, last), (in_welcome, 91, true));
    });
}

#[test]
fn the_twentieth_error_closes_the_connection() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        for n in 1..ERRORS_MAX {
            room.sends(ann, json!({ "type": "dance", "id": n }));
            room.receives(ann, json!({ "id": n, "code": "unknown_command" }));
        }
        assert!(room.is_open(ann));
        room.receives_nothing(bob);
        room.sends(ann, json!({ "type": "dance", "id": 20 }));
        room.receives(ann, json!({ "id": 20, "code": "unknown_command" }));
        room.receives_close(ann, 4103, "too_many_errors");
        // The client must not reconnect, so there is no grace period.
        room.receives(bob, json!({ "leaves": ["ann"] }));
    });
}

#[test]
fn errors_count_for_each_connection_separately() {
    scenario(|room| {
        let tabs = [room.join("ann"), room.join("ann")];
        for tab in tabs {
            sends_errors(room, tab, ERRORS_MAX - 1);
        }
        assert!(tabs.iter().all(|tab| room.is_open(*tab)));
        sends_errors(room, tabs[0], 1);
        assert!(!room.is_open(tabs[0]));
        assert!(room.is_open(tabs[1]));
    });
}

#[test]
fn errors_count_for_a_minute() {
    scenario(|room| {
        let ann = room.join("ann");
        sends_errors(room, ann, 1);
        room.pass_ms(30_000);
        sends_errors(room, ann, ERRORS_MAX - 2);
        room.pass_ms(29_999);
        assert!(room.is_open(ann));
        // The first error is a minute old and no longer counts.
        room.pass_ms(1);
        sends_errors(room, ann, 1);
        assert!(room.is_open(ann));
        sends_errors(room, ann, 1);
        assert!(!room.is_open(ann));
    });
}

#[test]
fn an_error_of_just_under_a_minute_ago_counts() {
    scenario(|room| {
        let ann = room.join("ann");
        sends_errors(room, ann, ERRORS_MAX - 1);
        room.pass_ms(59_999);
        sends_errors(room, ann, 1);
        assert!(!room.is_open(ann));
    });
}

#[test]
fn rate_limits_and_storage_faults_are_not_client_errors() {
    hibernating_scenario_with(
        |rules| rules.rate.burst = 40,
        |room| {
            let ann = room.join("ann");
            for _ in 0..30 {
                room.storage_fails_once();
                room.publishes(ann, 1);
            }
            for _ in 0..40 {
                room.publishes(ann, 1);
            }
            assert!(room.is_open(ann));
        },
    );
}

fn sends_errors(room: &mut TestRoom, client: Client, times: usize) {
    for _ in 0..times {
        room.sends(client, json!({ "type": "dance" }));
    }
}

#[track_caller]
fn receives_too_large(room: &mut TestRoom, client: Client) {
    room.receives(
        client,
        json!({ "type": "error", "code": "too_large", "retryable": false }),
    );
    room.receives_close(client, 1009, "message_too_big");
}

/// Returns a publish command of exactly `bytes` bytes.
fn publish_of_bytes(bytes: usize) -> String {
    let empty = r#"{"type":"publish","data":""}"#.len();
    let data = Value::from("x".repeat(bytes - empty));
    let command = format!(r#"{{"type":"publish","data":{data}}}"#);
    assert_eq!(command.len(), bytes);
    command
}

/// Returns the number of listed members, the count, and `truncated`.
fn listed(room: &mut TestRoom, client: Client) -> (usize, u64, bool) {
    room.skips_received();
    room.sends(client, json!({ "type": "members", "id": 1 }));
    let reply = room.receives(client, json!({ "type": "members" }));
    (
        reply["members"].as_array().unwrap().len(),
        reply["count"].as_u64().unwrap(),
        reply["truncated"].as_bool().unwrap(),
    )
}

#[test]
fn a_connection_that_does_not_answer_its_close_counts_for_its_user_and_takes_no_place() {
    scenario_with(
        |rules| (rules.connections_per_user_max, rules.connections_max) = (2, 3),
        |room| {
            let bob = room.join("bob");
            room.ignores_closes();
            let tabs = [(); 2].map(|()| room.join("ann"));
            for tab in tabs {
                room.sends_binary(tab);
                assert!(!room.is_open(tab));
            }
            let refused = room.try_admit(TestUser::named("ann"));
            assert_eq!(refused, Err("too_many_connections"));
            room.join("cho");
            room.join("dan");
            assert_eq!(room.try_admit(TestUser::named("eve")), Err("room_full"));
            room.drops(tabs[0]);
            assert_eq!(room.try_admit(TestUser::named("ann")), Err("room_full"));
            room.leaves(bob);
            assert!(room.try_admit(TestUser::named("ann")).is_ok());
        },
    );
}

#[test]
fn sockets_that_are_being_closed_count_toward_the_platforms_limit() {
    hibernating_scenario_with(
        |rules| (rules.connections_per_user_max, rules.sockets_max) = (10, 5),
        |room| {
            room.ignores_closes();
            let [bob, _] = ["bob", "cho"].map(|user| room.join(user));
            for _ in 2..5 {
                let tab = room.admit(TestUser::named("ann").without_presence());
                room.sends_binary(tab);
            }
            assert_eq!(room.try_admit(TestUser::named("dan")), Err("room_full"));
            room.leaves(bob);
            room.join("dan");
        },
    );
}

#[test]
fn a_long_reply_counts_as_several_commands() {
    let (per_second, burst) = (10, 20);
    hibernating_scenario_with(
        |rules| (rules.rate.per_second, rules.rate.burst) = (per_second, burst),
        |room| {
            let ann = room.join("ann");
            // The page counts as 16 commands, so with the command itself it takes 17 of the 20.
            let text = "x".repeat(16 * REPLY_BYTES_PER_COMMAND);
            room.stores_messages([json!(text)]);
            room.skips_received();
            let history = json!({ "type": "history", "id": 1 });
            room.sends(ann, history.clone());
            room.receives(ann, json!({ "type": "history" }));
            room.sends(ann, history.clone());
            room.receives(ann, json!({ "type": "history" }));
            // 34 were taken from a bucket of 20, so 15 must return before the next command.
            room.sends(ann, history.clone());
            room.receives(
                ann,
                json!({ "code": "rate_limited", "retry_after_ms": 1500 }),
            );
            room.pass_ms(1500);
            room.sends(ann, history);
            room.receives(ann, json!({ "type": "history" }));
        },
    );
}

#[test]
fn the_replies_to_one_frame_are_limited_in_length() {
    hibernating_scenario_with(
        |_| {},
        |room| {
            let ann = room.join("ann");
            room.stores_messages((0..40).map(|_| Value::from("x".repeat(60_000))));
            room.skips_received();
            room.sends_lines(ann, &vec![json!({ "type": "history" }); 99]);
            let sent: usize = room.frame_lengths(ann).iter().sum();
            assert!(sent < 2 * PAGE_BYTES_MAX + 100_000, "{sent}");
        },
    );
}
