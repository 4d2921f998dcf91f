//! MinHash signatures of documents, from and to NumPy arrays.

use std::ops::Range;

use numpy::ndarray::{s, Array2, ArrayView1, Axis};
use numpy::{IntoPyArray, PyArray2, PyReadonlyArray1, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// SplitMix64: the next of a sequence of 64-bit random numbers. Overflow is part of it: `wrapping_*` says so.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Hash functions h_i(x) = the upper 32 bits of (multipliers[i] * x + addends[i]), modulo 2^64.
#[pyclass(frozen)]
pub struct MinHasher {
    multipliers: Vec<u64>,
    addends: Vec<u64>,
}

#[pymethods]
impl MinHasher {
    /// Each hash function takes two numbers of the sequence that starts at `seed`: its multiplier, with the lowest bit
    /// set, and its addend.
    #[new]
    fn new(num_perm: usize, seed: u64) -> PyResult<Self> {
        if num_perm == 0 {
            return Err(PyValueError::new_err("num_perm must be at least 1"));
        }
        // @gap
        let mut state = seed;
        let (multipliers, addends) = (0..num_perm)
            .map(|_| (next_random(&mut state) | 1, next_random(&mut state)))
            .unzip();
        //| // TODO: draw the numbers with next_random.
        //| let _ = (seed, next_random);
        //| let (multipliers, addends) = (vec![1; num_perm], vec![0; num_perm]);
        // @end
        Ok(MinHasher {
            multipliers,
            addends,
        })
    }

    /// Row d: for each i the smallest h_i(x) of the x in document d, which is `shingles[offsets[d]:offsets[d + 1]]`.
    fn signatures<'py>(
        &self,
        py: Python<'py>,
        // @gap
        shingles: PyReadonlyArray1<'py, u64>,
        //| // TODO: PyO3 makes a Vec number by number. Take the NumPy array as it is.
        //| shingles: Vec<u64>,
        // @end
        offsets: PyReadonlyArray1<'py, i64>,
    ) -> PyResult<Bound<'py, PyArray2<u32>>> {
        // @gap
        if !(shingles.is_aligned() && offsets.is_aligned()) {
            return Err(PyValueError::new_err("the arrays must be aligned"));
        }
        let shingles = shingles.as_array();
        // @end
        let ranges = ranges(offsets.as_array(), shingles.len())?;
        let mut rows = Array2::from_elem((ranges.len(), self.addends.len()), u32::MAX);
        // @gap
        for (mut row, range) in rows.outer_iter_mut().zip(ranges) {
            let document = shingles.slice(s![range]);
            let functions = self.multipliers.chunks(TILE).zip(self.addends.chunks(TILE));
            for (mut part, (a, b)) in row.axis_chunks_iter_mut(Axis(0), TILE).zip(functions) {
                part.assign(&ArrayView1::from(&smallest(document, a, b)[..a.len()]));
            }
        }
        //| // TODO: lower each number of a row to the smallest hash of its document.
        //| let _ = (&mut rows, &self.multipliers);
        // @end
        Ok(rows.into_pyarray(py))
    }
}

/// The ranges between the offsets; a ValueError when they aren't in order and within `length`.
fn ranges(offsets: ArrayView1<i64>, length: usize) -> PyResult<Vec<Range<usize>>> {
    // @gap
    if offsets.is_empty() {
        return Err(PyValueError::new_err("offsets must not be empty"));
    }
    let mut ranges = Vec::with_capacity(offsets.len() - 1);
    for (&start, &end) in offsets.iter().zip(offsets.iter().skip(1)) {
        match (usize::try_from(start), usize::try_from(end)) {
            (Ok(first), Ok(last)) if first <= last && last <= length => ranges.push(first..last),
            _ => {
                let text = format!("{start}..{end} is no range of {length} shingles");
                return Err(PyValueError::new_err(text));
            }
        }
    }
    Ok(ranges)
    //| // TODO: a panic is no way to refuse a caller's offsets.
    //| let _ = length;
    //| let numbers: Vec<usize> = offsets.iter().map(|&offset| offset as usize).collect();
    //| Ok(numbers.windows(2).map(|pair| pair[0]..pair[1]).collect())
    // @end
}
// @gap

/// Hash functions that are worked on at a time: their numbers stay in vector registers for a whole document.
const TILE: usize = 16;

/// The smallest hash of a document for each of up to TILE functions.
fn smallest(document: ArrayView1<u64>, multipliers: &[u64], addends: &[u64]) -> [u32; TILE] {
    let (mut a, mut b) = ([0; TILE], [0; TILE]);
    a[..multipliers.len()].copy_from_slice(multipliers);
    b[..addends.len()].copy_from_slice(addends);
    // The smallest product has the smallest upper half: one shift at the end does.
    let mut least = [u64::MAX; TILE];
    for &x in document {
        for ((least, a), b) in least.iter_mut().zip(a).zip(b) {
            *least = a.wrapping_mul(x).wrapping_add(b).min(*least);
        }
    }
    least.map(|hash| (hash >> 32) as u32)
}
// @end
