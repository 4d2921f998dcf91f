// What older compilers put into each module: a sized form of delete that calls the plain one.
#include <cstddef>
#include <new>

void operator delete(void *block, std::size_t) noexcept {
    ::operator delete(block);
}
