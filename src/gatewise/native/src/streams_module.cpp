#include "streams_module.hpp"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <tuple>

#include "plan.hpp"
#include "streams.hpp"

using namespace nb::literals;

namespace gatewise {
namespace {

// A layer as Python hands it in: plan, packed weights, weights.
using LayerFields = std::tuple<const Plan*, const Packed*, std::vector<Tensor>>;

std::vector<Call> calls_of(const std::vector<LayerFields>& fields) {
    need(!fields.empty(), "the number of layers");
    const Kernels& kernels = *chosen.load();
    std::vector<Call> calls;
    for (const auto& [plan, packed, weights] : fields) {
        need(plan && packed && packed->made_for(plan->program, plan->sizes, plan->work), "the packed weights");
        need(packed->precision() != Precision::bfloat16 && plan->work.threads == 1, "a plan");
        const Program& program = plan->program;
        need(!program.backward, "a program's direction");
        int inputs = 0;
        for (const Stream& stream : program.streams) {
            inputs += stream.source == Source::input;
            need(stream.source != Source::saved, "a program with a tape");
        }
        need(inputs == 1, "the number of inputs");
        for (const Phase& phase : program.phases) need(phase.when == When::step, "a phase's time");
        if (!calls.empty())
            need(plan->sizes[0] == calls.back().sizes[calls.back().program.carry[0]], "the size of a layer's input");
        calls.push_back({kernels, program, *packed, plan->sizes, Shape{0, 0, nullptr, false}, plan->work, {}, {},
                         matrices(*plan, weights, false, false)});
    }
    return calls;
}

// The streams' lock. It is waited for without the interpreter's, which who has it may need; and as in jobs.hpp, calls longer
// than about 10 us give the interpreter's away meanwhile.
class Locked {
public:
    explicit Locked(Streams& streams, int64_t row_steps = 0) {
        if (streams.weights() * static_cast<double>(row_steps) > 3e5) released_.emplace();
        lock_ = std::unique_lock<std::mutex>(streams.mutex, std::try_to_lock);
        if (lock_) return;
        std::optional<nb::gil_scoped_release> released;
        if (!released_) released.emplace();
        lock_.lock();
    }

private:
    std::optional<nb::gil_scoped_release> released_;
    std::unique_lock<std::mutex> lock_;  // goes first
};

// Steps as arrays of these shapes: one row's, x (D,) or (T, D), or those of many, (B, D) or (T, B, D).
Series steps_of(const Tensor& tensor, int units, bool many, int64_t& steps, int64_t& rows) {
    const int axes = tensor.ndim - 1 - many;
    need(tensor.floats() && (axes == 0 || axes == 1) && tensor.shape[axes + many] == units, "an array");
    need(tensor.strides[axes + many] == 1 || units <= 1 || !tensor.shape[0], "an array's layout");
    steps = axes ? tensor.shape[0] : 1;
    rows = many ? tensor.shape[axes] : 1;
    need(steps < 1 << 30 && rows < 1 << 30, "an array's size");
    return {{tensor.data, false}, axes ? tensor.strides[0] : 0, many ? tensor.strides[axes] : 0};
}

const int64_t* integers(const Tensor& tensor, int64_t count, const char* what) {
    need(tensor.is(nb::dlpack::dtype_code::Int, 64) && tensor.ndim == 1 && tensor.shape[0] == count &&
             (tensor.strides[0] == 1 || count <= 1),
         what);
    return static_cast<const int64_t*>(tensor.data);
}

void push(Streams& streams, nb::handle ids, const Tensor& x, const Tensor& out, const Tensor& lengths) {
    const bool many = !PyLong_Check(ids.ptr()), together = many && !lengths;
    int64_t steps, rows, steps_out, rows_out;
    const Series from = steps_of(x, streams.inputs(), together, steps, rows);
    const Series to = steps_of(out, streams.outputs(), together, steps_out, rows_out);
    need(steps == steps_out && rows == rows_out && x.ndim == out.ndim && out.writable, "the result");
    int64_t one;
    const int64_t *which = &one, *each = nullptr;
    Tensor array;
    if (many) {
        need(array.look_at_array(ids), "the ids");
        if (lengths) rows = lengths.shape[0];
        which = integers(array, rows, "the ids");
    } else {
        one = PyLong_AsLongLong(ids.ptr());
        if (one == -1 && PyErr_Occurred()) throw nb::python_error();
    }
    const int64_t all = steps * (together ? rows : 1);
    if (lengths) {
        need(many && x.ndim == 2 && rows < 1 << 30, "the lengths");
        each = integers(lengths, rows, "the lengths");
        int64_t left = steps;
        for (int64_t row = 0; row < rows; row++) need(each[row] >= 0 && (left -= each[row]) >= 0, "a length");
        need(left == 0, "the lengths");
    }
    const Locked lock(streams, all);
    need(streams.push(which, static_cast<int>(rows), each, static_cast<int>(steps), from, to), "the ids");
}

// Rows of every carried value, of one row (units,), of many (rows, units).
std::vector<Rows> rows_of(const Streams& streams, const std::vector<Tensor>& arrays, bool many, int64_t rows) {
    need(arrays.size() == streams.carried().size(), "the number of carried values");
    std::vector<Rows> result;
    for (size_t i = 0; i < arrays.size(); i++) {
        const Tensor& array = arrays[i];
        const int units = streams.carried()[i];
        need(array.floats() && array.ndim == 1 + many && (!many || array.shape[0] == rows) &&
                 array.shape[many] == units && (array.strides[many] == 1 || units <= 1),
             "a carried value");
        result.push_back({{array.data, false}, many ? array.strides[0] : 0});
    }
    return result;
}

void step(Streams& streams, const Tensor& x, const std::vector<Tensor>& before, const std::vector<Tensor>& after) {
    const bool many = x.ndim == 2;
    int64_t steps, rows;
    const Series from = steps_of(x, streams.inputs(), many, steps, rows);
    need(steps == 1 && x.ndim == 1 + many, "the input's shape");
    std::vector<Rows> found;
    if (!before.empty()) found = rows_of(streams, before, many, rows);
    const std::vector<Rows> left = rows_of(streams, after, many, rows);
    need_writable(after, "a carried value");
    const Locked lock(streams, rows);
    streams.step(static_cast<int>(rows), from, before.empty() ? nullptr : found.data(), left.data());
}

// The places of a stream's carried values, each an array of its own.
template <class Value>
std::vector<Value*> values_of(const Streams& streams, const std::vector<Tensor>& arrays, bool writable) {
    need(arrays.size() == streams.carried().size(), "the number of carried values");
    std::vector<Value*> result;
    for (size_t i = 0; i < arrays.size(); i++) {
        const Tensor& array = arrays[i];
        need(array.floats() && array.ndim == 1 && array.shape[0] == streams.carried()[i] &&
                 (array.strides[0] == 1 || array.shape[0] <= 1) && (array.writable || !writable),
             "a carried value");
        result.push_back(static_cast<Value*>(array.data));
    }
    return result;
}

// A call on one stream, which must be known.
template <class Work>
auto with(Streams& streams, int64_t id, Work work) {
    const Locked lock(streams);
    need(streams.known(id), "the id");
    return work();
}

}  // namespace

void bind_streams(nb::module_& m) {
    nb::class_<Streams>(m, "Streams")
        .def(
            "__init__",
            [](Streams* s, const std::vector<LayerFields>& layers) { new (s) Streams(calls_of(layers)); },
            nb::keep_alive<1, 2>(), "layers"_a, "Each a plan, its packed weights, its weights; a tuple of tuples.")
        .def_prop_ro("inputs", &Streams::inputs)
        .def_prop_ro("outputs", &Streams::outputs)
        .def_prop_ro("carried", &Streams::carried, "Units of every carried value, layer by layer.")
        .def("__len__", [](Streams& s) { return Locked(s), s.count(); })
        .def("__contains__", [](Streams& s, int64_t id) { return Locked(s), s.known(id); }, "id"_a)
        .def("open", [](Streams& s) { return Locked(s), s.open(); })
        .def("fork", [](Streams& s, int64_t id) { return with(s, id, [&] { return s.fork(id); }); }, "id"_a)
        .def("close", [](Streams& s, int64_t id) { with(s, id, [&] { s.close(id); }); }, "id"_a)
        .def("reset", [](Streams& s, int64_t id) { with(s, id, [&] { s.reset(id); }); }, "id"_a)
        .def(
            "read",
            [](Streams& s, int64_t id, const std::vector<Tensor>& arrays) {
                const std::vector<float*> values = values_of<float>(s, arrays, true);
                with(s, id, [&] { s.read(id, values); });
            },
            "id"_a, "arrays"_a, "Copy a state into one array for each carried value.")
        .def(
            "write",
            [](Streams& s, int64_t id, const std::vector<Tensor>& arrays) {
                const std::vector<const float*> values = values_of<const float>(s, arrays, false);
                with(s, id, [&] { s.write(id, values); });
            },
            "id"_a, "arrays"_a, "Set a state.")
        .def("step", &step, "x"_a, "before"_a, "after"_a, "A step of rows whose states are the caller's. before: none for zeros.")
        .def("push", &push, "ids"_a, "x"_a, "out"_a, "lengths"_a.none() = nb::none(),
             "Steps of one stream, an id, or of several, an array of ids. ValueError before anything has changed.");
}

}  // namespace gatewise
