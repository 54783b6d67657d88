//! Undoes the compression of a body as it comes, never beyond a bound.

use std::fmt;
use std::io::{self, Write};

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use hyper::HeaderMap;
use hyper::header::CONTENT_ENCODING;

/// No window of a zstd frame is larger (RFC 8878 asks decoders for 8 MiB); more would be memory for nothing.
const ZSTD_WINDOW_LOG: u32 = 23;
const BROTLI_BUFFER_BYTES: usize = 4096;

/// A compression that a `Content-Encoding` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Encoding {
    /// Reads the headers of a message; `None` for a compression that is not known or for several at once.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        match (values.next(), values.next()) {
            (None, _) => Some(Self::Identity),
            (Some(value), None) => value.to_str().ok().and_then(Self::of_word),
            _ => None,
        }
    }

    fn of_word(header: &str) -> Option<Self> {
        Some(match header.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            "br" => Self::Brotli,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }
}

/// Why bytes could not be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeFault {
    /// They are not what the header says.
    Lies,
    /// There are more than allowed.
    TooLarge,
}

/// Collects what a decoder writes, up to a bound.
struct Sink {
    bytes: Vec<u8>,
    left: u64,
    is_full: bool,
}

impl Sink {
    /// What was written since the last time, or what is wrong.
    fn given(&mut self, done: &io::Result<()>) -> Result<Bytes, DecodeFault> {
        match done {
            Ok(()) => Ok(std::mem::take(&mut self.bytes).into()),
            Err(_) if self.is_full => Err(DecodeFault::TooLarge),
            Err(_) => Err(DecodeFault::Lies),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        match self.left.checked_sub(piece.len() as u64) {
            Some(left) => self.left = left,
            None => {
                self.is_full = true;
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The crate's own writer does not notice that a stream was cut.
struct Zlib {
    state: Decompress,
    sink: Sink,
    is_done: bool,
}

impl Zlib {
    fn feed(&mut self, mut piece: &[u8]) -> io::Result<()> {
        let mut buffer = [0; 8192];
        loop {
            if self.is_done {
                return match piece.is_empty() {
                    true => Ok(()),
                    false => Err(io::ErrorKind::InvalidData.into()),
                };
            }
            let (read, written) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(piece, &mut buffer, FlushDecompress::None)?;
            let came = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
            let (read, written) = (came(self.state.total_in(), read), came(self.state.total_out(), written));
            self.sink.write_all(&buffer[..written])?;
            piece = &piece[read..];
            self.is_done = status == Status::StreamEnd;
            if !self.is_done && read == 0 && written == 0 {
                return Ok(());
            }
        }
    }
}

enum Inner {
    /// How much may still come; the bytes themselves go through.
    Identity(u64),
    Gzip(flate2::write::GzDecoder<Sink>),
    Deflate(Zlib),
    Brotli(Box<brotli_decompressor::DecompressorWriter<Sink>>),
    Zstd(zstd::stream::write::Decoder<'static, Sink>),
}

/// Decodes one body.
pub(crate) struct Decoder(Inner);

impl fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Decoder")
    }
}

impl Decoder {
    /// A decoder that gives at most so many bytes.
    pub(crate) fn new(encoding: Encoding, most_bytes: u64) -> Result<Self, DecodeFault> {
        let sink = Sink {
            bytes: Vec::new(),
            left: most_bytes,
            is_full: false,
        };
        Ok(Self(match encoding {
            Encoding::Identity => Inner::Identity(most_bytes),
            Encoding::Gzip => Inner::Gzip(flate2::write::GzDecoder::new(sink)),
            Encoding::Deflate => Inner::Deflate(Zlib {
                state: Decompress::new(true),
                sink,
                is_done: false,
            }),
            Encoding::Brotli => Inner::Brotli(Box::new(brotli_decompressor::DecompressorWriter::new(
                sink,
                BROTLI_BUFFER_BYTES,
            ))),
            Encoding::Zstd => {
                let mut raw = zstd::stream::raw::Decoder::new().map_err(|_| DecodeFault::Lies)?;
                raw.set_parameter(zstd::stream::raw::DParameter::WindowLogMax(ZSTD_WINDOW_LOG))
                    .map_err(|_| DecodeFault::Lies)?;
                Inner::Zstd(zstd::stream::write::Decoder::with_decoder(sink, raw))
            }
        }))
    }

    /// Takes in a piece, gives what it holds: the piece itself where nothing is compressed.
    pub(crate) fn feed(&mut self, piece: Bytes) -> Result<Bytes, DecodeFault> {
        let (done, sink) = match &mut self.0 {
            Inner::Identity(left) => {
                *left = left.checked_sub(piece.len() as u64).ok_or(DecodeFault::TooLarge)?;
                return Ok(piece);
            }
            Inner::Gzip(decoder) => (
                decoder.write_all(&piece).and_then(|()| decoder.flush()),
                decoder.get_mut(),
            ),
            Inner::Deflate(decoder) => (decoder.feed(&piece), &mut decoder.sink),
            Inner::Brotli(decoder) => (decoder.write_all(&piece), decoder.get_mut()),
            Inner::Zstd(decoder) => (
                decoder.write_all(&piece).and_then(|()| decoder.flush()),
                decoder.get_mut(),
            ),
        };
        sink.given(&done)
    }

    /// The body is over: gives the rest, or says that it is not whole.
    pub(crate) fn end(&mut self) -> Result<Bytes, DecodeFault> {
        let (done, sink) = match &mut self.0 {
            Inner::Identity(_) => return Ok(Bytes::new()),
            Inner::Gzip(decoder) => (decoder.try_finish(), decoder.get_mut()),
            Inner::Deflate(decoder) => {
                let done = match decoder.is_done {
                    true => Ok(()),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
                (done, &mut decoder.sink)
            }
            Inner::Brotli(decoder) => (decoder.close(), decoder.get_mut()),
            Inner::Zstd(decoder) => (decoder.do_finish(), decoder.get_mut()),
        };
        sink.given(&done)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use bytes::Bytes;
    use hyper::HeaderMap;
    use hyper::header::HeaderValue;

    use super::{DecodeFault, Decoder, Encoding};

    /// `{"model":"scripted","padding":"aaaa…"}` (400 letters), compressed by the reference encoder.
    const BROTLI: &[u8] = include_bytes!("../tests/data/body.json.br");

    fn body() -> Vec<u8> {
        format!("{{\"model\":\"scripted\",\"padding\":\"{}\"}}", "a".repeat(400)).into_bytes()
    }

    fn packed(encoding: Encoding, body: &[u8]) -> Vec<u8> {
        let level = flate2::Compression::default();
        match encoding {
            Encoding::Identity => body.to_vec(),
            Encoding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Deflate => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            Encoding::Zstd => zstd::encode_all(body, 3).unwrap(),
            Encoding::Brotli => BROTLI.to_vec(),
        }
    }

    fn unpacked(encoding: Encoding, packed: &[u8], piece: usize, most: u64) -> Result<Vec<u8>, DecodeFault> {
        let mut decoder = Decoder::new(encoding, most)?;
        let mut bytes = Vec::new();
        for piece in packed.chunks(piece) {
            bytes.extend(decoder.feed(Bytes::copy_from_slice(piece))?);
        }
        bytes.extend(decoder.end()?);
        Ok(bytes)
    }

    const ALL: [Encoding; 4] = [Encoding::Gzip, Encoding::Deflate, Encoding::Brotli, Encoding::Zstd];

    #[test]
    fn what_is_not_compressed_goes_through_up_to_the_bound() {
        for piece in [1, 7, 4096] {
            assert_eq!(unpacked(Encoding::Identity, &body(), piece, 1000), Ok(body()));
            let most = body().len() as u64 - 1;
            assert_eq!(
                unpacked(Encoding::Identity, &body(), piece, most),
                Err(DecodeFault::TooLarge)
            );
        }
    }

    #[test]
    fn every_encoding_gives_the_body_back_whatever_the_pieces() {
        for encoding in ALL {
            let packed = packed(encoding, &body());
            for piece in [1, 7, 4096] {
                assert_eq!(
                    unpacked(encoding, &packed, piece, 1000),
                    Ok(body()),
                    "{encoding:?} {piece}"
                );
            }
        }
    }

    #[test]
    fn a_body_that_is_cut_or_has_more_behind_it_lies() {
        for encoding in ALL {
            let packed = packed(encoding, &body());
            for end in 1..packed.len() {
                let cut = unpacked(encoding, &packed[..end], 4096, 1000);
                assert_eq!(cut, Err(DecodeFault::Lies), "{encoding:?} cut at {end}");
            }
            let more = [&packed[..], b"more"].concat();
            assert_eq!(
                unpacked(encoding, &more, 4096, 1000),
                Err(DecodeFault::Lies),
                "{encoding:?}"
            );
            assert_eq!(
                unpacked(encoding, b"no such thing", 4096, 1000),
                Err(DecodeFault::Lies),
                "{encoding:?}"
            );
        }
    }

    #[test]
    fn a_bomb_stops_at_the_bound() {
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
            let packed = packed(encoding, &vec![b' '; 50 << 20]);
            assert!(packed.len() < 100_000);
            assert_eq!(
                unpacked(encoding, &packed, 4096, 1 << 20),
                Err(DecodeFault::TooLarge),
                "{encoding:?}"
            );
        }
        assert_eq!(
            unpacked(Encoding::Brotli, BROTLI, 4096, 100),
            Err(DecodeFault::TooLarge)
        );
    }

    #[test]
    fn headers_that_name_nothing_known_or_several_are_refused() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("content-encoding", HeaderValue::from_static(value));
            }
            Encoding::of(&headers)
        };
        assert_eq!(of(&[]), Some(Encoding::Identity));
        assert_eq!(of(&["GZIP"]), Some(Encoding::Gzip));
        for bad in [
            &["gzip, gzip"][..],
            &["compress"],
            &["identity", "gzip"],
            &["gzip", "gzip"],
        ] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }
}
