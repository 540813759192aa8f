//! Presence changes that are gathered for the next push.

use std::collections::BTreeSet;

use super::Room;
use crate::{
    fan_out::Audience,
    ids::{ConnectionId, UserId},
    protocol::push::{PresenceChange, Push, StateChange},
    storage::store::Store,
};

/// Joins, leaves and state changes since the last presence push.
#[derive(Debug, Default)]
pub(super) struct PresenceDiff {
    joins: BTreeSet<UserId>,
    leaves: BTreeSet<UserId>,
    updates: BTreeSet<(UserId, ConnectionId)>,
    originator: Originator,
}

/// The connection that caused the changes. If there is only one, the push is not sent to it. If
/// there are several, each receives the changes of the others, and thus also its own.
#[derive(Clone, Copy, Debug, Default)]
enum Originator {
    #[default]
    None,
    One(ConnectionId),
    Several,
}

impl PresenceDiff {
    pub(super) fn is_empty(&self) -> bool {
        self.joins.is_empty() && self.leaves.is_empty() && self.updates.is_empty()
    }

    /// Adds the join of a user with this connection.
    pub(super) fn join(&mut self, user: UserId, by: ConnectionId) {
        self.joins.insert(user);
        self.record_originator(by);
    }

    /// Adds the leave of a user.
    pub(super) fn leave(&mut self, user: UserId) {
        self.updates.retain(|(one, _)| *one != user);
        self.leaves.insert(user);
        self.include_originator();
    }

    /// Adds a change of a connection's state.
    pub(super) fn show(&mut self, user: UserId, by: ConnectionId) {
        self.updates.insert((user, by));
        self.record_originator(by);
    }

    /// Adds the removal of a connection's state.
    pub(super) fn hide(&mut self, user: UserId, connection: ConnectionId) {
        self.updates.insert((user, connection));
        self.include_originator();
    }

    /// Sends the push to all connections, including the originator.
    pub(super) fn include_originator(&mut self) {
        self.originator = Originator::Several;
    }

    fn record_originator(&mut self, connection: ConnectionId) {
        self.originator = match self.originator {
            Originator::None => Originator::One(connection),
            Originator::One(other) if other == connection => self.originator,
            _ => Originator::Several,
        };
    }
}

impl<S: Store> Room<S> {
    /// Pushes a pending leave of the user before the user joins again: one push cannot hold both.
    pub(super) fn flush_pending_leave(&mut self, user: &UserId) {
        if self.presence_diff.leaves.contains(user) {
            self.flush_presence();
        }
    }

    /// Pushes a pending join of the user before the user leaves: one push cannot hold both.
    pub(super) fn flush_pending_join(&mut self, user: &UserId) {
        if self.presence_diff.joins.contains(user) {
            self.flush_presence();
        }
    }

    /// Adds the changes to a flush that is under way, unless no client receives them.
    pub(super) fn send_presence(&mut self) {
        let has_recipients = self.roster.classes().has(|class| class.receives_presence);
        match has_recipients {
            true => self.flush_presence(),
            false => self.presence_diff = PresenceDiff::default(),
        }
    }

    /// Adds the changes to the outbox as one push. In a room with more members than are listed, no
    /// client has the full list, and the push holds only the number of members.
    pub(super) fn flush_presence(&mut self) {
        if self.presence_diff.is_empty() {
            return;
        }
        let diff = std::mem::take(&mut self.presence_diff);
        let count = self.roster.presence().count();
        let mut push = PresenceChange {
            count,
            truncated: self.roster.presence().is_truncated(),
            ..PresenceChange::default()
        };
        if push.truncated {
            if diff.joins.is_empty() && diff.leaves.is_empty() {
                return;
            }
        } else {
            let shown = |user| self.roster.find(user);
            push.joins = diff.joins.iter().filter_map(shown).collect();
            push.leaves = diff.leaves.iter().collect();
            let updates = diff.updates.iter().map(|(user, id)| StateChange {
                user,
                connection: *id,
                state: self
                    .roster
                    .get(*id)
                    .and_then(|one| one.subscription.state.as_deref()),
            });
            push.updates = updates.collect();
        }
        let except = match diff.originator {
            Originator::One(id) => Some(id),
            Originator::None | Originator::Several => None,
        };
        let except = except.into_iter().collect();
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
    fn excludes_a_connection_only_if_it_caused_all_changes() {
        let excluded = |cause: &dyn Fn(&mut PresenceDiff)| {
            let mut diff = PresenceDiff::default();
            diff.join(user("ann"), ANN);
            cause(&mut diff);
            match diff.originator {
                Originator::One(id) => Some(id),
                Originator::None | Originator::Several => None,
            }
        };
        assert_eq!(excluded(&|_| {}), Some(ANN));
        assert_eq!(excluded(&|diff| diff.show(user("ann"), ANN)), Some(ANN));
        assert_eq!(excluded(&|diff| diff.show(user("bob"), BOB)), None);
        assert_eq!(excluded(&|diff| diff.join(user("bob"), BOB)), None);
        assert_eq!(excluded(&|diff| diff.leave(user("bob"))), None);
        assert_eq!(excluded(&|diff| diff.hide(user("bob"), BOB)), None);
    }

    #[test]
    fn a_leave_removes_the_users_state_changes() {
        let mut diff = PresenceDiff::default();
        assert!(diff.is_empty());
        diff.show(user("ann"), ANN);
        diff.hide(user("ann"), ANN);
        diff.show(user("bob"), BOB);
        assert_eq!(diff.updates.len(), 2, "one change per connection");
        diff.leave(user("ann"));
        let updates: Vec<_> = diff.updates.iter().collect();
        assert_eq!(updates, [&(user("bob"), BOB)]);
        assert_eq!(diff.leaves.len(), 1);
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }
}
