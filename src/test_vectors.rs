//! Published test vectors, for the tests of the modules that must reproduce them.
//!
//! They lie in the directory that `FARTHING_VECTORS` names, or in `../shared/vectors`. Where they
//! are absent their tests say that they were skipped; some of the numbers stand in the tests
//! themselves, so that the code is never unchecked.

use std::path::PathBuf;

/// The text of the vector file at `name` (such as `asert/run01`), or `None`, with a line that says
/// so, where there are no vectors.
pub fn read(name: &str) -> Option<String> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors");
    let path = std::env::var_os("FARTHING_VECTORS").map_or_else(beside, PathBuf::from).join(name);
    let text = std::fs::read_to_string(&path);
    if text.is_err() {
        println!("skipped: no test vectors at {}", path.display());
    }
    text.ok()
}
