/* SPDX-License-Identifier: MIT */
/*
 * util/conf.c - the settings of a space: defaults, environment, text to value.
 *
 * SETTINGS of settings.h is the only list of settings there is. Here it is
 * expanded once, into an array of `struct setting`: where the field lies in
 * struct conf, and which parser reads its text. Everything else is a loop
 * over that array, defaults included: they are text too and pass through
 * the same parser, so a default that its own parser refuses cannot hide.
 *
 * Terms
 *   field   the name in struct conf, "resident_bytes"
 *   value   what is stored; text is what the user wrote
 *
 * Where values come from, later ones winning: the table's defaults, the
 * environment, the fields that the program set in struct vvm_options. Only
 * the result is checked (conf_check), because a bound often involves two
 * fields and the user should be able to set them in any order.
 *
 * Rules
 *  (1) Text is wholly a value or it is refused: no white space, no sign, no
 *      trailing junk, no silent clamping to what the type can hold.
 *  (2) A refused text sets nothing: not its field, and of an environment in
 *      which one is refused, none.
 *
 * Rejected: one hand-written `if` per variable (the usual way). It is the
 * place where documentation, parser and struct drift apart.
 */
#define _GNU_SOURCE 1
#include "util/conf.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "parse.h"
#include "util/log.h"
#include "os/os.h"

struct setting {
	const char *field;
	const char *variable;
	const char *initial;
	const char *words; /* of an ENUM or a WORD: "auto|uring|sync" */
	struct {
		uint64_t least, most;
		const char *why;
	} range;
	size_t offset;
	size_t size;
	int (*parse)(const struct setting *s, const char *text, void *value);
};

/* ------------------------------------------------------------------ */
/* One parser for each type of the table				*/

static int parse_SIZE(const struct setting *s, const char *text, void *value)
{
	static const uint64_t automatic = SETTING_AUTO;

	if (strchr(s->words, '|') && !strcasecmp(text, "auto")) {
		memcpy(value, &automatic, sizeof(automatic));
		return 0;
	}
	return parse_size(text, strchr(text, '%') ? os_ram_bytes() : 0, value);
}

static int parse_UINT(const struct setting *s, const char *text, void *value)
{
	uint64_t v;
	int error = parse_number(text, &v);

	(void)s;
	if (!error && v > UINT_MAX)
		error = -ERANGE;
	if (!error)
		*(unsigned *)value = (unsigned)v;
	return error;
}

static int parse_UINT64(const struct setting *s, const char *text, void *value)
{
	(void)s;
	return parse_number(text, value);
}

static int parse_PATH(const struct setting *s, const char *text, void *value)
{
	size_t length = strlen(text);

	if (length == 0)
		return -EINVAL;
	if (length >= s->size)
		return -ERANGE;
	memcpy(value, text, length + 1);
	return 0;
}

/* Length of the word at p, which ends at | or the end. */
static size_t word_length(const char *p)
{
	return strcspn(p, "|");
}

/* The enums of vvm.h are as wide as an unsigned, and begin with 0. */
static int parse_WORD(const struct setting *s, const char *text, void *value)
{
	const char *word = s->words;
	size_t length = strlen(text);
	unsigned i = 0;

	for (;; i++) {
		size_t n = word_length(word);

		if (n == length && !strncasecmp(word, text, n)) {
			memcpy(value, &i, sizeof(i));
			return 0;
		}
		if (!word[n])
			return -EINVAL;
		word += n + 1;
	}
}

#define parse_ENUM parse_WORD

static int parse_BOOL(const struct setting *s, const char *text, void *value)
{
	static const char *const words[] = {"0",   "1",	 "no",	  "yes",
					    "off", "on", "false", "true"};
	size_t i;

	(void)s;
	for (i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(text, words[i]))
			continue;
		*(bool *)value = i % 2;
		return 0;
	}
	return -EINVAL;
}

/* ------------------------------------------------------------------ */
/* The table								*/

static const struct setting settings[CONF_ROWS] = {
#define X(type, name, env, def, unit, limits, what) \
	{.field = #name,                            \
	 .variable = "VVM_" #env,                   \
	 .initial = (def),                          \
	 .words = (unit),                           \
	 .range = {SETTING_LIMITS limits},          \
	 .offset = offsetof(struct conf, name),     \
	 .size = sizeof(((struct conf *)0)->name),  \
	 .parse = parse_##type},
	SETTINGS(X)
#undef X
};

static int setting_parse(const struct setting *s, struct conf *c,
			 const char *text)
{
	return s->parse(s, text, (char *)c + s->offset);
}

void conf_defaults(struct conf *c)
{
	unsigned i;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < CONF_ROWS; i++)
		ASSERT(setting_parse(&settings[i], c, settings[i].initial) ==
		       0);
}

