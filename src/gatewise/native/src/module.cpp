// The native engine's Python side. Tensors come as they are and are looked at by the C functions of DLPack, which
// PyTorch has from 2.10 on: to ask each for its attributes takes longer than a whole step of a small layer. What Python
// passes is checked here against the plan, so that nothing is read or written beyond a tensor.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <limits>
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

// PyTorch's functions for a tensor's memory and shape: the part of DLPack's `DLPackExchangeAPI` that is used here.
struct Exchange {
    uint32_t major, minor;
    void *older, *allocate, *own, *wrap;
    int (*look)(void* object, nb::dlpack::dltensor* out);
};

const Exchange* exchange = nullptr;
nb::handle tensor_type, parameter_type;

// A tensor on the CPU, as long as the caller holds it; absent where Python has None.
struct Tensor : nb::dlpack::dltensor {
    explicit operator bool() const { return ndim >= 0; }
    bool is(nb::dlpack::dtype_code code, int bits) const { return dtype.code == uint8_t(code) && dtype.bits == bits; }
    bool low() const { return is(nb::dlpack::dtype_code::Bfloat, 16); }
    bool floats() const { return is(nb::dlpack::dtype_code::Float, 32); }

    // Whether it is a tensor of PyTorch's, and nothing that only behaves like one.
    bool look(nb::handle object) {
        if (!object.type().is(tensor_type) && !object.type().is(parameter_type)) return false;
        if (exchange->look(object.ptr(), this)) {  // of a layout or on a device that DLPack has no name for
            PyErr_Clear();
            return false;
        }
        return device.device_type == nb::device::cpu::value;
    }
};

}  // namespace
}  // namespace gatewise

template <>
struct nanobind::detail::type_caster<gatewise::Tensor> {
    NB_TYPE_CASTER(gatewise::Tensor, const_name("torch.Tensor | None"))

    bool from_python(handle source, uint8_t, cleanup_list*) noexcept {
        value.ndim = -1;
        return source.is_none() || value.look(source);
    }
};

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
using PhaseFields = std::tuple<int, int, std::vector<ValueFields>, Pairs, std::vector<GroupFields>,
                               std::vector<InstructionFields>, Pairs, Pairs, Pairs>;
using OuterFields = std::tuple<int, int, int, int, Pairs>;
using BlockFields = std::tuple<int, int, int, int, int>;
using TotalFields = std::tuple<int, int, int>;

uint16_t narrow(int value) {
    if (value < 0 || value > std::numeric_limits<uint16_t>::max()) throw std::invalid_argument("an instruction's value");
    return static_cast<uint16_t>(value);
}

