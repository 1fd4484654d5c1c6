// SPDX-License-Identifier: Apache-2.0
// Why our own pool: OpenMP runtimes spin after a region, break in a forked child and multiply when
// two of them meet in one process. Here a job lives on its caller's stack; workers that are free
// join it, and the caller works on it too, so a job never waits for a worker and concurrent callers
// cannot deadlock: a second caller simply runs with whoever is free.
#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/cgroup.h"
#include "base/errors.h"

namespace vl {
namespace {

using Clock = std::chrono::steady_clock;
using Body = std::function<void(std::int64_t, int)>;

constexpr auto kInterruptPeriod = std::chrono::milliseconds(50);
constexpr int kMaxWorkers =
    1024;  // beyond any sane n_jobs: keeps a typing slip from eating the host

std::atomic<InterruptCheck> g_interrupt_check{nullptr};

struct Job {
  Job(const Body& b, std::int64_t n, int helpers) : body(b), n_tasks(n), max_helpers(helpers) {}

  const Body& body;
  const std::int64_t n_tasks;
  const int max_helpers;
  std::atomic<std::int64_t> next{0};
  std::atomic<bool> stop{false};
  // Guarded by the pool's mutex:
  int joined = 0;
  int running = 0;
  std::exception_ptr error;
  std::condition_variable done;

  bool open() const {
    return joined < max_helpers && !stop.load(std::memory_order_relaxed) &&
           next.load(std::memory_order_relaxed) < n_tasks;
  }
  void run(int worker) {
    while (!stop.load(std::memory_order_relaxed)) {
      const std::int64_t task = next.fetch_add(1, std::memory_order_relaxed);
      if (task >= n_tasks) return;
      body(task, worker);
    }
  }
};

// What the running thread is in: nothing, a body on the caller's thread, or a body on a pool
// worker.
struct Region {
  bool inside = false;
  const Job* helping = nullptr;
};
thread_local Region t_region;

class EnterRegion {
 public:
  explicit EnterRegion(const Job* helping) : before_(t_region) { t_region = Region{true, helping}; }
  ~EnterRegion() { t_region = before_; }
  EnterRegion(const EnterRegion&) = delete;
  EnterRegion& operator=(const EnterRegion&) = delete;

 private:
  Region before_;
};

// Asks for interrupts, on the caller's thread only, once a period has gone by since the last time.
class InterruptClock {
 public:
  bool interrupted() {
    const Clock::time_point now = Clock::now();
    if (now < next_) return false;
    next_ = now + kInterruptPeriod;
    const InterruptCheck check = g_interrupt_check.load(std::memory_order_acquire);
    return check != nullptr && check();
  }

 private:
  Clock::time_point next_ = Clock::now() + kInterruptPeriod;
};

class Pool {
 public:
  // Adds the job, makes sure there are workers for it, and wakes them.
  void submit(Job& job) {
    const std::lock_guard<std::mutex> lock(mutex_);
    jobs_.push_back(&job);
    grow(job.max_helpers);
    for (int i = 0; i < job.max_helpers; ++i) wake_.notify_one();
  }

  void fail(Job& job, std::exception_ptr error, bool replace) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (replace || !job.error) job.error = std::move(error);
    job.stop.store(true, std::memory_order_relaxed);
  }

  // Closes the job to newcomers and waits until its helpers have left. Interrupts are looked for
  // outside the lock, because the check may have to wait for Python's lock.
  void finish(Job& job, InterruptClock& clock) {
    std::unique_lock<std::mutex> lock(mutex_);
    jobs_.erase(std::find(jobs_.begin(), jobs_.end(), &job));
    while (!job.done.wait_for(lock, kInterruptPeriod, [&job] { return job.running == 0; })) {
      if (job.stop.load(std::memory_order_relaxed)) continue;
      lock.unlock();
      if (clock.interrupted()) fail(job, std::make_exception_ptr(Interrupted()), true);
      lock.lock();
    }
  }

 private:
  // Too few threads is slow, not wrong: a host that refuses another thread is left at that.
  void grow(int wanted) {
    while (n_workers_ < std::min(wanted, kMaxWorkers)) {
      // Python expects its signals on its own threads; faults stay with the thread that caused
      // them.
      sigset_t blocked;
      sigset_t before;
      sigfillset(&blocked);
      for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigdelset(&blocked, fault);
      pthread_sigmask(SIG_SETMASK, &blocked, &before);
      bool started = true;
      try {
        std::thread([this] { work(); }).detach();
      } catch (const std::exception&) {  // system_error, bad_alloc
        started = false;
      }
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      if (!started) return;
      ++n_workers_;
    }
  }

  Job* open_job() const {
    for (Job* job : jobs_) {
      if (job->open()) return job;
    }
    return nullptr;
  }

