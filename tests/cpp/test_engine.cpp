// The engine against a forward pass in plain loops and doubles; under the sanitizers this is also
// the test that nothing reads or writes outside its memory, at sizes that are no multiple of
// anything.
#include <algorithm>
#include <cmath>
#include <map>
#include <new>
#include <random>
#include <stdexcept>

#include "check.h"
#include "core/run.h"
#include "masks.h"

// Every Buffer comes from here; after so many there is no memory left.
static int allocations_left = -1;  // below 0: no end
extern "C" void* aligned_alloc(size_t align, size_t bytes) noexcept {
  if (allocations_left == 0) return nullptr;
  allocations_left -= allocations_left > 0;
  void* memory = nullptr;
  return posix_memalign(&memory, align, bytes) ? nullptr : memory;
}

namespace {

using mas::Config;
using mas::DType;
using Vector = std::vector<double>;

struct Tensors {
  std::map<std::string, std::vector<float>> values;
  std::map<std::string, std::vector<size_t>> shapes;
  const float* operator[](const std::string& name) const { return values.at(name).data(); }
};

Tensors random_tensors(const Config& config) {
  Tensors tensors;
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.2f);
  auto add = [&](const std::string& name, std::vector<size_t> shape, float center = 0) {
    size_t count = 1;
    for (size_t size : shape) count *= size;
    std::vector<float>& values = tensors.values[name];
    for (size_t i = 0; i < count; ++i) values.push_back(center + normal(random));
    tensors.shapes[name] = std::move(shape);
  };
  const size_t dim = config.dim, mlp = config.mlp;
  for (int i = 0; i < config.layers; ++i) {
    const std::string block = "blocks." + std::to_string(i) + ".";
    for (const char* norm : {"norm1", "norm2"}) {
      add(block + norm + ".weight", {dim}, 1);
      add(block + norm + ".bias", {dim});
    }
    add(block + "attention.qkv.weight", {3 * dim, dim});
    add(block + "attention.qkv.bias", {3 * dim});
    add(block + "attention.proj.weight", {dim, dim});
    add(block + "attention.proj.bias", {dim});
    add(block + "mlp.up.weight", {mlp, dim});
    add(block + "mlp.up.bias", {mlp});
    add(block + "mlp.down.weight", {dim, mlp});
    add(block + "mlp.down.bias", {dim});
    if (config.qk_norm) {
      add(block + "attention.q_norm.weight", {size_t(config.head_dim())}, 1);
      add(block + "attention.k_norm.weight", {size_t(config.head_dim())}, 1);
    }
  }
  add("norm.weight", {dim}, 1);
  add("norm.bias", {dim});
  for (const mas::StreamShape& stream : config.streams) {
    add("embed." + stream.name + ".weight", {size_t(stream.vocab), dim});
    add("position." + stream.name + ".weight", {size_t(stream.length), dim});
    add("head." + stream.name + ".weight", {size_t(stream.vocab), dim});
  }
  return tensors;
}

Vector product(const Vector& x, const float* weight, const float* bias, int outputs) {
  Vector y(outputs);
  for (int o = 0; o < outputs; ++o) {
    y[o] = bias ? bias[o] : 0;
    for (size_t i = 0; i < x.size(); ++i) y[o] += x[i] * weight[o * x.size() + i];
  }
  return y;
}

