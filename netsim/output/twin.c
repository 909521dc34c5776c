/* The file driver of twin.h: two copies of one file that take turns. */
#define _GNU_SOURCE
#include "netsim/output/twin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A node of the chunk index is allocated whole: with HDF5's 32, the indices of a run's small tables are half
 * of a small file. */
enum { COPY_BYTES = 1 << 18, CHUNK_INDEX_K = 8, SAME_BYTES_MAX = 128 };

struct extent {
    uint64_t first, last; /* bytes first .. last - 1 */
};

/* The layout that HDF5 asks of a driver: its own head first. */
struct twin_file {
    H5FD_t head;
    struct twin *twin;
    haddr_t eoa_bytes; /* end of the addresses that HDF5 has allocated */
};

struct twin {
    struct arena *arena;
    struct twin_file file;
    const char *path, *part;
    hid_t driver;
    int working;         /* what PATH.part names: HDF5 reads and writes here */
    int published;       /* what PATH names; -1 before the first publication */
    bool is_behind;      /* the working copy lacks `changed`, which is in the published one */
    uint64_t size_bytes; /* of the copy that is ahead */
    struct extent *changed;
    size_t changed_count, changed_capacity;
    uint8_t *copy_buffer;
    mode_t mode; /* of the file that is replaced, 0 where there is none */
    int error;
};

/* ---- system calls that keep the first error
 * ------------------------------------------------------------------ */

static bool fail(struct twin *twin)
{
    if (twin->error == 0) {
        twin->error = errno != 0 ? errno : EIO;
    }
    return false;
}

static bool write_all(struct twin *twin, int fd, uint64_t at, const void *bytes, size_t count)
{
    const uint8_t *from = bytes;
    while (count > 0) {
        ssize_t done = pwrite(fd, from, count, (off_t)at);
        if (done < 0 && errno != EINTR) {
            return fail(twin);
        }
        if (done > 0) {
            from += done;
            at += (uint64_t)done;
            count -= (size_t)done;
        }
    }
    return true;
}

/* What lies beyond the end reads as zeros, as HDF5 expects of its drivers. */
static bool read_all(struct twin *twin, int fd, uint64_t at, void *bytes, size_t count)
{
    uint8_t *to = bytes;
    while (count > 0) {
        ssize_t done = pread(fd, to, count, (off_t)at);
        if (done < 0 && errno != EINTR) {
            return fail(twin);
        }
        if (done == 0) {
            memset(to, 0, count);
            return true;
        }
        if (done > 0) {
            to += done;
            at += (uint64_t)done;
            count -= (size_t)done;
        }
    }
    return true;
}

/* ---- keeping the two copies equal
 * ------------------------------------------------------------------------------ */

static void note_change(struct twin *twin, uint64_t first, uint64_t last)
{
    struct extent *before = twin->changed_count > 0 ? &twin->changed[twin->changed_count - 1] : NULL;
    if (before != NULL && first <= before->last && last >= before->first) {
        before->first = first < before->first ? first : before->first;
        before->last = last > before->last ? last : before->last;
        return;
    }
    vec_push(twin->arena, twin->changed, twin->changed_count, twin->changed_capacity) =
        (struct extent){first, last};
}

static int extent_order(const void *a, const void *b)
{
    const struct extent *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Sorts the extents and joins those that touch, so that no byte is copied twice. */
static void changes_join(struct twin *twin)
{
    size_t count = 0;
    qsort(twin->changed, twin->changed_count, sizeof *twin->changed, extent_order);
    for (size_t i = 0; i < twin->changed_count; i++) {
        struct extent next = twin->changed[i];
        if (count > 0 && next.first <= twin->changed[count - 1].last) {
            struct extent *before = &twin->changed[count - 1];
            before->last = next.last > before->last ? next.last : before->last;
        } else {
            twin->changed[count++] = next;
        }
    }
    twin->changed_count = count;
}

static bool copy_extent(struct twin *twin, struct extent extent)
{
    for (uint64_t at = extent.first; at < extent.last; at += COPY_BYTES) {
        size_t count = extent.last - at < COPY_BYTES ? (size_t)(extent.last - at) : COPY_BYTES;
        if (!read_all(twin, twin->published, at, twin->copy_buffer, count) ||
            !write_all(twin, twin->working, at, twin->copy_buffer, count)) {
            return false;
        }
    }
    return true;
}

/* Makes the working copy equal to the published one: I3. */
static bool catch_up(struct twin *twin)
{
    if (!twin->is_behind) {
        return true;
    }
    changes_join(twin);
    for (size_t i = 0; i < twin->changed_count; i++) {
        struct extent extent = twin->changed[i];
        extent.last = extent.last < twin->size_bytes ? extent.last : twin->size_bytes;
        if (extent.first < extent.last && !copy_extent(twin, extent)) {
            return false;
        }
    }
    if (ftruncate(twin->working, (off_t)twin->size_bytes) != 0) {
        return fail(twin);
    }
    twin->changed_count = 0;
    twin->is_behind = false;
    return true;
}

/* ---- the driver
 * ---------------------------------------------------------------------------------------------- */

static struct twin_file *file_of(H5FD_t *head)
{
    return (struct twin_file *)head;
}

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t fapl, haddr_t maxaddr)
{
    (void)name, (void)flags, (void)maxaddr;
    struct twin *const *info = H5Pget_driver_info(fapl);
    if (info == NULL) {
        return NULL;
    }
    (*info)->file = (struct twin_file){.twin = *info};
    return &(*info)->file.head;
}

