/* SPDX-License-Identifier: MIT */
/*
 * script/vvmrun_calls.c - a program for tests/script/vvmrun.sh that makes system
 * calls whose structures are there, and what they point to is not, and large ones.
 * It knows nothing of libvvm. Its argument chooses what it does; it exits 0 if that went
 * as without vvmrun, and else says the line that failed.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "script/absent.h"

enum { PARTS = 5, PART_BYTES = 3000 };

/* PARTS pieces of the same bytes, or others; none is there. */
static void parts(struct iovec vec[PARTS], int seed)
{
	int i;

	for (i = 0; i < PARTS; i++) {
		vec[i].iov_len = PART_BYTES;
		vec[i].iov_base = piece(PART_BYTES);
		memset(vec[i].iov_base, seed + i, PART_BYTES);
	}
	push_out();
}

static void same_parts(const struct iovec *vec, int seed)
{
	int i, k;

	for (i = 0; i < PARTS; i++)
		for (k = 0; k < PART_BYTES; k += 100)
			CHECK(((char *)vec[i].iov_base)[k] == (char)(seed + i));
	push_out();
}

static volatile int minus = -1; /* which compilers warn of */
static const ssize_t ALL = (ssize_t)PARTS * PART_BYTES;

/* ---- files ---- */

static void test_vectors(const char *file)
{
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600), pipe_fds[2];
	struct iovec out[PARTS], in[PARTS], local, remote;
	char here[100];

	CHECK(fd >= 0 && pipe(pipe_fds) == 0);
	parts(out, 'A');
	parts(in, 0);
	CHECK(writev(fd, out, PARTS) == ALL);
	CHECK(pwritev(fd, out, PARTS, ALL) == ALL);
	push_out();
	CHECK(pwritev2(fd, out, PARTS, 2 * ALL, 0) == ALL);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	push_out();
	CHECK(readv(fd, in, PARTS) == ALL);
	same_parts(in, 'A');
	CHECK(preadv(fd, in, PARTS, 2 * ALL) == ALL);
	same_parts(in, 'A');
	CHECK(preadv2(fd, in, PARTS, ALL, 0) == ALL);
	same_parts(in, 'A');
	CHECK(preadv(fd, in, PARTS, 2 * ALL + 7) == ALL - 7);
	CHECK(writev(-1, out, PARTS) == -1 && errno == EBADF);
	CHECK(writev(fd, out, minus) == -1 && errno == EINVAL);
	push_out();
	CHECK(vmsplice(pipe_fds[1], out, 2, 0) == 2 * PART_BYTES);
	CHECK(read(pipe_fds[0], in[0].iov_base, PART_BYTES) == PART_BYTES);
	CHECK(!memcmp(in[0].iov_base, out[0].iov_base, PART_BYTES));
	local = (struct iovec){here, sizeof(here)};
	remote = (struct iovec){out[3].iov_base, sizeof(here)};
	push_out();
	if (process_vm_readv(getpid(), &local, 0, NULL, 0, 0) == 0) {
		CHECK(process_vm_readv(getpid(), &local, 1, &remote, 1, 0) ==
		      100);
		CHECK(here[99] == 'D');
		remote.iov_base = in[3].iov_base;
		push_out();
		CHECK(process_vm_writev(getpid(), &local, 1, &remote, 1, 0) ==
		      100);
		CHECK(!memcmp(in[3].iov_base, here, sizeof(here)));
	} else {
		CHECK(errno == EPERM); /* as some containers have it */
	}
	close(fd);
	CHECK(unlink(file) == 0);
}

/* ---- large transfers ---- */

/* Longer than what is moved at a time, where calls are trapped. */
enum { RECORD = 3 << 20, RECORDS = 6, USERS = 2 };

static int records; /* a file */
static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;
static unsigned found[RECORDS + 1]; /* (counting) */

