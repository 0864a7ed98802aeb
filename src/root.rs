//! The directory of a store.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use crate::error::{IoError, StoreError};
use crate::seams::{FileSystem, OpenMode};
use crate::store_toml;

/// The directory in the root that is left to tools that copy into the store.
pub(crate) const COPIES: &str = "copy";

/// The directory in the root for what is damaged.
pub(crate) const QUARANTINE: &str = "quarantine";

/// Enters the store in `directory`: its root, and its description as `parse` reads it. Unless it
/// `must_exist`, an empty or missing directory becomes one, which `describe` describes.
pub(crate) fn open_or_create<T>(
    fs: &dyn FileSystem,
    directory: &Path,
    must_exist: bool,
    parse: impl Fn(&toml::Table) -> Result<T, String>,
    describe: impl FnOnce() -> Result<String, StoreError>,
) -> Result<(File, T), StoreError> {
    let root = if must_exist { enter(directory)? } else { create(fs, directory)? };
    if let Some(stands) = store_toml::load(fs, &root, directory, &parse)? {
        return Ok((root, stands));
    }
    if must_exist {
        return Err(StoreError::Missing { place: directory.to_owned() });
    }
    if is_empty(fs, &root, directory)? {
        store_toml::create(fs, &root, directory, &describe()?)?;
    }
    // Another opener may have made it a store since.
    let stands = store_toml::load(fs, &root, directory, &parse)?;
    let stands = stands.ok_or_else(|| StoreError::NotAStore { place: directory.to_owned() })?;
    Ok((root, stands))
}

/// Refuses a setting that is not as the store in `directory` was created with.
pub(crate) fn check_setting<T: PartialEq + fmt::Display>(
    directory: &Path,
    setting: &'static str,
    found: T,
    asked: Option<T>,
) -> Result<(), StoreError> {
    match asked.filter(|asked| *asked != found) {
        None => Ok(()),
        Some(asked) => Err(StoreError::Mismatch {
            place: directory.to_owned(),
            setting,
            found: found.to_string(),
            asked: asked.to_string(),
        }),
    }
}

/// The one place where a path of the caller is followed, links included: the store is where the
/// caller says. Below it no link is followed.
fn open(directory: &Path) -> Result<File, IoError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(libc::O_DIRECTORY);
    let failed = |source| IoError { operation: "open", place: directory.to_owned(), source };
    options.open(directory).map_err(failed)
}

/// Opens the directory of a store that must be there.
fn enter(directory: &Path) -> Result<File, StoreError> {
    open(directory).map_err(|error| match error.source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            StoreError::Missing { place: directory.to_owned() }
        }
        _ => error.into(),
    })
}

/// Opens the directory of a store, and creates it if it is missing.
fn create(fs: &dyn FileSystem, directory: &Path) -> Result<File, StoreError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let failed =
        |operation| move |source| IoError { operation, place: directory.to_owned(), source };
    let missing: Vec<&Path> = directory.ancestors().take_while(|path| !path.exists()).collect();
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(directory).map_err(failed("create"))?;
    for parent in missing.into_iter().filter_map(Path::parent) {
        // A power cut must not take the directories away again.
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let opened = File::open(parent).map_err(failed("open"))?;
        fs.sync_directory(&opened).map_err(failed("sync"))?;
    }
    Ok(open(directory)?)
}

/// Whether a directory holds nothing but a description that is being written, so that it may become a store.
fn is_empty(fs: &dyn FileSystem, root: &File, directory: &Path) -> Result<bool, StoreError> {
    let failed = |source| IoError { operation: "list", place: directory.to_owned(), source };
    let here = fs.open(root, Path::new("."), OpenMode::Directory).map_err(failed)?;
    for entry in fs.list(&here).map_err(failed)? {
        let entry = entry.map_err(|error| failed(error.into()))?;
        let name = entry.file_name().to_string_lossy();
        if name != "." && name != ".." && !store_toml::is_ours(&name) {
            return Ok(false);
        }
    }
    Ok(true)
}
