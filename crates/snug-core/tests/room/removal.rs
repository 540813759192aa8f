//! Removal of rooms that hold nothing any more.

use serde_json::json;
use snug_core::{
    UserId,
    backend::api::ApiOperation,
    config::RoomRules,
    limits::{
        DEAD_EVENTS_MS, DELIVERY_WINDOW_MS, EMPTY_ROOM_MS, EVENT_MS_MAX, OFFSETS_MS, RETRY_MS_MAX,
    },
    room::io::DeliveryOutcome::Accepted,
};

use crate::{
    driver::{EPOCH, START_MS, TestRoom, TestUser, scenario, scenario_with},
    webhooks::{REFUSED, with_events},
};

#[test]
fn a_room_without_messages_is_removed_an_hour_after_the_last_member_has_left() {
    scenario(|room| {
        let ann = room.join("ann");
        room.pass_ms(1_000);
        room.leaves(ann);
        is_removed_after_ms(room, EMPTY_ROOM_MS);
        let ann = room.join("ann");
        let welcome = room.receives(ann, json!({ "type": "welcome", "offset": 0 }));
        assert_ne!(welcome["epoch"], EPOCH);
    });
}

#[test]
fn a_room_that_is_used_again_is_not_removed() {
    scenario(|room| {
        let ann = room.join("ann");
        room.leaves(ann);
        room.pass_ms(EMPTY_ROOM_MS - 1);
        let ann = room.join("ann");
        for _ in 0..2 {
            room.pings_runtime(ann);
            room.pass_ms(60_000);
        }
        room.leaves(ann);
        is_removed_after_ms(room, EMPTY_ROOM_MS);
    });
}

#[test]
fn a_member_within_the_grace_period_keeps_the_room() {
    scenario_with(
        |rules| rules.presence_grace_ms = 2 * EMPTY_ROOM_MS,
        |room| {
            let ann = room.join("ann");
            room.drops(ann);
            is_removed_after_ms(room, 3 * EMPTY_ROOM_MS);
        },
    );
}

#[test]
fn a_room_is_removed_when_its_last_message_is_too_old() {
    let week_ms = 7 * 24 * 60 * 60 * 1_000;
    let rules = |rules: &mut RoomRules| rules.retention.seconds_max = week_ms / 1_000;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        room.publishes(ann, "hello");
        room.leaves(ann);
        room.pass_ms(week_ms + week_ms / 10 + EMPTY_ROOM_MS - 1);
        assert_eq!(room.removals, 0);
        room.pass_ms(1_001);
        assert_eq!(room.removals, 1);
        assert_eq!(room.stored_count(), 0);
    });
}

#[test]
fn a_room_that_keeps_no_messages_keeps_offsets_and_keys_for_a_day() {
    let rules = |rules: &mut RoomRules| rules.retention.messages_max = 0;
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        let command = json!({ "type": "publish", "id": 1, "key": "k", "data": 1 });
        room.sends(ann, command.clone());
        room.leaves(ann);
        room.pass_ms(OFFSETS_MS - 1);
        assert_eq!(room.removals, 0);
        let ann = room.join("ann");
        room.skips_received();
        room.sends(ann, command);
        room.receives(
            ann,
            json!({ "type": "ack", "offset": 1, "duplicate": true }),
        );
        room.leaves(ann);
        is_removed_after_ms(room, EMPTY_ROOM_MS);
    });
}

#[test]
fn bans_keep_the_room_until_they_end() {
    scenario(|room| {
        let moderator = TestUser::named("app").with_capabilities(&["moderate"]);
        let ban = |query: &str| ApiOperation::kick(UserId::parse("ann").unwrap(), query).unwrap();
        room.calls_api(&moderator, ban("ban_seconds=7200"), "");
        is_removed_after_ms(room, 2 * EMPTY_ROOM_MS + EMPTY_ROOM_MS);
        let now = (START_MS + 3 * EMPTY_ROOM_MS) / 1_000;
        let query = format!("ban_seconds=7200&issued_before={now}");
        room.calls_api(&moderator, ban(&query), "");
        room.pass_ms(2 * EMPTY_ROOM_MS);
        assert_eq!(room.removals, 1);
        room.pass_ms(2 * EMPTY_ROOM_MS);
        assert_eq!(room.removals, 2);
    });
}

#[test]
fn an_erased_room_is_removed_as_soon_as_its_connections_have_ended() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "hello");
        room.join("bob");
        let server = TestUser::named("server").with_capabilities(&["serve"]);
        room.calls_api(&server, ApiOperation::Erase, "");
        room.pass_ms(1);
        assert_eq!(room.removals, 1);
        assert_eq!(room.stored_count(), 0);
    });
}

#[test]
fn an_erased_room_that_is_used_again_is_an_ordinary_one() {
    scenario(|room| {
        room.join("ann");
        let server = TestUser::named("server").with_capabilities(&["serve"]);
        room.calls_api(&server, ApiOperation::Erase, "");
        let bob = room.join("bob");
        room.pass_ms(1_000);
        room.leaves(bob);
        is_removed_after_ms(room, EMPTY_ROOM_MS);
    });
}

#[test]
fn waiting_and_dead_events_keep_the_room() {
    scenario_with(with_events("member.joined,member.left"), |room| {
        let ann = room.join("ann");
        room.leaves(ann);
        while room.now_ms() < START_MS + EVENT_MS_MAX {
            room.pass_ms(RETRY_MS_MAX);
            if !room.has_no_delivery() {
                room.back_end_responds(REFUSED);
            }
        }
        assert_eq!(room.removals, 0);
        while !room.stored_events().is_empty() {
            room.pass_ms(RETRY_MS_MAX);
            if !room.has_no_delivery() {
                room.back_end_responds(REFUSED);
            }
        }
        let server = TestUser::named("server").with_capabilities(&["serve"]);
        let dead = || ApiOperation::dead_events("").unwrap();
        room.pass_ms(DEAD_EVENTS_MS - RETRY_MS_MAX);
        let (_, page) = room.calls_api(&server, dead(), "");
        assert_eq!(page["events"].as_array().unwrap().len(), 2);
        room.pass_ms(RETRY_MS_MAX);
        let (_, page) = room.calls_api(&server, dead(), "");
        assert_eq!(page["events"], json!([]));
        assert_eq!(room.removals, 0);
        room.pass_ms(EMPTY_ROOM_MS);
        assert_eq!(room.removals, 1);
    });
}

#[test]
fn a_removed_room_numbers_later_events_higher() {
    scenario_with(with_events("member.joined"), |room| {
        let deliver = |room: &mut TestRoom| {
            let ann = room.join("ann");
            room.pass_ms(DELIVERY_WINDOW_MS);
            let seq = room.last_delivery()[0]["seq"].as_u64().unwrap();
            room.back_end_responds(Accepted);
            room.leaves(ann);
            seq
        };
        assert_eq!(deliver(room), 1);
        for times in 1..3 {
            room.pass_ms(EMPTY_ROOM_MS);
            assert_eq!(room.removals, times);
            let now = room.now_ms();
            assert_eq!(deliver(room), now + 1);
        }
    });
}

/// Asserts that the room is removed after this time, and not a millisecond before.
#[track_caller]
fn is_removed_after_ms(room: &mut TestRoom, ms: u64) {
    let before = room.removals;
    room.pass_ms(ms - 1);
    assert_eq!(room.removals, before);
    room.pass_ms(1);
    assert_eq!(room.removals, before + 1);
}
