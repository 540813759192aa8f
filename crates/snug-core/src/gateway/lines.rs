//! The lines of rooms, and the sessions to which each goes.

use std::collections::BTreeSet;

use super::{Gateway, io::Output, store::Store};
use crate::{
    fan_out::{Audience, Class, FanOut, Recipients, Text},
    ids::{ConnectionId, RoomName},
    limits::FLUSH_COPIES_BYTES,
    link::event::ToGateway,
    protocol::push::with_room,
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
}
