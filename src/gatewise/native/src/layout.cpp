#include "layout.hpp"

#include <algorithm>
#include <numeric>

#include "kernels.hpp"

namespace gatewise {
namespace {

// An odd number of cache lines: at an even stride the lines of a column of blocks fall into few sets of the cache.
ptrdiff_t spread(int rows) { return static_cast<ptrdiff_t>(rows | 1) * LANES; }

void cut_steps(const Shape& shape, Part& part, int chunk_rows, int chunk_steps) {
    const int steps = part.lengths.empty() ? 0 : part.lengths[0];
    for (int step = 0, rows = static_cast<int>(part.rows.size()); step < steps; step++) {
        while (part.lengths[rows - 1] <= step) rows--;
        part.running.push_back(rows);
    }
    for (int first = 0; first < steps;) {
        Chunk chunk{};
        chunk.first = first;
        chunk.start = part.running[first];
        int step = first;
        for (; step < steps && (step - first < chunk_steps || chunk.rows < chunk_rows); step++) {
            chunk.flat.push_back(chunk.rows);
            chunk.rows += part.running[step];
            for (int row = 0; row < part.running[step]; row++)
                chunk.where.push_back({shape.reverse ? part.lengths[row] - 1 - step : step, part.rows[row]});
        }
        chunk.flat.push_back(chunk.rows);
        chunk.last = first = step;
        chunk.stride = spread(chunk.rows);
        chunk.history = spread(chunk.start + chunk.rows);
        part.chunks.push_back(std::move(chunk));
    }
}

}  // namespace

std::vector<Part> cut(const Shape& shape, int parts, int chunk_rows, int chunk_steps) {
    std::vector<Part> result(parts);
    std::vector<int> order(shape.rows);
    std::iota(order.begin(), order.end(), 0);
    if (shape.lengths)
        std::stable_sort(order.begin(), order.end(),
                         [&](int a, int b) { return shape.lengths[a] > shape.lengths[b]; });
    for (int i = 0; i < shape.rows; i++) {
        // Rows of equal length in blocks; others in turns, to and fro, so that the parts take equally long.
        int round = i / parts, place = i % parts;
        int part = shape.lengths ? (round % 2 ? parts - 1 - place : place)
                                 : static_cast<int>(static_cast<int64_t>(i) * parts / shape.rows);
        result[part].rows.push_back(order[i]);
        result[part].lengths.push_back(shape.lengths ? static_cast<int>(shape.lengths[order[i]]) : shape.steps);
    }
    for (Part& part : result) cut_steps(shape, part, chunk_rows, chunk_steps);
    return result;
}

}  // namespace gatewise
