/* SPDX-License-Identifier: MIT */
/*
 * unit/sites.c - vvmstat --sites from inside: what is new in segments, whose
 * code an address is, and what /proc says of threads. How it does with programs
 * is in script/sites.sh.
 */
#include "vvmstat/sites.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/os.h"

#include "support/statview.h"
#include "support/test.h"
#include "support/wait.h"
#include "vvmstat/sampler.h"
#include "vvmstat/symbols.h"

static struct target t;
static struct sites sites;

static void setup(void)
{
	char reason[SEGMENT_REASON_BYTES];

	view_setup();
	ck_assert_int_eq(target_open(&t, dir, getpid(), reason), 0);
	sites_init(&sites);
}

static void teardown(void)
{
	sites_fini(&sites);
	target_close(&t);
	view_teardown();
}

static void waits(uint64_t ip, uint64_t ns)
{
	struct stat_fault f = {.at.start_ns = 1, .ip = ip};

	stat_waits(&st, &f);
	stat_waited(&st, &f, 1 + ns);
}

static void look(void)
{
	struct sample unused;

	ck_assert_int_eq(sites_read(&sites, &t), 0);
	target_sample(&t, &unused);
}

static const struct site *at(uint64_t ip)
{
	return site_get(&sites.all, 0, ip);
}

/* ---- numbers ---- */

START_TEST(nothing_yet)
{
	uint64_t ns;
	size_t n;

	look();
	free(sites_rank(&sites, &n, &ns));
	ck_assert_uint_eq(n, 0);
	ck_assert_uint_eq(ns, 0);
}
END_TEST

START_TEST(what_is_new_is_added)
{
	struct site **rank;
	uint64_t ns;
	size_t n;

	waits(0x401000, 50);
	waits(0x402000, 70);
	look();
	look(); /* nothing new */
	ck_assert_uint_eq(at(0x401000)->wait_ns, 50);
	waits(0x401000, 100);
	look();
	ck_assert_uint_eq(at(0x401000)->wait_ns, 150);
	ck_assert_uint_eq(at(0x401000)->faults, 2);
	rank = sites_rank(&sites, &n, &ns);
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(ns, 220);
	ck_assert_uint_eq(rank[0]->ip, 0x401000);
	ck_assert_uint_eq(rank[1]->ip, 0x402000);
	free(rank);
	sites_forget(&sites);
	look();
	ck_assert_uint_eq(at(0x401000)->wait_ns, 0);
	waits(0x402000, 5);
	look();
	ck_assert_uint_eq(at(0x402000)->wait_ns, 5);
	ck_assert_uint_eq(at(0x402000)->faults, 1);
}
END_TEST

START_TEST(the_last_numbers_of_a_space_that_is_closed)
{
	waits(0x401000, 50);
	look();
	waits(0x401000, 60);
	stat_close(&st);
	look();
	look();
	ck_assert_uint_eq(at(0x401000)->wait_ns, 110);
	ck_assert_uint_eq(t.spaces, 0);
}
END_TEST

/* Sites that had to make room are not counted a second time. */
START_TEST(sites_that_were_replaced)
{
	uint64_t i, ns, k = 0;
	size_t n;

	for (i = 0; i < 20 * VVM_STAT_SITES; i++) {
		waits(0x400000 + 5 * i, 100 + i);
		k += 100 + i;
		if (i % 1000 == 0)
			look();
	}
	look();
	free(sites_rank(&sites, &n, &ns));
	ck_assert_uint_eq(ns, k);
	ck_assert_uint_gt(at(VVM_STAT_SITE_OTHERS)->wait_ns, 0);
}
END_TEST

/* More than there is room for take turns: each comes back with less. */
START_TEST(sites_that_come_back)
{
	enum { CODES = 2 * VVM_STAT_SITES, ROUNDS = 20 };
	uint64_t i, ns, k = 0;
	size_t n;

	for (i = 0; i < ROUNDS * CODES; i++) {
		uint64_t took = 1000 * (ROUNDS - i / CODES) + i % 7;

		waits(0x400000 + 5 * (i % CODES), took);
		k += took;
		if (i % (CODES - 30) == 0)
			look();
	}
	look();
	free(sites_rank(&sites, &n, &ns));
	ck_assert_uint_eq(ns, k);
}
END_TEST

/* A segment that never runs out of new addresses. */
START_TEST(too_many_sites)
{
	struct site_map map = {.size = 0};
	uint64_t ip = VVM_STAT_SITE_CODE;
	struct site *s;

	while ((s = site_get(&map, 0, ip)))
		s->faults = ip++;
	ck_assert(map.full);
	ck_assert_uint_eq(map.used, ip - VVM_STAT_SITE_CODE);
	ck_assert_uint_ge(map.size, map.used * 2);
	ck_assert_uint_lt(map.used, 1 << 20);
	ck_assert_ptr_null(
		site_get(&map, 0, ip)); /* and the others are found */
	ck_assert_uint_eq(site_get(&map, 0, ip - 1)->faults, ip - 1);
	ck_assert_uint_eq(site_get(&map, 0, 0x1000)->faults, 0x1000);
	free(map.item);
}
END_TEST

