//! What is measured, and in which unit.

use serde::Serialize;

/// A figure that a run gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    DeliveriesPerSecond,
    CpuMicrosPerDelivery,
    MessagesPerSecond,
    CpuMicrosPerMessage,
    LatencyP50Millis,
    LatencyP99Millis,
    JoinsPerSecond,
    CpuMicrosPerJoin,
    Sockets,
    JoinSeconds,
    MemoryKilobytesPerSocket,
    MemoryKilobytesPerSleepingSocket,
    LeaveSeconds,
    FirstAnswerMillis,
    RowsPerMessage,
}

impl Metric {
    /// What it is, with its unit.
    pub fn title(self) -> &'static str {
        match self {
            Self::DeliveriesPerSecond => "deliveries a second",
            Self::CpuMicrosPerDelivery => "CPU a delivery (µs)",
            Self::MessagesPerSecond => "messages a second",
            Self::CpuMicrosPerMessage => "CPU a message (µs)",
            Self::LatencyP50Millis => "latency p50 (ms)",
            Self::LatencyP99Millis => "latency p99 (ms)",
            Self::JoinsPerSecond => "joins a second",
            Self::CpuMicrosPerJoin => "CPU a join (µs)",
            Self::Sockets => "sockets",
            Self::JoinSeconds => "until all have joined (s)",
            Self::MemoryKilobytesPerSocket => "a socket (kB)",
            Self::MemoryKilobytesPerSleepingSocket => "a socket, asleep (kB)",
            Self::LeaveSeconds => "until all have left (s)",
            Self::FirstAnswerMillis => "first answer of a new room (ms)",
            Self::RowsPerMessage => "rows written a message",
        }
    }
}

/// A figure with three digits that count, or all that stand before its point.
pub fn shown(figure: f64) -> String {
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
    fn figures_are_short() {
        for (figure, text) in [
            (1_234_567.8, "1,234,568"),
            (1000.0, "1,000"),
            (447.4, "447"),
            (37.04, "37.0"),
            (2.168, "2.17"),
            (0.0512, "0.051"),
            (0.0, "0.000"),
        ] {
            assert_eq!(shown(figure), text);
        }
    }
}
