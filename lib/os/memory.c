/* SPDX-License-Identifier: MIT */
/*
 * os/memory.c - host memory, and the memfd that holds the frames.
 *
 * Terms. A *reservation* is address space without memory: PROT_NONE,
 * private, anonymous, not accounted. The guest view of a region begins and
 * ends as one, so that no foreign mmap can slip into its place. The *guest
 * view* is a MAP_SHARED mapping of the memfd put over it.
 *
 * mlockall(2). After MCL_FUTURE the kernel fills whatever is mapped before
 * mmap(2) returns: a guest view before its pages can raise events, a table
 * with all the memory that it might need one day. It cannot fill what permits
 * no access, so what must not be filled is mapped PROT_NONE, unlocked, and made
 * accessible after that. It also refuses what is more than the process may lock
 * (RLIMIT_MEMLOCK), though it will not be locked: map_unlocked(). MCL_CURRENT
 * locks what is there: hence MADV_DONTNEED_LOCKED, which is MADV_DONTNEED that
 * locked memory obeys, too.
 *
 * State outside `struct vvm`: whether PAGEMAP_SCAN was refused, an atomic
 * that is set once. It is a property of the kernel and not of a space.
 */
#define _GNU_SOURCE 1
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bits.h"
#include "os/impl.h"

#ifndef MFD_NOEXEC_SEAL /* 6.3 */
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_DONTNEED_LOCKED /* 5.18 */
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MAP_FIXED_NOREPLACE /* 4.17 */
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#ifndef MADV_POPULATE_READ /* 5.14 */
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_GUARD_INSTALL /* 6.13 */
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif

/* As in os/uffd.c: another thread changes mappings. */
#define GUARD_TRIES 1000

static void *host(haddr_t at)
{
	return (void *)(uintptr_t)at;
}

/* ---- host memory ---- */

/*
 * MFD_NOEXEC_SEAL concerns the file's mode bits only, PROT_EXEC mappings
 * work; asking for it keeps 6.3+ from warning in the log and passes every
 * setting of vm.memfd_noexec. Older kernels say EINVAL.
 */
int os_memfd(const char *name, int *fd)
{
	int r, error = os_inject_check(OS_memfd);

	if (error)
		return error;
	r = memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	if (r < 0 && errno == EINVAL)
		r = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (r < 0)
		return -errno;
	*fd = r;
	return 0;
}

