//! The session that somebody named, by its key or by its id.

use std::io::{self, BufRead, Read};

use cloakroom::{Key, SessionId};

use crate::error::CliError;

/// A session as it was named. An id is a secret, so it is never shown again: messages name the key.
pub struct Target {
    /// The keys it may have, the likelier first.
    keys: Vec<Key>,
}

impl Target {
    /// The session of a key or an id. Ids that the engine makes look like keys: a text of 64 hex
    /// digits may be either.
    pub fn new(text: &[u8], namespace: &str) -> Self {
        let key = std::str::from_utf8(text).ok().and_then(Key::parse);
        let of_id = Key::new(namespace, &SessionId::from(text));
        Self { keys: key.into_iter().chain([of_id]).collect() }
    }

    /// What `find` finds under one of its keys.
    pub fn find<T, E>(
        &self,
        mut find: impl FnMut(&Key) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        for key in &self.keys {
            if let Some(found) = find(key)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// What to call it, after `no session`.
    pub fn name(&self) -> String {
        match self.keys.as_slice() {
            [key, of_id] => format!("of the key {key}, nor of that as an id (its key is {of_id})"),
            [of_id] => format!("of this id (its key is {of_id})"),
            _ => String::new(),
        }
    }
}

/// The sessions that arguments name; `-` stands for the lines of standard input.
pub fn all<'a>(
    arguments: &'a [String],
    namespace: &'a str,
) -> impl Iterator<Item = Result<Target, CliError>> + 'a {
    arguments.iter().flat_map(move |argument| {
        let lines: Box<dyn Iterator<Item = Result<Vec<u8>, CliError>>> = match argument.as_str() {
            "-" => Box::new(lines()),
            text => Box::new(std::iter::once(Ok(text.as_bytes().to_vec()))),
        };
        lines.map(move |text| Ok(Target::new(&text?, namespace)))
    })
}

/// The lines of standard input that are not empty.
fn lines() -> impl Iterator<Item = Result<Vec<u8>, CliError>> {
    let mut stdin = io::stdin().lock();
    std::iter::from_fn(move || {
        loop {
            let mut line = Vec::new();
            let read = (&mut stdin).take(LINE_MAX).read_until(b'\n', &mut line);
            let text = line.trim_ascii();
            match read {
                Err(error) => return Some(Err(CliError::Input(error))),
                Ok(0) => return None,
                Ok(length) if length as u64 == LINE_MAX => return Some(Err(CliError::LineTooLong)),
                Ok(_) if text.is_empty() => {}
                Ok(_) => return Some(Ok(text.to_vec())),
            }
        }
    })
}

/// A longer line of standard input names no session.
const LINE_MAX: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<Key> {
        let mut keys = Vec::new();
        let none: Result<Option<()>, ()> = Target::new(text.as_bytes(), "shop").find(|key| {
            keys.push(*key);
            Ok(None)
        });
        assert_eq!(none, Ok(None));
        keys
    }

    #[test]
    fn what_looks_like_a_key_may_be_an_id_all_the_same() {
        let id = "0123456789abcdef".repeat(4);
        let of_id = Key::new("shop", &SessionId::from(id.as_str()));
        assert_eq!(keys(&id), [Key::parse(&id).unwrap_or(of_id), of_id]);
        assert_eq!(keys("user-7"), [Key::new("shop", &SessionId::from("user-7"))]);
        let capitals = id.to_uppercase();
        assert_eq!(keys(&capitals), [Key::new("shop", &SessionId::from(capitals.as_str()))]);
    }
}
