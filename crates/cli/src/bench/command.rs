//! A suite as the command line that asks for it. A saved run keeps that: people can read and repeat
//! it, and what a file says is checked like what is typed.

use std::time::Duration;

use clap::Parser;

use super::plan::Limit;
use super::saved::SavedError;
use super::suite::Suite;
use super::summary::Setting;
use crate::args::{Args, BenchArgs, Command, Patterns};

impl Suite {
    /// The suite of a saved command.
    pub fn of_saved(command: &[String]) -> Result<Self, SavedError> {
        read_command(command).map(|args| Self::of(&args))
    }

    /// The suite of a saved command, measured with more or less effort if these arguments say so.
    /// Everything else they say must be as it was saved.
    pub fn again(saved: &[String], args: &BenchArgs) -> Result<Self, SavedError> {
        let saved = read_command(saved)?;
        let limited = args.seconds.is_some() || args.operations.is_some();
        let merged = BenchArgs {
            pattern: args.pattern.or(saved.pattern),
            store: if args.store.is_empty() { saved.store.clone() } else { args.store.clone() },
            access: if args.access.is_empty() { saved.access.clone() } else { args.access.clone() },
            clients: args.clients.or(saved.clients),
            processes: args.processes.or(saved.processes),
            sessions: args.sessions.or(saved.sessions),
            payload: args.payload.or(saved.payload),
            handler: args.handler.or(saved.handler),
            skew: args.skew.or(saved.skew),
            writes: args.writes.or(saved.writes),
            rate: args.rate.or(saved.rate),
            warmup: args.warmup.or(saved.warmup),
            seconds: if limited { args.seconds } else { saved.seconds },
            operations: if limited { args.operations } else { saved.operations },
            rounds: args.rounds.or(saved.rounds),
            api: args.api.or(saved.api),
            ..args.clone()
        };
        let suite = Self::of(&merged);
        Self::of(&saved).check_same(&suite)?;
        Ok(suite)
    }

    /// Refuses another that does not measure the same.
    pub fn check_same(&self, other: &Self) -> Result<(), SavedError> {
        let (old, new) = (self.settings(), other.settings());
        let only_in = |these: &[Flag], those: &[Flag]| {
            let flag = these.iter().find(|flag| !those.contains(flag));
            flag.map(|(name, value)| [*name, value].join(" ").trim().to_owned())
        };
        let (saved, asked) = (only_in(&old, &new), only_in(&new, &old));
        if saved.is_none() && asked.is_none() {
            return Ok(());
        }
        let or_not = |flag: Option<String>| flag.unwrap_or_else(|| "no such setting".to_owned());
        Err(SavedError::OtherSettings { saved: or_not(saved), asked: or_not(asked) })
    }

    /// The arguments that ask for it, whatever the defaults will be then.
    pub fn command(&self) -> Vec<String> {
        let flags = self.settings().into_iter().chain(self.effort());
        let words = flags.flat_map(|(name, value)| [name.to_owned(), value]);
        words.filter(|word| !word.is_empty()).collect()
    }

    /// What is measured.
    fn settings(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        let mut flag = |name, value: String| flags.push((name, value));
        // Of several patterns, or stores, each has its own defaults, which are left to it.
        let (pattern, modes, sessions, skew, writes) = match self.patterns {
            Patterns::One(pattern) => {
                let Setting { sessions, skew, writes, .. } = self.setting(pattern);
                (pattern.name(), self.common_modes(pattern), Some(sessions), skew, writes)
            }
            Patterns::All => {
                ("all", self.modes.clone(), self.sessions, Some(self.skew), Some(self.writes))
            }
        };
        flag(pattern, String::new());
        for store in &self.stores {
            flag("--store", store.to_string());
        }
        for mode in modes {
            flag("--access", mode.to_string());
        }
        if let Some(sessions) = sessions {
            flag("--sessions", sessions.to_string());
        }
        flag("--processes", self.processes.to_string());
        flag("--clients", self.clients.to_string());
        flag("--payload", self.payload.to_string());
        flag("--handler", exact(self.handler));
        if let Some(skew) = skew {
            flag("--skew", skew.to_string());
        }
        if let Some(writes) = writes {
            flag("--writes", writes.to_string());
        }
        if let Some(rate) = self.rate {
            flag("--rate", rate.to_string());
        }
        flag("--api", self.api.name().to_owned());
        flags
    }