Vector normed(const Vector& x, const float* weight, const float* bias, double epsilon) {
  double mean = 0, squares = 0;
  for (double value : x) mean += value / x.size();
  for (double value : x) squares += (value - mean) * (value - mean) / x.size();
  Vector y(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    y[i] = (x[i] - mean) / std::sqrt(squares + epsilon) * weight[i] + bias[i];
  return y;
}

void rms(double* x, const float* weight, int size) {
  double squares = 0;
  for (int i = 0; i < size; ++i) squares += x[i] * x[i] / size;
  for (int i = 0; i < size; ++i) x[i] *= weight[i] / std::sqrt(squares + 1e-6);
}

// The logits that each position but the last predicts.
std::vector<Vector> exact_logits(const Config& config, const Tensors& w,
                                 const std::vector<int32_t>& tokens) {
  const int dim = config.dim, width = config.head_dim(), length = int(tokens.size());
  std::vector<Vector> x(length, Vector(dim)), qkv(length);
  for (int t = 0; t < length; ++t) {
    const int stream = config.stream_at(t);
    const std::string& name = config.streams[stream].name;
    for (int i = 0; i < dim; ++i)
      x[t][i] = double(w["embed." + name + ".weight"][tokens[t] * dim + i]) +
                w["position." + name + ".weight"][(t - config.offset(stream)) * dim + i];
  }
  for (int layer = 0; layer < config.layers; ++layer) {
    const std::string block = "blocks." + std::to_string(layer) + ".";
    auto get = [&](const std::string& name) { return w[block + name]; };
    for (int t = 0; t < length; ++t) {
      qkv[t] = product(normed(x[t], get("norm1.weight"), get("norm1.bias"), config.norm_eps),
                       get("attention.qkv.weight"), get("attention.qkv.bias"), 3 * dim);
      for (int head = 0; config.qk_norm && head < config.heads; ++head) {
        rms(&qkv[t][head * width], get("attention.q_norm.weight"), width);
        rms(&qkv[t][dim + head * width], get("attention.k_norm.weight"), width);
      }
    }
    for (int t = 0; t < length; ++t) {
      Vector mixed(dim);
      for (int head = 0; head < config.heads; ++head) {
        Vector weights(t + 1);
        double most = -1e300, total = 0;
        for (int s = 0; s <= t; ++s) {
          if (!sees(config, config.mask(layer), t, s)) {
            weights[s] = -INFINITY;
            continue;
          }
          for (int i = 0; i < width; ++i)
            weights[s] += qkv[t][head * width + i] * qkv[s][dim + head * width + i];
          weights[s] /= std::sqrt(double(width));
          most = std::max(most, weights[s]);
        }
        for (double& weight : weights) total += weight = std::exp(weight - most);
        for (int s = 0; s <= t; ++s)
          for (int i = 0; i < width; ++i)
            mixed[head * width + i] += weights[s] / total * qkv[s][2 * dim + head * width + i];
      }
      const Vector attended =
          product(mixed, get("attention.proj.weight"), get("attention.proj.bias"), dim);
      for (int i = 0; i < dim; ++i) x[t][i] += attended[i];
      Vector hidden = product(normed(x[t], get("norm2.weight"), get("norm2.bias"), config.norm_eps),
                              get("mlp.up.weight"), get("mlp.up.bias"), config.mlp);
      for (double& value : hidden) value *= 0.5 * (1 + std::erf(value / std::sqrt(2.0)));
      const Vector added = product(hidden, get("mlp.down.weight"), get("mlp.down.bias"), dim);
      for (int i = 0; i < dim; ++i) x[t][i] += added[i];
    }
  }
  std::vector<Vector> logits;
  for (int t = 0; t + 1 < length; ++t) {
    const mas::StreamShape& stream = config.streams[config.stream_at(t + 1)];
    logits.push_back(product(normed(x[t], w["norm.weight"], w["norm.bias"], config.norm_eps),
                             w["head." + stream.name + ".weight"], nullptr, stream.vocab));
  }
  return logits;
}

std::shared_ptr<mas::Engine> make(Config config, const Tensors& tensors, DType dtype,
                                  DType kv_dtype, int threads, mas::Isa isa) {
  config.dtype = dtype;
  config.kv_dtype = kv_dtype;
  auto engine = std::make_shared<mas::Engine>(config, threads, isa);
  for (const auto& [name, values] : tensors.values)
    engine->weights().load(name, {values.data(), false}, tensors.shapes.at(name));
  engine->weights().check_complete();
  return engine;
}

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

mas::Request request(const Config& config, int prompts, int samples) {
  mas::Request made;
  made.prompts = prompts;
  made.samples = samples;
  made.stop = config.length();
  made.seed = 42;
  for (int prompt = 0; prompt < prompts; ++prompt)
    for (int t = 0; t < config.length(); ++t) {
      const int first = config.streams[0].length;
      const bool middle =
          prompt == 1 && t >= first + 3 && t < first + 9;  // one prompt has part of a later stream
      made.forced.push_back(t < first - 2 ? (t * 3 + prompt) % config.streams[0].vocab
                            : middle      ? 1
                                          : -1);
    }
  made.null.assign(config.streams[0].length, 0);
  for (size_t s = 0; s < config.streams.size(); ++s)
    made.sampling.push_back({s ? 1.5 : 1.0, 1.0, s == 1 ? 5 : mas::kAll, {}});
  return made;
}

std::vector<int32_t> generate(const std::shared_ptr<mas::Engine>& engine, const mas::Request& what,
                              int count) {
  mas::Run run(engine, what);
  while (run.position() < run.stop()) run.advance(count, {});
  return run.tokens();
}

void test_shape(const Config& config) {
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
                                                 {DType::int8, DType::int8, 0.5}}) {
      const auto engine = make(config, tensors, dtype, kv_dtype, 2, isa);
      const double error = worst_error(*engine, tokens, exact);
      CHECK_NEAR(error, 0, bound);
      const std::vector<int32_t> all = generate(engine, request(config, 3, 2), 0);
      CHECK(all.size() == size_t(6 * length) && *std::min_element(all.begin(), all.end()) >= 0);
      CHECK(all == generate(engine, request(config, 3, 2), 5));
      CHECK(all ==
            generate(make(config, tensors, dtype, kv_dtype, 3, isa), request(config, 3, 2), 0));
      const auto first =
          generate(make(config, tensors, dtype, kv_dtype, 1, isa), request(config, 1, 1), 1);
      CHECK(std::equal(first.begin(), first.end(), all.begin()));
      for (int t = 0; t < 6; ++t) CHECK(all[2 * length + config.streams[0].length + 3 + t] == 1);
    }
}

