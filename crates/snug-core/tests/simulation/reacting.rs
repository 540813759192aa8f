//! Reactions: users put them on messages and take them back.

use serde_json::{Value, json};
use snug_core::limits::USER_REACTIONS_MAX;

use crate::{
    Simulation, USERS,
    driver::Client,
    model::{
        Place,
        reactions::{Effect, Reaction, Reason},
    },
    view::PendingCommand,
};

/// The kinds of steps that the seeds must take.
pub const CASES: [&str; 9] = [
    "reacts",
    "takes a reaction back",
    "reacts again",
    "takes back no reaction",
    "reacts to what is not there",
    "reacts too often",
    "reacts to a message with too many reactions",
    "reacts without the capability",
    "reacts during a fault",
];
const NAMES: [&str; 4] = ["👍", "a", "\"b\\", "__proto__"];

impl Simulation {
    /// Puts a reaction on a message or takes it back, if one is found with which that is possible now.
    pub fn reacts(&mut self, client: Client) -> Option<Value> {
        for _ in 0..3 {
            let reaction = self.some_reaction(client);
            if !self.model.is_certain(reaction.of) {
                continue;
            }
            match self.model.effect_of(client, &reaction) {
                Effect::Refused(_) => continue,
                effect => return Some(self.react_command(client, &reaction, &effect)),
            }
        }
        None
    }

    /// Returns a random reaction, mostly to a recent message, or one of the user to take back.
    fn some_reaction(&mut self, client: Client) -> Reaction {
        let is_on = self.random.u32(..3) > 0;
        let own = self.model.stored_reactions_of(&self.views[&client].user);
        match self.random.choice(own) {
            Some((of, name)) if !is_on && self.random.u32(..4) > 0 => Reaction { of, name, is_on },
            _ => Reaction {
                of: self.some_target(),
                name: (*self.random.choice(NAMES.iter()).unwrap()).into(),
                is_on,
            },
        }
    }

    /// Returns the command for a reaction with this effect.
    fn react_command(&mut self, client: Client, reaction: &Reaction, effect: &Effect) -> Value {
        let Reaction { of, name, is_on } = reaction;
        let pending = match effect {
            Effect::Changes(summary) => {
                let case = ["takes a reaction back", "reacts"][usize::from(*is_on)];
                self.coverage.count(case);
                let number = self.number();
                self.model.react(number, *of, summary);
                PendingCommand::React {
                    at: Place::Of(number),
                    is_duplicate: false,
                }
            }
            Effect::Nothing => {
                let case = ["takes back no reaction", "reacts again"][usize::from(*is_on)];
                self.coverage.count(case);
                PendingCommand::React {
                    at: self.model.place_of_reactions(*of),
                    is_duplicate: true,
                }
            }
            Effect::Refused(reason) => {
                let (case, code) = match reason {
                    Reason::NotThere => ("reacts to what is not there", "not_found"),
                    Reason::TooManyOfUser => ("reacts too often", "too_large"),
                    Reason::TooMany => ("reacts to a message with too many reactions", "too_large"),
                };
                self.coverage.count(case);
                PendingCommand::Rejected(code)
            }
        };
        let kind = if *is_on { "react" } else { "unreact" };
        json!({ "type": kind, "id": self.expect_reply(client, pending), "of": of, "name": name })
    }

    /// Sends a reaction to what is not there.
    pub fn sends_bad_reaction(&mut self, client: Client) {
        if !self.model.may(client, "react") {
            return self.exceeds_capabilities(client);
        }
        for _ in 0..8 {
            let reaction = self.some_reaction(client);
            if !self.model.is_certain(reaction.of) {
                continue;
            }
            let effect = self.model.effect_of(client, &reaction);
            if let Effect::Refused(reason) = effect {
                let command = self.react_command(client, &reaction, &effect);
                self.sends(client, command);
                // A client cannot know in advance that a message is not there.
                if reason != Reason::NotThere {
                    self.error_closes(client);
                }
                return;
            }
        }
    }

    /// Lets all users react to one message, each with names of their own, until one reaction is too many.
    pub fn all_react_much(&mut self) {
        // Only with all users, there are too many different reactions.
        let users = USERS.iter().copied();
        let absent: Vec<_> = (users.filter(|user| self.model.tabs_of(user).is_empty())).collect();
        for user in absent {
            self.joins_as(user, None);
        }
        let is_there = |of: &u64| self.model.is_certain(*of) && self.model.is_there(*of);
        let recent = self.model.message_offsets().rev().find(is_there);
        self.popular = self.popular.filter(is_there).or(recent);
        let Some(of) = self.popular else {
            return self.passes_ms(0);
        };
        for client in self.clients() {
            if self.model.may(client, "react") {
                self.reacts_much(client, of);
            }
        }
    }

    fn reacts_much(&mut self, client: Client, of: u64) {
        let user = self.views[&client].user.clone();
        let index = USERS.iter().position(|one| *one == user);
        let mut commands = Vec::new();
        let mut is_refused = false;
        for number in 0..=USER_REACTIONS_MAX {
            let reaction = Reaction {
                of,
                name: format!("{}{number}", index.unwrap()),
                is_on: true,
            };
            // The reactions before it may have pushed the message out of what is retained.
            if !self.model.is_certain(of) {
                break;
            }
            let effect = self.model.effect_of(client, &reaction);
            commands.push(self.react_command(client, &reaction, &effect));
            if let Effect::Refused(_) = effect {
                is_refused = true;
                break;
            }
        }
        if commands.is_empty() {
            // An empty frame is an error.
            return;
        }
        self.sends_all(client, commands);
        if is_refused {
            self.error_closes(client);
        }
    }

    /// Reacts while storage fails, so that something cannot be read or stored.
    pub fn reacts_during_fault(&mut self, client: Client) {
        self.gets_quiet();
        self.check();
        // With webhooks, the model cannot predict which write fails.
        if self.backend.is_some() || !self.views.contains_key(&client) {
            return;
        }
        let reaction = self.some_reaction(client);
        let effect = self.model.effect_of(client, &reaction);
        if !self.model.may(client, "react") || !matches!(effect, Effect::Changes(_)) {
            return;
        }
        self.coverage.count("reacts during a fault");
        let command = self.react_command(client, &reaction, &effect);
        self.sends_during_fault(client, command);
    }
}
