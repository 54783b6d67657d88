//! The gateway's end of the record stream: one line each, written by a thread of its own.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use crate::record::Record;

/// Takes records from anywhere. Their number is bounded by the limits of the order.
#[derive(Clone, Debug)]
pub(crate) struct RecordsOut(Sender<Record>);

impl RecordsOut {
    /// Starts the writer.
    pub(crate) fn start(to: impl Write + Send + 'static) -> (Self, JoinHandle<io::Result<()>>) {
        let (sender, receiver) = channel();
        (Self(sender), thread::spawn(move || write(&receiver, to)))
    }

    pub(crate) fn send(&self, record: Record) {
        // The writer is only gone when nobody reads any more; the control socket then ends the process.
        drop(self.0.send(record));
    }
}

fn write(records: &Receiver<Record>, mut to: impl Write) -> io::Result<()> {
    for record in records {
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        to.write_all(&line)?;
        to.flush()?;
    }
    Ok(())
}
