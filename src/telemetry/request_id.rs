//! Request ids: unique, cheap, of fixed length, without an allocation.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The longest id that is taken over from a trusted proxy, in bytes.
const LONGEST: usize = 64;

/// The id of one request, as it stands in logs, on pages and in `X-Request-Id`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId {
    bytes: [u8; LONGEST],
    length: u8,
}

impl RequestId {
    /// Takes over the id that a trusted proxy has sent, if it is 1 to 64 of `[A-Za-z0-9._-]`.
    #[must_use]
    pub fn from_proxy(value: &[u8]) -> Option<Self> {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if value.is_empty() || !value.iter().all(allowed) {
            return None;
        }
        let mut bytes = [0; LONGEST];
        bytes.get_mut(..value.len())?.copy_from_slice(value);
        Some(Self { bytes, length: u8::try_from(value.len()).ok()? })
    }

    /// The id: ASCII letters, digits, `.`, `_` and `-` only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.bytes.get(..usize::from(self.length)).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Where request ids come from: a random number of 128 bits per process whose lower half counts up.
///
/// Two processes would have to draw the same upper half to ever meet. An id is no secret: it authorises nothing.
#[derive(Debug)]
pub struct RequestIds {
    upper: u64,
    lower: AtomicU64,
}

impl RequestIds {
    /// Starts counting at 16 random bytes.
    #[must_use]
    pub const fn new(entropy: [u8; 16]) -> Self {
        let start = u128::from_be_bytes(entropy);
        // Both halves are cut to their 64 bits on purpose.
        Self { upper: (start >> 64) as u64, lower: AtomicU64::new(start as u64) }
    }

    /// The next id: 32 hexadecimal digits.
    #[must_use]
    pub fn next(&self) -> RequestId {
        let lower = self.lower.fetch_add(1, Ordering::Relaxed);
        let number = (u128::from(self.upper) << 64) | u128::from(lower);
        let mut bytes = [0; LONGEST];
        for (pair, byte) in bytes.chunks_exact_mut(2).zip(number.to_be_bytes()) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
        }
        RequestId { bytes, length: 32 }
    }
}

const fn digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_hexadecimal_and_all_different() {
        let ids = RequestIds::new([0xff; 16]);
        let drawn: HashSet<String> = (0..10_000).map(|_| ids.next().to_string()).collect();
        assert_eq!(drawn.len(), 10_000);
        assert!(drawn.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
        assert!(drawn.contains("ffffffffffffffffffffffffffffffff"));
        assert!(drawn.contains("ffffffffffffffff0000000000000000"), "the counter wraps");
    }

    #[test]
    fn an_id_of_a_proxy_is_kept_only_if_it_is_harmless() {
        assert_eq!(RequestId::from_proxy(b"a.B_9-").unwrap().as_str(), "a.B_9-");
        assert_eq!(RequestId::from_proxy(&[b'x'; 64]).unwrap().as_str().len(), 64);
        for bad in [&b""[..], &[b'x'; 65], b"a b", b"a\r\nb", b"\"", "é".as_bytes()] {
            assert_eq!(RequestId::from_proxy(bad), None);
        }
    }

    #[test]
    fn an_own_id_would_be_kept_by_another_gateway() {
        let id = RequestIds::new([7; 16]).next();
        assert_eq!(RequestId::from_proxy(id.as_str().as_bytes()), Some(id));
    }
}
