// Stands for CUDA on a CPU, to test the kernels: the threads of a block are contexts that take
// turns at every __syncthreads, and blocks run one after the other. Included before cuda.cu.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__
#define __grid_constant__
#define __launch_bounds__(...)
#define STYLEGAN2_MOST_BLOCKS 3

struct CUstream_st {};

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  CUstream_st* stream = nullptr;
};

inline dim3 threadIdx, blockIdx, gridDim;

constexpr size_t MOST_SHARED = 48 * 1024;
double stylegan2_shared[MOST_SHARED / sizeof(double)];

namespace emulated {

constexpr size_t STACK = 64 * 1024;

struct Thread {
  std::unique_ptr<char[]> stack{new char[STACK]};
  ucontext_t context;
  jmp_buf place;
  bool has_begun, has_ended;
};

inline std::vector<Thread> threads;
inline std::function<void()> body;
inline size_t current;
inline jmp_buf scheduler;

// _longjmp between stacks: swapcontext would call the system twice a turn.
inline void begin() {
  body();
  threads[current].has_ended = true;
  _longjmp(scheduler, 1);
}

inline void resume(size_t i) {
  current = i;
  threadIdx = dim3(unsigned(i), 0, 0);
  if (_setjmp(scheduler)) return;
  Thread& thread = threads[i];
  if (thread.has_begun) _longjmp(thread.place, 1);
  thread.has_begun = true;
  getcontext(&thread.context);
  thread.context.uc_stack.ss_sp = thread.stack.get();
  thread.context.uc_stack.ss_size = STACK;
  thread.context.uc_link = nullptr;
  makecontext(&thread.context, begin, 0);
  setcontext(&thread.context);
}

[[noreturn]] inline void stop(const char* why) {
  std::fprintf(stderr, "%s\n", why);
  std::abort();
}

// Every other round backwards, so that a result that depends on the order of threads shows.
inline void run_block(size_t num) {
  threads.resize(num);
  for (Thread& thread : threads) thread.has_begun = thread.has_ended = false;
  for (size_t round = 0;; round++) {
    size_t ended = 0;
    for (size_t i = 0; i < num; i++) {
      const size_t one = round % 2 ? num - 1 - i : i;
      resume(one);
      ended += threads[one].has_ended;
    }
    if (ended == num) return;
    if (ended > 0) stop("some threads of a block wait for others that have ended");
  }
}

}  // namespace emulated

inline void __syncthreads() {
  if (!_setjmp(emulated::threads[emulated::current].place)) _longjmp(emulated::scheduler, 1);
}

template <typename Kernel, typename... Arguments>
void cudaLaunchKernelEx(const cudaLaunchConfig_t* config, Kernel kernel, const Arguments&... all) {
  if (config->dynamicSmemBytes > MOST_SHARED) emulated::stop("too much shared memory");
  gridDim = config->gridDim;
  emulated::body = [&] { kernel(all...); };
  for (unsigned block = 0; block < gridDim.x; block++) {
    blockIdx = dim3(block, 0, 0);
    // What no thread wrote is NaN in every type, and what lies behind stays it.
    char* const memory = reinterpret_cast<char*>(stylegan2_shared);
    std::memset(memory, 0xff, MOST_SHARED);
    emulated::run_block(config->blockDim.x);
    if (!std::all_of(memory + config->dynamicSmemBytes, memory + MOST_SHARED,
                     [](char byte) { return byte == char(0xff); }))
      emulated::stop("a thread wrote behind the shared memory");
  }
}
