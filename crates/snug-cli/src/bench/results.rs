//! The results of all runs, and their ratios.

use anyhow::Result;
use serde::Serialize;

use super::{
    delivery_check::Faults,
    measure::Outcome,
    metric::Metric,
    scenario::{Row, Scenario},
    server::ServerKind,
    setup::Setup,
    stats::Spread,
    target::Target,
};

/// The data of the report.
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
    /// None for a run that failed.
    pub rounds: Vec<Option<Outcome>>,
    pub failures: Vec<String>,
}

/// A row's figure divided by another row's, for one metric.
pub struct Ratio {
    pub scenario: &'static Scenario,
    pub target: &'static Target,
    pub own: Spread,
    pub other: Spread,
    /// The spread of each round's ratio.
    pub ratio: Spread,
}

impl Results {
    pub fn new(setup: Setup) -> Self {
        let scenarios = Vec::new();
        Self { setup, scenarios }
    }

    /// Adds the result of a run. A row's runs are added round by round.
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

    /// Returns the ratio of every target for which both rows have run.
    pub fn ratios(&self) -> impl Iterator<Item = Ratio> {
        self.scenarios.iter().flat_map(|scenario| {
            let targets = scenario.scenario.targets.iter();
            targets.filter_map(|target| scenario.ratio(target))
        })
    }

    /// Returns the runs that failed, and Snug's delivery faults.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for scenario in &self.scenarios {
            for row in &scenario.rows {
                let name = format!("{}, {}", scenario.name, row.title);
                problems.extend(row.failures.iter().map(|error| format!("{name}: {error}")));
                let faults = row.faults();
                if row.row.server == ServerKind::Snug && !faults.is_none() {
                    problems.push(format!("{name}: {faults}"));
                }
            }
        }
        problems
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

    fn ratio(&self, target: &'static Target) -> Option<Ratio> {
        let own = self.row(target.row)?;
        let other = self.row(target.against)?;
        Some(Ratio {
            scenario: self.scenario,
            target,
            own: own.spread(target.metric)?,
            other: other.spread(target.metric)?,
            ratio: own.divided_by(other, target.metric)?,
        })
    }

    /// Returns a row's figures divided by those of the scenario's baseline.
    pub fn relative_to_baseline(&self, row: &RowResults, metric: Metric) -> Option<Spread> {
        row.divided_by(self.row(self.scenario.baseline?)?, metric)
    }

    fn row(&self, row: Row) -> Option<&RowResults> {
        self.rows.iter().find(|one| one.row == row)
    }
}

impl RowResults {
    /// Returns the spread of a metric over all rounds.
    pub fn spread(&self, metric: Metric) -> Option<Spread> {
        Spread::of(self.figures(metric).flatten())
    }

    /// Returns the spread of a metric divided by another row's in the same round, unless that is 0.
    fn divided_by(&self, other: &Self, metric: Metric) -> Option<Spread> {
        let rounds = self.figures(metric).zip(other.figures(metric));
        Spread::of(
            rounds.filter_map(|(own, other)| Some(own? / other.filter(|&other| other > 0.0)?)),
        )
    }

    /// Returns the sum of the faults of all rounds.
    pub fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        for outcome in self.rounds.iter().flatten() {
            faults += outcome.faults;
        }
        faults
    }

    /// Returns the share of a CPU core that the load generator used.
    pub fn generator_cpu(&self) -> Option<Spread> {
        Spread::of(
            self.rounds
                .iter()
                .flatten()
                .filter_map(|outcome| outcome.generator_cpu),
        )
    }

    /// Returns a metric's figure in each round.
    fn figures(&self, metric: Metric) -> impl Iterator<Item = Option<f64>> {
        let rounds = self.rounds.iter();
        rounds.map(move |outcome| outcome.as_ref()?.figures.get(&metric).copied())
    }
}

impl Ratio {
    /// Returns true if Snug meets the target.
    pub fn is_met(&self) -> bool {
        self.target.bound.is_met_by(self.ratio.median)
    }
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeMap;

