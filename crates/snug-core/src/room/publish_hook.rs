//! Messages that await the publish hook's decision, and the commands queued behind them.
//!
//! The room sends one hook request at a time, so that messages stay in order. While a connection's
//! messages await decisions, its later commands wait too. Other connections are not affected.

use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
};

use serde_json::value::RawValue;

use super::{
    Frame, Room,
    publish::{Author, Publication},
};
use crate::{
    Capability,
    backend::publish_hook::{Decision, HookRequest, ProposedMessage},
    config::PublishFallback,
    ids::{ConnectionId, TaskId, UserId},
    limits::{
        HOOK_BYTES_MAX, HOOK_MESSAGES_MAX, PENDING_BYTES_MAX, PENDING_MESSAGES_MAX,
        PENDING_OVERHEAD_BYTES,
    },
    protocol::{
        change::{Change, ChangeAction},
        command::{Command, CommandId},
        error::ErrorCode,
        json,
    },
    room::io::Output,
    storage::store::Store,
};

/// The error text for a message that the publish hook refuses without a reason.
const REFUSED: &str = "the message was refused";

/// The error text for a message without a decision.
const NO_DECISION: &str = "the publish hook did not return a decision: send the message again";

/// Messages that await decisions, and the frames behind them.
#[derive(Debug, Default)]
pub(super) struct PublishHookQueue {
    /// Messages that have not been sent to the publish hook yet.
    queue: VecDeque<PendingMessage>,
    /// The pending request and its messages; `None` for a message that was dropped in the meantime.
    in_flight: Option<(TaskId, Vec<Option<PendingMessage>>)>,
    /// Messages with their decisions; `None` if the request failed.
    decided: VecDeque<(PendingMessage, Option<Decision>)>,
    /// The messages and frames of each connection.
    connections: BTreeMap<ConnectionId, PendingConnection>,
    /// Connections whose next frame may be ready.
    ready: VecDeque<ConnectionId>,
    /// Number of messages that wait.
    messages: usize,
    /// Bytes of all messages and frames that wait.
    bytes: usize,
}

/// A message that awaits its decision.
#[derive(Debug)]
struct PendingMessage {
    from: ConnectionId,
    id: Option<CommandId>,
    author: Author,
    proposal: Proposal,
    data_bytes_max: usize,
    bytes: usize,
}

/// The subject of a decision.
#[derive(Debug)]
pub(super) enum Proposal {
    /// A message.
    Message(Publication<'static>),
    /// A change of a message's content.
    Change(Change<'static>),
}

/// The messages and frames of a connection that wait.
#[derive(Debug, Default)]
struct PendingConnection {
    messages: usize,
    bytes: usize,
    /// Frames that arrived after its messages.
    frames: VecDeque<Frame>,
}

/// The time at which a command is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheduling {
    /// At once.
    Now,
    /// After the decisions on its connection's messages.
    Later,
    /// Never: it is rejected, because the queue is full.
    Never,
}

impl<S: Store> Room<S> {
    /// Returns when to process a command.
    pub(super) fn scheduling_of(&self, from: ConnectionId, line: &str) -> Scheduling {
        let Some(connection) = self.roster.get(from) else {
            return Scheduling::Now;
        };
        if self.rules.publish_fallback.is_none() {
            return Scheduling::Now;
        }
        let waiting = self.hook_queue.messages_of(from);
        let can = connection.subscription.can;
        let needs_decision = line.len() <= connection.subscription.message_bytes_max
            && Command::hooked_with(line).is_some_and(|needed| {
                can.has(needed) || needed == Capability::Edit && can.has(Capability::EditAny)
            });
        match needs_decision {
            false if waiting == 0 => Scheduling::Now,
            false => Scheduling::Later,
            true if !self.hook_queue.has_room_for(from, line.len()) => Scheduling::Never,
            true if waiting >= HOOK_MESSAGES_MAX => Scheduling::Later,
            true if self.hook_queue.messages >= PENDING_MESSAGES_MAX => Scheduling::Never,
            true => Scheduling::Now,
        }
    }

    /// Queues a message for the publish hook.
    pub(super) fn await_decision(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        author: Author,
        proposal: Proposal,
    ) {
        // Waiting messages would be lost.
        if self.is_restarting {
            return self.reject_unstored(from, id.as_ref());
        }
        let bytes_max = self
            .roster
            .get(from)
            .map(|one| one.subscription.message_bytes_max);
        self.hook_queue.add(PendingMessage {
            from,
            id,
            bytes: proposal.weight(&author.user),
            author,
            proposal,
            data_bytes_max: bytes_max.unwrap_or_default(),
        });
    }

