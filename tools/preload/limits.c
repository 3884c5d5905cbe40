/* SPDX-License-Identifier: MIT */
/*
 * limits.c - resource limits that the program sets for itself.
 *
 * They are meant for what the program uses, and count what libvvm uses, too:
 *
 *   RLIMIT_AS, RLIMIT_DATA	hundreds of gigabytes of addresses are reserved
 *				and not used. The kernel's limit is the
 *				program's and what we had when it was set, and
 *				some more for tables that grow; and a block of
 *				malloc(), which takes no new addresses, is
 *				refused where the program's limit would be
 *				exceeded.
 *   RLIMIT_NOFILE, RLIMIT_FSIZE
 *				a child made by fork() opens descriptors, and
 *				the memfd is a large file. The hard limit that
 *				the kernel knows stays as it was, and the soft
 *				one is raised for the moment of such a call.
 *
 * The program is told what it has set. A program that this one becomes by exec
 * has just that (one started by posix_spawn(3) may have a higher hard limit).
 *
 * The pages that go to swap are written under RLIMIT_FSIZE as it is: lib/evict
 * says so when it fails.
 *
 * Rejected: raising the soft limit only in the child of a fork (what a program
 * has set to {0, 0} cannot be raised at all).
 */
#include "preload/limits.h"

#include "preload/gate.h"
#include "preload/part.h"
#include "preload/restrict.h"
#include "preload/state.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int setrlimit64(enum __rlimit_resource what, const struct rlimit64 *limit);
int getrlimit64(enum __rlimit_resource what, struct rlimit64 *limit);
int prlimit64(pid_t pid, enum __rlimit_resource what,
	      const struct rlimit64 *new, struct rlimit64 *old);

/* What the library's tables may grow by: for 16 GiB of pages and more. */
#define GROWTH_BYTES ((uint64_t)64 << 20)

/* One that the program has set. */
struct kept {
	_Atomic bool set;
	struct rlimit wish;	 /* what it has set */
	_Atomic uint64_t raised; /* process << 32 | how many times */
};

enum { AS, DATA, NOFILE, FSIZE, KEPT };

static struct kept kept[KEPT];
static uint64_t ours_bytes[2]; /* (i) by AS and DATA */

static const int kernel_name[KEPT] = {[AS] = RLIMIT_AS,
				      [DATA] = RLIMIT_DATA,
				      [NOFILE] = RLIMIT_NOFILE,
				      [FSIZE] = RLIMIT_FSIZE};

/* KEPT: it is of no concern here. */
static unsigned find(int what)
{
	unsigned i = 0;

	while (i < KEPT && kernel_name[i] != what)
		i++;
	return i;
}

static bool is_set(unsigned i)
{
	return i < KEPT &&
	       atomic_load_explicit(&kept[i].set, memory_order_acquire);
}

static int kernel_limit(int what, const struct rlimit *new, struct rlimit *old)
{
	return (int)gate_call(SYS_prlimit64, 0, what, new, old);
}

/* ------------------------------------------------------------------ */
/* Addresses								*/

/* Of the process: all, and private and writable. False: nobody knows. */
static bool count_bytes(uint64_t bytes[2])
{
	char text[256];
	unsigned long pages, data;
	int fd = (int)gate_call(SYS_openat, AT_FDCWD, "/proc/self/statm",
				O_RDONLY | O_CLOEXEC);
	long n;

	if (fd < 0)
		return false;
	n = gate_call(SYS_read, fd, text, sizeof(text) - 1);
	gate_call(SYS_close, fd);
	if (n <= 0)
		return false;
	text[n] = '\0';
	/* NOLINTNEXTLINE(cert-err34-c): the kernel's own text */
	if (sscanf(text, "%lu %*u %*u %*u %*u %lu", &pages, &data) != 2)
		return false;
	bytes[AS] = pages * VVM_PAGE_SIZE;
	bytes[DATA] = data * VVM_PAGE_SIZE;
	return true;
}

