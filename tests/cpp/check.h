// The few lines of a test framework that these tests need: CHECK counts failures, finish() is the
// exit status.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>

namespace check {

inline int checks = 0, failures = 0;

inline void report(bool ok, const char* file, int line, const char* text) {
  ++checks;
  if (!ok && ++failures <= 20) std::fprintf(stderr, "%s:%d: FAILED: %s\n", file, line, text);
}

inline int finish() {
  std::printf("%d checks, %d failed\n", checks, failures);
  return checks > 0 && failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace check

#define CHECK(condition) check::report(static_cast<bool>(condition), __FILE__, __LINE__, #condition)

#define CHECK_NEAR(a, b, tolerance)                                                   \
  do {                                                                                \
    const double a_ = (a), b_ = (b), t_ = (tolerance);                                \
    const bool ok_ = std::fabs(a_ - b_) <= t_; /* false for NaN */                    \
    if (!ok_) std::fprintf(stderr, "  %.17g vs %.17g, tolerance %.3g\n", a_, b_, t_); \
    check::report(ok_, __FILE__, __LINE__, #a " near " #b);                           \
  } while (0)

// The expression must throw an exception of this type.
#define CHECK_THROWS(expression, type)                                        \
  do {                                                                        \
    bool thrown_ = false;                                                     \
    try {                                                                     \
      static_cast<void>(expression);                                          \
    } catch (const type&) {                                                   \
      thrown_ = true;                                                         \
    } catch (const std::exception& e) {                                       \
      std::fprintf(stderr, "  another exception: %s\n", e.what());            \
    }                                                                         \
    check::report(thrown_, __FILE__, __LINE__, #expression " throws " #type); \
  } while (0)
