/* SPDX-License-Identifier: MIT */
/*
 * script/vvmrun_threads.c - a program for tests/script/vvmrun.sh whose threads
 * and signal handlers are unlike those of vvmrun_signals.c: what libc has blocked
 * meets memory that is not there, stacks for signals are small. It knows nothing
 * of libvvm. Its argument chooses what it does; it exits 0 if that went as without
 * vvmrun, and else says the line that failed.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "script/absent.h"

/* ---- attributes ---- */

/* More CPUs than a cpu_set_t has, and fewer. */
static const size_t set_bytes[] = {8, sizeof(cpu_set_t), 160, 256};
enum { SETS = sizeof(set_bytes) / sizeof(set_bytes[0]) };

static int first_cpu(void)
{
	cpu_set_t now;
	int cpu = 0;

	CHECK(sched_getaffinity(0, sizeof(now), &now) == 0);
	while (!CPU_ISSET(cpu, &now))
		cpu++;
	return cpu;
}

/* Is it as its attributes say? */
static void *born(void *arg)
{
	sigset_t mask;
	cpu_set_t now;

	CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
	CHECK(sigismember(&mask, SIGUSR1) == 1);
	CHECK(sigismember(&mask, SIGUSR2) == 0);
	CHECK(sched_getaffinity(0, sizeof(now), &now) == 0);
	CHECK(CPU_COUNT(&now) == 1 && CPU_ISSET(*(int *)arg, &now));
	use_memory();
	return arg;
}

static void make(const pthread_attr_t *attr, int *cpu)
{
	pthread_t thread;
	void *result;

	push_out();
	CHECK(pthread_create(&thread, attr, born, cpu) == 0);
	CHECK(pthread_join(thread, &result) == 0 && result == cpu);
}

static void fill_attributes(pthread_attr_t *attr, size_t bytes, int cpu)
{
	cpu_set_t *cpus = piece(bytes);
	sigset_t *mask = piece(sizeof(*mask));

	CPU_ZERO_S(bytes, cpus);
	CPU_SET_S(cpu, bytes, cpus);
	sigemptyset(mask);
	sigaddset(mask, SIGUSR1);
	push_out();
	CHECK(pthread_attr_init(attr) == 0);
	CHECK(pthread_attr_setaffinity_np(attr, bytes, cpus) == 0);
	CHECK(pthread_attr_setsigmask_np(attr, mask) == 0);
}

/* What libc reads, or the kernel for it, while all signals are blocked. */
static void test_attributes(void)
{
	pthread_attr_t here, now, *there = piece(sizeof(*there));
	int *cpu = piece(sizeof(*cpu));
	unsigned i;

	*cpu = first_cpu();
	CHECK(*cpu < 64);
	for (i = 0; i < SETS; i++) {
		fill_attributes(&here, set_bytes[i], *cpu);
		make(&here, cpu);
		CHECK(pthread_attr_destroy(&here) == 0);
		fill_attributes(there, set_bytes[i], *cpu);
		make(there, cpu);
		if (i + 1 < SETS)
			CHECK(pthread_attr_destroy(there) == 0);
	}
	push_out();
	CHECK(pthread_setattr_default_np(there) == 0);
	CHECK(pthread_attr_destroy(there) == 0);
	make(NULL, cpu);
	CHECK(pthread_getattr_default_np(&now) == 0);
	make(&now, cpu);
	CHECK(pthread_attr_destroy(&now) == 0);
}

/* ---- stacks for signals ---- */

#define SMALL_BYTES 8192 /* SIGSTKSZ, as programs have it built in */

/* What lies below a stack must not change. */
static char below[4 * SMALL_BYTES];
static stack_t inside;
static volatile int handled;

static void on_small(int sig)
{
	char *part = piece(PIECE);
	FILE *file = fopen("/proc/self/stat", "r");

	(void)sig;
	push_out();
	CHECK(sigaltstack(NULL, &inside) == 0);
	CHECK(sigaltstack(&inside, NULL) == -1 && errno == EPERM);
	CHECK(file && setvbuf(file, part, _IOFBF, PIECE) == 0);
	CHECK(fgetc(file) != EOF && fclose(file) == 0);
	CHECK(part[1] != 'a');
	handled++;
}

