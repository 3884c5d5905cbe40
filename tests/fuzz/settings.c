/* SPDX-License-Identifier: MIT */
/*
 * fuzz/settings.c - text that becomes numbers, settings and orders.
 *
 * The first byte of an input says what the rest is: a number or a size for
 * parse.c; the environment for util/conf.c; VVM_INJECT's list for
 * os_inject_parse(); what vvmrun tells the preload object (preload/wishes.c).
 * A byte below 32 stands for one of the words below. Each text is read a second
 * time here, by other means; compared are what is accepted, as what, and that a
 * text that is refused has changed nothing.
 */
#define _GNU_SOURCE 1
#include "fuzz/fuzz.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "os/os.h"
#include "parse.h"
#include "preload/wishes.h"
#include "util/conf.h"
#include "util/log.h"

#define TEXT_MAX 400
#define RAM	 ((uint64_t)25271324672)

static const char *const size_words[] = {
	"0",
	"0x",
	"18446744073709551615",
	"18446744073709551616",
	"9",
	"4096",
	"99999999999999999999",
	"1.5",
	".",
	"k",
	"kiB",
	"GB",
	"%",
	"p",
	"0000000000",
	"ffffffffffffffff",
	"16777216",
	"16384",
};

static const char *const conf_words[] = {
	"4096",	   "4095",    "256M",	  "128T",   "1P",     "0",     "1",
	"50",	   "51",      "86400000", "inline", "THREAD", "uring", "sync",
	"die",	   "inherit", "heat",	  "clock",  "yes",    "off",   "true",
	"1000001", "33",      "1024",	  "none",   "debug",  "25%",   "-1",
};

static const char *const inject_words[] = {
#define X(name) #name,
	OS_POINTS(X)
#undef X
};

static const char *const inject_more[] = {
	":",
	":1:",
	":2+:",
	"EIO",
	"ENOMEM",
	"ENOSPC",
	"EAGAIN",
	",",
	"+",
	"0",
	"4095",
	"4096",
	"281474976710655",
	"281474976710656",
	"5",
	":3:EINTR,",
	":1+:13",
	"XXX",
};

static const char *const wish_words[] = {
	"pid=", "follow", "say", "mmap=", "report=",
	",",	"131072", "-1",	 "4711",  "18446744073709551616",
	"@x",	"=",	  " ",
};

struct words {
	const char *const *word;
	size_t count;
};

/* The text of an input; a word for a byte below 32, if there are any. */
static void make_text(struct fuzz_input *in, char text[TEXT_MAX],
		      const struct words *w, char stop)
{
	size_t at = 0;

	while (in->size) {
		uint8_t byte = fuzz_byte(in);
		char letter[2] = {(char)byte, '\0'};
		const char *add = letter;

		if (byte == (uint8_t)stop)
			break;
		if (byte < 32)
			add = w->word[fuzz_byte(in) % w->count];
		if (at + strlen(add) >= TEXT_MAX)
			break;
		strcpy(text + at, add);
		at += strlen(add);
	}
	text[at] = '\0';
}

/* ---- numbers and sizes ---- */

/* A text in parts: digits, a fraction behind a point, the rest. */
struct number {
	bool good, too_large;
	uint64_t whole, billionths;
	bool point;
	const char *rest;
};

static bool all_of(const char *from, size_t n, const char *set)
{
	return strspn(from, set) >= n;
}

static struct number read_number(const char *text)
{
	bool hex = !strncasecmp(text, "0x", 2);
	const char *set = hex ? "0123456789abcdefABCDEF" : "0123456789";
	const char *digits = text + (hex ? 2 : 0);
	struct number n = {.good = strspn(digits, set) > 0};
	char nine[10] = "000000000";
	size_t length;

	errno = 0;
	n.whole = n.good ? strtoull(digits, NULL, hex ? 16 : 10) : 0;
	n.too_large = n.good && errno == ERANGE;
	n.rest = digits + strspn(digits, set);
	if (hex || *n.rest != '.')
		return n;
	n.point = true;
	length = strspn(++n.rest, "0123456789");
	n.good &= length > 0;
	memcpy(nine, n.rest, MIN(length, (size_t)9));
	n.billionths = strtoull(nine, NULL, 10);
	n.rest += length;
	return n;
}