static bool of_one_kind(const char *record)
{
	size_t i;

	for (i = 0; i < RECORD; i += 512)
		if (record[i] != *record)
			return false;
	return true;
}

/* Who reads or writes there takes whole records, in any order. */
static void *read_records(void *arg)
{
	char *record = malloc(RECORD);
	ssize_t n;

	while ((n = read(records, record, RECORD)) == RECORD) {
		CHECK(of_one_kind(record) && *record > 0 && *record <= RECORDS);
		pthread_mutex_lock(&counting);
		found[(int)*record]++;
		pthread_mutex_unlock(&counting);
	}
	CHECK(n == 0);
	free(record);
	return arg;
}

static void *write_records(void *arg)
{
	char *record = malloc(RECORD);
	int i;

	for (i = 1; i <= RECORDS; i++) {
		memset(record, i, RECORD);
		CHECK(write(records, record, RECORD) == RECORD);
	}
	free(record);
	return arg;
}

static void together(void *(*run)(void *))
{
	pthread_t thread[USERS];
	int i;

	for (i = 0; i < USERS; i++)
		CHECK(pthread_create(&thread[i], NULL, run, NULL) == 0);
	for (i = 0; i < USERS; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
}

static void each_found(unsigned times)
{
	int i;

	CHECK(lseek(records, 0, SEEK_SET) == 0);
	memset(found, 0, sizeof(found));
	together(read_records);
	for (i = 1; i <= RECORDS; i++)
		CHECK(found[i] == times);
}

static void in_child(void (*run)(void), int count)
{
	int i, status;

	for (i = 0; i < count; i++)
		if (fork() == 0) {
			run();
			_exit(0);
		}
	for (i = 0; i < count; i++)
		CHECK(wait(&status) > 0 && status == 0);
}

static void append(void)
{
	write_records(NULL);
}

/* Where the file ends, and what is left of it, are as with a short read. */
static void at_the_end(void)
{
	char *record = malloc(RECORD);
	struct iovec vec[2] = {{record, RECORD / 2},
			       {record + RECORD / 2, RECORD / 2}};
	off_t end = lseek(records, 0, SEEK_END);

	CHECK(lseek(records, -2 * RECORD - 7, SEEK_END) > 0);
	CHECK(readv(records, vec, 2) == RECORD);
	CHECK(preadv2(records, vec, 2, -1, 0) == RECORD);
	CHECK(read(records, record, RECORD) == 7);
	CHECK(lseek(records, 0, SEEK_CUR) == end);
	CHECK(lseek(records, -RECORD + 7, SEEK_END) > 0);
	CHECK(read(records, record, RECORD) == RECORD - 7);
	CHECK(lseek(records, 0, SEEK_CUR) == end);
	CHECK(read(records, record, RECORD) == 0);
	CHECK(writev(records, vec, 2) == RECORD);
	CHECK(lseek(records, 0, SEEK_CUR) == end + RECORD);
	free(record);
}

/* What fits is written, and no signal is raised. */
static void up_to_limit(void)
{
	struct rlimit limit = {RECORD - (1 << 20), RLIM_INFINITY};
	char *record = malloc(RECORD);
	int fd = open("/proc/self/fd", O_RDONLY);

	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	CHECK(lseek(records, 0, SEEK_SET) == 0);
	CHECK(write(records, record, RECORD) == RECORD - (1 << 20));
	CHECK(pwrite(records, record, RECORD - 4096, 4096) ==
	      RECORD - (1 << 20) - 4096);
	signal(SIGXFSZ, SIG_IGN);
	CHECK(write(records, record, RECORD) == -1 && errno == EFBIG);
	CHECK(lseek(records, 0, SEEK_CUR) == RECORD - (1 << 20));
	CHECK(read(fd, record, RECORD) == -1 && errno == EISDIR);
	CHECK(write(fd, record, RECORD) == -1 && errno == EBADF);
}

/* A read that ends early has moved the position by what it has read. */
static void short_ones(void)
{
	char *record = malloc(RECORD);
	char *end = (char *)((uintptr_t)(record + RECORD / 2) & -PIECE);

	CHECK(mprotect(end, PIECE, PROT_NONE) == 0);
	CHECK(lseek(records, 0, SEEK_SET) == 0);
	CHECK(read(records, record, RECORD) == end - record);
	CHECK(lseek(records, 0, SEEK_CUR) == end - record);
	CHECK(mprotect(end, PIECE, PROT_READ | PROT_WRITE) == 0);
	free(record);
}

/* A filter that ends a program which asks about its files. */
static void confined(void)
{
#define DEADLY(number)                                       \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
	struct sock_filter text[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		DEADLY(SYS_lseek),
		DEADLY(SYS_prlimit64),
		DEADLY(SYS_fcntl),
		DEADLY(SYS_fstat),
		DEADLY(SYS_getsockopt),
		DEADLY(SYS_pread64),
		DEADLY(SYS_pwrite64),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = {.len = sizeof(text) / sizeof(text[0]),
					  .filter = text};
	struct rlimit limit = {7 * RECORD, RLIM_INFINITY};
	const size_t bytes = 8 * RECORD; /* more than one window */
	char *record = malloc(bytes);
	int ends[2];

	CHECK(record && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	CHECK(lseek(records, 0, SEEK_SET) == 0);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0);
	CHECK(write(records, record, bytes) == 7 * RECORD);
	CHECK(write(ends[0], record, bytes) > 0);
}

static void test_large(const char *file)
{
	records = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
	CHECK(records >= 0);
	together(write_records);
	each_found(USERS);
	CHECK(ftruncate(records, 0) == 0);
	CHECK(fcntl(records, F_SETFL, O_APPEND) == 0);
	in_child(append, USERS);
	each_found(USERS);
	CHECK(fcntl(records, F_SETFL, 0) == 0);
	at_the_end();
	in_child(up_to_limit, 1);
	short_ones();
	in_child(confined, 1);
	CHECK(unlink(file) == 0);
}

/* ---- messages ---- */

static void pass_descriptor(int *ends, const struct iovec *out,
			    struct iovec *in)
{
	char *control = piece(CMSG_SPACE(sizeof(int)));
	struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)out,
				 .msg_iovlen = PARTS,
				 .msg_control = control,
				 .msg_controllen = CMSG_SPACE(sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	int fd;

	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)),
			      .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(c), &ends[0], sizeof(int));
	push_out();
	CHECK(sendmsg(ends[0], &message, 0) == ALL);
	memset(control, 0, CMSG_SPACE(sizeof(int)));
	message.msg_iov = in;
	push_out();
	CHECK(recvmsg(ends[1], &message, 0) == ALL);
	same_parts(in, 'k');
	c = CMSG_FIRSTHDR(&message);
	CHECK(c && c->cmsg_type == SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	CHECK(fcntl(fd, F_GETFD) >= 0 && close(fd) == 0);
}

