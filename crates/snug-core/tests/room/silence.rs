//! Sockets that fall silent, and the sweep that finds them.

use serde_json::json;
use snug_core::config::RoomRules;

use crate::driver::{Client, TestRoom, default_rules, scenario};

#[test]
fn a_silent_socket_is_closed_and_its_member_leaves() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        pings_for_ms(room, bob, longest_ms());
        room.hears_close(ann, 4003, "ping_timeout");
        // It has been away for long enough: no grace on top.
        room.hears(bob, json!({ "leaves": ["ann"], "count": 1 }));
        pings_for_ms(room, bob, longest_ms());
        room.hears_nothing(bob);
        assert!(room.is_open(bob));
    });
}

#[test]
fn no_socket_is_closed_before_it_was_silent_for_the_idle_timeout() {
    scenario(|room| {
        let ann = room.join("ann");
        room.pass_ms(idle_ms() - 1);
        assert!(room.is_open(ann));
    });
}

#[test]
fn pings_that_the_runtime_answers_keep_a_socket() {
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
fn frames_keep_a_socket() {
    scenario(|room| {
        let ann = room.join("ann");
        for _ in 0..20 {
            room.says(ann, 1);
            room.pass_ms(idle_ms() - 1);
        }
        assert!(room.is_open(ann));
        room.pass_ms(longest_ms());
        assert!(!room.is_open(ann));
    });
}

#[test]
fn frequent_frames_keep_a_socket_as_well_as_rare_ones() {
    scenario(|room| {
        let ann = room.join("ann");
        let quarter_ms = idle_ms() / 4;
        for _ in 0..4 {
            room.says(ann, 1);
            room.pass_ms(quarter_ms - 1);
        }
        room.says(ann, 1);
        room.pass_ms(idle_ms());
        assert!(room.is_open(ann));
    });
}

#[test]
fn a_swept_members_close_is_not_announced_again() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        pings_for_ms(room, bob, longest_ms());
        assert_eq!(room.heard(bob).len(), 1);
        room.disconnects(ann, false);
        room.disconnects(ann, true);
        room.pass_ms(10_000);
        room.hears_nothing(bob);
    });
}

#[test]
fn a_silent_tab_does_not_take_its_user_along() {
    scenario(|room| {
        let (silent, tab, bob) = (room.join("ann"), room.join("ann"), room.join("bob"));
        room.skips_to_now();
        for _ in 0..10 {
            room.pings_runtime(tab);
            pings_for_ms(room, bob, 30_000);
        }
        assert!(!room.is_open(silent));
        assert!(room.is_open(tab));
        room.hears_nothing(bob);
    });
}

#[test]
fn a_silent_socket_is_found_in_a_room_that_others_keep_waking() {
    for every_ms in [2_000, 15_000] {
        scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            for _ in 0..longest_ms() / every_ms + 1 {
                room.says(bob, 1);
                room.pass_ms(every_ms);
            }
            assert!(!room.is_open(ann));
            assert!(room.is_open(bob));
        });
    }
}

#[test]
fn waking_early_closes_nobody() {
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
fn a_socket_that_was_silent_is_heard_until_it_is_swept() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.pass_ms(idle_ms());
        room.says(ann, "still here");
        room.hears_message(ann, "still here");
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

/// The longest that a socket may be silent without being closed: the timeout, a quarter of it in
/// which the last frame is not noted, and a tenth between two sweeps.
fn longest_ms() -> u64 {
    idle_ms() + idle_ms() / 4 + idle_ms() / 10
}

/// Lets time pass in which the runtime answers this client's pings.
fn pings_for_ms(room: &mut TestRoom, client: Client, ms: u64) {
    let end_ms = room.now_ms() + ms;
    while room.now_ms() < end_ms {
        room.pings_runtime(client);
        room.pass_ms((end_ms - room.now_ms()).min(30_000));
    }
}
