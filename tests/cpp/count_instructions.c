// A plugin for QEMU: the instructions that a process executed, to stderr when it ends.
//   cc -shared -fPIC -DVERSION=1 count_instructions.c -o count.so   # 2 for QEMU 9 and later
//   qemu-aarch64 -plugin ./count.so PROGRAM
#include <inttypes.h>
#include <stdio.h>

// What is needed of qemu-plugin.h, which comes with QEMU's sources alone.
typedef uint64_t plugin_id;
struct qemu_plugin_tb;
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id,
                                                  void (*)(plugin_id, struct qemu_plugin_tb*));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb*, void (*)(unsigned, void*),
                                                 int flags, void*);
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void*), void*);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = VERSION;

static uint64_t count;

static void executed(unsigned cpu, void* instructions) {
  (void)cpu;
  count += (uintptr_t)instructions;
}

static void translated(plugin_id id, struct qemu_plugin_tb* block) {
  (void)id;
  const int kNoRegisters = 0;
  void* const instructions = (void*)(uintptr_t)qemu_plugin_tb_n_insns(block);
  qemu_plugin_register_vcpu_tb_exec_cb(block, executed, kNoRegisters, instructions);
}

static void ended(plugin_id id, void* unused) {
  (void)id, (void)unused;
  fprintf(stderr, "%" PRIu64 "\n", count);
}

EXPORT int qemu_plugin_install(plugin_id id, const void* info, int arguments, char** argument) {
  (void)info, (void)arguments, (void)argument;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
