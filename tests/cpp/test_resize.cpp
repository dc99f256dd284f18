// That resize() stays within its pictures and buffers, on every level: for the sanitizers.
// tests/native/test_resize.py holds it against its definition.
#include "core/resize.h"

#include <random>
#include <vector>

#include "check.h"

namespace {

void same_on_every_level(int from_height, int from_width, int height, int width, mas::Box box) {
  std::mt19937 random(uint32_t(from_height * 1000 + from_width));
  // A picture that ends with its memory, and rows with a gap between them.
  const ptrdiff_t stride = 3 * from_width + 5;
  std::vector<uint8_t> pixels(size_t(stride) * (from_height - 1) + 3 * size_t(from_width));
  for (uint8_t& value : pixels) value = uint8_t(random());
  const mas::Picture picture{pixels.data(), stride, from_height, from_width};
  std::vector<uint8_t> expected(3 * size_t(height) * width), found(expected.size());
  mas::resize(picture, box, height, width, expected.data(), mas::Isa::generic);
  for (mas::Isa isa : mas::supported_isas()) {
    mas::resize(picture, box, height, width, found.data(), isa);
    CHECK(found == expected);
  }
}

}  // namespace

int main() {
  for (const auto& [rows, columns] :
       {std::pair{1, 1}, {1, 40}, {37, 1}, {16, 64}, {33, 47}, {90, 70}})
    for (const auto& [height, width] : {std::pair{1, 1}, {1, 30}, {5, 7}, {16, 64}, {61, 99}})
      same_on_every_level(rows, columns, height, width, {0, 0, double(rows), double(columns)});
  same_on_every_level(50, 60, 20, 21, {3.5, 7.25, 40.5, 44.75});
  same_on_every_level(50, 60, 20, 21, {9.5, 15.5, 40.5, 44.5});
  return check::finish();
}
