//! Calls the publish hook: the application decides about messages.

use snug_core::{
    Config,
    backend::publish_hook::{Decision, HookRequest},
    limits::{HOOK_RESPONSE_BYTES_MAX, HOOK_TIMEOUT_MS},
};
use worker::{Env, console_error};

use crate::{
    outbound::{self, ServiceRequest},
    platform,
};

/// Calls the publish hook and returns its decisions, or logs why there are none.
pub async fn call(config: &Config, env: &Env, request: &HookRequest) -> Option<Vec<Decision>> {
    let called = try_call(config, env, request).await;
    called.inspect_err(|why| console_error!("{why}")).ok()
}

async fn try_call(
    config: &Config,
    env: &Env,
    request: &HookRequest,
) -> Result<Vec<Decision>, String> {
    let backend = &config.backend;
    let Some(application) = &backend.publish_hook else {
        return Err("PUBLISH_URL is not set".into());
    };
    let name = application.setting;
    let now = platform::now();
    let id = platform::random().map_err(|error| format!("{name} was not called: {error}"))?;
    let body = request.body(&platform::iso(now));
    let signed = backend.signer.headers(&format!("{id:016x}"), &body, now);
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
    let response = outbound::call(application, env, outbound).await?;
    let decisions = request.read_response(response.status, &response.body);
    decisions.map_err(|why| format!("{name} {why}"))
}
