/* SPDX-License-Identifier: MIT */
/*
 * unit/vvmtop.c - vvmstat's tables, maps and the full-screen view, the last
 * on a pseudo-terminal whose screen a small interpreter keeps.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "support/statview.h"
#include "support/strict.h"
#include "support/test.h"

#ifdef HAVE_LIBPNG
#include "support/picture.h"
#endif

#define REGION_START 0x7f0000000000ull

static struct vvm_stat_region *region;
static struct vvm_stat_block *block[4];

static struct vvm_stat_region *publish_region(uint64_t start, uint64_t bytes,
					      const char *name)
{
	struct vvm_stat_region *r = stat_region_take(&st), of = {0};

	ck_assert_ptr_nonnull(r);
	of.start = of.host = start;
	of.end = start + bytes;
	of.prot = 3;
	snprintf(of.name, sizeof(of.name), "%s", name);
	stat_region_write(r, &of);
	return r;
}

static void set_pages(struct vvm_stat_block *b, unsigned from, unsigned to,
		      uint8_t byte)
{
	for (; from < to; from++)
		b->page[from] = byte;
}

/*
 * 16 MiB "heap", of which the first four blocks were touched: fresh and
 * swapped; cold and hot; dirty and being read; pinned and one poisoned page.
 */
static void setup_pages(void)
{
	unsigned i;

	view_setup();
	unsetenv("COLUMNS");
	setenv("LC_ALL", "C", 1);
	region = publish_region(REGION_START, 16 << 20, "heap");
	for (i = 0; i < 4; i++) {
		block[i] = stat_block_take(&st, REGION_START + i * BLOCK_BYTES);
		ck_assert_ptr_nonnull(block[i]);
	}
	set_pages(block[0], 0, 256, VVM_STAT_PAGE_FRESH);
	set_pages(block[0], 256, 512, VVM_STAT_PAGE_SWAPPED);
	set_pages(block[1], 0, 256, VVM_STAT_PAGE_CLEAN | 1 << 6);
	set_pages(block[1], 256, 512, VVM_STAT_PAGE_CLEAN | 2 << 6);
	set_pages(block[2], 0, 256, VVM_STAT_PAGE_DIRTY | 3 << 6);
	set_pages(block[2], 256, 512, VVM_STAT_PAGE_FILLING);
	set_pages(block[3], 0, 512, VVM_STAT_PAGE_DIRTY | VVM_STAT_PAGE_PINNED);
	block[3]->page[511] = VVM_STAT_PAGE_POISONED;
}

/* ---- tables ---- */

START_TEST(regions_as_text)
{
	region->faults_swapin = 30;
	region->faults_other = 10;
	publish_region(REGION_START + (1ull << 30), 4096, "tiny");
	ck_assert_int_eq(run("--dir %s -r", dir), 0);
	ck_assert_uint_eq(lines(out), 3);
	/* size, resident, dirty and swapped of the first */
	assert_contains(out, "7f0000000000-7f0001000000 rw- norm  16M 6.0M "
			     "1.0M 1.0M");
	assert_contains(out, " heap\n");
	assert_contains(out, "7f0040000000-7f0040001000 rw- norm 4.0K    0 "
			     "   0    0    0    0 tiny\n");
}
END_TEST

START_TEST(regions_as_json)
{
	FILE *f;
	const char *row;

	region->faults_swapin = 30;
	region->faults_wp = 10;
	f = start("-r --json 0.1", getpid());
	row = next_line(f);
	assert_strict(strict_json, row);
	assert_contains(row, "\"name\":\"heap\",\"start\":\"7f0000000000\"");
	ck_assert_double_eq(number(row, "mapped_pages"), 4096);
	ck_assert_double_eq(number(row, "resident_pages"), 3 * 512 - 1);
	ck_assert_double_eq(number(row, "fresh_pages"), 256 + 4 * 512);
	ck_assert_double_eq(number(row, "swapped_pages"), 256);
	ck_assert_double_eq(number(row, "cold_pages"), 256);
	ck_assert_double_eq(number(row, "hot_pages"), 256);
	ck_assert_double_eq(number(row, "dirty_pages"), 256);
	ck_assert_double_eq(number(row, "moving_pages"), 256);
	ck_assert_double_eq(number(row, "pinned_pages"), 511);
	ck_assert_double_eq(number(row, "poisoned_pages"), 1);
	ck_assert_double_eq(number(row, "faults"), 40);
	region->faults_swapin += 1000;
	do
		row = next_line(f);
	while (number(row, "faults_swapin") != 1030);
	ck_assert_double_gt(number(row, "faults_swapin_per_s"), 10);
	ck_assert_double_eq(number(row, "faults_wp_per_s"), 0);
	pclose(f);
}
END_TEST

