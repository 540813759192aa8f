//! The path of a message from a `publish` command or API request until it is stored and sent.

use std::{borrow::Cow, collections::BTreeSet, rc::Rc};

use serde_json::value::RawValue;

use super::{
    ReplyTo, Room,
    outbox::{Draft, Taken, Texts},
    publish_hook::Proposal,
    reading::Said,
    threads::Root,
};
use crate::{
    backend::{api::ApiRequestId, webhook::mention_line},
    ids::{ConnectionId, Offset, Timestamp, UserId},
    protocol::{
        command::CommandId,
        error::ErrorCode,
        json,
        push::{Message, Push, Stored},
        refusal::Refusal,
    },
    reply::{Failure, Reply},
    room::{connection::Connection, io::Output},
    storage::{
        idempotency::{KeyFloor, StoredKey},
        store::{EventWrite, StorageFault, Store},
    },
};

/// A message to publish.
#[derive(Debug)]
pub(super) struct Publication<'a> {
    pub(super) data: Cow<'a, RawValue>,
    pub(super) event: Option<Cow<'a, str>>,
    pub(super) key: Option<Cow<'a, str>>,
    /// The message to which it is a reply.
    pub(super) re: Option<Offset>,
    pub(super) mentions: Vec<UserId>,
    /// The time that the message gets; the time of its command or request if absent.
    pub(super) time: Option<Timestamp>,
}

/// The author of a message.
#[derive(Debug)]
pub(super) struct Author {
    pub(super) user: UserId,
    pub(super) connection: Option<ConnectionId>,
    /// The public profile.
    pub(super) info: Option<Rc<RawValue>>,
    /// A connection that does not receive the message: the sender, if it joined without echo.
    pub(super) except: Option<ConnectionId>,
}

impl Author {
    pub(super) fn of(connection: &Connection) -> Self {
        let id = connection.session.id;
        Self {
            user: connection.subscription.user.clone(),
            connection: Some(id),
            info: connection.subscription.info.clone(),
            except: (!connection.subscription.echo).then_some(id),
        }
    }

    /// Creates the author of what the back end publishes.
    pub(super) fn without_connection(user: UserId) -> Self {
        Self {
            user,
            connection: None,
            info: None,
            except: None,
        }
    }
}

impl Publication<'_> {
    pub(super) fn into_owned(self) -> Publication<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Publication {
            data: Cow::Owned(self.data.into_owned()),
            event: self.event.map(owned),
            key: self.key.map(owned),
            re: self.re,
            mentions: self.mentions,
            time: self.time,
        }
    }
}

impl<S: Store> Room<S> {
    /// Publishes a member's message. If a message with its key is stored already, replies with that
    /// message's offset.
    pub(super) fn publish(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        publication: Publication<'_>,
    ) {
        if publication.key.is_some() && self.load_keys().is_err() {
            return self.reject_unstored(from, id.as_ref());
        }
        let Some(connection) = self.roster.get(from) else {
            return;
        };
        let author = Author::of(connection);
        match self.find_key(&author.user, publication.key.as_deref()) {
            // The reply must not overtake those to the connection's earlier messages.
            Some(stored) if !self.hook_queue.has_messages_of(from) => {
                self.outbox.push_ack(from, id, stored);
            }
            _ if self.rules.publish_fallback.is_some() => {
                let message = Proposal::Message(publication.into_owned());
                self.await_decision(from, id, author, message);
            }
            _ => self.draft_and_ack(from, id, &author, &publication),
        }
    }

    /// Adds a member's message to the draft, and its reply to the outbox.
    pub(super) fn draft_and_ack(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        author: &Author,
        publication: &Publication<'_>,
    ) {
        let root = match publication.re.map(|re| self.find_root(re)).transpose() {
            Ok(root) => root,
            Err(failure) => return self.answer(&ReplyTo::Command { from, id }, Err(failure)),
        };
        self.flush_presence();
        let stored = self.next_position(publication.time);
        // The reply comes before the message.
        self.outbox.push_ack(from, id, stored);
        self.draft(author, publication, root, stored);
    }

