//! The cached key set of an identity provider: how long it is used, and when it is fetched again.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::{Key, KeySelector, KeySet, NOT_SIGNED};
use crate::{ids::Timestamp, protocol::refusal::Refusal};

/// Time for which keys are used without fetching them again.
const FRESH_MS: u64 = 60 * 60 * 1000;
/// Time for which keys are used if fetching them fails.
const KEPT_MS: u64 = 24 * 60 * 60 * 1000;
/// Least time between two fetches for a `kid` that is not in the set, for all tokens together.
const SEEK_MS: u64 = 60 * 1000;
/// Time from a failure to the next fetch, if there are usable keys.
const RETRY_MS: u64 = 60 * 1000;
/// The same if there are no usable keys.
const RETRY_EMPTY_MS: u64 = 10 * 1000;
/// Time after which an unfinished fetch counts as lost. Longer than the timeout of a fetch.
const FETCH_MS_MAX: u64 = 6 * 1000;

/// A provider's keys, as last fetched.
#[derive(Default)]
pub struct IdentityProvider {
    set: Option<Fetched>,
    fetching: Option<Fetching>,
    failed_at: Option<Timestamp>,
    /// Time of the last fetch for a `kid` that was not in the set.
    sought_at: Option<Timestamp>,
}

struct Fetched {
    at: Timestamp,
    text: String,
    keys: KeySet,
}

/// A fetch in progress. It may never end, because the runtime can cancel the request that started
/// it.
struct Fetching {
    since: Timestamp,
    /// True if the set is fresh but does not contain the `kid`.
    seeks: bool,
}

/// The result of looking up a token's key.
pub enum KeyLookup {
    /// The keys that match.
    Found(Vec<Rc<Key>>),
    /// The caller must fetch the key set, call [`IdentityProvider::fetched`], and look up again.
    Fetch,
    /// Another request is fetching the key set. The caller must look up again in a moment.
    Wait,
    /// There is no such key, or the keys are unavailable.
    Refused(Refusal),
}

/// A key set as shared between isolates.
#[derive(Serialize, Deserialize)]
struct Shared {
    at: Timestamp,
    sought_at: Option<Timestamp>,
    text: String,
}

impl IdentityProvider {
    /// Looks up the keys that match. If it returns [`KeyLookup::Fetch`], it marks the fetch as started.
    pub fn look_up(&mut self, selector: &KeySelector, now: Timestamp) -> KeyLookup {
        let found = self.find(selector, now);
        let fetched_at = self.set.as_ref().map(|set| set.at);
        let is_fresh = is_within(fetched_at, FRESH_MS, now);
        let is_usable = is_within(fetched_at, KEPT_MS, now);
        let retry_ms = if is_usable { RETRY_MS } else { RETRY_EMPTY_MS };
        let failed_lately = is_within(self.failed_at, retry_ms, now);
        let since = self.fetching.as_ref().map(|fetching| fetching.since);
        let is_fetching = is_within(since, FETCH_MS_MAX, now);
        if !found.is_empty() && (is_fresh || is_fetching || failed_lately) {
            return KeyLookup::Found(found);
        }
        if is_fetching {
            return KeyLookup::Wait;
        }
        if failed_lately {
            return KeyLookup::Refused(Refusal::AuthUnavailable);
        }
        if is_fresh && is_within(self.sought_at, SEEK_MS, now) {
            return KeyLookup::Refused(NOT_SIGNED);
        }
        self.fetching = Some(Fetching {
            since: now,
            seeks: is_fresh,
        });
        KeyLookup::Fetch
    }

    /// Stores the fetched JWK Set; `None` if the fetch failed. Returns true if the set contains a
    /// usable key.
    pub fn fetched(&mut self, response: Option<String>, now: Timestamp) -> bool {
        let fetching = self.fetching.take();
        let read = |text: String| {
            let keys = KeySet::read(&text)?;
            Some(Fetched {
                at: now,
                text,
                keys,
            })
        };
        let Some(set) = response.and_then(read) else {
            self.failed_at = Some(now);
            return false;
        };
        self.failed_at = None;
        // Set only after a response, so that a canceled fetch does not delay the next one.
        if fetching.is_some_and(|fetching| fetching.seeks) {
            self.sought_at = Some(now);
        }
        let has_keys = !set.keys.is_empty();
        self.set = Some(set);
        has_keys
    }

    /// Returns the keys as text for other isolates.
    pub fn share(&self) -> Option<String> {
        let set = self.set.as_ref()?;
        let shared = Shared {
            at: set.at,
            sought_at: self.sought_at,
            text: set.text.clone(),
        };
        serde_json::to_string(&shared).ok()
    }

    /// Adopts the keys that another isolate shared, if they are newer. Returns true if this makes
    /// the fetch for this selector unnecessary.
    pub fn adopt(&mut self, shared: &str, selector: &KeySelector, now: Timestamp) -> bool {
        let Ok(shared) = serde_json::from_str::<Shared>(shared) else {
            return false;
        };
        let (at, sought_at) = (shared.at.min(now), shared.sought_at.map(|at| at.min(now)));
        let is_newer = self.set.as_ref().is_none_or(|set| set.at < at);
        if is_newer && let Some(keys) = KeySet::read(&shared.text) {
            let text = shared.text;
            self.set = Some(Fetched { at, text, keys });
        }
        let fetched_at = self.set.as_ref().map(|set| set.at);
        let was_sought = is_within(sought_at, SEEK_MS, now);
        let settles = is_within(fetched_at, FRESH_MS, now)
            && (was_sought || !self.find(selector, now).is_empty());
        if settles {
            self.fetching = None;
            self.sought_at = sought_at.max(self.sought_at);
        }
        settles
    }

    fn find(&self, selector: &KeySelector, now: Timestamp) -> Vec<Rc<Key>> {
        let is_usable = |set: &&Fetched| is_within(Some(set.at), KEPT_MS, now);
        let set = self.set.as_ref().filter(is_usable);
        set.map(|set| set.keys.find(selector)).unwrap_or_default()
    }
}

/// Returns true if `at` is less than `ms` ago. A time in the future, possible after the clock was
/// set back, does not count.
fn is_within(at: Option<Timestamp>, ms: u64, now: Timestamp) -> bool {
    at.is_some_and(|at| at <= now && now.ms_since(at) < ms)
}

#[cfg(test)]
mod tests;
