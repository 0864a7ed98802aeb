//! Which notes of a journal are still true after a power cut.

use std::collections::HashMap;

use cloakroom::Key;

use super::entry::Entry;
use super::line::Line;

/// When a session that was stored outlives a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// At once.
    Always,
    /// When the copy has synced it.
    Synced,
}

/// The notes that can be believed.
pub struct Believed {
    trust: Trust,
    /// What they say.
    pub entries: HashMap<Key, Entry>,
    /// Those that a power cut may have made untrue.
    loose: Vec<Key>,
    boot: Option<u64>,
}

impl Believed {
    /// None yet.
    pub fn new(trust: Trust) -> Self {
        Self { trust, entries: HashMap::new(), loose: Vec::new(), boot: None }
    }

    /// Adds a record, in the order of the journal.
    pub fn add(&mut self, line: Line) {
        match line {
            Line::Note(key, entry) => {
                self.entries.insert(key, entry);
                if self.trust == Trust::Synced {
                    self.loose.push(key);
                }
            }
            Line::Synced => self.loose.clear(),
            Line::Begun { boot } if self.boot == Some(boot) => {}
            Line::Begun { boot } => {
                self.boot = Some(boot);
                for key in self.loose.drain(..) {
                    self.entries.remove(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cloakroom::Timestamp;

    use super::*;

    fn note(number: u8) -> Line {
        let entry = Entry { birth: 1, taken: 1, given: 1, deadline: Timestamp::MAX, seen: 0 };
        Line::Note(Key::from_bytes([number; 32]), entry)
    }

    fn believed(trust: Trust, lines: &[Line]) -> Vec<u8> {
        let mut believed = Believed::new(trust);
        lines.iter().for_each(|line| believed.add(*line));
        let mut keys: Vec<u8> = believed.entries.keys().map(|key| key.as_bytes()[0]).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn an_interrupt_makes_no_note_untrue() {
        let begun = Line::Begun { boot: 1 };
        let lines = [begun, note(1), begun, note(2), begun];
        assert_eq!(believed(Trust::Synced, &lines), [1, 2]);
    }

    #[test]
    fn after_a_power_cut_what_was_synced_is_believed() {
        let [before, after] = [1, 2].map(|boot| Line::Begun { boot });
        let lines = [before, note(1), Line::Synced, note(2), before, note(1), note(3), after];
        assert_eq!(believed(Trust::Synced, &lines), [0_u8; 0]);
        let lines = [before, note(1), Line::Synced, before, note(2), note(3), after, note(3)];
        assert_eq!(believed(Trust::Synced, &lines), [1, 3]);
        assert_eq!(believed(Trust::Always, &lines), [1, 2, 3]);
    }
}
