//! Splits a frame into its commands.

use crate::{ids::ConnectionId, protocol::wire::Wire, secret::Secret};

/// A text frame, and how far its commands have been processed.
#[derive(Debug)]
pub(crate) struct Frame {
    /// The sender.
    pub(crate) from: ConnectionId,
    text: Secret,
    wire: Wire,
    next: usize,
    /// True if the remaining commands are to be rejected.
    pub(crate) is_rejected: bool,
}

impl Frame {
    /// Wraps a frame: one command, or one per line.
    pub(crate) fn new(from: ConnectionId, text: String, wire: Wire) -> Self {
        Self {
            from,
            text: Secret(text),
            wire,
            next: 0,
            is_rejected: false,
        }
    }

    /// Marks the remaining commands as to be rejected.
    pub(crate) fn rejected(self) -> Self {
        Self {
            is_rejected: true,
            ..self
        }
    }

    /// Returns the start of the next command, for [`Self::go_back`].
    pub(crate) fn next_start(&self) -> usize {
        self.next
    }

    /// Rewinds to an earlier start of a command, and drops the text before it.
    pub(crate) fn go_back(&mut self, start: usize) {
        if self.text.0.is_char_boundary(start) {
            self.text.0.drain(..start);
            self.next = 0;
        }
    }

    /// Returns the bytes of the text that is still kept.
    pub(crate) fn len(&self) -> usize {
        self.text.0.len()
    }

    fn end_of_command(&self, rest: &str) -> Option<usize> {
        match self.wire {
            Wire::Lines => rest.find('\n'),
            Wire::Objects => None,
        }
    }

    /// Returns the bytes of the next command; 0 if there is none.
    pub(crate) fn next_len(&self) -> usize {
        let rest = self.text.0.get(self.next..).unwrap_or_default();
        self.end_of_command(rest).unwrap_or(rest.len())
    }

    /// Returns the next command's text. An empty frame holds one empty command; a line break at the
    /// end of the frame does not start another command.
    pub(crate) fn next_line(&mut self) -> Option<&str> {
        let start = self.next;
        let rest = self
            .text
            .0
            .get(start..)
            .filter(|rest| start == 0 || !rest.is_empty())?;
        let end = self.end_of_command(rest);
        let line = end.map_or(rest, |end| rest.get(..end).unwrap_or(rest));
        self.next = start.saturating_add(line.len()).saturating_add(1);
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, wire: Wire) -> Vec<String> {
        let mut frame = Frame::new(ConnectionId(1), text.to_owned(), wire);
        std::iter::from_fn(|| frame.next_line().map(str::to_owned)).collect()
    }

    #[test]
    fn splits_a_frame_into_one_command_per_line() {
        assert_eq!(lines("a\nb", Wire::Lines), ["a", "b"]);
        assert_eq!(lines("a\n\nb\n", Wire::Lines), ["a", "", "b"]);
        assert_eq!(lines("", Wire::Lines), [""]);
        assert_eq!(lines("\n", Wire::Lines), [""]);
    }

    #[test]
    fn returns_a_command_again_after_going_back() {
        let mut frame = Frame::new(ConnectionId(1), "ä\n\nb".to_owned(), Wire::Lines);
        assert_eq!(frame.next_line(), Some("ä"));
        let start = frame.next_start();
        assert_eq!(frame.next_line(), Some(""));
        frame.go_back(start);
        assert_eq!(frame.len(), 2);
        assert_eq!(frame.next_line(), Some(""));
        let start = frame.next_start();
        assert_eq!(frame.next_line(), Some("b"));
        frame.go_back(start);
        assert_eq!(frame.next_line(), Some("b"));
        assert_eq!(frame.next_line(), None);
    }

    #[test]
    fn treats_a_frame_without_lines_as_one_command() {
        assert_eq!(lines("a\nb\n", Wire::Objects), ["a\nb\n"]);
        assert_eq!(lines("", Wire::Objects), [""]);
    }
}
