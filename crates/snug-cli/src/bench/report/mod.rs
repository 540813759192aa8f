//! The report: everything as JSON, the gist as Markdown, and a picture of it.

mod chart;
mod json;
pub mod markdown;
mod svg;

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::results::Results;

/// Writes all files of the report into a folder.
pub fn write(results: &Results, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for (name, text) in [
        ("results.json", json::write(results)?),
        ("results.md", markdown::write(results)),
        ("chart.svg", chart::write(results)),
    ] {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}
