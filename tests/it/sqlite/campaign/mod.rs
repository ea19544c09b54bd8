//! A campaign: all sources write at once while annals is killed, its disk loses power or fails, and a ledger says
//! what the history must hold after each. Each history lives for some rounds; then the sources stop, annals catches up,
//! and all that was written must be there, once.
//!
//! `make campaign` runs it in full. Variables: `ANNALS_CAMPAIGN_SEED`, and the number of rounds of each test. The seed
//! repeats the choices, and not the moments at which threads meet.

mod disk;
mod ledger;
mod load;
mod process;
mod sources;

use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fastrand::Rng;

use self::ledger::{Extent, Found, Kind, id};
use self::process::{Scene, terminate, wait};
use crate::support::{annals, older};

/// What happens to annals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Kill,
    PowerLoss,
    DiskError,
}

#[test]
#[ignore = "takes some twenty seconds"]
fn killed_at_any_moment_annals_loses_and_doubles_nothing() {
    campaign(Fault::Kill, rounds("ANNALS_CAMPAIGN_KILLS", 20));
}

#[test]
#[ignore = "takes some ten seconds, and needs a C compiler"]
fn losing_power_at_any_moment_annals_loses_and_doubles_nothing() {
    campaign(Fault::PowerLoss, rounds("ANNALS_CAMPAIGN_POWER_LOSSES", 20));
}

#[test]
#[ignore = "takes some ten seconds, and needs a C compiler"]
fn on_a_failing_disk_annals_loses_and_doubles_nothing() {
    campaign(Fault::DiskError, rounds("ANNALS_CAMPAIGN_DISK_ERRORS", 10));
}

#[test]
#[ignore = "needs a C compiler"]
fn a_new_history_is_whole_or_is_not_there() {
    /// More than a new history takes.
    const CALLS: u64 = 250;
    let mut made = 0;
    for after in 1..CALLS {
        let folder = tempfile::TempDir::new().unwrap();
        let db = folder.path().join("a.db");
        let mut command = annals();
        command.args(["user", "list", "--db"]).arg(&db);
        command.envs(disk::has_little_space(folder.path(), after, after)).output().unwrap();
        if db.exists() {
            made += 1;
            let check = annals().args(["check", "--db"]).arg(&db).output().unwrap();
            assert!(check.status.success(), "from call {after}: {check:?}");
        }
    }
    assert!((1..CALLS - 1).contains(&made), "{made} histories were made");
}

/// Rounds of one history.
const ROUNDS_OF_A_HISTORY: u64 = 20;

fn rounds(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |rounds| rounds.parse().unwrap())
}

/// Returns a number between two others, of any order of magnitude with the same probability.
fn spread(random: &mut Rng, from: f64, to: f64) -> f64 {
    from * (to / from).powf(random.f64())
}

/// What a campaign came to.
#[derive(Debug, Default)]
struct Sum {
    rounds: u64,
    histories: u64,
    started: u64,
    records: u64,
    profiles: u64,
    deleted: u64,
}

fn campaign(fault: Fault, rounds: u64) {
    let seed = std::env::var("ANNALS_CAMPAIGN_SEED").map(|seed| seed.parse().unwrap());
    let seed: u64 = seed.unwrap_or_else(|_| fastrand::u64(..));
    eprintln!("{fault:?}: seed {seed}");
    let (began, mut sum) = (Instant::now(), Sum::default());
    while sum.rounds < rounds {
        let scene = Scene::new(fault == Fault::DiskError);
        // Each history has choices of its own, so that one can be repeated alone.
        let mut random = Rng::with_seed(seed.wrapping_add(sum.histories));
        let rounds = ROUNDS_OF_A_HISTORY.min(rounds - sum.rounds);
        let mut history = History {
            scene: &scene,
            fault,
            random: &mut random,
            has_listened: false,
            happened: String::new(),
        };
        match history.run(rounds, &mut sum) {
            Ok(found) => {
                sum.records += found.records + found.deleted;
                (sum.profiles, sum.deleted) =
                    (sum.profiles + found.profiles, sum.deleted + found.deleted);
            }
            Err(error) => {
                let Sum { rounds, histories, .. } = sum;
                let happened = history.happened;
                let seed = seed.wrapping_add(histories);
                let folder = scene.folder.keep();
                panic!(
                    "{fault:?}, round {rounds} ({}): {error}\nthe files are in {}\nto repeat this history: \
                     ANNALS_CAMPAIGN_SEED={seed}",
                    happened,
                    folder.display()
                );
            }
        }
        sum.histories += 1;
        eprintln!("{fault:?}: {sum:?}, {:.0} s", began.elapsed().as_secs_f64());
    }
}

