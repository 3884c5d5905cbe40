/* SPDX-License-Identifier: MIT */
/*
 * torture/stress.c - everything at once, against a model (model.h), for as long
 * as you like: what the threads do is in ops_*.c. The first violation ends the
 * program with status 1; no progress for a minute, of all threads or for five
 * of one, with 2.
 *
 * A seed decides what each thread does, but not how they meet. So a run that
 * has failed is repeated with its command line until it fails again.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/access.h"
#include "support/frames.h"
#include "support/random.h"
#include "support/wait.h"
#include "torture/ops.h"

#define HANG_MS	   60000  /* without an operation of anybody */
#define STARVED_MS 300000 /* of one thread */

static const struct op *const lists[] = {memory_ops, range_ops,	 signal_ops,
					 fork_ops,   kernel_ops, uring_ops};

/* All that this run may do. */
static const struct op *ops[64];
static unsigned op_count;
static uint64_t weights;

static struct worker *workers;
static atomic_bool stop;
static int memfd;

/* ---- threads ---- */

static void choose_ops(void)
{
	for (size_t i = 0; i < LIVE_LEN(lists); i++)
		for (const struct op *op = lists[i]; op->name; op++) {
			if (option.full && op->when != OP_FULL)
				continue;
			live_check(op_count < LIVE_LEN(ops));
			ops[op_count++] = op;
			weights += op->weight;
		}
}

static const struct op *pick(struct worker *w)
{
	uint64_t at = live_below(&w->random, weights);
	unsigned i = 0;

	while (at >= ops[i]->weight)
		at -= ops[i++]->weight;
	return ops[i];
}

static void *work(void *arg)
{
	struct worker *w = arg;

	self = w;
	while (!atomic_load(&stop)) {
		const struct op *op = pick(w);

		atomic_store(&w->doing, op->name);
		op->run(w);
		atomic_fetch_add(&w->operations, 1);
	}
	atomic_store(&w->doing, NULL);
	return NULL;
}

/* Allocated frames against the budget, until told to stop. */
static void *watch_budget(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		uint64_t before = model.budget;
		uint64_t frames = live_frames_above(memfd, before);

		if (frames > before && frames > model.budget)
			live_fail("%llu frames at a budget of %llu",
				  (unsigned long long)frames,
				  (unsigned long long)model.budget);
		live_nap_us(200);
	}
	return NULL;
}

/* ---- progress ---- */

static uint64_t sum_operations(void)
{
	uint64_t sum = 0;

	for (long i = 0; i < option.threads; i++)
		sum += atomic_load(&workers[i].operations);
	return sum;
}

static uint64_t sum_signals(void)
{
	uint64_t sum = 0;

	for (long i = 0; i < option.threads; i++)
		sum += atomic_load(&workers[i].signals);
	return sum;
}

static void hangs(const char *what)
{
	fprintf(stderr, "%s: a hang\n", what);
	for (long i = 0; i < option.threads; i++) {
		const char *doing = atomic_load(&workers[i].doing);

		fprintf(stderr, "thread %ld: %llu operations, now: %s\n", i,
			(unsigned long long)workers[i].operations,
			doing ? doing : "ended");
	}
	if (option.stop) {
		fprintf(stderr, "stopped: gdb -p %d\n", (int)getpid());
		raise(SIGSTOP);
	}
	_exit(2);
}

/* When each thread was last seen to have done something. */
struct progress {
	uint64_t seen, since_ms;
};

static bool moved(struct progress *p, uint64_t operations, uint64_t now_ms,
		  uint64_t patience_ms)
{
	if (operations != p->seen || !p->since_ms) {
		p->seen = operations;
		p->since_ms = now_ms;
	}
	return now_ms - p->since_ms < patience_ms;
}

static void watch_progress(struct progress *p)
{
	uint64_t now = live_now_ms();

	if (!moved(&p[option.threads], sum_operations(), now,
		   wait_scaled(HANG_MS)))
		hangs("no operation");
	for (long i = 0; i < option.threads; i++)
		if (!moved(&p[i], workers[i].operations, now,
			   wait_scaled(STARVED_MS)))
			hangs("no operation of a thread");
}

