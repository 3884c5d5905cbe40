/* SPDX-License-Identifier: MIT */
/*
 * door/special.c - calls that are not only copied for: what the kernel must have
 * the true address of, and what depends on a command.
 *
 * A futex is its address. The kernel reads the word when it begins to wait, or
 * writes to it when it wakes; it fails with EFAULT before anything has happened
 * if it cannot, so the page is brought and the call made again. Priority
 * inheritance is different: there it writes after it has waited. So that page is
 * pinned.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/keyctl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/uio.h>

#include <asm/unistd.h>

#include "door/hold.h"
#include "door/impl.h"
#include "os/os.h"

/* Newer than some headers. */
#define PR_GET_AUXV_	   0x41555856
#define PTRACE_PEEK_INFO   0x4209 /* PTRACE_PEEKSIGINFO */
#define PTRACE_GET_PROGRAM 0x420c /* PTRACE_SECCOMP_GET_FILTER */

#define XATTR_SET  463 /* __NR_setxattrat */
#define XATTR_MOST 65536
#define KEY_MOST   ((size_t)1 << 20)

/* ---- the true address ---- */

#define WAITERS_MOST 128u /* FUTEX_WAITV_MAX */
/* So many are copied without asking whether there may be more. */
#define POLL_SOME 256

/* A page that was brought may have gone before the kernel looked. */
#define FUTEX_TRIES 1000

static bool futex_waits(unsigned op)
{
	return op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET ||
	       op == FUTEX_LOCK_PI || op == FUTEX_LOCK_PI2 ||
	       op == FUTEX_WAIT_REQUEUE_PI;
}

static bool futex_inherits(unsigned op)
{
	return op == FUTEX_LOCK_PI || op == FUTEX_LOCK_PI2 ||
	       op == FUTEX_UNLOCK_PI || op == FUTEX_TRYLOCK_PI ||
	       op == FUTEX_WAIT_REQUEUE_PI || op == FUTEX_CMP_REQUEUE_PI;
}

static long futex_again(struct door *d, bool two, bool writes)
{
	long result = door_make(d);
	unsigned tries;

	for (tries = 0; result == -EFAULT && tries < FUTEX_TRIES; tries++) {
		bool here = hold_touch(d->arg[0], writes);
		bool there = two && hold_touch(d->arg[4], writes);

		if (!here && !there)
			break;
		result = door_make(d);
	}
	return result;
}

long door_futex(struct door *d)
{
	unsigned op = (unsigned)d->arg[1] & (unsigned)FUTEX_CMD_MASK;
	bool two = op == FUTEX_REQUEUE || op == FUTEX_CMP_REQUEUE ||
		   op == FUTEX_WAKE_OP || op == FUTEX_CMP_REQUEUE_PI ||
		   op == FUTEX_WAIT_REQUEUE_PI;
	struct hold first = {0}, second = {0};
	long result = 0;

	if (futex_waits(op) && d->arg[3])
		result = door_bounce(&d->bounce, d->arg[3],
				     sizeof(struct timespec), ARG_IN,
				     &d->bounced[3], &d->use[3]);
	if (result == 0 && futex_inherits(op)) {
		result = hold_take(&first, d->arg[0], sizeof(uint32_t));
		if (result == 0 && two)
			result =
				hold_take(&second, d->arg[4], sizeof(uint32_t));
	}
	if (result == 0)
		result = futex_again(d, two, op == FUTEX_WAKE_OP);
	hold_drop(&second);
	hold_drop(&first);
	return result;
}

/* struct futex_waitv */
struct waiter {
	uint64_t value, at;
	uint32_t flags, reserved;
};

long door_futex2(struct door *d)
{
	long result = door_bounce_arguments(d);

	return result < 0 ? result : futex_again(d, false, false);
}

long door_futexes(struct door *d)
{
	struct waiter *w;
	unsigned i, tries, count = d->call->arg[0].size / sizeof(*w);
	bool touched = true;
	long result = door_bounce_arguments(d);

	if (result < 0)
		return result;
	if (d->call->arg[0].length == LENGTH_TIMES)
		count = MIN((unsigned)d->arg[1], WAITERS_MOST);
	w = bounce_take(&d->bounce, count * sizeof(*w), 0);
	if (!w)
		return -ENOMEM;
	count = (unsigned)(copy_in(w, d->arg[0], count * sizeof(*w)) /
			   sizeof(*w));
	result = door_make(d);
	for (tries = 0; result == -EFAULT && touched && tries < FUTEX_TRIES;
	     tries++) {
		touched = false;
		for (i = 0; i < count; i++)
			touched |= hold_touch(w[i].at, false);
		result = door_make(d);
	}
	return result;
}

/* What the kernel remembers must be pinned by the program (vvm.h). */
long door_true(struct door *d)
{
	return door_make(d);
}

