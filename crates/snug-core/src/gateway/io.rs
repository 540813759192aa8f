//! The inputs and outputs of a gateway.

use std::{collections::BTreeMap, rc::Rc};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    auth::{
        JoinOptions,
        room_guard::RoomUse,
        token::{ClaimedLimits, Claims},
    },
    capability::Grants,
    ids::{ConnectionId, Origin, RoomName, Timestamp, UserId},
    link::{
        call::{Answer, Call},
        event::{ToGateway, ToRoom},
        links::{CallId, OutgoingCall},
    },
    log::LogLine,
    protocol::{command::CommandId, error::CloseCode, refusal::Refusal},
    secret::Secret,
};

/// An accepted request for a session: the user, and what its token grants.
///
/// The Worker sends it to the gateway's object, which may run the version of Snug before or after the
/// Worker's. A new field therefore needs a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionAdmission {
    /// The user.
    pub user: UserId,
    /// The user's public profile, a JSON object.
    #[serde(default)]
    pub info: Option<Rc<RawValue>>,
    /// The rooms that the token grants, and the capabilities in each.
    pub grants: Grants,
    /// The time at which the token expires.
    pub expires: Timestamp,
    /// The time at which the token was issued, or 0 if it does not say so.
    #[serde(default)]
    pub issued: Timestamp,
    /// The limits set by the token.
    #[serde(default)]
    pub limits: ClaimedLimits,
    /// True if the client offered `snug.v1`, so that a frame may contain several objects.
    pub lines: bool,
    /// The origin of the page, for the log.
    #[serde(default)]
    pub origin: Option<Origin>,
}

/// An event that the gateway has to process.
// Not `Debug`, because a frame can contain a token.
pub enum Input {
    /// A client connects: [`super::Gateway::admit`] returned `Ok`, and the socket is accepted.
    Connect {
        /// The new connection's id, drawn at random.
        connection: ConnectionId,
        /// The user, and what its token grants.
        admission: SessionAdmission,
    },
    /// A text frame arrived.
    Receive {
        /// The sender.
        from: ConnectionId,
        /// The frame.
        text: String,
    },
    /// A text frame arrived that is longer than [`crate::limits::FRAME_BYTES_MAX`].
    ReceiveTooLong {
        /// The sender.
        from: ConnectionId,
    },
    /// A binary frame arrived.
    ReceiveBinary {
        /// The sender.
        from: ConnectionId,
    },
    /// A connection has ended. If reported more than once, only the first report counts.
    Disconnect {
        /// The connection.
        connection: ConnectionId,
        /// True if the client closed the connection on purpose.
        clean: bool,
    },
    /// The time of [`super::Gateway::poll_timeout`], or any other, has been reached.
    Timeout {
        /// The time of the last ping that the runtime answered, by connection; `None` if
        /// [`super::Gateway::is_sweep_due`] returned false.
        answered: Option<BTreeMap<ConnectionId, Timestamp>>,
    },
    /// A call of a room. Results in one [`Output::AnswerCall`] at once.
    Call(Call<RoomName, ToGateway>),
    /// The result of [`Output::CallRoom`], which arrives in a later turn.
    CallSettled {
        /// The call.
        call: CallId,
        /// The room's answer; `None` if the call failed, or had none after
        /// [`crate::limits::LINK_CALL_MS_MAX`].
        answer: Option<Answer>,
        /// The use of the room, if its object reports it.
        found: Option<RoomUse>,
    },
    /// The result of [`Output::CheckToken`], which arrives in a later turn.
    TokenChecked {
        /// The connection that sent the token.
        connection: ConnectionId,
        /// The purpose of the token.
        check: TokenCheck,
        /// The token's claims, or why it was rejected.
        outcome: Result<Claims, Refusal>,
    },
    /// The delay of [`super::Gateway::poll_flush`] has passed.
    Flush,
    /// The queues of the sockets: some are too long.
    SlowConsumers {
        /// The bytes that the runtime queues, by connection. Includes sockets that are being closed.
        queued: BTreeMap<ConnectionId, u64>,
    },
}

/// The purpose of a token.
#[derive(Clone, Debug)]
pub enum TokenCheck {
    /// It replaces the session's.
    Refresh {
        /// The id of the `refresh` command.
        id: Option<CommandId>,
    },
    /// It grants one room.
    Join(JoinRoom),
}

/// A `join` command.
#[derive(Clone, Debug)]
pub struct JoinRoom {
    /// The command's id.
    pub id: Option<CommandId>,
    /// The room.
    pub room: RoomName,
    /// The options.
    pub options: JoinOptions,
}

/// An action for the Worker. Outputs have to be performed in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Replace the socket's attachment. The first one follows the connection's [`Input::Connect`].
    Attach {
        /// The socket's connection.
        connection: ConnectionId,
        /// The new attachment.
        attachment: String,
    },
    /// Send one text frame to each of these connections.
    Send {
        /// The recipients.
        to: Vec<ConnectionId>,
        /// The frame.
        text: Rc<str>,
    },
    /// Close a socket, and keep this attachment with it until its disconnect is reported.
    Close {
        /// The socket's connection.
        connection: ConnectionId,
        /// The close code.
        code: CloseCode,
        /// The new attachment.
        attachment: String,
    },
    /// Check a token in the same way as for a join. Report the result with [`Input::TokenChecked`].
    CheckToken {
        /// The connection that sent the token.
        connection: ConnectionId,
        /// The purpose of the token.
        check: TokenCheck,
        /// The token.
        token: Secret,
    },
    /// Answer the room's call.
    AnswerCall(Answer),
    /// Call a room. Report the result with [`Input::CallSettled`].
    CallRoom(OutgoingCall<RoomName, ToRoom>),
    /// Write a line to the log, unless there are too many: see [`crate::log::LogSampler`].
    Log(LogLine),
}
