// A sum tree for prioritised replay, and its Python binding.

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

namespace py = pybind11;

// Arrays as arguments. With c_style pybind11 hands over contiguous memory (it copies a strided array); without
// forcecast, which is on by default, it refuses float indices instead of cutting them down to integers.
using Indices = py::array_t<std::int64_t, py::array::c_style>;
using Values = py::array_t<double, py::array::c_style>;

// A complete binary tree in one vector: node 1 is the root, the children of node i are 2i and 2i + 1, the leaves
// start at first_leaf_. Each inner node holds the sum of its children, so node 1 holds the total.
class SumTree {
  public:
    explicit SumTree(std::int64_t capacity) : capacity_(capacity) {
        if (capacity < 1) throw std::invalid_argument("capacity must be at least 1");
        while (first_leaf_ < capacity) first_leaf_ *= 2;
        // Leaves past the capacity are padding: always 0, never drawn.
        nodes_.assign(2 * first_leaf_, 0.0);
    }

    std::int64_t capacity() const { return capacity_; }
    double total() const { return nodes_[1]; }

    // Set one priority and every sum above it.
    void set(std::int64_t index, double priority) {
        // @gap
        std::int64_t node = first_leaf_ + index;
        nodes_[node] = priority;
        // Each sum is added up anew from the two children; `sum += change` would collect rounding errors.
        // node ^ 1 is the sibling, and the child just written stays in a register.
        double sum = priority;
        while (node > 1) {
            sum += nodes_[node ^ 1];
            node >>= 1;
            nodes_[node] = sum;
        }
        //| // TODO: store the priority in its leaf, then bring every node above it up to date.
        //| (void)index, (void)priority;
        // @end
    }

    // The index whose interval of the running sum holds `mass`.
    std::int64_t index_of(double mass) const {
        // @gap
        std::int64_t node = 1;
        while (node < first_leaf_) {
            const double left = nodes_[2 * node], right = nodes_[2 * node + 1];
            // Intervals are closed below and open above, so mass == left belongs to the right child. When nothing is
            // there (mass == total, or rounding made it so), the last leaf with a priority on the left is the answer.
            if (mass < left || right == 0.0) {
                node = 2 * node;
            } else {
                mass -= left;
                node = 2 * node + 1;
            }
        }
        return node - first_leaf_;
        //| // TODO: walk from the root to a leaf.
        //| (void)mass;
        //| return 0;
        // @end
    }

  private:
    std::int64_t capacity_;
    std::int64_t first_leaf_ = 1;
    std::vector<double> nodes_;
};

// Set many priorities. All arguments are checked before the first is stored: an error leaves the tree as it was.
void update(SumTree &tree, const Indices &indices, const Values &priorities) {
    // @gap
    const auto index = indices.unchecked<1>();
    const auto priority = priorities.unchecked<1>();
    const py::ssize_t count = index.shape(0);
    if (priority.shape(0) != count)
        throw py::value_error("indices and priorities differ in length");
    for (py::ssize_t k = 0; k < count; ++k) {
        if (index(k) < 0 || index(k) >= tree.capacity())
            throw py::index_error("index " + std::to_string(index(k)) + " is not in the tree");
        if (!(priority(k) >= 0.0) || std::isinf(priority(k)))
            throw py::value_error("priority " + std::to_string(priority(k)) +
                                  " is not a finite number >= 0");
    }
    for (py::ssize_t k = 0; k < count; ++k) tree.set(index(k), priority(k));
    //| // TODO: check, then set each pair. array.unchecked<1>() gives a view to index with (k).
    //| (void)tree, (void)indices, (void)priorities;
    // @end
}

// The index of each mass.
py::array_t<std::int64_t> find(const SumTree &tree, const Values &masses) {
    // @gap
    const auto mass = masses.unchecked<1>();
    const py::ssize_t count = mass.shape(0);
    if (count > 0 && tree.total() == 0.0)
        throw py::value_error("all priorities are 0: there is nothing to find");
    py::array_t<std::int64_t> found(count);
    auto out = found.mutable_unchecked<1>();
    for (py::ssize_t k = 0; k < count; ++k) {
        if (!(mass(k) >= 0.0 && mass(k) <= tree.total()))
            throw py::value_error("mass " + std::to_string(mass(k)) + " is not in 0..total");
        out(k) = tree.index_of(mass(k));
    }
    return found;
    //| // TODO: an int64 array with one index for each mass.
    //| (void)tree;
    //| return py::array_t<std::int64_t>(masses.size());
    // @end
}

PYBIND11_MODULE(sumtree, m) {
    m.doc() = "A sum tree for prioritised replay.";
    py::class_<SumTree>(m, "SumTree")
        .def(py::init<std::int64_t>(), py::arg("capacity"))
        .def_property_readonly("total", &SumTree::total, "The sum of all priorities.")
        // @gap
        .def("__len__", &SumTree::capacity)
        .def("update", &update, py::arg("indices"), py::arg("priorities"),
             "Set priorities[k] at indices[k].")
        .def("find", &find, py::arg("masses"), "The index of each mass in 0..total.")
        //| // TODO: bind __len__, update(indices, priorities) and find(masses).
        // @end
        ;
}
