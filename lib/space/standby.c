/* SPDX-License-Identifier: MIT */
/*
 * space/standby.c - pages kept at hand without being resident.
 *
 * A stream of reads is to raise an event when it is half through what was
 * read ahead, so that the next read can begin in time. So one page of each
 * window is not installed: it stays SWAPPED, as if it had not been read, and
 * its content waits here. Its fault then costs an event and no read.
 *
 * Is the copy still good when the fault comes? The page's entry has the flag
 * PREFETCHED while it is SWAPPED, from the moment the copy was put here until
 * the entry's next move (pt_move() drops it), both under the block lock. So
 * whoever claims the page and saw the flag knows that nothing has happened to
 * it since a copy was put here; and there is but one copy of each page, the
 * latest. A copy without a flag is garbage that some later one replaces. Nobody
 * waits for a page on standby, and none needs cleaning up when a region goes.
 *
 * Rejected: keeping the page FILLING until its fault comes. It holds a frame,
 * and unmap, discard, pinning and API threads would wait for a fault that may
 * never happen.
 */
#include "space/standby.h"

#include <string.h>

#include "os/os.h"

int standby_init(struct standby *p, unsigned pages)
{
	void *memory = NULL;
	int rc = 0;

	memset(p, 0, sizeof(*p));
	lock_init(&p->lock, LOCK_MISC);
	pages = MIN(pages, (unsigned)STANDBY_PAGES_MAX);
	if (pages)
		rc = os_map_anon(pages_to_bytes(pages), &memory);
	if (rc < 0)
		return rc;
	p->pages = memory;
	p->count = pages;
	return 0;
}

void standby_fini(struct standby *p)
{
	if (p->pages)
		os_unmap((haddr_t)(uintptr_t)p->pages,
			 pages_to_bytes(p->count));
	p->pages = NULL;
	p->count = 0;
}

/* The place of host; count when it has none. => lock held. */
static unsigned find(const struct standby *p, haddr_t host)
{
	unsigned i;

	for (i = 0; i < p->count; i++)
		if (p->place[i].host == host)
			break;
	return i;
}

/* An empty place, or the oldest. => lock held, count > 0. */
static unsigned oldest(const struct standby *p)
{
	unsigned i, best = 0;

	for (i = 1; i < p->count; i++)
		if (p->place[i].used < p->place[best].used)
			best = i;
	return best;
}

bool standby_put(struct standby *p, haddr_t host, const char *page, bool *lost)
{
	unsigned i;

	*lost = false;
	if (!p->count)
		return false;
	lock_take(&p->lock);
	i = find(p, host);
	if (i == p->count) {
		i = oldest(p);
		*lost = p->place[i].host != 0;
	}
	p->place[i].host = host;
	p->place[i].used = ++p->turn;
	memcpy(p->pages + pages_to_bytes(i), page, PAGE_BYTES);
	lock_drop(&p->lock);
	return true;
}

bool standby_has(struct standby *p, haddr_t host)
{
	bool has;

	lock_take(&p->lock);
	has = find(p, host) < p->count;
	lock_drop(&p->lock);
	return has;
}

bool standby_take(struct standby *p, haddr_t host, char *buf)
{
	unsigned i;

	lock_take(&p->lock);
	i = find(p, host);
	if (i < p->count) {
		memcpy(buf, p->pages + pages_to_bytes(i), PAGE_BYTES);
		p->place[i].host = 0;
		p->place[i].used = 0;
	}
	lock_drop(&p->lock);
	return i < p->count;
}
