//! What Redis answers, read strictly: whoever can write there may have put anything.

use std::str::FromStr;
use std::sync::Arc;

use redis::Value;

use super::failure::Failure;
use super::scripts::LONGEST;
use crate::clock::Timestamp;
use crate::session::store::{ListedSession, SealedSession, StoredSession};
use crate::session::ticket::StoreKey;

/// A number that a script has returned.
pub(super) const fn number(answer: &Value) -> Result<i64, Failure> {
    match answer {
        Value::Int(number) => Ok(*number),
        _ => Err(Failure::Malformed),
    }
}

/// Whether `SET … NX` has set it.
pub(super) const fn is_set(answer: &Value) -> Result<bool, Failure> {
    match answer {
        Value::Okay => Ok(true),
        Value::Nil => Ok(false),
        _ => Err(Failure::Malformed),
    }
}

/// The fields of a session, in the order in which they are asked for; `None` when none of them is there.
pub(super) fn session(answer: Value) -> Result<Option<StoredSession>, Failure> {
    let Value::Array(fields) = answer else { return Err(Failure::Malformed) };
    if fields.iter().all(|field| matches!(field, Value::Nil)) {
        return Ok(None);
    }
    let fields: [Value; 5] = fields.try_into().map_err(|_| Failure::Malformed)?;
    let [record, card, generation, absolute_expiry, last_use] = fields;
    let (record, card) = (bytes(record)?, bytes(card)?);
    if record.len() + card.len() > LONGEST {
        return Err(Failure::Malformed);
    }
    let sealed = SealedSession {
        record,
        card,
        generation: decimal(generation)?,
        absolute_expiry: Timestamp::from_seconds(decimal(absolute_expiry)?),
    };
    Ok(Some(StoredSession { sealed, last_use: Timestamp::from_seconds(decimal(last_use)?) }))
}

/// What a list tells of a session; `None` when there is nothing of it.
pub(super) fn listed(key: StoreKey, answer: Value) -> Result<Option<ListedSession>, Failure> {
    let Value::Array(fields) = answer else { return Err(Failure::Malformed) };
    if fields.iter().all(|field| matches!(field, Value::Nil)) {
        return Ok(None);
    }
    let [card, absolute_expiry, last_use]: [Value; 3] = fields.try_into().map_err(|_| Failure::Malformed)?;
    let card = bytes(card)?;
    if card.len() > LONGEST {
        return Err(Failure::Malformed);
    }
    let (absolute_expiry, last_use) = (decimal(absolute_expiry)?, decimal(last_use)?);
    let (absolute_expiry, last_use) = (Timestamp::from_seconds(absolute_expiry), Timestamp::from_seconds(last_use));
    Ok(Some(ListedSession { key, card, absolute_expiry, last_use }))
}

/// A point in time, if one is there.
pub(super) fn time(answer: Value) -> Result<Option<Timestamp>, Failure> {
    match answer {
        Value::Nil => Ok(None),
        there => decimal(there).map(|seconds| Some(Timestamp::from_seconds(seconds))),
    }
}

/// Store keys; what is none is left out, because nobody can be ended by it.
pub(super) fn keys(answer: Value) -> Result<Vec<StoreKey>, Failure> {
    let Value::Array(members) = answer else { return Err(Failure::Malformed) };
    Ok(members.iter().filter_map(key).collect())
}

/// A page of the list of all: where the next one begins, and the keys on this one, between which scores stand.
pub(super) fn page(answer: Value) -> Result<(u64, Vec<StoreKey>), Failure> {
    let Value::Array(parts) = answer else { return Err(Failure::Malformed) };
    let [cursor, Value::Array(members)]: [Value; 2] = parts.try_into().map_err(|_| Failure::Malformed)? else {
        return Err(Failure::Malformed);
    };
    Ok((decimal(cursor)?, members.iter().step_by(2).filter_map(key).collect()))
}

fn key(member: &Value) -> Option<StoreKey> {
    let Value::BulkString(bytes) = member else { return None };
    bytes.as_slice().try_into().ok().map(StoreKey::of_bytes)
}

