//! The summary of the report: the ratios, then the figures of each scenario.

use crate::bench::{
    metric::format_figure,
    results::{Ratio, Results, RowResults, ScenarioResults},
    server::ServerKind,
    setup::Setup,
    stats::Spread,
    target::Bound,
};

/// Returns the summary.
pub fn write(results: &Results) -> String {
    let mut parts = vec![head(&results.setup)];
    let ratios: Vec<_> = results.ratios().map(|ratio| ratio_row(&ratio)).collect();
    if !ratios.is_empty() {
        let columns = [
            "scenario",
            "metric",
            "Snug",
            "compared with",
            "ratio",
            "target",
            "result",
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
        environment,
    } = setup;
    let version = |(name, version): (&String, &Option<String>)| {
        version.as_ref().map(|version| format!("{name} {version}"))
    };
    let versions: Vec<_> = environment.versions.iter().filter_map(version).collect();
    format!(
        "# Benchmark\n\n\
         {}, on {} cores of {}, with {}.\n\
         At most {rounds} rounds of {seconds} s each. Figures are medians, with the least and the greatest in parentheses.\n\
         A ratio divides two figures of the same round; the table shows the median of all rounds.\n\
         The load generator runs on the same machine. The last column shows how much of a CPU core it used.",
        environment.date,
        environment.cores,
        environment.cpu,
        versions.join(", "),
    )
}

fn ratio_row(ratio: &Ratio) -> Vec<String> {
    let own = format_figure(ratio.own.median);
    let other = ratio.target.against.title();
    vec![
        ratio.scenario.title.into(),
        ratio.target.metric.title().into(),
        match ratio.target.row.variant.title() {
            Some(variant) => format!("{own} ({variant})"),
            None => own,
        },
        format!("{} ({other})", format_figure(ratio.other.median)),
        format!(
            "**{}×**{}",
            format_figure(ratio.ratio.median),
            range(&ratio.ratio)
        ),
        match ratio.target.bound {
            Bound::AtLeast(least) => format!("≥ {least}×"),
            Bound::AtMost(most) => format!("≤ {most}×"),
        },
        if ratio.is_met() { "met" } else { "missed" }.into(),
    ]
}

fn figures(results: &ScenarioResults) -> String {
    let scenario = results.scenario;
    let mut columns = vec!["server"];
    for metric in scenario.metrics {
        columns.push(metric.title());
        columns.extend(scenario.baseline.map(|_| "vs. first row"));
    }
    columns.extend(["faults", "generator CPU"]);
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
            format!("{}{unit}{}", format_figure(spread.median), range(&spread))
        })
    };
    for metric in results.scenario.metrics {
        cells.push(cell(row.spread(*metric), ""));
        if results.scenario.baseline.is_some() {
            cells.push(cell(results.relative_to_baseline(row, *metric), "×"));
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

/// Returns the range, or nothing if all figures are equal.
fn range(spread: &Spread) -> String {
    if spread.min == spread.max {
        return String::new();
    }
    format!(
        " ({}–{})",
        format_figure(spread.min),
        format_figure(spread.max)
    )
}

fn size(setup: &Setup) -> String {
    let kilobytes = |bytes: u64| format_figure(bytes as f64 / 1000.0);
    format!(
        "### Size\n\n{}'s Wasm is {} kB, or {} kB gzipped.",
        ServerKind::Snug.title(),
        kilobytes(setup.environment.wasm_bytes),
        kilobytes(setup.environment.wasm_gzipped_bytes),
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
    use crate::bench::results::tests::{example, sign_in_example};

    #[test]
    fn compares_with_the_baseline_if_there_is_one() {
        let report = write(&sign_in_example());
        let lines = [
            "| server | joins/s | vs. first row | CPU per join (µs) | vs. first row | faults | generator CPU |",
            "| Snug, no authentication | 1,000 (800–1,200) | 1.00× | – | – | none | – |",
            "| Snug, RS256 | 900 (600–900) | 0.750× (0.750–0.900) | – | – | none | – |",
        ];
        for line in lines {
            assert!(report.contains(line), "{line}\nis not in\n{report}");
        }
    }

    #[test]
    fn writes_ratios_before_figures() {
        let report = write(&example());
        let lines = [
            "2026-01-31, on 4 cores of A fast one, with node 24.0.0, partyserver 0.5.0.",
            "## Ratios",
            "| Busy room | deliveries/s | 500,000 | 24,000 (PartyServer) | **21.0×** (20.0–25.0) | ≥ 20× | met |",
            "| Busy room | CPU per delivery (µs) | 1.25 | 40.0 (PartyServer) | **0.031×** | ≤ 0.05× | met |",
            "## Figures",
            "### Busy room",
            "| server | deliveries/s | CPU per delivery (µs) | faults | generator CPU |",
            "| Snug | 500,000 (420,000–600,000) | 1.25 | none | 25 % |",
            "Snug's Wasm is 500 kB, or 200 kB gzipped.",
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
