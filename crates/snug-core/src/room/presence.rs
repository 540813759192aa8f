//! Who is here: one member a user, however many connections.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use serde_json::value::RawValue;

use crate::{
    ids::{ConnectionId, Timestamp, UserId},
    limits::{MEMBERS_BYTES_MAX, MEMBERS_LISTED_MAX},
    protocol::push,
    room::connection::Connection,
};

/// The room's members, by user.
#[derive(Debug, Default)]
pub struct Presence {
    members: BTreeMap<UserId, Member>,
    /// When each absent member's grace passes, soonest first.
    due: BTreeSet<(Timestamp, UserId)>,
}

#[derive(Debug)]
struct Member {
    since: Timestamp,
    connections: BTreeSet<ConnectionId>,
    /// Set while the last connection has dropped and the grace has not passed.
    absence: Option<Absence>,
    /// How the wire shows it, once that was asked for.
    shown: OnceCell<Shown>,
}

/// A member as the wire shows it. Kept, since each newcomer is shown 200 of them.
#[derive(Debug)]
struct Shown {
    json: Box<RawValue>,
    payload_bytes: usize,
}

/// A member whose last connection dropped and who may be back. Kept in storage, since no socket
/// is left to keep it with.
#[derive(Clone, Debug)]
pub struct Absence {
    /// Who.
    pub user: UserId,
    /// When the user came.
    pub since: Timestamp,
    /// The public profile.
    pub info: Option<Rc<RawValue>>,
    /// When the user has left, if not back by then.
    pub until: Timestamp,
}

/// What a connection's coming means for its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The user was not here.
    Joined,
    /// The user was away for less than the grace.
    Returned,
    /// The user has other connections.
    Another,
}

/// What a connection's going means for its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It was the user's last.
    Last,
    /// The user has other connections.
    Another,
}

impl Presence {
    /// How many members there are.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// Whether there are more members than are listed.
    pub fn is_truncated(&self) -> bool {
        self.count() > MEMBERS_LISTED_MAX
    }

    /// Who is here, by user id.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.members.keys()
    }

    /// The user's public profile, where there is one.
    pub fn info(
        &self,
        user: &UserId,
        connections: &BTreeMap<ConnectionId, Connection>,
    ) -> Option<Rc<RawValue>> {
        self.members.get(user)?.info(connections)
    }

    /// When the user came, where the user is here.
    pub fn since(&self, user: &UserId) -> Option<Timestamp> {
        self.members.get(user).map(|member| member.since)
    }

    /// The user's connections.
    pub fn connections_of(&self, user: &UserId) -> impl Iterator<Item = ConnectionId> + '_ {
        self.members
            .get(user)
            .into_iter()
            .flat_map(|member| member.connections.iter().copied())
    }

    /// Adds a connection to its user.
    pub fn arrive(&mut self, connection: &Connection) -> Arrival {
        let mut arrival = Arrival::Another;
        let member = self
            .members
            .entry(connection.user.clone())
            .or_insert_with(|| {
                arrival = Arrival::Joined;
                Member::since(connection.since)
            });
        member.shown.take();
        if let Some(absence) = member.absence.take() {
            self.due.remove(&(absence.until, absence.user));
            arrival = Arrival::Returned;
        }
        member.connections.insert(connection.id);
        arrival
    }

    /// Takes a connection from its user. A user without any stays until [`Self::leave`].
    pub fn depart(&mut self, connection: &Connection) -> Departure {
        match self.members.get_mut(&connection.user) {
            Some(member) => {
                member.shown.take();
                member.connections.remove(&connection.id);
                if member.connections.is_empty() {
                    Departure::Last
                } else {
                    Departure::Another
                }
            }
            None => Departure::Another,
        }
    }

    /// Keeps a user without connections for a while.
    pub fn start_grace(&mut self, absence: Absence) {
        let member = self
            .members
            .entry(absence.user.clone())
            .or_insert_with(|| Member::since(absence.since));
        member.shown.take();
        self.due.insert((absence.until, absence.user.clone()));
        member.absence = Some(absence);
    }

    /// Whether the user has dropped and may be back.
    pub fn is_absent(&self, user: &UserId) -> bool {
        let member = self.members.get(user);
        member.is_some_and(|member| member.absence.is_some())
    }

    /// Users who have dropped and may be back.
    pub fn absent(&self) -> Vec<UserId> {
        self.due.iter().map(|(_, user)| user.clone()).collect()
    }

    /// Removes a user who may be back, without waiting for the grace.
    pub fn evict_absent(&mut self, user: &UserId) {
        let member = self.members.remove(user);
        if let Some(absence) = member.and_then(|member| member.absence) {
            self.due.remove(&(absence.until, absence.user));
        }
    }

    /// Removes a user without connections.
    pub fn leave(&mut self, user: &UserId) {
        self.members.remove(user);
    }

    /// Removes a user whose grace has passed, and tells which.
    pub fn pop_expired(&mut self, now: Timestamp) -> Option<UserId> {
        self.next_due().filter(|until| *until <= now)?;
        let (_, user) = self.due.pop_first()?;
        self.members.remove(&user);
        Some(user)
    }

    /// When the next grace passes.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(until, _)| *until)
    }

    /// Notes that a connection of the user's shows another state.
    pub fn touch(&mut self, user: &UserId) {
        if let Some(member) = self.members.get_mut(user) {
            member.shown.take();
        }
    }

    /// The first members by user id, as the wire shows them; fewer than there are where a list
    /// would pass its limits.
    pub fn list<'a>(
        &'a self,
        connections: &BTreeMap<ConnectionId, Connection>,
    ) -> Vec<&'a RawValue> {
        let mut list = Vec::new();
        let mut bytes = 0_usize;
        for (user, member) in self.members.iter().take(MEMBERS_LISTED_MAX) {
            let shown = member.show(user, connections);
            bytes = bytes.saturating_add(shown.payload_bytes);
            if bytes > MEMBERS_BYTES_MAX && !list.is_empty() {
                break;
            }
            list.push(&*shown.json);
        }
        list
    }

    /// One member, as the wire shows it.
    pub fn find(
        &self,
        user: &UserId,
        connections: &BTreeMap<ConnectionId, Connection>,
    ) -> Option<&RawValue> {
        let member = self.members.get(user)?;
        Some(&member.show(user, connections).json)
    }
}