/* One row is 64 cells of a page for programs: 4096 pages are 64 rows. */
START_TEST(map_shows_every_state)
{
	char want[65];

	ck_assert_int_eq(run("--dir %s -m --csv", dir), 0);
	ck_assert_uint_eq(lines(out), 65);
	assert_contains(out, ",cell_pages,states\n");
	memset(want, 0, sizeof(want));
#define LINE(n, letter)                                            \
	do {                                                       \
		char quoted[100];                                  \
                                                                   \
		memset(want, letter, 64);                          \
		snprintf(quoted, sizeof(quoted), "%012llx,1,%s\n", \
			 REGION_START + (n)*64 * 4096ull, want);   \
		assert_contains(out, quoted);                      \
	} while (0)
	LINE(0, '.');
	LINE(4, '-');
	LINE(8, 'c');
	LINE(12, 'h');
	LINE(16, 'd');
	LINE(20, 'm');
	LINE(24, 'P');
	LINE(32, '.'); /* in no block */
	assert_contains(out, "PPPPX\n");
#undef LINE
}
END_TEST

/* Half of the pages of each cell are dirty: so are half of the cells. */
START_TEST(map_shares_mixed_cells)
{
	unsigned i, dirty = 0;
	const char *p;

	for (i = 0; i < 512; i++)
		block[0]->page[i] =
			i % 2 ? VVM_STAT_PAGE_DIRTY : VVM_STAT_PAGE_SWAPPED;
	for (i = 1; i < 4; i++)
		memcpy(block[i]->page, block[0]->page, 512);
	region = publish_region(REGION_START + (1ull << 32), 1 << 30, "other");
	ck_assert_int_eq(run("--dir %s -m --region heap", dir), 0);
	for (p = out; *p && strncmp(p, "1 cell", 6); p++)
		dirty += *p == 'd';
	assert_contains(out, "1 cell 8.0K ");
	assert_contains(out, " d dirty 4.0M");
	ck_assert_uint_ge(dirty, 1024 / 2 - 8); /* of 1024 cells */
	ck_assert_uint_le(dirty, 1024 / 2 + 8);
	ck_assert_int_eq(run("--dir %s -m --region 7f0000001000", dir), 0);
	assert_contains(out, "1 cell 8.0K ");
	ck_assert_int_eq(run("--dir %s -m --region nobody", dir), 0);
	assert_contains(out, "no such region");
}
END_TEST

/* Of a huge region only the parts that were touched are shown. */
START_TEST(map_of_a_sparse_region)
{
	struct vvm_stat_block *far;

	publish_region(REGION_START + (1ull << 38), 1ull << 37, "sparse");
	ck_assert_int_eq(run("--dir %s -m --region sparse", dir), 0);
	assert_contains(out, "nothing of it was touched");
	far = stat_block_take(&st, REGION_START + (1ull << 38) + (1ull << 36));
	set_pages(far, 0, 512, VVM_STAT_PAGE_DIRTY);
	ck_assert_int_eq(run("--dir %s -m --region sparse", dir), 0);
	assert_contains(out, "7f5000000000 dddddddd");
	assert_contains(out, "1 cell 4.0K ");
	assert_contains(out, ". fresh 128G ");
	ck_assert_ptr_null(strstr(out, "7f0000000000"));
	ck_assert_int_eq(run("--dir %s -m", dir), 0);
	assert_contains(out, "7f0000000000 ");
	assert_contains(out, "7f5000000000 ");
}
END_TEST

/* More regions than lines: the largest are shown. */
START_TEST(map_of_many_regions)
{
	unsigned i;

	for (i = 0; i < 500; i++)
		publish_region(REGION_START + (1ull << 32) + i * 8192ull, 4096,
			       "small");
	ck_assert_int_eq(run("--dir %s -m", dir), 0);
	ck_assert_uint_le(lines(out), 24);
	assert_contains(out, "small parts not shown");
	assert_contains(out, "7f0000000000 ");
	ck_assert_int_eq(run("--dir %s -r", dir), 0);
	ck_assert_uint_eq(lines(out), 502);
}
END_TEST

