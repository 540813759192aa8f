//! Messages that the back end judges before they are stored, and what waits behind them.
//!
//! The back end is asked about one lot at a time, so that messages stay in order. A connection's
//! other commands wait behind its messages; those of others do not.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use super::{
    Frame, Room,
    publish::{Author, Publication},
};
use crate::{
    Capability,
    backend::publish_hook::{Decision, HookRequest, ProposedMessage},
    config::PublishFallback,
    ids::{ConnectionId, RoomName, UserId},
    limits::{
        HOOK_BYTES_MAX, HOOK_MESSAGES_MAX, PENDING_BYTES_MAX, PENDING_MESSAGES_MAX,
        PENDING_OVERHEAD_BYTES,
    },
    protocol::{
        command::{Command, CommandId},
        error::ErrorCode,
    },
    room::io::Output,
};

/// What is told of a message that the back end refuses without a reason.
const REFUSED: &str = "the message was refused";

/// What waits for verdicts.
#[derive(Debug, Default)]
pub(super) struct PublishHookQueue {
    /// Messages that the back end was not asked about yet.
    queue: VecDeque<PendingMessage>,
    /// Those that it is asked about; `None` for one that came to nothing meanwhile.
    in_flight: Option<(Rc<HookRequest>, Vec<Option<PendingMessage>>)>,
    /// Those that it was asked about, with what it has said.
    decided: VecDeque<(PendingMessage, Option<Decision>)>,
    /// What waits of each connection.
    connections: BTreeMap<ConnectionId, PendingConnection>,
    /// Connections with frames that need not wait any longer, perhaps.
    ready: VecDeque<ConnectionId>,
    /// How many messages wait.
    messages: usize,
    /// How many bytes wait.
    bytes: usize,
}

/// A message that waits for its verdict.
#[derive(Debug)]
struct PendingMessage {
    from: ConnectionId,
    id: Option<CommandId>,
    author: Author,
    publication: Publication<'static>,
    data_bytes_max: usize,
    bytes: usize,
}

/// What waits of a connection.
#[derive(Debug, Default)]
struct PendingConnection {
    messages: usize,
    bytes: usize,
    /// What came behind its messages.
    frames: VecDeque<Frame>,
}

/// When a command is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheduling {
    /// At once.
    Now,
    /// Once its connection's messages are judged.
    Later,
    /// Not at all, since too much waits.
    Never,
}

impl Room {
    /// When a command is done.
    pub(super) fn scheduling_of(&self, from: ConnectionId, line: &str) -> Scheduling {
        let Some(connection) = self.connections.get(&from) else {
            return Scheduling::Now;
        };
        if self.rules.judged.is_none() {
            return Scheduling::Now;
        }
        let waiting = self.hook_queue.messages_of(from);
        let will_be_judged = connection.can.has(Capability::Publish)
            && line.len() <= connection.message_bytes_max
            && Command::is_publish(line);
        match will_be_judged {
            false if waiting == 0 => Scheduling::Now,
            false => Scheduling::Later,
            true if !self.hook_queue.has_room_for(from, line.len()) => Scheduling::Never,
            true if waiting >= HOOK_MESSAGES_MAX => Scheduling::Later,
            true if self.hook_queue.messages >= PENDING_MESSAGES_MAX => Scheduling::Never,
            true => Scheduling::Now,
        }
    }

    /// Takes a message that is to be judged.
    pub(super) fn await_decision(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        author: Author,
        publication: Publication<'_>,
    ) {
        // Nothing may wait in a room that its shell is about to restore.
        if self.storage_failed {
            return self.reject_unstored(from, id.as_ref());
        }
        let bytes_max = self.connections.get(&from).map(|one| one.message_bytes_max);
        self.hook_queue.add(PendingMessage {
            from,
            id,
            bytes: weight(&author.user, &publication),
            author,
            publication: publication.into_owned(),
            data_bytes_max: bytes_max.unwrap_or_default(),
        });
    }

    /// Asks the back end about what waits; `false` where nothing does, or it is being asked already.
    pub(super) fn call_publish_hook(&mut self) -> bool {
        let question = self.hook_queue.ask(&self.name);
        let is_asked = question.is_some();
        self.outputs.extend(question.map(Output::CallPublishHook));
        is_asked
    }

