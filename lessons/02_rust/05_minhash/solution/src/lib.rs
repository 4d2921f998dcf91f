//! The Python module `minhash`. Its only content is the class in minhash.rs.

mod minhash;

use pyo3::prelude::*;

#[pymodule(name = "minhash")]
mod module {
    #[pymodule_export]
    use crate::minhash::MinHasher;
}
