//! The seal: a whole session, encrypted and authenticated, as text for a cookie.
//!
//! XChaCha20-Poly1305: its nonces are long enough to be drawn at random however many seals are made.
//! The name of the cookie is authenticated with it, so a seal cannot be moved to another cookie. The
//! text is base64 of nonce, ciphertext and tag; the clear text is
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format: 1 |
//! | 1 | compression of the payload: 0 none, 1 deflate |
//! | 8, 8, 8 | created, sealed, deadline: ms since 1970, little-endian; a deadline of all ones: none |
//! | 16 | the client address it is bound to, as a keyed hash; zeros: to none |
//! | n | payload |

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use cloakroom::Timestamp;

use crate::address::Binding;
use crate::keys::Secrets;
use crate::limits;

/// Seals sessions and opens seals.
pub(crate) struct Sealer {
    keys: Vec<[u8; 32]>,
    cookie: String,
    compression_level: Option<u8>,
}

/// What is in a seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) created: Timestamp,
    pub(crate) sealed: Timestamp,
    pub(crate) deadline: Timestamp,
    pub(crate) binding: Option<Binding>,
    pub(crate) payload: Vec<u8>,
}

impl Sealer {
    pub(crate) fn new(
        secrets: &Secrets,
        namespace: &str,
        cookie: &str,
        compression_level: Option<u8>,
    ) -> Self {
        let keys = secrets.derive(PURPOSE, namespace);
        Self { keys, cookie: cookie.to_owned(), compression_level }
    }

    /// The text of a seal around `contents`.
    ///
    /// # Errors
    ///
    /// There were no random numbers.
    pub(crate) fn seal(&self, contents: &Contents) -> io::Result<String> {
        let mut nonce = [0_u8; NONCE];
        getrandom::fill(&mut nonce)?;
        let clear = self.encode(contents);
        let payload = Payload { msg: &clear, aad: self.cookie.as_bytes() };
        // Only a text of 256 GiB fails.
        let failed = || io::Error::other("the cipher refused");
        let cipher = self.keys.first().map(|key| XChaCha20Poly1305::new(&(*key).into()));
        let secret = cipher.ok_or_else(failed)?.encrypt(&XNonce::from(nonce), payload);
        let mut text = nonce.to_vec();
        text.extend(secret.map_err(|_| failed())?);
        Ok(BASE64.encode(text))
    }

    /// What is in a seal, and whether a key other than the first sealed it; `None` if none of the keys
    /// did.
    pub(crate) fn open(&self, text: &str) -> Option<(Contents, bool)> {
        let bytes = BASE64.decode(text).ok()?;
        let (nonce, secret) = bytes.split_first_chunk::<NONCE>()?;
        let nonce = XNonce::from(*nonce);
        self.keys.iter().enumerate().find_map(|(number, key)| {
            let payload = Payload { msg: secret, aad: self.cookie.as_bytes() };
            let clear = XChaCha20Poly1305::new(&(*key).into()).decrypt(&nonce, payload).ok()?;
            Some((decode(&clear)?, number != 0))
        })
    }

    fn encode(&self, contents: &Contents) -> Vec<u8> {
        let Contents { created, sealed, deadline, binding, payload } = contents;
        let packed = self
            .compression_level
            .filter(|_| payload.len() <= limits::UNPACKED_MAX)
            .map(|level| miniz_oxide::deflate::compress_to_vec(payload, level))
            .filter(|packed| packed.len() < payload.len());
        let mut clear = vec![FORMAT, if packed.is_some() { DEFLATE } else { PLAIN }];
        for time in [created, sealed, deadline] {
            clear.extend(time.as_millis().to_le_bytes());
        }
        clear.extend(binding.unwrap_or_default());
        clear.extend_from_slice(packed.as_ref().unwrap_or(payload));
        clear
    }
}

/// Whoever made a seal had a key, so this is the work of another version at worst.
fn decode(clear: &[u8]) -> Option<Contents> {
    let ([FORMAT, compression], rest) = clear.split_first_chunk()? else { return None };
    let (created, rest) = rest.split_first_chunk()?;
    let (sealed, rest) = rest.split_first_chunk()?;
    let (deadline, rest) = rest.split_first_chunk()?;
    let (binding, payload) = rest.split_first_chunk::<16>()?;
    let payload = match *compression {
        PLAIN => payload.to_vec(),
        DEFLATE => {
            let limit = limits::UNPACKED_MAX;
            miniz_oxide::inflate::decompress_to_vec_with_limit(payload, limit).ok()?
        }
        _ => return None,
    };
    let time = |bytes: &[u8; 8]| Timestamp::from_millis(u64::from_le_bytes(*bytes));
    Some(Contents {
        created: time(created),
        sealed: time(sealed),
        deadline: time(deadline),
        binding: (*binding != [0; 16]).then_some(*binding),
        payload,
    })
}

