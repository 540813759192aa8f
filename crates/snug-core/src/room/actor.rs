//! The user who acted on another one, such as a moderator, and the log line about it.

use super::Room;
use crate::{
    backend::api::Caller,
    ids::{Origin, Reference, UserId},
    log::LogLine,
    room::{connection::Connection, io::Output},
    storage::store::Store,
};

/// The user behind an action on other users, as the log names them.
#[derive(Clone, Debug)]
pub(super) struct Actor {
    pub(super) user: UserId,
    pub(super) origin: Option<Origin>,
}

impl From<&Connection> for Actor {
    fn from(connection: &Connection) -> Self {
        Self {
            user: connection.subscription.user.clone(),
            origin: connection.session.origin.clone(),
        }
    }
}

impl From<Caller> for Actor {
    fn from(caller: Caller) -> Self {
        Self {
            user: caller.user,
            origin: caller.origin,
        }
    }
}

impl<S: Store> Room<S> {
    /// Logs a user's action on others, and returns the reference of the line, for the connections that
    /// it closes.
    pub(super) fn log_action(&mut self, line: LogLine, by: &Actor) -> Reference {
        let reference = Reference::of((self.messages.epoch(), &line.user, self.now));
        self.outputs.push_back(Output::Log(LogLine {
            by: Some(by.user.clone()),
            origin: by.origin.clone(),
            reference: Some(reference),
            ..line
        }));
        reference
    }
}
