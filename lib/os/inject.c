/* SPDX-License-Identifier: MIT */
/*
 * os/inject.c - making the kernel fail on purpose.
 *
 * An error path that no test has walked does not work. Each function of os/os.h
 * that can fail asks os_inject_check() first, with the point it belongs to;
 * a test arms a point so that its n-th use fails, and walks n upwards until
 * the work succeeds without meeting the failure.
 *
 * Points by function, where the name does not say it: os_map_fixed,
 * os_map_anon and os_map_shared are "map"; os_unmap and os_unmap_keep "unmap";
 * os_pagemap_open and _present "pagemap"; os_uffd_probe and _open "uffd_open";
 * os_set_direct "open"; os_futex_wait "futex"; os_sigbus_thread "sigqueue";
 * os_claim_file "claim" and os_file_claimed "claimed"; the wait of io_uring
 * "ring_enter", and its transfers "pread" and "pwrite". Not injected is what
 * the kernel does not refuse to who calls it rightly: os_close, the eventfd
 * operations, FUTEX_WAKE, what reads clocks, signal actions and masks; and
 * pthread_atfork(3), which is called before main().
 *
 * (1) Each point's plan is one atomic word, so that a use sees either the
 *     old plan or the new: error in bits 0-11, how many uses fail in bits
 *     12-15, where 15 is "for ever", and the first of them, counted as `uses`
 *     is, above. 0 is no plan.
 * (2) active != 0 if and only if some plan is not 0 or os_inject_clear() was
 *     called; uses are counted only then, which keeps the cost of a use at
 *     one relaxed load in production.
 *
 * This is state outside `struct vvm`, against the rule, because what it
 * breaks are process-wide calls: most happen where no space is at hand, and
 * a test wants the n-th call of the process. It is atomics only, as uses
 * come from every thread and from signal handlers.
 *
 * Rejected: LD_PRELOAD shims around libc (they miss raw system calls, and
 * cannot be used with sanitizers and static linking), and #ifdef'd test
 * builds (what is tested should be what is shipped).
 */
#include "os/os.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define PLAN_ERROR_MASK	 0xfffu
#define PLAN_COUNT_SHIFT 12
#define PLAN_COUNT_MASK	 0xfu
#define PLAN_FOREVER	 0xfu
#define PLAN_SHIFT	 16
#define PLAN_NTH_MAX	 ((UINT64_C(1) << 48) - 1)
/* The kernel's MAX_ERRNO. */
#define ERRNO_MAX 4095

struct point {
	_Atomic uint64_t uses; /* (a) */
	_Atomic uint64_t plan; /* (a) see (1) */
};

static struct point points[OS_POINT_COUNT];
static _Atomic int active;   /* (a) plans, + 1 when counting; see (2) */
static _Atomic int counting; /* (a) 0 or 1 */

static const char *const point_names[OS_POINT_COUNT] = {
#define X(name) #name,
	OS_POINTS(X)
#undef X
};

/* clang-format off */
#define ERRORS(X) \
	X(EPERM) X(ENOENT) X(ESRCH) X(EINTR) X(EIO) X(ENXIO) X(EBADF) \
	X(EAGAIN) X(ENOMEM) X(EACCES) X(EFAULT) X(EBUSY) X(EEXIST) \
	X(ENODEV) X(ENOTDIR) X(EISDIR) X(EINVAL) X(ENFILE) X(EMFILE) \
	X(ENOTTY) X(EFBIG) X(ENOSPC) X(EROFS) X(ENOSYS) X(ELOOP) \
	X(EOVERFLOW) X(EOPNOTSUPP) X(ETIMEDOUT) X(ESTALE) X(EREMOTEIO) \
	X(EDQUOT)
/* clang-format on */

/* Names and numbers, by the same index. */
static const char *const error_names[] = {
#define X(name) #name,
	ERRORS(X)
#undef X
};

static const int error_numbers[] = {
#define X(name) name,
	ERRORS(X)
#undef X
};

/* Installs a plan and keeps (2). */
static void plan_set(struct point *p, uint64_t plan)
{
	uint64_t old = atomic_exchange(&p->plan, plan);

	if (!old && plan)
		atomic_fetch_add(&active, 1);
	else if (old && !plan)
		atomic_fetch_sub(&active, 1);
}

