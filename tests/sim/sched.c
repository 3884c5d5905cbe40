/* SPDX-License-Identifier: MIT */
/*
 * sim/sched.c - the scheduler, which owns every thread.
 *
 * The threads are real ones, so that thread-local storage, stacks and signal
 * masks are real. They hand a baton on: whoever has it runs, all others sleep
 * on a futex of their own. The baton is handed on at *points* only. A point is
 * every access of the library to memory that may be shared (sim/tsan.c), every
 * call of lib/os, every access of the program to paged memory. Most points cost
 * a subtraction: a *decision* is taken when the slice is used up, which is drawn
 * anew each time, or when the thread has to wait.
 *
 * A decision takes one of the threads that can run, by the seed's strategy
 * (enum sim_strategy). The third is PCT: the first of a random order runs for
 * as long as it can, and a few times in a run the one that runs becomes the
 * last (Burckhardt et al., "A Randomized Scheduler with Probabilistic
 * Guarantees of Finding Bugs", ASPLOS 2010). It finds faults that need a long
 * delay in one place; the first two find those that need many short ones.
 *
 * Time is simulated. It passes a little at each decision, jumps to the next
 * timeout when nobody can run, and now and then although somebody can: a
 * machine may be slow. And while threads do nothing but yield it passes for those
 * that wait for it.
 *
 * Nobody can run and no timeout is left: a deadlock. Many decisions, or much
 * time, without a step of the program: a livelock. Both are findings, told with
 * what each thread waits for, and where it stands.
 *
 * After a seed is chosen nothing depends on the real scheduler, the clock or
 * an address: a seed is a run.
 */
#include "sim/sched.h"

#include <errno.h>
#include <execinfo.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sim/files.h"
#include "sim/memory.h"
#include "sim/tell.h"
#include "sim/watch.h"
#include "support/random.h"

/* Without a step of the program: some hundred times what any step takes. */
#define LIVELOCK_DECISIONS 400000
#define LIVELOCK_NS	   ((uint64_t)1200 * 1000000000)
/* A thread that others wait for by polling must not be last for ever. */
#define FAIR_DECISIONS 2000
/* That take as long as anything else that goes on. */
#define YIELDS 64

struct sim_kernel *K;
__thread struct sim_thread *sim_self __attribute__((tls_model("initial-exec")));
int sim_proc;

static pthread_key_t end_key;

/* ---- random numbers, trace ---- */

uint64_t sim_random(void)
{
	return live_random(&K->random);
}

uint64_t sim_below(uint64_t n)
{
	return live_random(&K->random) % n;
}

bool sim_chance(unsigned n)
{
	return n && sim_below(n) == 0;
}

uint64_t sim_around(uint64_t mean)
{
	uint64_t r = sim_random(), shift = r & 3;

	/* of 2^-2 .. 2^1 times, uniformly below that */
	mean = mean * 2 >> shift;
	return mean ? (r >> 8) % mean + 1 : 1;
}

void sim_trace(enum sim_event what, uint64_t a, uint64_t b)
{
	unsigned i = K->trace_at++ % SIM_TRACE;

	K->trace[i].thread = (int16_t)(sim_self - K->thread);
	K->trace[i].what = (uint16_t)what;
	K->trace[i].a = a;
	K->trace[i].b = b;
	K->trace[i].decision = K->decisions;
	K->hash = live_mix(K->hash * 31 + what) ^ live_mix(a * 7 + b) ^
		  (uint64_t)(sim_self - K->thread);
	if (K->verbose)
		sim_tell_event(&K->trace[i].thread, what, a, b);
}

/* ---- handing the baton on ---- */

