// The native engine's Python side. Tensors come as addresses and strides: what Python passes has been checked there
// (engine/native/__init__.py), and looking at tensor objects from here would cost more than a whole step of a small layer.

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>

#include "layer.hpp"
#include "team.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace gatewise {
namespace {

std::atomic<const Kernels*> chosen{nullptr};

// Chooses the instruction set: the best, or the one named.
std::string use(const std::string& name) {
    const Kernels* found = kernels(name.empty() ? nullptr : name.c_str());
    if (!found) throw std::invalid_argument("this machine has no instruction set '" + name + "'");
    chosen = found;
    return found->name;
}

template <class Enum>
Enum checked(int number, const char* what) {
    if (number < 0 || number >= static_cast<int>(Enum::count)) throw std::invalid_argument(what);
    return static_cast<Enum>(number);
}

void need(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

using Pairs = std::vector<std::pair<int, int>>;
using ValueFields = std::tuple<int, int, float, int, bool, bool>;
using ProductFields = std::tuple<int, int, bool>;
using ShareFields = std::tuple<int, int, int, std::vector<ProductFields>>;
using GroupFields = std::tuple<std::vector<int>, std::vector<std::vector<int>>, std::vector<int>, std::vector<ShareFields>>;
using InstructionFields = std::tuple<int, int, int, int, int>;
using PhaseFields = std::tuple<int, int, std::vector<ValueFields>, std::vector<GroupFields>,
                               std::vector<InstructionFields>, Pairs, Pairs, Pairs>;
using OuterFields = std::tuple<int, int, int, int, Pairs>;
using BlockFields = std::tuple<int, int, int, int>;
using TotalFields = std::tuple<int, int, int>;

uint16_t narrow(int value) {
    if (value < 0 || value > std::numeric_limits<uint16_t>::max()) throw std::invalid_argument("an instruction's value");
    return static_cast<uint16_t>(value);
}

Phase phase_from(const PhaseFields& fields) {
    const auto& [when, size, values, groups, program, arrivals, emissions, reductions] = fields;
    Phase phase{checked<When>(when, "a phase's time"), size, {}, {}, {}, arrivals, emissions, reductions};
    for (const auto& [place, index, number, slot, read, written] : values)
        phase.values.push_back({checked<Place>(place, "a value's place"), index, number, slot, read, written});
    for (const auto& [accumulators, biases, start, shares] : groups) {
        Group group{accumulators, biases, start, {}};
        for (const auto& [place, index, length, products] : shares) {
            Share share{checked<Place>(place, "a product's vector"), index, length, {}};
            for (const auto& [accumulator, block, transposed] : products)
                share.products.push_back({accumulator, block, transposed});
            group.shares.push_back(std::move(share));
        }
        phase.groups.push_back(std::move(group));
    }
    for (const auto& [op, out, a, b, c] : program)
        phase.program.push_back({checked<Op>(op, "an operation"), narrow(out), narrow(a), narrow(b), narrow(c)});
    return phase;
}

std::unique_ptr<Program> program_from(const std::vector<int>& carry, const Pairs& streams,
                                      const std::vector<BlockFields>& blocks, const std::vector<PhaseFields>& phases,
                                      const std::vector<OuterFields>& outers, const std::vector<TotalFields>& totals,
                                      int slots, int parameters, bool backward) {
    static std::atomic<long> made{0};
    auto program = std::make_unique<Program>();
    program->serial = ++made;
    program->carry = carry;
    for (const auto& [size, source] : streams)
        program->streams.push_back({size, checked<Source>(source, "a stream's source")});
    for (const auto& [parameter, place, rows, columns] : blocks)
        program->blocks.push_back({parameter, place, rows, columns});
    for (const PhaseFields& fields : phases) program->phases.push_back(phase_from(fields));
    for (const auto& [place, index, size, value_size, values] : outers)
        program->outers.push_back({checked<Place>(place, "an outer product's vector"), index, size, value_size, values});
    for (const auto& [size, block, weight] : totals) program->totals.push_back({size, block, weight});
    program->slots = slots;
    program->parameters = parameters;
    program->backward = backward;
    if (std::string wrong = mistakes(*program); !wrong.empty()) throw std::invalid_argument(wrong);
    return program;
}

// Address and strides; of the caller's sequences and states also whether they are bfloat16 instead of floats.
using Fields3 = std::tuple<size_t, ptrdiff_t, ptrdiff_t>;
using MatrixFields = std::tuple<size_t, ptrdiff_t, ptrdiff_t, int, int>;
using RowsFields = std::tuple<size_t, ptrdiff_t, bool>;
using SeriesFields = std::tuple<size_t, ptrdiff_t, ptrdiff_t, bool>;

float* address(size_t number) { return reinterpret_cast<float*>(number); }

// A number that changes with any value of the tensors of floats: address, count. The same for any number of threads.
uint64_t fingerprint(const std::vector<std::pair<size_t, size_t>>& tensors, int threads) {
    constexpr size_t PIECE = 1 << 16;
    struct Piece {
        const float* values;
        size_t count;
        uint64_t number;
    };
    std::vector<Piece> pieces;
    for (const auto& [data, count] : tensors) {
        need(data || !count, "a missing tensor");
        for (size_t i = 0; i < count; i += PIECE) pieces.push_back({address(data) + i, std::min(PIECE, count - i), 0});
    }
    std::optional<nb::gil_scoped_release> released;
    if (pieces.size() > 1) released.emplace();
    const Kernels& kernels = *chosen.load();
    run_together(pieces.size() > 8 ? threads : 1, [&](const Member& member) {
        for (size_t i = member.thread; i < pieces.size(); i += member.threads)
            pieces[i].number = kernels.fingerprint(pieces[i].values, pieces[i].count);
    });
    uint64_t result = 0;
    for (const Piece& piece : pieces) result = result * 1099511628211u + piece.number;
    return result;
}

std::vector<Matrix> matrices(const std::vector<MatrixFields>& fields) {
    std::vector<Matrix> result;
    for (const auto& [data, row, column, rows, columns] : fields)
        result.push_back({address(data), row, column, rows, columns});
    return result;
}

std::vector<Rows> rows(const std::vector<RowsFields>& fields) {
    std::vector<Rows> result;
    for (const auto& [data, row, low] : fields) result.push_back({{address(data), low}, row});
    return result;
}

Series series(const SeriesFields& fields) {
    const auto& [data, step, row, low] = fields;
    return {{address(data), low}, step, row};
}

std::vector<Series> all_series(const std::vector<SeriesFields>& fields) {
    std::vector<Series> result;
    for (const SeriesFields& one : fields) result.push_back(series(one));
    return result;
}

void check(const Program& program, const Sizes& sizes, const std::vector<MatrixFields>& weights, Work work) {
    need(work.parts >= 1 && work.threads >= 1 && (work.parts == 1 || work.parts <= work.threads), "threads");
    need(weights.size() == static_cast<size_t>(program.parameters), "the number of weights");
    int letters = 1;
    auto see = [&](int letter) { letters = std::max(letters, letter + 1); };
    for (int letter : program.carry) see(letter);
    for (const Stream& stream : program.streams) see(stream.size);
    for (const Block& block : program.blocks) see(block.rows), see(block.columns);
    for (const Phase& phase : program.phases) see(phase.size);
    need(sizes.size() >= static_cast<size_t>(letters), "the number of sizes");
    for (int size : sizes) need(size >= 0 && size < 1 << 24, "a size");
    for (const Block& block : program.blocks) {
        const auto& [data, row, column, rows, columns] = weights[block.parameter];
        need((block.place + 1) * sizes[block.rows] <= rows &&
                 (block.columns < 0 ? columns == 1 : sizes[block.columns] == columns),
             "a weight's shape");
        need(data || rows == 0 || columns == 0, "a missing weight");
    }
}

// Calls shorter than about 10 us keep the interpreter's lock: to hand it over costs more than others would gain.
class Released {
public:
    explicit Released(const std::vector<Call>& calls) {
        double work = 0;
        for (const Call& call : calls) {
            double units = 0;
            for (int size : call.sizes) units += size;
            work += units * units * call.shape.steps * call.shape.rows;
        }
        if (work > 1e5) release_.emplace();
    }

private:
    std::optional<nb::gil_scoped_release> release_;
};

using ShapeFields = std::tuple<int, int, size_t, bool>;
using WorkFields = std::tuple<int, int>;

Call call_from(const Program& program, const Packed& packed, const Sizes& sizes, const ShapeFields& shape,
               const WorkFields& work, const SeriesFields& x, const Fields3& resets,
               const std::vector<MatrixFields>& weights) {
    const auto& [steps, count, lengths, reverse] = shape;
    const auto& [parts, threads] = work;
    check(program, sizes, weights, {parts, threads});
    need(steps >= 0 && count >= 0, "the shape");
    need(packed.made_for(program, sizes, {parts, threads}), "the packed weights");
    need(std::get<0>(x) || !steps || !count || !sizes[0], "a missing input");
    need(!packed.low() || chosen.load()->pair, "the precision of the packed weights");
    const auto& [resets_data, resets_step, resets_row] = resets;
    Call call{*chosen.load(),
              program,
              packed,
              sizes,
              {steps, count, reinterpret_cast<const int64_t*>(lengths), reverse},
              {parts, threads},
              series(x),
              {reinterpret_cast<const uint8_t*>(resets_data), resets_step, resets_row},
              matrices(weights)};
    for (int row = 0; call.shape.lengths && row < count; row++)
        need(call.shape.lengths[row] >= 0 && call.shape.lengths[row] <= steps, "a length");
    return call;
}

// Calls that wait for nothing from one another, at the same time.
void run_jobs(size_t count, const std::function<void(size_t)>& run) {
    if (count == 1) return run(0);
    std::vector<std::exception_ptr> failed(count);
    run_together(static_cast<int>(count), [&](const Member& member) {
        for (size_t job = member.thread; job < count; job += member.threads) try {
                run(job);
            } catch (...) {
                failed[job] = std::current_exception();  // no exception may leave a team
            }
    });
    for (const std::exception_ptr& error : failed)
        if (error) std::rethrow_exception(error);
}

// What both directions of a call are given: program, packed weights, sizes, shape, work, x, resets, weights.
using CallFields = std::tuple<const Program*, const Packed*, Sizes, ShapeFields, WorkFields, SeriesFields, Fields3,
                              std::vector<MatrixFields>>;
// State, outputs, last state; whether to keep a tape.
using ForwardFields =
    std::tuple<CallFields, std::vector<RowsFields>, std::vector<SeriesFields>, std::vector<RowsFields>, bool>;
// Tape; gradients of outputs and last state; dx, dstate, dweights.
using BackwardFields = std::tuple<CallFields, const Tape*, std::vector<SeriesFields>, std::vector<RowsFields>,
                                  SeriesFields, std::vector<RowsFields>, std::vector<MatrixFields>>;

Call call_of(const CallFields& fields) {
    const auto& [program, packed, sizes, shape, work, x, resets, weights] = fields;
    need(program && packed, "a program");
    return call_from(*program, *packed, sizes, shape, work, x, resets, weights);
}

std::vector<std::unique_ptr<Tape>> run_forward(const std::vector<ForwardFields>& jobs) {
    std::vector<Call> calls;
    std::vector<std::unique_ptr<Tape>> tapes;
    for (const auto& [call, state, outputs, last, keep] : jobs) {
        calls.push_back(call_of(call));
        const size_t carried = calls.back().program.carry.size();
        need(!calls.back().program.backward, "a program's direction");
        need(state.size() == carried && last.size() == carried && outputs.size() == carried,
             "the number of carried values");
        for (size_t k = 0; k < carried; k++)
            need((std::get<0>(state[k]) && std::get<0>(last[k])) || !calls.back().shape.rows ||
                     !calls.back().sizes[calls.back().program.carry[k]],
                 "a missing state");
        tapes.push_back(keep ? std::make_unique<Tape>() : nullptr);
    }
    Released released(calls);
    run_jobs(jobs.size(), [&](size_t i) {
        const auto& [call, state, outputs, last, keep] = jobs[i];
        forward(calls[i], rows(state), all_series(outputs), rows(last), tapes[i].get());
    });
    return tapes;
}

void run_backward(const std::vector<BackwardFields>& jobs) {
    std::vector<Call> calls;
    for (const auto& [call, tape, douts, dlast, dx, dstate, dweights] : jobs) {
        calls.push_back(call_of(call));
        const size_t carried = calls.back().program.carry.size();
        need(calls.back().program.backward, "a program's direction");
        need(douts.size() == carried && dlast.size() == carried && dstate.size() == carried &&
                 dweights.size() == calls.back().weights.size(),
             "the number of gradients");
        need(tape && tape->fits(calls.back()), "the tape");
        for (const Block& block : calls.back().program.blocks)
            need(block.columns < 0 || std::get<2>(dweights[block.parameter]) == 1 || !std::get<0>(dweights[block.parameter]),
                 "a gradient's stride");
    }
    Released released(calls);
    run_jobs(jobs.size(), [&](size_t i) {
        const auto& [call, tape, douts, dlast, dx, dstate, dweights] = jobs[i];
        backward(calls[i], *tape, {all_series(douts), rows(dlast)}, series(dx), rows(dstate), matrices(dweights));
    });
}

}  // namespace
}  // namespace gatewise

