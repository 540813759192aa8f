//! The targets that Snug should meet, as ratios to other servers or to another way of using Snug.

use super::{metric::Metric, scenario::Row};

/// A target for a row's figure divided by that of another row, in the same round.
pub struct Target {
    pub metric: Metric,
    /// A row of Snug.
    pub row: Row,
    pub against: Row,
    pub bound: Bound,
}

/// The bound of a ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    /// Returns true if a ratio is within the bound.
    pub fn is_met_by(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(least) => ratio >= least,
            Self::AtMost(most) => ratio <= most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_equal_to_the_bound_meets_it() {
        assert!(Bound::AtLeast(20.0).is_met_by(20.0));
        assert!(!Bound::AtLeast(20.0).is_met_by(19.9));
        assert!(Bound::AtMost(1.1).is_met_by(1.1));
        assert!(!Bound::AtMost(1.1).is_met_by(1.2));
    }
}
