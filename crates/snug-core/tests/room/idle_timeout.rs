//! The idle timeout.

use serde_json::json;
use snug_core::{
    backend::api::ApiOperation,
    config::RoomRules,
    limits::{DELIVERY_WINDOW_MS, SWEEP_MS_MAX},
    room::io::DeliveryOutcome::Accepted,
};

use crate::{
    driver::{Client, TestRoom, TestUser, default_rules, scenario, scenario_with},
    webhooks::with_events,
};

#[test]
fn an_idle_socket_is_closed_and_its_member_leaves() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        pings_for_ms(room, bob, longest_ms());
        room.receives_close(ann, 4003, "ping_timeout");
        // The idle timeout is not followed by a grace period.
        room.receives(bob, json!({ "leaves": ["ann"], "count": 1 }));
        pings_for_ms(room, bob, longest_ms());
        room.receives_nothing(bob);
        assert!(room.is_open(bob));
    });
}

#[test]
fn no_socket_is_closed_before_the_idle_timeout() {
    scenario(|room| {
        let ann = room.join("ann");
        room.pass_ms(idle_ms() - 1);
        assert!(room.is_open(ann));
    });
}

#[test]
fn pings_answered_by_the_runtime_keep_a_socket_open() {
    scenario(|room| {
        let ann = room.join("ann");
        for _ in 0..20 {
            room.pings_runtime(ann);
            room.pass_ms(idle_ms() - 1);
        }
        assert!(room.is_open(ann));
        room.pass_ms(longest_quiet_ms());
        assert!(!room.is_open(ann));
    });
}

#[test]
fn frames_keep_a_socket_open() {
    scenario(|room| {
        let ann = room.join("ann");
        for _ in 0..20 {
            room.publishes(ann, 1);
            room.pass_ms(idle_ms() - 1);
        }
        assert!(room.is_open(ann));
        room.pass_ms(longest_ms());
        assert!(!room.is_open(ann));
    });
}

#[test]
fn frequent_frames_keep_a_socket_open_as_well_as_rare_ones() {
    scenario(|room| {
        let ann = room.join("ann");
        let quarter_ms = idle_ms() / 4;
        for _ in 0..4 {
            room.publishes(ann, 1);
            room.pass_ms(quarter_ms - 1);
        }
        room.publishes(ann, 1);
        room.pass_ms(idle_ms());
        assert!(room.is_open(ann));
    });
}

#[test]
fn the_end_of_a_timed_out_socket_sends_no_second_leave() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        pings_for_ms(room, bob, longest_ms());
        assert_eq!(room.received(bob).len(), 1);
        room.disconnects(ann, false);
        room.disconnects(ann, true);
        room.pass_ms(10_000);
        room.receives_nothing(bob);
    });
}

#[test]
fn an_idle_tab_does_not_affect_the_users_other_tab() {
    scenario(|room| {
        let (silent, tab, bob) = (room.join("ann"), room.join("ann"), room.join("bob"));
        room.skips_received();
        for _ in 0..10 {
            room.pings_runtime(tab);
            pings_for_ms(room, bob, 30_000);
        }
        assert!(!room.is_open(silent));
        assert!(room.is_open(tab));
        room.receives_nothing(bob);
    });
}

#[test]
fn an_idle_socket_is_closed_in_an_active_room() {
    for every_ms in [2_000, 15_000] {
        scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            for _ in 0..longest_ms() / every_ms + 1 {
                room.publishes(bob, 1);
                room.pass_ms(every_ms);
            }
            assert!(!room.is_open(ann));
            assert!(room.is_open(bob));
        });
    }
}

#[test]
fn an_early_alarm_closes_nobody() {
    scenario(|room| {
        let ann = room.join("ann");
        for _ in 0..5 {
            room.pass_ms(10_000);
            room.on_timeout();
        }
        assert!(room.is_open(ann));
    });
}

#[test]
fn an_idle_socket_is_served_until_it_is_closed() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        room.pass_ms(idle_ms());
        room.publishes(ann, "still here");
        room.receives_message(ann, "still here");
        room.pass_ms(idle_ms());
        assert!(room.is_open(ann));
    });
}

#[test]
fn a_quiet_room_wakes_at_most_100_times_a_day() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        for _ in 0..24 {
            ping_for_ms(room, &[ann, bob], HOUR_MS);
            // The client renews a token of an hour by itself, which is no use of the room.
            room.refreshes(ann, TestUser::named("ann"));
            room.sends(ann, json!({ "type": "ping", "id": 1 }));
        }
        assert!(room.is_open(ann) && room.is_open(bob));
        assert!((24..=100).contains(&room.alarms()), "{}", room.alarms());
    });
}

