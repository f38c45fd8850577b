//! One thing that is asked of Redis.

use redis::{Cmd, ToRedisArgs};

use super::scripts::Lua;

/// A command, or a script with its keys and arguments.
#[derive(Clone)]
pub(super) struct Request {
    /// The key that decides which server of a cluster is asked.
    key: String,
    command: Cmd,
    /// The script that it names by its hash.
    script: Option<&'static Lua>,
    is_repeatable: bool,
}

impl Request {
    /// A command whose first argument is its one key.
    pub(super) fn command(name: &str, key: String) -> Self {
        let mut command = redis::cmd(name);
        command.arg(&key);
        Self { key, command, script: None, is_repeatable: false }
    }

    /// A command about the server that is asked.
    pub(super) fn plain(name: &str) -> Self {
        Self { key: String::new(), command: redis::cmd(name), script: None, is_repeatable: false }
    }

    /// A script. All keys have the same hash tag.
    pub(super) fn script<const N: usize>(lua: &'static Lua, keys: [String; N]) -> Self {
        let mut command = redis::cmd("EVALSHA");
        command.arg(lua.hash()).arg(N);
        for key in &keys {
            command.arg(key);
        }
        let key = keys.into_iter().next().unwrap_or_default();
        Self { key, command, script: Some(lua), is_repeatable: false }
    }

    pub(super) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        self.command.arg(argument);
        self
    }

    /// It changes nothing, so it may be sent again when nobody knows whether it has arrived.
    pub(super) const fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    pub(super) const fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) const fn as_command(&self) -> &Cmd {
        &self.command
    }

    /// For a server that does not know the script yet: the command with all of it.
    pub(super) fn in_full(&self) -> Option<Cmd> {
        let lua = self.script?;
        let mut command = redis::cmd("EVAL");
        command.arg(lua.code());
        for argument in self.command.args_iter().skip(2) {
            if let redis::Arg::Simple(bytes) = argument {
                command.arg(bytes);
            }
        }
        Some(command)
    }
}