    /// Sends the queued messages to the publish hook; returns false if there are none, or if a
    /// request is pending.
    pub(super) fn call_publish_hook(&mut self) -> bool {
        let Some(messages) = self.hook_queue.take_batch() else {
            return false;
        };
        let task = self.next_task.take();
        let proposed: Vec<_> = messages.iter().map(PendingMessage::proposed).collect();
        let request = HookRequest::new(self.name.clone(), &proposed);
        self.outputs
            .push_back(Output::CallPublishHook { task, request });
        self.hook_queue.start(task, messages);
        true
    }

    /// Applies the decision on the next message; returns false if there is none.
    pub(super) fn apply_next_decision(&mut self) -> bool {
        if self.is_restarting {
            self.hook_queue.abandon_all();
        }
        let Some((message, decision)) = self.hook_queue.next_decided() else {
            return false;
        };
        let (from, id) = (message.from, message.id);
        let (author, mut proposal) = (message.author, message.proposal);
        // A message with the same key may have been stored in the meantime.
        if let Some(stored) = self.find_key(&author.user, proposal.key()) {
            self.outbox.push_ack(from, id, stored);
            return true;
        }
        if self.is_restarting {
            self.reject_unstored(from, id.as_ref());
            return true;
        }
        let is_allowed = match decision {
            Some(Decision::Allow) => true,
            Some(Decision::Replace(data)) => {
                if !proposal.replace(data) {
                    self.refuse(from, id.as_ref(), ErrorCode::Internal, NO_DECISION);
                    return true;
                }
                true
            }
            Some(Decision::Refuse(reason)) => {
                let reason = reason.filter(|reason| !reason.is_empty());
                let message = reason.as_deref().unwrap_or(REFUSED);
                self.refuse(from, id.as_ref(), ErrorCode::Refused, message);
                return true;
            }
            None => self.rules.publish_fallback == Some(PublishFallback::Allow),
        };
        if is_allowed {
            match &proposal {
                Proposal::Message(publication) => {
                    self.draft_and_ack(from, id, &author, publication);
                }
                Proposal::Change(change) => {
                    let bytes_max = message.data_bytes_max;
                    self.change_as_decided(from, id, &author, change, bytes_max);
                }
            }
        } else {
            self.refuse(from, id.as_ref(), ErrorCode::Internal, NO_DECISION);
        }
        true
    }
}

impl PublishHookQueue {
    /// Returns true if nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
            && self.in_flight.is_none()
            && self.decided.is_empty()
            && self.connections.is_empty()
    }

