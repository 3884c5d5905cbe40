/* SPDX-License-Identifier: MIT */
/*
 * support/live.h - what the api_*, live_* and torture_* programs share: a seeded
 * PRNG, spaces with a small budget, accesses that survive SIGSEGV and
 * SIGBUS, counts of what the process holds, and the independent witness of
 * the budget: the blocks that the kernel has allocated to the memfd.
 *
 * Include support/test.h first in a libcheck program: failures then end the test,
 * else the process. Nothing here touches the library but by <vvm.h>.
 */
#ifndef VVM_TEST_LIVE_H
#define VVM_TEST_LIVE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vvm.h>

#define LIVE_PAGE   ((uint64_t)VVM_PAGE_SIZE)
#define LIVE_GUEST  ((uint64_t)1 << VVM_ADDRESS_BITS)
#define LIVE_RW	    (VVM_READ | VVM_WRITE)
#define LIVE_UNUSED __attribute__((unused))
#define LIVE_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Sanitizers hold memory and mappings of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LIVE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define LIVE_SANITIZED 1
#endif
#endif
#ifndef LIVE_SANITIZED
#define LIVE_SANITIZED 0
#endif

/*
 * ThreadSanitizer, moreover,
 * - has threads of its own, and maps memory for whatever it comes to know;
 * - keeps signals back and runs their handlers at its next leisure, which may
 *   be in a handler that had them blocked: none but SIGSEGV and SIGBUS can be
 *   told to stay away from the library's own.
 */
#if defined(__SANITIZE_THREAD__)
#define LIVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LIVE_TSAN 1
#endif
#endif
#ifndef LIVE_TSAN
#define LIVE_TSAN 0
#endif

#ifdef CHECK_H
#define live_fail(...) ck_abort_msg(__VA_ARGS__)
#else
#define live_fail(...)                        \
	do {                                  \
		fprintf(stderr, __VA_ARGS__); \
		fputc('\n', stderr);          \
		_exit(1);                     \
	} while (0)
#endif

