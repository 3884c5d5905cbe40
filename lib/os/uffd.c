/* SPDX-License-Identifier: MIT */
/*
 * os/uffd.c - userfaultfd: getting one, registering, filling, waking.
 *
 * A userfaultfd can be had in three ways, and which one works is a matter of
 * kernel version, sysctl, file modes and seccomp, so they are tried in turn
 * and any refusal leads to the next:
 *   1. userfaultfd(2): root, CAP_SYS_PTRACE, vm.unprivileged_userfaultfd=1;
 *   2. /dev/userfaultfd (6.1): whoever may open the device;
 *   3. userfaultfd(2) with UFFD_USER_MODE_ONLY (5.11): everybody, but system
 *      calls that meet an absent page then fail with EFAULT.
 *
 * What the kernel can do is asked at run time: the headers of the build
 * machine may be years older than the kernel that runs, or newer. So the
 * definitions that Linux 6.1's headers lack are below, guarded. UFFDIO_API
 * may be called once per descriptor and fails if asked for a feature that is
 * missing; hence one call on a throw-away descriptor lists the features, and
 * a second descriptor is opened with those wanted and present.
 *
 * (1) Every descriptor is close-on-exec and non-blocking: several readers
 *     may poll it, and one of them may find that another was faster.
 * (2) The fill operations may stop half way. The kernel then returns the
 *     bytes done, and the waiters of that part are awake; the rest is
 *     retried here. EAGAIN without progress means that mappings are being
 *     changed by another thread: it passes soon, and is retried
 *     UFFD_TRIES times with a yield between.
 */
#define _GNU_SOURCE 1
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/userfaultfd.h>

/* Chosen, not measured: long enough for another thread's mmap or fork to end,
 * short enough not to hang; after it the caller decides. */
#define UFFD_TRIES 1000

/* Events one read takes: 32 of 32 bytes, half a KiB of stack per 16. */
#define UFFD_EVENTS 32

#ifndef USERFAULTFD_IOC_NEW /* 6.1 */
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif
#ifndef UFFD_USER_MODE_ONLY /* 5.11 */
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef UFFD_FEATURE_EXACT_ADDRESS /* 5.18 */
#define UFFD_FEATURE_EXACT_ADDRESS (1 << 11)
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM /* 5.19 */
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
#ifndef UFFD_FEATURE_POISON /* 6.6 */
#define UFFD_FEATURE_POISON (1 << 14)
#endif
#ifndef UFFD_FEATURE_MOVE /* 6.8 */
#define UFFD_FEATURE_MOVE (1 << 16)
#endif

/* UFFDIO_POISON (6.6) by our own name: the header may or may not have it. */
struct poison_arg {
	struct uffdio_range range;
	uint64_t mode;
	int64_t updated;
};
#define POISON_IOCTL _IOWR(UFFDIO, 0x08, struct poison_arg)

static const struct {
	unsigned ours;
	uint64_t kernel;
} feature_map[] = {
	{OS_UFFD_SHMEM, UFFD_FEATURE_MISSING_SHMEM},
	{OS_UFFD_WP_SHMEM, UFFD_FEATURE_WP_HUGETLBFS_SHMEM},
	{OS_UFFD_THREAD_ID, UFFD_FEATURE_THREAD_ID},
	{OS_UFFD_EXACT, UFFD_FEATURE_EXACT_ADDRESS},
	{OS_UFFD_SIGBUS, UFFD_FEATURE_SIGBUS},
	{OS_UFFD_POISON, UFFD_FEATURE_POISON},
	{OS_UFFD_MOVE, UFFD_FEATURE_MOVE},
};

static int uffd_ioctl(int fd, unsigned long request, void *arg)
{
	return TEMP_FAILURE_RETRY(ioctl(fd, request, arg)) < 0 ? -errno : 0;
}

/* ---- getting one ---- */

static int open_syscall(int flags, int *fd)
{
	long r = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | flags);

	if (r < 0)
		return -errno;
	*fd = (int)r;
	return 0;
}

static int open_device(int *fd)
{
	int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	int r, error;

	if (dev < 0)
		return -errno;
	r = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK);
	error = r < 0 ? -errno : 0;
	close(dev);
	if (!error)
		*fd = r;
	return error;
}

