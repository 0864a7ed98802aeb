//! Durations, sizes and figures, as people write and read them.

use std::ops::RangeInclusive;
use std::time::Duration;

use cloakroom::{Timestamp, limits};

/// The longest handler: longer than any lock wait makes no sense.
const HANDLER_MAX: Duration = Duration::from_secs(60);

/// The longest run.
const SECONDS_MAX: f64 = 86_400.0;

/// A thousand years in 30 milliseconds.
const SPEED_MAX: f64 = 1e12;

/// More than any disk, and a whole number still.
const BYTES_MAX: f64 = 1e15;

/// The smallest payload holds the counter.
pub const PAYLOAD_MIN: usize = 8;

/// A duration with its unit: `0`, `100us`, `50ms`, `1.5s`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "" if number == 0.0 => 1.0,
        "" => return Err("the unit is missing; write `50ms`, `100us` or `1s`".to_owned()),
        unit => {
            return Err(format!("unknown unit `{unit}`; write `50ms`, `100us` or `1s`"));
        }
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| "out of range".to_owned())
}

/// The time a handler works.
pub fn parse_handler(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration > HANDLER_MAX {
        return Err(format!("at most {}", human(HANDLER_MAX)));
    }
    Ok(duration)
}

/// A number of seconds, whole or not: `2`, `0.5`.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text.strip_suffix('s').unwrap_or(text))?;
    if !unit.is_empty() {
        return Err(format!("unknown unit `{unit}`; write a number of seconds"));
    }
    if !(0.001..=SECONDS_MAX).contains(&number) {
        return Err(format!("must be between 0.001 and {SECONDS_MAX}"));
    }
    Duration::try_from_secs_f64(number).map_err(|_| "out of range".to_owned())
}

/// A number of seconds to warm up; none is fine.
pub fn parse_warmup(text: &str) -> Result<Duration, String> {
    if matches!(text, "0" | "0s") { Ok(Duration::ZERO) } else { parse_seconds(text) }
}

/// How much more popular some sessions are than others.
pub fn parse_skew(text: &str) -> Result<f64, String> {
    parse_number(text, 0.0..=10.0)
}

/// A part of a hundred: `10`, `0.5`, `10%`.
pub fn parse_percent(text: &str) -> Result<f64, String> {
    parse_number(text.strip_suffix('%').unwrap_or(text), 0.0..=100.0)
}

/// Operations per second: `5000`, `0.5`, `5000/s`.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    parse_number(text.strip_suffix("/s").unwrap_or(text), 0.01..=10_000_000.0)
}

fn parse_number(text: &str, range: RangeInclusive<f64>) -> Result<f64, String> {
    let (number, unit) = split(text)?;
    if !unit.is_empty() {
        return Err(format!("unknown unit `{unit}`; write a number"));
    }
    if !range.contains(&number) {
        return Err(format!("must be between {} and {}", range.start(), range.end()));
    }
    Ok(number)
}

/// How many times faster time runs; `max` is infinite.
pub fn parse_speed(text: &str) -> Result<f64, String> {
    if text == "max" {
        return Ok(f64::INFINITY);
    }
    let number = text.strip_suffix(['x', 'X']).unwrap_or(text).trim().parse();
    let number = number.map_err(|_| "write a number, as `1000`, or `max`".to_owned())?;
    if !(0.01..=SPEED_MAX).contains(&number) {
        return Err(format!("must be `max` or between 0.01 and {SPEED_MAX}"));
    }
    Ok(number)
}

/// A size of a session: `256`, `4KiB`, `1MB`.
pub fn parse_payload(text: &str) -> Result<usize, String> {
    let bytes = bytes(text)?;
    // Room for names and framing of the values, so that any accepted size can be stored.
    let limit = limits::PAYLOAD_MAX - 4096;
    if bytes.fract() != 0.0 || bytes < PAYLOAD_MIN as f64 || bytes > limit as f64 {
        return Err(format!("must be a whole number of bytes from {PAYLOAD_MIN} to {limit}"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, positive and within the limit"
    )]
    Ok(bytes as usize)
}

/// A number of bytes: `512`, `4KiB`, `1.5GB`.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let bytes = bytes(text)?;
    if bytes.fract() != 0.0 || bytes > BYTES_MAX {
        return Err("must be a whole number of bytes, and no more than a disk holds".to_owned());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole, positive and within the limit"
    )]
    Ok(bytes as u64)
}

