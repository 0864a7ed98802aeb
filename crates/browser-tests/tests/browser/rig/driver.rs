//! chromedriver: found or installed, and started on a free port.

use std::process::Command;
use std::sync::OnceLock;

use super::process::Process;

/// Ends the driver and its browsers when stdin does: when the test was killed before it could.
const WATCHED: &str = r#""$@" & exec >&-; read -r _; kill -KILL 0"#;

pub struct Driver {
    _process: Process,
    url: String,
}

impl Driver {
    pub fn start() -> Self {
        static PRESENT: OnceLock<()> = OnceLock::new();
        PRESENT.get_or_init(install);
        let mut process = Process::start("sh", &["-c", WATCHED, "sh", "chromedriver", "--port=0"]);
        let port: u16 = process.line(|line| {
            line.strip_prefix("ChromeDriver was started successfully on port ")
                .map(|rest| rest.trim_end_matches('.').parse().expect("a port"))
        });
        Self { _process: process, url: format!("http://127.0.0.1:{port}") }
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}

fn install() {
    if runs("chromedriver", &["--version"]) {
        return;
    }
    let installed = rustix::process::geteuid().is_root()
        && runs("apt-get", &["update"])
        && runs(
            "apt-get",
            &["install", "-y", "--no-install-recommends", "chromium", "chromium-driver"],
        )
        && runs("chromedriver", &["--version"]);
    assert!(
        installed,
        "the browser tests need Chromium and its driver, and `chromedriver` is not on the PATH: \
         install the packages chromium and chromium-driver (Debian), or run the tests as root \
         where apt-get can do it"
    );
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .is_ok_and(|output| output.status.success())
}
