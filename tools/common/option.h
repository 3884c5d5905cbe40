/* SPDX-License-Identifier: MIT */
/*
 * option.h - options of a tool, or of a sub-command, as one table: the parser
 * and --help both read it.
 */
#ifndef VVM_OPTION_H
#define VVM_OPTION_H

#include <stdbool.h>
#include <stddef.h>

enum opt_kind {
	OPT_END,     /* of the table */
	OPT_HEADING, /* of --help only: a line above those that follow */
	OPT_FLAG,    /* bool, no argument: true */
	OPT_SIZE,    /* uint64_t: bytes, as tool_size() */
	OPT_NUMBER,  /* uint64_t */
	OPT_SIGNED,  /* int64_t, not 0 */
	OPT_REAL,    /* double */
	OPT_WORD,    /* int: index in words */
	OPT_TEXT,    /* const char *, points into argv */
	OPT_TAKE,    /* take() does it, each time that the option is given */
	OPT_REST     /* char **: its argument and all that follows, in argv */
};

struct opt {
	const char *name; /* without the dashes, or NULL */
	char letter;	  /* -x, or 0 */
	enum opt_kind kind;
	size_t offset;	 /* of the field in the struct given to parse */
	const char *arg; /* how --help names the argument; NULL: has none */
	/* The argument may be left out; take() gets NULL then. */
	bool optional;
	const char *help; /* lines, the last without its end */
	double min, max;  /* of SIZE, NUMBER, SIGNED's magnitude, REAL */
	const char *const *words; /* of WORD, ends with NULL */
	/* Of TAKE; option is "--name", for messages. */
	void (*take)(void *fields, const struct opt *o, const char *option,
		     const char *text);
	int value; /* take() may want it */
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
/* f(fields, row, option, text) is called; v is its value. */
#define OPTION_TAKE(c, n, f, v, a, h)                                          \
	{                                                                      \
		.name = n, .letter = c, .kind = OPT_TAKE, .take = f, .arg = a, \
		.value = v, .help = h                                          \
	}
#define OPTION_HEADING(h)                      \
	{                                      \
		.kind = OPT_HEADING, .help = h \
	}

enum opt_operands {
	OPT_ANYWHERE,	 /* among the options, as with GNU's tools */
	OPT_LAST,	 /* the first ends the options, which are its own */
	OPT_AFTER_DASHES /* behind "--" only, and there must be one */
};

/* What --help says besides the options. */
struct opt_command {
	const char *name;	/* of the sub-command; NULL: of the tool */
	const char *args;	/* what follows the options, "" for nothing */
	const char *summary;	/* a sentence or more, lines end with \n */
	const struct opt *opts; /* the last is {.kind = OPT_END} */
	const char *end;	/* of --help, or NULL: how sizes are written */
	enum opt_operands operands;
};

/*
 * Fills the fields from argv. What is no option is moved to argv[1] and up;
 * returns how many those are (with OPT_LAST and OPT_AFTER_DASHES a NULL
 * follows). --help prints and exits 0; an error exits as tool_init() was told.
 */
int opt_parse(const struct opt_command *cmd, void *fields, int argc,
	      char **argv);
/* Says what is wrong and where help is to be found; exits likewise. */
_Noreturn void opt_usage(const struct opt_command *cmd, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