/// A stretch of time as people name it: `90s`, `12h`, `7d`, `1d 12h`.
pub fn parse_age(text: &str) -> Result<Duration, String> {
    text.parse::<jiff::Span>()
        .and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()))
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "write a number and its unit: `90s`, `12h`, `7d` or `2w`".to_owned())
}

fn bytes(text: &str) -> Result<f64, String> {
    let (number, unit) = split(text)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "kb" => 1_000.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "mb" => 1_000_000.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "gb" => 1_000_000_000.0,
        _ => {
            return Err(format!("unknown unit `{unit}`; write `256`, `4KiB` or `1MB`"));
        }
    };
    Ok(number * factor)
}

fn split(text: &str) -> Result<(f64, &str), String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number.parse().map_err(|_| "must start with a positive number".to_owned())?;
    Ok((number, unit.trim()))
}

/// A duration with three digits and the unit that suits it.
pub fn human(duration: Duration) -> String {
    let ns = duration.as_nanos();
    let seconds = duration.as_secs_f64();
    match ns {
        0 => "0".to_owned(),
        1..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} µs", three_digits(seconds * 1e6)),
        1_000_000..1_000_000_000 => format!("{} ms", three_digits(seconds * 1e3)),
        1_000_000_000..120_000_000_000 => format!("{} s", three_digits(seconds)),
        120_000_000_000..7_200_000_000_000 => format!("{} min", three_digits(seconds / 60.0)),
        _ => format!("{} h", three_digits(seconds / 3_600.0)),
    }
}

/// A stretch of time from seconds to years, in the two units that suit it best.
pub fn human_age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min {} s", seconds % 60),
        3_600..86_400 => format!("{hours} h {minutes} min"),
        86_400..8_640_000 => format!("{days} d {hours} h"),
        _ => format!("{} d", grouped(days)),
    }
}

/// A number of bytes with three digits and the unit that suits it.
pub fn human_bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut number = bytes as f64;
    let mut unit = 0;
    while number >= 999.5 && unit + 1 < units.len() {
        number /= 1024.0;
        unit += 1;
    }
    match units.get(unit) {
        Some(unit) if bytes >= 1_000 => format!("{} {unit}", three_digits(number)),
        _ => format!("{bytes} B"),
    }
}