Phase phase_from(const PhaseFields& fields) {
    const auto& [when, size, values, means, groups, program, arrivals, emissions, reductions] = fields;
    Phase phase{checked<When>(when, "a phase's time"), size, {}, {}, {}, {}, arrivals, emissions, reductions};
    for (const auto& [place, index] : means)
        phase.means.emplace_back(checked<Place>(place, "a mean's vector"), index);
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
    for (const auto& [parameter, place, rows, columns, head] : blocks)
        program->blocks.push_back({parameter, place, rows, columns, head});
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

// Whether the engine can take them: 0 if it cannot, 1 if all are float32, 2 if all are bfloat16, 3 if they are mixed.
int kind(const nb::list& tensors) {
    static PyObject* const is_neg = PyUnicode_InternFromString("is_neg");
    int result = 0;
    for (nb::handle object : tensors) {
        Tensor tensor;
        if (!tensor.look(object) || !(tensor.floats() || tensor.low())) return 0;
        const nb::object negative = nb::steal(PyObject_CallMethodNoArgs(object.ptr(), is_neg));
        if (!negative) throw nb::python_error();
        if (negative.is(nb::handle(Py_True))) return 0;  // lazily: its memory holds something else
        result |= tensor.low() ? 2 : 1;
    }
    return result;
}

nb::tuple shapes(const nb::list& tensors) {
    nb::tuple result = nb::steal<nb::tuple>(PyTuple_New(nb::len(tensors)));
    for (size_t i = 0; i < nb::len(tensors); i++) {
        Tensor tensor;
        if (!tensor.look(tensors[i])) throw nb::type_error("a tensor on the CPU is needed");
        PyObject* shape = PyTuple_New(tensor.ndim);
        for (int axis = 0; axis < tensor.ndim; axis++)
            PyTuple_SET_ITEM(shape, axis, PyLong_FromLongLong(tensor.shape[axis]));
        PyTuple_SET_ITEM(result.ptr(), i, shape);
    }
    return result;
}

// A number that changes with any value of the matrices among the tensors, the same for any number of threads; none if they
// cannot be read as 32-bit words.
std::optional<uint64_t> fingerprint(const std::vector<Tensor>& tensors, int threads) {
    constexpr size_t PIECE = 1 << 16;
    struct Piece {
        const float* values;
        size_t count;
        uint64_t number;
    };
    std::vector<Piece> pieces;
    for (const Tensor& tensor : tensors) {
        if (tensor.ndim != 2) continue;
        const size_t bytes = tensor.shape[0] * tensor.shape[1] * (tensor.dtype.bits / 8);
        const bool whole = (tensor.strides[1] == 1 || tensor.shape[1] == 1) &&
                           (tensor.strides[0] == tensor.shape[1] || tensor.shape[0] == 1);
        if ((bytes && !whole) || bytes % sizeof(float)) return {};
        const float* values = static_cast<const float*>(tensor.data);
        const size_t count = bytes / sizeof(float);
        size_t i = 0;
        do pieces.push_back({values + i, std::min(PIECE, count - i), 0});
        while ((i += PIECE) < count);
    }
    if (pieces.empty()) return {};
    std::optional<nb::gil_scoped_release> released;
    if (pieces.size() > 2) released.emplace();
    const Kernels& kernels = *chosen.load();
    run_together(pieces.size() > 8 ? threads : 1, [&](const Member& member) {
        for (size_t i = member.thread; i < pieces.size(); i += member.threads)
            pieces[i].number = kernels.fingerprint(pieces[i].values, pieces[i].count);
    });
    uint64_t result = 0;
    for (const Piece& piece : pieces) result = result * 1099511628211u + piece.number;
    return result;
}

void bernoulli(const Tensor& out, uint64_t seed, uint64_t stream, double rate, float value) {
    need(out.floats() && out.ndim == 1 && (out.strides[0] == 1 || out.shape[0] <= 1), "the result");
    need(rate >= 0 && rate < 1, "the rate");
    const uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
    const uint32_t counter[4] = {0, 0, static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)};
    const nb::gil_scoped_release released;
    chosen.load()->bernoulli(key, counter, out.shape[0], static_cast<uint32_t>(rate * 4294967296.0), value,
                             static_cast<float*>(out.data));
}

// A program for vectors of these sizes, its work divided in this way, in this precision.
struct Plan {
    const Program& program;
    Sizes sizes;
    Work work;
    bool low;

    Plan(const Program& program, const Sizes& sizes, std::pair<int, int> work, bool low)
        : program(program), sizes(sizes), work{work.first, work.second}, low(low) {
        const auto [parts, threads] = work;
        need(parts >= 1 && threads >= 1 && (parts == 1 || parts <= threads), "threads");
        int letters = 1;
        auto see = [&](int letter) { letters = std::max(letters, letter + 1); };
        for (int letter : program.carry) see(letter);
        for (const Stream& stream : program.streams) see(stream.size);
        for (const Block& block : program.blocks) see(block.rows), see(block.columns), see(block.head);
        for (const Phase& phase : program.phases) see(phase.size);
        need(sizes.size() >= static_cast<size_t>(letters), "the number of sizes");
        for (int size : sizes) need(size >= 0 && size < 1 << 24, "a size");
        for (const Block& block : program.blocks)
            need(block.head < 0 || (sizes[block.head] && sizes[block.rows] % sizes[block.head] == 0), "a head's size");
    }
};

// Whether it is of this shape and precision, its last axis in one piece.
void need_shape(const Tensor& tensor, std::initializer_list<int64_t> shape, const char* what) {
    const int last = static_cast<int>(shape.size()) - 1;
    need(tensor.ndim == last + 1 && std::equal(shape.begin(), shape.end(), tensor.shape), what);
    const bool empty = std::count(shape.begin(), shape.end(), 0);
    need(empty || tensor.strides[last] == 1 || tensor.shape[last] == 1, what);
    need(tensor.floats() || tensor.low(), what);
}

Series series(const Tensor& tensor, const Shape& shape, int units, const char* what) {
    if (!tensor) return {};
    need_shape(tensor, {shape.steps, shape.rows, units}, what);
    return {{tensor.data, tensor.low()}, tensor.strides[0], tensor.strides[1]};
}

