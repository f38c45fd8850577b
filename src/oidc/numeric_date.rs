//! `NumericDate` (RFC 7519 §2): a JSON number, nothing that merely looks like one.

use serde_json::Value;

use crate::clock::Timestamp;

/// The end of the year 9999; nobody's token means a time after it.
const LATEST: u64 = 253_402_300_799;

/// Reads a point in time, in whole seconds; fractions are cut off.
///
/// `None` for strings, negative numbers and anything outside the years 1970 to 9999.
#[must_use]
pub fn read(value: &Value) -> Option<Timestamp> {
    let number = value.as_number()?;
    let seconds = match number.as_u64() {
        Some(seconds) => seconds,
        None => whole(number.as_f64()?)?,
    };
    (seconds <= LATEST).then(|| Timestamp::from_seconds(seconds))
}

/// The whole part of a number that is finite, not negative and small enough to be exact.
#[must_use]
pub fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let in_range = number.is_finite() && (0.0..EXACT).contains(&number);
    // The range has been checked, so the conversion neither wraps nor loses anything but the fraction.
    in_range.then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn jw_19_only_json_numbers_in_a_sane_range_are_times() {
        assert_eq!(read(&json!(1_700_000_000)), Some(Timestamp::from_seconds(1_700_000_000)));
        assert_eq!(read(&json!(1_700_000_000.9)), Some(Timestamp::from_seconds(1_700_000_000)));
        for bad in [json!("9999999999"), json!(null), json!(-1), json!(1e300), json!(u64::MAX), json!([1]), json!(-0.5)]
        {
            assert_eq!(read(&bad), None, "{bad}");
        }
    }
}