#ifdef HAVE_LIBPNG
START_TEST(map_as_png)
{
	struct pixels p;
	char path[256];

	snprintf(path, sizeof(path), "%s/map.png", dir);
	ck_assert_int_eq(run("--dir %s -m --png %s 0.05 2", dir, path), 0);
	ck_assert_str_eq(out, "");
	p = read_png(path);
	ck_assert_uint_gt(p.width,
			  1024); /* 256 cells of 4 pixels, and labels */
	ck_assert_uint_gt(p.height, 0);
	free(p.rgb);
	ck_assert_int_eq(run("--dir %s -m --png /nonexistent/x.png", dir), 4);
	ck_assert_int_eq(run("--dir %s -m --png %s --region no", dir, path), 2);
}
END_TEST
#else
START_TEST(map_as_png)
{
	ck_assert_int_eq(run("--dir %s -m --png %s/map.png", dir, dir), 1);
	assert_contains(errors, "this build has no libpng");
	ck_assert_uint_eq(lines(errors), 1);
}
END_TEST
#endif

START_TEST(heat_ranks_blocks)
{
	const char *row;
	FILE *f;

	block[1]->faults = 30;
	block[2]->faults = 70;
	ck_assert_int_eq(run("--dir %s --heat --csv", dir), 0);
	ck_assert_uint_eq(lines(out), 3);
	assert_contains(out, ",7f0000400000,heap,70,");
	ck_assert(strstr(out, ",7f0000200000,heap,30,") >
		  strstr(out, ",7f0000400000,heap,70,"));
	/* Since the last look, only what happened since. */
	f = start("--heat 0.1", getpid());
	while (!strstr(next_line(f), "7f0000200000"))
		;
	block[3]->faults = 5;
	do
		row = next_line(f);
	while (!strstr(row, "7f0000600000"));
	assert_contains(row, " 100.0 heap");
	pclose(f);
}
END_TEST

/* Two faults whose stages are known to the nanosecond. */
START_TEST(histograms_by_stage)
{
	struct stat_fault fault = {.at = {.start_ns = 1000,
					  .begin_ns = 1010,
					  .looked_ns = 1110,
					  .read_ns = 101110},
				   .page = REGION_START,
				   .flags = VVM_STAT_KIND_swapin};
	char *p;

	stat_resolved(&st, writer, &fault, 103110);
	stat_resolved(&st, writer, &fault, 103110);
	ck_assert_int_eq(run("--dir %s -H", dir), 0);
	p = strstr(out, "  8 ns");
	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(atoi(p + 6), 2); /* queue: 10 ns */
	assert_contains(out, " 65 us");	  /* read: 100 us */
	assert_contains(out, "##");
	ck_assert_int_eq(run("--dir %s -H --json", dir), 0);
	ck_assert_uint_eq(lines(out), VVM_STAT_STAGE_BUCKETS);
	assert_contains(out, "\"from_ns\":64,\"queue\":0,\"lookup\":2,"
			     "\"read\":0,\"install\":0,\"total\":0}");
	assert_contains(out, "\"from_ns\":65536,\"queue\":0,\"lookup\":0,"
			     "\"read\":2,\"install\":0,\"total\":2}");
	assert_contains(out, "\"from_ns\":1024,\"queue\":0,\"lookup\":0,"
			     "\"read\":0,\"install\":2,\"total\":0}");
	ck_assert_int_eq(run("--dir %s -H -y 0.01 1", dir), 0);
	assert_contains(out, "no faults");
}
END_TEST

/* ---- hostile tables ---- */

/* A number that is likely to be at some limit. */
static uint64_t nasty(unsigned *seed)
{
	static const uint64_t limits[] = {
		0,
		1,
		4095,
		4096,
		1ull << 21,
		1ull << 47,
		(1ull << 48) - 4096,
		1ull << 57,
		1ull << 63,
		-4096ull,
		UINT64_MAX,
		REGION_START,
	};
	uint64_t n = limits[(unsigned)rand_r(seed) % ARRAY_SIZE(limits)];

	switch (rand_r(seed) % 4) {
	case 0:
		return n + ((uint64_t)rand_r(seed) % 8192 - 4096);
	case 1:
		return n + (uint64_t)rand_r(seed) % 64 * 4096;
	case 2:
		return (uint64_t)rand_r(seed) << 33 ^ (uint64_t)rand_r(seed);
	default:
		return n;
	}
}

