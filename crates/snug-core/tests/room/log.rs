//! The log's lines about what the room does to its users.

use serde_json::{Value, json};
use snug_core::{Timestamp, backend::api::ApiOperation};

use crate::driver::{ROOM, START_MS, TestRoom, TestUser, default_rules, scenario};

const PAGE: &str = "https://app.example";

#[test]
fn a_closed_connection_is_logged_with_the_reference_of_its_notice() {
    scenario(|room| {
        let bob = room.admit(TestUser::named("bob").on_page(PAGE));
        let id = bob.id();
        room.skips_received();
        room.sends_binary(bob);
        let reference = closing_reference(&room.received(bob));
        assert_eq!(
            logged(room),
            [json!({
                "event": "close", "code": "unsupported_data", "status": 1003, "room": ROOM,
                "user": "bob", "connection": id, "origin": PAGE, "ref": reference,
            })]
        );
    });
}

#[test]
fn a_connection_without_a_page_is_logged_without_an_origin() {
    scenario(|room| {
        let bob = room.join("bob");
        room.sends_binary(bob);
        assert_eq!(logged(room)[0].get("origin"), None);
    });
}

#[test]
fn an_unreadable_attachment_is_logged_without_a_user() {
    scenario(|room| {
        let bob = room.join("bob");
        let id = bob.id();
        room.skips_received();
        *room.attachment(bob) = "?".into();
        room.restore();
        let reference = closing_reference(&room.received(bob));
        assert_eq!(
            logged(room),
            [json!({
                "event": "close", "code": "state_lost", "status": 4004, "room": ROOM,
                "connection": id, "ref": reference,
            })]
        );
    });
}

#[test]
fn a_kick_is_one_line_whose_reference_all_closed_connections_get() {
    scenario(|room| {
        let moe = room.admit(moderator().on_page(PAGE));
        let tabs = [room.join("bob"), room.join("bob")];
        room.skips_received();
        room.sends(
            moe,
            json!({ "type": "kick", "user": "bob", "reason": "not for the log" }),
        );
        let references = tabs.map(|tab| closing_reference(&room.received(tab)));
        assert_eq!(references[0], references[1]);
        assert_eq!(
            logged(room),
            [json!({
                "event": "kick", "code": "kicked", "status": 4100, "room": ROOM, "user": "bob",
                "by": "moe", "origin": PAGE, "ref": references[0], "closed": 2,
            })]
        );
    });
}

#[test]
fn a_kick_of_nobody_is_logged() {
    scenario(|room| {
        let moe = room.admit(moderator());
        room.sends(moe, json!({ "type": "kick", "user": "nobody" }));
        let line = &logged(room)[0];
        assert_eq!(
            (&line["event"], &line["closed"]),
            (&json!("kick"), &json!(0))
        );
    });
}

#[test]
fn a_ban_is_logged_with_its_end_and_lifting_it_too() {
    scenario(|room| {
        let bob = room.join("bob");
        room.skips_received();
        let until = room.now_ms() + 60_000;
        room.calls_api(&moderator().on_page(PAGE), ban(60), "");
        let reference = closing_reference(&room.received(bob));
        assert_eq!(
            logged(room),
            [json!({
                "event": "ban", "code": "banned", "status": 4101, "room": ROOM, "user": "bob",
                "by": "moe", "origin": PAGE, "ref": reference, "closed": 1, "until": until,
            })]
        );
        room.calls_api(&moderator(), ban(0), "");
        let line = &logged(room)[0];
        assert_eq!(
            (&line["event"], &line["closed"]),
            (&json!("unban"), &json!(0))
        );
        // There is no ban left to lift.
        room.calls_api(&moderator(), ban(0), "");
        assert_eq!(logged(room)[0]["event"], "kick");
    });
}

#[test]
fn ending_tokens_is_one_line_whose_reference_all_closed_connections_get() {
    scenario(|room| {
        let bob = TestUser::named("bob").issued_after_ms(0);
        let tabs = [room.admit(bob.clone()), room.admit(bob)];
        room.skips_received();
        let until = room.now_ms() + 60_000 + default_rules().leeway_ms;
        let ended = ApiOperation::Kick {
            user: snug_core::UserId::parse("bob").unwrap(),
            reason: None,
            ban_seconds: Some(60),
            issued_before: Some(Timestamp(START_MS + 1)),
        };
        room.calls_api(&moderator().on_page(PAGE), ended, "");
        let references = tabs.map(|tab| closing_reference(&room.received(tab)));
        assert_eq!(references[0], references[1]);
        assert_eq!(
            logged(room),
            [json!({
                "event": "end_tokens", "code": "token_expired", "status": 4001, "room": ROOM,
                "user": "bob", "by": "moe", "origin": PAGE, "ref": references[0], "closed": 2,
                "until": until,
            })]
        );
    });
}

#[test]
fn an_erasure_is_one_line_whose_reference_all_closed_connections_get() {
    scenario(|room| {
        let clients = [room.join("ann"), room.join("bob")];
        room.skips_received();
        let server = TestUser::named("app").with_capabilities(&["serve"]);
        room.calls_api(&server, ApiOperation::Erase, "");
        let references = clients.map(|client| closing_reference(&room.received(client)));
        assert_eq!(references[0], references[1]);
        assert_eq!(
            logged(room),
            [json!({
                "event": "erase", "code": "room_closed", "status": 4104, "room": ROOM,
                "by": "app", "ref": references[0], "closed": 2,
            })]
        );
    });
}

#[test]
fn a_client_that_leaves_is_not_logged() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.leaves(ann);
        room.drops(bob);
        assert_eq!(logged(room), Vec::<Value>::new());
    });
}

fn moderator() -> TestUser {
    TestUser::named("moe").with_capabilities(&["presence", "moderate"])
}

fn ban(seconds: u64) -> ApiOperation {
    ApiOperation::Kick {
        user: snug_core::UserId::parse("bob").unwrap(),
        reason: None,
        ban_seconds: Some(seconds),
        issued_before: None,
    }
}

/// Returns the `ref` of the `closing` push among these.
#[track_caller]
fn closing_reference(received: &[Value]) -> Value {
    let closing = received.iter().find(|push| push["type"] == "closing");
    closing.expect("a closing push")["ref"].clone()
}

/// Returns the lines logged since the last call.
fn logged(room: &mut TestRoom) -> Vec<Value> {
    let lines = std::mem::take(&mut room.log);
    lines
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}
