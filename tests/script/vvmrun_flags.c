/* SPDX-License-Identifier: MIT */
/*
 * script/vvmrun_flags.c - all flags of the calls on mappings: a line for each
 * call with its result and what it did to memory, to be compared with and
 * without vvmrun by tests/script/vvmrun.sh. Flags are numbers, so that those of
 * newer kernels than the headers' are there, too.
 *
 * A line is NAME VALUE [MORE]: RESULT | STATE. A state has, for each page, what
 * is in it (k what was written before the call, z zeros, ? something else) and
 * what may be done with it (- nothing, r, w); behind the slash is what a child
 * made by fork() has (! it dies).
 *
 * Its argument is where memory comes from: mmap, or malloc.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE  ((size_t)4096)
#define BYTES ((size_t)1 << 20)
#define RW    (PROT_READ | PROT_WRITE)
#define ZEROS (MAP_PRIVATE | MAP_ANONYMOUS)

/* What older headers lack; 4.17 and 5.7. */
enum { FIXED_NOREPLACE = 0x100000, DONTUNMAP = 4 };

static sigjmp_buf escape;
static const char *source;

static void on_fault(int sig)
{
	siglongjmp(escape, sig);
}

/* ---- memory and its state ---- */

static char *new_memory(void)
{
	char *p;

	if (!strcmp(source, "mmap")) {
		/* neighbours that may not be grown into or joined */
		p = mmap(NULL, BYTES, RW, ZEROS, -1, 0);
		if (p == MAP_FAILED)
			exit(99);
	} else if (posix_memalign((void **)&p, PAGE, BYTES)) {
		exit(99);
	}
	memset(p, 7, BYTES);
	return p;
}

static void drop_memory(char *p)
{
	munlock(p, BYTES);
	mprotect(p, BYTES, RW);
	if (!strcmp(source, "mmap"))
		munmap(p, BYTES);
	else
		free(p);
}

static char content(volatile char *p)
{
	if (sigsetjmp(escape, 1))
		return '-';
	return *p == 7 ? 'k' : *p ? '?' : 'z';
}

static char access_to(volatile char *p)
{
	char was = 0;
	volatile bool readable = false;

	if (sigsetjmp(escape, 1))
		return readable ? 'r' : '-';
	was = *p;
	readable = true;
	*p = was;
	return 'w';
}

static void print_page(char *p)
{
	printf("%c%c", content(p), access_to(p));
}

static void print_result(bool ok)
{
	static const struct {
		int error;
		const char *name;
	} names[] = {{EINVAL, "EINVAL"}, {ENOMEM, "ENOMEM"}, {EACCES, "EACCES"},
		     {EAGAIN, "EAGAIN"}, {EBUSY, "EBUSY"},   {EFAULT, "EFAULT"},
		     {EBADF, "EBADF"},	 {EEXIST, "EEXIST"}, {EPERM, "EPERM"},
		     {ENODEV, "ENODEV"}, {ENOSYS, "ENOSYS"}};
	int error = errno;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!ok && names[i].error == error) {
			printf("%s | ", names[i].name);
			return;
		}
	if (ok)
		printf("0 | ");
	else
		printf("errno %d | ", error);
}

/* Two pages, and one of them in a child. */
static void print_state(char *p, bool child)
{
	int status = 0;

	print_page(p);
	print_page(p + PAGE);
	if (child) {
		fflush(stdout);
		if (fork() == 0)
			_exit(content(p + PAGE));
		wait(&status);
		printf("/%c", WIFEXITED(status) ? WEXITSTATUS(status) : '!');
	}
	printf("\n");
}

/* ---- madvise ---- */

