//! The HTTP API, and its effects on members.

use serde_json::{Value, json};
use snug_core::{
    Reference, Refusal, UserId,
    backend::api::{ApiOperation, MultiRoomPublish, read_messages},
    limits::{API_MESSAGES_MAX, FRAME_BYTES_MAX},
};

use crate::driver::{
    EPOCH, START_MS, TestUser, gathering_scenario, hibernating_scenario_with, scenario,
    scenario_with,
};

#[test]
fn a_published_message_is_stored_and_sent_to_all() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_received();
        let response = room.calls_api(
            &server(),
            ApiOperation::Publish,
            r#"{"data":{"a":1},"event":"news"}"#,
        );
        let place = json!({ "offset": 1, "time": START_MS });
        assert_eq!(
            response,
            (201, json!({ "epoch": EPOCH, "messages": [place] }))
        );
        let message = json!({
            "type": "message",
            "offset": 1,
            "time": START_MS,
            "user": "server",
            "event": "news",
            "data": { "a": 1 },
        });
        for client in [ann, bob] {
            assert_eq!(room.receives(client, json!({ "type": "message" })), message);
        }
        room.stores_messages([message]);
    });
}

#[test]
fn several_messages_are_stored_as_one_row_and_sent_as_one_frame() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        let body = json!([
            { "data": 1, "user": "bob" },
            { "data": null },
            { "data": 3, "user": "用户" },
        ]);
        let (status, response) =
            room.calls_api(&server(), ApiOperation::Publish, &body.to_string());
        assert_eq!(status, 201);
        let offsets = response["messages"].as_array().unwrap().iter();
        assert!(offsets.map(|one| &one["offset"]).eq([1, 2, 3]));
        let message =
            |user: &str, data: Value| json!({ "type": "message", "user": user, "data": data });
        room.receives_frame(
            ann,
            &[
                message("bob", json!(1)),
                message("server", json!(null)),
                message("用户", json!(3)),
            ],
        );
        assert_eq!(room.take_rows().len(), 1);
    });
}

#[test]
fn a_key_stores_once_per_user_within_and_across_requests() {
    scenario(|room| {
        let twice =
            r#"[{"data":1,"key":"k"},{"data":2,"key":"k"},{"data":3,"key":"k","user":"bob"}]"#;
        let (_, response) = room.calls_api(&server(), ApiOperation::Publish, twice);
        let places = json!([
            { "offset": 1, "time": START_MS },
            { "offset": 1, "time": START_MS, "duplicate": true },
            { "offset": 2, "time": START_MS },
        ]);
        assert_eq!(response["messages"], places);
        let repeated = room.calls_api(&server(), ApiOperation::Publish, r#"{"data":4,"key":"k"}"#);
        assert_eq!(repeated.0, 201);
        assert_eq!(repeated.1["messages"], json!([places[1]]));
        // A member and the API share the keys of a user.
        let bob = room.join("bob");
        room.skips_received();
        room.sends(
            bob,
            json!({ "type": "publish", "id": 1, "key": "k", "data": 5 }),
        );
        room.receives(
            bob,
            json!({ "type": "ack", "offset": 2, "duplicate": true }),
        );
        room.receives_nothing(bob);
    });
}

#[test]
fn in_a_busy_room_the_response_waits_for_the_flush() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        room.skips_received();
        room.publishes(ann, "before");
        let first_request = room.starts_api_request(
            &server(),
            ApiOperation::Publish,
            r#"{"data":"then","key":"k"}"#,
        );
        let second_request = room.starts_api_request(
            &server(),
            ApiOperation::Publish,
            r#"{"data":"then","key":"k"}"#,
        );
        assert!(!room.has_responded(first_request) && !room.has_responded(second_request));
        room.flushes();
        let (first, second) = (
            room.api_response(first_request).1,
            room.api_response(second_request).1,
        );
        assert_eq!(
            first["messages"][0]["offset"],
            second["messages"][0]["offset"]
        );
        assert_eq!(second["messages"][0]["duplicate"], true);
        room.receives_message(ann, "before");
        room.receives_message(ann, "then");
        room.receives_nothing(ann);
    });
}

