//! A chart of the ratios to PartyServer, on a logarithmic scale: twice as good and half as good are equally far from
//! the middle.

use super::svg::Svg;
use crate::bench::{
    metric::format_figure,
    results::{Ratio, Results},
    server::ServerKind,
    target::Bound,
};

const WIDTH: f64 = 800.0;
/// The left and right ends of the scale. Labels are to its left, figures to its right.
const LEFT: f64 = 300.0;
const RIGHT: f64 = 730.0;
const TOP: f64 = 92.0;
const ROW: f64 = 28.0;
const BAR: f64 = 16.0;

/// Colors for light and for dark pages.
const STYLE: &str = "
text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #24292f; }
.title { font-size: 17px; font-weight: 600; }
.note { fill: #57606a; font-size: 12px; }
.grid { stroke: #d0d7de; }
.even { stroke: #57606a; }
.better { fill: #1a7f64; }
.worse { fill: #bc4c00; }
.target { stroke: #24292f; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9198a1; }
  .grid { stroke: #3d444d; }
  .even { stroke: #9198a1; }
  .better { fill: #2da884; }
  .worse { fill: #e0703a; }
  .target { stroke: #e6edf3; }
}
";

/// One bar of the chart.
struct Line {
    label: String,
    /// The factor by which Snug is better than PartyServer.
    better: f64,
    /// The factor that the target requires.
    target: f64,
}

/// Returns the chart as SVG.
pub fn write(results: &Results) -> String {
    let lines: Vec<_> = results
        .ratios()
        .filter(|ratio| ratio.target.against.server == ServerKind::PartyServer)
        .map(|ratio| Line::new(&ratio))
        .collect();
    let scale = Scale::over(&lines);
    let bottom = TOP + ROW * lines.len() as f64;
    let mut svg = Svg::new(WIDTH, bottom + 60.0, STYLE);

    svg.text(
        (20.0, 32.0),
        "title",
        "start",
        "Snug compared with PartyServer, on the same runtime",
    );
    let note = "How many times as many deliveries and joins, or how many times less CPU, latency and memory";
    svg.text((20.0, 54.0), "note", "start", note);
    for power in scale.from..=scale.to {
        let x = scale.x(f64::from(power).exp2());
        let class = if power == 0 { "even" } else { "grid" };
        svg.line((x, TOP - 4.0), (x, bottom + 4.0), class);
        svg.text((x, TOP - 12.0), "note", "middle", &tick(power));
    }
    for (row, line) in lines.iter().enumerate() {
        line.draw(&mut svg, &scale, TOP + ROW * row as f64);
    }
    let legend = bottom + 36.0;
    svg.line((24.0, legend - 11.0), (24.0, legend + 3.0), "target");
    let environment = &results.setup.environment;
    let note = format!(
        "target for Snug; medians of all rounds, {}, {} cores of {}",
        environment.date, environment.cores, environment.cpu
    );
    svg.text((34.0, legend), "note", "start", &note);
    svg.finish()
}

impl Line {
    fn new(ratio: &Ratio) -> Self {
        let (median, bound) = (ratio.ratio.median, ratio.target.bound);
        let (better, target) = match bound {
            Bound::AtLeast(least) => (median, least),
            Bound::AtMost(most) => (1.0 / median, 1.0 / most),
        };
        let metric = ratio.target.metric.title();
        let metric = metric.split_once(" (").map_or(metric, |(name, _unit)| name);
        let scenario = ratio.scenario.title;
        let scenario = match ratio.target.row.variant.title() {
            Some(variant) => format!("{scenario}, {variant}"),
            None => scenario.into(),
        };
        Self {
            label: format!("{scenario}: {metric}"),
            better,
            target,
        }
    }

    fn draw(&self, svg: &mut Svg, scale: &Scale, top: f64) {
        let text = top + ROW / 2.0 + 4.5;
        svg.text((LEFT - 14.0, text), "", "end", &self.label);
        let (even, end) = (scale.x(1.0), scale.x(self.better));
        let class = if self.better >= 1.0 {
            "better"
        } else {
            "worse"
        };
        let corner = (even.min(end), top + (ROW - BAR) / 2.0);
        svg.rectangle(corner, ((end - even).abs(), BAR), class);
        let target = scale.x(self.target);
        svg.line((target, top + 3.0), (target, top + ROW - 3.0), "target");
        let figure = format!("{}×", format_figure(self.better));
        svg.text((RIGHT + 12.0, text), "", "start", &figure);
    }
}

/// A scale of powers of two.
struct Scale {
    from: i32,
    to: i32,
}

impl Scale {
    fn over(lines: &[Line]) -> Self {
        let values = || lines.iter().flat_map(|line| [line.better, line.target]);
        let least = values().fold(0.5, f64::min);
        let most = values().fold(2.0, f64::max);
        Self {
            from: least.log2().floor() as i32,
            to: most.log2().ceil() as i32,
        }
    }

    fn x(&self, value: f64) -> f64 {
        let part = (value.log2() - f64::from(self.from)) / f64::from(self.to - self.from);
        LEFT + part * (RIGHT - LEFT)
    }
}

fn tick(power: i32) -> String {
    let factor = 2_u64.pow(power.unsigned_abs());
    if power < 0 {
        format!("1/{factor}×")
    } else {
        format!("{factor}×")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::tests::example;

    #[test]
    fn draws_a_bar_for_each_ratio() {
        let picture = write(&example());
        assert!(picture.contains(">Busy room: deliveries/s</text>"));
        assert!(picture.contains(">21.0×</text>"));
        assert!(picture.contains(">Busy room: CPU per delivery</text>"));
        assert!(picture.contains(">32.0×</text>"));
        assert_eq!(picture.matches(r#"class="better""#).count(), 2);
    }

    #[test]
    fn twice_and_half_are_equally_far_from_the_middle() {
        let scale = Scale { from: -2, to: 2 };
        assert_eq!(scale.x(2.0) - scale.x(1.0), scale.x(1.0) - scale.x(0.5));
        assert_eq!((scale.x(0.25), scale.x(4.0)), (LEFT, RIGHT));
        assert_eq!([-1, 0, 3].map(tick), ["1/2×", "1×", "8×"]);
    }
}
