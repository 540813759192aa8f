//! A request to the Worker, with the parts that several handlers read.

use std::rc::Rc;

use snug_core::{
    Config, Origin, Refusal,
    auth::token::{Claims, TokenRules},
    log::Requester,
    secret::Secret,
};
use worker::{Context, Env, Result, web_sys};

use crate::{
    config,
    log::Spawn,
    requests::{ClientRequest, Url},
    token,
};

/// A request, parsed once.
pub struct Incoming<'a> {
    pub request: &'a web_sys::Request,
    pub env: &'a Env,
    pub context: &'a Context,
    /// True if the application's own Worker sent it, within its process.
    pub is_trusted: bool,
    /// The parts that are read of each request.
    pub parts: ClientRequest,
    config: std::result::Result<Rc<Config>, Refusal>,
}

impl<'a> Incoming<'a> {
    /// Reads a request.
    pub fn read(request: &'a web_sys::Request, env: &'a Env, context: &'a Context) -> Result<Self> {
        Ok(Self {
            request,
            env,
            context,
            is_trusted: false,
            parts: ClientRequest::read(request)?,
            config: config::load(env),
        })
    }

    /// Reads a request of the application's own Worker.
    pub fn read_trusted(
        request: &'a web_sys::Request,
        env: &'a Env,
        context: &'a Context,
    ) -> Result<Self> {
        Ok(Self {
            is_trusted: true,
            ..Self::read(request, env, context)?
        })
    }

    /// Returns the settings.
    ///
    /// # Errors
    ///
    /// `misconfigured` if one is invalid.
    pub fn config(&self) -> std::result::Result<&Rc<Config>, Refusal> {
        self.config.as_ref().map_err(Clone::clone)
    }

    /// Returns the URL.
    ///
    /// # Errors
    ///
    /// `bad_request` if it cannot be read.
    pub fn url(&self) -> std::result::Result<&Url, Refusal> {
        let url = self.parts.url.as_ref();
        url.ok_or(Refusal::BadRequest("The URL cannot be read"))
    }

    /// Returns a header.
    pub fn header(&self, name: &str) -> Result<Option<String>> {
        Ok(self.request.headers().get(name)?)
    }

    /// Returns who sent the request, as far as it is known before the token is read.
    pub fn requester(&self) -> Requester {
        Requester {
            origin: self.origin().map(Origin::new),
            ..Requester::default()
        }
    }

    /// Returns the `Origin` header, which browsers send with all requests of a page that Snug answers.
    pub fn origin(&self) -> Option<&str> {
        self.parts.origin.as_deref()
    }

    /// Verifies a token of this request, and returns its claims.
    ///
    /// # Errors
    ///
    /// The errors of [`token::verify`].
    pub async fn verify(
        &self,
        token: &Secret,
        rules: &TokenRules,
    ) -> std::result::Result<Claims, Refusal> {
        token::verify(token, rules, |task| self.context.wait_until(task)).await
    }

    /// Calls the body with what runs a task to its end, even if the request ends first.
    pub fn with_spawn<T>(&self, body: impl FnOnce(Spawn<'_>) -> T) -> T {
        body(&|task| self.context.wait_until(task))
    }
}
