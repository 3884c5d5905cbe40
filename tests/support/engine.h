/* SPDX-License-Identifier: MIT */
/*
 * support/engine.h - a space without its threads, for the unit tests of the engine's
 * modules: the test is handler and reclaimer, one step at a time, so that
 * every step has one outcome. Where a faulting thread is needed it is a
 * second thread that makes one access (struct app).
 *
 * Everything is counted: engine_expect() compares all counters with those
 * named, the others must not have moved.
 *
 * Include support/test.h first; links the core.
 */
#ifndef VVM_TEST_ENGINE_H
#define VVM_TEST_ENGINE_H

#include "fill/ahead.h"
#include "evict/evict.h"
#include "fault/fault.h"
#include "util/log.h"
#include "map/mapping.h"
#include "os/ring.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ENGINE_UNUSED __attribute__((unused))
#define ENGINE_ROOM   64	 /* pages of a fill or write-back */
#define ENGINE_US     10000000 /* the longest that anything may take */

static struct vvm *vm;
static struct vvm_stat_actor *actor;
static struct ring *ring;
static struct evictor evictor;
static char engine_buf[ENGINE_ROOM * PAGE_BYTES] __attribute__((aligned(4096)));
static uint16_t engine_index[ENGINE_ROOM];
static struct fault fault; /* the last one begun, ... */
static struct readahead ra; /* ... and what was last claimed ahead */
static struct io *engine_io; /* of the later of both */
static int64_t engine_seen[VVM_STAT_COUNTER_COUNT];

/* ---- the space ---- */

static inline void engine_conf(struct conf *c, uint64_t budget_pages)
{
	conf_defaults(c);
	c->resident_bytes = pages_to_bytes(budget_pages);
	c->stat_segment = false;
	c->io = VVM_IO_SYNC;
	c->handlers = 1;
	c->low_pct = c->high_pct = 0;
	c->log_level = 0;
	/* the policy whose choices depend on one page alone */
	ck_assert_int_eq(conf_set(c, "policy", "clock"), 0);
	log_set_level(LOG_NONE);
}

static inline void engine_remember(void)
{
	unsigned i;

	for (i = 0; i < VVM_STAT_COUNTER_COUNT; i++)
		engine_seen[i] = stat_sum(&vm->stats, i);
}

/* Write-backs in flight: count, of up to room pages. */
static inline void engine_start(const struct conf *c, unsigned count,
				unsigned room)
{
	os_inject_clear();
	ck_assert_int_eq(space_new(&vm, c), 0);
	actor = stat_actor(&vm->stats, VVM_STAT_HANDLER);
	ck_assert_ptr_nonnull(actor);
	ck_assert_int_eq(ring_open(&ring, 8, VVM_IO_SYNC), 0);
	ck_assert_int_eq(evict_init(&evictor, vm, actor, ring, count, room), 0);
	ra = (struct readahead){.io.buf = engine_buf,
				.index = engine_index,
				.room = ENGINE_ROOM};
	engine_remember();
}

static inline void engine_open(uint64_t budget_pages)
{
	struct conf *c = malloc(sizeof(*c));

	engine_conf(c, budget_pages);
	engine_start(c, 4, ENGINE_ROOM);
	free(c);
}

/* Unmaps everything: nothing may be left of it. */
static ENGINE_UNUSED void engine_close(void)
{
	struct backing_stat bs;
	uint64_t allocated = 1;

	os_inject_clear();
	space_check(vm);
	mapping_unmap_all(vm);
	space_check(vm);
	ck_assert_uint_eq(vm->frames.used, 0);
	ck_assert_uint_eq(vm->frames.pinned, 0);
	ck_assert_uint_eq(vm->clock.blocks, 0);
	ck_assert_uint_eq(vm->pt.block_count, 0);
	vm->swap->ops->stat(vm->swap, &bs);
	ck_assert_uint_eq(bs.slots_used, 0);
	ck_assert_int_eq(os_allocated(vm->memfd, &allocated), 0);
	ck_assert_uint_eq(allocated, 0);
	evict_fini(&evictor);
	ring_close(ring);
	space_free(vm);
	vm = NULL;
}

/* For main(): false, after saying why, when there can be no space. */
static inline bool engine_permitted(const char *program)
{
	unsigned features = 0;
	enum os_uffd_method method;
	int rc = os_uffd_probe(&features, &method);

	if (rc == 0 && (features & OS_UFFD_WP_SHMEM))
		return true;
	printf("%s: skipped: no userfaultfd (%d)\n", program, rc);
	return false;
}

