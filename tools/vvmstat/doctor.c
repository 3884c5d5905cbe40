/* SPDX-License-Identifier: MIT */
/*
 * doctor.c - why does libvvm not run here, or not run well?
 *
 * One line for each thing that libvvm needs: ok, warn or fail, what was
 * found, and, unless all is well, what to do. *fail* is for what stops
 * vvm_open(); *warn* for what makes it slower, less visible or fragile.
 *
 * The verdict is the library's own: vvm_probe() decides whether spaces can
 * be opened, because only the code that will do it knows for sure. The other
 * checks look at the kernel themselves, by the same calls, to say *why*, and
 * to catch what the probe does not ask: disk, limits, policies. They are kept
 * apart on purpose: when the two disagree, that is a finding too.
 *
 * Nothing is changed: no setting is written, and the one file that is made
 * (the latency probe's) has no name or loses it at once.
 */
#define _GNU_SOURCE 1
#include "vvmstat/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <vvm.h>
#include "common/line.h"
#include "common/tool.h"
#include "vvmstat/doctor_memory.h"
#include "vvmstat/doctor_process.h"
#include "vvmstat/doctor_swap.h"

#ifndef USERFAULTFD_IOC_NEW /* 6.1 */
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif
#ifndef UFFD_USER_MODE_ONLY /* 5.11 */
#define UFFD_USER_MODE_ONLY 1
#endif

#define UFFD_FLAGS (O_CLOEXEC | O_NONBLOCK)

#define CONTAINER                                                        \
	"in a container, its seccomp profile must allow it: docker run " \
	"--security-opt seccomp=unconfined"

/* A number from a file, or -1. */
static long long read_number(const char *path)
{
	char text[64];

	/* NOLINTNEXTLINE(cert-err34-c): the kernel's settings are numbers */
	return line_read(path, text, sizeof(text)) == 0 && *text ? atoll(text)
								 : -1;
}

/* ------------------------------------------------------------------ */
/* The kernel and userfaultfd						*/

static void check_kernel(struct doctor *d)
{
	struct utsname u;
	unsigned major = 0, minor = 0;

	uname(&u);
	/* NOLINTNEXTLINE(cert-err34-c): the kernel's version */
	sscanf(u.release, "%u.%u", &major, &minor);
	if (major < 5 || (major == 5 && minor < 19))
		doctor_report(d, DOCTOR_FAIL, "kernel",
			      "run Linux 5.19 or newer",
			      "%s is too old: userfaultfd cannot write-protect "
			      "shared memory",
			      u.release);
	else if (major < 6 || (major == 6 && minor < 7))
		doctor_report(d, DOCTOR_OK, "kernel", NULL,
			      "%s (from 6.7 on reclaim scans faster)",
			      u.release);
	else
		doctor_report(d, DOCTOR_OK, "kernel", NULL, "%s", u.release);
}

/* What newer kernels have, and what it is used for. */
static void check_features(struct doctor *d, const struct vvm_probe *probe)
{
	static const struct {
		unsigned flag;
		const char *have, *lack;
	} feature[] = {
		{VVM_PROBE_WP_SHMEM, "write-protect (5.19)",
		 "write-protect: without it nothing works"},
		{VVM_PROBE_THREAD_ID, "thread ids",
		 "thread ids: --trace does not know threads"},
		{VVM_PROBE_POISON, "poison (6.6)",
		 "poison (6.6): lost pages are told by a signal"},
		{VVM_PROBE_PAGEMAP_SCAN, "PAGEMAP_SCAN (6.7)",
		 "PAGEMAP_SCAN (6.7): reclaim reads the pagemap, slower"},
	};
	char have[256] = "", lack[256] = "";
	size_t i;

	for (i = 0; i < sizeof(feature) / sizeof(*feature); i++) {
		bool has = probe->flags & feature[i].flag;
		char *to = has ? have : lack;

		snprintf(to + strlen(to), sizeof(have) - strlen(to), "%s%s",
			 *to ? ", " : "",
			 has ? feature[i].have : feature[i].lack);
	}
	doctor_report(
		d, probe->flags & VVM_PROBE_WP_SHMEM ? DOCTOR_OK : DOCTOR_FAIL,
		"features", *lack ? "run a newer kernel" : NULL, "%s%s%s", have,
		*lack ? "; lacks " : "", lack);
}

