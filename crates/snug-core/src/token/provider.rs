//! The keys of an identity provider's address: how long they are kept, and when they are asked for
//! again.

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::{Key, KeySet, NOT_SIGNED, Signer};
use crate::{ids::Timestamp, refusal::Refusal};

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
pub struct Provider {
    set: Option<Fetched>,
    fetching_since: Option<Timestamp>,
    failed_at: Option<Timestamp>,
    /// When it was last asked for a `kid` that it did not have.
    sought_at: Option<Timestamp>,
}

struct Fetched {
    at: Timestamp,
    text: String,
    keys: KeySet,
}

/// What is to be done about a signer.
pub enum Lookup {
    /// One of these keys may be meant.
    Found(Vec<Rc<Key>>),
    /// Fetch the address, say [`Provider::fetched`], and look again.
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

impl Provider {
    /// Looks for a signer's keys. What has to be fetched is marked as being fetched.
    pub fn look_up(&mut self, signer: &Signer, now: Timestamp) -> Lookup {
        let found = self.find(signer, now);
        let is_within = |at: Option<Timestamp>, ms| at.is_some_and(|at| now.ms_since(at) < ms);
        let is_fetching = is_within(self.fetching_since, FETCH_MS_MAX);
        let is_fresh = is_within(self.set.as_ref().map(|set| set.at), FRESH_MS);
        let is_usable = is_within(self.set.as_ref().map(|set| set.at), KEPT_MS);
        let retry_ms = if is_usable { RETRY_MS } else { RETRY_EMPTY_MS };
        let failed_lately = is_within(self.failed_at, retry_ms);
        if !found.is_empty() && (is_fresh || is_fetching || failed_lately) {
            return Lookup::Found(found);
        }
        if is_fetching {
            return Lookup::Wait;
        }
        if failed_lately {
            return Lookup::Refused(Refusal::AuthUnavailable);
        }
        if is_fresh && is_within(self.sought_at, SEEK_MS) {
            return Lookup::Refused(NOT_SIGNED);
        }
        if is_fresh {
            self.sought_at = Some(now);
        }
        self.fetching_since = Some(now);
        Lookup::Fetch
    }

    /// Takes what the address answered; `None` for no answer that can be used. Whether it is a
    /// set with keys in it, which is then worth sharing.
    pub fn fetched(&mut self, answer: Option<String>, now: Timestamp) -> bool {
        self.fetching_since = None;
        let read = |text: String| {
            let keys = KeySet::read(&text).filter(|keys| !keys.is_empty())?;
            Some(Fetched {
                at: now,
                text,
                keys,
            })
        };
        let set = answer.and_then(read);
        self.failed_at = set.is_none().then_some(now);
        let is_set = set.is_some();
        self.set = set.or(self.set.take());
        is_set
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
    pub fn adopt(&mut self, shared: &str, signer: &Signer, now: Timestamp) -> bool {
        let Ok(shared) = serde_json::from_str::<Shared>(shared) else {
            return false;
        };
        let is_newer = self.set.as_ref().is_none_or(|set| set.at < shared.at);
        if is_newer && let Some(keys) = KeySet::read(&shared.text) {
            let (at, text) = (shared.at.min(now), shared.text);
            self.set = Some(Fetched { at, text, keys });
        }
        let is_within = |at: Timestamp, ms| now.ms_since(at) < ms;
        let is_fresh = self
            .set
            .as_ref()
            .is_some_and(|set| is_within(set.at, FRESH_MS));
        let was_sought = shared.sought_at.is_some_and(|at| is_within(at, SEEK_MS));
        let settles = is_fresh && (was_sought || !self.find(signer, now).is_empty());
        if settles {
            self.fetching_since = None;
            self.sought_at = shared.sought_at;
        }
        settles
    }

    fn find(&self, signer: &Signer, now: Timestamp) -> Vec<Rc<Key>> {
        let is_usable = |set: &&Fetched| now.ms_since(set.at) < KEPT_MS;
        let set = self.set.as_ref().filter(is_usable);
        set.map(|set| set.keys.find(signer)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
