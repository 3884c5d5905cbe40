/* SPDX-License-Identifier: MIT */
/*
 * preload.c - libvvm-preload.so: the heap of an unmodified program in a space.
 *
 * vvmrun names this object in LD_PRELOAD. The dynamic loader then finds our
 * malloc() before libc's, for the program and all its libraries; C++'s new
 * and delete, strdup(), getline() and the like call it, too. A constructor
 * opens a space with a heap, and from then on what the program allocates is
 * paged.
 *
 * Terms. *Paged* memory is the heap's and, with --mmap, that of anonymous
 * mappings (mmap.c). *Ours* is the code in this object: the functions
 * that the program calls instead of libc's, and libvvm itself, which is linked
 * in as a whole (not as libvvm.so: the program may use one of its own).
 *
 * What must never be paged is the memory that a fault needs to be resolved.
 * A handler thread that touched an absent page would wait for itself. So libc's
 * own allocator stays in use beside ours (libc.c) for:
 *   (1) libvvm: the linker's --wrap binds its calls to wrap.c.
 *   (2) libc and liburing, called by libvvm or by us: while such a call lasts
 *	 preload_depth is not 0 in its thread, and malloc() asks. It is never 0
 *	 in libvvm's own threads (thread.c).
 *   (3) the dynamic loader: its data are read by any thread that calls a
 *	 function for the first time or uses thread-local variables, handler
 *	 threads included. The return address tells who calls.
 *   (4) whatever was allocated before the constructor ran;
 *   (5) structures of libc that fork() touches in the child before our handlers
 *	 have run, when the child has no paged memory yet: streams, the second
 *	 level of thread-specific data, name service. They are known by who
 *	 allocates them and, roughly, by their size (malloc.c).
 * free(), realloc() and malloc_usable_size() tell by the address whose a block
 * is, so it does not matter who frees what. Thread stacks and thread-local
 * variables are mapped by libc itself, without our mmap(), and not paged.
 *
 * A program hands paged memory to system calls. With privilege, handler threads
 * resolve the kernel's faults as well. Otherwise the library makes such calls:
 * it traps those that have a pointer into the part of the address space where
 * all paged memory is then (VVM_SYSCALLS_TRAP), and vector.c has those whose
 * pointers are in structures. It traps by a signal, which therefore must be
 * deliverable at any time: signal.c, sigmask.c, altstack.c, birth.c, spawn.c.
 * Where nothing can be trapped, only blocks of 128 KiB or more are paged:
 * paths, structures and the buffers of stdio are not, and what is left is for
 * programs that compute in large arrays.
 *
 * The space is never closed: other destructors and other threads use the heap
 * until the very end, and the kernel takes all back. Only the file with the
 * statistics has to be removed, by our destructor.
 *
 * Rejected: opening the space at the first malloc() (that may be in a signal
 * handler, a vfork child, or the loader); -z initfirst, to be constructed
 * before all other libraries (there is one such place, and it is libc's to
 * give); a bump allocator for ourselves (it would never give back); binding
 * to libc by dlsym(RTLD_NEXT) (it calls malloc, and finds another's).
 */
#include "preload/altstack.h"
#include "preload/env.h"
#include "preload/fd.h"
#include "preload/fork.h"
#include "preload/gate.h"
#include "preload/libc.h"
#include "preload/limits.h"
#include "preload/signal.h"
#include "preload/state.h"
#include "preload/thread.h"
#include "preload/wishes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

/* Where system calls must not meet them: no paths, stdio buffers, structs. */
#define UNTRAPPED_MIN_BYTES ((size_t)128 << 10)

/* As env(1) and nohup(1): the tool itself has failed. */
enum { EXIT_VVMRUN = 125 };

/* ------------------------------------------------------------------ */
/* The dynamic loader, and libc						*/

/* The kernel says where it put the loader. */
static void find_objects(void)
{
	preload.loader = getauxval(AT_BASE);
	if (preload.loader) /* else the loader was started as a program */
		preload.loader_bytes = object_bytes(preload.loader);
	preload.libc = libc_base();
	preload.libc_bytes = object_bytes(preload.libc);
}

/* ------------------------------------------------------------------ */
/* Opening								*/

/* Does the kernel bring pages in for system calls? */
static bool kernel_faults(const struct vvm_options *options)
{
	const unsigned needed = VVM_PROBE_PERMITTED | VVM_PROBE_WP_SHMEM;
	struct vvm_probe probe;

	if (options->faults > VVM_FAULTS_THREAD || vvm_probe(&probe) < 0)
		return false;
	return (probe.flags & (needed | VVM_PROBE_USER_ONLY)) == needed;
}

/*
 * Where it does not, system calls are trapped; where they cannot be, or are not
 * to be (VVM_SYSCALLS=off), they must not meet the heap.
 */