Rows rows(const Tensor& tensor, int count, int units, const char* what) {
    if (!tensor) return {};
    need_shape(tensor, {count, units}, what);
    return {{tensor.data, tensor.low()}, tensor.strides[0]};
}

// Weights, or places for their gradients, of which `some` may be absent. In bfloat16 they may be matrices that are read
// where they are `packed`, only.
std::vector<Matrix> matrices(const Plan& plan, const std::vector<Tensor>& tensors, bool some, bool packed) {
    need(tensors.size() == static_cast<size_t>(plan.program.parameters), "the number of weights");
    std::vector<Matrix> result;
    for (const Tensor& tensor : tensors) {
        if (!tensor) {
            need(some, "a missing weight");
            result.push_back({});
            continue;
        }
        need(tensor.ndim == 1 || tensor.ndim == 2, "a weight's shape");
        need(tensor.floats() || (packed && tensor.ndim == 2 && tensor.low()), "a weight's precision");
        const bool flat = tensor.ndim == 1;
        need(tensor.shape[0] < 1 << 30 && (flat || tensor.shape[1] < 1 << 30), "a weight's shape");
        result.push_back({static_cast<float*>(tensor.data), tensor.strides[0], flat ? 0 : tensor.strides[1],
                          static_cast<int>(tensor.shape[0]), flat ? 1 : static_cast<int>(tensor.shape[1])});
    }
    for (const Block& block : plan.program.blocks) {
        if (!tensors[block.parameter]) continue;
        const Matrix& matrix = result[block.parameter];
        need((block.place + 1) * plan.sizes[block.rows] <= matrix.rows &&
                 (block.columns < 0 ? matrix.columns == 1 : plan.sizes[block.stored()] == matrix.columns),
             "a weight's shape");
    }
    return result;
}

// Calls shorter than about 10 us keep the interpreter's lock: to hand it over costs more than others would gain.
class Released {
public:
    template <class Job>
    explicit Released(const std::vector<Job>& jobs) {
        double work = 0;
        for (const Job& job : jobs) {
            double units = 0;
            for (int size : job.call.sizes) units += size;
            work += units * units * job.call.shape.steps * job.call.shape.rows;
        }
        if (work > 1e5) thread_ = PyEval_SaveThread();
    }
    ~Released() {
        if (thread_) PyEval_RestoreThread(thread_);
    }
    Released(const Released&) = delete;
    Released& operator=(const Released&) = delete;

private:
    PyThreadState* thread_ = nullptr;
};

bool operator==(const Series& one, const Series& other) {
    return one.data.address == other.data.address && one.data.low == other.data.low && one.step == other.step &&
           one.row == other.row;
}

// Has each call of a chain follow the one before it.
template <class Job>
std::unique_ptr<Progress[]> chain(std::vector<Job>& jobs) {
    auto progress = std::make_unique<Progress[]>(jobs.size());
    for (size_t i = 0; i < jobs.size(); i++) {
        const Shape &shape = jobs[i].call.shape, &ahead = jobs[i ? i - 1 : 0].call.shape;
        need(jobs[i].call.work.threads == 1 && shape.steps == ahead.steps && shape.rows == ahead.rows &&
                 shape.lengths == ahead.lengths && shape.reverse == ahead.reverse && (!i || jobs[i].follows(jobs[i - 1])),
             "a chain");
        jobs[i].call.link = {i ? &progress[i - 1] : nullptr, &progress[i]};
    }
    return progress;
}

// Calls at the same time: those that wait for nothing from one another on a thread each, or a chain, in which each waits
// for the one before it, on so many threads.
//
// A chain ends, however few threads come: of its calls that are not done the first waits for none, as the one before it
// is done, and its thread, which takes its calls in ascending order, is at it, as those before it are done. So one call
// is always running, or has failed, and that those behind it are told, too.
template <class Job>
void run_jobs(std::vector<Job>& jobs, int chained, const std::function<void(size_t)>& run) {
    need(chained >= 0, "threads");
    const std::unique_ptr<Progress[]> progress = chained ? chain(jobs) : nullptr;
    Released released(jobs);
    if (jobs.size() == 1) return run(0);
    std::vector<std::exception_ptr> failed(jobs.size());
    const int threads = static_cast<int>(jobs.size());
    run_together(chained ? std::min(threads, chained) : threads, [&](const Member& member) {
        for (size_t job = member.thread; job < jobs.size(); job += member.threads) try {
                run(job);
            } catch (...) {
                failed[job] = std::current_exception();  // no exception may leave a team
                if (progress) progress[job].abandon();
            }
    });
    for (const std::exception_ptr& error : failed)  // of a chain the first has stopped the others
        if (error) std::rethrow_exception(error);
}