static void arm(enum os_point point, uint64_t nth, unsigned count, int error)
{
	struct point *p = &points[point];
	uint64_t plan = 0;

	ASSERT(point < OS_POINT_COUNT && error >= 0 && error <= ERRNO_MAX);
	if (error) {
		nth += atomic_load(&p->uses);
		plan = MIN(nth, PLAN_NTH_MAX) << PLAN_SHIFT |
		       count << PLAN_COUNT_SHIFT | (unsigned)error;
	}
	plan_set(p, plan);
}

void os_inject(enum os_point point, uint64_t nth, bool forever, int error)
{
	arm(point, nth, forever ? PLAN_FOREVER : 1, error);
}

void os_inject_some(enum os_point point, uint64_t nth, unsigned count,
		    int error)
{
	ASSERT(count > 0 && count < PLAN_FOREVER);
	arm(point, nth, count, error);
}

void os_inject_clear(void)
{
	unsigned i;

	if (!atomic_exchange(&counting, 1))
		atomic_fetch_add(&active, 1);
	for (i = 0; i < OS_POINT_COUNT; i++) {
		plan_set(&points[i], 0);
		atomic_store(&points[i].uses, 0);
	}
}

uint64_t os_inject_uses(enum os_point point)
{
	return atomic_load(&points[point].uses);
}

static int check_active(struct point *p)
{
	uint64_t use = atomic_fetch_add(&p->uses, 1) + 1;
	uint64_t plan = atomic_load(&p->plan);
	uint64_t nth = plan >> PLAN_SHIFT;
	unsigned count = plan >> PLAN_COUNT_SHIFT & PLAN_COUNT_MASK;

	if (plan && use >= nth && (count == PLAN_FOREVER || use < nth + count))
		return -(int)(plan & PLAN_ERROR_MASK);
	return 0;
}

int os_inject_check(enum os_point point)
{
	if (likely(!atomic_load_explicit(&active, memory_order_relaxed)))
		return 0;
	return check_active(&points[point]);
}

/* ---- [@]NAME:N[+]:ERROR, ... ---- */

struct order {
	unsigned point;
	uint64_t nth;
	bool early, forever;
	int error;
};

/* Reads a decimal number <= max into *value; returns its end or NULL. */
static const char *parse_number(const char *s, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;

	if (*s < '0' || *s > '9')
		return NULL;
	for (; *s >= '0' && *s <= '9'; s++) {
		v = v * 10 + (uint64_t)(*s - '0');
		if (v > max)
			return NULL;
	}
	*value = v;
	return s;
}

static bool same(const char *name, const char *s, size_t length)
{
	return strlen(name) == length && memcmp(name, s, length) == 0;
}

static const char *parse_point(const char *s, unsigned *point)
{
	size_t length = strcspn(s, ":,");
	unsigned i;

	for (i = 0; i < OS_POINT_COUNT; i++) {
		if (same(point_names[i], s, length)) {
			*point = i;
			return s + length;
		}
	}
	return NULL;
}

/* An errno name or number, up to a comma or the end. */
static const char *parse_error(const char *s, int *error)
{
	size_t length = strcspn(s, ",");
	uint64_t number;
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(error_names); i++) {
		if (same(error_names[i], s, length)) {
			*error = error_numbers[i];
			return s + length;
		}
	}
	s = parse_number(s, ERRNO_MAX, &number);
	if (!s || number == 0 || (*s && *s != ','))
		return NULL;
	*error = (int)number;
	return s;
}

/* One [@]NAME:N[+]:ERROR; returns where it ends, NULL if it is none. */
static const char *parse_order(const char *s, struct order *o)
{
	o->early = *s == '@';
	s = parse_point(s + o->early, &o->point);
	if (!s || *s++ != ':')
		return NULL;
	s = parse_number(s, PLAN_NTH_MAX, &o->nth);
	if (!s || o->nth == 0)
		return NULL;
	o->forever = *s == '+';
	s += o->forever;
	if (*s++ != ':')
		return NULL;
	return parse_error(s, &o->error);
}

/* Parses all of spec, arming as it goes if told to. */
static int parse_spec(const char *spec, bool arm, bool early)
{
	struct order o;

	while (*spec) {
		spec = parse_order(spec, &o);
		if (!spec)
			return -EINVAL;
		if (*spec == ',' && !*++spec)
			return -EINVAL; /* a comma promises one more */
		if (arm && o.early == early)
			os_inject(o.point, o.nth, o.forever, o.error);
	}
	return 0;
}

/* Twice over the text, so that a wrong one arms nothing. "" is right. */
int os_inject_parse(const char *spec, bool early)
{
	int error = parse_spec(spec, false, early);

	return error ? error : parse_spec(spec, true, early);
}
