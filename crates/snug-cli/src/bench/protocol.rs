//! The servers' wire protocols: the URL of a room, the frame that publishes a message, and the events in a frame.

use std::{fmt::Write, sync::LazyLock};

use memchr::{memchr_iter, memmem, memmem::Finder};

use super::payload::{Payload, leading_number};

static OFFSET: LazyLock<Finder> = LazyLock::new(|| Finder::new(br#""offset":"#));

/// The wire protocol of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerProtocol {
    /// `snug.v1`: one JSON object per line.
    Snug,
    /// The same, on a connection that can have many rooms.
    SnugGateway,
    /// Each frame is one message, unchanged.
    Plain,
    /// As `Plain`, with PartyServer's URLs.
    PartyServer,
    /// Socket.IO 5 over Engine.IO 4.
    SocketIo,
}

/// The form in which a sender's payloads reach the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Each is a message with an object.
    Objects,
    /// Each is a message with a text. Only Snug has it.
    Texts,
    /// The first is a message with a text, to which the others are appended. Only Snug has it.
    Appends,
}

/// An event in a frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// The client has joined. `offset` is that of the newest stored message, if the server sends it.
    Welcome { offset: Option<u64> },
    /// A delivered copy of a message.
    Delivery {
        payload: Payload,
        offset: Option<u64>,
    },
    /// A message of this client is stored.
    Ack,
    /// The number of members in the room.
    MemberCount(u64),
    /// The server expects this frame as a reply.
    ReplyNow(&'static str),
    /// The server sent an error.
    Error(String),
}

impl ServerProtocol {
    /// Returns the path of a room. `presence` is true if the client receives joins and leaves.
    pub fn path(self, room: &str, presence: bool) -> String {
        match self {
            Self::Snug if presence => format!("/v1/rooms/{room}/socket"),
            Self::Snug => format!("/v1/rooms/{room}/socket?presence=0"),
            Self::SnugGateway => "/v1/socket".into(),
            Self::Plain => format!("/{room}"),
            Self::PartyServer => format!("/parties/rooms/{room}"),
            Self::SocketIo => format!("/socket.io/?EIO=4&transport=websocket&room={room}"),
        }
    }

    /// Returns true if one connection can be in many rooms.
    pub fn has_many_rooms(self) -> bool {
        self == Self::SnugGateway
    }

