//! Times in seconds since 1970, which may have a fraction: the NumericDate of RFC 7519, section 2.

use serde_json::value::RawValue;

use crate::{ids::Timestamp, limits::TIME_SECONDS_MAX, protocol::json};

/// Reads a time in seconds.
///
/// # Errors
///
/// What is wrong with it, for a person. `name` is the name of the claim or option.
pub fn read(name: &str, raw: &RawValue) -> Result<f64, String> {
    let found = match json::number(raw) {
        Some(seconds) if seconds < 0.0 => "negative",
        Some(seconds) if seconds <= TIME_SECONDS_MAX as f64 => return Ok(seconds),
        Some(_) => "larger, as milliseconds would be",
        None => json::kind(raw),
    };
    Err(format!("{}; it is {found}", expected(name)))
}

/// Returns what such a time has to be.
pub fn expected(name: &str) -> String {
    format!("'{name}' must be a number (seconds since 1970, less than 10^12)")
}

/// Returns the nearest millisecond.
pub fn to_nearest_ms(seconds: f64) -> Timestamp {
    Timestamp((seconds * 1000.0).round() as u64)
}
