//! Replays the corpus of the fuzz targets: their seeds, and the inputs that they found.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::{fs, panic, path::Path};

#[path = "../../../fuzz/src/lib.rs"]
mod fuzz;

#[test]
fn frames_of_the_corpus_cause_no_panic() {
    replay("frame", fuzz::frame::run);
}

#[test]
fn room_inputs_of_the_corpus_keep_all_invariants() {
    replay("room_inputs", fuzz::room_inputs::run);
}

#[test]
fn tokens_of_the_corpus_are_accepted_only_if_signed() {
    replay("token", fuzz::token::run);
}

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut files: Vec<_> = fs::read_dir(folder.join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "the corpus of {target} is empty");
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let name = file.file_name().unwrap();
        assert!(
            panic::catch_unwind(|| run(&bytes)).is_ok(),
            "fuzz/corpus/{target}/{} fails; what it says is above",
            name.display()
        );
    }
}
