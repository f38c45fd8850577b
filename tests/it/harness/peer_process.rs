//! A real counterpart in a process of its own, which ends when its standard input closes: with the test, however that
//! ends.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The top directory of the project.
pub fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A process that answers in lines of JSON. Dropping it closes its standard input, which ends it.
#[derive(Debug)]
pub struct PeerProcess {
    name: &'static str,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    complaints: std::fs::File,
    // Not killed on drop: it must live long enough to end its own processes.
    child: Child,
}

impl PeerProcess {
    /// Starts `command` and waits up to `limit` for its first line, which says where it listens.
    pub async fn start(name: &'static str, mut command: Command, limit: Duration) -> (Self, Value) {
        let complaints = tempfile::tempfile().unwrap();
        let mut child = command
            .current_dir(project())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(complaints.try_clone().unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut process = Self { name, input, output, complaints, child };
        match tokio::time::timeout(limit, process.line()).await {
            Ok(line) => (process, line),
            Err(_) => panic!("{name} has not started within {limit:?}:\n{}", process.complaints()),
        }
    }

    /// Sends a command and returns the answer.
    pub async fn ask(&mut self, command: &Value) -> Value {
        self.input.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        let answer = self.line().await;
        assert!(answer.get("error").is_none(), "{} answered {answer} to {command}", self.name);
        answer
    }

    /// Ends it and waits until it has ended.
    pub async fn end(self) {
        let Self { name, input, mut child, .. } = self;
        drop(input);
        super::patiently(name, child.wait()).await.unwrap();
    }

    async fn line(&mut self) -> Value {
        match self.output.next_line().await.unwrap() {
            Some(line) => serde_json::from_str(&line).unwrap(),
            None => {
                let complaints = self.complaints();
                panic!("{} has ended:\n{complaints}", self.name)
            }
        }
    }

    fn complaints(&mut self) -> String {
        let mut text = Vec::new();
        self.complaints.seek(SeekFrom::Start(0)).unwrap();
        self.complaints.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }
}
