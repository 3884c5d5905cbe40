/* SPDX-License-Identifier: MIT */
/*
 * option.c - options of a sub-command, from one table.
 *
 * The table names each option, its type, the field that it fills and its
 * help; getopt_long() does the scanning, on arrays made from the table. An
 * option's value in getopt's terms is its index plus FIRST, which lies above
 * every letter; a letter is looked up again. Values are checked as they are
 * read, what depends on several options is the sub-command's to check.
 */
#include "common/option.h"

#include "common/tool.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 40, FIRST = 256, HELP = FIRST + MAX_OPTIONS };

_Noreturn void opt_usage(const struct opt_command *cmd, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tool_warn("%s: %s", cmd->name, text);
	tool_die(TOOL_USAGE, "try 'vvmbench %s --help'", cmd->name);
}

/* ------------------------------------------------------------------ */
/* Help									*/

static void print_words(const char *const *words)
{
	for (; *words; words++)
		printf("%s%s", *words, words[1] ? "|" : "");
}

static void print_option(const struct opt *o)
{
	char left[64], letter[8] = "";

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	snprintf(left, sizeof(left), "%s--%s %s", letter, o->name,
		 o->arg ? o->arg : "");
	printf("  %-22s %s", left, o->help);
	if (o->words) {
		printf(": ");
		print_words(o->words);
	}
	putchar('\n');
}

static void print_help(const struct opt_command *cmd)
{
	const struct opt *o;

	printf("usage: vvmbench %s [options]%s%s\n\n%s\n", cmd->name,
	       *cmd->args ? " " : "", cmd->args, cmd->summary);
	for (o = cmd->opts; o->name; o++)
		print_option(o);
	printf("  %-22s %s\n", "--help", "this text");
	printf("\nSizes take a suffix: 4096, 64k, 256M, 1.5G.\n");
}

/* ------------------------------------------------------------------ */
/* Values								*/

_Noreturn static void unknown_word(const char *option, const struct opt *o,
				   const char *text)
{
	char words[200] = "";
	int i;

	for (i = 0; o->words[i]; i++) {
		size_t used = strlen(words);

		snprintf(words + used, sizeof(words) - used, "%s%s",
			 i ? ", " : "", o->words[i]);
	}
	tool_die(TOOL_USAGE, "%s: '%s' is not one of %s", option, text, words);
}

static int find_word(const char *option, const struct opt *o, const char *text)
{
	int i;

	for (i = 0; o->words[i]; i++)
		if (!strcmp(o->words[i], text))
			return i;
	unknown_word(option, o, text);
}

static uint64_t read_size(const char *option, const struct opt *o,
			  const char *text)
{
	uint64_t bytes = tool_size(option, text);

	if ((double)bytes < o->min || (double)bytes > o->max)
		tool_die(TOOL_USAGE, "%s: %s is not from %.0f to %.0f bytes",
			 option, text, o->min, o->max);
	return bytes;
}

static int64_t read_signed(const char *option, const struct opt *o,
			   const char *text)
{
	int minus = *text == '-';
	uint64_t value = tool_number(option, text + minus, 1, (uint64_t)o->max);

	return minus ? -(int64_t)value : (int64_t)value;
}

static void set_field(const struct opt *o, void *fields, const char *text)
{
	void *field = (char *)fields + o->offset;
	char option[40];

	snprintf(option, sizeof(option), "--%s", o->name);
	switch (o->kind) {
	case OPT_FLAG:
		*(bool *)field = true;
		break;
	case OPT_SIZE:
		*(uint64_t *)field = read_size(option, o, text);
		break;
	case OPT_NUMBER:
		*(uint64_t *)field = tool_number(option, text, (uint64_t)o->min,
						 (uint64_t)o->max);
		break;
	case OPT_SIGNED:
		*(int64_t *)field = read_signed(option, o, text);
		break;
	case OPT_REAL:
		*(double *)field = tool_real(option, text, o->min, o->max);
		break;
	case OPT_WORD:
		*(int *)field = find_word(option, o, text);
		break;
	case OPT_TEXT:
		*(const char **)field = text;
		break;
	}
}

/* ------------------------------------------------------------------ */
/* Scanning								*/

/* getopt's arrays, made from the table. */
struct scanner {
	struct option longs[MAX_OPTIONS + 2];
	char shorts[2 * MAX_OPTIONS + 1];
};

static void add_short(char **at, const struct opt *o)
{
	if (!o->letter)
		return;
	*(*at)++ = o->letter;
	if (o->kind != OPT_FLAG)
		*(*at)++ = ':';
}

static void make_scanner(struct scanner *s, const struct opt *opts)
{
	char *at = s->shorts;
	int i;

	memset(s, 0, sizeof(*s));
	for (i = 0; opts[i].name && i < MAX_OPTIONS; i++) {
		s->longs[i].name = opts[i].name;
		s->longs[i].has_arg = opts[i].kind != OPT_FLAG;
		s->longs[i].val = FIRST + i;
		add_short(&at, &opts[i]);
	}
	s->longs[i].name = "help";
	s->longs[i].val = HELP;
}

static const struct opt *find_option(const struct opt *opts, int value)
{
	const struct opt *o;

	if (value >= FIRST)
		return &opts[value - FIRST];
	for (o = opts; o->name; o++)
		if (o->letter == value)
			return o;
	return NULL;
}

int opt_parse(const struct opt_command *cmd, void *fields, int argc,
	      char **argv)
{
	struct scanner s;
	int value;

	make_scanner(&s, cmd->opts);
	opterr = 0;
	optind = 1;
	while ((value = getopt_long(argc, argv, s.shorts, s.longs, NULL)) !=
	       -1) {
		if (value == HELP) {
			print_help(cmd);
			exit(TOOL_OK);
		}
		if (value == '?')
			opt_usage(cmd, "'%s' is no option, or lacks a value",
				  argv[optind - 1]);
		set_field(find_option(cmd->opts, value), fields, optarg);
	}
	return optind;
}
