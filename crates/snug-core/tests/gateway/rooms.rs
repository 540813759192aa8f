//! Joining, using and leaving rooms over a gateway, while nothing fails.

use serde_json::json;
use snug_core::{
    ConnectionId, Refusal,
    limits::{JOIN_CHECKS_MAX, ROOMS_PER_SESSION_MAX},
};

use super::world::{World, claims};

fn world() -> World {
    World::new(|rules| rules.window_ms_max = 0)
}

/// Connects a user, joins the rooms, and discards everything received so far.
fn joined(world: &mut World, gateway: &str, user: &str, rooms: &[&str]) -> ConnectionId {
    let client = world.connects(gateway, user);
    for room in rooms {
        world.sends(client, json!({ "type": "join", "room": room }));
    }
    world.settles();
    skip(world);
    client
}

fn skip(world: &mut World) {
    for client in world.clients.values_mut() {
        client.unread.clear();
    }
}

#[test]
fn a_session_is_greeted_and_joins_rooms() {
    let mut world = world();
    let ann = world.connects("g1", "ann");
    world.sends(ann, json!({ "type": "join", "id": 1, "room": "a" }));
    world.sends(
        ann,
        json!({ "type": "join", "id": 2, "room": "b", "presence": false }),
    );
    world.settles();
    let received = world.received(ann);
    assert_eq!(received[0]["type"], "hello");
    assert_eq!(received[0]["user"], "ann");
    assert_eq!(received[0]["rooms_max"], ROOMS_PER_SESSION_MAX);
    assert_eq!(received[0]["limits"]["messages_per_second"], 50);
    for (welcome, (id, room)) in received[1..].iter().zip([(1, "a"), (2, "b")]) {
        assert_eq!(welcome["type"], "welcome");
        assert_eq!(
            (&welcome["id"], &welcome["room"]),
            (&json!(id), &json!(room))
        );
        assert_eq!(welcome["recovered"], json!(null));
        assert_eq!(welcome["count"], 1);
        for absent in ["protocol", "user", "expires", "ping_ms", "limits"] {
            assert!(welcome.get(absent).is_none(), "{absent}");
        }
    }
    assert_eq!(received.len(), 3);
}

#[test]
fn the_examples_of_commands_join_and_leave_a_room() {
    let vector = |name: &str| {
        let path = format!(
            "{}/../../tests/vectors/{name}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        std::fs::read_to_string(path).unwrap().replace('\n', " ")
    };
    let mut world = world();
    let bob = world.connects("g1", "bob");
    world.sends_text(bob, &vector("command_join"));
    world.settles();
    let welcome = world.received(bob).remove(1);
    assert_eq!(welcome["room"], "team:7:general");
    assert_eq!(welcome["recovered"], false);
    world.sends_text(bob, &vector("command_leave"));
    world.receives(
        bob,
        &[json!({ "type": "ack", "id": 3, "room": "team:7:general" })],
    );
    world.sends_text(bob, &vector("command_join_badge"));
    world.receives(
        bob,
        &[
            json!({ "type": "welcome", "id": 2 }),
            json!({ "type": "badge", "room": "team:7:random" }),
        ],
    );
}

#[test]
fn messages_reach_all_members_over_both_ways_with_their_room() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann", &["a", "b"]);
    let ben = joined(&mut world, "g1", "ben", &["a"]);
    let cho = joined(&mut world, "g2", "cho", &["a"]);
    skip(&mut world);
    world.sends(
        ann,
        json!({ "type": "publish", "id": 7, "room": "a", "data": "hi" }),
    );
    let message =
        json!({ "type": "message", "room": "a", "offset": 1, "user": "ann", "data": "hi" });
    let ack = json!({ "type": "ack", "id": 7, "room": "a", "offset": 1 });
    world.receives(ann, &[ack, message.clone()]);
    world.receives(ben, std::slice::from_ref(&message));
    world.receives(cho, &[message]);
    world.sends(ann, json!({ "type": "publish", "room": "b", "data": 1 }));
    world.receives(
        ann,
        &[json!({ "type": "message", "room": "b", "offset": 1 })],
    );
    world.receives(ben, &[]);
}

