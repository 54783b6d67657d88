//! Frames and descriptors over the SEQPACKET control socket.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, UCred, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// More than any frame: the mount table of a jail is the longest part.
const FRAME_BYTES: usize = 160 * 1024;
const DESCRIPTORS: usize = 4;

/// Sends one frame with its descriptors.
pub(crate) fn send<T: Serialize>(socket: impl AsFd, frame: &T, descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let bytes = serde_json::to_vec(frame).map_err(|_| Errno::INVAL)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let rights = SendAncillaryMessage::ScmRights(descriptors);
    if !descriptors.is_empty() && !control.push(rights) {
        return Err(Errno::INVAL);
    }
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL).map(drop)
}

/// One received frame.
#[derive(Debug)]
pub(crate) struct Received<T> {
    pub(crate) frame: T,
    pub(crate) descriptors: Vec<OwnedFd>,
    /// Process, uid and gid of the sender as the kernel sees them from here, where asked for.
    pub(crate) sender: Option<UCred>,
}

/// Receives one frame; `None` when the other side is gone.
pub(crate) fn receive<T: DeserializeOwned>(socket: impl AsFd, wait: bool) -> Result<Option<Received<T>>, Errno> {
    let mut bytes = vec![0; FRAME_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS), ScmCredentials(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut flags = RecvFlags::CMSG_CLOEXEC;
    flags.set(RecvFlags::DONTWAIT, !wait);
    let received = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags) {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Ok(None),
            other => break other?,
        }
    };
    let (mut descriptors, mut sender) = (Vec::new(), None);
    for message in control.drain() {
        match message {
            RecvAncillaryMessage::ScmRights(rights) => descriptors.extend(rights),
            RecvAncillaryMessage::ScmCredentials(credentials) => sender = Some(credentials),
            _ => {}
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(Errno::MSGSIZE);
    }
    let frame = bytes.get(..received.bytes).unwrap_or_default();
    let frame = serde_json::from_slice(frame).map_err(|_| Errno::BADMSG)?;
    Ok(Some(Received {
        frame,
        descriptors,
        sender,
    }))
}
