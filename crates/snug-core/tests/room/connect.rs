//! Who connects, what `welcome` says, and what a connection may do.

use serde_json::json;

use crate::driver::{EPOCH, ROOM, START_MS, Visitor, scenario, scenario_with};

#[test]
fn welcome_comes_first_and_tells_all_there_is_to_know() {
    scenario(|room| {
        let ann = Visitor::named("ann").with_info(json!({ "name": "Ann" }));
        let ann = room.admit(ann.until_ms(3_600_000));
        let welcome = room.hears(ann, json!({ "type": "welcome" }));
        assert_eq!(
            welcome,
            json!({
                "type": "welcome",
                "protocol": "snug.v1",
                "room": ROOM,
                "connection": ann.id(),
                "user": "ann",
                "can": ["receive", "publish", "signal", "presence", "history"],
                "epoch": EPOCH,
                "offset": 0,
                "recovered": null,
                "count": 1,
                "members": [{
                    "user": "ann",
                    "info": { "name": "Ann" },
                    "since": START_MS,
                    "connections": 1,
                    "state": {}
                }],
                "expires": START_MS + 3_600_000,
                "ping_ms": 30_000,
                "limits": { "message_bytes": 65_536, "messages_per_second": 50 }
            })
        );
        room.hears_nothing(ann);
    });
}

#[test]
fn welcome_lists_those_who_are_here_already() {
    scenario(|room| {
        room.join("ann");
        room.join("ann");
        room.pass_ms(1000);
        let bob = room.join("bob");
        room.hears(
            bob,
            json!({ "type": "welcome", "count": 2, "members": [
                { "user": "ann", "connections": 2, "since": START_MS, "info": {} },
                { "user": "bob", "connections": 1, "since": START_MS + 1000 }
            ] }),
        );
    });
}

#[test]
fn welcome_tells_the_newest_offset() {
    scenario(|room| {
        let ann = room.join("ann");
        room.says(ann, 1);
        room.says(ann, 2);
        let bob = room.join("bob");
        room.hears(bob, json!({ "type": "welcome", "offset": 2 }));
        room.hears_nothing(bob);
    });
}

#[test]
fn welcome_lists_nobody_to_those_who_may_not_see_members() {
    scenario(|room| {
        let ann = room.admit(Visitor::named("ann").who_can(&["receive", "publish"]));
        let welcome = room.hears(ann, json!({ "can": ["receive", "publish"], "count": 1 }));
        assert_eq!(welcome.get("members"), None);
        assert_eq!(welcome.get("truncated"), None);
    });
}

#[test]
fn token_limits_tighten_and_never_loosen() {
    scenario(|room| {
        let tight = Visitor::named("ann")
            .with_messages_per_second(3)
            .with_message_bytes(200);
        let ann = room.admit(tight);
        room.hears(
            ann,
            json!({ "limits": { "message_bytes": 200, "messages_per_second": 3 } }),
        );
        let loose = Visitor::named("bob")
            .with_messages_per_second(1_000_000)
            .with_message_bytes(1 << 30);
        let bob = room.admit(loose);
        room.hears(
            bob,
            json!({ "limits": { "message_bytes": 65_536, "messages_per_second": 50 } }),
        );
    });
}

#[test]
fn each_command_needs_its_capability() {
    let commands = [
        ("publish", json!({ "type": "publish", "id": 1, "data": 1 })),
        ("signal", json!({ "type": "signal", "id": 1, "data": 1 })),
        ("presence", json!({ "type": "state", "id": 1, "data": {} })),
        ("presence", json!({ "type": "members", "id": 1 })),
        ("history", json!({ "type": "history", "id": 1 })),
    ];
    let all = [
        "receive", "publish", "signal", "presence", "history", "moderate", "serve",
    ];
    scenario(|room| {
        for (needed, command) in &commands {
            let with = room.admit(Visitor::named("with").who_can(&[needed]));
            let others: Vec<_> = all.into_iter().filter(|one| one != needed).collect();
            let without = room.admit(Visitor::named("without").who_can(&others));
            room.skips_to_now();
            room.sends(with, command.clone());
            let reply = room.hears(with, json!({ "id": 1 }));
            assert_ne!(reply["type"], "error", "{needed}");
            room.skips_to_now();
            room.sends(without, command.clone());
            room.hears(
                without,
                json!({ "type": "error", "id": 1, "code": "forbidden", "retryable": false }),
            );
            room.hears_nothing(without);
            room.hears_nothing(with);
        }
    });
}

#[test]
fn a_ping_needs_no_capability() {
    scenario(|room| {
        let ann = room.admit(Visitor::named("ann").who_can(&["serve"]));
        room.skips_to_now();
        room.sends(ann, json!({ "type": "ping", "id": "p" }));
        room.hears(ann, json!({ "type": "pong", "id": "p" }));
        room.sends(ann, json!({ "type": "ping" }));
        assert_eq!(&*room.last_frame(ann), r#"{"type":"pong"}"#);
    });
}

#[test]
fn without_receive_neither_messages_nor_signals_come() {
    scenario(|room| {
        let ann = room.join("ann");
        let deaf = Visitor::named("bob").who_can(&["publish", "signal", "history"]);
        let bob = room.admit(deaf);
        room.skips_to_now();
        room.says(ann, "to all");
        room.sends(ann, json!({ "type": "signal", "data": 1 }));
        room.sends(ann, json!({ "type": "signal", "data": 2, "to": ["bob"] }));
        room.hears_nothing(bob);
        room.sends(
            bob,
            json!({ "type": "publish", "id": 1, "data": "from bob" }),
        );
        room.hears(bob, json!({ "type": "ack", "id": 1, "offset": 2 }));
        room.hears_nothing(bob);
        room.hears_message(ann, "to all");
        room.hears_message(ann, "from bob");
    });
}

#[test]
fn an_empty_room_waits_for_nothing() {
    scenario_with(
        |rules| rules.presence_grace_ms = 0,
        |room| {
            assert!(!room.waits_for_time());
            let ann = room.join("ann");
            assert!(room.waits_for_time());
            room.drops(ann);
            assert!(!room.waits_for_time());
        },
    );
}
