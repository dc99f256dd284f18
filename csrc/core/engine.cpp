#include "engine.h"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "processors.h"
#include "visible.h"

namespace mas {

namespace {

// Up to this many rows, every thread prepares all of them for itself, which costs less than a
// barrier.
constexpr int kPrivateRows = 4;
// How far a waiting thread prefetches: well within a core's second-level cache.
constexpr size_t kPrefetchBytes = 256 << 10;

int thread_count(int asked) { return asked > 0 ? asked : available_threads(); }

Config checked(const Config& config) {
  config.check();
  return config;
}

// The bytes of `count` prepared rows of up to `inputs` inputs: integers or floats, then scales,
// then offsets.
size_t rows_bytes(int count, int inputs) {
  const PreparedRows widest{DType::fp32, inputs};
  return (size_t(count) * (widest.data_bytes() + 4 + 4 * widest.groups()) + 63) / 64 * 64;
}

}  // namespace

Engine::Engine(const Config& config, int threads, Isa isa)
    : config_(checked(config)),
      isa_(isa),
      kernels_(kernels(isa)),
      weights_(config_),
      pool_(thread_count(threads)),
      speculation_(config_.streams.size()),
      process_(getpid()),
      sampler_scratch_bytes_((sampler_scratch_bytes(config_.largest_vocab()) + 63) / 64 * 64),
      sampler_scratch_(sampler_scratch_bytes_ * pool_.size()),
      ranges_bytes_((sizeof(Range) * most_ranges(config_) + 63) / 64 * 64) {
  ranges_ = Buffer(ranges_bytes_ * pool_.size());
}

EngineLock::EngineLock(Engine& engine) : engine_(engine) {
  if (getpid() != engine.process_)
    throw std::logic_error(
        "this engine was made before the process forked, and its threads stayed behind; make one "
        "in each process");
  if (engine.user_.load() == std::this_thread::get_id())
    throw std::logic_error("this engine is in use by the call that called back here");
  engine.mutex_.lock();
  engine.user_.store(std::this_thread::get_id());
}

EngineLock::~EngineLock() {
  engine_.user_.store({});
  engine_.mutex_.unlock();
}

void Engine::reserve(int entries, int positions) {
  if (entries <= entries_ && positions <= positions_) return;
  const int most_entries = std::max(entries, entries_),
            most_positions = std::max(positions, positions_);
  entries_ = positions_ = 0;  // until every buffer exists: an allocation may throw
  const size_t count = most_entries, dim = config_.dim;
  const int widest = std::max(config_.dim, config_.mlp);
  residual_ = Buffer(4 * count * dim);
  qkv_ = Buffer(4 * count * 3 * dim);
  context_ = Buffer(4 * count * dim);
  hidden_ = Buffer(4 * count * config_.mlp);
  rows_ = Buffer(rows_bytes(most_entries + kMostTileRows, widest));
  private_rows_ = Buffer(pool_.size() * rows_bytes(kPrivateRows, widest));
  scratch_floats_ =
      std::max(attention_scratch_floats(config_.head_dim(), most_positions, most_ranges(config_)),
               dim) +
      16;
  scratch_ = Buffer(4 * scratch_floats_ * pool_.size());
  entries_ = most_entries;
  positions_ = most_positions;
}

Engine::Share Engine::share(int thread, int units) const {
  const int64_t size = pool_.active();
  return {int(units * int64_t(thread) / size), int(units * int64_t(thread + 1) / size)};
}

PrefetchRange Engine::prefetch_range(int thread, const Packed& weights) const {
  const Share panels = share(thread, weights.panels());
  const char* first = weights.panel(panels.first);
  return {first, first + std::min(kPrefetchBytes,
                                  size_t(panels.last - panels.first) * weights.panel_bytes())};
}

PreparedRows Engine::rows_view(int thread, int count, int inputs) {
  const bool is_private = count <= kPrivateRows;
  char* data = is_private
                   ? private_rows_.as<char>() +
                         thread * rows_bytes(kPrivateRows, std::max(config_.dim, config_.mlp))
                   : rows_.as<char>();
  PreparedRows rows{config_.dtype, inputs, data};
  rows.tile = kernels_.tile(config_.dtype, count);
  const int room = is_private ? kPrivateRows : entries_ + kMostTileRows;
  rows.scale = reinterpret_cast<float*>(data + room * rows.data_bytes());
  rows.offset = reinterpret_cast<int32_t*>(rows.scale + room);
  return rows;
}

// Rows filled by fill(rows, row), ready for this thread to read.
template <class Fill>
PreparedRows Engine::prepare(int thread, int count, int inputs, Fill fill) {
  const PreparedRows rows = rows_view(thread, count, inputs);
  const bool is_private = count <= kPrivateRows;
  for (int row = is_private ? 0 : thread; row < count; row += is_private ? 1 : pool_.active())
    fill(rows, row);
  if (!is_private) pool_.barrier();
  return rows;
}

void Engine::linear(int thread, const Packed& weights, const PreparedRows& rows, int count,
                    const float* bias, Epilogue epilogue, float* out, ptrdiff_t stride,
                    PrefetchRange next) {
  const Share panels = share(thread, weights.panels());
  kernels_.linear(weights, rows, count, bias, epilogue, out, stride, panels.first, panels.last);
  pool_.barrier(next);
}

// The slots that `position` sees in a layer; valid until the same thread calls again.
std::span<Range> Engine::visible(int thread, int layer, int position) {
  auto* ranges = reinterpret_cast<Range*>(ranges_.as<char>() + thread * ranges_bytes_);
  return {ranges, size_t(mas::visible(config_, config_.mask(layer), position, ranges))};
}

// Calls visit(segment, head) for the heads of segments that are this thread's: a share of all
// queries, in the order of the segments.
template <class Visit>
void Engine::own_heads(int thread, const Pass& pass, Visit visit) const {
  const Share mine = share(thread, int(pass.entries.size()) * config_.heads);
  int begin = 0;  // queries of the heads before this one
  for (const Segment& segment : pass.segments)
    for (int head = 0; head < config_.heads; ++head, begin += segment.count)
      if (begin >= mine.first && begin < mine.last) visit(segment, head);
}

// A thread has some heads of some segments to itself, so that a query meets all keys before it
// without a barrier, and the keys of a head are read from memory once for all positions.
void Engine::attention(int thread, const LayerWeights& layer, int index, const Pass& pass) {
  const int head_dim = config_.head_dim(), dim = config_.dim;
  const Mask mask = config_.mask(index);
  float* scratch = scratch_.as<float>() + thread * scratch_floats_;
  const auto attend = [&](const Segment& segment, int head, const char* next) {
    const HeadCache keys = segment.cache->head(index, head);
    const Entry* entries = pass.entries.data() + segment.first;
    float* queries = qkv_.as<float>() + 3 * ptrdiff_t(segment.first) * dim + head * head_dim;
    float* out = context_.as<float>() + ptrdiff_t(segment.first) * dim + head * head_dim;
    for (int p = 0; p < segment.count; ++p) {
      float* query = queries + p * 3 * ptrdiff_t(dim);
      if (layer.q_norm) {
        kernels_.rms_norm(query, layer.q_norm, head_dim, 1e-6f);
        kernels_.rms_norm(query + dim, layer.k_norm, head_dim, 1e-6f);
      }
      kernels_.append(keys, slot(config_, mask, entries[p].position), query + dim, query + 2 * dim);
    }
    const int together = mask == Mask::causal ? segment.count : 1;
    for (int p = 0; p < segment.count; p += together) {
      const std::span<Range> seen = visible(thread, index, entries[p + together - 1].position);
      kernels_.attend(keys, seen.data(), int(seen.size()), together,
                      queries + p * 3 * ptrdiff_t(dim), 3 * dim, out + p * ptrdiff_t(dim), dim,
                      scratch, next);
    }
  };
  const Segment* waiting = nullptr;  // one behind, as its keys are fetched during the one before
  int waiting_head = 0;
  own_heads(thread, pass, [&](const Segment& segment, int head) {
    if (waiting) attend(*waiting, waiting_head, segment.cache->head(index, head).keys);
    waiting = &segment, waiting_head = head;
  });
  if (waiting) attend(*waiting, waiting_head, waiting->cache->head(index, waiting_head).keys);
  pool_.barrier(prefetch_range(thread, layer.proj));
}

// The keys that this thread reads first in a layer's attention.
PrefetchRange Engine::first_keys(int thread, int index, const Pass& pass) {
  PrefetchRange range;
  own_heads(thread, pass, [&](const Segment& segment, int head) {
    if (range.next) return;
    const HeadCache keys = segment.cache->head(index, head);
    const Range seen = visible(thread, index, pass.entries[segment.first].position).front();
    range = {keys.keys + seen.first / kPanel * keys.key_panel_bytes(),
             keys.keys + ceil_div(seen.last, kPanel) * keys.key_panel_bytes()};
  });
  return range;
}

void Engine::forward(int thread, const Pass& pass) {
  const int count = int(pass.entries.size()), dim = config_.dim;
  float* x = residual_.as<float>();
  float* scratch = scratch_.as<float>() + thread * scratch_floats_;
  for (int row = thread; row < count; row += pool_.active()) {
    const Entry& entry = pass.entries[row];
    const int stream = config_.stream_at(entry.position);
    const StreamWeights& weights = weights_.streams()[stream];
    const float* position =
        weights.position + size_t(entry.position - config_.offset(stream)) * dim;
    for (int i = 0; i < dim; ++i)
      x[size_t(row) * dim + i] = weights.embed.at(size_t(entry.token) * dim + i) + position[i];
  }
  pool_.barrier(first_weights(thread));

  auto normed = [&](const float* weight, const float* bias, const int* entries = nullptr) {
    return [=, this](const PreparedRows& rows, int row) {
      kernels_.layer_norm(x + size_t(entries ? entries[row] : row) * dim, weight, bias, dim,
                          config_.norm_eps, scratch);
      kernels_.prepare(rows, row, scratch);
    };
  };
  auto plain = [&](const float* from, int size) {
    return [=, this](const PreparedRows& rows, int row) {
      kernels_.prepare(rows, row, from + size_t(row) * size);
    };
  };

  for (int index = 0; index < config_.layers; ++index) {
    const LayerWeights& layer = weights_.layers()[index];
    PreparedRows rows = prepare(thread, count, dim, normed(layer.norm1_weight, layer.norm1_bias));
    linear(thread, layer.qkv, rows, count, layer.qkv_bias, Epilogue::store, qkv_.as<float>(),
           3 * dim, first_keys(thread, index, pass));
    attention(thread, layer, index, pass);
    rows = prepare(thread, count, dim, plain(context_.as<float>(), dim));
    linear(thread, layer.proj, rows, count, layer.proj_bias, Epilogue::add, x, dim,
           prefetch_range(thread, layer.up));
    rows = prepare(thread, count, dim, normed(layer.norm2_weight, layer.norm2_bias));
    linear(thread, layer.up, rows, count, layer.up_bias, Epilogue::gelu, hidden_.as<float>(),
           config_.mlp, prefetch_range(thread, layer.down));
    rows = prepare(thread, count, config_.mlp, plain(hidden_.as<float>(), config_.mlp));
    const bool last = index + 1 == config_.layers;
    const PrefetchRange next =
        !last ? prefetch_range(thread, weights_.layers()[index + 1].qkv)
        : pass.logits.empty()
            ? PrefetchRange{}
            : prefetch_range(thread, weights_.streams()[pass.logits[0].stream].head);
    linear(thread, layer.down, rows, count, layer.down_bias, Epilogue::add, x, dim, next);
  }

  for (const LogitsRequest& request : pass.logits) {
    const int size = int(request.entries.size());
    const PreparedRows rows =
        prepare(thread, size, dim,
                normed(weights_.norm_weight(), weights_.norm_bias(), request.entries.data()));
    linear(thread, weights_.streams()[request.stream].head, rows, size, nullptr, Epilogue::store,
           request.out, config_.streams[request.stream].vocab, first_weights(thread));
  }
}

size_t Engine::step_bytes(int position, int rows) const {
  const int next = std::min(position + 1, config_.length() - 1);
  return weights_.step_bytes(config_.stream_at(next)) + rows * kv_step_bytes(config_, position);
}

}  // namespace mas