/* The rest of a page and the next: larger structures are not unknown. */
long door_pin(struct door *d)
{
	struct hold hold[6] = {{0}};
	unsigned i;
	long result = d->call ? door_bounce_arguments(d) : 0;

	/* where a number only looks like paged memory, a lack of frames is none */
	for (i = 0; i < 6 && result == 0; i++)
		if (!d->call || d->call->arg[i].kind == ARG_SPECIAL)
			hold_take(&hold[i], d->arg[i], PAGE_BYTES);
	if (result == 0)
		result = door_make(d);
	for (i = 0; i < 6; i++)
		hold_drop(&hold[i]);
	return d->call ? door_return_arguments(d, result) : result;
}

/* ---- commands ---- */

long door_fcntl(struct door *d)
{
	switch ((unsigned)d->arg[1]) {
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		return door_make_with(d, 2, ARG_INOUT, sizeof(struct flock));
	case F_SETOWN_EX:
		return door_make_with(d, 2, ARG_IN, sizeof(struct f_owner_ex));
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
	case F_GETFD:
	case F_SETFD:
	case F_GETFL:
	case F_SETFL:
	case F_GETOWN:
	case F_SETOWN:
	case F_GETSIG:
	case F_SETSIG:
	case F_GETLEASE:
	case F_SETLEASE:
	case F_NOTIFY:
	case F_SETPIPE_SZ:
	case F_GETPIPE_SZ:
	case F_ADD_SEALS:
	case F_GET_SEALS:
		return door_make(d);
	case F_GETOWN_EX:
	case 17: /* F_GETOWNER_UIDS */
		return door_make_with(d, 2, ARG_INOUT, 8);
	case F_GET_RW_HINT:
	case F_SET_RW_HINT:
	case F_GET_FILE_RW_HINT:
	case F_SET_FILE_RW_HINT:
		return door_make_with(d, 2, ARG_INOUT, sizeof(uint64_t));
	}
	return door_pin(d); /* a number, or a newer one */
}

long door_make_with_program(struct door *d, unsigned i)
{
	struct sock_fprog *program;
	struct bounced text;
	uint64_t use;
	int rc;

	program = bounce_take(&d->bounce, sizeof(*program), 0);
	if (!program)
		return -ENOMEM;
	if (copy_in(program, d->arg[i], sizeof(*program)) < sizeof(*program))
		return door_make(d);
	rc = door_bounce(&d->bounce, (uintptr_t)program->filter,
			 program->len * sizeof(*program->filter), ARG_IN, &text,
			 &use);
	if (rc < 0)
		return rc;
	program->filter = (struct sock_filter *)(uintptr_t)use;
	d->use[i] = (uintptr_t)program;
	return door_make(d);
}

long door_seccomp(struct door *d)
{
	switch ((unsigned)d->arg[0]) {
	case 1: /* SECCOMP_SET_MODE_FILTER */
		return door_make_with_program(d, 2);
	case 2: /* SECCOMP_GET_ACTION_AVAIL */
		return door_make_with(d, 2, ARG_IN, sizeof(uint32_t));
	}
	return door_make_with(d, 2, ARG_INOUT, 3 * sizeof(uint16_t));
}

long door_prctl(struct door *d)
{
	switch ((unsigned)d->arg[0]) {
	case PR_SET_NAME:
		return door_make_with(d, 1, ARG_IN, 16);
	case PR_GET_NAME:
		return door_make_with(d, 1, ARG_OUT, 16);
	case PR_GET_PDEATHSIG:
	case PR_GET_UNALIGN:
	case PR_GET_FPEMU:
	case PR_GET_FPEXC:
	case PR_GET_ENDIAN:
	case PR_GET_TSC:
	case PR_GET_CHILD_SUBREAPER:
		return door_make_with(d, 1, ARG_OUT, sizeof(int));
	case PR_GET_TID_ADDRESS:
		return door_make_with(d, 1, ARG_OUT, sizeof(void *));
	case PR_SET_PDEATHSIG:
	case PR_GET_DUMPABLE:
	case PR_SET_DUMPABLE:
	case PR_GET_KEEPCAPS:
	case PR_SET_KEEPCAPS:
	case PR_GET_SECCOMP:
	case PR_CAPBSET_READ:
	case PR_GET_SECUREBITS:
	case PR_SET_TIMERSLACK:
	case PR_GET_TIMERSLACK:
	case PR_SET_CHILD_SUBREAPER:
	case PR_SET_NO_NEW_PRIVS:
	case PR_GET_NO_NEW_PRIVS:
	case PR_SET_THP_DISABLE:
	case PR_GET_THP_DISABLE:
		return door_make(d); /* numbers */
	case PR_SET_SECCOMP:
		return d->arg[1] == 2 ? door_make_with_program(d, 2)
				      : door_make(d);
	case PR_GET_AUXV_:
		return door_make_with(d, 1, ARG_INOUT,
				      MIN(d->arg[2], (uint64_t)PAGE_BYTES));
	case PR_SET_VMA:
		return door_make_with(d, 4, ARG_IN, 80);
	case PR_SCHED_CORE:
		return door_make_with(d, 4, ARG_INOUT, sizeof(uint64_t));
	}
	return door_pin(d); /* numbers, addresses that are told, newer ones */
}

