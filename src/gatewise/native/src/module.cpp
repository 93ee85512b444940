// The native engine's Python side. What Python passes is checked here against the plan, so that nothing is read or
// written beyond a tensor.

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
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>

#include "jobs.hpp"
#include "layer.hpp"
#include "plan.hpp"
#include "program_fields.hpp"
#include "streams_module.hpp"
#include "team.hpp"
#include "tensor.hpp"

using namespace nb::literals;

namespace gatewise {
namespace {

// Chooses the instruction set: the best, or the one named.
std::string use(const std::string& name) {
    const Kernels* found = kernels(name.empty() ? nullptr : name.c_str());
    if (!found) throw std::invalid_argument("this machine has no instruction set '" + name + "'");
    chosen = found;
    return found->name;
}

// Whether these are plain tensors of torch's that the engine can take: 0 if not, 1 if all are float32, 2 if all are
// bfloat16, 3 if they are mixed.
int kind(const nb::list& tensors) {
    static PyObject* const is_neg = PyUnicode_InternFromString("is_neg");
    int result = 0;
    for (nb::handle object : tensors) {
        Tensor tensor;
        if (!tensor.look_at_tensor(object) || !(tensor.floats() || tensor.bf16())) return 0;
        const nb::object negative = nb::steal(PyObject_CallMethodNoArgs(object.ptr(), is_neg));
        if (!negative) throw nb::python_error();
        if (negative.is(nb::handle(Py_True))) return 0;  // lazily: its memory holds something else
        result |= tensor.bf16() ? 2 : 1;
    }
    return result;
}

nb::tuple shapes(const nb::list& tensors) {
    nb::tuple result = nb::steal<nb::tuple>(PyTuple_New(nb::len(tensors)));
    for (size_t i = 0; i < nb::len(tensors); i++) {
        Tensor tensor;
        if (!tensor.look(tensors[i])) throw nb::type_error("a tensor or array on the CPU is needed");
        PyObject* shape;
        if (tensor.ndim > Tensor::AXES) {
            shape = nb::tuple(tensors[i].attr("shape")).release().ptr();
        } else {
            shape = PyTuple_New(tensor.ndim);
            for (int axis = 0; axis < tensor.ndim; axis++)
                PyTuple_SET_ITEM(shape, axis, PyLong_FromLongLong(tensor.shape[axis]));
        }
        PyTuple_SET_ITEM(result.ptr(), i, shape);
    }
    return result;
}

// A number that changes with any value of the matrices among the tensors, the same for any number of threads; none if
// they cannot be read as 32-bit words.
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
    need(out.floats() && out.writable && out.ndim == 1 && (out.strides[0] == 1 || out.shape[0] <= 1), "the result");
    need(rate >= 0 && rate < 1, "the rate");
    const uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
    const uint32_t counter[4] = {0, 0, static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)};
    const nb::gil_scoped_release released;
    chosen.load()->bernoulli(key, counter, out.shape[0], static_cast<uint32_t>(rate * 4294967296.0), value,
                             static_cast<float*>(out.data));
}

Precision precision_of(const std::string& name) {
    need(name == "float32" || name == "bfloat16" || name == "int8", "a precision");
    return name == "float32" ? Precision::float32 : name == "int8" ? Precision::int8 : Precision::bfloat16;
}

Series series(const Tensor& tensor, const Shape& shape, int units, const char* what) {
    if (!tensor) return {};
    need_shape(tensor, {shape.steps, shape.rows, units}, what);
    return {{tensor.data, tensor.bf16()}, tensor.strides[0], tensor.strides[1]};
}

