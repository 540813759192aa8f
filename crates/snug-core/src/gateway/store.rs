//! The port to a gateway's storage.

use crate::{
    ids::{ConnectionId, LinkId, RoomName},
    link::links::StoredLink,
    storage::store::StorageFault,
};

/// The storage of one gateway: what the attachments of its sockets do not hold.
///
/// # Errors
///
/// A call fails if the storage does, and then nothing of it is stored.
pub trait Store {
    /// Stores a link, replacing its previous state.
    fn store_link(&mut self, link: &StoredLink<RoomName>) -> Result<(), StorageFault>;

    /// Deletes a link.
    fn delete_link(&mut self, link: LinkId);

    /// Stores a subscription, replacing its previous state.
    fn store_subscription(&mut self, subscription: &StoredSubscription)
    -> Result<(), StorageFault>;

    /// Deletes a subscription.
    fn delete_subscription(&mut self, member: ConnectionId, room: &RoomName);

    /// Stores whether something is under way to rooms. If that fails, a crash amid calls is not noticed.
    fn note_calls(&mut self, is_amid_calls: bool);
}

/// The place of a session in a room, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSubscription {
    /// The session's connection.
    pub member: ConnectionId,
    /// The room.
    pub room: RoomName,
    /// The number of joins that the room has not ended yet.
    pub joins: u32,
    /// True if it receives messages.
    pub messages: bool,
    /// True if it receives presence pushes.
    pub presence: bool,
    /// True if it has a token of its own.
    pub has_own_token: bool,
}

/// The stored state of a gateway.
#[derive(Clone, Debug)]
pub struct GatewaySnapshot {
    /// The links to rooms.
    pub links: Vec<StoredLink<RoomName>>,
    /// The places of the sessions in rooms.
    pub subscriptions: Vec<StoredSubscription>,
    /// True if something was under way to rooms: see [`Store::note_calls`].
    pub is_amid_calls: bool,
    /// The id of the gateway's first link: a random one.
    pub first_link: u64,
}