#[test]
fn only_the_authors_sessions_receive_the_key_of_a_message() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann", &["a"]);
    let ben = joined(&mut world, "g1", "ben", &["a"]);
    let second = joined(&mut world, "g2", "ann", &["a"]);
    let third = joined(&mut world, "g2", "ann", &["a"]);
    skip(&mut world);
    world.sends(
        ann,
        json!({ "type": "publish", "room": "a", "data": 1, "key": "k" }),
    );
    world.settles();
    for (session, key) in [(ann, json!("k")), (second, json!("k")), (third, json!("k"))]
        .into_iter()
        .chain([(ben, json!(null))])
    {
        let received = world.received(session);
        let messages: Vec<_> = received
            .iter()
            .filter(|one| one["type"] == "message")
            .collect();
        assert_eq!(messages.len(), 1, "{received:?}");
        assert_eq!(messages[0]["key"], key, "{received:?}");
    }
}

#[test]
fn signals_states_and_lists_work_as_on_a_rooms_socket() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann", &["a"]);
    let ben = joined(&mut world, "g2", "ben", &["a"]);
    skip(&mut world);
    world.sends(
        ann,
        json!({ "type": "signal", "id": 1, "room": "a", "data": 1, "to": ["ben"] }),
    );
    world.receives(ann, &[json!({ "type": "ack", "id": 1, "room": "a" })]);
    world.receives(
        ben,
        &[json!({ "type": "signal", "room": "a", "user": "ann" })],
    );
    world.sends(
        ben,
        json!({ "type": "state", "room": "a", "data": { "typing": true } }),
    );
    world.receives(
        ann,
        &[json!({ "type": "presence", "room": "a", "count": 2 })],
    );
    world.sends(ben, json!({ "type": "members", "id": "m", "room": "a" }));
    world.receives(
        ben,
        &[json!({ "type": "members", "id": "m", "room": "a", "count": 2 })],
    );
    world.sends(ben, json!({ "type": "history", "id": "h", "room": "a" }));
    let page = json!({ "type": "history", "id": "h", "room": "a", "messages": [], "more": false });
    world.receives(ben, &[page]);
    world.sends(ben, json!({ "type": "ping", "id": 3 }));
    world.receives(ben, &[json!({ "type": "pong", "id": 3 })]);
    world.sends(ben, json!({ "type": "ping", "room": "a" }));
    world.receives(ben, &[json!({ "type": "pong", "room": "a" })]);
}

#[test]
fn a_leave_ends_one_room_and_is_told_once() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann", &["a", "b"]);
    let ben = joined(&mut world, "g2", "ben", &["a"]);
    skip(&mut world);
    world.sends(ann, json!({ "type": "leave", "id": 5, "room": "a" }));
    world.receives(ann, &[json!({ "type": "ack", "id": 5, "room": "a" })]);
    world.receives(
        ben,
        &[json!({ "type": "presence", "room": "a", "leaves": ["ann"] })],
    );
    world.sends(
        ann,
        json!({ "type": "publish", "id": 6, "room": "a", "data": 1 }),
    );
    world.receives(
        ann,
        &[json!({ "type": "error", "id": 6, "room": "a", "code": "not_joined" })],
    );
    world.sends(
        ann,
        json!({ "type": "publish", "id": 7, "room": "b", "data": 1 }),
    );
    world.settles();
    assert_eq!(world.received(ann).len(), 2);
    world.sends(ann, json!({ "type": "leave", "room": "c", "id": 8 }));
    world.receives(
        ann,
        &[json!({ "type": "error", "id": 8, "room": "c", "code": "not_joined" })],
    );
}

