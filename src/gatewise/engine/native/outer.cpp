// Gradients of weights: outer products of gradients of the sums and what the weights multiply, over a chunk's rows.
#include "runner.hpp"

namespace gatewise {
namespace {

// Sums of a tile, [height][lanes], into places of which the vectors of a kernel would reach too many, or not in order.
void deliver(const float* tile, int height, int lanes, float* out, ptrdiff_t down, ptrdiff_t across, bool add) {
    for (int i = 0; i < height; i++, tile += COLUMNS * LANES, out += down)
        for (int j = 0; j < lanes; j++) out[j * across] = add ? out[j * across] + tile[j] : tile[j];
}

}  // namespace

// The weight gradients' operands by pairs of rows, rows of the vectors beside those of the values that they belong to.
void Runner::pair_operands(const Region& region, const std::vector<Gradient>& gradients, float* paired) {
    const Chunk& chunk = *chunk_;
    const bool resets = s_.call.resets.data;
    std::vector<int> flat(chunk.rows), before(chunk.rows);
    for (int step = 0, row = 0; step < chunk.last - chunk.first; step++)
        for (int r = 0; row < chunk.flat[step + 1]; r++, row++) {
            flat[row] = row;
            before[row] = resets ? row : (step ? chunk.start + chunk.flat[step - 1] : 0) + r;
        }
    paired_stride_ = pair_stride(chunk);
    paired_.assign(s_.operands.size(), nullptr);
    auto pair = [&](Place place, int index, int size) {
        float*& to = paired_[s_.operand(place, index)];
        if (to) return;
        to = paired;
        paired += s_.blocks(size) * paired_stride_;
        const Spot from = spot(place, index, region, {0, 0, chunk.start, chunk.rows, 0});
        const int* rows = place == Place::before ? before.data() : flat.data();
        const Range blocks(s_.blocks(size), member_);
        for (int block = blocks.begin; block < blocks.end; block++)
            s_.call.kernels.pair(from.base + block * from.block, rows, chunk.rows, to + block * paired_stride_, LANES);
    };
    for (const Outer& outer : s_.program.outers)
        for (const auto& [stream, block] : outer.values) {
            if (!gradients[block].data) continue;
            pair(outer.place, outer.index, outer.size);
            pair(Place::stream, stream, outer.value_size);
        }
    member_.meet();
}

// Rows of the values and of the vector that belong together: all of the chunk, unless the rows before a step lie apart
// because some ended; pairs lie together always.
std::vector<Span> Runner::spans(Place vector) const {
    const Chunk& chunk = *chunk_;
    if (s_.low) return {{0, 0, (chunk.rows + 1) / 2}};
    std::vector<Span> result;
    for (int step = 0; step < chunk.last - chunk.first; step++) {
        const int flat = chunk.flat[step], rows = chunk.flat[step + 1] - flat;
        const int at = vector == Place::after                              ? chunk.start + flat
                       : vector != Place::before || s_.call.resets.data ? flat
                       : step                                              ? chunk.start + chunk.flat[step - 1]
                                                                           : 0;
        if (!result.empty() && result.back().left + result.back().rows * LANES == flat * LANES &&
            result.back().right + result.back().rows * LANES == at * LANES)
            result.back().rows += rows;
        else
            result.push_back({flat * LANES, at * LANES, rows});
    }
    return result;
}

// The chunk's share of the weight gradients, where `gradients` has a place for it: units times k, as weights are stored.
// An element is the same thread's whatever product it gets a share of, for that is divided by depth and units alone.
void Runner::outer_products(const Region& region, const std::vector<Gradient>& gradients, bool begin) {
    constexpr int WIDTH = COLUMNS * LANES;
    constexpr int NEAR = 1 << 17;  // floats of an operand that stay in the second-level cache
    alignas(64) float tile[OUTER * WIDTH];
    std::vector<bool> begun(gradients.size(), !begin);
    for (const Outer& outer : s_.program.outers) {
        struct Left {
            const float* values;
            Gradient to;
            bool add;
        };
        std::vector<Left> lefts;
        for (const auto& [stream, block] : outer.values) {
            if (!gradients[block].data) continue;
            lefts.push_back({s_.low ? paired_[s_.operand(Place::stream, stream)] : region.streams[stream],
                             gradients[block], begun[block]});
            begun[block] = true;
        }
        if (lefts.empty()) continue;
        std::vector<Span> spans = this->spans(outer.place);
        const int some = static_cast<int>(spans.size());
        const Spot vector = s_.low ? Spot{paired_[s_.operand(outer.place, outer.index)], paired_stride_}
                                   : spot(outer.place, outer.index, region, {0, 0, 0, 0, 0});
        const ptrdiff_t stride = s_.low ? paired_stride_ : region.stride;
        const int depth = s_.units(outer.size), units = s_.units(outer.value_size);
        const int blocks = blocks_of(units);
        if (depth <= LANES / 2) {  // as lanes, so few would waste the more: the units take their place
            for (Span& span : spans) std::swap(span.left, span.right);
            const Range groups((blocks + COLUMNS - 1) / COLUMNS, member_);
            for (int group = groups.begin; group < groups.end; group++)
                for (const Left& left : lefts)
                    for (int k = 0; k < depth; k += OUTER) {
                        const int unit = group * WIDTH, lanes = std::min(WIDTH, units - unit);
                        const int height = std::min(OUTER, depth - k);
                        s_.products.outer(height, blocks_of(lanes), spans.data(), some, vector.base + k,
                                          left.values + group * COLUMNS * stride, stride, tile, WIDTH, false);
                        deliver(tile, height, lanes, left.to.data + unit * left.to.row + k, 1, left.to.row, left.add);
                    }
            continue;
        }
        // As many columns of k at once as stay near while the units of all values pass by.
        const int groups = (depth + WIDTH - 1) / WIDTH;
        const int near = std::min(NEAR / WIDTH / (s_.low ? (chunk_->rows + 1) / 2 : chunk_->rows),
                                  groups * blocks / (4 * member_.threads));
        const int reach = std::max(1, near) * WIDTH, panels = (depth + reach - 1) / reach;
        const Range shares(panels * blocks, member_);
        for (int share = shares.begin; share < shares.end; share++) {
            const int first = share / blocks * reach, last = std::min(depth, first + reach), block = share % blocks;
            const int height = std::min(LANES, units - block * LANES), tiles = (height + OUTER - 1) / OUTER;
            for (const Left& left : lefts)
                for (int t = 0; t < tiles; t++) {
                    const int from = height * t / tiles, rows = height * (t + 1) / tiles - from;
                    const float* const values = left.values + block * stride + from;
                    float* const row = left.to.data + (block * LANES + from) * left.to.row;
                    for (int k = first; k < last; k += WIDTH) {
                        const int lanes = std::min(WIDTH, last - k);
                        const float* const right = vector.base + k / LANES * vector.block;
                        if (lanes % LANES == 0) {
                            s_.products.outer(rows, lanes / LANES, spans.data(), some, values, right, vector.block,
                                              row + k, left.to.row, left.add);
                        } else {
                            s_.products.outer(rows, blocks_of(lanes), spans.data(), some, values, right, vector.block,
                                              tile, WIDTH, false);
                            deliver(tile, rows, lanes, row + k, left.to.row, 1, left.add);
                        }
                    }
                }
        }
    }
}

}  // namespace gatewise