int os_memfd_end(int fd)
{
	int error = os_truncate(fd, 0);

	return error ? error : os_result(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
}

/*
 * Of an unlocked page the kernel lets a mapping grow without counting it. In
 * place that takes no place of others; MAP_FIXED moves it there.
 */
static int map_unlocked(haddr_t at, uint64_t bytes, int prot, int flags, int fd,
			uint64_t off, haddr_t *out)
{
	bool fixed = flags & MAP_FIXED, there = flags & MAP_FIXED_NOREPLACE;
	long how = fixed   ? MREMAP_MAYMOVE | MREMAP_FIXED
		   : there ? 0
			   : MREMAP_MAYMOVE;
	void *page = mmap(fixed ? NULL : host(at), PAGE_BYTES, prot,
			  flags & ~MAP_FIXED, fd, (off_t)off);
	long p;

	if (page == MAP_FAILED)
		return errno == EAGAIN ? -ENOMEM : -errno;
	p = munlock(page, PAGE_BYTES);
	if (p == 0)
		p = syscall(SYS_mremap, page, PAGE_BYTES, bytes, how, at);
	if (p == -1) {
		munmap(page, PAGE_BYTES);
		return there ? -EEXIST : -ENOMEM;
	}
	*out = (haddr_t)p;
	return 0;
}

/* Shared memory without a file has one of its own, which does not grow. */
static bool can_grow(int flags)
{
	return !(flags & MAP_SHARED && flags & MAP_ANONYMOUS);
}

/*
 * mmap with the result as -errno; EAGAIN is that of a process that locks what it
 * will map, beyond what it may (RLIMIT_MEMLOCK).
 */
static int map(haddr_t at, uint64_t bytes, int prot, int flags, int fd,
	       uint64_t off, haddr_t *out)
{
	void *p = mmap(host(at), bytes, prot, flags, fd, (off_t)off);

	if (p == MAP_FAILED && errno == EAGAIN)
		return can_grow(flags) ? map_unlocked(at, bytes, prot, flags,
						      fd, off, out)
				       : -ENOMEM;
	if (p == MAP_FAILED)
		return -errno;
	*out = (haddr_t)(uintptr_t)p;
	return 0;
}

static int reserve_flags(haddr_t at, uint64_t bytes, int flags, haddr_t *out)
{
	return map(at, bytes, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0,
		   out);
}

static int reserve_at(uint64_t bytes, haddr_t hint, haddr_t *out)
{
	haddr_t got = 0;
	int error = reserve_flags(hint, bytes, MAP_FIXED_NOREPLACE, &got);

	if (error)
		return error;
	if (got != hint) { /* before 4.17 it is no more than a hint */
		munmap(host(got), bytes);
		return -EEXIST;
	}
	*out = got;
	return 0;
}

/* Reserves align - page bytes more and gives back what is left and right. */
static int reserve_aligned(uint64_t bytes, uint64_t align, uint64_t congruent,
			   haddr_t *out)
{
	uint64_t slack = align - PAGE_BYTES, head;
	haddr_t got = 0;
	int error;

	if (bytes + slack < bytes)
		return -ENOMEM;
	error = reserve_flags(0, bytes + slack, 0, &got);
	if (error)
		return error;
	head = (congruent - got) & (align - 1);
	if (head)
		error = os_result(munmap(host(got), head));
	if (!error && head < slack)
		error = os_result(
			munmap(host(got + head + bytes), slack - head));
	if (error) {
		munmap(host(got), bytes + slack);
		return error;
	}
	*out = got + head;
	return 0;
}

int os_reserve(uint64_t bytes, uint64_t align, uint64_t congruent, haddr_t hint,
	       haddr_t *out)
{
	int error = os_inject_check(OS_reserve);

	ASSERT(align >= PAGE_BYTES && (align & (align - 1)) == 0);
	if (error)
		return error;
	if (bytes == 0 || ((bytes | congruent) & PAGE_MASK))
		return -EINVAL;
	if (!hint)
		return reserve_aligned(bytes, align, congruent, out);
	if ((hint - congruent) & (align - 1))
		return -EINVAL;
	return reserve_at(bytes, hint, out);
}

static int prot_of(unsigned prot)
{
	return (prot & OS_READ ? PROT_READ : 0) |
	       (prot & OS_WRITE ? PROT_WRITE : 0) |
	       (prot & OS_EXEC ? PROT_EXEC : 0);
}

int os_map_fixed(haddr_t at, uint64_t bytes, unsigned prot, int fd,
		 uint64_t off)
{
	int error = os_inject_check(OS_map);

	return error ? error
		     : map(at, bytes, prot_of(prot), MAP_SHARED | MAP_FIXED, fd,
			   off, &at);
}

int os_unmap_keep(haddr_t at, uint64_t bytes)
{
	int error = os_inject_check(OS_unmap);

	return error ? error : reserve_flags(at, bytes, MAP_FIXED, &at);
}

/* Smaller ones may be filled at once. */
#define FILLED_BYTES ((uint64_t)256 << 10)

/* See above: mlockall(2). */
static int make_accessible(haddr_t at, uint64_t bytes)
{
	int error = os_result(munlock(host(at), bytes));

	if (!error)
		error = os_result(
			mprotect(host(at), bytes, PROT_READ | PROT_WRITE));
	if (error)
		munmap(host(at), bytes);
	return error;
}

static int map_library(uint64_t bytes, int shared, void **out)
{
	bool small = bytes < FILLED_BYTES;
	haddr_t at = 0;
	int error = os_inject_check(OS_map);

	if (!error)
		error = map(0, bytes,
			    small ? PROT_READ | PROT_WRITE : PROT_NONE,
			    shared | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, &at);
	if (!error && !small)
		error = make_accessible(at, bytes);
	if (!error)
		*out = host(at);
	return error;
}

int os_map_anon(uint64_t bytes, void **out)
{
	return map_library(bytes, MAP_PRIVATE, out);
}

int os_map_shared(uint64_t bytes, void **out)
{
	return map_library(bytes, MAP_SHARED, out);
}

int os_unmap(haddr_t at, uint64_t bytes)
{
	int error = os_inject_check(OS_unmap);

	return error ? error : os_result(munmap(host(at), bytes));
}

/* MS_ASYNC does nothing but this. */
bool os_all_mapped(haddr_t at, uint64_t bytes)
{
	/* a filter of the program's may refuse the call: that says nothing */
	return syscall(SYS_msync, host(at), bytes, MS_ASYNC) == 0 ||
	       errno != ENOMEM;
}

/* What headers before 6.11 lack: linux/fs.h. */
struct map_query {
	uint64_t size, flags, at;
	uint64_t start, end, vma_flags, page_bytes, offset, inode;
	uint32_t major, minor, name_bytes, build_id_bytes;
	uint64_t name, build_id;
};
#define MAP_QUERY	     _IOWR('f', 17, struct map_query)
#define MAP_QUERY_EXECUTABLE 4

bool os_forbids_exec(haddr_t at)
{
	struct map_query q = {
		.size = sizeof(q), .flags = MAP_QUERY_EXECUTABLE, .at = at};
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	bool forbidden;

	if (fd < 0)
		return false;
	forbidden = ioctl(fd, MAP_QUERY, &q) < 0 && errno == ENOENT;
	close(fd);
	return forbidden;
}

int os_unlock(haddr_t at, uint64_t bytes)
{
	int error = os_inject_check(OS_unlock);

	return error ? error : os_result(munlock(host(at), bytes));
}

int os_protect(haddr_t at, uint64_t bytes, unsigned prot)
{
	int error = os_inject_check(OS_protect);

	return error ? error
		     : os_result(mprotect(host(at), bytes, prot_of(prot)));
}

int os_advise(haddr_t at, uint64_t bytes, enum os_advice advice)
{
	static const int advices[] = {
		[OS_ADV_DONTNEED] = MADV_DONTNEED_LOCKED,
		[OS_ADV_DONTFORK] = MADV_DONTFORK,
		[OS_ADV_DONTDUMP] = MADV_DONTDUMP,
		[OS_ADV_NOHUGEPAGE] = MADV_NOHUGEPAGE,
		[OS_ADV_HUGEPAGE] = MADV_HUGEPAGE,
	};
	int error = os_inject_check(OS_advise);

	if (error)
		return error;
	error = os_result(
		TEMP_FAILURE_RETRY(madvise(host(at), bytes, advices[advice])));
	if (error == -EINVAL &&
	    (advice == OS_ADV_NOHUGEPAGE || advice == OS_ADV_HUGEPAGE))
		return 0; /* CONFIG_TRANSPARENT_HUGEPAGE=n: nothing to ask */
	return error;
}

/* ---- guard markers ---- */

/* Both may be interrupted, or meet a change of the mapping. */
static int guard(haddr_t at, uint64_t bytes, int advice)
{
	unsigned tries = 0;
	int error;

	do
		error = os_result(madvise(host(at), bytes, advice));
	while ((error == -EINTR || error == -EAGAIN) && ++tries < GUARD_TRIES);
	return error;
}

int os_guard_install(haddr_t at, uint64_t bytes)
{
	int error = os_inject_check(OS_guard_install);

	return error ? error : guard(at, bytes, MADV_GUARD_INSTALL);
}

int os_guard_remove(haddr_t at, uint64_t bytes)
{
	int error = os_inject_check(OS_guard_remove);

	return error ? error : guard(at, bytes, MADV_GUARD_REMOVE);
}

/* On a page that mlockall(2) has not filled. */
static int probe_page(int fd)
{
	haddr_t at = 0;
	int error = map(0, PAGE_BYTES, PROT_NONE, MAP_SHARED, fd, 0, &at);

	if (error)
		return error;
	error = os_unlock(at, PAGE_BYTES);
	if (!error)
		error = os_guard_install(at, PAGE_BYTES);
	munmap(host(at), PAGE_BYTES);
	return error == -EINVAL ? -ENOSYS : error;
}

int os_guard_probe(void)
{
	int fd = -1, error = os_memfd("vvm-probe", &fd);

	if (error)
		return error;
	error = os_truncate(fd, PAGE_BYTES);
	if (!error)
		error = probe_page(fd);
	os_close(fd);
	return error;
}

int os_populate(haddr_t at, bool write)
{
	return os_result(TEMP_FAILURE_RETRY(
		madvise(host(at), PAGE_BYTES,
			write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ)));
}

int os_punch(int fd, uint64_t off, uint64_t bytes)
{
	int error = os_inject_check(OS_punch);

	if (error)
		return error;
	return os_result(TEMP_FAILURE_RETRY(syscall(
		SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		(off_t)off, (off_t)bytes)));
}

int os_truncate(int fd, uint64_t bytes)
{
	int error = os_inject_check(OS_truncate);
	struct rlimit limit;

	if (error)
		return error;
	/* The kernel would send SIGXFSZ, too. */
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes)
		return -EFBIG;
	return os_result(TEMP_FAILURE_RETRY(ftruncate(fd, (off_t)bytes)));
}

