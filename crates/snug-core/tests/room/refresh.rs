//! New tokens for a connection that is open.

use serde_json::{Value, json};
use snug_core::{
    Refusal,
    limits::{REFRESH_BYTES_MAX, TOKEN_BYTES_MAX},
};

use crate::driver::{
    Client, START_MS, TestRoom, Visitor, busy_scenario_with, default_rules, scenario,
};

#[test]
fn a_connection_lives_as_long_as_its_newest_token() {
    scenario(|room| {
        let ann = room.admit(ann().until_ms(60_000));
        room.skips_to_now();
        room.refreshes(ann, self::ann().until_ms(90_000));
        let ack = room.hears(ann, json!({ "type": "ack" }));
        let expires = START_MS + 90_000;
        assert_eq!(ack, json!({ "type": "ack", "id": "r", "expires": expires }));
        lives_until_ms(room, ann, 90_000);
    });
}

#[test]
fn a_token_that_ends_sooner_is_the_newest_too() {
    scenario(|room| {
        let ann = room.admit(ann().until_ms(60_000));
        room.skips_to_now();
        room.refreshes(ann, self::ann().until_ms(30_000));
        room.hears(ann, json!({ "type": "ack" }));
        lives_until_ms(room, ann, 30_000);
    });
}

#[test]
fn what_is_granted_changes_at_once() {
    scenario(|room| {
        let (ann, bob) = (room.admit(ann().who_can(&["receive"])), room.join("bob"));
        let publish = json!({ "type": "publish", "id": 1, "data": 1 });
        room.skips_to_now();
        room.sends(ann, publish.clone());
        room.hears(ann, json!({ "code": "forbidden" }));
        room.refreshes(ann, self::ann().who_can(&["receive", "publish"]));
        room.hears(ann, json!({ "type": "ack" }));
        room.sends(ann, publish.clone());
        room.hears(ann, json!({ "type": "ack", "id": 1 }));
        room.hears(ann, json!({ "type": "message" }));
        room.refreshes(ann, self::ann().who_can(&["publish"]));
        room.hears(ann, json!({ "type": "ack", "id": "r" }));
        room.says(bob, "not for ann");
        room.hears_nothing(ann);
        room.sends(ann, publish);
        room.hears(ann, json!({ "type": "ack", "id": 1 }));
        room.hears_nothing(ann);
    });
}

#[test]
fn one_who_may_not_be_seen_to_show_anything_shows_nothing_any_more() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.sends(ann, json!({ "type": "state", "data": { "typing": true } }));
        room.skips_to_now();
        room.refreshes(ann, self::ann().who_can(&["receive"]));
        let update = json!({ "user": "ann", "connection": ann.id(), "state": null });
        room.hears(bob, json!({ "type": "presence", "updates": [update] }));
        room.sends(bob, json!({ "type": "members" }));
        let members = room.hears(bob, json!({ "type": "members" }));
        assert_eq!(members["members"][0]["state"], json!({}));
        room.hears(ann, json!({ "type": "ack" }));
        room.join("cho");
        room.hears_nothing(ann);
    });
}

#[test]
fn the_tokens_bounds_and_profile_go_with_it() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        let next = self::ann()
            .with_message_bytes(100)
            .with_info(json!({ "name": "Ann" }));
        room.refreshes(ann, next);
        room.hears(ann, json!({ "type": "ack" }));
        room.sends(bob, json!({ "type": "members" }));
        let members = room.hears(bob, json!({ "type": "members" }));
        assert_eq!(members["members"][0]["info"], json!({ "name": "Ann" }));
        room.says(ann, "x".repeat(100));
        room.hears(ann, json!({ "type": "error", "code": "too_large" }));
        room.hears_close(ann, 1009, "message_too_big");
    });
}

#[test]
fn a_token_that_does_not_hold_changes_nothing() {
    for (refusal, code, retryable) in [
        (Refusal::TokenInvalid("why"), "token_invalid", false),
        (Refusal::TokenNotYetValid, "token_invalid", false),
        (Refusal::TokenExpired, "token_expired", false),
        (Refusal::AuthUnavailable, "internal", true),
        (Refusal::Internal, "internal", true),
    ] {
        scenario(|room| {
            let ann = room.admit(ann().until_ms(60_000));
            room.skips_to_now();
            room.starts_to_refresh(ann);
            room.is_told_of_the_token(Err(refusal.clone()));
            let error = json!({ "type": "error", "id": "r", "code": code, "retryable": retryable });
            room.hears(ann, error);
            lives_until_ms(room, ann, 60_000);
        });
    }
}

