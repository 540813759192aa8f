//! Requests to other services. They are bounded in time and bytes, and do not follow redirects, so
//! that Snug sends data only to the configured addresses.

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

/// A request to another service.
pub struct ServiceRequest<'a> {
    /// The body. The method is `POST` with a body, `GET` without.
    pub body: Option<&'a str>,
    /// The headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The size limit of the response body. If 0, the body is not read.
    pub bytes_max: usize,
    /// The time limit for the whole exchange.
    pub timeout_ms: u32,
}

/// The response of another service.
pub struct ServiceResponse {
    /// The HTTP status.
    pub status: u16,
    /// The body, which is read only if the status is 200.
    pub body: Vec<u8>,
    /// The seconds of a `Retry-After` header.
    pub retry_after_s: Option<u64>,
}

/// Sends a request.
///
/// # Errors
///
/// A short reason if there is no usable response. The platform's own error is not returned, because
/// it contains the address, which may contain a secret.
pub async fn send(
    address: &ServiceUrl,
    request: ServiceRequest<'_>,
) -> Result<ServiceResponse, &'static str> {
    const UNREACHED: &str = "could not be reached, or took too long";
    let init = to_init(&request).map_err(|_| UNREACHED)?;
    let response = fetch(address.as_str(), &init)
        .await
        .map_err(|_| UNREACHED)?;
    let response: Response = response.unchecked_into();
    let status = response.status();
    let retry_after = response.headers().get("retry-after").ok().flatten();
    let retry_after_s = retry_after.and_then(|seconds| seconds.parse().ok());
    let Some(stream) = response.body() else {
        return Ok(ServiceResponse {
            status,
            body: Vec::new(),
            retry_after_s,
        });
    };
    if status != 200 || request.bytes_max == 0 {
        let _cancelled = stream.cancel();
        return Ok(ServiceResponse {
            status,
            body: Vec::new(),
            retry_after_s,
        });
    }
    let body = body::read(&stream, request.bytes_max)
        .await
        .map_err(|_| UNREACHED)?
        .ok_or("answered with a body that is too long")?;
    Ok(ServiceResponse {
        status,
        body: body.to_vec(),
        retry_after_s,
    })
}

fn to_init(request: &ServiceRequest<'_>) -> Result<RequestInit, JsValue> {
    let init = RequestInit::new();
    init.set_method(if request.body.is_some() {
        "POST"
    } else {
        "GET"
    });
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&AbortSignal::timeout_with_u32(request.timeout_ms)));
    let headers = Object::new();
    // The platform sends no User-Agent, and some servers reject requests without one.
    Reflect::set(&headers, &"user-agent".into(), &USER_AGENT.into())?;
    for (name, value) in request.headers {
        Reflect::set(&headers, &(*name).into(), &(*value).into())?;
    }
    init.set_headers(&headers);
    if let Some(body) = request.body {
        init.set_body(&body.into());
    }
    Ok(init)
}
