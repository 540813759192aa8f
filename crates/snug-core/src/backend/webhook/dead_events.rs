//! Pages of dead events.

use crate::limits::PAGE_BYTES_MAX;

/// Reads a page of dead events: at most `limit` events and [`PAGE_BYTES_MAX`] bytes, but at least one
/// event. Returns the page, and true if there are more events.
///
/// # Errors
///
/// The first error of `events`.
pub fn dead_page<E>(
    events: impl IntoIterator<Item = Result<String, E>>,
    limit: u32,
) -> Result<(Vec<String>, bool), E> {
    let (mut page, mut bytes) = (Vec::new(), 0_usize);
    for event in events {
        let event = event?;
        bytes = bytes.saturating_add(event.len());
        let is_full = page.len() >= limit as usize || bytes > PAGE_BYTES_MAX;
        if is_full && !page.is_empty() {
            return Ok((page, true));
        }
        page.push(event);
    }
    Ok((page, false))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn page(lengths: &[usize], limit: u32) -> (Vec<usize>, bool) {
        let events = lengths.iter().map(|bytes| "x".repeat(*bytes));
        let (page, more) = dead_page(events.map(Ok::<_, Infallible>), limit).unwrap();
        (page.iter().map(String::len).collect(), more)
    }

    #[test]
    fn a_page_ends_at_its_limits_but_has_at_least_one_event() {
        assert_eq!(page(&[], 2), (vec![], false));
        assert_eq!(page(&[7, 8], 2), (vec![7, 8], false));
        assert_eq!(page(&[7, 8, 9], 2), (vec![7, 8], true));
        let most = PAGE_BYTES_MAX;
        assert_eq!(page(&[most - 1, 1], 9), (vec![most - 1, 1], false));
        assert_eq!(page(&[most - 1, 2], 9), (vec![most - 1], true));
        assert_eq!(page(&[most + 1, 1], 9), (vec![most + 1], true));
    }
}
