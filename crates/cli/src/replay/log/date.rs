//! Dates as servers write them: `17/May/2015:10:05:03 +0000`.

use jiff::civil;
use jiff::tz::Offset;

use super::line::Malformed;

/// Reads dates. A log has many of the same day, so the last day is remembered.
#[derive(Debug, Default)]
pub struct Dates {
    last: Option<(Day, i64)>,
}

/// A day as it is written.
type Day = [u8; 11];

impl Dates {
    /// Reads a date behind its opening bracket: microseconds since 1970, and what follows the
    /// closing bracket. Seconds may have a fraction.
    pub fn read<'a>(&mut self, text: &'a [u8]) -> Result<(i64, &'a [u8]), Malformed> {
        let (day, text) = text.split_first_chunk().ok_or(Malformed::Date)?;
        let midnight = self.midnight(day)?;
        let (time, text) = time_of_day(text).ok_or(Malformed::Date)?;
        let (fraction, text) = fraction(text);
        let (east, text) = offset(text).ok_or(Malformed::Date)?;
        Ok(((midnight + time - east) * 1_000_000 + fraction, text))
    }

    /// The second in which a day begins.
    fn midnight(&mut self, day: &Day) -> Result<i64, Malformed> {
        match self.last {
            Some((last, midnight)) if last == *day => Ok(midnight),
            _ => {
                let midnight = midnight(day)?;
                self.last = Some((*day, midnight));
                Ok(midnight)
            }
        }
    }
}

fn midnight(day: &Day) -> Result<i64, Malformed> {
    let [d1, d2, b'/', m1, m2, m3, b'/', y1, y2, y3, y4] = *day else {
        // With a month in another language the slashes are elsewhere, too.
        let slashes = day.iter().filter(|byte| **byte == b'/').count();
        let is_day = day.first_chunk().is_some_and(|[d1, d2]| number([*d1, *d2]).is_some());
        return Err(if is_day && slashes > 0 { Malformed::Month } else { Malformed::Date });
    };
    let month = MONTHS.iter().zip(1..).find(|(name, _)| ***name == [m1, m2, m3]);
    let (_, month) = month.ok_or(Malformed::Month)?;
    let parts = number([d1, d2]).zip(number([y1, y2])).zip(number([y3, y4]));
    parts
        .and_then(|((day, century), year)| {
            let year = i16::try_from(century * 100 + year).ok()?;
            let date = civil::Date::new(year, month, i8::try_from(day).ok()?).ok()?;
            Some(
                Offset::UTC
                    .to_timestamp(date.to_datetime(civil::Time::midnight()))
                    .ok()?
                    .as_second(),
            )
        })
        .ok_or(Malformed::Date)
}

/// `:10:05:03` in seconds. A minute may have a leap second.
fn time_of_day(text: &[u8]) -> Option<(i64, &[u8])> {
    let ([b':', h1, h2, b':', m1, m2, b':', s1, s2], text) = text.split_first_chunk()? else {
        return None;
    };
    let (hour, minute, second) = (number([*h1, *h2])?, number([*m1, *m2])?, number([*s1, *s2])?);
    let is_time = hour < 24 && minute < 60 && second <= 60;
    is_time.then_some((hour * 3_600 + minute * 60 + second, text))
}

/// `.123` in microseconds; zero if there is none.
fn fraction(text: &[u8]) -> (i64, &[u8]) {
    let Some(digits) = text.strip_prefix(b".").or_else(|| text.strip_prefix(b",")) else {
        return (0, text);
    };
    let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end).unwrap_or((digits, &[]));
    let digits = digits.iter().copied().chain(std::iter::repeat(b'0')).take(6);
    (digits.fold(0, |us, digit| us * 10 + i64::from(digit - b'0')), rest)
}

/// ` +0200]` in seconds east of Greenwich.
fn offset(text: &[u8]) -> Option<(i64, &[u8])> {
    let ([b' ', sign, h1, h2, m1, m2, b']'], text) = text.split_first_chunk()? else {
        return None;
    };
    let seconds = number([*h1, *h2])? * 3_600 + number([*m1, *m2])? * 60;
    match sign {
        b'+' => Some((seconds, text)),
        b'-' => Some((-seconds, text)),
        _ => None,
    }
}

/// Two digits.
fn number(digits: [u8; 2]) -> Option<i64> {
    let [tens, ones] = digits.map(|digit| i64::from(digit.wrapping_sub(b'0')));
    (tens < 10 && ones < 10).then_some(tens * 10 + ones)
}

const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<i64, Malformed> {
        Dates::default().read(text.as_bytes()).map(|(us, _)| us)
    }

    #[test]
    fn dates_are_read_in_any_offset_and_with_any_fraction() {
        let may = 1_431_857_103_000_000;
        assert_eq!(read("17/May/2015:10:05:03 +0000]"), Ok(may));
        assert_eq!(read("17/May/2015:15:35:03 +0530]"), Ok(may));
        assert_eq!(read("16/May/2015:23:05:03 -1100]"), Ok(may));
        assert_eq!(read("17/May/2015:10:05:03.25 +0000]"), Ok(may + 250_000));
        assert_eq!(read("17/May/2015:10:05:03.123456789 +0000]"), Ok(may + 123_456));
        assert_eq!(read("29/Feb/2024:23:59:60 +0000]"), Ok(1_709_251_200_000_000));
        assert_eq!(read("01/Jan/1970:00:00:00 +0000]"), Ok(0));
        assert!(read("30/Dec/9999:23:59:59 +0000]").is_ok());
        assert!(read("01/Jan/0000:00:00:00 +0000]").is_ok());
    }

    #[test]
    fn what_follows_the_bracket_is_given_back() {
        let read = Dates::default().read(b"17/May/2015:10:05:03 +0000] rest").map(|(_, rest)| rest);
        assert_eq!(read, Ok(&b" rest"[..]));
    }

    #[test]
    fn the_day_that_is_remembered_is_the_last_one() {
        let mut dates = Dates::default();
        let mut read = |text: &str| dates.read(text.as_bytes()).map(|(us, _)| us);
        let first = read("17/May/2015:00:00:00 +0000]");
        let next = read("18/May/2015:00:00:00 +0000]");
        assert_eq!(next, first.map(|us| us + 86_400_000_000));
        assert_eq!(read("17/May/2015:00:00:00 +0000]"), first);
    }

    #[test]
    fn days_that_do_not_exist_and_other_formats_are_no_dates() {
        for text in [
            "",
            "30/Feb/2015:10:05:03 +0000]",
            "00/May/2015:10:05:03 +0000]",
            "17/May/2015:24:00:00 +0000]",
            "17/May/2015:10:60:00 +0000]",
            "17/May/2015:10:05:03]",
            "17/May/2015:10:05:03 0000]",
            "17/May/2015:10:05:03 +0000",
            "1x/May/2015:10:05:03 +0000]",
            "2015-05-17T10:05:03+00:00]",
            "Sun May 17 10:05:03.123456 2015]",
        ] {
            assert_eq!(read(text), Err(Malformed::Date), "{text}");
        }
    }

    #[test]
    fn months_in_other_languages_are_named_as_the_reason() {
        for text in [
            "17/Mai/2015:10:05:03 +0200]",
            "17/Mär/2015:10:05:03 +0100]",
            "17/may/2015:10:05:03 +0100]",
            "17/5月/2015:10:05:03 +0900]",
            "17/05/2015:10:05:03 +0000]",
        ] {
            assert_eq!(read(text), Err(Malformed::Month), "{text}");
        }
    }
}
