/* SPDX-License-Identifier: MIT */
/*
 * torture/model.h - what the program believes to be in paged memory.
 *
 * Four regions of one space:
 *
 *	own	pages that belong to a thread, in runs of RUN_PAGES. Only their
 *		owner writes them; each has a *version*, 0: zeros, of which every
 *		word is stamped. Anybody may read them.
 *	shared	words that anybody increments; how often is known by page
 *	fixed	stamped once, never changed: what signal handlers look at; not
 *		in a full run
 *	slots	regions that come and go while others read them (ops_range.c)
 *
 * A page's *turn* is odd while its owner changes it, its permissions or its
 * pins, and counts on: what a reader has seen between two looks at the same
 * even turn must be of the version that stands there. A fork child takes over
 * the model as of the fork with the memory, so the same holds there; of a page
 * with an odd turn it knows two versions, the old one and the next.
 *
 * In a *full* run swap is smaller than what is written. Then accesses may fail
 * for want of a frame, and all of them go through vvm_load() and vvm_store(),
 * which change nothing then.
 */
#ifndef TORTURE_MODEL_H
#define TORTURE_MODEL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "support/live.h"

#define RUN_PAGES   4
#define FIXED_PAGES 64
#define PAGE_WORDS  (VVM_PAGE_SIZE / 8)
#define VERSION_ANY UINT64_MAX

struct options {
	long seconds, threads, budget, size_mib;
	uint64_t seed;
	bool full, inherit, stat, verbose, stop, soft;
};

extern struct options option;

struct uring;

struct worker {
	pthread_t thread;
	uint64_t id, random, next_version;
	uint64_t handler_random; /* of its signal handler */
	const char *_Atomic doing;
	_Atomic uint64_t operations, signals;
	int pipe[2], socket[2], cached, file; /* file: O_DIRECT, if possible */
	char *buffer; /* RUN_PAGES pages, page-aligned, not paged */
	struct uring *uring;
};

extern __thread struct worker *self; /* of this thread, or NULL */

extern struct model {
	char *base, *shared, *fixed;
	uint64_t pages, shared_pages;
	_Atomic uint64_t *version, *next; /* by page; written by its owner */
	_Atomic uint32_t *turn;
	_Atomic uint64_t *expected; /* increments, by shared page */
	_Atomic uint64_t budget;    /* pages, not less than what holds now */
	_Atomic uint64_t no_frame;  /* full: accesses that failed */
} model;

/* Opens the space of `option`, maps the regions, stamps what is fixed. */
void model_open(void);
/* Looks at everything once more; closes. */
void model_close(void);

char *page_at(uint64_t page);
uint64_t owner_of(uint64_t page);
/* A random page of the worker's, and the first of a random run of its. */
uint64_t own_page(struct worker *w);
uint64_t own_run(struct worker *w);

/* The owner is going to change what others see, into this version. */
void page_begin(uint64_t page, uint64_t version);
void page_end(uint64_t page);
/* The same, for what leaves the content alone. */
void page_disturb(uint64_t page);
/* For what leaves it alone in the end, and anything in it until page_end(). */
void page_scramble(uint64_t page);
/* For who said that: it ends as this version instead. */
void page_becomes(uint64_t page, uint64_t version);

/* false: a full run, and no frame. By its owner. */
bool page_read(uint64_t page, uint64_t words[PAGE_WORDS]);
bool page_verify(uint64_t page);
/* The words are to be those of the version; `what` says who has read them. */
void words_verify(const uint64_t *words, uint64_t page, uint64_t version,
		  const char *what);
/* Fills a page, anywhere, with what the version is of this page. */
void page_fill(void *to, uint64_t page, uint64_t version);
/* Writes the next version; false: nothing has changed. */
bool page_write(struct worker *w, uint64_t page);

/* One word of a page that may be anybody's. */
void page_peek(uint64_t page, unsigned word);
/* Adds one to a random word. */
void shared_increment(uint64_t *random);
/* A random word of what never changes. */
void fixed_look(uint64_t *random);

/*
 * In a fork child: may the page be as it is, when the threads that worked at
 * it stopped in the middle of something? Sums of shared pages the same.
 */
void cut_check_page(uint64_t page);
void cut_check_shared(uint64_t page);

#endif
