//! The body of a reply: its steps, played by a task into a channel that holds little.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

use super::reply::Step;

/// How many pieces may wait for the client.
const WAITING_PIECES: usize = 4;

/// How long a connection that is going to break is left alone first.
const SETTLE_TIME: Duration = Duration::from_millis(50);

/// A body that a task fills.
#[derive(Debug)]
pub(super) struct PlayedBody {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
}

impl PlayedBody {
    /// Starts to play steps, for no longer than `longest`.
    pub(super) fn play(steps: Vec<Step>, longest: Duration) -> Self {
        let (sender, pieces) = mpsc::channel(WAITING_PIECES);
        tokio::spawn(async move {
            let played = tokio::time::timeout(longest, play(steps, &sender)).await;
            if !matches!(played, Ok(Ended::Whole)) {
                // Nobody may be there any more to see the connection break.
                drop(sender.send(Err(io::ErrorKind::ConnectionAborted.into())).await);
            }
        });
        Self { pieces }
    }
}

/// How a body ended.
enum Ended {
    Whole,
    Broken,
}

async fn play(steps: Vec<Step>, sender: &mpsc::Sender<io::Result<Bytes>>) -> Ended {
    let send = async |bytes: Bytes| sender.send(Ok(bytes)).await.is_ok();
    for step in steps {
        let sent = match step {
            Step::Send(bytes) => bytes.is_empty() || send(bytes).await,
            Step::Drip(bytes, pause) => {
                let mut there = true;
                for at in 0..bytes.len() {
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = sender.closed() => {}
                    }
                    there = there && send(bytes.slice(at..=at)).await;
                    if !there {
                        break;
                    }
                }
                there
            }
            Step::Repeat(bytes, times) => {
                let mut left = times;
                while left > 0 && send(bytes.clone()).await {
                    left -= 1;
                }
                left == 0
            }
            Step::Settle => {
                tokio::time::sleep(SETTLE_TIME).await;
                true
            }
            Step::Hang => {
                sender.closed().await;
                false
            }
            Step::Cut => false,
        };
        if !sent {
            return Ended::Broken;
        }
    }
    Ended::Whole
}

impl Body for PlayedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.pieces
            .poll_recv(context)
            .map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// Reads a request's body, up to `limit` bytes; none when it is larger or does not come whole.
pub(super) async fn read<B>(mut body: B, limit: usize) -> Option<Vec<u8>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut all = vec![];
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let data = frame.ok()?.into_data().unwrap_or_default();
        if all.len() + data.len() > limit {
            return None;
        }
        all.extend_from_slice(&data);
    }
    Some(all)
}
