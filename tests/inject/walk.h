/* SPDX-License-Identifier: MIT */
/*
 * inject/walk.h - fault injection to the end: each system call of a scenario
 * fails on its n-th use, n from 1 until the scenario is through without meeting
 * the failure. See walk.c.
 */
#ifndef VVM_WALK_H
#define VVM_WALK_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <vvm.h>

#include "os/os.h"

/* Behind the points of os/os.h: the library's malloc, calloc and realloc. */
#define WALK_ALLOC  OS_POINT_COUNT
#define WALK_POINTS (OS_POINT_COUNT + 1)

/* What fails now. */
struct walk_case {
	const char *scenario;
	unsigned point;
	uint64_t n;
	int error;
	bool forever;
	enum vvm_io io; /* for scenarios to open their spaces with */
};

extern struct walk_case walk;

struct walk_scenario {
	const char *name;
	/*
	 * All of it, from opening to closing. Between walk_arm() and
	 * walk_disarm(), which it calls once each, what walk says fails.
	 */
	void (*run)(void);
	/* Where one is given, only these: WALK_END after the last. */
	const unsigned *points;
	/* The same: only these fail for ever, too. */
	const unsigned *forever;
	/* It walks n itself: one run for each point and error. */
	bool itself;
};

#define WALK_END UINT32_MAX

/* For test_program.add: all points that the scenarios reach. */
void walk_add(Suite *suite, const struct walk_scenario *scenarios,
	      unsigned count);

void walk_arm(void);
/* The same in a forked child, whose uses count, too. */
void walk_disarm(void);

/* The errors of a point, 0 after the last; once: not for ever. */
struct walk_error {
	int error;
	bool once;
};

const struct walk_error *walk_errors(unsigned point);
const char *walk_point_name(unsigned point);

/* INJECT_ALL: every error at every n. */
bool walk_all(void);

/* In a child made by fork(): failures are told on stderr, and end with 99. */
void walk_in_child(void);

#endif
