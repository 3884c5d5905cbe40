/* SPDX-License-Identifier: MIT */
/*
 * stat/table.c - the parts of a segment that grow: regions, blocks, rings.
 *
 * The file is sparse and mapped in its full length once. An item is given out
 * only when its storage is allocated, or a full /dev/shm would be a SIGBUS in
 * the fault path; storage grows by steps. When there is none, there is no
 * item: the caller counts nothing there, and unpublished_blocks says so.
 *
 * Free items are remembered in private memory: the pager depends on nothing
 * that others could write to.
 *
 * A ring may have several writers (a lane of inline mode is shared by the
 * threads that are hashed to it). Each takes a number and writes that event;
 * who reads must be able to tell a complete event from a mixture of two. So
 * seq, written last, is number and checksum in one, and nobody ever waits.
 */
#include "stat/stat.h"

#include <string.h>
#include "os/os.h"
#include "util/probe.h"

/* ---- items ---- */

static void *item_at(const struct stat_items *items, uint64_t i)
{
	return items->first + i * items->item_bytes;
}

static bool grow(struct stats *st, struct stat_items *items)
{
	uint64_t step = MIN(items->step, items->max - items->ready);
	uint64_t at = (uint64_t)(items->first - (char *)st->segment);

	if (!step || os_fallocate(st->fd, at + items->ready * items->item_bytes,
				  step * items->item_bytes))
		return false;
	items->ready += step;
	return true;
}

/* => st->lock held. */
static void *take(struct stats *st, struct stat_items *items)
{
	if (items->spares)
		return item_at(items, items->spare[--items->spares]);
	if (items->count == items->ready && !grow(st, items))
		return NULL;
	items->count++;
	__atomic_store_n(&items->table->count, items->count, __ATOMIC_RELEASE);
	return item_at(items, items->count - 1);
}

/* => st->lock held. */
static void give(struct stat_items *items, void *item)
{
	items->spare[items->spares++] =
		(uint32_t)((uint64_t)((char *)item - items->first) /
			   items->item_bytes);
}

/* ---- regions ---- */

struct vvm_stat_region *stat_region_take(struct stats *st)
{
	struct vvm_stat_region *r;

	if (!st->regions.first)
		return NULL;
	lock_take(&st->lock);
	r = take(st, &st->regions);
	lock_drop(&st->lock);
	return r;
}

/* Words, so that a reader sees each one whole. */
static void store_words(void *to, const void *from, size_t bytes)
{
	uint64_t *t = to;
	const uint64_t *f = from;
	size_t i;

	for (i = 0; i < bytes / sizeof(*t); i++)
		__atomic_store_n(&t[i], f[i], __ATOMIC_RELAXED);
}