int os_allocated(int fd, uint64_t *bytes)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	*bytes = (uint64_t)st.st_blocks * 512; /* stat(2): units of 512 */
	return 0;
}

/* ---- frames ---- */

int os_frame_read(int fd, void *buf, uint64_t bytes, uint64_t off)
{
	int error = os_inject_check(OS_frame_read);

	return error ? error : os_read_all(fd, buf, bytes, off);
}

/*
 * RLIMIT_FSIZE is for a memfd as well, and an offset is an address: the kernel
 * would refuse it, and send SIGXFSZ. It is the kernel's limit that counts.
 */
bool os_above_limit(uint64_t end)
{
	struct rlimit limit;

	return syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &limit) == 0 &&
	       limit.rlim_cur < end;
}

int os_frame_write(int fd, const void *buf, uint64_t bytes, uint64_t off)
{
	int error = os_inject_check(OS_frame_write);

	if (!error && os_above_limit(off + bytes))
		error = -EFBIG;
	return error ? error : os_write_all(fd, buf, bytes, off);
}

int os_frame_write_mapped(int fd, const void *buf, uint64_t bytes, uint64_t off)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		       (off_t)off);

	if (p == MAP_FAILED)
		return -errno;
	memcpy(p, buf, bytes);
	return os_result(munmap(p, bytes));
}

