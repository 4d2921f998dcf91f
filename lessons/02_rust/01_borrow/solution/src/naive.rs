//! The same vocabulary by someone who silenced the borrow checker: a copy wherever it complained.

use std::cmp::Reverse;

use rustc_hash::FxHashMap;

/// Words, most frequent first, with their counts.
pub fn build(documents: &[&str], min_count: u64) -> Vec<(String, u64)> {
    let mut order: Vec<String> = Vec::new();
    let mut counts: FxHashMap<String, u64> = FxHashMap::default();
    for text in documents {
        let words: Vec<String> = text
            .to_lowercase()
            .split_whitespace()
            .map(|word| word.to_string())
            .collect();
        for word in words {
            if !counts.contains_key(&word) {
                order.push(word.clone());
            }
            *counts.entry(word.clone()).or_insert(0) += 1;
        }
    }
    let mut ranked: Vec<(String, u64)> = order
        .iter()
        .map(|word| (word.clone(), counts[word]))
        .filter(|(_, count)| *count >= min_count)
        .collect();
    ranked.sort_by_key(|(_, count)| Reverse(*count));
    ranked
}
