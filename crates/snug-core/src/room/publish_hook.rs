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
    backend::publish_hook::{Candidate, Question, Verdict},
    config::PublishFallback,
    ids::{ConnectionId, RoomName, UserId},
    limits::{
        JUDGED_BYTES_MAX, JUDGED_MESSAGES_MAX, UNJUDGED_BYTES_MAX, UNJUDGED_MESSAGES_MAX,
        UNJUDGED_OVERHEAD_BYTES,
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
pub(super) struct Court {
    /// Messages that the back end was not asked about yet.
    queue: VecDeque<Waiting>,
    /// Those that it is asked about; `None` for one that came to nothing meanwhile.
    asked: Option<(Rc<Question>, Vec<Option<Waiting>>)>,
    /// Those that it was asked about, with what it has said.
    judged: VecDeque<(Waiting, Option<Verdict>)>,
    /// What waits of each connection.
    parties: BTreeMap<ConnectionId, Party>,
    /// Connections with frames that need not wait any longer, perhaps.
    ready: VecDeque<ConnectionId>,
    /// How many messages wait.
    messages: usize,
    /// How many bytes wait.
    bytes: usize,
}

/// A message that waits for its verdict.
#[derive(Debug)]
struct Waiting {
    from: ConnectionId,
    id: Option<CommandId>,
    author: Author,
    publication: Publication<'static>,
    data_bytes_max: usize,
    bytes: usize,
}

/// What waits of a connection.
#[derive(Debug, Default)]
struct Party {
    messages: usize,
    bytes: usize,
    /// What came behind its messages.
    frames: VecDeque<Frame>,
}

/// When a command is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// At once.
    Now,
    /// Once its connection's messages are judged.
    Later,
    /// Not at all, since too much waits.
    Never,
}

impl Room {
    /// When a command is done.
    pub(super) fn turn_of(&self, from: ConnectionId, line: &str) -> Turn {
        let Some(connection) = self.connections.get(&from) else {
            return Turn::Now;
        };
        if self.rules.judged.is_none() {
            return Turn::Now;
        }
        let waiting = self.court.messages_of(from);
        let will_be_judged = connection.can.has(Capability::Publish)
            && line.len() <= connection.message_bytes_max
            && Command::is_publish(line);
        match will_be_judged {
            false if waiting == 0 => Turn::Now,
            false => Turn::Later,
            true if !self.court.has_room_for(from, line.len()) => Turn::Never,
            true if waiting >= JUDGED_MESSAGES_MAX => Turn::Later,
            true if self.court.messages >= UNJUDGED_MESSAGES_MAX => Turn::Never,
            true => Turn::Now,
        }
    }

    /// Takes a message that is to be judged.
    pub(super) fn await_verdict(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        author: Author,
        publication: Publication<'_>,
    ) {
        // Nothing may wait in a room that its shell is about to restore.
        if self.storage_failed {
            return self.refuse_to_store(from, id.as_ref());
        }
        let bytes_max = self.connections.get(&from).map(|one| one.message_bytes_max);
        self.court.add(Waiting {
            from,
            id,
            bytes: weight(&author.user, &publication),
            author,
            publication: publication.into_owned(),
            data_bytes_max: bytes_max.unwrap_or_default(),
        });
    }

    /// Asks the back end about what waits; `false` where nothing does, or it is being asked already.
    pub(super) fn ask_for_verdicts(&mut self) -> bool {
        let question = self.court.ask(&self.name);
        let is_asked = question.is_some();
        self.outputs.extend(question.map(Output::Judge));
        is_asked
    }

