//! Entries about users that end at a given time, such as bans.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Timestamp, UserId};

/// An entry about a user.
pub trait UserEntry {
    /// Returns the user.
    fn user(&self) -> &UserId;

    /// Returns the time at which the entry ends.
    fn until(&self) -> Timestamp;
}

/// Entries, at most one per user.
#[derive(Debug)]
pub struct UserEntries<T> {
    entries: BTreeMap<UserId, T>,
    /// The ends of the entries, soonest first.
    due: BTreeSet<(Timestamp, UserId)>,
}

impl<T> Default for UserEntries<T> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            due: BTreeSet::new(),
        }
    }
}

impl<T: UserEntry> UserEntries<T> {
    /// Returns the user's entry, if it has not ended.
    pub fn get(&self, user: &UserId, now: Timestamp) -> Option<&T> {
        self.entries.get(user).filter(|entry| entry.until() > now)
    }

    /// Returns true if there is an entry about the user, even if it has ended.
    pub fn contains(&self, user: &UserId) -> bool {
        self.entries.contains_key(user)
    }

    /// Returns true if an entry about the user fits: it replaces one, or there are fewer than `most`.
    /// Entries that have ended count until [`Self::pop_expired`] has removed them.
    pub fn has_room_for(&self, user: &UserId, most: usize) -> bool {
        self.entries.len() < most || self.contains(user)
    }

    /// Adds an entry, replacing the user's previous one.
    pub fn set(&mut self, entry: T) {
        let user = entry.user().clone();
        self.remove(&user);
        self.due.insert((entry.until(), user.clone()));
        self.entries.insert(user, entry);
    }

    /// Removes a user's entry.
    pub fn remove(&mut self, user: &UserId) {
        if let Some(entry) = self.entries.remove(user) {
            self.due.remove(&(entry.until(), user.clone()));
        }
    }

    /// Removes an entry that has ended, and returns its user.
    pub fn pop_expired(&mut self, now: Timestamp) -> Option<UserId> {
        self.next_due().filter(|until| *until <= now)?;
        let (_, user) = self.due.pop_first()?;
        self.entries.remove(&user);
        Some(user)
    }

    /// Returns the time at which the next entry ends.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(until, _)| *until)
    }
}

impl<T: UserEntry> FromIterator<T> for UserEntries<T> {
    fn from_iter<I: IntoIterator<Item = T>>(stored: I) -> Self {
        let mut entries = Self::default();
        stored.into_iter().for_each(|entry| entries.set(entry));
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::bans::{Ban, Bans};

    const NOW: Timestamp = Timestamp(1_000);

    #[test]
    fn an_entry_counts_until_its_end() {
        let bans: Bans = [ban("ann", 1_001)].into_iter().collect();
        assert_eq!(bans.get(&user("ann"), NOW), Some(&ban("ann", 1_001)));
        assert_eq!(bans.get(&user("ann"), Timestamp(1_001)), None);
        assert_eq!(bans.get(&user("bob"), NOW), None);
    }

    #[test]
    fn an_entry_replaces_the_users_previous_one() {
        let mut bans: Bans = [ban("ann", 2_000), ban("ann", 1_500)].into_iter().collect();
        assert_eq!(bans.next_due(), Some(Timestamp(1_500)));
        bans.set(ban("ann", 1_000));
        assert_eq!(bans.get(&user("ann"), NOW), None);
        assert_eq!(bans.pop_expired(NOW), Some(user("ann")));
        bans.set(ban("ann", 2_000));
        bans.remove(&user("ann"));
        bans.remove(&user("ann"));
        assert_eq!(bans.next_due(), None);
    }

    #[test]
    fn ended_entries_are_removed_in_the_order_of_their_end() {
        let stored = [ban("ann", 1_000), ban("bob", 900), ban("cho", 1_001)];
        let mut bans: Bans = stored.into_iter().collect();
        assert_eq!(bans.pop_expired(NOW), Some(user("bob")));
        assert_eq!(bans.pop_expired(NOW), Some(user("ann")));
        assert_eq!(bans.pop_expired(NOW), None);
        assert_eq!(bans.next_due(), Some(Timestamp(1_001)));
    }

    #[test]
    fn a_new_entry_fits_below_the_maximum_and_a_replacement_always() {
        let mut bans: Bans = [ban("ann", 2_000), ban("bob", 2_000)].into_iter().collect();
        assert!(bans.has_room_for(&user("cho"), 3));
        bans.set(ban("cho", 2_000));
        assert!(bans.has_room_for(&user("cho"), 3));
        assert!(!bans.has_room_for(&user("dan"), 3));
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
