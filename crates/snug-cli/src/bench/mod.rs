//! `snug bench`: puts the same load on several servers, in turns, and writes a report.

mod client;
mod counters;
mod delivery_check;
mod fixed_rate;
mod measure;
mod metric;
mod payload;
mod plan;
mod process;
mod progress;
mod protocol;
mod report;
mod results;
mod run;
mod scenario;
mod scenarios;
mod server;
mod setup;
mod socket;
mod stats;
mod swarm;
mod target;
mod token;

use std::process::ExitCode;

use anyhow::Result;
use tokio::{runtime, signal, task::LocalSet};

pub use self::plan::Args;
use self::plan::Plan;

/// The exit code that a shell reports for a program ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Runs the benchmark. The exit code is a failure if a run failed, or if Snug lost, duplicated, misordered or did not
/// store a message.
pub fn run(args: Args) -> Result<ExitCode> {
    let plan = Plan::new(args)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            result = plan.run() => result,
            _ = signal::ctrl_c() => Ok(ExitCode::from(INTERRUPTED)),
        }
    })
}
