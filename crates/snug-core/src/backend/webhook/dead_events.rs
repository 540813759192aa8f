//! Events that were given up, as they are read again.

use crate::limits::PAGE_BYTES_MAX;

/// Takes a page of the events that are kept: at most so many of them, and [`PAGE_BYTES_MAX`] bytes (but
/// one event at least). Whether there are more of them.
///
/// # Errors
///
/// Where one cannot be read.
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
    fn a_page_ends_at_its_most_events_and_bytes_and_has_one_at_least() {
        assert_eq!(page(&[], 2), (vec![], false));
        assert_eq!(page(&[7, 8], 2), (vec![7, 8], false));
        assert_eq!(page(&[7, 8, 9], 2), (vec![7, 8], true));
        let most = PAGE_BYTES_MAX;
        assert_eq!(page(&[most - 1, 1], 9), (vec![most - 1, 1], false));
        assert_eq!(page(&[most - 1, 2], 9), (vec![most - 1], true));
        assert_eq!(page(&[most + 1, 1], 9), (vec![most + 1], true));
    }
}
