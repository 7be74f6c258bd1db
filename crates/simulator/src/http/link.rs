//! A link of a chosen width: the server's side of a TCP connection that sends no faster.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// A paced link sends this much at once.
const BURST: Duration = Duration::from_millis(10);

pub struct Link {
    stream: TcpStream,
    /// Bytes a second; `None`: as fast as it goes.
    bandwidth: Option<u64>,
    /// When what was sent so far will have passed the link.
    free_at: Instant,
    wait: Pin<Box<Sleep>>,
}

impl Link {
    pub fn new(stream: TcpStream, bandwidth: Option<u64>) -> Self {
        let now = Instant::now();
        Self { stream, bandwidth: bandwidth.filter(|bytes| *bytes > 0), free_at: now, wait: Box::pin(sleep_until(now)) }
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let Some(bandwidth) = self.bandwidth else { return Pin::new(&mut self.stream).poll_write(context, bytes) };
        let now = Instant::now();
        if self.free_at > now + BURST {
            let until = self.free_at - BURST;
            self.wait.as_mut().reset(until);
            ready!(self.wait.as_mut().poll(context));
        }
        let most = usize::try_from(bandwidth / 100).unwrap_or(usize::MAX).max(1);
        let sent = ready!(Pin::new(&mut self.stream).poll_write(context, &bytes[..bytes.len().min(most)]))?;
        let nanoseconds = sent as u64 * 1_000_000_000 / bandwidth;
        self.free_at = self.free_at.max(now) + Duration::from_nanos(nanoseconds);
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        if self.bandwidth.is_none() {
            return Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        }
        let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        self.poll_write(context, first)
    }

    fn is_write_vectored(&self) -> bool {
        self.bandwidth.is_none() && self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