const PURPOSE: &str = "cloakroom-web 2026-11-20 sealed session";
const NONCE: usize = 24;
const FORMAT: u8 = 1;
const PLAIN: u8 = 0;
const DEFLATE: u8 = 1;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn sealer(secrets: &[u8], cookie: &str, level: Option<u8>) -> Sealer {
        let keys = secrets.iter().map(|byte| vec![*byte; 32].into()).collect();
        Sealer::new(&Secrets { keys }, "", cookie, level)
    }

    fn contents(payload: &[u8]) -> Contents {
        Contents {
            created: Timestamp::from_millis(1),
            sealed: Timestamp::from_millis(2),
            deadline: Timestamp::MAX,
            binding: Some([7; 16]),
            payload: payload.to_vec(),
        }
    }

    #[test]
    fn what_was_sealed_comes_back_compressed_or_not_whatever_the_setting_is_now() {
        for payload in [vec![], b"hello".to_vec(), vec![b'a'; 10_000]] {
            for (sealing, opening) in [(None, Some(9)), (Some(9), None), (Some(0), Some(1))] {
                let seal = sealer(&[1], "id", sealing).seal(&contents(&payload)).unwrap();
                let opened = sealer(&[1], "id", opening).open(&seal);
                assert_eq!(opened, Some((contents(&payload), false)));
            }
        }
        let small = sealer(&[1], "id", Some(6)).seal(&contents(&[b'a'; 10_000])).unwrap();
        assert!(small.len() < 300, "{}", small.len());
    }

    #[test]
    fn a_seal_with_any_byte_changed_cut_or_added_does_not_open() {
        let sealer = sealer(&[1, 2], "id", Some(6));
        let seal = sealer.seal(&contents(b"a secret")).unwrap();
        for (at, byte) in seal.bytes().enumerate() {
            for other in (0..128_u8).filter(|other| *other != byte) {
                let mut forged = seal.clone().into_bytes();
                forged.splice(at..=at, [other]);
                assert!(
                    sealer.open(&String::from_utf8(forged).unwrap()).is_none(),
                    "{other} at {at}"
                );
            }
            assert!(sealer.open(seal.get(..at).unwrap()).is_none());
            assert!(sealer.open(seal.get(at + 1..).unwrap()).is_none());
        }
        assert!(sealer.open(&format!("{seal}A")).is_none());
        assert!(sealer.open(&format!("{seal}=")).is_none());
    }

    #[test]
    fn every_bit_of_the_sealed_bytes_is_authenticated() {
        let sealer = sealer(&[1], "id", None);
        let bytes = BASE64.decode(sealer.seal(&contents(b"a secret")).unwrap()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            *forged.get_mut(bit / 8).unwrap() ^= 1 << (bit % 8);
            assert!(sealer.open(&BASE64.encode(forged)).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn all_keys_open_and_the_first_one_seals() {
        let old = sealer(&[1], "id", None).seal(&contents(b"x")).unwrap();
        let rotated = sealer(&[2, 1], "id", None);
        assert_eq!(rotated.open(&old), Some((contents(b"x"), true)));
        let new = rotated.seal(&contents(b"x")).unwrap();
        assert!(sealer(&[1], "id", None).open(&new).is_none());
        assert!(sealer(&[2], "id", None).open(&new).is_some());
    }

    #[test]
    fn a_seal_does_not_open_in_another_cookie_or_another_application() {
        let seal = sealer(&[1], "id", None).seal(&contents(b"x")).unwrap();
        assert!(sealer(&[1], "id2", None).open(&seal).is_none());
        let keys = vec![vec![1; 32].into()];
        assert!(Sealer::new(&Secrets { keys }, "admin", "id", None).open(&seal).is_none());
    }

    #[test]
    fn two_seals_of_the_same_contents_differ() {
        let sealer = sealer(&[1], "id", None);
        assert_ne!(sealer.seal(&contents(b"x")).unwrap(), sealer.seal(&contents(b"x")).unwrap());
    }
}
