//! Requests to the HTTP API.

use std::{borrow::Cow, collections::BTreeMap};

use super::{ReplyTo, Room, actor::Actor, kick::Kick, publish::Publication};
use crate::{
    Capability,
    backend::api::{
        ApiOperation, ApiRequest, ApiRequestId, ApiResponse, Caller, RoomStatus, WebhookCounts,
        read_messages,
    },
    config::RoomRules,
    ids::Timestamp,
    limits::REPLY_BYTES_PER_COMMAND,
    protocol::{error::ErrorCode, refusal::Refusal},
    rate::{Rate, SharedBucket},
    room::io::Output,
    storage::store::Store,
};

impl<S: Store> Room<S> {
    /// Handles an API request, or responds with a refusal.
    pub(super) fn handle_api_request(&mut self, id: ApiRequestId, request: ApiRequest, body: &str) {
        if let Err(refusal) = self.try_api_request(id, request, body) {
            self.respond(id, Err(refusal));
        }
    }

    fn try_api_request(
        &mut self,
        id: ApiRequestId,
        request: ApiRequest,
        body: &str,
    ) -> Result<(), Refusal> {
        let ApiRequest { caller, operation } = request;
        // Bans and ended tokens apply to members; a caller with `serve` acts for the application.
        if !caller.can.has(Capability::Serve) {
            self.bans.admit(&caller.user, self.clock)?;
            self.ended_tokens
                .admit(&caller.user, caller.issued, self.clock)?;
        }
        let rates = match caller.can.has(Capability::Serve) {
            true => &mut self.server_rates,
            false => &mut self.rates,
        };
        let (bucket, rate) = (
            rates.commands_of(&caller.user, self.now),
            caller.rate(&self.rules),
        );
        bucket.take(rate, self.now).map_err(Refusal::rate_limited)?;
        self.callers.0.insert(id, (bucket, rate));
        match operation {
            ApiOperation::Publish => self.publish_for(id, &caller, body)?,
            ApiOperation::Messages(page) => {
                self.send_page(&ReplyTo::Api(id), page);
            }
            ApiOperation::Members => {
                let (members, count) =
                    (self.presence.list(&self.connections), self.presence.count());
                let response = ApiResponse::members(&members, count);
                self.respond_with_charge(id, response);
            }
            ApiOperation::Kick {
                user,
                ban_seconds,
                issued_before: Some(moment),
                ..
            } => {
                let seconds = ban_seconds.unwrap_or_default();
                self.end_tokens(id, Actor::from(caller), user, moment, seconds);
            }
            ApiOperation::Kick {
                user,
                reason,
                ban_seconds,
                issued_before: None,
            } => {
                let by = Actor::from(caller);
                self.kick(ReplyTo::Api(id), Kick { user, reason, by }, ban_seconds);
            }
            ApiOperation::Describe => self.describe(id),
            ApiOperation::DeadEvents { after, limit } => {
                self.send_dead_events(id, after, limit);
            }
            ApiOperation::Erase => self.erase(id, &Actor::from(caller)),
        }
        Ok(())
    }

    fn publish_for(
        &mut self,
        id: ApiRequestId,
        caller: &Caller,
        body: &str,
    ) -> Result<(), Refusal> {
        let messages = read_messages(body, caller.message_bytes_max(&self.rules))?;
        let more = messages.len().saturating_sub(1);
        self.callers.charge(id, more, self.now);
        let publications = messages.into_iter().filter_map(|message| {
            let publication = Publication {
                data: Cow::Borrowed(message.data?),
                event: message.event,
                key: message.key,
                time: message.time,
            };
            let user = message.user.unwrap_or_else(|| caller.user.clone());
            Some((user, publication))
        });
        self.publish_all(id, publications.collect());
        Ok(())
    }

    /// Returns the response with the room's status, including the numbers from storage.
    pub(super) fn status(&self, messages: u64, storage_bytes: u64) -> ApiResponse {
        ApiResponse::ok(&RoomStatus {
            room: &self.name,
            epoch: Some(&self.epoch),
            offset: self.newest,
            connections: self.connections.len(),
            members: self.presence.count(),
            messages,
            storage_bytes,
            webhooks: WebhookCounts {
                pending: self.events.pending(),
                dead: self.events.dead(),
            },
        })
    }

    /// Responds to an API request.
    pub(super) fn respond(&mut self, id: ApiRequestId, response: Result<ApiResponse, Refusal>) {
        self.callers.forget(id);
        self.outputs.push_back(Output::ApiResponse { id, response });
    }

    /// Sends a response that can be much longer than its request, and counts it toward the rate.
    pub(super) fn respond_with_charge(&mut self, id: ApiRequestId, response: ApiResponse) {
        let more = response.body.len() / REPLY_BYTES_PER_COMMAND;
        self.callers.charge(id, more, self.now);
        self.respond(id, Ok(response));
    }

    /// Replies with an internal error.
    pub(super) fn fail(&mut self, reply_to: &ReplyTo, message: &str) {
        match reply_to {
            ReplyTo::Command { from, id } => {
                self.refuse(*from, id.as_ref(), ErrorCode::Internal, message);
            }
            ReplyTo::Api(id) => self.respond(*id, Err(Refusal::Internal)),
        }
    }
}

impl Caller {
    fn rate(&self, rules: &RoomRules) -> Rate {
        let serves = self.can.has(Capability::Serve);
        let rate = if serves { rules.serve_rate } else { rules.rate };
        self.limits.tighten(rate)
    }
}

/// API requests without a response, with the bucket and the rate of their callers.
#[derive(Debug, Default)]
pub(super) struct Callers(BTreeMap<ApiRequestId, (SharedBucket, Rate)>);

impl Callers {
    /// Counts a request as `more` additional ones.
    fn charge(&mut self, id: ApiRequestId, more: usize, now: Timestamp) {
        if let Some((bucket, rate)) = self.0.get(&id) {
            bucket.charge(*rate, u64::try_from(more).unwrap_or(u64::MAX), now);
        }
    }

    /// Returns true if no request waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn forget(&mut self, id: ApiRequestId) {
        self.0.remove(&id);
    }
}
