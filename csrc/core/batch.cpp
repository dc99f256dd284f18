#include "batch.h"

#include <algorithm>
#include <cmath>
#include <exception>

namespace mas {

namespace {

// Entries of prompts in a pass, at least, however many sequences draw.
constexpr int kLeastOfPrompts = 16;

}  // namespace

class Batch {
 public:
  Batch(Engine& engine, std::span<Run* const> runs, int target);

  // Plans the next pass; returns whether there is any.
  bool plan();
  const Pass& pass() const { return pass_; }
  int rows() const { return all_rows_; }  // of all runs
  void draw(int thread);
  // Takes over what the pass has read and drawn.
  void finish();

 private:
  // A sequence that draws, and its share of the units.
  struct Part {
    Run* run;
    Run::Sequence* sequence;
    int window = 0;  // positions from sequence->known on
    int first_unit = 0;
  };
  // A row of which a part of the prompt is read, and the positions that its cache then holds.
  struct Reading {
    Run::Row* row;
    int done;
  };
  // A position that is drawn, and where its logits are: rows of the stream's.
  struct Unit {
    int part, position;
    int stream = 0, logits = -1, unconditional = -1;  // -1: not asked for
  };

  void read(const Run& run, const Run::Sequence& sequence, int row, int last);
  void choose_windows(int spare);
  void add_units(int part);
  int request_logits(int stream, int entry);
  const float* logits(int stream, int row) const {
    return logits_[stream].data() + size_t(row) * config_.streams[stream].vocab;
  }

