//! The one source of random numbers.

use std::io;

/// The one source of random numbers: ids and births come from it.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes` with random numbers that nobody can predict.
    ///
    /// # Errors
    ///
    /// There are none to be had.
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()>;
}

/// A random number.
pub(crate) fn random(entropy: &dyn Entropy) -> io::Result<u64> {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// The operating system's random numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        getrandom::fill(bytes).map_err(io::Error::from)
    }
}
