//! Where the engine's memory comes from: mimalloc, for the engine alone (an embedder's `malloc` stays what it is). Every host call that may wait makes a future and drops it, every
//! process makes a store and drops it, often on another thread; that is what it is good at.

use libmimalloc_sys::{
    mi_free, mi_malloc, mi_malloc_aligned, mi_realloc, mi_realloc_aligned, mi_zalloc, mi_zalloc_aligned,
};
use std::alloc::{GlobalAlloc, Layout};

/// Whether `mi_malloc` aligns like that by itself: to 16 bytes, or to the size of what is smaller. The functions for any alignment are several times slower.
#[inline]
fn plain(align: usize, size: usize) -> bool {
    align <= 16 && align <= size
}

struct Mimalloc;

// SAFETY: mimalloc keeps the contract of malloc, and sizes of a `Layout` are in range.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = match plain(layout.align(), layout.size()) {
            true => unsafe { mi_malloc(layout.size()) },
            false => unsafe { mi_malloc_aligned(layout.size(), layout.align()) },
        };
        block.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let block = match plain(layout.align(), layout.size()) {
            true => unsafe { mi_zalloc(layout.size()) },
            false => unsafe { mi_zalloc_aligned(layout.size(), layout.align()) },
        };
        block.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        unsafe { mi_free(block.cast()) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let block = match plain(layout.align(), size) {
            true => unsafe { mi_realloc(block.cast(), size) },
            false => unsafe { mi_realloc_aligned(block.cast(), size, layout.align()) },
        };
        block.cast()
    }
}

#[global_allocator]
static ALLOCATOR: Mimalloc = Mimalloc;