/* A program that opens a space for each thing that it does. */
START_TEST(spaces_that_are_closed_are_forgotten)
{
	enum { CLOSED = 100, CODES = 200 };
	unsigned i, k;

	for (i = 0; i < CLOSED; i++) {
		for (k = 0; k < CODES; k++)
			waits(0x400000 + 5 * k, 10);
		look();
		stat_close(&st);
		unlink(in_dir(getpid(), i));
		ck_assert_int_eq(stat_open(&st, true), 0);
		ck_assert_int_eq(link(st.path, in_dir(getpid(), i + 1)), 0);
		look();
	}
	ck_assert_uint_eq(at(0x400000)->wait_ns, 10 * CLOSED);
	ck_assert_uint_lt(sites.last.used, CLOSED * CODES / 2);
}
END_TEST

/* ---- code ---- */

/* Has a name of its own, and is not the start of anything else. */
__attribute__((noinline, used)) void code_of_this_test(void)
{
	__asm__ volatile("nop; nop; nop; nop");
}

static void read_own_maps(struct modules *m)
{
	char *text;

	modules_init(m, getpid());
	text = modules_text(m);
	ck_assert_ptr_nonnull(text);
	ck_assert(modules_parse(m, text));
	free(text);
}

START_TEST(own_code_has_a_name)
{
	uint64_t ip = (uint64_t)(uintptr_t)code_of_this_test + 5;
	struct place p = {.known = false};
	struct modules m;
	struct symbol s;

	read_own_maps(&m);
	module_resolve(&m, ip, &p);
	ck_assert(p.known);
	ck_assert_ptr_nonnull(p.module);
	assert_contains(p.module->path, "/sites");
	if (symbols_known()) {
		ck_assert(symbols_find(p.module->symbols, p.offset, &s));
		ck_assert_str_eq(s.function, "code_of_this_test");
		ck_assert_uint_eq(s.offset, 5);
		if (s.source[0]) {
			assert_contains(s.source, "unit/sites.c");
			ck_assert_uint_gt(s.line, 0);
		}
	} else {
		ck_assert(!symbols_find(p.module->symbols, p.offset, &s));
	}
	modules_fini(&m);
}
END_TEST

START_TEST(code_without_a_file)
{
	static const char text[] =
		"1000-2000 r-xp 00000000 00:00 0 \n"
		"3000-4000 rw-p 00000000 00:00 0 \n"
		"5000-6000 r-xp 00000000 00:00 0                  [vdso]\n"
		"7000-9000 r-xp 00002000 08:01 123456789  /no/such \x1b[2Jfile\n"
		"garbage\n"
		"9000-a000 r-xp 00000000 08:01\n"
		"a000-b000 r-xp 00000000 00:00 0 ";
	struct place p[6] = {{.known = false}};
	struct modules m;

	modules_init(&m, getpid());
	ck_assert(!modules_parse(&m, ""));
	ck_assert(!modules_parse(&m, "3000-4000 rw-p 00000000 00:00 0\n"));
	ck_assert(modules_parse(&m, text));
	ck_assert(!modules_parse(&m, "")); /* and all stays */
	module_resolve(&m, 0x1fff, &p[0]);
	ck_assert(p[0].known && !p[0].module);
	ck_assert_str_eq(p[0].kind, "[anon]");
	module_resolve(&m, 0x3000, &p[1]);
	ck_assert(!p[1].known); /* no code */
	module_resolve(&m, 0x2000, &p[1]);
	ck_assert(!p[1].known);
	module_resolve(&m, 0x5000, &p[2]);
	ck_assert_str_eq(p[2].kind, "[vdso]");
	module_resolve(&m, 0x7010, &p[3]);
	ck_assert(p[3].known && p[3].module);
	ck_assert_uint_eq(p[3].offset, 0x2010);
	ck_assert_str_eq(p[3].module->path, "/no/such ?[2Jfile");
	ck_assert_ptr_null(p[3].module->symbols);
	module_resolve(&m, 0xafff, &p[4]);
	ck_assert(p[4].known && !p[4].module);
	module_resolve(&m, 0xb000, &p[5]);
	ck_assert(!p[5].known);
	modules_fini(&m);
}
END_TEST

/* Another file has taken its place since. */
START_TEST(a_file_that_was_replaced_is_not_read)
{
	char text[300], path[128];
	struct place p = {.known = false};
	struct modules m;

	snprintf(path, sizeof(path), "%s/file", dir);
	ck_assert_int_eq(symlink("/proc/self/exe", path), 0);
	snprintf(text, sizeof(text),
		 "7000-9000 r-xp 00000000 08:01 123456789 %s\n", path);
	modules_init(&m, getpid());
	ck_assert(modules_parse(&m, text));
	module_resolve(&m, 0x7010, &p);
	ck_assert(p.known && p.module);
	ck_assert_ptr_null(p.module->symbols);
	modules_fini(&m);
}
END_TEST

/*
 * Under a name that is not printed as it is. It is truncated once it was opened,
 * while nothing of it has been looked up.
 */
