//! Requests to other services. They are bounded in time and bytes, and do not follow redirects, so
//! that Snug sends data only to the configured addresses.

use js_sys::{Object, Reflect};
use snug_core::{
    application::{Application, Place},
    service_url::ServiceUrl,
};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use web_sys::{AbortSignal, RequestInit, RequestRedirect, Response};
use worker::{Env, wasm_bindgen_futures};

use crate::body;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch)]
    async fn fetch(url: &str, init: &RequestInit) -> Result<JsValue, JsValue>;

    /// A service binding. worker-rs's does not take a signal.
    type Service;

    #[wasm_bindgen(method, catch, js_name = fetch)]
    async fn call(this: &Service, url: &str, init: &RequestInit) -> Result<JsValue, JsValue>;
}

const UNREACHED: &str = "could not be reached, or took too long";

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

/// Sends a request to a URL.
///
/// # Errors
///
/// A short reason if there is no usable response. The platform's own error is not returned, because
/// it contains the address, which may contain a secret.
pub async fn send(
    address: &ServiceUrl,
    request: ServiceRequest<'_>,
) -> Result<ServiceResponse, &'static str> {
    let init = to_init(&request).map_err(|_| UNREACHED)?;
    read(fetch(address.as_str(), &init).await, &request).await
}

/// Sends a request to the application.
///
/// # Errors
///
/// A reason for the log if there is no usable response.
pub async fn call(
    application: &Application,
    env: &Env,
    request: ServiceRequest<'_>,
) -> Result<ServiceResponse, String> {
    let response = match &application.place {
        Place::Url(address) => send(address, request).await,
        Place::Binding => call_binding(application.setting, env, request).await,
    };
    response.map_err(|why| format!("{} {why}", application.setting))
}

async fn call_binding(
    name: &str,
    env: &Env,
    request: ServiceRequest<'_>,
) -> Result<ServiceResponse, &'static str> {
    let init = to_init(&request).map_err(|_| UNREACHED)?;
    let service = Reflect::get(env, &name.into()).map_err(|_| UNREACHED)?;
    let service: Service = service.unchecked_into();
    // No server has this name (RFC 6761, section 6.4). The path says what is called.
    let url = format!("https://snug.invalid/{}", name.to_ascii_lowercase());
    read(service.call(&url, &init).await, &request).await
}

async fn read(
    response: Result<JsValue, JsValue>,
    request: &ServiceRequest<'_>,
) -> Result<ServiceResponse, &'static str> {
    let response: Response = response.map_err(|_| UNREACHED)?.unchecked_into();
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