static void advise(const char *what, int advice, int prot, bool lock)
{
	char *p = new_memory();
	bool child = prot == RW && !lock;

	mprotect(p, BYTES, prot);
	if (lock && mlock(p + PAGE, PAGE))
		printf("mlock failed: ");
	printf("%s %d prot %d: ", what, advice, prot);
	/* advice -2: nothing is done */
	print_result(advice == -2 || madvise(p + PAGE, PAGE, advice) == 0);
	mprotect(p, BYTES, advice == 23 ? prot : RW);
	if (advice == MADV_FREE) /* may or may not be there yet */
		p[PAGE] = p[PAGE] == 7 ? 0 : p[PAGE];
	print_state(p, child);
	madvise(p + PAGE, PAGE, 103); /* GUARD_REMOVE */
	drop_memory(p);
}

/* The pages behind a hole are advised as well. */
static void advise_hole(void)
{
	char *p = new_memory();

	munmap(p + 2 * PAGE, PAGE);
	printf("madvise-hole 4: ");
	print_result(madvise(p + PAGE, 3 * PAGE, MADV_DONTNEED) == 0);
	print_state(p, false);
	printf("madvise-hole 4 behind: ");
	print_result(true);
	print_state(p + 3 * PAGE, false);
	munmap(p, BYTES);
}

/*
 * 100 and 101 would make RAM bad if they came through to the kernel: both are
 * what every unknown number is, to those who page.
 */
static void test_madvise(void)
{
	static const int prots[] = {RW, PROT_READ, PROT_NONE};
	static const int others[] = {-2, -1, 99, 102, 103, 104, 12345};
	unsigned i, j;
	char *p;

	for (i = 0; i < 3; i++) {
		for (j = 0; j < sizeof(others) / sizeof(others[0]); j++)
			advise("madvise", others[j], prots[i], false);
		for (j = 0; j < 30; j++)
			advise("madvise", (int)j, prots[i], false);
	}
	advise("madvise-locked", -2, RW, true);
	for (j = 0; j < 30; j++)
		advise("madvise-locked", (int)j, RW, true);
	if (!strcmp(source, "mmap"))
		advise_hole();
	p = new_memory();
	printf("madvise-unaligned 0: ");
	print_result(madvise(p + 1, PAGE, 0) == 0);
	print_state(p, false);
	printf("madvise-empty 0: ");
	print_result(madvise(p, 0, 0) == 0);
	print_state(p, false);
	printf("madvise-long 0: ");
	print_result(madvise(p, SIZE_MAX - PAGE, 0) == 0);
	print_state(p, false);
	drop_memory(p);
}

/* ---- mprotect ---- */

static void protect(int prot)
{
	char *p = new_memory();

	printf("mprotect %#x: ", (unsigned)prot);
	print_result(mprotect(p + PAGE, PAGE, prot) == 0);
	if ((prot & 7) == PROT_EXEC) /* may be readable or not */
		mprotect(p + PAGE, PAGE, RW);
	print_state(p, true);
	drop_memory(p);
}

static void test_mprotect(void)
{
	char *p = new_memory();
	int prot, bit;

	for (prot = 0; prot < 16; prot++)
		protect(prot);
	for (bit = 4; bit < 32; bit++)
		protect((int)((unsigned)RW | 1u << bit));
	protect(RW | 0x03000000); /* both ways of growing */
	protect(-1);
	printf("mprotect-unaligned 3: ");
	print_result(mprotect(p + 1, PAGE, RW) == 0);
	print_state(p, false);
	drop_memory(p);
}

/* ---- mremap ---- */

/* old and new in pages of 64 KiB, `at` its own idea of where. */
static void remap(const char *what, size_t old, size_t new, int flags, int prot,
		  char *at)
{
	char *p = new_memory(), *q;

	mprotect(p, BYTES, prot);
	printf("mremap %d %s prot %d: ", flags, what, prot);
	q = mremap(p, old * 16 * PAGE, new * 16 * PAGE, flags, at);
	print_result(q != MAP_FAILED);
	if (q == MAP_FAILED) {
		print_page(p);
		mprotect(p, BYTES, RW);
		print_state(p, false);
		drop_memory(p);
		return;
	}
	printf("%s ", q == p ? "here" : q == at ? "there" : "elsewhere");
	print_page(q);
	print_page(q + new * 16 * PAGE - PAGE);
	mprotect(q, new * 16 * PAGE, RW);
	print_page(q);
	print_page(q + new * 16 * PAGE - PAGE);
	if (flags & DONTUNMAP) {
		print_page(p);
		mprotect(p, old * 16 * PAGE, RW);
		print_page(p);
	}
	printf("\n");
	munmap(q, new * 16 * PAGE);
	munmap(p, BYTES);
}