/* For main() to return. */
static inline int engine_run(Suite *suite, const char *program)
{
	SRunner *none;

	if (engine_permitted(program))
		return test_run(suite);
	none = srunner_create(suite);
	srunner_free(none);
	return TEST_SKIP;
}

/* ---- regions and pages ---- */

/* Aligned to a block when it is one or more long. Not counted. */
static inline gaddr_t engine_map(uint64_t pages, unsigned prot)
{
	gaddr_t addr = VVM_ANYWHERE;

	ck_assert_int_eq(
		mapping_map(vm, &addr, pages_to_bytes(pages), prot, "test"), 0);
	engine_remember();
	return addr;
}

/* The same at a guest address of our choice. */
static ENGINE_UNUSED void engine_map_at(gaddr_t addr, uint64_t pages)
{
	ck_assert_int_eq(mapping_map(vm, &addr, pages_to_bytes(pages),
				     VVM_READ | VVM_WRITE, "test"),
			 0);
	engine_remember();
}

static inline haddr_t host_of(gaddr_t addr)
{
	const struct region *r = regions_at_guest(&vm->regions, addr);

	ck_assert_ptr_nonnull(r);
	return region_to_host(r, addr);
}

static inline char *ptr_of(gaddr_t addr)
{
	return (char *)(uintptr_t)host_of(addr);
}

static inline gaddr_t page_of(gaddr_t addr, uint64_t n)
{
	return addr + pages_to_bytes(n);
}

static inline pte_t entry(gaddr_t addr)
{
	struct block *b = pt_find(&vm->pt, addr);

	return b ? b->pte[page_index(addr)] : 0;
}

#define expect_state(addr, want)                                               \
	do {                                                                   \
		enum page_state is_ = pte_state(entry(addr));                  \
		ck_assert_msg(is_ == (want), "%s is %s, not %s", #addr,        \
			      pt_state_name(is_), pt_state_name(want));        \
	} while (0)

static inline bool is_mapped(gaddr_t addr)
{
	uint64_t bits[1];

	ck_assert_int_eq(os_pagemap_present(vm->pagemap_fd, host_of(addr), 1,
					    bits, NULL),
			 0);
	return bits[0] & 1;
}

static inline uint64_t slots_used(void)
{
	struct backing_stat bs;

	vm->swap->ops->stat(vm->swap, &bs);
	return bs.slots_used;
}

/* Its block, locked as space_move() and the like want it. */
static inline struct block *block_of(gaddr_t addr)
{
	struct block *b;

	rwlock_read(&vm->lock);
	b = space_lock_block(vm, addr);
	rwlock_end_read(&vm->lock);
	ck_assert_ptr_nonnull(b);
	return b;
}

/* ---- content: every word of a page tells whose it is ---- */

static inline uint64_t word_of(gaddr_t addr, unsigned version)
{
	return (addr >> PAGE_SHIFT) * 1000003 + version;
}

static inline void stamp(void *page, gaddr_t addr, unsigned version)
{
	uint64_t *w = page;
	unsigned i;

	for (i = 0; i < PAGE_BYTES / 8; i++)
		w[i] = word_of(addr, version) + i;
}

static inline bool stamped(const void *page, gaddr_t addr, unsigned version)
{
	const uint64_t *w = page;
	unsigned i;

	for (i = 0; i < PAGE_BYTES / 8; i++)
		if (w[i] != word_of(addr, version) + i)
			return false;
	return true;
}

/* What the frame holds, without touching the guest memory. */
static inline const char *frame_of(gaddr_t addr)
{
	static char frame[PAGE_BYTES] __attribute__((aligned(8)));

	ck_assert_int_eq(os_pread(vm->memfd, frame, PAGE_BYTES, host_of(addr)),
			 0);
	return frame;
}

/* ---- steps ---- */

/* As a handler would, but that the test goes on with what must wait. */
static inline bool engine_wait(struct fault *f, enum fault_result result)
{
	if (result == FAULT_FAILED)
		fault_fail(f);
	if (result == FAULT_GONE) {
		fault_count_lost(f);
		fault_wake(vm, f->host);
	}
	if (result == FAULT_DONE && !f->told)
		os_uffd_wake(f->uffd, f->host, PAGE_BYTES);
	return false;
}

