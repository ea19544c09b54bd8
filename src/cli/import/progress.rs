//! The progress bar of an import.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

/// Returns a bar for a terminal, which shows nothing elsewhere. Standard input has no known size, and so no time left.
pub(super) fn bar(files: &[PathBuf]) -> ProgressBar {
    let sizes = files.iter().map(|path| path.metadata().ok().map(|file| file.len()));
    let total: Option<u64> = sizes.sum();
    let (bar, template) = match total {
        Some(bytes) => {
            (ProgressBar::new(bytes), "{wide_bar} {bytes}/{total_bytes}, {msg}{eta} left")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {msg}{bytes} read"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
