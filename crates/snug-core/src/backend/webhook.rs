//! Webhooks: events of a room, delivered to the application's back end in signed requests. The format
//! follows Standard Webhooks (<https://www.standardwebhooks.com>, version 1).

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

/// The kind of a webhook event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// The first member joined an empty room.
    #[serde(rename = "room.occupied")]
    RoomOccupied,
    /// The room has been empty for a while.
    #[serde(rename = "room.vacated")]
    RoomVacated,
    /// A user joined.
    #[serde(rename = "member.joined")]
    MemberJoined,
    /// A user left.
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
    /// Returns the default: all kinds but messages, which may be far more frequent.
    pub fn by_default() -> Self {
        let kinds = EventKind::ALL.into_iter();
        kinds
            .filter(|kind| *kind != EventKind::MessagePublished)
            .collect()
    }

    /// Parses `*`, or names separated by commas; `None` if a name is unknown.
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

    /// Returns true if the set contains the kind.
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
    fn parses_a_list_of_kinds_or_a_star() {
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
    fn kinds_have_their_wire_names() {
        for kind in EventKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
