//! Webhooks: events, deliveries, retries and dead events.

use serde_json::{Value, json};
use snug_core::{
    backend::{api::ApiOperation, webhook::EventKinds},
    config::RoomRules,
    limits::{
        API_MESSAGES_MAX, DEAD_EVENTS_BYTES_MAX, DEAD_EVENTS_MAX, DELIVERY_EVENTS_MAX,
        DELIVERY_LOST_MS, DELIVERY_WINDOW_MS, EVENT_MS_MAX, EVENTS_BYTES_MAX, FRAME_BYTES_MAX,
        RETRY_MS_MAX, VACATED_MS,
    },
    room::io::DeliveryOutcome::{Accepted, Failed},
};

use crate::driver::{
    EPOCH, START_MS, TestRoom, TestUser, gathering_scenario_with, scenario, scenario_with,
};

pub fn with_events(kinds: &'static str) -> impl Fn(&mut RoomRules) {
    move |rules| rules.events = EventKinds::parse(kinds).unwrap()
}

pub const REFUSED: snug_core::room::io::DeliveryOutcome = Failed {
    retry_after_ms: None,
};

#[test]
fn events_cover_a_members_stay_from_join_to_leave() {
    scenario_with(with_events("*"), |room| {
        let ann = room.admit(TestUser::named("ann").with_info(json!({ "name": "Ann" })));
        room.publishes(ann, "hello");
        room.leaves(ann);
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(
            room.last_delivery(),
            [
                json!({ "id": "room-1", "seq": 1, "type": "room.occupied", "time": START_MS }),
                json!({
                    "id": "room-2",
                    "seq": 2,
                    "type": "member.joined",
                    "time": START_MS,
                    "user": "ann",
                    "info": { "name": "Ann" },
                }),
                json!({
                    "id": "room-3",
                    "seq": 3,
                    "type": "message.published",
                    "time": START_MS,
                    "epoch": EPOCH,
                    "message": {
                        "offset": 1,
                        "time": START_MS,
                        "user": "ann",
                        "connection": ann.id(),
                        "info": { "name": "Ann" },
                        "data": "hello",
                    },
                }),
                json!({
                    "id": "room-4",
                    "seq": 4,
                    "type": "member.left",
                    "time": START_MS,
                    "user": "ann",
                }),
            ]
        );
        room.back_end_responds(Accepted);
        assert!(room.stored_events().is_empty());
        room.pass_ms(VACATED_MS);
        assert_eq!(kinds(&room.last_delivery()), ["room.vacated"]);
        assert_eq!(room.last_delivery()[0]["seq"], 5);
        room.back_end_responds(Accepted);
        room.pass_ms(EVENT_MS_MAX);
        assert!(room.has_no_delivery());
    });
}

#[test]
fn without_selected_events_nothing_is_stored() {
    scenario(|room| {
        let ann = room.join("ann");
        room.publishes(ann, 1);
        room.leaves(ann);
        assert!(room.stored_events().is_empty());
        room.pass_ms(60_000);
        assert!(room.has_no_delivery());
    });
}

#[test]
fn only_selected_events_are_sent() {
    scenario_with(with_events("member.left"), |room| {
        let ann = room.join("ann");
        room.publishes(ann, 1);
        room.leaves(ann);
        assert_eq!(room.stored_events().len(), 1);
        room.pass_ms(60_000);
        assert_eq!(kinds(&room.last_delivery()), ["member.left"]);
    });
}

#[test]
fn extra_tabs_and_quick_reconnects_cause_no_member_events() {
    scenario_with(with_events("member.joined,member.left"), |room| {
        let (one, two) = (room.join("ann"), room.join("ann"));
        room.leaves(one);
        room.drops(two);
        room.pass_ms(4_000);
        let three = room.join("ann");
        room.pass_ms(60_000);
        assert_eq!(kinds(&room.last_delivery()), ["member.joined"]);
        room.back_end_responds(Accepted);
        room.drops(three);
        room.pass_ms(5_000);
        assert_eq!(room.stored_events().len(), 1);
    });
}

