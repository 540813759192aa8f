//! `snug`: what is done with Snug on the command line.

mod bench;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Snug on the command line.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Compare Snug with other servers, by the same load on each.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Bench(args) => bench::run(args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("snug: {error:#}");
        ExitCode::FAILURE
    })
}
