//! Presence states: each connection has one, which the others receive.

use serde_json::{Value, json};

use crate::driver::{Client, TestRoom, TestUser, scenario, scenario_with};

#[test]
fn a_state_is_sent_to_the_others_and_acked_to_its_sender() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.sends(
            ann,
            json!({ "type": "state", "id": 1, "data": { "cursor": [1, 2] } }),
        );
        assert_eq!(room.received(ann), [json!({ "type": "ack", "id": 1 })]);
        assert_eq!(
            room.received(bob),
            [json!({
                "type": "presence",
                "joins": [],
                "leaves": [],
                "updates": [{
                    "user": "ann",
                    "connection": ann.id(),
                    "state": { "cursor": [1, 2] }
                }],
                "count": 2
            })]
        );
    });
}

#[test]
fn another_tab_of_the_same_user_receives_a_state() {
    scenario(|room| {
        let (ann, other_tab) = (room.join("ann"), room.join("ann"));
        room.skips_received();
        shows(room, ann, json!({ "a": 1 }));
        room.receives(
            other_tab,
            json!({ "updates": [{ "connection": ann.id() }] }),
        );
        room.receives_nothing(ann);
    });
}

#[test]
fn a_newcomer_receives_the_states_by_connection() {
    scenario(|room| {
        let (ann, other_tab) = (room.join("ann"), room.join("ann"));
        shows(room, ann, json!({ "n": 1 }));
        shows(room, ann, json!({ "n": 2 }));
        shows(room, other_tab, json!({ "n": 3 }));
        let bob = room.join("bob");
        let welcome = room.receives(bob, json!({ "type": "welcome" }));
        assert_eq!(
            welcome["members"][0]["state"],
            json!({ ann.id(): { "n": 2 }, other_tab.id(): { "n": 3 } })
        );
    });
}

#[test]
fn a_state_is_removed_with_its_connection_while_the_user_stays() {
    for clean in [true, false] {
        scenario(|room| {
            let (ann, _tab) = (room.join("ann"), room.join("ann"));
            let bob = room.join("bob");
            shows(room, ann, json!({ "n": 1 }));
            room.skips_received();
            room.disconnects(ann, clean);
            room.receives(
                bob,
                json!({ "type": "presence", "joins": [], "leaves": [], "count": 2, "updates": [
                    { "user": "ann", "connection": ann.id(), "state": null }
                ] }),
            );
            room.pass_ms(60_000);
            room.receives_nothing(bob);
        });
    }
}

#[test]
fn a_state_is_removed_during_the_grace_period() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        shows(room, ann, json!({ "n": 1 }));
        room.skips_received();
        room.drops(ann);
        let gone = json!([{ "user": "ann", "connection": ann.id(), "state": null }]);
        room.receives(bob, json!({ "updates": gone, "leaves": [], "count": 2 }));
        let ann = room.join("ann");
        let welcome = room.receives(ann, json!({ "type": "welcome" }));
        assert_eq!(welcome["members"][0]["state"], json!({}));
        room.receives_nothing(bob);
    });
}

#[test]
fn a_leave_has_no_state_update() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        shows(room, ann, json!({ "n": 1 }));
        room.skips_received();
        room.leaves(ann);
        room.receives(bob, json!({ "leaves": ["ann"], "updates": [] }));
    });
}

#[test]
fn two_idle_tabs_with_states_leave_without_updates() {
    scenario(|room| {
        let tabs = [room.join("ann"), room.join("ann")];
        for tab in tabs {
            shows(room, tab, json!({ "n": 1 }));
        }
        let bob = room.join("bob");
        room.skips_received();
        keep_alive(room, bob, 150_000);
        room.receives(
            bob,
            json!({ "joins": [], "leaves": ["ann"], "updates": [], "count": 1 }),
        );
        room.receives_nothing(bob);
    });
}

#[test]
fn several_states_in_one_frame_are_sent_as_the_last_one() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        let state = |n: u32| json!({ "type": "state", "id": n, "data": { "n": n } });
        room.sends_lines(ann, &[state(1), state(2), state(3)]);
        assert_eq!(room.received(ann).len(), 3);
        let update = json!({ "user": "ann", "connection": ann.id(), "state": { "n": 3 } });
        room.receives(bob, json!({ "type": "presence", "updates": [update] }));
        room.receives_nothing(bob);
    });
}

#[test]
fn a_state_and_a_leave_in_one_frame_are_sent_as_the_leave() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        let mut frame = vec![json!({ "type": "state", "data": { "n": 1 } })];
        frame.extend(vec![json!({ "type": "dance" }); 20]);
        room.sends_lines(ann, &frame);
        assert!(!room.is_open(ann));
        room.receives(bob, json!({ "leaves": ["ann"], "updates": [], "count": 1 }));
        room.receives_nothing(bob);
    });
}

#[test]
fn states_are_sent_only_to_connections_that_receive_presence() {
    scenario_with(
        |rules| rules.presence_grace_ms = 0,
        |room| {
            let ann = room.join("ann");
            let without_option = room.admit(TestUser::named("bob").without_presence());
            let without_capability =
                room.admit(TestUser::named("cho").with_capabilities(&["receive"]));
            room.skips_received();
            shows(room, ann, json!({ "n": 1 }));
            room.drops(ann);
            room.receives_nothing(without_option);
            room.receives_nothing(without_capability);
        },
    );
}

fn shows(room: &mut TestRoom, client: Client, state: Value) {
    room.sends(client, json!({ "type": "state", "data": state }));
}

/// Lets time pass while the client sends pings that the runtime answers.
fn keep_alive(room: &mut TestRoom, client: Client, ms: u64) {
    for _ in 0..ms / 30_000 {
        room.pings_runtime(client);
        room.pass_ms(30_000);
    }
}
