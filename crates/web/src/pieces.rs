//! A seal that is too long for one cookie, cut over several and put together again.
//!
//! A piece is `SEAL.INDEX.TOTAL.TEXT` in the cookie `NAME.INDEX`. The names are always the same, so a new
//! seal replaces the pieces of an old one; but two responses may cross, and then the browser holds
//! pieces of both. SEAL, the first characters of the seal itself, which are random, tells them apart:
//! only a complete set is put together. Whether that is genuine the seal knows.

use thiserror::Error;

use crate::cookie::{Found, Template};
use crate::limits;

/// The cookies that carry a session: names and values.
pub(crate) type Pieces = Vec<(String, String)>;

/// A session is too large for its cookie. Nothing was sent; the browser's copy is as it was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the session has {session} bytes and takes {cookie} as a cookie, {limit} fit; keep less in it\
     {hint}, or keep sessions in a store on the server", hint = if *split { "" } else {
        ", allow `split`"
    }
)]
pub struct CookieTooLarge {
    /// Bytes of the session, before the seal.
    pub session: usize,
    /// Bytes of the cookies that it takes.
    pub cookie: usize,
    /// Bytes that fit: of one cookie with its name and attributes, or of all pieces together.
    pub limit: usize,
    /// Whether it was to be split.
    pub split: bool,
}

/// The cookies for a seal around a session of so many bytes.
///
/// # Errors
///
/// It is too large.
pub(crate) fn cut(
    seal: &str,
    template: &Template,
    split: bool,
    session: usize,
) -> Result<Pieces, CookieTooLarge> {
    let name = &template.name;
    let whole = template.size(name.len(), seal.len());
    if whole <= limits::COOKIE_MAX {
        return Ok(vec![(name.clone(), seal.to_owned())]);
    }
    let too_large = |cookie, limit| CookieTooLarge { session, cookie, limit, split };
    if !split {
        return Err(too_large(whole, limits::COOKIE_MAX));
    }
    let (id, _) = seal.split_at_checked(SEAL_ID).unwrap_or((seal, ""));
    let head = format!("{id}.0.0.").len();
    let room = limits::COOKIE_MAX.saturating_sub(template.size(name.len() + 2, head));
    let total = seal.len().div_ceil(room.max(1));
    let sent = total * (name.len() + 2 + "=; ".len() + head) + seal.len();
    if total > limits::PIECES || sent > limits::PIECES_MAX {
        return Err(too_large(sent, limits::PIECES_MAX));
    }
    // The seal is ASCII: chunks of bytes are chunks of characters.
    let chunks = seal.as_bytes().chunks(room.max(1)).enumerate();
    let piece = |(index, chunk)| {
        let text = String::from_utf8_lossy(chunk);
        (format!("{name}.{index}"), format!("{id}.{index}.{total}.{text}"))
    };
    Ok(chunks.map(piece).collect())
}

/// The seals that these cookies carry, whole or in complete sets of pieces.
pub(crate) fn join(found: &[Found]) -> Vec<String> {
    let mut seals = Vec::new();
    let mut pieces = Vec::new();
    for Found { piece, value } in found {
        match piece {
            None => seals.push(value.clone()),
            Some(number) => {
                pieces.extend(Piece::parse(value).filter(|p| p.index == usize::from(*number)));
            }
        }
    }
    for first in pieces.iter().filter(|piece| piece.index == 0) {
        let text = |index| {
            let fits = |piece: &&Piece<'_>| {
                piece.index == index && piece.seal == first.seal && piece.total == first.total
            };
            pieces.iter().find(fits).map(|piece| piece.text)
        };
        let seal: Option<String> = (0..first.total).map(text).collect();
        seals.extend(seal.filter(|seal| seal.starts_with(first.seal)));
    }
    seals
}

struct Piece<'a> {
    seal: &'a str,
    index: usize,
    total: usize,
    text: &'a str,
}

