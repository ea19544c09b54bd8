//! The size of the database file.

use std::path::Path;

use crate::bench::{Bench, push_profiles};
use crate::process::{Server, import_log, remove};
use crate::profile_text::profile_text;
use crate::table::Goal;

/// Measures the bytes of a query and of a profile.
pub(crate) fn bytes(bench: &mut Bench) {
    let (log, db) = (bench.log(), bench.path("bytes.db"));
    import_log(&db, &log);
    let size = |file: &Path| std::fs::metadata(file).unwrap().len() as f64;
    let queries = bench.size.queries as f64;
    let per_query = (size(&db) / queries, size(&log) / queries);
    bench.table.ratio(
        "bytes a query (bytes of its audit record)",
        Goal::AtMost(1.1),
        vec![per_query],
    );
    let (before, profiles) = (size(&db), bench.size.profiles);
    let server = Server::annals(&db);
    push_profiles(&server, profiles);
    server.stop();
    let text_bytes: usize = (0..profiles).map(|number| profile_text(number).len()).sum();
    let count = profiles as f64;
    let per_profile = ((size(&db) - before) / count, text_bytes as f64 / count);
    bench.table.ratio("bytes a profile (bytes of its text)", Goal::AtMost(0.2), vec![per_profile]);
    remove(&db);
}
