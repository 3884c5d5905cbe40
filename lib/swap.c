/* SPDX-License-Identifier: MIT */
/*
 * swap.c - the swap file: a backing of page-sized slots in a file or on a
 * block device.
 *
 * Slot n is the page at byte n * 4096. Page 0 is no slot ("slot 0" means
 * "no slot" everywhere); in a file we test there whether O_DIRECT works, on a
 * device we leave it alone.
 *
 * The *area* is what the file has now. It grows in chunks towards the
 * *limit*, by fallocate: room is claimed while somebody can still be told
 * that there is none, not when a dirty page is on its way out. File systems
 * that cannot are truncated longer instead; there a write may meet ENOSPC.
 * A device has its whole area from the start. Nothing ever shrinks before
 * close: slots in use are spread over the file.
 *
 * When to grow: if no run of the wanted length is met and at least half of
 * the area is in use. Long runs make writes cheap, so the file may be twice
 * what is swapped, plus a chunk; but without that bound a fragmented file
 * would eat the disk for the sake of contiguity.
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
 * A read that fails or whose bytes do not match is repeated as a whole, up
 * to READ_TRIES: controllers recover, and the first try of a retry is cheap
 * next to losing data. Then it is *isolated*: the pages that are still bad
 * are read one by one, so that one bad sector costs one page and not its 63
 * neighbours. That happens on the spot, in the caller's ring_run(): it
 * delays a handler by some disk reads on a disk that is dying anyway.
 *
 * Writing ahead. The first write to what fallocate gave costs a change of the
 * extent in the journal. Here (ext4, 256 and 32 KiB, eight in flight) a fresh
 * 64 MiB is written at 1.3 and 0.6 GB/s and later at 1.9 and 0.8; the longest
 * write took 4.4 ms, later ones up to 6.4, submitting one never took more than
 * 0.4 ms, and fallocate itself 0.07 to 0.3. So it is paid once per slot, and
 * nothing is to be gained by zeroing the chunk first, a whole write of it.
 *
 * Rejected: a header in page 0 (nothing is ever found again after close);
 * reading checksums from the disk beside the data (a second read, or slots
 * of 4100 bytes that O_DIRECT refuses).
 */
#include "swap.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "codec.h"
#include "hold.h"
#include "lock.h"
#include "log.h"
#include "os.h"
#include "slots.h"

/*
 * 64 MiB: 16,384 slots, 30 ms of writing at full speed here, so that the
 * millisecond of fallocate vanishes; small beside any disk.
 */
#define GROW_PAGES ((uint64_t)64 << 20 >> PAGE_SHIFT)
/* Near the end of the disk chunks are halved down to this, one write's. */
#define GROW_MIN_PAGES IO_MAX_PAGES
/* A full file system is asked again after this long. */
#define GROW_RETRY_US 1000000
/*
 * The largest limit that we choose ourselves: 1 TiB. Its tables take 1 GiB
 * of address space. An explicit limit may be higher.
 */
#define AUTO_MAX_PAGES ((uint64_t)1 << 28)
/* Of the free space, what we leave to others when we choose the limit. */
#define AUTO_SPARE_PCT 5
#define READ_TRIES     3
#define WRITE_TRIES    3

struct swap {
	struct backing backing;
	int fd;			/* (i) */
	enum os_file_type type; /* (i) */
	bool direct;		/* (i) */
	bool reserve;		/* (i) */
	struct lock lock;
	uint64_t base;		/* (i) slots are numbered from base + 1 */
	unsigned forks;		/* (i) os_fork_count() when it was opened */
	struct slots slots;	   /* (lock), but see (4) for the checksums */
	struct holds holds;	   /* (lock) */
	bool growing;		   /* (lock) */
	uint64_t retry_us;	   /* (lock) no growth before; 0: it is fine */
	struct waitq grown;	   /* waits for growing to end */
	struct backing_stat count; /* (a) the counters in it */
	atomic_flag grow_logged, read_logged;
	char probe[PAGE_BYTES] __attribute__((aligned(4096))); /* open only */
};

static struct swap *to_swap(struct backing *b)
{
	return container_of(b, struct swap, backing);
}

static void add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static uint64_t get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* ---- transfers ---- */

/* The slot of the i-th page, counted from 1. */
static uint64_t page_slot(const struct swap *s, const struct io *io, unsigned i)
{
	return io->slot - s->base + i;
}

static char *page_buf(const struct io *io, unsigned i)
{
	return io->buf + pages_to_bytes(i);
}

