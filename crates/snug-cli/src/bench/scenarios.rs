//! The table of scenarios: the load, the servers, and the targets for Snug.

use super::{
    metric::Metric::{self, *},
    scenario::{MESSAGE_BYTES, Row, Scenario, Variant, Workload},
    server::ServerKind,
    target::{Bound, Target},
};

/// The size of a text that is sent as it is generated: a few words.
const TEXT_BYTES: usize = 40;

const SNUG: Row = Row::usual(ServerKind::Snug);
const PARTYSERVER: Row = Row::usual(ServerKind::PartyServer);
const SNUG_WITH_ACKS: Row = Row {
    server: ServerKind::Snug,
    variant: Variant::Acks,
};
const SNUG_APPENDS: Row = Row {
    server: ServerKind::Snug,
    variant: Variant::Appends,
};
const SNUG_WITHOUT_PRESENCE: Row = Row {
    server: ServerKind::Snug,
    variant: Variant::NoPresence,
};
const SNUG_OVER_GATEWAYS: Row = Row {
    server: ServerKind::Snug,
    variant: Variant::Gateway,
};
const PARTYSERVER_NO_AUTH: Row = Row {
    server: ServerKind::PartyServer,
    variant: Variant::NoAuth,
};

const SNUG_NO_AUTH: Row = Row {
    server: ServerKind::Snug,
    variant: Variant::NoAuth,
};

const ALL_SERVERS: &[Row] = &[
    SNUG,
    SNUG_OVER_GATEWAYS,
    PARTYSERVER,
    Row::usual(ServerKind::DurableObject),
    Row::usual(ServerKind::Ws),
    Row::usual(ServerKind::SocketIo),
    Row::usual(ServerKind::UWebSockets),
];

/// Returns a target for the ratio of Snug to PartyServer.
const fn snug_to_partyserver(metric: Metric, bound: Bound) -> Target {
    Target {
        metric,
        row: SNUG,
        against: PARTYSERVER,
        bound,
    }
}

/// Returns a target for the ratio of Snug over gateways to Snug with a socket for each room.
const fn gateways_to_direct(metric: Metric, bound: Bound) -> Target {
    Target {
        metric,
        row: SNUG_OVER_GATEWAYS,
        against: SNUG,
        bound,
    }
}

/// The target for texts that are appended to one message, relative to as many messages.
const APPENDS_TO_MESSAGES: Target = Target {
    metric: CpuMicrosPerDelivery,
    row: SNUG_APPENDS,
    against: SNUG,
    bound: Bound::AtMost(1.5),
};

/// Returns the row of Snug over gateways with clients in this many rooms.
const fn in_rooms(rooms: usize) -> Row {
    Row {
        server: ServerKind::Snug,
        variant: Variant::GatewayRooms(rooms),
    }
}

/// Returns the target for the memory of a sleeping connection over gateways, relative to a socket for one room.
const fn sleeping_to_direct(row: Row) -> Target {
    Target {
        metric: MemoryKilobytesPerHibernatingSocket,
        row,
        against: SNUG_WITHOUT_PRESENCE,
        bound: Bound::AtMost(1.3),
    }
}

const DELIVERIES: &[Metric] = &[DeliveriesPerSecond, CpuMicrosPerDelivery];
const SESSIONS: &[Metric] = &[
    LatencyP50Millis,
    LatencyP99Millis,
    CpuMicrosPerDelivery,
    CallsPerDelivery,
    JoinSeconds,
    CpuMicrosPerJoin,
];
const STREAM: &[Metric] = &[
    CpuMicrosPerDelivery,
    LatencyP50Millis,
    LatencyP99Millis,
    RowsPerMessage,
];
const MESSAGES: &[Metric] = &[MessagesPerSecond, CpuMicrosPerMessage];

