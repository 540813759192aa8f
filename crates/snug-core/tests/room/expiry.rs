//! Tokens that expire while their connection is open.

use serde_json::json;

use crate::driver::{Client, TestRoom, TestUser, default_rules, scenario, scenario_with};

#[test]
fn a_connection_closes_when_its_token_and_the_leeway_have_expired() {
    scenario(|room| {
        let (ann, bob) = (until(room, "ann", 60_000), room.join("bob"));
        room.skips_received();
        room.pass_ms(60_000 + leeway_ms() - 1);
        assert!(room.is_open(ann));
        room.pass_ms(1);
        room.receives_close(ann, 4001, "token_expired");
        // The grace period starts, because she may reconnect with a new token.
        room.receives_nothing(bob);
        room.pass_ms(default_rules().presence_grace_ms);
        room.receives(
            bob,
            json!({ "type": "presence", "leaves": ["ann"], "count": 1 }),
        );
    });
}

#[test]
fn a_user_who_reconnects_with_a_new_token_in_time_never_left() {
    scenario(|room| {
        let (ann, bob) = (until(room, "ann", 1_000), room.join("bob"));
        room.skips_received();
        room.pass_ms(1_000 + leeway_ms());
        room.receives_close(ann, 4001, "token_expired");
        room.join("ann");
        room.pass_ms(60_000);
        room.receives_nothing(bob);
    });
}

#[test]
fn without_leeway_a_connection_closes_exactly_at_expiry() {
    scenario_with(
        |rules| rules.leeway_ms = 0,
        |room| {
            let ann = until(room, "ann", 500);
            room.pass_ms(499);
            assert!(room.is_open(ann));
            room.pass_ms(1);
            assert!(!room.is_open(ann));
        },
    );
}

#[test]
fn commands_after_expiry_are_rejected_even_if_the_alarm_is_late() {
    scenario(|room| {
        let (ann, bob) = (until(room, "ann", 1_000), room.join("bob"));
        room.skips_received();
        room.alarm_is_late_by_ms(1_000 + leeway_ms());
        room.publishes(ann, "too late");
        room.receives_close(ann, 4001, "token_expired");
        room.receives_nothing(bob);
    });
}

#[test]
fn tokens_expire_by_the_clock_even_after_it_was_set_back() {
    scenario(|room| {
        let ann = until(room, "ann", 60_000);
        room.pass_ms(3_600_000);
        assert!(!room.is_open(ann));
        room.clock_jumps_back_ms(3_600_000);
        let ann = until(room, "ann", 60_000);
        room.sends(ann, json!({ "type": "ping", "id": 1 }));
        assert!(room.is_open(ann));
        room.pass_ms(60_000 + leeway_ms() - 1);
        assert!(room.is_open(ann));
    });
}

#[test]
fn a_clean_close_before_a_late_expiry_is_a_leave() {
    scenario(|room| {
        let (ann, bob) = (until(room, "ann", 1_000), room.join("bob"));
        room.skips_received();
        room.alarm_is_late_by_ms(1_000 + leeway_ms());
        room.leaves(ann);
        room.receives_nothing(ann);
        room.receives(bob, json!({ "type": "presence", "leaves": ["ann"] }));
    });
}

#[test]
fn each_connection_closes_at_its_own_expiry() {
    scenario(|room| {
        let test_users =
            [3_000, 1_000, 2_000, 2_000].map(|ms| TestUser::named("ann").expiring_after_ms(ms));
        let tabs = test_users.map(|test_user| room.admit(test_user));
        let open = |room: &TestRoom| tabs.map(|tab| room.is_open(tab));
        room.pass_ms(leeway_ms() + 1_000);
        assert_eq!(open(room), [true, false, true, true]);
        room.pass_ms(1_000);
        assert_eq!(open(room), [true, false, false, false]);
        room.leaves(tabs[0]);
        room.pass_ms(1_000);
        assert!(!room.has_alarm());
    });
}

fn until(room: &mut TestRoom, user: &str, ms: u64) -> Client {
    room.admit(TestUser::named(user).expiring_after_ms(ms))
}

fn leeway_ms() -> u64 {
    default_rules().leeway_ms
}
