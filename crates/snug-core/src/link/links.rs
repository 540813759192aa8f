//! The links of a room or of a gateway: the open ones, and those that have ended here and whose other end
//! has not heard it yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use serde::{Deserialize, Serialize};

use super::{
    call::{Answer, Batch, Call, CallNumber, Content},
    event::Event,
    port::{Overflow, Port},
};
use crate::{
    ids::{LinkId, Timestamp},
    limits::{
        LINK_CALLS_MAX, LINK_END_MS_MAX, LINK_END_RETRY_MS_MAX, LINK_END_RETRY_MS_MIN,
        LINKS_BYTES_MAX,
    },
};

/// The links of one object. `P` identifies the object at the other end, and `E` is what is sent to it.
#[derive(Debug)]
pub struct Links<P, E> {
    open: BTreeMap<LinkId, Open<P, E>>,
    /// The open links for which events wait, or whose batch has no result. A gateway may have thousands of
    /// links, and few are busy.
    busy: BTreeSet<LinkId>,
    ending: BTreeMap<LinkId, Ending<P>>,
    /// The bytes that wait at all open links.
    bytes: usize,
    /// The calls without a result.
    calls: usize,
    /// The link of the last batch: the next one is another's, if others are busy.
    last: LinkId,
    /// The time at which this object woke.
    woken: Timestamp,
}

#[derive(Debug)]
struct Open<P, E> {
    peer: P,
    port: Port<E>,
}

#[derive(Debug)]
struct Ending<P> {
    peer: P,
    /// The time at which the link ended, or at which this object woke since.
    since: Timestamp,
    /// The time of the next call.
    due: Timestamp,
    /// The pause after that, if it fails.
    pause_ms: u64,
    is_calling: bool,
}

/// A link, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLink<P> {
    /// The link.
    pub id: LinkId,
    /// The object at its other end.
    pub peer: P,
    /// True if the link has ended, and the other end has not heard it yet.
    pub is_ending: bool,
}

/// A call to make. The result is reported with its [`CallId`].
#[derive(Clone, Debug)]
pub struct OutgoingCall<P, E> {
    /// The object to call.
    pub to: P,
    /// The link.
    pub link: LinkId,
    /// The call's content.
    pub content: Content<E>,
}

/// Identifies a call whose result is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallId {
    /// The link.
    pub link: LinkId,
    /// The number of the batch; `None` for the news that the link has ended.
    pub number: Option<CallNumber>,
}

/// The meaning of a call that was received.
pub enum Received<E> {
    /// The next events.
    Events(Vec<E>),
    /// There is no such open link.
    Unknown,
    /// The call is not the next one of the link, which has to end.
    OutOfOrder,
    /// The other end has ended the link.
    Ended,
}

/// The meaning of the result of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nothing has to be done.
    Nothing,
    /// The link is lost, and the other end knows: it has to be forgotten.
    Forgotten,
    /// The link is lost, and the other end may not know: it has to end.
    Lost,
    /// The room has refused the link: its joins are refused, and it has to be forgotten.
    Refused,
}

impl<P: Clone, E: Event> Links<P, E> {
    /// Creates the links of an object that has just woken.
    pub fn restore(stored: impl IntoIterator<Item = StoredLink<P>>, now: Timestamp) -> Self {
        let mut links = Self {
            open: BTreeMap::new(),
            busy: BTreeSet::new(),
            ending: BTreeMap::new(),
            bytes: 0,
            calls: 0,
            last: LinkId(0),
            woken: now,
        };
        for link in stored {
            if link.is_ending {
                links.ending.insert(link.id, Ending::new(link.peer, now));
            } else {
                links.open(link.id, link.peer);
            }
        }
        links
    }

    /// Opens a link.
    pub fn open(&mut self, id: LinkId, peer: P) {
        let port = Port::new(self.woken);
        self.open.insert(id, Open { peer, port });
    }

    /// Returns true if the link is open.
    pub fn is_open(&self, id: LinkId) -> bool {
        self.open.contains_key(&id)
    }

    /// Returns true if the link is open, or has ended and the other end may not know it.
    pub fn is_known(&self, id: LinkId) -> bool {
        self.is_open(id) || self.ending.contains_key(&id)
    }

    /// Returns the bytes that wait at a link.
    pub fn bytes_of(&self, id: LinkId) -> usize {
        self.open.get(&id).map_or(0, |link| link.port.bytes())
    }

    /// Returns true if nothing waits for the other end of a link, and no call to it is under way.
    pub fn is_quiet(&self, id: LinkId) -> bool {
        self.open.get(&id).is_none_or(|link| link.port.is_quiet())
    }

    /// Returns the object at the other end of an open link.
    pub fn peer(&self, id: LinkId) -> Option<&P> {
        self.open.get(&id).map(|link| &link.peer)
    }

