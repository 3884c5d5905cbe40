/* SPDX-License-Identifier: MIT */
#include "support/child.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/expect.h"
#include "support/live.h"
#include "support/random.h"
#include "support/wait.h"

unsigned live_child_seconds(void)
{
	return (unsigned)wait_scaled(50);
}

pid_t live_fork(int (*fn)(void *), void *arg)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	live_check(pid >= 0);
	if (pid == 0) {
		struct rlimit none = {0, 0};

		signal(SIGALRM, SIG_DFL);
		alarm(live_child_seconds());
		setrlimit(RLIMIT_CORE, &none);
		_exit(fn(arg));
	}
	return pid;
}

int live_status(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

void live_ended_ok(pid_t pid)
{
	int status = live_status(pid);

	if (!WIFEXITED(status) || WEXITSTATUS(status))
		live_fail("the child ended with status %#x", (unsigned)status);
}

int live_child(int (*fn)(void *), void *arg)
{
	return live_status(live_fork(fn, arg));
}

void live_child_ok(int (*fn)(void *), void *arg)
{
	live_ended_ok(live_fork(fn, arg));
}

void live_default_signals(void)
{
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
}

static int touch(void *p)
{
	live_default_signals();
	*(volatile char *)p = 'x';
	return 0;
}

void live_child_dies_at(void *p)
{
	int status = live_child(touch, p);

	live_check(WIFSIGNALED(status));
	live_equal(WTERMSIG(status), SIGSEGV);
}

void live_child_works(struct vvm *vm, uint64_t pages)
{
	char *p = live_map(vm, pages, LIVE_RW);

	for (uint64_t i = 0; i < pages; i++)
		live_fill(p + i * LIVE_PAGE, i, 9);
	for (uint64_t i = 0; i < pages; i++)
		child_check(live_verify(p + i * LIVE_PAGE, i, 9) == -1);
	child_expect(vvm_close(vm), 0);
}
