//! What waits to be sent, in order, and who gets which of it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Range,
    rc::Rc,
};

use crate::{
    backend::api::ApiRequestId,
    ids::{ConnectionId, Offset, Timestamp},
    limits::{FLUSH_BYTES, FLUSH_COPIES_BYTES, FLUSH_LINES, MERGE_BYTES_MAX},
    protocol::{
        command::CommandId,
        error::CloseCode,
        push::{Outcome, Push, Stored},
    },
    room::{connection::Connection, io::Output},
    storage::{batch::Batch, idempotency::StoredKey},
};

/// The lines that the next flush sends.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    lines: Vec<Line>,
    /// The messages among them, not stored yet.
    draft: Option<Draft>,
    /// Calls that wait for the draft to be stored, and the places of their messages.
    calls: Vec<(ApiRequestId, Vec<Stored>)>,
    /// Sockets to be closed after their lines.
    closes: BTreeMap<ConnectionId, Closed>,
    bytes: usize,
    /// How many of the lines are for everybody.
    shared_lines: usize,
}

/// Messages on their way to storage.
#[derive(Debug)]
pub(super) struct Draft {
    first: Offset,
    count: u64,
    pub(super) time: Timestamp,
    body: String,
    keys: Vec<StoredKey>,
}

#[derive(Debug)]
struct Line {
    text: Text,
    to: Audience,
}

#[derive(Debug)]
enum Text {
    Said(Rc<str>),
    /// A part of the draft's body.
    Message(Range<usize>),
    /// The answer to a publish, which is an ack once the message is stored.
    Receipt {
        id: Option<CommandId>,
        stored: Stored,
    },
}

/// Who gets a line.
#[derive(Debug)]
pub(super) enum Audience {
    /// Who hears messages.
    Messages { except: Option<ConnectionId> },
    /// Who watches presence.
    Presence { except: Option<ConnectionId> },
    /// Just these.
    These(Vec<ConnectionId>),
}

#[derive(Debug)]
struct Closed {
    code: CloseCode,
    attachment: String,
    has_lines: bool,
}

/// Connections that get the same lines, but for those lines that name one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    receives_messages: bool,
    receives_presence: bool,
    has_lines: bool,
}

