/* SPDX-License-Identifier: MIT */
/*
 * door/table.h - the system calls that take pointers, and what is behind these.
 * One table, many readers: the door, its filter, the tests.
 */
#ifndef VVM_DOOR_TABLE_H
#define VVM_DOOR_TABLE_H

#include "base.h"

enum arg_kind {
	ARG_VALUE,   /* no pointer, or an address that is not looked at */
	ARG_IN,	     /* the kernel reads it */
	ARG_OUT,     /* it writes all of it, if it succeeds */
	ARG_INOUT,   /* anything else: what it has changed comes back */
	ARG_TEXT,    /* a string */
	ARG_SPECIAL, /* the call's own function knows */
};

/* How long it is; `of` is the number of an argument. */
enum arg_length {
	LENGTH_FIXED,  /* size */
	LENGTH_TIMES,  /* argument `of` times size */
	LENGTH_RESULT, /* the same; of what is written, the result times size */
	LENGTH_MESSAGE, /* a word, and argument `of` bytes; the result alike */
	LENGTH_POINTED, /* the socklen_t that argument `of` points to */
	LENGTH_BITS,	/* argument `of` bits, in words of 8 bytes */
	LENGTH_PAGES,	/* a byte for each page of argument `of` bytes */
	LENGTH_HEADED, /* size, and what the 32-bit word at its offset `of` says */
};

struct call_arg {
	uint8_t kind, length, of;
	uint16_t size;
	uint32_t most; /* bytes that the kernel looks at; 0: as many as it is */
};

/* Calls with a function of their own: door/door.c. */
#define DOOR_WAYS(X)  \
	X(copy)       \
	X(single)     \
	X(vector)     \
	X(vmsplice)   \
	X(process_vm) \
	X(message)    \
	X(messages)   \
	X(exec)       \
	X(futex)      \
	X(futexes)    \
	X(true)       \
	X(pin)        \
	X(ioctl)      \
	X(fcntl)      \
	X(prctl)      \
	X(arch_prctl) \
	X(ptrace)     \
	X(semctl)     \
	X(getsockopt) \
	X(setsockopt) \
	X(poll)       \
	X(futex2)     \
	X(xattrat)    \
	X(quotactl)   \
	X(keyctl)     \
	X(pselect)    \
	X(perf)       \
	X(seccomp)    \
	X(sigmask)    \
	X(sigaltstack)

enum door_way {
#define X(way) WAY_##way,
	DOOR_WAYS(X)
#undef X
};

struct call {
	const char *name; /* NULL: no such row */
	enum door_way way;
	bool writes; /* of single ... messages: the kernel reads the data */
	int offset;  /* of single and vector: the argument that is one; 0 */
	struct call_arg arg[6];
};

/* NULL: the table does not know it: it takes no pointer, or is a new one. */
const struct call *call_find(long nr);
/* Is it one of those that take no pointer that matters? */
bool call_is_plain(long nr);
/* Those of which either is true are below this. */
#define CALLS_END 512

#endif
