//! All results, as JSON.

use anyhow::Result;

use crate::bench::results::Results;

pub fn write(results: &Results) -> Result<String> {
    Ok(serde_json::to_string_pretty(results)? + "\n")
}
