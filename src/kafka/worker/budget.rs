//! How many bytes of outputs a batch holds at the most.

/// Fewer after a commit that did not go through, since it may have been too much for its time.
pub(super) struct Budget {
    most: usize,
    now: usize,
}

impl Budget {
    /// Where the library needs some time for a batch, it gets fewer bytes, but not fewer than that.
    const LEAST: usize = 256 << 10;

    pub(super) const fn new(most: usize) -> Self {
        Self { most, now: most }
    }

    /// What one message may add at once.
    pub(super) const fn part(&self) -> usize {
        self.now / 4
    }

    /// What makes a batch full, so that one part more fits.
    pub(super) const fn full(&self) -> usize {
        self.now - self.part()
    }

    pub(super) fn went_through(&mut self) {
        self.now = (self.now + self.most / 8).min(self.most);
    }

    pub(super) fn failed(&mut self) {
        self.now = (self.now / 2).max(Self::LEAST.min(self.most));
    }
}
