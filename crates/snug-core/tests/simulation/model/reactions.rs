//! Reactions in the model: the users with each reaction to a message.

use serde_json::{Value, json};
use snug_core::limits::{REACTIONS_MAX, USER_REACTIONS_MAX};

use super::{Message, Model, Place};
use crate::driver::Client;

/// A reaction that a user puts on a message, or takes back.
pub struct Reaction {
    pub of: u64,
    pub name: String,
    pub is_on: bool,
}

/// The effect of a reaction.
pub enum Effect {
    /// These are the reactions to the message then.
    Changes(Value),
    /// The message has them already.
    Nothing,
    /// The reaction is rejected.
    Refused(Reason),
}

/// The reason for which a reaction is rejected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    NotThere,
    TooManyOfUser,
    TooMany,
}

impl Model {
    /// Returns the effect of a reaction. The room has few users, all of whom are listed.
    pub fn effect_of(&self, from: Client, reaction: &Reaction) -> Effect {
        let user = json!(self.tabs[&from].user);
        if !self.is_there(reaction.of) {
            return Effect::Refused(Reason::NotThere);
        }
        let mut summary = self.reactions_now(reaction.of);
        let tallies = summary.as_object_mut().unwrap();
        let has = |tally: &Value| tally["users"].as_array().unwrap().contains(&user);
        if tallies.get(&reaction.name).is_some_and(has) == reaction.is_on {
            return Effect::Nothing;
        }
        if reaction.is_on {
            let own = tallies.values().filter(|tally| has(tally)).count();
            if own >= USER_REACTIONS_MAX {
                return Effect::Refused(Reason::TooManyOfUser);
            }
            if !tallies.contains_key(&reaction.name) && tallies.len() >= REACTIONS_MAX {
                return Effect::Refused(Reason::TooMany);
            }
        }
        let tally = tallies
            .entry(&reaction.name)
            .or_insert(json!({ "users": [] }));
        let users = tally["users"].as_array_mut().unwrap();
        users.retain(|one| *one != user);
        users.extend(reaction.is_on.then_some(user));
        let count = users.len();
        tally["count"] = json!(count);
        if count == 0 {
            tallies.remove(&reaction.name);
        }
        Effect::Changes(summary)
    }

    /// Changes the reactions to a message. All members receive them, and the sender, too.
    pub fn react(&mut self, number: u32, of: u64, summary: &Value) {
        let reactions = json!({ "type": "reactions", "of": of, "summary": summary });
        self.wait(None, number, reactions);
    }

    /// Returns the reactions to a message, with those that wait.
    fn reactions_now(&self, of: u64) -> Value {
        let stored = || self.messages.get(&of).map(|one| one.reactions.clone());
        match self.waiting_reactions(of) {
            Some((_, summary)) => summary.clone(),
            None => stored().unwrap_or(json!({})),
        }
    }

    /// Returns the stored reactions of a user, each with its message.
    pub fn stored_reactions_of(&self, user: &str) -> Vec<(u64, String)> {
        let of_message = |(of, message): (&u64, &Message)| {
            let tallies = message.reactions.as_object().unwrap().iter();
            let has = |tally: &Value| tally["users"].as_array().unwrap().contains(&json!(user));
            let own = tallies.filter(|(_, tally)| has(tally));
            own.map(|(name, _)| (*of, name.clone())).collect::<Vec<_>>()
        };
        let recent = self.messages.iter().rev().take(12);
        recent.flat_map(of_message).collect()
    }

    /// Returns the place of the last reactions to a message: that of the message if there have been none.
    pub fn place_of_reactions(&self, of: u64) -> Place {
        let stored = self.messages.get(&of).map_or(0, |one| one.last_reactions);
        match self.waiting_reactions(of) {
            Some((number, _)) => Place::Of(number),
            None if stored > 0 => Place::At(stored),
            None => Place::At(of),
        }
    }

    /// Returns the last reactions to a message that wait, and their number.
    fn waiting_reactions(&self, of: u64) -> Option<(u32, &Value)> {
        let is_last = |one: &Value| one["type"] == "reactions" && one["of"] == of;
        let mut waiting = self.waiting.iter().rev();
        let last = waiting.find(|one| is_last(&one.object))?;
        Some((last.number, &last.object["summary"]))
    }
}
