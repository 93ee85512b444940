// What the caller passes is checked with these; they throw what Python sees as a ValueError.
#pragma once

#include <stdexcept>

namespace gatewise {

inline void need(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

template <class Enum>
Enum checked(int number, const char* what) {
    need(number >= 0 && number < static_cast<int>(Enum::count), what);
    return static_cast<Enum>(number);
}

}  // namespace gatewise
