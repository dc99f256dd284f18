#include "memory.h"

#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace mas {

namespace {
constexpr size_t kLine = 64, kHugePage = size_t(2) << 20;
}

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
  if (!bytes) return;
  const size_t align = bytes >= kHugePage ? kHugePage : kLine;
  // One line more than requested, so that a vector load at the last element stays inside.
  const size_t rounded = (bytes + kLine + align - 1) / align * align;
  data_ = std::aligned_alloc(align, rounded);
  if (!data_) throw std::bad_alloc();
#if defined(__linux__)
  // 4 KiB pages cost a page walk every 64 lines of a stream that is read once per token.
  if (align == kHugePage) madvise(data_, rounded, MADV_HUGEPAGE);
#endif
  std::memset(data_, 0, rounded);
}

Buffer::~Buffer() { std::free(data_); }

}  // namespace mas
