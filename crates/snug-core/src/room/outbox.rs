//! The lines that wait for the next flush, in order.

mod delivery;
mod draft;
mod pending;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use crate::{
    backend::api::ApiRequestId,
    fan_out::{Audience, Text},
    ids::{ConnectionId, LinkId, Offset, UserId},
    limits::{FLUSH_BYTES, FLUSH_COPIES_BYTES, FLUSH_LINES},
    protocol::{command::CommandId, error::CloseCode, push::Stored, wire::Wire},
    reply::Reply,
    room::reading::Said,
    storage::idempotency::StoredKey,
};

pub(super) use self::{
    draft::{Draft, Taken, Texts},
    pending::{PendingAction, PendingChange, PendingEntry, PendingReactions, PendingReplies},
};

/// The lines that the next flush sends.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    lines: Vec<Line>,
    /// The messages and changes among them, which are not stored yet.
    draft: Option<Draft>,
    /// API requests that wait for the draft to be stored, and their responses.
    api_requests: Vec<(ApiRequestId, Reply)>,
    /// Sockets to close after their lines are sent.
    closes: BTreeMap<ConnectionId, Closed>,
    /// The links of connections that are no longer members, for lines that name them.
    left: BTreeMap<ConnectionId, LinkId>,
    bytes: usize,
    /// Breaks between frames, in order, so that the lines before a break are not copied for each
    /// connection that one of the lines after it names.
    breaks: Vec<Break>,
    /// The bytes since the last break.
    unbroken_bytes: usize,
    /// The connections that do not get the same lines since the last break as the others.
    named: BTreeSet<ConnectionId>,
    /// Number of lines for all connections, rather than for named ones, and of the texts and reactions that became
    /// a part of an earlier one.
    shared_lines: usize,
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
    content: Content,
    to: Audience,
}

#[derive(Debug)]
enum Content {
    Text(Text),
    /// An entry about a message, as its index in the draft. Its text is known once the draft is taken.
    Entry(usize),
    /// The reply to a publish, which becomes an `ack` once the message is stored.
    Ack {
        id: Option<CommandId>,
        stored: Stored,
    },
    /// A message as its author's connections receive it, once it is stored.
    OwnCopy(Rc<str>),
    /// The end of a subscription, for its gateway.
    Left,
}

#[derive(Debug)]
struct Closed {
    code: CloseCode,
    attachment: String,
    wire: Wire,
}

