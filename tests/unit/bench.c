/* SPDX-License-Identifier: MIT */
/*
 * unit/bench.c - tests of the pure parts of vvmbench: access patterns,
 * allocation workload, histogram, page stamps, option tables, the sort of
 * lines, medians. A benchmark whose generator is skewed or whose percentile is
 * off by one bucket still prints plausible figures; hence exact tests where
 * there is an exact answer, and five standard deviations where there is not.
 */
#include "vvmbench/heap/heap.h"
#include "vvmbench/heap/objects.h"
#include "vvmbench/workload/hist.h"
#include "vvmbench/sort/lines.h"
#include "common/option.h"
#include "vvmbench/workload/pattern.h"
#include "vvmbench/workload/stamp.h"
#include "vvmbench/workload/median.h"
#include "support/test.h"
#include "common/tool.h"

#include <math.h>
#include <string.h>

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* ------------------------------------------------------------------ */
/* Random numbers and zipf						*/

START_TEST(rng_below_is_even)
{
	enum { N = 10, DRAWS = 100000 };
	struct rng r = {.state = 1};
	unsigned seen[N] = {0}, i;

	for (i = 0; i < DRAWS; i++)
		seen[rng_below(&r, N)]++;
	for (i = 0; i < N; i++)
		ck_assert_double_le(fabs(seen[i] - 10000.0), 5 * 95);
}
END_TEST

/* Five standard deviations of a count with probability p. */
static void check_share(double p, unsigned draws, unsigned seen)
{
	double mean = p * draws, sigma = sqrt(mean * (1 - p));

	ck_assert_double_le(fabs(seen - mean), 5 * sigma + 1);
}

static const double thetas[] = {0, 0.5, 0.99, 1, 1.0000001, 1.5, 3, 10};

/* Each rank has the share that Zipf's law says, the tail in sum. */
START_TEST(zipf_has_its_shares)
{
	enum { N = 1000, HEAD = 40, DRAWS = 400000 };
	double theta = thetas[_i], sum = 0, head = 0;
	unsigned seen[N + 1] = {0}, head_seen = 0, k;
	struct rng r = {.state = 42};
	struct zipf z;

	zipf_init(&z, N, theta);
	for (k = 0; k < DRAWS; k++) {
		uint64_t rank = zipf_next(&z, &r);

		ck_assert(rank >= 1 && rank <= N);
		seen[rank]++;
	}
	for (k = 1; k <= N; k++)
		sum += pow(k, -theta);
	for (k = 1; k <= HEAD; k++) {
		check_share(pow(k, -theta) / sum, DRAWS, seen[k]);
		head += pow(k, -theta) / sum;
		head_seen += seen[k];
	}
	check_share(1 - head, DRAWS, DRAWS - head_seen);
}
END_TEST

START_TEST(zipf_of_few)
{
	struct rng r = {.state = 7};
	struct zipf z;
	int i, ones = 0;

	zipf_init(&z, 1, 0.99);
	for (i = 0; i < 1000; i++)
		ck_assert_uint_eq(zipf_next(&z, &r), 1);
	zipf_init(&z, 2, 1);
	for (i = 0; i < 9000; i++)
		ones += zipf_next(&z, &r) == 1;
	check_share(2.0 / 3, 9000, (unsigned)ones);
}
END_TEST

START_TEST(zipf_of_many)
{
	struct rng r = {.state = 7};
	struct zipf z;
	int i;

	zipf_init(&z, 1ull << 34, 0.99);
	for (i = 0; i < 10000; i++)
		ck_assert_uint_le(zipf_next(&z, &r) - 1, (1ull << 34) - 1);
}
END_TEST

/* ------------------------------------------------------------------ */
/* Scrambling, walks, patterns						*/

static const uint64_t sizes[] = {1, 2, 3, 4, 5, 64, 1000, 4097};

START_TEST(scramble_is_one_to_one)
{
	uint64_t n = sizes[_i], i;
	unsigned char *seen = calloc(1, n);
	struct scramble s;

	scramble_init(&s, n, 99);
	for (i = 0; i < n; i++) {
		uint64_t x = scramble(&s, i);

		ck_assert_uint_lt(x, n);
		ck_assert(!seen[x]);
		seen[x] = 1;
	}
	free(seen);
}
END_TEST