#[test]
fn a_room_that_is_joined_again_sends_another_welcome_with_the_new_options() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann", &["a"]);
    let ben = joined(&mut world, "g1", "ben", &["a"]);
    skip(&mut world);
    world.sends(
        ann,
        json!({ "type": "join", "id": 2, "room": "a", "presence": false, "echo": false }),
    );
    world.receives(
        ann,
        &[json!({ "type": "welcome", "id": 2, "room": "a", "count": 2 })],
    );
    world.sends(ben, json!({ "type": "state", "room": "a", "data": {} }));
    world.sends(ann, json!({ "type": "publish", "room": "a", "data": 1 }));
    world.receives(ann, &[]);
    world.receives(ben, &[json!({ "type": "message", "room": "a" })]);
    world.sends(ann, json!({ "type": "leave", "id": 3, "room": "a" }));
    world.receives(ann, &[json!({ "type": "ack", "id": 3, "room": "a" })]);
    assert_eq!(world.members("a"), ["ben"]);
}

#[test]
fn commands_right_after_a_join_are_processed_after_it() {
    let mut world = world();
    let ann = world.connects("g1", "ann");
    world.sends(ann, json!({ "type": "join", "id": 1, "room": "a" }));
    world.sends(
        ann,
        json!({ "type": "publish", "id": 2, "room": "a", "data": 1 }),
    );
    world.sends(ann, json!({ "type": "leave", "id": 3, "room": "a" }));
    world.sends(
        ann,
        json!({ "type": "join", "id": 4, "room": "a", "last": 9 }),
    );
    world.settles();
    let kinds = world.received(ann);
    let kinds: Vec<_> = kinds.iter().map(|one| (&one["type"], &one["id"])).collect();
    let none = json!(null);
    let expected = [
        ("hello", none.clone()),
        ("welcome", json!(1)),
        ("ack", json!(2)),
        ("message", none.clone()),
        ("ack", json!(3)),
        ("welcome", json!(4)),
        ("message", none),
    ];
    let expected: Vec<_> = expected.map(|(kind, id)| (json!(kind), id)).into();
    let expected: Vec<_> = expected.iter().map(|(kind, id)| (kind, id)).collect();
    assert_eq!(kinds, expected);
}

#[test]
fn a_token_that_does_not_grant_the_room_is_refused_unless_the_join_has_one() {
    let mut world = world();
    let ann = world.connects_with("g1", claims("ann", json!(["a"])));
    skip(&mut world);
    world.sends(ann, json!({ "type": "join", "id": 1, "room": "b" }));
    let refusal = json!({ "type": "error", "id": 1, "room": "b", "code": "room_forbidden" });
    world.receives(ann, &[refusal]);
    world.sends(
        ann,
        json!({ "type": "join", "id": 2, "room": "b", "token": "t" }),
    );
    world.token_is_checked(Ok(claims("ann", json!(["b"]))));
    world.settles();
    let welcome = world.received(ann).remove(0);
    assert_eq!((&welcome["id"], &welcome["room"]), (&json!(2), &json!("b")));
    assert!(welcome["expires"].is_number() && welcome["limits"].is_object());
    world.sends(
        ann,
        json!({ "type": "join", "id": 3, "room": "c", "token": "t" }),
    );
    world.token_is_checked(Ok(claims("ben", json!(["c"]))));
    world.receives(
        ann,
        &[json!({ "type": "error", "id": 3, "room": "c", "code": "token_invalid" })],
    );
}

#[test]
fn a_refresh_renews_the_rooms_that_the_new_token_grants_and_ends_the_others() {
    let mut world = world();
    let ann = world.connects_with("g1", claims("ann", json!(["a", "b", "own"])));
    for (room, token) in [("a", None), ("b", None), ("own", Some("t"))] {
        world.sends(ann, json!({ "type": "join", "room": room, "token": token }));
    }
    world.token_is_checked(Ok(claims("ann", json!(["own"]))));
    world.settles();
    skip(&mut world);
    world.sends(ann, json!({ "type": "refresh", "id": 9, "token": "t" }));
    world.token_is_checked(Ok(claims("ann", json!({ "a": ["receive"] }))));
    let left = json!({ "type": "left", "room": "b", "code": 4102, "reason": "token_revoked", "reconnect": false });
    world.receives(ann, &[json!({ "type": "ack", "id": 9 }), left]);
    world.sends(
        ann,
        json!({ "type": "publish", "id": 1, "room": "a", "data": 1 }),
    );
    world.receives(
        ann,
        &[json!({ "type": "error", "id": 1, "room": "a", "code": "forbidden" })],
    );
    world.sends(
        ann,
        json!({ "type": "publish", "id": 2, "room": "own", "data": 1 }),
    );
    world.settles();
    assert_eq!(world.received(ann)[0]["type"], "ack");
}

