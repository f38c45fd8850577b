//! A stream that never ends: one server-sent event a second.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::SampleBody;
use crate::clock::Clock;

const PERIOD: Duration = Duration::from_secs(1);

pub(super) fn stream(clock: Arc<dyn Clock>) -> Response<SampleBody> {
    let events = stream::unfold(0_u64, move |count| {
        let clock = Arc::clone(&clock);
        async move {
            // The first one comes at once, so that whoever listens sees that the stream is open.
            if count > 0 {
                tokio::time::sleep(PERIOD).await;
            }
            let event = format!("data: {{\"count\":{count},\"now\":{}}}\n\n", clock.now());
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(event))), count.saturating_add(1)))
        }
    });
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
