//! The tables of settings in the documents have what the Worker reads: each setting, and its default.
#![allow(clippy::expect_used, clippy::indexing_slicing)]

use std::{collections::BTreeMap, fs, path::Path};

use snug_core::config::settings::{Kind, SETTINGS};

#[test]
fn each_document_lists_every_setting_with_its_default() {
    let expected: BTreeMap<_, _> = SETTINGS
        .iter()
        .map(|setting| {
            let default = setting.default().unwrap_or_default();
            (setting.name.to_owned(), default)
        })
        .collect();
    for document in ["PROTOCOL.md", "README.md", "README.zh-CN.md"] {
        assert_eq!(listed_in(document), expected, "{document}");
    }
}

#[test]
fn the_documents_mark_the_secrets() {
    let text = read("PROTOCOL.md");
    for setting in SETTINGS {
        let is_marked = text.contains(&format!("| `{}` (secret) |", setting.name));
        assert_eq!(
            is_marked,
            matches!(setting.kind, Kind::Secret),
            "{}",
            setting.name
        );
    }
}

#[test]
fn defaults_are_within_their_ranges() {
    for setting in SETTINGS {
        match setting.kind {
            Kind::Number { default, min, max } => {
                assert!((min..=max).contains(&default), "{}", setting.name);
            }
            Kind::Choice { values, default } => {
                assert!(
                    default.is_none_or(|value| values.contains(&value)),
                    "{}",
                    setting.name
                );
            }
            Kind::Flag | Kind::Text | Kind::Secret | Kind::Service => {}
        }
    }
}

/// Returns the settings in a document's tables, and their defaults.
fn listed_in(document: &str) -> BTreeMap<String, String> {
    let text = read(document);
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let mut listed = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let names: Vec<&str> = cells[1].split('`').filter(|text| is_name(text)).collect();
        let defaults: Vec<&str> = cells[2].split([',', '、']).map(str::trim).collect();
        for (index, name) in names.into_iter().enumerate() {
            let default = defaults.get(index).copied().unwrap_or_default();
            listed.insert(name.to_owned(), default.to_owned());
        }
    }
    listed
}

/// Returns true if a text in a table can be the name of a setting.
fn is_name(text: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_uppercase() || letter == '_';
    let is_known = SETTINGS.iter().any(|setting| setting.name == text);
    is_known || (text.contains('_') && text.chars().all(is_part))
}

fn read(document: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(document);
    fs::read_to_string(path).expect("the document")
}
