/* SPDX-License-Identifier: MIT */
/*
 * snapshot/preimages.c - pages that are kept for fork children.
 *
 * The children read the pages through the file, which they have open; the
 * tables are the parent's alone.
 *
 * Invariants:
 *  (1) A page of the file that no snapshot needs has no memory, but for one
 *	that preimages_add() has just made.
 *  (2) A page does not change while somebody needs it.
 */
#include "snapshot/preimages.h"

#include <string.h>

#include "os/os.h"

/* Copies at a time: 64 GiB. The tables for them are touched as they fill. */
#define COPIES_MAX ((uint64_t)1 << 24)
#define REFS_BYTES page_ceil((COPIES_MAX + 1) * sizeof(uint16_t))

int preimages_init(struct preimages *c)
{
	void *memory = NULL;
	int rc;

	memset(c, 0, sizeof(*c));
	c->fd = -1;
	rc = os_memfd("vvm-preimages", &c->fd);
	if (rc == 0)
		rc = os_truncate(c->fd, pages_to_bytes(COPIES_MAX + 1));
	if (rc == 0)
		rc = os_map_anon(PAGE_BYTES, &memory);
	if (rc < 0)
		return rc;
	c->page = memory;
	rc = os_map_anon(REFS_BYTES, &memory);
	if (rc < 0)
		return rc;
	c->refs = memory;
	rc = slots_init(&c->slots, COPIES_MAX);
	if (rc == 0)
		slots_grow(&c->slots, COPIES_MAX);
	return rc;
}

void preimages_fini(struct preimages *c, bool keep_file)
{
	if (c->fd >= 0 && !keep_file)
		os_close(c->fd);
	if (c->slots.bitmap)
		slots_fini(&c->slots);
	if (c->refs)
		os_unmap((haddr_t)(uintptr_t)c->refs, REFS_BYTES);
	if (c->page)
		os_unmap((haddr_t)(uintptr_t)c->page, PAGE_BYTES);
}

static void discard(struct preimages *c, uint64_t n)
{
	os_punch(c->fd, pages_to_bytes(n), PAGE_BYTES);
	slots_give(&c->slots, n, 1);
}

int preimages_add(struct preimages *c, int memfd, uint64_t off, uint64_t *n)
{
	uint64_t got;
	int rc = slots_take(&c->slots, 1, true, n, &got);

	if (rc < 0)
		return rc;
	rc = os_frame_read(memfd, c->page, PAGE_BYTES, off);
	if (rc == 0)
		rc = os_frame_write(c->fd, c->page, PAGE_BYTES,
				    pages_to_bytes(*n));
	if (rc < 0)
		discard(c, *n);
	return rc;
}

void preimages_get(struct preimages *c, uint64_t n)
{
	c->refs[n]++;
}

void preimages_put(struct preimages *c, uint64_t n)
{
	ASSERT(c->refs[n]);
	if (!--c->refs[n])
		discard(c, n);
}