/* Hot pages are not neighbours, and another seed has others. */
START_TEST(scramble_scatters)
{
	enum { N = 100000, HOT = 1000 };
	struct scramble a, b;
	unsigned near = 0, same = 0;
	uint64_t i;

	scramble_init(&a, N, 1);
	scramble_init(&b, N, 2);
	for (i = 0; i + 1 < HOT; i++) {
		int64_t gap =
			(int64_t)scramble(&a, i) - (int64_t)scramble(&a, i + 1);

		near += gap >= -8 && gap <= 8;
		same += scramble(&a, i) == scramble(&b, i);
	}
	ck_assert_uint_lt(near, 10);
	ck_assert_uint_lt(same, 10);
}
END_TEST

static struct pattern pattern_of(enum pattern_kind kind, uint64_t pages,
				 int64_t stride, unsigned thread)
{
	struct pattern_spec spec = {kind, pages, 0.99, stride, 5, 0, 0};
	struct pattern p;

	pattern_init(&p, &spec, thread, 4);
	return p;
}

START_TEST(seq_goes_round)
{
	struct pattern p = pattern_of(PATTERN_seq, 10, 3, 2);
	unsigned i;

	for (i = 0; i < 25; i++)
		ck_assert_uint_eq(pattern_next(&p), (5 + i) % 10);
}
END_TEST

START_TEST(stride_steps_and_sees_all)
{
	struct pattern p = pattern_of(PATTERN_stride, 10, 3, 0);
	static const unsigned want[] = {0, 3, 6, 9, 1, 4, 7, 2, 5, 8, 0, 3};
	int i;

	for (i = 0; i < COUNT(want); i++)
		ck_assert_uint_eq(pattern_next(&p), want[i]);
}
END_TEST

START_TEST(negative_stride_goes_backwards)
{
	struct pattern p = pattern_of(PATTERN_stride, 5, -1, 0);
	static const unsigned want[] = {4, 3, 2, 1, 0, 4, 3};
	int i;

	for (i = 0; i < COUNT(want); i++)
		ck_assert_uint_eq(pattern_next(&p), want[i]);
}
END_TEST

START_TEST(scanmix_alternates)
{
	struct pattern p = pattern_of(PATTERN_scanmix, 1000, 1, 0);
	unsigned i;

	for (i = 0; i < 3000; i++) {
		ck_assert_uint_lt(pattern_next(&p), 1000);
		ck_assert_uint_eq(pattern_next(&p), i % 1000);
	}
}
END_TEST

START_TEST(backward_from_the_end)
{
	struct pattern p = pattern_of(PATTERN_backward, 5, 3, 0);
	static const unsigned want[] = {4, 3, 2, 1, 0, 4, 3};
	int i;

	for (i = 0; i < COUNT(want); i++)
		ck_assert_uint_eq(pattern_next(&p), want[i]);
}
END_TEST

/* Each thread from its own start, all over the same pages. */
START_TEST(loop_stays_in_its_pages)
{
	struct pattern_spec spec = {PATTERN_loop, 100, 0.99, 3, 5, 8, 0};
	struct pattern p;
	unsigned i;

	pattern_init(&p, &spec, 1, 4);
	for (i = 0; i < 30; i++)
		ck_assert_uint_eq(pattern_next(&p), (2 + i) % 8);
	spec.loop_pages = 101; /* more than there are */
	pattern_init(&p, &spec, 0, 1);
	for (i = 0; i < 250; i++)
		ck_assert_uint_eq(pattern_next(&p), i % 100);
}
END_TEST

/* Which half of scanmix a page came from: hit rates are told apart by it. */
START_TEST(scanmix_knows_its_hot_half)
{
	struct pattern p = pattern_of(PATTERN_scanmix, 1000, 1, 0);
	unsigned i;

	for (i = 0; i < 100; i++) {
		pattern_next(&p);
		ck_assert(p.hot == (i % 2 == 0));
	}
}
END_TEST

