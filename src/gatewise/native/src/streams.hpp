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

    // Steps of `rows` streams, all known and no two the same, which says the return value. x and out are of float32;
    // lengths: steps of each row, null: all are `steps`. Beyond a row's length out is zero, and nothing of x is read.
    bool push(const int64_t* ids, int rows, const int64_t* lengths, int steps, const Series& x, const Series& out);

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
        std::vector<size_t> places;  // of the carried values in a slot
    };

    static int units(const Call& call, size_t k) { return call.sizes[call.program.carry[k]]; }
    float* slot(int64_t id) const { return states_.data() + static_cast<size_t>(id & SLOTS) * slot_size_; }
    bool arrange(const int64_t* ids, int rows, const int64_t* lengths, int steps);
    void make_room(int rows);
    void place(int rows);
    void gather(int rows);
    void load(const Series& x, int step, int rows);
    void emit(const Series& out, int step, int rows) const;
    void scatter(int row) const;
    void swap();

    static constexpr int64_t SLOTS = (int64_t(1) << 32) - 1;  // the part of an id that says which slot

    std::vector<std::unique_ptr<Layer>> layers_;
    std::vector<int> carried_;
    double weights_ = 0;
    size_t slot_size_ = 0;
    Memory states_;
    std::vector<int64_t> ids_;       // by slot, that of its stream, of its last one if it is free
    std::vector<bool> taken_;
    std::vector<int64_t> free_;      // slots
    std::vector<int64_t> pushed_;    // by slot, the last push with it
    int64_t open_ = 0, pushes_ = 0;

    struct Row {
        int row;        // the caller's
        int64_t steps;
        float* slot;
    };
    std::vector<Row> order_;  // of a push, the longest first
    int room_ = 0;            // rows
    Memory work_;
};

}  // namespace gatewise
