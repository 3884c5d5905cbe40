/* SPDX-License-Identifier: MIT */
/*
 * fuzz/segment.c - vvmstat's readers and views on segments that somebody
 * damages: before they are opened, and while they are read.
 *
 * An input is a list of records of RECORD_BYTES, each one change to a segment
 * that was good:
 *
 *	when, area | operation | offset (2) | value (8)
 *
 * The first byte of the input chooses the form of the output. What must not
 * happen: a crash, undefined behaviour, a loop without end. What is shown is
 * of no interest.
 */
#define _GNU_SOURCE 1
#include "fuzz/fuzz.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vvmstat/draw_map.h"
#include "vvmstat/openmetrics.h"
#include "vvmstat/sites.h"
#include "vvmstat/top_draw.h"
#include "vvmstat/trace.h"
#include "vvmstat/view_list.h"
#include "vvmstat/view_rows.h"
#include "vvmstat/view_tables.h"
#include "vvm_stat.h"

#define RECORD_BYTES 12
#define ACTORS	     3
#define RINGS	     2
#define REGIONS	     6
#define BLOCKS	     12
#define SITES	     20

/* A segment as the library lays it out, but with short tables. */
struct image {
	struct vvm_stat_segment segment;
	struct vvm_stat_ring ring[RINGS];
	struct vvm_stat_region region[REGIONS];
	struct vvm_stat_block block[BLOCKS];
	struct vvm_stat_site site[SITES];
};

static struct image *good, *file; /* file: what is damaged, mapped */
static char path[32];
static int fd = -1;

/* ---- a good segment ---- */

static struct vvm_stat_table table(size_t offset, size_t item, size_t count,
				   size_t max)
{
	return (struct vvm_stat_table){offset, item, count, max};
}

static void make_header(struct vvm_stat_segment *s)
{
	s->magic = VVM_STAT_MAGIC;
	s->version = VVM_STAT_VERSION;
	s->header_bytes = offsetof(struct vvm_stat_segment, actor);
	s->pid = 4711;
	s->opened_unix_us = 1700000000000000;
	strcpy(s->command, "fuzzed");
	strcpy(s->library_version, "0.1.0");
	s->file_bytes = sizeof(struct image);
	s->counter_count = VVM_STAT_COUNTER_COUNT;
	s->value_count = sizeof(s->value) / 8;
	s->bucket_count = VVM_STAT_BUCKETS;
	s->stage_count = VVM_STAT_STAGE_COUNT;
	s->stage_bucket_count = VVM_STAT_STAGE_BUCKETS;
	s->kind_count = VVM_STAT_KIND_COUNT;
	s->actors = table(offsetof(struct image, segment.actor),
			  sizeof(s->actor[0]), ACTORS, ACTORS);
	s->rings = table(offsetof(struct image, ring), sizeof(good->ring[0]),
			 RINGS, RINGS);
	s->regions = table(offsetof(struct image, region),
			   sizeof(good->region[0]), REGIONS - 1, REGIONS);
	s->blocks = table(offsetof(struct image, block), sizeof(good->block[0]),
			  BLOCKS - 1, BLOCKS);
	s->sites = table(offsetof(struct image, site), sizeof(good->site[0]),
			 SITES - 1, SITES);
}

static void make_events(struct vvm_stat_segment *s)
{
	unsigned n;

	s->actor[1].events = 1500;
	for (n = 1500 - VVM_STAT_EVENTS; n < 1500; n++) {
		struct vvm_stat_event *e =
			&good->ring[1].event[n % VVM_STAT_EVENTS];

		e->time_ns = 1000 * n;
		e->page = (uint64_t)n << 12 | n % VVM_STAT_KIND_COUNT;
		e->took = (uint64_t)n << VVM_STAT_EVENT_TID_BITS | 4712;
		e->seq = vvm_stat_event_seq(n, e->time_ns, e->page, e->took);
	}
}

