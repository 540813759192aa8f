//! The inputs and outputs of a room.

use std::{collections::BTreeMap, rc::Rc};

use crate::{
    auth::{Admission, token::Claims},
    backend::{
        api::{ApiRequest, ApiRequestId},
        publish_hook::{Decision, HookRequest},
        webhook::Delivery,
    },
    ids::{ConnectionId, GatewayName, TaskId, Timestamp},
    link::{
        call::{Answer, Call},
        event::{ToGateway, ToRoom},
        links::{CallId, OutgoingCall},
    },
    log::LogLine,
    protocol::{command::CommandId, error::CloseCode, refusal::Refusal},
    reply::Reply,
    secret::Secret,
};

/// An event that the room has to process.
// Not `Debug`, because a frame can contain a token.
pub enum Input {
    /// A user joins: [`crate::Room::admit`] returned `Ok`, and the socket is accepted.
    Connect {
        /// The new connection's id, drawn at random.
        connection: ConnectionId,
        /// The user, its capabilities and the options of the join.
        admission: Admission,
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
        /// True if the client closed the connection on purpose, so that no grace period is needed.
        clean: bool,
    },
    /// A request to the HTTP API. Results in one [`Output::Respond`], at once or with the flush of
    /// the messages that it publishes.
    ApiRequest {
        /// The id that the response will carry.
        id: ApiRequestId,
        /// The verified request.
        request: ApiRequest,
        /// The request's body.
        body: String,
    },
    /// The time of [`crate::Room::poll_timeout`], or any other, has been reached.
    Timeout {
        /// The time of the last ping that the runtime answered, by connection; `None` if
        /// [`crate::Room::is_sweep_due`] returned false.
        answered: Option<BTreeMap<ConnectionId, Timestamp>>,
    },
    /// The delay of [`crate::Room::poll_flush`] has passed.
    Flush,
    /// The queues of the room's sockets: one is longer than [`crate::limits::QUEUE_BYTES_MAX`], or
    /// all together were when the room last sent something, [`crate::limits::QUEUE_CHECK_MS`] ago.
    SlowConsumers {
        /// The bytes that the runtime queues, by connection. Includes sockets that are being closed.
        queued: BTreeMap<ConnectionId, u64>,
    },
    /// The result of [`Output::Deliver`], which arrives in a later turn.
    Delivered {
        /// The output's task. A result of any other than the latest delivery is ignored.
        task: TaskId,
        /// The result.
        outcome: DeliveryOutcome,
        /// A random number, for the delay of the retry.
        chance: u64,
    },
    /// A call of a gateway. Results in one [`Output::AnswerCall`] at once.
    Call(Call<GatewayName, ToRoom>),
    /// The result of [`Output::CallGateway`], which arrives in a later turn.
    CallSettled {
        /// The call.
        call: CallId,
        /// The gateway's answer; `None` if the call failed, or had none after
        /// [`crate::limits::LINK_CALL_MS_MAX`].
        answer: Option<Answer>,
    },
    /// The result of [`Output::CheckToken`], which arrives in a later turn.
    TokenChecked {
        /// The connection that sent the token.
        connection: ConnectionId,
        /// The id of the `refresh` command.
        id: Option<CommandId>,
        /// The token's claims, or why it was rejected.
        outcome: Result<Claims, Refusal>,
    },
    /// The result of [`Output::CallPublishHook`], which arrives in a later turn.
    HookDecided {
        /// The output's task. A result of any other than the latest request is ignored.
        task: TaskId,
        /// The decisions; `None` if the request failed or its response was invalid.
        decisions: Option<Vec<Decision>>,
    },
}

/// The result of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The back end accepted the events.
    Accepted,
    /// The back end was unreachable or rejected the delivery.
    Failed {
        /// The delay that the back end requested (`Retry-After`).
        retry_after_ms: Option<u64>,
    },
}

/// An action for the Worker. Outputs have to be performed in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// Replace the socket's attachment. The first one follows the connection's
    /// [`Input::Connect`].
    Attach {
        /// The socket's connection.
        connection: ConnectionId,
        /// The new attachment.
        attachment: String,
    },
    /// Messages could not be stored, perhaps because another object has taken their offsets: drop the
    /// room once this input's outputs are applied, and restore it with the next input.
    Restart,
    /// The room holds nothing any more: delete its storage and its alarm, and drop the room. The next input
    /// starts a new one.
    Remove,
    /// Send a delivery to the back end. Report the result with [`Input::Delivered`].
    Deliver {
        /// The id for the result.
        task: TaskId,
        /// The delivery.
        delivery: Delivery,
    },
    /// Respond to a request to the HTTP API.
    Respond {
        /// The request's id.
        id: ApiRequestId,
        /// The reply, or the refusal.
        result: Result<Reply, Refusal>,
    },
    /// Check a token in the same way as for a join. Report the result with
    /// [`Input::TokenChecked`].
    CheckToken {
        /// The connection that sent the token.
        connection: ConnectionId,
        /// The id of the `refresh` command.
        id: Option<CommandId>,
        /// The token.
        token: Secret,
    },
    /// Send a request to the publish hook. Report the result with [`Input::HookDecided`].
    CallPublishHook {
        /// The id for the result.
        task: TaskId,
        /// The request.
        request: HookRequest,
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
    /// Answer the gateway's call.
    AnswerCall(Answer),
    /// Call a gateway. Report the result with [`Input::CallSettled`].
    CallGateway(OutgoingCall<GatewayName, ToGateway>),
    /// Write a line to the log, unless there are too many: see [`crate::log::LogSampler`].
    Log(LogLine),
}

/// A socket that outlived the room's memory.
#[derive(Clone, Debug)]
pub struct RestoredSocket {
    /// The socket's connection.
    pub connection: ConnectionId,
    /// The socket's attachment.
    pub attachment: String,
    /// The time of the last ping that the runtime answered.
    pub answered: Option<Timestamp>,
}
