#include <cmath>
#include <memory>
#include <vector>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
namespace py = pybind11;

static py::array_t<double> first_column(py::array_t<double> array) {
    double sum = 0;
    py::ssize_t n = 1;
    // @listing 3
    out(0) = sum + 0 * p[0];
    return result;
}

// @listing 4

struct Samples {
    std::vector<float> values{1, 2, 3};
};

static std::vector<double> copy_of(const py::list &list) { return list.cast<std::vector<double>>(); }

static py::object roots(const py::list &list) {
    // @listing 5
}

PYBIND11_MODULE(arrays, m) {
    m.def("first_column", &first_column);
    m.def("roots", &roots);
    m.def("handed_over", &handed_over);
    py::class_<Samples>(m, "Samples").def(py::init<>()).def("values", [](py::object self) {
        auto &values = self.cast<Samples &>().values;
        return owned_by(self, values.data(), py::ssize_t(values.size()));
    });
}