/* --scan: so many of a hundred, evenly, and the scan goes on in order. */
START_TEST(scanmix_scans_as_often_as_told)
{
	struct pattern_spec spec = {PATTERN_scanmix, 1000, 0.99, 1, 5, 0, 90};
	struct pattern p;
	unsigned i, scanned = 0, in_a_row = 0, longest = 0;

	pattern_init(&p, &spec, 0, 1);
	for (i = 0; i < 1000; i++) {
		uint64_t page = pattern_next(&p);

		if (!p.hot)
			ck_assert_uint_eq(page, scanned++ % 1000);
		in_a_row = p.hot ? 0 : in_a_row + 1;
		longest = in_a_row > longest ? in_a_row : longest;
	}
	ck_assert_uint_eq(scanned, 900);
	ck_assert_uint_eq(longest, 9);
}
END_TEST

static uint64_t hottest(struct pattern *p, unsigned accesses)
{
	unsigned counts[1000] = {0}, i, best = 0;

	for (i = 0; i < accesses; i++)
		counts[pattern_next(p)]++;
	for (i = 0; i < 1000; i++)
		if (counts[i] > counts[best])
			best = i;
	return best;
}

/* A phase is 2 x the pages, of all threads; then other pages are hot. */
START_TEST(phases_move_the_hot_pages)
{
	struct pattern p = pattern_of(PATTERN_phases, 1000, 1, 0);
	struct pattern q = pattern_of(PATTERN_phases, 1000, 1, 1);
	uint64_t first = hottest(&p, 400), second;

	ck_assert_uint_eq(hottest(&q, 400), first); /* for all threads */
	ck_assert_uint_eq(hottest(&p, 101), first);
	second = hottest(&p, 500);
	ck_assert_uint_ne(second, first);
	hottest(&q, 101);
	ck_assert_uint_eq(hottest(&q, 500), second);
}
END_TEST

/* Every pattern stays inside, even on one page, and repeats by its seed. */
START_TEST(patterns_stay_inside)
{
	enum pattern_kind kind = (enum pattern_kind)_i;
	unsigned s, i;

	for (s = 3; s < (unsigned)COUNT(sizes); s++) {
		struct pattern p = pattern_of(kind, sizes[s], 3, 3);
		struct pattern q = pattern_of(kind, sizes[s], 3, 3);

		for (i = 0; i < 5000; i++) {
			uint64_t page = pattern_next(&p);

			ck_assert_uint_lt(page, sizes[s]);
			ck_assert_uint_eq(page, pattern_next(&q));
		}
	}
}
END_TEST

/* Threads differ, but find the same page the hottest. */
START_TEST(threads_share_hot_pages)
{
	enum { N = 100, DRAWS = 20000 };
	struct pattern p = pattern_of(PATTERN_zipf, N, 1, 0);
	struct pattern q = pattern_of(PATTERN_zipf, N, 1, 1);
	unsigned a[N] = {0}, b[N] = {0}, i, differ = 0;
	unsigned top_a = 0, top_b = 0;

	for (i = 0; i < DRAWS; i++) {
		uint64_t x = pattern_next(&p), y = pattern_next(&q);

		differ += x != y;
		a[x]++;
		b[y]++;
	}
	for (i = 1; i < N; i++) {
		top_a = a[i] > a[top_a] ? i : top_a;
		top_b = b[i] > b[top_b] ? i : top_b;
	}
	ck_assert_uint_gt(differ, DRAWS / 2);
	ck_assert_uint_eq(top_a, top_b);
}
END_TEST

/* ------------------------------------------------------------------ */
/* Histogram								*/

START_TEST(hist_buckets_tile)
{
	unsigned i;

	for (i = 0; i + 1 < HIST_BUCKETS; i++) {
		uint64_t low = hist_floor_ns(i), high = hist_floor_ns(i + 1);

		ck_assert_uint_lt(low, high);
		ck_assert_uint_eq(hist_bucket(low), i);
		ck_assert_uint_eq(hist_bucket(high - 1), i);
		ck_assert_double_le((double)(high - low), (double)low / 32 + 1);
	}
	ck_assert_uint_eq(hist_bucket(UINT64_MAX), HIST_BUCKETS - 1);
}
END_TEST

