//! The socket between harness and gateway: one order with the listener, then at most one word.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use crate::order::GatewayOrder;

/// The hidden command that makes a program a gateway.
pub const GATEWAY_ARGUMENT: &str = "__gateway";

/// The harness's only word; the end of the socket means the same.
pub(crate) const STOP: &[u8] = b"s";

const LENGTH_BYTES: usize = 4;
const MOST_ORDER_BYTES: usize = 4 << 20;

/// Sends the order; its first bytes carry the listener.
pub(crate) fn send(socket: &mut UnixStream, order: &GatewayOrder, listener: &OwnedFd) -> io::Result<()> {
    let body = serde_json::to_vec(order)?;
    let length = u32::try_from(body.len())
        .ok()
        .filter(|_| body.len() <= MOST_ORDER_BYTES);
    let length = length.ok_or(io::ErrorKind::FileTooLarge)?.to_be_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [listener.as_fd()];
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let sent = sendmsg(&*socket, &[IoSlice::new(&length)], &mut control, SendFlags::NOSIGNAL)?;
    if sent != LENGTH_BYTES {
        return Err(io::ErrorKind::WriteZero.into());
    }
    socket.write_all(&body)
}

/// Receives the order and the listener.
pub(crate) fn receive(socket: &mut UnixStream) -> io::Result<(GatewayOrder, OwnedFd)> {
    let mut length = [0; LENGTH_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut length)];
    let received = recvmsg(&*socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut listener = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            listener = rights.last();
        }
    }
    if received.bytes != LENGTH_BYTES || received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let listener = listener.ok_or(io::ErrorKind::InvalidData)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MOST_ORDER_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body)?;
    Ok((serde_json::from_slice(&body)?, listener))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use super::{receive, send};
    use crate::order::{Budget, Dialect, GatewayLimits, GatewayOrder, Preflight};

    fn order(hosts: usize) -> GatewayOrder {
        GatewayOrder {
            routes: Vec::new(),
            dialects: vec![Dialect::Messages],
            limits: GatewayLimits::default(),
            budget: Budget::default(),
            provider_tools: Vec::new(),
            request_fields: Vec::new(),
            preflight: Preflight::None,
            egress: (0..hosts).map(|host| format!("host-{host}.example:443")).collect(),
        }
    }

    #[test]
    fn an_order_larger_than_any_datagram_arrives_with_its_listener() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sent = order(50_000);
        let sender = thread::spawn({
            let sent = sent.clone();
            move || send(&mut ours, &sent, &OwnedFd::from(listener)).unwrap()
        });
        let (received, listener) = receive(&mut theirs).unwrap();
        sender.join().unwrap();
        assert_eq!(received, sent);
        assert_eq!(TcpListener::from(listener).local_addr().unwrap(), address);
    }

    #[test]
    fn an_order_without_listener_or_with_a_lie_about_its_length_is_an_error() {
        for bytes in [&b"\0\0\0\x02{}"[..], b"\xff\xff\xff\xff", b"\0", b""] {
            let (mut ours, mut theirs) = UnixStream::pair().unwrap();
            ours.write_all(bytes).unwrap();
            drop(ours);
            assert!(receive(&mut theirs).is_err(), "{bytes:?}");
        }
    }
}