// Those to test. Under ThreadSanitizer, which is slow, one is enough, as threads meet in code that
// all of them share; main() leaves out configs for the same reason.
std::vector<mas::Isa> tested_isas() {
#if defined(__SANITIZE_THREAD__)
  return {mas::best_isa()};
#else
  return mas::supported_isas();
#endif
}

// Calls act(isa, dtype, kv_dtype) for every instruction set and each type of weights and of keys.
template <class Act>
void each_kind(Act act) {
  for (const mas::Isa isa : tested_isas())
    for (const auto& [dtype, kv_dtype] : {std::pair{DType::fp32, DType::fp32},
                                          {DType::bf16, DType::bf16},
                                          {DType::int8, DType::bf16},
                                          {DType::int8, DType::int8}})
      act(isa, dtype, kv_dtype);
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
  mas::KvCache cache(config, sequences, length);
  engine.reserve(sequences * window, length);
  for (int start = 0; start < length;) {
    const int end = start < alone ? start + 1 : std::min(length, start + window);
    std::vector<mas::BatchEntry> entries;
    std::vector<mas::LogitsRequest> requests;
    std::vector<std::vector<float>> out(end - start);
    for (int position = start; position < end; ++position) {
      const int stream = config.stream_at(position + 1), vocab = config.streams[stream].vocab;
      std::vector<float>& to = out[position - start];
      to.resize(size_t(sequences) * vocab);
      requests.push_back({stream, int(entries.size()), sequences, to.data(), vocab});
      for (int sequence = 0; sequence < sequences; ++sequence)
        entries.push_back({some_token(config, first + sequence, position), position, sequence});
    }
    engine.pool().run(
        [&](int thread) { engine.forward(thread, cache, entries, sequences, requests); });
    for (int position = start; position < end; ++position) {
      const std::vector<float>& from = out[position - start];
      const size_t vocab = from.size() / sequences;
      for (int sequence = 0; sequence < sequences; ++sequence)
        made[size_t(sequence) * length + position].assign(from.begin() + sequence * vocab,
                                                          from.begin() + (sequence + 1) * vocab);
    }
    start = end;
  }
  return made;
}

// What a row gives depends neither on the rows beside it nor on when they are read.
[[maybe_unused]] void test_rows(const Config& config, bool all_windows) {
  const Tensors tensors = random_tensors(config);
  const int length = config.length() - 1;
  std::map<DType, std::vector<std::vector<float>>> of_bytes;  // int8 by dot products of bytes
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
    std::vector<int> windows{2, 3, 4, 7, 8, 9, 16, 17, 33, 70};
    if (all_windows && isa >= mas::Isa::avx512_bf16)
      for (int window = 5; window < 70; window += 6) windows.push_back(window);
    for (const int window : windows) CHECK(equal(logits_of(*engine, 0, 1, window, window % 4), 0));
    for (const auto& [sequences, window] : {std::pair{3, 1}, {5, 2}, {17, 1}})
      CHECK(equal(logits_of(*engine, 0, sequences, window), 0));
    CHECK(equal(logits_of(*engine, 1, 2, 4), 1));
    const auto team = make(config, tensors, dtype, kv_dtype, 3, isa);
    CHECK(equal(logits_of(*team, 0, 3, 2), 0) && equal(logits_of(*team, 0, 1, 9), 0));
    if (dtype == DType::int8 && isa >= mas::Isa::avx512_vnni) {
      // bfloat16 keys and values meet another instruction from avx512_bf16 on.
      if (isa == mas::Isa::avx512_vnni || (isa == mas::Isa::avx512_bf16 && kv_dtype == DType::bf16))
        of_bytes[kv_dtype] = alone;
      CHECK(of_bytes[kv_dtype] == alone);
    }
  });
}