#[test]
fn a_page_reload_causes_neither_occupied_nor_vacated() {
    scenario_with(with_events("room.occupied,room.vacated"), |room| {
        let ann = room.join("ann");
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(kinds(&room.last_delivery()), ["room.occupied"]);
        room.back_end_responds(Accepted);
        room.leaves(ann);
        room.pass_ms(VACATED_MS - 1);
        let again = room.join("ann");
        room.pass_ms(VACATED_MS);
        assert!(room.stored_events().is_empty());
        // Joins and leaves in an occupied room change nothing.
        room.join("bob");
        room.leaves(again);
        room.pass_ms(60_000);
        assert!(room.stored_events().is_empty() && room.has_no_delivery());
    });
}

#[test]
fn erasing_a_room_causes_leaves_and_vacated() {
    scenario_with(with_events("member.left,room.vacated"), |room| {
        room.join("ann");
        let bob = room.join("bob");
        room.drops(bob);
        let server = TestUser::named("server").with_capabilities(&["serve", "moderate"]);
        room.calls_api(&server, ApiOperation::Erase, "");
        assert_eq!(room.stored_events().len(), 2);
        room.pass_ms(VACATED_MS);
        assert_eq!(kinds(&room.last_delivery()), ["member.left", "member.left"]);
        room.back_end_responds(Accepted);
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(kinds(&room.last_delivery()), ["room.vacated"]);
    });
}

#[test]
fn events_are_collected_for_the_delivery_window() {
    scenario_with(with_events("member.joined"), |room| {
        room.join("ann");
        room.pass_ms(DELIVERY_WINDOW_MS - 1);
        room.join("bob");
        assert!(room.has_no_delivery());
        room.pass_ms(1);
        assert_eq!(room.last_delivery().len(), 2);
        // An event during a delivery is in the next one, after its own delivery window.
        room.join("cho");
        room.pass_ms(DELIVERY_WINDOW_MS);
        room.back_end_responds(Accepted);
        room.skips_received();
        room.pass_ms(0);
        assert_eq!(room.last_delivery()[0]["user"], "cho");
    });
}

#[test]
fn a_full_delivery_is_sent_at_once_and_the_rest_follows() {
    scenario_with(with_events("message.published"), |room| {
        let server = TestUser::named("server").with_capabilities(&["serve"]);
        let publish = |room: &mut TestRoom, count: usize| {
            let body = json!(vec![json!({ "data": 1 }); count]).to_string();
            room.calls_api(&server, ApiOperation::Publish, &body);
        };
        publish(room, DELIVERY_EVENTS_MAX - 1);
        room.pass_ms(0);
        assert!(room.has_no_delivery());
        publish(room, 50);
        room.pass_ms(0);
        assert_eq!(room.last_delivery().len(), DELIVERY_EVENTS_MAX);
        publish(room, 60);
        room.back_end_responds(Accepted);
        room.pass_ms(0);
        // The delivery begins within the row in which the last one ended.
        let offsets: Vec<_> = room
            .last_delivery()
            .iter()
            .map(|it| it["message"]["offset"].as_u64().unwrap())
            .collect();
        assert!(offsets.into_iter().eq(101..=200));
        room.back_end_responds(Accepted);
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(room.last_delivery().len(), 9);
    });
}

#[test]
fn a_failed_delivery_is_retried_with_growing_delays() {
    scenario_with(with_events("member.joined"), |room| {
        room.join("ann");
        room.pass_ms(DELIVERY_WINDOW_MS);
        let events = room.last_delivery();
        for pause_ms in [1_000, 2_000, 4_000, 8_000] {
            room.back_end_responds(REFUSED);
            room.pass_ms(pause_ms - 1);
            assert!(room.has_no_delivery(), "{pause_ms}");
            room.join("bob");
            room.pass_ms(1);
            // The retry is identical, so it has the same id.
            assert_eq!(room.last_delivery(), events);
        }
        room.back_end_responds(Failed {
            retry_after_ms: Some(60_000),
        });
        room.pass_ms(59_999);
        assert!(room.has_no_delivery());
        room.pass_ms(1);
        assert_eq!(room.last_delivery(), events);
        room.back_end_responds(Accepted);
        room.pass_ms(0);
        assert_eq!(room.last_delivery()[0]["user"], "bob");
        room.back_end_responds(Accepted);
        assert!(room.stored_events().is_empty());
        // After a success, the delays start again.
        room.join("cho");
        room.pass_ms(DELIVERY_WINDOW_MS);
        room.back_end_responds(REFUSED);
        room.pass_ms(1_000);
        assert_eq!(room.last_delivery()[0]["user"], "cho");
    });
}