// What both directions of a call are given: plan, packed weights, weights, x and further inputs, lengths, resets, whether
// in reverse.
using CallFields =
    std::tuple<const Plan*, const Packed*, std::vector<Tensor>, std::vector<Tensor>, Tensor, Tensor, bool>;
// State; places for outputs, some absent, and last state; whether to keep a tape.
using ForwardFields = std::tuple<CallFields, std::vector<Tensor>, std::vector<Tensor>, std::vector<Tensor>, bool>;
// Tape; gradients of outputs and last state; places for dx, dstate and dweights. All gradients may be absent.
using BackwardFields = std::tuple<CallFields, const Tape*, std::vector<Tensor>, std::vector<Tensor>, Tensor,
                                  std::vector<Tensor>, std::vector<Tensor>>;

Call call_of(const CallFields& fields, bool backward) {
    const auto& [plan, packed, weights, inputs, lengths, resets, reverse] = fields;
    need(!inputs.empty(), "the number of inputs");
    const Tensor& x = inputs[0];
    need(plan && packed, "a plan");
    need(plan->program.backward == backward, "a program's direction");
    need(packed->made_for(plan->program, plan->sizes, plan->work), "the packed weights");
    const Kernels& kernels = *chosen.load();
    need(!packed->low() || kernels.pair, "the precision of the packed weights");
    need(x && x.ndim == 3 && x.shape[0] < 1 << 30 && x.shape[1] < 1 << 30, "the input's shape");
    Shape shape{static_cast<int>(x.shape[0]), static_cast<int>(x.shape[1]), nullptr, reverse};
    if (lengths) {
        need(lengths.is(nb::dlpack::dtype_code::Int, 64) && lengths.ndim == 1 && lengths.shape[0] == shape.rows &&
                 (lengths.strides[0] == 1 || shape.rows <= 1),
             "the lengths");
        shape.lengths = static_cast<const int64_t*>(lengths.data);
        for (int row = 0; shape.lengths && row < shape.rows; row++)
            need(shape.lengths[row] >= 0 && shape.lengths[row] <= shape.steps, "a length");
    }
    Restarts restarts{};
    if (resets) {
        need(resets.is(nb::dlpack::dtype_code::Bool, 8) && resets.ndim == 2 && resets.shape[0] == shape.steps &&
                 resets.shape[1] == shape.rows,
             "the resets");
        restarts = {static_cast<const uint8_t*>(resets.data), resets.strides[0], resets.strides[1]};
    }
    std::vector<Series> all;
    for (const Stream& stream : plan->program.streams) {
        if (stream.source != Source::input) continue;
        need(all.size() < inputs.size() && bool(inputs[all.size()]), "the number of inputs");
        all.push_back(series(inputs[all.size()], shape, plan->sizes[stream.size], "an input"));
    }
    need(all.size() == inputs.size(), "the number of inputs");
    return {kernels,
            plan->program,
            *packed,
            plan->sizes,
            shape,
            plan->work,
            std::move(all),
            restarts,
            matrices(*plan, weights, false, true)};
}

std::vector<Series> carried_series(const Call& call, const std::vector<Tensor>& tensors, const char* what) {
    need(tensors.size() == call.program.carry.size(), "the number of carried values");
    std::vector<Series> result;
    for (size_t k = 0; k < tensors.size(); k++)
        result.push_back(series(tensors[k], call.shape, call.sizes[call.program.carry[k]], what));
    return result;
}

std::vector<Rows> carried_rows(const Call& call, const std::vector<Tensor>& tensors, const char* what) {
    need(tensors.size() == call.program.carry.size(), "the number of carried values");
    std::vector<Rows> result;
    for (size_t k = 0; k < tensors.size(); k++)
        result.push_back(rows(tensors[k], call.shape.rows, call.sizes[call.program.carry[k]], what));
    return result;
}

struct ForwardJob {
    Call call;
    std::vector<Rows> state;
    std::vector<Series> outputs;
    std::vector<Rows> last;

    bool follows(const ForwardJob& ahead) const { return call.inputs[0] == ahead.outputs[0]; }
};

