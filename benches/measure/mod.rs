//! What the benchmarks share: CPU time and memory of a process as the kernel counts them, and medians.

#![allow(dead_code, reason = "each benchmark uses its part of this")]

use std::fs;

/// CPU time of all threads that a process has now, in nanoseconds: user and system together.
///
/// `schedstat` counts in nanoseconds, while `stat` counts in hundredths of a second.
pub fn cpu_nanoseconds(process: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("the process runs");
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|counted| counted.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

/// User and system time of a process, in hundredths of a second.
pub fn user_and_system(process: u32) -> (u64, u64) {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process runs");
    // The name in parentheses may hold anything; `utime` and `stime` are the 12th and 13th field after it.
    let after = stat.rsplit_once(')').expect("stat has a name").1;
    let mut fields = after.split_whitespace().skip(11).map(|field| field.parse().expect("a number"));
    (fields.next().expect("utime"), fields.next().expect("stime"))
}

/// Memory of a process that is in RAM, in KiB.
pub fn resident_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Smallest, middle and largest of some measurements.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub least: f64,
    pub median: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(measured: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = measured.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Self { least: sorted[0], median, most: sorted[sorted.len() - 1] }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:.2} ({:.2}–{:.2})", self.median, self.least, self.most)
    }
}

/// What stands after `name` in the arguments; `cargo bench` adds some of its own.
pub fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

/// The number after `name` in the arguments, or `otherwise`.
pub fn number(name: &str, otherwise: usize) -> usize {
    argument(name).map_or(otherwise, |value| value.parse().unwrap_or_else(|_| panic!("{name} takes a number")))
}
