//! The body of an answer on its way to the browser: streamed, cut after long silence and when its session ends.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Sleep;

use super::hop_by_hop;
use super::principal::SharedGuard;
use super::transport::Carried;

/// What is left for an ordinary answer when its session ends.
const GRACE: Duration = Duration::from_secs(5);

/// Why an answer broke off; the browser sees a broken connection.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The upstream broke off, or its framing is wrong.
    #[error("the upstream broke off")]
    Upstream(#[source] hyper::Error),
    /// Silence for longer than the upstream's `idle`.
    #[error("the upstream fell silent")]
    Silent,
    /// The session ended.
    #[error("the session ended")]
    SessionEnded,
}

/// How patient an answer's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patience {
    /// The longest silence; none for streams of events, which may be quiet for hours.
    pub(super) idle: Option<Duration>,
    /// What is left once the session has ended.
    pub(super) grace: Duration,
}

impl Patience {
    /// For an ordinary answer.
    pub(super) const fn ordinary(idle: Duration) -> Self {
        Self { idle: Some(idle), grace: GRACE }
    }

    /// For a stream of events: it never ends by itself, so grace would be lost on it.
    pub(super) const STREAM: Self = Self { idle: None, grace: Duration::ZERO };
}

/// The body of an answer.
///
/// Most answers are there at once: timers and the session's end are not even registered before the upstream first keeps
/// us waiting.
pub struct Body {
    /// None when the connection carries another protocol from here on.
    inner: Option<Carried>,
    patience: Patience,
    guard: Option<SharedGuard>,
    waiting: Option<Box<Waiting>>,
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Body").field("patience", &self.patience).finish_non_exhaustive()
    }
}

struct Waiting {
    silence: Option<Pin<Box<Sleep>>>,
    /// Data has come since `silence` was wound up.
    stale: bool,
    ended: Option<BoxFuture<'static, ()>>,
    grace: Option<Pin<Box<Sleep>>>,
}

impl Body {
    pub(super) const fn new(inner: Carried, patience: Patience, guard: Option<SharedGuard>) -> Self {
        Self { inner: Some(inner), patience, guard, waiting: None }
    }

    pub(super) const fn none() -> Self {
        Self { inner: None, patience: Patience::STREAM, guard: None, waiting: None }
    }
}

impl Waiting {
    fn new(patience: Patience, guard: Option<&SharedGuard>) -> Self {
        Self {
            silence: patience.idle.map(|idle| Box::pin(tokio::time::sleep(idle))),
            stale: false,
            ended: guard.map(|guard| guard.ended()),
            grace: None,
        }
    }

    /// Ready when the session has ended and nothing of the grace is left.
    fn poll_cut(&mut self, cx: &mut Context<'_>, patience: Patience) -> Poll<()> {
        if let Some(ended) = &mut self.ended {
            std::task::ready!(ended.as_mut().poll(cx));
            self.ended = None;
            self.grace = Some(Box::pin(tokio::time::sleep(patience.grace)));
        }
        match &mut self.grace {
            Some(grace) => grace.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>, patience: Patience) -> Poll<()> {
        let (Some(silence), Some(idle)) = (&mut self.silence, patience.idle) else { return Poll::Pending };
        if std::mem::take(&mut self.stale) {
            silence.set(tokio::time::sleep(idle));
        }
        silence.as_mut().poll(cx)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let patience = this.patience;
        // A download that always has data ready must notice the end of its session too.
        if let Some(waiting) = &mut this.waiting
            && waiting.poll_cut(cx, patience).is_ready()
        {
            return Poll::Ready(Some(Err(BodyError::SessionEnded)));
        }
        match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    hop_by_hop::strip_trailers(trailers);
                }
                if let Some(waiting) = &mut this.waiting {
                    waiting.stale = true;
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(BodyError::Upstream(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let first = this.waiting.is_none();
                let waiting = this.waiting.get_or_insert_with(|| Box::new(Waiting::new(patience, this.guard.as_ref())));
                if first && waiting.poll_cut(cx, patience).is_ready() {
                    return Poll::Ready(Some(Err(BodyError::SessionEnded)));
                }
                waiting.poll_silence(cx, patience).map(|()| Some(Err(BodyError::Silent)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}
