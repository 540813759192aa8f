//! One end's side of an open link: the events that wait, and the numbers of the calls in both directions.

use std::collections::VecDeque;

use super::{
    call::{Batch, CallNumber},
    event::Event,
};
use crate::{
    ids::Timestamp,
    limits::{LINK_CALL_BYTES_MAX, LINK_EVENT_BYTES, LINK_QUEUE_BYTES_MAX},
};

/// The queue and the numbers of one end of a link.
#[derive(Debug)]
pub struct Port<E> {
    /// The events that wait for the next call.
    queue: VecDeque<E>,
    /// Bytes of the queue.
    bytes: usize,
    /// The number of the last call from here.
    sent: CallNumber,
    /// True while a call from here has no result.
    is_calling: bool,
    /// The number of the last call from the other end; `None` if this end has slept since.
    received: Option<CallNumber>,
}

/// Too much waits for the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

impl<E: Event> Port<E> {
    /// Creates the port of a new link, or of one that has outlived a sleep. `now` is when this end woke.
    pub fn new(now: Timestamp) -> Self {
        Self {
            queue: VecDeque::new(),
            bytes: 0,
            sent: CallNumber {
                life: now.0,
                seq: 0,
            },
            is_calling: false,
            received: None,
        }
    }

    /// Adds an event.
    ///
    /// # Errors
    ///
    /// Too much waits: the link has to end.
    pub fn push(&mut self, event: E) -> Result<(), Overflow> {
        self.bytes = self.bytes.saturating_add(weight(&event));
        self.queue.push_back(event);
        if self.bytes > LINK_QUEUE_BYTES_MAX {
            return Err(Overflow);
        }
        Ok(())
    }

    /// Returns the next call's events; `None` if there are none, or while a call has no result.
    pub fn next_batch(&mut self) -> Option<Batch<E>> {
        if self.is_calling || self.queue.is_empty() {
            return None;
        }
        let mut events = Vec::new();
        let mut bytes = 0_usize;
        while let Some(event) = self.queue.front() {
            let more = weight(event);
            if !events.is_empty() && bytes.saturating_add(more) > LINK_CALL_BYTES_MAX {
                break;
            }
            bytes = bytes.saturating_add(more);
            self.bytes = self.bytes.saturating_sub(more);
            events.extend(self.queue.pop_front());
        }
        self.sent.seq = self.sent.seq.saturating_add(1);
        self.is_calling = true;
        Some(Batch {
            number: self.sent,
            events,
        })
    }

    /// Ends a call: its events have been processed. Returns false if it is not the current call.
    pub fn confirm(&mut self, number: CallNumber) -> bool {
        let is_current = self.is_call(number);
        if is_current {
            self.is_calling = false;
        }
        is_current
    }

    /// Returns true if this is the call without a result.
    pub fn is_call(&self, number: CallNumber) -> bool {
        self.is_calling && self.sent == number
    }

    /// Accepts a call from the other end if it is the next one.
    ///
    /// An end that has slept accepts any: it slept because nothing was under way, and a call that had been
    /// lost would have ended the link.
    pub fn accept(&mut self, number: CallNumber) -> bool {
        let is_next = match self.received {
            None => true,
            Some(last) if last.life == number.life => number.seq == last.seq.saturating_add(1),
            // The other end has slept since.
            Some(last) => last.life < number.life && number.seq == 1,
        };
        if is_next {
            self.received = Some(number);
        }
        is_next
    }

    /// Returns true if nothing waits and no call is under way.
    pub fn is_quiet(&self) -> bool {
        self.queue.is_empty() && !self.is_calling
    }

    /// Returns the bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Returns the bytes that an event counts.
fn weight(event: &impl Event) -> usize {
    LINK_EVENT_BYTES.saturating_add(event.text().map_or(0, str::len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::ConnectionId, link::event::ToRoom, secret::Secret};

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    /// Returns an event that counts this many bytes.
    fn event(bytes: usize) -> ToRoom {
        ToRoom::Command {
            member: ConnectionId(1),
            text: Secret("x".repeat(bytes.saturating_sub(LINK_EVENT_BYTES))),
        }
    }

    fn number(life: u64, seq: u64) -> CallNumber {
        CallNumber { life, seq }
    }

    #[test]
    fn only_the_next_call_is_accepted() {
        let mut port = Port::<ToRoom>::new(NOW);
        // An end that has slept does not know which call is the next one.
        assert!(port.accept(number(5, 57)));
        assert!(port.accept(number(5, 58)));
        assert!(!port.accept(number(5, 58)), "repeated");
        assert!(!port.accept(number(5, 60)), "one is missing");
        assert!(
            !port.accept(number(6, 2)),
            "the first of a new life is missing"
        );
        assert!(port.accept(number(6, 1)));
        assert!(!port.accept(number(5, 59)), "late");
    }

    #[test]
    fn one_call_is_under_way_at_a_time() {
        let mut port = Port::new(NOW);
        assert!(port.is_quiet() && port.next_batch().is_none());
        port.push(event(200)).unwrap();
        let first = port.next_batch().unwrap();
        assert_eq!((first.number, first.events.len()), (number(NOW.0, 1), 1));
        port.push(event(200)).unwrap();
        port.push(event(200)).unwrap();
        assert!(port.next_batch().is_none());
        assert!(!port.confirm(number(NOW.0, 2)), "another call");
        assert!(port.confirm(first.number) && !port.confirm(first.number));
        let second = port.next_batch().unwrap();
        assert_eq!((second.number, second.events.len()), (number(NOW.0, 2), 2));
        assert!(!port.is_quiet() && port.bytes() == 0);
        assert!(port.confirm(second.number) && port.is_quiet());
    }

    #[test]
    fn a_call_has_as_many_bytes_as_its_limit_or_one_event() {
        let half = LINK_CALL_BYTES_MAX / 2;
        for (more, events) in [(0, 2), (1, 1)] {
            let mut port = Port::new(NOW);
            port.push(event(half)).unwrap();
            port.push(event(half + more)).unwrap();
            assert_eq!(port.next_batch().unwrap().events.len(), events);
        }
        let mut port = Port::new(NOW);
        port.push(event(LINK_CALL_BYTES_MAX + 1)).unwrap();
        assert_eq!(port.next_batch().unwrap().events.len(), 1);
    }

    #[test]
    fn as_many_bytes_as_the_limit_wait_and_no_more() {
        let mut port = Port::new(NOW);
        port.push(event(LINK_QUEUE_BYTES_MAX - LINK_EVENT_BYTES))
            .unwrap();
        assert_eq!(port.push(event(LINK_EVENT_BYTES)), Ok(()));
        assert_eq!(port.push(event(LINK_EVENT_BYTES)), Err(Overflow));
    }
}
