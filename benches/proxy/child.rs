//! A proxy in a process of its own, so that its CPU time is nobody else's.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{self, Command, Stdio};

use crate::measure::{argument, cpu_nanoseconds, user_and_system};

/// A started role; it ends with this value.
pub struct Child {
    process: process::Child,
    pub address: SocketAddr,
}

/// What a process has used so far.
#[derive(Clone, Copy)]
pub struct Usage {
    pub cpu_nanoseconds: u64,
    pub user: u64,
    pub system: u64,
}

/// Gives this process core 1, if there is one; its children get core 0.
pub fn pin_this_process() -> bool {
    let this = process::id().to_string();
    Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", "1", &this])
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

impl Child {
    /// Starts this program in another role, and waits for the address it prints. With `--under COMMAND` it runs under
    /// that command, such as a profiler that replaces itself by it.
    pub fn start(role: &[&str]) -> Self {
        let program = std::env::current_exe().unwrap();
        let can_pin = Command::new("taskset").args(["--cpu-list", "0", "true"]).status();
        let pin: &[&str] =
            if can_pin.is_ok_and(|status| status.success()) { &["taskset", "--cpu-list", "0"] } else { &[] };
        let under = argument("--under").unwrap_or_default();
        let before: Vec<&str> = pin.iter().copied().chain(under.split_whitespace()).collect();
        let mut command = match before.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        let mut process = command.args(role).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().parse().unwrap_or_else(|_| panic!("{role:?} did not start: {line}"));
        Self { process, address }
    }

    pub fn id(&self) -> u32 {
        // taskset replaces itself by the program.
        self.process.id()
    }

    pub fn usage(&self) -> Usage {
        let (user, system) = user_and_system(self.id());
        Usage { cpu_nanoseconds: cpu_nanoseconds(self.id()), user, system }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Its end of the pipe tells it to stop, and it writes the rest of its log.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// In the child: tells the parent where it listens, and returns when the parent lets go of it.
pub async fn serve_until_parent_ends(address: SocketAddr) {
    println!("{address}");
    tokio::task::spawn_blocking(|| std::io::stdin().lines().for_each(drop)).await.unwrap();
}
