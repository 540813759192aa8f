//! The links to rooms: what sessions send to them, and what comes back.

use std::collections::BTreeSet;

use super::{
    Gateway, Room,
    fault::Fault,
    io::{JoinRoom, Output},
    session::{GatewaySession, Subscription},
    store::{Store, StoredSubscription},
};
use crate::{
    Admission,
    auth::room_guard::{RoomRates, RoomUse},
    fan_out::{Audience, Class, FanOut, Recipients, Text},
    ids::{ConnectionId, LinkId, Reference, RoomName, UserId},
    limits::{
        FLUSH_COPIES_BYTES, INTERRUPTED_DELAY_MS, INTERRUPTED_DELAY_MS_MIN, ROOMS_PER_SESSION_MAX,
        SUBSCRIPTIONS_MAX,
    },
    link::{
        call::{Answer, Call},
        event::{ToGateway, ToRoom},
        links::{CallId, OutgoingCall, Received, Settled, StoredLink},
    },
    protocol::{
        error::CloseCode,
        push::{Push, with_room},
        refusal::Refusal,
    },
};

/// The sessions that are in a room.
struct Subscribers<'a, S> {
    gateway: &'a Gateway<S>,
    room: &'a RoomName,
}

impl<S> Recipients for Subscribers<'_, S> {
    fn matching(
        &self,
        matches: impl Fn(Class) -> bool,
    ) -> impl Iterator<Item = (ConnectionId, Class)> {
        let members = self.gateway.rooms.get(self.room);
        let members = members.into_iter().flat_map(|room| &room.members);
        let members = members.filter_map(|id| Some((*id, self.class_of(*id)?)));
        members.filter(move |(_, class)| matches(*class))
    }

    fn class_of(&self, id: ConnectionId) -> Option<Class> {
        let session = self.gateway.sessions.get(&id)?;
        // A session that has just left still gets what names it.
        let subscription = session.rooms.get(self.room);
        Some(Class {
            receives_messages: subscription.is_some_and(|one| one.messages),
            receives_presence: subscription.is_some_and(|one| one.presence),
            wire: session.socket.wire,
        })
    }
}

impl<S: Store> Gateway<S> {
    // Waking up.

    /// Restores the sessions' places in rooms. A gateway that has lost sessions says so to their rooms, and
    /// one that was lost amid calls ends its links.
    pub(super) fn restore_subscriptions(&mut self, stored: Vec<StoredSubscription>) {
        let links: Vec<_> = (self.links.opened())
            .map(|(link, room)| (link, room.clone()))
            .collect();
        for (link, name) in links {
            let room = Room {
                link,
                members: BTreeSet::new(),
                opened_by: None,
            };
            self.rooms.insert(name, room);
        }
        let is_row: BTreeSet<_> = (stored.iter())
            .map(|one| (one.member, one.room.clone()))
            .collect();
        self.restore_joining(&is_row);
        for one in stored {
            let is_linked = self.rooms.contains_key(&one.room);
            match self.sessions.get_mut(&one.member) {
                Some(session) if is_linked => {
                    let subscription = Subscription {
                        is_attached: session.rooms.contains_key(&one.room),
                        ..Subscription::restore(&one)
                    };
                    session.rooms.insert(one.room.clone(), subscription);
                    self.subscriptions = self.subscriptions.saturating_add(1);
                    if let Some(room) = self.rooms.get_mut(&one.room) {
                        room.members.insert(one.member);
                    }
                }
                Some(session) => {
                    let is_attached = session.rooms.remove(&one.room).is_some();
                    self.store.delete_subscription(one.member, &one.room);
                    self.send_left(one.member, &one.room, INTERRUPTED_DELAY_MS_MIN);
                    if is_attached {
                        self.attach(one.member);
                    }
                }
                None => {
                    self.store.delete_subscription(one.member, &one.room);
                    let leave = ToRoom::Leave {
                        member: one.member,
                        is_clean: false,
                    };
                    self.send_over(&one.room, leave);
                }
            }
        }
        let rooms: Vec<_> = self.rooms.keys().cloned().collect();
        for room in rooms {
            if self.note.is_stored() {
                self.lose_room(&room);
            } else {
                self.end_if_unused(&room);
            }
        }
    }

    /// Restores the places in rooms that only the attachments of sessions list: all but those in `stored`.
    fn restore_joining(&mut self, stored: &BTreeSet<(ConnectionId, RoomName)>) {
        let joining = self.sessions.iter().flat_map(|(id, session)| {
            let rooms = session.rooms.keys().cloned();
            rooms.map(|room| (*id, room))
        });
        let joining: Vec<_> = joining.filter(|one| !stored.contains(one)).collect();
        for (member, name) in joining {
            match self.rooms.get_mut(&name) {
                Some(room) => {
                    room.members.insert(member);
                    self.subscriptions = self.subscriptions.saturating_add(1);
                    self.unstored = self.unstored.saturating_add(1);
                }
                None => {
                    if let Some(session) = self.sessions.get_mut(&member) {
                        session.rooms.remove(&name);
                    }
                    self.send_left(member, &name, INTERRUPTED_DELAY_MS_MIN);
                    self.attach(member);
                }
            }
        }
    }