static inline struct fault engine_new_fault(haddr_t host, bool write)
{
	static const struct fault_mode mode = {.counts = true,
					       .wait = engine_wait};

	return (struct fault){.mode = &mode,
			      .vm = vm,
			      .actor = actor,
			      .host = host,
			      .write = write,
			      .io.buf = engine_buf};
}

static inline enum fault_result engine_begin(gaddr_t addr, bool write)
{
	fault = engine_new_fault(host_of(addr), write);
	engine_io = &fault.io;
	return fault_run(&fault);
}

static ENGINE_UNUSED bool engine_fail(haddr_t host, int tid)
{
	struct fault f = engine_new_fault(host, false);

	f.stat.tid = tid;
	return fault_fail(&f);
}

static inline enum ahead_result engine_claim_ahead(struct ahead_job *job)
{
	engine_io = &ra.io;
	return ahead_claim(vm, actor, job, &ra);
}

/* Claims what comes first in [from, to); *next: where to go on. */
static ENGINE_UNUSED bool engine_ahead(gaddr_t from, gaddr_t to, gaddr_t *next)
{
	struct ahead_job job = {.addr = from, .stride = 1,
				.count = bytes_to_pages(to - from),
				.most = ENGINE_ROOM};
	enum ahead_result result = engine_claim_ahead(&job);

	*next = job.count ? job.addr : to;
	return result == AHEAD_CLAIMED;
}

static inline void engine_read_done(struct io *io, int result)
{
	(void)io;
	ck_assert_int_eq(result, 0);
}

static inline void engine_read(void)
{
	memset(engine_io->bad, 0, sizeof(engine_io->bad));
	engine_io->done = engine_read_done;
	vm->swap->ops->read(vm->swap, NULL, engine_io);
}

/* Installs what was claimed last. */
static inline enum fault_result engine_install(int result)
{
	if (engine_io == &fault.io)
		return fault_install(&fault, result);
	readahead_arrived(&ra, actor, result);
	while (!readahead_install(&ra, actor, ra.io.pages))
		;
	return FAULT_DONE;
}

/* A whole fault. */
static inline enum fault_result engine_fault(gaddr_t addr, bool write)
{
	enum fault_result result = engine_begin(addr, write);

	if (result != FAULT_READ)
		return result;
	engine_read();
	return engine_install(0);
}

/* Makes n pages DIRTY, stamped with version 1. */
static ENGINE_UNUSED void engine_dirty(gaddr_t addr, unsigned n)
{
	for (; n; n--, addr += PAGE_BYTES) {
		ck_assert_int_eq(engine_fault(addr, true), FAULT_DONE);
		stamp(ptr_of(addr), addr, 1);
	}
}

/*
 * Puts n FRESH pages of one block into consecutive slots, stamped with
 * version 1; they are SWAPPED then. Returns the first slot.
 */
static ENGINE_UNUSED uint64_t engine_out(gaddr_t addr, unsigned n)
{
	struct io io = {.done = engine_read_done, .addr = addr, .pages = n,
			.buf = engine_buf};
	uint64_t got = 0;
	struct block *b;
	unsigned i;

	ck_assert_uint_le(n, ENGINE_ROOM);
	for (i = 0; i < n; i++)
		stamp(engine_buf + pages_to_bytes(i), page_of(addr, i), 1);
	ck_assert_int_eq(vm->swap->ops->take(vm->swap, n, &io.slot, &got), 0);
	ck_assert_uint_eq(got, n);
	vm->swap->ops->write(vm->swap, NULL, &io);
	b = block_of(addr);
	for (i = 0; i < n; i++) {
		unsigned index = page_index(addr) + i;

		space_move(vm, actor, b, index, PAGE_FILLING, 0);
		space_move(vm, actor, b, index, PAGE_SWAPPED, io.slot + i);
	}
	lock_drop(&b->lock);
	memset(engine_buf, 0xee, sizeof(engine_buf));
	return io.slot;
}

/* Makes resident pages old, unmapped, out of grace: victims, all of them. */
static ENGINE_UNUSED void engine_cold(gaddr_t addr, uint64_t n)
{
	struct block *b = block_of(addr);

	b->filled_us = 0;
	lock_drop(&b->lock);
	ck_assert_int_eq(mapping_cold(vm, addr, page_of(addr, n)), 0);
}

/* Completes what the evictor has in flight. */
static ENGINE_UNUSED void engine_complete(void)
{
	while (ring_inflight(ring))
		ck_assert_int_ge(ring_run(ring, ENGINE_US), 0);
}

/* ---- counters ---- */

