//! What is counted over all sockets of a run.

use std::{
    cell::{Cell, RefCell},
    time::Instant,
};

use anyhow::Result;
use hdrhistogram::Histogram;

/// What all sockets of a run share.
pub struct Tally {
    began: Instant,
    /// Whether a message is followed by another when its own copy is back.
    pub talking: Cell<bool>,
    /// Copies that came.
    pub deliveries: Cell<u64>,
    /// Messages whose own copy came back to their sender.
    pub messages: Cell<u64>,
    /// How often a sender was told that its message is stored.
    pub acks: Cell<u64>,
    /// What presence said last.
    pub members: Cell<Option<u64>>,
    /// From the time a message was due to each of its copies, in nanoseconds.
    pub latency: RefCell<Histogram<u64>>,
    /// What went wrong first with a socket.
    pub trouble: RefCell<Option<String>>,
}

impl Tally {
    pub fn new() -> Result<Self> {
        Ok(Self {
            began: Instant::now(),
            talking: Cell::new(false),
            deliveries: Cell::new(0),
            messages: Cell::new(0),
            acks: Cell::new(0),
            members: Cell::new(None),
            latency: RefCell::new(Histogram::new(3)?),
            trouble: RefCell::new(None),
        })
    }

    /// In nanoseconds since the run began.
    pub fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Keeps the first trouble, since the others often follow from it.
    pub fn tell(&self, trouble: String) {
        self.trouble.borrow_mut().get_or_insert(trouble);
    }
}