    /// Does what the back end has said of the next message; `false` where there is none.
    pub(super) fn apply_next_decision(&mut self) -> bool {
        if self.storage_failed {
            self.hook_queue.abandon_all();
        }
        let Some((waiting, decision)) = self.hook_queue.next_decided() else {
            return false;
        };
        let (from, id) = (waiting.from, waiting.id);
        let (author, mut publication) = (waiting.author, waiting.publication);
        // It may have been stored meanwhile.
        if let Some(stored) = self.find_key(&author.user, &publication) {
            self.outbox.push_ack(from, id, stored);
            return true;
        }
        if self.storage_failed {
            self.reject_unstored(from, id.as_ref());
            return true;
        }
        let is_allowed = match decision {
            Some(Decision::Allow) => true,
            Some(Decision::Replace(data)) => {
                publication.data = Cow::Owned(data);
                true
            }
            Some(Decision::Refuse(reason)) => {
                let reason = reason.filter(|reason| !reason.is_empty());
                let message = reason.as_deref().unwrap_or(REFUSED);
                self.refuse(from, id.as_ref(), ErrorCode::Refused, message);
                return true;
            }
            None => self.rules.judged == Some(PublishFallback::Allow),
        };
        if is_allowed {
            self.store(from, id, &author, &publication);
        } else {
            let message = "the message could not be judged";
            self.refuse(from, id.as_ref(), ErrorCode::Internal, message);
        }
        true
    }
}

impl PublishHookQueue {
    /// Takes what the back end has said. To any question but the last it comes too late.
    pub(super) fn judge(&mut self, question: &Rc<HookRequest>, decisions: Option<Vec<Decision>>) {
        let is_the_last = |(asked, _): &mut (Rc<HookRequest>, _)| Rc::ptr_eq(asked, question);
        let Some((_, messages)) = self.in_flight.take_if(is_the_last) else {
            return;
        };
        let decisions = decisions.filter(|decisions| decisions.len() == messages.len());
        let mut decisions = decisions.into_iter().flatten();
        for message in messages {
            let decision = decisions.next();
            self.decided
                .extend(message.map(|message| (message, decision)));
        }
    }

    /// Lets a frame wait behind its connection's messages: before others that do, where it has begun.
    ///
    /// # Errors
    ///
    /// The frame, where there is no room for it.
    pub(super) fn queue_frame(&mut self, frame: Frame, has_begun: bool) -> Result<(), Frame> {
        if !self.has_room_for(frame.from, frame.len()) {
            return Err(frame);
        }
        let bytes = frame_weight(&frame);
        self.bytes = self.bytes.saturating_add(bytes);
        let connection = self.connections.entry(frame.from).or_default();
        connection.bytes = connection.bytes.saturating_add(bytes);
        if has_begun {
            connection.frames.push_front(frame);
        } else {
            connection.frames.push_back(frame);
        }
        Ok(())
    }

    /// Whether messages of the connection wait.
    pub(super) fn has_messages_of(&self, from: ConnectionId) -> bool {
        self.messages_of(from) > 0
    }

    /// Whether frames of the connection wait.
    pub(super) fn has_frames_of(&self, from: ConnectionId) -> bool {
        let connection = self.connections.get(&from);
        connection.is_some_and(|connection| !connection.frames.is_empty())
    }

    /// The next frame that need not wait any longer.
    pub(super) fn next_frame(&mut self) -> Option<Frame> {
        while let Some(from) = self.ready.pop_front() {
            let Some(connection) = self.connections.get_mut(&from) else {
                continue;
            };
            if connection.messages > 0 {
                continue;
            }
            let frame = connection.frames.pop_front();
            let bytes = frame.as_ref().map_or(0, frame_weight);
            self.bytes = self.bytes.saturating_sub(bytes);
            connection.bytes = connection.bytes.saturating_sub(bytes);
            self.advance(from);
            if frame.is_some() {
                return frame;
            }
        }
        None
    }

