//! The load: connections that send one request after the other and look at every answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::upstream::ANSWER;

/// After this long the load has got stuck.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is sent to one proxy: nine headers as a browser sends them, and the cookies.
pub struct Load {
    address: SocketAddr,
    request: Arc<[u8]>,
}

impl Load {
    pub fn new(address: SocketAddr, path: &str, cookie: &str) -> Self {
        let request = format!(
            "GET {path} HTTP/1.1\r\n\
             Host: localhost:{}\r\n\
             User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0\r\n\
             Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
             Accept-Language: en-GB,en;q=0.5\r\n\
             Accept-Encoding: gzip, deflate, br, zstd\r\n\
             Sec-Fetch-Dest: document\r\n\
             Sec-Fetch-Mode: navigate\r\n\
             Sec-Fetch-Site: same-origin\r\n\
             Priority: u=0, i\r\n\
             Cookie: theme=dark; {cookie}\r\n\r\n",
            address.port()
        );
        Self { address, request: request.into_bytes().into() }
    }

    /// Sends `requests` over `connections` and says how many were answered as they should be.
    pub async fn run(&self, connections: usize, requests: usize) -> usize {
        let drivers: Vec<_> = (0..connections)
            .map(|place| {
                let share = requests / connections + usize::from(place < requests % connections);
                tokio::spawn(drive(self.address, Arc::clone(&self.request), share))
            })
            .collect();
        let all = async {
            let mut answered = 0;
            for driver in drivers {
                answered += driver.await.unwrap();
            }
            answered
        };
        tokio::time::timeout(PATIENCE, all).await.expect("the load goes through")
    }
}

async fn drive(address: SocketAddr, request: Arc<[u8]>, share: usize) -> usize {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 4096];
    let mut answered = 0;
    for _ in 0..share {
        stream.write_all(&request).await.unwrap();
        let mut filled = 0;
        loop {
            let read = stream.read(&mut buffer[filled..]).await.unwrap();
            assert!(read > 0, "the proxy closed the connection: {}", String::from_utf8_lossy(&buffer[..filled]));
            filled += read;
            if let Some(right) = judge(&buffer[..filled]) {
                answered += usize::from(right);
                break;
            }
        }
    }
    answered
}

/// Whether a whole answer is right; `None` while it is not whole.
fn judge(answer: &[u8]) -> Option<bool> {
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    if !answer.starts_with(b"HTTP/1.1 200 ") {
        return Some(false);
    }
    (answer.len() >= head + ANSWER.len()).then(|| &answer[head..] == ANSWER)
}
