#include "program.hpp"

#include <algorithm>

namespace gatewise {
namespace {

class Checker {
public:
    explicit Checker(const Program& program) : p_(program) {}

    std::string check() {
        sizes();
        for (const Phase& phase : p_.phases) this->phase(phase);
        for (const Outer& outer : p_.outers) this->outer(outer);
        for (const Total& total : p_.totals) this->total(total);
        return wrong_;
    }

private:
    static constexpr int LETTERS = 26;

    template <class Size>
    static bool inside(int index, Size count) {
        return index >= 0 && static_cast<size_t>(index) < static_cast<size_t>(count);
    }
    static bool letter(int size) { return inside(size, LETTERS); }

    void need(bool holds, const char* what) {
        if (!holds && wrong_.empty()) wrong_ = std::string(what) + " is out of range";
    }

    void sizes() {
        need(!p_.carry.empty() && inside(p_.parameters, 4096) && inside(p_.slots, 4096), "a count");
        if (!wrong_.empty()) return;
        for (int size : p_.carry) need(letter(size), "a carried value's size");
        int inputs = 0;
        for (const Stream& stream : p_.streams) {
            need(letter(stream.size), "a stream's size");
            need(inside(static_cast<int>(stream.source), static_cast<int>(Source::count)), "a stream's source");
            inputs += stream.source == Source::input;
            need(stream.source != Source::input || inputs > 1 || stream.size == 0, "the input's size");
        }
        std::vector<const Block*> last(p_.parameters);
        for (const Block& block : p_.blocks) {
            need(inside(block.parameter, p_.parameters) && letter(block.rows) &&
                     (block.columns == -1 || letter(block.columns)) &&
                     (block.head == -1 || (letter(block.head) && block.rows == block.columns)),
                 "a block");
            if (!wrong_.empty()) return;
            const Block*& ahead = last[block.parameter];
            need(block.place == (ahead ? ahead->place + 1 : 0) &&
                     (!ahead || (ahead->rows == block.rows && ahead->columns == block.columns &&
                                 ahead->head == block.head)),
                 "a block's place");
            ahead = &block;
        }
    }

    // Size letter of what is there, -1 if nothing.
    int size_of(Place place, int index) const {
        switch (place) {
        case Place::stream: return inside(index, p_.streams.size()) ? p_.streams[index].size : -1;
        case Place::before:
        case Place::after:
        case Place::arriving:
        case Place::leaving: return inside(index, p_.carry.size()) ? p_.carry[index] : -1;
        case Place::weight:
            return inside(index, p_.blocks.size()) && p_.blocks[index].columns < 0 ? p_.blocks[index].rows : -1;
        default: return -1;
        }
    }

