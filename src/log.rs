//! Writes the log's lines, each as one line of JSON, which Cloudflare's logs index by its fields.

use std::{cell::RefCell, future::Future, pin::Pin};

use snug_core::{
    Reference, Refusal, RoomName,
    limits::LOG_WINDOW_MS,
    log::{LogLine, LogSampler, Requester, Sampled},
};
use worker::{console_error, console_log};

use crate::platform;

thread_local! {
    static SAMPLER: RefCell<LogSampler> = RefCell::default();
}

/// Runs a task after the current event, such as `wait_until`.
pub type Spawn<'a> = &'a dyn Fn(Pin<Box<dyn Future<Output = ()>>>);

/// Logs a refusal, and returns the reference for its response.
pub fn refuse(refusal: &Refusal, requester: &Requester, spawn: Spawn<'_>) -> Reference {
    // If it is missing, the line is still found by its other fields.
    let reference = Reference::new(platform::random().unwrap_or_default());
    write(LogLine::refusal(refusal, requester, reference), spawn);
    reference
}

/// Writes a line, unless there are too many. Then their number is written when the window has ended.
pub fn write(line: LogLine, spawn: Spawn<'_>) {
    let room = line.room.clone();
    let sampled = SAMPLER.with_borrow_mut(|sampler| sampler.sample(line, platform::now()));
    match sampled {
        Sampled::Write(lines) => lines.iter().for_each(print),
        Sampled::Omit { is_first: true } => spawn(Box::pin(report_later(room))),
        Sampled::Omit { is_first: false } => {}
    }
}

async fn report_later(room: Option<RoomName>) {
    platform::wait_ms(LOG_WINDOW_MS).await;
    let report = SAMPLER.with_borrow_mut(|sampler| sampler.report(room.as_ref()));
    report.iter().for_each(print);
}

fn print(line: &LogLine) {
    let json = line.to_json();
    match line.status {
        Some(500..600) => console_error!("{json}"),
        _ => console_log!("{json}"),
    }
}
