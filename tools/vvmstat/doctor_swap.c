/* SPDX-License-Identifier: MIT */
/*
 * doctor_swap.c - is the swap path usable, and how fast is it?
 *
 * The path is what vvm_open() would take: a directory, a file or a block
 * device. What a fault costs is a 4 KiB random read from there, so that is
 * what we measure, for a second, one at a time: the latency that a
 * single thread will see. We read from a file of our own, written and synced
 * first, because a hole in a file reads at the speed of memory; from a block
 * device we read what is there and write nothing.
 *
 * With O_DIRECT the numbers are the disk's. Without it they would be the
 * page cache's, so none are given. (Virtual disks cache on the host; a
 * probe this small cannot tell, and says so by being too good.)
 */
#define _GNU_SOURCE 1
#include "vvmstat/doctor_swap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <vvm.h>
#include "common/tool.h"

#define PROBE_FILE_BYTES (16 << 20) /* larger than a disk's own cache line */
#define PROBE_US	 1000000
#define PROBE_READS_MAX	 100000 /* 10 us each: faster than any disk */
#define LOW_BYTES	 ((uint64_t)1 << 30)
/* Slower than this the disk is one that turns, or a busy network. */
#define SLOW_US 2000

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#ifndef SMB2_SUPER_MAGIC
#define SMB2_SUPER_MAGIC 0xfe534d42
#endif
#define FUSE_MAGIC 0x65735546
#define ZFS_MAGIC  0x2fc12fc1

/* What is known of a file system: how the swap does on it. */
static const struct file_system {
	long magic;
	const char *name;
	const char *problem; /* or NULL */
} file_systems[] = {
	{EXT4_SUPER_MAGIC, "ext4", NULL},
	{XFS_SUPER_MAGIC, "xfs", NULL},
	{F2FS_SUPER_MAGIC, "f2fs", NULL},
	{BTRFS_SUPER_MAGIC, "btrfs", "copies on write: slow to overwrite"},
	{ZFS_MAGIC, "zfs", "copies on write: slow to overwrite"},
	{OVERLAYFS_SUPER_MAGIC, "overlay", "a container's layer, not a volume"},
	{TMPFS_MAGIC, "tmpfs", "it is RAM: swapping there frees nothing"},
	{RAMFS_MAGIC, "ramfs", "it is RAM: swapping there frees nothing"},
	{NFS_SUPER_MAGIC, "nfs", "a network file system: slow and fragile"},
	{SMB2_SUPER_MAGIC, "smb", "a network file system: slow and fragile"},
	{FUSE_MAGIC, "fuse", "a file system in user space: slow"},
};

struct path {
	const char *name;
	char where[PATH_MAX]; /* the directory or device that is probed */
	bool device;
};

/* ------------------------------------------------------------------ */
/* What the path is							*/

/* The directory that holds the file, which need not exist. */
static void directory_of(const char *file, char *dir, size_t size)
{
	const char *slash = strrchr(file, '/');

	if (!slash)
		snprintf(dir, size, ".");
	else
		snprintf(dir, size, "%.*s",
			 slash == file ? 1 : (int)(slash - file), file);
}

/* Fills *p from the path; false: it is nothing to swap to (reported). */
static bool look_at(struct doctor *d, struct path *p)
{
	struct stat st;
	bool exists = stat(p->name, &st) == 0;

	if (!exists && errno != ENOENT) {
		doctor_report(d, DOCTOR_FAIL, "swap path", "set VVM_SWAP",
			      "%s: %s", p->name, strerror(errno));
		return false;
	}
	if (exists && !S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode) &&
	    !S_ISBLK(st.st_mode)) {
		doctor_report(d, DOCTOR_FAIL, "swap path", "set VVM_SWAP",
			      "%s is neither directory, file nor block device",
			      p->name);
		return false;
	}
	p->device = exists && S_ISBLK(st.st_mode);
	if (exists && !S_ISREG(st.st_mode))
		snprintf(p->where, sizeof(p->where), "%s", p->name);
	else
		directory_of(p->name, p->where, sizeof(p->where));
	if (access(p->where, p->device ? R_OK | W_OK : W_OK | X_OK) == 0)
		return true;
	doctor_report(d, DOCTOR_FAIL, "swap path",
		      "set VVM_SWAP to a directory that you may write to",
		      "%s: %s", p->where, strerror(errno));
	return false;
}

