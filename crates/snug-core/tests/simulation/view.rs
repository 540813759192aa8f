//! What one client knows, from nothing but what it heard: as a client library would piece it
//! together.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use crate::{
    driver::Client,
    model::{Members, Model},
};

pub struct View {
    /// Whether it may send several commands in a frame.
    pub lines: bool,
    user: String,
    client: Client,
    hears_presence: bool,
    /// What `welcome` is to say of it.
    recovered: Option<bool>,
    members: Members,
    messages_and_signals: VecDeque<Value>,
    asked: BTreeMap<u64, Asked>,
    asked_so_far: u64,
    newest_time: u64,
}

/// What a client has asked for, and the answer to expect.
pub enum Asked {
    /// Its offset.
    Publish(usize),
    /// The offset under the same key.
    Duplicate(usize),
    /// A publish that storage refuses.
    InVain,
    Signal,
    State(Value),
    Members,
    History {
        after: usize,
        limit: usize,
    },
}

impl View {
    pub fn new(
        client: Client,
        user: &str,
        lines: bool,
        hears_presence: bool,
        recovered: Option<bool>,
    ) -> Self {
        Self {
            recovered,
            lines,
            user: user.into(),
            client,
            hears_presence,
            members: Members::new(),
            messages_and_signals: VecDeque::new(),
            asked: BTreeMap::new(),
            asked_so_far: 0,
            newest_time: 0,
        }
    }

    /// The id to ask with.
    pub fn ask(&mut self, asked: Asked) -> u64 {
        self.asked_so_far += 1;
        self.asked.insert(self.asked_so_far, asked);
        self.asked_so_far
    }

    pub fn hears(&mut self, object: &Value, model: &Model) {
        match object["type"].as_str().unwrap() {
            "welcome" => {
                assert_eq!(object["offset"], model.messages.len());
                assert_eq!(object["recovered"], json!(self.recovered));
                self.members = listed(object);
            }
            "presence" => self.hears_change(object),
            "message" => {
                let time = object["time"].as_u64().unwrap();
                assert!(time >= self.newest_time, "time went back: {object}");
                self.newest_time = time;
                self.messages_and_signals.push_back(timeless(object));
            }
            "signal" => self.messages_and_signals.push_back(object.clone()),
            // Nonsense is not answered by an id.
            "error" if object.get("id").is_none() => {}
            _ => self.hears_reply(object, model),
        }
    }

    /// Compares what it knows with what is so.
    pub fn check(&mut self, members: &Members, to_hear: &mut VecDeque<Value>) {
        assert_eq!(&self.messages_and_signals, to_hear, "{}", self.client.id());
        self.messages_and_signals.clear();
        to_hear.clear();
        assert!(self.asked.is_empty(), "a command was not answered");
        if self.hears_presence {
            assert_eq!(&self.members, members, "{}", self.client.id());
        }
    }

    fn hears_change(&mut self, change: &Value) {
        assert!(self.hears_presence, "uninvited: {change}");
        let list = |name: &str| change[name].as_array().unwrap().clone();
        let (joins, leaves, updates) = (list("joins"), list("leaves"), list("updates"));
        assert!(
            joins.len() + leaves.len() + updates.len() > 0,
            "nothing changed"
        );
        for member in &joins {
            let (user, states) = member_of(member);
            let before = self.members.insert(user, states);
            assert!(before.is_none(), "joined twice: {change}");
        }
        for user in &leaves {
            let before = self.members.remove(user.as_str().unwrap());
            assert!(before.is_some(), "left twice: {change}");
        }
        for update in &updates {
            let user = update["user"].as_str().unwrap();
            let states = self.members.get_mut(user).expect("a state of a member");
            let connection = update["connection"].as_str().unwrap();
            if update["state"].is_null() {
                states.remove(connection);
            } else {
                states.insert(connection.into(), update["state"].clone());
            }
        }
        assert_eq!(change["count"], self.members.len(), "{change}");
    }

    fn hears_reply(&mut self, reply: &Value, model: &Model) {
        let id = reply["id"].as_u64().unwrap();
        let asked = self.asked.remove(&id).expect("an answer to a question");
        let kind = reply["type"].as_str().unwrap();
        match asked {
            Asked::Publish(offset) => {
                assert_eq!((kind, &reply["offset"]), ("ack", &json!(offset)));
                // The ack comes before the echo.
                let echo = model.messages[offset - 1].clone();
                assert!(!self.messages_and_signals.contains(&echo));
            }
            Asked::Duplicate(offset) => {
                assert_eq!((kind, &reply["offset"]), ("ack", &json!(offset)));
                assert_eq!(reply["duplicate"], true);
            }
            Asked::InVain => assert_eq!((kind, &reply["code"]), ("error", &json!("internal"))),
            Asked::Signal => assert_eq!(reply, &json!({ "type": "ack", "id": id })),
            Asked::State(state) => {
                assert_eq!(reply, &json!({ "type": "ack", "id": id }));
                let states = self.members.entry(self.user.clone()).or_default();
                states.insert(self.client.id(), state);
            }
            Asked::Members => {
                assert_eq!(listed(reply), model.members());
                for member in reply["members"].as_array().unwrap() {
                    let tabs = model.tabs_of(member["user"].as_str().unwrap());
                    assert_eq!(member["connections"], tabs, "{member}");
                }
            }
            Asked::History { after, limit } => {
                let page = reply["messages"].as_array().unwrap();
                let wanted = &model.messages[after..];
                let more = wanted.len() > limit;
                let wanted: Vec<_> = wanted.iter().take(limit).cloned().collect();
                let as_pushed: Vec<_> = page
                    .iter()
                    .map(|message| {
                        let mut message = timeless(message);
                        message["type"] = json!("message");
                        message
                    })
                    .collect();
                assert_eq!((as_pushed, &reply["more"]), (wanted, &json!(more)));
            }
        }
    }
}

fn listed(object: &Value) -> Members {
    let members = object["members"].as_array().unwrap();
    let members: Members = members.iter().map(member_of).collect();
    assert_eq!(object["count"], members.len(), "{object}");
    members
}

fn member_of(member: &Value) -> (String, BTreeMap<String, Value>) {
    let states = member["state"].as_object().unwrap();
    (
        member["user"].as_str().unwrap().into(),
        states
            .iter()
            .map(|(connection, state)| (connection.clone(), state.clone()))
            .collect(),
    )
}

/// A message without its time, which the model does not tell.
fn timeless(message: &Value) -> Value {
    let mut message = message.clone();
    message.as_object_mut().unwrap().remove("time");
    message
}
