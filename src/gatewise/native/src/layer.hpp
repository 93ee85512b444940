// One layer over time, forward and backward, of any lowered cell.
#pragma once

#include "call.hpp"

namespace gatewise {

// Fills `outputs` (zero beyond a row's length) and `last`. With a tape to fill it keeps what `backward` needs.
void forward(const Call& call, const std::vector<Rows>& state, const std::vector<Series>& outputs,
             const std::vector<Rows>& last, Tape* tape);

// Fills what is present of dx, dstate and dweights.
void backward(const Call& call, const Tape& tape, const Arriving& arriving, const Series& dx,
              const std::vector<Rows>& dstate, const std::vector<Matrix>& dweights);

}  // namespace gatewise
