/* SPDX-License-Identifier: MIT */
/*
 * gate.c - system calls of the library in a process that has shut itself in.
 *
 * A program may install a filter that kills it, or refuses, when it makes a
 * system call that it does not need (seccomp(2)). It cannot know what paging
 * needs: punching a hole when it frees a block, a userfaultfd in a child that
 * it forks. Filters see the address that a call comes from. So all calls of
 * the library go through one instruction, the *gate*, and a filter of the
 * program is installed with a head (seccomp.c) that permits the library's calls
 * from there and leaves the decision on all others to the program.
 *
 *	the library	 gate_call()	permitted: the list below
 *	liburing	 its own	permitted: the same list
 *	lib/door	 its own	permitted: to set up a ring
 *	libc, for a new	 its own	permitted: the short list
 *	thread of ours
 *	the program	 plain_call()	as the program's filter says
 *
 * The library's calls of libc's functions come here by the linker's --wrap
 * (wrap.c, fd.c). Functions that we give the program, such as mmap(), make
 * their calls by plain_call(), from libc: a filter must see those.
 *
 * Filters outlive exec. So a program that is to be paged as well is told where
 * the gate was, and maps it there before it does anything else.
 *
 * The filter is weaker for it: who can execute code of his choice in the
 * process may use the gate, if he finds it. So it is with any thread that is
 * older than a filter.
 *
 * Rejected: having a thread that is older than the filter do what others may
 * not. A filter may be for all threads (SECCOMP_FILTER_FLAG_TSYNC), and a child
 * made by fork() has none that is older.
 */
#include "preload/gate.h"

#include "preload/libc.h"
#include "preload/state.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#ifdef HAVE_LIBURING
#include <liburing.h>
#endif
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define GATE_ARCH AUDIT_ARCH_X86_64
__asm__(".text\n"
	".balign 64\n" /* in one page */
	".type vvm_gate, @function\n"
	"vvm_gate:\n"
	"	.cfi_startproc\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %rdi\n"
	"	mov %rdx, %rsi\n"
	"	mov %rcx, %rdx\n"
	"	mov %r8, %r10\n"
	"	mov %r9, %r8\n"
	"	mov 8(%rsp), %r9\n"
	"	syscall\n"
	"vvm_gate_end:\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size vvm_gate, . - vvm_gate\n");
#elif defined(__aarch64__)
#define GATE_ARCH AUDIT_ARCH_AARCH64
__asm__(".text\n"
	".balign 64\n" /* in one page */
	".type vvm_gate, %function\n"
	"vvm_gate:\n"
	"	.cfi_startproc\n"
	"	mov x8, x0\n"
	"	mov x0, x1\n"
	"	mov x1, x2\n"
	"	mov x2, x3\n"
	"	mov x3, x4\n"
	"	mov x4, x5\n"
	"	mov x5, x6\n"
	"	svc #0\n"
	"vvm_gate_end:\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size vvm_gate, . - vvm_gate\n");
#endif

#ifdef GATE_ARCH
typedef long gate_code(long, long, long, long, long, long, long);

gate_code vvm_gate __attribute__((visibility("hidden")));
extern const char vvm_gate_end[] __attribute__((visibility("hidden")));
static gate_code *here = vvm_gate; /* (i) */

uintptr_t gate_place(void)
{
	return (uintptr_t)here;
}

/* As the dynamic loader has just done it for the whole object. */
bool gate_inherit(uintptr_t place)
{
	uintptr_t code = (uintptr_t)vvm_gate, page = VVM_PAGE_SIZE - 1, start,
		  end;
	Dl_info self;
	void *there;
	int fd;

	object_of(code, &start, &end);
	if (!start || !place || (place & page) != (code & page) ||
	    !dladdr(vvm_gate_end, &self))
		return false;
	fd = (int)plain_call(SYS_openat, AT_FDCWD, self.dli_fname,
			     O_RDONLY | O_CLOEXEC);
	there = (void *)plain_call(SYS_mmap, place & ~page, page + 1,
				   PROT_READ | PROT_EXEC,
				   MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd,
				   object_offset(start, code & ~page));
	plain_call(SYS_close, fd);
	if (there == MAP_FAILED || (uintptr_t)there != (place & ~page))
		return false;
	here = (gate_code *)place;
	return true;
}

long gate(long number, long a, long b, long c, long d, long e, long f)
{
	long rc = here(number, a, b, c, d, e, f);

	if (rc >= 0 || rc < -4095)
		return rc;
	errno = (int)-rc;
	return -1;
}
#else
uintptr_t gate_place(void)
{
	return 0;
}