    /// Returns the WebSocket subprotocol to request.
    pub fn subprotocol(self) -> Option<&'static str> {
        matches!(self, Self::Snug | Self::SnugGateway).then_some("snug.v1")
    }

    /// Returns the frame that joins a room, if the path does not.
    pub fn join(self, room: &str, presence: bool) -> Option<String> {
        let join = || format!(r#"{{"type":"join","room":"{room}","presence":{presence}}}"#);
        self.has_many_rooms().then(join)
    }

    /// Returns the frame that publishes or appends `bytes` in a room. `ack` requests an ack.
    pub fn publish(
        self,
        room: &str,
        payload: &Payload,
        form: Form,
        bytes: usize,
        ack: bool,
    ) -> String {
        let mut frame = String::with_capacity(bytes + 64);
        match self {
            Self::Snug | Self::SnugGateway => {
                // The first message of the room has the offset 1.
                let appends = form == Form::Appends && payload.number > 1;
                frame.push_str(match appends {
                    true => r#"{"type":"append","of":1,"#,
                    false => r#"{"type":"publish","#,
                });
                if self.has_many_rooms() {
                    let _ = write!(frame, r#""room":"{room}","#);
                }
                if ack {
                    // Writing to a String does not fail.
                    let _ = write!(frame, r#""id":{},"#, payload.number);
                }
                frame.push_str(if appends { r#""text":"# } else { r#""data":"# });
                if form == Form::Objects {
                    payload.write(bytes, &mut frame);
                } else {
                    frame.push('"');
                    payload.write_text(bytes, &mut frame);
                    frame.push('"');
                }
                frame.push('}');
            }
            Self::Plain | Self::PartyServer => payload.write(bytes, &mut frame),
            Self::SocketIo => {
                frame.push_str(r#"42["message","#);
                payload.write(bytes, &mut frame);
                frame.push(']');
            }
        }
        frame
    }

    /// Calls `on_event` with each event in a frame.
    pub fn read(self, frame: &[u8], mut on_event: impl FnMut(ServerEvent)) {
        match self {
            Self::Snug | Self::SnugGateway => {
                for line in lines(frame) {
                    snug(line, &mut on_event);
                }
            }
            Self::Plain | Self::PartyServer => {
                if let Some(payload) = Payload::find(frame) {
                    on_event(ServerEvent::Delivery {
                        payload,
                        offset: None,
                    });
                } else if contains(frame, r#""type":"welcome""#) {
                    on_event(ServerEvent::Welcome { offset: None });
                }
            }
            Self::SocketIo => {
                if let Some(events) = socket_io(frame) {
                    on_event(events);
                }
            }
        }
    }
}

fn snug(line: &[u8], mut on_event: impl FnMut(ServerEvent)) {
    if let Some(payload) = Payload::find(line) {
        let offset = number_after(&OFFSET, line);
        return on_event(ServerEvent::Delivery { payload, offset });
    }
    let mut texts = Payload::find_texts(line).peekable();
    if texts.peek().is_some() {
        // Texts that were appended together have one offset.
        let mut offset = number_after(&OFFSET, line);
        for payload in texts {
            let offset = offset.take();
            on_event(ServerEvent::Delivery { payload, offset });
        }
    } else if let Some(event) = other_of_snug(line) {
        on_event(event);
    }
}

/// Returns the event of a line that delivers nothing.
fn other_of_snug(line: &[u8]) -> Option<ServerEvent> {
    if contains(line, r#""type":"ack""#) {
        Some(ServerEvent::Ack)
    } else if contains(line, r#""type":"welcome""#) {
        let offset = number_after(&OFFSET, line);
        Some(ServerEvent::Welcome { offset })
    } else if contains(line, r#""type":"presence""#) {
        number_after(&Finder::new(r#""count":"#), line).map(ServerEvent::MemberCount)
    } else if contains(line, r#""type":"error""#)
        || contains(line, r#""type":"closing""#)
        || contains(line, r#""type":"left""#)
    {
        Some(ServerEvent::Error(
            String::from_utf8_lossy(line).into_owned(),
        ))
    } else {
        None
    }
}

fn socket_io(frame: &[u8]) -> Option<ServerEvent> {
    match frame {
        // Open. The reply connects to the default namespace.
        [b'0', ..] => Some(ServerEvent::ReplyNow("40")),
        // Ping.
        [b'2'] => Some(ServerEvent::ReplyNow("3")),
        [b'4', b'2', event @ ..] if event.starts_with(br#"["welcome""#) => {
            Some(ServerEvent::Welcome { offset: None })
        }
        [b'4', b'2', event @ ..] => Payload::find(event).map(|payload| ServerEvent::Delivery {
            payload,
            offset: None,
        }),
        [b'4', b'4', ..] => Some(ServerEvent::Error(
            String::from_utf8_lossy(frame).into_owned(),
        )),
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

    const STAMP: Payload = Payload {
        sender: 1,
        room: 0,
        number: 2,
        due: 3,
    };

    fn events(protocol: ServerProtocol, frame: &str) -> Vec<ServerEvent> {
        let mut all = Vec::new();
        protocol.read(frame.as_bytes(), |one| all.push(one));
        all
    }

    fn stamped() -> String {
        ServerProtocol::Plain.publish("r", &STAMP, Form::Objects, 70, false)
    }

    fn delivery(offset: Option<u64>) -> ServerEvent {
        ServerEvent::Delivery {
            payload: STAMP,
            offset,
        }
    }

    #[test]
    fn writes_a_publish_command_with_and_without_an_id() {
        let data = stamped();
        assert_eq!(
            ServerProtocol::Snug.publish("r", &STAMP, Form::Objects, 70, false),
            format!(r#"{{"type":"publish","data":{data}}}"#)
        );
        assert_eq!(
            ServerProtocol::Snug.publish("r", &STAMP, Form::Objects, 70, true),
            format!(r#"{{"type":"publish","id":2,"data":{data}}}"#)
        );
        assert_eq!(
            ServerProtocol::SnugGateway.publish("r", &STAMP, Form::Objects, 70, true),
            format!(r#"{{"type":"publish","room":"r","id":2,"data":{data}}}"#)
        );
    }

    #[test]
    fn appends_to_the_first_text() {
        let first = Payload { number: 1, ..STAMP };
        let publish = |payload, form| ServerProtocol::Snug.publish("r", payload, form, 12, true);
        assert_eq!(
            publish(&first, Form::Appends),
            r#"{"type":"publish","id":1,"data":"<1:0:1:3>xxx"}"#
        );
        assert_eq!(
            publish(&STAMP, Form::Appends),
            r#"{"type":"append","of":1,"id":2,"text":"<1:0:2:3>xxx"}"#
        );
        assert_eq!(
            publish(&STAMP, Form::Texts),
            r#"{"type":"publish","id":2,"data":"<1:0:2:3>xxx"}"#
        );
    }

    #[test]
    fn reads_texts_that_were_appended_together() {
        let line = r#"{"type":"change","offset":4,"of":1,"action":"append","text":"<1:0:2:3>x<1:0:2:3>x"}"#;
        let frame = format!("{line}\n{}", r#"{"type":"ack","id":2,"offset":4}"#);
        assert_eq!(
            events(ServerProtocol::Snug, &frame),
            [delivery(Some(4)), delivery(None), ServerEvent::Ack]
        );
    }

    #[test]
    fn reads_every_event_in_a_frame_of_snug() {
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
            events(ServerProtocol::Snug, &frame),
            [
                ServerEvent::Welcome { offset: Some(40) },
                ServerEvent::Ack,
                delivery(Some(41)),
                ServerEvent::MemberCount(1),
                delivery(Some(42)),
                ServerEvent::Error(r#"{"type":"error","code":"rate_limited"}"#.into()),
            ]
        );
    }

    #[test]
    fn reads_one_event_in_a_frame_of_other_servers() {
        for protocol in [ServerProtocol::Plain, ServerProtocol::PartyServer] {
            let welcome = events(protocol, r#"{"type":"welcome"}"#);
            assert_eq!(welcome, [ServerEvent::Welcome { offset: None }]);
            assert_eq!(events(protocol, &stamped()), [delivery(None)]);
            assert_eq!(events(protocol, "hello"), []);
        }
    }

    #[test]
    fn replies_to_the_handshake_and_pings_of_socket_io() {
        let events = |frame: &str| events(ServerProtocol::SocketIo, frame);
        assert_eq!(events(r#"0{"sid":"a"}"#), [ServerEvent::ReplyNow("40")]);
        assert_eq!(events(r#"40{"sid":"a"}"#), []);
        assert_eq!(events("2"), [ServerEvent::ReplyNow("3")]);
        assert_eq!(
            events(r#"42["welcome"]"#),
            [ServerEvent::Welcome { offset: None }]
        );
        let published = ServerProtocol::SocketIo.publish("r", &STAMP, Form::Objects, 70, false);
        assert_eq!(published, format!(r#"42["message",{}]"#, stamped()));
        assert_eq!(events(&published), [delivery(None)]);
    }
}