long door_arch_prctl(struct door *d)
{
	unsigned code = (unsigned)d->arg[0];

	/* ARCH_GET_FS and GS; ARCH_GET_XCOMP_* */
	if (code == 0x1003 || code == 0x1004 || code == 0x1021 ||
	    code == 0x1022 || code == 0x1024)
		return door_make_with(d, 1, ARG_OUT, sizeof(uint64_t));
	return door_pin(d);
}

/* struct ptrace_peeksiginfo_args */
struct peek {
	uint64_t from;
	uint32_t flags;
	int32_t count;
};

/* More than all registers of a thread have. */
#define REGISTERS_MOST (4 * (size_t)PAGE_BYTES)

/* How much of what the data points to the kernel may write to. */
static size_t ptrace_data(const struct door *d)
{
	struct peek peek;

	switch ((unsigned)d->arg[0]) {
	case PTRACE_GET_PROGRAM:
		return BPF_MAXINSNS * sizeof(struct sock_filter);
	case PTRACE_PEEK_INFO:
		if (copy_in(&peek, d->arg[2], sizeof(peek)) < sizeof(peek) ||
		    peek.count <= 0)
			return 0;
		return MIN((size_t)peek.count * 128, REGISTERS_MOST);
	default:
		return PAGE_BYTES;
	}
}

long door_ptrace(struct door *d)
{
	unsigned request = (unsigned)d->arg[0];
	struct hold address = {0}, data = {0}, inner = {0};
	struct iovec iov;
	long result = 0;

	if (request >= PTRACE_PEEKTEXT && request <= PTRACE_PEEKUSER)
		return door_make_with(d, 3, ARG_OUT, sizeof(long));
	if (request >= PTRACE_POKETEXT && request <= PTRACE_POKEUSER)
		return door_make(d); /* a value */
	if (request == PTRACE_PEEK_INFO)
		result = hold_take(&address, d->arg[2], sizeof(struct peek));
	if (result == 0)
		result = hold_take(&data, d->arg[3], ptrace_data(d));
	if (result == 0 &&
	    (request == PTRACE_GETREGSET || request == PTRACE_SETREGSET) &&
	    copy_in(&iov, d->arg[3], sizeof(iov)) == sizeof(iov))
		result = hold_take(&inner, (uintptr_t)iov.iov_base,
				   MIN(iov.iov_len, REGISTERS_MOST));
	if (result == 0)
		result = door_make(d);
	hold_drop(&inner);
	hold_drop(&data);
	hold_drop(&address);
	return result;
}

/* More than a set has, of a machine that was not told to. */
#define SET_MOST ((size_t)1 << 16)

/*
 * How many semaphores are in the set; unknown: it may not be read, only written
 * to (SETALL), or the call will fail.
 */
static size_t semaphores(struct door *d, size_t unknown)
{
	struct semid_ds *set = bounce_take(&d->bounce, sizeof(*set), 0);
	const uint64_t a[6] = {d->arg[0], 0, IPC_STAT, (uintptr_t)set};

	if (!set || os_call(__NR_semctl, a) < 0)
		return unknown;
	return set->sem_nsems;
}

long door_semctl(struct door *d)
{
	unsigned command = (unsigned)d->arg[2] & ~0x100u; /* IPC_64 */

	switch (command) {
	case GETALL:
		return door_make_with(d, 3, ARG_OUT,
				      semaphores(d, 0) * sizeof(uint16_t));
	case SETALL:
		return door_make_with(d, 3, ARG_IN,
				      semaphores(d, SET_MOST) *
					      sizeof(uint16_t));
	case IPC_STAT:
	case IPC_SET:
	case SEM_STAT:
	case SEM_STAT_ANY:
		return door_make_with(d, 3, ARG_INOUT, sizeof(struct semid_ds));
	case IPC_INFO:
	case SEM_INFO:
		return door_make_with(d, 3, ARG_INOUT, sizeof(struct seminfo));
	}
	return door_make(d);
}

/* Is that more than the kernel looks at? */
static bool too_many(unsigned count)
{
	return count > os_descriptors_max();
}

/*
 * What the kernel writes, and no more: other threads may change what is next to
 * it. Zeros that were there it need not.
 */
