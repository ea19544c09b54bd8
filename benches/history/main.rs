//! Speed as ratios: each task of annals beside a reference, in turn on the same machine.
//!
//! `cargo bench --bench history` runs all parts. Names of parts as arguments run only these, `--smoke` runs them on
//! little data, without Datasette. `benches/README.md` says what each part measures. The stock `sqlite3` shell and PostgreSQL
//! are required.
#![allow(clippy::unwrap_used)] // A benchmark that fails ends at once.

mod bench;
mod client;
mod generator;
mod parts;
mod postgres;
mod process;
mod profile_text;
mod table;

use std::path::Path;
use std::process::ExitCode;

use tempfile::TempDir;

use bench::{Bench, SMOKE, Size, WHOLE};
use table::Table;

type Part = (&'static str, fn(&mut Bench));

const PARTS: [Part; 16] = [
    ("import", parts::import::import),
    ("import-into", parts::import::import_into),
    ("import-profiles", parts::import::import_profiles),
    ("push", parts::push::push),
    ("session", parts::lists::session),
    ("pages", parts::lists::pages),
    ("profiles", parts::profiles::profiles),
    ("datasette", parts::datasette::datasette),
    ("bytes", parts::bytes::bytes),
    ("large", parts::large::large),
    ("start", parts::commands::start),
    ("offline", parts::commands::offline),
    ("postgres-import", parts::postgres::import),
    ("postgres-push", parts::postgres::push),
    ("postgres-reads", parts::postgres::reads),
    ("postgres-large", parts::postgres::large),
];

/// The part that a smoke run lacks unless an argument names it: Datasette is so much slower that a short run says nothing new.
const NOT_IN_SMOKE: &str = "datasette";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, file] = arguments.as_slice()
        && flag == "--bare-warp"
    {
        process::serve_bytes(Path::new(file));
        return ExitCode::SUCCESS;
    }
    let is_smoke = arguments.iter().any(|flag| flag == "--smoke");
    let size = size(&arguments, is_smoke);
    let parts = selected_parts(&arguments, is_smoke);
    let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    println!(
        "{} queries, {} in the large history, {} profiles, the median of {} pairs\n",
        size.queries, size.large, size.profiles, size.pairs
    );
    let folder_path = folder.path().to_path_buf();
    let mut bench = Bench { size, folder: folder_path, table: Table::new(), postgres: None };
    for (_, run) in parts {
        run(&mut bench);
    }
    let missed = bench.table.missed();
    if missed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("\nunder half of the goal: {}", missed.join(", "));
    // A person reads the whole run. The smoke run fails, so that CI stops what became slow.
    if is_smoke { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Returns the amount of data. `--large=N` overrides the number of queries in the large history.
fn size(arguments: &[String], is_smoke: bool) -> Size {
    let mut size = if is_smoke { SMOKE } else { WHOLE };
    for argument in arguments {
        if let Some(large) = argument.strip_prefix("--large=") {
            size.large = large.parse().unwrap();
        }
    }
    size
}

/// Returns the parts that the arguments name. If they name none, all parts, or those of a smoke run. Panics on an unknown name, and lists the
/// known ones.
fn selected_parts(arguments: &[String], is_smoke: bool) -> Vec<Part> {
    let names: Vec<&String> = arguments.iter().filter(|name| !name.starts_with("--")).collect();
    for name in &names {
        let known: Vec<&str> = PARTS.iter().map(|(part, _)| *part).collect();
        assert!(
            known.contains(&name.as_str()),
            "unknown part {name}; the parts are {}",
            known.join(", ")
        );
    }
    let is_selected = |part: &str| match names.is_empty() {
        true => !is_smoke || part != NOT_IN_SMOKE,
        false => names.iter().any(|name| *name == part),
    };
    PARTS.into_iter().filter(|(name, _)| is_selected(name)).collect()
}
