//! Log lines for the operator: who was refused, whose connection was closed, and why.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    ids::{ConnectionId, Origin, Reference, RoomName, Timestamp, UserId},
    limits::{LOG_LINES_MAX, LOG_ROOMS_MAX, LOG_WINDOW_MS},
    protocol::{error::CloseCode, refusal::Refusal},
};

/// The kind of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogEvent {
    /// A request was refused.
    Refusal,
    /// The room closed one connection.
    Close,
    /// All connections of a user were closed.
    Kick,
    /// The same, and the user was banned.
    Ban,
    /// A user's ban was lifted.
    Unban,
    /// A user's tokens that were issued before a given time were ended, and the connections with one
    /// were closed.
    EndTokens,
    /// The room was erased, and all of its connections were closed.
    Erase,
    /// Lines were left out, because there were too many.
    Omitted,
}

/// One line of the log, as JSON. It contains no token, cookie or message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// The kind of the line.
    pub event: LogEvent,
    /// The code of the problem, or the reason in the close frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The HTTP status, or the code of the close frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The room; `None` if the request does not name a valid one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomName>,
    /// The user concerned; `None` if the request was refused before its user was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// The user who kicked or banned the user, lifted the ban, ended the tokens, or erased the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// The closed connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
    /// The origin of the page that sent the request or opened the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The reference, which the problem or the `closing` push contains, too.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The number of closed connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<usize>,
    /// The time at which the ban ends, or until which ended tokens are refused, in milliseconds since
    /// 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The description of the fault for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The number of lines that were left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub omitted: Option<u64>,
}

impl LogLine {
    /// Creates a line with nothing but its kind and room.
    pub fn new(event: LogEvent, room: Option<RoomName>) -> Self {
        Self {
            event,
            code: None,
            status: None,
            room,
            user: None,
            by: None,
            connection: None,
            origin: None,
            reference: None,
            closed: None,
            until: None,
            detail: None,
            omitted: None,
        }
    }

    /// Creates the line about a refused request.
    pub fn refusal(refusal: &Refusal, requester: &Requester, reference: Reference) -> Self {
        Self {
            code: Some(refusal.code()),
            status: Some(refusal.status()),
            user: requester.user.clone(),
            origin: requester.origin.clone(),
            reference: Some(reference),
            detail: refusal.loggable_detail().map(str::to_owned),
            ..Self::new(LogEvent::Refusal, requester.room.clone())
        }
    }

    /// Returns the line with a close code.
    #[must_use]
    pub fn with_code(self, code: CloseCode) -> Self {
        Self {
            code: Some(code.reason()),
            status: Some(code.number()),
            ..self
        }
    }

