/* A disk that fails and loses power, for tests: loaded into a process by LD_PRELOAD.
 *
 * It sees each call that changes a file whose path begins with ANNALS_DISK_PATH (not -shm files, which SQLite maps and
 * which no restart needs), counts these calls, and does what the other variables say:
 *
 *   ANNALS_DISK_SEED            the seed of all choices
 *   ANNALS_DISK_POWER_AFTER     lose power at this call, or as the process exits ("exit")
 *   ANNALS_DISK_FAIL_AFTER      from this call on, calls may fail ...
 *   ANNALS_DISK_FAIL_PERCENT    ... as often as this
 *   ANNALS_DISK_FAIL_HOW        eio, enospc, short (half of a write), sync (only fsync fails)
 *
 * Loss of power. For each sector that was written since the last fsync of its file, the disk keeps the bytes before
 * each write. As power fails, each sector goes back to its bytes before one of these writes, or keeps the last ones: a
 * write may be torn between sectors, and later writes may be there without earlier ones. The size of the file and, until
 * the folder is synced, its creation and removal may be undone as well. Then the process ends with status 77.
 *
 * A failed fsync leaves the sectors at risk, as Linux does: a later fsync that succeeds does not write them again, unless
 * they were written again. The fsync of a folder does not fail: SQLite does not look at its result, and on the file
 * systems of Linux the fsync of a new file brings its name to the disk, too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SECTOR = 512, MAX_FDS = 1 << 16, MAX_FILES = 1024, FOLDER = -1, POWER_LOST = 77 };

/* The bytes of a sector before a write, or the size of the file if the sector is SIZE. */
struct undo {
    off_t sector, size;
    int failed_sync;
    unsigned char bytes[SECTOR];
};
static const off_t SIZE = -1;

struct file {
    char path[512];
    char removed[540]; /* a second name of the file, if its own was removed and the folder not synced */
    dev_t device;
    ino_t inode;
    int fd; /* of the disk's own; never closed, because that would release the locks of the process */
    int is_new;
    struct undo *undo;
    size_t count, capacity;
};

static struct file files[MAX_FILES];
static int file_count;
static int by_fd[MAX_FDS]; /* number of the file plus one, FOLDER, or 0 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *prefix, *how;
static char folder[512];
static uint64_t seed, calls, power_after, fail_after, fail_percent;
static int power_at_exit;

static uint64_t number(const char *name) {
    const char *value = getenv(name);
    return value ? strtoull(value, NULL, 10) : 0;
}

static uint64_t mixed(uint64_t x) { /* splitmix64 */
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void) {
    const char *power = getenv("ANNALS_DISK_POWER_AFTER");
    prefix = getenv("ANNALS_DISK_PATH");
    how = getenv("ANNALS_DISK_FAIL_HOW");
    how = how ? how : "eio";
    seed = number("ANNALS_DISK_SEED");
    power_at_exit = power && strcmp(power, "exit") == 0;
    power_after = number("ANNALS_DISK_POWER_AFTER");
    fail_after = number("ANNALS_DISK_FAIL_AFTER");
    fail_percent = number("ANNALS_DISK_FAIL_PERCENT");
    if (prefix) snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(prefix, '/') - prefix), prefix);
}

static struct file *file_of(int fd) {
    return fd >= 0 && fd < MAX_FDS && by_fd[fd] > 0 ? &files[by_fd[fd] - 1] : NULL;
}

static void keep(struct file *file, struct undo undo) {
    if (file->count == file->capacity) {
        file->capacity = file->capacity ? 2 * file->capacity : 64;
        file->undo = realloc(file->undo, file->capacity * sizeof undo);
        if (!file->undo) abort();
    }
    file->undo[file->count++] = undo;
}

/* Keeps the size and the sectors of a range as they are before a change. */
static void keep_range(struct file *file, off_t from, off_t to) {
    struct stat stat;
    if (fstat(file->fd, &stat)) abort();
    keep(file, (struct undo){.sector = SIZE, .size = stat.st_size});
    for (off_t sector = from / SECTOR; sector * SECTOR < to; sector++) {
        struct undo undo = {.sector = sector};
        if (pread(file->fd, undo.bytes, SECTOR, sector * SECTOR) < 0) abort();
        keep(file, undo);
    }
}

