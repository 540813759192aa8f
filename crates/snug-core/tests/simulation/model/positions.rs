//! Positions in the model: how far each user has read, and the messages that are new to the user.

use std::collections::BTreeMap;

use serde_json::Value;
use snug_core::limits::{TAIL_MESSAGES_MAX, UNREAD_MAX};

use super::Model;
use crate::driver::Client;

/// Positions above 0, by user.
pub type Positions = BTreeMap<String, u64>;

/// The position of a user, and the number of messages that are new to the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub read: u64,
    pub unread: usize,
    pub mentions: usize,
}

impl Model {
    /// Returns how far a user has read.
    pub fn position_of(&self, user: &str) -> u64 {
        self.positions.get(user).copied().unwrap_or_default()
    }

    /// Returns how far a user has read, and how much of what is stored is new.
    pub fn reading_of(&self, user: &str) -> Reading {
        let read = self.position_of(user);
        let tail = self.messages.iter().rev().take(TAIL_MESSAGES_MAX);
        let new = tail.filter(|(offset, message)| {
            let is_own = self.entries[**offset as usize - 1]["user"] == user;
            **offset > read && **offset >= self.floor() && message.data.is_some() && !is_own
        });
        let new: Vec<_> = new.take(UNREAD_MAX).map(|(offset, _)| *offset).collect();
        let mentions = new.iter().filter(|offset| {
            let mentioned = self.mentioned_in(**offset);
            mentioned.iter().any(|one| one == user)
        });
        Reading {
            read,
            unread: new.len(),
            mentions: mentions.count(),
        }
    }

    /// Returns the positions of the members.
    pub fn positions_of_members(&self) -> Positions {
        let users = self.members().into_keys();
        let positions = users.map(|user| (user.clone(), self.position_of(&user)));
        positions.filter(|(_, read)| *read > 0).collect()
    }

    /// Returns true if the room has an entry with this offset when it gets a command, and false if it has none;
    /// `None` if that is not known.
    pub fn has_entry(&self, offset: u64) -> Option<bool> {
        let waiting = self.waiting.len() as u64;
        let are_messages = self
            .waiting
            .iter()
            .all(|one| one.object["type"] == "message");
        match offset {
            _ if offset <= self.newest() => Some(true),
            _ if offset > self.newest() + waiting => Some(false),
            _ => are_messages.then_some(true),
        }
    }

    /// Records how far a user has read, and returns the position then.
    pub fn read(&mut self, from: Client, offset: u64) -> u64 {
        let user = self.tabs[&from].user.clone();
        let position = self.positions.entry(user).or_default();
        *position = offset.max(*position);
        *position
    }

    /// Returns the users whom a message mentions.
    fn mentioned_in(&self, offset: u64) -> &[Value] {
        let mentions = &self.entries[offset as usize - 1]["mentions"];
        mentions.as_array().map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns each mention of another user: the offset of the message, and the user.
    pub fn mentions(&self) -> Vec<(u64, String)> {
        let mentions = self.messages.keys().flat_map(|offset| {
            let author = &self.entries[*offset as usize - 1]["user"];
            let others = self.mentioned_in(*offset).iter();
            let others = others.filter(move |user| *user != author);
            others.map(|user| (*offset, user.as_str().unwrap().into()))
        });
        mentions.collect()
    }
}
