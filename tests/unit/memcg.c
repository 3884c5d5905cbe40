/* SPDX-License-Identifier: MIT */
/*
 * unit/memcg.c - the limit of the memory cgroup and what is left of it, by what
 * machines and containers say of theirs: a directory with such files stands for
 * /sys/fs/cgroup. And what is left of the machine (os/room.c).
 */
#include "support/test.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/memcg.h"
#include "os/os.h"
#include "os/room.h"

#include "support/files.h"

#define NONE UINT64_MAX

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static char root[128]; /* of this test */

static void begin(void)
{
	snprintf(root, sizeof(root), "%s/%d", live_dir, (int)getpid());
	ck_assert_int_eq(mkdir(root, 0700), 0);
}

/* A file below it, and the directories that it is in. */
static void make(const char *name, const char *text)
{
	char path[256], *slash;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (slash = path + strlen(root) + 1; (slash = strchr(slash, '/'));
	     *slash++ = '/') {
		*slash = '\0';
		mkdir(path, 0700);
	}
	write_file(path, text);
}

/* What memcg_limit() says of a process that /proc/self/cgroup says this of. */
static uint64_t limit(const char *self)
{
	const char *file = live_path("self");
	struct memcg m;

	write_file(file, self);
	return memcg_find(&m, root, file) ? memcg_limit(&m) : NONE;
}

/* What no limit looks like there. */
#define V1_NONE "9223372036854771712\n"

START_TEST(the_least_of_all_levels_holds)
{
	make("memory/memory.limit_in_bytes", V1_NONE);
	make("memory/a/memory.limit_in_bytes", "3000000\n");
	make("memory/a/b/memory.limit_in_bytes", "5000000\n");
	make("memory/a/b/c/memory.limit_in_bytes", "4000000\n");
	ck_assert_uint_eq(limit("4:cpu:/\n3:memory:/a/b/c\n0::/\n"), 3000000);
	ck_assert_uint_eq(limit("3:memory:/a/b\n"), 3000000);
	ck_assert_uint_eq(limit("3:memory:/\n"), 9223372036854771712u);
}
END_TEST

/* In a container the levels above are not mounted. */
START_TEST(version_1_tells_of_levels_that_cannot_be_seen)
{
	make("memory/memory.limit_in_bytes", "5000000\n");
	make("memory/memory.stat", "cache 7\nrss 9\n"
				   "hierarchical_memory_limit 2000000\n"
				   "hierarchical_memsw_limit 1\n");
	ck_assert_uint_eq(limit("3:memory:/docker/0123\n"), 2000000);
}
END_TEST

START_TEST(version_2_nested)
{
	make("cgroup.controllers", "cpu memory pids\n");
	make("a/memory.max", "max\n");
	make("a/b/memory.max", "8000000\n");
	make("a/b/memory.high", "max\n");
	make("a/b/c/memory.max", "max\n");
	make("memory/memory.limit_in_bytes", "1\n"); /* of version 1: no */
	ck_assert_uint_eq(limit("4:memory:/\n0::/a/b/c\n"), 8000000);
	ck_assert_uint_eq(limit("0::/a\n"), NONE);
	ck_assert_uint_eq(limit("0::/\n"), NONE);
	make("a/b/memory.high", "6000000\n");
	ck_assert_uint_eq(limit("0::/a/b/c\n"), 6000000);
	/* a name space of its own: what is mounted is its own group */
	make("memory.max", "9000000\n");
	ck_assert_uint_eq(limit("0::/\n"), 9000000);
	ck_assert_uint_eq(limit("0::/../x\n"), 9000000);
}
END_TEST

START_TEST(where_there_is_no_limit)
{
	char self[MEMCG_PATH * 2] = "3:memory:/";

	ck_assert_uint_eq(limit(""), NONE);
	make("memory/memory.limit_in_bytes", "7000000\n");
	memset(self + 10, 'x', sizeof(self) - 12); /* longer than we take */
	ck_assert_uint_eq(limit(self), 7000000);
	ck_assert_uint_eq(limit("nonsense\n"), 7000000);
}
END_TEST

static void open_files(struct memcg_files *files, const char *self)
{
	const char *file = live_path("self");
	struct memcg m;

	write_file(file, self);
	ck_assert(memcg_find(&m, root, file));
	memcg_open(&m, files);
}

/* What memcg_room() says of such a process. */
static struct memcg_room room_of(const char *self)
{
	struct memcg_files files;
	struct memcg_room room;

	open_files(&files, self);
	memcg_room(&files, &room);
	memcg_close(&files);
	return room;
}

#define SOME_STALLS                                           \
	"some avg10=0.00 avg60=0.30 avg300=1.17 total=4711\n" \
	"full avg10=0.00 avg60=0.20 avg300=0.17 total=815\n"

