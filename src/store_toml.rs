//! `ROOT/store.toml`: what a store in a directory was created with. Written once, by whoever creates
//! the store first.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::error::{IoError, StoreError};
use crate::file::Durability;
use crate::seams::{self, FileSystem, OpenMode};

/// Reads the description of the store in `root`; `None`: there is none. `parse` says why it makes no
/// sense.
pub(crate) fn load<T>(
    fs: &dyn FileSystem,
    root: &File,
    root_path: &Path,
    parse: impl FnOnce(&toml::Table) -> Result<T, String>,
) -> Result<Option<T>, StoreError> {
    let failed = |operation| {
        let place = root_path.join(NAME);
        move |source| IoError { operation, place, source }
    };
    let file = match fs.open(root, Path::new(NAME), OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed("open"))?,
    };
    let text = seams::read(fs, &file, SIZE_MAX, 0).map_err(failed("read"))?;
    let described = std::str::from_utf8(&text)
        .map_err(|_| "it is not text".to_owned())
        .and_then(|text| text.parse::<toml::Table>().map_err(|error| error.to_string()))
        .and_then(|table| parse(&table));
    described
        .map(Some)
        .map_err(|reason| StoreError::Description { place: root_path.join(NAME), reason })
}

/// Describes the new store in `root`, unless somebody else was first.
pub(crate) fn create(
    fs: &dyn FileSystem,
    root: &File,
    root_path: &Path,
    text: &str,
) -> Result<(), StoreError> {
    let unique = format!("{NAME}.{}.{:?}", std::process::id(), std::thread::current().id());
    let draft = Path::new(&unique);
    let failed = |operation| {
        let place = root_path.join(NAME);
        move |source| IoError { operation, place, source }
    };
    // Left by a process of the same number that was killed here, a container's first one, say.
    let _ = fs.unlink(root, draft);
    let file = fs.open(root, draft, OpenMode::CreateNew).map_err(failed("create"))?;
    let written = seams::hand_over(root, &file)
        .and_then(|()| seams::write_all(fs, &file, text.as_bytes(), 0))
        .and_then(|()| fs.sync(&file))
        // A second name instead of a rename: it does not replace what another opener wrote.
        .and_then(|()| match fs.link(root, draft, Path::new(NAME)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    let cleared = fs.unlink(root, draft);
    written.map_err(failed("write"))?;
    cleared.map_err(failed("unlink the draft of"))?;
    fs.sync_directory(root).map_err(failed("sync the directory of"))?;
    Ok(())
}

/// Checks that a description is of this kind of store and of a format that this version reads.
pub(crate) fn check(table: &toml::Table, kind: &str, format: i64) -> Result<(), String> {
    // A description without a kind is a file store's.
    let found = table.get("kind").and_then(toml::Value::as_str).unwrap_or("file");
    if found != kind {
        return Err(format!("it describes a `{found}` store, not a `{kind}` store"));
    }
    let found = number(table, "format")?;
    if found != format {
        return Err(format!(
            "it has format {found}, this version reads {format}; use the version that wrote it"
        ));
    }
    Ok(())
}

/// A number of a description.
pub(crate) fn number(table: &toml::Table, name: &str) -> Result<i64, String> {
    let number = table.get(name).and_then(toml::Value::as_integer);
    number.ok_or_else(|| format!("`{name}` is missing or no number"))
}

/// The durability of a description.
pub(crate) fn durability(table: &toml::Table) -> Result<Durability, String> {
    match table.get("durability").and_then(toml::Value::as_str) {
        Some("process") => Ok(Durability::Process),
        Some("power") => Ok(Durability::Power),
        _ => Err("`durability` is neither \"process\" nor \"power\"".to_owned()),
    }
}

/// Whether a file in the root belongs to this module.
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with(NAME)
}

/// The name of the file.
pub(crate) const NAME: &str = "store.toml";
const SIZE_MAX: usize = 4_096;
