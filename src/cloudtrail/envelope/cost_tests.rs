//! What layers cost that decode to little or nothing.

use std::io::Write as _;

use super::tests::{LIMITS, Seen, base64, gzip, ours, outline, seen_within};
use super::{Limits, Skip, layers};
use crate::model::dead_letter::Reason;

/// A deflate stream in gzip's clothes, without its checks.
fn member(deflate: &[u8]) -> Vec<u8> {
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    [&head, deflate, &[0; 8]].concat()
}

fn lz4(data: &[u8], size: lz4_flex::frame::BlockSize) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().block_size(size);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn snappy(data: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(data).unwrap();
    encoder.into_inner().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    zstd::encode_all(data, 1).unwrap()
}

/// Bits of a deflate stream, the lowest first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    fn put(&mut self, value: u32, bits: usize) {
        for bit in 0..bits {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let set = u8::try_from(value >> bit & 1).unwrap() << (self.count % 8);
            *self.bytes.last_mut().unwrap() |= set;
            self.count += 1;
        }
    }
}

/// Blocks that each bring tables of their own and nothing else: the most work that deflate can ask for.
fn tables(blocks: usize) -> Vec<u8> {
    let mut bits = Bits::default();
    for block in 1..=blocks {
        bits.put(u32::from(block == blocks), 1);
        bits.put(2, 2);
        // 257 literals, one distance, and the lengths of their code lengths: 18 and 1 have one bit, the others none.
        bits.put(0, 10);
        bits.put(14, 4);
        for length in [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] {
            bits.put(length, 3);
        }
        // 138 and 118 zeros, a one for the end of the block, a one for the distance; and the end of the block.
        bits.put(1, 1);
        bits.put(127, 7);
        bits.put(1, 1);
        bits.put(107, 7);
        bits.put(0, 3);
    }
    member(&bits.bytes)
}

/// Streams of some 256 KiB that decode to nothing, and cost their decoders something at each step.
fn nothings() -> Vec<(&'static str, Vec<u8>)> {
    const SIZE: usize = 256 << 10;
    let many = |piece: &[u8]| piece.repeat(SIZE / piece.len());
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0];
    // A window of 8 MiB, of which nothing is used; and one of 4 MiB, so that the decoder changes between them.
    let window = |exponent: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3, 1, 0, 0];
    let zstd_blocks = |block: &[u8]| {
        let head = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x50];
        [&head[..], &many(block), &[1, 0, 0]].concat()
    };
    let identifier = b"\xff\x06\0\0sNaPpY";
    let chunks = |chunk: &[u8]| [&identifier[..], &many(chunk)].concat();
    vec![
        ("gzip members", many(&member(&[3, 0]))),
        (
            "gzip stored blocks",
            member(&[&many(&[0, 0, 0, 0xff, 0xff])[..], &[3, 0]].concat()),
        ),
        ("gzip tables", tables(SIZE / 12)),
        ("zstd frames", many(&zstd(b""))),
        (
            "zstd skippable frames",
            [zstd(b""), many(&skippable)].concat(),
        ),
        ("zstd windows", many(&[window(13), window(12)].concat())),
        ("zstd raw blocks", zstd_blocks(&[0, 0, 0])),
        ("zstd repeated blocks", zstd_blocks(&[2, 0, 0, 7])),
        ("zstd packed blocks", zstd_blocks(&[0x14, 0, 0, 0, 0])),
        (
            "lz4 small frames",
            many(&lz4(b"", lz4_flex::frame::BlockSize::Max64KB)),
        ),
        (
            "lz4 large frames",
            many(&lz4(b"", lz4_flex::frame::BlockSize::Max4MB)),
        ),
        ("snappy identifiers", many(identifier)),
        ("snappy padding", chunks(&[0xfe, 0, 0, 0])),
        (
            "snappy empty chunks",
            chunks(&[1, 4, 0, 0, 0xd8, 0xea, 0x82, 0xa2]),
        ),
    ]
}

fn limits(decoded_bytes: usize) -> Limits {
    Limits {
        decoded_bytes,
        ..LIMITS
    }
}

fn reasons(limits: &Limits, payload: &[u8]) -> Vec<Reason> {
    seen_within(limits, payload)
        .into_iter()
        .filter_map(|seen| match seen {
            Seen::Rejected { reason, .. } => Some(reason),
            Seen::Record { .. } | Seen::Skipped(_) => None,
        })
        .collect()
}

#[test]
fn what_decodes_to_nothing_counts() {
    for (name, nothing) in nothings() {
        let cost = layers::least_cost(&nothing);
        assert!(cost > nothing.len(), "{name}");
        assert_eq!(
            reasons(&limits(cost - 1), &nothing),
            [Reason::DecodedTooLarge],
            "{name}"
        );
        // Within the limit it is what it is: nothing.
        let seen = seen_within(&limits(cost), &nothing);
        assert!(matches!(&seen[..], [Seen::Skipped(Skip::Empty)]), "{name}");
    }
}

type Wrap = fn(&[u8]) -> Vec<u8>;

/// A few bytes around it, in each order of layers up to the depth.
#[test]
fn what_decodes_to_nothing_counts_in_every_layer() {
    let wrappers: [(&str, Wrap); 5] = [
        ("gzip", |data| gzip(data)),
        ("zstd", zstd),
        ("lz4", |data| lz4(data, lz4_flex::frame::BlockSize::Max64KB)),
        ("snappy", snappy),
        ("base64", |data| base64(data).into_bytes()),
    ];
    for (name, nothing) in nothings() {
        // What the wrappers decode to alone is within the limit; what is in them as well is not.
        let limit = limits(nothing.len() * 7 / 2);
        for (outer_name, outer) in wrappers {
            for (inner_name, inner) in wrappers {
                if inner_name == "base64" && outer_name == "base64" {
                    // No form that is known: it is not opened twice.
                    continue;
                }
                let wrapped = outer(&inner(&nothing));
                assert_eq!(
                    reasons(&limit, &wrapped),
                    [Reason::DecodedTooLarge],
                    "{name} in {inner_name} in {outer_name}"
                );
            }
        }
    }
}

/// Decoders cost something however little they decode: many small layers side by side count too.
#[test]
fn small_layers_side_by_side_count() {
    let data = base64(gzip(ours()));
    let payload = format!(
        r#"{{"records":[{}]}}"#,
        vec![format!(r#"{{"data":"{data}"}}"#); 100].join(",")
    );
    let most = 40;
    let records = seen_within(&limits(most * 4096 + most * data.len()), payload.as_bytes())
        .iter()
        .filter(|seen| matches!(seen, Seen::Record { .. }))
        .count();
    assert!((most - 1..=most + 1).contains(&records), "{records}");
    assert_eq!(outline(&payload).matches('r').count(), 100);
}

#[test]
fn a_declared_size_is_not_taken_on_trust() {
    // A frame that declares 4 GiB of content and has none; a chunk that declares 64 KiB.
    let zstd = [
        &[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..],
        &(4_u64 << 30).to_le_bytes(),
        &[1, 0, 0],
    ]
    .concat();
    let snappy = b"\xff\x06\0\0sNaPpY\0\x08\0\0\0\0\0\0\x80\x80\x04\0";
    for declared in [&zstd[..], snappy] {
        assert_eq!(
            reasons(&limits(1 << 20), declared),
            [Reason::CorruptLayer],
            "{declared:?}"
        );
    }
}
