//! The way of the lines from the outbox to sockets and gateways, once the messages are stored.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Break, Closed, Content, Line, Outbox, Texts};
use crate::{
    fan_out::{Audience, Class, FanOut, Recipients, Text},
    ids::{ConnectionId, LinkId},
    limits::LINK_CALL_FRAMES,
    link::{Via, event::ToGateway},
    protocol::push::{Outcome, Push},
    room::{io::Output, roster::Roster},
};

/// A line that can be sent, because the messages are stored.
enum ReadyLine {
    Text(Text, Audience),
    Left(ConnectionId),
}

impl Outbox {
    /// Turns all lines into outputs: each connection gets its lines in order, in as few frames as
    /// possible, and connections with the same lines share one text. Gateways get the lines for their
    /// sessions one by one. Returns the number of frames, and of those that the events for gateways compare to.
    pub(in crate::room) fn deliver(
        self,
        texts: &Texts,
        roster: &Roster,
        outputs: &mut VecDeque<Output>,
        mut send_over: impl FnMut(LinkId, ToGateway),
    ) -> usize {
        let body = &texts.body;
        let is_message = |line: &&Line| matches!(line.content, Content::Text(Text::Message(_)));
        let messages = self.lines.iter().filter(is_message).count();
        let mut frames = 0_usize;
        let (mut lines, mut named) = (self.lines, self.named);
        let mut parts = Vec::new();
        for Break { at, named: before } in self.breaks.into_iter().rev() {
            parts.push((lines.split_off(at), std::mem::replace(&mut named, before)));
        }
        parts.push((lines, named));
        let recipients = Sockets {
            roster,
            closes: &self.closes,
        };
        let members = Members {
            roster,
            left: &self.left,
        };
        let has_members = roster.links().next().is_some() || !self.left.is_empty();
        let mut called = BTreeSet::new();
        for (lines, named) in parts.into_iter().rev() {
            let lines: Vec<_> = lines
                .into_iter()
                .filter_map(|line| line.ready(texts, roster))
                .collect();
            for line in lines.iter().filter(|_| has_members) {
                members.send(line, body, |link, event| {
                    called.insert(link);
                    send_over(link, event);
                });
            }
            let lines = lines.into_iter().filter_map(ReadyLine::text);
            let fan_out = FanOut {
                lines: lines.collect(),
                body: body.clone(),
                messages,
                named,
            };
            fan_out.frames(&recipients, |to, text| {
                frames = frames.saturating_add(to.len());
                let to = to.to_vec();
                outputs.push_back(Output::Send { to, text });
            });
        }
        for (connection, closed) in self.closes {
            outputs.push_back(Output::Close {
                connection,
                code: closed.code,
                attachment: closed.attachment,
            });
        }
        frames.saturating_add(called.len().saturating_mul(LINK_CALL_FRAMES))
    }
}

impl Line {
    /// Returns the line, once the messages are stored; `None` for a command without an id, which gets no
    /// reply.
    fn ready(self, texts: &Texts, roster: &Roster) -> Option<ReadyLine> {
        let text = match self.content {
            Content::Text(text) => text,
            Content::Entry(index) => Text::Line(texts.changes.get(index)?.line.clone()),
            Content::OwnCopy(text) => {
                let receives = |id: &&ConnectionId| {
                    (roster.get(**id)).is_some_and(|one| one.subscription.receives_messages())
                };
                let to = self.to.named().iter().filter(receives).copied();
                return Some(ReadyLine::Text(Text::Line(text), Audience::these(to)));
            }
            Content::Ack { id, stored } => {
                let (id, outcome) = (&id?, Some(Outcome::Stored(stored)));
                Text::Line(Push::Ack { id, outcome }.to_line())
            }
            Content::Left => return self.to.named().first().copied().map(ReadyLine::Left),
        };
        Some(ReadyLine::Text(text, self.to))
    }
}

impl ReadyLine {
    /// Returns the text, and its audience; `None` if there is none.
    fn text(self) -> Option<(Text, Audience)> {
        match self {
            Self::Text(text, to) => Some((text, to)),
            Self::Left(_) => None,
        }
    }
}

/// The connections that gateways hold, and those that the flush ends.
struct Members<'a> {
    roster: &'a Roster,
    left: &'a BTreeMap<ConnectionId, LinkId>,
}

impl Members<'_> {
    /// Sends a line to the gateways whose sessions it is for.
    fn send(&self, line: &ReadyLine, body: &str, mut send: impl FnMut(LinkId, ToGateway)) {
        match line {
            ReadyLine::Left(member) => {
                if let Some(link) = self.link_of(*member) {
                    send(link, ToGateway::Left { member: *member });
                }
            }
            ReadyLine::Text(text, Audience::These(ids)) => {
                let mut links: BTreeMap<LinkId, Vec<ConnectionId>> = BTreeMap::new();
                for id in ids {
                    if let Some(link) = self.link_of(*id) {
                        links.entry(link).or_default().push(*id);
                    }
                }
                for (link, ids) in links {
                    let (to, text) = (Audience::These(ids), text.to_line(body));
                    send(link, ToGateway::Line { to, text });
                }
            }
            ReadyLine::Text(text, to) => {
                for link in self.roster.links() {
                    let is_for = |class| to.is_for_all(class);
                    let mut members = self.roster.classes().behind(link, is_for);
                    if members.any(|(id, class)| to.reaches(id, class)) {
                        let (to, text) = (to.clone(), text.to_line(body));
                        send(link, ToGateway::Line { to, text });
                    }
                }
            }
        }
    }

    fn link_of(&self, id: ConnectionId) -> Option<LinkId> {
        match self.roster.get(id).map(|one| one.session.via) {
            Some(Via::Link(link)) => Some(link),
            Some(Via::Socket) => None,
            None => self.left.get(&id).copied(),
        }
    }
}

/// The room's sockets, and those that the flush closes.
struct Sockets<'a> {
    roster: &'a Roster,
    closes: &'a BTreeMap<ConnectionId, Closed>,
}

impl Recipients for Sockets<'_> {
    fn matching(
        &self,
        matches: impl Fn(Class) -> bool,
    ) -> impl Iterator<Item = (ConnectionId, Class)> {
        self.roster.classes().sockets(matches)
    }

    fn class_of(&self, id: ConnectionId) -> Option<Class> {
        match self.roster.get(id) {
            Some(connection) => (connection.session.via == Via::Socket).then(|| connection.class()),
            None => self.closes.get(&id).map(Closed::class),
        }
    }
}

impl Closed {
    /// Returns the class of a closed socket, which gets only lines that name it.
    fn class(&self) -> Class {
        Class {
            receives_messages: false,
            receives_presence: false,
            wire: self.wire,
        }
    }
}
