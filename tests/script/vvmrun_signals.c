/* SPDX-License-Identifier: MIT */
/*
 * script/vvmrun_signals.c - a program for tests/script/vvmrun.sh whose signals,
 * stacks and children meet memory that is not there. It knows nothing of libvvm.
 * Its argument chooses what it does; it exits 0 if that went as without vvmrun,
 * and else says the line that failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <wordexp.h>

#include "script/absent.h"

static int status_of(pid_t pid)
{
	int status;

	CHECK(pid > 0);
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- masks ---- */

static const int ours[] = {SIGBUS, SIGSEGV, SIGSYS, SIGUSR1};

static void set_of(sigset_t *set)
{
	unsigned i;

	sigemptyset(set);
	for (i = 0; i < 4; i++)
		sigaddset(set, ours[i]);
}

static unsigned blocked(void)
{
	unsigned i, bits = 0;
	sigset_t now;

	CHECK(sigprocmask(SIG_SETMASK, NULL, &now) == 0);
	for (i = 0; i < 4; i++)
		bits |= (unsigned)sigismember(&now, ours[i]) << i;
	return bits;
}

static void *born_blocked(void *arg)
{
	CHECK(blocked() == (unsigned)(uintptr_t)arg);
	use_memory();
	return NULL;
}

static int born_in_c11(void *arg)
{
	born_blocked(arg);
	return -7;
}

static void threads_with_mask(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	sigset_t set;
	thrd_t other;
	int result;

	CHECK(pthread_create(&thread, NULL, born_blocked, (void *)15) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(thrd_create(&other, born_in_c11, (void *)15) == thrd_success);
	CHECK(thrd_join(other, &result) == thrd_success && result == -7);
	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	sigaddset(&set, SIGUSR1);
	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setsigmask_np(&attr, &set) == 0);
	CHECK(pthread_create(&thread, &attr, born_blocked, (void *)12) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	pthread_attr_destroy(&attr);
}

static volatile sig_atomic_t arrived;

static void on_usr1(int sig)
{
	(void)sig;
	arrived++;
	use_memory();
}

static void waits(void)
{
	struct timespec second = {.tv_sec = 60};
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGUSR1);
	raise(SIGUSR1); /* it is blocked */
	CHECK(arrived == 0);
	CHECK(sigsuspend(&all) == -1 && errno == EINTR && arrived == 1);
	raise(SIGUSR1);
	CHECK(ppoll(NULL, 0, &second, &all) == -1 && arrived == 2);
	raise(SIGUSR1);
	CHECK(pselect(0, NULL, NULL, NULL, &second, &all) == -1 &&
	      arrived == 3);
	use_memory();
}

static void test_mask(void)
{
	struct sigaction action = {.sa_handler = on_usr1}, old;
	sigset_t *set = piece(sizeof(*set)), *before = piece(sizeof(*before));

	sigfillset(&action.sa_mask);
	CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
	CHECK(sigaction(SIGUSR1, NULL, &old) == 0);
	CHECK(sigismember(&old.sa_mask, SIGSYS) == 1 &&
	      sigismember(&old.sa_mask, SIGBUS) == 1 &&
	      old.sa_handler == on_usr1);
	set_of(set);
	CHECK(blocked() == 0);
	push_out();
	CHECK(sigprocmask(SIG_BLOCK, set, before) == 0);
	CHECK(sigismember(before, SIGSYS) == 0);
	CHECK(blocked() == 15);
	use_memory();
	waits();
	threads_with_mask();
	sigdelset(set, SIGSEGV);
	CHECK(pthread_sigmask(SIG_UNBLOCK, set, NULL) == 0 && blocked() == 2);
	CHECK(pthread_sigmask(SIG_SETMASK, before, set) == 0);
	CHECK(sigismember(set, SIGSEGV) == 1 && sigismember(set, SIGBUS) == 0);
	CHECK(blocked() == 0);
	CHECK(sigprocmask(99, set, NULL) == -1 && errno == EINVAL);
}

/* ---- handlers ---- */

static sigjmp_buf back;
static char *volatile wall;
static volatile sig_atomic_t hits;

static void on_hit(int sig, siginfo_t *si, void *context)
{
	CHECK(sig == SIGSEGV && si->si_addr == wall && context);
	hits++;
	use_memory();
	siglongjmp(back, 1);
}

static void repair(int sig)
{
	hits++;
	CHECK(sig == SIGSEGV || sig == SIGBUS);
	CHECK(mprotect(wall, PIECE, PROT_READ | PROT_WRITE) == 0);
}

static void hit_wall(void)
{
	CHECK(mprotect(wall, PIECE, PROT_NONE) == 0);
	if (sigsetjmp(back, 1) == 0)
		*wall = 1;
	use_memory();
}

