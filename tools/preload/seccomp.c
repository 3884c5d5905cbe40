/* SPDX-License-Identifier: MIT */
/*
 * seccomp.c - filters of system calls that the program installs.
 *
 * Each is installed with a head (gate.c) that permits what the library does.
 * That is done for prctl(2) and for syscall(SYS_seccomp), by which all libraries
 * for it work. A filter that is installed by an instruction of the program's
 * own, or that was there before the program, has no such head.
 *
 * The strict mode becomes a filter that does the same.
 *
 * A filter may kill the thread that breaks it. Where the program had no other,
 * that was its end; now our threads would live on, with its descriptors. So
 * one begins to watch over its main thread: thread.c.
 */
#include "preload/direct.h"
#include "preload/gate.h"
#include "preload/libc.h"
#include "preload/part.h"
#include "preload/rawfork.h"
#include "preload/state.h"
#include "preload/thread.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* BPF_MAXINSNS */
enum { FILTER_MOST = 4096 };

/* A filter with a head, in memory of its own. */
struct headed {
	struct sock_fprog program;
	struct sock_filter text[FILTER_MOST];
};

/* NULL: as it is. */
static struct headed *give_head(const struct sock_fprog *program)
{
	struct headed *h;
	unsigned n;

	if (program->len > FILTER_MOST ||
	    !readable(program->filter, program->len * sizeof(*program->filter)))
		return NULL; /* an error of the kernel's */
	h = mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (h == MAP_FAILED)
		return NULL;
	n = gate_head(h->text);
	if (!n || n + program->len > FILTER_MOST) {
		preload_say("a filter of system calls leaves no room for what "
			    "is needed: the process may die of it");
		munmap(h, sizeof(*h));
		return NULL;
	}
	memcpy(h->text + n, program->filter,
	       program->len * sizeof(*program->filter));
	h->program.len = (unsigned short)(n + program->len);
	h->program.filter = h->text;
	return h;
}

static long install(long (*set)(unsigned long, const struct sock_fprog *),
		    unsigned long flags, const struct sock_fprog *program)
{
	struct headed *h;
	long rc;
	int error;

	/* NULL: what does the kernel know? */
	if (!preload.vm || !preload.paging ||
	    !readable(program, sizeof(*program)))
		return set(flags, program);
	preload_enter();
	h = give_head(program);
	if (getpid() == preload.pid) {
		preload_threads_keep();
		preload_threads_watch();
	}
	rc = set(flags, h ? &h->program : program);
	error = errno;
	if (rc >= 0 && h)
		preload.confined = true;
	if (h)
		munmap(h, sizeof(*h));
	preload_leave();
	errno = error;
	return rc;
}

static long set_by_prctl(unsigned long mode, const struct sock_fprog *program)
{
	return plain_call(SYS_prctl, PR_SET_SECCOMP, mode, program, 0L, 0L);
}

static long set_by_seccomp(unsigned long flags,
			   const struct sock_fprog *program)
{
	return plain_call(SYS_seccomp, (long)SECCOMP_SET_MODE_FILTER, flags,
			  program);
}

/* read(), write(), the end of a thread and of a signal handler. */
static long install_strict(void)
{
	static const int numbers[] = {SYS_read, SYS_write, SYS_exit,
				      SYS_rt_sigreturn};
	enum { N = sizeof(numbers) / sizeof(numbers[0]) };
	struct sock_filter text[N + 3];
	struct sock_fprog program = {.len = N + 3, .filter = text};
	unsigned i;

	text[0] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (i = 0; i < N; i++)
		text[i + 1] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)numbers[i],
			(uint8_t)(N - i), 0);
	text[N + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						   SECCOMP_RET_KILL_THREAD);
	text[N + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						   SECCOMP_RET_ALLOW);
	plain_call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
	return install(set_by_prctl, SECCOMP_MODE_FILTER, &program);
}

static long set_seccomp(const unsigned long a[5])
{
	if (a[1] == SECCOMP_MODE_STRICT && preload.vm && preload.paging)
		return install_strict();
	if (a[1] == SECCOMP_MODE_FILTER)
		return install(set_by_prctl, a[1],
			       (const struct sock_fprog *)a[2]);
	return plain_call(SYS_prctl, a[0], a[1], a[2], a[3], a[4]);
}

/* ------------------------------------------------------------------ */
/* For the program							*/

int prctl(int what, ...)
{
	unsigned long a[5] = {(unsigned long)what};
	va_list ap;
	unsigned i;

	va_start(ap, what);
	for (i = 1; i < 5; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (what == PR_SET_SECCOMP)
		return (int)set_seccomp(a);
	return (int)plain_call(SYS_prctl, a[0], a[1], a[2], a[3], a[4]);
}

long syscall(long number, ...)
{
	unsigned long a[6];
	va_list ap;
	unsigned i;

	va_start(ap, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (number == SYS_prctl && a[0] == PR_SET_SECCOMP)
		return set_seccomp(a);
	if (number == SYS_seccomp && a[0] == SECCOMP_SET_MODE_FILTER)
		return install(set_by_seccomp, a[1],
			       (const struct sock_fprog *)a[2]);
	if (number == SYS_seccomp && a[0] == SECCOMP_SET_MODE_STRICT && !a[1] &&
	    !a[2] && preload.vm && preload.paging)
		return install_strict();
	if (number == SYS_io_submit)
		direct_submit((long)a[1], (struct iocb **)a[2]);
	if (rawfork_is(number, a))
		return rawfork(number, a);
	return plain_call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
