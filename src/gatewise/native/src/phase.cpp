// A phase over a range of rows: sums of matrix products, then the pointwise program on them, tile by tile.
#include <cstring>

#include "rows.hpp"
#include "runner.hpp"

namespace gatewise {
namespace {

// How far ahead the only tile of a panel fetches weights, in floats: near enough to stay in the first-level cache. The next
// panel's instead would drive out what is about to be read: a step of one row of 256 units then takes half as long again.
constexpr ptrdiff_t NEAR = 1024;

bool in_memory(Place place) {
    return place == Place::stream || place == Place::before || place == Place::after || place == Place::arriving ||
           place == Place::leaving || place == Place::mean;
}

}  // namespace

// From step to step the panels are taken to and fro: of weights that no longer fit a cache, those that it still holds come
// first. A step of one row of 512 units takes 235 us so, and 290 from the first panel on each time.
void Runner::run_phases(When when, const Region& region, const RowRange& range) {
    from_last_ = !from_last_;
    for (size_t i = 0; i < plan_.program.phases.size(); i++) {
        const Phase& phase = plan_.program.phases[i];
        if (phase.when != when) continue;
        const int per_panel = plan_.panels[i];
        const Range panels((plan_.blocks(phase.size) + per_panel - 1) / per_panel, member_);
        run_phase(static_cast<int>(i), region, range, panels);
        member_.meet();
    }
}

BlockView Runner::view(Place place, int index, const Places& places, const RowRange& range) const {
    switch (place) {
    case Place::stream: return {places.streams[index] + range.flat * places.row, places.stride};
    case Place::before: return {places.before[index] + range.before * places.row, places.before_stride};
    case Place::after: return {places.after[index] + range.after * places.row, places.after_stride};
    case Place::arriving: return {ring_[range.parity] + ring_places_[index], ring_stride_};
    case Place::leaving: return {ring_[range.parity ^ 1] + ring_places_[index], ring_stride_};
    case Place::mean: return {const_cast<float*>(means_.data()) + index * range.count * LANES, 0};
    default: return {nullptr, 0};
    }
}

// What a phase multiplies, share by share in the order of its passes.
void Runner::find_factors(int number, const Region& region, const RowRange& range) {
    const Phase& phase = plan_.program.phases[number];
    const int units = plan_.units(phase.size), per_panel = plan_.panels[number], row = row_words(plan_.precision);
    factors_.clear();
    for (const Pass& pass : plan_.passes[number])
        for (int i = pass.first; i < pass.first + pass.count; i++) {
            const Share& share = phase.groups[pass.group].shares[i];
            const bool weight = share.place == Place::weight;
            const ptrdiff_t most = share_depth(plan_.program, share, plan_.sizes, units, per_panel, plan_.precision);
            const ptrdiff_t size = most * per_panel * static_cast<int>(share.products.size()) * LANES;
            const bool whole = plan_.program.blocks[share.products[0].block].head < 0;
            Factor& factor = factors_.emplace_back(share);
            factor.move = weight ? 0 : row;
            factor.weights = plan_.call.packed.share(number, pass.group, i);
            factor.size = size;
            factor.depth = whole ? depth_words(plan_.units(share.size), plan_.precision) : -1;
            if (plan_.precision == Precision::int8) {
                const Quantised& of = quantised_[find_quantised(share.place, share.index)];
                factor.vector = {quantised_bytes_.data() + of.bytes, of.rows * row};
                factor.scales = quantised_bytes_.data() + of.scales;
            } else if (weight) {
                const std::vector<float>& constants = plan_.bf16 ? plan_.bf16_constants : plan_.constants;
                const size_t place = plan_.repeated[share.index] / (plan_.bf16 ? 2 : 1);
                factor.vector = {const_cast<float*>(constants.data()) + place, ROWS * row};
            } else {
                factor.vector = view(share.place, share.index, plan_.bf16 ? region.bf16 : region, range);
            }
        }
}

// The matrix products of a panel's blocks, ready to be run for any of its rows.
void Runner::prepare(int number, const Region& region, const RowRange& range, int panel, int count, bool only) {
    const Phase& phase = plan_.program.phases[number];
    const int first = panel * plan_.panels[number];
    auto factor = factors_.begin();
    for (const Pass& pass : plan_.passes[number]) {
        const Group& group = phase.groups[pass.group];
        PreparedPass& prepared = prepared_.emplace_back();
        prepared.start = pass.start;
        prepared.first = static_cast<int>(segments_.size());
        prepared.count = pass.count;
        prepared.columns = 0;
        for (int block = 0; block < count; block++)
            for (size_t i = 0; i < pass.accumulators.size(); i++, prepared.columns++) {
                const int a = pass.accumulators[i];
                prepared.block[prepared.columns] = first + block - first_;
                prepared.value[prepared.columns] = group.values[a];
                prepared.begin[prepared.columns] = pass.begin[i];
                prepared.stride[prepared.columns] = group.start[a] < 0 ? 0 : LANES;
                if (pass.begin[i])
                    prepared.from[prepared.columns] =
                        group.start[a] < 0
                            ? plan_.constants.data() + plan_.biases[number][pass.group][a] + (first + block) * LANES
                            : region.streams[group.start[a]] + (first + block) * region.stride + range.flat * LANES;
            }
        const int ahead = plan_.precision == Precision::int8 ? QUANTISED * prepared.columns * LANES : 0;
        for (int i = 0; i < pass.count; i++, factor++) {
            const float* vector = factor->vector.base;
            int depth = factor->depth;
            if (depth < 0) {
                const int last = std::min((first + count) * LANES, plan_.units(phase.size));
                const Range reached = reach(plan_.program, factor->share, plan_.sizes, first * LANES, last);
                depth = depth_words(reached.end - reached.begin, plan_.precision);
                vector += reached.begin / LANES * factor->vector.block;
            }
            Segment& segment = segments_.emplace_back();  // filled where it is: a copy waits for what was just written
            segment.vector = vector;
            segment.block = factor->vector.block;
            segment.depth = depth;
            segment.weights = factor->weights + panel * factor->size + ahead;
            segment.ahead = only ? NEAR : from_last_ ? -factor->size : factor->size;
            segment.scales = factor->scales;
            moves_.push_back(factor->move);
        }
    }
}

// Those products for the rows of a tile, into their accumulators.
void Runner::multiply(const PreparedPass& prepared, const Tile& tile) {
    constexpr int MANY = 8;
    const float* start[COLUMNS];
    float* out[COLUMNS];
    for (int c = 0; c < prepared.columns; c++) start[c] = out[c] = at(tile, prepared.block[c], prepared.value[c]);
    if (prepared.start == Pass::Start::mixed) {
        for (int c = 0; c < prepared.columns; c++)
            for (int r = 0; prepared.begin[c] && r < tile.rows; r++)
                std::memcpy(out[c] + r * LANES, prepared.from[c] + (prepared.stride[c] ? tile.row + r : 0) * LANES,
                            LANES * sizeof(float));
    } else if (prepared.start != Pass::Start::sum) {
        for (int c = 0; c < prepared.columns; c++) start[c] = prepared.from[c] + tile.row * prepared.stride[c];
    }
    if (tile.only && prepared.count) {  // as they were prepared, for there is no other row
        const ptrdiff_t start_row = prepared.start == Pass::Start::bias ? 0 : LANES;
        plan_.products.multiply(tile.rows, prepared.columns, &segments_[prepared.first], prepared.count, start, start_row,
                                out);
        return;
    }
    Segment segments[MANY];
    for (int done = 0; done < prepared.count;) {
        int some = 0;
        for (; some < MANY && done < prepared.count; some++, done++) {
            segments[some] = segments_[prepared.first + done];
            segments[some].vector += tile.row * moves_[prepared.first + done];
            if (moves_[prepared.first + done] && segments[some].scales) segments[some].scales += tile.row;
            // The first tiles of a panel fetch the next panel's weights, one column each.
            segments[some].ahead = tile.number < prepared.columns ? segments[some].ahead + tile.number * LANES : 0;
        }
        const bool bias = prepared.start == Pass::Start::bias && done == some;
        plan_.products.multiply(tile.rows, prepared.columns, segments, some, start, bias ? 0 : LANES, out);
        for (int c = 0; c < prepared.columns; c++) start[c] = out[c];
    }
}

// The vectors that a phase multiplies, in int8: each thread for itself, as it does with means.
void Runner::quantise(const Phase& phase, const Region& region, const RowRange& range) {
    quantised_.clear();
    size_t size = 0;
    for (const Group& group : phase.groups)
        for (const Share& share : group.shares) {
            if (find_quantised(share.place, share.index) >= 0) continue;
            const int rows = share.place == Place::weight ? ROWS : range.count;
            const size_t bytes = static_cast<size_t>(plan_.blocks(share.size)) * rows * row_words(Precision::int8);
            quantised_.push_back({share.place, share.index, share.size, rows, size, size + bytes});
            size += bytes + rows;
        }
    quantised_bytes_.resize(std::max(quantised_bytes_.size(), size));
    for (const Quantised& of : quantised_) {
        const bool weight = of.place == Place::weight;
        const BlockView from = weight ? BlockView{const_cast<float*>(plan_.constants.data()) + plan_.repeated[of.index],
                                                  ROWS * LANES}
                                      : view(of.place, of.index, region, range);
        plan_.call.kernels.quantise(from.base, from.block, of.rows, plan_.units(of.size), quantised_bytes_.data() + of.bytes,
                                    quantised_bytes_.data() + of.scales);
    }
}

int Runner::find_quantised(Place place, int index) const {
    for (size_t i = 0; i < quantised_.size(); i++)
        if (quantised_[i].place == place && quantised_[i].index == index) return static_cast<int>(i);
    return -1;
}

// What is in memory of a phase's values, and which of it a product will read in bfloat16. Means, which every thread takes
// for itself, are one value per row. length: floats of a value in the largest tile.
void Runner::find_values(const Phase& phase, const Region& region, const RowRange& range, int length) {
    means_.resize(phase.means.size() * range.count * LANES);
    for (size_t i = 0; i < phase.means.size(); i++) {
        const BlockView from = view(phase.means[i].first, phase.means[i].second, region, range);
        plan_.call.kernels.mean(from.base, from.block, range.count, plan_.units(phase.size),
                             means_.data() + i * range.count * LANES);
    }
    views_.clear();
    rounded_.clear();
    for (int v = 0; v < static_cast<int>(phase.values.size()); v++) {
        const Value& value = phase.values[v];
        if (value.place == Place::constant) std::fill_n(scratch_ + value.slot * SLOT, length, value.number);
        if (in_memory(value.place)) {
            ViewOf& found = views_.emplace_back();  // filled where it is: a copy waits for what was just written
            found.value = v;
            found.view = view(value.place, value.index, region, range);
        }
        if (value.written && ((value.place == Place::stream && plan_.bf16_streams[value.index]) ||
                              (value.place == Place::after && plan_.bf16_carry[value.index])))
            rounded_.push_back({v, view(value.place, value.index, region.bf16, range)});
    }
}

// Where a value's block of a tile is. Blocks that were gathered follow one another.
float* Runner::at(const Tile& tile, int block, int value) const {
    return tile.gathered ? pointers_[value] + block * tile.rows * LANES : pointers_[block * tile.width + value];
}

// Whether a value's blocks follow one another in memory as they do in scratch, so that they need not be gathered.
bool Runner::in_place(const BlockView& view, const Tile& tile) {
    return !tile.gathered || (tile.rows == 1 && view.block == LANES);
}

// Pointers of every value into scratch, where weights are repeated for as many rows as the tile has: of one row they are
// read where they are.
void Runner::lay_out(const Phase& phase, const Tile& tile) {
    float** pointer = pointers_.data();
    for (int b = 0; b < (tile.gathered ? 1 : tile.blocks); b++)
        for (const Value& value : phase.values) {
            const bool weight = value.place == Place::weight;
            *pointer = scratch_ + value.slot * SLOT + (value.place == Place::constant ? 0 : b * tile.rows * LANES);
            if (weight && tile.rows == 1)
                *pointer = const_cast<float*>(plan_.vector(value.index)) + (tile.first + b) * LANES;
            for (int block = b; weight && tile.rows > 1 && block < (tile.gathered ? tile.blocks : b + 1); block++)
                for (int r = 0; r < tile.rows; r++)
                    std::memcpy(*pointer + ((block - b) * tile.rows + r) * LANES,
                                plan_.vector(value.index) + (tile.first + block) * LANES, LANES * sizeof(float));
            pointer++;
        }
}

// Values in memory: pointed at where they are, or gathered.
void Runner::read_values(const Phase& phase, const Tile& tile) {
    for (const auto& [v, from] : views_) {
        float* const first = from.base + tile.first * from.block + tile.row * LANES;
        if (in_place(from, tile)) {
            for (int b = 0; b < (tile.gathered ? 1 : tile.blocks); b++)
                pointers_[b * tile.width + v] = first + b * from.block;
        } else if (phase.values[v].read) {
            for (int b = 0; b < tile.blocks; b++)
                std::memcpy(at(tile, b, v), first + b * from.block, tile.rows * LANES * sizeof(float));
        }
    }
}

// Gradients of carried values: what the step after handed back, and what arrives at the output of this one.
void Runner::receive(const Phase& phase, const Region& region, const RowRange& range, const Tile& tile) {
    const int units = plan_.units(phase.size);
    for (const auto& [v, carry] : phase.arrivals) {
        const Series& dy = plan_.arriving.outputs[carry];
        const BlockView ring = view(Place::arriving, carry, region, range);
        for (int b = 0; b < tile.blocks; b++) {
            const float* from = ring.base + (tile.first + b) * ring.block + tile.row * LANES;
            float* to = at(tile, b, v);
            const int unit = (tile.first + b) * LANES, lanes = std::min(LANES, units - unit);
            if (!dy.data) {
                std::memcpy(to, from, tile.rows * LANES * sizeof(float));
                continue;
            }
            for (int r = 0; r < tile.rows; r++, from += LANES, to += LANES) {
                const Where& where = chunk_->where[range.flat + tile.row + r];
                read_row(to, dy.data, where.time * dy.step + where.row * dy.row + unit, lanes);
                for (int i = 0; i < LANES; i++) to[i] += from[i];
            }
        }
    }
}

void Runner::run_program(const Phase& phase, const Tile& tile) {
    if (phase.program.empty()) return;
    const int runs = tile.gathered ? 1 : tile.blocks, length = (tile.gathered ? tile.blocks : 1) * tile.rows * LANES;
    for (int b = 0; b < runs; b++)
        plan_.call.kernels.run(phase.program.data(), static_cast<int>(phase.program.size()),
                            pointers_.data() + b * tile.width, length);
}

// New values to where they belong in memory, if they were gathered, and in bfloat16 beside it.
void Runner::write_values(const Phase& phase, const Tile& tile) {
    const int units = plan_.units(phase.size);
    if (tile.gathered)
        for (const auto& [v, to] : views_)
            if (phase.values[v].written && !in_place(to, tile))
                for (int b = 0; b < tile.blocks; b++)
                    std::memcpy(to.base + (tile.first + b) * to.block + tile.row * LANES, at(tile, b, v),
                                tile.rows * LANES * sizeof(float));
    for (const auto& [v, to] : rounded_)
        for (int b = 0; b < tile.blocks; b++)
            plan_.call.kernels.round(
                at(tile, b, v), tile.rows, std::min(LANES, units - (tile.first + b) * LANES),
                reinterpret_cast<bfloat16*>(to.base + (tile.first + b) * to.block + tile.row * LANES / 2));
}

// Results to the caller, and sums over all rows.
void Runner::emit(const Phase& phase, const RowRange& range, const Tile& tile) {
    const int units = plan_.units(phase.size);
    for (const auto& [v, output] : phase.emissions) {
        const Series& out = plan_.outputs[output];
        if (!out.data) continue;
        for (int b = 0; b < tile.blocks; b++) {
            const int unit = (tile.first + b) * LANES, lanes = std::min(LANES, units - unit);
            const float* from = at(tile, b, v);
            for (int r = 0; r < tile.rows; r++, from += LANES) {
                const Where& where = chunk_->where[range.flat + tile.row + r];
                write_row(plan_.call.kernels, out.data, where.time * out.step + where.row * out.row + unit, from, lanes);
            }
        }
    }
    for (const auto& [v, total] : phase.reductions)
        for (int b = 0; b < tile.blocks; b++)
            plan_.call.kernels.reduce(at(tile, b, v), tile.rows,
                                   totals_ + total_places_[total] + (tile.first + b) * LANES);
}

void Runner::run_phase(int number, const Region& region, const RowRange& range, Range panels) {
    if (range.count == 0 || panels.begin == panels.end) return;
    const Phase& phase = plan_.program.phases[number];
    const int per_panel = plan_.panels[number], blocks = plan_.blocks(phase.size);
    int most = SLOT / LANES / per_panel;
    for (const Group& group : phase.groups)
        most = std::min(most, plan_.call.kernels.rows[std::min<int>(COLUMNS, group.values.size() * per_panel)]);
    const int tiles = (range.count + most - 1) / most;
    // A pointwise program over few floats is slow, so few rows are gathered from several panels.
    const bool gather = range.count * LANES < 96 && panels.end - panels.begin > 1;
    const int at_once = gather ? std::max(1, SLOT / LANES / (per_panel * range.count)) : 1;
    pointers_.resize(std::max(pointers_.size(), phase.values.size() * at_once * per_panel));
    const int count = panels.end - panels.begin, groups = (count + at_once - 1) / at_once;
    const int largest = gather ? std::min(at_once, count) * per_panel * range.count : (range.count + tiles - 1) / tiles;
    find_values(phase, region, range, largest * LANES);
    if (plan_.precision == Precision::int8) quantise(phase, region, range);
    find_factors(number, region, range);

    for (int i = 0; i < groups; i++) {
        const int panel = panels.begin + (from_last_ ? groups - 1 - i : i) * at_once;
        const int together = std::min(at_once, panels.end - panel);
        Tile tile{gather, tiles == 1, static_cast<int>(phase.values.size()), panel * per_panel, 0, 0, 0, 0};
        tile.blocks = std::min(together * per_panel, blocks - tile.first);
        first_ = tile.first;
        prepared_.clear();
        segments_.clear();
        moves_.clear();
        for (int j = 0; j < together; j++) {
            const int p = from_last_ ? together - 1 - j : j;
            prepare(number, region, range, panel + p, std::min(per_panel, tile.blocks - p * per_panel), tile.only);
        }
        int laid_out = 0;  // rows for which the pointers into scratch are set
        for (; tile.number < tiles; tile.number++, tile.row += tile.rows) {
            tile.rows = (range.count - tile.row) / (tiles - tile.number);
            if (laid_out < tile.rows || (tile.blocks > 1 && laid_out != tile.rows)) {
                laid_out = tile.rows;
                lay_out(phase, tile);
            }
            read_values(phase, tile);
            for (const PreparedPass& prepared : prepared_) multiply(prepared, tile);
            receive(phase, region, range, tile);
            run_program(phase, tile);
            write_values(phase, tile);
            emit(phase, range, tile);
        }
    }
}

}  // namespace gatewise
