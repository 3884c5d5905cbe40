/* SPDX-License-Identifier: MIT */
/*
 * sim/sched.h - who runs.
 */
#ifndef SIM_SCHED_H
#define SIM_SCHED_H

#include "sim/kernel.h"

/* What a point costs of the slice: how likely something happens there. */
enum sim_weight {
	SIM_AT_ACCESS = 1, /* of the library to its own memory */
	SIM_AT_ATOMIC = 8,
	SIM_AT_CALL = 64, /* into the kernel */
};

/* What the trace is made of. */
enum sim_event {
	SIM_EV_SWITCH = 1,
	SIM_EV_WAIT,
	SIM_EV_WAKE,
	SIM_EV_FAULT,
	SIM_EV_CALL,
	SIM_EV_FAIL,
	SIM_EV_SIGNAL,
	SIM_EV_DISK,
	SIM_EV_OP,
	SIM_EV_RESULT,
	SIM_EV_FORK,
	SIM_EV_UFFD,
	SIM_EV_MAP,
};

uint64_t sim_random(void);
/* 0 .. n - 1 */
uint64_t sim_below(uint64_t n);
/* True once in n; never for 0. */
bool sim_chance(unsigned n);
/* Around a mean, mostly below it, seldom far above. */
uint64_t sim_around(uint64_t mean);

void sim_trace(enum sim_event what, uint64_t a, uint64_t b);

/* The running thread may be stopped here, or get a signal. */
void sim_point(unsigned weight);
/* The same, and it would rather let others run (sched_yield). */
void sim_yield(void);

/*
 * Waits until sim_wake() of (why, key), or the deadline (0: none), or a signal.
 * 0, -ETIMEDOUT, -EINTR; the handler has run by then.
 */
int sim_wait(enum sim_why why, uint64_t key, uint64_t deadline_ns);
/* Up to count threads of this process that wait so. */
unsigned sim_wake(enum sim_why why, uint64_t key, unsigned count);

/* A new entry for a thread of this process, which can run. */
struct sim_thread *sim_thread_new(const char *name, bool program);
/* Starts a real thread for it; real errno. */
int sim_thread_start(struct sim_thread *t, const pthread_attr_t *attr,
		     void *(*run)(void *), void *arg);
struct sim_thread *sim_thread_of(pthread_t handle);
/* Waits for the thread's end, and joins it. */
void sim_join(pthread_t handle);

/* This process ends here: nobody of it runs any more. Does not return. */
_Noreturn void sim_exit_process(void);
/* In a child of fork(): waits for its turn. */
void sim_child_begins(struct sim_thread *t);

/* The key whose destructor hands the CPU on at a thread's end. */
void sim_sched_init(void);

/* A finding: says so, for the runner, and ends the process. */
_Noreturn void sim_fail(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
/* The program dies of what was made to fail, as it may: the end of the seed. */
_Noreturn void sim_die(void);
/* The program has come a step further. */
void sim_progress(void);

#endif
