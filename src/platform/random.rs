//! Randomness.

use worker::Result;

/// Returns 64 random bits.
pub fn random() -> Result<u64> {
    getrandom::u64().map_err(|error| worker::Error::RustError(error.to_string()))
}
