/*
 * Preloaded into a process, records each write, sync and change of names below POWERCUT_FOLDER into POWERCUT_TRACE, in the
 * order in which they took place: see trace.ts for the records. POWERCUT_EIO=N refuses the Nth sync of a file whose name ends
 * with -wal, as Linux does: each descriptor that was open learns of it once, one that is opened later never.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FDS 4096
#define NEXT(name) ((__typeof__(&name))next(#name))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static size_t folder_length;
static int trace = -1;
static long refuse_at, wal_syncs;
static uint32_t sync_ids, refusals;
static struct { char kind; char wal; uint64_t inode; uint32_t seen; } files[MAX_FDS];

static void *next(const char *name) {
  return dlsym(RTLD_NEXT, name);
}

/* One record: kind, two numbers, a status, the length of what follows. */
static void record(char kind, uint64_t a, uint64_t b, uint32_t status, const void *data, uint32_t length) {
  struct __attribute__((packed)) { char kind; uint64_t a, b; uint32_t status, length; } head = {kind, a, b, status, length};
  struct iovec parts[2] = {{&head, sizeof head}, {(void *)data, length}};
  if (writev(trace, parts, length > 0 ? 2 : 1) < 0) abort();
}

__attribute__((constructor)) static void start(void) {
  const char *to = getenv("POWERCUT_TRACE"), *below = getenv("POWERCUT_FOLDER"), *refuse = getenv("POWERCUT_EIO");
  if (to == NULL || below == NULL) return;
  folder_length = strlen(strcpy(folder, below));
  if (refuse != NULL) refuse_at = atol(refuse);
  trace = NEXT(open)(to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  record('S', 0, 0, 0, NULL, 0);
}

static const char *below(const char *path) {
  static __thread char full[PATH_MAX * 2];
  if (trace < 0 || path == NULL) return NULL;
  if (path[0] == '/') snprintf(full, sizeof full, "%s", path);
  else {
    if (getcwd(full, PATH_MAX) == NULL) return NULL;
    snprintf(full + strlen(full), PATH_MAX, "/%s", path);
  }
  if (strncmp(full, folder, folder_length) != 0) return NULL;
  return full[folder_length] == '/' ? full + folder_length + 1 : full[folder_length] == '\0' ? "" : NULL;
}

static uint64_t inode_of(int fd) {
  struct stat found;
  return fstat(fd, &found) == 0 ? found.st_ino : 0;
}

static int opened(const char *path, int flags, mode_t mode) {
  int (*real)(const char *, int, ...) = NEXT(open);
  const char *name = below(path);
  if (name == NULL) return real(path, flags, mode);
  pthread_mutex_lock(&lock);
  int is_new = access(path, F_OK) != 0;
  int fd = real(path, flags, mode), error = errno;
  if (fd >= 0 && fd < MAX_FDS) {
    size_t length = strlen(name);
    files[fd].kind = (flags & O_DIRECTORY) ? 'd' : 'f';
    struct stat found;
    if (fstat(fd, &found) == 0 && S_ISDIR(found.st_mode)) files[fd].kind = 'd';
    files[fd].inode = inode_of(fd);
    files[fd].wal = length > 4 && strcmp(name + length - 4, "-wal") == 0;
    files[fd].seen = refusals;
    if (files[fd].kind == 'f' && (is_new || (flags & O_TRUNC))) {
      record(is_new ? 'C' : 'T', files[fd].inode, 0, 0, name, is_new ? length : 0);
    } else if (files[fd].kind == 'd') record('P', files[fd].inode, 0, 0, name, length);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return fd;
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, int); va_end(rest); \
    return opened(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

static int is_ours(int fd) {
  return trace >= 0 && fd >= 0 && fd < MAX_FDS && files[fd].kind != 0;
}

int close(int fd) {
  if (is_ours(fd)) {
    pthread_mutex_lock(&lock);
    files[fd].kind = 0;
    int result = NEXT(close)(fd);
    pthread_mutex_unlock(&lock);
    return result;
  }
  return NEXT(close)(fd);
}

static ssize_t written(int fd, const void *data, size_t length, off_t at, int has_place) {
  ssize_t (*place)(int, const void *, size_t, off_t) = NEXT(pwrite);
  ssize_t (*append)(int, const void *, size_t) = NEXT(write);
  if (!is_ours(fd)) return has_place ? place(fd, data, length, at) : append(fd, data, length);
  pthread_mutex_lock(&lock);
  if (!has_place) {
    struct stat found;
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_APPEND) && fstat(fd, &found) == 0) at = found.st_size;
    else at = lseek(fd, 0, SEEK_CUR);
  }
  ssize_t result = has_place ? place(fd, data, length, at) : append(fd, data, length);
  int error = errno;
  if (result > 0) record('W', files[fd].inode, at, 0, data, result);
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

ssize_t write(int fd, const void *data, size_t length) { return written(fd, data, length, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t at) { return written(fd, data, length, at, 1); }
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at) { return written(fd, data, length, at, 1); }

static int truncated(int fd, off_t size) {
  int (*real)(int, off_t) = NEXT(ftruncate);
  if (!is_ours(fd)) return real(fd, size);
  pthread_mutex_lock(&lock);
  int result = real(fd, size);
  if (result == 0) record('T', files[fd].inode, size, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  return result;
}
int ftruncate(int fd, off_t size) { return truncated(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncated(fd, size); }

/* Statuses: 0 done, 1 refused (what it was to write is lost), 2 done, but an earlier refusal is told. */
static int synced(int fd, int (*real)(int)) {
  if (!is_ours(fd)) return real(fd);
  pthread_mutex_lock(&lock);
  uint32_t id = ++sync_ids, status = 0;
  uint64_t inode = files[fd].inode;
  int refused = files[fd].wal && ++wal_syncs == refuse_at;
  record('B', inode, id, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  int result = real(fd);
  pthread_mutex_lock(&lock);
  if (refused) {
    files[fd].seen = ++refusals;
    status = 1;
  } else if (files[fd].wal && files[fd].seen < refusals) {
    files[fd].seen = refusals;
    status = 2;
  }
  record('E', inode, id, status, NULL, 0);
  pthread_mutex_unlock(&lock);
  if (status != 0) {
    errno = EIO;
    return -1;
  }
  return result;
}
int fsync(int fd) { return synced(fd, NEXT(fsync)); }
int fdatasync(int fd) { return synced(fd, NEXT(fdatasync)); }

int unlink(const char *path) {
  const char *name = below(path);
  if (name == NULL) return NEXT(unlink)(path);
  pthread_mutex_lock(&lock);
  int result = NEXT(unlink)(path), error = errno;
  if (result == 0) record('U', 0, 0, 0, name, strlen(name));
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int rename(const char *from, const char *to) {
  char both[PATH_MAX * 2 + 1];
  const char *name = below(from);
  if (name == NULL) return NEXT(rename)(from, to);
  pthread_mutex_lock(&lock);
  int first = snprintf(both, sizeof both, "%s", name) + 1;
  int result = NEXT(rename)(from, to), error = errno;
  const char *other = below(to);
  if (result == 0 && other != NULL) {
    int length = first + snprintf(both + first, sizeof both - first, "%s", other);
    record('N', 0, 0, 0, both, length);
  }
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}

int mkdir(const char *path, mode_t mode) {
  const char *name = below(path);
  if (name == NULL) return NEXT(mkdir)(path, mode);
  pthread_mutex_lock(&lock);
  int result = NEXT(mkdir)(path, mode), error = errno;
  struct stat found;
  if (result == 0 && stat(path, &found) == 0) record('D', found.st_ino, 0, 0, name, strlen(name));
  pthread_mutex_unlock(&lock);
  errno = error;
  return result;
}
