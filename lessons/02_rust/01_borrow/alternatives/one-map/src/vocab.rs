//! One map of the standard library counts and remembers the order; the result holds words and an index of them.

use std::collections::hash_map::Entry;
use std::collections::HashMap;

#[derive(Clone, Copy)]
struct Seen {
    first: usize,
    times: u64,
}

pub struct Vocab {
    words: Vec<String>,
    counts: Vec<u64>,
    index: HashMap<String, usize>,
}

fn count<'a>(words: impl Iterator<Item = &'a str>) -> HashMap<&'a str, Seen> {
    let mut seen: HashMap<&'a str, Seen> = HashMap::new();
    let mut first = 0;
    for word in words {
        match seen.entry(word) {
            Entry::Occupied(mut known) => known.get_mut().times += 1,
            Entry::Vacant(place) => {
                place.insert(Seen { first, times: 1 });
                first += 1;
            }
        }
    }
    seen
}

impl Vocab {
    pub fn build(documents: &[&str], min_count: u64) -> Vocab {
        let texts = documents
            .iter()
            .map(|document| document.to_lowercase())
            .collect::<Vec<_>>();
        let seen = count(texts.iter().flat_map(|text| text.split_whitespace()));
        let mut kept: Vec<(&str, Seen)> = seen
            .into_iter()
            .filter(|(_, seen)| seen.times >= min_count)
            .collect();
        kept.sort_unstable_by(|(_, a), (_, b)| b.times.cmp(&a.times).then(a.first.cmp(&b.first)));

        let words: Vec<String> = kept.iter().map(|&(word, _)| word.to_owned()).collect();
        let counts = kept.iter().map(|(_, seen)| seen.times).collect();
        let index = words.iter().cloned().zip(1..).collect();
        Vocab {
            words,
            counts,
            index,
        }
    }

    pub fn encode(&self, text: &str) -> Vec<u32> {
        let lowered = text.to_lowercase();
        let mut ids = Vec::new();
        for word in lowered.split_whitespace() {
            ids.push(match self.index.get(word) {
                Some(&id) => id as u32,
                None => 0,
            });
        }
        ids
    }

    pub fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    pub fn counts(&self) -> &[u64] {
        self.counts.as_slice()
    }
}
