//! The messages of one user, which the back end reads and deletes.

use serde_json::{Value, json};
use snug_core::{
    backend::{api::ApiOperation, webhook::EventKinds},
    config::RoomRules,
    limits::{PAGE_BYTES_MAX, REASON_BYTES_MAX, SEARCH_ENTRIES_MAX, USER_DELETIONS_MAX},
    rate::Rate,
};

use crate::driver::{
    EPOCH, START_MS, TestRoom, TestUser, gathering_scenario, hibernating_scenario_with, scenario,
    scenario_with,
};

#[test]
fn a_users_messages_are_read_as_they_are_now() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, "one");
        // Its content has the field of the author, too.
        room.publishes(bob, json!({ "user": "ann" }));
        room.publishes(ann, "two");
        room.sends(
            ann,
            json!({ "type": "edit", "of": 1, "data": "one, changed" }),
        );
        room.publishes(ann, "three");
        room.sends(ann, json!({ "type": "delete", "of": 3 }));
        room.sends(bob, json!({ "type": "react", "of": 5, "name": "+" }));
        let expected = json!([
            {
                "offset": 1, "time": START_MS, "user": "ann", "connection": ann.id(),
                "data": "one, changed", "version": 2, "changed": START_MS
            },
            {
                "offset": 3, "time": START_MS, "user": "ann", "deleted": true, "version": 2,
                "changed": START_MS
            },
            {
                "offset": 5, "time": START_MS, "user": "ann", "connection": ann.id(),
                "data": "three", "reactions": { "+": { "count": 1, "users": ["bob"] } }
            },
        ]);
        for query in ["user=ann", "user=ann&after=0"] {
            let page = json!({ "epoch": EPOCH, "messages": expected, "more": false });
            assert_eq!(read(room, query), page, "{query}");
        }
        assert_eq!(read(room, "user=cho")["messages"], json!([]));
    });
}

#[test]
fn a_users_messages_are_read_in_pages_from_either_end() {
    scenario(|room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        for number in 1..=4 {
            room.publishes(ann, number);
            room.publishes(bob, 0);
        }
        // The offsets are 1, 3, 5 and 7.
        for (query, offsets, cursor) in [
            ("limit=4", vec![1, 3, 5, 7], None),
            ("limit=3", vec![3, 5, 7], Some(2)),
            ("limit=3&before=2", vec![1], None),
            ("limit=4&after=0", vec![1, 3, 5, 7], None),
            ("limit=3&after=0", vec![1, 3, 5], Some(6)),
            ("limit=3&after=6", vec![7], None),
            ("before=1", vec![], None),
            ("after=7", vec![], None),
        ] {
            let query = format!("user=ann&{query}");
            assert_eq!(page(room, &query), (offsets, cursor), "{query}");
        }
    });
}

#[test]
fn a_search_ends_after_its_entries_and_goes_on_at_the_cursor() {
    let most = SEARCH_ENTRIES_MAX as u64;
    hibernating_scenario_with(unhurried, |room| {
        publish(room, "ann", 2);
        publish(room, "bob", most - 2);
        assert_eq!(page(room, "user=ann"), (vec![1, 2], None));
        publish(room, "bob", 1);
        assert_eq!(page(room, "user=ann"), (vec![2], Some(2)));
        assert_eq!(page(room, "user=ann&before=2"), (vec![1], None));
        assert_eq!(delete(room, "user=ann"), (1, Some(2)));
        // The deletion has become the newest entry.
        assert_eq!(delete(room, "user=ann"), (0, Some(3)));
        assert_eq!(delete(room, "user=ann&before=3"), (1, None));
        publish(room, "ann", 1);
        let last = most + 4;
        assert_eq!(page(room, "user=ann&after=0"), (vec![1, 2], Some(most)));
        assert_eq!(
            page(room, &format!("user=ann&after={most}")),
            (vec![last], None)
        );
    });
}

#[test]
fn a_page_of_a_users_messages_ends_early_at_its_byte_limit() {
    scenario_with(unhurried, |room| {
        let ann = room.join("ann");
        for data in ["a", "b", "c"] {
            room.publishes(ann, data);
        }
        let long = "x".repeat(PAGE_BYTES_MAX / 2);
        room.sends(ann, json!({ "type": "edit", "of": 2, "data": long }));
        room.sends(ann, json!({ "type": "edit", "of": 3, "data": long }));
        assert_eq!(page(room, "user=ann"), (vec![3], Some(3)));
        assert_eq!(page(room, "user=ann&before=3"), (vec![1, 2], None));
        assert_eq!(page(room, "user=ann&after=0"), (vec![1, 2], Some(2)));
        assert_eq!(page(room, "user=ann&after=2"), (vec![3], None));
    });
}

