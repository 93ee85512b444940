#include "gradients.hpp"

#include <algorithm>

namespace gatewise {

WeightGradients::WeightGradients(const CallPlan& plan, const std::vector<Matrix>& dweights, int runners, Arena& arena)
    : plan_(plan), dweights_(dweights), written_(plan.program.blocks.size()) {
    const Program& program = plan.program;
    for (const Total& total : program.totals) {
        totals_.push_back(sums_size_);
        sums_size_ += plan.blocks(total.size) * LANES;
    }
    for (int i = 0; i < runners; i++) sums_.push_back(arena.take(sums_size_));
    for (const Outer& outer : program.outers)
        for (const auto& [stream, block] : outer.values) written_[block] = wanted(block) && !plan.parts[0].chunks.empty();
    for (const Part& part : plan.parts) {
        parts_.emplace_back(program.blocks.size());
        places_.emplace_back(program.blocks.size());
        for (size_t i = 0; i < program.blocks.size(); i++) {
            const Block& block = program.blocks[i];
            const int rows = plan.units(block.rows);
            if (!written_[i] || part.chunks.empty()) continue;
            if (parts_.size() > 1) {
                places_.back()[i] = arena.take(static_cast<size_t>(rows) * line(static_cast<int>(i)));
            } else {
                const Matrix& out = dweights[block.parameter];
                parts_[0][i] = {out.data + static_cast<ptrdiff_t>(block.place) * rows * out.row, out.row};
            }
        }
    }
}

ptrdiff_t WeightGradients::line(int block) const {
    return static_cast<ptrdiff_t>(plan_.blocks(plan_.program.blocks[block].stored())) * LANES;
}

void WeightGradients::place(float* base) {
    base_ = base;
    for (size_t place : sums_) std::fill_n(base + place, sums_size_, 0.0f);  // also of threads that may not come
    for (size_t part = 1; part < parts_.size(); part++)
        for (size_t i = 0; i < written_.size(); i++)
            if (written_[i] && !plan_.parts[part].chunks.empty())
                parts_[part][i] = {base + places_[part][i], line(static_cast<int>(i))};
}

// The other parts' sums to the first part's, some rows of each block.
void WeightGradients::add_parts(const Member& member) const {
    for (size_t i = 0; i < written_.size(); i++) {
        if (!written_[i]) continue;
        const Block& block = plan_.program.blocks[i];
        const int columns = plan_.units(block.stored());
        const Range rows(plan_.units(block.rows), member);
        const Gradient& to = parts_[0][i];
        for (int row = rows.begin; row < rows.end; row++)
            for (size_t part = 1; part < parts_.size(); part++) {
                const Gradient& from = parts_[part][i];
                for (int k = 0; from.data && k < columns; k++) to.data[row * to.row + k] += from.data[row * from.row + k];
            }
    }
}

// What is left: gradients that follow from sums over rows, and zeros for weights that no gradient reaches.
void WeightGradients::finish() const {
    std::vector<bool> written = written_;
    for (size_t i = 0; i < totals_.size(); i++) {
        const int block = plan_.program.totals[i].block;
        if (!wanted(block)) continue;
        finish_total(static_cast<int>(i), written[block]);
        written[block] = true;
    }
    for (size_t i = 0; i < written.size(); i++)
        if (!written[i] && wanted(static_cast<int>(i))) clear(static_cast<int>(i));
}

// A total to its block's gradient; added to what is there already if `add`.
void WeightGradients::finish_total(int number, bool add) const {
    const Total& total = plan_.program.totals[number];
    const Block& block = plan_.program.blocks[total.block];
    const Matrix& out = dweights_[block.parameter];
    const int units = plan_.units(total.size);
    float* const data = out.data + static_cast<ptrdiff_t>(block.place) * units * out.row;
    for (int unit = 0; unit < units; unit++) {
        float sum = 0;
        for (size_t place : sums_) sum += base_[place + totals_[number] + unit];
        const int columns = total.weight < 0 ? 1 : plan_.units(block.stored());
        const int first = block.head < 0 ? 0 : unit / columns * columns;
        for (int k = 0; k < columns; k++) {
            float& to = data[unit * out.row + k * out.column];
            const float value = total.weight < 0 ? sum : sum * plan_.vector(total.weight)[first + k];
            to = add ? to + value : value;
        }
    }
}

void WeightGradients::clear(int block) const {
    const Block& of = plan_.program.blocks[block];
    const Matrix& out = dweights_[of.parameter];
    const int units = plan_.units(of.rows), columns = of.columns < 0 ? 1 : plan_.units(of.stored());
    for (int unit = 0; unit < units; unit++)
        for (int k = 0; k < columns; k++)
            out.data[(static_cast<ptrdiff_t>(of.place) * units + unit) * out.row + k * out.column] = 0;
}

}  // namespace gatewise