#[test]
fn after_a_day_an_event_becomes_a_dead_event_that_can_be_read() {
    scenario_with(with_events("member.joined"), |room| {
        let server = TestUser::named("server").with_capabilities(&["serve"]);
        room.join("ann");
        let mut attempts = 0;
        while room.calls_api(&server, ApiOperation::Describe, "").1["webhooks"]["dead"] == 0 {
            room.pass_ms(RETRY_MS_MAX);
            if !room.has_no_delivery() {
                room.back_end_responds(REFUSED);
                attempts += 1;
            }
            assert!(attempts < 200);
        }
        assert!(attempts > 90, "{attempts}");
        assert!(
            (EVENT_MS_MAX..EVENT_MS_MAX + 2 * RETRY_MS_MAX).contains(&(room.now_ms() - START_MS))
        );
        let (_, numbers) = room.calls_api(&server, ApiOperation::Describe, "");
        assert_eq!(numbers["webhooks"], json!({ "pending": 0, "dead": 1 }));
        let dead = |query: &str| ApiOperation::dead_events(query).unwrap();
        let (status, page) = room.calls_api(&server, dead(""), "");
        assert_eq!((status, &page["more"]), (200, &json!(false)));
        assert_eq!(page["events"][0]["user"], "ann");
        assert_eq!(
            room.calls_api(&server, dead("after=1"), "").1["events"],
            json!([])
        );
        // Later events are still delivered, and erasing the room deletes the dead events.
        room.join("bob");
        room.pass_ms(RETRY_MS_MAX);
        assert_eq!(room.last_delivery()[0]["seq"], 2);
        room.back_end_responds(Accepted);
        room.calls_api(&server, ApiOperation::Erase, "");
        assert_eq!(room.calls_api(&server, dead(""), "").1["events"], json!([]));
        assert_eq!(
            room.calls_api(&server, ApiOperation::Describe, "").1["webhooks"]["dead"],
            0
        );
    });
}

#[test]
fn the_newest_dead_events_are_kept_and_read_in_pages() {
    let kept = DEAD_EVENTS_MAX as usize;
    scenario_with(with_events("message.published"), |room| {
        let server = TestUser::named("server").with_capabilities(&["serve"]);
        let body = json!(vec![json!({ "data": 1 }); 100]).to_string();
        for _ in 0..=kept / 100 {
            room.calls_api(&server, ApiOperation::Publish, &body);
        }
        room.pass_ms(EVENT_MS_MAX);
        while !room.stored_events().is_empty() {
            room.pass_ms(RETRY_MS_MAX);
            if !room.has_no_delivery() {
                room.back_end_responds(REFUSED);
            }
        }
        let seqs = dead_seqs(room);
        assert!(seqs.into_iter().eq(101..=100 + DEAD_EVENTS_MAX));
    });
    for query in ["limit=0", "limit=101", "limit=x", "after=-1"] {
        assert_eq!(
            ApiOperation::dead_events(query).unwrap_err().code(),
            "bad_request"
        );
    }
}

#[test]
fn a_delivery_without_a_response_counts_as_failed() {
    scenario_with(with_events("member.joined"), |room| {
        room.join("ann");
        room.pass_ms(DELIVERY_WINDOW_MS);
        let events = room.last_delivery();
        room.pass_ms(DELIVERY_LOST_MS + 1_000);
        assert_eq!(room.last_delivery(), events);
        room.back_end_responds(Accepted);
        // The late response to the first delivery is ignored.
        room.back_end_responds(REFUSED);
        assert!(room.stored_events().is_empty());
        room.pass_ms(60_000);
        assert!(room.has_no_delivery());
    });
}

