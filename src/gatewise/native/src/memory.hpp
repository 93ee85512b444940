// Memory of the calls. What one call gives back the next one gets, its pages still warm: fresh pages from the system cost
// more than many a whole call computes.
#pragma once

#include <cstddef>
#include <utility>

namespace gatewise {

class Memory {
public:
    Memory() = default;
    explicit Memory(size_t floats);  // 64-byte aligned, not cleared. Throws std::bad_alloc
    ~Memory();
    Memory(Memory&& other) noexcept { *this = std::move(other); }
    Memory& operator=(Memory&& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }

    float* data() const { return data_; }
    size_t bytes() const { return bytes_; }

private:
    float* data_ = nullptr;
    size_t bytes_ = 0;
};

// Where each of many pieces will lie in a memory that is made once the size of all is known.
class Arena {
public:
    // The place of another piece, in floats. It begins a cache line, so that no two threads write to the same one.
    size_t take(size_t floats) {
        const size_t place = size_;
        size_ += (floats + LINE - 1) / LINE * LINE;
        return place;
    }

    size_t size() const { return size_; }

private:
    static constexpr size_t LINE = 16;
    size_t size_ = 0;
};

}  // namespace gatewise
