//! Banned users.

use crate::{
    ids::{Timestamp, UserId},
    protocol::refusal::Refusal,
    room::user_entries::{UserEntries, UserEntry},
};

/// A ban, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The banned user.
    pub user: UserId,
    /// The end of the ban.
    pub until: Timestamp,
}

impl UserEntry for Ban {
    fn user(&self) -> &UserId {
        &self.user
    }

    fn until(&self) -> Timestamp {
        self.until
    }
}

/// The room's bans.
pub type Bans = UserEntries<Ban>;

impl Bans {
    /// Checks that the user is not banned.
    ///
    /// # Errors
    ///
    /// `banned` if the user is.
    pub fn admit(&self, user: &UserId, now: Timestamp) -> Result<(), Refusal> {
        match self.get(user, now) {
            Some(ban) => Err(Refusal::Banned {
                seconds: ban.until.ms_since(now).div_ceil(1000),
            }),
            None => Ok(()),
        }
    }
}