Rows rows(const Tensor& tensor, int count, int units, const char* what) {
    if (!tensor) return {};
    need_shape(tensor, {count, units}, what);
    return {{tensor.data, tensor.bf16()}, tensor.strides[0]};
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

const int64_t* lengths_of(const Tensor& lengths, const Shape& shape) {
    if (!lengths) return nullptr;
    need(lengths.is(nb::dlpack::dtype_code::Int, 64) && lengths.ndim == 1 && lengths.shape[0] == shape.rows &&
             (lengths.strides[0] == 1 || shape.rows <= 1),
         "the lengths");
    const int64_t* const found = static_cast<const int64_t*>(lengths.data);
    for (int row = 0; found && row < shape.rows; row++)
        need(found[row] >= 0 && found[row] <= shape.steps, "a length");
    return found;
}

Resets resets_of(const Tensor& resets, const Shape& shape) {
    if (!resets) return {};
    need(resets.is(nb::dlpack::dtype_code::Bool, 8) && resets.ndim == 2 && resets.shape[0] == shape.steps &&
             resets.shape[1] == shape.rows,
         "the resets");
    return {static_cast<const uint8_t*>(resets.data), resets.strides[0], resets.strides[1]};
}

Call call_of(const CallFields& fields, bool backward) {
    const auto& [plan, packed, weights, inputs, lengths, resets, reverse] = fields;
    need(!inputs.empty(), "the number of inputs");
    const Tensor& x = inputs[0];
    need(plan && packed, "a plan");
    need(plan->program.backward == backward, "a program's direction");
    need(packed->made_for(plan->program, plan->sizes, plan->work), "the packed weights");
    const Kernels& kernels = *chosen.load();
    need(packed->precision() != Precision::bfloat16 || kernels.pair, "the precision of the packed weights");
    need(x && x.ndim == 3 && x.shape[0] < 1 << 30 && x.shape[1] < 1 << 30, "the input's shape");
    Shape shape{static_cast<int>(x.shape[0]), static_cast<int>(x.shape[1]), nullptr, reverse};
    shape.lengths = lengths_of(lengths, shape);
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
            resets_of(resets, shape),
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

std::vector<std::unique_ptr<Tape>> run_forward(const std::vector<ForwardFields>& fields, int chained) {
    std::vector<ForwardJob> jobs;
    std::vector<std::unique_ptr<Tape>> tapes;
    for (const auto& [call_fields, state, outputs, last, keep] : fields) {
        const Call call = call_of(call_fields, false);
        for (const auto* given : {&state, &last})
            for (const Tensor& tensor : *given) need(bool(tensor), "a missing state");
        need_writable(outputs, "an output");
        need_writable(last, "a last state");
        jobs.push_back({call, carried_rows(call, state, "a state"), carried_series(call, outputs, "an output"),
                        carried_rows(call, last, "a last state")});
        tapes.push_back(keep ? std::make_unique<Tape>() : nullptr);
    }
    run_jobs(jobs, chained, [&](size_t i) {
        forward(jobs[i].call, jobs[i].state, jobs[i].outputs, jobs[i].last, tapes[i].get());
    });
    return tapes;
}

void run_backward(const std::vector<BackwardFields>& fields, int chained) {
    std::vector<BackwardJob> jobs;
    for (const auto& [call_fields, tape, douts, dlast, dx, dstate, dweights] : fields) {
        const Call call = call_of(call_fields, true);
        need(tape && tape->fits(call), "the tape");
        need_writable({dx}, "the input's gradient");
        need_writable(dstate, "a state's gradient");
        need_writable(dweights, "a weight's gradient");
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
    m.def("default_threads", &default_threads, "How many threads a call takes that nobody gave a number.");
    m.def("rounds", [] { return chosen.load()->pair != nullptr; }, "Whether that set multiplies in bfloat16.");
    m.def(
        "register_types",
        [](nb::handle tensor, nb::handle parameter) {
            look_for_openmp();
            nb::object capsule = tensor.attr("__dlpack_c_exchange_api__");
            exchange = static_cast<const Exchange*>(PyCapsule_GetPointer(capsule.ptr(), "dlpack_exchange_api"));
            if (!exchange) throw nb::python_error();
            need(exchange->major == 1 && exchange->look, "the version of DLPack");
            tensor_type = tensor.inc_ref(), parameter_type = parameter.inc_ref();
        },
        "tensor"_a, "parameter"_a, "Take torch's tensors of these two types, and no others of torch's.");
    m.def(
        "register_array_type", [](nb::handle array) { array_type = array.inc_ref(); }, "array"_a,
        "Take numpy's arrays, of this type alone.");
    m.def("kind", &kind, "tensors"_a, "1: all are float32, 2: bfloat16, 3: mixed; 0: not all are plain tensors on the CPU.");
    m.def("shapes", &shapes, "tensors"_a, "Their shapes.");
    m.def("fingerprint", &fingerprint, "tensors"_a, "threads"_a = 1,
          "A number that changes with any value of the matrices among them; None if they are not in one piece each.");
    nb::class_<Plan>(m, "Plan")
        .def(
            "__init__",
            [](Plan* plan, const Program& program, const Sizes& sizes, std::pair<int, int> work,
               const std::string& precision) { new (plan) Plan(program, sizes, work, precision_of(precision)); },
            nb::keep_alive<1, 2>(), "program"_a, "sizes"_a, "work"_a, "precision"_a = "float32")
        .def_prop_ro("work", [](const Plan& plan) { return std::make_pair(plan.work.parts, plan.work.threads); });
    m.def(
        "pack",
        [](const Plan& plan, const std::vector<Tensor>& weights, int threads) {
            const Kernels& kernels = *chosen.load();
            need(plan.precision != Precision::bfloat16 || kernels.pair, "the precision");
            return std::make_unique<Packed>(plan.program, plan.sizes, matrices(plan, weights, false, false), plan.work,
                                            kernels, plan.precision, threads);
        },
        "plan"_a, "weights"_a, "threads"_a = 1, "Weight matrices as the kernels read them, in the plan's precision.");
    m.def("bernoulli", &bernoulli, "out"_a, "seed"_a, "stream"_a, "rate"_a, "value"_a,
          "Fill a vector with `value`, or 0 at this rate, drawn by a generator that counts.");
    m.def("forward", &run_forward, "calls"_a, "chained"_a = 0,
          "Run layers, several at the same time; their tapes, or None. If chained, on so many threads, each but the first "
          "reads the first output of the one before it, a few steps behind it.");
    m.def("backward", &run_backward, "calls"_a, "chained"_a = 0,
          "Fill the gradients of layers that were run with a tape. If chained, each but the first reads the dx of the one "
          "before it.");
    bind_streams(m);
}
