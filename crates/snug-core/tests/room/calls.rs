//! What the back end asks for over HTTP, and what members see of it.

use serde_json::{Value, json};
use snug_core::{
    UserId,
    backend::api::ApiOperation,
    limits::{API_MESSAGES_MAX, FRAME_BYTES_MAX},
};

use crate::driver::{
    EPOCH, START_MS, Visitor, busy_scenario_with, gathering_scenario, scenario, scenario_with,
};

#[test]
fn a_message_is_stored_and_sent_to_all() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.skips_to_now();
        let answer = room.call(
            &server(),
            ApiOperation::Publish,
            r#"{"data":{"a":1},"event":"news"}"#,
        );
        let place = json!({ "offset": 1, "time": START_MS });
        assert_eq!(
            answer,
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
            assert_eq!(room.hears(client, json!({ "type": "message" })), message);
        }
        room.has_stored([message]);
    });
}

#[test]
fn several_are_one_row_and_one_frame_in_order_whoever_they_are_of() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_to_now();
        let body = json!([
            { "data": 1, "user": "bob" },
            { "data": null },
            { "data": 3, "user": "用户" },
        ]);
        let (status, answer) = room.call(&server(), ApiOperation::Publish, &body.to_string());
        assert_eq!(status, 201);
        let offsets = answer["messages"].as_array().unwrap().iter();
        assert!(offsets.map(|one| &one["offset"]).eq([1, 2, 3]));
        let message =
            |user: &str, data: Value| json!({ "type": "message", "user": user, "data": data });
        room.hears_frame(
            ann,
            &[
                message("bob", json!(1)),
                message("server", json!(null)),
                message("用户", json!(3)),
            ],
        );
        assert_eq!(room.rows().len(), 1);
    });
}

#[test]
fn a_key_stores_once_for_its_user_in_one_call_and_over_calls() {
    scenario(|room| {
        let twice =
            r#"[{"data":1,"key":"k"},{"data":2,"key":"k"},{"data":3,"key":"k","user":"bob"}]"#;
        let (_, answer) = room.call(&server(), ApiOperation::Publish, twice);
        let places = json!([
            { "offset": 1, "time": START_MS },
            { "offset": 1, "time": START_MS, "duplicate": true },
            { "offset": 2, "time": START_MS },
        ]);
        assert_eq!(answer["messages"], places);
        let again = room.call(&server(), ApiOperation::Publish, r#"{"data":4,"key":"k"}"#);
        assert_eq!(again.0, 201);
        assert_eq!(again.1["messages"], json!([places[1]]));
        // A member's key is the same as its user's.
        let bob = room.join("bob");
        room.skips_to_now();
        room.sends(
            bob,
            json!({ "type": "publish", "id": 1, "key": "k", "data": 5 }),
        );
        room.hears(
            bob,
            json!({ "type": "ack", "offset": 2, "duplicate": true }),
        );
        room.hears_nothing(bob);
    });
}

#[test]
fn in_a_busy_room_it_waits_for_the_row_that_it_is_in() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        room.skips_to_now();
        room.says(ann, "before");
        let call = room.is_asked(
            &server(),
            ApiOperation::Publish,
            r#"{"data":"then","key":"k"}"#,
        );
        let again = room.is_asked(
            &server(),
            ApiOperation::Publish,
            r#"{"data":"then","key":"k"}"#,
        );
        assert!(!room.has_answered(call) && !room.has_answered(again));
        room.flushes();
        let (first, second) = (room.answers(call).1, room.answers(again).1);
        assert_eq!(
            first["messages"][0]["offset"],
            second["messages"][0]["offset"]
        );
        assert_eq!(second["messages"][0]["duplicate"], true);
        room.hears_message(ann, "before");
        room.hears_message(ann, "then");
        room.hears_nothing(ann);
    });
}

#[test]
fn what_storage_does_not_take_is_not_announced() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_to_now();
        room.storage_fails_once();
        let answer = room.call(
            &server(),
            ApiOperation::Publish,
            r#"[{"data":1},{"data":2}]"#,
        );
        assert_eq!(answer, (500, "internal".into()));
        room.hears_nothing(ann);
        for (ask, body) in [
            (ApiOperation::Publish, r#"{"data":1,"key":"k"}"#),
            (ApiOperation::messages("").unwrap(), ""),
            (ApiOperation::Describe, ""),
            (ApiOperation::Erase, ""),
            (kick("bob", "ban_seconds=60"), ""),
        ] {
            room.restore();
            room.storage_fails_once();
            let caller = able(&["serve", "history", "moderate"]);
            assert_eq!(room.call(&caller, ask, body).0, 500);
        }
        let (_, answer) = room.call(&server(), ApiOperation::Publish, r#"{"data":3}"#);
        assert_eq!(answer["messages"][0]["offset"], 1);
    });
}

