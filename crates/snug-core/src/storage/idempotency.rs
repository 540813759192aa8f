//! Idempotency keys: a message that a user published under a key is not stored again.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Offset, Timestamp, UserId},
    limits::{KEY_MESSAGES_MIN, KEY_MS_MIN, KEYS_MAX, USER_KEYS_MAX},
    protocol::push::Stored,
};

/// The number of keys up to which none is removed.
const FORGET_AT_MIN: usize = 2_000;

/// An idempotency key, and the message stored under it.
///
/// Storage keeps it as `[offset, time, user, key]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(Offset, Timestamp, UserId, Rc<str>)")]
#[serde(from = "(Offset, Timestamp, UserId, Rc<str>)")]
pub struct StoredKey {
    /// The author. Keys of different users are independent.
    pub user: UserId,
    /// The key.
    pub key: Rc<str>,
    /// The message's offset and time.
    pub stored: Stored,
}

impl From<StoredKey> for (Offset, Timestamp, UserId, Rc<str>) {
    fn from(StoredKey { user, key, stored }: StoredKey) -> Self {
        (stored.offset, stored.time, user, key)
    }
}

impl From<(Offset, Timestamp, UserId, Rc<str>)> for StoredKey {
    fn from((offset, time, user, key): (Offset, Timestamp, UserId, Rc<str>)) -> Self {
        let stored = Stored::new(offset, time);
        Self { user, key, stored }
    }
}

/// The lower bound of remembered keys. A key is remembered if its message is above either value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFloor {
    /// The lowest offset: of the newest [`KEY_MESSAGES_MIN`] messages.
    pub offset: Offset,
    /// The earliest time: [`KEY_MS_MIN`] ago.
    pub time: Timestamp,
}

impl KeyFloor {
    /// Returns the bound for a room and its newest message.
    pub fn new(newest: Offset, now: Timestamp) -> Self {
        Self {
            offset: Offset(newest.0.saturating_sub(KEY_MESSAGES_MIN)).next(),
            time: Timestamp(now.0.saturating_sub(KEY_MS_MIN)),
        }
    }

    /// Returns true if the key of a message is remembered.
    pub fn keeps(self, offset: Offset, time: Timestamp) -> bool {
        offset >= self.offset || time >= self.time
    }
}

/// The room's idempotency keys: at most [`KEYS_MAX`], and [`USER_KEYS_MAX`] of a user.
///
/// A key is kept as its hash. Two keys of one user have the same hash once in 10^13 messages, and then
/// the second message counts as a duplicate. Another user's keys never matter.
#[derive(Debug)]
pub struct Keys {
    users: BTreeMap<UserId, BTreeMap<u64, Position>>,
    /// The number of keys.
    count: usize,
    /// The number of keys at which those that are no longer remembered are removed.
    forget_at: usize,
}

/// The position of a message.
#[derive(Clone, Copy, Debug)]
struct Position {
    offset: Offset,
    time: Timestamp,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            users: BTreeMap::new(),
            count: 0,
            forget_at: FORGET_AT_MIN,
        }
    }
}

impl Keys {
    /// Returns the message that the user stored under the key, if the key is remembered.
    pub fn find(&self, user: &UserId, key: &str, floor: KeyFloor) -> Option<Stored> {
        let Position { offset, time } = self.users.get(user)?.get(&hash_of(key)).copied()?;
        (floor.keeps(offset, time)).then(|| Stored::new(offset, time))
    }

    /// Adds a key, and removes keys that are no longer remembered if there are many.
    pub fn add(&mut self, StoredKey { user, key, stored }: StoredKey, floor: KeyFloor) {
        let position = Position {
            offset: stored.offset,
            time: stored.time,
        };
        let keys = self.users.entry(user).or_default();
        if keys.insert(hash_of(&key), position).is_none() {
            self.count = self.count.saturating_add(1);
        }
        if self.count >= self.forget_at {
            self.forget(floor);
        }
    }

    /// Removes the keys below the bound. If too many remain, removes the oldest keys of the users with the
    /// most.
    fn forget(&mut self, floor: KeyFloor) {
        for keys in self.users.values_mut() {
            keys.retain(|_, position| floor.keeps(position.offset, position.time));
        }
        self.users.retain(|_, keys| !keys.is_empty());
        let counts = self.users.values().map(BTreeMap::len);
        let most = fair_share(counts.collect(), KEYS_MAX / 4 * 3).min(USER_KEYS_MAX);
        for keys in self.users.values_mut() {
            keep_newest(keys, most);
        }
        self.count = self.users.values().map(BTreeMap::len).sum();
        let doubled = self.count.saturating_mul(2);
        self.forget_at = doubled.clamp(FORGET_AT_MIN, KEYS_MAX);
    }
}

