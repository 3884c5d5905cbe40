/* SPDX-License-Identifier: MIT */
/*
 * map/access.c - touch, pin, load and store.
 *
 * All of them get hold of one page at a time by inline_page(), which returns
 * with the page's block locked and the space lock held for reading. Under
 * these a resident page stays resident, and its permissions stay what the
 * table says; so a load or store may simply copy through the host pointer:
 * the page is there, permitted, and, for a store, DIRTY, hence not
 * write-protected (space (2)). At most the kernel maps it again, by itself.
 *
 * The caller's buffer may be guest memory, too, or nothing at all. It is touched
 * only with nothing locked, hence the bounce buffer.
 *
 * Pins are counted per page, in an array that a block gets with its first
 * pin; PTE_PINNED says that the count is not zero. Reclaim leaves pinned pages
 * alone. Memory that is writable is made DIRTY by the pin: a device may write
 * to it and no event would tell.
 */
#include "map/access.h"

#include <errno.h>
#include <string.h>

#include "fault/fault.h"
#include "fault/inline.h"
#include "space/budget.h"

/* Loads and stores go through the stack in pieces of this size. */
#define COPY_BYTES 1024

/* ---- checks ---- */

/* Why [addr, addr + len) may not be accessed. => space lock held. */
static int check_range(struct vvm *vm, gaddr_t addr, size_t len, pte_t need)
{
	gaddr_t at = addr;
	int rc;

	while (at - addr < len) {
		struct region *r = at < GUEST_END
					   ? regions_at_guest(&vm->regions, at)
					   : NULL;

		if (!r)
			return at == addr ? -VVM_EUNMAPPED : -VVM_EPASTEND;
		rc = fault_refusal((pte_t)r->prot * PTE_READ, need);
		if (rc < 0)
			return rc;
		at = r->end;
	}
	return 0;
}

int access_check(struct vvm *vm, gaddr_t addr, size_t len, pte_t need)
{
	int rc;

	rwlock_read(&vm->lock);
	rc = check_range(vm, addr, len, need);
	rwlock_end_read(&vm->lock);
	return rc;
}

/* ---- load and store ---- */

/*
 * The part of a copy that lies in one page. buf is not guest memory: a fault
 * on it could wait for the very locks that are held here.
 */
static int copy_page(struct vvm *vm, gaddr_t addr, char *buf, size_t len,
		     bool store)
{
	struct region *r;
	struct block *b;
	char *host;
	int rc;

	rc = inline_page(vm, addr, store ? PTE_WRITE : PTE_READ, store, &b, &r);
	if (rc < 0)
		return rc;
	host = (char *)(uintptr_t)region_to_host(r, addr);
	if (store)
		memcpy(host, buf, len);
	else
		memcpy(buf, host, len);
	inline_page_end(vm, b);
	return 0;
}

/* The same of up to COPY_BYTES and any buffer. */
static int copy_bounced(struct vvm *vm, gaddr_t addr, char *buf, size_t len,
			bool store)
{
	char bounce[COPY_BYTES];
	int rc;

	if (store)
		memcpy(bounce, buf, len);
	rc = copy_page(vm, addr, bounce, len, store);
	if (rc == 0 && !store)
		memcpy(buf, bounce, len);
	return rc;
}

static int copy(struct vvm *vm, gaddr_t addr, char *at, size_t len, bool store,
		bool own)
{
	int rc;

	rc = access_check(vm, addr, len, store ? PTE_WRITE : PTE_READ);
	while (rc == 0 && len) {
		size_t n = MIN(len, (size_t)(PAGE_BYTES - (addr & PAGE_MASK)));

		if (!own)
			n = MIN(n, (size_t)COPY_BYTES);
		rc = own ? copy_page(vm, addr, at, n, store)
			 : copy_bounced(vm, addr, at, n, store);
		addr += n;
		at += n;
		len -= n;
	}
	return rc;
}

int access_copy(struct vvm *vm, gaddr_t addr, void *buf, size_t len, bool store)
{
	return copy(vm, addr, buf, len, store, false);
}

int access_copy_own(struct vvm *vm, gaddr_t addr, void *buf, size_t len,
		    bool store)
{
	return copy(vm, addr, buf, len, store, true);
}

/* ---- touch ---- */

int access_touch(struct vvm *vm, gaddr_t start, gaddr_t end, bool write)
{
	gaddr_t at;
	int rc = 0;

	for (at = start; at < end && rc == 0; at += PAGE_BYTES) {
		struct region *r;
		struct block *b;

		rc = inline_page(vm, at, write ? PTE_WRITE : PTE_READ, write,
				 &b, &r);
		if (rc == 0)
			inline_page_end(vm, b);
	}
	return rc;
}

/* ---- pin ---- */

static void return_pin(struct vvm *vm)
{
	atomic_fetch_sub(&vm->frames.pinned, 1);
	stat_add(vm->api, VVM_STAT_pinned_pages, -1);
}

