//! The queue of the publish hook: messages that await decisions, the frames behind them, and the limits of both.

use std::collections::{BTreeMap, VecDeque};

use super::Proposal;
use crate::{
    backend::publish_hook::{Decision, ProposedMessage},
    ids::{ConnectionId, TaskId, UserId},
    limits::{HOOK_BYTES_MAX, HOOK_MESSAGES_MAX, PENDING_BYTES_MAX, PENDING_OVERHEAD_BYTES},
    protocol::command::CommandId,
    room::{Frame, publish::Author},
};

/// Messages that await decisions, and the frames behind them.
#[derive(Debug, Default)]
pub(in crate::room) struct PublishHookQueue {
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
    pub(super) messages: usize,
    /// Bytes of all messages and frames that wait.
    bytes: usize,
}

/// A message that awaits its decision.
#[derive(Debug)]
pub(super) struct PendingMessage {
    pub(super) from: ConnectionId,
    pub(super) id: Option<CommandId>,
    pub(super) author: Author,
    pub(super) proposal: Proposal,
    pub(super) data_bytes_max: usize,
    pub(super) bytes: usize,
}

/// The messages and frames of a connection that wait.
#[derive(Debug, Default)]
struct PendingConnection {
    messages: usize,
    bytes: usize,
    /// Frames that arrived after its messages.
    frames: VecDeque<Frame>,
}

impl PublishHookQueue {
    /// Returns true if nothing waits.
    pub(in crate::room) fn is_empty(&self) -> bool {
        self.queue.is_empty()
            && self.in_flight.is_none()
            && self.decided.is_empty()
            && self.connections.is_empty()
    }

    /// Records the decisions of a hook request. Ignores the result of any but the latest request.
    pub(in crate::room) fn decide(&mut self, task: TaskId, decisions: Option<Vec<Decision>>) {
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
    pub(in crate::room) fn queue_frame(
        &mut self,
        frame: Frame,
        has_begun: bool,
    ) -> Result<(), Frame> {
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
    pub(in crate::room) fn has_messages_of(&self, from: ConnectionId) -> bool {
        self.messages_of(from) > 0
    }

    /// Returns true if frames of the connection wait.
    pub(in crate::room) fn has_frames_of(&self, from: ConnectionId) -> bool {
        let connection = self.connections.get(&from);
        connection.is_some_and(|connection| !connection.frames.is_empty())
    }

    /// Removes and returns the next frame from a connection that has no undecided messages.
    pub(in crate::room) fn next_frame(&mut self) -> Option<Frame> {
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
    pub(in crate::room) fn drop_frames_of(&mut self, from: ConnectionId) {
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
    pub(in crate::room) fn drop_messages_of(&mut self, from: ConnectionId) {
        self.drop_messages(|message| message.from == from);
    }

    /// Drops the messages of a user, including those of connections that have ended.
    pub(in crate::room) fn drop_messages_by(&mut self, user: &UserId) {
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

    /// Returns the size of the next decided message's data in bytes; `None` if there is no such message.
    pub(in crate::room) fn next_len(&self) -> Option<usize> {
        let (message, decision) = self.decided.front()?;
        Some(match decision {
            Some(Decision::Replace(data)) => data.get().len(),
            _ => message.proposal.len(),
        })
    }

    pub(super) fn messages_of(&self, from: ConnectionId) -> usize {
        self.connections
            .get(&from)
            .map_or(0, |connection| connection.messages)
    }

    /// Returns true if `more` bytes of a connection may wait. The first message or frame of a
    /// connection may have any length.
    pub(super) fn has_room_for(&self, from: ConnectionId, more: usize) -> bool {
        let more = more.saturating_add(PENDING_OVERHEAD_BYTES);
        let own = self
            .connections
            .get(&from)
            .map_or(0, |connection| connection.bytes);
        (own == 0 || own.saturating_add(more) <= HOOK_BYTES_MAX)
            && self.bytes.saturating_add(more) <= PENDING_BYTES_MAX
    }

    pub(super) fn add(&mut self, message: PendingMessage) {
        let connection = self.connections.entry(message.from).or_default();
        connection.messages = connection.messages.saturating_add(1);
        connection.bytes = connection.bytes.saturating_add(message.bytes);
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(message.bytes);
        self.queue.push_back(message);
    }

    /// Takes the messages of the next request; `None` if there are none, or if a request is pending.
    pub(super) fn take_batch(&mut self) -> Option<Vec<PendingMessage>> {
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
    pub(super) fn start(&mut self, task: TaskId, messages: Vec<PendingMessage>) {
        self.in_flight = Some((task, messages.into_iter().map(Some).collect()));
    }

    /// Moves all messages to `decided`, without a decision.
    pub(super) fn abandon_all(&mut self) {
        let in_flight = self
            .in_flight
            .take()
            .into_iter()
            .flat_map(|(_, messages)| messages);
        let messages = in_flight.flatten().chain(self.queue.drain(..));
        self.decided.extend(messages.map(|message| (message, None)));
    }

    pub(super) fn next_decided(&mut self) -> Option<(PendingMessage, Option<Decision>)> {
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

    /// Moves a connection on. If none of its messages wait, its frames are ready to be processed. If it has no frames
    /// either, nothing has to be remembered about it.
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
    pub(super) fn proposed(&self) -> ProposedMessage<'_> {
        let (of, action) = match &self.proposal {
            Proposal::Message(_) => (None, None),
            Proposal::Change(change) => (Some(change.of), Some(change.action.kind())),
        };
        let (re, mentions) = match &self.proposal {
            Proposal::Message(message) => (message.re, &*message.mentions),
            Proposal::Change(_) => (None, &[][..]),
        };
        ProposedMessage {
            user: &self.author.user,
            connection: self.from,
            of,
            action,
            re,
            mentions,
            event: self.proposal.event(),
            data: self.proposal.data(),
            bytes_max: self.data_bytes_max,
        }
    }
}

fn frame_weight(frame: &Frame) -> usize {
    frame.len().saturating_add(PENDING_OVERHEAD_BYTES)
}
