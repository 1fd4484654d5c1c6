// SPDX-License-Identifier: Apache-2.0
// The one thread pool. Workers start on first use, sleep on a condition variable when idle, are
// rebuilt in a forked child, and a parallel_for inside a parallel_for runs in the calling worker.
#pragma once

#include <cstdint>
#include <functional>

namespace vl {

// CPUs this process may use: affinity mask, cgroup v1/v2 quota (rounded up) and OMP_NUM_THREADS.
int allowed_threads();

// n_jobs as in scikit-learn, except that 0 (None in Python) means allowed_threads(): -1 is all
// allowed, -2 all but one; a positive number is taken as it is.
int resolve_jobs(int n_jobs);

// Asked from the calling thread about every 50 ms while a parallel_for runs; true stops it with
// Interrupted. The bindings register PyErr_CheckSignals here.
using InterruptCheck = bool (*)();
void set_interrupt_check(InterruptCheck check);

// Runs body(task, worker) for every task in [0, n_tasks), tasks handed out in order, worker in
// [0, n_threads). The calling thread takes part as worker 0. The first exception is rethrown here
// after all workers have stopped; tasks should take well under a second, or poll_interrupt(), so
// that Ctrl-C is prompt.
void parallel_for(std::int64_t n_tasks, int n_threads,
                  const std::function<void(std::int64_t task, int worker)>& body);

// For bodies that may take long: throws Interrupted when the job they belong to was asked to stop.
void poll_interrupt();

// True inside a parallel_for body: nested calls run serially.
bool in_parallel_region();

}  // namespace vl
