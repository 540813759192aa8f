//! Tokens that end while their connection is open.

use serde_json::json;

use crate::driver::{Client, TestRoom, Visitor, default_rules, scenario, scenario_with};

#[test]
fn a_connection_ends_when_its_token_and_the_leeway_have() {
    scenario(|room| {
        let (ann, bob) = (until(room, "ann", 60_000), room.join("bob"));
        room.skips_to_now();
        room.pass_ms(60_000 + leeway_ms() - 1);
        assert!(room.is_open(ann));
        room.pass_ms(1);
        room.hears_close(ann, 4001, "token_expired");
        // She may be back with a new one.
        room.hears_nothing(bob);
        room.pass_ms(default_rules().presence_grace_ms);
        room.hears(
            bob,
            json!({ "type": "presence", "leaves": ["ann"], "count": 1 }),
        );
    });
}

#[test]
fn one_who_brings_a_new_token_in_time_was_never_gone() {
    scenario(|room| {
        let (ann, bob) = (until(room, "ann", 1_000), room.join("bob"));
        room.skips_to_now();
        room.pass_ms(1_000 + leeway_ms());
        room.hears_close(ann, 4001, "token_expired");
        room.join("ann");
        room.pass_ms(60_000);
        room.hears_nothing(bob);
    });
}

#[test]
fn there_is_no_leeway_where_the_operator_allows_none() {
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
fn what_an_ended_token_sends_is_not_done_however_late_the_alarm_is() {
    scenario(|room| {
        let (ann, bob) = (until(room, "ann", 1_000), room.join("bob"));
        room.skips_to_now();
        room.alarm_is_late_by_ms(1_000 + leeway_ms());
        room.says(ann, "too late");
        room.hears_close(ann, 4001, "token_expired");
        room.hears_nothing(bob);
    });
}

#[test]
fn tokens_end_by_the_clock_also_if_it_was_set_back() {
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
fn one_who_leaves_before_being_told_has_left() {
    scenario(|room| {
        let (ann, bob) = (until(room, "ann", 1_000), room.join("bob"));
        room.skips_to_now();
        room.alarm_is_late_by_ms(1_000 + leeway_ms());
        room.leaves(ann);
        room.hears_nothing(ann);
        room.hears(bob, json!({ "type": "presence", "leaves": ["ann"] }));
    });
}

#[test]
fn each_ends_in_its_own_time() {
    scenario(|room| {
        let visitors = [3_000, 1_000, 2_000, 2_000].map(|ms| Visitor::named("ann").until_ms(ms));
        let tabs = visitors.map(|visitor| room.admit(visitor));
        let open = |room: &TestRoom| tabs.map(|tab| room.is_open(tab));
        room.pass_ms(leeway_ms() + 1_000);
        assert_eq!(open(room), [true, false, true, true]);
        room.pass_ms(1_000);
        assert_eq!(open(room), [true, false, false, false]);
        room.leaves(tabs[0]);
        room.pass_ms(1_000);
        assert!(!room.waits_for_time());
    });
}

fn until(room: &mut TestRoom, user: &str, ms: u64) -> Client {
    room.admit(Visitor::named(user).until_ms(ms))
}

fn leeway_ms() -> u64 {
    default_rules().leeway_ms
}