#[test]
fn a_kick_ends_the_subscription_alone() {
    let mut world = world();
    let grants = json!({ "*": ["receive", "presence", "moderate"] });
    let ann = world.connects_with("g1", claims("ann", grants));
    world.sends(ann, json!({ "type": "join", "room": "a" }));
    let ben = joined(&mut world, "g2", "ben", &["a", "b"]);
    skip(&mut world);
    world.sends(
        ann,
        json!({ "type": "kick", "id": 1, "room": "a", "user": "ben", "ban_seconds": 60 }),
    );
    world.settles();
    let ack = world.received(ann).remove(0);
    assert_eq!((&ack["type"], &ack["closed"]), (&json!("ack"), &json!(1)));
    let left = json!({ "type": "left", "room": "a", "code": 4101, "reason": "banned", "reconnect": false });
    world.receives(ben, &[left]);
    world.sends(ben, json!({ "type": "join", "id": 2, "room": "a" }));
    world.receives(
        ben,
        &[json!({ "type": "error", "id": 2, "room": "a", "code": "banned" })],
    );
    world.sends(ben, json!({ "type": "ping", "room": "b" }));
    world.receives(ben, &[json!({ "type": "pong", "room": "b" })]);
}

#[test]
fn a_session_can_be_in_128_rooms_and_not_in_more() {
    let mut world = world();
    let ann = world.connects("g1", "ann");
    for number in 0..ROOMS_PER_SESSION_MAX {
        world.sends(ann, json!({ "type": "join", "room": format!("r{number}") }));
    }
    world.settles();
    assert_eq!(world.received(ann).len(), 1 + ROOMS_PER_SESSION_MAX);
    world.sends(ann, json!({ "type": "join", "id": 1, "room": "more" }));
    world.receives(
        ann,
        &[json!({ "type": "error", "id": 1, "room": "more", "code": "too_many_rooms" })],
    );
    world.sends(ann, json!({ "type": "join", "id": 2, "room": "r5" }));
    world.receives(ann, &[json!({ "type": "welcome", "id": 2, "room": "r5" })]);
}

#[test]
fn eight_tokens_of_joins_are_checked_at_once_and_not_more() {
    let mut world = world();
    let ann = world.connects("g1", "ann");
    for number in 0..JOIN_CHECKS_MAX {
        let room = format!("r{number}");
        world.sends(ann, json!({ "type": "join", "room": room, "token": "t" }));
    }
    skip(&mut world);
    world.sends(
        ann,
        json!({ "type": "join", "id": 1, "room": "more", "token": "t" }),
    );
    world.receives(
        ann,
        &[json!({ "type": "error", "id": 1, "code": "rate_limited" })],
    );
    world.token_is_checked(Ok(claims("ann", json!(["*"]))));
    world.settles();
    skip(&mut world);
    world.sends(
        ann,
        json!({ "type": "join", "id": 2, "room": "more", "token": "t" }),
    );
    world.receives(ann, &[]);
}

#[test]
fn joins_have_a_rate_of_their_own() {
    let mut world = world();
    let ann = world.connects("g1", "ann");
    for _ in 0..2 * ROOMS_PER_SESSION_MAX {
        world.sends(ann, json!({ "type": "join", "room": "a" }));
    }
    world.settles();
    skip(&mut world);
    world.sends(ann, json!({ "type": "join", "id": 1, "room": "a" }));
    world.receives(
        ann,
        &[json!({ "type": "error", "id": 1, "code": "rate_limited", "retryable": true })],
    );
}