START_TEST(a_file_that_is_truncated_keeps_its_names)
{
	uint64_t ip = (uint64_t)(uintptr_t)code_of_this_test + 5;
	struct place p = {.known = false}, copied = {.known = false};
	char command[256], path[128], text[300];
	struct modules m;
	struct stat info;
	struct symbol s;

	read_own_maps(&m);
	module_resolve(&m, ip, &p);
	ck_assert(p.known);
	modules_fini(&m);
	snprintf(path, sizeof(path), "%s/j\xc3\xb6rg", dir);
	snprintf(command, sizeof(command), "cp /proc/%d/exe %s", getpid(),
		 path);
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(stat(path, &info), 0);
	snprintf(text, sizeof(text),
		 "10000000-50000000 r-xp 00000000 08:01 %llu   %s\n",
		 (unsigned long long)info.st_ino, path);
	modules_init(&m, getpid());
	ck_assert(modules_parse(&m, text));
	module_resolve(&m, 0x10000000 + p.offset, &copied);
	ck_assert(copied.known && copied.module);
	assert_contains(copied.module->path, "/j??rg");
	ck_assert_int_eq(truncate(path, 1), 0);
	if (symbols_known()) {
		ck_assert(symbols_find(copied.module->symbols, copied.offset,
				       &s));
		ck_assert_str_eq(s.function, "code_of_this_test");
	}
	modules_fini(&m);
}
END_TEST

/* ---- threads ---- */

START_TEST(what_the_kernel_says_of_a_thread)
{
	ck_assert_uint_eq(sampler_parse("-1 0x7ffd1234 0x5581abcd\n"),
			  0x5581abcd);
	ck_assert_uint_eq(sampler_parse("0 0x3 0x7f00 0x1000 0x0 0x0 0x0 "
					"0x7ffd1234 0x7f8812\n"),
			  0x7f8812);
	ck_assert_uint_eq(sampler_parse("running\n"), 0);
	ck_assert_uint_eq(sampler_parse(""), 0);
	ck_assert_uint_eq(sampler_parse("7 -1"), 0);
	ck_assert_uint_eq(sampler_parse("-1 0x"), 0);
}
END_TEST

static void *read_byte(void *at)
{
	return (void *)(uintptr_t) * (const volatile char *)at;
}

static void refuse_reads_of(int fd)
{
	struct sock_filter text[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pread64, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)fd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(text) / sizeof(*text), text};

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
}

/* What Yama does: the files can be opened, and this one not be read. */
static void refuse_reads_of_syscall(void)
{
	char link[32], path[64];
	ssize_t n;
	int fd;

	for (fd = 0; fd < 256; fd++) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, path, sizeof(path) - 1);
		path[n > 0 ? n : 0] = '\0';
		if (n > 8 && !strcmp(path + n - 8, "/syscall"))
			refuse_reads_of(fd);
	}
}

static bool sampler_sees(struct sampler *s, struct site_map *map)
{
	sampler_look(s, map);
	return map->used > 0;
}

START_TEST(a_thread_that_may_not_be_looked_at)
{
	enum os_uffd_method method;
	struct site_map map = {.size = 0};
	struct sampler s;
	pthread_t thread;
	uint64_t done;
	void *page;
	int fd;

	ck_assert_int_eq(os_uffd_open(0, &fd, &method), 0);
	page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert(page != MAP_FAILED);
	ck_assert_int_eq(os_uffd_register(fd, (haddr_t)page, PAGE_BYTES), 0);
	sampler_init(&s, getpid());
	ck_assert_int_eq(pthread_create(&thread, NULL, read_byte, page), 0);
	live_wait(sampler_sees(&s, &map), 10000);
	ck_assert(!s.denied);
	refuse_reads_of_syscall();
	sampler_look(&s, &map);
	ck_assert(s.denied);
	ck_assert_int_eq(os_uffd_zero(fd, (haddr_t)page, PAGE_BYTES, &done), 0);
	pthread_join(thread, NULL);
	sampler_fini(&s);
	free(map.item);
	munmap(page, PAGE_BYTES);
	close(fd);
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "numbers");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing_yet);
	tcase_add_test(tc, what_is_new_is_added);
	tcase_add_test(tc, the_last_numbers_of_a_space_that_is_closed);
	tcase_add_test(tc, sites_that_were_replaced);
	tcase_add_test(tc, sites_that_come_back);
	tcase_add_test(tc, too_many_sites);
	tcase_add_test(tc, spaces_that_are_closed_are_forgotten);

	tc = test_case(s, "code");
	tcase_add_checked_fixture(tc, view_setup, view_teardown);
	tcase_add_test(tc, own_code_has_a_name);
	tcase_add_test(tc, code_without_a_file);
	tcase_add_test(tc, a_file_that_was_replaced_is_not_read);
	tcase_add_test(tc, a_file_that_is_truncated_keeps_its_names);

	tc = test_case(s, "threads");
	tcase_add_test(tc, what_the_kernel_says_of_a_thread);
	tcase_add_test(tc, a_thread_that_may_not_be_looked_at);
}

const struct test_program test_program = {
	.name = "sites",
	.add = add_tests,
	.counts = true,
};