static void check_page_size(struct doctor *d)
{
	long bytes = sysconf(_SC_PAGESIZE);

	if (bytes == VVM_PAGE_SIZE)
		doctor_report(d, DOCTOR_OK, "page size", NULL, "%ld bytes",
			      bytes);
	else
		doctor_report(d, DOCTOR_FAIL, "page size",
			      "boot a kernel with 4 KiB pages",
			      "%ld bytes; libvvm knows only %d", bytes,
			      VVM_PAGE_SIZE);
}

static void check_library(struct doctor *d, const struct vvm_probe *probe)
{
	const char *reason = probe->reason ? probe->reason : "";

	if (probe->usable)
		doctor_report(d, DOCTOR_OK, "libvvm", *reason ? reason : NULL,
			      "version %s can open spaces", vvm_version());
	else
		doctor_report(d, DOCTOR_FAIL, "libvvm", reason,
			      "version %s cannot open spaces: %s",
			      vvm_version(), vvm_strerror(probe->error));
}

/* Returns a userfaultfd by /dev/userfaultfd, or -1 and errno. */
static int uffd_by_device(void)
{
	int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	int fd, error;

	if (dev < 0)
		return -1;
	fd = ioctl(dev, USERFAULTFD_IOC_NEW, UFFD_FLAGS);
	error = errno;
	close(dev);
	errno = error;
	return fd;
}

#define GROUP_RULE                                                       \
	"give a group /dev/userfaultfd: echo 'KERNEL==\"userfaultfd\", " \
	"GROUP=\"users\", MODE=\"0660\"' > "                             \
	"/etc/udev/rules.d/70-userfaultfd.rules"

/* What faults=auto takes, and what that costs. */
static void check_fault_mode(struct doctor *d, const struct vvm_probe *probe)
{
	bool guard = probe->flags & VVM_PROBE_GUARD;

	if (guard)
		doctor_report(d, DOCTOR_OK, "guard pages", NULL,
			      "possible: VVM_FAULTS=guard needs no permission");
	else
		doctor_report(d, DOCTOR_OK, "guard pages", NULL,
			      "not in this kernel (Linux 6.15, x86-64)");
	if ((probe->flags & VVM_PROBE_PERMITTED) &&
	    (probe->flags & VVM_PROBE_WP_SHMEM))
		doctor_report(
			d, DOCTOR_OK, "faults", NULL,
			"auto is thread: handler threads, by userfaultfd");
	else if (guard)
		doctor_report(
			d, DOCTOR_WARN, "faults",
			"userfaultfd, see above, if system calls are to "
			"work on paged memory as they are",
			"auto is guard (CPU for a fault 1.25 x): pages are "
			"compared before they leave; system calls on "
			"absent pages fail with EFAULT, but under vvmrun "
			"or with VVM_SYSCALLS=trap (6 us for a call with "
			"paged memory)");
}

/* guard: it can be done without. */
static void uffd_refused(struct doctor *d, bool guard, int by_call,
			 int by_device)
{
	enum doctor_status level = guard ? DOCTOR_WARN : DOCTOR_FAIL;
	char why[200];

	snprintf(why, sizeof(why), "%s, /dev/userfaultfd: ", strerror(by_call));
	strncat(why, strerror(by_device), sizeof(why) - strlen(why) - 1);
	if (by_call == ENOSYS)
		doctor_report(d, level, "userfaultfd",
			      "a kernel with CONFIG_USERFAULTFD=y; " CONTAINER,
			      "the kernel has none (%s)", why);
	else
		doctor_report(
			d, level, "userfaultfd",
			"sysctl -w vm.unprivileged_userfaultfd=1, or " GROUP_RULE
			"; " CONTAINER,
			"not permitted (%s)", why);
}