/// All scenarios, in the order of the report.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "busy",
        title: "Busy room",
        about: "1 room of 100 connections, 128 messages outstanding",
        workload: Workload::ClosedLoop {
            rooms: 1,
            sockets: 100,
            outstanding: 128,
            bytes: MESSAGE_BYTES,
        },
        rows: &[
            SNUG,
            SNUG_WITH_ACKS,
            SNUG_OVER_GATEWAYS,
            PARTYSERVER,
            Row::usual(ServerKind::DurableObject),
            Row::usual(ServerKind::Ws),
            Row::usual(ServerKind::SocketIo),
            Row::usual(ServerKind::UWebSockets),
        ],
        baseline: None,
        metrics: DELIVERIES,
        targets: &[
            snug_to_partyserver(DeliveriesPerSecond, Bound::AtLeast(20.0)),
            snug_to_partyserver(CpuMicrosPerDelivery, Bound::AtMost(1.0 / 20.0)),
            Target {
                metric: DeliveriesPerSecond,
                row: SNUG,
                against: Row::usual(ServerKind::UWebSockets),
                bound: Bound::AtLeast(1.0),
            },
            Target {
                metric: DeliveriesPerSecond,
                row: SNUG_OVER_GATEWAYS,
                against: PARTYSERVER,
                bound: Bound::AtLeast(8.0),
            },
        ],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "big-room",
        title: "Big room",
        about: "1 room of 1,000 connections, 32 messages outstanding",
        workload: Workload::ClosedLoop {
            rooms: 1,
            sockets: 1000,
            outstanding: 32,
            bytes: MESSAGE_BYTES,
        },
        rows: ALL_SERVERS,
        baseline: None,
        metrics: DELIVERIES,
        targets: &[snug_to_partyserver(
            DeliveriesPerSecond,
            Bound::AtLeast(10.0),
        )],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "pair",
        title: "Pair",
        about: "1 room of 2 connections, 4 messages outstanding",
        workload: Workload::ClosedLoop {
            rooms: 1,
            sockets: 2,
            outstanding: 4,
            bytes: MESSAGE_BYTES,
        },
        rows: ALL_SERVERS,
        baseline: None,
        metrics: MESSAGES,
        targets: &[snug_to_partyserver(CpuMicrosPerMessage, Bound::AtMost(1.5))],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "busy-rooms",
        title: "Busy rooms",
        about: "100 rooms of 10 connections, 16 messages outstanding in each",
        workload: Workload::ClosedLoop {
            rooms: 100,
            sockets: 10,
            outstanding: 16,
            bytes: MESSAGE_BYTES,
        },
        rows: ALL_SERVERS,
        baseline: None,
        metrics: DELIVERIES,
        targets: &[snug_to_partyserver(
            DeliveriesPerSecond,
            Bound::AtLeast(4.0),
        )],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "quiet",
        title: "Quiet room",
        about: "1 room of 100 connections, 50 messages/s at a fixed rate",
        workload: Workload::FixedRate {
            users: 100,
            rooms: 1,
            rooms_per_user: 1,
            per_second: 50,
        },
        rows: ALL_SERVERS,
        baseline: None,
        metrics: &[LatencyP50Millis, LatencyP99Millis, CpuMicrosPerDelivery],
        targets: &[
            snug_to_partyserver(LatencyP50Millis, Bound::AtMost(1.1)),
            snug_to_partyserver(LatencyP99Millis, Bound::AtMost(1.1)),
            snug_to_partyserver(CpuMicrosPerDelivery, Bound::AtMost(1.1)),
            gateways_to_direct(LatencyP50Millis, Bound::AtMost(2.0)),
        ],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "append-stream",
        title: "Stream of text",
        about: "1 room of 100 connections, one of which sends 50 texts of 40 bytes a second: each as a message, or appended to one message",
        workload: Workload::Stream {
            sockets: 100,
            per_second: 50,
            bytes: TEXT_BYTES,
        },
        rows: &[SNUG, SNUG_APPENDS],
        baseline: Some(SNUG),
        metrics: STREAM,
        targets: &[APPENDS_TO_MESSAGES],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "append-burst",
        title: "Fast stream of text",
        about: "the same with 500 texts a second, several of which the room gathers",
        workload: Workload::Stream {
            sockets: 100,
            per_second: 500,
            bytes: TEXT_BYTES,
        },
        rows: &[SNUG, SNUG_APPENDS],
        baseline: Some(SNUG),
        metrics: STREAM,
        targets: &[APPENDS_TO_MESSAGES],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "sidebar",
        title: "Sidebar",
        about: "50 users, all in the same 10 rooms, 20 messages/s at a fixed rate; each user has a connection for each room, or one over gateways",
        workload: Workload::FixedRate {
            users: 50,
            rooms: 10,
            rooms_per_user: 10,
            per_second: 20,
        },
        rows: &[SNUG, SNUG_OVER_GATEWAYS, PARTYSERVER],
        baseline: Some(SNUG),
        metrics: SESSIONS,
        targets: &[],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "many-rooms",
        title: "Many rooms",
        about: "200 users, each in 20 of 400 rooms of 10, 100 messages/s at a fixed rate; each user has a connection for each room, or one over gateways",
        workload: Workload::FixedRate {
            users: 200,
            rooms: 400,
            rooms_per_user: 20,
            per_second: 100,
        },
        rows: &[SNUG, SNUG_OVER_GATEWAYS, PARTYSERVER],
        baseline: Some(SNUG),
        metrics: SESSIONS,
        targets: &[],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "joins",
        title: "Join burst",
        about: "2,000 users join 1 room, 64 at a time, each with a token",
        workload: Workload::Join { sockets: 2000 },
        rows: &[
            SNUG,
            SNUG_WITHOUT_PRESENCE,
            SNUG_OVER_GATEWAYS,
            PARTYSERVER,
            PARTYSERVER_NO_AUTH,
        ],
        baseline: None,
        metrics: &[JoinsPerSecond, CpuMicrosPerJoin],
        targets: &[snug_to_partyserver(JoinsPerSecond, Bound::AtLeast(0.9))],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "sign-in",
        title: "Sign-in",
        about: "2,000 users join 1 room, 64 at a time, with tokens of each algorithm and without presence",
        workload: Workload::Join { sockets: 2000 },
        rows: &[
            SNUG_NO_AUTH,
            signed("HS256"),
            signed("ES256"),
            signed("EdDSA"),
            signed("RS256"),
            signed("PS256"),
        ],
        baseline: Some(SNUG_NO_AUTH),
        metrics: &[JoinsPerSecond, CpuMicrosPerJoin],
        targets: &[],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "memory",
        title: "Memory",
        about: "4,000 users in 1 room without messages",
        workload: Workload::Idle { sockets: 4000 },
        rows: &[SNUG, PARTYSERVER],
        baseline: None,
        metrics: &[
            MemoryKilobytesPerSocket,
            MemoryKilobytesPerHibernatingSocket,
        ],
        targets: &[
            snug_to_partyserver(MemoryKilobytesPerSocket, Bound::AtMost(1.1)),
            snug_to_partyserver(MemoryKilobytesPerHibernatingSocket, Bound::AtMost(1.1)),
        ],
        rounds_max: 2,
    },
    Scenario {
        name: "sleeping",
        title: "Sleeping connections",
        about: "1,000 users in the same room or rooms, without messages and presence, until all objects hibernate; with connections to the room, or over gateways",
        workload: Workload::Idle { sockets: 1000 },
        rows: &[
            SNUG_WITHOUT_PRESENCE,
            in_rooms(1),
            in_rooms(20),
            in_rooms(128),
        ],
        baseline: Some(SNUG_WITHOUT_PRESENCE),
        metrics: &[
            MemoryKilobytesPerSocket,
            MemoryKilobytesPerHibernatingSocket,
            WasmKilobytesPerSocket,
            ObjectsHibernatingPercent,
            JoinSeconds,
        ],
        targets: &[
            sleeping_to_direct(in_rooms(1)),
            sleeping_to_direct(in_rooms(20)),
            sleeping_to_direct(in_rooms(128)),
        ],
        rounds_max: 3,
    },
    Scenario {
        name: "ten-thousand",
        title: "Ten thousand",
        about: "10,000 users, or as many as the limit of open files allows, join 1 room, receive 10 messages and leave",
        workload: Workload::JoinAndLeave { sockets: 10_000 },
        rows: &[SNUG],
        baseline: None,
        metrics: &[
            Sockets,
            JoinSeconds,
            LatencyP50Millis,
            LatencyP99Millis,
            LeaveSeconds,
        ],
        targets: &[],
        rounds_max: 1,
    },
    Scenario {
        name: "size-1k",
        title: "Messages of 1 KiB",
        about: "1 room of 10 connections, 4 messages outstanding",
        workload: sized(1),
        rows: &[SNUG, PARTYSERVER],
        baseline: None,
        metrics: MESSAGES,
        targets: &[],
        rounds_max: 2,
    },
    Scenario {
        name: "size-8k",
        title: "Messages of 8 KiB",
        about: "1 room of 10 connections, 4 messages outstanding",
        workload: sized(8),
        rows: &[SNUG, PARTYSERVER],
        baseline: None,
        metrics: MESSAGES,
        targets: &[],
        rounds_max: 2,
    },
    Scenario {
        name: "size-64k",
        title: "Messages of 64 KiB",
        about: "1 room of 10 connections, 4 messages outstanding",
        workload: sized(64),
        rows: &[SNUG, PARTYSERVER],
        baseline: None,
        metrics: MESSAGES,
        targets: &[],
        rounds_max: 2,
    },
    Scenario {
        name: "new-rooms",
        title: "New rooms",
        about: "1 client joins 50 new rooms, one after the other",
        workload: Workload::NewRooms { rooms: 50 },
        rows: &[SNUG, PARTYSERVER],
        baseline: None,
        metrics: &[FirstResponseMillis],
        targets: &[],
        rounds_max: usize::MAX,
    },
    Scenario {
        name: "rows",
        title: "Rows",
        about: "1 room of 100 connections, 128 messages outstanding; then the rows in its database are counted",
        workload: Workload::CountRows {
            sockets: 100,
            outstanding: 128,
        },
        rows: &[SNUG],
        baseline: None,
        metrics: &[RowsPerMessage],
        targets: &[],
        rounds_max: 2,
    },
];

const fn signed(algorithm: &'static str) -> Row {
    Row {
        server: ServerKind::Snug,
        variant: Variant::Signed(algorithm),
    }
}

const fn sized(kilobytes: usize) -> Workload {
    Workload::ClosedLoop {
        rooms: 1,
        sockets: 10,
        outstanding: 4,
        bytes: kilobytes * 1024,
    }
}
