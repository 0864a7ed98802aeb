//! What a map store was created with.

use crate::file::Durability;
use crate::store_toml;

/// The description of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Description {
    /// The store's own number: it seeds every check, so that no file of another store is taken for
    /// one of this.
    pub(super) seed: u64,
    pub(super) durability: Durability,
}

impl Description {
    pub(super) fn parse(table: &toml::Table) -> Result<Self, String> {
        store_toml::check(table, KIND, FORMAT)?;
        let seed = table.get("number").and_then(toml::Value::as_str);
        let seed = seed.and_then(|seed| u64::from_str_radix(seed, 16).ok());
        let seed = seed.ok_or("`number` is missing or no hexadecimal number")?;
        Ok(Self { seed, durability: store_toml::durability(table)? })
    }

    pub(super) fn to_text(self) -> String {
        let Self { seed, durability } = self;
        format!(
            "# A cloakroom session store. Do not edit: every check in its files depends on this.\n\
             kind = \"{KIND}\"\nformat = {FORMAT}\nnumber = \"{seed:016x}\"\n\
             durability = \"{durability}\"\n"
        )
    }
}

const KIND: &str = "map";
const FORMAT: i64 = 1;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_description_reads_back_as_it_was_written() {
        for durability in [Durability::Process, Durability::Power] {
            for seed in [0, 7, u64::MAX] {
                let written = Description { seed, durability };
                let table = written.to_text().parse().unwrap();
                assert_eq!(Description::parse(&table), Ok(written));
            }
        }
    }

    #[test]
    fn a_description_that_makes_no_sense_is_refused_with_the_reason() {
        let good = Description { seed: 7, durability: Durability::Process }.to_text();
        for (from, to, reason) in [
            ("format = 1", "format = 2", "format 2"),
            ("\"map\"", "\"file\"", "`file` store"),
            ("kind", "kinds", "`file` store"),
            ("number = \"0", "number = \"x", "`number`"),
            ("\"process\"", "\"maybe\"", "durability"),
        ] {
            let table = good.replacen(from, to, 1).parse().unwrap();
            let error = Description::parse(&table).unwrap_err();
            assert!(error.contains(reason), "{error} lacks {reason}");
        }
    }
}
