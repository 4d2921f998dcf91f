// Nodes from 0 on, set and find by recursion; arrays are read by their strides, without a copy.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <stdexcept>

namespace py = pybind11;
using std::int64_t;

// The numbers of a one-dimensional array, wherever they lie.
template <typename T>
class Row {
  public:
    explicit Row(const py::array &array) : info(array.request()) {
        if (info.ndim != 1) throw std::invalid_argument("expected one dimension");
    }
    int64_t size() const { return info.shape[0]; }
    T operator[](int64_t i) const {
        T value;  // copied out: the array may lie at any address
        std::memcpy(&value, static_cast<const char *>(info.ptr) + i * info.strides[0], sizeof value);
        return value;
    }

  private:
    py::buffer_info info;
};

class SumTree {
  public:
    explicit SumTree(int64_t capacity) : capacity(capacity), leaves(1) {
        if (capacity < 1) throw std::domain_error("capacity is at least 1");
        while (leaves < capacity) leaves <<= 1;
        sums.reset(new double[2 * leaves - 1]());
    }

    double total() const { return sums[0]; }
    int64_t length() const { return capacity; }

    // array_t<...> without forcecast refuses what would lose something, and converts the rest.
    void update(const py::array_t<int64_t, 0> &indices, const py::array_t<double, 0> &priorities) {
        const Row<int64_t> index(indices);
        const Row<double> priority(priorities);
        if (index.size() != priority.size()) throw std::length_error("as many priorities as indices");
        const double most = std::numeric_limits<double>::max();
        for (int64_t i = 0; i < index.size(); i++) {
            if (index[i] < 0 || index[i] >= capacity) throw std::out_of_range("no such index");
            const bool good = 0 <= priority[i] && priority[i] <= most;
            if (!good) throw std::domain_error("no such priority");
        }
        for (int64_t i = 0; i < index.size(); i++) set(0, leaves, index[i], priority[i]);
    }

    py::array find(const py::array_t<double, 0> &masses) const {
        const Row<double> mass(masses);
        py::array_t<int64_t> result({mass.size()});
        int64_t *to = result.mutable_data();
        for (int64_t i = 0; i < mass.size(); i++) {
            if (total() == 0 || !(0 <= mass[i] && mass[i] <= total())) throw std::domain_error("mass out of range");
            int64_t leaf = descend(0, leaves, mass[i]);
            // Where there is no priority (mass is the total, or was rounded up), the last one before it is meant.
            while (sums[leaves - 1 + leaf] == 0) leaf--;
            *to++ = leaf;
        }
        return result;
    }

  private:
    double set(int64_t node, int64_t width, int64_t leaf, double priority) {
        if (width == 1) return sums[node] = priority;
        const int64_t half = width / 2, left = 2 * node + 1, right = left + 1;
        if (leaf < half) {
            set(left, half, leaf, priority);
        } else {
            set(right, half, leaf - half, priority);
        }
        return sums[node] = sums[left] + sums[right];
    }

    int64_t descend(int64_t node, int64_t width, double mass) const {
        if (width == 1) return 0;
        const int64_t half = width / 2, left = 2 * node + 1;
        return mass < sums[left] ? descend(left, half, mass) : half + descend(left + 1, half, mass - sums[left]);
    }

    int64_t capacity, leaves;
    std::unique_ptr<double[]> sums;
};

PYBIND11_MODULE(sumtree, module) {
    using namespace pybind11::literals;
    py::class_<SumTree>(module, "SumTree")
        .def(py::init<int64_t>(), "capacity"_a)
        .def("find", &SumTree::find, "masses"_a)
        .def("update", &SumTree::update, "indices"_a, "priorities"_a)
        .def("__len__", &SumTree::length)
        .def_property_readonly("total", &SumTree::total);
}