    /// Publishes the messages of an API request, which are stored together.
    pub(super) fn publish_all(
        &mut self,
        id: ApiRequestId,
        publications: Vec<(UserId, Publication<'_>)>,
    ) {
        let has_key = publications.iter().any(|(_, one)| one.key.is_some());
        if has_key && self.load_keys().is_err() {
            return self.respond(id, Err(Refusal::Internal));
        }
        if let Err(refusal) = self.check_times(&publications) {
            return self.respond(id, Err(refusal));
        }
        let roots = match self.find_roots(&publications) {
            Ok(roots) => roots,
            Err(failure) => return self.respond(id, Err(failure.into())),
        };
        self.flush_presence();
        let mut positions = Vec::new();
        for ((user, publication), root) in publications.into_iter().zip(roots) {
            let known = self.find_key(&user, publication.key.as_deref());
            let position = known.unwrap_or_else(|| {
                let stored = self.next_position(publication.time);
                let author = Author::without_connection(user);
                self.draft(&author, &publication, root, stored);
                stored
            });
            positions.push(position);
        }
        let epoch = self.messages.epoch().clone();
        let messages = positions;
        let reply = Reply::Published { epoch, messages };
        if self.outbox.draft().is_some() {
            self.outbox.respond_when_stored(id, reply);
        } else {
            self.respond(id, Ok(reply));
        }
    }

    /// Returns the first message of the thread of each reply that is not stored yet.
    fn find_roots(
        &mut self,
        publications: &[(UserId, Publication<'_>)],
    ) -> Result<Vec<Option<Root>>, Failure> {
        let replies = publications.iter().map(|(user, publication)| {
            let known = self.find_key(user, publication.key.as_deref());
            publication.re.filter(|_| known.is_none())
        });
        let replies: Vec<_> = replies.collect();
        // A flush between them would change what has been read already.
        if let Some(newest) = replies.iter().flatten().max() {
            self.store_draft_with(*newest);
        }
        let roots = replies.into_iter();
        let roots = roots.map(|re| re.map(|re| self.find_root(re)).transpose());
        roots.collect()
    }

    /// Reads the keys from storage if that has not happened yet.
    pub(super) fn load_keys(&mut self) -> Result<(), StorageFault> {
        let floor = self.key_floor();
        self.messages.load_keys(&mut self.store, floor)
    }

    /// Returns the position of what the user has stored with the same key.
    pub(super) fn find_key(&self, user: &UserId, key: Option<&str>) -> Option<Stored> {
        let stored = self.messages.find_key(user, key?, self.key_floor());
        stored.map(Stored::again)
    }

    /// Returns the lower bound of remembered keys.
    pub(super) fn key_floor(&self) -> KeyFloor {
        let newest = (self.outbox.draft()).map_or(self.messages.newest(), Draft::last);
        KeyFloor::new(newest, self.now)
    }

    /// Checks the times that an API request gives its messages. They never decrease in a room,
    /// because retention and trimming rely on it.
    ///
    /// A message that is stored already is not checked, so that a request can be sent again.
    fn check_times(&self, publications: &[(UserId, Publication<'_>)]) -> Result<(), Refusal> {
        let oldest = self.messages.floor(self.now).time;
        let mut newest = self.latest_time();
        let mut keys = BTreeSet::new();
        for (user, publication) in publications {
            let is_repeated =
                (publication.key.as_ref()).is_some_and(|key| !keys.insert((user, key)));
            let key = publication.key.as_deref();
            if is_repeated || self.find_key(user, key).is_some() {
                continue;
            }
            let now = newest.max(self.now);
            let time = publication.time.unwrap_or(now);
            if time < newest {
                return Err(Refusal::InvalidInput(format!(
                    "'time' is {}, but the message before it has {}: publish messages in the order of their times",
                    time.0, newest.0,
                )));
            }
            if time > now {
                return Err(Refusal::InvalidInput(format!(
                    "'time' is {}, which is in the future: it is {}",
                    time.0, now.0,
                )));
            }
            if time < oldest && self.messages.are_retained() {
                return Err(Refusal::InvalidInput(format!(
                    "'time' is {}, older than HISTORY_SECONDS_MAX allows ({}): raise it, or leave the message out",
                    time.0, oldest.0,
                )));
            }
            newest = time;
        }
        Ok(())
    }

    /// Returns the time of the newest message, stored or not.
    fn latest_time(&self) -> Timestamp {
        (self.outbox.draft()).map_or(self.messages.newest_time(), |draft| draft.time)
    }

    /// Returns the offset and time of the next message, which gets the given time or the current
    /// one.
    pub(super) fn next_position(&self, time: Option<Timestamp>) -> Stored {
        let draft = self.outbox.draft();
        let offset = draft.map_or(self.messages.newest().next(), Draft::next);
        let now = self.now.max(self.latest_time());
        Stored::new(offset, time.unwrap_or(now))
    }

    /// Adds a message to the draft, which the next flush stores and sends.
    fn draft(
        &mut self,
        author: &Author,
        publication: &Publication<'_>,
        root: Option<Root>,
        stored: Stored,
    ) {
        let data = json::one_line(&publication.data);
        let info = author
            .info
            .as_deref()
            .filter(|_| self.rules.messages_have_info);
        let line_with = |key| {
            let message = Message {
                offset: stored.offset,
                time: stored.time,
                user: &author.user,
                connection: author.connection,
                info,
                event: publication.event.as_deref(),
                re: root.map(|root| root.offset),
                mentions: &publication.mentions,
                key,
                data: &data,
            };
            Push::Message(message).to_line()
        };
        let key = self.remember_key(author, publication.key.as_deref(), stored);
        let own = key.as_ref().and_then(|key| {
            let of_author = self.own_receivers(author);
            (!of_author.is_empty()).then(|| (of_author, line_with(Some(&key.key))))
        });
        let line = line_with(None);
        self.outbox
            .push_message(stored, &line, author.except, key, own);
        if self.reading.follows_messages() {
            self.outbox.push_said(Said {
                offset: stored.offset,
                time: stored.time,
                user: author.user.clone(),
                mentions: publication.mentions.clone(),
                deleted: false,
            });
        }
        if self.events.reports_mentions() {
            let others = publication.mentions.iter();
            let others = others.filter(|user| **user != author.user);
            others.for_each(|user| self.outbox.push_mention(mention_line(user, &line)));
        }
        self.outbox
            .close_changes_of(&author.user, author.connection);
        if let Some(root) = root {
            self.count_reply(root, stored.offset);
        }
    }

    /// Remembers the key of a message or change that is about to be stored, and returns it.
    pub(super) fn remember_key(
        &mut self,
        author: &Author,
        key: Option<&str>,
        stored: Stored,
    ) -> Option<StoredKey> {
        let key = StoredKey {
            user: author.user.clone(),
            key: key?.into(),
            stored,
        };
        let floor = self.key_floor();
        self.messages.remember_key(key.clone(), floor);
        Some(key)
    }

    /// Returns the author's connections, except one that does not receive its own messages. Which of them
    /// may receive the message is known when it is sent.
    fn own_receivers(&self, author: &Author) -> Vec<ConnectionId> {
        let connections = self.roster.presence().connections_of(&author.user);
        connections
            .filter(|id| Some(*id) != author.except)
            .collect()
    }

    /// Stores the draft, then sends all lines of the outbox.
    ///
    /// Presence changes are sent with them, so that a reply follows everything that happened before
    /// it. In a large room, where a presence push is a frame to thousands, a reply to one connection
    /// does not trigger it.
    pub(super) fn flush(&mut self) {
        let is_due = self.presence_window.from() <= self.now || self.is_restarting;
        let is_shared = self.outbox.shared_lines() > 0 || self.outbox.is_full(0);
        if is_due || is_shared || !self.roster.presence().is_truncated() {
            self.send_presence();
        }
        let Some(taken) = self.outbox.take_draft(self.messages.bytes()) else {
            return self.deliver(Texts::default());
        };
        let Taken {
            mut batch,
            writes,
            texts,
            said,
        } = taken;
        let epoch = self.messages.epoch();
        let events = self.events.enqueue_entries(epoch, &batch, &texts, self.now);
        if !self.messages.are_retained() {
            batch.json = "".into();
        }
        match self
            .messages
            .append(&mut self.store, &batch, &writes, events.as_ref())
        {
            Ok(is_trim_due) => {
                let epoch = self.messages.epoch();
                self.events.forget_contents_of(&writes, epoch);
                self.reading.record(said, &writes);
                if !self.roster.unlisted().is_empty() {
                    self.reading.outdate_badges();
                    self.send_reading_if_due();
                }
                self.announce(texts, events);
                if is_trim_due {
                    self.messages.trim(&mut self.store, self.now);
                }
            }
            Err(StorageFault) => self.reject_draft(),
        }
    }

    /// Flushes if messages wait to be stored. A request that needs them in storage begins with this.
    pub(super) fn store_draft(&mut self) {
        if self.outbox.draft().is_some() {
            self.flush();
        }
    }

    /// Sends the messages that have just been stored.
    fn announce(&mut self, texts: Texts, events: Option<EventWrite>) {
        if let Some(events) = events {
            self.events.written(events);
        }
        let requests = self.outbox.take_api_requests();
        self.deliver(texts);
        for (id, reply) in requests {
            self.respond(id, Ok(reply));
        }
    }

    /// Rejects the messages that could not be stored, and sends the other lines. The room is then
    /// restored, because another object may have taken their offsets.
    fn reject_draft(&mut self) {
        self.is_restarting = true;
        self.outputs.push_back(Output::Restart);
        for (id, _) in self.outbox.take_api_requests() {
            self.respond(id, Err(Refusal::Internal));
        }
        for (to, id) in self.outbox.drop_unstored(self.messages.newest()) {
            self.reject_unstored(to, id.as_ref());
        }
        self.deliver(Texts::default());
    }

    fn deliver(&mut self, texts: Texts) {
        let outbox = std::mem::take(&mut self.outbox);
        let stores_nothing = texts.is_empty();
        let (lines, has_presence) = (outbox.shared_lines(), outbox.has_presence());
        let linked = &mut self.linked;
        let send_over = |link, event| linked.send(link, event);
        let frames = outbox.deliver(&texts, &self.roster, &mut self.outputs, send_over);
        let window_ms_max = self.rules.window_ms_max;
        // A single frame costs about as much as the timer of a flush window.
        if frames > 1 || !stores_nothing {
            self.flush_window
                .flushed(frames, lines, self.now, window_ms_max);
        }
        if has_presence {
            let only_count = self.roster.presence().is_truncated();
            // A gateway sends a frame to each of them.
            let behind_links =
                (self.roster.classes()).count_linked(|class| class.receives_presence);
            let frames = frames.saturating_add(behind_links);
            self.presence_window
                .on_presence_sent(frames, only_count, self.now, window_ms_max);
        }
    }

    pub(super) fn reject_unstored(&mut self, from: ConnectionId, id: Option<&CommandId>) {
        let message = "the message could not be stored";
        self.refuse(from, id, ErrorCode::Internal, message);
    }
}
