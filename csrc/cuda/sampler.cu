// The sampler on a GPU, one block per row. It gives the same bits as csrc/core/sampler.cpp, because
// fp64 math is exact_math.h, sums are integers and everything else is a maximum. Compile with
// --fmad=false.
#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/macros.h>

#include "../core/exact_math.h"
#include "../core/philox.h"
#include "../sample_op.h"

namespace mas {
namespace {

constexpr int kThreads = 512, kWarps = kThreads / 32;
constexpr int kDigitBits = 8, kDigits = 1 << kDigitBits;
constexpr int kCopies = 8;  // of the histogram: neighbouring logits share digits, and so an address

struct Shared {
  unsigned long long sum[kCopies][kDigits];
  int64_t reduced[kWarps];
  int64_t above, within;  // mass of larger digits than `digit`, mass of `digit`
  int digit;
};

// The arguments are those of sample(); logit and weight are scratch [rows, vocab].
struct Args {
  const float *cond, *uncond;
  const int64_t *sample, *position;
  float* logit;
  double* weight;
  int64_t* token;
  uint8_t* kept;
  float guidance, temperature;
  int64_t top_k;
  double top_p;  // 0: no such step
  uint64_t seed;
  int vocab;
};

// Every thread of the block must call this, and all get the result. It ends with a barrier, so
// `shared` is free again.
template <class Combine>
__device__ int64_t reduce(int64_t value, Combine combine, Shared& shared) {
  for (int offset = 16; offset; offset /= 2)
    value = combine(
        value, static_cast<int64_t>(__shfl_xor_sync(~0u, static_cast<long long>(value), offset)));
  if (threadIdx.x % 32 == 0) shared.reduced[threadIdx.x / 32] = value;
  __syncthreads();
  value = shared.reduced[0];
  for (int warp = 1; warp < kWarps; ++warp) value = combine(value, shared.reduced[warp]);
  __syncthreads();
  return value;
}

__device__ int64_t reduce_max(int64_t value, Shared& shared) {
  return reduce(value, [](int64_t a, int64_t b) { return a > b ? a : b; }, shared);
}
__device__ int64_t reduce_min(int64_t value, Shared& shared) {
  return reduce(value, [](int64_t a, int64_t b) { return a < b ? a : b; }, shared);
}
__device__ int64_t reduce_sum(int64_t value, Shared& shared) {
  return reduce(value, [](int64_t a, int64_t b) { return a + b; }, shared);
}

// The digit, from the largest down, at which the mass counted from shared.above on satisfies
// `reached`; updates shared.above and shared.within. digit(i) is -1 where i does not take part.
// Called by every thread of the block after a barrier; ends with one.
template <class Digit, class Mass, class Reached>
__device__ int find_digit(int count, Digit digit, Mass mass, Reached reached, Shared& shared) {
  const int64_t above = shared.above;
  unsigned long long* flat = &shared.sum[0][0];
  for (int i = threadIdx.x; i < kCopies * kDigits; i += kThreads) flat[i] = 0;
  __syncthreads();
  unsigned long long* sum = shared.sum[threadIdx.x / 32 % kCopies];
  for (int i = threadIdx.x; i < count; i += kThreads) {
    const int d = digit(i);
    if (d >= 0) atomicAdd(&sum[d], static_cast<unsigned long long>(mass(i)));
  }
  __syncthreads();

  // Thread t takes digit kDigits - 1 - t; `upto` becomes the mass of that digit and of those above.
  const int mine = kDigits - 1 - static_cast<int>(threadIdx.x);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int64_t within = 0;
  if (mine >= 0)
    for (int copy = 0; copy < kCopies; ++copy)
      within += static_cast<int64_t>(shared.sum[copy][mine]);
  int64_t upto = within;
  for (int offset = 1; offset < 32; offset *= 2) {
    const int64_t other = __shfl_up_sync(~0u, static_cast<long long>(upto), offset);
    if (lane >= offset) upto += other;
  }
  if (lane == 31) shared.reduced[warp] = upto;
  __syncthreads();
  for (int w = 0; w < warp; ++w) upto += shared.reduced[w];
  upto += above;
  if (mine >= 0 && reached(upto) && !reached(upto - within)) {  // true of one thread
    shared.digit = mine;
    shared.above = upto - within;
    shared.within = within;
  }
  __syncthreads();
  return shared.digit;
}

struct Cut {
  uint64_t key;
  int last;
  __device__ bool keeps(uint64_t k, int i) const { return k > key || (k == key && i <= last); }
};

// find_cut of csrc/core/sampler.cpp; mass is a function of the key. First the digits of the key;
// where only some of the equal keys are kept, then those of the index, reversed so that the lowest
// come first.
template <int kBits, class Key, class Mass, class Reached>
__device__ Cut find_cut(int count, Key key, Mass mass, Reached reached, Shared& shared) {
  static_assert(kBits % kDigitBits == 0);
  if (threadIdx.x == 0) shared.above = 0;
  __syncthreads();
  const auto mass_at = [&](int i) { return mass(key(i)); };
  uint64_t cut = 0;
  for (int shift = kBits - kDigitBits; shift >= 0; shift -= kDigitBits) {
    const auto digit = [&](int i) {
      const uint64_t k = key(i);
      return k >> shift >> kDigitBits == cut ? static_cast<int>(k >> shift & (kDigits - 1)) : -1;
    };
    const int reached_digit = find_digit(count, digit, mass_at, reached, shared);
    cut = cut << kDigitBits | static_cast<uint64_t>(reached_digit);
  }
  if (!reached(shared.above + shared.within - mass(cut)))
    return {cut, count - 1};  // all equals are needed

  constexpr int kIndexBits = 24, kLastIndex = (1 << kIndexBits) - 1;
  static_assert(kMaxVocab <= kLastIndex);
  int reversed = 0;
  for (int shift = kIndexBits - kDigitBits; shift >= 0; shift -= kDigitBits) {
    const auto digit = [&](int i) {
      const int r = kLastIndex - i;
      return key(i) == cut && r >> shift >> kDigitBits == reversed ? r >> shift & (kDigits - 1)
                                                                   : -1;
    };
    reversed = reversed << kDigitBits | find_digit(count, digit, mass_at, reached, shared);
  }
  return {cut, kLastIndex - reversed};
}

// Thread t owns the tokens t, t + kThreads, ... from the first loop to the last, so scratch needs
// no barrier.
__global__ void __launch_bounds__(kThreads) sample_rows(Args a) {
  __shared__ Shared shared;
  const int64_t row = blockIdx.x, start = row * a.vocab;
  const int vocab = a.vocab, thread = threadIdx.x;
  const float* cond = a.cond + start;
  float* logit = a.logit + start;
  uint8_t* kept = a.kept + start;

  int64_t max_key = INT64_MIN, nan = INT64_MAX;
  for (int i = thread; i < vocab; i += kThreads) {
    float l = cond[i];
    if (a.uncond) {
      const float u = a.uncond[start + i];
      l = __fadd_rn(u, __fmul_rn(a.guidance, __fsub_rn(l, u)));
    }
    if (a.temperature != 0) l = __fdiv_rn(l, a.temperature);
    l = __fadd_rn(l, 0.0f);  // -0.0 becomes 0.0
    logit[i] = l;
    kept[i] = l == l;
    if (l != l && nan == INT64_MAX) nan = i;
    const int64_t key = ordered(l);
    max_key = key > max_key ? key : max_key;
  }
  nan = reduce_min(nan, shared);
  max_key = reduce_max(max_key, shared);
  if (nan != INT64_MAX) {
    for (int i = thread; i < vocab; i += kThreads) kept[i] = 0;
    if (thread == 0) a.token[row] = -1 - nan;
    return;
  }

  if (a.temperature == 0) {
    int64_t first = INT64_MAX;
    for (int i = thread; i < vocab; i += kThreads)
      if (ordered(logit[i]) == max_key && i < first) first = i;
    first = reduce_min(first, shared);
    for (int i = thread; i < vocab; i += kThreads) kept[i] = i == first;
    if (thread == 0) a.token[row] = first;
    return;
  }

  if (a.top_k < vocab) {
    const auto key = [&](int i) {
      return uint64_t{static_cast<uint32_t>(ordered(logit[i])) ^ 0x80000000u};
    };
    const auto one = [](uint64_t) { return int64_t{1}; };
    const auto reached = [&](int64_t sum) { return sum >= a.top_k; };
    const Cut cut = find_cut<32>(vocab, key, one, reached, shared);
    for (int i = thread; i < vocab; i += kThreads) kept[i] = cut.keeps(key(i), i);
  }

  if (a.top_p > 0) {
    double* weight = a.weight + start;
    const float max = ordered_float(static_cast<int32_t>(max_key));
    int64_t total = 0;
    for (int i = thread; i < vocab; i += kThreads) {
      weight[i] = kept[i] ? top_p_weight(logit[i], max) : 0.0;  // a weight of 0 is never kept
      total += static_cast<int64_t>(weight[i]);
    }
    total = reduce_sum(total, shared);
    const double target = a.top_p * static_cast<double>(total);
    const int64_t half = bits_of(0.5);  // the keys: see keep_top_p in csrc/core/sampler.cpp
    const auto key = [&](int i) {
      const int64_t bits = bits_of(weight[i]);
      return bits > half ? static_cast<uint64_t>(bits - half) >> 12 : uint64_t{0};
    };
    const auto mass = [&](uint64_t k) {
      return k ? static_cast<int64_t>(double_of(static_cast<int64_t>(k << 12) + half)) : int64_t{0};
    };
    const auto reached = [&](int64_t sum) { return static_cast<double>(sum) >= target; };
    const Cut cut = find_cut<48>(vocab, key, mass, reached, shared);
    for (int i = thread; i < vocab; i += kThreads) kept[i] = cut.keeps(key(i), i);
  }

  const uint32_t sample = static_cast<uint32_t>(a.sample[row]),
                 position = static_cast<uint32_t>(a.position[row]);
  int64_t best_score = INT64_MIN, best = INT64_MAX;
  for (int i = thread; i < vocab; i += kThreads) {
    if (!kept[i]) continue;
    const PhiloxBlock b =
        philox4x32({static_cast<uint32_t>(i) >> 2, position, sample, 0},
                   static_cast<uint32_t>(a.seed), static_cast<uint32_t>(a.seed >> 32));
    const uint32_t even = i & 2 ? b.x2 : b.x0, odd = i & 2 ? b.x3 : b.x1;
    const int64_t score = ordered(static_cast<double>(logit[i]) + gumbel(i & 1 ? odd : even));
    if (score > best_score) {
      best_score = score;
      best = i;
    }
  }
  const int64_t top_score = reduce_max(best_score, shared);
  best = reduce_min(best_score == top_score ? best : INT64_MAX, shared);
  if (thread == 0) a.token[row] = best;
}

std::tuple<Tensor, Tensor> sample_cuda(Tensor logits, std::optional<Tensor> uncond, double guidance,
                                       double temperature, std::optional<int64_t> top_k,
                                       std::optional<double> top_p, int64_t seed, Tensor sample,
                                       Tensor position) {
  const torch::stable::accelerator::DeviceGuard guard(logits.get_device_index());
  SampleOp op(logits, uncond, sampling_of(guidance, temperature, top_k, top_p), sample, position);
  if (op.rows == 0) return {op.token, op.kept};
  Tensor logit = torch::stable::new_empty(logits, {op.rows, op.vocab}, ScalarType::Float);
  Tensor weight =
      torch::stable::new_empty(logits, {top_p ? op.rows : 0, op.vocab}, ScalarType::Double);
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(logits.get_device_index(), &stream));
  const Args args{
      .cond = op.logits,
      .uncond = op.uncond,
      .sample = op.sample,
      .position = op.position,
      .logit = logit.mutable_data_ptr<float>(),
      .weight = static_cast<double*>(weight.mutable_data_ptr()),
      .token = op.token.mutable_data_ptr<int64_t>(),
      .kept = static_cast<uint8_t*>(op.kept.mutable_data_ptr()),
      .guidance = static_cast<float>(guidance),
      .temperature = static_cast<float>(temperature),
      .top_k = op.sampling.top_k,
      .top_p = top_p.value_or(0),
      .seed = static_cast<uint64_t>(seed),
      .vocab = static_cast<int>(op.vocab),
  };
  sample_rows<<<static_cast<unsigned>(op.rows), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      args);
  STD_CUDA_KERNEL_LAUNCH_CHECK();
  return {op.token, op.kept};
}

}  // namespace
}  // namespace mas

STABLE_TORCH_LIBRARY_IMPL(mas_fast, CUDA, m) { m.impl("sample", TORCH_BOX(&mas::sample_cuda)); }
