//! What is done about one session.

use cloakroom::blocking::wait;
use cloakroom::{
    Access, Adopted, Calling, CommitError, Hold, Inventory, Key, Look, OpenError, OpenRequest,
    Summary,
};

use super::entry::Entry;
use super::pass::{Copier, Pass};
use crate::error::CliError;
use crate::operate::failed;

impl<F: Inventory, T: Inventory> Copier<'_, F, T> {
    /// Deals with a session that stands in FROM.
    pub(super) fn deal(&self, session: &Summary, pass: Pass) -> Result<(), CliError> {
        let key = &session.key;
        let entry = self.state().see(session, pass);
        if session.expired {
            return match entry {
                // The id was renewed and its grace is over: nobody may use it any more.
                Some(entry) if session.record.retired_until.is_some() => {
                    self.end(key, &entry).map(drop)
                }
                _ => Ok(()),
            };
        }
        if !pass.comparing && entry.is_some_and(|entry| entry.covers(&session.record)) {
            return Ok(());
        }
        let Some(look) = self.look(key)? else { return Ok(()) };
        let dealt_with = match entry.filter(|entry| entry.covers(&look.record)) {
            None => self.bring(key, &look, entry, pass)?,
            covered => covered,
        };
        match dealt_with {
            Some(entry) if pass.comparing => self.compare(key, &look, &entry),
            _ => Ok(()),
        }
    }

    /// Ends the copies of sessions that ended in FROM. One whose time ran out there may be in use in
    /// TO, and has a deadline there.
    pub(super) fn end_unseen(&self, pass: Pass) -> Result<(), CliError> {
        let unseen = self.state().journal.unseen(pass.number);
        for (key, entry) in unseen {
            let look = wait(self.from.look(&key, Calling::Blocking));
            let birth = look.map(|look| look.map(|look| look.record.birth));
            if birth.map_or(true, |birth| birth == Some(entry.birth)) {
                // The walk missed it, or it cannot be read just now.
                continue;
            }
            if entry.ran_out() {
                self.note(&key, entry.ended())?;
            } else {
                self.end(&key, &entry)?;
            }
        }
        Ok(())
    }

    /// A session as it stands in FROM.
    fn look(&self, key: &Key) -> Result<Option<Look>, CliError> {
        match wait(self.from.look(key, Calling::Blocking)) {
            Ok(look) => Ok(look.filter(|look| !look.expired)),
            Err(error @ (OpenError::Corrupt(_) | OpenError::Io(_))) => {
                self.state().tally.fail(&error);
                Ok(None)
            }
            Err(error) => Err(failed("read the store to copy from")(error)),
        }
    }

    /// Brings a session over as it stands in FROM. None: it is left for the next pass.
    fn bring(
        &self,
        key: &Key,
        look: &Look,
        entry: Option<Entry>,
        pass: Pass,
    ) -> Result<Option<Entry>, CliError> {
        let record = look.record;
        let known = match entry {
            Some(entry) if entry.birth == record.birth => self.known(key, &entry)?,
            // That life ended in FROM, and another began.
            Some(entry) if !self.end(key, &entry)? => return Ok(None),
            _ => None,
        };
        let adopt =
            |known| wait(self.to.adopt(key, record, &look.payload, known, Calling::Blocking));
        let adopted = match adopt(known) {
            // The copy was damaged, by a power cut perhaps, and is out of the way now.
            Err(CommitError::Open(OpenError::Corrupt(corrupt))) if corrupt.quarantine.is_some() => {
                adopt(None)
            }
            adopted => adopted,
        };
        let given = match adopted {
            Ok(Adopted::Created) => {
                self.state().tally.copied += 1;
                record.version
            }
            Ok(Adopted::Replaced) => {
                self.state().tally.caught_up += 1;
                record.version
            }
            Ok(Adopted::Kept) => known.unwrap_or(record.version),
            Ok(Adopted::OtherLife | Adopted::Gone) => Entry::ENDED,
            Ok(Adopted::Expired) => return Ok(None),
            Err(error) => {
                self.tolerate(key, error, "write to the store to copy to")?;
                return Ok(None);
            }
        };
        let entry = Entry::new(&record, given, pass.number);
        self.note(key, entry)?;
        Ok(Some(entry))
    }

    /// The version that TO is known to have of a session. None: whatever it has may give way. So it
    /// is with a copy that ran out unused while the session was used in FROM.
    fn known(&self, key: &Key, entry: &Entry) -> Result<Option<u64>, CliError> {
        if !entry.ran_out() {
            return Ok(Some(entry.given));
        }
        let copy = wait(self.to.look(key, Calling::Blocking));
        let copy = copy.map_err(failed("read the store to copy to"))?;
        let unused = |copy: Look| copy.expired && copy.record.version == entry.given;
        Ok(if copy.is_none_or(unused) { None } else { Some(entry.given) })
    }

    /// Compares a session, as it stood in FROM a moment ago, with its copy.
    fn compare(&self, key: &Key, look: &Look, entry: &Entry) -> Result<(), CliError> {
        let copy = match wait(self.to.look(key, Calling::Blocking)) {
            Err(OpenError::Corrupt(corrupt)) => {
                self.state().tally.differ(&corrupt);
                return Ok(());
            }
            copy => copy.map_err(failed("read the store to copy to"))?,
        };
        let mut state = self.state();
        let tally = &mut state.tally;
        match copy {
            None => {
                tally.ended_in_to += 1;
                drop(state);
                self.note(key, entry.ended())?;
            }
            Some(copy) if copy.record.birth != entry.birth => tally.other_life += 1,
            Some(copy) if entry.is_ended() || copy.record.version > entry.given => {
                tally.went_on += 1;
            }
            Some(copy)
                if copy.record.version == entry.given
                    && (look.record.version != entry.given || look.payload == copy.payload) =>
            {
                tally.verified += 1;
            }
            Some(_) => tally.differ(&format!("session {key} is not as it was copied")),
        }
        Ok(())
    }

    /// Ends the copy of a session that ended in FROM, if it is still that life. False: it is left for
    /// the next pass.
    fn end(&self, key: &Key, entry: &Entry) -> Result<bool, CliError> {
        if entry.is_ended() {
            return Ok(true);
        }
        let end = || {
            let request = OpenRequest::new(Access::Optimistic, Calling::Blocking);
            let mut hold = wait(self.to.open(key, request))?;
            let stands = hold.record().is_some_and(|record| record.birth == entry.birth);
            if stands {
                wait(hold.destroy())?;
            }
            Ok(stands)
        };
        match end() {
            Ok(ended) => self.state().tally.ended_in_from += u64::from(ended),
            Err(error) => {
                self.tolerate(key, error, "end a session in the store to copy to")?;
                return Ok(false);
            }
        }
        self.note(key, entry.ended())?;
        Ok(true)
    }

    fn note(&self, key: &Key, entry: Entry) -> Result<(), CliError> {
        self.state().journal.note(key, entry).map_err(CliError::Copy)
    }

    /// Leaves a session that is in use in TO, or too large for it, for the next pass. Any other error
    /// ends the copy.
    fn tolerate(&self, key: &Key, error: CommitError, task: &'static str) -> Result<(), CliError> {
        match error {
            CommitError::TooLarge { .. } => {
                self.state().tally.fail(&format!("session {key} does not fit into TO: {error}"));
                Ok(())
            }
            CommitError::Gone { .. }
            | CommitError::Open(
                OpenError::Gone { .. }
                | OpenError::LockTimeout(_)
                | OpenError::TooManyWaiters { .. },
            ) => {
                self.state().tally.fail(&error);
                Ok(())
            }
            error => Err(failed(task)(error)),
        }
    }
}
