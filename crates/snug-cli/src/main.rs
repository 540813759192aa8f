//! `snug`: Snug's command-line program.

mod bench;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Snug's command-line program.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare Snug with other servers under the same load.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(args) => bench::run(args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("snug: {error:#}");
        ExitCode::FAILURE
    })
}
