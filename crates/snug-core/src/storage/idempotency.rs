//! Idempotency keys: a message that a user published under a key is not stored again.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Offset, Timestamp, UserId},
    limits::IDEMPOTENCY_KEYS_MAX,
    protocol::push::Stored,
};

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

/// The room's newest idempotency keys, at most [`IDEMPOTENCY_KEYS_MAX`].
#[derive(Debug, Default)]
pub struct Keys {
    stored: BTreeMap<(UserId, Rc<str>), Stored>,
    /// The same keys, oldest first.
    order: VecDeque<(UserId, Rc<str>)>,
}

impl Keys {
    /// Returns the message that the user stored under the key.
    pub fn find(&self, user: &UserId, key: &str) -> Option<Stored> {
        self.stored.get(&(user.clone(), key.into())).copied()
    }

    /// Adds a key, and drops the oldest if there are too many.
    pub fn add(&mut self, StoredKey { user, key, stored }: StoredKey) {
        let id = (user, key);
        if self.stored.insert(id.clone(), stored).is_none() {
            self.order.push_back(id);
        }
        while self.order.len() > IDEMPOTENCY_KEYS_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.stored.remove(&oldest);
            }
        }
    }

    /// Returns the lowest offset whose key is remembered; 0 if no key has been dropped yet.
    pub fn lowest(&self) -> Offset {
        let is_full = self.order.len() >= IDEMPOTENCY_KEYS_MAX;
        let oldest = self.order.front().filter(|_| is_full);
        oldest
            .and_then(|id| self.stored.get(id))
            .map(|stored| stored.offset)
            .unwrap_or_default()
    }
}

impl FromIterator<StoredKey> for Keys {
    /// Collects keys in order, oldest first.
    fn from_iter<I: IntoIterator<Item = StoredKey>>(stored: I) -> Self {
        let mut keys = Self::default();
        stored.into_iter().for_each(|one| keys.add(one));
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user: &str, number: u64) -> StoredKey {
        StoredKey {
            user: UserId::parse(user).unwrap(),
            key: format!("key {number}").into(),
            stored: Stored::new(Offset(number), Timestamp(number)),
        }
    }

    #[test]
    fn keys_of_different_users_are_independent() {
        let keys: Keys = [key("ann", 1)].into_iter().collect();
        let found = |user: &str| keys.find(&UserId::parse(user).unwrap(), "key 1");
        assert_eq!(found("ann").map(|stored| stored.offset), Some(Offset(1)));
        assert_eq!(found("bob"), None);
    }

    #[test]
    fn remembers_only_the_newest_keys() {
        let most = IDEMPOTENCY_KEYS_MAX as u64;
        let mut keys: Keys = (1..=most).map(|number| key("ann", number)).collect();
        let ann = UserId::parse("ann").unwrap();
        assert!(keys.find(&ann, "key 1").is_some());
        assert_eq!(keys.lowest(), Offset(1));
        keys.add(key("ann", most + 1));
        assert!(keys.find(&ann, "key 1").is_none());
        assert!(keys.find(&ann, "key 2").is_some());
        assert_eq!(keys.lowest(), Offset(2));
    }
}
