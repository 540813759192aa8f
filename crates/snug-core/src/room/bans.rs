//! Banned users.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ids::{Timestamp, UserId},
    limits::BANS_MAX,
    protocol::refusal::Refusal,
};

/// A ban, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// The banned user.
    pub user: UserId,
    /// The end of the ban.
    pub until: Timestamp,
}

/// The room's bans, at most one per user.
#[derive(Debug, Default)]
pub struct Bans {
    until: BTreeMap<UserId, Timestamp>,
    /// The same bans, soonest end first.
    due: BTreeSet<(Timestamp, UserId)>,
}

impl Bans {
    /// Returns the end of the user's ban, if it has not ended.
    pub fn until(&self, user: &UserId, now: Timestamp) -> Option<Timestamp> {
        self.until.get(user).copied().filter(|until| *until > now)
    }

    /// Checks that the user is not banned.
    ///
    /// # Errors
    ///
    /// `banned` if the user is.
    pub fn admit(&self, user: &UserId, now: Timestamp) -> Result<(), Refusal> {
        match self.until(user, now) {
            Some(until) => Err(Refusal::Banned {
                seconds: until.ms_since(now).div_ceil(1000),
            }),
            None => Ok(()),
        }
    }

    /// Returns true if there is a ban of the user, even if it has ended.
    pub fn contains(&self, user: &UserId) -> bool {
        self.until.contains_key(user)
    }

    /// Returns true if a ban of the user fits: it replaces one, or the room has fewer than the
    /// maximum.
    pub fn has_room_for(&self, user: &UserId) -> bool {
        self.until.len() < BANS_MAX || self.contains(user)
    }

    /// Adds a ban, replacing the user's previous one.
    pub fn set(&mut self, Ban { user, until }: Ban) {
        self.remove(&user);
        self.due.insert((until, user.clone()));
        self.until.insert(user, until);
    }

    /// Removes a user's ban.
    pub fn remove(&mut self, user: &UserId) {
        if let Some(until) = self.until.remove(user) {
            self.due.remove(&(until, user.clone()));
        }
    }

    /// Removes a ban that has ended, and returns its user.
    pub fn pop_expired(&mut self, now: Timestamp) -> Option<UserId> {
        self.next_due().filter(|until| *until <= now)?;
        let (_, user) = self.due.pop_first()?;
        self.until.remove(&user);
        Some(user)
    }

    /// Returns the time at which the next ban ends.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(until, _)| *until)
    }
}

impl FromIterator<Ban> for Bans {
    fn from_iter<I: IntoIterator<Item = Ban>>(stored: I) -> Self {
        let mut bans = Self::default();
        stored.into_iter().for_each(|ban| bans.set(ban));
        bans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    #[test]
    fn bans_a_user_until_the_end_of_the_ban() {
        let bans: Bans = [ban("ann", 1_001)].into_iter().collect();
        assert_eq!(bans.until(&user("ann"), NOW), Some(Timestamp(1_001)));
        assert_eq!(bans.until(&user("ann"), Timestamp(1_001)), None);
        assert_eq!(bans.until(&user("bob"), NOW), None);
    }

    #[test]
    fn replaces_a_users_previous_ban() {
        let mut bans: Bans = [ban("ann", 2_000), ban("ann", 1_500)].into_iter().collect();
        assert_eq!(bans.next_due(), Some(Timestamp(1_500)));
        bans.set(ban("ann", 1_000));
        assert_eq!(bans.until(&user("ann"), NOW), None);
        assert_eq!(bans.pop_expired(NOW), Some(user("ann")));
        bans.set(ban("ann", 2_000));
        bans.remove(&user("ann"));
        bans.remove(&user("ann"));
        assert_eq!(bans.next_due(), None);
    }

    #[test]
    fn removes_ended_bans_in_the_order_of_their_end() {
        let stored = [ban("ann", 1_000), ban("bob", 900), ban("cho", 1_001)];
        let mut bans: Bans = stored.into_iter().collect();
        assert_eq!(bans.pop_expired(NOW), Some(user("bob")));
        assert_eq!(bans.pop_expired(NOW), Some(user("ann")));
        assert_eq!(bans.pop_expired(NOW), None);
        assert_eq!(bans.next_due(), Some(Timestamp(1_001)));
    }

    #[test]
    fn has_no_room_for_more_bans_than_the_maximum() {
        let numbered = |number: usize| ban(&format!("user {number}"), 2_000);
        let mut bans: Bans = (1..BANS_MAX).map(numbered).collect();
        assert!(bans.has_room_for(&user("ann")));
        bans.set(ban("ann", 2_000));
        assert!(bans.has_room_for(&user("ann")));
        assert!(!bans.has_room_for(&user("bob")));
    }

    fn ban(name: &str, until: u64) -> Ban {
        Ban {
            user: user(name),
            until: Timestamp(until),
        }
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }
}