#[test]
fn bad_input_has_a_named_error_and_closes_after_twenty() {
    let mut world = world();
    let ann = world.connects("g1", "ann");
    skip(&mut world);
    for (line, code) in [
        ("nonsense", "bad_json"),
        (r#"{"type":"publish","id":1,"data":1}"#, "bad_command"),
        (r#"{"type":"join","id":1,"room":"a b"}"#, "bad_room"),
        (r#"{"type":"join","id":1,"room":7}"#, "bad_room"),
        (r#"{"type":"join","id":1}"#, "bad_command"),
        (
            r#"{"type":"join","id":1,"room":"a","epoch":"e"}"#,
            "bad_command",
        ),
        (
            r#"{"type":"join","id":1,"room":"a","echo":1}"#,
            "bad_command",
        ),
        (
            r#"{"type":"publish","id":1,"room":"a","data":1}"#,
            "not_joined",
        ),
        (r#"{"type":"dance","id":1,"room":"a"}"#, "not_joined"),
        (r#"{"type":"refresh","id":1}"#, "bad_command"),
    ] {
        world.sends_text(ann, line);
        world.settles();
        let error = world.received(ann).remove(0);
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("error"), &json!(code)),
            "{line}"
        );
    }
    for _ in 0..12 {
        world.sends_text(ann, "{");
    }
    world.settles();
    let last = world.received(ann);
    assert_eq!(last.last().map(|one| &one["code"]), Some(&json!(4103)));
    assert_eq!(world.clients[&ann].closed, Some(4103));
}

#[test]
fn a_refused_command_counts_only_in_its_room() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann", &["a", "b"]);
    for _ in 0..20 {
        world.sends(ann, json!({ "type": "dance", "room": "a" }));
    }
    world.settles();
    let received = world.received(ann);
    let left = received.last().expect("a line");
    assert_eq!(
        (&left["type"], &left["code"]),
        (&json!("left"), &json!(4103))
    );
    world.sends(ann, json!({ "type": "ping", "room": "b" }));
    world.receives(ann, &[json!({ "type": "pong", "room": "b" })]);
}

#[test]
fn a_lost_connection_leaves_after_the_grace_period_and_a_closed_one_at_once() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann", &["a"]);
    let ben = joined(&mut world, "g1", "ben", &["a"]);
    let cho = joined(&mut world, "g2", "cho", &["a"]);
    skip(&mut world);
    world.disconnects(ann, false);
    world.receives(cho, &[]);
    world.disconnects(ben, true);
    world.receives(
        cho,
        &[json!({ "type": "presence", "room": "a", "leaves": ["ben"] })],
    );
    world.pass_ms(5_000);
    world.receives(
        cho,
        &[json!({ "type": "presence", "room": "a", "leaves": ["ann"] })],
    );
}

#[test]
fn sleeping_objects_wake_with_everything() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann", &["a", "b"]);
    let ben = joined(&mut world, "g2", "ben", &["a"]);
    skip(&mut world);
    for step in 0..4 {
        // Nothing is under way after that time.
        world.pass_ms(10_000);
        let (rooms, gateways): (Vec<_>, Vec<_>) = (
            world.rooms.keys().cloned().collect(),
            world.gateways.keys().cloned().collect(),
        );
        if step != 1 {
            rooms.iter().for_each(|room| world.loses_room(room));
        }
        if step != 2 {
            gateways
                .iter()
                .for_each(|gateway| world.loses_gateway(gateway, false));
        }
        world.sends(
            ann,
            json!({ "type": "publish", "id": step, "room": "a", "data": step }),
        );
        let message = json!({ "type": "message", "room": "a", "data": step });
        world.receives(
            ann,
            &[
                json!({ "type": "ack", "id": step, "room": "a" }),
                message.clone(),
            ],
        );
        world.receives(ben, &[message]);
    }
}

#[test]
fn a_quiet_gateway_with_no_links_has_no_alarm_but_for_its_sockets() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann", &["a"]);
    world.sends(ann, json!({ "type": "leave", "room": "a" }));
    world.pass_ms(10_000);
    let gateway = world.gateways.values().next().expect("a gateway");
    assert!(gateway.store().links.is_empty(), "{:?}", gateway.store());
    let room = world.rooms.values().next().expect("a room");
    assert!(room.store().links.is_empty() && room.store().members.is_empty());
}

