//! A fake platform for tests: it returns fixed results and records the calls.

use std::{
    cell::RefCell,
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::*;

/// Returns the same results for every key.
pub(crate) struct FakePlatform {
    pub(crate) holds: bool,
    pub(crate) provided: Result<Vec<Rc<Key>>, Refusal>,
    /// The keys that were used to check a signature.
    pub(crate) checked: RefCell<Vec<PublicKey>>,
    /// The lookups at the identity provider.
    pub(crate) lookups: RefCell<Vec<KeySelector>>,
}

impl FakePlatform {
    pub(crate) fn new(holds: bool) -> Self {
        Self {
            holds,
            provided: Ok(Vec::new()),
            checked: RefCell::default(),
            lookups: RefCell::default(),
        }
    }
}

impl Platform for FakePlatform {
    async fn verify_signature(&self, key: &PublicKey, _: &[u8], _: &[u8]) -> bool {
        self.checked.borrow_mut().push(key.clone());
        self.holds
    }

    async fn provider_keys(
        &self,
        _: &ServiceUrl,
        selector: &KeySelector,
    ) -> Result<Vec<Rc<Key>>, Refusal> {
        self.lookups.borrow_mut().push(selector.clone());
        self.provided.clone()
    }
}

/// Verifies a token with the configured keys only.
pub(crate) fn verify(token: &str, rules: &TokenRules, now: Timestamp) -> Result<Claims, Refusal> {
    verify_on(&FakePlatform::new(false), token, rules, now)
}

pub(crate) fn verify_on(
    platform: &FakePlatform,
    token: &str,
    rules: &TokenRules,
    now: Timestamp,
) -> Result<Claims, Refusal> {
    let result = pin!(super::verify(token, rules, now, platform));
    match result.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the future is pending, but the fake platform never waits"),
    }
}
