//! Removal of a room that holds nothing any more, so that a room that was used once does not take up
//! storage forever.

use super::Room;
use crate::{
    ids::{Offset, Timestamp},
    limits::{EMPTY_ROOM_MS, OFFSETS_MS},
    room::io::Output,
    storage::store::Store,
};

impl<S: Store> Room<S> {
    /// Returns the time at which the room is removed; `None` while it holds anything.
    pub(super) fn removed_at(&self) -> Option<Timestamp> {
        self.removed_at
    }

    /// Schedules the removal of a room that has just become empty, and cancels that of a room in use.
    pub(super) fn schedule_removal(&mut self) {
        if self.holds_anything() {
            self.removed_at = None;
        } else if self.removed_at.is_none() {
            self.removed_at = Some(self.removal_time());
        }
    }

    /// Schedules the removal of a restored room: for when the alarm is set, because it is set for nothing
    /// else in an empty room.
    pub(super) fn restore_removal(&mut self, alarm: Option<Timestamp>) {
        if !self.holds_anything() {
            self.removed_at = Some(alarm.unwrap_or_else(|| self.removal_time()));
        }
    }

    fn removal_time(&self) -> Timestamp {
        if self.is_erased {
            return self.now;
        }
        let emptied = self.now.plus_ms(EMPTY_ROOM_MS);
        if self.messages.newest() == Offset::default() {
            emptied
        } else {
            emptied.max(self.messages.newest_time().plus_ms(OFFSETS_MS))
        }
    }

    /// Removes the room if that is due.
    pub(super) fn remove_if_due(&mut self) {
        let is_due = self.removed_at.is_some_and(|at| at <= self.now);
        if is_due && !self.holds_anything() {
            self.removed_at = None;
            self.is_restarting = true;
            self.outputs.push_back(Output::Remove);
        }
    }

    /// Returns true if the room has a connection, a link, a member, a request, or anything stored other than its
    /// offsets and the keys of messages.
    fn holds_anything(&self) -> bool {
        self.roster.socket_count() > 0
            || !self.linked.is_empty()
            || self.roster.presence().count() > 0
            || self.messages.has_any()
            || self.bans.next_due().is_some()
            || self.ended_tokens.next_due().is_some()
            || self.events.holds_anything()
            || !self.callers.is_empty()
            || !self.hook_queue.is_empty()
            || !self.outbox.is_empty()
            || self.is_restarting
    }
}
