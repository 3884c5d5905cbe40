/* SPDX-License-Identifier: MIT */
/*
 * unit/stat.c - the statistics segment: header, actors and sums, stale
 * files, and every way in which the file cannot be made. Other test programs
 * may use /dev/shm at the same time: each test looks only at files named
 * after its own process or after children that it made.
 */
#include "support/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "util/log.h"
#include "os/os.h"
#include "stat/stat.h"

static struct stats st;

static void setup(void)
{
	log_set_level(LOG_NONE);
	os_inject_clear();
	memset(&st, 0, sizeof(st));
}

static void teardown(void)
{
	os_inject_clear();
	stat_close(&st);
}

static bool exists(const char *path)
{
	struct stat info;

	return lstat(path, &info) == 0;
}

/* "…/vvm-stat.<pid>.<n>" in a static buffer. */
static const char *path_of(int pid, const char *n)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s%d.%s", VVM_STAT_DIR,
		 VVM_STAT_PREFIX, pid, n);
	return path;
}

/* A pid that was in use and is not: what a crash leaves. */
static int dead_pid(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	return pid;
}

/* Opens and closes a space's segment: that cleans up. */
static void clean(void)
{
	struct stats other;

	ck_assert_int_eq(stat_open(&other, true), 0);
	ck_assert_str_ne(other.path, "");
	stat_close(&other);
}

/* ---- content ---- */

START_TEST(header_and_file)
{
	struct vvm_stat_segment *s;
	struct stat info;

	ck_assert_int_eq(stat_open(&st, true), 0);
	s = st.segment;
	ck_assert_str_eq(st.path, path_of(getpid(), "0"));
	ck_assert_int_eq(lstat(st.path, &info), 0);
	ck_assert(S_ISREG(info.st_mode));
	ck_assert_uint_eq(info.st_mode & 07777, 0600);
	ck_assert_uint_eq((uint64_t)info.st_size, s->file_bytes);
	ck_assert_uint_eq(s->file_bytes, VVM_STAT_FILE_BYTES);
	/* stat (3): what is used has storage, the rest has none */
	ck_assert_uint_eq((uint64_t)info.st_blocks * 512,
			  VVM_STAT_RINGS_OFFSET);
	ck_assert_uint_eq(s->magic, VVM_STAT_MAGIC);
	ck_assert_int_eq(memcmp(&s->magic, "VVVSTAT1", 8), 0);
	ck_assert_uint_eq(s->version, VVM_STAT_VERSION);
	ck_assert_uint_eq(s->counter_count, VVM_STAT_COUNTER_COUNT);
	ck_assert_uint_eq(s->value_count, sizeof(s->value) / 8);
	ck_assert_uint_eq(s->header_bytes, s->actors.offset);
	ck_assert_uint_eq(s->actors.offset % 64, 0);
	ck_assert_uint_eq(s->actors.item_bytes, sizeof(struct vvm_stat_actor));
	ck_assert_uint_eq(s->actors.count, 1);
	ck_assert_uint_eq(s->regions.count, 0);
	ck_assert_uint_eq(s->blocks.count, 0);
	ck_assert_uint_eq(s->pid, (uint64_t)getpid());
	ck_assert_uint_gt(s->pid_start, 0);
	ck_assert_uint_le(s->opened_unix_us, os_unix_us());
	ck_assert_uint_gt(s->opened_unix_us, os_unix_us() - 5000000);
	ck_assert_uint_eq(s->closed, 0);
	ck_assert_str_eq(s->command, "stat");
	ck_assert_str_eq(s->library_version, "0.1.0");
}
END_TEST

START_TEST(names_are_numbered)
{
	struct stats second;

	ck_assert_int_eq(stat_open(&st, true), 0);
	ck_assert_int_eq(stat_open(&second, true), 0);
	ck_assert_str_eq(second.path, path_of(getpid(), "1"));
	stat_close(&second);
	ck_assert(!exists(path_of(getpid(), "1")));
	ck_assert(exists(path_of(getpid(), "0")));
}
END_TEST

