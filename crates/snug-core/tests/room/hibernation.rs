//! Being dropped and restored. That it changes nothing is checked by every scenario; here is what
//! could be lost, piece by piece, and what has to be said where something is.

use serde_json::{Value, json};

use crate::driver::{Client, TestRoom, Visitor, scenario};

#[test]
fn restoring_says_nothing() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.sends(ann, json!({ "type": "state", "data": { "n": 1 } }));
        room.drops(bob);
        room.skips_to_now();
        room.restore();
        room.restore();
        room.hears_nothing(ann);
    });
}

#[test]
fn members_states_and_profiles_are_kept() {
    scenario(|room| {
        let ann = room.admit(Visitor::named("ann").with_info(json!({ "name": "安" })));
        room.pass_ms(50);
        room.join("ann");
        let bob = room.admit(Visitor::named("bob").plain());
        room.sends(ann, json!({ "type": "state", "data": { "n": 1 } }));
        let before = members(room, bob);
        assert_eq!(before["members"][0]["connections"], 2);
        room.restore();
        assert_eq!(members(room, bob), before);
    });
}

#[test]
fn wishes_and_capabilities_are_kept() {
    scenario(|room| {
        let shy = Visitor::named("ann")
            .without_echo()
            .without_presence()
            .who_can(&["receive", "publish"]);
        let ann = room.admit(shy);
        room.skips_to_now();
        room.restore();
        room.join("bob");
        room.sends(ann, json!({ "type": "publish", "id": 1, "data": 1 }));
        room.hears(ann, json!({ "type": "ack", "id": 1 }));
        room.hears_nothing(ann);
        room.sends(ann, json!({ "type": "history", "id": 2 }));
        room.hears(ann, json!({ "id": 2, "code": "forbidden" }));
    });
}

#[test]
fn lines_are_lines_after_it_and_plain_is_plain() {
    scenario(|room| {
        let lines = room.join("ann");
        let plain = room.admit(Visitor::named("bob").plain());
        room.restore();
        room.skips_to_now();
        for client in [lines, plain] {
            room.sends_text(client, "{\"type\":\"ping\"}\n{\"type\":\"ping\"}");
        }
        room.hears(lines, json!({ "type": "pong" }));
        room.hears(lines, json!({ "type": "pong" }));
        room.hears(plain, json!({ "code": "bad_json" }));
    });
}

#[test]
fn offsets_and_times_go_on() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.pass_ms(5_000);
        room.says(ann, 1);
        let first = room.hears(ann, json!({ "offset": 1 }));
        room.restore();
        room.clock_jumps_back_ms(4_000);
        room.restore();
        room.says(ann, 2);
        room.hears(ann, json!({ "offset": 2, "time": first["time"] }));
    });
}

#[test]
fn a_grace_goes_on() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.drops(bob);
        room.pass_ms(3_000);
        room.restore();
        room.pass_ms(1_999);
        room.hears_nothing(ann);
        room.pass_ms(1);
        room.hears(ann, json!({ "leaves": ["bob"], "count": 1 }));
    });
}

#[test]
fn a_grace_that_passed_meanwhile_ends_when_the_room_wakes() {
    scenario(|room| {
        let ann = room.admit(Visitor::named("ann").with_info(json!({ "name": "Ann" })));
        room.drops(ann);
        room.restore();
        let bob = room.join("bob");
        room.hears(
            bob,
            json!({ "count": 2, "members": [{ "user": "ann", "info": { "name": "Ann" } }, {}] }),
        );
        room.pass_ms(60_000);
        room.hears(bob, json!({ "leaves": ["ann"], "count": 1 }));
        room.hears_nothing(bob);
    });
}

#[test]
fn a_return_after_it_is_still_a_return() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.drops(bob);
        room.restore();
        room.join("bob");
        room.restore();
        room.pass_ms(60_000);
        room.hears_nothing(ann);
    });
}

#[test]
fn errors_still_count() {
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
fn a_socket_whose_attachment_cannot_be_read_is_closed_and_the_room_lives() {
    let of_another_version = |text: &str| {
        let mut attachment: Value = serde_json::from_str(text).unwrap();
        attachment["v"] = json!(attachment["v"].as_u64().unwrap() + 1);
        attachment.to_string()
    };
    let spoils: [&dyn Fn(&str) -> String; 4] = [
        &of_another_version,
        &|_| String::new(),
        &|_| "null".into(),
        &|text| text.split_at(text.len() / 2).0.into(),
    ];
    for spoil in spoils {
        scenario(|room| {
            let (ann, bob) = (room.join("ann"), room.join("bob"));
            room.skips_to_now();
            let attachment = room.attachment(ann);
            *attachment = spoil(attachment);
            room.restore();
            room.hears_close(ann, 4004, "state_lost");
            room.says(bob, "here");
            room.hears_message(bob, "here");
            let count = members(room, bob)["count"].clone();
            assert_eq!(count, 1);
        });
    }
}

#[test]
fn a_day_in_the_life_is_the_same_asleep_and_awake() {
    scenario(|room| {
        let ann = room.join("ann");
        let bob = room.admit(Visitor::named("bob").plain().without_echo());
        for round in 0..6_u64 {
            room.says(ann, round);
            room.pass_ms(round * 3_000);
            let tab = room.join("cho");
            room.sends(tab, json!({ "type": "state", "data": { "round": round } }));
            room.sends(
                bob,
                json!({ "type": "signal", "data": round, "to": ["cho"] }),
            );
            room.sends(bob, json!({ "type": "dance" }));
            room.storage_fails_once();
            room.says(bob, "lost");
            room.disconnects(tab, round % 2 == 0);
            room.pings_runtime(ann);
            room.pings_runtime(bob);
            room.pass_ms(round * 2_500);
            room.sends(ann, json!({ "type": "members" }));
            room.sends(ann, json!({ "type": "history", "limit": 2 }));
        }
        room.pass_ms(200_000);
        assert!(!room.is_open(ann) && !room.is_open(bob));
        assert!(!room.waits_for_time());
    });
}

#[track_caller]
fn members(room: &mut TestRoom, client: Client) -> Value {
    room.skips_to_now();
    room.sends(client, json!({ "type": "members" }));
    room.hears(client, json!({ "type": "members" }))
}