    /// Returns the line as JSON.
    pub fn to_json(&self) -> String {
        // Cannot fail to serialize: there are only strings and numbers in it.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The known facts about a request that may be refused.
#[derive(Clone, Debug, Default)]
pub struct Requester {
    /// The room.
    pub room: Option<RoomName>,
    /// The user of a token or session that has been verified.
    pub user: Option<UserId>,
    /// The origin of the page.
    pub origin: Option<Origin>,
}

/// Decides which lines are written, so that a flood of refusals does not become a flood of lines: at
/// most [`LOG_LINES_MAX`] a room within [`LOG_WINDOW_MS`].
#[derive(Debug, Default)]
pub struct LogSampler {
    windows: BTreeMap<Option<RoomName>, Window>,
}

#[derive(Debug)]
struct Window {
    start: Timestamp,
    lines: u32,
    omitted: u64,
}

/// The decision about one line.
#[derive(Debug, PartialEq, Eq)]
pub enum Sampled {
    /// Write these lines: perhaps one about lines that were left out before, then the line itself.
    Write(Vec<LogLine>),
    /// Leave the line out. If it is the first of the window, call [`LogSampler::report`] after
    /// [`LOG_WINDOW_MS`], because there may be no other line that could report it.
    Omit {
        /// True if it is the first of the window.
        is_first: bool,
    },
}

impl LogSampler {
    /// Takes a line.
    pub fn sample(&mut self, line: LogLine, now: Timestamp) -> Sampled {
        let room = self.key(line.room.as_ref(), now);
        let window = self.windows.entry(room.clone()).or_insert(Window {
            start: now,
            lines: 0,
            omitted: 0,
        });
        let mut written = Vec::new();
        if !window.is_open(now) {
            written.extend(window.end(room.as_ref()));
            (window.start, window.lines) = (now, 0);
        }
        if window.lines < LOG_LINES_MAX {
            window.lines = window.lines.saturating_add(1);
            written.push(line);
            return Sampled::Write(written);
        }
        window.omitted = window.omitted.saturating_add(1);
        Sampled::Omit {
            is_first: window.omitted == 1,
        }
    }

    /// Returns the line about the lines of a room that were left out and not reported yet, if any.
    pub fn report(&mut self, room: Option<&RoomName>) -> Option<LogLine> {
        let room = room.filter(|name| self.windows.contains_key(&Some((*name).clone())));
        let room = room.cloned();
        self.windows.get_mut(&room)?.end(room.as_ref())
    }

    /// Returns the key of a room's window: `None` if there are too many rooms.
    fn key(&mut self, room: Option<&RoomName>, now: Timestamp) -> Option<RoomName> {
        let room = Some(room?.clone());
        if self.windows.contains_key(&room) {
            return room;
        }
        if self.windows.len() >= LOG_ROOMS_MAX {
            self.windows.retain(|_, window| !window.is_over(now));
        }
        room.filter(|_| self.windows.len() < LOG_ROOMS_MAX)
    }
}

impl Window {
    fn is_open(&self, now: Timestamp) -> bool {
        // A clock that was set back ends the window.
        now >= self.start && now.ms_since(self.start) < LOG_WINDOW_MS
    }

    /// Returns true if the window has ended and its report, if any, has been due for long.
    fn is_over(&self, now: Timestamp) -> bool {
        now < self.start || now.ms_since(self.start) >= 2 * LOG_WINDOW_MS
    }

    /// Returns the line about the lines that were left out, if any.
    fn end(&mut self, room: Option<&RoomName>) -> Option<LogLine> {
        let omitted = std::mem::take(&mut self.omitted);
        (omitted > 0).then(|| LogLine {
            omitted: Some(omitted),
            ..LogLine::new(LogEvent::Omitted, room.cloned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn a_refusal_names_who_was_refused_and_why() {
        let requester = Requester {
            room: RoomName::parse("lobby"),
            user: UserId::parse("ann"),
            origin: Some(Origin::new("https://app.example")),
        };
        let line = LogLine::refusal(&Refusal::RoomForbidden, &requester, Reference::new(0));
        assert_eq!(
            line.to_json(),
            r#"{"event":"refusal","code":"room_forbidden","status":403,"room":"lobby","user":"ann","origin":"https://app.example","ref":"00000000","detail":"The token grants nothing in this room"}"#
        );
    }

    #[test]
    fn what_a_refusal_quotes_from_the_request_is_not_logged() {
        let refusal = Refusal::InvalidInput("The field 'my secret' is unknown".into());
        let line = LogLine::refusal(&refusal, &Requester::default(), Reference::new(0));
        assert_eq!(
            line.to_json(),
            r#"{"event":"refusal","code":"bad_request","status":400,"ref":"00000000"}"#
        );
    }

    #[test]
    fn more_lines_than_the_maximum_are_counted_and_reported_with_the_next_window() {
        let mut sampler = LogSampler::default();
        fill(&mut sampler, "a", NOW);
        let last = NOW.plus_ms(LOG_WINDOW_MS - 1);
        for is_first in [true, false, false] {
            let omitted = sampler.sample(line("a"), last);
            assert_eq!(omitted, Sampled::Omit { is_first });
        }
        let next = sampler.sample(line("a"), NOW.plus_ms(LOG_WINDOW_MS));
        assert_eq!(next, Sampled::Write(vec![omitted("a", 3), line("a")]));
    }

    #[test]
    fn lines_that_were_left_out_are_reported_once() {
        let mut sampler = LogSampler::default();
        fill(&mut sampler, "a", NOW);
        sampler.sample(line("a"), NOW);
        let room = RoomName::parse("a");
        assert_eq!(sampler.report(room.as_ref()), Some(omitted("a", 1)));
        assert_eq!(sampler.report(room.as_ref()), None);
        let later = sampler.sample(line("a"), NOW.plus_ms(LOG_WINDOW_MS));
        assert_eq!(later, Sampled::Write(vec![line("a")]));
    }

    #[test]
    fn rooms_are_counted_separately_up_to_their_maximum() {
        let mut sampler = LogSampler::default();
        for number in 0..LOG_ROOMS_MAX {
            fill(&mut sampler, &number.to_string(), NOW);
        }
        fill(&mut sampler, "one more", NOW);
        let more = sampler.sample(line("yet-another"), NOW);
        assert_eq!(more, Sampled::Omit { is_first: true });
        let yet_another = RoomName::parse("yet-another");
        let report = sampler.report(yet_another.as_ref()).unwrap();
        assert_eq!((report.room, report.omitted), (None, Some(1)));
        // Windows that have ended make room for others.
        let later = NOW.plus_ms(2 * LOG_WINDOW_MS);
        fill(&mut sampler, "yet-another", later);
        assert_eq!(sampler.windows.len(), 1);
    }

    #[test]
    fn a_clock_that_was_set_back_starts_a_new_window() {
        let mut sampler = LogSampler::default();
        fill(&mut sampler, "a", NOW);
        fill(&mut sampler, "a", Timestamp(NOW.0 - 1));
    }

    #[track_caller]
    fn fill(sampler: &mut LogSampler, room: &str, now: Timestamp) {
        for _ in 0..LOG_LINES_MAX {
            let sampled = sampler.sample(line(room), now);
            assert_eq!(sampled, Sampled::Write(vec![line(room)]));
        }
    }

    fn line(room: &str) -> LogLine {
        LogLine::new(LogEvent::Refusal, RoomName::parse(room))
    }

    fn omitted(room: &str, count: u64) -> LogLine {
        LogLine {
            omitted: Some(count),
            ..LogLine::new(LogEvent::Omitted, RoomName::parse(room))
        }
    }
}
