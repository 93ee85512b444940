#include "layer.hpp"

#include <algorithm>
#include <cstring>

#include "gradients.hpp"
#include "runner.hpp"

namespace gatewise {
namespace {

template <class Size>
size_t largest(const Part& part, Size size) {
    size_t result = 0;
    for (const Chunk& chunk : part.chunks) result = std::max<size_t>(result, size(chunk));
    return result;
}

// Local memory of one part, for its largest chunk.
Extent largest(const CallPlan& plan, const Part& part, Source source) {
    Extent result;
    for (const Chunk& chunk : part.chunks) {
        Extent one = extent(plan.program, plan.sizes, chunk, source, plan.call.resets.data);
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
    const size_t bytes = out.data.bf16 ? sizeof(bfloat16) : sizeof(float);
    for (int row = rows.begin; row < rows.end; row++)
        for (int step = static_cast<int>(shape.lengths[row]); step < shape.steps; step++)
            std::memset(static_cast<char*>(out.data.address) + (step * out.step + row * out.row) * bytes, 0,
                        units * bytes);
}

}  // namespace

void forward(const Call& call, const std::vector<Rows>& state, const std::vector<Series>& outputs,
             const std::vector<Rows>& last, Tape* tape) {
    const int per_part = std::max(1, call.shape.rows / call.work.parts);
    CallPlan plan(call, tape, nullptr, tape ? 512 : 128, tape ? 4 : std::min(8, 512 / per_part + 1));
    plan.outputs = outputs;
    const bool resets = call.resets.data;
    if (tape) {
        size_t size = 0;
        for (const Part& part : plan.own_parts) {
            tape->places.emplace_back();
            for (const Chunk& chunk : part.chunks) {
                tape->places.back().push_back(size);
                size += extent(call.program, call.sizes, chunk, Source::saved, resets).total();
            }
        }
        tape->memory = Memory(size);
        tape->remember(call);
    }
    struct Pieces {
        Extent extent;
        size_t local, bf16;
    };
    Arena arena;
    std::vector<Pieces> pieces;
    for (const Part& part : plan.parts) {
        const Extent one = largest(plan, part, Source::local);
        const size_t local = arena.take(one.streams + (tape ? 0 : 2 * (one.history + one.before)));
        const size_t bf16 = arena.take(largest(part, [&](const Chunk& chunk) { return bf16_extent(plan, chunk); }));
        pieces.push_back({one, local, bf16});
    }
    const size_t scratch = static_cast<size_t>(call.program.slots) * SLOT;
    const size_t scratches = arena.take(scratch * std::max(call.work.threads, call.work.parts));
    Memory memory(arena.size());
    float* const base = memory.data();
    run_parts(
        call.work,
        [&](int part, const Member& member) {
            const int number = call.work.parts > 1 ? part : member.thread;
            const auto& [extent, local, bf16] = pieces[part];
            Runner runner(plan, plan.parts[part], member, base + scratches + scratch * number, nullptr);
            runner.forward(state, last, tape ? tape->memory.data() : nullptr, tape ? &tape->places[part] : nullptr,
                           base + local, extent, base + bf16);
        },
        [&](const Member& member) {
            for (size_t k = 0; k < outputs.size(); k++)
                clear_padding(outputs[k], call.shape, call.sizes[call.program.carry[k]], member);
        });
    if (tape) tape->parts = std::move(plan.own_parts);
}

void backward(const Call& call, const Tape& tape, const Arriving& arriving, const Series& dx,
              const std::vector<Rows>& dstate, const std::vector<Matrix>& dweights) {
    CallPlan plan(call, false, &tape, 0, 0);
    plan.outputs = {dx};
    plan.arriving = arriving;

    struct Pieces {
        size_t local, bf16, pairs, ring;
    };
    Arena arena;
    const size_t scratch = static_cast<size_t>(call.program.slots) * SLOT;
    const int runners = call.work.parts > 1 ? call.work.parts : call.work.threads;
    const size_t scratches = arena.take(scratch * runners);
    std::vector<Pieces> pieces;
    for (const Part& part : plan.parts) {
        size_t ring = 0;
        for (int letter : call.program.carry) ring += plan.blocks(letter) * (part.rows.size() | 1) * LANES;
        const size_t local = arena.take(largest(plan, part, Source::local).streams);
        const size_t bf16 = arena.take(largest(part, [&](const Chunk& chunk) { return bf16_extent(plan, chunk); }));
        const size_t pairs = arena.take(largest(part, [&](const Chunk& chunk) { return pair_extent(plan, chunk); }));
        pieces.push_back({local, bf16, pairs, arena.take(2 * ring)});
    }
    WeightGradients gradients(plan, dweights, runners, arena);
    Memory memory(arena.size());
    float* const base = memory.data();
    gradients.place(base);
    run_parts(
        call.work,
        [&](int part, const Member& member) {
            const int number = call.work.parts > 1 ? part : member.thread;
            const auto& [local, bf16, pairs, ring] = pieces[part];
            Runner runner(plan, plan.parts[part], member, base + scratches + scratch * number, gradients.sums(number));
            runner.backward(dstate, tape.memory.data(), tape.places[part], base + local, base + bf16, base + pairs,
                            base + ring, bool(dx.data), gradients.of_part(part));
        },
        [&](const Member& member) {
            clear_padding(dx, call.shape, call.sizes[0], member);
            gradients.add_parts(member);
        });
    gradients.finish();
}

}  // namespace gatewise