START_TEST(close_marks_and_removes)
{
	struct vvm_stat_segment *reader;
	char path[sizeof(st.path)];
	int fd;

	ck_assert_int_eq(stat_open(&st, true), 0);
	strcpy(path, st.path);
	fd = open(path, O_RDONLY);
	reader = mmap(NULL, sizeof(*reader), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	stat_add(stat_actor(&st, VVM_STAT_API), VVM_STAT_faults, 3);
	ck_assert_int_eq(reader->actor[0].counter[VVM_STAT_faults], 3);
	stat_close(&st);
	ck_assert_uint_eq(reader->closed, 1);
	ck_assert_int_eq(reader->actor[0].counter[VVM_STAT_faults], 3);
	ck_assert(!exists(path));
	ck_assert_ptr_null(st.segment);
	stat_close(&st); /* a second time: nothing */
	munmap(reader, sizeof(*reader));
}
END_TEST

START_TEST(sums_over_actors)
{
	struct vvm_stat_actor *a, *b, *api;

	ck_assert_int_eq(stat_open(&st, _i), 0);
	a = stat_actor(&st, VVM_STAT_HANDLER);
	b = stat_actor(&st, VVM_STAT_RECLAIMER);
	api = stat_actor(&st, VVM_STAT_API);
	ck_assert_ptr_eq(api, stat_actor(&st, VVM_STAT_API));
	ck_assert_ptr_eq(api, &st.segment->actor[0]);
	ck_assert(a != b && a != api && b != api);
	ck_assert_uint_eq(st.segment->actors.count, 3);
	ck_assert_uint_eq(a->role, VVM_STAT_HANDLER);
	ck_assert_uint_eq(b->role, VVM_STAT_RECLAIMER);
	ck_assert_uint_eq(a->tid, (uint64_t)os_tid());

	/* a gauge: one fills, the other evicts */
	stat_add(a, VVM_STAT_resident_pages, 10);
	stat_add(b, VVM_STAT_resident_pages, -7);
	stat_add(api, VVM_STAT_resident_pages, 1);
	ck_assert_int_eq(stat_sum(&st, VVM_STAT_resident_pages), 4);
	ck_assert_int_eq(stat_sum(&st, VVM_STAT_faults), 0);
	ck_assert_int_eq(stat_sum(&st, VVM_STAT_regions), 0);

	stat_set(&st, budget_pages, 16);
	ck_assert_uint_eq(st.segment->value.budget_pages, 16);
}
END_TEST

START_TEST(every_counter_is_its_own)
{
	struct vvm_stat_actor *a;
	int c;

	ck_assert_int_eq(stat_open(&st, false), 0);
	a = stat_actor(&st, VVM_STAT_HANDLER);
	for (c = 0; c < VVM_STAT_COUNTER_COUNT; c++)
		stat_add(a, (enum vvm_stat_counter)c, c + 1);
	for (c = 0; c < VVM_STAT_COUNTER_COUNT; c++)
		ck_assert_int_eq(stat_sum(&st, (enum vvm_stat_counter)c),
				 c + 1);
}
END_TEST

START_TEST(actors_run_out)
{
	int i;

	ck_assert_int_eq(stat_open(&st, true), 0);
	for (i = 1; i < VVM_STAT_ACTORS; i++)
		ck_assert_ptr_eq(stat_actor(&st, VVM_STAT_HANDLER),
				 &st.segment->actor[i]);
	ck_assert_ptr_null(stat_actor(&st, VVM_STAT_HANDLER));
	ck_assert_ptr_null(stat_actor(&st, VVM_STAT_RECLAIMER));
	ck_assert_ptr_nonnull(stat_actor(&st, VVM_STAT_API));
	ck_assert_uint_eq(st.segment->actors.count, VVM_STAT_ACTORS);
}
END_TEST

#define THREADS 8
#define ADDS	10000

static void *count_along(void *arg)
{
	struct vvm_stat_actor *a = stat_actor(&st, VVM_STAT_HANDLER);
	int i;

	for (i = 0; i < ADDS; i++) {
		stat_add(a, VVM_STAT_faults, 1);
		stat_add(arg, VVM_STAT_api_fills, 1);
	}
	return a;
}

START_TEST(threads_lose_nothing)
{
	pthread_t thread[THREADS];
	void *mine[THREADS];
	int i, k;

	ck_assert_int_eq(stat_open(&st, true), 0);
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, count_along,
			       stat_actor(&st, VVM_STAT_API));
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], &mine[i]);
	for (i = 0; i < THREADS; i++)
		for (k = 0; k < i; k++)
			ck_assert_ptr_ne(mine[i], mine[k]);
	ck_assert_int_eq(stat_sum(&st, VVM_STAT_faults), THREADS * ADDS);
	ck_assert_int_eq(stat_sum(&st, VVM_STAT_api_fills), THREADS * ADDS);
}
END_TEST