static void make_good(void)
{
	unsigned i, k;

	make_header(&good->segment);
	make_events(&good->segment);
	memset(good->segment.actor[2].counter, 1,
	       sizeof(good->segment.actor[2].counter));
	for (i = 0; i < VVM_STAT_BUCKETS; i++)
		good->segment.actor[1].latency[i] = i;
	for (i = 0; i < REGIONS - 1; i++) {
		good->region[i].start = (uint64_t)i << 24;
		good->region[i].end = ((uint64_t)i + 1) << 24;
		good->region[i].prot = i;
		snprintf(good->region[i].name, sizeof(good->region[i].name),
			 "r%u", i);
	}
	for (i = 0; i < BLOCKS - 1; i++) {
		good->block[i].base = ((uint64_t)i << 21) + 1;
		good->block[i].pages = 0x0080010000200200;
		good->block[i].faults = i;
		for (k = 0; k < VVM_STAT_BLOCK_PAGES; k++)
			good->block[i].page[k] = (uint8_t)(i * 7 + k);
	}
	for (i = 0; i < SITES - 1; i++)
		good->site[i] = (struct vvm_stat_site){
			.ip = i, .faults = i, .wait_ns = i * 1000};
}

static void set_up(void)
{
	void *map;

	good = aligned_alloc(64, sizeof(*good));
	MUST(good);
	memset(good, 0, sizeof(*good));
	make_good();
	fd = memfd_create("fuzz_segment", MFD_CLOEXEC);
	MUST(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	MUST(ftruncate(fd, sizeof(*file)) == 0);
	map = mmap(NULL, sizeof(*file), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   0);
	MUST(map != MAP_FAILED);
	file = map;
#ifndef VVM_LIBFUZZER
	MUST(freopen("/dev/null", "w", stdout));
#endif
}

/* ---- damage ---- */

enum { BEFORE, OPENED, SAMPLED, MOMENTS };

static const uint64_t interesting[] = {
	0,
	1,
	2,
	7,
	8,
	63,
	64,
	511,
	512,
	576,
	1023,
	1024,
	4095,
	4096,
	65535,
	65536,
	1 << 20,
	1 << 21,
	1ull << 31,
	1ull << 32,
	1ull << 47,
	1ull << 48,
	1ull << 56,
	1ull << 61,
	INT64_MAX,
	1ull << 63,
	-4096ull,
	-8ull,
	UINT64_MAX - 1,
	UINT64_MAX,
};

/* Where an area begins, and how many words there are to hit. */
static uint64_t *area_at(unsigned area, size_t *words)
{
	switch (area % 7) {
	case 0: /* what is checked when it is opened */
		*words = offsetof(struct image, segment.value) / 8;
		return (uint64_t *)file;
	case 1:
		*words = offsetof(struct image, segment.actor) / 8 + 1400;
		return (uint64_t *)file;
	case 2:
		*words = sizeof(file->region) / 8;
		return (uint64_t *)file->region;
	case 3:
		*words = sizeof(file->block) / 8;
		return (uint64_t *)file->block;
	case 4:
		*words = sizeof(file->ring) / 8;
		return (uint64_t *)file->ring;
	case 5:
		*words = sizeof(file->site) / 8;
		return (uint64_t *)file->site;
	default:
		*words = sizeof(*file) / 8;
		return (uint64_t *)file;
	}
}

static void damage(const uint8_t *r)
{
	size_t words, i;
	uint64_t *at = area_at(r[0] >> 2, &words), value;
	uint16_t offset;

	memcpy(&offset, r + 2, sizeof(offset));
	memcpy(&value, r + 4, sizeof(value));
	at += offset % words;
	switch (r[1] % 7) {
	case 0:
		*at = value;
		break;
	case 1:
	case 2:
		*at = interesting[value % ARRAY_SIZE(interesting)];
		break;
	case 3:
		*at += (uint64_t)(int8_t)value;
		break;
	case 4:
		((uint8_t *)at)[value % 8] = (uint8_t)(value >> 8);
		break;
	case 5:
		for (i = 0; i < r[1] && i < words - offset % words; i++)
			at[i] = value;
		break;
	default: /* the last thing that a writer can do to us */
		MUST(ftruncate(fd, (off_t)(value % sizeof(*file))) == 0);
	}
}

/* Does what the input says about one moment; a cut file stays as it is. */
static void damage_now(const uint8_t *data, size_t size, unsigned moment)
{
	off_t length;

	for (; size >= RECORD_BYTES;
	     data += RECORD_BYTES, size -= RECORD_BYTES) {
		length = lseek(fd, 0, SEEK_END);
		if ((data[0] & 3) % MOMENTS == moment &&
		    length == (off_t)sizeof(*file))
			damage(data);
	}
}

static void repair(void)
{
	MUST(ftruncate(fd, sizeof(*file)) == 0);
	memcpy(file, good, sizeof(*file));
}

/* ---- what looks at it ---- */

static void show_text(struct view *v, struct target *t,
		      const struct moment *now)
{
	struct top top = {.view = v, .target = t, .interval_s = 1};
	unsigned panel;

	top.now = top.delta = now->sample;
	top.row = (struct row){.delta = &top.delta, .seconds = 1};
	top.layout = now->layout;
	if (canvas_resize(&top.canvas, 24, 80))
		return;
	for (panel = 0; panel < PANEL_COUNT; panel++) {
		top.panel = (enum top_panel)panel;
		top_draw(&top);
	}
	canvas_free(&top.canvas);
}

static void show(struct view *v, struct target *t, const struct moment *old,
		 const struct moment *now)
{
	struct metric_source *source = calloc(1, sizeof(*source));
	struct sample *delta = malloc(sizeof(*delta));

	if (!source || !delta)
		abort();
	sample_delta(delta, &now->sample, &old->sample);
	view_row(v, t, delta, &now->sample, 1, ROW_INTERVAL);
	view_totals(v, t, &now->sample);
	view_list(v, t, &now->sample);
	view_histograms(v, t, old, now);
	view_regions(v, t, old, now);
	view_heat(v, t, old, now);
	view_map(v, t, now);
	if (v->output.form == OUTPUT_TEXT)
		show_text(v, t, now);
	view_end(v);
	source->now = now->sample;
	openmetrics_print(stdout, source, 1);
	free(source);
	free(delta);
}

static void rank(const struct sites *sites)
{
	uint64_t wait_ns;
	size_t n;

	free(sites_rank(sites, &n, &wait_ns));
}

static void look_twice(struct target *t, const uint8_t *data, size_t size)
{
	struct view v = {.output = {.form = data[0] % 4, .out = stdout},
			 .wide = data[0] & 4,
			 .colour = data[0] & 8};
	struct moment *m = calloc(2, sizeof(*m));
	static struct trace trace; /* keeps its buffer, which is large */
	struct sites sites;

	if (!m)
		abort();
	trace.places = 0;
	target_sample(t, &m[0].sample);
	layout_read(&m[0].layout, t);
	trace_read(&trace, t);
	sites_init(&sites);
	sites_read(&sites, t);
	damage_now(data + 1, size - 1, SAMPLED);
	target_sample(t, &m[1].sample);
	layout_read(&m[1].layout, t);
	trace_read(&trace, t);
	sites_read(&sites, t);
	rank(&sites);
	sites_fini(&sites);
	show(&v, t, &m[0], &m[1]);
	layout_free(&m[0].layout);
	layout_free(&m[1].layout);
	free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char reason[SEGMENT_REASON_BYTES];
	struct target t;

	if (fd < 0)
		set_up();
	if (size < 1)
		return 0;
	repair();
	damage_now(data + 1, size - 1, BEFORE);
	if (target_open_copy(&t, path, reason))
		return 0;
	damage_now(data + 1, size - 1, OPENED);
	look_twice(&t, data, size);
	target_close(&t);
	return 0;
}

const long fuzz_runs = 2000;

size_t fuzz_make(uint8_t *data, size_t most)
{
	size_t records = 1 + fuzz_random() % 12, i;
	size_t size = 1 + records * RECORD_BYTES;

	MUST(size <= most);
	for (i = 0; i < size; i++)
		data[i] = (uint8_t)fuzz_random();
	return size;
}
