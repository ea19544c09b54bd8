//! `annals import`, beside the stock shell's `.import` of the same rows.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::generator::write_log;
use crate::process::{import_csv, import_log, remove, run, sqlite3};
use crate::profile_text::profile_text;
use crate::table::Goal;

/// Measures the import of an audit log into a new database. The shell imports the same rows, already parsed, into the
/// same table with the same indexes.
pub(crate) fn import(bench: &mut Bench) {
    let (log, ours, reference) = (bench.log(), bench.path("ours.db"), bench.path("reference.db"));
    import_log(&ours, &log);
    let (csv, schema) = (bench.csv(&ours, "rows.csv"), schema(&ours));
    let queries = bench.size.queries;
    let rate = |took: Duration| queries as f64 / took.as_secs_f64();
    bench.pairs(
        "import into a new history, rows/s (`sqlite3 .import`)",
        Goal::AtLeast(1.5),
        || {
            remove(&ours);
            rate(import_log(&ours, &log))
        },
        || {
            remove(&reference);
            sqlite3(&reference, &schema);
            rate(import_csv(&reference, &csv))
        },
    );
    assert_eq!(sqlite3(&reference, "SELECT count(*) FROM query"), format!("{queries}\n"));
    remove(&ours);
    remove(&reference);
}

/// Measures the import into the large database. Each pair adds other rows to both databases.
pub(crate) fn import_into(bench: &mut Bench) {
    let ours = bench.large_history();
    let reference = bench.path("reference.db");
    std::fs::copy(&ours, &reference).unwrap();
    // The reference fills the table and its indexes, but no search index.
    sqlite3(&reference, "DELETE FROM search_page; DELETE FROM search_segment");
    // The shell's `.import` rejects a table with a computed column. Views name this column.
    let drop_views = "SELECT 'DROP VIEW ' || name || ';' FROM sqlite_schema WHERE type = 'view'";
    let drop_views = sqlite3(&reference, drop_views);
    sqlite3(&reference, &format!("{drop_views}ALTER TABLE query DROP COLUMN is_failed"));
    let added = bench.size.queries / 5;
    let pairs = (0..bench.size.pairs as u64)
        .map(|pair| {
            let log = bench.path("more.log");
            let first = bench.size.large + pair * added;
            write_log(&log, first..first + added);
            let parsed = bench.path("parsed.db");
            import_log(&parsed, &log);
            let csv = bench.csv(&parsed, "more.csv");
            remove(&parsed);
            let numbered = bench.path("numbered.csv");
            shift_ids(&csv, &numbered, first);
            let rate = |took: Duration| added as f64 / took.as_secs_f64();
            (rate(import_log(&ours, &log)), rate(import_csv(&reference, &numbered)))
        })
        .collect();
    bench.table.ratio(
        "import into the large history, rows/s (`sqlite3 .import`)",
        Goal::AtLeast(1.0),
        pairs,
    );
    remove(&reference);
}

/// Measures the import of profiles alone beside the same into a history that drops each note of an unread plan, then how many plans
/// a command reads.
pub(crate) fn import_profiles(bench: &mut Bench) {
    let (texts, first) = (bench.path("profiles"), bench.path("first.log"));
    let (ours, reference) = (bench.path("ours.db"), bench.path("reference.db"));
    std::fs::create_dir(&texts).unwrap();
    for first in (0..bench.size.profiles).step_by(100) {
        let end = bench.size.profiles.min(first + 100);
        let profiles: Vec<String> = (first..end).map(profile_text).collect();
        std::fs::write(texts.join(format!("{first}.txt")), profiles.join("\n")).unwrap();
    }
    let profiles = bench.size.profiles;
    // One query more, because an import of nothing makes no history.
    write_log(&first, profiles..profiles + 1);
    let rate = |took: Duration| profiles as f64 / took.as_secs_f64();
    let begin = |db: &Path| {
        remove(db);
        import_log(db, &first);
    };
    bench.pairs(
        "import of profiles alone, profiles/s (without their plans)",
        Goal::AtLeast(0.95),
        || {
            begin(&ours);
            rate(import_log(&ours, &texts))
        },
        || {
            begin(&reference);
            let drop =
                "CREATE TRIGGER drops BEFORE INSERT ON unread_plan BEGIN SELECT RAISE(IGNORE); END";
            sqlite3(&reference, drop);
            rate(import_log(&reference, &texts))
        },
    );
    let unread = |db: &Path| sqlite3(db, "SELECT count(*) FROM unread_plan");
    assert_eq!((unread(&ours), unread(&reference)), (format!("{profiles}\n"), "0\n".to_string()));
    let plans = || {
        let began = Instant::now();
        run(Command::new(env!("CARGO_BIN_EXE_annals")).args(["plans", "--db"]).arg(&ours));
        began.elapsed()
    };
    let reading = plans();
    assert_eq!(unread(&ours), "0\n");
    let took = reading.saturating_sub(plans());
    bench.table.absolute("plans that a command reads, a second", Goal::AtLeast(2000.0), rate(took));
    remove(&ours);
    remove(&reference);
}

/// Writes rows with ids after the existing ids.
fn shift_ids(csv: &Path, shifted: &Path, offset: u64) {
    let mut out = BufWriter::new(std::fs::File::create(shifted).unwrap());
    for line in BufReader::new(std::fs::File::open(csv).unwrap()).lines() {
        let line = line.unwrap();
        let (id, rest) = line.split_once(',').unwrap();
        let id: u64 = id.parse().unwrap();
        writeln!(out, "{},{rest}", id + offset).unwrap();
    }
    out.flush().unwrap();
}

/// Returns the SQL of the table and the indexes that the reference fills. The search index is not among them.
fn schema(db: &Path) -> String {
    let sql = "SELECT sql || ';' FROM sqlite_schema
        WHERE tbl_name = 'query' AND type IN ('table', 'index') AND sql IS NOT NULL
        ORDER BY type DESC";
    // The shell's `.import` rejects a table with a computed column.
    let drop_computed = "ALTER TABLE query DROP COLUMN is_failed;";
    format!("PRAGMA journal_mode = WAL; {}{drop_computed}", sqlite3(db, sql))
}
