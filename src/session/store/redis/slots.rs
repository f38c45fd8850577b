//! How a cluster is divided: which server has which of the 16,384 slots, and which slot a key is in.

use redis::Value;

use crate::session::settings::ServerAddress;

/// So many slots are there.
const SLOTS: u16 = 16_384;

/// Who has what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slots {
    ranges: Vec<(u16, u16, ServerAddress)>,
    /// Servers that only follow.
    pub(super) replicas: Vec<ServerAddress>,
}

impl Slots {
    /// Reads the answer to `CLUSTER SLOTS` from `asked`, which may leave its own name out. `None` when it makes no sense.
    pub(super) fn read(answer: &Value, asked: &ServerAddress) -> Option<Self> {
        let Value::Array(rows) = answer else { return None };
        let mut slots = Self::default();
        for row in rows {
            let Value::Array(row) = row else { return None };
            let [Value::Int(first), Value::Int(last), primary, replicas @ ..] = row.as_slice() else { return None };
            let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
            if first > last || last >= SLOTS {
                return None;
            }
            slots.ranges.push((first, last, address(primary, asked)?));
            for replica in replicas.iter().filter_map(|replica| address(replica, asked)) {
                if !slots.replicas.contains(&replica) {
                    slots.replicas.push(replica);
                }
            }
        }
        (!slots.ranges.is_empty()).then_some(slots)
    }

    /// The server that has a slot.
    pub(super) fn primary_of(&self, slot: u16) -> Option<&ServerAddress> {
        self.ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).map(|(_, _, server)| server)
    }

    /// All that have any, each once.
    pub(super) fn primaries(&self) -> Vec<ServerAddress> {
        let mut found: Vec<ServerAddress> = Vec::new();
        for (_, _, server) in &self.ranges {
            if !found.contains(server) {
                found.push(server.clone());
            }
        }
        found
    }
}

fn address(node: &Value, asked: &ServerAddress) -> Option<ServerAddress> {
    let Value::Array(node) = node else { return None };
    let [host, Value::Int(port), ..] = node.as_slice() else { return None };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::Nil => "",
        _ => return None,
    };
    let host = if matches!(host, "" | "?") { &asked.host } else { host };
    Some(ServerAddress { host: host.to_owned(), port: u16::try_from(*port).ok()? })
}

/// The slot of a key: CRC-16/XMODEM of what stands between its first braces, else of all of it.
pub(super) fn slot_of(key: &str) -> u16 {
    let tagged = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    crc16(tagged.filter(|tag| !tag.is_empty()).unwrap_or(key).as_bytes()) % SLOTS
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ (u16::from(*byte) << 8), |sum, _| (sum << 1) ^ if sum & 0x8000 == 0 { 0 } else { 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot_of("foo"), 12_182);
        assert_eq!(slot_of("vestibule:{foo}:session"), 12_182);
        assert_eq!(slot_of("{}foo"), crc16(b"{}foo") % SLOTS);
        assert_eq!(slot_of("{foo"), crc16(b"{foo") % SLOTS);
    }

    fn server(host: &str, port: u16) -> ServerAddress {
        ServerAddress { host: host.to_owned(), port }
    }

    fn node(host: Value, port: i64) -> Value {
        Value::Array(vec![host, Value::Int(port), Value::BulkString(b"id".to_vec())])
    }

    #[test]
    fn an_answer_becomes_a_map() {
        let named = |name: &str| Value::BulkString(name.as_bytes().to_vec());
        let asked = server("redis.example", 7000);
        let answer = Value::Array(vec![
            Value::Array(vec![Value::Int(0), Value::Int(9_999), node(named(""), 7000), node(named("10.0.0.2"), 7001)]),
            Value::Array(vec![Value::Int(10_000), Value::Int(16_383), node(named("10.0.0.3"), 7002)]),
        ]);
        let slots = Slots::read(&answer, &asked).unwrap();
        assert_eq!(slots.primary_of(9_999), Some(&asked));
        assert_eq!(slots.primary_of(10_000), Some(&server("10.0.0.3", 7002)));
        assert_eq!(slots.primaries().len(), 2);
        assert_eq!(slots.replicas, [server("10.0.0.2", 7001)]);
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_none() {
        let asked = server("redis.example", 7000);
        let row = |first, last, node| Value::Array(vec![Value::Array(vec![Value::Int(first), Value::Int(last), node])]);
        let good = || node(Value::Nil, 7000);
        assert!(Slots::read(&row(0, 1, good()), &asked).is_some());
        for bad in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(1)]),
            row(2, 1, good()),
            row(0, 16_384, good()),
            row(-1, 5, good()),
            row(0, 1, Value::Nil),
            row(0, 1, node(Value::Nil, 70_000)),
            row(0, 1, node(Value::BulkString(vec![0xff]), 7000)),
        ] {
            assert_eq!(Slots::read(&bad, &asked), None, "{bad:?}");
        }
    }
}
