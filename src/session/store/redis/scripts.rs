//! The steps that must not come apart, in Lua. Each touches keys of one hash tag only.
//!
//! Times to live are handed in as milliseconds from now, so no clock of ours is compared with the server's. Where points
//! in time must be compared with each other later, they are the server's own.

use std::sync::OnceLock;

use redis::Script;

use crate::session::store::LONGEST_SESSION;

/// A script, and the hash by which a server knows it once it has seen it.
#[derive(Debug)]
pub(super) struct Lua {
    code: &'static str,
    hash: OnceLock<String>,
}

impl Lua {
    const fn new(code: &'static str) -> Self {
        Self { code, hash: OnceLock::new() }
    }

    pub(super) const fn code(&self) -> &'static str {
        self.code
    }

    /// SHA-1 of the code, in hexadecimal.
    pub(super) fn hash(&self) -> &str {
        self.hash.get_or_init(|| Script::new(self.code).get_hash().to_owned())
    }
}

/// What is longer was not written by us.
pub(super) const LONGEST: usize = LONGEST_SESSION;

/// Writes a session: 1, or 0 where it has ended or is there.
pub(super) static INSERT: Lua = Lua::new(
    "if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then return 0 end
         redis.call('HSET', KEYS[1], 'r', ARGV[1], 'c', ARGV[2], 'g', ARGV[3], 'a', ARGV[4], 'u', ARGV[5])
         redis.call('PEXPIRE', KEYS[1], ARGV[6])
         return 1",
);

/// Reads a session; what is longer than anything we write does not come over the wire.
pub(super) static LOAD: Lua = Lua::new(
    "if redis.call('HSTRLEN', KEYS[1], 'r') + redis.call('HSTRLEN', KEYS[1], 'c') > tonumber(ARGV[1]) then
           return redis.error_reply('MALFORMED longer than any session')
         end
         return redis.call('HMGET', KEYS[1], 'r', 'c', 'g', 'a', 'u')",
);

/// Reads what a list tells of a session.
pub(super) static CARD: Lua = Lua::new(
    "if redis.call('HSTRLEN', KEYS[1], 'c') > tonumber(ARGV[1]) then
           return redis.error_reply('MALFORMED longer than any card')
         end
         return redis.call('HMGET', KEYS[1], 'c', 'a', 'u')",
);

