//! From a publish command to a message that is stored and announced.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Asked, Room};
use crate::{
    command::CommandId,
    error::ErrorCode,
    ids::ConnectionId,
    io::{Output, StorageFault, StoredMessage},
    json,
    keys::{Keys, StoredKey},
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
    /// Stores a message, unless its key says that it is stored.
    ///
    /// The keys are read from storage when the first one is needed after a wake: most rooms that
    /// wake need none.
    pub(super) fn publish(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        publication: Publication<'_>,
    ) {
        match (&publication.key, &self.keys) {
            (Some(_), None) => {
                self.outputs.push_back(Output::ReadKeys);
                let publication = publication.into_owned();
                self.asked = Some(Asked::Keys {
                    from,
                    id,
                    publication,
                });
            }
            (Some(key), Some(keys)) => {
                let user = self
                    .connections
                    .get(&from)
                    .map(|connection| &connection.user);
                match user.and_then(|user| keys.find(user, key)) {
                    Some(stored) => self.ack(from, id.as_ref(), Some(stored.again())),
                    None => self.append(from, id, &publication),
                }
            }
            (None, _) => self.append(from, id, &publication),
        }
    }

    /// Goes on with the publication that waited for the keys.
    pub(super) fn keys_read(&mut self, outcome: Result<Vec<StoredKey>, StorageFault>) {
        let Some(Asked::Keys {
            from,
            id,
            publication,
        }) = self.asked.take()
        else {
            return;
        };
        match outcome {
            Ok(stored) => {
                self.keys = Some(stored.into_iter().collect());
                self.publish(from, id, publication);
            }
            Err(StorageFault) => self.refuse_to_store(from, id.as_ref()),
        }
    }

    fn append(&mut self, from: ConnectionId, id: Option<CommandId>, publication: &Publication<'_>) {
        let Some(connection) = self.connections.get(&from) else {
            return;
        };
        let (offset, time) = (self.newest.next(), self.newest_time.max(self.now));
        let announcement = Push::Message(Message {
            offset,
            time,
            user: &connection.user,
            connection: Some(from),
            event: publication.event.as_deref(),
            data: &json::one_line(&publication.data),
        })
        .to_line();
        let is_kept = self.rules.retention.keeps_any();
        let message = StoredMessage {
            offset,
            time,
            bytes_before: self.bytes,
            json: if is_kept {
                announcement.clone()
            } else {
                "".into()
            },
            key: publication.key.as_deref().map(|key| StoredKey {
                user: connection.user.clone(),
                key: key.into(),
                stored: Stored::new(offset, time),
            }),
        };
        self.outputs.push_back(Output::Append(message.clone()));
        self.asked = Some(Asked::Append {
            from,
            id,
            message,
            announcement,
        });
    }

    /// Announces what was stored, or says that it was not.
    pub(super) fn appended(&mut self, outcome: Result<(), StorageFault>) {
        let Some(Asked::Append {
            from,
            id,
            message,
            announcement,
        }) = self.asked.take()
        else {
            return;
        };
        if outcome.is_err() {
            return self.refuse_to_store(from, id.as_ref());
        }
        self.note_stored(message);
        let stored = Stored::new(self.newest, self.newest_time);
        self.ack(from, id.as_ref(), Some(stored));
        let to = self.recipients(|one| one.hears_messages() && (one.echo || one.id != from));
        self.send(to, announcement);
        if Retention::is_trim_due(self.newest) {
            self.outputs.push_back(Output::Trim {
                floor: self.floor(),
                lowest_key: self.keys.as_ref().map(Keys::lowest).unwrap_or_default(),
            });
        }
    }

    fn note_stored(&mut self, message: StoredMessage) {
        (self.newest, self.newest_time) = (message.offset, message.time);
        let bytes = u64::try_from(message.json.len()).unwrap_or_default();
        self.bytes = self.bytes.saturating_add(bytes);
        if let (Some(keys), Some(key)) = (&mut self.keys, message.key) {
            keys.add(key);
        }
    }

    fn refuse_to_store(&mut self, from: ConnectionId, id: Option<&CommandId>) {
        let message = "the message could not be stored";
        self.refuse(from, id, ErrorCode::Internal, message);
    }
}
