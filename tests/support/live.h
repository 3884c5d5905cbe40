/* SPDX-License-Identifier: MIT */
/*
 * support/live.h - spaces with a small budget on real userfaultfd. Nothing here
 * touches the library but by <vvm.h>.
 */
#ifndef VVM_LIVE_H
#define VVM_LIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <vvm.h>

#include "support/expect.h"
#include "support/sanitizer.h"
#include "support/vm.h"

#define LIVE_PAGE   ((uint64_t)VVM_PAGE_SIZE)
#define LIVE_GUEST  ((uint64_t)1 << VVM_ADDRESS_BITS)
#define LIVE_RW	    (VVM_READ | VVM_WRITE)
#define LIVE_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* For test_program.missing: why this machine cannot run any space. */
const char *live_missing(void);
/* The same, and why system calls on absent pages cannot work. */
const char *live_missing_system_calls(void);

/* Why there is no space in a mode of VVM_FAULTS here, NULL: there is. */
const char *live_mode_missing(const char *mode);

/* Do the threads of this run resolve their own faults (inline, guard)? */
bool live_inline(void);
/* Are its spaces in guard mode? */
bool live_guarded(void);

/* Opens vm, and catches signals; for a fixture. */
void live_begin(uint64_t budget_pages);

/* Closes it: a fixture's teardown. */
void live_end(void);

/* Defaults and VVM_* of the environment, this budget, no /dev/shm file. */
void live_options(struct vvm_options *o, uint64_t budget_pages);
/* The same with limits of swap and patience; path NULL: the default. */
void live_limits(struct vvm_options *o, uint64_t budget_pages,
		 uint64_t swap_limit_bytes, uint64_t wait_ms, const char *path);

struct vvm *live_open(uint64_t budget_pages);
/* Maps anywhere and returns the pointer, which is the guest address too. */
char *live_map(struct vvm *vm, uint64_t pages, unsigned prot);

uint64_t live_addr(const void *p);
struct vvm_stats live_stats(struct vvm *vm);

/* The same after the reclaimer and the disk came to rest. */
struct vvm_stats live_idle_stats(struct vvm *vm);

unsigned char live_flags(struct vvm *vm, const void *page);
/* How many of the pages have all of these flags. */
uint64_t live_count_flags(struct vvm *vm, const char *base, uint64_t pages,
			  unsigned char want);

/* Writes stamped pages until [base, base + pages) has none resident. */
void live_push_out(struct vvm *vm, const char *base, uint64_t pages,
		   char *other, uint64_t other_pages);

#endif
