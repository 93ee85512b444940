// A program as Python passes it, the arguments of `_native.Program`: see native/lowering.py, which makes them.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "checks.hpp"
#include "program.hpp"

namespace gatewise {

using Pairs = std::vector<std::pair<int, int>>;
using ValueFields = std::tuple<int, int, float, int, bool, bool>;
using ProductFields = std::tuple<int, int, bool>;
using ShareFields = std::tuple<int, int, int, std::vector<ProductFields>>;
using GroupFields =
    std::tuple<std::vector<int>, std::vector<std::vector<int>>, std::vector<int>, std::vector<ShareFields>>;
using InstructionFields = std::tuple<int, int, int, int, int>;
using PhaseFields = std::tuple<int, int, std::vector<ValueFields>, Pairs, std::vector<GroupFields>,
                               std::vector<InstructionFields>, Pairs, Pairs, Pairs>;
using OuterFields = std::tuple<int, int, int, int, Pairs>;
using BlockFields = std::tuple<int, int, int, int, int>;
using TotalFields = std::tuple<int, int, int>;

inline uint16_t narrow(int value) {
    need(value >= 0 && value <= std::numeric_limits<uint16_t>::max(), "an instruction's value");
    return static_cast<uint16_t>(value);
}

inline Phase phase_from(const PhaseFields& fields) {
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

inline std::unique_ptr<Program> program_from(const std::vector<int>& carry, const Pairs& streams,
                                             const std::vector<BlockFields>& blocks,
                                             const std::vector<PhaseFields>& phases,
                                             const std::vector<OuterFields>& outers,
                                             const std::vector<TotalFields>& totals, int slots, int parameters,
                                             bool backward) {
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
    if (const std::string error = error_in(*program); !error.empty()) throw std::invalid_argument(error);
    return program;
}

}  // namespace gatewise
