//! The one way bytes are joined before they are hashed or authenticated: each part after its length.
//!
//! Without the lengths `("ab", "c")` and `("a", "bc")` would be the same bytes, and one could pass for the other.

/// Joins `parts`: for each its length in 4 bytes, big-endian, then its bytes.
pub(super) fn tlv(parts: &[&[u8]]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        // No part comes near 4 GiB: all of them are bounded long before they get here.
        joined.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        joined.extend_from_slice(part);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_come_first_and_are_big_endian() {
        assert_eq!(tlv(&[b"ab", b"", b"c"]), b"\x00\x00\x00\x02ab\x00\x00\x00\x00\x00\x00\x00\x01c");
        assert_eq!(tlv(&[]), b"");
    }

    #[test]
    fn cr_06_moving_bytes_between_parts_changes_the_result() {
        assert_ne!(tlv(&[b"ab", b"c"]), tlv(&[b"a", b"bc"]));
        assert_ne!(tlv(&[b"a", b""]), tlv(&[b"a"]));
    }

    proptest! {
        #[test]
        fn cr_06_different_parts_never_give_the_same_bytes(
            left in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..5),
            right in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..5),
        ) {
            let of = |parts: &[Vec<u8>]| tlv(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert_eq!(of(&left) == of(&right), left == right);
        }
    }
}
