//! Members, and changes of who they are and of their presence states.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::ids::{ConnectionId, Timestamp, UserId};

/// See [`Push::Presence`](super::Push::Presence).
#[derive(Debug, Default, Serialize)]
pub struct PresenceChange<'a> {
    /// The members who joined, each a [`Member`].
    pub joins: Vec<&'a RawValue>,
    /// The users who left.
    pub leaves: Vec<&'a UserId>,
    /// The changed presence states.
    pub updates: Vec<StateChange<'a>>,
    /// The number of members now.
    pub count: usize,
    /// True if the room has more members than are listed, so only `count` is sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// A connection's new presence state.
#[derive(Debug, Serialize)]
pub struct StateChange<'a> {
    /// The user.
    pub user: &'a UserId,
    /// The connection.
    pub connection: ConnectionId,
    /// The state; `None` if the connection has ended while its user is still a member.
    pub state: Option<&'a RawValue>,
}

/// A user with at least one connection, or within the grace period.
#[derive(Debug, Serialize)]
pub struct Member<'a> {
    /// The user.
    pub user: &'a UserId,
    /// The public profile; `{}` if the token has none.
    pub info: &'a RawValue,
    /// The time at which the user joined.
    pub since: Timestamp,
    /// The number of the user's connections.
    pub connections: usize,
    /// The presence state of each connection that has one.
    pub state: BTreeMap<ConnectionId, &'a RawValue>,
}

impl Member<'_> {
    /// Returns the object as JSON.
    pub fn to_json(&self) -> Box<RawValue> {
        // Cannot fail: see `Push::to_line`.
        serde_json::value::to_raw_value(self).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }

    /// Returns the bytes of the application's JSON in it: profile and states.
    pub fn payload_bytes(&self) -> usize {
        let states = self
            .state
            .values()
            .map(|state| state.get().len())
            .sum::<usize>();
        states.saturating_add(self.info.get().len())
    }
}