static long return_events(struct door *d, long result)
{
	const struct bounced *b = &d->bounced[0];
	const struct pollfd *is = (const void *)b->mine,
			    *was = (const void *)b->was;
	haddr_t at = d->arg[0] + offsetof(struct pollfd, revents);
	size_t i, count = b->bytes / sizeof(*is);

	if (result < 0 && result != -EINTR)
		return result;
	for (i = 0; i < count; i++)
		if ((is[i].revents || was[i].revents) &&
		    copy_out(at + i * sizeof(*is), &is[i].revents,
			     sizeof(is->revents)) < sizeof(is->revents))
			return -EFAULT;
	return result;
}

long door_poll(struct door *d)
{
	unsigned count = (unsigned)d->arg[1];
	long result = door_bounce_arguments(d);

	if (result == 0 && (count <= POLL_SOME || !too_many(count)))
		result = door_bounce(&d->bounce, d->arg[0],
				     count * sizeof(struct pollfd), ARG_INOUT,
				     &d->bounced[0], &d->use[0]);
	if (result < 0)
		return result;
	result = door_make(d);
	if (d->bounced[0].mine)
		result = return_events(d, result);
	return door_return_arguments(d, result);
}

/* The sixth argument is a mask and its size. */
long door_pselect(struct door *d)
{
	struct bounced set;
	uint64_t *mask;
	int rc = door_bounce_arguments(d);

	if (rc < 0)
		return rc;
	mask = bounce_take(&d->bounce, 2 * sizeof(*mask), 0);
	if (!mask)
		return -ENOMEM;
	if (d->arg[5] &&
	    copy_in(mask, d->arg[5], 2 * sizeof(*mask)) == 2 * sizeof(*mask)) {
		rc = door_bounce_some(&d->bounce, mask[0], mask[1],
				      sizeof(uint64_t), ARG_IN, &set, &mask[0]);
		d->use[5] = (uintptr_t)mask;
	}
	return rc < 0 ? rc : door_return_arguments(d, door_make(d));
}

/* PERF_ATTR_SIZE_VER0, or what it says; the kernel takes no more than a page. */
long door_perf(struct door *d)
{
	return door_make_with(d, 0, ARG_INOUT, PAGE_BYTES);
}

/* door_make() keeps the mask. */
long door_sigmask(struct door *d)
{
	return door_copy(d);
}

/* struct xattr_args: a value, behind a pointer of the structure. */
struct xattr {
	uint64_t value;
	uint32_t bytes, flags;
};

long door_xattrat(struct door *d)
{
	enum arg_kind kind = d->nr == XATTR_SET ? ARG_IN : ARG_OUT;
	size_t bytes = d->arg[5];
	struct xattr *args;
	struct bounced value;
	haddr_t at;
	long result = door_bounce_arguments(d);

	/* then the kernel does not look at it */
	if (result < 0 || bytes < sizeof(*args) || bytes > PAGE_BYTES)
		return result < 0 ? result : door_make(d);
	args = bounce_take(&d->bounce, bytes, 0);
	if (!args)
		return -ENOMEM;
	if (copy_in(args, d->arg[4], bytes) < bytes)
		return door_make(d);
	d->use[4] = (uintptr_t)args;
	at = args->value;
	result = door_bounce_some(&d->bounce, at, args->bytes, XATTR_MOST, kind,
				  &value, &args->value);
	if (result < 0)
		return result;
	result = door_make(d);
	if (kind == ARG_OUT && result > 0 &&
	    door_return(&value, at, (size_t)result) < 0)
		return -EFAULT;
	return result;
}

/* Commands are in the upper bits. The longest structure is shorter than that. */
#define QUOTA_BYTES 256
#define QUOTA_ON    0x800002

long door_quotactl(struct door *d)
{
	uint32_t command =
		(uint32_t)(d->nr == __NR_quotactl ? d->arg[0] : d->arg[1]) >> 8;
	int rc = door_bounce_arguments(d);

	if (rc < 0)
		return rc;
	if (command == QUOTA_ON) {
		rc = door_bounce_text(d, 3);
		return rc < 0 ? rc : door_make(d);
	}
	if ((command & ~0xfu) == 0x800000 || (command & ~0xfu) == 0x5800)
		return door_make_with(d, 3, ARG_INOUT, QUOTA_BYTES);
	return door_pin(d);
}

long door_keyctl(struct door *d)
{
	switch ((unsigned)d->arg[0]) {
	case KEYCTL_DESCRIBE:
	case KEYCTL_READ:
	case KEYCTL_GET_SECURITY:
		return door_make_some(d, 2, ARG_INOUT, d->arg[3], KEY_MOST);
	case KEYCTL_UPDATE:
	case KEYCTL_INSTANTIATE:
		return door_make_some(d, 2, ARG_IN, d->arg[3], KEY_MOST);
	}
	return door_pin(d);
}