#[test]
fn the_user_never_changes() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.refreshes(ann, Visitor::named("bob"));
        room.hears(
            ann,
            json!({ "type": "error", "id": "r", "code": "token_invalid" }),
        );
        room.sends(ann, json!({ "type": "members" }));
        let members = room.hears(ann, json!({ "type": "members", "count": 1 }));
        assert_eq!(members["members"][0]["user"], "ann");
    });
}

#[test]
fn a_token_that_grants_nothing_here_any_more_ends_the_connection() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        for visitor in [ann_of("team:8:*"), ann_of("team:7:general").who_can(&[])] {
            let tab = room.join("ann");
            room.skips_to_now();
            room.refreshes(tab, visitor);
            room.hears(
                tab,
                json!({ "type": "error", "id": "r", "code": "forbidden" }),
            );
            room.hears_close(tab, 4102, "token_revoked");
        }
        room.hears_nothing(bob);
        assert!(room.is_open(ann));
        room.refreshes(ann, ann_of("team:8:*"));
        room.hears(bob, json!({ "type": "presence", "leaves": ["ann"] }));
    });
}

#[test]
fn one_token_is_checked_at_a_time_and_the_connection_goes_on_meanwhile() {
    let no_rules = |_: &mut snug_core::config::RoomRules| {};
    busy_scenario_with(no_rules, |room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.starts_to_refresh(ann);
        room.says(ann, "meanwhile");
        room.hears(ann, json!({ "type": "message", "data": "meanwhile" }));
        room.starts_to_refresh(ann);
        let error = room.hears(
            ann,
            json!({ "type": "error", "id": "r", "code": "rate_limited" }),
        );
        assert_eq!(error["retryable"], true);
        assert!(error["retry_after_ms"].as_u64().is_some());
        room.is_told_of_the_token(Err(Refusal::TokenExpired));
        room.hears(ann, json!({ "code": "token_expired" }));
        room.refreshes(ann, self::ann());
        room.hears(ann, json!({ "type": "ack" }));
    });
}

#[test]
fn a_token_that_is_checked_too_late_is_nobodys() {
    scenario(|room| {
        let (ann, bob) = (room.admit(ann().until_ms(1_000)), room.join("bob"));
        let gone = room.join("ann");
        room.starts_to_refresh(ann);
        room.starts_to_refresh(gone);
        room.leaves(gone);
        room.skips_to_now();
        room.pass_ms(1_000 + default_rules().leeway_ms);
        room.hears_close(ann, 4001, "token_expired");
        for _ in 0..2 {
            room.is_told_of_the_token(Err(Refusal::TokenExpired));
        }
        room.hears_nothing(bob);
    });
}

#[test]
fn a_token_may_be_longer_than_what_its_connection_may_say() {
    scenario(|room| {
        let ann = room.admit(ann().with_message_bytes(100));
        room.skips_to_now();
        let token = |bytes| json!({ "type": "refresh", "id": "r", "token": "x".repeat(bytes) });
        room.sends(ann, token(TOKEN_BYTES_MAX));
        room.is_told_of_the_token(Err(Refusal::TokenExpired));
        room.hears(ann, json!({ "id": "r", "code": "token_expired" }));
        room.says(ann, "fits");
        room.hears(ann, json!({ "type": "message" }));
        let envelope = token(0).to_string().len();
        room.sends(ann, token(REFRESH_BYTES_MAX + 1 - envelope));
        room.hears(ann, json!({ "code": "too_large" }));
        room.hears_close(ann, 1009, "message_too_big");
    });
}

#[test]
fn without_an_id_a_refresh_is_not_answered() {
    scenario(|room| {
        let ann = room.admit(ann().until_ms(60_000));
        room.skips_to_now();
        room.sends(ann, json!({ "type": "refresh", "token": "…" }));
        room.is_told_of_the_token(Err(Refusal::TokenExpired));
        let error = room.hears(ann, json!({ "code": "token_expired" }));
        assert_eq!(error.get("id"), None::<&Value>);
    });
}

fn lives_until_ms(room: &mut TestRoom, client: Client, ms: u64) {
    let end = START_MS + ms + default_rules().leeway_ms;
    room.pings_runtime(client);
    room.pass_ms(end - 1 - room.now_ms());
    assert!(room.is_open(client), "ended before its token");
    room.pass_ms(1);
    room.hears_close(client, 4001, "token_expired");
}

fn ann() -> Visitor {
    Visitor::named("ann")
}

fn ann_of(rooms: &str) -> Visitor {
    ann().of_room(rooms)
}
