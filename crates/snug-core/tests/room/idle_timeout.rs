//! The idle timeout.

use serde_json::json;
use snug_core::config::RoomRules;

use crate::driver::{Client, TestRoom, default_rules, scenario};

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
        room.pass_ms(longest_ms());
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

/// Lets time pass while the client sends pings that the runtime answers.
fn pings_for_ms(room: &mut TestRoom, client: Client, ms: u64) {
    let end_ms = room.now_ms() + ms;
    while room.now_ms() < end_ms {
        room.pings_runtime(client);
        room.pass_ms((end_ms - room.now_ms()).min(30_000));
    }
}
