//! Webhooks: events of a room, delivered to the application's back end in signed requests. The format
//! follows Standard Webhooks (<https://www.standardwebhooks.com>, version 1).

mod dead_events;
mod delivery;
mod mention;
mod signature;
mod state;
mod without_content;

use crate::names::{named_enum, set_of};

pub use self::{
    dead_events::dead_page,
    delivery::{Delivery, Event, EventRow, Lines, OutgoingEvent},
    mention::mention_line,
    signature::Signer,
    state::{EventState, OldestRow, StoredEvents},
    without_content::{dead_without_content, without_contents},
};

named_enum! {
    /// The kind of a webhook event.
    pub enum EventKind {
        /// The first member joined an empty room.
        RoomOccupied = "room.occupied",
        /// The room has been empty for a while.
        RoomVacated = "room.vacated",
        /// A user joined.
        MemberJoined = "member.joined",
        /// A user left.
        MemberLeft = "member.left",
        /// A message mentions a user.
        MemberMentioned = "member.mentioned",
        /// A message was stored.
        MessagePublished = "message.published",
        /// A message was edited, appended to or deleted.
        MessageChanged = "message.changed",
    }
}

set_of! {
    /// A set of [`EventKind`].
    pub struct EventKinds(EventKind);
}

impl EventKind {
    /// Returns true if the event reports an entry of the room's history.
    fn is_about_messages(self) -> bool {
        matches!(self, Self::MessagePublished | Self::MessageChanged)
    }
}

impl EventKinds {
    /// Returns the default: all kinds but messages and their changes, which may be far more frequent.
    pub fn by_default() -> Self {
        let kinds = EventKind::ALL.iter().copied();
        kinds.filter(|kind| !kind.is_about_messages()).collect()
    }

    /// Parses `*`, or names separated by commas; `None` if a name is unknown.
    pub fn parse(list: &str) -> Option<Self> {
        if list.trim() == "*" {
            return Some(EventKind::ALL.iter().copied().collect());
        }
        list.split(',')
            .map(|name| EventKind::named(name.trim()))
            .collect()
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
        assert!(EventKind::ALL.iter().all(|kind| all.has(*kind)));
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
}
