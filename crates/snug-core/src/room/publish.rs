//! From a publish command to a message that is stored and announced.

use std::{borrow::Cow, rc::Rc};

use serde_json::value::RawValue;

use super::{Asked, Room};
use crate::{
    command::CommandId,
    error::ErrorCode,
    ids::ConnectionId,
    io::{Output, StorageFault},
    json,
    keys::StoredKey,
    push::{Message, Push, Stored},
    retention::Retention,
};

/// What a client wants to be stored.
#[derive(Debug)]
pub(super) struct Publication<'a> {
    pub(super) data: Cow<'a, RawValue>,
    pub(super) event: Option<Cow<'a, str>>,
    pub(super) key: Option<Cow<'a, str>>,
}

impl Publication<'_> {
    fn into_owned(self) -> Publication<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Publication {
            data: Cow::Owned(self.data.into_owned()),
            event: self.event.map(owned),
            key: self.key.map(owned),
        }
    }
}

impl Room {
    /// Takes a message to be stored, unless its key says that it is there.
    ///
    /// The keys are read from storage when the first one is needed after a wake: most rooms that
    /// wake need none.
    pub(super) fn publish(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        publication: Publication<'_>,
    ) {
        let Some(connection) = self.connections.get(&from) else {
            return;
        };
        let found = match (&publication.key, &self.keys) {
            (Some(_), None) => {
                self.outputs.push_back(Output::ReadKeys);
                let publication = publication.into_owned();
                self.asked = Some(Asked::Keys {
                    from,
                    id,
                    publication,
                });
                return;
            }
            (Some(key), Some(keys)) => keys.find(&connection.user, key),
            (None, _) => None,
        };
        match found {
            Some(stored) => self.outbox.receipt(from, id, stored.again()),
            None => self.draft(from, id, &publication),
        }
    }

    /// Goes on with the publication that waited for the keys.
    pub(super) fn keys_read(&mut self, outcome: Result<Vec<StoredKey>, StorageFault>) {
        match (self.asked.take(), outcome) {
            (
                Some(Asked::Keys {
                    from,
                    id,
                    publication,
                }),
                Ok(stored),
            ) => {
                self.keys = Some(stored.into_iter().collect());
                self.publish(from, id, publication);
            }
            (Some(Asked::Keys { from, id, .. }), Err(StorageFault)) => {
                self.refuse_to_store(from, id.as_ref());
            }
            (other, _) => self.asked = other,
        }
    }

    /// Gives a message its place, for the next flush to store and announce.
    fn draft(&mut self, from: ConnectionId, id: Option<CommandId>, publication: &Publication<'_>) {
        self.tell_change();
        let Some(connection) = self.connections.get(&from) else {
            return;
        };
        let (offset, since) = match self.outbox.draft() {
            Some(draft) => (draft.next(), draft.time),
            None => (self.newest.next(), self.newest_time),
        };
        let stored = Stored::new(offset, since.max(self.now));
        let line = Push::Message(Message {
            offset,
            time: stored.time,
            user: &connection.user,
            connection: Some(from),
            event: publication.event.as_deref(),
            data: &json::one_line(&publication.data),
        })
        .to_line();
        let key = publication.key.as_deref().map(|key| StoredKey {
            user: connection.user.clone(),
            key: key.into(),
            stored,
        });
        if let (Some(keys), Some(key)) = (&mut self.keys, &key) {
            keys.add(key.clone());
        }
        let except = (!connection.echo).then_some(from);
        self.outbox.receipt(from, id, stored);
        self.outbox.message(stored, &line, except, key);
    }

    /// Stores what waits to be stored, then sends all that waits.
    ///
    /// Presence goes with it, so that a reply comes after all that was told before it. But in a
    /// large room, where a change is a frame to thousands, a reply to one is no reason to tell it.
    pub(super) fn flush(&mut self) {
        let is_due = self.presence_pace.from() <= self.now || self.storage_failed;
        let is_shared = self.outbox.shared_lines() > 0 || self.outbox.is_full(0);
        if is_due || is_shared || !self.presence.is_truncated() {
            self.tell_change();
        }
        let Some((mut batch, body)) = self.outbox.take_draft(self.bytes) else {
            return self.deliver("".into());
        };
        if !self.rules.retention.keeps_any() {
            batch.json = "".into();
        }
        self.asked = Some(Asked::Append {
            newest: batch.last(),
            time: batch.time,
            bytes: batch.bytes_after(),
            body,
        });
        self.outputs.push_back(Output::Append(batch));
    }

    /// Announces what was stored, or says that it was not.
    pub(super) fn appended(&mut self, outcome: Result<(), StorageFault>) {
        match self.asked.take() {
            Some(Asked::Append {
                newest,
                time,
                bytes,
                body,
            }) => {
                if outcome.is_ok() {
                    let before = std::mem::replace(&mut self.newest, newest);
                    (self.newest_time, self.bytes) = (time, bytes);
                    if self.trim_at.is_none() && self.rules.retention.keeps_any() {
                        self.note_oldest(Some(time));
                    }
                    self.deliver(body);
                    if Retention::is_trim_due(before, newest) {
                        self.ask_trim();
                    }
                } else {
                    self.keys = None;
                    self.storage_failed = true;
                    for (to, id) in self.outbox.drop_unstored(self.newest) {
                        self.refuse_to_store(to, id.as_ref());
                    }
                    self.deliver("".into());
                }
            }
            other => self.asked = other,
        }
    }

    fn deliver(&mut self, body: Rc<str>) {
        let outbox = std::mem::take(&mut self.outbox);
        let stores_nothing = body.is_empty();
        let (lines, tells_presence) = (outbox.shared_lines(), outbox.tells_presence());
        let frames = outbox.deliver(body, &self.connections, &mut self.outputs);
        let window_ms_max = self.rules.window_ms_max;
        // A single frame costs about as much as the timer that would gather a second one.
        if frames > 1 || !stores_nothing {
            self.pace.flushed(frames, lines, self.now, window_ms_max);
        }
        if tells_presence {
            let only_count = self.presence.is_truncated();
            self.presence_pace
                .told(frames, only_count, self.now, window_ms_max);
        }
    }

    fn refuse_to_store(&mut self, from: ConnectionId, id: Option<&CommandId>) {
        let message = "the message could not be stored";
        self.refuse(from, id, ErrorCode::Internal, message);
    }
}
