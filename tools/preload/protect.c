/* SPDX-License-Identifier: MIT */
/*
 * protect.c - mprotect(), madvise(), mlock() and their kind on paged memory.
 *
 * What is not done is refused, with the errno that the manual has for a kernel
 * that cannot do it: programs that depend on it (memory that a child must not
 * see, guard pages) then do without or end. 0 is returned for advice that asks
 * for what is so anyway.
 *
 * mlockall() is refused: all of a paged memory cannot be in RAM.
 */
#include "preload/gate.h"
#include "preload/part.h"
#include "preload/tid.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* What older headers lack. */
#ifndef PROT_SEM
#define PROT_SEM 8
#endif
#ifndef MLOCK_ONFAULT /* 4.4 */
#define MLOCK_ONFAULT 1
#endif
#ifndef MCL_ONFAULT /* 4.4 */
#define MCL_ONFAULT 4
#endif
#ifndef MADV_POPULATE_READ /* 5.14 */
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED /* 5.18 */
#define MADV_DONTNEED_LOCKED 24
#endif

#ifndef SYS_process_madvise /* 5.10 */
#define SYS_process_madvise 440
#endif

/* 6.14: this thread, this process. */
enum { SELF_THREAD = -10000, SELF_PROCESS = -10001 };

/* What the kernel takes in one call (MAX_RW_COUNT). */
#define MOST_BYTES ((size_t)INT_MAX & -PAGE)

int pkey_mprotect(void *addr, size_t len, int prot, int pkey);
ssize_t process_madvise(int pidfd, const struct iovec *vec, size_t count,
			int advice, unsigned flags);

/* ------------------------------------------------------------------ */
/* mprotect								*/

static int plain_protect(uint64_t start, uint64_t len, int prot)
{
	return (int)plain_call(SYS_mprotect, start, len, prot);
}

static int paged_protect(uint64_t start, uint64_t len, int prot)
{
	part_uneven();
	return vvm_protect(preload.vm, start, len, paged_prot(prot));
}

int mprotect(void *addr, size_t len, int prot)
{
	struct call call = {paged_protect, plain_protect, prot, false};

	if (!part_paged(addr, len))
		return plain_protect((uint64_t)addr, len, prot);
	if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM))
		return part_fail(EINVAL);
	return part_each(&call, addr, len);
}

/* A page that is read back would not have its key again. */
int pkey_mprotect(void *addr, size_t len, int prot, int pkey)
{
	if (pkey == -1)
		return mprotect(addr, len, prot);
	if (part_paged(addr, len))
		return part_fail(EINVAL);
	return (int)plain_call(SYS_pkey_mprotect, addr, len, prot, pkey);
}

/* ------------------------------------------------------------------ */
/* madvise								*/

static int plain_advise(uint64_t start, uint64_t len, int advice)
{
	return (int)plain_call(SYS_madvise, start, len, advice);
}

static bool has_locked(uint64_t start, uint64_t len)
{
	unsigned char flags[512];
	uint64_t at, n, i;

	for (at = start; at < start + len; at += n * PAGE) {
		n = (start + len - at) / PAGE;
		n = n < sizeof(flags) ? n : sizeof(flags);
		if (vvm_residency(preload.vm, at, n * PAGE, flags))
			return false;
		for (i = 0; i < n; i++)
			if (flags[i] & VVM_PAGE_PINNED)
				return true;
	}
	return false;
}

/* ---- each advice: a range, and what the table has for it ---- */

static int advise(uint64_t start, uint64_t len, int arg)
{
	return vvm_advise(preload.vm, start, len, (enum vvm_advice)arg);
}

/* The content of what is locked is not to go. */
static int advise_dontneed(uint64_t start, uint64_t len, int arg)
{
	int rc = advise(start, len, arg);

	if (rc == -EBUSY) {
		preload_tids_sweep();
		rc = advise(start, len, arg);
	}
	return rc == -EBUSY ? -EINVAL : rc;
}

static int advise_cold(uint64_t start, uint64_t len, int arg)
{
	return has_locked(start, len) ? -EINVAL : advise(start, len, arg);
}

static int populate(uint64_t start, uint64_t len, int how)
{
	switch (vvm_touch(preload.vm, start, len, (enum vvm_touch)how)) {
	case 0:
		return 0;
	case -VVM_ENOREAD:
	case -VVM_ENOWRITE:
		return -EINVAL;
	case -VVM_EPOISON:
		return -EFAULT;
	default:
		return -ENOMEM;
	}
}

static int is_so_anyway(uint64_t start, uint64_t len, int arg)
{
	(void)start;
	(void)len;
	(void)arg;
	return 0;
}

static int is_so_if_inherited(uint64_t start, uint64_t len, int arg)
{
	(void)start;
	(void)len;
	(void)arg;
	return preload.inherits ? 0 : -EINVAL;
}