std::vector<std::unique_ptr<Tape>> run_forward(const std::vector<ForwardFields>& fields, int chained) {
    std::vector<ForwardJob> jobs;
    std::vector<std::unique_ptr<Tape>> tapes;
    for (const auto& [call_fields, state, outputs, last, keep] : fields) {
        const Call call = call_of(call_fields, false);
        for (const auto* given : {&state, &last})
            for (const Tensor& tensor : *given) need(bool(tensor), "a missing state");
        jobs.push_back({call, carried_rows(call, state, "a state"), carried_series(call, outputs, "an output"),
                        carried_rows(call, last, "a last state")});
        tapes.push_back(keep ? std::make_unique<Tape>() : nullptr);
    }
    run_jobs(jobs, chained, [&](size_t i) {
        forward(jobs[i].call, jobs[i].state, jobs[i].outputs, jobs[i].last, tapes[i].get());
    });
    return tapes;
}

struct BackwardJob {
    Call call;
    const Tape& tape;
    Arriving arriving;
    Series dx;
    std::vector<Rows> dstate;
    std::vector<Matrix> dweights;

    bool follows(const BackwardJob& ahead) const { return arriving.outputs[0] == ahead.dx; }
};

void run_backward(const std::vector<BackwardFields>& fields, int chained) {
    std::vector<BackwardJob> jobs;
    for (const auto& [call_fields, tape, douts, dlast, dx, dstate, dweights] : fields) {
        const Call call = call_of(call_fields, true);
        need(tape && tape->fits(call), "the tape");
        jobs.push_back({call,
                        *tape,
                        {carried_series(call, douts, "a gradient"), carried_rows(call, dlast, "a state's gradient")},
                        series(dx, call.shape, call.sizes[0], "the input's gradient"),
                        carried_rows(call, dstate, "a state's gradient"),
                        matrices(*std::get<0>(call_fields), dweights, true, false)});
        for (const Matrix& gradient : jobs.back().dweights)
            need(!gradient.data || gradient.columns == 1 || gradient.column == 1, "a gradient's stride");
    }
    run_jobs(jobs, chained, [&](size_t i) {
        const auto& [call, tape, arriving, dx, dstate, dweights] = jobs[i];
        backward(call, tape, arriving, dx, dstate, dweights);
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
        "know",
        [](nb::handle tensor, nb::handle parameter) {
            nb::object capsule = tensor.attr("__dlpack_c_exchange_api__");
            exchange = static_cast<const Exchange*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
            if (!exchange) throw nb::python_error();
            need(exchange->major == 1 && exchange->look, "the version of DLPack");
            tensor_type = tensor.inc_ref(), parameter_type = parameter.inc_ref();
        },
        "tensor"_a, "parameter"_a, "Take tensors of these two types, and no others.");
    m.def("kind", &kind, "tensors"_a, "1: all are float32, 2: bfloat16, 3: mixed; 0: not all are plain tensors on the CPU.");
    m.def("shapes", &shapes, "tensors"_a, "Their shapes.");
    m.def("fingerprint", &fingerprint, "tensors"_a, "threads"_a = 1,
          "A number that changes with any value of the matrices among them; None if they are not in one piece each.");
    nb::class_<Plan>(m, "Plan")
        .def(nb::init<const Program&, const Sizes&, std::pair<int, int>, bool>(), nb::keep_alive<1, 2>(), "program"_a,
             "sizes"_a, "work"_a, "low"_a = false)
        .def_prop_ro("work", [](const Plan& plan) { return std::make_pair(plan.work.parts, plan.work.threads); });
    m.def(
        "pack",
        [](const Plan& plan, const std::vector<Tensor>& weights, int threads) {
            const Kernels& kernels = *chosen.load();
            need(!plan.low || kernels.pair, "the precision");
            return std::make_unique<Packed>(plan.program, plan.sizes, matrices(plan, weights, false, false), plan.work,
                                            kernels, plan.low, threads);
        },
        "plan"_a, "weights"_a, "threads"_a = 1, "Weight matrices as the kernels read them; if the plan is low, in bfloat16.");
    m.def("bernoulli", &bernoulli, "out"_a, "seed"_a, "stream"_a, "rate"_a, "value"_a,
          "Fill a vector with `value`, or 0 at this rate, drawn by a generator that counts.");
    m.def("forward", &run_forward, "calls"_a, "chained"_a = 0,
          "Run layers, several at the same time; their tapes, or None. If chained, on so many threads, each but the first "
          "reads the first output of the one before it, a few steps behind it.");
    m.def("backward", &run_backward, "calls"_a, "chained"_a = 0,
          "Fill the gradients of layers that were run with a tape. If chained, each but the first reads the dx of the one "
          "before it.");
}
