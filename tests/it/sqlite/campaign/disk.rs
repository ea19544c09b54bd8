//! The disk that fails and loses power: `tests/it/disk_shim/disk.c`, which is loaded into annals.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use fastrand::Rng;

/// The status of a process whose disk lost power.
pub const POWER_LOST: i32 = 77;

/// The compiled shim.
static SHIM: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/disk_shim/disk.c");
    let shim = Path::new(env!("CARGO_TARGET_TMPDIR")).join("disk.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o"]);
    assert!(
        compiler.arg(&shim).arg(source).args(["-ldl", "-lpthread"]).status().unwrap().success()
    );
    shim
});

type Variables = Vec<(String, String)>;

/// Returns the variables of a process whose files below this prefix are on such a disk.
fn variables(prefix: &Path, seed: u64, more: &[(&str, String)]) -> Variables {
    let of = |name: &str, value: String| (name.to_string(), value);
    let mut variables = vec![
        of("LD_PRELOAD", SHIM.display().to_string()),
        of("ANNALS_DISK_PATH", prefix.display().to_string()),
        of("ANNALS_DISK_SEED", seed.to_string()),
    ];
    variables.extend(more.iter().map(|(name, value)| of(name, value.clone())));
    variables
}

/// Returns the variables of a disk that loses power at this call.
pub fn loses_power(prefix: &Path, seed: u64, after: u64) -> Variables {
    variables(prefix, seed, &[("ANNALS_DISK_POWER_AFTER", after.to_string())])
}

/// Returns the variables of a disk that loses power as the process exits.
pub fn loses_power_at_exit(prefix: &Path, seed: u64) -> Variables {
    variables(prefix, seed, &[("ANNALS_DISK_POWER_AFTER", "exit".to_string())])
}

/// Returns the variables of a disk on which some syncs fail, until it loses power at this call.
pub fn fails_to_sync_and_loses_power(prefix: &Path, random: &mut Rng, after: u64) -> Variables {
    let more = [
        ("ANNALS_DISK_POWER_AFTER", after.to_string()),
        ("ANNALS_DISK_FAIL_AFTER", random.u64(1..=after).to_string()),
        ("ANNALS_DISK_FAIL_PERCENT", random.u8(1..30).to_string()),
        ("ANNALS_DISK_FAIL_HOW", "sync".to_string()),
    ];
    variables(prefix, random.u64(..), &more)
}

/// Returns the variables of a disk on which calls fail.
pub fn fails(prefix: &Path, random: &mut Rng) -> Variables {
    let how = ["eio", "enospc", "short", "sync"][random.usize(0..4)];
    let percent = [1, 5, 30, 100][random.usize(0..4)];
    let more = [
        ("ANNALS_DISK_FAIL_AFTER", super::spread(random, 1.0, 2000.0).round().to_string()),
        ("ANNALS_DISK_FAIL_PERCENT", percent.to_string()),
        ("ANNALS_DISK_FAIL_HOW", how.to_string()),
    ];
    variables(prefix, random.u64(..), &more)
}

/// Returns the variables of a disk on which every second call fails for want of space, from this call on.
pub fn has_little_space(prefix: &Path, seed: u64, after: u64) -> Variables {
    let more = [
        ("ANNALS_DISK_FAIL_AFTER", after.to_string()),
        ("ANNALS_DISK_FAIL_PERCENT", "50".to_string()),
        ("ANNALS_DISK_FAIL_HOW", "enospc".to_string()),
    ];
    variables(prefix, seed, &more)
}
