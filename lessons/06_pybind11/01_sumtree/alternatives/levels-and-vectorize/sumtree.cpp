// Each level of the tree is a vector of its own; indices and masses go through py::vectorize and py::array::ensure.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace py = pybind11;

namespace {

class Tree {
  public:
    explicit Tree(std::int64_t capacity) : levels(1) {
        if (capacity <= 0) {
            throw py::value_error("a tree needs room for one priority");
        }
        levels[0].resize(capacity);
        while (levels.back().size() > 1) {
            levels.emplace_back((levels.back().size() + 1) / 2);
        }
    }

    std::size_t size() const { return levels.front().size(); }
    double total() const { return levels.back().front(); }

    void store(std::size_t index, double priority) {
        levels[0][index] = priority;
        for (std::size_t height = 1; height < levels.size(); ++height) {
            index /= 2;
            levels[height][index] = at(height - 1, 2 * index) + at(height - 1, 2 * index + 1);
        }
    }

    std::int64_t look_up(double mass) const {
        if (std::isnan(mass) || mass < 0 || mass > total() || total() <= 0) {
            throw py::value_error("no priority has this mass");
        }
        std::size_t index = 0;
        for (std::size_t height = levels.size() - 1; height-- > 0;) {
            index *= 2;
            double left = at(height, index);
            if (mass >= left && at(height, index + 1) > 0) {
                mass -= left;
                ++index;
            }
        }
        return static_cast<std::int64_t>(index);
    }

  private:
    double at(std::size_t height, std::size_t index) const {
        return index < levels[height].size() ? levels[height][index] : 0;
    }

    std::vector<std::vector<double>> levels;  // from the priorities up to the total
};

template <typename T>
py::array_t<T, py::array::c_style | py::array::forcecast> row_of(const py::object &source, const char *kinds) {
    auto any = py::array::ensure(source);
    if (!any) {
        throw py::type_error("an array is asked for");
    }
    if (any.ndim() != 1) {
        throw py::value_error("an array of one dimension is asked for");
    }
    if (std::string(kinds).find(any.dtype().kind()) == std::string::npos) {
        throw py::type_error("an array of numbers of another kind is asked for");
    }
    return py::array_t<T, py::array::c_style | py::array::forcecast>(any);
}

void update(Tree &tree, const py::object &indices, const py::object &priorities) {
    auto where = row_of<std::int64_t>(indices, "iu");
    auto what = row_of<double>(priorities, "iufb");
    if (where.size() != what.size()) {
        throw py::value_error("each index needs one priority");
    }
    for (py::ssize_t i = 0; i < where.size(); ++i) {
        if (where.at(i) < 0 || static_cast<std::size_t>(where.at(i)) >= tree.size()) {
            throw py::index_error("an index is outside the tree");
        }
        if (!std::isfinite(what.at(i)) || what.at(i) < 0) {
            throw py::value_error("a priority is a finite number of at least 0");
        }
    }
    for (py::ssize_t i = 0; i < where.size(); ++i) {
        tree.store(static_cast<std::size_t>(where.at(i)), what.at(i));
    }
}

}  // namespace

PYBIND11_MODULE(sumtree, m) {
    py::class_<Tree> tree(m, "SumTree");
    tree.def(py::init<std::int64_t>(), py::arg("capacity"));
    tree.def("__len__", &Tree::size);
    tree.def_property_readonly("total", &Tree::total);
    tree.def("update", &update, py::arg("indices"), py::arg("priorities"));
    tree.def(
        "find",
        [](const Tree &self, const py::object &masses) {
            auto look_up = py::vectorize([&self](double mass) { return self.look_up(mass); });
            return look_up(row_of<double>(masses, "iufb"));
        },
        py::arg("masses"));
}
