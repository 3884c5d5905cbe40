/* SPDX-License-Identifier: MIT */
/*
 * vector.c - system calls with pointers behind pointers: writev(2) and its kind,
 * messages. (What reads into vectors is in direct.c.)
 *
 * Where the kernel cannot bring pages in, system calls on paged memory are
 * trapped, by the pointers among their arguments. Those in structures that are
 * not paged themselves nobody sees but the functions here, which have such calls
 * made by vvm_syscall().
 *
 * That is no cancellation point, unless cancellation is asynchronous, as in
 * libc's functions: the library lets signals through only while it waits in the
 * call itself.
 */
#include "preload/vector.h"

#include "preload/libc.h"
#include "preload/part.h"

#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/userfaultfd.h>
#include <net/if.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

long by_library(long number, long a, long b, long c, long d, long e, long f)
{
	int type;
	long rc;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	rc = vvm_syscall(number, a, b, c, d, e, f);
	pthread_setcanceltype(type, NULL);
	return rc < 0 ? part_fail((int)-rc) : rc;
}

/* Nothing is looked at where the kernel will find an error first. */
bool vector_is_paged(const struct iovec *vec, long count)
{
	struct looked known = {0};

	return vector_is_paged_as(&known, vec, count);
}

bool vector_is_paged_as(struct looked *known, const struct iovec *vec,
			long count)
{
	long i;

	if (!preload.traps || !vec || count <= 0 || count > IOV_MAX ||
	    !readable_as(known, vec, (size_t)count * sizeof(*vec)))
		return false;
	for (i = 0; i < count; i++)
		if (vec[i].iov_len && is_paged(vec[i].iov_base, vec[i].iov_len))
			return true;
	return false;
}

/* ------------------------------------------------------------------ */
/* Vectors								*/

ssize_t writev(int fd, const struct iovec *vec, int count)
{
	if (vector_is_paged(vec, count))
		return BY_LIBRARY(SYS_writev, fd, vec, count);
	return LIBC(writev)(fd, vec, count);
}

