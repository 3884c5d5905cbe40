/* SPDX-License-Identifier: MIT */
/*
 * report.c - what a program that has ended has used, after the manner of
 * GNU time -v: one figure on a line, with its unit, so that grep finds it.
 *
 * Time and the kernel's figures are those of the program and the children that
 * it has waited for (RUSAGE_CHILDREN); libvvm's threads are among its own. The
 * pager's counts are sums over all programs that were paged, one after the
 * other (exec) or at once (--follow), the latencies those of all their faults,
 * and amounts of memory those of the program that had most. If there were
 * several, a line for each comes after that. Children that only fork are not
 * among them.
 */
#include "vvmrun/report.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <vvm_stat.h>

#include "common/sample.h"
#include "common/tool.h"

void report_begin(struct report *r, char *const *argv)
{
	r->argv = argv;
	r->start_us = tool_now_us();
}

void report_add(struct report *r, pid_t pid)
{
	char reason[SEGMENT_REASON_BYTES];
	struct target *grown;

	grown = realloc(r->process, (r->processes + 1) * sizeof(*grown));
	if (!grown)
		return;
	r->process = grown;
	if (target_open(&grown[r->processes], VVM_STAT_DIR, pid, reason) == 0)
		r->processes++;
}

/* ------------------------------------------------------------------ */
/* Lines								*/

static void line_text(FILE *out, const char *what, const char *text)
{
	fprintf(out, "\t%s: %s\n", what, text);
}

static void line_count(FILE *out, const char *what, int64_t count)
{
	fprintf(out, "\t%s: %lld\n", what, (long long)count);
}

static void line_seconds(FILE *out, const char *what, double seconds)
{
	fprintf(out, "\t%s (seconds): %.2f\n", what, seconds);
}

static void line_pages(FILE *out, const char *what, int64_t pages)
{
	fprintf(out, "\t%s (kbytes): %lld\n", what,
		(long long)pages * (SAMPLE_PAGE_BYTES / 1024));
}

static void line_latency(FILE *out, const struct sample *s, double pct)
{
	double us = sample_latency_us(s, pct);

	fprintf(out, "\tFault latency p%g (microseconds): %.1f\n", pct,
		isnan(us) ? 0 : us);
}

static double seconds_of(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static void print_command(const struct report *r, FILE *out)
{
	char *const *arg;

	fputs("\tCommand:", out);
	for (arg = r->argv; *arg; arg++)
		fprintf(out, " %s", *arg);
	fputc('\n', out);
}

static void print_kernel(const struct report *r, FILE *out)
{
	double elapsed = (double)(tool_now_us() - r->start_us) / 1e6;
	struct rusage u;

	getrusage(RUSAGE_CHILDREN, &u);
	line_seconds(out, "Elapsed time", elapsed);
	line_seconds(out, "User time", seconds_of(&u.ru_utime));
	line_seconds(out, "System time", seconds_of(&u.ru_stime));
	fprintf(out, "\tMaximum resident set size (kbytes): %ld\n",
		u.ru_maxrss);
}

#define COUNTER(name) s->counter[VVM_STAT_##name]
#define VALUE(name)   (int64_t) s->value[VALUE_##name]

/* Of a budget that followed the machine, or that the program changed. */
static void print_resizes(FILE *out, const struct sample *s)
{
	unsigned i;

	for (i = 0; i < SAMPLE_RESIZES; i++)
		if (s->counter[VVM_STAT_resize_demand + i])
			fprintf(out, "\tBudget changes, %s: %lld\n",
				sample_resize_counter(i),
				(long long)
					s->counter[VVM_STAT_resize_demand + i]);
}

static void print_pager(FILE *out, const struct sample *s)
{
	line_pages(out, "Budget", VALUE(budget_pages));
	print_resizes(out, s);
	line_pages(out, "Peak of resident paged memory", VALUE(peak_pages));
	line_pages(out, "Swap area", VALUE(swap_area_pages));
	line_count(out, "Faults", COUNTER(faults));
	line_count(out, "Faults, first touch", COUNTER(faults_zero));
	line_count(out, "Faults, swapped in", COUNTER(faults_swapin));
	line_count(out, "Faults, first write", COUNTER(faults_wp));
	line_count(out, "Faults that waited for a frame", COUNTER(stalls));
	line_pages(out, "Swapped in", COUNTER(swapin_pages));
	line_pages(out, "Swapped out", COUNTER(swapout_pages));
	line_count(out, "Pages read ahead", COUNTER(prefetch_pages));
	line_count(out, "Pages read ahead and used",
		   COUNTER(prefetch_hit_pages));
	line_latency(out, s, 50);
	line_latency(out, s, 99);
}

static void print_process(FILE *out, const struct target *t,
			  const struct sample *s)
{
	fprintf(out,
		"\tProgram %d (%s): %lld faults, %lld kbytes in, "
		"%lld kbytes out, peak %lld kbytes\n",
		t->pid, t->command, (long long)COUNTER(faults),
		(long long)COUNTER(swapin_pages) * 4,
		(long long)COUNTER(swapout_pages) * 4,
		(long long)VALUE(peak_pages) * 4);
}

/* The last figures: unlike target_sample() with what is void at the end. */
static void last_sample(const struct target *t, struct sample *sum)
{
	struct sample one;
	unsigned i;
	bool closed;

	*sum = (struct sample){0};
	for (i = 0; i < t->spaces; i++)
		if (segment_sample(&t->space[i].segment, &one, &closed) == 0)
			sample_add(sum, &one);
}

static void keep_larger(uint64_t *a, uint64_t b)
{
	if (*a < b)
		*a = b;
}

/* Adds counts up; amounts of memory are those of the largest program. */
static void add(struct sample *all, const struct sample *one)
{
	struct sample before = *all;
	unsigned i;

	sample_add(all, one);
	for (i = 0; i < VALUE_COUNT; i++) {
		all->value[i] = before.value[i];
		keep_larger(&all->value[i], one->value[i]);
	}
}

static void print_processes(const struct report *r, FILE *out)
{
	struct sample one, all = {0};
	unsigned i;

	for (i = 0; i < r->processes; i++) {
		last_sample(&r->process[i], &one);
		add(&all, &one);
	}
	print_pager(out, &all);
	for (i = 0; r->processes > 1 && i < r->processes; i++) {
		last_sample(&r->process[i], &one);
		print_process(out, &r->process[i], &one);
	}
}

static void print_end(FILE *out, int status)
{
	if (WIFSIGNALED(status))
		fprintf(out, "\tTerminated by signal: %d (%s)\n",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		line_count(out, "Exit status", WEXITSTATUS(status));
}

/* Why nothing is known of the paged memory. */
static const char *unknown(void)
{
#ifdef VVM_NO_STATS
	return "not known (built with --disable-stats)";
#endif
	if (access(VVM_STAT_DIR, W_OK))
		return "not known (" VVM_STAT_DIR " cannot be written)";
	return "none (did it start? VVM_STAT=no?)";
}

void report_print(struct report *r, FILE *out, int status)
{
	print_command(r, out);
	print_kernel(r, out);
	line_count(out, "Programs paged", r->processes);
	if (r->processes)
		print_processes(r, out);
	else
		line_text(out, "Paged memory", unknown());
	print_end(out, status);
	fflush(out);
}
