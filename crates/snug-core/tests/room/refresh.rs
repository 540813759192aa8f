//! New tokens for an open connection.

use serde_json::{Value, json};
use snug_core::{
    Refusal,
    limits::{REFRESH_BYTES_MAX, TOKEN_BYTES_MAX},
};

use crate::driver::{
    Client, START_MS, TestRoom, TestUser, default_rules, hibernating_scenario_with, scenario,
};

#[test]
fn a_connection_lives_as_long_as_its_newest_token() {
    scenario(|room| {
        let ann = room.admit(ann().expiring_after_ms(60_000));
        room.skips_received();
        room.refreshes(ann, self::ann().expiring_after_ms(90_000));
        let ack = room.receives(ann, json!({ "type": "ack" }));
        let expires = START_MS + 90_000;
        assert_eq!(ack, json!({ "type": "ack", "id": "r", "expires": expires }));
        lives_until_ms(room, ann, 90_000);
    });
}

#[test]
fn a_new_token_may_expire_sooner() {
    scenario(|room| {
        let ann = room.admit(ann().expiring_after_ms(60_000));
        room.skips_received();
        room.refreshes(ann, self::ann().expiring_after_ms(30_000));
        room.receives(ann, json!({ "type": "ack" }));
        lives_until_ms(room, ann, 30_000);
    });
}

#[test]
fn new_capabilities_apply_at_once() {
    scenario(|room| {
        let (ann, bob) = (
            room.admit(ann().with_capabilities(&["receive"])),
            room.join("bob"),
        );
        let publish = json!({ "type": "publish", "id": 1, "data": 1 });
        room.skips_received();
        room.sends(ann, publish.clone());
        room.receives(ann, json!({ "code": "forbidden" }));
        room.refreshes(ann, self::ann().with_capabilities(&["receive", "publish"]));
        room.receives(ann, json!({ "type": "ack" }));
        room.sends(ann, publish.clone());
        room.receives(ann, json!({ "type": "ack", "id": 1 }));
        room.receives(ann, json!({ "type": "message" }));
        room.refreshes(ann, self::ann().with_capabilities(&["publish"]));
        room.receives(ann, json!({ "type": "ack", "id": "r" }));
        room.publishes(bob, "not for ann");
        room.receives_nothing(ann);
        room.sends(ann, publish);
        room.receives(ann, json!({ "type": "ack", "id": 1 }));
        room.receives_nothing(ann);
    });
}

#[test]
fn a_connection_that_loses_presence_loses_its_state() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.sends(ann, json!({ "type": "state", "data": { "typing": true } }));
        room.skips_received();
        room.refreshes(ann, self::ann().with_capabilities(&["receive"]));
        let update = json!({ "user": "ann", "connection": ann.id(), "state": null });
        room.receives(bob, json!({ "type": "presence", "updates": [update] }));
        room.sends(bob, json!({ "type": "members" }));
        let members = room.receives(bob, json!({ "type": "members" }));
        assert_eq!(members["members"][0]["state"], json!({}));
        room.receives(ann, json!({ "type": "ack" }));
        room.join("cho");
        room.receives_nothing(ann);
    });
}

#[test]
fn the_new_tokens_limits_and_info_apply() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        let next = self::ann()
            .with_message_bytes(100)
            .with_info(json!({ "name": "Ann" }));
        room.refreshes(ann, next);
        room.receives(ann, json!({ "type": "ack" }));
        room.sends(bob, json!({ "type": "members" }));
        let members = room.receives(bob, json!({ "type": "members" }));
        assert_eq!(members["members"][0]["info"], json!({ "name": "Ann" }));
        room.publishes(ann, "x".repeat(100));
        room.receives(ann, json!({ "type": "error", "code": "too_large" }));
        room.receives_close(ann, 1009, "message_too_big");
    });
}

#[test]
fn a_refresh_keeps_the_member_and_its_state_and_is_not_announced() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.sends(ann, json!({ "type": "state", "data": { "typing": true } }));
        room.pass_ms(1_000);
        room.skips_received();
        room.refreshes(ann, self::ann().with_info(json!({ "name": "Ann" })));
        room.receives(ann, json!({ "type": "ack" }));
        room.receives_nothing(bob);
        room.sends(bob, json!({ "type": "members" }));
        let members = room.receives(bob, json!({ "type": "members" }));
        let member = json!({
            "user": "ann",
            "info": { "name": "Ann" },
            "since": START_MS,
            "connections": 1,
            "state": { ann.id(): { "typing": true } }
        });
        assert_eq!(members["members"][0], member);
    });
}

#[test]
fn an_invalid_token_changes_nothing() {
    for (refusal, code, retryable) in [
        (Refusal::TokenInvalid("why"), "token_invalid", false),
        (Refusal::TokenNotYetValid, "token_invalid", false),
        (Refusal::TokenExpired, "token_expired", false),
        (Refusal::AuthUnavailable, "internal", true),
        (Refusal::Internal, "internal", true),
    ] {
        scenario(|room| {
            let ann = room.admit(ann().expiring_after_ms(60_000));
            room.skips_received();
            room.starts_refresh(ann);
            room.token_is_checked(Err(refusal.clone()));
            let error = json!({ "type": "error", "id": "r", "code": code, "retryable": retryable });
            room.receives(ann, error);
            lives_until_ms(room, ann, 60_000);
        });
    }
}

