//! One client of a swarm: it publishes on request, and records what it receives.

use std::rc::Rc;

use anyhow::{Result, bail};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    counters::Counters,
    payload::Payload,
    protocol::{ServerEvent, ServerProtocol},
    socket::Socket,
    swarm::{Layout, Room},
};

/// A client in a room.
pub struct Client {
    /// Its index within its room.
    pub index: usize,
    /// Its index among the room's senders, if it is one.
    pub sender: Option<usize>,
    pub room: Rc<Room>,
    pub layout: Layout,
    pub protocol: ServerProtocol,
    pub counters: Rc<Counters>,
}

/// The next action of a client.
pub enum Action {
    Publish { due: u64 },
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
            let (mut own, mut now) = (0, None);
            let record = |event| {
                // Reads the clock once a frame, which may contain hundreds of messages.
                let now = *now.get_or_insert_with(|| self.counters.now());
                own += self.record(event, now);
            };
            tokio::select! {
                received = socket.receive(record) => {
                    received?;
                    self.counters.messages.update(|messages| messages + own);
                    if self.counters.is_sending.get() && own > 0 {
                        for _ in 0..own {
                            self.publish(&mut socket, self.counters.now()).await?;
                        }
                        socket.flush().await?;
                    }
                }
                action = actions.recv() => match action {
                    Some(Action::Publish { due }) => {
                        self.publish(&mut socket, due).await?;
                        socket.flush().await?;
                    }
                    Some(Action::Leave) => return socket.leave().await,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Records an event, and returns how many of the client's own messages it delivers: 0 or 1.
    fn record(&self, event: ServerEvent, now: u64) -> u64 {
        let counters = &self.counters;
        match event {
            ServerEvent::Delivery { payload, offset } => {
                counters.deliveries.update(|deliveries| deliveries + 1);
                // The histogram resizes itself, so it can record any time.
                let _ = counters
                    .latency
                    .borrow_mut()
                    .record(now.saturating_sub(payload.due));
                self.room
                    .deliveries
                    .borrow_mut()
                    .receive(self.index, &payload, offset);
                return u64::from(self.sender == Some(payload.sender as usize));
            }
            ServerEvent::Ack => counters.acks.update(|acks| acks + 1),
            ServerEvent::MemberCount(members) => counters.members.set(Some(members)),
            ServerEvent::Error(text) => {
                counters.record_error(format!("the server sent an error: {text}"));
            }
            ServerEvent::Welcome { .. } | ServerEvent::ReplyNow(_) => {}
        }
        0
    }

    async fn publish(&self, socket: &mut Socket, due: u64) -> Result<()> {
        let Some(sender) = self.sender else {
            bail!("this client is not a sender");
        };
        let number = self.room.deliveries.borrow_mut().send(sender);
        let payload = Payload {
            sender: u32::try_from(sender)?,
            number,
            due,
        };
        let frame = self.protocol.publish(
            &self.room.name,
            &payload,
            self.layout.bytes,
            self.layout.acks,
        );
        socket.queue(frame).await
    }
}