/* Fills the tables with noise, now and then with a plausible item. */
static void spoil(struct vvm_stat_region **r, struct vvm_stat_block **b,
		  unsigned n, unsigned *seed)
{
	unsigned i, k;

	for (i = 0; i < n; i++) {
		uint64_t *word = (uint64_t *)r[i];

		for (k = 0; k < sizeof(*r[i]) / 8; k++)
			word[k] = nasty(seed);
		if (rand_r(seed) % 4)
			r[i]->seq &= ~1ull; /* stands still */
		if (rand_r(seed) % 2)
			r[i]->end = r[i]->start + nasty(seed) % (1ull << 40);
		if (rand_r(seed) % 2) {
			r[i]->start &= ~4095ull;
			r[i]->end &= ~4095ull;
		}
		b[i]->base = rand_r(seed) % 2
				     ? nasty(seed)
				     : (nasty(seed) & ~(BLOCK_BYTES - 1)) + 1;
		b[i]->faults = nasty(seed);
		for (k = 0; k < 512; k++)
			b[i]->page[k] = (uint8_t)rand_r(seed);
	}
}

/* No crash, no endless loop, whatever the tables hold. More: FUZZ_RUNS. */
START_TEST(noise_in_tables)
{
	static const char *const views[] = {
		"-r",
		"-m",
		"--heat",
		"-r --json",
		"-m --region heap --csv",
		"-H",
#ifdef HAVE_LIBPNG
		"-m --png /dev/null/x",
#endif
	};
	const char *wanted = getenv("FUZZ_RUNS");
	int runs = wanted ? atoi(wanted) : 30, i, status;
	unsigned seed = wanted ? (unsigned)time(NULL) : 4711, k;
	struct vvm_stat_region *r[12];
	struct vvm_stat_block *b[12];

	for (k = 0; k < ARRAY_SIZE(r); k++) {
		r[k] = publish_region(REGION_START + (k + 8) * (1ull << 30),
				      4096, "x");
		b[k] = stat_block_take(&st,
				       REGION_START + (k + 8) * (1ull << 30));
	}
	for (i = 0; i < runs; i++) {
		spoil(r, b, ARRAY_SIZE(r), &seed);
		for (k = 0; k < VVM_STAT_BUCKETS; k++)
			writer->latency[k] = nasty(&seed);
		status = run("--dir %s %s", dir,
			     views[(unsigned)i % ARRAY_SIZE(views)]);
		ck_assert_msg(status == 0 || status == 2 || status == 4,
			      "%s: status %d: %s",
			      views[(unsigned)i % ARRAY_SIZE(views)], status,
			      errors);
		ck_assert_ptr_null(strstr(errors, "runtime error"));
	}
}
END_TEST

/* ---- a terminal ---- */

#define ROWS_MAX    60
#define COLUMNS_MAX 250

static struct {
	int fd;
	pid_t pid;
	unsigned rows, columns, row, column;
	char cell[ROWS_MAX][COLUMNS_MAX + 1];
	char escape[64];
	size_t escape_length; /* 0: not in one */
	int alternate;	      /* entered minus left */
	bool cursor_hidden;
	bool strict; /* nothing of an earlier size can be under way */
	struct termios before;
} tty;

static void clear_screen(void)
{
	memset(tty.cell, ' ', sizeof(tty.cell));
	for (unsigned i = 0; i < ROWS_MAX; i++)
		tty.cell[i][tty.columns] = '\0';
}

/* A whole sequence is in tty.escape, without ESC [. */
static void obey(char final)
{
	const char *arg = tty.escape + 2;

	if (final == 'H') {
		if (sscanf(arg, "%u;%u", &tty.row, &tty.column) != 2)
			tty.row = tty.column = 1;
		tty.row--;
		tty.column--;
	} else if (final == 'J') {
		clear_screen();
	} else if (!strncmp(arg, "?1049", 5)) {
		tty.alternate += final == 'h' ? 1 : -1;
		tty.row = tty.column = 0;
	} else if (!strncmp(arg, "?25", 3)) {
		tty.cursor_hidden = final == 'l';
	}
}