void stat_region_write(struct vvm_stat_region *to,
		       const struct vvm_stat_region *from)
{
	size_t first = offsetof(struct vvm_stat_region, start);
	size_t end = offsetof(struct vvm_stat_region, faults_zero);

	if (!to)
		return;
	__atomic_store_n(&to->seq, to->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	store_words(&to->start, &from->start, end - first);
	__atomic_store_n(&to->seq, to->seq + 1, __ATOMIC_RELEASE);
}

static void add_word(uint64_t *to, uint64_t n)
{
	__atomic_fetch_add(to, n, __ATOMIC_RELAXED);
}

static void bequeath(struct stats *st, const struct vvm_stat_region *r,
		     struct vvm_stat_region *heir)
{
	if (!heir) {
		add_word(&st->segment->value.faults_elsewhere,
			 r->faults_zero + r->faults_swapin + r->faults_wp +
				 r->faults_other);
		return;
	}
	add_word(&heir->faults_zero, r->faults_zero);
	add_word(&heir->faults_swapin, r->faults_swapin);
	add_word(&heir->faults_wp, r->faults_wp);
	add_word(&heir->faults_other, r->faults_other);
}

void stat_region_give(struct stats *st, struct vvm_stat_region *r,
		      struct vvm_stat_region *heir)
{
	static const struct vvm_stat_region none;

	if (!r)
		return;
	bequeath(st, r, heir);
	stat_region_write(r, &none);
	r->faults_zero = r->faults_swapin = r->faults_wp = r->faults_other = 0;
	lock_take(&st->lock);
	give(&st->regions, r);
	lock_drop(&st->lock);
}

/* ---- blocks ---- */

struct vvm_stat_block *stat_block_take(struct stats *st, gaddr_t base)
{
	struct vvm_stat_block *b;

	if (!st || !st->blocks.first)
		return NULL;
	lock_take(&st->lock);
	b = take(st, &st->blocks);
	if (!b)
		st->segment->value.unpublished_blocks++;
	lock_drop(&st->lock);
	if (b)
		__atomic_store_n(&b->base, base + 1, __ATOMIC_RELEASE);
	return b;
}

void stat_block_give(struct stats *st, struct vvm_stat_block *b)
{
	if (!b)
		return;
	__atomic_store_n(&b->base, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	store_words(&b->pages, &(struct vvm_stat_block){0}.pages,
		    sizeof(*b) - offsetof(struct vvm_stat_block, pages));
	lock_take(&st->lock);
	give(&st->blocks, b);
	lock_drop(&st->lock);
}

/* ---- events ---- */

static bool has_ring(struct stats *st, uint64_t i)
{
	uint64_t ready =
		atomic_load_explicit(&st->rings_ready, memory_order_relaxed);

	return ready >> i & 1;
}

void stat_event(struct stats *st, struct vvm_stat_actor *a,
		const struct stat_fault *f, uint64_t end_ns)
{
	uint64_t i = (uint64_t)(a - st->segment->actor), n, page, took;
	uint64_t tid_mask = ((uint64_t)1 << VVM_STAT_EVENT_TID_BITS) - 1;
	struct vvm_stat_event *e;

	PROBE4(fault_end, f->page, f->flags, end_ns - f->at.start_ns, f->tid);
	if (!STAT_ON || !has_ring(st, i))
		return;
	n = __atomic_fetch_add(&a->events, 1, __ATOMIC_RELAXED);
	e = &st->rings[i].event[n % VVM_STAT_EVENTS];
	page = page_floor(f->page) | f->flags;
	took = (end_ns - f->at.start_ns) << VVM_STAT_EVENT_TID_BITS |
	       ((uint64_t)f->tid & tid_mask);
	__atomic_store_n(&e->time_ns, end_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&e->page, page, __ATOMIC_RELAXED);
	__atomic_store_n(&e->took, took, __ATOMIC_RELAXED);
	__atomic_store_n(&e->seq, vvm_stat_event_seq(n, end_ns, page, took),
			 __ATOMIC_RELEASE);
}

static void count_stage(struct vvm_stat_actor *a, enum vvm_stat_stage stage,
			uint64_t from_ns, uint64_t to_ns)
{
	uint64_t ns = to_ns > from_ns ? to_ns - from_ns : 0;

	__atomic_fetch_add(&a->stage[stage][vvm_stat_stage_bucket(ns)], 1,
			   __ATOMIC_RELAXED);
}

void stat_resolved(struct stats *st, struct vvm_stat_actor *a,
		   const struct stat_fault *f, uint64_t end_ns)
{
	const struct stat_times *t = &f->at;
	uint64_t looked_ns = t->looked_ns ? t->looked_ns : end_ns;

	if (!STAT_ON) {
		stat_event(st, a, f, end_ns); /* it has a probe */
		return;
	}
	__atomic_fetch_add(&a->latency[vvm_stat_bucket(end_ns - t->start_ns)],
			   1, __ATOMIC_RELAXED);
	count_stage(a, VVM_STAT_STAGE_queue, t->start_ns, t->begin_ns);
	count_stage(a, VVM_STAT_STAGE_lookup, t->begin_ns, looked_ns);
	if (t->read_ns)
		count_stage(a, VVM_STAT_STAGE_read, looked_ns, t->read_ns);
	count_stage(a, VVM_STAT_STAGE_install,
		    t->read_ns ? t->read_ns : looked_ns, end_ns);
	stat_event(st, a, f, end_ns);
}