/* The descriptors belong to the twin, which outlives the HDF5 file. */
static herr_t driver_close(H5FD_t *head)
{
    (void)head;
    return 0;
}

static int driver_compare(const H5FD_t *a, const H5FD_t *b)
{
    return a < b ? -1 : a > b;
}

static herr_t driver_query(const H5FD_t *head, unsigned long *flags)
{
    (void)head;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static haddr_t driver_get_eoa(const H5FD_t *head, H5FD_mem_t type)
{
    (void)type;
    return ((const struct twin_file *)head)->eoa_bytes;
}

static herr_t driver_set_eoa(H5FD_t *head, H5FD_mem_t type, haddr_t bytes)
{
    (void)type;
    file_of(head)->eoa_bytes = bytes;
    return 0;
}

static haddr_t driver_get_eof(const H5FD_t *head, H5FD_mem_t type)
{
    (void)type;
    return ((const struct twin_file *)head)->twin->size_bytes;
}

static herr_t driver_read(H5FD_t *head, H5FD_mem_t type, hid_t dxpl, haddr_t at, size_t count, void *bytes)
{
    (void)type, (void)dxpl;
    struct twin *twin = file_of(head)->twin;
    bool is_good = twin->error == 0 && catch_up(twin);
    int from = is_good || !twin->is_behind ? twin->working : twin->published;
    return read_all(twin, from, at, bytes, count) ? 0 : -1;
}

/* Whether the published copy, which is the whole truth while the other one is behind, says so already: the superblock is
 * written once more when a file is closed, and one copy less of all that a run has stored is as much less to sync. */
static bool is_known(struct twin *twin, uint64_t at, const void *bytes, size_t count)
{
    uint8_t there[SAME_BYTES_MAX];
    return twin->is_behind && count <= sizeof there && at + count <= twin->size_bytes &&
           read_all(twin, twin->published, at, there, count) && memcmp(there, bytes, count) == 0;
}

/* HDF5 1.10 does not bear failures here: its cache of metadata can neither be flushed nor closed after one, and closing is
 * tried once more at exit, when this driver is gone. So from the first failure on (twin_errno) all seems to go well, what is
 * written is thrown away, and nothing is published any more. */
static herr_t driver_write(H5FD_t *head, H5FD_mem_t type, hid_t dxpl, haddr_t at, size_t count,
                           const void *bytes)
{
    (void)type, (void)dxpl;
    struct twin *twin = file_of(head)->twin;
    if (is_known(twin, at, bytes, count)) {
        return 0;
    }
    if (twin->error == 0 && catch_up(twin) && write_all(twin, twin->working, at, bytes, count)) {
        note_change(twin, at, at + count);
        twin->size_bytes = at + count > twin->size_bytes ? at + count : twin->size_bytes;
    }
    return 0;
}

/* The size in the superblock and that of the file must agree, or readers call the file truncated. */
static herr_t driver_truncate(H5FD_t *head, hid_t dxpl, hbool_t closing)
{
    (void)dxpl, (void)closing;
    struct twin *twin = file_of(head)->twin;
    if (file_of(head)->eoa_bytes == twin->size_bytes) {
        return 0;
    }
    if (twin->error == 0 && catch_up(twin) && (ftruncate(twin->working, (off_t)file_of(head)->eoa_bytes) == 0 || fail(twin))) {
        twin->size_bytes = file_of(head)->eoa_bytes;
    }
    return 0;
}

static const H5FD_class_t driver_class = {
    .name = "photonet-twin",
    .maxaddr = (haddr_t)INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(struct twin *),
    .open = driver_open,
    .close = driver_close,
    .cmp = driver_compare,
    .query = driver_query,
    .get_eoa = driver_get_eoa,
    .set_eoa = driver_set_eoa,
    .get_eof = driver_get_eof,
    .read = driver_read,
    .write = driver_write,
    .truncate = driver_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

hid_t twin_h5_create(struct twin *twin)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), create = H5Pcreate(H5P_FILE_CREATE);
    twin->driver = H5FDregister(&driver_class);
    H5Pset_driver(access, twin->driver, &twin);
    /* The earliest format has no flag for "open for writing" that a kill would leave set. */
    H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST);
    H5Pset_istore_k(create, CHUNK_INDEX_K);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    hid_t file = H5Fcreate(twin->path, H5F_ACC_TRUNC, create, access);
    H5Pclose(create);
    H5Pclose(access);
    return file;
}

/* ---- opening, publishing, closing
 * ------------------------------------------------------------------------------ */