    // From sessions to rooms.

    /// Adds an event for a room to which there is a link.
    pub(super) fn send_over(&mut self, room: &RoomName, event: ToRoom) {
        let Some(link) = self.rooms.get(room).map(|room| room.link) else {
            return;
        };
        if self.links.send(link, event).is_err() {
            self.lose_room(room);
        }
    }

    /// Adds a session to a room, which decides whether it may join.
    pub(super) fn subscribe(
        &mut self,
        from: ConnectionId,
        join: JoinRoom,
        admission: Admission,
        has_own_token: bool,
    ) -> Result<(), Fault> {
        let JoinRoom { id, room, .. } = join;
        if let Some(session) = self.sessions.get(&from)
            && !session.rooms.contains_key(&room)
        {
            // Checked again, because a token may have been checked in the meantime.
            if session.rooms.len() >= ROOMS_PER_SESSION_MAX {
                return Err(Fault::too_many_rooms());
            }
            if self.subscriptions >= SUBSCRIPTIONS_MAX {
                return Err(Fault::from(&Refusal::Overloaded));
            }
            self.subscriptions = self.subscriptions.saturating_add(1);
        }
        let may_create = match self.rooms.contains_key(&room) {
            true => true,
            false => {
                let rates = RoomRates::new(admission.can);
                let checked = self.guard.check(&admission.user, rates, self.now);
                let may_create = checked.map_err(|refusal| Fault::from(&refusal))?;
                let opened = self.open_link(&room, (admission.user.clone(), rates));
                opened.map_err(|refusal| Fault::from(&refusal))?;
                may_create
            }
        };
        let Some(session) = self.sessions.get_mut(&from) else {
            return Ok(());
        };
        if !session.rooms.contains_key(&room) {
            self.unstored = self.unstored.saturating_add(1);
        }
        let subscription = session.rooms.entry(room.clone()).or_default();
        subscription.joins = subscription.joins.saturating_add(1);
        subscription.has_own_token = has_own_token;
        subscription.unanswered.push(id.clone());
        let is_stored = subscription.is_stored;
        if let Some(room) = self.rooms.get_mut(&room) {
            room.members.insert(from);
        }
        // A row would have to be committed before the room is called.
        match is_stored {
            true => self.keep_subscription(from, &room),
            false => self.attach(from),
        }
        let event = ToRoom::Join {
            member: from,
            id,
            admission: Box::new(admission),
            has_own_token,
            may_create,
        };
        self.send_over(&room, event);
        Ok(())
    }

