//! The gateway that a user's session is in.
//!
//! A user's id selects the gateway, so all sessions that a user has in one region share a gateway there.
//! The number of gateways grows with the load: a gateway that is full refuses, and the next one of a larger
//! set is tried.

use crate::ids::{GatewayName, UserId};

/// The sizes of the sets of gateways in one region, in the order in which they are tried.
const SETS: [u64; 4] = [4, 16, 64, 256];

/// Returns the gateways in which a user's session may be, in the order in which they are tried.
pub fn gateways_of<'a>(
    user: &'a UserId,
    region: &'a str,
) -> impl Iterator<Item = GatewayName> + 'a {
    let hash = hash(user.as_str());
    SETS.into_iter().map(move |size| {
        let index = hash.checked_rem(size).unwrap_or_default();
        GatewayName::new(&format!("{region}-{size}-{index}"))
    })
}

/// Returns the region of a continent (`cf.continent`), in which its gateways are created.
///
/// Source of the names: <https://developers.cloudflare.com/durable-objects/reference/data-location/>.
pub fn region_of(continent: Option<&str>) -> Option<&'static str> {
    Some(match continent? {
        "AF" => "afr",
        "AS" => "apac",
        "EU" => "weur",
        "NA" => "enam",
        "OC" => "oc",
        "SA" => "sam",
        _ => return None,
    })
}

/// Returns the FNV-1a hash, which is the same in every version.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn names(user: &str) -> Vec<String> {
        let user = UserId::parse(user).unwrap();
        let names = gateways_of(&user, "weur");
        names.map(|name| name.as_str().to_owned()).collect()
    }

    #[test]
    fn a_user_has_the_same_gateways_in_every_version() {
        assert_eq!(
            names("ann"),
            ["weur-4-0", "weur-16-8", "weur-64-56", "weur-256-184"]
        );
    }

    #[test]
    fn users_are_spread_over_all_gateways_of_each_set() {
        for (set, size) in SETS.into_iter().enumerate() {
            let users = (0..size * 40).map(|number| format!("user {number}"));
            let used: BTreeSet<_> = users.map(|user| names(&user)[set].clone()).collect();
            assert_eq!(used.len() as u64, size);
        }
    }

    #[test]
    fn every_continent_but_antarctica_has_a_region() {
        for continent in ["AF", "AS", "EU", "NA", "OC", "SA"] {
            assert!(region_of(Some(continent)).is_some(), "{continent}");
        }
        assert_eq!(region_of(Some("AN")), None);
        assert_eq!(region_of(None), None);
    }
}
