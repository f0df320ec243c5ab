//! Payloads from files and from standard input, for the commands that read them without Kafka.
//!
//! In flows a file's name, or standard input, and the most bytes that one payload may have; out flow payloads, with the
//! name of where they came from. What is in a payload is never looked at here.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::Failure;

/// The name of standard input as an origin.
pub(super) const STDIN: &str = "stdin";

/// How many bytes of standard input are read at once.
const BUFFER: usize = 64 * 1024;

/// Whether a path stands for standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// A whole file, or all of standard input, as one payload, after the name of where it came from.
pub(super) fn whole(path: &Path, limit: usize) -> Result<(String, Vec<u8>), Failure> {
    if is_stdin(path) {
        return to_end(io::stdin().lock(), STDIN.to_owned(), limit);
    }
    let file = File::open(path).map_err(|error| Failure::Open {
        path: path.to_owned(),
        error,
    })?;
    to_end(file, path.display().to_string(), limit)
}

fn to_end(input: impl Read, origin: String, limit: usize) -> Result<(String, Vec<u8>), Failure> {
    let mut payload = Vec::new();
    match input.take(limit as u64 + 1).read_to_end(&mut payload) {
        Err(error) => Err(Failure::Read { origin, error }),
        Ok(_) if payload.len() > limit => Err(Failure::TooLong {
            origin,
            number: 1,
            limit,
        }),
        Ok(_) => Ok((origin, payload)),
    }
}

/// One payload a line; blank lines are none.
pub(super) struct Lines<R> {
    input: BufReader<R>,
    limit: usize,
    /// How many payloads there were.
    count: i64,
    /// A line that the buffer does not hold whole.
    copied: Vec<u8>,
    /// How many bytes at the front of the buffer the last line took, which was lent out where it stands.
    lent: usize,
}

/// Where a line stands.
#[derive(Clone, Copy)]
enum Found {
    /// In the buffer, up to here.
    Buffered(usize),
    /// In a place of its own.
    Copied,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(input: R, limit: usize) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER, input),
            limit,
            count: 0,
            copied: Vec::new(),
            lent: 0,
        }
    }

    /// The next payload and its number, counted from 0; none where the input has ended. Calls `before_reading` each time
    /// that it is about to read: whoever writes the input may be waiting for what its last line became.
    pub(super) fn next(
        &mut self,
        mut before_reading: impl FnMut() -> Result<(), Failure>,
    ) -> Result<Option<(&[u8], i64)>, Failure> {
        let found = loop {
            self.input.consume(std::mem::take(&mut self.lent));
            let Some(found) = self.find(&mut before_reading)? else {
                return Ok(None);
            };
            if !self.line(found).trim_ascii().is_empty() {
                break found;
            }
        };
        let number = self.count;
        self.count += 1;
        Ok(Some((self.line(found), number)))
    }

    /// Finds the next line. Nearly every one stands whole in the buffer, and is left there.
    fn find(
        &mut self,
        before_reading: &mut impl FnMut() -> Result<(), Failure>,
    ) -> Result<Option<Found>, Failure> {
        match memchr::memchr(b'\n', self.input.buffer()) {
            Some(end) if end <= self.limit => {
                self.lent = end + 1;
                Ok(Some(Found::Buffered(end)))
            }
            Some(_) => Err(self.too_long()),
            None => {
                before_reading()?;
                self.copy()
            }
        }
    }

    fn line(&self, found: Found) -> &[u8] {
        match found {
            Found::Buffered(end) => {
                let line = self.input.buffer().get(..end).unwrap_or_default();
                line.strip_suffix(b"\r").unwrap_or(line)
            }
            Found::Copied => &self.copied,
        }
    }

    /// Reads the next line into a place of its own, without its end.
    fn copy(&mut self) -> Result<Option<Found>, Failure> {
        self.copied.clear();
        let most = self.limit as u64 + 1;
        let read = self
            .input
            .by_ref()
            .take(most)
            .read_until(b'\n', &mut self.copied)
            .map_err(|error| Failure::Read {
                origin: STDIN.to_owned(),
                error,
            })?;
        if read == 0 {
            return Ok(None);
        }
        if self.copied.pop_if(|byte| *byte == b'\n').is_some() {
            self.copied.pop_if(|byte| *byte == b'\r');
        } else if read as u64 == most {
            return Err(self.too_long());
        }
        Ok(Some(Found::Copied))
    }

    fn too_long(&self) -> Failure {
        Failure::TooLong {
            origin: STDIN.to_owned(),
            number: self.count + 1,
            limit: self.limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives its text in pieces of this many bytes, so that lines come whole and broken.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(buffer.len()).min(self.0.len());
            let (now, later) = self.0.split_at(most);
            buffer[..most].copy_from_slice(now);
            self.0 = later;
            Ok(most)
        }
    }

    /// The payloads in order; and, where one is too long, its number.
    type Payloads = (Vec<Vec<u8>>, Option<i64>);

    fn read(text: &[u8], piece: usize, limit: usize) -> Payloads {
        let mut lines = Lines::new(Pieces(text, piece), limit);
        let mut payloads = Vec::new();
        loop {
            match lines.next(|| Ok(())) {
                Ok(Some((payload, number))) => {
                    assert_eq!(usize::try_from(number).unwrap(), payloads.len());
                    payloads.push(payload.to_vec());
                }
                Ok(None) => return (payloads, None),
                Err(Failure::TooLong { number, .. }) => return (payloads, Some(number)),
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// The same, said simply.
    fn plainly(text: &[u8], limit: usize) -> Payloads {
        let mut payloads = Vec::new();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let (line, ended) = match line.strip_suffix(b"\n") {
                Some(line) => (line, true),
                None => (line, false),
            };
            if line.len() > limit {
                let number = i64::try_from(payloads.len()).unwrap() + 1;
                return (payloads, Some(number));
            }
            let payload = match line.strip_suffix(b"\r") {
                Some(payload) if ended => payload,
                _ => line,
            };
            if !payload.trim_ascii().is_empty() {
                payloads.push(payload.to_vec());
            }
        }
        (payloads, None)
    }

    proptest! {
        #[test]
        fn lines_are_the_same_whole_or_in_pieces(text in "[ab \r\n]{0,40}", piece in 1_usize..20, limit in 1_usize..10) {
            let text = text.as_bytes();
            prop_assert_eq!(read(text, piece, limit), plainly(text, limit));
        }
    }

    #[test]
    fn what_is_written_is_written_before_more_is_waited_for() {
        let mut lines = Lines::new(Pieces(b"a\nb\nc", 4), 9);
        let mut waits = Vec::new();
        let mut place = 0;
        while lines
            .next(|| {
                waits.push(place);
                Ok(())
            })
            .unwrap()
            .is_some()
        {
            place += 1;
        }
        // The second line came with the first: nothing is waited for before it.
        assert_eq!(waits, [0, 2, 3]);
    }
}