static void small(void)
{
	const size_t rest = sizeof(below) - SMALL_BYTES;
	struct sigaction action = {.sa_handler = on_small,
				   .sa_flags = SA_ONSTACK};
	stack_t set = {.ss_sp = below + rest, .ss_size = SMALL_BYTES}, now;
	size_t i;

	memset(below, 'b', rest);
	CHECK(sigaltstack(&set, NULL) == 0);
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	for (i = 0; i < 5; i++)
		raise(SIGUSR1);
	CHECK(handled == 5 && inside.ss_sp == set.ss_sp &&
	      inside.ss_size == SMALL_BYTES && inside.ss_flags == SS_ONSTACK);
	for (i = 0; i < rest; i++)
		CHECK(below[i] == 'b');
	CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == set.ss_sp);
	now.ss_flags = 1234;
	CHECK(sigaltstack(&now, NULL) == -1 && errno == EINVAL);
	now.ss_flags = 0;
	now.ss_size = 2047;
	CHECK(sigaltstack(&now, NULL) == -1 && errno == ENOMEM);
	now.ss_size = 2048;
	CHECK(sigaltstack(&now, NULL) == 0);
}

/* A large one is used as it is: where a handler's variables are, is seen. */
static volatile uintptr_t handler_at;

static void on_large(int sig)
{
	handler_at = (uintptr_t)&sig;
}

static void large(void)
{
	struct sigaction action = {.sa_handler = on_large,
				   .sa_flags = SA_ONSTACK};
	stack_t set = {.ss_size = 64 << 10}, now;

	set.ss_sp = mmap(NULL, set.ss_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	CHECK(set.ss_sp != MAP_FAILED && sigaltstack(&set, &now) == 0);
	CHECK(now.ss_size == 2048);
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	raise(SIGUSR1);
	CHECK(handler_at - (uintptr_t)set.ss_sp < set.ss_size);
	now.ss_flags = SS_DISABLE;
	CHECK(sigaltstack(&now, NULL) == 0);
	raise(SIGUSR1);
	CHECK(handler_at - (uintptr_t)set.ss_sp >= set.ss_size);
	CHECK(sigaltstack(NULL, &now) == 0 && now.ss_flags == SS_DISABLE);
	CHECK(!now.ss_sp && now.ss_size == 0);
}

/* A handler that is left for another context, which has its own, on top. */
static ucontext_t suspended, other;
static volatile int depth;

static void on_disarmed(int sig)
{
	volatile char mark[2048];
	size_t i;

	memset((void *)(uintptr_t)mark, 'a' + depth, sizeof(mark));
	if (sig != SIGUSR2 || depth++)
		return;
	CHECK(swapcontext(&suspended, &other) == 0);
	for (i = 0; i < sizeof(mark); i++)
		CHECK(mark[i] == 'a');
}

static void raises(void)
{
	stack_t now;

	CHECK(sigaltstack(NULL, &now) == 0 && now.ss_flags & SS_DISABLE);
	raise(SIGUSR2);
	setcontext(&suspended);
}

static void disarmed(void)
{
	static char stack[4 * SMALL_BYTES], another[256 << 10];
	struct sigaction action = {.sa_handler = on_disarmed,
				   .sa_flags = SA_ONSTACK | SA_NODEFER};
	stack_t set = {.ss_sp = stack,
		       .ss_size = sizeof(stack),
		       .ss_flags = (int)(1u << 31)}; /* SS_AUTODISARM */
	stack_t now;

	CHECK(sigaltstack(&set, NULL) == 0);
	CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
	CHECK(getcontext(&other) == 0);
	other.uc_stack.ss_sp = another;
	other.uc_stack.ss_size = sizeof(another);
	other.uc_link = NULL;
	makecontext(&other, raises, 0);
	raise(SIGUSR2);
	CHECK(depth == 2);
	CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == stack);
}

static void test_altstack(void)
{
	small();
	large();
	disarmed();
}

/* ---- contexts ---- */

static ucontext_t here, there;

static int blocked(int sig)
{
	sigset_t now;

	CHECK(sigprocmask(SIG_SETMASK, NULL, &now) == 0);
	return sigismember(&now, sig);
}

