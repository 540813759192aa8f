//! The connections of a room by class, so that a line looks only at those that it may be for.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    fan_out::Class,
    ids::{ConnectionId, LinkId},
    link::Via,
    room::connection::Connection,
};

/// The connections by class: those with sockets, and those behind each link.
#[derive(Debug, Default)]
pub(super) struct Classes {
    sockets: ByClass,
    linked: BTreeMap<LinkId, ByClass>,
}

type ByClass = BTreeMap<Class, BTreeSet<ConnectionId>>;

const NO_CONNECTIONS: &ByClass = &BTreeMap::new();

impl Classes {
    /// Adds a connection.
    pub(super) fn add(&mut self, connection: &Connection) {
        let group = match connection.session.via {
            Via::Socket => &mut self.sockets,
            Via::Link(link) => self.linked.entry(link).or_default(),
        };
        let members = group.entry(connection.class()).or_default();
        members.insert(connection.session.id);
    }

    /// Removes a connection, which still has the class with which it was added.
    pub(super) fn remove(&mut self, connection: &Connection) {
        match connection.session.via {
            Via::Socket => remove(&mut self.sockets, connection),
            Via::Link(link) => {
                if let Some(group) = self.linked.get_mut(&link) {
                    remove(group, connection);
                    if group.is_empty() {
                        self.linked.remove(&link);
                    }
                }
            }
        }
    }

    /// Returns the connections with sockets whose class matches.
    pub(super) fn sockets(
        &self,
        matches: impl Fn(Class) -> bool,
    ) -> impl Iterator<Item = (ConnectionId, Class)> {
        matching(&self.sockets, matches)
    }

    /// Returns the connections behind a link whose class matches.
    pub(super) fn behind(
        &self,
        link: LinkId,
        matches: impl Fn(Class) -> bool,
    ) -> impl Iterator<Item = (ConnectionId, Class)> {
        matching(self.linked.get(&link).unwrap_or(NO_CONNECTIONS), matches)
    }

    /// Returns the links behind which there are connections.
    pub(super) fn links(&self) -> impl Iterator<Item = LinkId> {
        self.linked.keys().copied()
    }

    /// Returns the number of connections behind links whose class matches.
    pub(super) fn count_linked(&self, matches: impl Fn(Class) -> bool) -> usize {
        let groups = self.linked.values().flatten();
        let matching = groups.filter(|(class, _)| matches(**class));
        matching.map(|(_, members)| members.len()).sum()
    }

    /// Returns true if there is a connection whose class matches.
    pub(super) fn has(&self, matches: impl Fn(Class) -> bool) -> bool {
        let mut groups = self
            .sockets
            .keys()
            .chain(self.linked.values().flat_map(BTreeMap::keys));
        groups.any(|class| matches(*class))
    }
}

fn matching(
    group: &ByClass,
    matches: impl Fn(Class) -> bool,
) -> impl Iterator<Item = (ConnectionId, Class)> {
    let matching = group.iter().filter(move |(class, _)| matches(**class));
    matching.flat_map(|(class, members)| members.iter().map(|id| (*id, *class)))
}

fn remove(group: &mut ByClass, connection: &Connection) {
    let class = connection.class();
    if let Some(members) = group.get_mut(&class) {
        members.remove(&connection.session.id);
        if members.is_empty() {
            group.remove(&class);
        }
    }
}
