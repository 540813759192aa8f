//! The WebSockets of an object. A socket's tag is its connection id; the core defines its attachment.

use std::collections::BTreeMap;

use js_sys::JsString;
use snug_core::{
    CloseCode, ConnectionId, Timestamp,
    limits::{FRAME_BYTES_MAX, QUEUE_BYTES_MAX},
    room::io::RestoredSocket,
};
use wasm_bindgen::{JsCast, JsValue};
use worker::{Result, State, WebSocket, console_warn};

use crate::platform;

/// The sockets, by connection, and what waits for their clients to read it.
#[derive(Default)]
pub struct Sockets {
    all: BTreeMap<ConnectionId, Socket>,
    /// The bytes that were queued for all sockets, by the last figure of each.
    queued: u64,
    /// True if something was sent to a socket that is too slow.
    is_too_slow: bool,
    /// True if something was sent since the queues were last read.
    has_sent: bool,
}

struct Socket {
    socket: WebSocket,
    is_closing: bool,
    /// True if a frame could not be sent.
    has_failed: bool,
    /// The bytes that were queued after the last frame was sent.
    queued: u64,
}

impl Socket {
    fn new(socket: WebSocket) -> Self {
        Self {
            queued: platform::queued_bytes(&socket),
            socket,
            is_closing: false,
            has_failed: false,
        }
    }
}

impl Sockets {
    /// Returns the sockets that survived hibernation, and their attachments. Sockets without an
    /// attachment are closing and are skipped.
    pub fn restore(state: &State) -> Result<(Self, Vec<RestoredSocket>)> {
        let (mut sockets, mut restored) = (Self::default(), Vec::new());
        for socket in platform::sockets(state)? {
            let attachment = platform::attachment(&socket);
            if let (Some(connection), Some(attachment)) = (id_of(state, &socket), attachment) {
                let answered = platform::auto_responded_at(state, &socket);
                restored.push(RestoredSocket {
                    connection,
                    attachment,
                    answered,
                });
                let socket = Socket::new(socket);
                sockets.queued = sockets.queued.saturating_add(socket.queued);
                sockets.all.insert(connection, socket);
            }
        }
        Ok((sockets, restored))
    }

    /// Accepts a new socket.
    pub fn accept(&mut self, state: &State, id: ConnectionId, socket: &WebSocket) -> Result<()> {
        platform::accept(state, socket, &id.to_string())?;
        self.all.insert(id, Socket::new(socket.clone()));
        Ok(())
    }

    /// Sets a socket's attachment.
    pub fn attach(&self, id: ConnectionId, attachment: &str) -> Result<()> {
        self.all.get(&id).map_or(Ok(()), |one| {
            platform::attach(&one.socket, Some(attachment))
        })
    }

    /// Sends a frame to several sockets. A dead socket does not stop the loop: the runtime reports
    /// its end as a separate event.
    pub fn send(&mut self, to: &[ConnectionId], text: &JsString, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.has_sent = true;
        for id in to {
            let Some(one) = self.all.get_mut(id).filter(|one| !one.is_closing) else {
                continue;
            };
            let queued = platform::queued_bytes(&one.socket).saturating_add(bytes);
            self.queued = self
                .queued
                .saturating_sub(one.queued)
                .saturating_add(queued);
            self.is_too_slow |= queued > QUEUE_BYTES_MAX;
            one.queued = queued;
            let sent = platform::send(&one.socket, text);
            // A dead socket may get many frames before the runtime reports its end.
            if let Err(error) = sent
                && !std::mem::replace(&mut one.has_failed, true)
            {
                console_warn!("send: {error}");
            }
        }
    }

    /// Returns true if a socket has become too slow since the queues were last read.
    pub fn is_too_slow(&self) -> bool {
        self.is_too_slow
    }

    /// Returns true if the queues have to be read again after some time: something was sent, and
    /// together they are long.
    pub fn is_check_due(&self) -> bool {
        self.has_sent && self.queued > QUEUE_BYTES_MAX
    }

