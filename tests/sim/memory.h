/* SPDX-License-Identifier: MIT */
/*
 * sim/memory.h - pages, as the simulated kernel sees them.
 */
#ifndef SIM_MEMORY_H
#define SIM_MEMORY_H

#include <signal.h>

#include "sim/kernel.h"

enum sim_page_flags {
	SIM_MAPPED = 1,	   /* of the guest view */
	SIM_FRAME = 2,	   /* the memfd has a page there */
	SIM_PRESENT = 4,   /* the page table of the CPU has it */
	SIM_PROTECTED = 8, /* by userfaultfd: an entry, or a marker */
	SIM_POISON = 16,
	SIM_LOCKED = 32, /* mlockall(MCL_FUTURE) when it was mapped */
	SIM_DONTFORK = 64,
	SIM_GUARD = 128, /* a guard marker */
};

struct sim_page {
	uint8_t flags;
	uint8_t prot; /* enum os_prot */
	int16_t uffd; /* -1: not registered */
};

/* NULL: the simulator knows nothing of it. */
struct sim_page *sim_page(uint64_t host);
bool sim_is_guest(uint64_t host);
/* Makes the real protection of a range what the flags say. */
void sim_apply(uint64_t host, uint64_t bytes);
/* The page gets a frame with this content; zeros: NULL. */
void sim_frame_put(struct sim_page *p, uint64_t host, const void *from);
/* Frames of this process's memfd. */
uint64_t sim_frames(void);

/* The handler of SIGSEGV, for all that follows. */
void sim_memory_init(void);
/* In a child of fork(): what it has of the parent's guest view. */
void sim_memory_forked(void);
/* The kernel takes a mapping away, as it may at any time. */
void sim_forget_mapping(void);
/* No page is registered with the descriptor any more. */
void sim_uffd_closed(int fd);
/* Waits in a fault, as an event of its userfaultfd. */
void sim_uffd_wait(struct sim_page *p, uint64_t host, bool write, bool protect);

/*
 * Called before the addresses of a guest range can be used again. False: they
 * must not be.
 */
extern bool (*sim_before_unmap)(uint64_t host, uint64_t bytes);

/*
 * What the program does about SIGSEGV and SIGBUS: it leaves the access, by
 * siglongjmp(), if it has armed `access`.
 */
struct sim_access {
	sigjmp_buf env;
	uint64_t host;
};
extern __thread struct sim_access *sim_access
	__attribute__((tls_model("initial-exec")));

/* As a handler of the program: by siglongjmp(), or the program dies. */
void sim_leave_access(int sig, uint64_t host);
/* Calls the handler that the library has installed. False: none. */
bool sim_signal_library(int sig, siginfo_t *info, void *context);

#endif
