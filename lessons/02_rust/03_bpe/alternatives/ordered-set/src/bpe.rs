//! An ordered set as the queue: candidates are taken out when their pair changes, so none is ever out of date.

use std::collections::{BTreeSet, HashMap};

use pyo3::prelude::*;

#[pyclass(frozen)]
pub struct Bpe {
    table: HashMap<(u32, u32), (usize, u32)>,
}

struct Text<'a> {
    table: &'a HashMap<(u32, u32), (usize, u32)>,
    ids: Vec<Option<u32>>,
    before: Vec<Option<usize>>,
    after: Vec<Option<usize>>,
    queue: BTreeSet<(usize, usize)>,
}

impl<'a> Text<'a> {
    fn new(table: &'a HashMap<(u32, u32), (usize, u32)>, ids: &[u32]) -> Self {
        let count = ids.len();
        let mut text = Text {
            table,
            ids: ids.iter().copied().map(Some).collect(),
            before: (0..count).map(|i| i.checked_sub(1)).collect(),
            after: (1..=count).map(|i| (i < count).then_some(i)).collect(),
            queue: BTreeSet::new(),
        };
        for at in 0..count {
            text.enter(at);
        }
        text
    }

    fn pair(&self, at: usize) -> Option<(usize, u32)> {
        let next = self.after[at]?;
        self.table.get(&(self.ids[at]?, self.ids[next]?)).copied()
    }

    fn enter(&mut self, at: usize) {
        if let Some((rank, _)) = self.pair(at) {
            self.queue.insert((rank, at));
        }
    }

    fn leave(&mut self, at: usize) {
        if let Some((rank, _)) = self.pair(at) {
            self.queue.remove(&(rank, at));
        }
    }

    /// Merge the best pair; false when there is none.
    fn step(&mut self) -> bool {
        let Some((_, left)) = self.queue.pop_first() else {
            return false;
        };
        let (Some((_, merged)), Some(right)) = (self.pair(left), self.after[left]) else {
            unreachable!("what is in the queue can be merged");
        };
        let neighbour = self.before[left];
        if let Some(at) = neighbour {
            self.leave(at);
        }
        self.leave(right);
        self.ids[left] = Some(merged);
        self.ids[right] = None;
        self.after[left] = self.after[right];
        if let Some(behind) = self.after[right] {
            self.before[behind] = Some(left);
        }
        if let Some(at) = neighbour {
            self.enter(at);
        }
        self.enter(left);
        true
    }
}

#[pymethods]
impl Bpe {
    #[new]
    fn new(merges: Vec<(u32, u32, u32)>) -> Self {
        let mut table = HashMap::with_capacity(merges.len());
        for (rank, (left, right, merged)) in merges.into_iter().enumerate() {
            table.insert((left, right), (rank, merged));
        }
        Self { table }
    }

    fn encode(&self, ids: Vec<u32>) -> Vec<u32> {
        let mut text = Text::new(&self.table, &ids);
        while text.step() {}
        text.ids.into_iter().flatten().collect()
    }
}