// A request whose guesses are often right: little is left to chance.
mas::Request easy_request(const Config& config, int prompts, int samples) {
  mas::Request made = request(config, prompts, samples);
  made.sampling.back().temperature = 0;
  return made;
}

// The tokens are the same whatever is guessed.
void test_windows(const Config& config) {
  const Tensors tensors = random_tensors(config);
  int fewer = 0;  // passes than positions
  each_kind([&](mas::Isa isa, DType dtype, DType kv_dtype) {
    for (const auto& [prompts, samples] : {std::pair{1, 1}, {3, 2}})
      for (const bool easy : {false, true}) {
        if (easy != (prompts == 1)) continue;
        mas::Request what = (easy ? easy_request : request)(config, prompts, samples);
        const auto run = [&](int window, int threads, int count) {
          what.window = window;
          mas::Run made(make(config, tensors, dtype, kv_dtype, threads, isa), what);
          int last = 0;
          while (made.position() < made.stop()) {
            const int target = count ? std::min(made.stop(), made.position() + count) : 0;
            made.advance(count, [&](int position, int stop) {
              CHECK(position >= last && position <= stop && stop == what.stop);
              last = position;
              return true;
            });
            CHECK(made.position() >= target);
          }
          CHECK(last == what.stop);
          const int drawn = what.stop - (config.streams[0].length - 2);
          CHECK(made.passes() >= 1 && made.passes() <= drawn);
          if (window > 1 && !count) fewer += made.passes() < drawn;
          return made.tokens();
        };
        const std::vector<int32_t> one = run(1, 1, 0);
        for (const int window : {0, 3, 4, 32})
          CHECK(run(window, window % 5 == 3 ? 3 : 1, window == 4 ? 7 : 0) == one);
      }
  });
  CHECK(fewer > 0);
}

// Finite weights, of which the row of one token is so large that every norm of it is NaN: reading
// the token gives keys, values and logits that are NaN.
Tensors with_poison(Tensors tensors, const Config& config, int stream, int32_t token) {
  float* row = tensors.values.at("embed." + config.streams[stream].name + ".weight").data() +
               size_t(token) * config.dim;
  for (int i = 0; i < config.dim; ++i) row[i] = i % 2 ? 3e38f : -3e38f;
  return tensors;
}

// What became of a run: its tokens, how far it came, and its error.
struct Outcome {
  std::vector<int32_t> tokens;
  int position = 0, last = 0;  // `last`: what step() heard
  std::string error;
  bool operator==(const Outcome&) const = default;
};

Outcome outcome(const std::shared_ptr<mas::Engine>& engine, mas::Request what, int window) {
  what.window = window;
  mas::Run run(engine, what);
  Outcome made;
  for (int attempt = 0; attempt < 2; ++attempt)  // an error stays
    try {
      run.advance(0, [&](int position, int) {
        made.last = position;
        return true;
      });
    } catch (const std::domain_error& error) {
      made.error = error.what();
    }
  made.tokens = run.tokens();
  made.position = run.position();
  return made;
}

