//! `cloakroom serve`, built once, with a store of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::process::Process;

pub struct Server {
    process: Process,
    url: String,
    // After the process: it has nothing open in there any more.
    store: TempDir,
}

impl Server {
    pub fn start() -> Self {
        let store = TempDir::new().expect("a temporary directory");
        let (process, url) = serve("127.0.0.1:0", store.path());
        Self { process, url, store }
    }

    /// Without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// SIGKILL: it can write nothing any more.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Another process with the same address and the same store.
    pub fn start_again(&mut self) {
        let address = self.url.strip_prefix("http://").expect("plain HTTP").to_owned();
        let (process, url) = serve(&address, self.store.path());
        assert_eq!(url, self.url);
        self.process = process;
    }
}

fn serve(address: &str, store: &Path) -> (Process, String) {
    let store = format!("file:{}", store.join("sessions").to_str().expect("a path of text"));
    let program = cloakroom().to_str().expect("a path of text");
    // The kernel ends the server if the test is killed before it can do so itself.
    let arguments = ["--pdeathsig", "KILL", program, "serve", "--addr", address, "--store", &store];
    let mut process = Process::start("setpriv", &arguments);
    let url = process.line(|line| line.starts_with("http://").then(|| line.to_owned()));
    (process, url.trim_end_matches('/').to_owned())
}

/// The command, built from these sources into the directory that this test runs from.
pub fn cloakroom() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build)
}

fn build() -> PathBuf {
    let profile_directory = profile_directory();
    let profile = match profile_directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") => "dev",
        Some(name) => name,
        None => panic!("no profile in {}", profile_directory.display()),
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "cloakroom-cli", "--profile", profile])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml")])
        .arg("--target-dir")
        .arg(target())
        .status()
        .expect("cargo starts");
    assert!(built.success(), "cloakroom-cli does not build");
    profile_directory.join("cloakroom")
}

/// The target directory of the build that this test is from.
pub fn target() -> PathBuf {
    profile_directory().parent().expect("a directory above the profile's").to_owned()
}

fn profile_directory() -> PathBuf {
    // TARGET/PROFILE/deps/browser-HASH
    let test = std::env::current_exe().expect("the path of this test");
    test.ancestors().nth(2).expect("a directory above deps").to_owned()
}
