// Weights in the order in which the kernels read them.
#include <cstring>

#include "call_plan.hpp"

namespace gatewise {
namespace {

// Weights of one share as tiles read them: [panel][k][column][16], a column being one product's block of 16 units.
void pack_share(const Program& program, const Share& share, const Sizes& sizes, const std::vector<Matrix>& weights,
                int units, int per_panel, int panel, const Kernels& kernels, bool bf16, float* out) {
    static constexpr int IN_ORDER[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const int products = static_cast<int>(share.products.size());
    const int first = panel * per_panel, last = std::min(first + per_panel, blocks_of(units));
    const int columns = (last - first) * products;
    const Range reached = reach(program, share, sizes, first * LANES, std::min(last * LANES, units));
    const int depth = reached.end - reached.begin;
    for (int block = first; block < last; block++) {
        const int unit = block * LANES, lanes = std::min(LANES, units - unit);
        for (int i = 0; i < products; i++) {
            const Block& of = program.blocks[share.products[i].block];
            const Matrix& matrix = weights[of.parameter];
            const float* from = matrix.data + static_cast<ptrdiff_t>(of.place) * sizes[of.rows] * matrix.row;
            const bool transposed = share.products[i].transposed;
            const ptrdiff_t along = transposed ? matrix.row : matrix.column;   // to the next k
            const ptrdiff_t across = transposed ? matrix.column : matrix.row;  // to the next unit
            float* to = out + ((block - first) * products + i) * LANES;
            const int head = of.head < 0 ? 0 : sizes[of.head];
            // Of a block-diagonal matrix, what the unit at `lane` multiplies the value k with.
            auto on_diagonal = [&](int lane, int k) {
                const int row = transposed ? k : unit + lane, column = transposed ? unit + lane : k;
                return row / head == column / head ? from[row * matrix.row + column % head * matrix.column] : 0.0f;
            };
            const float* const corner = from + unit * across;
            for (int k = 0; k < depth; k += LANES) {  // 16 by 16, so that both sides are read by whole cache lines
                const int some = std::min(LANES, depth - k);
                const bool whole = some == LANES && lanes == LANES && !head;
                float square[LANES][LANES];
                if (!whole) std::memset(square, 0, sizeof square);
                // Every row of the square is on another page, where the hardware does not look ahead.
                if (!head && along == 1)
                    for (int j = 0; j < lanes; j++) __builtin_prefetch(corner + j * across + k + 4 * LANES);
                else if (!head)
                    for (int n = 0; n < some; n++) __builtin_prefetch(corner + (k + n + LANES) * along);
                if (whole && along == 1)
                    kernels.transpose(corner + k, across, square[0]);
                else if (whole && across == 1)
                    for (int n = 0; n < LANES; n++) std::memcpy(square[n], corner + (k + n) * along, sizeof square[n]);
                else
                    for (int n = 0; n < some; n++)
                        for (int j = 0; j < lanes; j++)
                            square[n][j] = head ? on_diagonal(j, reached.begin + k + n)
                                                : corner[j * across + (k + n) * along];
                if (bf16) {
                    kernels.pair(square[0], IN_ORDER, some, to + static_cast<ptrdiff_t>(k / 2) * columns * LANES,
                              columns * LANES);
                    continue;
                }
                for (int n = 0; n < some; n++)
                    std::memcpy(to + static_cast<ptrdiff_t>(k + n) * columns * LANES, square[n], sizeof square[n]);
            }
        }
    }
}

}  // namespace

Packed::Packed(const Program& program, const Sizes& sizes, const std::vector<Matrix>& weights, const Work& work,
               const Kernels& kernels, bool bf16, int threads)
    : program_(program.serial), sizes_(sizes), work_(work), bf16_(bf16) {
    size_t size = 0;
    for (const Phase& phase : program.phases) {
        places_.emplace_back();
        for (const Group& group : phase.groups) {
            places_.back().emplace_back();
            for (const Share& share : group.shares) {
                places_.back().back().push_back(size);
                const int units = sizes[phase.size], per_panel = panel_blocks(phase, sizes, work);
                size += static_cast<size_t>(share_depth(program, share, sizes, units, per_panel, bf16)) *
                        share.products.size() * LANES * blocks_of(units);
            }
        }
    }
    memory_ = Memory(size);
    run_together(size > 1 << 16 ? threads : 1, [&](const Member& member) {
        for (size_t p = 0; p < program.phases.size(); p++) {
            const Phase& phase = program.phases[p];
            const int per_panel = panel_blocks(phase, sizes, work), units = sizes[phase.size];
            const Range panels((blocks_of(units) + per_panel - 1) / per_panel, member);
            for (size_t g = 0; g < phase.groups.size(); g++)
                for (size_t i = 0; i < phase.groups[g].shares.size(); i++) {
                    const Share& share = phase.groups[g].shares[i];
                    const ptrdiff_t one =
                        static_cast<ptrdiff_t>(share_depth(program, share, sizes, units, per_panel, bf16)) * per_panel *
                        share.products.size() * LANES;
                    for (int panel = panels.begin; panel < panels.end; panel++)
                        pack_share(program, share, sizes, weights, units, per_panel, panel, kernels, bf16,
                                   memory_.data() + places_[p][g][i] + panel * one);
                }
        }
    });
}

}  // namespace gatewise