/* Cheap enough for any loop and any thread, unlike ck_assert(). */
#define live_check(cond)                                                   \
	do {                                                               \
		if (!(cond))                                               \
			live_fail("%s:%d: %s", __FILE__, __LINE__, #cond); \
	} while (0)

#define live_equal(a, b)                                               \
	do {                                                           \
		long long a_ = (long long)(a), b_ = (long long)(b);    \
		if (a_ != b_)                                          \
			live_fail("%s:%d: %s is %lld, not %s = %lld",  \
				  __FILE__, __LINE__, #a, a_, #b, b_); \
	} while (0)

/* A vvm_* call must return this. */
#define live_expect(call, want)                                             \
	do {                                                                \
		int got_ = (call), want_ = (want);                          \
		if (got_ != want_)                                          \
			live_fail("%s:%d: %s returns %d (%s), not %d (%s)", \
				  __FILE__, __LINE__, #call, got_,          \
				  vvm_strerror(got_), want_,                \
				  vvm_strerror(want_));                     \
	} while (0)
#define live_ok(call) live_expect(call, 0)

/* In a child made by live_child(): no libcheck there, just die. */
#define child_check(cond)                                                      \
	do {                                                                   \
		if (!(cond)) {                                                 \
			fprintf(stderr, "%s:%d: in the child: %s\n", __FILE__, \
				__LINE__, #cond);                              \
			_exit(99);                                             \
		}                                                              \
	} while (0)
#define child_expect(call, want)                                        \
	do {                                                            \
		int got_ = (call);                                      \
		if (got_ != (want)) {                                   \
			fprintf(stderr,                                 \
				"%s:%d: in the child: %s is %d (%s)\n", \
				__FILE__, __LINE__, #call, got_,        \
				vvm_strerror(got_));                    \
			_exit(99);                                      \
		}                                                       \
	} while (0)

/* ---- random numbers: splitmix64 ---- */

static inline uint64_t live_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline uint64_t live_random(uint64_t *state)
{
	return live_mix(*state += 0x9e3779b97f4a7c15ull);
}

static inline uint64_t live_below(uint64_t *state, uint64_t n)
{
	return live_random(state) % n;
}

/* Never 0, and different for each (key, version): what a page is stamped. */
static inline uint64_t live_stamp(uint64_t key, uint64_t version)
{
	return live_mix(key * 0x100000001b3ull + version + 1) | 1;
}

/* Fills and verifies a whole page; -1 or the first wrong word. */
static inline void live_fill(void *page, uint64_t key, uint64_t version)
{
	volatile uint64_t *w = page;

	for (unsigned i = 0; i < LIVE_PAGE / 8; i++)
		w[i] = live_stamp(key * 512 + i, version);
}

static inline int live_verify(const void *page, uint64_t key, uint64_t version)
{
	const volatile uint64_t *w = page;

	for (unsigned i = 0; i < LIVE_PAGE / 8; i++)
		if (w[i] != live_stamp(key * 512 + i, version))
			return (int)i;
	return -1;
}

static inline bool live_is_zero(const void *page)
{
	const volatile uint64_t *w = page;

	for (unsigned i = 0; i < LIVE_PAGE / 8; i++)
		if (w[i])
			return false;
	return true;
}

/* ---- time: only to bound waits ---- */

static inline uint64_t live_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static inline void live_nap_us(long us)
{
	struct timespec ts = {us / 1000000, us % 1000000 * 1000};

	nanosleep(&ts, NULL);
}

/* Evaluates cond until it holds; fails after ms. */
#define live_wait(cond, ms)                                              \
	do {                                                             \
		uint64_t end_ = live_now_ms() + (ms);                    \
		while (!(cond)) {                                        \
			if (live_now_ms() > end_)                        \
				live_fail("%s:%d: waited %d ms for %s",  \
					  __FILE__, __LINE__, (int)(ms), \
					  #cond);                        \
			live_nap_us(500);                                \
		}                                                        \
	} while (0)

/* ---- accesses that may end in a signal ---- */

static LIVE_UNUSED __thread sigjmp_buf live_env;
static LIVE_UNUSED __thread volatile sig_atomic_t live_armed;
static LIVE_UNUSED __thread void *volatile live_signal_addr;

static LIVE_UNUSED void live_handler(int sig, siginfo_t *si, void *context)
{
	(void)context;
	if (!live_armed) { /* not expected: die of it */
		signal(sig, SIG_DFL);
		raise(sig);
		return;
	}
	live_armed = 0;
	live_signal_addr = si->si_addr;
	siglongjmp(live_env, sig);
}

/* Catches SIGSEGV and SIGBUS of the functions below in all threads. */
static inline void live_catch(void)
{
	struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_ONSTACK};

	sa.sa_sigaction = live_handler;
	sigemptyset(&sa.sa_mask);
	live_check(sigaction(SIGSEGV, &sa, NULL) == 0);
	live_check(sigaction(SIGBUS, &sa, NULL) == 0);
}

/*
 * ThreadSanitizer makes of an atomic access a call that holds a lock of its
 * own meanwhile; to jump out of that would leave it locked for ever.
 */
#define LIVE_BARE LIVE_UNUSED __attribute__((noinline, no_sanitize("thread")))

/* Each returns 0, or the signal, whose si_addr is in live_signal_addr. */
static LIVE_BARE int live_try_load(const void *p, uint64_t *value)
{
	int sig = sigsetjmp(live_env, 1);

	if (sig == 0) {
		live_armed = 1;
		*value = __atomic_load_n((const uint64_t *)p, __ATOMIC_SEQ_CST);
	}
	live_armed = 0;
	return sig;
}

static LIVE_BARE int live_try_store(void *p, uint64_t value)
{
	int sig = sigsetjmp(live_env, 1);

	if (sig == 0) {
		live_armed = 1;
		__atomic_store_n((uint64_t *)p, value, __ATOMIC_SEQ_CST);
	}
	live_armed = 0;
	return sig;
}

/* A faulting add did not happen: the instruction is one. */
static LIVE_BARE int live_try_add(void *p, uint64_t n)
{
	int sig = sigsetjmp(live_env, 1);

	if (sig == 0) {
		live_armed = 1;
		__atomic_fetch_add((uint64_t *)p, n, __ATOMIC_SEQ_CST);
	}
	live_armed = 0;
	return sig;
}

static LIVE_BARE int live_try_call(void *p)
{
	int sig = sigsetjmp(live_env, 1);

	if (sig == 0) {
		live_armed = 1;
		((void (*)(void))(uintptr_t)p)();
	}
	live_armed = 0;
	return sig;
}

/* ---- spaces ---- */

/* Defaults and VVM_* of the environment, this budget, no /dev/shm file. */
static inline void live_options(struct vvm_options *o, uint64_t budget_pages)
{
	live_ok(vvm_options_init(o));
	o->resident_bytes = budget_pages * LIVE_PAGE;
	o->stat_segment = 0;
}

static inline struct vvm *live_open(uint64_t budget_pages)
{
	struct vvm_options o;
	struct vvm *vm = NULL;

	live_options(&o, budget_pages);
	live_ok(vvm_open(&vm, &o));
	live_check(vm != NULL);
	return vm;
}

/* Maps anywhere and returns the pointer, which is the guest address too. */
static inline char *live_map(struct vvm *vm, uint64_t pages, unsigned prot)
{
	uint64_t addr = VVM_ANYWHERE;

	live_ok(vvm_map(vm, &addr, pages * LIVE_PAGE, prot, "test"));
	live_check(addr % LIVE_PAGE == 0);
	live_check(vvm_ptr(vm, addr) == (void *)(uintptr_t)addr);
	return vvm_ptr(vm, addr);
}

static inline uint64_t live_addr(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static inline struct vvm_stats live_stats(struct vvm *vm)
{
	struct vvm_stats st;

	live_ok(vvm_stats(vm, &st, sizeof st));
	return st;
}

static inline unsigned char live_flags(struct vvm *vm, const void *page)
{
	unsigned char flags = 0xff;

	live_ok(vvm_residency(vm, live_addr(page), LIVE_PAGE, &flags));
	return flags;
}

/* How many of the pages have all of these flags. */
static inline uint64_t live_count_flags(struct vvm *vm, const char *base,
					uint64_t pages, unsigned char want)
{
	unsigned char *flags = malloc(pages);
	uint64_t n = 0;

	live_check(flags != NULL);
	live_ok(vvm_residency(vm, live_addr(base), pages * LIVE_PAGE, flags));
	for (uint64_t i = 0; i < pages; i++)
		n += (flags[i] & want) == want;
	free(flags);
	return n;
}

/* Writes stamped pages until [base, base + pages) has none resident. */
static inline void live_push_out(struct vvm *vm, const char *base,
				 uint64_t pages, char *other,
				 uint64_t other_pages)
{
	for (int round = 0; round < 50; round++) {
		if (!live_count_flags(vm, base, pages, VVM_PAGE_RESIDENT))
			return;
		for (uint64_t i = 0; i < other_pages; i++)
			*(volatile uint64_t *)(other + i * LIVE_PAGE + 8) =
				live_stamp(i, (uint64_t)round);
	}
	live_fail("pages stay resident under 50 rounds of other writes");
}

/* ---- what the process holds ---- */

static inline int live_count_dir(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	live_check(dir != NULL);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static inline int live_count_fds(void)
{
	return live_count_dir("/proc/self/fd");
}

static inline int live_count_threads(void)
{
	return live_count_dir("/proc/self/task");
}

static inline int live_count_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	int c, n = 0;

	live_check(f != NULL);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static inline uint64_t live_rss_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long size = 0, rss = 0;

	live_check(f != NULL);
	live_check(fscanf(f, "%llu %llu", &size, &rss) == 2);
	fclose(f);
	return rss * LIVE_PAGE;
}

/* How many memfds of libvvm's there are; *last: a descriptor of one. */
static inline int live_find_memfds(int *last)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *d;
	char link[128];
	int found = 0;

	live_check(dir != NULL);
	while ((d = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), d->d_name, link,
				       sizeof link - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		if (strncmp(link, "/memfd:vvm", 10))
			continue;
		*last = atoi(d->d_name);
		found++;
	}
	closedir(dir);
	return found;
}

static inline int live_count_memfds(void)
{
	int fd;

	return live_find_memfds(&fd);
}

/* A descriptor of the (only) space's memfd, or -1. Not ours to close. */
static inline int live_memfd(void)
{
	int fd = -1;

	live_find_memfds(&fd);
	return fd;
}

/* Pages that the kernel has allocated to it: the frames that exist. */
static inline uint64_t live_frames(int memfd)
{
	struct stat st;

	live_check(fstat(memfd, &st) == 0);
	return (uint64_t)st.st_blocks * 512 / LIVE_PAGE;
}

/* The same by cachestat(2), Linux 6.5; UINT64_MAX where it does not exist. */
static inline uint64_t live_cached(int memfd)
{
	struct {
		uint64_t offset, bytes;
	} all = {0, 0};
	struct {
		uint64_t cache, dirty, writeback, evicted, recently;
	} count = {0, 0, 0, 0, 0};

	if (syscall(451, memfd, &all, &count, 0))
		return UINT64_MAX;
	return count.cache;
}

/*
 * Frames, as far as they are above the limit. st_blocks alone is not exact:
 * a page that is being added hides, for as long as its thread is preempted
 * between the page cache and the accounting, that another one was punched
 * (17 blocks at 16 cached pages, for 435 us, were seen). So an excess must
 * be one by both witnesses, twice; or, without the second, last 20 ms.
 */
static inline uint64_t live_frames_above(int memfd, uint64_t limit)
{
	uint64_t pages = live_frames(memfd), cached;

	for (int i = 0; i < 200 && pages > limit; i++) {
		cached = live_cached(memfd);
		if (cached <= limit)
			return cached;
		if (cached != UINT64_MAX && i)
			break;
		live_nap_us(100);
		pages = live_frames(memfd);
	}
	return pages;
}

static inline bool live_within(int memfd, uint64_t limit)
{
	return live_frames_above(memfd, limit) <= limit;
}

/* Samples it all the time, from a thread. */
struct live_sampler {
	pthread_t thread;
	int memfd;
	uint64_t limit;
	atomic_bool stop;
	_Atomic uint64_t max_pages, samples;
};

static LIVE_UNUSED void *live_sampler_run(void *arg)
{
	struct live_sampler *s = arg;

	while (!atomic_load(&s->stop)) {
		uint64_t pages = live_frames_above(s->memfd, s->limit);

		if (pages > atomic_load(&s->max_pages))
			atomic_store(&s->max_pages, pages);
		atomic_fetch_add(&s->samples, 1);
		live_nap_us(100);
	}
	return NULL;
}

static inline void live_sampler_start(struct live_sampler *s, uint64_t limit)
{
	memset(s, 0, sizeof *s);
	s->limit = limit;
	s->memfd = live_memfd();
	live_check(s->memfd >= 0);
	live_check(pthread_create(&s->thread, NULL, live_sampler_run, s) == 0);
}

/* Returns the largest number of frames seen. */
static inline uint64_t live_sampler_stop(struct live_sampler *s)
{
	atomic_store(&s->stop, true);
	pthread_join(s->thread, NULL);
	return atomic_load(&s->max_pages);
}

/* ---- children and files ---- */

/* Number from the environment, or what is given. */
static inline long live_setting(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtol(text, NULL, 0) : otherwise;
}

/*
 * How long a child may take: a minute, or as much more as libcheck is told to
 * allow its tests.
 */
static inline unsigned live_child_seconds(void)
{
	return 60 * (unsigned)live_setting("CK_TIMEOUT_MULTIPLIER", 1);
}

/*
 * Runs fn(arg) in a forked child without a core file, for as long at most. The
 * exit status is what fn returns. Who takes longer dies of SIGALRM: not of
 * libcheck's handler, which would kill the test with SIGKILL, saying nothing.
 */
static inline pid_t live_fork(int (*fn)(void *), void *arg)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	live_check(pid >= 0);
	if (pid == 0) {
		struct rlimit none = {0, 0};

		signal(SIGALRM, SIG_DFL);
		alarm(live_child_seconds());
		setrlimit(RLIMIT_CORE, &none);
		_exit(fn(arg));
	}
	return pid;
}

/* Waits for the end of a child; its wait status. */
static inline int live_status(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static inline void live_ended_ok(pid_t pid)
{
	int status = live_status(pid);

	if (!WIFEXITED(status) || WEXITSTATUS(status))
		live_fail("the child ended with status %#x", (unsigned)status);
}

static inline int live_child(int (*fn)(void *), void *arg)
{
	return live_status(live_fork(fn, arg));
}

static inline void live_child_ok(int (*fn)(void *), void *arg)
{
	live_ended_ok(live_fork(fn, arg));
}

/* For children that must die of a signal without a sanitizer's help. */
static inline void live_default_signals(void)
{
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
}

static LIVE_UNUSED char live_dir[64];

static LIVE_UNUSED int live_remove(const char *path, const struct stat *st,
				   int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* Fixtures (unchecked: they run in the parent, failures or not). */
static LIVE_UNUSED void live_dir_make(void)
{
	snprintf(live_dir, sizeof live_dir, "/var/tmp/vvm-test.XXXXXX");
	if (!mkdtemp(live_dir)) {
		perror(live_dir);
		exit(1);
	}
}

static LIVE_UNUSED void live_dir_remove(void)
{
	nftw(live_dir, live_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* A path in the directory, in one of four static buffers. */
static inline const char *live_path(const char *name)
{
	static char path[4][160];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof path[0], "%s/%s", live_dir, name);
	return p;
}

/*
 * Writes junk over a swap file, past the page cache where that is possible: a
 * direct write of the library that meets a cached one is an error of the file.
 */
static inline void live_overwrite(const char *path)
{
	enum { JUNK_BYTES = 1 << 16 };
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_DIRECT);
	void *junk = aligned_alloc(LIVE_PAGE, JUNK_BYTES);
	struct stat st;

	if (fd < 0)
		fd = open(path, O_WRONLY | O_CLOEXEC);
	live_check(fd >= 0 && junk && fstat(fd, &st) == 0);
	memset(junk, 0x5a, JUNK_BYTES);
	for (off_t at = 0; at < st.st_size; at += JUNK_BYTES) {
		size_t n = st.st_size - at < JUNK_BYTES
				   ? (size_t)(st.st_size - at)
				   : JUNK_BYTES;

		live_equal(pwrite(fd, junk, n, at), n);
	}
	close(fd);
	free(junk);
}

/* True, after saying why, when this machine cannot run any space. */
static inline bool live_cannot_run(const char *program)
{
	struct vvm_probe probe;

	if (vvm_probe(&probe) == 0 && probe.usable)
		return false;
	printf("%s: skipped: %s (%s)\n", program, vvm_strerror(probe.error),
	       probe.reason ? probe.reason : "");
	return true;
}

#ifdef CHECK_H
/* For main() to return. */
static inline int live_run(Suite *suite, const char *program)
{
	SRunner *runner;

	if (live_cannot_run(program)) {
		runner = srunner_create(suite);
		srunner_free(runner);
		return TEST_SKIP;
	}
	return test_run(suite);
}

/*
 * The same once for each way to take faults, or for the one that VVM_FAULTS
 * names: a space takes it from there. make() gets the program's name and the
 * way's. A program that catches signals does so before it opens a space.
 */
static inline int live_run_modes(Suite *(*make)(const char *name),
				 const char *program)
{
	static const char *const modes[] = {
		"thread",
#ifdef __x86_64__
		"inline",
#endif
	};
	const char *only = getenv("VVM_FAULTS");
	char name[64];
	int status = 0;

	if (live_cannot_run(program))
		return TEST_SKIP;
	for (size_t i = 0; i < LIVE_LEN(modes); i++) {
		if (only && strcmp(only, modes[i]))
			continue;
		snprintf(name, sizeof name, "%s (%s)", program, modes[i]);
		setenv("VVM_FAULTS", modes[i], 1);
		status |= test_run(make(name));
		if (only)
			break; /* `only` is what we have just replaced */
	}
	return status;
}

/* Are the spaces of this run in inline mode? */
static inline bool live_inline(void)
{
	const char *mode = getenv("VVM_FAULTS");

	return mode && !strcmp(mode, "inline");
}
#endif

#endif
