#include "streams.hpp"

#include <algorithm>
#include <cstring>

#include "rows.hpp"

namespace gatewise {
namespace {

// An odd number of cache lines, as in layout.cpp.
ptrdiff_t spread(int rows) { return static_cast<ptrdiff_t>(rows | 1) * LANES; }

// Whether a step reads this carried value as the step before left it.
bool reads(const Program& program, size_t k) {
    auto is = [k](Place place, int index) { return place == Place::before && index == static_cast<int>(k); };
    for (const Phase& phase : program.phases) {
        for (const Value& value : phase.values)
            if (is(value.place, value.index)) return true;
        for (const auto& [place, index] : phase.means)
            if (is(place, index)) return true;
        for (const Group& group : phase.groups)
            for (const Share& share : group.shares)
                if (is(share.place, share.index)) return true;
    }
    return false;
}

}  // namespace

Streams::Layer::Layer(Call&& given)
    : call(std::move(given)), plan(call, false, nullptr, 1, 1), alone(0, 1, barrier),
      scratch(static_cast<size_t>(call.program.slots) * SLOT),
      runner(plan, plan.parts[0], alone, scratch.data(), nullptr) {
    const size_t carried = call.program.carry.size();
    plan.outputs.resize(carried);
    region.streams.resize(call.program.streams.size());
    region.before.resize(carried);
    region.after.resize(carried);
    other.resize(carried);
    for (size_t k = 0; k < carried; k++) found.push_back(reads(call.program, k));
}

Streams::Streams(std::vector<Call> calls) {
    for (Call& call : calls) {
        layers_.push_back(std::make_unique<Layer>(std::move(call)));
        Layer& layer = *layers_.back();
        layer.first = carried_.size();
        for (size_t k = 0; k < layer.call.program.carry.size(); k++) {
            carried_.push_back(units(layer.call, k));
            places_.push_back(slot_size_);
            slot_size_ += layer.plan.blocks(layer.call.program.carry[k]) * LANES;
        }
        for (const Block& block : layer.call.program.blocks)
            if (block.columns >= 0)
                weights_ += static_cast<double>(layer.plan.units(block.rows)) * layer.plan.units(block.stored());
    }
}

bool Streams::known(int64_t id) const {
    const int64_t slot = id & SLOTS;
    return id >= 0 && slot < static_cast<int64_t>(ids_.size()) && taken_[slot] && ids_[slot] == id;
}

int64_t Streams::open() {
    if (free_.empty()) {
        const size_t slots = ids_.size(), more = std::max<size_t>(16, 2 * slots);
        Memory larger(more * slot_size_);
        if (slots) std::memcpy(larger.data(), states_.data(), slots * slot_size_ * sizeof(float));
        ids_.reserve(more);
        taken_.resize(more);
        pushed_.resize(more);
        free_.reserve(more);
        for (size_t slot = more; slot-- > slots;) free_.push_back(static_cast<int64_t>(slot));
        for (size_t slot = slots; slot < more; slot++) ids_.push_back(static_cast<int64_t>(slot) - SLOTS - 1);
        states_ = std::move(larger);
    }
    const int64_t slot = free_.back();
    free_.pop_back();
    taken_[slot] = true;
    open_++;
    const int64_t id = ids_[slot] += SLOTS + 1;
    reset(id);
    return id;
}

int64_t Streams::fork(int64_t id) {
    const int64_t other = open();  // which may move the states
    std::memcpy(slot(other), slot(id), slot_size_ * sizeof(float));
    return other;
}

void Streams::close(int64_t id) {
    taken_[id & SLOTS] = false;
    free_.push_back(id & SLOTS);
    open_--;
}

void Streams::reset(int64_t id) { std::memset(slot(id), 0, slot_size_ * sizeof(float)); }

void Streams::read(int64_t id, const std::vector<float*>& values) const {
    for (size_t i = 0; i < carried_.size(); i++)
        std::memcpy(values[i], slot(id) + places_[i], carried_[i] * sizeof(float));
}

void Streams::write(int64_t id, const std::vector<const float*>& values) {
    for (size_t i = 0; i < carried_.size(); i++)
        std::memcpy(slot(id) + places_[i], values[i], carried_[i] * sizeof(float));
}

// The rows of a push, the longest first, so that those that still run at a step come first.
bool Streams::arrange(const int64_t* ids, int rows, const int64_t* lengths, int steps, const Series& x,
                      const Series& out) {
    pushes_++;
    order_.clear();
    int64_t first = 0;  // step of the row, where the rows' steps follow one another
    for (int row = 0; row < rows; row++) {
        if (!known(ids[row])) return false;
        int64_t& last = pushed_[ids[row] & SLOTS];
        if (last == pushes_) return false;
        last = pushes_;
        const int64_t count = lengths ? lengths[row] : steps;
        order_.push_back({row, count, slot(ids[row]), row * x.row + first * x.step, row * out.row + first * out.step});
        if (lengths) first += count;
    }
    if (lengths)
        std::sort(order_.begin(), order_.end(), [](const Row& a, const Row& b) {
            return a.steps != b.steps ? a.steps > b.steps : a.row < b.row;
        });
    return true;
}

void Streams::make_room(int rows) {
    if (rows <= room_) return;
    rows = std::max(rows, 2 * room_);
    size_t size = 0;
    for (const auto& layer : layers_) {
        for (const Stream& stream : layer->call.program.streams)
            if (stream.source == Source::local || layer == layers_.front())
                size += layer->plan.blocks(stream.size) * spread(rows);
        for (int letter : layer->call.program.carry) size += 2 * layer->plan.blocks(letter) * spread(rows);
    }
    work_ = Memory(size);
    room_ = rows;
}

// Where the values of so many rows lie. What a layer reads is what the one below it leaves.
void Streams::place(int rows) {
    make_room(rows);
    const ptrdiff_t stride = spread(rows);
    float* next = work_.data();
    const Layer* below = nullptr;
    for (const auto& layer : layers_) {
        Region& region = layer->region;
        const Program& program = layer->call.program;
        auto take = [&](int letter) {
            float* const taken = next;
            next += layer->plan.blocks(letter) * stride;
            return taken;
        };
        region.stride = region.before_stride = region.after_stride = stride;
        for (size_t i = 0; i < program.streams.size(); i++) {
            const bool lower = program.streams[i].source == Source::input && below;
            region.streams[i] = lower ? below->region.after[0] : take(program.streams[i].size);
        }
        for (size_t k = 0; k < program.carry.size(); k++) {
            region.after[k] = take(program.carry[k]);
            layer->other[k] = region.before[k] = take(program.carry[k]);
        }
        below = layer.get();
    }
}

// States before the first step. Of a single row they are read where they are, if whole blocks can be read there.
void Streams::gather(const States& states, int rows) {
    for (const auto& layer : layers_)
        for (size_t k = 0; k < layer->found.size(); k++) {
            if (!layer->found[k]) continue;
            Region& region = layer->region;
            const size_t number = layer->first + k;
            const int units = this->units(layer->call, k);
            if (states.begin) {
                for (int block = 0; block < blocks_of(units); block++)
                    std::memset(region.before[k] + block * region.before_stride, 0, rows * LANES * sizeof(float));
                continue;
            }
            if (region.before_stride == LANES && (states.whole_blocks || units % LANES == 0)) {
                region.before[k] = states.before(order_[0], number);
                continue;
            }
            for (int row = 0; row < rows; row++) {
                const float* from = states.before(order_[row], number);
                float* to = region.before[k] + row * LANES;
                for (int unit = 0; unit < units; unit += LANES, to += region.before_stride)
                    read_row(to, {const_cast<float*>(from), false}, unit, std::min(LANES, units - unit));
            }
        }
}

// The input of a step. That of a single row is read where it is, if it ends with a whole block.
void Streams::load(const Series& x, int step, int rows) {
    Layer& layer = *layers_.front();
    const auto& streams = layer.call.program.streams;
    for (size_t i = 0; i < streams.size(); i++) {
        if (streams[i].source != Source::input) continue;
        const int units = inputs();
        float*& place = layer.region.streams[i];
        if (layer.region.stride == LANES && units % LANES == 0) {
            place = static_cast<float*>(x.data.address) + step * x.step + order_[0].x;
            continue;
        }
        for (int row = 0; row < rows; row++) {
            float* to = place + row * LANES;
            for (int unit = 0; unit < units; unit += LANES, to += layer.region.stride)
                read_row(to, x.data, step * x.step + order_[row].x + unit, std::min(LANES, units - unit));
        }
    }
}

void Streams::emit(const Series& out, int step, int rows) const {
    const Region& region = layers_.back()->region;
    const int units = outputs();
    for (int row = 0; row < rows; row++) {
        const float* from = region.after[0] + row * LANES;
        float* to = static_cast<float*>(out.data.address) + step * out.step + order_[row].out;
        for (int unit = 0; unit < units; unit += LANES, from += region.after_stride)
            copy_row(to + unit, from, std::min(LANES, units - unit));
    }
}

void Streams::scatter(const States& states, int row) const {
    for (const auto& layer : layers_)
        for (size_t k = 0; k < layer->found.size(); k++) {
            const int units = this->units(layer->call, k);
            const float* from = layer->region.after[k] + row * LANES;
            float* to = states.after(order_[row], layer->first + k);
            for (int unit = 0; unit < units; unit += LANES, from += layer->region.after_stride)
                copy_row(to + unit, from, std::min(LANES, units - unit));
        }
}

// What this step left is what the next one finds.
void Streams::swap() {
    const Layer* below = nullptr;
    for (const auto& layer : layers_) {
        Region& region = layer->region;
        for (size_t k = 0; k < region.after.size(); k++) {
            region.before[k] = region.after[k];
            std::swap(region.after[k], layer->other[k]);
        }
        for (size_t i = 0; below && i < region.streams.size(); i++)
            if (layer->call.program.streams[i].source == Source::input) region.streams[i] = below->region.after[0];
        below = layer.get();
    }
}

// The steps of the rows in `order_`. out: absent if nobody reads more than the states.
void Streams::run(const States& states, const Series& x, const Series& out) {
    int running = static_cast<int>(order_.size());
    for (int step = 0;; step++) {
        while (running && order_[running - 1].steps <= step) running--;
        if (!running) return;
        if (step) {
            swap();
        } else {
            place(running);
            gather(states, running);
        }
        load(x, step, running);
        for (const auto& layer : layers_) layer->runner.step(layer->region, running);
        if (out.data) emit(out, step, running);
        for (int row = running; row-- > 0 && order_[row].steps == step + 1;) scatter(states, row);
    }
}

bool Streams::push(const int64_t* ids, int rows, const int64_t* lengths, int steps, const Series& x,
                   const Series& out) {
    if (!arrange(ids, rows, lengths, steps, x, out)) return false;
    run({places_.data(), nullptr, nullptr, true, false}, x, out);
    return true;
}

void Streams::step(int rows, const Series& x, const Rows* before, const Rows* after) {
    order_.clear();
    for (int row = 0; row < rows; row++) order_.push_back({row, 1, nullptr, row * x.row, 0});
    run({nullptr, before, after, false, !before}, x, {});
}

}  // namespace gatewise
