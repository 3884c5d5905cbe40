/* SPDX-License-Identifier: MIT */
/*
 * space/verify.c - in a guarded space: is a CLEAN page as its slot is?
 *
 * Nothing tells of a write to a CLEAN page there (space/view.c). So what was
 * read from a slot is remembered as a digest of 128 bits, by page, while it is
 * resident; and before the frame may go, or a fork child rely on the slot, the
 * page gets its marker and the frame is compared with that. A page without a
 * slot was zero, and is compared with zero. One that differs has been written
 * to: it is DIRTY, and FROZEN since it has the marker already; whoever touches
 * it next, or writes it to swap, makes it DIRTY.
 *
 * Equal digests are taken for equal pages: with 128 bits and a seed that nobody
 * outside of the process knows, a page that had been changed would pass in one
 * of 3e38 cases.
 *
 * Digests are a table of 8 KiB for each block that has, or had, pages filled by
 * a read: 16 bytes a page. It goes when nothing of the block is resident.
 * Rejected: one for each slot (as much memory, for all that is in swap). A
 * page that is written back needs none: it is evicted under the lock under
 * which it becomes CLEAN.
 */
#include "space/verify.h"

#include "space/view.h"

bool verify_note(struct vvm *vm, struct block *b, unsigned i, const void *bytes)
{
	struct digest *digests;

	if (!space_is_guarded(vm))
		return true;
	digests = pt_digests(&vm->pt, b);
	if (!digests)
		return false;
	digests[i] = digest_page(bytes, vm->pt.seed);
	return true;
}

void verify_forget(struct vvm *vm, struct block *b)
{
	ASSERT(!b->resident);
	pt_give_digests(&vm->pt, b);
}

bool verify_same(const struct vvm *vm, const struct block *b, unsigned i,
		 const void *bytes)
{
	struct digest now;

	if (!pte_slot(b->pte[i]))
		return page_is_zero(bytes);
	if (!b->digests)
		return false;
	now = digest_page(bytes, vm->pt.seed);
	return now.low == b->digests[i].low && now.high == b->digests[i].high;
}

/* It has been written to, or may have been. It has the marker. */
static void set_changed(struct vvm *vm, struct vvm_stat_actor *actor,
			struct block *b, unsigned i)
{
	space_move(vm, actor, b, i, PAGE_DIRTY, 0);
	space_move(vm, actor, b, i, PAGE_FROZEN, 0);
}

/* Pages [from, to), neighbours, CLEAN and protected. */
static void compare(struct vvm *vm, struct vvm_stat_actor *actor,
		    const struct extent *p, uint64_t *clean, unsigned from,
		    unsigned to, char *buf)
{
	int rc = os_frame_read(vm->memfd, buf, pages_to_bytes(to - from),
			       extent_host(p, from));
	unsigned i;

	for (i = from; i < to; i++, buf += PAGE_BYTES) {
		if (rc == 0 && verify_same(vm, p->block, i, buf))
			continue;
		set_changed(vm, actor, p->block, i);
		bit_clear(clean, i);
	}
}

static void compare_run(struct vvm *vm, struct vvm_stat_actor *actor,
			const struct extent *p, uint64_t *clean, unsigned from,
			unsigned to, char *buf)
{
	unsigned next;

	for (; from < to; from = next) {
		for (next = from; next < to && next - from < VERIFY_PAGES &&
				  bit_get(clean, next);)
			next++;
		if (next > from)
			compare(vm, actor, p, clean, from, next, buf);
		else
			next++;
	}
}

static void give_up(uint64_t *clean, unsigned from, unsigned to)
{
	for (; from < to; from++)
		bit_clear(clean, from);
}

int verify_clean(struct vvm *vm, struct vvm_stat_actor *actor,
		 const struct extent *p, uint64_t *clean, char *buf)
{
	unsigned from = 0, to;
	int rc, result = 0;

	while (extent_run(vm, p, clean, &from, &to)) {
		rc = view_protect(vm, p->uffd, extent_host(p, from),
				  pages_to_bytes(to - from));
		if (rc == 0) {
			compare_run(vm, actor, p, clean, from, to, buf);
		} else {
			give_up(clean, from, to);
			result = rc;
		}
		from = to;
	}
	return result;
}
