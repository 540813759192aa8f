//! A socket of the crowd: what it is told to do, what it says and what it hears.

use std::rc::Rc;

use anyhow::{Result, bail};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    crowd::{Layout, Room},
    dialect::{Dialect, Said},
    socket::Socket,
    stamp::Stamp,
    tally::Tally,
};

/// A socket's place.
pub struct Seat {
    /// Within its room.
    pub index: usize,
    /// The how manieth speaker of the room it is, if it is one.
    pub speaker: Option<usize>,
    pub room: Rc<Room>,
    pub layout: Layout,
    pub dialect: Dialect,
    pub tally: Rc<Tally>,
}

/// What a socket is to do next.
pub enum Order {
    Publish { due: u64 },
    Leave,
}

impl Seat {
    /// Talks and listens until there are no more orders.
    pub async fn occupy(self, socket: Socket, orders: UnboundedReceiver<Order>) {
        if let Err(error) = self.follow(socket, orders).await {
            self.tally.tell(format!("{error:#}"));
        }
    }

    async fn follow(&self, mut socket: Socket, mut orders: UnboundedReceiver<Order>) -> Result<()> {
        loop {
            let (mut own, mut now) = (0, None);
            let note = |said| {
                // One look at the clock a frame, which may hold hundreds of messages.
                let now = *now.get_or_insert_with(|| self.tally.now());
                own += self.note(said, now);
            };
            tokio::select! {
                heard = socket.hear(note) => {
                    heard?;
                    self.tally.messages.update(|messages| messages + own);
                    if self.tally.talking.get() && own > 0 {
                        for _ in 0..own {
                            self.publish(&mut socket, self.tally.now()).await?;
                        }
                        socket.flush().await?;
                    }
                }
                order = orders.recv() => match order {
                    Some(Order::Publish { due }) => {
                        self.publish(&mut socket, due).await?;
                        socket.flush().await?;
                    }
                    Some(Order::Leave) => return socket.leave().await,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Counts what was said, and gives how many copies of own messages that is.
    fn note(&self, said: Said, now: u64) -> u64 {
        let tally = &self.tally;
        match said {
            Said::Delivery { stamp, offset } => {
                tally.deliveries.update(|deliveries| deliveries + 1);
                // A time is never so long that the histogram could not hold it.
                let _ = tally
                    .latency
                    .borrow_mut()
                    .record(now.saturating_sub(stamp.due));
                self.room
                    .ledger
                    .borrow_mut()
                    .receive(self.index, &stamp, offset);
                return u64::from(self.speaker == Some(stamp.sender as usize));
            }
            Said::Ack => tally.acks.update(|acks| acks + 1),
            Said::Count(members) => tally.members.set(Some(members)),
            Said::Trouble(text) => tally.tell(format!("the server says {text}")),
            Said::Welcome { .. } | Said::Respond(_) => {}
        }
        0
    }

    async fn publish(&self, socket: &mut Socket, due: u64) -> Result<()> {
        let Some(speaker) = self.speaker else {
            bail!("only speakers publish");
        };
        let number = self.room.ledger.borrow_mut().send(speaker);
        let stamp = Stamp {
            sender: u32::try_from(speaker)?,
            number,
            due,
        };
        let frame = self
            .dialect
            .publish(&stamp, self.layout.bytes, self.layout.acks);
        socket.queue(frame).await
    }
}
