//! `snug bench`: the same load on several servers, in turns, and a report.

mod bar;
mod crowd;
mod dialect;
mod ledger;
mod measure;
mod metric;
mod pace;
mod plan;
mod process;
mod progress;
mod report;
mod results;
mod run;
mod scenario;
mod seat;
mod server;
mod setup;
mod socket;
mod stamp;
mod stats;
mod tally;
mod token;

use std::process::ExitCode;

use anyhow::Result;
use tokio::{runtime, signal, task::LocalSet};

pub use self::plan::Args;
use self::plan::Plan;

/// What the shell says of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Runs the benchmark. It fails where Snug lost, doubled, misplaced or did not store a message.
pub fn run(args: Args) -> Result<ExitCode> {
    let plan = Plan::new(args)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            done = plan.carry_out() => done,
            _ = signal::ctrl_c() => Ok(ExitCode::from(INTERRUPTED)),
        }
    })
}