/* vvm_stat.h: a bucket holds what its bounds say, without gaps. */
START_TEST(buckets_meet)
{
	unsigned i;

	ck_assert_uint_eq(vvm_stat_bucket_ns(0), 0);
	for (i = 0; i + 1 < VVM_STAT_BUCKETS; i++) {
		uint64_t from = vvm_stat_bucket_ns(i);
		uint64_t to = vvm_stat_bucket_ns(i + 1);

		ck_assert_uint_lt(from, to);
		ck_assert_uint_eq(vvm_stat_bucket(from), i);
		ck_assert_uint_eq(vvm_stat_bucket(to - 1), i);
	}
	ck_assert_uint_eq(vvm_stat_bucket(UINT64_MAX), VVM_STAT_BUCKETS - 1);
}
END_TEST

/* ---- regions, blocks and events ---- */

START_TEST(items_get_storage_and_are_used_again)
{
	struct vvm_stat_block *b[300];
	struct vvm_stat_segment *s;
	struct stat info;
	unsigned i;

	ck_assert_int_eq(stat_open(&st, true), 0);
	s = st.segment;
	for (i = 0; i < ARRAY_SIZE(b); i++) {
		b[i] = stat_block_take(&st, (uint64_t)i << BLOCK_SHIFT);
		ck_assert_ptr_nonnull(b[i]);
		ck_assert_uint_eq(b[i]->base, ((uint64_t)i << BLOCK_SHIFT) + 1);
		ck_assert_ptr_eq((char *)b[i], (char *)s + s->blocks.offset +
						       i * sizeof(**b));
		memset(b[i]->page, 0xff, sizeof(b[i]->page));
	}
	ck_assert_uint_eq(s->blocks.count, ARRAY_SIZE(b));
	ck_assert_int_eq(lstat(st.path, &info), 0);
	ck_assert_uint_ge((uint64_t)info.st_blocks * 512,
			  VVM_STAT_RINGS_OFFSET + sizeof(**b) * ARRAY_SIZE(b));
	stat_block_give(&st, b[7]);
	ck_assert_uint_eq(b[7]->base, 0);
	ck_assert_uint_eq(b[7]->page[511], 0);
	ck_assert_ptr_eq(stat_block_take(&st, 0), b[7]);
	ck_assert_uint_eq(s->blocks.count, ARRAY_SIZE(b));
}
END_TEST

/* stat (3): a full /dev/shm costs the map, not the process. */
START_TEST(no_storage_no_item)
{
	unsigned i, got = 0;

	ck_assert_int_eq(stat_open(&st, true), 0);
	os_inject(OS_fallocate, 2, true, ENOSPC);
	for (i = 0; i < 300; i++)
		got += stat_block_take(&st, (uint64_t)i << BLOCK_SHIFT) != NULL;
	ck_assert_uint_gt(got, 0);
	ck_assert_uint_lt(got, 300);
	ck_assert_uint_eq(st.segment->blocks.count, got);
	ck_assert_uint_eq(st.segment->value.unpublished_blocks, 300 - got);
	ck_assert_ptr_null(stat_region_take(&st));
}
END_TEST

START_TEST(region_faults_are_inherited)
{
	struct vvm_stat_region *a, *b, image = {.start = 4096, .end = 8192};

	ck_assert_int_eq(stat_open(&st, true), 0);
	a = stat_region_take(&st);
	b = stat_region_take(&st);
	strcpy(image.name, "name");
	stat_region_write(a, &image);
	ck_assert_uint_eq(a->seq, 2);
	ck_assert_uint_eq(a->start, 4096);
	ck_assert_str_eq(a->name, "name");
	stat_region_fault(&st, a, VVM_STAT_KIND_zero);
	stat_region_fault(&st, b, VVM_STAT_KIND_swapin);
	stat_region_fault(&st, b, VVM_STAT_KIND_joined);
	stat_region_fault(&st, b, VVM_STAT_KIND_wp);
	stat_region_fault(&st, NULL, VVM_STAT_KIND_spurious);
	stat_region_give(&st, b, a);
	ck_assert_uint_eq(a->faults_zero, 1);
	ck_assert_uint_eq(a->faults_swapin, 1);
	ck_assert_uint_eq(a->faults_wp, 1);
	ck_assert_uint_eq(a->faults_other, 1);
	ck_assert_uint_eq(st.segment->value.faults_elsewhere, 1);
	stat_region_give(&st, a, NULL);
	ck_assert_uint_eq(st.segment->value.faults_elsewhere, 5);
	ck_assert_uint_eq(a->start, a->end);
	ck_assert_uint_eq(a->faults_zero, 0);
}
END_TEST