/* 0: no unit of ours. */
static uint64_t unit_of(const char *text)
{
	static const char *const units[] = {"k", "m", "g", "t", "p"};
	static const char *const ends[] = {"", "b", "i", "ib"};
	char name[8];
	size_t i, j;

	if (!*text || !strcasecmp(text, "b"))
		return 1;
	for (i = 0; i < ARRAY_SIZE(units); i++)
		for (j = 0; j < ARRAY_SIZE(ends); j++) {
			snprintf(name, sizeof(name), "%s%s", units[i], ends[j]);
			if (!strcasecmp(name, text))
				return (uint64_t)1 << (10 * (i + 1));
		}
	return 0;
}

/* What must come of a text, of which `unit` and `divisor` are known. */
static int expect(const struct number *n, unsigned __int128 unit,
		  unsigned divisor, uint64_t *value)
{
	unsigned __int128 v = n->whole * unit;

	if (n->too_large)
		return -ERANGE;
	v += n->billionths * unit / 1000000000;
	v /= divisor;
	if (v >> 64)
		return -ERANGE;
	*value = (uint64_t)v;
	return 0;
}

static int expect_size(const char *text, uint64_t *value)
{
	struct number n = read_number(text);
	uint64_t unit = unit_of(n.rest);

	if (!n.good)
		return -EINVAL;
	if (!strcmp(n.rest, "%"))
		return expect(&n, RAM, 100, value);
	if (!unit || (unit == 1 && n.billionths))
		return -EINVAL;
	return expect(&n, unit, 1, value);
}

static int expect_number(const char *text, uint64_t *value)
{
	struct number n = read_number(text);

	if (!n.good || n.point || *n.rest)
		return -EINVAL;
	return expect(&n, 1, 1, value);
}

static void compare(const char *text, int got, uint64_t value, int wanted,
		    uint64_t model)
{
	if (got == -ERANGE && wanted == -EINVAL) /* both is true */
		wanted = read_number(text).too_large ? -ERANGE : -EINVAL;
	MUST_EQ(got, wanted);
	MUST_EQ(value, model);
}

static void fuzz_numbers(struct fuzz_input *in)
{
	static const struct words words = {size_words, ARRAY_SIZE(size_words)};
	uint64_t value = 77, model = 77;
	char text[TEXT_MAX];

	make_text(in, text, &words, '\0');
	compare(text, parse_size(text, RAM, &value), value,
		expect_size(text, &model), model);
	value = model = 77;
	compare(text, parse_number(text, &value), value,
		expect_number(text, &model), model);
}

/* ---- the environment ---- */

static const struct {
	const char *field, *variable;
} rows[] = {
#define X(type, field, variable, ...) {#field, "VVM_" #variable},
	SETTINGS(X)
#undef X
};

/* Of a field that was accepted: the range, or how many words there are. */
static void check_number(uint64_t value, uint64_t least, uint64_t most)
{
	MUST(value >= least && value <= most);
}

static void check_word(unsigned value, const char *words)
{
	unsigned n = 0;

	for (; *words; words++)
		n += *words == '|';
	MUST(value <= n);
}

static void check_size(uint64_t value, const char *words, uint64_t least,
		       uint64_t most)
{
	if (value == SETTING_AUTO && strchr(words, '|'))
		return;
	check_number(value, least, most);
	MUST(value % PAGE_BYTES == 0);
}

#define LEAST(least, most, why) least
#define MOST(least, most, why)	most
#define BOUNDS(...)		LEAST(__VA_ARGS__), MOST(__VA_ARGS__)

#define CHECK_SIZE(field, words, range) \
	check_size((uint64_t)c->field, words, BOUNDS(SETTING_LIMITS range))
#define CHECK_UINT(field, words, range) \
	check_number(c->field, BOUNDS(SETTING_LIMITS range))
#define CHECK_UINT64(field, words, range) CHECK_UINT(field, words, range)
#define CHECK_PATH(field, words, range)	  MUST(*c->field)
#define CHECK_ENUM(field, words, range)	  check_word((unsigned)c->field, words)
#define CHECK_WORD(field, words, range)	  check_word((unsigned)c->field, words)
#define CHECK_BOOL(field, words, range)	  MUST((unsigned)c->field <= 1)

static void check_accepted(struct conf *c)
{
	struct conf was = *c;

	if (conf_check(c)) {
		MUST(!memcmp(c, &was, sizeof(was)));
		return;
	}
#define X(type, field, variable, plain, unit, range, what) \
	CHECK_##type(field, unit, range);
	SETTINGS(X)
#undef X
	MUST(!c->swap_reserve || c->swap_limit_bytes);
	MUST(c->low_pct <= c->high_pct);
	MUST(c->resident_bytes != SETTING_AUTO || !c->resident_max_bytes ||
	     c->resident_min_bytes <= c->resident_max_bytes);
}

