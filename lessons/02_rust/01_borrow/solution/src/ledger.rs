//! An allocator that can keep books: how often memory was asked for, and what is still held. Given; nothing to do here.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the thread that called `audit` has asked for.
#[derive(Default)]
struct Books {
    allocations: usize,
    bytes: usize,
    /// address -> number of the allocation and its size
    live: HashMap<usize, (usize, usize)>,
    wanted: Option<usize>,
    place: Option<String>,
}

/// The sums of one audit. `kept`: numbers and sizes of the allocations that were not freed.
pub struct Audit {
    pub allocations: usize,
    pub bytes: usize,
    pub kept: Vec<(usize, usize)>,
    pub place: Option<String>,
}

// Threads that are being audited. Without any, the cost is one load an allocation.
static AUDITS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OPEN: Cell<bool> = const { Cell::new(false) };
    static BOOKS: RefCell<Books> = RefCell::default();
}

/// Runs `work` with the books open. `wanted`: the number of an allocation whose backtrace is taken.
pub fn audit(wanted: Option<usize>, work: impl FnOnce()) -> Audit {
    BOOKS.with_borrow_mut(|books| {
        *books = Books {
            wanted,
            ..Books::default()
        }
    });
    AUDITS.fetch_add(1, Ordering::Relaxed);
    OPEN.set(true);
    let ended = catch_unwind(AssertUnwindSafe(work));
    OPEN.set(false);
    AUDITS.fetch_sub(1, Ordering::Relaxed);
    let books = BOOKS.take();
    if let Err(panic) = ended {
        resume_unwind(panic);
    }
    let mut kept: Vec<_> = books.live.into_values().collect();
    kept.sort_unstable();
    Audit {
        allocations: books.allocations,
        bytes: books.bytes,
        kept,
        place: books.place,
    }
}

/// Writes into the books; what the books need themselves is not written down.
fn note(write: impl FnOnce(&mut Books)) {
    if AUDITS.load(Ordering::Relaxed) == 0 || !OPEN.try_with(Cell::get).unwrap_or(false) {
        return;
    }
    OPEN.set(false);
    BOOKS.with_borrow_mut(write);
    OPEN.set(true);
}

fn allocated(books: &mut Books, address: usize, size: usize, more: usize) {
    let number = books.allocations;
    books.allocations += 1;
    books.bytes += more;
    books.live.insert(address, (number, size));
    if books.wanted == Some(number) {
        books.place = Some(Backtrace::force_capture().to_string());
    }
}

struct Ledger;

#[global_allocator]
static LEDGER: Ledger = Ledger;

unsafe impl GlobalAlloc for Ledger {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let made = System.alloc(layout);
        note(|books| allocated(books, made as usize, layout.size(), layout.size()));
        made
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let made = System.alloc_zeroed(layout);
        note(|books| allocated(books, made as usize, layout.size(), layout.size()));
        made
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(|books| {
            books.live.remove(&(pointer as usize));
        });
        System.dealloc(pointer, layout);
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let made = System.realloc(pointer, layout, size);
        note(|books| {
            books.live.remove(&(pointer as usize));
            let more = size.saturating_sub(layout.size());
            allocated(books, made as usize, size, more);
        });
        made
    }
}