START_TEST(events_fill_a_ring)
{
	struct stat_fault f = {.at = {1000, 1100, 1300, 0},
			       .page = 0x12345000,
			       .flags = VVM_STAT_KIND_wp | VVM_STAT_EVENT_WRITE,
			       .tid = 4711};
	struct vvm_stat_actor *a;
	struct vvm_stat_event *e;
	unsigned i;

	ck_assert_int_eq(stat_open(&st, true), 0);
	a = stat_actor(&st, VVM_STAT_HANDLER);
	ck_assert_uint_eq(st.segment->rings.count, 2);
	for (i = 0; i <= VVM_STAT_EVENTS; i++)
		stat_event(&st, a, &f, 2000 + i);
	ck_assert_uint_eq(a->events, VVM_STAT_EVENTS + 1);
	e = &st.rings[1].event[0]; /* the last overwrote the first */
	ck_assert_uint_eq(e->time_ns, 2000 + VVM_STAT_EVENTS);
	ck_assert_uint_eq(e->page, 0x12345000 | f.flags);
	ck_assert_uint_eq(e->took & 0xffffff, 4711);
	ck_assert_uint_eq(e->took >> 24, 1000 + VVM_STAT_EVENTS);
	ck_assert_uint_eq(e->seq,
			  vvm_stat_event_seq(VVM_STAT_EVENTS, e->time_ns,
					     e->page, e->took));
	ck_assert_uint_ne(e->seq,
			  vvm_stat_event_seq(0, e->time_ns, e->page, e->took));
	/* the application's threads take no faults */
	stat_event(&st, stat_actor(&st, VVM_STAT_API), &f, 2000);
	ck_assert_uint_eq(st.segment->actor[0].events, 0);
}
END_TEST

START_TEST(stages_add_up)
{
	struct stat_fault swapin = {.at = {1000, 1100, 1300, 9000}};
	struct stat_fault zero = {.at = {1000, 1000, 1300, 0}};
	struct stat_fault spurious = {.at = {1000, 1000, 0, 0}};
	struct vvm_stat_actor *a;

	ck_assert_int_eq(stat_open(&st, true), 0);
	a = stat_actor(&st, VVM_STAT_HANDLER);
	stat_resolved(&st, a, &swapin, 9500);
	ck_assert_uint_eq(a->latency[vvm_stat_bucket(8500)], 1);
	ck_assert_uint_eq(a->stage[VVM_STAT_STAGE_queue][6], 1);   /* 100 */
	ck_assert_uint_eq(a->stage[VVM_STAT_STAGE_lookup][7], 1);  /* 200 */
	ck_assert_uint_eq(a->stage[VVM_STAT_STAGE_read][12], 1);   /* 7700 */
	ck_assert_uint_eq(a->stage[VVM_STAT_STAGE_install][8], 1); /* 500 */
	stat_resolved(&st, a, &zero, 1700);
	ck_assert_uint_eq(a->stage[VVM_STAT_STAGE_queue][0], 1);   /* 0 */
	ck_assert_uint_eq(a->stage[VVM_STAT_STAGE_lookup][8], 1);  /* 300 */
	ck_assert_uint_eq(a->stage[VVM_STAT_STAGE_install][8], 2); /* 400 */
	stat_resolved(&st, a, &spurious, UINT64_MAX);
	ck_assert_uint_eq(a->latency[VVM_STAT_BUCKETS - 1], 1);
	ck_assert_uint_eq(
		a->stage[VVM_STAT_STAGE_lookup][VVM_STAT_STAGE_BUCKETS - 1], 1);
	ck_assert_uint_eq(a->events, 3);
}
END_TEST

/* ---- sites ---- */

static void waits(uint64_t ip, uint64_t ns, unsigned flags)
{
	struct stat_fault f = {.at.start_ns = 1000, .ip = ip, .flags = flags};

	stat_waits(&st, &f);
	stat_waited(&st, &f, 1000 + ns);
}

/* Sums of all items with this ip. */
static struct vvm_stat_site site_at(uint64_t ip)
{
	struct vvm_stat_site sum = {.ip = ip};
	unsigned i;

	for (i = 0; i < st.segment->sites.count; i++) {
		const struct vvm_stat_site *s = &st.sites[i];

		if (s->ip != ip)
			continue;
		sum.faults += s->faults;
		sum.stalls += s->stalls;
		sum.wait_ns += s->wait_ns;
	}
	return sum;
}