static void die_by(int sig, void (*handler)(int), int status)
{
	pid_t child = fork();

	if (child == 0) {
		signal(sig, handler);
		if (sig == SIGSYS)
			raise(sig);
		else
			*(volatile char *)wall = 1;
		_exit(0);
	}
	CHECK(status_of(child) == status);
}

static void sent(int sig)
{
	pid_t child = fork();

	if (child == 0) {
		signal(sig, SIG_IGN);
		raise(sig);
		use_memory();
		_exit(7);
	}
	CHECK(status_of(child) == 7);
}

static void test_handler(void)
{
	struct sigaction action = {.sa_sigaction = on_hit,
				   .sa_flags = SA_SIGINFO},
			 old;
	unsigned i;

	wall = mmap(NULL, PIECE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(wall != MAP_FAILED);
	for (i = 0; i < 3; i++) {
		CHECK(sigaction(ours[i], NULL, &old) == 0);
		CHECK(old.sa_handler == SIG_DFL &&
		      !(old.sa_flags & SA_SIGINFO));
	}
	die_by(SIGSEGV, SIG_DFL, 128 + SIGSEGV);
	die_by(SIGSYS, SIG_DFL, 128 + SIGSYS);
	for (i = 0; i < 3; i++)
		sent(ours[i]);
	CHECK(sigaction(SIGSEGV, &action, &old) == 0);
	CHECK(old.sa_handler == SIG_DFL);
	for (i = 1; i <= 3; i++) {
		hit_wall();
		CHECK(hits == (int)i);
	}
	CHECK(sigaction(SIGSEGV, NULL, &old) == 0);
	CHECK(old.sa_sigaction == on_hit && old.sa_flags & SA_SIGINFO);
	CHECK((void *)signal(SIGSEGV, repair) == (void *)on_hit);
	CHECK(mprotect(wall, PIECE, PROT_NONE) == 0);
	*wall = 1;
	CHECK(hits == 4 && *wall == 1);
	CHECK(sigaction(SIGSEGV, NULL, &old) == 0);
	CHECK(old.sa_handler == repair && old.sa_flags & SA_RESTART);
	action.sa_handler = repair;
	action.sa_flags = (int)SA_RESETHAND;
	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	CHECK(mprotect(wall, PIECE, PROT_NONE) == 0);
	*wall = 2;
	CHECK(sigaction(SIGSEGV, NULL, &old) == 0);
	CHECK(old.sa_handler == SIG_DFL);
	CHECK(mprotect(wall, PIECE, PROT_NONE) == 0);
	die_by(SIGSEGV, SIG_DFL, 128 + SIGSEGV);
	CHECK(signal(SIGBUS, repair) == SIG_DFL);
	raise(SIGBUS);
	CHECK(hits == 6);
	CHECK(signal(SIGSYS, SIG_IGN) == SIG_DFL);
	CHECK(signal(SIGSYS, SIG_DFL) == SIG_IGN);
	use_memory();
}

/* ---- stacks ---- */

static int deep(int n)
{
	volatile char room[1024];

	room[0] = (char)n;
	if (n)
		return deep(n - 1) + (room[0] == (char)n);
	use_memory();
	return 0;
}

static void *on_stack(void *arg)
{
	CHECK(deep(100) == 100);
	return arg;
}

static ucontext_t main_context, its_context;

static void coroutine(void)
{
	int i;

	for (i = 0; i < 5; i++) {
		CHECK(deep(100) == 100);
		swapcontext(&its_context, &main_context);
	}
}

static volatile uintptr_t handler_at;

static void on_altstack(int sig)
{
	handler_at = (uintptr_t)&sig;
	use_memory();
	repair(sig);
}

static void alternate(void)
{
	struct sigaction action = {.sa_handler = on_altstack,
				   .sa_flags = SA_ONSTACK};
	stack_t set = {.ss_size = 64 << 10}, old, now;

	set.ss_sp = piece(set.ss_size);
	push_out();
	CHECK(sigaltstack(NULL, &old) == 0 && old.ss_flags == SS_DISABLE);
	CHECK(sigaltstack(&set, NULL) == 0);
	CHECK(sigaltstack(NULL, &now) == 0);
	CHECK(now.ss_sp == set.ss_sp && now.ss_size == set.ss_size &&
	      now.ss_flags == 0);
	wall = mmap(NULL, PIECE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	push_out();
	*wall = 1;
	CHECK(hits == 1 && handler_at);
	CHECK(sigaltstack(&old, &now) == 0);
	CHECK(now.ss_sp == set.ss_sp && now.ss_flags == 0);
	CHECK(sigaltstack(NULL, &now) == 0 && now.ss_flags == SS_DISABLE);
	set.ss_size = 100;
	CHECK(sigaltstack(&set, NULL) == -1 && errno == ENOMEM);
}

static void test_stack(void)
{
	size_t bytes = 256 << 10;
	char *stack = aligned_alloc(4096, bytes);
	pthread_attr_t attr;
	pthread_t thread;
	void *result;
	int i;

	memset(stack, 1, bytes);
	push_out();
	CHECK(pthread_attr_init(&attr) == 0);
	CHECK(pthread_attr_setstack(&attr, stack, bytes) == 0);
	CHECK(pthread_create(&thread, &attr, on_stack, stack) == 0);
	CHECK(pthread_join(thread, &result) == 0 && result == stack);
	pthread_attr_destroy(&attr);
	CHECK(getcontext(&its_context) == 0);
	its_context.uc_stack.ss_sp = stack;
	its_context.uc_stack.ss_size = bytes;
	its_context.uc_link = &main_context;
	makecontext(&its_context, coroutine, 0);
	for (i = 0; i < 6; i++) {
		push_out();
		CHECK(swapcontext(&main_context, &its_context) == 0);
	}
	free(stack);
	alternate();
}

/* ---- other programs ---- */

extern char **environ;

/* Exits 5 if a variable, which is in its environment, is in its argument. */
static char *const *shell_words(void)
{
	char **argv = piece(4 * sizeof(*argv));

	argv[0] = text("sh");
	argv[1] = text("-c");
	argv[2] = text("test \"$PAGED\" = \"$(cat)\" && exit 5");
	argv[3] = NULL;
	return argv;
}

static char *const *paged_environment(void)
{
	char **env = piece(4 * sizeof(*env));

	env[0] = text("PATH=/usr/bin:/bin");
	env[1] = text("PAGED=yes");
	env[2] = NULL;
	return env;
}

static void spawned(const char *file)
{
	posix_spawn_file_actions_t *actions = piece(sizeof(*actions));
	posix_spawnattr_t *attr = piece(sizeof(*attr));
	pid_t *pid = piece(sizeof(*pid));
	int i;

	CHECK(posix_spawn_file_actions_init(actions) == 0);
	/* enough of them for the list to be large */
	for (i = 0; i < 200; i++)
		CHECK(posix_spawn_file_actions_addclose(actions, 500 + i) == 0);
	CHECK(posix_spawn_file_actions_addopen(actions, 0, file, O_RDONLY, 0) ==
	      0);
	CHECK(posix_spawnattr_init(attr) == 0);
	push_out();
	CHECK(posix_spawn(pid, text("/bin/sh"), actions, attr, shell_words(),
			  paged_environment()) == 0);
	CHECK(status_of(*pid) == 5);
	push_out();
	CHECK(posix_spawnp(pid, text("sh"), actions, attr, shell_words(),
			   paged_environment()) == 0);
	CHECK(status_of(*pid) == 5);
	i = posix_spawnp(pid, text("no-such-program"), actions, attr,
			 shell_words(), environ);
	CHECK(i == ENOENT || i == EACCES); /* the latter by a folder of PATH */
	posix_spawn_file_actions_destroy(actions);
	posix_spawnattr_destroy(attr);
}

static void executed(const char *file)
{
	char *const *argv = shell_words(), *const *env = paged_environment();
	char *path = text("/bin/sh"), *name = text("sh");
	pid_t child;
	int way;

	for (way = 0; way < 4; way++) {
		push_out();
		child = way % 2 ? vfork() : fork();
		if (child == 0) {
			close(0);
			if (open(file, O_RDONLY) != 0)
				_exit(99);
			if (way < 2)
				execve(path, argv, env);
			else
				execvpe(name, argv, env);
			_exit(98);
		}
		CHECK(status_of(child) == 5);
	}
}

static void by_shell(void)
{
	char line[100] = "";
	wordexp_t words;
	FILE *stream;

	CHECK(putenv(text("PAGED=twice")) == 0);
	CHECK(setenv(text("OTHER"), text("set"), 1) == 0);
	push_out();
	CHECK(system(text("test \"$PAGED$OTHER\" = twiceset && exit 6")) ==
	      6 << 8);
	CHECK(putenv(text("PAGED=three")) == 0);
	push_out();
	stream = popen(text("echo $PAGED; exit 3"), text("r"));
	CHECK(stream && fgets(line, sizeof(line), stream));
	CHECK(!strcmp(line, "three\n") && pclose(stream) == 3 << 8);
	push_out();
	CHECK(wordexp(text("$(echo $PAGED) two"), &words, 0) == 0);
	CHECK(words.we_wordc == 2 && !strcmp(words.we_wordv[0], "three"));
	wordfree(&words);
	CHECK(!strcmp(getenv("PAGED"), "three") &&
	      !strcmp(getenv("OTHER"), "set"));
}

static void test_spawn(const char *file)
{
	char *paged_file = text(file);
	FILE *f = fopen(file, "w");

	CHECK(f && fputs("yes\n", f) >= 0 && fclose(f) == 0);
	spawned(paged_file);
	executed(paged_file);
	by_shell();
	CHECK(unlink(file) == 0);
}

/* ---- calls on ranges, while it allocates ---- */

static volatile sig_atomic_t dropped, kept;

static void on_alarm(int sig)
{
	static const char zero[PIECE];
	int saved = errno;
	char *p = arena + PIECE;

	(void)sig;
	p = (char *)(((uintptr_t)p + PIECE - 1) & -PIECE);
	memset(p, 'x', PIECE);
	CHECK(madvise(p, PIECE, MADV_DONTNEED) == 0);
	if (memcmp(p, zero, PIECE))
		kept++;
	dropped++;
	errno = saved;
}

static void test_ranges(void)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
	static void *block[256];
	unsigned i = 0;

	CHECK(sigaction(SIGVTALRM, &sa, NULL) == 0);
	CHECK(setitimer(ITIMER_VIRTUAL, &often, NULL) == 0);
	for (; dropped < 100; i++) {
		free(block[i % 256]);
		block[i % 256] = malloc(100 + i % 9000);
		CHECK(block[i % 256]);
	}
	CHECK(setitimer(ITIMER_VIRTUAL, &never, NULL) == 0);
	CHECK(kept == 0);
}

/* ---- threads of libc's ---- */

#define TIMERS 4

static int told[2];
static char *words; /* paged */

static void tell(union sigval value)
{
	char *copy = malloc(9000);

	CHECK(copy);
	use_memory();
	CHECK(!strcmp(value.sival_ptr, "value"));
	memcpy(copy, words, 9000);
	CHECK(write(told[1], copy, 1) == 1);
	free(copy);
	CHECK(write(told[1], words, 1) == 1); /* absent, it may be */
}

static void wait_for(unsigned bytes)
{
	char c;

	while (bytes--)
		CHECK(read(told[0], &c, 1) == 1 && c == 'w');
}

static struct sigevent *event_of(void)
{
	struct sigevent *event = calloc(1, 5000);

	CHECK(event);
	event->sigev_notify = SIGEV_THREAD;
	event->sigev_notify_function = tell;
	event->sigev_value.sival_ptr = text("value");
	return event;
}

static void timers(void)
{
	struct itimerspec soon = {.it_value = {0, 1000000}};
	timer_t timer[TIMERS];
	unsigned i, round;

	for (i = 0; i < TIMERS; i++)
		CHECK(timer_create(CLOCK_MONOTONIC, event_of(), &timer[i]) ==
		      0);
	for (round = 0; round < 3; round++) {
		push_out();
		for (i = 0; i < TIMERS; i++)
			CHECK(timer_settime(timer[i], 0, &soon, NULL) == 0);
		wait_for(2 * TIMERS);
	}
	for (i = 0; i < TIMERS; i++)
		CHECK(timer_delete(timer[i]) == 0);
}

static void queues(void)
{
	char name[40];
	mqd_t queue;

	snprintf(name, sizeof(name), "/guest-%d", (int)getpid());
	queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
	if (queue == (mqd_t)-1)
		return; /* there are none here */
	CHECK(mq_unlink(name) == 0);
	CHECK(mq_notify(queue, event_of()) == 0);
	push_out();
	CHECK(mq_send(queue, "a", 1, 0) == 0);
	wait_for(2);
	CHECK(mq_close(queue) == 0);
}

static void names(void)
{
	struct gaicb *name = calloc(1, 5000);

	CHECK(name);
	name->ar_name = text("127.0.0.1");
	push_out();
	CHECK(getaddrinfo_a(GAI_WAIT, &name, 1, NULL) == 0);
	CHECK(gai_error(name) == 0 && name->ar_result);
	freeaddrinfo(name->ar_result);
	push_out();
	CHECK(getaddrinfo_a(GAI_NOWAIT, &name, 1, event_of()) == 0);
	wait_for(2);
	CHECK(gai_error(name) == 0 && name->ar_result);
	freeaddrinfo(name->ar_result);
	free(name);
}

static void test_libc(void)
{
	words = malloc(9000);
	CHECK(words && pipe(told) == 0);
	memset(words, 'w', 9000);
	timers();
	queues();
	names();
}

int main(int argc, char **argv)
{
	alarm(600);
	CHECK(argc > 1);
	begin();
	if (!strcmp(argv[1], "mask"))
		test_mask();
	else if (!strcmp(argv[1], "handler"))
		test_handler();
	else if (!strcmp(argv[1], "stack"))
		test_stack();
	else if (!strcmp(argv[1], "ranges"))
		test_ranges();
	else if (!strcmp(argv[1], "libc"))
		test_libc();
	else if (!strcmp(argv[1], "spawn") && argc > 2)
		test_spawn(argv[2]);
	else
		CHECK(!"a test");
	return 0;
}