#[test]
fn all_that_a_user_has_said_is_deleted_by_changes() {
    let rules = |rules: &mut RoomRules| {
        rules.events = EventKinds::parse("message.published,message.changed").unwrap();
    };
    scenario_with(rules, |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.publishes(ann, "secret 1");
        room.publishes(bob, "kept");
        room.sends(
            bob,
            json!({ "type": "publish", "re": 1, "data": "kept, too" }),
        );
        room.sends(
            ann,
            json!({ "type": "publish", "re": 1, "data": "secret 2" }),
        );
        room.sends(ann, json!({ "type": "edit", "of": 5, "data": "secret 3" }));
        room.sends(ann, json!({ "type": "delete", "of": 1 }));
        room.publishes(ann, "secret 4");
        room.skips_received();
        let newest = room.newest();
        let (status, response) = room.calls_api(&server(), deletion("user=ann&reason=spam"), "");
        let deleted = json!({ "epoch": EPOCH, "deleted": 2, "more": false });
        assert_eq!((status, response), (200, deleted));
        for client in [ann, bob] {
            room.receives(
                client,
                json!({
                    "type": "change", "offset": newest + 1, "of": newest, "version": 2,
                    "action": "delete", "user": "server", "reason": "spam"
                }),
            );
            let other = json!({ "offset": newest + 2, "of": 5, "version": 3, "action": "delete" });
            room.receives(client, other);
            room.receives(
                client,
                json!({ "of": 1, "action": "replies", "replies": 1 }),
            );
            room.receives_nothing(client);
        }
        let stored = room.stored_messages() + &room.stored_events().join("\n");
        assert!(!stored.contains("secret"), "{stored}");
        assert_eq!(stored.matches("kept, too").count(), 2);
        let entries = read(room, "user=ann");
        let entries = entries["messages"].as_array().unwrap();
        assert_eq!(entries.len(), 3);
        assert!(entries.iter().all(|entry| entry["deleted"] == true));
        // A repeated request finds nothing more, and changes nothing.
        let newest = room.newest();
        assert_eq!(delete(room, "user=ann"), (0, None));
        assert_eq!(room.newest(), newest);
    });
}

#[test]
fn a_request_deletes_a_bounded_number_of_messages() {
    let most = u64::from(USER_DELETIONS_MAX);
    hibernating_scenario_with(unhurried, |room| {
        publish(room, "ann", most);
        publish(room, "bob", 1);
        assert_eq!(delete(room, "user=ann"), (most, None));
        publish(room, "cho", most + 1);
        let first = room.newest() - most;
        assert_eq!(delete(room, "user=cho"), (most, Some(first + 1)));
        let rest = format!("user=cho&before={}", first + 1);
        assert_eq!(delete(room, &rest), (1, None));
        assert_eq!(delete(room, "user=bob"), (1, None));
    });
}

#[test]
fn messages_that_wait_for_the_next_flush_are_deleted_and_the_response_waits_for_it() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        room.publishes(ann, "waits");
        let id = room.starts_api_request(&server(), deletion("user=ann"), "");
        assert!(!room.has_responded(id));
        room.flushes();
        let (status, response) = room.api_response(id);
        assert_eq!((status, &response["more"]), (200, &json!(false)));
        assert!(!room.stored_messages().contains("waits"));
    });
}

#[test]
fn each_deletion_counts_as_a_request() {
    let rules = |rules: &mut RoomRules| {
        rules.serve_rate = Rate {
            per_second: 1,
            burst: 20,
        };
    };
    hibernating_scenario_with(rules, |room| {
        publish(room, "ann", 10);
        room.pass_ms(30_000);
        assert_eq!(delete(room, "user=ann"), (10, None));
        let accepted =
            (0..20).filter(|_| room.calls_api(&server(), search("user=ann"), "").0 == 200);
        assert_eq!(accepted.count(), 10);
    });
}