/// Ends the sources when it is dropped, also by a panic.
struct Over<'a>(&'a Scene);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
    }
}

/// A history for some rounds.
struct History<'a> {
    scene: &'a Scene,
    fault: Fault,
    random: &'a mut Rng,
    /// Whether annals has listened, so that the file is up to date.
    has_listened: bool,
    /// What happened in this round.
    happened: String,
}

impl History<'_> {
    /// Runs the rounds, lets annals catch up, and compares all with the ledger.
    fn run(&mut self, rounds: u64, sum: &mut Sum) -> Result<Found, String> {
        if self.random.u8(0..3) == 0 {
            self.begin_with_older();
        }
        std::thread::scope(|scope| {
            let (scene, fault) = (self.scene, self.fault);
            let mut random = || self.random.fork();
            for client in
                [load::push, load::push, load::stream_load, load::push_profiles, load::read]
            {
                let random = random();
                scope.spawn(move || client(scene, random));
            }
            for source in [sources::write_log, sources::run_queries] {
                let random = random();
                scope.spawn(move || source(scene, random));
            }
            let (for_import, for_backup) = (random(), random());
            if fault != Fault::PowerLoss {
                scope.spawn(move || sources::import(scene, for_import));
            }
            scope.spawn(move || sources::back_up(scene, for_backup, fault == Fault::PowerLoss));
            let _ends_the_sources = Over(scene);
            (0..rounds).try_for_each(|_| {
                sum.rounds += 1;
                self.round(sum)
            })
        })?;
        self.catch_up()
    }

    /// Makes the file as an older annals left it, with records.
    fn begin_with_older(&mut self) {
        let rows = self.scene.ledger.add(Kind::Pushed, 3000);
        let now_ms = load::now_ms();
        let values: Vec<String> = rows
            .clone()
            .map(|number| {
                let statement = Kind::Pushed.statement(number);
                format!("('{}', 'query', 'audit', 0, {now_ms}, 'EOF', '{statement}')", id(number))
            })
            .collect();
        let names = ["trace_id", "account", "statement", "reports", "search", "newer_versions"];
        older(
            &self.scene.db(),
            names[self.random.usize(0..names.len())],
            &format!(
                "INSERT INTO query (query_id, kind, origin, is_slow, started_ms, state, statement) VALUES {}",
                values.join(",")
            ),
        );
        self.scene.ledger.acknowledge(rows);
    }

    /// Runs annals until it is ended, and checks what it left.
    fn round(&mut self, sum: &mut Sum) -> Result<(), String> {
        let is_checked_alive = self.fault == Fault::Kill && self.random.u8(0..3) == 0;
        match self.fault {
            Fault::Kill => self.until_killed(is_checked_alive)?,
            Fault::PowerLoss if self.random.u8(0..6) == 0 => self.import_until_power_is_lost()?,
            Fault::PowerLoss => self.until_power_is_lost()?,
            Fault::DiskError => self.until_the_disk_failed()?,
        }
        sum.started += u64::from(self.has_listened);
        if !is_checked_alive {
            self.check_at_rest()?;
        }
        self.scene.failure().or_else(|| self.scene.panic()).map_or(Ok(()), Err)
    }

    fn check_at_rest(&mut self) -> Result<(), String> {
        let found = self.scene.ledger.check(&self.scene.db(), Extent::Acknowledged);
        match found {
            // The first start ended before there was a file or a table.
            Err(error)
                if !self.has_listened
                    && (error.contains("no such table") || error.contains("unable to open")) =>
            {
                return Ok(());
            }
            found => found?,
        };
        if self.has_listened { self.scene.check(&self.scene.db()) } else { Ok(()) }
    }

    fn until_killed(&mut self, is_checked_alive: bool) -> Result<(), String> {
        let mut process = self.scene.serve(&[]);
        if is_checked_alive {
            self.scene.wait_until_it_listens(&mut process)?;
            self.scene.ledger.check(&self.scene.db(), Extent::Acknowledged)?;
            self.scene.check(&self.scene.db())?;
        }
        let micros = match self.random.u8(0..10) {
            0..5 => spread(self.random, 50.0, 2_000_000.0),
            _ => 100_000.0 + 900_000.0 * self.random.f64(),
        };
        self.happened = format!("killed {micros:.0} us after the start");
        std::thread::sleep(Duration::from_micros(micros as u64));
        let is_listening = self.scene.url().is_some();
        self.has_listened |= is_listening;
        if let Some(status) = process.try_wait().unwrap() {
            return Err(format!("annals ended by itself with {status}"));
        }
        match self.random.u8(0..10) {
            0 => {
                let micros = spread(self.random, 10.0, 100_000.0);
                self.happened += &format!(", {micros:.0} us after SIGTERM");
                terminate(&process);
                std::thread::sleep(Duration::from_micros(micros as u64));
            }
            1 => {
                terminate(&process);
                let status =
                    wait(&mut process, Duration::from_secs(20)).ok_or("annals does not end")?;
                if is_listening && !status.success() {
                    return Err(format!("annals ended with {status} after SIGTERM"));
                }
            }
            _ => {}
        }
        kill(&mut process);
        Ok(())
    }

    fn until_power_is_lost(&mut self) -> Result<(), String> {
        let after = spread(self.random, 1.0, 4000.0) as u64;
        let (files, seed) = (self.scene.files(), self.random.u64(..));
        let choice = self.random.u8(0..8);
        let disk = match choice {
            0 => disk::loses_power_at_exit(&files, seed),
            1 | 2 => disk::fails_to_sync_and_loses_power(&files, self.random, after),
            _ => disk::loses_power(&files, seed, after),
        };
        self.happened = format!("{disk:?}");
        let mut process = self.scene.serve(&disk);
        let longest = if choice == 0 { self.random.u64(20..800) } else { 3000 };
        let ended = wait(&mut process, Duration::from_millis(longest));
        self.has_listened |= self.scene.url().is_some();
        if ended.is_none() && choice == 0 {
            terminate(&process);
            wait(&mut process, Duration::from_secs(20)).ok_or("annals does not end")?;
        }
        kill(&mut process);
        self.scene.end_what_runs_beside();
        Ok(())
    }

    /// Imports a file, and loses power meanwhile or right after the import succeeded.
    fn import_until_power_is_lost(&mut self) -> Result<(), String> {
        let (path, records) = sources::file_to_import(self.scene, self.random);
        let after = spread(self.random, 1.0, 600.0) as u64;
        for disk in [
            disk::loses_power(&self.scene.files(), self.random.u64(..), after),
            disk::loses_power_at_exit(&self.scene.files(), self.random.u64(..)),
        ] {
            self.happened = format!("import, {disk:?}");
            let mut import = self.scene.annals("import");
            let status = import.arg(&path).envs(disk).status().unwrap();
            self.scene.end_what_runs_beside();
            if !status.success() && status.code() != Some(disk::POWER_LOST) {
                return Err(format!("the import ended with {status}"));
            }
            self.check_at_rest()?;
        }
        // The power was lost at exit: the import had succeeded.
        self.has_listened = true;
        self.scene.ledger.acknowledge(records);
        Ok(())
    }

    fn until_the_disk_failed(&mut self) -> Result<(), String> {
        let disk = disk::fails(&self.scene.files(), self.random);
        self.happened = format!("{disk:?}");
        let mut process = self.scene.serve(&disk);
        let millis = spread(self.random, 50.0, 1500.0);
        let ended = wait(&mut process, Duration::from_millis(millis as u64));
        self.has_listened |= self.scene.url().is_some();
        if ended.is_some_and(|status| status.signal().is_some()) {
            return Err(format!("annals ended with {ended:?}"));
        }
        if ended.is_none() && self.random.bool() {
            terminate(&process);
            wait(&mut process, Duration::from_secs(30)).ok_or("annals does not end")?;
        }
        kill(&mut process);
        Ok(())
    }

    /// Serves until all sources are read to their end, stops annals, and checks the history.
    fn catch_up(&mut self) -> Result<Found, String> {
        let (scene, db) = (self.scene, self.scene.db());
        let mut process = scene.serve(&[]);
        scene.wait_until_it_listens(&mut process)?;
        let began = Instant::now();
        while let Err(error) = scene.ledger.check(&db, Extent::Complete) {
            if began.elapsed() > Duration::from_secs(60) {
                kill(&mut process);
                return Err(format!("a minute after the last record: {error}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        terminate(&process);
        let status = wait(&mut process, Duration::from_secs(20)).ok_or("annals does not end")?;
        if !status.success() {
            return Err(format!("annals ended with {status} after SIGTERM"));
        }
        let prune =
            annals().args(["prune", "--keep-queries", "2d", "--db"]).arg(&db).output().unwrap();
        if !prune.status.success() {
            return Err(format!("annals prune: {}", crate::support::stderr(&prune)));
        }
        scene.check(&db)?;
        let found = scene.ledger.check(&db, Extent::Complete)?;
        scene.failure().or_else(|| scene.panic()).map_or(Ok(found), Err)
    }
}

fn kill(process: &mut Child) {
    let _ = process.kill();
    process.wait().unwrap();
}
