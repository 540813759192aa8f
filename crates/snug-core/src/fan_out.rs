//! The fan-out: the frames that lines become, and the sockets that each goes to. A room and a gateway share it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    rc::Rc,
};

use serde::{Deserialize, Serialize};

use crate::{ids::ConnectionId, limits::MERGE_BYTES_MAX, protocol::wire::Wire};

/// The recipients of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// Connections that receive messages.
    Messages {
        /// Those that do not receive the line.
        except: Except,
    },
    /// Connections that receive presence.
    Presence {
        /// Those that do not receive the line.
        except: Except,
    },
    /// These connections, in ascending order.
    These(Vec<ConnectionId>),
}

/// Connections that do not receive a line, in ascending order.
///
/// In a call between objects, a single connection is encoded as its id, and no connection as `null`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenExcept", into = "WrittenExcept")]
pub struct Except(Vec<ConnectionId>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenExcept {
    AtMostOne(Option<ConnectionId>),
    Several(Vec<ConnectionId>),
}

impl From<WrittenExcept> for Except {
    fn from(written: WrittenExcept) -> Self {
        match written {
            WrittenExcept::AtMostOne(id) => id.into_iter().collect(),
            WrittenExcept::Several(ids) => ids.into_iter().collect(),
        }
    }
}

impl From<Except> for WrittenExcept {
    fn from(Except(ids): Except) -> Self {
        match ids.as_slice() {
            [] => Self::AtMostOne(None),
            [id] => Self::AtMostOne(Some(*id)),
            _ => Self::Several(ids),
        }
    }
}

impl FromIterator<ConnectionId> for Except {
    fn from_iter<T: IntoIterator<Item = ConnectionId>>(ids: T) -> Self {
        let ids: BTreeSet<_> = ids.into_iter().collect();
        Self(ids.into_iter().collect())
    }
}

/// Connections that get the same lines, except for lines that name a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Class {
    pub(crate) receives_messages: bool,
    pub(crate) receives_presence: bool,
    pub(crate) wire: Wire,
}

/// The text of a line.
#[derive(Debug)]
pub(crate) enum Text {
    Line(Rc<str>),
    /// A message, as a part of the body of the flush.
    Message(Range<usize>),
}

/// The sockets of a room.
pub(crate) trait Recipients {
    /// Returns the connections whose class matches.
    fn matching(
        &self,
        matches: impl Fn(Class) -> bool,
    ) -> impl Iterator<Item = (ConnectionId, Class)>;

    /// Returns the class of one connection, or of a socket that is being closed; `None` if it is gone.
    fn class_of(&self, id: ConnectionId) -> Option<Class>;
}

/// The lines of a flush, or those between two breaks.
#[derive(Debug)]
pub(crate) struct FanOut {
    pub(crate) lines: Vec<(Text, Audience)>,
    /// The messages of the whole flush, one per line.
    pub(crate) body: Rc<str>,
    /// The number of messages in the body.
    pub(crate) messages: usize,
    /// Connections that do not get the same lines as the rest of their class.
    pub(crate) named: BTreeSet<ConnectionId>,
}

impl FanOut {
    /// Makes the frames: each connection gets its lines in order, in as few frames as possible, and
    /// connections with the same lines share one text.
    ///
    /// Looks only at connections that a line names, and at the classes for which a line is: a reply in a large
    /// room costs the same as in a small one, and so does a join if no client receives presence.
    pub(crate) fn frames(
        &self,
        recipients: &impl Recipients,
        mut send: impl FnMut(&[ConnectionId], Rc<str>),
    ) {
        let mut send_all = |to: &[ConnectionId], texts: Vec<Rc<str>>| {
            texts.into_iter().for_each(|text| send(to, text));
        };
        let is_shared = |(_, to): &(Text, Audience)| !matches!(to, Audience::These(_));
        let mut classes: BTreeMap<Class, Vec<ConnectionId>> = BTreeMap::new();
        if self.lines.iter().any(is_shared) {
            let has_line = |class| self.lines.iter().any(|(_, to)| to.is_for_all(class));
            for (id, class) in recipients.matching(has_line) {
                if !self.named.contains(&id) {
                    classes.entry(class).or_default().push(id);
                }
            }
        }
        for id in &self.named {
            let Some(class) = recipients.class_of(*id) else {
                continue;
            };
            if self.prefers_own_frame(*id, class) {
                send_all(&[*id], self.texts(class.wire, |to| to.names(*id)));
                classes.entry(class).or_default().push(*id);
            } else {
                send_all(&[*id], self.texts(class.wire, |to| to.reaches(*id, class)));
            }
        }
        for (class, ids) in classes {
            send_all(&ids, self.texts(class.wire, |to| to.is_for_all(class)));
        }
    }

