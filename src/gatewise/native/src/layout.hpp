// How the rows and steps of one call are cut up, and where each of them lies in memory.
//
// Rows are distributed among parts, which run without knowing of one another, and sorted by length within a part, so that
// those still running at a step come first: padding has no place here. Steps are cut into chunks that fit the caches.
// Within a chunk the running rows of one step follow those of the step before it: "flat" rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gatewise {

struct Where {  // of a flat row, in the caller's tensors
    int time, row;
};

struct Chunk {
    int first, last;         // steps first .. last - 1
    int rows;                // flat rows
    int start;               // rows running at the first step
    ptrdiff_t stride;        // floats from one block of 16 units to the next
    ptrdiff_t history;       // the same where `start` rows come first: carried values, with those before the chunk
    std::vector<int> flat;   // flat row at which each step begins, and the end
    std::vector<Where> where;
};

struct Part {
    std::vector<int> rows;     // the caller's rows, longest first
    std::vector<int> lengths;  // of these
    std::vector<int> running;  // rows at each step
    std::vector<Chunk> chunks;
};

struct Shape {
    int steps, rows;
    const int64_t* lengths;  // null: all are `steps`
    bool reverse;            // from each row's last step to its first
};

// chunk_rows: about how many flat rows make a chunk; chunk_steps: of how many steps at least.
std::vector<Part> cut(const Shape& shape, int parts, int chunk_rows, int chunk_steps);

}  // namespace gatewise