#[test]
fn a_tokens_end_closes_the_session() {
    let mut world = world();
    let mut short = claims("ann", json!(["*"]));
    short.expires = world.now.plus_ms(60_000);
    let ann = world.connects_with("g1", short);
    world.sends(ann, json!({ "type": "join", "room": "a" }));
    world.pass_ms(59_000);
    assert!(world.clients[&ann].is_open);
    world.pass_ms(6_001);
    assert_eq!(world.clients[&ann].closed, Some(4001));
    assert_eq!(world.members("a"), ["ann"]);
    world.pass_ms(5_000);
    assert!(world.members("a").is_empty());
}

#[test]
fn a_member_whose_next_join_is_refused_stays_in_the_room() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann", &["a"]);
    let ben = joined(&mut world, "g2", "ben", &["a"]);
    let mut refused = 0;
    // Joins of one room have a rate, which is lower than that of all joins.
    while refused == 0 {
        world.sends(ann, json!({ "type": "join", "room": "a" }));
        world.settles();
        let received = world.received(ann);
        refused += received
            .iter()
            .filter(|one| one["code"] == "rate_limited")
            .count();
    }
    skip(&mut world);
    world.sends(ben, json!({ "type": "publish", "room": "a", "data": 1 }));
    world.receives(ann, &[json!({ "type": "message", "room": "a", "data": 1 })]);
    world.sends(ann, json!({ "type": "leave", "id": 1, "room": "a" }));
    world.receives(ann, &[json!({ "type": "ack", "id": 1 })]);
    assert_eq!(world.members("a"), ["ben"]);
}

#[test]
fn nothing_of_a_room_comes_between_leave_and_the_next_welcome() {
    let mut world = world();
    let [ann, ben] = ["ann", "ben"].map(|user| joined(&mut world, "g1", user, &["a"]));
    let cho = joined(&mut world, "g2", "cho", &["a"]);
    skip(&mut world);
    world.sends(ann, json!({ "type": "leave", "id": 1, "room": "a" }));
    world.sends(ann, json!({ "type": "join", "id": 2, "room": "a" }));
    world.sends(cho, json!({ "type": "publish", "room": "a", "data": 1 }));
    world.settles();
    let kinds = world.received(ann);
    let kinds: Vec<_> = kinds
        .iter()
        .map(|one| one["type"].as_str().unwrap())
        .collect();
    let left = kinds.iter().position(|kind| *kind == "ack").unwrap();
    assert_eq!(kinds[left + 1], "welcome", "{kinds:?}");
    assert!(
        world
            .received(ben)
            .iter()
            .any(|one| one["type"] == "message")
    );
}

#[test]
fn a_leave_waits_for_the_replies_to_what_was_sent_before() {
    let mut world = World::new(|rules| {
        rules.window_ms_max = 0;
        rules.publish_fallback = Some(snug_core::config::PublishFallback::Refuse);
    });
    let ann = joined(&mut world, "g1", "ann", &["a"]);
    world.sends(
        ann,
        json!({ "type": "publish", "id": 1, "room": "a", "data": 1 }),
    );
    world.sends(ann, json!({ "type": "members", "id": 2, "room": "a" }));
    world.sends(ann, json!({ "type": "leave", "id": 3, "room": "a" }));
    world.receives(ann, &[]);
    world.hook_allows();
    world.settles();
    let ids: Vec<_> = world
        .received(ann)
        .into_iter()
        .map(|one| one["id"].clone())
        .collect();
    assert_eq!(ids, [json!(1), json!(null), json!(2), json!(3)]);
}

