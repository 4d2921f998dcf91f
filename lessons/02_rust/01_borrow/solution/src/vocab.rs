//! A vocabulary: the distinct words of a corpus and how often each occurs. No PyO3 in this file.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

/// The id of every word that the vocabulary doesn't have. The most frequent word has id 1.
const UNKNOWN: u32 = 0;

/// A word and its count. `'t`: the word is a slice of a text that lives at least as long as the entry.
struct Entry<'t> {
    word: &'t str,
    count: u64,
}

/// Counts words without copying them.
struct Counter<'t> {
    /// word -> its index in `entries`
    places: FxHashMap<&'t str, usize>,
    /// in order of first appearance
    entries: Vec<Entry<'t>>,
}

/// The finished vocabulary owns its words: Python may keep it longer than the texts.
pub struct Vocab {
    ids: FxHashMap<String, u32>,
    counts: Vec<u64>,
}

impl<'t> Counter<'t> {
    fn new() -> Self {
        Counter {
            places: FxHashMap::default(),
            entries: Vec::new(),
        }
    }

    // @gap
    /// The entry of `word`; a new one with count 0 when there is none.
    fn entry(&mut self, word: &'t str) -> &mut Entry<'t> {
        let next = self.entries.len();
        let place = *self.places.entry(word).or_insert(next);
        if place == next {
            self.entries.push(Entry { word, count: 0 });
        }
        &mut self.entries[place]
    }
    //| /// The entry of `word`, when there is one.
    //| fn find(&mut self, word: &str) -> Option<&mut Entry<'t>> {
    //|     let place = *self.places.get(word)?;
    //|     self.entries.get_mut(place)
    //| }
    //|
    //| /// The entry of `word`; a new one with count 0 when there is none.
    //| fn entry(&mut self, word: &'t str) -> &mut Entry<'t> {
    //|     if let Some(entry) = self.find(word) {
    //|         return entry;
    //|     }
    //|     self.places.insert(word, self.entries.len());
    //|     self.entries.push(Entry { word, count: 0 });
    //|     &mut self.entries[self.places[word]]
    //| }
    // @end

    /// Drop the words that occur less than `min_count` times; the others stay in order.
    fn prune(&mut self, min_count: u64) {
        // @gap
        self.entries.retain(|entry| entry.count >= min_count);
        //| for (place, entry) in self.entries.iter().enumerate() {
        //|     if entry.count < min_count {
        //|         self.entries.remove(place);
        //|     }
        //| }
        // @end
    }

    /// Most frequent first; equally frequent words in order of first appearance.
    fn rank(self) -> Vocab {
        let mut entries = self.entries;
        // a stable sort: equals keep their order
        entries.sort_by_key(|entry| Reverse(entry.count));
        let mut ids = FxHashMap::default();
        // @gap
        for (id, entry) in (UNKNOWN + 1..).zip(&entries) {
            ids.insert(entry.word.to_string(), id);
        }
        //| for (id, entry) in (UNKNOWN + 1..).zip(entries) {
        //|     ids.insert(entry.word.to_string(), id);
        //| }
        // @end
        let counts = entries.iter().map(|entry| entry.count).collect();
        Vocab { ids, counts }
    }
}

impl Vocab {
    /// Count the lower-cased words of all documents; keep those that occur at least `min_count` times.
    pub fn build(documents: &[&str], min_count: u64) -> Vocab {
        // @gap
        // All texts first: the counter holds slices of them, so they have to be there before it and stay until after.
        let lowered: Vec<String> = documents.iter().map(|text| text.to_lowercase()).collect();
        let mut counter = Counter::new();
        for text in &lowered {
            for word in text.split_whitespace() {
                counter.entry(word).count += 1;
            }
        }
        //| let mut counter = Counter::new();
        //| for text in documents {
        //|     let lowered = text.to_lowercase();
        //|     for word in lowered.split_whitespace() {
        //|         counter.entry(word).count += 1;
        //|     }
        //| }
        // @end
        counter.prune(min_count);
        counter.rank()
    }

    /// The id of each word of a text, UNKNOWN for words that aren't here.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        // @gap
        let lowered = text.to_lowercase();
        let words = lowered.split_whitespace();
        //| let words = text.to_lowercase().split_whitespace();
        // @end
        words
            .map(|word| self.ids.get(word).copied().unwrap_or(UNKNOWN))
            .collect()
    }

    /// The words, in the order of their ids.
    pub fn words(&self) -> Vec<&str> {
        let mut words: Vec<(u32, &str)> = self
            .ids
            .iter()
            .map(|(word, &id)| (id, word.as_str()))
            .collect();
        words.sort_unstable();
        words.into_iter().map(|(_, word)| word).collect()
    }

    /// How often each word occurs, in the order of their ids.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }
}
