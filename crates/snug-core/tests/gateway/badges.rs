//! Badges: subscriptions that receive only how many messages are new, and the newest one.

use serde_json::{Value, json};
use snug_core::{ConnectionId, RoomName, limits::BADGE_LAST_BYTES_MAX};

use super::world::{World, claims};

fn world() -> World {
    World::new(|rules| rules.window_ms_max = 0)
}

fn joined(world: &mut World, gateway: &str, user: &str) -> ConnectionId {
    let client = world.connects(gateway, user);
    world.sends(client, json!({ "type": "join", "room": "a" }));
    world.settles();
    world.received(client);
    client
}

/// Connects a user with a badge of room `a`, and discards its welcome and its first badge.
fn with_badge(world: &mut World, gateway: &str, user: &str) -> ConnectionId {
    let client = world.connects(gateway, user);
    world.sends(
        client,
        json!({ "type": "join", "room": "a", "mode": "badge" }),
    );
    world.settles();
    world.received(client);
    client
}

fn publishes(world: &mut World, client: ConnectionId, data: impl Into<Value>) {
    world.sends(
        client,
        json!({ "type": "publish", "room": "a", "data": data.into() }),
    );
}

/// Lets calls arrive, but no time pass.
fn delivers(world: &mut World) {
    while world.next_packet() {}
}

#[test]
fn a_badge_follows_its_welcome_and_each_message_at_most_once_a_second() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann");
    publishes(&mut world, ann, "first");
    let bob = world.connects("g1", "bob");
    let join = json!({ "type": "join", "id": 1, "room": "a", "mode": "badge", "last": 50 });
    world.sends(bob, join);
    world.settles();
    let received = world.received(bob);
    let [_, welcome, badge] = &received[..] else {
        panic!("{received:?}")
    };
    assert_eq!((&welcome["id"], &welcome["unread"]), (&json!(1), &json!(1)));
    assert!(welcome.get("members").is_none() && welcome["recovered"] == json!(null));
    let last = badge["last"].as_object().unwrap();
    let fields: Vec<_> = last.keys().map(String::as_str).collect();
    assert_eq!(fields, ["connection", "data", "offset", "time", "user"]);
    assert_eq!(last["data"], "first");
    let mut expected =
        json!({ "type": "badge", "room": "a", "offset": 1, "unread": 1, "mentions": 0 });
    expected["last"] = badge["last"].clone();
    assert_eq!(*badge, expected);
    // A second later, the next one is sent at once, and those after it together.
    world.pass_ms(1_000);
    publishes(&mut world, ann, "second");
    delivers(&mut world);
    assert_eq!(world.received(bob)[0]["unread"], 2);
    for data in ["third", "fourth"] {
        publishes(&mut world, ann, data);
        delivers(&mut world);
    }
    assert_eq!(world.received(bob), [] as [Value; 0]);
    world.pass_ms(1_000);
    let badge = json!({ "type": "badge", "offset": 4, "unread": 4 });
    world.receives(bob, &[badge]);
}

#[test]
fn a_badge_makes_its_user_no_member() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann");
    let bob = with_badge(&mut world, "g2", "bob");
    assert_eq!(world.members("a"), ["ann"]);
    // It receives no signals either, also not those to its user.
    for to in [json!(null), json!(["bob"])] {
        world.sends(
            ann,
            json!({ "type": "signal", "room": "a", "data": 1, "to": to }),
        );
    }
    world.sends(
        bob,
        json!({ "type": "state", "id": 1, "room": "a", "data": {} }),
    );
    let refusal = json!({ "type": "error", "id": 1, "room": "a", "code": "bad_command" });
    world.receives(bob, &[refusal]);
    world.receives(ann, &[]);
    world.sends(bob, json!({ "type": "leave", "id": 2, "room": "a" }));
    world.receives(bob, &[json!({ "type": "ack", "id": 2, "room": "a" })]);
    world.receives(ann, &[]);
    assert_eq!(world.members("a"), ["ann"]);
}

