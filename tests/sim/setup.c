/* SPDX-License-Identifier: MIT */
/*
 * sim/setup.c - one seed: what it draws, and its life from vvm_open() to
 * vvm_close().
 *
 * Everything is drawn anew for each seed, how often things happen included:
 * most faults need something to be frequent, or never to happen. Half of the
 * seeds make nothing fail; there every error and every signal is a finding.
 */
#include "sim/setup.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim/forks.h"
#include "sim/memory.h"
#include "sim/sched.h"
#include "sim/watch.h"
#include "sim/work.h"
#include "space/space.h"

#define ONE_OF(...)                                 \
	((const unsigned[]){__VA_ARGS__}[sim_below( \
		sizeof((const unsigned[]){__VA_ARGS__}) / sizeof(unsigned))])

void sim_draw(void)
{
	struct sim_params *p = &K->params;

	p->strategy = (enum sim_strategy)sim_below(SIM_STRATEGIES);
	p->slice = ONE_OF(64, 200, 500, 1000, 3000, 10000);
	p->signals = ONE_OF(0, 3, 10, 50);
	p->failures = sim_chance(3) ? ONE_OF(20, 100, 1000) : 0;
	p->disk_errors = sim_chance(6) ? ONE_OF(5, 50) : 0;
	p->disk_us = ONE_OF(1, 80, 80, 1000, 20000);
	p->jumps = ONE_OF(0, 50, 1000);
	p->unmaps = ONE_OF(0, 20, 300);
	p->poison = !sim_chance(8);
	p->locked = sim_chance(6);
	p->faults =
		(enum vvm_faults)ONE_OF(VVM_FAULTS_THREAD, VVM_FAULTS_THREAD,
					VVM_FAULTS_INLINE, VVM_FAULTS_GUARD);
	p->forks = sim_chance(2);
	p->inherit = sim_chance(2);
	p->sync_io = sim_chance(3);
	p->handlers = 1 + (unsigned)sim_below(3);
	p->budget = ONE_OF(2, 4, 8, 16, 24, 40, 64);
	p->readahead = ONE_OF(0, 0, 4, 16, 64);
	p->pollers = (unsigned)sim_below(3);
	p->threads = 1 + (unsigned)sim_below(5);
	p->ops = 10 + (unsigned)sim_below(50);
	p->heap = sim_chance(2);
	p->hardened = sim_chance(6);
	p->object_bytes = ONE_OF(0, 16, 64, 400);
	if (p->heap)
		p->budget = MAX(p->budget, SIM_HEAP_BUDGET);
	p->pages = MAX(16u, p->budget * ONE_OF(1, 2, 3, 5));
	p->low_space = !p->forks && !p->heap && sim_chance(4);
	/* room for all but the cache: see sim_map_region() */
	p->swap_pages = p->low_space ? p->pages * 3 / 2 + 16 : 16384;
}

void sim_tell_params(void)
{
	const struct sim_params *p = &K->params;
	static const char *const names[] = {"uniform", "sticky", "priority",
					    "starve"};
	static const char *const faults[] = {
		[VVM_FAULTS_THREAD] = "thread",
		[VVM_FAULTS_INLINE] = "inline",
		[VVM_FAULTS_GUARD] = "guard",
	};

	printf("seed %llu: %s, slice %u, signals %u, failures %u, disk "
	       "errors %u, disk %u us, jumps %u, unmaps %u, poison %d, locked "
	       "%d\n  %s, fork %s%s, %s, %u handlers, budget %u, %u pages, "
	       "readahead %u, swap %u, %u threads, %u ops%s%s%s\n",
	       (unsigned long long)K->seed, names[p->strategy], p->slice,
	       p->signals, p->failures, p->disk_errors, p->disk_us, p->jumps,
	       p->unmaps, p->poison, p->locked, faults[p->faults],
	       p->inherit ? "inherit" : "die", p->forks ? "" : " (none)",
	       p->sync_io ? "sync" : "uring", p->handlers, p->budget, p->pages,
	       p->readahead, p->swap_pages, p->threads, p->ops,
	       p->heap ? ", heap" : "", p->hardened ? " hardened" : "",
	       p->low_space ? ", low space" : "");
	fflush(stdout);
}

