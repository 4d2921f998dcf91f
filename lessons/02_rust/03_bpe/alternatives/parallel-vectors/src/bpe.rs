//! Plain loops over vectors of numbers; a candidate remembers its two ids and is dropped when they have changed.

use pyo3::prelude::*;
use rustc_hash::FxHashMap;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

#[derive(PartialEq, Eq)]
struct Pair {
    rank: usize,
    place: usize,
    left: u32,
    right: u32,
    merged: u32,
}

// The heap's largest element comes first: compared the other way round, that is the best pair.
impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.rank, other.place).cmp(&(self.rank, self.place))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[pyclass(frozen)]
pub struct Bpe {
    rows: Vec<(u32, u32, u32)>,
    ranks: FxHashMap<(u32, u32), usize>,
}

impl Bpe {
    fn offer(&self, heap: &mut BinaryHeap<Pair>, place: usize, left: u32, right: u32) {
        if let Some(&rank) = self.ranks.get(&(left, right)) {
            let merged = self.rows[rank].2;
            heap.push(Pair {
                rank,
                place,
                left,
                right,
                merged,
            });
        }
    }
}

#[pymethods]
impl Bpe {
    #[new]
    fn new(merges: Vec<(u32, u32, u32)>) -> Bpe {
        let mut ranks = FxHashMap::default();
        for i in 0..merges.len() {
            ranks.insert((merges[i].0, merges[i].1), i);
        }
        Bpe {
            rows: merges,
            ranks,
        }
    }

    fn encode(&self, mut ids: Vec<u32>) -> Vec<u32> {
        let n = ids.len();
        // The places n and n + 1 stand for "nothing here": prev[0] is n + 1, the last next is n.
        let mut next: Vec<usize> = (1..n + 1).collect();
        let mut prev: Vec<usize> = (0..n).map(|i| if i > 0 { i - 1 } else { n + 1 }).collect();
        let mut gone = vec![false; n];
        let mut heap = BinaryHeap::with_capacity(n);
        for i in 1..n {
            self.offer(&mut heap, i - 1, ids[i - 1], ids[i]);
        }
        while let Some(pair) = heap.pop() {
            let left = pair.place;
            if gone[left] || ids[left] != pair.left {
                continue;
            }
            let right = next[left];
            if right == n || ids[right] != pair.right {
                continue;
            }
            ids[left] = pair.merged;
            gone[right] = true;
            next[left] = next[right];
            if next[left] < n {
                prev[next[left]] = left;
                self.offer(&mut heap, left, ids[left], ids[next[left]]);
            }
            if prev[left] < n {
                self.offer(&mut heap, prev[left], ids[prev[left]], ids[left]);
            }
        }
        let mut out = Vec::new();
        let mut i = 0;
        while i < n {
            out.push(ids[i]);
            i = next[i];
        }
        out
    }
}
