//! What Snug is held to, as ratios to other servers.

use super::{metric::Metric, server::Kind};

/// Snug's figure by that of another server, in the same round.
pub struct Bar {
    pub metric: Metric,
    pub against: Kind,
    pub bound: Bound,
}

/// How good the ratio should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bar {
    /// Against PartyServer, which most are.
    pub const fn party(metric: Metric, bound: Bound) -> Self {
        let against = Kind::PartyServer;
        Self {
            metric,
            against,
            bound,
        }
    }
}

impl Bound {
    /// Whether a ratio is good enough.
    pub fn holds(self, ratio: f64) -> bool {
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
    fn a_bound_holds_at_its_edge() {
        assert!(Bound::AtLeast(20.0).holds(20.0));
        assert!(!Bound::AtLeast(20.0).holds(19.9));
        assert!(Bound::AtMost(1.1).holds(1.1));
        assert!(!Bound::AtMost(1.1).holds(1.2));
    }
}