/* By which of the three ways does this process get a userfaultfd? */
static void check_userfaultfd(struct doctor *d, bool guard)
{
	long long open_to_all =
		read_number("/proc/sys/vm/unprivileged_userfaultfd");
	int fd, by_call, by_device;

	fd = (int)syscall(SYS_userfaultfd, UFFD_FLAGS);
	by_call = errno;
	if (fd >= 0) {
		doctor_report(d, DOCTOR_OK, "userfaultfd", NULL,
			      "system call (vm.unprivileged_userfaultfd = "
			      "%lld, uid %u)",
			      open_to_all, (unsigned)geteuid());
		close(fd);
		return;
	}
	fd = uffd_by_device();
	by_device = errno;
	if (fd >= 0) {
		doctor_report(d, DOCTOR_OK, "userfaultfd", NULL,
			      "/dev/userfaultfd");
		close(fd);
		return;
	}
	fd = (int)syscall(SYS_userfaultfd, UFFD_FLAGS | UFFD_USER_MODE_ONLY);
	if (fd < 0) {
		uffd_refused(d, guard, by_call, by_device);
		return;
	}
	close(fd);
	doctor_report(
		d, DOCTOR_WARN, "userfaultfd",
		"sysctl -w vm.unprivileged_userfaultfd=1, or " GROUP_RULE,
		"user mode only: system calls on absent pages fail with "
		"EFAULT, but under vvmrun or with VVM_SYSCALLS=trap (6 us "
		"for a call with paged memory)");
}

/* Is a seccomp filter in the way? Only interesting if something failed. */
static void check_seccomp(struct doctor *d, const struct vvm_probe *probe)
{
	int mode = (int)line_value("/proc/self/status", "Seccomp");
	bool missing = !(probe->flags & VVM_PROBE_PERMITTED) ||
		       !(probe->flags & VVM_PROBE_IO_URING);

	if (mode == 0)
		doctor_report(d, DOCTOR_OK, "seccomp", NULL, "no filter");
	else if (!missing)
		doctor_report(d, DOCTOR_OK, "seccomp", NULL,
			      "a filter is active, and lets libvvm pass");
	else
		doctor_report(d, DOCTOR_WARN, "seccomp", CONTAINER,
			      "a filter is active (mode %d); it may be what "
			      "refuses userfaultfd or io_uring",
			      mode);
}

/* ------------------------------------------------------------------ */
/* I/O, limits, policies						*/