bool gate_inherit(uintptr_t place)
{
	(void)place;
	return false;
}

long gate(long number, long a, long b, long c, long d, long e, long f)
{
	return plain_call(number, a, b, c, d, e, f);
}
#endif

#define BIT(sig) (UINT64_C(1) << ((sig)-1))

uint64_t gate_signals_block(void)
{
	uint64_t most = ~(BIT(SIGBUS) | BIT(SIGSEGV) | BIT(SIGSYS)), before = 0;

	int saved = errno;

	/* EFAULT: this stack is paged, and has just gone */
	while (gate_call(SYS_rt_sigprocmask, SIG_BLOCK, &most, &before,
			 sizeof(before)) &&
	       errno == EFAULT)
		before = 0;
	errno = saved;
	return before;
}

void gate_signals_restore(uint64_t before)
{
	int saved = errno;

	while (gate_call(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL,
			 sizeof(before)) &&
	       errno == EFAULT)
		continue;
	errno = saved;
}

long plain_call(long number, ...)
{
	static long (*real)(long, ...);
	long a[6];
	va_list ap;
	unsigned i;

	if (!real)
		real = (long (*)(long, ...))libc_function("syscall");
	va_start(ap, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ------------------------------------------------------------------ */
/* The head of filters							*/

#ifdef GATE_ARCH

/* What the library does, from its start in a fork child to its last fault. */
static const int from_gate[] = {
	SYS_fallocate,
	SYS_ioctl,
	SYS_pread64,
	SYS_pwrite64,
	SYS_read,
	SYS_write,
	SYS_ppoll,
	SYS_pselect6,
	SYS_mmap,
	SYS_munmap,
	SYS_mprotect,
	SYS_madvise,
	SYS_munlock,
	SYS_msync,
	SYS_memfd_create,
	SYS_userfaultfd,
	SYS_eventfd2,
	SYS_epoll_create1,
	SYS_epoll_ctl,
	SYS_pipe2,
	SYS_openat,
	SYS_close,
	SYS_close_range,
	SYS_fcntl,
	SYS_flock,
	SYS_fstat,
	SYS_newfstatat,
	SYS_statfs,
	SYS_fstatfs,
	SYS_getsockopt,
	SYS_lseek,
	SYS_ftruncate,
	SYS_unlinkat,
	SYS_faccessat,
	SYS_getdents64,
	SYS_prlimit64,
	SYS_sched_yield,
	SYS_sched_getaffinity,
	SYS_clock_gettime,
	SYS_clock_nanosleep,
	SYS_getpid,
	SYS_gettid,
	SYS_geteuid,
	SYS_prctl,
	SYS_rt_sigaction,
	SYS_rt_sigqueueinfo,
	SYS_sigaltstack,
	SYS_rt_tgsigqueueinfo,
	SYS_tgkill,
	SYS_pidfd_open,
	SYS_process_vm_readv,
	SYS_exit_group,
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
};

/* What libc does for a thread of ours; nothing that a filter is there for. */
static const int from_anywhere[] = {
	SYS_futex,	  SYS_rt_sigprocmask, SYS_exit, SYS_set_robust_list,
	SYS_rt_sigreturn, /* of our handlers */
#ifdef SYS_rseq
	SYS_rseq,
#endif
};

enum {
	GATED = sizeof(from_gate) / sizeof(from_gate[0]),
	FREE = sizeof(from_anywhere) / sizeof(from_anywhere[0])
};

/* Behind the instruction of lib/door, at the beginning of its range. */
#define DOOR_PC UINT64_C(0x400000000002)

#define FIELD(f)  ((uint32_t)offsetof(struct seccomp_data, f))
#define LOW_WORD  (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4u : 0u)
#define HIGH_WORD (4u - LOW_WORD)

/* Where a test leads: to a label, or to the next instruction. */
enum label { NEXT, WHERE, RING, DOOR, CLONE, ABSENT, PERMIT, ON, LABELS };

struct text {
	struct sock_filter *to; /* until the end jumps have labels in them */
	unsigned n;
	unsigned at[LABELS];
};

static void put(struct text *t, unsigned code, uint32_t k, enum label yes,
		enum label no)
{
	t->to[t->n++] = (struct sock_filter)BPF_JUMP((uint16_t)code, k,
						     (uint8_t)yes, (uint8_t)no);
}

static void load(struct text *t, uint32_t field)
{
	put(t, BPF_LD | BPF_W | BPF_ABS, field, NEXT, NEXT);
}

static void test(struct text *t, unsigned how, uint64_t k, enum label yes,
		 enum label no)
{
	put(t, BPF_JMP | how | BPF_K, (uint32_t)k, yes, no);
}

static void finish(struct text *t, uint32_t result)
{
	put(t, BPF_RET | BPF_K, result, NEXT, NEXT);
}

static void label(struct text *t, enum label l)
{
	t->at[l] = t->n;
}

static uint8_t distance(const struct text *t, unsigned from, unsigned l)
{
	return l == NEXT ? 0 : (uint8_t)(t->at[l] - from - 1);
}

/* All are forward, and shorter than 256. */
static void resolve(struct text *t)
{
	unsigned i;

	for (i = 0; i < t->n; i++) {
		t->to[i].jt = distance(t, i, t->to[i].jt);
		t->to[i].jf = distance(t, i, t->to[i].jf);
	}
}

static void put_numbers(struct text *t)
{
	unsigned i;

	load(t, FIELD(arch));
	test(t, BPF_JEQ, GATE_ARCH, NEXT, ON);
	load(t, FIELD(nr));
	for (i = 0; i < GATED; i++)
		test(t, BPF_JEQ, (uint64_t)from_gate[i], WHERE, NEXT);
	for (i = 0; i < FREE; i++)
		test(t, BPF_JEQ, (uint64_t)from_anywhere[i], PERMIT, NEXT);
	test(t, BPF_JEQ, SYS_clone, CLONE, NEXT);
	test(t, BPF_JEQ, SYS_clone3, ABSENT, ON);
}

/* liburing's functions make their calls themselves. */
static void put_ring(struct text *t)
{
	uintptr_t start = 0, end = 0;

#ifdef HAVE_LIBURING
	object_of((uintptr_t)io_uring_submit, &start, &end);
#endif
	label(t, RING);
	if (start >> 32 != end >> 32)
		end = start | UINT32_MAX;
	load(t, FIELD(instruction_pointer) + HIGH_WORD);
	test(t, BPF_JEQ, start >> 32, NEXT, DOOR);
	load(t, FIELD(instruction_pointer) + LOW_WORD);
	test(t, BPF_JGE, start, NEXT, DOOR);
	test(t, BPF_JGE, end, DOOR, PERMIT);
}

/*
 * Where system calls are trapped a ring is set up from the one place that may
 * do it. The program's calls come from there, too, but not this one.
 */
static void put_door(struct text *t)
{
	label(t, DOOR);
	load(t, FIELD(nr));
	test(t, BPF_JEQ, SYS_io_uring_setup, NEXT, ON);
	load(t, FIELD(instruction_pointer) + LOW_WORD);
	test(t, BPF_JEQ, DOOR_PC, NEXT, ON);
	load(t, FIELD(instruction_pointer) + HIGH_WORD);
	test(t, BPF_JEQ, DOOR_PC >> 32, PERMIT, ON);
}

/* A thread is as confined as who makes it. Of clone3() one cannot see that. */
static void put_clone(struct text *t)
{
	label(t, CLONE);
	load(t, FIELD(args[0]) + LOW_WORD);
	test(t, BPF_JSET, CLONE_THREAD, PERMIT, ON);
	label(t, ABSENT);
	finish(t, SECCOMP_RET_ERRNO | ENOSYS);
}

unsigned gate_head(struct sock_filter head[GATE_HEAD])
{
	uintptr_t gate_at =
		gate_place() + (uintptr_t)vvm_gate_end - (uintptr_t)vvm_gate;
	struct text t = {.to = head};

	put_numbers(&t);
	label(&t, WHERE);
	load(&t, FIELD(instruction_pointer) + LOW_WORD);
	test(&t, BPF_JEQ, gate_at, NEXT, RING);
	load(&t, FIELD(instruction_pointer) + HIGH_WORD);
	test(&t, BPF_JEQ, gate_at >> 32, PERMIT, NEXT);
	put_ring(&t);
	put_door(&t);
	put_clone(&t);
	label(&t, PERMIT);
	finish(&t, SECCOMP_RET_ALLOW);
	label(&t, ON);
	put(&t, BPF_LD | BPF_IMM, 0, NEXT, NEXT); /* as it was */
	resolve(&t);
	return t.n;
}
#else
unsigned gate_head(struct sock_filter head[GATE_HEAD])
{
	(void)head;
	return 0;
}
#endif
