/* SPDX-License-Identifier: MIT */
/*
 * unit/compare.c - tests of `vvmbench compare`: which engines, medians and
 * ratios, the three forms of the table; finding the memory cgroup in what
 * various machines say of theirs; the journal, which undoes what is ours and
 * nothing else; and, where root may make swap areas, that a comparison that is
 * interrupted or killed leaves the machine as it was. The last are skipped,
 * with the reason, where they are not permitted.
 */
#include "common/line.h"
#include "os/memcg.h"
#include "vvmbench/compare.h"
#include "vvmbench/contender.h"
#include "vvmbench/table.h"
#include "support/sanitizer.h"
#include "support/test.h"
#include "support/wait.h"
#include "common/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vvm.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* ------------------------------------------------------------------ */
/* Engines								*/

START_TEST(engines_by_default)
{
	int ids[CONTENDER_COUNT], n, i;
	char *bad = NULL;

	n = contenders_parse(NULL, ids, &bad);
	ck_assert_int_eq(n, CONTENDER_COUNT - 2);
	for (i = 0; i < n; i++) {
		ck_assert_int_ne(ids[i], CONTENDER_zswap);
		ck_assert_int_ne(ids[i], CONTENDER_vvm_guard);
	}
}
END_TEST

START_TEST(engines_in_their_order)
{
	int ids[CONTENDER_COUNT];
	char *bad = NULL;

	ck_assert_int_eq(contenders_parse("raw,swap3,zswap", ids, &bad), 3);
	ck_assert_int_eq(ids[0], CONTENDER_raw);
	ck_assert_int_eq(ids[1], CONTENDER_swap3);
	ck_assert_int_eq(ids[2], CONTENDER_zswap);
}
END_TEST

static const struct {
	const char *list, *bad;
} bad_lists[] = {
	{"", ""},	{"vvm", "vvm"},
	{"swap,", ""},	{"swap,raw,swap", "swap"},
	{"swa", "swa"}, {",swap", ""},
};

START_TEST(engines_refused)
{
	int ids[CONTENDER_COUNT];
	char *bad = NULL;

	ck_assert_int_eq(contenders_parse(bad_lists[_i].list, ids, &bad), -1);
	ck_assert_str_eq(bad, bad_lists[_i].bad);
	free(bad);
}
END_TEST

START_TEST(contender_changes_the_plan)
{
	struct plan plan = {.advice = VVM_ADV_SEQUENTIAL, .threads = 7};

	contender_plan(&contenders[CONTENDER_vvm_inline], &plan);
	ck_assert_int_eq(plan.engine, ENGINE_vvm);
	ck_assert_int_eq(plan.faults, VVM_FAULTS_INLINE);
	ck_assert_int_eq(plan.advice, VVM_ADV_SEQUENTIAL);
	contender_plan(&contenders[CONTENDER_mmap], &plan);
	ck_assert_int_eq(plan.engine, ENGINE_mmap);
	ck_assert_int_eq(plan.advice, VVM_ADV_RANDOM);
	ck_assert_uint_eq(plan.threads, 7);
}
END_TEST

/* Runs compare with the words of a line; never returns. */
_Noreturn static void compare(const char *line)
{
	static char text[256];
	char *argv[24] = {"compare"};
	int argc = 1;

	snprintf(text, sizeof(text), "%s", line);
	for (argv[argc] = strtok(text, " "); argv[argc];
	     argv[argc] = strtok(NULL, " "))
		argc++;
	exit(bench_compare(argc, argv));
}

static const char *const bad_options[] = {
	"--engines nothing", "--rounds 0", "--rounds 101", "--json --csv",
	"--faults thread",   "file",	   "--pattern x",
};

START_TEST(options_refused)
{
	compare(bad_options[_i]);
}
END_TEST

/* ------------------------------------------------------------------ */
/* Medians, ratios, tables						*/

static void add_round(struct tally *t, double ops, double p50)
{
	struct figures f;
	unsigned i;

	for (i = 0; i < FIGURE_COUNT; i++)
		f.value[i] = NAN;
	f.value[FIGURE_ops_per_s] = ops;
	f.value[FIGURE_latency_p50_us] = p50;
	tally_add(t, &f);
}

static struct plan plan = {.size_bytes = 1 << 30,
			   .resident_bytes = 1 << 28,
			   .threads = 4,
			   .seconds = 3};

