//! The clients of a run: rooms full of WebSockets, all on one thread.

use std::{
    cell::RefCell,
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
    client::{Action, Client},
    counters::Counters,
    delivery_check::{DeliveryCheck, Faults},
    protocol::ServerProtocol,
    socket::{JoinOptions, Socket},
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
    /// Only the last client of each room.
    LastOfRoom,
}

/// The number of rooms, and the load in each.
#[derive(Clone, Copy)]
pub struct Layout {
    pub rooms: usize,
    /// Clients in each room.
    pub sockets: usize,
    /// Clients in each room that send messages.
    pub senders: usize,
    /// Bytes of a message.
    pub bytes: usize,
    /// True if senders request an ack for each message.
    pub acks: bool,
    /// Joins at the same time.
    pub concurrent_joins: usize,
}

/// The clients of one run.
pub struct Swarm {
    layout: Layout,
    rooms: Vec<Rc<Room>>,
    clients: Vec<UnboundedSender<Action>>,
    tasks: Vec<JoinHandle<()>>,
    counters: Rc<Counters>,
    /// The time until all clients had joined.
    pub joining: Duration,
}

/// A room, and the check of its deliveries.
pub struct Room {
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
        let users: Vec<_> = (0..layout.rooms * layout.sockets)
            .map(|user| {
                let room = Rc::clone(&rooms[user / layout.sockets]);
                let token = endpoint.credentials.token(user, &room.name)?;
                Ok((user, room, token))
            })
            .collect::<Result<_>>()?;

        let began = Instant::now();
        let mut joined: Vec<_> = stream::iter(users)
            .map(|(user, room, token)| {
                let counters = Rc::clone(&counters);
                async move {
                    let index = user % layout.sockets;
                    let socket = Socket::join(JoinOptions {
                        url: endpoint.url,
                        protocol: endpoint.protocol,
                        room: &room.name,
                        token: token.as_deref(),
                        presence: match endpoint.presence {
                            Presence::All => true,
                            Presence::None => false,
                            Presence::LastOfRoom => index == layout.sockets - 1,
                        },
                    })
                    .await?;
                    let client = Client {
                        index,
                        sender: layout.sender_at(index),
                        room,
                        layout,
                        protocol: endpoint.protocol,
                        counters,
                    };
                    // The client receives from now on, so that the joins of others do not fill its buffers.
                    let (actions, inbox) = unbounded_channel();
                    anyhow::Ok((user, actions, spawn_local(client.run(socket, inbox))))
                }
            })
            .buffer_unordered(layout.concurrent_joins)
            .try_collect()
            .await?;
        let joining = began.elapsed();

        joined.sort_by_key(|(user, ..)| *user);
        let (clients, tasks) = joined
            .into_iter()
            .map(|(_, actions, task)| (actions, task))
            .unzip();
        Ok(Self {
            layout,
            rooms,
            clients,
            tasks,
            counters,
            joining,
        })
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
        let user = room * self.layout.sockets + self.layout.index_of(sender);
        // If the client's task has ended, it has recorded an error.
        let _ = self.clients[user].send(Action::Publish { due });
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
        let all_acks = !self.layout.acks || self.counters.acks.get() == self.sent();
        all_acks
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

    /// Closes every connection except the last, and waits until the server has confirmed each close.
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

impl Layout {
    /// Returns the index of a room's nth sender: senders are spread over the room.
    fn index_of(&self, sender: usize) -> usize {
        sender * self.sockets / self.senders
    }

    fn sender_at(&self, index: usize) -> Option<usize> {
        (0..self.senders).find(|&sender| self.index_of(sender) == index)
    }
}

impl Room {
    fn new(number: usize, layout: &Layout) -> Self {
        Self {
            name: format!("room-{number}"),
            deliveries: RefCell::new(DeliveryCheck::new(layout.sockets, layout.senders)),
        }
    }
}
