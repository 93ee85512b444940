// What all threads of a call share: how the layer is cut up, and how much memory each piece takes.
#pragma once

#include <algorithm>
#include <vector>

#include "call.hpp"
#include "team.hpp"

namespace gatewise {

inline int blocks_of(int units) { return (units + LANES - 1) / LANES; }

// Values of one operand in a block's row of 16, and of a whole depth, in words: see kernels.hpp.
inline int values_of_word(Precision precision) {
    return precision == Precision::int8 ? 4 : precision == Precision::bfloat16 ? 2 : 1;
}
inline int row_words(Precision precision) { return LANES / values_of_word(precision); }
inline int depth_words(int depth, Precision precision) {
    return (depth + values_of_word(precision) - 1) / values_of_word(precision);
}

// The part of `count` things that falls to one member.
struct Range {
    int begin, end;
    Range(int count, const Member& member)
        : begin(static_cast<int>(static_cast<int64_t>(count) * member.thread / member.threads)),
          end(static_cast<int>(static_cast<int64_t>(count) * (member.thread + 1) / member.threads)) {}
    explicit Range(int count) : begin(0), end(count) {}
    Range(int begin, int end) : begin(begin), end(end) {}
};

// Which values of a share's vector the units from `first` to `last` multiply, from a whole block on: all, or those of
// their heads.
Range reach(const Program& program, const Share& share, const Sizes& sizes, int first, int last);

// The most of them that a panel's units multiply, in words, with those that come ahead of its weights.
int share_depth(const Program& program, const Share& share, const Sizes& sizes, int units, int per_panel,
                Precision precision);

// Columns of a panel: whole blocks of units, as many as fill a tile; fewer where each thread must get some.
int panel_blocks(const Phase& phase, const Sizes& sizes, const Work& work);

// Shares of a group that follow one another and go to the same accumulators: one run of the matrix kernel.
struct Pass {
    enum class Start { bias, stream, sum, mixed };  // mixed: some accumulators begin here, others go on

    int group, first, count;  // shares
    std::vector<int> accumulators;
    std::vector<bool> begin;
    Start start;
};

struct Operand {  // of a weight gradient
    Place place;
    int index;
    int size;  // letter
};

// Everything about a call that all its threads share.
struct CallPlan {
    const Call& call;
    const Program& program;
    const Sizes& sizes;
    bool keep;
    Precision precision;
    bool bf16;
    const Products& products;
    std::vector<Part> own_parts;
    const std::vector<Part>& parts;
    std::vector<int> panels;                               // blocks per panel, by phase
    std::vector<std::vector<Pass>> passes;                 // by phase
    std::vector<size_t> vectors;                           // by block: padded weight vectors
    std::vector<size_t> repeated;                          // by block: those that products read, as ROWS equal rows
    std::vector<std::vector<std::vector<size_t>>> biases;  // by phase, group, accumulator
    std::vector<float> constants, bf16_constants;
    std::vector<Series> outputs;
    Arriving arriving;
    std::vector<bool> bf16_streams, bf16_carry;  // those that products read in bfloat16
    std::vector<Operand> operands;               // of the weight gradients in bfloat16, each once

    // `tape`: of the forward call, if this is its counterpart.
    CallPlan(const Call& call, bool keep, const Tape* tape, int chunk_rows, int chunk_steps);

    int units(int letter) const { return sizes[letter]; }
    int blocks(int letter) const { return blocks_of(sizes[letter]); }
    const float* vector(int block) const { return constants.data() + vectors[block]; }
    int operand(Place place, int index) const;  // its number among `operands`, -1 if it is not there

private:
    void note_operands();
    void gather_vectors();
};

// Floats that one chunk's kept streams and carried values take.
struct Extent {
    size_t streams = 0, history = 0, before = 0;
    size_t total() const { return streams + history + before; }
};

Extent extent(const Program& program, const Sizes& sizes, const Chunk& chunk, Source source, bool resets);

// Words that the same chunk takes in bfloat16: of all that products read, whatever its source.
size_t bf16_extent(const CallPlan& plan, const Chunk& chunk);

// Words from one block to the next of an operand of the weight gradients, by pairs of rows; and of all of them.
ptrdiff_t pair_stride(const Chunk& chunk);
size_t pair_extent(const CallPlan& plan, const Chunk& chunk);

}  // namespace gatewise