impl<'a> Piece<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let mut parts = value.split('.');
        let seal = parts.next()?;
        let index = parts.next()?.parse().ok()?;
        let total = parts.next()?.parse().ok()?;
        let text = parts.next()?;
        let sound = parts.next().is_none() && seal.len() == SEAL_ID && total <= limits::PIECES;
        sound.then_some(Self { seal, index, total, text })
    }
}

/// Six random bytes of the nonce.
const SEAL_ID: usize = 8;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn found(pieces: &Pieces) -> Vec<Found> {
        let found = |(name, value): &(String, String)| {
            let piece = name.strip_prefix("id.").map(|number| number.parse().unwrap());
            Found { piece, value: value.clone() }
        };
        pieces.iter().map(found).collect()
    }

    fn seal(letter: &str, length: usize) -> String {
        letter.repeat(length)
    }

    #[test]
    fn a_seal_of_any_length_comes_back_from_its_pieces_or_is_refused_with_its_size() {
        let template = Template::of_test();
        let mut longest = 0;
        for length in (8..8_300).step_by(13) {
            match cut(&seal("s", length), &template, true, 1) {
                Ok(pieces) => {
                    longest = length;
                    for (name, value) in &pieces {
                        assert!(template.set(name, value).as_str().len() <= limits::COOKIE_MAX);
                    }
                    let header: usize = pieces.iter().map(|(n, v)| n.len() + v.len() + 3).sum();
                    assert!(header <= limits::PIECES_MAX);
                    assert_eq!(join(&found(&pieces)), [seal("s", length)]);
                }
                Err(error) => {
                    assert!(error.cookie > error.limit && error.limit == limits::PIECES_MAX)
                }
            }
        }
        assert!((8_000..8_192).contains(&longest), "{longest}");
    }

    #[test]
    fn the_size_in_the_error_is_that_of_the_cookie() {
        let template = Template::of_test();
        let fits = limits::COOKIE_MAX - template.size(2, 0);
        assert_eq!(cut(&seal("s", fits), &template, false, 9).unwrap().len(), 1);
        let error = cut(&seal("s", fits + 1), &template, false, 9).unwrap_err();
        assert_eq!(error, CookieTooLarge { session: 9, cookie: 4_097, limit: 4_096, split: false });
        assert!(error.to_string().contains("4097") && error.to_string().contains("`split`"));
    }

    #[test]
    fn pieces_of_two_seals_are_never_mixed_and_each_complete_one_is_found() {
        let template = Template::of_test();
        let old = cut(&seal("a", 7_000), &template, true, 1).unwrap();
        let new = cut(&seal("b", 7_000), &template, true, 1).unwrap();
        let crossed = vec![old.first().unwrap().clone(), new.last().unwrap().clone()];
        assert_eq!(join(&found(&crossed)), [""; 0]);
        let both = [new.clone(), old.clone()].concat();
        assert_eq!(join(&found(&both)), [seal("b", 7_000), seal("a", 7_000)]);
        let doubled = [new.clone(), new].concat();
        assert_eq!(join(&found(&doubled)).first(), Some(&seal("b", 7_000)));
    }

    #[test]
    fn a_piece_that_is_missing_renumbered_or_nonsense_completes_nothing() {
        let pieces = cut(&seal("a", 7_000), &Template::of_test(), true, 1).unwrap();
        for index in 0..pieces.len() {
            let mut missing = pieces.clone();
            missing.remove(index);
            assert!(join(&found(&missing)).is_empty());
        }
        for nonsense in [
            "",
            ".",
            "...",
            "aaaaaaaa.0.0.x",
            "aaaaaaaa.9.2.x",
            "aaaaaaaa.0.99999999999999999999.x",
            "aaaaaaaa.0.1000000.x",
            "a.0.1.x",
            "aaaaaaaa.-1.1.x",
            "bbbbbbbb.0.1.aaaa",
        ] {
            let found = [Found { piece: Some(0), value: nonsense.to_owned() }];
            assert!(join(&found).iter().all(String::is_empty), "{nonsense}");
        }
    }
}
