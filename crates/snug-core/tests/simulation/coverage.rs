//! The kinds of steps that the seeds have taken, so that none is lost unnoticed.

use std::collections::BTreeMap;

/// The number of times that each kind of step was taken.
#[derive(Default)]
pub struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    /// Counts a step.
    pub fn count(&mut self, kind: &'static str) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// Adds the steps of another seed.
    pub fn add(&mut self, other: Self) {
        for (kind, times) in other.0 {
            *self.0.entry(kind).or_default() += times;
        }
    }

    /// Asserts that each kind of step was taken.
    pub fn assert_has(&self, kinds: &[&'static str]) {
        let is_missing = |kind: &&&str| !self.0.contains_key(**kind);
        let missing: Vec<_> = kinds.iter().filter(is_missing).collect();
        assert!(missing.is_empty(), "no seed has {missing:?}: {:?}", self.0);
    }
}