static void many_messages(int *ends, struct iovec *out, struct iovec *in)
{
	struct mmsghdr messages[PARTS] = {0};
	int i;

	for (i = 0; i < PARTS; i++) {
		messages[i].msg_hdr.msg_iov = out + i;
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	push_out();
	CHECK(sendmmsg(ends[0], messages, PARTS, 0) == PARTS);
	for (i = 0; i < PARTS; i++) {
		CHECK(messages[i].msg_len == PART_BYTES);
		memset(in[i].iov_base, 0, PART_BYTES);
		messages[i].msg_hdr.msg_iov = in + i;
	}
	push_out();
	CHECK(recvmmsg(ends[1], messages, PARTS, 0, NULL) == PARTS);
	same_parts(in, 'k');
}

static void from_address(const char *name)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0), other;
	struct sockaddr_un *addr = piece(sizeof(*addr));
	struct iovec vec = {piece(100), 100};
	struct msghdr message = {.msg_name = addr,
				 .msg_namelen = sizeof(*addr),
				 .msg_iov = &vec,
				 .msg_iovlen = 1};

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	snprintf(addr->sun_path, sizeof(addr->sun_path), "%s", name);
	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)addr, sizeof(*addr)) == 0);
	other = socket(AF_UNIX, SOCK_DGRAM, 0);
	push_out();
	CHECK(sendmsg(other, &message, 0) == 100);
	push_out();
	CHECK(sendmsg(fd, &message, 0) == 100);
	memset(addr, 0, sizeof(*addr));
	push_out();
	CHECK(recvmsg(fd, &message, 0) == 100 && message.msg_namelen == 0);
	message.msg_namelen = sizeof(*addr);
	push_out();
	CHECK(recvmsg(fd, &message, 0) == 100);
	CHECK(!strcmp(addr->sun_path, name));
	close(fd);
	close(other);
	CHECK(unlink(name) == 0);
}

