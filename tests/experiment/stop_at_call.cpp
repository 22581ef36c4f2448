// SPDX-License-Identifier: Apache-2.0
// A library to be loaded before others (LD_PRELOAD): it ends the process at the n-th call that changes files,
// where DETRAME_STOP_AT is n, as a crash there would: before the call, or with half of what is to be written.
// Without it, DETRAME_COUNT_CALLS names a file that the number of calls is written to.
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>

// The headers that declare what stands below would also say noexcept, inline, and other names.
extern "C" {
long syscall(long number, ...);

static int const here = -100;                // AT_FDCWD
static int const writes = 0x1 | 0x2 | 0x40;  // O_WRONLY, O_RDWR, O_CREAT
static long calls = 0;

static bool last_call() {
  char const* const stop = getenv("DETRAME_STOP_AT");
  ++calls;
  return stop != nullptr && atol(stop) == calls;
}
static void end() { syscall(SYS_exit_group, 99); }

__attribute__((destructor)) static void report() {
  char const* const name = getenv("DETRAME_COUNT_CALLS");
  if (name == nullptr) return;
  char text[24];
  int at = 24;
  text[--at] = '\n';
  for (long n = calls; n > 0; n /= 10) text[--at] = static_cast<char>('0' + n % 10);
  long const file = syscall(SYS_openat, here, name, 0x1 | 0x40, 0644);
  syscall(SYS_write, file, text + at, static_cast<size_t>(24 - at));
  syscall(SYS_close, file);
}

int open(char const* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  unsigned const mode = (flags & 0x40) != 0 ? va_arg(rest, unsigned) : 0;
  va_end(rest);
  if ((flags & writes) != 0 && last_call()) end();
  return static_cast<int>(syscall(SYS_openat, here, path, flags, mode));
}
int open64(char const* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  unsigned const mode = (flags & 0x40) != 0 ? va_arg(rest, unsigned) : 0;
  va_end(rest);
  return open(path, flags, mode);
}
long write(int file, void const* bytes, size_t n) {
  if (file > 2 && last_call()) {
    syscall(SYS_write, file, bytes, n / 2);
    end();
  }
  return syscall(SYS_write, file, bytes, n);
}
int fsync(int file) {
  if (last_call()) end();
  return static_cast<int>(syscall(SYS_fsync, file));
}
int rename(char const* from, char const* to) {
  if (last_call()) end();
  return static_cast<int>(syscall(SYS_renameat2, here, from, here, to, 0));
}
int unlink(char const* path) {
  if (last_call()) end();
  return static_cast<int>(syscall(SYS_unlinkat, here, path, 0));
}
int remove(char const* path) { return unlink(path); }
int mkdir(char const* path, unsigned mode) {
  if (last_call()) end();
  return static_cast<int>(syscall(SYS_mkdirat, here, path, mode));
}
}