/* Row after row, as the environment must do at once. NULL: all are good. */
static const char *read_rows(struct conf *c, char texts[][TEXT_MAX])
{
	const char *bad = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct conf was = *c;

		if (!getenv(rows[i].variable))
			continue;
		if (!conf_set(c, rows[i].field, texts[i]))
			continue;
		MUST(!memcmp(c, &was, sizeof(was)));
		if (!bad)
			bad = rows[i].variable;
	}
	return bad;
}

/* Behind the end of the path may be what was there before. */
static void tidy(struct conf *c)
{
	size_t length = strlen(c->swap_path);

	memset(c->swap_path + length, 0, sizeof(c->swap_path) - length);
}

static void compare_environment(char texts[][TEXT_MAX])
{
	static struct conf model, got;
	const char *text[CONF_ROWS], *refused = NULL, *bad;
	int err;

	conf_defaults(&model);
	bad = read_rows(&model, texts);
	err = conf_read(&got, text, &refused);
	MUST_EQ(err, bad ? -EINVAL : 0);
	MUST(!bad || !strcmp(bad, refused));
	if (bad)
		conf_defaults(&model);
	tidy(&got);
	tidy(&model);
	MUST(!memcmp(&got, &model, sizeof(got)));
	if (!bad)
		check_accepted(&got);
}

static void fuzz_environment(struct fuzz_input *in)
{
	static const struct words words = {conf_words, ARRAY_SIZE(conf_words)};
	static char texts[ARRAY_SIZE(rows)][TEXT_MAX];
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		unsetenv(rows[i].variable);
	while (in->size) {
		i = fuzz_below(in, ARRAY_SIZE(rows));
		make_text(in, texts[i], &words, '\n');
		MUST_EQ(setenv(rows[i].variable, texts[i], 1), 0);
	}
	compare_environment(texts);
}

/* ---- VVM_INJECT ---- */

struct order {
	unsigned point;
	uint64_t nth;
	bool forever, early;
	int error; /* -1: a name that may be known or not */
};

static int error_of(const char *text)
{
	uint64_t number;
	int error;

	if (all_of(text, strlen(text), "0123456789")) {
		struct number n = read_number(text);

		number = n.good && !n.too_large ? n.whole : 0;
		return number <= 4095 ? (int)number : 0;
	}
	for (error = 1; error < 134; error++) {
		const char *name = strerrorname_np(error);

		if (name && !strcmp(name, text))
			return error;
	}
	return 0;
}

/* Cuts the item at its colons. */
static bool read_order(char *item, struct order *o)
{
	char *name = strsep(&item, ":"), *nth = strsep(&item, ":");
	size_t digits;

	o->early = *name == '@';
	name += o->early;
	for (o->point = 0; o->point < OS_POINT_COUNT; o->point++)
		if (!strcmp(inject_words[o->point], name))
			break;
	if (o->point == OS_POINT_COUNT || !nth || !item)
		return false;
	digits = strspn(nth, "0123456789");
	o->forever = !strcmp(nth + digits, "+");
	if (!digits || (nth[digits] && !o->forever) ||
	    read_number(nth).too_large)
		return false;
	o->nth = strtoull(nth, NULL, 10);
	o->error = error_of(item);
	return o->nth && o->nth < 1ull << 48 && o->error;
}

/* The order for each point that holds in the end. */
static bool read_spec(char *spec, struct order last[OS_POINT_COUNT])
{
	struct order o;
	char *item;

	if (!*spec)
		return true;
	while ((item = strsep(&spec, ","))) {
		if (!read_order(item, &o))
			return false;
		if (!o.early) /* which are given by another call */
			last[o.point] = o;
	}
	return true;
}

/* A point does what its order says, and without one nothing. */
static void check_point(unsigned point, const struct order *o)
{
	uint64_t i;

	for (i = 1; i < 6; i++) {
		bool fails =
			o->error && (o->forever ? i >= o->nth : i == o->nth);

		MUST_EQ(os_inject_check(point), fails ? -o->error : 0);
	}
}

static void fuzz_inject(struct fuzz_input *in)
{
	static const char
		*all[ARRAY_SIZE(inject_words) + ARRAY_SIZE(inject_more)];
	struct order last[OS_POINT_COUNT] = {{0}};
	struct words words = {all, ARRAY_SIZE(all)};
	char text[TEXT_MAX], copy[TEXT_MAX];
	unsigned i;
	bool good;

	memcpy(all, inject_words, sizeof(inject_words));
	memcpy(all + ARRAY_SIZE(inject_words), inject_more,
	       sizeof(inject_more));
	make_text(in, text, &words, '\0');
	strcpy(copy, text);
	good = read_spec(copy, last);
	os_inject_clear();
	if (os_inject_parse(text, false)) {
		/* it does not know all names of errors */
		MUST(!good || strchr(text, 'E'));
		memset(last, 0, sizeof(last));
	} else {
		MUST(good);
	}
	for (i = 0; i < OS_POINT_COUNT; i++)
		check_point(i, &last[i]);
	os_inject_clear();
}

