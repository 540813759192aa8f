//! Reading: users record how far they have read, and mention each other.

use serde_json::{Value, json};

use crate::{Simulation, USERS, driver::Client, view::PendingCommand};

/// The kinds of steps that the seeds must take.
pub const CASES: [&str; 7] = [
    "reads on",
    "reads nothing new",
    "reads what is not there",
    "reads without the capability",
    "reads during a fault",
    "joins with something new",
    "joins with a new mention",
];
/// Those that many seeds must take.
pub const RARE_CASES: [&str; 1] = ["reads what waits"];

impl Simulation {
    /// Returns the command that records a position, if the offset is known to be there.
    pub fn reads(&mut self, client: Client) -> Option<Value> {
        let newest = self.model.newest();
        let offset = match self.random.u32(..4) {
            0 => self.random.u64(..=newest + 3),
            _ => newest.saturating_sub(self.random.u64(..4)),
        };
        if self.model.has_entry(offset) != Some(true) {
            return None;
        }
        let before = self.model.position_of(&self.views[&client].user);
        let case = match offset {
            _ if offset > newest => "reads what waits",
            _ if offset > before => "reads on",
            _ => "reads nothing new",
        };
        self.coverage.count(case);
        let read = self.model.read(client, offset);
        let id = self.expect_reply(client, PendingCommand::Read { read });
        Some(json!({ "type": "read", "id": id, "offset": offset }))
    }

    /// Records a position that is not there yet.
    pub fn sends_bad_position(&mut self, client: Client) {
        if !self.model.may(client, "receive") {
            return self.exceeds_capabilities(client);
        }
        let newest = self.model.newest();
        let offset = newest + self.random.u64(1..200);
        if self.model.has_entry(offset) != Some(false) {
            return;
        }
        self.coverage.count("reads what is not there");
        let id = self.expect_reply(client, PendingCommand::Rejected("bad_command"));
        self.sends(
            client,
            json!({ "type": "read", "id": id, "offset": offset }),
        );
        self.error_closes(client);
    }

    /// Records a position while storage fails.
    pub fn reads_during_fault(&mut self, client: Client) {
        self.gets_quiet();
        self.check();
        if !self.views.contains_key(&client) || !self.model.may(client, "receive") {
            return;
        }
        let newest = self.model.newest();
        // A position that is stored already needs no storage.
        if newest <= self.model.position_of(&self.views[&client].user) {
            return;
        }
        self.coverage.count("reads during a fault");
        let id = self.expect_reply(client, PendingCommand::Rejected("internal"));
        self.room.storage_fails_once();
        self.sends(
            client,
            json!({ "type": "read", "id": id, "offset": newest }),
        );
    }

    /// Returns some users whom a message mentions, perhaps twice or without ever having been here.
    pub fn some_mentions(&mut self) -> Vec<&'static str> {
        if self.random.u32(..3) > 0 {
            return Vec::new();
        }
        let count = self.random.usize(..4);
        let users = USERS.iter().copied().chain(["eve"]);
        let users: Vec<_> = users.collect();
        let mentioned = (0..count).map(|_| *self.random.choice(&users).unwrap());
        mentioned.collect()
    }
}
