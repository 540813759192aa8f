//! Messages that await the publish hook's decision, and the commands queued behind them.
//!
//! The room sends one hook request at a time, so that messages stay in order. While a connection's
//! messages await decisions, its later commands wait too. Other connections are not affected.

mod proposal;
mod queue;

use self::queue::PendingMessage;
pub(super) use self::{proposal::Proposal, queue::PublishHookQueue};
use super::{Room, publish::Author};
use crate::{
    Capability,
    backend::publish_hook::{Decision, HookRequest},
    config::PublishFallback,
    ids::ConnectionId,
    limits::{HOOK_MESSAGES_MAX, PENDING_MESSAGES_MAX},
    protocol::{
        command::{Command, CommandId},
        error::ErrorCode,
    },
    room::io::Output,
    storage::store::Store,
};

/// The error text for a message that the publish hook refuses without a reason.
const REFUSED: &str = "the message was refused";

/// The error text for a message without a decision.
const NO_DECISION: &str = "the publish hook did not return a decision: send the message again";

/// The time at which a command is processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheduling {
    /// At once.
    Now,
    /// After the decisions on its connection's messages.
    Later,
    /// Never: it is rejected, because the queue is full.
    Never,
}

impl<S: Store> Room<S> {
    /// Returns when to process a command.
    pub(super) fn scheduling_of(&self, from: ConnectionId, line: &str) -> Scheduling {
        let Some(connection) = self.roster.get(from) else {
            return Scheduling::Now;
        };
        if self.rules.publish_fallback.is_none() {
            return Scheduling::Now;
        }
        let waiting = self.hook_queue.messages_of(from);
        let can = connection.subscription.can;
        let needs_decision = line.len() <= connection.subscription.message_bytes_max
            && Command::hooked_with(line).is_some_and(|needed| {
                can.has(needed) || needed == Capability::Edit && can.has(Capability::EditAny)
            });
        match needs_decision {
            false if waiting == 0 => Scheduling::Now,
            false => Scheduling::Later,
            true if !self.hook_queue.has_room_for(from, line.len()) => Scheduling::Never,
            true if waiting >= HOOK_MESSAGES_MAX => Scheduling::Later,
            true if self.hook_queue.messages >= PENDING_MESSAGES_MAX => Scheduling::Never,
            true => Scheduling::Now,
        }
    }

    /// Queues a message for the publish hook.
    pub(super) fn await_decision(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        author: Author,
        proposal: Proposal,
    ) {
        // Waiting messages would be lost.
        if self.is_restarting {
            return self.reject_unstored(from, id.as_ref());
        }
        let bytes_max = self
            .roster
            .get(from)
            .map(|one| one.subscription.message_bytes_max);
        self.hook_queue.add(PendingMessage {
            from,
            id,
            bytes: proposal.weight(&author.user),
            author,
            proposal,
            data_bytes_max: bytes_max.unwrap_or_default(),
        });
    }

    /// Sends the queued messages to the publish hook; returns false if there are none, or if a
    /// request is pending.
    pub(super) fn call_publish_hook(&mut self) -> bool {
        let Some(messages) = self.hook_queue.take_batch() else {
            return false;
        };
        let task = self.next_task.take();
        let proposed: Vec<_> = messages.iter().map(PendingMessage::proposed).collect();
        let request = HookRequest::new(self.name.clone(), &proposed);
        self.outputs
            .push_back(Output::CallPublishHook { task, request });
        self.hook_queue.start(task, messages);
        true
    }

    /// Applies the decision on the next message; returns false if there is none.
    pub(super) fn apply_next_decision(&mut self) -> bool {
        if self.is_restarting {
            self.hook_queue.abandon_all();
        }
        let Some((message, decision)) = self.hook_queue.next_decided() else {
            return false;
        };
        let (from, id) = (message.from, message.id);
        let (author, mut proposal) = (message.author, message.proposal);
        // A message with the same key may have been stored in the meantime.
        if let Some(stored) = self.find_key(&author.user, proposal.key()) {
            self.outbox.push_ack(from, id, stored);
            return true;
        }
        if self.is_restarting {
            self.reject_unstored(from, id.as_ref());
            return true;
        }
        let is_allowed = match decision {
            Some(Decision::Allow) => true,
            Some(Decision::Replace(data)) => {
                if !proposal.replace(data) {
                    self.refuse(from, id.as_ref(), ErrorCode::Internal, NO_DECISION);
                    return true;
                }
                true
            }
            Some(Decision::Refuse(reason)) => {
                let reason = reason.filter(|reason| !reason.is_empty());
                let message = reason.as_deref().unwrap_or(REFUSED);
                self.refuse(from, id.as_ref(), ErrorCode::Refused, message);
                return true;
            }
            None => self.rules.publish_fallback == Some(PublishFallback::Allow),
        };
        if is_allowed {
            match &proposal {
                Proposal::Message(publication) => {
                    self.draft_and_ack(from, id, &author, publication);
                }
                Proposal::Change(change) => {
                    let bytes_max = message.data_bytes_max;
                    self.change_as_decided(from, id, &author, change, bytes_max);
                }
            }
        } else {
            self.refuse(from, id.as_ref(), ErrorCode::Internal, NO_DECISION);
        }
        true
    }
}
