//! The Python module `bpe`. Its only content is the class in bpe.rs.

mod bpe;

use pyo3::prelude::*;

#[pymodule(name = "bpe")]
mod module {
    #[pymodule_export]
    use crate::bpe::Bpe;
}
