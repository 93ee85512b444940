// Live streams through a stack of layers: the state of each, and steps of any of them together.
//
// The state of a stream is one piece of memory, its slot: for each layer and carried value whole blocks of 16 units. A
// push gathers the states of its rows as the kernels read them, [block][row][16], runs their steps, in each of them the
// layers from the lowest to the highest, and writes the states back. For a single row both layouts are the same, so its
// state is read where it lies.
//
// Bits:    those of `forward` on the whole sequence, whatever other streams step at the same time.
// Memory:  grows with the streams that are open and with the rows of a push; a push of no more rows than one before it
//          allocates nothing.
// Threads: one call at a time; see `mutex`.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "runner.hpp"

namespace gatewise {

class Streams {
public:
    // calls: one per layer from the lowest on, of one thread and no rows, forward without a tape and without products
    // taken in advance. What their weights' vectors hold is copied, their packed weights must outlive the streams.
    explicit Streams(std::vector<Call> calls);

    int inputs() const { return layers_.front()->call.sizes[0]; }
    int outputs() const { return units(layers_.back()->call, 0); }
    int64_t count() const { return open_; }
    double weights() const { return weights_; }                  // multiply-adds of a row's step
    const std::vector<int>& carried() const { return carried_; }  // units of every carried value, layer by layer

    int64_t open();                 // an id that no stream of these had before; its state is zero
    int64_t fork(int64_t id);       // another stream, in the state of this one
    void close(int64_t id);
    void reset(int64_t id);
    bool known(int64_t id) const;
    void read(int64_t id, const std::vector<float*>& values) const;  // one vector for every carried value
    void write(int64_t id, const std::vector<const float*>& values);

    // Steps of `rows` streams, all known and no two the same, which says the return value. x and out are of float32.
    // lengths: steps of each row, whose steps then follow those of the row before it; null: all are `steps`.
    bool push(const int64_t* ids, int rows, const int64_t* lengths, int steps, const Series& x, const Series& out);

    // One step of rows whose states are the caller's, (rows, units) for every carried value; before: null for zeros.
    void step(int rows, const Series& x, const Rows* before, const Rows* after);

    std::mutex mutex;  // whoever calls holds it, but for what never changes

private:
    struct Layer {
        explicit Layer(Call&& call);

        const Call call;
        CallPlan plan;
        Barrier barrier;
        const Member alone;
        Memory scratch;
        Runner runner;
        Region region;              // of the push that runs
        std::vector<float*> other;  // where the next step leaves its carried values
        std::vector<bool> found;    // carried values that a step reads
        size_t first = 0;           // number of its first carried value among those of all layers
    };

    struct Row {
        int row;  // the caller's
        int64_t steps;
        float* slot;
        ptrdiff_t x, out;  // where its first step is
    };

    // Where the states of a call's rows are: in their slots, or in arrays of the caller's.
    struct States {
        const size_t* places;  // in a slot
        const Rows *before_, *after_;
        bool whole_blocks, begin;  // whether each ends with one, and whether all are zero before

        float* before(const Row& row, size_t number) const { return at(row, number, before_); }
        float* after(const Row& row, size_t number) const { return at(row, number, after_); }

    private:
        float* at(const Row& row, size_t number, const Rows* rows) const {
            if (row.slot) return row.slot + places[number];
            return static_cast<float*>(rows[number].data.address) + row.row * rows[number].row;
        }
    };

    static int units(const Call& call, size_t k) { return call.sizes[call.program.carry[k]]; }
    float* slot(int64_t id) const { return states_.data() + static_cast<size_t>(id & SLOTS) * slot_size_; }
    bool arrange(const int64_t* ids, int rows, const int64_t* lengths, int steps, const Series& x, const Series& out);
    void run(const States& states, const Series& x, const Series& out);
    void make_room(int rows);
    void place(int rows);
    void gather(const States& states, int rows);
    void load(const Series& x, int step, int rows);
    void emit(const Series& out, int step, int rows) const;
    void scatter(const States& states, int row) const;
    void swap();

    static constexpr int64_t SLOTS = (int64_t(1) << 32) - 1;  // the part of an id that says which slot

    std::vector<std::unique_ptr<Layer>> layers_;
    std::vector<int> carried_;
    std::vector<size_t> places_;  // of every carried value in a slot
    double weights_ = 0;
    size_t slot_size_ = 0;
    Memory states_;
    std::vector<int64_t> ids_;       // by slot, that of its stream, of its last one if it is free
    std::vector<bool> taken_;
    std::vector<int64_t> free_;      // slots
    std::vector<int64_t> pushed_;    // by slot, the last push with it
    int64_t open_ = 0, pushes_ = 0;

    std::vector<Row> order_;  // rows of a call, the longest first
    int room_ = 0;            // for so many rows there is
    Memory work_;
};

}  // namespace gatewise
