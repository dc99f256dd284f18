#include "teacher.h"

#include <algorithm>

namespace mas {

int predicted(const Config& config, int stream, int length) {
  const int first = std::max(1, config.offset(stream)),
            end = config.offset(stream) + config.streams[stream].length;
  return std::max(0, std::min(end, length + 1) - first);
}

void teacher_logits(Engine& engine, const int32_t* tokens, int count, int length,
                    const std::vector<float*>& out, const std::function<void()>& between) {
  const Config& config = engine.config();
  const EngineLock lock(engine);
  engine.reserve(kChunk, length);
  engine.pace().begin();
  for (int sequence = 0; sequence < count; ++sequence) {
    KvCache cache(config, length);
    for (int first = 0; first < length; first += kChunk) {
      const int last = std::min(length, first + kChunk);
      Pass pass;
      pass.segments = {{&cache, 0, last - first}};
      for (int position = first; position < last; ++position)
        pass.entries.push_back({tokens[size_t(sequence) * length + position], position});
      for (int position = first; position < last && position + 1 < config.length(); ++position) {
        const int stream = config.stream_at(position + 1);
        if (pass.logits.empty() || pass.logits.back().stream != stream) {
          const int row = position + 1 - std::max(1, config.offset(stream));
          const size_t rows = size_t(sequence) * predicted(config, stream, length) + row;
          pass.logits.push_back({stream, {}, out[stream] + rows * config.streams[stream].vocab});
        }
        pass.logits.back().entries.push_back(position - first);
      }
      engine.pace().start();
      engine.pool().run([&](int thread) { engine.forward(thread, pass); }, engine.pace().alone());
      engine.pace().passed();
      if (between) between();
    }
  }
}

}  // namespace mas