impl Member {
    fn since(since: Timestamp) -> Self {
        Self {
            since,
            connections: BTreeSet::new(),
            absence: None,
            shown: OnceCell::new(),
        }
    }

    fn own<'a>(
        &self,
        connections: &'a BTreeMap<ConnectionId, Connection>,
    ) -> impl Iterator<Item = &'a Connection> {
        self.connections.iter().filter_map(|id| connections.get(id))
    }

    fn info(&self, connections: &BTreeMap<ConnectionId, Connection>) -> Option<Rc<RawValue>> {
        // The newest connection's token is the newest word on the profile.
        let newest = self.own(connections);
        match newest.max_by_key(|connection| (connection.joined, connection.id)) {
            Some(connection) => connection.info.clone(),
            None => self.absence.as_ref()?.info.clone(),
        }
    }

    fn show(&self, user: &UserId, connections: &BTreeMap<ConnectionId, Connection>) -> &Shown {
        self.shown.get_or_init(|| {
            let info = self.info(connections);
            let member = push::Member {
                user,
                info: info.as_deref().unwrap_or(empty_object()),
                since: self.since,
                connections: self.connections.len(),
                state: self
                    .own(connections)
                    .filter_map(|one| Some((one.id, one.state.as_deref()?)))
                    .collect(),
            };
            Shown {
                json: member.to_json(),
                payload_bytes: member.payload_bytes(),
            }
        })
    }
}

/// `{}`.
fn empty_object() -> &'static RawValue {
    serde_json::from_str("{}").unwrap_or(RawValue::NULL)
}

#[cfg(test)]
mod tests {
    use crate::{
        Admission, Capabilities,
        auth::{JoinOptions, token::ClaimedLimits},
        config::RoomRules,
    };

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    #[test]
    fn a_user_joins_once_and_goes_last_once() {
        let mut room = Here::default();
        assert_eq!(room.arrive(1, "ann"), Arrival::Joined);
        assert_eq!(room.arrive(2, "ann"), Arrival::Another);
        assert_eq!(room.presence.count(), 1);
        assert_eq!(room.depart(1), Departure::Another);
        assert_eq!(room.depart(2), Departure::Last);
        room.presence.leave(&user("ann"));
        assert_eq!(room.presence.count(), 0);
        assert_eq!(room.arrive(3, "ann"), Arrival::Joined);
    }

    #[test]
    fn an_absent_user_is_a_member_and_returns() {
        let mut room = Here::default();
        room.arrive(1, "ann");
        room.depart(1);
        room.presence.start_grace(absence("ann", 500));
        assert_eq!(room.presence.count(), 1);
        assert_eq!(room.presence.since(&user("ann")), Some(NOW));
        assert_eq!(room.presence.next_due(), Some(NOW.plus_ms(500)));
        assert_eq!(room.arrive(2, "ann"), Arrival::Returned);
        assert_eq!(room.presence.next_due(), None);
        assert_eq!(room.presence.pop_expired(NOW.plus_ms(1000)), None);
        assert_eq!(room.presence.count(), 1);
    }

    #[test]
    fn those_whose_grace_has_passed_are_taken_soonest_first() {
        let mut room = Here::default();
        for (name, grace_ms) in [("cho", 300), ("ann", 200), ("bob", 300)] {
            room.presence.start_grace(absence(name, grace_ms));
        }
        let mut take = |ms| room.presence.pop_expired(NOW.plus_ms(ms));
        assert_eq!(take(199), None);
        assert_eq!(take(200), Some(user("ann")));
        assert_eq!(take(299), None);
        assert_eq!(take(300), Some(user("bob")));
        assert_eq!(take(300), Some(user("cho")));
        assert_eq!(take(u64::MAX), None);
        assert_eq!(room.presence.count(), 0);
    }

