// One layer over time, forward and backward, of any lowered cell.
#pragma once

#include <memory>
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

struct Data {  // of a caller's tensor: floats, or bfloat16 where `low`; null: absent
    void* address;
    bool low;
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

struct Restarts {  // (T, B) of booleans; no data: absent
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
           const Kernels& kernels, bool low, int threads);

    bool low() const { return low_; }
    const float* share(int phase, int group, int share) const { return memory_.data() + places_[phase][group][share]; }

    bool made_for(const Program& program, const Sizes& sizes, const Work& work) const {
        return program.serial == program_ && sizes == sizes_ && work.parts == work_.parts &&
               work.threads == work_.threads;
    }

private:
    long program_;
    Sizes sizes_;
    Work work_;
    bool low_;
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
    Restarts resets;
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

    bool fits(const Call& call) const;  // whether this backward call is the forward call's counterpart
};

// Fills `outputs` (zero beyond a row's length) and `last`. With a tape to fill it keeps what `backward` needs.
void forward(const Call& call, const std::vector<Rows>& state, const std::vector<Series>& outputs,
             const std::vector<Rows>& last, Tape* tape);

struct Arriving {
    std::vector<Series> outputs;  // per carried value, some absent
    std::vector<Rows> last;
};

// Fills what is present of dx, dstate and dweights.
void backward(const Call& call, const Tape& tape, const Arriving& arriving, const Series& dx,
              const std::vector<Rows>& dstate, const std::vector<Matrix>& dweights);

}  // namespace gatewise