fn bytes(value: Value) -> Result<Arc<[u8]>, Failure> {
    match value {
        Value::BulkString(bytes) => Ok(bytes.into()),
        _ => Err(Failure::Malformed),
    }
}

fn decimal(value: Value) -> Result<u64, Failure> {
    let Value::BulkString(digits) = value else { return Err(Failure::Malformed) };
    let digits = std::str::from_utf8(&digits).map_err(|_| Failure::Malformed)?;
    u64::from_str(digits).map_err(|_| Failure::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &[u8]) -> Value {
        Value::BulkString(bytes.to_vec())
    }

    fn fields() -> Vec<Value> {
        vec![text(b"record"), text(b"card"), text(b"7"), text(b"1800000000"), text(b"1700000000")]
    }

    #[test]
    fn a_session_is_read() {
        let stored = session(Value::Array(fields())).unwrap().unwrap();
        assert_eq!((stored.sealed.generation, stored.last_use), (7, Timestamp::from_seconds(1_700_000_000)));
        assert_eq!(session(Value::Array(vec![Value::Nil; 5])).unwrap(), None);
    }

    #[test]
    fn ss_03_what_is_no_session_is_an_error_and_not_an_absence() {
        for place in 0..5 {
            for wrong in [Value::Nil, Value::Int(7), Value::Array(vec![]), Value::SimpleString("7".into())] {
                let mut garbage = fields();
                garbage[place] = wrong;
                assert!(matches!(session(Value::Array(garbage)), Err(Failure::Malformed)));
            }
        }
        for number in [&b""[..], b"-1", b"1.5", b"1e3", b" 1", b"18446744073709551616", b"\xff"] {
            let mut garbage = fields();
            garbage[2] = text(number);
            assert!(matches!(session(Value::Array(garbage)), Err(Failure::Malformed)), "{number:?}");
        }
        let mut huge = fields();
        huge[0] = text(&vec![0; LONGEST]);
        assert!(session(Value::Array(huge)).is_err());
        assert!(session(Value::Nil).is_err() && session(Value::Array(vec![text(b"x")])).is_err());
    }

    #[test]
    fn ss_03_what_is_no_card_is_an_error_and_not_an_absence() {
        let fields = || vec![text(b"card"), text(b"1800000000"), text(b"1700000000")];
        let key = StoreKey::of_bytes([1; 32]);
        let there = listed(key, Value::Array(fields())).unwrap().unwrap();
        assert_eq!((&*there.card, there.last_use), (&b"card"[..], Timestamp::from_seconds(1_700_000_000)));
        assert_eq!(listed(key, Value::Array(vec![Value::Nil; 3])).unwrap(), None);
        for place in 0..3 {
            for wrong in [Value::Nil, Value::Int(7), Value::Array(vec![])] {
                let mut garbage = fields();
                garbage[place] = wrong;
                assert!(matches!(listed(key, Value::Array(garbage)), Err(Failure::Malformed)));
            }
        }
        let huge = vec![text(&vec![0; LONGEST + 1]), text(b"1"), text(b"2")];
        assert!(listed(key, Value::Array(huge)).is_err() && listed(key, Value::Array(vec![text(b"x")])).is_err());
        assert!(listed(key, Value::Nil).is_err());
    }

    #[test]
    fn a_page_has_keys_between_scores() {
        let members = vec![text(&[1; 32]), text(b"5"), text(b"short"), text(b"6"), text(&[2; 32]), text(b"7")];
        let answer = Value::Array(vec![text(b"17"), Value::Array(members)]);
        assert_eq!(page(answer).unwrap(), (17, vec![StoreKey::of_bytes([1; 32]), StoreKey::of_bytes([2; 32])]));
        assert!(page(Value::Array(vec![text(b"17")])).is_err());
        assert!(page(Value::Array(vec![Value::Nil, Value::Array(vec![])])).is_err());
    }

    proptest! {
        #[test]
        fn numbers_come_back(number in any::<u64>()) {
            prop_assert_eq!(decimal(text(number.to_string().as_bytes())).unwrap(), number);
        }
    }
}
