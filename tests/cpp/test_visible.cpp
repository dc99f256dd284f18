// What a position sees, as ranges of slots, against the definition of the masks.
#include "core/visible.h"

#include <set>
#include <stdexcept>
#include <vector>

#include "check.h"
#include "masks.h"

namespace {

using mas::Config;
using mas::Mask;

void test_config(const Config& config, Mask mask) {
  const int length = config.length();
  std::set<int> used;
  for (int position = 0; position < length; ++position) {
    const int at = mas::slot(config, mask, position);
    CHECK(at >= 0 && at < length && used.insert(at).second);
    CHECK(at < mas::slots(config, position + 1));
    std::set<int> expected, found;
    for (int other = 0; other < length; ++other)
      if (sees(config, mask, position, other)) expected.insert(mas::slot(config, mask, other));
    std::vector<mas::Range> ranges(mas::most_ranges(config) + 1, {-1, -1});
    const int count = mas::visible(config, mask, position, ranges.data());
    CHECK(count >= 1 && count <= mas::most_ranges(config) && ranges[count].first == -1);
    for (int i = 0; i < count; ++i) {
      CHECK(ranges[i].first < ranges[i].last);
      CHECK(i == 0 || ranges[i].first > ranges[i - 1].last);
      for (int slot = ranges[i].first; slot < ranges[i].last; ++slot) found.insert(slot);
    }
    CHECK(found == expected);
    CHECK(int(expected.size()) == mas::visible_count(config, mask, position));
  }
}

}  // namespace

int main() {
  const std::vector<std::vector<mas::StreamShape>> all = {
      {{"text", 6, 9}, {"seg", 30, 9, 5, 6}, {"img", 40, 9, 10, 4}},
      {{"text", 1, 9}, {"more", 4, 9}, {"img", 49, 9, 7, 7}},
      {{"img", 36, 9, 4, 9}},
      {{"text", 2, 9}, {"line", 7, 9, 1, 7}, {"pole", 8, 9, 8, 1}},
  };
  for (const auto& streams : all)
    for (const Mask mask : {Mask::causal, Mask::row, Mask::column, Mask::conv})
      for (const int kernel : {1, 3, 5, 11, 999}) {
        Config config{.dim = 8, .layers = 1, .heads = 1, .mlp = 8, .streams = streams};
        config.attention = {mask};
        config.conv_kernel = kernel;
        config.check();
        test_config(config, mask);
      }
  CHECK(mas::parse_mask("conv") == Mask::conv);
  CHECK_THROWS(mas::parse_mask("diagonal"), std::invalid_argument);
  return check::finish();
}