    #[test]
    fn a_restored_absence_is_listed_with_its_profile() {
        let mut room = Here::default();
        room.presence.start_grace(Absence {
            info: Some(RawValue::from_string(r#"{"a":1}"#.into()).unwrap().into()),
            ..absence("ann", 500)
        });
        assert_eq!(
            room.listed(),
            r#"[{"user":"ann","info":{"a":1},"since":1000000,"connections":0,"state":{}}]"#
        );
    }

    #[test]
    fn members_are_listed_in_the_order_of_their_names() {
        let mut room = Here::default();
        for (id, name) in [(3, "cho"), (2, "ann"), (1, "bob")] {
            room.arrive(id, name);
        }
        let list = room.presence.list(&room.connections);
        let is_of =
            |name: &str, member: &RawValue| member.get().contains(&format!(r#""user":"{name}""#));
        assert_eq!(list.len(), 3);
        assert!(is_of("ann", list[0]) && is_of("bob", list[1]) && is_of("cho", list[2]));
    }

    #[test]
    fn a_list_ends_at_its_most_members() {
        let mut room = Here::default();
        for id in 1..=MEMBERS_LISTED_MAX as u64 {
            room.arrive(id, &format!("user{id}"));
        }
        assert_eq!(
            room.presence.list(&room.connections).len(),
            MEMBERS_LISTED_MAX
        );
        room.arrive(0, "one more");
        assert_eq!(
            room.presence.list(&room.connections).len(),
            MEMBERS_LISTED_MAX
        );
    }

    #[test]
    fn a_list_ends_at_its_most_bytes() {
        let mut room = Here::default();
        // An empty profile and a state, 128 of which fill a list to the byte.
        let state = |bytes: usize| {
            let filling = "x".repeat(bytes - r#"{"":""}{}"#.len());
            RawValue::from_string(format!(r#"{{"":"{filling}"}}"#)).unwrap()
        };
        for id in 0..129 {
            room.arrive(id, &format!("user{id:03}"));
            let connection = room.connections.get_mut(&ConnectionId(id)).unwrap();
            connection.state = Some(state(MEMBERS_BYTES_MAX / 128).into());
        }
        assert_eq!(room.presence.list(&room.connections).len(), 128);
        let connection = room.connections.get_mut(&ConnectionId(0)).unwrap();
        connection.state = Some(state(MEMBERS_BYTES_MAX / 128 + 1).into());
        room.presence.touch(&user("user000"));
        assert_eq!(room.presence.list(&room.connections).len(), 127);
        let connection = room.connections.get_mut(&ConnectionId(0)).unwrap();
        connection.state = Some(state(MEMBERS_BYTES_MAX + 1).into());
        room.presence.touch(&user("user000"));
        assert_eq!(room.presence.list(&room.connections).len(), 1);
    }

    #[test]
    fn connections_are_told_by_user() {
        let mut room = Here::default();
        for (id, name) in [(2, "ann"), (1, "ann"), (3, "bob")] {
            room.arrive(id, name);
        }
        let of = |name| -> Vec<_> { room.presence.connections_of(&user(name)).collect() };
        assert_eq!(of("ann"), [ConnectionId(1), ConnectionId(2)]);
        assert_eq!(of("bob"), [ConnectionId(3)]);
        assert_eq!(of("cho"), []);
    }

    /// Presence, and the connections that a room holds beside it.
    #[derive(Default)]
    struct Here {
        presence: Presence,
        connections: BTreeMap<ConnectionId, Connection>,
    }

    impl Here {
        fn arrive(&mut self, id: u64, name: &str) -> Arrival {
            let connection = connection(id, name);
            let arrival = self.presence.arrive(&connection);
            self.connections.insert(connection.id, connection);
            arrival
        }

        fn depart(&mut self, id: u64) -> Departure {
            let connection = self.connections.remove(&ConnectionId(id)).unwrap();
            self.presence.depart(&connection)
        }

        fn listed(&self) -> String {
            serde_json::to_string(&self.presence.list(&self.connections)).unwrap()
        }
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn absence(name: &str, grace_ms: u64) -> Absence {
        Absence {
            user: user(name),
            since: NOW,
            info: None,
            until: NOW.plus_ms(grace_ms),
        }
    }

    fn connection(id: u64, name: &str) -> Connection {
        let admission = Admission {
            user: user(name),
            info: None,
            can: Capabilities::default_grant(),
            expires: NOW,
            limits: ClaimedLimits::default(),
            options: JoinOptions {
                lines: true,
                echo: true,
                presence: true,
                resume: None,
                last: None,
            },
        };
        let rules = RoomRules::by_default();
        Connection::new(ConnectionId(id), admission, NOW, &rules, NOW)
    }
}
