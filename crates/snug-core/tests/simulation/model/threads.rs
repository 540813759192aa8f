//! Threads in the model: the replies to a message, and their number.

use fastrand::Rng;
use serde_json::{Value, json};

use super::Model;

impl Model {
    /// Returns the first message of the thread to which a reply to a message belongs; `None` if it cannot be
    /// replied to. Both have to be certain.
    pub fn root_of(&self, re: u64) -> Option<u64> {
        let root = self.thread_of(re).unwrap_or(re);
        (self.is_there(re) && self.is_there(root)).then_some(root)
    }

    /// Returns true if it is known whether the message can be replied to, when the room gets the reply.
    pub fn is_certain_thread(&self, re: u64) -> bool {
        let is_certain = |root| self.is_certain(root);
        self.is_certain(re) && self.thread_of(re).is_none_or(is_certain)
    }

    /// Returns the first message of the thread of a reply; `None` if it is not a reply.
    pub fn thread_of(&self, message: u64) -> Option<u64> {
        self.first_text(message)?["re"].as_u64()
    }

    /// Counts a reply, with its number. All members receive the new number, and the author, too.
    pub(super) fn count_reply(&mut self, number: u32, root: u64, reply: u32) {
        let counted = json!({ "added": [reply], "removed": 0 });
        self.wait_for_count(number, root, counted);
    }

    /// Lowers the number of replies by one after a deletion, if the thread is still there.
    pub(super) fn uncount_reply(&mut self, number: u32, reply: u64) {
        let root = self.thread_of(reply);
        if let Some(root) = root.filter(|root| *root >= self.floor()) {
            self.wait_for_count(number, root, json!({ "added": [], "removed": 1 }));
        }
    }

    fn wait_for_count(&mut self, number: u32, root: u64, counted: Value) {
        let change =
            json!({ "type": "change", "of": root, "action": "replies", "counted": counted });
        self.wait(None, number, change);
    }

    /// Returns the newest replies that are stored.
    pub fn recent_replies(&self) -> Vec<u64> {
        let is_reply = |offset: &u64| self.entries[*offset as usize - 1].get("re").is_some();
        let recent = self.message_offsets().rev().take(40);
        recent.filter(is_reply).collect()
    }

    /// Returns the retained replies to messages that are not.
    pub fn orphans(&self) -> Vec<u64> {
        let floor = self.floor();
        let retained = self.messages.range(floor..).map(|(offset, _)| *offset);
        let root = |offset: u64| self.entries[offset as usize - 1]["re"].as_u64();
        let is_orphan = |offset: &u64| root(*offset).is_some_and(|root| root < floor);
        retained.filter(is_orphan).collect()
    }

    /// Returns a message that has replies, or had some before it was no longer retained.
    pub fn some_root(&self, random: &mut Rng) -> Option<u64> {
        let roots: Vec<_> = (self.entries.iter())
            .filter_map(|entry| entry["re"].as_u64())
            .collect();
        random.choice(roots)
    }

    /// Returns a page of the replies to a message, and whether there are more. A thread ends with its first message.
    pub fn thread_page(&self, root: u64, from: From, limit: usize) -> (Vec<Value>, bool) {
        let is_retained = root >= self.floor();
        let is_reply =
            |offset: &u64| is_retained && self.entries[*offset as usize - 1]["re"] == root;
        let replies: Vec<_> = self.message_offsets().filter(is_reply).collect();
        let is_within = |offset: &&u64| match from {
            From::After(after) => **offset > after,
            From::Before(before) => **offset < before,
        };
        let mut within: Vec<_> = replies.iter().filter(is_within).collect();
        let more = within.len() > limit;
        match from {
            From::After(_) => within.truncate(limit),
            From::Before(_) => drop(within.drain(..within.len().saturating_sub(limit))),
        }
        let shown = within.into_iter().map(|offset| self.shown(*offset));
        (shown.collect(), more)
    }
}

/// The end of a page.
#[derive(Clone, Copy)]
pub enum From {
    After(u64),
    Before(u64),
}

/// Adds to an entry about the number of replies another one that goes with it.
pub fn go_with(counted: &mut Value, more: &Value) {
    let added = more["added"].as_array().unwrap().clone();
    counted["added"].as_array_mut().unwrap().extend(added);
    let removed = counted["removed"].as_u64().unwrap() + more["removed"].as_u64().unwrap();
    counted["removed"] = json!(removed);
}
