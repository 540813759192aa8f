//! A fake platform for tests: it returns fixed results and records the calls.

use std::cell::RefCell;

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
    let mut verification = Verification::start(token, rules, now)?;
    loop {
        match verification.next_step() {
            Step::GetKeys { selector, .. } => {
                platform.lookups.borrow_mut().push(selector);
                verification.set_keys(platform.provided.clone()?);
            }
            Step::CheckSignature { key, .. } => {
                let key = key.public().expect("a public key").clone();
                platform.checked.borrow_mut().push(key);
                verification.set_checked(platform.holds);
            }
            Step::Done(result) => return result,
        }
    }
}
