//! The progress bars of an import and of a merge.

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
    with_template(bar, template)
}

/// Returns a bar for a terminal, which shows nothing elsewhere, of rows of a length that is set later.
pub(in crate::cli) fn counting_bar(noun: &str) -> ProgressBar {
    let template = format!("{{wide_bar}} {{human_pos}}/{{human_len}} {noun}, {{eta}} left");
    with_template(ProgressBar::new(0), &template)
}

fn with_template(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
