//! The room's connections and its members, which follow from each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use serde_json::value::RawValue;

use super::{classes::Classes, sweep::Sweeps};
use crate::{
    auth::{JoinOptions, token::Claims},
    capability::{Capabilities, Capability},
    config::RoomRules,
    ids::{ConnectionId, LinkId, Timestamp, UserId},
    link::Via,
    reply::MemberList,
    room::{
        closing_socket::ClosingSocket,
        connection::Connection,
        presence::{Absence, Arrival, Departure, Presence},
        slow_consumers::Owner,
    },
};

/// The room's connections, with everything that is derived from them: the members, the ends of tokens,
/// and the times of sweeps.
#[derive(Debug, Default)]
pub(super) struct Roster {
    connections: BTreeMap<ConnectionId, Connection>,
    /// The same by class.
    classes: Classes,
    /// Sockets that the room has closed and whose disconnect has not been reported yet.
    closing: BTreeMap<ConnectionId, ClosingSocket>,
    presence: Presence,
    /// The connections that do not make their users members, by user.
    unlisted: BTreeMap<UserId, BTreeSet<ConnectionId>>,
    /// The end of each connection's token, soonest first.
    token_ends: BTreeSet<(Timestamp, ConnectionId)>,
    /// The state that determines the next look for dead sockets.
    sweeps: Sweeps,
}

/// The effect of a new token on a connection.
#[derive(Debug)]
pub(super) struct Refreshed {
    pub(super) user: UserId,
    /// True if the connection had a presence state and may have none any more.
    pub(super) hides_state: bool,
}

impl Roster {
    // Connections.

    /// Adds a connection. `answered` is the time of its last answered ping.
    pub(super) fn add(
        &mut self,
        connection: Connection,
        answered: Option<Timestamp>,
        rules: &RoomRules,
    ) -> Arrival {
        match connection.session.via {
            Via::Socket => {
                let idle_deadline = connection.session.idle_deadline(rules, answered);
                self.sweeps.add(&connection, idle_deadline);
            }
            // Its gateway looks for dead sockets.
            Via::Link(_) => {}
        }
        self.classes.add(&connection);
        let token_end = connection.session.token_deadline(rules);
        self.token_ends.insert((token_end, connection.session.id));
        let arrival = match connection.subscription.is_listed() {
            true => self.presence.arrive(&connection),
            false => {
                let user = connection.subscription.user.clone();
                let of_user = self.unlisted.entry(user).or_default();
                of_user.insert(connection.session.id);
                Arrival::Unlisted
            }
        };
        self.connections.insert(connection.session.id, connection);
        arrival
    }

    /// Removes a connection. A user without connections stays a member until [`Self::leave`].
    pub(super) fn remove(
        &mut self,
        id: ConnectionId,
        rules: &RoomRules,
    ) -> Option<(Connection, Departure)> {
        let connection = self.connections.remove(&id)?;
        self.token_ends
            .remove(&(connection.session.token_deadline(rules), id));
        if connection.session.via == Via::Socket {
            self.sweeps.remove(&connection);
        }
        self.classes.remove(&connection);
        let departure = match connection.subscription.is_listed() {
            true => self.presence.depart(&connection),
            false => {
                self.remove_unlisted(&connection);
                Departure::Unlisted
            }
        };
        Some((connection, departure))
    }

    fn remove_unlisted(&mut self, connection: &Connection) {
        let user = &connection.subscription.user;
        if let Some(of_user) = self.unlisted.get_mut(user) {
            of_user.remove(&connection.session.id);
            if of_user.is_empty() {
                self.unlisted.remove(user);
            }
        }
    }

