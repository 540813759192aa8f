//! A back end that receives all webhook events and asserts that they are consistent.

use std::collections::BTreeSet;

use serde_json::Value;

/// The events so far, and the state of the room that follows from them.
#[derive(Default)]
pub struct Backend {
    events: Vec<Value>,
    members: BTreeSet<String>,
    is_occupied: bool,
    messages: usize,
}

impl Backend {
    /// Receives events, some of them perhaps again. `messages` are the stored ones.
    pub fn receives(&mut self, sent_events: Vec<Value>, messages: &[Value]) {
        for event in sent_events {
            let seq = event["seq"].as_u64().unwrap() as usize;
            if let Some(known) = self.events.get(seq - 1) {
                assert_eq!(&event, known, "a repeated event differs");
                continue;
            }
            assert_eq!(
                seq,
                self.events.len() + 1,
                "an event is missing before {event}"
            );
            self.apply(&event, messages);
            self.events.push(event);
        }
    }

    fn apply(&mut self, event: &Value, messages: &[Value]) {
        let user = || event["user"].as_str().unwrap().to_owned();
        match event["type"].as_str().unwrap() {
            "room.occupied" => assert!(!std::mem::replace(&mut self.is_occupied, true)),
            "room.vacated" => {
                assert!(std::mem::replace(&mut self.is_occupied, false));
                assert!(self.members.is_empty(), "vacated by {:?}", self.members);
            }
            "member.joined" => {
                assert!(self.is_occupied, "{event} in an empty room");
                assert!(self.members.insert(user()), "{event} twice");
            }
            "member.left" => assert!(
                self.members.remove(&user()),
                "{event} of a user who is not a member"
            ),
            _ => {
                let message = &event["message"];
                assert_eq!(message["offset"], self.messages + 1);
                assert_eq!(message["data"], messages[self.messages]["data"]);
                self.messages += 1;
            }
        }
    }

    /// Asserts that every event of an empty room has been received.
    pub fn assert_complete(&self, messages: &[Value]) {
        assert!(self.members.is_empty() && !self.is_occupied);
        assert_eq!(self.messages, messages.len());
    }
}
