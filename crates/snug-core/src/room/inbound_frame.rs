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
    /// Whether what is left of it is refused.
    pub(super) is_refused: bool,
}

impl Frame {
    /// A frame of one command, or of one a line.
    pub(super) fn new(from: ConnectionId, text: String, has_lines: bool) -> Self {
        Self {
            from,
            text: Secret(text),
            has_lines,
            next: 0,
            is_refused: false,
        }
    }

    /// The same, with what is left of it refused.
    pub(super) fn refused(self) -> Self {
        Self {
            is_refused: true,
            ..self
        }
    }

    /// Where the next command is, for [`Self::go_back`].
    pub(super) fn place(&self) -> usize {
        self.next
    }

    /// Hands out again what was handed out since then, and forgets what is before.
    pub(super) fn go_back(&mut self, place: usize) {
        if self.text.0.is_char_boundary(place) {
            self.text.0.drain(..place);
            self.next = 0;
        }
    }

    /// How long it is, as far as it is still known.
    pub(super) fn len(&self) -> usize {
        self.text.0.len()
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
    fn a_command_may_be_handed_out_again() {
        let mut frame = Frame::new(ConnectionId(1), "ä\n\nb".to_owned(), true);
        assert_eq!(frame.next_line(), Some("ä"));
        let place = frame.place();
        assert_eq!(frame.next_line(), Some(""));
        frame.go_back(place);
        assert_eq!(frame.len(), 2);
        assert_eq!(frame.next_line(), Some(""));
        let place = frame.place();
        assert_eq!(frame.next_line(), Some("b"));
        frame.go_back(place);
        assert_eq!(frame.next_line(), Some("b"));
        assert_eq!(frame.next_line(), None);
    }

    #[test]
    fn a_plain_frame_is_a_command() {
        assert_eq!(lines("a\nb\n", false), ["a\nb\n"]);
        assert_eq!(lines("", false), [""]);
    }
}
