//! What has changed in presence, gathered until it is told.

use std::collections::BTreeSet;

use super::{Room, outbox::Audience};
use crate::{
    ids::{ConnectionId, UserId},
    protocol::push::{PresenceChange, Push, StateChange},
};

/// Who came, who went, and whose state changed since presence was last told.
#[derive(Debug, Default)]
pub(super) struct PresenceDiff {
    joins: BTreeSet<UserId>,
    leaves: BTreeSet<UserId>,
    updates: BTreeSet<(UserId, ConnectionId)>,
    by: By,
}

/// Who caused it. One alone need not be told; where several did, each is told what the others
/// did, and so what it did itself.
#[derive(Clone, Copy, Debug, Default)]
enum By {
    #[default]
    Nobody,
    One(ConnectionId),
    Several,
}

impl PresenceDiff {
    pub(super) fn is_empty(&self) -> bool {
        self.joins.is_empty() && self.leaves.is_empty() && self.updates.is_empty()
    }

    /// A user came with this connection.
    pub(super) fn join(&mut self, user: UserId, by: ConnectionId) {
        self.joins.insert(user);
        self.record_originator(by);
    }

    /// A user has left.
    pub(super) fn leave(&mut self, user: UserId) {
        self.updates.retain(|(one, _)| *one != user);
        self.leaves.insert(user);
        self.include_originator();
    }

    /// A connection shows another state.
    pub(super) fn show(&mut self, user: UserId, by: ConnectionId) {
        self.updates.insert((user, by));
        self.record_originator(by);
    }

    /// A connection is gone, and its state with it.
    pub(super) fn hide(&mut self, user: UserId, connection: ConnectionId) {
        self.updates.insert((user, connection));
        self.include_originator();
    }

    /// Whoever caused it has to be told, too.
    pub(super) fn include_originator(&mut self) {
        self.by = By::Several;
    }

    fn record_originator(&mut self, connection: ConnectionId) {
        self.by = match self.by {
            By::Nobody => By::One(connection),
            By::One(other) if other == connection => self.by,
            _ => By::Several,
        };
    }
}

impl Room {
    /// Comes before a user's return: that the user has left is told in a push of its own.
    pub(super) fn flush_pending_leave(&mut self, user: &UserId) {
        if self.presence_diff.leaves.contains(user) {
            self.flush_presence();
        }
    }

    /// Comes before a user's leave: that the user came is told in a push of its own.
    pub(super) fn flush_pending_join(&mut self, user: &UserId) {
        if self.presence_diff.joins.contains(user) {
            self.flush_presence();
        }
    }

    /// Puts what has changed into the outbox, as one push. In a room with more members than are
    /// listed, nobody has a whole picture, and only their number is told.
    pub(super) fn flush_presence(&mut self) {
        if self.presence_diff.is_empty() {
            return;
        }
        let change = std::mem::take(&mut self.presence_diff);
        let count = self.presence.count();
        let mut push = PresenceChange {
            count,
            truncated: self.presence.is_truncated(),
            ..PresenceChange::default()
        };
        if push.truncated {
            if change.joins.is_empty() && change.leaves.is_empty() {
                return;
            }
        } else {
            let shown = |user| self.presence.find(user, &self.connections);
            push.joins = change.joins.iter().filter_map(shown).collect();
            push.leaves = change.leaves.iter().collect();
            let updates = change.updates.iter().map(|(user, id)| StateChange {
                user,
                connection: *id,
                state: self
                    .connections
                    .get(id)
                    .and_then(|one| one.state.as_deref()),
            });
            push.updates = updates.collect();
        }
        let except = match change.by {
            By::One(id) => Some(id),
            By::Nobody | By::Several => None,
        };
        let text = Push::Presence(push).to_line();
        self.outbox.push_line(Audience::Presence { except }, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: ConnectionId = ConnectionId(1);
    const BOB: ConnectionId = ConnectionId(2);

    #[test]
    fn only_what_one_connection_alone_has_caused_need_not_be_told_to_it() {
        let by = |cause: &dyn Fn(&mut PresenceDiff)| {
            let mut change = PresenceDiff::default();
            change.join(user("ann"), ANN);
            cause(&mut change);
            match change.by {
                By::One(id) => Some(id),
                By::Nobody | By::Several => None,
            }
        };
        assert_eq!(by(&|_| {}), Some(ANN));
        assert_eq!(by(&|change| change.show(user("ann"), ANN)), Some(ANN));
        assert_eq!(by(&|change| change.show(user("bob"), BOB)), None);
        assert_eq!(by(&|change| change.join(user("bob"), BOB)), None);
        assert_eq!(by(&|change| change.leave(user("bob"))), None);
        assert_eq!(by(&|change| change.hide(user("bob"), BOB)), None);
    }

    #[test]
    fn a_leave_takes_its_users_states_with_it() {
        let mut change = PresenceDiff::default();
        assert!(change.is_empty());
        change.show(user("ann"), ANN);
        change.hide(user("ann"), ANN);
        change.show(user("bob"), BOB);
        assert_eq!(change.updates.len(), 2, "a connection's is one");
        change.leave(user("ann"));
        let updates: Vec<_> = change.updates.iter().collect();
        assert_eq!(updates, [&(user("bob"), BOB)]);
        assert_eq!(change.leaves.len(), 1);
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }
}
