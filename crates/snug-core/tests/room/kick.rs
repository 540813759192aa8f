//! Moderation: kicks, and bans that hold for a while.

use serde_json::{Value, json};
use snug_core::limits::{BAN_SECONDS_MAX, BANS_MAX};

use crate::driver::{Client, TestRoom, Visitor, default_rules, scenario, scenario_with};

#[test]
fn a_kicked_user_is_told_and_gone_from_every_connection() {
    scenario(|room| {
        let moe = moderator(room);
        let tabs = [room.join("bob"), room.join("bob")];
        let ann = room.join("ann");
        room.skips_to_now();
        room.sends(moe, json!({ "type": "kick", "id": 1, "user": "bob" }));
        room.hears(moe, json!({ "type": "ack", "id": 1, "closed": 2 }));
        for tab in tabs {
            room.hears_close(tab, 4100, "kicked");
        }
        for other in [moe, ann] {
            room.hears(
                other,
                json!({ "type": "presence", "leaves": ["bob"], "count": 2 }),
            );
            room.hears_nothing(other);
        }
        assert!(room.try_admit(Visitor::named("bob")).is_ok());
    });
}

#[test]
fn the_ack_has_exactly_these_fields_and_comes_only_with_an_id() {
    scenario(|room| {
        let moe = moderator(room);
        let ack = kicks(room, moe, json!({ "user": "bob" }));
        assert_eq!(ack, json!({ "type": "ack", "id": 1, "closed": 0 }));
        room.sends(moe, json!({ "type": "kick", "user": "bob" }));
        room.hears_nothing(moe);
    });
}

#[test]
fn the_kicked_are_told_the_moderators_reason() {
    scenario(|room| {
        let (moe, bob) = (moderator(room), room.join("bob"));
        room.skips_to_now();
        kicks(room, moe, json!({ "user": "bob", "reason": "安静 please" }));
        room.hears_close(bob, 4100, "安静 please");
    });
}

#[test]
fn a_kick_needs_to_be_granted() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        room.sends(ann, json!({ "type": "kick", "id": 1, "user": "bob" }));
        room.hears(
            ann,
            json!({ "type": "error", "id": 1, "code": "forbidden" }),
        );
        room.hears_nothing(bob);
        assert!(room.is_open(bob));
    });
}

#[test]
fn moderators_may_go_themselves_and_are_answered_first() {
    scenario(|room| {
        let moe = moderator(room);
        room.skips_to_now();
        room.sends(moe, json!({ "type": "kick", "id": 1, "user": "moe" }));
        room.hears(moe, json!({ "type": "ack", "id": 1, "closed": 1 }));
        room.hears_close(moe, 4100, "kicked");
    });
}

#[test]
fn a_user_in_the_grace_is_kicked_at_once() {
    scenario(|room| {
        let (moe, bob) = (moderator(room), room.join("bob"));
        room.drops(bob);
        room.skips_to_now();
        let ack = kicks(room, moe, json!({ "user": "bob" }));
        assert_eq!(ack["closed"], 0);
        room.hears(
            moe,
            json!({ "type": "presence", "leaves": ["bob"], "count": 1 }),
        );
        room.pass_ms(default_rules().presence_grace_ms);
        room.hears_nothing(moe);
    });
}

#[test]
fn a_banned_user_is_gone_and_refused_until_the_ban_ends() {
    scenario(|room| {
        let (moe, bob) = (moderator(room), room.join("bob"));
        room.skips_to_now();
        let ack = kicks(room, moe, json!({ "user": "bob", "ban_seconds": 60 }));
        assert_eq!(ack["closed"], 1);
        room.hears_close(bob, 4101, "banned");
        assert_eq!(refusal(room, "bob"), Some("banned"));
        assert_eq!(refusal(room, "ann"), None);
        room.pass_ms(59_999);
        assert_eq!(refusal(room, "bob"), Some("banned"));
        room.pass_ms(1);
        assert_eq!(refusal(room, "bob"), None);
    });
}

#[test]
fn one_who_is_not_here_can_be_banned() {
    scenario(|room| {
        let moe = moderator(room);
        let ack = kicks(room, moe, json!({ "user": "bob", "ban_seconds": 1 }));
        assert_eq!(ack["closed"], 0);
        assert_eq!(refusal(room, "bob"), Some("banned"));
    });
}

#[test]
fn the_last_word_on_a_ban_counts_and_none_of_zero_lifts_it() {
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
        // Where there is none to lift, it is a kick like any other.
        let cho = room.join("cho");
        room.skips_to_now();
        kicks(room, moe, json!({ "user": "cho", "ban_seconds": 0 }));
        room.hears_close(cho, 4100, "kicked");
        assert_eq!(room.stored_bans(), 0);
    });
}

#[test]
fn a_ban_outlasts_everything_in_memory_and_an_empty_room_wakes_to_lift_it() {
    scenario(|room| {
        let moe = moderator(room);
        kicks(room, moe, json!({ "user": "bob", "ban_seconds": 3_600 }));
        room.crashes();
        assert_eq!(refusal(room, "bob"), Some("banned"));
        assert!(room.waits_for_time());
        room.pass_ms(3_600_000);
        assert_eq!(refusal(room, "bob"), None);
        assert_eq!(room.stored_bans(), 0);
    });
}

#[test]
fn a_ban_that_could_not_be_stored_is_none_and_closes_nobody() {
    scenario(|room| {
        let (moe, bob) = (moderator(room), room.join("bob"));
        room.skips_to_now();
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
fn a_room_holds_so_many_bans_and_not_one_more() {
    scenario_with(
        |rules| (rules.rate.per_second, rules.rate.burst) = (1_000_000, 1_000_000),
        |room| {
            room.is_stored_with_bans(BANS_MAX - 1);
            let moe = moderator(room);
            let ban = |user: &str| json!({ "user": user, "ban_seconds": 60 });
            assert_eq!(kicks(room, moe, ban("last"))["type"], "ack");
            assert_eq!(kicks(room, moe, ban("more"))["code"], "too_large");
            assert_eq!(kicks(room, moe, ban("last"))["type"], "ack");
            assert_eq!(refusal(room, "more"), None);
        },
    );
}

fn moderator(room: &mut TestRoom) -> Client {
    let can = ["receive", "publish", "presence", "moderate"];
    room.admit(Visitor::named("moe").who_can(&can))
}

/// Sends a kick, and gives its reply.
fn kicks(room: &mut TestRoom, from: Client, mut kick: Value) -> Value {
    (kick["type"], kick["id"]) = (json!("kick"), json!(1));
    room.heard(from);
    room.sends(from, kick);
    room.hears(from, json!({ "id": 1 }))
}

/// What the user is told who wants to come in.
fn refusal(room: &mut TestRoom, user: &str) -> Option<&'static str> {
    let admitted = room.try_admit(Visitor::named(user));
    admitted.map(|client| room.leaves(client)).err()
}
