#include "memory.h"

#include <cstdlib>
#include <cstring>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace mas {

namespace {

constexpr size_t kLine = 64, kHugePage = size_t(2) << 20;

size_t rounded(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

#if defined(__linux__)
// From the system and back to it: of the keys and values of pictures that are drawn in many threads
// malloc would keep half, in an arena of each thread. 4 KiB pages cost a page walk every 64 lines
// of a stream that is read once per token, but the last huge page is not asked for: it would be the
// half of a small model's keys and values.
size_t mapped(size_t bytes) { return rounded(bytes, size_t(sysconf(_SC_PAGESIZE))); }

void* map(size_t bytes) {
  const size_t used = mapped(bytes), reserved = used + kHugePage;
  void* all = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) throw std::bad_alloc();
  char* first = static_cast<char*>(all);
  const size_t before =
      rounded(reinterpret_cast<size_t>(first), kHugePage) - reinterpret_cast<size_t>(first);
  char* data = first + before;
  if (before) munmap(first, before);
  munmap(data + used, reserved - before - used);
  madvise(data, used / kHugePage * kHugePage, MADV_HUGEPAGE);
  return data;
}
#endif

}  // namespace

Buffer::Buffer(size_t bytes) : bytes_(bytes) {
  if (!bytes) return;
  // One line more than requested, so that a vector load at the last element stays inside.
  const size_t used = bytes + kLine;
#if defined(__linux__)
  if (bytes >= kHugePage) {
    data_ = map(used);
    return;
  }
#endif
  data_ = std::aligned_alloc(kLine, rounded(used, kLine));
  if (!data_) throw std::bad_alloc();
  std::memset(data_, 0, used);
}

Buffer::~Buffer() {
#if defined(__linux__)
  if (bytes_ >= kHugePage) {
    munmap(data_, mapped(bytes_ + kLine));
    return;
  }
#endif
  std::free(data_);
}

}  // namespace mas
