//! Hibernation: state that has to survive, and what happens if an attachment is lost. Every scenario
//! also checks that a restore changes nothing.

use serde_json::{Value, json};

use crate::driver::{Client, TestRoom, TestUser, scenario};

#[test]
fn restoring_sends_nothing() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.sends(ann, json!({ "type": "state", "data": { "n": 1 } }));
        room.drops(bob);
        room.skips_received();
        room.restore();
        room.restore();
        room.receives_nothing(ann);
    });
}

#[test]
fn members_states_and_info_survive() {
    scenario(|room| {
        let ann = room.admit(TestUser::named("ann").with_info(json!({ "name": "安" })));
        room.pass_ms(50);
        room.join("ann");
        let bob = room.admit(TestUser::named("bob").plain());
        room.sends(ann, json!({ "type": "state", "data": { "n": 1 } }));
        let before = members(room, bob);
        assert_eq!(before["members"][0]["connections"], 2);
        room.restore();
        assert_eq!(members(room, bob), before);
    });
}

#[test]
fn options_and_capabilities_survive() {
    scenario(|room| {
        let test_user = TestUser::named("ann")
            .without_echo()
            .without_presence()
            .with_capabilities(&["receive", "publish"]);
        let ann = room.admit(test_user);
        room.skips_received();
        room.restore();
        room.join("bob");
        room.sends(ann, json!({ "type": "publish", "id": 1, "data": 1 }));
        room.receives(ann, json!({ "type": "ack", "id": 1 }));
        room.receives_nothing(ann);
        room.sends(ann, json!({ "type": "history", "id": 2 }));
        room.receives(ann, json!({ "id": 2, "code": "forbidden" }));
    });
}

#[test]
fn the_framing_of_each_connection_survives() {
    scenario(|room| {
        let lines = room.join("ann");
        let plain = room.admit(TestUser::named("bob").plain());
        room.restore();
        room.skips_received();
        for client in [lines, plain] {
            room.sends_text(client, "{\"type\":\"ping\"}\n{\"type\":\"ping\"}");
        }
        room.receives(lines, json!({ "type": "pong" }));
        room.receives(lines, json!({ "type": "pong" }));
        room.receives(plain, json!({ "code": "bad_json" }));
    });
}

#[test]
fn offsets_and_times_continue() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        room.pass_ms(5_000);
        room.publishes(ann, 1);
        let first = room.receives(ann, json!({ "offset": 1 }));
        room.restore();
        room.clock_jumps_back_ms(4_000);
        room.restore();
        room.publishes(ann, 2);
        room.receives(ann, json!({ "offset": 2, "time": first["time"] }));
    });
}

#[test]
fn a_grace_period_continues() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.drops(bob);
        room.pass_ms(3_000);
        room.restore();
        room.pass_ms(1_999);
        room.receives_nothing(ann);
        room.pass_ms(1);
        room.receives(ann, json!({ "leaves": ["bob"], "count": 1 }));
    });
}

#[test]
fn a_grace_period_that_ended_while_asleep_ends_on_wake() {
    scenario(|room| {
        let ann = room.admit(TestUser::named("ann").with_info(json!({ "name": "Ann" })));
        room.drops(ann);
        room.restore();
        let bob = room.join("bob");
        room.receives(
            bob,
            json!({ "count": 2, "members": [{ "user": "ann", "info": { "name": "Ann" } }, {}] }),
        );
        room.pass_ms(60_000);
        room.receives(bob, json!({ "leaves": ["ann"], "count": 1 }));
        room.receives_nothing(bob);
    });
}

#[test]
fn a_reconnect_after_a_restore_sends_no_leave() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.drops(bob);
        room.restore();
        room.join("bob");
        room.restore();
        room.pass_ms(60_000);
        room.receives_nothing(ann);
    });
}

#[test]
fn the_error_count_survives() {
    scenario(|room| {
        let ann = room.join("ann");
        for _ in 0..19 {
            room.sends(ann, json!({ "type": "dance" }));
        }
        room.restore();
        assert!(room.is_open(ann));
        room.sends(ann, json!({ "type": "dance" }));
        assert!(!room.is_open(ann));
    });
}

#[test]
fn a_deployment_keeps_the_sockets_of_a_sleeping_room() {
    let before = |attachment: &mut Value| {
        attachment.as_object_mut().unwrap().remove("active");
    };
    let after = |attachment: &mut Value| {
        attachment["v"] = json!(2);
        attachment["later"] = json!({ "field": [] });
    };
    let versions: [&dyn Fn(&mut Value); 2] = [&before, &after];
    for of_another_version in versions {
        scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.skips_received();
            let text = room.attachment(ann);
            let mut attachment = serde_json::from_str(text).unwrap();
            of_another_version(&mut attachment);
            *text = attachment.to_string();
            room.restore();
            room.publishes(ann, "still here");
            room.receives_message(ann, "still here");
            room.receives_message(bob, "still here");
            assert_eq!(members(room, bob)["count"], 2);
        });
    }
}

#[test]
fn an_unreadable_attachment_closes_only_its_own_socket() {
    let spoils: [&dyn Fn(&str) -> String; 3] = [&|_| String::new(), &|_| "null".into(), &|text| {
        text.split_at(text.len() / 2).0.into()
    }];
    for spoil in spoils {
        scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.skips_received();
            let attachment = room.attachment(ann);
            *attachment = spoil(attachment);
            room.restore();
            room.receives_close(ann, 4004, "state_lost");
            room.publishes(bob, "here");
            room.receives_message(bob, "here");
            let count = members(room, bob)["count"].clone();
            assert_eq!(count, 1);
        });
    }
}

#[test]
fn a_long_mixed_script_is_the_same_asleep_and_awake() {
    scenario(|room| {
        let ann = room.join("ann");
        let bob = room.admit(TestUser::named("bob").plain().without_echo());
        for round in 0..6_u64 {
            room.publishes(ann, round);
            room.pass_ms(round * 3_000);
            let tab = room.join("cho");
            room.sends(tab, json!({ "type": "state", "data": { "round": round } }));
            room.sends(
                bob,
                json!({ "type": "signal", "data": round, "to": ["cho"] }),
            );
            room.sends(bob, json!({ "type": "dance" }));
            room.storage_fails_once();
            room.publishes(bob, "lost");
            room.disconnects(tab, round % 2 == 0);
            room.pings_runtime(ann);
            room.pings_runtime(bob);
            room.pass_ms(round * 2_500);
            room.sends(ann, json!({ "type": "members" }));
            room.sends(ann, json!({ "type": "history", "limit": 2 }));
        }
        room.pass_ms(200_000);
        assert!(!room.is_open(ann) && !room.is_open(bob));
        assert!(!room.has_alarm());
    });
}

#[track_caller]
fn members(room: &mut TestRoom, client: Client) -> Value {
    room.skips_received();
    room.sends(client, json!({ "type": "members" }));
    room.receives(client, json!({ "type": "members" }))
}