NB_MODULE(_native, m) {
    using namespace gatewise;
    m.doc() = "Gatewise's native engine.";
    nb::set_leak_warnings(false);  // a graph that lives until the interpreter ends is its owner's choice
    use("");
    nb::class_<Program>(m, "Program").def(nb::new_(&program_from));
    nb::class_<Packed>(m, "Packed");
    nb::class_<Tape>(m, "Tape").def_prop_ro("bytes", [](const Tape& tape) { return tape.memory.bytes(); });
    m.def("use", &use, "name"_a, "Choose the instruction set by name, or with '' the best; returns its name.");
    m.def(
        "instruction_sets",
        [] {
            std::vector<std::string> names;
            for (const char* name : {"avx512bf16", "avx512", "avx2", "plain"})
                if (kernels(name)) names.push_back(name);
            return names;
        },
        "What this machine can run, the best first.");
    m.def("isa", [] { return std::string(chosen.load()->name); }, "The instruction set in use.");
    m.def("rounds", [] { return chosen.load()->pair != nullptr; }, "Whether that set multiplies in bfloat16.");
    m.def(
        "pack",
        [](const Program& program, const Sizes& sizes, const WorkFields& work, const std::vector<MatrixFields>& weights,
           bool low) {
            const auto& [parts, threads] = work;
            check(program, sizes, weights, {parts, threads});
            const Kernels& kernels = *chosen.load();
            need(!low || kernels.pair, "the precision");
            return std::make_unique<Packed>(program, sizes, matrices(weights), Work{parts, threads}, kernels, low);
        },
        "program"_a, "sizes"_a, "work"_a, "weights"_a, "low"_a = false,
        "Weight matrices as the kernels read them; with `low` in bfloat16, and with it the layer's products.");
    m.def("fingerprint", &fingerprint, "tensors"_a, "threads"_a = 1, "A number that changes with any of the tensors' values.");
    m.def("forward", &run_forward, "calls"_a, "Run layers, several at the same time; their tapes, or None.");
    m.def("backward", &run_backward, "calls"_a, "Fill the gradients of layers that were run with a tape.");
}
