// Rows of the callers' tensors, in floats or bfloat16, to and from rows of a block.
#pragma once

#include <cstring>

#include "call.hpp"

namespace gatewise {

// One row of a block; whole ones by moves of a fixed size.
template <class Number>
void copy_row(Number* to, const Number* from, int lanes) {
    if (lanes == LANES)
        std::memcpy(to, from, LANES * sizeof(Number));
    else
        std::memcpy(to, from, lanes * sizeof(Number));
}

// Up to 16 values of a caller's tensor from `place` on, and zeros for the rest of a block.
inline void read_row(float* to, const Data& from, ptrdiff_t place, int lanes) {
    if (from.bf16) {
        bfloat16 values[LANES] = {};
        uint32_t bits[LANES];
        copy_row(values, static_cast<const bfloat16*>(from.address) + place, lanes);
        for (int i = 0; i < LANES; i++) bits[i] = static_cast<uint32_t>(values[i]) << 16;
        std::memcpy(to, bits, sizeof bits);
    } else {
        if (lanes < LANES) std::memset(to, 0, LANES * sizeof(float));
        copy_row(to, static_cast<const float*>(from.address) + place, lanes);
    }
}

inline void write_row(const Kernels& kernels, const Data& to, ptrdiff_t place, const float* from, int lanes) {
    if (to.bf16) {
        bfloat16 rounded[LANES];
        kernels.round(from, 1, LANES, rounded);
        copy_row(static_cast<bfloat16*>(to.address) + place, rounded, lanes);
    } else {
        copy_row(static_cast<float*>(to.address) + place, from, lanes);
    }
}

}  // namespace gatewise
