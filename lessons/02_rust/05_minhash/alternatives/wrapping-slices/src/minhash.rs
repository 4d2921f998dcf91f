//! std::num::Wrapping says once that numbers wrap; rows are written right into an array that NumPy made.

use std::num::Wrapping;

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

type Word = Wrapping<u64>;

fn next_random(state: &mut Word) -> Word {
    *state += Wrapping(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)) * Wrapping(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)) * Wrapping(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[pyclass(frozen)]
pub struct MinHasher {
    functions: Vec<(Word, Word)>,
}

impl MinHasher {
    fn lower(&self, row: &mut [u32], x: u64) {
        for (least, (a, b)) in row.iter_mut().zip(&self.functions) {
            let hash = (a * Wrapping(x) + b).0 >> 32;
            if hash < u64::from(*least) {
                *least = hash as u32;
            }
        }
    }
}

#[pymethods]
impl MinHasher {
    #[new]
    fn new(num_perm: usize, seed: u64) -> PyResult<Self> {
        let mut state = Wrapping(seed);
        let mut functions = Vec::new();
        for _ in 0..num_perm {
            let a = next_random(&mut state);
            let b = next_random(&mut state);
            functions.push((a | Wrapping(1), b));
        }
        if functions.is_empty() {
            Err(PyValueError::new_err("num_perm is 0"))
        } else {
            Ok(MinHasher { functions })
        }
    }

    fn signatures<'py>(
        &self,
        py: Python<'py>,
        shingles: &Bound<'py, PyArray1<u64>>,
        offsets: &Bound<'py, PyArray1<i64>>,
    ) -> PyResult<Bound<'py, PyArray2<u32>>> {
        for aligned in [shingles.is_aligned(), offsets.is_aligned()] {
            if !aligned {
                return Err(PyValueError::new_err("an array is not aligned"));
            }
        }
        let (shingles, offsets) = (shingles.try_readonly()?, offsets.try_readonly()?);
        let (numbers, bounds) = (shingles.as_array(), offsets.as_array());
        let Some(documents) = bounds.len().checked_sub(1) else {
            return Err(PyValueError::new_err("offsets are empty"));
        };
        for d in 0..documents {
            let (from, to) = (bounds[d], bounds[d + 1]);
            if from < 0 || to < from || to as u64 > numbers.len() as u64 {
                return Err(PyValueError::new_err(format!(
                    "document {d} would be {from}..{to} of {}",
                    numbers.len()
                )));
            }
        }
        let width = self.functions.len();
        let rows = PyArray2::zeros(py, [documents, width], false);
        let mut writer = rows.readwrite();
        let all = writer.as_slice_mut()?;
        all.fill(u32::MAX);
        for (d, row) in all.chunks_exact_mut(width).enumerate() {
            let (from, to) = (bounds[d] as usize, bounds[d + 1] as usize);
            match numbers.as_slice() {
                Some(dense) => dense[from..to].iter().for_each(|&x| self.lower(row, x)),
                None => (from..to).for_each(|i| self.lower(row, numbers[i])),
            }
        }
        drop(writer);
        Ok(rows)
    }
}
