/* SPDX-License-Identifier: MIT */
/* signal.h - the signals that the library lives by: see signal.c. */
#ifndef VVM_PRELOAD_SIGNAL_H
#define VVM_PRELOAD_SIGNAL_H

#include <signal.h>
#include <stdbool.h>

/* Around the opening of the space, which may claim some. */
void signals_before_open(void);
void signals_after_open(void);

/* sigaction(2) as the program sees it: of a claimed signal what is kept here. */
int signals_action(int sig, const struct sigaction *new, struct sigaction *old);

/* A few bits, for the claimed signals in a set; 0 where none is claimed. */
unsigned signals_in(const sigset_t *set);
unsigned signals_bit(int sig);
void signals_remove(sigset_t *set);
void signals_add(sigset_t *set, unsigned bits);
/* Is any claimed? */
bool signals_any(void);
/* Are those, by which any access to paged memory may come? */
bool signals_at_faults(void);

/* What this thread believes to have blocked of them; and for a new thread. */
unsigned signals_held(void);
void signals_hold(unsigned bits);
/* The kernel's mask may have some, by other ways than ours. */
void signals_admit(void);
/* libc is about to store the mask there: what is held goes along. */
void signals_note(sigset_t *set);
/* It is about to use such a mask, or the kernel's, or one of the program's. */
void signals_resume(sigset_t *set);

/* A handler of a claimed signal, while it runs. */
struct signals_handled {
	const sigset_t *mask; /* that it goes back to; NULL: none */
	unsigned held;	      /* then */
};
/* The innermost one; what was it before? */
struct signals_handled signals_handle(struct signals_handled now);

#endif