static void show(void)
{
	struct vvm_stats st = live_stats(vm);

	printf("%llu operations, %lld faults (%lld zero, %lld read, %lld wp, "
	       "%lld joined, %lld spurious), %lld pages in, %lld out\n",
	       (unsigned long long)sum_operations(), (long long)st.faults,
	       (long long)st.faults_zero, (long long)st.faults_swapin,
	       (long long)st.faults_wp, (long long)st.faults_joined,
	       (long long)st.faults_spurious, (long long)st.swapin_pages,
	       (long long)st.swapout_pages);
	fflush(stdout);
}

/* For the time that is wanted; what hangs ends the program. */
static void run_for(uint64_t ms)
{
	uint64_t end = live_now_ms() + ms, shown = live_now_ms();
	struct progress *p = calloc((size_t)option.threads + 1, sizeof(*p));

	live_check(p != NULL);
	while (live_now_ms() < end) {
		live_nap_us(20000);
		watch_progress(p);
		if (option.verbose && live_now_ms() - shown >= 5000) {
			shown = live_now_ms();
			show();
		}
	}
	free(p);
}

/* Until all threads have ended their last operation. */
static void join(void)
{
	struct progress *p = calloc((size_t)option.threads + 1, sizeof(*p));
	bool busy = true;

	live_check(p != NULL);
	while (busy) {
		live_nap_us(1000);
		watch_progress(p);
		busy = false;
		for (long i = 0; i < option.threads; i++)
			busy |= atomic_load(&workers[i].doing) != NULL;
	}
	for (long i = 0; i < option.threads; i++)
		live_equal(pthread_join(workers[i].thread, NULL), 0);
	free(p);
}

/* ---- the run ---- */

static void start(long i)
{
	struct worker *w = &workers[i];

	w->id = (uint64_t)i;
	w->random = option.seed * 1000 + w->id;
	w->handler_random = ~w->random;
	w->next_version = w->id << 40; /* no two threads have the same */
	w->doing = "begin";
	kernel_open(w);
	uring_open(w);
	live_equal(pthread_create(&w->thread, NULL, work, w), 0);
}

static void torture(void)
{
	struct signaller signaller = {.random = ~option.seed, .stop = &stop};
	pthread_t watcher;

	for (long i = 0; i < option.threads; i++)
		start(i);
	signaller.workers = workers;
	live_equal(pthread_create(&watcher, NULL, watch_budget, NULL), 0);
	if (!option.full) /* handlers do not expect a failed access */
		live_equal(pthread_create(&signaller.thread, NULL, signals_send,
					  &signaller),
			   0);
	run_for((uint64_t)option.seconds * 1000);
	atomic_store(&stop, true);
	pthread_join(watcher, NULL);
	if (!option.full)
		pthread_join(signaller.thread, NULL);
	join();
	for (long i = 0; i < option.threads; i++) {
		kernel_close(&workers[i]);
		uring_close(&workers[i]);
	}
}

static void report(const struct vvm_stats *st)
{
	printf("%llu operations, %lld faults, %lld pages in, %lld out",
	       (unsigned long long)sum_operations(), (long long)st->faults,
	       (long long)st->swapin_pages, (long long)st->swapout_pages);
	if (option.soft)
		printf(", %lld compressed, %lld unpacked, %lld spilled",
		       (long long)st->packed_pages,
		       (long long)st->unpacked_pages,
		       (long long)st->spilled_pages);
	if (option.full)
		printf(", %llu times no frame",
		       (unsigned long long)model.no_frame);
	else
		printf(", %llu children, %llu signals, %llu jumps, %llu "
		       "transfers",
		       (unsigned long long)forks_done,
		       (unsigned long long)sum_signals(),
		       (unsigned long long)jumps_done,
		       (unsigned long long)transfers_done);
	if (forks_refused)
		printf(", %llu children inherited nothing",
		       (unsigned long long)forks_refused);
	puts(": no violation");
}

static void run(void)
{
	struct vvm_stats st;

	workers = calloc((size_t)option.threads, sizeof(*workers));
	live_check(workers != NULL);
	live_catch();
	model_open();
	memfd = live_memfd();
	range_open();
	signals_open();
	choose_ops();
	puts("begin");
	fflush(stdout);
	torture();
	range_close();
	st = live_stats(vm);
	if (!option.full)
		live_equal(st.faults_failed, 0);
	model_close();
	report(&st);
	free(workers);
}

