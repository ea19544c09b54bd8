//! The commands that report on the file or change it.

use std::ffi::OsStr;
use std::process::Command;

use crate::command_line::assert_prints;
use crate::support::{annals, data, import, stderr};
use tempfile::TempDir;

#[test]
fn each_command_on_a_file_prints_what_is_expected_of_the_samples() {
    let folder = TempDir::new().unwrap();
    import(&folder.path().join("annals.db"), &[&data("")]);
    assert_prints("tests/it/sqlite/commands.txt", folder.path(), OsStr::new("annals.db"));
}

#[test]
fn a_reader_of_a_check_may_leave() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("a.db");
    import(&db, &[&data("")]);
    let annals = annals().get_program().to_owned();
    let command = format!("{} check --db {} | true", annals.display(), db.display());
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert_eq!(stderr(&output), "");
}