START_TEST(hist_empty)
{
	static struct hist h;

	ck_assert_uint_eq(hist_percentile_ns(&h, 50), 0);
	ck_assert_uint_eq(hist_percentile_ns(&h, 100), 0);
}
END_TEST

/* 1..10000: each percentile is known, and within a bucket's width. */
START_TEST(hist_percentiles)
{
	static const double pcts[] = {0, 1, 50, 90, 99, 99.9, 100};
	static struct hist h;
	uint64_t i;
	int p;

	for (i = 1; i <= 10000; i++)
		hist_add(&h, i);
	ck_assert_uint_eq(h.count, 10000);
	ck_assert_uint_eq(h.max_ns, 10000);
	for (p = 0; p < COUNT(pcts); p++) {
		double want = pcts[p] * 100, got;

		got = (double)hist_percentile_ns(&h, pcts[p]);
		ck_assert_double_le(fabs(got - want), want / 32 + 1);
	}
}
END_TEST

START_TEST(hist_one_sample)
{
	static struct hist h;

	hist_add(&h, 123456);
	ck_assert_uint_le(hist_percentile_ns(&h, 50), 123456);
	ck_assert_uint_ge(hist_percentile_ns(&h, 50), 123456 * 31 / 32);
	ck_assert_uint_eq(hist_percentile_ns(&h, 100),
			  hist_percentile_ns(&h, 50));
}
END_TEST

START_TEST(hist_merges_and_clears)
{
	static struct hist a, b;

	hist_add(&a, 10);
	hist_add(&b, 20);
	hist_add(&b, 30);
	hist_merge(&a, &b);
	ck_assert_uint_eq(a.count, 3);
	ck_assert_uint_eq(a.max_ns, 30);
	ck_assert_uint_eq(hist_percentile_ns(&a, 50), 20);
	hist_clear(&a);
	ck_assert_uint_eq(a.count, 0);
	ck_assert_uint_eq(hist_percentile_ns(&a, 50), 0);
}
END_TEST

START_TEST(median_of_few)
{
	double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2};

	ck_assert_double_eq(bench_median(odd, 3), 2);
	ck_assert_double_eq(bench_median(even, 4), 2.5);
	ck_assert_double_eq(bench_median(odd, 1), 1);
	ck_assert_double_eq(bench_median(odd, 0), 0);
}
END_TEST

/* ------------------------------------------------------------------ */
/* Stamps								*/

START_TEST(stamp_sees_any_change)
{
	static uint64_t page[512];
	unsigned line;

	stamp_page(page, 1, 77, _i * 17u);
	ck_assert_uint_eq(stamp_verify(page, 1, 77), STAMP_LINES);
	ck_assert_uint_eq(stamp_verify(page, 1, 78), 0);
	ck_assert_uint_eq(stamp_verify(page, 2, 77), 0);
	for (line = 0; line < STAMP_LINES; line++) {
		page[line * STAMP_LINE_WORDS] ^= 1;
		ck_assert_uint_eq(stamp_verify(page, 1, 77), line);
		page[line * STAMP_LINE_WORDS] ^= 1;
	}
}
END_TEST

START_TEST(stamp_counter_counts)
{
	static uint64_t page[512];
	unsigned home = stamp_home(77) * STAMP_LINE_WORDS;

	stamp_page(page, 1, 77, STAMP_NOISE_MAX);
	ck_assert_uint_eq(page[home + 1], stamp_counter(1, 77, 0));
	page[home + 1] += 5;
	ck_assert_uint_eq(page[home + 1], stamp_counter(1, 77, 5));
	ck_assert_uint_ne(stamp_counter(1, 77, 5), stamp_counter(1, 78, 5));
}
END_TEST

/* ------------------------------------------------------------------ */
/* Options								*/

struct fields {
	uint64_t size, number;
	int64_t step;
	double real;
	int word;
	const char *text;
	bool flag;
};

