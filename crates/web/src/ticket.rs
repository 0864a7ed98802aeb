//! The ticket: a session id with a signature, as the cookie carries it.
//!
//! `ID.MAC`, or `ID.ADDRESS.MAC` for a ticket that is bound to a client address. The MAC is keyed
//! BLAKE3 over all that precedes it and over the cookie's name. It is checked before any store is
//! asked, against all keys and in constant time: a ticket that this application did not give out costs
//! a hash and reaches nothing, so no answer and no timing tells whether its id exists.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use cloakroom::SessionId;

use crate::address::Binder;
use crate::keys::Secrets;

/// Signs session ids and verifies them.
pub(crate) struct Signer {
    keys: Vec<[u8; 32]>,
    binder: Option<Binder>,
    pub(crate) cookie: String,
}

/// A ticket that this application signed.
pub(crate) struct Ticket {
    pub(crate) id: SessionId,
    /// Whether the client may use it from its address.
    pub(crate) at_home: bool,
    /// Whether a key other than the first signed it, so that it should be given out anew.
    pub(crate) outdated: bool,
}

impl Signer {
    /// A signer for the cookie of this name. With a `binder` tickets are bound to addresses.
    pub(crate) fn new(
        secrets: &Secrets,
        namespace: &str,
        cookie: &str,
        binder: Option<Binder>,
    ) -> Self {
        Self { keys: secrets.derive(PURPOSE, namespace), binder, cookie: cookie.to_owned() }
    }

    /// The ticket for this id; `None` for an id that is no text, which no manager makes.
    pub(crate) fn sign(&self, id: &SessionId, client: Option<IpAddr>) -> Option<String> {
        let mut text = id.to_str()?.to_owned();
        if let Some(binder) = &self.binder {
            text.push('.');
            text.push_str(&BASE64.encode(binder.bind(client)));
        }
        let mac = self.mac(self.keys.first()?, &text);
        text.push('.');
        BASE64.encode_string(mac.as_bytes(), &mut text);
        Some(text)
    }

    /// The ticket in this cookie, if this application signed it.
    pub(crate) fn verify(&self, text: &str, client: Option<IpAddr>) -> Option<Ticket> {
        let (signed, mac) = text.split_at_checked(text.len().checked_sub(MAC)?)?;
        let signed = signed.strip_suffix('.')?;
        let mut bytes = [0; MAC_BYTES];
        let decoded = BASE64.decode_slice(mac, &mut bytes).ok()?;
        let mac = blake3::Hash::from_slice(bytes.get(..decoded)?).ok()?;
        let mut signer = None;
        for (number, key) in self.keys.iter().enumerate() {
            // `blake3::Hash` compares in constant time.
            if self.mac(key, signed) == mac {
                signer = signer.or(Some(number));
            }
        }
        let outdated = signer? != 0;
        let (id, binding) = match signed.split_once('.') {
            Some((id, binding)) => (id, BASE64.decode(binding).ok()),
            None => (signed, None),
        };
        let at_home = self
            .binder
            .as_ref()
            .is_none_or(|binder| binding.is_some_and(|binding| binder.is_bound(&binding, client)));
        Some(Ticket { id: id.into(), at_home, outdated })
    }

    fn mac(&self, key: &[u8; 32], signed: &str) -> blake3::Hash {
        // As one text, which is hashed faster than in pieces.
        let length = (self.cookie.len() as u64).to_le_bytes();
        blake3::keyed_hash(key, &[&length, self.cookie.as_bytes(), signed.as_bytes()].concat())
    }
}

/// The characters of a MAC, and the most bytes that so many can stand for.
const MAC: usize = 43;
const MAC_BYTES: usize = MAC.div_ceil(4) * 3;

const PURPOSE: &str = "cloakroom-web 2026-11-20 signed session id";

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn signer(secrets: &[u8], cookie: &str) -> Signer {
        let keys = secrets.iter().map(|byte| vec![*byte; 32].into()).collect();
        Signer::new(&Secrets { keys }, "", cookie, None)
    }

    #[test]
    fn a_ticket_with_any_byte_changed_cut_or_added_is_not_accepted() {
        let signer = signer(&[1, 2], "id");
        let id = SessionId::generate().expect("random numbers");
        let ticket = signer.sign(&id, None).expect("an id in hex");
        assert!(signer.verify(&ticket, None).is_some_and(|ticket| ticket.id == id));
        for (at, byte) in ticket.bytes().enumerate() {
            for other in (0..128_u8).filter(|other| *other != byte) {
                let mut forged = ticket.clone().into_bytes();
                forged.splice(at..=at, [other]);
                let forged = String::from_utf8(forged).expect("ASCII");
                assert!(signer.verify(&forged, None).is_none(), "{other} at {at}");
            }
            assert!(signer.verify(ticket.get(..at).expect("ASCII"), None).is_none());
            assert!(signer.verify(ticket.get(at + 1..).expect("ASCII"), None).is_none());
        }
        for padding in ["=", ".", "A", " "] {
            assert!(signer.verify(&format!("{ticket}{padding}"), None).is_none());
            assert!(signer.verify(&format!("{padding}{ticket}"), None).is_none());
        }
    }

    #[test]
    fn all_keys_verify_and_the_first_one_signs() {
        let id = SessionId::generate().expect("random numbers");
        let old = signer(&[1], "id").sign(&id, None).expect("an id in hex");
        let rotated = signer(&[2, 1], "id");
        assert!(rotated.verify(&old, None).is_some_and(|ticket| ticket.outdated));
        let new = rotated.sign(&id, None).expect("an id in hex");
        assert!(rotated.verify(&new, None).is_some_and(|ticket| !ticket.outdated));
        assert!(signer(&[1], "id").verify(&new, None).is_none());
        assert!(signer(&[2], "id").verify(&old, None).is_none());
    }

    #[test]
    fn the_ticket_of_one_cookie_is_worth_nothing_in_another() {
        let id = SessionId::generate().expect("random numbers");
        let ticket = signer(&[1], "id").sign(&id, None).expect("an id in hex");
        for other in ["id2", "ad"] {
            assert!(signer(&[1], other).verify(&ticket, None).is_none());
        }
    }
}
