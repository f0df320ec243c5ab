//! Each layer: told apart, decoded, and stopped at the limit.

use super::*;
use std::io::Write;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn lz4(data: &[u8], checksum: bool) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().content_checksum(checksum);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn open(data: &[u8], limit: usize) -> Result<Vec<u8>, LayerError> {
    let Layer::Compressed(codec, inside) = recognise(data) else {
        panic!("not recognised as compressed");
    };
    let mut out = Vec::new();
    decompress(codec, inside, limit, &mut out).map(|()| out)
}

#[test]
fn every_codec_opens_and_stops_at_the_limit() {
    let text = vec![b'{'; 5000];
    let mut snappy = snap::write::FrameEncoder::new(Vec::new());
    snappy.write_all(&text).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(&text).unwrap();
    let glue = [&[3, 5][..], &[7; 16], &zlib.finish().unwrap()].concat();
    for packed in [
        gzip(&text),
        zstd::encode_all(&text[..], 1).unwrap(),
        lz4(&text, false),
        lz4(&text, true),
        snappy.into_inner().unwrap(),
        glue,
    ] {
        assert_eq!(open(&packed, 5000).unwrap(), text);
        assert!(matches!(open(&packed, 4999), Err(LayerError::TooLarge)));
        let cut = &packed[..packed.len() - 6];
        assert!(matches!(open(cut, 5000), Err(LayerError::Corrupt(_))));
    }
}

#[test]
fn members_and_frames_are_concatenated() {
    for packed in [
        [gzip(b"{}"), gzip(b"[]")].concat(),
        [lz4(b"{}", true), lz4(b"[]", false)].concat(),
        [
            zstd::encode_all(&b"{}"[..], 1).unwrap(),
            zstd::encode_all(&b"[]"[..], 1).unwrap(),
        ]
        .concat(),
    ] {
        assert_eq!(open(&packed, 4).unwrap(), b"{}[]");
        assert!(matches!(open(&packed, 3), Err(LayerError::TooLarge)));
    }
}

#[test]
fn zeros_may_follow_gzip_and_must_not_end_it() {
    let text = br#"{"a":1}"#;
    let packed = gzip(text);
    let empty = gzip(b"");
    for zeros in [1, 2, 9, 10, 11, 512, 5000] {
        let padded = [&packed[..], &vec![0; zeros]].concat();
        assert_eq!(open(&padded, 7).unwrap(), text, "{zeros}");
        assert!(matches!(open(&padded, 6), Err(LayerError::TooLarge)));
        let padded = [&packed[..], &empty, &vec![0; zeros]].concat();
        assert_eq!(open(&padded, 7).unwrap(), text, "{zeros}");
        let followed = [&packed[..], &vec![0; zeros], b"x"].concat();
        assert!(matches!(open(&followed, 7), Err(LayerError::Corrupt(_))));
    }
    // The last bytes of a member are zeros, as it decodes to so little.
    for cut in 1..packed.len() - 10 {
        let cut = &packed[..packed.len() - cut];
        assert!(matches!(open(cut, 7), Err(LayerError::Corrupt(_))));
    }
}

