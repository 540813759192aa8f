//! What a room does with stored messages: pages for those who ask, and the replay of what a
//! connection missed.

use std::rc::Rc;

use serde_json::value::RawValue;

use super::{Asked, Room};
use crate::{
    Capability,
    command::{CommandId, PageRequest, PageStart},
    door::{Options, Position},
    error::ErrorCode,
    ids::{ConnectionId, Offset},
    io::{Output, StorageFault},
    limits::{
        LAST_MESSAGES_MAX, PAGE_BYTES_MAX, RECOVERY_BYTES_MAX, RECOVERY_MESSAGES_MAX,
        REPLAY_FRAME_BYTES,
    },
    push::Push,
    retention::Floor,
};

/// What every stored message starts with: the tag that a page of history leaves out.
const MESSAGE_TAG: &str = r#"{"type":"message","#;

impl Room {
    /// Welcomes a new connection, after reading what is to be replayed to it.
    ///
    /// Nothing else happens in the room until storage has answered, so that the replay joins
    /// what is live without a gap and without a message twice.
    pub(super) fn start_with(&mut self, to: ConnectionId, options: &Options) {
        let may_read = self.connections.get(&to).is_some_and(|connection| {
            connection.hears_messages() && connection.can.has(Capability::History)
        });
        let is_recovery = options.resume.is_some();
        let request = match (&options.resume, options.last) {
            (Some(position), _) => self.missed_after(position).filter(|_| may_read),
            (None, Some(last)) if last > 0 && may_read => Some(newest(last)),
            _ => None,
        };
        match request {
            // Nothing was missed.
            Some(request) if is_recovery && request.from == PageStart::After(self.newest) => {
                self.welcome(to, Some(true));
            }
            Some(request) => {
                self.ask_page(request);
                self.asked = Some(Asked::Replay {
                    to,
                    request,
                    is_recovery,
                });
            }
            None => self.welcome(to, is_recovery.then_some(false)),
        }
    }

    /// What would have to be read to bring a position up to date; `None` where it is of another
    /// epoch, of the future, or too far back.
    fn missed_after(&self, position: &Position) -> Option<PageRequest> {
        let missed = self.newest.0.checked_sub(position.offset.0)?;
        let is_here = position.epoch == self.epoch.as_str();
        (is_here && missed <= RECOVERY_MESSAGES_MAX.into()).then_some(PageRequest {
            from: PageStart::After(position.offset),
            limit: RECOVERY_MESSAGES_MAX,
            bytes_max: RECOVERY_BYTES_MAX,
        })
    }

    pub(super) fn read_page(
        &mut self,
        from: ConnectionId,
        id: Option<CommandId>,
        request: PageRequest,
    ) {
        self.ask_page(request);
        self.asked = Some(Asked::Page { from, id, request });
    }

    fn ask_page(&mut self, request: PageRequest) {
        let floor = self.floor();
        self.outputs.push_back(Output::ReadPage { request, floor });
    }

    /// Where the messages begin that are kept.
    pub(super) fn floor(&self) -> Floor {
        self.rules
            .retention
            .floor(self.newest, self.bytes, self.now)
    }

    /// Passes on the page that storage read.
    pub(super) fn page(&mut self, outcome: Result<Vec<Rc<str>>, StorageFault>) {
        match self.asked.take() {
            Some(Asked::Page { from, id, request }) => {
                self.send_page(from, id.as_ref(), request, outcome);
            }
            Some(Asked::Replay {
                to,
                request,
                is_recovery,
            }) => self.replay(to, request, is_recovery, outcome),
            other => self.asked = other,
        }
    }

    fn send_page(
        &mut self,
        from: ConnectionId,
        id: Option<&CommandId>,
        request: PageRequest,
        outcome: Result<Vec<Rc<str>>, StorageFault>,
    ) {
        let Ok(stored) = outcome else {
            let message = "the history could not be read";
            return self.refuse(from, id, ErrorCode::Internal, message);
        };
        let (stored, more) = cut_page(&stored, request);
        let messages: Vec<Box<RawValue>> =
            stored.iter().filter_map(|json| untagged(json)).collect();
        let page = Push::History {
            id,
            epoch: &self.epoch,
            messages: messages.iter().map(|message| &**message).collect(),
            more,
        };
        let text = page.to_line();
        self.send_at_length(from, text);
    }

    /// Welcomes, then replays. Recovery is whole or it is not: then nothing is replayed.
    fn replay(
        &mut self,
        to: ConnectionId,
        request: PageRequest,
        is_recovery: bool,
        outcome: Result<Vec<Rc<str>>, StorageFault>,
    ) {
        let stored = outcome.unwrap_or_default();
        let (messages, more) = cut_page(&stored, request);
        let is_whole = !more && self.is_all_after(request.from, messages.len());
        self.welcome(to, is_recovery.then_some(is_whole));
        if is_recovery && !is_whole {
            return;
        }
        let has_lines = self.connections.get(&to).is_some_and(|one| one.lines);
        for frame in frames(&messages, has_lines) {
            self.send(vec![to], frame.into());
        }
    }

    fn is_all_after(&self, from: PageStart, count: usize) -> bool {
        match from {
            PageStart::After(offset) => {
                self.newest.0.checked_sub(offset.0) == u64::try_from(count).ok()
            }
            PageStart::Before(_) => false,
        }
    }
}

/// The page of the newest messages.
fn newest(last: u64) -> PageRequest {
    PageRequest {
        from: PageStart::Before(Offset::END),
        limit: u32::try_from(last).map_or(LAST_MESSAGES_MAX, |last| last.min(LAST_MESSAGES_MAX)),
        bytes_max: PAGE_BYTES_MAX,
    }
}

/// Puts messages into frames: one each, or several as lines.
fn frames(messages: &[&str], has_lines: bool) -> Vec<String> {
    let mut frames: Vec<String> = Vec::new();
    for message in messages {
        match frames.last_mut() {
            Some(frame) if has_lines && frame.len() < REPLAY_FRAME_BYTES => {
                frame.push('\n');
                frame.push_str(message);
            }
            _ => frames.push((*message).to_owned()),
        }
    }
    frames
}

/// Cuts what was read to the page's limits, at the end away from where it starts. Whether
/// anything is left out.
fn cut_page(stored: &[Rc<str>], request: PageRequest) -> (Vec<&str>, bool) {
    let mut page: Vec<&str> = Vec::new();
    let mut bytes = 0_usize;
    let forward = matches!(request.from, PageStart::After(_));
    let mut walk: Box<dyn Iterator<Item = &Rc<str>>> = if forward {
        Box::new(stored.iter())
    } else {
        Box::new(stored.iter().rev())
    };
    let more = walk.any(|json| {
        bytes = bytes.saturating_add(json.len());
        let is_full =
            page.len() >= request.limit as usize || (bytes > request.bytes_max && !page.is_empty());
        if !is_full {
            page.push(json);
        }
        is_full
    });
    if !forward {
        page.reverse();
    }
    (page, more)
}

/// The message without the tag that makes it a push.
fn untagged(json: &str) -> Option<Box<RawValue>> {
    let fields = json.strip_prefix(MESSAGE_TAG)?;
    RawValue::from_string(format!("{{{fields}")).ok()
}
