//! What a Redis server is told, and what it holds.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::patiently;
use super::redis_server::{PORT, RedisServer};

/// Told last, so that all that came before has been heard.
const LAST_WORD: &str = "the-last-word-to-the-watched-server";

/// All keys with all that is in them, in hexadecimal: a value may be any bytes.
const HELD: &str = "local held = {}
local function add(value)
  if type(value) == 'table' then
    for _, one in ipairs(value) do add(one) end
  else
    local hex = string.gsub(value, '.', function(byte) return string.format('%02x', string.byte(byte)) end)
    held[#held + 1] = hex
  end
end
for _, key in ipairs(redis.call('KEYS', '*')) do
  local type = redis.call('TYPE', key).ok
  add(key)
  if type == 'hash' then add(redis.call('HGETALL', key))
  elseif type == 'string' then add(redis.call('GET', key))
  elseif type == 'zset' then add(redis.call('ZRANGE', key, 0, -1, 'WITHSCORES'))
  elseif type == 'set' then add(redis.call('SMEMBERS', key))
  else error('a key of type ' .. type) end
end
return held";

/// Hears every command that is sent to a server, those inside scripts too.
pub struct Watched(JoinHandle<Vec<u8>>);

impl Watched {
    /// From here on everything is heard.
    pub async fn begin(host: &str) -> Self {
        let mut stream = TcpStream::connect((host, PORT)).await.unwrap();
        stream.write_all(b"MONITOR\r\n").await.unwrap();
        let mut heard = vec![0; 5];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, b"+OK\r\n");
        Self(tokio::spawn(async move {
            let ends = |heard: &[u8]| heard.windows(LAST_WORD.len()).any(|window| window == LAST_WORD.as_bytes());
            let mut looked_at = 0;
            while !ends(&heard[looked_at..]) {
                looked_at = heard.len().saturating_sub(LAST_WORD.len());
                assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "the server has hung up");
            }
            heard
        }))
    }

    /// All that was heard, as the bytes that were meant.
    pub async fn end(self, server: &RedisServer) -> Vec<u8> {
        server.cli(&["ECHO", LAST_WORD]);
        unescaped(&patiently("the last word", self.0).await.unwrap())
    }
}

/// All that a server holds.
pub fn held(server: &RedisServer) -> Vec<u8> {
    let mut held = Vec::new();
    for line in server.cli(&["EVAL", HELD, "0"]).lines() {
        let (pairs, rest) = line.as_bytes().as_chunks::<2>();
        assert!(rest.is_empty(), "{line}");
        held.extend(pairs.iter().map(|pair| hex(pair)));
        held.push(b'\n');
    }
    held
}

fn hex(pair: &[u8]) -> u8 {
    u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()
}

/// Redis shows what cannot be printed as `\xHH`, and a few characters by a letter.
fn unescaped(shown: &[u8]) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::with_capacity(shown.len()), shown);
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                bytes.push(hex(&[*high, *low]));
                rest = after;
            }
            (b'\\', [letter, after @ ..]) => {
                bytes.push(match letter {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'a' => 7,
                    b'b' => 8,
                    other => *other,
                });
                rest = after;
            }
            (first, _) => bytes.push(*first),
        }
    }
    bytes
}