static void interfaces(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifconf list = {.ifc_len = 20 * sizeof(struct ifreq)};

	if (fd < 0)
		return; /* no network at all */
	list.ifc_buf = piece((size_t)list.ifc_len);
	push_out();
	CHECK(ioctl(fd, SIOCGIFCONF, &list) == 0);
	CHECK(list.ifc_len == 0 || list.ifc_req->ifr_name[0]);
	close(fd);
}

static void test_messages(const char *name)
{
	struct iovec out[PARTS], in[PARTS];
	int ends[2];

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
	parts(out, 'k');
	parts(in, 0);
	pass_descriptor(ends, out, in);
	many_messages(ends, out, in);
	from_address(name);
	interfaces();
}

/* ---- waiting ---- */

static int waiting[2];
static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static bool cleaned;

static void clean(void *arg)
{
	(void)arg;
	cleaned = true;
}

/* Reads where nothing comes, in a way that the argument says. */
static void *wait_for_ever(void *arg)
{
	struct iovec vec[PARTS];
	struct msghdr message = {.msg_iov = vec, .msg_iovlen = PARTS};

	parts(vec, 0);
	pthread_cleanup_push(clean, NULL);
	CHECK((arg ? readv(waiting[0], vec, PARTS)
		   : recvmsg(waiting[0], &message, 0)) == 0);
	pthread_cleanup_pop(0);
	return NULL;
}

static void cancelled(void *how)
{
	pthread_t thread;
	void *result;

	cleaned = false;
	CHECK(pthread_create(&thread, NULL, wait_for_ever, how) == 0);
	usleep(20000); /* it may or may not wait by then */
	CHECK(pthread_cancel(thread) == 0);
	CHECK(pthread_join(thread, &result) == 0);
	CHECK(result == PTHREAD_CANCELED && cleaned);
}

static void interrupted(void)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct iovec vec[PARTS];

	parts(vec, 0);
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	alarm(1);
	CHECK(readv(waiting[0], vec, PARTS) == -1 && errno == EINTR);
	CHECK(alarms == 1);
	action.sa_flags = SA_RESTART;
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	alarm(1);
	if (fork() == 0) {
		sleep(2);
		_exit(write(waiting[1], "x", 1) != 1);
	}
	CHECK(readv(waiting[0], vec, PARTS) == 1 && alarms == 2);
	CHECK(*(char *)vec[0].iov_base == 'x');
	CHECK(wait(NULL) > 0);
}

static void test_waiting(void)
{
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, waiting) == 0);
	cancelled(NULL);
	cancelled("by readv()");
	interrupted();
	use_memory();
}

/* ---- pointers to nothing ---- */

