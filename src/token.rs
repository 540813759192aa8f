//! Verifies tokens: gets the keys and the checks of signatures that the core asks for.

use futures::future::LocalBoxFuture;
use snug_core::{
    Refusal,
    auth::token::{Claims, Step, TokenRules, Verification},
    secret::Secret,
};
use worker::Env;

use crate::{config, jwks, platform, signature};

/// Verifies a token and returns its claims. `run_to_end` runs a task to its end, even if its request ends
/// first.
///
/// # Errors
///
/// `token_invalid`, `token_expired` or `token_not_yet_valid`; `auth_unavailable` if keys could not be
/// fetched.
pub async fn verify(
    Secret(token): &Secret,
    rules: &TokenRules,
    run_to_end: impl Fn(LocalBoxFuture<'static, ()>),
) -> Result<Claims, Refusal> {
    let mut verification = Verification::start(token, rules, platform::now())?;
    loop {
        match verification.next_step() {
            Step::GetKeys { provider, selector } => {
                verification.set_keys(jwks::keys_of(provider, &selector, &run_to_end).await?);
            }
            Step::CheckSignature {
                key,
                signed,
                signature,
            } => {
                let holds = match key.public() {
                    Some(key) => signature::holds(key, signed, &signature).await,
                    None => false,
                };
                verification.set_checked(holds);
            }
            Step::Done(result) => return result,
        }
    }
}

/// Verifies a token that a connected client sent, by the deployment's settings of now. `run_to_end` is that
/// of [`verify`].
///
/// # Errors
///
/// Those of [`verify`], and `misconfigured`.
pub async fn verify_new(
    env: &Env,
    token: &Secret,
    run_to_end: impl Fn(LocalBoxFuture<'static, ()>),
) -> Result<Claims, Refusal> {
    let config = config::load(env)?;
    verify(token, &config.admission.tokens, run_to_end).await
}