    fn open_link(
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

    /// Writes a session's place in a room to storage.
    pub(super) fn keep_subscription(&mut self, member: ConnectionId, room: &RoomName) {
        let session = self.sessions.get(&member);
        let Some(subscription) = session.and_then(|session| session.rooms.get(room)) else {
            return;
        };
        let stored = subscription.stored(member, room);
        if self.store.store_subscription(&stored).is_err() {
            return self.lose_room(room);
        }
        if let Some(subscription) = self.subscription_mut(member, room)
            && !std::mem::replace(&mut subscription.is_stored, true)
        {
            self.unstored = self.unstored.saturating_sub(1);
        }
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

    // From rooms to sessions.

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

    /// Sends the next lines of a room to the sessions that they are for; returns false if there are none.
    ///
    /// A session that a line names gets a copy of all lines. So a long call is sent in parts, each of which is
    /// polled before the next one is made.
    pub(super) fn send_next_lines(&mut self) -> bool {
        let Some((room, mut events)) = self.incoming.pop_front() else {
            return false;
        };
        let (mut lines, mut bytes) = (Vec::new(), 0_usize);
        let mut named = BTreeSet::<ConnectionId>::new();
        while bytes.saturating_mul(named.len()) < FLUSH_COPIES_BYTES
            && let Some(ToGateway::Line { .. }) = events.front()
            && let Some(ToGateway::Line { to, text }) = events.pop_front()
        {
            named.extend(to.named());
            bytes = bytes.saturating_add(text.len());
            lines.push((Text::Line(with_room(&text, &room)), to));
        }
        if !lines.is_empty() {
            self.send_lines(&room, lines);
        } else {
            match events.pop_front() {
                Some(ToGateway::Receives {
                    member,
                    messages,
                    presence,
                    has_own_token,
                }) => self.set_class(member, &room, (messages, presence), has_own_token),
                Some(ToGateway::Left { member }) => self.on_left(member, &room),
                Some(ToGateway::Line { .. }) | None => {}
            }
        }
        if events.is_empty() {
            self.end_if_unused(&room);
        } else {
            self.incoming.push_front((room, events));
        }
        true
    }

    fn send_lines(&mut self, room: &RoomName, lines: Vec<(Text, Audience)>) {
        let named = lines.iter().flat_map(|(_, to)| to.named()).copied();
        let fan_out = FanOut {
            named: named.collect(),
            lines,
            body: "".into(),
            messages: 0,
        };
        let subscribers = Subscribers {
            gateway: self,
            room,
        };
        let mut sends = Vec::new();
        fan_out.frames(&subscribers, |to, text| {
            let to = to.to_vec();
            sends.push(Output::Send { to, text });
        });
        self.outputs.extend(sends);
    }

    fn set_class(
        &mut self,
        member: ConnectionId,
        room: &RoomName,
        class: (bool, bool),
        has_own_token: bool,
    ) {
        let Some(subscription) = self.subscription_mut(member, room) else {
            return;
        };
        if !subscription.unanswered.is_empty() {
            subscription.unanswered.remove(0);
        }
        let before = subscription.stored(member, room);
        (subscription.messages, subscription.presence) = class;
        subscription.has_own_token |= has_own_token;
        if subscription.stored(member, room) != before || !subscription.is_stored {
            self.keep_subscription(member, room);
        }
    }

    /// Ends one join of a session. The session stays in the room if it has joined again since.
    fn on_left(&mut self, member: ConnectionId, room: &RoomName) {
        let Some(subscription) = self.subscription_mut(member, room) else {
            return;
        };
        subscription.joins = subscription.joins.saturating_sub(1);
        let waits = usize::try_from(subscription.joins).unwrap_or(usize::MAX);
        let answered = subscription.unanswered.len().saturating_sub(waits);
        subscription.unanswered.drain(..answered);
        // Until the next join is answered, it receives nothing.
        (subscription.messages, subscription.presence) = (false, false);
        if subscription.joins > 0 {
            return match subscription.is_stored {
                true => self.keep_subscription(member, room),
                false => self.attach(member),
            };
        }
        self.remove_subscription(member, room);
        if let Some(room) = self.rooms.get_mut(room) {
            room.members.remove(&member);
        }
    }

    // The end of links.

    /// Ends the link to a room in which no session is any more.
    fn end_if_unused(&mut self, room: &RoomName) {
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

    /// Removes all sessions from a room, and sends them `left`.
    fn interrupt(&mut self, room: &RoomName) {
        let members = self.take_members(room);
        // Otherwise all sessions would join at the same moment.
        let more = INTERRUPTED_DELAY_MS.saturating_mul(members.len() as u64);
        let within_ms = INTERRUPTED_DELAY_MS_MIN.saturating_add(more);
        for member in members {
            self.remove_subscription(member, room);
            self.send_left(member, room, within_ms);
        }
    }

    fn take_members(&mut self, room: &RoomName) -> BTreeSet<ConnectionId> {
        let room = self.rooms.get_mut(room);
        room.map(|room| std::mem::take(&mut room.members))
            .unwrap_or_default()
    }

    /// Removes a session from a room. Returns the ids of its joins that the room has not answered.
    fn remove_subscription(
        &mut self,
        member: ConnectionId,
        room: &RoomName,
    ) -> Option<Vec<Option<crate::protocol::command::CommandId>>> {
        let session = self.sessions.get_mut(&member)?;
        let subscription = session.rooms.remove(room)?;
        self.subscriptions = self.subscriptions.saturating_sub(1);
        self.delete_subscription(member, room, &subscription);
        if subscription.is_attached {
            self.attach(member);
        }
        Some(subscription.unanswered)
    }

    fn delete_subscription(
        &mut self,
        member: ConnectionId,
        room: &RoomName,
        subscription: &Subscription,
    ) {
        if subscription.is_stored {
            self.store.delete_subscription(member, room);
        } else {
            self.unstored = self.unstored.saturating_sub(1);
        }
    }

    fn send_left(&mut self, member: ConnectionId, room: &RoomName, within_ms: u64) {
        let code = CloseCode::Interrupted;
        let reference = Reference::of((member, room, self.now));
        let left = Push::Left {
            code: code.number(),
            reason: code.reason(),
            reconnect: true,
            delay_ms: Some(reference.below(within_ms)),
            reference: None,
        };
        let text = with_room(&left.to_line(), room);
        let to = vec![member];
        self.outputs.push_back(Output::Send { to, text });
    }

    /// Removes a session that has ended from its rooms.
    pub(super) fn leave_all(&mut self, session: &GatewaySession, is_clean: bool) {
        let member = session.socket.id;
        self.subscriptions = self.subscriptions.saturating_sub(session.rooms.len());
        for (name, subscription) in &session.rooms {
            self.delete_subscription(member, name, subscription);
            let leave = ToRoom::Leave { member, is_clean };
            self.send_over(name, leave);
            if let Some(room) = self.rooms.get_mut(name) {
                room.members.remove(&member);
            }
        }
    }
}
