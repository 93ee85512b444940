// A cell's step, lowered for this engine: what native/lowering.py makes of a program of algebra/stages.py.
//
// A step is a list of phases. A phase computes vectors of one size: its accumulators (sums of matrix products), then its
// pointwise program on them. Whatever a later phase, step or the backward pass reads is a stream in memory.
#pragma once

#include <string>
#include <vector>

#include "kernels.hpp"

namespace gatewise {

// Where a value of a phase lives.
enum class Place : int {
    slot,      // scratch of one tile
    stream,    // streams[index], at this step
    before,    // carried value `index`, as the step found it
    after,     // ... as it leaves it
    arriving,  // gradient of carried value `index` that the step after handed back
    leaving,   // ... that goes to the step before
    weight,    // blocks[index], a vector, the same for every row
    constant,  // `number`
    mean,      // means[index] of the phase, the same for every unit
    count
};

struct Value {
    Place place;
    int index;
    float number;
    int slot;      // scratch, also of values in memory: small batches are gathered there
    bool read;     // has a value before the phase's program
    bool written;  // has a new one after it
};

enum class Source : int { input, saved, local, count };  // local: lives as long as its chunk

struct Stream {
    int size;  // which size letter
    Source source;
};

// A gate's block of rows of a stored parameter. columns = -1: a vector. head = -1: a whole matrix; or else square blocks
// along the diagonal, with `head` the letter of their size: a row has columns for the units of its own head alone.
struct Block {
    int parameter, place, rows, columns, head;

    int stored() const { return head < 0 ? columns : head; }  // letter of a stored row's length, -1: a vector
};

struct Product {
    int accumulator;  // in the group
    int block;
    bool transposed;
};

// Products of one vector, one per accumulator at most.
struct Share {
    Place place;  // of the vector
    int index;
    int size;  // letter of its length
    std::vector<Product> products;
};

struct Group {  // accumulators that share tiles
    std::vector<int> values;
    std::vector<std::vector<int>> biases;  // blocks whose sum each accumulator starts from
    std::vector<int> start;                // or the stream, -1 if none
    std::vector<Share> shares;
};

enum class When : int { advance, step, deferred, count };  // before all steps of a chunk, at each, after all

struct Phase {
    When when;
    int size;
    std::vector<Value> values;
    std::vector<std::pair<Place, int>> means;  // vectors whose mean over all units the program reads
    std::vector<Group> groups;
    std::vector<Instruction> program;
    std::vector<std::pair<int, int>> arrivals;    // value <- arriving gradient of a carry, plus its output's
    std::vector<std::pair<int, int>> emissions;   // value -> rows of an output
    std::vector<std::pair<int, int>> reductions;  // value, summed over rows -> totals[index]
};

// Weight gradients that share a vector: blocks[...] += values (outer) vector.
struct Outer {
    Place place;  // stream or before
    int index;
    int size;                                 // letter of the vector's length
    int value_size;                           // letter of the values' length
    std::vector<std::pair<int, int>> values;  // stream, block
};

struct Total {  // a sum over all rows and steps
    int size;
    int block;   // whose gradient it is,
    int weight;  // or that of its outer product with this weight, if not -1
};

struct Program {
    std::vector<int> carry;  // size letter of each carried value
    std::vector<Stream> streams;
    std::vector<Block> blocks;
    std::vector<Phase> phases;
    std::vector<Outer> outers;
    std::vector<Total> totals;
    int slots = 0;
    int parameters = 0;
    bool backward = false;
    long serial = 0;  // no two programs of a process have the same

    // Forward the carried values of every step, backward dL/dx alone.
    size_t outputs() const { return backward ? 1 : carry.size(); }
};

// What is wrong with a program, or an empty text. Whatever passes is safe to run on memory of the right sizes.
std::string error_in(const Program& program);

}  // namespace gatewise
