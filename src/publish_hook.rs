//! Messages judged: the application at `PUBLISH_URL` says what may be stored.

use snug_core::{
    Config,
    backend::publish_hook::{Decision, HookRequest},
    limits::{HOOK_RESPONSE_BYTES_MAX, HOOK_TIMEOUT_MS},
};
use worker::console_error;

use crate::{
    outbound::{self, Ask},
    platform,
};

/// Asks the application. Where it says nothing that can be used, the log tells why.
pub async fn ask(config: &Config, question: &HookRequest) -> Option<Vec<Decision>> {
    let asked = try_ask(config, question).await;
    asked
        .inspect_err(|why| console_error!("PUBLISH_URL {why}"))
        .ok()
}

async fn try_ask(config: &Config, question: &HookRequest) -> Result<Vec<Decision>, String> {
    let back_end = &config.back_end;
    let (Some(address), Some(signer)) = (&back_end.judge, &back_end.signer) else {
        return Err("is not set".into());
    };
    let now = platform::now();
    let id = platform::random().map_err(|error| format!("was not asked: {error}"))?;
    let body = question.body(&platform::iso(now));
    let signed = signer.headers(&format!("{id:016x}"), &body, now);
    let mut headers = vec![
        ("content-type", "application/json"),
        ("accept", "application/json"),
    ];
    headers.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
    let ask = Ask {
        body: Some(&body),
        headers: &headers,
        bytes_max: HOOK_RESPONSE_BYTES_MAX,
        timeout_ms: HOOK_TIMEOUT_MS,
    };
    let answer = outbound::ask(address, ask).await?;
    question.read_answer(answer.status, &answer.body)
}
