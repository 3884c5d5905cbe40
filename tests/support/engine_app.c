/* SPDX-License-Identifier: MIT */
#include "support/engine_app.h"

#include <check.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static __thread sigjmp_buf app_env;

static void app_signal(int sig)
{
	siglongjmp(app_env, sig);
}

static void *app_run(void *arg)
{
	struct app *a = arg;

	a->signal = sigsetjmp(app_env, 1);
	if (a->signal == 0 && a->write)
		*a->at = a->value;
	else if (a->signal == 0)
		a->value = *a->at;
	atomic_store(&a->done, true);
	return NULL;
}

void app_start(struct app *a, gaddr_t addr, bool write, uint64_t value)
{
	memset(a, 0, sizeof(*a));
	a->at = (uint64_t *)(void *)ptr_of(addr);
	a->write = write;
	a->value = value;
	signal(SIGBUS, app_signal);
	signal(SIGSEGV, app_signal);
	ck_assert_int_eq(pthread_create(&a->thread, NULL, app_run, a), 0);
}

struct os_fault app_event(void)
{
	int uffd = vm->port[0].uffd;
	struct os_fault f = {0};
	uint64_t ready, invalid;

	ck_assert_int_eq(os_poll(&uffd, 1, ENGINE_US, &ready, &invalid), 0);
	ck_assert_int_eq(os_uffd_read(uffd, &f, 1), 1);
	return f;
}

void app_join(struct app *a)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ENGINE_US / 1000000;
	ck_assert_int_eq(pthread_timedjoin_np(a->thread, NULL, &until), 0);
}

int engine_child(void (*fn)(int), int arg)
{
	int status = 0;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);	  /* the failed assertion says what */
		signal(SIGALRM, SIG_DFL); /* libcheck's kills the test */
		alarm(ENGINE_US / 1000000);
		fn(arg);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		ck_assert_int_eq(errno, EINTR);
	return status;
}
