//! The places of sessions in rooms: how they begin, are kept and end.

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
    auth::{Mode, room_guard::RoomRates},
    ids::{ConnectionId, Reference, RoomName},
    limits::{
        INTERRUPTED_DELAY_MS, INTERRUPTED_DELAY_MS_MIN, ROOMS_PER_SESSION_MAX, SUBSCRIPTIONS_MAX,
    },
    link::event::ToRoom,
    protocol::{
        command::CommandId,
        error::{CloseCode, ErrorCode},
        push::{Push, with_room},
        refusal::Refusal,
    },
};

const NOT_COUNTED: &str =
    "a badge needs the capabilities 'receive' and 'history', which the token does not grant here";

impl<S: Store> Gateway<S> {
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

    /// Adds a session to a room, which decides whether it may join.
    pub(super) fn subscribe(
        &mut self,
        from: ConnectionId,
        join: JoinRoom,
        admission: Admission,
        has_own_token: bool,
    ) -> Result<(), Fault> {
        let JoinRoom { id, room, .. } = join;
        if admission.options.mode == Mode::Badge && !admission.can.may_read() {
            return Err(Fault::new(ErrorCode::Forbidden, NOT_COUNTED));
        }
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

    pub(super) fn set_class(
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
    pub(super) fn on_left(&mut self, member: ConnectionId, room: &RoomName) {
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

    /// Removes all sessions from a room, and sends them `left`.
    pub(super) fn interrupt(&mut self, room: &RoomName) {
        let members = self.take_members(room);
        // Otherwise all sessions would join at the same moment.
        let more = INTERRUPTED_DELAY_MS.saturating_mul(members.len() as u64);
        let within_ms = INTERRUPTED_DELAY_MS_MIN.saturating_add(more);
        for member in members {
            self.remove_subscription(member, room);
            self.send_left(member, room, within_ms);
        }
    }

    pub(super) fn take_members(&mut self, room: &RoomName) -> BTreeSet<ConnectionId> {
        let room = self.rooms.get_mut(room);
        room.map(|room| std::mem::take(&mut room.members))
            .unwrap_or_default()
    }

    /// Removes a session from a room. Returns the ids of its joins that the room has not answered.
    pub(super) fn remove_subscription(
        &mut self,
        member: ConnectionId,
        room: &RoomName,
    ) -> Option<Vec<Option<CommandId>>> {
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