/* NULL: there is none. */
static const struct setting *find(const char *field)
{
	const struct setting *s;

	for (s = settings; s < settings + CONF_ROWS; s++)
		if (!strcmp(field, s->field))
			return s;
	return NULL;
}

int conf_set(struct conf *c, const char *field, const char *text)
{
	const struct setting *s = find(field);

	return s ? setting_parse(s, c, text) : -ENOENT;
}

const char *conf_default(const char *field)
{
	const struct setting *s = find(field);

	ASSERT(s);
	return s->initial;
}

/* Where the default would take most of what the process may use, or all. */
static void fit_budget(struct conf *c, const char *text)
{
	uint64_t half;

	if (text != settings[CONF_ROW_resident_bytes].initial)
		return;
	half = os_ram_bytes() / 2;
	c->resident_bytes = MIN(c->resident_bytes, half);
}

/* The environment; text[] is what it says, up to a row that is refused. */
static const struct setting *read_all(struct conf *c, const char **text)
{
	const char **first = text;
	const struct setting *s;

	memset(c, 0, sizeof(*c));
	for (s = settings; s < settings + CONF_ROWS; s++, text++) {
		*text = secure_getenv(s->variable);
		if (!*text)
			*text = s->initial;
		if (setting_parse(s, c, *text) < 0)
			return s;
	}
	fit_budget(c, first[CONF_ROW_resident_bytes]);
	return NULL;
}

int conf_read(struct conf *c, const char *text[CONF_ROWS], const char **bad)
{
	const struct setting *refused = read_all(c, text);
	unsigned i;

	if (!refused)
		return 0;
	*bad = refused->variable;
	conf_defaults(c);
	for (i = 0; i < CONF_ROWS; i++)
		text[i] = settings[i].initial;
	return -EINVAL;
}

/* ------------------------------------------------------------------ */
/* Ranges								*/

static int refuse(const char *field, const char *why)
{
	log_error("option %s is out of range: %s", field, why);
	return -EINVAL;
}

/* 0 for what is no number: text, and bool. */
static uint64_t number(const struct setting *s, const struct conf *c)
{
	const char *field = (const char *)c + s->offset;
	uint64_t wide = 0;
	unsigned narrow = 0;

	if (s->size == sizeof(wide))
		memcpy(&wide, field, sizeof(wide));
	else if (s->size == sizeof(narrow))
		memcpy(&narrow, field, sizeof(narrow));
	return wide + narrow;
}

/* It may be "auto", and is. */
static bool is_automatic(const struct setting *s, const struct conf *c)
{
	return s->parse == parse_SIZE && strchr(s->words, '|') &&
	       number(s, c) == SETTING_AUTO;
}

static int check_ranges(const struct conf *c)
{
	const struct setting *s;

	for (s = settings; s < settings + CONF_ROWS; s++)
		if (!is_automatic(s, c) && (number(s, c) < s->range.least ||
					    number(s, c) > s->range.most))
			return refuse(s->field, s->range.why);
	return 0;
}

static unsigned count_words(const char *p)
{
	unsigned words = 1;

	for (; *p; p++)
		words += *p == '|';
	return words;
}

/* A program may have put any number into the field of an enum. */
static int check_words(const struct conf *c)
{
	const struct setting *s;

	for (s = settings; s < settings + CONF_ROWS; s++)
		if (s->parse == parse_WORD &&
		    number(s, c) >= count_words(s->words))
			return refuse(s->field, s->words);
	return 0;
}

static int check_together(const struct conf *c)
{
	if (!c->swap_path[0])
		return refuse("swap_path", "it is empty");
	if (c->low_pct > c->high_pct)
		return refuse("low_pct", "it must not exceed high_pct");
	if (c->swap_limit_bytes && c->swap_limit_bytes < PAGE_BYTES)
		return refuse("swap_limit_bytes", "less than a page (4 KiB)");
	if (c->resident_bytes == SETTING_AUTO && c->resident_max_bytes &&
	    c->resident_min_bytes > c->resident_max_bytes)
		return refuse("resident_min_bytes",
			      "it must not exceed resident_max_bytes");
	/* Without a limit this would take the whole file system. */
	if (c->swap_reserve && !c->swap_limit_bytes)
		return refuse("swap_reserve", "it needs swap_limit_bytes");
	return 0;
}

int conf_check(struct conf *c)
{
	int error = check_ranges(c);

	if (!error)
		error = check_words(c);
	if (!error)
		error = check_together(c);
	if (error)
		return error;
	/* Parts of pages are of no use: round down, never past the budget. */
	if (c->resident_bytes != SETTING_AUTO)
		c->resident_bytes = page_floor(c->resident_bytes);
	c->swap_limit_bytes = page_floor(c->swap_limit_bytes);
	/* 0 has a meaning of its own: up */
	c->resident_min_bytes = page_ceil(c->resident_min_bytes);
	c->resident_max_bytes = page_ceil(c->resident_max_bytes);
	return 0;
}
