#include "runner.hpp"

#include <cstring>

#include "rows.hpp"

namespace gatewise {

// Local streams first, then what is kept; `history` is where carried values go.
Region Runner::region(const Chunk& chunk, float* kept, float* local, float* history, float* bf16) const {
    Region result;
    result.stride = chunk.stride;
    result.before_stride = result.after_stride = chunk.history;
    for (const Stream& stream : plan_.program.streams) {
        float*& from = stream.source == Source::saved ? kept : local;
        result.streams.push_back(from);
        from += plan_.blocks(stream.size) * chunk.stride;
    }
    if (!history) history = kept;
    for (int letter : plan_.program.carry) {
        result.after.push_back(history);
        result.before.push_back(history);
        history += plan_.blocks(letter) * chunk.history;
    }
    if (plan_.call.resets.data) {
        result.before_stride = chunk.stride;
        for (size_t k = 0; k < plan_.program.carry.size(); k++) {
            result.before[k] = history;
            history += plan_.blocks(plan_.program.carry[k]) * chunk.stride;
        }
    }
    place_bf16(bf16, result);
    return result;
}

// Where the same lies in bfloat16, from `bf16` on.
void Runner::place_bf16(float* bf16, Region& region) const {
    auto take = [&](bool wanted, int letter, ptrdiff_t stride) {
        float* place = wanted ? bf16 : nullptr;
        if (wanted) bf16 += plan_.blocks(letter) * stride;
        return place;
    };
    Places& result = region.bf16;
    result.row = LANES / 2;
    result.stride = region.stride / 2;
    result.before_stride = region.before_stride / 2;
    result.after_stride = region.after_stride / 2;
    for (size_t i = 0; i < plan_.bf16_streams.size(); i++)
        result.streams.push_back(take(plan_.bf16_streams[i], plan_.program.streams[i].size, result.stride));
    for (size_t k = 0; k < plan_.bf16_carry.size(); k++)
        result.after.push_back(take(plan_.bf16_carry[k], plan_.program.carry[k], result.after_stride));
    result.before = result.after;
    for (size_t k = 0; plan_.call.resets.data && k < plan_.bf16_carry.size(); k++)
        result.before[k] = take(plan_.bf16_carry[k], plan_.program.carry[k], result.before_stride);
}

// Rows of some blocks of a vector of `units`, in bfloat16. stride: floats between blocks, which are half as far there.
void Runner::round(const float* from, ptrdiff_t stride, float* to, int rows, int units, Range blocks) const {
    for (int block = blocks.begin; block < blocks.end; block++)
        plan_.call.kernels.round(from + block * stride, rows, std::min(LANES, units - block * LANES),
                              reinterpret_cast<bfloat16*>(to + block * stride / 2));
}

// What products of the backward pass read, and the forward pass computed.
void Runner::round_kept(const Region& region) const {
    for (size_t i = 0; i < plan_.bf16_streams.size(); i++) {
        const Stream& stream = plan_.program.streams[i];
        if (region.bf16.streams[i] && stream.source == Source::saved)
            round(region.streams[i], region.stride, region.bf16.streams[i], chunk_->rows, plan_.units(stream.size),
                  Range(plan_.blocks(stream.size), member_));
    }
    for (size_t k = 0; k < plan_.bf16_carry.size(); k++) {
        if (!plan_.bf16_carry[k]) continue;
        const int letter = plan_.program.carry[k];
        const Range blocks(plan_.blocks(letter), member_);
        const int units = plan_.units(letter);
        round(region.after[k], region.after_stride, region.bf16.after[k], chunk_->start + chunk_->rows, units, blocks);
        if (plan_.call.resets.data)
            round(region.before[k], region.before_stride, region.bf16.before[k], chunk_->rows, units, blocks);
    }
}

// Where the chunk's steps are cut, and where they begin and end: between two slices a linked call tells how far it is,
// and waits. Slices are not chunks, as those say in what order the weights' gradients are summed, and so their bits.
std::vector<int> Runner::slices() const {
    const int steps = chunk_->last - chunk_->first;
    std::vector<int> cuts{0};
    for (int step = 1; plan_.call.link.any() && step < steps; step++)
        if (chunk_->flat[step] - chunk_->flat[cuts.back()] >= slice_rows_) cuts.push_back(step);
    cuts.push_back(steps);
    return cuts;
}

// The input of so many flat rows.
void Runner::load_input(const Region& region, int first, int count) {
    Range rows(count, member_);
    rows.begin += first;
    rows.end += first;
    auto input = plan_.call.inputs.begin();
    for (size_t i = 0; i < plan_.program.streams.size(); i++) {
        if (plan_.program.streams[i].source != Source::input) continue;
        const Series& from = *input++;
        const int units = plan_.units(plan_.program.streams[i].size);
        for (int row = rows.begin; row < rows.end; row++) {
            const Where& where = chunk_->where[row];
            float* to = region.streams[i] + static_cast<ptrdiff_t>(row) * LANES;
            for (int unit = 0; unit < units; unit += LANES, to += region.stride)
                read_row(to, from.data, where.time * from.step + where.row * from.row + unit,
                         std::min(LANES, units - unit));
        }
        if (float* bf16 = region.bf16.streams[i])
            round(region.streams[i] + rows.begin * LANES, region.stride, bf16 + rows.begin * LANES / 2,
                  rows.end - rows.begin, units, Range(blocks_of(units)));
    }
}

// Whether the caller's sequence begins anew at this flat row. Run backwards, what begins at t + 1 must not reach t.
bool Runner::begins_anew(int flat) const {
    const Where& where = chunk_->where[flat];
    const int border = where.time + (plan_.call.shape.reverse ? 1 : 0);
    const int64_t length = plan_.call.shape.lengths ? plan_.call.shape.lengths[where.row] : plan_.call.shape.steps;
    const Resets& resets = plan_.call.resets;
    return border < length && resets.data[border * resets.step + where.row * resets.row];
}

// What a step finds where some rows may begin anew: a copy of what the last one left, zeros in those rows.
void Runner::reset_rows(const Region& region, const RowRange& range, int row) {
    for (size_t k = 0; k < plan_.program.carry.size(); k++) {
        const Range blocks(plan_.blocks(plan_.program.carry[k]), member_);
        for (int block = blocks.begin; block < blocks.end; block++) {
            float* to = region.before[k] + block * region.before_stride + range.before * LANES;
            std::memcpy(to, region.after[k] + block * region.after_stride + row * LANES,
                        range.count * LANES * sizeof(float));
            for (int r = 0; r < range.count; r++)
                if (begins_anew(range.flat + r)) std::memset(to + r * LANES, 0, LANES * sizeof(float));
        }
        if (plan_.bf16_carry[k])
            round(region.before[k] + range.before * LANES, region.before_stride,
                  region.bf16.before[k] + range.before * LANES / 2, range.count, plan_.units(plan_.program.carry[k]),
                  blocks);
    }
    member_.meet();
}

namespace {

void copy_rows(const float* from, ptrdiff_t from_stride, float* to, ptrdiff_t to_stride, int rows, Range blocks) {
    for (int block = blocks.begin; block < blocks.end; block++)
        std::memcpy(to + block * to_stride, from + block * from_stride, rows * LANES * sizeof(float));
}

}  // namespace

void Runner::forward(const std::vector<Rows>& state, const std::vector<Rows>& last, float* kept,
                     const std::vector<size_t>* places, float* local, const Extent& local_extent, float* bf16) {
    const std::vector<int>& carry = plan_.program.carry;
    const bool resets = plan_.call.resets.data;
    if (member_.thread == 0)
        for (size_t b = 0; b < part_.rows.size(); b++)
            if (part_.lengths[b] == 0)
                for (size_t k = 0; k < carry.size(); k++)
                    for (int unit = 0; unit < plan_.units(carry[k]); unit += LANES) {
                        const int lanes = std::min(LANES, plan_.units(carry[k]) - unit);
                        float values[LANES];
                        read_row(values, state[k].data, part_.rows[b] * state[k].row + unit, lanes);
                        write_row(plan_.call.kernels, last[k].data, part_.rows[b] * last[k].row + unit, values, lanes);
                    }
    Region previous;
    for (size_t c = 0; c < part_.chunks.size(); c++) {
        const Chunk& chunk = part_.chunks[c];
        chunk_ = &chunk;
        // Without a tape two buffers take turns, as a chunk begins with the last rows of the one before it.
        float* history = plan_.keep ? nullptr
                                 : local + local_extent.streams + (c % 2) * (local_extent.history + local_extent.before);
        Region region = this->region(chunk, kept ? kept + (*places)[c] : nullptr, local, history, bf16);
        for (size_t k = 0; k < carry.size(); k++) {
            const Range blocks(plan_.blocks(carry[k]), member_);
            if (c > 0) {
                const Chunk& ahead = part_.chunks[c - 1];
                const int row = ahead.start + ahead.flat[ahead.last - ahead.first - 1];
                copy_rows(previous.after[k] + row * LANES, previous.after_stride, region.after[k], region.after_stride,
                          chunk.start, blocks);
            }
            for (int block = blocks.begin; c == 0 && block < blocks.end; block++) {
                const int lanes = std::min(LANES, plan_.units(carry[k]) - block * LANES);
                float* to = region.after[k] + block * region.after_stride;
                for (int r = 0; r < chunk.start; r++, to += LANES)
                    read_row(to, state[k].data, part_.rows[r] * state[k].row + block * LANES, lanes);
            }
            if (plan_.bf16_carry[k])
                round(region.after[k], region.after_stride, region.bf16.after[k], chunk.start, plan_.units(carry[k]),
                      blocks);
        }
        const std::vector<int> cuts = slices();
        for (size_t i = 0; i + 1 < cuts.size(); i++) {
            const int flat = chunk.flat[cuts[i]], count = chunk.flat[cuts[i + 1]] - flat;
            if (plan_.call.link.ahead) plan_.call.link.ahead->await(chunk.first + cuts[i + 1]);
            load_input(region, flat, count);
            member_.meet();
            run_phases(When::advance, region, {flat, flat, flat, count, 0});
            for (int step = cuts[i]; step < cuts[i + 1]; step++) {
                const int flat = chunk.flat[step], before = step ? chunk.start + chunk.flat[step - 1] : 0;
                RowRange range{flat, resets ? flat : before, chunk.start + flat, chunk.flat[step + 1] - flat, 0};
                if (resets) reset_rows(region, range, before);
                run_phases(When::step, region, range);
            }
            if (plan_.call.link.own) plan_.call.link.own->publish(chunk.first + cuts[i + 1]);
        }
        // Rows whose last step was in this chunk.
        for (size_t k = 0; k < carry.size(); k++) {
            const Range blocks(plan_.blocks(carry[k]), member_);
            for (size_t b = 0; b < part_.rows.size(); b++) {
                const int step = part_.lengths[b] - 1;
                if (step < chunk.first || step >= chunk.last) continue;
                const int row = chunk.start + chunk.flat[step - chunk.first] + static_cast<int>(b);
                for (int block = blocks.begin; block < blocks.end; block++)
                    write_row(plan_.call.kernels, last[k].data, part_.rows[b] * last[k].row + block * LANES,
                              region.after[k] + block * region.after_stride + row * LANES,
                              std::min(LANES, plan_.units(carry[k]) - block * LANES));
            }
        }
        previous = region;
    }
}

// No gradient flows back over a reset.
void Runner::stop_gradients(const RowRange& range) {
    for (size_t k = 0; k < plan_.program.carry.size(); k++) {
        const Range blocks(plan_.blocks(plan_.program.carry[k]), member_);
        for (int r = 0; r < range.count; r++)
            if (begins_anew(range.flat + r))
                for (int block = blocks.begin; block < blocks.end; block++)
                    std::memset(ring_[range.parity ^ 1] + ring_places_[k] + block * ring_stride_ + r * LANES, 0,
                                LANES * sizeof(float));
    }
    member_.meet();
}

void Runner::backward(const std::vector<Rows>& dstate, float* kept, const std::vector<size_t>& places, float* local,
                      float* bf16, float* paired, float* ring, bool want_dx,
                      const std::vector<Gradient>& gradients) {
    const std::vector<int>& carry = plan_.program.carry;
    const int count = static_cast<int>(part_.rows.size());
    size_t size = 0;
    ring_stride_ = static_cast<ptrdiff_t>(count | 1) * LANES;
    for (int letter : carry) {
        ring_places_.push_back(size);
        size += plan_.blocks(letter) * ring_stride_;
    }
    ring_[0] = ring;
    ring_[1] = ring + size;
    // A row's gradient waits in both buffers until the row's last step comes up.
    for (size_t k = 0; k < carry.size(); k++) {
        const Rows& from = plan_.arriving.last[k];
        const Range blocks(plan_.blocks(carry[k]), member_);
        for (int block = blocks.begin; block < blocks.end; block++)
            for (int r = 0; r < count; r++)
                for (float* buffer : ring_) {
                    float* to = buffer + ring_places_[k] + block * ring_stride_ + r * LANES;
                    if (from.data)
                        read_row(to, from.data, part_.rows[r] * from.row + block * LANES,
                                 std::min(LANES, plan_.units(carry[k]) - block * LANES));
                    else
                        std::memset(to, 0, LANES * sizeof(float));
                }
    }
    const bool resets = plan_.call.resets.data;
    for (size_t c = part_.chunks.size(); c-- > 0;) {
        const Chunk& chunk = part_.chunks[c];
        chunk_ = &chunk;
        Region region = this->region(chunk, kept + places[c], local, nullptr, bf16);
        load_input(region, 0, chunk.rows);
        round_kept(region);
        member_.meet();
        const std::vector<int> cuts = slices();
        for (size_t i = cuts.size() - 1; i-- > 0;) {
            const int rest = part_.chunks.back().last - chunk.first - cuts[i];  // steps from this slice's first on
            if (plan_.call.link.ahead) plan_.call.link.ahead->await(rest);
            for (int step = cuts[i + 1]; step-- > cuts[i];) {
                const int flat = chunk.flat[step], before = step ? chunk.start + chunk.flat[step - 1] : 0;
                RowRange range{flat, resets ? flat : before, chunk.start + flat, chunk.flat[step + 1] - flat,
                          (chunk.first + step) & 1};
                run_phases(When::step, region, range);
                if (resets) stop_gradients(range);
            }
            const int flat = chunk.flat[cuts[i]];
            if (want_dx) run_phases(When::deferred, region, {flat, flat, flat, chunk.flat[cuts[i + 1]] - flat, 0});
            if (plan_.call.link.own) plan_.call.link.own->publish(rest);
        }
        if (plan_.bf16) pair_operands(region, gradients, paired);
        outer_products(region, gradients, c + 1 == part_.chunks.size());
        member_.meet();
    }
    // Step 0 left its gradients in the buffer that is not its own.
    for (size_t k = 0; k < carry.size(); k++) {
        if (!dstate[k].data) continue;
        const Range blocks(plan_.blocks(carry[k]), member_);
        for (int block = blocks.begin; block < blocks.end; block++)
            for (int r = 0; r < count; r++)
                write_row(plan_.call.kernels, dstate[k].data, part_.rows[r] * dstate[k].row + block * LANES,
                          ring_[1] + ring_places_[k] + block * ring_stride_ + r * LANES,
                          std::min(LANES, plan_.units(carry[k]) - block * LANES));
    }
}

}  // namespace gatewise
