//! The examples of README.md and `docs/` run as they stand there, and print the output that stands below them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{
    Server, annals, binary, certificate, data, import, read_plans, stderr, stdout,
};
use tempfile::TempDir;

const DOCUMENTS: [&str; 8] = [
    "README.md", "docs/ask.md", "docs/connect.md", "docs/findings.md", "docs/look.md",
    "docs/operate.md", "docs/clusters.md", "docs/users.md",
];

/// A block of commands, and the output below it, if it stands there.
pub(super) struct Example {
    document: &'static str,
    pub commands: String,
    pub output: Option<String>,
}

/// Returns all examples of all documents, in their order.
fn examples() -> Vec<Example> {
    let examples: Vec<Example> = DOCUMENTS.into_iter().flat_map(examples_of).collect();
    assert!(examples.len() > 20, "only {} examples", examples.len());
    examples
}

/// Returns the examples of one document.
pub(super) fn examples_of(document: &'static str) -> Vec<Example> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
    let text = std::fs::read_to_string(file).unwrap();
    let blocks: Vec<&str> = text.split("```").skip(1).step_by(2).collect();
    let mut examples = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let Some(commands) = block.strip_prefix("sh\n") else { continue };
        let output = blocks.get(at + 1).and_then(|block| block.strip_prefix("text\n"));
        examples.push(Example {
            document,
            commands: commands.to_string(),
            output: output.map(str::to_string),
        });
    }
    examples
}

/// A folder with what the examples name: the sample data as a history, logs, and the binary on the path.
pub(super) struct Scene {
    pub folder: TempDir,
}

impl Scene {
    fn new() -> Scene {
        let folder = TempDir::new().unwrap();
        let path = folder.path();
        let db = path.join("annals.db");
        let output = annals()
            .args(["import", "--time-zone", "UTC", "--db"])
            .arg(&db)
            .arg(data(""))
            .output()
            .unwrap();
        assert!(db.exists(), "{}", stderr(&output));
        read_plans(&db);
        for copy in ["history.db", "fe1.db", "fe2.db"] {
            import(&path.join(copy), &[&data("fe.audit.log")]);
        }
        std::fs::copy(data("fe.audit.log"), path.join("fe.audit.log")).unwrap();
        std::fs::copy(data("profiles/doris-2.1.txt"), path.join("profile.txt")).unwrap();
        let log = std::fs::File::open(data("fe.audit.log")).unwrap();
        let packed = std::fs::File::create(path.join("fe.audit.log.20240806-1.gz")).unwrap();
        let mut packer = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        std::io::copy(&mut std::io::BufReader::new(log), &mut packer).unwrap();
        packer.finish().unwrap();
        std::fs::write(path.join("password.txt"), "a-long-password\n").unwrap();
        std::os::unix::fs::symlink(binary(), path.join("annals")).unwrap();
        Scene { folder }
    }

    /// Returns a folder with one history, of this input.
    pub(super) fn of(input: impl FnOnce(&Path) -> PathBuf) -> Scene {
        let folder = TempDir::new().unwrap();
        let path = folder.path();
        let input = input(path);
        let mut command = annals();
        command.args(["import", "--time-zone", "UTC", "--db"]).arg(path.join("annals.db"));
        let output = command.arg(input).output().unwrap();
        assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
        std::fs::write(path.join("password.txt"), "a-long-password\n").unwrap();
        std::os::unix::fs::symlink(binary(), path.join("annals")).unwrap();
        Scene { folder }
    }

    /// Runs commands in the folder, with the logs of the sample data in place of a frontend's.
    pub(super) fn run(&self, commands: &str) -> Output {
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        let logs = data("");
        let commands = commands
            .replace("ssh fe1 cat /opt/doris/fe/log/fe.audit.log", "cat fe.audit.log")
            .replace("/opt/doris/fe/log", logs.to_str().unwrap().trim_end_matches('/'))
            .replace("@tests/data/", &format!("@{}", logs.display()));
        Command::new("sh")
            .args(["-e", "-c", &commands])
            .env("PATH", path)
            .env("TZ", "UTC")
            .env_remove("ANNALS_DB")
            .current_dir(self.folder.path())
            .stdin(Stdio::from(
                std::fs::File::open(self.folder.path().join("password.txt")).unwrap(),
            ))
            .output()
            .unwrap()
    }
}

/// Whether a line starts a server. The others end by themselves.
fn serves(line: &str) -> bool {
    line.contains("annals serve")
}

#[test]
fn each_command_of_annals_runs() {
    let scene = Scene::new();
    let mut count = 0;
    for Example { document, commands, .. } in examples() {
        for line in commands.lines().filter(|line| line.contains("annals ")) {
            if line.starts_with("cargo ")
                || line.starts_with("sqlite3 ")
                || line.contains("-- serve")
            {
                continue;
            }
            let line = line.split(" #").next().unwrap().trim();
            // A certificate needs openssl: see below.
            let line = match serves(line) {
                _ if line.contains("--tls-cert") => continue,
                true => &format!("{line} --check-config"),
                false => line,
            };
            let output = scene.run(line);
            // 1: some input was rejected, as of a folder that holds other files.
            let is_fine = output.status.code().is_some_and(|code| code < 2);
            assert!(is_fine, "{document}: {line}\n{}", stderr(&output));
            count += 1;
        }
    }
    assert!(count > 25, "only {count} commands");
}

#[test]
#[ignore = "needs the sqlite3 shell"]
fn each_example_prints_the_output_below_it() {
    let scene = Scene::new();
    let mut queries = String::new();
    for Example { document, commands, output } in examples() {
        if commands.contains("sqlite3 ") {
            assert!(output.is_some(), "{document} does not show what this prints: {commands}");
            queries.push_str(&commands);
        }
        let Some(expected) = output else { continue };
        let printed = scene.run(&commands);
        assert!(printed.status.success(), "{document}: {commands}{}", stderr(&printed));
        assert_eq!(stdout(&printed), expected, "{document}: {commands}");
    }
    let views = "select name from sqlite_schema where type = 'view'";
    let views = scene.run(&format!("sqlite3 annals.db \"{views}\""));
    for view in stdout(&views).lines() {
        assert!(queries.contains(view), "no example asks {view}");
    }
}

#[test]
#[ignore = "needs curl and openssl"]
fn each_request_is_answered() {
    let scene = Scene::new();
    certificate(scene.folder.path(), "localhost");
    let server = Server::start(&scene.folder.path().join("annals.db"), &["--time-zone", "UTC"]);
    let mut count = 0;
    for Example { document, commands, .. } in examples() {
        if commands.contains("--tls-cert") {
            for line in commands.lines().filter(|line| line.contains("--tls-cert")) {
                let line = line.split(" #").next().unwrap();
                // The requests below need a history without users.
                let check = "--insecure-no-auth --check-config";
                let output = scene.run(&format!("{line} {check}"));
                assert!(output.status.success(), "{document}: {line}\n{}", stderr(&output));
            }
        }
        if commands.contains("curl ") {
            let commands = commands
                .replace("127.0.0.1:8130", server.address())
                .replace("curl ", "curl --silent --show-error --fail ");
            let output = scene.run(&commands);
            assert!(output.status.success(), "{document}: {commands}{}", stderr(&output));
            count += 1;
        }
    }
    assert!(count >= 4, "only {count} requests");
}
