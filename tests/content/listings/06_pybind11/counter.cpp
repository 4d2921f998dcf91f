#include <pybind11/pybind11.h>
namespace py = pybind11;

PYBIND11_MODULE(counter, m) {
    // @listing 2
}