START_TEST(sites_add_up)
{
	struct stat info;

	ck_assert_int_eq(stat_open(&st, true), 0);
	ck_assert_uint_eq(st.segment->sites.count, 0);
	waits(0, 77, 0); /* nobody knows whose: not counted */
	ck_assert_uint_eq(st.segment->sites.count, 0);
	waits(0x401000, 500, VVM_STAT_EVENT_WAITED);
	waits(0x401000, 70000, VVM_STAT_EVENT_STALLED);
	waits(VVM_STAT_SITE_CALLS, 30, 0);
	ck_assert_uint_eq(st.segment->sites.count, VVM_STAT_SITES + 1);
	ck_assert_uint_eq(site_at(0x401000).faults, 2);
	ck_assert_uint_eq(site_at(0x401000).stalls, 1);
	ck_assert_uint_eq(site_at(0x401000).wait_ns, 70500);
	ck_assert_uint_eq(site_at(VVM_STAT_SITE_CALLS).wait_ns, 30);
	ck_assert_uint_eq(site_at(VVM_STAT_SITE_OTHERS).faults, 0);
	/* stat (3) */
	ck_assert_int_eq(lstat(st.path, &info), 0);
	ck_assert_uint_ge((uint64_t)info.st_blocks * 512,
			  VVM_STAT_RINGS_OFFSET +
				  st.segment->sites.max *
					  sizeof(struct vvm_stat_site));
}
END_TEST

/* Ten times as many as there is room for, and one among them that is hot. */
START_TEST(hot_sites_stay_and_nothing_is_lost)
{
	enum { COLD = 10 * VVM_STAT_SITES };
	const uint64_t hot = 0x7f0000001234;
	uint64_t faults = 0, ns = 0;
	unsigned i;

	ck_assert_int_eq(stat_open(&st, true), 0);
	for (i = 0; i < COLD; i++) {
		waits(0x400000 + 3 * i, 100, 0);
		if (i % 8 == 0)
			waits(hot, 10000, 0);
	}
	for (i = 0; i <= VVM_STAT_SITES; i++) {
		faults += st.sites[i].faults;
		ns += st.sites[i].wait_ns;
	}
	ck_assert_uint_eq(site_at(hot).faults, COLD / 8);
	ck_assert_uint_eq(faults, COLD + COLD / 8);
	ck_assert_uint_eq(ns, COLD * 100 + COLD / 8 * 10000);
	ck_assert_uint_gt(site_at(VVM_STAT_SITE_OTHERS).faults, COLD / 2);
}
END_TEST

static void *wait_often(void *arg)
{
	unsigned i, seed = (unsigned)(uintptr_t)arg;

	for (i = 0; i < 20000; i++)
		waits(0x400000 + (i * 7 + seed) % 4000, 10, 0);
	return NULL;
}

/* Whatever happens to items meanwhile. */
START_TEST(threads_lose_no_wait)
{
	pthread_t thread[4];
	uint64_t faults = 0, ns = 0;
	unsigned i;

	ck_assert_int_eq(stat_open(&st, true), 0);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, wait_often,
						(void *)(uintptr_t)i),
				 0);
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i <= VVM_STAT_SITES; i++) {
		faults += st.sites[i].faults;
		ns += st.sites[i].wait_ns;
		ck_assert_uint_ne(st.sites[i].ip, VVM_STAT_SITE_MOVING);
	}
	ck_assert_uint_eq(faults, 80000);
	ck_assert_uint_eq(ns, 800000);
}
END_TEST

/* A full /dev/shm: no table, no signal, and nobody asks again. */
START_TEST(no_room_for_sites)
{
	ck_assert_int_eq(stat_open(&st, true), 0);
	os_inject(OS_fallocate, 1, true, ENOSPC);
	waits(0x401000, 500, 0);
	os_inject_clear();
	waits(0x401000, 500, 0);
	ck_assert_uint_eq(st.segment->sites.count, 0);
}
END_TEST

/* A stranger says where the table is: the library knows better. */
START_TEST(sites_are_where_they_belong)
{
	struct stat before, after;

	ck_assert_int_eq(stat_open(&st, true), 0);
	ck_assert_int_eq(lstat(st.path, &before), 0);
	st.segment->sites.max = (uint64_t)1 << 20;
	st.segment->sites.offset = 0;
	st.segment->sites.item_bytes = 4096;
	waits(0x401000, 500, 0);
	ck_assert_int_eq(lstat(st.path, &after), 0);
	ck_assert_int_eq((after.st_blocks - before.st_blocks) * 512,
			 VVM_STAT_PAGE_UP((VVM_STAT_SITES + 1) *
					  sizeof(struct vvm_stat_site)));
	ck_assert_uint_eq(site_at(0x401000).faults, 1);
}
END_TEST

/* A fault may end under locks: nothing is allocated then. */
START_TEST(storage_comes_when_a_wait_begins)
{
	struct stat_fault f = {.ip = 0x401000};

	ck_assert_int_eq(stat_open(&st, true), 0);
	stat_waited(&st, &f, 1000);
	ck_assert_uint_eq(st.segment->sites.count, 0);
	stat_waits(&st, &f);
	ck_assert_uint_eq(st.segment->sites.count, VVM_STAT_SITES + 1);
	ck_assert_uint_eq(site_at(0x401000).faults, 0);
	stat_waited(&st, &f, 1000);
	ck_assert_uint_eq(site_at(0x401000).faults, 1);
}
END_TEST

