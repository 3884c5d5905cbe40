/* SPDX-License-Identifier: MIT */
/*
 * trace.h - follows the recent faults of a process.
 */
#ifndef VVM_TRACE_H
#define VVM_TRACE_H

#include "common/target.h"

struct trace_event {
	unsigned space; /* number of the space */
	uint64_t time_ns, latency_ns;
	uint64_t address; /* guest address of the page */
	unsigned kind;	  /* enum vvm_stat_kind, below VVM_STAT_KIND_COUNT */
	unsigned tid;	  /* 0: not known */
	bool write, stalled;
};

/* Which events are wanted; all zero: all of them. */
struct trace_filter {
	unsigned kinds;	     /* bit for each enum vvm_stat_kind; 0: all */
	uint64_t from, to;   /* guest addresses; to 0: all */
	uint64_t latency_ns; /* at least so much */
	unsigned tid;
	bool reads, writes; /* only these */
	bool stalled;
	bool past; /* begin with what is in the rings */
};

/*
 * Adds what a text asks for: terms separated by commas, see vvmstat(1). False
 * and the term that makes no sense in *bad, which points into text.
 */
bool trace_parse(struct trace_filter *f, const char *text, const char **bad);
bool trace_wanted(const struct trace_filter *f, const struct trace_event *e);

/* Where we are in the rings of each space. */
struct trace {
	struct trace_place *place;
	unsigned places;
	struct trace_event *event; /* of the last trace_read() */
	size_t events, room;
	uint64_t lost; /* events that were overwritten before we saw them */
};

void trace_init(struct trace *tr);
void trace_fini(struct trace *tr);
/*
 * Takes the events since the last call (the first: what the rings hold), in
 * order of time, into tr->event. -ENOMEM. => the spaces of t are up to date
 * (target_sample()).
 */
int trace_read(struct trace *tr, struct target *t);

/* "swapin"; kind is below VVM_STAT_KIND_COUNT. */
const char *trace_kind_name(unsigned kind);

#endif
