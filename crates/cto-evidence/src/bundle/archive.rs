//! Reading a bundle that is a `.tar.zst`: streamed, never unpacked to disk, refused on anything but plain files.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

use cto_schema::escape;

use super::{BundleError, Taker};

/// Largest window that a frame may ask for: 2^25 bytes; `cto export` needs less.
const WINDOW_LOG_MAX: u32 = 25;
/// Up to this output no ratio is judged: small archives of zeros are harmless.
const RATIO_FREE_BYTES: u64 = 64 << 20;
/// Output to input beyond which an archive is a bomb.
const RATIO_MAX: u64 = 2_000;

/// Takes every file of the archive and returns the name of its single top directory.
pub(super) fn read(path: &Path, taker: &mut Taker) -> Result<String, BundleError> {
    let file = File::open(path).map_err(|error| taker.read_error(&error))?;
    let consumed = Rc::new(Cell::new(0));
    let input = Counted {
        inner: file,
        read: Rc::clone(&consumed),
    };
    let shown = taker.path().to_owned();
    let refuse = |what: String| BundleError::Archive {
        path: shown.clone(),
        what,
    };
    let mut decoder =
        zstd::stream::read::Decoder::with_buffer(BufReader::new(input)).map_err(|error| taker.read_error(&error))?;
    decoder
        .window_log_max(WINDOW_LOG_MAX)
        .map_err(|error| taker.read_error(&error))?;
    let limit = taker.limits().total_bytes;
    let mut plain = Bounded {
        inner: decoder,
        consumed,
        produced: 0,
        limit,
    };
    let mut top: Option<Vec<u8>> = None;
    let mut archive = tar::Archive::new(&mut plain);
    let unreadable = |error: io::Error| refuse(escape(error.to_string().as_bytes(), 200));
    for entry in archive.entries().map_err(unreadable)?.raw(true) {
        let mut entry = entry.map_err(unreadable)?;
        taker.count()?;
        let full = entry.path_bytes().into_owned();
        let kind = entry.header().entry_type();
        if !kind.is_file() && !kind.is_dir() {
            let shown = escape(&full, 200);
            return Err(refuse(format!("'{shown}' is a link, a special file or an extension")));
        }
        let name = inside(&full, kind.is_dir(), &mut top).map_err(&refuse)?;
        if let Some(name) = name {
            let size_bytes = entry.size();
            taker.take(&name, size_bytes, &mut entry)?;
        }
    }
    drain(&mut plain).map_err(unreadable)?;
    let top = top.ok_or_else(|| refuse("it is empty".to_owned()))?;
    Ok(escape(&top, 200))
}

/// Returns the name below the single top directory; `None` for a directory.
fn inside(full: &[u8], is_dir: bool, top: &mut Option<Vec<u8>>) -> Result<Option<Vec<u8>>, String> {
    let shown = || escape(full, 200);
    let path = if is_dir {
        full.strip_suffix(b"/").unwrap_or(full)
    } else {
        full
    };
    let mut parts = path.splitn(2, |b| *b == b'/');
    let first = parts.next().unwrap_or_default();
    let rest = parts.next();
    if first.is_empty() || first.starts_with(b".") || (rest.is_none() && !is_dir) {
        return Err(format!(
            "'{}' does not lie in one top directory named for the run",
            shown()
        ));
    }
    match top {
        Some(top) if top != first => {
            return Err(format!("'{}' lies in a second top directory", shown()));
        }
        Some(_) => {}
        None => *top = Some(first.to_owned()),
    }
    Ok(rest.filter(|_| !is_dir).map(<[u8]>::to_owned))
}

/// Reads what follows the end of the archive, which must be padding.
fn drain(reader: &mut impl Read) -> io::Result<()> {
    let mut buffer = [0; 8192];
    let mut padding = 0;
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        padding += read;
        if buffer[..read].iter().any(|b| *b != 0) || padding > 1 << 20 {
            return Err(io::Error::other("there is data after its end"));
        }
    }
}

/// Counts what was read.
struct Counted<R> {
    inner: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read.set(self.read.get() + read as u64);
        Ok(read)
    }
}

/// Ends a stream that grows beyond a limit, or beyond any honest ratio to its input.
struct Bounded<R> {
    inner: R,
    consumed: Rc<Cell<u64>>,
    produced: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.produced += read as u64;
        if self.produced > self.limit.saturating_add(64 << 20) {
            return Err(io::Error::other(format!(
                "it unpacks to more than {} bytes",
                self.limit
            )));
        }
        if self.produced > RATIO_FREE_BYTES && self.produced / self.consumed.get().max(1) > RATIO_MAX {
            return Err(io::Error::other(format!(
                "it unpacks to more than {RATIO_MAX} times its size"
            )));
        }
        Ok(read)
    }
}