static uint32_t page_checksum(const struct io *io, unsigned i)
{
	return codec_checksum(page_buf(io, i), io_page_addr(io, i));
}

static void set_bad(struct io *io, unsigned i, bool bad)
{
	uint64_t bit = (uint64_t)1 << (i % 64);

	if (bad)
		io->bad[i / 64] |= bit;
	else
		io->bad[i / 64] &= ~bit;
}

static bool any_bad(const struct io *io)
{
	uint64_t any = 0;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(io->bad); i++)
		any |= io->bad[i];
	return any;
}

/* Sets bad[i] to whether the bytes of page i are not those written. */
static void verify_page(struct swap *s, struct io *io, unsigned i)
{
	bool bad = !io_page_gap(io, i) &&
		   page_checksum(io, i) !=
			   s->slots.checksum[page_slot(s, io, i)];

	set_bad(io, i, bad);
	if (bad)
		add(&s->count.checksum_errors, 1);
}

/* Sets bad[] after an attempt to read all of io. */
static void judge(struct swap *s, struct io *io, int result)
{
	unsigned i;

	if (result)
		add(&s->count.read_errors, 1);
	for (i = 0; i < io->pages; i++) {
		if (result)
			set_bad(io, i, true);
		else
			verify_page(s, io, i);
	}
}

/* One page of a read that failed, by itself. */
static int reread_page(struct swap *s, struct io *io, unsigned i)
{
	int err = os_pread(s->fd, page_buf(io, i), PAGE_BYTES,
			   pages_to_bytes(page_slot(s, io, i)));

	if (err)
		add(&s->count.read_errors, 1);
	else
		verify_page(s, io, i);
	return err;
}

/* Result of the whole: an error only when no page could be transferred. */
static int isolate(struct swap *s, struct io *io)
{
	unsigned i, moved = 0;
	int err, last = 0;

	for (i = 0; i < io->pages; i++) {
		err = io_page_bad(io, i) ? reread_page(s, io, i) : 0;
		moved += !err;
		last = err ? err : last;
	}
	if (any_bad(io))
		log_warn_once(&s->read_logged,
			      "swap: slots %llu+%u cannot be read (error %d)",
			      (unsigned long long)io->slot, io->pages, last);
	return moved ? 0 : last;
}

/* False: read it once more. */
static bool read_over(struct swap *s, struct io *io, int *result)
{
	judge(s, io, *result);
	if (!any_bad(io))
		return true;
	if (++io->tries < READ_TRIES) {
		add(&s->count.retries, 1);
		return false;
	}
	*result = isolate(s, io);
	return true;
}

/* False: write it once more. A disk that says no has tried hard already. */
static bool write_over(struct swap *s, struct io *io, int *result)
{
	if (*result == 0)
		return true;
	add(&s->count.write_errors, 1);
	if (*result != -EAGAIN && *result != -EINTR)
		return true;
	if (++io->tries == WRITE_TRIES)
		return true;
	add(&s->count.retries, 1);
	return false;
}

static bool transfer_over(struct io *io, int *result)
{
	struct swap *s = to_swap(io->backing);

	if (io->op.kind == RING_READ)
		return read_over(s, io, result);
	return write_over(s, io, result);
}

static void op_done(struct ring_op *op, int result)
{
	struct io *io = container_of(op, struct io, op);

	if (transfer_over(io, &result))
		io->done(io, result);
	else
		ring_start(io->ring, op);
}

static int transfer_once(const struct ring_op *op)
{
	if (op->kind == RING_READ)
		return os_pread(op->fd, op->buf, op->bytes, op->off);
	return os_pwrite(op->fd, op->buf, op->bytes, op->off);
}

static void transfer_now(struct io *io)
{
	int result;

	do
		result = transfer_once(&io->op);
	while (!transfer_over(io, &result));
	io->done(io, result);
}

static void transfer(struct backing *b, struct ring *ring, struct io *io,
		     enum ring_kind kind)
{
	struct swap *s = to_swap(b);

	ASSERT(io->pages >= 1 && io->pages <= IO_MAX_PAGES);
	ASSERT(io->slot > s->base);
	ASSERT(page_slot(s, io, io->pages - 1) <= s->slots.limit);
	io->backing = b;
	io->ring = ring;
	io->tries = 0;
	memset(io->bad, 0, sizeof(io->bad));
	io->op.done = op_done;
	io->op.kind = kind;
	io->op.fd = s->fd;
	io->op.bytes = (uint32_t)pages_to_bytes(io->pages);
	io->op.off = pages_to_bytes(page_slot(s, io, 0));
	io->op.buf = io->buf;
	if (ring)
		ring_start(ring, &io->op);
	else
		transfer_now(io);
}

