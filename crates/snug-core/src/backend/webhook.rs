//! What the application's back end is told of its rooms, and how it knows that Snug tells it: the
//! form is that of Standard Webhooks (<https://www.standardwebhooks.com>, version 1).

mod dead_events;
mod delivery;
mod signature;
mod state;

use serde::{Deserialize, Serialize};

pub use self::{
    dead_events::dead_page,
    delivery::{Delivery, Event, EventRow, Lines, OutgoingEvent},
    signature::{SignedHeaders, Signer},
    state::{EventState, OldestRow, StoredEvents},
};

/// Something that a back end may be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// Somebody is in a room that was empty.
    #[serde(rename = "room.occupied")]
    RoomOccupied,
    /// Nobody is in the room any more, and has not been for a while.
    #[serde(rename = "room.vacated")]
    RoomVacated,
    /// A user has come.
    #[serde(rename = "member.joined")]
    MemberJoined,
    /// A user has gone.
    #[serde(rename = "member.left")]
    MemberLeft,
    /// A message was stored.
    #[serde(rename = "message.published")]
    MessagePublished,
}

impl EventKind {
    const ALL: [Self; 5] = [
        Self::RoomOccupied,
        Self::RoomVacated,
        Self::MemberJoined,
        Self::MemberLeft,
        Self::MessagePublished,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::RoomOccupied => "room.occupied",
            Self::RoomVacated => "room.vacated",
            Self::MemberJoined => "member.joined",
            Self::MemberLeft => "member.left",
            Self::MessagePublished => "message.published",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of [`EventKind`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventKinds(u8);

impl EventKinds {
    /// All but messages, of which there may be many more than of the others.
    pub fn by_default() -> Self {
        let kinds = EventKind::ALL.into_iter();
        kinds
            .filter(|kind| *kind != EventKind::MessagePublished)
            .collect()
    }

    /// Reads `*`, or names separated by commas; `None` where one is no event's.
    pub fn parse(list: &str) -> Option<Self> {
        if list.trim() == "*" {
            return Some(EventKind::ALL.into_iter().collect());
        }
        list.split(',')
            .map(|name| {
                let mut kinds = EventKind::ALL.into_iter();
                kinds.find(|kind| kind.name() == name.trim())
            })
            .collect()
    }

    /// Whether the set holds it.
    pub fn has(self, kind: EventKind) -> bool {
        self.0 & kind.bit() != 0
    }
}

impl FromIterator<EventKind> for EventKinds {
    fn from_iter<I: IntoIterator<Item = EventKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().fold(0, |bits, one| bits | one.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_one_by_one_or_all() {
        use EventKind::{MemberLeft, MessagePublished, RoomOccupied};
        let kinds = EventKinds::parse("room.occupied, message.published").unwrap();
        assert!(kinds.has(RoomOccupied) && kinds.has(MessagePublished) && !kinds.has(MemberLeft));
        let all = EventKinds::parse(" * ").unwrap();
        assert!(EventKind::ALL.into_iter().all(|kind| all.has(kind)));
        let most = EventKinds::by_default();
        assert!(most.has(MemberLeft) && !most.has(MessagePublished));
        for bad in [
            "",
            "room",
            "room.occupied,",
            "room.occupied,*",
            "ROOM.OCCUPIED",
        ] {
            assert_eq!(EventKinds::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_the_wires() {
        for kind in EventKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