/* swap, vvm-inline at 1.5 times its rate, and zswap, which is left out. */
static struct table make_table(void)
{
	static struct tally tallies[3];
	struct table table = {&plan, tallies, 3, 3};

	memset(tallies, 0, sizeof(tallies));
	tallies[0].name = "vvm-inline";
	add_round(&tallies[0], 30, 5);
	add_round(&tallies[0], 10, NAN);
	add_round(&tallies[0], 20, 7);
	tallies[1].name = "swap";
	add_round(&tallies[1], 10, 0);
	add_round(&tallies[1], 40, 0);
	tallies[2].name = "zswap";
	why_not(&tallies[2].left_out, "no \"zswap\", here");
	return table;
}

START_TEST(medians_leave_out_what_is_not_there)
{
	struct table table = make_table();
	struct figures f;

	tally_medians(&table.tallies[0], &f);
	ck_assert_double_eq(f.value[FIGURE_ops_per_s], 20);
	ck_assert_double_eq(f.value[FIGURE_latency_p50_us], 6);
	ck_assert(isnan(f.value[FIGURE_latency_p99_us]));
	tally_medians(&table.tallies[2], &f);
	ck_assert(isnan(f.value[FIGURE_ops_per_s]));
}
END_TEST

START_TEST(ratios_of_medians)
{
	struct table table = make_table();
	struct figures of, base, ratios;

	tally_medians(&table.tallies[0], &of);
	tally_medians(&table.tallies[1], &base);
	table_ratios(&of, &base, &ratios);
	ck_assert_double_eq_tol(ratios.value[FIGURE_ops_per_s], 0.8, 1e-9);
	ck_assert(isnan(ratios.value[FIGURE_latency_p50_us])); /* 6 / 0 */
	ck_assert(isnan(ratios.value[FIGURE_latency_p99_us]));
}
END_TEST

START_TEST(base_is_swap_or_the_first)
{
	struct table table = make_table();

	ck_assert_str_eq(table_base(&table, "swap")->name, "swap");
	table.tallies[1].rounds = 0;
	ck_assert_str_eq(table_base(&table, "swap")->name, "vvm-inline");
	table.tallies[0].rounds = 0;
	ck_assert_ptr_null(table_base(&table, "swap"));
}
END_TEST

/* What a function prints of the table; to be freed. */
static char *printed(void (*print)(const struct table *, const struct tally *,
				   FILE *))
{
	struct table table = make_table();
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	print(&table, table_base(&table, "swap"), f);
	fclose(f);
	return text;
}

START_TEST(table_as_text)
{
	char *text = printed(table_print);

	ck_assert_str_eq(text, "                ops/s  p50 us\n"
			       "vvm-inline         20    6.00\n"
			       "                0.80x       -\n"
			       "swap               25    0.00\n"
			       "swap: 2 of 3 rounds\n"
			       "zswap: left out: no \"zswap\", here\n");
	free(text);
}
END_TEST

START_TEST(table_as_json)
{
	char *text = printed(table_json);

	ck_assert_ptr_nonnull(strstr(text, "\"base\":\"swap\""));
	ck_assert_ptr_nonnull(
		strstr(text, "\"engines\":{\"vvm-inline\":{\"rounds\":3,"
			     "\"seconds\":null,\"ops_per_s\":20,"));
	ck_assert_ptr_nonnull(strstr(text, "\"ratios\":{\"seconds\":null,"
					   "\"ops_per_s\":0.8,"));
	ck_assert_ptr_nonnull(strstr(text, "\"left_out\":{\"zswap\":"
					   "\"no \\\"zswap\\\", here\"}}\n"));
	free(text);
}
END_TEST

static unsigned commas(const char *line)
{
	unsigned n = 0;
	bool quoted = false;

	for (; *line && *line != '\n'; line++) {
		quoted ^= *line == '"';
		n += *line == ',' && !quoted;
	}
	return n;
}

START_TEST(table_as_csv)
{
	char *text = printed(table_csv), *line;
	unsigned lines = 0;

	for (line = text; *line; line = strchr(line, '\n') + 1) {
		ck_assert_uint_eq(commas(line), 2 + 2 * FIGURE_COUNT);
		lines++;
	}
	ck_assert_uint_eq(lines, 4);
	ck_assert_ptr_nonnull(strstr(text, "\nswap,2,,25,"));
	ck_assert_ptr_nonnull(strstr(text, ",\"no \"\"zswap\"\", here\"\n"));
	free(text);
}
END_TEST

