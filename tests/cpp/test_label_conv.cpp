#include "core/label_conv.h"

#include <cmath>
#include <random>
#include <vector>

#include "check.h"

namespace {

struct Case {
  int64_t images;
  int height, width, count;
  bool has_edges;
  int outputs;
  std::vector<uint8_t> labels, edges;
  std::vector<float> weight, bias, grad;

  int channels() const { return count + has_edges; }
  mas::LabelMaps maps() const {
    return {labels.data(), edges.data(), has_edges, images * height, height, width, count};
  }
  // The value of a one-hot channel.
  double at(int64_t image, int y, int x, int channel) const {
    if (y < 0 || y >= height || x < 0 || x >= width) return 0;
    const size_t pixel = (image * height + y) * size_t(width) + x;
    return channel < count ? labels[pixel] == channel : edges[pixel];
  }
};

Case make(int64_t images, int height, int width, int count, bool has_edges, int outputs) {
  std::mt19937 random(count + outputs);
  std::normal_distribution<float> gauss;
  Case c{images, height, width, count, has_edges, outputs, {}, {}, {}, {}, {}};
  const size_t pixels = size_t(images) * height * width;
  for (size_t i = 0; i < pixels; ++i) {
    c.labels.push_back(random() % 5 ? uint8_t(random() % (count + 1)) : 255);
    c.edges.push_back(random() % 2);
  }
  for (int i = 0; i < outputs * c.channels() * 9; ++i) c.weight.push_back(gauss(random));
  for (int i = 0; i < outputs; ++i) c.bias.push_back(gauss(random));
  for (size_t i = 0; i < pixels * outputs; ++i) c.grad.push_back(gauss(random));
  return c;
}

void check_case(const Case& c, mas::Isa isa) {
  const mas::LabelMaps maps = c.maps();
  const int64_t stride = c.channels() * 9;
  const auto table =
      mas::label_table(maps, {c.weight.data(), {stride, 9, 3, 1}, c.bias.data(), c.outputs});
  std::vector<float> out(c.grad.size() + 2, 42);
  const int64_t half = maps.lines / 2;
  mas::label_conv(maps, table.data(), c.outputs, half, maps.lines, out.data() + 1, isa);
  mas::label_conv(maps, table.data(), c.outputs, 0, half, out.data() + 1, isa);
  CHECK(out.front() == 42 && out.back() == 42);
  std::vector<float> weight(c.weight.size(), NAN), bias(c.bias.size(), NAN);
  const int middle = c.outputs / 2;
  for (auto [first, last] : {std::pair{middle, c.outputs}, std::pair{0, middle}})
    mas::label_conv_backward(maps, c.grad.data(), c.outputs, first, last, weight.data(),
                             bias.data(), isa);

  for (int o = 0; o < c.outputs; ++o) {
    std::vector<double> slope(stride);
    double sum = 0;
    for (int64_t image = 0; image < c.images; ++image)
      for (int y = 0; y < c.height; ++y)
        for (int x = 0; x < c.width; ++x) {
          const size_t at = ((image * c.height + y) * c.width + x) * c.outputs + o;
          double want = c.bias[o];
          sum += c.grad[at];
          for (int i = 0; i < stride; ++i) {
            const double value = c.at(image, y + i / 3 % 3 - 1, x + i % 3 - 1, i / 9);
            want += value * c.weight[o * stride + i];
            slope[i] += value * c.grad[at];
          }
          CHECK(std::abs(out[1 + at] - want) < 1e-5);
        }
    CHECK(std::abs(bias[o] - sum) < 1e-5);
    for (int i = 0; i < stride; ++i) CHECK(std::abs(weight[o * stride + i] - slope[i]) < 1e-5);
  }
}

}  // namespace

int main() {
  for (mas::Isa isa : mas::supported_isas()) {
    check_case(make(2, 5, 9, 7, true, 70), isa);
    check_case(make(1, 1, 1, 1, false, 1), isa);
    check_case(make(3, 1, 4, 255, false, 33), isa);
    check_case(make(1, 4, 1, 3, true, 128), isa);
    check_case(make(0, 4, 4, 3, true, 8), isa);
  }
  return check::finish();
}