    /// Does what the back end has said of the next message; `false` where there is none.
    pub(super) fn do_next_verdict(&mut self) -> bool {
        if self.storage_failed {
            self.court.adjourn();
        }
        let Some((waiting, verdict)) = self.court.next_judged() else {
            return false;
        };
        let (from, id) = (waiting.from, waiting.id);
        let (author, mut publication) = (waiting.author, waiting.publication);
        // It may have been stored meanwhile.
        if let Some(stored) = self.find_key(&author.user, &publication) {
            self.outbox.receipt(from, id, stored);
            return true;
        }
        if self.storage_failed {
            self.refuse_to_store(from, id.as_ref());
            return true;
        }
        let is_allowed = match verdict {
            Some(Verdict::Allow) => true,
            Some(Verdict::Change(data)) => {
                publication.data = Cow::Owned(data);
                true
            }
            Some(Verdict::Refuse(reason)) => {
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

impl Court {
    /// Takes what the back end has said. To any question but the last it comes too late.
    pub(super) fn judge(&mut self, question: &Rc<Question>, verdicts: Option<Vec<Verdict>>) {
        let is_the_last = |(asked, _): &mut (Rc<Question>, _)| Rc::ptr_eq(asked, question);
        let Some((_, messages)) = self.asked.take_if(is_the_last) else {
            return;
        };
        let verdicts = verdicts.filter(|verdicts| verdicts.len() == messages.len());
        let mut verdicts = verdicts.into_iter().flatten();
        for message in messages {
            let verdict = verdicts.next();
            self.judged
                .extend(message.map(|message| (message, verdict)));
        }
    }

    /// Lets a frame wait behind its connection's messages: before others that do, where it has begun.
    ///
    /// # Errors
    ///
    /// The frame, where there is no room for it.
    pub(super) fn hold(&mut self, frame: Frame, has_begun: bool) -> Result<(), Frame> {
        if !self.has_room_for(frame.from, frame.len()) {
            return Err(frame);
        }
        let bytes = frame_weight(&frame);
        self.bytes = self.bytes.saturating_add(bytes);
        let party = self.parties.entry(frame.from).or_default();
        party.bytes = party.bytes.saturating_add(bytes);
        if has_begun {
            party.frames.push_front(frame);
        } else {
            party.frames.push_back(frame);
        }
        Ok(())
    }

    /// Whether messages of the connection wait.
    pub(super) fn holds_messages_of(&self, from: ConnectionId) -> bool {
        self.messages_of(from) > 0
    }

    /// Whether frames of the connection wait.
    pub(super) fn holds_frames_of(&self, from: ConnectionId) -> bool {
        let party = self.parties.get(&from);
        party.is_some_and(|party| !party.frames.is_empty())
    }

    /// The next frame that need not wait any longer.
    pub(super) fn next_frame(&mut self) -> Option<Frame> {
        while let Some(from) = self.ready.pop_front() {
            let Some(party) = self.parties.get_mut(&from) else {
                continue;
            };
            if party.messages > 0 {
                continue;
            }
            let frame = party.frames.pop_front();
            let bytes = frame.as_ref().map_or(0, frame_weight);
            self.bytes = self.bytes.saturating_sub(bytes);
            party.bytes = party.bytes.saturating_sub(bytes);
            self.look_after(from);
            if frame.is_some() {
                return frame;
            }
        }
        None
    }

    /// Forgets the frames of a connection that is gone.
    pub(super) fn forget_frames_of(&mut self, from: ConnectionId) {
        if let Some(party) = self.parties.get_mut(&from) {
            let bytes = party
                .frames
                .drain(..)
                .map(|frame| frame_weight(&frame))
                .sum();
            self.bytes = self.bytes.saturating_sub(bytes);
            party.bytes = party.bytes.saturating_sub(bytes);
            self.look_after(from);
        }
    }

    /// Forgets messages of a connection that was told not to come back.
    pub(super) fn forget_messages_of(&mut self, from: ConnectionId) {
        self.forget_messages(|message| message.from == from);
    }

    /// Forgets messages of a user, whatever has become of their connections.
    pub(super) fn forget_messages_by(&mut self, user: &UserId) {
        self.forget_messages(|message| message.author.user == *user);
    }

    fn forget_messages(&mut self, is_meant: impl Fn(&Waiting) -> bool) {
        let mut forgotten = Vec::new();
        let mut keeps = |message: &Waiting| {
            let is_meant = is_meant(message);
            if is_meant {
                forgotten.push((message.from, message.bytes));
            }
            !is_meant
        };
        self.queue.retain(&mut keeps);
        self.judged.retain(|(message, _)| keeps(message));
        let asked = self.asked.iter_mut().flat_map(|(_, messages)| messages);
        for message in asked {
            let _dropped = message.take_if(|message| !keeps(message));
        }
        for (from, bytes) in forgotten {
            self.discount(from, bytes);
        }
    }

    /// How long what the next verdict is about is; `None` where there is none.
    pub(super) fn next_len(&self) -> Option<usize> {
        let (message, verdict) = self.judged.front()?;
        Some(match verdict {
            Some(Verdict::Change(data)) => data.get().len(),
            _ => message.publication.data.get().len(),
        })
    }

    fn messages_of(&self, from: ConnectionId) -> usize {
        self.parties.get(&from).map_or(0, |party| party.messages)
    }

    /// Whether so many more bytes of a connection may wait. Something may, however long it is.
    fn has_room_for(&self, from: ConnectionId, more: usize) -> bool {
        let more = more.saturating_add(UNJUDGED_OVERHEAD_BYTES);
        let own = self.parties.get(&from).map_or(0, |party| party.bytes);
        (own == 0 || own.saturating_add(more) <= JUDGED_BYTES_MAX)
            && self.bytes.saturating_add(more) <= UNJUDGED_BYTES_MAX
    }

    fn add(&mut self, message: Waiting) {
        let party = self.parties.entry(message.from).or_default();
        party.messages = party.messages.saturating_add(1);
        party.bytes = party.bytes.saturating_add(message.bytes);
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(message.bytes);
        self.queue.push_back(message);
    }

    fn ask(&mut self, room: &RoomName) -> Option<Rc<Question>> {
        if self.asked.is_some() || self.queue.is_empty() {
            return None;
        }
        let (mut count, mut bytes) = (0_usize, 0_usize);
        for message in self.queue.iter().take(JUDGED_MESSAGES_MAX) {
            bytes = bytes.saturating_add(message.bytes);
            if count > 0 && bytes > JUDGED_BYTES_MAX {
                break;
            }
            count = count.saturating_add(1);
        }
        let messages: Vec<_> = self.queue.drain(..count).collect();
        let candidates: Vec<_> = messages.iter().map(Waiting::candidate).collect();
        let question = Rc::new(Question::new(room.clone(), &candidates));
        let messages = messages.into_iter().map(Some).collect();
        self.asked = Some((question.clone(), messages));
        Some(question)
    }

    /// Waits for no verdict any more.
    fn adjourn(&mut self) {
        let asked = self.asked.take().into_iter().flat_map(|(_, asked)| asked);
        let messages = asked.flatten().chain(self.queue.drain(..));
        self.judged.extend(messages.map(|message| (message, None)));
    }

    fn next_judged(&mut self) -> Option<(Waiting, Option<Verdict>)> {
        let (message, verdict) = self.judged.pop_front()?;
        self.discount(message.from, message.bytes);
        Some((message, verdict))
    }

    /// A message waits no longer.
    fn discount(&mut self, from: ConnectionId, bytes: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some(party) = self.parties.get_mut(&from) {
            party.messages = party.messages.saturating_sub(1);
            party.bytes = party.bytes.saturating_sub(bytes);
        }
        self.look_after(from);
    }

    /// Lets the frames of a connection go on where none of its messages waits, and forgets it where
    /// nothing does.
    fn look_after(&mut self, from: ConnectionId) {
        let Some(party) = self.parties.get(&from) else {
            return;
        };
        if party.messages == 0 && party.frames.is_empty() {
            self.parties.remove(&from);
        } else if party.messages == 0 {
            self.ready.push_back(from);
        }
    }
}

impl Waiting {
    fn candidate(&self) -> Candidate<'_> {
        Candidate {
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
        .saturating_add(UNJUDGED_OVERHEAD_BYTES)
}

fn frame_weight(frame: &Frame) -> usize {
    frame.len().saturating_add(UNJUDGED_OVERHEAD_BYTES)
}