/* A reservation to move into. */
static char *reserve(void)
{
	char *at =
		mmap(NULL, 2 * BYTES, PROT_NONE, ZEROS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		exit(99);
	return at;
}

static void test_mremap(void)
{
	static const int prots[] = {RW, PROT_READ, PROT_NONE};
	int flags, i;
	char *at;

	for (i = 0; i < 3; i++)
		for (flags = 0; flags < 9; flags++) {
			at = reserve();
			remap("same", 4, 4, flags, prots[i], at);
			remap("grow", 4, 8, flags, prots[i], at + BYTES);
			munmap(at, 2 * BYTES);
			at = reserve();
			remap("shrink", 4, 2, flags, prots[i], at);
			remap("empty", 4, 0, flags, prots[i], at + BYTES);
			remap("nothing", 0, 4, flags, prots[i], at + BYTES);
			remap("unaligned", 4, 4, flags, prots[i],
			      at + BYTES + 1);
			munmap(at, 2 * BYTES);
		}
	remap("unknown", 4, 8, 16 | MREMAP_MAYMOVE, RW, NULL);
	remap("negative", 4, 8, -1, RW, NULL);
}

/* Memory that is not paged moves to where paged memory was; other ranges. */
static void test_mremap_more(void)
{
	char *p = new_memory(), *q, *at = reserve();

	printf("mremap overlapping: ");
	print_result(mremap(p, 8 * PAGE, 8 * PAGE,
			    MREMAP_MAYMOVE | MREMAP_FIXED,
			    p + 4 * PAGE) != MAP_FAILED);
	print_state(p, false);
	mprotect(p + 4 * PAGE, PAGE, PROT_READ);
	munmap(p + 8 * PAGE, PAGE);
	printf("mremap hole: ");
	print_result(mremap(p + 6 * PAGE, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE) !=
		     MAP_FAILED);
	print_state(p, false);
	printf("mremap two kinds: ");
	print_result(mremap(p, 6 * PAGE, 12 * PAGE, MREMAP_MAYMOVE) !=
		     MAP_FAILED);
	print_state(p, false);
	munmap(p, BYTES);
	q = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(q, 7, 2 * PAGE);
	printf("mremap of shared memory: ");
	p = mremap(q, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at);
	print_result(p == at);
	print_state(at, false);
	p = new_memory();
	mlock(p, 2 * PAGE);
	printf("mremap locked: ");
	q = mremap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	print_result(q != MAP_FAILED);
	/* locked memory is not to be voided */
	printf("%d ", madvise(q, PAGE, MADV_DONTNEED) && errno == EINVAL);
	print_state(q, false);
	munmap(q, 4 * PAGE);
	munmap(p + 2 * PAGE, BYTES - 2 * PAGE);
	munmap(at, 2 * BYTES);
}

/* Of its pages the first one is not paged. */
static char *new_parts(void)
{
	char *p = new_memory();

	if (mmap(p, PAGE, 7, ZEROS | MAP_FIXED, -1, 0) != p)
		exit(99);
	p[0] = 7;
	return p;
}

static void advise_parts(int advice)
{
	char *p = new_parts();

	printf("madvise-parts %d prot 3: ", advice);
	print_result(advice == -2 || madvise(p, 2 * PAGE, advice) == 0);
	print_state(p, false);
	munmap(p, BYTES);
}

static void test_parts(void)
{
	unsigned char core[4];
	char *p = new_parts();

	advise_parts(-2);
	advise_parts(102); /* GUARD_INSTALL */
	printf("mincore parts: ");
	print_result(mincore(p, 4 * PAGE, core) == 0);
	print_state(p, false);
	munmap(p, PAGE);
	mprotect(p + 2 * PAGE, PAGE, PROT_READ);
	printf("mincore hole: ");
	print_result(mincore(p, 4 * PAGE, core) == 0);
	print_state(p, false);
	printf("mprotect-hole 0x1000003: ");
	print_result(mprotect(p, 2 * PAGE, RW | 0x01000000) == 0);
	print_state(p, false);
	printf("madvise-hole 23: ");
	print_result(madvise(p, 3 * PAGE, 23) == 0);
	print_state(p, false);
	printf("mremap too long: "); /* not twice, as with 0 */
	print_result(mremap(p + PAGE, SIZE_MAX - 100, PAGE, MREMAP_MAYMOVE) !=
		     MAP_FAILED);
	print_state(p, false);
	munmap(p, BYTES);
}

/* Locks do not outlive what they are on. */
static void test_locked_unmap(void)
{
	char *p = new_memory();

	mlock(p, 2 * PAGE);
	printf("mmap over locked: ");
	print_result(mmap(p, PAGE, RW, ZEROS | MAP_FIXED, -1, 0) == p);
	printf("%d ", madvise(p, PAGE, MADV_DONTNEED));
	print_state(p, false);
	printf("munmap of locked: ");
	print_result(munmap(p, BYTES) == 0);
	printf("\n");
}

/* ---- mmap ---- */

static void map(const char *what, char *at, size_t len, int prot, int flags,
		int fd, off_t offset)
{
	char *p = mmap(at, len, prot, flags, fd, offset);

	printf("mmap %#x %s prot %#x: ", (unsigned)flags, what, (unsigned)prot);
	print_result(p != MAP_FAILED);
	if (p == MAP_FAILED) {
		printf("\n");
		return;
	}
	printf("%s ", at && p == at ? "there" : "elsewhere");
	if ((prot & 7) == PROT_EXEC)
		mprotect(p, len, RW);
	print_state(p, false);
	if (p != at)
		munmap(p, len);
}

/* Over memory that there is: what is left of it. */
static void map_over(const char *what, size_t shift, size_t len, int prot,
		     int flags, int fd, off_t offset)
{
	char *p = new_memory();

	map(what, p + PAGE + shift, len, prot, flags, fd, offset);
	printf("mmap %#x %s left: ", (unsigned)flags, what);
	print_result(true);
	print_state(p, true);
	munmap(p, BYTES);
}

static void test_mmap_hints(void)
{
	char *free_at = reserve(), *busy = new_memory();

	munmap(free_at, 2 * BYTES);
	map("hint", free_at, BYTES, RW, ZEROS, -1, 0);
	munmap(free_at, BYTES);
	map("hint", free_at + BYTES / 2, BYTES, RW, ZEROS, -1, 0);
	munmap(free_at + BYTES / 2, BYTES);
	map("taken hint", busy, BYTES, RW, ZEROS, -1, 0);
	map("mad hint", (char *)-PAGE, BYTES, RW, ZEROS, -1, 0);
	map("noreplace", free_at, BYTES, RW, ZEROS | FIXED_NOREPLACE, -1, 0);
	munmap(free_at, BYTES);
	map("noreplace", busy, BYTES, RW, ZEROS | FIXED_NOREPLACE, -1, 0);
	map("noreplace fixed", busy, BYTES, RW,
	    ZEROS | FIXED_NOREPLACE | MAP_FIXED, -1, 0);
	printf("mmap taken: ");
	print_result(true);
	print_state(busy, false);
	map("fixed", free_at, BYTES, RW, ZEROS | MAP_FIXED, -1, 0);
	munmap(free_at, BYTES);
	drop_memory(busy);
}

static void test_mmap(void)
{
	unsigned bit;
	int prot;

	test_mmap_hints();
	for (bit = 2; bit < 31; bit++) {
		int flags = (int)(ZEROS | 1u << bit);

		if (1u << bit == MAP_FIXED || 1u << bit == FIXED_NOREPLACE)
			continue;
		/* huge pages may be there or not, and RAM for locked ones */
		map("flag", NULL, BYTES, RW, flags, -1, 0);
		if (1u << bit != MAP_HUGETLB)
			map_over("over", 0, 2 * PAGE, RW, flags | MAP_FIXED, -1,
				 0);
	}
	for (bit = 0; bit < 16; bit++)
		map("type", NULL, BYTES, RW, MAP_ANONYMOUS | (int)bit, -1, 0);
	for (prot = 0; prot < 16; prot++)
		map("prot", NULL, BYTES, prot, ZEROS, -1, 0);
	for (bit = 4; bit < 32; bit++)
		map("prot", NULL, BYTES, (int)((unsigned)RW | 1u << bit), ZEROS,
		    -1, 0);
	map("offset", NULL, BYTES, RW, ZEROS, -1, 1);
	map("offset", NULL, BYTES, RW, ZEROS, -1, (off_t)PAGE);
	map("empty", NULL, 0, RW, ZEROS, -1, 0);
	map("all", NULL, SIZE_MAX, RW, ZEROS, -1, 0);
	map("much", NULL, (size_t)1 << 52, RW, ZEROS, -1, 0);
	map_over("shifted", 1, PAGE, RW, ZEROS | MAP_FIXED, -1, 0);
	map_over("empty", 0, 0, RW, ZEROS | MAP_FIXED, -1, 0);
	map_over("offset", 0, PAGE, RW, ZEROS | MAP_FIXED, -1, 1);
	map_over("no file", 0, PAGE, RW, MAP_PRIVATE | MAP_FIXED, -1, 0);
	map_over("readable file", 0, PAGE, RW, MAP_SHARED | MAP_FIXED, 0, 0);
	map_over("file", 0, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, 0, 0);
	map_over("zeros", 0, PAGE, PROT_READ, ZEROS | MAP_FIXED, -1, 0);
	map_over("locked", 0, PAGE, RW, ZEROS | MAP_FIXED | MAP_LOCKED, -1, 0);
	map_over("code", 0, PAGE, 7, ZEROS | MAP_FIXED, -1, 0);
}

/* ---- locks ---- */

static void lock(const char *what, int flags, int prot, size_t shift,
		 size_t len)
{
	char *p = new_memory();

	mprotect(p, BYTES, prot);
	printf("mlock2 %d %s prot %d: ", flags, what, prot);
	print_result(mlock2(p + PAGE + shift, len, (unsigned)flags) == 0);
	mprotect(p, BYTES, RW);
	/* what is locked is not to be voided, what is not, is */
	printf("%d ", madvise(p + PAGE, PAGE, MADV_DONTNEED) == 0);
	printf("%d ", munlock(p + PAGE + shift, len));
	printf("%d ", madvise(p + PAGE, PAGE, MADV_DONTNEED) == 0);
	print_state(p, false);
	drop_memory(p);
}

static void test_locks(void)
{
	char *p;
	int flags;

	for (flags = -1; flags < 5; flags++) {
		lock("page", flags, RW, 0, PAGE);
		lock("page", flags, PROT_READ, 0, PAGE);
		lock("byte", flags, RW, 17, 1);
	}
	lock("none", 0, RW, 0, 0);
	for (flags = 0; flags < 10; flags++) {
		p = new_memory();
		printf("mlockall %d: ", flags);
		print_result(mlockall(flags) == 0);
		printf("%d ", munlockall());
		print_state(p, false);
		drop_memory(p);
	}
	p = new_memory();
	printf("munlockall 0: ");
	print_result(!mlock(p, 2 * PAGE) && !munlockall());
	printf("%d ", madvise(p, 2 * PAGE, MADV_DONTNEED));
	print_state(p, false);
	drop_memory(p);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	source = argv[1];
	signal(SIGSEGV, on_fault);
	test_madvise();
	test_mprotect();
	test_locks();
	if (!strcmp(source, "mmap")) {
		test_mremap();
		test_mremap_more();
		test_locked_unmap();
		test_parts();
		test_mmap();
	}
	return 0;
}
