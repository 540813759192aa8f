//! Snug's own requests to other servers: bounded in time and in bytes, and never redirected, so
//! that an address is asked for what it is and nothing else.

use js_sys::{Object, Reflect};
use snug_core::service_url::ServiceUrl;
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use web_sys::{AbortSignal, RequestInit, RequestRedirect, Response};
use worker::wasm_bindgen_futures;

use crate::body;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch)]
    async fn fetch(url: &str, init: &RequestInit) -> Result<JsValue, JsValue>;
}

const USER_AGENT: &str = concat!("Snug/", env!("CARGO_PKG_VERSION"));

/// What to send.
pub struct Ask<'a> {
    /// `GET`, or `POST` with a body.
    pub body: Option<&'a str>,
    /// The headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The longest answer that is read; none at all where it is 0.
    pub bytes_max: usize,
    /// How long all of it may take.
    pub timeout_ms: u32,
}

/// What came back.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What goes with 200; of another status it is not read.
    pub body: Vec<u8>,
    /// The seconds of a `Retry-After` header.
    pub retry_after_s: Option<u64>,
}

/// Asks, or tells in a few words why there is no answer. What the platform says of it is not passed
/// on, since it holds the address, and that may hold what is nobody's business.
pub async fn ask(address: &ServiceUrl, ask: Ask<'_>) -> Result<Answer, &'static str> {
    const UNREACHED: &str = "could not be reached, or took too long";
    let init = request(&ask).map_err(|_| UNREACHED)?;
    let response = fetch(address.as_str(), &init)
        .await
        .map_err(|_| UNREACHED)?;
    let response: Response = response.unchecked_into();
    let status = response.status();
    let retry_after = response.headers().get("retry-after").ok().flatten();
    let retry_after_s = retry_after.and_then(|seconds| seconds.parse().ok());
    let Some(stream) = response.body() else {
        return Ok(Answer {
            status,
            body: Vec::new(),
            retry_after_s,
        });
    };
    if status != 200 || ask.bytes_max == 0 {
        // The status says it all, and an error page may be long.
        let _cancelled = stream.cancel();
        return Ok(Answer {
            status,
            body: Vec::new(),
            retry_after_s,
        });
    }
    let body = body::read(&stream, ask.bytes_max)
        .await
        .map_err(|_| UNREACHED)?
        .ok_or("answered with more than it may")?;
    Ok(Answer {
        status,
        body,
        retry_after_s,
    })
}

fn request(ask: &Ask<'_>) -> Result<RequestInit, JsValue> {
    let init = RequestInit::new();
    init.set_method(if ask.body.is_some() { "POST" } else { "GET" });
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&AbortSignal::timeout_with_u32(ask.timeout_ms)));
    let headers = Object::new();
    // The platform sends none, and some servers refuse those who do not say who they are.
    Reflect::set(&headers, &"user-agent".into(), &USER_AGENT.into())?;
    for (name, value) in ask.headers {
        Reflect::set(&headers, &(*name).into(), &(*value).into())?;
    }
    init.set_headers(&headers);
    if let Some(body) = ask.body {
        init.set_body(&body.into());
    }
    Ok(init)
}
