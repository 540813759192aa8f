//! Threads: users reply to messages, and read the replies.

use serde_json::{Value, json};

use crate::{Publication, Simulation, driver::Client, model::threads::From, view::PendingCommand};

/// The kinds of steps that the seeds must take.
pub const CASES: [&str; 8] = [
    "replies",
    "replies to a reply",
    "replies to what is not there",
    "replies to a deleted message",
    "replies to a reply to a deleted message",
    "replies during a fault",
    "deletes a reply",
    "reads a thread",
];
/// Those that many seeds must take.
pub const RARE_CASES: [&str; 3] = [
    "replies to a reply to what is not retained",
    "deletes a reply to what is not retained",
    "reads a thread that is not retained",
];

impl Simulation {
    /// Returns the message to which a publication can be a reply, if one is found.
    pub fn some_thread(&mut self) -> Option<u64> {
        let recent = self.model.recent_replies();
        let of = match self.random.choice(recent) {
            Some(reply) if self.random.bool() => reply,
            _ => self.some_target(),
        };
        let can_reply = self.model.is_certain_thread(of) && self.model.root_of(of).is_some();
        can_reply.then_some(of)
    }

    /// Sends a reply to what is not there, or to a reply to that.
    pub fn sends_bad_reply(&mut self, client: Client) {
        if !self.model.may(client, "publish") {
            return self.exceeds_capabilities(client);
        }
        let replies = self.model.recent_replies();
        for attempt in 0..16 {
            let re = match self.random.choice(&replies) {
                Some(reply) if attempt < 8 => *reply,
                _ => self.some_target(),
            };
            if !self.model.is_certain_thread(re) || self.model.root_of(re).is_some() {
                continue;
            }
            let thread = self.model.thread_of(re);
            let case = match thread.filter(|_| self.model.is_there(re)) {
                Some(root) if root < self.model.floor() => {
                    "replies to a reply to what is not retained"
                }
                Some(_) => "replies to a reply to a deleted message",
                None if self.model.is_deleted(&json!(re)) => "replies to a deleted message",
                None => "replies to what is not there",
            };
            self.coverage.count(case);
            let id = self.expect_reply(client, PendingCommand::Rejected("not_found"));
            let command = json!({ "type": "publish", "id": id, "re": re, "data": "to nothing" });
            return self.sends(client, command);
        }
    }

    /// Replies while storage fails, so that something cannot be read or stored.
    pub fn replies_during_fault(&mut self, client: Client) {
        self.gets_quiet();
        self.check();
        // With webhooks, the model cannot predict which write fails.
        if self.backend.is_some() || !self.views.contains_key(&client) {
            return;
        }
        let re = self.some_thread();
        if !self.model.may(client, "publish") || re.is_none() {
            return;
        }
        self.coverage.count("replies during a fault");
        let publication = Publication {
            re,
            ..Publication::of(self.something())
        };
        let command = self.publish_command(client, publication);
        self.sends_during_fault(client, command);
    }

    /// Requests a page of the replies to a message, mostly to one that has some.
    pub fn requests_thread(&mut self, client: Client) {
        let root = match self.random.u32(..4) {
            0 => self.some_target(),
            _ => self.model.some_root(&mut self.random).unwrap_or(1),
        };
        let offset = self.random.u64(..=self.model.newest());
        let limit = self.random.usize(1..=8);
        let mut command = json!({ "type": "history", "re": root, "limit": limit });
        let from = match self.random.u32(..3) {
            0 => From::After(offset),
            1 => From::Before(offset),
            _ => From::Before(u64::MAX),
        };
        match from {
            From::After(after) => command["after"] = json!(after),
            From::Before(u64::MAX) => {}
            From::Before(before) => command["before"] = json!(before),
        }
        let page = PendingCommand::History(Vec::new(), false);
        command["id"] = json!(self.expect_reply(client, page));
        self.sends(client, command);
        // The command has flushed earlier messages.
        self.record_rows();
        let (page, more) = self.model.thread_page(root, from, limit);
        if !page.is_empty() {
            self.coverage.count("reads a thread");
        } else if root < self.model.floor() {
            self.coverage.count("reads a thread that is not retained");
        }
        let view = self.views.get_mut(&client).unwrap();
        view.expect_for_latest(PendingCommand::History(page, more));
    }

    /// Counts the deletion of a reply.
    pub fn count_deletion(&mut self, change: &Value) {
        let is_deletion = change["type"] == "delete";
        let of = change["of"].as_u64().filter(|_| is_deletion);
        match of.and_then(|of| self.model.thread_of(of)) {
            Some(root) if root >= self.model.floor() => self.coverage.count("deletes a reply"),
            Some(_) => (self.coverage).count("deletes a reply to what is not retained"),
            None => {}
        }
    }
}