impl Outbox {
    /// Returns true if nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.closes.is_empty()
    }

    /// Returns true if a line names the connection.
    pub(super) fn names(&self, id: ConnectionId) -> bool {
        self.left.contains_key(&id) || self.lines.iter().any(|line| line.named().contains(&id))
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

    /// Returns true if the outbox must be flushed at once, because a connection has ended.
    pub(super) fn is_urgent(&self) -> bool {
        !self.closes.is_empty() || !self.left.is_empty()
    }

    /// Returns the number of lines for all connections, with those that became a part of an earlier one.
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
        self.push(to, Content::Text(Text::Line(text)));
        self.reserve(bytes);
    }

    fn push(&mut self, to: Audience, content: Content) {
        let line = Line { content, to };
        self.shared_lines = self.shared_lines.saturating_add(line.is_shared().into());
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
        let ack = Content::Ack { id, stored };
        self.push(Audience::one(to), ack);
    }

    /// Adds a message to the draft. `own` is the copy of the author's connections, if it differs.
    pub(super) fn push_message(
        &mut self,
        at: Stored,
        line: &str,
        except: Option<ConnectionId>,
        key: Option<StoredKey>,
        own: Option<(Vec<ConnectionId>, Rc<str>)>,
    ) {
        let draft = self.draft.get_or_insert_with(|| Draft::at(at));
        let message = Text::Message(draft.push_message(at, line, key));
        let with_own_copy = own.iter().flat_map(|(to, _)| to).copied();
        let except = except.into_iter().chain(with_own_copy).collect();
        self.push(Audience::Messages { except }, Content::Text(message));
        self.reserve(line.len());
        if let Some((to, text)) = own {
            let bytes = text.len();
            self.push(Audience::these(to), Content::OwnCopy(text));
            self.reserve(bytes);
        }
    }

    /// Records the last message of the draft for those who have not read it.
    pub(super) fn push_said(&mut self, said: Said) {
        if let Some(draft) = &mut self.draft {
            draft.push_said(said);
        }
    }

    /// Adds the event about a mention in the last message of the draft.
    pub(super) fn push_mention(&mut self, line: String) {
        self.reserve(line.len());
        if let Some(draft) = &mut self.draft {
            draft.push_mention(line);
        }
    }

    /// Adds an entry about a message to the draft.
    pub(super) fn push_entry(
        &mut self,
        at: Stored,
        entry: PendingEntry,
        except: Option<ConnectionId>,
        key: Option<StoredKey>,
    ) {
        let bytes = entry.sent_bytes();
        let draft = self.draft.get_or_insert_with(|| Draft::at(at));
        let index = draft.push_entry(entry, key);
        let except = except.into_iter().collect();
        self.push(Audience::Messages { except }, Content::Entry(index));
        self.reserve(bytes);
    }

    /// Replaces the reactions to a message in the draft. Counts the `bytes` by which they grow.
    pub(super) fn replace_reactions(&mut self, now: PendingReactions, bytes: usize) {
        if let Some(draft) = &mut self.draft {
            draft.replace_reactions(now);
        }
        self.shared_lines = self.shared_lines.saturating_add(1);
        self.reserve(bytes);
    }

    /// Records that an author has published a message: see [`Draft::close_changes_of`].
    pub(super) fn close_changes_of(&mut self, user: &UserId, connection: Option<ConnectionId>) {
        if let Some(draft) = &mut self.draft {
            draft.close_changes_of(user, connection);
        }
    }

    /// Appends text with the last change of a message in the draft, which is an append already.
    pub(super) fn append_more(&mut self, of: Offset, text: &str, key: Option<StoredKey>) {
        if let Some(draft) = &mut self.draft {
            draft.append_more(of, text, key);
        }
        // It would be a line of its own, so the room is as busy as with messages.
        self.shared_lines = self.shared_lines.saturating_add(1);
        self.reserve(text.len());
    }

    /// Returns the replies to a message that the draft counts.
    pub(super) fn replies_to(&mut self, message: Offset) -> Option<&mut PendingReplies> {
        self.draft.as_mut()?.replies_to(message)
    }

    /// Holds an API request until the draft is stored.
    pub(super) fn respond_when_stored(&mut self, id: ApiRequestId, reply: Reply) {
        self.api_requests.push((id, reply));
    }

    /// Takes the API requests that waited for the draft.
    pub(super) fn take_api_requests(&mut self) -> Vec<(ApiRequestId, Reply)> {
        std::mem::take(&mut self.api_requests)
    }

    /// Closes a socket once its lines are sent.
    pub(super) fn close(
        &mut self,
        id: ConnectionId,
        code: CloseCode,
        attachment: String,
        wire: Wire,
    ) {
        let closed = Closed {
            code,
            attachment,
            wire,
        };
        self.closes.insert(id, closed);
    }

    /// Tells a connection's gateway that its subscription has ended.
    pub(super) fn push_left(&mut self, id: ConnectionId, link: LinkId) {
        self.push(Audience::one(id), Content::Left);
        self.left.insert(id, link);
    }

    /// Takes the draft: what to store, and the texts to send.
    pub(super) fn take_draft(&mut self, bytes_before: u64) -> Option<Taken> {
        self.draft.take().map(|draft| draft.take(bytes_before))
    }

    /// Drops the messages that could not be stored. Returns the sender and command id of each
    /// publish that failed.
    pub(super) fn drop_unstored(
        &mut self,
        newest: Offset,
    ) -> Vec<(ConnectionId, Option<CommandId>)> {
        let mut unstored = Vec::new();
        self.lines
            .retain_mut(|line| match (&mut line.content, &line.to) {
                (Content::Text(Text::Message(_)) | Content::Entry(_) | Content::OwnCopy(_), _) => {
                    false
                }
                (Content::Ack { id, stored }, Audience::These(to)) if stored.offset > newest => {
                    unstored.extend(to.iter().map(|to| (*to, id.take())));
                    false
                }
                _ => true,
            });
        self.breaks.clear();
        self.shared_lines = self.lines.iter().filter(|line| line.is_shared()).count();
        self.named = self.lines.iter().flat_map(Line::named).copied().collect();
        unstored
    }
}

impl Line {
    /// Returns true if it is for all connections, rather than for named ones.
    fn is_shared(&self) -> bool {
        !matches!(self.to, Audience::These(_))
    }

    /// Returns the connections that it names.
    fn named(&self) -> &[ConnectionId] {
        match &self.content {
            // This line is never sent.
            Content::Ack { id: None, .. } => &[],
            _ => self.to.named(),
        }
    }
}

#[cfg(test)]
mod tests;