START_TEST(private_ones_have_neither)
{
	struct stat_fault f = {.page = 4096, .ip = 0x401000};
	struct vvm_stat_actor *a;

	ck_assert_int_eq(stat_open(&st, false), 0);
	a = stat_actor(&st, VVM_STAT_HANDLER);
	stat_resolved(&st, a, &f, 1000);
	ck_assert_uint_eq(a->latency[vvm_stat_bucket(1000)], 1);
	ck_assert_uint_eq(a->events, 0);
	stat_waits(&st, &f);
	stat_waited(&st, &f, 1000);
	ck_assert_ptr_null(st.sites);
	ck_assert_ptr_null(stat_region_take(&st));
	ck_assert_ptr_null(stat_block_take(&st, 0));
	ck_assert_ptr_null(stat_block_take(NULL, 0));
	stat_region_give(&st, NULL, NULL);
	stat_block_give(&st, NULL);
	stat_region_write(NULL, NULL);
}
END_TEST

/* ---- without a file ---- */

START_TEST(private_when_not_published)
{
	ck_assert_int_eq(stat_open(&st, false), 0);
	ck_assert_str_eq(st.path, "");
	ck_assert(!exists(path_of(getpid(), "0")));
	ck_assert_uint_eq(st.segment->magic, VVM_STAT_MAGIC);
}
END_TEST

/* The calls whose failure makes the segment private. */
static const struct {
	enum os_point point;
	int error;
} breaks[] = {
	{OS_create, EACCES},  {OS_create, EMFILE}, {OS_fallocate, ENOSPC},
	{OS_reserve, ENOMEM}, {OS_map, ENOMEM},	   {OS_claim, ENOLCK},
	{OS_truncate, EFBIG},
};

START_TEST(private_when_the_file_fails)
{
	os_inject(breaks[_i].point, 1, false, breaks[_i].error);
	ck_assert_int_eq(stat_open(&st, true), 0);
	ck_assert_str_eq(st.path, "");
	ck_assert(!exists(path_of(getpid(), "0")));
	stat_add(stat_actor(&st, VVM_STAT_API), VVM_STAT_faults, 2);
	ck_assert_int_eq(stat_sum(&st, VVM_STAT_faults), 2);
}
END_TEST

START_TEST(private_when_every_name_is_taken)
{
	os_inject(OS_create, 1, true, EEXIST);
	ck_assert_int_eq(stat_open(&st, true), 0);
	ck_assert_str_eq(st.path, "");
}
END_TEST

START_TEST(no_memory)
{
	os_inject(OS_map, 1, true, ENOMEM);
	ck_assert_int_eq(stat_open(&st, true), -ENOMEM);
	ck_assert_ptr_null(st.segment);
	ck_assert_int_eq(stat_open(&st, false), -ENOMEM);
	ck_assert_ptr_null(st.segment);
	ck_assert(!exists(path_of(getpid(), "0")));
}
END_TEST

START_TEST(proc_cannot_be_read)
{
	os_inject(OS_read_text, 1, true, EACCES);
	ck_assert_int_eq(stat_open(&st, true), 0);
	ck_assert_uint_eq(st.segment->pid_start, 0);
	ck_assert_str_eq(st.segment->command, "");
}
END_TEST

START_TEST(failures_leak_no_descriptor)
{
	int before = dup(0), after;
	size_t i;

	close(before);
	for (i = 0; i < ARRAY_SIZE(breaks); i++) {
		os_inject_clear();
		os_inject(breaks[i].point, 1, false, breaks[i].error);
		ck_assert_int_eq(stat_open(&st, true), 0);
		stat_close(&st);
	}
	os_inject_clear();
	ck_assert_int_eq(stat_open(&st, true), 0);
	stat_close(&st);
	after = dup(0);
	close(after);
	ck_assert_int_eq(before, after);
}
END_TEST

/* ---- stale files ---- */

START_TEST(killed_process_is_cleaned_up)
{
	int ready[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		byte = stat_open(&st, true) == 0;
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_eq(byte, 1);
	clean();
	ck_assert_msg(exists(path_of(pid, "0")), "removed a living process's");

	kill(pid, SIGKILL);
	/* a zombie is gone already */
	ck_assert_int_eq(waitid(P_PID, pid, &(siginfo_t){0}, WEXITED | WNOWAIT),
			 0);
	if (_i == 1)
		waitpid(pid, NULL, 0);
	clean();
	ck_assert(!exists(path_of(pid, "0")));
}
END_TEST

/* Writes `bytes` of a segment to a file of its own. Returns its descriptor. */
static int forge(const char *path, size_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, st.segment, bytes), (ssize_t)bytes);
	return fd;
}

