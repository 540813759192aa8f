//! Everything that was measured, and what it comes to.

use anyhow::Result;
use serde::Serialize;

use super::{
    bar::Bar,
    ledger::Faults,
    measure::Outcome,
    metric::Metric,
    scenario::{Row, Scenario},
    server::Kind,
    setup::Setup,
    stats::Spread,
};

/// What the report is made of.
#[derive(Serialize)]
pub struct Results {
    pub setup: Setup,
    pub scenarios: Vec<ScenarioResults>,
}

/// The results of one scenario.
#[derive(Serialize)]
pub struct ScenarioResults {
    #[serde(skip)]
    pub scenario: &'static Scenario,
    pub name: &'static str,
    pub about: &'static str,
    pub rows: Vec<RowResults>,
}

/// The results of one server in a scenario.
#[derive(Serialize)]
pub struct RowResults {
    #[serde(skip)]
    pub row: Row,
    pub title: String,
    /// Nothing where the run failed.
    pub rounds: Vec<Option<Outcome>>,
    pub failures: Vec<String>,
}

/// Snug by another server, in one metric.
pub struct Ratio {
    pub scenario: &'static Scenario,
    pub bar: &'static Bar,
    pub snug: Spread,
    pub other: Spread,
    /// Of the ratios within each round.
    pub ratio: Spread,
}

impl Results {
    pub fn new(setup: Setup) -> Self {
        let scenarios = Vec::new();
        Self { setup, scenarios }
    }

    /// Adds what a run gave. A row's runs are added round by round.
    pub fn add(&mut self, scenario: &'static Scenario, row: Row, run: Result<Outcome>) {
        let known = self
            .scenarios
            .iter()
            .position(|one| one.name == scenario.name);
        let known = known.unwrap_or_else(|| {
            self.scenarios.push(ScenarioResults {
                scenario,
                name: scenario.name,
                about: scenario.about,
                rows: Vec::new(),
            });
            self.scenarios.len() - 1
        });
        self.scenarios[known].add(row, run);
    }

    /// Every ratio that has a bar, where both servers have run.
    pub fn ratios(&self) -> impl Iterator<Item = Ratio> {
        self.scenarios.iter().flat_map(|scenario| {
            let bars = scenario.scenario.bars.iter();
            bars.filter_map(|bar| scenario.ratio(bar))
        })
    }

    /// What must not be: runs that failed, and messages that Snug did not deliver as it promises.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for scenario in &self.scenarios {
            for row in &scenario.rows {
                let who = format!("{}, {}", scenario.name, row.title);
                complaints.extend(row.failures.iter().map(|why| format!("{who}: {why}")));
                let faults = row.faults();
                if row.row.server == Kind::Snug && !faults.is_none() {
                    complaints.push(format!("{who}: {faults}"));
                }
            }
        }
        complaints
    }
}

impl ScenarioResults {
    fn add(&mut self, row: Row, run: Result<Outcome>) {
        let known = self.rows.iter().position(|one| one.row == row);
        let known = known.unwrap_or_else(|| {
            self.rows.push(RowResults {
                row,
                title: row.title(),
                rounds: Vec::new(),
                failures: Vec::new(),
            });
            self.rows.len() - 1
        });
        let results = &mut self.rows[known];
        match run {
            Ok(outcome) => results.rounds.push(Some(outcome)),
            Err(error) => {
                results.rounds.push(None);
                results.failures.push(format!("{error:#}"));
            }
        }
    }

    fn ratio(&self, bar: &'static Bar) -> Option<Ratio> {
        let snug = self.row(Row::usual(Kind::Snug))?;
        let other = self.row(Row::usual(bar.against))?;
        Some(Ratio {
            scenario: self.scenario,
            bar,
            snug: snug.spread(bar.metric)?,
            other: other.spread(bar.metric)?,
            ratio: snug.by(other, bar.metric)?,
        })
    }

    /// A row's figures by those of the scenario's baseline.
    pub fn by_baseline(&self, row: &RowResults, metric: Metric) -> Option<Spread> {
        row.by(self.row(self.scenario.baseline?)?, metric)
    }

    fn row(&self, row: Row) -> Option<&RowResults> {
        self.rows.iter().find(|one| one.row == row)
    }
}

impl RowResults {
    /// Its figures over all rounds.
    pub fn spread(&self, metric: Metric) -> Option<Spread> {
        Spread::of(self.figures(metric).flatten())
    }