static const struct file_system *find_file_system(long magic)
{
	size_t i;

	for (i = 0; i < sizeof(file_systems) / sizeof(*file_systems); i++)
		if (file_systems[i].magic == magic)
			return &file_systems[i];
	return NULL;
}

static void check_file_system(struct doctor *d, const struct path *p,
			      const struct statfs *fs)
{
	const struct file_system *known = find_file_system((long)fs->f_type);

	if (known && known->problem)
		doctor_report(d, DOCTOR_WARN, "swap path",
			      "set VVM_SWAP to a directory on a local disk",
			      "%s is on %s: %s", p->where, known->name,
			      known->problem);
	else if (known)
		doctor_report(d, DOCTOR_OK, "swap path", NULL, "%s is on %s",
			      p->where, known->name);
	else
		doctor_report(d, DOCTOR_OK, "swap path", NULL,
			      "%s is on a file system of type %#lx", p->where,
			      (unsigned long)fs->f_type);
}

static void check_space(struct doctor *d, const struct path *p, uint64_t bytes)
{
	char text[8];

	tool_human(text, bytes);
	if (bytes >= LOW_BYTES)
		doctor_report(d, DOCTOR_OK, "swap space", NULL, "%s free",
			      text);
	else
		doctor_report(d,
			      bytes < VVM_PAGE_SIZE ? DOCTOR_FAIL : DOCTOR_WARN,
			      "swap space",
			      "make room, or set VVM_SWAP to a larger disk",
			      "only %s free in %s", text, p->where);
}

/* ------------------------------------------------------------------ */
/* The latency probe							*/

struct latency {
	unsigned reads;
	double mean_us, p99_us;
};

