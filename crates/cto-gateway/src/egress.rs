//! `CONNECT` to admitted hosts: bytes both ways, an event at the end.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::call::Place;
use crate::gateway::Gateway;
use crate::record::{EgressRecord, Record};
use crate::reply::{self, Reply};

/// A tunnel whose far end is there and whose near end will be.
pub(crate) struct Tunnel {
    upgrade: OnUpgrade,
    far: TcpStream,
    open: Open,
}

/// The record of a tunnel; written when it is dropped, so that one that is cut off is recorded too.
struct Open {
    place: Place,
    record: EgressRecord,
    began: Instant,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.record.duration_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.place.gateway().record(Record::Egress(self.record.clone()));
    }
}

/// Connects to an admitted host.
pub(crate) async fn connect(
    gateway: &Arc<Gateway>,
    host: String,
    upgrade: OnUpgrade,
) -> (Response<Reply>, Option<Tunnel>) {
    let place = match Place::of_tunnel(gateway) {
        Ok(place) => place,
        Err(refusal) => {
            gateway.refused(&refusal, "CONNECT", &host, None);
            return (reply::refused(None, &refusal, true), None);
        }
    };
    let mut open = Open {
        place,
        record: EgressRecord {
            seq: gateway.accounts.next(),
            host: host.clone(),
            sent_bytes: 0,
            received_bytes: 0,
            connected: false,
            duration_us: 0,
        },
        began: Instant::now(),
    };
    let patience = Duration::from_millis(gateway.order.limits.connect_ms);
    match timeout(patience, reach(&host)).await {
        Ok(Ok(far)) => {
            open.record.connected = true;
            let answer = reply::full(StatusCode::OK, Bytes::new());
            (answer, Some(Tunnel { upgrade, far, open }))
        }
        _ => (reply::full(StatusCode::BAD_GATEWAY, Bytes::new()), None),
    }
}

/// A name of the outside may not lead to this machine; an address or `localhost` was admitted as such.
fn may_reach(host: &str, address: IpAddr) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_literal = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() || name == "localhost";
    let address = address.to_canonical();
    let is_near = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    is_literal || !(address.is_loopback() || address.is_unspecified() || is_near)
}

async fn reach(host: &str) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = lookup_host(host)
        .await?
        .filter(|address| may_reach(host, address.ip()))
        .collect();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return stream.set_nodelay(true).map(|()| stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Passes bytes on until both ends are done or one of them says nothing any more.
pub(crate) async fn run(tunnel: Tunnel) {
    let Tunnel { upgrade, far, mut open } = tunnel;
    let Ok(near) = upgrade.await else { return };
    let idle = Duration::from_millis(open.place.gateway().order.limits.idle_ms);
    let record = &mut open.record;
    let life = Life::new();
    let mut near = Counted {
        stream: TokioIo::new(near),
        count: &mut record.sent_bytes,
        life: &life,
    };
    let mut far = Counted {
        stream: far,
        count: &mut record.received_bytes,
        life: &life,
    };
    // However it ends, the counts are what there is to say about it.
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        () = life.silence(idle) => {}
    }
}

/// When bytes moved last, in either direction: a download is no silence of the one who waits for it.
struct Life {
    began: tokio::time::Instant,
    moved_ms: AtomicU64,
}

impl Life {
    fn new() -> Self {
        Self {
            began: tokio::time::Instant::now(),
            moved_ms: AtomicU64::new(0),
        }
    }

    fn moved(&self) {
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_ms.store(elapsed_ms, Ordering::Relaxed);
    }

    /// Comes back when nothing has moved for so long.
    async fn silence(&self, idle: Duration) {
        loop {
            let until = self.began + Duration::from_millis(self.moved_ms.load(Ordering::Relaxed)) + idle;
            if tokio::time::Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// Counts what is read, and says that something moves.
struct Counted<'c, S> {
    stream: S,
    count: &'c mut u64,
    life: &'c Life,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<'_, S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = polled {
            *this.count += (buffer.filled().len() - before) as u64;
            this.life.moved();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<'_, S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(_)) = polled {
            this.life.moved();
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::may_reach;

    #[test]
    fn a_name_never_leads_to_this_machine_unless_it_says_so() {
        for address in [
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "169.254.169.254",
            "fe80::1",
            "::ffff:127.0.0.1",
        ] {
            let address = address.parse().unwrap();
            assert!(!may_reach("packages.example:443", address), "{address}");
        }
        assert!(may_reach("packages.example:443", "192.0.2.7".parse().unwrap()));
        assert!(may_reach("127.0.0.1:443", "127.0.0.1".parse().unwrap()));
        assert!(may_reach("localhost:443", "::1".parse().unwrap()));
    }
}
