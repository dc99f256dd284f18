// The classes Engine and Run of the module mas_fast._engine.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "core/batch.h"
#include "core/processors.h"
#include "core/teacher.h"
#include "python_arguments.h"

namespace mas {

namespace {

using Floats = py::array_t<float, py::array::c_style>;

int entry(const py::dict& from, const char* key, const std::string& name) {
  if (!from.contains(key)) throw py::value_error(name + ": found no '" + key + "', expected it");
  return int(checked_int(from[key], name + "['" + key + "']", 1, kMostInt));
}

void only(const py::dict& from, std::initializer_list<const char*> known, const char* name) {
  for (const auto& item : from) {
    bool is_known = false;
    std::string keys;
    for (const char* key : known) {
      is_known = is_known || std::string(py::str(item.first)) == key;
      keys += (keys.empty() ? "" : ", ") + std::string(key);
    }
    if (!is_known)
      throw py::value_error(std::string(name) + ": found the unknown key '" +
                            std::string(py::str(item.first)) + "', expected " + keys);
  }
}

// A list or tuple; pybind11's own error would only say that something cannot be cast.
py::list list_of(const py::object& value, const std::string& name) {
  if (!py::isinstance<py::list>(value) && !py::isinstance<py::tuple>(value))
    throw py::type_error(name + ": found " + std::string(py::repr(value)) + ", expected a list");
  return py::list(value);
}

Config config_from(const py::dict& from, const std::string& dtype, const std::string& kv_dtype) {
  only(from,
       {"dim", "layers", "heads", "mlp", "qk_norm", "norm_eps", "streams", "attention",
        "conv_kernel"},
       "config");
  Config config;
  config.dim = entry(from, "dim", "config");
  config.layers = entry(from, "layers", "config");
  config.heads = entry(from, "heads", "config");
  config.mlp = entry(from, "mlp", "config");
  if (from.contains("qk_norm")) config.qk_norm = from["qk_norm"].cast<bool>();
  if (from.contains("norm_eps")) config.norm_eps = from["norm_eps"].cast<float>();
  if (!from.contains("streams")) throw py::value_error("config: found no 'streams', expected them");
  for (const auto& item : list_of(from["streams"], "streams")) {
    const auto stream = item.cast<py::dict>();
    only(stream, {"name", "length", "vocab", "grid"}, "a stream of config");
    if (!stream.contains("name"))
      throw py::value_error("a stream of config: found no 'name', expected one");
    config.streams.push_back({stream["name"].cast<std::string>(),
                              entry(stream, "length", "a stream of config"),
                              entry(stream, "vocab", "a stream of config")});
    if (stream.contains("grid")) {
      const py::list grid = list_of(stream["grid"], "a stream's grid");
      if (grid.size() != 2)
        throw py::value_error("a stream's grid: found " + std::to_string(grid.size()) +
                              " sizes, expected height and width");
      config.streams.back().height = int(checked_int(grid[0], "a grid's height", 1, kMostInt));
      config.streams.back().width = int(checked_int(grid[1], "a grid's width", 1, kMostInt));
    }
  }
  if (from.contains("attention"))
    for (const auto& name : list_of(from["attention"], "attention"))
      config.attention.push_back(parse_mask(std::string(py::str(name))));
  if (from.contains("conv_kernel")) config.conv_kernel = entry(from, "conv_kernel", "config");
  config.dtype = parse_dtype(dtype);
  config.kv_dtype = parse_dtype(kv_dtype);
  return config;
}

void load_levels(Weights& weights, const std::string& name, const py::tuple& pair) {
  if (pair.size() != 2)
    throw py::value_error("weight '" + name + "': found a tuple of " + std::to_string(pair.size()) +
                          ", expected (levels, scales)");
  const auto levels = array_of<int8_t>(pair[0], name.c_str(), 2, "[outputs, inputs]");
  const auto scales = array_of<uint16_t>(pair[1], name.c_str(), 2, "[outputs, groups]");
  const std::vector<size_t> shape(levels.shape(), levels.shape() + 2);
  if (scales.shape(0) != levels.shape(0) ||
      scales.shape(1) != (levels.shape(1) + kGroup - 1) / kGroup)
    throw py::value_error("weight '" + name + "': found scales " + shape_text(scales) +
                          " of levels " + shape_text(levels) + ", expected one for every " +
                          std::to_string(kGroup) + " inputs");
  const Levels source{levels.data(), scales.data()};
  const py::gil_scoped_release release;
  weights.load(name, source, shape);
}

// (levels, scales) of a matrix: int8 [outputs, inputs], and bfloat16 as uint16 [outputs, groups].
py::tuple quantize_matrix(const py::object& matrix, const std::string& dtype) {
  const auto weights = array_of<float>(matrix, "weights", 2, "[outputs, inputs]");
  const Packed shape{parse_dtype(dtype), int(weights.shape(0)), int(weights.shape(1))};
  if (!is_quantized(shape.dtype))
    throw py::value_error("dtype: found '" + dtype + "', expected int8 or int4");
  py::array_t<int8_t> levels({weights.shape(0), weights.shape(1)});
  py::array_t<uint16_t> scales({weights.shape(0), py::ssize_t(ceil_div(shape.inputs, kGroup))});
  int8_t* to_levels = levels.mutable_data();
  uint16_t* to_scales = scales.mutable_data();
  {
    const py::gil_scoped_release release;
    quantize(shape, {weights.data(), false}, to_levels, to_scales);
  }
  return py::make_tuple(levels, scales);
}

std::shared_ptr<Engine> make_engine(const py::dict& config, const py::iterable& weights,
                                    const std::string& dtype, const std::string& kv_dtype,
                                    const py::object& threads, const std::string& isa) {
  const int asked = int(checked_int(threads, "threads", 0, kMostThreads)),
            most = available_threads();
  const int size = asked ? std::min(asked, most) : most;  // more would only wait for each other
  auto engine =
      std::make_shared<Engine>(config_from(config, dtype, kv_dtype), size, choose_isa(isa));
  for (const auto& item : weights) {
    const auto [name, object] = item.cast<std::pair<std::string, py::object>>();
    if (py::isinstance<py::tuple>(object)) {
      load_levels(engine->weights(), name, object);
      continue;
    }
    if (!py::isinstance<py::array>(object))
      throw py::type_error("weight '" + name + "': found " +
                           std::string(py::str(py::type::of(object))) + ", expected a numpy array");
    const auto array = py::array::ensure(object, kReadable);
    const bool is_bf16 = array.dtype().equal(py::dtype::of<uint16_t>());
    if (!is_bf16 && !array.dtype().equal(py::dtype::of<float>()))
      throw py::value_error("weight '" + name + "': found dtype " +
                            std::string(py::str(array.dtype())) +
                            ", expected float32, or uint16 that holds bfloat16");
    const std::vector<size_t> shape(array.shape(), array.shape() + array.ndim());
    const Source source{array.data(), is_bf16};
    const py::gil_scoped_release release;
    engine->weights().load(name, source, shape);
  }
  engine->weights().check_complete();
  return engine;
}

template <class T>
T of_stream(const std::vector<T>& values, size_t stream, size_t streams, const char* name) {
  if (values.size() != streams)
    throw py::value_error(std::string(name) + ": found " + std::to_string(values.size()) +
                          " entries, expected " + std::to_string(streams) + ", one a stream");
  return values[stream];
}

std::shared_ptr<Run> start(const std::shared_ptr<Engine>& engine, const py::object& forced,
                           const py::object& null, const py::object& samples,
                           const py::object& first_sample, const py::object& seed,
                           const py::object& guidance, const std::vector<double>& temperature,
                           const std::vector<std::optional<int64_t>>& top_k,
                           const std::vector<std::optional<double>>& top_p, const py::object& stop,
                           const py::object& window, bool score_forced) {
  const Config& config = engine->config();
  const size_t streams = config.streams.size();
  const auto tokens = array_of<int32_t>(forced, "forced", 2, "[prompts, length]");
  if (tokens.shape(1) != config.length())
    throw py::value_error("forced: found shape " + shape_text(tokens) + ", expected [prompts, " +
                          std::to_string(config.length()) + "]");
  if (tokens.shape(0) > (1 << 14))
    throw py::value_error("forced: found " + std::to_string(tokens.shape(0)) +
                          " prompts, expected at most 16384");
  Request request;
  request.prompts = int(tokens.shape(0));
  request.samples = int(checked_int(samples, "samples", 1, kMostInt));
  request.first_sample = uint32_t(checked_int(first_sample, "first_sample", 0, kMostIndex));
  request.seed = seed_from(seed);
  request.stop =
      stop.is_none() ? config.length() : int(checked_int(stop, "stop", 1, config.length()));
  request.window = int(checked_int(window, "window", 0, Speculation::kWidest));
  request.forced.assign(tokens.data(), tokens.data() + tokens.size());
  if (!null.is_none()) {
    const auto captions = array_of<int32_t>(null, "null", 2, "[prompts, length of a caption]");
    const int caption = config.streams[0].length;
    if (captions.shape(0) != tokens.shape(0) || captions.shape(1) != caption)
      throw py::value_error("null: found shape " + shape_text(captions) + ", expected [" +
                            std::to_string(tokens.shape(0)) + ", " + std::to_string(caption) + "]");
    request.null.assign(captions.data(), captions.data() + captions.size());
  }
  const auto guidances = array_of<double>(guidance, "guidance", 1, "[length]");
  if (guidances.size() != config.length())
    throw py::value_error("guidance: found " + std::to_string(guidances.size()) +
                          " entries, expected " + std::to_string(config.length()) +
                          ", one a position");
  for (int position = 0; position < config.length(); ++position) {
    const size_t s = config.stream_at(position);
    Sampling settings;
    settings.guidance = guidances.data()[position];
    settings.temperature = of_stream(temperature, s, streams, "temperature");
    settings.top_k = of_stream(top_k, s, streams, "top_k").value_or(kAll);
    settings.top_p = of_stream(top_p, s, streams, "top_p");
    request.sampling.push_back(settings);
  }
  request.score_forced = score_forced;
  const py::gil_scoped_release release;
  return std::make_shared<Run>(engine, std::move(request));
}

// Lets Ctrl-C stop what runs without the GIL. It looks ten times a second, since taking the GIL
// from other Python threads can cost milliseconds.
class Interrupt {
 public:
  void operator()() {
    if (Clock::now() - last_ < std::chrono::milliseconds(100)) return;
    last_ = Clock::now();
    const py::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals()) throw py::error_already_set();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point last_ = Clock::now();
};

int advance_run(Run& run, const py::object& positions, const py::object& progress) {
  const int count = int(checked_int(positions, "count", 0, kMostInt));
  Interrupt interrupt;
  int last = 0;
  auto step = [&](int position, int stop) {
    interrupt();
    if (progress.is_none() || position == last) return true;
    last = position;
    const py::gil_scoped_acquire acquire;
    progress(position, stop);
    return true;
  };
  const py::gil_scoped_release release;
  return run.advance(count, step);
}

int advance_all(Engine& engine, const std::vector<std::shared_ptr<Run>>& shared,
                const py::object& count) {
  const int most = int(checked_int(count, "passes", 1, kMostInt));
  std::vector<Run*> runs;
  for (const auto& run : shared) {
    if (!run) throw py::type_error("runs: found None, expected Runs");
    if (&run->engine() != &engine)
      throw py::value_error("runs: found a run of another engine, expected those of this one");
    if (std::find(runs.begin(), runs.end(), run.get()) != runs.end())
      throw py::value_error("runs: found a run twice, expected each once");
    runs.push_back(run.get());
  }
  const auto open = [&] {
    return std::count_if(runs.begin(), runs.end(), [](const Run* run) {
      return run->position() < run->stop() && run->error().empty();
    });
  };
  const auto before = open();
  Interrupt interrupt;
  int passes = 0;
  const auto going = [&] {
    interrupt();
    return ++passes < most && open() == before;
  };
  const py::gil_scoped_release release;
  advance(engine, runs, kMostInt, going);
  return passes;
}

Tokens tokens_of(const Run& run) {
  const std::vector<int32_t> found = run.tokens();
  const py::ssize_t length = run.engine().config().length();
  Tokens tokens({py::ssize_t(found.size()) / length, length});
  std::copy(found.begin(), found.end(), tokens.mutable_data());
  return tokens;
}

py::array_t<double> likelihood_of(const Run& run) {
  const std::vector<double> sums = run.forced_log_likelihood();
  return py::array_t<double>(py::ssize_t(sums.size()), sums.data());
}

void keep(Run& run, const std::vector<int>& rows) {
  const py::gil_scoped_release release;
  run.keep(rows);
}

py::dict logits(Engine& engine, const py::object& object) {
  const Config& config = engine.config();
  const auto tokens = array_of<int32_t>(object, "tokens", 2, "[batch, length]");
  const py::ssize_t batch = tokens.shape(0), length = tokens.shape(1);
  if (length < 1 || length > config.length())
    throw py::value_error("tokens: found shape " + shape_text(tokens) +
                          ", expected a length of 1 to " + std::to_string(config.length()));
  for (py::ssize_t i = 0; i < tokens.size(); ++i) {
    const StreamShape& stream = config.streams[config.stream_at(int(i % length))];
    if (tokens.data()[i] < 0 || tokens.data()[i] >= stream.vocab)
      throw py::value_error("the token at position " + std::to_string(i % length) + " (stream '" +
                            stream.name + "'): found " + std::to_string(tokens.data()[i]) +
                            ", expected 0 to " + std::to_string(stream.vocab - 1));
  }
  py::dict result;
  std::vector<float*> out;
  for (size_t s = 0; s < config.streams.size(); ++s) {
    Floats array({batch, py::ssize_t(predicted(config, int(s), int(length))),
                  py::ssize_t(config.streams[s].vocab)});
    out.push_back(array.mutable_data());
    result[py::str(config.streams[s].name)] = array;
  }
  const py::gil_scoped_release release;
  teacher_logits(engine, tokens.data(), int(batch), int(length), out, Interrupt());
  return result;
}

}  // namespace

void bind_engine(py::module_& module) {
  py::class_<Engine, std::shared_ptr<Engine>>(module, "Engine", R"(A GPT over packed weights.

Args:
    config: dict of dim, layers, heads, mlp, qk_norm, norm_eps and streams, a list of dicts of name,
        length, vocab and, where a stream has one, grid (height, width); and attention (the mask of
        each layer; all are causal without it) and conv_kernel.
    weights: iterable of (name, array), float32 or uint16 that holds bfloat16; consumed one at
        a time. Where a matrix is quantized, (levels, scales) of quantize() can stand for the array.
    dtype: of the weights, 'fp32', 'bf16', 'int8' or 'int4', which leaves the first block and the
        heads in int8.
    kv_dtype: of the KV cache, 'fp32', 'bf16' or 'int8'.
    threads: of the thread pool. 0 is available_threads(), which is also the most that are started.
        While other processes keep the pool waiting, one thread does all the work.
    isa: '' for MAS_FAST_ISA or the best that this processor has.

Raises:
    ValueError: the config is bad, or a weight is unknown, missing, misshapen or not finite.)")
      .def(py::init(&make_engine), py::arg("config"), py::arg("weights"), py::kw_only(),
           py::arg("dtype") = "int8", py::arg("kv_dtype") = "bf16", py::arg("threads") = 0,
           py::arg("isa") = "")
      .def_property_readonly("weight_bytes",
                             [](Engine& engine) { return engine.weights().bytes(); })
      .def_property_readonly("threads", [](Engine& engine) { return engine.pool().size(); })
      .def_property_readonly("isa", [](const Engine& engine) { return isa_name(engine.isa()); })
      .def_property_readonly("dtype",
                             [](const Engine& engine) { return dtype_name(engine.config().dtype); })
      .def_property_readonly(
          "kv_dtype", [](const Engine& engine) { return dtype_name(engine.config().kv_dtype); })
      .def(
          "step_bytes",
          [](const Engine& engine, const py::object& position, const py::object& rows) {
            return engine.step_bytes(
                int(checked_int(position, "position", 0, engine.config().length() - 1)),
                int(checked_int(rows, "rows", 1, kMostInt)));
          },
          py::arg("position"), py::arg("rows"),
          "Bytes of weights and live keys and values that the step at `position` must read for "
          "`rows` rows.")
      .def("logits", &logits, py::arg("tokens"),
           "Teacher-forced logits of int32 tokens [batch, length]: {stream: float32 [batch, "
           "positions that predict it, vocab]}. The GIL is released meanwhile; Ctrl-C stops it.")
      .def("start", &start, py::arg("forced"), py::arg("null") = py::none(), py::kw_only(),
           py::arg("samples") = 1, py::arg("first_sample") = 0, py::arg("seed") = 0,
           py::arg("guidance"), py::arg("temperature"), py::arg("top_k"), py::arg("top_p"),
           py::arg("stop") = py::none(), py::arg("window") = 0, py::arg("score_forced") = false,
           R"(Begins a generation.

Args:
    forced: int32 [prompts, length]; >= 0 fixes a token, -1 draws it. Position 0 must be fixed.
    null: int32 [prompts, length of the first stream], the captions of the unconditional rows of
        classifier-free guidance (CFG).
    samples: sequences of each prompt, numbered from first_sample.
    guidance: float64 [length], that of each position; 1: none.
    temperature, top_k, top_p: lists with one entry per stream.
    stop: the number of positions to produce.
    window: positions that a pass guesses and verifies, 1 to 32; 0: as many as are fastest. The
        tokens are the same at any.
    score_forced: add up forced_log_likelihood.

Raises:
    ValueError: names the value found and those allowed.)")
      .def("advance", &advance_all, py::arg("runs"), py::arg("passes") = 1,
           R"(Goes on with runs of this engine together: each pass over the weights serves them all.

Their tokens are those that they would have alone. A run with an `error` is left out, as is one that
has all its tokens. The GIL is released meanwhile; Ctrl-C stops after the next pass.

Args:
    runs: list of Runs, each once.
    passes: at most so many; fewer where a run ends.

Returns:
    How many passes there were.)");

  module.def("quantize", &quantize_matrix, py::arg("weights"), py::arg("dtype"),
             R"(The levels and scales with which an engine in `dtype` would pack a matrix.

Args:
    weights: float32 [outputs, inputs].
    dtype: 'int8' or 'int4'.

Returns:
    (levels, scales): int8 [outputs, inputs], and uint16 that holds bfloat16 [outputs, groups of 32
    inputs]; a weight is level * scale.

Raises:
    ValueError: a weight is not finite.)");

  py::class_<Run, std::shared_ptr<Run>>(module, "Run",
                                        "A generation in progress; made by Engine.start().")
      .def("advance", &advance_run, py::arg("count") = 0, py::arg("progress") = py::none(),
           R"(Makes `count` more positions known (0: all that are left), and returns how many are.

The GIL is released meanwhile; Ctrl-C stops after the next pass.

Args:
    count: how many more positions.
    progress: progress(position, stop) is called after each pass that goes on in every row.

Raises:
    ValueError: a logit is NaN.)")
      .def_property_readonly("position", &Run::position)
      .def_property_readonly("passes", &Run::passes, "Passes that drew tokens.")
      .def("keep", &keep, py::arg("rows"),
           R"(Goes on with some rows alone, in this order.

Args:
    rows: indices of present rows, each at most once.

Raises:
    ValueError: names the index found and those allowed.)")
      .def_property_readonly("stop", &Run::stop)
      .def_property_readonly(
          "error",
          [](const Run& run) -> std::optional<std::string> {
            const std::string error = run.error();
            return error.empty() ? std::nullopt : std::optional(error);
          },
          "What ended the run, or None.")
      .def_property_readonly("tokens", &tokens_of,
                             "int32 [rows, length]; -1 where not known yet. Rows are sample by "
                             "sample of prompt after prompt, or those of keep().")
      .def_property_readonly("forced_log_likelihood", &likelihood_of,
                             "float64 [rows]: with score_forced, the sum of the log-probabilities "
                             "(softmax of the conditional logits) of the tokens that are forced "
                             "after the first one drawn.");
}

}  // namespace mas