fn three_digits(number: f64) -> String {
    match number {
        ..9.995 => format!("{number:.2}"),
        ..99.95 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

/// A whole number with its thousands separated.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part of one in hundredths.
pub fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

/// So many of something.
pub fn counted(number: impl Into<u64>, one: &str, many: &str) -> String {
    let number = number.into();
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// A time of day in UTC, or the number if no calendar has it.
pub fn date(time: Timestamp) -> String {
    i64::try_from(time.as_millis())
        .ok()
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
        .map_or_else(|| time.to_string(), |time| format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_unless_they_are_zero() {
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("100us"), Ok(Duration::from_micros(100)));
        assert_eq!(parse_duration("1.5 s"), Ok(Duration::from_millis(1_500)));
        assert!(parse_duration("50").is_err_and(|e| e.contains("unit is missing")));
        assert!(parse_duration("50 parsecs").is_err_and(|e| e.contains("unknown unit `parsecs`")));
        for nonsense in ["", "ms", "-5ms", "1.2.3s", "∞"] {
            assert!(parse_duration(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn absurd_numbers_are_refused_and_do_not_overflow() {
        let digits = "9".repeat(400);
        assert!(parse_duration(&format!("{digits}s")).is_err());
        assert!(parse_seconds(&digits).is_err());
        assert!(parse_payload(&digits).is_err());
        assert!(parse_speed(&digits).is_err());
        assert!(parse_handler("61s").is_err());
    }

    #[test]
    fn speeds_are_numbers_or_as_fast_as_it_goes() {
        assert_eq!(parse_speed("5"), Ok(5.0));
        assert_eq!(parse_speed("2.5x"), Ok(2.5));
        assert_eq!(parse_speed("1e9"), Ok(1e9));
        assert_eq!(parse_speed("max"), Ok(f64::INFINITY));
        for nonsense in ["", "x", "-1", "0", "inf", "nan", "1e300", "5 min"] {
            assert!(parse_speed(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn sizes_are_whole_bytes() {
        assert_eq!(parse_payload("256"), Ok(256));
        assert_eq!(parse_payload("4KiB"), Ok(4_096));
        assert_eq!(parse_payload("1.5kB"), Ok(1_500));
        assert!(parse_payload("0.5").is_err());
        assert!(parse_payload("7").is_err());
        assert!(parse_payload("1TB").is_err_and(|e| e.contains("unknown unit `TB`")));
    }

    #[test]
    fn shares_rates_and_skews_have_bounds() {
        assert_eq!(parse_percent("10"), Ok(10.0));
        assert_eq!(parse_percent("0.5%"), Ok(0.5));
        assert_eq!(parse_rate("5000/s"), Ok(5_000.0));
        assert_eq!(parse_skew("0"), Ok(0.0));
        assert_eq!(parse_warmup("0"), Ok(Duration::ZERO));
        for (refused, bound) in [
            (parse_percent("101"), "100"),
            (parse_percent("ten"), "number"),
            (parse_rate("0"), "0.01"),
            (parse_rate("5000/min"), "unknown unit"),
            (parse_skew("11"), "10"),
            (parse_skew("-1"), "number"),
        ] {
            assert!(refused.as_ref().is_err_and(|error| error.contains(bound)), "{refused:?}");
        }
    }

    #[test]
    fn ages_are_written_as_people_say_them() {
        assert_eq!(parse_age("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_age("7d"), Ok(Duration::from_secs(7 * 86_400)));
        assert_eq!(parse_age("2w"), Ok(Duration::from_secs(14 * 86_400)));
        assert_eq!(parse_age("1d 12h"), Ok(Duration::from_secs(36 * 3_600)));
        for nonsense in ["", "7", "d", "-7d", "7 parsecs", "∞", "999999999999999999999d"] {
            assert!(parse_age(nonsense).is_err(), "{nonsense}");
        }
        assert_eq!(human_age(Duration::from_millis(59_999)), "59 s");
        assert_eq!(human_age(Duration::from_secs(125)), "2 min 5 s");
        assert_eq!(human_age(Duration::from_secs(86_399)), "23 h 59 min");
        assert_eq!(human_age(Duration::from_secs(90_000)), "1 d 1 h");
        assert_eq!(human_age(Duration::from_secs(u64::MAX)), "213,503,982,334,601 d");
    }

    #[test]
    fn bytes_are_written_as_people_say_them() {
        assert_eq!(parse_bytes("0"), Ok(0));
        assert_eq!(parse_bytes("2GiB"), Ok(2 << 30));
        assert!(parse_bytes("-1").is_err() && parse_bytes("1TB").is_err());
        assert!(parse_bytes("9999999999999999GB").is_err());
        assert_eq!(human_bytes(0), "0 B");
        assert_eq!(human_bytes(999), "999 B");
        assert_eq!(human_bytes(1_023), "1.00 KiB");
        assert_eq!(human_bytes(1_536), "1.50 KiB");
        assert_eq!(human_bytes(1_047_553), "1.00 MiB");
        assert_eq!(human_bytes(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn figures_read_well() {
        assert_eq!(human(Duration::from_nanos(850)), "850 ns");
        assert_eq!(human(Duration::from_nanos(12_340)), "12.3 µs");
        assert_eq!(human(Duration::from_micros(1_234_567)), "1.23 s");
        assert_eq!(human(Duration::from_secs(125)), "2.08 min");
        assert_eq!(human(Duration::from_secs(86_400)), "24.0 h");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
        assert_eq!(counted(1_u32, "page", "pages"), "1 page");
        assert_eq!(counted(2_000_u32, "page", "pages"), "2,000 pages");
    }
}
