// Python's side of the streams.
#pragma once

#include <nanobind/nanobind.h>

namespace gatewise {

void bind_streams(nanobind::module_& m);

}  // namespace gatewise
