//! Byte-pair encoding: the merge loop, as a Python class.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use pyo3::prelude::*;
use rustc_hash::FxHashMap;

/// "No neighbour" in the linked list.
const NONE: u32 = u32::MAX;

/// What happens to one pair of ids: lower ranks merge first, `id` is the token that the pair becomes.
#[derive(Clone, Copy)]
struct Merge {
    rank: u32,
    id: u32,
}

/// A pair that was mergeable when it was pushed: `left` is the index of its left symbol.
/// The derived order compares the fields from top to bottom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    // @gap
    rank: u32,
    left: u32,
    //| // TODO: the queue hands out the smallest candidate. Is this the order you want?
    //| left: u32,
    //| rank: u32,
    // @end
}

/// One element of a doubly linked list that lives in a Vec; `prev` and `next` are indices or NONE.
struct Symbol {
    id: u32,
    prev: u32,
    next: u32,
    alive: bool,
}

/// A trained merge table. `frozen`: Python can't change it, so `&self` needs no lock.
#[pyclass(frozen)]
pub struct Bpe {
    // A HashMap with a cheap hash. The default hash resists chosen keys and costs more on small ones.
    merges: FxHashMap<(u32, u32), Merge>,
}

#[pymethods]
impl Bpe {
    /// `merges`: rows (left id, right id, merged id), best rank first.
    #[new]
    fn new(merges: Vec<(u32, u32, u32)>) -> Self {
        // @gap
        let merges = merges
            .into_iter()
            .zip(0..)
            .map(|((left, right, id), rank)| ((left, right), Merge { rank, id }))
            .collect();
        //| // TODO: build the map (left, right) -> Merge; the rank of a row is its position in the list.
        //| let _ = merges;
        //| let merges = FxHashMap::default();
        // @end
        Bpe { merges }
    }

    /// The ids after all merges. PyO3 turns the list into a Vec that we own, and the Vec back into a list.
    fn encode(&self, ids: Vec<u32>) -> Vec<u32> {
        let mut symbols = link(&ids);
        self.merge_all(&mut symbols);
        symbols
            .iter()
            .filter(|symbol| symbol.alive)
            .map(|symbol| symbol.id)
            .collect()
    }
}

/// The ids as a linked list, in order.
fn link(ids: &[u32]) -> Vec<Symbol> {
    let mut symbols: Vec<Symbol> = (0..)
        .zip(ids)
        .map(|(i, &id)| Symbol {
            id,
            prev: if i == 0 { NONE } else { i - 1 },
            next: i + 1,
            alive: true,
        })
        .collect();
    if let Some(last) = symbols.last_mut() {
        last.next = NONE;
    }
    symbols
}

impl Bpe {
    /// The merge of the symbol at `left` with its right neighbour, when the table has one.
    fn lookup(&self, symbols: &[Symbol], left: u32) -> Option<Merge> {
        // @gap
        let symbol = &symbols[left as usize];
        if symbol.next == NONE {
            return None;
        }
        self.merges
            .get(&(symbol.id, symbols[symbol.next as usize].id))
            .copied()
        //| // TODO: look up (id of the symbol at left, id of its next) in self.merges.
        //| let _ = (symbols, left);
        //| None
        // @end
    }

    /// Push the pair that starts at `left` when it can be merged.
    fn push(&self, queue: &mut BinaryHeap<Reverse<Candidate>>, symbols: &[Symbol], left: u32) {
        if let Some(merge) = self.lookup(symbols, left) {
            queue.push(Reverse(Candidate {
                rank: merge.rank,
                left,
            }));
        }
    }

    /// Merge until no pair of neighbours is in the table.
    fn merge_all(&self, symbols: &mut [Symbol]) {
        // BinaryHeap pops its largest element; Reverse makes that the smallest candidate.
        let mut queue = BinaryHeap::new();
        for left in 0..symbols.len() {
            self.push(&mut queue, symbols, left as u32);
        }
        while let Some(Reverse(Candidate { rank, left })) = queue.pop() {
            // @gap
            // A heap can't forget an entry whose pair has changed since it was pushed: look again when it comes out.
            if !symbols[left as usize].alive {
                continue;
            }
            let Some(merge) = self
                .lookup(symbols, left)
                .filter(|merge| merge.rank == rank)
            else {
                continue;
            };
            let Symbol {
                prev, next: right, ..
            } = symbols[left as usize];
            let after = symbols[right as usize].next;
            symbols[left as usize].id = merge.id;
            symbols[left as usize].next = after;
            symbols[right as usize].alive = false;
            if after != NONE {
                symbols[after as usize].prev = left;
            }
            // The merged symbol makes two new pairs: with the symbol after it, and with the one before it.
            self.push(&mut queue, symbols, left);
            if prev != NONE {
                self.push(&mut queue, symbols, prev);
            }
            //| // TODO: skip the candidate when it is out of date, merge the pair, unlink its right symbol,
            //| // push the pairs that are new.
            //| let _ = (rank, left);
            //| break;
            // @end
        }
    }
}
