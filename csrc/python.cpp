// The module mas_fast._engine: the core for numpy arrays. It needs no torch and has no logic of its
// own. Here are the module and its functions; the classes Engine and Run are in python_engine.cpp.
#include <pybind11/stl.h>

#include <atomic>
#include <chrono>
#include <optional>

#include "core/kernels.h"
#include "core/memory.h"
#include "core/processors.h"
#include "core/sampler.h"
#include "core/thread_pool.h"
#include "python_arguments.h"

namespace mas {

void bind_engine(py::module_& module);  // python_engine.cpp
void bind_resize(py::module_& module);  // python_resize.cpp

namespace {

py::tuple sample_rows(const py::object& cond, const py::object& uncond, const py::object& seed,
                      const py::object& sample_index, const py::object& position, double guidance,
                      double temperature, std::optional<int64_t> top_k, std::optional<double> top_p,
                      const std::string& isa_text) {
  const auto conditional = array_of<float>(cond, "cond", 2, "[batch, vocab]");
  const py::ssize_t batch = conditional.shape(0), vocab = conditional.shape(1);
  check_vocab(vocab);
  py::array_t<float, kReadable> unconditional;
  if (!uncond.is_none()) {
    unconditional = array_of<float>(uncond, "uncond", 2, "[batch, vocab]");
    if (unconditional.shape(0) != batch || unconditional.shape(1) != vocab)
      throw py::value_error("uncond: found shape " + shape_text(unconditional) +
                            ", expected that of cond, " + shape_text(conditional));
  } else if (guidance != 1) {
    throw py::value_error("guidance: found " + std::to_string(guidance) +
                          " without uncond, expected 1");
  }
  const Sampling settings{guidance, temperature, top_k.value_or(kAll), top_p};
  check(settings);
  const Isa isa = choose_isa(isa_text);
  const Draw draw{seed_from(seed), uint32_t(checked_int(sample_index, "sample", 0, kMostIndex)),
                  uint32_t(checked_int(position, "position", 0, kMostIndex))};
  Tokens tokens(batch);
  py::array_t<uint8_t> kept({batch, vocab});
  int32_t* token = tokens.mutable_data();
  uint8_t* mask = kept.mutable_data();
  {
    const py::gil_scoped_release release;
    Buffer scratch(sampler_scratch_bytes(int(vocab)));
    for (py::ssize_t row = 0; row < batch; ++row)
      token[row] = sample(conditional.data() + row * vocab,
                          uncond.is_none() ? nullptr : unconditional.data() + row * vocab,
                          int(vocab), settings, draw, scratch.as<char>(), mask + row * vocab, isa);
  }
  return py::make_tuple(tokens, kept);
}

// The bytes per second of one pass over `bytes` of fresh memory, of which every thread sums its own
// share: an upper bound for a decode step, which reads all weights once.
class Bandwidth {
 public:
  Bandwidth(const py::object& bytes, const py::object& threads)
      : buffer_(size_t(checked_int(bytes, "bytes", 1 << 16, int64_t(1) << 40))),
        pool_(int(checked_int(threads, "threads", 1, kMostThreads))) {
    auto* values = buffer_.as<float>();
    for (size_t i = 0; i < buffer_.bytes() / 4; ++i) values[i] = float(i % 1021);
  }
  double pass() {
    const size_t share = buffer_.bytes() / pool_.size() / 512 * 512;
    const Kernels& table = kernels(active_isa());
    const auto start = std::chrono::steady_clock::now();
    pool_.run([&](int thread) { sink_ = table.sum(buffer_.as<char>() + thread * share, share); });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    return double(share) * pool_.size() / seconds.count();
  }

 private:
  Buffer buffer_;
  ThreadPool pool_;
  std::atomic<float> sink_;
};

std::vector<std::string> isa_names() {
  std::vector<std::string> names;
  for (Isa isa : supported_isas()) names.push_back(isa_name(isa));
  return names;
}

}  // namespace

// Engines and runs have locks of their own, and all that is long runs without the GIL.
PYBIND11_MODULE(_engine, module, py::mod_gil_not_used()) {
  module.doc() = "The C++ decode engine, sampler and picture resize of mas_fast, for numpy arrays.";
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const std::domain_error& error) {  // NaN logits
      py::set_error(PyExc_ValueError, error.what());
    } catch (const py::cast_error& error) {  // other exceptions have pybind11's own mapping
      py::set_error(PyExc_TypeError, error.what());
    }
  });

  bind_engine(module);
  module.def("sample", &sample_rows, py::arg("cond"), py::arg("uncond") = py::none(), py::kw_only(),
             py::arg("seed"), py::arg("sample") = 0, py::arg("position") = 0,
             py::arg("guidance") = 1.0, py::arg("temperature") = 1.0, py::arg("top_k") = py::none(),
             py::arg("top_p") = py::none(), py::arg("isa") = "",
             "Draws a token for each row of float32 logits [batch, vocab]: (int32 [batch], uint8 "
             "kept [batch, vocab]).");
  py::class_<Bandwidth>(module, "Bandwidth",
                        "A yardstick: the rate at which `threads` threads read `bytes` of memory.")
      .def(py::init<py::object, py::object>(), py::arg("bytes") = 512 << 20, py::arg("threads") = 2)
      .def("read", &Bandwidth::pass, "Bytes per second of one pass.");
  bind_resize(module);
  module.def("available_threads", &available_threads,
             "How many threads this process can run at once: by its processors (affinity) and, "
             "rounded up, by the quotas of its control groups.");
  module.def("quota_threads", &quota_threads, py::arg("proc") = "/proc",
             "The least CPU quota of the control groups of this process, v1 and v2, in processors "
             "rounded up; 0 without one. proc: where the process's files are.");
  module.def("supported_isas", &isa_names);
  module.def("best_isa", [] { return isa_name(best_isa()); });
  module.def("active_isa", [] { return isa_name(active_isa()); });
}

}  // namespace mas
