//! A frame of commands, handed out one after another.

use crate::{ids::ConnectionId, secret::Secret};

/// A text frame, some of whose commands are perhaps done.
#[derive(Debug)]
pub(super) struct Frame {
    /// Who sent it.
    pub(super) from: ConnectionId,
    text: Secret,
    has_lines: bool,
    next: usize,
}

impl Frame {
    /// A frame of one command, or of one a line.
    pub(super) fn new(from: ConnectionId, text: String, has_lines: bool) -> Self {
        Self {
            from,
            text: Secret(text),
            has_lines,
            next: 0,
        }
    }

    /// How long the next command is; 0 where there is none.
    pub(super) fn next_len(&self) -> usize {
        let rest = self.text.0.get(self.next..).unwrap_or_default();
        let end = if self.has_lines {
            rest.find('\n')
        } else {
            None
        };
        end.unwrap_or(rest.len())
    }

    /// The next command's text. An empty frame has one, which is empty; a line break at the end
    /// starts no other.
    pub(super) fn next_line(&mut self) -> Option<&str> {
        let start = self.next;
        let rest = self
            .text
            .0
            .get(start..)
            .filter(|rest| start == 0 || !rest.is_empty())?;
        let end = if self.has_lines {
            rest.find('\n')
        } else {
            None
        };
        let line = end.map_or(rest, |end| rest.get(..end).unwrap_or(rest));
        self.next = start.saturating_add(line.len()).saturating_add(1);
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, has_lines: bool) -> Vec<String> {
        let mut frame = Frame::new(ConnectionId(1), text.to_owned(), has_lines);
        std::iter::from_fn(|| frame.next_line().map(str::to_owned)).collect()
    }

    #[test]
    fn a_line_is_a_command() {
        assert_eq!(lines("a\nb", true), ["a", "b"]);
        assert_eq!(lines("a\n\nb\n", true), ["a", "", "b"]);
        assert_eq!(lines("", true), [""]);
        assert_eq!(lines("\n", true), [""]);
    }

    #[test]
    fn a_plain_frame_is_a_command() {
        assert_eq!(lines("a\nb\n", false), ["a\nb\n"]);
        assert_eq!(lines("", false), [""]);
    }
}
