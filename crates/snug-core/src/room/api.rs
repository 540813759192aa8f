//! Requests to the HTTP API.

use std::{borrow::Cow, collections::BTreeMap};

use super::{ReplyTo, Room, actor::Actor, history::QueuedQuery, kick::Kick, publish::Publication};
use crate::{
    Capability,
    backend::api::{
        ApiOperation, ApiRequest, ApiRequestId, ApiResponse, Caller, RoomStatus, WebhookCounts,
        read_messages,
    },
    config::RoomRules,
    ids::{Timestamp, UserId},
    limits::{CALLERS_MAX, REPLY_BYTES_PER_COMMAND},
    protocol::{error::ErrorCode, refusal::Refusal},
    rate::{Bucket, Rate},
    room::io::Output,
};

impl Room {
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
        self.callers.take(id, &caller, &self.rules, self.now)?;
        match operation {
            ApiOperation::Publish => self.publish_for(id, &caller, body)?,
            ApiOperation::Messages(page) => {
                self.queue_query(QueuedQuery::Page(ReplyTo::Api(id), page))
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
            ApiOperation::Describe => self.queue_query(QueuedQuery::Measure(id)),
            ApiOperation::DeadEvents { after, limit } => {
                self.queue_query(QueuedQuery::Dead { id, after, limit })
            }
            ApiOperation::Erase => {
                self.queue_query(QueuedQuery::Erase(id, Actor::from(caller)));
            }
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

/// Rate limits of API callers. They start again after hibernation.
#[derive(Debug, Default)]
pub(super) struct Callers {
    buckets: BTreeMap<UserId, Bucket>,
    /// Requests without a response, with their caller and rate.
    open: BTreeMap<ApiRequestId, (UserId, Rate)>,
}

impl Callers {
    /// Takes a request from its caller's rate.
    fn take(
        &mut self,
        id: ApiRequestId,
        caller: &Caller,
        rules: &RoomRules,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let is_known = self.buckets.contains_key(&caller.user);
        let serves = caller.can.has(Capability::Serve);
        if self.buckets.len() >= CALLERS_MAX && !is_known && !serves {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            if self.buckets.len() >= CALLERS_MAX {
                return Err(Refusal::RateLimited { seconds: 1 });
            }
        }
        let rate = caller.rate(rules);
        let bucket = self.buckets.entry(caller.user.clone()).or_default();
        bucket.take(rate, now).map_err(|ms| Refusal::RateLimited {
            seconds: ms.div_ceil(1000),
        })?;
        self.open.insert(id, (caller.user.clone(), rate));
        Ok(())
    }

    /// Counts a request as `more` additional ones.
    fn charge(&mut self, id: ApiRequestId, more: usize, now: Timestamp) {
        if let Some((user, rate)) = self.open.get(&id)
            && let Some(bucket) = self.buckets.get_mut(user)
        {
            bucket.charge(*rate, u64::try_from(more).unwrap_or(u64::MAX), now);
        }
    }

    fn forget(&mut self, id: ApiRequestId) {
        self.open.remove(&id);
    }
}