ssize_t pwritev(int fd, const struct iovec *vec, int count, off_t offset)
{
	if (vector_is_paged(vec, count))
		return BY_LIBRARY(SYS_pwritev, fd, vec, count, offset);
	return LIBC(pwritev)(fd, vec, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *vec, int count, off_t offset)
	__attribute__((alias("pwritev")));

ssize_t pwritev2(int fd, const struct iovec *vec, int count, off_t offset,
		 int flags)
{
	if (vector_is_paged(vec, count))
		return BY_LIBRARY(SYS_pwritev2, fd, vec, count, offset, 0,
				  flags);
	return LIBC(pwritev2)(fd, vec, count, offset, flags);
}

ssize_t pwritev64v2(int fd, const struct iovec *vec, int count, off_t offset,
		    int flags) __attribute__((alias("pwritev2")));

/* The pages themselves become the pipe's: not paged ones, but copies. */
ssize_t vmsplice(int fd, const struct iovec *vec, size_t count, unsigned flags)
{
	if (count <= IOV_MAX && vector_is_paged(vec, (long)count))
		return BY_LIBRARY(SYS_vmsplice, fd, vec, count, flags);
	return LIBC(vmsplice)(fd, vec, count, flags);
}

static bool either_is_paged(const struct iovec *here, unsigned long here_count,
			    const struct iovec *there,
			    unsigned long there_count, pid_t pid)
{
	return (here_count <= IOV_MAX &&
		vector_is_paged(here, (long)here_count)) ||
	       (pid == preload.pid && there_count <= IOV_MAX &&
		vector_is_paged(there, (long)there_count));
}

ssize_t process_vm_readv(pid_t pid, const struct iovec *here,
			 unsigned long here_count, const struct iovec *there,
			 unsigned long there_count, unsigned long flags)
{
	if (either_is_paged(here, here_count, there, there_count, pid))
		return BY_LIBRARY(SYS_process_vm_readv, pid, here, here_count,
				  there, there_count, flags);
	return LIBC(process_vm_readv)(pid, here, here_count, there, there_count,
				      flags);
}

ssize_t process_vm_writev(pid_t pid, const struct iovec *here,
			  unsigned long here_count, const struct iovec *there,
			  unsigned long there_count, unsigned long flags)
{
	if (either_is_paged(here, here_count, there, there_count, pid))
		return BY_LIBRARY(SYS_process_vm_writev, pid, here, here_count,
				  there, there_count, flags);
	return LIBC(process_vm_writev)(pid, here, here_count, there,
				       there_count, flags);
}

/* ------------------------------------------------------------------ */
/* Messages								*/

static bool message_is_paged(struct looked known[2], const struct msghdr *m)
{
	return preload.traps && readable_as(&known[0], m, sizeof(*m)) &&
	       ((m->msg_name && is_paged(m->msg_name, m->msg_namelen)) ||
		(m->msg_control &&
		 is_paged(m->msg_control, m->msg_controllen)) ||
		(m->msg_iov && is_paged(m->msg_iov, 1)) ||
		(m->msg_iovlen <= IOV_MAX &&
		 vector_is_paged_as(&known[1], m->msg_iov,
				    (long)m->msg_iovlen)));
}

static bool messages_are_paged(const struct mmsghdr *m, unsigned count)
{
	struct looked known[2] = {{0}}; /* the headers, and the vectors */
	unsigned i;

	if (!preload.traps)
		return false;
	for (i = 0; i < count && i < IOV_MAX; i++)
		if (message_is_paged(known, &m[i].msg_hdr))
			return true;
	return false;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct looked known[2] = {{0}};

	if (message_is_paged(known, message))
		return BY_LIBRARY(SYS_sendmsg, fd, message, flags);
	return LIBC(sendmsg)(fd, message, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct looked known[2] = {{0}};

	if (message_is_paged(known, message))
		return BY_LIBRARY(SYS_recvmsg, fd, message, flags);
	return LIBC(recvmsg)(fd, message, flags);
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	if (messages_are_paged(messages, count))
		return (int)BY_LIBRARY(SYS_sendmmsg, fd, messages, count,
				       flags);
	return LIBC(sendmmsg)(fd, messages, count, flags);
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags,
	     struct timespec *timeout)
{
	if (messages_are_paged(messages, count))
		return (int)BY_LIBRARY(SYS_recvmmsg, fd, messages, count, flags,
				       timeout);
	return LIBC(recvmmsg)(fd, messages, count, flags, timeout);
}

/* ------------------------------------------------------------------ */
/* Options								*/

static bool is_filter(int level, int option)
{
	return level == SOL_SOCKET && (option == SO_ATTACH_FILTER ||
				       option == SO_ATTACH_REUSEPORT_CBPF);
}

int setsockopt(int fd, int level, int option, const void *value,
	       socklen_t bytes)
{
	const struct sock_fprog *program = value;

	if (preload.traps && is_filter(level, option) &&
	    bytes >= sizeof(*program) && readable(program, sizeof(*program)) &&
	    is_paged(program->filter, 1))
		return (int)BY_LIBRARY(SYS_setsockopt, fd, level, option, value,
				       bytes);
	return LIBC(setsockopt)(fd, level, option, value, bytes);
}

/* ------------------------------------------------------------------ */
/* ioctl								*/

/* The list of interfaces goes where the structure says. */
static int list_interfaces(int fd, struct ifconf *list)
{
	int most = list->ifc_len, rc, error;
	struct ifconf own = {.ifc_len = most};

	if (most > 0)
		own.ifc_buf = libc_malloc((size_t)most);
	if (!own.ifc_buf)
		return part_fail(ENOMEM);
	rc = LIBC(ioctl)(fd, SIOCGIFCONF, &own);
	error = errno;
	if (rc == 0 && own.ifc_len > 0 && own.ifc_len <= most)
		memcpy(list->ifc_buf, own.ifc_buf, (size_t)own.ifc_len);
	if (rc == 0)
		list->ifc_len = own.ifc_len;
	libc_free(own.ifc_buf);
	errno = error;
	return rc;
}

/* In guard mode the kernel does not know that somebody serves the faults there. */
static bool registers_paged(unsigned long request,
			    const struct uffdio_register *r)
{
	return request == UFFDIO_REGISTER && readable(r, sizeof(*r)) &&
	       part_paged((void *)r->range.start, r->range.len);
}

int ioctl(int fd, unsigned long request, ...)
{
	struct ifconf *list;
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (registers_paged(request, arg))
		return part_fail(EBUSY);
	list = arg;
	if (request == SIOCGIFCONF && preload.traps &&
	    readable(list, sizeof(*list)) && list->ifc_buf &&
	    is_paged(list->ifc_buf, 1) && readable(list->ifc_buf, 1))
		return list_interfaces(fd, list);
	return LIBC(ioctl)(fd, request, arg);
}
