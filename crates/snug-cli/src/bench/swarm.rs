//! The clients of a run: users in rooms, all on one thread.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::{JoinHandle, spawn_local},
    time::sleep,
};

use super::{
    client::{Action, Client, Place},
    counters::Counters,
    delivery_check::{DeliveryCheck, Faults},
    protocol::{Form, ServerProtocol},
    socket::{JoinOptions, RoomToJoin, Socket},
    token::Credentials,
};

/// `drain` gives up if no delivery arrives for this long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A server, and how clients join it.
pub struct Endpoint<'a> {
    pub url: &'a str,
    pub protocol: ServerProtocol,
    pub credentials: &'a Credentials,
    pub presence: Presence,
}

/// The clients that receive joins and leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    All,
    None,
    /// Only the last member of each room.
    LastOfRoom,
}

/// The number of rooms, and the load in each.
#[derive(Clone, Copy)]
pub struct Layout {
    pub rooms: usize,
    pub members_per_room: usize,
    pub rooms_per_user: usize,
    /// Members of each room that send messages.
    pub senders: usize,
    pub form: Form,
    /// Bytes of a message or of an appended text.
    pub bytes: usize,
    /// True if senders request an ack for each message.
    pub acks: bool,
    /// Connections that join at the same time.
    pub concurrent_joins: usize,
}

/// The clients of one run.
pub struct Swarm {
    layout: Layout,
    rooms: Vec<Rc<Room>>,
    /// The client of each member, first those of room 0.
    clients: Vec<UnboundedSender<Action>>,
    tasks: Vec<JoinHandle<()>>,
    counters: Rc<Counters>,
    /// The time until all clients had joined.
    pub joining: Duration,
}

/// A room, and the check of its deliveries.
pub struct Room {
    pub number: usize,
    pub name: String,
    pub deliveries: RefCell<DeliveryCheck>,
}

impl Swarm {
    /// Connects all clients.
    pub async fn connect(endpoint: &Endpoint<'_>, layout: Layout) -> Result<Self> {
        let counters = Rc::new(Counters::new()?);
        let rooms: Vec<_> = (0..layout.rooms)
            .map(|room| Rc::new(Room::new(room, &layout)))
            .collect();
        let connections = connections(endpoint, &layout, &rooms)?;
        let began = Instant::now();
        let joined: Vec<_> = stream::iter(connections)
            .map(|connection| connection.join(endpoint, layout, &counters))
            .buffer_unordered(layout.concurrent_joins)
            .try_collect()
            .await?;
        let joining = began.elapsed();

        // Connections are ready in any order.
        let (mut clients, mut tasks) = (BTreeMap::new(), BTreeMap::new());
        for (places, actions, task) in joined {
            tasks.insert(places[0], task);
            clients.extend(places.into_iter().map(|place| (place, actions.clone())));
        }
        let (clients, tasks) = (
            clients.into_values().collect(),
            tasks.into_values().collect(),
        );
        Ok(Self {
            layout,
            rooms,
            clients,
            tasks,
            counters,
            joining,
        })
    }

    /// Returns the number of rooms, and the load in each.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns the counters of all clients.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Sends `outstanding` messages in each room, and another one each time a sender receives its own.
    pub fn start_sending(&self, outstanding: usize) {
        self.counters.is_sending.set(true);
        for message in 0..outstanding {
            for room in 0..self.layout.rooms {
                self.publish(room, message % self.layout.senders, self.counters.now());
            }
        }
    }

    /// Sends one message.
    pub fn publish(&self, room: usize, sender: usize, due: u64) {
        let member = room * self.layout.members_per_room + self.layout.member_at(sender);
        self.counters.queued.update(|queued| queued + 1);
        // If the client's task has ended, it has recorded an error.
        let _ = self.clients[member].send(Action::Publish { room, due });
    }

    /// Stops sending, and waits until all messages are delivered, or until deliveries stop.
    pub async fn drain(&self) {
        self.counters.is_sending.set(false);
        let (mut seen, mut since) = (self.counters.deliveries.get(), Instant::now());
        while !self.is_drained() && since.elapsed() < DRAIN_TIMEOUT {
            sleep(Duration::from_millis(10)).await;
            let deliveries = self.counters.deliveries.get();
            if deliveries != seen {
                (seen, since) = (deliveries, Instant::now());
            }
        }
    }

    fn is_drained(&self) -> bool {
        let all_published = self.counters.queued.get() == 0;
        let all_acks = !self.layout.acks || self.counters.acks.get() == self.sent();
        all_published
            && all_acks
            && self
                .rooms
                .iter()
                .all(|room| room.deliveries.borrow().is_complete())
    }

    fn sent(&self) -> u64 {
        self.rooms
            .iter()
            .map(|room| room.deliveries.borrow().sent())
            .sum()
    }

    /// Returns the delivery faults of all rooms.
    ///
    /// # Errors
    ///
    /// If a client received an error or lost its connection.
    pub fn faults(&self) -> Result<Faults> {
        self.check_clients()?;
        let mut faults = Faults::default();
        for room in &self.rooms {
            faults += room.deliveries.borrow().faults();
        }
        if self.layout.acks {
            faults.unstored += self.sent().abs_diff(self.counters.acks.get());
        }
        Ok(faults)
    }

    /// Returns each room's name, and the number of messages sent in it.
    pub fn sent_by_room(&self) -> impl Iterator<Item = (&str, u64)> {
        self.rooms
            .iter()
            .map(|room| (room.name.as_str(), room.deliveries.borrow().sent()))
    }

