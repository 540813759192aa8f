//! The room's members: one per user, however many connections the user has.

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
    reply::MemberList,
    room::connection::Connection,
};

/// The room's members, by user.
#[derive(Debug, Default)]
pub struct Presence {
    members: BTreeMap<UserId, Member>,
    /// The end of each absent member's grace period, soonest first.
    due: BTreeSet<(Timestamp, UserId)>,
}

#[derive(Debug)]
struct Member {
    since: Timestamp,
    connections: BTreeSet<ConnectionId>,
    /// Set during the grace period.
    absence: Option<Absence>,
    /// The member as JSON; filled on first use.
    shown: OnceCell<Shown>,
}

/// A member as JSON. It is cached, because every `welcome` holds up to 200 members.
#[derive(Debug)]
struct Shown {
    json: Rc<RawValue>,
    payload_bytes: usize,
}

/// A member within the grace period, as it is stored: no socket is left whose attachment could
/// keep it.
#[derive(Clone, Debug)]
pub struct Absence {
    /// The member's user id.
    pub user: UserId,
    /// Time since which the user is a member.
    pub since: Timestamp,
    /// The public profile.
    pub info: Option<Rc<RawValue>>,
    /// The end of the grace period.
    pub until: Timestamp,
}

/// The effect of a new connection on its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The user was not a member.
    Joined,
    /// The user was within the grace period.
    Returned,
    /// The user has other connections.
    Another,
    /// The connection does not make its user a member.
    Unlisted,
}

/// The effect of a connection's end on its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It was the user's last connection.
    Last,
    /// The user has other connections.
    Another,
    /// The connection did not make its user a member.
    Unlisted,
}

impl Presence {
    /// Returns the number of members.
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// Returns true if there are more members than are listed.
    pub fn is_truncated(&self) -> bool {
        self.count() > MEMBERS_LISTED_MAX
    }

