/* SPDX-License-Identifier: MIT */
/*
 * trace.c - page access traces.
 *
 * The file. All numbers are little-endian.
 *
 *	header	"vvmtrace", u32 version = 1, u32 page size = 4096
 *	part	u32 thread, u32 records (1..256), u32 bytes, then the records
 *	...
 *	end	a part of 0 records and 0 bytes
 *
 * A record is one access: a number v, 7 bits in a byte, the lowest first, the
 * top bit set in all bytes but the last, at most 10 of them:
 *
 *	v = zigzag(page - page of the record before) << 2 | flags
 *	zigzag(d) = d << 1 ^ d >> 63
 *
 * flags are enum trace_flag. Page numbers are below 2^52; the first record of
 * a part counts from page 0. A local access takes a byte, a random one in a GiB
 * three.
 *
 * Order. A thread hands over 256 accesses at a time; parts are in the order in
 * which they became full. So the accesses of a thread are in order, and those
 * of different threads by some hundred, which is little beside the thousands
 * of pages whose replacement is at stake. Exact order would need a clock or
 * a shared counter for each access.
 *
 * A file without the end part was cut short: its writer died, or the disk was
 * full.
 *
 * In memory pages have 32-bit numbers. Blocks are renumbered in the order of
 * their first access, as a program's address space is sparse, and pages keep
 * their place in the block, as that is what the pager's hand goes by. An open
 * hash table holds the blocks seen so far.
 */
#include "vvmbench/workload/trace.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC	   "vvmtrace"
#define VERSION	   1
#define PAGE_BYTES 4096
#define PAGES_MAX  ((uint64_t)1 << 52)
#define BLOCKS_MAX (UINT32_MAX / TRACE_BLOCK_PAGES)
#define EMPTY	   UINT32_MAX

struct header {
	char magic[8];
	uint32_t version, page_bytes;
};

struct part_header {
	uint32_t thread, records, bytes;
};

/* ------------------------------------------------------------------ */
/* In memory								*/

void trace_init(struct trace *t)
{
	memset(t, 0, sizeof(*t));
}

void trace_fini(struct trace *t)
{
	free(t->page);
	free(t->flags);
	free(t->block_map);
	free(t->block_key);
	trace_init(t);
}

/* Where a block is in the table, or would be. => there is room */
static uint32_t place_of(const struct trace *t, uint64_t block)
{
	uint32_t mask = t->map_size - 1;
	uint32_t at = (uint32_t)(block * 0x9e3779b97f4a7c15ull >> 32) & mask;

	while (t->block_map[at] != EMPTY && t->block_key[at] != block)
		at = (at + 1) & mask;
	return at;
}

static bool grow_map(struct trace *t)
{
	struct trace bigger = {.map_size = t->map_size ? 2 * t->map_size : 64};
	uint32_t i, at;

	bigger.block_map = malloc(bigger.map_size * sizeof(*t->block_map));
	bigger.block_key = malloc(bigger.map_size * sizeof(*t->block_key));
	if (!bigger.block_map || !bigger.block_key) {
		trace_fini(&bigger);
		return false;
	}
	memset(bigger.block_map, 0xff, bigger.map_size * sizeof(uint32_t));
	for (i = 0; i < t->map_size; i++) {
		if (t->block_map[i] == EMPTY)
			continue;
		at = place_of(&bigger, t->block_key[i]);
		bigger.block_map[at] = t->block_map[i];
		bigger.block_key[at] = t->block_key[i];
	}
	free(t->block_map);
	free(t->block_key);
	t->block_map = bigger.block_map;
	t->block_key = bigger.block_key;
	t->map_size = bigger.map_size;
	return true;
}

/* The dense number of a block, EMPTY when there is no room for more. */
static uint32_t block_number(struct trace *t, uint64_t block)
{
	uint32_t blocks = t->pages / TRACE_BLOCK_PAGES, at;

	if (2 * blocks >= t->map_size && !grow_map(t))
		return EMPTY;
	at = place_of(t, block);
	if (t->block_map[at] != EMPTY)
		return t->block_map[at];
	if (blocks >= BLOCKS_MAX)
		return EMPTY;
	t->block_map[at] = blocks;
	t->block_key[at] = block;
	t->pages += TRACE_BLOCK_PAGES;
	return blocks;
}

static bool grow(struct trace *t)
{
	size_t room = t->room ? 2 * t->room : 1 << 16;
	uint32_t *page = realloc(t->page, room * sizeof(*page));
	uint8_t *flags;

	if (!page)
		return false;
	t->page = page;
	flags = realloc(t->flags, room);
	if (!flags)
		return false;
	t->flags = flags;
	t->room = room;
	return true;
}

bool trace_add(struct trace *t, uint64_t page, unsigned flags)
{
	uint32_t block;

	if (t->accesses == t->room && !grow(t))
		return false;
	block = block_number(t, page / TRACE_BLOCK_PAGES);
	if (block == EMPTY)
		return false;
	t->page[t->accesses] = block * TRACE_BLOCK_PAGES +
			       (uint32_t)(page % TRACE_BLOCK_PAGES);
	t->flags[t->accesses++] = (uint8_t)flags;
	return true;
}

