//! Shows the progress of the benchmark: a progress bar on a terminal, lines elsewhere.

use std::{
    io::{IsTerminal, stderr},
    time::Duration,
};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    measure::Outcome,
    metric::format_figure,
    scenario::{Row, Scenario},
};

/// The progress of the benchmark, in seconds of expected time, because scenarios differ in length.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Starts the display, for a benchmark that should take this long.
    pub fn new(seconds: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(seconds), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:30} {percent:>3} %, {eta} left  {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        let progress = Self { bar };
        progress.line(format!("This takes about {} min.", seconds.div_ceil(60)));
        progress
    }

    /// Shows that a run begins.
    pub fn begin(&self, scenario: &Scenario, row: Row, round: usize, rounds: usize) {
        let round = round + 1;
        let what = format!(
            "{}: {}, round {round} of {rounds}",
            scenario.name,
            row.title()
        );
        if stderr().is_terminal() {
            self.bar.set_message(what);
        } else {
            self.line(format!("… {what}"));
        }
    }

    /// Shows the results of a run that was expected to take `seconds`.
    pub fn end(&self, scenario: &Scenario, row: Row, seconds: u64, outcome: &Result<Outcome>) {
        self.bar.inc(seconds);
        let what = format!("{}: {}", scenario.name, row.title());
        match outcome {
            Ok(outcome) => {
                let figures = scenario.metrics.iter().filter_map(|metric| {
                    let figure = outcome.figures.get(metric)?;
                    Some(format!("{} {}", format_figure(*figure), metric.title()))
                });
                let figures: Vec<_> = figures.collect();
                self.line(format!("✓ {what}: {}", figures.join(", ")));
            }
            Err(error) => self.line(format!("✗ {what}: {error:#}")),
        }
    }

    /// Removes the progress bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn line(&self, text: String) {
        self.bar.suspend(|| eprintln!("{text}"));
    }
}
