// Calls that Python passes together: run at the same time, those of a chain each some steps behind the one before it.
#pragma once

#include <nanobind/nanobind.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <memory>
#include <vector>

#include "call.hpp"
#include "checks.hpp"
#include "team.hpp"

namespace gatewise {

inline bool operator==(const Series& one, const Series& other) {
    return one.data.address == other.data.address && one.data.bf16 == other.data.bf16 && one.step == other.step &&
           one.row == other.row;
}

struct ForwardJob {
    Call call;
    std::vector<Rows> state;
    std::vector<Series> outputs;
    std::vector<Rows> last;

    bool follows(const ForwardJob& ahead) const { return call.inputs[0] == ahead.outputs[0]; }
};

struct BackwardJob {
    Call call;
    const Tape& tape;
    Arriving arriving;
    Series dx;
    std::vector<Rows> dstate;
    std::vector<Matrix> dweights;

    bool follows(const BackwardJob& ahead) const { return arriving.outputs[0] == ahead.dx; }
};

// Calls shorter than about 10 us keep the interpreter's lock: to hand it over costs more than others would gain.
class Released {
public:
    template <class Job>
    explicit Released(const std::vector<Job>& jobs) {
        double work = 0;
        for (const Job& job : jobs) {
            double units = 0;
            for (int size : job.call.sizes) units += size;
            work += units * units * job.call.shape.steps * job.call.shape.rows;
        }
        if (work > 1e5) thread_ = PyEval_SaveThread();
    }
    ~Released() {
        if (thread_) PyEval_RestoreThread(thread_);
    }
    Released(const Released&) = delete;
    Released& operator=(const Released&) = delete;

private:
    PyThreadState* thread_ = nullptr;
};

// Has each call of a chain follow the one before it.
template <class Job>
std::unique_ptr<Progress[]> chain(std::vector<Job>& jobs) {
    auto progress = std::make_unique<Progress[]>(jobs.size());
    for (size_t i = 0; i < jobs.size(); i++) {
        const Shape &shape = jobs[i].call.shape, &ahead = jobs[i ? i - 1 : 0].call.shape;
        need(jobs[i].call.work.threads == 1 && shape.steps == ahead.steps && shape.rows == ahead.rows &&
                 shape.lengths == ahead.lengths && shape.reverse == ahead.reverse && (!i || jobs[i].follows(jobs[i - 1])),
             "a chain");
        jobs[i].call.link = {i ? &progress[i - 1] : nullptr, &progress[i]};
    }
    return progress;
}

// Calls at the same time: those that wait for nothing from one another on a thread each, or a chain, in which each waits
// for the one before it, on so many threads.
//
// A chain ends, however few threads come: of its calls that are not done the first waits for none, as the one before it
// is done, and its thread, which takes its calls in ascending order, is at it, as those before it are done. So one call
// is always running, or has failed, and that those behind it are told, too.
template <class Job>
void run_jobs(std::vector<Job>& jobs, int chained, const std::function<void(size_t)>& run) {
    need(chained >= 0, "threads");
    const std::unique_ptr<Progress[]> progress = chained ? chain(jobs) : nullptr;
    Released released(jobs);
    if (jobs.size() == 1) return run(0);
    std::vector<std::exception_ptr> failed(jobs.size());
    const int threads = static_cast<int>(jobs.size());
    run_together(chained ? std::min(threads, chained) : threads, [&](const Member& member) {
        for (size_t job = member.thread; job < jobs.size(); job += member.threads) try {
                run(job);
            } catch (...) {
                failed[job] = std::current_exception();  // no exception may leave a team
                if (progress) progress[job].abandon();
            }
    });
    for (const std::exception_ptr& error : failed)  // of a chain the first has stopped the others
        if (error) std::rethrow_exception(error);
}

}  // namespace gatewise
