//! `ROOT/store.toml`: what a store was created with.

use std::fs::File;
use std::io;
use std::path::Path;

use super::Durability;
use super::layout::Layout;
use crate::error::{IoError, StoreError};
use crate::seams::{self, FileSystem, OpenMode};

/// The description of a store, written once, when the store is created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) layout: Layout,
    pub(super) durability: Durability,
}

impl Description {
    /// Reads the description of the store in `root`; `None`: there is none.
    pub(super) fn load(
        fs: &dyn FileSystem,
        root: &File,
        root_path: &Path,
    ) -> Result<Option<Self>, StoreError> {
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
            .and_then(Self::parse);
        described
            .map(Some)
            .map_err(|reason| StoreError::Description { place: root_path.join(NAME), reason })
    }

    /// Describes the new store in `root`; says what stands if somebody else was first.
    pub(super) fn create(
        self,
        fs: &dyn FileSystem,
        root: &File,
        root_path: &Path,
    ) -> Result<Self, StoreError> {
        let unique = format!("{NAME}.{}.{:?}", std::process::id(), std::thread::current().id());
        let draft = Path::new(&unique);
        let failed = |operation| {
            let place = root_path.join(NAME);
            move |source| IoError { operation, place, source }
        };
        // Left by a process of the same number that was killed here, a container's first one, say.
        let _ = fs.unlink(root, draft);
        let file = fs.open(root, draft, OpenMode::CreateNew).map_err(failed("create"))?;
        let written = seams::write_all(fs, &file, self.to_text().as_bytes(), 0)
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
        let stands = Self::load(fs, root, root_path)?;
        stands.ok_or_else(|| failed("open")(io::ErrorKind::NotFound.into()).into())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let table: toml::Table = text.parse().map_err(|error| format!("{error}"))?;
        let number = |name: &str| {
            let number = table.get(name).and_then(toml::Value::as_integer);
            number.ok_or_else(|| format!("`{name}` is missing or no number"))
        };
        let format = number("format")?;
        if format != FORMAT {
            return Err(format!(
                "it has format {format}, this version reads {FORMAT}; use the version that wrote it"
            ));
        }
        let small = |name| number(name).map(|number| u8::try_from(number).unwrap_or(u8::MAX));
        let layout = Layout { levels: small("levels")?, digits: small("digits")? };
        layout.check().map_err(|error| error.to_string())?;
        let durability = match table.get("durability").and_then(toml::Value::as_str) {
            Some("process") => Durability::Process,
            Some("power") => Durability::Power,
            _ => return Err("`durability` is neither \"process\" nor \"power\"".to_owned()),
        };
        Ok(Self { layout, durability })
    }

    fn to_text(self) -> String {
        let Self { layout: Layout { levels, digits }, durability } = self;
        format!(
            "# A cloakroom session store. Do not edit: the files lie where this says.\n\
             format = {FORMAT}\nlevels = {levels}\ndigits = {digits}\n\
             durability = \"{durability}\"\n"
        )
    }
}

/// Whether a file in the root belongs to this module.
pub(super) fn is_description(name: &str) -> bool {
    name.starts_with(NAME)
}

/// The description, in the root of a store.
pub(super) const NAME: &str = "store.toml";

const FORMAT: i64 = 1;
const SIZE_MAX: usize = 4_096;

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_description_reads_back_as_it_was_written() {
        for levels in 0..=3 {
            for durability in [Durability::Process, Durability::Power] {
                let written = Description { layout: Layout { levels, digits: 2 }, durability };
                assert_eq!(Description::parse(&written.to_text()), Ok(written));
            }
        }
    }

    #[test]
    fn a_description_that_makes_no_sense_is_refused_with_the_reason() {
        let good = Description::default().to_text();
        for (from, to, reason) in [
            ("format = 1", "format = 2", "format 2"),
            ("levels = 1", "levels = 9", "0 to 3 levels"),
            ("digits = 2", "", "`digits`"),
            ("\"process\"", "\"maybe\"", "durability"),
            ("format", "= [", "expected"),
        ] {
            let bad = good.replacen(from, to, 1);
            let error = Description::parse(&bad).expect_err(&bad);
            assert!(error.contains(reason), "{error} lacks {reason}");
        }
    }
}
