/* SPDX-License-Identifier: MIT */
/*
 * sim/kernel.h - the state of the simulated kernel: threads, processes,
 * descriptors, disk requests, clock, random numbers. It lies in memory that
 * all simulated processes share (forks are real ones). Exactly one thread of
 * all of them runs at any time, so nothing here needs a lock.
 */
#ifndef SIM_KERNEL_H
#define SIM_KERNEL_H

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>

#include "base.h"
#include "vvm.h"

#define SIM_THREADS  64
#define SIM_PROCS    8
#define SIM_FDS	     256
#define SIM_REQUESTS 512
#define SIM_POLLS    64
#define SIM_TRACE    256
#define SIM_TID	     1000 /* os_tid() of thread 0 */

/* What a thread waits for. */
enum sim_why {
	SIM_RUN, /* nothing: it can run */
	SIM_FUTEX,
	SIM_POLL, /* descriptors, and requests of a ring */
	SIM_SLEEP,
	SIM_FAULT, /* a page: fault_* */
	SIM_JOIN,  /* the end of another thread */
	SIM_CHILD, /* the end of another process */
	SIM_GATE,  /* the program's own: until somebody wakes `key` */
	SIM_DEAD
};

struct sim_thread {
	bool used;
	bool program;	   /* not one of the library's: takes signals */
	bool woken;	   /* what it waits for has come */
	bool interrupted;  /* by a signal */
	bool signals_open; /* when it began to wait */
	bool fault_read, fault_write, fault_protect;
	bool sigbus;	/* one is queued for it */
	uint8_t rounds; /* of destructors that have run at its end */
	uint8_t slot;	/* the program's: whose words */
	int proc;
	char name[16];
	_Atomic uint32_t gate; /* 1: it has the CPU */
	enum sim_why why;
	uint64_t key;
	uint64_t deadline_ns; /* 0: none */
	unsigned poll_count;
	int polls[SIM_POLLS];
	unsigned ring; /* whose requests it polls for; 0: none */
	uint64_t fault_addr;
	int fault_uffd;
	uint64_t sigbus_addr;
	uint64_t access_at; /* of the program, in progress; 0: none */
	uint64_t priority;
	int tid; /* the real one */
	pthread_t handle;
	void *(*run)(void *);
	void *arg;
	const char *doing; /* the program's operation */
};

enum sim_file_kind {
	SIM_NO_FILE,
	SIM_EVENT,
	SIM_UFFD,
	SIM_PIPE_READ,
	SIM_PIPE_WRITE,
	SIM_EPOLL,
	SIM_FRAMES, /* the memfd of a space */
	SIM_SWAP,
	SIM_OTHER
};

struct sim_file {
	enum sim_file_kind kind;
	bool sigbus;		    /* UFFD: the feature */
	uint64_t id;		    /* PIPE_*: which; EVENT: its counter */
	uint64_t set[SIM_FDS / 64]; /* EPOLL: members */
};

struct sim_proc {
	bool used, gone;
	struct sim_file file[SIM_FDS];
};

/* A transfer that the disk has; the rest is known to the ring's owner. */
struct sim_request {
	bool used;
	int proc;
	unsigned ring;
	uint64_t due_ns;
};

/* How a seed schedules. */
enum sim_strategy {
	SIM_UNIFORM,  /* any runnable thread */
	SIM_STICKY,   /* mostly the one that ran last */
	SIM_PRIORITY, /* the first of an order that changes now and then (PCT) */
	SIM_STARVE,   /* uniform, but one thread nearly never */
	SIM_STRATEGIES
};

/* Drawn for each seed: sim/setup.c. */
struct sim_params {
	enum sim_strategy strategy;
	unsigned slice;	      /* mean points between two decisions */
	unsigned signals;     /* 1 of so many decisions sends one; 0: none */
	unsigned failures;    /* 1 of so many calls fails; 0: none */
	unsigned disk_errors; /* 1 of so many transfers; 0: none */
	unsigned disk_us;     /* mean latency */
	unsigned jumps;	      /* 1 of so many decisions ends a timeout early */
	unsigned unmaps;      /* 1 of so many: the kernel forgets a mapping */
	bool poison;	      /* the kernel has UFFDIO_POISON */
	bool locked;	      /* mlockall(MCL_FUTURE) before all */
	/* the space */
	enum vvm_faults faults;
	bool inherit, sync_io;
	unsigned handlers, budget, pages, readahead, swap_pages, pollers;
	/* the program */
	unsigned threads, ops;
	bool heap, forks, hardened;
	unsigned object_bytes; /* of most objects; 0: any */
	bool low_space;	       /* swap is small, and the program makes room */
};

struct sim_kernel {
	uint64_t seed, random;
	uint64_t hash; /* of the trace so far */
	uint64_t now_ns;
	int64_t budget;	 /* points until the next decision */
	uint64_t points; /* where a thread could have been stopped */
	uint64_t decisions, switches, signals, failures, faults, forks;
	uint64_t progress; /* decisions at the program's last step */
	uint64_t progress_ns;
	uint64_t ops;
	uint64_t low_priority; /* the next that is lower than all */
	int current;	       /* thread */
	int starved;	       /* thread */
	int dying_tid;	       /* real: it runs without the baton */
	bool fail;	       /* calls may fail */
	bool frozen;	       /* nobody else runs: for checks */
	bool verbose;
	bool dumping;
	bool died; /* as it may */
	unsigned rings, pipes;
	/* no entry from there on was ever used */
	unsigned thread_end, request_end;
	unsigned trace_at;
	struct sim_params params;
	struct sim_thread thread[SIM_THREADS];
	struct sim_proc proc[SIM_PROCS];
	struct sim_request request[SIM_REQUESTS];
	/* the verdict */
	_Atomic int failed;
	char message[1024];
	struct {
		int16_t thread;
		uint16_t what;
		uint64_t a, b;
		uint64_t decision;
	} trace[SIM_TRACE];
};

extern struct sim_kernel *K;
extern __thread struct sim_thread *sim_self
	__attribute__((tls_model("initial-exec")));
extern int sim_proc; /* the number of this process */

#endif
