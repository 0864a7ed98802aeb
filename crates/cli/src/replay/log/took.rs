//! How long the server took, as lines say at their ends: Apache's `%D` is a whole number of
//! microseconds, nginx's `$request_time` is seconds with decimals.

use std::time::Duration;

use clap::ValueEnum;

use super::fields::{Field, Fields};

/// What a whole number at the end of a line counts, where it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TimeUnit {
    /// Microseconds, as %D and %{us}T
    Us,
    /// Milliseconds, as %{ms}T
    Ms,
    /// Seconds, as %T
    S,
}

/// How long the server took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    /// So long.
    pub time: Duration,
    /// Whether the date of the line is the end of the request. nginx dates a line when it is
    /// written, Apache when the request came in.
    pub dated_at_end: bool,
}

impl Took {
    /// Looks for the time among the fields of a line. Seconds with decimals come before whole
    /// numbers. A whole number counts only if it is alone, for sizes are whole numbers, too; or
    /// the last if its unit is told.
    pub fn find(fields: Fields<'_>, unit: Option<TimeUnit>) -> Option<Self> {
        let (mut last, mut wholes) = (0, 0);
        for field in fields {
            match number_in(field) {
                Some(Number::Decimal(time)) if unit.is_none() => {
                    return Some(Self { time, dated_at_end: true });
                }
                Some(Number::Whole(number)) => (last, wholes) = (number, wholes + 1),
                _ => {}
            }
        }
        if wholes == 0 || wholes > 1 && unit.is_none() {
            return None;
        }
        let time = match unit {
            None | Some(TimeUnit::Us) => Duration::from_micros(last),
            Some(TimeUnit::Ms) => Duration::from_millis(last),
            Some(TimeUnit::S) => Duration::from_secs(last),
        };
        (time <= TIME_MAX).then_some(Self { time, dated_at_end: false })
    }
}

enum Number {
    Whole(u64),
    Decimal(Duration),
}

/// The number in a field as `12345`, `0.012`, `rt=0.012` or, for `%T/%D`, `0/12345`.
fn number_in(field: Field<'_>) -> Option<Number> {
    let Field::Bare(text) = field else { return None };
    let text = text.rsplit(|byte| matches!(byte, b'=' | b'/')).next()?;
    if text.first().is_none_or(|first| !first.is_ascii_digit()) {
        return None;
    }
    let mut whole = 0_u64;
    let mut digits = text.iter();
    for digit in &mut digits {
        match digit {
            b'0'..=b'9' => whole = whole.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?,
            b'.' => return decimal(whole, digits.as_slice()),
            _ => return None,
        }
    }
    Some(Number::Whole(whole))
}

/// The number of these whole seconds and these decimals.
fn decimal(seconds: u64, decimals: &[u8]) -> Option<Number> {
    if decimals.is_empty() || !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let decimals = decimals.iter().copied().chain(std::iter::repeat(b'0')).take(6);
    let micros = decimals.fold(0, |us, digit| us * 10 + u64::from(digit - b'0'));
    let time = Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros));
    // A larger number is something else, as the seconds since 1970.
    (time <= TIME_MAX).then_some(Number::Decimal(time))
}

/// No request takes longer.
const TIME_MAX: Duration = Duration::from_secs(7 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Option<u128> {
        Took::find(Fields::new(text.as_bytes()), None).map(|took| took.time.as_micros())
    }

    fn told(text: &str, unit: TimeUnit) -> Option<u128> {
        Took::find(Fields::new(text.as_bytes()), Some(unit)).map(|took| took.time.as_micros())
    }

    #[test]
    fn a_whole_number_is_microseconds_and_decimals_are_seconds() {
        assert_eq!(micros(r#" "-" "Agent/1.0" 12345"#), Some(12_345));
        assert_eq!(micros(r#" "-" "Agent/1.0" 0.012"#), Some(12_000));
        assert_eq!(micros(r#" "-" "Agent/1.0" 0/12345"#), Some(12_345));
        assert_eq!(micros(r#" "-" "Agent/1.0" "-" rt=1.5 uct="0.1" urt="0.2""#), Some(1_500_000));
        assert_eq!(micros(" 12345"), Some(12_345));
        assert_eq!(micros(r#" 77 "-" "Agent/1.0""#), Some(77));
        assert_eq!(micros(r#" "-" "Agent/1.0" 0.0000019"#), Some(1));
    }

    #[test]
    fn only_lines_with_decimals_are_dated_at_the_end() {
        let at_end = |text: &str| {
            Took::find(Fields::new(text.as_bytes()), None).map(|took| took.dated_at_end)
        };
        assert_eq!(at_end(" 0.012"), Some(true));
        assert_eq!(at_end(" 12000"), Some(false));
    }

    #[test]
    fn sizes_beside_the_time_do_not_take_its_place() {
        let ingress = r#" "-" "Agent/1.0" 439 0.004 [shop-80] [] 192.0.2.7:8080 52 0.003 200 f00d"#;
        assert_eq!(micros(ingress), Some(4_000));
        let sizes_only = r#" "-" "Agent/1.0" 439 2100"#;
        assert_eq!(micros(sizes_only), None);
        assert_eq!(told(r#" "-" "Agent/1.0" 439 2100 31"#, TimeUnit::Us), Some(31));
        assert_eq!(told(r#" "-" "Agent/1.0" 31"#, TimeUnit::Ms), Some(31_000));
        assert_eq!(told(r#" "-" "Agent/1.0" 2"#, TimeUnit::S), Some(2_000_000));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            r#" "-" "Agent/1.0""#,
            r#" "-" "Agent/1.0" -"#,
            r#" "-" "Agent/1.0" "0.5""#,
            " 192.0.2.7",
            " 1431857103.123",
            " .5 5. 1e3 -3 0x10 12ms",
            " 99999999999999999999999999",
            " 99999999999999999.5",
            " 18446744073709551615",
        ] {
            assert_eq!(micros(text), None, "{text}");
        }
        assert_eq!(told(" 18446744073709551615", TimeUnit::S), None);
    }
}
