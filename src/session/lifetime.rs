//! When a session has ended by time, when its use is written down, and when its tokens are refreshed. All pure.

use std::time::Duration;

use crate::clock::Timestamp;

/// A session that was created later than now by more than this was created under a wrong clock. Up to this much, a
/// clock that is set back ends nobody's session.
const CLOCK_SLACK: Duration = Duration::from_secs(3600);

/// How long a lease on a refresh is held at most; the token call has 10 seconds of it.
pub const LEASE_LIFETIME: Duration = Duration::from_secs(15);

/// How long a session that has been stepped up from serves requests that were under way.
pub const SUPERSEDED_LIFETIME: Duration = Duration::from_secs(10);

/// How long it is remembered that a session has ended.
pub const TOMBSTONE_LIFETIME: Duration = Duration::from_secs(300);

/// What time says about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Within both limits.
    Live,
    /// Past its absolute limit, or from a future that cannot be.
    Expired,
    /// Not used for too long.
    Idle,
}

/// Judges a session by wall-clock time. Activity never extends the absolute limit.
#[must_use]
pub fn verdict(
    now: Timestamp,
    created: Timestamp,
    absolute_expiry: Timestamp,
    last_touch: Timestamp,
    idle: Duration,
) -> Verdict {
    if now >= absolute_expiry || created > now.plus(CLOCK_SLACK) {
        Verdict::Expired
    } else if now >= last_touch.plus(idle) {
        Verdict::Idle
    } else {
        Verdict::Live
    }
}

/// When the store may forget a session: min(absolute expiry, last use + idle limit).
#[must_use]
pub fn store_expiry(absolute_expiry: Timestamp, last_touch: Timestamp, idle: Duration) -> Timestamp {
    absolute_expiry.min(last_touch.plus(idle))
}

/// How seldom use is written down: min(60 s, idle limit / 10).
#[must_use]
pub fn touch_interval(idle: Duration) -> Duration {
    Duration::from_secs(60).min(idle / 10)
}

/// Whether this use is to be written down. A last use that lies ahead was written under a clock that has been set
/// back; left alone it would keep the session alive for longer than the idle limit.
#[must_use]
pub fn touch_due(now: Timestamp, last_touch: Timestamp, idle: Duration) -> bool {
    now.since(last_touch) >= touch_interval(idle).max(Duration::from_secs(1))
        || last_touch > now.plus(Duration::from_secs(1))
}

/// How long before its expiry an access token is refreshed: min(max(60 s, 20 % of its lifetime), half of it), moved by
/// up to ±10 % so that sessions that began together do not refresh together. `jitter` 0 is −10 %, 255 is +10 %.
#[must_use]
pub fn refresh_margin(lifetime: Duration, jitter: u8) -> Duration {
    let margin = Duration::from_secs(60).max(lifetime / 5).min(lifetime / 2);
    margin / 2550 * (2295 + 2 * u32::from(jitter))
}

/// How far an access token has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It serves, and there is nothing to do.
    Fresh,
    /// It still serves, and is to be refreshed.
    Due,
    /// It serves no longer.
    RunOut,
}

