/* SPDX-License-Identifier: MIT */
/*
 * stat/stat.c - the statistics segment of one space: a sparse file in /dev/shm,
 * mapped shared, that the library's threads count in and that vvmstat reads
 * while they do.
 *
 * Terms
 *   segment  the content of the file, laid out by vvm_stat.h
 *   actor    whoever counts: one handler or reclaimer thread, or, as actor 0,
 *	      all of the application's own threads together; what their faults
 *	      count when they resolve these themselves goes to 16 more actors
 *   stale    a file whose process is gone: stat/file.c
 *   item     a region, block or ring of the growing part: stat/table.c
 *   site     code that waits for pages: stat/site.c
 *
 * Counting costs one uncontended atomic add in memory that no other thread
 * writes. That is why each actor has a block of its own, and why the reader
 * does the adding up: a counter of a space exists nowhere, only its parts.
 * A gauge is a counter whose parts may be negative (one actor fills a page,
 * another evicts it); only their sum means something.
 *
 * Invariants
 *  (1) A reader that sees the magic number sees a complete header: it is
 *	stored last, and the file is locked by then.
 *  (2) actors.count counts the blocks handed out; a block never changes hands
 *	and is never cleared, so sums of COUNT counters only grow.
 *  (3) Memory of the mapping has storage in the file before it is used. A
 *	file in tmpfs that is merely truncated to size would raise SIGBUS, in
 *	the fault path, on the day that /dev/shm is full.
 *  (4) Only the process that created the file removes it while it lives. A
 *	fork child inherits the mapping and the path, and must not.
 *  (5) Nothing here is needed for paging, and nothing that is read back here
 *	is trusted further than to be wrong: when the file cannot be made the
 *	counters live in private memory and the library works the same.
 *
 * A process may end by exit() with spaces open: a destructor removes their
 * files. The list of open segments that it needs is state outside of struct
 * vvm, since a destructor has no argument.
 *
 * Rejected: a socket on which the library answers (a thread that must run
 * and be trusted while the process is in trouble, which is when people
 * look); one file for all processes (needs locks and an owner); sharing the
 * page table itself with readers (whoever may write to the file could then
 * corrupt the pager; a fork child that wants its parent's table would share
 * it instead of copying it): one byte a page is 1/8 of it, and says what a
 * reader wants to know.
 */
#include "stat/stat.h"

#include <errno.h>
#include <string.h>
#include "format.h"
#include "util/log.h"
#include "os/os.h"
#include "stat/file.h"
#include "vvm.h"

#define HEADER_BYTES VVM_STAT_RINGS_OFFSET /* and actors */
#define REGION_STEP  32			   /* 4 KiB of storage */
#define BLOCK_STEP   112 /* 63 KiB of storage, 224 MiB of guest addresses */

_Static_assert(VVM_STAT_PAGE_BYTES == PAGE_BYTES, "one page size");
_Static_assert(VVM_STAT_BLOCK_PAGES == BLOCK_PAGES, "one block size");
_Static_assert(VVM_STAT_ACTORS <= 64, "rings_ready has a bit for each");
_Static_assert(VVM_STAT_BLOCKS_MAX <= UINT32_MAX, "stat_items.spare");

