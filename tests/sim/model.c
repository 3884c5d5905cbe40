/* SPDX-License-Identifier: MIT */
/*
 * sim/model.c - the model of memory, and accesses that are compared with it.
 *
 * An access of the program is one instruction. Between its last attempt and the
 * look at the model nothing else runs, so the model is exact: at that moment
 * the word has one of the values that the model names. It names more than one
 * while a call is in progress that may have been done or not (vvm_store(), a
 * discard), and after one that failed.
 *
 * Whether an access may fail is in the model as well: the permissions of the
 * page, both the old and the new ones while they change; and whether the region
 * is being unmapped. An access that they change under may be of before or after
 * that. Calls that change a region exclude other calls on it, as a
 * program has to see to; but not plain accesses, nor signals, nor anything that
 * the engine does by itself.
 *
 * Addresses of an unmapped region may be those of something else at once. An
 * access that was in progress would then write there, which would be the
 * program's fault. So before the addresses are given back (sim_before_unmap)
 * accesses in progress are waited for: they must have been woken by then. One
 * whose thread is in a signal handler may take longer: then the addresses are
 * not given back.
 *
 * After a fork the child's copy of all this is what its memory must be.
 */
#include "sim/model.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "sim/memory.h"
#include "sim/sched.h"
#include "vvm.h"

#define LOOK_NS 10000

struct sim_region sim_regions[SIM_REGIONS];

bool sim_lossy(void)
{
	const struct sim_params *p = &K->params;

	return p->failures || p->disk_errors;
}

uint64_t sim_stamp(void)
{
	static uint64_t last;

	return (uint64_t)(sim_proc + 1) << 56 | ++last;
}

/* ---- words ---- */

char *sim_word_at(const struct sim_region *r, unsigned page, unsigned slot)
{
	return r->base + pages_to_bytes(page) + slot * 216 + 8;
}

struct sim_word *sim_word(struct sim_region *r, unsigned page, unsigned slot)
{
	return &r->page[page].word[slot];
}

bool sim_word_allows(const struct sim_word *w, uint64_t value)
{
	unsigned i;

	for (i = 0; i < w->count; i++)
		if (w->value[i] == value)
			return true;
	return w->count == 0;
}

void sim_word_unknown(struct sim_word *w)
{
	w->count = 0;
}

void sim_word_is(struct sim_word *w, uint64_t value)
{
	w->value[0] = value;
	w->count = 1;
}

void sim_word_may_be(struct sim_word *w, uint64_t value)
{
	if (sim_word_allows(w, value))
		return;
	if (w->count == SIM_VALUES)
		sim_word_unknown(w);
	else
		w->value[w->count++] = value;
}

void sim_word_check(struct sim_region *r, unsigned page, unsigned slot,
		    uint64_t value, const char *what)
{
	const struct sim_word *w = sim_word(r, page, slot);

	if (sim_word_allows(w, value))
		return;
	sim_fail("%s of page %u, word %u (%p) is %llx, must be %llx%s", what,
		 page, slot, (void *)sim_word_at(r, page, slot),
		 (unsigned long long)value, (unsigned long long)w->value[0],
		 w->count > 1 ? " or others" : "");
}

/* The program has written it by a plain access, just now. */
static void written(struct sim_region *r, unsigned page, struct sim_word *w,
		    uint64_t value)
{
	bool storing = w->storing && w->count;
	uint64_t other = w->value[w->count ? w->count - 1 : 0];

	sim_word_is(w, value);
	if (storing)
		sim_word_may_be(w, other);
	if (r->page[page].discards) {
		w->written = true;
		sim_word_may_be(w, 0);
	}
}

/* ---- discards ---- */

void sim_discard_begin(struct sim_region *r, unsigned first, unsigned n)
{
	unsigned i, k;

	for (i = first; i < first + n; i++) {
		r->page[i].discards++;
		r->page[i].version++;
		for (k = 0; k < SIM_SLOTS; k++) {
			struct sim_word *w = &r->page[i].word[k];

			w->written = false;
			if (w->count)
				sim_word_may_be(w, 0);
		}
	}
}

void sim_discard_end(struct sim_region *r, unsigned first, unsigned n, int rc)
{
	unsigned i, k;

	for (i = first; i < first + n; i++) {
		r->page[i].discards--;
		r->page[i].version++;
		for (k = 0; k < SIM_SLOTS && rc == 0; k++)
			if (!r->page[i].word[k].written)
				sim_word_is(&r->page[i].word[k], 0);
	}
}

/* ---- permissions ---- */

void sim_protect_begin(struct sim_region *r, unsigned first, unsigned n,
		       unsigned prot)
{
	unsigned i;

	for (i = first; i < first + n; i++) {
		r->page[i].next_prot = (uint8_t)prot;
		r->page[i].prot_changes++;
	}
}

