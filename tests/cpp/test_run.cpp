// Runs: the tokens of a sequence are the same whatever is guessed, whatever is drawn beside it, by
// however many threads.
#include <stdexcept>

#include "check.h"
#include "core/batch.h"
#include "small_model.h"

namespace {

std::vector<int32_t> generate(const std::shared_ptr<mas::Engine>& engine, const mas::Request& what,
                              int count) {
  mas::Run run(engine, what);
  while (run.position() < run.stop()) run.advance(count, {});
  return run.tokens();
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
    const mas::Request what = request(config, 2, 2);
    const auto engine = make(config, guessed, dtype, kv_dtype, 1, isa);
    const Outcome several = outcome(engine, what, 1);
    CHECK(several.error.empty() && several.position == what.stop);
    CHECK(several == outcome(make(config, tensors, dtype, kv_dtype, 1, isa), what, 1));
    for (const int window : {0, 3, 8}) CHECK(outcome(engine, what, window) == several);

    // A token halfway; of one sequence, as another one may have come farther.
    const mas::Request lone = request(config, 1, 1);
    const Outcome one = outcome(engine, lone, 1);
    const int position = offset + config.streams[stream].length / 2;
    const int32_t token = one.tokens[position];
    const auto drawn =
        make(config, with_poison(tensors, config, stream, token), dtype, kv_dtype, 1, isa);
    const Outcome stopped = outcome(drawn, lone, 1);
    CHECK(stopped.error.find("the logit of token 0: found NaN") != std::string::npos);
    CHECK(stopped.position <= position + 1 && stopped.position == stopped.last);
    CHECK(stopped.error.find("position " + std::to_string(stopped.position) + ":") !=
          std::string::npos);
    for (const int window : {0, 3, 8}) CHECK(outcome(drawn, lone, window) == stopped);
  });
}

