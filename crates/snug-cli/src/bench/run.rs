//! What is done to a server in each scenario, and what is measured meanwhile.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tokio::time::sleep;

use super::{
    crowd::{Crowd, Door, Layout, Presence},
    measure::{Bench, Outcome},
    metric::Metric::{self, *},
    pace, process,
    scenario::{MESSAGE_BYTES, Row, Variant, Work},
    server::{Kind, Server},
    socket::{Knock, Socket},
    stats::median,
    token::Pass,
};

/// How many handshakes go on at the same time.
const JOINS_AT_ONCE: usize = 64;

/// A room hibernates after ten seconds in which nothing happens.
const HIBERNATION: Duration = Duration::from_secs(15);

/// A run under way.
pub struct Run<'a> {
    pub bench: &'a Bench<'a>,
    pub server: &'a Server,
    pub row: Row,
    pub pass: &'a Pass,
    pub outcome: Outcome,
}

impl Run<'_> {
    /// Does the work, and puts into `outcome` what it gives.
    pub async fn work(&mut self, work: Work) -> Result<()> {
        match work {
            Work::Talk {
                rooms,
                sockets,
                outstanding,
                bytes,
            } => {
                let layout = Layout {
                    rooms,
                    speakers: outstanding.min(sockets),
                    bytes,
                    ..self.layout(sockets)
                };
                self.talk(layout, outstanding).await
            }
            Work::Pace {
                sockets,
                per_second,
            } => self.pace(sockets, per_second).await,
            Work::Join { sockets } => self.join(sockets).await,
            Work::Sleep { sockets } => self.sleep(sockets).await,
            Work::Assembly { sockets } => self.assemble(sockets).await,
            Work::NewRooms { rooms } => self.new_rooms(rooms).await,
            Work::Rows {
                sockets,
                outstanding,
            } => {
                let layout = Layout {
                    speakers: outstanding.min(sockets),
                    ..self.layout(sockets)
                };
                self.talk(layout, outstanding).await?;
                self.rows().await
            }
        }
    }

    async fn talk(&mut self, layout: Layout, outstanding: usize) -> Result<()> {
        let crowd = Crowd::gather(&self.door(), layout).await?;
        crowd.start_talking(outstanding);
        sleep(self.bench.warm_up).await;
        self.watch(&crowd, sleep(self.bench.window)).await?;
        self.finish(&crowd).await
    }

    async fn pace(&mut self, sockets: usize, per_second: u32) -> Result<()> {
        let layout = Layout {
            speakers: sockets,
            ..self.layout(sockets)
        };
        let crowd = Crowd::gather(&self.door(), layout).await?;
        pace::publish(&crowd, sockets, per_second, self.bench.warm_up).await;
        let window = pace::publish(&crowd, sockets, per_second, self.bench.window);
        self.watch(&crowd, window).await?;
        self.finish(&crowd).await?;
        self.set_latency(&crowd);
        Ok(())
    }

    async fn join(&mut self, sockets: usize) -> Result<()> {
        self.warm().await?;
        let (own, server) = (self.generator()?, process::cpu(self.server.pid)?);
        let crowd = Crowd::gather(&self.door(), self.layout(sockets)).await?;
        let cost = process::cpu(self.server.pid)? - server;
        self.outcome.generator_cpu =
            Some((self.generator()? - own).div_duration_f64(crowd.joining));
        self.set(JoinsPerSecond, sockets as f64 / crowd.joining.as_secs_f64());
        self.set(CpuMicrosPerJoin, cost.as_secs_f64() * 1e6 / sockets as f64);
        self.finish(&crowd).await
    }

    async fn sleep(&mut self, sockets: usize) -> Result<()> {
        self.warm().await?;
        let before = process::resident(self.server.pid)?;
        let crowd = Crowd::gather(&self.door(), self.layout(sockets)).await?;
        let gained = |after: u64| after.saturating_sub(before) as f64 / 1000.0 / sockets as f64;
        self.set(
            MemoryKilobytesPerSocket,
            gained(process::resident(self.server.pid)?),
        );
        sleep(HIBERNATION).await;
        self.set(
            MemoryKilobytesPerSleepingSocket,
            gained(process::resident(self.server.pid)?),
        );
        self.finish(&crowd).await
    }

    async fn assemble(&mut self, sockets: usize) -> Result<()> {
        let sockets = sockets.min(self.bench.sockets_max());
        self.set(Sockets, sockets as f64);
        const MESSAGES: u32 = 10;
        const SPEAKERS: usize = 10;
        let layout = Layout {
            speakers: SPEAKERS,
            ..self.layout(sockets)
        };
        let door = Door {
            presence: Presence::Watcher,
            ..self.door()
        };
        let mut crowd = Crowd::gather(&door, layout).await?;
        self.set(JoinSeconds, crowd.joining.as_secs_f64());
        let messages = Duration::from_secs(MESSAGES.into());
        let window = pace::publish(&crowd, SPEAKERS, 1, messages);
        self.watch(&crowd, window).await?;
        self.finish(&crowd).await?;
        self.set_latency(&crowd);

        let leaving = Instant::now();
        crowd.leave_all_but_last().await?;
        while crowd.tally().members.get() != Some(1) {
            if leaving.elapsed() > Duration::from_secs(60) {
                let members = crowd.tally().members.get();
                bail!("all but one have left, and the room says that {members:?} are there");
            }
            sleep(Duration::from_millis(10)).await;
        }
        self.set(LeaveSeconds, leaving.elapsed().as_secs_f64());
        Ok(())
    }

    async fn new_rooms(&mut self, rooms: usize) -> Result<()> {
        self.warm().await?;
        let mut millis = Vec::new();
        for room in 0..rooms {
            let began = Instant::now();
            let _socket = self.visit(&format!("new-{room}")).await?;
            millis.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        self.set(FirstAnswerMillis, median(&millis));
        Ok(())
    }

    /// Counts the rows that the messages of the last room became.
    async fn rows(&mut self) -> Result<()> {
        let storage = self
            .server
            .storage
            .as_deref()
            .context("nothing is stored")?;
        let script = self.bench.root.join("bench/rows.mjs");
        let output = Command::new("node").arg(script).arg(storage).output()?;
        let rows: f64 = String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        let newest = self
            .visit("room-0")
            .await?
            .offset
            .context("a room tells its offset")?;
        self.set(RowsPerMessage, rows / newest as f64);
        Ok(())
    }

    /// Measures while `window` lasts.
    async fn watch(&mut self, crowd: &Crowd, window: impl Future<Output = ()>) -> Result<()> {
        let tally = crowd.tally();
        let (server, own) = (process::cpu(self.server.pid)?, self.generator()?);
        let (deliveries, messages) = (tally.deliveries.get(), tally.messages.get());
        tally.latency.borrow_mut().reset();
        let began = Instant::now();
        window.await;
        let seconds = began.elapsed().as_secs_f64();
        let deliveries = (tally.deliveries.get() - deliveries) as f64;
        let messages = (tally.messages.get() - messages) as f64;
        let cpu = (process::cpu(self.server.pid)? - server).as_secs_f64() * 1e6;
        ensure!(messages > 0.0, "no message came back to its sender");
        self.outcome.generator_cpu = Some((self.generator()? - own).as_secs_f64() / seconds);
        self.set(DeliveriesPerSecond, deliveries / seconds);
        self.set(CpuMicrosPerDelivery, cpu / deliveries);
        self.set(MessagesPerSecond, messages / seconds);
        self.set(CpuMicrosPerMessage, cpu / messages);
        Ok(())
    }

    /// Waits for what is under way, and counts what went wrong.
    async fn finish(&mut self, crowd: &Crowd) -> Result<()> {
        crowd.settle().await;
        self.outcome.faults = crowd.faults()?;
        if self.row.server == Kind::Snug {
            for (room, sent) in crowd.sent_by_room() {
                let stored = self
                    .visit(room)
                    .await?
                    .offset
                    .context("a room tells its offset")?;
                self.outcome.faults.unstored += sent.abs_diff(stored);
            }
        }
        Ok(())
    }

    fn set_latency(&mut self, crowd: &Crowd) {
        let latency = crowd.tally().latency.borrow();
        let millis = |quantile| latency.value_at_quantile(quantile) as f64 / 1e6;
        self.set(LatencyP50Millis, millis(0.5));
        self.set(LatencyP99Millis, millis(0.99));
    }

    /// Has the server do everything once before it is measured.
    async fn warm(&self) -> Result<()> {
        for room in 0..10 {
            self.visit(&format!("warm-{room}")).await?;
        }
        Ok(())
    }

    /// Joins as somebody who is not of the crowd.
    async fn visit(&self, room: &str) -> Result<Socket> {
        let door = self.door();
        let token = door.pass.token(usize::MAX, room)?;
        Socket::join(Knock {
            url: door.url,
            dialect: door.dialect,
            room,
            token: token.as_deref(),
            presence: true,
        })
        .await
    }

    fn door(&self) -> Door<'_> {
        Door {
            url: &self.server.url,
            dialect: self.row.server.dialect(),
            pass: self.pass,
            presence: match self.row.variant {
                Variant::NoPresence => Presence::Nobody,
                // What the door costs is looked for, and not what the room does.
                Variant::Signed(_) => Presence::Nobody,
                Variant::Unchecked if self.row.server == Kind::Snug => Presence::Nobody,
                _ => Presence::Everybody,
            },
        }
    }

    /// One room where nobody speaks.
    fn layout(&self, sockets: usize) -> Layout {
        Layout {
            rooms: 1,
            sockets,
            speakers: 0,
            bytes: MESSAGE_BYTES,
            acks: self.row.variant == Variant::Acks,
            at_once: JOINS_AT_ONCE,
        }
    }

    fn generator(&self) -> Result<Duration> {
        process::cpu(std::process::id())
    }

    fn set(&mut self, metric: Metric, figure: f64) {
        self.outcome.figures.insert(metric, figure);
    }
}