    /// Returns the members' user ids, in order.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.members.keys()
    }

    /// Returns the member's public profile, if there is one.
    pub fn info(
        &self,
        user: &UserId,
        connections: &BTreeMap<ConnectionId, Connection>,
    ) -> Option<Rc<RawValue>> {
        self.members.get(user)?.info(connections)
    }

    /// Returns the time since which the user is a member; `None` if the user is not.
    pub fn since(&self, user: &UserId) -> Option<Timestamp> {
        self.members.get(user).map(|member| member.since)
    }

    /// Returns the user's connections.
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
            .entry(connection.subscription.user.clone())
            .or_insert_with(|| {
                arrival = Arrival::Joined;
                Member::since(connection.subscription.since)
            });
        member.shown.take();
        if let Some(absence) = member.absence.take() {
            self.due.remove(&(absence.until, absence.user));
            arrival = Arrival::Returned;
        }
        member.connections.insert(connection.session.id);
        arrival
    }

    /// Removes a connection from its user. A user without connections stays a member until
    /// [`Self::leave`].
    pub fn depart(&mut self, connection: &Connection) -> Departure {
        match self.members.get_mut(&connection.subscription.user) {
            Some(member) => {
                member.shown.take();
                member.connections.remove(&connection.session.id);
                if member.connections.is_empty() {
                    Departure::Last
                } else {
                    Departure::Another
                }
            }
            None => Departure::Another,
        }
    }

    /// Starts the grace period of a user without connections.
    pub fn start_grace(&mut self, absence: Absence) {
        let member = self
            .members
            .entry(absence.user.clone())
            .or_insert_with(|| Member::since(absence.since));
        member.shown.take();
        self.due.insert((absence.until, absence.user.clone()));
        member.absence = Some(absence);
    }

    /// Returns true if the user is within the grace period.
    pub fn is_absent(&self, user: &UserId) -> bool {
        let member = self.members.get(user);
        member.is_some_and(|member| member.absence.is_some())
    }

    /// Returns the users within the grace period.
    pub fn absent(&self) -> Vec<UserId> {
        self.due.iter().map(|(_, user)| user.clone()).collect()
    }

    /// Removes a user before the grace period ends.
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

    /// Removes and returns a user whose grace period has ended.
    pub fn pop_expired(&mut self, now: Timestamp) -> Option<UserId> {
        self.next_due().filter(|until| *until <= now)?;
        let (_, user) = self.due.pop_first()?;
        self.members.remove(&user);
        Some(user)
    }

    /// Returns the time at which the next grace period ends.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(until, _)| *until)
    }

    /// Drops the member's cached JSON, after a change of its state or profile.
    pub fn touch(&mut self, user: &UserId) {
        if let Some(member) = self.members.get_mut(user) {
            member.shown.take();
        }
    }

    /// Returns the members by user id, as many as the limits of a list allow.
    pub fn list(&self, connections: &BTreeMap<ConnectionId, Connection>) -> MemberList {
        let mut list = Vec::new();
        let mut bytes = 0_usize;
        for (user, member) in self.members.iter().take(MEMBERS_LISTED_MAX) {
            let shown = member.show(user, connections);
            bytes = bytes.saturating_add(shown.payload_bytes);
            if bytes > MEMBERS_BYTES_MAX && !list.is_empty() {
                break;
            }
            list.push(shown.json.clone());
        }
        MemberList::new(list, self.count())
    }

    /// Returns one member as JSON.
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

    fn connections<'a>(
        &self,
        connections: &'a BTreeMap<ConnectionId, Connection>,
    ) -> impl Iterator<Item = &'a Connection> {
        self.connections.iter().filter_map(|id| connections.get(id))
    }

    fn info(&self, connections: &BTreeMap<ConnectionId, Connection>) -> Option<Rc<RawValue>> {
        // The newest connection has the latest profile.
        let own = self.connections(connections);
        match own.max_by_key(|connection| (connection.subscription.joined, connection.session.id)) {
            Some(connection) => connection.subscription.info.clone(),
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
                    .connections(connections)
                    .filter_map(|one| Some((one.session.id, one.subscription.state.as_deref()?)))
                    .collect(),
            };
            Shown {
                json: member.to_json().into(),
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
    use crate::link::Via;

    const NOW: Timestamp = Timestamp(1_000_000);

    #[test]
    fn a_user_joins_with_the_first_connection_and_leaves_with_the_last() {
        let mut room = Members::default();
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
    fn a_user_stays_a_member_during_the_grace_period() {
        let mut room = Members::default();
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
    fn removes_members_in_the_order_in_which_their_grace_periods_end() {
        let mut room = Members::default();
        for (name, grace_ms) in [("cho", 300), ("ann", 200), ("bob", 300)] {
            room.presence.start_grace(absence(name, grace_ms));
        }
        let mut pop = |ms| room.presence.pop_expired(NOW.plus_ms(ms));
        assert_eq!(pop(199), None);
        assert_eq!(pop(200), Some(user("ann")));
        assert_eq!(pop(299), None);
        assert_eq!(pop(300), Some(user("bob")));
        assert_eq!(pop(300), Some(user("cho")));
        assert_eq!(pop(u64::MAX), None);
        assert_eq!(room.presence.count(), 0);
    }

    #[test]
    fn lists_an_absent_member_with_its_profile() {
        let mut room = Members::default();
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
    fn lists_members_by_user_id() {
        let mut room = Members::default();
        for (id, name) in [(3, "cho"), (2, "ann"), (1, "bob")] {
            room.arrive(id, name);
        }
        let list = room.presence.list(&room.connections).members;
        let is_of =
            |name: &str, member: &RawValue| member.get().contains(&format!(r#""user":"{name}""#));
        assert_eq!(list.len(), 3);
        assert!(is_of("ann", &list[0]) && is_of("bob", &list[1]) && is_of("cho", &list[2]));
    }

    #[test]
    fn lists_at_most_the_maximum_number_of_members() {
        let mut room = Members::default();
        for id in 1..=MEMBERS_LISTED_MAX as u64 {
            room.arrive(id, &format!("user{id}"));
        }
        assert_eq!(
            room.presence.list(&room.connections).members.len(),
            MEMBERS_LISTED_MAX
        );
        room.arrive(0, "one more");
        assert_eq!(
            room.presence.list(&room.connections).members.len(),
            MEMBERS_LISTED_MAX
        );
    }

    #[test]
    fn lists_at_most_the_maximum_number_of_bytes_but_at_least_one_member() {
        let mut room = Members::default();
        // Members with an empty profile and a state, 128 of which fill a list exactly.
        let state = |bytes: usize| {
            let filling = "x".repeat(bytes - r#"{"":""}{}"#.len());
            RawValue::from_string(format!(r#"{{"":"{filling}"}}"#)).unwrap()
        };
        for id in 0..129 {
            room.arrive(id, &format!("user{id:03}"));
            let connection = room.connections.get_mut(&ConnectionId(id)).unwrap();
            connection.subscription.state = Some(state(MEMBERS_BYTES_MAX / 128).into());
        }
        assert_eq!(room.presence.list(&room.connections).members.len(), 128);
        let connection = room.connections.get_mut(&ConnectionId(0)).unwrap();
        connection.subscription.state = Some(state(MEMBERS_BYTES_MAX / 128 + 1).into());
        room.presence.touch(&user("user000"));
        assert_eq!(room.presence.list(&room.connections).members.len(), 127);
        let connection = room.connections.get_mut(&ConnectionId(0)).unwrap();
        connection.subscription.state = Some(state(MEMBERS_BYTES_MAX + 1).into());
        room.presence.touch(&user("user000"));
        assert_eq!(room.presence.list(&room.connections).members.len(), 1);
    }

    #[test]
    fn returns_the_connections_of_each_user() {
        let mut room = Members::default();
        for (id, name) in [(2, "ann"), (1, "ann"), (3, "bob")] {
            room.arrive(id, name);
        }
        let of = |name| -> Vec<_> { room.presence.connections_of(&user(name)).collect() };
        assert_eq!(of("ann"), [ConnectionId(1), ConnectionId(2)]);
        assert_eq!(of("bob"), [ConnectionId(3)]);
        assert_eq!(of("cho"), []);
    }

    /// Presence with the connections that a room keeps beside it.
    #[derive(Default)]
    struct Members {
        presence: Presence,
        connections: BTreeMap<ConnectionId, Connection>,
    }

    impl Members {
        fn arrive(&mut self, id: u64, name: &str) -> Arrival {
            let connection = connection(id, name);
            let arrival = self.presence.arrive(&connection);
            self.connections.insert(connection.session.id, connection);
            arrival
        }

        fn depart(&mut self, id: u64) -> Departure {
            let connection = self.connections.remove(&ConnectionId(id)).unwrap();
            self.presence.depart(&connection)
        }

        fn listed(&self) -> String {
            serde_json::to_string(&self.presence.list(&self.connections).members).unwrap()
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
            issued: Timestamp::default(),
            limits: ClaimedLimits::default(),
            options: JoinOptions {
                lines: true,
                echo: true,
                presence: true,
                resume: None,
                last: None,
                mode: Default::default(),
            },
            origin: None,
        };
        let rules = RoomRules::by_default();
        Connection::new(ConnectionId(id), Via::Socket, admission, NOW, &rules, NOW)
    }
}