static void swap_read(struct backing *b, struct ring *ring, struct io *io)
{
	struct swap *s = to_swap(b);

	add(&s->count.reads, 1);
	add(&s->count.read_bytes, pages_to_bytes(io->pages));
	transfer(b, ring, io, RING_READ);
}

static void swap_write(struct backing *b, struct ring *ring, struct io *io)
{
	struct swap *s = to_swap(b);
	unsigned i;

	add(&s->count.writes, 1);
	add(&s->count.written_bytes, pages_to_bytes(io->pages));
	for (i = 0; i < io->pages; i++) /* (4) */
		s->slots.checksum[page_slot(s, io, i)] = page_checksum(io, i);
	transfer(b, ring, io, RING_WRITE);
}

/* ---- slots and growth ---- */

static bool is_full(int error)
{
	return error == -ENOSPC || error == -EDQUOT || error == -EFBIG;
}

/* Gives the file pages for the slots from+1 .. to. I/O. */
static int extend_file(struct swap *s, uint64_t from, uint64_t to)
{
	int err = os_fallocate(s->fd, pages_to_bytes(from + 1),
			       pages_to_bytes(to - from));

	if (err != -EOPNOTSUPP || s->reserve)
		return err;
	return os_truncate(s->fd, pages_to_bytes(to + 1));
}

/* extend_file() by a chunk, or what there is room for. *to: the new area. */
static int extend_by_chunk(struct swap *s, uint64_t from, uint64_t *to)
{
	uint64_t chunk = MIN(GROW_PAGES, s->slots.limit - from);
	int err = extend_file(s, from, from + chunk);

	while (is_full(err) && chunk / 2 >= GROW_MIN_PAGES) {
		chunk /= 2;
		err = extend_file(s, from, from + chunk);
	}
	*to = from + chunk;
	return err;
}

/* => `growing` was set by us (2), lock not held. */
static void grow(struct swap *s)
{
	/* The area is read without the lock: only we may change it. */
	uint64_t to, from = s->slots.area;
	int err = extend_by_chunk(s, from, &to);

	lock_take(&s->lock);
	if (!err)
		slots_grow(&s->slots, to);
	s->retry_us = err ? os_now_us() + GROW_RETRY_US : 0;
	s->growing = false;
	lock_drop(&s->lock);
	waitq_wake(&s->grown);
	if (err)
		log_warn_once(&s->grow_logged,
			      "swap cannot grow beyond %llu MiB (error %d)",
			      (unsigned long long)(from >> (20 - PAGE_SHIFT)),
			      -err);
}

/* Growth failed a moment ago. */
static bool growth_rests(const struct swap *s)
{
	DEBUG_ASSERT(lock_held(&s->lock));
	return s->retry_us && os_now_us() < s->retry_us;
}

/* Take what there is rather than grow? */
static bool must_make_do(const struct swap *s)
{
	DEBUG_ASSERT(lock_held(&s->lock));
	return s->growing || s->slots.used < s->slots.area / 2 ||
	       growth_rests(s);
}

/*
 * No slot was taken. Grows the area or waits for who does; -ENOSPC: no use.
 * => lock held on entry, dropped on return.
 */
static int make_room(struct swap *s)
{
	uint32_t ticket;

	DEBUG_ASSERT(lock_held(&s->lock));
	if (s->growing) {
		ticket = waitq_ticket(&s->grown);
		lock_drop(&s->lock);
		waitq_wait(&s->grown, ticket, -1);
		return 0;
	}
	if (growth_rests(s)) {
		lock_drop(&s->lock);
		return -ENOSPC;
	}
	s->growing = true;
	lock_drop(&s->lock);
	grow(s);
	return 0;
}

static int swap_take(struct backing *b, uint64_t want, uint64_t *first,
		     uint64_t *got)
{
	struct swap *s = to_swap(b);
	int err;

	do {
		lock_take(&s->lock);
		err = slots_take(&s->slots, want, must_make_do(s), first, got);
		if (err != -EAGAIN) {
			lock_drop(&s->lock);
			*first += s->base;
			return err;
		}
		err = make_room(s);
	} while (!err);
	return err;
}