static const struct {
	enum figure figure;
	double value;
	const char *text;
} texts[] = {
	{FIGURE_ops_per_s, 0, "0"},
	{FIGURE_ops_per_s, 9999.4, "9999"},
	{FIGURE_ops_per_s, 9999.6, "10.0k"},
	{FIGURE_ops_per_s, 999940, "999.9k"},
	{FIGURE_ops_per_s, 999960, "1.0M"},
	{FIGURE_latency_p50_us, 9.994, "9.99"},
	{FIGURE_latency_p50_us, 9.996, "10.0"},
	{FIGURE_latency_p50_us, 99.96, "100"},
	{FIGURE_read_bytes, 1 << 20, "1.0M"},
	{FIGURE_hit_rate_pct, 12.345678, "12.35"},
	{FIGURE_hit_rate_pct, NAN, "-"},
};

START_TEST(figures_as_text)
{
	char text[16];

	ck_assert_str_eq(figure_text(text, texts[_i].figure, texts[_i].value),
			 texts[_i].text);
}
END_TEST

START_TEST(figures_of_a_run)
{
	static struct work_result r = {.elapsed_us = 2000000,
				       .cpu_us = 1000,
				       .ops = 1000,
				       .counts = {.faults = 100, .misses = 50}};
	struct plan p = plan;
	struct figures f;

	p.engine = ENGINE_swap;
	figures_of(&f, &p, &r);
	ck_assert_double_eq(f.value[FIGURE_ops_per_s], 500);
	ck_assert_double_eq(f.value[FIGURE_faults_per_s], 50);
	ck_assert_double_eq(f.value[FIGURE_hit_rate_pct], 95);
	ck_assert_double_eq(f.value[FIGURE_cpu_us_per_fault], 10);
	ck_assert(isnan(f.value[FIGURE_hot_hit_rate_pct]));
	p.pattern = PATTERN_fill;
	figures_of(&f, &p, &r);
	ck_assert(isnan(f.value[FIGURE_hit_rate_pct]));
}
END_TEST

/* ------------------------------------------------------------------ */
/* Where cgroups are							*/

static char dir[64];

