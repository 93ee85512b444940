// Threads that work on one call together.
#pragma once

#include <atomic>
#include <functional>
#include <limits>

namespace gatewise {

// Where threads wait for one another. Spins, as the wait is usually shorter than a microsecond, but gives its core away
// when it lasts: the others may need it.
class Barrier {
public:
    void wait(int threads) {
        if (threads == 1) return;
        unsigned round = round_.load(std::memory_order_relaxed);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
            arrived_.store(0, std::memory_order_relaxed);
            round_.store(round + 1, std::memory_order_release);
        } else {
            wait_until_past(round);
        }
    }

private:
    void wait_until_past(unsigned round);

    alignas(64) std::atomic<int> arrived_{0};
    alignas(64) std::atomic<unsigned> round_{0};
};

// How far a job has come that another one follows. Waits as Barrier does: what follows is seldom far behind.
class Progress {
public:
    struct Abandoned {};  // thrown to those who wait for a job that failed

    void publish(int steps) { steps_.store(steps, std::memory_order_release); }
    void abandon() { publish(ABANDONED); }

    // Returns when so many steps are done; what was written before they were published is seen from then on.
    void await(int steps) const {
        int done = steps_.load(std::memory_order_acquire);
        if (done < steps) done = wait_until(steps);
        if (done == ABANDONED) throw Abandoned();
    }

private:
    static constexpr int ABANDONED = std::numeric_limits<int>::max();  // more than any, so that all waiting ends

    int wait_until(int steps) const;

    alignas(64) std::atomic<int> steps_{0};
};

// One thread of a team: its number and how many there are.
class Member {
public:
    Member(int thread, int threads, Barrier& barrier) : thread(thread), threads(threads), barrier_(barrier) {}

    const int thread, threads;

    void meet() const { barrier_.wait(threads); }  // returns when all members have come here

private:
    Barrier& barrier_;
};

// Calls work for each of up to `threads` members at the same time and returns when all are done. The caller is member 0;
// there may be fewer members than asked, so work divides itself by `Member::threads`. It must not throw.
//
// Where PyTorch's OpenMP pool is in the process, its threads are used: a pool of our own would have to share the cores
// with theirs, which spin for milliseconds after every parallel operation. Without one we keep our own.
// May be called from several threads at once, and in a forked child, where it runs alone.
void run_together(int threads, const std::function<void(const Member&)>& work);

// Finds PyTorch's pool, which the first call looks for, if it was loaded since.
void look_for_openmp();

// How many threads a call takes that nobody gave a number: as many as PyTorch does where it is in the process, else what
// OMP_NUM_THREADS says, else one for each core that the process may use.
int default_threads();

}  // namespace gatewise
