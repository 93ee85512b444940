// What Python hands in, checked against the plan of a layer.
#pragma once

#include <algorithm>
#include <atomic>
#include <initializer_list>
#include <utility>
#include <vector>

#include "call.hpp"
#include "checks.hpp"
#include "tensor.hpp"

namespace gatewise {

inline std::atomic<const Kernels*> chosen{nullptr};  // the instruction set in use

// A program for vectors of these sizes, its work divided in this way, in this precision.
struct Plan {
    const Program& program;
    Sizes sizes;
    Work work;
    Precision precision;

    Plan(const Program& program, const Sizes& sizes, std::pair<int, int> work, Precision precision)
        : program(program), sizes(sizes), work{work.first, work.second}, precision(precision) {
        need(precision != Precision::int8 || !program.backward, "the precision of a backward program");
        const auto [parts, threads] = work;
        need(parts >= 1 && threads >= 1 && (parts == 1 || parts <= threads), "threads");
        int letters = 1;
        auto see = [&](int letter) { letters = std::max(letters, letter + 1); };
        for (int letter : program.carry) see(letter);
        for (const Stream& stream : program.streams) see(stream.size);
        for (const Block& block : program.blocks) see(block.rows), see(block.columns), see(block.head);
        for (const Phase& phase : program.phases) see(phase.size);
        need(sizes.size() >= static_cast<size_t>(letters), "the number of sizes");
        const int most = precision == Precision::int8 ? 1 << 16 : 1 << 24;  // 2^16 products of bytes fit an integer
        for (int size : sizes) need(size >= 0 && size < most, "a size");
        for (const Block& block : program.blocks)
            need(block.head < 0 || (sizes[block.head] && sizes[block.rows] % sizes[block.head] == 0), "a head's size");
    }
};

// Whether it is of this shape and precision, its last axis in one piece.
inline void need_shape(const Tensor& tensor, std::initializer_list<int64_t> shape, const char* what) {
    const int last = static_cast<int>(shape.size()) - 1;
    need(tensor.ndim == last + 1 && std::equal(shape.begin(), shape.end(), tensor.shape), what);
    const bool empty = std::count(shape.begin(), shape.end(), 0);
    need(empty || tensor.strides[last] == 1 || tensor.shape[last] == 1, what);
    need(tensor.floats() || tensor.bf16(), what);
}

// Whether the engine may write to those that are present: numpy's arrays may be read-only.
inline void need_writable(const std::vector<Tensor>& tensors, const char* what) {
    for (const Tensor& tensor : tensors) need(!tensor || tensor.writable, what);
}

// Weights, or places for their gradients, of which `some` may be absent. In bfloat16 they may be matrices that are read
// where they are `packed`, only.
inline std::vector<Matrix> matrices(const Plan& plan, const std::vector<Tensor>& tensors, bool some, bool packed) {
    need(tensors.size() == static_cast<size_t>(plan.program.parameters), "the number of weights");
    std::vector<Matrix> result;
    for (const Tensor& tensor : tensors) {
        if (!tensor) {
            need(some, "a missing weight");
            result.push_back({});
            continue;
        }
        need(tensor.ndim == 1 || tensor.ndim == 2, "a weight's shape");
        need(tensor.floats() || (packed && tensor.ndim == 2 && tensor.bf16()), "a weight's precision");
        const bool flat = tensor.ndim == 1;
        need(tensor.shape[0] < 1 << 30 && (flat || tensor.shape[1] < 1 << 30), "a weight's shape");
        result.push_back({static_cast<float*>(tensor.data), tensor.strides[0], flat ? 0 : tensor.strides[1],
                          static_cast<int>(tensor.shape[0]), flat ? 1 : static_cast<int>(tensor.shape[1])});
    }
    for (const Block& block : plan.program.blocks) {
        if (!tensors[block.parameter]) continue;
        const Matrix& matrix = result[block.parameter];
        need((block.place + 1) * plan.sizes[block.rows] <= matrix.rows &&
                 (block.columns < 0 ? matrix.columns == 1 : plan.sizes[block.stored()] == matrix.columns),
             "a weight's shape");
    }
    return result;
}

}  // namespace gatewise