static void test_nothing(void)
{
	char *gone = mmap(NULL, 4 * PIECE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *block = malloc(MIB);
	struct iovec vec[2] = {{arena, 10}, {gone, 10}};
	volatile uintptr_t nowhere[2];
	int fds[2], i;

	CHECK(gone != MAP_FAILED && block && pipe(fds) == 0);
	/* nobody else gets that */
	CHECK(mprotect(gone, 4 * PIECE, PROT_NONE) == 0);
	CHECK(write(fds[1], gone, 10) == -1 && errno == EFAULT);
	CHECK(open(gone, O_RDONLY) == -1 && errno == EFAULT);
	/* far from all that is there: where paged memory may lie, and not */
	nowhere[0] = (uintptr_t)block + (UINT64_C(1) << 40);
	nowhere[1] = 0x4f0000000000;
	for (i = 0; i < 2; i++)
		CHECK(write(fds[1], (void *)nowhere[i], 10) == -1 &&
		      errno == EFAULT);
	CHECK(syscall(SYS_uname, 0x4f0000000000) == -1 && errno == EFAULT);
	push_out();
	CHECK(writev(fds[1], vec, 2) == -1 && errno == EFAULT);
	free(block);
}

#define EFAULTS(call)                                   \
	do {                                            \
		errno = 0;                              \
		CHECK((call) == -1 && errno == EFAULT); \
	} while (0)

static void *arena_page(void)
{
	return (void *)(((uintptr_t)arena + PIECE - 1) & -PIECE);
}

/* Nobody looks at what is to be refused before the kernel does. */
static void bad_structures(void *bad, const int fds[2], int epoll)
{
	struct timespec soon = {.tv_nsec = 1};
	struct pollfd fd = {.fd = -1};
	struct epoll_event event;

	EFAULTS(writev(fds[0], bad, 1));
	EFAULTS(readv(fds[0], bad, 1));
	EFAULTS(sendmsg(fds[0], bad, 0));
	EFAULTS(recvmsg(fds[0], bad, MSG_DONTWAIT));
	EFAULTS(sendmmsg(fds[0], bad, 1, 0));
	EFAULTS(ioctl(fds[0], SIOCGIFCONF, bad));
	EFAULTS(sigaltstack(bad, NULL));
	EFAULTS(sigaltstack(NULL, bad));
	EFAULTS(ppoll(&fd, 1, &soon, bad));
	EFAULTS(epoll_pwait(epoll, &event, 1, 0, bad));
	EFAULTS(sigsuspend(bad));
	EFAULTS(getrlimit(RLIMIT_NOFILE, bad));
	EFAULTS(setrlimit(RLIMIT_NOFILE, bad));
	EFAULTS(setrlimit(RLIMIT_CPU, bad));
	EFAULTS(prlimit(0, RLIMIT_AS, NULL, bad));
	EFAULTS(pselect(0, NULL, NULL, NULL, &soon, bad));
	EFAULTS(sigprocmask(SIG_BLOCK, NULL, bad));
	EFAULTS(mincore(arena_page(), PIECE, bad));
	EFAULTS(setsockopt(fds[0], SOL_SOCKET, SO_ATTACH_FILTER, bad,
			   sizeof(struct sock_fprog)));
	EFAULTS(prctl(PR_SET_SECCOMP, 2, bad));
	EFAULTS(execve("/bin/true", bad, environ));
	EFAULTS(execve("/bin/true", environ, bad));
	EFAULTS(execve(bad, environ, environ));
}

/* What is behind such structures. */
static void bad_contents(void *bad, const int fds[2])
{
	struct iovec vec = {bad, 8};
	struct msghdr message = {.msg_iov = bad, .msg_iovlen = 1};
	struct ifconf list = {.ifc_len = 4096, .ifc_buf = bad};
	char *const argv[] = {bad, NULL};

	EFAULTS(writev(fds[0], &vec, 1));
	EFAULTS(sendmsg(fds[0], &message, 0));
	message = (struct msghdr){.msg_iov = &vec, .msg_iovlen = 1};
	EFAULTS(sendmsg(fds[0], &message, 0));
	EFAULTS(execve("/bin/true", argv, environ));
	EFAULTS(execve("/bin/true", environ, argv));
	EFAULTS(ioctl(fds[0], SIOCGIFCONF, &list));
}

/* A filter that the structure on the stack points to. */
static void filter_of(int fd)
{
	static const struct sock_filter keep_all =
		BPF_STMT(BPF_RET | BPF_K, 0xffff);
	struct sock_filter *code = piece(sizeof(*code));
	struct sock_fprog program = {.len = 1, .filter = code};

	*code = keep_all;
	push_out();
	CHECK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
			 sizeof(program)) == 0);
}

