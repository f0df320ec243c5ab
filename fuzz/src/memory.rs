//! How much memory one input takes, to the byte, so that a limit on it can be an assertion.
//!
//! It counts on the thread that asks, and so neither other tests nor what libFuzzer keeps. What C takes (zstd) is not
//! counted: for that, and for what does not end, there is libFuzzer's limit on the whole process.

// An allocator cannot be written without `unsafe`; this one hands everything on to the system's.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// What is taken now, and the most that was since somebody asked. Less than nothing where others' memory was given back.
    static TAKEN: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
}

struct Counting;

fn count(bytes: i64) {
    // Threads that end have no counter left, and nobody who asks.
    let _ = TAKEN.try_with(|taken| {
        let (now, most) = taken.get();
        let now = now + bytes;
        taken.set((now, most.max(now)));
    });
}

fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: every call goes to the system's allocator as it came; the counter itself never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(size(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(size(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(size(new_size) - size(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, new_size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-size(layout.size()));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Does something, which may take at most so many bytes at a time beyond what is taken already.
#[track_caller]
pub fn within<T>(limit: usize, work: impl FnOnce() -> T) -> T {
    let (before, _) = TAKEN.get();
    TAKEN.set((before, before));
    let done = work();
    let (_, most) = TAKEN.get();
    let took = most - before;
    assert!(
        took <= size(limit),
        "took {took} bytes of memory, more than {limit}"
    );
    done
}
