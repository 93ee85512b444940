#include "layer.hpp"

#include <algorithm>
#include <cstring>

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
    auto line = [&](int block) { return setting.blocks(program.blocks[block].stored()) * LANES; };
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
                const int columns = setting.units(program.blocks[i].stored());
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
            const int columns = total.weight < 0 ? 1 : setting.units(block.stored());
            const int first = block.head < 0 ? 0 : unit / columns * columns;
            for (int k = 0; k < columns; k++) {
                float& to = data[unit * out.row + k * out.column];
                const float value = total.weight < 0 ? sum : sum * setting.vector(total.weight)[first + k];
                to = add ? to + value : value;
            }
        }
    }
    for (size_t i = 0; i < program.blocks.size(); i++) {  // weights that no gradient reaches
        const Block& block = program.blocks[i];
        if (written[i] || !wanted(static_cast<int>(i))) continue;
        const Matrix& out = dweights[block.parameter];
        const int units = setting.units(block.rows), columns = block.columns < 0 ? 1 : setting.units(block.stored());
        for (int unit = 0; unit < units; unit++)
            for (int k = 0; k < columns; k++)
                out.data[(static_cast<ptrdiff_t>(block.place) * units + unit) * out.row + k * out.column] = 0;
    }
}

}  // namespace gatewise