#[test]
fn bodies_that_are_no_messages_are_told_why() {
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
                room.call(&server(), ApiOperation::Publish, &body).0,
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
            let (status, code) = room.call(&server(), ApiOperation::Publish, &body);
            assert_eq!((status, code), (400, "bad_request".into()), "{body}");
        }
    });
}

#[test]
fn sizes_hold_to_the_byte() {
    scenario_with(
        |rules| rules.message_bytes_max = 100,
        |room| {
            let body = |bytes: usize| {
                let filling = "x".repeat(bytes - r#"{"data":""}"#.len());
                format!(r#"{{"data":"{filling}"}}"#)
            };
            let publish = |room: &mut crate::driver::TestRoom, who: &Visitor, body: &str| {
                room.call(who, ApiOperation::Publish, body)
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
fn a_page_has_what_was_said_before_it() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        room.says(ann, "waits");
        let (status, page) = room.call(
            &able(&["history"]),
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
fn pages_are_asked_for_as_in_a_command() {
    scenario(|room| {
        for number in 1..=3 {
            room.call(
                &server(),
                ApiOperation::Publish,
                &json!({ "data": number }).to_string(),
            );
        }
        let mut page = |query| {
            let ask = ApiOperation::messages(query).unwrap();
            let (_, page) = room.call(&able(&["history"]), ask, "");
            let data = page["messages"].as_array().unwrap().iter();
            let data: Vec<_> = data.map(|one| one["data"].as_u64().unwrap()).collect();
            (data, page["more"] == true)
        };
        assert_eq!(page(""), (vec![1, 2, 3], false));
        assert_eq!(page("after=1"), (vec![2, 3], false));
        assert_eq!(page("after=0&limit=2&x=y"), (vec![1, 2], true));
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
    ] {
        assert_eq!(
            ApiOperation::messages(query).unwrap_err().code(),
            "bad_request",
            "{query}"
        );
    }
}

#[test]
fn members_are_listed_as_to_a_member() {
    scenario(|room| {
        let ann = room.admit(Visitor::named("ann").with_info(json!({ "name": "Ann" })));
        room.skips_to_now();
        let (status, list) = room.call(&able(&["presence"]), ApiOperation::Members, "");
        room.sends(ann, json!({ "type": "members", "id": 1 }));
        let notified = room.hears(ann, json!({ "type": "members" }));
        assert_eq!(status, 200);
        assert_eq!(list["members"], notified["members"]);
        assert_eq!(
            (&list["count"], &list["truncated"]),
            (&json!(1), &json!(false))
        );
        // To ask does not make one a member.
        room.hears_nothing(ann);
    });
}

#[test]
fn a_kick_is_as_a_moderators() {
    scenario(|room| {
        let (ann, bob, tab) = (room.join("ann"), room.join("bob"), room.join("bob"));
        room.skips_to_now();
        let ask = kick("bob", "reason=no+spam&ban_seconds=60");
        let answer = room.call(&able(&["moderate"]), ask, "");
        assert_eq!(answer, (200, json!({ "closed": 2 })));
        for client in [bob, tab] {
            room.hears_close(client, 4101, "no spam");
        }
        room.hears(ann, json!({ "type": "presence", "leaves": ["bob"] }));
        assert_eq!(room.try_admit(Visitor::named("bob")).err(), Some("banned"));
        let lifted = room.call(&able(&["moderate"]), kick("bob", "ban_seconds=0"), "");
        assert_eq!(lifted, (200, json!({ "closed": 0 })));
        assert!(room.try_admit(Visitor::named("bob")).is_ok());
        assert_eq!(
            room.call(&able(&["moderate"]), kick("bob", ""), "").1["closed"],
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
fn the_banned_are_told_so_unless_they_serve() {
    scenario(|room| {
        let moderator = able(&["moderate"]);
        room.call(&moderator, kick("bob", "ban_seconds=60"), "");
        room.call(&moderator, kick("server", "ban_seconds=60"), "");
        let bob = |can: &[&str]| Visitor::named("bob").who_can(can);
        for (can, ask) in [
            ("history", ApiOperation::messages("").unwrap()),
            ("presence", ApiOperation::Members),
            ("moderate", kick("ann", "")),
        ] {
            let answer = room.call(&bob(&[can]), ask, "");
            assert_eq!(answer, (403, "banned".into()));
        }
        assert_eq!(
            room.call(&server(), ApiOperation::Publish, r#"{"data":1}"#)
                .0,
            201
        );
        room.pass_ms(60_000);
        assert_eq!(
            room.call(&bob(&["presence"]), ApiOperation::Members, "").0,
            200
        );
    });
}

#[test]
fn a_room_in_numbers() {
    scenario_with(
        |rules| rules.retention.messages_max = 2,
        |room| {
            let numbers = |room: &mut crate::driver::TestRoom| {
                let (status, numbers) = room.call(&server(), ApiOperation::Describe, "");
                assert_eq!(status, 200);
                numbers
            };
            let empty = numbers(room);
            assert_eq!(empty["messages"], 0);
            room.join("ann");
            room.join("ann");
            room.join("bob");
            for _ in 0..3 {
                room.call(
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
fn an_erased_room_begins_anew() {
    scenario(|room| {
        let (ann, bob, cho) = (room.join("ann"), room.join("bob"), room.join("cho"));
        room.call(&server(), ApiOperation::Publish, r#"{"data":1,"key":"k"}"#);
        room.call(&able(&["moderate"]), kick("dan", "ban_seconds=60"), "");
        room.drops(cho);
        room.skips_to_now();
        assert_eq!(
            room.call(&server(), ApiOperation::Erase, ""),
            (200, json!({ "closed": 2 }))
        );
        for client in [ann, bob] {
            room.hears_close(client, 4104, "room_closed");
        }
        assert_eq!((room.stored_count(), room.stored_bans()), (0, 0));
        room.join("dan");
        let again = room.admit(Visitor::named("ann").resuming_after(1));
        let welcome = room.hears(again, json!({ "type": "welcome" }));
        assert_eq!(
            (&welcome["epoch"], &welcome["offset"]),
            (&json!("e2"), &json!(0))
        );
        assert_eq!(
            (&welcome["recovered"], &welcome["count"]),
            (&json!(false), &json!(2))
        );
        // The key is forgotten with the message.
        let (_, answer) = room.call(&server(), ApiOperation::Publish, r#"{"data":2,"key":"k"}"#);
        assert_eq!(answer["messages"][0]["offset"], 1);
        assert_eq!(answer["epoch"], "e2");
        room.hears_message(again, 2);
    });
}

#[test]
fn what_a_busy_room_gathered_is_stored_before_it_is_erased() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        room.skips_to_now();
        room.sends(ann, json!({ "type": "publish", "id": 9, "data": "late" }));
        room.call(&server(), ApiOperation::Erase, "");
        room.hears(ann, json!({ "type": "ack", "id": 9 }));
        room.hears_message(ann, "late");
        room.hears_close(ann, 4104, "room_closed");
        assert_eq!(room.stored_count(), 0);
    });
}

#[test]
fn a_member_may_ask_as_often_as_its_connection_may() {
    busy_scenario_with(
        |rules| (rules.rate.per_second, rules.rate.burst) = (2, 3),
        |room| {
            let mut asks = |user: &str, bound: Option<u32>| {
                let mut visitor = Visitor::named(user).who_can(&["presence"]);
                if let Some(most) = bound {
                    visitor = visitor.with_messages_per_second(most);
                }
                room.call(&visitor, ApiOperation::Members, "").0
            };
            for _ in 0..3 {
                assert_eq!(asks("ann", None), 200);
            }
            assert_eq!(asks("ann", None), 429);
            // Another has a bucket of its own, and perhaps a smaller one.
            assert_eq!(asks("bob", Some(1)), 200);
            assert_eq!(asks("bob", Some(1)), 429);
            room.pass_ms(500);
            assert_eq!(
                room.call(&able_as("ann", &["presence"]), ApiOperation::Members, "")
                    .0,
                200
            );
            assert_eq!(
                room.call(&able_as("ann", &["presence"]), ApiOperation::Members, "")
                    .0,
                429
            );
        },
    );
}

#[test]
fn each_message_of_the_back_ends_counts() {
    busy_scenario_with(
        |rules| (rules.serve_rate.per_second, rules.serve_rate.burst) = (10, 10),
        |room| {
            let ten = json!(vec![json!({ "data": 1 }); 10]).to_string();
            assert_eq!(room.call(&server(), ApiOperation::Publish, &ten).0, 201);
            assert_eq!(
                room.call(&server(), ApiOperation::Describe, ""),
                (429, "rate_limited".into())
            );
            room.pass_ms(100);
            assert_eq!(room.call(&server(), ApiOperation::Describe, "").0, 200);
        },
    );
}

/// The back end's own token.
fn server() -> Visitor {
    able(&["serve"])
}

fn able(capabilities: &[&str]) -> Visitor {
    able_as("server", capabilities)
}

fn able_as(user: &str, capabilities: &[&str]) -> Visitor {
    Visitor::named(user).who_can(capabilities)
}

fn kick(user: &str, query: &str) -> ApiOperation {
    ApiOperation::kick(UserId::parse(user).unwrap(), query).unwrap()
}
