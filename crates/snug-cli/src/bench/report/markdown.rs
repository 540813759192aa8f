//! The report for people: ratios first, then what they are made of.

use crate::bench::{
    bar::Bound,
    metric::shown,
    results::{Ratio, Results, RowResults, ScenarioResults},
    server::Kind,
    setup::Setup,
    stats::Spread,
};

/// The whole report.
pub fn write(results: &Results) -> String {
    let mut parts = vec![head(&results.setup)];
    let ratios: Vec<_> = results.ratios().map(|ratio| ratio_row(&ratio)).collect();
    if !ratios.is_empty() {
        let columns = [
            "scenario",
            "figure",
            "Snug",
            "the other",
            "ratio",
            "bar",
            "",
        ];
        parts.push(format!("## Ratios\n\n{}", table(&columns, &ratios)));
    }
    parts.push("## Figures".into());
    parts.extend(results.scenarios.iter().map(figures));
    parts.push(size(&results.setup));
    parts.join("\n\n") + "\n"
}

fn head(setup: &Setup) -> String {
    let Setup {
        rounds,
        seconds,
        facts,
    } = setup;
    let version = |(name, version): (&String, &Option<String>)| {
        version.as_ref().map(|version| format!("{name} {version}"))
    };
    let versions: Vec<_> = facts.versions.iter().filter_map(version).collect();
    format!(
        "# Benchmark\n\n\
         {}, on {} cores of {}, with {}.\n\
         Rounds of {seconds} s, {rounds} at most; the median, with the least and the most in parentheses.\n\
         A ratio is of two figures of the same round, and then the median of all rounds.\n\
         The load comes from the same machine, and the last column says how much of a core it used.",
        facts.date,
        facts.cores,
        facts.cpu,
        versions.join(", "),
    )
}

fn ratio_row(ratio: &Ratio) -> Vec<String> {
    let other = ratio.bar.against.title();
    vec![
        ratio.scenario.title.into(),
        ratio.bar.metric.title().into(),
        shown(ratio.snug.median),
        format!("{} ({other})", shown(ratio.other.median)),
        format!("**{}×**{}", shown(ratio.ratio.median), range(&ratio.ratio)),
        match ratio.bar.bound {
            Bound::AtLeast(least) => format!("≥ {least}×"),
            Bound::AtMost(most) => format!("≤ {most}×"),
        },
        if ratio.is_met() {
            "pass"
        } else {
            "falls short"
        }
        .into(),
    ]
}

fn figures(results: &ScenarioResults) -> String {
    let scenario = results.scenario;
    let mut columns = vec!["server"];
    for metric in scenario.shows {
        columns.push(metric.title());
        columns.extend(scenario.baseline.map(|_| "by the first"));
    }
    columns.extend(["faults", "generator"]);
    let rows: Vec<_> = results
        .rows
        .iter()
        .map(|row| figures_row(results, row))
        .collect();
    format!(
        "### {}\n\n{}.\n\n{}",
        scenario.title,
        scenario.about,
        table(&columns, &rows)
    )
}

fn figures_row(results: &ScenarioResults, row: &RowResults) -> Vec<String> {
    let mut cells = vec![row.title.clone()];
    let cell = |spread: Option<Spread>, unit| {
        spread.map_or("–".into(), |spread| {
            format!("{}{unit}{}", shown(spread.median), range(&spread))
        })
    };
    for metric in results.scenario.shows {
        cells.push(cell(row.spread(*metric), ""));
        if results.scenario.baseline.is_some() {
            cells.push(cell(results.by_baseline(row, *metric), "×"));
        }
    }
    cells.push(match row.failures.len() {
        0 => row.faults().to_string(),
        failed => format!("{}; {failed} failed", row.faults()),
    });
    let percent = |spread: Spread| format!("{:.0} %", spread.median * 100.0);
    cells.push(row.generator_cpu().map_or("–".into(), percent));
    cells
}

/// The least and the most, where there are several.
fn range(spread: &Spread) -> String {
    if spread.min == spread.max {
        return String::new();
    }
    format!(" ({}–{})", shown(spread.min), shown(spread.max))
}

fn size(setup: &Setup) -> String {
    let kilobytes = |bytes: u64| shown(bytes as f64 / 1000.0);
    format!(
        "### Size\n\n{}'s Wasm has {} kB, {} kB gzipped.",
        Kind::Snug.title(),
        kilobytes(setup.facts.wasm_bytes),
        kilobytes(setup.facts.wasm_gzipped_bytes),
    )
}

fn table(columns: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let columns: Vec<_> = columns.iter().map(|&column| column.to_owned()).collect();
    let mut lines = vec![line(&columns), format!("|{}", "---|".repeat(columns.len()))];
    lines.extend(rows.iter().map(|row| line(row)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::tests::{example, sign_ins};

    #[test]
    fn compares_with_the_baseline_where_there_is_one() {
        let report = write(&sign_ins());
        let lines = [
            "| server | joins a second | by the first | CPU a join (µs) | by the first | faults | generator |",
            "| Snug, without a check | 1,000 (800–1,200) | 1.00× | – | – | none | – |",
            "| Snug, RS256 | 900 (600–900) | 0.750× (0.750–0.900) | – | – | none | – |",
        ];
        for line in lines {
            assert!(report.contains(line), "{line}\nis not in\n{report}");
        }
    }

    #[test]
    fn tells_ratios_first_and_then_figures() {
        let report = write(&example());
        let lines = [
            "2026-01-31, on 4 cores of A fast one, with node 24.0.0, partyserver 0.5.0.",
            "## Ratios",
            "| Busy room | deliveries a second | 500,000 | 24,000 (PartyServer) | **21.0×** (20.0–25.0) | ≥ 20× | pass |",
            "| Busy room | CPU a delivery (µs) | 1.25 | 40.0 (PartyServer) | **0.031×** | ≤ 0.05× | pass |",
            "## Figures",
            "### Busy room",
            "| server | deliveries a second | CPU a delivery (µs) | faults | generator |",
            "| Snug | 500,000 (420,000–600,000) | 1.25 | none | 25 % |",
            "Snug's Wasm has 500 kB, 200 kB gzipped.",
        ];
        let mut rest = report.as_str();
        for line in lines {
            let (_, after) = rest
                .split_once(line)
                .unwrap_or_else(|| panic!("{line}\nis not in\n{rest}"));
            rest = after;
        }
    }
}