static uint64_t before_bytes[2];

void limits_before_open(void)
{
	if (!count_bytes(before_bytes))
		before_bytes[AS] = before_bytes[DATA] = 0;
}

void limits_after_open(void)
{
	uint64_t now[2];
	unsigned i;

	for (i = AS; count_bytes(now) && i <= DATA; i++)
		if (now[i] > before_bytes[i])
			ours_bytes[i] = now[i] - before_bytes[i];
}

bool limits_exceeded(size_t bytes)
{
	struct vvm_heap_stats heap;
	struct vvm_region any;
	uint64_t now[2], heap_bytes;
	unsigned i;
	bool over = false;

	if (!is_set(AS) && !is_set(DATA))
		return false;
	/* a fork child has none of what we reserve until it is roused */
	if (preload.child)
		vvm_query(preload.vm, 0, &any);
	if (!count_bytes(now) || vvm_heap_stats(preload.heap, &heap))
		return false;
	heap_bytes = heap.span_bytes + heap.large_bytes + bytes;
	for (i = AS; i <= DATA; i++)
		over |= is_set(i) && kept[i].wish.rlim_cur != RLIM_INFINITY &&
			now[i] + heap_bytes >
				kept[i].wish.rlim_cur + ours_bytes[i];
	return over;
}

/* ------------------------------------------------------------------ */
/* For the library							*/

/* The process's count; a fork child has none yet. */
static bool count_raise(struct kept *k, bool more)
{
	uint64_t process = (uint64_t)gate_call(SYS_getpid) << 32, old, new;

	old = atomic_load(&k->raised);
	do {
		new = old >> 32 == process >> 32 ? old : process;
		new = more ? new + 1 : new - 1;
	} while (!atomic_compare_exchange_weak(&k->raised, &old, new));
	return more ? (uint32_t) new == 1 : (uint32_t) new == 0;
}

