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

// A thread has the heads of some sequences to itself, so that a query meets all keys before it
// without a barrier, and the keys of a head are read from memory once for all positions.
void Engine::attention(int thread, const LayerWeights& layer, int index, KvCache& cache,
                       std::span<const BatchEntry> entries, int sequences) {
  const int heads = config_.heads, head_dim = config_.head_dim(), dim = config_.dim;
  const int positions = int(entries.size()) / sequences;
  const Mask mask = config_.mask(index);
  const int together = mask == Mask::causal ? positions : 1;
  const ptrdiff_t stride = ptrdiff_t(sequences) * dim;  // from one position to the next
  float* scratch = scratch_.as<float>() + thread * scratch_floats_;
  const auto head_of = [&](int unit) {
    return cache.head(index, entries[unit / heads].sequence, unit % heads);
  };
  const Share mine = share(thread, sequences * heads);
  for (int unit = mine.first; unit < mine.last; ++unit) {
    const int sequence = unit / heads, channel = unit % heads * head_dim;
    const HeadCache head = head_of(unit);
    float* queries = qkv_.as<float>() + 3 * ptrdiff_t(sequence) * dim + channel;
    float* out = context_.as<float>() + ptrdiff_t(sequence) * dim + channel;
    for (int p = 0; p < positions; ++p) {
      float* query = queries + p * 3 * stride;
      if (layer.q_norm) {
        kernels_.rms_norm(query, layer.q_norm, head_dim, 1e-6f);
        kernels_.rms_norm(query + dim, layer.k_norm, head_dim, 1e-6f);
      }
      kernels_.append(head, slot(config_, mask, entries[p * sequences + sequence].position),
                      query + dim, query + 2 * dim);
    }
    const char* next = head_of(unit + 1 < mine.last ? unit + 1 : unit).keys;
    for (int p = 0; p < positions; p += together) {
      const std::span<Range> seen =
          visible(thread, index, entries[(p + together - 1) * sequences + sequence].position);
      kernels_.attend(head, seen.data(), int(seen.size()), together, queries + p * 3 * stride,
                      3 * stride, out + p * stride, stride, scratch, next);
    }
  }
  pool_.barrier(prefetch_range(thread, layer.proj));
}

void Engine::forward(int thread, KvCache& cache, std::span<const BatchEntry> entries, int sequences,
                     std::span<const LogitsRequest> logits_requests) {
  const int count = int(entries.size()), dim = config_.dim;
  float* x = residual_.as<float>();
  float* scratch = scratch_.as<float>() + thread * scratch_floats_;
  for (int row = thread; row < count; row += pool_.active()) {
    const BatchEntry& entry = entries[row];
    const int stream = config_.stream_at(entry.position);
    const StreamWeights& weights = weights_.streams()[stream];
    const float* position =
        weights.position + size_t(entry.position - config_.offset(stream)) * dim;
    for (int i = 0; i < dim; ++i)
      x[size_t(row) * dim + i] = weights.embed.at(size_t(entry.token) * dim + i) + position[i];
  }
  pool_.barrier(first_weights(thread));

  auto normed = [&](const float* weight, const float* bias, int first) {
    return [=, this](const PreparedRows& rows, int row) {
      kernels_.layer_norm(x + size_t(first + row) * dim, weight, bias, dim, config_.norm_eps,
                          scratch);
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
    PreparedRows rows =
        prepare(thread, count, dim, normed(layer.norm1_weight, layer.norm1_bias, 0));
    const int unit = share(thread, sequences * config_.heads)
                         .first;  // the head that this thread attends with first
    const HeadCache head =
        cache.head(index, entries[std::min(unit / config_.heads, sequences - 1)].sequence,
                   unit % config_.heads);
    const Range first = visible(thread, index, entries[0].position).front();
    const char* keys = head.keys + first.first / kPanel * head.key_panel_bytes();
    linear(thread, layer.qkv, rows, count, layer.qkv_bias, Epilogue::store, qkv_.as<float>(),
           3 * dim, {keys, head.keys + ceil_div(first.last, kPanel) * head.key_panel_bytes()});
    attention(thread, layer, index, cache, entries, sequences);
    rows = prepare(thread, count, dim, plain(context_.as<float>(), dim));
    linear(thread, layer.proj, rows, count, layer.proj_bias, Epilogue::add, x, dim,
           prefetch_range(thread, layer.up));
    rows = prepare(thread, count, dim, normed(layer.norm2_weight, layer.norm2_bias, 0));
    linear(thread, layer.up, rows, count, layer.up_bias, Epilogue::gelu, hidden_.as<float>(),
           config_.mlp, prefetch_range(thread, layer.down));
    rows = prepare(thread, count, config_.mlp, plain(hidden_.as<float>(), config_.mlp));
    const bool last = index + 1 == config_.layers;
    const PrefetchRange next =
        !last ? prefetch_range(thread, weights_.layers()[index + 1].qkv)
        : logits_requests.empty()
            ? PrefetchRange{}
            : prefetch_range(thread, weights_.streams()[logits_requests[0].stream].head);
    linear(thread, layer.down, rows, count, layer.down_bias, Epilogue::add, x, dim, next);
  }

  for (const LogitsRequest& request : logits_requests) {
    const PreparedRows rows =
        prepare(thread, request.count, dim,
                normed(weights_.norm_weight(), weights_.norm_bias(), request.first));
    linear(thread, weights_.streams()[request.stream].head, rows, request.count, nullptr,
           Epilogue::store, request.out, request.stride, first_weights(thread));
  }
}

size_t Engine::step_bytes(int position, int rows) const {
  const int next = std::min(position + 1, config_.length() - 1);
  return weights_.step_bytes(config_.stream_at(next)) + rows * kv_step_bytes(config_, position);
}

}  // namespace mas