/* The pid was used again, or the process executed another program. */
START_TEST(unclaimed_file_is_cleaned_up)
{
	int fd;

	ck_assert_int_eq(stat_open(&st, true), 0);
	close(forge(path_of(getpid(), "77"), sizeof(*st.segment)));
	fd = forge(path_of(getpid(), "78"), sizeof(*st.segment));
	ck_assert_int_eq(os_claim_file(fd), 0);
	clean();
	ck_assert(!exists(path_of(getpid(), "77")));
	ck_assert(exists(path_of(getpid(), "78")));
	ck_assert(exists(st.path));
	close(fd);
	clean();
	ck_assert(!exists(path_of(getpid(), "78")));
}
END_TEST

/* ... which the lock of this one's own file must survive. */
START_TEST(claim_outlives_other_descriptors)
{
	bool claimed = false;
	int fd;

	ck_assert_int_eq(stat_open(&st, true), 0);
	close(open(st.path, O_RDONLY));
	ck_assert_int_eq(os_open_own(st.path, &fd), 0);
	ck_assert_int_eq(os_file_claimed(fd, &claimed), 0);
	ck_assert(claimed);
	ck_assert_int_eq(os_claim_file(st.fd), 0); /* it is ours */
	close(fd);
	fd = open(st.path, O_RDWR);
	ck_assert_int_eq(os_claim_file(fd), -EBUSY);
	close(fd);
}
END_TEST

/* Runs this program again, with nothing but a check of its own file. */
static _Noreturn void exec_self(void)
{
	char fd[16];

	if (stat_open(&st, true))
		_exit(1);
	snprintf(fd, sizeof(fd), "%d", getpid());
	execl("/bin/sh", "sh", "-c",
	      "test -e " VVM_STAT_DIR "/" VVM_STAT_PREFIX
	      "$0.0 && kill -STOP $0 && exit 7",
	      fd, NULL);
	_exit(1);
}

START_TEST(exec_leaves_a_file_that_is_cleaned_up)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		exec_self();
	ck_assert_int_eq(waitpid(pid, &status, WUNTRACED), pid);
	ck_assert(WIFSTOPPED(status));
	ck_assert(exists(path_of(pid, "0")));
	clean();
	ck_assert(!exists(path_of(pid, "0")));
	kill(pid, SIGCONT);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}
END_TEST

START_TEST(exit_removes_the_file)
{
	pid_t pid = fork();
	struct stats two;
	int status;

	if (pid == 0) {
		if (stat_open(&st, true) || stat_open(&two, true))
			_exit(1);
		if (!exists(path_of(getpid(), "1")))
			_exit(2);
		exit(0); /* destructors run */
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert(!exists(path_of(pid, "0")));
	ck_assert(!exists(path_of(pid, "1")));
}
END_TEST

START_TEST(half_made_file_is_kept)
{
	int pid = dead_pid();

	ck_assert_int_eq(stat_open(&st, true), 0);
	close(forge(path_of(getpid(), "77"), 0));
	close(forge(path_of(getpid(), "78"), 4));
	close(forge(path_of(pid, "0"), 4));
	clean();
	ck_assert(exists(path_of(getpid(), "77")));
	ck_assert(exists(path_of(getpid(), "78")));
	ck_assert(!exists(path_of(pid, "0")));
	unlink(path_of(getpid(), "77"));
	unlink(path_of(getpid(), "78"));
}
END_TEST

START_TEST(symlink_is_not_followed)
{
	char target[] = "/tmp/check_stat.XXXXXX";
	int fd = mkstemp(target), pid = dead_pid();

	close(fd);
	ck_assert_int_eq(symlink(target, path_of(pid, "0")), 0);
	clean();
	ck_assert(exists(path_of(pid, "0")));
	ck_assert(exists(target));
	unlink(path_of(pid, "0"));
	unlink(target);
}
END_TEST

START_TEST(symlink_in_our_place_is_not_followed)
{
	char target[] = "/tmp/check_stat.XXXXXX";
	struct stat info;
	int fd = mkstemp(target);

	close(fd);
	ck_assert_int_eq(symlink(target, path_of(getpid(), "0")), 0);
	ck_assert_int_eq(stat_open(&st, true), 0);
	ck_assert_str_eq(st.path, path_of(getpid(), "1"));
	ck_assert_int_eq(stat(target, &info), 0);
	ck_assert_int_eq(info.st_size, 0);
	unlink(path_of(getpid(), "0"));
	unlink(target);
}
END_TEST

START_TEST(fifo_does_not_block)
{
	int pid = dead_pid();

	ck_assert_int_eq(mkfifo(path_of(pid, "0"), 0600), 0);
	clean();
	ck_assert(exists(path_of(pid, "0")));
	unlink(path_of(pid, "0"));
}
END_TEST

START_TEST(other_users_file_is_kept)
{
	const char *path = path_of(dead_pid(), "0");
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0666);

	ck_assert_int_ge(fd, 0);
	if (fchown(fd, 1, 1) == 0) { /* root only */
		clean();
		ck_assert(exists(path));
	}
	close(fd);
	unlink(path);
}
END_TEST

