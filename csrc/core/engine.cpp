#include "engine.h"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "processors.h"
#include "visible.h"

namespace mas {

namespace {

// Up to this many rows every thread prepares all of them for itself: that costs less than a
// barrier.
constexpr int kPrivateRows = 4;
// How far a waiting thread reads ahead: well within a core's second-level cache.
constexpr size_t kAheadBytes = 256 << 10;

int thread_count(int asked) { return asked > 0 ? asked : available_threads(); }

Config checked(const Config& config) {
  config.check();
  return config;
}

// The memory of `count` prepared rows of up to `inputs` inputs: integers or floats, then scales,
// then offsets.
size_t rows_bytes(int count, int inputs) {
  const Rows widest{DType::fp32, inputs};
  return (size_t(count) * (widest.data_bytes() + 4 + 4 * widest.groups()) + 63) / 64 * 64;
}

}  // namespace

Engine::Engine(const Config& config, int threads, Isa isa)
    : config_(checked(config)),
      isa_(isa),
      kernels_(kernels(isa)),
      weights_(config_),
      team_(thread_count(threads)),
      process_(getpid()),
      ranges_bytes_((sizeof(Range) * most_ranges(config_) + 63) / 64 * 64) {
  ranges_ = Buffer(ranges_bytes_ * team_.most());
}

Engine::Use::Use(Engine& engine) : engine_(engine) {
  if (getpid() != engine.process_)
    throw std::logic_error(
        "this engine was made before the process forked, and its threads stayed behind; make one "
        "in each process");
  if (engine.user_.load() == std::this_thread::get_id())
    throw std::logic_error("this engine is in use by the call that called back here");
  engine.mutex_.lock();
  engine.user_.store(std::this_thread::get_id());
}

Engine::Use::~Use() {
  engine_.user_.store({});
  engine_.mutex_.unlock();
}

void Engine::reserve(int items, int positions) {
  if (items <= items_ && positions <= positions_) return;
  const int most_items = std::max(items, items_), most_positions = std::max(positions, positions_);
  items_ = positions_ = 0;  // until all of it is there: an allocation may throw
  const size_t count = most_items, dim = config_.dim;
  const int widest = std::max(config_.dim, config_.mlp);
  residual_ = Buffer(4 * count * dim);
  qkv_ = Buffer(4 * count * 3 * dim);
  context_ = Buffer(4 * count * dim);
  hidden_ = Buffer(4 * count * config_.mlp);
  rows_ = Buffer(rows_bytes(most_items, widest));
  private_rows_ = Buffer(team_.most() * rows_bytes(kPrivateRows, widest));
  scratch_floats_ =
      std::max(attention_scratch_floats(config_.head_dim(), most_positions, most_ranges(config_)),
               dim) +
      16;
  scratch_ = Buffer(4 * scratch_floats_ * team_.most());
  items_ = most_items;
  positions_ = most_positions;
}

Engine::Span Engine::share(int thread, int units) const {
  const int64_t size = team_.size();
  return {int(units * int64_t(thread) / size), int(units * int64_t(thread + 1) / size)};
}

Ahead Engine::ahead(int thread, const Packed& weights) const {
  const Span panels = share(thread, weights.panels());
  const char* first = weights.panel(panels.first);
  return {first, first + std::min(kAheadBytes,
                                  size_t(panels.last - panels.first) * weights.panel_bytes())};
}

Rows Engine::rows_view(int thread, int count, int inputs) {
  const bool own = count <= kPrivateRows;
  char* data = own ? private_rows_.as<char>() +
                         thread * rows_bytes(kPrivateRows, std::max(config_.dim, config_.mlp))
                   : rows_.as<char>();
  Rows rows{config_.dtype, inputs, data};
  const int room = own ? kPrivateRows : items_;
  rows.scale = reinterpret_cast<float*>(data + room * rows.data_bytes());
  rows.offset = reinterpret_cast<int32_t*>(rows.scale + room);
  return rows;
}

// Rows whose row r is filled by fill(rows, r), ready for this thread to read.
template <class Fill>
Rows Engine::prepare(int thread, int count, int inputs, Fill fill) {
  const Rows rows = rows_view(thread, count, inputs);
  const bool own = count <= kPrivateRows;
  for (int row = own ? 0 : thread; row < count; row += own ? 1 : team_.size()) fill(rows, row);
  if (!own) team_.barrier();
  return rows;
}

void Engine::linear(int thread, const Packed& weights, const Rows& rows, int count,
                    const float* bias, Epilogue epilogue, float* out, ptrdiff_t stride,
                    Ahead next) {
  const Span panels = share(thread, weights.panels());
  kernels_.linear(weights, rows, count, bias, epilogue, out, stride, panels.first, panels.last);
  team_.barrier(next);
}

// What `position` sees in a layer; until the next call by the same thread.
std::span<const Range> Engine::visible(int thread, int layer, int position) {
  auto* ranges = reinterpret_cast<Range*>(ranges_.as<char>() + thread * ranges_bytes_);
  return {ranges, size_t(mas::visible(config_, config_.mask(layer), position, ranges))};
}

void Engine::attention(int thread, const LayerWeights& layer, int index, KvCache& cache,
                       std::span<const Item> items, bool shared) {
  const int heads = config_.heads, head_dim = config_.head_dim(), dim = config_.dim;
  const int units = int(items.size()) * heads;
  float* scratch = scratch_.as<float>() + thread * scratch_floats_;
  auto append = [&](int unit) {
    const Item& item = items[unit / heads];
    float* query = qkv_.as<float>() + size_t(unit / heads) * 3 * dim + unit % heads * head_dim;
    if (layer.q_norm) {
      kernels_.rms_norm(query, layer.q_norm, head_dim, 1e-6f);
      kernels_.rms_norm(query + dim, layer.k_norm, head_dim, 1e-6f);
    }
    kernels_.append(cache.head(index, item.sequence, unit % heads),
                    slot(config_, config_.mask(index), item.position), query + dim,
                    query + 2 * dim);
  };
  auto keys = [&](int unit) {
    return cache.head(index, items[unit / heads].sequence, unit % heads).keys;
  };
  auto attend = [&](int unit, int next) {
    const Item& item = items[unit / heads];
    const int head = unit % heads;
    const std::span<const Range> seen = visible(thread, index, item.position);
    kernels_.attend(cache.head(index, item.sequence, head), seen.data(), int(seen.size()),
                    qkv_.as<float>() + size_t(unit / heads) * 3 * dim + head * head_dim,
                    context_.as<float>() + size_t(unit / heads) * dim + head * head_dim, scratch,
                    keys(next < units ? next : unit));
  };
  if (shared) {  // a query may need a key that another thread writes
    for (int unit = thread; unit < units; unit += team_.size()) append(unit);
    team_.barrier();
    for (int unit = thread; unit < units; unit += team_.size()) attend(unit, unit + team_.size());
  } else {
    const Span mine = share(thread, units);
    for (int unit = mine.first; unit < mine.last; ++unit) {
      append(unit);
      attend(unit, unit + 1);
    }
  }
  team_.barrier(ahead(thread, layer.proj));
}

void Engine::forward(int thread, KvCache& cache, std::span<const Item> items, bool shared,
                     std::span<const Predict> predictions) {
  const int count = int(items.size()), dim = config_.dim;
  float* x = residual_.as<float>();
  float* scratch = scratch_.as<float>() + thread * scratch_floats_;
  for (int row = thread; row < count; row += team_.size()) {
    const Item& item = items[row];
    const int stream = config_.stream_at(item.position);
    const StreamWeights& weights = weights_.streams()[stream];
    const float* position = weights.position + size_t(item.position - config_.offset(stream)) * dim;
    for (int i = 0; i < dim; ++i)
      x[size_t(row) * dim + i] = weights.embed.at(size_t(item.token) * dim + i) + position[i];
  }
  team_.barrier(first_weights(thread));

  auto normed = [&](const float* weight, const float* bias, int first) {
    return [=, this](const Rows& rows, int row) {
      kernels_.layer_norm(x + size_t(first + row) * dim, weight, bias, dim, config_.norm_eps,
                          scratch);
      kernels_.prepare(rows, row, scratch);
    };
  };
  auto plain = [&](const float* from, int size) {
    return [=, this](const Rows& rows, int row) {
      kernels_.prepare(rows, row, from + size_t(row) * size);
    };
  };

  for (int index = 0; index < config_.layers; ++index) {
    const LayerWeights& layer = weights_.layers()[index];
    Rows rows = prepare(thread, count, dim, normed(layer.norm1_weight, layer.norm1_bias, 0));
    const int unit =
        share(thread, count * config_.heads).first;  // the head that this thread attends with first
    const HeadCache head = cache.head(
        index, items[std::min(unit / config_.heads, count - 1)].sequence, unit % config_.heads);
    const Range first = visible(thread, index, items[0].position).front();
    const char* keys = head.keys + first.first / kPanel * head.key_panel_bytes();
    linear(thread, layer.qkv, rows, count, layer.qkv_bias, Epilogue::store, qkv_.as<float>(),
           3 * dim, {keys, head.keys + ceil_div(first.last, kPanel) * head.key_panel_bytes()});
    attention(thread, layer, index, cache, items, shared);
    rows = prepare(thread, count, dim, plain(context_.as<float>(), dim));
    linear(thread, layer.proj, rows, count, layer.proj_bias, Epilogue::add, x, dim,
           ahead(thread, layer.up));
    rows = prepare(thread, count, dim, normed(layer.norm2_weight, layer.norm2_bias, 0));
    linear(thread, layer.up, rows, count, layer.up_bias, Epilogue::gelu, hidden_.as<float>(),
           config_.mlp, ahead(thread, layer.down));
    rows = prepare(thread, count, config_.mlp, plain(hidden_.as<float>(), config_.mlp));
    const bool last = index + 1 == config_.layers;
    const Ahead next = !last ? ahead(thread, weights_.layers()[index + 1].qkv)
                       : predictions.empty()
                           ? Ahead{}
                           : ahead(thread, weights_.streams()[predictions[0].stream].head);
    linear(thread, layer.down, rows, count, layer.down_bias, Epilogue::add, x, dim, next);
  }

  for (const Predict& predict : predictions) {
    const Rows rows = prepare(thread, predict.count, dim,
                              normed(weights_.norm_weight(), weights_.norm_bias(), predict.first));
    linear(thread, weights_.streams()[predict.stream].head, rows, predict.count, nullptr,
           Epilogue::store, predict.out, predict.stride, first_weights(thread));
  }
}

size_t Engine::step_bytes(int position, int rows) const {
  const int next = std::min(position + 1, config_.length() - 1);
  return weights_.step_bytes(config_.stream_at(next)) + rows * kv_step_bytes(config_, position);
}

}  // namespace mas