    /// Reads the queues of all sockets, and returns those that are not empty.
    pub fn read_queues(&mut self) -> BTreeMap<ConnectionId, u64> {
        (self.is_too_slow, self.has_sent, self.queued) = (false, false, 0);
        let mut queues = BTreeMap::new();
        for (id, one) in &mut self.all {
            one.queued = platform::queued_bytes(&one.socket);
            self.queued = self.queued.saturating_add(one.queued);
            if one.queued > 0 {
                queues.insert(*id, one.queued);
            }
        }
        queues
    }

    /// Returns the bytes that were queued for all sockets after the last frame of each.
    pub fn unread_bytes(&self) -> u64 {
        self.queued
    }

    /// Returns the bytes that are queued for these sockets now.
    pub fn unread_bytes_of(&self, of: impl Iterator<Item = ConnectionId>) -> u64 {
        let sockets = of.filter_map(|id| self.all.get(&id));
        sockets.map(|one| platform::queued_bytes(&one.socket)).sum()
    }

    /// Closes a socket. The runtime then reports its end as an event, until which it keeps the queue.
    pub fn close(&mut self, id: ConnectionId, code: CloseCode, attachment: &str) -> Result<()> {
        let Some(one) = self.all.get_mut(&id).filter(|one| !one.is_closing) else {
            return Ok(());
        };
        one.is_closing = true;
        // The client must learn of the close even if the attachment cannot be written.
        let attached = platform::attach(&one.socket, Some(attachment));
        one.socket.close(Some(code.number()), Some(code.reason()))?;
        attached
    }

    /// Removes a socket whose end the runtime has reported.
    pub fn remove(&mut self, id: ConnectionId) {
        if let Some(one) = self.all.remove(&id) {
            self.queued = self.queued.saturating_sub(one.queued);
        }
    }

    /// Returns the time at which the runtime last answered a ping, by connection.
    pub fn answered(&self, state: &State) -> BTreeMap<ConnectionId, Timestamp> {
        self.all
            .iter()
            .filter_map(|(id, one)| Some((*id, platform::auto_responded_at(state, &one.socket)?)))
            .collect()
    }
}

/// A frame, as far as it is read.
pub enum Frame {
    Text(String),
    /// A text that is longer than any frame may be.
    TooLong,
    Binary,
}

/// The UTF-16 units of the longest frame.
const FRAME_UNITS_MAX: u32 = FRAME_BYTES_MAX as u32;

/// Reads a frame.
pub fn read_frame(message: &JsValue) -> Frame {
    match message.dyn_ref::<JsString>() {
        // Looked at here, because the memory of Wasm never shrinks. A UTF-16 unit is at least a byte.
        Some(text) if text.length() > FRAME_UNITS_MAX => Frame::TooLong,
        Some(text) => Frame::Text(text.into()),
        None => Frame::Binary,
    }
}

/// Returns true if a client closed its connection on purpose.
pub fn is_clean(was_clean: bool, code: u16) -> bool {
    was_clean && matches!(code, 1000 | 1001 | 1005)
}

/// Returns the connection id of a socket.
pub fn id_of(state: &State, socket: &WebSocket) -> Option<ConnectionId> {
    ConnectionId::parse(&platform::tag(state, socket)?)
}

/// Removes the attachment of a closing socket, so that a restored room does not count it.
pub fn clear_attachment(socket: &WebSocket) {
    if let Err(error) = platform::attach(socket, None) {
        console_warn!("attachment: {error}");
    }
}

/// Answers a client's close frame. The runtime does not answer it for sockets that can hibernate,
/// and without an answer the client never gets its close event.
///
/// The codes 1005, 1006 and 1015 must not be sent in a frame (RFC 6455, section 7.4.1), and the
/// runtime rejects other invalid codes. In these cases, the answer has no code.
pub fn answer_close(socket: &WebSocket, code: u16, reason: &str) {
    let can_be_sent = !matches!(code, 1005 | 1006 | 1015);
    if !can_be_sent || socket.close(Some(code), Some(reason)).is_err() {
        close_without_code(socket);
    }
}

/// Closes a socket whose room cannot wake.
pub fn close_unavailable(socket: &WebSocket) {
    if socket.close(Some(1011), Some("internal")).is_err() {
        close_without_code(socket);
    }
}

fn close_without_code(socket: &WebSocket) {
    if let Err(error) = socket.close(None, None::<&str>) {
        console_warn!("close: {error}");
    }
}
