//! A picture of the ratios: how many times better than PartyServer, on a scale where twice as good and half as
//! good are as far from the middle.

use super::svg::Svg;
use crate::bench::{
    bar::Bound,
    metric::shown,
    results::{Ratio, Results},
    server::Kind,
};

const WIDTH: f64 = 800.0;
/// Where the scale begins and ends. Figures stand right of its end, labels left of its beginning.
const LEFT: f64 = 300.0;
const RIGHT: f64 = 730.0;
const TOP: f64 = 92.0;
const ROW: f64 = 28.0;
const BAR: f64 = 16.0;

/// Colours that hold on light and on dark pages.
const STYLE: &str = "
text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #24292f; }
.title { font-size: 17px; font-weight: 600; }
.note { fill: #57606a; font-size: 12px; }
.grid { stroke: #d0d7de; }
.even { stroke: #57606a; }
.better { fill: #1a7f64; }
.worse { fill: #bc4c00; }
.bar { stroke: #24292f; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9198a1; }
  .grid { stroke: #3d444d; }
  .even { stroke: #9198a1; }
  .better { fill: #2da884; }
  .worse { fill: #e0703a; }
  .bar { stroke: #e6edf3; }
}
";

/// One line of the picture.
struct Line {
    label: String,
    /// How many times better Snug is, and should be.
    better: f64,
    bar: f64,
}

/// The whole picture.
pub fn write(results: &Results) -> String {
    let lines: Vec<_> = results
        .ratios()
        .filter(|ratio| ratio.bar.against == Kind::PartyServer)
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
    let note = "How many times more deliveries and joins, or less CPU, latency and memory";
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
    svg.line((24.0, legend - 11.0), (24.0, legend + 3.0), "bar");
    let facts = &results.setup.facts;
    let note = format!(
        "what Snug is held to; medians of rounds, {}, {} cores of {}",
        facts.date, facts.cores, facts.cpu
    );
    svg.text((34.0, legend), "note", "start", &note);
    svg.finish()
}

impl Line {
    fn new(ratio: &Ratio) -> Self {
        let (median, bound) = (ratio.ratio.median, ratio.bar.bound);
        let (better, bar) = match bound {
            Bound::AtLeast(least) => (median, least),
            Bound::AtMost(most) => (1.0 / median, 1.0 / most),
        };
        let metric = ratio.bar.metric.title();
        let metric = metric.split_once(" (").map_or(metric, |(name, _unit)| name);
        Self {
            label: format!("{}: {metric}", ratio.scenario.title),
            better,
            bar,
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
        let bar = scale.x(self.bar);
        svg.line((bar, top + 3.0), (bar, top + ROW - 3.0), "bar");
        let figure = format!("{}×", shown(self.better));
        svg.text((RIGHT + 12.0, text), "", "start", &figure);
    }
}

/// Powers of two.
struct Scale {
    from: i32,
    to: i32,
}

impl Scale {
    fn over(lines: &[Line]) -> Self {
        let values = || lines.iter().flat_map(|line| [line.better, line.bar]);
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
    fn draws_a_line_for_each_ratio() {
        let picture = write(&example());
        assert!(picture.contains(">Busy room: deliveries a second</text>"));
        assert!(picture.contains(">21.0×</text>"));
        assert!(picture.contains(">Busy room: CPU a delivery</text>"));
        assert!(picture.contains(">32.0×</text>"));
        assert_eq!(picture.matches(r#"class="better""#).count(), 2);
    }

    #[test]
    fn twice_and_half_are_as_far_from_the_middle() {
        let scale = Scale { from: -2, to: 2 };
        assert_eq!(scale.x(2.0) - scale.x(1.0), scale.x(1.0) - scale.x(0.5));
        assert_eq!((scale.x(0.25), scale.x(4.0)), (LEFT, RIGHT));
        assert_eq!([-1, 0, 3].map(tick), ["1/2×", "1×", "8×"]);
    }
}
