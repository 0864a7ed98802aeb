//! The secret key that signs cookies. It outlives the server if its sessions do.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cloakroom_axum::limits;

use super::error::ServeError;
use crate::report::output::complain;
use crate::shown;
use crate::store_url::{Place, StoreUrl};

/// A secret key, and where it is from.
pub struct Secret {
    key: Vec<u8>,
    origin: String,
}

impl Secret {
    /// The key in `file`, or of the environment, if either is given.
    pub fn given(file: Option<&Path>) -> Result<Option<Self>, ServeError> {
        if let Some(file) = file {
            return Self::read(file).map(Some);
        }
        let Some(key) = env::var_os(VARIABLE) else { return Ok(None) };
        let key = key.into_encoded_bytes().trim_ascii().to_vec();
        Self { key, origin: format!("is that of {VARIABLE}") }.checked(VARIABLE).map(Some)
    }

    /// That of the store: the first time it is made.
    pub fn of(place: &Place) -> Result<Self, ServeError> {
        match &place.url {
            StoreUrl::Directory(_, Some(directory)) => Self::beside(directory),
            _ => Self::passing(),
        }
    }

    /// A new one, which is kept nowhere.
    pub fn passing() -> Result<Self, ServeError> {
        let fail = |source| ServeError::MakeKey { file: PathBuf::from("memory"), source };
        Ok(Self { key: random().map_err(fail)?, origin: "goes with the server".to_owned() })
    }

    /// The key itself.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// What to say of it.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The key in the file `DIR.key` beside a store.
    fn beside(directory: &Path) -> Result<Self, ServeError> {
        let fail = |file: &Path| {
            let file = file.to_owned();
            move |source| ServeError::MakeKey { file, source }
        };
        // The store is open, so its directory exists; a link to it, or `.`, has a name then.
        let directory = directory.canonicalize().map_err(fail(directory))?;
        let mut name = directory
            .file_name()
            .ok_or_else(|| fail(&directory)(io::ErrorKind::InvalidFilename.into()))?
            .to_owned();
        name.push(".key");
        let file = directory.with_file_name(name);
        if !file.exists() {
            make(&file).map_err(fail(&file))?;
        }
        Self::read(&file)
    }

    fn read(file: &Path) -> Result<Self, ServeError> {
        let fail = |source| ServeError::ReadKey { file: file.to_owned(), source };
        let key = fs::read(file).map_err(fail)?.trim_ascii().to_vec();
        let mode = fs::metadata(file).map_err(fail)?.permissions().mode();
        if mode & 0o077 != 0 {
            let file = file.display();
            complain(&format!("warning: others can read {file}; `chmod 600 {file}`"));
        }
        let origin = format!("is in {}", file.display());
        Self { key, origin }.checked(&file.display().to_string())
    }

    /// Refuses what nobody would call random, before it is taken for a wrong setting.
    fn checked(self, place: &str) -> Result<Self, ServeError> {
        let mut bytes = self.key.clone();
        bytes.sort_unstable();
        bytes.dedup();
        if self.key.len() >= limits::SECRET_KEY_MIN && bytes.len() >= limits::SECRET_KEY_VARIETY {
            return Ok(self);
        }
        let (place, least) = (place.to_owned(), limits::SECRET_KEY_MIN);
        let reason = format!("{least} random bytes are the least, not {}", self.key.len());
        Err(ServeError::WeakKey { place, reason })
    }
}

/// Makes a key file that is whole from the first moment: of two servers that start at once both read that
/// of the first.
fn make(file: &Path) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("."));
    // Created anew, for its owner alone.
    let mut new = tempfile::Builder::new().prefix(".cloakroom-key-").tempfile_in(directory)?;
    new.write_all(&random()?)?;
    new.as_file().sync_all()?;
    match new.persist_noclobber(file) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => File::open(directory)?.sync_all(),
    }
}

/// A new key, as text.
fn random() -> io::Result<Vec<u8>> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::from)?;
    Ok(format!("{}\n", shown::hex(&bytes)).into_bytes())
}

const VARIABLE: &str = "CLOAKROOM_SECRET_KEY";
