//! All that touches a WebSocket. A socket's tag is its connection's id, and its attachment what
//! the core wants kept with it.

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
    /// Whose queue was long when something was sent to it.
    queued: BTreeMap<ConnectionId, u64>,
}

impl Sockets {
    /// The sockets that came through hibernation, and what was kept with them. Those without an
    /// attachment are on their way out.
    pub fn restore(state: &State) -> Result<(Self, Vec<RestoredSocket>)> {
        let (mut sockets, mut kept) = (BTreeMap::new(), Vec::new());
        for socket in platform::sockets(state)? {
            let attachment = platform::attachment(&socket);
            if let (Some(connection), Some(attachment)) = (id_of(state, &socket), attachment) {
                let answered = platform::auto_responded_at(state, &socket);
                kept.push(RestoredSocket {
                    connection,
                    attachment,
                    answered,
                });
                sockets.insert(connection, socket);
            }
        }
        let queued = BTreeMap::new();
        let open = sockets;
        Ok((Self { open, queued }, kept))
    }

    /// Takes a new socket in.
    pub fn accept(&mut self, state: &State, id: ConnectionId, socket: WebSocket) -> Result<()> {
        platform::accept(state, &socket, &id.to_string())?;
        self.open.insert(id, socket);
        Ok(())
    }

    /// Keeps an attachment with a socket.
    pub fn attach(&self, id: ConnectionId, attachment: &str) -> Result<()> {
        self.open
            .get(&id)
            .map_or(Ok(()), |socket| platform::attach(socket, Some(attachment)))
    }

    /// Sends a frame to each. A dead socket does not keep it from the others: the runtime tells
    /// of its end by an event of its own.
    pub fn send(&mut self, to: &[ConnectionId], text: &JsString) {
        for id in to {
            let Some(socket) = self.open.get(id) else {
                continue;
            };
            let queued = platform::queued_bytes(socket);
            if queued >= QUEUE_BYTES_NOTED {
                self.queued.insert(*id, queued);
            }
            if let Err(error) = platform::send(socket, text) {
                console_warn!("send: {error}");
            }
        }
    }

    /// Whose queue was long when something was last sent to it, since this was last asked.
    pub fn take_queued(&mut self) -> BTreeMap<ConnectionId, u64> {
        std::mem::take(&mut self.queued)
    }

    /// Closes a socket from here; its end comes as an event.
    pub fn close(&mut self, id: ConnectionId, code: CloseCode, attachment: &str) -> Result<()> {
        let Some(socket) = self.open.remove(&id) else {
            return Ok(());
        };
        platform::attach(&socket, Some(attachment))?;
        socket.close(Some(code.number()), Some(code.reason()))
    }

    /// Lets go of a socket whose end the runtime told.
    pub fn remove(&mut self, id: ConnectionId) {
        self.open.remove(&id);
    }

    /// When the runtime last answered each one's ping.
    pub fn answered(&self, state: &State) -> BTreeMap<ConnectionId, Timestamp> {
        self.open
            .iter()
            .filter_map(|(id, socket)| Some((*id, platform::auto_responded_at(state, socket)?)))
            .collect()
    }
}

/// Whose socket it is.
pub fn id_of(state: &State, socket: &WebSocket) -> Option<ConnectionId> {
    ConnectionId::parse(&platform::tag(state, socket)?)
}

/// Marks a socket that is on its way out, so that no restored room counts it.
pub fn clear_attachment(socket: &WebSocket) {
    if let Err(error) = platform::attach(socket, None) {
        console_warn!("attachment: {error}");
    }
}

/// Answers a client's close. The runtime does not for a socket that can hibernate, and without
/// an answer the client never gets its close event.
///
/// 1005, 1006 and 1015 stand for frames that were not sent, and may not be (RFC 6455, 7.4.1); nor
/// will the runtime send back whatever else a client may have made up. Those get no code.
pub fn answer_close(socket: &WebSocket, code: u16, reason: &str) {
    let is_echoed = !matches!(code, 1005 | 1006 | 1015);
    if !is_echoed || socket.close(Some(code), Some(reason)).is_err() {
        close_without_code(socket);
    }
}

/// Closes a socket whose room cannot be woken.
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
