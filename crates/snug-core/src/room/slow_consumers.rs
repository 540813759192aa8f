//! Clients that read more slowly than the room sends.

use std::{cmp::Reverse, collections::BTreeMap};

use super::Room;
use crate::{
    ids::{ConnectionId, UserId},
    limits::{QUEUE_BYTES_MAX, RECOVERY_BYTES_MAX, ROOM_QUEUE_BYTES_MAX, USER_QUEUE_BYTES_MAX},
    protocol::error::CloseCode,
    storage::store::Store,
};

/// The bytes that wait for the room's clients, with which another replay still fits.
const UNREAD_BYTES_MAX: u64 = ROOM_QUEUE_BYTES_MAX - RECOVERY_BYTES_MAX as u64;

impl<S: Store> Room<S> {
    /// Sets the bytes that the runtime queues for all sockets of the room. It may be too large by what
    /// clients have read since the room last sent them something.
    pub fn set_unread_bytes(&mut self, bytes: u64) {
        self.unread_bytes = bytes;
    }

    /// Counts a long reply.
    pub(super) fn count_unread(&mut self, reply_bytes: usize) {
        let bytes = u64::try_from(reply_bytes).unwrap_or(u64::MAX);
        self.unread_bytes = self.unread_bytes.saturating_add(bytes);
    }

    /// Returns true if the room's clients leave so much unread that no client gets old messages.
    pub(super) fn has_too_much_unread(&self) -> bool {
        self.unread_bytes > UNREAD_BYTES_MAX
    }

    /// Returns the user's sockets, including those that are being closed.
    pub fn sockets_of(&self, user: &UserId) -> impl Iterator<Item = ConnectionId> {
        self.roster.sockets_of(user)
    }

    /// Closes connections that are too slow for themselves, for their user or for the room, the
    /// slowest first. The runtime keeps what a socket that is being closed has not read, so it counts.
    pub(super) fn close_slow(&mut self, mut queued: BTreeMap<ConnectionId, u64>) {
        let mut total = queued.values().sum::<u64>();
        let mut slowest: Vec<_> = queued.iter().map(|(id, bytes)| (*id, *bytes)).collect();
        slowest.sort_by_key(|(_, bytes)| Reverse(*bytes));
        for (id, bytes) in slowest {
            let Some(connection) = self.roster.get(id) else {
                continue;
            };
            let own = self.sockets_of(&connection.subscription.user);
            let of_user = own.filter_map(|id| queued.get(&id)).sum::<u64>();
            if bytes > QUEUE_BYTES_MAX
                || of_user > USER_QUEUE_BYTES_MAX
                || total > ROOM_QUEUE_BYTES_MAX
            {
                queued.remove(&id);
                total = total.saturating_sub(bytes);
                self.close(id, CloseCode::TooSlow);
            }
        }
    }
}