static const char *const words[] = {"red", "green", NULL};

static const struct opt opts[] = {
	OPTION_RANGE('s', "size", offsetof(struct fields, size), SIZE, "SIZE",
		     4096, 0x1p40, "h"),
	OPTION_RANGE('n', "number", offsetof(struct fields, number), NUMBER,
		     "N", 1, 10, "h"),
	OPTION_RANGE(0, "step", offsetof(struct fields, step), SIGNED, "N", 1,
		     10, "h"),
	OPTION_RANGE(0, "real", offsetof(struct fields, real), REAL, "R", 0, 1,
		     "h"),
	OPTION_WORD('w', "word", offsetof(struct fields, word), "W", words,
		    "h"),
	OPTION_TEXT('o', "text", offsetof(struct fields, text), "T", "h"),
	OPTION_FLAG('f', "flag", offsetof(struct fields, flag), "h"),
	{.kind = OPT_END},
};

static const struct opt_command command = {
	.name = "test", .args = "", .summary = "Tests.\n", .opts = opts};

/* Parses words separated by blanks; returns how many operands there are. */
static int parse_as(const struct opt_command *cmd, const char *line, void *f,
		    char **first)
{
	static char text[256];
	static char *argv[20]; /* a rest points into it */
	int argc = 1, n;

	argv[0] = "test";
	snprintf(text, sizeof(text), "%s", line);
	for (argv[argc] = strtok(text, " "); argv[argc];
	     argv[argc] = strtok(NULL, " "))
		argc++;
	n = opt_parse(cmd, f, argc, argv);
	*first = n ? argv[1] : NULL;
	return n;
}

static int parse(const char *line, struct fields *f, char **first)
{
	memset(f, 0, sizeof(*f));
	return parse_as(&command, line, f, first);
}

START_TEST(opt_sets_fields)
{
	struct fields f;
	char *first;

	ck_assert_int_eq(parse("--size 4k -n 7 --step -3 --real=0.5 file "
			       "--word green -o out -f",
			       &f, &first),
			 1);
	ck_assert_str_eq(first, "file");
	ck_assert_uint_eq(f.size, 4096);
	ck_assert_uint_eq(f.number, 7);
	ck_assert_int_eq(f.step, -3);
	ck_assert_double_eq(f.real, 0.5);
	ck_assert_int_eq(f.word, 1);
	ck_assert_str_eq(f.text, "out");
	ck_assert(f.flag);
}
END_TEST

START_TEST(opt_without_any)
{
	struct fields f;
	char *first;

	ck_assert_int_eq(parse("", &f, &first), 0);
	ck_assert_int_eq(parse("-- --size", &f, &first), 1);
}
END_TEST

static const char *const bad_lines[] = {
	"--size",    "--size 1",  "--size x",  "--number 0", "--number 11",
	"--step 0",  "--step 11", "--step --", "--real 2",   "--word blue",
	"--unknown", "-x",	  "--flag=1",
};

START_TEST(opt_refuses)
{
	struct fields f;
	char *first;

	parse(bad_lines[_i], &f, &first);
}
END_TEST

struct taken {
	char log[64];
	char **rest;
	bool flag;
};

static void take(void *fields, const struct opt *o, const char *option,
		 const char *text)
{
	struct taken *t = fields;
	size_t n = strlen(t->log);

	snprintf(t->log + n, sizeof(t->log) - n, "%s:%d:%s ", option, o->value,
		 text ? text : "none");
}

static const struct opt take_opts[] = {
	OPTION_HEADING("Heading"),
	OPTION_TAKE('t', NULL, take, 1, "T", "h"),
	OPTION_TAKE('u', "use", take, 2, NULL, "two\nlines"),
	{.name = "maybe",
	 .kind = OPT_TAKE,
	 .take = take,
	 .arg = "X",
	 .optional = true,
	 .help = "h"},
	{.letter = 'e',
	 .kind = OPT_REST,
	 .offset = offsetof(struct taken, rest),
	 .arg = "REST",
	 .help = "h"},
	OPTION_FLAG('f', NULL, offsetof(struct taken, flag), "h"),
	{.kind = OPT_END},
};

