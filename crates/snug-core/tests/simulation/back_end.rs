//! A back end that is told of everything, and that holds what it is told to what can be.

use std::collections::BTreeSet;

use serde_json::Value;

/// What it has been told so far.
#[derive(Default)]
pub struct Backend {
    events: Vec<Value>,
    here: BTreeSet<String>,
    is_occupied: bool,
    messages: usize,
}

impl Backend {
    /// Is told of events, some of them perhaps again. `messages` are those that there are.
    pub fn receives(&mut self, notified: Vec<Value>, messages: &[Value]) {
        for event in notified {
            let seq = event["seq"].as_u64().unwrap() as usize;
            if let Some(known) = self.events.get(seq - 1) {
                assert_eq!(&event, known, "notified otherwise than before");
                continue;
            }
            assert_eq!(
                seq,
                self.events.len() + 1,
                "an event is missing before {event}"
            );
            self.learns(&event, messages);
            self.events.push(event);
        }
    }

    fn learns(&mut self, event: &Value, messages: &[Value]) {
        let user = || event["user"].as_str().unwrap().to_owned();
        match event["type"].as_str().unwrap() {
            "room.occupied" => assert!(!std::mem::replace(&mut self.is_occupied, true)),
            "room.vacated" => {
                assert!(std::mem::replace(&mut self.is_occupied, false));
                assert!(self.here.is_empty(), "vacated by {:?}", self.here);
            }
            "member.joined" => {
                assert!(self.is_occupied, "{event} in an empty room");
                assert!(self.here.insert(user()), "{event} twice");
            }
            "member.left" => assert!(self.here.remove(&user()), "{event} of nobody"),
            _ => {
                let message = &event["message"];
                assert_eq!(message["offset"], self.messages + 1);
                assert_eq!(message["data"], messages[self.messages]["data"]);
                self.messages += 1;
            }
        }
    }

    /// Fails where anything was not told by now, of a room in which nobody is any more.
    pub fn has_heard_all(&self, messages: &[Value]) {
        assert!(self.here.is_empty() && !self.is_occupied);
        assert_eq!(self.messages, messages.len());
    }
}
