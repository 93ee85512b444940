#include "call.hpp"

namespace gatewise {
namespace {

std::vector<int> saved_sizes(const Program& program) {
    std::vector<int> sizes;
    for (const Stream& stream : program.streams)
        if (stream.source == Source::saved) sizes.push_back(stream.size);
    return sizes;
}

}  // namespace

void Tape::remember(const Call& call) {
    sizes = call.sizes;
    work = call.work;
    resets = call.resets.data;
    carry = call.program.carry;
    saved = saved_sizes(call.program);
}

bool Tape::fits(const Call& call) const {
    size_t rows = 0;
    for (const Part& part : parts) {
        rows += part.rows.size();
        for (size_t i = 0; i < part.rows.size(); i++)
            if (part.lengths[i] !=
                (call.shape.lengths ? call.shape.lengths[part.rows[i]] : static_cast<int64_t>(call.shape.steps)))
                return false;
    }
    return rows == static_cast<size_t>(call.shape.rows) && sizes == call.sizes && work.parts == call.work.parts &&
           resets == (call.resets.data != nullptr) && carry == call.program.carry &&
           saved == saved_sizes(call.program);
}

}  // namespace gatewise
