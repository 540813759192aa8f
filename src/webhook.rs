//! Signs and sends a webhook delivery. The core decides about retries.

use snug_core::{
    RoomName, backend::webhook::Delivery, limits::DELIVERY_MS_MAX, room::io::DeliveryOutcome,
};
use worker::{Env, console_warn};

use crate::{
    config,
    outbound::{self, ServiceRequest},
    platform,
};

/// Sends a delivery and returns its outcome.
pub async fn send(env: &Env, room: &RoomName, delivery: &Delivery) -> DeliveryOutcome {
    let failed = |retry_after_ms| DeliveryOutcome::Failed { retry_after_ms };
    let Ok(config) = config::load(env) else {
        return failed(None);
    };
    let backend = &config.backend;
    let Some(application) = &backend.webhook else {
        return failed(None);
    };
    let now = platform::now();
    let body = delivery.body(room, &platform::iso(now));
    let signed = backend.signer.headers(&delivery.id(), &body, now);
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
    let request = ServiceRequest {
        body: Some(&body),
        headers: &headers,
        // Only the status matters.
        bytes_max: 0,
        timeout_ms: DELIVERY_MS_MAX,
    };
    match outbound::call(application, env, request).await {
        Ok(response) if (200..300).contains(&response.status) => DeliveryOutcome::Accepted,
        Ok(response) => {
            console_warn!("{} answered {}", application.setting, response.status);
            failed(
                response
                    .retry_after_s
                    .map(|seconds| seconds.saturating_mul(1000)),
            )
        }
        Err(why) => {
            console_warn!("{why}");
            failed(None)
        }
    }
}
