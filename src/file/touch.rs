//! The time of the last access, written without a lock, a new slot or the payload.

use std::io;

use super::format;
use super::read::Contents;
use super::room::{REOPENS, Room, Spot};
use crate::error::{CommitError, write_error};
use crate::seams::OpenMode;

impl Room {
    /// Sets the last access of the session with this birth to now, if it is still alive.
    ///
    /// The two cells alternate, so a torn one leaves the other. A tombstone written meanwhile is
    /// elsewhere in the file and stands.
    pub(super) fn touch(&self, at: &Spot, birth: u64) -> Result<(), CommitError> {
        for _ in 0..REOPENS {
            let file = match self.open(&at.path, OpenMode::Write) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(self.open_error(at, error).into()),
            };
            let contents = self.contents(at, &file, false)?;
            let record = match contents {
                Contents::Session(current)
                    if current.record().birth == birth
                        && current.record().retired_until.is_none() =>
                {
                    *current.record()
                }
                // Torn by a writer just now: look again.
                Contents::Invalid(_) | Contents::Moved => continue,
                _ => return Ok(()),
            };
            let head =
                self.read(&file, format::HEAD, 0).map_err(self.io_error("read", &at.path))?;
            let now = self.clock.now();
            let (_, cell) = format::last_touch(&at.key, &record, &head, now);
            let bytes = cell.encode(&at.key, &record, now.as_millis());
            self.write_all(&file, &bytes, cell.offset() as u64)
                .map_err(|error| write_error(self.io_error("write", &at.path)(error)))?;
            // A growth meanwhile made another file current; the touch belongs there.
            if self.stat(at, &file)?.links > 0 {
                return Ok(());
            }
        }
        Ok(())
    }
}
