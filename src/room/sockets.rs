//! The room's WebSockets. A socket's tag is its connection id; the core defines its attachment.

use std::collections::BTreeMap;

use js_sys::JsString;
use snug_core::{
    CloseCode, ConnectionId, Timestamp, limits::QUEUE_BYTES_NOTED, room::io::RestoredSocket,
};
use worker::{Result, State, WebSocket, console_warn};

use crate::platform;

/// The room's sockets, by connection.
#[derive(Default)]
pub struct Sockets {
    open: BTreeMap<ConnectionId, WebSocket>,
    /// The queued bytes of sockets whose queue was long when a frame was sent to them.
    long_queues: BTreeMap<ConnectionId, u64>,
}

impl Sockets {
    /// Returns the sockets that survived hibernation, and their attachments. Sockets without an
    /// attachment are closing and are skipped.
    pub fn restore(state: &State) -> Result<(Self, Vec<RestoredSocket>)> {
        let (mut open, mut restored) = (BTreeMap::new(), Vec::new());
        for socket in platform::sockets(state)? {
            let attachment = platform::attachment(&socket);
            if let (Some(connection), Some(attachment)) = (id_of(state, &socket), attachment) {
                let answered = platform::auto_responded_at(state, &socket);
                restored.push(RestoredSocket {
                    connection,
                    attachment,
                    answered,
                });
                open.insert(connection, socket);
            }
        }
        let long_queues = BTreeMap::new();
        Ok((Self { open, long_queues }, restored))
    }

    /// Accepts a new socket.
    pub fn accept(&mut self, state: &State, id: ConnectionId, socket: WebSocket) -> Result<()> {
        platform::accept(state, &socket, &id.to_string())?;
        self.open.insert(id, socket);
        Ok(())
    }

    /// Sets a socket's attachment.
    pub fn attach(&self, id: ConnectionId, attachment: &str) -> Result<()> {
        self.open
            .get(&id)
            .map_or(Ok(()), |socket| platform::attach(socket, Some(attachment)))
    }

    /// Sends a frame to several sockets. A dead socket does not stop the loop: the runtime reports
    /// its end as a separate event.
    pub fn send(&mut self, to: &[ConnectionId], text: &JsString) {
        for id in to {
            let Some(socket) = self.open.get(id) else {
                continue;
            };
            let queued = platform::queued_bytes(socket);
            if queued >= QUEUE_BYTES_NOTED {
                self.long_queues.insert(*id, queued);
            }
            if let Err(error) = platform::send(socket, text) {
                console_warn!("send: {error}");
            }
        }
    }

    /// Returns the queued bytes of sockets that had a long queue since the last call.
    pub fn take_long_queues(&mut self) -> BTreeMap<ConnectionId, u64> {
        std::mem::take(&mut self.long_queues)
    }

    /// Closes a socket. The runtime then reports its end as an event.
    pub fn close(&mut self, id: ConnectionId, code: CloseCode, attachment: &str) -> Result<()> {
        let Some(socket) = self.open.remove(&id) else {
            return Ok(());
        };
        platform::attach(&socket, Some(attachment))?;
        socket.close(Some(code.number()), Some(code.reason()))
    }

    /// Removes a socket whose end the runtime has reported.
    pub fn remove(&mut self, id: ConnectionId) {
        self.open.remove(&id);
    }

    /// Returns the time at which the runtime last answered a ping, by connection.
    pub fn answered(&self, state: &State) -> BTreeMap<ConnectionId, Timestamp> {
        self.open
            .iter()
            .filter_map(|(id, socket)| Some((*id, platform::auto_responded_at(state, socket)?)))
            .collect()
    }
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
