//! Joins, the contents of `welcome`, and capabilities.

use serde_json::json;

use crate::driver::{EPOCH, ROOM, START_MS, TestUser, scenario, scenario_with};

#[test]
fn welcome_comes_first_and_has_all_fields() {
    scenario(|room| {
        let ann = TestUser::named("ann").with_info(json!({ "name": "Ann" }));
        let ann = room.admit(ann.expiring_after_ms(3_600_000));
        let welcome = room.receives(ann, json!({ "type": "welcome" }));
        assert_eq!(
            welcome,
            json!({
                "type": "welcome",
                "protocol": "snug.v1",
                "room": ROOM,
                "connection": ann.id(),
                "user": "ann",
                "can": ["receive", "publish", "signal", "presence", "history", "edit", "delete", "react"],
                "epoch": EPOCH,
                "offset": 0,
                "recovered": null,
                "read": 0,
                "unread": 0,
                "mentions": 0,
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
        room.receives_nothing(ann);
    });
}

#[test]
fn welcome_lists_the_present_members() {
    scenario(|room| {
        room.join("ann");
        room.pass_ms(500);
        room.join("ann");
        room.pass_ms(500);
        let bob = room.join("bob");
        room.receives(
            bob,
            json!({ "type": "welcome", "count": 2, "members": [
                { "user": "ann", "connections": 2, "since": START_MS, "info": {} },
                { "user": "bob", "connections": 1, "since": START_MS + 1000 }
            ] }),
        );
    });
}

#[test]
fn welcome_has_the_newest_offset() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, 1);
        room.publishes(ann, 2);
        let bob = room.join("bob");
        room.receives(bob, json!({ "type": "welcome", "offset": 2 }));
        room.receives_nothing(bob);
    });
}

#[test]
fn welcome_has_no_members_without_the_presence_capability() {
    scenario(|room| {
        let ann = room.admit(TestUser::named("ann").with_capabilities(&["receive", "publish"]));
        let welcome = room.receives(ann, json!({ "can": ["receive", "publish"], "count": 1 }));
        assert_eq!(welcome.get("members"), None);
        assert_eq!(welcome.get("truncated"), None);
    });
}

#[test]
fn token_limits_can_only_tighten() {
    scenario(|room| {
        let tight = TestUser::named("ann")
            .with_messages_per_second(3)
            .with_message_bytes(200);
        let ann = room.admit(tight);
        room.receives(
            ann,
            json!({ "limits": { "message_bytes": 200, "messages_per_second": 3 } }),
        );
        let loose = TestUser::named("bob")
            .with_messages_per_second(1_000_000)
            .with_message_bytes(1 << 30);
        let bob = room.admit(loose);
        room.receives(
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
            let with = room.admit(TestUser::named("with").with_capabilities(&[needed]));
            let others: Vec<_> = all.into_iter().filter(|one| one != needed).collect();
            let without = room.admit(TestUser::named("without").with_capabilities(&others));
            room.skips_received();
            room.sends(with, command.clone());
            let reply = room.receives(with, json!({ "id": 1 }));
            assert_ne!(reply["type"], "error", "{needed}");
            room.skips_received();
            room.sends(without, command.clone());
            room.receives(
                without,
                json!({ "type": "error", "id": 1, "code": "forbidden", "retryable": false }),
            );
            room.receives_nothing(without);
            room.receives_nothing(with);
        }
    });
}

#[test]
fn a_ping_needs_no_capability() {
    scenario(|room| {
        let ann = room.admit(TestUser::named("ann").with_capabilities(&["serve"]));
        room.skips_received();
        room.sends(ann, json!({ "type": "ping", "id": "p" }));
        room.receives(ann, json!({ "type": "pong", "id": "p" }));
        room.sends(ann, json!({ "type": "ping" }));
        assert_eq!(&*room.last_frame(ann), r#"{"type":"pong"}"#);
    });
}

#[test]
fn without_receive_a_connection_gets_no_messages_or_signals() {
    scenario(|room| {
        let ann = room.join("ann");
        let test_user = TestUser::named("bob").with_capabilities(&["publish", "signal", "history"]);
        let bob = room.admit(test_user);
        room.skips_received();
        room.publishes(ann, "to all");
        room.sends(ann, json!({ "type": "signal", "data": 1 }));
        room.sends(ann, json!({ "type": "signal", "data": 2, "to": ["bob"] }));
        room.receives_nothing(bob);
        room.sends(
            bob,
            json!({ "type": "publish", "id": 1, "data": "from bob" }),
        );
        room.receives(bob, json!({ "type": "ack", "id": 1, "offset": 2 }));
        room.receives_nothing(bob);
        room.receives_message(ann, "to all");
        room.receives_message(ann, "from bob");
    });
}

#[test]
fn an_empty_room_sets_no_alarm() {
    scenario_with(
        |rules| rules.presence_grace_ms = 0,
        |room| {
            assert!(!room.has_alarm());
            let ann = room.join("ann");
            assert!(room.has_alarm());
            room.drops(ann);
            assert!(!room.has_alarm());
        },
    );
}
