/* SPDX-License-Identifier: MIT */
/*
 * sites.h - which code of a process waited for pages: sites.c.
 */
#ifndef VVM_SITES_H
#define VVM_SITES_H

#include "common/target.h"
#include "vvmstat/module.h"

/* One address of code, or one of enum VVM_STAT_SITE_*. */
struct site {
	uint64_t space; /* of `last`: whose, as the time it was opened */
	uint64_t ip;	/* 0: a free item */
	uint64_t faults, stalls;
	uint64_t seen; /* times that a thread was seen waiting there */
	uint64_t wait_ns;
	uint64_t look;	    /* `last`: the look that found it */
	struct place place; /* of the code; resolved at first sight */
};

struct site_map {
	struct site *item;
	size_t size, used; /* size: a power of two, or 0 */
	uint64_t factor;   /* of the hash; odd */
	bool full;	   /* something was left out */
};

struct sites {
	struct site_map all;  /* since the start, or sites_forget() */
	struct site_map last; /* what the segments said when last read */
	uint64_t looks;
	size_t kept; /* of `last`, when what had gone was dropped */
	void *copy;  /* of a segment's table */
	size_t room;
};

void sites_init(struct sites *s);
void sites_fini(struct sites *s);
/*
 * Adds what the segments of the process have counted since the last time; at
 * first: since its spaces were opened. -ENOMEM.
 */
int sites_read(struct sites *s, struct target *t);
/*
 * Begins anew: nothing was counted until now. What is known of code stays, if
 * there is not too much of it.
 */
void sites_forget(struct sites *s);
/* Looks up where code is that is not known yet. False: some is not found. */
bool sites_resolve(struct sites *s, struct modules *m);
/* Those that waited, longest first; the caller frees it. NULL: no memory. */
struct site **sites_rank(const struct sites *s, size_t *n, uint64_t *wait_ns);
/*
 * The item with this key, which is made if there is none. NULL: it is left out,
 * since there are too many (->full), or for want of memory.
 */
struct site *site_get(struct site_map *m, uint64_t space, uint64_t ip);

#endif
