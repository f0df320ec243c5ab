//! The layers that lie around JSON: compression, base64, the framings of schema registries, the byte order mark.
//!
//! In: bytes. Out: which layer they are in, and what is inside it. Decoding stops at a limit, so that a bomb costs no
//! more than the limit allows. It knows nothing of CloudTrail, but for two table formats whose rejection can be named.

use std::io::{self, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT as BASE64;

use crate::cloudtrail::scan;

/// What bytes turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer<'a> {
    /// Nothing, or nothing but white space, or JSON's null.
    Empty,
    /// What may be JSON: it begins as JSON does.
    Text(&'a [u8]),
    /// Compressed bytes.
    Compressed(Codec, &'a [u8]),
    /// Text in two bytes a letter, as PowerShell writes it.
    Utf16(ByteOrder, &'a [u8]),
    /// Base64 of something that begins as a known layer does.
    Base64(&'a [u8]),
    /// The same bytes without a header.
    Framed(&'a [u8]),
    /// Known, and not readable here; the text says what it is and what to do.
    Unsupported(&'static str),
    /// None of these.
    Unknown,
}

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Gzip,
    Zlib,
    Zstd,
    Lz4,
    Snappy,
}

impl Codec {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Snappy => "snappy",
        }
    }
}

/// Which byte of UTF-16's two comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

/// The byte order mark of UTF-8. Windows' programs write it before a text, and so before each line that they append.
pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";

/// What RFC 7464 puts before each text.
const RECORD_SEPARATOR: u8 = 0x1e;

/// The place past the marks at `at` that stand around texts: byte order mark, record separator, and the NUL at the end of a
/// C string.
pub(super) fn skip_marks(text: &[u8], mut at: usize) -> usize {
    loop {
        match text.get(at) {
            Some(&(0 | RECORD_SEPARATOR)) => at += 1,
            Some(0xef) if text.get(at..).is_some_and(|rest| rest.starts_with(BOM)) => {
                at += BOM.len();
            }
            _ => return at,
        }
    }
}

/// The same, with white space among them.
pub(super) fn skip_marks_and_space(text: &[u8], mut at: usize) -> usize {
    loop {
        let next = skip_marks(text, scan::skip_space(text, at));
        if next == at {
            return at;
        }
        at = next;
    }
}

/// The text without such marks at either end.
pub(super) fn without_marks(text: &[u8]) -> &[u8] {
    let mut end = text.len();
    while let Some(byte) = end.checked_sub(1).and_then(|last| text.get(last)) {
        if !scan::is_space(*byte) && !matches!(*byte, 0 | RECORD_SEPARATOR) {
            break;
        }
        end -= 1;
    }
    text.get(skip_marks_and_space(text, 0)..end)
        .unwrap_or_default()
}

/// By its first bytes, how something is compressed.
fn codec(data: &[u8]) -> Option<Codec> {
    let known: [(&[u8], Codec); 4] = [
        (b"\x1f\x8b", Codec::Gzip),
        (b"\x28\xb5\x2f\xfd", Codec::Zstd),
        (b"\x04\x22\x4d\x18", Codec::Lz4),
        (b"\xff\x06\x00\x00sNaPpY", Codec::Snappy),
    ];
    known
        .into_iter()
        .find_map(|(magic, codec)| data.starts_with(magic).then_some(codec))
        .or_else(|| is_zlib(data).then_some(Codec::Zlib))
}

/// Whether bytes begin as zlib's do, for each level of compression, and go on as no text does: some of it are letters.
fn is_zlib(data: &[u8]) -> bool {
    matches!(data, [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..])
        && data
            .iter()
            .take(16)
            .any(|byte| !byte.is_ascii() || (byte.is_ascii_control() && !scan::is_space(*byte)))
}

/// The order of the bytes of UTF-16, by its mark or by the letters of JSON at its beginning.
fn utf16(data: &[u8]) -> Option<(ByteOrder, &[u8])> {
    match data {
        [0xff, 0xfe, rest @ ..] => Some((ByteOrder::Little, rest)),
        [0xfe, 0xff, rest @ ..] => Some((ByteOrder::Big, rest)),
        [b'{' | b'[', 0, _, 0, ..] => Some((ByteOrder::Little, data)),
        [0, b'{' | b'[', 0, _, 0, ..] => Some((ByteOrder::Big, data)),
        _ => None,
    }
}

/// Recognises the outermost layer.
pub(super) fn recognise(data: &[u8]) -> Layer<'_> {
    match codec(data) {
        Some(Codec::Zstd) if cfg!(not(feature = "zstd")) => {
            return Layer::Unsupported(
                "compressed with zstd, which this build does not read: build trailtag with its feature `zstd`",
            );
        }
        Some(codec) => return Layer::Compressed(codec, data),
        None => {}
    }
    if let Some((order, text)) = utf16(data) {
        return Layer::Utf16(order, text);
    }
    match data {
        [0, _, _, _, _, rest @ ..] => return confluent(data, rest),
        [3, compression @ (0 | 5), rest @ ..] if rest.len() >= 16 => {
            return glue(*compression, rest.get(16..).unwrap_or_default());
        }
        [b'P', b'A', b'R', b'1', ..] => {
            return Layer::Unsupported("a Parquet file: deliver CloudTrail as JSON");
        }
        [b'O', b'b', b'j', 1, ..] => {
            return Layer::Unsupported("an Avro file: deliver CloudTrail as JSON");
        }
        _ => {}
    }
    if let Some(rest) = data.strip_prefix(BOM) {
        return Layer::Framed(rest);
    }
    let text = scan::trim(data);
    match text {
        [] | b"null" => Layer::Empty,
        [b'"', ..] if is_csv(text) => Layer::Unsupported(
            "a table of comma-separated values, as CloudTrail Lake exports: deliver CloudTrail as JSON",
        ),
        [b'{' | b'[' | b'"', ..] => Layer::Text(text),
        _ if is_base64(text) => Layer::Base64(text),
        _ => Layer::Unknown,
    }
}

/// What follows the magic byte and the schema id of Confluent's framing.
fn confluent<'a>(data: &'a [u8], rest: &'a [u8]) -> Layer<'a> {
    let text = data
        .get(skip_marks_and_space(data, 0)..)
        .unwrap_or_default();
    match scan::trim(rest) {
        [b'{' | b'[', ..] => Layer::Framed(rest),
        // No framing, but the end of the text before this one.
        _ if scan::begins_as_json(text) => Layer::Framed(text),
        _ => Layer::Unsupported(
            "Avro or Protobuf in schema registry framing: its schema is not here; use the JSON Schema serialiser",
        ),
    }
}

/// What follows the header of AWS Glue's framing.
fn glue(compression: u8, rest: &[u8]) -> Layer<'_> {
    match (compression, scan::trim(rest)) {
        (5, _) => Layer::Compressed(Codec::Zlib, rest),
        (_, [b'{' | b'[', ..]) => Layer::Framed(rest),
        _ => Layer::Unsupported(
            "Avro or Protobuf in AWS Glue Schema Registry framing: its schema is not here; use JSON Schema",
        ),
    }
}

/// Whether a text that begins with a quote is a table whose first line names CloudTrail's columns.
fn is_csv(text: &[u8]) -> bool {
    let line = memchr::memchr(b'\n', text)
        .and_then(|end| text.get(..end))
        .unwrap_or(text);
    let Ok((end, _)) = scan::skip_string(line, 0) else {
        return false;
    };
    line.get(end) == Some(&b',') && memchr::memmem::find(line, b"\"event").is_some()
}

/// Whether the whole text is base64 of something that begins as a known layer or as JSON does. Two bytes of JSON,
/// since one is what many a word decodes to (`Info`, `eyelid`).
pub(super) fn is_base64(text: &[u8]) -> bool {
    let mut beginning = [0; 24];
    let coded = text.get(..text.len().min(24)).unwrap_or_default();
    let coded = coded.get(..coded.len() & !3).unwrap_or_default();
    let Ok(len) = BASE64.decode_slice(coded, &mut beginning) else {
        return false;
    };
    let beginning = beginning.get(..len).unwrap_or_default();
    let known =
        codec(beginning).is_some() || scan::begins_as_json(beginning) || beginning.starts_with(BOM);
    known
        && text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
}

/// Why a layer did not open.
#[derive(Debug)]
pub(super) enum LayerError {
    /// There is more in it than the limit.
    TooLarge,
    /// It does not decode; the text says why.
    Corrupt(String),
}

impl From<io::Error> for LayerError {
    fn from(error: io::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}

/// The least that a compressed layer takes from the limit on decoded bytes. Decoders have their cost, and what they read
/// has one that need not come out of them again: empty frames, empty blocks, and the tables that belong to them. JSON
/// decodes to five times its compressed size and more, and seldom to less than this.
pub(super) fn least_cost(data: &[u8]) -> usize {
    const A_DECODER: usize = 4096;
    const A_BYTE: usize = 3;
    data.len().saturating_mul(A_BYTE).max(A_DECODER)
}

/// Decompresses into an empty buffer, at most `limit` bytes of it.
pub(super) fn decompress(
    codec: Codec,
    data: &[u8],
    limit: usize,
    into: &mut Vec<u8>,
) -> Result<(), LayerError> {
    match codec {
        Codec::Gzip => gzip(data, limit, into),
        Codec::Zlib => fill(flate2::bufread::ZlibDecoder::new(data), limit, into),
        Codec::Snappy => fill(snap::read::FrameDecoder::new(data), limit, into),
        Codec::Zstd => zstd(data, limit, into),
        Codec::Lz4 => lz4(data, limit, into),
    }
}

/// Members, one after another. Zeros may follow the last one, as in copies of blocks and tapes; gzip passes over them
/// too.
fn gzip(data: &[u8], limit: usize, into: &mut Vec<u8>) -> Result<(), LayerError> {
    /// What a decoder reads before it finds that a member's header is none.
    const HEADER: usize = 10;
    const ZEROS: [u8; HEADER] = [0; HEADER];
    let begin = into.len();
    match fill(flate2::bufread::MultiGzDecoder::new(data), limit, into) {
        Err(LayerError::Corrupt(error)) if data.ends_with(&[0]) => {
            into.truncate(begin);
            let padded = Read::chain(data, &ZEROS[..]);
            let mut decoder = flate2::bufread::MultiGzDecoder::new(padded);
            if let Err(LayerError::TooLarge) = fill(&mut decoder, limit, into) {
                return Err(LayerError::TooLarge);
            }
            // Where it stopped at zeros that are no header, the member before them was whole.
            let (rest, padding) = decoder.get_ref().get_ref();
            let unread = rest.len() + padding.len();
            let end = (data.len() + ZEROS.len()).checked_sub(unread + HEADER);
            let Some((members, zeros)) = end.and_then(|end| data.split_at_checked(end)) else {
                return Err(LayerError::Corrupt(error));
            };
            into.truncate(begin);
            if members.is_empty() || zeros.iter().any(|byte| *byte != 0) {
                return Err(LayerError::Corrupt(error));
            }
            fill(flate2::bufread::MultiGzDecoder::new(members), limit, into)
        }
        outcome => outcome,
    }
}

/// Frames, one after another, by one decoder: it has its buffers anew for each frame that it is made for.
fn lz4(data: &[u8], limit: usize, into: &mut Vec<u8>) -> Result<(), LayerError> {
    let mut decoder = lz4_flex::frame::FrameDecoder::new(data);
    let mut rest = data;
    while !rest.is_empty() {
        fill(&mut decoder, limit, into)?;
        let read = rest.len() - decoder.get_ref().len();
        if !lz4_is_complete(rest.get(..read).unwrap_or_default()) {
            return Err(LayerError::Corrupt("the frame has no end mark".to_owned()));
        }
        rest = decoder.get_ref();
    }
    Ok(())
}

#[cfg(feature = "zstd")]
fn zstd(data: &[u8], limit: usize, into: &mut Vec<u8>) -> Result<(), LayerError> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(data)?;
    decoder.window_log_max(window_log(limit))?;
    fill(decoder, limit, into)
}

/// Not reached: [`recognise`] gives no such layer.
#[cfg(not(feature = "zstd"))]
fn zstd(_: &[u8], _: usize, _: &mut Vec<u8>) -> Result<(), LayerError> {
    Err(LayerError::Corrupt(
        "this build does not read zstd".to_owned(),
    ))
}

/// The largest window that a zstd frame may ask for, as a power of two: what the limit can need, within what the
/// format's decoders grant by default, since the decoder allocates it before it decodes anything.
#[cfg(feature = "zstd")]
fn window_log(limit: usize) -> u32 {
    limit.max(1).ilog2().saturating_add(1).clamp(23, 27)
}

/// Whether an LZ4 frame ends with its end mark: the decoder takes a cut between two blocks for the end.
fn lz4_is_complete(frame: &[u8]) -> bool {
    let has_checksum = frame.get(4).is_some_and(|flags| flags & 0x04 != 0);
    let checksum = if has_checksum { 4 } else { 0 };
    frame
        .len()
        .checked_sub(checksum)
        .and_then(|end| frame.get(..end))
        .is_some_and(|body| body.ends_with(&[0; 4]))
}

/// Reads a decoder to its end, or until the buffer would hold more than `limit` bytes.
fn fill(decoder: impl Read, limit: usize, into: &mut Vec<u8>) -> Result<(), LayerError> {
    let room = limit.saturating_sub(into.len());
    let mut bounded = decoder.take(u64::try_from(room).unwrap_or(u64::MAX).saturating_add(1));
    let outcome = bounded.read_to_end(into);
    // A bomb may well be corrupt beyond the limit: the limit comes first.
    if into.len() > limit {
        into.truncate(limit);
        return Err(LayerError::TooLarge);
    }
    outcome?;
    Ok(())
}

/// Decodes UTF-16 into an empty buffer, at most `limit` bytes of it. Half a pair of surrogates becomes U+FFFD.
pub(super) fn decode_utf16(
    text: &[u8],
    order: ByteOrder,
    limit: usize,
    into: &mut Vec<u8>,
) -> Result<(), LayerError> {
    let (units, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(LayerError::Corrupt(format!(
            "{} bytes are no whole number of letters",
            text.len()
        )));
    }
    let units = units.iter().map(|unit| match order {
        ByteOrder::Little => u16::from_le_bytes(*unit),
        ByteOrder::Big => u16::from_be_bytes(*unit),
    });
    for letter in char::decode_utf16(units) {
        let letter = letter.unwrap_or(char::REPLACEMENT_CHARACTER);
        let mut utf8 = [0; 4];
        let utf8 = letter.encode_utf8(&mut utf8).as_bytes();
        if utf8.len() > limit.saturating_sub(into.len()) {
            return Err(LayerError::TooLarge);
        }
        into.extend_from_slice(utf8);
    }
    Ok(())
}

/// Decodes base64 into an empty buffer, at most `limit` bytes of it.
pub(super) fn decode_base64(
    text: &[u8],
    limit: usize,
    into: &mut Vec<u8>,
) -> Result<(), LayerError> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    if (text.len() - padding) / 4 * 3 > limit {
        return Err(LayerError::TooLarge);
    }
    BASE64
        .decode_vec(text, into)
        .map_err(|error| LayerError::Corrupt(error.to_string()))?;
    if into.len() > limit {
        into.clear();
        return Err(LayerError::TooLarge);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
