/* SPDX-License-Identifier: MIT */
/*
 * option.c - options of a tool, or of a sub-command, from one table.
 *
 * The table names each option, its type, the field that it fills and its
 * help; getopt_long() does the scanning, on arrays made from the table. An
 * option's value in getopt's terms is its index plus FIRST, which lies above
 * every letter; a letter is looked up again. Values are checked as they are
 * read, what depends on several options is the caller's to check.
 *
 * getopt is asked to return operands where they stand ('-'), not to permute
 * argv: an option may take the rest of the line (OPT_REST).
 */
#include "common/option.h"

#include "common/tool.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPTION_BYTES = 40,
	MAX_OPTIONS = 40,
	FIRST = 256,
	HELP = FIRST + MAX_OPTIONS
};

/* Columns of --help before the options' help. */
#define HELP_COLUMN 24

/* "vvmbench run", "vvmstat". */
static const char *full_name(const struct opt_command *cmd, char buf[64])
{
	snprintf(buf, 64, "%s%s%s", tool_program(), cmd->name ? " " : "",
		 cmd->name ? cmd->name : "");
	return buf;
}

_Noreturn void opt_usage(const struct opt_command *cmd, const char *fmt, ...)
{
	char text[512], name[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tool_warn("%s%s%s", cmd->name ? cmd->name : "", cmd->name ? ": " : "",
		  text);
	tool_usage("try '%s --help'", full_name(cmd, name));
}

/* ------------------------------------------------------------------ */
/* Help									*/

static void print_words(const char *const *words)
{
	for (; *words; words++)
		printf("%s%s", *words, words[1] ? "|" : "");
}

/* "-x, --name ARG"; the argument in brackets if it may be left out. */
static void print_left(const struct opt *o)
{
	char left[64], arg[40] = "";

	if (o->arg)
		snprintf(arg, sizeof(arg), o->optional ? "[=%s]" : " %s",
			 o->arg);
	if (o->letter)
		snprintf(left, sizeof(left), "-%c%s%s%s", o->letter,
			 o->name ? ", --" : "", o->name ? o->name : "", arg);
	else
		snprintf(left, sizeof(left), "    --%s%s", o->name, arg);
	printf("  %-*s ", HELP_COLUMN - 3, left);
}

static void print_option(const struct opt *o)
{
	const char *line = o->help, *end;

	if (o->kind == OPT_HEADING) {
		puts(o->help);
		return;
	}
	print_left(o);
	for (; (end = strchr(line, '\n')); line = end + 1)
		printf("%.*s\n%*s", (int)(end - line), line, HELP_COLUMN, "");
	fputs(line, stdout);
	if (o->words) {
		printf(": ");
		print_words(o->words);
	}
	putchar('\n');
}

static void print_help(const struct opt_command *cmd)
{
	static const struct opt help = {.name = "help", .help = "this text"};
	const struct opt *o;
	char name[64];

	printf("usage: %s [options]%s%s\n\n%s\n", full_name(cmd, name),
	       *cmd->args ? " " : "", cmd->args, cmd->summary);
	for (o = cmd->opts; o->kind != OPT_END; o++)
		print_option(o);
	print_option(&help);
	printf("\n%s", cmd->end ? cmd->end
				: "Sizes take a suffix: 4096, 64k, 256M, "
				  "1.5G; 25% is of the RAM\n"
				  "that this process may use (its memory "
				  "cgroup's limit).\n");
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
	tool_usage("%s: '%s' is not one of %s", option, text, words);
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
		tool_usage("%s: %s is not from %.0f to %.0f bytes", option,
			   text, o->min, o->max);
	return bytes;
}

static int64_t read_signed(const char *option, const struct opt *o,
			   const char *text)
{
	int minus = *text == '-';
	uint64_t value = tool_number(option, text + minus, 1, (uint64_t)o->max);

	return minus ? -(int64_t)value : (int64_t)value;
}

/* "--name", or "-x" if it has no name. */
static void option_text(const struct opt *o, char text[OPTION_BYTES])
{
	if (o->name)
		snprintf(text, OPTION_BYTES, "--%s", o->name);
	else
		snprintf(text, OPTION_BYTES, "-%c", o->letter);
}

/* rest: where in argv the value stands. */
static void set_field(const struct opt *o, void *fields, char *text,
		      char **rest)
{
	void *field = (char *)fields + o->offset;
	char option[OPTION_BYTES];

	option_text(o, option);
	switch (o->kind) {
	case OPT_END:
	case OPT_HEADING:
		break;
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
	case OPT_TAKE:
		o->take(fields, o, option, text);
		break;
	case OPT_REST:
		rest[0] = text; /* as in "-eprogram" */
		*(char ***)field = rest;
		break;
	}
}

/* ------------------------------------------------------------------ */
/* Scanning								*/

/* getopt's arrays, made from the table. */
struct scanner {
	struct option longs[MAX_OPTIONS + 2];
	char shorts[3 * MAX_OPTIONS + 3];
};

static int has_arg(const struct opt *o)
{
	if (!o->arg)
		return no_argument;
	return o->optional ? optional_argument : required_argument;
}

static void add_short(struct scanner *s, const struct opt *o)
{
	static const char *const colons[] = {
		[no_argument] = "",
		[required_argument] = ":",
		[optional_argument] = "::",
	};
	char *at = s->shorts + strlen(s->shorts);

	if (o->letter)
		sprintf(at, "%c%s", o->letter, colons[has_arg(o)]);
}

/* ':': what lacks its value is told from what is unknown. */
static void make_scanner(struct scanner *s, const struct opt_command *cmd)
{
	const struct opt *o = cmd->opts;
	struct option *at = s->longs;

	memset(s, 0, sizeof(*s));
	strcpy(s->shorts, cmd->operands == OPT_ANYWHERE ? "-:" : "+:");
	for (; o->kind != OPT_END; o++) {
		add_short(s, o);
		if (o->name)
			*at++ = (struct option){.name = o->name,
						.has_arg = has_arg(o),
						.val = FIRST +
						       (int)(o - cmd->opts)};
	}
	*at = (struct option){.name = "help", .val = HELP};
}

static const struct opt *find_option(const struct opt *opts, int value)
{
	const struct opt *o;

	if (value >= FIRST)
		return &opts[value - FIRST];
	for (o = opts; o->kind != OPT_END; o++)
		if (o->letter == value)
			return o;
	return NULL;
}

/* error: ':' or '?', as getopt has it; word: where it stopped. */
_Noreturn static void refuse(const struct opt_command *cmd, int error,
			     const char *word)
{
	const struct opt *o = optopt && optopt != HELP
				      ? find_option(cmd->opts, optopt)
				      : NULL;
	char option[OPTION_BYTES];

	if (o)
		option_text(o, option);
	if (o && error == ':')
		opt_usage(cmd, "%s needs a value", option);
	if (o)
		opt_usage(cmd, "%s takes no value", option);
	if (optopt && optopt < FIRST)
		opt_usage(cmd, "'-%c' is no option", optopt);
	opt_usage(cmd, "'%s' is no option", word);
}

static void take_option(const struct opt_command *cmd, void *fields, int value,
			int argc, char **argv)
{
	const struct opt *o;

	if (value == HELP) {
		print_help(cmd);
		exit(TOOL_OK);
	}
	if (value == '?' || value == ':')
		refuse(cmd, value, argv[optind - 1]);
	o = find_option(cmd->opts, value);
	if (!o)
		abort(); /* getopt_long() takes only those of the table */
	set_field(o, fields, optarg, argv + optind - 1);
	if (o->kind == OPT_REST)
		optind = argc;
}

int opt_parse(const struct opt_command *cmd, void *fields, int argc,
	      char **argv)
{
	struct scanner s;
	int value, n = 0;

	make_scanner(&s, cmd);
	opterr = 0;
	optind = 0; /* begin anew, glibc's way */
	while ((value = getopt_long(argc, argv, s.shorts, s.longs, NULL)) !=
	       -1) {
		if (value == 1)
			argv[++n] = optarg; /* its place has been read */
		else
			take_option(cmd, fields, value, argc, argv);
	}
	if (cmd->operands == OPT_AFTER_DASHES &&
	    (optind == argc || strcmp(argv[optind - 1], "--")))
		opt_usage(cmd, "the command comes after '--'");
	for (; optind < argc; optind++)
		argv[++n] = argv[optind];
	if (cmd->operands != OPT_ANYWHERE)
		argv[n + 1] = NULL;
	return n;
}