static void make_dir(void)
{
	strcpy(dir, "/tmp/vvm-compare-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void remove_dir(void)
{
	char line[100];

	snprintf(line, sizeof(line), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(line), 0);
}

/* A file of the directory, whose path is returned. */
static const char *make_file(const char *name, const char *text)
{
	static char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	return path;
}

/* Below the directory; parents first. */
static void make_below(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	ck_assert_int_eq(mkdir(path, 0700), 0);
}

/* cgroup_find() with the directory for a root. */
static int find(const char *self, struct cgroup_place *place, struct why *why)
{
	return cgroup_find(place, dir, make_file("self", self), why);
}

static const struct {
	const char *self, *path; /* path: below the directory */
} v1[] = {
	{"5:cpu:/x\n4:memory:/a b/c\n0::/\n", "/memory/a b/c"},
	{"4:hugetlb,memory:/\n", "/memory"},
	{"4:hugetlb,memory:/x\n", "/memory/x"},
	/* in a container: a path of the host, another namespace's */
	{"4:memory:/docker/1\n", "/memory"},
	{"4:memory:/../x\n", "/memory"},
	{"4:memoryx:/x\n", "/memory"},
	{"", "/memory"},
};

START_TEST(cgroup_of_version_1)
{
	struct cgroup_place place;
	struct why why = {""};

	make_dir();
	make_below("memory");
	make_below("memory/x");
	make_below("memory/a b");
	make_below("memory/a b/c");
	ck_assert_int_eq(find(v1[_i].self, &place, &why), 0);
	ck_assert_int_eq(place.version, 1);
	ck_assert_str_eq(place.path + strlen(dir), v1[_i].path);
	remove_dir();
}
END_TEST

/* The nearest ancestor that gives memory to its children. */
START_TEST(cgroup_of_version_2)
{
	struct cgroup_place place;
	struct why why = {""};

	make_dir();
	make_file("cgroup.controllers", "cpu memory pids\n");
	make_file("cgroup.subtree_control", "memory\n");
	make_below("a");
	make_below("a/b");
	make_below("memory"); /* of version 1, with other controllers */
	ck_assert_int_eq(find("4:cpu:/x\n0::/a/b\n", &place, &why), 0);
	ck_assert_int_eq(place.version, 2);
	ck_assert_str_eq(place.path, dir);
	make_file("a/cgroup.subtree_control", "pids memory\n");
	ck_assert_int_eq(find("0::/a/b\n", &place, &why), 0);
	ck_assert_str_eq(place.path + strlen(dir), "/a");
	ck_assert_int_eq(find("0::/\n", &place, &why), 0);
	ck_assert_str_eq(place.path, dir);
	remove_dir();
}
END_TEST

START_TEST(cgroup_is_nowhere)
{
	struct cgroup_place place;
	struct why why = {""};

	make_dir();
	ck_assert_int_eq(find("", &place, &why), -1);
	ck_assert_str_ne(why.text, "");
	make_file("cgroup.controllers", "memoryx\n"); /* and no memory */
	ck_assert_int_eq(find("0::/\n", &place, &why), -1);
	make_file("cgroup.controllers", "memory\n");
	make_file("cgroup.subtree_control", "\n"); /* not for children */
	ck_assert_int_eq(find("0::/\n", &place, &why), -1);
	ck_assert_int_eq(place.version, 0);
	remove_dir();
}
END_TEST

START_TEST(fence_of_version_2)
{
	struct cgroup g = {.version = 2};
	char line[32], path[128];

	make_dir();
	snprintf(g.path, sizeof(g.path), "%s", dir);
	make_file("memory.current", "1000\n");
	strcpy(path, make_file("memory.max", "max\n"));
	ck_assert_int_eq(cgroup_fence(&g, 4096, 500), 0);
	ck_assert_uint_eq(g.allowance_bytes, 1500);
	ck_assert_int_eq(line_read(path, line, sizeof(line)), 0);
	ck_assert_str_eq(line, "5596");
	ck_assert_uint_eq(cgroup_peak_bytes(&g), 0);
	make_file("memory.peak", "2500\n");
	ck_assert_uint_eq(cgroup_peak_bytes(&g), 1000);
	remove_dir();
}
END_TEST

/* The limit is what it was; who is not stuck is left alone. */
START_TEST(relief_of_version_1)
{
	struct cgroup g = {.version = 1};
	char line[32], limit[128], control[128];

	make_dir();
	snprintf(g.path, sizeof(g.path), "%s", dir);
	strcpy(limit, make_file("memory.limit_in_bytes", "1005596\n"));
	strcpy(control, make_file("memory.oom_control",
				  "oom_kill_disable 1\nunder_oom 0\n"));
	ck_assert_int_eq(cgroup_relieve(&g), 0);
	make_file("memory.oom_control", "oom_kill_disable 1\nunder_oom 1\n");
	ck_assert_int_eq(cgroup_relieve(&g), 1);
	ck_assert_int_eq(line_read(limit, line, sizeof(line)), 0);
	ck_assert_str_eq(line, "1005596");
	/* a limit that cannot be changed: the kernel may kill again */
	ck_assert_int_eq(unlink(limit), 0);
	ck_assert_int_eq(mkdir(limit, 0700), 0);
	ck_assert_int_eq(cgroup_relieve(&g), -EISDIR);
	ck_assert_int_eq(line_read(control, line, sizeof(line)), 0);
	ck_assert_int_eq(line[0], '0');
	ck_assert_int_eq(rmdir(limit), 0);
	g.version = 2;
	ck_assert_int_eq(cgroup_relieve(&g), 0);
	remove_dir();
}
END_TEST

/* ------------------------------------------------------------------ */
/* The swap file and the journal					*/

START_TEST(swap_header)
{
	static unsigned char page[4096];
	uint32_t words[3];

	swapfile_header(page, sizeof(page), 1000);
	memcpy(words, page + 1024, sizeof(words));
	ck_assert_uint_eq(words[0], 1);
	ck_assert_uint_eq(words[1], 999);
	ck_assert_uint_eq(words[2], 0);
	ck_assert_str_eq((char *)page + 1024 + 12 + 16, "vvmbench");
	ck_assert_mem_eq(page + 4096 - 10, "SWAPSPACE2", 10);
}
END_TEST

static void open_journal(struct journal *j)
{
	char path[100];
	struct why why = {""};

	snprintf(path, sizeof(path), "%s/journal", dir);
	ck_assert_msg(journal_open(j, path, &why) == 0, "%s", why.text);
}

static void check_line(const char *path, const char *want)
{
	char line[64];

	ck_assert_int_eq(line_read(path, line, sizeof(line)), 0);
	ck_assert_str_eq(line, want);
}

/* From a mark only, and everything when it is closed. */
START_TEST(journal_puts_back)
{
	char a[128], b[128];
	struct journal j;
	off_t mark;

	make_dir();
	strcpy(a, make_file("a", "3\n"));
	strcpy(b, make_file("b b", "N\n"));
	open_journal(&j);
	ck_assert_int_eq(journal_set(&j, a, "0"), 0);
	mark = journal_mark(&j);
	ck_assert_int_eq(journal_set(&j, b, "Y"), 0);
	ck_assert_int_eq(journal_set(&j, b, "Y"), 0);
	check_line(b, "Y");
	journal_undo(&j, mark);
	check_line(b, "N");
	check_line(a, "0");
	journal_close(&j);
	check_line(a, "3");
	ck_assert_int_eq(access(j.path, F_OK), -1);
	remove_dir();
}
END_TEST

/* What somebody else has changed or made meanwhile is theirs. */
START_TEST(journal_leaves_what_is_not_ours)
{
	char a[128], b[128];
	struct journal j;
	int fd;

	make_dir();
	open_journal(&j);
	strcpy(a, make_file("a", "3\n"));
	ck_assert_int_eq(journal_set(&j, a, "0"), 0);
	make_file("a", "7\n");
	strcpy(b, make_file("b", "ours\n"));
	fd = open(b, O_RDONLY);
	ck_assert_int_eq(journal_note_file(&j, fd, b), 0);
	ck_assert_int_eq(unlink(b), 0);
	make_file("b", "theirs\n");
	ck_assert_int_eq(journal_note_group(&j, dir), 0);
	journal_close(&j);
	check_line(a, "7");
	check_line(b, "theirs");
	close(fd);
	remove_dir();
}
END_TEST

START_TEST(journal_removes_its_file)
{
	struct journal j;
	char path[128];
	int fd;

	make_dir();
	open_journal(&j);
	strcpy(path, make_file("with blank", "x"));
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(journal_note_swapon(&j, fd, path), 0);
	ck_assert_int_eq(journal_note_file(&j, fd, path), 0);
	close(fd);
	journal_close(&j);
	ck_assert_int_eq(access(path, F_OK), -1);
	remove_dir();
}
END_TEST

/* A second one is refused; after a kill the next one undoes. */
START_TEST(journal_survives_its_writer)
{
	struct journal j, k;
	struct why why = {""};
	char path[128];
	pid_t pid;
	int pipes[2];

	make_dir();
	strcpy(path, make_file("a", "3\n"));
	ck_assert_int_eq(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		open_journal(&j);
		journal_set(&j, path, "0");
		if (write(pipes[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(pipes[0], &k, 1), 1);
	snprintf(k.path, sizeof(k.path), "%s/journal", dir);
	ck_assert_int_eq(journal_open(&j, k.path, &why), -1);
	ck_assert_ptr_nonnull(strstr(why.text, "another vvmbench"));
	check_line(path, "0");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	open_journal(&j);
	check_line(path, "3");
	journal_close(&j);
	remove_dir();
}
END_TEST

/* What cannot be undone now can be later; the rest is undone at once. */
START_TEST(journal_keeps_what_fails)
{
	char a[128], b[128], path[128];
	struct journal j;

	make_dir();
	open_journal(&j);
	strcpy(a, make_file("a", "3\n"));
	strcpy(b, make_file("b", "N\n"));
	ck_assert_int_eq(journal_set(&j, a, "0"), 0);
	make_below("vvmbench-1");
	make_file("vvmbench-1/x", ""); /* so that it cannot be removed */
	snprintf(path, sizeof(path), "%s/vvmbench-1", dir);
	ck_assert_int_eq(journal_note_group(&j, path), 0);
	ck_assert_int_eq(journal_set(&j, b, "Y"), 0);
	ck_assert_int_eq(write(j.fd, "value", 5), 5); /* and cut there */
	journal_close(&j);
	check_line(a, "3");
	check_line(b, "N");
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert_int_eq(access(j.path, F_OK), 0);
	strcat(path, "/x");
	ck_assert_int_eq(unlink(path), 0);
	open_journal(&j);
	ck_assert_int_eq(journal_mark(&j), 0);
	*strrchr(path, '/') = '\0';
	ck_assert_int_eq(access(path, F_OK), -1);
	journal_close(&j);
	remove_dir();
}
END_TEST

START_TEST(journal_refuses_newlines)
{
	struct journal j;

	make_dir();
	open_journal(&j);
	ck_assert_int_eq(journal_note_group(&j, "/x\ngroup /vvmbench-1"),
			 -EINVAL);
	ck_assert_int_eq(journal_mark(&j), 0);
	journal_close(&j);
	remove_dir();
}
END_TEST

/* ------------------------------------------------------------------ */
/* The machine is as it was						*/

static const char page_cluster[] = "/proc/sys/vm/page-cluster";
static const char journal_path[] = "/run/vvmbench.journal";

/* The area of a vvmbench is in use. */
static bool swap_is_on(pid_t pid)
{
	FILE *f = fopen("/proc/swaps", "re");
	char line[512], name[40];
	bool found = false;

	snprintf(name, sizeof(name), "/vvmbench-%d.swap", (int)pid);
	while (f && fgets(line, sizeof(line), f))
		found |= strstr(line, name) != NULL;
	if (f)
		fclose(f);
	return found;
}

static bool group_is_there(pid_t pid)
{
	struct cgroup_place place;
	struct why why;
	struct cgroup g;
	char name[32];

	ck_assert_int_eq(cgroup_find(&place, MEMCG_ROOT, MEMCG_SELF, &why), 0);
	snprintf(name, sizeof(name), "vvmbench-%d", (int)pid);
	cgroup_name(&g, &place, name);
	return access(g.path, F_OK) == 0;
}

static bool file_is_there(pid_t pid)
{
	struct plan p = plan;
	char path[512];

	snprintf(path, sizeof(path), "%s/vvmbench-%d.swap", plan_directory(&p),
		 (int)pid);
	return access(path, F_OK) == 0;
}

static pid_t start(const char *options)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (!freopen("/dev/null", "w", stdout) ||
		    !freopen("/dev/null", "w", stderr))
			_exit(99);
		compare(options);
	}
	return pid;
}

/* The only child of a process, 0: none yet. */
static pid_t child_of(pid_t pid)
{
	char path[64], line[32];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid,
		 (int)pid);
	return line_read(path, line, sizeof(line)) ? 0 : atoi(line);
}

/* Until its worker runs, and everything is set up. */
static void wait_until_on(pid_t pid)
{
	int tries = 1000 * (int)wait_factor();

	while (tries-- &&
	       !(swap_is_on(pid) && group_is_there(pid) && child_of(pid) > 0))
		usleep(10000);
	ck_assert_int_ge(tries, 0);
	ck_assert(file_is_there(pid));
	usleep(100000);
}

static void check_restored(pid_t pid, const char *cluster)
{
	ck_assert(!swap_is_on(pid));
	ck_assert(!group_is_there(pid));
	ck_assert(!file_is_there(pid));
	ck_assert_int_eq(access(journal_path, F_OK), -1);
	check_line(page_cluster, cluster);
}

/* The comparison has ended like that, and everything is as it was. */
static void check_ended(pid_t pid, int want, const char *cluster)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), want);
	check_restored(pid, cluster);
}