#[test]
fn a_late_response_does_not_settle_another_delivery() {
    scenario_with(with_events("member.joined"), |room| {
        room.join("ann");
        room.pass_ms(DELIVERY_WINDOW_MS);
        room.crashes();
        room.join("bob");
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(room.last_delivery().len(), 2);
        room.back_end_responds_to_first(REFUSED);
        room.back_end_responds(Accepted);
        assert!(room.stored_events().is_empty());
        room.pass_ms(60_000);
        assert!(room.has_no_delivery());
    });
}

#[test]
fn a_crash_loses_no_event_and_missing_members_leave() {
    scenario_with(with_events("*"), |room| {
        let ann = room.join("ann");
        room.join("bob");
        room.publishes(ann, "hello");
        let stored: Vec<String> = room
            .stored_events()
            .iter()
            .map(|one| (*one).into())
            .collect();
        room.crashes();
        assert_eq!(room.stored_events(), stored);
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(room.last_delivery().len(), 4);
        room.crashes();
        room.join("bob");
        room.pass_ms(DELIVERY_WINDOW_MS);
        // Sent again, because the crash lost the response.
        assert_eq!(room.last_delivery().len(), 4);
        room.back_end_responds(Accepted);
        room.back_end_responds(Accepted);
        room.pass_ms(60_000);
        let left = room.last_delivery();
        assert_eq!(kinds(&left), ["member.left"]);
        assert_eq!(left[0]["user"], "ann");
    });
}

#[test]
fn an_empty_room_that_crashed_is_vacated() {
    scenario_with(with_events("room.vacated"), |room| {
        room.join("ann");
        room.crashes();
        room.pass_ms(VACATED_MS);
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(kinds(&room.last_delivery()), ["room.vacated"]);
    });
}

#[test]
fn a_message_that_is_not_stored_causes_no_event() {
    gathering_scenario_with(with_events("message.published"), |room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        let before = room.stored_events().len();
        room.publishes(ann, "lost");
        room.storage_fails_once();
        room.flushes();
        assert_eq!(room.stored_events().len(), before);
        room.publishes(ann, "kept");
        room.settles();
        assert_eq!(room.stored_events().len(), before + 1);
    });
}

#[test]
fn events_that_could_not_be_stored_are_stored_with_the_next_one() {
    gathering_scenario_with(with_events("member.joined"), |room| {
        room.storage_fails_once();
        room.join("ann");
        assert!(room.stored_events().is_empty());
        room.join("bob");
        assert_eq!(room.stored_events().len(), 2);
    });
}

#[test]
fn message_events_precede_later_joins_and_leaves() {
    gathering_scenario_with(with_events("*"), |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(bob);
        let before = room.stored_events().len();
        room.publishes(ann, "goodbye");
        room.leaves(ann);
        room.join("cho");
        room.settles();
        let stored = room.stored_events();
        let later: Vec<Value> = stored[before..]
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(kinds(&later), ["message", "member.left", "member.joined"]);
    });
}

#[test]
fn a_member_who_joined_during_a_storage_fault_is_reported_after_the_restore() {
    gathering_scenario_with(with_events("*"), |room| {
        let ann = room.join("ann");
        room.admit(TestUser::named("eve").expiring_after_ms(60_000));
        room.pass_ms(64_998);
        // The second message waits, and is flushed when eve's token expires.
        room.publishes(ann, 1);
        room.publishes(ann, 2);
        assert!(room.is_gathering());
        room.alarm_is_late_by_ms(2);
        room.storage_fails_once();
        let bob = room.join("bob");
        assert_eq!(
            room.take_rows().last().map(|row| row.is_stored),
            Some(false)
        );
        room.settles();
        room.restore();
        room.leaves(bob);
        let stored = room.stored_events();
        let of_bob: Vec<Value> = stored
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|event: &Value| event["user"] == "bob")
            .collect();
        assert_eq!(kinds(&of_bob), ["member.joined", "member.left"]);
    });
}