/* Is this "not for you" or "I do not know that", rather than "I cannot"? */
static bool is_refusal(int error)
{
	switch (error) {
	case -EPERM:
	case -EACCES:
	case -ENOENT:
	case -ENOSYS:
	case -ENXIO: /* a device node without a driver */
	case -ENODEV:
	case -ENOTTY: /* some other device */
	case -EINVAL: /* USER_MODE_ONLY before 5.11 */
		return true;
	}
	return false;
}

/* A raw descriptor by the first method that gives one. */
static int open_any(int *fd, enum os_uffd_method *method)
{
	int first, error;

	*method = OS_UFFD_SYSCALL;
	first = error = open_syscall(0, fd);
	if (!is_refusal(error))
		return error;
	*method = OS_UFFD_DEV;
	error = open_device(fd);
	if (!is_refusal(error))
		return error;
	*method = OS_UFFD_USER_ONLY;
	error = open_syscall(UFFD_USER_MODE_ONLY, fd);
	if (!is_refusal(error))
		return error;
	return first == -ENOSYS && error == -ENOSYS ? -ENOSYS : -EPERM;
}

/* Opens and does the UFFDIO_API handshake; *have is what the kernel has. */
static int open_with(uint64_t want, int *fd, uint64_t *have,
		     enum os_uffd_method *method)
{
	struct uffdio_api api = {.api = UFFD_API, .features = want};
	int raw = -1;
	int error = open_any(&raw, method);

	if (error)
		return error;
	error = uffd_ioctl(raw, UFFDIO_API, &api);
	if (error) {
		close(raw);
		return error;
	}
	*fd = raw;
	*have = api.features;
	return 0;
}

/* The features of the kernel in its own bits; the point of injection. */
static int list_features(uint64_t *have, enum os_uffd_method *method)
{
	int fd, error = os_inject_check(OS_uffd_open);

	if (!error)
		error = open_with(0, &fd, have, method);
	if (!error)
		close(fd);
	return error;
}

int os_uffd_probe(unsigned *features, enum os_uffd_method *method)
{
	uint64_t have;
	unsigned i;
	int error = list_features(&have, method);

	if (error)
		return error;
	*features = 0;
	for (i = 0; i < ARRAY_SIZE(feature_map); i++)
		if (have & feature_map[i].kernel)
			*features |= feature_map[i].ours;
	return 0;
}

int os_uffd_open(unsigned want, int *fd, enum os_uffd_method *method)
{
	uint64_t have, ask = 0;
	unsigned i;
	int error = list_features(&have, method);

	if (error)
		return error;
	for (i = 0; i < ARRAY_SIZE(feature_map); i++)
		if (want & feature_map[i].ours)
			ask |= feature_map[i].kernel;
	return open_with(ask & have, fd, &have, method);
}

/* ---- ranges ---- */

int os_uffd_register(int fd, haddr_t at, uint64_t bytes)
{
	struct uffdio_register arg = {
		.range = {.start = at, .len = bytes},
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP,
	};
	int error = os_inject_check(OS_uffd_register);

	return error ? error : uffd_ioctl(fd, UFFDIO_REGISTER, &arg);
}

int os_uffd_wake(int fd, haddr_t at, uint64_t bytes)
{
	struct uffdio_range arg = {.start = at, .len = bytes};
	int error = os_inject_check(OS_uffd_wake);

	return error ? error : uffd_ioctl(fd, UFFDIO_WAKE, &arg);
}

/* ---- filling ---- */

/*
 * Judges one ioctl of a fill that returned `error` and moved `moved` bytes
 * (negative: an error again). Adds to *done; returns 0 to go on. See (2).
 */
static int fill_step(int error, int64_t moved, uint64_t *done, unsigned *tries)
{
	if (moved > 0) {
		*done += (uint64_t)moved;
		*tries = 0;
		return error == -EAGAIN ? 0 : error;
	}
	if (!error) /* success that moves nothing would loop for ever */
		return -EIO;
	if (error != -EAGAIN || ++*tries >= UFFD_TRIES)
		return error;
	sched_yield();
	return 0;
}

