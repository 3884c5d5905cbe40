/* SPDX-License-Identifier: MIT */
/*
 * layout.h - what lies where in a process at one moment: its regions, and the
 * state of each page.
 */
#ifndef VVM_LAYOUT_H
#define VVM_LAYOUT_H

#include "common/target.h"

/* What a page is to the user, in the order of the legend. */
enum layout_state {
	LAYOUT_ABSENT, /* no region */
	LAYOUT_FRESH,  /* never written */
	LAYOUT_SWAPPED,
	LAYOUT_COLD, /* resident, clean, next to go */
	LAYOUT_HOT,  /* resident, clean, used lately */
	LAYOUT_DIRTY,
	LAYOUT_MOVING, /* being read or written */
	LAYOUT_PINNED,
	LAYOUT_POISONED,
	LAYOUT_STATES
};

struct layout_region {
	unsigned space; /* number of the space */
	uint64_t start, end, host;
	uint64_t prot, advice, mapping;
	char name[32];
	uint64_t faults, faults_zero, faults_swapin, faults_wp;
	uint64_t pages[LAYOUT_STATES];
};

/* 2 MiB of guest addresses that were touched. */
struct layout_block {
	unsigned space;
	uint64_t base, faults, last_us;
	uint8_t page[VVM_STAT_BLOCK_PAGES];
};

struct layout {
	struct layout_region *region; /* by space and address, disjoint */
	size_t regions;
	struct layout_block *block; /* by space and base, each once */
	size_t blocks;
};

/*
 * Reads the layout of all open spaces into *l, which is empty or was filled
 * before. What makes no sense is left out. -ENOMEM: *l is empty.
 */
int layout_read(struct layout *l, struct target *t);
void layout_free(struct layout *l);

/* Moves *now to *old, which is freed, and leaves *now empty. */
void layout_keep(struct layout *old, struct layout *now);
/* The same region or block in an older layout, or NULL. */
const struct layout_region *layout_old_region(const struct layout *old,
					      const struct layout_region *r);
const struct layout_block *layout_old_block(const struct layout *old,
					    const struct layout_block *b);
/* The region at an address, or NULL. */
const struct layout_region *layout_find(const struct layout *l, unsigned space,
					uint64_t address);
/*
 * Adds the pages of [from, to), a part of region r, to counts by state.
 * Addresses are whole pages.
 */
void layout_count(const struct layout *l, const struct layout_region *r,
		  uint64_t from, uint64_t to, uint64_t counts[LAYOUT_STATES]);

/* The first block that reaches into the region; l->blocks: none behind it. */
size_t layout_first_block(const struct layout *l,
			  const struct layout_region *r);

/* Pages that hold a frame. */
uint64_t layout_resident(const uint64_t counts[LAYOUT_STATES]);
uint64_t layout_pages(const struct layout_region *r);

const char *layout_state_name(enum layout_state state);

#endif
