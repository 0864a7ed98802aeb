//! `ROOT/store.toml`: what a store was created with.

use super::Durability;
use super::layout::Layout;
use crate::store_toml;

/// The description of a store, written once, when the store is created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) layout: Layout,
    pub(super) durability: Durability,
}

impl Description {
    pub(super) fn parse(table: &toml::Table) -> Result<Self, String> {
        store_toml::check(table, "file", FORMAT)?;
        let small = |name| {
            let number = store_toml::number(table, name)?;
            Ok::<_, String>(u8::try_from(number).unwrap_or(u8::MAX))
        };
        let layout = Layout { levels: small("levels")?, digits: small("digits")? };
        layout.check().map_err(|error| error.to_string())?;
        Ok(Self { layout, durability: store_toml::durability(table)? })
    }

    pub(super) fn to_text(self) -> String {
        let Self { layout: Layout { levels, digits }, durability } = self;
        format!(
            "# A cloakroom session store. Do not edit: the files lie where this says.\n\
             format = {FORMAT}\nlevels = {levels}\ndigits = {digits}\n\
             durability = \"{durability}\"\n"
        )
    }
}

const FORMAT: i64 = 1;

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_description_reads_back_as_it_was_written() {
        for levels in 0..=3 {
            for durability in [Durability::Process, Durability::Power] {
                let written = Description { layout: Layout { levels, digits: 2 }, durability };
                let table = written.to_text().parse().expect("it is TOML");
                assert_eq!(Description::parse(&table), Ok(written));
            }
        }
    }

    #[test]
    fn a_description_that_makes_no_sense_is_refused_with_the_reason() {
        let good = Description::default().to_text();
        for (from, to, reason) in [
            ("format = 1", "format = 2", "format 2"),
            ("levels = 1", "levels = 9", "0 to 3 levels"),
            ("digits = 2", "", "`digits`"),
            ("\"process\"", "\"maybe\"", "durability"),
            ("format", "kind = \"map\"\nformat", "`map` store"),
        ] {
            let bad = good.replacen(from, to, 1);
            let table = bad.parse().expect("it is TOML");
            let error = Description::parse(&table).expect_err(&bad);
            assert!(error.contains(reason), "{error} lacks {reason}");
        }
    }
}
