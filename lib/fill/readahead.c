/* SPDX-License-Identifier: MIT */
/*
 * fill/readahead.c - installing what was read ahead.
 *
 * The read may cover slots in between that nobody wants: gaps. The others are
 * FILLING until they are installed here, in runs of neighbours.
 *
 * Pages are installed unmapped (fill/fill.c), so that hits and waste are exact
 * and unused pages go first: they are marked PREFETCHED until the clock sees
 * them used. Those of streams that have proved to walk through all that they
 * are given are mapped at once: fill/streams.c decides.
 *
 * The trigger of a stream (policy/prefetch.h) has the flag PREFETCHED while it
 * is FILLING. Whoever wants it meanwhile takes the flag away (fault/fault.c)
 * and waits; else it is not installed but put on standby (space/standby.c), and
 * SWAPPED again.
 *
 * Pages are put into the memfd with nothing locked. 32 pages take 80 us and
 * more, and a thread that comes to the next of them cannot even begin to wait
 * for it while somebody has the lock: a stream got no lock between the batches
 * of two readers, reached its trigger late, and the disk was idle in between.
 * It costs little, since FILLING pages are left alone (space (6)).
 */
#include "fill/readahead.h"

#include <string.h>

#include "fill/fill.h"
#include "space/view.h"

static haddr_t host_of(const struct readahead *ra, unsigned i)
{
	return ra->host + pages_to_bytes(ra->index[i]);
}

static char *bytes_of(const struct readahead *ra, unsigned i)
{
	return ra->io.buf + pages_to_bytes(i);
}

void readahead_arrived(struct readahead *ra, struct vvm_stat_actor *actor,
		       int result)
{
	ra->at = 0;
	ra->gave_up = false;
	fill_count_read(actor, &ra->io, ra->start_ns, os_now_ns(), false);
	if (result < 0)
		memset(ra->io.bad, 0xff, sizeof(ra->io.bad));
}

/* ---- page i is io's i-th. All => block lock held ---- */

static pte_t *entry_of(const struct readahead *ra, unsigned i)
{
	return &ra->block->pte[ra->index[i]];
}

static void give_up(struct readahead *ra, struct vvm_stat_actor *actor,
		    unsigned i)
{
	fill_give_up(ra->vm, actor, ra->block, ra->index[i]);
	ra->gave_up = true;
}

/* Puts pages [i, i + n) into the memfd. How many are there? */
static unsigned put_run(struct readahead *ra, unsigned i, unsigned n)
{
	haddr_t host = host_of(ra, i);
	bool protect = !ra->intended;
	int rc;

	if (ra->map)
		return fill_put(ra->vm, ra->uffd, host, bytes_of(ra, i), n,
				protect, &rc);
	rc = fill_put_unmapped(ra->vm, ra->uffd, host, bytes_of(ra, i), n,
			       protect);
	return rc < 0 ? 0 : n;
}

/*
 * Installs pages [i, i + n), neighbours and all good. The lock is dropped
 * meanwhile. Whoever writes to a page between its arrival and its change of
 * state finds it FILLING: hence another wake-up, where threads wait for one.
 */
static void install_run(struct readahead *ra, struct vvm_stat_actor *actor,
			unsigned i, unsigned n)
{
	haddr_t host = host_of(ra, i);
	unsigned end = i + n, good = i;

	lock_drop(&ra->block->lock);
	good += put_run(ra, i, n);
	lock_take(&ra->block->lock);
	if (space_broken(ra->vm))
		return;
	for (; i < good; i++)
		fill_present(ra->vm, actor, ra->block, ra->index[i],
			     ra->intended, !ra->map, bytes_of(ra, i));
	for (; i < end; i++)
		give_up(ra, actor, i);
	if (!space_is_inline(ra->vm))
		os_uffd_wake(ra->uffd, host, pages_to_bytes(n));
}

/* Page i is a trigger that nobody wanted until now. */
static void put_on_standby(struct readahead *ra, struct vvm_stat_actor *actor,
			   unsigned i)
{
	bool lost;

	give_up(ra, actor, i);
	if (standby_put(&ra->vm->standby, host_of(ra, i), bytes_of(ra, i),
			&lost))
		*entry_of(ra, i) |= PTE_PREFETCHED;
	if (lost)
		stat_add(actor, VVM_STAT_prefetch_waste_pages, 1);
}

static bool is_unwanted_trigger(const struct readahead *ra, unsigned i)
{
	return *entry_of(ra, i) & PTE_PREFETCHED;
}

/* How many pages from i on are neighbours and good? 0: i itself is neither. */
static unsigned good_run(const struct readahead *ra, unsigned i, unsigned most)
{
	unsigned n;

	most = MIN(most, ra->io.pages - i);
	for (n = 0; n < most; n++)
		if (io_page_bad(&ra->io, i + n) ||
		    ra->index[i + n] != ra->index[i] + n ||
		    is_unwanted_trigger(ra, i + n))
			break;
	return n;
}

/* Installs or gives up the next page or pages; returns how many. */
static unsigned install_next(struct readahead *ra, struct vvm_stat_actor *actor,
			     unsigned most)
{
	unsigned i = ra->at, n;

	if (ra->index[i] == IO_GAP)
		return 1;
	n = good_run(ra, i, most);
	if (n)
		install_run(ra, actor, i, n);
	else if (io_page_bad(&ra->io, i))
		give_up(ra, actor, i);
	else
		put_on_standby(ra, actor, i);
	return MAX(n, 1u);
}

bool readahead_install(struct readahead *ra, struct vvm_stat_actor *actor,
		       unsigned most)
{
	struct block *b = ra->block;
	bool over;

	lock_take(&b->lock);
	if (space_broken(ra->vm))
		ra->at = ra->io.pages;
	for (most += ra->at; ra->at < MIN(most, ra->io.pages);)
		ra->at += install_next(ra, actor, most - ra->at);
	over = ra->at == ra->io.pages;
	waitq_wake(&b->busy_done);
	lock_drop(&b->lock);
	/*
	 * The block may go away from here on. Pages that were given up have
	 * to be asked for again by whoever had joined this read.
	 */
	if (over && ra->gave_up)
		view_wake(ra->vm, ra->uffd, ra->host, BLOCK_BYTES);
	return over;
}
