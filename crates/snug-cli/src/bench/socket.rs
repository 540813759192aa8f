//! A socket that has joined a room.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderName, HeaderValue, Uri};
use tokio::{net::TcpStream, time::timeout};
use tokio_websockets::{ClientBuilder, CloseCode, Limits, Message, WebSocketStream};

use super::dialect::{Dialect, Said};

/// Joining a room with many others may wait for all of them.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
const LEAVE_TIMEOUT: Duration = Duration::from_secs(60);

/// How to come into a room.
pub struct Knock<'a> {
    /// Of the server.
    pub url: &'a str,
    pub dialect: Dialect,
    pub room: &'a str,
    pub token: Option<&'a str>,
    /// Whether to be told who comes and goes.
    pub presence: bool,
}

/// A socket in a room.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    dialect: Dialect,
    /// The newest stored message's offset when it joined, where the server tells.
    pub offset: Option<u64>,
}

impl Socket {
    /// Joins, and waits for the welcome.
    pub async fn join(knock: Knock<'_>) -> Result<Self> {
        timeout(JOIN_TIMEOUT, Self::enter(knock))
            .await
            .context("no welcome came")?
    }

    async fn enter(knock: Knock<'_>) -> Result<Self> {
        let Knock {
            url,
            dialect,
            room,
            token,
            presence,
        } = knock;
        let uri: Uri = format!("{url}{}", dialect.path(room, presence)).parse()?;
        let host = uri.authority().context("a server has an address")?.as_str();
        let tcp = TcpStream::connect(host).await.context("cannot connect")?;
        tcp.set_nodelay(true)?;
        let mut builder = ClientBuilder::from_uri(uri).limits(Limits::unlimited());
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("Bearer {token}"))?;
            builder = builder.add_header(HeaderName::from_static("authorization"), value)?;
        }
        if let Some(protocol) = dialect.subprotocol() {
            let name = HeaderName::from_static("sec-websocket-protocol");
            builder = builder.add_header(name, HeaderValue::from_static(protocol))?;
        }
        let (stream, _) = builder.connect_on(tcp).await.context("no upgrade")?;
        let mut socket = Self {
            stream,
            dialect,
            offset: None,
        };
        loop {
            let mut welcome = None;
            let mut said = Vec::new();
            socket.hear(|one| said.push(one)).await?;
            for one in said {
                match one {
                    Said::Welcome { offset } => welcome = Some(offset),
                    Said::Trouble(text) => bail!("the server says {text}"),
                    _ => {}
                }
            }
            if let Some(offset) = welcome {
                return Ok(Self { offset, ..socket });
            }
        }
    }

    /// Waits for a frame, tells what it says, and gives the response that it wants. As long as nothing was told,
    /// this may be dropped and called again.
    pub async fn hear(&mut self, mut hear: impl FnMut(Said)) -> Result<()> {
        let message = self.stream.next().await.context("the socket is gone")??;
        if let Some((code, reason)) = message.as_close() {
            return Err(anyhow!(
                "the server closed the socket: {} {reason}",
                u16::from(code)
            ));
        }
        let mut response = None;
        self.dialect.read(message.as_payload(), |said| match said {
            Said::Respond(frame) => response = Some(frame),
            said => hear(said),
        });
        if let Some(frame) = response {
            self.stream.send(Message::text(frame)).await?;
        }
        Ok(())
    }

    /// Puts a frame into the line; `flush` sends what is there.
    pub async fn queue(&mut self, frame: String) -> Result<()> {
        Ok(self.stream.feed(Message::text(frame)).await?)
    }

    /// Sends what was queued.
    pub async fn flush(&mut self) -> Result<()> {
        Ok(self.stream.flush().await?)
    }

    /// Leaves as a client does that has nothing more to say, and waits until the server agrees.
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
            .context("the server does not answer a close")?
    }
}
