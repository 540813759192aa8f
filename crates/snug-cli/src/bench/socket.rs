//! A WebSocket that has joined a room, or several.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderName, HeaderValue, Uri};
use tokio::{net::TcpStream, time::timeout};
use tokio_websockets::{ClientBuilder, CloseCode, Limits, Message, WebSocketStream};

use super::protocol::{ServerEvent, ServerProtocol};

/// Long enough for a join that waits for thousands of others.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// The joins of one connection that wait for their welcome, as many as those of Snug's client.
const JOINS_AT_ONCE: usize = 16;
const LEAVE_TIMEOUT: Duration = Duration::from_secs(60);

/// The options of a join.
pub struct JoinOptions<'a> {
    /// The server's URL.
    pub url: &'a str,
    pub protocol: ServerProtocol,
    pub token: Option<&'a str>,
    /// More than one only if the protocol has many rooms on a connection.
    pub rooms: &'a [RoomToJoin<'a>],
}

/// A room to join.
pub struct RoomToJoin<'a> {
    pub name: &'a str,
    /// True if the client receives joins and leaves.
    pub presence: bool,
}

/// A WebSocket in its rooms.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    protocol: ServerProtocol,
    /// The offset of the newest stored message of the last room at the time of the join, if the server sends it.
    pub offset: Option<u64>,
}

impl Socket {
    /// Connects, and waits for the welcome of each room.
    pub async fn join(options: JoinOptions<'_>) -> Result<Self> {
        timeout(JOIN_TIMEOUT, Self::try_join(options))
            .await
            .with_context(|| {
                format!("the server did not send every welcome within {JOIN_TIMEOUT:?}")
            })?
    }

    async fn try_join(options: JoinOptions<'_>) -> Result<Self> {
        let JoinOptions {
            url,
            protocol,
            token,
            rooms,
        } = options;
        let [first, ..] = rooms else {
            bail!("a client joins at least one room");
        };
        let uri: Uri = format!("{url}{}", protocol.path(first.name, first.presence)).parse()?;
        let host = uri
            .authority()
            .context("the server's URL has no host")?
            .as_str();
        let tcp = TcpStream::connect(host)
            .await
            .with_context(|| format!("cannot connect to {host}"))?;
        tcp.set_nodelay(true)?;
        let mut builder = ClientBuilder::from_uri(uri).limits(Limits::unlimited());
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {token}"))?;
            builder = builder.add_header(HeaderName::from_static("authorization"), value)?;
        }
        if let Some(subprotocol) = protocol.subprotocol() {
            let name = HeaderName::from_static("sec-websocket-protocol");
            builder = builder.add_header(name, HeaderValue::from_static(subprotocol))?;
        }
        let (stream, _) = builder
            .connect_on(tcp)
            .await
            .context("the server refused the WebSocket upgrade")?;
        let mut socket = Self {
            stream,
            protocol,
            offset: None,
        };
        let mut joins = rooms
            .iter()
            .filter_map(|room| protocol.join(room.name, room.presence));
        let mut welcomes = 0;
        let mut joining = 0;
        while welcomes < rooms.len() {
            for join in joins.by_ref().take(welcomes + JOINS_AT_ONCE - joining) {
                socket.queue(join).await?;
                joining += 1;
            }
            socket.flush().await?;
            let mut events = Vec::new();
            socket.receive(|event| events.push(event)).await?;
            for event in events {
                match event {
                    ServerEvent::Welcome { offset } => {
                        socket.offset = offset;
                        welcomes += 1;
                    }
                    ServerEvent::Error(text) => bail!("the server sent an error: {text}"),
                    _ => {}
                }
            }
        }
        Ok(socket)
    }

    /// Waits for a frame, passes each of its events to `on_event`, and sends the reply that the server expects, if
    /// any. The future may be dropped and created again, as long as it has not called `on_event`.
    pub async fn receive(&mut self, mut on_event: impl FnMut(ServerEvent)) -> Result<()> {
        let message = self
            .stream
            .next()
            .await
            .context("the connection was lost")??;
        if let Some((code, reason)) = message.as_close() {
            return Err(anyhow!(
                "the server closed the connection: {} {reason}",
                u16::from(code)
            ));
        }
        let mut reply = None;
        self.protocol
            .read(message.as_payload(), |event| match event {
                ServerEvent::ReplyNow(frame) => reply = Some(frame),
                event => on_event(event),
            });
        if let Some(frame) = reply {
            self.stream.send(Message::text(frame)).await?;
        }
        Ok(())
    }

    /// Queues a frame; `flush` sends it.
    pub async fn queue(&mut self, frame: String) -> Result<()> {
        Ok(self.stream.feed(Message::text(frame)).await?)
    }

    /// Sends the queued frames.
    pub async fn flush(&mut self) -> Result<()> {
        Ok(self.stream.flush().await?)
    }

    /// Closes the connection normally, and waits until the server confirms.
    pub async fn leave(mut self) -> Result<()> {
        let close = Message::close(Some(CloseCode::NORMAL_CLOSURE), "");
        self.stream.send(close).await?;
        let rest = async {
            while let Some(message) = self.stream.next().await {
                if message?.is_close() {
                    return Ok(());
                }
            }
            Ok(())
        };
        timeout(LEAVE_TIMEOUT, rest)
            .await
            .context("the server did not confirm the close")?
    }
}
