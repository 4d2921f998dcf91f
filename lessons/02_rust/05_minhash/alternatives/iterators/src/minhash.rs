//! A hash function at a time, each a fold over the document.

use numpy::ndarray::{Array1, Array2, ArrayView1, Axis, Slice};
use numpy::{PyArray2, PyReadonlyArray1, PyUntypedArrayMethods, ToPyArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

struct SplitMix64(u64);

impl Iterator for SplitMix64 {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 = self.0.wrapping_add(0x9e3779b97f4a7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d049bb133111eb);
        Some(z ^ (z >> 31))
    }
}

#[derive(Clone, Copy)]
struct HashFunction {
    factor: u64,
    summand: u64,
}

impl HashFunction {
    fn of(self, x: u64) -> u32 {
        let (product, _) = self.factor.overflowing_mul(x);
        let (sum, _) = product.overflowing_add(self.summand);
        (sum >> 32) as u32
    }

    fn least(self, document: ArrayView1<'_, u64>) -> u32 {
        document.fold(u32::MAX, |least, &x| least.min(self.of(x)))
    }
}

#[pyclass(frozen)]
pub struct MinHasher(Array1<HashFunction>);

#[pymethods]
impl MinHasher {
    #[new]
    fn new(num_perm: usize, seed: u64) -> PyResult<Self> {
        if num_perm < 1 {
            return Err(PyValueError::new_err("no hash function"));
        }
        let mut numbers = SplitMix64(seed);
        let mut draw = || numbers.next().unwrap_or_default();
        Ok(Self(Array1::from_shape_simple_fn(num_perm, || {
            let factor = draw() | 1;
            let summand = draw();
            HashFunction { factor, summand }
        })))
    }

    fn signatures<'py>(
        &self,
        shingles: PyReadonlyArray1<'py, u64>,
        offsets: PyReadonlyArray1<'py, i64>,
    ) -> PyResult<Bound<'py, PyArray2<u32>>> {
        if !shingles.is_aligned() || !offsets.is_aligned() {
            return Err(PyValueError::new_err("not aligned"));
        }
        let py = shingles.py();
        let bounds = check(&offsets.as_array().to_vec(), shingles.len())?;
        let all = shingles.as_array();
        let documents: Vec<_> = bounds
            .windows(2)
            .map(|pair| all.slice_axis(Axis(0), Slice::from(pair[0]..pair[1])))
            .collect();
        let rows = Array2::from_shape_fn((documents.len(), self.0.len()), |(d, i)| {
            self.0[i].least(documents[d])
        });
        Ok(rows.to_pyarray(py))
    }
}

fn check(offsets: &[i64], length: usize) -> PyResult<Vec<usize>> {
    let refuse = |text: &str| Err(PyValueError::new_err(text.to_owned()));
    if offsets.is_empty() {
        return refuse("no offsets");
    }
    if !offsets.is_sorted() {
        return refuse("offsets go back");
    }
    if offsets[0] < 0 {
        return refuse("offsets start before the shingles");
    }
    if offsets[offsets.len() - 1] > length as i64 {
        return refuse("offsets end behind the shingles");
    }
    Ok(offsets.iter().map(|&offset| offset as usize).collect())
}