#[test]
fn any_number_of_members_can_leave_at_once() {
    gathering_scenario_with(with_events("member.left"), |room| {
        let names = || (100..600).map(|number| format!("{number}{}", "n".repeat(125)));
        let all_have_left = |room: &TestRoom| {
            let stored = room.stored_events();
            let is_of = |(line, name): (&str, String)| line.contains(&name);
            stored.len() == names().count() && stored.into_iter().zip(names()).all(is_of)
        };
        for name in names() {
            room.join(&name);
        }
        room.settles();
        room.crashes();
        room.alarm_is_late_by_ms(5_000);
        room.storage_fails_once();
        room.on_timeout();
        assert!(room.stored_events().is_empty());
        room.on_timeout();
        assert!(all_have_left(room));
    });
}

#[test]
fn a_room_with_many_members_can_be_erased() {
    gathering_scenario_with(with_events("member.left"), |room| {
        for number in 0..500 {
            room.join(&format!("{number}{}", "n".repeat(125)));
        }
        room.settles();
        let server = TestUser::named("server").with_capabilities(&["serve"]);
        room.calls_api(&server, ApiOperation::Erase, "");
        assert_eq!(room.stored_events().len(), 500);
    });
}

#[test]
fn dead_events_are_kept_even_if_storage_fails_at_first() {
    gathering_scenario_with(with_events("member.joined"), |room| {
        room.join("ann");
        room.pass_ms(DELIVERY_WINDOW_MS);
        while room.now_ms() < START_MS + EVENT_MS_MAX {
            room.back_end_responds(REFUSED);
            while room.has_no_delivery() {
                room.pass_ms(1_000);
            }
        }
        room.storage_fails_once();
        room.back_end_responds(REFUSED);
        let server = TestUser::named("server").with_capabilities(&["serve", "presence"]);
        room.calls_api(&server, ApiOperation::Members, "");
        let (_, dead) = room.calls_api(&server, ApiOperation::dead_events("").unwrap(), "");
        assert_eq!(dead["events"][0]["user"], "ann");
        assert!(room.stored_events().is_empty());
    });
}

#[test]
fn messages_that_are_not_retained_still_cause_events() {
    let rules = |rules: &mut RoomRules| {
        rules.retention.messages_max = 0;
        with_events("message.published")(rules);
    };
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        room.publishes(ann, "hello");
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(room.last_delivery()[0]["message"]["data"], "hello");
    });
}

#[test]
fn pending_events_are_limited_to_the_byte() {
    for too_many in [0, 1] {
        scenario_with(with_events("message.published"), |room| {
            publishes_for(room, "ann", 1, 1);
            let bytes = room.stored_events()[0].len() as u64;
            room.fills_event_storage(EVENTS_BYTES_MAX - 2 * bytes + too_many);
            publishes_for(room, "ann", 1, 1);
            assert_eq!(room.stored_events().len() as u64, 3 - too_many);
            publishes_for(room, "ann", 1, 1);
            assert_eq!(room.stored_events().len() as u64, 3 - too_many);
            let expected = json!({ "pending": 3 - too_many, "dead": 1 + too_many });
            assert_eq!(webhook_counts(room), expected);
        });
    }
}