#[test]
fn a_token_of_another_user_is_rejected() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        room.refreshes(ann, TestUser::named("bob"));
        room.receives(
            ann,
            json!({ "type": "error", "id": "r", "code": "token_invalid" }),
        );
        room.sends(ann, json!({ "type": "members" }));
        let members = room.receives(ann, json!({ "type": "members", "count": 1 }));
        assert_eq!(members["members"][0]["user"], "ann");
    });
}

#[test]
fn a_token_without_a_grant_for_the_room_closes_the_connection() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        for test_user in [
            ann_of("team:8:*"),
            ann_of("team:7:general").with_capabilities(&[]),
        ] {
            let tab = room.join("ann");
            room.skips_received();
            room.refreshes(tab, test_user);
            room.receives(
                tab,
                json!({ "type": "error", "id": "r", "code": "forbidden" }),
            );
            room.receives_close(tab, 4102, "token_revoked");
        }
        room.receives_nothing(bob);
        assert!(room.is_open(ann));
        room.refreshes(ann, ann_of("team:8:*"));
        room.receives(bob, json!({ "type": "presence", "leaves": ["ann"] }));
    });
}

#[test]
fn one_token_is_checked_at_a_time_while_the_connection_continues() {
    let unchanged = |_: &mut snug_core::config::RoomRules| {};
    hibernating_scenario_with(unchanged, |room| {
        let ann = room.join("ann");
        room.skips_received();
        room.starts_refresh(ann);
        room.publishes(ann, "meanwhile");
        room.receives(ann, json!({ "type": "message", "data": "meanwhile" }));
        room.starts_refresh(ann);
        let error = room.receives(
            ann,
            json!({ "type": "error", "id": "r", "code": "rate_limited" }),
        );
        assert_eq!(error["retryable"], true);
        assert!(error["retry_after_ms"].as_u64().is_some());
        room.token_is_checked(Err(Refusal::TokenExpired));
        room.receives(ann, json!({ "code": "token_expired" }));
        room.refreshes(ann, self::ann());
        room.receives(ann, json!({ "type": "ack" }));
    });
}

#[test]
fn a_token_check_that_ends_after_the_close_is_ignored() {
    scenario(|room| {
        let (ann, bob) = (room.admit(ann().expiring_after_ms(1_000)), room.join("bob"));
        let gone = room.join("ann");
        room.starts_refresh(ann);
        room.starts_refresh(gone);
        room.leaves(gone);
        room.skips_received();
        room.pass_ms(1_000 + default_rules().leeway_ms);
        room.receives_close(ann, 4001, "token_expired");
        for _ in 0..2 {
            room.token_is_checked(Err(Refusal::TokenExpired));
        }
        room.receives_nothing(bob);
    });
}

#[test]
fn a_token_may_be_longer_than_the_message_limit() {
    scenario(|room| {
        let ann = room.admit(ann().with_message_bytes(100));
        room.skips_received();
        let token = |bytes| json!({ "type": "refresh", "id": "r", "token": "x".repeat(bytes) });
        room.sends(ann, token(TOKEN_BYTES_MAX));
        room.token_is_checked(Err(Refusal::TokenExpired));
        room.receives(ann, json!({ "id": "r", "code": "token_expired" }));
        room.publishes(ann, "fits");
        room.receives(ann, json!({ "type": "message" }));
        let envelope = token(0).to_string().len();
        room.sends(ann, token(REFRESH_BYTES_MAX + 1 - envelope));
        room.receives(ann, json!({ "code": "too_large" }));
        room.receives_close(ann, 1009, "message_too_big");
    });
}

#[test]
fn a_refresh_without_an_id_gets_an_error_without_an_id() {
    scenario(|room| {
        let ann = room.admit(ann().expiring_after_ms(60_000));
        room.skips_received();
        room.sends(ann, json!({ "type": "refresh", "token": "…" }));
        room.token_is_checked(Err(Refusal::TokenExpired));
        let error = room.receives(ann, json!({ "code": "token_expired" }));
        assert_eq!(error.get("id"), None::<&Value>);
    });
}

fn lives_until_ms(room: &mut TestRoom, client: Client, ms: u64) {
    let end = START_MS + ms + default_rules().leeway_ms;
    room.pings_runtime(client);
    room.pass_ms(end - 1 - room.now_ms());
    assert!(room.is_open(client), "ended before its token");
    room.pass_ms(1);
    room.receives_close(client, 4001, "token_expired");
}

fn ann() -> TestUser {
    TestUser::named("ann")
}

fn ann_of(rooms: &str) -> TestUser {
    ann().for_room(rooms)
}
