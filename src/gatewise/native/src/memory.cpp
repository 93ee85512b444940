#include "memory.hpp"

#include <pthread.h>
#include <sys/mman.h>

#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

namespace gatewise {
namespace {

constexpr size_t PAGE = 4096, HUGE_PAGE = size_t(2) << 20;
constexpr unsigned long PATIENCE = 64;  // calls that idle memory waits for another use

struct Idle {
    void* data;
    size_t bytes;
    unsigned long since;
};

std::mutex mutex;
std::vector<Idle>& idle = *new std::vector<Idle>;  // never destroyed: tensors may outlive this library's statics
unsigned long calls = 0;

// A child must not be forked while another thread holds the lock, which nobody would open there.
[[maybe_unused]] const int forking = pthread_atfork([] { mutex.lock(); }, [] { mutex.unlock(); }, [] { mutex.unlock(); });

void* take(size_t bytes) {
    std::lock_guard<std::mutex> lock(mutex);
    calls++;
    size_t best = idle.size();
    for (size_t i = 0; i < idle.size();) {
        if (calls - idle[i].since > PATIENCE) {
            std::free(idle[i].data);
            idle[i] = idle.back();
            idle.pop_back();
            best = idle.size();
            i = 0;
            continue;
        }
        if (idle[i].bytes == bytes) best = i;
        i++;
    }
    if (best >= idle.size()) return nullptr;
    void* data = idle[best].data;
    idle[best] = idle.back();
    idle.pop_back();
    return data;
}

// Sizes in steps of an eighth, so that batches of about the same size share memory.
size_t rounded(size_t bytes) {
    size_t step = PAGE;
    while (step * 16 < bytes) step *= 2;
    return (bytes + step - 1) / step * step;
}

}  // namespace

Memory::Memory(size_t floats) : bytes_(rounded(floats * sizeof(float))) {
    if (!bytes_) return;
    void* data = take(bytes_);
    if (!data) {
        size_t alignment = bytes_ >= HUGE_PAGE ? HUGE_PAGE : 64;
        if (posix_memalign(&data, alignment, bytes_)) throw std::bad_alloc();
        if (bytes_ >= HUGE_PAGE) madvise(data, bytes_, MADV_HUGEPAGE);
    }
    data_ = static_cast<float*>(data);
}

Memory::~Memory() {
    if (!data_) return;
    std::lock_guard<std::mutex> lock(mutex);
    idle.push_back({data_, bytes_, calls});
}

}  // namespace gatewise