/* Where a symbolic link stands, its target is replaced, not the link. */
static enum status path_resolve(struct twin *twin, const char *path, struct diag *diag)
{
    struct stat status;
    char real[PATH_MAX];
    if (stat(path, &status) == 0) {
        if (!S_ISREG(status.st_mode)) {
            return diag_set(diag, STATUS_IO, "%s: is not a file; expected the name of a result file", path);
        }
        twin->mode = status.st_mode & 0777;
        path = realpath(path, real) != NULL ? real : path;
    }
    twin->path = arena_strdup(twin->arena, path);
    twin->part = arena_printf(twin->arena, "%s.part", path);
    return STATUS_OK;
}

static int open_part(struct twin *twin, int flags)
{
    int fd = open(twin->part, O_RDWR | O_CREAT | O_CLOEXEC | flags, 0666);
    if (fd >= 0 && twin->mode != 0) {
        (void)fchmod(fd, twin->mode);
    }
    return fd;
}

/* Writers hold a shared lock, so that readers (HDF5 takes one too) get in and a second writer does not. File
 * systems without locks are used without. */
static bool lock_working(struct twin *twin)
{
    if (flock(twin->working, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return false;
    }
    (void)flock(twin->working, LOCK_SH | LOCK_NB);
    return true;
}

enum status twin_create(const char *path, struct arena *arena, struct twin **out, struct diag *diag)
{
    struct twin *twin = arena_one(arena, struct twin);
    *twin = (struct twin){.arena = arena, .working = -1, .published = -1, .driver = H5I_INVALID_HID};
    enum status status = path_resolve(twin, path, diag);
    if (status != STATUS_OK) {
        return status;
    }
    twin->copy_buffer = arena_alloc(arena, COPY_BYTES);
    twin->working = open_part(twin, 0);
    if (twin->working < 0) {
        return diag_set(diag, STATUS_IO, "%s: cannot be written: %s", path, strerror(errno));
    }
    if (!lock_working(twin)) {
        close(twin->working);
        return diag_set(diag, STATUS_IO, "%s: another process is writing this file", path);
    }
    if (ftruncate(twin->working, 0) != 0) {
        fail(twin);
        twin_close(twin);
        return diag_set(diag, STATUS_IO, "%s: cannot be written: %s", path, strerror(twin->error));
    }
    *out = twin;
    return STATUS_OK;
}

/* Exchanges the names of the two copies. PATH exists at every moment; file systems without an atomic exchange
 * get a spare name in between. */
static bool exchange(struct twin *twin)
{
    if (renameat2(AT_FDCWD, twin->part, AT_FDCWD, twin->path, RENAME_EXCHANGE) == 0) {
        return true;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return fail(twin);
    }
    const char *spare = arena_printf(twin->arena, "%s.spare", twin->path);
    (void)unlink(spare);
    if (link(twin->path, spare) != 0 || rename(twin->part, twin->path) != 0 ||
        rename(spare, twin->part) != 0) {
        return fail(twin);
    }
    return true;
}

static bool names_file(const char *path, int fd)
{
    struct stat by_path, by_fd;
    return stat(path, &by_path) == 0 && fstat(fd, &by_fd) == 0 && by_path.st_ino == by_fd.st_ino &&
           by_path.st_dev == by_fd.st_dev;
}

/* Replaces whatever PATH names and starts a second copy from nothing. Also the way out where somebody has
 * removed or replaced PATH since the last publication. */
static bool publish_first(struct twin *twin)
{
    if (rename(twin->part, twin->path) != 0) {
        return fail(twin);
    }
    if (twin->published >= 0) {
        close(twin->published);
    }
    twin->published = twin->working;
    twin->working = open_part(twin, O_EXCL);
    if (twin->working < 0) {
        return fail(twin);
    }
    (void)flock(twin->working, LOCK_SH | LOCK_NB);
    twin->changed_count = 0;
    note_change(twin, 0, twin->size_bytes);
    return true;
}

static bool publish_again(struct twin *twin)
{
    if (!exchange(twin)) {
        return false;
    }
    int working = twin->working;
    twin->working = twin->published;
    twin->published = working;
    return true;
}

enum status twin_publish(struct twin *twin, struct diag *diag)
{
    bool is_new = twin->published < 0 || !names_file(twin->path, twin->published);
    bool is_due = twin->changed_count > 0 && !twin->is_behind;
    if (twin->error == 0 && is_due) {
        /* Data before the name, or a power cut may leave an empty file under it. */
        bool good = fdatasync(twin->working) == 0 ? true : fail(twin);
        good = good && (is_new ? publish_first(twin) : publish_again(twin));
        twin->is_behind = good;
    }
    if (twin->error != 0) {
        return diag_set(diag, STATUS_IO, "%s: cannot be written: %s", twin->path, strerror(twin->error));
    }
    return STATUS_OK;
}

void twin_close(struct twin *twin)
{
    if (twin->working >= 0) {
        (void)unlink(twin->part);
        close(twin->working);
    }
    if (twin->published >= 0) {
        close(twin->published);
    }
    if (twin->driver >= 0) {
        H5FDunregister(twin->driver);
    }
    twin->working = twin->published = -1;
    twin->driver = H5I_INVALID_HID;
}

int twin_errno(const struct twin *twin)
{
    return twin->error;
}

const char *twin_path(const struct twin *twin)
{
    return twin->path;
}