impl Outbox {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.closes.is_empty()
    }

    /// Whether it should not grow any more, or not by so many bytes.
    pub(super) fn is_full(&self, more: usize) -> bool {
        let own_lines = self.lines.len().saturating_sub(self.shared_lines);
        let overflows = self.bytes > 0 && self.bytes.saturating_add(more) > FLUSH_BYTES;
        self.bytes >= FLUSH_BYTES
            || overflows
            || self.lines.len() >= FLUSH_LINES
            || self.bytes.saturating_mul(own_lines) >= FLUSH_COPIES_BYTES
    }

    /// Whether it should not wait any longer: somebody is to be closed.
    pub(super) fn is_urgent(&self) -> bool {
        !self.closes.is_empty()
    }

    /// How many lines are for everybody.
    pub(super) fn shared_lines(&self) -> usize {
        self.shared_lines
    }

    /// Whether presence is told.
    pub(super) fn has_presence(&self) -> bool {
        let tells = |line: &Line| matches!(line.to, Audience::Presence { .. });
        self.lines.iter().any(tells)
    }

    /// The messages that wait to be stored.
    pub(super) fn draft(&self) -> Option<&Draft> {
        self.draft.as_ref()
    }

    /// Adds a line.
    pub(super) fn push_line(&mut self, to: Audience, text: Rc<str>) {
        self.reserve(text.len());
        self.push(to, Text::Said(text));
    }

    fn push(&mut self, to: Audience, text: Text) {
        let is_shared = !matches!(to, Audience::These(_));
        self.shared_lines = self.shared_lines.saturating_add(is_shared.into());
        self.lines.push(Line { text, to });
    }

    /// Counts bytes of a line that is yet to be written.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Adds the answer to a publish whose message is stored, or in the draft.
    pub(super) fn push_ack(&mut self, to: ConnectionId, id: Option<CommandId>, stored: Stored) {
        let text = Text::Receipt { id, stored };
        self.push(Audience::These(vec![to]), text);
    }

    /// Adds a message to the draft.
    pub(super) fn message(
        &mut self,
        at: Stored,
        line: &str,
        except: Option<ConnectionId>,
        key: Option<StoredKey>,
    ) {
        let draft = self.draft.get_or_insert_with(|| Draft {
            first: at.offset,
            count: 0,
            time: at.time,
            body: String::new(),
            keys: Vec::new(),
        });
        if draft.count > 0 {
            draft.body.push('\n');
        }
        let start = draft.body.len();
        draft.body.push_str(line);
        draft.count = draft.count.saturating_add(1);
        draft.time = at.time;
        draft.keys.extend(key);
        let text = Text::Message(start..draft.body.len());
        self.push(Audience::Messages { except }, text);
        self.reserve(line.len());
    }

    /// Lets a call wait until the draft is stored.
    pub(super) fn respond_when_stored(&mut self, id: ApiRequestId, places: Vec<Stored>) {
        self.calls.push((id, places));
    }

    /// The calls that waited for what was the draft.
    pub(super) fn take_calls(&mut self) -> Vec<(ApiRequestId, Vec<Stored>)> {
        std::mem::take(&mut self.calls)
    }

    /// Closes a socket once its lines are sent.
    pub(super) fn close(
        &mut self,
        id: ConnectionId,
        code: CloseCode,
        attachment: String,
        has_lines: bool,
    ) {
        let closed = Closed {
            code,
            attachment,
            has_lines,
        };
        self.closes.insert(id, closed);
    }

    /// The draft as the batch to store, and all of its text.
    pub(super) fn take_draft(&mut self, bytes_before: u64) -> Option<(Batch, Rc<str>)> {
        let draft = self.draft.take()?;
        let body: Rc<str> = draft.body.into();
        let batch = Batch {
            first: draft.first,
            count: draft.count,
            time: draft.time,
            bytes_before,
            json: body.clone(),
            keys: draft.keys,
        };
        Some((batch, body))
    }

    /// Drops the messages, which could not be stored. Whose publish came to nothing, and the id of
    /// the command.
    pub(super) fn drop_unstored(
        &mut self,
        newest: Offset,
    ) -> Vec<(ConnectionId, Option<CommandId>)> {
        let mut unstored = Vec::new();
        self.lines
            .retain_mut(|line| match (&mut line.text, &line.to) {
                (Text::Message(_), _) => false,
                (Text::Receipt { id, stored }, Audience::These(to)) if stored.offset > newest => {
                    unstored.extend(to.iter().map(|to| (*to, id.take())));
                    false
                }
                _ => true,
            });
        unstored
    }

    /// Turns everything into outputs: to each connection its lines, in order, in as few frames as
    /// can be, and one text for all who get the same. How many frames that makes.
    pub(super) fn deliver(
        self,
        body: Rc<str>,
        connections: &BTreeMap<ConnectionId, Connection>,
        outputs: &mut VecDeque<Output>,
    ) -> usize {
        let delivery = Delivery::new(self.lines, body);
        let mut frames = 0_usize;
        let mut send = |to: &[ConnectionId], texts: Vec<Rc<str>>| {
            for text in texts {
                frames = frames.saturating_add(to.len());
                let to = to.to_vec();
                outputs.push_back(Output::Send { to, text });
            }
        };
        let mut classes: BTreeMap<Class, Vec<ConnectionId>> = BTreeMap::new();
        for (id, connection) in connections {
            if !delivery.named.contains(id) {
                classes.entry(Class::of(connection)).or_default().push(*id);
            }
        }
        for id in &delivery.named {
            let closed = self.closes.get(id).map(Closed::class);
            let Some(class) = connections.get(id).map(Class::of).or(closed) else {
                continue;
            };
            if delivery.is_better_apart(*id, class) {
                send(&[*id], delivery.frames(class, |to| to.names(*id)));
                classes.entry(class).or_default().push(*id);
            } else {
                send(&[*id], delivery.frames(class, |to| to.reaches(*id, class)));
            }
        }
        for (class, ids) in classes {
            send(&ids, delivery.frames(class, |to| to.is_for_all(class)));
        }
        for (connection, closed) in self.closes {
            outputs.push_back(Output::Close {
                connection,
                code: closed.code,
                attachment: closed.attachment,
            });
        }
        frames
    }
}

impl Draft {
    /// The place after the last one's.
    pub(super) fn next(&self) -> Offset {
        Offset(self.first.0.saturating_add(self.count))
    }
}

