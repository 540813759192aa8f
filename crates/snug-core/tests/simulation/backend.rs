//! A back end that receives all webhook events and asserts that they are consistent.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{model::Model, view::as_pushed};

/// The events so far, and the state of the room that follows from them.
#[derive(Default)]
pub struct Backend {
    events: Vec<Value>,
    members: BTreeSet<String>,
    is_occupied: bool,
    /// The offset of the last message or change.
    newest: u64,
    /// The mentions of users: the message, and the user.
    mentions: Vec<(u64, String)>,
}

impl Backend {
    /// Receives events, some of them perhaps again.
    pub fn receives(&mut self, sent_events: Vec<Value>, model: &Model) {
        for event in sent_events {
            let seq = event["seq"].as_u64().unwrap() as usize;
            if let Some(known) = self.events.get(seq - 1) {
                let is_stripped = entry_of(&event).is_some_and(|entry| entry["deleted"] == true);
                assert!(
                    &event == known || is_stripped,
                    "a repeated event differs: {event}"
                );
                self.check_entry(&event, model);
                continue;
            }
            assert_eq!(
                seq,
                self.events.len() + 1,
                "an event is missing before {event}"
            );
            self.apply(&event, model);
            self.check_entry(&event, model);
            self.events.push(event);
        }
    }

    fn apply(&mut self, event: &Value, model: &Model) {
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
            "member.mentioned" => {
                let offset = event["message"]["offset"].as_u64().unwrap();
                assert!(offset <= self.newest, "{event} before its message");
                self.mentions.push((offset, user()));
            }
            _ => {
                let offset = entry_of(event).and_then(|entry| entry["offset"].as_u64());
                assert_eq!(offset, model.reported_after(self.newest), "{event}");
                self.newest = offset.unwrap();
            }
        }
    }

    /// Compares a message or a change with what was stored. It has no content if the message has been
    /// deleted meanwhile.
    fn check_entry(&self, event: &Value, model: &Model) {
        let Some(entry) = entry_of(event) else {
            return;
        };
        let offset = &entry["offset"];
        if entry["deleted"] == true {
            assert!(model.is_deleted(offset), "{event} lacks its content");
        } else {
            assert_eq!(Some(&as_pushed(entry)), model.entry_at(offset), "{event}");
        }
    }

    /// Asserts that every event of an empty room has been received.
    pub fn assert_complete(&self, model: &Model) {
        assert!(self.members.is_empty() && !self.is_occupied);
        assert_eq!(model.reported_after(self.newest), None);
        assert_eq!(self.mentions, model.mentions());
    }
}

/// Returns the message or the change that an event reports.
fn entry_of(event: &Value) -> Option<&Value> {
    event.get("message").or(event.get("change"))
}
