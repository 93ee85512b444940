#include <cstdlib>
#include <cstring>

#include "kernels.hpp"

namespace gatewise {

#define GATEWISE_DECLARE(isa) \
    namespace isa {           \
    extern const Kernels table; \
    }
GATEWISE_DECLARE(plain)
#if defined(__x86_64__)
GATEWISE_DECLARE(avx2)
GATEWISE_DECLARE(avx512)
GATEWISE_DECLARE(avx512bf16)
#endif
#undef GATEWISE_DECLARE

const Kernels* kernels(const char* name) {
    const bool any = !name || !*name;
    auto chosen = [&](const Kernels& table, bool runs) { return runs && (any || !std::strcmp(name, table.name)); };
#if defined(__x86_64__)
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    const bool pairs = avx512 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
    if (chosen(avx512bf16::table, pairs)) return &avx512bf16::table;
    if (chosen(avx512::table, avx512)) return &avx512::table;
    if (chosen(avx2::table, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) return &avx2::table;
#endif
    return chosen(plain::table, true) ? &plain::table : nullptr;
}

}  // namespace gatewise
