//! The words of a record: check, key, version, payload.

use std::sync::atomic::{AtomicU64, Ordering};

use cloakroom::Key;
use xxhash_rust::xxh3::xxh3_64;

use crate::payload::{Payload, SIZE};

pub const WORDS: usize = 6 + SIZE / 8;

#[derive(Clone)]
pub struct Record {
    pub key: [u8; 32],
    pub version: u64,
    pub payload: Payload,
}

impl Record {
    pub fn new(key: &Key, version: u64, payload: &Payload) -> Self {
        Self { key: *key.as_bytes(), version, payload: *payload }
    }

    /// Writes it where nobody looks yet.
    pub fn write(&self, words: &[AtomicU64]) {
        let bytes = self.bytes();
        let body = bytes.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        for (word, value) in words.iter().zip(std::iter::once(xxh3_64(&bytes)).chain(body)) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Reads what stands there; `None` if it fails its check.
    pub fn read(words: &[AtomicU64]) -> Option<Self> {
        let mut bytes = [0; BODY];
        let (check, body) = words.split_first()?;
        let check = check.load(Ordering::Relaxed);
        for (to, word) in bytes.as_chunks_mut().0.iter_mut().zip(body) {
            *to = word.load(Ordering::Relaxed).to_le_bytes();
        }
        if xxh3_64(&bytes) != check {
            return None;
        }
        let (key, rest) = bytes.split_first_chunk()?;
        let (version, payload) = rest.split_first_chunk()?;
        let version = u64::from_le_bytes(*version);
        Some(Self { key: *key, version, payload: payload.try_into().ok()? })
    }

    fn bytes(&self) -> [u8; BODY] {
        let mut bytes = [0; BODY];
        let (key, rest) = bytes.split_at_mut(32);
        let (version, payload) = rest.split_at_mut(8);
        key.copy_from_slice(&self.key);
        version.copy_from_slice(&self.version.to_le_bytes());
        payload.copy_from_slice(&self.payload);
        bytes
    }
}

const BODY: usize = (WORDS - 1) * 8;
