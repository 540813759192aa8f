//! The report: all results as JSON, a summary in Markdown, and a chart of the ratios.

mod chart;
mod json;
pub mod markdown;
mod svg;

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::results::Results;

/// Writes all files of the report to a folder.
pub fn write(results: &Results, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (name, text) in [
        ("results.json", json::write(results)?),
        ("results.md", markdown::write(results)),
        ("chart.svg", chart::write(results)),
    ] {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