#[test]
fn an_idle_socket_in_a_quiet_room_is_closed_at_the_next_rare_check() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        ping_for_ms(room, &[ann, bob], 3 * HOUR_MS);
        let alarms = room.alarms();
        pings_for_ms(room, bob, longest_quiet_ms());
        assert!(!room.is_open(ann));
        assert!(room.alarms() <= alarms + 2);
    });
}

/// A use of the room, by a client or by the back end.
type Use = dyn Fn(&mut TestRoom, Client);

#[test]
fn any_use_of_a_quiet_room_brings_the_frequent_checks_back() {
    let uses: [&Use; 7] = [
        &|room, bob| room.publishes(bob, 1),
        &|room, bob| room.sends(bob, json!({ "type": "signal", "data": 1 })),
        &|room, bob| room.sends(bob, json!({ "type": "state", "data": {} })),
        &|room, bob| room.sends(bob, json!({ "type": "members" })),
        &|room, bob| room.sends(bob, json!({ "type": "history" })),
        &|room, _| {
            room.join("cho");
        },
        &|room, _| {
            let body = r#"{"messages":[{"data":1}]}"#;
            room.calls_api(&back_end(), ApiOperation::Publish, body);
        },
    ];
    for use_it in uses {
        scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            ping_for_ms(room, &[ann, bob], 3 * HOUR_MS);
            pings_for_ms(room, bob, 60_000);
            use_it(room, bob);
            pings_for_ms(room, bob, longest_ms() - 60_000);
            assert!(!room.is_open(ann));
            assert!(room.is_open(bob));
        });
    }
}

#[test]
fn a_room_that_is_used_after_a_long_silence_finds_idle_sockets_within_a_step() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        ping_for_ms(room, &[ann, bob], 3 * HOUR_MS);
        pings_for_ms(room, bob, idle_ms() + idle_ms() / 4);
        assert!(room.is_open(ann));
        room.sends(bob, json!({ "type": "signal", "data": 1 }));
        pings_for_ms(room, bob, idle_ms() / 10);
        assert!(!room.is_open(ann));
    });
}

#[test]
fn a_join_or_an_api_request_meets_no_idle_connection() {
    scenario_with(
        |rules| rules.connections_max = 2,
        |room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            ping_for_ms(room, &[ann, bob], 3 * HOUR_MS);
            pings_for_ms(room, bob, idle_ms() + 1);
            assert!(room.is_open(ann));
            let (_, members) = room.calls_api(&back_end(), ApiOperation::Members, "");
            assert_eq!(members["count"], 1);
            assert!(!room.is_open(ann));
            let ann = room.join("ann");
            ping_for_ms(room, &[ann, bob], 3 * HOUR_MS);
            pings_for_ms(room, ann, idle_ms() + 1);
            assert!(room.is_open(bob));
            let cho = room.join("cho");
            room.receives(cho, json!({ "type": "welcome", "count": 2 }));
        },
    );
}

#[test]
fn alarms_for_anything_else_do_not_look_at_sockets() {
    scenario_with(with_events("message.published"), |room| {
        let ann = room.join("ann");
        for data in 0..5 {
            room.publishes(ann, data);
            room.pass_ms(DELIVERY_WINDOW_MS);
            room.back_end_responds(Accepted);
        }
        assert_eq!((room.alarms(), room.sweeps), (5, 0));
        room.pings_runtime(ann);
        room.pass_ms(longest_ms());
        assert!(room.sweeps > 0);
    });
}

const HOUR_MS: u64 = 3_600_000;

fn back_end() -> TestUser {
    TestUser::named("backend").with_capabilities(&["serve", "presence"])
}

fn idle_ms() -> u64 {
    let RoomRules {
        idle_timeout_ms, ..
    } = default_rules();
    idle_timeout_ms
}

/// Returns the longest idle time of an open socket: the timeout, a quarter of it because the time of
/// the last frame is stored at most that often, and a tenth of it between two checks.
fn longest_ms() -> u64 {
    idle_ms() + idle_ms() / 4 + idle_ms() / 10
}

/// Returns the longest idle time of an open socket in a room that is not used.
fn longest_quiet_ms() -> u64 {
    idle_ms() + idle_ms() / 4 + SWEEP_MS_MAX
}

/// Lets time pass while the clients send pings that the runtime answers.
fn ping_for_ms(room: &mut TestRoom, clients: &[Client], ms: u64) {
    let end_ms = room.now_ms() + ms;
    while room.now_ms() < end_ms {
        for client in clients {
            room.pings_runtime(*client);
        }
        room.pass_ms((end_ms - room.now_ms()).min(30_000));
    }
}

/// Lets time pass while the client sends pings that the runtime answers.
fn pings_for_ms(room: &mut TestRoom, client: Client, ms: u64) {
    let end_ms = room.now_ms() + ms;
    while room.now_ms() < end_ms {
        room.pings_runtime(client);
        room.pass_ms((end_ms - room.now_ms()).min(30_000));
    }
}