/// A flush's lines, all of which have their text.
struct Delivery {
    lines: Vec<(Text, Audience)>,
    body: Rc<str>,
    messages: usize,
    /// Connections that do not get what all of their class get.
    named: BTreeSet<ConnectionId>,
}

impl Delivery {
    fn new(lines: Vec<Line>, body: Rc<str>) -> Self {
        let mut named = BTreeSet::new();
        let mut messages = 0_usize;
        let lines = lines.into_iter().filter_map(|Line { text, to }| {
            let text = match text {
                Text::Receipt { id, stored } => {
                    let (id, outcome) = (&id?, Some(Outcome::Stored(stored)));
                    Text::Said(Push::Ack { id, outcome }.to_line())
                }
                other => other,
            };
            match &to {
                Audience::These(ids) => named.extend(ids),
                Audience::Messages { except } | Audience::Presence { except } => {
                    named.extend(except);
                }
            }
            messages = messages.saturating_add(usize::from(matches!(text, Text::Message(_))));
            Some((text, to))
        });
        Self {
            lines: lines.collect(),
            body,
            messages,
            named,
        }
    }

    /// The frames that hold those lines whose audience is one of these.
    fn frames(&self, class: Class, is_wanted: impl Fn(&Audience) -> bool) -> Vec<Rc<str>> {
        let wanted = self.lines.iter().filter(|(_, to)| is_wanted(to));
        let texts: Vec<&Text> = wanted.map(|(text, _)| text).collect();
        if !class.has_lines {
            return texts.into_iter().map(|text| self.alone(text)).collect();
        }
        match texts.as_slice() {
            [] => Vec::new(),
            [text] => vec![self.alone(text)],
            _ if self.is_body(&texts) => vec![self.body.clone()],
            _ => {
                let lines: Vec<&str> = texts.into_iter().map(|text| self.text(text)).collect();
                vec![lines.join("\n").into()]
            }
        }
    }

    /// Whether these are just the messages, so that the stored text is the frame.
    fn is_body(&self, texts: &[&Text]) -> bool {
        texts.len() == self.messages && texts.iter().all(|text| matches!(text, Text::Message(_)))
    }

    fn alone(&self, text: &Text) -> Rc<str> {
        match text {
            Text::Said(text) => text.clone(),
            text if self.is_body(&[text]) => self.body.clone(),
            text => self.text(text).into(),
        }
    }

    fn text<'a>(&'a self, text: &'a Text) -> &'a str {
        match text {
            Text::Said(text) => text,
            Text::Message(range) => self.body.get(range.clone()).unwrap_or_default(),
            Text::Receipt { .. } => "",
        }
    }

    /// Whether its own lines, which all come before what is said to everybody, are better sent in
    /// a frame of their own: to add them, all the rest would have to be copied.
    fn is_better_apart(&self, id: ConnectionId, class: Class) -> bool {
        let mut bytes = 0_usize;
        for (text, to) in &self.lines {
            if to.is_for_all(class) {
                if !to.reaches(id, class) {
                    return false;
                }
                bytes = bytes.saturating_add(self.text(text).len());
            } else if bytes > 0 && to.names(id) {
                return false;
            }
        }
        class.has_lines && bytes > MERGE_BYTES_MAX
    }
}

impl Audience {
    /// Whether it is everybody of the class, but for one at most.
    fn is_for_all(&self, class: Class) -> bool {
        match self {
            Self::Messages { .. } => class.receives_messages,
            Self::Presence { .. } => class.receives_presence,
            Self::These(_) => false,
        }
    }

    fn names(&self, id: ConnectionId) -> bool {
        matches!(self, Self::These(ids) if ids.contains(&id))
    }

    fn reaches(&self, id: ConnectionId, class: Class) -> bool {
        match self {
            Self::Messages { except } | Self::Presence { except } => {
                self.is_for_all(class) && *except != Some(id)
            }
            Self::These(_) => self.names(id),
        }
    }
}

impl Class {
    fn of(connection: &Connection) -> Self {
        Self {
            receives_messages: connection.receives_messages(),
            receives_presence: connection.receives_presence(),
            has_lines: connection.lines,
        }
    }
}

impl Closed {
    /// One that hears no more than what is said to it alone.
    fn class(&self) -> Class {
        Class {
            receives_messages: false,
            receives_presence: false,
            has_lines: self.has_lines,
        }
    }
}

#[cfg(test)]
mod tests;
