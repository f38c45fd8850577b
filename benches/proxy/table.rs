//! The measurements of one load, compared within their rounds.

use std::fmt;

use crate::child::Usage;
use crate::measure::Spread;

/// CPU time per request, in microseconds.
#[derive(Clone, Copy)]
pub struct Measured {
    all: f64,
    /// How much of it the kernel took, as a share.
    system: f64,
}

impl Measured {
    pub fn between(before: Usage, after: Usage, requests: usize) -> Self {
        let all = (after.cpu_nanoseconds - before.cpu_nanoseconds) as f64 / 1000.0 / requests as f64;
        let (user, system) = ((after.user - before.user) as f64, (after.system - before.system) as f64);
        Self { all, system: system / (user + system) }
    }
}

/// Rows of the same subjects in the same rounds; the first one is what the others are compared with.
pub struct Table {
    rows: Vec<(&'static str, Vec<Measured>)>,
}

impl Table {
    pub fn new(names: impl Iterator<Item = &'static str>) -> Self {
        Self { rows: names.map(|name| (name, Vec::new())).collect() }
    }

    pub fn note(&mut self, row: usize, measured: Measured) {
        self.rows[row].1.push(measured);
    }

    /// How a row differs from another one in the same round.
    fn compared(&self, row: usize, with: usize, how: impl Fn(f64, f64) -> f64) -> Spread {
        let pairs = self.rows[row].1.iter().zip(&self.rows[with].1);
        Spread::of(pairs.map(|(this, that)| how(this.all, that.all)))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "| proxy | µs | user | kernel | × smallest | µs more than smallest | µs more than the row above |"
        )?;
        writeln!(formatter, "|---|---|---|---|---|---|---|")?;
        for (row, (name, rounds)) in self.rows.iter().enumerate() {
            let all = Spread::of(rounds.iter().map(|round| round.all));
            let system = Spread::of(rounds.iter().map(|round| round.all * round.system)).median;
            write!(formatter, "| {name} | {all} | {:.1} | {system:.1} |", all.median - system)?;
            if row == 0 {
                writeln!(formatter, " 1 | – | – |")?;
                continue;
            }
            let ratio = self.compared(row, 0, |this, that| this / that).median;
            let more = self.compared(row, 0, |this, that| this - that);
            let step = self.compared(row, row - 1, |this, that| this - that);
            writeln!(formatter, " {ratio:.3} | {more} | {step} |")?;
        }
        Ok(())
    }
}
