//! Runs a scenario's workload on a server, and measures it.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tokio::time::sleep;

use super::{
    fixed_rate,
    measure::{Config, Outcome},
    metric::Metric::{self, *},
    process,
    protocol::{Form, ServerProtocol},
    scenario::{MESSAGE_BYTES, Row, Variant, Workload},
    server::{Server, ServerKind},
    socket::{JoinOptions, RoomToJoin, Socket},
    stats::median,
    swarm::{Endpoint, Layout, Presence, Swarm},
    token::Credentials,
};

/// The number of handshakes at the same time.
const CONCURRENT_JOINS: usize = 64;

/// Long enough for objects to hibernate: an object waits up to five seconds for more over its links, and the runtime
/// keeps an idle object for ten.
const HIBERNATION: Duration = Duration::from_secs(20);

/// The gateways of the first set, over which users are spread.
const GATEWAYS: usize = 4;

/// A run in progress.
pub struct Run<'a> {
    pub config: &'a Config<'a>,
    pub server: &'a Server,
    pub row: Row,
    pub credentials: &'a Credentials,
    pub outcome: Outcome,
}

impl Run<'_> {
    /// Runs the workload, and adds its results to `outcome`.
    pub async fn execute(&mut self, workload: Workload) -> Result<()> {
        match workload {
            Workload::ClosedLoop {
                rooms,
                sockets,
                outstanding,
                bytes,
            } => {
                let layout = Layout {
                    rooms,
                    senders: outstanding.min(sockets),
                    bytes,
                    ..self.layout(sockets)
                };
                self.closed_loop(layout, outstanding).await
            }
            Workload::FixedRate {
                users,
                rooms,
                rooms_per_user,
                per_second,
            } => {
                let members = users * rooms_per_user / rooms;
                let layout = Layout {
                    rooms,
                    rooms_per_user,
                    senders: members,
                    ..self.layout(members)
                };
                self.fixed_rate(layout, per_second).await
            }
            Workload::Join { sockets } => self.join(sockets).await,
            Workload::Idle { sockets } => self.idle(sockets).await,
            Workload::JoinAndLeave { sockets } => self.join_and_leave(sockets).await,
            Workload::NewRooms { rooms } => self.new_rooms(rooms).await,
            Workload::CountRows {
                sockets,
                outstanding,
            } => {
                let layout = Layout {
                    senders: outstanding.min(sockets),
                    ..self.layout(sockets)
                };
                self.closed_loop(layout, outstanding).await?;
                let messages = self.newest_offset("room-0").await?;
                self.count_rows(messages).await
            }
            Workload::Stream {
                sockets,
                per_second,
                bytes,
            } => {
                let form = match self.row.variant {
                    Variant::Appends => Form::Appends,
                    _ => Form::Texts,
                };
                let layout = Layout {
                    senders: 1,
                    form,
                    bytes,
                    acks: true,
                    ..self.layout(sockets)
                };
                self.stream(layout, per_second).await
            }
        }
    }

    async fn closed_loop(&mut self, layout: Layout, outstanding: usize) -> Result<()> {
        let swarm = self.connect(layout).await?;
        swarm.start_sending(outstanding);
        sleep(self.config.warm_up).await;
        self.measure(&swarm, sleep(self.config.window)).await?;
        self.finish(&swarm).await
    }

    async fn fixed_rate(&mut self, layout: Layout, per_second: u32) -> Result<()> {
        self.warm_up().await?;
        let before = process::cpu_time(self.server.pid)?;
        let swarm = self.connect(layout).await?;
        let cpu = process::cpu_time(self.server.pid)? - before;
        self.set(JoinSeconds, swarm.joining.as_secs_f64());
        self.set_cpu_per_join(cpu, layout.places());
        // Long enough for a message in each room, so that none has to wake later.
        let round = Duration::from_secs(layout.rooms as u64) / per_second;
        fixed_rate::publish(&swarm, per_second, round.max(self.config.warm_up)).await;
        let (calls, deliveries) = (self.calls().await?, swarm.counters().deliveries.get());
        let window = fixed_rate::publish(&swarm, per_second, self.config.window);
        self.measure(&swarm, window).await?;
        if let Some((before, after)) = calls.zip(self.calls().await?) {
            let deliveries = swarm.counters().deliveries.get() - deliveries;
            let calls = (after - before) as f64;
            self.set(CallsPerDelivery, calls / deliveries as f64);
        }
        self.finish(&swarm).await?;
        self.set_latency(&swarm);
        Ok(())
    }

    /// Sends texts at a fixed rate, each as a message, or all into one.
    async fn stream(&mut self, layout: Layout, per_second: u32) -> Result<()> {
        self.warm_up().await?;
        let swarm = self.connect(layout).await?;
        fixed_rate::publish(&swarm, per_second, self.config.warm_up).await;
        let window = fixed_rate::publish(&swarm, per_second, self.config.window);
        self.measure(&swarm, window).await?;
        self.finish(&swarm).await?;
        self.set_latency(&swarm);
        let sent: u64 = swarm.sent_by_room().map(|(_, sent)| sent).sum();
        self.count_rows(sent).await
    }

    async fn join(&mut self, sockets: usize) -> Result<()> {
        self.warm_up().await?;
        let (own, server) = (self.own_cpu_time()?, process::cpu_time(self.server.pid)?);
        let swarm = self.connect(self.layout(sockets)).await?;
        let cost = process::cpu_time(self.server.pid)? - server;
        self.outcome.generator_cpu =
            Some((self.own_cpu_time()? - own).div_duration_f64(swarm.joining));
        self.set(JoinsPerSecond, sockets as f64 / swarm.joining.as_secs_f64());
        self.set_cpu_per_join(cost, sockets);
        self.finish(&swarm).await
    }

    async fn idle(&mut self, sockets: usize) -> Result<()> {
        let rooms = self.row.variant.rooms();
        let layout = Layout {
            rooms,
            rooms_per_user: rooms,
            senders: 1,
            ..self.layout(sockets)
        };
        self.warm_up().await?;
        let before = process::resident_memory(self.server.pid)?;
        let is_snug = self.row.server == ServerKind::Snug;
        let wasm_before = match is_snug {
            true => self.server.counts().await?.wasm_memory,
            false => 0,
        };
        let swarm = self.connect(layout).await?;
        self.set(JoinSeconds, swarm.joining.as_secs_f64());
        let per_socket =
            |before: u64, after: u64| after.saturating_sub(before) as f64 / 1000.0 / sockets as f64;
        let awake = process::resident_memory(self.server.pid)?;
        self.set(MemoryKilobytesPerSocket, per_socket(before, awake));
        sleep(HIBERNATION).await;
        let asleep = process::resident_memory(self.server.pid)?;
        self.set(
            MemoryKilobytesPerHibernatingSocket,
            per_socket(before, asleep),
        );
        if is_snug {
            let wasm = self.server.counts().await?.wasm_memory;
            self.set(WasmKilobytesPerSocket, per_socket(wasm_before, wasm));
            self.wake(&swarm).await?;
        }
        self.finish(&swarm).await
    }

    /// Wakes all objects with a message in each room, to find how many of them hibernated.
    async fn wake(&mut self, swarm: &Swarm) -> Result<()> {
        let rooms = swarm.layout().rooms;
        let gateways = match self.endpoint().protocol.has_many_rooms() {
            true => GATEWAYS,
            false => 0,
        };
        let before = self.server.counts().await?.starts;
        for room in 0..rooms {
            swarm.publish(room, 0, swarm.counters().now());
        }
        swarm.drain().await;
        let woken = self.server.counts().await?.starts - before;
        self.set(
            ObjectsHibernatingPercent,
            100.0 * woken as f64 / (rooms + gateways) as f64,
        );
        Ok(())
    }

    async fn join_and_leave(&mut self, sockets: usize) -> Result<()> {
        let sockets = sockets.min(self.config.sockets_max());
        self.set(Sockets, sockets as f64);
        const MESSAGES: u32 = 10;
        const SENDERS: usize = 10;
        let layout = Layout {
            senders: SENDERS,
            ..self.layout(sockets)
        };
        let endpoint = Endpoint {
            presence: Presence::LastOfRoom,
            ..self.endpoint()
        };
        let mut swarm = Swarm::connect(&endpoint, layout).await?;
        self.set(JoinSeconds, swarm.joining.as_secs_f64());
        let messages = Duration::from_secs(MESSAGES.into());
        let window = fixed_rate::publish(&swarm, 1, messages);
        self.measure(&swarm, window).await?;
        self.finish(&swarm).await?;
        self.set_latency(&swarm);

        let leaving = Instant::now();
        swarm.leave_all_but_last().await?;
        while swarm.counters().members.get() != Some(1) {
            if leaving.elapsed() > Duration::from_secs(60) {
                let members = swarm.counters().members.get();
                bail!("60 s after all clients but one left, the room reports {members:?} members");
            }
            sleep(Duration::from_millis(10)).await;
        }
        self.set(LeaveSeconds, leaving.elapsed().as_secs_f64());
        Ok(())
    }

    async fn new_rooms(&mut self, rooms: usize) -> Result<()> {
        self.warm_up().await?;
        let mut millis = Vec::new();
        for room in 0..rooms {
            let began = Instant::now();
            let _socket = join_once(&self.endpoint(), &format!("new-{room}")).await?;
            millis.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        self.set(FirstResponseMillis, median(&millis));
        Ok(())
    }

    /// Counts the rows that the messages of the last room became, or the texts that were appended to one.
    async fn count_rows(&mut self, messages: u64) -> Result<()> {
        let storage = self
            .server
            .storage
            .as_deref()
            .context("nothing is stored")?;
        let script = self.config.root.join("bench/count-rows.mjs");
        let output = Command::new("node").arg(script).arg(storage).output()?;
        let rows: f64 = String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
        self.set(RowsPerMessage, rows / messages as f64);
        Ok(())
    }

    /// Measures throughput and CPU time until `window` ends.
    async fn measure(&mut self, swarm: &Swarm, window: impl Future<Output = ()>) -> Result<()> {
        let counters = swarm.counters();
        let (server, own) = (process::cpu_time(self.server.pid)?, self.own_cpu_time()?);
        let (deliveries, messages) = (counters.deliveries.get(), counters.messages.get());
        counters.latency.borrow_mut().reset();
        let began = Instant::now();
        window.await;
        let seconds = began.elapsed().as_secs_f64();
        let deliveries = (counters.deliveries.get() - deliveries) as f64;
        let messages = (counters.messages.get() - messages) as f64;
        let cpu = (process::cpu_time(self.server.pid)? - server).as_secs_f64() * 1e6;
        ensure!(
            messages > 0.0,
            "no sender received its own message: is the server overloaded?"
        );
        self.outcome.generator_cpu = Some((self.own_cpu_time()? - own).as_secs_f64() / seconds);
        self.set(DeliveriesPerSecond, deliveries / seconds);
        self.set(CpuMicrosPerDelivery, cpu / deliveries);
        self.set(MessagesPerSecond, messages / seconds);
        self.set(CpuMicrosPerMessage, cpu / messages);
        Ok(())
    }

    /// Waits for outstanding messages, and counts the faults.
    async fn finish(&mut self, swarm: &Swarm) -> Result<()> {
        swarm.drain().await;
        self.outcome.faults = swarm.faults()?;
        // Texts that are appended together have one offset. Their acks show that they are stored.
        if self.row.server == ServerKind::Snug && swarm.layout().form != Form::Appends {
            for (room, sent) in swarm.sent_by_room() {
                let stored = self.newest_offset(room).await?;
                self.outcome.faults.unstored += sent.abs_diff(stored);
            }
        }
        Ok(())
    }

    /// Returns the calls between objects so far, if the server counts them.
    async fn calls(&self) -> Result<Option<u64>> {
        Ok(match self.row.server {
            ServerKind::Snug => Some(self.server.counts().await?.calls),
            _ => None,
        })
    }

    fn set_cpu_per_join(&mut self, cpu: Duration, joins: usize) {
        self.set(CpuMicrosPerJoin, cpu.as_secs_f64() * 1e6 / joins as f64);
    }

    fn set_latency(&mut self, swarm: &Swarm) {
        let latency = swarm.counters().latency.borrow();
        let millis = |quantile| latency.value_at_quantile(quantile) as f64 / 1e6;
        self.set(LatencyP50Millis, millis(0.5));
        self.set(LatencyP99Millis, millis(0.99));
    }

    /// Joins some rooms, so that the server has loaded its code before the measurement.
    async fn warm_up(&self) -> Result<()> {
        for room in 0..10 {
            join_once(&self.endpoint(), &format!("warm_room-{room}")).await?;
        }
        Ok(())
    }

    /// Returns the offset of the newest message that Snug has stored in a room.
    async fn newest_offset(&self, room: &str) -> Result<u64> {
        let endpoint = Endpoint {
            // A gateway limits the rate at which one user joins rooms.
            protocol: self.row.server.protocol(),
            ..self.endpoint()
        };
        let socket = join_once(&endpoint, room).await?;
        socket.offset.context("Snug sent no offset in its welcome")
    }

    /// Connects all clients, if the limit of open files allows it.
    async fn connect(&self, layout: Layout) -> Result<Swarm> {
        let endpoint = self.endpoint();
        let connections = layout.connections(endpoint.protocol);
        let max = self.config.sockets_max();
        ensure!(
            connections <= max,
            "{connections} connections are more than the limit of open files allows, which is {max}: raise it with `ulimit -n`"
        );
        Swarm::connect(&endpoint, layout).await
    }

    fn endpoint(&self) -> Endpoint<'_> {
        Endpoint {
            url: &self.server.url,
            protocol: match self.row.variant {
                Variant::Gateway | Variant::GatewayRooms(_) => ServerProtocol::SnugGateway,
                _ => self.row.server.protocol(),
            },
            credentials: self.credentials,
            presence: match self.row.variant {
                Variant::NoPresence | Variant::GatewayRooms(_) => Presence::None,
                // Presence would add to the cost of authentication, which these rows compare.
                Variant::Signed(_) => Presence::None,
                Variant::NoAuth if self.row.server == ServerKind::Snug => Presence::None,
                _ => Presence::All,
            },
        }
    }

    /// Returns the layout of one room without senders.
    fn layout(&self, members_per_room: usize) -> Layout {
        Layout {
            rooms: 1,
            members_per_room,
            rooms_per_user: 1,
            senders: 0,
            form: Form::Objects,
            bytes: MESSAGE_BYTES,
            acks: self.row.variant == Variant::Acks,
            concurrent_joins: CONCURRENT_JOINS,
        }
    }

    fn own_cpu_time(&self) -> Result<Duration> {
        process::cpu_time(std::process::id())
    }

    fn set(&mut self, metric: Metric, figure: f64) {
        self.outcome.figures.insert(metric, figure);
    }
}

/// Joins as another user than the swarm's.
async fn join_once(endpoint: &Endpoint<'_>, room: &str) -> Result<Socket> {
    let token = endpoint.credentials.token(usize::MAX)?;
    Socket::join(JoinOptions {
        url: endpoint.url,
        protocol: endpoint.protocol,
        token: token.as_deref(),
        rooms: &[RoomToJoin {
            name: room,
            presence: true,
        }],
    })
    .await
}