#define LONG "--engines swap --size 32M --resident 8M --seconds 60 --rounds 2"
#define SHORT                                                    \
	"--engines swap --size 16M --resident 8M --seconds 0.1 " \
	"--warm 0 --rounds 1"

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

START_TEST(interrupted_restores)
{
	char cluster[32];
	pid_t pid;

	ck_assert_int_eq(line_read(page_cluster, cluster, sizeof(cluster)), 0);
	pid = start(LONG);
	wait_until_on(pid);
	check_line(page_cluster, "0");
	kill(pid, signals[_i]);
	check_ended(pid, TOOL_ENDED, cluster);
}
END_TEST

START_TEST(killed_worker_restores)
{
	static const int how[] = {SIGKILL, SIGSEGV};
	char cluster[32];
	pid_t pid;

	ck_assert_int_eq(line_read(page_cluster, cluster, sizeof(cluster)), 0);
	pid = start(LONG);
	wait_until_on(pid);
	kill(child_of(pid), how[_i]);
	check_ended(pid, TOOL_FAILED, cluster);
}
END_TEST

/* The worker goes with its supervisor; the next comparison cleans up. */
START_TEST(next_one_restores_after_a_kill)
{
	char cluster[32];
	int status, tries = 500 * (int)wait_factor();
	pid_t pid, worker, next;

	ck_assert_int_eq(line_read(page_cluster, cluster, sizeof(cluster)), 0);
	pid = start(LONG);
	wait_until_on(pid);
	worker = child_of(pid);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	while (tries-- && kill(worker, 0) == 0)
		usleep(10000);
	ck_assert_int_ge(tries, 0);
	ck_assert(swap_is_on(pid));
	next = start(SHORT);
	ck_assert_int_eq(waitpid(next, &status, 0), next);
	ck_assert_int_eq(status, 0);
	check_restored(next, cluster);
	check_restored(pid, cluster);
}
END_TEST