    /// Records the decisions of a hook request. Ignores the result of any but the latest request.
    pub(super) fn decide(&mut self, task: TaskId, decisions: Option<Vec<Decision>>) {
        let Some((_, messages)) = self.in_flight.take_if(|(latest, _)| *latest == task) else {
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

    /// Queues a frame behind its connection's messages: before its other frames if `has_begun`,
    /// else after them.
    ///
    /// # Errors
    ///
    /// Returns the frame if the queue is full.
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

    /// Returns true if messages of the connection await decisions.
    pub(super) fn has_messages_of(&self, from: ConnectionId) -> bool {
        self.messages_of(from) > 0
    }

    /// Returns true if frames of the connection wait.
    pub(super) fn has_frames_of(&self, from: ConnectionId) -> bool {
        let connection = self.connections.get(&from);
        connection.is_some_and(|connection| !connection.frames.is_empty())
    }

    /// Removes and returns the next frame whose connection has no messages that await decisions.
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

    /// Drops the frames of a connection that has ended.
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

    /// Drops the messages of a connection that was closed and must not reconnect.
    pub(super) fn drop_messages_of(&mut self, from: ConnectionId) {
        self.drop_messages(|message| message.from == from);
    }

    /// Drops the messages of a user, including those of connections that have ended.
    pub(super) fn drop_messages_by(&mut self, user: &UserId) {
        self.drop_messages(|message| message.author.user == *user);
    }

    fn drop_messages(&mut self, is_dropped: impl Fn(&PendingMessage) -> bool) {
        let mut dropped = Vec::new();
        let mut keeps = |message: &PendingMessage| {
            let is_dropped = is_dropped(message);
            if is_dropped {
                dropped.push((message.from, message.bytes));
            }
            !is_dropped
        };
        self.queue.retain(&mut keeps);
        self.decided.retain(|(message, _)| keeps(message));
        let in_flight = self.in_flight.iter_mut().flat_map(|(_, messages)| messages);
        for message in in_flight {
            let _dropped = message.take_if(|message| !keeps(message));
        }
        for (from, bytes) in dropped {
            self.release(from, bytes);
        }
    }

    /// Returns the bytes of data of the next decided message; `None` if there is none.
    pub(super) fn next_len(&self) -> Option<usize> {
        let (message, decision) = self.decided.front()?;
        Some(match decision {
            Some(Decision::Replace(data)) => data.get().len(),
            _ => message.proposal.len(),
        })
    }

    fn messages_of(&self, from: ConnectionId) -> usize {
        self.connections
            .get(&from)
            .map_or(0, |connection| connection.messages)
    }

    /// Returns true if `more` bytes of a connection may wait. The first message or frame of a
    /// connection may have any length.
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

    /// Takes the messages of the next request; `None` if there are none, or if a request is pending.
    fn take_batch(&mut self) -> Option<Vec<PendingMessage>> {
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
        Some(self.queue.drain(..count).collect())
    }

    /// Records that a request with these messages is pending.
    fn start(&mut self, task: TaskId, messages: Vec<PendingMessage>) {
        self.in_flight = Some((task, messages.into_iter().map(Some).collect()));
    }

    /// Moves all messages to `decided`, without a decision.
    fn abandon_all(&mut self) {
        let in_flight = self
            .in_flight
            .take()
            .into_iter()
            .flat_map(|(_, messages)| messages);
        let messages = in_flight.flatten().chain(self.queue.drain(..));
        self.decided.extend(messages.map(|message| (message, None)));
    }

    fn next_decided(&mut self) -> Option<(PendingMessage, Option<Decision>)> {
        let (message, decision) = self.decided.pop_front()?;
        self.release(message.from, message.bytes);
        Some((message, decision))
    }

    /// Removes a message from the counts.
    fn release(&mut self, from: ConnectionId, bytes: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(connection) = self.connections.get_mut(&from) {
            connection.messages = connection.messages.saturating_sub(1);
            connection.bytes = connection.bytes.saturating_sub(bytes);
        }
        self.advance(from);
    }

    /// Marks a connection's frames as ready if none of its messages wait, and forgets the connection
    /// if it has no frames either.
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
    fn proposed(&self) -> ProposedMessage<'_> {
        let (of, action) = match &self.proposal {
            Proposal::Message(_) => (None, None),
            Proposal::Change(change) => (Some(change.of), Some(change.action.kind())),
        };
        ProposedMessage {
            user: &self.author.user,
            connection: self.from,
            of,
            action,
            event: self.proposal.event(),
            data: self.proposal.data(),
            bytes_max: self.data_bytes_max,
        }
    }
}

impl Proposal {
    fn key(&self) -> Option<&str> {
        match self {
            Self::Message(message) => message.key.as_deref(),
            Self::Change(change) => change.key.as_deref(),
        }
    }

    fn event(&self) -> Option<&str> {
        match self {
            Self::Message(message) => message.event.as_deref(),
            Self::Change(_) => None,
        }
    }

    /// Returns the content. That of an append is the text to append.
    fn data(&self) -> Cow<'_, RawValue> {
        match self {
            Self::Message(message) => Cow::Borrowed(&message.data),
            Self::Change(change) => match &change.action {
                ChangeAction::Edit(data) => Cow::Borrowed(data),
                ChangeAction::Append(text) => Cow::Owned(json::string(text)),
                ChangeAction::Delete { .. } => Cow::Borrowed(RawValue::NULL),
            },
        }
    }

    /// Replaces the content; returns false if it has the wrong type.
    fn replace(&mut self, data: Box<RawValue>) -> bool {
        match self {
            Self::Message(message) => message.data = Cow::Owned(data),
            Self::Change(change) => match &mut change.action {
                ChangeAction::Edit(edited) => *edited = Cow::Owned(data),
                ChangeAction::Append(text) => match serde_json::from_str(data.get()) {
                    Ok(replaced) => *text = Cow::Owned(replaced),
                    Err(_) => return false,
                },
                ChangeAction::Delete { .. } => {}
            },
        }
        true
    }

    /// Returns the bytes of the content.
    fn len(&self) -> usize {
        match self {
            Self::Message(message) => message.data.get().len(),
            Self::Change(change) => match &change.action {
                ChangeAction::Edit(data) => data.get().len(),
                ChangeAction::Append(text) => text.len(),
                ChangeAction::Delete { .. } => 0,
            },
        }
    }

    /// Returns the bytes that it counts for: an upper bound of its JSON, with every character escaped.
    fn weight(&self, user: &UserId) -> usize {
        let escaped = |text: &str| text.len().saturating_mul(6);
        let content = match self {
            Self::Change(Change {
                action: ChangeAction::Append(text),
                ..
            }) => escaped(text),
            _ => self.len(),
        };
        content
            .saturating_add(escaped(user.as_str()))
            .saturating_add(self.event().map_or(0, escaped))
            .saturating_add(PENDING_OVERHEAD_BYTES)
    }
}

fn frame_weight(frame: &Frame) -> usize {
    frame.len().saturating_add(PENDING_OVERHEAD_BYTES)
}