static void process_command(char *buf, size_t size)
{
	if (os_read_text("/proc/self/comm", buf, size))
		buf[0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

/* ------------------------------------------------------------------ */
/* The open segments							*/

_Atomic bool stat_sizing;

static struct lock open_lock = {.rank = LOCK_MISC};
static struct list open_list = {&open_list, &open_list}; /* (open_lock) */

static void remember(struct stats *st)
{
	lock_take(&open_lock);
	list_insert(&open_list, &st->link);
	lock_drop(&open_lock);
}

static void forget(struct stats *st)
{
	lock_take(&open_lock);
	list_remove(&st->link);
	lock_drop(&open_lock);
}

/* Marks it closed and removes the file, if it is ours (4). */
static void withdraw(struct stats *st)
{
	struct vvm_stat_segment *s = st->segment;

	if (st->pid != os_pid())
		return;
	__atomic_store_n(&s->closed, 1, __ATOMIC_RELEASE);
	if (st->path[0])
		os_unlink(st->path);
}

/* At exit(): the threads may still be counting, so nothing is unmapped. */
__attribute__((destructor)) static void withdraw_all(void)
{
	struct list *node;

	if (!lock_try(&open_lock))
		return;
	for (node = open_list.next; node != &open_list; node = node->next)
		withdraw(list_entry(node, struct stats, link));
	lock_drop(&open_lock);
}

/* ------------------------------------------------------------------ */
/* Making and removing a segment					*/

/* Gives the file its length, the header its storage, and maps all of it. */
static int map_file(int fd, struct vvm_stat_segment **out)
{
	haddr_t at;
	int error = os_truncate(fd, VVM_STAT_FILE_BYTES);

	if (!error)
		error = os_fallocate(fd, 0, HEADER_BYTES);
	if (!error)
		error = os_reserve(VVM_STAT_FILE_BYTES, PAGE_BYTES, 0, 0, &at);
	if (error)
		return error;
	/* Accessible last: the file has 2 GiB, and mlockall(2) would fill it. */
	error = os_map_fixed(at, VVM_STAT_FILE_BYTES, 0, fd, 0);
	if (!error)
		error = os_unlock(at, VVM_STAT_FILE_BYTES);
	if (!error)
		error = os_protect(at, VVM_STAT_FILE_BYTES, OS_READ | OS_WRITE);
	if (error) {
		os_unmap(at, VVM_STAT_FILE_BYTES);
		return error;
	}
	*out = (struct vvm_stat_segment *)at;
	return 0;
}

static int open_shared(struct stats *st)
{
	int error;

	stat_file_clean();
	error = stat_file_create(st->path, sizeof(st->path), &st->fd);
	if (error)
		return error;
	error = map_file(st->fd, &st->segment);
	if (error)
		stat_file_remove(st->path, &st->fd);
	return error;
}

static int open_private(struct stats *st)
{
	void *memory;
	int error = os_map_anon(HEADER_BYTES, &memory);

	if (!error)
		st->segment = memory;
	return error ? -ENOMEM : 0;
}

/* Readies a growing table. Without memory for its spares there is none. */
static void open_items(struct stats *st, struct stat_items *items,
		       struct vvm_stat_table *table, uint64_t step)
{
	void *spare;

	if (os_map_anon(table->max * sizeof(*items->spare), &spare))
		return;
	items->first = (char *)st->segment + table->offset;
	items->item_bytes = table->item_bytes;
	items->max = table->max;
	items->table = table;
	items->spare = spare;
	items->step = step;
}

static void close_items(struct stat_items *items)
{
	if (items->first)
		os_unmap((haddr_t)items->spare,
			 items->max * sizeof(*items->spare));
	items->first = NULL;
}

/* What only a segment has that is shared. */
static void open_tables(struct stats *st)
{
	struct vvm_stat_segment *s = st->segment;

	st->rings = (struct vvm_stat_ring *)((char *)s + s->rings.offset);
	open_items(st, &st->regions, &s->regions, REGION_STEP);
	open_items(st, &st->blocks, &s->blocks, BLOCK_STEP);
	st->sites = (struct vvm_stat_site *)((char *)s + s->sites.offset);
}

static void write_tables(struct vvm_stat_segment *s)
{
	s->actors = (struct vvm_stat_table){
		offsetof(struct vvm_stat_segment, actor),
		sizeof(struct vvm_stat_actor), 1, VVM_STAT_ACTORS};
	s->rings = (struct vvm_stat_table){VVM_STAT_RINGS_OFFSET,
					   sizeof(struct vvm_stat_ring), 0,
					   VVM_STAT_ACTORS};
	s->regions = (struct vvm_stat_table){VVM_STAT_REGIONS_OFFSET,
					     sizeof(struct vvm_stat_region), 0,
					     VVM_STAT_REGIONS_MAX};
	s->blocks = (struct vvm_stat_table){VVM_STAT_BLOCKS_OFFSET,
					    sizeof(struct vvm_stat_block), 0,
					    VVM_STAT_BLOCKS_MAX};
	s->sites = (struct vvm_stat_table){VVM_STAT_SITES_OFFSET,
					   sizeof(struct vvm_stat_site), 0,
					   VVM_STAT_SITES + 1};
}

/* Fills the header of a zeroed segment, but for the magic number. */
static void write_header(struct vvm_stat_segment *s, uint64_t bytes)
{
	s->version = VVM_STAT_VERSION;
	s->header_bytes = offsetof(struct vvm_stat_segment, actor);
	s->file_bytes = bytes;
	s->counter_count = VVM_STAT_COUNTER_COUNT;
	s->value_count = sizeof(s->value) / sizeof(uint64_t);
	s->bucket_count = VVM_STAT_BUCKETS;
	s->stage_count = VVM_STAT_STAGE_COUNT;
	s->stage_bucket_count = VVM_STAT_STAGE_BUCKETS;
	s->kind_count = VVM_STAT_KIND_COUNT;
	write_tables(s);
	s->actor[0].role = VVM_STAT_API;
	s->pid = (uint64_t)os_pid();
	if (stat_process_start(os_pid(), &s->pid_start))
		s->pid_start = 0;
	s->opened_unix_us = os_unix_us();
	process_command(s->command, sizeof(s->command));
	format_text(s->library_version, sizeof(s->library_version), "%d.%d.%d",
		    VVM_VERSION_MAJOR, VVM_VERSION_MINOR, VVM_VERSION_PATCH);
}

/* From now on readers believe what they see (1). */
static void publish(struct vvm_stat_segment *s)
{
	__atomic_store_n(&s->magic, VVM_STAT_MAGIC, __ATOMIC_RELEASE);
}

int stat_open(struct stats *st, bool shared)
{
	int error = 0;

	memset(st, 0, sizeof(*st));
	st->fd = -1;
	lock_init(&st->lock, LOCK_MISC);
	shared &= STAT_ON;
	if (shared) {
		error = open_shared(st);
		if (error)
			log_info("no statistics for vvmstat: %s: %s",
				 VVM_STAT_DIR, strerror(-error));
		shared = !error;
	}
	if (!shared)
		error = open_private(st);
	if (error)
		return error;
	st->pid = os_pid();
	st->mapped_bytes = shared ? VVM_STAT_FILE_BYTES : HEADER_BYTES;
	write_header(st->segment, st->mapped_bytes);
	if (shared)
		open_tables(st);
	publish(st->segment);
	remember(st);
	return 0;
}

void stat_close(struct stats *st)
{
	struct vvm_stat_segment *s = st->segment;

	if (!s)
		return;
	forget(st);
	withdraw(st);
	close_items(&st->regions);
	close_items(&st->blocks);
	os_unmap((haddr_t)s, st->mapped_bytes);
	if (st->fd >= 0)
		os_close(st->fd);
	memset(st, 0, sizeof(*st));
}

/* Another thread may have been at the list: it is not looked at. */
void stat_forked(void)
{
	lock_init(&open_lock, LOCK_MISC);
	list_init(&open_list);
}

void stat_abandon(struct stats *st)
{
	list_init(&st->link);
	if (st->segment)
		stat_close(st);
}

/* ------------------------------------------------------------------ */
/* Actors								*/

/* Gives an actor that takes faults its ring, if there is storage for it. */
static void open_ring(struct stats *st, uint64_t i)
{
	uint64_t bytes = sizeof(*st->rings);

	if (!st->rings ||
	    os_fallocate(st->fd, VVM_STAT_RINGS_OFFSET + i * bytes, bytes))
		return;
	atomic_fetch_or(&st->rings_ready, (uint64_t)1 << i);
	lock_take(&st->lock);
	st->segment->rings.count = MAX(st->segment->rings.count, i + 1);
	lock_drop(&st->lock);
}

struct vvm_stat_actor *stat_actor(struct stats *st, enum vvm_stat_role role)
{
	struct vvm_stat_segment *s = st->segment;
	uint64_t n = __atomic_load_n(&s->actors.count, __ATOMIC_RELAXED);

	if (role == VVM_STAT_API)
		return &s->actor[0];
	do {
		if (n >= VVM_STAT_ACTORS)
			return NULL;
	} while (!__atomic_compare_exchange_n(&s->actors.count, &n, n + 1, true,
					      __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	s->actor[n].role = role;
	s->actor[n].tid = (uint64_t)os_tid();
	if (role == VVM_STAT_HANDLER)
		open_ring(st, n);
	return &s->actor[n];
}

int64_t stat_sum(const struct stats *st, enum vvm_stat_counter c)
{
	const struct vvm_stat_segment *s = st->segment;
	uint64_t i, n = __atomic_load_n(&s->actors.count, __ATOMIC_RELAXED);
	int64_t sum = 0;

	n = MIN(n, (uint64_t)VVM_STAT_ACTORS);
	for (i = 0; i < n; i++)
		sum += __atomic_load_n(&s->actor[i].counter[c],
				       __ATOMIC_RELAXED);
	return sum;
}
