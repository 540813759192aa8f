//! Failed requests as HTTP responses: `application/problem+json` (RFC 9457).

use snug_core::{Reference, Refusal, log::Requester};
use worker::{Error, Response, ResponseBuilder, Result, console_error};

use crate::log::{self, Spawn};

/// The reason why a request failed.
pub enum Problem {
    /// The request was refused.
    Refused(Refusal),
    /// An internal error. It is logged, and the client gets `internal`.
    Fault(Error),
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Fault(error)
    }
}

impl Problem {
    /// Logs the problem, and returns the refusal for the client and its reference.
    pub fn log(self, requester: &Requester, spawn: Spawn<'_>) -> (Refusal, Reference) {
        let refusal = match self {
            Self::Refused(refusal) => refusal,
            Self::Fault(error) => {
                console_error!("fault: {error}");
                Refusal::Internal
            }
        };
        let reference = log::refuse(&refusal, requester, spawn);
        (refusal, reference)
    }

    /// Logs the problem, and returns the HTTP response.
    pub fn into_response(self, requester: &Requester, spawn: Spawn<'_>) -> Result<Response> {
        let (refusal, reference) = self.log(requester, spawn);
        response(&refusal, reference)
    }
}

fn response(refusal: &Refusal, reference: Reference) -> Result<Response> {
    let mut response = ResponseBuilder::new()
        .with_status(refusal.status())
        .with_header("content-type", "application/problem+json")?
        .with_header("cache-control", "no-store")?
        .with_header("vary", "origin")?;
    if let Some((name, value)) = refusal.header() {
        response = response.with_header(name, &value)?;
    }
    Ok(response.fixed(serde_json::to_vec(&refusal.body(reference))?))
}