  Engine& engine_;
  const Config& config_;
  std::vector<Run*> runs_;
  int target_;
  Pass pass_;
  std::vector<Part> parts_;
  int all_rows_ = 0;
  int rows_ = 0;            // of these sequences
  bool only_draws_ = true;  // the pass reads no other known token than the last one of each
  std::vector<Reading> readings_;
  std::vector<Unit> units_;
  std::vector<Run::Drawn> drawn_;           // of each unit
  std::vector<std::vector<float>> logits_;  // of each stream
};

Batch::Batch(Engine& engine, std::span<Run* const> runs, int target)
    : engine_(engine),
      config_(engine.config()),
      runs_(runs.begin(), runs.end()),
      target_(target),
      logits_(config_.streams.size()) {
  int positions = 1;
  for (const Run* run : runs_) {
    for (const auto& sequence : run->sequences_) all_rows_ += int(sequence.rows.size());
    positions = std::max(positions, run->stop());
  }
  engine_.reserve(all_rows_ + kChunk, positions);
}

// Reads the tokens of a row from where its cache ends to before position `last`.
void Batch::read(const Run& run, const Run::Sequence& sequence, int row, int last) {
  Run::Row& of = *sequence.rows[row];
  const int first = int(pass_.entries.size());
  pass_.segments.push_back({&of.cache, first, last - of.done});
  for (int position = of.done; position < last; ++position)
    pass_.entries.push_back({run.token(sequence, row, position), position});
}

bool Batch::plan() {
  pass_.entries.clear();
  pass_.segments.clear();
  pass_.logits.clear();
  parts_.clear();
  units_.clear();
  readings_.clear();
  rows_ = 0;
  only_draws_ = true;

  // Sequences that have read all known tokens but the last one draw in any case.
  std::vector<Part> behind;
  for (Run* run : runs_) {
    if (!run->error_.empty()) continue;
    for (Run::Sequence& sequence : run->sequences_) {
      const int target = std::min(target_, run->stop());
      if (sequence.known >= target) continue;
      bool caught_up = true;
      for (int row = 0; row < int(sequence.rows.size()); ++row) {
        run->follow(sequence, row, target);
        caught_up = caught_up && sequence.rows[row]->done == sequence.known - 1;
      }
      if (caught_up) {
        parts_.push_back({run, &sequence});
        rows_ += int(sequence.rows.size());
      } else {
        behind.push_back({run, &sequence});
      }
    }
  }
  int room = std::max(kChunk - rows_, kLeastOfPrompts);
  int spare = kChunk - rows_;
  for (const Part& part : behind) {
    Run::Sequence& sequence = *part.sequence;
    int unread = 0;
    bool draws = true;  // together with those that wait for it
    for (const auto& row : sequence.rows) {
      unread += sequence.known - row->done;
      draws = draws && row->leader < 0 && row->followers == 0;
    }
    if (draws && unread <= room) {
      parts_.push_back(part);
      rows_ += int(sequence.rows.size());
      room -= unread, spare -= unread;
      only_draws_ = false;
      continue;
    }
    for (int row = 0; row < int(sequence.rows.size()); ++row) {
      Run::Row& of = *sequence.rows[row];
      const int count = std::min(room, sequence.known - 1 - of.done);
      if (of.leader >= 0 || count <= 0) continue;
      read(*part.run, sequence, row, of.done + count);
      readings_.push_back({&of, of.done + count});
      room -= count, spare -= count;
      only_draws_ = false;
    }
  }
  if (parts_.empty()) return !pass_.entries.empty();
  choose_windows(spare);
  for (int part = 0; part < int(parts_.size()); ++part) add_units(part);
  drawn_.resize(units_.size());
  for (LogitsRequest& request : pass_.logits) {
    auto& of = logits_[request.stream];
    const size_t size = request.entries.size() * config_.streams[request.stream].vocab;
    if (of.size() < size) of.resize(size);
    request.out = of.data();
  }
  return true;
}

// Windows share `spare` entries besides one for each row.
void Batch::choose_windows(int spare) {
  const int most = 1 + std::max(0, spare) / rows_;
  std::vector<int> learned(config_.streams.size());
  for (Part& part : parts_) {
    const Run::Sequence& sequence = *part.sequence;
    const int stream = config_.stream_at(sequence.known);
    int width = part.run->request_.window;
    if (!width) {
      if (!learned[stream]) learned[stream] = engine_.speculation(stream).width(rows_, most);
      width = learned[stream];
    }
    const int left = std::min(target_, part.run->stop()) - sequence.known;
    part.window = std::min({width, most, left});
  }
}

// What a sequence reads, and the positions that it draws.
void Batch::add_units(int part) {
  Part& of = parts_[part];
  Run& run = *of.run;
  Run::Sequence& sequence = *of.sequence;
  const int known = sequence.known, last = known + of.window - 1;
  run.guess(sequence, last);
  int entries[2] = {};  // those of the last known token
  for (int row = 0; row < int(sequence.rows.size()); ++row) {
    entries[row] = int(pass_.entries.size()) + known - 1 - sequence.rows[row]->done;
    read(run, sequence, row, last);
  }
  of.first_unit = int(units_.size());
  for (int index = 0; index < of.window; ++index) {
    Unit unit{part, known + index, config_.stream_at(known + index)};
    const bool forced = run.is_forced(sequence, unit.position);
    if (!forced || run.is_scored(sequence, unit.position))
      unit.logits = request_logits(unit.stream, entries[0] + index);
    if (!forced && run.request_.sampling[unit.position].guidance != 1)
      unit.unconditional = request_logits(unit.stream, entries[1] + index);
    units_.push_back(unit);
  }
}

// The row of the stream's logits that will be those at an entry.
int Batch::request_logits(int stream, int entry) {
  auto request = std::find_if(pass_.logits.begin(), pass_.logits.end(),
                              [&](const LogitsRequest& it) { return it.stream == stream; });
  if (request == pass_.logits.end()) request = pass_.logits.insert(request, LogitsRequest{stream});
  request->entries.push_back(entry);
  return int(request->entries.size()) - 1;
}

void Batch::draw(int thread) {
  for (int index = thread; index < int(units_.size()); index += engine_.pool().active()) {
    const Unit& unit = units_[index];
    const Run& run = *parts_[unit.part].run;
    const Run::Sequence& sequence = *parts_[unit.part].sequence;
    Run::Drawn& drawn = drawn_[index];
    const int vocab = config_.streams[unit.stream].vocab;
    if (run.is_forced(sequence, unit.position)) {
      drawn = {sequence.tokens[unit.position]};
      if (unit.logits < 0) continue;
      const float* row = logits(unit.stream, unit.logits);
      drawn.log_probability = log_probability(row, vocab, drawn.token);
      if (std::isnan(drawn.log_probability))
        drawn.token =
            -1 - int(std::find_if(row, row + vocab, [](float x) { return x != x; }) - row);
      continue;
    }
    const Draw draw{run.request_.seed, sequence.sample, uint32_t(unit.position)};
    drawn = {
        sample_or_nan(logits(unit.stream, unit.logits),
                      unit.unconditional >= 0 ? logits(unit.stream, unit.unconditional) : nullptr,
                      vocab, run.request_.sampling[unit.position], draw,
                      engine_.sampler_scratch(thread), nullptr, engine_.isa())};
  }
}

void Batch::finish() {
  for (const Reading& reading : readings_) reading.row->done = reading.done;
  bool same_widths = true;
  std::vector<bool> streams(config_.streams.size());
  for (const Part& part : parts_) {
    const int stream = config_.stream_at(part.sequence->known);
    const std::span<const Run::Drawn> drawn(drawn_.data() + part.first_unit, part.window);
    const int count = part.run->accept(*part.sequence, drawn);
    if (count) engine_.speculation(stream).drawn(part.window, count);
    streams[stream] = true;
    same_widths = same_widths && part.window == parts_[0].window;
  }
  if (only_draws_ && same_widths)
    for (size_t stream = 0; stream < streams.size(); ++stream)
      if (streams[stream])
        engine_.speculation(int(stream)).passed(rows_, parts_[0].window, engine_.pace().last());
  for (Run* run : runs_) {
    const std::lock_guard lock(run->mutex_);
    run->passes_ += std::any_of(parts_.begin(), parts_.end(),
                                [&](const Part& part) { return part.run == run; });
  }
}

void advance(Engine& engine, std::span<Run* const> runs, int target,
             const std::function<bool()>& going) {
  const EngineLock lock(engine);
  Batch batch(engine, runs, target);
  if (!batch.plan()) return;
  ThreadPool& pool = engine.pool();
  Pace& pace = engine.pace();
  bool more = true, steady = true;
  std::exception_ptr thrown;
  const auto between = [&] {  // thread 0, between two passes
    try {
      batch.finish();
      more = going() && batch.plan();
    } catch (...) {
      thrown = std::current_exception();
      more = false;
    }
  };
  const auto passes = [&](int thread) {
    do {
      engine.forward(thread, batch.pass());
      batch.draw(thread);
      pool.barrier(engine.first_weights(thread));  // before thread 0 plans anew
      if (thread == 0) {
        steady = pace.passed();
        between();
        pace.start();
      }
      pool.barrier(engine.first_weights(thread));
    } while (more && steady);
  };
  pace.begin(batch.rows());
  while (more) pool.run(passes, pace.alone());
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace mas