struct advice {
	int number, arg;
	int (*act)(uint64_t start, uint64_t len, int arg);
};

static const struct advice advices[] = {
	{MADV_NORMAL, VVM_ADV_NORMAL, advise},
	{MADV_RANDOM, VVM_ADV_RANDOM, advise},
	{MADV_SEQUENTIAL, VVM_ADV_SEQUENTIAL, advise},
	{MADV_WILLNEED, VVM_ADV_WILLNEED, advise},
	{MADV_DONTNEED, VVM_ADV_DONTNEED, advise_dontneed},
	{MADV_FREE, VVM_ADV_DONTNEED, advise_dontneed},
	/* not if it is, which is refused */
	{MADV_DONTNEED_LOCKED, VVM_ADV_DONTNEED, advise_dontneed},
	{MADV_COLD, VVM_ADV_COLD, advise_cold},
	{MADV_PAGEOUT, VVM_ADV_COLD, advise_cold},
	{MADV_POPULATE_READ, VVM_TOUCH_READ, populate},
	{MADV_POPULATE_WRITE, VVM_TOUCH_WRITE, populate},
	{MADV_DONTDUMP, 0, is_so_anyway},
	{MADV_NOHUGEPAGE, 0, is_so_anyway},
	{MADV_KEEPONFORK, 0, is_so_if_inherited},
	{MADV_DOFORK, 0, is_so_if_inherited},
};

static const struct advice *find_advice(int number)
{
	size_t i;

	for (i = 0; i < sizeof(advices) / sizeof(advices[0]); i++)
		if (advices[i].number == number)
			return &advices[i];
	return NULL;
}

static int paged_advise(uint64_t start, uint64_t len, int number)
{
	const struct advice *a = find_advice(number);

	return a ? a->act(start, len, a->arg) : -EINVAL;
}

/*
 * What is not in the table is refused before anything is done. Only populating
 * ends at a hole.
 */
int madvise(void *addr, size_t len, int advice)
{
	bool past_holes =
		advice != MADV_POPULATE_READ && advice != MADV_POPULATE_WRITE;
	struct call call = {paged_advise, plain_advise, advice, past_holes};

	if (!part_paged(addr, len))
		return plain_advise((uint64_t)addr, len, advice);
	if (!find_advice(advice))
		return part_fail(EINVAL);
	return part_each(&call, addr, len);
}

/* Is that a descriptor of this process, or of one of its threads? */
static bool is_self(int pidfd)
{
	char text[512], path[48];
	const char *line;
	int fd, pid;
	long n;

	if (pidfd == SELF_THREAD || pidfd == SELF_PROCESS)
		return true;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, "\nPid:");
	/* NOLINTNEXTLINE(cert-err34-c): the kernel's own text */
	if (!line || sscanf(line, " Pid: %d", &pid) != 1)
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d", pid);
	return access(path, F_OK) == 0;
}

static bool any_paged(const struct iovec *vec, size_t count)
{
	size_t i;

	if (!preload.paging || !count || count > IOV_MAX ||
	    !readable(vec, count * sizeof(*vec)))
		return false;
	for (i = 0; i < count; i++)
		if (part_paged(vec[i].iov_base, vec[i].iov_len))
			return true;
	return false;
}

/* Ends with the first error; what was done before it counts. */
static ssize_t advise_each(const struct iovec *vec, size_t count, int advice)
{
	size_t i, len, done = 0;

	for (i = 0; i < count; i++)
		if ((ssize_t)vec[i].iov_len < 0)
			return part_fail(EINVAL);
	for (i = 0; i < count && done < MOST_BYTES; i++, done += len) {
		len = vec[i].iov_len;
		len = len < MOST_BYTES - done ? len : MOST_BYTES - done;
		if (len && madvise(vec[i].iov_base, len, advice) < 0)
			return done ? (ssize_t)done : -1;
	}
	return (ssize_t)done;
}

/* The kernel says what it thinks of all but the ranges: of none. */
ssize_t process_madvise(int pidfd, const struct iovec *vec, size_t count,
			int advice, unsigned flags)
{
	int saved = errno;

	if (!any_paged(vec, count) || !is_self(pidfd)) {
		errno = saved;
		return plain_call(SYS_process_madvise, pidfd, vec, count,
				  advice, flags);
	}
	errno = saved;
	if (plain_call(SYS_process_madvise, pidfd, vec, 0, advice, flags) < 0)
		return -1;
	return advise_each(vec, count, advice);
}

/* ------------------------------------------------------------------ */
/* Locking, and asking							*/

static int plain_lock(uint64_t start, uint64_t len, int flags)
{
	return (int)plain_call(SYS_mlock2, start, len, flags);
}

/* MLOCK_ONFAULT may lock no more than what is resident: all is, at once. */
static int paged_lock(uint64_t start, uint64_t len, int flags)
{
	if (flags & ~MLOCK_ONFAULT)
		return -EINVAL;
	return vvm_pin(preload.vm, start, len);
}

