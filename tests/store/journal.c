/* Preloaded into a writer: notes every change to the files of a directory, in order, as the disk is told of it.

   FOREBAND_JOURNAL names the journal, FOREBAND_JOURNAL_OF the directory, whose own name is empty. A record is: kind, offset or length, size of
   the name, size of the data (8 bytes each), name, data. Kinds: w(rite), t(runcate), s(ync), f(ailed sync), u(nlink).
   FOREBAND_FAIL_EVERY=n makes every n-th sync fail: EIO, and the disk never gets what was to be synced. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int journal = -1;
static const char *directory;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("FOREBAND_JOURNAL");
  directory = getenv("FOREBAND_JOURNAL_OF");
  if (path && directory) journal = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void note(char kind, const char *path, uint64_t at, const void *data, uint64_t size) {
  size_t prefix = directory ? strlen(directory) : 0;
  if (journal < 0 || strncmp(path, directory, prefix) != 0 || (path[prefix] && path[prefix] != '/')) return;
  const char *name = path + prefix + (path[prefix] == '/');
  uint64_t head[4] = {(uint64_t)kind, at, strlen(name), size};
  struct iovec parts[3] = {{head, sizeof head}, {(void *)name, head[2]}, {(void *)data, size}};
  pthread_mutex_lock(&lock);
  if (writev(journal, parts, 3) != (ssize_t)(sizeof head + head[2] + size)) abort();
  pthread_mutex_unlock(&lock);
}

static void note_fd(char kind, int fd, uint64_t at, const void *data, uint64_t size) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return;
  path[length] = 0;
  note(kind, path, at, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  ssize_t done = REAL(pwrite)(fd, data, size, at);
  if (done > 0) note_fd('w', fd, at, data, done);
  return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  ssize_t done = REAL(pwrite64)(fd, data, size, at);
  if (done > 0) note_fd('w', fd, at, data, done);
  return done;
}

static ssize_t note_parts(int fd, const struct iovec *parts, int count, off64_t at, ssize_t done) {
  ssize_t left = done;
  for (int i = 0; i < count && left > 0; i++) {
    ssize_t size = (ssize_t)parts[i].iov_len < left ? (ssize_t)parts[i].iov_len : left;
    note_fd('w', fd, at + done - left, parts[i].iov_base, size);
    left -= size;
  }
  return done;
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
  return note_parts(fd, parts, count, at, REAL(pwritev64)(fd, parts, count, at));
}

ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags) {
  return note_parts(fd, parts, count, at, REAL(pwritev64v2)(fd, parts, count, at, flags));
}

ssize_t write(int fd, const void *data, size_t size) {
  off_t at = fd == journal ? -1 : lseek(fd, 0, SEEK_CUR);
  ssize_t done = REAL(write)(fd, data, size);
  if (done > 0 && at >= 0) note_fd('w', fd, at, data, done);
  return done;
}

int ftruncate(int fd, off_t length) {
  int failed = REAL(ftruncate)(fd, length);
  if (!failed) note_fd('t', fd, length, NULL, 0);
  return failed;
}

int ftruncate64(int fd, off64_t length) {
  int failed = REAL(ftruncate64)(fd, length);
  if (!failed) note_fd('t', fd, length, NULL, 0);
  return failed;
}

static int synced(int fd, int (*sync)(int)) {
  static long count, fail_every = -1;
  if (fail_every < 0) fail_every = atol(getenv("FOREBAND_FAIL_EVERY") ?: "0");
  if (fail_every && ++count % fail_every == 0) {
    note_fd('f', fd, 0, NULL, 0);
    errno = EIO;
    return -1;
  }
  int failed = sync(fd);
  if (!failed) note_fd('s', fd, 0, NULL, 0);
  return failed;
}

int fsync(int fd) { return synced(fd, REAL(fsync)); }

int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

int unlink(const char *path) {
  int failed = REAL(unlink)(path);
  if (!failed) note('u', path, 0, NULL, 0);
  return failed;
}
