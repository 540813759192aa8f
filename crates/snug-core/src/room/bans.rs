//! Who may not come back for a while.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ids::{Timestamp, UserId},
    limits::BANS_MAX,
    protocol::refusal::Refusal,
};

/// A user that is kept out of the room. Kept in storage, so that it outlasts the room's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Who.
    pub user: UserId,
    /// Until when.
    pub until: Timestamp,
}

/// The room's bans, one a user.
#[derive(Debug, Default)]
pub struct Bans {
    until: BTreeMap<UserId, Timestamp>,
    /// The same, soonest first.
    due: BTreeSet<(Timestamp, UserId)>,
}

impl Bans {
    /// Until when the user is banned, where that has not passed.
    pub fn until(&self, user: &UserId, now: Timestamp) -> Option<Timestamp> {
        self.until.get(user).copied().filter(|until| *until > now)
    }

    /// Lets a user by who is not banned.
    ///
    /// # Errors
    ///
    /// `banned`.
    pub fn admit(&self, user: &UserId, now: Timestamp) -> Result<(), Refusal> {
        match self.until(user, now) {
            Some(until) => Err(Refusal::Banned {
                seconds: until.ms_since(now).div_ceil(1000),
            }),
            None => Ok(()),
        }
    }

    /// Whether there is a ban of the user, be it over or not.
    pub fn holds(&self, user: &UserId) -> bool {
        self.until.contains_key(user)
    }

    /// Whether there is a ban of the user, or room for one more.
    pub fn has_room_for(&self, user: &UserId) -> bool {
        self.until.len() < BANS_MAX || self.holds(user)
    }

    /// Sets a ban, in place of the user's last one.
    pub fn set(&mut self, Ban { user, until }: Ban) {
        self.remove(&user);
        self.due.insert((until, user.clone()));
        self.until.insert(user, until);
    }

    /// Ends a user's ban.
    pub fn remove(&mut self, user: &UserId) {
        if let Some(until) = self.until.remove(user) {
            self.due.remove(&(until, user.clone()));
        }
    }

    /// Ends a ban whose time has passed, and tells whose.
    pub fn pop_expired(&mut self, now: Timestamp) -> Option<UserId> {
        self.next_due().filter(|until| *until <= now)?;
        let (_, user) = self.due.pop_first()?;
        self.until.remove(&user);
        Some(user)
    }

    /// When the next ban ends.
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
    fn a_ban_holds_until_its_end_and_not_longer() {
        let bans: Bans = [ban("ann", 1_001)].into_iter().collect();
        assert_eq!(bans.until(&user("ann"), NOW), Some(Timestamp(1_001)));
        assert_eq!(bans.until(&user("ann"), Timestamp(1_001)), None);
        assert_eq!(bans.until(&user("bob"), NOW), None);
    }

    #[test]
    fn a_user_has_one_ban_the_last_one() {
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
    fn those_that_are_over_are_taken_in_order() {
        let stored = [ban("ann", 1_000), ban("bob", 900), ban("cho", 1_001)];
        let mut bans: Bans = stored.into_iter().collect();
        assert_eq!(bans.pop_expired(NOW), Some(user("bob")));
        assert_eq!(bans.pop_expired(NOW), Some(user("ann")));
        assert_eq!(bans.pop_expired(NOW), None);
        assert_eq!(bans.next_due(), Some(Timestamp(1_001)));
    }

    #[test]
    fn there_are_so_many_and_not_one_more() {
        let most = |number: usize| ban(&format!("user {number}"), 2_000);
        let mut bans: Bans = (1..BANS_MAX).map(most).collect();
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