    /// Returns the open links.
    pub fn opened(&self) -> impl Iterator<Item = (LinkId, &P)> {
        self.open.iter().map(|(id, link)| (*id, &link.peer))
    }

    /// Returns true if there is no link, open or ending.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty() && self.ending.is_empty()
    }

    /// Adds an event for the other end. Nothing happens if the link has ended.
    ///
    /// # Errors
    ///
    /// Too much waits: the link has to end.
    pub fn send(&mut self, id: LinkId, event: E) -> Result<(), Overflow> {
        let Some(link) = self.open.get_mut(&id) else {
            return Ok(());
        };
        self.busy.insert(id);
        let before = link.port.bytes();
        let pushed = link.port.push(event);
        let more = link.port.bytes().saturating_sub(before);
        self.bytes = self.bytes.saturating_add(more);
        pushed?;
        if self.bytes > LINKS_BYTES_MAX {
            return Err(Overflow);
        }
        Ok(())
    }

    /// Returns the next call to make; `None` if there is none now.
    pub fn next_call(&mut self, now: Timestamp) -> Option<OutgoingCall<P, E>> {
        if self.calls >= LINK_CALLS_MAX {
            return None;
        }
        let after = (Bound::Excluded(self.last), Bound::Unbounded);
        let in_turn = self.busy.range(after).chain(self.busy.range(..=self.last));
        for id in in_turn {
            let link = self.open.get_mut(id);
            let before = link.as_ref().map_or(0, |link| link.port.bytes());
            if let Some((link, batch)) = link.and_then(Open::next_batch) {
                let fewer = before.saturating_sub(link.port.bytes());
                self.bytes = self.bytes.saturating_sub(fewer);
                self.calls = self.calls.saturating_add(1);
                self.last = *id;
                return Some(OutgoingCall {
                    to: link.peer.clone(),
                    link: *id,
                    content: Content::Batch(batch),
                });
            }
        }
        let is_due = |one: &Ending<P>| !one.is_calling && one.due <= now;
        let (id, ending) = self.ending.iter_mut().find(|(_, one)| is_due(one))?;
        ending.is_calling = true;
        self.calls = self.calls.saturating_add(1);
        Some(OutgoingCall {
            to: ending.peer.clone(),
            link: *id,
            content: Content::End,
        })
    }

    /// Takes the result of a call; `None` if it failed or timed out.
    pub fn settle(&mut self, call: CallId, answer: Option<Answer>, now: Timestamp) -> Settled {
        self.calls = self.calls.saturating_sub(1);
        let Some(number) = call.number else {
            return self.settle_end(call.link, answer.is_some(), now);
        };
        let Some(link) = self.open.get_mut(&call.link) else {
            return Settled::Nothing;
        };
        match answer {
            Some(Answer::Accepted) if link.port.confirm(number) => {
                if link.port.is_quiet() {
                    self.busy.remove(&call.link);
                }
                Settled::Nothing
            }
            _ if !link.port.is_call(number) => Settled::Nothing,
            Some(Answer::Unknown) => Settled::Forgotten,
            Some(Answer::Refused) => Settled::Refused,
            _ => Settled::Lost,
        }
    }

    fn settle_end(&mut self, id: LinkId, is_heard: bool, now: Timestamp) -> Settled {
        let Some(ending) = self.ending.get_mut(&id) else {
            return Settled::Nothing;
        };
        // An object that no longer exists would be called forever.
        if is_heard || now.ms_since(ending.since) >= LINK_END_MS_MAX {
            return Settled::Forgotten;
        }
        ending.is_calling = false;
        ending.due = now.plus_ms(ending.pause_ms);
        ending.pause_ms = ending.pause_ms.saturating_mul(2).min(LINK_END_RETRY_MS_MAX);
        Settled::Nothing
    }

    /// Takes a call from the other end.
    pub fn receive<Q, F>(&mut self, call: Call<Q, F>) -> Received<F> {
        match call.content {
            Content::End => Received::Ended,
            Content::Unreadable => match self.is_open(call.link) {
                true => Received::OutOfOrder,
                false => Received::Unknown,
            },
            Content::Batch(Batch { number, events }) => match self.open.get_mut(&call.link) {
                None => Received::Unknown,
                Some(link) => match link.port.accept(number) {
                    true => Received::Events(events),
                    false => Received::OutOfOrder,
                },
            },
        }
    }

    /// Ends a link from here: from now on, the other end is called until it has heard of it. Returns what has
    /// to be stored; `None` if the link is not open.
    pub fn end(&mut self, id: LinkId, now: Timestamp) -> Option<StoredLink<P>> {
        let link = self.close(id)?;
        let stored = StoredLink {
            id,
            peer: link.peer.clone(),
            is_ending: true,
        };
        self.ending.insert(id, Ending::new(link.peer, now));
        Some(stored)
    }

    fn close(&mut self, id: LinkId) -> Option<Open<P, E>> {
        let link = self.open.remove(&id)?;
        self.busy.remove(&id);
        self.bytes = self.bytes.saturating_sub(link.port.bytes());
        Some(link)
    }

    /// Forgets a link, whose other end has forgotten it as well. Returns false if there was none.
    pub fn forget(&mut self, id: LinkId) -> bool {
        let was_open = self.close(id).is_some();
        self.ending.remove(&id).is_some() || was_open
    }

    /// Returns true if events wait, or a batch has no result.
    pub fn are_busy(&self) -> bool {
        !self.busy.is_empty()
    }

    /// Returns the bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the time of the next call about a link that has ended; `None` if there is none.
    pub fn next_due(&self) -> Option<Timestamp> {
        let waiting = self.ending.values().filter(|one| !one.is_calling);
        waiting.map(|one| one.due).min()
    }
}

