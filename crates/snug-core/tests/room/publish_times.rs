//! Times that a back end gives messages, for example those of a chat that it moves.

use serde_json::{Value, json};
use snug_core::{
    backend::api::ApiOperation,
    limits::{EVENT_MS_MAX, PUBLISH_TIME_MIN},
};

use crate::{
    driver::{START_MS, TestRoom, TestUser, gathering_scenario, scenario, scenario_with},
    webhooks::with_events,
};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Publishes messages with these times, and returns the status and the messages' times, or the code
/// of the refusal.
fn publish(room: &mut TestRoom, times: &[Option<u64>]) -> (u16, Value) {
    let messages: Vec<_> = times
        .iter()
        .map(|time| json!({ "data": 1, "time": time }))
        .collect();
    publish_body(room, &json!(messages))
}

fn publish_body(room: &mut TestRoom, body: &Value) -> (u16, Value) {
    let server = TestUser::named("server").with_capabilities(&["serve", "history"]);
    let (status, response) = room.calls_api(&server, ApiOperation::Publish, &body.to_string());
    match response["messages"].as_array() {
        Some(messages) => (
            status,
            messages.iter().map(|one| one["time"].clone()).collect(),
        ),
        None => (status, response),
    }
}

fn keep_for_years(rules: &mut snug_core::config::RoomRules) {
    rules.retention.seconds_max = 100 * 365 * DAY_MS / 1000;
}

#[test]
fn a_message_is_stored_and_sent_with_its_time() {
    scenario_with(keep_for_years, |room| {
        let ann = room.join("ann");
        room.skips_received();
        let old = START_MS - 400 * DAY_MS;
        let response = publish(room, &[Some(old), Some(old), Some(old + 1), None]);
        assert_eq!(response, (201, json!([old, old, old + 1, START_MS])));
        for (offset, time) in [(1, old), (2, old), (3, old + 1), (4, START_MS)] {
            let message = room.receives(ann, json!({ "type": "message", "offset": offset }));
            assert_eq!(message["time"], time);
        }
        let server = TestUser::named("server").with_capabilities(&["history"]);
        let (_, page) = room.calls_api(&server, ApiOperation::messages("").unwrap(), "");
        assert_eq!(page["messages"][0]["time"], old);
        // Messages without a time get the current one, as before.
        room.publishes(ann, "now");
        assert_eq!(room.receives_message(ann, "now")["time"], START_MS);
    });
}

#[test]
fn times_do_not_decrease_and_are_not_in_the_future() {
    scenario_with(keep_for_years, |room| {
        let refused = (400, json!("bad_request"));
        assert_eq!(publish(room, &[Some(START_MS + 1)]), refused);
        assert_eq!(
            publish(room, &[Some(START_MS - 5), Some(START_MS - 6)]),
            refused
        );
        assert_eq!(publish(room, &[None, Some(START_MS - 1)]), refused);
        // A refused request stores nothing.
        assert_eq!(room.stored_count(), 0);
        assert_eq!(publish(room, &[Some(START_MS - 5)]).0, 201);
        assert_eq!(publish(room, &[Some(START_MS - 6)]), refused);
        assert_eq!(publish(room, &[Some(START_MS - 5), Some(START_MS)]).0, 201);
        let ann = room.join("ann");
        room.pass_ms(10);
        room.publishes(ann, 1);
        assert_eq!(publish(room, &[Some(START_MS + 9)]), refused);
        assert_eq!(publish(room, &[Some(START_MS + 10)]).0, 201);
    });
}

#[test]
fn a_message_that_waits_for_the_flush_counts_as_the_one_before() {
    gathering_scenario(|room| {
        let ann = room.join("ann");
        room.gets_busy(ann);
        room.publishes(ann, "waits");
        let server = TestUser::named("server").with_capabilities(&["serve"]);
        let body = json!({ "data": 1, "time": room.now_ms() - 1 }).to_string();
        let early = room.starts_api_request(&server, ApiOperation::Publish, &body);
        assert_eq!(room.api_response(early), (400, "bad_request".into()));
        room.flushes();
    });
}

#[test]
fn seconds_instead_of_milliseconds_are_refused() {
    scenario_with(keep_for_years, |room| {
        let refused = (400, json!("bad_request"));
        assert_eq!(publish(room, &[Some(PUBLISH_TIME_MIN.0)]).0, 201);
        assert_eq!(publish(room, &[Some(PUBLISH_TIME_MIN.0 - 1)]), refused);
        for time in [
            json!(-1),
            json!(1.5),
            json!("2020-01-01"),
            json!(START_MS / 1000),
        ] {
            assert_eq!(
                publish_body(room, &json!({ "data": 1, "time": time })),
                refused,
                "{time}"
            );
        }
    });
}

#[test]
fn a_keyed_request_can_be_sent_again_after_later_messages() {
    scenario_with(keep_for_years, |room| {
        let times = [START_MS - 9, START_MS - 8];
        let body = json!([
            { "data": 1, "key": "a", "time": times[0] },
            { "data": 1, "key": "a", "time": times[0] - 1 },
            { "data": 2, "key": "b", "time": times[1] },
        ]);
        let stored = (201, json!([times[0], times[0], times[1]]));
        assert_eq!(publish_body(room, &body), stored);
        assert_eq!(publish(room, &[None]).0, 201);
        assert_eq!(publish_body(room, &body), stored);
        // The offset of another message shows that nothing was stored again.
        let server = TestUser::named("server").with_capabilities(&["serve"]);
        let (_, response) = room.calls_api(&server, ApiOperation::Publish, r#"{"data":4}"#);
        assert_eq!(response["messages"][0]["offset"], 4);
    });
}

#[test]
fn a_time_that_history_does_not_keep_is_refused() {
    let rules = |rules: &mut snug_core::config::RoomRules| rules.retention.seconds_max = 60;
    scenario_with(rules, |room| {
        assert_eq!(
            publish(room, &[Some(START_MS - 60_001)]),
            (400, json!("bad_request"))
        );
        assert_eq!(publish(room, &[Some(START_MS - 60_000)]).0, 201);
        room.pass_ms(60_000);
        assert_eq!(publish(room, &[Some(START_MS)]).0, 201);
    });
    let nothing = |rules: &mut snug_core::config::RoomRules| rules.retention.messages_max = 0;
    scenario_with(nothing, |room| {
        assert_eq!(publish(room, &[Some(PUBLISH_TIME_MIN.0)]).0, 201);
    });
}

#[test]
fn an_event_of_an_old_message_is_retried_for_as_long_as_others() {
    let rules = |rules: &mut snug_core::config::RoomRules| {
        keep_for_years(rules);
        with_events("message.published")(rules);
    };
    scenario_with(rules, |room| {
        let old = START_MS - EVENT_MS_MAX - DAY_MS;
        assert_eq!(publish(room, &[Some(old)]).0, 201);
        room.pass_ms(1_000);
        room.back_end_responds(crate::webhooks::REFUSED);
        room.pass_ms(60_000);
        let [event] = &room.last_delivery()[..] else {
            panic!("not one event");
        };
        assert_eq!(
            (&event["time"], &event["message"]["time"]),
            (&json!(old), &json!(old))
        );
    });
}

#[test]
fn a_member_cannot_set_a_time() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        room.sends(
            ann,
            json!({ "type": "publish", "data": 1, "time": START_MS - 5 }),
        );
        assert_eq!(room.receives_message(ann, 1)["time"], START_MS);
    });
}