    /// Returns the frames for the lines whose audience matches.
    fn texts(&self, wire: Wire, matches: impl Fn(&Audience) -> bool) -> Vec<Rc<str>> {
        let matching = self.lines.iter().filter(|(_, to)| matches(to));
        let texts: Vec<&Text> = matching.map(|(text, _)| text).collect();
        match (wire, texts.as_slice()) {
            (Wire::Objects, _) => texts.into_iter().map(|text| self.single(text)).collect(),
            (Wire::Lines, []) => Vec::new(),
            (Wire::Lines, [text]) => vec![self.single(text)],
            (Wire::Lines, _) if self.is_body(&texts) => vec![self.body.clone()],
            (Wire::Lines, _) => {
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
        text.of(&self.body)
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
        class.wire == Wire::Lines && bytes > MERGE_BYTES_MAX
    }
}

impl Text {
    /// Returns the line; `body` is that of its flush.
    pub(crate) fn of<'a>(&'a self, body: &'a str) -> &'a str {
        match self {
            Self::Line(text) => text,
            Self::Message(range) => body.get(range.clone()).unwrap_or_default(),
        }
    }

    /// Returns the line as a text of its own.
    pub(crate) fn to_line(&self, body: &str) -> Rc<str> {
        match self {
            Self::Line(text) => text.clone(),
            text @ Self::Message(_) => text.of(body).into(),
        }
    }
}

impl Audience {
    /// Returns the audience of one connection.
    pub(crate) fn one(id: ConnectionId) -> Self {
        Self::These(vec![id])
    }

    /// Returns the audience of these connections.
    pub(crate) fn these(ids: impl IntoIterator<Item = ConnectionId>) -> Self {
        let ids: BTreeSet<_> = ids.into_iter().collect();
        Self::These(ids.into_iter().collect())
    }

    /// Returns the connections that it names.
    pub(crate) fn named(&self) -> &[ConnectionId] {
        match self {
            Self::These(ids) => ids,
            Self::Messages { except } | Self::Presence { except } => &except.0,
        }
    }

    /// Returns true if it contains the whole class, except the connections that it names.
    pub(crate) fn is_for_all(&self, class: Class) -> bool {
        match self {
            Self::Messages { .. } => class.receives_messages,
            Self::Presence { .. } => class.receives_presence,
            Self::These(_) => false,
        }
    }

    fn names(&self, id: ConnectionId) -> bool {
        matches!(self, Self::These(ids) if ids.binary_search(&id).is_ok())
    }

    /// Returns true if a connection of this class is among the recipients.
    pub(crate) fn reaches(&self, id: ConnectionId, class: Class) -> bool {
        match self {
            Self::Messages { except } | Self::Presence { except } => {
                self.is_for_all(class) && except.0.binary_search(&id).is_err()
            }
            Self::These(_) => self.names(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const ANN: ConnectionId = ConnectionId(1);
    const BOB: ConnectionId = ConnectionId(2);

    /// A room in which all connections have the same class: they receive messages, but no presence. It counts how
    /// many of them are looked at.
    #[derive(Default)]
    struct Crowd {
        size: u64,
        looks: Cell<u64>,
    }

    const CLASS: Class = Class {
        receives_messages: true,
        receives_presence: false,
        wire: Wire::Lines,
    };

    impl Crowd {
        fn look(&self, id: ConnectionId) -> (ConnectionId, Class) {
            self.looks.set(self.looks.get().saturating_add(1));
            (id, CLASS)
        }
    }

    impl Recipients for Crowd {
        fn matching(
            &self,
            matches: impl Fn(Class) -> bool,
        ) -> impl Iterator<Item = (ConnectionId, Class)> {
            let size = if matches(CLASS) { self.size } else { 0 };
            (0..size).map(|id| self.look(ConnectionId(id)))
        }

        fn class_of(&self, id: ConnectionId) -> Option<Class> {
            Some(self.look(id).1)
        }
    }

    /// Fans out lines to a room of this size. Returns the numbers of looked at connections and of frames.
    fn cost(size: u64, audiences: impl IntoIterator<Item = Audience>) -> (u64, usize) {
        let crowd = Crowd {
            size,
            looks: Cell::default(),
        };
        let line = |to| (Text::Line("{}".into()), to);
        let lines: Vec<_> = audiences.into_iter().map(line).collect();
        let named = lines.iter().flat_map(|(_, to)| to.named()).copied();
        let fan_out = FanOut {
            named: named.collect(),
            lines,
            body: "".into(),
            messages: 0,
        };
        let mut recipients = Vec::new();
        fan_out.frames(&crowd, |to, _| recipients.extend_from_slice(to));
        (crowd.looks.get(), recipients.len())
    }

    #[test]
    fn a_reply_looks_only_at_its_recipient() {
        assert_eq!(cost(30_000, [Audience::one(ANN)]), (1, 1));
        let replies = [ANN, BOB, ANN].map(Audience::one);
        assert_eq!(cost(30_000, replies), (2, 2));
    }

    #[test]
    fn a_shared_line_looks_at_each_connection_once() {
        let all = || Audience::Messages {
            except: Except::default(),
        };
        assert_eq!(cost(1_000, [all()]), (1_000, 1_000));
        let replies = [Audience::one(ANN), all(), Audience::one(BOB)];
        assert_eq!(cost(1_000, replies), (1_002, 1_000));
    }

    #[test]
    fn a_line_that_no_connection_receives_looks_at_none() {
        let presence = Audience::Presence {
            except: Except::default(),
        };
        assert_eq!(cost(30_000, [presence.clone()]), (0, 0));
        assert_eq!(cost(30_000, [presence, Audience::one(ANN)]), (1, 1));
    }

    #[test]
    fn an_audience_is_sorted_and_names_each_connection_once() {
        let audience = Audience::these([BOB, ANN, BOB]);
        assert_eq!(audience.named(), [ANN, BOB]);
        assert!(audience.names(ANN) && audience.names(BOB));
        assert!(!audience.names(ConnectionId(3)));
    }
}
