//! What is done to the servers, which of them, and what Snug is held to.

use super::{
    bar::{Bar, Bound},
    metric::Metric::{self, *},
    server::Kind,
};

/// One way to load a server.
pub struct Scenario {
    /// On the command line.
    pub name: &'static str,
    pub title: &'static str,
    pub about: &'static str,
    pub work: Work,
    pub rows: &'static [Row],
    /// The row that the report compares the others with.
    pub baseline: Option<Row>,
    /// What the report shows.
    pub shows: &'static [Metric],
    pub bars: &'static [Bar],
    /// Slow scenarios with steady figures need fewer rounds.
    pub rounds_max: usize,
}

/// What the sockets do.
#[derive(Clone, Copy)]
pub enum Work {
    /// In each room so many messages are under way, and whoever gets its own back sends the next.
    Talk {
        rooms: usize,
        sockets: usize,
        outstanding: usize,
        bytes: usize,
    },
    /// Messages are sent by the clock, whatever has become of those before.
    Pace { sockets: usize, per_second: u32 },
    /// All join one room.
    Join { sockets: usize },
    /// All join one room, and nothing happens.
    Sleep { sockets: usize },
    /// All join one room, hear a few messages and leave.
    Assembly { sockets: usize },
    /// One socket joins a room that was never used before, again and again.
    NewRooms { rooms: usize },
    /// As `Talk` in one room, with a look into the database after it.
    Rows { sockets: usize, outstanding: usize },
}

/// A server, and how it is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Row {
    pub server: Kind,
    pub variant: Variant,
}

/// What differs from a server's usual row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Usual,
    /// Each message asks for an ack.
    Acks,
    /// Tokens are not checked.
    Unchecked,
    /// Tokens are signed by this algorithm (RFC 7518, section 3.1).
    Signed(&'static str),
    /// The sockets are not told who comes and goes.
    NoPresence,
}

impl Row {
    /// A server as one would use it.
    pub const fn usual(server: Kind) -> Self {
        let variant = Variant::Usual;
        Self { server, variant }
    }

    /// Its name in the report.
    pub fn title(self) -> String {
        let server = self.server.title();
        match self.variant {
            Variant::Usual => server.into(),
            Variant::Acks => format!("{server}, with acks"),
            Variant::Unchecked => format!("{server}, without a check"),
            Variant::Signed(algorithm) => format!("{server}, {algorithm}"),
            Variant::NoPresence => format!("{server}, without presence"),
        }
    }
}

impl Scenario {
    /// About how many seconds a run takes, besides the measured ones.
    pub fn overhead_seconds(&self) -> u64 {
        match self.work {
            Work::Talk { .. } | Work::Pace { .. } | Work::Rows { .. } => 5,
            Work::Join { .. } | Work::NewRooms { .. } => 6,
            Work::Sleep { .. } => 25,
            Work::Assembly { .. } => 40,
        }
    }
}

const SNUG: Row = Row::usual(Kind::Snug);
const PARTYSERVER: Row = Row::usual(Kind::PartyServer);
const SNUG_WITH_ACKS: Row = Row {
    server: Kind::Snug,
    variant: Variant::Acks,
};
const SNUG_WITHOUT_PRESENCE: Row = Row {
    server: Kind::Snug,
    variant: Variant::NoPresence,
};
const PARTYSERVER_UNCHECKED: Row = Row {
    server: Kind::PartyServer,
    variant: Variant::Unchecked,
};

const SNUG_UNCHECKED: Row = Row {
    server: Kind::Snug,
    variant: Variant::Unchecked,
};

const EVERYBODY: &[Row] = &[
    SNUG,
    PARTYSERVER,
    Row::usual(Kind::DurableObject),
    Row::usual(Kind::Ws),
    Row::usual(Kind::SocketIo),
    Row::usual(Kind::UWebSockets),
];

const DELIVERIES: &[Metric] = &[DeliveriesPerSecond, CpuMicrosPerDelivery];
const MESSAGES: &[Metric] = &[MessagesPerSecond, CpuMicrosPerMessage];

/// About what a chat message is.
pub const MESSAGE_BYTES: usize = 150;