  [[noreturn]] void work() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      Job* job = nullptr;
      wake_.wait(lock, [this, &job] { return (job = open_job()) != nullptr; });
      const int worker = ++job->joined;
      ++job->running;
      lock.unlock();
      try {
        const EnterRegion region(job);
        job->run(worker);
      } catch (...) {
        fail(*job, std::current_exception(), false);
      }
      lock.lock();
      // Under the lock: once the caller sees 0 the job, with its condition variable, is gone.
      if (--job->running == 0) job->done.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Job*> jobs_;
  int n_workers_ = 0;
};

// The pool is never destroyed: its workers are detached and asleep, and end with the process. So
// there is nothing to join at exit and nothing that could hang there.
std::atomic<Pool*> g_pool{nullptr};

Pool& pool() {
  Pool* have = g_pool.load(std::memory_order_acquire);
  if (have != nullptr) return *have;
  Pool* fresh = new Pool;
  if (g_pool.compare_exchange_strong(have, fresh, std::memory_order_acq_rel)) return *fresh;
  delete fresh;
  return *have;
}

// The child of a fork has the parent's memory but none of its workers, and the parent's mutex may
// be locked for ever. The old pool is leaked untouched; the next parallel_for builds a new one.
const int g_fork_handler = pthread_atfork(nullptr, nullptr, [] { g_pool.store(nullptr); });

void run_serially(std::int64_t n_tasks, const Body& body) {
  const Job* helping = t_region.helping;
  const EnterRegion region(helping);
  InterruptClock clock;
  for (std::int64_t task = 0; task < n_tasks; ++task) {
    body(task, 0);
    const bool stop =
        helping != nullptr ? helping->stop.load(std::memory_order_relaxed) : clock.interrupted();
    if (stop) throw Interrupted();
  }
}

// The caller's share, as worker 0. Task by task, so that interrupts are seen between tasks.
void run_as_caller(Job& job, InterruptClock& clock) {
  const EnterRegion region(nullptr);
  try {
    while (!job.stop.load(std::memory_order_relaxed)) {
      const std::int64_t task = job.next.fetch_add(1, std::memory_order_relaxed);
      if (task >= job.n_tasks) return;
      job.body(task, 0);
      if (clock.interrupted()) {
        // Replaces a worker's error: Python already holds the KeyboardInterrupt.
        pool().fail(job, std::make_exception_ptr(Interrupted()), true);
      }
    }
  } catch (const Interrupted&) {  // seen by a nested parallel_for on this thread
    pool().fail(job, std::current_exception(), true);
  } catch (...) {
    pool().fail(job, std::current_exception(), false);
  }
}

int affinity_cpus() {
#if defined(__linux__)
  // The kernel refuses a set smaller than its own, hence the growth.
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(cpus));
    if (set == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(cpus));
    const bool ok = sched_getaffinity(0, bytes, set) == 0;
    const int count = ok ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (ok) return std::max(1, count);
  }
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// Only the first number: OpenMP's "4,2" speaks of nesting levels, and nested calls are serial here.
int omp_num_threads() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  if (text == nullptr) return 0;
  const long value = std::strtol(text, nullptr, 10);
  return value > 0 && value < kMaxWorkers ? static_cast<int>(value) : 0;
}

}  // namespace

int allowed_threads() {
  // Affinity is cheap and may change; the files and the environment are read once. Not a function
  // static: its guard could stay locked for ever in a forked child. Reading twice does no harm.
  static std::atomic<int> fixed_limit{-1};
  int limit = fixed_limit.load(std::memory_order_relaxed);
  if (limit < 0) {
    const int quota = cgroup_cpu_limit();
    const int omp = omp_num_threads();
    limit = quota == 0 || omp == 0 ? std::max(quota, omp) : std::min(quota, omp);
    fixed_limit.store(limit, std::memory_order_relaxed);
  }
  const int cpus = affinity_cpus();
  return limit == 0 ? cpus : std::min(cpus, limit);
}

int resolve_jobs(int n_jobs) {
  if (n_jobs > 0) return n_jobs;
  const int all = allowed_threads();
  return n_jobs == 0 ? all : std::max(1, all + 1 + n_jobs);
}

void poll_interrupt() {
  if (!t_region.inside) return;
  if (t_region.helping != nullptr) {
    if (t_region.helping->stop.load(std::memory_order_relaxed)) throw Interrupted();
    return;
  }
  thread_local InterruptClock clock;
  if (clock.interrupted()) throw Interrupted();
}

void set_interrupt_check(InterruptCheck check) {
  g_interrupt_check.store(check, std::memory_order_release);
}

bool in_parallel_region() { return t_region.inside; }

void parallel_for(std::int64_t n_tasks, int n_threads, const Body& body) {
  const std::int64_t wanted = std::min<std::int64_t>({n_tasks, n_threads, kMaxWorkers + 1});
  if (wanted <= 1 || in_parallel_region()) {
    run_serially(n_tasks, body);
    return;
  }
  static_cast<void>(g_fork_handler);
  Job job(body, n_tasks, static_cast<int>(wanted) - 1);
  InterruptClock clock;
  pool().submit(job);
  run_as_caller(job, clock);
  pool().finish(job, clock);
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace vl