#[test]
fn a_user_who_floods_the_queue_of_events_loses_their_own() {
    scenario_with(with_events("message.published"), |room| {
        publishes_for(room, "cho", 1, 1);
        room.fills_event_storage(EVENTS_BYTES_MAX - 1_000_000);
        // Mallory's events find a place until as many bytes as they take are left for the others.
        publishes_for(room, "mallory", 100, 10_000);
        publishes_for(room, "ann", 40, 10_000);
        let (mallory, ann): (Vec<_>, Vec<_>) = (room.stored_events().into_iter())
            .filter(|line| line.contains("xxx"))
            .partition(|line| line.contains(r#""user":"mallory""#));
        assert_eq!((mallory.len(), ann.len()), (50, 25));
        let expected = json!({ "pending": 2 + 50 + 25, "dead": 50 + 15 });
        assert_eq!(webhook_counts(room), expected);
        // The receiver sees a hole where events were lost, and can read them.
        let mut seqs = dead_seqs(room);
        while !room.stored_events().is_empty() {
            room.pass_ms(DELIVERY_WINDOW_MS);
            let delivered = room.last_delivery();
            seqs.extend(delivered.iter().map(|event| event["seq"].as_u64().unwrap()));
            room.back_end_responds(Accepted);
        }
        seqs.sort_unstable();
        assert!(seqs.into_iter().eq(1..=2 + 100 + 40));
        // When the queue is short again, mallory's events find a place.
        publishes_for(room, "mallory", 100, 10_000);
        assert_eq!(webhook_counts(room), json!({ "pending": 100, "dead": 65 }));
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(room.last_delivery()[0]["seq"], 2 + 100 + 40 + 1);
    });
}

#[test]
fn lost_events_of_members_who_come_and_go_have_a_seq() {
    scenario_with(with_events("member.joined,member.left"), |room| {
        room.join("ann");
        room.fills_event_storage(EVENTS_BYTES_MAX);
        let bob = room.join("bob");
        room.leaves(bob);
        room.settles();
        assert_eq!(webhook_counts(room), json!({ "pending": 2, "dead": 2 }));
        assert_eq!(dead_seqs(room), [3, 4]);
        room.pass_ms(DELIVERY_WINDOW_MS);
        room.back_end_responds(Accepted);
        assert_eq!(webhook_counts(room), json!({ "pending": 0, "dead": 2 }));
        room.join("cho");
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(room.last_delivery()[0]["seq"], 5);
    });
}

#[test]
fn dead_events_of_one_user_do_not_displace_those_of_others() {
    let rules = |rules: &mut RoomRules| {
        with_events("message.published")(rules);
        rules.message_bytes_max = FRAME_BYTES_MAX;
        rules.serve_rate.burst = 10_000;
    };
    scenario_with(rules, |room| {
        publishes_for(room, "ann", 1, 1);
        room.fills_event_storage(EVENTS_BYTES_MAX);
        publishes_for(room, "ann", 3, 1);
        publishes_for(room, "mallory", DEAD_EVENTS_MAX as usize, 1);
        let seqs = dead_seqs(room);
        assert_eq!(seqs.len() as u64, DEAD_EVENTS_MAX);
        assert_eq!(seqs[..4], [3, 4, 5, 9]);
        assert_eq!(
            webhook_counts(room)["dead"].as_u64(),
            Some(3 + DEAD_EVENTS_MAX)
        );
        // Long ones count more than short ones.
        publishes_for(room, "mallory", 2, DEAD_EVENTS_BYTES_MAX as usize / 20);
        let seqs = dead_seqs(room);
        assert_eq!(seqs[..3], [3, 4, 5]);
        // Each takes the place of a little more than 50.
        assert_eq!(seqs.len() as u64, DEAD_EVENTS_MAX - 101 + 2);
    });
}

/// Publishes messages of a user, with `bytes` bytes of data each: as many as possible in one request.
fn publishes_for(room: &mut TestRoom, user: &str, count: usize, bytes: usize) {
    let server = TestUser::named("server").with_capabilities(&["serve"]);
    let message = json!({ "user": user, "data": "x".repeat(bytes) });
    let mut left = count;
    while left > 0 {
        let messages = left.min(API_MESSAGES_MAX).min(1 + 100_000 / bytes);
        let body = json!(vec![&message; messages]).to_string();
        let response = room.calls_api(&server, ApiOperation::Publish, &body);
        assert_eq!(response.0, 201);
        left -= messages;
    }
}

fn webhook_counts(room: &mut TestRoom) -> Value {
    let server = TestUser::named("server").with_capabilities(&["serve"]);
    let (_, mut status) = room.calls_api(&server, ApiOperation::Describe, "");
    status["webhooks"].take()
}

/// Returns the seqs of all dead events.
fn dead_seqs(room: &mut TestRoom) -> Vec<u64> {
    let server = TestUser::named("server").with_capabilities(&["serve"]);
    let mut seqs = Vec::new();
    loop {
        let after = seqs.last().copied().unwrap_or(0_u64);
        let operation = ApiOperation::dead_events(&format!("after={after}&limit=100")).unwrap();
        let (_, page) = room.calls_api(&server, operation, "");
        let events = page["events"].as_array().unwrap().iter();
        seqs.extend(events.map(|event| event["seq"].as_u64().unwrap()));
        if page["more"] == false {
            return seqs;
        }
    }
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}
