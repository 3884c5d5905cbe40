/* SPDX-License-Identifier: MIT */
/*
 * view_trace.c - the recent faults of a process, one on a line (--trace).
 *
 * The rings are looked at every POLL_US: at 100,000 faults a second in one
 * actor a ring lasts 10 ms. The process does not notice. What came too fast
 * even for that is counted and told at the end.
 */
#define _GNU_SOURCE 1
#include "vvmstat/view_trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "common/tool.h"

#define POLL_US	  2000
#define SPACES_US 100000 /* between looks for new spaces */

/* What turns CLOCK_MONOTONIC into the time of day. */
static uint64_t clock_offset_us(void)
{
	return tool_unix_us() - tool_now_us();
}

static void print_line(struct view *v, const struct trace_event *e,
		       uint64_t offset_us)
{
	uint64_t us = e->time_ns / 1000 + offset_us;
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm;
	char clock[16] = "";

	if (!v->started && !v->once)
		printf("%-15s %7s %-8s rw %10s %s\n", "TIME", "TID", "KIND",
		       "US", "ADDRESS");
	v->started = true;
	if (localtime_r(&seconds, &tm))
		strftime(clock, sizeof(clock), "%T", &tm);
	printf("%s.%06u %7u %-8s %c%c %10.1f %#" PRIx64 "\n", clock,
	       (unsigned)(us % 1000000), e->tid, trace_kind_name(e->kind),
	       e->write ? 'w' : 'r', e->stalled ? '!' : ' ',
	       (double)e->latency_ns / 1000, e->address);
}

static void put_record(struct view *v, const struct target *t,
		       const struct trace_event *e, uint64_t offset_us)
{
	struct record r = {.fields = 0};

	record_uint(&r, "unix_us", e->time_ns / 1000 + offset_us);
	record_int(&r, "pid", t->pid);
	record_uint(&r, "space", e->space);
	record_uint(&r, "tid", e->tid);
	record_text(&r, "kind", trace_kind_name(e->kind));
	record_bool(&r, "write", e->write);
	record_bool(&r, "stalled", e->stalled);
	record_real(&r, "latency_us", (double)e->latency_ns / 1000);
	record_uint(&r, "address", e->address);
	output_record(&v->output, &r);
}

/* Shows what was read; returns how many events that were, at most `most`. */
static uint64_t show(struct view *v, const struct target *t,
		     const struct trace *tr, const struct trace_filter *f,
		     uint64_t most)
{
	uint64_t offset_us = clock_offset_us(), shown = 0;
	size_t i;

	output_group(&v->output, "faults", tool_unix_us());
	for (i = 0; i < tr->events && shown < most; i++) {
		if (!trace_wanted(f, &tr->event[i]))
			continue;
		if (v->output.form == OUTPUT_TEXT)
			print_line(v, &tr->event[i], offset_us);
		else
			put_record(v, t, &tr->event[i], offset_us);
		shown++;
	}
	output_group_end(&v->output);
	fflush(stdout);
	return shown;
}

/* Until `end_us`, `count` events, the end of the process or an interrupt. */
static enum target_event follow(struct view *v, struct target *t,
				struct trace *tr, const struct trace_filter *f,
				uint64_t end_us, uint64_t count, int wake_fd)
{
	enum target_event event = TARGET_DUE;
	uint64_t now_us = 0, spaces_us = 0;
	struct sample unused;

	while (event == TARGET_DUE && now_us < end_us && count &&
	       !ferror(stdout)) {
		now_us = tool_now_us();
		if (now_us >= spaces_us) {
			target_sample(t, &unused);
			spaces_us = now_us + SPACES_US;
		}
		event = target_wait(t, now_us + POLL_US, wake_fd);
		if (trace_read(tr, t))
			tool_die(TOOL_FAILED, "out of memory");
		count -= show(v, t, tr, f, count);
	}
	return event;
}

int view_trace(struct view *v, struct target *t, const struct trace_filter *f,
	       double seconds, uint64_t count, int wake_fd)
{
	uint64_t end_us = UINT64_MAX, lost;
	enum target_event event;
	struct trace tr;

	trace_init(&tr);
	if (seconds > 0)
		end_us = tool_now_us() + (uint64_t)(seconds * 1e6);
	if (!f->past && trace_read(&tr, t))
		tool_die(TOOL_FAILED, "out of memory");
	lost = tr.lost;
	event = follow(v, t, &tr, f, end_us, count, wake_fd);
	if (tr.lost > lost)
		tool_warn("%" PRIu64 " events came too fast to be read",
			  tr.lost - lost);
	trace_fini(&tr);
	if (event != TARGET_ENDED)
		return TOOL_OK;
	tool_warn("process %d ended", t->pid);
	return TOOL_ENDED;
}
