//! The keys of an identity provider's address: how long they are kept, and when they are asked for
//! again.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::{Key, KeySelector, KeySet, NOT_SIGNED};
use crate::{ids::Timestamp, protocol::refusal::Refusal};

/// How long keys are used without asking again.
const FRESH_MS: u64 = 60 * 60 * 1000;
/// How long they are used while the provider does not answer.
const KEPT_MS: u64 = 24 * 60 * 60 * 1000;
/// How often the provider is asked for a `kid` that it did not have, by whatever tokens.
const SEEK_MS: u64 = 60 * 1000;
/// How long after a failure the provider is asked again: while there are keys that can be used…
const RETRY_MS: u64 = 60 * 1000;
/// …and while there are none.
const RETRY_EMPTY_MS: u64 = 10 * 1000;
/// After so long a fetch that has not ended is not waited for any more. More than it may take.
const FETCH_MS_MAX: u64 = 6 * 1000;

/// A provider's keys, as they were last fetched.
#[derive(Default)]
pub struct IdentityProvider {
    set: Option<Fetched>,
    fetching: Option<Fetching>,
    failed_at: Option<Timestamp>,
    /// When it was last asked for a `kid` that it did not have.
    sought_at: Option<Timestamp>,
}

struct Fetched {
    at: Timestamp,
    text: String,
    keys: KeySet,
}

/// A fetch that has not ended. It may never: whoever asks may be cut off.
struct Fetching {
    since: Timestamp,
    /// Whether it is for a `kid` that a set of which nothing else is wrong does not have.
    seeks: bool,
}

/// What is to be done about a signer.
pub enum KeyLookup {
    /// One of these keys may be meant.
    Found(Vec<Rc<Key>>),
    /// Fetch the address, say [`IdentityProvider::fetched`], and look again.
    Fetch,
    /// Somebody else does: look again in a moment.
    Wait,
    /// There is no such key, or none can be had.
    Refused(Refusal),
}

/// A provider's keys as other isolates may share them.
#[derive(Serialize, Deserialize)]
struct Shared {
    at: Timestamp,
    sought_at: Option<Timestamp>,
    text: String,
}

impl IdentityProvider {
    /// Looks for a signer's keys. What has to be fetched is marked as being fetched.
    pub fn look_up(&mut self, signer: &KeySelector, now: Timestamp) -> KeyLookup {
        let found = self.find(signer, now);
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

    /// Takes the JWK Set that the address answered; `None` for anything else. Whether there is a
    /// key in it that can be used.
    pub fn fetched(&mut self, answer: Option<String>, now: Timestamp) -> bool {
        let fetching = self.fetching.take();
        let read = |text: String| {
            let keys = KeySet::read(&text)?;
            Some(Fetched {
                at: now,
                text,
                keys,
            })
        };
        let Some(set) = answer.and_then(read) else {
            self.failed_at = Some(now);
            return false;
        };
        self.failed_at = None;
        // Noted once there is an answer: one who asks and is cut off keeps nobody from asking.
        if fetching.is_some_and(|fetching| fetching.seeks) {
            self.sought_at = Some(now);
        }
        let has_keys = !set.keys.is_empty();
        self.set = Some(set);
        has_keys
    }

    /// The keys for others, as text.
    pub fn share(&self) -> Option<String> {
        let set = self.set.as_ref()?;
        let shared = Shared {
            at: set.at,
            sought_at: self.sought_at,
            text: set.text.clone(),
        };
        serde_json::to_string(&shared).ok()
    }

    /// Takes what another isolate shared, where it is newer. Whether that settles what was about
    /// to be fetched for this signer: then nothing need be.
    pub fn adopt(&mut self, shared: &str, signer: &KeySelector, now: Timestamp) -> bool {
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
            && (was_sought || !self.find(signer, now).is_empty());
        if settles {
            self.fetching = None;
            self.sought_at = sought_at.max(self.sought_at);
        }
        settles
    }

    fn find(&self, signer: &KeySelector, now: Timestamp) -> Vec<Rc<Key>> {
        let is_usable = |set: &&Fetched| is_within(Some(set.at), KEPT_MS, now);
        let set = self.set.as_ref().filter(is_usable);
        set.map(|set| set.keys.find(signer)).unwrap_or_default()
    }
}

/// Whether it was less than so long ago. What is yet to come, as after a clock was set back, was
/// not.
fn is_within(at: Option<Timestamp>, ms: u64, now: Timestamp) -> bool {
    at.is_some_and(|at| at <= now && now.ms_since(at) < ms)
}

#[cfg(test)]
mod tests;