/* All signals are blocked, and memory is used. */
static void masked(void)
{
	FILE *file;
	int i;

	for (i = 0; i < 3; i++) {
		CHECK(blocked(SIGUSR1) && blocked(SIGSEGV) && blocked(SIGBUS) &&
		      blocked(SIGSYS));
		use_memory();
		file = fopen("/proc/self/stat", "r");
		CHECK(file && setvbuf(file, piece(PIECE), _IOFBF, PIECE) == 0);
		push_out();
		CHECK(fgetc(file) != EOF && fclose(file) == 0);
		CHECK(swapcontext(&there, &here) == 0);
	}
}

/* ---- what is blocked, and handlers ---- */

static sigjmp_buf back;
static volatile char *wall;
static volatile int hits;

static void jumps(void)
{
	sigset_t all;

	sigfillset(&all);
	if (sigsetjmp(back, 1) == 0) {
		CHECK(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
		siglongjmp(back, 1);
	}
	CHECK(!blocked(SIGSEGV) && !blocked(SIGSYS) && !blocked(SIGUSR1));
	CHECK(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
	if (sigsetjmp(back, 1) == 0) {
		CHECK(sigprocmask(SIG_UNBLOCK, &all, NULL) == 0);
		CHECK(!blocked(SIGSEGV) && !blocked(SIGUSR1));
		longjmp(back, 1);
	}
	CHECK(blocked(SIGSEGV) && blocked(SIGSYS) && blocked(SIGUSR1));
	if (setjmp(back) == 0) {
		CHECK(sigprocmask(SIG_UNBLOCK, &all, NULL) == 0);
		longjmp(back, 1);
	}
	CHECK(!blocked(SIGSEGV) && !blocked(SIGSYS) && !blocked(SIGUSR1));
}

static void leave(int sig)
{
	CHECK(blocked(sig) && !blocked(sig == SIGBUS ? SIGSEGV : SIGBUS));
	use_memory();
	hits++;
	siglongjmp(back, 1);
}

static void hit(void)
{
	if (sigsetjmp(back, 1) == 0)
		*wall = 1;
	CHECK(!blocked(SIGSEGV));
}

/* A handler that does itself what it is there for. */
static void fail_again(int sig)
{
	if (++hits > 1)
		_exit(7);
	*wall = (char)sig;
}

static void repair(int sig)
{
	CHECK(!blocked(sig));
	if (++hits == 1)
		*wall = 1;
	CHECK(mprotect((char *)(uintptr_t)wall, PIECE, PROT_WRITE) == 0);
}

static int end_of(void (*handler)(int), unsigned flags, bool is_blocked)
{
	struct sigaction action = {.sa_handler = handler,
				   .sa_flags = (int)flags};
	pid_t child = fork();
	sigset_t set;
	int status;

	if (child == 0) {
		hits = 0;
		sigemptyset(&set);
		sigaddset(&set, SIGSEGV);
		CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
		if (is_blocked)
			CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
		*wall = 1;
		_exit(hits);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	return status;
}

static void test_blocked(void)
{
	int i;

	wall = mmap(NULL, PIECE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(wall != MAP_FAILED);
	jumps();
	CHECK(signal(SIGSEGV, leave) == SIG_DFL);
	for (i = 1; i <= 3; i++) {
		hit();
		CHECK(hits == i);
	}
	CHECK(end_of(fail_again, 0, false) == SIGSEGV);
	CHECK(end_of(leave, 0, true) == SIGSEGV);
	CHECK(end_of(repair, SA_NODEFER, false) == 2 << 8);
	use_memory();
}

/* ---- contexts that the program makes, leaves and uses again ---- */

static char coroutine_stack[256 << 10];
static volatile int expected, arguments;

static void prepare(void (*run)(void), ucontext_t *next)
{
	there.uc_stack.ss_sp = coroutine_stack;
	there.uc_stack.ss_size = sizeof(coroutine_stack);
	there.uc_link = next;
	makecontext(&there, run, 0);
}

static void looks(void)
{
	CHECK(blocked(SIGSEGV) == expected && blocked(SIGUSR1) == expected);
}

static void looks_and_leaves(void)
{
	looks();
	setcontext(&here);
}

static void adds(int a, int b, int c, int d, int e, int f, int g, int h)
{
	arguments = a + 10 * (b + c + d + e + f) + 100 * g + 1000 * h;
}

/* It ends, and libc goes on. */
static void linked(void)
{
	CHECK(getcontext(&there) == 0);
	sigfillset(&there.uc_sigmask);
	prepare(looks, &here);
	expected = 1;
	CHECK(swapcontext(&here, &there) == 0);
	CHECK(!blocked(SIGSEGV) && !blocked(SIGUSR1));
	CHECK(getcontext(&there) == 0);
	prepare(looks, &here);
	makecontext(&there, (void (*)(void))adds, 8, 1, 0, 0, 0, 0, 1, 2, 3);
	CHECK(swapcontext(&here, &there) == 0 && arguments == 3211);
}

/* What the program takes out of the set is not blocked there. */
static void taken_out(int one)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	if (!one)
		sigaddset(&set, SIGUSR1);
	CHECK(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
	CHECK(getcontext(&there) == 0);
	if (one)
		sigdelset(&there.uc_sigmask, SIGSEGV);
	else
		there.uc_sigmask.__val[0] = 0; /* as sigemptyset() */
	prepare(looks_and_leaves, NULL);
	expected = 0;
	CHECK(swapcontext(&here, &there) == 0);
	CHECK(blocked(SIGSEGV));
	sigemptyset(&set);
	CHECK(sigprocmask(SIG_SETMASK, &set, NULL) == 0);
}

static void used_twice(void)
{
	int i;

	CHECK(getcontext(&there) == 0);
	sigfillset(&there.uc_sigmask);
	prepare(looks_and_leaves, NULL);
	expected = 1;
	for (i = 0; i < 2; i++)
		CHECK(swapcontext(&here, &there) == 0);
	CHECK(!blocked(SIGSEGV));
}

static void by_context(int sig, siginfo_t *si, void *context)
{
	CHECK(si->si_signo == sig && blocked(SIGSEGV));
	if (sig == SIGSEGV)
		CHECK(mprotect((char *)(uintptr_t)wall, PIECE, PROT_WRITE) ==
		      0);
	setcontext(context);
}

/* setcontext() brings registers back in which arguments are, but not rax. */
static void write_to_wall(void)
{
#ifdef __x86_64__
	__asm__ volatile("movb $1, (%0)" : : "d"(wall) : "memory");
#else
	*wall = 1;
#endif
}

static void left(void)
{
	struct sigaction action = {.sa_sigaction = by_context,
				   .sa_flags = SA_SIGINFO};
	sigset_t set;

	wall = mmap(NULL, PIECE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(wall != MAP_FAILED);
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	write_to_wall();
	CHECK(!blocked(SIGSEGV));
	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	raise(SIGUSR1);
	CHECK(blocked(SIGSEGV));
	CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
}

static void test_links(void)
{
	linked();
	taken_out(0);
	taken_out(1);
	used_twice();
	left();
	use_memory();
}

static void test_contexts(void)
{
	static volatile int times;
	size_t bytes = 64 << 10;
	sigset_t some;
	int i;

	sigemptyset(&some);
	sigaddset(&some, SIGBUS);
	CHECK(getcontext(&there) == 0);
	there.uc_stack.ss_sp = malloc(bytes);
	there.uc_stack.ss_size = bytes;
	there.uc_link = NULL;
	sigfillset(&there.uc_sigmask);
	makecontext(&there, masked, 0);
	CHECK(sigprocmask(SIG_BLOCK, &some, NULL) == 0);
	for (i = 0; i < 3; i++) {
		CHECK(swapcontext(&here, &there) == 0);
		CHECK(!blocked(SIGUSR1) && !blocked(SIGSEGV) &&
		      blocked(SIGBUS) && !blocked(SIGSYS));
		use_memory();
	}
	CHECK(getcontext(&here) == 0);
	if (times++ == 0) {
		sigfillset(&some);
		CHECK(sigprocmask(SIG_SETMASK, &some, NULL) == 0);
		setcontext(&here);
	}
	CHECK(times == 2 && !blocked(SIGSEGV) && blocked(SIGBUS) &&
	      !blocked(SIGSYS));
	use_memory();
}

int main(int argc, char **argv)
{
	alarm(600);
	CHECK(argc > 1);
	begin();
	if (!strcmp(argv[1], "attributes"))
		test_attributes();
	else if (!strcmp(argv[1], "altstack"))
		test_altstack();
	else if (!strcmp(argv[1], "contexts"))
		test_contexts();
	else if (!strcmp(argv[1], "links"))
		test_links();
	else if (!strcmp(argv[1], "blocked"))
		test_blocked();
	else
		CHECK(!"a test");
	return 0;
}