/* Does the kernel give this process a ring? 0 or errno. */
static int ring_error(void)
{
	struct io_uring_params params = {0};
	int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

#define NO_RING "pread and pwrite will do, one request at a time"

static void check_io_uring(struct doctor *d, const struct vvm_probe *probe)
{
	long long off = read_number("/proc/sys/kernel/io_uring_disabled");
	int error = ring_error();

	if (probe->flags & VVM_PROBE_IO_URING)
		doctor_report(d, DOCTOR_OK, "io_uring", NULL, "permitted");
	else if (!error)
		doctor_report(d, DOCTOR_WARN, "io_uring",
			      "build libvvm with liburing",
			      "permitted, but this libvvm was built without "
			      "it: " NO_RING);
	else if (off > 0)
		doctor_report(d, DOCTOR_WARN, "io_uring",
			      "sysctl -w kernel.io_uring_disabled=0",
			      "kernel.io_uring_disabled = %lld: " NO_RING, off);
	else
		doctor_report(d, DOCTOR_WARN, "io_uring", CONTAINER,
			      "%s: " NO_RING, strerror(error));
}

static void check_memlock(struct doctor *d)
{
	struct rlimit limit;
	char text[8];

	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		return;
	if (limit.rlim_cur == RLIM_INFINITY)
		doctor_report(d, DOCTOR_OK, "memlock", NULL, "no limit");
	else if (limit.rlim_cur >= 64 << 10)
		doctor_report(d, DOCTOR_OK, "memlock", NULL, "%s",
			      tool_human(text, limit.rlim_cur));
	else
		doctor_report(d, DOCTOR_WARN, "memlock", "ulimit -l 8192",
			      "%s: io_uring may be refused its rings",
			      tool_human(text, limit.rlim_cur));
}

static void check_map_count(struct doctor *d)
{
	const long long standard = 65530;
	long long n = read_number("/proc/sys/vm/max_map_count");

	if (n < 0 || n >= standard)
		doctor_report(d, DOCTOR_OK, "max_map_count", NULL,
			      "%lld mappings", n);
	else
		doctor_report(d, DOCTOR_WARN, "max_map_count",
			      "sysctl -w vm.max_map_count=65530",
			      "%lld mappings: many regions or ranges of "
			      "different permissions will not fit",
			      n);
}

static void check_overcommit(struct doctor *d)
{
	long long mode = read_number("/proc/sys/vm/overcommit_memory");

	if (mode == 2)
		doctor_report(d, DOCTOR_WARN, "overcommit",
			      "sysctl -w vm.overcommit_memory=0, or keep the "
			      "budget well below CommitLimit of /proc/meminfo",
			      "vm.overcommit_memory = 2: the kernel may refuse "
			      "frames before the RAM is full");
	else
		doctor_report(d, DOCTOR_OK, "overcommit", NULL,
			      "vm.overcommit_memory = %lld", mode);
}

static void check_thp(struct doctor *d)
{
	char text[128], mode[32] = "not built in";

	line_read("/sys/kernel/mm/transparent_hugepage/shmem_enabled", text,
		  sizeof(text));
	if (strchr(text, '[')) /* always [never] deny ... */
		sscanf(strchr(text, '['), "[%31[a-z_]", mode);
	if (!strcmp(mode, "force"))
		doctor_report(
			d, DOCTOR_WARN, "huge pages",
			"echo never > /sys/kernel/mm/transparent_hugepage/"
			"shmem_enabled",
			"shmem_enabled is 'force', which overrides "
			"MADV_NOHUGEPAGE: the budget may not hold");
	else
		doctor_report(d, DOCTOR_OK, "huge pages", NULL,
			      "shmem: %s; libvvm turns them off for its memory",
			      mode);
}

static void check_segment_dir(struct doctor *d)
{
	struct statvfs fs;
	char text[8];
	uint64_t bytes;

	if (statvfs(VVM_STAT_DIR, &fs) || access(VVM_STAT_DIR, W_OK)) {
		doctor_report(d, DOCTOR_WARN, VVM_STAT_DIR,
			      "mount a tmpfs there, mode 1777",
			      "%s: vvmstat will see nothing", strerror(errno));
		return;
	}
	bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (bytes < 1 << 20)
		doctor_report(
			d, DOCTOR_WARN, VVM_STAT_DIR,
			"remove files from it; in a container: --shm-size",
			"%s free: no room for statistics",
			tool_human(text, bytes));
	else
		doctor_report(d, DOCTOR_OK, VVM_STAT_DIR, NULL, "%s free",
			      tool_human(text, bytes));
}

static int verdict(struct doctor *d)
{
	bool usable = d->worst != DOCTOR_FAIL;

	if (d->output->form != OUTPUT_TEXT)
		doctor_record(d, d->worst, "summary", "",
			      usable ? "libvvm can run" : "libvvm cannot run");
	else
		printf("\nlibvvm can%s run here%s.\n", usable ? "" : "not",
		       d->worst == DOCTOR_WARN ? ", with the warnings above"
					       : "");
	return usable ? TOOL_OK : TOOL_FAILED;
}

int doctor_run(const char *swap_path, const char *dir, struct output *output)
{
	struct doctor d = {.output = output, .swap_path = swap_path};
	struct vvm_probe probe = {0};
	int status;

	output_group(output, "check", tool_unix_us());
	vvm_probe(&probe);
	check_library(&d, &probe);
	check_kernel(&d);
	if (probe.flags & VVM_PROBE_PERMITTED)
		check_features(&d, &probe);
	check_page_size(&d);
	check_userfaultfd(&d, probe.flags & VVM_PROBE_GUARD);
	check_fault_mode(&d, &probe);
	check_io_uring(&d, &probe);
	check_seccomp(&d, &probe);
	check_memlock(&d);
	check_map_count(&d);
	check_overcommit(&d);
	check_thp(&d);
	check_segment_dir(&d);
	doctor_memory(&d);
	doctor_swap(&d);
	doctor_processes(&d, dir);
	status = verdict(&d);
	output_group_end(output);
	output_end(output);
	return status;
}
