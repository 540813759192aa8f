//! The link between a gateway and a room: two ordered streams of events, in numbered calls.
//!
//! A gateway holds the sessions of many users, and a room the subscriptions of its members. A link joins
//! one gateway and one room, and carries the subscriptions that the gateway's sessions have there. Each
//! end sends its events in calls ([`call`]), one at a time, and what comes meanwhile goes with the next.
//!
//! **A fault ends the link.** If a call fails, is missing or comes twice, both ends drop the link's
//! subscriptions, and the gateway sends its clients `left`; they join again and resume. Only a client knows what
//! it has received, so nothing is ever sent again by the ends themselves. An end that has dropped a link
//! calls the other one until it has heard of it ([`links`]).

pub mod call;
pub mod event;
pub mod links;
pub mod note;
pub mod port;

use crate::ids::LinkId;

/// The way to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// A socket of the same object.
    Socket,
    /// A gateway, which holds the socket.
    Link(LinkId),
}
