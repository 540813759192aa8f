//! Keys that verify tokens, where they are not among the settings: an identity provider's, fetched
//! from its address and shared by the isolates of a data centre.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use futures::future::LocalBoxFuture;
use snug_core::{
    Refusal,
    auth::token::{IdentityProvider, Key, KeyLookup, KeySelector, Platform, PublicKey},
    limits::{ANSWER_MS_MAX, JWKS_BYTES_MAX},
    service_url::ServiceUrl,
};
use worker::console_error;

use crate::{
    outbound::{self, Ask},
    platform, signature,
};

thread_local! {
    static PROVIDERS: RefCell<BTreeMap<ServiceUrl, IdentityProvider>> = const { RefCell::new(BTreeMap::new()) };
}

/// How often to look whether what a request waits for has been fetched.
const WAIT_MS: u64 = 10;

/// How long the cache may take, which is there to save time.
const CACHE_MS_MAX: u64 = 1_000;

/// How long the data centre keeps a provider's keys: as long as they may be used.
const SHARED_SECONDS: u32 = 24 * 60 * 60;

/// Checks tokens with what the runtime has.
pub struct Runtime<S> {
    outlive: S,
}

impl<S: Fn(LocalBoxFuture<'static, ()>)> Runtime<S> {
    /// `outlive` does a task to its end, whatever becomes of the request that it is for.
    pub fn new(outlive: S) -> Self {
        Self { outlive }
    }
}

impl<S: Fn(LocalBoxFuture<'static, ()>)> Platform for Runtime<S> {
    async fn holds(&self, key: &PublicKey, signed: &[u8], signature: &[u8]) -> bool {
        signature::holds(key, signed, signature).await
    }

    async fn provided(
        &self,
        address: &ServiceUrl,
        signer: &KeySelector,
    ) -> Result<Vec<Rc<Key>>, Refusal> {
        loop {
            let now = platform::now();
            match with_provider(address, |provider| provider.look_up(signer, now)) {
                KeyLookup::Found(keys) => return Ok(keys),
                KeyLookup::Refused(refusal) => return Err(refusal),
                KeyLookup::Wait => platform::wait_ms(WAIT_MS).await,
                // Others wait for it too, so that it does not end with the one who asked first.
                KeyLookup::Fetch => {
                    let (address, signer) = (address.clone(), signer.clone());
                    (self.outlive)(Box::pin(async move { fetch(&address, &signer).await }));
                }
            }
        }
    }
}

/// Brings a provider's keys up to date, from the data centre's cache if that will do.
async fn fetch(address: &ServiceUrl, signer: &KeySelector) {
    let url = shared_at(address);
    let shared = platform::within_ms(CACHE_MS_MAX, platform::cached(&url)).await;
    let now = platform::now();
    if shared.flatten().is_some_and(|shared| {
        with_provider(address, |provider| provider.adopt(&shared, signer, now))
    }) {
        return;
    }
    let set = set_of(address).await;
    let now = platform::now();
    let is_set = set.is_some();
    let is_usable = with_provider(address, |provider| provider.fetched(set, now));
    if is_set && !is_usable {
        console_error!("JWKS_URL answered with no key that can be used");
    }
    if let Some(keys) = with_provider(address, |provider| provider.share()).filter(|_| is_usable) {
        platform::cache(&url, &keys, SHARED_SECONDS).await;
    }
}

/// What the address answers.
async fn set_of(address: &ServiceUrl) -> Option<String> {
    let ask = Ask {
        body: None,
        headers: &[("accept", "application/jwk-set+json, application/json")],
        bytes_max: JWKS_BYTES_MAX,
        timeout_ms: ANSWER_MS_MAX,
    };
    match outbound::ask(address, ask).await {
        // What is not UTF-8 is no JSON either, and is told of as that.
        Ok(answer) if answer.status == 200 => {
            return Some(String::from_utf8_lossy(&answer.body).into_owned());
        }
        Ok(answer) => console_error!("JWKS_URL answered {}", answer.status),
        Err(why) => console_error!("JWKS_URL {why}"),
    }
    None
}

/// Where the cache has an address's keys. Nobody but this Worker reads or writes there.
fn shared_at(address: &ServiceUrl) -> String {
    let address = js_sys::encode_uri_component(address.as_str());
    format!("https://snug.invalid/jwks?of={}", String::from(address))
}

fn with_provider<T>(address: &ServiceUrl, body: impl FnOnce(&mut IdentityProvider) -> T) -> T {
    PROVIDERS.with_borrow_mut(|providers| body(providers.entry(address.clone()).or_default()))
}