/// Everything there is, in the order of the report.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "busy",
        title: "Busy room",
        about: "1 room of 100 sockets, 128 messages outstanding",
        work: Work::Talk {
            rooms: 1,
            sockets: 100,
            outstanding: 128,
            bytes: MESSAGE_BYTES,
        },
        rows: &[
            SNUG,
            SNUG_WITH_ACKS,
            PARTYSERVER,
            Row::usual(Kind::DurableObject),
            Row::usual(Kind::Ws),
            Row::usual(Kind::SocketIo),
            Row::usual(Kind::UWebSockets),
        ],
        baseline: None,
        shows: DELIVERIES,
        bars: &[
            Bar::party(DeliveriesPerSecond, Bound::AtLeast(20.0)),
            Bar::party(CpuMicrosPerDelivery, Bound::AtMost(1.0 / 20.0)),
            Bar {
                metric: DeliveriesPerSecond,
                against: Kind::UWebSockets,
                bound: Bound::AtLeast(1.0),
            },
        ],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "big-room",
        title: "Big room",
        about: "1 room of 1,000 sockets, 32 messages outstanding",
        work: Work::Talk {
            rooms: 1,
            sockets: 1000,
            outstanding: 32,
            bytes: MESSAGE_BYTES,
        },
        rows: EVERYBODY,
        baseline: None,
        shows: DELIVERIES,
        bars: &[Bar::party(DeliveriesPerSecond, Bound::AtLeast(10.0))],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "pair",
        title: "Pair",
        about: "1 room of 2 sockets, 4 messages outstanding",
        work: Work::Talk {
            rooms: 1,
            sockets: 2,
            outstanding: 4,
            bytes: MESSAGE_BYTES,
        },
        rows: EVERYBODY,
        baseline: None,
        shows: MESSAGES,
        bars: &[Bar::party(CpuMicrosPerMessage, Bound::AtMost(1.5))],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "many-rooms",
        title: "Many rooms",
        about: "100 rooms of 10 sockets, 16 messages outstanding in each",
        work: Work::Talk {
            rooms: 100,
            sockets: 10,
            outstanding: 16,
            bytes: MESSAGE_BYTES,
        },
        rows: EVERYBODY,
        baseline: None,
        shows: DELIVERIES,
        bars: &[Bar::party(DeliveriesPerSecond, Bound::AtLeast(4.0))],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "quiet",
        title: "Quiet room",
        about: "1 room of 100 sockets, 50 messages a second by the clock",
        work: Work::Pace {
            sockets: 100,
            per_second: 50,
        },
        rows: EVERYBODY,
        baseline: None,
        shows: &[LatencyP50Millis, LatencyP99Millis, CpuMicrosPerDelivery],
        bars: &[
            Bar::party(LatencyP50Millis, Bound::AtMost(1.1)),
            Bar::party(LatencyP99Millis, Bound::AtMost(1.1)),
            Bar::party(CpuMicrosPerDelivery, Bound::AtMost(1.1)),
        ],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "joins",
        title: "Rush",
        about: "2,000 users join 1 room, 64 at a time, by their tokens",
        work: Work::Join { sockets: 2000 },
        rows: &[
            SNUG,
            SNUG_WITHOUT_PRESENCE,
            PARTYSERVER,
            PARTYSERVER_UNCHECKED,
        ],
        baseline: None,
        shows: &[JoinsPerSecond],
        bars: &[Bar::party(JoinsPerSecond, Bound::AtLeast(0.9))],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "sign-in",
        title: "Sign-in",
        about: "2,000 users join 1 room, 64 at a time, by tokens of each algorithm, and are not told who comes and goes",
        work: Work::Join { sockets: 2000 },
        rows: &[
            SNUG_UNCHECKED,
            signed("HS256"),
            signed("ES256"),
            signed("EdDSA"),
            signed("RS256"),
            signed("PS256"),
        ],
        baseline: Some(SNUG_UNCHECKED),
        shows: &[JoinsPerSecond, CpuMicrosPerJoin],
        bars: &[],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "memory",
        title: "Memory",
        about: "4,000 users in 1 room where nothing is said",
        work: Work::Sleep { sockets: 4000 },
        rows: &[SNUG, PARTYSERVER],
        baseline: None,
        shows: &[MemoryKilobytesPerSocket, MemoryKilobytesPerSleepingSocket],
        bars: &[
            Bar::party(MemoryKilobytesPerSocket, Bound::AtMost(1.1)),
            Bar::party(MemoryKilobytesPerSleepingSocket, Bound::AtMost(1.1)),
        ],
        rounds_max: 2,
    },
    Scenario {
        name: "ten-thousand",
        title: "Ten thousand",
        about: "10,000 users, or as many as the limit of open files allows, join 1 room, hear 10 messages and leave",
        work: Work::Assembly { sockets: 10_000 },
        rows: &[SNUG],
        baseline: None,
        shows: &[
            Sockets,
            JoinSeconds,
            LatencyP50Millis,
            LatencyP99Millis,
            LeaveSeconds,
        ],
        bars: &[],
        rounds_max: 1,
    },
    Scenario {
        name: "size-1k",
        title: "Messages of 1 KiB",
        about: "1 room of 10 sockets, 4 messages outstanding",
        work: sized(1),
        rows: &[SNUG, PARTYSERVER],
        baseline: None,
        shows: MESSAGES,
        bars: &[],
        rounds_max: 2,
    },
    Scenario {
        name: "size-8k",
        title: "Messages of 8 KiB",
        about: "1 room of 10 sockets, 4 messages outstanding",
        work: sized(8),
        rows: &[SNUG, PARTYSERVER],
        baseline: None,
        shows: MESSAGES,
        bars: &[],
        rounds_max: 2,
    },
    Scenario {
        name: "size-64k",
        title: "Messages of 64 KiB",
        about: "1 room of 10 sockets, 4 messages outstanding",
        work: sized(64),
        rows: &[SNUG, PARTYSERVER],
        baseline: None,
        shows: MESSAGES,
        bars: &[],
        rounds_max: 2,
    },
    Scenario {
        name: "new-rooms",
        title: "New rooms",
        about: "one socket joins a room that was never used before, 50 times",
        work: Work::NewRooms { rooms: 50 },
        rows: &[SNUG, PARTYSERVER],
        baseline: None,
        shows: &[FirstAnswerMillis],
        bars: &[],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "rows",
        title: "Rows",
        about: "1 room of 100 sockets, 128 messages outstanding, and what is in its database then",
        work: Work::Rows {
            sockets: 100,
            outstanding: 128,
        },
        rows: &[SNUG],
        baseline: None,
        shows: &[RowsPerMessage],
        bars: &[],
        rounds_max: 2,
    },
];

const fn signed(algorithm: &'static str) -> Row {
    Row {
        server: Kind::Snug,
        variant: Variant::Signed(algorithm),
    }
}

const fn sized(kilobytes: usize) -> Work {
    Work::Talk {
        rooms: 1,
        sockets: 10,
        outstanding: 4,
        bytes: kilobytes * 1024,
    }
}
