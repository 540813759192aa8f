//! The parts of a scenario: the load, and the servers that it compares.

use super::{metric::Metric, server::ServerKind, target::Target};

/// The size of a typical chat message.
pub const MESSAGE_BYTES: usize = 150;

/// A way to load servers.
pub struct Scenario {
    /// The name on the command line.
    pub name: &'static str,
    pub title: &'static str,
    pub about: &'static str,
    pub workload: Workload,
    pub rows: &'static [Row],
    /// The row that the report compares the others with.
    pub baseline: Option<Row>,
    /// The metrics in the report.
    pub metrics: &'static [Metric],
    pub targets: &'static [Target],
    /// Slow scenarios with steady figures need fewer rounds.
    pub rounds_max: usize,
}

/// The work of the clients.
#[derive(Clone, Copy)]
pub enum Workload {
    /// Keeps a fixed number of messages in flight in each room: a sender that receives its own message sends the next.
    ClosedLoop {
        rooms: usize,
        sockets: usize,
        outstanding: usize,
        bytes: usize,
    },
    /// Sends messages at a fixed rate, even if earlier ones are not delivered yet. Users share the rooms.
    FixedRate {
        users: usize,
        rooms: usize,
        rooms_per_user: usize,
        per_second: u32,
    },
    /// Joins one room with all clients.
    Join { sockets: usize },
    /// Joins with all clients, and sends nothing. All are in the same room, or in as many rooms as the row has.
    Idle { sockets: usize },
    /// Joins one room with all clients, delivers a few messages, and leaves.
    JoinAndLeave { sockets: usize },
    /// Joins new rooms, one after the other.
    NewRooms { rooms: usize },
    /// Sends texts from one connection of a room at a fixed rate: as messages, or into one message. Each gets an ack.
    /// Counts the rows in the database afterwards.
    Stream {
        sockets: usize,
        per_second: u32,
        bytes: usize,
    },
    /// As `ClosedLoop` in one room. Counts the rows in the database afterwards.
    CountRows { sockets: usize, outstanding: usize },
}

/// A row of the report: a server, and the variant in which it runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub server: ServerKind,
    pub variant: Variant,
}

/// The difference from a server's usual row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Usual,
    /// Senders request an ack for each message.
    Acks,
    /// Appends each text to one message.
    Appends,
    /// Clients join without authentication.
    NoAuth,
    /// Tokens are signed with this algorithm (RFC 7518, section 3.1).
    Signed(&'static str),
    /// Clients do not receive joins and leaves.
    NoPresence,
    /// Clients have connections that can have many rooms.
    Gateway,
    /// The same, in this many rooms and without presence.
    GatewayRooms(usize),
}

impl Row {
    /// Returns a server's usual row.
    pub const fn usual(server: ServerKind) -> Self {
        let variant = Variant::Usual;
        Self { server, variant }
    }

    /// Returns its name in the report.
    pub fn title(self) -> String {
        let server = self.server.title();
        match self.variant.title() {
            Some(variant) => format!("{server}, {variant}"),
            None => server.into(),
        }
    }
}

impl Variant {
    /// Returns the number of rooms that each client is in, if the scenario leaves it to the row.
    pub fn rooms(self) -> usize {
        match self {
            Self::GatewayRooms(rooms) => rooms,
            _ => 1,
        }
    }

    /// Returns the words that the report adds to the server's name; `None` for its usual row.
    pub fn title(self) -> Option<String> {
        Some(match self {
            Self::Usual => return None,
            Self::Acks => "with acks".into(),
            Self::Appends => "appends to one message".into(),
            Self::NoAuth => "no authentication".into(),
            Self::Signed(algorithm) => algorithm.into(),
            Self::Gateway => "over gateways".into(),
            Self::GatewayRooms(1) => "over gateways, in 1 room".into(),
            Self::GatewayRooms(rooms) => format!("over gateways, in {rooms} rooms"),
            Self::NoPresence => "without presence".into(),
        })
    }
}

impl Scenario {
    /// Returns about how many seconds a run takes in addition to the measured ones.
    pub fn overhead_seconds(&self, row: Row) -> u64 {
        match self.workload {
            Workload::ClosedLoop { .. } | Workload::CountRows { .. } | Workload::Stream { .. } => 5,
            // Most of it is for the joins.
            Workload::FixedRate { rooms, .. } => 5 + rooms as u64 / 10,
            Workload::Join { .. } | Workload::NewRooms { .. } => 6,
            Workload::Idle { sockets } => 30 + (sockets * (row.variant.rooms() - 1) / 700) as u64,
            Workload::JoinAndLeave { .. } => 40,
        }
    }
}
