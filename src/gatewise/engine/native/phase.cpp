// A phase over a band of rows: sums of matrix products, then the pointwise program on them, tile by tile.
#include <cstring>

#include "rows.hpp"
#include "runner.hpp"

namespace gatewise {
namespace {

bool in_memory(Place place) {
    return place == Place::stream || place == Place::before || place == Place::after || place == Place::arriving ||
           place == Place::leaving;
}

}  // namespace

void Runner::run_phases(When when, const Region& region, const Band& band) {
    for (size_t i = 0; i < s_.program.phases.size(); i++) {
        const Phase& phase = s_.program.phases[i];
        if (phase.when != when) continue;
        const int per_panel = s_.panels[i];
        run_phase(static_cast<int>(i), region, band, Range((s_.blocks(phase.size) + per_panel - 1) / per_panel, member_));
        member_.meet();
    }
}

Spot Runner::spot(Place place, int index, const Places& places, const Band& band) const {
    switch (place) {
    case Place::stream: return {places.streams[index] + band.flat * places.row, places.stride};
    case Place::before: return {places.before[index] + band.before * places.row, places.before_stride};
    case Place::after: return {places.after[index] + band.after * places.row, places.after_stride};
    case Place::arriving: return {ring_[band.parity] + ring_places_[index], ring_stride_};
    case Place::leaving: return {ring_[band.parity ^ 1] + ring_places_[index], ring_stride_};
    default: return {nullptr, 0};
    }
}

// The matrix products of a panel's blocks, ready to be run for any of its rows.
void Runner::prepare(int number, const Region& region, const Band& band, int panel, int count) {
    const Phase& phase = s_.program.phases[number];
    const int per_panel = s_.panels[number], first = panel * per_panel, width = static_cast<int>(phase.values.size());
    for (const Pass& pass : s_.passes[number]) {
        const Group& group = phase.groups[pass.group];
        Ready ready{pass.start, static_cast<int>(segments_.size()), pass.count, 0, {}, {}, {}, {}};
        for (int block = 0; block < count; block++)
            for (size_t i = 0; i < pass.accumulators.size(); i++, ready.columns++) {
                const int a = pass.accumulators[i];
                ready.value[ready.columns] = (first + block - first_) * width + group.values[a];
                ready.begin[ready.columns] = pass.begin[i];
                ready.stride[ready.columns] = group.start[a] < 0 ? 0 : LANES;
                if (pass.begin[i])
                    ready.from[ready.columns] =
                        group.start[a] < 0
                            ? s_.constants.data() + s_.biases[number][pass.group][a] + (first + block) * LANES
                            : region.streams[group.start[a]] + (first + block) * region.stride + band.flat * LANES;
            }
        for (int i = pass.first; i < pass.first + pass.count; i++) {
            const Share& share = group.shares[i];
            const int depth = depth_words(s_.units(share.size), s_.low), row = row_words(s_.low);
            const ptrdiff_t size = static_cast<ptrdiff_t>(depth) * per_panel *
                                   static_cast<int>(share.products.size()) * LANES;
            const float* weights = s_.call.packed.share(number, pass.group, i) + panel * size;
            if (share.place == Place::weight) {
                const float* vector = s_.low ? s_.low_constants.data() + s_.repeated[share.index] / 2
                                             : s_.constants.data() + s_.repeated[share.index];
                segments_.push_back({vector, ROWS * row, depth, weights, size});
                moves_.push_back(0);
            } else {
                const Spot from = spot(share.place, share.index, s_.low ? region.low : region, band);
                segments_.push_back({from.base, from.block, depth, weights, size});
                moves_.push_back(row);
            }
        }
        ready_.push_back(ready);
    }
}

// Those products for `rows` rows from `row` on, into their accumulators.
void Runner::multiply(const Ready& ready, int tile, int row, int rows, float* const* values) {
    constexpr int MANY = 8;
    const float* start[COLUMNS];
    float* out[COLUMNS];
    for (int c = 0; c < ready.columns; c++) start[c] = out[c] = values[ready.value[c]];
    if (ready.start == Pass::Start::mixed) {
        for (int c = 0; c < ready.columns; c++)
            for (int r = 0; ready.begin[c] && r < rows; r++)
                std::memcpy(out[c] + r * LANES, ready.from[c] + (ready.stride[c] ? row + r : 0) * LANES,
                            LANES * sizeof(float));
    } else if (ready.start != Pass::Start::sum) {
        for (int c = 0; c < ready.columns; c++) start[c] = ready.from[c] + row * ready.stride[c];
    }
    Segment segments[MANY];
    for (int done = 0; done < ready.count;) {
        int some = 0;
        for (; some < MANY && done < ready.count; some++, done++) {
            segments[some] = segments_[ready.first + done];
            segments[some].vector += row * moves_[ready.first + done];
            // The first tiles of a panel fetch the next panel's weights, one column each.
            segments[some].ahead = tile < ready.columns ? segments[some].ahead + tile * LANES : 0;
        }
        const bool bias = ready.start == Pass::Start::bias && done == some;
        s_.products.multiply(rows, ready.columns, segments, some, start, bias ? 0 : LANES, out);
        for (int c = 0; c < ready.columns; c++) start[c] = out[c];
    }
}

void Runner::run_phase(int number, const Region& region, const Band& band, Range panels) {
    const Phase& phase = s_.program.phases[number];
    const Kernels& kernels = s_.call.kernels;
    const int per_panel = s_.panels[number], blocks = s_.blocks(phase.size), units = s_.units(phase.size);
    const int width = static_cast<int>(phase.values.size());
    int most = SLOT / LANES / per_panel;
    for (const Group& group : phase.groups)
        most = std::min(most, kernels.rows[std::min<int>(COLUMNS, group.values.size() * per_panel)]);
    if (band.count == 0 || panels.begin == panels.end) return;
    const int tiles = (band.count + most - 1) / most;
    // A pointwise program over few floats is slow, so few rows are gathered from several panels.
    const bool gather = band.count * LANES < 96 && panels.end - panels.begin > 1;
    const int at_once = gather ? std::max(1, SLOT / LANES / (per_panel * band.count)) : 1;
    const int together = at_once * per_panel;  // blocks

    pointers_.resize(std::max<size_t>(pointers_.size(), width * together));
    float** const pointers = pointers_.data();
    spots_.clear();
    rounded_.clear();
    for (int v = 0; v < width; v++) {
        const Value& value = phase.values[v];
        if (value.place == Place::constant) std::fill_n(scratch_ + value.slot * SLOT, SLOT, value.number);
        if (in_memory(value.place)) spots_.push_back({v, spot(value.place, value.index, region, band)});
        if (value.written && ((value.place == Place::stream && s_.low_streams[value.index]) ||
                              (value.place == Place::after && s_.low_carry[value.index])))
            rounded_.push_back({v, spot(value.place, value.index, region.low, band)});
    }

    for (int panel = panels.begin; panel < panels.end; panel += at_once) {
        const int first = panel * per_panel;
        const int count = std::min({together, blocks - first, (panels.end - panel) * per_panel});
        first_ = first;
        ready_.clear();
        segments_.clear();
        moves_.clear();
        for (int p = 0; p * per_panel < count; p++)
            prepare(number, region, band, panel + p, std::min(per_panel, count - p * per_panel));
        int scratch_rows = 0;  // for which the pointers into scratch are set
        for (int tile = 0, row = 0, rows; tile < tiles; tile++, row += rows) {
            rows = (band.count - row) / (tiles - tile);
            if (scratch_rows < rows || (count > 1 && scratch_rows != rows)) {
                scratch_rows = rows;
                for (int b = 0; b < count; b++)
                    for (int v = 0; v < width; v++) {
                        const Value& value = phase.values[v];
                        float* const at = scratch_ + value.slot * SLOT;
                        pointers[b * width + v] = at + (value.place == Place::constant ? 0 : b * rows * LANES);
                        if (value.place == Place::weight)
                            for (int r = 0; r < rows; r++)
                                std::memcpy(at + (b * rows + r) * LANES,
                                            s_.vector(value.index) + (first + b) * LANES, LANES * sizeof(float));
                    }
            }
            for (const auto& [v, from] : spots_)
                for (int b = 0; b < count; b++) {
                    float* const at = from.base + (first + b) * from.block + row * LANES;
                    if (!gather)
                        pointers[b * width + v] = at;
                    else if (phase.values[v].read)
                        std::memcpy(pointers[b * width + v], at, rows * LANES * sizeof(float));
                }
            for (const Ready& ready : ready_) multiply(ready, tile, row, rows, pointers);
            for (const auto& [v, carry] : phase.arrivals) {
                const Series& dy = s_.arriving.outputs[carry];
                const Spot ring = spot(Place::arriving, carry, region, band);
                for (int b = 0; b < count; b++) {
                    const float* from = ring.base + (first + b) * ring.block + row * LANES;
                    float* to = pointers[b * width + v];
                    const int unit = (first + b) * LANES, lanes = std::min(LANES, units - unit);
                    if (!dy.data) {
                        std::memcpy(to, from, rows * LANES * sizeof(float));
                        continue;
                    }
                    for (int r = 0; r < rows; r++, from += LANES, to += LANES) {
                        const Where& where = chunk_->where[band.flat + row + r];
                        read_row(to, dy.data, where.time * dy.step + where.row * dy.row + unit, lanes);
                        for (int i = 0; i < LANES; i++) to[i] += from[i];
                    }
                }
            }
            if (!phase.program.empty()) {
                const int runs = gather ? 1 : count, length = (gather ? count : 1) * rows * LANES;
                for (int b = 0; b < runs; b++)
                    kernels.run(phase.program.data(), static_cast<int>(phase.program.size()), pointers + b * width,
                                length);
            }
            if (gather)
                for (const auto& [v, to] : spots_)
                    if (phase.values[v].written)
                        for (int b = 0; b < count; b++)
                            std::memcpy(to.base + (first + b) * to.block + row * LANES, pointers[b * width + v],
                                        rows * LANES * sizeof(float));
            for (const auto& [v, to] : rounded_)
                for (int b = 0; b < count; b++)
                    kernels.round(pointers[b * width + v], rows, std::min(LANES, units - (first + b) * LANES),
                                  reinterpret_cast<bfloat16*>(to.base + (first + b) * to.block + row * LANES / 2));
            for (const auto& [v, output] : phase.emissions) {
                const Series& out = s_.outputs[output];
                if (!out.data) continue;
                for (int b = 0; b < count; b++) {
                    const int unit = (first + b) * LANES, lanes = std::min(LANES, units - unit);
                    const float* from = pointers[b * width + v];
                    for (int r = 0; r < rows; r++, from += LANES) {
                        const Where& where = chunk_->where[band.flat + row + r];
                        write_row(kernels, out.data, where.time * out.step + where.row * out.row + unit, from, lanes);
                    }
                }
            }
            for (const auto& [v, total] : phase.reductions)
                for (int b = 0; b < count; b++)
                    kernels.reduce(pointers[b * width + v], rows, totals_ + total_places_[total] + (first + b) * LANES);
        }
    }
}

}  // namespace gatewise
