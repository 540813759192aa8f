//! The code of the fuzz targets. `crates/snug-core/tests/corpus.rs` includes this file as well, to
//! replay the corpus.

pub mod frame;
pub mod room_inputs;
pub mod token;
mod world;
