//! What is said on the channel of changes: version 1 ‖ kind 1 ‖ store key 32 ‖ generation 8, big-endian.

use crate::session::store::{Change, ChangeKind};
use crate::session::ticket::StoreKey;

const LENGTH: usize = 42;
const VERSION: u8 = 1;
const CHANGED: u8 = 1;
const REMOVED: u8 = 2;
const LEASE_RELEASED: u8 = 3;

/// The message about a change.
pub(super) fn encode(change: Change) -> Vec<u8> {
    let (kind, generation) = match change.kind {
        ChangeKind::Changed { generation } => (CHANGED, generation),
        ChangeKind::Removed => (REMOVED, 0),
        ChangeKind::LeaseReleased => (LEASE_RELEASED, 0),
    };
    let mut message = Vec::with_capacity(LENGTH);
    message.extend([VERSION, kind]);
    message.extend(change.key.as_bytes());
    message.extend(generation.to_be_bytes());
    message
}

/// The change that a message is about; `None` when it is no message of ours.
pub(super) fn decode(message: &[u8]) -> Option<Change> {
    let (head, rest) = message.split_first_chunk::<2>()?;
    let (key, rest) = rest.split_first_chunk::<32>()?;
    let generation = u64::from_be_bytes(rest.try_into().ok()?);
    let kind = match (head, generation) {
        ([VERSION, CHANGED], generation) => ChangeKind::Changed { generation },
        ([VERSION, REMOVED], 0) => ChangeKind::Removed,
        ([VERSION, LEASE_RELEASED], 0) => ChangeKind::LeaseReleased,
        _ => return None,
    };
    Some(Change { key: StoreKey::of_bytes(*key), kind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_comes_back() {
        for kind in [ChangeKind::Changed { generation: u64::MAX }, ChangeKind::Removed, ChangeKind::LeaseReleased] {
            let change = Change { key: StoreKey::of_bytes([7; 32]), kind };
            assert_eq!(decode(&encode(change)), Some(change));
        }
    }

    #[test]
    fn anything_else_is_not_ours() {
        let good = encode(Change { key: StoreKey::of_bytes([7; 32]), kind: ChangeKind::Removed });
        assert_eq!(decode(&good[..LENGTH - 1]), None);
        assert_eq!(decode(&[&good[..], b"x"].concat()), None);
        for (at, byte) in [(0, 2), (1, 0), (1, 4), (LENGTH - 1, 1)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(decode(&bad), None);
        }
    }

    proptest! {
        #[test]
        fn garbage_is_never_more_than_ignored(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(change) = decode(&bytes) {
                prop_assert_eq!(encode(change), bytes);
            }
        }
    }
}