#[test]
fn a_badge_becomes_a_full_subscription_by_joining_again_and_the_other_way_round() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann");
    let bob = with_badge(&mut world, "g2", "bob");
    publishes(&mut world, ann, "hi");
    world.settles();
    world.received(ann);
    world.received(bob);
    let join = json!({ "type": "join", "id": 2, "room": "a", "last": 9 });
    world.sends(bob, join);
    world.settles();
    let received = world.received(bob);
    let kinds: Vec<_> = received.iter().map(|one| &one["type"]).collect();
    assert_eq!(kinds, ["welcome", "message"]);
    assert_eq!(received[0]["members"].as_array().unwrap().len(), 2);
    world.receives(ann, &[json!({ "type": "presence", "count": 2 })]);
    world.sends(
        bob,
        json!({ "type": "join", "id": 3, "room": "a", "mode": "badge" }),
    );
    world.settles();
    let received = world.received(bob);
    let kinds: Vec<_> = received.iter().map(|one| &one["type"]).collect();
    assert_eq!(kinds, ["welcome", "badge"]);
    world.receives(
        ann,
        &[json!({ "type": "presence", "count": 1, "leaves": ["bob"] })],
    );
    // A badge that joins as one again stays one.
    world.sends(
        bob,
        json!({ "type": "join", "id": 4, "room": "a", "mode": "badge" }),
    );
    publishes(&mut world, ann, "again");
    world.pass_ms(1_000);
    let received = world.received(bob);
    let kinds: Vec<_> = received.iter().map(|one| &one["type"]).collect();
    assert_eq!(kinds, ["welcome", "badge", "badge"]);
    world.sends(bob, json!({ "type": "leave", "id": 5, "room": "a" }));
    world.receives(bob, &[json!({ "type": "ack", "id": 5 })]);
    world.received(ann);
    publishes(&mut world, ann, "alone");
    world.pass_ms(1_000);
    world.receives(bob, &[]);
}

#[test]
fn a_badge_counts_as_a_welcome_does() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann");
    let bob = with_badge(&mut world, "g2", "bob");
    let phone = joined(&mut world, "g3", "bob");
    let counts = |world: &mut World| {
        world.pass_ms(1_000);
        let received = world.received(bob);
        let badge = received.last().expect("a badge").clone();
        assert!(received.iter().all(|one| one["type"] == "badge"));
        (badge["unread"].clone(), badge["mentions"].clone(), badge)
    };
    world.sends(
        ann,
        json!({ "type": "publish", "room": "a", "data": 1, "mentions": ["bob"] }),
    );
    let (unread, mentions, _) = counts(&mut world);
    assert_eq!((unread, mentions), (json!(1), json!(1)));
    publishes(&mut world, phone, "mine");
    let (unread, _, badge) = counts(&mut world);
    assert_eq!((unread, &badge["last"]["data"]), (json!(1), &json!("mine")));
    // Read on another device.
    world.sends(phone, json!({ "type": "read", "room": "a", "offset": 2 }));
    let (unread, mentions, _) = counts(&mut world);
    assert_eq!((unread, mentions), (json!(0), json!(0)));
    // The newest message is what it is now.
    publishes(&mut world, ann, "secret");
    world.sends(
        ann,
        json!({ "type": "edit", "room": "a", "of": 3, "data": "edited" }),
    );
    let (unread, _, badge) = counts(&mut world);
    assert_eq!(unread, 1);
    assert_eq!(
        (&badge["offset"], &badge["last"]["data"]),
        (&json!(4), &json!("edited"))
    );
    world.sends(ann, json!({ "type": "delete", "room": "a", "of": 3 }));
    let (unread, _, badge) = counts(&mut world);
    assert_eq!(unread, 0);
    assert_eq!(badge["last"]["deleted"], true);
    assert!(!badge.to_string().contains("edited"));
}

#[test]
fn the_newest_message_is_without_its_data_if_it_is_long() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann");
    let bob = with_badge(&mut world, "g2", "bob");
    let mut last = |data: String| {
        publishes(&mut world, ann, data);
        world.pass_ms(1_000);
        world.received(bob).pop().expect("a badge")["last"].clone()
    };
    let rest = last(String::new()).to_string().len();
    let longest = last("x".repeat(BADGE_LAST_BYTES_MAX - rest));
    assert_eq!(longest.to_string().len(), BADGE_LAST_BYTES_MAX);
    let longer = last("x".repeat(BADGE_LAST_BYTES_MAX - rest + 1));
    assert_eq!(longer["data"], json!(null));
    assert_eq!(
        (&longer["user"], &longer["offset"]),
        (&json!("ann"), &json!(3))
    );
}