/* ---- which pages are mapped ---- */

/* PAGEMAP_SCAN (6.7) by names of our own, as the header may have it. */
struct scan_region {
	uint64_t start, end, categories;
};
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask;
	uint64_t return_mask;
};
#define SCAN_IOCTL   _IOWR('f', 16, struct scan_arg)
#define SCAN_PRESENT (UINT64_C(1) << 3)
/* Ranges per call, 1.5 KiB of stack; 512 pages have 256 ranges at most. */
#define SCAN_REGIONS 64
/* Entries per read of the file, 1 KiB of stack. */
#define READ_ENTRIES  128
#define ENTRY_PRESENT (UINT64_C(1) << 63)

static _Atomic bool scan_refused; /* (a) ENOTTY came: do not ask again */

int os_pagemap_open(int *fd)
{
	int r, error = os_inject_check(OS_pagemap);

	if (error)
		return error;
	r = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (r < 0)
		return -errno;
	*fd = r;
	return 0;
}

static void set_bits(uint64_t *bits, unsigned from, unsigned to)
{
	for (; from < to; from++)
		bit_set(bits, from);
}

/* One ioctl from *at on; moves *at to where the kernel stopped. */
static int scan_some(int fd, haddr_t base, haddr_t *at, haddr_t end,
		     uint64_t *bits)
{
	struct scan_region regions[SCAN_REGIONS];
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = *at,
		.end = end,
		.vec = (uintptr_t)regions,
		.vec_len = SCAN_REGIONS,
		.category_mask = SCAN_PRESENT,
		.return_mask = SCAN_PRESENT,
	};
	int i, n = ioctl(fd, SCAN_IOCTL, &arg);

	if (n < 0)
		return -errno;
	for (i = 0; i < n; i++)
		set_bits(bits,
			 (unsigned)((regions[i].start - base) / PAGE_BYTES),
			 (unsigned)((regions[i].end - base) / PAGE_BYTES));
	if (arg.walk_end <= *at) /* would loop for ever */
		return -EIO;
	*at = arg.walk_end;
	return 0;
}

static int present_scan(int fd, haddr_t base, unsigned pages, uint64_t *bits)
{
	haddr_t at = base, end = base + pages_to_bytes(pages);
	int error = 0;

	while (!error && at < end)
		error = scan_some(fd, base, &at, end, bits);
	return error;
}

static int present_read(int fd, haddr_t base, unsigned pages, uint64_t *bits)
{
	uint64_t entries[READ_ENTRIES];
	unsigned i, n, page;
	int error;

	for (page = 0; page < pages; page += n) {
		n = MIN(pages - page, (unsigned)READ_ENTRIES);
		error = os_read_all(fd, entries, n * sizeof(entries[0]),
				    (base / PAGE_BYTES + page) *
					    sizeof(entries[0]));
		if (error)
			return error;
		for (i = 0; i < n; i++)
			if (entries[i] & ENTRY_PRESENT)
				set_bits(bits, page + i, page + i + 1);
	}
	return 0;
}

static void clear_bits(uint64_t *bits, unsigned pages)
{
	memset(bits, 0, BITS_WORDS(pages) * sizeof(*bits));
}

int os_pagemap_present(int pagemap_fd, haddr_t at, unsigned pages,
		       uint64_t *bits, enum os_pagemap_method *method)
{
	int error = os_inject_check(OS_pagemap);

	ASSERT((at & PAGE_MASK) == 0);
	clear_bits(bits, pages);
	if (method)
		*method = OS_PAGEMAP_SCAN;
	if (error)
		return error;
	if (!atomic_load_explicit(&scan_refused, memory_order_relaxed)) {
		error = present_scan(pagemap_fd, at, pages, bits);
		if (error != -ENOTTY && error != -EINVAL)
			return error;
		atomic_store_explicit(&scan_refused, true,
				      memory_order_relaxed);
		clear_bits(bits, pages);
	}
	if (method)
		*method = OS_PAGEMAP_READ;
	return present_read(pagemap_fd, at, pages, bits);
}
