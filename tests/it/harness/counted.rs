//! What the gateway has counted.

use super::gateway::Gateway;

impl Gateway {
    /// The value of a series such as `panics_total` or `limit_reached_total{limit="body"}`; 0 where there is none yet.
    pub fn counted(&self, series: &str) -> usize {
        let start = format!("vestibule_{series} ");
        let page = self.metrics.encode();
        page.lines().find_map(|line| line.strip_prefix(start.as_str())).map_or(0, |count| count.parse().unwrap())
    }

    /// How often this limit has turned something away.
    pub fn limit_reached(&self, limit: &str) -> usize {
        self.counted(&format!("limit_reached_total{{limit=\"{limit}\"}}"))
    }
}
