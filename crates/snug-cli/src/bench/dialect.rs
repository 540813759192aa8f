//! How each server is spoken to: where a room is, how a message is written, what a frame says.

use std::{fmt::Write, sync::LazyLock};

use memchr::{memchr_iter, memmem, memmem::Finder};

use super::stamp::{Stamp, leading_number};

static OFFSET: LazyLock<Finder> = LazyLock::new(|| Finder::new(br#""offset":"#));

/// The language of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `snug.v1`: JSON objects, one a line.
    Snug,
    /// Each frame is one message as its sender wrote it.
    Plain,
    /// The same, in PartyServer's rooms.
    PartyServer,
    /// Engine.IO 4 with Socket.IO 5 in it.
    SocketIo,
}

/// One thing that a server said.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// The socket is in the room, whose newest stored message is at `offset` where there is such a thing.
    Welcome { offset: Option<u64> },
    /// A copy of a message.
    Delivery { stamp: Stamp, offset: Option<u64> },
    /// A message of this socket is stored.
    Ack,
    /// So many members are in the room.
    Count(u64),
    /// The server expects this frame now.
    Respond(&'static str),
    /// The server refused something.
    Trouble(String),
}

impl Dialect {
    /// Where on the server a room is. `presence` is whether to be told who comes and goes.
    pub fn path(self, room: &str, presence: bool) -> String {
        match self {
            Self::Snug if presence => format!("/v1/rooms/{room}/socket"),
            Self::Snug => format!("/v1/rooms/{room}/socket?presence=0"),
            Self::Plain => format!("/{room}"),
            Self::PartyServer => format!("/parties/rooms/{room}"),
            Self::SocketIo => format!("/socket.io/?EIO=4&transport=websocket&room={room}"),
        }
    }

    /// The subprotocol to ask for.
    pub fn subprotocol(self) -> Option<&'static str> {
        (self == Self::Snug).then_some("snug.v1")
    }

    /// The frame that publishes a message of `bytes`; `ack` asks to be told that it is stored.
    pub fn publish(self, stamp: &Stamp, bytes: usize, ack: bool) -> String {
        let mut frame = String::with_capacity(bytes + 64);
        match self {
            Self::Snug => {
                frame.push_str(r#"{"type":"publish","#);
                if ack {
                    // Writing to a String does not fail.
                    let _ = write!(frame, r#""id":{},"#, stamp.number);
                }
                frame.push_str(r#""data":"#);
                stamp.write(bytes, &mut frame);
                frame.push('}');
            }
            Self::Plain | Self::PartyServer => stamp.write(bytes, &mut frame),
            Self::SocketIo => {
                frame.push_str(r#"42["message","#);
                stamp.write(bytes, &mut frame);
                frame.push(']');
            }
        }
        frame
    }

    /// Tells all that a frame says.
    pub fn read(self, frame: &[u8], mut hear: impl FnMut(Said)) {
        match self {
            Self::Snug => lines(frame).filter_map(snug).for_each(hear),
            Self::Plain | Self::PartyServer => {
                if let Some(stamp) = Stamp::find(frame) {
                    hear(Said::Delivery {
                        stamp,
                        offset: None,
                    });
                } else if contains(frame, r#""type":"welcome""#) {
                    hear(Said::Welcome { offset: None });
                }
            }
            Self::SocketIo => {
                if let Some(said) = socket_io(frame) {
                    hear(said);
                }
            }
        }
    }
}

fn snug(line: &[u8]) -> Option<Said> {
    if let Some(stamp) = Stamp::find(line) {
        let offset = number_after(&OFFSET, line);
        return Some(Said::Delivery { stamp, offset });
    }
    if contains(line, r#""type":"ack""#) {
        Some(Said::Ack)
    } else if contains(line, r#""type":"welcome""#) {
        let offset = number_after(&OFFSET, line);
        Some(Said::Welcome { offset })
    } else if contains(line, r#""type":"presence""#) {
        number_after(&Finder::new(r#""count":"#), line).map(Said::Count)
    } else if contains(line, r#""type":"error""#) || contains(line, r#""type":"closing""#) {
        Some(Said::Trouble(String::from_utf8_lossy(line).into_owned()))
    } else {
        None
    }
}

fn socket_io(frame: &[u8]) -> Option<Said> {
    match frame {
        // Open: ask to be let into the main namespace.
        [b'0', ..] => Some(Said::Respond("40")),
        // Ping.
        [b'2'] => Some(Said::Respond("3")),
        [b'4', b'2', event @ ..] if event.starts_with(br#"["welcome""#) => {
            Some(Said::Welcome { offset: None })
        }
        [b'4', b'2', event @ ..] => Stamp::find(event).map(|stamp| Said::Delivery {
            stamp,
            offset: None,
        }),
        [b'4', b'4', ..] => Some(Said::Trouble(String::from_utf8_lossy(frame).into_owned())),
        _ => None,
    }
}

fn lines(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr_iter(b'\n', frame).chain([frame.len()]);
    let mut start = 0;
    ends.map(move |end| {
        let line = &frame[start..end];
        start = end + 1;
        line
    })
}

fn contains(text: &[u8], part: &str) -> bool {
    memmem::find(text, part.as_bytes()).is_some()
}

fn number_after(name: &Finder, text: &[u8]) -> Option<u64> {
    let start = name.find(text)? + name.needle().len();
    leading_number(&text[start..]).map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        sender: 1,
        number: 2,
        due: 3,
    };

    fn said(dialect: Dialect, frame: &str) -> Vec<Said> {
        let mut all = Vec::new();
        dialect.read(frame.as_bytes(), |one| all.push(one));
        all
    }

    fn stamped() -> String {
        Dialect::Plain.publish(&STAMP, 60, false)
    }

    fn delivery(offset: Option<u64>) -> Said {
        Said::Delivery {
            stamp: STAMP,
            offset,
        }
    }

    #[test]
    fn snug_publishes_with_and_without_an_id() {
        let data = stamped();
        assert_eq!(
            Dialect::Snug.publish(&STAMP, 60, false),
            format!(r#"{{"type":"publish","data":{data}}}"#)
        );
        assert_eq!(
            Dialect::Snug.publish(&STAMP, 60, true),
            format!(r#"{{"type":"publish","id":2,"data":{data}}}"#)
        );
    }

    #[test]
    fn snug_says_several_things_in_a_frame() {
        let frame = [
            r#"{"type":"welcome","epoch":"e","offset":40,"count":2}"#.to_owned(),
            r#"{"type":"ack","id":7,"offset":41}"#.to_owned(),
            format!(
                r#"{{"type":"message","offset":41,"user":"u1","data":{}}}"#,
                stamped()
            ),
            r#"{"type":"presence","leaves":["u2"],"count":1}"#.to_owned(),
            r#"{"type":"something new"}"#.to_owned(),
            format!(r#"{{"data":{},"offset":42,"type":"message"}}"#, stamped()),
            r#"{"type":"error","code":"rate_limited"}"#.to_owned(),
        ]
        .join("\n");
        assert_eq!(
            said(Dialect::Snug, &frame),
            [
                Said::Welcome { offset: Some(40) },
                Said::Ack,
                delivery(Some(41)),
                Said::Count(1),
                delivery(Some(42)),
                Said::Trouble(r#"{"type":"error","code":"rate_limited"}"#.into()),
            ]
        );
    }

    #[test]
    fn plain_servers_say_one_thing_in_a_frame() {
        for dialect in [Dialect::Plain, Dialect::PartyServer] {
            let welcome = said(dialect, r#"{"type":"welcome"}"#);
            assert_eq!(welcome, [Said::Welcome { offset: None }]);
            assert_eq!(said(dialect, &stamped()), [delivery(None)]);
            assert_eq!(said(dialect, "hello"), []);
        }
    }

    #[test]
    fn socket_io_wants_answers() {
        let said = |frame: &str| said(Dialect::SocketIo, frame);
        assert_eq!(said(r#"0{"sid":"a"}"#), [Said::Respond("40")]);
        assert_eq!(said(r#"40{"sid":"a"}"#), []);
        assert_eq!(said("2"), [Said::Respond("3")]);
        assert_eq!(said(r#"42["welcome"]"#), [Said::Welcome { offset: None }]);
        let published = Dialect::SocketIo.publish(&STAMP, 60, false);
        assert_eq!(published, format!(r#"42["message",{}]"#, stamped()));
        assert_eq!(said(&published), [delivery(None)]);
    }
}
