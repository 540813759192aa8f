//! Rooms full of sockets, all on one thread.

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
    dialect::Dialect,
    ledger::{Faults, Ledger},
    seat::{Order, Seat},
    socket::{Knock, Socket},
    tally::Tally,
    token::Pass,
};

/// A drain ends when nothing has come for so long.
const SILENCE: Duration = Duration::from_secs(2);

/// A server to join.
pub struct Door<'a> {
    pub url: &'a str,
    pub dialect: Dialect,
    pub pass: &'a Pass,
    pub presence: Presence,
}

/// Which sockets are told who comes and goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Everybody,
    Nobody,
    /// Only the last socket of each room.
    Watcher,
}

/// How many rooms there are, and what goes on in each.
#[derive(Clone, Copy)]
pub struct Layout {
    pub rooms: usize,
    /// In each room.
    pub sockets: usize,
    /// How many of a room's sockets send messages.
    pub speakers: usize,
    /// How long a message is.
    pub bytes: usize,
    /// Whether each message asks to be told that it is stored.
    pub acks: bool,
    /// How many join at the same time.
    pub at_once: usize,
}

/// The sockets of one run.
pub struct Crowd {
    layout: Layout,
    rooms: Vec<Rc<Room>>,
    seats: Vec<UnboundedSender<Order>>,
    tasks: Vec<JoinHandle<()>>,
    tally: Rc<Tally>,
    /// How long it took until all had joined.
    pub joining: Duration,
}

/// A room, and what is counted of it.
pub struct Room {
    name: String,
    pub ledger: RefCell<Ledger>,
}

impl Crowd {
    /// Has all sockets join.
    pub async fn gather(door: &Door<'_>, layout: Layout) -> Result<Self> {
        let tally = Rc::new(Tally::new()?);
        let rooms: Vec<_> = (0..layout.rooms)
            .map(|room| Rc::new(Room::new(room, &layout)))
            .collect();
        let places: Vec<_> = (0..layout.rooms * layout.sockets)
            .map(|place| {
                let room = Rc::clone(&rooms[place / layout.sockets]);
                let token = door.pass.token(place, &room.name)?;
                Ok((place, room, token))
            })
            .collect::<Result<_>>()?;

        let began = Instant::now();
        let mut joined: Vec<_> = stream::iter(places)
            .map(|(place, room, token)| {
                let tally = Rc::clone(&tally);
                async move {
                    let socket = Socket::join(Knock {
                        url: door.url,
                        dialect: door.dialect,
                        room: &room.name,
                        token: token.as_deref(),
                        presence: match door.presence {
                            Presence::Everybody => true,
                            Presence::Nobody => false,
                            Presence::Watcher => place % layout.sockets == layout.sockets - 1,
                        },
                    })
                    .await?;
                    let seat = Seat {
                        index: place % layout.sockets,
                        speaker: layout.speaker(place % layout.sockets),
                        room,
                        layout,
                        dialect: door.dialect,
                        tally,
                    };
                    // It listens from now on, so that what the others' joining causes does not pile up.
                    let (orders, inbox) = unbounded_channel();
                    anyhow::Ok((place, orders, spawn_local(seat.occupy(socket, inbox))))
                }
            })
            .buffer_unordered(layout.at_once)
            .try_collect()
            .await?;
        let joining = began.elapsed();

        joined.sort_by_key(|(place, ..)| *place);
        let (seats, tasks) = joined
            .into_iter()
            .map(|(_, orders, task)| (orders, task))
            .unzip();
        Ok(Self {
            layout,
            rooms,
            seats,
            tasks,
            tally,
            joining,
        })
    }

    /// What has been counted so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Sends so many messages in each room, and another one whenever one is back with its sender.
    pub fn start_talking(&self, outstanding: usize) {
        self.tally.talking.set(true);
        for message in 0..outstanding {
            for room in 0..self.layout.rooms {
                self.publish(room, message % self.layout.speakers, self.tally.now());
            }
        }
    }

    /// Sends one message.
    pub fn publish(&self, room: usize, speaker: usize, due: u64) {
        let place = room * self.layout.sockets + self.layout.seat(speaker);
        // A socket whose task is over has told its trouble already.
        let _ = self.seats[place].send(Order::Publish { due });
    }

    /// Sends nothing more, and waits until everything sent has come, or nothing comes any more.
    pub async fn settle(&self) {
        self.tally.talking.set(false);
        let (mut seen, mut silent) = (self.tally.deliveries.get(), Instant::now());
        while !self.is_settled() && silent.elapsed() < SILENCE {
            sleep(Duration::from_millis(10)).await;
            let deliveries = self.tally.deliveries.get();
            if deliveries != seen {
                (seen, silent) = (deliveries, Instant::now());
            }
        }
    }

    fn is_settled(&self) -> bool {
        let all_acks = !self.layout.acks || self.tally.acks.get() == self.sent();
        all_acks
            && self
                .rooms
                .iter()
                .all(|room| room.ledger.borrow().is_settled())
    }

    fn sent(&self) -> u64 {
        self.rooms
            .iter()
            .map(|room| room.ledger.borrow().sent())
            .sum()
    }

    /// What went wrong with messages, and fails where a socket was refused something or closed.
    pub fn faults(&self) -> Result<Faults> {
        if let Some(trouble) = self.tally.trouble.take() {
            bail!(trouble);
        }
        let mut faults = Faults::default();
        for room in &self.rooms {
            faults += room.ledger.borrow().faults();
        }
        if self.layout.acks {
            faults.unstored += self.sent().abs_diff(self.tally.acks.get());
        }
        Ok(faults)
    }

    /// Each room's name, and how many messages were sent in it.
    pub fn sent_by_room(&self) -> impl Iterator<Item = (&str, u64)> {
        self.rooms
            .iter()
            .map(|room| (room.name.as_str(), room.ledger.borrow().sent()))
    }

    /// Closes every socket but the last, and waits until the server has agreed to each.
    pub async fn leave_all_but_last(&mut self) -> Result<()> {
        let leaving = self.seats.len() - 1;
        for seat in self.seats.drain(..leaving) {
            let _ = seat.send(Order::Leave);
        }
        for task in self.tasks.drain(..leaving) {
            task.await?;
        }
        match self.tally.trouble.take() {
            Some(trouble) => bail!(trouble),
            None => Ok(()),
        }
    }
}

impl Layout {
    /// The seat of a room's nth speaker: they are spread over the room.
    fn seat(&self, speaker: usize) -> usize {
        speaker * self.sockets / self.speakers
    }

    fn speaker(&self, seat: usize) -> Option<usize> {
        (0..self.speakers).find(|&speaker| self.seat(speaker) == seat)
    }
}

impl Room {
    fn new(number: usize, layout: &Layout) -> Self {
        Self {
            name: format!("room-{number}"),
            ledger: RefCell::new(Ledger::new(layout.sockets, layout.speakers)),
        }
    }
}
