//! The body of an answer: our own bytes, or what an upstream streams.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Full;

use crate::upstream;

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// Ours, whole.
    Own(Full<Bytes>),
    /// An upstream's, as it comes.
    Upstream(upstream::Body),
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Own(Full::new(bytes))
    }
}

impl From<upstream::Body> for Body {
    fn from(stream: upstream::Body) -> Self {
        Self::Upstream(stream)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = <upstream::Body as HttpBody>::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Own(bytes) => Pin::new(bytes).poll_frame(context).map_err(|never| match never {}),
            Self::Upstream(stream) => Pin::new(stream).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes) => bytes.is_end_stream(),
            Self::Upstream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes) => bytes.size_hint(),
            Self::Upstream(stream) => stream.size_hint(),
        }
    }
}