    /// Its figures by another row's of the same rounds.
    fn by(&self, other: &Self, metric: Metric) -> Option<Spread> {
        let rounds = self.figures(metric).zip(other.figures(metric));
        Spread::of(rounds.filter_map(|(own, other)| Some(own? / other?)))
    }

    /// The faults of all rounds together.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        for outcome in self.rounds.iter().flatten() {
            faults += outcome.faults;
        }
        faults
    }

    /// How much of a core the generator used.
    pub fn generator_cpu(&self) -> Option<Spread> {
        Spread::of(
            self.rounds
                .iter()
                .flatten()
                .filter_map(|outcome| outcome.generator_cpu),
        )
    }

    /// One for each round.
    fn figures(&self, metric: Metric) -> impl Iterator<Item = Option<f64>> {
        let rounds = self.rounds.iter();
        rounds.map(move |outcome| outcome.as_ref()?.figures.get(&metric).copied())
    }
}

impl Ratio {
    /// Whether Snug is as good as it should be.
    pub fn is_met(&self) -> bool {
        self.bar.bound.holds(self.ratio.median)
    }
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeMap;

    use anyhow::anyhow;

    use super::*;
    use crate::bench::{metric::Metric::*, scenario::SCENARIOS};

    const BUSY: &Scenario = &SCENARIOS[0];

    fn outcome(deliveries: f64, cpu: f64) -> Outcome {
        Outcome {
            figures: BTreeMap::from([
                (DeliveriesPerSecond, deliveries),
                (CpuMicrosPerDelivery, cpu),
            ]),
            faults: Faults::default(),
            generator_cpu: Some(0.25),
        }
    }

    /// Three rounds of a busy room.
    pub fn example() -> Results {
        let mut results = Results::new(Setup::example());
        for (snug, party) in [
            (500_000.0, 25_000.0),
            (420_000.0, 20_000.0),
            (600_000.0, 24_000.0),
        ] {
            results.add(BUSY, Row::usual(Kind::Snug), Ok(outcome(snug, 1.25)));
            results.add(
                BUSY,
                Row::usual(Kind::PartyServer),
                Ok(outcome(party, 40.0)),
            );
        }
        results
    }

    /// Three rounds of joins by tokens of one algorithm, and without.
    pub fn sign_ins() -> Results {
        let scenario = SCENARIOS.iter().find(|one| one.name == "sign-in").unwrap();
        let [unchecked, .., signed, _] = scenario.rows else {
            panic!("rows");
        };
        let joins = |joins: f64| Outcome {
            figures: BTreeMap::from([(JoinsPerSecond, joins)]),
            faults: Faults::default(),
            generator_cpu: None,
        };
        let mut results = Results::new(Setup::example());
        for (without, with) in [(1_000.0, 900.0), (800.0, 600.0), (1_200.0, 900.0)] {
            results.add(scenario, *unchecked, Ok(joins(without)));
            results.add(scenario, *signed, Ok(joins(with)));
        }
        results
    }

    #[test]
    fn a_ratio_is_of_the_same_round() {
        let results = example();
        let ratios: Vec<_> = results.ratios().collect();
        let [deliveries, cpu] = &ratios[..] else {
            panic!("one for each bar with both servers")
        };
        let spread = |median, min, max| Spread { median, min, max };
        assert_eq!(deliveries.ratio, spread(21.0, 20.0, 25.0));
        assert!(deliveries.is_met());
        assert_eq!(cpu.ratio, spread(0.03125, 0.03125, 0.03125));
        assert!(cpu.is_met());
    }

    #[test]
    fn a_round_that_failed_has_no_ratio() {
        let mut results = example();
        results.add(BUSY, Row::usual(Kind::Snug), Err(anyhow!("no upgrade")));
        results.add(BUSY, Row::usual(Kind::PartyServer), Ok(outcome(1.0, 1.0)));
        assert_eq!(results.ratios().next().unwrap().ratio.median, 21.0);
        assert_eq!(results.complaints(), ["busy, Snug: no upgrade"]);
    }

    #[test]
    fn only_snug_has_to_be_without_faults() {
        let mut results = example();
        let faults = Faults {
            lost: 2,
            unstored: 1,
            ..Faults::default()
        };
        for server in [Kind::Snug, Kind::PartyServer] {
            let outcome = Outcome {
                faults,
                ..outcome(1.0, 1.0)
            };
            results.add(BUSY, Row::usual(server), Ok(outcome));
        }
        assert_eq!(results.complaints(), ["busy, Snug: 2 lost, 1 unstored"]);
    }
}