#[test]
fn zlib_is_told_from_text() {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(br#"{"a":1}"#).unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(open(&packed, 7).unwrap(), br#"{"a":1}"#);
    let coded = BASE64.encode(&packed);
    assert_eq!(recognise(coded.as_bytes()), Layer::Base64(coded.as_bytes()));
    for text in [&b"x^2 + y^2 = z^2"[..], b"x"] {
        assert_eq!(recognise(text), Layer::Unknown);
    }
}

#[test]
fn utf16_is_known_by_its_mark_or_its_first_letters() {
    let units = |order: ByteOrder, text: &str| -> Vec<u8> {
        let bytes = |unit: u16| match order {
            ByteOrder::Little => unit.to_le_bytes(),
            ByteOrder::Big => unit.to_be_bytes(),
        };
        text.encode_utf16().flat_map(bytes).collect()
    };
    for order in [ByteOrder::Little, ByteOrder::Big] {
        for text in ["{\"a\":\"\u{e9}\u{1f600}\"}", "\u{feff}{\"a\":1}"] {
            let data = units(order, text);
            let Layer::Utf16(found, inside) = recognise(&data) else {
                panic!("{text}");
            };
            assert_eq!(found, order);
            let mut out = Vec::new();
            decode_utf16(inside, order, 100, &mut out).unwrap();
            assert_eq!(out, text.trim_start_matches('\u{feff}').as_bytes());
            out.clear();
            let outcome = decode_utf16(inside, order, 5, &mut out);
            assert!(matches!(outcome, Err(LayerError::TooLarge)));
        }
    }
    let mut out = Vec::new();
    decode_utf16(&[0x00, 0xd8, b'x', 0], ByteOrder::Little, 9, &mut out).unwrap();
    assert_eq!(out, "\u{fffd}x".as_bytes());
    let odd = decode_utf16(b"{", ByteOrder::Little, 9, &mut out);
    assert!(matches!(odd, Err(LayerError::Corrupt(_))));
}

#[test]
fn framings_are_stripped_and_binary_ones_named() {
    assert_eq!(recognise(b"\0\0\0\0\x2a{}"), Layer::Framed(b"{}"));
    assert_eq!(recognise(b"\0\0\0\0\x2a []"), Layer::Framed(b" []"));
    assert!(matches!(
        recognise(b"\0\0\0\0\x2a\0{}"),
        Layer::Unsupported(_)
    ));
    let glue = [&[3, 0][..], &[9; 16], b"{}"].concat();
    assert_eq!(recognise(&glue), Layer::Framed(b"{}"));
    let avro = [&[3, 0][..], &[9; 16], b"\x02a"].concat();
    assert!(matches!(recognise(&avro), Layer::Unsupported(_)));
    assert_eq!(recognise(b"\xef\xbb\xbf{}"), Layer::Framed(b"{}"));
    assert!(matches!(recognise(b"PAR1\x15"), Layer::Unsupported(_)));
    assert!(matches!(recognise(b"Obj\x01\x04"), Layer::Unsupported(_)));
}

#[test]
fn text_is_told_from_base64_and_from_nothing() {
    assert_eq!(recognise(b" \n"), Layer::Empty);
    assert_eq!(recognise(b"null"), Layer::Empty);
    assert_eq!(recognise(b" {} "), Layer::Text(b"{}"));
    assert_eq!(recognise(b"\"a,b\""), Layer::Text(b"\"a,b\""));
    assert!(matches!(
        recognise(b"\"eventVersion\",\"eventName\"\n\"1.08\",\"ListRoles\""),
        Layer::Unsupported(_)
    ));
    assert_eq!(recognise(b"eyJhIjoxfQ=="), Layer::Base64(b"eyJhIjoxfQ=="));
    assert_eq!(recognise(b"eyJhIjoxfQ"), Layer::Base64(b"eyJhIjoxfQ"));
    let coded = BASE64.encode(gzip(b"{}"));
    assert!(coded.starts_with("H4sI"));
    assert_eq!(recognise(coded.as_bytes()), Layer::Base64(coded.as_bytes()));
    for unknown in [
        &b"hello"[..],
        b"12345678",
        b"eyJh IjoxfQ==",
        b"\0\0",
        b"<xml/>",
        b"helloworld12",
    ] {
        assert_eq!(recognise(unknown), Layer::Unknown, "{unknown:?}");
    }
}

#[test]
fn base64_stops_at_the_limit() {
    let mut out = Vec::new();
    decode_base64(b"eyJhIjoxfQ==", 7, &mut out).unwrap();
    assert_eq!(out, br#"{"a":1}"#);
    for limit in [0, 6] {
        out.clear();
        let outcome = decode_base64(b"eyJhIjoxfQ==", limit, &mut out);
        assert!(matches!(outcome, Err(LayerError::TooLarge)));
    }
    assert!(matches!(
        decode_base64(b"eyJ*", 9, &mut out),
        Err(LayerError::Corrupt(_))
    ));
}
