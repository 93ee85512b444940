#include "team.hpp"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

namespace gatewise {
namespace {

using Work = std::function<void(const Member&)>;

// The parallel region of GNU's OpenMP, in the very library that PyTorch has loaded.
struct OpenMP {
    void (*parallel)(void (*)(void*), void*, unsigned threads, unsigned flags) = nullptr;
    int (*thread)() = nullptr;
    int (*threads)() = nullptr;
    int (*most_threads)() = nullptr;
};

OpenMP loaded_openmp() {
    OpenMP found;
#if !defined(__SANITIZE_THREAD__)  // it cannot see how OpenMP's threads wait for one another
    if (void* library = dlopen("libgomp.so.1", RTLD_LAZY | RTLD_NOLOAD)) {
        found.thread = reinterpret_cast<int (*)()>(dlsym(library, "omp_get_thread_num"));
        found.threads = reinterpret_cast<int (*)()>(dlsym(library, "omp_get_num_threads"));
        found.most_threads = reinterpret_cast<int (*)()>(dlsym(library, "omp_get_max_threads"));
        if (found.thread && found.threads && found.most_threads)
            found.parallel = reinterpret_cast<decltype(found.parallel)>(dlsym(library, "GOMP_parallel"));
    }
#endif
    return found;
}

std::atomic<const OpenMP*> known{nullptr};

const OpenMP* openmp() {
    static const bool looked = (look_for_openmp(), true);
    (void)looked;
    return known.load(std::memory_order_acquire);
}

struct Call {
    const OpenMP* openmp;
    const Work* work;
    Barrier barrier;
};

void enter(void* data) {
    auto* call = static_cast<Call*>(data);
    (*call->work)(Member(call->openmp->thread(), call->openmp->threads(), call->barrier));
}

// Our own threads, for processes without OpenMP. Callers take turns.
class Pool {
public:
    void run(int threads, const Work& work) {
        std::lock_guard<std::mutex> turn(turn_);
        Barrier barrier;
        {
            std::lock_guard<std::mutex> lock(mutex_);
            while (workers_ < threads - 1) std::thread([this, number = ++workers_] { serve(number); }).detach();
            work_ = &work;
            barrier_ = &barrier;
            threads_ = threads;
            running_ = threads - 1;
            round_++;
        }
        wake_.notify_all();
        work(Member(0, threads, barrier));
        std::unique_lock<std::mutex> lock(mutex_);
        done_.wait(lock, [this] { return running_ == 0; });
    }

private:
    void serve(int number) {
        unsigned seen = 0;
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            wake_.wait(lock, [&] { return round_ != seen; });
            seen = round_;
            if (number >= threads_) continue;
            Member member(number, threads_, *barrier_);
            const Work& work = *work_;
            lock.unlock();
            work(member);
            lock.lock();
            if (--running_ == 0) done_.notify_one();
        }
    }

    std::mutex turn_, mutex_;
    std::condition_variable wake_, done_;
    const Work* work_ = nullptr;
    Barrier* barrier_ = nullptr;
    int workers_ = 0, threads_ = 0, running_ = 0;
    unsigned round_ = 0;
};

// Between two looks at what is waited for.
void pause(int spins) {
    if (spins >= 4000) {
        sched_yield();
        return;
    }
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

std::atomic<bool> forked{false};  // into a child, whose parent's threads are gone

}  // namespace

void run_together(int threads, const Work& work) {
    static const int watching = pthread_atfork(nullptr, nullptr, [] { forked.store(true); });
    (void)watching;
    if (threads <= 1 || forked.load(std::memory_order_relaxed)) {
        Barrier barrier;
        work(Member(0, 1, barrier));
        return;
    }
    if (const OpenMP* found = openmp()) {
        Call call{found, &work, {}};
        found->parallel(enter, &call, static_cast<unsigned>(threads), 0);
        return;
    }
    static Pool& pool = *new Pool;  // never destroyed: its threads may outlive main
    pool.run(threads, work);
}

void look_for_openmp() {
    if (known.load(std::memory_order_acquire)) return;
    const OpenMP found = loaded_openmp();
    if (found.parallel) known.store(new OpenMP(found), std::memory_order_release);  // never destroyed, as the pool below
}

int default_threads() {
    if (const OpenMP* found = openmp()) return found->most_threads();
    if (const char* wanted = std::getenv("OMP_NUM_THREADS"))
        if (const int count = std::atoi(wanted); count > 0) return count;
    cpu_set_t cores;
    const int count = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
    return std::max(1, count);
}

void Barrier::wait_until_past(unsigned round) {
    for (int spins = 0; round_.load(std::memory_order_acquire) == round; spins++) pause(spins);
}

int Progress::wait_until(int steps) const {
    int done;
    for (int spins = 0; (done = steps_.load(std::memory_order_acquire)) < steps; spins++) pause(spins);
    return done;
}

}  // namespace gatewise
