/* SPDX-License-Identifier: MIT */
/*
 * util/conf.c - the settings of a space: defaults, environment, text to value.
 *
 * CONF_SETTINGS in util/conf.h is the only list of settings there is. Here it is
 * expanded once, into an array of `struct setting`: where the field lies in
 * struct conf, and which parser reads its text. Everything else is a loop
 * over that array, defaults included: they are text too and pass through
 * the same parser, so a default that its own parser refuses cannot hide.
 *
 * Terms
 *   field   the name in struct conf, "resident_bytes"
 *   suffix  the name in the environment behind "VVM_", "RESIDENT"
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
 *  (2) A refused text changes nothing, neither its own field nor, for
 *      conf_environment(), any other.
 *
 * Rejected: one hand-written `if` per variable (the usual way). It is the
 * place where documentation, parser and struct drift apart.
 */
#define _GNU_SOURCE 1
#include "util/conf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "parse.h"
#include "util/log.h"
#include "os/os.h"

#define ENV_PREFIX "VVM_"

struct setting {
	const char *field;
	const char *variable; /* with ENV_PREFIX */
	const char *initial;
	const char *words; /* of an ENUM: "auto|uring|sync" */
	size_t offset;
	size_t size;
	int (*parse)(const struct setting *s, const char *text, void *value);
};

/* ------------------------------------------------------------------ */
/* One parser for each type of the table				*/

static int parse_SIZE(const struct setting *s, const char *text, void *value)
{
	(void)s;
	return parse_size(text, os_ram_bytes(), value);
}

static int parse_UINT(const struct setting *s, const char *text, void *value)
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

static int parse_ENUM(const struct setting *s, const char *text, void *value)
{
	const char *word = s->words;
	size_t length = strlen(text);
	int i = 0;

	for (;; i++) {
		size_t n = word_length(word);

		if (n == length && !strncasecmp(word, text, n)) {
			*(int *)value = i;
			return 0;
		}
		if (!word[n])
			return -EINVAL;
		word += n + 1;
	}
}

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

static const struct setting settings[] = {
#define X(type, name, env, def, unit, desc)        \
	{.field = #name,                           \
	 .variable = ENV_PREFIX #env,              \
	 .initial = def,                           \
	 .words = unit,                            \
	 .offset = offsetof(struct conf, name),    \
	 .size = sizeof(((struct conf *)0)->name), \
	 .parse = parse_##type},
	CONF_SETTINGS(X)
#undef X
};

static int setting_parse(const struct setting *s, struct conf *c,
			 const char *text)
{
	return s->parse(s, text, (char *)c + s->offset);
}

void conf_defaults(struct conf *c)
{
	size_t i;

	memset(c, 0, sizeof(*c));
	for (i = 0; i < ARRAY_SIZE(settings); i++)
		ASSERT(setting_parse(&settings[i], c, settings[i].initial) == 0);
}

/* By field or by the part of the variable after VVM_; NULL: none. */
static const struct setting *find(const char *name)
{
	const struct setting *s;

	for (s = settings; s < settings + ARRAY_SIZE(settings); s++)
		if (!strcmp(name, s->field) ||
		    !strcmp(name, s->variable + strlen(ENV_PREFIX)))
			return s;
	return NULL;
}

int conf_set(struct conf *c, const char *name, const char *text)
{
	const struct setting *s = find(name);

	return s ? setting_parse(s, c, text) : -ENOENT;
}

const char *conf_text(const char *field, bool environment)
{
	const struct setting *s = find(field);
	const char *text = NULL;

	ASSERT(s);
	if (environment)
		text = secure_getenv(s->variable);
	return text ? text : s->initial;
}

int conf_environment(struct conf *c, const char **bad)
{
	struct conf next = *c;
	const struct setting *s;

	for (s = settings; s < settings + ARRAY_SIZE(settings); s++) {
		const char *text = secure_getenv(s->variable);

		if (!text || setting_parse(s, &next, text) == 0)
			continue;
		if (bad)
			*bad = s->variable;
		return -EINVAL;
	}
	*c = next;
	return 0;
}

/* ------------------------------------------------------------------ */
/* Bounds								*/

/*
 * X(field, smallest, largest, "what is wrong outside"). For sizes in which 0
 * has a meaning of its own see check_together().
 *
 * handlers: VVM_STAT_ACTORS blocks of counters must do for them, the
 * reclaimers and the application. readahead: 4 MiB of a stream ahead, twice
 * over, are as much as a disk can have in flight. frame_wait_ms: a day is "for
 * ever" to a user and keeps the microseconds far from overflow. 2^47: the
 * host's address space.
 */
#define BOUNDS(X)                                                         \
	X(resident_bytes, PAGE_BYTES, (uint64_t)1 << 47,                  \
	  "the budget is at least a page (4 KiB) and below 128 TiB")      \
	X(swap_limit_bytes, 0, (uint64_t)1 << 50, "the limit is 1 PiB")   \
	X(handlers, 0, 32, "at most 32 handler threads")                  \
	X(high_pct, 0, 50, "at most half of the budget can be kept free") \
	X(frame_wait_ms, 0, 86400000, "at most a day")                    \
	X(spin_us, 0, 1000000, "at most a second")                        \
	X(pollers, 0, 32, "at most 32 reads are polled for")              \
	X(readahead_max_pages, 0, 1024, "at most 1024 pages (4 MiB)")

static int refuse(const char *field, const char *why)
{
	log_error("option %s is out of range: %s", field, why);
	return -EINVAL;
}

static int check_bounds(const struct conf *c)
{
#define X(field, smallest, largest, why) \
	{#field, c->field, smallest, largest, why},
	const struct {
		const char *field;
		uint64_t value, smallest, largest;
		const char *why;
	} bounds[] = {BOUNDS(X)};
#undef X
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bounds); i++)
		if (bounds[i].value < bounds[i].smallest ||
		    bounds[i].value > bounds[i].largest)
			return refuse(bounds[i].field, bounds[i].why);
	return 0;
}

/* A program may have put any int into an ENUM field. */
static int check_words(const struct conf *c)
{
	const struct setting *s;

	for (s = settings; s < settings + ARRAY_SIZE(settings); s++) {
		const char *p;
		unsigned words = 1;
		int value;

		if (s->parse != parse_ENUM)
			continue;
		memcpy(&value, (const char *)c + s->offset, sizeof(value));
		for (p = s->words; *p; p++)
			words += *p == '|';
		if ((unsigned)value >= words)
			return refuse(s->field, s->words);
	}
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
	/* Without a limit this would take the whole file system. */
	if (c->swap_reserve && !c->swap_limit_bytes)
		return refuse("swap_reserve", "it needs swap_limit_bytes");
	return 0;
}

int conf_check(struct conf *c)
{
	int error = check_bounds(c);

	if (!error)
		error = check_words(c);
	if (!error)
		error = check_together(c);
	if (error)
		return error;
	/* Parts of pages are of no use: round down, never past the budget. */
	c->resident_bytes = page_floor(c->resident_bytes);
	c->swap_limit_bytes = page_floor(c->swap_limit_bytes);
	return 0;
}
