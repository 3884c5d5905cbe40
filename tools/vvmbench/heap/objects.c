/* SPDX-License-Identifier: MIT */
/*
 * objects.c - the workload of `vvmbench heap`.
 *
 * What allocation traces of servers, compilers and interpreters have in
 * common: most objects are small, most die young, the others live long and
 * die in another order than they were born in, some of them in another
 * thread. So each thread has
 *	slots	for its share of the live data. A step replaces the object of
 *		a slot that is chosen at random: lifetimes are exponential.
 *	ring	of temporaries: every second object dies after 16 others.
 *	inbox	of objects that its neighbour wants freed: each fourth.
 * One object in eight is calloc'd, one replacement in sixteen is a realloc to
 * half as much again.
 *
 * Sizes: half of the objects have up to 64 bytes, nine in ten up to 512, one
 * in 400 more than 32 KiB; in each range uniform. In bytes, the few large
 * ones are half of the heap, as in real ones.
 *
 * A new object is stamped in each cache line. Between the steps the program
 * looks up slots, by Zipf's law, and checks the stamp. free() gets objects
 * without a look at them, as a program does that drops a cache or a tree of
 * which it knows the nodes from an index.
 */
#include "vvmbench/heap/objects.h"

#include "common/tool.h"
#include "vvmbench/workload/clock.h"
#include "vvmbench/workload/progress.h"
#include "vvmbench/workload/space.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

enum { RING = 16, INBOX = 1024, LINE = 64 };

struct object {
	unsigned char *ptr;
	size_t bytes;
};

/* Objects on the way to the thread that frees them: one writer, one reader. */
struct inbox {
	_Alignas(LINE) _Atomic uint64_t head; /* (o) reader */
	_Alignas(LINE) _Atomic uint64_t tail; /* (o) writer */
	struct object object[INBOX];
};

struct heap_run;

struct heap_worker {
	pthread_t thread;
	struct heap_run *run;
	unsigned id;
	struct rng rng;
	struct zipf zipf;
	struct scramble scramble;
	struct object *slot; /* run->slots of them */
	struct object ring[RING];
	unsigned turn;
	struct inbox *inbox, *outbox;
	uint64_t ops, live_bytes;
};

struct heap_run {
	const struct heap_plan *plan;
	const struct heap_engine *engine;
	uint64_t slots; /* (i) of each thread */
	struct heap_worker *worker;
	pthread_barrier_t barrier;
	_Atomic bool stop;
	uint64_t start_us, end_us;
};

/* ------------------------------------------------------------------ */
/* Sizes								*/

static const struct {
	unsigned per_1200; /* of the objects */
	uint32_t min, max;
} ranges[] = {
	{600, 8, 64},	  {300, 65, 256},   {180, 257, 512},	{78, 513, 2048},
	{30, 2049, 8192}, {9, 8193, 32768}, {3, 32769, 131072},
};

enum { RANGES = sizeof(ranges) / sizeof(ranges[0]) };

size_t heap_random_bytes(struct rng *rng)
{
	uint64_t pick = rng_below(rng, 1200);
	unsigned i;

	for (i = 0; pick >= ranges[i].per_1200; i++)
		pick -= ranges[i].per_1200;
	return ranges[i].min +
	       rng_below(rng, ranges[i].max - ranges[i].min + 1);
}

double heap_mean_bytes(void)
{
	double sum = 0;
	unsigned i;

	for (i = 0; i < RANGES; i++)
		sum += ranges[i].per_1200 * (ranges[i].min + ranges[i].max) /
		       2.0;
	return sum / 1200;
}

/* ------------------------------------------------------------------ */
/* Objects								*/

/* The word of a line depends on where it is and how long the object is. */
static uint64_t word(const struct object *o, size_t at)
{
	return ((uint64_t)(uintptr_t)o->ptr + at) * 0x9e3779b97f4a7c15ull ^
	       o->bytes;
}

static void stamp(const struct object *o)
{
	size_t at;

	for (at = 0; at + 8 <= o->bytes; at += LINE)
		*(uint64_t *)(void *)(o->ptr + at) = word(o, at);
}

static void check(const struct object *o)
{
	if (*(const uint64_t *)(const void *)o->ptr != word(o, 0))
		tool_die(TOOL_FAILED, "%zu bytes at %p have wrong content",
			 o->bytes, (void *)o->ptr);
}