int os_uffd_copy(int fd, haddr_t to, const void *from, uint64_t bytes,
		 unsigned mode, uint64_t *done)
{
	struct uffdio_copy arg;
	unsigned tries = 0;
	int error = os_inject_check(OS_uffd_copy);

	for (*done = 0; !error && *done < bytes;) {
		arg = (struct uffdio_copy){
			.dst = to + *done,
			.src = (uintptr_t)from + *done,
			.len = bytes - *done,
		};
		if (mode & OS_UFFD_PROTECTED)
			arg.mode |= UFFDIO_COPY_MODE_WP;
		if (mode & OS_UFFD_NOWAKE)
			arg.mode |= UFFDIO_COPY_MODE_DONTWAKE;
		error = uffd_ioctl(fd, UFFDIO_COPY, &arg);
		error = fill_step(error, arg.copy, done, &tries);
	}
	return error;
}

int os_uffd_zero(int fd, haddr_t at, uint64_t bytes, uint64_t *done)
{
	struct uffdio_zeropage arg;
	unsigned tries = 0;
	int error = os_inject_check(OS_uffd_zero);

	for (*done = 0; !error && *done < bytes;) {
		arg = (struct uffdio_zeropage){
			.range = {.start = at + *done, .len = bytes - *done},
		};
		error = uffd_ioctl(fd, UFFDIO_ZEROPAGE, &arg);
		error = fill_step(error, arg.zeropage, done, &tries);
	}
	return error;
}

int os_uffd_wp(int fd, haddr_t at, uint64_t bytes, bool protect)
{
	struct uffdio_writeprotect arg = {
		.range = {.start = at, .len = bytes},
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};
	unsigned tries = 0;
	int error = os_inject_check(OS_uffd_wp);

	if (error)
		return error;
	while ((error = uffd_ioctl(fd, UFFDIO_WRITEPROTECT, &arg)) == -EAGAIN &&
	       ++tries < UFFD_TRIES)
		sched_yield();
	return error;
}

/* Kernels before 6.6 say EINVAL to the ioctl, as to a wrong range. */
static bool lacks_poison(void)
{
	enum os_uffd_method method;
	uint64_t have;

	return list_features(&have, &method) == 0 &&
	       !(have & UFFD_FEATURE_POISON);
}

int os_uffd_poison(int fd, haddr_t at, uint64_t bytes)
{
	struct poison_arg arg;
	unsigned tries = 0;
	uint64_t done;
	int error = os_inject_check(OS_uffd_poison);

	for (done = 0; !error && done < bytes;) {
		arg = (struct poison_arg){
			.range = {.start = at + done, .len = bytes - done},
		};
		error = uffd_ioctl(fd, POISON_IOCTL, &arg);
		error = fill_step(error, arg.updated, &done, &tries);
	}
	if (error == -EINVAL && lacks_poison())
		return -EOPNOTSUPP;
	return error;
}

/* ---- events ---- */

static struct os_fault fault_of(const struct uffd_msg *msg)
{
	uint64_t flags = msg->arg.pagefault.flags;

	return (struct os_fault){
		.addr = msg->arg.pagefault.address,
		.write = flags & UFFD_PAGEFAULT_FLAG_WRITE,
		.protect = flags & UFFD_PAGEFAULT_FLAG_WP,
		.tid = (int)msg->arg.pagefault.feat.ptid,
	};
}

/* => 0 < max <= UFFD_EVENTS. The number of messages, 0 for none, -errno. */
static int read_messages(int fd, struct uffd_msg *msgs, unsigned max)
{
	ssize_t got = TEMP_FAILURE_RETRY(
		syscall(SYS_read, fd, msgs, max * sizeof(*msgs)));

	if (got < 0)
		return errno == EAGAIN ? 0 : -errno;
	return (int)((size_t)got / sizeof(*msgs));
}

/* We enable no event but the page fault; others are skipped if they come. */
int os_uffd_read(int fd, struct os_fault *faults, unsigned max)
{
	struct uffd_msg msgs[UFFD_EVENTS];
	unsigned count = 0;
	int i, got, error = os_inject_check(OS_uffd_read);

	if (error || max == 0)
		return error;
	got = read_messages(fd, msgs, MIN(max, (unsigned)UFFD_EVENTS));
	if (got < 0)
		return got;
	for (i = 0; i < got; i++)
		if (msgs[i].event == UFFD_EVENT_PAGEFAULT)
			faults[count++] = fault_of(&msgs[i]);
	return (int)count;
}