    /// Returns a connection; `None` if it has ended.
    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(&id)
    }

    /// Returns a connection, for its rates and errors. Its state, its token, its options and its use have
    /// methods of their own, because other things are derived from them.
    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(&id)
    }

    /// Returns all connections, by id.
    pub(super) fn connections(&self) -> &BTreeMap<ConnectionId, Connection> {
        &self.connections
    }

    /// Returns the connections by class.
    pub(super) fn classes(&self) -> &Classes {
        &self.classes
    }

    /// Returns the links behind which there are connections.
    pub(super) fn links(&self) -> impl Iterator<Item = LinkId> {
        self.classes.links()
    }

    /// Returns the connections behind a link.
    pub(super) fn members_of(&self, link: LinkId) -> impl Iterator<Item = ConnectionId> {
        self.classes.behind(link, |_| true).map(|(id, _)| id)
    }

    /// Sets the options of a connection's latest join.
    pub(super) fn set_options(&mut self, id: ConnectionId, options: &JoinOptions) {
        if let Some(connection) = self.connections.get_mut(&id) {
            self.classes.remove(connection);
            connection.subscription.echo = options.echo;
            connection.subscription.presence = options.presence;
            self.classes.add(connection);
        }
    }

    /// Sets a connection's presence state. Returns its user; `None` if the connection has ended.
    pub(super) fn set_state(&mut self, id: ConnectionId, state: Rc<RawValue>) -> Option<UserId> {
        let connection = self.connections.get_mut(&id)?;
        connection.subscription.state = Some(state);
        self.presence.touch(&connection.subscription.user);
        Some(connection.subscription.user.clone())
    }

    /// Applies a new token. `None` if the connection has ended.
    pub(super) fn refresh(
        &mut self,
        id: ConnectionId,
        claims: Claims,
        can: Capabilities,
        rules: &RoomRules,
        clock: Timestamp,
    ) -> Option<Refreshed> {
        let connection = self.connections.get_mut(&id)?;
        let before = connection.session.token_deadline(rules);
        self.classes.remove(connection);
        connection.refresh(claims, can, rules, clock);
        self.classes.add(connection);
        let hides_state =
            !can.has(Capability::Presence) && connection.subscription.state.take().is_some();
        self.token_ends.remove(&(before, id));
        self.token_ends
            .insert((connection.session.token_deadline(rules), id));
        self.presence.touch(&connection.subscription.user);
        Some(Refreshed {
            user: connection.subscription.user.clone(),
            hides_state,
        })
    }

    /// Records that a connection uses the room. Returns true if its attachment has changed.
    pub(super) fn record_use(&mut self, id: ConnectionId, now: Timestamp) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else {
            return false;
        };
        let before = connection.subscription.active;
        let has_changed = connection.subscription.record_use(now);
        if has_changed && connection.session.via == Via::Socket {
            self.sweeps.record_activity(connection, before);
        }
        has_changed
    }

    /// Returns the end of the first token to end; `None` if there are no connections.
    pub(super) fn next_token_end(&self) -> Option<Timestamp> {
        self.token_ends.first().map(|(at, _)| *at)
    }

    /// Returns a connection whose token has ended, once.
    pub(super) fn pop_ended_token(&mut self, clock: Timestamp) -> Option<ConnectionId> {
        self.next_token_end().filter(|at| *at <= clock)?;
        self.token_ends.pop_first().map(|(_, id)| id)
    }

    /// Returns the times of sweeps.
    pub(super) fn sweeps(&self) -> &Sweeps {
        &self.sweeps
    }

    /// Returns the connections that have exceeded the idle timeout. `answered` has the time of each
    /// connection's last answered ping.
    pub(super) fn sweep(
        &mut self,
        answered: &BTreeMap<ConnectionId, Timestamp>,
        rules: &RoomRules,
        now: Timestamp,
    ) -> Vec<ConnectionId> {
        let mut next = None;
        let mut idle = Vec::new();
        let is_socket = |one: &&Connection| one.session.via == Via::Socket;
        for connection in self.connections.values().filter(is_socket) {
            let at = connection
                .session
                .idle_deadline(rules, answered.get(&connection.session.id).copied());
            if at <= now {
                idle.push(connection.session.id);
            } else {
                next = Some(next.map_or(at, |next: Timestamp| next.min(at)));
            }
        }
        self.sweeps.swept(next);
        idle
    }

    // Sockets that are being closed.

    /// Adds a socket that the room closes.
    pub(super) fn add_closing(&mut self, id: ConnectionId, socket: ClosingSocket) {
        self.closing.insert(id, socket);
    }

    /// Removes a socket whose end was reported.
    pub(super) fn end_closing(&mut self, id: ConnectionId) {
        self.closing.remove(&id);
    }

    /// Returns the number of sockets, including those that are being closed.
    pub(super) fn socket_count(&self) -> usize {
        let linked = self.classes.count_linked(|_| true);
        let sockets = self.connections.len().saturating_sub(linked);
        sockets.saturating_add(self.closing.len())
    }

    /// Returns the connections that do not make their users members, by user.
    pub(super) fn unlisted(&self) -> &BTreeMap<UserId, BTreeSet<ConnectionId>> {
        &self.unlisted
    }

    /// Returns all of the user's connections: those of the member, and those that are not listed.
    pub(super) fn connections_of(&self, user: &UserId) -> impl Iterator<Item = ConnectionId> {
        let unlisted = self.unlisted.get(user).into_iter().flatten().copied();
        self.presence.connections_of(user).chain(unlisted)
    }

    /// Returns the user's connections, and sockets that are being closed.
    pub(super) fn sockets_of(&self, user: &UserId) -> impl Iterator<Item = ConnectionId> {
        let closing = self.closing.iter();
        let closing = closing.filter(|(_, one)| one.closing.as_ref() == Some(user));
        let closing = closing.map(|(id, _)| *id);
        self.connections_of(user).chain(closing)
    }

    /// Returns the user of a socket.
    pub(super) fn owner_of(&self, id: ConnectionId) -> Option<Owner> {
        match (self.connections.get(&id), self.closing.get(&id)) {
            (Some(connection), _) => Some(Owner::open(connection.subscription.user.clone())),
            (None, Some(closing)) => closing.closing.clone().map(Owner::closing),
            (None, None) => None,
        }
    }

    // Members.

    /// Returns the members.
    pub(super) fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Returns the members by user id, as many as the limits of a list allow.
    pub(super) fn list(&self) -> MemberList {
        self.presence.list(&self.connections)
    }

    /// Returns one member as JSON.
    pub(super) fn find(&self, user: &UserId) -> Option<&RawValue> {
        self.presence.find(user, &self.connections)
    }

    /// Returns the member's public profile, if there is one.
    pub(super) fn info(&self, user: &UserId) -> Option<Rc<RawValue>> {
        self.presence.info(user, &self.connections)
    }

    /// Starts the grace period of a user without connections.
    pub(super) fn start_grace(&mut self, absence: Absence) {
        self.presence.start_grace(absence);
    }

    /// Removes a user before the grace period ends.
    pub(super) fn evict_absent(&mut self, user: &UserId) {
        self.presence.evict_absent(user);
    }

    /// Removes a user without connections.
    pub(super) fn leave(&mut self, user: &UserId) {
        self.presence.leave(user);
    }

    /// Removes and returns a user whose grace period has ended.
    pub(super) fn pop_absent(&mut self, now: Timestamp) -> Option<UserId> {
        self.presence.pop_expired(now)
    }
}

#[cfg(test)]
mod tests;
