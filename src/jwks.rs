//! The keys of an identity provider: fetched from `JWKS_URL`, and shared by the isolates of a data
//! center.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use futures::future::LocalBoxFuture;
use snug_core::{
    Refusal,
    auth::token::{IdentityProvider, Key, KeyLookup, KeySelector},
    limits::{ANSWER_MS_MAX, JWKS_BYTES_MAX},
    service_url::ServiceUrl,
};
use worker::console_error;

use crate::{
    outbound::{self, ServiceRequest},
    platform,
};

thread_local! {
    static PROVIDERS: RefCell<BTreeMap<ServiceUrl, IdentityProvider>> = const { RefCell::new(BTreeMap::new()) };
}

/// The interval at which a waiting request checks whether the keys have been fetched.
const WAIT_MS: u64 = 10;

/// The time limit for reading the shared cache.
const CACHE_MS_MAX: u64 = 1_000;

/// The time for which the shared cache stores keys: as long as they may be used.
const SHARED_SECONDS: u32 = 24 * 60 * 60;

/// Returns the provider's keys that match the selector. `run_to_end` runs a task to its end, even if its
/// request ends first.
///
/// A request may not await a promise that another one has created, so those that wait for the same fetch
/// look again and again.
///
/// # Errors
///
/// `auth_unavailable` if the keys cannot be fetched.
pub async fn keys_of(
    provider: &ServiceUrl,
    selector: &KeySelector,
    run_to_end: &impl Fn(LocalBoxFuture<'static, ()>),
) -> Result<Vec<Rc<Key>>, Refusal> {
    loop {
        let now = platform::now();
        match with_provider(provider, |provider| provider.look_up(selector, now)) {
            KeyLookup::Found(keys) => return Ok(keys),
            KeyLookup::Refused(refusal) => return Err(refusal),
            KeyLookup::Wait => platform::wait_ms(WAIT_MS).await,
            // Other requests wait for the fetch too, so it must not end with the first one.
            KeyLookup::Fetch => {
                let (address, selector) = (provider.clone(), selector.clone());
                run_to_end(Box::pin(async move { fetch(&address, &selector).await }));
            }
        }
    }
}

/// Updates a provider's keys, from the shared cache if it has a fitting set.
async fn fetch(address: &ServiceUrl, signer: &KeySelector) {
    let url = cache_url(address);
    let shared = platform::within_ms(CACHE_MS_MAX, platform::cached(&url)).await;
    let now = platform::now();
    if shared.flatten().is_some_and(|shared| {
        with_provider(address, |provider| provider.adopt(&shared, signer, now))
    }) {
        return;
    }
    let set = fetch_key_set(address).await;
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

/// Fetches a key set, and logs why if that fails.
async fn fetch_key_set(address: &ServiceUrl) -> Option<String> {
    let request = ServiceRequest {
        body: None,
        headers: &[("accept", "application/jwk-set+json, application/json")],
        bytes_max: JWKS_BYTES_MAX,
        timeout_ms: ANSWER_MS_MAX,
    };
    match outbound::send(address, request).await {
        // A body that is not UTF-8 is not JSON either, and is logged as an unusable key set.
        Ok(response) if response.status == 200 => {
            return Some(String::from_utf8_lossy(&response.body).into_owned());
        }
        Ok(response) => console_error!("JWKS_URL answered {}", response.status),
        Err(why) => console_error!("JWKS_URL {why}"),
    }
    None
}

/// Returns the URL under which the shared cache stores an address's keys. Only this Worker uses it.
fn cache_url(address: &ServiceUrl) -> String {
    let address = js_sys::encode_uri_component(address.as_str());
    format!("https://snug.invalid/jwks?of={}", String::from(address))
}

fn with_provider<T>(address: &ServiceUrl, body: impl FnOnce(&mut IdentityProvider) -> T) -> T {
    PROVIDERS.with_borrow_mut(|providers| body(providers.entry(address.clone()).or_default()))
}