/// Returns the most that each may have so that all have at most `total`.
fn fair_share(mut counts: Vec<usize>, total: usize) -> usize {
    counts.sort_unstable();
    let (mut left, mut others) = (total, counts.len());
    for count in counts {
        let share = left.checked_div(others).unwrap_or(usize::MAX);
        if count > share {
            return share;
        }
        left = left.saturating_sub(count);
        others = others.saturating_sub(1);
    }
    usize::MAX
}

fn keep_newest(keys: &mut BTreeMap<u64, Position>, most: usize) {
    let excess = keys.len().saturating_sub(most);
    if excess > 0 {
        let mut offsets: Vec<_> = keys.values().map(|position| position.offset.0).collect();
        offsets.sort_unstable();
        let lowest_kept = offsets.get(excess).copied().unwrap_or(u64::MAX);
        keys.retain(|_, position| position.offset.0 >= lowest_kept);
    }
}

fn hash_of(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn key(name: &str, number: u64, time: Timestamp) -> StoredKey {
        StoredKey {
            user: user(name),
            key: format!("key {number}").into(),
            stored: Stored::new(Offset(number), time),
        }
    }

    /// Returns the bound in a room without other messages.
    fn floor(now: Timestamp) -> KeyFloor {
        KeyFloor::new(Offset(u64::MAX), now)
    }

    #[test]
    fn keys_of_different_users_are_independent() {
        let mut keys = Keys::default();
        keys.add(key("ann", 1, NOW), floor(NOW));
        let found = |name: &str| keys.find(&user(name), "key 1", floor(NOW));
        assert_eq!(found("ann").map(|stored| stored.offset), Some(Offset(1)));
        assert_eq!(found("bob"), None);
    }

    #[test]
    fn a_key_is_remembered_for_two_minutes_or_as_one_of_the_newest_messages() {
        let mut keys = Keys::default();
        keys.add(key("ann", 1, NOW), KeyFloor::new(Offset(1), NOW));
        let found = |newest: u64, ms: u64| {
            let floor = KeyFloor::new(Offset(newest), NOW.plus_ms(ms));
            keys.find(&user("ann"), "key 1", floor).is_some()
        };
        assert!(found(u64::MAX, KEY_MS_MIN));
        assert!(!found(u64::MAX, KEY_MS_MIN + 1));
        assert!(found(KEY_MESSAGES_MIN, u64::MAX / 2));
        assert!(!found(KEY_MESSAGES_MIN + 1, u64::MAX / 2));
    }

    #[test]
    fn forgotten_keys_take_no_memory() {
        let mut keys = Keys::default();
        for number in 0..10 * FORGET_AT_MIN as u64 {
            let now = NOW.plus_ms(number * 1000);
            keys.add(key(&format!("user {number}"), number, now), floor(now));
            assert!(keys.count <= FORGET_AT_MIN && keys.users.len() == keys.count);
        }
    }

    #[test]
    fn a_user_has_a_bounded_number_of_keys_and_loses_the_oldest() {
        let mut keys = Keys::default();
        keys.add(key("bob", 0, NOW), floor(NOW));
        for number in 1..=4 * USER_KEYS_MAX as u64 {
            keys.add(key("ann", number, NOW), floor(NOW));
        }
        assert!(keys.count <= 2 * USER_KEYS_MAX + 2, "{}", keys.count);
        let found =
            |name: &str, number: u64| keys.find(&user(name), &format!("key {number}"), floor(NOW));
        assert!(found("bob", 0).is_some());
        let newest = 4 * USER_KEYS_MAX as u64;
        assert!(found("ann", newest).is_some());
        assert!(found("ann", newest - USER_KEYS_MAX as u64 / 2).is_some());
        assert!(found("ann", 1).is_none());
    }

    #[test]
    fn shares_are_fair() {
        assert_eq!(fair_share(vec![], 10), usize::MAX);
        assert_eq!(fair_share(vec![3, 4, 3], 10), usize::MAX);
        assert_eq!(fair_share(vec![3, 5, 3], 10), 4);
        assert_eq!(fair_share(vec![100, 1, 100, 2], 13), 5);
        assert_eq!(fair_share(vec![7, 7], 0), 0);
    }
}