    /// How well it is measured.
    fn effort(&self) -> [Flag; 3] {
        let limit = match self.limit {
            Limit::Time(time) => ("--seconds", time.as_secs_f64().to_string()),
            Limit::Operations(operations) => ("--operations", operations.to_string()),
        };
        let warmup = self.warmup.as_secs_f64().to_string();
        [limit, ("--warmup", warmup), ("--rounds", self.rounds.to_string())]
    }
}

/// A name on the command line and its value, which a pattern does not have.
type Flag = (&'static str, String);

/// A duration as it is typed, with nothing rounded.
fn exact(duration: Duration) -> String {
    let ns = duration.as_nanos();
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];
    let unit = units.iter().find(|(unit, _)| ns.is_multiple_of(*unit));
    let (unit, name) = unit.copied().unwrap_or((1, "ns"));
    format!("{}{name}", ns / unit)
}

/// Reads it as if it had been typed, so that nothing in a file passes that would not pass there.
fn read_command(words: &[String]) -> Result<BenchArgs, SavedError> {
    let line = ["cloakroom", "bench"].into_iter().chain(words.iter().map(String::as_str));
    match Args::try_parse_from(line) {
        Ok(Args { command: Command::Bench(args) }) if args.pattern.is_some() => Ok(args),
        Ok(_) => Err(SavedError::Command("no pattern".to_owned())),
        Err(refusal) => {
            let reason = refusal.to_string();
            let reason = reason.lines().next().unwrap_or_default();
            Err(SavedError::Command(reason.trim_start_matches("error: ").to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(line: &str) -> Result<Suite, SavedError> {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        Suite::of_saved(&words)
    }

    fn again(saved: &str, line: &str) -> Result<Suite, SavedError> {
        let saved = suite(saved)?.command();
        let words = ["cloakroom", "bench", "--compare", "x"].into_iter();
        match Args::try_parse_from(words.chain(line.split_whitespace())) {
            Ok(Args { command: Command::Bench(args) }) => Suite::again(&saved, &args),
            other => Err(SavedError::Command(format!("{other:?}"))),
        }
    }

    #[test]
    fn the_command_of_a_suite_asks_for_the_same_suite() -> Result<(), SavedError> {
        for line in [
            "hot",
            "all",
            "zipf --skew 1.25 --rate 0.5 --handler 1.5ms --seconds 0.25 --warmup 0.1 --rounds 5",
            "mixed --writes 0.1 --store file:/srv/a --store memory: --sessions 7 --operations 9",
            "ajax --access none --access shared --api bytes --payload 4KiB --clients 3",
            "read-mostly --store map:",
            "churn --store file: --store map: --store memory:",
        ] {
            let asked = suite(line)?;
            let again = suite(&asked.command().join(" "))?;
            assert_eq!(asked.command(), again.command(), "{line}");
            assert_eq!(asked.measurements(), again.measurements());
            asked.check_same(&again)?;
        }
        Ok(())
    }

    #[test]
    fn effort_may_differ_from_the_saved_run_but_not_what_is_measured() -> Result<(), SavedError> {
        let saved = "hot --clients 8 --seconds 2 --handler 1ms";
        assert_eq!(again(saved, "")?.command(), suite(saved)?.command());
        assert_eq!(again(saved, "--rounds 7")?.rounds, 7);
        assert_eq!(again(saved, "--operations 9")?.limit, Limit::Operations(9));
        assert!(again(saved, "hot --clients 8 --handler 1000us").is_ok(), "said, but the same");
        for other in ["--clients 4", "spread", "--payload 1k", "--rate 9", "--access none"] {
            let refused = again(saved, other);
            let named = matches!(
                &refused,
                Err(SavedError::OtherSettings { asked, .. })
                    if asked.split(' ').next() == other.split(' ').next()
            );
            assert!(named, "{other}: {refused:?}");
        }
        Ok(())
    }
}