void test_advance(const Config& config) {
  const Tensors tensors = random_tensors(config);
  const auto engine = make(config, tensors, DType::fp32, DType::fp32, 2, mas::best_isa());
  mas::Request single = request(config, 1, 1);
  single.window = 1;
  mas::Run run(engine, single);
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

// The tokens of a sequence depend neither on how many are drawn at once, nor on threads, nor on how
// far a call goes.
void test_batches(const Config& config) {
  const Tensors tensors = random_tensors(config);
  const int length = config.length();
  each_kind([&](mas::Isa isa, DType dtype, DType kv_dtype) {
    const auto engine = make(config, tensors, dtype, kv_dtype, 2, isa);
    const std::vector<int32_t> all = generate(engine, request(config, 3, 2), 0);
    CHECK(all.size() == size_t(6 * length) && *std::min_element(all.begin(), all.end()) >= 0);
    CHECK(all == generate(engine, request(config, 3, 2), 5));
    CHECK(all ==
          generate(make(config, tensors, dtype, kv_dtype, 3, isa), request(config, 3, 2), 0));
    const auto first =
        generate(make(config, tensors, dtype, kv_dtype, 1, isa), request(config, 1, 1), 1);
    CHECK(std::equal(first.begin(), first.end(), all.begin()));
    for (int t = 0; t < 6; ++t) CHECK(all[2 * length + config.streams[0].length + 3 + t] == 1);
  });
}

// Requests of all kinds: prompts, samples, guidance, null captions, seeds, windows, lengths.
std::vector<mas::Request> requests(const Config& config) {
  std::vector<mas::Request> made;
  for (int number = 0; number < 6; ++number) {
    mas::Request what = request(config, 1 + number % 3, 1 + number % 2);
    what.seed = number;
    what.window = number % 3 == 2 ? 4 : number % 2;
    what.stop -= number == 3 ? 17 : 0;
    what.first_sample = number;
    if (number == 1) {  // no guidance at all
      what.null.clear();
      for (mas::Sampling& settings : what.sampling) settings.guidance = 1;
    }
    if (number == 2)  // another null caption for each prompt, and other guidance at each position
      for (size_t i = 0; i < what.null.size(); ++i) what.null[i] = int(i / 3) % 3;
    if (number == 2)
      for (size_t t = 0; t < what.sampling.size(); ++t) what.sampling[t].guidance = 1 + t % 4;
    made.push_back(what);
  }
  return made;
}

// Runs that share passes, and come and go between them, have the tokens that they have alone.
void test_runs_together(const Config& config) {
  const Tensors tensors = random_tensors(config);
  each_kind([&](mas::Isa isa, DType dtype, DType kv_dtype) {
    const auto engine = make(config, tensors, dtype, kv_dtype, 2, isa);
    std::vector<std::vector<int32_t>> alone;
    for (const mas::Request& what : requests(config)) alone.push_back(generate(engine, what, 0));
    std::vector<std::unique_ptr<mas::Run>> runs;
    for (const mas::Request& what : requests(config))
      runs.push_back(std::make_unique<mas::Run>(engine, what));
    std::vector<mas::Run*> present;
    size_t next = 0;
    int calls = 0;
    while (next < runs.size() || !present.empty()) {
      if (calls % 5 == 0 && next < runs.size()) present.push_back(runs[next++].get());
      std::reverse(present.begin(), present.end());
      int passes = 0;
      mas::advance(*engine, present, config.length(), [&] { return ++passes < 3; });
      std::erase_if(present, [](const mas::Run* run) { return run->position() == run->stop(); });
      CHECK(++calls < 400);
      if (calls >= 400) return;
    }
    for (size_t i = 0; i < runs.size(); ++i) CHECK(runs[i]->tokens() == alone[i]);
  });
}

// A run that a NaN ends leaves those beside it going.
void test_errors_stay_alone(const Config& config) {
  const int stream = int(config.streams.size()) - 1;
  const Tensors tensors = random_tensors(config);
  const auto sound = make(config, tensors, DType::fp32, DType::fp32, 2, mas::best_isa());
  mas::Request what = request(config, 1, 1);
  const std::vector<int32_t> expected = generate(sound, what, 0);
  mas::Request fatal = what;  // a token that the other does not have, forced
  int32_t token = 0;
  while (std::count(expected.begin(), expected.end(), token)) ++token;
  CHECK(token < config.streams[stream].vocab);
  fatal.forced[config.offset(stream) + 5] = token;
  const auto engine = make(config, with_poison(tensors, config, stream, token), DType::fp32,
                           DType::fp32, 2, mas::best_isa());
  what.window = fatal.window = 1;
  mas::Run good(engine, what), bad(engine, fatal);
  mas::Run* const both[] = {&bad, &good};
  mas::advance(*engine, both, config.length(), [] { return true; });
  CHECK(good.tokens() == expected && good.error().empty());
  CHECK(bad.error().find("found NaN") != std::string::npos);
  CHECK_THROWS(bad.advance(0, {}), std::domain_error);
}

// Sequences that are kept have the tokens that they would have had, whenever the others go.
void test_keep(const Config& config) {
  const Tensors tensors = random_tensors(config);
  const auto engine = make(config, tensors, DType::fp32, DType::int8, 2, mas::best_isa());
  const mas::Request what = request(config, 2, 3);
  const std::vector<int32_t> all = generate(engine, what, 0);
  const int length = config.length();
  for (const int before : {0, 1, 9, 40}) {
    mas::Run run(engine, what);
    if (before) run.advance(before, {});
    run.keep({4, 1, 2});
    CHECK(run.sequences() == 3);
    run.advance(7, {});
    CHECK_THROWS(run.keep({}), std::invalid_argument);
    CHECK_THROWS(run.keep({3}), std::invalid_argument);
    CHECK_THROWS(run.keep({-1}), std::invalid_argument);
    CHECK_THROWS(run.keep({0, 0}), std::invalid_argument);
    run.keep({0, 2});
    run.advance(0, {});
    const std::vector<int32_t> kept = run.tokens();
    CHECK(kept.size() == size_t(2 * length));
    CHECK(std::equal(kept.begin(), kept.begin() + length, all.begin() + 4 * length));
    CHECK(std::equal(kept.begin() + length, kept.end(), all.begin() + 2 * length));
  }
}

// The likelihood of forced tokens is that of plain loops, and asking for it changes no token.
void test_forced_log_likelihood(const Config& config) {
  const Tensors tensors = random_tensors(config);
  const auto engine = make(config, tensors, DType::fp32, DType::fp32, 2, mas::best_isa());
  mas::Request what = request(config, 2, 2);
  for (size_t i = 0; i < what.forced.size(); i += 3) {
    const int position = int(i) % config.length();
    if (position > config.offset(1)) what.forced[i] = position % 7;
  }
  const std::vector<int32_t> all = generate(engine, what, 0);
  {
    mas::Run plain(engine, what);
    plain.advance(0, {});
    CHECK(plain.forced_log_likelihood() == std::vector<double>(4));
  }
  what.score_forced = true;
  for (const int window : {1, 0, 5}) {
    what.window = window;
    mas::Run run(engine, what);
    run.advance(window, {});
    run.advance(0, {});
    CHECK(run.tokens() == all);
    const std::vector<double> made = run.forced_log_likelihood();
    for (int s = 0; s < 4; ++s) {
      const auto first = all.begin() + ptrdiff_t(s) * config.length();
      const std::vector<int32_t> tokens(first, first + config.length());
      const std::vector<Vector> exact = exact_logits(config, tensors, tokens);
      double expected = 0;
      bool drawn = false;
      for (int t = 0; t < config.length(); ++t) {
        const bool forced = what.forced[size_t(s / 2) * config.length() + t] >= 0;
        if (drawn && forced) {
          double total = 0;
          for (const double logit : exact[t - 1]) total += std::exp(logit);
          expected += exact[t - 1][tokens[t]] - std::log(total);
        }
        drawn = drawn || !forced;
      }
      CHECK(expected < -1);
      CHECK_NEAR(made[s], expected, 1e-3 * -expected);
    }
  }
}

}  // namespace

int main() {
  test_windows(odd);
  test_overflow(odd);
  test_runs_together(odd);
#if !defined(__SANITIZE_THREAD__)  // to which all shapes are alike
  for (const Config& config : {odd, wide, sparse, without_text}) test_batches(config);
  test_windows(sparse);
  test_overflow(sparse);
  test_runs_together(sparse);
#endif
  test_advance(odd);
  test_errors_stay_alone(odd);
  test_keep(odd);
  test_keep(sparse);
  test_forced_log_likelihood(odd);
  return check::finish();
}
