// What one call of a layer is: its tensors, how it is divided, packed weights, and the tape between forward and backward.
#pragma once

#include <vector>

#include "layout.hpp"
#include "memory.hpp"
#include "program.hpp"
#include "team.hpp"

namespace gatewise {

struct Matrix {  // a stored parameter; of a vector `column` is unused
    float* data;
    ptrdiff_t row, column;  // floats to the next
    int rows, columns;      // a vector has one column
};

struct Data {  // of a caller's tensor: floats, or bfloat16 where `bf16`; null: absent
    void* address;
    bool bf16;
    explicit operator bool() const { return address; }
};

struct Rows {  // (B, units), units contiguous
    Data data;
    ptrdiff_t row;
};

struct Series {  // (T, B, units), units contiguous
    Data data;
    ptrdiff_t step, row;
};

struct Resets {  // (T, B) of booleans; no data: absent
    const uint8_t* data;
    ptrdiff_t step, row;
};

struct Work {  // how a layer is divided
    int parts;    // groups of rows that run apart, each on one thread
    int threads;  // in all
};

using Sizes = std::vector<int>;  // by size letter

// Weight matrices in the order in which the kernels read them, in words of the precision of their products.
class Packed {
public:
    // work: how the layer is divided, which says in what order they are read; threads: how many pack them.
    Packed(const Program& program, const Sizes& sizes, const std::vector<Matrix>& weights, const Work& work,
           const Kernels& kernels, Precision precision, int threads);

    Precision precision() const { return precision_; }
    const float* share(int phase, int group, int share) const { return memory_.data() + places_[phase][group][share]; }

    bool made_for(const Program& program, const Sizes& sizes, const Work& work) const {
        return program.serial == program_ && sizes == sizes_ && work.parts == work_.parts &&
               work.threads == work_.threads;
    }

private:
    long program_;
    Sizes sizes_;
    Work work_;
    Precision precision_;
    std::vector<std::vector<std::vector<size_t>>> places_;
    Memory memory_;
};

// Calls that run at the same time, each some steps behind the one whose results it reads: a layer behind the one below,
// and on the way back behind the one above. Such calls share their shape and run on one thread each.
struct Link {
    const Progress* ahead = nullptr;  // of the call that fills our x; or the gradient of our first output
    Progress* own = nullptr;          // where we say how far our first output is; or dx

    bool any() const { return ahead || own; }
};

struct Call {  // its products are of the precision of its packed weights
    const Kernels& kernels;
    const Program& program;
    const Packed& packed;
    Sizes sizes;
    Shape shape;
    Work work;
    std::vector<Series> inputs;  // x, then the cell's others
    Resets resets;
    std::vector<Matrix> weights;
    Link link = {};
};

// What the forward pass keeps for the backward pass.
struct Tape {
    std::vector<Part> parts;
    Sizes sizes;
    Work work;
    bool resets;
    std::vector<int> carry, saved;  // size letters of what is kept
    std::vector<std::vector<size_t>> places;  // of each part's chunks
    Memory memory;

    void remember(const Call& call);    // what the tape is of
    bool fits(const Call& call) const;  // whether this backward call is the forward call's counterpart
};

struct Arriving {  // gradients from the caller
    std::vector<Series> outputs;  // per carried value, some absent
    std::vector<Rows> last;
};

}  // namespace gatewise
