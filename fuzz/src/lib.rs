//! What the fuzz targets do with their bytes. `crates/snug-core/tests/corpus.rs` includes this
//! file too, and replays the corpus with it.

pub mod frame;
pub mod room_inputs;
pub mod token;
mod world;