/// Writes a session of the expected generation: 2, 1 where it has another, 0 where there is none. Its time to live only
/// becomes shorter.
pub(super) static REPLACE: Lua = Lua::new(
    "local generation = redis.call('HGET', KEYS[1], 'g')
         if not generation or redis.call('EXISTS', KEYS[2]) > 0 then return 0 end
         if generation ~= ARGV[1] then return 1 end
         redis.call('HSET', KEYS[1], 'r', ARGV[2], 'c', ARGV[3], 'g', ARGV[4], 'a', ARGV[5])
         if tonumber(ARGV[6]) < redis.call('PTTL', KEYS[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[6]) end
         redis.call('PUBLISH', ARGV[7], ARGV[8])
         return 2",
);

/// Writes a use down: the time to live in milliseconds from here on, or 0 where there is no session. That is moved first:
/// a server without memory still does it, and then takes the rest as well.
pub(super) static TOUCH: Lua = Lua::new(
    "local absolute = tonumber(redis.call('HGET', KEYS[1], 'a') or '')
         if not absolute then return 0 end
         local left = (math.min(tonumber(ARGV[2]), absolute) - tonumber(ARGV[3])) * 1000
         if left <= 0 then return 0 end
         redis.call('PEXPIRE', KEYS[1], left)
         redis.call('HSET', KEYS[1], 'u', ARGV[1])
         return left",
);

/// Ends a session: 1 where it was there. The record goes first: a server without memory still lets go of it, and then
/// takes the tombstone as well.
pub(super) static REMOVE: Lua = Lua::new(
    "local there = redis.call('DEL', KEYS[1])
         redis.call('SET', KEYS[2], '', 'PX', ARGV[1])
         redis.call('PUBLISH', ARGV[2], ARGV[3])
         return there",
);

/// Gives a lease back where it is still the owner's.
pub(super) static RELEASE: Lua = Lua::new(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
         redis.call('DEL', KEYS[1])
         redis.call('PUBLISH', ARGV[2], ARGV[3])
         return 1",
);

/// Names a session in an index; says how many it names.
pub(super) static INDEX_ADD: Lua = Lua::new(
    "local time = redis.call('TIME')
         local now = time[1] * 1000 + math.floor(time[2] / 1000)
         redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
         redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
         redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
         redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
         redis.call('PEXPIRE', KEYS[2], ARGV[3])
         if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
         return redis.call('ZCARD', KEYS[1])",
);

/// The sessions that an index names.
pub(super) static INDEX_MEMBERS: Lua = Lua::new(
    "local time = redis.call('TIME')
         local now = time[1] * 1000 + math.floor(time[2] / 1000)
         return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf')",
);

/// Lets go of sessions that are gone, but not of those whose record may still be on its way.
pub(super) static INDEX_PRUNE: Lua = Lua::new(
    "local time = redis.call('TIME')
         local now = time[1] * 1000 + math.floor(time[2] / 1000)
         for _, member in ipairs(ARGV) do
           local until_then = tonumber(redis.call('ZSCORE', KEYS[2], member) or '')
           if not until_then or until_then <= now then redis.call('ZREM', KEYS[1], member) end
         end
         return 0",
);

/// Notes up to when logins have been ended; the later note stands. It is deleted first for the same reason as in
/// [`REMOVE`].
pub(super) static INDEX_TOMBSTONE: Lua = Lua::new(
    "local standing = redis.call('GET', KEYS[1])
         local at = ARGV[1]
         if standing and tonumber(standing) and tonumber(standing) > tonumber(at) then at = standing end
         redis.call('DEL', KEYS[1])
         redis.call('SET', KEYS[1], at, 'PX', ARGV[2])
         return 1",
);

/// Puts a session on the list of all, or moves the time until which it stands there.
pub(super) static LIST_ADD: Lua = Lua::new(
    "local time = redis.call('TIME')
         local now = time[1] * 1000 + math.floor(time[2] / 1000)
         redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
         if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
         return 1",
);

/// Takes what has expired off the list of all; says how many are left.
pub(super) static LIST_SWEEP: Lua = Lua::new(
    "local time = redis.call('TIME')
         local now = time[1] * 1000 + math.floor(time[2] / 1000)
         redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
         return redis.call('ZCARD', KEYS[1])",
);

/// Which of the commands that are used here the user may not use: each is tried on keys that are gone at the end. A
/// server that refuses one for another reason, such as its memory, does not count.
pub(super) static RIGHTS: Lua = Lua::new(
    "local denied = {}
         local function try(name, ...)
           local answer = redis.pcall(name, ...)
           local text = type(answer) == 'table' and answer.err or ''
           for _, sign in ipairs({'NOPERM', 'ACL failure', 'no permission', \"can't\"}) do
             if string.find(text, sign, 1, true) then table.insert(denied, name) return end
           end
         end
         try('TIME')
         try('HSET', KEYS[1], 'g', '1')
         try('PEXPIRE', KEYS[1], 1000)
         try('HGET', KEYS[1], 'g')
         try('HMGET', KEYS[1], 'g')
         try('HSTRLEN', KEYS[1], 'g')
         try('PTTL', KEYS[1])
         try('EXISTS', KEYS[1])
         try('SET', KEYS[2], '', 'PX', 1000)
         try('GET', KEYS[2])
         try('ZADD', KEYS[3], 1, 'a')
         try('PEXPIRE', KEYS[3], 1000)
         try('ZSCORE', KEYS[3], 'a')
         try('ZCARD', KEYS[3])
         try('ZSCAN', KEYS[3], 0)
         try('ZRANGEBYSCORE', KEYS[3], 1, 1)
         try('ZREM', KEYS[3], 'a')
         try('ZREMRANGEBYSCORE', KEYS[3], 1, 1)
         try('PUBLISH', ARGV[1], '')
         try('DEL', KEYS[1], KEYS[2], KEYS[3])
         return denied",
);
