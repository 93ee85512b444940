#include "layer.hpp"

#include <algorithm>
#include <cstring>

#include "team.hpp"

namespace gatewise {
namespace {

int blocks_of(int units) { return (units + LANES - 1) / LANES; }

// Values of one operand in a block's row of 16, and of a whole depth, in words: see kernels.hpp.
int row_words(bool low) { return low ? LANES / 2 : LANES; }
int depth_words(int depth, bool low) { return low ? (depth + 1) / 2 : depth; }

// The part of `count` things that falls to one member.
struct Range {
    int begin, end;
    Range(int count, const Member& member)
        : begin(static_cast<int>(static_cast<int64_t>(count) * member.thread / member.threads)),
          end(static_cast<int>(static_cast<int64_t>(count) * (member.thread + 1) / member.threads)) {}
    explicit Range(int count) : begin(0), end(count) {}
};

// Columns of a panel: whole blocks of units, as many as fill a tile; fewer where each thread must get some.
int panel_blocks(const Phase& phase, const Sizes& sizes, const Work& work) {
    size_t most = 1;
    for (const Group& group : phase.groups) most = std::max(most, group.values.size());
    if (phase.groups.empty() || phase.groups.size() > 1) return 1;
    int together = work.parts > 1 ? 1 : work.threads;
    int each = (blocks_of(sizes[phase.size]) + together - 1) / together;
    return std::max(1, std::min(COLUMNS / static_cast<int>(most), each));
}

// Weights of one share as tiles read them: [panel][k][column][16], a column being one product's block of 16 units.
void pack_share(const Program& program, const Share& share, const Sizes& sizes, const std::vector<Matrix>& weights,
                int units, int per_panel, int panel, const Kernels& kernels, bool low, float* out) {
    static constexpr int IN_ORDER[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const int depth = sizes[share.size], products = static_cast<int>(share.products.size());
    const int first = panel * per_panel, last = std::min(first + per_panel, blocks_of(units));
    const int columns = (last - first) * products;
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
            from += unit * across;
            for (int k = 0; k < depth; k += LANES) {  // 16 by 16, so that both sides are read by whole cache lines
                const int some = std::min(LANES, depth - k);
                const bool whole = some == LANES && lanes == LANES;
                float square[LANES][LANES];
                if (!whole) std::memset(square, 0, sizeof square);
                // Every row of the square is on another page, where the hardware does not look ahead.
                if (along == 1)
                    for (int j = 0; j < lanes; j++) __builtin_prefetch(from + j * across + k + 4 * LANES);
                else
                    for (int n = 0; n < some; n++) __builtin_prefetch(from + (k + n + LANES) * along);
                if (whole && along == 1)
                    kernels.transpose(from + k, across, square[0]);
                else if (whole && across == 1)
                    for (int n = 0; n < LANES; n++) std::memcpy(square[n], from + (k + n) * along, sizeof square[n]);
                else
                    for (int n = 0; n < some; n++)
                        for (int j = 0; j < lanes; j++) square[n][j] = from[j * across + (k + n) * along];
                if (low) {
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

// Where the streams and carried values of one chunk lie.
struct Places {
    std::vector<float*> streams, before, after;
    ptrdiff_t stride = 0, before_stride = 0, after_stride = 0;
    int row = LANES;  // words to the next row
};

struct Region : Places {
    Places low;  // the same in bfloat16, of those that products read; null for the others
};

// A value in memory: where its first block and row are.
struct Spot {
    float* base;
    ptrdiff_t block;  // words to the next block
};

// The rows that a phase runs over.
struct Band {
    int flat;           // first of them, in the chunk
    int before, after;  // first of them, among carried values
    int count;
    int parity;  // which of the two buffers of gradients arrives
};

// Shares of a group that follow one another and go to the same accumulators: one run of the matrix kernel.
struct Pass {
    enum class Start { bias, stream, sum, mixed };  // mixed: some accumulators begin here, others go on

    int group, first, count;  // shares
    std::vector<int> accumulators;
    std::vector<bool> begin;
    Start start;
};

std::vector<Pass> passes_of(const Phase& phase) {
    std::vector<Pass> passes;
    for (size_t g = 0; g < phase.groups.size(); g++) {
        const Group& group = phase.groups[g];
        std::vector<bool> begun(group.values.size());
        for (size_t i = 0; i < group.shares.size(); i++) {
            std::vector<int> accumulators;
            for (const Product& product : group.shares[i].products) accumulators.push_back(product.accumulator);
            if (!passes.empty() && passes.back().group == static_cast<int>(g) &&
                passes.back().accumulators == accumulators) {
                passes.back().count++;
                continue;
            }
            Pass pass{static_cast<int>(g), static_cast<int>(i), 1, accumulators, {}, Pass::Start::sum};
            bool any = false, all = true, streams = true, biases = true;
            for (int a : accumulators) {
                pass.begin.push_back(!begun[a]);
                any = any || !begun[a];
                all = all && !begun[a];
                (group.start[a] < 0 ? streams : biases) = false;
                begun[a] = true;
            }
            if (any)
                pass.start = !all      ? Pass::Start::mixed
                             : biases  ? Pass::Start::bias
                             : streams ? Pass::Start::stream
                                       : Pass::Start::mixed;
            passes.push_back(std::move(pass));
        }
    }
    return passes;
}

// Where a part sums the gradient of a block of weights, rows in the order in which they are stored; null: nowhere.
struct Gradient {
    float* data;
    ptrdiff_t row;  // floats to the next
};

struct Operand {  // of a weight gradient
    Place place;
    int index;
    int size;  // letter
};

// Everything about a call that all its threads share.
struct Setting {
    const Call& call;
    const Program& program;
    const Sizes& sizes;
    bool keep;
    bool low;
    const Products& products;
    std::vector<Part> own_parts;
    const std::vector<Part>& parts;
    std::vector<int> panels;           // blocks per panel, by phase
    std::vector<std::vector<Pass>> passes;  // by phase
    std::vector<size_t> vectors;       // by block: padded weight vectors
    std::vector<size_t> repeated;      // by block: those that products read, as ROWS equal rows
    std::vector<std::vector<std::vector<size_t>>> biases;  // by phase, group, accumulator
    std::vector<float> constants, low_constants;
    std::vector<Series> outputs;
    Arriving arriving;
    std::vector<bool> low_streams, low_carry;  // those that products read in bfloat16
    std::vector<Operand> operands;             // of the weight gradients in bfloat16, each once

    Setting(const Call& call, bool keep, const Tape* tape, int chunk_rows, int chunk_steps)
        : call(call), program(call.program), sizes(call.sizes), keep(keep), low(call.packed.low()),
          products(low ? call.kernels.low : call.kernels.full),
          own_parts(tape && !keep ? std::vector<Part>() : cut(call.shape, call.work.parts, chunk_rows, chunk_steps)),
          parts(tape && !keep ? tape->parts : own_parts) {
        for (const Phase& phase : program.phases) {
            panels.push_back(panel_blocks(phase, sizes, call.work));
            passes.push_back(passes_of(phase));
        }
        gather_vectors();
        low_streams.resize(program.streams.size());
        low_carry.resize(program.carry.size());
        if (low) note_operands();
    }

    int units(int letter) const { return sizes[letter]; }
    int blocks(int letter) const { return blocks_of(sizes[letter]); }
    const float* vector(int block) const { return constants.data() + vectors[block]; }
    int operand(Place place, int index) const {
        for (size_t i = 0; i < operands.size(); i++)
            if (operands[i].place == place && operands[i].index == index) return static_cast<int>(i);
        return -1;
    }

private:
    void note_operands() {
        for (const Phase& phase : program.phases)
            for (const Group& group : phase.groups)
                for (const Share& share : group.shares) {
                    if (share.place == Place::stream) low_streams[share.index] = true;
                    if (share.place == Place::before || share.place == Place::after) low_carry[share.index] = true;
                }
        auto note = [&](Place place, int index, int size) {
            if (operand(place, index) < 0) operands.push_back({place, index, size});
        };
        for (const Outer& outer : program.outers) {
            note(outer.place, outer.index, outer.size);
            for (const auto& [stream, block] : outer.values) note(Place::stream, stream, outer.value_size);
        }
        low_constants.resize(constants.size() / 2);
        call.kernels.round(constants.data(), static_cast<int>(constants.size() / LANES), LANES,
                           reinterpret_cast<bfloat16*>(low_constants.data()));
    }

    void gather_vectors() {
        auto room = [&](int letter, int rows = 1) {
            size_t place = constants.size();
            constants.resize(place + blocks(letter) * LANES * rows);
            return place;
        };
        auto repeat = [&](int block, size_t place) {
            repeated[block] = place;
            for (int i = 0; i < blocks(program.blocks[block].rows); i++)
                for (int row = 0; row < ROWS; row++)
                    std::copy_n(constants.begin() + vectors[block] + i * LANES, LANES,
                                constants.begin() + place + (i * ROWS + row) * LANES);
        };
        auto add = [&](const Block& block, size_t place) {
            const Matrix& from = call.weights[block.parameter];
            const int count = sizes[block.rows];
            const float* data = from.data + static_cast<ptrdiff_t>(block.place) * count * from.row;
            for (int i = 0; i < count; i++) constants[place + i] += data[i * from.row];
        };
        for (const Block& block : program.blocks) {
            vectors.push_back(0);
            if (block.columns < 0) {
                vectors.back() = room(block.rows);
                add(block, vectors.back());
            }
        }
        repeated.resize(program.blocks.size());
        for (const Phase& phase : program.phases) {
            biases.emplace_back();
            for (const Group& group : phase.groups) {
                for (const Share& share : group.shares)
                    if (share.place == Place::weight) repeat(share.index, room(share.size, ROWS));
                biases.back().emplace_back();
                for (const auto& summed : group.biases) {
                    biases.back().back().push_back(room(phase.size));
                    for (int block : summed) add(program.blocks[block], biases.back().back().back());
                }
            }
        }
    }
};

// Floats that one chunk's kept streams and carried values take.
struct Extent {
    size_t streams = 0, history = 0, before = 0;
    size_t total() const { return streams + history + before; }
};

Extent extent(const Program& program, const Sizes& sizes, const Chunk& chunk, Source source, bool resets) {
    Extent result;
    for (const Stream& stream : program.streams)
        if (stream.source == source || (source == Source::local && stream.source == Source::input))
            result.streams += blocks_of(sizes[stream.size]) * chunk.stride;
    for (int letter : program.carry) {
        result.history += blocks_of(sizes[letter]) * chunk.history;
        if (resets) result.before += blocks_of(sizes[letter]) * chunk.stride;
    }
    return result;
}

// Words that the same chunk takes in bfloat16: of all that products read, whatever its source.
size_t low_extent(const Setting& setting, const Chunk& chunk) {
    size_t result = 0;
    for (size_t i = 0; i < setting.low_streams.size(); i++)
        if (setting.low_streams[i]) result += setting.blocks(setting.program.streams[i].size) * chunk.stride / 2;
    for (size_t k = 0; k < setting.low_carry.size(); k++) {
        if (!setting.low_carry[k]) continue;
        result += setting.blocks(setting.program.carry[k]) * chunk.history / 2;
        if (setting.call.resets.data) result += setting.blocks(setting.program.carry[k]) * chunk.stride / 2;
    }
    return result;
}

// Words from one block to the next of an operand of the weight gradients, by pairs of rows.
ptrdiff_t pair_stride(const Chunk& chunk) { return static_cast<ptrdiff_t>((chunk.rows + 1) / 2 | 1) * LANES; }

size_t pair_extent(const Setting& setting, const Chunk& chunk) {
    size_t result = 0;
    for (const Operand& operand : setting.operands) result += setting.blocks(operand.size) * pair_stride(chunk);
    return result;
}

// One thread's run over one part of the rows: alone, or with the others of its team over all of them.
class Runner {
public:
    Runner(const Setting& setting, const Part& part, const Member& member, float* scratch, float* totals)
        : s_(setting), part_(part), member_(member), scratch_(scratch), totals_(totals) {
        size_t place = 0;
        for (const Total& total : s_.program.totals) {
            total_places_.push_back(place);
            place += s_.blocks(total.size) * LANES;
        }
    }

    void forward(const std::vector<Rows>& state, const std::vector<Rows>& last, float* kept,
                 const std::vector<size_t>* places, float* local, const Extent& local_extent, float* low);
    void backward(const std::vector<Rows>& dstate, float* kept, const std::vector<size_t>& places, float* local,
                  float* low, float* paired, float* ring, bool want_dx, const std::vector<Gradient>& gradients);

private:
    Region region(const Chunk& chunk, float* kept, float* local, float* history, float* low) const;
    void place_low(float* low, Region& region) const;
    void run_phases(When when, const Region& region, const Band& band);
    void run_phase(int number, const Region& region, const Band& band, Range panels);
    struct Ready {  // a pass, for the blocks of one panel
        Pass::Start start;
        int first, count;  // segments
        int columns;
        int value[COLUMNS];          // of each column, its accumulator,
        bool begin[COLUMNS];         // whether its sum begins here,
        const float* from[COLUMNS];  // with what,
        int stride[COLUMNS];         // and how far that is from row to row
    };
    void prepare(int number, const Region& region, const Band& band, int panel, int count);
    void multiply(const Ready& ready, int tile, int row, int rows, float* const* values);
    Spot spot(Place place, int index, const Places& places, const Band& band) const;
    void round(const float* from, ptrdiff_t stride, float* to, int rows, int units, Range blocks) const;
    void round_kept(const Region& region) const;
    void pair_operands(const Region& region, const std::vector<Gradient>& gradients, float* paired);
    void load_input(const Region& region);
    std::vector<Span> spans(Place vector) const;
    void outer_products(const Region& region, const std::vector<Gradient>& gradients, bool begin);
    bool restarts(int flat) const;
    void restart_rows(const Region& region, const Band& band, int row);

    const Setting& s_;
    const Part& part_;
    const Member& member_;
    float* const scratch_;
    float* const totals_;
    const Chunk* chunk_ = nullptr;
    float* ring_[2] = {nullptr, nullptr};
    std::vector<size_t> ring_places_, total_places_;
    std::vector<float*> pointers_;  // where the values of a tile are, by block
    std::vector<std::pair<int, Spot>> spots_;  // values in memory,
    std::vector<std::pair<int, Spot>> rounded_;  // those whose bfloat16 a product will read
    std::vector<Ready> ready_;
    std::vector<Segment> segments_;  // of what is ready, at the first row,
    std::vector<int> moves_;         // and how far their vectors move from row to row
    int first_ = 0;                  // block at which the pointers begin
    ptrdiff_t ring_stride_ = 0, paired_stride_ = 0;
    std::vector<float*> paired_;     // the weight gradients' operands by pairs of rows
};

// Local streams first, then what is kept; `history` is where carried values go.
Region Runner::region(const Chunk& chunk, float* kept, float* local, float* history, float* low) const {
    Region result;
    result.stride = chunk.stride;
    result.before_stride = result.after_stride = chunk.history;
    for (const Stream& stream : s_.program.streams) {
        float*& from = stream.source == Source::saved ? kept : local;
        result.streams.push_back(from);
        from += s_.blocks(stream.size) * chunk.stride;
    }
    if (!history) history = kept;
    for (int letter : s_.program.carry) {
        result.after.push_back(history);
        result.before.push_back(history);
        history += s_.blocks(letter) * chunk.history;
    }
    if (s_.call.resets.data) {
        result.before_stride = chunk.stride;
        for (size_t k = 0; k < s_.program.carry.size(); k++) {
            result.before[k] = history;
            history += s_.blocks(s_.program.carry[k]) * chunk.stride;
        }
    }
    place_low(low, result);
    return result;
}

// Where the same lies in bfloat16, from `low` on.
void Runner::place_low(float* low, Region& region) const {
    auto take = [&](bool wanted, int letter, ptrdiff_t stride) {
        float* place = wanted ? low : nullptr;
        if (wanted) low += s_.blocks(letter) * stride;
        return place;
    };
    Places& result = region.low;
    result.row = LANES / 2;
    result.stride = region.stride / 2;
    result.before_stride = region.before_stride / 2;
    result.after_stride = region.after_stride / 2;
    for (size_t i = 0; i < s_.low_streams.size(); i++)
        result.streams.push_back(take(s_.low_streams[i], s_.program.streams[i].size, result.stride));
    for (size_t k = 0; k < s_.low_carry.size(); k++)
        result.after.push_back(take(s_.low_carry[k], s_.program.carry[k], result.after_stride));
    result.before = result.after;
    for (size_t k = 0; s_.call.resets.data && k < s_.low_carry.size(); k++)
        result.before[k] = take(s_.low_carry[k], s_.program.carry[k], result.before_stride);
}

// Rows of some blocks of a vector of `units`, in bfloat16. stride: floats between blocks, which are half as far there.
void Runner::round(const float* from, ptrdiff_t stride, float* to, int rows, int units, Range blocks) const {
    for (int block = blocks.begin; block < blocks.end; block++)
        s_.call.kernels.round(from + block * stride, rows, std::min(LANES, units - block * LANES),
                              reinterpret_cast<bfloat16*>(to + block * stride / 2));
}

// What products of the backward pass read, and the forward pass computed.
void Runner::round_kept(const Region& region) const {
    for (size_t i = 0; i < s_.low_streams.size(); i++) {
        const Stream& stream = s_.program.streams[i];
        if (region.low.streams[i] && stream.source == Source::saved)
            round(region.streams[i], region.stride, region.low.streams[i], chunk_->rows, s_.units(stream.size),
                  Range(s_.blocks(stream.size), member_));
    }
    for (size_t k = 0; k < s_.low_carry.size(); k++) {
        if (!s_.low_carry[k]) continue;
        const int letter = s_.program.carry[k];
        const Range blocks(s_.blocks(letter), member_);
        round(region.after[k], region.after_stride, region.low.after[k], chunk_->start + chunk_->rows, s_.units(letter),
              blocks);
        if (s_.call.resets.data)
            round(region.before[k], region.before_stride, region.low.before[k], chunk_->rows, s_.units(letter), blocks);
    }
}

// One row of a block; whole ones by moves of a fixed size.
template <class Number>
void copy_row(Number* to, const Number* from, int lanes) {
    if (lanes == LANES)
        std::memcpy(to, from, LANES * sizeof(Number));
    else
        std::memcpy(to, from, lanes * sizeof(Number));
}

// Up to 16 values of a caller's tensor from `place` on, and zeros for the rest of a block.
void read_row(float* to, const Data& from, ptrdiff_t place, int lanes) {
    if (from.low) {
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

void write_row(const Kernels& kernels, const Data& to, ptrdiff_t place, const float* from, int lanes) {
    if (to.low) {
        bfloat16 rounded[LANES];
        kernels.round(from, 1, LANES, rounded);
        copy_row(static_cast<bfloat16*>(to.address) + place, rounded, lanes);
    } else {
        copy_row(static_cast<float*>(to.address) + place, from, lanes);
    }
}

void copy_rows(const float* from, ptrdiff_t from_stride, float* to, ptrdiff_t to_stride, int rows, Range blocks) {
    for (int block = blocks.begin; block < blocks.end; block++)
        std::memcpy(to + block * to_stride, from + block * from_stride, rows * LANES * sizeof(float));
}

void Runner::load_input(const Region& region) {
    const Series& x = s_.call.x;
    int stream = -1;
    for (size_t i = 0; i < s_.program.streams.size(); i++)
        if (s_.program.streams[i].source == Source::input) stream = static_cast<int>(i);
    if (stream < 0) return;
    const int units = s_.units(s_.program.streams[stream].size);
    const Range rows(chunk_->rows, member_);
    for (int row = rows.begin; row < rows.end; row++) {
        const Where& where = chunk_->where[row];
        float* to = region.streams[stream] + static_cast<ptrdiff_t>(row) * LANES;
        for (int unit = 0; unit < units; unit += LANES, to += region.stride)
            read_row(to, x.data, where.time * x.step + where.row * x.row + unit, std::min(LANES, units - unit));
    }
    if (float* low = region.low.streams[stream])
        round(region.streams[stream] + rows.begin * LANES, region.stride, low + rows.begin * LANES / 2,
              rows.end - rows.begin, units, Range(blocks_of(units)));
}

// Whether the caller's sequence starts afresh at this flat row. Run backwards, what begins at t + 1 must not reach t.
bool Runner::restarts(int flat) const {
    const Where& where = chunk_->where[flat];
    const int border = where.time + (s_.call.shape.reverse ? 1 : 0);
    const int64_t length = s_.call.shape.lengths ? s_.call.shape.lengths[where.row] : s_.call.shape.steps;
    return border < length && s_.call.resets.data[border * s_.call.resets.step + where.row * s_.call.resets.row];
}

bool in_memory(Place place) {
    return place == Place::stream || place == Place::before || place == Place::after || place == Place::arriving ||
           place == Place::leaving;
}

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

// What a step finds where some rows may start afresh: a copy of what the last one left, zeros in those rows.
void Runner::restart_rows(const Region& region, const Band& band, int row) {
    for (size_t k = 0; k < s_.program.carry.size(); k++) {
        const Range blocks(s_.blocks(s_.program.carry[k]), member_);
        for (int block = blocks.begin; block < blocks.end; block++) {
            float* to = region.before[k] + block * region.before_stride + band.before * LANES;
            std::memcpy(to, region.after[k] + block * region.after_stride + row * LANES,
                        band.count * LANES * sizeof(float));
            for (int r = 0; r < band.count; r++)
                if (restarts(band.flat + r)) std::memset(to + r * LANES, 0, LANES * sizeof(float));
        }
        if (s_.low_carry[k])
            round(region.before[k] + band.before * LANES, region.before_stride,
                  region.low.before[k] + band.before * LANES / 2, band.count, s_.units(s_.program.carry[k]), blocks);
    }
    member_.meet();
}

void Runner::forward(const std::vector<Rows>& state, const std::vector<Rows>& last, float* kept,
                     const std::vector<size_t>* places, float* local, const Extent& local_extent, float* low) {
    const std::vector<int>& carry = s_.program.carry;
    const bool resets = s_.call.resets.data;
    if (member_.thread == 0)
        for (size_t b = 0; b < part_.rows.size(); b++)
            if (part_.lengths[b] == 0)
                for (size_t k = 0; k < carry.size(); k++)
                    for (int unit = 0; unit < s_.units(carry[k]); unit += LANES) {
                        const int lanes = std::min(LANES, s_.units(carry[k]) - unit);
                        float values[LANES];
                        read_row(values, state[k].data, part_.rows[b] * state[k].row + unit, lanes);
                        write_row(s_.call.kernels, last[k].data, part_.rows[b] * last[k].row + unit, values, lanes);
                    }
    Region previous;
    for (size_t c = 0; c < part_.chunks.size(); c++) {
        const Chunk& chunk = part_.chunks[c];
        chunk_ = &chunk;
        // Without a tape two buffers take turns, as a chunk begins with the last rows of the one before it.
        float* history = s_.keep ? nullptr
                                 : local + local_extent.streams + (c % 2) * (local_extent.history + local_extent.before);
        Region region = this->region(chunk, kept ? kept + (*places)[c] : nullptr, local, history, low);
        load_input(region);
        for (size_t k = 0; k < carry.size(); k++) {
            const Range blocks(s_.blocks(carry[k]), member_);
            if (c > 0) {
                const Chunk& ahead = part_.chunks[c - 1];
                const int row = ahead.start + ahead.flat[ahead.last - ahead.first - 1];
                copy_rows(previous.after[k] + row * LANES, previous.after_stride, region.after[k], region.after_stride,
                          chunk.start, blocks);
            }
            for (int block = blocks.begin; c == 0 && block < blocks.end; block++) {
                const int lanes = std::min(LANES, s_.units(carry[k]) - block * LANES);
                float* to = region.after[k] + block * region.after_stride;
                for (int r = 0; r < chunk.start; r++, to += LANES)
                    read_row(to, state[k].data, part_.rows[r] * state[k].row + block * LANES, lanes);
            }
            if (s_.low_carry[k])
                round(region.after[k], region.after_stride, region.low.after[k], chunk.start, s_.units(carry[k]), blocks);
        }
        member_.meet();
        run_phases(When::advance, region, {0, 0, 0, chunk.rows, 0});
        for (int step = 0; step < chunk.last - chunk.first; step++) {
            const int flat = chunk.flat[step], before = step ? chunk.start + chunk.flat[step - 1] : 0;
            Band band{flat, resets ? flat : before, chunk.start + flat, chunk.flat[step + 1] - flat, 0};
            if (resets) restart_rows(region, band, before);
            run_phases(When::step, region, band);
        }
        // Rows whose last step was in this chunk.
        for (size_t k = 0; k < carry.size(); k++) {
            const Range blocks(s_.blocks(carry[k]), member_);
            for (size_t b = 0; b < part_.rows.size(); b++) {
                const int step = part_.lengths[b] - 1;
                if (step < chunk.first || step >= chunk.last) continue;
                const int row = chunk.start + chunk.flat[step - chunk.first] + static_cast<int>(b);
                for (int block = blocks.begin; block < blocks.end; block++)
                    write_row(s_.call.kernels, last[k].data, part_.rows[b] * last[k].row + block * LANES,
                              region.after[k] + block * region.after_stride + row * LANES,
                              std::min(LANES, s_.units(carry[k]) - block * LANES));
            }
        }
        previous = region;
    }
}

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

// Sums of a tile, [height][lanes], into places of which the vectors of a kernel would reach too many, or not in order.
void deliver(const float* tile, int height, int lanes, float* out, ptrdiff_t down, ptrdiff_t across, bool add) {
    for (int i = 0; i < height; i++, tile += COLUMNS * LANES, out += down)
        for (int j = 0; j < lanes; j++) out[j * across] = add ? out[j * across] + tile[j] : tile[j];
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

void Runner::backward(const std::vector<Rows>& dstate, float* kept, const std::vector<size_t>& places, float* local,
                      float* low, float* paired, float* ring, bool want_dx,
                      const std::vector<Gradient>& gradients) {
    const std::vector<int>& carry = s_.program.carry;
    const int count = static_cast<int>(part_.rows.size());
    size_t size = 0;
    ring_stride_ = static_cast<ptrdiff_t>(count | 1) * LANES;
    for (int letter : carry) {
        ring_places_.push_back(size);
        size += s_.blocks(letter) * ring_stride_;
    }
    ring_[0] = ring;
    ring_[1] = ring + size;
    // A row's gradient waits in both buffers until the row's last step comes up.
    for (size_t k = 0; k < carry.size(); k++) {
        const Rows& from = s_.arriving.last[k];
        const Range blocks(s_.blocks(carry[k]), member_);
        for (int block = blocks.begin; block < blocks.end; block++)
            for (int r = 0; r < count; r++)
                for (float* buffer : ring_) {
                    float* to = buffer + ring_places_[k] + block * ring_stride_ + r * LANES;
                    if (from.data)
                        read_row(to, from.data, part_.rows[r] * from.row + block * LANES,
                                 std::min(LANES, s_.units(carry[k]) - block * LANES));
                    else
                        std::memset(to, 0, LANES * sizeof(float));
                }
    }
    const bool resets = s_.call.resets.data;
    for (size_t c = part_.chunks.size(); c-- > 0;) {
        const Chunk& chunk = part_.chunks[c];
        chunk_ = &chunk;
        Region region = this->region(chunk, kept + places[c], local, nullptr, low);
        load_input(region);
        round_kept(region);
        member_.meet();
        for (int step = chunk.last - chunk.first; step-- > 0;) {
            const int flat = chunk.flat[step], before = step ? chunk.start + chunk.flat[step - 1] : 0;
            Band band{flat, resets ? flat : before, chunk.start + flat, chunk.flat[step + 1] - flat,
                      (chunk.first + step) & 1};
            run_phases(When::step, region, band);
            if (!resets) continue;
            for (size_t k = 0; k < carry.size(); k++) {  // nothing flows back over a restart
                const Range blocks(s_.blocks(carry[k]), member_);
                for (int r = 0; r < band.count; r++)
                    if (restarts(flat + r))
                        for (int block = blocks.begin; block < blocks.end; block++)
                            std::memset(ring_[band.parity ^ 1] + ring_places_[k] + block * ring_stride_ + r * LANES, 0,
                                        LANES * sizeof(float));
            }
            member_.meet();
        }
        if (want_dx) run_phases(When::deferred, region, {0, 0, 0, chunk.rows, 0});
        if (s_.low) pair_operands(region, gradients, paired);
        outer_products(region, gradients, c + 1 == part_.chunks.size());
        member_.meet();
    }
    // Step 0 left its gradients in the buffer that is not its own.
    for (size_t k = 0; k < carry.size(); k++) {
        if (!dstate[k].data) continue;
        const Range blocks(s_.blocks(carry[k]), member_);
        for (int block = blocks.begin; block < blocks.end; block++)
            for (int r = 0; r < count; r++)
                write_row(s_.call.kernels, dstate[k].data, part_.rows[r] * dstate[k].row + block * LANES,
                          ring_[1] + ring_places_[k] + block * ring_stride_ + r * LANES,
                          std::min(LANES, s_.units(carry[k]) - block * LANES));
    }
}

template <class Size>
size_t largest(const Part& part, Size size) {
    size_t result = 0;
    for (const Chunk& chunk : part.chunks) result = std::max<size_t>(result, size(chunk));
    return result;
}

// Local memory of one part, for its largest chunk.
Extent largest(const Setting& setting, const Part& part, Source source) {
    Extent result;
    for (const Chunk& chunk : part.chunks) {
        Extent one = extent(setting.program, setting.sizes, chunk, source, setting.call.resets.data);
        result.streams = std::max(result.streams, one.streams);
        result.history = std::max(result.history, one.history);
        result.before = std::max(result.before, one.before);
    }
    return result;
}

// Each thread runs whole parts, one after the other, or all threads run the only part.
void run_parts(const Work& work, const std::function<void(int part, const Member&)>& run,
               const std::function<void(const Member&)>& finish) {
    run_together(work.threads, [&](const Member& member) {
        if (work.parts == 1) {
            run(0, member);
        } else {
            Barrier none;
            const Member alone(0, 1, none);
            for (int part = member.thread; part < work.parts; part += member.threads) run(part, alone);
        }
        member.meet();
        finish(member);
    });
}

void clear_padding(const Series& out, const Shape& shape, int units, const Member& member) {
    if (!out.data || !shape.lengths) return;
    const Range rows(shape.rows, member);
    const size_t bytes = out.data.low ? sizeof(bfloat16) : sizeof(float);
    for (int row = rows.begin; row < rows.end; row++)
        for (int step = static_cast<int>(shape.lengths[row]); step < shape.steps; step++)
            std::memset(static_cast<char*>(out.data.address) + (step * out.step + row * out.row) * bytes, 0,
                        units * bytes);
}

std::vector<int> saved_sizes(const Program& program) {
    std::vector<int> sizes;
    for (const Stream& stream : program.streams)
        if (stream.source == Source::saved) sizes.push_back(stream.size);
    return sizes;
}

void add_to(float* sum, const float* values, int count) {
    for (int i = 0; i < count; i++) sum[i] += values[i];
}

size_t padded(size_t floats) { return (floats + LANES - 1) / LANES * LANES; }

}  // namespace

Packed::Packed(const Program& program, const Sizes& sizes, const std::vector<Matrix>& weights, const Work& work,
               const Kernels& kernels, bool low)
    : program_(program.serial), sizes_(sizes), work_(work), low_(low) {
    size_t size = 0;
    for (const Phase& phase : program.phases) {
        places_.emplace_back();
        for (const Group& group : phase.groups) {
            places_.back().emplace_back();
            for (const Share& share : group.shares) {
                places_.back().back().push_back(size);
                size += static_cast<size_t>(depth_words(sizes[share.size], low)) * share.products.size() * LANES *
                        blocks_of(sizes[phase.size]);
            }
        }
    }
    memory_ = Memory(size);
    run_together(size > 1 << 16 ? work.threads : 1, [&](const Member& member) {
        for (size_t p = 0; p < program.phases.size(); p++) {
            const Phase& phase = program.phases[p];
            const int per_panel = panel_blocks(phase, sizes, work), units = sizes[phase.size];
            const Range panels((blocks_of(units) + per_panel - 1) / per_panel, member);
            for (size_t g = 0; g < phase.groups.size(); g++)
                for (size_t i = 0; i < phase.groups[g].shares.size(); i++) {
                    const Share& share = phase.groups[g].shares[i];
                    const ptrdiff_t one = static_cast<ptrdiff_t>(depth_words(sizes[share.size], low)) * per_panel *
                                          share.products.size() * LANES;
                    for (int panel = panels.begin; panel < panels.end; panel++)
                        pack_share(program, share, sizes, weights, units, per_panel, panel, kernels, low,
                                   memory_.data() + places_[p][g][i] + panel * one);
                }
        }
    });
}

bool Tape::fits(const Call& call) const {
    size_t rows = 0;
    for (const Part& part : parts) {
        rows += part.rows.size();
        for (size_t i = 0; i < part.rows.size(); i++)
            if (part.lengths[i] !=
                (call.shape.lengths ? call.shape.lengths[part.rows[i]] : static_cast<int64_t>(call.shape.steps)))
                return false;
    }
    return rows == static_cast<size_t>(call.shape.rows) && sizes == call.sizes && work.parts == call.work.parts &&
           resets == (call.resets.data != nullptr) && carry == call.program.carry &&
           saved == saved_sizes(call.program);
}

void forward(const Call& call, const std::vector<Rows>& state, const std::vector<Series>& outputs,
             const std::vector<Rows>& last, Tape* tape) {
    const int per_part = std::max(1, call.shape.rows / call.work.parts);
    Setting setting(call, tape, nullptr, tape ? 512 : 128, tape ? 4 : std::min(8, 512 / per_part + 1));
    setting.outputs = outputs;
    const bool resets = call.resets.data;
    if (tape) {
        size_t size = 0;
        for (const Part& part : setting.own_parts) {
            tape->places.emplace_back();
            for (const Chunk& chunk : part.chunks) {
                tape->places.back().push_back(size);
                size += extent(call.program, call.sizes, chunk, Source::saved, resets).total();
            }
        }
        tape->memory = Memory(size);
        tape->sizes = call.sizes;
        tape->work = call.work;
        tape->resets = resets;
        tape->carry = call.program.carry;
        tape->saved = saved_sizes(call.program);
    }
    std::vector<Extent> extents;
    std::vector<size_t> locals, lows;
    size_t size = 0;
    for (const Part& part : setting.parts) {
        Extent one = largest(setting, part, Source::local);
        extents.push_back(one);
        locals.push_back(size);
        size += one.streams + (tape ? 0 : 2 * (one.history + one.before));
        lows.push_back(size);
        size += padded(largest(part, [&](const Chunk& chunk) { return low_extent(setting, chunk); }));
    }
    const size_t scratch = static_cast<size_t>(call.program.slots) * SLOT;
    const size_t scratches = size;
    Memory memory(size + scratch * std::max(call.work.threads, call.work.parts));
    run_parts(
        call.work,
        [&](int part, const Member& member) {
            Runner runner(setting, setting.parts[part], member,
                          memory.data() + scratches + scratch * (call.work.parts > 1 ? part : member.thread), nullptr);
            runner.forward(state, last, tape ? tape->memory.data() : nullptr, tape ? &tape->places[part] : nullptr,
                           memory.data() + locals[part], extents[part], memory.data() + lows[part]);
        },
        [&](const Member& member) {
            for (size_t k = 0; k < outputs.size(); k++)
                clear_padding(outputs[k], call.shape, call.sizes[call.program.carry[k]], member);
        });
    if (tape) tape->parts = std::move(setting.own_parts);
}

void backward(const Call& call, const Tape& tape, const Arriving& arriving, const Series& dx,
              const std::vector<Rows>& dstate, const std::vector<Matrix>& dweights) {
    Setting setting(call, false, &tape, 0, 0);
    setting.outputs = {dx};
    setting.arriving = arriving;
    const Program& program = call.program;

    std::vector<size_t> locals, lows, pairs, rings, totals, sums;
    size_t size = 0;
    auto room = [&](size_t floats) {
        size += padded(floats);
        return size - padded(floats);
    };
    const size_t scratch = static_cast<size_t>(program.slots) * SLOT;
    const int runners = call.work.parts > 1 ? call.work.parts : call.work.threads;
    const size_t scratches = room(scratch * runners);
    for (const Part& part : setting.parts) {
        locals.push_back(room(largest(setting, part, Source::local).streams));
        lows.push_back(room(largest(part, [&](const Chunk& chunk) { return low_extent(setting, chunk); })));
        pairs.push_back(room(largest(part, [&](const Chunk& chunk) { return pair_extent(setting, chunk); })));
        size_t one = 0;
        for (int letter : program.carry) one += setting.blocks(letter) * (part.rows.size() | 1) * LANES;
        rings.push_back(room(2 * one));
    }
    // What is summed over rows and steps: by part, or for vectors by thread, so that the order of summation is fixed.
    size_t total_size = 0;
    std::vector<size_t> total_places;
    for (const Total& total : program.totals) {
        total_places.push_back(total_size);
        total_size += setting.blocks(total.size) * LANES;
    }
    for (int i = 0; i < runners; i++) totals.push_back(room(total_size));
    // Weight gradients are summed by part too: the first part has them where they are wanted, and the others, which may
    // have no steps at all, each in memory of their own, with whole lines for rows.
    auto wanted = [&](int block) { return dweights[program.blocks[block].parameter].data != nullptr; };
    auto line = [&](int block) { return setting.blocks(program.blocks[block].columns) * LANES; };
    std::vector<bool> written(program.blocks.size());
    for (const Outer& outer : program.outers)
        for (const auto& [stream, block] : outer.values)
            written[block] = wanted(block) && !setting.parts[0].chunks.empty();
    std::vector<std::vector<Gradient>> gradients;
    std::vector<std::vector<size_t>> gradient_places;
    for (const Part& part : setting.parts) {
        gradients.emplace_back(program.blocks.size());
        gradient_places.emplace_back(program.blocks.size());
        for (size_t i = 0; i < program.blocks.size(); i++) {
            const Block& block = program.blocks[i];
            const int rows = setting.units(block.rows);
            if (!written[i] || part.chunks.empty()) continue;
            if (gradients.size() > 1) {
                gradient_places.back()[i] = room(static_cast<size_t>(rows) * line(i));
            } else {
                const Matrix& out = dweights[block.parameter];
                gradients[0][i] = {out.data + static_cast<ptrdiff_t>(block.place) * rows * out.row, out.row};
            }
        }
    }
    Memory memory(size);
    float* base = memory.data();
    for (size_t place : totals) std::fill_n(base + place, total_size, 0.0f);  // also of threads that may not come
    for (size_t part = 1; part < gradients.size(); part++)
        for (size_t i = 0; i < program.blocks.size(); i++)
            if (written[i] && !setting.parts[part].chunks.empty())
                gradients[part][i] = {base + gradient_places[part][i], line(i)};
    run_parts(
        call.work,
        [&](int part, const Member& member) {
            const int runner_number = call.work.parts > 1 ? part : member.thread;
            Runner runner(setting, setting.parts[part], member, base + scratches + scratch * runner_number,
                          base + totals[runner_number]);
            runner.backward(dstate, tape.memory.data(), tape.places[part], base + locals[part], base + lows[part],
                            base + pairs[part], base + rings[part], bool(dx.data), gradients[part]);
        },
        [&](const Member& member) {
            clear_padding(dx, call.shape, call.sizes[0], member);
            for (size_t i = 0; i < program.blocks.size(); i++) {
                if (!written[i]) continue;
                const int columns = setting.units(program.blocks[i].columns);
                const Range rows(setting.units(program.blocks[i].rows), member);
                for (int row = rows.begin; row < rows.end; row++)
                    for (size_t part = 1; part < gradients.size(); part++)
                        if (const Gradient& from = gradients[part][i]; from.data)
                            add_to(gradients[0][i].data + row * gradients[0][i].row, from.data + row * from.row, columns);
            }
        });
    auto adds = [&](int block) {  // whether a gradient has to be added to what is there already
        const bool before = written[block];
        written[block] = true;
        return before;
    };
    for (size_t i = 0; i < program.totals.size(); i++) {
        const Total& total = program.totals[i];
        const Block& block = program.blocks[total.block];
        if (!wanted(total.block)) continue;
        const Matrix& out = dweights[block.parameter];
        const int units = setting.units(total.size);
        float* data = out.data + static_cast<ptrdiff_t>(block.place) * units * out.row;
        const bool add = adds(total.block);
        for (int unit = 0; unit < units; unit++) {
            float sum = 0;
            for (size_t place : totals) sum += base[place + total_places[i] + unit];
            const int columns = total.weight < 0 ? 1 : setting.units(program.blocks[total.weight].rows);
            for (int k = 0; k < columns; k++) {
                float& to = data[unit * out.row + k * out.column];
                const float value = total.weight < 0 ? sum : sum * setting.vector(total.weight)[k];
                to = add ? to + value : value;
            }
        }
    }
    for (size_t i = 0; i < program.blocks.size(); i++) {  // weights that no gradient reaches
        const Block& block = program.blocks[i];
        if (written[i] || !wanted(static_cast<int>(i))) continue;
        const Matrix& out = dweights[block.parameter];
        const int units = setting.units(block.rows), columns = block.columns < 0 ? 1 : setting.units(block.columns);
        for (int unit = 0; unit < units; unit++)
            for (int k = 0; k < columns; k++)
                out.data[(static_cast<ptrdiff_t>(block.place) * units + unit) * out.row + k * out.column] = 0;
    }
}

}  // namespace gatewise
