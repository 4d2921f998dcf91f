#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#undef NDEBUG
#include <cassert>

struct View {
    float *data;
    std::int64_t sizes[9];
};
static_assert(sizeof(View) == 80);

class Buffer {
  public:
    // @listing 3

    explicit Buffer(std::size_t n) : data_(new float[n]) {}
    bool empty() const { return data_ == nullptr; }

  private:
    float *data_;
};

Buffer::~Buffer() { delete[] data_; }
Buffer::Buffer(Buffer &&other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
Buffer &Buffer::operator=(Buffer &&other) noexcept {
    Buffer moved(std::move(other));
    std::swap(data_, moved.data_);
    return *this;
}

// @listing 4

int main() {
    {
        // @listing 1
        assert(third == 3 && end - p == 3);
    }
    View b{};
    // @listing 2
    b.sizes[0] = 7;
    assert(copy.sizes[0] == 0 && name.sizes[0] == 7 && address->sizes[0] == 7);
    Buffer first(4), second(2);
    second = std::move(first);
    assert(first.empty() && !second.empty());
    assert(top == 3);
}