static int compare_times(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Reads random pages of the first `bytes` until time is up. 0 or -errno. */
static int read_at_random(int fd, char *page, uint64_t bytes, uint32_t *us,
			  struct latency *out)
{
	uint64_t start = tool_now_us(), now = start, seed = start | 1;
	unsigned n = 0;

	while (now - start < PROBE_US && n < PROBE_READS_MAX) {
		uint64_t off, then;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		off = (seed >> 33) % (bytes / VVM_PAGE_SIZE) * VVM_PAGE_SIZE;
		if (pread(fd, page, VVM_PAGE_SIZE, (off_t)off) != VVM_PAGE_SIZE)
			return errno ? -errno : -EIO;
		then = tool_now_us();
		us[n++] = (uint32_t)(then - now);
		now = then;
	}
	out->reads = n;
	out->mean_us = (double)(now - start) / n;
	qsort(us, n, sizeof(*us), compare_times);
	/* NOLINTNEXTLINE(bugprone-integer-division): it is an index */
	out->p99_us = us[n * 99ull / 100];
	return 0;
}

static int probe_latency(int fd, uint64_t bytes, struct latency *out)
{
	uint32_t *us = malloc(PROBE_READS_MAX * sizeof(*us));
	char *page = aligned_alloc(VVM_PAGE_SIZE, VVM_PAGE_SIZE);
	int error = -ENOMEM;

	if (us && page)
		error = read_at_random(fd, page, bytes, us, out);
	free(page);
	free(us);
	return error;
}

/* Fills the file, on the disk. */
static int write_probe_file(int fd)
{
	const size_t chunk = 1 << 20;
	char *buf = aligned_alloc(VVM_PAGE_SIZE, chunk);
	size_t done;
	int error = buf ? 0 : -ENOMEM;

	if (buf)
		memset(buf, 0x5a, chunk);
	for (done = 0; !error && done < PROBE_FILE_BYTES; done += chunk)
		if (pwrite(fd, buf, chunk, (off_t)done) != (ssize_t)chunk)
			error = errno ? -errno : -EIO;
	free(buf);
	if (!error && fsync(fd))
		error = -errno;
	return error;
}

/* A file without a name in the directory; -1 and errno. */
static int open_probe_file(const char *dir)
{
	char path[PATH_MAX + 32];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	snprintf(path, sizeof(path), "%s/.vvmstat-probe.XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static void report_latency(struct doctor *d, const struct latency *l)
{
	doctor_report(d, l->mean_us > SLOW_US ? DOCTOR_WARN : DOCTOR_OK,
		      "swap latency",
		      l->mean_us > SLOW_US ? "set VVM_SWAP to a faster disk"
					   : NULL,
		      "4 KiB random reads, one at a time: mean %.0f us, p99 "
		      "%.0f us (%u reads)",
		      l->mean_us, l->p99_us, l->reads);
}

/* Turns O_DIRECT on and measures; errors are reported. => fd has data. */
static void probe_direct(struct doctor *d, int fd, uint64_t bytes)
{
	struct latency latency = {0};
	int error;

	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_DIRECT)) {
		doctor_report(d, DOCTOR_WARN, "O_DIRECT",
			      "set VVM_SWAP to a local disk (ext4, xfs)",
			      "refused (%s): swap goes through the page cache, "
			      "outside of the budget",
			      strerror(errno));
		return;
	}
	error = probe_latency(fd, bytes, &latency);
	if (error) {
		doctor_report(d, DOCTOR_WARN, "O_DIRECT",
			      "set VVM_SWAP to a local disk (ext4, xfs)",
			      "reads fail: %s", strerror(-error));
		return;
	}
	doctor_report(d, DOCTOR_OK, "O_DIRECT", NULL, "works");
	report_latency(d, &latency);
}

/* ------------------------------------------------------------------ */
/* The two kinds of path						*/

static void check_directory(struct doctor *d, const struct path *p)
{
	struct statfs fs;
	uint64_t free_bytes;
	int fd, error;

	if (statfs(p->where, &fs)) {
		doctor_report(d, DOCTOR_FAIL, "swap path", "set VVM_SWAP",
			      "%s: %s", p->where, strerror(errno));
		return;
	}
	free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
	check_file_system(d, p, &fs);
	check_space(d, p, free_bytes);
	if (free_bytes < 4 * PROBE_FILE_BYTES)
		return; /* do not take the last of it */
	fd = open_probe_file(p->where);
	error = fd < 0 ? -errno : write_probe_file(fd);
	if (error)
		doctor_report(d, DOCTOR_FAIL, "swap write",
			      "set VVM_SWAP to a directory that you may write "
			      "to",
			      "%s: %s", p->where, strerror(-error));
	else
		probe_direct(d, fd, PROBE_FILE_BYTES);
	if (fd >= 0)
		close(fd);
}

static void check_device(struct doctor *d, const struct path *p)
{
	uint64_t bytes = 0;
	int fd = open(p->where, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes)) {
		doctor_report(d, DOCTOR_FAIL, "swap path", "set VVM_SWAP",
			      "%s: %s", p->where, strerror(errno));
	} else {
		doctor_report(d, DOCTOR_OK, "swap path", NULL,
			      "%s is a block device; its content will be "
			      "overwritten",
			      p->where);
		check_space(d, p, bytes);
		if (bytes >= VVM_PAGE_SIZE)
			probe_direct(d, fd, bytes);
	}
	if (fd >= 0)
		close(fd);
}

static bool is_usable(const char *directory)
{
	struct stat st;

	return stat(directory, &st) == 0 && S_ISDIR(st.st_mode) &&
	       access(directory, W_OK | X_OK) == 0;
}

/* Where libvvm goes when nobody has named a place: lib/swap/place.c. */
static const char *default_place(struct doctor *d, const char *first)
{
	const char *other[] = {secure_getenv("TMPDIR"), "/tmp"};
	size_t i;

	for (i = 0; i < 2 && !is_usable(first); i++) {
		if (!other[i] || *other[i] != '/' || !is_usable(other[i]))
			continue;
		doctor_report(d, DOCTOR_WARN, "swap path",
			      "set VVM_SWAP to a directory on a local disk",
			      "%s cannot be used; libvvm takes %s", first,
			      other[i]);
		return other[i];
	}
	return first;
}

void doctor_swap(struct doctor *d)
{
	struct vvm_options options;
	struct path path = {.name = d->swap_path};

	if (!path.name) {
		if (vvm_options_init(&options))
			doctor_report(d, DOCTOR_FAIL, "settings",
				      "unset or correct the variable",
				      "a VVM_* variable holds nonsense");
		path.name = getenv("VVM_SWAP")
				    ? options.swap_path
				    : default_place(d, options.swap_path);
	}
	if (!look_at(d, &path))
		return;
	if (path.device)
		check_device(d, &path);
	else
		check_directory(d, &path);
}