// A guess that overflows harms nothing, and a token that overflows is an error at its position.
void test_overflow(const Config& config) {
  const int stream = int(config.streams.size()) - 1, offset = config.offset(stream);
  Tensors tensors = random_tensors(config);
  // Token 0, with which guesses begin, is never drawn, as its logit is far below the others.
  std::vector<float>& bias = tensors.values.at("norm.bias");
  std::vector<float>& head = tensors.values.at("head." + config.streams[stream].name + ".weight");
  for (int i = 0; i < config.dim; ++i) bias[i] = 1, head[i] = -9;
  const Tensors guessed = with_poison(tensors, config, stream, 0);
  each_kind([&](mas::Isa isa, DType dtype, DType kv_dtype) {
    for (const auto& [prompts, samples] : {std::pair{2, 2}}) {
      const mas::Request what = request(config, prompts, samples);
      const auto engine = make(config, guessed, dtype, kv_dtype, 1, isa);
      const Outcome one = outcome(engine, what, 1);
      CHECK(one.error.empty() && one.position == what.stop);
      CHECK(one == outcome(make(config, tensors, dtype, kv_dtype, 1, isa), what, 1));
      for (const int window : {0, 3, 8}) CHECK(outcome(engine, what, window) == one);

      // A token of the last sequence, halfway.
      const int position = offset + config.streams[stream].length / 2;
      const int32_t token = one.tokens[one.tokens.size() - config.length() + position];
      const auto drawn =
          make(config, with_poison(tensors, config, stream, token), dtype, kv_dtype, 1, isa);
      const Outcome stopped = outcome(drawn, what, 1);
      CHECK(stopped.error.find("the logit of token 0: found NaN") != std::string::npos);
      CHECK(stopped.position <= position + 1 && stopped.position == stopped.last);
      CHECK(stopped.error.find("position " + std::to_string(stopped.position) + ":") !=
            std::string::npos);
      for (const int window : {0, 3, 8}) CHECK(outcome(drawn, what, window) == stopped);
    }
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
  refused([](mas::Request& what) { what.samples = 0; });
  refused([](mas::Request& what) { what.prompts = 0; });
  refused([](mas::Request& what) { what.stop = 0; });
  refused([](mas::Request& what) { what.window = -1; });
  refused([](mas::Request& what) { what.window = mas::Speculation::kWidest + 1; });
  refused([](mas::Request& what) { what.sampling.pop_back(); });
  refused([](mas::Request& what) { what.sampling[0].temperature = NAN; });
  for (auto change :
       {+[](Config& c) { c.dim = 0; }, +[](Config& c) { c.heads = 7; },
        +[](Config& c) { c.streams.clear(); }, +[](Config& c) { c.streams[0].vocab = 0; },
        +[](Config& c) { c.norm_eps = NAN; }, +[](Config& c) { c.attention = {mas::Mask::row}; },
        +[](Config& c) { c.conv_kernel = 4; }, +[](Config& c) { c.streams[1].height = 31; },
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

  mas::Run run(engine, request(config, 1, 1));
  CHECK(run.advance(0, [](int position, int) { return position < 20; }) ==
        20);  // stops when told, and goes on
  CHECK(run.advance(3, {}) == 23);
  CHECK_THROWS(run.advance(-1, {}), std::invalid_argument);

  mas::Request given = request(config, 40, 2);  // so many rows that the prompts take several passes
  mas::Run stopped(engine, given);
  int calls = 0;
  CHECK(stopped.advance(0, [&](int, int) { return ++calls > 2; }) == 4 && calls == 1);
  CHECK(stopped.advance(0, {}) == stopped.stop());
  mas::Run whole(engine, given);
  whole.advance(0, {});
  CHECK(stopped.tokens() == whole.tokens());
  CHECK_THROWS(run.advance(0, [&](int, int) { return run.advance(1, {}) > 0; }), std::logic_error);
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
  Config odd{.dim = 45,
             .layers = 2,
             .heads = 3,
             .mlp = 77,
             .qk_norm = true,
             .streams = {{"text", 6, 13}, {"seg", 31, 37}, {"img", 40, 70}}};
  Config wide{.dim = 96,
              .layers = 1,
              .heads = 1,
              .mlp = 130,
              .streams = {{"text", 4, 33}, {"img", 37, 64}}};
  // No part of it begins or ends with a panel, and the second layer's slots are no positions.
  Config sparse{.dim = 45,
                .layers = 3,
                .heads = 3,
                .mlp = 77,
                .streams = {{"text", 6, 13}, {"seg", 42, 37, 6, 7}, {"img", 66, 70, 6, 11}},
                .attention = {mas::Mask::row, mas::Mask::column, mas::Mask::conv},
                .conv_kernel = 5};
  Config without_text{.dim = 32,
                      .layers = 2,
                      .heads = 1,
                      .mlp = 32,
                      .streams = {{"seg", 30, 37, 5, 6}, {"img", 40, 70, 8, 5}},
                      .attention = {mas::Mask::conv, mas::Mask::column},
                      .conv_kernel = 3};
  // Sums of more inputs than are multiplied in one go.
  Config five{.dim = 95,
              .layers = 2,
              .heads = 5,
              .mlp = 333,
              .qk_norm = true,
              .streams = {{"text", 5, 33}, {"img", 67, 101}}};
  Config four{
      .dim = 132, .layers = 1, .heads = 4, .mlp = 35, .streams = {{"text", 3, 7}, {"img", 70, 9}}};
  test_shape(odd);
  test_shape(wide);
  test_shape(sparse);
  test_shape(without_text);
#if defined(__SANITIZE_THREAD__)
  test_windows(odd);
  test_overflow(odd);
#else
  for (const Config& config : {wide, four, sparse}) test_rows(config, false);
  test_rows(five, true);
  for (const Config& config : {odd, sparse}) test_windows(config);
  for (const Config& config : {odd, sparse}) test_overflow(config);
#endif
  test_refusals(odd);
  test_out_of_memory(odd);
  return check::finish();
}
