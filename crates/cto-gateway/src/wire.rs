//! A connection of the engine: remembers the head as it came, and can end with a reset.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use rustix::net::sockopt::set_socket_linger;
use tokio::net::TcpStream;

use crate::head;

/// What the service of a connection knows and decides about its wire. There is one request on a connection, so that
/// nothing can hide behind it.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    head: Mutex<Vec<u8>>,
    is_whole: AtomicBool,
    is_reset: AtomicBool,
}

impl Wire {
    /// Judges the head as it came over the wire.
    pub(crate) fn judge(&self) -> Result<(), head::Ambiguity> {
        let bytes = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        match head::end(&bytes) {
            Some(end) => head::judge(&bytes[..end]),
            None => Err("a head without end"),
        }
    }

    /// Makes the end of the connection an error for the other side, whatever its client thinks of a mere end.
    pub(crate) fn reset(&self) {
        self.is_reset.store(true, Ordering::Relaxed);
    }

    fn came(&self, bytes: &[u8], most: usize) {
        if self.is_whole.load(Ordering::Relaxed) {
            return;
        }
        let mut head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let room = most.saturating_sub(head.len());
        head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let is_whole = head::end(&head).is_some() || head.len() >= most;
        self.is_whole.store(is_whole, Ordering::Relaxed);
    }
}

/// The stream below hyper.
pub(crate) struct Stream {
    io: TokioIo<TcpStream>,
    wire: Arc<Wire>,
    head_bytes: usize,
}

impl Stream {
    pub(crate) fn new(stream: TcpStream, wire: Arc<Wire>, head_bytes: usize) -> Self {
        Self {
            io: TokioIo::new(stream),
            wire,
            head_bytes,
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.wire.is_reset.load(Ordering::Relaxed) {
            // Where it fails the connection still ends in the middle of its body.
            let _has_failed = set_socket_linger(self.io.inner(), Some(Duration::ZERO));
        }
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.wire.is_whole.load(Ordering::Relaxed) {
            return Pin::new(&mut this.io).poll_read(context, cursor);
        }
        let mut bytes = [0; 4096];
        let most = cursor.remaining().min(bytes.len());
        let mut buffer = tokio::io::ReadBuf::new(&mut bytes[..most]);
        let polled = tokio::io::AsyncRead::poll_read(Pin::new(this.io.inner_mut()), context, &mut buffer);
        if let Poll::Ready(Ok(())) = polled {
            this.wire.came(buffer.filled(), this.head_bytes);
            cursor.put_slice(buffer.filled());
        }
        polled
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, pieces)
    }
}
