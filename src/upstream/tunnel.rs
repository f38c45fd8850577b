//! The bytes of a WebSocket, both ways, until one side or the session ends.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

use super::principal::SharedGuard;
use super::transport::Switched;

/// Runs a tunnel once both sides have switched; nothing the browser sent before is released earlier than that.
///
/// There is no deadline for silence: a WebSocket may be quiet for hours. What is dead is found by the system's probes.
pub(super) async fn run(browser: OnUpgrade, application: Switched, guard: Option<SharedGuard>) {
    // It may be gone before it has switched; then there is nothing to carry.
    let Ok(browser) = browser.await else { return };
    let mut browser = Watched { inner: TokioIo::new(browser), guard: guard.clone() };
    let (mut application, first, _turn) = application.into_parts();
    // What came with the answer.
    if browser.write_all(&first).await.is_err() || browser.flush().await.is_err() {
        return;
    }
    // A side that has ended is shut down at the other, which may go on sending. Errors end the tunnel all the same.
    let copied = tokio::io::copy_bidirectional(&mut browser, &mut application);
    match guard {
        Some(guard) => tokio::select! {
            _ = copied => {}
            () = guard.ended() => {}
        },
        None => {
            let _ended = copied.await;
        }
    }
}

/// The browser's side: tells the session that bytes have come.
struct Watched {
    inner: TokioIo<Upgraded>,
    guard: Option<SharedGuard>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        if buffer.filled().len() > before
            && let Some(guard) = &self.guard
        {
            guard.used();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