/* Pages in flight, by the page table. */
static inline int64_t engine_in_flight(enum page_state state)
{
	struct block *b;
	int64_t n = 0;
	unsigned i;

	pt_for_each_block (&vm->pt, b, 0, GUEST_END)
		for (i = 0; i < BLOCK_PAGES; i++)
			n += pte_state(b->pte[i]) == state;
	return n;
}

/* Times are not looked at; two gauges must be what the page table says. */
static inline bool engine_not_compared(unsigned counter)
{
	return counter == VVM_STAT_stall_us || counter == VVM_STAT_swapin_us ||
	       counter == VVM_STAT_filling_pages ||
	       counter == VVM_STAT_writing_pages;
}

/* By how much they moved since the last time. */
static inline void engine_compare(const int64_t *want, int line)
{
	static const char *const names[] = {
#define X(name, kind, help) #name,
		VVM_STAT_COUNTERS(X)
#undef X
	};
	unsigned i;

	for (i = 0; i < VVM_STAT_COUNTER_COUNT; i++) {
		int64_t moved = stat_sum(&vm->stats, i) - engine_seen[i];

		ck_assert_msg(engine_not_compared(i) || moved == want[i],
			      "line %d: %s moved by %lld, not %lld", line,
			      names[i], (long long)moved, (long long)want[i]);
	}
	ck_assert_int_eq(stat_sum(&vm->stats, VVM_STAT_filling_pages),
			 engine_in_flight(PAGE_FILLING));
	ck_assert_int_eq(stat_sum(&vm->stats, VVM_STAT_writing_pages),
			 engine_in_flight(PAGE_WRITING));
	engine_remember();
}

#define C(name) [VVM_STAT_##name]
/* engine_expect(C(faults) = 1, C(faults_zero) = 1): these, and no others. */
#define engine_expect(...)                                                     \
	engine_compare(                                                        \
		(const int64_t[VVM_STAT_COUNTER_COUNT]){__VA_ARGS__},          \
		__LINE__)
#define engine_expect_nothing() engine_expect([0] = 0)

/* ---- the faulting application ---- */

struct app {
	pthread_t thread;
	volatile uint64_t *at; /* atomics of a sanitizer's take its locks */
	uint64_t value;	       /* read, or to be written */
	bool write;
	int signal; /* that it ended in, 0: none */
	_Atomic bool done;
};

static ENGINE_UNUSED __thread sigjmp_buf app_env;

static ENGINE_UNUSED void app_signal(int sig)
{
	siglongjmp(app_env, sig);
}

static ENGINE_UNUSED void *app_run(void *arg)
{
	struct app *a = arg;

	a->signal = sigsetjmp(app_env, 1);
	if (a->signal == 0 && a->write)
		*a->at = a->value;
	else if (a->signal == 0)
		a->value = *a->at;
	atomic_store(&a->done, true);
	return NULL;
}

/* A thread reads, or writes `value` to, the first word of the page. */
static ENGINE_UNUSED void app_start(struct app *a, gaddr_t addr, bool write,
				    uint64_t value)
{
	memset(a, 0, sizeof(*a));
	a->at = (uint64_t *)(void *)ptr_of(addr);
	a->write = write;
	a->value = value;
	signal(SIGBUS, app_signal);
	signal(SIGSEGV, app_signal);
	ck_assert_int_eq(pthread_create(&a->thread, NULL, app_run, a), 0);
}

/* Its event, waited for. */
static ENGINE_UNUSED struct os_fault app_event(void)
{
	int uffd = vm->port[0].uffd;
	struct os_fault f = {0};
	uint64_t ready, invalid;

	ck_assert_int_eq(os_poll(&uffd, 1, ENGINE_US, &ready, &invalid), 0);
	ck_assert_int_eq(os_uffd_read(uffd, &f, 1), 1);
	return f;
}

static ENGINE_UNUSED void app_join(struct app *a)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ENGINE_US / 1000000;
	ck_assert_int_eq(pthread_timedjoin_np(a->thread, NULL, &until), 0);
}

/* ---- children that must abort ---- */

/* Runs fn(arg) in a child; returns its wait status. */
static ENGINE_UNUSED int engine_child(void (*fn)(int), int arg)
{
	int status = 0;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO); /* the failed assertion says what */
		signal(SIGALRM, SIG_DFL); /* libcheck's kills the test */
		alarm(ENGINE_US / 1000000);
		fn(arg);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		ck_assert_int_eq(errno, EINTR);
	return status;
}

#endif
