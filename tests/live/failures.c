/* SPDX-License-Identifier: MIT */
/*
 * live/failures.c - what the user sees when the disk is full, when it fails,
 * when it lies, and when the kernel refuses: FAILURES in vvm(7), one by one.
 * Faults are injected at os/os.h's points; the full swap, the corrupted and the
 * truncated swap file are real.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"
#include "support/access.h"
#include "support/child.h"
#include "support/files.h"
#include "support/frames.h"
#include "support/live.h"
#include "support/process.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

static struct vvm *open_with(uint64_t budget, uint64_t swap_limit_bytes,
			     uint64_t wait_ms, const char *path)
{
	struct vvm_options o;
	struct vvm *space = NULL;

	live_limits(&o, budget, swap_limit_bytes, wait_ms, path);
	live_ok(vvm_open(&space, &o));
	return space;
}

/* ---- a full swap ---- */

#define WRITERS	   8
#define LOAD_PAGES ((64 << 20) / 4096)
#define FAILURES   3 /* of each writer, then it stops */

static struct {
	char *base;
	unsigned char written[LOAD_PAGES];
	_Atomic int signals, low_space_calls;
	struct vvm_low_space low_space;
} load;

struct writer {
	pthread_t thread;
	unsigned id;
};

static void low_space(struct vvm *space, const struct vvm_low_space *info,
		      void *arg)
{
	live_check(space == vm && arg == &load);
	load.low_space = *info;
	load.low_space_calls++;
}

static void *write_load(void *arg)
{
	struct writer *w = arg;
	int failures = 0;

	for (uint64_t i = w->id; i < LOAD_PAGES && failures < FAILURES;
	     i += WRITERS) {
		char *p = load.base + i * LIVE_PAGE + 8;
		int sig = live_try_store(p, live_stamp(i, 1));

		if (sig) {
			live_equal(sig, SIGBUS);
			live_check(live_signal_addr == p);
			load.signals++;
			failures++;
		} else {
			load.written[i] = 1;
		}
	}
	return NULL;
}

/*
 * Reads what was written from page `from` on, resident pages only or all;
 * what can be read is right. Returns how many, counts the others.
 */
static uint64_t read_written(uint64_t from, bool resident, uint64_t *unreadable)
{
	uint64_t good = 0, value;

	for (uint64_t i = from; i < LOAD_PAGES; i++) {
		char *p = load.base + i * LIVE_PAGE;
		int sig;

		if (!load.written[i] ||
		    (resident && !(live_flags(vm, p) & VVM_PAGE_RESIDENT)))
			continue;
		sig = live_try_load(p + 8, &value);
		if (sig) {
			live_equal(sig, SIGBUS);
			(*unreadable)++;
			continue;
		}
		live_check(value == live_stamp(i, 1));
		good++;
	}
	return good;
}

