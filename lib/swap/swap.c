/* SPDX-License-Identifier: MIT */
/*
 * swap/swap.c - the swap file: a backing of page-sized slots in a file or on a
 * block device.
 *
 * Slot n is the page at byte n * 4096. Page 0 is no slot ("slot 0" means
 * "no slot" everywhere); in a file we test there whether O_DIRECT works, on a
 * device we leave it alone.
 *
 * The *area* is what the file has now. It grows towards the *limit*
 * (swap/alloc.c). A device has its whole area from the start. Nothing ever
 * shrinks before close: slots in use are spread over the file. swap/io.c is
 * about the transfers. This file opens and closes.
 *
 * Invariants:
 *  (1) `lock` (rank LOCK_SLOTS) covers slots and the growth state, and is
 *	never held over a system call.
 *  (2) One thread grows at a time: the one that set `growing`. The others
 *	take shorter runs meanwhile, and wait only when no slot is free.
 *  (3) slots.area only covers pages that the file has.
 *  (4) The checksum of a slot in use is stored before its write starts, by
 *	the thread that starts it. Nobody reads a slot before its write is
 *	done, so checksums need no lock: who learns of the slot learns of the
 *	checksum with it.
 *  (5) done() of a transfer is called once, and nothing touches io after.
 *
 * Rejected: a header in page 0 (nothing is ever found again after close);
 * reading checksums from the disk beside the data (a second read, or slots
 * of 4100 bytes that O_DIRECT refuses).
 */
#include "swap/impl.h"

#include <errno.h>
#include <string.h>

#include "util/log.h"

/*
 * The largest limit that we choose ourselves: 1 TiB. Its tables take 1 GiB
 * of address space. An explicit limit may be higher.
 */
#define AUTO_MAX_PAGES ((uint64_t)1 << 28)
/* Of the free space, what we leave to others when we choose the limit. */
#define AUTO_SPARE_PCT 5
/* Together two seconds. */
#define BUSY_TRIES  100
#define BUSY_TRY_US 20000

/* ---- what it is ---- */

static uint64_t get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Another thread may have held the lock, but slots did not change. */
static void swap_forked(struct backing *b)
{
	struct swap *s = to_swap(b);

	if (s->tier)
		tier_seal(s->tier);
	lock_init(&s->lock, LOCK_SLOTS);
	holds_fini(&s->holds, &s->slots);
	atomic_store(&s->flight.count, 0); /* the parent's */
}

static void swap_shed(struct backing *b)
{
	struct swap *s = to_swap(b);

	os_close(s->fd);
	s->fd = -1;
	if (s->tier)
		tier_shed(s->tier);
}

static void swap_stat(struct backing *b, struct backing_stat *st)
{
	struct swap *s = to_swap(b);

	lock_take(&s->lock);
	st->slots_used = s->slots.used;
	st->slots_area = s->slots.area;
	st->slots_limit = s->slots.limit;
	st->slots_held = s->holds.kept_count;
	lock_drop(&s->lock);
	st->reads = get(&s->count.reads);
	st->writes = get(&s->count.writes);
	st->read_bytes = get(&s->count.read_bytes);
	st->written_bytes = get(&s->count.written_bytes);
	st->read_errors = get(&s->count.read_errors);
	st->write_errors = get(&s->count.write_errors);
	st->checksum_errors = get(&s->count.checksum_errors);
	st->retries = get(&s->count.retries);
	st->direct = s->direct;
	st->inflight = atomic_load(&s->flight.count);
	st->progress_us = atomic_load(&s->flight.progress_us);
	if (s->tier)
		tier_stat(s->tier, st);
}

static void swap_trim(struct backing *b, struct ring *ring, uint64_t pages)
{
	struct swap *s = to_swap(b);

	if (s->tier)
		tier_trim(s->tier, ring, pages);
}

static bool swap_wants(struct backing *b, uint64_t slot, gaddr_t addr)
{
	struct swap *s = to_swap(b);

	return s->tier && tier_wants(s->tier, slot - s->base, addr);
}

static void swap_add(struct backing *b, uint64_t slot, gaddr_t addr,
		     const char *page)
{
	struct swap *s = to_swap(b);

	tier_add(s->tier, slot - s->base, addr, page);
}

int swap_keep(struct backing *b, const struct store_memory *memory)
{
	struct swap *s = to_swap(b);

	return tier_new(&s->tier, s, s->slots.limit, s->slots.checksum, memory);
}

/* ---- open and close ---- */

