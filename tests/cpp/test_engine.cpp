// The engine against a forward pass in plain loops and doubles; under the sanitizers this is also
// the test that nothing reads or writes outside its memory, at sizes that are no multiple of
// anything.
#include <new>
#include <stdexcept>
#include <thread>

#include "check.h"
#include "core/teacher.h"
#include "small_model.h"

// Every Buffer comes from here; after so many there is no memory left.
static int allocations_left = -1;  // below 0: no end
extern "C" void* aligned_alloc(size_t align, size_t bytes) noexcept(noexcept(aligned_alloc(1, 1))) {
  if (allocations_left == 0) return nullptr;
  allocations_left -= allocations_left > 0;
  void* memory = nullptr;
  return posix_memalign(&memory, align, bytes) ? nullptr : memory;
}

namespace {

double worst_error(mas::Engine& engine, const std::vector<int32_t>& tokens,
                   const std::vector<Vector>& exact) {
  const Config& config = engine.config();
  std::vector<std::vector<float>> made;
  std::vector<float*> out;
  for (size_t s = 0; s < config.streams.size(); ++s)
    made.emplace_back(size_t(mas::predicted(config, int(s), int(tokens.size()))) *
                      config.streams[s].vocab);
  for (auto& values : made) out.push_back(values.data());
  mas::teacher_logits(engine, tokens.data(), 1, int(tokens.size()), out);
  double worst = 0;
  size_t row = 0;
  for (size_t s = 0; s < made.size(); ++s) {
    const size_t vocab = config.streams[s].vocab;
    for (size_t i = 0; i < made[s].size(); ++i)
      worst = std::max(worst, std::fabs(made[s][i] - exact[row + i / vocab][i % vocab]));
    row += made[s].size() / vocab;
  }
  CHECK(row == exact.size());
  return worst;
}

void test_logits(const Config& config) {
  const Tensors tensors = random_tensors(config);
  const int length = config.length();
  std::vector<int32_t> tokens;
  for (int t = 0; t < length; ++t)
    tokens.push_back(t * 7 % config.streams[config.stream_at(t)].vocab);
  const std::vector<Vector> exact = exact_logits(config, tensors, tokens);
  for (const mas::Isa isa : mas::supported_isas())
    for (const auto& [dtype, kv_dtype, bound] : {std::tuple{DType::fp32, DType::fp32, 1e-4},
                                                 {DType::fp32, DType::int8, 0.2},
                                                 {DType::bf16, DType::bf16, 0.5},
                                                 {DType::int8, DType::bf16, 0.5},
                                                 {DType::int8, DType::int8, 0.5},
                                                 {DType::int4, DType::int8, 2.0}}) {
      const auto engine = make(config, tensors, dtype, kv_dtype, 2, isa);
      const double error = worst_error(*engine, tokens, exact);
      CHECK_NEAR(error, 0, bound);
    }
}

// The token of a sequence at a position.
int32_t some_token(const Config& config, int sequence, int position) {
  return (position * 7 + sequence * 5) % config.streams[config.stream_at(position)].vocab;
}

// The logits of each position for `sequences` sequences from `first` on, read `window` positions at
// a time, the first `alone` of them one at a time.
std::vector<std::vector<float>> logits_of(mas::Engine& engine, int first, int sequences, int window,
                                          int alone = 0) {
  const Config& config = engine.config();
  const int length = config.length() - 1;
  std::vector<std::vector<float>> made(size_t(sequences) * length);
  std::vector<mas::KvCache> caches;
  for (int sequence = 0; sequence < sequences; ++sequence) caches.emplace_back(config, length);
  engine.reserve(sequences * window, length);
  for (int start = 0; start < length;) {
    const int end = start < alone ? start + 1 : std::min(length, start + window);
    mas::Pass pass;
    for (int sequence = 0; sequence < sequences; ++sequence) {
      pass.segments.push_back({&caches[sequence], int(pass.entries.size()), end - start});
      for (int position = start; position < end; ++position)
        pass.entries.push_back({some_token(config, first + sequence, position), position});
    }
    // A request for each position, of the sequences in descending order.
    std::vector<std::vector<float>> out(end - start);
    for (int position = start; position < end; ++position) {
      const int stream = config.stream_at(position + 1);
      std::vector<float>& to = out[position - start];
      to.resize(size_t(sequences) * config.streams[stream].vocab);
      pass.logits.push_back({stream, {}, to.data()});
      for (int sequence = sequences - 1; sequence >= 0; --sequence)
        pass.logits.back().entries.push_back(sequence * (end - start) + position - start);
    }
    engine.pool().run([&](int thread) { engine.forward(thread, pass); });
    for (int position = start; position < end; ++position) {
      const std::vector<float>& from = out[position - start];
      const size_t vocab = from.size() / sequences;
      for (int sequence = 0; sequence < sequences; ++sequence) {
        const auto row = from.begin() + (sequences - 1 - sequence) * vocab;
        made[size_t(sequence) * length + position].assign(row, row + vocab);
      }
    }
    start = end;
  }
  return made;
}

// Whether a level gives the logits of the level below it, bit for bit.
[[maybe_unused]] bool as_below(mas::Isa isa, DType dtype, DType kv_dtype) {
  const bool bf16 = dtype == DType::bf16 || kv_dtype == DType::bf16;
  // Dot products of bfloat16 came with avx512_bf16 and neon_i8mm. The other levels of NEON add up
  // as the compiler's vectors do.
  if (isa >= mas::Isa::neon) return isa != mas::Isa::neon_i8mm || !bf16;
  // Dot products of bytes, which are exact, came with avx512_vnni.
  return mas::is_quantized(dtype) &&
         (isa == mas::Isa::amx || (isa == mas::Isa::avx512_bf16 && !bf16));
}

// What a row gives depends neither on the rows beside it nor on when they are read.
[[maybe_unused]] void test_rows(const Config& config, bool all_windows) {
  const Tensors tensors = random_tensors(config);
  const int length = config.length() - 1;
  std::map<std::pair<DType, DType>, std::vector<std::vector<float>>> below;
  each_kind([&](mas::Isa isa, DType dtype, DType kv_dtype) {
    const auto engine = make(config, tensors, dtype, kv_dtype, 1, isa);
    std::vector<std::vector<float>> alone;  // one row at a time
    for (int sequence = 0; sequence < 3; ++sequence)
      for (auto& logits : logits_of(*engine, sequence, 1, 1)) alone.push_back(std::move(logits));
    const auto equal = [&](const std::vector<std::vector<float>>& made, int first) {
      bool same = true;
      for (size_t i = 0; i < made.size(); ++i) {
        const size_t sequence = first + i / length, at = sequence * length + i % length;
        same = same && (sequence >= 3 || made[i] == alone[at]);
      }
      return same;
    };
#if defined(MAS_FAST_EMULATED)  // which is slow
    std::vector<int> windows{2, 9};
#else
    std::vector<int> windows{2, 3, 4, 7, 8, 9, 16, 17, 33, 70};
#endif
    if (all_windows && (isa == mas::Isa::avx512_bf16 || isa == mas::Isa::amx))
      for (int window = 5; window < 70; window += 6) windows.push_back(window);
    for (const int window : windows) CHECK(equal(logits_of(*engine, 0, 1, window, window % 4), 0));
    for (const auto& [sequences, window] : {std::pair{3, 1}, {5, 2}, {17, 1}})
      CHECK(equal(logits_of(*engine, 0, sequences, window), 0));
    CHECK(equal(logits_of(*engine, 1, 2, 4), 1));
    const auto team = make(config, tensors, dtype, kv_dtype, 3, isa);
    CHECK(equal(logits_of(*team, 0, 3, 2), 0) && equal(logits_of(*team, 0, 1, 9), 0));
    std::vector<std::vector<float>>& last = below[{dtype, kv_dtype}];
    CHECK(!as_below(isa, dtype, kv_dtype) || last == alone);
    last = std::move(alone);
  });
}

void test_refusals(const Config& config) {
  const Tensors tensors = random_tensors(config);
  const auto engine = make(config, tensors, DType::fp32, DType::fp32, 2, mas::best_isa());
  const auto refused = [&](auto change) {
    mas::Request what = request(config, 2, 1);
    change(what);
    CHECK_THROWS(mas::Run(engine, what), std::invalid_argument);
  };
  refused([](mas::Request& what) { what.forced[0] = -1; });
  refused([](mas::Request& what) { what.forced[0] = -2; });
  refused([&](mas::Request& what) { what.forced.back() = config.streams.back().vocab; });
  refused([](mas::Request& what) { what.forced.pop_back(); });
  refused([](mas::Request& what) { what.null.clear(); });
  refused([](mas::Request& what) { what.null[0] = -1; });
  refused([](mas::Request& what) { what.null.back() = 99; });
  refused([](mas::Request& what) { what.null.pop_back(); });
  refused([](mas::Request& what) { what.samples = 0; });
  refused([](mas::Request& what) { what.prompts = 0; });
  refused([](mas::Request& what) { what.stop = 0; });
  refused([](mas::Request& what) { what.window = -1; });
  refused([](mas::Request& what) { what.window = mas::Speculation::kWidest + 1; });
  refused([](mas::Request& what) { what.sampling.pop_back(); });
  refused([](mas::Request& what) { what.sampling[0].temperature = NAN; });
  for (auto change :
       {+[](Config& c) { c.dim = 0; }, +[](Config& c) { c.heads = 7; },
        +[](Config& c) { c.kv_dtype = DType::int4; }, +[](Config& c) { c.streams.clear(); },
        +[](Config& c) { c.streams[0].vocab = 0; }, +[](Config& c) { c.norm_eps = NAN; },
        +[](Config& c) { c.attention = {mas::Mask::row}; }, +[](Config& c) { c.conv_kernel = 4; },
        +[](Config& c) { c.streams[1].height = 31; },
        +[](Config& c) { c.streams[1].height = 2, c.streams[1].width = 15; },
        +[](Config& c) { c.attention.assign(2, mas::Mask::row); },
        +[](Config& c) {
          c.attention = {mas::Mask::causal, mas::Mask::conv};
          c.streams[1].height = 1, c.streams[1].width = 31;  // and none for the last stream
        }}) {
    Config changed = config;
    change(changed);
    CHECK_THROWS(mas::Engine(changed, 1, mas::Isa::generic), std::invalid_argument);
  }
  mas::Engine empty(config, 1, mas::Isa::generic);
  CHECK_THROWS(empty.weights().check_complete(), std::invalid_argument);
  CHECK_THROWS(empty.weights().load("nothing", {nullptr, false}, {}), std::invalid_argument);
  CHECK_THROWS(empty.weights().load("norm.bias", {nullptr, false}, {1}), std::invalid_argument);
  CHECK_THROWS(mas::parse_isa("none"), std::invalid_argument);
  CHECK_THROWS(mas::parse_dtype("fp8"), std::invalid_argument);
}

// An engine that found no memory for a longer pass still makes those that it made before.
void test_out_of_memory(const Config& config) {
  const Tensors tensors = random_tensors(config);
  const auto engine = make(config, tensors, DType::fp32, DType::fp32, 3, mas::best_isa());
  std::vector<int32_t> all(config.length(), 1), few(all.begin(), all.begin() + 5);
  const std::vector<Vector> exact = exact_logits(config, tensors, all);
  const std::vector<Vector> exact_few(exact.begin(), exact.begin() + few.size());
  CHECK_NEAR(worst_error(*engine, few, exact_few), 0, 1e-4);
  for (int failures = 0;; ++failures) {
    allocations_left = failures;
    bool failed = false;
    double error = 0;
    try {
      error = worst_error(*engine, all, exact);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    allocations_left = -1;
    if (!failed) {
      CHECK(failures >= 8);  // the buffers of a pass; then the cache
      CHECK_NEAR(error, 0, 1e-4);
      return;
    }
    CHECK_NEAR(worst_error(*engine, few, exact_few), 0, 1e-4);
  }
}

}  // namespace

int main() {
  for (const Config& config : {odd, wide, sparse, without_text}) test_logits(config);
#if defined(MAS_FAST_EMULATED)
  test_rows(wide, false);
#elif !defined(__SANITIZE_THREAD__)  // which sees nothing in sums of rows
  for (const Config& config : {wide, four, sparse}) test_rows(config, false);
  test_rows(five, true);
#endif
  test_refusals(odd);
  test_out_of_memory(odd);
  return check::finish();
}
