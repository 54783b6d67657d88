//! Reads the body of a request: bounded, decoded, whole.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use crate::admit::Refusal;
use crate::call::Place;
use crate::decode::{DecodeFault, Decoder, Encoding};
use crate::record::RefusalReason;

/// Between two pieces of a request; the engine is on this machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of a body that nobody wants is looked at.
const MOST_PEEKED: usize = 256 << 10;
/// How long a body that nobody wants is still read, so that its sender gets to see the answer.
const DRAIN: Duration = Duration::from_secs(2);

/// Reads and decodes.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Incoming,
    most_bytes: u64,
    place: &mut Place,
) -> Result<Bytes, Refusal> {
    let unreadable = |detail: &str| Refusal::new(RefusalReason::BodyUnreadable, detail);
    let too_large = || {
        Refusal::new(
            RefusalReason::TooLarge,
            format!("a body of more than {most_bytes} bytes"),
        )
    };
    let encoding = Encoding::of(headers).ok_or_else(|| unreadable("an unknown compression, or several"))?;
    if body.size_hint().lower() > most_bytes {
        return Err(too_large());
    }
    let fault = |fault| match fault {
        DecodeFault::Lies => unreadable("a compression that is not what the header says"),
        DecodeFault::TooLarge => too_large(),
    };
    let mut decoder = Decoder::new(encoding, most_bytes).map_err(fault)?;
    let (mut whole, mut came) = (BytesMut::new(), 0_u64);
    loop {
        let frame = timeout(PATIENCE, body.frame())
            .await
            .map_err(|_| unreadable("a body that does not go on"))?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| unreadable("a body that is not whole"))?;
        let Ok(piece) = frame.into_data() else { continue };
        came = came.saturating_add(piece.len() as u64);
        if came > most_bytes {
            return Err(too_large());
        }
        let piece = decoder.feed(piece).map_err(fault)?;
        if !place.hold(&piece) {
            let detail = "all calls together hold more than allowed";
            return Err(Refusal::new(RefusalReason::TooMany, detail));
        }
        whole.extend_from_slice(&piece);
    }
    whole.extend_from_slice(&decoder.end().map_err(fault)?);
    Ok(whole.freeze())
}

/// Reads a body away: closing a socket that holds unread bytes would take the answer away from its reader. Returns its
/// beginning, as it came.
pub(crate) async fn drain(mut body: Incoming, most_bytes: u64) -> Vec<u8> {
    let mut beginning = Vec::new();
    let reading = async {
        let mut came = 0_u64;
        while let Some(Ok(frame)) = body.frame().await {
            let piece = frame.data_ref().map(Bytes::as_ref).unwrap_or_default();
            came = came.saturating_add(piece.len() as u64);
            let room = MOST_PEEKED.saturating_sub(beginning.len()).min(piece.len());
            beginning.extend_from_slice(piece.get(..room).unwrap_or_default());
            if came > most_bytes {
                break;
            }
        }
    };
    // After that the sender may see its connection end instead.
    drop(timeout(DRAIN, reading).await);
    beginning
}
