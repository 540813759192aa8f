//! The ways back: replies to commands, and responses to API requests.

use super::{ReplyTo, Room};
use crate::{
    backend::api::ApiRequestId,
    fan_out::Audience,
    ids::ConnectionId,
    limits::REPLY_BYTES_PER_COMMAND,
    protocol::{
        command::CommandId,
        error::{CloseCode, ErrorCode},
        push::{Push, reply_line},
        refusal::Refusal,
    },
    reply::{Failure, Reply},
    room::{io::Output, subscription::Throttled},
    storage::store::Store,
};

const NO_MESSAGE: &str = "the room has no message with this offset, or none any more";
const NOT_YOURS: &str = "the token does not grant this change of the message";
const OTHER_VERSION: &str = "the message has another version than 'if_version'";

/// The `retry_after_ms` of errors that are retryable.
pub(super) const RETRY_MS: u64 = 1000;

impl<S: Store> Room<S> {
    /// Sends the result of a command or an API request.
    pub(super) fn answer(&mut self, reply_to: &ReplyTo, result: Result<Reply, Failure>) {
        match (reply_to, result) {
            (ReplyTo::Command { from, id }, Ok(reply)) => {
                self.reply_with(*from, id.as_ref(), &reply);
            }
            (ReplyTo::Command { from, id }, Err(failure)) => {
                self.refuse_with(*from, id.as_ref(), failure);
            }
            (ReplyTo::Api(id), result) => self.respond(*id, result.map_err(Refusal::from)),
        }
    }

    /// Responds to an API request. A list, which can be much longer than the request, counts toward the
    /// rate.
    pub(super) fn respond(&mut self, id: ApiRequestId, result: Result<Reply, Refusal>) {
        if let Ok(reply) = &result {
            let more = reply.listed_bytes() / REPLY_BYTES_PER_COMMAND;
            self.callers.charge(id, more, self.now);
        }
        self.callers.forget(id);
        self.outputs.push_back(Output::Respond { id, result });
    }

    /// Rejects a command that comes too fast.
    pub(super) fn throttle(
        &mut self,
        from: ConnectionId,
        id: Option<&CommandId>,
        throttled: Throttled,
        message: &str,
    ) {
        self.reply(
            from,
            &Push::Error {
                id,
                code: ErrorCode::RateLimited.name(),
                message,
                retryable: ErrorCode::RateLimited.is_retryable(),
                retry_after_ms: Some(throttled.retry_after_ms),
                version: None,
            },
        );
        if throttled.is_flood {
            self.close(from, CloseCode::TooManyErrors);
        }
    }

    /// Rejects a command that has failed.
    fn refuse_with(&mut self, from: ConnectionId, id: Option<&CommandId>, failure: Failure) {
        let (code, message) = match failure {
            Failure::TooLarge(message) => (ErrorCode::TooLarge, message),
            Failure::NotFound => (ErrorCode::NotFound, NO_MESSAGE),
            Failure::Forbidden => (ErrorCode::Forbidden, NOT_YOURS),
            Failure::Unsuitable(message) => (ErrorCode::BadCommand, message),
            Failure::Internal(message) => (ErrorCode::Internal, message),
            Failure::Conflict { version } => {
                return self.reply(
                    from,
                    &Push::Error {
                        id,
                        code: ErrorCode::Conflict.name(),
                        message: OTHER_VERSION,
                        retryable: false,
                        retry_after_ms: None,
                        version: Some(version),
                    },
                );
            }
        };
        self.refuse(from, id, code, message);
    }

    /// Rejects a command. Too many errors close the connection.
    pub(super) fn refuse(
        &mut self,
        from: ConnectionId,
        id: Option<&CommandId>,
        code: ErrorCode,
        message: &str,
    ) {
        let retry_after_ms = code.is_retryable().then_some(RETRY_MS);
        let retryable = code.is_retryable();
        self.reply(
            from,
            &Push::Error {
                id,
                code: code.name(),
                message,
                retryable,
                retry_after_ms,
                version: None,
            },
        );
        if !code.counts() {
            return;
        }
        let is_last = self
            .roster
            .get_mut(from)
            .is_some_and(|one| one.session.record_error(self.now));
        if is_last {
            self.close(from, CloseCode::TooManyErrors);
        } else {
            self.attach(from);
        }
    }

    /// Replies with the result of a command. A list, which can be much longer than its command, counts
    /// toward the rate.
    pub(super) fn reply_with(&mut self, to: ConnectionId, id: Option<&CommandId>, reply: &Reply) {
        let Some(text) = reply_line(id, reply) else {
            return;
        };
        let is_list = matches!(reply, Reply::Members(_) | Reply::History(_));
        if is_list {
            self.count_unread(text.len());
        }
        let charged = is_list
            && (self.roster.get_mut(to))
                .is_some_and(|one| one.subscription.charge(text.len(), self.now));
        self.outbox.push_line(Audience::one(to), text);
        if charged {
            self.attach(to);
        }
    }

    /// Replies to a command.
    pub(super) fn reply(&mut self, to: ConnectionId, reply: &Push<'_>) {
        self.outbox.push_line(Audience::one(to), reply.to_line());
    }
}