/* 64 MiB onto 1 MiB of frames and 1 MiB of swap. */
static void fill_up(uint64_t wait_ms)
{
	struct writer w[WRITERS];

	live_catch();
	/* only a full swap makes an access fail, not a busy machine */
	vm = open_with(256, 1 << 20, (uint64_t)wait_scaled(wait_ms), NULL);
	load.base = live_map(vm, LOAD_PAGES, LIVE_RW);
	live_ok(vvm_advise(vm, live_addr(load.base), LOAD_PAGES * LIVE_PAGE,
			   VVM_ADV_RANDOM));
	live_ok(vvm_on_low_space(vm, low_space, &load));
	for (unsigned i = 0; i < WRITERS; i++) {
		w[i].id = i;
		live_equal(
			pthread_create(&w[i].thread, NULL, write_load, &w[i]),
			0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		pthread_join(w[i].thread, NULL);
	live_equal(load.signals, WRITERS * FAILURES);
}

static uint64_t count_written(void)
{
	uint64_t n = 0;

	for (uint64_t i = 0; i < LOAD_PAGES; i++)
		n += load.written[i];
	return n;
}

START_TEST(full_swap_fails_some_accesses_and_loses_nothing)
{
	uint64_t unreadable = 0, written, half, value;
	struct vvm_stats st;

	fill_up(200);
	written = count_written();
	live_check(written >= 400); /* of 256 frames and 256 slots */
	live_check(written <= 512);
	st = live_stats(vm);
	live_check(st.swap_full > 0);
	live_check(st.frame_timeouts >= WRITERS * FAILURES);
	live_check(st.faults_failed >= WRITERS * FAILURES);
	live_check(st.peak_pages <= 256);
	live_check(st.swap_used_pages <= 256);
	live_equal(st.swap_limit_pages, 256);
	live_equal(st.poisoned_pages, 0);
	live_wait(load.low_space_calls > 0, 10000);
	live_check(load.low_space.swap_limit_bytes == 1 << 20);
	live_check(load.low_space.swap_used_bytes <= 1 << 20);
	live_check(load.low_space.dirty_bytes <= 256 * LIVE_PAGE);
	live_check(read_written(0, true, &unreadable) > 100);
	live_equal(unreadable, 0);
	/* room: half of what was written is not needed any more */
	for (half = 0, value = 0; value < written / 2; half++)
		value += load.written[half];
	live_ok(vvm_advise(vm, live_addr(load.base), half * LIVE_PAGE,
			   VVM_ADV_DONTNEED));
	unreadable = 0;
	live_equal(read_written(half, false, &unreadable), written - value);
	live_equal(unreadable, 0);
	for (uint64_t i = LOAD_PAGES - 50; i < LOAD_PAGES; i++)
		live_equal(live_try_store(load.base + i * LIVE_PAGE, i), 0);
	for (uint64_t i = LOAD_PAGES - 50; i < LOAD_PAGES; i++)
		live_equal(*(uint64_t *)(load.base + i * LIVE_PAGE), i);
	unreadable = 0;
	live_equal(read_written(half, false, &unreadable), written - value);
	live_ok(vvm_close(vm));
}
END_TEST

/* The other functions and system calls say so as well, then all is well. */
START_TEST(full_swap_and_the_other_functions)
{
	uint64_t a, value = 1;
	char *fresh;
	int fds[2];

	fill_up(100);
	fresh = live_map(vm, 16, LIVE_RW);
	a = live_addr(fresh);
	live_expect(vvm_store(vm, a, &value, 8), -VVM_ENOFRAME);
	live_expect(vvm_load(vm, a, &value, 8), -VVM_ENOFRAME);
	live_expect(vvm_touch(vm, a, LIVE_PAGE, VVM_TOUCH_READ), -VVM_ENOFRAME);
	live_expect(vvm_pin(vm, a, LIVE_PAGE), -VVM_ENOFRAME);
	live_equal(live_stats(vm).pinned_pages, 0);
	live_expect(vvm_resize(vm, 64 * LIVE_PAGE), -EBUSY);
	live_equal(live_stats(vm).budget_pages, 256);
	live_check(pipe(fds) == 0);
	live_equal(write(fds[1], fresh + LIVE_PAGE, 8), -1);
	live_equal(errno, EFAULT);
	live_ok(vvm_resize(vm, 512 * LIVE_PAGE)); /* more RAM helps too */
	value = 1;
	live_ok(vvm_store(vm, a, &value, 8));
	/* system calls do not bring pages in */
	if (live_inline() || live_missing_system_calls())
		live_ok(vvm_touch(vm, a + LIVE_PAGE, LIVE_PAGE,
				  VVM_TOUCH_READ));
	/* the page that just failed may go on failing for some ms */
	live_wait(write(fds[1], fresh + LIVE_PAGE, 8) == 8, 10000);
	live_ok(vvm_unmap(vm, live_addr(load.base), LOAD_PAGES * LIVE_PAGE));
	live_equal(live_stats(vm).swap_used_pages, 0);
	live_equal(live_stats(vm).resident_pages, 2);
	live_ok(vvm_resize(vm, 64 * LIVE_PAGE));
	live_equal(*(uint64_t *)fresh, 1);
	live_ok(vvm_close(vm));
}
END_TEST

static char *_Atomic spare;

static void unmap_spare(struct vvm *space, const struct vvm_low_space *info,
			void *arg)
{
	char *p = atomic_exchange(&spare, NULL);

	(void)info;
	(void)arg;
	if (p)
		live_ok(vvm_unmap(space, live_addr(p), 2048 * LIVE_PAGE));
}

/* vvm_resize() waits for room that the callback makes by a mapping call. */
START_TEST(the_callback_makes_room_for_a_resize)
{
	char *kept, *given;

	vm = open_with(1024, 2560 * LIVE_PAGE, 20000, NULL);
	kept = live_map(vm, 1024, LIVE_RW);
	given = live_map(vm, 2048, LIVE_RW);
	for (uint64_t i = 0; i < 2048; i++)
		live_fill(given + i * LIVE_PAGE, i, 1);
	for (uint64_t i = 0; i < 1024; i++)
		live_fill(kept + i * LIVE_PAGE, i, 1);
	spare = given;
	live_ok(vvm_on_low_space(vm, unmap_spare, NULL));
	live_ok(vvm_resize(vm, 128 * LIVE_PAGE));
	live_check(!spare);
	live_check(live_stats(vm).resident_pages <= 128);
	for (uint64_t i = 0; i < 1024; i++)
		live_equal(live_verify(kept + i * LIVE_PAGE, i, 1), -1);
	live_ok(vvm_close(vm));
}
END_TEST

static void unmap_fresh(struct vvm *space, const struct vvm_low_space *info,
			void *arg)
{
	char *p = atomic_exchange(&spare, NULL);

	(void)info;
	(void)arg;
	if (p)
		live_ok(vvm_unmap(space, live_addr(p), 1024 * LIVE_PAGE));
}

/*
 * What it unmaps may be what its own thread is writing out: with a ring that
 * has many transfers under way some of that is.
 */
START_TEST(the_callback_unmaps_what_is_being_written)
{
	struct vvm_options o;
	char *old, *fresh, *more;

	live_options(&o, 1024);
	o.swap_limit_bytes = 2560 * LIVE_PAGE;
	o.frame_wait_ms = wait_scaled(20000);
	live_ok(vvm_open(&vm, &o));
	old = live_map(vm, 2048, LIVE_RW);
	fresh = live_map(vm, 1024, LIVE_RW);
	more = live_map(vm, 1024, LIVE_RW);
	spare = fresh;
	live_ok(vvm_on_low_space(vm, unmap_fresh, NULL));
	for (uint64_t i = 0; i < 2048; i++)
		live_fill(old + i * LIVE_PAGE, i, 1);
	for (uint64_t i = 0; i < 1024; i++)
		live_fill(fresh + i * LIVE_PAGE, i, 2);
	for (uint64_t i = 0; i < 1024; i++)
		live_fill(more + i * LIVE_PAGE, i, 3);
	live_check(!spare);
	for (uint64_t i = 0; i < 2048; i++)
		live_equal(live_verify(old + i * LIVE_PAGE, i, 1), -1);
	for (uint64_t i = 0; i < 1024; i++)
		live_equal(live_verify(more + i * LIVE_PAGE, i, 3), -1);
	live_ok(vvm_close(vm));
}
END_TEST

static enum vvm_verdict make_room(struct vvm *space,
				  const struct vvm_fault *fault, void *arg)
{
	_Atomic int *calls = arg;

	(*calls)++;
	live_equal(fault->error, -VVM_ENOFRAME);
	live_ok(vvm_advise(space, live_addr(load.base), LOAD_PAGES * LIVE_PAGE,
			   VVM_ADV_DONTNEED));
	return VVM_RETRY;
}

START_TEST(full_swap_is_repaired_by_the_fault_callback)
{
	_Atomic int calls = 0;
	char *fresh;

	fill_up(100);
	fresh = live_map(vm, 16, LIVE_RW);
	live_ok(vvm_on_fault(vm, make_room, &calls));
	for (uint64_t i = 0; i < 16; i++)
		*(volatile uint64_t *)(fresh + i * LIVE_PAGE) = i + 1;
	live_check(calls >= 1);
	for (uint64_t i = 0; i < 16; i++)
		live_equal(*(uint64_t *)(fresh + i * LIVE_PAGE), i + 1);
	live_ok(vvm_close(vm));
}
END_TEST

/* ---- a full swap, and a process that is stopped ---- */

#define PATIENCE_MS 800
#define STOPPED_US  1000000

static struct {
	int ready, go; /* ends of pipes */
	char *base;
	_Atomic uint64_t stored;
} stopped;

static void *write_more_than_fits(void *arg)
{
	int *sig = arg;

	for (uint64_t i = 16; i < 24 && !*sig; i++) {
		*sig = live_try_store(stopped.base + i * LIVE_PAGE, i);
		stopped.stored++;
	}
	return NULL;
}

/* There are 16 frames and 4 slots: one of 24 pages waits for a frame. */
static bool stuck(void)
{
	static uint64_t stored;
	static unsigned looks;

	looks = stopped.stored == stored ? looks + 1 : 0;
	stored = stopped.stored;
	return looks > 50 && live_stats(vm).stalls;
}

static int make_room_after_a_stop(void *arg)
{
	pthread_t thread;
	int sig = 0;
	char byte = 0;

	(void)arg;
	live_catch(); /* libvvm's handler comes on top of it */
	vm = open_with(16, 4 * LIVE_PAGE, PATIENCE_MS, NULL);
	stopped.base = live_map(vm, 24, LIVE_RW);
	for (uint64_t i = 0; i < 16; i++)
		*(volatile uint64_t *)(stopped.base + i * LIVE_PAGE) = i + 1;
	live_check(pthread_create(&thread, NULL, write_more_than_fits, &sig) ==
		   0);
	live_wait(stuck(), 10000);
	live_check(write(stopped.ready, &byte, 1) == 1);
	live_check(read(stopped.go, &byte, 1) == 1);
	live_ok(vvm_advise(vm, live_addr(stopped.base), 16 * LIVE_PAGE,
			   VVM_ADV_DONTNEED));
	live_check(pthread_join(thread, NULL) == 0);
	live_equal(sig, 0);
	for (uint64_t i = 16; i < 24; i++)
		live_equal(*(uint64_t *)(stopped.base + i * LIVE_PAGE), i);
	live_ok(vvm_close(vm));
	return 0;
}

/* It had no chance to find a frame meanwhile: no access fails for that. */
START_TEST(full_swap_and_a_process_that_is_stopped)
{
	int ready[2], go[2], status;
	char byte = 0;
	pid_t pid;

	live_check(pipe(ready) == 0 && pipe(go) == 0);
	stopped.ready = ready[1];
	stopped.go = go[0];
	pid = live_fork(make_room_after_a_stop, NULL);
	close(ready[1]);
	live_check(read(ready[0], &byte, 1) == 1);
	live_check(kill(pid, SIGSTOP) == 0);
	live_check(waitpid(pid, &status, WUNTRACED) == pid &&
		   WIFSTOPPED(status));
	live_nap_us(STOPPED_US);
	live_check(kill(pid, SIGCONT) == 0);
	live_nap_us(50000); /* who would give up has given up */
	live_check(write(go[1], &byte, 1) == 1);
	live_ended_ok(pid);
	close(ready[0]);
	close(go[0]);
	close(go[1]);
}
END_TEST

/* ---- failing writes ---- */

START_TEST(failing_swap_writes_keep_pages_resident)
{
	struct vvm_stats st;
	uint64_t end;
	char *p;
	int sig;

	live_catch();
	vm = open_with(64, 0, 200, NULL);
	p = live_map(vm, 200, LIVE_RW);
	os_inject(OS_pwrite, 1, true, EIO);
	for (uint64_t i = 0; i < 60; i++) {
		/* 2 % are kept free: reclaim may start, and fails */
		live_equal(live_try_store(p + i * LIVE_PAGE, live_stamp(i, 1)),
			   0);
	}
	for (uint64_t i = 60; i < 64; i++)
		live_try_store(p + i * LIVE_PAGE, live_stamp(i, 1));
	sig = live_try_store(p + 100 * LIVE_PAGE, 1);
	live_equal(sig, SIGBUS);
	live_check(live_signal_addr == p + 100 * LIVE_PAGE);
	live_wait(live_stats(vm).writeback_failed_pages > 0, 10000);
	st = live_stats(vm);
	live_equal(st.evict_written_pages, 0);
	live_equal(st.poisoned_pages, 0);
	live_equal(
		live_count_flags(vm, p, 60, VVM_PAGE_RESIDENT | VVM_PAGE_DIRTY),
		60);
	for (uint64_t i = 0; i < 60; i++)
		live_equal(*(uint64_t *)(p + i * LIVE_PAGE), live_stamp(i, 1));
	os_inject_clear();
	end = live_now_ms() + 20000; /* the back-off has an end */
	while (live_try_store(p + 100 * LIVE_PAGE, live_stamp(100, 1)))
		live_check(live_now_ms() < end);
	for (uint64_t i = 60; i < 200; i++) {
		while (live_try_store(p + i * LIVE_PAGE, live_stamp(i, 1)))
			live_check(live_now_ms() < end);
	}
	for (uint64_t i = 0; i < 200; i++)
		live_equal(*(uint64_t *)(p + i * LIVE_PAGE), live_stamp(i, 1));
	live_check(live_stats(vm).evict_written_pages > 0);
	live_ok(vvm_close(vm));
}
END_TEST

/* Every seventh write fails once, all the time: nobody notices. */
static void *fail_now_and_then(void *arg)
{
	atomic_bool *stop = arg;

	while (!atomic_load(stop)) {
		os_inject(OS_pwrite, 7, false, EIO);
		live_nap_us(300);
	}
	return NULL;
}

START_TEST(writes_that_fail_now_and_then_lose_nothing)
{
	atomic_bool stop = false;
	uint64_t version[300] = {0}, random = 3;
	pthread_t thread;
	char *p;

	live_catch();
	vm = open_with(64, 0, wait_scaled(20000), NULL);
	p = live_map(vm, 300, LIVE_RW);
	live_equal(pthread_create(&thread, NULL, fail_now_and_then, &stop), 0);
	for (uint64_t n = 1; n <= 3000; n++) {
		uint64_t i = live_below(&random, 300);

		if (version[i])
			live_equal(
				live_verify(p + i * LIVE_PAGE, i, version[i]),
				-1);
		live_fill(p + i * LIVE_PAGE, i, version[i] = n);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	os_inject_clear();
	for (uint64_t i = 0; i < 300; i++)
		if (version[i])
			live_equal(
				live_verify(p + i * LIVE_PAGE, i, version[i]),
				-1);
	live_check(live_stats(vm).peak_pages <= 64);
	live_ok(vvm_close(vm));
}
END_TEST

/* ---- failing reads ---- */

#define OUT 32 /* pages that are in swap only */

/* A space with OUT written pages swapped out and most frames free. */
static char *swapped_out(const char *path)
{
	char *p, *q;

	live_catch();
	vm = open_with(64, 0, wait_scaled(2000), path);
	p = live_map(vm, OUT, LIVE_RW);
	q = live_map(vm, 300, LIVE_RW);
	live_ok(vvm_advise(vm, live_addr(p), OUT * LIVE_PAGE, VVM_ADV_RANDOM));
	for (uint64_t i = 0; i < OUT; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
	live_push_out(vm, p, OUT, q, 300);
	live_ok(vvm_unmap(vm, live_addr(q), 300 * LIVE_PAGE));
	live_equal(live_count_flags(vm, p, OUT, VVM_PAGE_SWAPPED), OUT);
	return p;
}

START_TEST(a_read_that_fails_once_is_repeated)
{
	char *p = swapped_out(NULL);

	os_inject(OS_pread, 1, false, EIO);
	for (uint64_t i = 0; i < OUT; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_check(os_inject_uses(OS_pread) > 0);
	live_equal(live_stats(vm).poisoned_pages, 0);
	live_equal(live_stats(vm).read_errors, 0);
	live_ok(vvm_close(vm));
}
END_TEST

static enum vvm_verdict expect_poison(struct vvm *space,
				      const struct vvm_fault *fault, void *arg)
{
	_Atomic int *calls = arg;

	(void)space;
	(*calls)++;
	live_equal(fault->error, -VVM_EPOISON);
	return VVM_DECLINE;
}

/* Page 5 is lost and stays so; all others are fine. */
static void check_poisoned(char *p)
{
	uint64_t a = live_addr(p + 5 * LIVE_PAGE), value = 0;
	_Atomic int calls = 0;
	int fds[2];

	for (uint64_t i = 0; i < OUT; i++)
		if (i != 5)
			live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_equal(live_try_load(p + 5 * LIVE_PAGE + 8, &value), SIGBUS);
	live_check(live_signal_addr == p + 5 * LIVE_PAGE + 8);
	live_equal(live_try_store(p + 5 * LIVE_PAGE + 16, 1), SIGBUS);
	live_check(live_signal_addr == p + 5 * LIVE_PAGE + 16);
	live_expect(vvm_load(vm, a, &value, 8), -VVM_EPOISON);
	live_expect(vvm_load(vm, a - 4, &value, 8), -VVM_EPOISON);
	live_expect(vvm_store(vm, a, &value, 8), -VVM_EPOISON);
	live_expect(vvm_touch(vm, a, LIVE_PAGE, VVM_TOUCH_READ), -VVM_EPOISON);
	live_expect(vvm_pin(vm, a - LIVE_PAGE, 2 * LIVE_PAGE), -VVM_EPOISON);
	live_equal(live_stats(vm).pinned_pages, 0);
	live_check(live_flags(vm, p + 5 * LIVE_PAGE) & VVM_PAGE_POISONED);
	live_equal(live_count_flags(vm, p, OUT, VVM_PAGE_POISONED), 1);
	live_check(pipe(fds) == 0);
	live_equal(write(fds[1], p + 5 * LIVE_PAGE, 8), -1);
	live_equal(errno, EFAULT);
	live_equal(live_stats(vm).poisoned_pages, 1);
	live_check(live_stats(vm).read_errors >= 1);
	live_ok(vvm_on_fault(vm, expect_poison, &calls));
	live_equal(live_try_load(p + 5 * LIVE_PAGE, &value), SIGBUS);
	live_equal(calls, 1);
	/* void content may be given up, and then the page is usable again */
	live_ok(vvm_advise(vm, a, LIVE_PAGE, VVM_ADV_DONTNEED));
	live_check(live_is_zero(p + 5 * LIVE_PAGE));
	live_fill(p + 5 * LIVE_PAGE, 5, 1);
	for (uint64_t i = 0; i < OUT; i++)
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
	live_equal(calls, 1);
}

START_TEST(a_read_that_fails_for_ever_poisons_one_page)
{
	char *p = swapped_out(NULL);
	uint64_t value;

	os_inject(OS_pread, 1, true, EIO);
	live_equal(live_try_load(p + 5 * LIVE_PAGE + 8, &value), SIGBUS);
	live_check(live_signal_addr == p + 5 * LIVE_PAGE + 8);
	os_inject_clear();
	check_poisoned(p);
	live_ok(vvm_close(vm));
}
END_TEST

/* The same when a checked function meets it first. */
START_TEST(a_load_meets_a_failing_read)
{
	char *p = swapped_out(NULL);
	uint64_t value;

	os_inject(OS_pread, 1, true, EIO);
	live_expect(vvm_load(vm, live_addr(p) + 5 * LIVE_PAGE, &value, 8),
		    -VVM_EPOISON);
	os_inject_clear();
	check_poisoned(p);
	live_ok(vvm_unmap(vm, live_addr(p), OUT * LIVE_PAGE));
	live_equal(live_stats(vm).resident_pages, 0);
	live_equal(live_stats(vm).swap_used_pages, 0);
	live_ok(vvm_close(vm));
}
END_TEST

/* Sixteen threads wait for the same page: each gets its own SIGBUS. */
static void *load_one(void *arg)
{
	uint64_t value;

	live_equal(live_try_load(arg, &value), SIGBUS);
	live_check(live_signal_addr == arg);
	return NULL;
}

START_TEST(all_who_wait_for_a_poisoned_page_get_sigbus)
{
	char *p = swapped_out(NULL);
	pthread_t thread[16];

	os_inject(OS_pread, 1, true, EIO);
	for (int i = 0; i < 16; i++)
		live_equal(pthread_create(&thread[i], NULL, load_one,
					  p + 5 * LIVE_PAGE + 8 * i),
			   0);
	for (int i = 0; i < 16; i++)
		pthread_join(thread[i], NULL);
	os_inject_clear();
	check_poisoned(p);
	live_ok(vvm_close(vm));
}
END_TEST

/* The disk gives back something else than was written. */
START_TEST(a_corrupted_swap_file_is_noticed)
{
	const char *path = live_path("corrupt");
	char *p = swapped_out(path);
	uint64_t value, lost = 0;

	live_overwrite(path);
	for (uint64_t i = 0; i < OUT; i++)
		lost += live_try_load(p + i * LIVE_PAGE, &value) == SIGBUS;
	live_equal(lost, OUT); /* not one is believed */
	live_equal(live_stats(vm).poisoned_pages, OUT);
	live_ok(vvm_close(vm));
}
END_TEST

/* A short read is no data. */
START_TEST(a_truncated_swap_file_is_noticed)
{
	const char *path = live_path("short");
	char *p = swapped_out(path);
	uint64_t value;

	live_equal(truncate(path, 0), 0);
	for (uint64_t i = 0; i < OUT; i++)
		live_equal(live_try_load(p + i * LIVE_PAGE, &value), SIGBUS);
	live_ok(vvm_close(vm));
}
END_TEST

/* Reads fail under load: what is readable is right, what is not is SIGBUS. */
START_TEST(failing_reads_under_load)
{
	uint64_t random = 5, value, lost = 0, seen = 0;
	char *p, gone[300] = "";

	live_catch();
	vm = open_with(32, 0, wait_scaled(5000), NULL);
	p = live_map(vm, 300, LIVE_RW);
	for (uint64_t i = 0; i < 300; i++)
		live_fill(p + i * LIVE_PAGE, i, 1);
	/* Clean pages go without I/O: only reads from swap meet the error. */
	for (uint64_t i = 0; i < 600; i++)
		live_equal(live_verify(p + i % 300 * LIVE_PAGE, i % 300, 1),
			   -1);
	for (int n = 0; n < 3000; n++) {
		uint64_t i = live_below(&random, 300);

		if (n % 100 == 0)
			os_inject(OS_pread, 1, true, EIO);
		else if (n % 100 == 5)
			os_inject_clear();
		if (live_try_load(p + i * LIVE_PAGE, &value)) {
			gone[i] = 1;
			lost++;
			continue;
		}
		live_check(!gone[i]); /* lost is lost */
		live_equal(live_verify(p + i * LIVE_PAGE, i, 1), -1);
		seen++;
	}
	os_inject_clear();
	live_check(lost > 0 && seen > 0);
	live_ok(vvm_close(vm));
}
END_TEST

/* ---- a kernel that refuses ---- */

/* One failure of each kind at each of the first calls: right data, later. */
START_TEST(failing_fills_are_repeated)
{
	static const int error[] = {EAGAIN, ENOMEM, EEXIST};
	static const enum os_point point[] = {OS_uffd_copy, OS_uffd_zero};
	int e = error[_i % 3];
	enum os_point where = point[_i / 3];
	char *p;

	live_catch();
	vm = open_with(16, 0, wait_scaled(5000), NULL);
	p = live_map(vm, 64, LIVE_RW);
	for (uint64_t n = 1; n <= 12; n++) {
		uint64_t value;

		os_inject(where, n, false, e);
		for (uint64_t i = 0; i < 64; i++) {
			char *at = p + i * LIVE_PAGE;
			uint64_t want = n == 1 ? 0 : live_stamp(i, n - 1);

			live_equal(live_try_load(at, &value), 0);
			live_check(value == want);
			live_equal(live_try_store(at, live_stamp(i, n)), 0);
		}
		os_inject_clear();
	}
	for (uint64_t i = 0; i < 64; i++)
		live_equal(*(uint64_t *)(p + i * LIVE_PAGE), live_stamp(i, 12));
	live_check(live_stats(vm).peak_pages <= 16);
	live_ok(vvm_close(vm));
}
END_TEST

static const struct {
	enum os_point point;
	const char *name;
	int error;
} points[] = {
#define X(name) {OS_##name, #name, 0},
	OS_POINTS(X)
#undef X
};

static int plausible_error(enum os_point point)
{
	switch (point) {
	case OS_memfd:
	case OS_uffd_open:
	case OS_eventfd:
		return EMFILE;
	case OS_open:
	case OS_pread:
	case OS_pwrite:
	case OS_truncate:
		return EIO;
	case OS_fallocate:
		return ENOSPC;
	case OS_thread:
		return EAGAIN;
	default:
		return ENOMEM;
	}
}

static bool documented_open_error(int r)
{
	static const int list[] = {
		EINVAL, EPERM, ENOSYS, ENOTSUP, EBUSY,	ENOENT, EACCES, ENOTDIR,
		ELOOP,	EROFS, EIO,    ENOSPC,	ENOMEM, EMFILE, ENFILE, EAGAIN};

	for (size_t i = 0; i < LIVE_LEN(list); i++)
		if (r == -list[i])
			return true;
	return false;
}

/* The n-th use of a point during open fails, for every n. */
START_TEST(open_fails_cleanly_at_every_point)
{
	enum os_point point = points[_i].point;
	struct vvm_options o;
	int fds, threads, maps;

	live_options(&o, 64);
	o.handlers = 2;
	for (int i = 0; i < 3; i++) { /* stacks are cached from now on */
		live_ok(vvm_open(&vm, &o));
		live_ok(vvm_close(vm));
	}
	fds = live_count_fds();
	threads = live_count_threads();
	maps = live_count_maps();
	for (uint64_t n = 1;; n++) {
		bool reached;
		int r;

		live_check(n < 200);
		vm = NULL;
		os_inject_clear();
		os_inject(point, n, false, plausible_error(point));
		r = vvm_open(&vm, &o);
		reached = os_inject_uses(point) >= n;
		os_inject_clear();
		if (r == 0)
			live_ok(vvm_close(vm));
		else if (!documented_open_error(r))
			live_fail("%s, use %d: vvm_open returns %d",
				  points[_i].name, (int)n, r);
		live_equal(live_count_fds(), fds);
		live_equal(live_count_threads(), threads);
		live_check(LIVE_SANITIZED || live_count_maps() <= maps + 4);
		if (!reached) {
			live_ok(r);
			break;
		}
	}
}
END_TEST

#define SCRIPT_PAGES 24

/* Map, write, read, protect, unmap at a tiny budget; errors are fine. */
static void script(char *kept, uint64_t version)
{
	static const int allowed[] = {0, ENOMEM, VVM_ENOFRAME, VVM_EPOISON};
	uint64_t addr = VVM_ANYWHERE, value;
	char *p;
	int r = vvm_map(vm, &addr, 16 * LIVE_PAGE, LIVE_RW, "script");

	live_check(r == 0 || r == -ENOMEM);
	for (uint64_t i = 0; i < SCRIPT_PAGES; i++) {
		char *at = kept + i * LIVE_PAGE;
		int sig = live_try_load(at, &value);

		if (!sig)
			live_check(value == live_stamp(i, version - 1));
	}
	if (r)
		return;
	p = vvm_ptr(vm, addr);
	for (uint64_t i = 0; i < 16; i++) {
		int sig = live_try_store(p + i * LIVE_PAGE, live_stamp(i, 7));

		if (sig) {
			live_equal(sig, SIGBUS);
			continue;
		}
		sig = live_try_load(p + i * LIVE_PAGE, &value);
		if (!sig)
			live_check(value == live_stamp(i, 7));
	}
	r = -vvm_touch(vm, addr, 16 * LIVE_PAGE, VVM_TOUCH_READ);
	for (size_t i = 0; i <= LIVE_LEN(allowed); i++) {
		if (i == LIVE_LEN(allowed))
			live_fail("vvm_touch: %d", -r);
		if (r == allowed[i])
			break;
	}
	r = vvm_protect(vm, addr, LIVE_PAGE, VVM_READ);
	live_check(r == 0 || r == -ENOMEM);
	r = vvm_advise(vm, addr, 16 * LIVE_PAGE, VVM_ADV_DONTNEED);
	live_check(r == 0 || r == -ENOMEM);
	r = vvm_unmap(vm, addr, 16 * LIVE_PAGE);
	live_check(r == 0 || r == -ENOMEM);
	os_inject_clear();
	live_ok(vvm_unmap(vm, addr, 16 * LIVE_PAGE));
}

/*
 * The n-th use (1, 2, 3, 5, 8, ...) of a point while a space works fails once:
 * what was written before is intact or, if its own read was hit, poisoned.
 */
START_TEST(work_survives_a_failure_at_every_point)
{
	enum os_point point = points[_i].point;
	char *kept;

	live_catch();
	vm = open_with(16, 0, wait_scaled(1000), NULL);
	kept = live_map(vm, SCRIPT_PAGES, LIVE_RW);
	for (uint64_t i = 0; i < SCRIPT_PAGES; i++)
		*(volatile uint64_t *)(kept + i * LIVE_PAGE) = live_stamp(i, 0);
	for (uint64_t n = 1, last = 0; n <= 34; n += last, last = n - last) {
		os_inject_clear();
		os_inject(point, n, false, plausible_error(point));
		script(kept, 1);
		os_inject_clear();
		for (uint64_t i = 0; i < SCRIPT_PAGES; i++) {
			uint64_t value;
			int sig = live_try_load(kept + i * LIVE_PAGE, &value);

			if (sig)
				live_fail("%s, use %d: page %d is lost",
					  points[_i].name, (int)n, (int)i);
			live_check(value == live_stamp(i, 0));
		}
	}
	live_check(live_stats(vm).peak_pages <= 16);
	live_check(live_within(live_memfd(), 16));
	live_ok(vvm_close(vm));
}
END_TEST

static void add_full(Suite *s)
{
	TCase *tc = test_case(s, "full swap");

	test_counted(tc, full_swap_fails_some_accesses_and_loses_nothing);
	tcase_add_test(tc, the_callback_makes_room_for_a_resize);
	tcase_add_test(tc, the_callback_unmaps_what_is_being_written);
	test_counted(tc, full_swap_and_the_other_functions);
	tcase_add_test(tc, full_swap_is_repaired_by_the_fault_callback);
	test_counted(tc, full_swap_and_a_process_that_is_stopped);
}

static void add_io(Suite *s)
{
	TCase *tc = test_case(s, "failing I/O");

	tcase_add_unchecked_fixture(tc, live_dir_make, live_dir_remove);
	test_counted(tc, failing_swap_writes_keep_pages_resident);
	tcase_add_test(tc, writes_that_fail_now_and_then_lose_nothing);
	tcase_add_test(tc, a_read_that_fails_once_is_repeated);
	test_counted(tc, a_read_that_fails_for_ever_poisons_one_page);
	test_counted(tc, a_load_meets_a_failing_read);
	test_counted(tc, all_who_wait_for_a_poisoned_page_get_sigbus);
	test_counted(tc, a_corrupted_swap_file_is_noticed);
	tcase_add_test(tc, a_truncated_swap_file_is_noticed);
	tcase_add_test(tc, failing_reads_under_load);
}

static void add_kernel(Suite *s)
{
	TCase *tc = test_case(s, "failing kernel");

	tcase_add_loop_test(tc, failing_fills_are_repeated, 0, 6);
	tcase_add_loop_test(tc, open_fails_cleanly_at_every_point, 0,
			    OS_POINT_COUNT);
	tcase_add_loop_test(tc, work_survives_a_failure_at_every_point, 0,
			    OS_POINT_COUNT);
}

static void add_tests(Suite *s)
{
	add_full(s);
	add_io(s);
	if (!live_inline()) /* what fails there fails in either mode */
		add_kernel(s);
}

const struct test_program test_program = {
	.name = "live_failures",
	.add = add_tests,
	.missing = live_missing,
	.modes = true,
};
