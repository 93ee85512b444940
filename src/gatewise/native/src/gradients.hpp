// Gradients of a call's weights: where its parts and threads sum them, and how these sums become one.
#pragma once

#include <vector>

#include "call_plan.hpp"
#include "memory.hpp"

namespace gatewise {

// Where a part sums the gradient of a block of weights, rows in the order in which they are stored; null: nowhere.
struct Gradient {
    float* data;
    ptrdiff_t row;  // floats to the next
};

// Gradients of matrices are summed by part: the first part sums where the caller wants the result, and the others, which
// may have no steps at all, each in memory of their own. Those of vectors are sums over rows alone, by thread. So the
// order of summation is fixed.
class WeightGradients {
public:
    // Takes places for the sums. dweights: where the caller wants them, some absent. runners: how many sum at a time.
    WeightGradients(const CallPlan& plan, const std::vector<Matrix>& dweights, int runners, Arena& arena);

    // Call these in this order: once the arena's memory is there; by every runner; by every member, when all runners are
    // done; and once, when all members are.
    void place(float* base);
    float* sums(int runner) const { return base_ + sums_[runner]; }
    const std::vector<Gradient>& of_part(int part) const { return parts_[part]; }
    void add_parts(const Member& member) const;
    void finish() const;

private:
    bool wanted(int block) const { return dweights_[plan_.program.blocks[block].parameter].data; }
    ptrdiff_t line(int block) const;  // floats from row to row of a part's own memory: whole cache lines
    void finish_total(int number, bool add) const;
    void clear(int block) const;

    const CallPlan& plan_;
    const std::vector<Matrix>& dweights_;
    float* base_ = nullptr;
    std::vector<size_t> sums_;    // by runner
    std::vector<size_t> totals_;  // where each of the program's is among a runner's sums
    size_t sums_size_ = 0;
    std::vector<bool> written_;                 // blocks whose gradient the parts sum
    std::vector<std::vector<Gradient>> parts_;  // by block
    std::vector<std::vector<size_t>> places_;   // of the parts after the first
};

}  // namespace gatewise