static void swap_give(struct backing *b, uint64_t first, uint64_t n)
{
	struct swap *s = to_swap(b);

	lock_take(&s->lock);
	holds_give(&s->holds, &s->slots, first - s->base, n);
	lock_drop(&s->lock);
}

static int swap_hold(struct backing *b, struct hold **out)
{
	struct swap *s = to_swap(b);
	bool begun;
	int err = hold_new(&s->holds, &s->slots, out);

	if (err)
		return err;
	lock_take(&s->lock);
	begun = hold_begin(&s->holds, &s->slots, *out);
	lock_drop(&s->lock);
	if (!begun)
		hold_free(*out);
	return begun ? 0 : -ENOMEM;
}

static void swap_release(struct backing *b, struct hold *h)
{
	struct swap *s = to_swap(b);

	lock_take(&s->lock);
	hold_end(&s->holds, &s->slots, h);
	lock_drop(&s->lock);
	hold_free(h);
}

/* Another thread may have held the lock, but slots did not change. */
static void swap_forked(struct backing *b)
{
	struct swap *s = to_swap(b);

	lock_init(&s->lock, LOCK_SLOTS);
	holds_fini(&s->holds, &s->slots);
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
}

/* ---- open and close ---- */

/*
 * A file that stays behind must not keep what was in memory. A fork child
 * has no say in that: the file is its parent's. And the parent must leave it
 * to children that still read it.
 */
static void swap_close(struct backing *b)
{
	struct swap *s = to_swap(b);

	if (s->type == OS_FILE_REG && s->forks == os_fork_count() &&
	    !s->holds.first)
		os_truncate(s->fd, 0);
	holds_fini(&s->holds, &s->slots);
	slots_fini(&s->slots);
	os_close(s->fd);
	os_unmap((haddr_t)s, sizeof(*s));
}

static const struct backing_ops swap_ops = {
	.name = "swap",
	.read = swap_read,
	.write = swap_write,
	.take = swap_take,
	.give = swap_give,
	.stat = swap_stat,
	.hold = swap_hold,
	.release = swap_release,
	.forked = swap_forked,
	.close = swap_close,
};

/* *bytes: size of the file or device that is there. */
static int open_file(struct swap *s, const char *path, uint64_t *bytes)
{
	static const unsigned flags[] = {
		[OS_FILE_REG] = 0,
		[OS_FILE_DIR] = OS_OPEN_TMP,
		[OS_FILE_BLOCK] = OS_OPEN_EXCL,
	};
	int err = os_file_info(path, &s->type, bytes);

	if (err == -ENOENT) {
		s->type = OS_FILE_REG;
		*bytes = 0;
		return os_open(path, OS_OPEN_CREATE, &s->fd);
	}
	if (err)
		return err;
	if (s->type == OS_FILE_OTHER)
		return -ENOTSUP;
	return os_open(path, flags[s->type], &s->fd);
}

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
		err = extend_file(s, 0, s->slots.limit);
	if (!err)
		slots_grow(&s->slots, s->slots.limit);
	return is_full(err) ? -ENOSPC : err;
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
	err = slots_init(&s->slots, pages);
	if (err)
		return err;
	err = first_area(s);
	if (err)
		slots_fini(&s->slots);
	return err;
}

static int open_all(struct swap *s, const struct conf *conf)
{
	uint64_t file_bytes;
	int err = open_file(s, conf->swap_path, &file_bytes);

	if (err)
		return err;
	err = claim_file(s);
	if (!err)
		err = set_up(s, conf, file_bytes);
	if (err)
		os_close(s->fd);
	return err;
}

int swap_open_at(struct backing **out, const struct conf *conf, uint64_t base)
{
	struct swap *s;
	void *memory;
	int err = os_map_anon(sizeof(*s), &memory);

	if (err)
		return err;
	s = memory;
	s->backing.ops = &swap_ops;
	s->reserve = conf->swap_reserve;
	s->base = base;
	s->forks = os_fork_count();
	lock_init(&s->lock, LOCK_SLOTS);
	waitq_init(&s->grown);
	atomic_flag_clear(&s->grow_logged);
	atomic_flag_clear(&s->read_logged);
	err = open_all(s, conf);
	if (err) {
		log_error("swap %s cannot be used (error %d)", conf->swap_path,
			  -err);
		os_unmap((haddr_t)s, sizeof(*s));
		return err;
	}
	*out = &s->backing;
	return 0;
}

int swap_open(struct backing **out, const struct conf *conf)
{
	return swap_open_at(out, conf, 0);
}
