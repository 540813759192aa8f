//! Ended tokens: those that a user got before signing out.

use serde_json::json;
use snug_core::{UserId, backend::api::ApiOperation, limits::ENDED_TOKENS_MAX};

use crate::driver::{START_MS, TestRoom, TestUser, default_rules, scenario};

#[test]
fn a_user_who_signs_in_again_gets_in_while_the_earlier_token_stays_out() {
    scenario(|room| {
        let (phone, laptop) = (issued_at(0), issued_at(1_000));
        let (on_phone, on_laptop) = (room.admit(phone.clone()), room.admit(laptop.clone()));
        let bob = room.join("bob");
        room.skips_received();
        assert_eq!(ends_tokens(room, "ann", 1_500, 60), 2);
        for client in [on_phone, on_laptop] {
            room.receives_close(client, 4001, "token_expired");
        }
        room.receives_nothing(bob);
        for out in [phone.clone(), laptop, issued_at(1_499)] {
            assert_eq!(room.try_admit(out).err(), Some("token_expired"));
        }
        room.pass_ms(1_500);
        let again = room.admit(issued_at(1_500));
        room.skips_received();
        assert_eq!(ends_tokens(room, "ann", 1_500, 60), 0);
        assert!(room.is_open(again));
        // The user never left, because a connection came back within the grace period.
        room.receives_nothing(bob);
    });
}

#[test]
fn only_the_users_connections_with_an_earlier_token_are_closed() {
    scenario(|room| {
        let (old, new) = (room.admit(issued_at(0)), room.admit(issued_at(0)));
        let bob = room.admit(TestUser::named("bob").issued_after_ms(0));
        room.skips_received();
        room.pass_ms(2_000);
        room.refreshes(new, issued_at(1_000));
        room.receives(new, json!({ "type": "ack" }));
        assert_eq!(ends_tokens(room, "ann", 1_000, 60), 1);
        room.receives_close(old, 4001, "token_expired");
        assert!(room.is_open(new) && room.is_open(bob));
    });
}

#[test]
fn a_refresh_with_an_ended_token_changes_nothing() {
    scenario(|room| {
        room.pass_ms(3_000);
        let ann = room.admit(issued_at(2_000));
        room.skips_received();
        ends_tokens(room, "ann", 1_000, 60);
        room.refreshes(ann, issued_at(999).expiring_after_ms(4_000));
        let error = json!({ "type": "error", "id": "r", "code": "token_expired" });
        room.receives(ann, error);
        // The connection keeps its own token, which is newer.
        room.pass_ms(4_000 + default_rules().leeway_ms);
        assert!(room.is_open(ann));
        assert_eq!(ends_tokens(room, "ann", 2_000, 60), 0);
        assert_eq!(ends_tokens(room, "ann", 2_001, 60), 1);
    });
}

#[test]
fn a_refresh_whose_check_outlasts_the_end_of_its_token_is_refused() {
    scenario(|room| {
        room.pass_ms(3_000);
        let ann = room.admit(issued_at(2_000));
        room.skips_received();
        room.starts_refresh(ann);
        ends_tokens(room, "ann", 1_500, 60);
        room.token_is_checked(Ok(issued_at(1_000).claims()));
        room.receives(ann, json!({ "type": "error", "code": "token_expired" }));
        assert!(room.is_open(ann));
    });
}

#[test]
fn a_token_that_does_not_say_when_it_was_issued_counts_as_earlier() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        assert_eq!(ends_tokens(room, "ann", 0, 60), 1);
        room.receives_close(ann, 4001, "token_expired");
        let refused = room.try_admit(TestUser::named("ann")).err();
        assert_eq!(refused, Some("token_expired"));
    });
}

#[test]
fn a_cookie_session_is_closed_and_may_return_because_the_application_confirms_it() {
    scenario(|room| {
        let session = || TestUser::named("ann").with_session();
        let ann = room.admit(session());
        room.skips_received();
        room.pass_ms(1_000);
        assert_eq!(ends_tokens(room, "ann", 1_000, 60), 1);
        room.receives_close(ann, 4001, "token_expired");
        room.admit(session());
    });
}

#[test]
fn ended_tokens_are_refused_until_the_last_has_expired() {
    scenario(|room| {
        let leeway_ms = default_rules().leeway_ms;
        ends_tokens(room, "ann", 1_000, 60);
        room.crashes();
        assert!(room.has_alarm());
        room.pass_ms(60_000 + leeway_ms - 1);
        let refused = room.try_admit(issued_at(0)).err();
        assert_eq!(refused, Some("token_expired"));
        room.pass_ms(1);
        assert_eq!(room.stored_ended_tokens(), 0);
        room.admit(issued_at(0));
    });
}