/* ---- options ---- */

static int usage(FILE *to, int status)
{
	fputs("usage: stress [OPTION]...\n"
	      "  --seconds S    how long (20)\n"
	      "  --threads N    1 to 64 (8)\n"
	      "  --budget PAGES from 1 (64)\n"
	      "  --size MIB     of the pages that are verified (16)\n"
	      "  --seed N       what the threads do (1)\n"
	      "  --faults thread|inline|guard\n"
	      "  --fork die|inherit\n"
	      "  --swap PATH    directory, file or block device\n"
	      "  --limit MIB    of swap\n"
	      "  --full         swap is smaller than --size\n"
	      "  --soft         pages that compress, VVM_COMPRESS=lz4\n"
	      "  --stat         publish statistics\n"
	      "  --stop         stop at a hang, for a debugger\n"
	      "  --verbose      say how it goes on\n"
	      "All VVM_* variables count, too.\n",
	      to);
	return status;
}

/* Where a space takes it from. */
static void set(const char *name, const char *value, const char *unit)
{
	char text[512];

	snprintf(text, sizeof(text), "%s%s", value, unit);
	setenv(name, text, 1);
}

static const struct option names[] = {
	{"seconds", required_argument, NULL, 's'},
	{"threads", required_argument, NULL, 't'},
	{"budget", required_argument, NULL, 'b'},
	{"size", required_argument, NULL, 'z'},
	{"seed", required_argument, NULL, 'r'},
	{"faults", required_argument, NULL, 'f'},
	{"fork", required_argument, NULL, 'k'},
	{"swap", required_argument, NULL, 'w'},
	{"limit", required_argument, NULL, 'l'},
	{"full", no_argument, NULL, 'F'},
	{"soft", no_argument, NULL, 'c'},
	{"stat", no_argument, NULL, 'S'},
	{"stop", no_argument, NULL, 'P'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

/* false: not one of them. */
static bool take_number(int c, long n)
{
	switch (c) {
	case 's':
		option.seconds = n;
		return true;
	case 't':
		option.threads = n;
		return true;
	case 'b':
		option.budget = n;
		return true;
	case 'z':
		option.size_mib = n;
		return true;
	case 'r':
		option.seed = (uint64_t)n;
		return true;
	default:
		return false;
	}
}

static bool take_flag(int c)
{
	switch (c) {
	case 'F':
		return option.full = true;
	case 'c':
		setenv("VVM_COMPRESS", "lz4", 1);
		return option.soft = true;
	case 'S':
		return option.stat = true;
	case 'P':
		return option.stop = true;
	case 'v':
		return option.verbose = true;
	default:
		return false;
	}
}

static bool take_setting(int c, const char *text)
{
	switch (c) {
	case 'f':
		set("VVM_FAULTS", text, "");
		return !strcmp(text, "thread") || !strcmp(text, "inline") ||
		       !strcmp(text, "guard");
	case 'k':
		option.inherit = !strcmp(text, "inherit");
		return option.inherit || !strcmp(text, "die");
	case 'w':
		set("VVM_SWAP", text, "");
		return true;
	case 'l':
		set("VVM_SWAP_LIMIT", text, "M");
		return true;
	default:
		return false;
	}
}

/* Each thread has a run of pages at least. */
static bool sane(void)
{
	return option.seconds >= 1 && option.threads >= 1 &&
	       option.threads <= 64 && option.budget >= 1 &&
	       option.size_mib >= 1 && option.size_mib <= 1 << 16;
}

int main(int argc, char **argv)
{
	const char *missing = live_missing();
	int c;

	while ((c = getopt_long(argc, argv, "h", names, NULL)) != -1) {
		if (c == 'h')
			return usage(stdout, 0);
		if (c == '?' ||
		    (!take_flag(c) &&
		     !take_number(c, optarg ? strtol(optarg, NULL, 0) : 0) &&
		     !take_setting(c, optarg)))
			return usage(stderr, 64);
	}
	if (!sane() || optind < argc)
		return usage(stderr, 64);
	if (missing) {
		printf("skipped: %s\n", missing);
		return 77;
	}
	run();
	return 0;
}
