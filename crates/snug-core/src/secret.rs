//! JsTextCache that nobody is to see.

use std::fmt;

/// A text that nothing shows, not even for debugging.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debugging_does_not_show_it() {
        assert_eq!(format!("{:?}", Secret("s3cr3t".into())), "…");
    }
}