static int plain_unlock(uint64_t start, uint64_t len, int arg)
{
	(void)arg;
	return (int)plain_call(SYS_munlock, start, len);
}

static int paged_unlock(uint64_t start, uint64_t len, int arg)
{
	(void)arg;
	unlock_all(start, len);
	preload_tids_keep(start, len);
	return 0;
}

/* Any address will do for mlock() and munlock(): whole pages are meant. */
static int lock_call(const struct call *call, const void *addr, size_t len)
{
	uint64_t offset = (uint64_t)addr % PAGE;

	if (!part_paged((const char *)addr - offset, len + offset))
		return call->plain((uint64_t)addr, len, call->arg);
	return part_each(call, (char *)(uint64_t)addr - offset, len + offset);
}

int mlock2(const void *addr, size_t len, unsigned flags)
{
	struct call call = {paged_lock, plain_lock, (int)flags, false};

	return lock_call(&call, addr, len);
}

int mlock(const void *addr, size_t len)
{
	return mlock2(addr, len, 0);
}

int munlock(const void *addr, size_t len)
{
	static const struct call call = {paged_unlock, plain_unlock, 0, false};

	return lock_call(&call, addr, len);
}

int mlockall(int flags)
{
	if (!preload.vm)
		return (int)plain_call(SYS_mlockall, flags);
	if (!(flags & (MCL_CURRENT | MCL_FUTURE)) ||
	    flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
		return part_fail(EINVAL);
	return part_fail(ENOMEM);
}

/* The blocks of a region in which pages are locked, one after the other. */
static void unlock_region(const struct vvm_region *r)
{
	uint64_t at, block = 512 * PAGE;

	preload_enter();
	for (at = r->start; at < r->end; at += block) {
		if (block > r->end - at)
			block = r->end - at;
		if (has_locked(at, block)) {
			unlock_all(at, block);
			preload_tids_keep(at, block);
		}
	}
	preload_leave();
}

int munlockall(void)
{
	struct vvm_stats stats = {0};
	struct vvm_region r;
	uint64_t at = 0;

	if (preload.paging) {
		preload_enter();
		vvm_stats(preload.vm, &stats, sizeof(stats));
		preload_leave();
		for (; stats.pinned_pages && part_next(at, UINT64_MAX, &r);
		     at = r.end)
			unlock_region(&r);
	}
	return (int)plain_call(SYS_munlockall);
}

static int paged_core(uint64_t start, uint64_t len, unsigned char *vec)
{
	uint64_t i;
	int rc;

	preload_enter();
	rc = vvm_residency(preload.vm, start, len, vec);
	preload_leave();
	for (i = 0; rc == 0 && i < len / PAGE; i++)
		vec[i] &= VVM_PAGE_RESIDENT;
	return part_result(rc);
}

/* The kernel writes there once on each page; errno says what it thinks of it. */
static bool writable(const unsigned char *vec, uint64_t bytes)
{
	const uint64_t code = (uint64_t)mincore & -PAGE;
	uint64_t at = (uint64_t)vec, end = at + bytes;
	bool yes = end > at || part_fail(EFAULT) == 0;

	for (; yes && at < end; at = (at & -PAGE) + PAGE)
		yes = paged_writable((void *)at, 1) ||
		      plain_call(SYS_mincore, code, PAGE, at) == 0;
	return yes;
}

/* The flags go where the kernel might find no memory: by way of ours. */
static int plain_core(uint64_t start, uint64_t len, unsigned char *vec)
{
	unsigned char flags[512];
	uint64_t n;
	int rc = 0;

	if (!is_paged(vec, len / PAGE))
		return (int)plain_call(SYS_mincore, start, len, vec);
	for (; rc == 0 && len; start += n * PAGE, len -= n * PAGE) {
		n = len / PAGE < sizeof(flags) ? len / PAGE : sizeof(flags);
		rc = (int)plain_call(SYS_mincore, start, n * PAGE, flags);
		if (rc == 0)
			memcpy(vec, flags, n);
		vec += n;
	}
	return rc;
}

/* One part after the other; the flags of each go behind those before it. */
int mincore(void *addr, size_t len, unsigned char *vec)
{
	uint64_t at = (uint64_t)addr, end = at + UP(len), next;
	struct vvm_region part;
	int rc = 0;

	if (!part_paged(addr, len) || at % PAGE)
		return (int)plain_call(SYS_mincore, addr, len, vec);
	if (!writable(vec, UP(len) / PAGE))
		return -1;
	for (; rc == 0 && at < end; at = next) {
		next = part_next(at, end, &part) ? part.start : end;
		if (next > at) {
			rc = plain_core(at, next - at, vec);
		} else {
			next = part.end;
			rc = paged_core(at, next - at, vec);
		}
		vec += (next - at) / PAGE;
	}
	return rc;
}
