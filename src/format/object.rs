//! A JSON object that is put together by hand: where members are bytes that were made ready before, or stand there already.

use serde::Serialize;

/// An object that is open at the end of `out`.
pub(super) struct Object<'a> {
    pub(super) out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Writes a value that becomes an object, and leaves it open.
    pub(super) fn begin(
        value: &impl Serialize,
        out: &'a mut Vec<u8>,
    ) -> Result<Self, serde_json::Error> {
        serde_json::to_writer(&mut *out, value)?;
        out.pop();
        let empty = out.last() == Some(&b'{');
        Ok(Self { out, empty })
    }

    /// Writes a key, after which its value must be written.
    pub(super) fn key(&mut self, key: impl Serialize) -> Result<(), serde_json::Error> {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        serde_json::to_writer(&mut *self.out, &key)?;
        self.out.push(b':');
        Ok(())
    }

    pub(super) fn entry(
        &mut self,
        key: impl Serialize,
        value: &(impl Serialize + ?Sized),
    ) -> Result<(), serde_json::Error> {
        self.key(key)?;
        serde_json::to_writer(&mut *self.out, value)
    }

    /// Writes a list, unless it is empty.
    pub(super) fn list(
        &mut self,
        key: impl Serialize,
        values: impl IntoIterator<Item = impl Serialize>,
    ) -> Result<(), serde_json::Error> {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        self.key(key)?;
        let mut open = b'[';
        for value in values {
            self.out.push(open);
            open = b',';
            serde_json::to_writer(&mut *self.out, &value)?;
        }
        self.out.push(b']');
        Ok(())
    }

    pub(super) fn close(self) {
        self.out.push(b'}');
    }
}
