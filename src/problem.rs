//! What keeps a request from its answer, and how that is told: `application/problem+json`
//! (RFC 9457).

use snug_core::Refusal;
use worker::{Error, Response, ResponseBuilder, Result, console_error};

/// Why a request is not answered as it wished.
pub enum Problem {
    /// The request's own doing.
    Refused(Refusal),
    /// The platform's or ours: the log is told what, the client only that.
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
    /// What the client is told of it.
    pub fn into_refusal(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            Self::Fault(error) => {
                console_error!("fault: {error}");
                Refusal::Internal
            }
        }
    }

    /// The response that tells of it.
    pub fn into_response(self) -> Result<Response> {
        response(&self.into_refusal())
    }
}

fn response(refusal: &Refusal) -> Result<Response> {
    let mut response = ResponseBuilder::new()
        .with_status(refusal.status())
        .with_header("content-type", "application/problem+json")?
        .with_header("cache-control", "no-store")?
        .with_header("vary", "origin")?;
    if let Some((name, value)) = refusal.header() {
        response = response.with_header(name, &value)?;
    }
    Ok(response.fixed(serde_json::to_vec(&refusal.body())?))
}
