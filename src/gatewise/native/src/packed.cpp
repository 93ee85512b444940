// Weights in the order in which the kernels read them.
#include <cmath>
#include <cstring>

#include "call_plan.hpp"

namespace gatewise {
namespace {

// What a share's product multiplies: the weight of a unit and a value of the vector.
class Weights {
public:
    Weights(const Program& program, const Product& product, const Sizes& sizes, const std::vector<Matrix>& weights)
        : of_(program.blocks[product.block]), matrix_(weights[of_.parameter]),
          from_(matrix_.data + static_cast<ptrdiff_t>(of_.place) * sizes[of_.rows] * matrix_.row),
          transposed_(product.transposed), head_(of_.head < 0 ? 0 : sizes[of_.head]) {}

    float operator()(int unit, int k) const {
        const int row = transposed_ ? k : unit, column = transposed_ ? unit : k;
        if (!head_) return from_[row * matrix_.row + column * matrix_.column];
        return row / head_ == column / head_ ? from_[row * matrix_.row + column % head_ * matrix_.column] : 0.0f;
    }

private:
    const Block& of_;
    const Matrix& matrix_;
    const float* from_;
    bool transposed_;
    int head_;
};

// Weights of one share of a panel in int8: of each column and unit the scale, then -128 times the sum of its weights, then
// [k / 4][column][16] words of four weights each.
void quantise_share(const Program& program, const Share& share, const Sizes& sizes, const std::vector<Matrix>& weights,
                    int units, int per_panel, int panel, float* out) {
    const int products = static_cast<int>(share.products.size());
    const int first = panel * per_panel, last = std::min(first + per_panel, blocks_of(units));
    const int columns = (last - first) * products;
    const Range reached = reach(program, share, sizes, first * LANES, std::min(last * LANES, units));
    const int depth = reached.end - reached.begin, words = depth_words(depth, Precision::int8);
    std::memset(out, 0, static_cast<size_t>(QUANTISED + words) * columns * LANES * sizeof(float));
    for (int unit = first * LANES; unit < std::min(last * LANES, units); unit++)
        for (int i = 0; i < products; i++) {
            const Weights weight(program, share.products[i], sizes, weights);
            float* const to = out + ((unit / LANES - first) * products + i) * LANES + unit % LANES;
            float most = 0;
            for (int k = 0; k < depth; k++) {
                const float size = std::fabs(weight(unit, reached.begin + k));
                most = size <= most ? most : size;  // a NaN stays
            }
            const bool finite = most - most == 0;
            const float each = finite && most > 1e-36f ? 127 / most : 0;
            int32_t sum = 0;
            for (int k = 0; finite && k < depth; k++) {
                const int32_t whole = static_cast<int32_t>(std::nearbyint(weight(unit, reached.begin + k) * each));
                sum += whole;
                auto* word = to + static_cast<ptrdiff_t>(QUANTISED + k / 4) * columns * LANES;
                reinterpret_cast<int8_t*>(word)[k % 4] = static_cast<int8_t>(whole);
            }
            to[0] = finite ? most / 127 : most - most;
            sum *= -128;
            std::memcpy(to + columns * LANES, &sum, sizeof sum);
        }
}

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
               const Kernels& kernels, Precision precision, int threads)
    : program_(program.serial), sizes_(sizes), work_(work), precision_(precision) {
    size_t size = 0;
    for (const Phase& phase : program.phases) {
        places_.emplace_back();
        for (const Group& group : phase.groups) {
            places_.back().emplace_back();
            for (const Share& share : group.shares) {
                places_.back().back().push_back(size);
                const int units = sizes[phase.size], per_panel = panel_blocks(phase, sizes, work);
                size += static_cast<size_t>(share_depth(program, share, sizes, units, per_panel, precision)) *
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
                        static_cast<ptrdiff_t>(share_depth(program, share, sizes, units, per_panel, precision)) * per_panel *
                        share.products.size() * LANES;
                    for (int panel = panels.begin; panel < panels.end; panel++) {
                        float* const out = memory_.data() + places_[p][g][i] + panel * one;
                        if (precision == Precision::int8)
                            quantise_share(program, share, sizes, weights, units, per_panel, panel, out);
                        else
                            pack_share(program, share, sizes, weights, units, per_panel, panel, kernels,
                                       precision == Precision::bfloat16, out);
                    }
                }
        }
    });
}

}  // namespace gatewise