/* A set that may be written to and not read: how long it is nobody says. */
static void write_only(void)
{
	int set = semget(IPC_PRIVATE, 3, 0200);
	unsigned short *value = piece(3 * sizeof(*value));

	CHECK(set >= 0);
	value = (unsigned short *)((char *)value + PIECE) - 3;
	value[0] = value[1] = value[2] = 7;
	push_out();
	CHECK(semctl(set, 0, SETALL, value) == 0);
	CHECK(semctl(set, 0, IPC_RMID) == 0);
}

/* Two pages of which the first may be accessed. */
static char *two_pages(void)
{
	char *p = mmap(NULL, 2 * PIECE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void test_structures(void)
{
	void *bad[] = {(void *)8,
		       (void *)UINTPTR_MAX,
		       (void *)(UINT64_C(1) << 63),
		       two_pages() + PIECE,
		       two_pages() + PIECE,
		       piece(PIECE)};
	int fds[2], epoll = epoll_create1(0), i;

	CHECK(munmap(bad[3], PIECE) == 0);
	CHECK(mprotect(bad[4], PIECE, PROT_NONE) == 0);
	CHECK(mprotect(bad[5], PIECE, PROT_NONE) == 0);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(epoll >= 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
	for (i = 0; i < 6; i++)
		bad_structures(bad[i], fds, epoll);
	for (i = 3; i < 6; i++)
		bad_contents(bad[i], fds);
	/* it begins where something is, and goes on where nothing is */
	EFAULTS(readv(fds[0], (struct iovec *)((char *)bad[4] - 8), 1));
	filter_of(fds[0]);
	write_only();
}

/* ---- results where nothing is, of calls that libc's functions make ---- */

static void test_results(void)
{
	sigset_t *set = piece(sizeof(*set)), some;
	stack_t *stack = piece(sizeof(*stack));
	struct rlimit *limit = piece(sizeof(*limit)), now;
	unsigned char *flags = piece(2 * MIB / PIECE);
	char *first = (char *)(((uintptr_t)filler + PIECE - 1) & -PIECE);

	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	push_out();
	CHECK(sigprocmask(SIG_BLOCK, &some, set) == 0);
	CHECK(sigismember(set, SIGUSR1) == 0);
	CHECK(sigaltstack(NULL, stack) == 0 && stack->ss_flags == SS_DISABLE);
	CHECK(prlimit(0, RLIMIT_NOFILE, NULL, limit) == 0);
	CHECK(getrlimit(RLIMIT_NOFILE, &now) == 0);
	CHECK(now.rlim_cur == limit->rlim_cur);
	CHECK(mincore(first, MIB, flags) == 0 && flags[0] != 'a');
}

int main(int argc, char **argv)
{
	CHECK(argc > 1);
	begin();
	if (!strcmp(argv[1], "vectors") && argc > 2)
		test_vectors(argv[2]);
	else if (!strcmp(argv[1], "large") && argc > 2)
		test_large(argv[2]);
	else if (!strcmp(argv[1], "messages") && argc > 2)
		test_messages(argv[2]);
	else if (!strcmp(argv[1], "waiting"))
		test_waiting();
	else if (!strcmp(argv[1], "nothing"))
		test_nothing();
	else if (!strcmp(argv[1], "results"))
		test_results();
	else if (!strcmp(argv[1], "structures"))
		test_structures();
	else
		CHECK(!"a test");
	return 0;
}
