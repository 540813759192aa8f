//! Requests to the HTTP API.

use std::{borrow::Cow, collections::BTreeMap};

use super::{ReplyTo, Room, actor::Actor, kick::Kick, publish::Publication};
use crate::{
    Capability,
    backend::api::{ApiOperation, ApiRequest, ApiRequestId, Caller, read_messages},
    config::RoomRules,
    ids::Timestamp,
    protocol::{command::each_once, refusal::Refusal},
    rate::{Rate, SharedBucket},
    reply::{RoomStatus, WebhookCounts},
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
            ApiOperation::Change(request) => self.change_by_request(id, &caller, &request, body)?,
            ApiOperation::Messages(page) => {
                self.send_page(&ReplyTo::Api(id), page);
            }
            ApiOperation::Thread(request) => self.send_thread(&ReplyTo::Api(id), request),
            ApiOperation::MessagesOf { user, page } => self.send_messages_of(id, &user, page),
            ApiOperation::DeleteMessagesOf { user, page, reason } => {
                self.delete_messages_of(id, &caller, &user, page, reason.as_deref());
            }
            ApiOperation::Members => self.list_members(&ReplyTo::Api(id), caller.can),
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
                re: message.re,
                mentions: each_once(message.mentions.unwrap_or_default()),
                time: message.time,
            };
            let user = message.user.unwrap_or_else(|| caller.user.clone());
            Some((user, publication))
        });
        self.publish_all(id, publications.collect());
        Ok(())
    }

    /// Returns the room's status, including the numbers from storage.
    pub(super) fn status(&self, messages: u64) -> RoomStatus {
        RoomStatus {
            room: self.name.clone(),
            epoch: Some(self.messages.epoch().clone()),
            offset: self.messages.newest(),
            connections: self.roster.connections().len(),
            members: self.roster.presence().count(),
            messages,
            storage_bytes: self.store.bytes(),
            webhooks: WebhookCounts {
                pending: self.events.pending(),
                dead: self.events.dead(),
            },
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
    pub(super) fn charge(&mut self, id: ApiRequestId, more: usize, now: Timestamp) {
        if let Some((bucket, rate)) = self.0.get(&id) {
            bucket.charge(*rate, u64::try_from(more).unwrap_or(u64::MAX), now);
        }
    }

    /// Returns true if no request waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn forget(&mut self, id: ApiRequestId) {
        self.0.remove(&id);
    }
}
