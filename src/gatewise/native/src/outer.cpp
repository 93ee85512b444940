// Gradients of weights: outer products of gradients of the sums and what the weights multiply, over a chunk's rows.
#include "runner.hpp"

namespace gatewise {
namespace {

constexpr int WIDTH = COLUMNS * LANES;  // of a tile

// A tile's sums, some of its rows and lanes, to where they belong.
void deliver(const float* tile, int height, int lanes, float* out, ptrdiff_t down, ptrdiff_t across, bool add) {
    for (int i = 0; i < height; i++, tile += WIDTH, out += down)
        for (int j = 0; j < lanes; j++) out[j * across] = add ? out[j * across] + tile[j] : tile[j];
}

}  // namespace

// The weight gradients' operands by pairs of rows, rows of the vectors beside those of the values that they belong to.
void Runner::pair_operands(const Region& region, const std::vector<Gradient>& gradients, float* paired) {
    const Chunk& chunk = *chunk_;
    const bool resets = plan_.call.resets.data;
    std::vector<int> flat(chunk.rows), before(chunk.rows);
    for (int step = 0, row = 0; step < chunk.last - chunk.first; step++)
        for (int r = 0; row < chunk.flat[step + 1]; r++, row++) {
            flat[row] = row;
            before[row] = resets ? row : (step ? chunk.start + chunk.flat[step - 1] : 0) + r;
        }
    paired_stride_ = pair_stride(chunk);
    paired_.assign(plan_.operands.size(), nullptr);
    auto pair = [&](Place place, int index, int size) {
        float*& to = paired_[plan_.operand(place, index)];
        if (to) return;
        to = paired;
        paired += plan_.blocks(size) * paired_stride_;
        const BlockView from = view(place, index, region, {0, 0, chunk.start, chunk.rows, 0});
        const int* rows = place == Place::before ? before.data() : flat.data();
        const Range blocks(plan_.blocks(size), member_);
        for (int block = blocks.begin; block < blocks.end; block++)
            plan_.call.kernels.pair(from.base + block * from.block, rows, chunk.rows, to + block * paired_stride_,
                                    LANES);
    };
    for (const Outer& outer : plan_.program.outers)
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
    if (plan_.bf16) return {{0, 0, (chunk.rows + 1) / 2}};
    std::vector<Span> result;
    for (int step = 0; step < chunk.last - chunk.first; step++) {
        const int flat = chunk.flat[step], rows = chunk.flat[step + 1] - flat;
        const int at = vector == Place::after                              ? chunk.start + flat
                       : vector != Place::before || plan_.call.resets.data ? flat
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
// An element is the same thread's whatever product it gets a share of, for that is divided by depth and units alone: so
// products of one block need not wait for one another.
void Runner::outer_products(const Region& region, const std::vector<Gradient>& gradients, bool begin) {
    std::vector<bool> begun(gradients.size(), !begin);
    for (const Outer& outer : plan_.program.outers) {
        std::vector<OuterFactor> factors;
        for (const auto& [stream, block] : outer.values) {
            if (!gradients[block].data) continue;
            const BlockView values = plan_.bf16
                                         ? BlockView{paired_[plan_.operand(Place::stream, stream)], paired_stride_}
                                         : BlockView{region.streams[stream], region.stride};
            factors.push_back({values, gradients[block], begun[block]});
            begun[block] = true;
        }
        if (factors.empty()) continue;
        const BlockView vector = plan_.bf16
                                     ? BlockView{paired_[plan_.operand(outer.place, outer.index)], paired_stride_}
                                     : view(outer.place, outer.index, region, {0, 0, 0, 0, 0});
        if (plan_.program.blocks[outer.values[0].second].head >= 0)
            multiply_heads(outer, factors, vector);
        else if (plan_.units(outer.size) <= LANES / 2)
            multiply_few(outer, factors, vector);
        else
            multiply_many(outer, factors, vector);
    }
}

// Few columns, as lanes, would leave most of a vector idle: the units take their place.
void Runner::multiply_few(const Outer& outer, const std::vector<OuterFactor>& factors, const BlockView& vector) {
    alignas(64) float tile[OUTER * WIDTH];
    std::vector<Span> spans = this->spans(outer.place);
    for (Span& span : spans) std::swap(span.left, span.right);
    const int depth = plan_.units(outer.size), units = plan_.units(outer.value_size);
    const Range groups((units + WIDTH - 1) / WIDTH, member_);
    for (int unit = groups.begin * WIDTH; unit < std::min(units, groups.end * WIDTH); unit += WIDTH)
        for (const OuterFactor& factor : factors)
            for (int k = 0; k < depth; k += OUTER) {
                const int lanes = std::min(WIDTH, units - unit), height = std::min(OUTER, depth - k);
                plan_.products.outer(height, blocks_of(lanes), spans.data(), static_cast<int>(spans.size()),
                                  vector.base + k, factor.values.base + unit / LANES * factor.values.block,
                                  factor.values.block, tile, WIDTH, false);
                deliver(tile, height, lanes, factor.to.data + unit * factor.to.row + k, 1, factor.to.row, factor.add);
            }
}

// Of block-diagonal weights: a unit's row has columns for its own head alone.
void Runner::multiply_heads(const Outer& outer, const std::vector<OuterFactor>& factors, const BlockView& vector) {
    alignas(64) float tile[OUTER * WIDTH];
    const std::vector<Span> spans = this->spans(outer.place);
    const int units = plan_.units(outer.value_size);
    const int head = plan_.units(plan_.program.blocks[outer.values[0].second].head);
    const Range blocks(blocks_of(units), member_);
    for (int block = blocks.begin; block < blocks.end; block++) {
        const int unit = block * LANES, count = std::min(LANES, units - unit), tiles = (count + OUTER - 1) / OUTER;
        const int first = unit / head * head / LANES * LANES, last = ((unit + count - 1) / head + 1) * head;
        for (const OuterFactor& factor : factors)
            for (int t = 0; t < tiles; t++) {
                const int from = count * t / tiles, height = count * (t + 1) / tiles - from;
                for (int k = first; k < last; k += WIDTH) {
                    const int lanes = std::min(WIDTH, last - k);
                    plan_.products.outer(height, blocks_of(lanes), spans.data(), static_cast<int>(spans.size()),
                                      factor.values.base + block * factor.values.block + from,
                                      vector.base + k / LANES * vector.block, vector.block, tile, WIDTH, false);
                    for (int i = 0; i < height; i++) {
                        const int row = unit + from + i, start = row / head * head;
                        const int begin = std::max(k, start), end = std::min(k + lanes, start + head);
                        if (begin < end)
                            deliver(tile + i * WIDTH + begin - k, 1, end - begin,
                                    factor.to.data + row * factor.to.row + begin - start, 0, 1, factor.add);
                    }
                }
            }
    }
}

void Runner::multiply_many(const Outer& outer, const std::vector<OuterFactor>& factors, const BlockView& vector) {
    constexpr int NEAR = 1 << 17;  // words of the vector that stay in the second-level cache
    alignas(64) float tile[OUTER * WIDTH];
    const std::vector<Span> spans = this->spans(outer.place);
    const int depth = plan_.units(outer.size), units = plan_.units(outer.value_size), blocks = blocks_of(units);
    // Of as many columns as stay near all units are taken before the next; of fewer, where each thread must get some.
    const int rows = plan_.bf16 ? (chunk_->rows + 1) / 2 : chunk_->rows, groups = (depth + WIDTH - 1) / WIDTH;
    const int together = std::min(NEAR / WIDTH / rows, groups * blocks / (4 * member_.threads));
    const int panel = std::max(1, together) * WIDTH, panels = (depth + panel - 1) / panel;
    const Range shares(panels * blocks, member_);
    for (int share = shares.begin; share < shares.end; share++) {
        const int first = share / blocks * panel, last = std::min(depth, first + panel), block = share % blocks;
        const int count = std::min(LANES, units - block * LANES), tiles = (count + OUTER - 1) / OUTER;
        for (const OuterFactor& factor : factors)
            for (int t = 0; t < tiles; t++) {
                const int from = count * t / tiles, height = count * (t + 1) / tiles - from;
                const float* const left = factor.values.base + block * factor.values.block + from;
                float* const out = factor.to.data + (block * LANES + from) * factor.to.row;
                for (int k = first; k < last; k += WIDTH) {
                    const int lanes = std::min(WIDTH, last - k);
                    const bool whole = lanes % LANES == 0;  // or the last vector would reach into the next row
                    plan_.products.outer(height, blocks_of(lanes), spans.data(), static_cast<int>(spans.size()), left,
                                      vector.base + k / LANES * vector.block, vector.block, whole ? out + k : tile,
                                      whole ? factor.to.row : WIDTH, whole && factor.add);
                    if (!whole) deliver(tile, height, lanes, out + k, factor.to.row, 1, factor.add);
                }
            }
    }
}

}  // namespace gatewise
