//! Moderation: kicks and bans.

use serde_json::{Value, json};
use snug_core::limits::{BAN_SECONDS_MAX, BANS_MAX};

use crate::driver::{Client, TestRoom, TestUser, default_rules, scenario, scenario_with};

#[test]
fn a_kick_closes_every_connection_of_the_user() {
    scenario(|room| {
        let moe = moderator(room);
        let tabs = [room.join("bob"), room.join("bob")];
        let ann = room.join("ann");
        room.skips_received();
        room.sends(moe, json!({ "type": "kick", "id": 1, "user": "bob" }));
        room.receives(moe, json!({ "type": "ack", "id": 1, "closed": 2 }));
        for tab in tabs {
            room.receives_close(tab, 4100, "kicked");
        }
        for other in [moe, ann] {
            room.receives(
                other,
                json!({ "type": "presence", "leaves": ["bob"], "count": 2 }),
            );
            room.receives_nothing(other);
        }
        assert!(room.try_admit(TestUser::named("bob")).is_ok());
    });
}

#[test]
fn a_kick_is_acked_with_exactly_these_fields_and_only_with_an_id() {
    scenario(|room| {
        let moe = moderator(room);
        let ack = kicks(room, moe, json!({ "user": "bob" }));
        assert_eq!(ack, json!({ "type": "ack", "id": 1, "closed": 0 }));
        room.sends(moe, json!({ "type": "kick", "user": "bob" }));
        room.receives_nothing(moe);
    });
}

#[test]
fn a_kicked_user_receives_the_moderators_reason() {
    scenario(|room| {
        let (moe, bob) = (moderator(room), room.join("bob"));
        room.skips_received();
        kicks(room, moe, json!({ "user": "bob", "reason": "安静 please" }));
        room.receives_close(bob, 4100, "安静 please");
    });
}

#[test]
fn a_kick_needs_the_moderate_capability() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        room.sends(ann, json!({ "type": "kick", "id": 1, "user": "bob" }));
        room.receives(
            ann,
            json!({ "type": "error", "id": 1, "code": "forbidden" }),
        );
        room.receives_nothing(bob);
        assert!(room.is_open(bob));
    });
}

#[test]
fn a_moderator_who_kicks_themselves_gets_the_ack_first() {
    scenario(|room| {
        let moe = moderator(room);
        room.skips_received();
        room.sends(moe, json!({ "type": "kick", "id": 1, "user": "moe" }));
        room.receives(moe, json!({ "type": "ack", "id": 1, "closed": 1 }));
        room.receives_close(moe, 4100, "kicked");
    });
}

#[test]
fn a_kicked_user_within_the_grace_period_leaves_at_once() {
    scenario(|room| {
        let (moe, bob) = (moderator(room), room.join("bob"));
        room.drops(bob);
        room.skips_received();
        let ack = kicks(room, moe, json!({ "user": "bob" }));
        assert_eq!(ack["closed"], 0);
        room.receives(
            moe,
            json!({ "type": "presence", "leaves": ["bob"], "count": 1 }),
        );
        room.pass_ms(default_rules().presence_grace_ms);
        room.receives_nothing(moe);
    });
}

#[test]
fn a_banned_user_is_closed_and_refused_until_the_ban_ends() {
    scenario(|room| {
        let (moe, bob) = (moderator(room), room.join("bob"));
        room.skips_received();
        let ack = kicks(room, moe, json!({ "user": "bob", "ban_seconds": 60 }));
        assert_eq!(ack["closed"], 1);
        room.receives_close(bob, 4101, "banned");
        assert_eq!(refusal(room, "bob"), Some("banned"));
        assert_eq!(refusal(room, "ann"), None);
        room.pass_ms(59_999);
        assert_eq!(refusal(room, "bob"), Some("banned"));
        room.pass_ms(1);
        assert_eq!(refusal(room, "bob"), None);
    });
}

#[test]
fn an_absent_user_can_be_banned() {
    scenario(|room| {
        let moe = moderator(room);
        let ack = kicks(room, moe, json!({ "user": "bob", "ban_seconds": 1 }));
        assert_eq!(ack["closed"], 0);
        assert_eq!(refusal(room, "bob"), Some("banned"));
    });
}

