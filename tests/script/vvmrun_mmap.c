/* SPDX-License-Identifier: MIT */
/*
 * script/vvmrun_mmap.c - vvmrun_guest.c, of mappings; to be run with --mmap.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "script/vvmrun_guest.h"

static char *map(size_t bytes, int prot, int flags, void *at)
{
	return mmap(at, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1,
		    0);
}

static void discarding(char *p)
{
	size_t i;

	CHECK(!madvise(p + MIB, MIB, MADV_DONTNEED));
	for (i = 0; i < MIB; i++)
		CHECK(!p[MIB + i]);
	CHECK(same(p, MIB, 4));
	fill(p + MIB, MIB, 5);
	CHECK(map(MIB, PROT_READ | PROT_WRITE, MAP_FIXED, p + MIB) == p + MIB);
	for (i = 0; i < MIB; i++)
		CHECK(!p[MIB + i]);
	CHECK(!madvise(p, MIB, MADV_HUGEPAGE) || errno == EINVAL);
}

static void resizing(char *p)
{
	char *q;

	q = mremap(p, 4 * MIB, 1024 * MIB, 0);
	CHECK(q == MAP_FAILED ? errno == ENOMEM
			      : mremap(q, 1024 * MIB, 4 * MIB, 0) == p);
	q = mremap(p, 4 * MIB, 12 * MIB, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && same(q, MIB, 4));
	fill(q + 4 * MIB, 8 * MIB, 6);
	CHECK(mremap(q, 12 * MIB, 6 * MIB, 0) == q);
	CHECK(same(q, MIB, 4) && same(q + 4 * MIB, 2 * MIB, 6));
	CHECK(!munmap(q + MIB, MIB)); /* a hole */
	CHECK(same(q, MIB, 4));
	CHECK(!munmap(q, 6 * MIB));
}

/* What is moved is not left behind. */
static void moving(void)
{
	size_t before, after, resident;
	unsigned i;
	char *p;

	count_bytes(&before, &resident);
	for (i = 0; i < 100; i++) {
		p = map(4 * MIB, PROT_READ | PROT_WRITE, 0, NULL);
		CHECK(p != MAP_FAILED);
		p = mremap(p, 4 * MIB, 8 * MIB, MREMAP_MAYMOVE);
		CHECK(p != MAP_FAILED && !munmap(p, 8 * MIB));
	}
	count_bytes(&after, &resident);
	CHECK(after < before + 200 * MIB);
}

/* A file's mapping over a part, which then is the kernel's. */
static void overlay(void)
{
	char *p = map(4 * MIB, PROT_READ | PROT_WRITE, 0, NULL);
	int fd = open("/proc/self/exe", O_RDONLY);

	CHECK(p != MAP_FAILED && fd >= 0);
	fill(p, 4 * MIB, 7);
	CHECK(mmap(p + MIB, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) ==
	      p + MIB);
	CHECK(!memcmp(p + MIB, "\177ELF", 4));
	CHECK(same(p, MIB, 7));
	CHECK(!munmap(p, 4 * MIB));
	CHECK(!close(fd));
}

void test_mmap(void)
{
	char *p = map(4 * MIB, PROT_NONE, 0, NULL), *locked;

	CHECK(p != MAP_FAILED);
	CHECK(!mprotect(p, 4 * MIB, PROT_READ | PROT_WRITE));
	fill(p, 4 * MIB, 4);
	CHECK(!mprotect(p, MIB, PROT_READ) && same(p, MIB, 4));
	CHECK(!mprotect(p, MIB, PROT_READ | PROT_WRITE));
	discarding(p);
	resizing(p);
	moving();
	overlay();
	locked = malloc(8192);
	CHECK(locked && !mlock(locked, 8192) && !munlock(locked, 8192));
	CHECK(mlockall(MCL_CURRENT) == -1);
	p = map(8 * MIB, PROT_READ | PROT_WRITE, 0, NULL);
	CHECK(p != MAP_FAILED);
	fill(p, 8 * MIB, 8);
	CHECK(same(p, 8 * MIB, 8));
}