    /// Forgets the frames of a connection that is gone.
    pub(super) fn drop_frames_of(&mut self, from: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&from) {
            let bytes = connection
                .frames
                .drain(..)
                .map(|frame| frame_weight(&frame))
                .sum();
            self.bytes = self.bytes.saturating_sub(bytes);
            connection.bytes = connection.bytes.saturating_sub(bytes);
            self.advance(from);
        }
    }

    /// Forgets messages of a connection that was told not to come back.
    pub(super) fn drop_messages_of(&mut self, from: ConnectionId) {
        self.drop_messages(|message| message.from == from);
    }

    /// Forgets messages of a user, whatever has become of their connections.
    pub(super) fn drop_messages_by(&mut self, user: &UserId) {
        self.drop_messages(|message| message.author.user == *user);
    }

    fn drop_messages(&mut self, is_meant: impl Fn(&PendingMessage) -> bool) {
        let mut forgotten = Vec::new();
        let mut keeps = |message: &PendingMessage| {
            let is_meant = is_meant(message);
            if is_meant {
                forgotten.push((message.from, message.bytes));
            }
            !is_meant
        };
        self.queue.retain(&mut keeps);
        self.decided.retain(|(message, _)| keeps(message));
        let asked = self.in_flight.iter_mut().flat_map(|(_, messages)| messages);
        for message in asked {
            let _dropped = message.take_if(|message| !keeps(message));
        }
        for (from, bytes) in forgotten {
            self.release(from, bytes);
        }
    }

    /// How long what the next verdict is about is; `None` where there is none.
    pub(super) fn next_len(&self) -> Option<usize> {
        let (message, decision) = self.decided.front()?;
        Some(match decision {
            Some(Decision::Replace(data)) => data.get().len(),
            _ => message.publication.data.get().len(),
        })
    }

    fn messages_of(&self, from: ConnectionId) -> usize {
        self.connections
            .get(&from)
            .map_or(0, |connection| connection.messages)
    }

    /// Whether so many more bytes of a connection may wait. Something may, however long it is.
    fn has_room_for(&self, from: ConnectionId, more: usize) -> bool {
        let more = more.saturating_add(PENDING_OVERHEAD_BYTES);
        let own = self
            .connections
            .get(&from)
            .map_or(0, |connection| connection.bytes);
        (own == 0 || own.saturating_add(more) <= HOOK_BYTES_MAX)
            && self.bytes.saturating_add(more) <= PENDING_BYTES_MAX
    }

    fn add(&mut self, message: PendingMessage) {
        let connection = self.connections.entry(message.from).or_default();
        connection.messages = connection.messages.saturating_add(1);
        connection.bytes = connection.bytes.saturating_add(message.bytes);
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(message.bytes);
        self.queue.push_back(message);
    }

    fn ask(&mut self, room: &RoomName) -> Option<Rc<HookRequest>> {
        if self.in_flight.is_some() || self.queue.is_empty() {
            return None;
        }
        let (mut count, mut bytes) = (0_usize, 0_usize);
        for message in self.queue.iter().take(HOOK_MESSAGES_MAX) {
            bytes = bytes.saturating_add(message.bytes);
            if count > 0 && bytes > HOOK_BYTES_MAX {
                break;
            }
            count = count.saturating_add(1);
        }
        let messages: Vec<_> = self.queue.drain(..count).collect();
        let candidates: Vec<_> = messages.iter().map(PendingMessage::candidate).collect();
        let question = Rc::new(HookRequest::new(room.clone(), &candidates));
        let messages = messages.into_iter().map(Some).collect();
        self.in_flight = Some((question.clone(), messages));
        Some(question)
    }

    /// Waits for no verdict any more.
    fn abandon_all(&mut self) {
        let asked = self
            .in_flight
            .take()
            .into_iter()
            .flat_map(|(_, asked)| asked);
        let messages = asked.flatten().chain(self.queue.drain(..));
        self.decided.extend(messages.map(|message| (message, None)));
    }

    fn next_decided(&mut self) -> Option<(PendingMessage, Option<Decision>)> {
        let (message, decision) = self.decided.pop_front()?;
        self.release(message.from, message.bytes);
        Some((message, decision))
    }

    /// A message waits no longer.
    fn release(&mut self, from: ConnectionId, bytes: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(connection) = self.connections.get_mut(&from) {
            connection.messages = connection.messages.saturating_sub(1);
            connection.bytes = connection.bytes.saturating_sub(bytes);
        }
        self.advance(from);
    }

    /// Lets the frames of a connection go on where none of its messages waits, and forgets it where
    /// nothing does.
    fn advance(&mut self, from: ConnectionId) {
        let Some(connection) = self.connections.get(&from) else {
            return;
        };
        if connection.messages == 0 && connection.frames.is_empty() {
            self.connections.remove(&from);
        } else if connection.messages == 0 {
            self.ready.push_back(from);
        }
    }
}

impl PendingMessage {
    fn candidate(&self) -> ProposedMessage<'_> {
        ProposedMessage {
            user: &self.author.user,
            connection: self.from,
            event: self.publication.event.as_deref(),
            data: &self.publication.data,
            bytes_max: self.data_bytes_max,
        }
    }
}

/// What a message counts: what it is as JSON at most, where all that can be is escaped.
fn weight(user: &UserId, publication: &Publication<'_>) -> usize {
    let escaped = |text: &str| text.len().saturating_mul(6);
    let event = publication.event.as_deref().map_or(0, escaped);
    publication
        .data
        .get()
        .len()
        .saturating_add(escaped(user.as_str()))
        .saturating_add(event)
        .saturating_add(PENDING_OVERHEAD_BYTES)
}

fn frame_weight(frame: &Frame) -> usize {
    frame.len().saturating_add(PENDING_OVERHEAD_BYTES)
}
