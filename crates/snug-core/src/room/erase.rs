//! Erasing a room: all connections are closed, and a new epoch starts.

use super::{Room, actor::Actor, publish_hook::PublishHookQueue, reading::Reading};
use crate::{
    backend::api::ApiRequestId,
    log::{LogEvent, LogLine},
    protocol::{error::CloseCode, refusal::Refusal},
    reply::Reply,
    room::{bans::Bans, user_entries::UserEntries},
    storage::store::Store,
};

impl<S: Store> Room<S> {
    /// Erases the storage, closes all connections, and resets the room.
    pub(super) fn erase(&mut self, id: ApiRequestId, by: &Actor) {
        self.store_draft();
        let Ok(epoch) = self.store.erase() else {
            return self.respond(id, Err(Refusal::Internal));
        };
        let closed = self.roster.connections().len();
        self.close_all(by);
        self.hook_queue = PublishHookQueue::default();
        self.messages.start_epoch(epoch);
        self.reading = Reading::default();
        self.bans = Bans::default();
        self.ended_tokens = UserEntries::default();
        self.events.forget_dead();
        self.is_erased = true;
        self.respond(id, Ok(Reply::Closed { closed }));
    }

    fn close_all(&mut self, by: &Actor) {
        let code = CloseCode::RoomClosed;
        let connections: Vec<_> = self.roster.connections().keys().copied().collect();
        let line = LogLine {
            closed: Some(connections.len()),
            ..LogLine::new(LogEvent::Erase, Some(self.name.clone()))
        };
        let reference = self.log_action(line.with_code(code), by);
        for id in connections {
            self.close_because(id, code, code.reason(), reference);
        }
        for user in self.roster.presence().absent() {
            self.evict_absent(&user);
        }
    }
}
