//! Arguments of `serve`.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::store_url::StoreUrl;

/// Arguments of `serve`.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// Where to listen; port 0 is any that is free
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    pub addr: String,
    /// Where the sessions live: `file:DIR`, `map:DIR` or `memory:`; a bare `file:` or `map:` is a
    /// temporary directory
    #[arg(long, value_name = "URL", default_value = "file:", value_parser = StoreUrl::parse)]
    pub store: StoreUrl,
    /// Seconds after which a session that is not used ends
    #[arg(
        long, value_name = "SECONDS", default_value_t = 86_400,
        value_parser = clap::value_parser!(u64).range(1..=31_536_000)
    )]
    pub timeout: u64,
    /// The file with the secret key that signs cookies
    ///
    /// Without it the environment is asked for CLOAKROOM_SECRET_KEY. Without that, a store in a
    /// directory of yours gets a key of its own, in the file DIR.key beside it, and any other one a key that goes
    /// with the server.
    #[arg(long, value_name = "FILE")]
    pub secret_key_file: Option<PathBuf>,
    /// An address or network of proxies that are believed when they say for whom they ask; may be
    /// repeated
    #[arg(long, value_name = "NET")]
    pub trusted_proxy: Vec<String>,
    /// Serve /session also where others can reach it
    ///
    /// It shows what is in the session of whoever asks. Without this it is there only if the server
    /// listens on a loopback address.
    #[arg(long)]
    pub development: bool,
    /// What goes to standard error while it serves
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = LogLevel::Warn)]
    pub log: LogLevel,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing
    Off,
    /// Faults of the server or the store
    Error,
    /// Also lock timeouts and damaged sessions
    Warn,
    /// Also what happens to sessions
    Info,
    /// Also each wait
    Debug,
    /// Everything
    Trace,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  cloakroom serve                                           on http://127.0.0.1:8080/
  cloakroom serve --store file:/srv/sessions                sessions survive a restart
  cloakroom serve --store map:/srv/sessions --timeout 3600
  cloakroom serve --addr 127.0.0.1:0 --log debug            any free port, printed first
  cloakroom serve --addr 0.0.0.0:8080 --secret-key-file /etc/cloakroom.key
  cloakroom serve --trusted-proxy 10.0.0.0/8                behind a proxy of yours

It is a demonstration: a counter, a login, a plain cookie, and a page of parallel calls that shows
what each access of a session costs. It speaks plain HTTP, so its cookies go without `Secure`.

The first line of standard output is its address. Ctrl-C lets running requests end.";