#[test]
fn a_later_request_ends_no_fewer_tokens_and_not_for_a_shorter_time() {
    scenario(|room| {
        ends_tokens(room, "ann", 2_000, 60);
        ends_tokens(room, "ann", 1_000, 1);
        room.pass_ms(59_000);
        let refused = room.try_admit(issued_at(1_999)).err();
        assert_eq!(refused, Some("token_expired"));
        assert_eq!(room.stored_ended_tokens(), 1);
    });
}

#[test]
fn ended_tokens_that_cannot_be_stored_stay_valid() {
    scenario(|room| {
        let ann = room.admit(issued_at(0));
        room.storage_fails_once();
        let operation = end_of_tokens("ann", 1_000, 60);
        assert_eq!(room.calls_api(&moderator(), operation, "").0, 500);
        assert!(room.is_open(ann));
        room.admit(issued_at(0));
    });
}

#[test]
fn an_ended_token_cannot_use_the_http_api_unless_it_has_serve() {
    scenario(|room| {
        ends_tokens(room, "ann", 1_000, 60);
        let members = || ApiOperation::Members;
        let old = issued_at(0);
        let refused = room.calls_api(&old, members(), "");
        assert_eq!(refused, (401, "token_expired".into()));
        assert_eq!(room.calls_api(&issued_at(1_000), members(), "").0, 200);
        let serves = old.with_capabilities(&["serve"]);
        assert_eq!(room.calls_api(&serves, ApiOperation::Describe, "").0, 200);
    });
}

#[test]
fn the_users_with_ended_tokens_are_limited_apart_from_bans() {
    scenario(|room| {
        room.stores_ended_tokens(ENDED_TOKENS_MAX - 1);
        ends_tokens(room, "last", 1_000, 60);
        let more = end_of_tokens("more", 1_000, 60);
        let refused = room.calls_api(&moderator(), more.clone(), "");
        assert_eq!(refused, (413, "too_large".into()));
        ends_tokens(room, "last", 2_000, 60);
        let ban = ApiOperation::kick(user("more"), "ban_seconds=60").unwrap();
        assert_eq!(room.calls_api(&moderator(), ban, "").0, 200);
        // An entry that has ended does not count, even if the alarm is late.
        room.alarm_is_late_by_ms(60_000 + default_rules().leeway_ms);
        assert_eq!(room.calls_api(&moderator(), more, "").0, 200);
        assert_eq!(room.stored_ended_tokens(), ENDED_TOKENS_MAX);
    });
}

#[test]
fn erasing_a_room_forgets_ended_tokens() {
    scenario(|room| {
        ends_tokens(room, "ann", 1_000, 60);
        let server = TestUser::named("server").with_capabilities(&["serve"]);
        room.calls_api(&server, ApiOperation::Erase, "");
        assert_eq!(room.stored_ended_tokens(), 0);
        room.admit(issued_at(0));
    });
}

#[test]
fn issued_before_is_a_time_in_seconds_and_needs_the_life_of_a_token() {
    for query in [
        "issued_before=1800000000&ban_seconds=1",
        "ban_seconds=1&issued_before=1800000000.123",
        "ban_seconds=1&issued_before=1.8E9",
    ] {
        assert!(ApiOperation::kick(user("ann"), query).is_ok(), "{query}");
    }
    for query in [
        "issued_before=1800000000",
        "issued_before=1800000000&ban_seconds=0",
        "issued_before=1800000000&ban_seconds=60&reason=spam",
        "issued_before=1800000000000&ban_seconds=60",
        "issued_before=-1&ban_seconds=60",
        "issued_before=%221800000000%22&ban_seconds=60",
        "issued_before=now&ban_seconds=60",
        "issued_before=&ban_seconds=60",
    ] {
        let refusal = ApiOperation::kick(user("ann"), query).unwrap_err();
        assert_eq!(refusal.code(), "bad_request", "{query}");
    }
}

/// A token of Ann's, issued this many milliseconds after the start of the test.
fn issued_at(ms: u64) -> TestUser {
    TestUser::named("ann").issued_after_ms(ms)
}

/// Ends a user's tokens that were issued before a moment, in milliseconds after the start, and returns
/// the number of closed connections.
#[track_caller]
fn ends_tokens(room: &mut TestRoom, name: &str, before_ms: u64, seconds: u64) -> u64 {
    let operation = end_of_tokens(name, before_ms, seconds);
    let (status, body) = room.calls_api(&moderator(), operation, "");
    assert_eq!(status, 200);
    body["closed"].as_u64().unwrap()
}

fn end_of_tokens(name: &str, before_ms: u64, seconds: u64) -> ApiOperation {
    let before = (START_MS + before_ms) as f64 / 1000.0;
    let query = format!("ban_seconds={seconds}&issued_before={before}");
    ApiOperation::kick(user(name), &query).unwrap()
}

fn moderator() -> TestUser {
    TestUser::named("moe").with_capabilities(&["moderate"])
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}