static void allocate(struct heap_worker *w, struct object *o)
{
	const struct heap_engine *e = w->run->engine;

	o->bytes = heap_random_bytes(&w->rng);
	if (rng_below(&w->rng, 8) == 0)
		o->ptr = e->calloc(e->self, o->bytes);
	else
		o->ptr = e->malloc(e->self, o->bytes);
	if (!o->ptr)
		tool_die(TOOL_FAILED, "no memory for %zu bytes", o->bytes);
	stamp(o);
	w->ops++;
}

static void release(struct heap_worker *w, struct object *o)
{
	const struct heap_engine *e = w->run->engine;

	e->free(e->self, o->ptr);
	o->ptr = NULL;
	w->ops++;
}

static void enlarge(struct heap_worker *w, struct object *o)
{
	const struct heap_engine *e = w->run->engine;

	/* copying checks and moves the stamps of a size that stays small */
	check(o);
	o->bytes = o->bytes + o->bytes / 2;
	if (o->bytes > 196608)
		o->bytes = 65536;
	o->ptr = e->realloc(e->self, o->ptr, o->bytes);
	if (!o->ptr)
		tool_die(TOOL_FAILED, "no memory for %zu bytes", o->bytes);
	stamp(o);
	w->ops++;
}

/* ------------------------------------------------------------------ */
/* Steps								*/

/* False: it is full. */
static bool post(struct inbox *box, const struct object *o)
{
	uint64_t tail = atomic_load_explicit(&box->tail, memory_order_relaxed);

	if (tail - atomic_load_explicit(&box->head, memory_order_acquire) ==
	    INBOX)
		return false;
	box->object[tail % INBOX] = *o;
	atomic_store_explicit(&box->tail, tail + 1, memory_order_release);
	return true;
}

static void empty_inbox(struct heap_worker *w)
{
	struct inbox *box = w->inbox;
	uint64_t head = atomic_load_explicit(&box->head, memory_order_relaxed);
	uint64_t tail = atomic_load_explicit(&box->tail, memory_order_acquire);

	for (; head < tail; head++)
		release(w, &box->object[head % INBOX]);
	atomic_store_explicit(&box->head, head, memory_order_release);
}

static void temporary(struct heap_worker *w)
{
	struct object *o = &w->ring[w->turn++ % RING];

	if (o->ptr) {
		check(o);
		release(w, o);
	}
	allocate(w, o);
}

static void replace(struct heap_worker *w)
{
	struct object *o = &w->slot[rng_below(&w->rng, w->run->slots)];
	uint64_t how = rng_below(&w->rng, 16);

	if (how == 0) {
		enlarge(w, o);
		return;
	}
	if (how > 4 || !post(w->outbox, o))
		release(w, o);
	allocate(w, o);
}

static void look_up(struct heap_worker *w)
{
	uint64_t rank = zipf_next(&w->zipf, &w->rng) - 1;

	check(&w->slot[scramble(&w->scramble, rank)]);
}

static void step(struct heap_worker *w)
{
	uint64_t i;

	temporary(w);
	replace(w);
	for (i = 0; i < w->run->plan->lookups; i++)
		look_up(w);
	empty_inbox(w);
}

/* ------------------------------------------------------------------ */
/* Threads								*/

static void fill(struct heap_worker *w)
{
	uint64_t i;

	for (i = 0; i < w->run->slots && !bench_interrupted(); i++)
		allocate(w, &w->slot[i]);
}

static void sum_live(struct heap_worker *w)
{
	uint64_t i;

	for (i = 0; i < w->run->slots; i++)
		w->live_bytes += w->slot[i].bytes;
}

/* After an interrupted fill() there are slots without an object. */
static void run_steps(struct heap_worker *w)
{
	while (!atomic_load_explicit(&w->run->stop, memory_order_relaxed) &&
	       !bench_interrupted())
		step(w);
}

/* Barriers: filled, warm, start and end of measuring, summed. */
static void *work(void *arg)
{
	struct heap_worker *w = arg;
	struct heap_run *run = w->run;

	fill(w);
	pthread_barrier_wait(&run->barrier);
	run_steps(w);
	pthread_barrier_wait(&run->barrier);
	w->ops = 0;
	pthread_barrier_wait(&run->barrier);
	run_steps(w);
	pthread_barrier_wait(&run->barrier);
	sum_live(w);
	pthread_barrier_wait(&run->barrier);
	return NULL;
}

