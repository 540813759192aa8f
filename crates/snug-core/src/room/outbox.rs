//! The lines that wait for the next flush, in order, and the fan-out to their recipients.

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
    /// The messages among them, which are not stored yet.
    draft: Option<Draft>,
    /// API requests that wait for the draft to be stored, and the positions of their messages.
    api_requests: Vec<(ApiRequestId, Vec<Stored>)>,
    /// Sockets to close after their lines are sent.
    closes: BTreeMap<ConnectionId, Closed>,
    bytes: usize,
    /// Breaks between frames, in order, so that the lines before a break are not copied for each
    /// connection that one of the lines after it names.
    breaks: Vec<Break>,
    /// The bytes since the last break.
    unbroken_bytes: usize,
    /// The connections that do not get the same lines since the last break as the others.
    named: BTreeSet<ConnectionId>,
    /// Number of lines for all connections, rather than for named ones.
    shared_lines: usize,
}

/// Messages that the next flush stores as one row.
#[derive(Debug)]
pub(super) struct Draft {
    first: Offset,
    count: u64,
    pub(super) time: Timestamp,
    body: String,
    keys: Vec<StoredKey>,
}

/// The start of another frame.
#[derive(Debug)]
struct Break {
    /// The index of the first line after it.
    at: usize,
    /// The connections that lines before it name, since the break before.
    named: BTreeSet<ConnectionId>,
}

#[derive(Debug)]
struct Line {
    text: Text,
    to: Audience,
}

#[derive(Debug)]
enum Text {
    Line(Rc<str>),
    /// A message, as a part of the draft's body.
    Message(Range<usize>),
    /// The reply to a publish, which becomes an `ack` once the message is stored.
    Ack {
        id: Option<CommandId>,
        stored: Stored,
    },
}

/// The recipients of a line.
#[derive(Debug)]
pub(super) enum Audience {
    /// Connections that receive messages.
    Messages { except: Option<ConnectionId> },
    /// Connections that receive presence.
    Presence { except: Option<ConnectionId> },
    /// These connections.
    These(Vec<ConnectionId>),
}

#[derive(Debug)]
struct Closed {
    code: CloseCode,
    attachment: String,
    has_lines: bool,
}

/// Connections that get the same lines, except for lines that name a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Class {
    receives_messages: bool,
    receives_presence: bool,
    has_lines: bool,
}