static void put(char c)
{
	if (tty.escape_length) {
		tty.escape[tty.escape_length++] = c;
		tty.escape[tty.escape_length] = '\0';
		ck_assert_uint_lt(tty.escape_length, sizeof(tty.escape) - 1);
		if (tty.escape_length > 2 && c >= '@' && c <= '~') {
			obey(c);
			tty.escape_length = 0;
		}
	} else if (c == '\033') {
		tty.escape[0] = c;
		tty.escape_length = 1;
	} else if (c == '\r') {
		tty.column = 0;
	} else if (c == '\n') {
		tty.row = tty.row + 1 < tty.rows ? tty.row + 1 : 0;
	} else if (c >= ' ') {
		/* nothing may be drawn outside of the window */
		if (tty.alternate && tty.strict) {
			ck_assert_uint_lt(tty.row, tty.rows);
			ck_assert_uint_lt(tty.column, tty.columns);
		}
		if (tty.row < tty.rows && tty.column < tty.columns)
			tty.cell[tty.row][tty.column++] = c;
	}
}

/* Reads what comes within the time; false: the other side hung up. */
static bool pump(int ms)
{
	struct pollfd in = {.fd = tty.fd, .events = POLLIN};
	char buf[4096];
	ssize_t n, i;

	if (poll(&in, 1, ms) <= 0)
		return true;
	n = read(tty.fd, buf, sizeof(buf));
	for (i = 0; i < n; i++)
		put(buf[i]);
	return n > 0;
}

static bool on_screen(const char *text)
{
	unsigned i;

	for (i = 0; i < tty.rows; i++)
		if (strstr(tty.cell[i], text))
			return true;
	return false;
}

/* Waits for the text; the test's time limit ends what never comes. */
static void expect(const char *text)
{
	while (!on_screen(text))
		ck_assert_msg(pump(1000), "hung up before '%s' came", text);
}

static void type(const char *keys)
{
	ck_assert_int_eq(write(tty.fd, keys, strlen(keys)),
			 (ssize_t)strlen(keys));
}

static void set_window(unsigned rows, unsigned columns)
{
	struct winsize size = {.ws_row = (unsigned short)rows,
			       .ws_col = (unsigned short)columns};

	tty.rows = rows;
	tty.columns = columns;
	clear_screen();
	ck_assert_int_eq(ioctl(tty.fd, TIOCSWINSZ, &size), 0);
}

/* The child: the terminal is its own, and vvmstat runs on it. */
_Noreturn static void run_on_tty(const char *name, int pid)
{
	char number[16];
	int fd;

	setsid();
	fd = open(name, O_RDWR);
	ioctl(fd, TIOCSCTTY, 0);
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	setenv("TERM", "xterm", 1);
	snprintf(number, sizeof(number), "%d", pid);
	execl(tool(), tool(), "--dir", dir, "-p", number, "-T", "0.1", NULL);
	_exit(127);
}

static void open_top(unsigned rows, unsigned columns, int pid)
{
	const char *name;
	int fd;

	tty.fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(tty.fd, 0);
	ck_assert_int_eq(grantpt(tty.fd) | unlockpt(tty.fd), 0);
	name = ptsname(tty.fd);
	fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_eq(tcgetattr(fd, &tty.before), 0);
	set_window(rows, columns);
	tty.pid = fork();
	if (tty.pid == 0)
		run_on_tty(name, pid);
	close(fd);
}

/* Waits for the end: its wait status. The terminal must be as before. */
static int closed(void)
{
	struct termios after;
	int status;

	while (pump(1000))
		;
	ck_assert_int_eq(waitpid(tty.pid, &status, 0), tty.pid);
	ck_assert_int_eq(tty.alternate, 0);
	ck_assert(!tty.cursor_hidden);
	tcgetattr(tty.fd, &after);
	ck_assert_uint_eq(after.c_lflag, tty.before.c_lflag);
	ck_assert_uint_eq(after.c_iflag, tty.before.c_iflag);
	close(tty.fd);
	return status;
}

START_TEST(top_fits_80x24)
{
	char title[64];

	stat_add(writer, VVM_STAT_faults, 4711);
	tty.strict = true;
	open_top(24, 80, getpid());
	snprintf(title, sizeof(title), "%d vvmtop  up 00:0", getpid());
	expect(title);
	expect("memory  [");
	expect("res  128M of  256M");
	expect(" heap");  /* the regions come first */
	expect("1 cell"); /* and the map has room below */
	expect("swapped 1.0M");
	ck_assert_int_eq(tty.alternate, 1);
	ck_assert(tty.cursor_hidden);
	type("q");
	ck_assert_int_eq(WEXITSTATUS(closed()), 0);
}
END_TEST