/* ---- signals ---- */

static void on_signal(int sig)
{
	(void)sig;
	if (sim_self && sim_vm && sim_may_touch())
		sim_work_signal();
}

/* A child that cannot start its threads ends that way, as documented. */
static void on_abort(int sig)
{
	if (sig == SIGABRT && sim_proc && sim_lossy())
		sim_exit_process();
	sim_fail("abort (signal %d)", sig);
}

static void handle_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_handler = on_abort;
	sa.sa_flags = SA_NODEFER;
	sigaction(SIGABRT, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
}

/* ---- the program ---- */

static void open_space(void)
{
	const struct sim_params *p = &K->params;
	struct vvm_options o;
	struct vvm *vm = NULL;
	int rc;

	vvm_options_init(&o);
	o.resident_bytes = pages_to_bytes(p->budget);
	o.swap_path = "/sim";
	o.swap_limit_bytes = pages_to_bytes(p->swap_pages);
	o.io = p->sync_io ? VVM_IO_SYNC : VVM_IO_URING;
	o.faults = p->faults;
	o.fork = p->inherit ? VVM_FORK_INHERIT : VVM_FORK_DIE;
	o.handlers = p->handlers;
	o.frame_wait_ms = sim_lossy() ? 2000 : 86400000;
	o.spin_us = ONE_OF(0, 5, 20);
	o.pollers = p->pollers;
	o.readahead_max_pages = p->readahead;
	o.policy = sim_chance(3) ? "clock" : "heat";
	o.stat_segment = 0;
	rc = vvm_open(&vm, &o);
	if (rc < 0)
		sim_fail("vvm_open: error %d", -rc);
	sim_vm = vm;
	sim_watch(vm);
}

static void *thread_main(void *arg)
{
	(void)arg;
	sim_work(K->params.ops);
	return NULL;
}

static void run_threads(void)
{
	pthread_t handle[8];
	struct sim_thread *t;
	unsigned i;

	for (i = 1; i < K->params.threads; i++) {
		t = sim_thread_new("program", true);
		t->slot = (uint8_t)i;
		if (sim_thread_start(t, NULL, thread_main, NULL))
			sim_fail("pthread_create");
		handle[i] = t->handle;
	}
	sim_work(K->params.ops);
	for (i = 1; i < K->params.threads; i++)
		sim_join(handle[i]);
}

static void check_left_over(void)
{
	unsigned i;

	if (sim_frames())
		sim_fail("%llu frames are left after vvm_close()",
			 (unsigned long long)sim_frames());
	for (i = 0; i < SIM_THREADS; i++)
		if (K->thread[i].used && &K->thread[i] != sim_self)
			sim_fail("thread %u is left after vvm_close()", i);
	for (i = 0; i < SIM_FDS; i++)
		if (K->proc[sim_proc].file[i].kind)
			sim_fail("descriptor %u is left after vvm_close()", i);
	for (i = 0; i < SIM_REQUESTS; i++)
		if (K->request[i].used)
			sim_fail("a transfer is left after vvm_close()");
}

void sim_run_seed(void)
{
	struct sim_thread *self;
	unsigned i;

	sim_draw();
	if (K->verbose)
		sim_tell_params();
	handle_signals();
	sim_memory_init();
	sim_sched_init();
	K->proc[0].used = true;
	K->low_priority = (uint64_t)1 << 39;
	K->now_ns = 1000000000;
	K->starved = (int)sim_below(8);
	self = sim_thread_new("main", true);
	self->handle = pthread_self();
	sim_self = self;
	K->budget = K->params.slice;
	sim_progress();
	open_space();
	sim_low_space_init();
	/* not with a heap, whose locks are taken then */
	if (!K->params.heap && sim_chance(2))
		sim_early_prepare = sim_discard_some;
	for (i = 0; i < 3; i++)
		sim_map_region();
	sim_heap_open();
	K->fail = true;
	run_threads();
	sim_await_children();
	K->fail = false;
	sim_self->doing = "the end";
	sim_watch_all();
	sim_verify_all();
	sim_close();
	check_left_over();
}