impl Outbox {
    /// Returns true if nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.closes.is_empty()
    }

    /// Returns true if the outbox should be flushed before it grows, or grows by `more` bytes.
    pub(super) fn is_full(&self, more: usize) -> bool {
        let overflows = self.bytes > 0 && self.bytes.saturating_add(more) > FLUSH_BYTES;
        self.bytes >= FLUSH_BYTES
            || overflows
            || self.lines.len() >= FLUSH_LINES
            || self.needs_break(0)
            || !self.breaks.is_empty()
    }

    /// Returns true if the outbox must be flushed at once, because a socket is to be closed.
    pub(super) fn is_urgent(&self) -> bool {
        !self.closes.is_empty()
    }

    /// Returns the number of lines for all connections.
    pub(super) fn shared_lines(&self) -> usize {
        self.shared_lines
    }

    /// Returns true if a presence push waits.
    pub(super) fn has_presence(&self) -> bool {
        let is_presence = |line: &Line| matches!(line.to, Audience::Presence { .. });
        self.lines.iter().any(is_presence)
    }

    /// Returns the messages that wait to be stored.
    pub(super) fn draft(&self) -> Option<&Draft> {
        self.draft.as_ref()
    }

    /// Adds a line.
    pub(super) fn push_line(&mut self, to: Audience, text: Rc<str>) {
        let bytes = text.len();
        self.push(to, Text::Line(text));
        self.reserve(bytes);
    }

    fn push(&mut self, to: Audience, text: Text) {
        let is_shared = !matches!(to, Audience::These(_));
        self.shared_lines = self.shared_lines.saturating_add(is_shared.into());
        let line = Line { text, to };
        let is_new = |id: &&ConnectionId| !self.named.contains(id);
        if self.needs_break(line.named().iter().filter(is_new).count()) {
            self.breaks.push(Break {
                at: self.lines.len(),
                named: std::mem::take(&mut self.named),
            });
            self.unbroken_bytes = 0;
        }
        self.named.extend(line.named());
        self.lines.push(line);
    }

    /// Returns true if the lines since the last break are too long to be copied for each connection
    /// that they and the next line name.
    fn needs_break(&self, named: usize) -> bool {
        let copies = self.named.len().saturating_add(named);
        self.unbroken_bytes.saturating_mul(copies) >= FLUSH_COPIES_BYTES
    }

    /// Counts the bytes of a line that will be added later.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.unbroken_bytes = self.unbroken_bytes.saturating_add(bytes);
    }

    /// Adds the reply to a publish whose message is stored or in the draft.
    pub(super) fn push_ack(&mut self, to: ConnectionId, id: Option<CommandId>, stored: Stored) {
        let text = Text::Ack { id, stored };
        self.push(Audience::These(vec![to]), text);
    }

    /// Adds a message to the draft.
    pub(super) fn push_message(
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

    /// Holds an API request until the draft is stored.
    pub(super) fn respond_when_stored(&mut self, id: ApiRequestId, positions: Vec<Stored>) {
        self.api_requests.push((id, positions));
    }

    /// Takes the API requests that waited for the draft.
    pub(super) fn take_api_requests(&mut self) -> Vec<(ApiRequestId, Vec<Stored>)> {
        std::mem::take(&mut self.api_requests)
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

    /// Takes the draft, as the batch to store and its whole text.
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

    /// Drops the messages that could not be stored. Returns the sender and command id of each
    /// publish that failed.
    pub(super) fn drop_unstored(
        &mut self,
        newest: Offset,
    ) -> Vec<(ConnectionId, Option<CommandId>)> {
        let mut unstored = Vec::new();
        self.lines
            .retain_mut(|line| match (&mut line.text, &line.to) {
                (Text::Message(_), _) => {
                    self.shared_lines = self.shared_lines.saturating_sub(1);
                    false
                }
                (Text::Ack { id, stored }, Audience::These(to)) if stored.offset > newest => {
                    unstored.extend(to.iter().map(|to| (*to, id.take())));
                    false
                }
                _ => true,
            });
        self.breaks.clear();
        self.named = self.lines.iter().flat_map(Line::named).copied().collect();
        unstored
    }

    /// Turns all lines into outputs: each connection gets its lines in order, in as few frames as
    /// possible, and connections with the same lines share one text. Returns the number of frames.
    pub(super) fn deliver(
        self,
        body: Rc<str>,
        connections: &BTreeMap<ConnectionId, Connection>,
        outputs: &mut VecDeque<Output>,
    ) -> usize {
        let is_message = |line: &&Line| matches!(line.text, Text::Message(_));
        let messages = self.lines.iter().filter(is_message).count();
        let mut frames = 0_usize;
        let mut send = |to: &[ConnectionId], texts: Vec<Rc<str>>| {
            for text in texts {
                frames = frames.saturating_add(to.len());
                let to = to.to_vec();
                outputs.push_back(Output::Send { to, text });
            }
        };
        let (mut lines, mut named) = (self.lines, self.named);
        let mut parts = Vec::new();
        for Break { at, named: before } in self.breaks.into_iter().rev() {
            parts.push((lines.split_off(at), std::mem::replace(&mut named, before)));
        }
        parts.push((lines, named));
        for (lines, named) in parts.into_iter().rev() {
            let fan_out = FanOut::new(lines, named, body.clone(), messages);
            fan_out.send(connections, &self.closes, &mut send);
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
    /// Returns the offset after the last message.
    pub(super) fn next(&self) -> Offset {
        Offset(self.first.0.saturating_add(self.count))
    }

    /// Returns the offset of the last message.
    pub(super) fn last(&self) -> Offset {
        Offset(self.next().0.saturating_sub(1))
    }
}

/// The lines of a flush, or those between two breaks, with their texts.
struct FanOut {
    lines: Vec<(Text, Audience)>,
    body: Rc<str>,
    /// The number of messages in the body.
    messages: usize,
    /// Connections that do not get the same lines as the rest of their class.
    named: BTreeSet<ConnectionId>,
}

impl FanOut {
    fn new(
        lines: Vec<Line>,
        named: BTreeSet<ConnectionId>,
        body: Rc<str>,
        messages: usize,
    ) -> Self {
        let lines = lines.into_iter().filter_map(|Line { text, to }| {
            let text = match text {
                Text::Ack { id, stored } => {
                    let (id, outcome) = (&id?, Some(Outcome::Stored(stored)));
                    Text::Line(Push::Ack { id, outcome }.to_line())
                }
                other => other,
            };
            Some((text, to))
        });
        Self {
            lines: lines.collect(),
            body,
            messages,
            named,
        }
    }

    /// Sends each connection its lines.
    fn send(
        &self,
        connections: &BTreeMap<ConnectionId, Connection>,
        closes: &BTreeMap<ConnectionId, Closed>,
        mut send: impl FnMut(&[ConnectionId], Vec<Rc<str>>),
    ) {
        let mut classes: BTreeMap<Class, Vec<ConnectionId>> = BTreeMap::new();
        for (id, connection) in connections {
            if !self.named.contains(id) {
                classes.entry(Class::of(connection)).or_default().push(*id);
            }
        }
        for id in &self.named {
            let closed = closes.get(id).map(Closed::class);
            let Some(class) = connections.get(id).map(Class::of).or(closed) else {
                continue;
            };
            if self.prefers_own_frame(*id, class) {
                send(&[*id], self.frames(class, |to| to.names(*id)));
                classes.entry(class).or_default().push(*id);
            } else {
                send(&[*id], self.frames(class, |to| to.reaches(*id, class)));
            }
        }
        for (class, ids) in classes {
            send(&ids, self.frames(class, |to| to.is_for_all(class)));
        }
    }

    /// Returns the frames for the lines whose audience matches.
    fn frames(&self, class: Class, matches: impl Fn(&Audience) -> bool) -> Vec<Rc<str>> {
        let matching = self.lines.iter().filter(|(_, to)| matches(to));
        let texts: Vec<&Text> = matching.map(|(text, _)| text).collect();
        if !class.has_lines {
            return texts.into_iter().map(|text| self.single(text)).collect();
        }
        match texts.as_slice() {
            [] => Vec::new(),
            [text] => vec![self.single(text)],
            _ if self.is_body(&texts) => vec![self.body.clone()],
            _ => {
                let lines: Vec<&str> = texts.into_iter().map(|text| self.text(text)).collect();
                vec![lines.join("\n").into()]
            }
        }
    }

    /// Returns true if these are exactly the messages, so that the stored text is the frame.
    fn is_body(&self, texts: &[&Text]) -> bool {
        texts.len() == self.messages && texts.iter().all(|text| matches!(text, Text::Message(_)))
    }

    fn single(&self, text: &Text) -> Rc<str> {
        match text {
            Text::Line(text) => text.clone(),
            text if self.is_body(&[text]) => self.body.clone(),
            text => self.text(text).into(),
        }
    }

    fn text<'a>(&'a self, text: &'a Text) -> &'a str {
        match text {
            Text::Line(text) => text,
            Text::Message(range) => self.body.get(range.clone()).unwrap_or_default(),
            Text::Ack { .. } => "",
        }
    }

    /// Returns true if a connection's own lines, which all precede the shared ones, should be sent
    /// as a separate frame: merging them would copy many bytes of shared lines.
    fn prefers_own_frame(&self, id: ConnectionId, class: Class) -> bool {
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

impl Line {
    /// Returns the connections that it names.
    fn named(&self) -> &[ConnectionId] {
        match &self.text {
            // This line is never sent.
            Text::Ack { id: None, .. } => &[],
            _ => self.to.named(),
        }
    }
}

impl Audience {
    /// Returns the connections that it names.
    fn named(&self) -> &[ConnectionId] {
        match self {
            Self::These(ids) => ids,
            Self::Messages { except } | Self::Presence { except } => except.as_slice(),
        }
    }

    /// Returns true if it contains the whole class, except one connection at most.
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
    /// Returns the class of a closed socket, which gets only lines that name it.
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