    void phase(const Phase& phase) {
        need(inside(static_cast<int>(phase.when), static_cast<int>(When::count)) && letter(phase.size), "a phase");
        const bool flat = phase.when != When::step;  // over many steps at once: carried values are not in step with it
        auto value = [&](int v) { return inside(v, phase.values.size()); };
        for (const auto& [place, index] : phase.means) {
            need(size_of(place, index) == phase.size && place != Place::weight, "a mean's vector");
            need(!flat || place == Place::stream, "a mean's vector of many steps");
        }
        for (const Value& v : phase.values) {
            need(inside(static_cast<int>(v.place), static_cast<int>(Place::count)) && inside(v.slot, p_.slots), "a value");
            if (v.place == Place::slot || v.place == Place::constant) continue;
            if (v.place == Place::mean) {
                need(inside(v.index, phase.means.size()) && !v.written, "a mean");
                continue;
            }
            need(size_of(v.place, v.index) == phase.size, "a value's place");
            need(p_.backward || (v.place != Place::arriving && v.place != Place::leaving), "a gradient's place");
            need(!v.written || v.place == Place::stream || v.place == (p_.backward ? Place::leaving : Place::after),
                 "a result's place");
            need(!flat || v.place == Place::stream || v.place == Place::weight, "a value of many steps");
        }
        for (const Group& group : phase.groups) {
            const size_t width = group.values.size();
            need(width >= 1 && width <= COLUMNS && group.biases.size() == width && group.start.size() == width, "a group");
            for (int v : group.values) need(value(v), "an accumulator");
            for (const auto& biases : group.biases)
                for (int block : biases) need(size_of(Place::weight, block) == phase.size, "a bias");
            for (int stream : group.start)
                need(stream == -1 || size_of(Place::stream, stream) == phase.size, "an accumulator's start");
            std::vector<bool> reached(width);
            for (const Share& share : group.shares) {
                need(share.place == Place::stream || share.place == Place::weight ||
                         (!flat && (share.place == Place::before || share.place == Place::after)),
                     "a product's vector");
                need(size_of(share.place, share.index) == share.size, "a product's vector");
                need(!share.products.empty() && share.products.size() <= COLUMNS, "a share");
                int last = -1, heads = -2;
                for (const Product& product : share.products) {
                    need(product.accumulator > last && inside(product.accumulator, width), "a product");
                    last = product.accumulator;
                    if (inside(last, width)) reached[last] = true;
                    need(inside(product.block, p_.blocks.size()), "a product's weight");
                    if (!inside(product.block, p_.blocks.size())) continue;
                    const Block& block = p_.blocks[product.block];
                    if (heads < -1) heads = block.head;
                    need(block.head == heads, "a share's heads");
                    need((product.transposed ? block.columns : block.rows) == phase.size &&
                             (product.transposed ? block.rows : block.columns) == share.size,
                         "a product's size");
                }
            }
            need(std::all_of(reached.begin(), reached.end(), [](bool r) { return r; }), "an accumulator without products");
        }
        for (const Instruction& in : phase.program)
            need(in.op < Op::count && value(in.out) && value(in.a) && value(in.b) && value(in.c), "an instruction");
        for (const auto& [v, carry] : phase.arrivals)
            need(value(v) && !flat && p_.backward && size_of(Place::arriving, carry) == phase.size, "an arrival");
        for (const auto& [v, output] : phase.emissions)
            need(value(v) && inside(output, p_.outputs()) && phase.size == (p_.backward ? 0 : p_.carry[output]),
                 "an emission");
        for (const auto& [v, total] : phase.reductions)
            need(p_.backward && value(v) && inside(total, p_.totals.size()) && p_.totals[total].size == phase.size, "a reduction");
    }

    void total(const Total& total) {
        need(letter(total.size) && inside(total.block, p_.blocks.size()), "a total");
        if (!inside(total.block, p_.blocks.size())) return;
        const Block& block = p_.blocks[total.block];
        need(block.rows == total.size, "a total's size");
        need(total.weight == -1 ? block.columns < 0
                                : size_of(Place::weight, total.weight) == block.columns && block.columns >= 0,
             "a total's weight");
    }

    void outer(const Outer& outer) {
        need((outer.place == Place::stream || outer.place == Place::before || outer.place == Place::after) &&
                 size_of(outer.place, outer.index) == outer.size && !outer.values.empty(),
             "an outer product");
        int heads = -2;
        for (const auto& [stream, block] : outer.values) {
            need(size_of(Place::stream, stream) == outer.value_size, "an outer product's values");
            need(inside(block, p_.blocks.size()) && p_.blocks[block].columns == outer.size &&
                     p_.blocks[block].rows == outer.value_size,
                 "an outer product's weight");
            if (!wrong_.empty()) return;
            if (heads < -1) heads = p_.blocks[block].head;
            need(p_.blocks[block].head == heads, "an outer product's heads");
        }
    }

    const Program& p_;
    std::string wrong_;
};

}  // namespace

std::string error_in(const Program& program) { return Checker(program).check(); }

}  // namespace gatewise
