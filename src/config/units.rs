//! Durations and sizes carry their units.

use std::time::Duration;

/// Longer than any session, timeout or leeway can sensibly be; adding it to the time cannot overflow.
const LONGEST_SECONDS: u64 = 3650 * 86_400;
const LARGEST_BYTES: u64 = 1 << 40;

/// Why something is no duration or size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidUnit {
    #[error("not a duration: digits and one of s, m, h, d")]
    Duration,
    #[error("longer than ten years")]
    TooLong,
    #[error("not a size: digits and one of B, KiB, MiB, GiB")]
    Size,
    #[error("larger than any limit can be")]
    TooLarge,
}

/// Splits `90s` into 90 and `s`.
fn split(text: &str) -> Option<(Option<u64>, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit())?;
    let (digits, unit) = text.split_at_checked(end)?;
    (!digits.is_empty()).then(|| (digits.parse().ok(), unit))
}

/// Reads `90s`, `30m`, `10h`, `7d`.
pub(super) fn duration(text: &str) -> Result<Duration, InvalidUnit> {
    let (number, unit) = split(text).ok_or(InvalidUnit::Duration)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(InvalidUnit::Duration),
    };
    let seconds = number.and_then(|number| number.checked_mul(factor)).ok_or(InvalidUnit::TooLong)?;
    if seconds > LONGEST_SECONDS { Err(InvalidUnit::TooLong) } else { Ok(Duration::from_secs(seconds)) }
}

/// Reads `512B`, `64KiB`, `1MiB`, `2GiB`.
pub(super) fn size(text: &str) -> Result<usize, InvalidUnit> {
    let (number, unit) = split(text).ok_or(InvalidUnit::Size)?;
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(InvalidUnit::Size),
    };
    let bytes = number.and_then(|number| number.checked_mul(factor)).ok_or(InvalidUnit::TooLarge)?;
    if bytes > LARGEST_BYTES {
        return Err(InvalidUnit::TooLarge);
    }
    usize::try_from(bytes).map_err(|_| InvalidUnit::TooLarge)
}

/// Writes a size as the configuration does.
pub(super) fn size_text(bytes: usize) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        bytes => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("10h", 36_000), ("7d", 604_800), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for (text, bytes) in [("512B", 512), ("64KiB", 65_536), ("1MiB", 1 << 20), ("2GiB", 2 << 30)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert_eq!([size_text(512), size_text(1536), size_text(16 << 10)], ["512B", "1536B", "16KiB"]);
    }

    #[test]
    fn cf_01_and_cf_11_what_is_no_duration() {
        for text in ["", "s", "30", "300x", "-5s", "+5s", "1.5h", "1h30m", " 5s", "5 s", "5S", "5ms", "٣s"] {
            assert_eq!(duration(text), Err(InvalidUnit::Duration), "{text}");
        }
        for text in ["99999999999999999999s", "18446744073709551615d", "3651d"] {
            assert_eq!(duration(text), Err(InvalidUnit::TooLong), "{text}");
        }
    }

    #[test]
    fn what_is_no_size() {
        for text in ["", "64", "64kb", "64 KiB", "-1B", "1.5MiB"] {
            assert_eq!(size(text), Err(InvalidUnit::Size), "{text}");
        }
        assert_eq!(size("99999999999999999999GiB"), Err(InvalidUnit::TooLarge));
        assert_eq!(size("18446744073709551615KiB"), Err(InvalidUnit::TooLarge));
    }
}