/* Of the level that has least left; half of what is active is free, too. */
START_TEST(what_version_2_has_left)
{
	struct memcg_room room;

	make("cgroup.controllers", "cpu memory pids\n");
	make("a/memory.max", "1000000\n");
	make("a/memory.current", "900000\n");
	make("a/memory.stat", "anon 5\nfile 400000\ninactive_file 30000\n"
			      "active_file 20000\n");
	make("a/b/memory.max", "max\n");
	make("a/b/memory.high", "500000\n");
	make("a/b/memory.current", "100000\n");
	make("a/b/memory.stat", "inactive_file 0\nactive_file 0\n");
	make("a/b/memory.pressure", SOME_STALLS);
	room = room_of("0::/a/b\n");
	ck_assert_uint_eq(room.free_bytes, 140000);
	ck_assert_uint_eq(room.limit_bytes, 1000000);
	ck_assert_uint_eq(room.stall_us, 4711);
	make("a/b/memory.current", "400000\n");
	room = room_of("0::/a/b\n");
	ck_assert_uint_eq(room.free_bytes, 100000);
	ck_assert_uint_eq(room.limit_bytes, 500000);
	make("a/b/memory.current", "600000\n"); /* above its limit */
	ck_assert_uint_eq(room_of("0::/a/b\n").free_bytes, 0);
	make("a/b/memory.stat", "inactive_file 900000\nactive_file 0\n");
	ck_assert_uint_eq(room_of("0::/a/b\n").free_bytes, 140000);
	ck_assert_uint_eq(room_of("0::/a\n").stall_us, NONE);
}
END_TEST

START_TEST(what_version_1_has_left)
{
	struct memcg_room room;

	make("memory/memory.limit_in_bytes", V1_NONE);
	make("memory/memory.usage_in_bytes", "70000000\n");
	make("memory/a/memory.limit_in_bytes", "2000000\n");
	make("memory/a/memory.usage_in_bytes", "1500000\n");
	make("memory/a/memory.stat", "inactive_file 1\nactive_file 2\n"
				     "total_inactive_file 100000\n"
				     "total_active_file 100000\n");
	room = room_of("3:memory:/a\n");
	ck_assert_uint_eq(room.free_bytes, 650000);
	ck_assert_uint_eq(room.limit_bytes, 2000000);
	ck_assert_uint_eq(room.stall_us, NONE);
	room = room_of("3:memory:/\n");
	ck_assert_uint_eq(room.free_bytes, NONE);
	ck_assert_uint_eq(room.limit_bytes, NONE);
}
END_TEST

/* No use is known, or it is no number. */
START_TEST(what_is_not_known_of_a_group)
{
	make("cgroup.controllers", "memory\n");
	make("a/memory.max", "1000000\n");
	ck_assert_uint_eq(room_of("0::/a\n").free_bytes, NONE);
	make("a/memory.current", "many\n");
	make("a/memory.pressure", "full total=7\n");
	ck_assert_uint_eq(room_of("0::/a\n").free_bytes, NONE);
	ck_assert_uint_eq(room_of("0::/a\n").stall_us, NONE);
	make("a/memory.current", "400000\n"); /* and no memory.stat */
	ck_assert_uint_eq(room_of("0::/a\n").free_bytes, 600000);
}
END_TEST

static struct room look(const char *self)
{
	char meminfo[160], pressure[160];
	const char *file = live_path("self");
	struct room_source source;
	struct room room;

	write_file(file, self);
	snprintf(meminfo, sizeof(meminfo), "%s/meminfo", root);
	snprintf(pressure, sizeof(pressure), "%s/pressure", root);
	room_open_at(&source, meminfo, pressure, root, file);
	room_look(&source, &room);
	room_close(&source);
	return room;
}

static int lowest_descriptor(void)
{
	int fd = dup(STDERR_FILENO);

	ck_assert_int_ge(fd, 0);
	close(fd);
	return fd;
}

/* The files as they are now, through the descriptors of the beginning. */
START_TEST(a_look_sees_what_has_changed)
{
	struct memcg_files files;
	struct memcg_room room;

	make("cgroup.controllers", "memory\n");
	make("a/memory.max", "1000000\n");
	make("a/memory.current", "900000\n");
	make("a/b/memory.max", "max\n");
	make("a/b/memory.current", "300000\n");
	make("a/b/memory.pressure", SOME_STALLS);
	open_files(&files, "0::/a/b\n");
	memcg_room(&files, &room);
	ck_assert_uint_eq(room.free_bytes, 100000);
	make("a/memory.current", "20000\n");
	make("a/b/memory.max", "700000\n");
	make("a/b/memory.pressure", "some avg10=0.00 total=9\n");
	memcg_room(&files, &room);
	ck_assert_uint_eq(room.free_bytes, 400000);
	ck_assert_uint_eq(room.stall_us, 9);
	memcg_close(&files);
	memcg_room(&files, &room);
	ck_assert_uint_eq(room.free_bytes, NONE);
}
END_TEST

/* Of the topmost group a byte is left. */
static void make_full_top(void)
{
	make("cgroup.controllers", "memory\n");
	make("a/memory.max", "10000\n");
	make("a/memory.current", "9999\n");
	make("a/b/memory.max", "900000\n");
}