static int open_fitting(struct vvm **vm, struct vvm_options *options)
{
	bool refused = !kernel_faults(options);
	int error;

	if (!getenv("VVM_SYSCALLS") && refused)
		options->syscalls = VVM_SYSCALLS_TRAP;
	error = vvm_open(vm, options);
	if (error && options->syscalls == VVM_SYSCALLS_TRAP &&
	    !getenv("VVM_SYSCALLS")) {
		options->syscalls = VVM_SYSCALLS_OFF;
		error = vvm_open(vm, options);
	}
	preload.traps = options->syscalls == VVM_SYSCALLS_TRAP;
	preload.paged_min = refused && !preload.traps ? UNTRAPPED_MIN_BYTES : 0;
	return error;
}

static int open_space(void)
{
	struct vvm_options options;
	struct vvm *vm;
	int error = vvm_options_init(&options);

	if (error)
		return error;
	preload.inherits = options.fork == VVM_FORK_INHERIT;
	error = open_fitting(&vm, &options);
	if (error)
		return error;
	error = vvm_heap_open(vm, NULL, &preload.heap);
	if (error) {
		vvm_close(vm);
		return error;
	}
	preload.vm = vm;
	preload.paging = true;
	return 0;
}

static bool limited(int what)
{
	struct rlimit limit;

	return getrlimit(what, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

/* The limit that may be meant, behind an error. */
static const char *limit_of(int error)
{
	if (error == -EMFILE)
		return " (ulimit -n: libvvm needs about 25 of its own)";
	if (error == -ENOMEM && limited(RLIMIT_AS))
		return " (ulimit -v: libvvm needs about 200 MiB of addresses)";
	if (error == -ENOMEM && limited(RLIMIT_DATA))
		return " (ulimit -d: libvvm needs about 250 MiB)";
	if (error == -EAGAIN && limited(RLIMIT_NPROC))
		return " (ulimit -u: libvvm has threads of its own)";
	return "";
}

/* The one line of --verbose and --stat. */
static void say_how(const struct wishes *w)
{
	struct vvm_stats stats = {0};
	const char *calls = "the kernel's faults, too";

	if (!w->say || w->pid != preload.pid)
		return;
	if (preload.traps)
		calls = "system calls on paged memory are trapped, and "
			"set-user-ID programs get no privileges";
	else if (preload.paged_min)
		calls = "system calls cannot use blocks of 128K and more";
	vvm_stats(preload.vm, &stats, sizeof(stats));
	preload_say("%s: %s; %s", program_invocation_short_name,
		    stats.guard_faults	  ? "threads resolve their own faults, "
					    "without userfaultfd"
		    : stats.inline_faults ? "threads resolve their own faults"
					  : "handler threads resolve faults",
		    calls);
}

/* What cannot be paged must not run as if it were. */
static void refuse(const struct wishes *w, const char *what, int error)
{
	preload_say("%s: %s: %s%s", program_invocation_short_name, what,
		    vvm_strerror(error), limit_of(error));
	if (w->pid == preload.pid)
		_exit(EXIT_VVMRUN);
	preload_say("%s (process %d) runs without paging",
		    program_invocation_short_name, (int)preload.pid);
}

static void start(const struct wishes *w)
{
	int error;

	preload.follow = w->follow;
	find_objects();
	fd_keep_device();
	limits_before_open();
	signals_before_open();
	error = open_space();
	signals_after_open();
	if (!error)
		error = preload_fork_init();
	limits_after_open();
	if (error) {
		refuse(w, "cannot page its memory", error);
		return;
	}
	preload.mmap_min = w->mmap_min;
	preload_threads_init();
	altstack_init();
	altstack_begin();
	say_how(w);
	if (*w->report)
		preload_report(w->report);
}

/* A program before this one has installed filters of system calls. */
static void inherit_gate(void)
{
	const char *place = secure_getenv(GATE_VARIABLE);

	preload.confined =
		place && gate_inherit((uintptr_t)strtoull(place, NULL, 16));
}

__attribute__((constructor)) static void preload_construct(void)
{
	struct wishes w;

	preload_born = true;
	preload_enter();
	inherit_gate();
	preload.pid = getpid();
	if (wishes_parse(&w, getenv(WISHES_VARIABLE)))
		start(&w);
	else
		refuse(&w, WISHES_VARIABLE, -EINVAL);
	if (!preload.follow)
		preload_hide();
	preload_leave();
}

/* For those who look afterwards: the last figures; and no file is left. */
__attribute__((destructor)) static void preload_destruct(void)
{
	struct vvm_stats last;
	char path[64];

	if (!preload.vm || getpid() != preload.pid)
		return;
	preload_enter();
	if (!preload.child) /* who may not have used it, and should not now */
		vvm_stats(preload.vm, &last, sizeof(last));
	snprintf(path, sizeof(path), VVM_STAT_DIR "/" VVM_STAT_PREFIX "%d.0",
		 (int)preload.pid);
	unlink(path);
	preload_leave();
}
