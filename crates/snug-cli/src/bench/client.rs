//! One client of a swarm: a connection that publishes on request, and records what it receives.

use std::rc::Rc;

use anyhow::{Context, Result, bail};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    counters::Counters,
    payload::Payload,
    protocol::{ServerEvent, ServerProtocol},
    socket::Socket,
    swarm::{Layout, Room},
};

/// A client in its rooms.
pub struct Client {
    /// At least one.
    pub places: Vec<Place>,
    pub layout: Layout,
    pub protocol: ServerProtocol,
    pub counters: Rc<Counters>,
}

/// A client's place in a room.
pub struct Place {
    pub room: Rc<Room>,
    /// The index among the room's members.
    pub member: usize,
    /// The index among the room's senders, if the client is one.
    pub sender: Option<usize>,
}

/// The next action of a client.
pub enum Action {
    /// Publishes to the room with this number.
    Publish {
        room: usize,
        due: u64,
    },
    Leave,
}

impl Client {
    /// Receives, and performs actions until the channel closes. An error goes into the counters.
    pub async fn run(self, socket: Socket, actions: UnboundedReceiver<Action>) {
        if let Err(error) = self.try_run(socket, actions).await {
            self.counters.record_error(format!("{error:#}"));
        }
    }

    async fn try_run(
        &self,
        mut socket: Socket,
        mut actions: UnboundedReceiver<Action>,
    ) -> Result<()> {
        loop {
            // The places of own messages.
            let (mut own, mut now) = (Vec::new(), None);
            let record = |event| {
                // Reads the clock once a frame, which may contain hundreds of messages.
                let now = *now.get_or_insert_with(|| self.counters.now());
                own.extend(self.record(event, now));
            };
            tokio::select! {
                received = socket.receive(record) => {
                    received?;
                    self.counters.messages.update(|messages| messages + own.len() as u64);
                    if self.counters.is_sending.get() && !own.is_empty() {
                        for place in own {
                            self.publish(&mut socket, place, self.counters.now()).await?;
                        }
                        socket.flush().await?;
                    }
                }
                action = actions.recv() => match action {
                    Some(Action::Publish { room, due }) => {
                        let place = self.place_in(room).context("this client is not in the room")?;
                        self.publish(&mut socket, place, due).await?;
                        self.counters.queued.update(|queued| queued - 1);
                        socket.flush().await?;
                    }
                    Some(Action::Leave) => return socket.leave().await,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Records an event. If it delivers one of the client's own messages, returns the place that sent it.
    fn record(&self, event: ServerEvent, now: u64) -> Option<&Place> {
        let counters = &self.counters;
        match event {
            ServerEvent::Delivery { payload, offset } => {
                counters.deliveries.update(|deliveries| deliveries + 1);
                // The histogram resizes itself, so it can record any time.
                let _ = counters
                    .latency
                    .borrow_mut()
                    .record(now.saturating_sub(payload.due));
                let Some(place) = self.place_in(payload.room as usize) else {
                    let room = payload.room;
                    counters.record_error(format!(
                        "a client received a message of room {room}, in which it is not"
                    ));
                    return None;
                };
                place
                    .room
                    .deliveries
                    .borrow_mut()
                    .receive(place.member, &payload, offset);
                return (place.sender == Some(payload.sender as usize)).then_some(place);
            }
            ServerEvent::Ack => counters.acks.update(|acks| acks + 1),
            ServerEvent::MemberCount(members) => counters.members.set(Some(members)),
            ServerEvent::Error(text) => {
                counters.record_error(format!("the server sent an error: {text}"));
            }
            ServerEvent::Welcome { .. } | ServerEvent::ReplyNow(_) => {}
        }
        None
    }

    fn place_in(&self, room: usize) -> Option<&Place> {
        self.places.iter().find(|place| place.room.number == room)
    }

    async fn publish(&self, socket: &mut Socket, place: &Place, due: u64) -> Result<()> {
        let Some(sender) = place.sender else {
            bail!("this client is not a sender");
        };
        let number = place.room.deliveries.borrow_mut().send(sender);
        let payload = Payload {
            sender: u32::try_from(sender)?,
            room: u32::try_from(place.room.number)?,
            number,
            due,
        };
        let frame = self.protocol.publish(
            &place.room.name,
            &payload,
            self.layout.form,
            self.layout.bytes,
            self.layout.acks,
        );
        socket.queue(frame).await
    }
}
