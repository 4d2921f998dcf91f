#![allow(dead_code, unused_variables)]
use pyo3::prelude::*;
use rustc_hash::FxHashMap;

mod lifetimes {
    use rustc_hash::FxHashMap;

    // @listing 3

    pub fn places(text: &str) -> Vec<(String, usize)> {
        let mut counter = Counter { places: FxHashMap::default() };
        for (place, word) in text.split(' ').enumerate() {
            counter.add(word, place);
        }
        counter.places.iter().map(|(word, &place)| (word.to_string(), place)).collect()
    }
}

struct Merge {
    rank: u32,
}

fn rank_of(table: &FxHashMap<(u32, u32), Merge>, pair: (u32, u32)) -> Option<u32> {
    // @listing 4
    Some(rank)
}

#[pyfunction]
fn moves() -> Vec<u32> {
    // @listing 1
    other
}

#[pyfunction]
fn borrows(mut words: Vec<String>, next: String) -> Vec<String> {
    // @listing 2
    words
}

#[pyfunction]
fn places(text: &str) -> Vec<(String, usize)> {
    lifetimes::places(text)
}

#[pyfunction]
fn rank(left: u32, right: u32) -> Option<u32> {
    rank_of(&FxHashMap::from_iter([((1, 2), Merge { rank: 5 })]), (left, right))
}

#[pymodule(name = "listings")]
mod module {
    #[pymodule_export]
    use crate::{borrows, moves, places, rank};
}
