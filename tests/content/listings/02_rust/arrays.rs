use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

#[pyfunction]
// @listing 6

#[pymodule(name = "arrays")]
mod module {
    #[pymodule_export]
    use crate::total;
}