bool limits_raise(int what)
{
	unsigned i = find(what);
	struct rlimit limit;
	int saved = errno;

	if (!is_set(i))
		return false;
	count_raise(&kept[i], true);
	if (kernel_limit(what, NULL, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		kernel_limit(what, &limit, NULL);
	}
	errno = saved;
	return true;
}

void limits_lower(int what, bool raised)
{
	unsigned i = find(what);
	struct rlimit limit;
	int saved = errno;

	if (!raised || !count_raise(&kept[i], false))
		return;
	if (kernel_limit(what, NULL, &limit) == 0) {
		limit.rlim_cur = kept[i].wish.rlim_cur;
		kernel_limit(what, &limit, NULL);
	}
	errno = saved;
}

int limits_ours(int what, struct rlimit *limit)
{
	int rc = kernel_limit(what, NULL, limit);

	if (rc == 0 && is_set(find(what)))
		limit->rlim_cur = limit->rlim_max;
	return rc;
}

static rlim_t least(rlim_t a, rlim_t b)
{
	return a < b ? a : b;
}

/*
 * Perhaps in a child of vfork() that has lowered its own. Of addresses only the
 * soft limit: one that is less than what there is could not be undone.
 */
void limits_before_exec(void)
{
	struct rlimit limit;
	unsigned i;

	for (i = 0; i < KEPT; i++) {
		if (!is_set(i) || kernel_limit(kernel_name[i], NULL, &limit))
			continue;
		limit.rlim_cur = least(limit.rlim_cur, kept[i].wish.rlim_cur);
		if (i >= NOFILE)
			limit.rlim_max =
				least(limit.rlim_max, kept[i].wish.rlim_max);
		kernel_limit(kernel_name[i], &limit, NULL);
	}
}

/* ------------------------------------------------------------------ */
/* For the program							*/

static bool may_raise(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	return plain_call(SYS_capget, &header, data) == 0 &&
	       data[0].effective & 1u << CAP_SYS_RESOURCE;
}

static rlim_t with_ours(unsigned i, rlim_t wish)
{
	uint64_t more;

	if (i > DATA || wish == RLIM_INFINITY)
		return wish;
	more = ours_bytes[i] + GROWTH_BYTES;
	return wish < RLIM_INFINITY - more ? wish + more : RLIM_INFINITY;
}

/* The kernel's soft limit for a wish. Its hard limit does not become lower. */
static int apply(unsigned i, const struct rlimit *wish)
{
	struct rlimit limit;

	if (kernel_limit(kernel_name[i], NULL, &limit))
		return -1;
	if (limit.rlim_max < wish->rlim_max)
		limit.rlim_max = wish->rlim_max;
	limit.rlim_cur = least(with_ours(i, wish->rlim_cur), limit.rlim_max);
	return kernel_limit(kernel_name[i], &limit, NULL);
}

void limits_after_exec(void)
{
	unsigned i;

	for (i = AS; i <= DATA; i++)
		if (is_set(i))
			apply(i, &kept[i].wish);
}

static int get(int what, struct rlimit *limit)
{
	unsigned i = find(what);

	if (!is_set(i))
		return (int)plain_call(SYS_prlimit64, 0, what, (void *)NULL,
				       limit);
	*limit = kept[i].wish;
	return 0;
}

static int refused(int error)
{
	errno = error;
	return -1;
}

static int set(int what, const struct rlimit *new)
{
	struct rlimit wish = *new, old;
	unsigned i = find(what);

	if (what == RLIMIT_NPROC)
		before_restriction();
	if (i == KEPT || !preload.paging)
		return (int)plain_call(SYS_prlimit64, 0, what, new,
				       (void *)NULL);
	if (get(what, &old))
		return -1;
	if (wish.rlim_cur > wish.rlim_max)
		return refused(EINVAL);
	if (wish.rlim_max > old.rlim_max && !may_raise())
		return refused(EPERM);
	if (apply(i, &wish))
		return -1;
	kept[i].wish = wish;
	atomic_store_explicit(&kept[i].set, true, memory_order_release);
	return 0;
}

/* A child of vfork() has limits of its own, and nothing else. */
static bool is_self(pid_t pid)
{
	pid_t self = (pid_t)gate_call(SYS_getpid);

	return (pid == 0 || pid == self) && self == preload.pid;
}

int prlimit(pid_t pid, enum __rlimit_resource what, const struct rlimit *new,
	    struct rlimit *old)
{
	struct rlimit was, wish;

	if (!preload.vm || !is_self(pid) ||
	    (new && !readable(new, sizeof(*new))))
		return (int)plain_call(SYS_prlimit64, pid, what, new, old);
	/* the kernel says what it thinks of the place */
	wish = new ? *new : (struct rlimit){0};
	if (old && !paged_writable(old, sizeof(*old)) &&
	    plain_call(SYS_prlimit64, pid, what, (void *)NULL, old))
		return -1;
	if (get((int)what, &was) || (new &&set((int)what, &wish)))
		return -1;
	if (old)
		*old = was;
	return 0;
}

int setrlimit(enum __rlimit_resource what, const struct rlimit *limit)
{
	return prlimit(0, what, limit, NULL);
}

int getrlimit(enum __rlimit_resource what, struct rlimit *limit)
{
	return prlimit(0, what, NULL, limit);
}

_Static_assert(sizeof(struct rlimit) == sizeof(struct rlimit64), "one size");

int setrlimit64(enum __rlimit_resource what, const struct rlimit64 *limit)
{
	return prlimit(0, what, (const struct rlimit *)limit, NULL);
}

int getrlimit64(enum __rlimit_resource what, struct rlimit64 *limit)
{
	return prlimit(0, what, NULL, (struct rlimit *)limit);
}

int prlimit64(pid_t pid, enum __rlimit_resource what,
	      const struct rlimit64 *new, struct rlimit64 *old)
{
	return prlimit(pid, what, (const struct rlimit *)new,
		       (struct rlimit *)old);
}
