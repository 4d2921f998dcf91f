//! All texts in one buffer and words as ranges of it: no lifetimes. Ids are found by binary search.

use std::ops::Range;

use rustc_hash::FxHashMap;

pub struct Vocab {
    words: Vec<Box<str>>,
    counts: Vec<u64>,
    /// ids, in the order of their words
    sorted: Vec<u32>,
}

impl Vocab {
    pub fn build(documents: &[&str], min_count: u64) -> Vocab {
        let mut buffer = String::new();
        for document in documents {
            buffer.push_str(&document.to_lowercase());
            buffer.push(' ');
        }
        let mut ranges: Vec<(Range<usize>, u64)> = Vec::new();
        let mut known: FxHashMap<&str, usize> = FxHashMap::default();
        for word in buffer.split_whitespace() {
            let start = word.as_ptr() as usize - buffer.as_ptr() as usize;
            let number = *known.entry(word).or_insert_with(|| {
                ranges.push((start..start + word.len(), 0));
                ranges.len() - 1
            });
            ranges[number].1 += 1;
        }
        let mut order: Vec<usize> = (0..ranges.len())
            .filter(|&number| ranges[number].1 >= min_count)
            .collect();
        order.sort_by(|&a, &b| ranges[b].1.cmp(&ranges[a].1));
        let words: Vec<Box<str>> = order
            .iter()
            .map(|&number| buffer[ranges[number].0.clone()].into())
            .collect();
        let counts = order.iter().map(|&number| ranges[number].1).collect();
        let mut sorted: Vec<u32> = (0..words.len() as u32).collect();
        sorted.sort_unstable_by(|&a, &b| words[a as usize].cmp(&words[b as usize]));
        Vocab {
            words,
            counts,
            sorted,
        }
    }

    fn find(&self, word: &str) -> u32 {
        self.sorted
            .binary_search_by(|&id| (*self.words[id as usize]).cmp(word))
            .map_or(0, |place| self.sorted[place] + 1)
    }

    pub fn encode(&self, text: &str) -> Vec<u32> {
        text.to_lowercase()
            .split_whitespace()
            .map(|word| self.find(word))
            .collect()
    }

    pub fn words(&self) -> Vec<&str> {
        let mut all = Vec::with_capacity(self.words.len());
        all.extend(self.words.iter().map(|word| &**word));
        all
    }

    pub fn counts(&self) -> &[u64] {
        &self.counts
    }
}