/* Undoes writes that were not synced. `order` chooses how a sector is undone: 0 all lost, 1 none, 2 the last ones of
 * the file, 3 each sector on its own. */
static void lose_writes(struct file *file, uint64_t order) {
    int (*truncate_now)(int, off_t) = REAL(ftruncate);
    ssize_t (*write_now)(int, const void *, size_t, off_t) = REAL(pwrite);
    struct stat stat;
    if (fstat(file->fd, &stat)) abort();
    off_t size = stat.st_size;
    for (size_t at = file->count; at-- > 0;) {
        struct undo *undo = &file->undo[at];
        uint64_t choice = mixed(seed ^ mixed(file->inode ^ (order == 3 ? (uint64_t)undo->sector << 8 : 0)));
        size_t from = order == 0 ? 0 : order == 1 ? file->count : (choice >> 2) % (file->count + 1);
        if (order == 3 && choice % 4 < 2) from = choice % 4 ? file->count : 0;
        if (from > at) continue;
        if (undo->sector == SIZE) size = undo->size;
        else if (write_now(file->fd, undo->bytes, SECTOR, undo->sector * SECTOR) != SECTOR) abort();
    }
    if (truncate_now(file->fd, size)) abort();
}

static void lose_power(void) {
    int (*unlink_now)(const char *) = REAL(unlink);
    for (int at = 0; at < file_count; at++) {
        struct file *file = &files[at];
        uint64_t choice = mixed(seed + at);
        lose_writes(file, mixed(seed) % 5 < 4 ? mixed(seed) % 5 : 3);
        if (file->removed[0] && (choice & 1) && access(file->path, F_OK)) rename(file->removed, file->path);
        else if (file->removed[0]) unlink_now(file->removed);
        else if (file->is_new && (choice & 2)) unlink_now(file->path);
    }
    _exit(POWER_LOST);
}

/* Marks what is on the disk after an fsync. */
static void synced(struct file *file) {
    size_t left = 0;
    for (size_t at = 0; at < file->count; at++) {
        struct undo *undo = &file->undo[at];
        int is_safe = !undo->failed_sync;
        for (size_t later = at + 1; !is_safe && later < file->count; later++)
            is_safe = !file->undo[later].failed_sync && file->undo[later].sector == undo->sector;
        if (!is_safe) file->undo[left++] = *undo;
    }
    file->count = left;
}

static void folder_synced(void) {
    for (int at = 0; at < file_count; at++) {
        files[at].is_new = 0;
        if (files[at].removed[0]) REAL(unlink)(files[at].removed);
        files[at].removed[0] = 0;
    }
}

/* Counts a call. Returns whether it fails. Power is lost before a call that changes nothing yet, and after a write. */
static int counted(int is_sync) {
    calls++;
    if (power_after && calls == power_after && is_sync) lose_power();
    if (!fail_percent || calls < fail_after || mixed(seed ^ calls) % 100 >= fail_percent) return 0;
    if (strcmp(how, "sync") == 0 && !is_sync) return 0;
    errno = strcmp(how, "enospc") == 0 && !is_sync ? ENOSPC : EIO;
    return strcmp(how, "short") != 0 || !is_sync;
}

static void after_change(void) {
    if (power_after && calls == power_after) lose_power();
}