    /// Closes every connection except the last, if each has one room, and waits until the server has confirmed each close.
    pub async fn leave_all_but_last(&mut self) -> Result<()> {
        let leaving = self.clients.len() - 1;
        for client in self.clients.drain(..leaving) {
            let _ = client.send(Action::Leave);
        }
        for task in self.tasks.drain(..leaving) {
            task.await?;
        }
        self.check_clients()
    }

    fn check_clients(&self) -> Result<()> {
        match self.counters.error.take() {
            Some(error) => bail!(error),
            None => Ok(()),
        }
    }
}

/// A connection to open.
struct Connection {
    token: Option<String>,
    places: Vec<Place>,
}

/// Returns the connections of all users.
fn connections(
    endpoint: &Endpoint<'_>,
    layout: &Layout,
    rooms: &[Rc<Room>],
) -> Result<Vec<Connection>> {
    let mut connections = Vec::new();
    for user in 0..layout.users() {
        let token = endpoint.credentials.token(user)?;
        let places = layout.places_of(user).map(|(room, member)| Place {
            room: Rc::clone(&rooms[room]),
            member,
            sender: layout.sender_at(member),
        });
        let connection = |places| Connection {
            token: token.clone(),
            places,
        };
        if endpoint.protocol.has_many_rooms() {
            connections.push(connection(places.collect()));
        } else {
            connections.extend(places.map(|place| connection(vec![place])));
        }
    }
    Ok(connections)
}

/// A client that has joined: its rooms, in each of which it is the member with this index, its actions, and its task.
type Joined = (Vec<(usize, usize)>, UnboundedSender<Action>, JoinHandle<()>);

impl Connection {
    /// Connects, joins, and starts the client.
    async fn join(
        self,
        endpoint: &Endpoint<'_>,
        layout: Layout,
        counters: &Rc<Counters>,
    ) -> Result<Joined> {
        let rooms = self.places.iter().map(|place| RoomToJoin {
            name: &place.room.name,
            presence: layout.has_presence(endpoint.presence, place.member),
        });
        let socket = Socket::join(JoinOptions {
            url: endpoint.url,
            protocol: endpoint.protocol,
            token: self.token.as_deref(),
            rooms: &rooms.collect::<Vec<_>>(),
        })
        .await?;
        let places = self.places.iter();
        let places = places.map(|place| (place.room.number, place.member));
        let places = places.collect();
        let client = Client {
            places: self.places,
            layout,
            protocol: endpoint.protocol,
            counters: Rc::clone(counters),
        };
        // The client receives from now on, so that the joins of others do not fill its buffers.
        let (actions, inbox) = unbounded_channel();
        Ok((places, actions, spawn_local(client.run(socket, inbox))))
    }
}

impl Layout {
    /// Returns the number of places that users have in rooms.
    pub fn places(&self) -> usize {
        self.rooms * self.members_per_room
    }

    /// Returns the number of users.
    fn users(&self) -> usize {
        self.places() / self.rooms_per_user
    }

    /// Returns the number of connections: one for each user if the protocol has many rooms on a connection, else one
    /// for each of the user's rooms.
    pub fn connections(&self, protocol: ServerProtocol) -> usize {
        match protocol.has_many_rooms() {
            true => self.users(),
            false => self.places(),
        }
    }

    /// Returns the rooms of a user, in each of which the user has the index that follows it.
    fn places_of(&self, user: usize) -> impl Iterator<Item = (usize, usize)> {
        let members = self.members_per_room;
        // Members of a room are consecutive users, so no user is in a room twice.
        let places = (user..self.places()).step_by(self.users());
        places.map(move |place| (place / members, place % members))
    }

    fn has_presence(&self, presence: Presence, member: usize) -> bool {
        match presence {
            Presence::All => true,
            Presence::None => false,
            Presence::LastOfRoom => member == self.members_per_room - 1,
        }
    }

    /// Returns the member that is a room's nth sender: senders are spread over the room.
    fn member_at(&self, sender: usize) -> usize {
        sender * self.members_per_room / self.senders
    }

    fn sender_at(&self, member: usize) -> Option<usize> {
        (0..self.senders).find(|&sender| self.member_at(sender) == member)
    }
}

impl Room {
    fn new(number: usize, layout: &Layout) -> Self {
        Self {
            number,
            name: format!("room-{number}"),
            deliveries: RefCell::new(DeliveryCheck::new(layout.members_per_room, layout.senders)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(rooms: usize, members_per_room: usize, rooms_per_user: usize) -> Layout {
        Layout {
            rooms,
            members_per_room,
            rooms_per_user,
            senders: members_per_room,
            form: Form::Objects,
            bytes: 0,
            acks: false,
            concurrent_joins: 1,
        }
    }

    #[test]
    fn every_place_belongs_to_one_user_who_is_in_each_room_once() {
        for (rooms, members, each) in [(1, 5, 1), (3, 4, 1), (10, 50, 10), (400, 10, 20), (6, 3, 2)]
        {
            let layout = layout(rooms, members, each);
            let mut places = Vec::new();
            for user in 0..layout.users() {
                let own: BTreeMap<_, _> = layout.places_of(user).collect();
                assert_eq!(own.len(), each);
                places.extend(own);
            }
            places.sort_unstable();
            let all = (0..rooms).flat_map(|room| (0..members).map(move |member| (room, member)));
            assert_eq!(places, all.collect::<Vec<_>>());
        }
    }

    #[test]
    fn with_one_room_each_users_fill_one_room_after_the_other() {
        let layout = layout(2, 3, 1);
        let places: Vec<_> = (0..6).flat_map(|user| layout.places_of(user)).collect();
        assert_eq!(places, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
    }
}
