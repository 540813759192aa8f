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
        let waiting = self.linked.unread_bytes();
        self.unread_bytes.saturating_add(waiting) > UNREAD_BYTES_MAX
    }

    /// Returns the user's connections, and sockets that are being closed.
    pub fn sockets_of(&self, user: &UserId) -> impl Iterator<Item = ConnectionId> {
        self.roster.sockets_of(user)
    }

    /// Closes connections that are too slow for themselves, for their user or for the room, the
    /// slowest first. The runtime keeps what a socket that is being closed has not read, so it counts.
    pub(super) fn close_slow(&mut self, queued: BTreeMap<ConnectionId, u64>) {
        for id in too_slow(queued, |id| self.roster.owner_of(id)) {
            self.close(id, CloseCode::TooSlow);
        }
    }
}

/// The user of a socket.
pub(crate) struct Owner {
    user: UserId,
    is_closing: bool,
}

impl Owner {
    /// The user of an open socket.
    pub(crate) fn open(user: UserId) -> Self {
        Self {
            user,
            is_closing: false,
        }
    }

    /// The user of a socket that is being closed.
    pub(crate) fn closing(user: UserId) -> Self {
        Self {
            user,
            is_closing: true,
        }
    }
}

/// Returns the sockets that are too slow for themselves, for their user or for the object, the slowest
/// first. What is queued for a socket that is being closed counts until its end is reported.
pub(crate) fn too_slow(
    queued: BTreeMap<ConnectionId, u64>,
    owner_of: impl Fn(ConnectionId) -> Option<Owner>,
) -> Vec<ConnectionId> {
    let mut total = queued.values().sum::<u64>();
    let mut of_users = BTreeMap::<UserId, u64>::new();
    let mut open = Vec::new();
    for (id, bytes) in queued {
        let Some(Owner { user, is_closing }) = owner_of(id) else {
            continue;
        };
        let of_user = of_users.entry(user.clone()).or_default();
        *of_user = of_user.saturating_add(bytes);
        if !is_closing {
            open.push((id, bytes, user));
        }
    }
    open.sort_by_key(|(_, bytes, _)| Reverse(*bytes));
    let mut slow = Vec::new();
    for (id, bytes, user) in open {
        let of_user = of_users.entry(user).or_default();
        if bytes > QUEUE_BYTES_MAX
            || *of_user > USER_QUEUE_BYTES_MAX
            || total > ROOM_QUEUE_BYTES_MAX
        {
            *of_user = of_user.saturating_sub(bytes);
            total = total.saturating_sub(bytes);
            slow.push(id);
        }
    }
    slow
}