/* A file that stays behind must not keep what was in memory. */
static void empty(const struct swap *s)
{
	uint64_t bytes = pages_to_bytes(s->slots.limit + 1);
	int err = os_truncate(s->fd, 0);

	if (err && os_punch(s->fd, 0, bytes) < 0)
		log_warn("the swap file keeps what was in memory: it cannot be "
			 "truncated (error %d)",
			 -err);
}

/*
 * A fork child has no say in that: the file is its parent's. And the parent
 * must leave it to children that still read it.
 */
static void swap_close(struct backing *b)
{
	struct swap *s = to_swap(b);

	if (s->type == OS_FILE_REG && s->forks == os_fork_count() &&
	    !s->holds.first)
		empty(s);
	if (s->tier)
		tier_free(s->tier);
	holds_fini(&s->holds, &s->slots);
	slots_fini(&s->slots);
	os_close(s->fd);
	os_unmap((haddr_t)s, sizeof(*s));
}

static const struct backing_ops swap_ops = {
	.name = "swap",
	.read = swap_read,
	.write = swap_write,
	.fetch = swap_fetch,
	.wants = swap_wants,
	.add = swap_add,
	.trim = swap_trim,
	.take = swap_take,
	.give = swap_give,
	.stat = swap_stat,
	.stalled = swap_stalled,
	.hold = swap_hold,
	.release = swap_release,
	.forked = swap_forked,
	.shed = swap_shed,
	.close = swap_close,
};

/* An existing file gives its room back first, and its content is gone. */
static int claim_file(struct swap *s)
{
	int err = os_lock_file(s->fd);

	if (err || s->type == OS_FILE_BLOCK)
		return err;
	return os_truncate(s->fd, 0);
}

/* Slots when the setting is 0: what is free less a little. */
static int auto_limit(struct swap *s, uint64_t file_bytes, uint64_t *pages)
{
	uint64_t free_bytes;
	int err = os_free_space(s->fd, &free_bytes);

	if (err)
		return err;
	free_bytes -= free_bytes / 100 * AUTO_SPARE_PCT;
	*pages = MAX(free_bytes, file_bytes) >> PAGE_SHIFT;
	*pages = MIN(MAX(*pages, GROW_PAGES), AUTO_MAX_PAGES);
	return 0;
}

static int choose_limit(struct swap *s, const struct conf *conf,
			uint64_t file_bytes, uint64_t *pages)
{
	uint64_t set = conf->swap_limit_bytes >> PAGE_SHIFT;
	uint64_t file_pages = file_bytes >> PAGE_SHIFT;

	if (conf->swap_limit_bytes)
		*pages = MAX(set, 1);
	else if (s->type != OS_FILE_BLOCK)
		return auto_limit(s, file_bytes, pages);
	else
		*pages = UINT64_MAX;
	if (s->type != OS_FILE_BLOCK)
		return 0;
	if (file_pages < 2)
		return -EINVAL;
	*pages = MIN(*pages, file_pages - 1);
	return 0;
}

/* Writes page 0 of a file, reads it back; of a device only reads it. */
static int probe_transfer(struct swap *s)
{
	int err = 0;

	if (s->type != OS_FILE_BLOCK)
		err = os_pwrite(s->fd, s->probe, PAGE_BYTES, 0);
	return err ? err : os_pread(s->fd, s->probe, PAGE_BYTES, 0);
}

/* Some file systems accept the flag and then refuse the transfers. */
static void probe_direct(struct swap *s)
{
	int err = os_set_direct(s->fd, true);

	if (!err)
		err = probe_transfer(s);
	s->direct = !err;
	if (!err)
		return;
	os_set_direct(s->fd, false);
	log_info("swap is buffered: O_DIRECT is refused (error %d)", -err);
}

/* The area as it is at first. */
static int first_area(struct swap *s)
{
	int err = 0;

	if (s->type != OS_FILE_BLOCK && !s->reserve)
		return 0;
	if (s->type != OS_FILE_BLOCK)
		err = swap_extend(s, 0, s->slots.limit);
	if (!err)
		slots_grow(&s->slots, s->slots.limit);
	return swap_no_room(err) ? -ENOSPC : err;
}

/*
 * A limit that we have chosen gets a quarter of the tables that there is room
 * for (ulimit -v, -d): the heap has its own to make.
 */