#[test]
fn only_a_refresh_that_succeeds_gives_a_room_a_token_of_its_own() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann", &["a"]);
    let refresh = |id: u64| json!({ "type": "refresh", "id": id, "room": "a", "token": "t" });
    world.sends(ann, refresh(1));
    world.settles();
    world.room_checks_token(Err(Refusal::TokenExpired));
    world.receives(
        ann,
        &[json!({ "type": "error", "id": 1, "code": "token_expired" })],
    );
    let subscription = |world: &World| {
        let gateway = world.gateways.values().next().unwrap();
        let one = gateway.store().subscriptions.values().next().unwrap();
        one.has_own_token
    };
    assert!(!subscription(&world));
    world.sends(ann, refresh(2));
    world.settles();
    world.room_checks_token(Ok(claims("ann", json!(["a"]))));
    world.receives(ann, &[json!({ "type": "ack", "id": 2, "room": "a" })]);
    assert!(subscription(&world));
}

#[test]
fn a_welcome_without_presence_has_no_members() {
    let mut world = world();
    let ann = world.connects("g1", "ann");
    skip(&mut world);
    world.sends(
        ann,
        json!({ "type": "join", "room": "a", "presence": false }),
    );
    world.settles();
    let welcome = world.received(ann).remove(0);
    assert_eq!(
        (welcome.get("members"), &welcome["count"]),
        (None, &json!(1))
    );
}

#[test]
fn a_flood_of_joins_closes_the_connection() {
    let mut world = world();
    let ann = world.connects("g1", "ann");
    for _ in 0..2 * ROOMS_PER_SESSION_MAX {
        world.sends(ann, json!({ "type": "join", "room": "a" }));
    }
    for _ in 1..100 {
        world.sends(ann, json!({ "type": "join", "room": "a" }));
    }
    assert!(world.clients[&ann].is_open);
    world.sends(ann, json!({ "type": "join", "room": "a" }));
    assert_eq!(world.clients[&ann].closed, Some(4103));
}

#[test]
fn the_rates_of_a_user_outlive_the_connection() {
    let mut world = world();
    let ann = world.connects("g1", "ann");
    for _ in 0..2 * ROOMS_PER_SESSION_MAX {
        world.sends(ann, json!({ "type": "join", "room": "a" }));
    }
    world.disconnects(ann, true);
    let again = world.connects("g1", "ann");
    skip(&mut world);
    world.sends(again, json!({ "type": "join", "id": 1, "room": "a" }));
    world.settles();
    let first = world.received(again).remove(0);
    assert_eq!(
        (&first["type"], &first["code"]),
        (&json!("error"), &json!("rate_limited"))
    );
}

#[test]
fn rooms_beyond_the_maximum_are_refused_also_after_the_check_of_a_token() {
    let mut world = world();
    let ann = world.connects("g1", "ann");
    for number in 1..ROOMS_PER_SESSION_MAX {
        world.sends(ann, json!({ "type": "join", "room": format!("r{number}") }));
    }
    world.settles();
    skip(&mut world);
    for id in [1, 2] {
        let room = format!("own-{id}");
        world.sends(
            ann,
            json!({ "type": "join", "id": id, "room": room, "token": "t" }),
        );
    }
    for _ in 0..2 {
        world.token_is_checked(Ok(claims("ann", json!(["*"]))));
    }
    world.settles();
    let received = world.received(ann);
    let has = |id: u64, field: &str, value: &str| {
        received
            .iter()
            .any(|one| one["id"] == id && one[field] == value)
    };
    assert!(
        has(1, "type", "welcome") && has(2, "code", "too_many_rooms"),
        "{received:?}"
    );
}

#[test]
fn presence_in_a_large_room_waits_as_if_its_members_had_sockets() {
    let mut world = World::new(|rules| rules.window_ms_max = 10);
    for number in 0..100 {
        joined(&mut world, "g1", &format!("user {number}"), &["a"]);
    }
    // Each frame counts as 40 µs, and presence alone may take a tenth of the time.
    let wait_ms = 10 * 100 * 40 / 1000;
    let before = world.now;
    joined(&mut world, "g1", "ann", &["a"]);
    assert!(world.now >= before.plus_ms(wait_ms), "{:?}", world.now);
}