#[test]
fn nothing_is_deleted_if_the_storage_fails() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, "kept");
        for request in [search("user=ann"), deletion("user=ann")] {
            room.storage_fails_once();
            let refused = room.calls_api(&server(), request, "");
            assert_eq!(refused, (500, "internal".into()));
        }
        assert_eq!(read(room, "user=ann")["messages"][0]["data"], "kept");
        assert_eq!(delete(room, "user=ann"), (1, None));
    });
}

#[test]
fn bad_requests_for_a_users_messages_have_a_clear_error() {
    let long = format!("user=ann&reason={}", "r".repeat(REASON_BYTES_MAX + 1));
    let user = "'user' must be a user id of 1 to 128 bytes";
    for (query, text) in [
        ("", "'user' is missing: the user whose messages to delete"),
        (
            "reason=spam",
            "'user' is missing: the user whose messages to delete",
        ),
        ("user=", user),
        ("user=a%0Ab", user),
        ("user=ann&before=x", "'before' must be a whole number"),
        (
            "user=ann&before=9007199254740992",
            "'before' must be a whole number",
        ),
        (&long, "'reason' must be at most 256 bytes"),
        (
            "user=ann&limit=1",
            "The query option 'limit' is unknown; this request has 'before', 'reason' and 'user'",
        ),
    ] {
        let refusal = ApiOperation::delete_messages(query).unwrap_err();
        assert_eq!(refusal.status(), 400);
        assert_eq!(refusal.detail(), text, "{query}");
    }
    let (exact, over) = ("u".repeat(128), "u".repeat(129));
    assert!(ApiOperation::messages(&format!("user={exact}")).is_ok());
    for (query, text) in [
        ("user=", user),
        (&*format!("user={over}"), user),
        ("user=ann&re=1", "'re' and 'user' cannot be used together"),
        (
            "user=ann&after=1&before=2",
            "'after' and 'before' cannot be used together",
        ),
        (
            "user=ann&reason=x",
            "The query option 'reason' is unknown; this request has 'after', 'before', 'limit', 're' and 'user'",
        ),
    ] {
        let refusal = ApiOperation::messages(query).unwrap_err();
        assert_eq!(refusal.status(), 400);
        assert_eq!(refusal.detail(), text, "{query}");
    }
}

/// Lets the back end call without a limit of its rate.
fn unhurried(rules: &mut RoomRules) {
    let rate = Rate {
        per_second: 1_000_000,
        burst: 1_000_000,
    };
    (rules.rate, rules.serve_rate) = (rate, rate);
    rules.message_bytes_max = PAGE_BYTES_MAX;
    rules.retention.messages_max = 1_000_000;
}

fn server() -> TestUser {
    TestUser::named("server").with_capabilities(&["serve"])
}

fn search(query: &str) -> ApiOperation {
    ApiOperation::messages(query).unwrap()
}

fn deletion(query: &str) -> ApiOperation {
    ApiOperation::delete_messages(query).unwrap()
}

/// Publishes a number of messages.
#[track_caller]
fn publish(room: &mut TestRoom, user: &str, mut count: u64) {
    while count > 0 {
        let some = count.min(100);
        let messages = vec![json!({ "user": user, "data": "x" }); some as usize];
        let body = Value::from(messages).to_string();
        assert_eq!(
            room.calls_api(&server(), ApiOperation::Publish, &body).0,
            201
        );
        count -= some;
    }
}

#[track_caller]
fn read(room: &mut TestRoom, query: &str) -> Value {
    let (status, page) = room.calls_api(&server(), search(query), "");
    assert_eq!(status, 200);
    page
}

/// Reads a page, and returns its offsets and the cursor.
#[track_caller]
fn page(room: &mut TestRoom, query: &str) -> (Vec<u64>, Option<u64>) {
    let page = read(room, query);
    let messages = page["messages"].as_array().unwrap();
    let offsets = messages.iter().map(|one| one["offset"].as_u64().unwrap());
    (offsets.collect(), cursor(&page))
}

/// Deletes a user's messages, and returns their number and the cursor.
#[track_caller]
fn delete(room: &mut TestRoom, query: &str) -> (u64, Option<u64>) {
    let (status, response) = room.calls_api(&server(), deletion(query), "");
    assert_eq!(status, 200);
    (response["deleted"].as_u64().unwrap(), cursor(&response))
}

fn cursor(response: &Value) -> Option<u64> {
    let cursor = response
        .get("cursor")
        .map(|cursor| cursor.as_u64().unwrap());
    assert_eq!(response["more"], cursor.is_some());
    cursor
}
