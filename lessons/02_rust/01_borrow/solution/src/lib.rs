//! The Python module `vocab`: the class around your `Vocab`, the slow way, and the books of the allocator.

mod ledger;
mod naive;
// `forbid` can't be taken back inside the module.
#[forbid(unsafe_code)]
mod vocab;

use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

/// The texts as slices of what Python holds: no copy of ASCII, and of other text the UTF-8 that Python caches.
fn slices(documents: &[PyBackedStr]) -> Vec<&str> {
    documents.iter().map(|text| &**text).collect()
}

#[pyclass(frozen)]
struct Vocab(vocab::Vocab);

#[pymethods]
impl Vocab {
    #[new]
    fn new(documents: Vec<PyBackedStr>, min_count: u64) -> Self {
        Vocab(vocab::Vocab::build(&slices(&documents), min_count))
    }

    fn encode(&self, text: &str) -> Vec<u32> {
        self.0.encode(text)
    }

    fn words(&self) -> Vec<&str> {
        self.0.words()
    }

    fn counts(&self) -> &[u64] {
        self.0.counts()
    }
}

/// The baseline of the benchmark.
#[pyclass(frozen)]
struct NaiveVocab(Vec<(String, u64)>);

#[pymethods]
impl NaiveVocab {
    #[new]
    fn new(documents: Vec<PyBackedStr>, min_count: u64) -> Self {
        NaiveVocab(naive::build(&slices(&documents), min_count))
    }

    fn words(&self) -> Vec<&str> {
        self.0.iter().map(|(word, _)| word.as_str()).collect()
    }

    fn counts(&self) -> Vec<u64> {
        self.0.iter().map(|(_, count)| *count).collect()
    }
}

/// What a build costs: (allocations, bytes, [(number, size) of what was never freed], backtrace of number `wanted`).
type Costs = (usize, usize, Vec<(usize, usize)>, Option<String>);

#[pyfunction]
#[pyo3(signature = (documents, min_count, wanted=None))]
fn audit_build(documents: Vec<PyBackedStr>, min_count: u64, wanted: Option<usize>) -> Costs {
    let texts = slices(&documents);
    costs(ledger::audit(wanted, || {
        drop(vocab::Vocab::build(&texts, min_count))
    }))
}

#[pyfunction]
#[pyo3(signature = (vocab, text, wanted=None))]
fn audit_encode(vocab: &Vocab, text: &str, wanted: Option<usize>) -> Costs {
    costs(ledger::audit(wanted, || drop(vocab.0.encode(text))))
}

fn costs(audit: ledger::Audit) -> Costs {
    (audit.allocations, audit.bytes, audit.kept, audit.place)
}

#[pymodule(name = "vocab")]
mod module {
    #[pymodule_export]
    use crate::{audit_build, audit_encode, NaiveVocab, Vocab};
}