#[test]
fn a_storage_fault_fails_the_request_and_sends_nothing() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        room.storage_fails_once();
        let response = room.calls_api(
            &server(),
            ApiOperation::Publish,
            r#"[{"data":1},{"data":2}]"#,
        );
        assert_eq!(response, (500, "internal".into()));
        room.receives_nothing(ann);
        for (operation, body) in [
            (ApiOperation::Publish, r#"{"data":1,"key":"k"}"#),
            (ApiOperation::messages("").unwrap(), ""),
            (ApiOperation::Describe, ""),
            (ApiOperation::Erase, ""),
            (kick("bob", "ban_seconds=60"), ""),
        ] {
            room.restore();
            room.storage_fails_once();
            let caller = with_token(&["serve", "history", "moderate"]);
            assert_eq!(room.calls_api(&caller, operation, body).0, 500);
        }
        let (_, response) = room.calls_api(&server(), ApiOperation::Publish, r#"{"data":3}"#);
        assert_eq!(response["messages"][0]["offset"], 1);
    });
}

#[test]
fn invalid_bodies_are_rejected_as_bad_request() {
    scenario(|room| {
        let many = |count| json!(vec![json!({ "data": 1 }); count]).to_string();
        let deep =
            |depth: usize| format!(r#"{{"data":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let event = |bytes: usize| json!({ "data": 1, "event": "x".repeat(bytes) }).to_string();
        let key = |bytes: usize| json!({ "data": 1, "key": "x".repeat(bytes) }).to_string();
        for body in [
            many(1),
            many(API_MESSAGES_MAX),
            deep(63),
            event(64),
            key(64),
            key(1),
        ] {
            assert_eq!(
                room.calls_api(&server(), ApiOperation::Publish, &body).0,
                201,
                "{body}"
            );
        }
        for body in [
            many(0),
            many(API_MESSAGES_MAX + 1),
            deep(64),
            event(65),
            key(65),
            key(0),
            "".into(),
            "{".into(),
            "7".into(),
            "null".into(),
            "[7]".into(),
            "[[1]]".into(),
            r#"{"event":"x"}"#.into(),
            r#"{"data":1,"user":""}"#.into(),
            r#"{"data":1,"user":7}"#.into(),
            r#"{"data":1,"event":7}"#.into(),
            r#"{"data":1e999}"#.into(),
            r#"{"data":"\ud800"}"#.into(),
            r#"{"data":1,"data":2}"#.into(),
            r#"[{"data":1},{"data":1,"key":""}]"#.into(),
        ] {
            let (status, code) = room.calls_api(&server(), ApiOperation::Publish, &body);
            assert_eq!((status, code), (400, "bad_request".into()), "{body}");
        }
    });
}

#[test]
fn an_unknown_field_or_option_is_named() {
    let detail = |refusal: Refusal| {
        assert_eq!(refusal.code(), "bad_request");
        serde_json::to_value(refusal.body(Reference::new(0))).unwrap()["detail"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let message = "; a message has 'data', 'event', 'key', 're', 'mentions', 'user' and 'time'";
    for (body, name) in [
        (r#"{"data":1,"tiem":2}"#.to_owned(), "tiem".to_owned()),
        (r#"[{"data":1},{"text":"x"}]"#.into(), "text".into()),
        (r#"{"data":1,"":2}"#.into(), "".into()),
        (
            json!({ "data": 1, "n".repeat(100): 2 }).to_string(),
            "n".repeat(64),
        ),
    ] {
        assert_eq!(
            detail(read_messages(&body, 1_000).unwrap_err()),
            format!("The field '{name}' is unknown{message}")
        );
    }
    let body = r#"{"rooms":["a"],"messages":{"data":1},"message":{}}"#;
    assert_eq!(
        detail(MultiRoomPublish::read(body, 1_000).unwrap_err()),
        "The field 'message' is unknown; the body has 'rooms' and 'messages'"
    );
    let user = || UserId::parse("bob").unwrap();
    for (operation, known) in [
        (
            ApiOperation::messages("limit=1&afer=2"),
            "'after', 'before', 'limit', 're' and 'user'",
        ),
        (
            ApiOperation::dead_events("limit=1&afer=2"),
            "'after' and 'limit'",
        ),
        (
            ApiOperation::kick(user(), "afer=2"),
            "'ban_seconds', 'issued_before' and 'reason'",
        ),
        (ApiOperation::Members.without_options("afer"), "none"),
    ] {
        assert_eq!(
            detail(operation.unwrap_err()),
            format!("The query option 'afer' is unknown; this request has {known}")
        );
    }
    assert!(ApiOperation::Members.without_options("").is_ok());
}

#[test]
fn message_and_body_sizes_are_limited_to_the_byte() {
    scenario_with(
        |rules| rules.message_bytes_max = 100,
        |room| {
            let body = |bytes: usize| {
                let filling = "x".repeat(bytes - r#"{"data":""}"#.len());
                format!(r#"{{"data":"{filling}"}}"#)
            };
            let publish = |room: &mut crate::driver::TestRoom, who: &TestUser, body: &str| {
                room.calls_api(who, ApiOperation::Publish, body)
            };
            assert_eq!(publish(room, &server(), &body(100)).0, 201);
            let (status, code) = publish(room, &server(), &body(101));
            assert_eq!((status, code), (413, "too_large".into()));
            let bounded = server().with_message_bytes(50);
            assert_eq!(publish(room, &bounded, &body(50)).0, 201);
            assert_eq!(publish(room, &bounded, &body(51)).0, 413);
            let padded = |bytes: usize| format!("{}{}", body(100), " ".repeat(bytes - 100));
            assert_eq!(publish(room, &server(), &padded(FRAME_BYTES_MAX)).0, 201);
            assert_eq!(
                publish(room, &server(), &padded(FRAME_BYTES_MAX + 1)).0,
                413
            );
        },
    );
}

#[test]
fn a_page_includes_messages_published_before_the_request() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        room.publishes(ann, "waits");
        let (status, page) = room.calls_api(
            &with_token(&["history"]),
            ApiOperation::messages("limit=1").unwrap(),
            "",
        );
        assert_eq!(status, 200);
        assert_eq!(page["epoch"], EPOCH);
        assert_eq!(page["more"], true);
        let message = &page["messages"][0];
        assert_eq!(message["data"], "waits");
        assert_eq!(message["connection"], ann.id());
        assert!(message.get("type").is_none());
    });
}

#[test]
fn page_queries_work_like_the_history_command() {
    scenario(|room| {
        for number in 1..=3 {
            room.calls_api(
                &server(),
                ApiOperation::Publish,
                &json!({ "data": number }).to_string(),
            );
        }
        let mut page = |query| {
            let operation = ApiOperation::messages(query).unwrap();
            let (_, page) = room.calls_api(&with_token(&["history"]), operation, "");
            let data = page["messages"].as_array().unwrap().iter();
            let data: Vec<_> = data.map(|one| one["data"].as_u64().unwrap()).collect();
            (data, page["more"] == true)
        };
        assert_eq!(page(""), (vec![1, 2, 3], false));
        assert_eq!(page("after=1"), (vec![2, 3], false));
        assert_eq!(page("after=0&limit=2"), (vec![1, 2], true));
        assert_eq!(page("before=3&limit=1"), (vec![2], true));
        assert_eq!(page("after=9007199254740991"), (vec![], false));
    });
    for query in [
        "after=1&before=2",
        "after=-1",
        "after=",
        "after=1.5",
        "after=9007199254740992",
        "limit=0",
        "limit=101",
        "limit=x",
        "before=4294967296000000000",
        "after=0&limit=2&x=y",
    ] {
        assert_eq!(
            ApiOperation::messages(query).unwrap_err().code(),
            "bad_request",
            "{query}"
        );
    }
}

#[test]
fn members_are_listed_as_for_a_member() {
    scenario(|room| {
        let ann = room.admit(TestUser::named("ann").with_info(json!({ "name": "Ann" })));
        room.skips_received();
        let (status, list) = room.calls_api(&with_token(&["presence"]), ApiOperation::Members, "");
        room.sends(ann, json!({ "type": "members", "id": 1 }));
        let reply = room.receives(ann, json!({ "type": "members" }));
        assert_eq!(status, 200);
        assert_eq!(list["members"], reply["members"]);
        assert_eq!(
            (&list["count"], &list["truncated"]),
            (&json!(1), &json!(false))
        );
        // A caller is not a member.
        room.receives_nothing(ann);
    });
}

#[test]
fn a_kick_works_like_a_moderators_kick() {
    scenario(|room| {
        let (ann, bob, tab) = (room.join("ann"), room.join("bob"), room.join("bob"));
        room.skips_received();
        let operation = kick("bob", "reason=no+spam&ban_seconds=60");
        let response = room.calls_api(&with_token(&["moderate"]), operation, "");
        assert_eq!(response, (200, json!({ "closed": 2 })));
        for client in [bob, tab] {
            room.receives_close(client, 4101, "no spam");
        }
        room.receives(ann, json!({ "type": "presence", "leaves": ["bob"] }));
        assert_eq!(room.try_admit(TestUser::named("bob")).err(), Some("banned"));
        let lifted = room.calls_api(&with_token(&["moderate"]), kick("bob", "ban_seconds=0"), "");
        assert_eq!(lifted, (200, json!({ "closed": 0 })));
        assert!(room.try_admit(TestUser::named("bob")).is_ok());
        assert_eq!(
            room.calls_api(&with_token(&["moderate"]), kick("bob", ""), "")
                .1["closed"],
            1
        );
    });
    let user = || UserId::parse("bob").unwrap();
    let reason = |bytes: usize| format!("reason={}", "x".repeat(bytes));
    for query in [reason(256), "ban_seconds=315360000".into()] {
        assert!(ApiOperation::kick(user(), &query).is_ok(), "{query}");
    }
    for query in [
        reason(257),
        "ban_seconds=315360001".into(),
        "ban_seconds=x".into(),
    ] {
        let refusal = ApiOperation::kick(user(), &query).unwrap_err();
        assert_eq!(refusal.code(), "bad_request", "{query}");
    }
}

#[test]
fn banned_users_are_refused_unless_they_have_serve() {
    scenario(|room| {
        let moderator = with_token(&["moderate"]);
        room.calls_api(&moderator, kick("bob", "ban_seconds=60"), "");
        room.calls_api(&moderator, kick("server", "ban_seconds=60"), "");
        let bob = |can: &[&str]| TestUser::named("bob").with_capabilities(can);
        for (can, operation) in [
            ("history", ApiOperation::messages("").unwrap()),
            ("presence", ApiOperation::Members),
            ("moderate", kick("ann", "")),
        ] {
            let response = room.calls_api(&bob(&[can]), operation, "");
            assert_eq!(response, (403, "banned".into()));
        }
        assert_eq!(
            room.calls_api(&server(), ApiOperation::Publish, r#"{"data":1}"#)
                .0,
            201
        );
        room.pass_ms(60_000);
        assert_eq!(
            room.calls_api(&bob(&["presence"]), ApiOperation::Members, "")
                .0,
            200
        );
    });
}

#[test]
fn the_room_status_has_the_rooms_numbers() {
    scenario_with(
        |rules| rules.retention.messages_max = 2,
        |room| {
            let numbers = |room: &mut crate::driver::TestRoom| {
                let (status, numbers) = room.calls_api(&server(), ApiOperation::Describe, "");
                assert_eq!(status, 200);
                numbers
            };
            let empty = numbers(room);
            assert_eq!(empty["messages"], 0);
            room.join("ann");
            room.join("ann");
            room.join("bob");
            for _ in 0..3 {
                room.calls_api(
                    &server(),
                    ApiOperation::Publish,
                    r#"[{"data":1},{"data":2}]"#,
                );
            }
            let numbers = numbers(room);
            assert_eq!(
                numbers,
                json!({
                    "room": "team:7:general",
                    "epoch": EPOCH,
                    "offset": 6,
                    "connections": 3,
                    "members": 2,
                    "messages": 2,
                    "storage_bytes": numbers["storage_bytes"],
                    "webhooks": { "pending": 0, "dead": 0 },
                })
            );
            assert!(numbers["storage_bytes"].as_u64() > Some(0));
        },
    );
}

#[test]
fn an_erased_room_starts_a_new_epoch_without_messages() {
    scenario(|room| {
        let (ann, bob, cho) = (room.join("ann"), room.join("bob"), room.join("cho"));
        room.calls_api(&server(), ApiOperation::Publish, r#"{"data":1,"key":"k"}"#);
        room.calls_api(
            &with_token(&["moderate"]),
            kick("dan", "ban_seconds=60"),
            "",
        );
        room.drops(cho);
        room.skips_received();
        assert_eq!(
            room.calls_api(&server(), ApiOperation::Erase, ""),
            (200, json!({ "closed": 2 }))
        );
        for client in [ann, bob] {
            room.receives_close(client, 4104, "room_closed");
        }
        assert_eq!((room.stored_count(), room.stored_bans()), (0, 0));
        room.join("dan");
        let returning = room.admit(TestUser::named("ann").resuming_after(1));
        let welcome = room.receives(returning, json!({ "type": "welcome" }));
        assert_eq!(
            (&welcome["epoch"], &welcome["offset"]),
            (&json!("e2"), &json!(0))
        );
        assert_eq!(
            (&welcome["recovered"], &welcome["count"]),
            (&json!(false), &json!(2))
        );
        // The key was erased with the message.
        let (_, response) =
            room.calls_api(&server(), ApiOperation::Publish, r#"{"data":2,"key":"k"}"#);
        assert_eq!(response["messages"][0]["offset"], 1);
        assert_eq!(response["epoch"], "e2");
        room.receives_message(returning, 2);
    });
}

#[test]
fn pending_messages_are_acked_before_the_room_is_erased() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        room.skips_received();
        room.sends(ann, json!({ "type": "publish", "id": 9, "data": "late" }));
        room.calls_api(&server(), ApiOperation::Erase, "");
        room.receives(ann, json!({ "type": "ack", "id": 9 }));
        room.receives_message(ann, "late");
        room.receives_close(ann, 4104, "room_closed");
        assert_eq!(room.stored_count(), 0);
    });
}

#[test]
fn members_have_the_rate_limit_of_a_connection() {
    hibernating_scenario_with(
        |rules| (rules.rate.per_second, rules.rate.burst) = (2, 3),
        |room| {
            let mut asks = |user: &str, bound: Option<u32>| {
                let mut test_user = TestUser::named(user).with_capabilities(&["presence"]);
                if let Some(most) = bound {
                    test_user = test_user.with_messages_per_second(most);
                }
                room.calls_api(&test_user, ApiOperation::Members, "").0
            };
            for _ in 0..3 {
                assert_eq!(asks("ann", None), 200);
            }
            assert_eq!(asks("ann", None), 429);
            // Each user has a separate bucket, and a token may make it smaller.
            assert_eq!(asks("bob", Some(1)), 200);
            assert_eq!(asks("bob", Some(1)), 429);
            room.pass_ms(500);
            assert_eq!(
                room.calls_api(
                    &user_with_token("ann", &["presence"]),
                    ApiOperation::Members,
                    ""
                )
                .0,
                200
            );
            assert_eq!(
                room.calls_api(
                    &user_with_token("ann", &["presence"]),
                    ApiOperation::Members,
                    ""
                )
                .0,
                429
            );
        },
    );
}

#[test]
fn each_message_of_a_back_end_counts_toward_its_rate() {
    hibernating_scenario_with(
        |rules| (rules.serve_rate.per_second, rules.serve_rate.burst) = (10, 10),
        |room| {
            let ten = json!(vec![json!({ "data": 1 }); 10]).to_string();
            assert_eq!(
                room.calls_api(&server(), ApiOperation::Publish, &ten).0,
                201
            );
            assert_eq!(
                room.calls_api(&server(), ApiOperation::Describe, ""),
                (429, "rate_limited".into())
            );
            room.pass_ms(100);
            assert_eq!(room.calls_api(&server(), ApiOperation::Describe, "").0, 200);
        },
    );
}

/// Returns the back end, with its token.
fn server() -> TestUser {
    with_token(&["serve"])
}

fn with_token(capabilities: &[&str]) -> TestUser {
    user_with_token("server", capabilities)
}

fn user_with_token(user: &str, capabilities: &[&str]) -> TestUser {
    TestUser::named(user).with_capabilities(capabilities)
}

fn kick(user: &str, query: &str) -> ApiOperation {
    ApiOperation::kick(UserId::parse(user).unwrap(), query).unwrap()
}
