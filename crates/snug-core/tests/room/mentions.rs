//! Mentions: users whom a message names.

use serde_json::{Value, json};
use snug_core::{
    backend::{api::ApiOperation, webhook::EventKinds},
    config::{PublishFallback, RoomRules},
    limits::{DELIVERY_WINDOW_MS, MENTION_DATA_BYTES_MAX},
};

use crate::driver::{EPOCH, START_MS, TestUser, scenario, scenario_with};

#[test]
fn a_message_has_its_mentions_each_once() {
    scenario(|room| {
        let ann = room.join("ann");
        room.skips_received();
        let mentions = json!(["cho", "bob", "cho"]);
        room.sends(
            ann,
            json!({ "type": "publish", "data": 1, "mentions": mentions }),
        );
        let message = room.receives_message(ann, 1);
        assert_eq!(message["mentions"], json!(["cho", "bob"]));
        room.sends(ann, json!({ "type": "publish", "data": 2, "mentions": [] }));
        assert!(room.receives_message(ann, 2).get("mentions").is_none());
        let server = TestUser::named("shop").with_capabilities(&["serve"]);
        let body = json!({ "data": 3, "mentions": ["bob", "bob"] }).to_string();
        assert_eq!(room.calls_api(&server, ApiOperation::Publish, &body).0, 201);
        let message = room.receives_message(ann, 3);
        assert_eq!(message["mentions"], json!(["bob"]));
    });
}

#[test]
fn the_back_end_is_notified_of_each_user() {
    scenario_with(with_events("member.mentioned"), |room| {
        let ann = room.join("ann");
        room.publishes(ann, "nobody");
        let mentions = json!(["bob", "ann", "c\"ho"]);
        room.sends(
            ann,
            json!({ "type": "publish", "data": "hi", "mentions": mentions }),
        );
        room.pass_ms(DELIVERY_WINDOW_MS);
        let event = |seq: u64, user: &str| {
            json!({
                "id": format!("room-{seq}"), "seq": seq, "type": "member.mentioned",
                "time": START_MS, "epoch": EPOCH, "user": user,
                "message": {
                    "offset": 2, "time": START_MS, "user": "ann", "connection": ann.id(),
                    "mentions": mentions, "data": "hi",
                },
            })
        };
        // The author is not notified of their own message.
        assert_eq!(room.last_delivery(), [event(1, "bob"), event(2, "c\"ho")]);
    });
}

#[test]
fn mentions_are_delivered_after_the_messages_of_their_flush() {
    scenario_with(with_events("*"), |room| {
        let ann = room.join("ann");
        room.pass_ms(DELIVERY_WINDOW_MS);
        room.last_delivery();
        room.back_end_responds(snug_core::room::io::DeliveryOutcome::Accepted);
        room.sends(
            ann,
            json!({ "type": "publish", "data": "hi", "mentions": ["bob"] }),
        );
        room.sends(ann, json!({ "type": "edit", "of": 1, "data": "ho" }));
        room.pass_ms(DELIVERY_WINDOW_MS);
        let kinds: Vec<Value> = (room.last_delivery().iter())
            .map(|one| one["type"].clone())
            .collect();
        assert_eq!(
            kinds,
            ["message.published", "member.mentioned", "message.changed"]
        );
    });
}

#[test]
fn a_mention_of_a_deleted_message_loses_the_content() {
    scenario_with(with_events("member.mentioned"), |room| {
        let ann = room.join("ann");
        room.sends(
            ann,
            json!({ "type": "publish", "data": "secret", "mentions": ["bob"] }),
        );
        room.sends(ann, json!({ "type": "delete", "of": 1 }));
        room.pass_ms(DELIVERY_WINDOW_MS);
        let [event] = &room.last_delivery()[..] else {
            panic!("not one event");
        };
        assert_eq!(event["user"], "bob");
        assert_eq!(event["message"]["deleted"], true);
        assert!(!event.to_string().contains("secret"));
    });
}

#[test]
fn a_mention_in_a_long_message_is_without_its_content() {
    scenario_with(with_events("member.mentioned"), |room| {
        let ann = room.join("ann");
        for more in [0, 1] {
            let data = "x".repeat(MENTION_DATA_BYTES_MAX - 2 + more);
            room.sends(
                ann,
                json!({ "type": "publish", "data": data, "mentions": ["bob"] }),
            );
        }
        room.pass_ms(DELIVERY_WINDOW_MS);
        let [whole, short] = &room.last_delivery()[..] else {
            panic!("not two events");
        };
        assert!(whole["message"].get("data").is_some());
        assert!(short["message"].get("data").is_none());
    });
}

#[test]
fn the_publish_hook_sees_mentions_and_replies() {
    let hooked = |rules: &mut RoomRules| rules.publish_fallback = Some(PublishFallback::Refuse);
    scenario_with(hooked, |room| {
        let ann = room.join("ann");
        room.publishes(ann, "root");
        room.hook_decides(&[json!({ "allow": true })]);
        let reply = json!({ "type": "publish", "data": 1, "re": 1, "mentions": ["bob"] });
        room.sends(ann, reply);
        let message = room.hook_messages()[0].clone();
        assert_eq!(
            (&message["re"], &message["mentions"]),
            (&json!(1), &json!(["bob"]))
        );
    });
}

fn with_events(kinds: &str) -> impl Fn(&mut RoomRules) + '_ {
    move |rules| rules.events = EventKinds::parse(kinds).unwrap()
}
