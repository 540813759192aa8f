//! Each user's share of a long queue of webhook events, so that one user cannot fill it.

use std::collections::BTreeMap;

use crate::ids::UserId;

/// The bytes that users have added to the queue since it became long, and that still wait.
#[derive(Debug, Default)]
pub(super) struct Shares {
    bytes: BTreeMap<UserId, u64>,
}

impl Shares {
    /// Returns a user's share.
    pub(super) fn of(&self, user: &UserId) -> u64 {
        self.bytes.get(user).copied().unwrap_or_default()
    }

    /// Replaces a user's share.
    pub(super) fn set(&mut self, user: UserId, bytes: u64) {
        if bytes == 0 {
            self.bytes.remove(&user);
        } else {
            self.bytes.insert(user, bytes);
        }
    }

    /// Takes bytes that no longer wait from a user's share.
    pub(super) fn subtract(&mut self, user: &UserId, bytes: u64) {
        let left = self.of(user).saturating_sub(bytes);
        self.set(user.clone(), left);
    }
}

impl FromIterator<(UserId, u64)> for Shares {
    fn from_iter<I: IntoIterator<Item = (UserId, u64)>>(shares: I) -> Self {
        Self {
            bytes: shares.into_iter().collect(),
        }
    }
}