bool trace_finish(struct trace *t)
{
	bool *seen = calloc(t->pages + 1, sizeof(*seen));
	size_t i;

	if (!seen)
		return false;
	t->touched = 0;
	for (i = 0; i < t->accesses; i++) {
		t->touched += !seen[t->page[i]];
		seen[t->page[i]] = true;
	}
	free(seen);
	return true;
}

/* ------------------------------------------------------------------ */
/* Writing								*/

struct trace_file {
	FILE *out;
	pthread_mutex_t lock;
	int error; /* (lock) the first */
};

static void put(struct trace_file *f, const void *data, size_t bytes)
{
	if (bytes && !f->error && fwrite(data, 1, bytes, f->out) != bytes)
		f->error = errno ? errno : EIO;
}

struct trace_file *trace_create(const char *path)
{
	struct header h = {MAGIC, htole32(VERSION), htole32(PAGE_BYTES)};
	struct trace_file *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->out = fopen(path, "wbe");
	if (!f->out) {
		free(f);
		return NULL;
	}
	pthread_mutex_init(&f->lock, NULL);
	put(f, &h, sizeof(h));
	return f;
}

static void put_part(struct trace_file *f, uint32_t thread, uint32_t records,
		     const uint8_t *data, uint32_t bytes)
{
	struct part_header h = {htole32(thread), htole32(records),
				htole32(bytes)};

	pthread_mutex_lock(&f->lock);
	put(f, &h, sizeof(h));
	put(f, data, bytes);
	pthread_mutex_unlock(&f->lock);
}

int trace_close(struct trace_file *f)
{
	int error;

	put_part(f, 0, 0, NULL, 0);
	if (fclose(f->out) && !f->error)
		f->error = errno;
	error = f->error;
	pthread_mutex_destroy(&f->lock);
	free(f);
	return error;
}

void trace_part_init(struct trace_part *p, struct trace_file *f,
		     unsigned thread)
{
	p->file = f;
	p->thread = thread;
	p->records = p->bytes = 0;
	p->last = 0;
}

void trace_part_flush(struct trace_part *p)
{
	if (p->records)
		put_part(p->file, p->thread, p->records, p->data, p->bytes);
	p->records = p->bytes = 0;
	p->last = 0;
}

static uint64_t zigzag(int64_t d)
{
	return (uint64_t)d << 1 ^ (d < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

void trace_record(struct trace_part *p, uint64_t page, unsigned flags)
{
	uint64_t v = zigzag((int64_t)(page - p->last)) << 2 | flags;

	for (; v >= 0x80; v >>= 7)
		p->data[p->bytes++] = (uint8_t)(v | 0x80);
	p->data[p->bytes++] = (uint8_t)v;
	p->last = page;
	if (++p->records == TRACE_PART_RECORDS)
		trace_part_flush(p);
}

/* ------------------------------------------------------------------ */
/* Reading: the file may be anybody's					*/

/* Takes a number off [*at, end). False: it has none there. */
static bool take_number(const uint8_t **at, const uint8_t *end, uint64_t *v)
{
	unsigned shift;

	*v = 0;
	for (shift = 0; *at < end && shift < 64; shift += 7) {
		uint8_t byte = *(*at)++;

		*v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static const char *read_records(struct trace *t, const uint8_t *at,
				const uint8_t *end, uint32_t records)
{
	uint64_t page = 0, v;

	for (; records; records--) {
		if (!take_number(&at, end, &v))
			return "it has a record that is no number";
		page += (uint64_t)unzigzag(v >> 2);
		if (page >= PAGES_MAX)
			return "it has a page number that cannot be";
		if (!trace_add(t, page, v & TRACE_FLAGS))
			return "it is too large for the memory here";
	}
	return at == end ? NULL : "it has a part with bytes left over";
}

static const char *read_part(struct trace *t, FILE *in, bool *end)
{
	uint8_t data[TRACE_PART_RECORDS * TRACE_RECORD_BYTES];
	struct part_header h;
	uint32_t records, bytes;

	if (fread(&h, sizeof(h), 1, in) != 1)
		return "it was cut short";
	records = le32toh(h.records);
	bytes = le32toh(h.bytes);
	if (records > TRACE_PART_RECORDS || bytes > sizeof(data) ||
	    bytes < records)
		return "it has a part that cannot be";
	if (fread(data, 1, bytes, in) != bytes)
		return "it was cut short";
	*end = !records;
	return read_records(t, data, data + bytes, records);
}

const char *trace_read(struct trace *t, FILE *in)
{
	const char *wrong = NULL;
	bool end = false;
	struct header h;

	if (fread(&h, sizeof(h), 1, in) != 1 ||
	    memcmp(h.magic, MAGIC, sizeof(h.magic)))
		return "it is no trace";
	if (le32toh(h.version) != VERSION ||
	    le32toh(h.page_bytes) != PAGE_BYTES)
		return "it is of a version or page size unknown here";
	while (!wrong && !end)
		wrong = read_part(t, in, &end);
	if (!wrong && fgetc(in) != EOF)
		wrong = "something follows its end";
	if (!trace_finish(t) && !wrong)
		wrong = "it is too large for the memory here";
	return wrong;
}
