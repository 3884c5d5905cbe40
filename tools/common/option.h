/* SPDX-License-Identifier: MIT */
/*
 * option.h - options of a sub-command as one table: the parser and --help
 * both read it.
 */
#ifndef VVM_BENCH_OPT_H
#define VVM_BENCH_OPT_H

#include <stddef.h>

enum opt_kind {
	OPT_FLAG,   /* bool, no argument: true */
	OPT_SIZE,   /* uint64_t: bytes, as tool_size() */
	OPT_NUMBER, /* uint64_t */
	OPT_SIGNED, /* int64_t, not 0 */
	OPT_REAL,   /* double */
	OPT_WORD,   /* int: index in words */
	OPT_TEXT    /* const char *, points into argv */
};

struct opt {
	const char *name; /* without the dashes */
	char letter;	  /* -x, or 0 */
	enum opt_kind kind;
	size_t offset;	 /* of the field in the struct given to parse */
	const char *arg; /* how --help names the argument, or NULL */
	const char *help;
	double min, max; /* of SIZE, NUMBER, SIGNED's magnitude, REAL */
	const char *const *words; /* of WORD, ends with NULL */
};

/* Rows of the table: letter, name, offset of the field, ..., help. */
#define OPTION_FLAG(c, n, o, h)                                        \
	{                                                              \
		.name = n, .letter = c, .kind = OPT_FLAG, .offset = o, \
		.help = h                                              \
	}
#define OPTION_TEXT(c, n, o, a, h)                                     \
	{                                                              \
		.name = n, .letter = c, .kind = OPT_TEXT, .offset = o, \
		.arg = a, .help = h                                    \
	}
#define OPTION_WORD(c, n, o, a, w, h)                                  \
	{                                                              \
		.name = n, .letter = c, .kind = OPT_WORD, .offset = o, \
		.arg = a, .words = w, .help = h                        \
	}
/* k: SIZE, NUMBER, SIGNED or REAL; lo to hi: what is allowed. */
#define OPTION_RANGE(c, n, o, k, a, lo, hi, h)                        \
	{                                                             \
		.name = n, .letter = c, .kind = OPT_##k, .offset = o, \
		.arg = a, .min = lo, .max = hi, .help = h             \
	}

/* What --help says besides the options. */
struct opt_command {
	const char *name;	/* of the sub-command */
	const char *args;	/* what follows the options, "" for nothing */
	const char *summary;	/* a sentence or more, lines end with \n */
	const struct opt *opts; /* ends with a NULL name */
};

/*
 * Fills the fields from argv and returns the index of the first argument
 * that is not an option (they may stand anywhere: argv is permuted).
 * --help prints and exits 0; an error exits TOOL_USAGE with a hint.
 */
int opt_parse(const struct opt_command *cmd, void *fields, int argc,
	      char **argv);
/* Says what is wrong and where help is to be found; exits TOOL_USAGE. */
_Noreturn void opt_usage(const struct opt_command *cmd, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