/* Counts one more pinned frame, if the budget allows it: space/budget.c. */
static bool reserve_pin(struct vvm *vm)
{
	_Atomic uint64_t *count = &vm->frames.pinned;
	uint64_t pinned = atomic_load(count);

	do {
		if (!budget_fits_pinned(vm, pinned + 1))
			return false;
	} while (!atomic_compare_exchange_weak(count, &pinned, pinned + 1));
	stat_add(vm->api, VVM_STAT_pinned_pages, 1);
	if (!space_is_automatic(vm) ||
	    budget_fits_pinned(vm, atomic_load(count)))
		return true;
	return_pin(vm); /* it has just become smaller */
	return false;
}

/* Pins page i once more. => block lock held, the page is resident. */
static int pin_locked(struct vvm *vm, struct block *b, unsigned i)
{
	uint16_t *pins = pt_pins(&vm->pt, b);

	if (!pins)
		return -ENOMEM;
	if (pins[i] == UINT16_MAX)
		return -EAGAIN;
	if (!pins[i]) {
		if (!reserve_pin(vm))
			return -EAGAIN;
		pt_set_pinned(b, i, true);
	}
	pins[i]++;
	return 0;
}

/* => block lock held, pin count not 0. */
static void unpin_locked(struct vvm *vm, struct block *b, unsigned i)
{
	if (--b->pins[i])
		return;
	pt_set_pinned(b, i, false);
	return_pin(vm);
}

static int pin_page(struct vvm *vm, gaddr_t addr)
{
	bool write = access_check(vm, addr, 1, PTE_WRITE) == 0;
	struct region *r;
	struct block *b;
	int rc;

	rc = inline_page(vm, addr, write ? PTE_WRITE : PTE_READ, write, &b, &r);
	if (rc < 0)
		return rc;
	rc = pin_locked(vm, b, page_index(addr));
	inline_page_end(vm, b);
	return rc;
}

/*
 * Unpins what is pinned of [start, end). With dry, only: is all of it? That is
 * known at the first page that is not: the range may be terabytes.
 */
static bool unpin_pages(struct vvm *vm, gaddr_t start, gaddr_t end, bool dry)
{
	bool all = true;
	gaddr_t at;

	for (at = start; at < end && (all || !dry); at += PAGE_BYTES) {
		struct block *b;
		bool pinned;

		rwlock_read(&vm->lock);
		b = pt_find(&vm->pt, at);
		if (b)
			lock_take(&b->lock);
		pinned = b && (b->pte[page_index(at)] & PTE_PINNED);
		if (pinned && !dry)
			unpin_locked(vm, b, page_index(at));
		if (b)
			lock_drop(&b->lock);
		rwlock_end_read(&vm->lock);
		all &= pinned;
	}
	return all;
}

int access_pin(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	gaddr_t at;
	int rc = access_check(vm, start, end - start, PTE_READ);

	if (rc == -VVM_EPASTEND)
		rc = -VVM_EUNMAPPED;
	for (at = start; at < end && rc == 0; at += PAGE_BYTES)
		rc = pin_page(vm, at);
	if (rc < 0 && at > start)
		unpin_pages(vm, start, at - PAGE_BYTES, false);
	return rc;
}

int access_unpin(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	if (!unpin_pages(vm, start, end, true))
		return -EINVAL;
	unpin_pages(vm, start, end, false);
	return 0;
}

/* ---- looking ---- */

static unsigned char page_flags(pte_t e)
{
	unsigned flags = 0;

	if (e & PTE_PRESENT)
		flags |= VVM_PAGE_RESIDENT;
	if (e & PTE_DIRTY)
		flags |= VVM_PAGE_DIRTY;
	if (slot_is_swap(pte_slot(e)))
		flags |= VVM_PAGE_SWAPPED;
	if (e & PTE_BUSY)
		flags |= VVM_PAGE_BUSY;
	if (e & PTE_PINNED)
		flags |= VVM_PAGE_PINNED;
	if (pte_state(e) == PAGE_POISONED)
		flags |= VVM_PAGE_POISONED;
	return (unsigned char)flags;
}

int access_covered(struct vvm *vm, gaddr_t start, gaddr_t end)
{
	bool covered;

	rwlock_read(&vm->lock);
	covered = regions_cover(&vm->regions, start, end);
	rwlock_end_read(&vm->lock);
	return covered ? 0 : -VVM_EUNMAPPED;
}

int access_residency(struct vvm *vm, gaddr_t start, gaddr_t end,
		     unsigned char *flags)
{
	gaddr_t at;
	struct block *b;
	int rc = 0;

	rwlock_read(&vm->lock);
	if (!regions_cover(&vm->regions, start, end)) {
		rc = -VVM_EUNMAPPED;
		goto out;
	}
	memset(flags, 0, (end - start) >> PAGE_SHIFT);
	pt_for_each_block (&vm->pt, b, start, end) {
		gaddr_t to = MIN(end, b->base + BLOCK_BYTES);

		lock_take(&b->lock);
		for (at = MAX(start, b->base); at < to; at += PAGE_BYTES)
			flags[(at - start) >> PAGE_SHIFT] =
				page_flags(b->pte[page_index(at)]);
		lock_drop(&b->lock);
	}
out:
	rwlock_end_read(&vm->lock);
	return rc;
}
