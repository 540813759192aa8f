//! What the back end is told, when, and what becomes of it where the back end does not listen.

use serde_json::{Value, json};
use snug_core::{
    backend::{api::ApiOperation, webhook::EventKinds},
    config::RoomRules,
    limits::{
        DEAD_EVENTS_MAX, DELIVERY_EVENTS_MAX, DELIVERY_LOST_MS, DELIVERY_WINDOW_MS, EVENT_MS_MAX,
        EVENTS_BYTES_MAX, RETRY_MS_MAX, VACATED_MS,
    },
    room::io::DeliveryOutcome::{Failed, Taken},
};

use crate::driver::{
    EPOCH, START_MS, TestRoom, Visitor, gathering_scenario_with, scenario, scenario_with,
};

fn told(kinds: &'static str) -> impl Fn(&mut RoomRules) {
    move |rules| rules.events = EventKinds::parse(kinds).unwrap()
}

const REFUSED: snug_core::room::io::DeliveryOutcome = Failed {
    retry_after_ms: None,
};

#[test]
fn a_visit_is_told_from_its_beginning_to_its_end() {
    scenario_with(told("*"), |room| {
        let ann = room.admit(Visitor::named("ann").with_info(json!({ "name": "Ann" })));
        room.says(ann, "hello");
        room.leaves(ann);
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(
            room.is_told(),
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
        room.back_end_answers(Taken);
        assert!(room.stored_events().is_empty());
        room.pass_ms(VACATED_MS);
        assert_eq!(kinds(&room.is_told()), ["room.vacated"]);
        assert_eq!(room.is_told()[0]["seq"], 5);
        room.back_end_answers(Taken);
        room.pass_ms(EVENT_MS_MAX);
        assert!(room.tells_nothing());
    });
}

#[test]
fn where_nothing_is_to_be_told_nothing_is_written() {
    scenario(|room| {
        let ann = room.join("ann");
        room.says(ann, 1);
        room.leaves(ann);
        assert!(room.stored_events().is_empty());
        room.pass_ms(60_000);
        assert!(room.tells_nothing());
    });
}

#[test]
fn only_what_was_chosen_is_told() {
    scenario_with(told("member.left"), |room| {
        let ann = room.join("ann");
        room.says(ann, 1);
        room.leaves(ann);
        assert_eq!(room.stored_events().len(), 1);
        room.pass_ms(60_000);
        assert_eq!(kinds(&room.is_told()), ["member.left"]);
    });
}

#[test]
fn members_are_told_once_however_many_tabs_and_after_the_grace() {
    scenario_with(told("member.joined,member.left"), |room| {
        let (one, two) = (room.join("ann"), room.join("ann"));
        room.leaves(one);
        room.drops(two);
        room.pass_ms(4_000);
        let three = room.join("ann");
        room.pass_ms(60_000);
        assert_eq!(kinds(&room.is_told()), ["member.joined"]);
        room.back_end_answers(Taken);
        room.drops(three);
        room.pass_ms(5_000);
        assert_eq!(room.stored_events().len(), 1);
    });
}

#[test]
fn a_page_that_is_loaded_again_is_neither_occupied_nor_vacated() {
    scenario_with(told("room.occupied,room.vacated"), |room| {
        let ann = room.join("ann");
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(kinds(&room.is_told()), ["room.occupied"]);
        room.back_end_answers(Taken);
        room.leaves(ann);
        room.pass_ms(VACATED_MS - 1);
        let again = room.join("ann");
        room.pass_ms(VACATED_MS);
        assert!(room.stored_events().is_empty());
        // Another who comes to others is no news.
        room.join("bob");
        room.leaves(again);
        room.pass_ms(60_000);
        assert!(room.stored_events().is_empty() && room.tells_nothing());
    });
}

#[test]
fn a_kicked_and_an_erased_room_are_told_of_too() {
    scenario_with(told("member.left,room.vacated"), |room| {
        room.join("ann");
        let bob = room.join("bob");
        room.drops(bob);
        let server = Visitor::named("server").who_can(&["serve", "moderate"]);
        room.call(&server, ApiOperation::Erase, "");
        assert_eq!(room.stored_events().len(), 2);
        room.pass_ms(VACATED_MS);
        assert_eq!(kinds(&room.is_told()), ["member.left", "member.left"]);
        room.back_end_answers(Taken);
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(kinds(&room.is_told()), ["room.vacated"]);
    });
}

#[test]
fn events_wait_for_others_but_not_longer_than_a_moment() {
    scenario_with(told("member.joined"), |room| {
        room.join("ann");
        room.pass_ms(DELIVERY_WINDOW_MS - 1);
        room.join("bob");
        assert!(room.tells_nothing());
        room.pass_ms(1);
        assert_eq!(room.is_told().len(), 2);
        // What comes meanwhile goes with the next, a moment after it came.
        room.join("cho");
        room.pass_ms(DELIVERY_WINDOW_MS);
        room.back_end_answers(Taken);
        room.skips_to_now();
        room.pass_ms(0);
        assert_eq!(room.is_told()[0]["user"], "cho");
    });
}

#[test]
fn a_hundred_go_at_once_and_the_rest_right_after_them() {
    scenario_with(told("message.published"), |room| {
        let server = Visitor::named("server").who_can(&["serve"]);
        let publish = |room: &mut TestRoom, count: usize| {
            let body = json!(vec![json!({ "data": 1 }); count]).to_string();
            room.call(&server, ApiOperation::Publish, &body);
        };
        publish(room, DELIVERY_EVENTS_MAX - 1);
        room.pass_ms(0);
        assert!(room.tells_nothing());
        publish(room, 50);
        room.pass_ms(0);
        assert_eq!(room.is_told().len(), DELIVERY_EVENTS_MAX);
        publish(room, 60);
        room.back_end_answers(Taken);
        room.pass_ms(0);
        // It begins within the row that the last one ended in.
        let offsets: Vec<_> = room
            .is_told()
            .iter()
            .map(|it| it["message"]["offset"].as_u64().unwrap())
            .collect();
        assert!(offsets.into_iter().eq(101..=200));
        room.back_end_answers(Taken);
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(room.is_told().len(), 9);
    });
}

#[test]
fn what_is_not_taken_is_sent_again_with_growing_pauses() {
    scenario_with(told("member.joined"), |room| {
        room.join("ann");
        room.pass_ms(DELIVERY_WINDOW_MS);
        let events = room.is_told();
        for pause_ms in [1_000, 2_000, 4_000, 8_000] {
            room.back_end_answers(REFUSED);
            room.pass_ms(pause_ms - 1);
            assert!(room.tells_nothing(), "{pause_ms}");
            room.join("bob");
            room.pass_ms(1);
            // As it was, so that it has the id that it had.
            assert_eq!(room.is_told(), events);
        }
        room.back_end_answers(Failed {
            retry_after_ms: Some(60_000),
        });
        room.pass_ms(59_999);
        assert!(room.tells_nothing());
        room.pass_ms(1);
        assert_eq!(room.is_told(), events);
        room.back_end_answers(Taken);
        room.pass_ms(0);
        assert_eq!(room.is_told()[0]["user"], "bob");
        room.back_end_answers(Taken);
        assert!(room.stored_events().is_empty());
        // The next failure is a first one again.
        room.join("cho");
        room.pass_ms(DELIVERY_WINDOW_MS);
        room.back_end_answers(REFUSED);
        room.pass_ms(1_000);
        assert_eq!(room.is_told()[0]["user"], "cho");
    });
}

#[test]
fn after_a_day_an_event_is_dead_and_can_be_read() {
    scenario_with(told("member.joined"), |room| {
        let server = Visitor::named("server").who_can(&["serve"]);
        room.join("ann");
        let mut attempts = 0;
        while room.call(&server, ApiOperation::Describe, "").1["webhooks"]["dead"] == 0 {
            room.pass_ms(RETRY_MS_MAX);
            if !room.tells_nothing() {
                room.back_end_answers(REFUSED);
                attempts += 1;
            }
            assert!(attempts < 200);
        }
        assert!(attempts > 90, "{attempts}");
        assert!(
            (EVENT_MS_MAX..EVENT_MS_MAX + 2 * RETRY_MS_MAX).contains(&(room.now_ms() - START_MS))
        );
        let (_, numbers) = room.call(&server, ApiOperation::Describe, "");
        assert_eq!(numbers["webhooks"], json!({ "pending": 0, "dead": 1 }));
        let dead = |query: &str| ApiOperation::dead_events(query).unwrap();
        let (status, page) = room.call(&server, dead(""), "");
        assert_eq!((status, &page["more"]), (200, &json!(false)));
        assert_eq!(page["events"][0]["user"], "ann");
        assert_eq!(
            room.call(&server, dead("after=1"), "").1["events"],
            json!([])
        );
        // The ones after it go on, and the dead go with the room.
        room.join("bob");
        room.pass_ms(RETRY_MS_MAX);
        assert_eq!(room.is_told()[0]["seq"], 2);
        room.back_end_answers(Taken);
        room.call(&server, ApiOperation::Erase, "");
        assert_eq!(room.call(&server, dead(""), "").1["events"], json!([]));
        assert_eq!(
            room.call(&server, ApiOperation::Describe, "").1["webhooks"]["dead"],
            0
        );
    });
}

#[test]
fn the_newest_dead_are_kept_page_by_page() {
    let kept = DEAD_EVENTS_MAX as usize;
    scenario_with(told("message.published"), |room| {
        let server = Visitor::named("server").who_can(&["serve"]);
        let body = json!(vec![json!({ "data": 1 }); 100]).to_string();
        for _ in 0..=kept / 100 {
            room.call(&server, ApiOperation::Publish, &body);
        }
        room.pass_ms(EVENT_MS_MAX);
        while !room.stored_events().is_empty() {
            room.pass_ms(RETRY_MS_MAX);
            if !room.tells_nothing() {
                room.back_end_answers(REFUSED);
            }
        }
        let mut seqs = Vec::new();
        loop {
            let after = seqs.last().copied().unwrap_or(0_u64);
            let ask = ApiOperation::dead_events(&format!("after={after}&limit=100")).unwrap();
            let (_, page) = room.call(&server, ask, "");
            let events = page["events"].as_array().unwrap().iter();
            seqs.extend(events.map(|event| event["seq"].as_u64().unwrap()));
            if page["more"] == false {
                break;
            }
        }
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
fn a_delivery_that_is_never_answered_is_taken_for_failed() {
    scenario_with(told("member.joined"), |room| {
        room.join("ann");
        room.pass_ms(DELIVERY_WINDOW_MS);
        let events = room.is_told();
        room.pass_ms(DELIVERY_LOST_MS + 1_000);
        assert_eq!(room.is_told(), events);
        room.back_end_answers(Taken);
        // The first one's answer, late, is one to nothing.
        room.back_end_answers(REFUSED);
        assert!(room.stored_events().is_empty());
        room.pass_ms(60_000);
        assert!(room.tells_nothing());
    });
}

#[test]
fn a_late_answer_is_not_taken_for_that_to_another_delivery() {
    scenario_with(told("member.joined"), |room| {
        room.join("ann");
        room.pass_ms(DELIVERY_WINDOW_MS);
        room.crashes();
        room.join("bob");
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(room.is_told().len(), 2);
        room.back_end_answers_late(REFUSED);
        room.back_end_answers(Taken);
        assert!(room.stored_events().is_empty());
        room.pass_ms(60_000);
        assert!(room.tells_nothing());
    });
}

#[test]
fn a_crash_loses_no_event_and_members_it_took_are_told_to_have_left() {
    scenario_with(told("*"), |room| {
        let ann = room.join("ann");
        room.join("bob");
        room.says(ann, "hello");
        let stored: Vec<String> = room
            .stored_events()
            .iter()
            .map(|one| (*one).into())
            .collect();
        room.crashes();
        assert_eq!(room.stored_events(), stored);
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(room.is_told().len(), 4);
        room.crashes();
        room.join("bob");
        room.pass_ms(DELIVERY_WINDOW_MS);
        // Sent again, since nobody had said that it was taken.
        assert_eq!(room.is_told().len(), 4);
        room.back_end_answers(Taken);
        room.back_end_answers(Taken);
        room.pass_ms(60_000);
        let left = room.is_told();
        assert_eq!(kinds(&left), ["member.left"]);
        assert_eq!(left[0]["user"], "ann");
    });
}

#[test]
fn an_empty_room_that_crashed_is_vacated() {
    scenario_with(told("room.vacated"), |room| {
        room.join("ann");
        room.crashes();
        room.pass_ms(VACATED_MS);
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(kinds(&room.is_told()), ["room.vacated"]);
    });
}

#[test]
fn a_message_that_is_not_stored_is_not_told() {
    gathering_scenario_with(told("message.published"), |room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        let before = room.stored_events().len();
        room.says(ann, "lost");
        room.storage_fails_once();
        room.flushes();
        assert_eq!(room.stored_events().len(), before);
        room.says(ann, "kept");
        room.settles();
        assert_eq!(room.stored_events().len(), before + 1);
    });
}

#[test]
fn what_could_not_be_written_is_with_the_next_event() {
    gathering_scenario_with(told("member.joined"), |room| {
        room.storage_fails_once();
        room.join("ann");
        assert!(room.stored_events().is_empty());
        room.join("bob");
        assert_eq!(room.stored_events().len(), 2);
    });
}

#[test]
fn what_was_said_is_told_before_what_came_after_it() {
    gathering_scenario_with(told("*"), |room| {
        let (ann, bob) = (room.join("ann"), room.join("bob"));
        room.gets_busy(bob);
        let before = room.stored_events().len();
        room.says(ann, "goodbye");
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
fn who_came_as_storage_failed_is_told_once_the_room_is_restored() {
    gathering_scenario_with(told("*"), |room| {
        let ann = room.join("ann");
        room.admit(Visitor::named("eve").until_ms(60_000));
        room.pass_ms(64_998);
        // The second waits, and goes with the notice that ends eve's visit.
        room.says(ann, 1);
        room.says(ann, 2);
        assert!(room.gathers());
        room.alarm_is_late_by_ms(2);
        room.storage_fails_once();
        let bob = room.join("bob");
        assert_eq!(room.rows().last().map(|row| row.is_stored), Some(false));
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
fn any_number_of_members_may_leave_at_once() {
    gathering_scenario_with(told("member.left"), |room| {
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
fn a_room_of_any_size_may_be_erased() {
    gathering_scenario_with(told("member.left"), |room| {
        for number in 0..500 {
            room.join(&format!("{number}{}", "n".repeat(125)));
        }
        room.settles();
        let server = Visitor::named("server").who_can(&["serve"]);
        room.call(&server, ApiOperation::Erase, "");
        assert_eq!(room.stored_events().len(), 500);
    });
}

#[test]
fn the_dead_are_kept_also_where_storage_fails_at_first() {
    gathering_scenario_with(told("member.joined"), |room| {
        room.join("ann");
        room.pass_ms(DELIVERY_WINDOW_MS);
        while room.now_ms() < START_MS + EVENT_MS_MAX {
            room.back_end_answers(REFUSED);
            while room.tells_nothing() {
                room.pass_ms(1_000);
            }
        }
        room.storage_fails_once();
        room.back_end_answers(REFUSED);
        let server = Visitor::named("server").who_can(&["serve", "presence"]);
        room.call(&server, ApiOperation::Members, "");
        let (_, dead) = room.call(&server, ApiOperation::dead_events("").unwrap(), "");
        assert_eq!(dead["events"][0]["user"], "ann");
        assert!(room.stored_events().is_empty());
    });
}

#[test]
fn messages_that_are_not_kept_are_told_all_the_same() {
    let rules = |rules: &mut RoomRules| {
        rules.retention.messages_max = 0;
        told("message.published")(rules);
    };
    scenario_with(rules, |room| {
        let ann = room.join("ann");
        room.says(ann, "hello");
        room.pass_ms(DELIVERY_WINDOW_MS);
        assert_eq!(room.is_told()[0]["message"]["data"], "hello");
    });
}

#[test]
fn what_waits_is_bounded_to_the_byte() {
    scenario_with(told("message.published"), |room| {
        let server = Visitor::named("server").who_can(&["serve"]);
        let publish = |room: &mut TestRoom| {
            let answer = room.call(&server, ApiOperation::Publish, r#"{"data":1}"#);
            assert_eq!(answer.0, 201);
        };
        publish(room);
        let bytes = room.stored_events()[0].len() as u64;
        room.is_stored_with_events_of(EVENTS_BYTES_MAX - 2 * bytes);
        publish(room);
        assert_eq!(room.stored_events().len(), 3);
        publish(room);
        assert_eq!(room.stored_events().len(), 3);
        let (_, numbers) = room.call(&server, ApiOperation::Describe, "");
        assert_eq!(numbers["webhooks"], json!({ "pending": 3, "dead": 1 }));
        assert_eq!(numbers["offset"], 3);
    });
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}
