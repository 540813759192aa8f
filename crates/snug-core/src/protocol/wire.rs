//! The form in which a socket receives objects.

/// The form in which a socket receives objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wire {
    /// No subprotocol: a frame holds one object.
    Objects,
    /// The subprotocol `snug.v1`: a frame holds one or more objects, one per line.
    Lines,
}

impl Wire {
    /// Returns the wire of a socket, which negotiated the subprotocol or did not.
    pub fn of(has_lines: bool) -> Self {
        match has_lines {
            true => Self::Lines,
            false => Self::Objects,
        }
    }
}