/* ------------------------------------------------------------------ */

static void add_pure(Suite *suite)
{
	TCase *engines = test_case(suite, "engines");
	TCase *tables = test_case(suite, "tables");

	tcase_add_test(engines, engines_by_default);
	tcase_add_test(engines, engines_in_their_order);
	tcase_add_loop_test(engines, engines_refused, 0, COUNT(bad_lists));
	tcase_add_test(engines, contender_changes_the_plan);
	tcase_add_loop_exit_test(engines, options_refused, TOOL_USAGE, 0,
				 COUNT(bad_options));
	tcase_add_test(tables, medians_leave_out_what_is_not_there);
	tcase_add_test(tables, ratios_of_medians);
	tcase_add_test(tables, base_is_swap_or_the_first);
	tcase_add_test(tables, table_as_text);
	tcase_add_test(tables, table_as_json);
	tcase_add_test(tables, table_as_csv);
	tcase_add_loop_test(tables, figures_as_text, 0, COUNT(texts));
	tcase_add_test(tables, figures_of_a_run);
}

static void add_files(Suite *suite)
{
	TCase *tc = test_case(suite, "files");

	tcase_add_loop_test(tc, cgroup_of_version_1, 0, COUNT(v1));
	tcase_add_test(tc, cgroup_of_version_2);
	tcase_add_test(tc, cgroup_is_nowhere);
	tcase_add_test(tc, fence_of_version_2);
	tcase_add_test(tc, relief_of_version_1);
	tcase_add_test(tc, swap_header);
	tcase_add_test(tc, journal_puts_back);
	tcase_add_test(tc, journal_leaves_what_is_not_ours);
	tcase_add_test(tc, journal_removes_its_file);
	tcase_add_test(tc, journal_survives_its_writer);
	tcase_add_test(tc, journal_keeps_what_fails);
	tcase_add_test(tc, journal_refuses_newlines);
}

static void add_machine(Suite *suite)
{
	unsigned bits = CAGE_GROUP | CAGE_SWAP;
	struct plan p = plan;
	struct cage cage;
	char why[256] = "";
	TCase *tc;

	p.size_bytes = 1 << 20;
	cage_open(&cage, &p, bits);
	if (cage_refuses(&cage, bits))
		snprintf(why, sizeof(why), "%s", cage_refuses(&cage, bits));
	cage_close(&cage);
	if (*why) {
		printf("skipped, the tests of restoring: %s\n", why);
		return;
	}
	tc = test_case(suite, "machine");
	tcase_add_loop_test(tc, interrupted_restores, 0, COUNT(signals));
	tcase_add_loop_test(tc, killed_worker_restores, 0, 2);
	if (!LIVE_TSAN) /* its own memory does not fit in the group */
		tcase_add_test(tc, next_one_restores_after_a_kill);
}

static void add_tests(Suite *suite)
{
	add_pure(suite);
	add_files(suite);
	add_machine(suite);
}

const struct test_program test_program = {
	.name = "compare",
	.add = add_tests,
};
