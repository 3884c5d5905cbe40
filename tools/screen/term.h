/* SPDX-License-Identifier: MIT */
/*
 * term.h - the terminal as a full screen: its mode, size, keys and signals.
 */
#ifndef VVM_TERM_H
#define VVM_TERM_H

#include <stdbool.h>

enum term_event {
	TERM_NONE,   /* nothing to read any more */
	TERM_RESIZE, /* its size may have changed, or the screen is not ours */
	TERM_QUIT,   /* a signal wants us to end; term_end_signal() */
	TERM_KEY_FIRST,
	TERM_UP = TERM_KEY_FIRST,
	TERM_DOWN,
	TERM_LEFT,
	TERM_RIGHT,
	TERM_PAGE_UP,
	TERM_PAGE_DOWN,
	TERM_HOME,
	TERM_END,
	TERM_CHARACTER = ' ', /* and above: an ASCII key; Tab, Enter below */
};

#define TERM_TAB    1000
#define TERM_ENTER  1001
#define TERM_ESCAPE 1002

/*
 * Takes over standard input and output: alternate screen, no echo, no
 * cursor. 0, -ENOTTY, or -errno. From here on every way out of the process
 * but SIGKILL gives the terminal back as it was.
 */
int term_open(void);
/* Gives it back. May be called twice. */
void term_close(void);
/* Readable when term_event() has something to say. */
int term_fd(void);
/* The next event, or TERM_NONE. Does not block. */
int term_event(void);
/* The signal behind TERM_QUIT. */
int term_end_signal(void);
/* 24x80 if the terminal does not tell. */
void term_size(unsigned *rows, unsigned *columns);
/* Does the terminal show UTF-8, by the locale? */
bool term_utf8(void);

#endif