START_TEST(strange_names_are_left_alone)
{
	static const char *const names[] = {
		"vvm-stat.",	 "vvm-stat.x.0",
		"vvm-stat.-5.0", "vvm-stat.99999999999999999999.0",
		"vvm-stat.0.0",	 "vvm-stat.12345",
		"vvm-stat. 1.0", "vvm-statistics.1.0",
	};
	char path[128];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), VVM_STAT_DIR "/%s", names[i]);
		close(open(path, O_RDWR | O_CREAT, 0600));
	}
	clean();
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), VVM_STAT_DIR "/%s", names[i]);
		ck_assert_msg(unlink(path) == 0, "%s", path);
	}
}
END_TEST

START_TEST(fork_child_does_not_remove)
{
	int status;
	pid_t pid;

	ck_assert_int_eq(stat_open(&st, true), 0);
	pid = fork();
	if (pid == 0) {
		stat_close(&st);
		_exit(st.segment != NULL);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert(exists(st.path));
	ck_assert_uint_eq(st.segment->closed, 0);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "content");

	tcase_add_test(tc, header_and_file);
	tcase_add_test(tc, names_are_numbered);
	tcase_add_test(tc, close_marks_and_removes);
	tcase_add_loop_test(tc, sums_over_actors, 0, 2);
	tcase_add_test(tc, every_counter_is_its_own);
	tcase_add_test(tc, actors_run_out);
	tcase_add_test(tc, threads_lose_nothing);
	tcase_add_test(tc, buckets_meet);

	tc = test_case(s, "regions, blocks and events");
	tcase_add_test(tc, items_get_storage_and_are_used_again);
	tcase_add_test(tc, no_storage_no_item);
	tcase_add_test(tc, region_faults_are_inherited);
	tcase_add_test(tc, events_fill_a_ring);
	tcase_add_test(tc, stages_add_up);
	tcase_add_test(tc, private_ones_have_neither);

	tc = test_case(s, "sites");
	tcase_add_test(tc, sites_add_up);
	tcase_add_test(tc, hot_sites_stay_and_nothing_is_lost);
	tcase_add_test(tc, threads_lose_no_wait);
	tcase_add_test(tc, no_room_for_sites);
	tcase_add_test(tc, sites_are_where_they_belong);
	tcase_add_test(tc, storage_comes_when_a_wait_begins);

	tc = test_case(s, "without a file");
	tcase_add_test(tc, private_when_not_published);
	tcase_add_loop_test(tc, private_when_the_file_fails, 0,
			    ARRAY_SIZE(breaks));
	tcase_add_test(tc, private_when_every_name_is_taken);
	tcase_add_test(tc, no_memory);
	tcase_add_test(tc, proc_cannot_be_read);
	tcase_add_test(tc, failures_leak_no_descriptor);

	tc = test_case(s, "stale files");
	tcase_add_loop_test(tc, killed_process_is_cleaned_up, 0, 2);
	tcase_add_test(tc, unclaimed_file_is_cleaned_up);
	tcase_add_test(tc, claim_outlives_other_descriptors);
	tcase_add_test(tc, exec_leaves_a_file_that_is_cleaned_up);
	tcase_add_test(tc, exit_removes_the_file);
	tcase_add_test(tc, half_made_file_is_kept);
	tcase_add_test(tc, symlink_is_not_followed);
	tcase_add_test(tc, symlink_in_our_place_is_not_followed);
	tcase_add_test(tc, fifo_does_not_block);
	tcase_add_test(tc, other_users_file_is_kept);
	tcase_add_test(tc, strange_names_are_left_alone);
	tcase_add_test(tc, fork_child_does_not_remove);
}

const struct test_program test_program = {
	.name = "stat",
	.counts = true,
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
};
