//! The way in of frames: one command after another, or behind messages that await the publish hook.

use super::{Frame, Room, publish_hook::Scheduling, replies::RETRY_MS};
use crate::{
    ids::ConnectionId,
    limits::{FRAME_BYTES_MAX, REFRESH_BYTES_MAX},
    protocol::{
        command::{BadCommand, Command, CommandId},
        error::{CloseCode, ErrorCode},
    },
    storage::store::Store,
};

const HOOK_QUEUE_FULL: &str = "too many messages await the publish hook; try again later";

impl<S: Store> Room<S> {
    /// Accepts a frame. Its commands are processed one by one as outputs are polled.
    pub(super) fn receive(&mut self, from: ConnectionId, text: String) {
        let Some(connection) = self.roster.get_mut(from) else {
            return;
        };
        if connection.session.record_activity(&self.rules, self.now) {
            self.attach(from);
        }
        if text.len() > FRAME_BYTES_MAX {
            self.close_too_large(from);
            return;
        }
        if let Some(connection) = self.roster.get(from) {
            let frame = Frame::new(from, text, connection.session.wire);
            if self.hook_queue.has_frames_of(from) {
                self.queue_frame(frame, false);
            } else {
                self.inbox = Some(frame);
            }
        }
    }

    /// Queues a frame behind its connection's messages. If the queue is full, the frame's commands
    /// are rejected.
    pub(super) fn queue_frame(&mut self, frame: Frame, has_begun: bool) {
        let queued = self.hook_queue.queue_frame(frame, has_begun);
        self.inbox = queued.err().map(Frame::rejected);
    }

    /// Processes the next command of the frame; returns false if there is none.
    pub(super) fn handle_next_line(&mut self) -> bool {
        let Some(mut frame) = self.inbox.take() else {
            return false;
        };
        let (from, is_rejected, start) = (frame.from, frame.is_rejected, frame.next_start());
        let Some(line) = frame.next_line() else {
            return true;
        };
        let scheduling = if is_rejected {
            Scheduling::Never
        } else {
            self.scheduling_of(from, line)
        };
        match scheduling {
            Scheduling::Now => self.handle_line(from, line),
            Scheduling::Later => {
                frame.go_back(start);
                self.queue_frame(frame, true);
                return true;
            }
            Scheduling::Never => {
                self.reject_overload(from, line);
                // Reject the rest of the frame too: it must not overtake this command's retry.
                frame = frame.rejected();
            }
        }
        if self.roster.get(from).is_some() {
            self.inbox = Some(frame);
        }
        true
    }

    fn reject_overload(&mut self, from: ConnectionId, line: &str) {
        if let Some(connection) = self.roster.get_mut(from) {
            let throttled = connection.subscription.throttle(RETRY_MS);
            let id = CommandId::find(line);
            self.throttle(from, id.as_ref(), throttled, HOOK_QUEUE_FULL);
        }
    }

    fn handle_line(&mut self, from: ConnectionId, line: &str) {
        let Some(connection) = self.roster.get_mut(from) else {
            return;
        };
        if line.len() > connection.subscription.message_bytes_max
            && (line.len() > REFRESH_BYTES_MAX || !Command::is_refresh(line))
        {
            self.close_too_large(from);
            return;
        }
        match connection.subscription.take(self.now) {
            Ok(true) => self.attach(from),
            Ok(false) => {}
            Err(throttled) => {
                let id = CommandId::find(line);
                return self.throttle(from, id.as_ref(), throttled, "too many commands");
            }
        }
        match Command::parse(line) {
            Ok((id, command)) => self.handle_command(from, id, command),
            Err(BadCommand { id, code, message }) => self.refuse(from, id.as_ref(), code, message),
        }
    }

    /// Closes a connection that sent too long a command or frame.
    pub(super) fn close_too_large(&mut self, from: ConnectionId) {
        self.refuse(
            from,
            None,
            ErrorCode::TooLarge,
            "the command or frame exceeds its size limit",
        );
        self.close(from, CloseCode::MessageTooBig);
    }
}