static int init_slots(struct swap *s, const struct conf *conf, uint64_t pages)
{
	int err = slots_init(&s->slots, pages);

	if (err != -ENOMEM || conf->swap_limit_bytes || s->reserve)
		return err;
	while (err == -ENOMEM && pages > GROW_PAGES) {
		pages /= 2;
		err = slots_init(&s->slots, pages);
	}
	if (!err && pages > 4 * GROW_PAGES) {
		slots_fini(&s->slots);
		err = slots_init(&s->slots, pages / 4);
	}
	return err;
}

/* => the file is open and claimed. */
static int set_up(struct swap *s, const struct conf *conf, uint64_t file_bytes)
{
	uint64_t pages;
	int err = choose_limit(s, conf, file_bytes, &pages);

	if (!err)
		err = probe_transfer(s);
	if (err)
		return err;
	if (conf->swap_direct)
		probe_direct(s);
	err = init_slots(s, conf, pages);
	if (err)
		return err;
	err = first_area(s);
	if (err)
		slots_fini(&s->slots);
	return err;
}

static int open_and_claim(struct swap *s, struct conf *conf,
			  struct swap_file *f)
{
	int err = swap_open_place(conf, s->base != 0, f);

	if (err)
		return err;
	s->fd = f->fd;
	s->type = f->type;
	err = claim_file(s);
	if (err)
		os_close(s->fd);
	return err;
}

/* Who was killed just now holds it until its last transfer is over. */
static int open_in_time(struct swap *s, struct conf *conf, struct swap_file *f)
{
	int err = open_and_claim(s, conf, f);
	unsigned tries;

	for (tries = 0; err == -EBUSY && tries < BUSY_TRIES; tries++) {
		os_sleep_us(BUSY_TRY_US);
		err = open_and_claim(s, conf, f);
	}
	return err;
}

static int open_all(struct swap *s, struct conf *conf, struct swap_file *f)
{
	int err = open_in_time(s, conf, f);

	if (err)
		return err;
	err = set_up(s, conf, f->bytes);
	if (err && s->type == OS_FILE_REG)
		os_truncate(s->fd, 0); /* of what was allocated */
	if (err)
		os_close(s->fd);
	return err;
}

/* What vvm_open() may say of swap_path. */
static int narrow(int err)
{
	switch (err) {
	case -EINVAL: /* a device without room */
	case -ENOTSUP:
	case -EBUSY:
	case -ENOENT:
	case -EACCES:
	case -ENOTDIR:
	case -ELOOP:
	case -EROFS:
	case -ENOSPC:
	case -EFBIG:
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
		return err;
	case -EDQUOT:
		return -ENOSPC;
	case -EPERM:
		return -EACCES;
	default:
		return -EIO;
	}
}

/* What to do about it, as it goes on behind the error. */
static const char *remedy(int err)
{
	switch (err) {
	case -ENOENT:
	case -EACCES:
	case -EPERM:
	case -EROFS:
	case -ENOTDIR:
	case -ENOTSUP:
	case -ENOSPC:
	case -EDQUOT:
		return ": set VVM_SWAP to a directory that you may write to, "
		       "with room";
	case -EBUSY:
		return ": another process or space swaps to it";
	case -EFBIG:
		return ": raise the limit on the size of files (ulimit -f)";
	case -ENOMEM:
		return " (is there a limit, ulimit -v, -d or -l?)";
	default:
		return "";
	}
}

static void complain(const struct conf *conf, const struct swap_file *f,
		     int err)
{
	if (f->why)
		log_error("swap file %s %s: remove it, or name another one",
			  conf->swap_path, f->why);
	else
		log_error("swap %s cannot be used: %s%s", conf->swap_path,
			  strerror(-err), remedy(err));
}

int swap_open_at(struct backing **out, struct conf *conf, uint64_t base)
{
	struct swap_file f = {0};
	struct swap *s;
	void *memory;
	int err = os_map_anon(sizeof(*s), &memory);

	if (err)
		return err;
	s = memory;
	s->backing.ops = &swap_ops;
	s->backing.grain_pages = STORE_CHUNK_PAGES;
	s->reserve = conf->swap_reserve;
	s->base = base;
	s->forks = os_fork_count();
	lock_init(&s->lock, LOCK_SLOTS);
	waitq_init(&s->grown);
	atomic_flag_clear(&s->grow_logged);
	atomic_flag_clear(&s->read_logged);
	err = open_all(s, conf, &f);
	if (err) {
		complain(conf, &f, err);
		os_unmap((haddr_t)s, sizeof(*s));
		return narrow(err);
	}
	*out = &s->backing;
	return 0;
}

int swap_open(struct backing **out, struct conf *conf)
{
	return swap_open_at(out, conf, 0);
}
