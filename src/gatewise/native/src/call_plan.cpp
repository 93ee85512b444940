#include "call_plan.hpp"

namespace gatewise {
namespace {

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

}  // namespace

Range reach(const Program& program, const Share& share, const Sizes& sizes, int first, int last) {
    const int head = program.blocks[share.products[0].block].head, depth = sizes[share.size];
    if (head < 0) return Range(depth);
    const int units = sizes[head];
    return Range(first / units * units / LANES * LANES, std::min(depth, ((last - 1) / units + 1) * units));
}

int share_depth(const Program& program, const Share& share, const Sizes& sizes, int units, int per_panel,
                Precision precision) {
    const int ahead = precision == Precision::int8 ? QUANTISED : 0;
    if (program.blocks[share.products[0].block].head < 0) return ahead + depth_words(sizes[share.size], precision);
    int most = 0;
    for (int first = 0; first < units; first += per_panel * LANES) {
        const Range k = reach(program, share, sizes, first, std::min(first + per_panel * LANES, units));
        most = std::max(most, k.end - k.begin);
    }
    return ahead + depth_words(most, precision);
}

int panel_blocks(const Phase& phase, const Sizes& sizes, const Work& work) {
    size_t most = 1;
    for (const Group& group : phase.groups) most = std::max(most, group.values.size());
    if (phase.groups.empty() || phase.groups.size() > 1) return 1;
    int together = work.parts > 1 ? 1 : work.threads;
    int each = (blocks_of(sizes[phase.size]) + together - 1) / together;
    return std::max(1, std::min(COLUMNS / static_cast<int>(most), each));
}

CallPlan::CallPlan(const Call& call, bool keep, const Tape* tape, int chunk_rows, int chunk_steps)
    : call(call), program(call.program), sizes(call.sizes), keep(keep), precision(call.packed.precision()),
      bf16(precision == Precision::bfloat16),
      products(bf16                             ? call.kernels.bf16
               : precision == Precision::int8 ? call.kernels.int8
                                              : call.kernels.f32),
      own_parts(tape && !keep ? std::vector<Part>() : cut(call.shape, call.work.parts, chunk_rows, chunk_steps)),
      parts(tape && !keep ? tape->parts : own_parts) {
    for (const Phase& phase : program.phases) {
        panels.push_back(panel_blocks(phase, sizes, call.work));
        passes.push_back(passes_of(phase));
    }
    gather_vectors();
    bf16_streams.resize(program.streams.size());
    bf16_carry.resize(program.carry.size());
    if (bf16) note_operands();
}

int CallPlan::operand(Place place, int index) const {
    for (size_t i = 0; i < operands.size(); i++)
        if (operands[i].place == place && operands[i].index == index) return static_cast<int>(i);
    return -1;
}

void CallPlan::note_operands() {
    for (const Phase& phase : program.phases)
        for (const Group& group : phase.groups)
            for (const Share& share : group.shares) {
                if (share.place == Place::stream) bf16_streams[share.index] = true;
                if (share.place == Place::before || share.place == Place::after) bf16_carry[share.index] = true;
            }
    auto note = [&](Place place, int index, int size) {
        if (operand(place, index) < 0) operands.push_back({place, index, size});
    };
    for (const Outer& outer : program.outers) {
        note(outer.place, outer.index, outer.size);
        for (const auto& [stream, block] : outer.values) note(Place::stream, stream, outer.value_size);
    }
    bf16_constants.resize(constants.size() / 2);
    call.kernels.round(constants.data(), static_cast<int>(constants.size() / LANES), LANES,
                       reinterpret_cast<bfloat16*>(bf16_constants.data()));
}

void CallPlan::gather_vectors() {
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

size_t bf16_extent(const CallPlan& plan, const Chunk& chunk) {
    size_t result = 0;
    for (size_t i = 0; i < plan.bf16_streams.size(); i++)
        if (plan.bf16_streams[i]) result += plan.blocks(plan.program.streams[i].size) * chunk.stride / 2;
    for (size_t k = 0; k < plan.bf16_carry.size(); k++) {
        if (!plan.bf16_carry[k]) continue;
        result += plan.blocks(plan.program.carry[k]) * chunk.history / 2;
        if (plan.call.resets.data) result += plan.blocks(plan.program.carry[k]) * chunk.stride / 2;
    }
    return result;
}

ptrdiff_t pair_stride(const Chunk& chunk) { return static_cast<ptrdiff_t>((chunk.rows + 1) / 2 | 1) * LANES; }

size_t pair_extent(const CallPlan& plan, const Chunk& chunk) {
    size_t result = 0;
    for (const Operand& operand : plan.operands) result += plan.blocks(operand.size) * pair_stride(chunk);
    return result;
}

}  // namespace gatewise