#[test]
fn a_badge_needs_the_capabilities_to_read() {
    for (can, is_enough) in [
        (json!(["receive", "history"]), true),
        (json!(["receive"]), false),
        (json!(["history"]), false),
    ] {
        let mut world = world();
        let bob = world.connects_with("g1", claims("bob", json!({ "a": can })));
        world.received(bob);
        world.sends(
            bob,
            json!({ "type": "join", "id": 1, "room": "a", "mode": "badge" }),
        );
        world.settles();
        let received = world.received(bob);
        if is_enough {
            assert_eq!(received[1]["type"], "badge");
        } else {
            assert_eq!(received.len(), 1);
            assert_eq!(received[0]["code"], "forbidden");
        }
    }
}

#[test]
fn a_new_token_that_does_not_let_read_ends_the_badges() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann");
    let bob = with_badge(&mut world, "g2", "bob");
    world.sends(bob, json!({ "type": "refresh", "id": 1, "token": "t" }));
    world.token_is_checked(Ok(claims("bob", json!({ "a": ["receive"] }))));
    world.settles();
    world.received(bob);
    publishes(&mut world, ann, "secret");
    world.pass_ms(2_000);
    world.receives(bob, &[]);
}

#[test]
fn an_unknown_mode_is_refused() {
    let mut world = world();
    let bob = world.connects("g1", "bob");
    world.received(bob);
    for mode in [json!("badges"), json!(""), json!(1)] {
        world.sends(
            bob,
            json!({ "type": "join", "id": 1, "room": "a", "mode": mode }),
        );
        let refusal = json!({ "type": "error", "id": 1, "room": "a", "code": "bad_command" });
        world.receives(bob, &[refusal]);
    }
    for mode in [json!("full"), json!(null)] {
        world.sends(
            bob,
            json!({ "type": "join", "id": 1, "room": "a", "mode": mode }),
        );
        world.receives(bob, &[json!({ "type": "welcome", "id": 1, "count": 1 })]);
    }
}

#[test]
fn a_kick_and_a_full_room_concern_badges_too() {
    let mut world = World::new(|rules| {
        rules.window_ms_max = 0;
        rules.connections_per_user_max = 2;
    });
    let grants = json!({ "*": ["receive", "moderate"] });
    let ann = world.connects_with("g1", claims("ann", grants));
    world.sends(ann, json!({ "type": "join", "room": "a" }));
    let bob = with_badge(&mut world, "g2", "bob");
    let other = with_badge(&mut world, "g2", "bob");
    let third = world.connects("g3", "bob");
    world.received(third);
    world.sends(third, json!({ "type": "join", "id": 1, "room": "a" }));
    let refusal = json!({ "type": "error", "id": 1, "code": "too_many_connections" });
    world.receives(third, &[refusal]);
    world.received(ann);
    world.sends(
        ann,
        json!({ "type": "kick", "id": 2, "room": "a", "user": "bob" }),
    );
    world.receives(ann, &[json!({ "type": "ack", "id": 2, "closed": 2 })]);
    for badge in [bob, other] {
        world.receives(badge, &[json!({ "type": "left", "room": "a" })]);
    }
}

#[test]
fn a_badge_outlives_the_sleep_of_its_room_and_its_gateway() {
    let mut world = world();
    let ann = joined(&mut world, "g1", "ann");
    publishes(&mut world, ann, "before");
    let bob = with_badge(&mut world, "g2", "bob");
    world.pass_ms(60_000);
    let room = RoomName::parse("a").unwrap();
    world.loses_room(&room);
    world.loses_gateway(&snug_core::ids::GatewayName::new("g2"), false);
    world.settles();
    assert_eq!(world.members("a"), ["ann"]);
    publishes(&mut world, ann, "after");
    world.pass_ms(1_000);
    world.receives(
        bob,
        &[json!({ "type": "badge", "offset": 2, "unread": 2, "mentions": 0 })],
    );
}
