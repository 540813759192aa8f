//! A platform for tests: it says of public keys what it is told to, and writes down what it was
//! asked.

use std::{
    cell::RefCell,
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::*;

/// Says the same of every key.
pub(crate) struct Says {
    pub(crate) holds: bool,
    pub(crate) provided: Result<Vec<Rc<Key>>, Refusal>,
    pub(crate) asked: RefCell<Vec<PublicKey>>,
    pub(crate) sought: RefCell<Vec<KeySelector>>,
}

impl Says {
    pub(crate) fn new(holds: bool) -> Self {
        Self {
            holds,
            provided: Ok(Vec::new()),
            asked: RefCell::default(),
            sought: RefCell::default(),
        }
    }
}

impl Platform for Says {
    async fn holds(&self, key: &PublicKey, _: &[u8], _: &[u8]) -> bool {
        self.asked.borrow_mut().push(key.clone());
        self.holds
    }

    async fn provided(
        &self,
        _: &ServiceUrl,
        signer: &KeySelector,
    ) -> Result<Vec<Rc<Key>>, Refusal> {
        self.sought.borrow_mut().push(signer.clone());
        self.provided.clone()
    }
}

/// Checks a token with no more than what is configured.
pub(crate) fn verify(token: &str, rules: &TokenRules, now: Timestamp) -> Result<Claims, Refusal> {
    verify_on(&Says::new(false), token, rules, now)
}

pub(crate) fn verify_on(
    platform: &Says,
    token: &str,
    rules: &TokenRules,
    now: Timestamp,
) -> Result<Claims, Refusal> {
    let checked = pin!(super::verify(token, rules, now, platform));
    match checked.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(checked) => checked,
        Poll::Pending => panic!("waits for a platform that does not"),
    }
}
