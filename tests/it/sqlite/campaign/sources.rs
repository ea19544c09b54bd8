//! Sources other than pushes: a followed log, a polled frontend, imports and backups beside annals.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::disk;
use super::ledger::{Extent, Kind, id};
use super::load::now_ms;
use super::process::Scene;
use crate::support::fake_frontend::list;

fn append(path: &Path, text: &[u8]) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text).unwrap();
}

/// Writes an audit log, and rolls it now and then. Some records are written in two parts.
pub fn write_log(scene: &Scene, mut random: Rng) {
    let log = scene.path("fe.audit.log");
    let mut rolled = 0;
    while !scene.is_over() {
        let records = scene.ledger.add(Kind::Followed, random.u64(1..20));
        let text: String = records.map(|number| Kind::Followed.audit_record(number)).collect();
        let (start, rest) = text.as_bytes().split_at(random.usize(0..text.len()));
        append(&log, start);
        std::thread::sleep(Duration::from_millis(random.u64(0..20)));
        append(&log, rest);
        std::thread::sleep(Duration::from_millis(random.u64(0..30)));
        if random.u8(0..100) == 0 {
            rolled += 1;
            let name = scene.path(&format!("fe.audit.log.2024-{rolled:03}"));
            std::fs::rename(&log, &name).unwrap();
            if random.bool() {
                let packed = File::create(scene.path(&format!("fe.audit.log.2024-{rolled:03}.gz")));
                let mut encoder = GzEncoder::new(packed.unwrap(), Compression::fast());
                encoder.write_all(&std::fs::read(&name).unwrap()).unwrap();
                encoder.finish().unwrap();
                std::fs::remove_file(&name).unwrap();
            }
        }
    }
}

/// Runs queries on a frontend, which lists all of them.
pub fn run_queries(scene: &Scene, mut random: Rng) {
    let mut rows = Vec::new();
    while !scene.is_over() {
        let now_ms = now_ms();
        let (number, profile) = scene.ledger.add_polled(now_ms);
        let start = chrono::DateTime::from_timestamp_millis(now_ms).unwrap();
        let start = start.format("%Y-%m-%d %H:%M:%S").to_string();
        let path = format!("/api/profile/text?query_id={}", id(number));
        scene.frontend.answers(&path, profile);
        rows.insert(
            0,
            json!({
                "Profile ID": id(number), "Task Type": "QUERY", "Start Time": start, "End Time": start,
                "Total": "1ms", "Task State": "EOF", "User": "root", "Default Catalog": "internal",
                "Default Db": "test", "Sql Statement": Kind::Polled.statement(number),
            }),
        );
        scene.frontend.answers("/rest/v1/query_profile", list(&rows));
        std::thread::sleep(Duration::from_millis(random.u64(0..400)));
    }
}

/// Writes a file of records, and returns its path and their numbers.
pub fn file_to_import(
    scene: &Scene,
    random: &mut Rng,
) -> (std::path::PathBuf, std::ops::Range<u64>) {
    let records = scene.ledger.add(Kind::Imported, random.u64(1..800));
    let text: String = records.clone().map(|number| Kind::Imported.audit_record(number)).collect();
    let path = scene.path(&format!("import-{}.log", records.start));
    std::fs::write(&path, text).unwrap();
    (path, records)
}

/// Imports files beside annals. Some imports are killed, and run again until one succeeds.
pub fn import(scene: &Scene, mut random: Rng) {
    while scene.url().is_none() && !scene.is_over() {
        std::thread::sleep(Duration::from_millis(1));
    }
    while !scene.is_over() {
        let (path, records) = file_to_import(scene, &mut random);
        for attempt in 0.. {
            if attempt == 100 {
                return scene.fails(format!("{} is never imported", path.display()));
            }
            let mut process = scene.annals("import").arg(&path).spawn().unwrap();
            if random.bool() {
                std::thread::sleep(Duration::from_micros(random.u64(0..80_000)));
                let _ = process.kill();
            }
            if process.wait().unwrap().success() {
                scene.ledger.acknowledge(records);
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(random.u64(0..500)));
    }
}

/// Makes backups beside annals, and checks each that succeeds. Some are killed, or lose power.
pub fn back_up(scene: &Scene, mut random: Rng, loses_power: bool) {
    let mut made = 0;
    while !scene.is_over() {
        std::thread::sleep(Duration::from_millis(random.u64(100..1500)));
        made += 1;
        let folder = scene.path("backups");
        let copy = folder.join(format!("{made}.db"));
        let due = scene.ledger.snapshot();
        let mut command = scene.annals("backup");
        if loses_power && random.bool() {
            let after = 1 + random.u64(0..200);
            command.envs(disk::loses_power(&folder.join(""), random.u64(..), after));
        }
        let succeeded = {
            let _held = scene.beside.lock().unwrap();
            let mut process = command.arg(&copy).spawn().unwrap();
            if random.u8(0..3) == 0 {
                std::thread::sleep(Duration::from_micros(random.u64(0..150_000)));
                let _ = process.kill();
            }
            has_succeeded(scene, &mut process)
        };
        if copy.exists() {
            // A backup that has its name is complete, even if its process did not end well.
            let is_sound = scene
                .check(&copy)
                .and_then(|()| scene.ledger.check_for(due, &copy, Extent::Acknowledged));
            if let Err(error) = is_sound {
                scene.fails(format!("a backup (ended well: {succeeded}): {error}"));
                return;
            }
            std::fs::remove_file(&copy).unwrap();
        } else if succeeded {
            scene.fails(format!("there is no {}", copy.display()));
        }
    }
}

/// Waits for a process that reads the history, which a loss of power ends.
fn has_succeeded(scene: &Scene, process: &mut Child) -> bool {
    loop {
        if scene.power_fails.load(Ordering::SeqCst) {
            let _ = process.kill();
        }
        if let Some(status) = process.try_wait().unwrap() {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
