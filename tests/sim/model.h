/* SPDX-License-Identifier: MIT */
/*
 * sim/model.h - what the memory must hold: a few words in each page, and for
 * each of them the values that it may have now.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include "sim/kernel.h"

#define SIM_SLOTS	16 /* words in a page */
#define SIM_VALUES	4
#define SIM_REGIONS	8
#define SIM_SCRATCH	3584 /* of a page, from here on: in no model */
#define SIM_SHARED_SLOT 15

struct sim_word {
	uint64_t value[SIM_VALUES];
	uint8_t count; /* 0: any */
	bool written;  /* since a discard began */
	bool storing;  /* vvm_store() of it is in progress */
};

struct sim_mpage {
	bool unmapped;
	bool gone;		 /* accesses must not begin */
	uint8_t prot, next_prot; /* differ while it changes */
	unsigned prot_changes;	 /* begun and ended */
	uint8_t discards;	 /* in progress */
	unsigned version;	 /* of discards */
	unsigned pins;
	unsigned accesses; /* in progress */
	struct sim_word word[SIM_SLOTS];
};

struct sim_region {
	bool used;
	unsigned long id; /* of what is mapped: the struct is used again */
	bool closing;	  /* it is being unmapped, in whole or part */
	bool exclusive;	  /* a call that changes it is in progress */
	bool cache;	  /* its content may go at any time: no calls */
	unsigned calls;	  /* others in progress */
	unsigned accesses;
	char *base;
	uint64_t guest;
	unsigned pages;
	struct sim_mpage *page;
};

extern struct sim_region sim_regions[SIM_REGIONS];
/* Accesses may fail: something that can go wrong is made to go wrong. */
bool sim_lossy(void);
uint64_t sim_stamp(void);

struct sim_region *sim_region_new(void *base, uint64_t guest, unsigned pages,
				  unsigned prot);
void sim_region_free(struct sim_region *r);
/* A region to do something with, or NULL. */
struct sim_region *sim_region_any(void);

/* Around vvm_protect(): rc as it returns. */
void sim_protect_begin(struct sim_region *r, unsigned first, unsigned n,
		       unsigned prot);
void sim_protect_end(struct sim_region *r, unsigned first, unsigned n, int rc);

/* Around calls: those that change the region are alone among calls. */
bool sim_call_begin(struct sim_region *r);
void sim_call_end(struct sim_region *r);
/* of_cache: never waits, and for a cache only. */
bool sim_exclusive_begin(struct sim_region *r, bool of_cache);
void sim_exclusive_end(struct sim_region *r);

/* Plain accesses, compared with the model. */
void sim_read(struct sim_region *r, unsigned page, unsigned slot);
void sim_write(struct sim_region *r, unsigned page, unsigned slot);
void sim_increment(struct sim_region *r, unsigned page, unsigned slot);
/* One access; 0, or the signal. */
int sim_load_word(const void *at, uint64_t *value);
int sim_store_word(void *at, uint64_t value);

char *sim_word_at(const struct sim_region *r, unsigned page, unsigned slot);
struct sim_word *sim_word(struct sim_region *r, unsigned page, unsigned slot);
void sim_word_may_be(struct sim_word *w, uint64_t value);
void sim_word_is(struct sim_word *w, uint64_t value);
void sim_word_unknown(struct sim_word *w);
bool sim_word_allows(const struct sim_word *w, uint64_t value);
/* A finding, if it does not. */
void sim_word_check(struct sim_region *r, unsigned page, unsigned slot,
		    uint64_t value, const char *what);

void sim_discard_begin(struct sim_region *r, unsigned first, unsigned n);
void sim_discard_end(struct sim_region *r, unsigned first, unsigned n, int rc);

/* In a child: what other threads had in hand is in nobody's hands. */
void sim_model_forked(void);

#endif