START_TEST(opt_takes_each)
{
	static const struct opt_command cmd = {
		.args = "", .summary = "", .opts = take_opts};
	struct taken t = {0};
	char *first;

	ck_assert_int_eq(parse_as(&cmd,
				  "-t a x --use --maybe -tb --maybe=c y "
				  "-fe z -f",
				  &t, &first),
			 2);
	ck_assert_str_eq(t.log, "-t:1:a --use:2:none --maybe:0:none -t:1:b "
				"--maybe:0:c ");
	ck_assert_str_eq(first, "x");
	ck_assert(t.flag);
	ck_assert_str_eq(t.rest[0], "z");
	ck_assert_str_eq(t.rest[1], "-f");
	ck_assert_ptr_null(t.rest[2]);
}
END_TEST

/* What follows the first operand, or "--", is not for us. */
START_TEST(opt_leaves_operands)
{
	struct opt_command cmd = {.args = "",
				  .summary = "",
				  .opts = take_opts,
				  .operands = OPT_LAST};
	struct taken t = {0};
	char *first;

	ck_assert_int_eq(parse_as(&cmd, "-u run -f -t", &t, &first), 3);
	ck_assert_str_eq(first, "run");
	ck_assert(!t.flag);
	ck_assert_int_eq(parse_as(&cmd, "-u -- -f", &t, &first), 1);
	ck_assert_str_eq(first, "-f");
	cmd.operands = OPT_AFTER_DASHES;
	ck_assert_int_eq(parse_as(&cmd, "-u -- -t -- -f", &t, &first), 3);
	ck_assert_str_eq(first, "-t");
	ck_assert(!t.flag);
}
END_TEST

static const char *const no_dashes[] = {"", "--", "run", "run -- it", "-t --"};

START_TEST(opt_wants_dashes)
{
	static const struct opt_command cmd = {.args = "",
					       .summary = "",
					       .opts = take_opts,
					       .operands = OPT_AFTER_DASHES};
	struct taken t = {0};
	char *first;

	parse_as(&cmd, no_dashes[_i], &t, &first);
}
END_TEST

START_TEST(opt_helps)
{
	struct fields f;
	char *first;

	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stdout));
	parse("--help", &f, &first);
	exit(99); /* not reached */
}
END_TEST

/* ------------------------------------------------------------------ */
/* Lines								*/