/// When an access token obtained and expiring at these times is to be refreshed.
#[must_use]
pub fn refresh_at(obtained: Timestamp, expires: Timestamp, jitter: u8) -> Timestamp {
    expires.minus(refresh_margin(expires.since(obtained), jitter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn ck_13_limits_are_reached_on_the_second() {
        let judge = |now, touched| verdict(at(now), at(0), at(36_000), at(touched), HOUR);
        assert_eq!(judge(3_599, 0), Verdict::Live);
        assert_eq!(judge(3_600, 0), Verdict::Idle);
        assert_eq!(judge(35_999, 35_999), Verdict::Live);
        assert_eq!(judge(36_000, 35_999), Verdict::Expired);
        assert_eq!(judge(36_000, u64::MAX), Verdict::Expired);
    }

    #[test]
    fn ck_13_store_expiry_never_passes_the_absolute_limit() {
        assert_eq!(store_expiry(at(36_000), at(100), HOUR), at(3_700));
        assert_eq!(store_expiry(at(36_000), at(35_000), HOUR), at(36_000));
        assert_eq!(store_expiry(at(36_000), Timestamp::MAX, HOUR), at(36_000));
    }

    #[test]
    fn ss_08_a_session_of_an_impossible_future_is_expired() {
        const FIFTY_YEARS: u64 = 50 * 365 * 86_400;
        let judge = |now, created: u64| verdict(at(now), at(created), at(created + 36_000), at(created), HOUR);
        let now = 1_800_000_000;
        assert_eq!(judge(now, now + FIFTY_YEARS), Verdict::Expired);
        assert_eq!(judge(now + FIFTY_YEARS, now), Verdict::Expired);
        assert_eq!(judge(now, now + 3_600), Verdict::Live, "an hour back is a clock being put right");
        assert_eq!(judge(now, now + 3_601), Verdict::Expired);
        assert_eq!(judge(now + 3_600, now), Verdict::Idle);
    }

    #[test]
    fn ss_09_years_past_2038_and_2106_are_numbers_like_any_other() {
        for created in [(1 << 31) - 10, (1 << 32) - 10, 1 << 40] {
            let judge = |now| verdict(at(now), at(created), at(created + 36_000), at(created), HOUR);
            assert_eq!(judge(created + 20), Verdict::Live);
            assert_eq!(judge(created + 36_000), Verdict::Expired);
        }
        assert_eq!(verdict(Timestamp::MAX, at(0), Timestamp::MAX, Timestamp::MAX, HOUR), Verdict::Expired);
    }

    #[test]
    fn use_is_written_down_at_most_once_per_interval() {
        assert_eq!(touch_interval(HOUR), Duration::from_secs(60));
        assert_eq!(touch_interval(Duration::from_secs(300)), Duration::from_secs(30));
        assert!(!touch_due(at(1_059), at(1_000), HOUR));
        assert!(touch_due(at(1_060), at(1_000), HOUR));
        assert!(!touch_due(at(1_000), at(1_000), Duration::from_secs(5)));
    }

    #[test]
    fn ck_13_a_last_use_that_lies_ahead_is_put_right() {
        assert!(touch_due(at(1_000), at(4_600), HOUR));
        assert!(!touch_due(at(1_000), at(1_001), HOUR));
    }

    #[test]
    fn margins_follow_the_lifetime() {
        let margin = |lifetime| refresh_margin(Duration::from_secs(lifetime), 127).as_secs_f64().round();
        assert!((margin(3_600) - 719.0).abs() < 2.0);
        assert!((margin(300) - 60.0).abs() < 1.0);
        assert!((margin(60) - 30.0).abs() < 1.0);
        assert!(margin(0).abs() < f64::EPSILON);
        assert_eq!(refresh_margin(Duration::from_secs(2_550), 0), Duration::from_secs(459));
        assert_eq!(refresh_margin(Duration::from_secs(2_550), 255), Duration::from_secs(561));
    }

    #[test]
    fn a_token_is_due_within_its_margin() {
        let due = |now, obtained, expires, jitter| at(now) >= refresh_at(at(obtained), at(expires), jitter);
        assert!(!due(1_000, 1_000, 4_600, 255));
        assert!(!due(3_800, 1_000, 4_600, 0));
        assert!(due(3_960, 1_000, 4_600, 0));
        assert!(due(4_600, 1_000, 4_600, 0));
        assert!(due(10, 20, 5, 0), "an expiry before its beginning is past");
    }

    proptest! {
        #[test]
        fn ss_08_no_clock_makes_the_rules_panic_or_a_session_immortal(
            now in any::<u64>(), created in any::<u64>(), lifetime in 0_u64..1 << 40, touched in any::<u64>(),
            idle in 0_u64..1 << 40, jitter in any::<u8>(),
        ) {
            let expiry = at(created).plus(Duration::from_secs(lifetime));
            let idle = Duration::from_secs(idle);
            let verdict = verdict(at(now), at(created), expiry, at(touched), idle);
            if verdict == Verdict::Live {
                prop_assert!(expiry.since(at(now)) <= Duration::from_secs(lifetime) + CLOCK_SLACK);
            }
            let _ = touch_due(at(now), at(touched), idle);
            prop_assert!(refresh_at(at(touched), expiry, jitter) <= expiry);
            prop_assert!(store_expiry(expiry, at(touched), idle) <= expiry);
        }
    }
}
