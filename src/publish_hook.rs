//! Calls the publish hook: the application at `PUBLISH_URL` decides about messages.

use snug_core::{
    Config,
    backend::publish_hook::{Decision, HookRequest},
    limits::{HOOK_RESPONSE_BYTES_MAX, HOOK_TIMEOUT_MS},
};
use worker::console_error;

use crate::{
    outbound::{self, ServiceRequest},
    platform,
};

/// Calls the publish hook and returns its decisions, or logs why there are none.
pub async fn call(config: &Config, request: &HookRequest) -> Option<Vec<Decision>> {
    let called = try_call(config, request).await;
    called
        .inspect_err(|why| console_error!("PUBLISH_URL {why}"))
        .ok()
}

async fn try_call(config: &Config, request: &HookRequest) -> Result<Vec<Decision>, String> {
    let backend = &config.backend;
    let (Some(address), Some(signer)) = (&backend.publish_hook, &backend.signer) else {
        return Err("is not set".into());
    };
    let now = platform::now();
    let id = platform::random().map_err(|error| format!("was not called: {error}"))?;
    let body = request.body(&platform::iso(now));
    let signed = signer.headers(&format!("{id:016x}"), &body, now);
    let mut headers = vec![
        ("content-type", "application/json"),
        ("accept", "application/json"),
    ];
    headers.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
    let outbound = ServiceRequest {
        body: Some(&body),
        headers: &headers,
        bytes_max: HOOK_RESPONSE_BYTES_MAX,
        timeout_ms: HOOK_TIMEOUT_MS,
    };
    let response = outbound::send(address, outbound).await?;
    request.read_response(response.status, &response.body)
}