/* In the order of LC_ALL=C sort. "\0" at the end is part of the line. */
static const struct {
	const char *text;
	uint32_t len;
} ordered[] = {
	{"", 0},
	{"\0", 1},
	{"\0\0", 2},
	{"\1", 1},
	{"a", 1},
	{"a\0", 2},
	{"a\0b", 3},
	{"a\1", 2},
	{"aa", 2},
	{"abcdefgh", 8},
	{"abcdefgh\0", 9},
	{"abcdefgh\0\0", 10},
	{"abcdefgha", 9},
	{"abcdefghb", 9},
	{"abcdefghba", 10},
	{"abcdefgi", 8},
	{"b", 1},
	{"\x7f", 1},
	{"\x80", 1},
	{"\xff", 1},
	{"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9},
};

START_TEST(lines_compare)
{
	struct line x = line_make(ordered[_i].text, 0, ordered[_i].len);
	int j;

	for (j = 0; j < COUNT(ordered); j++) {
		struct line y = line_make(ordered[j].text, 0, ordered[j].len);
		int order =
			line_compare(ordered[_i].text, &x, ordered[j].text, &y);

		ck_assert_int_eq((order > 0) - (order < 0),
				 (_i > j) - (_i < j));
	}
}
END_TEST

/* All lengths around the limits of pieces and passes. */
START_TEST(lines_are_sorted)
{
	enum { MAX = 400, LEN = 12 };
	static char text[MAX * LEN];
	static struct line a[MAX], b[MAX];
	struct rng r = {.state = 3};
	unsigned n, i;

	for (n = 0; n < MAX; n++) {
		struct line *sorted;

		for (i = 0; i < n * LEN; i++)
			text[i] = "ab\xff"[rng_below(&r, 3)];
		for (i = 0; i < n; i++)
			a[i] = line_make(text + i * LEN, i * LEN,
					 (uint32_t)rng_below(&r, LEN + 1));
		sorted = lines_sort(text, a, b, n);
		for (i = 1; i < n; i++)
			ck_assert_int_le(
				line_compare(text + sorted[i - 1].start,
					     &sorted[i - 1],
					     text + sorted[i].start,
					     &sorted[i]),
				0);
	}
}
END_TEST

/* ------------------------------------------------------------------ */
/* Allocation							*/

START_TEST(heap_sizes_have_their_shares)
{
	enum { DRAWS = 400000 };
	unsigned small = 0, most = 0, large = 0, k;
	struct rng r = {.state = 7};
	double sum = 0;

	for (k = 0; k < DRAWS; k++) {
		size_t bytes = heap_random_bytes(&r);

		ck_assert(bytes >= 8 && bytes <= 131072);
		small += bytes <= 64;
		most += bytes <= 512;
		large += bytes > 32768;
		sum += (double)bytes;
	}
	check_share(0.5, DRAWS, small);
	check_share(0.9, DRAWS, most);
	check_share(1.0 / 400, DRAWS, large);
	ck_assert_double_le(fabs(sum / DRAWS / heap_mean_bytes() - 1), 0.05);
}
END_TEST

static void count_ready(void *arg)
{
	++*(int *)arg;
}

/*
 * The work does not free what it has at its end: in swap that would take
 * longer than the work. So the address sanitizer is not to call that a leak.
 */
const char *__lsan_default_suppressions(void); /* NOLINT: its name */

const char *__lsan_default_suppressions(void) /* NOLINT */
{
	return "leak:libc_malloc\nleak:libc_calloc\nleak:libc_realloc\n";
}

static const struct heap_plan small_heap = {
	.plan = {.threads = 2, .seed = 1, .theta = 0.99, .seconds = 0.05},
	.live_bytes = 4 << 20,
	.lookups = 2,
};

START_TEST(heap_work_on_malloc)
{
	struct heap_engine e;
	struct heap_figures f;
	int ready = 0;

	heap_engine_open(&e, &small_heap, HEAP_ENGINE_malloc);
	ck_assert(heap_work(&small_heap, &e, count_ready, &ready, &f));
	heap_engine_close(&e);
	ck_assert_int_eq(ready, 1);
	ck_assert_double_gt(f.value[HEAP_FIGURE_ops_per_s], 0);
	ck_assert_double_gt(f.value[HEAP_FIGURE_ns_per_op], 0);
	ck_assert_double_ge(f.value[HEAP_FIGURE_live_bytes], 3 << 20);
	ck_assert_double_le(f.value[HEAP_FIGURE_live_bytes], 7 << 20);
}
END_TEST

/* The whole sub-command; its allocators but malloc need userfaultfd. */
static char *const heap_lines[][8] = {
	{"heap", "-e", "malloc", "-l4M", "-d0.02", "--warm=0", "-r2", NULL},
	{"heap", "-e", "malloc", "-l4M", "-d0.02", "--warm=0", "--json", NULL},
	{"heap", "-e", "malloc,mallok", NULL},
	{"heap", "-e", "malloc,malloc", NULL},
	{"heap", "-p", "-l4M", "-m4M", NULL},
	{"heap", "-t0", NULL},
};

static void run_heap_line(char *const *line)
{
	char *argv[8];
	int argc;

	for (argc = 0; line[argc]; argc++)
		argv[argc] = line[argc];
	argv[argc] = NULL;
	exit(bench_heap(argc, argv));
}

START_TEST(heap_command_runs)
{
	run_heap_line(heap_lines[_i]);
}
END_TEST

START_TEST(heap_command_refuses)
{
	run_heap_line(heap_lines[2 + _i]);
}
END_TEST

/* Gives the same memory again and again. */
static void *broken_malloc(void *self, size_t bytes)
{
	(void)bytes;
	return self;
}

static void *broken_realloc(void *self, void *ptr, size_t bytes)
{
	(void)ptr, (void)bytes;
	return self;
}

static void broken_free(void *self, void *ptr)
{
	(void)self, (void)ptr;
}

START_TEST(heap_work_sees_a_broken_allocator)
{
	static char memory[1 << 18];
	struct heap_engine e = {broken_malloc, broken_malloc, broken_realloc,
				broken_free,   memory,	      NULL};
	struct heap_figures f;
	int ready = 0;

	heap_work(&small_heap, &e, count_ready, &ready, &f);
}
END_TEST

/* ------------------------------------------------------------------ */

static void add_patterns(Suite *suite)
{
	TCase *tc = test_case(suite, "patterns");

	tcase_add_test(tc, rng_below_is_even);
	tcase_add_loop_test(tc, zipf_has_its_shares, 0, COUNT(thetas));
	tcase_add_test(tc, zipf_of_few);
	tcase_add_test(tc, zipf_of_many);
	tcase_add_loop_test(tc, scramble_is_one_to_one, 0, COUNT(sizes));
	tcase_add_test(tc, scramble_scatters);
	tcase_add_test(tc, seq_goes_round);
	tcase_add_test(tc, stride_steps_and_sees_all);
	tcase_add_test(tc, negative_stride_goes_backwards);
	tcase_add_test(tc, backward_from_the_end);
	tcase_add_test(tc, loop_stays_in_its_pages);
	tcase_add_test(tc, scanmix_alternates);
	tcase_add_test(tc, scanmix_knows_its_hot_half);
	tcase_add_test(tc, scanmix_scans_as_often_as_told);
	tcase_add_test(tc, phases_move_the_hot_pages);
	tcase_add_loop_test(tc, patterns_stay_inside, 0, PATTERN_COUNT);
	tcase_add_test(tc, threads_share_hot_pages);
}

static void add_figures(Suite *suite)
{
	TCase *tc = test_case(suite, "figures");

	tcase_add_test(tc, hist_buckets_tile);
	tcase_add_test(tc, hist_empty);
	tcase_add_test(tc, hist_percentiles);
	tcase_add_test(tc, hist_one_sample);
	tcase_add_test(tc, hist_merges_and_clears);
	tcase_add_test(tc, median_of_few);
}

static void add_rest(Suite *suite)
{
	TCase *stamps = test_case(suite, "stamps");
	TCase *options = test_case(suite, "options");
	TCase *lines = test_case(suite, "lines");
	TCase *heap = test_case(suite, "heap");

	tcase_add_loop_test(stamps, stamp_sees_any_change, 0, 20);
	tcase_add_test(stamps, stamp_counter_counts);
	tcase_add_test(options, opt_sets_fields);
	tcase_add_test(options, opt_without_any);
	tcase_add_loop_exit_test(options, opt_refuses, TOOL_USAGE, 0,
				 COUNT(bad_lines));
	tcase_add_test(options, opt_takes_each);
	tcase_add_test(options, opt_leaves_operands);
	tcase_add_loop_exit_test(options, opt_wants_dashes, TOOL_USAGE, 0,
				 COUNT(no_dashes));
	tcase_add_exit_test(options, opt_helps, TOOL_OK);
	tcase_add_loop_test(lines, lines_compare, 0, COUNT(ordered));
	tcase_add_test(lines, lines_are_sorted);
	tcase_add_test(heap, heap_sizes_have_their_shares);
	tcase_add_test(heap, heap_work_on_malloc);
	tcase_add_loop_exit_test(heap, heap_command_runs, TOOL_OK, 0, 2);
	tcase_add_loop_exit_test(heap, heap_command_refuses, TOOL_USAGE, 0,
				 COUNT(heap_lines) - 2);
	tcase_add_exit_test(heap, heap_work_sees_a_broken_allocator,
			    TOOL_FAILED);
}

static void add_tests(Suite *suite)
{
	add_patterns(suite);
	add_figures(suite);
	add_rest(suite);
}

const struct test_program test_program = {
	.name = "bench",
	.add = add_tests,
};
