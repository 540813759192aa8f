//! The links to rooms: the calls over them, and how they end.

use std::collections::BTreeSet;

use super::{Gateway, Room, io::Output, store::Store};
use crate::{
    auth::room_guard::{RoomRates, RoomUse},
    ids::{LinkId, RoomName, UserId},
    link::{
        call::{Answer, Call},
        event::{ToGateway, ToRoom},
        links::{CallId, OutgoingCall, Received, Settled, StoredLink},
    },
    protocol::refusal::Refusal,
};

impl<S: Store> Gateway<S> {
    /// Adds an event for a room to which there is a link.
    pub(super) fn send_over(&mut self, room: &RoomName, event: ToRoom) {
        let Some(link) = self.rooms.get(room).map(|room| room.link) else {
            return;
        };
        if self.links.send(link, event).is_err() {
            self.lose_room(room);
        }
    }

    pub(super) fn open_link(
        &mut self,
        room: &RoomName,
        opened_by: (UserId, RoomRates),
    ) -> Result<(), Refusal> {
        let link = LinkId(self.next_link);
        self.next_link = self.next_link.wrapping_add(1);
        let stored = StoredLink {
            id: link,
            peer: room.clone(),
            is_ending: false,
        };
        self.store
            .store_link(&stored)
            .map_err(|_| Refusal::Internal)?;
        self.links.open(link, room.clone());
        let opened = Room {
            link,
            members: BTreeSet::new(),
            opened_by: Some(opened_by),
        };
        self.rooms.insert(room.clone(), opened);
        Ok(())
    }

    /// Returns the next call to a room.
    pub(super) fn next_call(&mut self) -> Option<OutgoingCall<RoomName, ToRoom>> {
        self.links.next_call(self.now)
    }

    /// Takes the result of a call to a room; `None` if it failed.
    pub(super) fn call_settled(
        &mut self,
        call: CallId,
        answer: Option<Answer>,
        found: Option<RoomUse>,
    ) {
        let room = self.links.peer(call.link).cloned();
        if let (Some(room), Some(found)) = (&room, found) {
            self.count_use(room, found);
        }
        match (self.links.settle(call, answer, self.now), room) {
            (Settled::Nothing, Some(room)) => self.end_if_unused(&room),
            (Settled::Lost, Some(room)) => self.lose_room(&room),
            (Settled::Refused, Some(room)) => self.refuse_creation(&room),
            (Settled::Forgotten, _) => self.forget_link(call.link),
            _ => {}
        }
    }

    /// Counts a new or unused room against the rate limits of the user who opened the link.
    fn count_use(&mut self, room: &RoomName, found: RoomUse) {
        let opened_by = self.rooms.get(room).and_then(|room| room.opened_by.clone());
        if let Some((user, rates)) = opened_by {
            self.guard.count(&user, rates, found, self.now);
        }
    }

    /// Rejects the joins that the room refused because its users have created too many rooms.
    fn refuse_creation(&mut self, room: &RoomName) {
        for member in self.take_members(room) {
            let unanswered = self.remove_subscription(member, room);
            for id in unanswered.into_iter().flatten() {
                self.reject_creation(member, id.as_ref(), room);
            }
        }
        self.drop_link_of(room);
    }

    /// Takes a call of a room.
    pub(super) fn receive_call(&mut self, call: Call<RoomName, ToGateway>) {
        let (link, room) = (call.link, call.from.clone());
        let answer = match self.links.receive(call) {
            Received::Events(events) => {
                self.incoming.push_back((room.clone(), events.into()));
                Answer::Accepted
            }
            Received::Unknown => Answer::Unknown,
            Received::OutOfOrder => {
                self.lose_room(&room);
                Answer::Unknown
            }
            Received::Ended => {
                self.forget_link(link);
                Answer::Accepted
            }
        };
        self.outputs.push_back(Output::AnswerCall(answer));
    }

    /// Ends the link to a room in which no session is any more.
    pub(super) fn end_if_unused(&mut self, room: &RoomName) {
        let unused = self.rooms.get(room).filter(|room| room.members.is_empty());
        let Some(link) = unused.map(|room| room.link) else {
            return;
        };
        // What waits has to arrive first.
        if self.links.is_quiet(link) {
            self.end_link(link);
            self.rooms.remove(room);
        }
    }

    /// Ends the link to a room, and sends the sessions `left`.
    pub(super) fn lose_room(&mut self, room: &RoomName) {
        let link = self.rooms.get(room).map(|room| room.link);
        self.interrupt(room);
        if let Some(link) = link {
            self.end_link(link);
        }
        self.rooms.remove(room);
    }

    /// Forgets a link, which the other end has forgotten, and sends the sessions `left`.
    fn forget_link(&mut self, link: LinkId) {
        let room = self.links.peer(link).cloned();
        let room = room.filter(|room| self.rooms.get(room).is_some_and(|one| one.link == link));
        if let Some(room) = room {
            self.interrupt(&room);
            self.rooms.remove(&room);
        }
        if self.links.forget(link) {
            self.store.delete_link(link);
        }
    }

    fn drop_link_of(&mut self, room: &RoomName) {
        if let Some(Room { link, .. }) = self.rooms.remove(room)
            && self.links.forget(link)
        {
            self.store.delete_link(link);
        }
    }

    fn end_link(&mut self, link: LinkId) {
        if let Some(stored) = self.links.end(link, self.now) {
            // If it cannot be stored, the room learns of it only while the gateway is in memory.
            let _unstored = self.store.store_link(&stored);
        }
    }
}