/* ---- wishes ---- */

static void check_round_trip(struct fuzz_input *in)
{
	struct wishes w = {0}, back;
	char text[WISHES_BYTES];
	unsigned i, n = fuzz_below(in, WISHES_REPORT_BYTES);

	w.pid = (pid_t)(fuzz_word(in) << 8);
	w.follow = fuzz_byte(in) & 1;
	w.say = fuzz_byte(in) & 1;
	w.mmap_min = (uint64_t)fuzz_word(in) << fuzz_below(in, 48);
	for (i = 0; i < n; i++)
		w.report[i] = (char)('a' + fuzz_below(in, 26));
	wishes_format(&w, text);
	MUST(wishes_parse(&back, text));
	MUST(w.pid == back.pid && w.follow == back.follow &&
	     w.say == back.say && w.mmap_min == back.mmap_min &&
	     !strcmp(w.report, back.report));
}

/* A number of no more than `most`, and nothing else. */
static bool is_number(const char *text, uint64_t most)
{
	struct number n = read_number(text);

	return n.good && !n.too_large && !n.point && !*n.rest &&
	       n.whole <= most;
}

static bool good_item(const char *item)
{
	if (!strncmp(item, "pid=", 4))
		return is_number(item + 4, INT32_MAX);
	if (!strncmp(item, "mmap=", 5))
		return is_number(item + 5, UINT64_MAX);
	if (!strncmp(item, "report=", 7))
		return strlen(item + 7) < WISHES_REPORT_BYTES;
	return !strcmp(item, "follow") || !strcmp(item, "say");
}

static void compare_wishes(const char *text)
{
	char copy[TEXT_MAX], *rest = copy, *item;
	struct wishes w;
	bool good;

	strcpy(copy, text);
	good = strlen(text) < WISHES_BYTES;
	while ((item = strsep(&rest, ",")))
		good &= good_item(item);
	MUST_EQ(wishes_parse(&w, text), good);
	MUST(memchr(w.report, '\0', sizeof(w.report)));
}

static void fuzz_wishes(struct fuzz_input *in)
{
	static const struct words words = {wish_words, ARRAY_SIZE(wish_words)};
	char text[TEXT_MAX];

	if (fuzz_byte(in) % 4 == 0) {
		check_round_trip(in);
		return;
	}
	make_text(in, text, &words, '\0');
	compare_wishes(text);
}

/* What was found: all of these were taken, as something else. */
static void run_found(void)
{
	compare_wishes("pid=12x");
	compare_wishes("pid=");
	compare_wishes("pid=4294967297");
	compare_wishes("pid=7,mmap=-1");
	compare_wishes("pid=7,mmap=18446744073709551616");
	compare_wishes("report=0123456789012345678901234567890123456789"
		       "012345678901234567890123,follow");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	static bool found;

	log_set_level(LOG_NONE);
	if (!found)
		run_found();
	found = true;
	switch (fuzz_below(&in, 4)) {
	case 0:
		fuzz_numbers(&in);
		break;
	case 1:
		fuzz_environment(&in);
		break;
	case 2:
		fuzz_inject(&in);
		break;
	default:
		fuzz_wishes(&in);
	}
	return 0;
}

const long fuzz_runs = 40000;

static uint8_t random_letter(void)
{
	static const char letters[] = "0123456789abcdefx.kMGiB%:+,=- \n";

	return (uint8_t)letters[fuzz_random() % (sizeof(letters) - 1)];
}

/* Mostly words. */
size_t fuzz_make(uint8_t *data, size_t most)
{
	size_t n = 2 + fuzz_random() % 24, size = 0;

	MUST(most >= 64);
	data[size++] = (uint8_t)fuzz_random();
	while (n--) {
		switch (fuzz_random() % 8) {
		case 0:
			data[size++] = random_letter();
			break;
		case 1:
			data[size++] = '\n';
			data[size++] = (uint8_t)fuzz_random();
			break;
		default:
			data[size++] = 1;
			data[size++] = (uint8_t)fuzz_random();
		}
	}
	return size;
}