START_TEST(top_has_keys)
{
	open_top(24, 80, getpid());
	expect("address ");
	type("?");
	expect("this text");
	type("h"); /* closes it */
	expect("address ");
	type("h");
	expect("no faults");
	type("c");
	expect(" faults_zero ");
	type("\033[B\033[B");
	while (on_screen(" faults_zero "))
		pump(1000);
	type("a");
	expect("2 MiB at");
	type("m");
	while (on_screen("2 MiB at") || !on_screen("1 cell"))
		pump(1000);
	type("\t");
	expect("no faults");
	type("+");
	expect("every 0.2 s");
	type(" ");
	expect("FROZEN");
	type("\033");
	ck_assert_int_eq(WEXITSTATUS(closed()), 0);
}
END_TEST

START_TEST(top_follows_the_window)
{
	open_top(24, 80, getpid());
	expect("address ");
	set_window(50, 200);
	expect("? help");
	while (strncmp(tty.cell[6] + 184, "? help", 6))
		pump(1000);
	set_window(5, 40);
	expect("too small");
	set_window(24, 80);
	expect("address ");
	type("q");
	ck_assert_int_eq(WEXITSTATUS(closed()), 0);
}
END_TEST

static const int endings[] = {SIGTERM, SIGHUP, SIGQUIT, SIGSEGV, SIGABRT};

START_TEST(top_restores_on_signals)
{
	int status;

	open_top(24, 80, getpid());
	expect("address ");
	kill(tty.pid, endings[_i]);
	status = closed();
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), endings[_i]);
}
END_TEST

START_TEST(top_ends_on_ctrl_c)
{
	open_top(24, 80, getpid());
	expect("address ");
	type("\003");
	ck_assert_int_eq(WEXITSTATUS(closed()), 0);
}
END_TEST

START_TEST(top_stops_and_goes_on)
{
	struct termios now;
	int status;

	open_top(24, 80, getpid());
	expect("address ");
	type("\032");
	ck_assert_int_eq(waitpid(tty.pid, &status, WUNTRACED), tty.pid);
	ck_assert(WIFSTOPPED(status));
	while (tty.alternate)
		pump(1000);
	tcgetattr(tty.fd, &now);
	ck_assert_uint_eq(now.c_lflag, tty.before.c_lflag);
	clear_screen();
	kill(tty.pid, SIGCONT);
	expect("address ");
	ck_assert_int_eq(tty.alternate, 1);
	type("q");
	ck_assert_int_eq(WEXITSTATUS(closed()), 0);
}
END_TEST

START_TEST(top_ends_with_the_process)
{
	int ready[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		memset(&st, 0, sizeof(st)); /* the parent's */
		if (stat_open(&st, true) || link(st.path, in_dir(getpid(), 0)))
			_exit(1);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	open_top(24, 80, pid);
	expect("? help");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ck_assert_int_eq(WEXITSTATUS(closed()), 3);
	ck_assert(on_screen("ended"));
}
END_TEST

START_TEST(top_needs_a_terminal)
{
	ck_assert_int_eq(run("--dir %s -T </dev/null", dir), 1);
	assert_contains(errors, "terminal");
}
END_TEST

static void add_tests(Suite *s)
{
	TCase *tc = test_case(s, "tables");

	tcase_add_test(tc, regions_as_text);
	tcase_add_test(tc, regions_as_json);
	tcase_add_test(tc, map_shows_every_state);
	tcase_add_test(tc, map_shares_mixed_cells);
	tcase_add_test(tc, map_of_a_sparse_region);
	tcase_add_test(tc, map_of_many_regions);
	tcase_add_test(tc, map_as_png);
	tcase_add_test(tc, heat_ranks_blocks);
	tcase_add_test(tc, histograms_by_stage);

	tcase_add_test(tc, noise_in_tables);

	tc = test_case(s, "full screen");
	tcase_add_test(tc, top_fits_80x24);
	tcase_add_test(tc, top_has_keys);
	tcase_add_test(tc, top_follows_the_window);
	tcase_add_loop_test(tc, top_restores_on_signals, 0,
			    ARRAY_SIZE(endings));
	tcase_add_test(tc, top_ends_on_ctrl_c);
	tcase_add_test(tc, top_stops_and_goes_on);
	tcase_add_test(tc, top_ends_with_the_process);
	tcase_add_test(tc, top_needs_a_terminal);
}

const struct test_program test_program = {
	.name = "vvmtop",
	.counts = true,
	.add = add_tests,
	.setup = setup_pages,
	.teardown = view_teardown,
};