static void futex(_Atomic uint32_t *word, int op, uint32_t value)
{
	syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

/* A thread that has handed the baton on for good is still ending. */
static void await_dying(void)
{
	int tid = K->dying_tid;

	K->dying_tid = 0;
	while (tid && syscall(SYS_tgkill, getpid(), tid, 0) == 0)
		sched_yield();
}

static void await_turn(struct sim_thread *t)
{
	while (!atomic_load(&t->gate))
		futex(&t->gate, FUTEX_WAIT, 0);
	atomic_store(&t->gate, 0);
	if (K->dumping)
		sim_tell_stack();
	if (K->dying_tid)
		await_dying();
}

static void give_turn(struct sim_thread *t)
{
	K->current = (int)(t - K->thread);
	atomic_store(&t->gate, 1);
	/*
	 * All: of a process that has ended a thread that had this place may not
	 * be gone yet, and one wake-up would be its.
	 */
	futex(&t->gate, FUTEX_WAKE, INT_MAX);
}

static void switch_to(struct sim_thread *t)
{
	struct sim_thread *self = sim_self;

	if (t == self)
		return;
	K->switches++;
	sim_trace(SIM_EV_SWITCH, (uint64_t)(t - K->thread), K->points);
	give_turn(t);
	await_turn(self);
}

/* ---- who can run ---- */

static bool requests_due(unsigned ring)
{
	unsigned i;

	for (i = 0; ring && i < K->request_end; i++)
		if (K->request[i].used && K->request[i].ring == ring &&
		    K->request[i].due_ns <= K->now_ns)
			return true;
	return false;
}

static bool can_run(const struct sim_thread *t)
{
	if (!t->used || t->why == SIM_DEAD)
		return false;
	if (t->why == SIM_RUN || t->woken || t->interrupted)
		return true;
	if (t->deadline_ns && t->deadline_ns <= K->now_ns)
		return true;
	switch (t->why) {
	case SIM_POLL:
		return requests_due(t->ring) || sim_any_readable(t);
	case SIM_JOIN:
		return K->thread[t->key].why == SIM_DEAD;
	case SIM_CHILD:
		return K->proc[t->key].gone;
	default:
		return false;
	}
}

static unsigned find_runnable(struct sim_thread **found)
{
	unsigned i, n = 0;

	for (i = 0; i < K->thread_end; i++)
		if (can_run(&K->thread[i]))
			found[n++] = &K->thread[i];
	return n;
}

/* The next moment at which something happens by itself; 0: never. */
static uint64_t next_timer(void)
{
	uint64_t next = 0;
	unsigned i;

	for (i = 0; i < K->thread_end; i++) {
		const struct sim_thread *t = &K->thread[i];

		if (t->used && t->why != SIM_RUN && t->why != SIM_DEAD &&
		    t->deadline_ns > K->now_ns &&
		    (!next || t->deadline_ns < next))
			next = t->deadline_ns;
	}
	for (i = 0; i < K->request_end; i++)
		if (K->request[i].used && K->request[i].due_ns > K->now_ns &&
		    (!next || K->request[i].due_ns < next))
			next = K->request[i].due_ns;
	return next;
}

static struct sim_thread *first_by_priority(struct sim_thread **t, unsigned n)
{
	struct sim_thread *best = t[0];
	unsigned i;

	for (i = 1; i < n; i++)
		if (t[i]->priority > best->priority)
			best = t[i];
	return best;
}

/* Behind all others, as the order goes. */
static void demote(struct sim_thread *t)
{
	t->priority = --K->low_priority;
}

static struct sim_thread *starving(struct sim_thread **t, unsigned n)
{
	unsigned i = (unsigned)sim_below(n);

	if (n > 1 && t[i] - K->thread == K->starved && !sim_chance(64))
		i = (i + 1) % n;
	return t[i];
}

static struct sim_thread *choose(struct sim_thread **t, unsigned n)
{
	unsigned i;

	switch (K->params.strategy) {
	case SIM_PRIORITY:
		if (sim_chance(FAIR_DECISIONS / 16))
			demote(first_by_priority(t, n));
		return first_by_priority(t, n);
	case SIM_STARVE:
		if (sim_chance(FAIR_DECISIONS))
			K->starved = (int)sim_below(SIM_THREADS);
		return starving(t, n);
	case SIM_STICKY:
		for (i = 0; i < n; i++)
			if (t[i] == sim_self && !sim_chance(8))
				return t[i];
		/* fall through */
	default:
		return t[sim_below(n)];
	}
}

static void check_progress(void)
{
	if (K->decisions - K->progress > LIVELOCK_DECISIONS)
		sim_fail("livelock: %u decisions without a step of the program",
			 LIVELOCK_DECISIONS);
	if (K->now_ns - K->progress_ns > LIVELOCK_NS)
		sim_fail("livelock: %llu s without a step of the program",
			 LIVELOCK_NS / 1000000000ull);
}

/* => self may be unable to run. Never NULL. */
static struct sim_thread *decide(void)
{
	struct sim_thread *t[SIM_THREADS];
	uint64_t timer;
	unsigned n;

	K->decisions++;
	K->now_ns += 200 + sim_below(2000);
	check_progress();
	if (sim_chance(K->params.jumps)) {
		timer = next_timer();
		K->now_ns = MAX(K->now_ns, timer);
	}
	while (!(n = find_runnable(t))) {
		timer = next_timer();
		if (!timer)
			sim_fail("deadlock: nobody can run, and no timeout is "
				 "set");
		K->now_ns = timer;
	}
	K->budget = (int64_t)sim_around(K->params.slice);
	return choose(t, n);
}

/* ---- signals ---- */

/*
 * A real one, to this thread: the kernel holds it back while it is blocked, and
 * has the handler run before raise() returns if it is not.
 */
static void send_signal(void)
{
	K->signals++;
	sim_trace(SIM_EV_SIGNAL, 0, 0);
	syscall(SYS_tgkill, getpid(), (int)syscall(SYS_gettid), SIGUSR1);
}

static bool signals_open(void)
{
	sigset_t now;

	pthread_sigmask(SIG_BLOCK, NULL, &now);
	return !sigismember(&now, SIGUSR1);
}

static bool interruptible(const struct sim_thread *t)
{
	return t->used && t->program && t->signals_open && t->why != SIM_RUN &&
	       t->why != SIM_DEAD && t->why != SIM_GATE;
}

/* A thread of the program that waits gets one. */
static void interrupt_somebody(void)
{
	unsigned i, first = (unsigned)sim_below(SIM_THREADS);

	for (i = 0; i < SIM_THREADS; i++) {
		struct sim_thread *t = &K->thread[(first + i) % SIM_THREADS];

		if (interruptible(t)) {
			t->interrupted = true;
			return;
		}
	}
}

/* ---- points ---- */

static void reschedule(bool stays)
{
	int saved = errno;
	struct sim_thread *t;

	if (K->frozen) {
		K->budget = 1000;
		return;
	}
	if (!stays)
		demote(sim_self);
	if (sim_chance(K->params.signals)) {
		if (sim_chance(2))
			interrupt_somebody();
		else if (sim_self->program)
			send_signal();
	}
	if (sim_chance(K->params.unmaps))
		sim_forget_mapping();
	t = decide();
	if (!stays && t == sim_self)
		t = decide();
	switch_to(t);
	errno = saved;
}

void sim_point(unsigned weight)
{
	if (!sim_self)
		return;
	K->points++;
	K->budget -= weight;
	if (K->budget <= 0)
		reschedule(true);
}

void sim_yield(void)
{
	if (!sim_self)
		return;
	K->points++;
	if (!K->frozen && sim_chance(YIELDS))
		K->now_ns = MAX(K->now_ns, next_timer());
	reschedule(false);
}

void sim_progress(void)
{
	K->progress = K->decisions;
	K->progress_ns = K->now_ns;
}

/* ---- waiting ---- */

int sim_wait(enum sim_why why, uint64_t key, uint64_t deadline_ns)
{
	struct sim_thread *self = sim_self;
	bool come, interrupted;

	if (K->frozen)
		sim_fail("the checker waits: somebody holds a lock");
	self->signals_open = self->program && signals_open();
	self->woken = self->interrupted = false;
	self->key = key;
	self->deadline_ns = deadline_ns;
	self->why = why;
	sim_trace(SIM_EV_WAIT, why, deadline_ns);
	switch_to(decide());
	interrupted = self->interrupted;
	come = self->woken;
	self->why = SIM_RUN;
	self->deadline_ns = 0;
	self->interrupted = false;
	sim_trace(SIM_EV_WAKE, why, come);
	if (interrupted)
		send_signal();
	if (come)
		return 0;
	if (interrupted)
		return -EINTR;
	return deadline_ns && deadline_ns <= K->now_ns ? -ETIMEDOUT : 0;
}

unsigned sim_wake(enum sim_why why, uint64_t key, unsigned count)
{
	unsigned i, first = (unsigned)sim_below(SIM_THREADS), n = 0;

	for (i = 0; i < SIM_THREADS && n < count; i++) {
		struct sim_thread *t = &K->thread[(first + i) % SIM_THREADS];

		if (t->used && t->why == why && t->key == key && !t->woken &&
		    t->proc == sim_proc) {
			t->woken = true;
			n++;
		}
	}
	return n;
}

/* ---- threads ---- */

struct sim_thread *sim_thread_new(const char *name, bool program)
{
	struct sim_thread *t = K->thread;

	while (t < K->thread + SIM_THREADS && t->used)
		t++;
	if (t == K->thread + SIM_THREADS)
		sim_fail("the simulator has no place for another thread");
	K->thread_end = MAX(K->thread_end, (unsigned)(t - K->thread) + 1);
	memset(t, 0, sizeof(*t));
	t->used = true;
	t->program = program;
	t->proc = sim_proc;
	t->priority = ((uint64_t)1 << 40) + sim_below((uint64_t)1 << 40);
	snprintf(t->name, sizeof(t->name), "%s", name);
	return t;
}

/*
 * Runs last of all destructors but those of keys made later that were set anew
 * in them: the thread has the baton until here.
 */
static void thread_ends(void *arg)
{
	struct sim_thread *t = arg;

	if (t->rounds++ == 0) {
		pthread_setspecific(end_key, t);
		return;
	}
	t->why = SIM_DEAD;
	K->dying_tid = t->tid;
	give_turn(decide());
	sim_self = NULL;
}

void sim_sched_init(void)
{
	pthread_key_create(&end_key, thread_ends);
}

static void *thread_main(void *arg)
{
	struct sim_thread *t = arg;

	sim_self = t;
	t->tid = (int)syscall(SYS_gettid);
	pthread_setspecific(end_key, t);
	await_turn(t);
	return t->run(t->arg);
}

int sim_thread_start(struct sim_thread *t, const pthread_attr_t *attr,
		     void *(*run)(void *), void *arg)
{
	int error;

	t->run = run;
	t->arg = arg;
	error = pthread_create(&t->handle, attr, thread_main, t);
	if (error)
		t->used = false;
	return error;
}

struct sim_thread *sim_thread_of(pthread_t handle)
{
	unsigned i;

	for (i = 0; i < SIM_THREADS; i++)
		if (K->thread[i].used && K->thread[i].proc == sim_proc &&
		    K->thread[i].handle == handle)
			return &K->thread[i];
	return NULL;
}

extern int __real_pthread_join(pthread_t handle, void **result);

void sim_join(pthread_t handle)
{
	struct sim_thread *t = sim_thread_of(handle);

	if (!t)
		sim_fail("pthread_join() of a thread that is not there");
	while (t->why != SIM_DEAD)
		sim_wait(SIM_JOIN, (uint64_t)(t - K->thread), 0);
	__real_pthread_join(handle, NULL);
	t->used = false;
}

/* ---- processes ---- */

void sim_exit_process(void)
{
	unsigned i;

	sim_trace(SIM_EV_FORK, 2, (uint64_t)sim_proc);
	for (i = 0; i < SIM_THREADS; i++)
		if (K->thread[i].used && K->thread[i].proc == sim_proc) {
			K->thread[i].why = SIM_DEAD;
			K->thread[i].used = false;
		}
	for (i = 0; i < SIM_REQUESTS; i++)
		if (K->request[i].proc == sim_proc)
			K->request[i].used = false;
	K->proc[sim_proc].gone = true;
	give_turn(decide());
	_exit(0);
}

void sim_child_begins(struct sim_thread *t)
{
	sim_self = t;
	await_turn(t);
}

/* ---- findings ---- */

static void tell_stacks(void)
{
	unsigned i;

	K->dumping = true;
	for (i = 0; i < SIM_THREADS; i++) {
		struct sim_thread *t = &K->thread[i];

		if (!t->used || t->why == SIM_DEAD || t == sim_self)
			continue;
		K->current = (int)i;
		give_turn(t);
		while (K->current >= 0)
			usleep(1000);
	}
}

void sim_die(void)
{
	K->died = true;
	kill(0, SIGKILL);
	_exit(1);
}

void sim_fail(const char *fmt, ...)
{
	va_list ap;

	if (atomic_exchange(&K->failed, 1))
		_exit(1);
	va_start(ap, fmt);
	vsnprintf(K->message, sizeof(K->message), fmt, ap);
	va_end(ap);
	sim_tell_finding();
	sim_watch_tell();
	sim_tell_own_stack();
	tell_stacks();
	kill(0, SIGKILL); /* all processes of the seed */
	_exit(1);
}