    use anyhow::anyhow;

    use super::*;
    use crate::bench::{metric::Metric::*, scenarios::SCENARIOS};

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

    /// Returns the results of three rounds of a busy room.
    pub fn example() -> Results {
        let mut results = Results::new(Setup::example());
        for (snug, party) in [
            (500_000.0, 25_000.0),
            (420_000.0, 20_000.0),
            (600_000.0, 24_000.0),
        ] {
            results.add(BUSY, Row::usual(ServerKind::Snug), Ok(outcome(snug, 1.25)));
            results.add(
                BUSY,
                Row::usual(ServerKind::PartyServer),
                Ok(outcome(party, 40.0)),
            );
        }
        results
    }

    /// Returns the results of three rounds of joins, with tokens of one algorithm and without authentication.
    pub fn sign_in_example() -> Results {
        let scenario = SCENARIOS.iter().find(|one| one.name == "sign-in").unwrap();
        let [no_auth, .., signed, _] = scenario.rows else {
            panic!("too few rows");
        };
        let joins = |joins: f64| Outcome {
            figures: BTreeMap::from([(JoinsPerSecond, joins)]),
            faults: Faults::default(),
            generator_cpu: None,
        };
        let mut results = Results::new(Setup::example());
        for (without, with) in [(1_000.0, 900.0), (800.0, 600.0), (1_200.0, 900.0)] {
            results.add(scenario, *no_auth, Ok(joins(without)));
            results.add(scenario, *signed, Ok(joins(with)));
        }
        results
    }

    #[test]
    fn divides_figures_of_the_same_round() {
        let results = example();
        let ratios: Vec<_> = results.ratios().collect();
        let [deliveries, cpu] = &ratios[..] else {
            panic!("two targets have both rows")
        };
        let spread = |median, min, max| Spread { median, min, max };
        assert_eq!(deliveries.ratio, spread(21.0, 20.0, 25.0));
        assert!(deliveries.is_met());
        assert_eq!(cpu.ratio, spread(0.03125, 0.03125, 0.03125));
        assert!(cpu.is_met());
    }

    #[test]
    fn leaves_failed_rounds_out_of_ratios() {
        let mut results = example();
        results.add(
            BUSY,
            Row::usual(ServerKind::Snug),
            Err(anyhow!("the server refused the WebSocket upgrade")),
        );
        results.add(
            BUSY,
            Row::usual(ServerKind::PartyServer),
            Ok(outcome(1.0, 1.0)),
        );
        assert_eq!(results.ratios().next().unwrap().ratio.median, 21.0);
        assert_eq!(
            results.problems(),
            ["busy, Snug: the server refused the WebSocket upgrade"]
        );
    }

    #[test]
    fn divides_nothing_by_zero() {
        let scenario = SCENARIOS.iter().find(|one| one.name == "sidebar").unwrap();
        let mut results = Results::new(Setup::example());
        for (row, calls) in scenario.rows.iter().zip([0.0, 0.1]) {
            let outcome = Outcome {
                figures: BTreeMap::from([(CallsPerDelivery, calls)]),
                faults: Faults::default(),
                generator_cpu: None,
            };
            results.add(scenario, *row, Ok(outcome));
        }
        let sidebar = &results.scenarios[0];
        let gateways = &sidebar.rows[1];
        assert_eq!(gateways.spread(CallsPerDelivery).unwrap().median, 0.1);
        assert_eq!(
            sidebar.relative_to_baseline(gateways, CallsPerDelivery),
            None
        );
    }

    #[test]
    fn reports_faults_of_snug_only() {
        let mut results = example();
        let faults = Faults {
            lost: 2,
            unstored: 1,
            ..Faults::default()
        };
        for server in [ServerKind::Snug, ServerKind::PartyServer] {
            let outcome = Outcome {
                faults,
                ..outcome(1.0, 1.0)
            };
            results.add(BUSY, Row::usual(server), Ok(outcome));
        }
        assert_eq!(results.problems(), ["busy, Snug: 2 lost, 1 unstored"]);
    }
}