impl<P, E: Event> Open<P, E> {
    /// Returns the link with its next batch; `None` if there is none now.
    fn next_batch(&mut self) -> Option<(&Self, Batch<E>)> {
        let batch = self.port.next_batch()?;
        Some((self, batch))
    }
}

impl<P> Ending<P> {
    fn new(peer: P, now: Timestamp) -> Self {
        Self {
            peer,
            since: now,
            due: now,
            pause_ms: LINK_END_RETRY_MS_MIN,
            is_calling: false,
        }
    }
}

impl<P, E> OutgoingCall<P, E> {
    /// Returns the call as the other end receives it.
    pub fn into_call<Q>(self, from: Q) -> Call<Q, E> {
        Call {
            from,
            link: self.link,
            content: self.content,
        }
    }

    /// Returns the id with which its result is reported.
    pub fn id(&self) -> CallId {
        let number = match &self.content {
            Content::Batch(batch) => Some(batch.number),
            Content::End | Content::Unreadable => None,
        };
        CallId {
            link: self.link,
            number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{ConnectionId, RoomName},
        limits::{LINK_EVENT_BYTES, LINK_QUEUE_BYTES_MAX},
        link::event::ToRoom,
        secret::Secret,
    };

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn event(bytes: usize) -> ToRoom {
        ToRoom::Command {
            member: ConnectionId(1),
            text: Secret("x".repeat(bytes.saturating_sub(LINK_EVENT_BYTES))),
        }
    }

    #[test]
    fn as_many_bytes_wait_at_all_links_as_the_limit_and_no_more() {
        let mut links = Links::restore([], NOW);
        let count = (LINKS_BYTES_MAX / LINK_QUEUE_BYTES_MAX) as u64;
        for id in 0..=count {
            links.open(LinkId(id), RoomName::parse("a").unwrap());
        }
        for id in 0..count {
            assert_eq!(links.send(LinkId(id), event(LINK_QUEUE_BYTES_MAX)), Ok(()));
        }
        assert_eq!(links.bytes(), LINKS_BYTES_MAX);
        assert_eq!(
            links.send(LinkId(count), event(LINK_EVENT_BYTES)),
            Err(Overflow)
        );
        // A link that ends makes room, and so does a call.
        assert!(links.forget(LinkId(count)) && links.bytes() == LINKS_BYTES_MAX);
        links.next_call(NOW).unwrap();
        assert_eq!(links.bytes(), LINKS_BYTES_MAX - LINK_QUEUE_BYTES_MAX);
        links.end(LinkId(2), NOW).unwrap();
        assert_eq!(links.bytes(), LINKS_BYTES_MAX - 2 * LINK_QUEUE_BYTES_MAX);
    }

    #[test]
    fn a_room_is_called_about_an_ended_link_with_growing_pauses_until_it_answers() {
        let mut links = Links::<RoomName, ToRoom>::restore([], NOW);
        links.open(LinkId(1), RoomName::parse("a").unwrap());
        links.end(LinkId(1), NOW).unwrap();
        let (mut now, mut pause_ms) = (NOW, LINK_END_RETRY_MS_MIN);
        for _ in 0..12 {
            let call = links.next_call(now).unwrap();
            assert!(links.next_call(now).is_none() && links.next_due().is_none());
            assert_eq!(links.settle(call.id(), None, now), Settled::Nothing);
            let due = now.plus_ms(pause_ms);
            assert_eq!(links.next_due(), Some(due));
            assert!(links.next_call(Timestamp(due.0 - 1)).is_none());
            (now, pause_ms) = (due, (2 * pause_ms).min(LINK_END_RETRY_MS_MAX));
        }
        let call = links.next_call(now).unwrap();
        let heard = links.settle(call.id(), Some(Answer::Unknown), now);
        assert_eq!(heard, Settled::Forgotten);
        assert!(links.forget(LinkId(1)) && links.is_empty());
    }
}