#[test]
fn the_latest_ban_counts_and_zero_seconds_lift_it() {
    scenario(|room| {
        let moe = moderator(room);
        kicks(
            room,
            moe,
            json!({ "user": "bob", "ban_seconds": BAN_SECONDS_MAX }),
        );
        kicks(room, moe, json!({ "user": "bob" }));
        assert_eq!(refusal(room, "bob"), Some("banned"));
        kicks(room, moe, json!({ "user": "bob", "ban_seconds": 2 }));
        room.pass_ms(2_000);
        assert_eq!(refusal(room, "bob"), None);
        kicks(room, moe, json!({ "user": "cho", "ban_seconds": 60 }));
        room.storage_fails_once();
        let error = kicks(room, moe, json!({ "user": "cho", "ban_seconds": 0 }));
        assert_eq!(error["code"], "internal");
        assert_eq!(refusal(room, "cho"), Some("banned"));
        kicks(room, moe, json!({ "user": "cho", "ban_seconds": 0 }));
        assert_eq!(refusal(room, "cho"), None);
        // If there is no ban to lift, it is an ordinary kick.
        let cho = room.join("cho");
        room.skips_received();
        kicks(room, moe, json!({ "user": "cho", "ban_seconds": 0 }));
        room.receives_close(cho, 4100, "kicked");
        assert_eq!(room.stored_bans(), 0);
    });
}

#[test]
fn a_ban_survives_a_crash_and_an_alarm_lifts_it_in_an_empty_room() {
    scenario(|room| {
        let moe = moderator(room);
        kicks(room, moe, json!({ "user": "bob", "ban_seconds": 3_600 }));
        room.crashes();
        assert_eq!(refusal(room, "bob"), Some("banned"));
        assert!(room.has_alarm());
        room.pass_ms(3_600_000);
        assert_eq!(refusal(room, "bob"), None);
        assert_eq!(room.stored_bans(), 0);
    });
}

#[test]
fn a_ban_that_cannot_be_stored_has_no_effect() {
    scenario(|room| {
        let (moe, bob) = (moderator(room), room.join("bob"));
        room.skips_received();
        room.storage_fails_once();
        let error = kicks(room, moe, json!({ "user": "bob", "ban_seconds": 60 }));
        assert_eq!(
            (&error["code"], &error["retryable"]),
            (&json!("internal"), &json!(true))
        );
        assert!(room.is_open(bob));
        assert_eq!(refusal(room, "bob"), None);
    });
}

#[test]
fn the_bans_of_a_room_are_limited() {
    scenario_with(
        |rules| (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000),
        |room| {
            room.stores_bans(BANS_MAX - 1);
            let moe = moderator(room);
            let ban = |user: &str| json!({ "user": user, "ban_seconds": 60 });
            assert_eq!(kicks(room, moe, ban("last"))["type"], "ack");
            assert_eq!(kicks(room, moe, ban("more"))["code"], "too_large");
            assert_eq!(kicks(room, moe, ban("last"))["type"], "ack");
            assert_eq!(refusal(room, "more"), None);
        },
    );
}

#[test]
fn an_ended_ban_does_not_count_toward_the_limit_even_if_the_alarm_is_late() {
    scenario(|room| {
        room.stores_bans(BANS_MAX);
        let moe = moderator(room);
        let ban = json!({ "user": "bob", "ban_seconds": 60 });
        assert_eq!(kicks(room, moe, ban.clone())["code"], "too_large");
        room.alarm_is_late_by_ms(3_600_000);
        assert_eq!(kicks(room, moe, ban)["type"], "ack");
        assert_eq!(refusal(room, "bob"), Some("banned"));
        assert_eq!(room.stored_bans(), 1);
    });
}

fn moderator(room: &mut TestRoom) -> Client {
    let can = ["receive", "publish", "presence", "moderate"];
    room.admit(TestUser::named("moe").with_capabilities(&can))
}

/// Sends a kick and returns the reply.
fn kicks(room: &mut TestRoom, from: Client, mut kick: Value) -> Value {
    (kick["type"], kick["id"]) = (json!("kick"), json!(1));
    room.received(from);
    room.sends(from, kick);
    room.receives(from, json!({ "id": 1 }))
}

/// Tries to join, and returns the code of the refusal.
fn refusal(room: &mut TestRoom, user: &str) -> Option<&'static str> {
    let admitted = room.try_admit(TestUser::named(user));
    admitted.map(|client| room.leaves(client)).err()
}
