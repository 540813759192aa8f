//! The counters that all clients of a run share.

use std::{
    cell::{Cell, RefCell},
    time::Instant,
};

use anyhow::Result;
use hdrhistogram::Histogram;

/// The counters of a run, over all its clients.
pub struct Counters {
    began: Instant,
    /// True if a client sends another message when it receives its own.
    pub is_sending: Cell<bool>,
    /// Messages that clients were asked to publish, and have not published yet.
    pub queued: Cell<u64>,
    /// Copies of messages that clients received.
    pub deliveries: Cell<u64>,
    /// Messages whose senders received their own copy.
    pub messages: Cell<u64>,
    /// Acks that senders received.
    pub acks: Cell<u64>,
    /// The number of members in the latest presence push.
    pub members: Cell<Option<u64>>,
    /// The time from when a message was due until each delivery, in nanoseconds.
    pub latency: RefCell<Histogram<u64>>,
    /// The first error of a client.
    pub error: RefCell<Option<String>>,
}

impl Counters {
    pub fn new() -> Result<Self> {
        Ok(Self {
            began: Instant::now(),
            is_sending: Cell::new(false),
            queued: Cell::new(0),
            deliveries: Cell::new(0),
            messages: Cell::new(0),
            acks: Cell::new(0),
            members: Cell::new(None),
            latency: RefCell::new(Histogram::new(3)?),
            error: RefCell::new(None),
        })
    }

    /// Returns the nanoseconds since the run began.
    pub fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Records an error. Only the first is kept, since later ones often follow from it.
    pub fn record_error(&self, error: String) {
        self.error.borrow_mut().get_or_insert(error);
    }
}
