//! The body of an answer as it comes from the server; a recording, where there is one, hears it too.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use crate::recording::{End, Exchange};

/// What an answer brings.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    exchange: Option<Exchange>,
}

impl Body {
    pub(super) fn of(response: Response<Incoming>, exchange: Option<Exchange>) -> Response<Self> {
        response.map(|incoming| Self { incoming, exchange })
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        if let Some(exchange) = &mut self.exchange {
            match &frame {
                Some(Ok(frame)) => frame.data_ref().into_iter().for_each(|data| exchange.bytes(data.clone())),
                Some(Err(_)) => exchange.end(End::Cut),
                None => exchange.end(End::Whole),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        // Only polling to the end tells the recording of it.
        self.exchange.is_none() && self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
