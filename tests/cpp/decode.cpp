// Not a test: a decode of a small GPT, whose instructions scripts/check_aarch64.sh counts.
//   decode                       prints the instruction sets that run here
//   decode ISA DTYPE POSITIONS   draws so many tokens with guidance, two rows a pass, and prints
//   them
#include <cstdio>
#include <cstdlib>

#include "small_model.h"

namespace {

const Config shape{.dim = 256,
                   .layers = 2,
                   .heads = 4,
                   .mlp = 1024,
                   .qk_norm = true,
                   .streams = {{"text", 16, 64}, {"img", 112, 256}}};

void decode(mas::Isa isa, DType dtype, int positions) {
  const DType kv_dtype = mas::is_quantized(dtype) ? DType::int8 : dtype;
  mas::Request what = request(shape, 1, 1);
  what.stop = positions;
  what.window = 1;
  mas::Run run(make(shape, random_tensors(shape), dtype, kv_dtype, 1, isa), what);
  run.advance(0, {});
  for (const int32_t token : run.tokens()) std::printf("%d ", token);
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 4)
    decode(mas::parse_isa(arguments[1]), mas::parse_dtype(arguments[2]), std::atoi(arguments[3]));
  else
    for (const mas::Isa isa : mas::supported_isas()) std::printf("%s ", mas::isa_name(isa));
  std::printf("\n");
}
