//! The metrics, with their units.

use serde::Serialize;

/// A metric of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    DeliveriesPerSecond,
    CpuMicrosPerDelivery,
    MessagesPerSecond,
    CpuMicrosPerMessage,
    LatencyP50Millis,
    LatencyP99Millis,
    CallsPerDelivery,
    JoinsPerSecond,
    CpuMicrosPerJoin,
    Sockets,
    JoinSeconds,
    MemoryKilobytesPerSocket,
    MemoryKilobytesPerHibernatingSocket,
    WasmKilobytesPerSocket,
    ObjectsHibernatingPercent,
    LeaveSeconds,
    FirstResponseMillis,
    RowsPerMessage,
}

impl Metric {
    /// Returns the metric's name and unit.
    pub fn title(self) -> &'static str {
        match self {
            Self::DeliveriesPerSecond => "deliveries/s",
            Self::CpuMicrosPerDelivery => "CPU per delivery (µs)",
            Self::MessagesPerSecond => "messages/s",
            Self::CpuMicrosPerMessage => "CPU per message (µs)",
            Self::LatencyP50Millis => "latency p50 (ms)",
            Self::LatencyP99Millis => "latency p99 (ms)",
            Self::CallsPerDelivery => "calls between objects per delivery",
            Self::JoinsPerSecond => "joins/s",
            Self::CpuMicrosPerJoin => "CPU per join (µs)",
            Self::Sockets => "connections",
            Self::JoinSeconds => "time until all have joined (s)",
            Self::MemoryKilobytesPerSocket => "per connection (kB)",
            Self::MemoryKilobytesPerHibernatingSocket => "per hibernating connection (kB)",
            Self::WasmKilobytesPerSocket => "Wasm memory per connection (kB)",
            Self::ObjectsHibernatingPercent => "objects that hibernated (%)",
            Self::LeaveSeconds => "time until all have left (s)",
            Self::FirstResponseMillis => "first response of a new room (ms)",
            Self::RowsPerMessage => "rows written per message",
        }
    }
}

/// Formats a figure with three significant digits, and at least all digits before the decimal point.
pub fn format_figure(figure: f64) -> String {
    let digits = match figure.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{figure:.digits$}");
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if fraction.is_empty() {
        grouped
    } else {
        format!("{grouped}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_figures_with_three_significant_digits() {
        for (figure, text) in [
            (1_234_567.8, "1,234,568"),
            (1000.0, "1,000"),
            (447.4, "447"),
            (37.04, "37.0"),
            (2.168, "2.17"),
            (0.0512, "0.051"),
            (0.0, "0.000"),
        ] {
            assert_eq!(format_figure(figure), text);
        }
    }
}