void sim_protect_end(struct sim_region *r, unsigned first, unsigned n, int rc)
{
	unsigned i;

	for (i = first; i < first + n; i++) {
		struct sim_mpage *p = &r->page[i];

		if (rc == 0)
			p->prot = p->next_prot;
		else
			p->next_prot = p->prot;
		p->prot_changes++;
	}
}

/* ---- regions ---- */

struct sim_region *sim_region_new(void *base, uint64_t guest, unsigned pages,
				  unsigned prot)
{
	static unsigned long ids;
	struct sim_region *r = sim_regions;
	unsigned i, k;

	while (r < sim_regions + SIM_REGIONS && (r->used || r->accesses))
		r++;
	if (r == sim_regions + SIM_REGIONS)
		return NULL;
	free(r->page);
	memset(r, 0, sizeof(*r));
	r->cache = K->params.low_space && r == sim_regions;
	sim_trace(SIM_EV_MAP, (uint64_t)(uintptr_t)base, pages);
	r->used = true;
	r->id = ++ids;
	r->base = base;
	r->guest = guest;
	r->pages = pages;
	r->page = calloc(pages, sizeof(*r->page));
	for (i = 0; i < pages; i++) {
		r->page[i].prot = r->page[i].next_prot = (uint8_t)prot;
		for (k = 0; k < SIM_SLOTS; k++)
			r->page[i].word[k].count = 1;
	}
	return r;
}

/* Accesses may be in progress: see before_unmap(). */
void sim_region_free(struct sim_region *r)
{
	r->used = false;
}

struct sim_region *sim_region_any(void)
{
	struct sim_region *r = &sim_regions[sim_below(SIM_REGIONS)];

	return r->used ? r : NULL;
}

/* ---- calls ---- */

static uint64_t key_of(const struct sim_region *r)
{
	return (uint64_t)(uintptr_t)r;
}

/* => false: it has been unmapped meanwhile, and the struct may be another's. */
static bool await_exclusive(const struct sim_region *r)
{
	unsigned long id = r->id;

	while (r->used && r->id == id && r->exclusive)
		sim_wait(SIM_GATE, key_of(r), 0);
	return r->used && r->id == id;
}

bool sim_call_begin(struct sim_region *r)
{
	if (!await_exclusive(r) || r->cache)
		return false;
	r->calls++;
	return true;
}

void sim_call_end(struct sim_region *r)
{
	r->calls--;
	sim_wake(SIM_GATE, key_of(r), SIM_THREADS);
}

bool sim_exclusive_begin(struct sim_region *r, bool of_cache)
{
	if (of_cache != r->cache || (of_cache && r->exclusive))
		return false;
	if (!await_exclusive(r))
		return false;
	r->exclusive = true;
	while (r->calls)
		sim_wait(SIM_GATE, key_of(r), 0);
	return true;
}

void sim_exclusive_end(struct sim_region *r)
{
	r->exclusive = false;
	sim_wake(SIM_GATE, key_of(r), SIM_THREADS);
}

/* Does a thread access the range, and not something else meanwhile? */
static bool any_access(uint64_t host, uint64_t bytes)
{
	unsigned i;

	for (i = 0; i < SIM_THREADS; i++)
		if (K->thread[i].used && K->thread[i].proc == sim_proc &&
		    K->thread[i].access_at - host < bytes)
			return true;
	return false;
}

/* Nobody tells that a thread goes into a handler meanwhile. */
static void await_accesses(struct sim_region *r, uint64_t host, uint64_t bytes)
{
	while (any_access(host, bytes))
		sim_wait(SIM_GATE, key_of(r), K->now_ns + LOOK_NS);
}

static bool before_unmap(uint64_t host, uint64_t bytes)
{
	struct sim_region *r;
	bool free = true;
	unsigned i;

	for (r = sim_regions; r < sim_regions + SIM_REGIONS; r++) {
		uint64_t base = (uint64_t)(uintptr_t)r->base;

		if (!r->used || !r->closing ||
		    host - base >= pages_to_bytes(r->pages))
			continue;
		for (i = 0; i < r->pages; i++)
			if (base + pages_to_bytes(i) - host < bytes)
				r->page[i].gone = true;
		await_accesses(r, host, bytes);
		for (i = 0; i < r->pages; i++)
			if (base + pages_to_bytes(i) - host < bytes &&
			    r->page[i].accesses)
				free = false;
	}
	return free;
}

__attribute__((constructor)) static void install(void)
{
	sim_before_unmap = before_unmap;
}

/* ---- accesses ---- */

/*
 * One instruction, which the handler of a signal may leave. The fences keep the
 * compiler from moving it away from what it thinks nobody sees.
 */
#define ACCESS(at, instruction)                                    \
	do {                                                       \
		struct sim_access access = {                       \
			.host = (uint64_t)(uintptr_t)(at)};        \
		struct sim_access *outer = sim_access;             \
		int sig;                                           \
                                                                   \
		sim_point(SIM_AT_CALL);                            \
		sig = sigsetjmp(access.env, 0);                    \
		if (!sig) {                                        \
			sim_self->access_at = access.host;         \
			sim_access = &access;                      \
			atomic_signal_fence(memory_order_seq_cst); \
			instruction;                               \
			atomic_signal_fence(memory_order_seq_cst); \
		}                                                  \
		sim_access = outer;                                \
		sim_self->access_at = outer ? outer->host : 0;     \
		return sig;                                        \
	} while (0)

