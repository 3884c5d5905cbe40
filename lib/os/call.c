/* SPDX-License-Identifier: MIT */
/*
 * os/call.c - system calls for somebody else: the program's, which lib/door
 * makes, and the few of our own that the program's must not be confused with.
 *
 * The filter of lib/door stops system calls with pointers into [OS_DOOR_START,
 * OS_DOOR_END), where the memory lies that is paged. When such a call is to be
 * made after all, with those very pointers, it comes from the one instruction
 * that the filter lets through: it is in the first page of that range, so that a
 * filter that outlives an exec fits the next program, too. All other calls are
 * made by an instruction in here, of which unwinders know (pthread_cancel()).
 *
 * These are neither retried nor points of injection: what they return is what
 * the program gets.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/impl.h"
#include "os/os.h"

#if defined(__x86_64__)

/* syscall; ret */
static const unsigned char door_code[] = {0x0f, 0x05, 0xc3};

long os_door_call(long nr, const uint64_t a[6], haddr_t door)
	__attribute__((visibility("hidden")));

__asm__(".text\n"
	".type os_door_call, @function\n"
	"os_door_call:\n"
	"	.cfi_startproc\n"
	"	push %rbx\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	.cfi_rel_offset %rbx, 0\n"
	"	mov %rdi, %rax\n"
	"	mov %rsi, %r11\n"
	"	mov %rdx, %rbx\n"
	"	mov (%r11), %rdi\n"
	"	mov 8(%r11), %rsi\n"
	"	mov 16(%r11), %rdx\n"
	"	mov 24(%r11), %r10\n"
	"	mov 32(%r11), %r8\n"
	"	mov 40(%r11), %r9\n"
	"	call *%rbx\n"
	"	pop %rbx\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	.cfi_restore %rbx\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size os_door_call, . - os_door_call\n");

static long call_from_here(long nr, const uint64_t a[6])
{
	/* a sanitizer calls functions when memory is read: not in between */
	uint64_t a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3], a4 = a[4],
		 a5 = a[5];
	register uint64_t d __asm__("r10") = a3;
	register uint64_t e __asm__("r8") = a4;
	register uint64_t f __asm__("r9") = a5;
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a0), "S"(a1), "d"(a2), "r"(d), "r"(e),
			   "r"(f)
			 : "rcx", "r11", "memory");
	return r;
}

static _Atomic bool door_there; /* (a) is the page mapped? */

bool os_door_is_open(void)
{
	return atomic_load_explicit(&door_there, memory_order_relaxed);
}

static bool in_range(const uint64_t a[6])
{
	unsigned i;

	for (i = 0; i < 6; i++)
		if (a[i] >= OS_DOOR_START && a[i] < OS_DOOR_END)
			return true;
	return false;
}

long os_call(long nr, const uint64_t a[6])
{
	if (os_door_is_open() && in_range(a))
		return os_door_call(nr, a, OS_DOOR_START);
	return call_from_here(nr, a);
}

long os_call_unfiltered(long nr, const uint64_t a[6])
{
	if (os_door_is_open())
		return os_door_call(nr, a, OS_DOOR_START);
	return call_from_here(nr, a);
}

long os_call_filtered(long nr, const uint64_t a[6])
{
	return call_from_here(nr, a);
}

/* Another copy of the library in this process may have been here. */
static int find_door(bool *found)
{
	if (!os_readable(OS_DOOR_START) ||
	    memcmp((void *)(uintptr_t)OS_DOOR_START, door_code,
		   sizeof(door_code)) != 0)
		return -EEXIST;
	*found = true;
	return 0;
}

static int make_door(bool *found)
{
	void *at = (void *)(uintptr_t)OS_DOOR_START;
	void *p =
		mmap(at, PAGE_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		return errno == EEXIST ? find_door(found) : -errno;
	if (p != at) {
		munmap(p, PAGE_BYTES);
		return -EEXIST;
	}
	memcpy(p, door_code, sizeof(door_code));
	if (mprotect(p, PAGE_BYTES, PROT_READ | PROT_EXEC) == 0)
		return 0;
	munmap(p, PAGE_BYTES);
	return -ENOTSUP;
}

int os_door_open(bool *found)
{
	int error = os_inject_check(OS_door);

	if (!error && !atomic_load(&door_there))
		error = make_door(found);
	if (!error)
		atomic_store(&door_there, true);
	return error;
}

/* ---- the filter ---- */

/* SPEC_ALLOW: a filter that confines nobody is no reason to slow him down. */
int os_filter_install(const struct sock_filter *text, unsigned count)
{
	struct sock_fprog program = {.len = (unsigned short)count,
				     .filter = (struct sock_filter *)text};
	int error = os_inject_check(OS_filter);
	long r;

	if (error)
		return error;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		    SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		    &program);
	if (r > 0)
		return -EBUSY; /* a thread has a filter that others have not */
	return os_result(r);
}

#else /* elsewhere */

long os_call(long nr, const uint64_t a[6])
{
	int saved = errno;
	long r = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);

	if (r == -1)
		r = -errno;
	errno = saved;
	return r;
}

long os_call_unfiltered(long nr, const uint64_t a[6])
{
	return os_call(nr, a);
}

long os_call_filtered(long nr, const uint64_t a[6])
{
	return os_call(nr, a);
}

int os_door_open(bool *found)
{
	(void)found;
	return -ENOTSUP;
}

bool os_door_is_open(void)
{
	return false;
}

int os_filter_install(const struct sock_filter *text, unsigned count)
{
	(void)text;
	(void)count;
	return -ENOTSUP;
}

#endif

/* By the function: that is what the gate stands for (tools/preload). */
long os_call_own(long nr, const uint64_t a[6])
{
	int saved = errno;
	long r = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);

	if (r == -1)
		r = -errno;
	errno = saved;
	return r;
}

/* ---- may memory be accessed? ---- */

/* It has to read the set before it sees that `how` is nonsense. */
bool os_readable(haddr_t at)
{
	const uint64_t a[6] = {~UINT64_C(0), at & ~UINT64_C(7), 0, 8};

	return os_call(SYS_rt_sigprocmask, a) != -EFAULT;
}

/* Adds 0 to a word there, as an atomic operation of the kernel's. */
bool os_writable(haddr_t at)
{
	uint32_t here = 0;
	const uint64_t a[6] = {(uintptr_t)&here,
			       FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG,
			       0,
			       0,
			       at & ~UINT64_C(3),
			       FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_LT, 0)};

	return os_call(SYS_futex, a) != -EFAULT;
}
