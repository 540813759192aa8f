//! Pages of stored messages: which one a client or the back end asks for.

use serde::{Deserialize, Serialize};

use crate::{
    ids::Offset,
    limits::{PAGE_BYTES_MAX, PAGE_MESSAGES_DEFAULT, PAGE_MESSAGES_MAX, SAFE_INTEGER_MAX},
};

/// The error text of a `limit` out of range.
pub(crate) const LIMIT_OUT_OF_BOUNDS: &str = "'limit' must be from 1 to 100";

/// A request for a page of stored messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRequest {
    /// The start of the page.
    pub from: PageStart,
    /// The most messages; 1 or more.
    pub limit: u32,
    /// The most bytes, although a page contains at least one message.
    pub bytes_max: usize,
}

impl PageRequest {
    /// Builds the request from a command's or a query's options.
    ///
    /// # Errors
    ///
    /// A description of the invalid option, for a developer.
    pub fn read(
        after: Option<Offset>,
        before: Option<Offset>,
        limit: Option<u32>,
    ) -> Result<Self, &'static str> {
        let from = match (after, before) {
            (Some(_), Some(_)) => return Err("'after' and 'before' cannot be used together"),
            (Some(after), None) => PageStart::After(after),
            (None, Some(before)) => PageStart::Before(before),
            (None, None) => PageStart::Before(Offset::END),
        };
        let (PageStart::After(Offset(offset)) | PageStart::Before(Offset(offset))) = from;
        if offset > SAFE_INTEGER_MAX {
            return Err("'after' and 'before' must be at most 2^53-1");
        }
        let limit = limit.unwrap_or(PAGE_MESSAGES_DEFAULT);
        if !(1..=PAGE_MESSAGES_MAX).contains(&limit) {
            return Err(LIMIT_OUT_OF_BOUNDS);
        }
        Ok(Self {
            from,
            limit,
            bytes_max: PAGE_BYTES_MAX,
        })
    }
}

/// The error text of a `re` that is not an offset.
pub(crate) const BAD_RE: &str = "'re' must be the offset of a message";

/// A request for a page of the replies to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadRequest {
    /// The message.
    pub root: Offset,
    /// The page.
    pub page: PageRequest,
}

impl ThreadRequest {
    /// Builds the request.
    ///
    /// # Errors
    ///
    /// A description of the invalid option, for a developer.
    pub fn read(root: Offset, page: PageRequest) -> Result<Self, &'static str> {
        match root.0 <= SAFE_INTEGER_MAX {
            true => Ok(Self { root, page }),
            false => Err(BAD_RE),
        }
    }
}

/// The start of a page. Either way, the page is in offset order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PageStart {
    /// The oldest messages with a higher offset.
    After(Offset),
    /// The newest messages with a lower offset.
    Before(Offset),
}