int sim_load_word(const void *at, uint64_t *value)
{
	ACCESS(at, *value = *(const volatile uint64_t *)at);
}

int sim_store_word(void *at, uint64_t value)
{
	ACCESS(at, *(volatile uint64_t *)at = value);
}

static int add_word(void *at, uint64_t *before)
{
	ACCESS(at, *before = __atomic_fetch_add((uint64_t *)at, 1,
						__ATOMIC_SEQ_CST));
}

/*
 * Is this outcome of an access one that may be? changes: of the permissions,
 * when it began.
 */
static void judge(struct sim_region *r, unsigned page, unsigned need,
		  unsigned changes, int sig)
{
	const struct sim_mpage *p = &r->page[page];
	bool may = (p->prot | p->next_prot) & need;
	bool must = p->prot & p->next_prot & need;
	bool mapped = r->used && !r->closing && !p->unmapped;
	bool stands = mapped && changes == p->prot_changes;

	sim_trace(SIM_EV_RESULT, (uint64_t)sig, page);
	if (sig == 0 && !may && stands)
		sim_fail("an access to page %u (%p) succeeds that is not "
			 "permitted",
			 page, (void *)(r->base + pages_to_bytes(page)));
	if (sig == SIGSEGV && must && stands)
		sim_fail("SIGSEGV at page %u (%p), which permits the access",
			 page, (void *)(r->base + pages_to_bytes(page)));
	if (sig == SIGBUS && !sim_lossy())
		sim_fail("SIGBUS at page %u (%p), and nothing was made to fail",
			 page, (void *)(r->base + pages_to_bytes(page)));
}

static bool begin(struct sim_region *r, unsigned page, unsigned *changes)
{
	if (!r->used || r->page[page].gone || r->page[page].unmapped)
		return false;
	*changes = r->page[page].prot_changes;
	r->page[page].accesses++;
	r->accesses++;
	return true;
}

static void end(struct sim_region *r, unsigned page)
{
	sim_progress();
	r->page[page].accesses--;
	r->accesses--;
	if (r->closing)
		sim_wake(SIM_GATE, key_of(r), SIM_THREADS);
}

void sim_read(struct sim_region *r, unsigned page, unsigned slot)
{
	uint64_t value = 0;
	unsigned changes;
	int sig;

	if (!begin(r, page, &changes))
		return;
	sig = sim_load_word(sim_word_at(r, page, slot), &value);
	judge(r, page, VVM_READ, changes, sig);
	if (!sig && r->used && !r->page[page].unmapped) {
		sim_word_check(r, page, slot, value, "a read");
		if (!r->page[page].discards &&
		    !sim_word(r, page, slot)->storing)
			sim_word_is(sim_word(r, page, slot), value);
	}
	end(r, page);
}

void sim_write(struct sim_region *r, unsigned page, unsigned slot)
{
	uint64_t value = sim_stamp();
	unsigned changes;
	int sig;

	if (!begin(r, page, &changes))
		return;
	sig = sim_store_word(sim_word_at(r, page, slot), value);
	judge(r, page, VVM_WRITE, changes, sig);
	if (!sig)
		written(r, page, sim_word(r, page, slot), value);
	end(r, page);
}

void sim_increment(struct sim_region *r, unsigned page, unsigned slot)
{
	uint64_t before = 0;
	unsigned changes;
	int sig;

	if (!begin(r, page, &changes))
		return;
	sig = add_word(sim_word_at(r, page, slot), &before);
	judge(r, page, VVM_WRITE, changes, sig);
	if (!sig && r->used && !r->page[page].unmapped) {
		sim_word_check(r, page, slot, before, "an increment");
		written(r, page, sim_word(r, page, slot), before + 1);
	}
	end(r, page);
}

/* ---- forks ---- */

void sim_model_forked(void)
{
	struct sim_region *r;
	unsigned i, k;

	for (r = sim_regions; r < sim_regions + SIM_REGIONS; r++) {
		if (!r->used)
			continue;
		/* it may have been unmapped or protected, or not */
		if (r->closing) {
			r->used = false;
			continue;
		}
		r->exclusive = false;
		r->calls = r->accesses = 0;
		for (i = 0; i < r->pages; i++) {
			struct sim_mpage *p = &r->page[i];

			if (p->prot != p->next_prot)
				p->unmapped = true;
			p->discards = p->accesses = 0;
			for (k = 0; k < SIM_SLOTS; k++) {
				p->word[k].storing = false;
				/* copied while others may write to it */
				if (p->pins)
					sim_word_unknown(&p->word[k]);
			}
			p->pins = 0;
		}
	}
}
