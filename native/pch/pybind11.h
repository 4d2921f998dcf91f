/* Precompiled for pybind11. The function below is never called: its bindings make the compiler instantiate, once and
 * here, the templates that every learner's module would instantiate again at every save. */
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <vector>

namespace mltutor_pch {

struct Sample {
    explicit Sample(std::size_t n) : values(n) {}
    double total() const { return 0.0; }
    void set(std::size_t, double) {}
    double get(std::size_t) const { return 0.0; }
    std::size_t size() const { return values.size(); }
    std::vector<double> values;
};

inline void instantiate(pybind11::module_ &m) {
    namespace py = pybind11;
    using namespace py::literals;
    using F64 = py::array_t<double, py::array::c_style>;
    using F32 = py::array_t<float, py::array::c_style>;
    using I64 = py::array_t<std::int64_t, py::array::c_style>;
    m.def(
        "f", [](py::array_t<double> a) { return a.unchecked<1>().shape(0); }, "a"_a);
    m.def(
        "g", [](py::array_t<float> a) { return a.mutable_unchecked<1>().shape(0); }, py::arg("a").noconvert());
    m.def("h", [](py::array_t<std::int64_t> a) { return a; });
    m.def(
        "i", [](F64 a, F32 b, I64 c) { return py::make_tuple(a, b, c); }, "a"_a, "b"_a, "c"_a = py::none());
    m.def("j", [](const std::vector<double> &a, const std::string &s) { return a.size() + s.size(); });
    m.def("k", [](const std::vector<std::int64_t> &a) { return a; });
    m.def("l", [](py::bytes a, py::dict b, py::list c) { return b.size() + c.size() + std::string(a).size(); });
    py::class_<Sample>(m, "Sample")
        .def(py::init<std::size_t>(), "n"_a)
        .def("total", &Sample::total)
        .def("set", &Sample::set, "i"_a, "v"_a)
        .def("get", &Sample::get, py::arg("i"))
        .def(
            "write", [](Sample &s, I64 at, F64 v) { s.set(static_cast<std::size_t>(at.size()), v.at(0)); }, "at"_a,
            "v"_a)
        .def(
            "read",
            [](const Sample &s, F64 u) {
                I64 out(u.size());
                *out.mutable_data() = static_cast<std::int64_t>(s.size());
                return out;
            },
            "u"_a)
        .def("__len__", &Sample::size)
        .def_property_readonly("size", &Sample::size);
}

}  // namespace mltutor_pch
