/* SPDX-License-Identifier: MIT */
/*
 * live/automatic.c - a real neighbour in a real memory cgroup: a program whose
 * budget follows it, and which uses all of its memory all the time, gives way.
 *
 * The neighbour takes no more before there is room for it: the test does not
 * depend on how fast pages can be written. Where nobody gave way it would wait
 * for ever, and give up.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/memcg.h"

#include "support/child.h"
#include "support/live.h"
#include "support/random.h"
#include "support/test.h"
#include "support/wait.h"

#define MIB	    ((uint64_t)1 << 20)
#define LIMIT	    (192 * MIB)
#define PAGES	    (96 * MIB / LIVE_PAGE) /* of the program */
#define TAKES	    (150 * MIB) /* the neighbour: not without giving way */
#define PIECE	    (2 * MIB)
#define ROOM	    (10 * MIB) /* that it waits for */
#define PATIENCE_MS wait_scaled(40000)

static struct memcg own;
static char group[MEMCG_PATH + 64];

static bool write_number(const char *file, uint64_t n)
{
	char path[MEMCG_PATH + 128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	f = fopen(path, "we");
	if (!f)
		return false;
	fprintf(f, "%llu\n", (unsigned long long)n);
	return fclose(f) == 0;
}

/* Below our own. */
static const char *missing(void)
{
	static const char none[] = "no memory cgroup can be made";
	const char *why = live_missing();
	bool made;

	if (why)
		return why;
	if (!memcg_find(&own, MEMCG_ROOT, MEMCG_SELF))
		return none;
	snprintf(group, sizeof(group), "%s/vvmautomatic.%d", own.path,
		 (int)getpid());
	if (mkdir(group, 0755))
		return none;
	made = write_number(own.version == 1 ? "memory.limit_in_bytes"
					     : "memory.max",
			    LIMIT);
	rmdir(group);
	return made ? NULL : none;
}

static void setup(void)
{
	live_check(mkdir(group, 0755) == 0 || errno == EEXIST);
	live_check(write_number(own.version == 1 ? "memory.limit_in_bytes"
						 : "memory.max",
				LIMIT));
}

/* Its processes are reaped, but the kernel may be behind. */
static void teardown(void)
{
	uint64_t end_ms = live_now_ms() + PATIENCE_MS;

	while (rmdir(group)) {
		live_check(live_now_ms() < end_ms);
		live_nap_us(20000);
	}
}

/* After a test that failed. */
static void end(void)
{
	rmdir(group);
}

static uint64_t room(void)
{
	struct memcg_files files;
	struct memcg_room room;
	struct memcg m;

	live_check(memcg_find(&m, MEMCG_ROOT, MEMCG_SELF));
	memcg_open(&m, &files);
	memcg_room(&files, &room);
	memcg_close(&files);
	return room.free_bytes;
}

static int neighbour(void *arg)
{
	uint64_t end_ms = live_now_ms() + PATIENCE_MS, at;
	char *memory = mmap(NULL, TAKES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	live_check(memory != MAP_FAILED);
	for (at = 0; at < TAKES; at += PIECE) {
		while (room() < ROOM) {
			if (live_now_ms() > end_ms)
				live_fail("nobody gave way: %llu MiB taken",
					  (unsigned long long)(at / MIB));
			live_nap_us(5000);
		}
		memset(memory + at, 1, PIECE);
	}
	return 0;
}

static atomic_bool over;
static char *base;

/* All of it is in use, all the time. */
static void *use_all(void *arg)
{
	uint64_t version = 1, i;

	(void)arg;
	while (!atomic_load(&over)) {
		for (i = 0; i < PAGES && !atomic_load(&over); i++) {
			live_equal(
				live_verify(base + i * LIVE_PAGE, i, version),
				-1);
			live_fill(base + i * LIVE_PAGE, i, version);
		}
	}
	return NULL;
}

static int program(void *arg)
{
	struct vvm_options o;
	struct vvm_stats s;
	struct vvm *vm;
	pthread_t thread;
	uint64_t i;
	pid_t pid;

	(void)arg;
	live_check(write_number("cgroup.procs", (uint64_t)getpid()));
	live_options(&o, PAGES);
	o.resident_bytes = VVM_RESIDENT_AUTO;
	o.resident_min_bytes = 4 * MIB;
	o.resident_max_bytes = PAGES * LIVE_PAGE;
	live_ok(vvm_open(&vm, &o));
	base = live_map(vm, PAGES, LIVE_RW);
	for (i = 0; i < PAGES; i++)
		live_fill(base + i * LIVE_PAGE, i, 1);
	live_equal(pthread_create(&thread, NULL, use_all, NULL), 0);
	pid = live_fork(neighbour, NULL);
	live_ended_ok(pid);
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	s = live_stats(vm);
	live_check(s.resize_group + s.resize_stall + s.resize_machine > 0);
	for (i = 0; i < PAGES; i++)
		live_equal(live_verify(base + i * LIVE_PAGE, i, 1), -1);
	live_ok(vvm_close(vm));
	return 0;
}

START_TEST(a_neighbour_in_the_group_is_given_way_to)
{
	pid_t pid = live_fork(program, NULL);

	live_ended_ok(pid);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "automatic");

	test_limit(tc, 2 * TEST_SECONDS);
	test_counted(tc, a_neighbour_in_the_group_is_given_way_to);
}

const struct test_program test_program = {
	.name = "live_automatic",
	.add = add_tests,
	.setup = setup,
	.teardown = teardown,
	.end = end,
	.missing = missing,
	.modes = true,
};