static int opened(int fd, const char *path, int flags, int existed) {
    struct stat stat;
    if (fd < 0 || fd >= MAX_FDS || !prefix) return fd;
    int error = errno;
    pthread_mutex_lock(&lock);
    by_fd[fd] = 0;
    size_t length = strlen(path);
    int is_shm = length > 4 && strcmp(path + length - 4, "-shm") == 0;
    if (strcmp(path, folder) == 0) {
        by_fd[fd] = FOLDER;
    } else if (strncmp(path, prefix, strlen(prefix)) == 0 && !is_shm && !fstat(fd, &stat) && S_ISREG(stat.st_mode)) {
        int at = 0;
        while (at < file_count && (files[at].inode != stat.st_ino || files[at].device != stat.st_dev)) at++;
        if (at == file_count && (flags & O_ACCMODE) != O_RDONLY) {
            struct file *file = &files[file_count++];
            if (file_count == MAX_FILES) abort();
            snprintf(file->path, sizeof file->path, "%s", path);
            file->device = stat.st_dev;
            file->inode = stat.st_ino;
            file->fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
            file->is_new = !existed;
        }
        if (at < file_count) by_fd[fd] = at + 1;
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define OPEN(name)                                                  \
    int name(const char *path, int flags, ...) {                    \
        va_list rest;                                               \
        va_start(rest, flags);                                      \
        mode_t mode = va_arg(rest, mode_t);                         \
        va_end(rest);                                               \
        int existed = prefix && access(path, F_OK) == 0;            \
        return opened(REAL(name)(path, flags, mode), path, flags, existed); \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < MAX_FDS) by_fd[fd] = 0;
    pthread_mutex_unlock(&lock);
    return REAL(close)(fd);
}

static ssize_t written(struct file *file, int fd, const void *bytes, size_t length, off_t offset) {
    ssize_t (*write_now)(int, const void *, size_t, off_t) = REAL(pwrite);
    ssize_t result = -1;
    int fails = counted(0);
    if (fails && strcmp(how, "short") == 0 && length > 1) length /= 2, fails = 0;
    if (!fails) {
        keep_range(file, offset, offset + (off_t)length);
        result = write_now(fd, bytes, length, offset);
        after_change();
    }
    return result;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) {
    pthread_mutex_lock(&lock);
    struct file *file = file_of(fd);
    if (!file) {
        pthread_mutex_unlock(&lock);
        return REAL(pwrite64)(fd, bytes, length, offset);
    }
    ssize_t result = written(file, fd, bytes, length, offset);
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return pwrite64(fd, bytes, length, offset);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    pthread_mutex_lock(&lock);
    struct file *file = file_of(fd);
    if (!file) {
        pthread_mutex_unlock(&lock);
        return REAL(write)(fd, bytes, length);
    }
    off_t offset = lseek(fd, 0, SEEK_CUR);
    ssize_t result = written(file, fd, bytes, length, offset);
    if (result > 0) lseek(fd, offset + result, SEEK_SET);
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    pthread_mutex_lock(&lock);
    int is_ours = file_of(fd) != NULL;
    pthread_mutex_unlock(&lock);
    if (!is_ours || count == 0) return REAL(writev)(fd, parts, count);
    return write(fd, parts[0].iov_base, parts[0].iov_len);
}

int ftruncate64(int fd, off_t size) {
    pthread_mutex_lock(&lock);
    struct file *file = file_of(fd);
    int result = -1;
    if (!file) {
        result = REAL(ftruncate64)(fd, size);
    } else if (!counted(0)) {
        struct stat stat;
        if (fstat(fd, &stat)) abort();
        keep_range(file, size, stat.st_size);
        result = REAL(ftruncate64)(fd, size);
        after_change();
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int fsync(int fd) {
    pthread_mutex_lock(&lock);
    struct file *file = file_of(fd);
    int is_folder = fd >= 0 && fd < MAX_FDS && by_fd[fd] == FOLDER;
    int result = 0;
    if (!file && !is_folder) {
        pthread_mutex_unlock(&lock);
        return REAL(fsync)(fd);
    }
    if (counted(1) && file) {
        result = -1;
        for (size_t at = 0; at < file->count; at++) file->undo[at].failed_sync = 1;
    } else if (file) {
        synced(file);
    } else {
        folder_synced();
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int fdatasync(int fd) { return fsync(fd); }

int unlink(const char *path) {
    int result = -1;
    pthread_mutex_lock(&lock);
    int at = file_count;
    while (at-- > 0 && (files[at].removed[0] || strcmp(files[at].path, path) != 0)) {}
    if (at < 0) {
        result = REAL(unlink)(path);
    } else if (!counted(0)) {
        snprintf(files[at].removed, sizeof files[at].removed, "%s.removed-%d", path, at);
        if (link(path, files[at].removed)) files[at].removed[0] = 0;
        result = REAL(unlink)(path);
        after_change();
    }
    pthread_mutex_unlock(&lock);
    return result;
}

__attribute__((destructor)) static void stop(void) {
    pthread_mutex_lock(&lock);
    if (power_at_exit) lose_power();
    folder_synced();
    pthread_mutex_unlock(&lock);
}