/* The group itself, and those with a limit, from below. */
START_TEST(levels_without_a_limit_are_left_out)
{
	struct memcg_files files;
	struct memcg_room room;

	make_full_top();
	make("a/b/memory.current", "300000\n");
	make("a/b/c/memory.max", "max\n");
	make("a/b/c/d/memory.max", "max\n");
	open_files(&files, "0::/a/b/c/d\n");
	ck_assert_uint_eq(files.levels, 3);
	memcg_room(&files, &room);
	ck_assert_uint_eq(room.free_bytes, 1);
	memcg_close(&files);
}
END_TEST

START_TEST(deep_groups_take_few_descriptors)
{
	struct memcg_files files;
	struct memcg_room room;

	make_full_top();
	make("a/b/c/memory.max", "900000\n");
	make("a/b/c/d/memory.max", "900000\n");
	make("a/b/c/d/memory.current", "300000\n");
	make("a/b/c/d/e/memory.max", "max\n");
	open_files(&files, "0::/a/b/c/d/e\n");
	ck_assert_uint_eq(files.levels, MEMCG_LEVELS);
	memcg_room(&files, &room);
	ck_assert_uint_eq(room.free_bytes, 600000);
	memcg_close(&files);
}
END_TEST

/* A look takes no descriptor, not even for a moment; closing leaves none. */
START_TEST(looks_open_nothing)
{
	struct rlimit all, none;
	struct room_source source;
	int before = lowest_descriptor();
	struct room room;

	room_open(&source);
	ck_assert_int_gt(lowest_descriptor(), before);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	none = (struct rlimit){0, all.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	room_look(&source, &room);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
	ck_assert_uint_ne(room.ram_bytes, NONE);
	ck_assert_uint_ne(room.free_bytes, NONE);
	room_close(&source);
	ck_assert_int_eq(lowest_descriptor(), before);
	room_look(&source, &room);
	ck_assert_uint_eq(room.ram_bytes, NONE);
	room_close(&source);
}
END_TEST

START_TEST(what_the_machine_has_left)
{
	struct room room = look("");

	ck_assert_uint_eq(room.ram_bytes, NONE);
	ck_assert_uint_eq(room.free_bytes, NONE);
	ck_assert_uint_eq(room.stall_us, NONE);
	ck_assert_uint_eq(room.group.free_bytes, NONE);
	ck_assert_uint_eq(room.group.stall_us, NONE);
	make("meminfo", "MemTotal:       24684084 kB\n"
			"MemFree:               1 kB\n"
			"MemAvailable:   23113588 kB\n");
	make("pressure", SOME_STALLS);
	make("memory/a/memory.limit_in_bytes", "2000000\n");
	make("memory/a/memory.usage_in_bytes", "1500000\n");
	room = look("3:memory:/a\n");
	ck_assert_uint_eq(room.ram_bytes, 24684084ull << 10);
	ck_assert_uint_eq(room.free_bytes, 23113588ull << 10);
	ck_assert_uint_eq(room.stall_us, 4711);
	ck_assert_uint_eq(room.group.free_bytes, 500000);
	make("meminfo", "MemTotal: 99999999999999999999 kB\n");
	ck_assert_uint_eq(look("").ram_bytes, NONE);
}
END_TEST

START_TEST(this_machine_tells_of_its_memory)
{
	struct room_source source;
	struct room room;

	room_open(&source);
	room_look(&source, &room);
	ck_assert_uint_le(room.free_bytes, room.ram_bytes);
	ck_assert_uint_ge(room.ram_bytes, 16 << 20);
	room_close(&source);
}
END_TEST

START_TEST(the_machines_ram_is_the_most)
{
	uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * os_page_size();

	ck_assert_uint_gt(memcg_ram_bytes(), 0);
	ck_assert_uint_le(memcg_ram_bytes(), ram);
	ck_assert_uint_eq(memcg_ram_bytes(), os_ram_bytes());
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "limits");

	tcase_add_test(tc, the_least_of_all_levels_holds);
	tcase_add_test(tc, version_1_tells_of_levels_that_cannot_be_seen);
	tcase_add_test(tc, version_2_nested);
	tcase_add_test(tc, where_there_is_no_limit);
	tcase_add_test(tc, the_machines_ram_is_the_most);
	tc = test_case(s, "room");
	tcase_add_test(tc, a_look_sees_what_has_changed);
	tcase_add_test(tc, levels_without_a_limit_are_left_out);
	tcase_add_test(tc, deep_groups_take_few_descriptors);
	tcase_add_test(tc, looks_open_nothing);
	tcase_add_test(tc, what_version_2_has_left);
	tcase_add_test(tc, what_version_1_has_left);
	tcase_add_test(tc, what_is_not_known_of_a_group);
	tcase_add_test(tc, what_the_machine_has_left);
	tcase_add_test(tc, this_machine_tells_of_its_memory);
}

const struct test_program test_program = {
	.name = "memcg",
	.add = add_tests,
	.setup = begin,
	.begin = live_dir_make,
	.end = live_dir_remove,
};
