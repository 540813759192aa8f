//! The cache that the isolates of a data center share.

use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use worker::{
    console_warn,
    wasm_bindgen_futures::{self, JsFuture},
    web_sys,
};

// worker-rs has a `Cache`, but it takes and returns its own requests and responses, which are costly to
// build.
#[wasm_bindgen]
extern "C" {
    type RawCache;

    #[wasm_bindgen(catch, js_namespace = caches, js_name = open)]
    async fn open_cache(name: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = match)]
    async fn find(this: &RawCache, url: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    async fn put(
        this: &RawCache,
        url: &str,
        response: &web_sys::Response,
    ) -> Result<JsValue, JsValue>;
}

/// Returns a text from the cache that the isolates of a data center share, or `None` if there is
/// no such cache.
pub async fn cached(url: &str) -> Option<String> {
    let cache = shared_cache().await.ok()?;
    let response = cache.find(url).await.ok()?;
    let response: web_sys::Response = response.dyn_into().ok()?;
    JsFuture::from(response.text().ok()?)
        .await
        .ok()?
        .as_string()
}

/// Stores a text in the shared cache.
pub async fn cache(url: &str, text: &str, seconds: u32) {
    // The error is not logged, because it contains the URL.
    if try_cache(url, text, seconds).await.is_err() {
        console_warn!("cache: not written");
    }
}

async fn try_cache(url: &str, text: &str, seconds: u32) -> Result<(), JsValue> {
    let response = web_sys::Response::new_with_opt_str(Some(text))?;
    let max_age = format!("max-age={seconds}");
    response.headers().set("cache-control", &max_age)?;
    shared_cache().await?.put(url, &response).await?;
    Ok(())
}

async fn shared_cache() -> Result<RawCache, JsValue> {
    Ok(open_cache("snug").await?.unchecked_into())
}