/* ------------------------------------------------------------------ */
/* A run								*/

/* Memory that is touched before anything is measured. */
static void *own_memory(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		tool_die(TOOL_FAILED, "mmap: %s", strerror(errno));
	return p;
}

static void prepare(struct heap_run *run)
{
	const struct plan *plan = &run->plan->plan;
	unsigned i, n = (unsigned)plan->threads;
	struct inbox *boxes = own_memory(n * sizeof(*boxes));

	run->slots = (uint64_t)((double)run->plan->live_bytes /
				heap_mean_bytes() / n) +
		     1;
	run->worker = own_memory(n * sizeof(*run->worker));
	for (i = 0; i < n; i++) {
		struct heap_worker *w = &run->worker[i];

		w->run = run;
		w->id = i;
		w->rng.state = plan->seed * 1000 + i;
		zipf_init(&w->zipf, run->slots, plan->theta);
		scramble_init(&w->scramble, run->slots, plan->seed + i);
		w->slot = own_memory(run->slots * sizeof(*w->slot));
		w->inbox = &boxes[i];
		w->outbox = &boxes[(i + 1) % n];
	}
	pthread_barrier_init(&run->barrier, NULL, n + 1);
}

/* Faults that waited for a read from swap. */
static uint64_t fault_count(const struct heap_engine *e)
{
	struct vvm_stats stats;
	struct rusage u;

	if (e->vm) {
		bench_space_stats(e->vm, &stats);
		return (uint64_t)stats.faults_swapin;
	}
	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)u.ru_majflt;
}

static uint64_t cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void pause_for(double seconds)
{
	uint64_t end = tool_now_us() + (uint64_t)(seconds * 1e6);

	while (tool_now_us() < end && !bench_interrupted()) {
		struct timespec nap = {0, 5000000};

		nanosleep(&nap, NULL);
	}
}

static void measure(struct heap_run *run, struct heap_figures *f)
{
	const struct heap_engine *e = run->engine;
	uint64_t start, us, faults = fault_count(e), cpu = cpu_us(), ops = 0;
	unsigned i, n = (unsigned)run->plan->plan.threads;
	double *v = f->value;

	atomic_store(&run->stop, false);
	start = tool_now_us();
	pthread_barrier_wait(&run->barrier);
	pause_for(run->plan->plan.seconds);
	atomic_store(&run->stop, true);
	pthread_barrier_wait(&run->barrier);
	us = tool_now_us() - start;
	cpu = cpu_us() - cpu;
	faults = fault_count(e) - faults;
	v[HEAP_FIGURE_memory_bytes] = (double)heap_engine_memory(e);
	pthread_barrier_wait(&run->barrier);
	for (i = 0; i < n; i++) {
		ops += run->worker[i].ops;
		v[HEAP_FIGURE_live_bytes] += (double)run->worker[i].live_bytes;
	}
	v[HEAP_FIGURE_ops_per_s] = (double)ops * 1e6 / (double)us;
	v[HEAP_FIGURE_ns_per_op] = (double)us * 1e3 * n / (double)ops;
	v[HEAP_FIGURE_major_faults_per_s] = (double)faults * 1e6 / (double)us;
	v[HEAP_FIGURE_cpu_us_per_op] = (double)cpu / (double)ops;
}

bool heap_work(const struct heap_plan *plan, struct heap_engine *e,
	       void (*ready)(void *arg), void *arg, struct heap_figures *f)
{
	struct heap_run run = {.plan = plan, .engine = e};
	unsigned i, n = (unsigned)plan->plan.threads;

	prepare(&run);
	ready(arg);
	for (i = 0; i < n; i++)
		if (pthread_create(&run.worker[i].thread, NULL, work,
				   &run.worker[i]))
			tool_die(TOOL_FAILED, "cannot start a thread");
	pthread_barrier_wait(&run.barrier); /* filled */
	pause_for(plan->plan.warm_s);
	atomic_store(&run.stop, true);
	pthread_barrier_wait(&run.barrier);
	memset(f, 0, sizeof(*f));
	measure(&run, f);
	for (i = 0; i < n; i++)
		pthread_join(run.worker[i].thread, NULL);
	return !bench_interrupted();
}
